"""WebRTC signalling of SRS: WHIP and WHEP its way, and the JSON API before them."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Awaitable, Callable
from itertools import islice
from urllib.parse import quote, unquote

import attrs
from sansmedia.sansio import ProtocolError
from sansmedia.sdp import decode_session, encode_session
from sansmedia.whip import peer_credentials

from penstock.control import Control, ControlError, NotFound, WebRtcOffer
from penstock.settings import Settings

from .answers import Answer, error, text
from .encoding import Json, encode
from .errors import Code
from .requests import ApiRequest
from .rtc_errors import RtcRefusal, refusal_of
from .rtc_requests import RtcRequest, read_json, read_whip
from .rtc_sdp import prepared_offer, shaped_answer

__all__ = ["RtcEndpoints"]

SWEEP = 50
"""Sessions that one new session looks at, whether they are still there."""

_ICE_CHARACTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


@attrs.define
class _Session:
    """What a session's URL needs to know."""

    session_id: str
    token: str


@attrs.frozen
class _Accepted:
    """What a client that gets a session is told."""

    sdp: str
    name: str
    """``<our ufrag>:<its ufrag>``."""
    token: str


class RtcEndpoints:
    """The endpoints under ``/rtc/v1/``.

    Args:
        control: The engine's door.
        settings: Gives the whole configuration in force.
        envelope: Puts the envelope's fields in front of an encoded object's own.
    """

    def __init__(
        self,
        control: Control,
        settings: Callable[[], Settings],
        envelope: Callable[[bytes], Awaitable[Answer]],
    ) -> None:
        self._control = control
        self._settings = settings
        self._envelope = envelope
        self._sessions: dict[str, _Session] = {}

    # -- endpoints --------------------------------------------------------------------

    async def whip(self, request: ApiRequest) -> Answer:
        """Take a publisher, a viewer if ``action=play``, or end a session (DELETE)."""
        return await self._offered(request, plays=False)

    async def whep(self, request: ApiRequest) -> Answer:
        """Take a viewer, or end a session (DELETE)."""
        return await self._offered(request, plays=True)

    async def _offered(self, request: ApiRequest, *, plays: bool) -> Answer:
        try:
            if request.method == "DELETE":
                return await self._delete(request)
            asked = read_whip(request, self._settings().vhosts, plays=plays)
            accepted = await self._accept(request, asked)
        except RtcRefusal as refusal:
            return text(refusal.status, refusal.line)
        # Relative, so that it holds behind a proxy that has another name.
        location = (
            f"/rtc/v1/whip/?action=delete&token={accepted.token}"
            f"&app={quote(asked.app)}&stream={quote(asked.stream)}"
            f"&session={quote(accepted.name, safe=':+/')}"
        )
        return Answer(
            accepted.sdp.encode(),
            status=201,
            content_type=b"application/sdp",
            headers=((b"Location", location.encode()),),
        )

    async def _delete(self, request: ApiRequest) -> Answer:
        token = request.query.get("token", "")
        if not token:
            raise RtcRefusal(400, Code.RTC_INVALID_SESSION)
        name = unquote(request.query.get("session", ""))
        session = self._sessions.get(name)
        if session is not None:
            if not hmac.compare_digest(token.encode(), session.token.encode()):
                raise RtcRefusal(401, Code.RTC_INVALID_SESSION)
            del self._sessions[name]
            try:
                await self._control.kick(session.session_id, "client left")
            except NotFound:
                pass  # it has left already, or is asked to leave a second time
        return Answer(content_type=b"")

    async def publish(self, request: ApiRequest) -> Answer:
        """Take a publisher of the JSON API."""
        return await self._called(request, publishes=True)

    async def play(self, request: ApiRequest) -> Answer:
        """Take a viewer of the JSON API."""
        return await self._called(request, publishes=False)

    async def _called(self, request: ApiRequest, *, publishes: bool) -> Answer:
        try:
            vhosts = self._settings().vhosts
            asked = read_json(request, vhosts, publishes=publishes)
            accepted = await self._accept(request, asked)
        except RtcRefusal as refusal:
            if refusal.reason:
                said: dict[str, Json] = {"code": 400, "message": refusal.reason}
                return Answer(encode(said))
            return error(Code.BAD_REQUEST)
        told: dict[str, Json] = {"sdp": accepted.sdp, "sessionid": accepted.name}
        return await self._envelope(encode(told))

    # -- sessions ---------------------------------------------------------------------

    async def _accept(self, request: ApiRequest, asked: RtcRequest) -> _Accepted:
        try:
            theirs = decode_session(asked.sdp)
        except ProtocolError:
            raise RtcRefusal(400, Code.RTC_SDP_DECODE) from None
        try:
            peer_ufrag, _ = peer_credentials(theirs)
        except ProtocolError:
            raise RtcRefusal(400, Code.RTC_SDP_NEGOTIATE) from None
        offer = prepared_offer(theirs, asked.codec, publishes=asked.publishes)
        if offer is None:
            raise RtcRefusal(400, Code.RTC_SDP_NEGOTIATE)
        ufrag, pwd = _credentials(asked)
        try:
            answer = await self._control.offer_webrtc(
                WebRtcOffer(
                    publishes=asked.publishes,
                    vhost=asked.vhost,
                    app=asked.app,
                    name=asked.stream,
                    sdp=encode_session(offer),
                    address=request.client,
                    parameters=asked.parameters,
                    token=request.bearer,
                    user_agent=request.user_agent,
                    page_url=request.referer,
                    tc_url=asked.tc_url,
                    host=request.host,
                    addresses=asked.addresses,
                    stays=not asked.publishes,
                    ice_ufrag=ufrag,
                    ice_pwd=pwd,
                )
            )
        except ControlError as refused:
            server = await self._control.server()
            is_on = any(one.name == "webrtc" for one in server.listeners)
            raise refusal_of(refused, is_on=is_on) from None
        name = f"{answer.ice_ufrag}:{peer_ufrag}"
        token = secrets.token_hex(16)
        await self._sweep()
        self._sessions[name] = _Session(answer.session_id, token)
        shaped = shaped_answer(
            answer.sdp,
            publishes=asked.publishes,
            stream=f"{asked.app}/{asked.stream}",
            # Where they are configured, those of the interfaces lead nowhere outside.
            wanted=[
                *[address for address, _ in asked.addresses],
                *self._settings().webrtc.public_addresses,
            ],
        )
        return _Accepted(shaped, name, token)

    async def _sweep(self) -> None:
        """Forget some of the sessions that have ended, those not seen for longest."""
        for name, session in list(islice(self._sessions.items(), SWEEP)):
            try:
                await self._control.webrtc_ufrag(session.session_id)
                is_there = True
            except NotFound:
                is_there = False
            # Meanwhile it may have been ended, or have made room for a namesake.
            if self._sessions.get(name) is session:
                del self._sessions[name]
                if is_there:
                    self._sessions[name] = session


def _credentials(asked: RtcRequest) -> tuple[str, str]:
    """Return the credentials that the client wants; both or none are needed."""
    ufrag, pwd = asked.ice_ufrag, asked.ice_pwd
    if not ufrag and not pwd:
        return "", ""
    return ufrag or _dice(8), pwd or _dice(32)


def _dice(length: int) -> str:
    return "".join(secrets.choice(_ICE_CHARACTERS) for _ in range(length))
