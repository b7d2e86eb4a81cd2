"""Relays over WHEP and WHIP: here the server is the client."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Sequence
from urllib.parse import urlsplit

import httpx
import trio
from sansmedia.codecs import Codec
from sansmedia.sansio import ProtocolError, UsageError
from sansmedia.sdp import Direction, OfferedMedia, Setup, make_offer
from sansmedia.webrtc import Connected, MediaReceived, PeerEvent, SenderReportReceived
from sansmedia.whip import decode_address

from penstock import log
from penstock.control import Invalid, RelayView, Unavailable
from penstock.engine.engine import Engine
from penstock.engine.registry import Refusal
from penstock.engine.session import Role, Session, StreamKey
from penstock.engine.stream import Publication, Stream
from penstock.media import TrackKind
from penstock.media.rtp_timeline import RtpTimeline

from .barrier import SessionEnd, Start, run_session, run_with_tasks, start_apart
from .relay_state import UNWATCHED_S, Relay
from .rtmp_client import RemoteRefusal
from .webrtc_media import receiving_offer, rtp_codecs, sending_offer
from .webrtc_port import Traffic, WebRtcPort
from .webrtc_session import Receiving, Sending, WebRtcSession
from .whip_call import Endpoint, WhipCall

__all__ = ["WebRtcRelays"]

_EARLY_EVENTS = 256
"""Runs of packets that wait until their stream is ours: a few scheduler steps."""
_LOOK_S = 0.5
_SETTLE_S = 1.0
"""So long after its first frame a stream may get the first of its other track."""
_SETTLE_LOOK_S = 0.02
_OFF = "WebRTC is switched off (webrtc.listen)"


class WebRtcRelays:
    """Runs relays over WHEP and WHIP.

    Args:
        engine: Whose streams they feed or take from.
        client: Sends their requests.
    """

    def __init__(self, engine: Engine, client: httpx.AsyncClient) -> None:
        self._engine = engine
        self._client = client
        self._port: WebRtcPort | None = None
        self._nursery: trio.Nursery | None = None
        self._once: dict[str, _Leg] = {}
        """Those that somebody has started for once, by session."""

    def open(self, port: WebRtcPort | None, nursery: trio.Nursery) -> None:
        """Begin to take orders.

        Args:
            port: The media of others' sessions; None if WebRTC is off.
            nursery: Where relays run that somebody has started for once.
        """
        self._port = port
        self._nursery = nursery

    def views(self) -> list[RelayView]:
        """Return the relays that somebody has started for once."""
        return [leg.view() for leg in self._once.values()]

    # -- configured relays ------------------------------------------------------------

    async def run(self, relay: Relay) -> str:
        """Run a configured relay once; return why it failed, or ""."""
        try:
            address = decode_address(relay.remote_url)
            token = address.token
            endpoint = Endpoint(
                plays=address.plays,
                url=address.url,
                shown=relay.remote_url,
                authorization=None if token is None else f"Bearer {token}",
            )
            leg = self._leg(relay.key, endpoint, relay)
        except (ProtocolError, UsageError, Unavailable) as error:
            return str(error)
        relay.session_id = leg.session.id
        try:
            await run_session(self._engine, leg.session, leg.run)
        finally:
            leg.close_port()
        return leg.error

    # -- relays for once --------------------------------------------------------------

    async def pull(self, key: StreamKey, url: str, authorization: str) -> str:
        """Publish what another server's WHEP endpoint plays, until it ends.

        Args:
            key: The stream to publish.
            url: ``http(s)://`` or ``whep(s)://``.
            authorization: Value of the ``Authorization`` field; "" for none.

        Returns:
            The session's id, when the other server has answered.

        Raises:
            Refusal: The stream has a publisher.
            Invalid: The address or the authorization is of the wrong form.
            Unavailable: Whatever else is in the way, in the other server's words.
        """
        return await self._start(key, _endpoint(url, authorization, plays=True))

    async def push(self, key: StreamKey, url: str, authorization: str) -> str:
        """Publish a stream at another server's WHIP endpoint, until it ends.

        As `pull`, but a `Refusal` says that there is no such stream.
        """
        return await self._start(key, _endpoint(url, authorization, plays=False))

    async def _start(self, key: StreamKey, endpoint: Endpoint) -> str:
        nursery = self._nursery
        if nursery is None or self._engine.is_stopping:
            raise Unavailable("the server stops")
        try:
            leg = self._leg(key, endpoint, None)
        except UsageError as error:
            raise Invalid(str(error)) from None
        start_apart(nursery, self._run_once, leg)
        await leg.answered.wait()
        leg.raise_failure()
        return leg.session.id

    async def _run_once(self, leg: _Leg) -> None:
        self._once[leg.session.id] = leg
        try:
            await run_session(self._engine, leg.session, leg.run)
        finally:
            leg.close_port()
            del self._once[leg.session.id]
            leg.refuse(Unavailable("the session has ended"))

    def _leg(self, key: StreamKey, endpoint: Endpoint, relay: Relay | None) -> _Leg:
        """Make one end of a relay. Raises: Unavailable, UsageError."""
        if self._port is None:
            raise Unavailable(_OFF)
        call = WhipCall(self._client, endpoint)
        try:
            port = self._port.sibling()
        except OSError as error:
            raise Unavailable(f"no socket: {error.strerror or error}") from None
        kind = _PullLeg if endpoint.plays else _PushLeg
        return kind(self._engine, port, key, endpoint, call, relay)


def _endpoint(url: str, authorization: str, *, plays: bool) -> Endpoint:
    given = authorization or None
    if url.startswith(("http://", "https://")):
        return Endpoint(plays=plays, url=url, shown=url, authorization=given)
    try:
        address = decode_address(url)
    except ProtocolError as error:
        raise Invalid(error.reason) from None
    if address.plays is not plays:
        raise Invalid(f"expected an address of {'WHEP' if plays else 'WHIP'}")
    if given is None and address.token is not None:
        given = f"Bearer {address.token}"
    return Endpoint(plays=plays, url=address.url, shown=url, authorization=given)


class _Leg(WebRtcSession):
    """One end of a relay: a session that we open elsewhere."""

    _left = "the other server ended it"
    _direction = Direction.INACTIVE

    def __init__(
        self,
        engine: Engine,
        port: WebRtcPort,
        key: StreamKey,
        endpoint: Endpoint,
        call: WhipCall,
        relay: Relay | None,
    ) -> None:
        traffic = Traffic()
        parts = urlsplit(endpoint.url)
        session = Session(
            protocol="whep" if endpoint.plays else "whip",
            address=parts.hostname or "",
            port=parts.port or (443 if parts.scheme == "https" else 80),
            wire=traffic,
            started_at=time.time(),
            started=trio.current_time(),
            # What made a stream is shown as if it had been asked for here.
            tc_url=f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}/{key.app}",
            parameters=parts.query,
            relay_id=uuid.uuid4().hex if relay is None else relay.id,
            source_url=endpoint.shown if endpoint.plays else "",
            target_url="" if endpoint.plays else endpoint.shown,
            connection="new",
        )
        super().__init__(engine, port, session, key, traffic)
        self.error = ""
        """Why it failed."""
        self._failure: Exception | None = None
        self.answered = trio.Event()
        """The other server has answered, or it will not."""
        self._call = call
        self._endpoint = endpoint
        self._relay = relay

    def view(self) -> RelayView:
        """Return what control shows of one that is not configured."""
        session = self.session
        shown = log.mask_url(self._endpoint.shown)
        local = str(self._key)
        connected = self.peer is not None and self.peer.is_connected
        return RelayView(
            id=session.relay_id or session.id,
            source=shown if self._endpoint.plays else local,
            destination=local if self._endpoint.plays else shown,
            state="running" if connected else "connecting",
            attempts=1,
            last_error="",
            session_id=session.id,
        )

    def close_port(self) -> None:
        """Close the socket."""
        self._port.close()

    async def run(self) -> str:
        """Be the body of the session."""
        end = SessionEnd("")
        try:
            reason = await run_with_tasks(self._run)
            if reason == self._left:
                self.error = reason
            return reason
        except* SessionEnd as group:
            found = _first(group)
            assert isinstance(found, SessionEnd)
            end = found
            if end.error:
                self._note(Unavailable(end.reason))
        except* Refusal as group:
            self._note(_first(group))
        except* (RemoteRefusal, ProtocolError, OSError) as group:
            self._note(Unavailable(str(_first(group))))
        raise SessionEnd(self.error or end.reason, error=bool(self.error))

    def refuse(self, error: Exception) -> None:
        """Tell whoever waits for the answer that there will be none."""
        if not self.answered.is_set():
            # With its traceback it would be a cycle through the session's frames.
            self._failure = error.with_traceback(None)
            self.answered.set()

    def raise_failure(self) -> None:
        """Raise what `refuse` has told, once."""
        error, self._failure = self._failure, None
        try:
            if error is not None:
                raise error
        finally:
            del error

    def _note(self, error: Exception) -> None:
        self.error = str(error)
        self.refuse(error)

    async def _run(self, start: Start) -> str:
        raise AssertionError("each direction has its own")

    async def _open(self, start: Start, media: Sequence[OfferedMedia]) -> None:
        """Offer, and begin with what is answered.

        Raises:
            RemoteRefusal: The other server says no, or nothing.
            ProtocolError: Its answer does not fit.
        """
        start(self._port.run)
        peer = self._port.make_peer(controlling=True)
        offer = make_offer(
            media,
            direction=self._direction,
            transport=peer.transport(Setup.ACTPASS),
            session_id=int.from_bytes(os.urandom(7), "big"),
        )
        negotiated = await self._call.open(offer, peer)
        self.session.remote_session_url = self._call.session_url
        self.peer = peer
        peer.connect(negotiated, now=trio.current_time())
        self._note_connection("connecting")
        self._port.enter(peer, self, self.traffic)
        log.info(
            "relay answered",
            session=self.session.id,
            relay=self.session.relay_id,
            stream=str(self._key),
            url=self._endpoint.shown,
        )
        self.answered.set()

    def _connected(self, event: Connected, now: float) -> None:
        super()._connected(event, now)
        self.session.address, self.session.port = event.path.peer
        if self._relay is not None:
            self._relay.state = "running"

    async def _hang_up(self) -> None:
        """Say goodbye on both ways."""
        self._leave()
        timeout_s = self._engine.farewell_s
        with trio.CancelScope(shield=True, deadline=trio.current_time() + timeout_s):
            await self._call.close(self.session.end_reason)


def _first(group: BaseExceptionGroup[Exception]) -> Exception:
    error: Exception | BaseExceptionGroup[Exception] = group.exceptions[0]
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


class _PullLeg(_Leg, Receiving):
    """Publishes here what a WHEP endpoint plays."""

    _direction = Direction.RECVONLY

    def __init__(
        self,
        engine: Engine,
        port: WebRtcPort,
        key: StreamKey,
        endpoint: Endpoint,
        call: WhipCall,
        relay: Relay | None,
    ) -> None:
        super().__init__(engine, port, key, endpoint, call, relay)
        self._publication: Publication | None = None
        self._fed = trio.Event()
        self._early: list[tuple[PeerEvent, float]] = []

    async def _run(self, start: Start) -> str:
        try:
            if self._relay is None:
                # Whoever has asked is told now if somebody else publishes it.
                await self._claim()
            await self._open(start, receiving_offer())
            self._media_at = trio.current_time()
            start(self._keep_time)
            if self._relay is not None:
                start(self._claim_when_fed)
                start(self._watch_viewers, self._relay)
            return await self._wait()
        finally:
            self._stop()
            if self._publication is not None:
                self._engine.registry.unclaim(self._publication)
            await self._hang_up()
            self.session.stream = None

    async def _claim(self) -> None:
        """Become the publisher. Raises: Refusal."""
        self._publication = await self._engine.registry.claim(
            self.session, self._key, RtpTimeline
        )
        self._begin(self._publication)
        early, self._early = self._early, []
        for event, now in early:
            super()._take(event, now)

    async def _claim_when_fed(self) -> None:
        """Not before: a server may keep us waiting for its publisher.

        Ours must not be shut out by that.
        """
        await self._fed.wait()
        await self._claim()

    async def _watch_viewers(self, relay: Relay) -> None:
        watched = trio.current_time()
        while True:
            await trio.sleep(_LOOK_S)
            now = trio.current_time()
            if relay.is_watched(self._engine):
                watched = now
            elif now - watched > UNWATCHED_S:
                raise SessionEnd("nobody watches")

    def _take(self, event: PeerEvent, now: float) -> None:
        if self._ingest is not None:
            super()._take(event, now)
        elif isinstance(event, MediaReceived | SenderReportReceived):
            if len(self._early) < _EARLY_EVENTS:
                self._early.append((event, now))
            if isinstance(event, MediaReceived):
                self._fed.set()


class _PushLeg(_Leg, Sending):
    """Publishes a stream of ours at a WHIP endpoint: a viewer like any other."""

    _direction = Direction.SENDONLY

    async def _run(self, start: Start) -> str:
        session, registry = self.session, self._engine.registry
        stream = registry.streams.get(self._key)
        if stream is None:
            raise Refusal(f"there is no stream {self._key}", "absent")
        session.stream = self._stream = stream
        session.role = Role.PLAY
        stream.join(session)
        registry.note_change()
        try:
            await _settle(stream)
            offered = set(rtp_codecs(stream))
            await self._open(start, sending_offer(stream))
            if self._relay is not None:
                start(self._watch_tracks, offered)
            return await self._wait()
        finally:
            self._detach()
            stream.part(session)
            registry.release(stream)
            await self._hang_up()
            session.stream = None

    async def _watch_tracks(self, offered: set[Codec]) -> None:
        """Let the relay begin anew for tracks that were not there when it did."""
        while True:
            await trio.sleep(_LOOK_S)
            stream = self._stream
            if stream is not None and not offered.issuperset(rtp_codecs(stream)):
                raise SessionEnd("the stream has other tracks now")


async def _settle(stream: Stream) -> None:
    """Wait a moment for the tracks of a stream that has just begun."""
    deadline = trio.current_time() + _SETTLE_S
    while trio.current_time() < deadline:
        publication = stream.publication
        if publication is None or publication.live_since is None:
            return
        kinds = {track.kind for track in publication.tracks}
        if kinds >= {TrackKind.VIDEO, TrackKind.AUDIO}:
            return
        if time.time() - publication.live_since >= _SETTLE_S:
            return
        await trio.sleep(_SETTLE_LOOK_S)
