"""Session descriptions: what is taken, what is refused, what is written."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sansmedia.sansio import ProtocolError, UsageError
from sansmedia.sdp import (
    Attribute,
    Bandwidth,
    Direction,
    ExtMap,
    Fingerprint,
    Group,
    Limits,
    MediaDescription,
    Msid,
    Origin,
    PayloadFormat,
    Rid,
    RidReference,
    SessionDescription,
    Setup,
    Simulcast,
    Source,
    SourceGroup,
    Timing,
    decode_session,
    encode_session,
)

_DATA = Path(__file__).resolve().parents[2] / "data" / "sdp"
_VECTORS = sorted(path.stem for path in _DATA.glob("*.bin"))
_HEAD = "v=0\no=- 1 2 IN IP4 127.0.0.1\ns=-\nt=0 0\n"
_VIDEO = _HEAD + "m=video 9 UDP/TLS/RTP/SAVPF 96 97\na=mid:0\n"


def _video(*lines: str) -> MediaDescription:
    return decode_session(_VIDEO + "\n".join(lines)).media[0]


@pytest.mark.parametrize("name", _VECTORS)
def test_what_programs_send_is_read(name: str) -> None:
    """RFC 8866 §5; the facts were taken from the octets by other means."""
    session = decode_session((_DATA / f"{name}.bin").read_bytes())
    expected = tomllib.loads((_DATA / f"{name}.toml").read_text())["expected"]
    transport = session.transport_of(session.media[0])
    assert [media.kind for media in session.media] == expected["kinds"]
    assert [media.mid for media in session.media] == expected["mids"]
    assert transport.ice_ufrag == expected["ice_ufrag"]
    assert transport.setup is Setup(expected["setup"])
    candidates = sum(len(media.candidates) for media in session.media)
    assert candidates == expected["candidates"]


@pytest.mark.parametrize("name", _VECTORS)
def test_what_was_read_is_written_and_read_again(name: str) -> None:
    session = decode_session((_DATA / f"{name}.bin").read_bytes())
    text = encode_session(session)
    assert decode_session(text) == session
    assert encode_session(decode_session(text.encode())) == text


@pytest.mark.parametrize("name", _VECTORS)
def test_no_line_of_a_program_gets_lost(name: str) -> None:
    """RFC 8866 §5: what is not known is kept as well."""
    data = (_DATA / f"{name}.bin").read_text()
    written = encode_session(decode_session(data)).splitlines()
    for line in data.splitlines():
        line = line.strip().replace("a=msid-semantic:WMS", "a=msid-semantic: WMS")
        # One channel is the default; a comma is not what stands between options.
        line = line.replace("G722/8000/1", "G722/8000").replace("ice2,tr", "ice2 tr")
        if not re.match("a=fingerprint:|$", line):
            assert line in written


def test_line_ends_and_trailing_blanks_do_not_matter() -> None:
    rows = [*_VIDEO.splitlines(), "a=rtcp-mux", "a=sendonly"]
    expected = decode_session("\r\n".join(rows) + "\r\n")
    assert decode_session("\n".join(rows)) == expected
    assert decode_session(" \t\r\n".join(rows) + "\r\n\r\n") == expected


def test_names_and_times_may_be_missing() -> None:
    session = decode_session("v=0\no=- 1 2 IN IP4 127.0.0.1\n")
    assert (session.name, session.timings) == ("-", (Timing(),))


def test_every_line_of_a_head_has_its_place() -> None:
    """RFC 8866 §5.2, §5.8, §5.9, §5.10."""
    text = (
        "v=0\r\no=jane 12 34 IN IP6 fd00::2\r\ns=Title\r\ni=About\r\n"
        "u=http://192.0.2.1/\r\ne=j@example.org\r\np=+1 617\r\nc=IN IP6 fd00::2\r\n"
        "b=AS:1000\r\nt=2873397496 2873404696\r\nr=7d 1h 0 25h\r\nz=1 -1h\r\n"
        "k=prompt\r\n"
    )
    session = decode_session(text)
    assert session == SessionDescription(
        origin=Origin("jane", "12", "34", "IN", "IP6", "fd00::2"),
        name="Title",
        information="About",
        uri="http://192.0.2.1/",
        emails=("j@example.org",),
        phones=("+1 617",),
        connections=("IN IP6 fd00::2",),
        bandwidths=(Bandwidth("AS", 1000),),
        timings=(Timing(2873397496, 2873404696, ("7d 1h 0 25h",)),),
        zones="1 -1h",
        key="prompt",
    )
    assert encode_session(session) == text


def test_formats_hold_their_map_parameters_and_feedback() -> None:
    """RFC 8866 §6.6, §6.15; RFC 4585 §4.2; RFC 4588 §8.1."""
    media = _video(
        "a=rtpmap:96 H264/90000",
        "a=fmtp:96 packetization-mode=1",
        "a=fmtp:96 Profile-Level-Id=42e01f",
        "a=rtcp-fb:96 nack",
        "a=rtcp-fb:* ccm  fir",
        "a=rtpmap:97 rtx/90000",
        "a=fmtp:97 apt=96",
    )
    h264, rtx = media.payloads
    assert h264 == PayloadFormat(
        payload_type=96,
        encoding="H264",
        clock_rate=90000,
        fmtp="packetization-mode=1;Profile-Level-Id=42e01f",
        feedback=("nack",),
    )
    assert h264.parameters == {
        "packetization-mode": "1",
        "profile-level-id": "42e01f",
    }
    assert media.feedback == ("ccm fir",)
    assert rtx.associated_payload_type == 96
    assert h264.associated_payload_type is None
    assert media.payload(97) is rtx
    assert media.payload(98) is None


def test_static_formats_need_no_map() -> None:
    """RFC 3551 §6."""
    [media] = decode_session(_HEAD + "m=audio 9 RTP/SAVPF 0 9 96").media
    maps = [(p.encoding, p.clock_rate, p.channels) for p in media.payloads]
    assert maps == [("PCMU", 8000, 1), ("G722", 8000, 1), ("", 0, 1)]


@pytest.mark.parametrize(
    ("line", "field", "expected"),
    [
        ("a=extmap:3 urn:x", "extmaps", (ExtMap(3, "urn:x"),)),
        (
            "a=extmap:3/sendonly urn:x long words",
            "extmaps",
            (ExtMap(3, "urn:x", Direction.SENDONLY, "long words"),),
        ),
        ("a=msid:- t", "msids", (Msid("-", "t"),)),
        ("a=msid:s", "msids", (Msid("s"),)),
        (
            "a=rid:hi send pt=96,97;max-width=1280;max-fps=30",
            "rids",
            (
                Rid(
                    "hi",
                    "send",
                    (96, 97),
                    (("max-width", "1280"), ("max-fps", "30")),
                ),
            ),
        ),
        (
            "a=simulcast:send 1;2,~3 recv 4",
            "simulcast",
            Simulcast(
                ((RidReference("1"),), (RidReference("2"), RidReference("3", True))),
                ((RidReference("4"),),),
            ),
        ),
        (
            "a=simulcast: send rid=hi;lo paused=lo",
            "simulcast",
            Simulcast(((RidReference("hi"),), (RidReference("lo", True),))),
        ),
        ("a=ssrc-group:FID 1 2", "source_groups", (SourceGroup("FID", (1, 2)),)),
        (
            "a=ssrc:7 cname:x y",
            "sources",
            (Source(7, (Attribute("cname", "x y"),)),),
        ),
        ("a=ssrc:7", "sources", (Source(7),)),
        ("a=ptime:20", "ptime", 20.0),
        ("a=framerate:29.97", "framerate", 29.97),
        ("a=framerate:25/1", "others", (Attribute("framerate", "25/1"),)),
        ("a=simulcast:send pt=96", "others", (Attribute("simulcast", "send pt=96"),)),
        ("a=bundle-only", "bundle_only", True),
        ("a=rtcp:9 IN IP4 0.0.0.0", "rtcp", "9 IN IP4 0.0.0.0"),
        ("a=ice-options:trickle ice2", "ice_options", ("trickle", "ice2")),
        ("a=candidate:1 1 udp 1 ::1 9", "candidates", ("1 1 udp 1 ::1 9",)),
        ("a=end-of-candidates", "end_of_candidates", True),
        ("a=setup:holdconn", "setup", Setup.HOLDCONN),
        ("a=inactive", "direction", Direction.INACTIVE),
        (
            "a=fingerprint:SHA-1 " + ":".join(["aB"] * 20),
            "fingerprints",
            (Fingerprint("sha-1", ":".join(["AB"] * 20)),),
        ),
        ("a=rtcp-xr:rcvr-rtt=all", "others", (Attribute("rtcp-xr", "rcvr-rtt=all"),)),
        ("a=recvonly-not", "others", (Attribute("recvonly-not"),)),
        ("b=TIAS:1000", "bandwidths", (Bandwidth("TIAS", 1000),)),
    ],
)  # fmt: skip
def test_attributes_become_values_and_text_again(
    line: str, field: str, expected: object
) -> None:
    """RFC 8285 §5; RFC 8830 §2; RFC 8851 §10; RFC 8853 §5.1; RFC 5576 §4.1, §4.2;
    RFC 8122 §5; RFC 4145 §4; RFC 8839 §5.1; RFC 8866 §6.7.
    """
    media = _video(line)
    assert getattr(media, field) == expected
    session = SessionDescription(media=(media,))
    assert decode_session(encode_session(session)) == session


def test_options_of_ice_are_told_once_each() -> None:
    """libdatachannel writes a comma between them."""
    media = _video("a=ice-options:ice2,trickle", "a=ice-options:trickle renomination")
    assert media.ice_options == ("ice2", "trickle", "renomination")


def test_unknown_attributes_keep_their_order() -> None:
    media = _video("a=zebra:1", "a=rtcp-mux", "a=apple", "a=zebra:2")
    assert media.others == (
        Attribute("zebra", "1"),
        Attribute("apple"),
        Attribute("zebra", "2"),
    )


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "malformed"),
        ("v=1\n", "malformed"),
        ("o=- 1 2 IN IP4 127.0.0.1\nv=0\n", "malformed"),
        ("v=0\ns=-\n", "malformed"),
        ("v=0\no=- 1 2 IN IP4\n", "malformed"),
        (_HEAD + "hello\n", "malformed"),
        (_HEAD + "x=1\n", "malformed"),
        (_HEAD + "a=\n", "malformed"),
        (_HEAD + "s=a\x07b\n", "malformed"),
        (_HEAD + "i=one\ri=two\n", "malformed"),
        (_HEAD + "i=one\u2028i=two\n", "malformed"),
        (_HEAD + "r=7d 1h\nt=x y\n", "malformed"),
        ("v=0\no=- 1 2 IN IP4 127.0.0.1\nr=7d 1h\n", "malformed"),
        (_HEAD + "m=audio nine RTP/SAVPF 0\n", "malformed"),
        (_HEAD + "m=audio 65536 RTP/SAVPF 0\n", "malformed"),
        (_HEAD + "m=audio 9 RTP/SAVPF 128\n", "malformed"),
        (_HEAD + "m=audio 9 RTP/SAVPF x\n", "malformed"),
        (_VIDEO + "o=- 1 2 IN IP4 127.0.0.1\n", "malformed"),
        (_VIDEO + "a=rtpmap:96 H264\n", "malformed"),
        (_VIDEO + "a=rtpmap:96 H264/0\n", "malformed"),
        (_VIDEO + "a=extmap:x urn:x\n", "malformed"),
        (_VIDEO + "a=extmap:1/up urn:x\n", "malformed"),
        (_VIDEO + "a=ssrc:4294967296 cname:x\n", "malformed"),
        (_VIDEO + "a=ssrc-group:FID x\n", "malformed"),
        (_VIDEO + "a=rid:hi up\n", "malformed"),
        (_VIDEO + "a=rid:hi send pt=128\n", "malformed"),
        (_VIDEO + "a=simulcast:send\n", "malformed"),
        (_VIDEO + "a=simulcast:send a;;b\n", "malformed"),
        (_VIDEO + "a=rtcp-fb:96\n", "malformed"),
        (_VIDEO + "a=msid:a b c\n", "malformed"),
        (_VIDEO + "a=setup:both\n", "malformed"),
        (_VIDEO + "a=fingerprint:sha-256 AB:CD\n", "malformed"),
        (_VIDEO + "a=fingerprint:sha-256\n", "malformed"),
        (_VIDEO + "a=ice-ufrag:abc\n", "malformed"),
        (_VIDEO + "a=ice-pwd:tooshort\n", "malformed"),
        (_VIDEO + "a=candidate:\n", "malformed"),
        (_VIDEO + "b=AS:much\n", "malformed"),
        (_HEAD + "a=group:\n", "malformed"),
        (_VIDEO + "a=mid:1\n", "contradiction"),
        (_VIDEO + "m=audio 9 RTP/SAVPF 0\na=mid:0\n", "contradiction"),
        (_HEAD + "a=group:BUNDLE 0 1\n" + _VIDEO[len(_HEAD):], "contradiction"),
        (_HEAD + "a=group:BUNDLE 0 0\n", "contradiction"),
        (_VIDEO + "a=rtpmap:96 VP8/90000\na=rtpmap:96 H264/90000\n", "contradiction"),
        (_VIDEO + "a=setup:active\na=setup:passive\n", "contradiction"),
        (_VIDEO + "a=sendonly\na=recvonly\n", "contradiction"),
        (_VIDEO + "a=ice-ufrag:abcd\na=ice-ufrag:abce\n", "contradiction"),
        (_VIDEO + "a=rid:hi send\na=rid:hi recv\n", "contradiction"),
    ],
)  # fmt: skip
def test_what_has_no_sense_is_refused(text: str, code: str) -> None:
    """RFC 8866 §5.1, §5.2, §5.13, §5.14; RFC 5888 §4, §5; RFC 9143 §7.2;
    RFC 8839 §5.4; RFC 8851 §4.
    """
    with pytest.raises(ProtocolError) as caught:
        decode_session(text)
    assert caught.value.code == code


def test_the_same_said_twice_is_no_contradiction() -> None:
    media = _video(
        *["a=mid:0", "a=sendonly", "a=setup:active", "a=ice-ufrag:abcd"] * 2,
        *["a=rtpmap:96 VP8/90000", "a=rid:hi send"] * 2,
    )
    assert (media.mid, media.setup, len(media.rids)) == ("0", Setup.ACTIVE, 1)


def test_octets_that_are_no_text_are_refused() -> None:
    with pytest.raises(ProtocolError, match="UTF-8"):
        decode_session(_HEAD.encode() + b"i=\xff\n")


_ONE_LINE = _VIDEO + "a=candidate:{0}\n" * 3


@pytest.mark.parametrize(
    ("text", "limits"),
    [
        (_HEAD + "i=" + "x" * 1_000_000, Limits()),
        (_HEAD + "i=" + "x" * 9_000, Limits()),
        (_HEAD, Limits(description_bytes=20)),
        (_HEAD, Limits(lines=2)),
        (_HEAD + "m=audio 9 RTP/SAVPF 0\n" * 3, Limits(media_sections=2)),
        (_VIDEO + "a=x\n" * 5, Limits(section_attributes=5)),
        (_ONE_LINE, Limits(candidates=2)),
    ],
)
def test_what_costs_too_much_is_refused(text: str, limits: Limits) -> None:
    with pytest.raises(ProtocolError) as caught:
        decode_session(text, limits)
    assert caught.value.code == "limit"


def test_what_just_fits_is_taken() -> None:
    limits = Limits(lines=6, media_sections=1, section_attributes=1)
    assert decode_session(_VIDEO, limits).media[0].mid == "0"
    assert len(decode_session(_ONE_LINE, Limits(candidates=3)).media[0].candidates) == 3


@pytest.mark.parametrize("name", ["two\nlines", "bell\x07", "carriage\rreturn"])
def test_no_line_can_be_smuggled_into_what_is_written(name: str) -> None:
    with pytest.raises(UsageError):
        encode_session(SessionDescription(name=name))


# --- who says what ---------------------------------------------------------------

_SESSION_LEVEL = (
    _HEAD
    + "a=group:BUNDLE 0 1\na=ice-ufrag:abcd\na=ice-pwd:0123456789abcdefghijkl\n"
    + "a=setup:actpass\na=recvonly\na=fingerprint:sha-256 "
    + ":".join(["AB"] * 32)
    + "\nm=audio 9 UDP/TLS/RTP/SAVPF 0\na=mid:0\na=candidate:1\n"
    + "m=video 0 UDP/TLS/RTP/SAVPF 96\na=mid:1\na=bundle-only\na=sendonly\n"
)


def test_a_section_has_what_the_session_says() -> None:
    """RFC 8839 §5.4: ICE credentials may stand in the session's head alone."""
    session = decode_session(_SESSION_LEVEL)
    audio, video = session.media
    assert session.transport_of(audio).ice_ufrag == "abcd"
    assert session.direction_of(audio) is Direction.RECVONLY
    assert session.direction_of(video) is Direction.SENDONLY
    assert not video.is_rejected


def test_a_bundled_section_has_what_the_first_of_the_bundle_says() -> None:
    """RFC 9143 §7.1.3."""
    text = _SESSION_LEVEL.replace("a=ice-ufrag:abcd\n", "").replace(
        "a=mid:0\n", "a=mid:0\na=ice-ufrag:efgh\na=ice-pwd:0123456789abcdefghijkl\n"
    )
    session = decode_session(text)
    transport = session.transport_of(session.media[1])
    assert transport.ice_ufrag == "efgh"
    assert transport.candidates == ("1",)


@pytest.mark.parametrize("missing", ["ice-ufrag", "ice-pwd", "fingerprint"])
def test_a_section_without_credentials_has_no_transport(missing: str) -> None:
    """RFC 8839 §5.4; RFC 8122 §5."""
    text = re.sub(f"a={missing}.*\n", "", _SESSION_LEVEL)
    session = decode_session(text)
    with pytest.raises(ProtocolError) as caught:
        session.transport_of(session.media[0])
    assert caught.value.code == "incomplete"


def test_port_zero_rejects_unless_it_is_bundle_only() -> None:
    """RFC 3264 §6; RFC 9143 §6."""
    media = decode_session(_HEAD + "m=audio 0 RTP/SAVPF 0").media[0]
    assert media.is_rejected
    assert not attrs.evolve(media, bundle_only=True).is_rejected


def test_the_mids_of_groups_are_known() -> None:
    session = decode_session(_SESSION_LEVEL)
    assert session.groups == (Group("BUNDLE", ("0", "1")),)
    assert session.media_of("1") is session.media[1]
    assert session.media_of("2") is None


# --- any text --------------------------------------------------------------------

_LINES = st.sampled_from(
    [
        line
        for name in _VECTORS
        for line in (_DATA / f"{name}.bin").read_text().splitlines()
    ]
)


@given(
    st.lists(_LINES, max_size=40),
    st.text(max_size=20),
    st.integers(0, 40),
)
def test_any_lines_are_decoded_or_refused(
    lines: list[str], noise: str, at: int
) -> None:
    text = _HEAD + "\n".join([*lines[:at], f"a={noise}", *lines[at:]])
    try:
        session = decode_session(text)
    except ProtocolError:
        return
    assert decode_session(encode_session(session)) == session


@given(st.binary(max_size=200))
def test_any_octets_are_decoded_or_refused(data: bytes) -> None:
    for start in (b"", _HEAD.encode(), _VIDEO.encode()):
        try:
            session = decode_session(start + data)
        except ProtocolError:
            continue
        assert decode_session(encode_session(session)) == session


def test_values_compare_and_copy_as_values() -> None:
    media: Any = _video("a=rtpmap:96 VP8/90000")
    assert media == _video("a=rtpmap:96 VP8/90000")
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        media.mid = "1"
