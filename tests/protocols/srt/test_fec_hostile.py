"""FEC packets that no honest sender writes are dropped and counted, never fatal.

libsrt packet-filtering-and-fec.md §FEC Packet Header.
"""

from __future__ import annotations

import random

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sansmedia.sansio import ProtocolError
from sansmedia.srt.constants import MAX_SEQUENCE_NUMBER
from sansmedia.srt.fec_matrix import FecMatrix
from sansmedia.srt.fec_receiver import FecReceiver
from sansmedia.srt.fec_sender import FecSender
from sansmedia.srt.fec_wire import ROW_INDEX, decode_fec, encode_fec
from sansmedia.srt.packet_wire import MESSAGE_SOLO, DataPacket

_MATRIX = FecMatrix(columns=4, rows=3, staircase=False)
_SIZE = 20


def _packets(matrix: FecMatrix, count: int) -> list[list[DataPacket]]:
    """Return data packets, each with the FEC packets behind it."""
    sender = FecSender(matrix, initial_sequence=0, payload_size=_SIZE)
    dice = random.Random(1)
    packets = [
        DataPacket(n, MESSAGE_SOLO | n + 1, 1000 * n, 7, dice.randbytes(_SIZE))
        for n in range(count)
    ]
    return [[packet, *sender.feed(packet)] for packet in packets]


def _fec(
    sequence: int, index: int, *, flags: int = 0, length: int = 0, size: int = _SIZE
) -> DataPacket:
    body = bytes((index, flags)) + length.to_bytes(2, "big") + bytes(size)
    return DataPacket(sequence, MESSAGE_SOLO, 0, 7, body)


def test_an_fec_packet_comes_back_as_it_was() -> None:
    [*_, column, row] = _packets(_MATRIX, 12)[11]
    for packet, index in ((column, 3), (row, ROW_INDEX)):
        fec = decode_fec(packet)
        assert fec.group_index == index
        assert len(fec.payload) == _SIZE
        assert encode_fec(fec, 0, 7) == packet


@pytest.mark.parametrize(
    ("packet", "code"),
    [
        (DataPacket(0, MESSAGE_SOLO, 0, 7, b""), "fec-short"),
        (DataPacket(0, MESSAGE_SOLO, 0, 7, bytes(4)), "fec-short"),
        (DataPacket(0, MESSAGE_SOLO | 1, 0, 7, bytes(9)), "fec-number"),
    ],
)
def test_what_is_no_fec_packet_is_refused(packet: DataPacket, code: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        decode_fec(packet)
    assert caught.value.code == code


@pytest.mark.parametrize(
    "packet",
    [
        _fec(3, ROW_INDEX, size=0),  # too short
        _fec(2, ROW_INDEX),  # not where a row ends
        _fec(8, 1),  # not the column of that packet
        _fec(4, 0),  # not where a column ends
        _fec(8, 4),  # no such column
        _fec(MAX_SEQUENCE_NUMBER, ROW_INDEX),  # before the first packet
        _fec(31, ROW_INDEX),  # more than a matrix ahead
        _fec(1 << 29 | 3, ROW_INDEX),
    ],
)
def test_an_fec_packet_of_no_group_is_dropped_and_counted(packet: DataPacket) -> None:
    receiver = FecReceiver(_MATRIX, initial_sequence=0)
    for group in _packets(_MATRIX, 5):
        receiver.feed(group[0])
    held = receiver.pending_bytes
    assert receiver.feed(packet).packets == ()
    assert receiver.statistics().dropped == 1
    assert receiver.pending_bytes == held


@pytest.mark.parametrize(
    ("matrix", "index", "sequence"),
    [
        (FecMatrix(columns=4, rows=3, protects_rows=False), ROW_INDEX, 3),
        (FecMatrix(columns=4, rows=1), 3, 3),
    ],
)
def test_a_group_that_was_not_agreed_on_is_dropped(
    matrix: FecMatrix, index: int, sequence: int
) -> None:
    receiver = FecReceiver(matrix, initial_sequence=0)
    receiver.feed(_fec(sequence, index))
    assert receiver.statistics().dropped == 1


@pytest.mark.parametrize(
    ("flags", "length"),
    [
        (4, _SIZE),  # not a key
        (0, _SIZE + 1),  # longer than the clip
        (0, _SIZE - 3),  # octets where zeros must be
    ],
)
def test_what_does_not_fit_its_group_recovers_nothing(flags: int, length: int) -> None:
    receiver = FecReceiver(_MATRIX, initial_sequence=0)
    packets = _packets(_MATRIX, 4)
    for group in packets[:3]:
        receiver.feed(group[0])
    fec = decode_fec(packets[3][1])
    # Three lengths combine to one of them, which hides the fourth.
    bad = attrs.evolve(fec, flags=flags, length=length ^ _SIZE)
    damaged = encode_fec(bad, 0, 7)
    assert receiver.feed(damaged).packets == ()
    assert receiver.statistics().dropped == 1
    [recovered] = receiver.feed(packets[3][1]).packets
    assert recovered.payload == packets[3][0].payload


def test_an_fec_packet_that_comes_twice_counts_once() -> None:
    receiver = FecReceiver(_MATRIX, initial_sequence=0)
    packets = _packets(_MATRIX, 4)
    fec = packets[3][1]
    given_back = [
        packet
        for fed in (fec, fec, packets[0][0], fec, packets[2][0], packets[1][0], fec)
        for packet in receiver.feed(fed).packets
    ]
    assert [packet.sequence for packet in given_back] == [0, 2, 1, 3]
    assert receiver.statistics().dropped == 0


def test_a_late_fec_packet_brings_back_nothing_that_was_forgotten() -> None:
    # A peer, or a network that holds a packet back long enough, gets there: the column
    # ends within what is kept and begins before it. fuzz/corpus/srt_fec/late-column.
    matrix = FecMatrix(columns=4, rows=3)
    receiver = FecReceiver(matrix, initial_sequence=0)
    late = None
    for number, group in enumerate(_packets(matrix, 60)):
        if number == 18:  # its column begins at 10, in the first matrix
            [_, late] = group
        assert [packet.sequence for packet in receiver.feed(group[0]).packets] == [
            number
        ]
        if late is not None and number == 36:
            assert receiver.feed(late).packets == ()
            assert receiver.statistics().dropped == 1


def test_one_wild_sequence_number_does_not_end_recovery() -> None:
    receiver = FecReceiver(_MATRIX, initial_sequence=0)
    wild = DataPacket(1 << 29, MESSAGE_SOLO | 9, 0, 7, b"wild")
    recovered = []
    for number, group in enumerate(_packets(_MATRIX, 40)):
        assert receiver.feed(wild).packets == (wild,)
        for fed in group[number == 22 :]:
            recovered += [p for p in receiver.feed(fed).packets if p is not fed]
    assert [packet.sequence for packet in recovered] == [22]


def test_a_stream_that_goes_on_far_away_is_followed() -> None:
    receiver = FecReceiver(_MATRIX, initial_sequence=0)
    away = 12 << 24
    recovered = []
    for number, group in enumerate(_packets(_MATRIX, 60)):
        for fed in group[number == 42 :]:
            if number >= 20:
                fed = attrs.evolve(fed, sequence=fed.sequence + away)
            output = receiver.feed(fed)
            recovered += [p.sequence for p in output.packets if p is not fed]
            assert not output.losses
    assert away + 42 in recovered
    assert receiver.pending_bytes < 4 * 12 * (_SIZE + 4)


@pytest.mark.slow
@given(st.integers(0, 2**32))
@settings(max_examples=60)
def test_a_flood_of_anything_costs_no_more_than_the_window(seed: int) -> None:
    dice = random.Random(seed)
    matrix = FecMatrix(
        columns=dice.randint(2, 8),
        rows=dice.randint(1, 6),
        staircase=dice.random() < 0.5,
    )
    receiver = FecReceiver(matrix, initial_sequence=0)
    around = 0
    for _ in range(600):
        around += dice.choice((0, 0, 1, 1, 2, 30, -5))
        number = dice.choice((0, 0, 1 << 20, 5))
        body = dice.randbytes(dice.choice((0, 3, 5, _SIZE, _SIZE)))
        if number == 0 and body and dice.random() < 0.7:
            column = around % matrix.columns
            body = bytes((dice.choice((255, column)),)) + body[1:]
        packet = DataPacket(
            around & MAX_SEQUENCE_NUMBER, dice.getrandbits(6) << 26 | number, 0, 7, body
        )
        receiver.feed(packet)
        window = 6 * matrix.size + 6 * matrix.rows + 6 * matrix.columns
        assert receiver.pending_bytes <= window * _SIZE
