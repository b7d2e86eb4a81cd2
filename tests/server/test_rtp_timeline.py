"""RTP's clocks on the stream's one zero."""

from __future__ import annotations

import pytest

from penstock.media.rtp_timeline import RtpTimeline

_NTP = 3_900_000_000.0


def test_the_first_packet_of_a_publication_is_at_zero() -> None:
    timeline = RtpTimeline()
    assert timeline.map("v", 90_000, 4_000_000_000, 100.0) == 0
    assert timeline.map("v", 90_000, 4_000_003_000, 100.033) == 3_000


def test_timestamps_wrap_unseen() -> None:
    timeline = RtpTimeline()
    timeline.map("v", 90_000, 2**32 - 1_500, 100.0)
    assert timeline.map("v", 90_000, 1_500, 100.033) == 3_000
    assert timeline.jumps == 0


def test_time_goes_on_over_many_wraps() -> None:
    timeline = RtpTimeline()
    for second in range(0, 200_000, 5):  # 55 hours: four wraps at 90 kHz
        ticks = timeline.map("v", 90_000, second * 90_000 & 0xFFFFFFFF, float(second))
        assert ticks == second * 90_000


def test_tracks_stand_where_they_arrived_until_a_report() -> None:
    timeline = RtpTimeline()
    timeline.map("v", 90_000, 0, 100.0)
    assert timeline.map("a", 48_000, 777, 100.5) == 24_000


def test_reports_put_young_tracks_right_at_once() -> None:
    timeline = RtpTimeline()
    timeline.map("v", 90_000, 90_000, 100.0)
    # Captured with the first picture, arrived 80 ms later.
    timeline.map("a", 48_000, 48_000, 100.08)
    timeline.report("v", _NTP + 0.1, 99_000, 100.1)
    timeline.report("a", _NTP + 0.1, 52_800, 100.1)
    video = timeline.map("v", 90_000, 108_000, 100.2) / 90_000
    audio = timeline.map("a", 48_000, 57_600, 100.28) / 48_000
    assert video == pytest.approx(0.2)
    assert audio == pytest.approx(0.2, abs=1e-4)


def test_later_corrections_are_slewed() -> None:
    timeline = RtpTimeline()
    timeline.map("v", 90_000, 0, 100.0)
    timeline.map("a", 48_000, 0, 100.1)
    for n in range(1, 300):
        timeline.map("v", 90_000, 900 * n, 100.0 + n / 100)
        timeline.map("a", 48_000, 480 * n, 100.1 + n / 100)
    timeline.report("v", _NTP + 3, 270_000, 103.0)
    timeline.report("a", _NTP + 3, 144_000, 103.1)
    last = timeline.map("a", 48_000, 480 * 299, 103.09)
    for n in range(300, 1_300):
        ticks = timeline.map("a", 48_000, 480 * n, 100.1 + n / 100)
        # 10 ms of sound, at most 2 % more or less.
        assert 470 <= ticks - last <= 490
        last = ticks
    assert last == pytest.approx(480 * 1_299, abs=2)


def test_a_report_of_all_ones_or_of_no_time_is_not_believed() -> None:
    timeline = RtpTimeline()
    timeline.map("v", 90_000, 1_000, 100.0)
    timeline.map("a", 48_000, 1_000, 100.0)
    timeline.report("v", _NTP, 0xFFFFFFFF - 90_000 * 20, 100.01)
    timeline.report("v", 0.0, 1_000, 100.01)
    timeline.report("a", _NTP, 1_000, 100.01)
    assert timeline.map("v", 90_000, 4_000, 100.033) == 3_000


def test_a_clock_that_starts_anew_goes_on_by_arrival() -> None:
    timeline = RtpTimeline()
    timeline.map("v", 90_000, 0, 100.0)
    timeline.map("v", 90_000, 90_000, 101.0)
    assert timeline.map("v", 90_000, 3_000_000_000, 101.5) == 135_000
    assert timeline.jumps == 1
    assert timeline.map("v", 90_000, 3_000_003_000, 101.53) == 138_000


def test_a_file_that_is_played_again_goes_on_by_arrival() -> None:
    timeline = RtpTimeline()
    for n in range(100):
        timeline.map("v", 90_000, 3_600 * n, 100.0 + n / 25)
    assert timeline.map("v", 90_000, 0, 104.0) == 4 * 90_000
    assert timeline.map("v", 90_000, 3_600, 104.04) == 4.04 * 90_000
    assert timeline.jumps == 1


def test_a_report_after_a_new_start_moves_nothing_at_once() -> None:
    timeline = RtpTimeline()
    timeline.map("v", 90_000, 0, 100.0)
    timeline.report("v", _NTP, 0, 100.0)
    timeline.map("v", 90_000, 90_000 * 4, 104.0)
    timeline.map("v", 90_000, 0, 104.04)
    timeline.report("v", _NTP + 3.2, 0, 104.05)
    late = timeline.map("v", 90_000, 3_600, 104.08) / 90_000
    assert late == pytest.approx(4.08, abs=0.001)


def test_a_silence_is_no_jump() -> None:
    timeline = RtpTimeline()
    timeline.map("a", 48_000, 0, 100.0)
    assert timeline.map("a", 48_000, 48_000 * 60, 160.0) == 48_000 * 60
    assert timeline.jumps == 0


def test_a_wall_clock_that_is_set_moves_nothing() -> None:
    timeline = RtpTimeline()
    timeline.map("v", 90_000, 0, 100.0)
    timeline.report("v", _NTP, 0, 100.0)
    timeline.map("v", 90_000, 90_000, 101.0)
    timeline.report("v", _NTP + 3_601, 90_000, 101.0)
    assert timeline.map("v", 90_000, 180_000, 102.0) == 180_000
    timeline.report("v", _NTP + 3_602, 180_000, 102.0)
    assert timeline.map("v", 90_000, 270_000, 103.0) == 270_000


def test_a_new_publication_goes_on_where_the_last_one_ended() -> None:
    timeline = RtpTimeline(5_000)
    assert timeline.map("v", 90_000, 123, 100.0) == 5_020 * 90
    assert timeline.last_ms == 5_020


def test_late_packets_keep_their_own_time() -> None:
    timeline = RtpTimeline()
    timeline.map("v", 90_000, 0, 100.0)
    timeline.map("v", 90_000, 6_000, 100.066)
    assert timeline.map("v", 90_000, 3_000, 100.07) == 3_000
    assert timeline.map("v", 90_000, 9_000, 100.1) == 9_000
