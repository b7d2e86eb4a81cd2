"""PES packets: when they end, and what they say."""

from __future__ import annotations

from collections.abc import Callable

from sansmedia.mpegts import (
    AdaptationField,
    ElementaryStream,
    Limits,
    Packet,
    PesPacket,
    TransportDemuxer,
    TransportEvent,
    encode_packet,
    encode_pat,
    encode_pes_header,
    encode_pmt,
)

VIDEO, SOUND = 256, 257


class Stream:
    """Makes packets and feeds them, one PES packet at a time."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.demuxer = TransportDemuxer(limits)
        self.counters = {VIDEO: 0, SOUND: 0}
        streams = [ElementaryStream(0x1B, VIDEO), ElementaryStream(0x0F, SOUND)]
        tables = (0, encode_pat(1, {1: 0x1000})), (0x1000, encode_pmt(1, 256, streams))
        null = b"\x47\x1f\xff\x10" + b"\xff" * 184
        for pid, section in tables:
            payload = (b"\0" + section).ljust(184, b"\xff")
            self.feed(encode_packet(Packet(pid, 0, payload, unit_start=True)))
        # Where packets begin is sure from here on.
        self.feed(null * 4)

    def feed(self, data: bytes) -> list[PesPacket]:
        """Return the PES packets that data completes."""
        events: list[TransportEvent] = self.demuxer.feed(data)
        return [event for event in events if isinstance(event, PesPacket)]

    def packet(self, payload: bytes, *, start: bool = False, pid: int = VIDEO) -> bytes:
        """Return one packet; stuffed if the payload is short."""
        counter = self.counters[pid]
        self.counters[pid] = counter + 1 & 15
        return encode_packet(Packet(pid, counter, payload, unit_start=start))

    def cut(self, data: bytes, *, pid: int = VIDEO) -> list[bytes]:
        """Return the packets of a PES packet."""
        return [
            self.packet(data[at : at + 184], start=not at, pid=pid)
            for at in range(0, len(data), 184)
        ]


def pes(payload: bytes, *, length: bool) -> bytes:
    """Return a PES packet with or without its length."""
    data = bytearray(encode_pes_header(0xE0, len(payload), 9000) + payload)
    if not length:
        data[4:6] = b"\0\0"
    return bytes(data)


def test_a_packet_with_a_length_comes_with_its_last_octet() -> None:
    stream = Stream()
    first, last = stream.cut(pes(b"x" * 300, length=True))
    assert stream.feed(first) == []
    [found] = stream.feed(last)
    assert (found.payload, found.pts, found.damaged) == (b"x" * 300, 9000, False)


def test_a_packet_without_a_length_comes_when_the_next_begins() -> None:
    stream = Stream()
    assert stream.feed(b"".join(stream.cut(pes(b"x" * 300, length=False)))) == []
    start, _ = stream.cut(pes(b"y" * 300, length=False))
    [found] = stream.feed(start)
    assert found.payload == b"x" * 300


def test_stuffing_is_the_end_once_it_has_been_eight_times() -> None:
    stream = Stream()
    counts = [
        len(stream.feed(b"".join(stream.cut(pes(b"x" * 300, length=False)))))
        for _ in range(12)
    ]
    # The ninth comes with its own last packet, the eighth with its first.
    assert counts == [0, 1, 1, 1, 1, 1, 1, 1, 2, 1, 1, 1]
    # One that fills its last packet waits for the next.
    full = b"x" * (3 * 184 - 14)
    assert stream.feed(b"".join(stream.cut(pes(full, length=False)))) == []
    both = stream.feed(b"".join(stream.cut(pes(b"x" * 300, length=False))))
    assert [len(found.payload) for found in both] == [len(full), 300]


def test_stuffing_in_the_middle_is_never_the_end() -> None:
    stream = Stream()
    found: list[PesPacket] = []
    for number in range(20):
        data = pes(bytes((number,)) * 500, length=False)
        start = stream.packet(data[:100], start=True)
        found += stream.feed(start + b"".join(map(stream.packet, (data[100:284],))))
        found += stream.feed(stream.packet(data[284:468]) + stream.packet(data[468:]))
    found += [e for e in stream.demuxer.flush() if isinstance(e, PesPacket)]
    assert [p.payload for p in found] == [bytes((n,)) * 500 for n in range(20)]
    assert not any(p.damaged or p.after_loss for p in found)


def test_a_sender_that_changes_its_ways_loses_one_rest() -> None:
    stream = Stream()
    for _ in range(12):
        stream.feed(b"".join(stream.cut(pes(b"x" * 300, length=False))))
    data = pes(b"y" * 500, length=False)
    start = stream.packet(data[:100], start=True)
    rest = [stream.packet(data[at : at + 184]) for at in range(100, len(data), 184)]
    [cut] = stream.feed(start + b"".join(rest))
    assert len(cut.payload) == 100 - 14
    # From here on it is waited for, and what was lost is told.
    start = stream.packet(data[:100], start=True)
    rest = [stream.packet(data[at : at + 184]) for at in range(100, len(data), 184)]
    assert stream.feed(start + b"".join(rest)) == []
    [whole] = [e for e in stream.demuxer.flush() if isinstance(e, PesPacket)]
    assert whole.payload == b"y" * 500
    assert whole.after_loss


def test_a_packet_that_never_ends_is_dropped_at_the_limit() -> None:
    stream = Stream(Limits(max_pes_size=10_000))
    data = pes(b"x" * 30_000, length=False)
    assert stream.feed(b"".join(stream.cut(data))) == []
    assert stream.demuxer.pending_bytes < 200
    assert stream.demuxer.statistics().pes_too_long == 1
    [found] = stream.feed(b"".join(stream.cut(pes(b"y", length=True))))
    assert (found.payload, found.after_loss) == (b"y", True)


def test_what_a_packet_says_it_has_counts_before_it_comes() -> None:
    stream = Stream(Limits(max_pending_bytes=60_000))
    first, *rest = stream.cut(pes(b"x" * 50_000, length=True))
    stream.feed(first)
    other, *_ = stream.cut(pes(b"y" * 20_000, length=True), pid=SOUND)
    stream.feed(other)
    assert stream.demuxer.statistics().pes_too_long == 1
    [found] = stream.feed(b"".join(rest))
    assert found.payload == b"x" * 50_000


def test_a_header_may_go_over_the_end_of_its_packet() -> None:
    stream = Stream()
    data = pes(b"x" * 100, length=True)
    pieces = data[:4], data[4:8], data[8:12], data[12:]
    packets = [stream.packet(piece, start=not n) for n, piece in enumerate(pieces)]
    [found] = stream.feed(b"".join(packets))
    assert (found.payload, found.pts) == (b"x" * 100, 9000)


def test_a_packet_without_a_start_code_is_counted() -> None:
    stream = Stream()
    assert stream.feed(stream.packet(b"no start code", start=True)) == []
    assert stream.feed(stream.packet(b"\0\0\1\xe0\0\5\0\0\0xx", start=True)) == []
    assert stream.demuxer.statistics().pes_damaged == 2


def test_padding_is_no_media() -> None:
    stream = Stream()
    padding = b"\0\0\1\xbe\0\x0a" + b"\xff" * 10
    assert stream.feed(stream.packet(padding, start=True)) == []
    assert stream.demuxer.statistics().pes_packets == 0


def test_an_announced_discontinuity_is_no_error(
    pes_packets: Callable[..., list[bytes]],
) -> None:
    # ISO 13818-1 §2.4.3.4.
    stream = Stream()
    stream.feed(b"".join(pes_packets(VIDEO, b"x" * 100, 0)))
    field = AdaptationField(discontinuity=True)
    data = pes(b"y" * 100, length=True)
    jumped = encode_packet(Packet(VIDEO, 9, data, unit_start=True, adaptation=field))
    [found] = stream.feed(jumped)
    assert (found.damaged, found.after_loss) == (False, False)
    assert stream.demuxer.statistics().continuity_errors == 0
