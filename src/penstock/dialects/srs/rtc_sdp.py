"""Session descriptions as SRS reads and writes them; pure.

SRS takes one format a section where browsers offer many, and writes an answer that
clients read with less than a parser: candidates in every section, the address of the
first one at a fixed place, feedback only where it was offered.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

import attrs
from sansmedia.sdp import (
    Attribute,
    MediaDescription,
    MsidSemantic,
    PayloadFormat,
    SessionDescription,
    Source,
    decode_session,
    encode_session,
)

from .shapes import SIGNATURE

__all__ = ["prepared_offer", "shaped_answer"]

# What `codec` may name, and the names of its formats.
_CODECS = {
    "h264": ("h264",),
    "avc": ("h264",),
    "hevc": ("h265",),
    "h265": ("h265",),
    "av1": ("av1", "av1x"),
    "vp9": ("vp9",),
    "vp8": ("vp8",),
}
_CONSTRAINED_BASELINE = "42e01f"


def prepared_offer(
    offer: SessionDescription, codec: str, *, publishes: bool
) -> SessionDescription | None:
    """Return an offer with the formats left that SRS would choose from.

    A publisher's are narrowed to one, H.264 and Opus if it has them. A viewer's are
    only put in order, for what it waits for may come in any codec.

    Args:
        offer: The client's.
        codec: What it asked for by name; empty or unknown is no wish.
        publishes: Whether it offers to send.

    Returns:
        None if a section does not offer the codec that was asked for.
    """
    wanted = _CODECS.get(codec.lower())
    sections = []
    for media in offer.media:
        names = ("opus",) if media.kind == "audio" else wanted or ("h264",)
        chosen = _choose(media, names) if media.kind in ("audio", "video") else None
        if chosen is not None:
            explicit = wanted is not None and media.kind == "video"
            media = _narrowed(media, chosen, alone=publishes or explicit)
        elif wanted is not None and media.kind == "video" and not media.is_rejected:
            return None
        sections.append(media)
    return attrs.evolve(offer, media=tuple(sections))


def _choose(media: MediaDescription, names: Sequence[str]) -> PayloadFormat | None:
    """Return the format that SRS takes: of H.264 one that all browsers decode."""
    found = [one for one in media.payloads if one.encoding.lower() in names]
    common = [
        one
        for one in found
        if one.parameters.get("profile-level-id", "").lower() == _CONSTRAINED_BASELINE
    ]
    found = common or found
    for one in found:
        parameters = one.parameters
        if (
            parameters.get("packetization-mode") == "1"
            and parameters.get("level-asymmetry-allowed") == "1"
        ):
            return one
    return found[0] if found else None


def _narrowed(
    media: MediaDescription, chosen: PayloadFormat, *, alone: bool
) -> MediaDescription:
    repeats = [
        one
        for one in media.payloads
        if one.encoding.lower() == "rtx"
        and one.associated_payload_type == chosen.payload_type
    ]
    first = [chosen, *repeats]
    rest = [] if alone else [one for one in media.payloads if one not in first]
    return attrs.evolve(media, payloads=(*first, *rest))


def shaped_answer(
    text: str, *, publishes: bool, stream: str, wanted: Sequence[str] = ()
) -> str:
    """Return our answer in SRS's form.

    Args:
        text: Our answer.
        publishes: Whether the client sends.
        stream: ``app/stream``.
        wanted: IP addresses whose candidates come first, best first.
    """
    answer = decode_session(text)
    candidates = _ordered(
        [one for media in answer.media for one in media.candidates], wanted
    )
    return encode_session(
        attrs.evolve(
            answer,
            origin=attrs.evolve(
                answer.origin,
                username=SIGNATURE,
                session_version="2",
                address="0.0.0.0",
            ),
            name="SRSPublishSession" if publishes else "SRSPlaySession",
            msid_semantics=(MsidSemantic("WMS", (stream,)),),
            # There is no request that could bring more candidates.
            ice_options=(),
            media=tuple(_shaped(media, candidates) for media in answer.media),
        )
    )


def _shaped(media: MediaDescription, candidates: tuple[str, ...]) -> MediaDescription:
    if media.is_rejected:
        return media
    return attrs.evolve(
        media,
        candidates=candidates,
        end_of_candidates=False,
        ice_options=(),
        rtcp_mux_only=False,
        sources=tuple(_shaped_source(source) for source in media.sources),
    )


def _shaped_source(source: Source) -> Source:
    stream, _, track = (source.value("msid") or "").partition(" ")
    labels = (Attribute("mslabel", stream), Attribute("label", track))
    return attrs.evolve(source, attributes=(*source.attributes, *labels))


def _ordered(candidates: Sequence[str], wanted: Sequence[str]) -> tuple[str, ...]:
    """Put first what a client that tries one candidate alone reaches most likely."""

    def rank(candidate: str) -> tuple[bool, int, bool, bool]:
        words = candidate.split(" ")
        host = words[4]
        address = ipaddress.ip_address(host)
        place = wanted.index(host) if host in wanted else len(wanted)
        return words[2] != "udp", place, address.is_loopback, address.version == 6

    generation = " generation 0"
    return tuple(
        one if "tcptype" in one else one + generation
        for one in sorted(candidates, key=rank)
    )
