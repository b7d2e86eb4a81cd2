"""The server's session: NetConnection, and its message streams.

Source: RTMP 1.0 §7.2, §7.3; E-RTMP v2 §Reconnect Request.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, TypeAlias

import attrs

from sansmedia.amf import Encodable, Undefined, Value
from sansmedia.flv.capabilities import CapsExMask
from sansmedia.sansio import Dice, ProtocolError, TerminationCause

from .commands import (
    connect_properties,
    connect_request,
    enhancement_members,
    integer,
    play_times,
    publish_kind,
    status,
    text,
)
from .config import ServerConfig
from .connection import Connection, Timer
from .constants import BandwidthLimit, UserControlType
from .events import (
    BufferLengthSet,
    Capabilities,
    PauseRequested,
    PlayEnded,
    PlayRequested,
    PublishEnded,
    PublishRequested,
    ReceiveAudioChanged,
    ReceiveVideoChanged,
    SeekRequested,
    ServerEvent,
)
from .handshake import ServerHandshake
from .lane import MediaLane
from .limits import Limits
from .messages import Command, SetPeerBandwidth, UserControl
from .states import (
    SERVER_SESSION,
    SERVER_STREAM,
    SessionInput,
    SessionState,
    StreamInput,
    StreamState,
)

__all__ = ["RtmpServer"]

_PUBLISH_STATES = (StreamState.PUBLISH_REQUESTED, StreamState.PUBLISHING)
_PLAY_STATES = (StreamState.PLAYING, StreamState.PAUSED)
_REFUSALS = {
    "connect": "NetConnection.Connect.Rejected",
    "publish": "NetStream.Publish.BadName",
    "play": "NetStream.Play.StreamNotFound",
    "seek": "NetStream.Seek.Failed",
}


@attrs.define
class _Stream:
    stream_id: int
    state: StreamState = StreamState.IDLE
    name: str = ""
    reset: bool = True


@attrs.define
class _Request:
    kind: str
    transaction_id: float
    stream_id: int = 0


_Handler: TypeAlias = Callable[["RtmpServer", Command, int, float], None]


class RtmpServer(Connection[ServerEvent]):
    """One connection of a client, from the handshake to the end.

    ::

        server = RtmpServer(dice=os.urandom, now=now)
        while not server.is_terminated:
            server.receive_data(socket.recv(65536), now)
            while (event := server.next_event()) is not None:
                ...  # accept or reject what ends in Requested, take media
            socket.sendall(server.data_to_send())

    Events: `ConnectRequested`, `PublishRequested`, `PlayRequested` and
    `SeekRequested` wait for `accept` or `reject`; `MediaReceived`,
    `MetadataReceived`, `DataReceived`, `DataDiscarded`, `PublishEnded`, `PlayEnded`,
    `PauseRequested`, `ReceiveAudioChanged`, `ReceiveVideoChanged`, `BufferLengthSet`;
    last `Terminated`. Media order is kept; what was published or played when the
    connection ended needs no event of its own.

    Args:
        config: Behaviour and announcements.
        limits: What this client may cost.
        dice: Randomness of the handshake.
        now: Seconds on the clock of all later calls.
    """

    _TABLE = SERVER_SESSION

    def __init__(
        self,
        *,
        config: ServerConfig | None = None,
        limits: Limits | None = None,
        dice: Dice,
        now: float,
    ) -> None:
        self._config = config or ServerConfig()
        super().__init__(
            ServerHandshake(dice),
            limits=limits or Limits(),
            window_size=self._config.window_size,
            ping_interval=self._config.ping_interval,
            ping_timeout=self._config.ping_timeout,
            idle_timeout=self._config.idle_timeout,
            now=now,
        )
        self._object_encoding = 0
        self._capabilities = Capabilities()
        self._streams: dict[int, _Stream] = {}
        self._requests: dict[int, _Request] = {}
        self._last_request = 0

    # --- commands --------------------------------------------------------------

    def accept(self, request_id: int, *, now: float) -> None:
        """Grant a request. One that has gone meanwhile is ignored."""
        request = self._requests.pop(request_id, None)
        if request is None or self.is_terminated:
            return
        if request.kind == "connect":
            self._accept_connect(request, now)
        elif request.kind == "seek":
            self._status(
                request.stream_id, "status", "NetStream.Seek.Notify", "Seeking."
            )
        else:
            stream = self._streams[request.stream_id]
            self._step(stream, StreamInput.ACCEPT)
            if request.kind == "publish":
                self._accept_publish(stream)
            else:
                self._accept_play(stream)

    def reject(
        self,
        request_id: int,
        code: str | None = None,
        description: str = "",
        *,
        now: float,
    ) -> None:
        """Refuse a request; a refused connect ends the connection.

        Args:
            request_id: One that has gone meanwhile is ignored.
            code: Status code; None for the usual one of the kind of request
                (``NetConnection.Connect.Rejected``, ``NetStream.Publish.BadName``,
                ``NetStream.Play.StreamNotFound``, ``NetStream.Seek.Failed``).
            description: Text for people.
            now: Seconds.
        """
        request = self._requests.pop(request_id, None)
        if request is None or self.is_terminated:
            return
        code = code or _REFUSALS[request.kind]
        if request.kind == "connect":
            info = status("error", code, description)
            self._command("_error", request.transaction_id, None, info)
            self._terminate(TerminationCause.LOCAL, description or code)
            return
        self._status(request.stream_id, "error", code, description)
        if request.kind != "seek":
            stream = self._streams[request.stream_id]
            self._step(stream, StreamInput.REJECT)
            self._withdraw(stream.stream_id)
            self._watch_setup(now)

    def send_status(
        self, stream_id: int, level: str, code: str, description: str, *, now: float
    ) -> None:
        """Send an ``onStatus``; stream 0 is the connection."""
        if self._state is SessionState.CONNECTED:
            self._status(stream_id, level, code, description)

    def send_data(
        self, stream_id: int, timestamp: int, values: Sequence[Encodable], *, now: float
    ) -> None:
        """Send a data message, the handler's name first (``"onMetaData", {...}``)."""
        if self._state is SessionState.CONNECTED:
            self._data(stream_id, timestamp, values)

    def end_play(
        self,
        stream_id: int,
        code: str = "NetStream.Play.UnpublishNotify",
        description: str = "The stream ended.",
        *,
        now: float,
    ) -> None:
        """Tell a player that its stream ended; the message stream is idle then.

        Players of the field end on ``NetStream.Play.UnpublishNotify`` and
        ``NetStream.Play.Stop`` alike.
        """
        stream = self._streams.get(stream_id)
        if self.is_terminated or stream is None or stream.state not in _PLAY_STATES:
            return
        self._forget_requests(stream)
        self._step(stream, StreamInput.CLOSE)
        self._control(UserControl(UserControlType.STREAM_EOF, stream_id))
        self._status(stream_id, "status", code, description)
        self._watch_setup(now)

    def request_reconnect(
        self, tc_url: str | None = None, description: str = "", *, now: float
    ) -> bool:
        """Ask the client to move; False if it did not announce that it can.

        Args:
            tc_url: Absolute or relative URL; None for the connection's own.
            description: Text for people.
            now: Seconds.

        Source: E-RTMP v2 §Reconnect Request.
        """
        able = self._capabilities.caps_ex & CapsExMask.RECONNECT
        if self._state is not SessionState.CONNECTED or not able:
            return False
        info = status("status", "NetConnection.Connect.ReconnectRequest", description)
        if tc_url is not None:
            info["tcUrl"] = tc_url
        self._command("onStatus", 0, None, info)
        return True

    def play_lane(self, stream_id: int) -> MediaLane:
        """Return the way of media to a player of ``stream_id``."""
        return MediaLane(self._writer, stream_id)

    # --- Connection ------------------------------------------------------------

    def _established(self, now: float) -> None:
        self._timers.set(Timer.SETUP, now + self._limits.setup_timeout)

    def _takes_media(self, stream_id: int) -> bool:
        stream = self._streams.get(stream_id)
        return stream is not None and stream.state in _PUBLISH_STATES

    def _on_user_control(self, control: UserControl) -> None:
        if control.event == UserControlType.SET_BUFFER_LENGTH:
            self._emit(BufferLengthSet(control.value, control.buffer_ms))

    def _on_command(self, command: Command, stream_id: int, now: float) -> None:
        if self._state is SessionState.CONNECTED:
            handler = self._HANDLERS.get(command.name)
            if handler is not None:
                handler(self, command, stream_id, now)
            else:
                self._answer_unknown(command)
        elif command.name != "connect":
            raise ProtocolError(
                f"command {command.name[:40]!r} before connect",
                code="sequence",
                source="RTMP 1.0 §7.2.1.1",
            )
        else:
            self._timers.cancel(Timer.SETUP)
            self._move(SessionInput.CONNECT)
            # What an eager client sends ahead waits for our answer.
            self._held = deque()
            request_id = self._ask(_Request("connect", command.transaction_id))
            event = connect_request(request_id, command)
            self._object_encoding = event.object_encoding
            self._capabilities = event.capabilities
            self._emit(event)

    def _say_goodbye(
        self, reason: str, error: ProtocolError | None, now: float
    ) -> None:
        if self._state is SessionState.CONNECTING:
            for request in self._requests.values():
                info = status("error", _REFUSALS["connect"], reason)
                self._command("_error", request.transaction_id, None, info)
        elif self._state is SessionState.CONNECTED:
            for stream in self._streams.values():
                if stream.state in _PLAY_STATES:
                    stop = UserControl(UserControlType.STREAM_EOF, stream.stream_id)
                    self._control(stop)
                    code = "NetStream.Play.Stop"
                    self._status(stream.stream_id, "status", code, reason)
            level = "error" if error is not None else "status"
            info = status(level, "NetConnection.Connect.Closed", reason)
            self._command("onStatus", 0, None, info)

    # --- inside ----------------------------------------------------------------

    def _ask(self, request: _Request) -> int:
        if len(self._requests) >= self._limits.pending_requests:
            raise ProtocolError("too many requests wait for an answer", code="limit")
        self._last_request += 1
        self._requests[self._last_request] = request
        return self._last_request

    def _step(self, stream: _Stream, step: StreamInput) -> bool:
        state = SERVER_STREAM.get((stream.state, step))
        if state is None:
            return False
        stream.state = state
        return True

    def _watch_setup(self, now: float) -> None:
        """Bound the time in which nothing is published or played."""
        if all(s.state is StreamState.IDLE for s in self._streams.values()):
            self._timers.set(Timer.SETUP, now + self._limits.setup_timeout)

    def _status(self, stream_id: int, level: str, code: str, description: str) -> None:
        info = status(level, code, description)
        self._command("onStatus", 0, None, info, stream_id=stream_id)

    def _result(self, command: Command, *values: Value) -> None:
        if command.transaction_id:
            self._command("_result", command.transaction_id, None, *values)

    def _answer_unknown(self, command: Command) -> None:
        if command.transaction_id and not command.name.startswith("_"):
            info = status(
                "error",
                "NetConnection.Call.Failed",
                f"Method not found ({command.name[:100]}).",
            )
            self._command("_error", command.transaction_id, None, info)

    def _accept_connect(self, request: _Request, now: float) -> None:
        config = self._config
        self._move(SessionInput.ACCEPT)
        self._timers.set(Timer.SETUP, now + self._limits.setup_timeout)
        self._announce_window(config.window_size)
        self._control(SetPeerBandwidth(config.window_size, BandwidthLimit.DYNAMIC))
        if config.chunk_size is not None:
            self._output += self._writer.set_chunk_size(config.chunk_size)
        self._control(UserControl(UserControlType.STREAM_BEGIN, 0))
        info = status(
            "status", "NetConnection.Connect.Success", "Connection succeeded."
        )
        info["objectEncoding"] = float(self._object_encoding)
        # E-RTMP names no object of the two, so both say it.
        info |= enhancement_members(config.enhancements)
        self._command(
            "_result", request.transaction_id, connect_properties(config), info
        )
        self._release(now)

    def _accept_publish(self, stream: _Stream) -> None:
        self._control(UserControl(UserControlType.STREAM_BEGIN, stream.stream_id))
        code = "NetStream.Publish.Start"
        self._status(stream.stream_id, "status", code, "Publishing.")

    def _accept_play(self, stream: _Stream) -> None:
        stream_id = stream.stream_id
        size = self._config.play_chunk_size
        if size is not None and size != self._writer.chunk_size:
            self._output += self._writer.set_chunk_size(size)
        self._control(UserControl(UserControlType.STREAM_BEGIN, stream_id))
        if stream.reset:
            code = "NetStream.Play.Reset"
            self._status(stream_id, "status", code, "Playing and resetting.")
        self._status(stream_id, "status", "NetStream.Play.Start", "Playing.")
        # Flash players show nothing before these two.
        self._data(stream_id, 0, ["|RtmpSampleAccess", True, True])
        self._data(stream_id, 0, ["onStatus", {"code": "NetStream.Data.Start"}])

    # --- NetConnection commands --------------------------------------------------

    def _connect(self, command: Command, stream_id: int, now: float) -> None:
        info = status("error", _REFUSALS["connect"], "Already connected.")
        self._command("_error", command.transaction_id, None, info)

    def _create_stream(self, command: Command, stream_id: int, now: float) -> None:
        stream = self._open_stream(None)
        self._result(command, float(stream.stream_id))

    def _open_stream(self, stream_id: int | None) -> _Stream:
        if len(self._streams) >= self._limits.message_streams:
            raise ProtocolError("too many message streams", code="limit")
        if stream_id is None:
            stream_id = 1
            while stream_id in self._streams:
                stream_id += 1
        stream = self._streams[stream_id] = _Stream(stream_id)
        return stream

    def _acknowledge_call(self, command: Command, stream_id: int, now: float) -> None:
        self._result(command, Undefined())

    def _stream_length(self, command: Command, stream_id: int, now: float) -> None:
        self._result(command, 0.0)

    def _fc_publish(self, command: Command, stream_id: int, now: float) -> None:
        name = text(command.argument(0))
        self._result(command, Undefined())
        # Flash encoders wait for this one; whether the stream may be published is said
        # at publish.
        info = status("status", "NetStream.Publish.Start", name)
        self._command("onFCPublish", 0, None, info)

    def _fc_unpublish(self, command: Command, stream_id: int, now: float) -> None:
        name = text(command.argument(0))
        streams = self._streams.values()
        named = [s for s in streams if name in (s.name, s.name.partition("?")[0])]
        publishing = [s for s in streams if s.state in _PUBLISH_STATES]
        # A name that is none of this connection's means its one stream.
        if not named and len(publishing) == 1:
            named = publishing
        info = status("status", "NetStream.Unpublish.Success", name)
        self._command("onFCUnpublish", 0, None, info)
        self._result(command, Undefined())
        for stream in named:
            if stream not in publishing:
                continue
            code = "NetStream.Unpublish.Success"
            self._status(stream.stream_id, "status", code, name)
            self._end(stream, "FCUnpublish", now)

    def _fc_subscribe(self, command: Command, stream_id: int, now: float) -> None:
        info = status("status", "NetStream.Play.Start", text(command.argument(0)))
        self._result(command, Undefined())
        self._command("onFCSubscribe", 0, None, info)

    def _delete_stream(self, command: Command, stream_id: int, now: float) -> None:
        stream = self._streams.get(integer(command.argument(0), stream_id))
        if stream is not None:
            self._end(stream, "deleteStream", now)
            del self._streams[stream.stream_id]

    # --- NetStream commands ------------------------------------------------------

    def _end(self, stream: _Stream, reason: str, now: float) -> None:
        state = stream.state
        self._forget_requests(stream)
        if not self._step(stream, StreamInput.CLOSE):
            return
        if state in _PUBLISH_STATES:
            self._emit(PublishEnded(stream.stream_id, reason))
        else:
            self._emit(PlayEnded(stream.stream_id, reason))
        self._watch_setup(now)

    def _forget_requests(self, stream: _Stream) -> None:
        self._requests = {
            request_id: request
            for request_id, request in self._requests.items()
            if request.kind == "connect" or request.stream_id != stream.stream_id
        }

    def _close_stream(self, command: Command, stream_id: int, now: float) -> None:
        stream = self._streams.get(stream_id)
        if stream is None:
            return
        if stream.state in _PUBLISH_STATES:
            code = "NetStream.Unpublish.Success"
            self._status(stream_id, "status", code, stream.name)
        self._end(stream, "closeStream", now)

    def _stream_of(self, stream_id: int) -> _Stream | None:
        # DEVIATION(field): a stream that was never created is opened by its first
        # publish or play; hardware encoders take stream 1 for granted.
        known = self._streams.get(stream_id)
        return known or (self._open_stream(stream_id) if stream_id else None)

    def _publish(self, command: Command, stream_id: int, now: float) -> None:
        name = text(command.argument(0))
        stream = self._stream_of(stream_id)
        if stream is None or not self._step(stream, StreamInput.PUBLISH):
            code = _REFUSALS["publish"]
            self._status(stream_id, "error", code, "The stream is in use.")
            return
        self._timers.cancel(Timer.SETUP)
        stream.name = name
        request_id = self._ask(_Request("publish", command.transaction_id, stream_id))
        kind = publish_kind(command.argument(1))
        self._emit(PublishRequested(request_id, stream_id, name, kind))

    def _play(self, command: Command, stream_id: int, now: float) -> None:
        name = text(command.argument(0))
        stream = self._stream_of(stream_id)
        if stream is not None and stream.state not in _PUBLISH_STATES:
            self._end(stream, "play", now)
        if stream is None or not self._step(stream, StreamInput.PLAY):
            self._status(
                stream_id, "error", "NetStream.Play.Failed", "The stream is in use."
            )
            return
        self._timers.cancel(Timer.SETUP)
        start, duration, stream.reset = play_times(command)
        stream.name = name
        request_id = self._ask(_Request("play", command.transaction_id, stream_id))
        self._emit(
            PlayRequested(request_id, stream_id, name, start, duration, stream.reset)
        )

    def _playing(self, stream_id: int) -> _Stream | None:
        stream = self._streams.get(stream_id)
        return stream if stream and stream.state in _PLAY_STATES else None

    def _pause(self, command: Command, stream_id: int, now: float) -> None:
        stream = self._playing(stream_id)
        paused = bool(command.argument(0))
        step = StreamInput.PAUSE if paused else StreamInput.UNPAUSE
        if stream is None or not self._step(stream, step):
            return
        if paused:
            self._control(UserControl(UserControlType.STREAM_EOF, stream_id))
            self._status(stream_id, "status", "NetStream.Pause.Notify", "Paused.")
        else:
            self._control(UserControl(UserControlType.STREAM_BEGIN, stream_id))
            self._status(stream_id, "status", "NetStream.Unpause.Notify", "Unpaused.")
        self._emit(PauseRequested(stream_id, paused, integer(command.argument(1))))

    def _seek(self, command: Command, stream_id: int, now: float) -> None:
        if self._playing(stream_id) is not None:
            position = integer(command.argument(0))
            request_id = self._ask(_Request("seek", command.transaction_id, stream_id))
            self._emit(SeekRequested(request_id, stream_id, position))

    def _receive(self, command: Command, stream_id: int, now: float) -> None:
        if self._playing(stream_id) is None:
            return
        enabled = bool(command.argument(0))
        if command.name == "receiveAudio":
            self._emit(ReceiveAudioChanged(stream_id, enabled))
        else:
            self._emit(ReceiveVideoChanged(stream_id, enabled))
        if enabled:
            self._status(stream_id, "status", "NetStream.Seek.Notify", "Seeking.")
            self._status(stream_id, "status", "NetStream.Play.Start", "Playing.")

    _HANDLERS: ClassVar[Mapping[str, _Handler]] = {
        "connect": _connect,
        "createStream": _create_stream,
        "releaseStream": _acknowledge_call,
        "_checkbw": _acknowledge_call,
        "getStreamLength": _stream_length,
        "FCPublish": _fc_publish,
        "FCUnpublish": _fc_unpublish,
        "FCSubscribe": _fc_subscribe,
        "FCUnsubscribe": _acknowledge_call,
        "deleteStream": _delete_stream,
        "closeStream": _close_stream,
        "publish": _publish,
        "play": _play,
        "pause": _pause,
        "pauseRaw": _pause,
        "seek": _seek,
        "receiveAudio": _receive,
        "receiveVideo": _receive,
    }
