"""Media of one WebRTC session, whoever offered: what comes in, and what goes out."""

from __future__ import annotations

import os

import attrs
import trio
from sansmedia.ice import AgentState
from sansmedia.sansio import Terminated, TerminationCause
from sansmedia.webrtc import (
    Connected,
    IceStateChanged,
    KeyFrameRequested,
    MediaReceived,
    PacketsMissed,
    Peer,
    PeerEvent,
    ReceiveStream,
    SenderReportReceived,
)

from penstock import log
from penstock.engine.engine import Engine
from penstock.engine.packet_viewer import PacketViewer
from penstock.engine.session import Session, StreamKey
from penstock.engine.stream import Publication, Stream
from penstock.media import TrackKind

from .barrier import SessionEnd
from .rtp_ingest import RtpIngest
from .webrtc_port import Traffic, WebRtcPort, log_pairs
from .whep_sink import WhepSink

__all__ = ["Receiving", "Sending", "WebRtcSession"]


@attrs.define(eq=False)
class _End:
    """How a session ended, as its peer told it."""

    reason: str
    error: bool


class WebRtcSession:
    """A session with one peer; the port calls it.

    Args:
        engine: What it works on.
        port: Where its media comes and goes.
        session: Its record.
        key: Its stream.
        traffic: What counts its octets.
    """

    _left = "client left"
    """The reason when the peer ends it."""

    def __init__(
        self,
        engine: Engine,
        port: WebRtcPort,
        session: Session,
        key: StreamKey,
        traffic: Traffic,
    ) -> None:
        self.session = session
        self.peer: Peer | None = None
        self.traffic = traffic
        self._engine = engine
        self._port = port
        self._key = session.key = key
        self._turn = trio.Event()
        """It is the session's own task's turn: media can go, or all is over."""
        self._end: _End | None = None

    def handle(self, event: PeerEvent, now: float) -> None:
        """Take what the peer tells."""
        if isinstance(event, Terminated):
            self._finish(event)
        elif isinstance(event, IceStateChanged):
            self._note_ice(event.state)
        elif isinstance(event, Connected):
            self._note_connection("connected")
            log.info(
                "connected",
                session=self.session.id,
                stream=str(self._key),
                path=f"{event.path.peer[0]}:{event.path.peer[1]}",
                transport=event.path.transport,
                profile=event.profile,
            )
            self._connected(event, now)
        else:
            self._take(event, now)

    def _note_connection(self, state: str) -> None:
        """Keep the state of the connection for the APIs."""
        if self.session.connection != state:
            self.session.connection = state
            self._engine.registry.note_change()

    def _note_ice(self, state: AgentState) -> None:
        if state is AgentState.FAILED or state is AgentState.DISCONNECTED:
            self._note_connection(state.value)
        elif self.peer is not None and self.peer.is_connected:
            self._note_connection("connected")  # again

    def _finish(self, event: Terminated) -> None:
        peer = self.peer
        failed = event.cause in (TerminationCause.TIMEOUT, TerminationCause.VIOLATION)
        if failed and peer is not None and not peer.is_connected:
            log_pairs(peer, self.session.id)
        left = event.cause is TerminationCause.PEER
        self._conclude(self._left if left else event.reason, failed)

    def fail(self, error: Exception) -> None:
        """End the session: a bug of ours."""
        log.exception("WebRTC session failed", error, session=self.session.id)
        self.peer = None  # nobody knows what it would do now
        self._conclude(f"internal error: {type(error).__name__}", True)

    def tick(self, now: float) -> None:
        """Do what is due once a second."""

    def _conclude(self, reason: str, error: bool) -> None:
        self._end = _End(reason, error)
        self._turn.set()

    def _connected(self, event: Connected, now: float) -> None:
        pass

    def _take(self, event: PeerEvent, now: float) -> None:
        raise AssertionError("each role has its own")

    def _layers(self) -> tuple[str, ...]:
        """Return the layers that the peer may choose from."""
        return ()

    async def _wait(self) -> str:
        await self._turn.wait()
        end = self._end
        assert end is not None
        if end.error:
            raise SessionEnd(end.reason, error=True)
        return end.reason

    def _leave(self) -> None:
        """Say goodbye and let go of the peer."""
        peer = self.peer
        self._note_connection("closed")
        if peer is not None:
            peer.close(self.session.end_reason, now=trio.current_time())
            self._port.leave(peer)


class Receiving(WebRtcSession):
    """A session whose peer publishes."""

    def __init__(
        self,
        engine: Engine,
        port: WebRtcPort,
        session: Session,
        key: StreamKey,
        traffic: Traffic,
    ) -> None:
        super().__init__(engine, port, session, key, traffic)
        self._ingest: RtpIngest | None = None
        self._media_at = trio.current_time()

    def _begin(self, publication: Publication) -> None:
        """Feed the session's stream from now on."""
        engine, stream = self._engine, self.session.stream
        assert stream is not None
        self._ingest = RtpIngest(
            stream,
            publication,
            request_key_frame=self._request_key_frame,
            interval_s=lambda: engine.settings.webrtc.key_frame_interval_s,
        )
        self._media_at = trio.current_time()

    def _stop(self) -> None:
        self._ingest = None

    async def _keep_time(self) -> None:
        """Give up missing packets in time; end a publisher that sends nothing."""
        while True:
            now = trio.current_time()
            due = None if self._ingest is None else self._ingest.tick(now)
            wait_s = 0.05 if due is None else max(0.005, min(0.05, due - now))
            await trio.sleep(wait_s)
            idle_s = self._engine.settings.stream.publish_idle_s
            if trio.current_time() - self._media_at >= idle_s:
                raise SessionEnd(f"no media for {idle_s:g} s")

    def _take(self, event: PeerEvent, now: float) -> None:
        ingest = self._ingest
        if ingest is None:
            return
        match event:
            case MediaReceived(stream, packets):
                self._media_at = now
                ingest.take(stream, packets, now)
            case SenderReportReceived(stream, report):
                ingest.report(stream, report, now)
            case _:
                pass

    def _request_key_frame(self, stream: ReceiveStream) -> None:
        peer = self.peer
        if peer is not None:
            peer.request_key_frame(stream, now=trio.current_time())
            self._port.attend(peer)


class Sending(WebRtcSession):
    """A session whose peer plays."""

    def __init__(
        self,
        engine: Engine,
        port: WebRtcPort,
        session: Session,
        key: StreamKey,
        traffic: Traffic,
    ) -> None:
        super().__init__(engine, port, session, key, traffic)
        self._viewer: PacketViewer | None = None
        self._sink: WhepSink | None = None
        self._stream: Stream | None = None
        self._layer = ""
        self._muted: set[TrackKind] = set()

    def _connected(self, event: Connected, now: float) -> None:
        peer, stream = self.peer, self._stream
        if peer is None or stream is None or self._viewer is not None:
            return
        self._sink = WhepSink(peer, self._port, self.traffic, dice=os.urandom)
        self._sink.layer = self._layer
        for kind in self._muted:
            self._sink.mute(kind, muted=True)
        self._viewer = self.session.viewer = PacketViewer(self._sink)
        stream.attach_packets(self._viewer, self.session, now)
        self._turn.set()

    def _detach(self) -> None:
        viewer, self._viewer = self._viewer, None
        if viewer is not None and self._stream is not None:
            self._stream.detach(viewer, trio.current_time())

    async def _wait(self) -> str:
        """Play until it is over: the cache whenever it is time to."""
        await self._turn.wait()
        if self._viewer is not None and self._end is None:
            reason = await self._viewer.run()
            if self._end is None:
                return reason
        return await super()._wait()

    def _conclude(self, reason: str, error: bool) -> None:
        super()._conclude(reason, error)
        if self._viewer is not None:
            self._viewer.finish(reason)

    def tick(self, now: float) -> None:
        """Tell the peer what ties our streams to each other."""
        sink = self._sink
        if sink is None or self.peer is None:
            return
        sink.report(now)
        self._port.attend(self.peer)
        if sink.unfit is not None:
            # Known too late to refuse the offer for it.
            log.warning(
                "viewer misses a track",
                session=self.session.id,
                stream=str(self._key),
                codec=sink.unfit.value,
                reason="it has not offered that codec",
            )
            sink.unfit = None

    def _layers(self) -> tuple[str, ...]:
        """Return the layers of simulcast that the publisher sends."""
        publication = None if self._stream is None else self._stream.publication
        tracks = () if publication is None else publication.tracks
        return tuple(
            track.name
            for track in tracks
            if track.is_video and track.group == "simulcast"
        )

    def select_layer(self, layer: str) -> None:
        """Send another layer, from its next key frame on; "" is the main one."""
        self._layer = layer
        if self._sink is not None and self._viewer is not None:
            self._sink.layer = layer
            self._viewer.tracks_changed(trio.current_time())

    def mute(self, kind: TrackKind, *, muted: bool) -> None:
        """Leave one kind out, or take it up again."""
        if muted:
            self._muted.add(kind)
        else:
            self._muted.discard(kind)
        if self._sink is not None and self._viewer is not None:
            self._sink.mute(kind, muted=muted)
            self._viewer.tracks_changed(trio.current_time())

    def _take(self, event: PeerEvent, now: float) -> None:
        sink, viewer = self._sink, self._viewer
        if sink is None or viewer is None:
            return
        match event:
            case PacketsMissed(ssrc, sequences):
                sink.resend(ssrc, sequences)
            case KeyFrameRequested(ssrc) if ssrc == sink.video_ssrc():
                viewer.key_frame_wanted()
            case _:
                pass
