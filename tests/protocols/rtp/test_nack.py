"""Missing packets are asked for: soon, again, and not for ever. RFC 4585 §6.2.1."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from sansmedia.rtp import Limits, NackGenerator, NackStatistics


def test_nothing_is_asked_for_while_nothing_is_missing() -> None:
    nack = NackGenerator()
    assert nack.feed(range(65_530, 65_536), 0.0) == []
    assert nack.feed(range(10), 0.0) == []
    assert nack.next_timeout() is None
    assert nack.handle_timeout(9.0) == []
    assert nack.statistics() == NackStatistics(0, 0, 0, 0)


def test_a_missing_packet_is_asked_for_after_a_little_while() -> None:
    nack = NackGenerator(wait=0.005)
    assert nack.feed([65_534, 1], 1.0) == []
    assert nack.next_timeout() == 1.005
    assert nack.handle_timeout(1.004) == []
    assert nack.handle_timeout(1.005) == [65_535, 0]


def test_a_packet_that_was_only_late_is_not_asked_for() -> None:
    nack = NackGenerator(wait=0.005)
    nack.feed([1, 3], 1.0)
    assert nack.feed([2], 1.001) == []
    assert nack.next_timeout() is None
    assert nack.statistics() == NackStatistics(1, 1, 0, 0)


def test_without_a_wait_it_is_asked_for_at_once() -> None:
    nack = NackGenerator(wait=0.0)
    assert nack.feed([1, 4], 1.0) == [2, 3]
    assert nack.feed([5], 1.0) == []


def test_it_is_asked_for_again_each_round_trip_and_longer_each_time() -> None:
    nack = NackGenerator(wait=0.0, limits=Limits(request_time=10.0, requests=4))
    nack.round_trip_time = 0.09
    nack.feed([1, 3], 0.0)
    times = []
    while (deadline := nack.next_timeout()) is not None:
        times.append(round(deadline, 4))
        nack.handle_timeout(deadline)
    # 0.1 s, then half as much again each time; at the last it is given up.
    assert times == [0.1, 0.25, 0.475, 0.8125]
    assert nack.statistics() == NackStatistics(1, 0, 1, 4)


def test_it_is_not_asked_for_beyond_its_time() -> None:
    nack = NackGenerator(wait=0.0, limits=Limits(request_time=0.2, requests=100))
    nack.round_trip_time = 0.0
    nack.feed([1, 3], 0.0)
    while (deadline := nack.next_timeout()) is not None:
        assert deadline <= 0.2
        nack.handle_timeout(deadline)
    assert nack.statistics().given_up == 1


def test_only_so_many_are_asked_for_at_one_time() -> None:
    nack = NackGenerator(wait=0.0, limits=Limits(missing=3))
    assert nack.feed([0, 11], 0.0) == [8, 9, 10]
    assert nack.feed([14], 0.0) == [12, 13]
    assert nack.statistics() == NackStatistics(12, 0, 9, 5)
    nack.feed([8], 0.0)  # given up meanwhile
    nack.feed([10, 12], 0.0)
    assert nack.statistics().recovered == 2


def test_a_far_jump_is_a_new_beginning() -> None:
    nack = NackGenerator(wait=0.0, limits=Limits(jump=100))
    nack.feed([0, 2], 0.0)
    assert nack.feed([500], 0.0) == []
    assert nack.next_timeout() is None
    assert nack.feed([502], 0.0) == [501]
    assert nack.feed([300], 0.0) == []  # back again
    assert nack.feed([302], 0.0) == [301]


def test_what_a_key_frame_makes_useless_is_forgotten() -> None:
    nack = NackGenerator(wait=0.0)
    nack.feed([1, 4], 0.0)
    nack.forget()
    assert nack.next_timeout() is None
    assert nack.statistics().given_up == 2


@given(st.lists(st.integers(0, 200), min_size=1, max_size=80), st.integers(0, 0xFFFF))
def test_exactly_what_did_not_come_is_asked_for(order: list[int], first: int) -> None:
    nack = NackGenerator(wait=1.0, limits=Limits(request_time=100.0))
    nack.feed([number + first & 0xFFFF for number in order], 0.0)
    missing = set(range(order[0], max(order))) - set(order)
    asked = nack.handle_timeout(1.0)
    assert set(asked) == {number + first & 0xFFFF for number in missing}
    assert len(asked) == len(missing)
