"""The client's session: connect, publish, play.

Source: RTMP 1.0 §7.2, §7.3; E-RTMP v2 §Reconnect Request.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, TypeAlias

import attrs

from sansmedia.amf import Encodable, Value
from sansmedia.sansio import Dice, ProtocolError, TerminationCause

from .commands import connect_object, integer, mapping, read_capabilities, text
from .config import ClientConfig
from .connection import Connection, Timer
from .constants import UserControlType
from .events import (
    ClientEvent,
    Connected,
    ConnectRejected,
    PlayEnded,
    PlayRejected,
    PlayStarted,
    PublishAccepted,
    PublishKind,
    PublishRejected,
    ReconnectRequested,
    StatusReceived,
)
from .handshake import ClientHandshake
from .lane import MediaLane
from .limits import Limits
from .messages import Command, UserControl
from .states import (
    CLIENT_SESSION,
    CLIENT_STREAM,
    SessionInput,
    SessionState,
    StreamInput,
    StreamState,
)
from .url import resolve_reference

__all__ = ["RtmpClient"]

_PLAY_STATES = (StreamState.PLAY_REQUESTED, StreamState.PLAYING, StreamState.PAUSED)
_REQUESTED = (StreamState.PUBLISH_REQUESTED, StreamState.PLAY_REQUESTED)
_PLAY_ENDS = (
    "NetStream.Play.Stop",
    "NetStream.Play.Complete",
    "NetStream.Play.UnpublishNotify",
)
_PUBLISH_END = "NetStream.Unpublish.Success"
_CONNECT_TRANSACTION = 1.0


@attrs.define(eq=False)
class _Stream:
    """One publish or play, from the command to `stop`."""

    request_id: int
    name: str
    kind: PublishKind | None
    """None for a play."""
    start: float = -2.0
    stream_id: int = 0
    """0 until the server has created the stream."""
    state: StreamState = StreamState.IDLE
    is_answered: bool = False
    """Whether the server granted it once; a play that ended may be granted again."""


_Handler: TypeAlias = Callable[["RtmpClient", Command, int, float], None]


class RtmpClient(Connection[ClientEvent]):
    """One connection to a server, from the handshake to the end.

    ::

        address = decode_url("rtmp://example.org/live/camera?token=x")
        config = ClientConfig(tc_url=address.tc_url, app=address.app)
        client = RtmpClient(config=config, dice=os.urandom, now=now)
        client.publish(address.stream, now=now)
        while not client.is_terminated:
            socket.sendall(client.data_to_send())
            client.receive_data(socket.recv(65536), now)
            while (event := client.next_event()) is not None:
                if isinstance(event, PublishAccepted):
                    lane = client.publish_lane(event.stream_id)

    `publish` and `play` may be called at once; they wait for the connection.

    Events: `Connected` or `ConnectRejected`; `PublishAccepted`, `PublishRejected`,
    `PlayStarted`, `PlayRejected`, `PlayEnded`; `MediaReceived`, `MetadataReceived`,
    `DataReceived`, `DataDiscarded`; `StatusReceived`, `ReconnectRequested`; last
    `Terminated`.

    Args:
        config: Where to connect to, and what to announce.
        limits: What the server may cost.
        dice: Randomness of the handshake.
        now: Seconds on the clock of all later calls.
    """

    _TABLE = CLIENT_SESSION

    def __init__(
        self,
        *,
        config: ClientConfig,
        limits: Limits | None = None,
        dice: Dice,
        now: float,
    ) -> None:
        self._config = config
        super().__init__(
            ClientHandshake(dice, config.handshake),
            limits=limits or Limits(),
            window_size=config.window_size,
            ping_interval=config.ping_interval,
            ping_timeout=config.ping_timeout,
            idle_timeout=config.idle_timeout,
            now=now,
        )
        self._amf3 = config.object_encoding == 3
        self._streams: list[_Stream] = []
        self._creating: dict[float, _Stream] = {}
        self._transaction = _CONNECT_TRANSACTION
        self._last_request = 0

    # --- commands --------------------------------------------------------------

    def publish(self, name: str, kind: PublishKind = "live", *, now: float) -> int:
        """Publish a stream; return the request id of the answer's event.

        Args:
            name: Stream name, with its query.
            kind: ``"live"``, ``"record"`` or ``"append"``.
            now: Seconds.
        """
        return self._request(name, kind, -2.0, now)

    def play(self, name: str, start: float = -2.0, *, now: float) -> int:
        """Play a stream; return the request id of the answer's event.

        Args:
            name: Stream name, with its query.
            start: Seconds; -2 live or else recorded, -1 live only.
            now: Seconds.
        """
        return self._request(name, None, start, now)

    def pause(
        self, stream_id: int, paused: bool, position_ms: int = 0, *, now: float
    ) -> None:
        """Pause a play, or go on. Source: RTMP 1.0 §7.2.2.8."""
        stream = self._find(stream_id)
        step = StreamInput.PAUSE if paused else StreamInput.UNPAUSE
        if stream is not None and self._step(stream, step):
            self._stream_call(stream, "pause", paused, float(position_ms))

    def seek(self, stream_id: int, position_ms: int, *, now: float) -> None:
        """Seek in a play; the answer is a status. Source: RTMP 1.0 §7.2.2.7."""
        stream = self._find(stream_id)
        if stream is not None and stream.state in _PLAY_STATES:
            self._stream_call(stream, "seek", float(position_ms))

    def receive(
        self,
        stream_id: int,
        *,
        audio: bool | None = None,
        video: bool | None = None,
        now: float,
    ) -> None:
        """Turn audio or video of a play on or off. RTMP 1.0 §7.2.2.4, §7.2.2.5."""
        stream = self._find(stream_id)
        if stream is None or stream.state not in _PLAY_STATES:
            return
        if audio is not None:
            self._stream_call(stream, "receiveAudio", audio)
        if video is not None:
            self._stream_call(stream, "receiveVideo", video)

    def stop(self, stream_id: int, *, now: float) -> None:
        """End a publish or play; its stream id is free then."""
        stream = self._find(stream_id)
        if stream is not None and self._state is SessionState.CONNECTED:
            self._streams.remove(stream)
            self._watch_setup()
            if stream.kind is not None:
                self._call("FCUnpublish", None, stream.name)
            self._call("deleteStream", None, float(stream_id))

    def send_data(
        self, stream_id: int, timestamp: int, values: Sequence[Encodable], *, now: float
    ) -> None:
        """Send a data message, for example ``"@setDataFrame", "onMetaData", {...}``."""
        stream = self._find(stream_id)
        if stream is not None and stream.state is StreamState.PUBLISHING:
            self._data(stream_id, timestamp, values)

    def publish_lane(self, stream_id: int) -> MediaLane:
        """Return the way of media into a published stream."""
        return MediaLane(self._writer, stream_id)

    # --- Connection ------------------------------------------------------------

    def _established(self, now: float) -> None:
        self._timers.set(Timer.CONNECT, now + self._config.connect_timeout)
        self._command("connect", _CONNECT_TRANSACTION, connect_object(self._config))

    def _takes_media(self, stream_id: int) -> bool:
        stream = self._find(stream_id)
        return stream is not None and stream.state in _PLAY_STATES

    def _on_user_control(self, control: UserControl) -> None:
        """Leave stream events alone: the statuses beside them say more."""

    def _on_command(self, command: Command, stream_id: int, now: float) -> None:
        handler = self._HANDLERS.get(command.name)
        if handler is not None:
            handler(self, command, stream_id, now)
        elif command.transaction_id and not command.name.startswith("on"):
            self._command("_error", command.transaction_id, None, None)

    def _say_goodbye(
        self, reason: str, error: ProtocolError | None, now: float
    ) -> None:
        for stream in list(self._streams):
            if stream.stream_id:
                self.stop(stream.stream_id, now=now)

    # --- inside ----------------------------------------------------------------

    def _request(
        self, name: str, kind: PublishKind | None, start: float, now: float
    ) -> int:
        self._last_request += 1
        if self.is_terminated:
            return self._last_request
        stream = _Stream(self._last_request, name, kind, start)
        self._streams.append(stream)
        if self._state is SessionState.CONNECTED:
            self._create(stream, now)
        return stream.request_id

    def _create(self, stream: _Stream, now: float) -> None:
        self._timers.set(Timer.SETUP, now + self._limits.setup_timeout)
        if stream.kind is not None:
            self._call("releaseStream", None, stream.name)
            self._call("FCPublish", None, stream.name)
        self._creating[self._call("createStream", None)] = stream

    def _call(
        self, name: str, command_object: Value, *arguments: Value, stream_id: int = 0
    ) -> float:
        self._transaction += 1
        self._command(
            name,
            self._transaction,
            command_object,
            *arguments,
            stream_id=stream_id,
            amf3=self._amf3,
        )
        return self._transaction

    def _stream_call(self, stream: _Stream, name: str, *arguments: Value) -> None:
        if self._state is SessionState.CONNECTED:
            self._call(name, None, *arguments, stream_id=stream.stream_id)

    def _find(self, stream_id: int) -> _Stream | None:
        for stream in self._streams:
            if stream.stream_id == stream_id and stream_id:
                return stream
        return None

    def _step(self, stream: _Stream, step: StreamInput) -> bool:
        state = CLIENT_STREAM.get((stream.state, step))
        if state is None:
            return False
        stream.state = state
        return True

    def _refuse(self, stream: _Stream, code: str, description: str) -> None:
        self._step(stream, StreamInput.REJECT)
        self._streams.remove(stream)
        self._watch_setup()
        if stream.kind is None:
            self._emit(PlayRejected(stream.request_id, code, description))
        else:
            self._emit(PublishRejected(stream.request_id, code, description))
        if stream.stream_id:
            self._call("deleteStream", None, float(stream.stream_id))

    def _watch_setup(self) -> None:
        """Stop the clock of requests once none is without an answer."""
        if all(stream.is_answered for stream in self._streams):
            self._timers.cancel(Timer.SETUP)

    # --- answers ---------------------------------------------------------------

    def _result(self, command: Command, stream_id: int, now: float) -> None:
        if command.transaction_id == _CONNECT_TRANSACTION:
            self._connected(command, now)
            return
        stream = self._creating.pop(command.transaction_id, None)
        if stream is None or stream not in self._streams:
            return
        created = integer(command.argument(0))
        if not created or self._find(created) is not None:
            raise ProtocolError(
                "createStream gave no new stream", source="RTMP 1.0 §7.2.1.3"
            )
        stream.stream_id = created
        if stream.kind is not None:
            self._step(stream, StreamInput.PUBLISH)
            self._stream_call(stream, "publish", stream.name, stream.kind)
            return
        self._step(stream, StreamInput.PLAY)
        # Milliseconds, as FFmpeg and librtmp write it (see `play_times`).
        self._stream_call(stream, "play", stream.name, stream.start * 1000)
        self._control(
            UserControl(
                UserControlType.SET_BUFFER_LENGTH, created, self._config.buffer_ms
            )
        )

    def _connected(self, command: Command, now: float) -> None:
        if not self._move(SessionInput.ACCEPT):
            return
        self._timers.cancel(Timer.CONNECT)
        properties = mapping(command.command_object)
        information = mapping(command.argument(0))
        self._emit(
            Connected(
                server_version=text(properties.get("fmsVer")),
                properties=properties,
                information=information,
                capabilities=read_capabilities({**properties, **information}),
            )
        )
        self._announce_window(self._config.window_size)
        self._output += self._writer.set_chunk_size(self._config.chunk_size)
        for stream in self._streams:
            self._create(stream, now)

    def _error(self, command: Command, stream_id: int, now: float) -> None:
        info = mapping(command.argument(0))
        code, description = text(info.get("code")), text(info.get("description"))
        if command.transaction_id == _CONNECT_TRANSACTION:
            if self._state is SessionState.CONNECTING:
                self._emit(ConnectRejected(code, description, info))
                self._terminate(TerminationCause.PEER, description or code)
            return
        stream = self._creating.pop(command.transaction_id, None)
        if stream is not None and stream in self._streams:
            self._refuse(stream, code, description)

    def _close(self, command: Command, stream_id: int, now: float) -> None:
        self._terminate(TerminationCause.PEER, "the server closed the connection")

    def _status(self, command: Command, stream_id: int, now: float) -> None:
        info = mapping(command.argument(0))
        level, code = text(info.get("level")), text(info.get("code"))
        description = text(info.get("description"))
        if code == "NetConnection.Connect.ReconnectRequest":
            target = resolve_reference(self._config.tc_url, text(info.get("tcUrl")))
            self._emit(ReconnectRequested(target, description))
            return
        stream = self._find(stream_id) or self._lone_request()
        if stream is None or not self._stream_status(stream, level, code, description):
            self._emit(StatusReceived(stream_id, level, code, description))
        if code == "NetConnection.Connect.Closed":
            self._terminate(TerminationCause.PEER, description or code)

    def _lone_request(self) -> _Stream | None:
        # DEVIATION(field): servers exist that answer publish and play on stream 0.
        waiting = [s for s in self._streams if s.state in _REQUESTED and s.stream_id]
        return waiting[0] if len(waiting) == 1 else None

    def _stream_status(
        self, stream: _Stream, level: str, code: str, description: str
    ) -> bool:
        """Move a stream by its status; False if the status says nothing of it."""
        if level == "error" and stream.state in _REQUESTED:
            self._refuse(stream, code, description)
            return True
        if code == "NetStream.Publish.Start" and stream.kind is not None:
            if self._step(stream, StreamInput.ACCEPT):
                stream.is_answered = True
                self._watch_setup()
                self._emit(PublishAccepted(stream.request_id, stream.stream_id))
            return True
        if code == "NetStream.Play.Start" and stream.kind is None:
            if self._step(stream, StreamInput.ACCEPT):
                stream.is_answered = True
                self._watch_setup()
                self._emit(PlayStarted(stream.request_id, stream.stream_id))
            return True
        if stream.kind is not None:
            if code == _PUBLISH_END:
                self._step(stream, StreamInput.CLOSE)
            return False
        if code in _PLAY_ENDS and self._step(stream, StreamInput.CLOSE):
            self._emit(PlayEnded(stream.stream_id, code))
            return True
        return False

    _HANDLERS: ClassVar[Mapping[str, _Handler]] = {
        "_result": _result,
        "_error": _error,
        "onStatus": _status,
        "close": _close,
    }
