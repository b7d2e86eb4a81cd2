"""SRT endpoints in each of their states, and packets that get as far as they can."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import attrs
from sansmedia.sansio import Datagram, Dice
from sansmedia.sansio.testing import DatagramCase, SeededDice, check_any_input
from sansmedia.srt.connection_events import MessagesReceived
from sansmedia.srt.endpoint import Endpoint
from sansmedia.srt.endpoint_events import ConnectionEstablished, ConnectionRequested
from sansmedia.srt.options import SrtOptions

_NOW = 1000.0
_PEER = ("192.0.2.1", 5000)
_OPTIONS = SrtOptions(passphrase="a passphrase", stream_id="x", rcv_latency=0.05)


def _listening(dice: Dice) -> Endpoint:
    endpoint = Endpoint(dice=dice, now=_NOW)
    endpoint.listen(_OPTIONS, now=_NOW)
    return endpoint


def _calling(dice: Dice) -> Endpoint:
    endpoint = Endpoint(dice=dice, now=_NOW)
    endpoint.connect(_PEER, _OPTIONS, now=_NOW)
    return endpoint


def _meeting(dice: Dice) -> Endpoint:
    endpoint = Endpoint(dice=dice, now=_NOW)
    endpoint.rendezvous(_PEER, _OPTIONS, now=_NOW)
    return endpoint


_Factory = Callable[[Dice], Endpoint]
_PAIRS: tuple[tuple[_Factory, _Factory], ...] = (
    (_listening, _calling),
    (_calling, _listening),
    (_meeting, _meeting),
)


def _react(machine: Endpoint, event: object, now: float) -> None:
    if isinstance(event, ConnectionRequested):
        if event.request_id % 3 == 2:
            machine.reject(event.request_id, 1403, now=now)
        else:
            machine.accept(event.request_id, now=now)
    elif isinstance(event, MessagesReceived):
        machine.send(event.socket_id, [one.data for one in event.messages], now=now)


@attrs.define
class _Session:
    """What a machine heard from an honest peer until it stood."""

    heard: list[Datagram]
    socket_id: bytes


def _record(pair: tuple[_Factory, _Factory]) -> _Session:
    machine, peer = pair[0](SeededDice(1)), pair[1](SeededDice(2))
    session = _Session([], bytes(4))
    for _ in range(8):
        for one in (machine, peer):
            while (event := one.next_event()) is not None:
                _react(one, event, _NOW)
                if isinstance(event, ConnectionEstablished) and one is machine:
                    session.socket_id = event.socket_id.to_bytes(4)
        sent = [attrs.evolve(one, peer=_PEER) for one in peer.datagrams_to_send()]
        session.heard += sent
        machine.receive_datagrams(sent, _NOW)
        answers = [attrs.evolve(one, peer=_PEER) for one in machine.datagrams_to_send()]
        peer.receive_datagrams(answers, _NOW)
    return session


_SESSIONS = [_record(pair) for pair in _PAIRS]
_COOKIE = _SESSIONS[0].heard[1].data[44:48]


def _factory(number: int, depth: int, dice: Dice) -> Endpoint:
    """Make an endpoint that has heard that many datagrams of an honest peer."""
    machine = _PAIRS[number][0](dice)
    for datagram in _SESSIONS[number].heard[:depth]:
        machine.receive_datagrams([attrs.evolve(datagram)], _NOW)
        while (event := machine.next_event()) is not None:
            _react(machine, event, _NOW)
    machine.datagrams_to_send()
    return machine


def _datagrams(number: int, data: bytes) -> Iterator[Datagram]:
    """Cut the input: how to address a packet, its size, its octets."""
    session = _SESSIONS[number]
    position = 0
    while position + 2 <= len(data):
        how, size = data[position], data[position + 1]
        octets = data[position + 2 : position + 2 + size]
        position += 2 + size
        peer = _PEER if how & 0x80 == 0 else ("192.0.2.1", how)
        way = how & 7
        if way == 0:
            packet = octets
        elif way == 1 and session.heard:
            # One of an honest peer's, damaged.
            honest = bytearray(session.heard[(how >> 3 & 15) % len(session.heard)].data)
            for at in range(0, len(octets) - 1, 2):
                honest[octets[at] % len(honest)] = octets[at + 1]
            packet = bytes(honest)
        elif way == 2:
            # A handshake that knows the cookie.
            field = bytearray(octets.ljust(48, b"\0"))
            field[28:32] = _COOKIE
            packet = b"\x80\0" + bytes(14) + bytes(field)
        else:
            packet = octets[:12].ljust(12, b"\0") + session.socket_id + octets[12:]
        yield Datagram(packet, peer)


def check_any_datagrams(data: bytes) -> None:
    """Check the contract of one endpoint; the first octet says which, how far."""
    first = data[0] if data else 0
    number, depth = first % 3, first // 3 % 6
    case = DatagramCase(
        name=f"srt endpoint {number} after {depth}",
        factory=lambda dice: _factory(number, depth, dice),
        seeds=[()],
        bulk=lambda count: (),
        pending_limit=1_000_000,
        react=_react,
        now=_NOW,
    )
    check_any_input(case, tuple(_datagrams(number, data[1:])), dice_seed=len(data))
