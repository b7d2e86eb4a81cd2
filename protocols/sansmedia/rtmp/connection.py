"""What client and server share: bytes to messages, control messages, timers, the end.

Source: RTMP 1.0 §5.4, §7.1.7.
"""

from __future__ import annotations

import abc
import enum
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Generic, Protocol, TypeAlias, TypeVar

from sansmedia.amf import Encodable, Value
from sansmedia.sansio import (
    ProtocolError,
    Terminated,
    TerminationCause,
    TimerTable,
    UsageError,
)

from .chunk_reader import ChunkReader
from .chunk_writer import ChunkWriter
from .constants import (
    COMMAND_CHUNK_STREAM,
    CONTROL_CHUNK_STREAM,
    DATA_CHUNK_STREAM,
    MediaKind,
    MessageType,
    UserControlType,
)
from .events import DataDiscarded, DataReceived, MediaReceived, MetadataReceived
from .handshake import HandshakeScheme
from .limits import Limits
from .messages import (
    Acknowledgement,
    Command,
    ControlMessage,
    MediaMessage,
    Message,
    SetPeerBandwidth,
    UserControl,
    WindowAcknowledgementSize,
    decode_aggregate,
    decode_command,
    decode_control,
    decode_data,
    encode_command,
    encode_control,
    encode_data,
)
from .states import SessionInput, SessionState
from .statistics import Statistics

__all__ = ["Connection", "Timer"]

E = TypeVar("E")
_Stream: TypeAlias = MediaReceived | MetadataReceived | DataReceived | DataDiscarded
_Common: TypeAlias = _Stream | Terminated

_MEDIA = {int(kind): kind for kind in MediaKind}
_COMMANDS = (MessageType.COMMAND_AMF0, MessageType.COMMAND_AMF3)
_DATA = (MessageType.DATA_AMF0, MessageType.DATA_AMF3)
_CONTROLS = range(MessageType.SET_CHUNK_SIZE, MessageType.SET_PEER_BANDWIDTH + 1)
_PINGS = (UserControlType.PING_REQUEST, UserControlType.PING_RESPONSE)
_SESSION_TALK = ("|RtmpSampleAccess", "onStatus")
"""Data messages from a server to its player, no part of the stream."""
_RECORD_COST = 64
"""Octets that a queued record counts in `pending_bytes` besides its payload."""


def _tells_of_a_stream(control: ControlMessage) -> bool:
    """Tell whether a control message has its place among the commands."""
    return isinstance(control, UserControl) and control.event not in _PINGS


class Timer(enum.Enum):
    """Deadlines of a connection."""

    HANDSHAKE = "handshake"
    CONNECT = "connect"
    SETUP = "setup"
    IDLE = "idle"
    PING = "ping"
    PING_ANSWER = "ping answer"


_OVERDUE = {
    Timer.HANDSHAKE: "handshake took too long",
    Timer.CONNECT: "connect was not answered",
    Timer.SETUP: "nothing was published or played",
    Timer.IDLE: "no message came",
    Timer.PING_ANSWER: "nothing came after a ping",
}


class Handshake(Protocol):
    """What the connection needs of either handshake."""

    is_complete: bool
    scheme: HandshakeScheme

    @property
    def pending_bytes(self) -> int: ...
    def receive(self, data: bytes) -> bytes: ...
    def data_to_send(self) -> bytes: ...
    def clear(self) -> None: ...


class Connection(abc.ABC, Generic[E]):
    """The base of both machines: the whole contract but the commands."""

    _TABLE: Mapping[tuple[SessionState, SessionInput], SessionState]

    def __init__(
        self,
        handshake: Handshake,
        *,
        limits: Limits,
        window_size: int,
        ping_interval: float | None,
        ping_timeout: float,
        idle_timeout: float | None,
        now: float,
    ) -> None:
        if ping_interval is not None and ping_interval <= 0:
            raise UsageError("a ping interval is more than 0 seconds")
        self._handshake = handshake
        self._limits = limits
        self._state = SessionState.HANDSHAKE
        self._reader = ChunkReader(limits)
        # Lanes write to the same chunk streams, so no header may lean on another.
        self._writer = ChunkWriter(compress=False)
        self._output = bytearray(handshake.data_to_send())
        self._events: deque[tuple[E | _Common, int]] = deque()
        self._event_bytes = 0
        # Messages that wait for an answer of ours: set while they shall.
        self._held: deque[Message] | None = None
        self._held_bytes = 0
        self._run: list[MediaMessage] = []
        self._run_stream = -1
        self._timers: TimerTable[Timer] = TimerTable()
        self._epoch = now
        self._idle_timeout = idle_timeout
        self._ping_interval = ping_interval
        self._ping_timeout = ping_timeout
        self._ping_sent: tuple[int, float] | None = None
        self._round_trip_time: float | None = None
        self._window = window_size
        self._window_sent = -1
        self._received = 0
        self._acknowledged_to_peer = 0
        self._acknowledged_by_peer = 0
        self._sent = 0
        self._messages = 0
        self._ignored = 0
        self._timers.set(Timer.HANDSHAKE, now + limits.handshake_timeout)

    # --- inputs ----------------------------------------------------------------

    def receive_data(self, data: bytes, now: float) -> None:
        """Take bytes from the peer, in any segmentation. Never raises."""
        if self.is_terminated or not data:
            return
        self._received += len(data)
        # Any octet proves that the peer lives, whether it answers pings or not.
        self._timers.cancel(Timer.PING_ANSWER)
        try:
            if self._state is SessionState.HANDSHAKE:
                data = self._handshake.receive(data)
                self._output += self._handshake.data_to_send()
                if self._handshake.is_complete:
                    self._begin(now)
            if data:
                self._read(data, now)
        except ProtocolError as error:
            self._violate(error, now)

    def receive_eof(self, now: float) -> None:
        """Take the end of the peer's stream."""
        self._terminate(TerminationCause.EOF, "the transport ended")

    def handle_timeout(self, now: float) -> None:
        """Do what is due at ``now``: pings, or the end of an overdue peer."""
        for timer in self._timers.pop_due(now):
            if timer is Timer.PING:
                self._ping(now)
            else:
                self._say_goodbye(_OVERDUE[timer], None, now)
                self._terminate(TerminationCause.TIMEOUT, _OVERDUE[timer])
                return

    def close(self, reason: str = "", *, now: float) -> None:
        """Say goodbye and end; a second call is void."""
        if self.is_terminated:
            return
        self._say_goodbye(reason, None, now)
        self._terminate(TerminationCause.LOCAL, reason or "closed")

    def send_ping(self, now: float) -> None:
        """Send a ping; the answer shows in `statistics`. Source: RTMP 1.0 §7.1.7."""
        if self._state is not SessionState.CONNECTED:
            return
        timestamp = int((now - self._epoch) * 1000) & 0xFFFFFFFF
        self._ping_sent = timestamp, now
        self._control(UserControl(UserControlType.PING_REQUEST, timestamp))

    # --- polls -----------------------------------------------------------------

    def data_to_send(self) -> bytes:
        """Dequeue all bytes for the peer; empty if there are none."""
        if not self._output:
            return b""
        output = bytes(self._output)
        self._output.clear()
        self._sent += len(output)
        return output

    def next_event(self) -> E | _Common | None:
        """Dequeue the oldest event, or None."""
        if not self._events:
            return None
        event, cost = self._events.popleft()
        self._event_bytes -= cost
        return event

    def next_timeout(self) -> float | None:
        """Return when `handle_timeout` wants to be called next, or None."""
        return self._timers.next_timeout()

    @property
    def is_terminated(self) -> bool:
        """True once `Terminated` was queued; inputs are ignored from then on."""
        return self._state is SessionState.TERMINATED

    @property
    def pending_bytes(self) -> int:
        """Octets held for the peer's sake (input, output, events)."""
        return (
            self._handshake.pending_bytes
            + self._reader.pending_bytes
            + len(self._output)
            + self._event_bytes
            + self._held_bytes
        )

    def statistics(self) -> Statistics:
        """Return a frozen record of counters."""
        return Statistics(
            bytes_received=self._received,
            bytes_sent=self._sent,
            bytes_acknowledged=self._acknowledged_by_peer,
            messages_received=self._messages,
            messages_ignored=self._ignored,
            messages_discarded=self._reader.discarded,
            handshake=self._handshake.scheme,
            chunk_size=self._reader.chunk_size,
            round_trip_time=self._round_trip_time,
        )

    # --- what a session decides ------------------------------------------------

    @abc.abstractmethod
    def _established(self, now: float) -> None:
        """Go on after the handshake."""

    @abc.abstractmethod
    def _on_command(self, command: Command, stream_id: int, now: float) -> None:
        """Obey a command."""

    @abc.abstractmethod
    def _on_user_control(self, control: UserControl) -> None:
        """Take a user control event other than a ping."""

    @abc.abstractmethod
    def _takes_media(self, stream_id: int) -> bool:
        """Tell whether media are welcome on a message stream."""

    @abc.abstractmethod
    def _say_goodbye(
        self, reason: str, error: ProtocolError | None, now: float
    ) -> None:
        """Queue farewell messages, if the state has any."""

    # --- for the sessions ------------------------------------------------------

    def _move(self, step: SessionInput) -> bool:
        state = self._TABLE.get((self._state, step))
        if state is None:
            return False
        self._state = state
        return True

    def _emit(self, event: E | _Common, cost: int = _RECORD_COST) -> None:
        """Queue an event behind the run of media that came before it."""
        self._flush_run()
        self._events.append((event, cost))
        self._event_bytes += cost

    def _flush_run(self) -> None:
        run, self._run = self._run, []
        if not run:
            return
        stream_id, self._run_stream = self._run_stream, -1
        cost = sum([len(message.payload) for message in run]) + _RECORD_COST * len(run)
        self._events.append((MediaReceived(stream_id, run), cost))
        self._event_bytes += cost

    def _withdraw(self, stream_id: int) -> None:
        """Take back the queued media and data of a stream that was refused."""
        self._flush_run()
        kept = [
            entry
            for entry in self._events
            if not isinstance(entry[0], _Stream) or entry[0].stream_id != stream_id
        ]
        self._events = deque(kept)
        self._event_bytes = sum(cost for _, cost in kept)

    def _control(self, control: ControlMessage) -> None:
        self._output += self._writer.write(
            encode_control(control), CONTROL_CHUNK_STREAM
        )

    def _command(
        self,
        name: str,
        transaction_id: float,
        command_object: Value,
        *arguments: Value,
        stream_id: int = 0,
        amf3: bool = False,
    ) -> None:
        command = Command(name, transaction_id, command_object, arguments)
        self._output += self._writer.write(
            encode_command(command, stream_id, amf3=amf3), COMMAND_CHUNK_STREAM
        )

    def _data(
        self, stream_id: int, timestamp: int, values: Sequence[Encodable]
    ) -> None:
        self._output += self._writer.write(
            encode_data(values, stream_id, timestamp), DATA_CHUNK_STREAM
        )

    def _terminate(
        self,
        cause: TerminationCause,
        reason: str,
        error: ProtocolError | None = None,
    ) -> None:
        if not self._move(SessionInput.END):
            return
        self._timers.clear()
        self._handshake.clear()
        self._reader.clear()
        self._held = None
        self._held_bytes = 0
        self._emit(Terminated(cause, reason, error))

    # --- inside ----------------------------------------------------------------

    def _begin(self, now: float) -> None:
        self._timers.cancel(Timer.HANDSHAKE)
        self._move(SessionInput.HANDSHAKE_DONE)
        if self._ping_interval is not None:
            self._timers.set(Timer.PING, now + self._ping_interval)
        self._established(now)

    def _read(self, data: bytes, now: float) -> None:
        messages = self._reader.feed(data)
        if messages:
            self._messages += len(messages)
            if self._idle_timeout is not None:
                self._timers.set(Timer.IDLE, now + self._idle_timeout)
        self._take(messages, now)
        if self.is_terminated:
            return
        if self._reader.error is not None:
            raise self._reader.error
        self._acknowledge()
        if len(self._output) > self._limits.output_bytes:
            raise ProtocolError("more answers wait than the limit", code="limit")

    def _take(self, messages: Iterable[Message], now: float) -> None:
        self._take_each(messages, now)
        self._flush_run()

    def _take_each(self, messages: Iterable[Message], now: float) -> None:
        """Take messages up to the end of the session; the last run stays open."""
        for message in messages:
            kind = _MEDIA.get(message.type_id)
            if self._held is not None and message.type_id not in _CONTROLS:
                self._hold(message)
            elif kind is not None:
                self._take_media(message, kind)
            else:
                self._dispatch(message, now)
                if self.is_terminated:
                    return

    def _hold(self, message: Message) -> None:
        if self._held is not None:
            self._held.append(message)
            self._held_bytes += _RECORD_COST + len(message.payload)
            if self._held_bytes > self._limits.early_bytes:
                raise ProtocolError(
                    "too much came before the answer to connect", code="limit"
                )

    def _release(self, now: float) -> None:
        """Take the held messages, and hold no more."""
        held, self._held = self._held or deque(), None
        self._held_bytes = 0
        try:
            self._take(held, now)
        except ProtocolError as error:
            self._violate(error, now)

    def _take_media(self, message: Message, kind: MediaKind) -> None:
        stream_id = message.stream_id
        if stream_id != self._run_stream:
            if not self._takes_media(stream_id):
                self._ignored += 1
                return
            self._flush_run()
            self._run_stream = stream_id
        self._run.append(MediaMessage(kind, message.timestamp, message.payload))

    def _dispatch(self, message: Message, now: float) -> None:
        type_id = message.type_id
        if type_id == MessageType.AGGREGATE:
            # What is in it may begin to wait, or end the session, like all else.
            self._take_each(decode_aggregate(message, self._limits), now)
        elif type_id in _COMMANDS:
            command = decode_command(message, self._limits)
            self._on_command(command, message.stream_id, now)
        elif type_id in _DATA:
            self._take_data(message)
        elif type_id in _CONTROLS:
            control = decode_control(message)
            if self._held is not None and _tells_of_a_stream(control):
                self._hold(message)
            else:
                self._obey(control, now)
        else:
            self._ignored += 1

    def _take_data(self, message: Message) -> None:
        stream_id = message.stream_id
        if not self._takes_media(stream_id):
            self._ignored += 1
            return
        try:
            values = decode_data(message, self._limits).values
        except ProtocolError as error:
            # What viewers see does not hang on it, so it costs nobody the stream.
            self._emit(DataDiscarded(stream_id, message.timestamp, error))
            return
        if values and values[0] in _SESSION_TALK:
            return
        named = values[1:] if values[:1] == ("@setDataFrame",) else values
        cost = _RECORD_COST + len(message.payload)
        # An encoder may send metadata as an object or an ECMA array: both are mappings.
        if len(named) > 1 and named[0] == "onMetaData" and isinstance(named[1], dict):
            self._emit(MetadataReceived(stream_id, message.timestamp, named[1]), cost)
        else:
            payload = message.payload
            if message.type_id == MessageType.DATA_AMF3 and payload[:1] == b"\x00":
                payload = payload[1:]
            event = DataReceived(stream_id, message.timestamp, values, payload)
            self._emit(event, cost)

    def _obey(self, control: ControlMessage, now: float) -> None:
        match control:
            case Acknowledgement(number):
                self._acknowledged_by_peer = number
            case WindowAcknowledgementSize(size):
                self._window = size
            case SetPeerBandwidth(size):
                # The answer that the specification asks for, whatever the limit type:
                # what the peer may still take is the business of TCP.
                self._announce_window(size)
            case UserControl(UserControlType.PING_REQUEST, value):
                self._control(UserControl(UserControlType.PING_RESPONSE, value))
            case UserControl(UserControlType.PING_RESPONSE, value):
                if self._ping_sent is not None and self._ping_sent[0] == value:
                    self._round_trip_time = now - self._ping_sent[1]
                    self._ping_sent = None
            case UserControl():
                self._on_user_control(control)
            case _:
                pass  # chunk size and abort: the reader obeyed them in their place

    def _announce_window(self, size: int) -> None:
        if size != self._window_sent:
            self._window_sent = size
            self._control(WindowAcknowledgementSize(size))

    def _acknowledge(self) -> None:
        """Acknowledge what came, once a window. Source: RTMP 1.0 §5.4.3."""
        if self._received - self._acknowledged_to_peer >= self._window:
            self._acknowledged_to_peer = self._received
            self._control(Acknowledgement(self._received & 0xFFFFFFFF))

    def _ping(self, now: float) -> None:
        if self._ping_interval is not None:
            self._timers.set(Timer.PING, now + self._ping_interval)
        if self._state is SessionState.CONNECTED:
            self.send_ping(now)
            if Timer.PING_ANSWER not in self._timers:
                self._timers.set(Timer.PING_ANSWER, now + self._ping_timeout)

    def _violate(self, error: ProtocolError, now: float) -> None:
        self._flush_run()
        self._say_goodbye(error.reason, error, now)
        self._terminate(TerminationCause.VIOLATION, error.reason, error)
