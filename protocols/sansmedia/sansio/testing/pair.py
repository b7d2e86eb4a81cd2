"""Two machines talk to each other over a simulated network in simulated time.

Nothing waits: time jumps to the earliest deadline of the machines and of the network.
"""

from __future__ import annotations

import abc
import math
from collections.abc import Callable, Iterable
from typing import Generic, Protocol, TypeVar

from sansmedia.sansio.contract import Datagram, DatagramMachine, StreamMachine

from .netem import DatagramLink, StreamPipe

__all__ = ["DatagramPair", "StreamPair"]

E = TypeVar("E")
L = TypeVar("L")
R = TypeVar("R")

# A machine whose timer does not advance, or two that answer each other without end,
# would spin at one moment for ever.
_MAX_STEPS_AT_ONE_MOMENT = 10_000


class _Clocked(Protocol):
    def next_timeout(self) -> float | None: ...


class _Pair(abc.ABC, Generic[L, R]):
    """What both kinds of pair share: the clock, the events and the loop."""

    def __init__(self, now: float, clocked: Iterable[_Clocked]) -> None:
        self.now = now
        """The simulated time; pass it to the commands you give."""
        self.left_events: list[L] = []
        """Everything the left machine has told, oldest first."""
        self.right_events: list[R] = []
        """Everything the right machine has told, oldest first."""
        self._clocked = tuple(clocked)

    @abc.abstractmethod
    def _flush(self) -> None:
        """Collect events and put output on the way."""

    @abc.abstractmethod
    def _deliver(self) -> None:
        """Hand over what has arrived and fire what is due."""

    def next_timeout(self) -> float | None:
        """Return when something happens next, or None if nothing ever will."""
        deadlines = (clocked.next_timeout() for clocked in self._clocked)
        return min((at for at in deadlines if at is not None), default=None)

    def run(
        self, until: float = math.inf, *, stop: Callable[[], bool] | None = None
    ) -> None:
        """Let time pass until ``until``, until ``stop`` holds or nothing is left.

        Commands given to the machines before are taken along. With a finite
        ``until``, `now` is that moment afterwards unless ``stop`` ended the run.

        Raises:
            AssertionError: Time stands still although deadlines keep coming.
        """
        steps = 0
        self._flush()
        while stop is None or not stop():
            deadline = self.next_timeout()
            if deadline is None or deadline > until:
                if until != math.inf:
                    self.now = max(self.now, until)
                return
            steps = steps + 1 if deadline <= self.now else 0
            if steps > _MAX_STEPS_AT_ONE_MOMENT:
                raise AssertionError(f"time stands still at {self.now}")
            self.now = max(self.now, deadline)
            self._deliver()
            self._flush()


def _collect(
    machine: StreamMachine[E] | DatagramMachine[E],
    events: list[E],
    react: Callable[[E, float], None] | None,
    now: float,
) -> None:
    while (event := machine.next_event()) is not None:
        events.append(event)
        if react is not None:
            react(event, now)


def _fire(machine: StreamMachine[E] | DatagramMachine[E], now: float) -> None:
    deadline = machine.next_timeout()
    if deadline is not None and deadline <= now:
        machine.handle_timeout(now)


class StreamPair(_Pair[L, R]):
    """Two stream machines and the pipes between them.

    A terminated machine closes its side, as a driver does: its last bytes travel,
    then the other side gets `receive_eof`.

    Args:
        left: One machine.
        right: The other.
        there: Carries the left machine's output; a perfect pipe by default.
        back: Carries the right machine's output.
        now: When the run begins, in seconds.
        on_left: Called with every event of the left machine and the time, to give
            the commands that answer it (accept a request, say).
        on_right: The same for the right machine.
    """

    def __init__(
        self,
        left: StreamMachine[L],
        right: StreamMachine[R],
        *,
        there: StreamPipe | None = None,
        back: StreamPipe | None = None,
        now: float = 0.0,
        on_left: Callable[[L, float], None] | None = None,
        on_right: Callable[[R, float], None] | None = None,
    ) -> None:
        self.left = left
        self.right = right
        self.there = there or StreamPipe(seed=1)
        self.back = back or StreamPipe(seed=2)
        self._on_left = on_left
        self._on_right = on_right
        super().__init__(now, (left, right, self.there, self.back))

    def _flush(self) -> None:
        _collect(self.left, self.left_events, self._on_left, self.now)
        _collect(self.right, self.right_events, self._on_right, self.now)
        _flush_stream(self.left, self.there, self.now)
        _flush_stream(self.right, self.back, self.now)

    def _deliver(self) -> None:
        _deliver_stream(self.back, self.left, self.now)
        _deliver_stream(self.there, self.right, self.now)
        _fire(self.left, self.now)
        _fire(self.right, self.now)


def _flush_stream(machine: StreamMachine[E], pipe: StreamPipe, now: float) -> None:
    data = machine.data_to_send()
    if data:
        pipe.send(data, now)
    if machine.is_terminated:
        pipe.send_eof(now)


def _deliver_stream(pipe: StreamPipe, machine: StreamMachine[E], now: float) -> None:
    for segment in pipe.arrivals(now):
        machine.receive_data(segment, now)
    if pipe.take_eof(now):
        machine.receive_eof(now)


class DatagramPair(_Pair[L, R]):
    """Two datagram machines, each at one address, and the links between them.

    A datagram to any other address than the other side's vanishes and is counted.

    Args:
        left: One machine.
        right: The other.
        there: Carries the left machine's output; a perfect link by default.
        back: Carries the right machine's output.
        now: When the run begins, in seconds.
        on_left: Called with every event of the left machine and the time.
        on_right: The same for the right machine.
    """

    left_address = ("192.0.2.1", 5000)
    """Where the left machine lives."""
    right_address = ("192.0.2.2", 5000)
    """Where the right machine lives."""

    def __init__(
        self,
        left: DatagramMachine[L],
        right: DatagramMachine[R],
        *,
        there: DatagramLink | None = None,
        back: DatagramLink | None = None,
        now: float = 0.0,
        on_left: Callable[[L, float], None] | None = None,
        on_right: Callable[[R, float], None] | None = None,
    ) -> None:
        self.left = left
        self.right = right
        self.there = there or DatagramLink(seed=1)
        self.back = back or DatagramLink(seed=2)
        self.misaddressed = 0
        """Datagrams sent to nobody."""
        self._on_left = on_left
        self._on_right = on_right
        super().__init__(now, (left, right, self.there, self.back))

    def _flush(self) -> None:
        _collect(self.left, self.left_events, self._on_left, self.now)
        _collect(self.right, self.right_events, self._on_right, self.now)
        here, other = self.left_address, self.right_address
        self._send(self.left.datagrams_to_send(), self.there, here, other)
        self._send(self.right.datagrams_to_send(), self.back, other, here)

    def _send(
        self,
        datagrams: list[Datagram],
        link: DatagramLink,
        sender: tuple[str, int],
        receiver: tuple[str, int],
    ) -> None:
        for datagram in datagrams:
            if datagram.peer == receiver:
                link.send([Datagram(datagram.data, sender, receiver)], self.now)
            else:
                self.misaddressed += 1

    def _deliver(self) -> None:
        for link, machine in ((self.back, self.left), (self.there, self.right)):
            arrived = link.arrivals(self.now)
            # The contract promises batches of up to 64.
            for start in range(0, len(arrived), 64):
                machine.receive_datagrams(arrived[start : start + 64], self.now)
        _fire(self.left, self.now)
        _fire(self.right, self.now)
