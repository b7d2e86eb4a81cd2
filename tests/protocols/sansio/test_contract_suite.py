"""The suite passes a correct machine and catches one broken machine per rule."""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Callable

import attrs
import pytest
from sansmedia.sansio import (
    Dice,
    ProtocolError,
    Reader,
    Terminated,
    TerminationCause,
    TimerTable,
)
from sansmedia.sansio.testing import (
    MACHINE_CHECKS,
    AnyCase,
    MachineCase,
    check_any_input,
    check_determinism,
    check_leaves_no_cycles,
    check_linear_time,
    check_linear_work,
    check_mutations,
    check_pending_bytes,
    check_polls_are_pure,
    check_segmentation,
    check_termination,
    check_timeouts_advance,
)

_LIMIT = 1 << 21
_PING_S = 10.0


@attrs.frozen
class Message:
    """One message: 32 bits of length, then that many octets."""

    body: bytes


@attrs.frozen
class ToyStatistics:
    """Counters of `Toy`."""

    messages: int


Event = Message | Terminated


class Toy:
    """Answers every message with its length; pings while idle; ends on 0xFFFFFFFF."""

    def __init__(self, dice: Dice) -> None:
        self._events: deque[Event] = deque()
        self._output = bytearray(dice(4))
        self._head = b""
        self._body: bytearray | None = None
        self._missing = 0
        self._timers: TimerTable[str] = TimerTable()
        self._timers.set("ping", 1000.0 + _PING_S)
        self._messages = 0
        self.is_terminated = False

    def receive_data(self, data: bytes, now: float) -> None:
        if self.is_terminated:
            return
        try:
            self._parse(data, now)
        except ProtocolError as error:
            self._end(TerminationCause.VIOLATION, error)

    def _parse(self, data: bytes, now: float) -> None:
        reader = Reader(data)
        while reader.remaining and not self.is_terminated:
            if self._body is None:
                self._head += reader.take(min(4 - len(self._head), reader.remaining))
                if len(self._head) == 4:
                    self._begin(int.from_bytes(self._head, "big"))
            else:
                part = reader.take(min(self._missing, reader.remaining))
                self._body += part
                self._missing -= len(part)
            if self._body is not None and not self._missing:
                self._finish(bytes(self._body), now)

    def _begin(self, length: int) -> None:
        self._head = b""
        if length == 0xFFFFFFFF:
            self._end(TerminationCause.PEER)
            return
        if length > _LIMIT:
            raise ProtocolError("message is too long", code="limit")
        self._body = bytearray()
        self._missing = length

    def _finish(self, body: bytes, now: float) -> None:
        self._body = None
        self._messages += 1
        self._events.append(Message(body))
        self._output += len(body).to_bytes(4, "big")
        self._timers.set("ping", now + _PING_S)

    def _end(self, cause: TerminationCause, error: ProtocolError | None = None) -> None:
        if self.is_terminated:
            return
        self.is_terminated = True
        self._timers.clear()
        self._head = b""
        self._body = None
        self._output += b"bye"
        self._events.append(Terminated(cause, "", error))

    def receive_eof(self, now: float) -> None:
        self._end(TerminationCause.EOF)

    def close(self, reason: str = "", *, now: float) -> None:
        self._end(TerminationCause.LOCAL)

    def data_to_send(self) -> bytes:
        data = bytes(self._output)
        self._output.clear()
        return data

    def next_event(self) -> Event | None:
        return self._events.popleft() if self._events else None

    def next_timeout(self) -> float | None:
        return self._timers.next_timeout()

    def handle_timeout(self, now: float) -> None:
        for name in self._timers.pop_due(now):
            self._output += b"ping"
            self._timers.set(name, now + _PING_S)

    @property
    def pending_bytes(self) -> int:
        return (
            len(self._head)
            + len(self._body or b"")
            + len(self._output)
            + sum(len(e.body) for e in self._events if isinstance(e, Message))
        )

    def statistics(self) -> ToyStatistics:
        return ToyStatistics(self._messages)


def _message(body: bytes) -> bytes:
    return len(body).to_bytes(4, "big") + body


def _case(factory: Callable[[Dice], Toy], pending_limit: int = 1 << 22) -> MachineCase:
    seeds = (
        _message(b"one") + _message(b"") + _message(bytes(300)),
        _message(b"last") + b"\xff\xff\xff\xff" + b"trailing",
        b"\x00\x00\x00\x03two\xff\xff\xff\xfe more",
    )
    return MachineCase(
        name=factory.__name__,
        factory=factory,
        seeds=seeds,
        bulk=lambda size: _message(bytes(size)),
        pending_limit=pending_limit,
    )


@pytest.mark.parametrize("check", MACHINE_CHECKS)
def test_a_correct_machine_passes(check: Callable[[AnyCase], None]) -> None:
    check(_case(Toy))


def test_a_correct_machine_costs_the_same_whatever_it_holds() -> None:
    check_linear_time(_case(Toy), time.process_time)


class HandsOutPieces(Toy):
    """Gives an event per input instead of one per message."""

    def receive_data(self, data: bytes, now: float) -> None:
        super().receive_data(data, now)
        if not self.is_terminated:
            self._events.append(Message(data))


def test_an_event_per_input_breaks_segmentation() -> None:
    with pytest.raises(AssertionError, match=r"HandsOutPieces: .*events differ"):
        check_segmentation(_case(HandsOutPieces))


class AnswersPerInput(Toy):
    """Acknowledges every input, so that output depends on how it was cut."""

    def receive_data(self, data: bytes, now: float) -> None:
        super().receive_data(data, now)
        if not self.is_terminated:
            self._output += b"ack"


def test_output_per_input_breaks_segmentation() -> None:
    with pytest.raises(AssertionError, match="output differs"):
        check_segmentation(_case(AnswersPerInput))


def test_a_view_leaves_out_what_depends_on_the_cuts_by_design() -> None:
    case = attrs.evolve(
        _case(AnswersPerInput), output_view=lambda output: output.replace(b"ack", b"")
    )
    check_segmentation(case)


class DropsWhatPrecedesTheBadByte(Toy):
    """Throws away good events of the input that also holds the violation."""

    def _end(self, cause: TerminationCause, error: ProtocolError | None = None) -> None:
        if error is not None:
            self._events.clear()
        super()._end(cause, error)


def test_losing_events_before_the_bad_byte_breaks_segmentation() -> None:
    with pytest.raises(AssertionError, match="events differ"):
        check_segmentation(_case(DropsWhatPrecedesTheBadByte))


class ThrowsItsOwnDice(Toy):
    """Uses randomness that nobody gave it."""

    _hidden = itertools.count()

    def __init__(self, dice: Dice) -> None:
        super().__init__(dice)
        self._output += bytes([next(self._hidden) % 256])


def test_hidden_randomness_breaks_determinism() -> None:
    with pytest.raises(AssertionError, match="two runs differ"):
        check_determinism(_case(ThrowsItsOwnDice))


class WorksWhenPolled(Toy):
    """Counts how often it is asked for statistics."""

    def statistics(self) -> ToyStatistics:
        self._messages += 1
        return super().statistics()


def test_a_poll_that_counts_itself_is_not_pure() -> None:
    with pytest.raises(AssertionError, match="changed it"):
        check_polls_are_pure(_case(WorksWhenPolled))


class ParsesWhenPolled(Toy):
    """Acts on its input only when events are asked for."""

    def next_event(self) -> Event | None:
        event = super().next_event()
        if isinstance(event, Message):
            self._output += b"seen" if not self._output else b"late"
        return event


def test_work_put_off_to_the_poll_is_not_pure() -> None:
    with pytest.raises(AssertionError, match="polling early and polling late differ"):
        check_polls_are_pure(_case(ParsesWhenPolled))


class NeverStopsGiving(Toy):
    """Gives output on every poll."""

    def data_to_send(self) -> bytes:
        return super().data_to_send() or b"again"


def test_output_from_nothing_is_not_pure() -> None:
    with pytest.raises(AssertionError, match="gave something without input"):
        check_polls_are_pure(_case(NeverStopsGiving))


class SaysGoodbyeTwice(Toy):
    """Queues two Terminated events on close."""

    def close(self, reason: str = "", *, now: float) -> None:
        if not self.is_terminated:
            self._end(TerminationCause.LOCAL)
            self._events.append(Terminated(TerminationCause.LOCAL))


def test_two_terminated_events_are_one_too_many() -> None:
    with pytest.raises(AssertionError, match="2 Terminated events"):
        check_termination(_case(SaysGoodbyeTwice))


class TalksAfterTheEnd(Toy):
    """Queues an event behind Terminated."""

    def receive_eof(self, now: float) -> None:
        if not self.is_terminated:
            self._end(TerminationCause.EOF)
            self._events.append(Message(b"one more thing"))


def test_terminated_must_be_last() -> None:
    with pytest.raises(AssertionError, match="Terminated is not last"):
        check_termination(_case(TalksAfterTheEnd))


class ForgetsToEnd(Toy):
    """Ignores the end of the stream."""

    def receive_eof(self, now: float) -> None:
        pass


def test_the_end_of_input_must_terminate() -> None:
    with pytest.raises(AssertionError, match="not terminated"):
        check_termination(_case(ForgetsToEnd))


class AnswersFromTheGrave(Toy):
    """Sends something for input after the end."""

    def receive_data(self, data: bytes, now: float) -> None:
        if self.is_terminated:
            self._output += b"who is there?"
        super().receive_data(data, now)


def test_a_terminated_machine_is_silent() -> None:
    with pytest.raises(AssertionError, match="not silent after input"):
        check_termination(_case(AnswersFromTheGrave))


class TicksInTheGrave(Toy):
    """Keeps its timer after the end."""

    def next_timeout(self) -> float | None:
        return super().next_timeout() or 1e9


def test_a_terminated_machine_has_no_timer() -> None:
    with pytest.raises(AssertionError, match="waits for a timeout"):
        check_termination(_case(TicksInTheGrave))


class BlamesNobody(Toy):
    """Reports a violation without its error."""

    def _end(self, cause: TerminationCause, error: ProtocolError | None = None) -> None:
        super()._end(cause, None)


def test_a_violation_names_its_error() -> None:
    with pytest.raises(AssertionError, match="if and only if"):
        check_termination(_case(BlamesNobody))


class KeepsItsBuffer(Toy):
    """Holds on to the partial message after the end."""

    def _end(self, cause: TerminationCause, error: ProtocolError | None = None) -> None:
        head, body = self._head, self._body
        super()._end(cause, error)
        self._head, self._body = head, body


def test_a_terminated_machine_holds_nothing() -> None:
    with pytest.raises(AssertionError, match="holds bytes"):
        check_termination(_case(KeepsItsBuffer))


class NeverRearms(Toy):
    """Leaves the deadline where it was."""

    def handle_timeout(self, now: float) -> None:
        if now >= 1000.0 + _PING_S:
            self._output += b"ping"


def test_a_timeout_that_does_not_advance_is_caught() -> None:
    with pytest.raises(AssertionError, match="and afterwards at"):
        check_timeouts_advance(_case(NeverRearms))


class FiresEarly(Toy):
    """Does not look at the clock."""

    def handle_timeout(self, now: float) -> None:
        super().handle_timeout(now + _PING_S)


def test_a_timeout_before_its_time_is_caught() -> None:
    with pytest.raises(AssertionError, match="before the deadline did something"):
        check_timeouts_advance(_case(FiresEarly))


class LetsErrorsOut(Toy):
    """Does not catch what its decoder raises."""

    def receive_data(self, data: bytes, now: float) -> None:
        if not self.is_terminated:
            self._parse(data, now)


@pytest.mark.parametrize("check", [check_segmentation, check_mutations])
def test_an_exception_for_peer_bytes_is_caught(
    check: Callable[[AnyCase], None],
) -> None:
    with pytest.raises(AssertionError, match="receive_data raised ProtocolError"):
        check(_case(LetsErrorsOut))


class DiesOnARareByte(Toy):
    """Raises for one octet value that no seed contains."""

    def _parse(self, data: bytes, now: float) -> None:
        if 0xA5 in data:
            raise IndexError
        super()._parse(data, now)


def test_mutations_find_a_byte_that_no_seed_contains() -> None:
    with pytest.raises(AssertionError, match=r"IndexError\(\) \(input b"):
        check_mutations(_case(DiesOnARareByte))


class RaisesOnCommand(Toy):
    """Raises from a command that came too late."""

    def greet(self) -> None:
        if self.is_terminated:
            raise RuntimeError("gone")


def test_a_command_for_something_gone_must_not_raise() -> None:
    def react(machine: RaisesOnCommand, event: Event, now: float) -> None:
        machine.greet()

    case = attrs.evolve(_case(RaisesOnCommand), react=react)
    with pytest.raises(AssertionError, match="a command after Terminated"):
        check_any_input(case, b"")


class HoldsEverything(Toy):
    """Keeps all it ever received."""

    def __init__(self, dice: Dice) -> None:
        super().__init__(dice)
        self._kept = 0

    def receive_data(self, data: bytes, now: float) -> None:
        self._kept += len(data)
        super().receive_data(data, now)

    @property
    def pending_bytes(self) -> int:
        return super().pending_bytes + self._kept


def test_memory_beyond_the_limit_is_caught() -> None:
    case = attrs.evolve(
        _case(HoldsEverything, pending_limit=4000),
        bulk=lambda size: _message(bytes(96)) * (size // 100),
    )
    check_pending_bytes(attrs.evolve(case, factory=Toy))
    with pytest.raises(AssertionError, match="the limit is 4000"):
        check_pending_bytes(case)


class HidesItsOutput(Toy):
    """Does not count what waits to be sent."""

    @property
    def pending_bytes(self) -> int:
        return super().pending_bytes - len(self._output)


def test_uncounted_output_is_caught() -> None:
    with pytest.raises(AssertionError, match="octets to send"):
        check_pending_bytes(_case(HidesItsOutput))


class KeepsItsError(Toy):
    """Keeps an error whose traceback knows the machine."""

    def receive_data(self, data: bytes, now: float) -> None:
        if not self.is_terminated:
            try:
                self._parse(data, now)
            except ProtocolError as error:
                self._end(TerminationCause.VIOLATION, ProtocolError(error.reason))
                self.kept = error


def test_an_error_that_is_kept_with_its_traceback_is_caught() -> None:
    with pytest.raises(AssertionError, match="objects in cycles"):
        check_leaves_no_cycles(_case(KeepsItsError))


class ReadsFromTheStart(Toy):
    """Looks at the whole message again with every new octet."""

    def _parse(self, data: bytes, now: float) -> None:
        super()._parse(data, now)
        if self._body is not None:
            for octet in self._body[::20]:
                _ = divmod(octet, 2)


def test_reading_from_the_start_each_time_is_not_linear() -> None:
    with pytest.raises(AssertionError, match="pieces of 1: four times the input"):
        check_linear_work(_case(ReadsFromTheStart))


class CopiesWithEveryPiece(Toy):
    """Concatenates immutable bytes: no call more, but a copy of all per piece."""

    def _parse(self, data: bytes, now: float) -> None:
        super()._parse(data, now)
        if self._body is not None:
            self._body = bytearray(bytes(self._body) + b"")


def test_copying_what_is_held_with_every_piece_is_not_steady() -> None:
    with pytest.raises(AssertionError, match="after much input"):
        check_linear_time(_case(CopiesWithEveryPiece), time.process_time)


def test_complaints_name_the_input_that_shows_the_fault() -> None:
    with pytest.raises(AssertionError, match="seed 2"):
        check_segmentation(_case(DropsWhatPrecedesTheBadByte))
