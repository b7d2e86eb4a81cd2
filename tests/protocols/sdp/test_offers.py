"""Offers of ours, and what their answers come to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest
from sansmedia.sansio import ProtocolError, UsageError
from sansmedia.sdp import (
    MID_EXTENSION,
    RID_EXTENSION,
    Capabilities,
    Direction,
    OfferedCodec,
    OfferedMedia,
    SendSource,
    SessionDescription,
    Setup,
    Transport,
    apply_answer,
    decode_session,
    encode_session,
    make_answer,
    make_offer,
)

_OPUS = OfferedCodec(encoding="opus", clock_rate=48000, channels=2, payload_type=111)
_VP8 = OfferedCodec(encoding="VP8", clock_rate=90000, rtx=True, feedback=("nack",))
_H264 = OfferedCodec(
    encoding="H264",
    clock_rate=90000,
    fmtp="packetization-mode=1",
    feedback=("nack", "nack pli"),
    rtx=True,
)


@pytest.fixture
def media(sources: tuple[SendSource, ...]) -> tuple[OfferedMedia, ...]:
    """Sound and picture to send."""
    audio, video = sources
    return (
        OfferedMedia(kind="audio", codecs=(_OPUS,), source=audio),
        OfferedMedia(
            kind="video",
            codecs=(_H264, _VP8),
            source=video,
            extensions=(RID_EXTENSION, MID_EXTENSION),
        ),
    )


@pytest.fixture
def offer(media: tuple[OfferedMedia, ...], ours: Transport) -> SessionDescription:
    """An offer to send both."""
    return make_offer(media, direction=Direction.SENDONLY, transport=ours, session_id=9)


@pytest.fixture
def answer(
    offer: SessionDescription, receiver: Capabilities, theirs: Transport
) -> SessionDescription:
    """The other side's answer."""
    return make_answer(
        offer, capabilities=receiver, transport=theirs, session_id=8
    ).answer


@pytest.fixture
def theirs(ours: Transport) -> Transport:
    """The other side's ICE and DTLS side."""
    return attrs.evolve(ours, ice_ufrag="them")


def test_an_offer_has_what_whip_wants(offer: SessionDescription) -> None:
    """RFC 3264 §5; RFC 9429 §5.2.1; RFC 9725 §4.2, §4.4.1, §4.4.2, §4.4.4;
    RFC 8285 §4.2; RFC 5761 §4.
    """
    assert decode_session(encode_session(offer)) == offer
    assert offer.bundle == ("0", "1")
    for media in offer.media:
        assert media.direction is Direction.SENDONLY
        assert media.rtcp_mux
        assert media.rtcp_mux_only
        assert media.setup is Setup.ACTPASS
        assert media.msids[0].stream == "s"
    audio, video = offer.media
    assert [p.payload_type for p in audio.payloads] == [111]
    assert [(p.payload_type, p.encoding) for p in video.payloads] == [
        (96, "H264"),
        (97, "rtx"),
        (98, "VP8"),
        (99, "rtx"),
    ]
    assert video.payloads[3].associated_payload_type == 98
    assert [(e.id, e.uri) for e in (*audio.extmaps, *video.extmaps)] == [
        (1, MID_EXTENSION),
        (2, RID_EXTENSION),
        (1, MID_EXTENSION),
    ]
    assert [source.ssrc for source in video.sources] == [20, 21]


def test_both_sides_come_to_the_same(
    offer: SessionDescription, receiver: Capabilities, theirs: Transport
) -> None:
    """RFC 3264 §7; RFC 9429 §5.11."""
    plan = make_answer(offer, capabilities=receiver, transport=theirs, session_id=8)
    session = apply_answer(offer, decode_session(encode_session(plan.answer)))
    assert session.remote.ice_ufrag == "them"
    assert session.is_dtls_client is not plan.session.is_dtls_client
    for mine, other in zip(session.media, plan.session.media, strict=True):
        assert mine.direction is other.direction.reversed
        assert (mine.mid, mine.kind, mine.rids) == (other.mid, other.kind, other.rids)
        assert mine.extensions == other.extensions
        assert [attrs.evolve(c, fmtp="", local_fmtp="") for c in mine.codecs] == [
            attrs.evolve(c, fmtp="", local_fmtp="") for c in other.codecs
        ]
    assert session.media[1].ssrc == 20
    assert session.media[1].rtx_ssrc == 21
    [source] = plan.session.media[1].remote_sources
    assert (source.ssrc, source.rtx_ssrc) == (20, 21)


def test_layers_are_offered_by_rid(
    media: tuple[OfferedMedia, ...], ours: Transport, receiver: Capabilities
) -> None:
    """RFC 8853 §5.3.3."""
    audio, video = media
    layered = attrs.evolve(video, rids=("hi", "lo"))
    offer = make_offer(
        (audio, layered), direction=Direction.SENDONLY, transport=ours, session_id=9
    )
    assert offer.media[1].sources == ()
    answer = make_answer(
        offer, capabilities=receiver, transport=ours, session_id=1
    ).answer
    assert apply_answer(offer, answer).media[1].rids == ("hi", "lo")


def test_an_offer_to_receive_names_nothing(ours: Transport) -> None:
    offer = make_offer(
        [OfferedMedia(kind="video", codecs=(_VP8,))],
        direction=Direction.RECVONLY,
        transport=attrs.evolve(ours, setup=Setup.ACTIVE),
        session_id=9,
    )
    [media] = offer.media
    assert (media.direction, media.msids) == (Direction.RECVONLY, ())
    assert media.setup is Setup.ACTIVE


@pytest.mark.parametrize(
    "media",
    [
        (),
        (OfferedMedia(kind="video", codecs=(_VP8,), rids=("hi",)),),
        (OfferedMedia(kind="video", codecs=(_VP8,) * 40),),
        (
            OfferedMedia(
                kind="video", codecs=(_VP8,), extensions=tuple(map(str, range(15)))
            ),
        ),
    ],
)
def test_what_cannot_be_offered_is_our_mistake(
    ours: Transport, media: tuple[OfferedMedia, ...]
) -> None:
    with pytest.raises(UsageError):
        make_offer(media, direction=Direction.SENDONLY, transport=ours, session_id=9)


def _change(
    index: int, **changes: Any
) -> Callable[[SessionDescription], SessionDescription]:
    def change(answer: SessionDescription) -> SessionDescription:
        media = list(answer.media)
        media[index] = attrs.evolve(media[index], **changes)
        return attrs.evolve(answer, media=tuple(media))

    return change


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda a: attrs.evolve(a, media=a.media[:1]), "contradiction"),
        (lambda a: attrs.evolve(a, media=a.media[::-1]), "contradiction"),
        (_change(0, kind="video"), "contradiction"),
        (_change(0, mid="7"), "contradiction"),
        (_change(0, payloads=()), "contradiction"),
        (_change(0, direction=Direction.SENDONLY), "contradiction"),
        (
            lambda a: _change(0, setup=Setup.ACTPASS)(
                _change(1, setup=Setup.ACTPASS)(a)
            ),
            "contradiction",
        ),
        (_change(1, setup=Setup.ACTIVE), "contradiction"),
        (_change(0, ice_ufrag=None), "incomplete"),
        (_change(0, fingerprints=()), "incomplete"),
        (lambda a: attrs.evolve(a, groups=()), "unsupported"),
        (
            lambda a: _change(0, rtcp_mux=False, rtcp_mux_only=False)(
                attrs.evolve(a, groups=())
            ),
            "unsupported",
        ),
        (lambda a: _change(0, port=0)(_change(1, port=0)(a)), "unsupported"),
        (
            lambda a: _change(0, direction=Direction.INACTIVE)(
                _change(1, direction=Direction.INACTIVE)(a)
            ),
            "unsupported",
        ),
    ],
)
def test_an_answer_that_does_not_fit_is_refused(
    offer: SessionDescription,
    answer: SessionDescription,
    change: Callable[[SessionDescription], SessionDescription],
    code: str,
) -> None:
    """RFC 3264 §6, §6.1; RFC 8842 §5.3."""
    with pytest.raises(ProtocolError) as caught:
        apply_answer(offer, change(answer))
    assert caught.value.code == code


def test_a_section_may_be_rejected_or_rest(
    offer: SessionDescription, answer: SessionDescription
) -> None:
    session = apply_answer(offer, _change(0, port=0)(answer))
    assert (session.rejected, [m.index for m in session.media]) == ((0,), [1])
    session = apply_answer(offer, _change(0, direction=Direction.INACTIVE)(answer))
    assert [m.index for m in session.active] == [1]


def test_formats_that_were_not_offered_are_passed_over(
    offer: SessionDescription, answer: SessionDescription
) -> None:
    """RFC 3264 §6.1."""
    video = answer.media[1]
    wrong = attrs.evolve(video.payloads[0], encoding="AV1")
    session = apply_answer(
        offer, _change(1, payloads=(wrong, *video.payloads[1:]))(answer)
    )
    assert [codec.encoding for codec in session.media[1].codecs] == ["VP8"]


@pytest.mark.parametrize("number", [0, 256, 4096])
def test_extensions_under_numbers_that_no_packet_has_are_passed_over(
    offer: SessionDescription, answer: SessionDescription, number: int
) -> None:
    """RFC 8285 §5, §6."""
    first, *rest = answer.media[1].extmaps
    wrong = attrs.evolve(first, id=number)
    session = apply_answer(offer, _change(1, extmaps=(wrong, *rest))(answer))
    assert set(session.media[1].extensions) == {one.uri for one in rest}


@pytest.mark.parametrize(
    ("offered", "answered", "client"),
    [
        (Setup.ACTPASS, Setup.PASSIVE, True),
        (Setup.ACTPASS, Setup.ACTIVE, False),
        (Setup.ACTPASS, None, False),
        (Setup.ACTIVE, Setup.PASSIVE, True),
        (Setup.ACTIVE, None, True),
    ],
)
def test_the_answer_says_who_opens_the_connection(
    offer: SessionDescription,
    answer: SessionDescription,
    offered: Setup,
    answered: Setup | None,
    client: bool,
) -> None:
    """RFC 8842 §5.3, §5.4; RFC 4145 §4."""
    for index in (0, 1):
        offer = _change(index, setup=offered)(offer)
        answer = _change(index, setup=answered)(answer)
    assert apply_answer(offer, answer).is_dtls_client is client
