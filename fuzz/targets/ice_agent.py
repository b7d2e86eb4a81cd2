"""Two `IceAgent`s and whoever else writes to them: operations in any order."""

from __future__ import annotations

from sansmedia.ice import (
    AgentState,
    IceAgent,
    IceConfig,
    Limits,
    Path,
    StateChanged,
    TcpConnectionWanted,
    TcpType,
    host_candidate,
)
from sansmedia.sansio import Datagram, Terminated
from sansmedia.sansio.testing import SeededDice, mutate_bytes
from sansmedia.stun import Address

_LIMITS = Limits(
    local_candidates=6,
    remote_candidates=8,
    peer_reflexive_candidates=4,
    pairs=10,
    transactions=12,
    tcp_connections=2,
)
_HELD = 40_000
_HOSTS = ("192.0.2.1", "192.0.2.2", "2001:db8::1", "203.0.113.9")


class _Side:
    def __init__(self, number: int, flags: int) -> None:
        self.number = number
        config = IceConfig(
            controlling=bool(flags & 1),
            lite=bool(flags & 2),
            accept_requests_as_consent=bool(flags & 4),
            consent_interval=5.0,
        )
        dice = SeededDice(number)
        self.agent = IceAgent(config, _LIMITS, dice=dice, now=0.0)
        self.lite = config.lite
        self.wire: list[Datagram] = []
        self.state = AgentState.NEW
        self.told: list[object] = []
        self.wanted: list[TcpConnectionWanted] = []

    def address(self, port: int) -> Address:
        return _HOSTS[self.number], 5000 + port

    def drain(self) -> None:
        while (event := self.agent.next_event()) is not None:
            assert not any(isinstance(old, Terminated) for old in self.told)
            self.told.append(event)
            if isinstance(event, StateChanged):
                assert event.state is not self.state
                self.state = event.state
            elif isinstance(event, TcpConnectionWanted):
                self.wanted.append(event)
            elif isinstance(event, Terminated):
                self.state = AgentState.CLOSED
        self.wire = (self.wire + self.agent.datagrams_to_send())[-64:]
        self.agent.pair_report()
        assert self.agent.state is self.state
        assert self.agent.pending_bytes <= _HELD


def _fire(side: _Side, now: float) -> None:
    deadline = side.agent.next_timeout()
    if deadline is not None and deadline <= now:
        side.agent.handle_timeout(now)
        following = side.agent.next_timeout()
        assert following is None or following > now


def _command(side: _Side, other: _Side, kind: int, argument: int, now: float) -> None:
    agent = side.agent
    port = argument % 4
    tcp_type = (None, None, TcpType.ACTIVE, TcpType.PASSIVE)[argument >> 2 & 3]
    if kind == 0:
        candidate = host_candidate(side.address(port), tcp_type=tcp_type)
        base = ("0.0.0.0", 5000) if argument & 128 else None
        agent.add_local_candidate(candidate, base=base, now=now)
    elif kind == 1:
        candidate = host_candidate(
            (_HOSTS[argument >> 4 & 3], 5000 + port),
            tcp_type=tcp_type,
            local_preference=argument * 256,
        )
        agent.add_remote_candidate(candidate, now=now)
    elif kind == 2 and agent.state in (AgentState.NEW, AgentState.CLOSED):
        agent.set_remote_parameters(
            other.agent.local_ufrag, other.agent.local_pwd, lite=other.lite, now=now
        )
    elif kind == 3:
        agent.end_of_remote_candidates(now=now)
        agent.note_received(now=now)
    elif kind == 4:
        side.agent.restart(now=now)
        other.agent.restart(now=now)
        for one, two in ((side, other), (other, side)):
            one.agent.set_remote_parameters(
                two.agent.local_ufrag, two.agent.local_pwd, lite=two.lite, now=now
            )
    elif kind == 5:
        agent.gather((_HOSTS[argument & 3], 3478), now=now)
    elif kind == 6 and side.wanted:
        event = side.wanted.pop()
        if argument & 1:
            path = Path((event.host, 40000 + argument), event.peer, "tcp")
            agent.tcp_connected(event.host, path, now=now)
        else:
            agent.tcp_failed(event.host, event.peer, "refused", now=now)
    elif kind == 7 and agent.selected_path is not None:
        agent.tcp_closed(agent.selected_path, now=now)
    elif kind == 8 and argument == 255:
        agent.close("fuzz", now=now)


def _carry(side: _Side, other: _Side, argument: int, octets: bytes, now: float) -> None:
    """Hand over what was sent: as it is, doubled, from elsewhere, damaged, or not."""
    way = argument & 7
    carried, side.wire = side.wire, []
    batch = []
    for sent in carried:
        peer = sent.local or side.address(0)
        local: Address | None = sent.peer
        data, transport = sent.data, sent.transport
        if way == 1:
            peer = _HOSTS[argument >> 3 & 3], 6000 + argument
        elif way == 2:
            data = mutate_bytes(data, octets, SeededDice(argument))
        elif way == 3:
            local = None
        elif way == 4:
            transport = "tcp"
        elif way == 5:
            continue
        batch.append(Datagram(data, peer, local, now, transport))
    if way == 6:
        batch += batch
    other.agent.receive_datagrams(batch[:64], now)


def one_input(data: bytes) -> None:
    # Whatever happens in whatever order: nothing raises, memory is bounded, deadlines
    # advance, states are told as they change, one Terminated comes last.
    if len(data) < 2:
        return
    sides = _Side(0, data[0]), _Side(1, data[1])
    now = 0.0
    for at in range(2, min(len(data), 400), 2):
        operation, argument = data[at], data[at + 1] if at + 1 < len(data) else 0
        side, other = sides if operation & 1 else sides[::-1]
        kind = operation >> 1 & 15
        if kind < 9:
            _command(side, other, kind, argument, now)
        elif kind < 13:
            _carry(side, other, argument, data[at : at + 40], now)
        else:
            now += (0.01, 0.06, 4.0)[kind - 13] * (argument + 1) / 16
            for one in sides:
                _fire(one, now)
        for one in sides:
            one.drain()
    for one in sides:
        one.agent.close(now=now)
        one.drain()
        assert isinstance(one.told[-1], Terminated)
        assert one.agent.next_timeout() is None
        assert one.agent.pending_bytes == 0
