"""RTMP in and out: one connection that publishes or plays one stream."""

from __future__ import annotations

import os
import re
from time import thread_time

import attrs
import trio
from sansmedia.rtmp import (
    SHARED_STREAM_ID,
    ConnectRequested,
    DataDiscarded,
    DataReceived,
    Limits,
    MediaReceived,
    MetadataReceived,
    PauseRequested,
    PlayEnded,
    PlayRequested,
    PublishEnded,
    PublishRequested,
    ReceiveAudioChanged,
    ReceiveVideoChanged,
    RtmpServer,
    SeekRequested,
    ServerConfig,
    ServerEvent,
    resolve,
)
from sansmedia.sansio import Terminated, TerminationCause

from penstock import log
from penstock.control import HookAction
from penstock.engine.engine import Engine
from penstock.engine.registry import Refusal, check_key
from penstock.engine.session import Role, Session, StreamKey
from penstock.engine.stream import Publication
from penstock.engine.unit import Form
from penstock.engine.viewer import Viewer
from penstock.net.wire import Wire

from .barrier import SessionEnd, Start, new_session, run_session, run_with_tasks
from .ingest import FlvIngest

__all__ = ["serve_rtmp"]

_SMALL_READ = 32_768
"""A smaller read that ends inside a message waits for `ReadTick`: more is coming."""
_QUIET_TICKS = 5
"""Ticks without any octet after which the socket itself is waited for again."""
_SLICE = 4_096
"""Octets that the machine gets at a time: they may be 2,000 messages."""
_TURN_S = 0.002
_REST_TURNS = 4
_MAX_REST_S = 0.2
"""A client whose octets cost more than 2 ms to take rests four times as long, so that
the most it gets of a core is a fifth. Real media cost a hundredth of that."""
_MAX_UNPUBLISHED = 512 << 10
"""Octets that are kept for a client that does not publish."""
_MULTITRACK = 0x02
_NANOSECONDS = 0x08
"""E-RTMP capsEx flags of a client that takes such packets."""


async def serve_rtmp(engine: Engine, wire: Wire) -> None:
    """Serve one accepted connection (TLS done, if any) until it ends."""
    protocol = "rtmps" if wire.secure else "rtmp"
    session = new_session(protocol, wire)
    connection = _RtmpSession(engine, wire, session)
    try:
        await run_session(engine, session, connection.run)
    finally:
        await wire.finish(engine.farewell_s)


def _server_config(engine: Engine) -> ServerConfig:
    rtmp = engine.settings.rtmp
    return ServerConfig(
        chunk_size=rtmp.publish_chunk_size or None,
        ping_interval=rtmp.ping_interval_s or None,
        ping_timeout=rtmp.idle_timeout_s,
    )


def _limits(engine: Engine) -> Limits:
    rtmp = engine.settings.rtmp
    return Limits(
        message_size=rtmp.max_message_bytes,
        partial_bytes=2 * rtmp.max_message_bytes,
        handshake_timeout=rtmp.handshake_timeout_s,
        setup_timeout=rtmp.idle_timeout_s,
    )


def _query_of(text: str) -> str:
    """Return what follows the first ``?``, or ``#``, which clients use alike."""
    return "".join(re.split("[?#]", text, maxsplit=1)[1:])


class _RtmpSession:
    """What one connection is doing; its nursery lives in `run` alone."""

    def __init__(self, engine: Engine, wire: Wire, session: Session) -> None:
        self._engine = engine
        self._wire = wire
        self._session = session
        self._machine = RtmpServer(
            config=_server_config(engine),
            limits=_limits(engine),
            dice=os.urandom,
            now=trio.current_time(),
        )
        self._app = ""
        self._asked_to_connect = False
        self._caps_ex = 0
        self._publication: Publication | None = None
        self._ingest: FlvIngest | None = None
        self._viewer: Viewer | None = None
        self._media_stream_id = 0
        self._form = Form("rtmp")
        self._last_media = 0.0

    async def run(self) -> str:
        """Run the connection; return why it ended."""
        try:
            return await run_with_tasks(self._read_forever)
        finally:
            await self._clean_up()

    # -- reading ----------------------------------------------------------------------

    async def _read_forever(self, start: Start) -> str:
        wire, machine = self._wire, self._machine
        ticks_left = 0
        while True:
            data: bytes | None
            if ticks_left:
                # A publisher of small writes: no scope and no wake-up of its own.
                data = wire.receive_nowait()
                if data is None:
                    ticks_left -= 1
                    await self._engine.read_tick.wait()
                    continue
            else:
                data = None
                # Only reading may be cut short: a request half handled would never
                # be answered.
                with trio.CancelScope(deadline=self._deadline()):
                    data = await wire.receive_some()
            if data is None:
                reason = await self._handle_deadline(start)
            else:
                reason = await self._take_octets(data, start)
            if reason is not None:
                return reason
            if not data or self._publication is None or len(data) >= _SMALL_READ:
                ticks_left = 0
            elif ticks_left or machine.pending_bytes:
                # A message has begun: its other chunks are being written now. From
                # here on ticks are cheaper than wake-ups: 30 publishers of 128-octet
                # chunks take 0.40 % of a core each, with a wake-up a message 0.79 %.
                # What TLS has for us cannot be asked for without waiting.
                ticks_left = 0 if wire.secure else _QUIET_TICKS
                await self._engine.read_tick.wait()

    async def _take_octets(self, data: bytes, start: Start) -> str | None:
        """Hand octets to the machine, empty at the end, and do what comes of them."""
        machine = self._machine
        if not data:
            machine.receive_eof(trio.current_time())
            return await self._handle_events(start)
        spent = 0.0
        for at in range(0, len(data), _SLICE):
            # Not the wall's time: on a busy machine we may have been interrupted.
            began = thread_time()
            machine.receive_data(data[at : at + _SLICE], trio.current_time())
            reason = await self._handle_events(start)
            if reason is not None:
                return reason
            if self._publication is None and machine.pending_bytes > _MAX_UNPUBLISHED:
                raise SessionEnd("sends much and publishes nothing", error=True)
            spent += thread_time() - began
            if spent > _TURN_S:
                await trio.sleep(min(_REST_TURNS * spent, _MAX_REST_S))
                spent = 0.0
        return None

    def _deadline(self) -> float:
        """Return when the machine or the wait for media is over."""
        deadline = self._machine.next_timeout()
        if self._publication is not None:
            idle = self._last_media + self._engine.settings.stream.publish_idle_s
            return idle if deadline is None else min(deadline, idle)
        return float("inf") if deadline is None else deadline

    async def _handle_deadline(self, start: Start) -> str | None:
        now = trio.current_time()
        if self._publication is not None:
            idle_s = self._engine.settings.stream.publish_idle_s
            if now - self._last_media >= idle_s:
                raise SessionEnd(f"published nothing for {idle_s:g} s", error=True)
        self._machine.handle_timeout(now)
        return await self._handle_events(start)

    async def _handle_events(self, start: Start) -> str | None:
        machine = self._machine
        while (event := machine.next_event()) is not None:
            if type(event) is MediaReceived:
                self._take_media(event)
            elif isinstance(event, Terminated):
                self._send()
                return self._ending(event)
            else:
                await self._handle(event, start)
        self._send()
        if self._viewer is None and not self._wire.is_clear:
            timeout_s = self._engine.settings.rtmp.idle_timeout_s
            with trio.move_on_after(timeout_s) as scope:
                await self._wire.flush()
            if scope.cancelled_caught:
                raise SessionEnd("client does not read", error=True)
        return None

    @staticmethod
    def _ending(event: Terminated) -> str:
        if event.cause is TerminationCause.VIOLATION:
            raise SessionEnd(f"protocol error: {event.reason}", error=True)
        if event.cause is TerminationCause.EOF:
            return "client left"
        return event.reason or event.cause.value

    def _send(self) -> None:
        data = self._machine.data_to_send()
        if not data:
            return
        if self._viewer is not None:
            self._viewer.offer(data)
        else:
            self._wire.offer(data)

    async def _handle(self, event: ServerEvent, start: Start) -> None:
        match event:
            case MetadataReceived():
                if self._ingest is not None:
                    self._ingest.take_metadata(event.values, trio.current_time())
            case DataReceived():
                if self._ingest is not None:
                    now = trio.current_time()
                    self._ingest.take_data(event.timestamp, event.payload, now)
            case DataDiscarded():
                if self._ingest is not None:
                    self._ingest.take_damage(str(event.error))
            case ConnectRequested():
                self._connect(event)
            case PublishRequested():
                await self._publish(event)
            case PlayRequested():
                await self._play(event, start)
            case PublishEnded():
                await self._end_publication()
                self._be_idle()
            case PlayEnded():
                await self._end_play()
                self._be_idle()
            case PauseRequested():
                self._pause(paused=event.paused)
            case ReceiveAudioChanged():
                self._change_form(audio=event.enabled)
            case ReceiveVideoChanged():
                self._change_form(video=event.enabled)
            case SeekRequested():
                self._machine.reject(
                    event.request_id,
                    description="a live stream cannot be sought",
                    now=trio.current_time(),
                )
            case _:
                pass  # buffer lengths and the like: nothing to do for a live stream

    # -- connect ----------------------------------------------------------------------

    def _connect(self, event: ConnectRequested) -> None:
        session = self._session
        self._app = event.app
        self._caps_ex = event.capabilities.caps_ex
        session.tc_url = event.tc_url
        session.page_url = event.page_url
        session.swf_url = event.swf_url
        session.user_agent = event.flash_version
        try:
            self._name(resolve_name="")
        except Refusal as refusal:
            self._refuse(event.request_id, refusal)
            raise
        self._machine.accept(event.request_id, now=trio.current_time())

    def _name(self, *, resolve_name: str) -> StreamKey:
        """Work out which stream the client means and note it in the session.

        Raises:
            Refusal: no stream may have that name.
        """
        session = self._session
        resolved = resolve(session.tc_url, self._app, resolve_name)
        vhost = resolved.vhost or ""
        queries = [_query_of(self._app), _query_of(resolve_name)]
        session.parameters = "&".join(filter(None, queries))
        app, name = resolved.app or "", resolved.name
        if name:
            app, name = self._engine.gate.take_path_token(session, app, name)
        key = StreamKey(self._engine.vhost_name(vhost), app, name)
        check_key(key)
        session.key = key
        return key

    async def _ask_to_connect(self) -> None:
        """Ask the hook once, when the client has said which stream it means.

        Hooks look for tokens, and with ``connect`` alone most clients have given none.

        Raises:
            Refusal: the hook will not have the client.
        """
        if not self._asked_to_connect:
            self._asked_to_connect = True
            await self._engine.gate.connect(self._session)

    def _refuse(self, request_id: int, refusal: Refusal) -> None:
        self._engine.registry.refuse(refusal)
        code = "NetStream.Publish.BadName" if refusal.kind == "busy" else None
        self._machine.reject(
            request_id,
            code=code,
            description=refusal.reason,
            now=trio.current_time(),
        )
        self._send()

    # -- publishing -------------------------------------------------------------------

    async def _publish(self, event: PublishRequested) -> None:
        session, engine = self._session, self._engine
        try:
            if self._publication is not None or self._viewer is not None:
                raise Refusal("one stream a connection", "busy")
            key = self._name(resolve_name=event.name)
            if not key.name:
                raise Refusal("the stream has no name", "absent")
            await self._ask_to_connect()
            publication = await engine.registry.claim(session, key)
            try:
                await engine.gate.publish(session)
            except BaseException:
                session.role = Role.CONNECT
                engine.registry.unclaim(publication)
                session.stream = None
                raise
        except Refusal as refusal:
            self._refuse(event.request_id, refusal)
            raise
        self._publication = publication
        self._media_stream_id = event.stream_id
        assert session.stream is not None
        self._ingest = FlvIngest(session.stream, publication)
        self._last_media = trio.current_time()
        self._machine.accept(event.request_id, now=trio.current_time())
        log.info(
            "publishing",
            session=session.id,
            stream=str(key),
            client=session.user_agent,
        )

    def _take_media(self, event: MediaReceived) -> None:
        if self._ingest is None:
            return  # sent before the answer, or after the end
        self._last_media = trio.current_time()
        self._ingest.take_media(event.messages, self._last_media)

    async def _end_publication(self) -> None:
        publication = self._publication
        if publication is None:
            return
        session = self._session
        self._publication = None
        self._ingest = None
        self._engine.registry.unclaim(publication)
        await self._engine.gate.tell(HookAction.UNPUBLISH, session)
        session.stream = None

    # -- playing ----------------------------------------------------------------------

    async def _play(self, event: PlayRequested, start: Start) -> None:
        session, engine = self._session, self._engine
        try:
            if self._publication is not None or self._viewer is not None:
                raise Refusal("one stream a connection", "busy")
            key = self._name(resolve_name=event.name)
            if not key.name:
                raise Refusal("the stream has no name", "absent")
            if event.stream_id != SHARED_STREAM_ID:
                # Viewers share their bytes, message stream id included.
                raise Refusal("play on the connection's first stream", "request")
            await self._ask_to_connect()
            stream = await engine.admit_viewer(session, key)
        except Refusal as refusal:
            session.role = Role.CONNECT
            self._refuse(event.request_id, refusal)
            raise
        self._media_stream_id = event.stream_id
        self._form = Form(
            "rtmp",
            multitrack=bool(self._caps_ex & _MULTITRACK),
            nanoseconds=bool(self._caps_ex & _NANOSECONDS),
        )
        viewer = Viewer(self._wire, slow_limit_s=stream.policy.slow_viewer_s)
        self._viewer = session.viewer = viewer
        self._machine.accept(event.request_id, now=trio.current_time())
        self._send()
        stream.attach(viewer, self._form, session, trio.current_time())
        log.info(
            "playing", session=session.id, stream=str(key), client=session.user_agent
        )
        start(self._run_viewer, viewer)

    async def _run_viewer(self, viewer: Viewer) -> None:
        reason = await viewer.run()
        if self._viewer is viewer:
            # The stream is over for this viewer: say so and end the connection.
            self._machine.end_play(self._media_stream_id, now=trio.current_time())
            self._wire.offer(self._machine.data_to_send())
            raise SessionEnd(reason)

    def _pause(self, *, paused: bool) -> None:
        viewer, stream = self._viewer, self._session.stream
        if viewer is None or stream is None:
            return
        now = trio.current_time()
        if paused:
            stream.pause(viewer, now)
        elif viewer.outlet is None:
            stream.attach(viewer, self._form, self._session, now)

    def _change_form(
        self, *, audio: bool | None = None, video: bool | None = None
    ) -> None:
        """Move the viewer to the wire form without audio or video."""
        old = self._form
        self._form = attrs.evolve(
            old,
            audio=old.audio if audio is None else audio,
            video=old.video if video is None else video,
        )
        viewer, stream = self._viewer, self._session.stream
        if viewer is None or stream is None or viewer.outlet is None:
            return
        now = trio.current_time()
        stream.pause(viewer, now)
        stream.attach(viewer, self._form, self._session, now)

    async def _end_play(self) -> None:
        viewer, session = self._viewer, self._session
        if viewer is None:
            return
        self._viewer = None
        stream = session.stream
        if stream is not None:
            stream.detach(viewer, trio.current_time())
            viewer.finish("play ended")
            self._engine.registry.release(stream)
        await self._engine.gate.tell(HookAction.STOP, session)
        session.stream = None

    def _be_idle(self) -> None:
        """Note that the connection may publish or play something else now."""
        session = self._session
        session.former_role, session.role = session.role, Role.CONNECT

    # -- the end -----------------------------------------------------------------------

    async def _clean_up(self) -> None:
        machine, viewer, stream = self._machine, self._viewer, self._session.stream
        if viewer is not None and stream is not None:
            # From here on the wire is ours alone.
            stream.detach(viewer, trio.current_time())
        now = trio.current_time()
        if self._engine.is_stopping:
            # Clients of Enhanced RTMP come back to whoever serves this address next.
            machine.request_reconnect(description="The server stops.", now=now)
        try:
            machine.close(self._session.end_reason or "finished", now=now)
            self._wire.offer(machine.data_to_send())
        except OSError:
            pass  # the peer has gone already
        await self._end_publication()
        await self._end_play()
        if self._asked_to_connect:
            await self._engine.gate.tell(HookAction.CLOSE, self._session)
