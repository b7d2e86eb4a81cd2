"""`DtlsConnection` keeps the contract, in every state worth trying."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sansmedia.dtls import (
    ApplicationDataReceived,
    DtlsConfig,
    DtlsConnection,
    HandshakeCompleted,
    Role,
    State,
    generate_certificate,
)
from sansmedia.sansio import Datagram, Dice
from sansmedia.sansio.testing import (
    AnyCase,
    DatagramCase,
    SeededDice,
    check_any_input,
)

_DATA = Path(__file__).resolve().parents[1] / "data" / "dtls"
_NOW = 1000.0
_NOT_BEFORE = datetime.datetime(2026, 11, 25, tzinfo=datetime.UTC)
_OURS, _THEIRS = (
    generate_certificate(SeededDice(seed), not_before=_NOT_BEFORE) for seed in (1, 2)
)
_PEER = ("192.0.2.1", 5000)
_SMALL = 400
"""An MTU that makes several datagrams of each flight."""


def _machine(role: Role, dice: Dice, *, cookies: bool = False) -> DtlsConnection:
    is_server = role is Role.SERVER
    ours, theirs = (_OURS, _THEIRS) if is_server else (_THEIRS, _OURS)
    machine = DtlsConnection(
        role,
        DtlsConfig(certificate=ours, mtu=_SMALL, cookie_exchange=cookies),
        dice=dice,
        now=_NOW,
        peer=_PEER,
    )
    machine.set_remote_fingerprints([theirs.fingerprint()], now=_NOW)
    machine.start(now=_NOW)
    return machine


def _recorded(
    *, cookies: bool = False, goodbye: bool = True
) -> tuple[tuple[Datagram, ...], tuple[Datagram, ...]]:
    """Record a session; the suite's dice have seed 1, the other side's 2."""

    def talk(seeds: tuple[int, int]) -> tuple[list[Datagram], list[Datagram]]:
        client = _machine(Role.CLIENT, SeededDice(seeds[0]))
        server = _machine(Role.SERVER, SeededDice(seeds[1]), cookies=cookies)
        up, down = [], []
        for turn in range(8):
            if turn == 6:
                client.send(b"up", now=_NOW)
                server.send(b"down", now=_NOW)
            if turn == 7 and goodbye:
                client.close(now=_NOW)
                server.close(now=_NOW)
            sent = client.datagrams_to_send()
            up += sent
            server.receive_datagrams(sent, _NOW)
            answer = server.datagrams_to_send()
            down += answer
            client.receive_datagrams(answer, _NOW)
        return up, down

    from_client, _ = talk((2, 1))
    _, from_server = talk((1, 2))
    return tuple(_addressed(from_client)), tuple(_addressed(from_server))


def _addressed(datagrams: list[Datagram]) -> list[Datagram]:
    return [Datagram(one.data, _PEER) for one in datagrams]


_TO_SERVER, _TO_CLIENT = _recorded()
_TO_COOKIE_SERVER, _ = _recorded(cookies=True)
_HELLO = tuple(
    Datagram((_DATA / f"chromium156-hello-{number}.bin").read_bytes(), _PEER)
    for number in (1, 2)
)
_GARBAGE = (
    Datagram(b"\x80" * 40, _PEER),
    Datagram(bytes.fromhex("15fefd000000000000000000020228"), _PEER),
    Datagram(b"", _PEER),
)
_SEEDS = {
    Role.SERVER: (_TO_SERVER, _HELLO + _GARBAGE + _TO_SERVER, _TO_SERVER[::-1]),
    Role.CLIENT: (_TO_CLIENT, _GARBAGE + _TO_CLIENT, _TO_CLIENT[::-1]),
}


def _connected(role: Role, dice: Dice) -> DtlsConnection:
    machine = _machine(role, dice)
    to_machine, _ = _others(role)
    machine.receive_datagrams(to_machine, _NOW)
    while machine.next_event() is not None:
        pass
    machine.datagrams_to_send()
    return machine


def _others(role: Role) -> tuple[list[Datagram], DtlsConnection]:
    """Return what brings a machine with seed 1 up, and the other side of it."""
    one = _machine(role, SeededDice(1))
    other_role = Role.CLIENT if role is Role.SERVER else Role.SERVER
    other = _machine(other_role, SeededDice(2))
    heard: list[Datagram] = []
    for _ in range(6):
        sent = _addressed(other.datagrams_to_send())
        heard += sent
        one.receive_datagrams(sent, _NOW)
        other.receive_datagrams(_addressed(one.datagrams_to_send()), _NOW)
    assert other.state is State.CONNECTED
    return heard, other


def _data_for(role: Role) -> Callable[[int], tuple[Datagram, ...]]:
    def bulk(count: int) -> tuple[Datagram, ...]:
        _, other = _others(role)
        for number in range(count):
            other.send(b"%d" % number, now=_NOW)
        return tuple(_addressed(other.datagrams_to_send()))

    return bulk


def _fragments(count: int) -> tuple[Datagram, ...]:
    """Return fragments of one message of a client, each with one octet, again and
    again: what a peer may do at most before it is refused, for as long as it likes."""
    made = []
    for number in range(count):
        at = number % 100
        fragment = bytes((11,)) + (16_000).to_bytes(3, "big") + b"\x00\x01"
        fragment += at.to_bytes(3, "big") + b"\x00\x00\x01x"
        header = b"\x16\xfe\xfd" + bytes(8) + b"\x00\x0d"
        made.append(Datagram(header + fragment, _PEER))
    return (*_HELLO, *made)


def _use(machine: Any, event: object, now: float) -> None:
    if isinstance(event, HandshakeCompleted):
        machine.send(b"first", now=now)
    elif isinstance(event, ApplicationDataReceived):
        machine.send(event.data, now=now)
    machine.start(now=now)


def _case(
    name: str,
    factory: Callable[[Dice], DtlsConnection],
    seeds: tuple[tuple[Datagram, ...], ...],
    bulk: Callable[[int], tuple[Datagram, ...]],
) -> DatagramCase:
    return DatagramCase(
        name=name,
        factory=factory,
        seeds=seeds,
        bulk=bulk,
        pending_limit=200_000,
        react=_use,
        now=_NOW,
    )


_CASES: tuple[AnyCase, ...] = (
    _case(
        "DTLS server from the start",
        lambda dice: _machine(Role.SERVER, dice),
        _SEEDS[Role.SERVER],
        _fragments,
    ),
    _case(
        "DTLS server with cookies",
        lambda dice: _machine(Role.SERVER, dice, cookies=True),
        (_TO_COOKIE_SERVER, _HELLO),
        _fragments,
    ),
    _case(
        "DTLS client from the start",
        lambda dice: _machine(Role.CLIENT, dice),
        _SEEDS[Role.CLIENT],
        _fragments,
    ),
    _case(
        "DTLS server that is connected",
        lambda dice: _connected(Role.SERVER, dice),
        (_TO_SERVER, _data_for(Role.SERVER)(20), _GARBAGE),
        _data_for(Role.SERVER),
    ),
    _case(
        "DTLS client that is connected",
        lambda dice: _connected(Role.CLIENT, dice),
        (_TO_CLIENT, _data_for(Role.CLIENT)(20), _GARBAGE),
        _data_for(Role.CLIENT),
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


@pytest.mark.parametrize("role", list(Role))
def test_the_recorded_sessions_reach_data(role: Role) -> None:
    """Without this, a changed handshake would leave the suite trying greetings."""
    machine = _machine(role, SeededDice(1))
    for datagram in _SEEDS[role][0]:
        machine.receive_datagrams([datagram], _NOW)
    kinds = []
    while (event := machine.next_event()) is not None:
        kinds.append(type(event).__name__)
    assert kinds == ["HandshakeCompleted", "ApplicationDataReceived", "Terminated"]
