"""Sound: Opus, G.711, G.722, AAC and MPEG audio."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sansmedia.rtp.payloads import (
    AacDepacketiser,
    AacPacketiser,
    Depacketiser,
    Frame,
    G711Depacketiser,
    G711Packetiser,
    MpaDepacketiser,
    MpaPacketiser,
    OpusDepacketiser,
    OpusPacketiser,
    aac,
    mpa,
)
from sansmedia.sansio import ProtocolError, UsageError

OPUS = b"\x78" + bytes(60)
"""CELT, 20 ms, mono."""


def _mp3(octets: int = 384) -> bytes:
    """Return a frame of MPEG-1 layer III, 128 kbit/s at 48 kHz."""
    return b"\xff\xfb\x94\x64" + bytes(octets - 4)


def _headers(*words: int) -> bytes:
    """Return an AU header section. RFC 3640 §3.2.1."""
    return b"".join(word.to_bytes(2, "big") for word in (16 * len(words), *words))


# -- Opus, G.711, G.722 --------------------------------------------------------------


def test_an_opus_packet_is_a_payload() -> None:
    """RFC 7587 §4.2; a packet cannot be cut, whatever the size asked for."""
    assert OpusPacketiser().packetise(OPUS, 64) == [OPUS]
    assert OpusPacketiser().packetise(bytes(100), 64) == [bytes(100)]
    assert OpusPacketiser().packetise(b"", 64) == []
    frames = OpusDepacketiser().feed(OPUS, 960, marker=False)
    assert frames == [Frame(960, OPUS, duration=960)]


@pytest.mark.parametrize("payload", [b"\x03", b"\x7b\x3f", b"\x7b\x00"])
def test_what_is_no_opus_packet_is_damage(payload: bytes) -> None:
    depacketiser = OpusDepacketiser()
    assert depacketiser.feed(payload, 0, marker=False) == []
    assert depacketiser.statistics().damaged_payloads == 1
    assert depacketiser.feed(b"", 0, marker=False) == []
    assert depacketiser.statistics().damaged_payloads == 1


def test_sound_after_a_gap_is_sound() -> None:
    depacketiser = OpusDepacketiser()
    [frame] = depacketiser.feed(OPUS, 0, False, gap=True)
    assert frame.decodable
    assert not depacketiser.needs_key_frame
    assert depacketiser.statistics().gaps == 1
    assert depacketiser.flush() == []
    assert depacketiser.pending_bytes == 0


def test_sampled_sound_is_cut_between_samples() -> None:
    """RFC 3551 §4.5.14."""
    assert [len(p) for p in G711Packetiser().packetise(bytes(200), 80)] == [80, 80, 40]
    stereo = G711Packetiser(channels=2)
    assert [len(p) for p in stereo.packetise(bytes(200), 81)] == [80, 80, 40]
    with pytest.raises(UsageError):
        stereo.packetise(bytes(200), 10)


def test_a_tick_is_an_octet_in_g711_and_in_g722() -> None:
    """RFC 3551 §4.5.2, §4.5.14."""
    [frame] = G711Depacketiser().feed(bytes(160), 320, marker=True)
    assert frame == Frame(320, bytes(160), duration=160)
    stereo = G711Depacketiser(channels=2)
    [frame] = stereo.feed(bytes(160), 320, marker=False)
    assert frame.duration == 80
    assert stereo.feed(bytes(161), 400, marker=False) == []
    assert stereo.statistics().damaged_payloads == 1


# -- AAC -----------------------------------------------------------------------------


@given(size=st.integers(1, 8191), max_size=st.integers(64, 1500))
def test_an_access_unit_comes_back(size: int, max_size: int) -> None:
    """RFC 3640 §3.2.3.2, §3.3.6."""
    unit = bytes(at % 251 for at in range(size))
    cut = AacPacketiser().packetise(unit, max_size)
    assert {len(payload) for payload in cut[:-1]} <= {max_size}
    assert len(cut[-1]) <= max_size
    depacketiser = AacDepacketiser()
    found = []
    for number, payload in enumerate(cut, 1):
        found += depacketiser.feed(payload, 7, number == len(cut))
        assert depacketiser.pending_bytes <= size
    assert found == [Frame(7, unit, duration=1024)]
    assert depacketiser.pending_bytes == 0


def test_access_units_too_large_for_their_size_field_are_refused() -> None:
    with pytest.raises(ProtocolError):
        aac.packetise(bytes(8192), 1000)
    assert aac.packetise(b"", 1000) == []


def test_a_payload_may_hold_several_access_units() -> None:
    payload = _headers(3 << 3, 0, 2 << 3) + b"abcde"
    frames = AacDepacketiser(frame_samples=960).feed(payload, 0xFFFFFFFF, marker=True)
    assert frames == [
        Frame(0xFFFFFFFF, b"abc", duration=960),
        Frame(1919, b"de", duration=960),
    ]


@pytest.mark.parametrize(
    "payload",
    [
        b"\x00\x10\x00",
        b"\x00\x00\x00\x00",
        b"\x00\x0d\x00\x00",
        b"\xff\xf0" + bytes(100),
        b"\x04\x10" + bytes(130),
        _headers(1 << 3 | 1) + b"a",
        _headers(1 << 3, 5 << 3) + b"abc",
    ],
    ids=[
        "cut short",
        "no header",
        "other width",
        "headers pass the end",
        "65 units",
        "interleaved",
        "unit passes the end",
    ],
)
def test_damaged_aac_is_counted(payload: bytes) -> None:
    """RFC 3640 §3.2.1, §3.2.3."""
    depacketiser = AacDepacketiser()
    frames = depacketiser.feed(payload, 0, marker=True)
    assert [frame.payload for frame in frames] in ([], [b"a"])
    assert depacketiser.statistics().damaged_payloads == 1


def test_an_empty_fragment_is_damage() -> None:
    depacketiser = AacDepacketiser()
    assert depacketiser.feed(_headers(5 << 3), 0, marker=False) == []
    assert depacketiser.statistics().damaged_payloads == 1


def test_fragments_of_different_units_do_not_mix() -> None:
    first, second = _headers(6 << 3) + b"abc", _headers(6 << 3) + b"def"
    for other, at, gap in (
        (_headers(5 << 3) + b"de", 0, False),
        (_headers(6 << 3) + b"defg", 0, False),
        (second, 9, False),
        (second, 0, True),
        (_headers(1 << 3) + b"x", 0, False),
    ):
        depacketiser = AacDepacketiser()
        assert depacketiser.feed(first, 0, marker=False) == []
        found = depacketiser.feed(other, at, False, gap=gap)
        assert [frame.payload for frame in found] in ([], [b"x"])
        assert depacketiser.statistics().dropped_frames == 1
    depacketiser = AacDepacketiser()
    assert depacketiser.feed(first, 0, marker=False) == []
    assert [f.payload for f in depacketiser.feed(second, 0, True)] == [b"abcdef"]
    assert depacketiser.feed(first, 0, marker=False) == []
    assert depacketiser.flush() == []
    assert depacketiser.statistics().dropped_frames == 1


# -- MPEG audio ----------------------------------------------------------------------


@given(max_size=st.integers(64, 1500))
def test_an_mp3_frame_comes_back(max_size: int) -> None:
    """RFC 2250 §3.5."""
    frame = _mp3()
    cut = MpaPacketiser().packetise(frame, max_size)
    assert {len(payload) for payload in cut[:-1]} <= {max_size}
    depacketiser = MpaDepacketiser()
    found = []
    for payload in cut:
        found += depacketiser.feed(payload, 7, marker=False)
    assert found == [Frame(7, frame, duration=2160)]
    assert depacketiser.pending_bytes == 0


def test_a_payload_may_hold_several_mp3_frames() -> None:
    """The clock is 90 kHz whatever the sound has. RFC 3551 §4.5.13."""
    frames = MpaDepacketiser().feed(bytes(4) + _mp3() * 3, 0, marker=True)
    assert [(f.timestamp, f.duration) for f in frames] == [
        (0, 2160),
        (2160, 2160),
        (4320, 2160),
    ]


def test_a_frame_of_free_format_is_all_that_is_there() -> None:
    frame = b"\xff\xfb\x04\x64" + bytes(99)
    [found] = MpaDepacketiser().feed(bytes(4) + frame, 0, marker=True)
    assert found.payload == frame


@pytest.mark.parametrize(
    "payload",
    [
        bytes(4),
        bytes(4) + b"no sound",
        b"\x00\x00\x00\x07" + _mp3(),
        bytes(4) + _mp3() + _mp3()[:99],
        bytes(4) + b"\xff\xfd\x14\x04\0\0\0" * 65,
    ],
    ids=["empty", "no header", "fragment of no frame", "passes the end", "nonsense"],
)
def test_damaged_mp3_is_counted(payload: bytes) -> None:
    depacketiser = MpaDepacketiser()
    depacketiser.feed(payload, 0, marker=True)
    assert depacketiser.statistics().damaged_payloads == 1
    assert depacketiser.pending_bytes == 0


def test_fragments_of_mp3_have_to_follow_each_other() -> None:
    first, second, third, *_ = mpa.packetise(_mp3(), 100)
    for wrong, at, gap in (
        (third, 0, False),
        (second, 5, False),
        (second, 0, True),
        (first, 0, False),
        (b"\0\0\0\x60" + bytes(900), 0, False),
    ):
        depacketiser = MpaDepacketiser()
        assert depacketiser.feed(first, 0, marker=False) == []
        assert depacketiser.feed(wrong, at, False, gap=gap) == []
        assert depacketiser.statistics().dropped_frames == 1


def test_frames_too_large_for_mpeg_audio_are_refused() -> None:
    with pytest.raises(ProtocolError):
        mpa.packetise(bytes(8193), 1000)


# -- all -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "depacketiser"),
    [
        ("opus_ffmpeg", OpusDepacketiser),
        ("aac_ffmpeg", AacDepacketiser),
        ("aac_gstreamer", AacDepacketiser),
        ("mpa_gstreamer", MpaDepacketiser),
    ],
)
def test_a_loss_costs_the_frames_of_the_packet_alone(
    name: str,
    depacketiser: Callable[[], Depacketiser],
    read_recording: Callable[..., Any],
    feed: Callable[..., list[Frame]],
) -> None:
    packets = read_recording(name).packets
    whole = [frame.payload for frame in feed(depacketiser(), packets)]
    for lost in range(len(packets)):
        came = [frame.payload for frame in feed(depacketiser(), packets, [lost])]
        assert all(payload in whole for payload in came)
        assert len(came) < len(whole)
