"""A section, attribute by attribute.

Source: RFC 8866 §5.13, §5.14.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeAlias

import attrs

from sansmedia.sansio import ProtocolError

from .attributes_wire import (
    decode_direction,
    decode_extmap,
    decode_fingerprint,
    decode_group,
    decode_msid,
    decode_msid_semantic,
    decode_payload_type,
    decode_real,
    decode_rid,
    decode_rtpmap,
    decode_setup,
    decode_simulcast,
    decode_source_attribute,
    decode_source_group,
    decode_token,
)
from .limits import Limits
from .records import Attribute

__all__ = [
    "Decoder",
    "Section",
    "decode_attribute",
    "decode_attribute_name",
    "decode_ice_attribute",
    "decode_media_line",
    "decode_mid",
    "once",
]

_MEDIA_LINE = re.compile(
    r"([!-~]{1,64}) +([0-9]{1,5})(?:/([0-9]{1,5}))? +([!-~]{1,64})((?: +[!-~]+)*)"
)
_ICE_TEXT = re.compile(r"[!-~]+")

_ICE_FIELDS = ("ice_ufrag", "ice_pwd", "ice_lite", "end_of_candidates")
_ICE_LISTS = ("ice_options", "candidates", "others")


@attrs.define(eq=False)
class Section:
    """A section, or the session's head, while its lines come in."""

    fields: dict[str, Any] = attrs.field(factory=dict)
    lists: dict[str, list[Any]] = attrs.field(factory=dict)
    attributes: int = 0
    is_media: bool = False
    kind: str = ""
    is_rtp: bool = False
    payload_types: list[int] = attrs.field(factory=list)
    rtpmaps: dict[int, tuple[str, int, int]] = attrs.field(factory=dict)
    fmtps: dict[int, list[str]] = attrs.field(factory=dict)
    feedback: dict[int, list[str]] = attrs.field(factory=dict)
    sources: dict[int, list[Attribute]] = attrs.field(factory=dict)

    def set(self, field: str, value: object, name: str) -> None:
        """Set what can be said once; the same again is no contradiction."""
        before = self.fields.setdefault(field, value)
        if before != value:
            raise ProtocolError(f"two {name} in one section", code="contradiction")

    def add(self, field: str, value: object) -> None:
        """Append to a field that may be said often."""
        self.lists.setdefault(field, []).append(value)

    def ice_fields(self) -> dict[str, Any]:
        """Return what a fragment's part is made of."""
        found = {name: self.fields[name] for name in _ICE_FIELDS if name in self.fields}
        return found | {
            name: tuple(self.lists[name]) for name in _ICE_LISTS if name in self.lists
        }


def decode_media_line(value: str) -> Section:
    """Begin a section."""
    match = _MEDIA_LINE.fullmatch(value)
    if match is None or int(match[2]) > 65535:
        raise ProtocolError("m= line is malformed", source="RFC 8866 §5.14")
    kind, port, count, protocol, formats = match.groups()
    section = Section(is_media=True, kind=kind, is_rtp="RTP/" in protocol)
    section.fields |= {
        "kind": kind,
        "port": int(port),
        "port_count": int(count or 1),
        "protocol": protocol,
    }
    words = formats.split()
    if not section.is_rtp:
        section.fields["formats"] = tuple(words)
        return section
    for word in words:
        payload_type = decode_payload_type(word)
        if payload_type is None:
            raise ProtocolError(
                "m= line with a payload type out of range", source="RFC 3551 §6"
            )
        if payload_type not in section.payload_types:
            section.payload_types.append(payload_type)
    return section


Decoder: TypeAlias = Callable[[Section, str], None]


def once(field: str, name: str) -> Decoder:
    """Return the decoder of a text that can be said once."""
    return lambda section, value: section.set(field, value, name)


def decode_attribute_name(
    section: Section, text: str, limits: Limits
) -> tuple[str, str | None]:
    """Count an attribute and cut it into name and value."""
    section.attributes += 1
    if section.attributes > limits.section_attributes:
        raise ProtocolError(
            f"more than {limits.section_attributes} attributes in one section",
            code="limit",
        )
    name, separator, value = text.partition(":")
    decode_token(name, "a=", "RFC 8866 §5.13")
    return name, value.strip() if separator else None


def decode_attribute(section: Section, text: str, limits: Limits) -> None:
    """Take an ``a=`` line into a section."""
    name, value = decode_attribute_name(section, text, limits)
    if decode_ice_attribute(section, name, value or "", limits):
        return
    decoders = _IN_MEDIA if section.is_media else _IN_HEAD
    decoder = _ANYWHERE.get(name) or decoders.get(name)
    if decoder is None:
        section.add("others", Attribute(name, value))
    else:
        decoder(section, value or "")


def decode_ice_attribute(
    section: Section, name: str, value: str, limits: Limits
) -> bool:
    """Decode an attribute that fragments have too; False if it is another one."""
    decoder = _ICE.get(name)
    if decoder is None:
        return False
    decoder(section, value)
    if len(section.lists.get("candidates", ())) > limits.candidates:
        raise ProtocolError(f"more than {limits.candidates} candidates", code="limit")
    return True


def _flag(field: str) -> Decoder:
    def decode(section: Section, value: str) -> None:
        section.fields[field] = True

    return decode


def _decode_ice_text(field: str, least: int, name: str) -> Decoder:
    def decode(section: Section, value: str) -> None:
        if not least <= len(value) <= 256 or not _ICE_TEXT.fullmatch(value):
            raise ProtocolError(
                f"{name} is not {least} to 256 characters", source="RFC 8839 §5.4"
            )
        section.set(field, value, f"{name} values")

    return decode


def _decode_ice_options(section: Section, value: str) -> None:
    options = dict.fromkeys(section.lists.get("ice_options", ()))
    # DEVIATION(libdatachannel-whip): a comma between them, where a blank belongs.
    options |= dict.fromkeys(value.replace(",", " ").split())
    section.lists["ice_options"] = list(options)


def _decode_direction(direction: str) -> Decoder:
    value = decode_direction(direction, direction, "RFC 8866 §6.7")
    return lambda section, _: section.set("direction", value, "directions")


def _decode_candidate(section: Section, value: str) -> None:
    if not value:
        raise ProtocolError("candidate is empty", source="RFC 8839 §5.1")
    section.add("candidates", value)


def _decode_fingerprint(section: Section, value: str) -> None:
    fingerprint = decode_fingerprint(value)
    if fingerprint not in section.lists.get("fingerprints", ()):
        section.add("fingerprints", fingerprint)


def _decode_rtpmap(section: Section, value: str) -> None:
    payload_type, encoding, clock_rate, channels = decode_rtpmap(value)
    meaning = (encoding, clock_rate, channels)
    if section.rtpmaps.setdefault(payload_type, meaning) != meaning:
        raise ProtocolError(
            f"payload type {payload_type} has two meanings in one section",
            code="contradiction",
            source="RFC 8866 §6.6",
        )


def _decode_fmtp(section: Section, value: str) -> None:
    number, _, parameters = value.partition(" ")
    payload_type = decode_payload_type(number)
    if payload_type is None or not section.is_rtp:
        section.add("others", Attribute("fmtp", value))
    else:
        section.fmtps.setdefault(payload_type, []).append(parameters.strip())


def _decode_feedback(section: Section, value: str) -> None:
    number, _, feedback = value.partition(" ")
    feedback = " ".join(feedback.split())
    payload_type = decode_payload_type(number)
    if number == "*":
        listed = section.lists.setdefault("feedback", [])
    elif payload_type is None or not feedback:
        raise ProtocolError("attribute rtcp-fb is malformed", source="RFC 4585 §4.2")
    else:
        listed = section.feedback.setdefault(payload_type, [])
    if feedback not in listed:
        listed.append(feedback)


def _decode_source(section: Section, value: str) -> None:
    ssrc, attribute = decode_source_attribute(value)
    listed = section.sources.setdefault(ssrc, [])
    if attribute is not None:
        listed.append(attribute)


def _decode_rid(section: Section, value: str) -> None:
    rid = decode_rid(value)
    rids = section.fields.setdefault("rids", {})
    if rids.setdefault(rid.id, rid) != rid:
        raise ProtocolError(
            "a rid stands twice in one section",
            code="contradiction",
            source="RFC 8851 §4",
        )


def _decode_simulcast(section: Section, value: str) -> None:
    simulcast = decode_simulcast(value)
    if simulcast is None:
        section.add("others", Attribute("simulcast", value))
    else:
        section.set("simulcast", simulcast, "simulcast lines")


def decode_mid(section: Section, value: str) -> None:
    """Decode a section's mid."""
    section.set("mid", decode_token(value, "mid", "RFC 5888 §4"), "mids")


def _decode_real(field: str) -> Decoder:
    def decode(section: Section, value: str) -> None:
        number = decode_real(value)
        if number is None:
            section.add("others", Attribute(field, value))
        else:
            section.set(field, number, f"{field} values")

    return decode


_ICE: dict[str, Decoder] = {
    # RFC 8839 §5.4 gives the least lengths.
    "ice-ufrag": _decode_ice_text("ice_ufrag", 4, "ice-ufrag"),
    "ice-pwd": _decode_ice_text("ice_pwd", 22, "ice-pwd"),
    "ice-options": _decode_ice_options,
    "ice-lite": _flag("ice_lite"),
    "candidate": _decode_candidate,
    "end-of-candidates": _flag("end_of_candidates"),
}
_ANYWHERE: dict[str, Decoder] = {
    "sendrecv": _decode_direction("sendrecv"),
    "sendonly": _decode_direction("sendonly"),
    "recvonly": _decode_direction("recvonly"),
    "inactive": _decode_direction("inactive"),
    "fingerprint": _decode_fingerprint,
    "setup": lambda section, value: section.set(
        "setup", decode_setup(value), "setup values"
    ),
    "extmap": lambda section, value: section.add("extmaps", decode_extmap(value)),
    "extmap-allow-mixed": _flag("extmap_allow_mixed"),
}
_IN_HEAD: dict[str, Decoder] = {
    "group": lambda section, value: section.add("groups", decode_group(value)),
    "msid-semantic": lambda section, value: section.add(
        "msid_semantics", decode_msid_semantic(value)
    ),
}
_IN_MEDIA: dict[str, Decoder] = {
    "mid": decode_mid,
    "bundle-only": _flag("bundle_only"),
    "msid": lambda section, value: section.add("msids", decode_msid(value)),
    "rtcp": once("rtcp", "rtcp values"),
    "rtcp-mux": _flag("rtcp_mux"),
    "rtcp-mux-only": _flag("rtcp_mux_only"),
    "rtcp-rsize": _flag("rtcp_rsize"),
    "rtpmap": _decode_rtpmap,
    "fmtp": _decode_fmtp,
    "rtcp-fb": _decode_feedback,
    "rid": _decode_rid,
    "simulcast": _decode_simulcast,
    "ssrc": _decode_source,
    "ssrc-group": lambda section, value: section.add(
        "source_groups", decode_source_group(value)
    ),
    "ptime": _decode_real("ptime"),
    "maxptime": _decode_real("maxptime"),
    "framerate": _decode_real("framerate"),
}
