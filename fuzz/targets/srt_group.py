"""A bonding group over three links; the input commands program, network and liars."""

from __future__ import annotations

import struct

from sansmedia.sansio import Datagram
from sansmedia.sansio.testing import SeededDice
from sansmedia.srt import (
    ConnectionRequested,
    Endpoint,
    GroupClosed,
    Groups,
    GroupType,
    Limits,
    MessagesReceived,
    SrtOptions,
)
from sansmedia.srt.packet_wire import HEADER

_LISTENER = ("192.0.2.9", 9000)
_CALLERS = [("192.0.2.1", 5000 + number) for number in range(3)]
_LIMITS = Limits(output_bytes=20_000, group_members=4, groups=3, group_buffer=64)
_OPTIONS = SrtOptions(
    receive_buffer=64, send_buffer=64, group_connect=True, connect_timeout=1.0
)
_HELD = 1_000_000
_STRAY = (0, 1, 2, 5, 40, 70, 1000, 1 << 29, (1 << 30) + 5, (1 << 31) - 3)


class _Side:
    """The groups of one program, and what they told."""

    def __init__(self, seed: int) -> None:
        self.groups = Groups(_LIMITS, dice=SeededDice(seed))
        self.ids: list[int] = []
        self.closed: set[int] = set()
        self.sent: list[bytes] = []
        self.got: list[bytes] = []

    def drain(self) -> None:
        while (event := self.groups.next_event()) is not None:
            group_id = getattr(event, "group_id", None) or event.socket_id  # type: ignore[union-attr]
            assert group_id not in self.closed
            if isinstance(event, GroupClosed):
                self.closed.add(group_id)
            elif isinstance(event, MessagesReceived):
                assert event.messages
                self.got += [message.data for message in event.messages]
        assert 0 <= self.groups.pending_bytes <= _HELD
        for group_id in self.ids:
            assert group_id in self.closed or self.groups.group(group_id) is not None


class _World:
    def __init__(self, kind: GroupType, fuse: int) -> None:
        self.now = 1.0
        self.listener = Endpoint(_LIMITS, dice=SeededDice(1), now=1.0)
        self.listener.listen(_OPTIONS, now=1.0)
        self.callers = [
            Endpoint(_LIMITS, dice=SeededDice(2 + number), now=1.0)
            for number in range(3)
        ]
        self.here, self.there = _Side(9), _Side(10)
        self.up: list[list[bytes]] = [[], [], []]
        self.down: list[list[bytes]] = [[], [], []]
        self.fuse = fuse
        self.here.ids.append(self.here.groups.create(kind, _OPTIONS, now=1.0))
        for number in range(2):
            self.connect(number)

    def connect(self, number: int) -> None:
        group_id = self.here.ids[0]
        group = self.here.groups.group(group_id)
        if group is not None and group.has_room:
            self.here.groups.connect(
                group_id,
                self.callers[number],
                _LISTENER,
                weight=number,
                now=self.now,
            )

    def settle(self) -> None:
        for endpoint in self.callers:
            while (event := endpoint.next_event()) is not None:
                self.here.groups.take(endpoint, event, now=self.now)
        while (event := self.listener.next_event()) is not None:
            groups = self.there.groups
            if groups.take(self.listener, event, now=self.now):
                continue
            if isinstance(event, ConnectionRequested):
                joined = groups.accept(self.listener, event, _OPTIONS, now=self.now)
                if joined is not None and joined not in self.there.ids:
                    self.there.ids.append(joined)
        for side in (self.here, self.there):
            side.drain()
        for number, endpoint in enumerate(self.callers):
            out = [one.data for one in endpoint.datagrams_to_send()]
            self.up[number] = (self.up[number] + out)[-64:]
        for datagram in self.listener.datagrams_to_send():
            number = _CALLERS.index(datagram.peer)
            self.down[number] = [*self.down[number], datagram.data][-64:]

    def carry(self, number: int, upward: bool, count: int, *, reverse: bool) -> None:
        wire = (self.up if upward else self.down)[number]
        run = wire[:count]
        del wire[:count]
        peer = _CALLERS[number] if upward else _LISTENER
        endpoint = self.listener if upward else self.callers[number]
        batch = [Datagram(one, peer) for one in (run[::-1] if reverse else run)]
        endpoint.receive_datagrams(batch, self.now)

    def tick(self) -> None:
        machines: list[Endpoint | Groups] = [self.listener, *self.callers]
        machines += [self.here.groups, self.there.groups]
        for machine in machines:
            deadline = machine.next_timeout()
            if deadline is not None and deadline <= self.now:
                machine.handle_timeout(self.now)
                if isinstance(machine, Groups):
                    following = machine.next_timeout()
                    assert following is None or following > self.now

    def forge(self, number: int, upward: bool, kind: int, argument: int) -> None:
        """Change a packet on the way so that it lies about sequences."""
        wire = (self.up if upward else self.down)[number]
        if not wire or len(wire[0]) < 16:
            return
        first, second, timestamp, destination = HEADER.unpack_from(wire[0])
        rest = wire[0][16:]
        shift = _STRAY[argument % len(_STRAY)]
        if not first >> 31:
            first = (first + shift) & 0x7FFF_FFFF
            if kind & 1:
                timestamp ^= argument << 20
        elif rest:
            word = struct.unpack_from(">I", rest.ljust(4, b"\0"))[0]
            rest = struct.pack(">I", (word + shift) & 0xFFFF_FFFF) + rest[4:]
        wire[0] = (
            HEADER.pack(first, second, timestamp & 0xFFFF_FFFF, destination) + rest
        )


def _operate(world: _World, operation: int, argument: int) -> bool:
    """Do one thing; return whether it was something that no honest network does."""
    kind, number, upward = operation & 15, argument % 3, bool(argument & 128)
    here, there = world.here, world.there
    if kind < 3:
        message = len(here.sent).to_bytes(4) + bytes(argument)
        if here.groups.send(here.ids[0], [message], now=world.now):
            here.sent.append(message)
    elif kind == 3 and there.ids:
        message = len(there.sent).to_bytes(4) + bytes(argument)
        if there.groups.send(there.ids[-1], [message], now=world.now):
            there.sent.append(message)
    elif kind < 11:
        world.carry(number, kind & 1 == 0, 1 + argument // 16, reverse=kind == 10)
    elif kind == 11:
        del (world.up if upward else world.down)[number][: 1 + argument // 8 % 16]
    elif kind == 12:
        world.connect(number)
    elif kind == 13 and argument > 200:
        endpoint = world.callers[number]
        group = here.groups.group(here.ids[0])
        if group is not None:
            for member in group.statistics(world.now).members:
                group.remove(endpoint, member.socket_id, now=world.now)
    elif kind == 13 and argument < 4:
        here.groups.close_group(here.ids[0], now=world.now)
    elif kind == 14:
        world.forge(number, upward, argument >> 3, argument)
        return True
    elif kind == 15:
        wire = (world.up if upward else world.down)[number]
        if wire:
            changed = bytearray(wire[0])
            changed[argument * 5 % len(changed)] ^= 1 << (argument & 7)
            wire[0] = bytes(changed)
            return True
    return False


def one_input(data: bytes) -> None:
    # Whatever happens, nobody raises, memory is bounded, deadlines of groups advance
    # and each group closes once. As long as nothing was changed on the way, a group
    # gives each message at most once, in order.
    if not data:
        return
    kind = GroupType.BACKUP if data[0] & 1 else GroupType.BROADCAST
    world = _World(kind, data[0])
    forged = False
    if data[0] & 2:
        # Most is found once links stand.
        for _ in range(3):
            world.settle()
            for number in range(3):
                world.carry(number, True, 9, reverse=False)
            world.settle()
            for number in range(3):
                world.carry(number, False, 9, reverse=False)
    for at in range(1, min(len(data), 400) - 1, 2):
        operation, argument = data[at], data[at + 1]
        world.now += (operation >> 4) * 0.004 + (
            argument / 40 if operation > 250 else 0
        )
        forged |= _operate(world, operation, argument)
        world.tick()
        world.settle()
    for side, other in ((world.here, world.there), (world.there, world.here)):
        if not forged and len(other.ids) < 2:
            assert side.got == sorted(set(side.got))
            assert set(side.got) <= set(other.sent)
        for group_id in side.ids:
            side.groups.close_group(group_id, now=world.now)
        side.drain()
        assert side.closed >= set(side.ids)
        assert not side.groups.pending_bytes
