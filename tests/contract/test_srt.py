"""`Endpoint` keeps the contract: as listener, caller, in rendezvous, and connected."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sansmedia.sansio import Datagram, Dice
from sansmedia.sansio.testing import (
    AnyCase,
    DatagramCase,
    SeededDice,
    check_any_input,
)
from sansmedia.srt.connection_events import MessagesReceived
from sansmedia.srt.endpoint import Endpoint
from sansmedia.srt.endpoint_events import (
    Closed,
    ConnectionEstablished,
    ConnectionRequested,
)
from sansmedia.srt.options import SrtOptions

_NOW = 1000.0
_PEER = ("192.0.2.1", 5000)
_OPTIONS = SrtOptions(
    passphrase="a passphrase", stream_id="#!::r=live/x,m=publish", rcv_latency=0.05
)
_GARBAGE = (
    Datagram(b"\x80\0" + bytes(62), _PEER),
    Datagram(b"\x80\0" + b"\xff" * 80, _PEER),
    Datagram(bytes(16), _PEER),
    Datagram(b"", _PEER),
    Datagram(b"\x80\5" + bytes(14), _PEER),
)


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


def _react(machine: Any, event: object, now: float) -> None:
    if isinstance(event, ConnectionRequested):
        machine.accept(event.request_id, now=now)
    elif isinstance(event, ConnectionEstablished):
        machine.send(event.socket_id, [b"first"], now=now)
    elif isinstance(event, MessagesReceived):
        machine.send(event.socket_id, [one.data for one in event.messages], now=now)


_Factory = Callable[[Dice], Endpoint]


def _recorded(
    factory: _Factory, other: _Factory, *, messages: int = 5, goodbye: bool = True
) -> tuple[Datagram, ...]:
    """Return what a machine with the suite's dice hears from an honest other side."""
    machine, peer = factory(SeededDice(1)), other(SeededDice(2))
    heard: list[Datagram] = []
    for turn in range(12):
        for one in (machine, peer):
            while (event := one.next_event()) is not None:
                if isinstance(event, ConnectionEstablished) and one is peer:
                    sent = [b"message %d" % number for number in range(messages)]
                    for start in range(0, messages, 500):
                        one.send(event.socket_id, sent[start : start + 500], now=_NOW)
                elif not isinstance(event, MessagesReceived):
                    _react(one, event, _NOW)
        if turn == 10 and goodbye:
            peer.close(now=_NOW)
        sent_now = [attrs.evolve(one, peer=_PEER) for one in peer.datagrams_to_send()]
        heard += sent_now
        machine.receive_datagrams(sent_now, _NOW)
        answers = [attrs.evolve(one, peer=_PEER) for one in machine.datagrams_to_send()]
        peer.receive_datagrams(answers, _NOW)
    return tuple(heard)


_PAIRS: dict[str, tuple[_Factory, _Factory]] = {
    "listener": (_listening, _calling),
    "caller": (_calling, _listening),
    "rendezvous": (_meeting, _meeting),
}
_SEEDS = {
    name: (
        session := _recorded(*pair),
        _GARBAGE + session,
        session[::-1],
        session[:2] + session,
    )
    for name, pair in _PAIRS.items()
}


def _connected(name: str) -> _Factory:
    opening = _recorded(*_PAIRS[name], messages=0, goodbye=False)

    def make(dice: Dice) -> Endpoint:
        machine = _PAIRS[name][0](dice)
        for datagram in opening:
            machine.receive_datagrams([attrs.evolve(datagram)], _NOW)
            while (event := machine.next_event()) is not None:
                if isinstance(event, ConnectionRequested):
                    machine.accept(event.request_id, now=_NOW)
            machine.datagrams_to_send()
        return machine

    return make


def _traffic(name: str) -> Callable[[int], tuple[Datagram, ...]]:
    def bulk(count: int) -> tuple[Datagram, ...]:
        whole = _recorded(*_PAIRS[name], messages=count, goodbye=False)
        return tuple(one for one in whole if not one.data[0] & 0x80)[:count]

    return bulk


def _handshakes(count: int) -> tuple[Datagram, ...]:
    """Return inductions of many callers: what costs nothing to send."""
    induction = _SEEDS["listener"][0][0]
    return tuple(
        attrs.evolve(induction, peer=(f"198.51.100.{n % 250}", n)) for n in range(count)
    )


def _case(
    name: str,
    factory: _Factory,
    seeds: tuple[tuple[Datagram, ...], ...],
    bulk: Callable[[int], tuple[Datagram, ...]],
) -> DatagramCase:
    return DatagramCase(
        name=name,
        factory=factory,
        seeds=seeds,
        bulk=bulk,
        pending_limit=1_000_000,
        react=_react,
        event_view=_joined,
        output_view=lambda _: None,
        now=_NOW,
    )


def _joined(events: list[Any]) -> object:
    """Messages are told per batch; joined, they are the same."""
    messages = [
        one.data
        for event in events
        if isinstance(event, MessagesReceived)
        for one in event.messages
    ]
    rest = [event for event in events if not isinstance(event, MessagesReceived)]
    return [type(event).__name__ for event in rest], messages


_CASES: tuple[AnyCase, ...] = (
    *(
        _case(f"SRT {name} from the start", pair[0], _SEEDS[name], _handshakes)
        for name, pair in _PAIRS.items()
    ),
    *(
        _case(f"SRT {name} that is connected", _connected(name), _SEEDS[name], bulk)
        for name, bulk in ((name, _traffic(name)) for name in _PAIRS)
    ),
)

_every_case = pytest.mark.parametrize("case", _CASES, ids=lambda case: case.name)


@_every_case
def test_the_machine_keeps_the_contract(
    case: AnyCase, machine_check: Callable[[AnyCase], None]
) -> None:
    machine_check(case)


@_every_case
@given(data=st.data())
@settings(max_examples=50, deadline=None)
def test_any_datagrams_are_survived(case: DatagramCase, data: st.DataObject) -> None:
    seed = data.draw(st.sampled_from(case.seeds))
    prefix = seed[: data.draw(st.integers(0, len(seed)))]
    octets = data.draw(st.lists(st.binary(max_size=100), max_size=5))
    more = tuple(attrs.evolve(_GARBAGE[0], data=one) for one in octets)
    check_any_input(case, prefix + more, dice_seed=data.draw(st.integers(0, 99)))


@pytest.mark.parametrize("name", list(_PAIRS))
def test_the_recorded_sessions_reach_their_end(name: str) -> None:
    """Without this, a changed handshake would leave the suite trying greetings."""
    machine = _PAIRS[name][0](SeededDice(1))
    kinds = []
    for datagram in _SEEDS[name][0]:
        machine.receive_datagrams([datagram], _NOW)
        while (event := machine.next_event()) is not None:
            kinds.append(type(event))
            _react(machine, event, _NOW)
    assert ConnectionEstablished in kinds
    assert MessagesReceived in kinds
    assert kinds[-1] is Closed
