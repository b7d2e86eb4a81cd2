"""Session descriptions in SRS's form: which formats are left, how answers look."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest
from sansmedia.sdp import (
    MediaDescription,
    PayloadFormat,
    SessionDescription,
    decode_session,
    encode_session,
)

from penstock.dialects.srs.rtc_sdp import prepared_offer, shaped_answer

DATA = Path(__file__).parents[2] / "data" / "sdp"

# As our engine answers an offer of one H.264 format with both kinds of nack.
ANSWER = """\
v=0
o=- 27506709900387849 1 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0 1
a=msid-semantic: WMS *
a=ice-options:trickle
m=audio 9 UDP/TLS/RTP/SAVPF 111
c=IN IP4 0.0.0.0
a=mid:0
a=ice-ufrag:abcd1234
a=ice-pwd:lLGpoTxMDYEP5LgVuqXR45vNoq6oLoSa
a=fingerprint:sha-256 AF:10:4B:FE:BE:83:D5:62:57:9A:D3:FE:F8:95:27:31:6F:6A:5D:AF:\
80:0C:4F:59:6A:B4:30:22:35:F7:52:8A
a=setup:passive
a=recvonly
a=rtcp-mux
a=rtcp-mux-only
a=rtpmap:111 opus/48000/2
a=candidate:1 1 udp 2130706431 127.0.0.1 8000 typ host
a=candidate:2 1 udp 2130706175 2001:db8::1 8000 typ host
a=candidate:3 1 udp 2130705919 192.0.2.2 8000 typ host
a=candidate:4 1 tcp 2105458943 192.0.2.2 8000 typ host tcptype passive
a=candidate:5 1 udp 2130641151 203.0.113.7 1234 typ host
a=end-of-candidates
m=video 9 UDP/TLS/RTP/SAVPF 125
c=IN IP4 0.0.0.0
a=mid:1
a=ice-ufrag:abcd1234
a=ice-pwd:lLGpoTxMDYEP5LgVuqXR45vNoq6oLoSa
a=fingerprint:sha-256 AF:10:4B:FE:BE:83:D5:62:57:9A:D3:FE:F8:95:27:31:6F:6A:5D:AF:\
80:0C:4F:59:6A:B4:30:22:35:F7:52:8A
a=setup:passive
a=recvonly
a=rtcp-mux
a=rtcp-mux-only
a=rtpmap:125 H264/90000
a=rtcp-fb:125 nack
a=rtcp-fb:125 nack pli
a=fmtp:125 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f
a=ssrc:4 cname:c
a=ssrc:4 msid:penstock video
m=application 0 UDP/DTLS/SCTP webrtc-datachannel
c=IN IP4 0.0.0.0
a=mid:2
a=inactive
""".replace("\n", "\r\n")


def _recorded(name: str) -> SessionDescription:
    return decode_session((DATA / f"{name}.bin").read_bytes())


def _types(offer: SessionDescription | None, kind: str) -> list[int]:
    assert offer is not None
    (media,) = [one for one in offer.media if one.kind == kind]
    return [one.payload_type for one in media.payloads]


def _offer(*payloads: PayloadFormat) -> SessionDescription:
    return SessionDescription(
        media=(MediaDescription(kind="video", payloads=payloads),)
    )


def _format(number: int, encoding: str, fmtp: str = "") -> PayloadFormat:
    return PayloadFormat(
        payload_type=number, encoding=encoding, clock_rate=90_000, fmtp=fmtp
    )


def _h264(number: int, fmtp: str = "") -> PayloadFormat:
    return _format(number, "H264", fmtp)


# -- offers ---------------------------------------------------------------------------


def test_a_browser_that_publishes_is_left_with_opus_and_one_h264_and_its_rtx() -> None:
    offer = prepared_offer(_recorded("chromium-whip"), "", publishes=True)
    assert _types(offer, "audio") == [111]
    video, repeats = _types(offer, "video")
    assert offer is not None
    (media,) = [one for one in offer.media if one.kind == "video"]
    chosen = media.payload(video)
    assert chosen is not None
    assert chosen.parameters["profile-level-id"] == "42e01f"
    assert chosen.parameters["packetization-mode"] == "1"
    rtx = media.payload(repeats)
    assert rtx is not None
    assert rtx.associated_payload_type == video


def test_what_is_left_is_an_offer_that_can_be_read() -> None:
    offer = prepared_offer(_recorded("chromium-whip"), "", publishes=True)
    assert offer is not None
    assert decode_session(encode_session(offer)) == offer


@pytest.mark.parametrize(
    ("payloads", "chosen"),
    [
        # The form that every browser decodes hides the others.
        (
            [
                _h264(102, "profile-level-id=42001f;packetization-mode=1"),
                _h264(108, "profile-level-id=42e01f;packetization-mode=0"),
                _h264(
                    125,
                    "level-asymmetry-allowed=1;packetization-mode=1;"
                    "profile-level-id=42E01F",
                ),
            ],
            125,
        ),
        # Without it, one with fragments and levels of its own.
        (
            [
                _h264(96, "profile-level-id=64001f;packetization-mode=0"),
                _h264(
                    97,
                    "profile-level-id=64001f;packetization-mode=1;"
                    "level-asymmetry-allowed=1",
                ),
            ],
            97,
        ),
        # Else the first.
        ([_h264(96), _h264(97, "profile-level-id=64001f")], 96),
    ],
)
def test_of_several_h264_formats_the_one_of_srs_is_left(
    payloads: list[PayloadFormat], chosen: int
) -> None:
    offer = prepared_offer(_offer(*payloads), "", publishes=True)
    assert _types(offer, "video") == [chosen]


@pytest.mark.parametrize(
    ("codec", "encodings"),
    [
        ("hevc", {"H265"}),
        ("av1", {"AV1", "AV1X"}),
        ("vp9", {"VP9"}),
        ("H264", {"H264"}),
    ],
)
@pytest.mark.parametrize("publishes", [True, False])
def test_a_codec_asked_for_by_name_is_left_alone(
    codec: str, encodings: set[str], publishes: bool
) -> None:
    offer = _offer(
        _format(96, "VP8"),
        _h264(97),
        _format(98, "VP9"),
        _format(99, "AV1"),
        _format(100, "H265"),
        _format(101, "rtx", "apt=98"),
    )
    prepared = prepared_offer(offer, codec, publishes=publishes)
    assert prepared is not None
    left = {one.encoding for one in prepared.media[0].payloads} - {"rtx"}
    assert left <= encodings
    assert left
    assert (101 in _types(prepared, "video")) == (codec == "vp9")


def test_a_codec_asked_for_but_not_offered_is_none() -> None:
    offer = _offer(_format(96, "VP8"))
    assert prepared_offer(offer, "av1", publishes=True) is None
    assert prepared_offer(offer, "av1", publishes=False) is None


def test_an_unknown_codec_is_no_wish() -> None:
    offer = _offer(_format(96, "VP8"), _h264(97))
    assert _types(prepared_offer(offer, "flv1", publishes=True), "video") == [97]


def test_a_publisher_without_h264_keeps_what_it_has() -> None:
    offer = _offer(_format(96, "VP8"), _format(98, "VP9"))
    assert prepared_offer(offer, "", publishes=True) == offer


def test_a_viewer_keeps_every_format_but_prefers_those_of_srs() -> None:
    offer = _recorded("chromium-whep-data")
    prepared = prepared_offer(offer, "", publishes=False)
    assert sorted(_types(prepared, "video")) == sorted(_types(offer, "video"))
    assert prepared is not None
    for media in prepared.media[:2]:
        assert media.payloads[0].encoding.lower() in ("opus", "h264")
    assert prepared.media[2] == offer.media[2]


# -- answers --------------------------------------------------------------------------


def test_an_answer_has_the_head_of_srs() -> None:
    lines = shaped_answer(ANSWER, publishes=True, stream="live/x").split("\r\n")
    assert lines[1] == "o=SRS/7.0.18(Hang) 27506709900387849 2 IN IP4 0.0.0.0"
    assert lines[2] == "s=SRSPublishSession"
    assert "a=msid-semantic: WMS live/x" in lines
    played = shaped_answer(ANSWER, publishes=False, stream="live/x")
    assert "s=SRSPlaySession\r\n" in played


def test_every_section_that_is_taken_has_all_candidates() -> None:
    answer = decode_session(shaped_answer(ANSWER, publishes=True, stream="live/x"))
    audio, video, data = answer.media
    assert audio.candidates == video.candidates
    assert data.candidates == ()
    assert len(audio.candidates) == 5
    udp = [one for one in audio.candidates if " udp " in one]
    assert all(one.endswith(" typ host generation 0") for one in udp)
    # Who reads the first one alone speaks UDP.
    tcp = audio.candidates[-1]
    assert tcp.endswith(" typ host tcptype passive")


def test_the_first_candidate_is_one_that_a_client_of_one_candidate_reaches() -> None:
    def first(*wanted: str) -> list[str]:
        text = shaped_answer(ANSWER, publishes=True, stream="a/b", wanted=wanted)
        line = next(one for one in text.split("\r\n") if "candidate" in one)
        # As such clients read it: by position.
        return line.split(" ")[4:6]

    assert first() == ["192.0.2.2", "8000"]
    assert first("203.0.113.7") == ["203.0.113.7", "1234"]
    assert first("198.51.100.1", "127.0.0.1") == ["127.0.0.1", "8000"]


def test_an_answer_says_nothing_that_no_request_could_follow() -> None:
    text = shaped_answer(ANSWER, publishes=True, stream="live/x")
    for word in ("end-of-candidates", "trickle", "rtcp-mux-only"):
        assert word in ANSWER
        assert word not in text


def test_nack_stands_there_as_often_as_it_was_offered() -> None:
    assert shaped_answer(ANSWER, publishes=True, stream="live/x").count("nack") == 2
    bare = decode_session(ANSWER)
    media = tuple(
        attrs.evolve(
            one,
            payloads=tuple(attrs.evolve(p, feedback=()) for p in one.payloads),
        )
        for one in bare.media
    )
    text = encode_session(attrs.evolve(bare, media=media))
    assert "nack" not in shaped_answer(text, publishes=True, stream="live/x")


def test_what_is_sent_is_labelled_as_older_players_know_it() -> None:
    text = shaped_answer(ANSWER, publishes=False, stream="live/x")
    assert "a=ssrc:4 mslabel:penstock\r\na=ssrc:4 label:video\r\n" in text
