"""Making an offer, and taking its answer.

Source: RFC 9429 §5.2.1, §5.11; RFC 3264 §5, §7.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from sansmedia.sansio import UsageError

from .answer import ANY_ADDRESS, send_attributes
from .capabilities import MID_EXTENSION, RID_EXTENSION, SendSource
from .description import MediaDescription, SessionDescription, Transport
from .negotiated import NegotiatedCodec, NegotiatedMedia, NegotiatedSession
from .negotiation import (
    REDUNDANCY,
    common_direction,
    extension_ids,
    refuse,
    remote_sources,
    require_distinct,
    rtx_payload_types,
    shared_transport,
    simulcast_ssrcs,
)
from .records import (
    Direction,
    ExtMap,
    Group,
    MsidSemantic,
    Origin,
    PayloadFormat,
    Rid,
    RidReference,
    Setup,
    Simulcast,
)

__all__ = ["OfferedCodec", "OfferedMedia", "apply_answer", "make_offer"]

# Dynamic payload types; 64 to 95 look like RTCP when both share a port. RFC 5761 §4.
_DYNAMIC = (*range(96, 128), *range(35, 64))
# 15 is reserved, and beyond it two-byte headers begin. RFC 8285 §4.2.
_EXTENSION_IDS = range(1, 15)


@attrs.frozen(kw_only=True)
class OfferedCodec:
    """A format to offer."""

    encoding: str
    clock_rate: int
    channels: int = 1
    fmtp: str = ""
    feedback: tuple[str, ...] = ()
    rtx: bool = False
    """Whether retransmissions get a payload type beside it."""
    payload_type: int | None = None
    """None: the next free one."""


@attrs.frozen(kw_only=True)
class OfferedMedia:
    """A section to offer."""

    kind: str
    codecs: tuple[OfferedCodec, ...]
    """Best first."""
    extensions: tuple[str, ...] = (MID_EXTENSION,)
    """URIs; the same one has the same number in all sections."""
    source: SendSource | None = None
    """What we send; None if we only receive."""
    rids: tuple[str, ...] = ()
    """Simulcast layers that we send; the offer needs `RID_EXTENSION` too."""


def make_offer(
    media: Sequence[OfferedMedia],
    *,
    direction: Direction,
    transport: Transport,
    session_id: int,
) -> SessionDescription:
    """Offer to send or to receive, all sections in one BUNDLE group.

    Args:
        media: The sections.
        direction: What we do in each.
        transport: Our ICE and DTLS side; a ``setup`` of None is offered as actpass.
        session_id: For the ``o=`` line, up to 63 bits, random.

    Raises:
        UsageError: Too many formats or extensions, layers without `RID_EXTENSION`, or
            nothing offered.
    """
    if not media:
        raise UsageError("an offer needs a section")
    numbers: dict[str, int] = {}
    for one in media:
        for uri in one.extensions:
            numbers.setdefault(uri, len(numbers) + 1)
    if len(numbers) > len(_EXTENSION_IDS):
        raise UsageError("more than 14 header extensions")
    taken = {c.payload_type for one in media for c in one.codecs}
    free = [number for number in reversed(_DYNAMIC) if number not in taken]
    sections = tuple(
        _offered(index, one, direction, transport, numbers, free)
        for index, one in enumerate(media)
    )
    streams = dict.fromkeys(one.source.stream for one in media if one.source)
    return SessionDescription(
        origin=Origin(session_id=str(session_id), session_version="1"),
        groups=(Group("BUNDLE", tuple(str(n) for n in range(len(sections)))),),
        msid_semantics=(MsidSemantic("WMS", tuple(streams) or ("*",)),),
        extmap_allow_mixed=True,
        ice_lite=transport.ice_lite,
        ice_options=transport.ice_options,
        media=sections,
    )


def _offered(
    index: int,
    media: OfferedMedia,
    direction: Direction,
    transport: Transport,
    numbers: dict[str, int],
    free: list[int],
) -> MediaDescription:
    if media.rids and RID_EXTENSION not in media.extensions:
        raise UsageError("simulcast needs the header extension for rids")
    payloads: list[PayloadFormat] = []
    for codec in media.codecs:
        number = _number(codec.payload_type, free)
        payloads.append(
            PayloadFormat(
                payload_type=number,
                encoding=codec.encoding,
                clock_rate=codec.clock_rate,
                channels=codec.channels,
                fmtp=codec.fmtp,
                feedback=codec.feedback,
            )
        )
        if codec.rtx:
            payloads.append(
                PayloadFormat(
                    payload_type=_number(None, free),
                    encoding="rtx",
                    clock_rate=codec.clock_rate,
                    fmtp=f"apt={number}",
                )
            )
    layers = tuple((RidReference(rid),) for rid in media.rids)
    fields = {} if media.source is None else send_attributes(media.source)
    if layers:
        # The layers' SSRCs are told apart by rid; announcing one would be wrong.
        fields |= {"sources": (), "source_groups": ()}
    return MediaDescription(
        kind=media.kind,
        payloads=tuple(payloads),
        connections=(ANY_ADDRESS,),
        mid=str(index),
        direction=direction,
        ice_ufrag=transport.ice_ufrag,
        ice_pwd=transport.ice_pwd,
        fingerprints=transport.fingerprints,
        setup=transport.setup or Setup.ACTPASS,
        candidates=transport.candidates if index == 0 else (),
        end_of_candidates=transport.end_of_candidates and index == 0,
        rtcp_mux=True,
        rtcp_mux_only=True,
        rtcp_rsize=True,
        extmaps=tuple(ExtMap(numbers[uri], uri) for uri in media.extensions),
        rids=tuple(Rid(rid, "send") for rid in media.rids),
        simulcast=Simulcast(send=layers) if layers else None,
        **fields,
    )


def _number(wanted: int | None, free: list[int]) -> int:
    if wanted is not None:
        return wanted
    if not free:
        raise UsageError("no payload type is left")
    return free.pop()


def apply_answer(
    offer: SessionDescription, answer: SessionDescription
) -> NegotiatedSession:
    """Return what our offer and a peer's answer have come to.

    Raises:
        ProtocolError: ``contradiction`` if the answer does not fit the offer;
            ``unsupported`` if nothing is left to send or receive, or if it does without
            BUNDLE or rtcp-mux; ``incomplete`` without credentials or fingerprint.
    """
    if len(answer.media) != len(offer.media):
        raise refuse(
            f"{len(answer.media)} sections for {len(offer.media)} offered",
            "RFC 3264 §6",
            "contradiction",
        )
    accepted: list[MediaDescription] = []
    sections: list[NegotiatedMedia] = []
    for index, (ours, theirs) in enumerate(zip(offer.media, answer.media, strict=True)):
        if theirs.kind != ours.kind or theirs.mid not in (None, ours.mid):
            raise refuse(
                f"section {index} of the answer is not the one offered",
                "RFC 3264 §6",
                "contradiction",
            )
        if theirs.port != 0 and not ours.is_rejected:
            accepted.append(theirs)
            sections.append(_applied(offer, answer, index, ours, theirs))
    if all(media.direction is Direction.INACTIVE for media in sections):
        raise refuse("the answer accepts nothing", "RFC 3264 §6.1")
    remote = shared_transport(answer, accepted)
    require_distinct(sections)
    return NegotiatedSession(
        media=tuple(sections),
        rejected=tuple(
            n
            for n in range(len(offer.media))
            if n not in {media.index for media in sections}
        ),
        remote=remote,
        is_dtls_client=_is_client(offer, offer.media[sections[0].index], remote),
    )


def _is_client(
    offer: SessionDescription, ours: MediaDescription, remote: Transport
) -> bool:
    """Tell whether we open the DTLS connection. Source: RFC 8842 §5.3, §5.4."""
    offered = ours.setup or offer.setup or Setup.ACTIVE
    # Without a word the answer is active, unless the offer was. RFC 4145 §4.
    default = Setup.PASSIVE if offered is Setup.ACTIVE else Setup.ACTIVE
    answered = remote.setup or default
    if answered not in (Setup.ACTIVE, Setup.PASSIVE) or answered is offered:
        raise refuse(
            f"setup:{answered.value} in answer to setup:{offered.value}",
            "RFC 8842 §5.3",
            "contradiction",
        )
    return answered is Setup.PASSIVE


def _applied(
    offer: SessionDescription,
    answer: SessionDescription,
    index: int,
    ours: MediaDescription,
    theirs: MediaDescription,
) -> NegotiatedMedia:
    wanted = offer.direction_of(ours)
    direction = common_direction(wanted, answer.direction_of(theirs))
    if direction is Direction.INACTIVE and not _is_inactive(answer, theirs):
        raise refuse(
            f"section {index} flows against the offer", "RFC 3264 §6.1", "contradiction"
        )
    offered = {payload.payload_type: payload for payload in ours.payloads}
    rtx = rtx_payload_types(theirs)
    codecs = []
    for payload in theirs.payloads:
        match = offered.get(payload.payload_type)
        if (
            match is None
            or match.encoding.lower() != payload.encoding.lower()
            or match.encoding.lower() in REDUNDANCY
            or match.clock_rate != payload.clock_rate
        ):
            continue
        feedback = (*payload.feedback, *theirs.feedback)
        codecs.append(
            NegotiatedCodec(
                payload_type=payload.payload_type,
                encoding=match.encoding,
                clock_rate=match.clock_rate,
                channels=match.channels,
                fmtp=payload.fmtp,
                local_fmtp=match.fmtp,
                feedback=tuple(one for one in match.feedback if one in feedback),
                rtx_payload_type=rtx.get(payload.payload_type),
            )
        )
    if not codecs:
        raise refuse(
            f"section {index} of the answer has no format that was offered",
            "RFC 3264 §6.1",
            "contradiction",
        )
    known = {extmap.uri for extmap in (*ours.extmaps, *offer.extmaps)}
    extmaps = [one for one in (*theirs.extmaps, *answer.extmaps) if one.uri in known]
    source = ours.sources[0].ssrc if ours.sources else None
    repairs = [
        one.ssrcs[1]
        for one in ours.source_groups
        if one.semantics == "FID" and len(one.ssrcs) > 1
    ]
    return NegotiatedMedia(
        index=index,
        mid=ours.mid,
        kind=ours.kind,
        direction=direction,
        codecs=tuple(codecs),
        extensions=extension_ids(extmaps),
        rids=_answered_rids(ours, theirs),
        remote_sources=remote_sources(theirs),
        simulcast_ssrcs=simulcast_ssrcs(theirs),
        ssrc=source,
        rtx_ssrc=repairs[0] if repairs and codecs[0].rtx_payload_type else None,
        rtcp_rsize=ours.rtcp_rsize and theirs.rtcp_rsize,
        extmap_allow_mixed=(
            (offer.extmap_allow_mixed or ours.extmap_allow_mixed)
            and (answer.extmap_allow_mixed or theirs.extmap_allow_mixed)
        ),
    )


def _is_inactive(answer: SessionDescription, theirs: MediaDescription) -> bool:
    return answer.direction_of(theirs) is Direction.INACTIVE


def _answered_rids(ours: MediaDescription, theirs: MediaDescription) -> tuple[str, ...]:
    """Return the layers that both name. Source: RFC 8853 §5.3.3."""
    if ours.simulcast is None or theirs.simulcast is None:
        return ()
    offered = [rid.id for rid in ours.rids]
    wanted = {one.id for alternatives in theirs.simulcast.recv for one in alternatives}
    return tuple(rid for rid in offered if rid in wanted)
