"""Session descriptions as text, always in the same order.

Source: RFC 8866 §5.
"""

from __future__ import annotations

import re

from sansmedia.sansio import UsageError

from .attributes_wire import (
    encode_extmap,
    encode_real,
    encode_rid,
    encode_simulcast,
)
from .description import Description, MediaDescription, SessionDescription
from .records import PayloadFormat

__all__ = ["encode_session", "join_lines"]

_FORBIDDEN = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\x85\u2028\u2029]")


def join_lines(lines: list[str]) -> str:
    """Join lines with CRLF.

    Raises:
        UsageError: A value has a line break or another control character in it.
    """
    for line in lines:
        if _FORBIDDEN.search(line):
            raise UsageError(f"line {line[:40]!r} has a control character in it")
    return "\r\n".join(lines) + "\r\n"


def encode_session(session: SessionDescription) -> str:
    """Encode a description; decoding it gives the same again."""
    origin = session.origin
    lines = [
        "v=0",
        f"o={origin.username} {origin.session_id} {origin.session_version}"
        f" {origin.network_type} {origin.address_type} {origin.address}",
        f"s={session.name}",
    ]
    if session.information is not None:
        lines.append(f"i={session.information}")
    if session.uri is not None:
        lines.append(f"u={session.uri}")
    lines += [f"e={email}" for email in session.emails]
    lines += [f"p={phone}" for phone in session.phones]
    lines += [f"c={connection}" for connection in session.connections]
    lines += [f"b={one.kind}:{one.value}" for one in session.bandwidths]
    for timing in session.timings:
        lines.append(f"t={timing.start} {timing.stop}")
        lines += [f"r={repeat}" for repeat in timing.repeats]
    if session.zones is not None:
        lines.append(f"z={session.zones}")
    if session.key is not None:
        lines.append(f"k={session.key}")
    lines += [
        f"a=group:{' '.join((group.semantics, *group.mids))}"
        for group in session.groups
    ]
    # With a blank behind the colon, as browsers write it.
    lines += [
        f"a=msid-semantic: {' '.join((one.semantic, *one.identifiers))}"
        for one in session.msid_semantics
    ]
    lines += _transport_lines(session)
    lines += _closing_lines(session)
    for media in session.media:
        lines += _media_lines(media)
    return join_lines(lines)


def _transport_lines(description: Description) -> list[str]:
    lines = []
    if description.extmap_allow_mixed:
        lines.append("a=extmap-allow-mixed")
    if description.ice_lite:
        lines.append("a=ice-lite")
    if description.ice_ufrag is not None:
        lines.append(f"a=ice-ufrag:{description.ice_ufrag}")
    if description.ice_pwd is not None:
        lines.append(f"a=ice-pwd:{description.ice_pwd}")
    if description.ice_options:
        lines.append(f"a=ice-options:{' '.join(description.ice_options)}")
    lines += [
        f"a=fingerprint:{one.algorithm} {one.digest}"
        for one in description.fingerprints
    ]
    if description.setup is not None:
        lines.append(f"a=setup:{description.setup.value}")
    if description.direction is not None:
        lines.append(f"a={description.direction.value}")
    lines += [f"a=extmap:{encode_extmap(one)}" for one in description.extmaps]
    return lines


def _closing_lines(description: Description) -> list[str]:
    lines = [f"a=candidate:{candidate}" for candidate in description.candidates]
    if description.end_of_candidates:
        lines.append("a=end-of-candidates")
    for attribute in description.others:
        value = "" if attribute.value is None else f":{attribute.value}"
        lines.append(f"a={attribute.name}{value}")
    return lines


def _media_lines(media: MediaDescription) -> list[str]:
    formats = media.formats or tuple(str(one.payload_type) for one in media.payloads)
    count = f"/{media.port_count}" if media.port_count != 1 else ""
    words = (media.kind, f"{media.port}{count}", media.protocol, *formats)
    lines = [f"m={' '.join(words)}"]
    if media.information is not None:
        lines.append(f"i={media.information}")
    lines += [f"c={connection}" for connection in media.connections]
    lines += [f"b={one.kind}:{one.value}" for one in media.bandwidths]
    if media.key is not None:
        lines.append(f"k={media.key}")
    if media.rtcp is not None:
        lines.append(f"a=rtcp:{media.rtcp}")
    if media.mid is not None:
        lines.append(f"a=mid:{media.mid}")
    if media.bundle_only:
        lines.append("a=bundle-only")
    lines += _transport_lines(media)
    lines += [f"a=msid:{one.stream} {one.track}".rstrip() for one in media.msids]
    if media.rtcp_mux:
        lines.append("a=rtcp-mux")
    if media.rtcp_mux_only:
        lines.append("a=rtcp-mux-only")
    if media.rtcp_rsize:
        lines.append("a=rtcp-rsize")
    for payload in media.payloads:
        lines += _payload_lines(payload)
    lines += [f"a=rtcp-fb:* {feedback}" for feedback in media.feedback]
    for name, value in (
        ("ptime", media.ptime),
        ("maxptime", media.maxptime),
        ("framerate", media.framerate),
    ):
        if value is not None:
            lines.append(f"a={name}:{encode_real(value)}")
    lines += [f"a=rid:{encode_rid(rid)}" for rid in media.rids]
    if media.simulcast is not None:
        lines.append(f"a=simulcast:{encode_simulcast(media.simulcast)}")
    for group in media.source_groups:
        ssrcs = "".join(f" {ssrc}" for ssrc in group.ssrcs)
        lines.append(f"a=ssrc-group:{group.semantics}{ssrcs}")
    for source in media.sources:
        if not source.attributes:
            lines.append(f"a=ssrc:{source.ssrc}")
        for attribute in source.attributes:
            value_text = "" if attribute.value is None else f":{attribute.value}"
            lines.append(f"a=ssrc:{source.ssrc} {attribute.name}{value_text}")
    return lines + _closing_lines(media)


def _payload_lines(payload: PayloadFormat) -> list[str]:
    number = payload.payload_type
    lines = []
    if payload.encoding:
        channels = f"/{payload.channels}" if payload.channels != 1 else ""
        lines.append(
            f"a=rtpmap:{number} {payload.encoding}/{payload.clock_rate}{channels}"
        )
    lines += [f"a=rtcp-fb:{number} {feedback}" for feedback in payload.feedback]
    if payload.fmtp:
        lines.append(f"a=fmtp:{number} {payload.fmtp}")
    return lines
