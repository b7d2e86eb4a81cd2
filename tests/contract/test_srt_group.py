"""A listener with a bonding group keeps the contract, as one machine of both parts."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import attrs
import pytest
from sansmedia.sansio import Datagram
from sansmedia.sansio.testing import AnyCase, DatagramCase, SeededDice
from sansmedia.srt import (
    ConnectionRequested,
    Endpoint,
    GroupMembership,
    Groups,
    GroupType,
    Limits,
    MessagesReceived,
    SrtOptions,
)
from sansmedia.srt.constants import ControlType
from sansmedia.srt.packet_wire import (
    MESSAGE_SOLO,
    ControlPacket,
    DataPacket,
    decode_packet,
    encode_control,
    encode_data,
)

_NOW = 1000.0
_LISTENER = ("192.0.2.9", 9000)
_CALLERS = (("192.0.2.1", 5000), ("192.0.2.2", 5000))
_OPTIONS = SrtOptions(receive_buffer=256, send_buffer=256, group_connect=True)
_LIMITS = Limits(output_bytes=64 * 1024)
_FIRST = (1 << 31) - 30
_THEIRS = 0x4000_1234


class _Bonded:
    """An endpoint and its groups, in the form of one machine."""

    def __init__(self) -> None:
        self._endpoint = Endpoint(_LIMITS, dice=SeededDice(1), now=_NOW)
        self._endpoint.listen(_OPTIONS, now=_NOW)
        self.groups = Groups(_LIMITS, dice=SeededDice(2))
        self._events: deque[Any] = deque()
        self.members: list[int] = []

    def _sort(self, now: float) -> None:
        while (event := self._endpoint.next_event()) is not None:
            if self.groups.take(self._endpoint, event, now=now):
                continue
            if isinstance(event, ConnectionRequested) and event.group is not None:
                self.groups.accept(self._endpoint, event, _OPTIONS, now=now)
            else:
                self._events.append(event)
        last = self._events.pop() if self._endpoint.is_terminated else None
        while (told := self.groups.next_event()) is not None:
            self._events.append(told)
        if last is not None:
            self._events.append(last)

    def receive_datagrams(self, batch: Sequence[Datagram], now: float) -> None:
        if not self.is_terminated:
            self._endpoint.receive_datagrams(batch, now)
            self._sort(now)

    def datagrams_to_send(self) -> list[Datagram]:
        return self._endpoint.datagrams_to_send()

    def next_event(self) -> object:
        return self._events.popleft() if self._events else None

    def next_timeout(self) -> float | None:
        if self.is_terminated:
            return None
        deadlines = (self._endpoint.next_timeout(), self.groups.next_timeout())
        return min((one for one in deadlines if one is not None), default=None)

    def handle_timeout(self, now: float) -> None:
        if not self.is_terminated:
            self._endpoint.handle_timeout(now)
            self.groups.handle_timeout(now)
            self._sort(now)

    def close(self, reason: str = "", *, now: float) -> None:
        if not self.is_terminated:
            self._endpoint.close(reason, now=now)
            self._sort(now)

    @property
    def is_terminated(self) -> bool:
        return self._endpoint.is_terminated

    @property
    def pending_bytes(self) -> int:
        return (
            self._endpoint.pending_bytes
            + self.groups.pending_bytes
            + 200 * len(self._events)
        )

    def statistics(self) -> object:
        return self._endpoint.statistics()


def _joined(kind: GroupType) -> tuple[_Bonded, list[int]]:
    """Return a listener with two members, and their socket ids."""
    machine = _Bonded()
    ids = []
    for number, address in enumerate(_CALLERS):
        caller = Endpoint(dice=SeededDice(10 + number), now=_NOW)
        membership = GroupMembership(_THEIRS, kind, 0, number)
        socket_id = caller.connect(
            _LISTENER,
            _OPTIONS,
            now=_NOW,
            group=membership,
            initial_sequence=_FIRST,
        )
        for _ in range(3):
            out = [
                attrs.evolve(one, peer=address) for one in caller.datagrams_to_send()
            ]
            machine.receive_datagrams(out, _NOW)
            back = [
                attrs.evolve(one, peer=_LISTENER)
                for one in machine.datagrams_to_send()
                if one.peer == address
            ]
            caller.receive_datagrams(back, _NOW)
        connection = caller.connection(socket_id)
        assert connection is not None
        ids.append(connection.negotiated.peer_socket_id)
    while machine.next_event() is not None:
        pass
    machine.datagrams_to_send()
    return machine, ids


_IDS = _joined(GroupType.BROADCAST)[1]


def _data(link: int, number: int, *, at: int = 0) -> Datagram:
    packet = DataPacket(
        (_FIRST + number) & 0x7FFF_FFFF,
        MESSAGE_SOLO | number + 1,
        (at or number) * 1000,
        _IDS[link],
        bytes([number & 0xFF]) * 30,
    )
    return Datagram(encode_data(packet), _CALLERS[link])


def _control(link: int, kind: ControlType, field: bytes = bytes(4)) -> Datagram:
    packet = ControlPacket(kind, 0, 0, 0, _IDS[link], field)
    return Datagram(encode_control(packet), _CALLERS[link])


_BOTH = tuple(_data(link, number) for number in range(40) for link in (0, 1))
_BY_TURNS = tuple(_data(number & 1, number) for number in range(40))
_HOLES = tuple(
    _data(link, number)
    for number in (5, 1, 9, 2, 30, 12, 9, 500, 1 << 20)
    for link in (1, 0)
)
_ENDS = (
    *_BY_TURNS[:20],
    _control(0, ControlType.SHUTDOWN),
    *_BY_TURNS[20:],
    _control(1, ControlType.KEEPALIVE),
    _control(1, ControlType.SHUTDOWN),
    _data(1, 41),
)


def _bulk(count: int) -> tuple[Datagram, ...]:
    return tuple(_data(number & 1, number // 2) for number in range(count))


def _events(events: list[Any]) -> object:
    joined: list[Any] = []
    for event in events:
        if isinstance(event, MessagesReceived):
            joined += event.messages
        else:
            joined.append(event)
    return joined


def _output(output: list[Datagram]) -> object:
    """Leave out reports on what has come: they are made once for a batch."""
    left_out = (ControlType.ACK, ControlType.NAK)
    packets = [decode_packet(datagram.data) for datagram in output]
    return [
        packet
        for packet in packets
        if isinstance(packet, DataPacket) or packet.type not in left_out
    ]


def _use(machine: Any, event: object, now: float) -> None:
    if isinstance(event, MessagesReceived):
        machine.groups.send(event.socket_id, [b"answer"], now=now)


_CASES = tuple(
    DatagramCase(
        name=f"SRT group, {kind.name.lower()}",
        factory=lambda _, kind=kind: _joined(kind)[0],  # type: ignore[misc]
        seeds=(_BOTH, _BY_TURNS, _HOLES, _ENDS),
        bulk=_bulk,
        pending_limit=400_000,
        react=_use,
        event_view=_events,
        output_view=_output,
        now=_NOW,
    )
    for kind in GroupType
)


@pytest.mark.parametrize("case", _CASES, ids=lambda case: case.name)
def test_the_machine_keeps_the_contract(
    case: AnyCase, machine_check: Callable[[AnyCase], None]
) -> None:
    machine_check(case)
