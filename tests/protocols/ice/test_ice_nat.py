"""NATs between the agents, STUN servers, and peers that change their address."""

from __future__ import annotations

from typing import Any

import pytest
from sansmedia.ice import (
    CandidateType,
    GatheringCompleted,
    LocalCandidateFound,
    RemotePathForgotten,
    RemotePathLearned,
    host_candidate,
)
from sansmedia.sansio import UsageError
from sansmedia.sansio.testing import Conditions

_SERVER, _CLIENT = "192.0.2.1", "10.0.0.2"


def test_a_stun_server_shows_the_address_that_a_nat_gives(
    network: Any, make_nat: Any, stun_server: Any
) -> None:
    """RFC 8445 §5.1.1.2, §5.1.1.3."""
    host = network.host(_CLIENT, nat=make_nat("203.0.113.7"))
    host.agent.gather(stun_server, now=0.0)
    network.run(1.0)
    [found] = host.told(LocalCandidateFound)
    assert found.candidate.address == ("203.0.113.7", 20000)
    assert found.candidate.type is CandidateType.SERVER_REFLEXIVE
    assert found.candidate.related == (_CLIENT, 5000)
    assert found.candidate.priority < host.agent.local_candidates[0].priority
    assert found.candidate.foundation != host.agent.local_candidates[0].foundation
    assert host.told(GatheringCompleted) == [GatheringCompleted()]


def test_an_address_that_no_nat_changed_is_no_new_candidate(
    network: Any, stun_server: Any
) -> None:
    """RFC 8445 §5.1.3."""
    host = network.host("192.0.2.9")
    host.agent.gather(stun_server, now=0.0)
    network.run(1.0)
    assert host.told(LocalCandidateFound) == []
    assert host.told(GatheringCompleted) == [GatheringCompleted()]


def test_a_silent_stun_server_is_given_up(network: Any) -> None:
    """RFC 8445 §14.3, RFC 8489 §6.2.1."""
    host = network.host(_SERVER)
    host.agent.gather(("198.51.100.1", 3478), now=0.0)
    network.run(39.4)
    assert host.told(GatheringCompleted) == []
    network.run(39.6)
    assert host.told(GatheringCompleted) == [GatheringCompleted()]
    assert len(network.sent) == 7


def test_a_stun_server_is_asked_over_bases_of_its_family_alone(
    network: Any, stun_server: Any
) -> None:
    host = network.host(_SERVER, "2001:db8::1", "192.0.2.8")
    host.agent.gather(stun_server, now=0.0)
    network.run(1.0)
    asked = [sent for sent in network.sent if sent.target == stun_server]
    assert [sent.source[0] for sent in asked] == [_SERVER, "192.0.2.8"]
    assert asked[1].at - asked[0].at >= 0.05
    with pytest.raises(UsageError):
        host.agent.gather(("stun.example.org", 3478), now=1.0)


def test_two_cones_meet_by_their_reflexive_candidates(
    network: Any, make_nat: Any, stun_server: Any
) -> None:
    left = network.host("10.0.0.2", nat=make_nat("203.0.113.7"), controlling=True)
    right = network.host("10.9.9.2", nat=make_nat("203.0.113.8"))
    network.introduce(left, right)
    for host in (left, right):
        host.agent.gather(stun_server, now=0.0)
    network.complete(left, right)
    assert left.agent.selected_path.peer == ("203.0.113.8", 20000)
    assert right.agent.selected_path.peer == ("203.0.113.7", 20000)
    # Data leaves from the base, and the peer sees the mapped address.
    assert left.agent.selected_path.local == ("10.0.0.2", 5000)
    selected = [report for report in left.agent.pair_report() if report.selected]
    assert [report.mapped for report in selected] == [("203.0.113.7", 20000)]


def test_a_client_behind_a_symmetric_nat_reaches_a_public_server(
    network: Any, make_nat: Any, stun_server: Any
) -> None:
    nat = make_nat("203.0.113.7", symmetric=True)
    client = network.host(_CLIENT, nat=nat, controlling=True)
    server = network.host(_SERVER)
    client.agent.gather(stun_server, now=0.0)
    network.introduce(client, server)
    network.complete(client, server)
    [selected] = [report for report in server.agent.pair_report() if report.selected]
    assert selected.remote_type is CandidateType.PEER_REFLEXIVE
    # The mapping towards the STUN server was another one.
    assert selected.remote != ("203.0.113.7", 20000)


def _nominating_client(network: Any, server: Any, client: Any) -> None:
    """Have a client nominate with every check, as browsers do on their pair."""
    network.introduce(client, server)
    network.complete(client, server)


@pytest.mark.parametrize("loss", [0.0, 0.2])
def test_a_session_follows_its_peer_to_the_address_after_a_rebinding(
    make_network: Any, make_nat: Any, loss: float
) -> None:
    network = make_network(Conditions(delay=0.01, loss=loss), 3)
    nat = make_nat("203.0.113.7")
    client = network.host(_CLIENT, nat=nat, controlling=True)
    server = network.host(_SERVER)
    network.introduce(client, server)
    network.complete(client, server)
    first = server.agent.selected_path.peer
    network.run(20)
    nat.rebind()
    # A browser nominates again with its consent checks; this client begins anew.
    network.later(0.5, lambda: _nominate_again(network, client, server))
    network.run(40)
    second = server.agent.selected_path.peer
    assert second[0] == first[0]
    assert second[1] != first[1]
    assert server.agent.state.value == "completed"
    learned = [event.path.peer for event in server.told(RemotePathLearned)]
    assert learned == [first, second]


def _nominate_again(network: Any, client: Any, server: Any) -> None:
    """Let a fresh agent with the client's credentials control the session."""
    fresh = network.host(
        _CLIENT,
        nat=client.nat,
        controlling=True,
        ufrag=client.agent.local_ufrag,
        pwd=client.agent.local_pwd,
    )
    network.hosts.remove(client)
    fresh.agent.set_remote_parameters(
        server.agent.local_ufrag, server.agent.local_pwd, now=network.now
    )
    fresh.peer = server
    for candidate in server.agent.local_candidates:
        fresh.agent.add_remote_candidate(candidate, now=network.now)


def test_a_session_follows_its_peer_to_another_network(network: Any) -> None:
    """A phone leaves its home: another interface nominates under the same session."""
    client = network.host("192.0.2.50", controlling=True)
    server = network.host(_SERVER)
    network.introduce(client, server)
    network.complete(client, server)
    network.run(20)
    client.addresses[:] = ["198.51.100.50"]
    fresh = network.host(
        "198.51.100.50",
        controlling=True,
        ufrag=client.agent.local_ufrag,
        pwd=client.agent.local_pwd,
    )
    network.hosts.remove(client)
    fresh.agent.set_remote_parameters(
        server.agent.local_ufrag, server.agent.local_pwd, now=20.0
    )
    fresh.peer = server
    fresh.agent.add_remote_candidate(host_candidate((_SERVER, 5000)), now=20.0)
    network.run(21)
    assert server.agent.selected_path.peer == ("198.51.100.50", 5000)
    assert fresh.agent.state.value == "completed"


def test_addresses_learned_without_end_push_the_oldest_out(
    network: Any, make_nat: Any
) -> None:
    nat = make_nat("203.0.113.7")
    client = network.host(_CLIENT, nat=nat, controlling=True)
    server = network.host(_SERVER)
    network.parameters(client, server)
    network.candidates(server)
    network.complete(client, server)
    for number in range(60):
        nat.rebind()
        network.run(1 + number * 20.0)
    learned = server.told(RemotePathLearned)
    forgotten = server.told(RemotePathForgotten)
    assert len(learned) > 40
    assert len(learned) - len(forgotten) <= 43
    assert {event.path for event in forgotten} < {event.path for event in learned}
    assert server.agent.statistics().pairs <= 21
    # The selected pair is not among those that had to go.
    assert server.agent.pending_bytes < 40_000
