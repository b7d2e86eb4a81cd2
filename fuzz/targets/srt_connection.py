"""Two SRT connections; each octet of the input is an operation, or a packet's fate."""

from __future__ import annotations

import struct

from sansmedia.sansio import Datagram, Terminated
from sansmedia.srt.connection import Connection
from sansmedia.srt.connection_events import MessagesReceived
from sansmedia.srt.limits import Limits
from sansmedia.srt.packet_wire import HEADER

from .shared.srt_plain import PEER, make_pair

_LIMITS = Limits(output_bytes=20_000, linger=1.0, retransmissions=64)
_HELD = 1_000_000
_SEQUENCES = (0, 4, 5, 6, 9, 40, 90, (1 << 31) - 10, (1 << 31) - 9, (1 << 31) - 3)


class _Side:
    def __init__(self, number: int, machine: Connection) -> None:
        self.number = number
        self.machine = machine
        self.wire: list[bytes] = []
        self.sent: list[bytes] = []
        self.got: list[bytes] = []
        self.ended = False

    def drain(self) -> None:
        machine = self.machine
        while (event := machine.next_event()) is not None:
            assert not self.ended
            self.ended = isinstance(event, Terminated)
            if isinstance(event, MessagesReceived):
                assert event.messages
                self.got += [message.data for message in event.messages]
        assert machine.is_terminated is self.ended
        out = [datagram.data for datagram in machine.datagrams_to_send()]
        self.wire = (self.wire + out)[-64:]
        assert 0 <= machine.pending_bytes <= (0 if self.ended else _HELD)

    def check_counters(self) -> None:
        statistics = self.machine.statistics()
        assert statistics.pkt_snd_buf <= 256
        assert statistics.pkt_recv_unique_total <= statistics.pkt_recv_total
        assert (
            statistics.pkt_sent_total
            == statistics.pkt_sent_unique_total + statistics.pkt_retrans_total
        )


def _forged(kind: int, one: int, other: int) -> bytes:
    """Return a control packet with sequence numbers that mean something."""
    low = _SEQUENCES[one % len(_SEQUENCES)]
    high = (low + (other & 31)) & 0x7FFF_FFFF
    first, information, field = (
        (0x8002_0000, other & 3, (low,)),
        (0x8002_0000, other, (low, 20_000, 5000, other, 1, 1, 1)),
        (0x8003_0000, 0, (low | 0x8000_0000, high)),
        (0x8003_0000, 0, (high, low)),
        (0x8007_0000, other & 3, (low, high)),
        (0x8006_0000, other & 15, (0,)),
        (0x8004_0000, 0, ()),
        (0x8008_0000, 4000, ()),
    )[kind & 7]
    return HEADER.pack(first, information, other << 12, 1) + struct.pack(
        f">{len(field)}I", *field
    )


def _operate(
    side: _Side, other: _Side, operation: int, argument: int, now: float
) -> bool:
    """Do one thing; return whether it was something that no honest network does."""
    machine = side.machine
    kind = operation >> 1 & 15
    if kind < 3:
        room = 1316 if machine.negotiated.live else 4000
        size = 1 + (argument * 37) % room
        message = bytes([len(side.sent) & 0xFF]) * size
        if kind == 2 and size <= machine.payload_size:
            side.wire += machine.write([message] * 3, now)
            side.sent.append(message)
        elif machine.send([message], now, in_order=argument & 1 == 0):
            side.sent.append(message)
    elif kind < 9 and side.wire:
        run = side.wire[: 1 + argument % 20]
        del side.wire[: len(run)]
        if kind == 7 and argument & 1:
            run = run[::-1]
        elif kind == 8:
            run = run[argument & 3 :]
        batch = [Datagram(octets, PEER, None, now) for octets in run]
        other.machine.receive_datagrams(batch, now)
    elif kind == 9 and argument > 250:
        machine.close(now=now)
    elif kind == 10:
        machine.pause(now=now) if argument & 1 else machine.resume(now=now)
    elif kind == 11:
        forged = _forged(argument >> 5, argument, argument * 7 & 0xFF)
        machine.receive_datagrams([Datagram(forged, PEER)], now)
        return True
    elif kind == 12 and side.wire:
        changed = bytearray(side.wire.pop(0))
        changed[argument % len(changed)] ^= 1 << (argument & 7)
        other.machine.receive_datagrams([Datagram(bytes(changed), PEER)], now)
        return True
    return False


def one_input(data: bytes) -> None:
    # Whatever happens, nobody raises, memory is bounded, deadlines advance and the last
    # event is the only last one. As long as nothing was forged or changed on the way,
    # messages arrive as they were sent, each once; in order if that was agreed on.
    if not data:
        return
    pair = make_pair(data[0], _LIMITS)
    sides = [_Side(number, machine) for number, machine in enumerate(pair)]
    now = 0.0
    forged = False
    for at in range(1, min(len(data), 600) - 1, 2):
        operation, argument = data[at], data[at + 1]
        side, other = sides[operation & 1], sides[1 - (operation & 1)]
        now += (operation >> 5) * 0.004 + (argument / 50 if operation > 250 else 0)
        forged |= _operate(side, other, operation, argument, now)
        for one in sides:
            deadline = one.machine.next_timeout()
            if deadline is not None and deadline <= now:
                one.machine.handle_timeout(now)
                following = one.machine.next_timeout()
                assert following is None or following > now
            one.drain()
    for side in sides:
        side.check_counters()
    if forged or not sides[0].machine.negotiated.message_api:
        return
    for side, other in (sides, sides[::-1]):
        known = set(side.sent)
        assert all(message in known for message in other.got)
    for side in sides:
        side.machine.close(now=now)
        for _ in range(400):
            deadline = side.machine.next_timeout()
            if deadline is None:
                break
            side.machine.handle_timeout(deadline)
        side.drain()
        assert side.ended
