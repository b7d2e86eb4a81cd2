"""Judging one value against its key: type, range, and the form of a text."""

from __future__ import annotations

import ipaddress
import math
import os
import re
import tomllib
from urllib.parse import urlsplit

from sansmedia.sansio import ProtocolError
from sansmedia.srt.url import decode_url
from sansmedia.whip import decode_address

from penstock.settings import RelaySettings, SrtStreamSettings

from .address import parse_address
from .schema import Key, nearest, table_keys
from .udp_address import decode_udp_address

__all__ = ["check_relay", "from_text", "judge"]

_TRUE = frozenset({"true", "yes", "on", "1"})
_FALSE = frozenset({"false", "no", "off", "0"})


def from_text(key: Key, text: str) -> object:
    """Read what ``--set`` or the environment gives for ``key``.

    Texts may stand bare or in TOML quotes, lists as ``a,b`` or a TOML array.

    Raises:
        ValueError: With what was expected.
    """
    bare = text.strip()
    if key.kind == "text":
        return _toml(bare) if _is_quoted(bare) else text
    if key.kind == "texts":
        if bare.startswith("["):
            return _toml(bare)
        return [item.strip() for item in bare.split(",")] if bare else []
    if key.kind == "boolean":
        if bare.lower() in _TRUE | _FALSE:
            return bare.lower() in _TRUE
        raise ValueError(f"expected true or false, not {_shown(key, text)}")
    if key.kind == "tables":
        return _toml(bare)
    try:
        return int(bare) if key.kind == "integer" else float(bare)
    except ValueError:
        word = "a whole number" if key.kind == "integer" else "a number"
        raise ValueError(f"expected {word}, not {_shown(key, text)}") from None


def judge(key: Key, value: object) -> object:
    """Return ``value`` as the schema holds it.

    Raises:
        ValueError: With what was expected.
    """
    if key.kind == "text":
        if not isinstance(value, str):
            if key.form == "address":
                parse_address("")  # says what form it has
            raise ValueError(f"expected a text, not {_named(value)}")
        _judge_text(key, value)
        return value
    if key.kind == "boolean":
        if not isinstance(value, bool):
            raise ValueError(f"expected true or false, not {_named(value)}")
        return value
    if key.kind == "texts":
        return _judge_texts(key, value)
    if key.kind == "tables":
        return _judge_tables(key, value)
    return _judge_number(key, value)


def _judge_number(key: Key, value: object) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        word = "a whole number" if key.kind == "integer" else "a number"
        raise ValueError(f"expected {word}, not {_named(value)}")
    if key.kind == "integer" and not isinstance(value, int):
        raise ValueError(f"expected a whole number, not {value}")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"expected a finite number, not {value}")
    if key.minimum is not None and value < key.minimum:
        raise ValueError(f"expected at least {key.minimum:g}, not {value}")
    if key.maximum is not None and value > key.maximum:
        raise ValueError(f"expected at most {key.maximum:.15g}, not {value}")
    return float(value) if key.kind == "number" else value


def _judge_texts(key: Key, value: object) -> list[str]:
    if not isinstance(value, list):
        raise ValueError(f"expected a list of texts, not {_named(value)}")
    for item in value:
        if not isinstance(item, str):
            raise ValueError(f"expected a list of texts, found {_named(item)} in it")
        _judge_text(key, item)
    return list(value)


def _judge_tables(key: Key, value: object) -> list[object]:
    assert key.table is not None
    if not isinstance(value, list) or not all(isinstance(i, dict) for i in value):
        raise ValueError(f"expected [[{key.path}]] tables")
    known = table_keys(key.table)
    tables: list[object] = []
    for number, given in enumerate(value, 1):
        arguments: dict[str, object] = {}
        for name, item in given.items():
            inner = known.get(name)
            if inner is None:
                close = nearest(name, known)
                hint = f"; did you mean {close}?" if close else ""
                raise ValueError(f"table {number}: unknown key {name}{hint}")
            try:
                arguments[name] = judge(inner, item)
            except ValueError as error:
                raise ValueError(f"table {number}: {name}: {error}") from None
        table = key.table(**arguments)
        try:
            if isinstance(table, RelaySettings):
                check_relay(table)
            elif isinstance(table, SrtStreamSettings):
                _judge_local(table.stream, "as `stream`")
        except ValueError as error:
            raise ValueError(f"table {number}: {error}") from None
        tables.append(table)
    return tables


def _judge_local(name: str, where: str) -> None:
    parts = name.split("/")
    if "://" in name or len(parts) < 2 or not all(parts):
        raise ValueError(f"expected app/name {where}, not {name!r}")


def check_relay(relay: RelaySettings) -> None:
    """Judge what a relay has on its two sides.

    Raises:
        ValueError: With what was expected.
    """
    remote = [_is_remote(relay.source, True), _is_remote(relay.destination, False)]
    if remote.count(True) != 1:
        raise ValueError(
            "expected an rtmp(s)://, srt://, udp://, whep(s):// (source) or whip(s):// "
            "(destination) URL on one side and app/name on the other"
        )
    local = relay.destination if remote[0] else relay.source
    _judge_local(local, "on the local side")
    if relay.on_demand and not remote[0]:
        raise ValueError("on_demand is for relays that pull")


def _is_remote(text: str, is_source: bool) -> bool:
    return _is_rtmp(text) or _is_transport(text) or _is_webrtc(text, is_source)


def _is_transport(text: str) -> bool:
    """Tell whether it is MPEG-TS over SRT or UDP."""
    try:
        if text.startswith("srt://"):
            decode_url(text)
        elif text.startswith("udp://"):
            decode_udp_address(text)
        else:
            return False
    except ProtocolError as error:
        raise ValueError(error.reason) from None
    return True


def _is_webrtc(text: str, is_source: bool) -> bool:
    scheme, found, _ = text.partition("://")
    if not found or scheme not in ("whip", "whips", "whep", "wheps"):
        return False
    expected = "whep" if is_source else "whip"
    try:
        address = decode_address(text)
    except ProtocolError as error:
        raise ValueError(
            f"expected {expected}(s)://[token@]host[:port]/path: {error.reason}"
        ) from None
    if address.plays is not is_source:
        verb = "pulled from" if is_source else "pushed to"
        raise ValueError(f"{scheme}:// cannot be {verb}: expected {expected}(s)://")
    return True


def _is_rtmp(text: str) -> bool:
    if not text.startswith(("rtmp://", "rtmps://")):
        return False
    host = _host_of(text)
    if not host or not urlsplit(text).path.strip("/"):
        raise ValueError("expected rtmp(s)://host[:port]/app/name")
    return True


def _judge_text(key: Key, value: str) -> None:
    if "\0" in value:
        raise ValueError("expected a text without NUL")
    if key.choices and value not in key.choices:
        listed = ", ".join(key.choices)
        raise ValueError(f"expected one of {listed}, not {value!r}")
    if key.form == "address" and value:
        parse_address(value)
    elif key.form == "network":
        _judge_network(value)
    elif key.form == "ip":
        _judge_ip(value)
    elif key.form == "ice":
        _judge_ice(value)
    elif key.form == "hook":
        if not value.startswith(("http://", "https://")) or not _host_of(value):
            raise ValueError("expected an http:// or https:// URL")
    elif key.form == "passphrase" and value:
        if not 10 <= len(value.encode()) <= 80:
            raise ValueError("expected 10 to 80 octets, or nothing")
    elif key.form == "origin":
        _judge_origin(value)
    elif key.form == "token" and not value:
        raise ValueError("expected tokens of one character or more")
    elif key.form == "regex":
        _judge_regex(value)
    elif key.form == "file" and value:
        _judge_file(value)


def _judge_network(value: str) -> None:
    try:
        ipaddress.ip_network(value, strict=False)
    except ValueError:
        raise ValueError(
            f'expected an address or a network, as "10.0.0.0/8", not {value!r}'
        ) from None


def _judge_ip(value: str) -> None:
    try:
        address = ipaddress.ip_address(value)
    except ValueError:
        raise ValueError(f"expected an IP address, not {value!r}") from None
    if address.is_unspecified or address.is_multicast:
        raise ValueError(f"expected an address of one machine, not {value!r}")


def _judge_ice(value: str) -> None:
    # RFC 7064 §3.1, RFC 7065 §3.1.
    scheme, _, rest = value.partition(":")
    host = rest.partition("?")[0]
    if scheme not in ("stun", "stuns", "turn", "turns") or not _host_of(f"x://{host}"):
        raise ValueError(f'expected a URL as "stun:host:3478", not {value!r}')


def _judge_regex(value: str) -> None:
    try:
        re.compile(value)
    except re.error as error:
        raise ValueError(
            f"expected a regular expression, not {value!r}: {error}"
        ) from None


def _judge_origin(value: str) -> None:
    if value in ("*", "null"):
        return
    path = value.partition("://")[2]
    if not value.startswith(("http://", "https://")) or not path or "/" in path:
        raise ValueError(f'expected "*" or an origin as "https://a.b", not {value!r}')


def _judge_file(value: str) -> None:
    try:
        descriptor = os.open(value, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise ValueError(f"cannot read {value!r}: {error.strerror}") from None
    os.close(descriptor)
    if not os.path.isfile(value):
        raise ValueError(f"expected a file, {value!r} is something else")


def _host_of(url: str) -> str:
    try:
        parts = urlsplit(url)
        # `.port` raises for a port that is none; that belongs to this check too.
        return parts.hostname or "" if parts.port != 0 else ""
    except ValueError:
        return ""


def _is_quoted(text: str) -> bool:
    return len(text) >= 2 and text[0] == text[-1] and text[0] in "\"'"


def _toml(text: str) -> object:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"expected a TOML value: {error}") from None


def _shown(key: Key, text: str) -> str:
    return "that" if key.secret else repr(text)


def _named(value: object) -> str:
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, str):
        return "a text"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, dict):
        return "a table"
    return "a date or time"
