"""What publishers' clocks do, and what the server makes of them."""

from __future__ import annotations

import pytest

from penstock.media.timeline import MillisecondTimeline


def mapped(*timestamps: int, interval_s: float = 0.02) -> list[int]:
    timeline = MillisecondTimeline()
    return [
        timeline.map(timestamp, number * interval_s)
        for number, timestamp in enumerate(timestamps)
    ]


@pytest.mark.parametrize("bits", [31, 32])
def test_a_clock_that_wraps_goes_on(bits: int) -> None:
    end = 1 << bits
    # The sound at the end arrives after the picture that has wrapped already.
    times = mapped(end - 60, end - 40, end - 20, 0, end - 10, 20, 40)
    assert times == [0, 20, 40, 60, 50, 80, 100]


def test_a_clock_of_31_bits_goes_on_long_after_it_wrapped() -> None:
    end = 1 << 31
    wire = [now % end for now in range(end - 1000, end + 40_000, 1 << 10)]
    assert mapped(*wire) == list(range(0, 41_000, 1 << 10))


def test_a_jump_is_left_out_and_the_other_track_may_jump_later() -> None:
    times = mapped(0, 20, 40, 100_000, 50, 100_020, 60, 100_040)
    assert times == [0, 20, 40, 60, 50, 80, 60, 100]


def test_the_time_before_a_jump_is_forgotten() -> None:
    timeline = MillisecondTimeline()
    timeline.map(0, 0.0)
    timeline.map(500_000, 0.1)
    timeline.map(503_000, 3.1)
    # 2,900 ms is where the first clock would be now, but that was long ago.
    assert timeline.map(2_900, 3.2) == 3_040
