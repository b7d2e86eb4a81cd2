"""Checks octet by octet: what is sent and when, nomination, roles.

RFC 8445 §6, §6.1.2, §6.1.4, §7, §8.
"""

from __future__ import annotations

from pathlib import Path as FilePath
from typing import Any

import pytest
from sansmedia.ice import (
    AgentState,
    Path,
    PathSelected,
    RoleChanged,
)
from sansmedia.stun import (
    AttributeType,
    check_integrity,
    decode_error_code,
    decode_message,
)

_DATA = FilePath(__file__).resolve().parents[2] / "data" / "stun"
_A, _B, _C = ("192.0.2.2", 5000), ("192.0.2.3", 5000), ("192.0.2.4", 5000)


# --- what is sent ---------------------------------------------------------------------


def test_a_check_has_what_the_specification_wants(wire_peer: Any) -> None:
    """RFC 8445 §7.1.1, §7.1.3, §7.2.2, §7.2.4."""
    peer = wire_peer(controlling=True)
    peer.signal()
    [check] = peer.checks(0.0)
    assert (check.peer, check.local, check.transport) == (_A, peer.local, "udp")
    message = decode_message(check.data)
    assert message.has_fingerprint
    assert check_integrity(message, peer.pwd.encode())
    username = f"{peer.ufrag}:{peer.agent.local_ufrag}".encode()
    assert [kind for kind, _ in message.attributes] == [
        AttributeType.USERNAME,
        AttributeType.PRIORITY,
        AttributeType.ICE_CONTROLLING,
    ]
    assert message.get(AttributeType.USERNAME) == username
    priority = message.get(AttributeType.PRIORITY)
    # The type preference of peer-reflexive candidates is 110.
    assert priority is not None
    assert priority[0] == 110
    assert message.transaction_id[:4] == peer.agent.transaction_prefix


def test_a_controlled_agent_says_so(wire_peer: Any) -> None:
    """RFC 8445 §7.1.2, §7.1.3."""
    peer = wire_peer()
    peer.signal()
    [check] = peer.checks(0.0)
    message = decode_message(check.data)
    assert message.get(AttributeType.ICE_CONTROLLED) is not None
    assert message.get(AttributeType.ICE_CONTROLLING) is None
    assert message.get(AttributeType.USE_CANDIDATE) is None


def test_a_check_is_sent_seven_times_and_given_up_after_39_5_seconds(
    wire_peer: Any,
) -> None:
    """RFC 8489 §6.2, §6.2.1, RFC 8445 §7.2.5.2.3."""
    peer = wire_peer()
    peer.signal()
    times = []
    now: float | None = 0.0
    while now is not None and now < 100:
        times += [now for _ in peer.checks(now)]
        now = peer.agent.next_timeout()
    assert times == pytest.approx([0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5])
    [report] = peer.agent.pair_report()
    assert (report.state, report.error) == ("failed", "no answer")
    assert peer.agent.state is AgentState.FAILED
    assert peer.agent.statistics().retransmissions == 6


def test_checks_are_paced(wire_peer: Any) -> None:
    """RFC 8445 §6.1.4.2, §14.2."""
    peer = wire_peer(ta=0.02)
    peer.signal(*[(f"198.51.100.{n}", 9) for n in range(10)])
    seen: dict[Any, float] = {}
    now = 0.0
    while len(seen) < 10:
        for check in peer.checks(now):
            seen.setdefault(check.peer, now)
        now = peer.agent.next_timeout()
    assert list(seen.values()) == pytest.approx([n * 0.02 for n in range(10)])


def test_pairs_are_checked_by_priority_and_one_of_each_foundation_first(
    wire_peer: Any,
) -> None:
    """RFC 8445 §6.1.2.3, §6.1.2.6, §6.1.4.2."""
    peer = wire_peer()
    # Two ports of one host have one foundation.
    peer.signal(("198.51.100.1", 1), ("198.51.100.1", 2), ("198.51.100.2", 3))
    states = [report.state for report in peer.agent.pair_report()]
    assert states == ["in progress", "frozen", "waiting"]
    assert [check.peer[1] for check in peer.checks(0.05)] == [1, 3]
    assert peer.checks(0.1) == []
    first = peer.agent.pair_report()[0]
    assert first.state == "in progress"


def test_what_is_like_a_pair_that_works_is_unfrozen(wire_peer: Any) -> None:
    """RFC 8445 §7.2.5.3.3."""
    peer = wire_peer()
    peer.signal(("198.51.100.1", 1), ("198.51.100.1", 2))
    [check] = peer.checks(0.0)
    assert peer.succeed(check, 0.02) == []
    assert [report.state for report in peer.agent.pair_report()] == [
        "succeeded",
        "waiting",
    ]
    assert [again.peer[1] for again in peer.checks(0.05)] == [2]


def test_a_frozen_pair_is_checked_when_its_like_has_failed(wire_peer: Any) -> None:
    """RFC 8445 §6.1.4.2, §7.2.5.2."""
    peer = wire_peer()
    peer.signal(("198.51.100.1", 1), ("198.51.100.1", 2))
    [check] = peer.checks(0.0)
    peer.give(peer.answer(check, error=400), now=0.01, peer=check.peer)
    assert [again.peer[1] for again in peer.checks(0.05)] == [2]


def test_pairs_have_the_priority_of_the_formula(wire_peer: Any) -> None:
    """RFC 8445 §6.1.2.3, §5.1.2.1."""
    for controlling in (True, False):
        peer = wire_peer(controlling=controlling)
        peer.signal()
        ours = 126 * 2**24 + 65535 * 2**8 + 255
        theirs = 126 * 2**24 + 60000 * 2**8 + 255
        expected = 2**32 * theirs + 2 * ours + (1 if controlling else 0)
        assert peer.agent.pair_report()[0].priority == expected


# --- nomination -----------------------------------------------------------------------


def test_a_controlling_agent_nominates_once(wire_peer: Any) -> None:
    """RFC 8445 §8.1.1, §8.1.2, §7.2.5.3.4."""
    peer = wire_peer(controlling=True)
    peer.signal()
    [check] = peer.checks(0.0)
    peer.succeed(check, 0.02)
    assert peer.checks(0.15) == []
    [nomination] = peer.checks(0.23)
    message = decode_message(nomination.data)
    assert message.get(AttributeType.USE_CANDIDATE) == b""
    peer.succeed(nomination, 0.25)
    path = Path(peer.local, _A)
    assert [e for e in peer.events() if isinstance(e, PathSelected)] == [
        PathSelected(path, False),
        PathSelected(path, True),
    ]
    # Nothing but consent from here on.
    for tenth in range(3, 30):
        assert peer.checks(tenth / 10) == []


def test_a_better_pair_is_waited_for_a_moment(wire_peer: Any) -> None:
    peer = wire_peer(controlling=True)
    peer.signal(_A, _B)
    [first] = peer.checks(0.0)
    [second] = peer.checks(0.05)
    peer.succeed(second, 0.06)
    peer.succeed(first, 0.2)
    checks = peer.checks(0.27)
    assert [check.peer for check in checks] == [_A]
    assert decode_message(checks[0].data).get(AttributeType.USE_CANDIDATE) == b""


def test_nothing_is_waited_for_when_nothing_better_can_come(wire_peer: Any) -> None:
    peer = wire_peer(controlling=True)
    peer.signal(_A, _B)
    peer.agent.end_of_remote_candidates(now=0.0)
    [first] = peer.checks(0.0)
    [nomination] = peer.succeed(first, 0.05)
    assert nomination.peer == _A
    assert decode_message(nomination.data).get(AttributeType.USE_CANDIDATE) == b""


def test_a_nomination_that_fails_gives_way_to_the_next_pair(wire_peer: Any) -> None:
    """RFC 8445 §7.2.5.3.4."""
    peer = wire_peer(controlling=True)
    peer.signal(_A, _B)
    [first] = peer.checks(0.0)
    [second] = peer.checks(0.05)
    peer.succeed(first, 0.06)
    peer.succeed(second, 0.07)
    [nomination] = peer.checks(0.3)
    assert nomination.peer == _A
    peer.give(peer.answer(nomination, error=400), now=0.31, peer=_A)
    [nomination] = peer.checks(0.6)
    assert nomination.peer == _B
    peer.succeed(nomination, 0.61)
    assert peer.agent.selected_path == Path(peer.local, _B)
    [failed] = [r for r in peer.agent.pair_report() if r.remote == _A]
    assert (failed.state, failed.error) == ("failed", "400 Bad Request")


def test_a_nominated_pair_counts_after_our_own_check(wire_peer: Any) -> None:
    """RFC 8445 §7.3.1.4, §7.3.1.5."""
    peer = wire_peer()
    response, check = peer.give(peer.request(use_candidate=True), now=0.0)
    assert response.data[:2] == b"\1\1"
    assert peer.agent.selected_path is None
    peer.succeed(check, 0.01)
    assert peer.agent.state is AgentState.COMPLETED


def test_a_nomination_of_a_pair_that_works_counts_at_once(wire_peer: Any) -> None:
    """RFC 8445 §7.3.1.5."""
    peer = wire_peer()
    _, check = peer.give(peer.request(), now=0.0)
    peer.succeed(check, 0.01)
    assert peer.agent.state.value == "connected"
    peer.give(peer.request(use_candidate=True), now=0.02)
    assert peer.agent.state.value == "completed"


def _validate(peer: Any, address: Any, now: float, **request: Any) -> None:
    sent = peer.give(peer.request(**request), now=now, peer=address)
    checks = peer.requests(sent) or peer.checks(now + 0.05)
    for check in checks:
        peer.succeed(check, now + 0.06)


def test_of_aggressive_nominations_the_highest_priority_counts(
    wire_peer: Any,
) -> None:
    """RFC 8445 §8.1.1, §8.3.1: RFC 5245 nominated with every check."""
    peer = wire_peer()
    for number, address in enumerate((_B, _A, _C)):
        priority = {_A: 3000, _B: 2000, _C: 1000}[address]
        _validate(peer, address, number * 0.2, use_candidate=True, priority=priority)
    assert peer.agent.selected_path == Path(peer.local, _A)
    peer.events()
    # And it goes on so, without anything changing.
    for tenth in range(10, 200):
        for address in (_A, _B, _C):
            peer.give(peer.request(use_candidate=True), now=tenth / 10, peer=address)
    assert [e for e in peer.events() if isinstance(e, PathSelected)] == []


def test_a_later_nomination_moves_the_session(wire_peer: Any) -> None:
    """As browsers nominate when their network changes, there and back again."""
    peer = wire_peer()
    _validate(peer, _A, 0.0, use_candidate=True, priority=3000)
    for second in range(1, 10):
        peer.give(peer.request(use_candidate=True), now=float(second))
    _validate(peer, _B, 10.0, use_candidate=True, priority=1000)
    assert peer.agent.selected_path == Path(peer.local, _B)
    for second in range(11, 20):
        peer.give(peer.request(use_candidate=True), now=float(second), peer=_B)
    peer.give(peer.request(use_candidate=True), now=20.0, peer=_A)
    assert peer.agent.selected_path == Path(peer.local, _A)


def test_a_pair_that_worked_long_ago_is_checked_again_first(wire_peer: Any) -> None:
    """RFC 7675 §5.1: what worked once is no consent."""
    peer = wire_peer()
    _validate(peer, _A, 0.0, use_candidate=True)
    _validate(peer, _B, 0.2)
    for second in range(1, 60):
        sent = peer.give(peer.request(use_candidate=True), now=float(second))
        for check in [*peer.requests(sent), *peer.checks(second + 0.5)]:
            peer.succeed(check, second + 0.5)
    sent = peer.give(peer.request(use_candidate=True), now=60.0, peer=_B)
    assert peer.agent.selected_path == Path(peer.local, _A)
    [check] = peer.requests(sent)
    peer.succeed(check, 60.1)
    assert peer.agent.selected_path == Path(peer.local, _B)


# --- triggered checks -----------------------------------------------------------------


def test_a_check_of_the_peer_triggers_ours_before_all_others(wire_peer: Any) -> None:
    """RFC 8445 §6.1.4.1, §7.3.1.4."""
    peer = wire_peer()
    peer.signal(_A, _B, _C)
    assert [check.peer for check in peer.checks(0.0)] == [_A]
    peer.give(peer.request(), now=0.01, peer=_C)
    assert [check.peer for check in peer.checks(0.05)] == [_C]
    assert [check.peer for check in peer.checks(0.1)] == [_B]


def test_a_check_under_way_is_replaced_and_its_answer_still_counts(
    wire_peer: Any,
) -> None:
    """RFC 8445 §7.3.1.4."""
    peer = wire_peer()
    peer.signal()
    [first] = peer.checks(0.0)
    [second] = peer.requests(peer.give(peer.request(), now=0.2))
    assert second.data != first.data
    peer.succeed(first, 0.3)
    assert peer.agent.pair_report()[0].state == "succeeded"
    peer.succeed(second, 0.35)
    assert peer.agent.state is AgentState.CONNECTED


def test_an_error_for_a_replaced_check_changes_nothing(wire_peer: Any) -> None:
    peer = wire_peer()
    peer.signal()
    [first] = peer.checks(0.0)
    [second] = peer.requests(peer.give(peer.request(), now=0.2))
    peer.give(peer.answer(first, error=400), now=0.3)
    assert peer.agent.pair_report()[0].state == "in progress"
    peer.succeed(second, 0.35)
    assert peer.agent.state.value == "connected"


def test_a_replaced_check_that_nobody_answers_does_no_harm(wire_peer: Any) -> None:
    peer = wire_peer()
    peer.signal()
    peer.checks(0.0)
    sent = peer.requests(peer.give(peer.request(), now=0.2))
    [second] = sent or peer.checks(0.25)
    peer.succeed(second, 0.3)
    now = 0.3
    while now < 29:
        for check in peer.checks(now):
            peer.succeed(check, now)
        now = peer.agent.next_timeout()
    assert peer.agent.pair_report()[0].state == "succeeded"


def test_a_failed_pair_is_checked_again_when_the_peer_gets_through(
    wire_peer: Any,
) -> None:
    """RFC 8445 §7.3.1.4."""
    peer = wire_peer()
    peer.signal()
    [check] = peer.checks(0.0)
    peer.give(peer.answer(check, error=400), now=0.01)
    assert peer.agent.pair_report()[0].state == "failed"
    [again] = peer.requests(peer.give(peer.request(), now=5.0))
    peer.succeed(again, 5.1)
    assert peer.agent.pair_report()[0].state == "succeeded"


def test_the_priority_of_a_learned_candidate_is_what_the_peer_says(
    wire_peer: Any,
) -> None:
    """RFC 8445 §7.3.1.3."""
    peer = wire_peer(controlling=True)
    peer.give(peer.request(priority=12345), now=0.0)
    ours = 126 * 2**24 + 65535 * 2**8 + 255
    assert peer.agent.pair_report()[0].priority == 2**32 * 12345 + 2 * ours + 1


@pytest.mark.parametrize("priority", [None, 0, 0xFFFFFFFF])
def test_a_priority_that_is_missing_or_out_of_range_does_no_harm(
    wire_peer: Any, priority: int | None
) -> None:
    peer = wire_peer()
    response, _check = peer.give(peer.request(priority=priority), now=0.0)
    assert response.data[:2] == b"\1\1"
    assert len(peer.agent.pair_report()) == 1


# --- roles ----------------------------------------------------------------------------


@pytest.mark.parametrize("controlling", [True, False])
@pytest.mark.parametrize("theirs", [0, 2**64 - 1])
def test_the_larger_tie_breaker_controls(
    wire_peer: Any, controlling: bool, theirs: int
) -> None:
    """RFC 8445 §7.3.1.1."""
    peer = wire_peer(controlling=controlling)
    name = "controlling" if controlling else "controlled"
    response, *_ = peer.give(peer.request(**{name: theirs}), now=0.0)
    changes = [e for e in peer.events() if isinstance(e, RoleChanged)]
    ours_is_larger = theirs == 0
    if ours_is_larger == controlling:
        message = decode_message(response.data)
        value = message.get(AttributeType.ERROR_CODE)
        assert value is not None
        assert decode_error_code(value).code == 487
        assert check_integrity(message, peer.agent.local_pwd.encode())
        assert changes == []
        # Nobody is learned by a request that was refused.
        assert peer.agent.pair_report() == ()
    else:
        assert response.data[:2] == b"\1\1"
        assert changes == [RoleChanged(not controlling)]


@pytest.mark.parametrize("controlling", [True, False])
def test_487_changes_our_role_and_tie_breaker_and_the_check_is_repeated(
    wire_peer: Any, controlling: bool
) -> None:
    """RFC 8445 §7.2.5.1, §16.2."""
    peer = wire_peer(controlling=controlling)
    peer.signal()
    [check] = peer.checks(0.0)
    peer.give(peer.answer(check, error=487), now=0.01)
    [again] = peer.checks(0.05)
    assert peer.agent.controlling is not controlling
    kinds = AttributeType.ICE_CONTROLLING, AttributeType.ICE_CONTROLLED
    first, second = decode_message(check.data), decode_message(again.data)
    one, other = kinds if controlling else reversed(kinds)
    assert first.get(one) is not None
    assert second.get(other) not in (None, first.get(one))


def test_487_for_a_role_that_we_have_left_changes_nothing(wire_peer: Any) -> None:
    peer = wire_peer(controlling=True)
    peer.signal(_A, _B)
    [first] = peer.checks(0.0)
    [second] = peer.checks(0.05)
    peer.give(peer.answer(first, error=487), now=0.06)
    peer.give(peer.answer(second, error=487), now=0.07, peer=_B)
    changes = [e for e in peer.events() if isinstance(e, RoleChanged)]
    assert changes == [RoleChanged(False)]
