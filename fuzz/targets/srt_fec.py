"""Forward error correction over a network that the input commands."""

from __future__ import annotations

from sansmedia.srt.constants import MAX_SEQUENCE_NUMBER
from sansmedia.srt.fec_matrix import FecMatrix
from sansmedia.srt.fec_receiver import FecReceiver
from sansmedia.srt.fec_sender import FecSender
from sansmedia.srt.packet_wire import (
    MESSAGE_RETRANSMITTED,
    MESSAGE_SOLO,
    DataPacket,
)

_SIZE = 12


def _data(number: int, first: int) -> DataPacket:
    payload = bytes((number * 7 + place) & 0xFF for place in range(1 + number % _SIZE))
    return DataPacket(
        first + number & MAX_SEQUENCE_NUMBER,
        MESSAGE_SOLO | number % 3 << 27 | number + 1,
        number * 1009 & 0xFFFF_FFFF,
        7,
        payload,
    )


def one_input(data: bytes) -> None:
    # Nothing raises and memory stays within the window; as long as no packet is
    # forged, whatever is recovered is what was sent, once, and no packet that came is
    # reported as lost.
    if len(data) < 3:
        return
    shape, place, commands = data[0], data[1], data[2:]
    matrix = FecMatrix(
        columns=2 + shape % 6,
        rows=1 + place % 5,
        protects_rows=bool(shape & 0x40) or place % 5 == 0,
        staircase=bool(shape & 0x80),
    )
    first = MAX_SEQUENCE_NUMBER - 40 if place & 0x80 else 5
    sender = FecSender(matrix, initial_sequence=first, payload_size=_SIZE)
    receiver = FecReceiver(matrix, initial_sequence=first)
    sent: list[DataPacket] = []
    line: list[DataPacket] = []
    seen: set[int] = set()
    forged = False
    numbers = iter(range(len(commands)))
    for at in numbers:
        command = commands[at] & 7
        if command <= 3 or not line:
            packet = _data(len(sent), first)
            sent.append(packet)
            line += [packet, *sender.feed(packet)]
            if command:
                continue
        taken = line.pop(commands[at] >> 3 if len(line) > commands[at] >> 3 else 0)
        if command == 4:
            continue  # lost
        if command == 5:
            line.append(taken)  # comes again, later
        if command == 7 and commands[at] & 8:
            forged = True
            body = commands[at + 1 : at + 1 + (commands[at] >> 4)]
            number = len(body) & 1
            taken = DataPacket(taken.sequence, MESSAGE_SOLO | number, 0, 7, body)
        output = receiver.feed(taken)
        assert receiver.pending_bytes <= 7 * (matrix.size + 12) * (_SIZE + 4)
        lost = {
            number - first & MAX_SEQUENCE_NUMBER
            for start, end in output.losses
            for number in range(start, end + 1)
        }
        if forged:
            continue
        assert not lost & seen
        for packet in output.packets:
            number = packet.sequence - first & MAX_SEQUENCE_NUMBER
            packet_sent = sent[number]
            assert packet.payload == packet_sent.payload
            assert packet.timestamp == packet_sent.timestamp
            assert packet.message & ~MESSAGE_RETRANSMITTED == packet_sent.message
            assert packet is taken or number not in seen
            seen.add(number)
