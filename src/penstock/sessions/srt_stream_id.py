"""What a caller's stream id asks for, in every form that servers have taught people.

==============  =======================================================================
access control  ``#!::r=app/stream,m=publish[,h=vhost][,u=user][,key=value]``; in its
                first days ``#!::h=[vhost/]app/stream,m=publish``, and ``?`` for ``,``;
                percent-encoded where an encoder keeps the form that a URL has
commas          ``name[,mode:publish][,token:T]``, and ``#!:m=publish,r=name,token=T``
colons          ``publish:path[:user:pass][:query]``, ``read:path...``
a URL           ``[srt://]vhost/app/stream[?query]``, percent-encoded
plain           ``[app/]stream``: plays
==============  =======================================================================

Which server has which is told in docs/operate/srt.md.
"""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, unquote, urlencode

import attrs
from sansmedia.srt.rejections import RejectionCode

__all__ = ["SrtRequest", "StreamIdError", "read_stream_id"]

_MODES = {
    "publish": "publish",
    "request": "play",
    "play": "play",
    "read": "play",
    "subscribe": "play",
    "pub": "publish",
    "sub": "play",
}
_COLONS = re.compile(r"(publish|read):")
_COMMAS = re.compile(r",(mode|token):")
_RESERVED_KEYS = re.compile(r"[A-Za-z]")
"""SRT keeps keys of one letter to itself; those below are what it has defined."""
_ENCODED_MARK = re.compile(r"%23(?:!|%21)")
"""``#!`` out of a URL, where ``#`` begins something else. Source: RFC 3986 §3.5."""
_PERCENT = re.compile(r"%[0-9A-Fa-f]{2}")


class StreamIdError(Exception):
    """A stream id asks for nothing that there is.

    Args:
        reason: One phrase for the log.
        code: What the caller is told.
    """

    def __init__(self, reason: str, code: RejectionCode) -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code


@attrs.frozen(kw_only=True)
class SrtRequest:
    """What a caller wants."""

    mode: str
    """"publish" or "play"; "" where the form does not tell: publish what nobody
    publishes, play what somebody does."""
    app: str
    name: str
    vhost: str = ""
    """Host or virtual host, as written; "" for none."""
    parameters: str = ""
    """``key=value`` pairs joined by "&", for tokens and hooks."""
    password: str = ""
    """Of a form that has a user's name and password."""


def read_stream_id(text: str, *, default_app: str, default_stream: str) -> SrtRequest:
    """Read a stream id.

    Args:
        text: As the caller sent it.
        default_app: App of a name that has none.
        default_stream: ``app/name`` that callers without stream id publish; "" if
            they must not.

    Raises:
        StreamIdError: It is of no known form, or asks for what there is not.
    """
    if not text:
        if not default_stream:
            raise StreamIdError(
                "a stream id is needed (srt.default_stream lets callers go without)",
                RejectionCode.BAD_REQUEST,
            )
        return _request("publish", default_stream, default_app)
    if _ENCODED_MARK.match(text):
        text = unquote(text)  # once: what is left of percent signs is meant
    if text.startswith("#!::"):
        return _access_control(text[4:], default_app)
    if text.startswith("#!:"):
        return _old_commas(text[3:], default_app)
    if _COLONS.match(text):
        return _colons(text, default_app)
    if _COMMAS.search(text):
        return _commas(text, default_app)
    return _address(text, default_app)


def _mode(word: str) -> str:
    mode = _MODES.get(word)
    if mode is None:
        raise StreamIdError(f"mode {word[:40]!r} is not known", RejectionCode.BAD_MODE)
    return mode


def _request(
    mode: str,
    path: str,
    default_app: str,
    *,
    vhost: str = "",
    parameters: list[tuple[str, str]] | None = None,
    password: str = "",
) -> SrtRequest:
    """Split ``path`` into app and name: ``/x`` has an empty app, ``x`` the default."""
    path, _, query = path.partition("?")
    app, slash, name = path.rpartition("/")
    if not name:
        raise StreamIdError("the stream has no name", RejectionCode.BAD_REQUEST)
    pairs = parse_qsl(query, keep_blank_values=True) + (parameters or [])
    for key, value in pairs:
        if key in ("vhost", "domain") and not vhost:
            vhost = value
    return SrtRequest(
        mode=mode,
        app=app.lstrip("/") if slash else default_app,
        name=name,
        vhost=vhost,
        parameters=urlencode(pairs, safe="/:@"),
        password=password,
    )


def _access_control(text: str, default_app: str) -> SrtRequest:
    """Source: libsrt access-control.md §Standard Keys."""
    standard = {"r": "", "m": "request", "h": "", "u": "", "s": "", "t": "stream"}
    others: list[tuple[str, str]] = []
    for item in re.split(r"[,?&]", text):
        key, equals, value = item.partition("=")
        if not item:
            continue
        if not equals or not key:
            raise StreamIdError(
                f"{item[:40]!r} is no key=value", RejectionCode.BAD_REQUEST
            )
        if key in standard:
            standard[key] = value
        elif _RESERVED_KEYS.fullmatch(key):
            raise StreamIdError(f"key {key!r} is not known", RejectionCode.BAD_REQUEST)
        else:
            others.append((key, value))
    if standard["t"] != "stream":
        raise StreamIdError(
            f"type {standard['t'][:40]!r} is not served",
            RejectionCode.MEDIA_NOT_SUPPORTED,
        )
    path, vhost = standard["r"], standard["h"]
    if not path and "/" in vhost:
        # The first form: the resource stands where the host belongs.
        host, _, rest = vhost.partition("/")
        vhost, path = (host, rest) if "/" in rest else ("", f"{host}/{rest}")
    if standard["u"]:
        others.append(("user", standard["u"]))
    if standard["s"]:
        others.append(("session", standard["s"]))
    return _request(
        _mode(standard["m"]),
        path,
        default_app,
        vhost=vhost.partition(":")[0],
        parameters=others,
    )


def _old_commas(text: str, default_app: str) -> SrtRequest:
    pairs = [item.partition("=")[::2] for item in text.split(",") if item]
    values = dict(pairs)
    others = [(k, v) for k, v in pairs if k not in ("m", "r")]
    mode = _mode(values.get("m", "request"))
    return _request(mode, values.get("r", ""), default_app, parameters=others)


def _commas(text: str, default_app: str) -> SrtRequest:
    """The name comes first; a value ends where the next known key begins."""
    parts = re.split(r",(?=(?:mode|token):)", text)
    values = dict(part.partition(":")[::2] for part in parts[1:])
    token = values.get("token")
    return _request(
        _mode(values.get("mode", "request")),
        parts[0],
        default_app,
        parameters=[] if token is None else [("token", token)],
    )


def _colons(text: str, default_app: str) -> SrtRequest:
    action, path, *rest = text.split(":", 4)
    if len(rest) == 1:
        path = f"{path}?{rest[0]}"
        rest = []
    user, password, query = ([*rest, "", "", ""])[:3]
    pairs = parse_qsl(query, keep_blank_values=True)
    if user:
        pairs.append(("user", user))
    return _request(
        _mode(action), path, default_app, parameters=pairs, password=password
    )


def _address(text: str, default_app: str) -> SrtRequest:
    """A path as in a URL, perhaps with a host before it."""
    if _PERCENT.search(text):
        text = unquote(text)
    scheme, separator, rest = text.partition("://")
    if separator:
        if scheme != "srt":
            raise StreamIdError(
                f"scheme {scheme[:40]!r} is not srt", RejectionCode.BAD_REQUEST
            )
        text = rest
    path, _, query = text.partition("?")
    segments = path.split("/")
    vhost, mode = "", "play"
    if separator or (len(segments) >= 3 and segments[0]):
        # Where it comes from, ports tell publishers from viewers; we have one port.
        vhost, path, mode = segments[0].partition(":")[0], "/".join(segments[1:3]), ""
    pairs = parse_qsl(query, keep_blank_values=True)
    given = dict(pairs)
    word = given.get("mode") or given.get("m") or given.get("direction")
    if word:
        mode = "publish" if word in ("send", "whip") else _mode(word)
    return _request(mode, path, default_app, vhost=vhost, parameters=pairs)
