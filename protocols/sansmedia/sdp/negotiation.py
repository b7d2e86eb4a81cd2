"""Rules that answers made and answers taken have in common."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sansmedia.sansio import ProtocolError

from .capabilities import CodecChoice, CodecMatcher
from .description import MediaDescription, SessionDescription, Transport
from .negotiated import NegotiatedCodec, NegotiatedMedia, RemoteSource
from .records import Direction, ExtMap, PayloadFormat, Setup

__all__ = [
    "PROTOCOLS",
    "REDUNDANCY",
    "choose",
    "common_direction",
    "common_feedback",
    "extension_ids",
    "local_role",
    "refuse",
    "remote_sources",
    "require_distinct",
    "rtx_payload_types",
    "shared_transport",
    "simulcast_ssrcs",
]

PROTOCOLS = frozenset(
    f"{prefix}RTP/{profile}"
    for prefix in ("UDP/TLS/", "TCP/TLS/", "TCP/DTLS/", "")
    for profile in ("SAVPF", "SAVP")
)
"""Protocols of an ``m=`` line that mean SRTP keyed by DTLS. Source: RFC 9429 §5.1.2."""
REDUNDANCY = frozenset({"rtx", "red", "ulpfec", "flexfec", "flexfec-03"})
"""Formats that repeat or protect others."""


def refuse(reason: str, source: str, code: str = "unsupported") -> ProtocolError:
    """Return the error for an offer or answer that is well-formed, and not for us."""
    return ProtocolError(reason, code=code, source=source)


def choose(
    media: MediaDescription, match: CodecMatcher
) -> list[tuple[PayloadFormat, CodecChoice]]:
    """Return the formats that ``match`` takes, best first."""
    found = []
    for payload in media.payloads:
        if not payload.encoding or payload.encoding.lower() in REDUNDANCY:
            continue
        judged = match(
            media.kind,
            payload.encoding,
            payload.clock_rate,
            payload.channels,
            payload.fmtp,
        )
        choice = (
            judged if isinstance(judged, CodecChoice) else CodecChoice(float(judged))
        )
        if choice.score > 0:
            found.append((payload, choice))
    found.sort(key=lambda one: -one[1].score)
    return found


def rtx_payload_types(media: MediaDescription) -> dict[int, int]:
    """Return for each payload type that of its retransmissions."""
    found: dict[int, int] = {}
    for payload in media.payloads:
        if payload.encoding.lower() == "rtx":
            associated = payload.associated_payload_type
            if associated is not None:
                found.setdefault(associated, payload.payload_type)
    return found


def common_feedback(
    media: MediaDescription, payload: PayloadFormat, allowed: Iterable[str]
) -> tuple[str, ...]:
    """Return what is offered, for this format or all, and allowed."""
    offered = dict.fromkeys((*payload.feedback, *media.feedback))
    taken = set(allowed)
    return tuple(one for one in offered if one in taken)


def common_direction(ours: Direction, theirs: Direction) -> Direction:
    """Return what we do if we want ``ours`` and they say ``theirs``.

    Source: RFC 3264 §6.1.
    """
    if ours.sends and theirs.receives:
        return Direction.SENDONLY
    if ours.receives and theirs.sends:
        return Direction.RECVONLY
    return Direction.INACTIVE


def extension_ids(extmaps: Iterable[ExtMap]) -> dict[str, int]:
    """Return ids by URI, of those that packets can carry.

    Raises:
        ProtocolError: ``contradiction`` if two extensions have one id.

    Source: RFC 8285 §5.
    """
    found: dict[str, int] = {}
    used: set[int] = set()
    for extmap in extmaps:
        if extmap.uri in found or not 1 <= extmap.id <= 255:
            continue
        if extmap.id in used:
            raise refuse(
                f"header extension id {extmap.id} has two meanings",
                "RFC 8285 §5",
                "contradiction",
            )
        used.add(extmap.id)
        found[extmap.uri] = extmap.id
    return found


def remote_sources(media: MediaDescription) -> tuple[RemoteSource, ...]:
    """Return the announced streams; repairs stand with what they repair."""
    repairs: dict[int, int] = {}
    secondary: set[int] = set()
    for group in media.source_groups:
        if group.semantics in ("FID", "FEC-FR") and len(group.ssrcs) == 2:
            primary, repair = group.ssrcs
            secondary.add(repair)
            if group.semantics == "FID":
                repairs.setdefault(primary, repair)
    return tuple(
        RemoteSource(
            source.ssrc,
            repairs.get(source.ssrc),
            source.value("cname"),
            source.value("msid"),
        )
        for source in media.sources
        if source.ssrc not in secondary
    )


def simulcast_ssrcs(media: MediaDescription) -> tuple[int, ...]:
    """Return the layers of the first ``ssrc-group:SIM``."""
    for group in media.source_groups:
        if group.semantics == "SIM":
            return group.ssrcs
    return ()


def shared_transport(
    description: SessionDescription, accepted: Sequence[MediaDescription]
) -> Transport:
    """Return the one transport of all accepted sections.

    Raises:
        ProtocolError: They do not share one: no BUNDLE, or no rtcp-mux.

    Source: RFC 9143 §7; RFC 8858 §3.
    """
    bundle = description.bundle
    transports = [description.transport_of(media) for media in accepted]
    first = transports[0]
    if len(accepted) > 1:
        # DEVIATION(no-mid): sections without mids cannot be bundled by the letter; one
        # set of credentials for all of them says that there is one transport.
        implicit = all(
            media.mid is None and one.ice_ufrag == first.ice_ufrag
            for media, one in zip(accepted, transports, strict=True)
        )
        bundled = all(media.mid in bundle for media in accepted)
        if not bundled and not implicit:
            raise refuse("sections are not all in one BUNDLE group", "RFC 9143 §7.2")
    # In a bundle, the first section's rtcp-mux is that of the transport.
    multiplexed = accepted[0].rtcp_mux or accepted[0].rtcp_mux_only
    for media in accepted:
        bundled = media.mid is not None and media.mid in bundle
        if not (media.rtcp_mux or media.rtcp_mux_only or (bundled and multiplexed)):
            raise refuse("a section without rtcp-mux", "RFC 8858 §3")
    if len({one.setup for one in transports}) > 1:
        raise refuse(
            "sections of one transport with different setup values",
            "RFC 8842 §5.2",
            "contradiction",
        )
    return first


def local_role(theirs: Setup | None, preferred: Setup | None) -> Setup:
    """Return our side of the DTLS connection.

    Args:
        theirs: What the offer says; None means active, as RFC 4145 §4 has it.
        preferred: What we choose if both are possible; passive by default.

    Raises:
        ProtocolError: The offer holds the connection.

    Source: RFC 8842 §5.3.
    """
    if theirs is Setup.ACTPASS:
        return Setup.ACTIVE if preferred is Setup.ACTIVE else Setup.PASSIVE
    if theirs is Setup.HOLDCONN:
        raise refuse("setup:holdconn opens no connection", "RFC 4145 §4")
    return Setup.ACTIVE if theirs is Setup.PASSIVE else Setup.PASSIVE


def require_distinct(sections: Sequence[NegotiatedMedia]) -> None:
    """Require that payload types and extension ids tell the same everywhere.

    Raises:
        ProtocolError: ``contradiction``; receivers could not tell packets apart.

    Source: RFC 9143 §9.1, §15.
    """
    codecs: dict[int, tuple[str, int, int]] = {}
    extensions: dict[int, str] = {}
    for media in sections:
        for codec in media.codecs:
            meaning = _meaning(codec)
            if codecs.setdefault(codec.payload_type, meaning) != meaning:
                raise refuse(
                    f"payload type {codec.payload_type} has two meanings in one"
                    " BUNDLE group",
                    "RFC 9143 §9.1",
                    "contradiction",
                )
        for uri, number in media.extensions.items():
            if extensions.setdefault(number, uri) != uri:
                raise refuse(
                    f"header extension id {number} has two meanings in one BUNDLE"
                    " group",
                    "RFC 8285 §5",
                    "contradiction",
                )


def _meaning(codec: NegotiatedCodec) -> tuple[str, int, int]:
    return codec.encoding.lower(), codec.clock_rate, codec.channels
