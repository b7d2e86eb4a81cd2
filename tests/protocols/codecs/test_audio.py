from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sansmedia.codecs import Codec, ac3, flac, mp3, opus
from sansmedia.codecs.bits import BitWriter
from sansmedia.sansio import ProtocolError, UsageError

_Load = Callable[[str], Any]


@pytest.mark.vectors("opus_head_*")
def test_an_opus_head_comes_back_in_both_forms(vector: Any) -> None:
    head = opus.decode_opus_head(vector.data)
    assert opus.encode_opus_head(head) == vector.data
    assert opus.decode_dops(opus.encode_dops(head)) == head
    assert head.pre_skip == 312


@pytest.mark.vectors("opus_packets_*")
def test_packet_durations_are_those_of_the_demuxer(vector: Any) -> None:
    found = [opus.packet_duration(packet) for packet in vector.pieces]
    assert found == vector.expected["durations"]
    assert {opus.packet_channels(packet) for packet in vector.pieces} == {1}


@pytest.mark.parametrize(
    ("packet", "samples"),
    [
        (b"\x00", 480),
        (b"\x18", 2880),
        (b"\x60", 480),
        (b"\x68", 960),
        (b"\x80", 120),
        (b"\xfc", 960),
        (b"\xfd", 1920),
        (b"\xfe", 1920),
        (b"\xff\x06", 5760),
        (b"\x83\x30", 5760),
        (b"\x1b\xc2", 5760),
    ],
)
def test_packet_durations_follow_table_2(packet: bytes, samples: int) -> None:
    """RFC 6716 §3.1, §3.2."""
    assert opus.packet_duration(packet) == samples


@pytest.mark.parametrize(
    "packet", [b"", b"\xff", b"\xff\x00", b"\xff\x07", b"\x1b\x03"]
)
def test_an_impossible_packet_is_refused(packet: bytes) -> None:
    """RFC 6716 §3.2.5: no packet lasts over 120 ms, and none has no frame."""
    with pytest.raises(ProtocolError):
        opus.packet_duration(packet)


@pytest.mark.parametrize(
    "data",
    [
        b"OpusHeax\1\2\0\0\0\0\0\0\0\0\0",
        b"OpusHead\x11\2\0\0\0\0\0\0\0\0\0",
        b"OpusHead\1\0\0\0\0\0\0\0\0\0\0",
        b"OpusHead\1\3\0\0\0\0\0\0\0\0\0",
        b"OpusHead\1\2\0\0\0\0\0\0\0\0\1\1\2\0\0",
        b"OpusHead\1\2\0\0\0\0\0\0\0\0\1\1\0\0\1",
        b"OpusHead\1\2\0\0\0\0\0\0\0\0\1\1\1\0",
        b"OpusHead\1\2",
    ],
)
def test_a_broken_opus_head_is_refused(data: bytes) -> None:
    """RFC 7845 §5.1.1 for the stream counts and the mapping."""
    with pytest.raises(ProtocolError):
        opus.parameters(data)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_any_opus_head_comes_back_in_both_forms(data: st.DataObject) -> None:
    channels = data.draw(st.integers(1, 8))
    head = opus.OpusHead(
        channels,
        data.draw(st.integers(0, 0xFFFF)),
        data.draw(st.integers(0, 0xFFFFFFFF)),
        data.draw(st.integers(-0x8000, 0x7FFF)),
    )
    if channels > 2 or data.draw(st.booleans()):
        mapping = data.draw(st.binary(min_size=channels, max_size=channels))
        mapping = bytes(value % 8 for value in mapping)
        head = attrs.evolve(
            head,
            mapping_family=1,
            stream_count=5,
            coupled_count=3,
            channel_mapping=mapping,
        )
    else:
        head = attrs.evolve(head, coupled_count=channels - 1)
    assert opus.decode_opus_head(opus.encode_opus_head(head)) == head
    assert opus.decode_dops(opus.encode_dops(head)) == head


def test_a_mapping_of_another_length_is_our_mistake() -> None:
    with pytest.raises(UsageError):
        opus.encode_dops(opus.OpusHead(6, mapping_family=1))
    for data in (b"\1\2\0\0\0\0\0\0\0\0\0", b"\0\0\0\0\0\0\0\0\0\0\0"):
        with pytest.raises(ProtocolError):
            opus.decode_dops(data)


@pytest.mark.vectors("mp3_*", "mp2_*")
def test_mpeg_audio_frames_are_those_of_the_demuxer(vector: Any) -> None:
    headers = [mp3.decode_frame_header(packet) for packet in vector.pieces]
    assert [header.frame_size for header in headers] == vector.expected["sizes"]
    found = mp3.parameters_from_frame_header(headers[0])
    assert found.frame_samples == vector.expected["samples"]
    assert found.sample_rate == vector.expected["sample_rate"]
    assert found.channels == vector.expected["channels"]


@pytest.mark.parametrize(
    ("word", "profile", "rate", "bit_rate", "size", "samples"),
    [
        (0xFFFB9064, "MPEG-1 Layer III", 44100, 128000, 417, 1152),
        (0xFFFB9264, "MPEG-1 Layer III", 44100, 128000, 418, 1152),
        (0xFFFD8400, "MPEG-1 Layer II", 48000, 128000, 384, 1152),
        (0xFFFF8600, "MPEG-1 Layer I", 48000, 256000, 260, 384),
        (0xFFF38800, "MPEG-2 Layer III", 16000, 64000, 288, 576),
        (0xFFE38800, "MPEG-2.5 Layer III", 8000, 64000, 576, 576),
        (0xFFFB0000, "MPEG-1 Layer III", 44100, 0, 0, 1152),
    ],
)
def test_mpeg_audio_headers_follow_their_tables(
    word: int, profile: str, rate: int, bit_rate: int, size: int, samples: int
) -> None:
    """ISO 11172-3 §2.4.2.3, ISO 13818-3 §2.4.2.3."""
    header = mp3.decode_frame_header(word.to_bytes(4, "big"))
    assert mp3.parameters_from_frame_header(header).profile == profile
    assert (header.sample_rate, header.bit_rate) == (rate, bit_rate)
    assert (header.frame_size, header.samples) == (size, samples)


@pytest.mark.parametrize(
    "word", [0xFFDB9064, 0xFFEB9064, 0xFFF99064, 0xFFFBF064, 0xFFFB9C64]
)
def test_a_reserved_mpeg_audio_header_is_refused(word: int) -> None:
    with pytest.raises(ProtocolError):
        mp3.decode_frame_header(word.to_bytes(4, "big"))
    with pytest.raises(ProtocolError):
        mp3.decode_frame_header(b"\xff\xfb\x90")


@pytest.mark.vectors("flac_*")
def test_streaminfo_comes_back_from_every_wrapping(vector: Any) -> None:
    """RFC 9639 §6, §8.1: "fLaC", then blocks with a header of four octets."""
    info = flac.decode_streaminfo(vector.data)
    assert flac.encode_streaminfo(info) == vector.data
    block = b"\x80\0\0\x22" + vector.data
    for wrapped in (vector.data, block, b"fLaC" + block):
        assert flac.streaminfo_of(wrapped) == vector.data
        assert flac.parameters(wrapped) == flac.parameters(vector.data)
    # FFmpeg's encoder keeps to one block size: 4608 at 44.1 kHz, 8192 and up above.
    assert flac.parameters(vector.data).frame_samples == info.max_block_size


@pytest.mark.parametrize(
    "data", [b"", b"fLaC", b"fLaC\x84\0\0\x22" + bytes(34), bytes(34), bytes(33)]
)
def test_a_broken_streaminfo_is_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        flac.parameters(data)


@pytest.mark.vectors("ac3_*[!3]", "eac3_*[!3]")
def test_sync_frames_are_those_of_the_demuxer(vector: Any) -> None:
    frames = [ac3.decode_sync_frame(packet) for packet in vector.pieces]
    assert [frame.frame_size for frame in frames] == vector.expected["sizes"]
    found = ac3.parameters_from_sync_frame(frames[0])
    assert found.codec.value == vector.facts["codec"]
    assert found.sample_rate == vector.expected["sample_rate"]
    assert found.channels == vector.expected["channels"]
    assert found.frame_samples == vector.expected["samples"]


@pytest.mark.parametrize("kind", ["48000_2", "44100_6", "32000_1"])
def test_boxes_made_of_sync_frames_are_what_ffmpeg_writes(
    load_vector: _Load, kind: str
) -> None:
    frame = ac3.decode_sync_frame(load_vector(f"ac3_{kind}").pieces[0])
    dac3 = load_vector(f"ac3_{kind}_dac3").data
    assert ac3.dac3_from_sync_frame(frame) == dac3
    assert ac3.encode_dac3(ac3.decode_dac3(dac3)) == dac3
    frame = ac3.decode_sync_frame(load_vector(f"eac3_{kind}").pieces[0])
    dec3 = load_vector(f"eac3_{kind}_dec3").data
    made = ac3.decode_dec3(ac3.dec3_from_sync_frames([frame]))
    written = ac3.decode_dec3(dec3)
    assert made.substreams == written.substreams
    assert made.data_rate_kbps == pytest.approx(written.data_rate_kbps, abs=1)
    assert ac3.encode_dec3(written) == dec3


def _frame(stream_type: int, channel_map: int | None = None) -> bytes:
    bits = BitWriter().u(16, 0x0B77).u(2, stream_type).u(3, 0).u(11, 9).u(2, 0)
    bits.u(2, 3).u(3, 7 if channel_map is None else 2).flag(channel_map is None)
    bits.u(5, 16).u(5, 0).flag(False)
    if channel_map is not None:
        bits.flag(True).u(16, channel_map)
    return bits.getvalue().ljust(20, b"\0")


def test_a_dependent_substream_adds_its_channels() -> None:
    # Lrs/Rrs is location 6 of chanmap, and bit 1 of chan_loc.
    packet = _frame(0) + _frame(1, 1 << 9)
    frames = [header for header, _ in ac3.split_sync_frames(packet)]
    assert [frame.channels for frame in frames] == [6, 2]
    dec3 = ac3.dec3_from_sync_frames(frames)
    (substream,) = ac3.decode_dec3(dec3).substreams
    assert substream.dependent == ac3.DependentSubstream(1, 0b10)
    assert ac3.parameters(Codec.EAC3, dec3).channels == 8


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "truncated"),
        (b"\x0b\x77\0\0", "truncated"),
        (b"\x0b\x78\0\0\0\0\0\0", "malformed"),
        (b"\x0b\x77\0\0\xc0\x40\0\0", "malformed"),
        (b"\x0b\x77\0\0\x26\x40\0\0", "malformed"),
        (b"\x0b\x77\0\0\0\xf8\0\0", "version"),
        (b"\x0b\x77\xc0\0\0\x80\0\0", "malformed"),
        (b"\x0b\x77\0\0\xf0\x80\0\0", "malformed"),
        (_frame(0)[:19], "truncated"),
    ],
)
def test_a_broken_sync_frame_is_refused(data: bytes, code: str) -> None:
    with pytest.raises(ProtocolError) as raised:
        ac3.split_sync_frames(data or b"\x0b")
    assert raised.value.code == code


@pytest.mark.parametrize("count", [9, 16, 63])
def test_dec3_of_too_many_dependent_substreams_is_refused(count: int) -> None:
    """ETSI TS 102 366 §F.6: a publisher's first packet may repeat them at will."""
    packet = _frame(0) + _frame(1, 1 << 9) * count
    frames = [header for header, _ in ac3.split_sync_frames(packet)]
    with pytest.raises(ProtocolError) as raised:
        ac3.dec3_from_sync_frames(frames)
    assert raised.value.code == "limit"
    (most,) = ac3.decode_dec3(ac3.dec3_from_sync_frames(frames[:9])).substreams
    assert most.dependent.count == 8


def test_boxes_of_the_wrong_frames_are_refused(load_vector: _Load) -> None:
    plain = ac3.decode_sync_frame(load_vector("ac3_48000_2").pieces[0])
    enhanced = ac3.decode_sync_frame(_frame(0))
    dependent = ac3.decode_sync_frame(_frame(1, 0))
    with pytest.raises(UsageError):
        ac3.dac3_from_sync_frame(enhanced)
    for frames in ([], [plain], [dependent], [enhanced] * 9):
        with pytest.raises(ProtocolError):
            ac3.dec3_from_sync_frames(frames)
    with pytest.raises(UsageError):
        ac3.encode_dec3(ac3.Eac3Config(0, ()))
    for codec in (Codec.AC3, Codec.EAC3):
        for box in (b"\0", b"\xff" * 5):
            with pytest.raises(ProtocolError):
                ac3.parameters(codec, box)


def test_dec3_of_a_half_rate_stream_has_no_parameters() -> None:
    """A publisher of E-AC-3 at 24 kHz gets there; its frames still say the rate."""
    frame = ac3.decode_sync_frame(_frame(0)[:4] + b"\xcf" + _frame(0)[5:])
    assert (frame.sample_rate, frame.samples) == (24000, 1536)
    with pytest.raises(ProtocolError) as raised:
        ac3.parameters(Codec.EAC3, ac3.dec3_from_sync_frames([frame]))
    assert raised.value.code == "unsupported"


def test_a_flood_of_tiny_frames_is_refused() -> None:
    with pytest.raises(ProtocolError) as raised:
        ac3.split_sync_frames(_frame(0) * (ac3.MAX_SYNC_FRAMES + 1))
    assert raised.value.code == "limit"
