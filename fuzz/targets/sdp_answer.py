"""Answers to any offer, and any answer to an offer of ours."""

from __future__ import annotations

from sansmedia.sansio import ProtocolError
from sansmedia.sdp import (
    Capabilities,
    Direction,
    Fingerprint,
    OfferedCodec,
    OfferedMedia,
    SendSource,
    Transport,
    apply_answer,
    decode_session,
    encode_session,
    make_answer,
    make_offer,
)

_TRANSPORT = Transport(
    ice_ufrag="abcd",
    ice_pwd="0123456789abcdefghijkl",
    fingerprints=(Fingerprint("sha-256", ":".join(["AB"] * 32)),),
    candidates=("1 1 udp 1 192.0.2.1 9 typ host",),
)
_SOURCES = (
    SendSource(kind="audio", ssrc=1, cname="c", stream="s", track="a"),
    SendSource(kind="video", ssrc=2, rtx_ssrc=3, cname="c", stream="s", track="v"),
)


def _match(kind: str, encoding: str, rate: int, channels: int, fmtp: str) -> bool:
    return "x" not in encoding


_ABILITIES = [
    Capabilities(
        direction=direction,
        match=_match,
        partial=partial,
        redundancy=True,
        sections_per_kind=1 + partial,
    )
    for direction in (Direction.RECVONLY, Direction.SENDONLY)
    for partial in (False, True)
]
_OFFER = make_offer(
    [
        OfferedMedia(
            kind=source.kind,
            codecs=(OfferedCodec(encoding="VP8", clock_rate=90000, rtx=True),),
            source=source,
        )
        for source in _SOURCES
    ],
    direction=Direction.SENDONLY,
    transport=_TRANSPORT,
    session_id=1,
)


def one_input(data: bytes) -> None:
    # Offer and answer raise ProtocolError and nothing else; our answers read as they
    # were written, have the offer's sections in order, and flow one way.
    try:
        other = decode_session(data)
    except ProtocolError:
        return
    try:
        apply_answer(_OFFER, other)
    except ProtocolError as error:
        assert error.reason
    for capabilities in _ABILITIES:
        try:
            plan = make_answer(
                other,
                capabilities=capabilities,
                transport=_TRANSPORT,
                session_id=1,
                sources=_SOURCES,
            )
        except ProtocolError as error:
            assert error.reason
            continue
        assert decode_session(encode_session(plan.answer)) == plan.answer
        assert [m.kind for m in plan.answer.media] == [m.kind for m in other.media]
        assert [m.mid for m in plan.answer.media] == [m.mid for m in other.media]
        for media in plan.session.active:
            assert media.direction is capabilities.direction
            assert media.codecs
        try:
            session = apply_answer(other, plan.answer)
        except ProtocolError:
            continue
        assert len(session.media) == len(plan.session.media)
