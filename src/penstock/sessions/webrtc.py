"""WHIP and WHEP: sessions whose signalling is HTTP's and whose media is the port's."""

from __future__ import annotations

import os
import time

import trio
from sansmedia.sansio import ProtocolError
from sansmedia.sdp import (
    Capabilities,
    NegotiatedSession,
    SendSource,
    Setup,
    decode_session,
    encode_session,
    make_answer,
)
from sansmedia.webrtc import fitting_codec

from penstock import log
from penstock.control import HookAction, Invalid, Unavailable
from penstock.control.webrtc import WebRtcAnswer, WebRtcOffer
from penstock.engine.engine import Engine
from penstock.engine.registry import Refusal
from penstock.engine.session import Session, StreamKey
from penstock.media import TrackKind
from penstock.media.rtp_timeline import RtpTimeline

from .barrier import Start, run_session, run_with_tasks, start_apart
from .webrtc_media import codecs_of, receiving, sending, sources
from .webrtc_port import Traffic, WebRtcPort
from .webrtc_session import Receiving, Sending, WebRtcSession

__all__ = ["WebRtcSessions"]


class _Reply:
    """What the one who asked waits for: an answer or a refusal, once."""

    def __init__(self) -> None:
        self._answer: WebRtcAnswer | None = None
        self._error: Exception | None = None
        self.ready = trio.Event()

    def give(self, answer: WebRtcAnswer) -> None:
        self._answer = answer
        self.ready.set()

    def refuse(self, error: Exception) -> None:
        if not self.ready.is_set():
            # With its traceback it would be a cycle through the session's frames.
            self._error = error.with_traceback(None)
            self.ready.set()

    def take(self) -> WebRtcAnswer:
        """Return the answer, or raise the refusal."""
        error, self._error = self._error, None
        try:
            if error is not None:
                raise error
        finally:
            del error
        answer, self._answer = self._answer, None
        assert answer is not None
        return answer


class WebRtcSessions:
    """Starts sessions for offers, whichever API they came by.

    Args:
        engine: What they work on.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._port: WebRtcPort | None = None
        self._nursery: trio.Nursery | None = None
        self._sessions: dict[str, _Answering] = {}

    def open(self, port: WebRtcPort | None, nursery: trio.Nursery) -> None:
        """Begin to take offers.

        Args:
            port: The media of all sessions; None if WebRTC is off.
            nursery: Where they run.
        """
        self._port = port
        self._nursery = nursery

    async def offer(self, offer: WebRtcOffer) -> WebRtcAnswer:
        """Answer an offer; the session runs on by itself.

        Raises:
            Refusal: The engine, or a hook, says no.
            ProtocolError: The offer is malformed, or fits nothing here.
            Unavailable: WebRTC is off, or the server stops.
        """
        port, nursery = self._port, self._nursery
        if port is None or nursery is None:
            raise Unavailable("WebRTC is switched off (webrtc.listen)")
        if self._engine.is_stopping:
            raise Unavailable("the server stops")
        kind = _Publishing if offer.publishes else _Playing
        running = kind(self._engine, port, offer)
        start_apart(nursery, self._run, running)
        await running.reply.ready.wait()
        return running.reply.take()

    async def _run(self, running: _Answering) -> None:
        session = running.session
        address = session.address
        gate = self._engine.gate
        try:
            gate.admit(address)
        except Refusal as refusal:
            self._engine.registry.refuse(refusal)
            running.reply.refuse(refusal)
            return
        self._sessions[session.id] = running
        try:
            await run_session(self._engine, session, running.run)
        finally:
            gate.dismiss(address)
            del self._sessions[session.id]
            running.reply.refuse(Unavailable("the session has ended"))

    def trickle(
        self,
        session_id: str,
        *,
        ufrag: str,
        pwd: str,
        candidates: tuple[str, ...],
        end: bool,
    ) -> tuple[str, str] | None:
        """Take candidates of a client, or its wish to restart ICE.

        Returns:
            Our new user name fragment and password if it restarts, else None.

        Raises:
            KeyError: There is no such session.
            Invalid: The credentials have a wrong form.
        """
        running = self._sessions[session_id]
        return running.trickle(ufrag, pwd, candidates, end)

    def ufrag_of(self, session_id: str) -> str | None:
        """Return our user name fragment of a session; None if there is none."""
        running = self._sessions.get(session_id)
        peer = None if running is None else running.peer
        return None if peer is None else peer.ice.local_ufrag

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
            "datagrams_strange": port.mux.strangers,
        }

    def select_layer(self, session_id: str, layer: str) -> None:
        """Send a viewer another layer. Raises: KeyError if it is no viewer of ours."""
        self._playing(session_id).select_layer(layer)

    def mute(self, session_id: str, kind: TrackKind, *, muted: bool) -> None:
        """Leave a kind out. Raises: KeyError if it is no viewer of ours."""
        self._playing(session_id).mute(kind, muted=muted)

    def _playing(self, session_id: str) -> _Playing:
        running = self._sessions[session_id]
        if not isinstance(running, _Playing):
            raise KeyError(session_id)
        return running


class _Answering(WebRtcSession):
    """What sessions have in common that others ask for."""

    protocol = ""

    def __init__(self, engine: Engine, port: WebRtcPort, offer: WebRtcOffer) -> None:
        traffic = Traffic()
        session = Session(
            protocol=self.protocol,
            address=offer.address,
            port=offer.port,
            wire=traffic,
            started_at=time.time(),
            started=trio.current_time(),
            tc_url=offer.tc_url,
            page_url=offer.page_url,
            user_agent=offer.user_agent,
            parameters=offer.parameters,
            token=offer.token,
            authorized=offer.authorized,
            stays=offer.stays,
            connection="new",
        )
        key = StreamKey(offer.vhost, offer.app, offer.name)
        super().__init__(engine, port, session, key, traffic)
        self.reply = _Reply()
        self._offer: WebRtcOffer | None = offer
        self._remote: tuple[str, str] | None = None

    async def run(self) -> str:
        """Be the body of the session."""
        try:
            return await self._run()
        except (Refusal, ProtocolError) as error:
            if isinstance(error, Refusal):
                self._engine.registry.refuse(error)
            self.reply.refuse(error)
            raise

    async def _run(self) -> str:
        raise AssertionError("publishing and playing have their own")

    # -- signalling -------------------------------------------------------------------

    def _answer(self, capabilities: Capabilities, sources: list[SendSource]) -> None:
        """Make the peer, answer the offer, and let the peer begin."""
        wanted, self._offer = self._offer, None
        assert wanted is not None
        peer = self._port.make_peer(
            addresses=wanted.addresses, credentials=(wanted.ice_ufrag, wanted.ice_pwd)
        )
        plan = make_answer(
            decode_session(wanted.sdp),
            capabilities=capabilities,
            transport=peer.transport(Setup.PASSIVE),
            session_id=int.from_bytes(os.urandom(7), "big"),
            sources=sources,
        )
        self._judge(plan.session)
        peer.connect(plan.session, now=trio.current_time())
        remote = plan.session.remote
        self._remote = remote.ice_ufrag, remote.ice_pwd
        self.peer = peer
        self._port.enter(peer, self, self.traffic)
        self._note_connection("connecting")
        self.reply.give(
            WebRtcAnswer(
                session_id=self.session.id,
                sdp=encode_session(plan.answer),
                ice_ufrag=peer.ice.local_ufrag,
                layers=self._layers(),
            )
        )

    def _judge(self, negotiated: NegotiatedSession) -> None:
        """Refuse what was negotiated, if it is of no use. Raises: ProtocolError."""

    def trickle(
        self, ufrag: str, pwd: str, candidates: tuple[str, ...], end: bool
    ) -> tuple[str, str] | None:
        """See `WebRtcSessions.trickle`."""
        peer, now = self.peer, trio.current_time()
        if peer is None or self._remote is None:
            return None
        restarted: tuple[str, str] | None = None
        if ufrag and (ufrag, pwd) != self._remote:
            if not pwd:
                raise Invalid("a restart needs a password")
            peer.restart(remote=(ufrag, pwd), now=now)
            self._port.renew(peer)
            self._remote = ufrag, pwd
            restarted = peer.ice.local_ufrag, peer.ice.local_pwd
        for candidate in candidates:
            peer.add_remote_candidate(candidate, now=now)
        if end:
            peer.end_of_remote_candidates(now=now)
        self._port.attend(peer)
        return restarted


class _Publishing(_Answering, Receiving):
    """A WHIP session."""

    protocol = "whip"

    async def _run(self) -> str:
        session, engine = self.session, self._engine
        publication = await engine.registry.claim(session, self._key, RtpTimeline)
        told = False
        try:
            await engine.gate.publish(session)
            told = True
            self._answer(receiving(), [])
            log.info(
                "publishing",
                session=session.id,
                stream=str(self._key),
                client=session.user_agent,
            )
            self._begin(publication)
            return await run_with_tasks(self._watch)
        finally:
            self._leave()
            self._stop()
            engine.registry.unclaim(publication)
            if told:
                with trio.CancelScope(
                    shield=True, deadline=trio.current_time() + engine.farewell_s
                ):
                    await engine.gate.tell(HookAction.UNPUBLISH, session)
            session.stream = None

    async def _watch(self, start: Start) -> str:
        start(self._keep_time)
        return await self._wait()


class _Playing(_Answering, Sending):
    """A WHEP session."""

    protocol = "whep"

    async def _run(self) -> str:
        session, engine = self.session, self._engine
        stream = self._stream = await engine.admit_viewer(session, self._key)
        try:
            self._answer(sending(codecs_of(stream)), sources())
            log.info(
                "playing",
                session=session.id,
                stream=str(self._key),
                client=session.user_agent,
            )
            return await self._wait()
        finally:
            self._detach()
            stream.part(session)
            self._leave()
            engine.registry.release(stream)
            with trio.CancelScope(
                shield=True, deadline=trio.current_time() + engine.farewell_s
            ):
                await engine.gate.tell(HookAction.STOP, session)
            session.stream = None

    def _judge(self, negotiated: NegotiatedSession) -> None:
        stream = self._stream
        publication = None if stream is None else stream.publication
        for track in () if publication is None else publication.tracks:
            codec = track.codec
            offered = [one for one in negotiated.active if one.kind == track.kind.value]
            # Sound is turned into Opus; pictures are passed on as they are.
            if track.id or not track.is_video or codec is None or not offered:
                continue
            if fitting_codec(offered[0], codec) is None:
                names = ", ".join(one.encoding for one in offered[0].codecs)
                raise ProtocolError(
                    f"the stream's pictures are {codec.value}, the offer has {names}",
                    code="unsupported",
                    source="WHEP draft-03 §4.3.5",
                )
