"""The values of single attributes, from text and to text."""

from __future__ import annotations

import re

from sansmedia.sansio import ProtocolError

from .records import (
    Attribute,
    Bandwidth,
    Direction,
    ExtMap,
    Fingerprint,
    Group,
    Msid,
    MsidSemantic,
    Rid,
    RidReference,
    Setup,
    Simulcast,
    SourceGroup,
)

_NUMBER = re.compile(r"[0-9]{1,10}")
_REAL = re.compile(r"[0-9]{1,6}(?:\.[0-9]{1,6})?")
# Text, not a mark of the grammar: mids and rids are tokens of RFC 8866, and everything
# without blanks is what programs write.
_TOKEN = re.compile(r"[!-~]{1,256}")
_RTPMAP = re.compile(r"([0-9]{1,3}) +([!-.0-~]{1,64})/([0-9]{1,10})(?:/([0-9]{1,3}))?")
_EXTMAP = re.compile(r"([0-9]{1,5})(?:/([a-z]{1,8}))? +(\S+)(?: +(.*))?")
_DIGEST = re.compile(r"[0-9A-F]{2}(?::[0-9A-F]{2})*")
_DIGEST_SIZES = {
    "md2": 16,
    "md5": 16,
    "sha-1": 20,
    "sha-224": 28,
    "sha-256": 32,
    "sha-384": 48,
    "sha-512": 64,
}


def malformed(name: str, source: str) -> ProtocolError:
    """Return the error for an attribute that does not follow its grammar."""
    return ProtocolError(f"attribute {name} is malformed", source=source)


def decode_number(text: str, largest: int, name: str, source: str) -> int:
    """Decode a decimal integer from 0 to ``largest``."""
    if not _NUMBER.fullmatch(text) or int(text) > largest:
        raise malformed(name, source)
    return int(text)


def decode_real(text: str) -> float | None:
    """Decode a number of milliseconds or frames; None if it is none."""
    return float(text) if _REAL.fullmatch(text) else None


def encode_real(value: float) -> str:
    """Encode with at most six decimals, none for whole numbers."""
    return f"{value:.6f}".rstrip("0").rstrip(".")


def decode_token(text: str, name: str, source: str) -> str:
    """Decode a word without blanks."""
    if not _TOKEN.fullmatch(text):
        raise malformed(name, source)
    return text


def decode_direction(text: str, name: str, source: str) -> Direction:
    """Decode ``sendonly`` and the like."""
    try:
        return Direction(text)
    except ValueError:
        raise malformed(name, source) from None


def decode_setup(text: str) -> Setup:
    """Decode the value of ``a=setup``."""
    try:
        return Setup(text)
    except ValueError:
        raise malformed("setup", "RFC 4145 §4") from None


def decode_fingerprint(text: str) -> Fingerprint:
    """Decode ``sha-256 AB:CD:...``. Source: RFC 8122 §5."""
    algorithm, _, digest = text.partition(" ")
    algorithm, digest = algorithm.lower(), digest.strip().upper()
    size = _DIGEST_SIZES.get(algorithm)
    if (
        not algorithm
        or not _DIGEST.fullmatch(digest)
        or (size is not None and len(digest) != 3 * size - 1)
    ):
        raise malformed("fingerprint", "RFC 8122 §5")
    return Fingerprint(algorithm, digest)


def decode_group(text: str) -> Group:
    """Decode ``BUNDLE 0 1``. Source: RFC 5888 §5."""
    semantics, *mids = text.split()[:1025] or [""]
    decode_token(semantics, "group", "RFC 5888 §5")
    if len(set(mids)) != len(mids):
        raise ProtocolError(
            f"group {semantics} names a mid twice",
            code="contradiction",
            source="RFC 5888 §5",
        )
    return Group(semantics, tuple(mids))


def decode_msid_semantic(text: str) -> MsidSemantic:
    """Decode ``WMS *``."""
    semantic, *identifiers = text.split() or [""]
    return MsidSemantic(semantic, tuple(identifiers))


def decode_msid(text: str) -> Msid:
    """Decode ``stream track``. Source: RFC 8830 §2."""
    words = text.split()
    if not 1 <= len(words) <= 2:
        raise malformed("msid", "RFC 8830 §2")
    return Msid(*words)


def decode_extmap(text: str) -> ExtMap:
    """Decode ``3/sendonly urn:x attributes``. Source: RFC 8285 §5."""
    match = _EXTMAP.fullmatch(text)
    if match is None:
        raise malformed("extmap", "RFC 8285 §5")
    number, direction, uri, attributes = match.groups()
    return ExtMap(
        int(number),
        uri,
        decode_direction(direction, "extmap", "RFC 8285 §5") if direction else None,
        (attributes or "").strip(),
    )


def encode_extmap(extmap: ExtMap) -> str:
    """Encode the value of ``a=extmap``."""
    direction = f"/{extmap.direction.value}" if extmap.direction else ""
    attributes = f" {extmap.attributes}" if extmap.attributes else ""
    return f"{extmap.id}{direction} {extmap.uri}{attributes}"


def decode_rtpmap(text: str) -> tuple[int, str, int, int]:
    """Decode into payload type, encoding, clock rate, channels."""
    match = _RTPMAP.fullmatch(text)
    if match is None:
        raise malformed("rtpmap", "RFC 8866 §6.6")
    payload_type, clock_rate = int(match[1]), int(match[3])
    channels = int(match[4] or 1)
    if payload_type > 127 or not 0 < clock_rate < 1 << 32 or channels < 1:
        raise malformed("rtpmap", "RFC 8866 §6.6")
    return payload_type, match[2], clock_rate, channels


def decode_payload_type(text: str) -> int | None:
    """Decode a payload type; None if it is none, as in a data channel's fmtp."""
    if _NUMBER.fullmatch(text) and int(text) < 128:
        return int(text)
    return None


def decode_source_attribute(text: str) -> tuple[int, Attribute | None]:
    """Decode ``1234 cname:x``. Source: RFC 5576 §4.1."""
    number, _, rest = text.partition(" ")
    ssrc = decode_number(number, 0xFFFFFFFF, "ssrc", "RFC 5576 §4.1")
    name, separator, value = rest.strip().partition(":")
    if not name:
        return ssrc, None
    decode_token(name, "ssrc", "RFC 5576 §4.1")
    return ssrc, Attribute(name, value.strip() if separator else None)


def decode_source_group(text: str) -> SourceGroup:
    """Decode ``FID 1 2``. Source: RFC 5576 §4.2."""
    semantics, *numbers = text.split() or [""]
    decode_token(semantics, "ssrc-group", "RFC 5576 §4.2")
    return SourceGroup(
        semantics,
        tuple(
            decode_number(number, 0xFFFFFFFF, "ssrc-group", "RFC 5576 §4.2")
            for number in numbers
        ),
    )


def decode_rid(text: str) -> Rid:
    """Decode ``hi send pt=96;max-width=1280``. Source: RFC 8851 §10."""
    name, _, rest = text.partition(" ")
    direction, _, parameters = rest.strip().partition(" ")
    decode_token(name, "rid", "RFC 8851 §10")
    if direction not in ("send", "recv") or ";" in name or "," in name:
        raise malformed("rid", "RFC 8851 §10")
    payload_types: list[int] = []
    restrictions: list[tuple[str, str]] = []
    for part in parameters.split(";"):
        key, _, value = part.strip().partition("=")
        if key == "pt":
            payload_types += [
                decode_number(number.strip(), 127, "rid", "RFC 8851 §10")
                for number in value.split(",")
            ]
        elif key:
            restrictions.append((key.strip(), value.strip()))
    return Rid(name, direction, tuple(payload_types), tuple(restrictions))


def encode_rid(rid: Rid) -> str:
    """Encode the value of ``a=rid``."""
    parts = [f"{key}={value}" if value else key for key, value in rid.restrictions]
    if rid.payload_types:
        parts.insert(0, "pt=" + ",".join(map(str, rid.payload_types)))
    text = f"{rid.id} {rid.direction}"
    return f"{text} {';'.join(parts)}" if parts else text


def decode_simulcast(text: str) -> Simulcast | None:
    """Decode ``send hi;mid,~low recv x``, or the draft's ``send rid=hi;low``.

    Returns:
        None for the drafts' lists of payload types (``send pt=96``): they are layers
        of another kind, which nobody negotiates any more.

    Source: RFC 8853 §5.1.
    """
    words = text.split()
    found: dict[str, tuple[tuple[RidReference, ...], ...]] = {}
    paused: set[str] = set()
    direction = ""
    for word in words:
        if word in ("send", "recv") and direction != word and word not in found:
            direction = word
        elif word.startswith("paused="):
            paused |= set(re.split("[;,]", word.removeprefix("paused=")))
        elif word.startswith("pt="):
            return None
        elif direction and direction not in found:
            found[direction] = _decode_streams(word.removeprefix("rid="))
        else:
            raise malformed("simulcast", "RFC 8853 §5.1")
    if not found or direction not in found:
        raise malformed("simulcast", "RFC 8853 §5.1")
    return Simulcast(
        _with_paused(found.get("send", ()), paused),
        _with_paused(found.get("recv", ()), paused),
    )


def _decode_streams(text: str) -> tuple[tuple[RidReference, ...], ...]:
    streams = []
    for stream in text.split(";"):
        alternatives = []
        for alternative in stream.split(","):
            name = alternative.removeprefix("~")
            decode_token(name, "simulcast", "RFC 8853 §5.1")
            alternatives.append(RidReference(name, name != alternative))
        streams.append(tuple(alternatives))
    return tuple(streams)


def _with_paused(
    streams: tuple[tuple[RidReference, ...], ...], paused: set[str]
) -> tuple[tuple[RidReference, ...], ...]:
    if not paused:
        return streams
    return tuple(
        tuple(RidReference(one.id, one.paused or one.id in paused) for one in stream)
        for stream in streams
    )


def encode_simulcast(simulcast: Simulcast) -> str:
    """Encode the value of ``a=simulcast``."""
    parts = []
    for direction, streams in (("send", simulcast.send), ("recv", simulcast.recv)):
        if streams:
            listed = ";".join(
                ",".join(f"~{one.id}" if one.paused else one.id for one in stream)
                for stream in streams
            )
            parts.append(f"{direction} {listed}")
    return " ".join(parts)


def decode_bandwidth(text: str) -> Bandwidth:
    """Decode ``AS:1000``. Source: RFC 8866 §5.8."""
    kind, _, value = text.partition(":")
    decode_token(kind, "b=", "RFC 8866 §5.8")
    return Bandwidth(kind, decode_number(value, 1 << 33, "b=", "RFC 8866 §5.8"))
