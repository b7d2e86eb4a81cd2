"""What comes back: libsrt packet-filtering-and-fec.md §Receiving."""

from __future__ import annotations

import random
from typing import Literal

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sansmedia.sansio import UsageError
from sansmedia.srt.constants import MAX_MESSAGE_NUMBER, MAX_SEQUENCE_NUMBER
from sansmedia.srt.fec_matrix import FecMatrix
from sansmedia.srt.fec_receiver import FecReceiver
from sansmedia.srt.fec_sender import FecSender
from sansmedia.srt.packet_wire import (
    KEY_SHIFT,
    MESSAGE_IN_ORDER,
    MESSAGE_RETRANSMITTED,
    MESSAGE_SOLO,
    DataPacket,
)

_SIZE = 24


def _data(offset: int, first: int, dice: random.Random) -> DataPacket:
    return DataPacket(
        first + offset & MAX_SEQUENCE_NUMBER,
        MESSAGE_SOLO
        | MESSAGE_IN_ORDER
        | dice.choice((0, 1, 2)) << KEY_SHIFT
        | (MAX_MESSAGE_NUMBER - 4 + offset) % MAX_MESSAGE_NUMBER + 1,
        dice.getrandbits(32),
        7,
        dice.randbytes(dice.randint(1, _SIZE)),
    )


class Stream:
    """Data packets and the FEC packets that follow them, from a seed."""

    def __init__(self, matrix: FecMatrix, count: int, seed: int, first: int) -> None:
        dice = random.Random(seed)
        sender = FecSender(matrix, initial_sequence=first, payload_size=_SIZE)
        self.matrix = matrix
        self.first = first
        self.data = [_data(offset, first, dice) for offset in range(count)]
        self.wire: list[tuple[int, DataPacket]] = []
        """(offset, packet), FEC packets with the offset of what they follow."""
        for offset, packet in enumerate(self.data):
            self.wire.append((offset, packet))
            self.wire += [(offset, fec) for fec in sender.feed(packet)]

    def receiver(self) -> FecReceiver:
        return FecReceiver(self.matrix, initial_sequence=self.first)

    def offset(self, sequence: int) -> int:
        return sequence - self.first & MAX_SEQUENCE_NUMBER

    def offsets(self, losses: object) -> list[int]:
        assert isinstance(losses, (list, tuple))
        return [
            offset
            for start, end in losses
            for offset in range(self.offset(start), self.offset(end) + 1)
        ]

    def is_true(self, packet: DataPacket) -> bool:
        """Tell whether a packet is what was sent, or sent again."""
        sent = self.data[self.offset(packet.sequence)]
        again = attrs.evolve(sent, message=sent.message | MESSAGE_RETRANSMITTED)
        return packet in (sent, again)


def _solvable(matrix: FecMatrix, stream: Stream, arrived: set[int]) -> set[int]:
    """Return the offsets that rows and columns can tell, found the slow way.

    ``arrived`` are places in ``stream.wire``.
    """
    have = {
        stream.wire[place][0]
        for place in arrived
        if stream.wire[place][1].message_number
    }
    groups = []
    for place in arrived:
        offset, packet = stream.wire[place]
        if packet.message_number:
            continue
        if packet.payload[0] == 0xFF:
            groups.append(set(matrix.row_members(offset // matrix.columns)))
        else:
            group = matrix.column_group(offset)
            assert group is not None
            groups.append(set(matrix.column_members(group)))
    lost = True
    while lost:
        lost = False
        for members in groups:
            if len(members - have) == 1:
                have |= members
                lost = True
    return have


_shapes = st.builds(
    FecMatrix,
    columns=st.integers(2, 7),
    rows=st.integers(1, 6),
    protects_rows=st.booleans(),
    staircase=st.booleans(),
).filter(lambda matrix: matrix.protects_rows or matrix.rows > 1)
_seeds = st.integers(0, 2**32)
_firsts = st.sampled_from([0, 1000, MAX_SEQUENCE_NUMBER, MAX_SEQUENCE_NUMBER - 20])


@given(_shapes, _seeds, _firsts, st.data())
def test_a_single_loss_is_recovered(
    matrix: FecMatrix, seed: int, first: int, data: st.DataObject
) -> None:
    stream = Stream(matrix, 3 * matrix.size, seed, first)
    covered = (
        range(2 * matrix.size)
        if matrix.protects_rows
        else [
            offset
            for offset in range(2 * matrix.size)
            if (group := matrix.column_group(offset)) is not None
            and matrix.column_members(group)[-1] < 3 * matrix.size
        ]
    )
    lost = data.draw(st.sampled_from(list(covered)))
    receiver = stream.receiver()
    came = [
        packet
        for _, fed in stream.wire
        if fed is not stream.data[lost]
        for packet in receiver.feed(fed).packets
    ]
    assert sorted(stream.offset(packet.sequence) for packet in came) == list(
        range(3 * matrix.size)
    )
    assert all(map(stream.is_true, came))
    assert receiver.statistics().supplied == 1
    assert receiver.statistics().dropped == 0


@pytest.mark.slow
@given(_shapes, _seeds, _firsts, st.floats(0.0, 0.6))
@settings(max_examples=200)
def test_whatever_rows_and_columns_can_tell_is_recovered(
    matrix: FecMatrix, seed: int, first: int, loss: float
) -> None:
    # As many matrices as are kept, so that nothing is forgotten meanwhile.
    kept = (3 if matrix.staircase else 2) if matrix.rows > 1 else 20
    stream = Stream(matrix, kept * matrix.size, seed, first)
    dice = random.Random(seed)
    arrived = {n for n in range(len(stream.wire)) if dice.random() >= loss}
    receiver = stream.receiver()
    have = set()
    for place in sorted(arrived):
        for packet in receiver.feed(stream.wire[place][1]).packets:
            assert stream.is_true(packet)
            have.add(stream.offset(packet.sequence))
    assert have == _solvable(matrix, stream, arrived)


@pytest.mark.slow
@given(_shapes, _seeds, _firsts, st.floats(0.0, 0.3), st.integers(0, 30))
@settings(max_examples=200)
def test_nothing_false_is_recovered_whatever_the_network_does(
    matrix: FecMatrix, seed: int, first: int, loss: float, disorder: int
) -> None:
    stream = Stream(matrix, 8 * matrix.size, seed, first)
    dice = random.Random(seed)
    came = [
        (place + dice.random() * disorder, fed)
        for place, (_, fed) in enumerate(stream.wire)
        if dice.random() >= loss
        for _ in range(1 + (dice.random() < 0.1))
    ]
    came.sort(key=lambda arrival: arrival[0])
    receiver = stream.receiver()
    seen: set[int] = set()
    for _, fed in came:
        output = receiver.feed(fed)
        order = [stream.offset(packet.sequence) for packet in output.packets]
        assert order == sorted(order)
        lost = stream.offsets(output.losses)
        assert not seen & set(lost)
        for packet in output.packets:
            assert stream.is_true(packet)
            assert packet is fed or stream.offset(packet.sequence) not in seen
        seen |= set(order)
        # Four matrices of packets and their FEC packets, at most.
        assert receiver.pending_bytes <= 10 * matrix.size * _SIZE
    assert receiver.statistics().dropped == 0 or disorder


@pytest.mark.slow
@given(_shapes, _seeds, _firsts, st.floats(0.0, 1.0))
@settings(max_examples=200)
def test_each_loss_beyond_recovery_is_reported_once(
    matrix: FecMatrix, seed: int, first: int, loss: float
) -> None:
    # libsrt packet-filtering-and-fec.md §Cooperation with retransmission.
    stream = Stream(matrix, 12 * matrix.size, seed, first)
    dice = random.Random(seed)
    receiver = stream.receiver()
    seen: set[int] = set()
    reported: list[int] = []
    for offset, fed in stream.wire:
        if offset < 9 * matrix.size and dice.random() < loss:
            continue
        output = receiver.feed(fed)
        seen |= {stream.offset(packet.sequence) for packet in output.packets}
        reported += stream.offsets(output.losses)
    assert len(reported) == len(set(reported)) == receiver.statistics().lost
    assert set(range(9 * matrix.size)) - seen <= set(reported)


def _feed(stream: Stream, receiver: FecReceiver, lost: set[int]) -> list[int]:
    """Feed a stream without some data packets; return where losses came back."""
    return [
        offset
        for offset, fed in stream.wire
        if not (fed.message_number and offset in lost)
        if receiver.feed(fed).losses
    ]


def test_a_row_alone_is_given_up_after_a_third_of_the_next() -> None:
    stream = Stream(FecMatrix(columns=9, rows=1), 40, 1, 0)
    assert _feed(stream, stream.receiver(), {3, 5}) == [9 + 3]


def test_an_even_matrix_is_given_up_after_a_third_of_the_next_row() -> None:
    matrix = FecMatrix(columns=6, rows=3, staircase=False)
    stream = Stream(matrix, 60, 1, 0)
    receiver = stream.receiver()
    assert _feed(stream, receiver, {0, 1, 6, 7}) == [18 + 2]
    assert receiver.statistics().lost == 4


def test_what_stands_above_a_staircase_is_given_up_with_its_row() -> None:
    matrix = FecMatrix(columns=6, rows=3, protects_rows=False)
    stream = Stream(matrix, 60, 1, 0)
    assert _feed(stream, stream.receiver(), {1}) == [6 + 2]


@pytest.mark.parametrize("arq", ["always", "never"])
def test_only_on_request_losses_come_back(arq: Literal["always", "never"]) -> None:
    stream = Stream(FecMatrix(columns=4, rows=1), 40, 1, 0)
    receiver = FecReceiver(stream.matrix, initial_sequence=0, arq=arq)
    assert _feed(stream, receiver, set(range(2, 17))) == []


def test_a_gap_is_reported_whole_and_recovery_goes_on_behind_it() -> None:
    matrix = FecMatrix(columns=5, rows=4)
    stream = Stream(matrix, 2_000, 1, MAX_SEQUENCE_NUMBER - 30)
    receiver = stream.receiver()
    gap = range(33, 1_800)
    reported: list[int] = []
    ranges = 0
    recovered = []
    for offset, fed in stream.wire:
        if offset in gap or (fed.message_number and offset == 1_900):
            continue
        output = receiver.feed(fed)
        ranges += len(output.losses)
        reported += stream.offsets(output.losses)
        recovered += [stream.offset(p.sequence) for p in output.packets if p is not fed]
    # The staircase's first full column behind the gap ends with a single loss.
    assert recovered == [1_798, 1_900]
    assert sorted(reported) == [offset for offset in gap if offset != 1_798]
    assert ranges < 20


def test_columns_bring_back_a_burst_as_long_as_a_row() -> None:
    matrix = FecMatrix(columns=10, rows=5)
    stream = Stream(matrix, 300, 1, 0)
    receiver = stream.receiver()
    _feed(stream, receiver, set(range(127, 137)))
    assert receiver.statistics().supplied == 10


def test_the_sender_leaves_out_what_was_sent_before() -> None:
    matrix = FecMatrix(columns=3, rows=1)
    stream = Stream(matrix, 6, 1, 0)
    sender = FecSender(matrix, initial_sequence=0, payload_size=_SIZE)
    again = attrs.evolve(stream.data[0], message=stream.data[0].message | 1 << 26)
    order = [0, 1, 0, 2, 1, 3, 4, 2, 5]
    sent = [fec for n in order for fec in sender.feed(stream.data[n])]
    assert sender.feed(again) == []
    assert sent == [fec for _, fec in stream.wire if not fec.message_number]


def test_the_sender_makes_no_fec_packet_of_a_group_with_a_gap() -> None:
    matrix = FecMatrix(columns=4, rows=2, staircase=False)
    stream = Stream(matrix, 24, 1, 0)
    sender = FecSender(matrix, initial_sequence=0, payload_size=_SIZE)
    sent = {
        (n, fec.payload[0])
        for n, packet in enumerate(stream.data)
        if n not in range(2, 9)
        for fec in sender.feed(packet)
    }
    assert sent == {
        *((n, n % 4) for n in range(13, 16)),
        *((n, 255) for n in (15, 19, 23)),
        *((n, n % 4) for n in range(20, 24)),
    }


def test_the_sender_refuses_a_payload_larger_than_was_told() -> None:
    matrix = FecMatrix(columns=4, rows=1)
    with pytest.raises(UsageError):
        FecSender(matrix, initial_sequence=0, payload_size=0)
    sender = FecSender(matrix, initial_sequence=0, payload_size=3)
    with pytest.raises(UsageError):
        sender.feed(DataPacket(0, MESSAGE_SOLO | 1, 0, 7, bytes(4)))
