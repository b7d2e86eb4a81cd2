"""The formats by their names."""

from __future__ import annotations

import pytest
from sansmedia.codecs import Codec
from sansmedia.rtp.payloads import (
    FORMATS,
    AacDepacketiser,
    H264Depacketiser,
    H264Fmtp,
    H265Depacketiser,
    H265Fmtp,
    Limits,
    OpusFmtp,
    decode_aac_fmtp,
    payload_format,
    static_format,
)

OPUS = b"\x78" + bytes(20)


@pytest.mark.parametrize(
    ("name", "codec", "clock_rate", "channels", "static"),
    [
        ("h264", Codec.H264, 90_000, None, None),
        ("H265", Codec.H265, 90_000, None, None),
        ("av1", Codec.AV1, 90_000, None, None),
        ("VP8", Codec.VP8, 90_000, None, None),
        ("vp9", Codec.VP9, 90_000, None, None),
        ("OPUS", Codec.OPUS, 48_000, 2, None),
        ("pcmu", Codec.PCM_MULAW, 8_000, None, 0),
        ("PCMA", Codec.PCM_ALAW, 8_000, None, 8),
        ("g722", Codec.G722, 8_000, None, 9),
        ("mpeg4-generic", Codec.AAC, None, None, None),
        ("MPA", Codec.MP3, 90_000, None, 14),
    ],
)
def test_names_are_found_in_any_case(
    name: str,
    codec: Codec,
    clock_rate: int | None,
    channels: int | None,
    static: int | None,
) -> None:
    """RFC 4855 §3, RFC 3551 §6, RFC 7587 §7."""
    found = payload_format(name)
    assert found is not None
    assert found.encoding_name.lower() == name.lower()
    assert (found.codec, found.clock_rate) == (codec, clock_rate)
    assert (found.channels, found.static_payload_type) == (channels, static)
    assert found.is_video is codec.is_video
    assert static is None or static_format(static) is found


@pytest.mark.parametrize("name", ["MP4A-LATM", "rtx", "red", "telephone-event", ""])
def test_other_names_are_not_spoken(name: str) -> None:
    assert payload_format(name) is None


def test_other_static_types_are_not_spoken() -> None:
    assert static_format(26) is None
    assert static_format(96) is None


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.encoding_name)
def test_every_format_makes_its_two_sides(form: object) -> None:
    assert form in FORMATS
    found = payload_format(getattr(form, "encoding_name", ""))
    assert found is form
    assert found is not None
    limits = Limits(frame_bytes=10_000)
    depacketiser = found.make_depacketiser(found.decode_fmtp(""), limits=limits)
    assert depacketiser.needs_key_frame is found.is_video
    assert depacketiser.feed(b"", 0, False) == depacketiser.flush() == []
    assert depacketiser.pending_bytes == 0
    assert found.make_packetiser().packetise(b"", 1200) == []
    assert not found.is_frame_start(b"")
    assert not found.is_key_frame_start(b"")
    assert found.layer(b"") == (0, 0)
    assert found.decode_fmtp("").matches(found.decode_fmtp("")) is (
        form is not payload_format("MPEG4-GENERIC")
    )


def test_what_the_sender_said_reaches_the_depacketiser() -> None:
    h264, h265 = payload_format("H264"), payload_format("H265")
    assert h264 is not None
    assert h265 is not None
    sets = (b"\x67\1", b"\x68\1")
    avc = h264.make_depacketiser(H264Fmtp(sprop_parameter_sets=sets))
    assert isinstance(avc, H264Depacketiser)
    assert avc.feed(b"\x65\x88", 0, True)[0].decodable
    hevc = h265.make_depacketiser(
        H265Fmtp(sprop_vps=(b"\x40\1",), sprop_sps=(b"\x42\1",), sprop_pps=(b"\x44\1",))
    )
    assert isinstance(hevc, H265Depacketiser)
    assert hevc.feed(b"\x26\x01\x80", 0, True)[0].decodable


@pytest.mark.parametrize(
    ("config", "duration"),
    [("1190", 1024), ("1194", 960), ("2b920800", 2048), ("ff", 1024), ("", 1024)],
    ids=["LC", "960", "SBR", "malformed", "unknown"],
)
def test_the_length_of_aac_frames_comes_from_the_config(
    config: str, duration: int
) -> None:
    form = payload_format("MPEG4-GENERIC")
    assert form is not None
    depacketiser = form.make_depacketiser(decode_aac_fmtp(f"config={config}"))
    assert isinstance(depacketiser, AacDepacketiser)
    [frame] = depacketiser.feed(b"\0\x10\0\x08a", 0, True)
    assert frame.duration == duration
    assert form.make_depacketiser(OpusFmtp()).feed(b"\0\x10\0\x08a", 0, True)


def test_channels_share_a_tick() -> None:
    form = payload_format("PCMA")
    assert form is not None
    depacketiser = form.make_depacketiser(channels=2)
    assert depacketiser.feed(bytes(160), 0, False)[0].duration == 80


def test_opus_is_read_by_name() -> None:
    form = payload_format("opus")
    assert form is not None
    assert form.make_depacketiser().feed(OPUS, 0, False)[0].duration == 960


@pytest.mark.parametrize(
    ("name", "payload"),
    [
        # An SPS behind a slice that is not the first, in one STAP-A.
        ("H264", b"\x18\0\2\x41\x12\0\2\x67\x42"),
        ("H265", b"\x60\x01\0\3\x02\x01\x50\0\3\x42\x01\x01"),
        # A sequence header behind an OBU of the second spatial layer.
        ("AV1", b"\0\x03\x34\x08\x30\x02\x08\x00"),
    ],
)
def test_no_key_frame_begins_where_no_frame_can(name: str, payload: bytes) -> None:
    """What fuzzing found: a peer chooses freely what it aggregates."""
    form = payload_format(name)
    assert form is not None
    assert not form.is_frame_start(payload)
    assert not form.is_key_frame_start(payload)
