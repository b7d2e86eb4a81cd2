"""One outgoing RTP stream: numbers, times, what is asked for again."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Sequence

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sansmedia.sansio import UsageError, unwrap
from sansmedia.sansio.testing import SeededDice
from sansmedia.webrtc import SendStream, SendStreamConfig, SourcePacket

_CONFIG = SendStreamConfig(ssrc=0x1111, payload_type=96, rate=90_000)
_RTX = attrs.evolve(_CONFIG, rtx_ssrc=0x2222, rtx_payload_type=97)


@attrs.define
class _Packet:
    number: int
    payload: bytes
    timestamp: int
    marker: bool = False


def _packet(number: int, *, at: int | None = None, marker: bool = False) -> _Packet:
    timestamp = number * 3_000 if at is None else at
    return _Packet(number, b"p%d" % number, timestamp, marker)


@attrs.frozen
class _Sent:
    """What stands in a header, and the index it was sealed under."""

    index: int
    marker: bool
    payload_type: int
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes


class _Wire:
    """Stands for SRTP: keeps the index, refuses its reuse for other octets."""

    def __init__(self) -> None:
        self.sealed: dict[tuple[bytes, int], bytes] = {}

    def seal_run(self, run: Sequence[tuple[bytes, bytes]], index: int) -> list[bytes]:
        sealed = []
        for at, (header, payload) in enumerate(run, index):
            assert (header[8:12], at) not in self.sealed
            sealed.append(self._seal(header, payload, at))
        return sealed

    def seal_again(self, header: bytes, payload: bytes, index: int) -> bytes:
        assert (header[8:12], index) in self.sealed
        return self._seal(header, payload, index)

    def protect_rtp(self, packet: bytes) -> bytes:
        ssrc, sequence = packet[8:12], int.from_bytes(packet[2:4], "big")
        newest = max(index for of, index in self.sealed if of == ssrc)
        index = unwrap(sequence, newest, 16)
        if (ssrc, index) in self.sealed or index <= newest - 64:
            raise UsageError("used")
        return self._seal(packet[:12], packet[12:], index)

    def _seal(self, header: bytes, payload: bytes, index: int) -> bytes:
        packet = struct.pack(">Q", index) + header + payload
        key = header[8:12], index
        assert self.sealed.setdefault(key, packet) == packet
        assert index & 0xFFFF == int.from_bytes(header[2:4], "big")
        return packet


def _read(packet: bytes) -> _Sent:
    (index,) = struct.unpack_from(">Q", packet)
    first, second, sequence, timestamp, ssrc = struct.unpack_from(">BBHII", packet, 8)
    assert first == 0x80
    return _Sent(
        index,
        bool(second & 0x80),
        second & 0x7F,
        sequence,
        timestamp,
        ssrc,
        packet[20:],
    )


def _stream(
    config: SendStreamConfig = _CONFIG, seed: int = 1
) -> tuple[SendStream, _Wire]:
    wire = _Wire()
    return SendStream(config, sealer=wire, dice=SeededDice(seed)), wire


def _steps(sent: list[_Sent]) -> list[int]:
    times = [one.timestamp for one in sent]
    return [(b - a) & 0xFFFFFFFF for a, b in itertools.pairwise(times)]


@pytest.mark.parametrize("seed", range(20))
def test_numbers_start_below_half_and_run_on(seed: int) -> None:
    """RFC 3711 §3.3.1: the peer starts with rollover counter 0."""
    stream, _ = _stream(seed=seed)
    stream.begin("a", 70_000, 0)
    sent = [_read(p) for p in stream.write([_packet(70_000), _packet(70_001)])]
    assert sent[0].index < 1 << 15
    assert [one.index - sent[0].index for one in sent] == [0, 1]
    assert _steps(sent) == [3_000]


def test_the_index_goes_on_over_the_wrap_of_numbers() -> None:
    stream, _ = _stream()
    stream.begin("a", 0, 0)
    first = _read(stream.write([_packet(0)])[0])
    for start in range(1, 140_000, 1_000):
        run = stream.write([_packet(n) for n in range(start, start + 1_000)])
    last = _read(run[-1])
    assert last.index - first.index == 140_000
    assert last.sequence == last.index & 0xFFFF


def test_another_source_goes_on_without_a_gap() -> None:
    stream, _ = _stream()
    stream.begin("a", 500, 7_000)
    before = _read(stream.write([_packet(500, at=7_000)])[0])
    stream.begin("b", 9, 123_456_789, elapsed=4_500)
    after = _read(stream.write([_packet(9, at=123_456_789)])[0])
    assert after.index - before.index == 1
    assert (after.timestamp - before.timestamp) & 0xFFFFFFFF == 4_500
    assert stream.is_at("b")
    assert not stream.is_at("a")


def test_a_burst_is_compressed_to_end_at_the_live_edge() -> None:
    stream, _ = _stream()
    packets = [_packet(n) for n in range(12)]
    stream.begin("a", 0, 0, edge=9 * 3_000, speed=30)
    sent = [_read(p) for p in stream.write(packets)]
    assert _steps(sent) == [100] * 9 + [3_000] * 2


def test_a_second_burst_does_not_run_backwards() -> None:
    stream, _ = _stream()
    stream.begin("a", 0, 0)
    before = [_read(p) for p in stream.write([_packet(n) for n in range(30)])]
    stream.begin("a", 10, 30_000, edge=29 * 3_000, speed=30)
    burst = [_read(p) for p in stream.write([_packet(n) for n in range(10, 33)])]
    assert burst[0].index == before[-1].index + 1
    assert _steps([before[-1], *burst]) == [1] + [100] * 19 + [3_000] * 3


def test_a_gap_at_the_source_is_one_for_the_peer() -> None:
    stream, _ = _stream()
    stream.begin("a", 0, 0)
    sent = [_read(p) for p in stream.write([_packet(0), _packet(3)])]
    late = [_read(p) for p in stream.write_late([_packet(2)])]
    after = [_read(p) for p in stream.write([_packet(4)])]
    start = sent[0].index
    assert [one.index - start for one in [*sent, *late, *after]] == [0, 3, 2, 4]


def test_what_is_late_for_another_segment_is_left_out() -> None:
    stream, _ = _stream()
    stream.begin("a", 0, 0)
    stream.write([_packet(0)])
    stream.begin("a", 10, 30_000)
    stream.write([_packet(10), _packet(12)])
    assert stream.write_late([_packet(9)]) == []
    assert len(stream.write_late([_packet(11)])) == 1


@pytest.mark.parametrize("config", [_CONFIG, _RTX])
def test_what_the_peer_misses_is_sent_again(config: SendStreamConfig) -> None:
    """RFC 4585 §6.2.1; RFC 4588 §4: another SSRC, the number before the payload."""
    stream, _ = _stream(config)
    sources = {
        "a": {n: _packet(n, marker=n % 2 == 1) for n in range(10)},
        "b": {n: _packet(n, at=n) for n in range(100, 110)},
    }

    def find(source: object, number: int) -> SourcePacket | None:
        assert isinstance(source, str)
        return sources[source].get(number)

    stream.begin("a", 0, 0, edge=15_000, speed=30)
    originals = stream.write(list(sources["a"].values()))
    stream.begin("b", 100, 100, elapsed=3_000)
    originals += stream.write(list(sources["b"].values()))
    del sources["a"][4]
    wanted = [_read(originals[n]) for n in (2, 4, 7, 15)]
    again = stream.resend([one.sequence for one in wanted], find)
    assert stream.counters.resent == 3
    assert stream.counters.unanswered == 1
    del wanted[1]
    if config is _CONFIG:
        assert again == [originals[n] for n in (2, 7, 15)]
        return
    for was, now in zip(wanted, map(_read, again), strict=True):
        assert now.payload == was.sequence.to_bytes(2, "big") + was.payload
        assert (now.ssrc, now.payload_type) == (0x2222, 97)
        assert (now.timestamp, now.marker) == (was.timestamp, was.marker)


@pytest.mark.parametrize("config", [_CONFIG, _RTX])
def test_payloads_are_rewritten_alike_each_time(config: SendStreamConfig) -> None:
    stream, _ = _stream(config)
    stream.begin("a", 0, 0, rewrite=bytes.upper)
    (first, _, third) = (_read(p) for p in stream.write([_packet(n) for n in range(3)]))
    assert third.payload == b"P2"
    (again,) = stream.resend([first.sequence], lambda _, n: _packet(n))
    assert _read(again).payload[-2:] == b"P0"
    stream.write([_packet(5)])
    (late,) = stream.write_late([_packet(4)])
    assert _read(late).payload == b"P4"


@pytest.mark.parametrize("config", [_CONFIG, _RTX], ids=["as they were", "RTX"])
def test_a_storm_of_requests_gets_a_packet_for_each_that_was_sent(
    config: SendStreamConfig,
) -> None:
    """RFC 4585 §6.2.1: 1,400 octets can ask for 6,000 packets, again and again."""
    stream = SendStream(config, sealer=_Wire(), dice=SeededDice(1))
    stream.begin("camera", 0, 0)
    first = _read(stream.write([_packet(n) for n in range(2_000)])[0])
    wanted = [first.sequence + n & 0xFFFF for n in range(2_000)]

    def find(_: object, number: int) -> SourcePacket:
        return _packet(number)

    assert [len(stream.resend(wanted, find)) for _ in range(3)] == [1_000, 0, 0]
    assert stream.counters.refused == 5_000
    stream.write([_packet(n) for n in range(2_000, 2_010)])
    assert len(stream.resend(wanted, find)) == 10


@pytest.mark.parametrize("config", [_CONFIG, _RTX], ids=["as they were", "RTX"])
def test_who_asks_once_more_gets_two_copies(config: SendStreamConfig) -> None:
    stream = SendStream(config, sealer=_Wire(), dice=SeededDice(1))
    stream.begin("camera", 0, 0)
    first = _read(stream.write([_packet(n) for n in range(500)])[0])

    def ask(*numbers: int) -> list[bytes]:
        wanted = [first.sequence + n & 0xFFFF for n in numbers]
        found = stream.resend(wanted, lambda _, n: _packet(n))
        return [_read(packet).payload[-2:] for packet in found]

    assert ask(1, 2) == [b"p1", b"p2"]
    assert ask(1, 2, 3) == [b"p1", b"p2", b"p3", b"p1", b"p2"]
    ask(*range(100, 356))
    assert ask(1) == [b"p1"], "so long ago that it is forgotten"
    assert stream.counters.resent == 2 + 5 + 256 + 1


def test_what_is_gone_is_looked_for_no_oftener_than_packets_were_sent() -> None:
    stream = SendStream(_CONFIG, sealer=_Wire(), dice=SeededDice(1))
    stream.begin("camera", 0, 0)
    first = _read(stream.write([_packet(n) for n in range(10)])[0])
    looked: list[int] = []

    def find(_: object, number: int) -> None:
        looked.append(number)

    for _ in range(3):
        stream.resend([first.sequence + n & 0xFFFF for n in range(10)], find)
    assert looked == list(range(10))


def test_what_was_never_sent_is_not_found() -> None:
    stream, _ = _stream()
    assert stream.resend([5], lambda source, number: _packet(number)) == []
    stream.begin("a", 0, 0)
    (packet,) = stream.write([_packet(0)])
    sequence = _read(packet).sequence
    wrong = [sequence - 1 & 0xFFFF, sequence + 1 & 0xFFFF, sequence + 40_000 & 0xFFFF]
    assert stream.resend(wrong, lambda source, number: _packet(number)) == []


def test_reports_show_the_clock_of_the_segment() -> None:
    stream, _ = _stream()
    assert stream.timestamp_at(0) is None
    stream.begin("a", 0, 0, edge=27_000, speed=30)
    sent = [_read(p) for p in stream.write([_packet(n) for n in range(11)])]
    assert stream.timestamp_at(30_000) == sent[-1].timestamp


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["begin", "write", "late", "resend"]),
            st.integers(0, 400),
            st.integers(1, 40),
        ),
        max_size=40,
    )
)
def test_no_index_is_ever_used_for_two_packets(
    steps: list[tuple[str, int, int]],
) -> None:
    stream, wire = _stream(_RTX)
    at = 0
    begun = False
    for step, number, count in steps:
        if step == "begin":
            edge = number * 3_000 + 30_000
            stream.begin("a", number, number * 3_000, edge=edge, speed=30)
            at, begun = number, True
        elif step == "write" and begun:
            at += number % 3
            stream.write([_packet(n) for n in range(at, at + count)])
            at += count
        elif step == "late":
            stream.write_late([_packet(max(0, at - 1 - number % 10))])
        elif step == "resend":
            back = range(max(0, stream.next_sequence - count), stream.next_sequence)
            stream.resend([n & 0xFFFF for n in back], lambda _, n: _packet(n))
    # _Wire complains itself.
    assert len(wire.sealed) == stream.counters.packets + stream.counters.resent
