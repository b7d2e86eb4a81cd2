"""Frames of sound and items of data, however senders cut them into PES packets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sansmedia.codecs import Codec, ac3
from sansmedia.codecs.aac import AdtsHeader, decode_asc, encode_adts_header
from sansmedia.codecs.latm import (
    decode_audio_mux_element,
    decode_loas_length,
    encode_loas,
)
from sansmedia.mpegts import (
    Configuration,
    DataFormat,
    Descriptor,
    Limits,
    MediaFrame,
    PesPacket,
    StreamType,
    Track,
    decode_opus_control_header,
    make_assembler,
)
from sansmedia.sansio import ProtocolError

ADTS = Track(257, StreamType.ADTS, Codec.AAC)
LATM = Track(257, StreamType.LATM, Codec.AAC)
MP3 = Track(257, StreamType.MPEG1_AUDIO, Codec.MP3)
EAC3 = Track(257, StreamType.ATSC_EAC3, Codec.EAC3)
OPUS = Track(257, StreamType.PRIVATE_PES, Codec.OPUS)
KLV = Track(257, StreamType.PRIVATE_PES, None, DataFormat.KLV)
CELLS = Track(257, StreamType.METADATA_PES, None, DataFormat.KLV_SYNCHRONOUS)
ID3 = Track(257, StreamType.METADATA_PES, None, DataFormat.ID3)
KEY = bytes.fromhex("060e2b34020b01010e01030101000000")


def pes(payload: bytes, pts: int | None = None, **flags: bool) -> PesPacket:
    packet = PesPacket(257, 0xC0, pts, pts, payload, len(payload) + 8)
    for name, value in flags.items():
        setattr(packet, name, value)
    return packet


def assemble(track: Track, *packets: PesPacket, limits: Limits | None = None) -> Any:
    assembler = make_assembler(track, limits)
    assert assembler is not None
    products = [product for packet in packets for product in assembler.feed(packet)]
    return products + assembler.flush()


def frames(products: Any) -> list[MediaFrame]:
    return [product for product in products if isinstance(product, MediaFrame)]


def adts(frame: bytes, rate: int = 48000) -> bytes:
    return encode_adts_header(AdtsHeader(2, rate, 2, len(frame) + 7)) + frame


SOUND = [bytes((n,)) * (100 + n) for n in range(12)]


@pytest.mark.parametrize("size", [1, 5, 50, 107, 500, 5000])
def test_frames_go_over_the_ends_of_packets_of_any_size(size: int) -> None:
    # ISO 14496-3 §1.A.2.2.
    stream = b"".join(map(adts, SOUND))
    pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
    packets = [pes(piece, 90_000 + number) for number, piece in enumerate(pieces)]
    came = frames(assemble(ADTS, *packets))
    assert [frame.payload for frame in came] == SOUND
    # Each time is that of the packet in which a frame begins, if it is the first there.
    start = 0
    for frame in came:
        assert not frame.timed or frame.pts == 90_000 + start // size
        start += len(frame.payload) + 7
    assert came[0].timed


def test_times_are_counted_on_in_samples() -> None:
    # 44,100 Hz: 1,024 samples are 2,089.8 ticks. A time in the middle of a stream
    # belongs to the first frame that begins in its packet.
    stream = [adts(frame, 44100) for frame in SOUND]
    first = b"".join(stream[:3]) + stream[3][:40]
    second = stream[3][40:] + stream[4] + stream[5]
    came = frames(assemble(ADTS, pes(first, 1000), pes(second, 9359)))
    assert [frame.pts for frame in came] == [1000, 3090, 5180, 7269, 9359, 11449]
    assert [frame.timed for frame in came] == [True, False, False, False, True, False]
    assert {frame.duration for frame in came} == {1024}


def test_times_wrap_with_their_33_bits() -> None:
    came = frames(assemble(ADTS, pes(adts(b"a") + adts(b"b"), (1 << 33) - 1000)))
    assert [frame.pts for frame in came] == [(1 << 33) - 1000, 920]


def test_a_rate_that_changes_makes_another_configuration() -> None:
    products = assemble(
        ADTS, pes(adts(b"a")), pes(adts(b"b", 44100)), pes(adts(b"c", 44100))
    )
    data = [p.data.hex() for p in products if isinstance(p, Configuration)]
    assert data == ["1190", "1210"]
    assert [frame.generation for frame in frames(products)] == [1, 2, 2]


def test_a_hole_in_a_packet_takes_the_frames_around_it() -> None:
    stream = b"".join(map(adts, SOUND))
    holed = stream[:330] + stream[514:]
    came = frames(assemble(ADTS, pes(holed, 0, damaged=True)))
    expected = [SOUND[n] for n in range(12) if n not in (3, 4)]
    assert [frame.payload for frame in came] == expected
    assert [frame.after_loss for frame in came].count(True) == 1


def test_a_size_that_is_wrong_does_not_swallow_what_follows() -> None:
    stream = [bytearray(adts(frame)) for frame in SOUND]
    stream[2][3] |= 3  # about 6,000 octets more
    packets = [pes(bytes(frame), 1920 * n) for n, frame in enumerate(stream)]
    came = frames(assemble(ADTS, *packets))
    assert [frame.payload for frame in came] == [SOUND[n] for n in range(12) if n != 2]


def test_garbage_before_and_between_frames_is_passed_over() -> None:
    stream = b"\x12\xf0junk" + adts(b"a" * 50) + b"\x00\xffgarbage" + adts(b"b" * 50)
    assembler = make_assembler(ADTS)
    assert assembler is not None
    came = frames(assembler.feed(pes(stream, 9000)) + assembler.flush())
    assert [frame.payload for frame in came] == [b"a" * 50, b"b" * 50]
    assert came[0].pts == 9000
    assert assembler.octets_skipped == 6 + 9


def test_what_looks_like_a_frame_does_not_hide_those_behind_it() -> None:
    stream = b"\xff\xf1junk" + adts(b"a" * 50) + adts(b"b" * 50)
    came = frames(assemble(ADTS, pes(stream, 9000), pes(adts(b"c"), 18_000)))
    assert [frame.payload for frame in came] == [b"a" * 50, b"b" * 50, b"c"]
    assert [frame.pts for frame in came] == [9000, 10_920, 18_000]


def test_frames_of_one_packet_have_a_limit() -> None:
    limits = Limits(max_frames_per_pes=3)
    stream = b"".join(map(adts, SOUND))
    came = frames(assemble(ADTS, pes(stream), pes(adts(b"next")), limits=limits))
    assert [frame.payload for frame in came] == [*SOUND[:3], b"next"]


def test_latm_is_taken_apart_and_put_together() -> None:
    # ISO 14496-3 §1.7.2, §1.7.3, §1.7.3.1.
    asc = bytes.fromhex("1210")
    stream = b"".join(encode_loas(asc, frame) for frame in (*SOUND, bytes(600)))
    products = assemble(LATM, pes(stream[:700], 0), pes(stream[700:]))
    assert [frame.payload for frame in frames(products)] == [*SOUND, bytes(600)]
    assert [p.data for p in products if isinstance(p, Configuration)] == [asc]


def test_latm_may_leave_its_configuration_to_an_earlier_element() -> None:
    config, _ = decode_audio_mux_element(encode_loas(b"\x12\x10", b"abc")[3:], None)
    # useSameStreamMux, length 3, three octets one bit further on.
    bits = 1 << 39 | 3 << 31 | int.from_bytes(b"xyz", "big") << 7
    element = bits.to_bytes(5, "big")
    assert decode_audio_mux_element(element, config) == (config, [b"xyz"])
    with pytest.raises(ProtocolError, match="no StreamMuxConfig"):
        decode_audio_mux_element(element, None)
    assert decode_asc(config.asc).sampling_frequency == 44100


@pytest.mark.parametrize("data", [b"", b"\x56", b"\x56\xc0\x01", b"\x47\xe0\1"])
def test_what_is_no_loas_frame_is_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode_loas_length(data)


def test_a_program_of_several_layers_is_refused() -> None:
    # allStreamsSameTimeFraming, numSubFrames 0, numProgram 1.
    with pytest.raises(ProtocolError, match="programme"):
        decode_audio_mux_element(bytes.fromhex("200840000000"), None)


def test_dependent_substreams_stay_with_their_main_frame(
    named_vector: Callable[[str], Any], frames_of: Callable[..., list[MediaFrame]]
) -> None:
    # ATSC A/52 §E.2.2: strmtyp 1 in the second frame.
    main = frames_of(named_vector("mp3_eac3").data, 257)[0].payload
    dependent = bytearray(main)
    dependent[2] |= 0x40
    pair = main + bytes(dependent)
    products = assemble(EAC3, pes(pair + pair[:50], 0), pes(pair[50:] + pair))
    assert [frame.payload for frame in frames(products)] == [pair] * 3
    [configuration] = [p for p in products if isinstance(p, Configuration)]
    assert ac3.decode_dec3(configuration.data).substreams[0].dependent.count == 1


def test_layers_of_mpeg_audio_tell_themselves_apart(
    named_vector: Callable[[str], Any],
    configurations_of: Callable[[bytes], list[Configuration]],
) -> None:
    # ISO 11172-3 §2.4.1.3.
    found = configurations_of(named_vector("mp3_eac3").data)
    [mp3] = [event for event in found if event.codec is Codec.MP3]
    assert mp3.parameters.profile == "MPEG-1 Layer III"


def opus(packet: bytes, flags: int = 0, extra: bytes = b"") -> bytes:
    size, rest = divmod(len(packet), 255)
    head = bytes((0x7F, 0xE0 | flags)) + b"\xff" * size + bytes((rest,))
    return head + extra + packet


def test_opus_packets_share_a_pes_packet() -> None:
    # RFC 6716 §3.1: configuration 31 has 20 ms, 960 samples, 1,800 ticks.
    one, two = b"\xfc" + b"a" * 300, b"\xfc" + b"b" * 20
    stream = opus(one, 0x10, b"\x01\x38") + opus(two, 0x0C, b"\x00\x10\x02xx")
    products = assemble(OPUS, pes(stream, 9000))
    came = frames(products)
    assert [(f.payload, f.pts, f.trim) for f in came] == [
        (one, 9000, (312, 0)),
        (two, 10_800, (0, 16)),
    ]
    [configuration] = [p for p in products if isinstance(p, Configuration)]
    assert configuration.data[10:12] == b"\x38\x01"


def test_an_opus_descriptor_names_the_channels() -> None:
    # RFC 7845 §5.1.1.2.
    for code, channels, family in ((0, 2, 255), (1, 1, 0), (5, 5, 1), (0x82, 2, 0)):
        body = bytes((0x80, code))
        track = Track(257, 6, Codec.OPUS, descriptors=(Descriptor(0x7F, body),))
        [configuration, _] = assemble(track, pes(opus(b"\xfc" + b"a" * 30)))
        assert configuration.data[9] == channels
        assert configuration.data[18] == family


@pytest.mark.parametrize("data", [b"", b"\x7f\xe0", b"\x7f\x00\x01", b"\x7f\xf0\x01\0"])
def test_what_is_no_opus_control_header_is_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode_opus_control_header(data)


def test_key_length_value_items_come_one_by_one() -> None:
    # SMPTE ST 336: lengths of one octet, and of more.
    short = KEY + b"\x05value"
    long = KEY + b"\x82\x01\x00" + bytes(range(256))
    stream = short + long + short
    came = frames(assemble(KLV, pes(stream[:100], 0), pes(stream[100:], 3600)))
    assert [frame.payload for frame in came] == [short, long, short]
    assert [frame.pts for frame in came] == [0, 0, 3600]


def cell(payload: bytes, kind: int, number: int = 0) -> bytes:
    head = bytes((0, number, kind << 6 | 0x0F))
    return head + len(payload).to_bytes(2, "big") + payload


def test_metadata_access_units_are_put_together_from_cells() -> None:
    # ISO 13818-1 §2.12.4.
    first = cell(b"whole", 3) + cell(b"be", 2) + cell(b"gin", 0)
    came = frames(assemble(CELLS, pes(first, 0), pes(cell(b" end", 1), 9)))
    assert [(frame.payload, frame.pts) for frame in came] == [
        (b"whole", 0),
        (b"begin end", 0),
    ]


def test_a_metadata_access_unit_without_its_end_is_dropped() -> None:
    cells = cell(b"be", 2), cell(b"whole", 3), b"\0\0\xcf\xff\xff"
    came = frames(assemble(CELLS, *map(pes, cells)))
    assert [(frame.payload, frame.after_loss) for frame in came] == [(b"whole", True)]


def test_tags_come_one_by_one() -> None:
    tag = b"ID3\x04\0\0\0\0\x01\x00" + bytes(128)
    footed = b"ID3\x04\0\x10\0\0\0\x02ab" + bytes(10)
    stream = tag + footed
    came = frames(assemble(ID3, pes(stream[:60], 5), pes(stream[60:])))
    assert [frame.payload for frame in came] == [tag, footed]
