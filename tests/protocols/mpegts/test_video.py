"""Access units of H.264, H.265 and AV1, however senders cut them into PES packets."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from sansmedia.codecs import Codec
from sansmedia.codecs.av1 import (
    Obu,
    ObuType,
    encode_obu,
    join_obus,
    split_obus,
    strip_temporal_delimiters,
)
from sansmedia.codecs.h264 import decode_avcc
from sansmedia.codecs.nal import join_annexb, split_annexb
from sansmedia.mpegts import (
    Configuration,
    Event,
    Limits,
    MediaFrame,
    PesPacket,
    StreamType,
    Track,
    join_ts_obus,
    make_assembler,
    split_ts_obus,
)
from sansmedia.sansio import ProtocolError

DATA = Path(__file__).resolve().parents[2] / "data"
H264 = Track(256, StreamType.H264, Codec.H264)
H265 = Track(256, StreamType.H265, Codec.H265)
AV1 = Track(256, StreamType.PRIVATE_PES, Codec.AV1)


def pes(payload: bytes, pts: int | None = None, dts: int | None = None) -> PesPacket:
    return PesPacket(256, 0xE0, pts, pts if dts is None else dts, payload, 0)


def assemble(track: Track, *packets: PesPacket, limits: Limits | None = None) -> Any:
    assembler = make_assembler(track, limits)
    assert assembler is not None
    products = [product for packet in packets for product in assembler.feed(packet)]
    return products + assembler.flush()


def frames(products: Sequence[Event]) -> list[MediaFrame]:
    return [product for product in products if isinstance(product, MediaFrame)]


@pytest.fixture(scope="module")
def units(
    named_vector: Callable[[str], Any], frames_of: Callable[..., list[MediaFrame]]
) -> dict[Codec, list[bytes]]:
    """Access units of FFmpeg's, delimiters in front."""
    return {
        codec: [frame.payload for frame in frames_of(named_vector(name).data, 256)]
        for codec, name in ((Codec.H264, "h264_aac"), (Codec.H265, "h265_ac3"))
    }


@pytest.fixture(params=[H264, H265], ids=["h264", "h265"])
def track(request: pytest.FixtureRequest) -> Track:
    found: Track = request.param
    return found


def without_delimiter(payload: bytes) -> bytes:
    return join_annexb(split_annexb(payload)[1:])


@pytest.mark.parametrize("strip", [False, True], ids=["delimiters", "no delimiters"])
@pytest.mark.parametrize("size", [7, 100, 1000, 100_000])
def test_units_go_over_the_ends_of_packets_of_any_size(
    units: dict[Codec, list[bytes]], track: Track, size: int, strip: bool
) -> None:
    # ISO 13818-1 §2.14.1, §2.17.1; H.264 §7.4.1.2.3, H.265 §7.4.2.4.4.
    assert track.codec is not None
    sent = units[track.codec]
    if strip:
        sent = [without_delimiter(unit) for unit in sent]
    stream = b"".join(sent)
    pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
    packets = [pes(piece, 3600 * number) for number, piece in enumerate(pieces)]
    came = frames(assemble(track, *packets))
    assert b"".join(frame.payload for frame in came) == stream
    assert [frame.payload for frame in came] == sent
    assert not any(frame.damaged or frame.after_loss for frame in came)


def test_the_time_of_a_packet_is_that_of_the_first_unit_that_begins_in_it(
    units: dict[Codec, list[bytes]],
) -> None:
    # ISO 13818-1 §2.4.3.7. Half of the third unit stands in the second packet.
    a, b, c, d = units[Codec.H264][:4]
    first, second = a + b + c[:20], c[20:] + d
    came = frames(assemble(H264, pes(first, 9000), pes(second, 18_000)))
    assert [(frame.pts, frame.timed) for frame in came] == [
        (9000, True),
        (9000, False),
        (9000, False),
        (18_000, True),
    ]


def test_missing_times_are_counted_on_from_those_before(
    units: dict[Codec, list[bytes]],
) -> None:
    packets = [
        pes(unit, None if number in (2, 4, 5) else 3600 * number)
        for number, unit in enumerate(units[Codec.H264][:8])
    ]
    came = frames(assemble(H264, *packets))
    assert [frame.dts for frame in came] == [3600 * number for number in range(8)]
    assert [frame.timed for frame in came].count(False) == 3


def test_what_stands_in_front_of_the_first_unit_is_passed_over(
    units: dict[Codec, list[bytes]], track: Track
) -> None:
    assert track.codec is not None
    sent = units[track.codec][:3]
    middle = sent[0][-30:]
    came = frames(assemble(track, pes(middle), *map(pes, sent)))
    assert [frame.payload for frame in came] == sent


def test_from_the_third_packet_on_a_unit_is_there_with_its_packet(
    units: dict[Codec, list[bytes]], track: Track
) -> None:
    assembler = make_assembler(track)
    assert assembler is not None
    assert track.codec is not None
    counts = [len(frames(assembler.feed(pes(unit)))) for unit in units[track.codec][:5]]
    assert counts == [0, 2, 1, 1, 1]


def test_a_packet_of_the_largest_length_may_go_on_in_the_next(
    units: dict[Codec, list[bytes]],
) -> None:
    small = units[Codec.H264]
    slice_ = b"\x65\x40" + b"\xaa" * 100_000 + b"\x80"
    large = small[0] + b"\0\0\0\1" + slice_
    head, tail = pes(large[:65_000], 9000), pes(large[65_000:])
    head.length, tail.length = 65_013, len(large) - 65_000
    packets = [pes(small[1]), pes(small[2]), pes(small[3]), head, tail, pes(small[4])]
    came = frames(assemble(H264, *packets))
    assert [len(frame.payload) for frame in came] == [
        *(len(small[n]) for n in (1, 2, 3)),
        len(large),
        len(small[4]),
    ]


def test_parameter_sets_that_change_make_another_configuration(
    named_vector: Callable[[str], Any], units: dict[Codec, list[bytes]]
) -> None:
    other = tomllib.loads((DATA / "mp4" / "h264_aac.toml").read_text())
    avcc = decode_avcc(bytes.fromhex(other["tracks"][0]["extradata"]))
    first, second = units[Codec.H264][0], units[Codec.H264][1]
    key = join_annexb([b"\x09\xf0", *avcc.sps, *avcc.pps, b"\x65\x88\x84\x21"])
    products = assemble(H264, pes(first), pes(second), pes(key), pes(first))
    generations = [
        ("new" if isinstance(product, Configuration) else "frame", product.generation)
        for product in products
    ]
    assert generations == [
        *[("new", 1), ("frame", 1), ("frame", 1)],
        *[("new", 2), ("frame", 2), ("new", 3), ("frame", 3)],
    ]
    data = [p.data for p in products if isinstance(p, Configuration)]
    assert data[0] == data[2] != data[1]


def test_an_open_group_of_pictures_can_be_entered_at_its_recovery_point(
    units: dict[Codec, list[bytes]],
) -> None:
    # H.264 §D.1.8: recovery_frame_cnt 0.
    sps, pps = split_annexb(units[Codec.H264][0])[1:3]
    sei, slice_ = b"\x06\x06\x01\x84\x80", b"\x41\x9a\x11"
    here = join_annexb([b"\x09\xf0", sps, pps, sei, slice_])
    not_here = join_annexb([b"\x09\xf0", sei, slice_])
    came = frames(assemble(H264, pes(here), pes(not_here)))
    assert [frame.random_access for frame in came] == [True, False]


def test_a_frame_in_lengths_leaves_out_what_is_asked(
    units: dict[Codec, list[bytes]],
) -> None:
    [frame] = frames(assemble(H264, pes(units[Codec.H264][0])))
    assert frame.units is not None
    rest = [unit for unit in frame.units if unit[0] not in (0x09, 0x67, 0x68)]
    expected = b"".join(len(unit).to_bytes(4, "big") + unit for unit in rest)
    assert frame.length_prefixed(frozenset((0x09, 0x67, 0x68))) == expected
    assert frame.length_prefixed()[:6] == b"\0\0\0\2\x09\xf0"


def test_a_unit_over_the_limit_is_dropped_and_the_next_one_comes(
    units: dict[Codec, list[bytes]],
) -> None:
    small = units[Codec.H264]
    huge = [pes(small[0])] + [pes(b"\xaa" * 1000) for _ in range(20)]
    limits = Limits(max_pes_size=10_000)
    packets = [*huge, *map(pes, small[1:4])]
    assembler = make_assembler(H264, limits)
    assert assembler is not None
    products = []
    for packet in packets:
        products += assembler.feed(packet)
        assert assembler.held <= 10_000
    products += assembler.flush()
    came = frames(products)
    assert [frame.payload for frame in came] == small[1:4]
    assert came[0].after_loss
    assert assembler.frames_dropped == 1


# -- AV1 -----------------------------------------------------------------------------


def temporal_units() -> list[bytes]:
    """Return FFmpeg's, without delimiters."""
    data = (DATA / "codecs" / "av1_units.bin").read_bytes()
    found: list[bytes] = []
    while data:
        end = 2 + int.from_bytes(data[:2], "big")
        found.append(strip_temporal_delimiters(data[2:end]))
        data = data[end:]
    return found


def test_temporal_units_come_as_they_went_with_start_codes_between() -> None:
    # AV1-MPEG2-TS §3.2, §3.4.
    sent = temporal_units()
    packets = [pes(join_ts_obus(unit), 3600 * n) for n, unit in enumerate(sent)]
    products = assemble(AV1, *packets)
    came = frames(products)
    assert [frame.payload for frame in came] == sent
    assert [frame.pts for frame in came] == [3600 * n for n in range(len(sent))]
    assert came[0].random_access
    assert not came[1].random_access
    configuration = products[0]
    assert isinstance(configuration, Configuration)
    assert configuration.data[:1] == b"\x81"


def test_temporal_units_without_start_codes_are_taken_too() -> None:
    sent = temporal_units()
    came = frames(assemble(AV1, *map(pes, sent)))
    assert [frame.payload for frame in came] == sent


def test_frames_in_packets_of_their_own_make_one_temporal_unit() -> None:
    # AV1-MPEG2-TS §3.3; AV1 §5.9.2: show_frame.
    sequence = split_obus(temporal_units()[0])[0]
    hidden = Obu(ObuType.FRAME, b"\x20" + b"a" * 20)
    shown = Obu(ObuType.FRAME, b"\x30" + b"b" * 20)
    again = Obu(ObuType.FRAME_HEADER, b"\x80")
    packets = [
        pes(join_ts_obus(join_obus(obus)).replace(b"\0\0\1\x12\0", b"", 1), time)
        for time, obus in ((0, [sequence, hidden]), (90, [shown]), (180, [again]))
    ]
    came = frames(assemble(AV1, *packets))
    assert [(frame.dts, frame.pts) for frame in came] == [(0, 90), (180, 180)]
    assert came[0].payload == join_obus([sequence, hidden, shown])


def test_octets_that_look_like_start_codes_are_escaped() -> None:
    obu = Obu(ObuType.FRAME, b"\x10\0\0\1\0\0\0\0\2\0\0\3\0\0")
    wire = join_ts_obus(encode_obu(obu))
    assert wire.count(b"\0\0\1") == 2
    delimiter, found = split_ts_obus(wire)
    assert delimiter.obu_type == ObuType.TEMPORAL_DELIMITER
    assert found == obu


def test_obus_may_leave_out_their_size() -> None:
    wire = b"\0\0\1" + bytes((ObuType.FRAME << 3,)) + b"\x10abc"
    assert split_ts_obus(wire) == [Obu(ObuType.FRAME, b"\x10abc")]


def test_a_damaged_temporal_unit_is_dropped_and_the_next_says_so() -> None:
    sent = temporal_units()
    packets = [pes(join_ts_obus(unit)) for unit in sent[:4]]
    packets[1].damaged = True
    packets[2].payload = b"\xff" * 10
    came = frames(assemble(AV1, *packets))
    assert [frame.payload for frame in came] == [sent[0], sent[3]]
    assert came[1].after_loss
    with pytest.raises(ProtocolError):
        split_ts_obus(b"\0\0\1\x0a\x7fxx")
