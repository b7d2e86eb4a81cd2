"""SRT in and out: one connection that publishes or plays one stream, in MPEG-TS."""

from __future__ import annotations

import attrs
import trio
from sansmedia.sansio import TerminationCause
from sansmedia.srt import (
    Closed,
    Connection,
    ConnectionRequested,
    EndpointEvent,
    EndpointStatistics,
    MessagesReceived,
    RejectionCode,
    SrtOptions,
)

from penstock import log
from penstock.control import HookAction, LinkView
from penstock.engine.engine import Engine
from penstock.engine.registry import Refusal, check_key
from penstock.engine.session import Role, Session, StreamKey
from penstock.engine.stream import Publication, Stream
from penstock.engine.unit import Form
from penstock.engine.viewer import Viewer
from penstock.media.timeline import TransportTimeline

from .barrier import SessionEnd, Start, new_session, run_session, run_with_tasks
from .srt_bond import Bond
from .srt_port import SrtPort
from .srt_stream_id import SrtRequest, StreamIdError, read_stream_id
from .srt_wire import SrtWire
from .ts_ingest import TsIngest

__all__ = ["SrtCaller", "SrtLeg", "SrtSessions", "options_of"]

_CODES = {
    "auth": RejectionCode.UNAUTHORIZED,
    "address": RejectionCode.FORBIDDEN,
    "hook": RejectionCode.FORBIDDEN,
    "limit": RejectionCode.OVERLOAD,
    "absent": RejectionCode.NOT_FOUND,
    "busy": RejectionCode.CONFLICT,
    "request": RejectionCode.BAD_REQUEST,
}
_WATCH_S = 1.0
_TS = Form("ts")


def options_of(engine: Engine) -> SrtOptions:
    """Return what holds for every connection under the settings in force."""
    srt = engine.settings.srt
    return SrtOptions(
        rcv_latency=srt.latency_ms / 1000,
        peer_latency=srt.latency_ms / 1000,
        group_connect=srt.groups,
        max_bw=srt.max_bandwidth_bps // 8 or -1,
        connect_timeout=srt.connect_timeout_s,
        peer_idle_timeout=srt.idle_timeout_s,
    )


class SrtSessions:
    """Makes sessions of the callers of one port.

    Args:
        engine: Whose streams they publish and play.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._port: SrtPort | None = None
        self._nursery: trio.Nursery | None = None

    def open(self, port: SrtPort, nursery: trio.Nursery) -> None:
        """Take callers from now on; their sessions run in ``nursery``."""
        self._port, self._nursery = port, nursery
        port.listen(options_of(self._engine), self._admit)

    def figures(self) -> dict[str, int]:
        """Return the counters of `ServerView` that begin with ``datagrams_``."""
        port = self._port
        if port is None:
            return {}
        counts = port.udp.statistics
        return {
            "datagrams_received": counts.datagrams_received,
            "datagrams_sent": counts.datagrams_sent,
            "datagrams_dropped": counts.dropped,
            "datagrams_unreachable": counts.unreachable,
            "datagrams_strange": _strange(port.endpoint.statistics()),
        }

    def _admit(self, request: ConnectionRequested) -> None:
        engine, port = self._engine, self._port
        assert port is not None
        assert self._nursery is not None
        address = request.peer[0]
        try:
            if engine.is_stopping:
                raise Refusal("the server stops", "limit")
            engine.gate.admit(address)
        except Refusal as refusal:
            engine.registry.refuse(refusal)
            log.debug("connection refused", client=address, reason=refusal.reason)
            port.turn_away(request, _CODES[refusal.kind])
            return
        self._nursery.start_soon(self._serve, request)

    async def _serve(self, request: ConnectionRequested) -> None:
        engine, port = self._engine, self._port
        assert port is not None
        caller = SrtCaller(request.peer)
        session = new_session("srt", caller)
        try:
            serving = _SrtSession(engine, port, session, request)
            await run_session(engine, session, serving.run)
        finally:
            engine.gate.dismiss(request.peer[0])


@attrs.define(eq=False)
class SrtCaller:
    """The other end, before there is a connection."""

    peer: tuple[str, int]
    bytes_received: int = 0
    bytes_sent: int = 0


class SrtLeg:
    """What publishers and viewers over SRT share, whoever has called whom.

    Args:
        engine: The server.
        port: Where the connection is.
        session: Its record.
    """

    def __init__(self, engine: Engine, port: SrtPort, session: Session) -> None:
        self._engine = engine
        self._port = port
        self._session = session
        self._connection: Connection | Bond | None = None
        self._wire: SrtWire | None = None
        self._ingest: TsIngest | None = None
        self._last_media = trio.current_time()
        self._ended = trio.Event()
        self._end = SessionEnd("")

    # -- what the port tells -----------------------------------------------------------

    def handle(self, event: EndpointEvent, now: float) -> None:
        """Take what the connection tells."""
        match event:
            case MessagesReceived():
                self.take(event, now)
            case Closed(terminated=end):
                is_peers = end.cause is TerminationCause.PEER
                self._finish(
                    "client left" if is_peers else end.reason or end.cause.value,
                    error=end.cause is TerminationCause.VIOLATION,
                )
            case _:
                pass

    def fail(self, error: Exception) -> None:
        """End the session: it, or its connection, has a bug."""
        log.exception(
            "session failed by a bug of ours", error, session=self._session.id
        )
        self._finish(f"internal error: {type(error).__name__}", error=True)

    def _finish(self, reason: str, *, error: bool = False) -> None:
        if not self._ended.is_set():
            self._end = SessionEnd(reason, error=error)
            self._ended.set()

    def take(self, event: MessagesReceived, now: float) -> None:
        """Take what the other end has sent."""
        if self._ingest is None:
            self._finish("a viewer that sends media", error=True)
        else:
            self.ingest(b"".join([message.data for message in event.messages]), now)

    def ingest(self, data: bytes, now: float) -> None:
        """Push a piece of the transport stream into the stream."""
        if self._ingest is not None:
            self._last_media = now
            self.wire.bytes_received += len(data)
            self._ingest.take(data, now)

    # -- the two roles -----------------------------------------------------------------

    def check_link(self, address: str) -> None:
        """Judge the address of another link of its group. Raises: Refusal."""
        self._engine.gate.check_link(self._session, address)

    def connected(self, connection: Connection | Bond) -> SrtWire:
        """Take an established connection; return its wire."""
        self._connection = connection
        port = self._port
        self._wire = SrtWire(connection, port.udp, port.cutter, port.waiting)
        self._session.wire = self._wire
        publishes = self._session.role is Role.PUBLISH
        self._session.link = lambda: _view(connection, publishes=publishes)
        version = connection.negotiated.peer_version
        self._session.user_agent = (
            f"SRT {version >> 16}.{version >> 8 & 0xFF}.{version & 0xFF}"
        )
        return self._wire

    @property
    def wire(self) -> SrtWire:
        """Of the connection, which stands."""
        assert self._wire is not None
        return self._wire

    @property
    def has_ingest(self) -> bool:
        """Whether what comes goes into a stream."""
        return self._ingest is not None

    def end_ingest(self) -> None:
        """Let nothing more go into the stream."""
        self._ingest = None

    def begin_ingest(self, publication: Publication) -> None:
        """Let what comes from now on go into a stream."""
        stream = self._session.stream
        assert stream is not None
        self._ingest = TsIngest(stream, publication)
        self._last_media = trio.current_time()

    async def receive(self) -> str:
        """Wait until the publisher has ended; return why."""
        idle_s = self._engine.settings.stream.publish_idle_s
        while not self._ended.is_set():
            with trio.move_on_at(self._last_media + idle_s):
                await self._ended.wait()
            if trio.current_time() - self._last_media >= idle_s:
                raise SessionEnd(f"published nothing for {idle_s:g} s", error=True)
        raise self._end

    async def send(self, stream: Stream, wire: SrtWire) -> str:
        """Play a stream to the other end until somebody has enough; return why."""
        session = self._session
        viewer = Viewer(wire, slow_limit_s=stream.policy.slow_viewer_s)
        session.viewer = viewer

        async def main(start: Start) -> str:
            start(self._watch)
            return await viewer.run()

        try:
            try:
                stream.attach(viewer, _TS, session, trio.current_time())
                reason = await run_with_tasks(main)
            finally:
                stream.detach(viewer, trio.current_time())
            # Losses at the end are mended meanwhile, too.
            with trio.move_on_at(wire.played_at):
                await self._ended.wait()
            return reason
        finally:
            wire.close()

    async def _watch(self) -> None:
        await self._ended.wait()
        raise self._end


class _SrtSession(SrtLeg):
    """One caller of ours.

    Args:
        engine: The server.
        port: Where it called.
        session: Its record.
        request: What it said.
    """

    def __init__(
        self,
        engine: Engine,
        port: SrtPort,
        session: Session,
        request: ConnectionRequested,
    ) -> None:
        super().__init__(engine, port, session)
        self._request = request

    async def run(self) -> str:
        """Let the caller publish or play, or send it away; return why it ended."""
        port, request = self._port, self._request
        try:
            asked, key = self._read()
            await self._engine.gate.connect(self._session)
            try:
                if asked.mode == "publish":
                    return await self._publish(key)
                return await self._play(key)
            finally:
                if self._connection is not None:
                    reason = self._session.end_reason or "finished"
                    port.leave(self._connection.socket_id, reason)
                await self._engine.gate.tell(HookAction.CLOSE, self._session)
        except StreamIdError as error:
            port.turn_away(request, error.code)
            self._engine.registry.refuse(Refusal(error.reason, "request"))
            raise SessionEnd(f"refused: {error.reason}", error=True) from None
        except Refusal as refusal:
            if self._connection is None:
                port.turn_away(request, _CODES[refusal.kind])
                self._engine.registry.refuse(refusal)
            raise

    def _read(self) -> tuple[SrtRequest, StreamKey]:
        """Work out what the caller wants, and note it in the session.

        Raises:
            StreamIdError: It says nothing that we know.
            Refusal: No stream may have that name.
        """
        settings, session = self._engine.settings.srt, self._session
        asked = read_stream_id(
            self._request.stream_id,
            default_app=settings.default_app,
            default_stream=settings.default_stream,
        )
        key = StreamKey(self._engine.vhost_name(asked.vhost), asked.app, asked.name)
        host = self._request.local[0] if self._request.local else "localhost"
        session.tc_url = f"srt://{asked.vhost or host}/{asked.app}"
        session.parameters = asked.parameters
        session.token = asked.password
        check_key(key)
        session.key = key
        if not asked.mode:
            stream = self._engine.registry.streams.get(key)
            taken = stream is not None and stream.is_claimed
            asked = attrs.evolve(asked, mode="play" if taken else "publish")
        return asked, key

    async def _publish(self, key: StreamKey) -> str:
        engine, session = self._engine, self._session
        publication = await engine.registry.claim(session, key, TransportTimeline)
        try:
            await engine.gate.publish(session)
            self._accept(Role.PUBLISH, key)
            self.begin_ingest(publication)
            log.info(
                "publishing",
                session=session.id,
                stream=str(key),
                client=session.user_agent,
            )
        except BaseException:
            session.role = Role.CONNECT
            engine.registry.unclaim(publication)
            session.stream = None
            raise
        try:
            return await self.receive()
        finally:
            self.end_ingest()
            engine.registry.unclaim(publication)
            await engine.gate.tell(HookAction.UNPUBLISH, session)

    async def _play(self, key: StreamKey) -> str:
        engine, session = self._engine, self._session
        stream = await engine.admit_viewer(session, key)
        try:
            wire = self._accept(Role.PLAY, key)
            log.info(
                "playing",
                session=session.id,
                stream=str(key),
                client=session.user_agent,
            )
            return await self.send(stream, wire)
        finally:
            stream.part(session)
            engine.registry.release(stream)
            await engine.gate.tell(HookAction.STOP, session)

    def _accept(self, role: Role, key: StreamKey) -> SrtWire:
        """Let the caller in.

        Raises:
            Refusal: Its passphrase is not the stream's, or it has given up.
        """
        options = attrs.evolve(
            options_of(self._engine), passphrase=self._passphrase(role, key)
        )
        return self.connected(self._port.accept(self._request, options, self))

    def _passphrase(self, role: Role, key: StreamKey) -> str:
        settings = self._engine.settings
        place = f"{key.app}/{key.name}"
        source = next(
            (one for one in settings.srt_stream if one.stream == place), settings.srt
        )
        if role is Role.PUBLISH:
            return source.publish_passphrase
        return source.play_passphrase


def _view(connection: Connection | Bond, *, publishes: bool) -> LinkView:
    """Return what control shows of a connection, as publisher or as viewer."""
    if isinstance(connection, Bond):
        return connection.view(publishes=publishes)
    figures = connection.statistics()
    if publishes:
        return LinkView(
            rtt_ms=figures.ms_rtt,
            latency_ms=figures.ms_rcv_tsbpd_delay,
            buffer_ms=figures.ms_rcv_buf,
            packets=figures.pkt_recv_unique_total,
            lost=figures.pkt_rcv_loss_total,
            retransmitted=figures.pkt_rcv_retrans_total,
            dropped=figures.pkt_rcv_drop_total,
            undecrypted=figures.pkt_rcv_undecrypt_total,
            bandwidth_bps=int(figures.mbps_bandwidth * 1e6),
            encryption=connection.encryption,
        )
    return LinkView(
        rtt_ms=figures.ms_rtt,
        latency_ms=figures.ms_snd_tsbpd_delay,
        buffer_ms=figures.ms_snd_buf,
        packets=figures.pkt_sent_unique_total,
        lost=figures.pkt_snd_loss_total,
        retransmitted=figures.pkt_retrans_total,
        dropped=figures.pkt_snd_drop_total,
        bandwidth_bps=int(figures.mbps_bandwidth * 1e6),
        encryption=connection.encryption,
    )


def _strange(figures: EndpointStatistics) -> int:
    """Return how many datagrams belonged to no session."""
    return (
        figures.datagrams_short
        + figures.datagrams_unknown
        + figures.datagrams_misdirected
        + figures.handshakes_malformed
        + figures.handshakes_ignored
    )
