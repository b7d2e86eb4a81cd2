"""What each path of Live777 does: one command or query of control, and its answer."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Callable, Iterable, Mapping

import attrs
import trio
from quart import Response

from penstock.control import (
    Control,
    ControlError,
    Invalid,
    NotFound,
    SessionView,
    StreamView,
    Unavailable,
    WebRtcAnswer,
    WebRtcOffer,
)
from penstock.settings import Live777Strategy, Settings, WebRtcSettings
from penstock.slices import in_slices

from . import shapes
from .bodies import (
    FRAGMENT_TYPE,
    SDP_TYPE,
    Cascade,
    check_offer,
    check_type,
    decode_cascade,
    decode_layer,
    decode_mute,
    decode_trickle,
)
from .errors import EXISTS, NO_RESOURCE, NO_SESSION, NO_STREAM, Failure, failure_of
from .keeper import Keeper
from .names import find, key_of, quoted, stream_id
from .tokens import Grant

__all__ = ["Endpoints", "Front"]

_LAYER = "urn:ietf:params:whep:ext:core:layer"
_TEXT = "text/plain; charset=utf-8"
_GONE_S = 2.0
"""How long an answer waits for a session that it has ended."""
_KEEP_ALIVE_S = 15.0
_GATHER_S = 0.1
"""Changes within so short a time make one message."""
_MOST_OWNERS = 4_096
"""Sessions of tokens for one stream that are remembered; the oldest goes first."""


@attrs.frozen
class Front:
    """What a request says beside its path and body."""

    address: str
    """Of the client."""
    content_type: str | None
    headers: Mapping[str, str]
    """By name in lower case."""
    tc_base: str
    """Scheme and host that it asked."""
    host: str
    """The same host, without port."""
    parameters: str
    """Its query."""
    grant: Grant | None
    """What its token allows, if it proves something."""


class Endpoints:
    """What the routes of both ports share.

    Args:
        control: The door into the engine.
        settings: Gives the configuration in force.
        keeper: Of streams that are made on the way.
    """

    def __init__(
        self, control: Control, settings: Callable[[], Settings], keeper: Keeper
    ) -> None:
        self._control = control
        self._settings = settings
        self._keeper = keeper
        self._owners: dict[str, bytes] = {}

    def is_own(self, session_id: str, grant: Grant) -> bool:
        """Tell whether a session was begun with this token."""
        return self._owners.get(session_id) == grant.digest

    # -- WHIP and WHEP ----------------------------------------------------------------

    async def offer(
        self, id: str, front: Front, body: bytes, *, publishes: bool
    ) -> Response:
        """Answer an offer to publish or to play."""
        check_type(front.content_type, SDP_TYPE)
        text = body.decode("utf-8", "replace")
        check_offer(text, publishes=publishes)
        view, made = await self._stream_for(id, publishes=publishes)
        offer = WebRtcOffer(
            publishes=publishes,
            vhost=view.vhost,
            app=view.app,
            name=view.name,
            sdp=text,
            address=front.address,
            parameters=front.parameters,
            token=_bearer(front),
            user_agent=front.headers.get("user-agent", ""),
            page_url=front.headers.get("referer", ""),
            tc_url=f"{front.tc_base}/{view.app}",
            host=front.host,
            authorized=front.grant is not None,
            stays=True,
        )
        try:
            answer = await self._control.offer_webrtc(offer)
        except ControlError as error:
            if made:
                await self._keeper.forget_unused(view.id)
            raise failure_of(error) from None
        if publishes and not view.reserved and self._strategy.auto_create_whip:
            # Whoever published it, it would go with its publisher.
            with contextlib.suppress(ControlError):
                await self._keeper.keep((view.vhost, view.app, view.name))
        if front.grant is not None and not front.grant.is_full:
            self._own(answer.session_id, front.grant)
        if answer.layers and not publishes:
            with contextlib.suppress(NotFound):
                await self._control.select_layer(answer.session_id, min(answer.layers))
        return self._accepted(id, answer)

    def _accepted(self, id: str, answer: WebRtcAnswer) -> Response:
        location = f"/session/{quoted(id)}/{answer.session_id}"
        response = Response(answer.sdp.encode(), 201, content_type=SDP_TYPE)
        response.headers["Accept-Patch"] = FRAGMENT_TYPE
        response.headers["Location"] = location
        for link in _ice_links(self._settings().webrtc):
            response.headers.add("Link", link)
        if answer.layers:
            response.headers.add("Link", f'<{location}/layer>; rel="{_LAYER}"')
        return response

    async def _stream_for(self, id: str, *, publishes: bool) -> tuple[StreamView, bool]:
        """Return the stream of an offer, and whether it was made for it."""
        try:
            return await find(self._control, id), False
        except NotFound:
            pass
        strategy = self._strategy
        may = strategy.auto_create_whip if publishes else strategy.auto_create_whep
        if not may:
            raise Failure(404, NO_STREAM)
        try:
            return await self._keeper.keep(key_of(id)), True
        except ControlError as error:
            raise failure_of(error) from None

    def _own(self, session_id: str, grant: Grant) -> None:
        self._owners[session_id] = grant.digest
        if len(self._owners) > _MOST_OWNERS:
            del self._owners[next(iter(self._owners))]

    # -- sessions ---------------------------------------------------------------------

    async def trickle(
        self, id: str, session_id: str, front: Front, body: bytes
    ) -> Response:
        """Take candidates; what else a fragment says is not for us."""
        check_type(front.content_type, FRAGMENT_TYPE)
        view = await self._find(id, NO_SESSION)
        asked = decode_trickle(body.decode("utf-8", "replace"))
        if await self._session(view, session_id) is not None:
            with contextlib.suppress(NotFound, Invalid):
                await self._control.patch_webrtc(
                    session_id, candidates=asked.candidates, end=asked.end
                )
        return Response(b"", 204)

    async def leave(self, id: str, session_id: str) -> Response:
        """End a viewer; with a publisher the whole stream ends."""
        view = await self._find(id, NO_SESSION)
        session = await self._session(view, session_id)
        with contextlib.suppress(NotFound):
            if session is None:
                pass
            elif session.role == "publish":
                await self._control.destroy_stream(view.id, "client left")
            else:
                await self._control.kick(session_id, "client left")
                await self._until_gone(session_id)
        return Response(b"", 204)

    async def _until_gone(self, session_id: str) -> None:
        """Let the next listing be right: sessions end a moment after the command."""
        with trio.move_on_after(_GONE_S):
            seen = -1
            while True:
                seen = await self._control.wait_changed(seen)
                if (await self._control.session(session_id)).connection == "closed":
                    return

    async def mute(
        self, id: str, session_id: str, front: Front, body: bytes
    ) -> Response:
        """Stop or go on to send a viewer pictures or sound."""
        asked = decode_mute(front.content_type, body)
        view = await self._find(id)
        if await self._session(view, session_id) is not None:
            with contextlib.suppress(NotFound):
                await self._control.mute(
                    session_id, asked.kind, muted=not asked.enabled
                )
        return _json({})

    async def layers(self, id: str) -> Response:
        """List the publisher's layers."""
        return _json([{"encodingId": layer} for layer in await self._layers(id)])

    async def _layers(self, id: str) -> list[str]:
        layers = shapes.layers(await self._find(id))
        if not layers:
            raise Failure(500, "not layers")
        return layers

    async def select(
        self, id: str, session_id: str, front: Front, body: bytes
    ) -> Response:
        """Send a viewer another layer."""
        layer = decode_layer(front.content_type, body)
        layers = await self._layers(id)
        if layer and layer not in layers:
            raise Failure(404, "layer not exists")
        try:
            await self._of_stream(id, session_id)
            await self._control.select_layer(session_id, layer or layers[0])
            await self._control.mute(session_id, "video", muted=False)
        except NotFound:
            raise Failure(404, NO_SESSION) from None
        return Response(b"", 200, content_type=_TEXT)

    async def unselect(self, id: str, session_id: str) -> Response:
        """Send a viewer no pictures."""
        try:
            await self._of_stream(id, session_id)
            await self._control.mute(session_id, "video", muted=True)
        except NotFound:
            raise Failure(404, NO_SESSION) from None
        return Response(b"", 200, content_type=_TEXT)

    async def _find(self, id: str, missing: str = NO_STREAM) -> StreamView:
        try:
            return await find(self._control, id)
        except NotFound:
            raise Failure(404, missing) from None

    async def _session(self, view: StreamView, session_id: str) -> SessionView | None:
        with contextlib.suppress(NotFound):
            session = await self._control.session(session_id)
            if session.stream_id == view.id:
                return session
        return None

    async def _of_stream(self, id: str, session_id: str) -> None:
        if await self._session(await self._find(id), session_id) is None:
            raise NotFound(f"no session {session_id}")

    # -- streams ----------------------------------------------------------------------

    async def streams(self, wanted: Iterable[str]) -> Response:
        """List streams."""
        return Response(await self._listing(wanted), content_type="application/json")

    async def _listing(self, wanted: Iterable[str]) -> bytes:
        ids = {id for id in wanted if id}
        views = await self._control.streams()
        by_stream: dict[str | None, list[SessionView]] = {}
        for session in await self._control.sessions():
            by_stream.setdefault(session.stream_id, []).append(session)
        shown = [view for view in views if not ids or stream_id(view) in ids]
        shown.sort(key=stream_id)
        parts = await in_slices(
            shown,
            lambda view: shapes.dumps(shapes.stream(view, by_stream.get(view.id, ()))),
        )
        return b"[" + b",".join(parts) + b"]"

    async def stream(self, id: str) -> Response:
        """Show one stream."""
        view = await self._find(id, id)
        sessions = [s for s in await self._control.sessions() if s.stream_id == view.id]
        return _json(shapes.stream(view, sessions))

    async def create(self, id: str) -> Response:
        """Make a stream that nobody uses yet."""
        with contextlib.suppress(NotFound):
            await find(self._control, id)
            raise Failure(409, EXISTS)
        try:
            await self._control.reserve_stream(*key_of(id))
        except ControlError as error:
            raise failure_of(error) from None
        return Response(b"", 204)

    async def destroy(self, id: str) -> Response:
        """End a stream with all its sessions."""
        view = await self._find(id, NO_RESOURCE)
        with contextlib.suppress(NotFound):
            await self._control.destroy_stream(view.id, "stream destroyed")
        return Response(b"", 204)

    async def events(self, wanted: Iterable[str]) -> Response:
        """Send the list anew whenever it changes."""
        response = Response(self._snapshots(wanted), content_type="text/event-stream")
        response.headers["Cache-Control"] = "no-cache"
        response.timeout = None
        return response

    async def _snapshots(self, wanted: Iterable[str]) -> AsyncIterator[bytes]:
        seen = await self._control.wait_changed(-1)
        last = b""
        while True:
            listing = await self._listing(wanted)
            if listing != last:
                last = listing
                yield b"data: " + listing + b"\n\n"
            with trio.move_on_after(_KEEP_ALIVE_S) as scope:
                seen = await self._control.wait_changed(seen)
                await trio.sleep(_GATHER_S)
            if scope.cancelled_caught:
                yield b":\n\n"

    # -- cascades ---------------------------------------------------------------------

    async def cascade(self, id: str, front: Front, body: bytes) -> Response:
        """Take a stream from another server, or bring it there."""
        asked = decode_cascade(front.content_type, body)
        try:
            if asked.source_url:
                await self._pull(id, asked)
            else:
                await self._push(id, asked)
        except Unavailable as error:
            raise Failure(500, str(error)) from None
        except ControlError as error:
            raise failure_of(error) from None
        return Response(b"", 200, content_type=_TEXT)

    async def _pull(self, id: str, asked: Cascade) -> None:
        view, made = await self._stream_for(id, publishes=True)
        try:
            await self._control.cascade_pull(
                vhost=view.vhost,
                app=view.app,
                name=view.name,
                url=asked.source_url,
                authorization=asked.token,
            )
        except ControlError:
            if made:
                await self._keeper.forget_unused(view.id)
            raise

    async def _push(self, id: str, asked: Cascade) -> None:
        view = await self._find(id)
        session_id = await self._control.cascade_push(
            vhost=view.vhost,
            app=view.app,
            name=view.name,
            url=asked.target_url,
            authorization=asked.token,
        )
        if not self._strategy.cascade_push_close_sub:
            return
        for session in await self._control.sessions():
            is_viewer = session.stream_id == view.id and session.role == "play"
            if is_viewer and session.id != session_id and not session.target_url:
                with contextlib.suppress(NotFound):
                    await self._control.kick(session.id, "another server has it now")

    # -- the rest ---------------------------------------------------------------------

    @property
    def _strategy(self) -> Live777Strategy:
        return self._settings().api.live777.strategy

    def strategy(self) -> Response:
        """Show the strategy."""
        return _json(shapes.strategy(self._strategy))

    async def metrics(self) -> Response:
        """Show the gauges."""
        streams, sessions = (
            await self._control.streams(),
            await self._control.sessions(),
        )
        return Response(
            shapes.metrics(streams, sessions),
            content_type="text/plain; version=0.0.4; charset=utf-8",
        )


def _json(value: shapes.Json) -> Response:
    return Response(shapes.dumps(value), content_type="application/json")


def _bearer(front: Front) -> str:
    scheme, _, token = front.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _ice_links(settings: WebRtcSettings) -> list[str]:
    links = []
    for url in settings.ice_servers:
        link = f'<{url}>; rel="ice-server"'
        if url.startswith("turn") and settings.ice_username:
            # Live777 writes what a name and a password hold as JSON does.
            username = json.dumps(settings.ice_username)
            credential = json.dumps(settings.ice_credential)
            link += f"; username={username}; credential={credential}"
            link += '; credential-type="password"'
        links.append(link)
    return links
