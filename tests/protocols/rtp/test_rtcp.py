"""RTCP, octet for octet, and compounds with damage in them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sansmedia.rtp import (
    ApplicationDefined,
    CongestionFeedback,
    DelaySinceLastReport,
    DlrrBlock,
    ExtendedReport,
    FullIntraRequest,
    Goodbye,
    MalformedRtcp,
    Nack,
    PacketArrival,
    PictureLossIndication,
    ReceiverEstimatedMaxBitrate,
    ReceiverReport,
    ReferencePictureSelection,
    ReferenceTimeBlock,
    ReportBlock,
    RtcpPacket,
    SdesChunk,
    SdesItem,
    SdesType,
    SenderReport,
    SliceLossIndication,
    SourceDescription,
    StreamArrivals,
    TemporaryMaxBitrate,
    TemporaryMaxBitrateNotification,
    TemporaryMaxBitrateRequest,
    TransportFeedback,
    UnknownReportBlock,
    UnknownRtcp,
    decode_rtcp,
    encode_rtcp,
)
from sansmedia.sansio import ProtocolError, UsageError

_hex = bytes.fromhex

_BLOCK = ReportBlock(
    ssrc=0x0A0B0C0D,
    fraction_lost=0x40,
    cumulative_lost=-2,
    highest_sequence=0x00012345,
    jitter=77,
    last_sr=0x11223344,
    delay_since_last_sr=0x8000,
)
_BLOCK_OCTETS = "0a0b0c0d 40fffffe 00012345 0000004d 11223344 00008000"

_EXAMPLES: list[tuple[str, RtcpPacket]] = [
    (
        f"81c8000c 00000001 e000000080000000 00015f90 0000000a 00000800{_BLOCK_OCTETS}",
        SenderReport(1, 0xE000000080000000, 90_000, 10, 2048, [_BLOCK]),
    ),
    (f"81c90007 00000001 {_BLOCK_OCTETS}", ReceiverReport(1, [_BLOCK])),
    ("80c90002 00000001 12345678", ReceiverReport(1, [], _hex("12345678"))),
    (
        "82ca0006 00000001 01026162 00000000 00000002 010163 0c 0130 0000",
        SourceDescription(
            [
                SdesChunk(1, [SdesItem(SdesType.CNAME, b"ab")]),
                SdesChunk(
                    2,
                    [
                        SdesItem(SdesType.CNAME, b"c"),
                        SdesItem(SdesType.RTP_STREAM_ID, b"0"),
                    ],
                ),
            ]
        ),
    ),
    ("82cb0002 00000001 00000002", Goodbye([1, 2])),
    ("81cb0003 00000001 04646f6e 65000000", Goodbye([1], b"done")),
    (
        "85cc0003 00000001 6e616d65 01020304",
        ApplicationDefined(5, 1, b"name", _hex("01020304")),
    ),
    (
        # 10, 11, 26, then 27: one more than a pair can hold.
        "81cd0004 00000001 00000002 000a8001 001b0000",
        Nack(1, 2, [10, 11, 26, 27]),
    ),
    ("81cd0003 00000001 00000002 ffff0003", Nack(1, 2, [0xFFFF, 0, 1])),
    ("81ce0002 00000001 00000002", PictureLossIndication(1, 2)),
    (
        "82ce0003 00000001 00000002 00080081",
        SliceLossIndication(1, 2, [(1, 2, 1)]),
    ),
    (
        "83ce0003 00000001 00000002 0060abcd",
        ReferencePictureSelection(1, 2, 96, _hex("abcd")),
    ),
    (
        "84ce0004 00000001 00000000 00000002 07000000",
        FullIntraRequest(1, [(2, 7)]),
    ),
    (
        # 1,000,000 = 125,000 << 3
        "83cd0004 00000001 00000000 00000002 0fd09028",
        TemporaryMaxBitrateRequest(1, [TemporaryMaxBitrate(2, 1_000_000, 40)]),
    ),
    (
        "84cd0004 00000001 00000000 00000002 0000c800",
        TemporaryMaxBitrateNotification(1, [TemporaryMaxBitrate(2, 100)]),
    ),
    (
        # 2,000,000 = 250,000 << 3
        "8fce0005 00000001 00000000 52454d42 010fd090 00000002",
        ReceiverEstimatedMaxBitrate(1, 2_000_000, [2]),
    ),
    (
        "80cf0004 00000001 04000002 e000000080000000",
        ExtendedReport(1, [ReferenceTimeBlock(0xE000000080000000)]),
    ),
    (
        "80cf0005 00000001 05000003 00000002 11223344 00010000",
        ExtendedReport(1, [DlrrBlock([DelaySinceLastReport(2, 0x11223344, 65_536)])]),
    ),
    (
        "80cf0003 00000001 2a070001 01020304",
        ExtendedReport(1, [UnknownReportBlock(42, 7, _hex("01020304"))]),
    ),
    (
        "8bcd0006 00000001 00000002 00070003 a0050000 ffff0000 11223344",
        CongestionFeedback(
            1,
            [StreamArrivals(2, 7, [PacketArrival(1, 5), None, PacketArrival(3)])],
            0x11223344,
        ),
    ),
    ("8acd0002 00000001 00000002", UnknownRtcp(205, 10, _hex("00000001 00000002"))),
    (
        "8fce0003 00000001 00000000 61626364",
        UnknownRtcp(206, 15, _hex("00000001 00000000 61626364")),
    ),
    ("80d00001 00000001", UnknownRtcp(208, 0, _hex("00000001"))),
]


@pytest.mark.parametrize(
    ("octets", "packet"),
    _EXAMPLES,
    ids=[f"{type(packet).__name__}-{at}" for at, (_, packet) in enumerate(_EXAMPLES)],
)
def test_each_kind_is_read_and_written(octets: str, packet: RtcpPacket) -> None:
    """Each kind against octets laid out by hand.

    Source: RFC 3550 §6.4.1, RFC 3550 §6.4.2, RFC 3550 §6.5, RFC 3550 §6.6, RFC 3550
    §6.7, RFC 4585 §6.1, RFC 4585 §6.2.1, RFC 4585 §6.3.1, RFC 4585 §6.3.2, RFC 4585
    §6.3.3, RFC 4585 §6.4, RFC 5104 §4.2.1.1, RFC 5104 §4.2.2.1, RFC 5104 §4.3.1.1, RFC
    3611 §2, RFC 3611 §3, RFC 3611 §4.4, RFC 3611 §4.5, RFC 8888 §3.1,
    draft-alvestrand-rmcat-remb-03 §2.2.
    """
    assert decode_rtcp(_hex(octets)) == [packet]
    assert encode_rtcp([packet]) == _hex(octets)


def _feedback(deltas: list[int | None], base: int = 1) -> TransportFeedback:
    return TransportFeedback(1, 2, base, -2, 5, deltas)


_HEAD = "00000001 00000002 0001 {count:04x} fffffe 05"


@pytest.mark.parametrize(
    ("deltas", "chunks"),
    [
        # A run of small deltas, then of packets that did not come.
        ([4] * 14 + [None] * 20, "200e 0014" + " 04" * 14),
        # A vector of 14 symbols of one bit: 10110...
        ([1, None, 1, 1, None, 2, None], "ad00 01010102"),
        # A vector of 7 symbols of two bits: small, large, lost, large, ...
        (
            [1, 256, None, -1, 5, 5, None, 7, 8],
            "d894 2002 01 0100 ffff 05 05 07 08",
        ),
        # A run of large deltas.
        ([-1] * 7, "4007" + " ffff" * 7),
        ([], ""),
    ],
)
def test_statuses_are_packed_into_every_kind_of_chunk(
    deltas: list[int | None], chunks: str
) -> None:
    """Run lengths, and vectors of one and of two bits.

    Source: draft-holmer-rmcat-transport-wide-cc-extensions-01 §3.1, §3.1.3, §3.1.4,
    §3.1.5.
    """
    body = _hex(_HEAD.format(count=len(deltas)) + chunks)
    body += bytes(-len(body) % 4)
    expected = _hex("8fcd") + (len(body) // 4).to_bytes(2, "big") + body
    assert encode_rtcp([_feedback(deltas)]) == expected
    assert decode_rtcp(expected) == [_feedback(deltas)]


def test_arrivals_count_from_the_reference_time() -> None:
    feedback = _feedback([4, None, -1, 0], base=0xFFFF)
    assert feedback.arrivals() == [
        (0xFFFF, -0.127),
        (0, None),
        (1, -0.12725),
        (2, -0.12725),
    ]


u8, u16, u32, u64 = (st.integers(0, (1 << bits) - 1) for bits in (8, 16, 32, 64))
words = st.integers(0, 4).map(lambda n: bytes(4 * n))
blocks = st.lists(
    st.builds(ReportBlock, u32, u8, st.integers(-(1 << 23), (1 << 23) - 1), *[u32] * 4),
    max_size=4,
)
deltas = st.lists(
    st.none() | st.integers(0, 255) | st.integers(-0x8000, 0x7FFF), max_size=60
) | st.lists(
    st.tuples(st.none() | st.integers(0, 300), st.integers(1, 40)), max_size=6
).map(lambda runs: [delta for delta, count in runs for _ in range(count)])


@st.composite
def nacks(draw: st.DrawFn) -> Nack:
    """Draw lost packets in their order."""
    start = draw(u16)
    steps = draw(st.lists(st.integers(1, 40), min_size=1, max_size=30))
    sequences = [start]
    for step in steps:
        sequences.append(sequences[-1] + step & 0xFFFF)
    return Nack(draw(u32), draw(u32), sequences)


packets: st.SearchStrategy[RtcpPacket] = st.one_of(
    st.builds(SenderReport, u32, u64, u32, u32, u32, blocks, words),
    st.builds(ReceiverReport, u32, blocks, words),
    st.builds(
        SourceDescription,
        st.lists(
            st.builds(
                SdesChunk,
                u32,
                st.lists(
                    st.builds(SdesItem, st.integers(1, 255), st.binary(max_size=255)),
                    max_size=3,
                ),
            ),
            max_size=4,
        ),
    ),
    st.builds(Goodbye, st.lists(u32, max_size=31), st.binary(max_size=255)),
    st.builds(
        ApplicationDefined,
        st.integers(0, 31),
        u32,
        st.binary(min_size=4, max_size=4),
        words,
    ),
    nacks(),
    st.builds(PictureLossIndication, u32, u32),
    st.builds(FullIntraRequest, u32, st.lists(st.tuples(u32, u8), max_size=4)),
    st.builds(TransportFeedback, u32, u32, u16, st.integers(-9, 9), u8, deltas),
    st.builds(
        ReceiverEstimatedMaxBitrate,
        u32,
        st.integers(0, 0x3FFFF) | st.integers(0, 40).map(lambda shift: 3 << shift),
        st.lists(u32, max_size=5),
    ),
    st.builds(
        CongestionFeedback,
        u32,
        st.lists(
            st.builds(
                StreamArrivals,
                u32,
                u16,
                st.lists(
                    st.none()
                    | st.builds(
                        PacketArrival,
                        st.integers(0, 3),
                        st.none() | st.integers(0, 0x1FFE),
                    ),
                    max_size=9,
                ),
            ),
            max_size=3,
        ),
        u32,
    ),
)


@given(st.lists(packets, min_size=1, max_size=4))
def test_a_compound_comes_back(compound: list[RtcpPacket]) -> None:
    """Source: RFC 3550 §6.1."""
    assert decode_rtcp(encode_rtcp(compound)) == compound


@given(st.binary(max_size=120))
def test_any_octets_decode_or_are_refused(data: bytes) -> None:
    try:
        decode_rtcp(data)
    except ProtocolError:
        return


@given(st.lists(packets, min_size=1, max_size=3), st.data())
def test_damage_is_survived(compound: list[RtcpPacket], data: st.DataObject) -> None:
    octets = bytearray(encode_rtcp(compound))
    for _ in range(data.draw(st.integers(1, 3))):
        octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(u8)
    try:
        found = decode_rtcp(bytes(octets))
    except ProtocolError:
        return
    assert found


_PLI = _hex("81ce0002 00000001 00000002")


def test_one_wrong_packet_does_not_cost_the_others() -> None:
    """Source: RFC 3550 §A.2, RFC 5506 §3."""
    wrong = _hex("82c90001 00000001")  # two report blocks, of which there is none
    [before, damaged, after] = decode_rtcp(_PLI + wrong + _PLI)
    assert before == after == PictureLossIndication(1, 2)
    assert isinstance(damaged, MalformedRtcp)
    assert (damaged.packet_type, damaged.count, damaged.body) == (201, 2, wrong[4:])
    assert damaged.error.code == "truncated"


@pytest.mark.parametrize(
    "tail", [b"\x81", _PLI[:11], b"\x00" * 8, b"\x81\x60\x00\x00", b"\x81\xe0\x00\x00"]
)
def test_a_tail_that_is_none_does_not_cost_what_came_before(tail: bytes) -> None:
    [first, damaged] = decode_rtcp(_PLI + tail)
    assert first == PictureLossIndication(1, 2)
    assert isinstance(damaged, MalformedRtcp)
    assert damaged.body == tail


@pytest.mark.parametrize(
    "data", [b"", _PLI[:3], _PLI[:11], b"\x01" + _PLI[1:], b"\x81\x60" + _PLI[2:]]
)
def test_a_head_that_is_none_is_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode_rtcp(data)


def test_padding_is_taken_off() -> None:
    """Source: RFC 3550 §6.4.1."""
    padded = _hex("a1ce0003 00000001 00000002 00000004")
    assert decode_rtcp(_PLI + padded) == [PictureLossIndication(1, 2)] * 2


def test_padding_of_less_than_a_word_is_taken_off_too() -> None:
    """Browsers fill up transport feedback like this."""
    octets = "afcd0005 00000001 00000002 00010001 00000105 20011001"
    assert decode_rtcp(_hex(octets)) == [TransportFeedback(1, 2, 1, 1, 5, [16])]


@pytest.mark.parametrize("last", ["00", "0d"])
def test_padding_beyond_the_packet_is_damage(last: str) -> None:
    [damaged] = decode_rtcp(_hex(f"a1ce0003 00000001 00000002 000000{last}"))
    assert isinstance(damaged, MalformedRtcp)


@pytest.mark.parametrize(
    "octets",
    [
        "82ca0001 00000001",  # a source without an end of its items
        "81ca0002 00000001 01ff6162",  # an item beyond the packet
        "81cb0002 00000001 ff000000",  # a reason beyond the packet
        "80cc0001 00000001",  # no name
        "81cd0001 00000001",  # no media source
        "84ce0003 00000001 00000000 00000002",  # half an entry
        "83ce0003 00000001 00000002 ff600000",  # more padding than bits
        "8fce0004 00000001 00000000 52454d42 02000000",  # sources beyond the packet
        "80cf0002 00000001 04000002",  # a block beyond the packet
        "80cf0003 00000001 04000001 00000000",  # half a reference time
        "80cf0003 00000001 05000001 00000000",  # a third of an entry
        "8bcd0003 00000001 00000002 0000ffff",  # more reports than may be
        "8bcd0003 00000001 00000002 00000002",  # reports beyond the packet
        "8fcd0004 00000001 00000002 00000001 00000000",  # no chunk
        "8fcd0005 00000001 00000002 00000001 00000000 60010000",  # reserved status
        "8fcd0005 00000001 00000002 0000ffff 00000000 3fff3fff",  # no deltas
        "8fcd0005 00000001 00000002 00000002 00000000 40020001",  # one delta of two
    ],
)
def test_what_breaks_the_rules_of_its_kind_is_damage(octets: str) -> None:
    [damaged] = decode_rtcp(_hex(octets))
    assert isinstance(damaged, MalformedRtcp)
    with pytest.raises(UsageError):
        encode_rtcp([damaged])


@pytest.mark.parametrize(
    "packet",
    [
        Goodbye([0] * 32),
        Goodbye([], bytes(256)),
        ReceiverReport(1, [], b"abc"),
        ReceiverReport(1 << 32),
        ReceiverReport(1, [ReportBlock(1, fraction_lost=256)]),
        SourceDescription([SdesChunk(1, [SdesItem(0, b"")])]),
        ApplicationDefined(32, 1, b"name"),
        ApplicationDefined(0, 1, b"nam"),
        PictureLossIndication(1, 1 << 32),
        SliceLossIndication(1, 2, [(0, 1 << 13, 0)]),
        TemporaryMaxBitrateRequest(1, [TemporaryMaxBitrate(2, -1)]),
        TemporaryMaxBitrateRequest(1, [TemporaryMaxBitrate(2, 1, 512)]),
        ReceiverEstimatedMaxBitrate(1, -1, []),
        ReceiverEstimatedMaxBitrate(1, 1, [0] * 256),
        TransportFeedback(1, 2, 0, 0, 0, [0x8000]),
        TransportFeedback(1, 2, 0, 1 << 23, 0, []),
        CongestionFeedback(1, [StreamArrivals(1, 0, [None] * 16_385)], 0),
        ExtendedReport(1, [UnknownReportBlock(9, 0, b"abc")]),
        UnknownRtcp(208, 0, b"abc"),
    ],
)
def test_a_packet_that_cannot_be_is_our_mistake(packet: RtcpPacket) -> None:
    with pytest.raises(UsageError):
        encode_rtcp([packet])


def test_large_rates_are_rounded_down() -> None:
    remb = ReceiverEstimatedMaxBitrate(1, (1 << 18) + 1, [])
    [came] = decode_rtcp(encode_rtcp([remb]))
    assert came == ReceiverEstimatedMaxBitrate(1, 1 << 18, [])


def test_an_arrival_too_long_ago_is_marked_so() -> None:
    """Source: RFC 8888 §3.1."""
    old = [StreamArrivals(2, 0, [PacketArrival(0, 9_000), PacketArrival(0, 0x1FFD)])]
    [came] = decode_rtcp(encode_rtcp([CongestionFeedback(1, old, 0)]))
    assert isinstance(came, CongestionFeedback)
    assert came.streams[0].packets == [
        PacketArrival(0, 0x1FFE),
        PacketArrival(0, 0x1FFD),
    ]


def test_a_source_is_known_by_its_items() -> None:
    chunk = SdesChunk(1, [SdesItem(1, b"caf\xc3\xa9"), SdesItem(12, b"\xff")])
    assert chunk.item(SdesType.CNAME) == "café"
    assert chunk.item(SdesType.RTP_STREAM_ID) == "\N{REPLACEMENT CHARACTER}"
    assert chunk.item(SdesType.MID) is None


@pytest.mark.parametrize(("count", "is_read"), [(4_096, True), (4_097, False)])
def test_feedback_tells_of_no_more_packets_than_anybody_sends(
    count: int, is_read: bool
) -> None:
    """A datagram has room for 35 such messages of 65,535 packets that did not come."""
    body = _hex(f"00000001 00000002 0000 {count:04x} 000000 00 1fff 0000")
    [came] = decode_rtcp(_hex("8fcd0005") + body)
    assert isinstance(came, TransportFeedback) == is_read
    if isinstance(came, TransportFeedback):
        assert came.deltas == [None] * count
    else:
        assert isinstance(came, MalformedRtcp)
        assert came.error.code == "limit"


def test_a_picture_selection_keeps_no_octets_of_padding() -> None:
    """RFC 4585 §6.3.3: up to 31 bits fill its last word."""
    selection = ReferencePictureSelection(1, 2, 96, b"")
    assert decode_rtcp(encode_rtcp([selection])) == [selection]
