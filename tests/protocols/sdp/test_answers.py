"""Answers to offers: what is taken, what is said, what is refused.

RFC 9429 §5; RFC 9725 §4.4.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
from sansmedia.sansio import ProtocolError, UsageError
from sansmedia.sdp import (
    MID_EXTENSION,
    REPAIRED_RID_EXTENSION,
    RID_EXTENSION,
    AnswerPlan,
    Capabilities,
    CodecChoice,
    Direction,
    Msid,
    RemoteSource,
    SendSource,
    Setup,
    SourceGroup,
    Transport,
    decode_session,
    encode_session,
    make_answer,
)

_DATA = Path(__file__).resolve().parents[2] / "data" / "sdp"
_VECTORS = sorted(path.stem for path in _DATA.glob("*.bin"))
_LAYERS = """\
a=extmap:1 urn:ietf:params:rtp-hdrext:sdes:mid
a=extmap:2 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id
a=rid:0 send
a=rid:1 send
a=rid:2 send
a=simulcast:send 0;1;2
"""
_DATA_CHANNEL = """\
m=application 9 UDP/DTLS/SCTP webrtc-datachannel
c=IN IP4 0.0.0.0
a=mid:d
a=sctp-port:5000
"""


@pytest.fixture
def answer(ours: Transport, receiver: Capabilities) -> Callable[..., AnswerPlan]:
    """Answer an offer, as a receiver unless told otherwise."""

    def make(
        text: str | bytes,
        capabilities: Capabilities = receiver,
        sources: tuple[SendSource, ...] = (),
        **changes: Any,
    ) -> AnswerPlan:
        plan = make_answer(
            decode_session(text),
            capabilities=attrs.evolve(capabilities, **changes),
            transport=ours,
            session_id=4711,
            sources=sources,
        )
        assert decode_session(encode_session(plan.answer)) == plan.answer
        return plan

    return make


_Answer = Callable[..., AnswerPlan]


def test_an_answer_reads_as_it_should(answer: _Answer, offer_text: str) -> None:
    """RFC 9429 §5.3.1; RFC 9725 §4.2, §4.4.1."""
    text = encode_session(answer(offer_text).answer)
    digest = ":".join(["CD"] * 32)
    expected = f"""\
v=0
o=- 4711 1 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE a v
a=msid-semantic: WMS *
a=ice-options:trickle ice2
m=audio 9 UDP/TLS/RTP/SAVPF 111
c=IN IP4 0.0.0.0
a=mid:a
a=ice-ufrag:us/+
a=ice-pwd:lkjihgfedcba9876543210
a=fingerprint:sha-256 {digest}
a=setup:passive
a=recvonly
a=rtcp-mux
a=rtcp-mux-only
a=rtpmap:111 opus/48000/2
a=fmtp:111 minptime=10;useinbandfec=1
a=candidate:1 1 udp 2130706431 192.0.2.1 8000 typ host
a=end-of-candidates
m=video 9 UDP/TLS/RTP/SAVPF 96 97 98 99
c=IN IP4 0.0.0.0
a=mid:v
a=ice-ufrag:us/+
a=ice-pwd:lkjihgfedcba9876543210
a=fingerprint:sha-256 {digest}
a=setup:passive
a=recvonly
a=rtcp-mux
a=rtcp-mux-only
a=rtpmap:96 VP8/90000
a=rtcp-fb:96 nack
a=rtcp-fb:96 nack pli
a=rtpmap:97 rtx/90000
a=fmtp:97 apt=96
a=rtpmap:98 H264/90000
a=rtpmap:99 rtx/90000
a=fmtp:99 apt=98
"""
    assert text.replace("\r\n", "\n") == expected


@pytest.mark.parametrize("name", _VECTORS)
def test_what_programs_offer_is_answered(
    name: str,
    answer: _Answer,
    vector: Callable[[str], bytes],
    sender: Capabilities,
    sources: tuple[SendSource, ...],
) -> None:
    if "whep" in name:
        plan = answer(vector(name), sender, sources)
        assert {m.direction for m in plan.session.media} == {Direction.SENDONLY}
    else:
        plan = answer(vector(name))
        assert {m.direction for m in plan.session.media} == {Direction.RECVONLY}
    offer = decode_session(vector(name))
    accepted = [m for m in offer.media if m.kind != "application"]
    assert [m.mid for m in plan.session.media] == [m.mid for m in accepted]
    assert plan.answer.bundle == tuple(m.mid for m in accepted)
    for media in plan.session.media:
        offered = offer.media[media.index]
        assert {c.payload_type for c in media.codecs} <= {
            p.payload_type for p in offered.payloads
        }
        assert all(
            c.rtx_payload_type is None or offered.payload(c.rtx_payload_type)
            for c in media.codecs
        )


def test_the_codecs_come_in_our_order_if_we_have_one(
    answer: _Answer, offer_text: str
) -> None:
    """RFC 3264 §6.1."""

    def match(kind: str, encoding: str, rate: int, channels: int, fmtp: str) -> float:
        return {"H264": 2.0, "VP8": 1.0, "opus": 1.0}.get(encoding, 0)

    media = answer(offer_text, match=match).session.media[1]
    assert [(c.encoding, c.rtx_payload_type) for c in media.codecs] == [
        ("H264", 99),
        ("VP8", 97),
    ]
    media = answer(offer_text).session.media[1]
    assert [codec.encoding for codec in media.codecs] == ["VP8", "H264"]


def test_a_codec_can_be_answered_with_parameters_of_our_own(
    answer: _Answer, offer_text: str
) -> None:
    asked = []

    def match(
        kind: str, encoding: str, rate: int, channels: int, fmtp: str
    ) -> bool | CodecChoice:
        asked.append((kind, encoding, rate, channels, fmtp))
        return CodecChoice(fmtp="stereo=1") if encoding == "opus" else True

    plan = answer(offer_text, match=match)
    assert ("audio", "opus", 48000, 2, "minptime=10;useinbandfec=1") in asked
    assert {encoding for _, encoding, *_ in asked} == {"opus", "PCMU", "VP8", "H264"}
    opus = plan.session.media[0].codec(111)
    assert opus is not None
    assert (opus.fmtp, opus.local_fmtp) == ("minptime=10;useinbandfec=1", "stereo=1")
    assert plan.answer.media[0].payloads[0].fmtp == "stereo=1"


def test_retransmissions_can_be_left_out(answer: _Answer, offer_text: str) -> None:
    """RFC 4588 §8, §8.1."""
    plan = answer(offer_text, rtx=False)
    assert [p.payload_type for p in plan.answer.media[1].payloads] == [96, 98]
    assert plan.session.media[1].codec(97) is None


def test_redundancy_is_taken_if_wanted(
    answer: _Answer, vector: Callable[[str], bytes]
) -> None:
    """RFC 2198 §5; RFC 5109 §14."""
    audio, video = answer(vector("chromium-whip"), redundancy=True).session.media
    assert (audio.red_payload_type, audio.ulpfec_payload_type) == (63, None)
    assert video.red_payload_type == 118
    assert video.red_rtx_payload_type == 119
    assert video.ulpfec_payload_type == 120
    plain = answer(vector("chromium-whip")).session.media[1]
    assert (plain.red_payload_type, plain.ulpfec_payload_type) == (None, None)


def test_feedback_is_what_both_have(answer: _Answer, offer_text: str) -> None:
    """RFC 4585 §4.2."""
    text = offer_text + "a=rtcp-fb:* transport-cc\n"
    plan = answer(text, feedback={"video": ("transport-cc", "nack pli")})
    vp8, h264 = plan.session.media[1].codecs
    assert vp8.feedback == ("nack pli", "transport-cc")
    assert h264.feedback == ("transport-cc",)


def test_header_extensions_keep_their_numbers(
    answer: _Answer, vector: Callable[[str], bytes]
) -> None:
    """RFC 8285 §5, §6; RFC 8852 §3.1, §3.2; RFC 9143 §15.2."""
    video = answer(vector("chromium-whip")).session.media[1]
    assert video.extensions == {
        MID_EXTENSION: 4,
        RID_EXTENSION: 10,
        REPAIRED_RID_EXTENSION: 11,
    }


@pytest.mark.parametrize(
    ("line", "answered"),
    [
        ("a=extmap:3 urn:x", "a=extmap:3 urn:x"),
        ("a=extmap:3/sendonly urn:x", "a=extmap:3/recvonly urn:x"),
        ("a=extmap:3/sendrecv urn:x", "a=extmap:3/sendrecv urn:x"),
        ("a=extmap:3/recvonly urn:x", None),
        ("a=extmap:3/inactive urn:x", None),
        ("a=extmap:4096 urn:x", None),
        ("a=extmap:0 urn:x", None),
        ("a=extmap:3 urn:y", None),
    ],
)
def test_header_extensions_flow_our_way_or_not_at_all(
    answer: _Answer, offer_text: str, line: str, answered: str | None
) -> None:
    """RFC 8285 §6."""
    plan = answer(offer_text + line, extensions={"video": ("urn:x",)})
    text = encode_session(plan.answer)
    assert ("extmap" in text) is (answered is not None)
    assert answered is None or answered in text.splitlines()


def test_every_layer_is_taken(answer: _Answer, offer_text: str) -> None:
    """RFC 8853 §5.3.2; OBS stops if one is missing."""
    plan = answer(offer_text + _LAYERS)
    assert plan.session.media[1].rids == ("0", "1", "2")
    text = encode_session(plan.answer)
    assert "a=rid:0 recv\r\na=rid:1 recv\r\na=rid:2 recv\r\n" in text
    assert "a=simulcast:recv 0;1;2\r\n" in text


def test_an_offer_as_obs_makes_it_is_answered(answer: _Answer, offer_text: str) -> None:
    """ICE, fingerprint and setup in the session's head alone; layers by rid."""
    moved = ("a=ice-ufrag", "a=ice-pwd", "a=fingerprint", "a=setup")
    lines = (offer_text + _LAYERS).splitlines()
    head = list(dict.fromkeys(line for line in lines if line.startswith(moved)))
    rest = [line for line in lines if line not in head]
    at = rest.index("t=0 0") + 1
    plan = answer("\n".join([*rest[:at], *head, *rest[at:]]))
    assert plan.session.remote.ice_ufrag == "abcd"
    assert plan.session.remote.setup is Setup.ACTPASS
    assert plan.session.media[1].rids == ("0", "1", "2")


def test_layers_are_not_taken_without_a_way_to_tell_them_apart(
    answer: _Answer, offer_text: str
) -> None:
    """RFC 8853 §5.3.2."""
    lines = [line for line in _LAYERS.splitlines() if "stream-id" not in line]
    plan = answer(offer_text + "\n".join(lines))
    assert plan.session.media[1].rids == ()
    assert plan.answer.media[1].simulcast is None
    assert answer(offer_text + _LAYERS, simulcast=False).session.media[1].rids == ()


def test_layers_of_formats_that_we_do_not_take_are_left_out(
    answer: _Answer, offer_text: str
) -> None:
    """RFC 8851 §6."""
    text = (offer_text + _LAYERS).replace("rid:1 send", "rid:1 send pt=97;max-fps=5")
    text = text.replace("rid:2 send", "rid:2 send pt=96,97;max-fps=5")
    plan = answer(text)
    assert plan.session.media[1].rids == ("0", "2")
    rid = plan.answer.media[1].rids[1]
    assert (rid.payload_types, rid.restrictions) == ((96,), (("max-fps", "5"),))


def test_of_alternatives_one_is_taken(answer: _Answer, offer_text: str) -> None:
    text = (offer_text + _LAYERS).replace("send 0;1;2", "send 0;~1,2;3")
    plan = answer(text)
    assert plan.session.media[1].rids == ("0", "1")


def test_what_is_announced_by_ssrc_is_told(
    answer: _Answer, offer_text: str, vector: Callable[[str], bytes]
) -> None:
    """RFC 5576 §4.2."""
    video = answer(vector("ffmpeg-whip")).session.media[1]
    assert video.remote_sources == (
        RemoteSource(341869214, 341869215, "FFmpeg", "FFmpeg video"),
    )
    text = offer_text + "a=ssrc-group:SIM 1 2 3\na=ssrc:1 cname:c\n"
    assert answer(text).session.media[1].simulcast_ssrcs == (1, 2, 3)


# --- sending ---------------------------------------------------------------------


def _receiving(text: str) -> str:
    return text.replace("a=sendonly", "a=recvonly")


def test_what_we_send_has_names(
    answer: _Answer,
    offer_text: str,
    sender: Capabilities,
    sources: tuple[SendSource, ...],
) -> None:
    """RFC 8830 §2; RFC 5576 §4, §4.1, §4.2; RFC 9725 §4.4.2."""
    plan = answer(_receiving(offer_text), sender, sources)
    audio, video = plan.answer.media
    assert (audio.msids, video.msids) == ((Msid("s", "a"),), (Msid("s", "v"),))
    assert [source.ssrc for source in audio.sources] == [10]
    assert [source.value("msid") for source in video.sources] == ["s v", "s v"]
    assert video.source_groups == (SourceGroup("FID", (20, 21)),)
    assert video.direction is Direction.SENDONLY
    told = plan.session.media[1]
    assert (told.ssrc, told.rtx_ssrc) == (20, 21)
    assert plan.answer.msid_semantics[0].identifiers == ("s",)


def test_without_a_retransmission_ssrc_there_is_no_rtx(
    answer: _Answer,
    offer_text: str,
    sender: Capabilities,
    sources: tuple[SendSource, ...],
) -> None:
    audio, video = sources
    plan = answer(
        _receiving(offer_text), sender, (audio, attrs.evolve(video, rtx_ssrc=None))
    )
    assert plan.answer.media[1].source_groups == ()
    assert plan.session.media[1].codecs[0].rtx_payload_type is None


def test_where_rtx_was_not_offered_its_ssrc_is_not_told(
    answer: _Answer,
    offer_text: str,
    sender: Capabilities,
    sources: tuple[SendSource, ...],
) -> None:
    text = _receiving(offer_text).replace("rtx/90000", "x/90000")
    plan = answer(text, sender, sources)
    assert [source.ssrc for source in plan.answer.media[1].sources] == [20]


def test_a_section_that_we_have_nothing_for_is_inactive(
    answer: _Answer,
    offer_text: str,
    sender: Capabilities,
    sources: tuple[SendSource, ...],
) -> None:
    """RFC 3264 §6.1."""
    plan = answer(_receiving(offer_text), sender, sources[1:])
    assert plan.answer.media[0].direction is Direction.INACTIVE
    assert plan.answer.media[0].port == 9
    assert [media.kind for media in plan.session.active] == ["video"]


@pytest.mark.parametrize("said", ["sendrecv", "sendonly", ""])
def test_an_offer_to_do_both_is_answered_one_way(
    answer: _Answer, offer_text: str, said: str
) -> None:
    """RFC 3264 §6.1; RFC 8866 §6.7; RFC 9725 §4.2."""
    text = offer_text.replace("a=sendonly\n", f"a={said}\n" if said else "")
    plan = answer(text)
    assert {media.direction for media in plan.answer.media} == {Direction.RECVONLY}


# --- sections that are not for us ------------------------------------------------


def test_a_data_channel_is_rejected_and_leaves_the_bundle(
    answer: _Answer, offer_text: str
) -> None:
    """RFC 3264 §6; RFC 9143 §7.3."""
    text = offer_text.replace("BUNDLE a v", "BUNDLE d a v")
    head, audio = text.split("m=audio", 1)
    plan = answer(f"{head}{_DATA_CHANNEL}m=audio{audio}")
    data, first, _ = plan.answer.media
    assert (data.port, data.formats, data.mid) == (0, ("webrtc-datachannel",), "d")
    assert plan.answer.bundle == ("a", "v")
    assert plan.session.rejected == (0,)
    assert [media.index for media in plan.session.media] == [1, 2]
    assert first.candidates


def test_a_section_without_a_common_codec_ends_it_or_is_rejected(
    answer: _Answer, offer_text: str
) -> None:
    """RFC 9725 §4.4.3."""
    text = offer_text.replace("opus/", "speex/")
    with pytest.raises(ProtocolError, match="no codec in common") as caught:
        answer(text)
    assert caught.value.code == "unsupported"
    plan = answer(text, partial=True)
    assert plan.answer.media[0].port == 0
    assert plan.answer.bundle == ("v",)
    assert plan.answer.media[1].candidates


def test_a_second_section_of_a_kind_ends_it_or_is_rejected(
    answer: _Answer, offer_text: str
) -> None:
    """RFC 9725 §4.4.2."""
    second = offer_text[offer_text.index("m=video") :].replace("mid:v", "mid:w")
    text = offer_text.replace("BUNDLE a v", "BUNDLE a v w") + second
    with pytest.raises(ProtocolError, match="more than 1 sections of video"):
        answer(text)
    assert answer(text, partial=True).session.rejected == (2,)
    assert len(answer(text, sections_per_kind=2).session.media) == 3


def test_what_the_offer_rejects_stays_rejected(
    answer: _Answer, offer_text: str
) -> None:
    plan = answer(offer_text.replace("m=audio 9", "m=audio 0"))
    assert plan.session.rejected == (0,)


def test_a_section_that_is_bundle_only_is_taken(
    answer: _Answer, offer_text: str
) -> None:
    """RFC 9143 §6: its transport attributes stand in the first section alone."""
    lines = offer_text.replace("m=video 9", "m=video 0").splitlines()
    at = next(n for n, line in enumerate(lines) if line.startswith("m=video"))
    dropped = ("a=ice-", "a=fingerprint", "a=setup", "a=rtcp-mux")
    kept = [
        line for n, line in enumerate(lines) if n < at or not line.startswith(dropped)
    ]
    plan = answer("\n".join([*kept, "a=bundle-only"]))
    assert [media.port for media in plan.answer.media] == [9, 9]
    assert not plan.answer.media[1].bundle_only


def test_sections_without_mids_are_told_apart_by_their_index(
    answer: _Answer, offer_text: str
) -> None:
    lines = [line for line in offer_text.splitlines() if "mid:" not in line]
    text = "\n".join(line for line in lines if "BUNDLE" not in line)
    plan = answer(text)
    assert [(m.index, m.mid) for m in plan.session.media] == [(0, None), (1, None)]
    assert plan.answer.groups == ()
    head, _, tail = text.rpartition("ufrag:abcd")
    with pytest.raises(ProtocolError, match="BUNDLE"):
        answer(f"{head}ufrag:other{tail}")


# --- the transport ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("offered", "preferred", "answered"),
    [
        ("actpass", None, Setup.PASSIVE),
        ("actpass", Setup.PASSIVE, Setup.PASSIVE),
        ("actpass", Setup.ACTIVE, Setup.ACTIVE),
        ("active", Setup.ACTIVE, Setup.PASSIVE),
        ("passive", Setup.PASSIVE, Setup.ACTIVE),
        (None, None, Setup.PASSIVE),
    ],
)
def test_one_side_opens_the_connection(
    offer_text: str,
    ours: Transport,
    receiver: Capabilities,
    offered: str | None,
    preferred: Setup | None,
    answered: Setup,
) -> None:
    """RFC 8842 §5, §5.3; RFC 4145 §4."""
    line = f"a=setup:{offered}\n" if offered else ""
    plan = make_answer(
        decode_session(offer_text.replace("a=setup:actpass\n", line)),
        capabilities=receiver,
        transport=attrs.evolve(ours, setup=preferred),
        session_id=1,
    )
    assert {media.setup for media in plan.answer.media} == {answered}
    assert plan.session.is_dtls_client is (answered is Setup.ACTIVE)


def test_the_peers_transport_is_told(answer: _Answer, offer_text: str) -> None:
    remote = answer(offer_text).session.remote
    assert remote.ice_ufrag == "abcd"
    assert remote.ice_options == ("trickle",)
    assert remote.setup is Setup.ACTPASS
    assert [one.algorithm for one in remote.fingerprints] == ["sha-256"]


def test_several_fingerprints_are_all_told(
    answer: _Answer, vector: Callable[[str], bytes]
) -> None:
    """RFC 8122 §5."""
    remote = answer(vector("aiortc-sendonly")).session.remote
    algorithms = [one.algorithm for one in remote.fingerprints]
    assert algorithms == ["sha-256", "sha-384", "sha-512"]


def test_an_ice_lite_answer_says_so(
    offer_text: str, ours: Transport, receiver: Capabilities
) -> None:
    """RFC 8839 §5.3."""
    plan = make_answer(
        decode_session(offer_text),
        capabilities=receiver,
        transport=attrs.evolve(ours, ice_lite=True),
        session_id=1,
    )
    assert "\r\na=ice-lite\r\n" in encode_session(plan.answer).partition("m=")[0]


@pytest.mark.parametrize("level", ["session", "section"])
def test_mixed_headers_are_answered_where_they_were_offered(
    answer: _Answer, offer_text: str, level: str
) -> None:
    """RFC 8285 §6."""
    line = "a=extmap-allow-mixed\n"
    text = (
        offer_text.replace("t=0 0\n", f"t=0 0\n{line}")
        if level == "session"
        else offer_text + line
    )
    plan = answer(text)
    assert plan.answer.extmap_allow_mixed is (level == "session")
    assert plan.answer.media[1].extmap_allow_mixed is (level == "section")
    assert plan.session.media[1].extmap_allow_mixed
    assert plan.session.media[0].extmap_allow_mixed is (level == "session")


def _without(line: str) -> Callable[[str], str]:
    return lambda text: text.replace(f"{line}\n", "")


def _instead(old: str, new: str) -> Callable[[str], str]:
    return lambda text: text.replace(old, new)


@pytest.mark.parametrize(
    ("change", "code", "reason"),
    [
        (_without("a=group:BUNDLE a v"), "unsupported", "BUNDLE"),
        (_instead("BUNDLE a v", "BUNDLE a"), "unsupported", "BUNDLE"),
        (_without("a=rtcp-mux"), "unsupported", "rtcp-mux"),
        (_without("a=ice-ufrag:abcd"), "incomplete", "credentials"),
        (_without("a=ice-pwd:0123456789abcdefghijkl"), "incomplete", "credentials"),
        (_instead("a=fingerprint", "a=nothing"), "incomplete", "fingerprint"),
        (_instead("UDP/TLS/RTP/SAVPF", "RTP/AVP"), "unsupported", "SRTP"),
        (_instead("a=setup:actpass", "a=setup:holdconn"), "unsupported", "holdconn"),
        (_instead("a=sendonly", "a=recvonly"), "unsupported", "sends"),
        (_instead("a=sendonly", "a=inactive"), "unsupported", "sends"),
        (_instead("m=audio 9", "m=text 9"), "", ""),
        (_instead("RTP/SAVPF 96 97", "RTP/SAVPF 111 97"), "", ""),
        (
            lambda text: text.replace("96", "111"),
            "contradiction",
            "payload type 111 has two meanings",
        ),
        (
            lambda text: text.replace(
                "a=setup:actpass\na=rtcp-mux\na=rtpmap:96",
                "a=setup:active\na=rtcp-mux\na=rtpmap:96",
            ),
            "contradiction",
            "setup",
        ),
        (
            lambda text: text
            + "".join(f"a=extmap:5 {u}\n" for u in (MID_EXTENSION, RID_EXTENSION)),
            "contradiction",
            "header extension id 5",
        ),
    ],
)  # fmt: skip
def test_an_offer_that_we_cannot_answer_is_refused_with_the_reason(
    answer: _Answer,
    offer_text: str,
    change: Callable[[str], str],
    code: str,
    reason: str,
) -> None:
    """RFC 9143 §7, §7.2, §9.1; RFC 8858 §3; RFC 9429 §5.1.2; RFC 8842 §5.2."""
    text = change(offer_text)
    assert text != offer_text
    if not code:
        # What is not asked about does not matter.
        assert answer(text).session.active
        return
    with pytest.raises(ProtocolError, match=reason) as caught:
        answer(text)
    assert caught.value.code == code


def test_an_offer_of_nothing_is_refused(answer: _Answer, offer_text: str) -> None:
    with pytest.raises(ProtocolError):
        answer(offer_text.partition("a=group")[0])
    with pytest.raises(ProtocolError):
        answer(offer_text.partition("a=group")[0] + _DATA_CHANNEL)


def test_extensions_must_mean_the_same_in_all_sections_of_a_bundle(
    answer: _Answer, offer_text: str
) -> None:
    """RFC 8285 §5; RFC 9143 §15."""
    text = offer_text.replace("a=mid:a", f"a=mid:a\na=extmap:5 {MID_EXTENSION}")
    with pytest.raises(ProtocolError, match="two meanings in one BUNDLE"):
        answer(text + f"a=extmap:5 {RID_EXTENSION}\n")


def test_an_endpoint_goes_one_way() -> None:
    with pytest.raises(UsageError):
        Capabilities(direction=Direction.SENDRECV, match=lambda *_: True)
