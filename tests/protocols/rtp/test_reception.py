"""What reports count, and the round trips that they show."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sansmedia.rtp import (
    DelaySinceLastReport,
    DlrrBlock,
    Limits,
    ReceptionStatistics,
    ReferenceTimes,
    ReportBlock,
    SenderReport,
    SenderStatistics,
    StreamStatistics,
    ntp_from_unix,
    ntp_middle,
    round_trip_time,
    unix_from_ntp,
)


def _fed(sequences: list[int], clock_rate: int = 90_000) -> ReceptionStatistics:
    reception = ReceptionStatistics(7, clock_rate)
    for at, sequence in enumerate(sequences):
        reception.receive(sequence & 0xFFFF, at * 900, at * 0.01)
    return reception


def test_a_report_counts_what_was_lost_since_the_last_one() -> None:
    """Source: RFC 3550 §6.4.1, RFC 3550 §A.3."""
    reception = _fed([10, 11, 12, 13, 16, 17])
    assert reception.report_block(1.0) == ReportBlock(
        ssrc=7,
        fraction_lost=64,  # 2 of 8
        cumulative_lost=2,
        highest_sequence=17,
        jitter=0,
    )
    for sequence in (18, 19, 20, 22):
        reception.receive(sequence, 0, 0.0)
    block = reception.report_block(2.0)
    assert (block.fraction_lost, block.cumulative_lost) == (51, 3)  # 1 of 5
    block = reception.report_block(3.0)
    assert (block.fraction_lost, block.cumulative_lost) == (0, 3)


def test_duplicates_make_less_than_nothing_lost() -> None:
    block = _fed([1, 2, 2, 2]).report_block(1.0)
    assert (block.fraction_lost, block.cumulative_lost) == (0, -2)


def test_nothing_received_is_nothing_reported() -> None:
    reception = ReceptionStatistics(7, 90_000)
    assert reception.report_block(1.0) == ReportBlock(7)
    assert reception.statistics() == StreamStatistics(0, 0, 0, 0, 0.0, 0)


def test_cycles_are_counted() -> None:
    """Source: RFC 3550 §A.1."""
    block = _fed([65_534, 65_535, 0, 65_533, 1]).report_block(1.0)
    assert block.highest_sequence == 0x10001
    assert block.cumulative_lost == -1  # 65,533 is from before the first


@given(st.integers(0, 0xFFFF), st.lists(st.integers(1, 2_000), max_size=60))
def test_what_is_expected_is_the_span_whatever_is_lost(
    first: int, steps: list[int]
) -> None:
    sequences = [first]
    for step in steps:
        sequences.append(sequences[-1] + step)
    counted = _fed(sequences).statistics()
    assert counted.expected == sequences[-1] - first + 1
    assert counted.lost == counted.expected - len(sequences)
    assert counted.highest_sequence == sequences[-1]


def test_one_stray_number_changes_nothing() -> None:
    counted = _fed([10, 11, 40_000, 12]).statistics()
    assert (counted.received, counted.highest_sequence) == (3, 12)


def test_two_in_a_row_are_a_new_beginning() -> None:
    """Source: RFC 3550 §A.1."""
    counted = _fed([10, 11, 40_000, 40_001, 40_002]).statistics()
    assert counted.restarts == 1
    assert (counted.received, counted.expected) == (2, 2)
    assert counted.highest_sequence == 40_002


def test_how_far_a_jump_may_be_is_a_limit() -> None:
    reception = ReceptionStatistics(7, 90_000, limits=Limits(jump=10))
    for sequence in (0, 9, 19, 20):
        reception.receive(sequence, 0, 0.0)
    assert reception.statistics().restarts == 1


def test_jitter_is_the_mean_deviation_of_transit_times() -> None:
    """Source: RFC 3550 §A.8."""
    reception = ReceptionStatistics(7, 90_000)
    reception.receive(1, 0xFFFFFFFF, 10.0)
    reception.receive(2, 900 - 1, 10.02)  # 10 ms late, over the wrap: 900 ticks
    assert reception.report_block(11.0).jitter == 900 // 16
    reception.receive(3, 1_800 - 1, 10.03)  # as late as the one before
    assert reception.report_block(11.0).jitter == int(900 / 16 * 15 / 16)
    assert reception.statistics().jitter_s == pytest.approx(0.01 / 16 * 15 / 16)


def test_a_jump_of_the_timestamps_is_no_jitter() -> None:
    reception = ReceptionStatistics(7, 90_000)
    reception.receive(1, 0, 10.0)
    reception.receive(2, 1 << 30, 10.0)
    assert reception.report_block(11.0).jitter == 0


def test_a_report_says_how_long_the_senders_lay_here() -> None:
    reception = _fed([1])
    reception.receive_sender_report(SenderReport(7, 0x1111_2222_3333_4444, 0), 5.0)
    block = reception.report_block(5.5)
    assert (block.last_sr, block.delay_since_last_sr) == (0x2222_3333, 32_768)


def test_a_sender_reports_what_it_sent() -> None:
    sender = SenderStatistics(7)
    sender.send(3, 3_000)
    sender.send(1, 0xFFFFFFFF)
    block = ReportBlock(8)
    assert sender.sender_report(0x1234, 1 << 32 | 5, [block]) == SenderReport(
        7, 0x1234, 5, packet_count=4, octet_count=2_999, reports=[block]
    )


def test_a_round_trip_is_what_is_left_of_the_time_since_the_report() -> None:
    """The example of RFC 3550 §6.4.1, figure 2."""
    # A is b710:8000, the last SR b705:2000, the delay 5.25 s.
    arrival = 0xB44D_B710_8000_0000
    assert round_trip_time(0xB705_2000, 0x0005_4000, arrival) == 6.125


@pytest.mark.parametrize(
    ("last", "delay", "expected"),
    [
        (0, 0, None),  # no report had come
        (0x0010_0000, 0x8000, 0.5),
        (0x0010_0000, 0x1_0001, 0.0),  # their clock runs fast
        (0x0010_0000, 0x9_0000, None),  # nonsense
        (0x0010_0000 - 61 * 65_536 & 0xFFFFFFFF, 0, None),
        (0xFFFF_FFFF, 0x11_0000, 1 / 65_536),  # over the wrap
    ],
)
def test_round_trips_are_judged(last: int, delay: int, expected: float | None) -> None:
    """Source: RFC 3611 §4.5."""
    assert round_trip_time(last, delay, 0x11_0000 << 16) == expected


def test_a_sender_keeps_the_last_round_trip_that_could_be_measured() -> None:
    sender = SenderStatistics(7)
    assert sender.round_trip_time is None
    now = 0x0011_0000 << 16
    sender.receive_report_block(ReportBlock(7, last_sr=0x0010_0000), now)
    sender.receive_report_block(ReportBlock(7), now)
    assert sender.round_trip_time == 1.0


def test_receivers_get_their_reference_time_back() -> None:
    """Source: RFC 3611 §4.4, RFC 3611 §4.5."""
    times = ReferenceTimes(limits=Limits(reference_times=2))
    assert times.answer(1.0) is None
    times.receive(1, 0x1111_2222_3333_4444, 1.0)
    times.receive(2, 0x5555_6666_7777_8888, 1.5)
    times.receive(2, 0x5555_6667_7777_8888, 1.75)
    assert times.answer(2.0) == DlrrBlock(
        [
            DelaySinceLastReport(1, 0x2222_3333, 65_536),
            DelaySinceLastReport(2, 0x6667_7777, 16_384),
        ]
    )
    assert times.answer(3.0) is None
    for ssrc in (1, 2, 3):
        times.receive(ssrc, 1 << 32, 3.0)
    answer = times.answer(3.0)
    assert answer is not None
    assert [entry.ssrc for entry in answer.entries] == [2, 3]


@pytest.mark.parametrize(
    ("seconds", "timestamp"),
    [
        (0.0, 2_208_988_800 << 32),
        (0.5, 2_208_988_800 << 32 | 1 << 31),
        (2_085_978_496.0, 0),  # February 2036
    ],
)
def test_unix_time_and_ntp_time_are_one(seconds: float, timestamp: int) -> None:
    """Source: RFC 3550 §4."""
    assert ntp_from_unix(seconds) == timestamp
    assert unix_from_ntp(timestamp) == seconds


@given(st.floats(-6e7, 4e9))
def test_times_come_back(seconds: float) -> None:
    timestamp = ntp_from_unix(seconds)
    assert abs(unix_from_ntp(timestamp) - seconds) < 1e-6
    assert ntp_middle(timestamp) == timestamp >> 16 & 0xFFFFFFFF
