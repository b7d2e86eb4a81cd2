"""Timestamps, wall times and the reports between them. RFC 3550 §6.4.1."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sansmedia.rtp import RtpClock, SenderReport, ntp_from_unix

_RATE = 90_000
_WALL = 1_700_000_000.0


def _report(rtp_time: int, wall: float = _WALL) -> SenderReport:
    return SenderReport(1, ntp_from_unix(wall), rtp_time & 0xFFFFFFFF)


def test_timestamps_go_on_over_the_wrap() -> None:
    """13 hours of 90 kHz."""
    clock = RtpClock(_RATE)
    assert clock.receive(0xFFFFFF00, 0.0) == 0xFFFFFF00
    assert clock.receive(0x100, 0.0) == 0x100000100
    assert clock.receive(0xFFFFFF80, 0.0) == 0xFFFFFF80  # a late one


@given(st.integers(0, 0xFFFFFFFF), st.lists(st.integers(-1000, 1 << 30), max_size=30))
def test_unwrapping_keeps_every_step(first: int, steps: list[int]) -> None:
    clock = RtpClock(_RATE)
    expected = clock.receive(first, 0.0)
    for step in steps:
        expected += step
        assert clock.receive(expected & 0xFFFFFFFF, 0.0) == expected


def test_arrival_is_the_measure_until_a_report_comes() -> None:
    clock = RtpClock(_RATE)
    assert clock.arrival_time(0) is None
    clock.receive(9_000, 10.3)  # 300 ms late
    ticks = clock.receive(18_000, 10.1)
    clock.receive(27_000, 10.9)
    assert clock.arrival_time(ticks) == pytest.approx(10.1)
    assert clock.arrival_time(9_000) == pytest.approx(10.0)
    assert clock.wall_time(ticks) is None
    assert clock.ticks_at(_WALL) is None
    assert not clock.is_synchronised


def test_timestamps_that_begin_anew_take_the_measure_with_them() -> None:
    clock = RtpClock(_RATE)
    clock.receive(1 << 31, 10.0)
    ticks = clock.receive((1 << 31) - 100 * _RATE, 11.0)
    assert clock.arrival_time(ticks) == pytest.approx(11.0)


def test_a_report_tells_the_wall_time() -> None:
    clock = RtpClock(_RATE)
    clock.receive(0xFFFFFF00, 0.0)
    assert clock.receive_sender_report(_report(0xFFFFFF00 + _RATE))
    assert clock.is_synchronised
    ticks = clock.receive(0xFFFFFF00 + 2 * _RATE & 0xFFFFFFFF, 2.0)
    assert clock.wall_time(ticks) == pytest.approx(_WALL + 1, abs=1e-5)
    assert clock.ticks_at(_WALL + 1) == pytest.approx(ticks, abs=1)


def test_later_reports_correct_the_drift() -> None:
    clock = RtpClock(_RATE)
    clock.receive(0, 0.0)
    assert clock.receive_sender_report(_report(0))
    assert clock.receive_sender_report(_report(5 * _RATE, _WALL + 5.1))
    assert clock.wall_time(5 * _RATE) == pytest.approx(_WALL + 5.1, abs=1e-5)


@pytest.mark.parametrize(
    "report",
    [
        SenderReport(1, 0, 1_000),
        _report(0xFFFFFFFF),
        _report(40 * _RATE),
        _report(-40 * _RATE),
    ],
    ids=["no wall time", "unset timestamp", "far ahead", "far behind"],
)
def test_a_report_that_cannot_be_is_refused(report: SenderReport) -> None:
    """OBS begins with 0xFFFFFFFF in place of a timestamp."""
    clock = RtpClock(_RATE)
    clock.receive(1_000, 0.0)
    assert not clock.receive_sender_report(report)
    assert not clock.is_synchronised
    assert clock.refused == 1
    assert clock.receive_sender_report(_report(1_000))
    assert clock.wall_time(1_000) == pytest.approx(_WALL, abs=1e-5)


def test_a_report_before_all_packets_is_judged_with_the_first() -> None:
    good, bad = RtpClock(_RATE), RtpClock(_RATE)
    for clock in (good, bad):
        assert clock.receive_sender_report(_report(1_000))
        assert not clock.is_synchronised
    good.receive(1_900, 0.0)
    assert good.wall_time(1_900) == pytest.approx(_WALL + 0.01, abs=1e-5)
    bad.receive(1 << 31, 0.0)
    assert not bad.is_synchronised
    assert bad.refused == 1


def test_one_report_that_disagrees_is_refused_and_a_second_believed() -> None:
    clock = RtpClock(_RATE)
    clock.receive(0, 0.0)
    clock.receive_sender_report(_report(0))
    assert not clock.receive_sender_report(_report(_RATE, _WALL + 500))
    assert clock.receive_sender_report(_report(2 * _RATE, _WALL + 2))
    # The clock was set for good.
    assert not clock.receive_sender_report(_report(3 * _RATE, _WALL + 3_603))
    assert clock.receive_sender_report(_report(4 * _RATE, _WALL + 3_604))
    assert clock.wall_time(4 * _RATE) == pytest.approx(_WALL + 3_604, abs=1e-5)
    assert clock.refused == 2
