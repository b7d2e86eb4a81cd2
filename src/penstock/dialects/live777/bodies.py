"""What request bodies say, and the words in which Live777 refuses them; pure."""

from __future__ import annotations

import json

import attrs
from sansmedia.sansio import ProtocolError
from sansmedia.sdp import Direction, decode_fragment, decode_session

from .errors import Failure

__all__ = [
    "FRAGMENT_TYPE",
    "SDP_TYPE",
    "Cascade",
    "Mute",
    "Trickle",
    "check_offer",
    "check_type",
    "decode_cascade",
    "decode_layer",
    "decode_mute",
    "decode_trickle",
]

SDP_TYPE = "application/sdp"
FRAGMENT_TYPE = "application/trickle-ice-sdpfrag"

_SHAPE = "Failed to deserialize the JSON body into the target type: "


@attrs.frozen
class Mute:
    """Let a viewer have one kind, or not."""

    kind: str
    enabled: bool


@attrs.frozen
class Cascade:
    """Take a stream from another server, or bring it there: one of both is empty."""

    token: str
    source_url: str
    target_url: str


@attrs.frozen
class Trickle:
    """A client's candidates."""

    candidates: tuple[str, ...]
    end: bool


def check_type(given: str | None, expected: str) -> None:
    """Refuse another type of content; parameters make it another. Raises: Failure."""
    if given is None:
        raise Failure(500, "Content-Type is required")
    if given != expected:
        raise Failure(500, f"Content-Type must be {expected}")


def check_offer(text: str, *, publishes: bool) -> None:
    """Refuse an offer with several pictures and several sounds. Raises: Failure."""
    try:
        offer = decode_session(text)
    except ProtocolError as error:
        raise Failure(500, str(error)) from None
    wanted = Direction.SENDONLY if publishes else Direction.RECVONLY
    kinds = [
        media.kind
        for media in offer.media
        if (media.direction or offer.direction) is wanted
    ]
    if kinds.count("video") > 1 and kinds.count("audio") > 1:
        raise Failure(500, f"{wanted.value} is more than 1")


def decode_trickle(text: str) -> Trickle:
    """Read a fragment; every section must name its ``mid`` by a number.

    Raises: Failure.
    """
    try:
        fragment = decode_fragment(text)
    except ProtocolError as error:
        raise Failure(500, str(error)) from None
    for section in fragment.sections:
        mid = section.mid
        if mid is None or not (mid.isascii() and mid.isdigit()):
            raise Failure(500, "every section needs a numeric mid")
    return Trickle(fragment.all_candidates, fragment.has_ended)


def _decode_json(content_type: str | None, body: bytes) -> object:
    kind = (content_type or "").partition(";")[0].strip().lower()
    is_json = kind == "application/json" or (
        kind.startswith("application/") and kind.endswith("+json")
    )
    if not is_json:
        raise Failure(415, "Expected request with `Content-Type: application/json`")
    try:
        value: object = json.loads(body)
    except (ValueError, RecursionError) as error:
        reason = f"Failed to parse the request body as JSON: {error}"
        raise Failure(400, reason) from None
    return value


def _decode_object(content_type: str | None, body: bytes) -> dict[str, object]:
    value = _decode_json(content_type, body)
    if not isinstance(value, dict):
        raise Failure(422, _SHAPE + "expected an object")
    return value


def decode_mute(content_type: str | None, body: bytes) -> Mute:
    """Read ``{"kind": ..., "enabled": ...}``. Raises: Failure."""
    value = _decode_object(content_type, body)
    for name in ("kind", "enabled"):
        if name not in value:
            raise Failure(422, f"{_SHAPE}missing field `{name}`")
    kind, enabled = value["kind"], value["enabled"]
    if not isinstance(kind, str):
        raise Failure(422, _SHAPE + "kind: expected a string")
    if not isinstance(enabled, bool):
        raise Failure(422, _SHAPE + "enabled: expected a boolean")
    if kind not in ("video", "audio"):
        raise Failure(500, "kind unspecified")
    return Mute(kind, enabled)


def decode_layer(content_type: str | None, body: bytes) -> str:
    """Read ``{"encodingId": ...}``; "" if it names none. Raises: Failure."""
    value = _decode_json(content_type, body)
    if value is None:
        return ""
    if not isinstance(value, dict):
        raise Failure(422, _SHAPE + "expected an object")
    return _text(value, "encodingId")


def decode_cascade(content_type: str | None, body: bytes) -> Cascade:
    """Read the wish for a cascade; an empty text stands for none. Raises: Failure."""
    value = _decode_object(content_type, body)
    token, source, target = (
        _text(value, name) for name in ("token", "sourceUrl", "targetUrl")
    )
    if not source and not target:
        raise Failure(500, "src and dst cannot be empty at the same time")
    if source and target:
        raise Failure(500, "src and dst cannot be non-empty at the same time")
    return Cascade(token, source, target)


def _text(value: dict[str, object], name: str) -> str:
    text = value.get(name)
    if text is None:
        return ""
    if not isinstance(text, str):
        raise Failure(422, f"{_SHAPE}{name}: expected a string")
    return text
