"""Packets, sections, descriptors and PES headers, each by itself."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sansmedia.mpegts import (
    AdaptationField,
    Descriptor,
    ElementaryStream,
    Packet,
    SectionAssembler,
    Unwrapper,
    crc32,
    decode_descriptors,
    decode_packet,
    decode_pat,
    decode_pes_header,
    decode_pmt,
    decode_section,
    encode_adaptation_field,
    encode_descriptors,
    encode_packet,
    encode_pat,
    encode_pes_header,
    encode_pmt,
)
from sansmedia.sansio import ProtocolError, UsageError

WRAP = 1 << 33
pids = st.integers(0, 0x1FFF)


@given(
    pid=pids,
    counter=st.integers(0, 15),
    payload=st.binary(max_size=176),
    start=st.booleans(),
    flags=st.tuples(st.booleans(), st.booleans()),
    pcr=st.none() | st.integers(0, 300 * WRAP - 1),
)
def test_a_packet_is_read_as_it_was_written(
    pid: int,
    counter: int,
    payload: bytes,
    start: bool,
    flags: tuple[bool, bool],
    pcr: int | None,
) -> None:
    # ISO 13818-1 §2.4.3.2, §2.4.3.4, §2.4.3.5.
    packet = Packet(pid, counter, payload, start, AdaptationField(*flags, pcr))
    data = encode_packet(packet)
    assert len(data) == 188
    assert decode_packet(data) == packet


def test_what_is_no_packet_is_refused() -> None:
    good = encode_packet(Packet(256, 0, b"x"))
    for bad in (b"", good[:-1], b"\x48" + good[1:], good[:4] + b"\xb8" + good[5:]):
        with pytest.raises(ProtocolError):
            decode_packet(bad)
    with pytest.raises(ProtocolError):
        decode_packet(b"\x47\x01\x00\x30\x01\x10" + bytes(182))
    with pytest.raises(UsageError):
        encode_packet(Packet(256, 0, bytes(185)))
    with pytest.raises(UsageError):
        encode_adaptation_field(AdaptationField(pcr=1), 4)


def test_a_packet_with_one_octet_too_few_has_a_field_of_one_octet() -> None:
    data = encode_packet(Packet(256, 3, bytes(183)))
    assert data[3:5] == b"\x33\0"


@given(
    programs=st.dictionaries(st.integers(1, 0xFFFF), pids, max_size=20),
    version=st.integers(0, 31),
)
def test_a_program_association_is_read_as_it_was_written(
    programs: dict[int, int], version: int
) -> None:
    # ISO 13818-1 §2.4.4.3.
    section = decode_section(encode_pat(7, programs, version))
    assert (section.version, section.current, section.table_id) == (version, True, 0)
    table = decode_pat(section)
    assert (table.transport_stream_id, dict(table.programs)) == (7, programs)


descriptors = st.lists(
    st.builds(Descriptor, st.integers(0, 255), st.binary(max_size=20)), max_size=3
).map(tuple)


@given(
    streams=st.lists(
        st.builds(ElementaryStream, st.integers(0, 255), pids, descriptors), max_size=6
    ),
    info=descriptors,
)
def test_a_program_map_is_read_as_it_was_written(
    streams: list[ElementaryStream], info: tuple[Descriptor, ...]
) -> None:
    # ISO 13818-1 §2.4.4.8, §2.6.1.
    table = decode_pmt(decode_section(encode_pmt(9, 256, streams, info, 3)))
    assert (table.program_number, table.pcr_pid) == (9, 256)
    assert (list(table.streams), table.descriptors) == (streams, info)


def test_tables_of_another_kind_are_refused() -> None:
    pat, pmt = decode_section(encode_pat(1, {})), decode_section(encode_pmt(1, 2, []))
    with pytest.raises(ProtocolError):
        decode_pmt(pat)
    with pytest.raises(ProtocolError):
        decode_pat(pmt)
    with pytest.raises(ProtocolError, match="CRC"):
        decode_section(encode_pat(1, {1: 2})[:-1] + b"\0")
    short = bytearray(encode_pat(1, {1: 2}))[:-4]
    short[1] &= 0x7F
    with pytest.raises(ProtocolError, match="long form"):
        decode_section(bytes(short) + crc32(bytes(short)).to_bytes(4, "big"))


def test_what_is_too_large_for_its_field_is_refused() -> None:
    with pytest.raises(UsageError):
        encode_descriptors([Descriptor(1, bytes(256))])
    with pytest.raises(UsageError):
        encode_pat(1, dict.fromkeys(range(1, 300), 5))
    with pytest.raises(ProtocolError, match="descriptors"):
        decode_descriptors(b"\1\0" * 65)
    with pytest.raises(ProtocolError):
        decode_descriptors(b"\1\2\3")


def test_the_checksum_is_that_of_the_specification() -> None:
    # ISO 13818-1 §A.2; the check value of CRC-32/MPEG-2.
    assert crc32(b"123456789") == 0x0376E6E7
    assert crc32(b"123456789" + bytes.fromhex("0376e6e7")) == 0


times = st.integers(0, WRAP - 1)


@given(pts=st.none() | times, dts=st.none() | times, size=st.integers(0, 70_000))
def test_a_pes_header_is_read_as_it_was_written(
    pts: int | None, dts: int | None, size: int
) -> None:
    # ISO 13818-1 §2.4.3.6, §2.4.3.7.
    if pts is None:
        dts = None
    data = encode_pes_header(0xE0, size, pts, dts)
    header = decode_pes_header(data)
    assert (header.stream_id, header.size) == (0xE0, len(data))
    assert header.length == (len(data) - 6 + size if size < 65_000 else header.length)
    assert header.pts == pts
    assert header.dts == (pts if dts is None else dts)
    assert header.data_alignment


def test_times_of_a_pes_header_are_written_modulo_their_width() -> None:
    header = decode_pes_header(encode_pes_header(0xC0, 1, WRAP + 5, -3))
    assert (header.pts, header.dts) == (5, WRAP - 3)
    with pytest.raises(UsageError):
        encode_pes_header(0xC0, 1, None, 5)


@pytest.mark.parametrize(
    "data",
    [b"", b"\0\0\2\xe0", b"\0\0\1\xe0\0", b"\0\0\1\xe0\0\0\x84\x80\5", bytes(20)],
)
def test_what_is_no_pes_header_is_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode_pes_header(data)


def test_a_padding_stream_has_a_bare_header() -> None:
    assert decode_pes_header(b"\0\0\1\xbe\0\5xxxxx").size == 6


def feed(assembler: SectionAssembler, *packets: tuple[bytes, bool]) -> list[bytes]:
    return [
        section
        for payload, start in packets
        for section in assembler.feed(payload.ljust(184, b"\xff"), start)
    ]


def test_several_sections_may_share_a_packet() -> None:
    # ISO 13818-1 §2.4.4.1, §2.4.4.2.
    one, two = encode_pat(1, {1: 256}), encode_pmt(1, 256, [])
    assert feed(SectionAssembler(), (b"\0" + one + two, True)) == [one, two]


def test_a_section_may_go_over_several_packets_and_share_the_last() -> None:
    info = tuple(Descriptor(0x80, bytes(100)) for _ in range(4))
    long, short = encode_pmt(1, 256, [], info), encode_pat(1, {1: 256})
    pieces = [b"\0" + long[:183], long[183:367]]
    rest = long[367:]
    last = bytes((len(rest),)) + rest + short
    packets = ((pieces[0], True), (pieces[1], False), (last, True))
    assembler = SectionAssembler()
    assert feed(assembler, *packets) == [long, short]
    assert (assembler.damaged, assembler.pending_bytes) == (0, 0)


def test_a_section_without_its_end_is_counted_when_the_next_begins() -> None:
    long = encode_pmt(1, 256, [], (Descriptor(0x80, bytes(200)),))
    short = encode_pat(1, {1: 256})
    assembler = SectionAssembler()
    assert feed(assembler, (b"\0" + long[:183], True), (b"\0" + short, True)) == [short]
    assert assembler.damaged == 1


def test_a_section_longer_than_allowed_is_not_waited_for() -> None:
    # ISO 13818-1 §2.4.4.4.
    assembler = SectionAssembler()
    assert feed(assembler, (b"\0\2\xbf\xff" + bytes(180), True)) == []
    assert (assembler.damaged, assembler.pending_bytes) == (1, 0)


def test_times_are_unwrapped_for_ever() -> None:
    unwrapper = Unwrapper()
    expected = WRAP - 90_000
    for _ in range(100):
        assert unwrapper.advance(expected % WRAP) == expected
        assert unwrapper.near((expected + 9000) % WRAP) == expected + 9000
        assert unwrapper.near((expected - 9000) % WRAP) == expected - 9000
        expected += WRAP // 3
    assert expected > 33 * WRAP
    assert unwrapper.epoch == 0
    unwrapper.discontinuity()
    assert unwrapper.advance(5) == 5
    assert unwrapper.epoch == 1
