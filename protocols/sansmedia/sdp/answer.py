"""Answering an offer.

Source: RFC 9429 §5.3.1; RFC 3264 §6; RFC 9725 §4.2.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import attrs

from .capabilities import RID_EXTENSION, Capabilities, SendSource
from .description import MediaDescription, SessionDescription, Transport
from .negotiated import (
    AnswerPlan,
    NegotiatedCodec,
    NegotiatedMedia,
    NegotiatedSession,
)
from .negotiation import (
    PROTOCOLS,
    choose,
    common_direction,
    common_feedback,
    extension_ids,
    local_role,
    refuse,
    remote_sources,
    require_distinct,
    rtx_payload_types,
    shared_transport,
    simulcast_ssrcs,
)
from .records import (
    Attribute,
    Direction,
    ExtMap,
    Group,
    Msid,
    MsidSemantic,
    Origin,
    PayloadFormat,
    Rid,
    RidReference,
    Setup,
    Simulcast,
    Source,
    SourceGroup,
)

__all__ = ["make_answer", "send_attributes"]

ANY_ADDRESS = "IN IP4 0.0.0.0"


@attrs.frozen
class _Plan:
    """A section that will be accepted."""

    media: MediaDescription
    negotiated: NegotiatedMedia
    payloads: tuple[PayloadFormat, ...]
    extmaps: tuple[ExtMap, ...]
    rids: tuple[Rid, ...]
    source: SendSource | None


def make_answer(
    offer: SessionDescription,
    *,
    capabilities: Capabilities,
    transport: Transport,
    session_id: int,
    sources: Sequence[SendSource] = (),
) -> AnswerPlan:
    """Answer an offer of an endpoint that sends or receives.

    Sections of kinds that we do not know (data channels) are rejected. A section that
    we have nothing to send for, or that does not flow our way, becomes inactive.
    Layers of simulcast are taken all or, if there is no header extension to tell them
    apart, none.

    Args:
        offer: The peer's.
        capabilities: What we can do.
        transport: Our ICE and DTLS side. Its ``setup`` is what we choose if the offer
            leaves it to us (``actpass``); passive if it is None.
        session_id: For the ``o=`` line, up to 63 bits, random.
        sources: What we send, if we send; taken in order for sections of their kind.

    Raises:
        ProtocolError: ``unsupported``: no common codec, more sections of a kind than
            we take, no BUNDLE, no rtcp-mux, nothing flows our way; ``incomplete``: no
            ICE credentials or no fingerprint; ``contradiction``.
    """
    plans: dict[int, _Plan] = {}
    waiting = list(sources)
    counts: Counter[str] = Counter()
    for index, media in enumerate(offer.media):
        if media.is_rejected or media.kind not in capabilities.kinds:
            continue
        counts[media.kind] += 1
        if counts[media.kind] > capabilities.sections_per_kind:
            if capabilities.partial:
                continue
            raise refuse(
                f"more than {capabilities.sections_per_kind} sections of {media.kind}",
                "RFC 9725 §4.4.2",
            )
        plan = _plan(offer, index, media, capabilities, waiting)
        if plan is not None:
            plans[index] = plan
    _require_flow(plans.values(), capabilities)
    accepted = [plan.media for plan in plans.values()]
    remote = shared_transport(offer, accepted)
    require_distinct([plan.negotiated for plan in plans.values()])
    setup = local_role(remote.setup, transport.setup)
    first = next(iter(plans))
    sections = tuple(
        _accepted(offer, plans[index], transport, setup, index == first)
        if index in plans
        else _rejected(media)
        for index, media in enumerate(offer.media)
    )
    streams = dict.fromkeys(
        plan.source.stream for plan in plans.values() if plan.source is not None
    )
    answer = SessionDescription(
        origin=Origin(session_id=str(session_id), session_version="1"),
        groups=_bundle(offer, accepted),
        msid_semantics=(MsidSemantic("WMS", tuple(streams) or ("*",)),),
        extmap_allow_mixed=offer.extmap_allow_mixed,
        ice_lite=transport.ice_lite,
        ice_options=transport.ice_options,
        media=sections,
    )
    session = NegotiatedSession(
        media=tuple(plan.negotiated for plan in plans.values()),
        rejected=tuple(n for n in range(len(offer.media)) if n not in plans),
        remote=remote,
        is_dtls_client=setup is Setup.ACTIVE,
    )
    return AnswerPlan(answer, session)


def _plan(
    offer: SessionDescription,
    index: int,
    media: MediaDescription,
    capabilities: Capabilities,
    waiting: list[SendSource],
) -> _Plan | None:
    if not media.is_rtp or media.protocol not in PROTOCOLS:
        raise refuse(
            f"section {index} is {media.protocol[:40]}, not SRTP keyed by DTLS",
            "RFC 9429 §5.1.2",
        )
    chosen = choose(media, capabilities.match)
    if not chosen:
        if capabilities.partial:
            return None
        raise refuse(
            f"section {index} ({media.kind}) has no codec in common with us",
            "RFC 9725 §4.4.3",
        )
    direction = common_direction(capabilities.direction, offer.direction_of(media))
    source = None
    if direction is Direction.SENDONLY:
        source = next((one for one in waiting if one.kind == media.kind), None)
        if source is None:
            direction = Direction.INACTIVE
        else:
            waiting.remove(source)
    has_rtx = capabilities.rtx and (source is None or source.rtx_ssrc is not None)
    rtx = rtx_payload_types(media) if has_rtx else {}
    allowed = capabilities.feedback.get(media.kind, ())
    codecs = tuple(
        NegotiatedCodec(
            payload_type=payload.payload_type,
            encoding=payload.encoding,
            clock_rate=payload.clock_rate,
            channels=payload.channels,
            fmtp=payload.fmtp,
            local_fmtp=payload.fmtp if choice.fmtp is None else choice.fmtp,
            feedback=common_feedback(media, payload, allowed),
            rtx_payload_type=rtx.get(payload.payload_type),
        )
        for payload, choice in chosen
    )
    red, ulpfec = (
        _redundancy(media, codecs) if capabilities.redundancy else (None, None)
    )
    extmaps = _extmaps(offer, media, capabilities)
    negotiated = NegotiatedMedia(
        index=index,
        mid=media.mid,
        kind=media.kind,
        direction=direction,
        codecs=codecs,
        red_payload_type=red,
        red_rtx_payload_type=None if red is None else rtx.get(red),
        ulpfec_payload_type=ulpfec,
        extensions=extension_ids(extmaps),
        remote_sources=remote_sources(media),
        simulcast_ssrcs=simulcast_ssrcs(media),
        ssrc=None if source is None else source.ssrc,
        rtx_ssrc=None if source is None or not has_rtx else source.rtx_ssrc,
        rtcp_rsize=media.rtcp_rsize,
        extmap_allow_mixed=offer.extmap_allow_mixed or media.extmap_allow_mixed,
    )
    rids = _rids(media, negotiated) if capabilities.simulcast else ()
    negotiated = attrs.evolve(negotiated, rids=tuple(rid.id for rid in rids))
    payloads = _answer_payloads(media, negotiated)
    return _Plan(media, negotiated, payloads, extmaps, rids, source)


def _redundancy(
    media: MediaDescription, codecs: Sequence[NegotiatedCodec]
) -> tuple[int | None, int | None]:
    """Return the payload types of red and ulpfec.

    A ``red`` whose ``fmtp`` names a format that we do not take is left out.
    """
    known = {codec.payload_type for codec in codecs}
    red = ulpfec = None
    for payload in media.payloads:
        encoding = payload.encoding.lower()
        if encoding == "red" and red is None:
            # RFC 2198 §5: the formats inside, as in "111/111"; video has none.
            inside = [part for part in payload.fmtp.split("/") if part.isdigit()]
            if all(len(part) < 4 and int(part) in known for part in inside):
                red = payload.payload_type
        elif encoding == "ulpfec" and ulpfec is None:
            ulpfec = payload.payload_type
    return red, ulpfec


def _extmaps(
    offer: SessionDescription, media: MediaDescription, capabilities: Capabilities
) -> tuple[ExtMap, ...]:
    """Return the extensions to answer. Source: RFC 8285 §6."""
    known = set(capabilities.extensions.get(media.kind, ()))
    answered: dict[str, ExtMap] = {}
    for extmap in (*media.extmaps, *offer.extmaps):
        theirs = extmap.direction or Direction.SENDRECV
        flows = common_direction(capabilities.direction, theirs)
        # Numbers from 4096 on only ask for a number: there are enough below.
        if (
            extmap.uri in known
            and 1 <= extmap.id <= 255
            and flows is not Direction.INACTIVE
        ):
            direction = extmap.direction.reversed if extmap.direction else None
            answered.setdefault(extmap.uri, ExtMap(extmap.id, extmap.uri, direction))
    return tuple(answered.values())


def _rids(media: MediaDescription, negotiated: NegotiatedMedia) -> tuple[Rid, ...]:
    """Return the layers to receive. Source: RFC 8853 §5.3.2; RFC 8851 §6."""
    if (
        negotiated.direction is not Direction.RECVONLY
        or media.simulcast is None
        or RID_EXTENSION not in negotiated.extensions
    ):
        return ()
    offered = {rid.id: rid for rid in media.rids if rid.direction == "send"}
    taken = {codec.payload_type for codec in negotiated.codecs}
    rids: dict[str, Rid] = {}
    for alternatives in media.simulcast.send:
        for reference in alternatives:
            rid = offered.get(reference.id)
            if rid is None:
                continue
            payload_types = tuple(one for one in rid.payload_types if one in taken)
            if payload_types or not rid.payload_types:
                rids[rid.id] = Rid(rid.id, "recv", payload_types, rid.restrictions)
                # Of alternatives, the first that we can take.
                break
    return tuple(rids.values())


def _answer_payloads(
    media: MediaDescription, negotiated: NegotiatedMedia
) -> tuple[PayloadFormat, ...]:
    payloads = []
    for codec in negotiated.codecs:
        payloads.append(
            PayloadFormat(
                payload_type=codec.payload_type,
                encoding=codec.encoding,
                clock_rate=codec.clock_rate,
                channels=codec.channels,
                fmtp=codec.local_fmtp,
                feedback=codec.feedback,
            )
        )
        payloads += _repeated(media, codec.rtx_payload_type)
    payloads += _repeated(media, negotiated.red_payload_type)
    payloads += _repeated(media, negotiated.red_rtx_payload_type)
    payloads += _repeated(media, negotiated.ulpfec_payload_type)
    return tuple(payloads)


def _repeated(media: MediaDescription, payload_type: int | None) -> list[PayloadFormat]:
    payload = None if payload_type is None else media.payload(payload_type)
    return [] if payload is None else [attrs.evolve(payload, feedback=())]


def _require_flow(plans: Iterable[_Plan], capabilities: Capabilities) -> None:
    if all(plan.negotiated.direction is Direction.INACTIVE for plan in plans):
        verb = "sends" if capabilities.direction is Direction.RECVONLY else "receives"
        raise refuse(
            f"no section in which the peer {verb} something that we have",
            "RFC 9725 §4.2",
        )


def _bundle(
    offer: SessionDescription, accepted: Sequence[MediaDescription]
) -> tuple[Group, ...]:
    mids = {media.mid for media in accepted}
    bundled = tuple(mid for mid in offer.bundle if mid in mids)
    return (Group("BUNDLE", bundled),) if bundled else ()


def _rejected(media: MediaDescription) -> MediaDescription:
    """Return a section with port 0. Source: RFC 3264 §6."""
    return MediaDescription(
        kind=media.kind,
        port=0,
        protocol=media.protocol,
        connections=(ANY_ADDRESS,),
        mid=media.mid,
        direction=Direction.INACTIVE,
        # The formats mean nothing here, but there has to be one.
        payloads=tuple(
            attrs.evolve(payload, fmtp="", feedback=())
            for payload in media.payloads[:1]
        ),
        formats=media.formats,
    )


def _accepted(
    offer: SessionDescription,
    plan: _Plan,
    transport: Transport,
    setup: Setup,
    is_first: bool,
) -> MediaDescription:
    """Return a section that says yes.

    Credentials, fingerprint and role stand in every section, although those of the
    first would do in a bundle: readers look there. Candidates stand in the first alone.
    """
    media, negotiated = plan.media, plan.negotiated
    fields = {} if plan.source is None else send_attributes(plan.source, negotiated)
    layers = tuple((RidReference(rid.id),) for rid in plan.rids)
    return MediaDescription(
        kind=media.kind,
        protocol=media.protocol,
        payloads=plan.payloads,
        connections=(ANY_ADDRESS,),
        mid=media.mid,
        direction=negotiated.direction,
        ice_ufrag=transport.ice_ufrag,
        ice_pwd=transport.ice_pwd,
        fingerprints=transport.fingerprints,
        setup=setup,
        candidates=transport.candidates if is_first else (),
        end_of_candidates=transport.end_of_candidates and is_first,
        rtcp_mux=True,
        # RFC 9725 §4.4.1; nobody else minds.
        rtcp_mux_only=True,
        rtcp_rsize=media.rtcp_rsize,
        extmaps=plan.extmaps,
        extmap_allow_mixed=media.extmap_allow_mixed,
        rids=plan.rids,
        simulcast=Simulcast(recv=layers) if layers else None,
        **fields,
    )


def send_attributes(
    source: SendSource, negotiated: NegotiatedMedia | None = None
) -> dict[str, Any]:
    """Return the fields that tell of what we send.

    Source: RFC 8830 §2; RFC 5576 §4; RFC 4588 §8.
    """
    rtx_ssrc = source.rtx_ssrc if negotiated is None else negotiated.rtx_ssrc
    if negotiated is not None and not any(
        codec.rtx_payload_type is not None for codec in negotiated.codecs
    ):
        rtx_ssrc = None
    told = (
        Attribute("cname", source.cname),
        Attribute("msid", f"{source.stream} {source.track}"),
    )
    sources = [Source(source.ssrc, told)]
    groups = []
    if rtx_ssrc is not None:
        sources.append(Source(rtx_ssrc, told))
        groups.append(SourceGroup("FID", (source.ssrc, rtx_ssrc)))
    return {
        "msids": (Msid(source.stream, source.track),),
        "sources": tuple(sources),
        "source_groups": tuple(groups),
    }
