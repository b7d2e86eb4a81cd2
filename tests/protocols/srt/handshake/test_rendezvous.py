"""Meeting: SRT draft-01 §4.3.2, §4.3.2.1, §4.3.2.2, §4.3.2.3, §4.3.2.6,
libsrt handshake.md §Serial Handshake Flow."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sansmedia.sansio import UsageError
from sansmedia.sansio.testing import Conditions, DatagramPair
from sansmedia.srt.constants import CryptoMode, Role
from sansmedia.srt.endpoint_events import ConnectionEstablished, ConnectionRejected
from sansmedia.srt.options import SrtOptions
from sansmedia.srt.rejections import RejectionCode
from sansmedia.srt.rendezvous import Contest, contest

_SECRET = "a passphrase"
_BAD = Conditions(
    delay=0.02, jitter=0.01, loss=0.4, duplicate=0.2, reorder=0.2, reorder_delay=0.3
)
_COOKIE = st.integers(0, 2**32 - 1)


@given(_COOKIE, _COOKIE)
def test_both_sides_find_the_same_roles(ours: int, theirs: int) -> None:
    found = {contest(ours, theirs), contest(theirs, ours)}
    if ours == theirs:
        assert found == {Contest.DRAW}
    else:
        assert found == {Contest.INITIATOR, Contest.RESPONDER}


@pytest.mark.parametrize(
    ("ours", "theirs", "part"),
    [
        (2, 1, Contest.INITIATOR),
        (1, 0xFFFF_FFFF, Contest.INITIATOR),
        (0x7FFF_FFFF, 0x8000_0000, Contest.RESPONDER),
        (0, 0x8000_0000, Contest.INITIATOR),
        (0x8000_0005, 5, Contest.RESPONDER),
    ],
)
def test_the_contest_is_libsrts(ours: int, theirs: int, part: Contest) -> None:
    assert contest(ours, theirs) is part


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("later", [0.0, 0.01, 0.1, 0.3, 1.0])
def test_both_meet_and_carry_messages(meeting: Any, seed: int, later: float) -> None:
    both = meeting(seed=10 * seed + 1)
    both.meet(2, later=later)
    ours, theirs = both.agreed()
    assert (ours.role, theirs.role) == (Role.RENDEZVOUS, Role.RENDEZVOUS)
    assert ours.initial_sequence == theirs.peer_initial_sequence
    assert theirs.initial_sequence == ours.peer_initial_sequence
    assert both.carries()


@pytest.mark.parametrize("seed", range(25))
def test_both_meet_on_a_bad_path(meeting: Any, seed: int) -> None:
    options = SrtOptions(passphrase=_SECRET)
    both = meeting(left=options, right=options, there=_BAD, seed=10 * seed + 5)
    both.meet(29, later=0.2 * (seed % 5))
    both.agreed()
    assert both.of(ConnectionRejected) == ([], [])
    assert both.left.statistics().handshaking == 0


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
@pytest.mark.parametrize("mode", list(CryptoMode))
@pytest.mark.parametrize("length", [0, 24, 32])
def test_encrypted_meetings_carry_messages(
    meeting: Any, seed: int, mode: CryptoMode, length: int
) -> None:
    options = SrtOptions(passphrase=_SECRET, pbkeylen=length, crypto_mode=mode)
    both = meeting(left=options, right=options, seed=seed)
    both.meet(2)
    assert both.carries()


@pytest.mark.parametrize("seed", [1, 2, 3, 4, 5, 6])
@pytest.mark.parametrize(
    ("left", "right", "code"),
    [
        (_SECRET, "another passphrase", RejectionCode.BADSECRET),
        (_SECRET, "", RejectionCode.UNSECURE),
        ("", _SECRET, RejectionCode.UNSECURE),
    ],
)
def test_different_secrets_end_it_on_both_sides(
    meeting: Any, seed: int, left: str, right: str, code: RejectionCode
) -> None:
    both = meeting(
        left=SrtOptions(passphrase=left), right=SrtOptions(passphrase=right), seed=seed
    )
    both.meet(3)
    assert [[one.code for one in side] for side in both.of(ConnectionRejected)] == [
        [code],
        [code],
    ]


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_a_packet_filter_is_met_with(meeting: Any, seed: int) -> None:
    options = SrtOptions(packet_filter="fec,cols:5,rows:5")
    both = meeting(left=options, right=options, seed=seed)
    both.meet(2)
    assert both.carries()


def test_nobody_there_is_a_time_out_ten_times_as_long(meeting: Any) -> None:
    both = meeting()
    both.left.rendezvous(DatagramPair.right_address, SrtOptions(), now=1000.0)
    both.pair.run(1029.9)
    assert both.of(ConnectionRejected) == ([], [])
    both.pair.run(1030.1)
    [rejected] = both.of(ConnectionRejected)[0]
    assert rejected.code == RejectionCode.TIMEOUT


def test_one_meeting_with_one_peer_at_a_time(meeting: Any) -> None:
    both = meeting()
    both.left.rendezvous(DatagramPair.right_address, SrtOptions(), now=1000.0)
    with pytest.raises(UsageError):
        both.left.rendezvous(DatagramPair.right_address, SrtOptions(), now=1000.0)


@pytest.mark.parametrize("seed", [1, 2, 3, 4, 5, 6])
def test_a_peer_that_begins_anew_is_met(meeting: Any, seed: int) -> None:
    both = meeting(seed=seed, back=Conditions(delay=0.02, outages=((1000.0, 1001.0),)))
    now = 1000.0
    both.left.rendezvous(DatagramPair.right_address, SrtOptions(), now=now)
    gone = both.right.rendezvous(DatagramPair.left_address, SrtOptions(), now=now)
    both.pair.run(1000.9)
    # Nothing of it was heard here but what the other side asks; then it is another.
    both.right.close_connection(gone, now=1000.9)
    both.right.rendezvous(DatagramPair.left_address, SrtOptions(), now=1000.9)
    both.pair.run(1005)
    assert len(both.of(ConnectionEstablished)[0]) == 1
    assert both.carries()


def test_a_side_does_not_meet_itself(meeting: Any) -> None:
    both = meeting()
    both.left.rendezvous(DatagramPair.right_address, SrtOptions(), now=1000.0)
    [wave] = both.left.datagrams_to_send()
    wave.peer = DatagramPair.right_address
    both.left.receive_datagrams([wave], 1000.1)
    event = both.left.next_event()
    assert isinstance(event, ConnectionRejected)
    assert event.code == RejectionCode.RDV_COOKIE


def test_a_peer_that_repeats_at_once_is_not_answered_at_once(meeting: Any) -> None:
    both = meeting()
    both.left.rendezvous(DatagramPair.right_address, SrtOptions(), now=1000.0)
    both.right.rendezvous(DatagramPair.left_address, SrtOptions(), now=1000.0)
    [wave] = both.right.datagrams_to_send()
    wave.peer = DatagramPair.right_address
    both.left.datagrams_to_send()
    answers = 0
    for hundredth in range(100):
        both.left.receive_datagrams([wave], 1000.0 + hundredth / 100)
        answers += len(both.left.datagrams_to_send())
    assert 15 <= answers <= 20
