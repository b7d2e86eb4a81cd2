"""Whole calls between two peers, over networks that lose, reorder and forge."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sansmedia.ice import AgentState
from sansmedia.sansio import Terminated, TerminationCause, UsageError
from sansmedia.sansio.testing import Conditions, DatagramPair
from sansmedia.sdp import Setup
from sansmedia.webrtc import (
    Connected,
    FeedbackReceived,
    IceStateChanged,
    KeyFrameRequested,
    PacketsMissed,
    PathChanged,
    PeerEvent,
)

_MakeCall = Callable[..., Any]
_BAD = Conditions(delay=0.02, jitter=0.01, loss=0.1, duplicate=0.05, reorder=0.1)


def _of(events: list[PeerEvent], kind: type) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


def _numbers(call: Any) -> set[int]:
    return {int(packet.payload.split()[1]) for packet in call.media["video"]}


def _require_a_whole_call(call: Any, most_missing: int = 0) -> None:
    call.run(25.0)
    for events in (call.told, call.received):
        assert len(_of(events, Connected)) == 1
    for n in range(200):
        call.video(n, 1)
        call.run(0.01)
    call.run(3.0)
    # A last packet has nobody behind it by whom its loss would be noticed, and a first
    # one nobody before it.
    assert len(set(range(8, 190)) - _numbers(call)) <= most_missing
    assert not _of(call.told, Terminated)
    assert not _of(call.received, Terminated)


@pytest.mark.parametrize("setup", [Setup.PASSIVE, Setup.ACTIVE])
@pytest.mark.parametrize("controlling", [True, False])
@pytest.mark.parametrize(
    ("sender_lite", "lite"), [(False, False), (False, True), (True, False)]
)
@pytest.mark.parametrize("candidates", [True, False])
def test_two_peers_connect_in_all_roles(
    make_call: _MakeCall,
    setup: Setup,
    controlling: bool,
    sender_lite: bool,
    lite: bool,
    candidates: bool,
) -> None:
    """RFC 9429 §4.1."""
    call = make_call(
        setup=setup,
        controlling=controlling,
        sender_lite=sender_lite,
        lite=lite,
        candidates=candidates or sender_lite,
    )
    call.run(2.0)
    for events in (call.told, call.received):
        (connected,) = _of(events, Connected)
        assert connected.profile == "AEAD_AES_128_GCM"
    assert call.sender.is_connected
    assert call.receiver.is_connected
    assert call.receiver.path.peer == DatagramPair.left_address


def test_media_comes_out_sorted_by_kind(make_call: _MakeCall) -> None:
    call = make_call()
    call.run(2.0)
    call.video(0, 10)
    call.audio(0, 5)
    call.run(1.0)
    assert [p.payload for p in call.media["video"]] == [
        b"video %d" % n for n in range(10)
    ]
    assert [p.payload for p in call.media["audio"]] == [
        b"audio %d" % n for n in range(5)
    ]
    assert all(packet.marker for packet in call.media["video"])


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("loss", [0.0, 0.1, 0.3])
@pytest.mark.parametrize("setup", [Setup.PASSIVE, Setup.ACTIVE])
@pytest.mark.parametrize("controlling", [True, False])
def test_a_call_comes_through_loss_duplicates_and_reordering(
    make_call: _MakeCall, seed: int, loss: float, setup: Setup, controlling: bool
) -> None:
    """RFC 4585 §6.2.1, RFC 4588 §4."""
    conditions = Conditions(
        delay=0.02, jitter=0.01, loss=loss, duplicate=0.05, reorder=0.1
    )
    call = make_call(conditions, seed=seed, setup=setup, controlling=controlling)
    # A packet is asked for during a second; at 30 % each way some never come.
    _require_a_whole_call(call, 6 if loss == 0.3 else 0)
    (stream,) = call.receiver.receiver.streams
    assert stream.repaired > 100 * loss
    assert bool(_of(call.told, PacketsMissed)) or not loss


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("lite", [False, True])
def test_forged_datagrams_neither_end_nor_disturb_a_call(
    make_call: _MakeCall, seed: int, lite: bool
) -> None:
    """A quarter of what goes either way is damaged, repeated or forged."""
    call = make_call(_BAD, seed=seed, lite=lite, hostility=0.33)
    _require_a_whole_call(call, 1)
    counts = call.receiver.statistics()
    assert counts.unauthentic > 4
    assert counts.stray > 0
    assert all(p.payload.startswith(b"video") for p in call.media["video"])


@pytest.mark.parametrize(
    ("sender_lite", "lite"), [(False, False), (False, True), (True, False)]
)
def test_a_restart_does_not_stop_the_media(
    make_call: _MakeCall, sender_lite: bool, lite: bool
) -> None:
    """RFC 8445 §9."""
    call = make_call(sender_lite=sender_lite, lite=lite)
    call.run(2.0)
    for n in range(100):
        if n in (20, 60):
            call.restart()
        call.video(n, 1)
        call.run(0.05)
    call.run(1.0)
    assert _numbers(call) == set(range(100))
    for peer in (call.sender, call.receiver):
        assert peer.ice.state is AgentState.COMPLETED
        assert peer.ice.local_ufrags == (peer.transport().ice_ufrag,)
    for events in (call.told, call.received):
        assert len(_of(events, Connected)) == 1


@pytest.mark.parametrize(
    "remote", [("dots....", "x" * 22), ("abc", "x" * 22), ("abcd", "short")]
)
def test_a_restart_that_a_peer_asks_for_in_malformed_words_changes_nothing(
    make_call: _MakeCall, remote: tuple[str, str]
) -> None:
    """RFC 8839 §5.4; RFC 9725 §4.3.3: the session goes on as it was."""
    call = make_call()
    call.run(2.0)
    before = call.receiver.transport()
    with pytest.raises(UsageError):
        call.receiver.restart(remote=remote, now=call.pair.now)
    assert call.receiver.transport() == before
    assert call.receiver.ice.state is AgentState.COMPLETED


def test_a_peer_that_asks_for_a_restart_is_answered_at_once(
    make_call: _MakeCall,
) -> None:
    call = make_call()
    call.run(2.0)
    sender, receiver, now = call.sender, call.receiver, call.pair.now
    sender.restart(now=now)
    asked = sender.transport()
    receiver.restart(remote=(asked.ice_ufrag, asked.ice_pwd), now=now)
    answer = receiver.transport()
    sender.set_remote_parameters(answer.ice_ufrag, answer.ice_pwd, now=now)
    for text in answer.candidates:
        sender.add_remote_candidate(text, now=now)
    call.run(2.0)
    for peer in (sender, receiver):
        assert peer.ice.state is AgentState.COMPLETED
        assert peer.ice.local_ufrags == (peer.transport().ice_ufrag,)


def test_a_restart_outlives_the_old_path(make_call: _MakeCall) -> None:
    """The network is away; consent for the old path ends while the new is sought."""
    call = make_call(Conditions(delay=0.01, outages=((2.0, 40.0),)))
    call.run(25.0)
    call.restart()
    call.run(13.0)
    for peer in (call.sender, call.receiver):
        assert peer.path is None
        assert not peer.is_terminated
    call.run(10.0)
    call.video(0, 5)
    call.run(1.0)
    assert _numbers(call) == set(range(5))
    assert len(_of(call.received, PathChanged)) == 2


def test_a_restart_that_nobody_answers_ends_in_time(make_call: _MakeCall) -> None:
    call = make_call(Conditions(delay=0.01, outages=((2.0, 200.0),)))
    call.run(20.0)
    call.receiver.restart(now=call.pair.now)
    call.run(100.0)
    (end,) = _of(call.received, Terminated)
    assert end.cause is TerminationCause.TIMEOUT
    assert end.reason == "the way to the peer is lost"


def test_a_lost_check_is_not_taken_for_a_long_round_trip(make_call: _MakeCall) -> None:
    """Requests for lost packets would be made that much later."""
    outages = tuple((at + 0.5, at + 1.0) for at in range(2, 60))
    call = make_call(Conditions(delay=0.01, outages=outages))
    longest = 0.0
    for _ in range(50):
        call.run(1.0)
        longest = max(longest, call.receiver.statistics().round_trip_time or 0.0)
    assert longest == pytest.approx(0.02)


def test_reports_tell_of_loss(make_call: _MakeCall) -> None:
    """RFC 3550 §6.4.1."""
    call = make_call()
    call.run(2.0)
    call.video(0, 10)
    call.video(20, 10)
    call.run(1.5)
    (report, *_) = _of(call.told, FeedbackReceived)
    (block,) = report.report.reports
    assert block.ssrc == 0x1000
    assert block.cumulative_lost == 10


@pytest.mark.parametrize("feedback", [("nack pli",), ("ccm fir",), ()])
def test_a_key_frame_is_asked_for(
    make_call: _MakeCall, feedback: tuple[str, ...]
) -> None:
    """RFC 4585 §6.3.1, RFC 5104 §4.3.1."""
    call = make_call(feedback=feedback)
    call.run(2.0)
    call.video(0, 1)
    call.run(0.1)
    (stream,) = call.receiver.receiver.streams
    for _ in range(300):
        call.receiver.request_key_frame(stream, now=call.pair.now)
    call.run(0.1)
    assert _of(call.told, KeyFrameRequested) == [KeyFrameRequested(0x1000)] * 300


def test_goodbye_ends_both_sides(make_call: _MakeCall) -> None:
    call = make_call()
    call.run(2.0)
    call.sender.close("done", now=call.pair.now)
    call.run(1.0)
    (end,) = _of(call.told, Terminated)
    assert (end.cause, end.reason) == (TerminationCause.LOCAL, "done")
    assert _of(call.received, Terminated)[0].cause is TerminationCause.PEER
    for peer in (call.sender, call.receiver):
        assert peer.path is None
        assert peer.pending_bytes == 0
        assert peer.pair_report()


@pytest.mark.parametrize("lite", [False, True])
def test_a_peer_that_vanishes_ends_by_consent(make_call: _MakeCall, lite: bool) -> None:
    """RFC 7675 §5.1: and nothing is sent to it, not even a farewell."""
    call = make_call(Conditions(delay=0.01, outages=((2.0, 100.0),)), lite=lite)
    call.run(2.0)
    assert call.receiver.is_connected
    call.run(20.0)
    before = call.receiver.statistics().datagrams_sent
    assert AgentState.DISCONNECTED in [
        event.state for event in _of(call.received, IceStateChanged)
    ]
    call.run(20.0)
    (end,) = _of(call.received, Terminated)
    assert end.cause is TerminationCause.TIMEOUT
    assert "consent" in end.reason
    at_end = call.receiver.statistics().datagrams_sent
    assert at_end - before < 10
    assert not call.receiver.datagrams_to_send()


def test_a_peer_that_never_comes_is_given_up(make_call: _MakeCall) -> None:
    call = make_call(Conditions(loss=1.0))
    call.run(100.0)
    for events in (call.told, call.received):
        (end,) = _of(events, Terminated)
        assert end.cause is TerminationCause.TIMEOUT
    assert call.receiver.pair_report()
