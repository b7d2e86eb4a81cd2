"""Clocks: conversion, unwrapping, jumps, and the exact time of audio."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.media import milliseconds, rescale
from penstock.media.timeline import AudioClock, MillisecondTimeline

RATES = st.sampled_from([1_000, 8_000, 44_100, 48_000, 90_000])
TICKS = st.integers(-(1 << 60), 1 << 60)


@given(value=TICKS, source=RATES, target=RATES)
def test_a_finer_clock_and_back_changes_nothing(
    value: int, source: int, target: int
) -> None:
    if target >= source:
        assert rescale(rescale(value, source, target), target, source) == value


@given(value=TICKS, source=RATES, target=RATES)
def test_rescaling_is_off_by_half_a_tick_at_most(
    value: int, source: int, target: int
) -> None:
    error = rescale(value, source, target) * source - value * target
    assert -source <= 2 * error <= source


@given(values=st.lists(TICKS, min_size=2, max_size=9), source=RATES, target=RATES)
def test_rescaling_keeps_order(values: list[int], source: int, target: int) -> None:
    values.sort()
    scaled = [rescale(value, source, target) for value in values]
    assert scaled == sorted(scaled)


@given(value=TICKS, rate=RATES)
def test_milliseconds_are_the_same_as_rescaling(value: int, rate: int) -> None:
    assert milliseconds(value, rate) == rescale(value, rate, 1_000)


# -- the timeline -------------------------------------------------------------------


def mapped(timeline: MillisecondTimeline, *arrivals: tuple[int, float]) -> list[int]:
    return [timeline.map(timestamp, now) for timestamp, now in arrivals]


def test_a_publication_keeps_a_start_near_zero_and_loses_a_late_one() -> None:
    assert mapped(MillisecondTimeline(), (40, 0), (80, 0.04)) == [40, 80]
    assert mapped(MillisecondTimeline(), (10**8, 0), (10**8 + 40, 0.04)) == [0, 40]


@pytest.mark.parametrize("start", [0, 5_000, 1 << 31, (1 << 32) - 20])
def test_a_new_publisher_goes_on_where_the_last_one_ended(start: int) -> None:
    timeline = MillisecondTimeline(60_000)
    wire = [(start + 40 * n) & 0xFFFFFFFF for n in range(3)]
    times = [timeline.map(timestamp, 0.04 * n) for n, timestamp in enumerate(wire)]
    assert times == [60_020, 60_060, 60_100]


def test_a_clock_of_24_bits_goes_on_with_a_small_gap() -> None:
    end = 1 << 24
    timeline = MillisecondTimeline()
    wire = itertools.chain(range(end - 1_200, end, 40), range(0, 400, 40))
    times = [timeline.map(timestamp, 0.04 * n) for n, timestamp in enumerate(wire)]
    steps = {later - earlier for earlier, later in itertools.pairwise(times)}
    assert steps <= {20, 40}
    assert timeline.jumps == 1


def test_a_pause_of_the_publisher_is_no_jump() -> None:
    timeline = MillisecondTimeline()
    assert mapped(timeline, (0, 0), (40, 0.04), (60_000, 60)) == [0, 40, 60_000]
    assert timeline.jumps == 0


def test_a_burst_after_a_stall_is_no_jump() -> None:
    timeline = MillisecondTimeline()
    arrivals = [(0, 0.0), *((40 * n, 20.0) for n in range(1, 500))]
    assert mapped(timeline, *arrivals) == [40 * n for n in range(500)]
    assert timeline.jumps == 0


@settings(max_examples=200)
@given(
    steps=st.lists(
        st.tuples(
            st.one_of(
                st.integers(0, 100),
                st.integers(-4_000, 20_000),
                st.integers(0, 1 << 32),
            ),
            st.floats(0, 30),
        ),
        max_size=60,
    )
)
def test_no_clock_leads_to_a_negative_time_or_a_huge_step(
    steps: list[tuple[int, float]],
) -> None:
    timeline = MillisecondTimeline()
    wire, now, highest = 0, 0.0, 0
    for step, waited in steps:
        wire = (wire + step) & 0xFFFFFFFF
        now += waited
        time = timeline.map(wire, now)
        assert time >= 0
        # Forward no more than the bound, or what the wall's clock allows twice over.
        assert time - highest <= max(60_000, 2 * waited * 1000)
        highest = max(highest, time)
        assert timeline.last_ms >= time


# -- the audio clock ----------------------------------------------------------------


@pytest.mark.parametrize(("rate", "samples"), [(44_100, 1_024), (48_000, 960)])
def test_audio_is_exact_for_hours_from_rounded_milliseconds(
    rate: int, samples: int
) -> None:
    clock = AudioClock(rate)
    for number in range(3 * 3600 * rate // samples):
        exact = number * samples
        assert clock.next(milliseconds(exact, rate), samples) == exact


@pytest.mark.parametrize("rounding", [-1, 0, 1])
def test_audio_rounded_down_or_up_is_exact_too(rounding: int) -> None:
    clock = AudioClock(44_100)
    for number in range(2_000):
        time_ms = 1_000 + number * 1_024_000 // 44_100 + rounding * (number % 2)
        assert clock.next(time_ms, 1_024) == 44_100 + 1_024 * number


@pytest.mark.parametrize("parts_per_million", [-300, 300])
def test_an_audio_clock_that_drifts_is_followed(parts_per_million: int) -> None:
    clock = AudioClock(48_000)
    last = -1
    for number in range(100_000):
        time_ms = round(number * 20 * (1 + parts_per_million / 1e6))
        dts = clock.next(time_ms, 960)
        assert dts > last
        assert abs(dts - time_ms * 48) < 48_000 * 0.09
        last = dts


def test_a_gap_in_audio_stays_a_gap() -> None:
    clock = AudioClock(48_000)
    assert [clock.next(ms, 960) for ms in (0, 20, 500, 520)] == [
        0,
        960,
        24_000,
        24_960,
    ]


def test_sounds_of_unknown_length_follow_the_wire_and_never_step_back() -> None:
    clock = AudioClock(1_000)
    assert [clock.next(ms, None) for ms in (0, 23, 23, 20, 46)] == [0, 23, 24, 25, 46]
