"""Either end of DTLS in each of its states."""

from __future__ import annotations

import datetime

from sansmedia.dtls import (
    DtlsConfig,
    DtlsConnection,
    Role,
    Verification,
    generate_certificate,
)
from sansmedia.sansio import Datagram, Dice
from sansmedia.sansio.testing import DatagramCase, SeededDice, check_any_input

_PEER = ("192.0.2.1", 5000)
_NOT_BEFORE = datetime.datetime(2026, 11, 25, tzinfo=datetime.UTC)
_CERTIFICATE = generate_certificate(SeededDice(1), not_before=_NOT_BEFORE)
_STATES = 6


def _machine(role: Role, dice: Dice, *, mtu: int, cookies: bool) -> DtlsConnection:
    # The fuzzer cannot make certificates for a fingerprint, so none is asked for.
    config = DtlsConfig(
        certificate=_CERTIFICATE,
        verification=Verification.OPTIONAL,
        mtu=mtu,
        cookie_exchange=cookies,
    )
    machine = DtlsConnection(role, config, dice=dice, now=1000.0, peer=_PEER)
    machine.start(now=1000.0)
    return machine


def _factory(role: Role, state: int, dice: Dice) -> DtlsConnection:
    """Make one end that has had that many datagrams of an honest other one."""
    cookies = state == _STATES - 1
    mtu = 1200 if cookies else 300
    other_role = Role.SERVER if role is Role.CLIENT else Role.CLIENT
    machine = _machine(role, dice, mtu=mtu, cookies=cookies)
    other = _machine(other_role, SeededDice(2), mtu=mtu, cookies=False)
    left = state
    for _ in range(4):
        for datagram in other.datagrams_to_send():
            if left:
                left -= 1
                machine.receive_datagrams([Datagram(datagram.data, _PEER)], 1000.0)
        answer = machine.datagrams_to_send()
        other.receive_datagrams(answer, 1000.0)
    while machine.next_event() is not None:
        pass
    return machine


def _case(role: Role, state: int) -> DatagramCase:
    return DatagramCase(
        name=f"dtls {role.name.lower()} in state {state}",
        factory=lambda dice: _factory(role, state, dice),
        seeds=[()],
        bulk=lambda count: (),
        pending_limit=200_000,
    )


_CASES = {role: [_case(role, state) for state in range(_STATES)] for role in Role}


def _datagrams(data: bytes) -> tuple[Datagram, ...]:
    found = []
    while data:
        size = int.from_bytes(data[:2], "big")
        found.append(Datagram(data[2 : 2 + size], _PEER))
        data = data[2 + size :]
    return tuple(found)


def check_any_datagrams(role: Role, data: bytes) -> None:
    """Check that one end keeps the contract.

    The first octet picks the state. The rest is datagrams, each behind two octets with
    its length.
    """
    if data:
        case = _CASES[role][data[0] % _STATES]
        check_any_input(case, _datagrams(data[1:]), dice_seed=len(data))
