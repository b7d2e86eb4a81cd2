"""What a request for a WebRTC session says, by SRS's rules; pure."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Collection, Mapping
from urllib.parse import unquote, urlsplit

import attrs

from .errors import Code
from .requests import ApiRequest, parse_query
from .rtc_errors import RtcRefusal

__all__ = ["RtcRequest", "StreamUrl", "parse_stream_url", "read_json", "read_whip"]

_UFRAG = re.compile(r"[A-Za-z0-9+/]{4,32}")
_PWD = re.compile(r"[A-Za-z0-9+/]{22,32}")


@attrs.frozen(kw_only=True)
class RtcRequest:
    """A client asks for a session."""

    publishes: bool
    vhost: str
    """The engine's name."""
    app: str
    stream: str
    sdp: str
    parameters: str
    """What hooks are told, without "?"."""
    tc_url: str = ""
    codec: str = ""
    addresses: tuple[tuple[str, int], ...] = ()
    ice_ufrag: str = ""
    ice_pwd: str = ""


@attrs.frozen
class StreamUrl:
    """``webrtc://host[:port]/app/stream[?k=v]``, taken apart."""

    vhost: str
    """The host, or who the query says."""
    app: str
    stream: str
    query: str
    tc_url: str


def read_whip(
    request: ApiRequest, vhosts: Collection[str], *, plays: bool
) -> RtcRequest:
    """Read a request with the offer as its body.

    Args:
        request: The request.
        vhosts: Names of the configured virtual hosts.
        plays: Whether its path is one for viewers; else ``action`` decides.

    Raises:
        RtcRefusal: For what cannot be done.
    """
    query = request.query
    refuse_plain(query)
    text = request.body.decode("utf-8", "replace")
    if not text.strip():
        raise RtcRefusal(400, Code.RTC_INVALID_SDP)
    ufrag, pwd = _value(query, "ice-ufrag"), _value(query, "ice-pwd")
    if (ufrag and not _UFRAG.fullmatch(ufrag)) or (pwd and not _PWD.fullmatch(pwd)):
        raise RtcRefusal(400, Code.RTC_INVALID_ICE)
    return RtcRequest(
        publishes=not plays and query.get("action", "") != "play",
        vhost=known_vhost(request.host, vhosts),
        app=_value(query, "app") or "live",
        stream=_value(query, "stream") or "livestream",
        sdp=text,
        parameters=request.query_string,
        codec=query.get("codec", ""),
        addresses=_addresses(request),
        ice_ufrag=ufrag,
        ice_pwd=pwd,
    )


def read_json(
    request: ApiRequest, vhosts: Collection[str], *, publishes: bool
) -> RtcRequest:
    """Read a request of the older API: a JSON object with the offer and a URL.

    Its ``clientip`` is not believed: anybody can write it, and rules about addresses
    would be worth nothing.

    Raises:
        RtcRefusal: For what cannot be done.
    """
    if not publishes:
        refuse_plain(request.query)
    try:
        body = json.loads(request.body)
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise RtcRefusal(400, Code.RTC_BODY)
    text, url = body.get("sdp"), body.get("streamurl")
    if not isinstance(text, str) or not isinstance(url, str):
        raise RtcRefusal(400, Code.RTC_BODY)
    place = parse_stream_url(url)
    if place is None:
        raise RtcRefusal(400, Code.RTC_BODY)
    parameters = place.query
    if publishes:
        # By this SRS's hooks tell these publishers from those of RTMP.
        parameters = f"{parameters}&upstream=rtc".lstrip("&")
    return RtcRequest(
        publishes=publishes,
        vhost=known_vhost(place.vhost, vhosts),
        app=place.app,
        stream=place.stream,
        sdp=text,
        parameters=parameters,
        tc_url=place.tc_url,
        codec=request.query.get("codec", ""),
        addresses=_addresses(request),
    )


def refuse_plain(query: Mapping[str, str]) -> None:
    """Refuse media without DTLS and SRTP. Raises: RtcRefusal."""
    for name in ("encrypt", "dtls"):
        if query.get(name) == "false":
            raise RtcRefusal(
                400,
                Code.RTC_SDP_NEGOTIATE,
                f"{name}=false is not served: media is always encrypted here",
            )


def known_vhost(name: str, vhosts: Collection[str]) -> str:
    """Return the engine's name of a virtual host; unknown ones are the default."""
    return name if name in vhosts else "default"


def parse_stream_url(url: str) -> StreamUrl | None:
    """Take a stream's URL apart; None if it names no stream."""
    whole = url.replace("...vhost...", "?vhost=").replace("/_definst_", "")
    whole, _, query = whole.replace("#", "?", 1).partition("?")
    if "/" in query:
        # As encoders write it: rtmp://host/app?k=v/stream
        query, _, name = query.rpartition("/")
        whole = f"{whole.rstrip('/')}/{name}"
    try:
        parts = urlsplit(whole)
        host = parts.hostname or ""
    except ValueError:
        return None
    app, _, stream = unquote(parts.path).strip("/").rpartition("/")
    if not host or not stream:
        return None
    named = parse_query(query)
    return StreamUrl(
        vhost=named.get("vhost") or named.get("domain") or host,
        app=app or "live",
        stream=stream,
        query=query,
        tc_url=f"{parts.scheme}://{parts.netloc}/{app or 'live'}",
    )


def _value(query: Mapping[str, str], name: str) -> str:
    # SRS takes the value as it stands, but then browsers' and encoders' names differ.
    return unquote(query.get(name, ""))


def _addresses(request: ApiRequest) -> tuple[tuple[str, int], ...]:
    """Return what the client wants to be offered: by name, and as it came here."""
    found = []
    for name in ("eip", "candidate"):
        place = _address(_value(request.query, name))
        if place is not None:
            found.append(place)
            break
    api = _address(request.authority)
    if api is not None and not ipaddress.ip_address(api[0]).is_loopback:
        found.append((api[0], 0))
    return tuple(dict.fromkeys(found))


def _address(text: str) -> tuple[str, int] | None:
    """Read ``ip[:port]``; host names are none, since no browser takes them."""
    host, port = text, ""
    if text.startswith("["):
        host, _, port = text[1:].partition("]")
        port = port.removeprefix(":")
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    if address.is_unspecified or address.is_multicast or "%" in host:
        return None
    number = int(port) if port.isascii() and port.isdigit() and len(port) < 6 else 0
    return str(address), number if number < 65536 else 0
