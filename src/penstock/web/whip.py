"""WHIP and WHEP on the public port: offers for a stream, and what follows them."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from itertools import islice

import attrs
import trio
from quart import Response, request
from quart_trio import QuartTrio
from sansmedia import sdp
from sansmedia.whip import (
    AnswerReceived,
    CandidatesReceived,
    EndpointConfig,
    IceServer,
    Link,
    OfferReceived,
    ResourceConfig,
    RestartRequested,
    SessionEnded,
    SessionResource,
    WhepEndpoint,
    WhipEndpoint,
    cors_headers,
    options_response,
    peer_credentials,
    problem_response,
)
from sansmedia.whip import Request as WhipRequest
from sansmedia.whip import Response as WhipResponse

from penstock.control import (
    Conflict,
    Control,
    ControlError,
    Forbidden,
    Invalid,
    NotFound,
    Unacceptable,
    Unavailable,
    WebRtcOffer,
)
from penstock.settings import Settings

from .access import Client

__all__ = ["add_whip", "is_whip_path"]

_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
_SESSIONS = "/penstock/v1/webrtc/"
_ENDINGS = ("/whip", "/whep")
_REMEMBERED_S = 60.0
"""So long after its end a client may still say that it wants its session to end."""
_SWEEP = 8
"""Sessions that are looked at with each new one, so that many cost it nothing."""
_LAYER_EXTENSION = "urn:ietf:params:whep:ext:core:layer"

_STATUS: list[tuple[type[ControlError], int]] = [
    (Forbidden, 403),
    (Conflict, 409),
    (NotFound, 409),
    (Invalid, 400),
    (Unacceptable, 422),
    (Unavailable, 503),
]
"""A stream that nobody publishes is a conflict to WHEP (WHEP draft-03 §4.3.8)."""


@attrs.define(eq=False)
class _Session:
    """What the URL of one session needs to know."""

    session_id: str
    resource: SessionResource
    answer: str
    """As it was sent: decoded it takes five times as much."""
    ended_at: float | None = None
    """When it was found to have ended."""


def is_whip_path(path: str) -> bool:
    """Tell whether a path is one of WHIP's or WHEP's: open to pages of others."""
    return path.endswith(_ENDINGS) or path.startswith(_SESSIONS)


def add_whip(
    app: QuartTrio,
    control: Control,
    settings: Callable[[], Settings],
    client: Callable[[], Client],
) -> None:
    """Add the routes ``/<app>/<stream>/whip`` and ``/whep`` and those of sessions.

    Args:
        app: The public port's.
        control: The door into the engine.
        settings: Gives the configuration in force.
        client: Tells whose request is at hand.
    """
    site = _Site(control, settings, client)

    async def offers(path: str) -> Response:
        return _written(await site.offer(path, await _request()))

    async def session(token: str) -> Response:
        return _written(await site.session(token, await _request()))

    async def layer(token: str) -> Response:
        return _written(await site.layer(token, await _request()))

    app.add_url_rule(
        f"{_SESSIONS}<token>/layer",
        "webrtc_layer",
        layer,
        methods=_METHODS,
        provide_automatic_options=False,
    )
    for ending in _ENDINGS:
        app.add_url_rule(
            f"/<path:path>{ending}",
            f"offers{ending}",
            offers,
            methods=_METHODS,
            provide_automatic_options=False,
        )
    app.add_url_rule(
        f"{_SESSIONS}<token>",
        "webrtc_session",
        session,
        methods=_METHODS,
        provide_automatic_options=False,
    )


async def _request() -> WhipRequest:
    body = await request.get_data(as_text=False)
    assert isinstance(body, bytes)
    return WhipRequest(
        request.method, request.full_path, list(request.headers.items()), body
    )


def _written(response: WhipResponse) -> Response:
    written = Response(response.body, response.status)
    del written.headers["Content-Type"]
    for name, value in response.headers:
        written.headers.add(name, value)
    return written


class _Site:
    def __init__(
        self,
        control: Control,
        settings: Callable[[], Settings],
        client: Callable[[], Client],
    ) -> None:
        self._control = control
        self._settings = settings
        self._client = client
        self._sessions: dict[str, _Session] = {}

    # -- offers -----------------------------------------------------------------------

    async def offer(self, path: str, asked: WhipRequest) -> WhipResponse:
        publishes = request.path.endswith("/whip")
        kind = WhipEndpoint if publishes else WhepEndpoint
        config = EndpointConfig(
            allow_origin=self._allowed_origin(),
            ice_servers=self._ice_servers(),
            realm="penstock",
        )
        endpoint = kind(config=config)
        now = trio.current_time()
        event = endpoint.handle(asked, now)
        if not isinstance(event, OfferReceived):
            return event
        response = await self._answer(path, publishes, endpoint, event)
        assert response is not None
        return response

    async def _answer(
        self, path: str, publishes: bool, endpoint: WhipEndpoint, event: OfferReceived
    ) -> WhipResponse | None:
        app, _, name = path.rpartition("/")
        host = request.host.rpartition(":")[0] or request.host
        settings, client = self._settings(), self._client()
        vhost = request.args.get("vhost") or request.args.get("domain") or host
        offer = WebRtcOffer(
            publishes=publishes,
            vhost=vhost if vhost in settings.vhosts else "default",
            app=app or "live",
            name=name,
            sdp=event.text,
            address=client.address,
            port=(request.scope.get("client") or ("", 0))[1] or 0,
            parameters=request.query_string.decode("latin-1"),
            token=event.token or "",
            user_agent=request.headers.get("User-Agent", ""),
            page_url=request.headers.get("Referer", ""),
            tc_url=f"{request.scheme}://{request.host}/{app or 'live'}",
            host=host,
        )
        try:
            answer = await self._control.offer_webrtc(offer)
        except ControlError as error:
            status = _status(error, has_token=bool(event.token))
            now = trio.current_time()
            return endpoint.reject(event.request_id, status, str(error), now=now)
        now = trio.current_time()
        token = secrets.token_urlsafe(16)
        resource = SessionResource(
            peer=peer_credentials(event.offer),
            etag=answer.ice_ufrag,
            config=ResourceConfig(allow_origin=self._allowed_origin()),
            now=now,
        )
        await self._forget_ended()
        self._sessions[token] = _Session(answer.session_id, resource, answer.sdp)
        url = f"{_SESSIONS}{token}"
        layers = Link(f"{url}/layer", _LAYER_EXTENSION)
        return endpoint.accept(
            event.request_id,
            answer=answer.sdp,
            session_url=url,
            etag=answer.ice_ufrag,
            ice_servers=self._ice_servers(),
            extensions=[layers] if answer.layers else [],
            now=now,
        )

    async def _forget_ended(self) -> None:
        """Forget some sessions that ended long ago; those seen longest ago first."""
        now = trio.current_time()
        for token, session in list(islice(self._sessions.items(), _SWEEP)):
            try:
                await self._control.webrtc_ufrag(session.session_id)
            except NotFound:
                if session.ended_at is None:
                    session.ended_at = now
            is_over = (
                session.ended_at is not None and now - session.ended_at >= _REMEMBERED_S
            )
            # Meanwhile its client may have ended it.
            if self._sessions.pop(token, None) is not None and not is_over:
                self._sessions[token] = session

    def _allowed_origin(self) -> str | None:
        origin = request.headers.get("Origin", "")
        allowed = self._settings().http.cors_origins
        if "*" in allowed:
            return "*"
        return origin if origin and origin in allowed else None

    def _ice_servers(self) -> tuple[IceServer, ...]:
        settings = self._settings().webrtc
        return tuple(
            IceServer(
                url,
                username=settings.ice_username if url.startswith("turn") else None,
                credential=settings.ice_credential if url.startswith("turn") else None,
            )
            for url in settings.ice_servers
        )

    # -- sessions ---------------------------------------------------------------------

    async def session(self, token: str, asked: WhipRequest) -> WhipResponse:
        session = self._sessions.get(token)
        if session is None:
            return problem_response(
                404, "there is no such session", allow_origin=self._allowed_origin()
            )
        resource, now = session.resource, trio.current_time()
        event = resource.handle(asked, now)
        if isinstance(event, WhipResponse):
            return event
        try:
            response = await self._do(session, event)
        except NotFound as error:
            self._sessions.pop(token, None)
            if isinstance(event, SessionEnded):
                # Its goodbye over DTLS was faster; what it wants is done.
                response = resource.accept(event.request_id, now=now)
            else:
                response = resource.reject(event.request_id, 404, str(error), now=now)
        except ControlError as error:
            response = resource.reject(event.request_id, 400, str(error), now=now)
        if resource.is_ended:
            self._sessions.pop(token, None)
        assert response is not None
        return response

    # -- layers -----------------------------------------------------------------------

    async def layer(self, token: str, asked: WhipRequest) -> WhipResponse:
        """Show or choose the layer of simulcast that a viewer gets.

        GET lists them, POST ``{"encodingId": "..."}`` chooses one, DELETE leaves the
        pictures out until the next POST.
        """
        allow_origin = self._allowed_origin()
        if asked.method == "OPTIONS":
            return options_response(
                asked,
                ("GET", "POST", "DELETE", "OPTIONS"),
                accept_post="application/json",
                allow_origin=allow_origin,
            )
        session = self._sessions.get(token)
        try:
            if session is None:
                raise NotFound("there is no such session")
            return await self._layer(session.session_id, asked)
        except NotFound as error:
            return problem_response(404, str(error), allow_origin=allow_origin)
        except Invalid as error:
            return problem_response(400, str(error), allow_origin=allow_origin)

    async def _layer(self, session_id: str, asked: WhipRequest) -> WhipResponse:
        control, headers = self._control, cors_headers(self._allowed_origin())
        view = await control.session(session_id)
        stream = None if view.stream_id is None else view.stream_id
        tracks = () if stream is None else (await control.stream(stream)).tracks
        names = [t.name for t in tracks if t.kind == "video" and t.group == "simulcast"]
        if asked.method == "GET":
            listed = json.dumps([{"encodingId": name} for name in names]).encode()
            return WhipResponse(
                200, [("Content-Type", "application/json"), *headers], listed
            )
        if asked.method == "DELETE":
            await control.mute(session_id, "video", muted=True)
            return WhipResponse(200, headers)
        if asked.method != "POST":
            return problem_response(
                405,
                "a layer is shown, chosen or left out",
                allow="GET, POST, DELETE, OPTIONS",
                allow_origin=self._allowed_origin(),
            )
        wanted = _encoding_id(asked.body)
        if wanted and wanted not in names:
            raise Invalid(f"the layers are {', '.join(names) or 'none'}")
        await control.select_layer(session_id, wanted)
        await control.mute(session_id, "video", muted=False)
        return WhipResponse(200, headers)

    async def _do(
        self,
        session: _Session,
        event: CandidatesReceived | RestartRequested | AnswerReceived | SessionEnded,
    ) -> WhipResponse | None:
        control, resource = self._control, session.resource
        session_id = session.session_id
        if isinstance(event, RestartRequested):
            restarted = await control.patch_webrtc(
                session_id,
                ufrag=event.ice_ufrag,
                pwd=event.ice_pwd,
                candidates=event.candidates,
                end=event.fragment.has_ended,
            )
            if restarted is None:
                raise Invalid("nothing to restart")
            answer = sdp.decode_session(session.answer)
            fragment = sdp.make_fragment(
                answer,
                _candidates(answer),
                end_of_candidates=True,
                credentials=restarted,
            )
            return resource.accept_restart(
                event.request_id,
                fragment=fragment,
                etag=restarted[0],
                now=trio.current_time(),
            )
        if isinstance(event, CandidatesReceived):
            await control.patch_webrtc(
                session_id,
                candidates=event.fragment.all_candidates,
                end=event.fragment.has_ended,
            )
        elif isinstance(event, SessionEnded):
            await control.kick(session_id, "client left")
        return resource.accept(event.request_id, now=trio.current_time())


def _encoding_id(body: bytes) -> str:
    """Return which layer a request names; "" for the main one. Raises: Invalid."""
    try:
        value = json.loads(body or b"{}")
    except (ValueError, RecursionError):
        value = None
    wanted = value.get("encodingId", "") if isinstance(value, dict) else None
    if wanted is None and isinstance(value, dict):
        wanted = ""
    if not isinstance(wanted, str):
        raise Invalid('expected JSON: {"encodingId": "..."}')
    return wanted


def _candidates(answer: sdp.SessionDescription) -> list[str]:
    return [text for media in answer.media for text in media.candidates]


def _status(error: ControlError, *, has_token: bool) -> int:
    for kind, status in _STATUS:
        if isinstance(error, kind):
            # Whoever brought no token may come again with one. RFC 6750 §3.1.
            return 401 if status == 403 and not has_token else status
    return 500
