"""Consent, failure and restart. RFC 7675 §5, RFC 8445 §9."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from sansmedia.ice import (
    ConsentLost,
    IceAgent,
    IceConfig,
    Limits,
    PathSelected,
    StateChanged,
    host_candidate,
)
from sansmedia.sansio import Datagram, Terminated, TerminationCause, UsageError
from sansmedia.sansio.testing import Conditions, SeededDice
from sansmedia.stun import AttributeType, decode_message

_LEFT, _RIGHT = "192.0.2.1", "192.0.2.2"


def _settled(network: Any, **right_config: Any) -> tuple[Any, Any]:
    left = network.host(_LEFT, controlling=True)
    right = network.host(_RIGHT, **right_config)
    network.introduce(left, right)
    network.complete(left, right)
    return left, right


def test_consent_is_asked_for_every_five_seconds_or_so(network: Any) -> None:
    """RFC 7675 §5.1: 5 s times 0.8 to 1.2, never the same."""
    left, _ = _settled(network)
    network.run(200)
    times = [
        sent.at
        for sent in network.sent
        if sent.source[0] == _LEFT and sent.data[:2] == b"\0\1" and sent.at > 1
    ]
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert 33 <= len(times) <= 50
    assert min(gaps) >= 4.0
    assert max(gaps) <= 6.0
    assert len({round(gap, 3) for gap in gaps}) > 20
    assert left.agent.state.value == "completed"


def test_consent_ends_30_seconds_after_the_last_answer(network: Any) -> None:
    """RFC 7675 §5.1."""
    left, right = _settled(network)
    network.run(100)
    right.muted = True
    network.run(160)
    assert left.states[-2:] == ["disconnected", "failed"]
    [lost] = left.told(ConsentLost)
    assert lost.path == left.selected[0]
    assert left.agent.selected_path is None
    [report] = left.agent.pair_report()
    assert (report.state, report.error) == ("failed", "consent lost")
    assert left.agent.next_timeout() is None


def test_consent_is_not_asked_for_again_once_it_was_lost(network: Any) -> None:
    """RFC 7675 §5.1: with these credentials, over this path."""
    left, right = _settled(network)
    right.muted = True
    network.run(60)
    assert left.agent.state.value == "failed"
    sent = len([s for s in network.sent if s.source[0] == _LEFT])
    right.muted = False
    network.run(100)
    answers = [s for s in network.sent if s.source[0] == _LEFT][sent:]
    assert {s.data[:2] for s in answers} <= {b"\1\1"}
    assert left.agent.state.value == "failed"


def test_some_lost_answers_do_no_harm(make_network: Any) -> None:
    network = make_network(Conditions(delay=0.05, outages=((50.0, 72.0),)))
    left, right = _settled(network)
    network.run(100)
    for host in (left, right):
        assert host.states[-2:] == ["disconnected", "completed"]
        assert host.told(ConsentLost) == []


def _answerless(network: Any, **server_config: Any) -> Any:
    """A server whose peer sends checks and answers none, as FFmpeg 9 does."""
    left, right = _settled(network, **server_config)
    agent = left.agent

    class Deaf:
        """Drops every request that comes to the client."""

        def __getattr__(self, name: str) -> Any:
            return getattr(agent, name)

        def receive_datagrams(self, batch: list[Datagram], now: float) -> None:
            answers = [d for d in batch if d.data[:2] != b"\0\1"]
            agent.receive_datagrams(answers, now)

    left.agent = Deaf()
    return right


def test_a_peer_that_answers_no_check_loses_consent(network: Any) -> None:
    server = _answerless(network)
    network.run(60)
    assert server.agent.state.value == "failed"


def test_its_checks_may_be_taken_for_consent(network: Any) -> None:
    """FFmpeg 9 sends a check every 5 s and answers none while it streams."""
    server = _answerless(network, accept_requests_as_consent=True)
    network.run(300)
    assert server.agent.state.value == "completed"
    assert server.told(ConsentLost) == []
    assert "disconnected" not in server.states


def test_a_lite_agent_hears_its_peer_by_checks_and_data(network: Any) -> None:
    full = network.host(_LEFT, controlling=True)
    lite = network.host(_RIGHT, lite=True)
    network.introduce(full, lite, lite=True)
    network.complete(full, lite)
    network.run(100)
    assert lite.agent.state.value == "completed"
    full.muted = True
    for moment in range(100, 160, 10):
        network.run(moment)
        lite.agent.note_received(now=float(moment))
    assert lite.agent.state.value == "completed"
    network.run(200)
    assert lite.agent.state.value == "failed"
    assert len(lite.told(ConsentLost)) == 1


def test_data_is_no_consent_for_a_full_agent(network: Any) -> None:
    left, right = _settled(network)
    right.muted = True
    for moment in range(1, 60):
        network.run(moment)
        left.agent.note_received(now=float(moment))
    assert left.agent.state.value == "failed"


def test_nothing_has_failed_before_the_timer_has_run_out(network: Any) -> None:
    """RFC 8863 §4: even if there is no pair to check."""
    left = network.host(_LEFT, controlling=True)
    right = network.host(_RIGHT)
    network.parameters(left, right)
    left.agent.end_of_remote_candidates(now=0.0)
    network.run(39.4)
    assert left.states == ["checking"]
    network.run(39.6)
    assert left.states == ["checking", "failed"]


def test_the_timer_waits_for_checks_under_way(network: Any) -> None:
    left = network.host(_LEFT, controlling=True)
    right = network.host(_RIGHT)
    network.parameters(left, right)
    network.run(30)
    network.signal(right, host_candidate(("192.0.2.200", 1)))
    network.run(69)
    assert left.states == ["checking"]
    network.run(70)
    assert left.states == ["checking", "failed"]
    [report] = left.agent.pair_report()
    assert (report.state, report.error, report.checks_sent) == (
        "failed",
        "no answer",
        1,
    )


def test_a_candidate_that_comes_late_may_save_a_failed_agent(network: Any) -> None:
    left = network.host(_LEFT, controlling=True)
    right = network.host(_RIGHT)
    network.parameters(left, right)
    network.run(60)
    assert left.agent.state.value == "failed"
    network.candidates(right)
    network.complete(left, right, until=70)


def test_a_restart_keeps_the_old_path_until_the_new_one_is_nominated(
    network: Any,
) -> None:
    """RFC 8445 §9, §12.1."""
    left, right = _settled(network)
    old = left.agent.local_ufrag, left.agent.local_pwd
    path = left.agent.selected_path
    network.run(10)
    for host in (left, right):
        host.agent.restart(now=network.now)
        host.events.clear()
        assert host.agent.selected_path is not None
        assert len(host.agent.local_ufrags) == 2
    assert (left.agent.local_ufrag, left.agent.local_pwd) != old
    # Signalling may take its time: both still answer for, and ask with, the old ones.
    network.run(60)
    assert left.agent.selected_path == path
    network.introduce(left, right)
    network.complete(left, right, until=70)
    for host in (left, right):
        assert host.states == ["checking", "completed"]
        assert len(host.agent.local_ufrags) == 1
        # The same addresses, so the path is as it was.
        assert host.selected == []
    network.run(160)
    assert left.agent.state.value == "completed"


def test_a_restart_moves_the_session_to_other_candidates(network: Any) -> None:
    left, right = _settled(network)
    right.addresses.append("192.0.2.3")
    for host in (left, right):
        host.agent.restart(now=network.now)
        host.events.clear()
    network.parameters(left, right)
    right.agent.add_local_candidate(
        host_candidate(("192.0.2.3", 5000)), now=network.now
    )
    network.signal(right, right.agent.local_candidates[-1])
    network.complete(left, right)
    assert [path.peer for path in left.selected] == [("192.0.2.3", 5000)]


def test_a_restart_that_comes_to_nothing_leaves_the_old_path(network: Any) -> None:
    left, right = _settled(network)
    path = left.agent.selected_path
    left.agent.restart(now=network.now)
    left.events.clear()
    left.agent.set_remote_parameters("abcd", "x" * 22, now=network.now)
    network.run(60)
    assert left.states == ["checking", "failed"]
    assert left.agent.selected_path == path
    right.muted = True
    network.run(120)
    assert len(left.told(ConsentLost)) == 1
    assert left.agent.selected_path is None


def test_a_restart_saves_a_session_that_has_lost_consent(network: Any) -> None:
    left, right = _settled(network)
    left.muted = right.muted = True
    network.run(60)
    left.muted = right.muted = False
    for host in (left, right):
        assert host.agent.state.value == "failed"
        host.agent.restart(now=60.0)
    network.introduce(left, right)
    network.complete(left, right, until=70)


def test_several_restarts_in_a_row_leave_two_sessions_at_most(network: Any) -> None:
    left, right = _settled(network)
    path = left.agent.selected_path
    for _ in range(5):
        left.agent.restart(now=network.now)
        right.agent.restart(now=network.now)
        network.parameters(left, right)
        assert len(left.agent.local_ufrags) == 2
    network.introduce(left, right)
    network.complete(left, right)
    assert left.agent.selected_path == path


_MOVED = "192.0.2.3", 5000


def _usernames(sent: list[Datagram]) -> Iterator[tuple[str, bytes | None]]:
    """Return what was sent to the peer's new address."""
    for datagram in sent:
        message = decode_message(datagram.data)
        if datagram.peer == _MOVED:
            username = message.get(AttributeType.USERNAME)
            yield message.message_class.name, username


def _moved(wire_peer: Any, **config: Any) -> tuple[Any, bytes, dict[str, Any]]:
    """Restart with a peer that has moved, and checks from there by our old names."""
    peer = wire_peer(**config)
    settled = peer.give(peer.request(use_candidate=True), now=0.0)
    for check in [*peer.requests(settled), *peer.checks(0.0)]:
        peer.succeed(check, 0.0)
    assert peer.agent.state.value == "completed"
    agent, old = peer.agent, peer.agent.local_ufrag
    early = {
        "username": f"{old}:anew",
        "key": agent.local_pwd.encode(),
        "use_candidate": True,
    }
    # Its word of the restart comes later than its first check.
    sent = peer.give(peer.request(**early), now=5.0, peer=_MOVED)
    assert ("SUCCESS", None) in _usernames(sent)
    agent.restart(now=5.1)
    peer.pwd = "p" * 22
    agent.set_remote_parameters("anew", peer.pwd, now=5.1)
    return peer, f"anew:{old}".encode(), early


def test_a_restarted_peer_that_knows_our_old_names_is_checked_by_them(
    wire_peer: Any,
) -> None:
    """RFC 8445 §7.3.1.4, §9: Chromium 156, whose address and session change at once.

    What it has opened before our answer checks us, and is checked, by the user name
    fragment that it had of us then, for as long as it lives.
    """
    peer, username, early = _moved(wire_peer)
    agent = peer.agent
    sent = peer.give(peer.request(**early), now=5.2, peer=_MOVED)
    sent += peer.checks(5.2)
    assert list(_usernames(sent)) == [("SUCCESS", None), ("REQUEST", username)]
    [check] = peer.requests(sent)
    peer.succeed(check, 5.2)
    assert agent.selected_path.peer == _MOVED
    assert agent.state.value == "completed"
    # Consent goes on both ways in the same words. RFC 7675 §5.1.
    for now in range(12, 120, 6):
        sent = peer.give(peer.request(**early), now=now, peer=_MOVED)
        sent += peer.checks(now)
        assert list(_usernames(sent)) == [("SUCCESS", None), ("REQUEST", username)]
        peer.succeed(peer.requests(sent)[0], now)
    assert agent.state.value == "completed"
    assert len(agent.local_ufrags) == 2


def test_the_old_names_end_when_the_peer_uses_the_new_ones(wire_peer: Any) -> None:
    peer, _, early = _moved(wire_peer)
    agent = peer.agent
    [check] = peer.requests(peer.give(peer.request(**early), now=5.2, peer=_MOVED))
    peer.succeed(check, 5.2)
    anew = f"{agent.local_ufrag}:anew"
    peer.give(peer.request(username=anew), now=5.3, peer=_MOVED)
    assert agent.local_ufrags == (agent.local_ufrag,)
    [consent] = peer.checks(12.0)
    username = decode_message(consent.data).get(AttributeType.USERNAME)
    assert username == f"anew:{agent.local_ufrag}".encode()
    refused = peer.give(peer.request(**early), now=12.0, peer=_MOVED)
    assert list(_usernames(refused)) == [("ERROR", None)]


def test_a_check_by_the_new_names_takes_the_place_of_one_by_the_old_ones(
    wire_peer: Any,
) -> None:
    """RFC 8445 §7.3.1.4: one under way is cancelled, and another one made."""
    peer, username, early = _moved(wire_peer)
    agent = peer.agent
    sent = peer.give(peer.request(**early), now=5.2, peer=_MOVED)
    assert ("REQUEST", username) in _usernames(sent)
    anew = f"{agent.local_ufrag}:anew"
    new = f"anew:{agent.local_ufrag}".encode()
    request = peer.request(username=anew, use_candidate=True)
    sent = peer.give(request, now=5.3, peer=_MOVED)
    assert list(_usernames(sent)) == [("SUCCESS", None), ("REQUEST", new)]
    peer.succeed(peer.requests(sent)[0], 5.3)
    assert agent.selected_path.peer == _MOVED
    assert agent.local_ufrags == (agent.local_ufrag,)


def test_the_old_names_go_with_the_next_restart(wire_peer: Any) -> None:
    peer, _, early = _moved(wire_peer)
    agent = peer.agent
    [check] = peer.requests(peer.give(peer.request(**early), now=5.2, peer=_MOVED))
    peer.succeed(check, 5.2)
    middle = agent.local_ufrag
    agent.restart(now=6.0)
    assert agent.local_ufrags == (agent.local_ufrag, middle)


def test_the_old_names_go_with_consent(wire_peer: Any) -> None:
    peer, _, early = _moved(wire_peer)
    agent = peer.agent
    [check] = peer.requests(peer.give(peer.request(**early), now=5.2, peer=_MOVED))
    peer.succeed(check, 5.2)
    agent.handle_timeout(40.0)
    assert agent.selected_path is None
    assert agent.local_ufrags == (agent.local_ufrag,)
    # What works then is taken, nominated or not.
    anew = peer.request(username=f"{agent.local_ufrag}:anew")
    sent = peer.give(anew, now=41.0, peer=("192.0.2.4", 5000))
    peer.succeed(peer.requests(sent)[0], 41.0)
    assert agent.state.value == "connected"


def test_a_lite_agent_follows_a_peer_that_knows_its_old_names(wire_peer: Any) -> None:
    peer, _, early = _moved(wire_peer, lite=True)
    for now in (5.2, 30.0, 55.0):
        sent = peer.give(peer.request(**early), now=now, peer=_MOVED)
        assert ("SUCCESS", None) in _usernames(sent)
        assert peer.agent.selected_path.peer == _MOVED
    assert peer.agent.state.value == "completed"


def test_the_credentials_of_a_restart_are_new_ones() -> None:
    agent = IceAgent(dice=SeededDice(1), now=0.0)
    ufrag, pwd = agent.local_ufrag, agent.local_pwd
    with pytest.raises(UsageError):
        agent.restart(ufrag=ufrag, pwd=pwd, now=0.0)
    with pytest.raises(UsageError):
        agent.restart(ufrag="next", now=0.0)
    agent.restart(ufrag="next", pwd="p" * 22, now=0.0)
    assert (agent.local_ufrag, agent.local_pwd) == ("next", "p" * 22)


def test_parameters_of_the_peer_change_with_a_restart_alone() -> None:
    agent = IceAgent(dice=SeededDice(1), now=0.0)
    agent.set_remote_parameters("abcd", "x" * 22, now=0.0)
    agent.set_remote_parameters("abcd", "x" * 22, now=1.0)
    with pytest.raises(UsageError):
        agent.set_remote_parameters("efgh", "x" * 22, now=2.0)
    agent.restart(now=3.0)
    agent.set_remote_parameters("efgh", "x" * 22, now=4.0)


def test_credentials_come_from_the_dice_and_have_enough_of_it() -> None:
    """RFC 8445 §5.3, RFC 8839 §5.4."""
    agent = IceAgent(dice=SeededDice(1), now=0.0)
    other = IceAgent(dice=SeededDice(2), now=0.0)
    assert agent.local_ufrag != other.local_ufrag
    assert len(agent.local_ufrag) == 8
    assert len(agent.local_pwd) == 24
    assert agent.transaction_prefix != other.transaction_prefix
    own = IceConfig(ufrag="w3ab", pwd="q" * 22, transaction_prefix=b"w3ab")
    given = IceAgent(own, dice=SeededDice(1), now=0.0)
    assert (given.local_ufrag, given.local_pwd) == ("w3ab", "q" * 22)
    assert given.transaction_prefix == b"w3ab"


@pytest.mark.parametrize(
    "settings",
    [
        {"ufrag": "abcd"},
        {"ufrag": "abc", "pwd": "x" * 22},
        {"ufrag": "ab:d", "pwd": "x" * 22},
        {"ufrag": "abcd", "pwd": "x" * 21},
        {"transaction_prefix": b"abc"},
        {"ta": 0.001},
        {"rto": 0.0},
        {"consent_interval": 30.0},
    ],
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        IceConfig(**settings)


def test_a_closed_agent_forgets_everything(network: Any) -> None:
    left, right = _settled(network)
    left.agent.close("enough", now=network.now)
    assert left.agent.next_event() == Terminated(TerminationCause.LOCAL, "enough")
    assert left.agent.pending_bytes == 0
    assert left.agent.pair_report() == ()
    left.agent.set_remote_parameters("abcd", "x" * 22, now=network.now)
    left.agent.add_local_candidate(host_candidate((_LEFT, 1)), now=network.now)
    left.agent.gather((_RIGHT, 3478), now=network.now)
    left.agent.restart(now=network.now)
    left.agent.close(now=network.now)
    assert left.agent.next_event() is None
    assert left.agent.datagrams_to_send() == []
    network.run(60)
    assert right.agent.state.value == "failed"


def test_many_candidates_are_bounded(network: Any) -> None:
    """RFC 8445 §6.1.2.5: pairs of the lowest priority go."""
    left = network.host(_LEFT, controlling=True, limits=Limits(pairs=10))
    right = network.host(_RIGHT)
    network.parameters(left, right)
    for number in range(200):
        candidate = host_candidate(
            (f"198.51.100.{number}", 9), local_preference=100 + number
        )
        network.signal(right, candidate)
    report = left.agent.pair_report()
    assert len([pair for pair in report if pair.state != "unpaired"]) == 10
    priorities = [pair.priority for pair in report[:10]]
    assert priorities == sorted(priorities, reverse=True)
    assert report[0].remote[0] == "198.51.100.99"
    assert left.agent.statistics().pairs_discarded >= 180
    network.run(120)
    assert left.agent.state.value == "failed"
    assert left.agent.pending_bytes < 100_000


def test_the_state_is_told_once_for_each_change(network: Any) -> None:
    left, right = _settled(network)
    network.run(50)
    for host in (left, right):
        states = host.told(StateChanged)
        assert len(states) == len(set(states)) == 3
        assert len(host.told(PathSelected)) == 2
