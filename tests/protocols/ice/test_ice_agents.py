"""Two agents find each other: roles, networks, signalling in every order."""

from __future__ import annotations

import itertools
from typing import Any

import attrs
import pytest
from sansmedia.ice import (
    Candidate,
    CandidateType,
    PathSelected,
    RemotePathLearned,
    RoleChanged,
    TcpType,
    host_candidate,
)
from sansmedia.sansio.testing import Conditions

_LEFT, _RIGHT = "192.0.2.1", "192.0.2.2"


def _ways(host: Any) -> tuple[str, str]:
    path = host.agent.selected_path
    return path.local[0], path.peer[0]


def test_a_controlling_and_a_controlled_agent_agree_on_a_pair(network: Any) -> None:
    left = network.host(_LEFT, controlling=True)
    right = network.host(_RIGHT)
    network.introduce(left, right)
    network.complete(left, right)
    assert network.now < 0.5
    assert _ways(left) == (_LEFT, _RIGHT)
    assert _ways(right) == (_RIGHT, _LEFT)
    assert left.states == ["checking", "connected", "completed"]
    assert right.states == ["checking", "connected", "completed"]


def test_the_path_is_told_when_valid_and_again_when_nominated(network: Any) -> None:
    left = network.host(_LEFT, controlling=True)
    right = network.host(_RIGHT)
    network.introduce(left, right)
    network.complete(left, right)
    for host in (left, right):
        assert [event.nominated for event in host.told(PathSelected)] == [False, True]
        assert len(set(host.selected)) == 1


@pytest.mark.parametrize("controlling", [True, False])
def test_agents_of_one_role_repair_the_conflict(
    network: Any, controlling: bool
) -> None:
    """RFC 8445 §7.2.5.1, §7.3.1.1."""
    left = network.host(_LEFT, controlling=controlling)
    right = network.host(_RIGHT, controlling=controlling)
    network.introduce(left, right)
    network.complete(left, right)
    changes = left.told(RoleChanged) + right.told(RoleChanged)
    assert [change.controlling for change in changes] == [not controlling]
    assert left.agent.controlling != right.agent.controlling


@pytest.mark.parametrize("seed", range(1, 9))
@pytest.mark.parametrize("roles", [(True, False), (True, True), (False, False)])
def test_agents_find_each_other_on_a_bad_network(
    make_network: Any, roles: tuple[bool, bool], seed: int
) -> None:
    bad = Conditions(
        delay=0.05,
        jitter=0.03,
        loss=0.25,
        duplicate=0.1,
        reorder=0.2,
        reorder_delay=0.1,
    )
    network = make_network(bad, seed)
    left = network.host(_LEFT, "2001:db8::1", controlling=roles[0])
    right = network.host(_RIGHT, "2001:db8::2", controlling=roles[1])
    network.introduce(left, right)
    network.complete(left, right, until=60)
    network.run(network.now + 4)
    assert left.agent.selected_path.local == right.agent.selected_path.peer
    assert left.agent.selected_path.peer == right.agent.selected_path.local


def test_ipv6_and_ipv4_do_not_pair(network: Any) -> None:
    """RFC 8445 §6.1.2.2: nor do link-local addresses with others."""
    left = network.host("2001:db8::1", "fe80::1", controlling=True)
    right = network.host(_RIGHT, "2001:db8::2", "fe80::2")
    network.introduce(left, right)
    network.complete(left, right)
    report = left.agent.pair_report()
    pairs = {(pair.local[0], pair.remote[0]) for pair in report if pair.local}
    assert pairs == {("2001:db8::1", "2001:db8::2"), ("fe80::1", "fe80::2")}
    assert [pair.error for pair in report if pair.local is None] == [
        "fits no local candidate or is one too many"
    ]
    assert _ways(left) == ("2001:db8::1", "2001:db8::2")


@pytest.mark.parametrize("seed", range(1, 4))
def test_a_full_agent_controls_a_lite_one(make_network: Any, seed: int) -> None:
    """RFC 8445 §2.5, §6.1.1, §7.3.2."""
    network = make_network(Conditions(delay=0.02, loss=0.2), seed)
    full = network.host(_LEFT)
    lite = network.host(_RIGHT, lite=True)
    network.introduce(full, lite, lite=True)
    assert full.agent.controlling
    network.complete(full, lite)
    assert not lite.agent.controlling
    assert [event.nominated for event in lite.told(PathSelected)] == [True]
    assert lite.agent.statistics().responses_received == 0


def test_a_lite_agent_sends_nothing_of_its_own_but_keepalives(network: Any) -> None:
    """RFC 8445 §11."""
    full = network.host(_LEFT, controlling=True)
    lite = network.host(_RIGHT, lite=True)
    network.introduce(full, lite, lite=True)
    network.run(61)
    kinds = [sent.data[:2].hex() for sent in network.sent if sent.source[0] == _RIGHT]
    assert set(kinds) == {"0101", "0011"}
    indications = [sent for sent in network.sent if sent.data[:2] == b"\x00\x11"]
    assert len(indications) == 4
    # Nothing but the fingerprint.
    assert {len(sent.data) for sent in indications} == {28}
    assert full.agent.state.value == "completed"


def test_two_lite_agents_take_the_pair_there_is(network: Any) -> None:
    """RFC 8445 §8.2."""
    left = network.host(_LEFT, lite=True)
    right = network.host(_RIGHT, lite=True)
    network.parameters(left, right, lite=True)
    right.agent.close(now=network.now)
    network.signal(right, host_candidate((_RIGHT, 5000)))
    network.run(1)
    assert _ways(left) == (_LEFT, _RIGHT)
    assert left.agent.state.value == "completed"
    assert network.sent == []
    # Nobody asks, so nobody consents, unless data is heard.
    left.agent.note_received(now=20.0)
    network.run(49)
    assert left.agent.state.value == "disconnected"
    network.run(60)
    assert left.states[-1] == "failed"
    network.run(200)
    assert left.agent.selected_path is None


def test_a_peer_that_signals_no_candidate_is_learned(network: Any) -> None:
    """RFC 8445 §7.3.1.3: FFmpeg and OBS offer none."""
    client = network.host(_LEFT, controlling=True)
    server = network.host(_RIGHT)
    network.parameters(client, server)
    network.candidates(server)
    network.complete(client, server)
    [report] = server.agent.pair_report()
    assert report.remote == (_LEFT, 5000)
    assert report.remote_type is CandidateType.PEER_REFLEXIVE


def test_a_learned_candidate_becomes_what_it_is_signalled_as(network: Any) -> None:
    client = network.host(_LEFT, controlling=True)
    server = network.host(_RIGHT)
    network.parameters(client, server)
    network.candidates(server)
    network.complete(client, server)
    before = server.agent.pair_report()[0].priority
    network.candidates(client)
    [report] = server.agent.pair_report()
    assert report.remote_type is CandidateType.HOST
    assert report.priority > before
    assert report.selected


def _steps(network: Any, left: Any, right: Any) -> list[Any]:
    """What signalling may do in any order, on both sides."""

    def know(host: Any, other: Any) -> Any:
        return lambda: host.agent.set_remote_parameters(
            other.agent.local_ufrag, other.agent.local_pwd, now=network.now
        )

    def trickle(host: Any) -> Any:
        return lambda: network.candidates(host)

    def end(host: Any) -> Any:
        return lambda: host.agent.end_of_remote_candidates(now=network.now)

    left.peer, right.peer = right, left
    return [
        know(left, right),
        know(right, left),
        trickle(left),
        trickle(right),
        end(left),
    ]


@pytest.mark.parametrize("order", list(itertools.permutations(range(5))))
def test_signalling_in_any_order_leads_to_the_same_pair(
    network: Any, order: tuple[int, ...]
) -> None:
    """RFC 8838 §11, §12, §14."""
    left = network.host(_LEFT, "2001:db8::1", controlling=True)
    right = network.host(_RIGHT, "2001:db8::2")
    steps = _steps(network, left, right)
    for number, index in enumerate(order):
        network.run(number * 0.3)
        steps[index]()
    network.complete(left, right)
    assert left.agent.selected_path.local == right.agent.selected_path.peer


def test_a_check_that_comes_before_the_answer_is_answered_at_once(
    network: Any,
) -> None:
    """RFC 8445 §7.3."""
    early = network.host(_LEFT, controlling=True)
    late = network.host(_RIGHT)
    early.peer, late.peer = late, early
    early.agent.set_remote_parameters(
        late.agent.local_ufrag, late.agent.local_pwd, now=0.0
    )
    network.candidates(late)
    network.run(1.0)
    # Answered, so that the early one is through; the other knows nobody to ask.
    assert early.agent.selected_path is not None
    assert late.agent.selected_path is None
    assert late.states == []
    late.agent.set_remote_parameters(
        early.agent.local_ufrag, early.agent.local_pwd, now=1.0
    )
    network.run(1.2)
    assert late.agent.state.value == "completed"


def test_a_candidate_of_another_session_is_left_out(network: Any) -> None:
    left = network.host(_LEFT, controlling=True)
    right = network.host(_RIGHT)
    network.parameters(left, right)
    candidate = host_candidate((_RIGHT, 5000))
    old = attrs.evolve(candidate, extensions=(("ufrag", "older"),))
    network.signal(right, old)
    [report] = left.agent.pair_report()
    assert report.error == "is of another session"
    ufrag = right.agent.local_ufrag
    network.signal(right, attrs.evolve(candidate, extensions=(("ufrag", ufrag),)))
    network.complete(left, right)


@pytest.mark.parametrize("lite", [False, True])
def test_a_nomination_that_comes_before_the_parameters_counts_after_them(
    network: Any, lite: bool
) -> None:
    early = network.host(_LEFT, controlling=True)
    late = network.host(_RIGHT, lite=lite)
    early.peer, late.peer = late, early
    early.agent.set_remote_parameters(
        late.agent.local_ufrag, late.agent.local_pwd, now=0.0
    )
    network.candidates(late)
    network.run(1.0)
    assert early.agent.state.value == "completed"
    assert late.selected == []
    late.agent.set_remote_parameters(
        early.agent.local_ufrag, early.agent.local_pwd, now=1.0
    )
    network.run(1.2)
    assert late.states[-1] == "completed"
    assert late.selected[-1].peer == (_LEFT, 5000)


def test_a_candidate_without_a_pair_is_shown_until_it_has_one(network: Any) -> None:
    left = network.host(_LEFT, controlling=True)
    right = network.host("2001:db8::2")
    network.parameters(left, right)
    network.candidates(right)
    [report] = left.agent.pair_report()
    assert (report.state, report.local) == ("unpaired", None)
    left.agent.add_local_candidate(host_candidate(("2001:db8::1", 5000)), now=0.0)
    [report] = left.agent.pair_report()
    assert report.local == ("2001:db8::1", 5000)


def test_names_and_foreign_candidates_pair_with_nothing(network: Any) -> None:
    server = network.host(_LEFT)
    client = network.host(_RIGHT, controlling=True)
    network.parameters(server, client)

    def candidate(host: str, **changes: Any) -> Candidate:
        fields: dict[str, Any] = {
            "foundation": "1",
            "component": 1,
            "transport": "udp",
            "priority": 1000,
            "host": host,
            "port": 9,
            "type": CandidateType.HOST,
        }
        return Candidate(**(fields | changes))

    network.signal(client, candidate("9b36eaac-bb2e-49bb-bb78-21c41c499900.local"))
    network.signal(client, candidate("turn.example.org"))
    network.signal(client, candidate(_RIGHT, component=2))
    network.signal(client, candidate(_RIGHT, transport="sctp"))
    network.signal(client, candidate(_RIGHT, port=0))
    so = candidate(_RIGHT, transport="tcp", tcp_type=TcpType.SIMULTANEOUS_OPEN)
    network.signal(client, so)
    active = candidate(_RIGHT, transport="tcp", tcp_type=TcpType.ACTIVE)
    network.signal(client, active)
    assert [report.error for report in server.agent.pair_report()] == [
        "has a name instead of an address",
        "has a name instead of an address",
        "is of another component",
        "has a transport that is not spoken",
        "has port 0",
        "wants a simultaneous open",
        "waits for the peer to connect",
    ]
    network.candidates(server)
    network.complete(server, client)


def test_paths_are_told_after_the_first_authentic_message(network: Any) -> None:
    left = network.host(_LEFT, controlling=True)
    right = network.host(_RIGHT)
    network.introduce(left, right)
    network.run(10)
    for host, here, there in ((left, _LEFT, _RIGHT), (right, _RIGHT, _LEFT)):
        [learned] = host.told(RemotePathLearned)
        assert learned.path.local == (here, 5000)
        assert learned.path.peer == (there, 5000)


def test_a_candidate_behind_a_one_to_one_nat_is_signalled_and_its_base_used(
    network: Any,
) -> None:
    """RFC 8445 §5.1.1.1."""
    server = network.host("10.0.0.5")
    server.agent.add_local_candidate(
        host_candidate(("203.0.113.5", 5000), local_preference=1),
        base=("10.0.0.5", 5000),
        now=0.0,
    )
    hosts = [candidate.host for candidate in server.agent.local_candidates]
    assert hosts == ["10.0.0.5", "203.0.113.5"]
    client = network.host(_LEFT, controlling=True)
    network.parameters(server, client)
    network.candidates(client)
    # The two have one base, so they make one pair. RFC 8445 §6.1.2.4.
    assert [report.local for report in server.agent.pair_report()] == [
        ("10.0.0.5", 5000)
    ]
    network.run(1.0)
    assert {sent.source for sent in network.sent} == {
        ("10.0.0.5", 5000),
        (_LEFT, 5000),
    }


def test_a_wildcard_base_takes_what_comes_to_any_address(network: Any) -> None:
    server = network.host(_RIGHT, udp=False)
    server.agent.add_local_candidate(
        host_candidate((_RIGHT, 5000)), base=("0.0.0.0", 5000), now=0.0
    )
    client = network.host(_LEFT, controlling=True)
    network.introduce(client, server)
    network.complete(client, server)
    assert server.agent.selected_path.local == ("0.0.0.0", 5000)


def test_an_address_that_nobody_has_listed_becomes_a_base(network: Any) -> None:
    server = network.host(_RIGHT)
    server.addresses.append("192.0.2.77")
    client = network.host(_LEFT, controlling=True)
    network.parameters(client, server)
    network.signal(server, host_candidate(("192.0.2.77", 5000)))
    network.complete(client, server)
    assert _ways(server) == ("192.0.2.77", _LEFT)
    # It was never signalled, and is not now.
    assert {c.host for c in server.agent.local_candidates} == {_RIGHT}
