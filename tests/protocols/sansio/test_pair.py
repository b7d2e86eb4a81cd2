from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import attrs
import pytest
from sansmedia.sansio import Datagram, ProtocolError, Terminated, TerminationCause
from sansmedia.sansio.testing import (
    Conditions,
    DatagramLink,
    DatagramPair,
    StreamPair,
    StreamPipe,
)


@attrs.frozen
class Line:
    """One line, without its end."""

    text: bytes


class Lines:
    """A stream machine that tells lines and sends lines."""

    def __init__(self) -> None:
        self._events: deque[Line | Terminated] = deque()
        self._partial = b""
        self._output = b""
        self.is_terminated = False

    def say(self, text: bytes) -> None:
        self._output += text + b"\n"

    def receive_data(self, data: bytes, now: float) -> None:
        *lines, self._partial = (self._partial + data).split(b"\n")
        self._events.extend(Line(line) for line in lines)

    def _end(self, cause: TerminationCause) -> None:
        if not self.is_terminated:
            self.is_terminated = True
            self._events.append(Terminated(cause))

    def receive_eof(self, now: float) -> None:
        self._end(TerminationCause.EOF)

    def close(self, reason: str = "", *, now: float) -> None:
        self._output += b"bye\n"
        self._end(TerminationCause.LOCAL)

    def data_to_send(self) -> bytes:
        data, self._output = self._output, b""
        return data

    def next_event(self) -> Line | Terminated | None:
        return self._events.popleft() if self._events else None

    def next_timeout(self) -> float | None:
        return None

    def handle_timeout(self, now: float) -> None:
        raise ProtocolError("no timer was set")

    @property
    def pending_bytes(self) -> int:
        return len(self._partial) + len(self._output)

    def statistics(self) -> None:
        return None


def _pipe(seed: int) -> StreamPipe:
    conditions = Conditions(delay=0.05, jitter=0.01, loss=0.05)
    return StreamPipe(conditions, seed=seed, max_segment=5)


def test_lines_cross_a_bad_network_whole_and_in_order() -> None:
    left, right = Lines(), Lines()
    pair = StreamPair(left, right, there=_pipe(1), back=_pipe(2))
    texts = [b"line %d" % n for n in range(50)]
    for text in texts:
        left.say(text)
    pair.run()
    assert pair.right_events == [Line(text) for text in texts]
    assert pair.now >= 0.05


def test_a_reaction_answers_an_event_at_its_time() -> None:
    left, right = Lines(), Lines()
    heard_at = []

    def answer(event: Line | Terminated, now: float) -> None:
        heard_at.append(now)
        if isinstance(event, Line):
            right.say(event.text.upper())

    pipes = [StreamPipe(Conditions(delay=0.5), seed=n) for n in (1, 2)]
    pair = StreamPair[Line | Terminated, Line | Terminated](
        left, right, there=pipes[0], back=pipes[1], on_right=answer
    )
    left.say(b"hello")
    pair.run()
    assert pair.left_events == [Line(b"HELLO")]
    assert heard_at == [0.5]
    assert pair.now == 1.0


def test_a_terminated_machine_closes_its_side_behind_its_last_bytes() -> None:
    left, right = Lines(), Lines()
    pair = StreamPair(left, right, there=_pipe(3), back=_pipe(4))
    left.say(b"last words")
    left.close(now=pair.now)
    pair.run()
    assert pair.right_events == [
        Line(b"last words"),
        Line(b"bye"),
        Terminated(TerminationCause.EOF),
    ]
    assert pair.left_events == [Terminated(TerminationCause.LOCAL)]


def test_a_run_stops_at_its_time_and_goes_on_later() -> None:
    left, right = Lines(), Lines()
    pipe = StreamPipe(Conditions(delay=1.0))
    pair = StreamPair(left, right, there=pipe)
    left.say(b"slow")
    pair.run(until=0.5)
    assert (pair.now, pair.right_events) == (0.5, [])
    pair.run(until=2.0)
    assert (pair.now, pair.right_events) == (2.0, [Line(b"slow")])


def test_a_run_stops_when_the_condition_holds() -> None:
    left, right = Lines(), Lines()
    pipe = StreamPipe(Conditions(delay=1.0), max_segment=2)
    pair = StreamPair(left, right, there=pipe)
    left.say(b"one")
    pair.run(until=9.0, stop=lambda: bool(pair.right_events))
    assert pair.now == 1.0


@attrs.frozen
class Acknowledged:
    """The peer has that message."""

    number: int


class Resender:
    """A datagram machine that repeats every message until it is acknowledged."""

    def __init__(self, peer: tuple[str, int], count: int = 0) -> None:
        self._peer = peer
        self._open = dict.fromkeys(range(count), 0.0)
        self._acknowledgements: list[Datagram] = []
        self._resend: list[int] = list(self._open)
        self._events: deque[Acknowledged] = deque()
        self.received: set[int] = set()
        self.batches: list[int] = []
        self.is_terminated = False

    def receive_datagrams(self, batch: Sequence[Datagram], now: float) -> None:
        self.batches.append(len(batch))
        for datagram in batch:
            kind, number = datagram.data[:1], int.from_bytes(datagram.data[1:], "big")
            if kind == b"A":
                if self._open.pop(number, None) is not None:
                    self._events.append(Acknowledged(number))
            else:
                self.received.add(number)
                self._acknowledgements.append(
                    Datagram(b"A" + datagram.data[1:], datagram.peer)
                )

    def datagrams_to_send(self) -> list[Datagram]:
        sent = [Datagram(b"M%c" % n, self._peer) for n in self._resend]
        sent += self._acknowledgements
        self._resend = []
        self._acknowledgements = []
        return sent

    def next_event(self) -> Acknowledged | None:
        return self._events.popleft() if self._events else None

    def next_timeout(self) -> float | None:
        return min(self._open.values()) + 0.2 if self._open else None

    def handle_timeout(self, now: float) -> None:
        self._open = dict.fromkeys(self._open, now)
        self._resend = list(self._open)

    def close(self, reason: str = "", *, now: float) -> None:
        self._open.clear()

    @property
    def pending_bytes(self) -> int:
        return len(self._open)

    def statistics(self) -> None:
        return None


@pytest.mark.parametrize("seed", range(5))
def test_resending_gets_everything_through_loss_duplication_and_reordering(
    seed: int,
) -> None:
    conditions = Conditions(
        delay=0.03, jitter=0.02, loss=0.3, duplicate=0.1, reorder=0.2
    )
    left = Resender(DatagramPair.right_address, 100)
    right = Resender(DatagramPair.left_address)
    pair = DatagramPair(
        left,
        right,
        there=DatagramLink(conditions, seed=seed),
        back=DatagramLink(conditions, seed=seed + 100),
    )
    pair.run()
    assert right.received == set(range(100))
    assert {event.number for event in pair.left_events} == set(range(100))
    assert pair.now < 10.0


def test_datagrams_come_in_batches_of_at_most_64() -> None:
    left = Resender(DatagramPair.right_address, 100)
    right = Resender(DatagramPair.left_address)
    DatagramPair(left, right).run()
    assert right.batches == [64, 36]


def test_a_datagram_to_nobody_vanishes_and_is_counted() -> None:
    left = Resender(("198.51.100.9", 9), 3)
    right = Resender(DatagramPair.left_address)
    pair = DatagramPair(left, right)
    pair.run(until=0.1)
    assert pair.misaddressed == 3
    assert right.received == set()


class Spinner(Lines):
    """A machine whose timer never advances."""

    def next_timeout(self) -> float | None:
        return 1.0

    def handle_timeout(self, now: float) -> None:
        return None


def test_time_that_stands_still_is_an_error() -> None:
    with pytest.raises(AssertionError, match="stands still at 1"):
        StreamPair(Spinner(), Lines()).run()
