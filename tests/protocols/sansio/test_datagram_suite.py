"""The suite tries datagram machines by the same rules: batches are their segments."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence

import attrs
import pytest
from sansmedia.sansio import Datagram, Dice, Terminated, TerminationCause
from sansmedia.sansio.testing import (
    MACHINE_CHECKS,
    AnyCase,
    DatagramCase,
    check_linear_time,
    check_mutations,
    check_segmentation,
    check_termination,
)

_PEER = ("192.0.2.1", 5000)
_SECRET = b"S"


@attrs.frozen
class Heard:
    """An authentic datagram came."""

    data: bytes


@attrs.frozen
class Counts:
    """Counters of `Echo`."""

    dropped: int


class Echo:
    """Echoes what begins with the secret, drops the rest, ends on ``S!``."""

    def __init__(self, dice: Dice) -> None:
        self._events: deque[Heard | Terminated] = deque()
        self._output: list[Datagram] = [Datagram(dice(4), _PEER)]
        self._dropped = 0
        self._keepalive: float | None = 1015.0
        self.is_terminated = False

    def receive_datagrams(self, batch: Sequence[Datagram], now: float) -> None:
        for datagram in batch:
            if self.is_terminated:
                return
            self._receive(datagram)

    def _receive(self, datagram: Datagram) -> None:
        if not datagram.data.startswith(_SECRET) or datagram.peer != _PEER:
            self._dropped += 1
        elif datagram.data == _SECRET + b"!":
            self._end(TerminationCause.PEER)
        else:
            self._events.append(Heard(datagram.data))
            self._output.append(Datagram(datagram.data, datagram.peer))

    def _end(self, cause: TerminationCause) -> None:
        if not self.is_terminated:
            self.is_terminated = True
            self._keepalive = None
            self._events.append(Terminated(cause))

    def close(self, reason: str = "", *, now: float) -> None:
        self._end(TerminationCause.LOCAL)

    def datagrams_to_send(self) -> list[Datagram]:
        output, self._output = self._output, []
        return output

    def next_event(self) -> Heard | Terminated | None:
        return self._events.popleft() if self._events else None

    def next_timeout(self) -> float | None:
        return self._keepalive

    def handle_timeout(self, now: float) -> None:
        if self._keepalive is not None and now >= self._keepalive:
            self._output.append(Datagram(_SECRET, _PEER))
            self._keepalive = now + 15.0

    @property
    def pending_bytes(self) -> int:
        heard = sum(len(e.data) for e in self._events if isinstance(e, Heard))
        return heard + sum(len(datagram.data) for datagram in self._output)

    def statistics(self) -> Counts:
        return Counts(self._dropped)


def _from_peer(*data: bytes) -> tuple[Datagram, ...]:
    return tuple(Datagram(octets, _PEER) for octets in data)


def _case(factory: Callable[[Dice], Echo]) -> DatagramCase:
    return DatagramCase(
        name=factory.__name__,
        factory=factory,
        seeds=(
            _from_peer(b"Sone", b"nobody", b"Stwo", b"") * 20,
            (*_from_peer(b"Sone"), Datagram(b"Sx", ("198.51.100.1", 9))),
            _from_peer(b"Sone", b"S!", b"Safter"),
        ),
        bulk=lambda count: _from_peer(_SECRET + bytes(99)) * count,
        pending_limit=20_000,
    )


@pytest.mark.parametrize("check", MACHINE_CHECKS)
def test_a_correct_datagram_machine_passes(check: Callable[[AnyCase], None]) -> None:
    check(_case(Echo))


def test_a_correct_datagram_machine_costs_the_same_for_ever() -> None:
    check_linear_time(_case(Echo), time.process_time)


class TellsBatches(Echo):
    """Gives an event per batch."""

    def receive_datagrams(self, batch: Sequence[Datagram], now: float) -> None:
        super().receive_datagrams(batch, now)
        if not self.is_terminated:
            self._events.append(Heard(b"batch"))


def test_an_event_per_batch_is_caught() -> None:
    with pytest.raises(AssertionError, match="events differ"):
        check_segmentation(_case(TellsBatches))


class TrustsTheLength(Echo):
    """Reads an octet that need not be there."""

    def _receive(self, datagram: Datagram) -> None:
        if datagram.data[0] == _SECRET[0]:
            super()._receive(datagram)


def test_an_exception_for_an_empty_datagram_is_caught() -> None:
    with pytest.raises(AssertionError, match=r"receive_datagrams raised IndexError"):
        check_mutations(_case(TrustsTheLength))


class ForgetsToEnd(Echo):
    """Ignores `close`."""

    def close(self, reason: str = "", *, now: float) -> None:
        return None


def test_a_close_without_terminated_is_caught() -> None:
    with pytest.raises(AssertionError, match="not terminated"):
        check_termination(_case(ForgetsToEnd))
