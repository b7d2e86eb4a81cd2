"""Bonding groups over simulated networks: two programs with a link for each socket."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest
from sansmedia.sansio import Datagram
from sansmedia.sansio.testing import Conditions, DatagramLink, SeededDice
from sansmedia.srt import (
    ConnectionRequested,
    Endpoint,
    GroupClosed,
    GroupEstablished,
    GroupMembership,
    Groups,
    GroupType,
    Limits,
    MemberActivated,
    MemberJoined,
    MemberLost,
    MemberRejected,
    MemberSilenced,
    MemberState,
    MessagesDropped,
    MessagesReceived,
    SrtOptions,
)

_NOW = 1000.0
_SERVER = ("192.0.2.200", 9000)
_OPTIONS = SrtOptions(stream_id="feed", rcv_latency=0.2, peer_latency=0.2)
_LISTENING = SrtOptions(rcv_latency=0.2, group_connect=True)


class Bonded:
    """A caller with one socket a link, and a listener with one socket for all."""

    def __init__(
        self,
        kind: GroupType,
        links: list[Conditions],
        *,
        options: SrtOptions = _OPTIONS,
        listening: SrtOptions = _LISTENING,
        limits: Limits | None = None,
        weights: tuple[int, ...] = (),
        late: dict[int, float] | None = None,
        seed: int = 1,
    ) -> None:
        self.now = _NOW
        self.listening = listening
        self.server = Endpoint(limits, dice=SeededDice(seed), now=_NOW, local=_SERVER)
        self.server.listen(listening, now=_NOW)
        self.server_groups = Groups(limits, dice=SeededDice(seed + 1))
        self.callers = [
            Endpoint(limits, dice=SeededDice(seed + 10 + number), now=_NOW)
            for number in range(len(links))
        ]
        self.caller_groups = Groups(limits, dice=SeededDice(seed + 2))
        self.up = [DatagramLink(c, seed=seed + n) for n, c in enumerate(links)]
        self.down = [DatagramLink(c, seed=seed + 50 + n) for n, c in enumerate(links)]
        self.addresses = [
            (f"192.0.2.{number + 1}", 5000) for number in range(len(links))
        ]
        self.dead_up: set[int] = set()
        self.dead_down: set[int] = set()
        self.caller_events: list[Any] = []
        self.server_events: list[Any] = []
        self.server_group = 0
        self.sockets: dict[int, int] = {}
        self.caller_group = self.caller_groups.create(kind, options, now=_NOW)
        weights = weights or tuple(range(len(links), 0, -1))
        self.weights = weights
        for number in range(len(links)):
            if number not in (late or {}):
                self.connect(number)
        self.plan: list[tuple[float, Callable[[], None]]] = [
            (at, lambda number=number: self.connect(number))  # type: ignore[misc]
            for number, at in (late or {}).items()
        ]
        self.sent: list[bytes] = []
        self.sent_down: list[bytes] = []

    def connect(self, number: int) -> None:
        socket_id = self.caller_groups.connect(
            self.caller_group,
            self.callers[number],
            _SERVER,
            weight=self.weights[number],
            now=self.now,
        )
        if socket_id is not None:
            self.sockets[number] = socket_id

    def cut(self, number: int) -> None:
        self.dead_up.add(number)
        self.dead_down.add(number)

    def mend(self, number: int) -> None:
        self.dead_up.discard(number)
        self.dead_down.discard(number)

    def at(self, seconds: float, what: Callable[[], None]) -> None:
        self.plan.append((_NOW + seconds, what))

    def send(self, number: int) -> None:
        message = number.to_bytes(4) + bytes(100)
        if self.caller_groups.send(self.caller_group, [message], now=self.now):
            self.sent.append(message)

    def stream(
        self, count: int, *, begin: float = 0.5, interval: float = 0.005
    ) -> None:
        for number in range(count):
            self.at(begin + number * interval, lambda number=number: self.send(number))  # type: ignore[misc]

    def stream_down(self, count: int, *, begin: float = 0.5) -> None:
        def send(number: int) -> None:
            message = number.to_bytes(4) + b"down"
            group = self.server_group
            if self.server_groups.send(group, [message], now=self.now):
                self.sent_down.append(message)

        for number in range(count):
            self.at(begin + number * 0.005, lambda number=number: send(number))  # type: ignore[misc]

    def _drain(self) -> None:
        for endpoint, groups, events in [
            *((one, self.caller_groups, self.caller_events) for one in self.callers),
            (self.server, self.server_groups, self.server_events),
        ]:
            while (event := endpoint.next_event()) is not None:
                if groups.take(endpoint, event, now=self.now):
                    continue
                if isinstance(event, ConnectionRequested):
                    joined = groups.accept(
                        endpoint, event, self.listening, now=self.now
                    )
                    self.server_group = joined or self.server_group
                events.append((self.now, event))
        for groups, events in (
            (self.caller_groups, self.caller_events),
            (self.server_groups, self.server_events),
        ):
            while (told := groups.next_event()) is not None:
                events.append((self.now, told))
        for number, endpoint in enumerate(self.callers):
            output = [
                attrs.evolve(one, local=self.addresses[number])
                for one in endpoint.datagrams_to_send()
            ]
            if number not in self.dead_up:
                self.up[number].send(output, self.now)
        for datagram in self.server.datagrams_to_send():
            number = self.addresses.index(datagram.peer)
            if number not in self.dead_down:
                self.down[number].send([datagram], self.now)

    @property
    def machines(self) -> list[Endpoint | Groups]:
        return [*self.callers, self.server, self.caller_groups, self.server_groups]

    def run(self, until: float) -> None:
        until += _NOW
        self.plan.sort(key=lambda entry: entry[0])
        for _ in range(200_000):
            self._drain()
            deadlines = [one.next_timeout() for one in (*self.up, *self.down)]
            deadlines += [one.next_timeout() for one in self.machines]
            times = [one for one in deadlines if one is not None]
            times += [entry[0] for entry in self.plan[:1]]
            following = min(times, default=until)
            if following > until:
                self.now = until
                return
            self.now = max(self.now, following)
            while self.plan and self.plan[0][0] <= self.now:
                self.plan.pop(0)[1]()
            for number, link in enumerate(self.up):
                arrived = [
                    Datagram(one.data, self.addresses[number], _SERVER, one.at)
                    for one in link.arrivals(self.now)
                ]
                if arrived and number not in self.dead_up:
                    self.server.receive_datagrams(arrived, self.now)
            for number, link in enumerate(self.down):
                arrived = [
                    Datagram(one.data, _SERVER, self.addresses[number], one.at)
                    for one in link.arrivals(self.now)
                ]
                if arrived and number not in self.dead_down:
                    self.callers[number].receive_datagrams(arrived, self.now)
            for machine in self.machines:
                deadline = machine.next_timeout()
                if deadline is not None and deadline <= self.now:
                    machine.handle_timeout(self.now)
        raise AssertionError("it does not come to rest")

    @staticmethod
    def _messages(events: list[Any]) -> list[bytes]:
        return [
            message.data
            for _, event in events
            if isinstance(event, MessagesReceived)
            for message in event.messages
        ]

    @property
    def got(self) -> list[bytes]:
        return self._messages(self.server_events)

    @property
    def got_down(self) -> list[bytes]:
        return self._messages(self.caller_events)

    def told(self, kind: type, *, server: bool = False) -> list[Any]:
        events = self.server_events if server else self.caller_events
        return [event for _, event in events if isinstance(event, kind)]

    def statistics(self, *, server: bool) -> Any:
        groups = self.server_groups if server else self.caller_groups
        group = groups.group(self.server_group if server else self.caller_group)
        assert group is not None
        return group.statistics(self.now)

    def latencies(self) -> list[float]:
        return [
            at - message.source_time
            for at, event in self.server_events
            if isinstance(event, MessagesReceived)
            for message in event.messages
        ]


_FAST = Conditions(delay=0.01)


def test_callers_of_one_group_become_one_stream() -> None:
    net = Bonded(GroupType.BROADCAST, [_FAST, _FAST])
    net.stream(200)
    net.run(3)
    assert net.got == net.sent
    assert len(net.sent) == 200
    (established,) = net.told(GroupEstablished, server=True)
    assert established.stream_id == "feed"
    assert established.type is GroupType.BROADCAST
    assert len(net.told(MemberJoined, server=True)) == 2
    assert net.told(GroupEstablished)[0].peer_group_id == established.group_id
    statistics = net.statistics(server=True)
    assert statistics.pkt_recv_unique_total == 200
    assert statistics.pkt_recv_duplicate_total == 200
    assert statistics.byte_recv_unique_total == 200 * (104 + 44)
    assert all(one.state is MemberState.RUNNING for one in statistics.members)
    assert net.statistics(server=False).pkt_sent_unique_total == 200
    # Delivered at their time, whichever link brought them.
    assert max(net.latencies()) < 0.225


@pytest.mark.parametrize("kind", GroupType)
def test_a_group_carries_both_directions(kind: GroupType) -> None:
    net = Bonded(kind, [_FAST, _FAST])
    net.stream(100)
    net.stream_down(100)
    net.run(3)
    assert net.got == net.sent
    assert net.got_down == net.sent_down
    assert len(net.sent_down) == 100


@pytest.mark.slow
def test_one_link_dies_unnoticed() -> None:
    net = Bonded(GroupType.BROADCAST, [_FAST, _FAST])
    net.stream(1000)
    net.at(2, lambda: net.cut(0))
    net.run(9)
    assert net.got == net.sent
    assert len(net.told(MemberLost, server=True)) == 1
    assert len(net.told(MemberLost)) == 1
    assert max(net.latencies()) < 0.225


@pytest.mark.slow
def test_links_die_in_turn_and_come_back() -> None:
    net = Bonded(GroupType.BROADCAST, [_FAST, Conditions(delay=0.03)])
    net.stream(4000)
    net.at(2, lambda: net.cut(0))
    net.at(8, lambda: net.mend(0))
    net.at(8.1, lambda: net.connect(0))
    net.at(11, lambda: net.cut(1))
    net.run(24)
    assert len(net.sent) == 4000
    assert net.got == net.sent
    assert len(net.told(MemberJoined, server=True)) == 3
    assert len(net.told(MemberLost, server=True)) == 2
    assert not net.told(GroupClosed)


@pytest.mark.slow
def test_loss_on_both_links_is_made_up_for() -> None:
    lossy = Conditions(delay=0.02, jitter=0.01, loss=0.2, duplicate=0.02, reorder=0.05)
    net = Bonded(GroupType.BROADCAST, [lossy, lossy], seed=7)
    # Once both stand: what is lost on one alone may be asked for too late at first.
    net.stream(1000, begin=1.5)
    net.run(9)
    assert net.got == net.sent
    assert len(net.sent) == 1000


@pytest.mark.slow
def test_what_another_link_brought_is_not_asked_for() -> None:
    lossy = Conditions(delay=0.03, loss=0.2)
    net = Bonded(GroupType.BROADCAST, [_FAST, lossy], seed=3)
    net.stream(1000)
    net.run(9)
    assert net.got == net.sent
    statistics = net.statistics(server=True)
    assert [one.link.pkt_sent_nak_total for one in statistics.members] == [0, 0]
    assert [one.pkt_recv_first_total for one in statistics.members] == [1000, 0]


@pytest.mark.slow
@pytest.mark.parametrize("delays", [(0.005, 0.2), (0.2, 0.005)])
def test_very_different_delays_make_one_stream(delays: tuple[float, float]) -> None:
    net = Bonded(
        GroupType.BROADCAST,
        [Conditions(delay=delay) for delay in delays],
        options=attrs.evolve(_OPTIONS, peer_latency=0.5),
    )
    net.stream(1000, begin=1.5)
    net.at(4, lambda: net.cut(delays.index(0.005)))
    net.run(15)
    assert len(net.sent) == 1000
    assert net.got == net.sent


@pytest.mark.slow
def test_one_direction_of_a_link_dies() -> None:
    net = Bonded(GroupType.BROADCAST, [_FAST, _FAST])
    net.stream(1000)
    net.at(2, lambda: net.dead_up.add(0))
    net.at(3, lambda: net.dead_down.add(1))
    net.run(7)
    assert net.got == net.sent


@pytest.mark.slow
def test_a_late_link_begins_where_the_group_is() -> None:
    net = Bonded(GroupType.BROADCAST, [_FAST, _FAST], late={1: _NOW + 2})
    net.stream(1000)
    net.at(4, lambda: net.cut(0))
    net.run(12)
    assert net.got == net.sent
    assert len(net.sent) == 1000
    statistics = net.statistics(server=True)
    assert statistics.pkt_rcv_drop_total == 0


def test_a_group_whose_last_link_is_gone_is_gone() -> None:
    net = Bonded(GroupType.BROADCAST, [_FAST, _FAST])
    net.stream(100)
    net.at(0.9, lambda: net.caller_groups.close_group(net.caller_group, now=net.now))
    net.run(3)
    # What had come is delivered before.
    assert net.got == net.sent
    assert len(net.told(GroupClosed)) == 1
    assert len(net.told(GroupClosed, server=True)) == 1
    assert isinstance(net.server_events[-1][1], GroupClosed)
    assert net.caller_groups.send(net.caller_group, [b"late"], now=net.now) == 0


def test_main_and_backup_send_over_one_link() -> None:
    net = Bonded(GroupType.BACKUP, [_FAST, _FAST])
    net.stream(400)
    net.run(4)
    assert net.got == net.sent
    assert len(net.sent) == 400
    by_weight = {one.weight: one for one in net.statistics(server=True).members}
    assert by_weight[2].pkt_recv_first_total + by_weight[1].pkt_recv_first_total == 400
    assert by_weight[2].pkt_recv_first_total > 350
    states = {one.weight: one.state for one in net.statistics(server=False).members}
    assert states == {2: MemberState.RUNNING, 1: MemberState.IDLE}


@pytest.mark.slow
def test_the_backup_takes_over_and_the_main_link_returns() -> None:
    net = Bonded(GroupType.BACKUP, [_FAST, _FAST])
    net.stream(4000)
    net.at(2, lambda: net.cut(0))
    net.at(9, lambda: net.mend(0))
    net.at(9.1, lambda: net.connect(0))
    net.run(22)
    assert len(net.sent) == 4000
    assert net.got == net.sent
    assert max(net.latencies()) < 0.225
    activated = [
        (round(at - _NOW, 2), event)
        for at, event in net.caller_events
        if isinstance(event, MemberActivated)
    ]
    # The backup was asked within the least time of silence and a check.
    assert next(at for at, event in activated if event.resent > 5) < 2.1
    assert activated[-1][1].socket_id == net.sockets[0]
    assert net.told(MemberSilenced)[-1].socket_id == net.sockets[1]


@pytest.mark.slow
def test_a_disturbance_ends_with_the_main_link() -> None:
    net = Bonded(GroupType.BACKUP, [_FAST, Conditions(delay=0.03)])
    net.stream(3000)
    net.at(2, lambda: net.cut(0))
    net.at(2.4, lambda: net.mend(0))
    net.run(17)
    assert net.got == net.sent
    assert not net.told(MemberLost)
    states = {one.weight: one.state for one in net.statistics(server=False).members}
    assert states == {2: MemberState.RUNNING, 1: MemberState.IDLE}


@pytest.mark.slow
def test_members_encrypt_each_with_a_key_of_its_own() -> None:
    secret = "a passphrase of the group"
    net = Bonded(
        GroupType.BACKUP,
        [_FAST, _FAST],
        options=attrs.evolve(_OPTIONS, passphrase=secret),
        listening=attrs.evolve(_LISTENING, passphrase=secret),
    )
    net.stream(600)
    net.at(2, lambda: net.cut(0))
    net.run(5)
    assert len(net.sent) == 600
    assert net.got == net.sent


def test_a_silent_program_makes_no_link_unstable() -> None:
    net = Bonded(GroupType.BACKUP, [_FAST, _FAST])
    net.stream(100)
    net.stream(100, begin=8)
    net.run(9.5)
    assert net.got == net.sent
    assert all(event.resent < 5 for event in net.told(MemberActivated))


def test_the_same_seeds_give_the_same_run() -> None:
    lossy = Conditions(delay=0.02, jitter=0.02, loss=0.1)
    runs = []
    for _ in range(2):
        net = Bonded(GroupType.BACKUP, [lossy, lossy], seed=5)
        net.stream(300)
        net.at(1, lambda net=net: net.cut(0))  # type: ignore[misc]
        net.run(4)
        runs.append((net.caller_events, net.server_events))
    assert runs[0] == runs[1]


def test_a_link_of_another_type_or_group_is_refused() -> None:
    net = Bonded(
        GroupType.BROADCAST, [_FAST, _FAST, _FAST], late={1: _NOW + 99, 2: _NOW + 99}
    )
    net.run(0.5)
    for number, membership in enumerate(
        (
            GroupMembership(net.caller_group, GroupType.BACKUP),
            GroupMembership(net.caller_group, 7),
        )
    ):
        net.callers[number + 1].connect(
            _SERVER, _OPTIONS, group=membership, now=net.now
        )
    net.run(1)
    codes = [
        event.code
        for _, event in net.caller_events
        if type(event).__name__ == "ConnectionRejected"
    ]
    assert codes == [15, 15]
    assert net.server_groups.refused == 2
    assert len(net.statistics(server=True).members) == 1


def test_a_caller_with_the_same_group_and_another_stream_is_no_member() -> None:
    net = Bonded(GroupType.BROADCAST, [_FAST, _FAST], late={1: _NOW + 99})
    net.run(0.5)
    net.callers[1].connect(
        _SERVER,
        attrs.evolve(_OPTIONS, stream_id="other"),
        group=GroupMembership(net.caller_group, GroupType.BROADCAST),
        now=net.now,
    )
    net.run(1)
    assert len(net.told(GroupEstablished, server=True)) == 2


def test_too_many_links_and_groups_are_refused() -> None:
    limits = Limits(group_members=1, groups=1)
    net = Bonded(
        GroupType.BROADCAST, [_FAST, _FAST], late={1: _NOW + 99}, limits=limits
    )
    net.run(0.5)
    for group_id in (net.caller_group, net.caller_group + 1):
        net.callers[1].connect(
            _SERVER,
            _OPTIONS,
            group=GroupMembership(group_id, GroupType.BROADCAST),
            now=net.now,
        )
    net.run(1)
    assert net.server_groups.refused == 2
    with pytest.raises(Exception, match="too many"):
        net.connect(1)


def test_a_link_with_sequences_far_away_harms_nobody() -> None:
    net = Bonded(GroupType.BROADCAST, [_FAST, _FAST], late={1: _NOW + 99})
    net.stream(200)
    net.run(1)
    membership = GroupMembership(net.caller_group, GroupType.BROADCAST)
    liar = net.callers[1].connect(
        _SERVER, _OPTIONS, group=membership, initial_sequence=77, now=net.now
    )
    net.run(1.2)
    connection = net.callers[1].connection(liar)
    assert connection is not None
    for number in range(50):
        net.at(1.2 + number / 100, lambda: _lie(net, liar))
    net.run(3)
    assert net.got == net.sent
    assert net.statistics(server=True).pkt_rcv_refused_total >= 50
    assert not net.told(MessagesDropped, server=True)


def _lie(net: Bonded, socket_id: int) -> None:
    net.callers[1].send(socket_id, [b"a lie"], now=net.now)


def test_a_caller_whose_links_lead_to_two_groups_keeps_the_first() -> None:
    net = Bonded(GroupType.BROADCAST, [_FAST, _FAST], late={1: _NOW + 1})
    net.run(0.9)
    # The listener forgets, and answers with another group.
    net.server_groups = Groups(dice=SeededDice(99))
    net.run(2)
    (rejected,) = net.told(MemberRejected)
    assert "another group" in rejected.reason
    assert net.statistics(server=False).members_refused_total == 1


def test_a_link_that_drops_what_another_brought_is_acknowledged() -> None:
    net = Bonded(GroupType.BROADCAST, [_FAST, Conditions(delay=0.05)])
    net.stream(100)
    net.run(2)
    connection = net.callers[1].connection(net.sockets[1])
    assert connection is not None
    sequence = connection.sender.buffer.next
    field = b"".join(
        (one & 0x7FFF_FFFF).to_bytes(4) for one in (sequence, sequence + 4)
    )
    header = (0x8007_0000).to_bytes(4) + bytes(8)
    destination = connection.negotiated.peer_socket_id.to_bytes(4)
    request = Datagram(header + destination + field, _SERVER, net.addresses[1])
    for number in range(100, 120):
        net.at(2 + number / 200, lambda number=number: net.send(number))  # type: ignore[misc]
    # It overtakes what it is about.
    net.at(2.54, lambda: net.up[1].send([request], net.now))
    net.run(4)
    assert net.got == net.sent
    assert connection.sender.flight == 0
