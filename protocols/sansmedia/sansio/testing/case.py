"""How a machine registers for the contract suite, and how the suite drives it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import attrs

from sansmedia.sansio.contract import (
    Datagram,
    DatagramMachine,
    Dice,
    StreamMachine,
    Terminated,
)

from .dice import SeededDice

__all__ = [
    "AnyCase",
    "DatagramCase",
    "MachineCase",
    "Run",
    "cut_at_random",
    "require",
]

# The event union differs from library to library, and the suite looks into none.
_React: TypeAlias = Callable[[Any, Any, float], None]


def require(condition: bool, name: str, complaint: str) -> None:
    """Raise an AssertionError that names the case, unless ``condition`` holds."""
    if not condition:
        raise AssertionError(f"{name}: {complaint}")


@attrs.frozen(kw_only=True)
class MachineCase:
    """One stream machine in one state, with what the suite needs to try it."""

    name: str
    """Shown in every complaint."""
    factory: Callable[[Dice], StreamMachine[Any]]
    """Makes a machine; its dice must come from the argument alone. It may drive the
    machine into a state first (a session that publishes, say) at the time `now`."""
    seeds: Sequence[bytes]
    """What a peer sends in that state, well-formed or not; up to 16 KB each."""
    bulk: Callable[[int], bytes]
    """Makes about that many octets of valid peer stream, for the linear-time checks."""
    pending_limit: int
    """Octets that the machine may hold while its events and output are drained."""
    react: _React | None = None
    """Answers an event with commands: ``react(machine, event, now)``."""
    event_view: Callable[[list[Any]], object] = lambda events: events
    """What must not depend on segmentation, made from all events; joins runs that a
    machine hands out per input."""
    output_view: Callable[[bytes], object] = lambda output: output
    """The same for the output; leaves out what counts inputs by design."""
    now: float = 1000.0
    """When the inputs arrive, in seconds."""


@attrs.frozen(kw_only=True)
class DatagramCase:
    """One datagram machine in one state; the fields are those of `MachineCase`."""

    name: str
    """Shown in every complaint."""
    factory: Callable[[Dice], DatagramMachine[Any]]
    """Makes a machine; its dice must come from the argument alone."""
    seeds: Sequence[tuple[Datagram, ...]]
    """What a peer sends in that state."""
    bulk: Callable[[int], tuple[Datagram, ...]]
    """Makes that many valid datagrams, for the linear-time checks."""
    pending_limit: int
    """Octets that the machine may hold while its events and output are drained."""
    react: _React | None = None
    """Answers an event with commands: ``react(machine, event, now)``."""
    event_view: Callable[[list[Any]], object] = lambda events: events
    """What must not depend on the batches, made from all events."""
    output_view: Callable[[list[Datagram]], object] = lambda output: output
    """What must not depend on the batches, made from all output."""
    now: float = 1000.0
    """When the inputs arrive, in seconds."""


AnyCase: TypeAlias = MachineCase | DatagramCase


class Run:
    """One machine of a case under way; an exception becomes a complaint.

    Args:
        case: What to run.
        seed: Of the machine's dice.
        reactive: Whether events are answered by the case's ``react``.
    """

    def __init__(self, case: AnyCase, *, seed: int = 1, reactive: bool = False) -> None:
        self.case = case
        self.now = case.now
        self.machine: Any = case.factory(SeededDice(seed))
        self.events: list[Any] = []
        self._output: list[Any] = []
        self._react = case.react if reactive else None

    @property
    def is_stream(self) -> bool:
        """Whether the machine takes bytes."""
        return isinstance(self.case, MachineCase)

    def call(self, method: str, *args: object, **kwargs: object) -> Any:  # noqa: ANN401
        """Call a method of the machine."""
        try:
            return getattr(self.machine, method)(*args, **kwargs)
        except Exception as error:
            raise AssertionError(
                f"{self.case.name}: {method} raised {error!r}"
            ) from error

    def feed(self, piece: Sequence[Any]) -> None:
        """Give one piece of input: octets, or a batch of datagrams."""
        if self.is_stream:
            self.call("receive_data", bytes(piece), self.now)
        else:
            # The machine may keep or change records; the seed must stay as it is.
            batch = [attrs.evolve(datagram, at=self.now) for datagram in piece]
            for start in range(0, len(batch), 64):
                self.call("receive_datagrams", batch[start : start + 64], self.now)

    def end_input(self) -> None:
        """Give the end of a stream; nothing for datagrams."""
        if self.is_stream:
            self.call("receive_eof", self.now)

    def close(self) -> None:
        """Close the machine."""
        self.call("close", "suite", now=self.now)

    def fire(self) -> bool:
        """Go to the next deadline and handle it; False if there is none."""
        deadline = self.call("next_timeout")
        if deadline is None:
            return False
        self.now = max(self.now, deadline)
        self.call("handle_timeout", self.now)
        return True

    def drain(self) -> tuple[int, int]:
        """Dequeue events and output; return how many of each there were."""
        heard = 0
        while (event := self.call("next_event")) is not None:
            heard += 1
            self.events.append(event)
            if self._react is not None:
                self._answer(event)
        sent = self.take_output()
        return heard, len(sent)

    def _answer(self, event: object) -> None:
        if self._react is None:
            return
        try:
            self._react(self.machine, event, self.now)
        except Exception as error:
            raise AssertionError(
                f"{self.case.name}: a command after {event!r} raised {error!r}"
            ) from error

    def take_output(self) -> Sequence[Any]:
        """Dequeue the output, keep it and return it."""
        sent: Sequence[Any] = self.call(
            "data_to_send" if self.is_stream else "datagrams_to_send"
        )
        self._output.extend([sent] if self.is_stream else sent)
        return sent

    @property
    def output(self) -> Any:  # noqa: ANN401 - bytes or datagrams
        """All output so far."""
        return b"".join(self._output) if self.is_stream else list(self._output)

    @property
    def terminations(self) -> list[Terminated]:
        """The `Terminated` events so far."""
        return [event for event in self.events if isinstance(event, Terminated)]

    def views(self) -> tuple[object, object]:
        """Return what must not depend on how the input was cut."""
        output_view: Callable[[Any], object] = self.case.output_view
        return self.case.event_view(self.events), output_view(self.output)


def cut_at_random(
    data: Sequence[Any], dice: SeededDice, longest: int
) -> list[Sequence[Any]]:
    """Cut ``data`` into pieces of 1 to ``longest`` items."""
    pieces = []
    position = 0
    while position < len(data):
        end = position + dice.between(1, longest)
        pieces.append(data[position:end])
        position = end
    return pieces
