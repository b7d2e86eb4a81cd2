"""Programs that come, change and go in the middle of a stream."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from sansmedia.codecs import Codec
from sansmedia.mpegts import (
    AdaptationField,
    DataFormat,
    Demuxer,
    Descriptor,
    ElementaryStream,
    Event,
    Limits,
    MediaFrame,
    Muxer,
    MuxerConfig,
    MuxTrack,
    Packet,
    PcrSample,
    ProgramMap,
    ProgramRemoved,
    crc32,
    encode_packet,
    encode_pat,
    encode_pmt,
    identify,
)

ASC = bytes.fromhex("1190")


def packet(pid: int, section: bytes, counter: int = 0) -> bytes:
    payload = (b"\0" + section).ljust(184, b"\xff")
    return encode_packet(Packet(pid, counter, payload, unit_start=True))


def pat(programs: dict[int, int], version: int = 0, counter: int = 0) -> bytes:
    return packet(0, encode_pat(1, programs, version), counter)


def pmt(
    number: int,
    streams: Iterable[tuple[int, int]],
    *,
    pid: int = 0x1000,
    version: int = 0,
    counter: int = 0,
    pcr_pid: int = 256,
) -> bytes:
    entries = [ElementaryStream(kind, pid) for kind, pid in streams]
    return packet(pid, encode_pmt(number, pcr_pid, entries, (), version), counter)


def feed(demuxer: Demuxer, *packets: bytes) -> list[Event]:
    # Null packets behind them prove where they begin.
    null = b"\x47\x1f\xff\x10" + b"\xff" * 184
    return demuxer.feed(b"".join((*packets, *[null] * 4)))


def pids(events: list[Event]) -> list[list[int]]:
    return [[t.pid for t in e.tracks] for e in events if isinstance(e, ProgramMap)]


def test_a_map_that_drops_adds_and_moves_tracks_is_announced_anew() -> None:
    demuxer = Demuxer()
    events = feed(demuxer, pat({1: 0x1000}), pmt(1, [(0x1B, 256), (0x0F, 257)]))
    assert pids(events) == [[256, 257]]
    repeated = pmt(1, [(0x1B, 256), (0x0F, 257)], counter=1)
    assert feed(demuxer, repeated) == []
    newer = pmt(1, [(0x1B, 256), (0x0F, 257)], version=1, counter=2)
    assert feed(demuxer, newer) == []
    moved = pmt(1, [(0x24, 256), (0x0F, 300)], version=2, counter=3)
    events = feed(demuxer, moved)
    assert pids(events) == [[256, 300]]
    [program] = [event for event in events if isinstance(event, ProgramMap)]
    assert [track.codec for track in program.tracks] == [Codec.H265, Codec.AAC]
    assert program.version == 2


def test_frames_of_a_track_that_goes_are_given_out_before_it_goes(
    make_picture: Callable[..., bytes],
) -> None:
    muxer = Muxer([MuxTrack(256, Codec.H264)], MuxerConfig(offset_90k=0))
    first = muxer.write(256, make_picture(0, 500, key=True), 0, random_access=True)
    demuxer = Demuxer()
    # The first picture waits for the next to begin.
    assert not any(isinstance(event, MediaFrame) for event in feed(demuxer, first))
    change = pmt(1, [(0x0F, 257)], version=1, counter=1)
    kinds = [type(event) for event in feed(demuxer, change)]
    assert kinds.index(MediaFrame) < kinds.index(ProgramMap)


def test_a_program_that_leaves_the_association_is_removed() -> None:
    demuxer = Demuxer()
    both = pat({1: 0x1000, 2: 0x1001})
    maps = pmt(1, [(0x1B, 256)]), pmt(2, [(0x1B, 512)], pid=0x1001, pcr_pid=512)
    feed(demuxer, both, *maps)
    events = feed(demuxer, pat({2: 0x1001}, 1, 1))
    assert events == [ProgramRemoved(1)]
    # Its packets are nobody's now.
    feed(demuxer, encode_packet(Packet(256, 0, bytes(184), unit_start=True)))
    assert demuxer.statistics().transport.packets_unknown == 1
    # When it comes again, so does its map, although nothing in it has changed.
    events = feed(demuxer, pat({1: 0x1000, 2: 0x1001}, 2, 2), pmt(1, [(0x1B, 256)]))
    assert pids(events) == [[256]]


def test_an_association_may_have_several_sections() -> None:
    demuxer = Demuxer()
    sections = []
    for number, programs in enumerate(({1: 0x1000}, {2: 0x1001})):
        data = bytearray(encode_pat(1, programs)[:-4])
        data[6], data[7] = number, 1
        sections.append(bytes(data) + crc32(bytes(data)).to_bytes(4, "big"))
    feed(demuxer, packet(0, sections[0]))
    maps = pmt(1, [(0x1B, 256)]), pmt(2, [(0x1B, 512)], pid=0x1001, pcr_pid=512)
    assert feed(demuxer, *maps) == []
    events = feed(demuxer, packet(0, sections[1], 1), *maps)
    assert pids(events) == [[256], [512]]


def test_a_table_that_does_not_count_yet_is_left_alone() -> None:
    # ISO 13818-1 §2.4.4.5: current_next_indicator.
    data = bytearray(encode_pat(1, {1: 0x1000})[:-4])
    data[5] &= 0xFE
    section = bytes(data) + crc32(bytes(data)).to_bytes(4, "big")
    demuxer = Demuxer()
    assert feed(demuxer, packet(0, section), pmt(1, [(0x1B, 256)])) == []
    assert demuxer.statistics().transport.packets_unknown == 1


def test_a_map_of_a_program_that_nobody_named_is_counted() -> None:
    demuxer = Demuxer()
    assert feed(demuxer, pat({1: 0x1000}), pmt(2, [(0x1B, 256)])) == []
    assert demuxer.statistics().transport.sections_unknown == 1


def test_programs_and_tracks_have_limits() -> None:
    demuxer = Demuxer(Limits(max_programs=2, max_tracks=3))
    programs = {number: 0x1000 + number for number in range(1, 5)}
    maps = [
        pmt(n, [(0x1B, 256 + 8 * n), (0x0F, 257 + 8 * n)], pid=0x1000 + n)
        for n in programs
    ]
    events = feed(demuxer, pat(programs), *maps)
    assert pids(events) == [[264, 265], [272]]
    counters = demuxer.statistics().transport
    assert (counters.tracks_refused, counters.packets_unknown) == (1, 2)


def test_a_track_cannot_take_the_place_of_a_table() -> None:
    demuxer = Demuxer()
    wrong = [(0x1B, 0), (0x1B, 0x1000), (0x1B, 0x1FFF), (0x1B, 256), (0x0F, 256)]
    events = feed(demuxer, pat({1: 0x1000}), pmt(1, wrong))
    assert pids(events) == [[256]]
    assert demuxer.statistics().transport.tracks_refused == 4


def test_a_clock_may_have_a_pid_of_its_own() -> None:
    demuxer = Demuxer()
    clock = encode_packet(
        Packet(300, 0, None, adaptation=AdaptationField(True, False, 12345))
    )
    tables = pat({1: 0x1000}), pmt(1, [(0x1B, 256)], pcr_pid=300)
    events = feed(demuxer, *tables, clock)
    assert events[-1] == PcrSample(1, 12345, True)


def test_streams_are_known_by_type_or_descriptor() -> None:
    # ISO 13818-1 §2.4.4.9, §2.6.8, §2.6.60; ATSC A/52 §A.3, §A.4.
    def private(*descriptors: tuple[int, bytes]) -> object:
        return identify(6, tuple(Descriptor(tag, body) for tag, body in descriptors))

    assert private((5, b"Opus"), (0x7F, b"\x80\2")) is Codec.OPUS
    assert private((5, b"AV01")) is Codec.AV1
    assert private((5, b"KLVA")) is DataFormat.KLV
    assert private((0x0A, b"eng\0"), (0x6A, b"\0")) is Codec.AC3
    assert private((0x7A, b"\0")) is Codec.EAC3
    assert private((0x56, b"")) is None
    assert identify(0x81, ()) is Codec.AC3
    assert identify(0x87, ()) is Codec.EAC3
    general = b"\1\0\xffKLVA\0\x0f"
    assert identify(0x15, (Descriptor(0x26, general),)) is DataFormat.KLV_SYNCHRONOUS
    tags = b"\xff\xffID3 \xffID3 \0\x0f"
    assert identify(0x15, (Descriptor(0x26, tags),)) is DataFormat.ID3
    assert identify(0x15, (Descriptor(0x26, b""),)) is None
    assert identify(0x02, ()) is None


def test_a_track_that_is_not_known_is_announced_and_its_packets_counted(
    pes_packets: Callable[..., list[bytes]],
) -> None:
    demuxer = Demuxer()
    tables = pat({1: 0x1000}), pmt(1, [(0x02, 256)])
    events = feed(demuxer, *tables, *pes_packets(256, b"x" * 170, 0))
    [program] = [event for event in events if isinstance(event, ProgramMap)]
    assert (program.tracks[0].codec, program.tracks[0].stream_type) == (None, 2)
    demuxer.flush()
    assert demuxer.statistics().pes_unknown == 1


def test_every_pes_packet_is_there_for_those_who_want_them(
    clip: Any, pes_of: Callable[[bytes], list[Any]]
) -> None:
    packets = pes_of(clip.data)
    assert [pes.pid for pes in packets] == [pid for pid, _, _ in clip.frames]
    assert packets[0].random_access
    assert all(pes.data_alignment and pes.length for pes in packets)
