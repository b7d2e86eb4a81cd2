"""HTTP callbacks as SRS writes them: one POST of JSON an event; pure."""

from __future__ import annotations

import json

from penstock.control import HookAction, HookEvent, HookRequest, ServerView

from .encoding import Json, encode
from .names import Names, vhost_shown
from .shapes import SIGNATURE, WEBRTC_PROTOCOLS, stream_url

__all__ = ["SrsHooks"]


class SrsHooks:
    """The `HookFormat` of SRS.

    Args:
        names: The tables that the API answers from, so that an id told by a hook can
            be asked for and kicked.
    """

    def __init__(self, names: Names) -> None:
        self._names = names

    def request(self, url: str, event: HookEvent, server: ServerView) -> HookRequest:
        """Return the POST that tells ``event`` to ``url``; keys in SRS's order."""
        session, names = event.session, self._names
        body: dict[str, Json] = {
            "server_id": names.server(server),
            "service_id": names.service(server),
            "action": event.action.value,
            "client_id": names.clients.name_of(session.id),
            "ip": session.address,
            "vhost": vhost_shown(session.vhost),
            "app": session.app,
        }
        body.update(self._details(event))
        return HookRequest(
            method="POST",
            url=url,
            headers=(
                ("Content-Type", "application/json"),
                ("User-Agent", SIGNATURE),
            ),
            body=encode(body),
        )

    def _details(self, event: HookEvent) -> dict[str, Json]:
        session, action = event.session, event.action
        if action is HookAction.CLOSE:
            return {
                "send_bytes": session.bytes_sent,
                "recv_bytes": session.bytes_received,
            }
        stream: dict[str, Json] = {"stream": session.name}
        param: dict[str, Json] = {"param": _param(event)}
        tc_url: dict[str, Json] = {"tcUrl": event.tc_url}
        page_url: dict[str, Json] = {"pageUrl": event.page_url}
        if action is HookAction.CONNECT:
            return stream | param | tc_url | page_url
        whole = (
            stream | tc_url | param | page_url
            if action is HookAction.PLAY
            else tc_url | stream | param
        )
        whole["stream_url"] = stream_url(session.vhost, session.app, session.name)
        if session.stream_id is not None:
            whole["stream_id"] = self._names.streams.name_of(session.stream_id)
        return whole

    def refusal(self, status: int, body: bytes) -> str | None:
        """Judge an answer: 200 or 201 with ``0`` or ``{"code":0}`` accepts."""
        if status not in (200, 201):
            return f"answered HTTP {status}"
        try:
            answer = json.loads(body)
        except (ValueError, RecursionError):
            return "answered neither 0 nor a JSON object"
        code = answer.get("code") if isinstance(answer, dict) else answer
        if isinstance(code, bool) or not isinstance(code, int):
            return "answered without a code"
        return None if code == 0 else f"answered code {code}"


def _param(event: HookEvent) -> str:
    """Return the client's query: SRS puts a "?" before it only where a URL had one."""
    parameters = event.parameters
    if event.session.protocol in WEBRTC_PROTOCOLS and (
        # WHIP's and WHEP's is that of the HTTP request, and "upstream=rtc" SRS's own.
        not event.tc_url.startswith("webrtc:") or parameters == "upstream=rtc"
    ):
        return parameters
    return f"?{parameters}" if parameters else ""
