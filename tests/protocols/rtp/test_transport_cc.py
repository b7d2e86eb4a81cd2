"""Transport-wide feedback, made and read.

Source: draft-holmer-rmcat-transport-wide-cc-extensions-01 §2.
"""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sansmedia.rtp import (
    Limits,
    SentPacket,
    TransportFeedback,
    TransportFeedbackGenerator,
    TransportHistory,
    decode_rtcp,
    encode_rtcp,
)


def _over_the_wire(messages: list[TransportFeedback]) -> list[TransportFeedback]:
    came = decode_rtcp(encode_rtcp(messages)) if messages else []
    assert came == messages
    return messages


def _told(messages: list[TransportFeedback]) -> list[tuple[int, float | None]]:
    return [arrival for m in _over_the_wire(messages) for arrival in m.arrivals()]


def test_arrivals_are_told_after_an_interval() -> None:
    generator = TransportFeedbackGenerator(9, interval=0.1)
    generator.media_ssrc = 5
    assert generator.next_timeout() is None
    assert generator.feed([(10, 1.0), (11, 1.001), (14, 1.0105)], 1.02) == []
    assert generator.next_timeout() == pytest.approx(1.12)
    assert generator.handle_timeout(1.1) == []
    assert generator.handle_timeout(1.12) == [
        TransportFeedback(
            sender_ssrc=9,
            media_ssrc=5,
            base_sequence=10,
            reference_time=15,  # 0.96 s
            feedback_count=0,
            deltas=[160, 4, None, None, 38],
        )
    ]
    assert generator.next_timeout() is None


def test_messages_join_and_count() -> None:
    generator = TransportFeedbackGenerator(9)
    first = generator.feed([(65_534, 0.0)], 0.0) + generator.handle_timeout(0.1)
    second = generator.feed([(1, 0.2)], 0.2) + generator.handle_timeout(0.31)
    assert _told(first + second) == [
        *((65_534, 0.0), (65_535, None), (0, None)),
        (1, 0.2),
    ]
    assert [message.feedback_count for message in first + second] == [0, 1]


def test_what_comes_late_is_told_of_with_what_it_passes() -> None:
    generator = TransportFeedbackGenerator(9)
    generator.feed([(1, 0.0), (3, 0.01)], 0.01)
    generator.handle_timeout(0.2)
    generator.feed([(2, 0.25), (4, 0.26)], 0.26)
    assert _told(generator.handle_timeout(0.4)) == [
        *((2, 0.25), (3, 0.01), (4, 0.26)),
    ]


def test_a_late_packet_may_go_back_a_long_way_but_not_for_ever() -> None:
    generator = TransportFeedbackGenerator(9)
    generator.feed([(5_000, 0.0)], 0.0)
    generator.handle_timeout(0.1)
    generator.feed([(4_000, 0.2)], 0.2)
    assert generator.next_timeout() is None
    generator.feed([(4_001, 0.2)], 0.2)
    told = _told(generator.handle_timeout(0.4))
    assert [arrival for arrival in told if arrival[1] is not None] == [
        *((4_001, 0.2), (5_000, 0.0))
    ]


def test_a_message_holds_only_so_many_packets() -> None:
    generator = TransportFeedbackGenerator(9, limits=Limits(feedback_packets=10))
    messages = generator.feed([(number, 0.0) for number in range(25)], 0.0)
    assert [len(message.deltas) for message in messages] == [10, 10, 5]
    assert [message.base_sequence for message in messages] == [0, 10, 20]


@pytest.mark.parametrize("later", [9.0, 60.0])
def test_a_long_pause_takes_a_message_of_its_own(later: float) -> None:
    generator = TransportFeedbackGenerator(9)
    generator.feed([(1, 0.0), (2, later)], later)
    messages = generator.handle_timeout(later + 1)
    assert _told(messages) == [(1, 0.0), (2, later)]
    assert len(messages) == 2


def test_a_far_jump_is_not_told_packet_by_packet() -> None:
    generator = TransportFeedbackGenerator(9)
    generator.feed([(number * 20_000 & 0xFFFF, 0.0) for number in range(50)], 0.0)
    assert len(_told(generator.handle_timeout(0.1))) == 50


def test_the_clock_of_messages_wraps() -> None:
    """After 12 days the reference time has 24 bits no longer."""
    generator, history = TransportFeedbackGenerator(9), TransportHistory()
    start = (1 << 23) * 0.064 - 0.2  # just before the sign turns
    arrivals = []
    for number in range(40):
        history.send(100, number * 0.01)
        at = start + number * 0.01
        messages = generator.feed([(number, at)], at) + generator.handle_timeout(at)
        for message in _over_the_wire(messages):
            arrivals += [packet.received_at for packet in history.feed(message, 0.4)]
    for message in generator.handle_timeout(start + 1):
        arrivals += [packet.received_at for packet in history.feed(message, 0.4)]
    times = [at for at in arrivals if at is not None]
    assert len(times) == 40
    steps = [after - before for before, after in itertools.pairwise(times)]
    assert steps == pytest.approx([0.01] * 39, abs=0.0003)


def test_a_sender_learns_when_its_packets_came() -> None:
    history = TransportHistory()
    numbers = [history.send(1_000 + at, at * 0.01) for at in range(4)]
    assert numbers == [0, 1, 2, 3]
    assert history.in_flight == 4_006
    feedback = TransportFeedback(1, 2, 0, 1, 0, [4, None, 40])
    assert history.feed(feedback, 0.1) == [
        SentPacket(0, 1_000, 0.0, 0.065),
        SentPacket(1, 1_001, 0.01),
        SentPacket(2, 1_002, 0.02, 0.075),
    ]
    assert history.in_flight == 2_004
    # The one that had not come comes later; the others were told of.
    later = TransportFeedback(1, 2, 0, 1, 1, [4, 400, 40])
    assert [packet.sequence for packet in history.feed(later, 0.2)] == [1]
    assert history.in_flight == 1_003


def test_feedback_on_what_was_not_sent_is_void() -> None:
    history = TransportHistory()
    feedback = TransportFeedback(1, 2, 5, 1, 0, [4, None, 40])
    assert history.feed(feedback, 0.0) == []
    history.send(100, 0.0)
    assert history.feed(feedback, 0.0) == []


def test_what_is_waited_for_is_bounded() -> None:
    history = TransportHistory(limits=Limits(history_packets=3, history_time=1.0))
    for at in range(5):
        history.send(100, at * 0.1)
    assert history.in_flight == 300
    feedback = TransportFeedback(1, 2, 0, 1, 0, [1] * 5)
    assert [packet.sequence for packet in history.feed(feedback, 1.35)] == [4]
    assert history.in_flight == 0


def test_numbers_go_on_over_the_wrap() -> None:
    history = TransportHistory()
    for _ in range(65_537):
        number = history.send(1, 0.0)
    assert number == 0
    [told] = history.feed(TransportFeedback(1, 2, 0, 1, 0, [0]), 0.0)
    assert told.sequence == 65_536


@given(
    st.lists(
        st.tuples(st.integers(0, 400), st.floats(0, 3.0)), min_size=1, max_size=120
    ),
    st.integers(0, 0xFFFF),
)
def test_every_arrival_is_told_of_once_and_rightly(
    steps: list[tuple[int, float]], first: int
) -> None:
    generator = TransportFeedbackGenerator(
        9, interval=0.1, limits=Limits(feedback_packets=20)
    )
    now = 100.0
    came: dict[int, float] = {}
    messages = []
    for number, pause in steps:
        now += pause
        sequence = first + number & 0xFFFF
        came.setdefault(sequence, now)
        messages += generator.feed([(sequence, now)], now)
        if (deadline := generator.next_timeout()) is not None:
            assert deadline <= now + 0.1001
    messages += generator.handle_timeout(now + 0.2)
    told: dict[int, float] = {}
    for sequence, at in _told(messages):
        if at is not None:
            told.setdefault(sequence, at)
    assert told.keys() == came.keys()
    for sequence, at in came.items():
        assert told[sequence] == pytest.approx(at, abs=0.0003)
