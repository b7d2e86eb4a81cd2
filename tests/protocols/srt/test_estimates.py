"""What a connection estimates: round trip, drift, rates, how fast it may send."""

from __future__ import annotations

import pytest
from sansmedia.srt.congestion import FileCongestion, LiveCongestion, Pacer
from sansmedia.srt.options import SrtOptions
from sansmedia.srt.rates import InputRate, LinkCapacity, ReceivingRate
from sansmedia.srt.round_trip import AckWindow, RoundTrip
from sansmedia.srt.tsbpd import DriftTracer, TsbpdClock


def test_the_first_sample_of_the_round_trip_replaces_the_guess() -> None:
    """SRT draft-01 §4.10, and what libsrt does with the first one."""
    trip = RoundTrip()
    assert (trip.rtt, trip.variance) == (0.1, 0.05)
    trip.add(0.04)
    assert (trip.rtt, trip.variance) == (0.04, 0.02)
    trip.add(0.08)
    assert trip.rtt == pytest.approx(0.045)
    assert trip.variance == pytest.approx(0.025)


def test_a_sender_takes_the_round_trip_as_it_is_reported() -> None:
    """SRT draft-01 §4.10: unless it measures by itself, then it smooths both."""
    trip = RoundTrip()
    trip.adopt(100_000, 50_000, receiving=False)
    assert not trip.is_measured
    trip.adopt(40_000, 1_000, receiving=False)
    trip.adopt(60_000, 2_000, receiving=False)
    assert (trip.rtt, trip.variance) == (0.06, 0.002)
    trip.adopt(140_000, 2_000, receiving=True)
    assert trip.rtt == pytest.approx(0.07)


def test_an_answer_forgets_the_acknowledgements_before_it() -> None:
    window = AckWindow()
    for number in range(1, 2000):
        window.store(number, number * 10, float(number))
    assert window.acknowledge(1) is None
    assert window.acknowledge(1990) == (19_900, 1990.0)
    assert window.acknowledge(1989) is None
    assert window.acknowledge(1991) == (19_910, 1991.0)


def test_drift_beyond_five_milliseconds_moves_the_base() -> None:
    """SRT draft-01 §4.7."""
    tracer = DriftTracer()
    assert [tracer.add(0.008) for _ in range(1000)] == [0.0] * 999 + [0.005]
    assert tracer.drift == pytest.approx(0.003)
    assert [tracer.add(-0.002) for _ in range(1000)][-1] == 0.0
    assert tracer.drift == pytest.approx(-0.002)
    assert [tracer.add(-0.02) for _ in range(1000)][-1] == -0.005


def test_play_time_is_base_time_stamp_latency_and_drift() -> None:
    """SRT draft-01 §4.5.1 and §4.5.1.1."""
    clock = TsbpdClock(2_000_000, 1000.0, 0.12, trace_drift=True)
    assert clock.base == 998.0
    assert clock.delivery_time(5_000_000) == pytest.approx(1003.12)
    assert clock.due(1003.12) == 5_000_000
    assert clock.due(1003.1199) < 5_000_000
    for _ in range(1000):
        clock.add_sample(3_000_000, 1001.003, 0.04)
    assert clock.delivery_time(5_000_000) == pytest.approx(1003.123)
    assert clock.source_time(5_000_000) == pytest.approx(1003.0)


def test_a_round_trip_that_grows_is_not_taken_for_drift() -> None:
    """SRT draft-01 §4.7: half of it is the way here."""
    clock = TsbpdClock(0, 1000.0, 0.12, trace_drift=True)
    clock.add_sample(0, 1000.0, 0.04)
    for _ in range(999):
        clock.add_sample(0, 1000.03, 0.1)
    assert clock.drift == pytest.approx(0, abs=1e-9)


def test_the_receiving_rate_counts_packets_and_headers() -> None:
    """SRT draft-01 §5.2.1.3."""
    rate = ReceivingRate()
    assert rate.look(0.0, 0, 0) == (0, 0)
    seen = [rate.look(at * 0.01, at * 5, at * 5000) for at in range(1, 40)]
    assert seen[-1] == (500, 500 * 1044)
    assert rate.look(10.0, 200, 200_000) == (0, 0)


def test_pairs_of_packets_tell_the_capacity_of_the_path() -> None:
    """SRT draft-01 §5.2.1.3."""
    capacity = LinkCapacity(1456)
    assert capacity.rate == 0
    for number in range(20):
        at = number * 0.1
        capacity.first(number * 16, at)
        # One in five pairs was torn apart.
        capacity.second(number * 16 + 1, at + (0.001 if number % 5 else 0.05), 1456)
    assert capacity.rate == 1000
    capacity.first(1000, 5.0)
    capacity.second(1002, 5.001, 1456)
    assert capacity.rate == 1000


def test_the_input_rate_follows_what_is_sent() -> None:
    """SRT draft-01 §5.1.1: INPUTBW_ESTIMATED."""
    rate = InputRate()
    for number in range(300):
        rate.add(1, 956, number * 0.01)
    assert rate.rate == pytest.approx(100_000, rel=0.01)


@pytest.mark.parametrize(
    ("options", "octets_a_second"),
    [
        (SrtOptions(), None),
        (SrtOptions(max_bw=1_000_000), 1_000_000),
        (SrtOptions(max_bw=0, input_bw=800_000), 1_000_000),
        (SrtOptions(max_bw=0, input_bw=800_000, overhead_bw=50), 1_200_000),
    ],
)
def test_the_live_limit_is_what_is_set(
    options: SrtOptions, octets_a_second: int | None
) -> None:
    """SRT draft-01 §5.1.1 and §5.1.2."""
    pacer = Pacer(0.005)
    LiveCongestion(options, pacer)
    assert pacer.is_limited is (octets_a_second is not None)
    if octets_a_second:
        assert 1 / pacer.per_octet == pytest.approx(octets_a_second)
        pacer.spend(956, 10.0)
        pacer.spend(956, 10.0)
        assert pacer.next_at == pytest.approx(9.995 + 2000 / octets_a_second)


def _file(options: SrtOptions | None = None) -> tuple[FileCongestion, Pacer]:
    pacer = Pacer(0.005)
    congestion = FileCongestion(
        options or SrtOptions(), pacer, mss=1500, sequence=1, most=1000, seed=7
    )
    return congestion, pacer


def test_slow_start_grows_by_what_is_acknowledged_and_ends_with_the_first_loss() -> (
    None
):
    """SRT draft-01 §5.2.1.1."""
    congestion, pacer = _file()
    assert congestion.window == 16
    assert pacer.period == pytest.approx(1e-6)
    congestion.acknowledge(17, 1.0, 0.05, 0, 0)
    congestion.acknowledge(27, 1.005, 0.05, 0, 0)
    assert congestion.window == 32
    congestion.acknowledge(49, 1.02, 0.05, 0, 0)
    assert congestion.window == 64
    congestion.lose(50, 60, 1, 0.05, 2000)
    assert not congestion.is_slow_start
    assert pacer.period == pytest.approx(1 / 2000)


def test_slow_start_ends_where_the_window_does() -> None:
    """SRT draft-01 §5.2.1.1, step 5."""
    congestion, pacer = _file()
    congestion.acknowledge(2000, 1.0, 0.05, 0, 0)
    assert congestion.window == 1000
    assert not congestion.is_slow_start
    assert pacer.period == pytest.approx(0.06 / 1000, rel=0.1)


def test_losses_slow_down_and_acknowledgements_speed_up() -> None:
    """SRT draft-01 §5.2.1.2."""
    congestion, pacer = _file()
    congestion.lose(5, 10, 1, 0.05, 1000)
    congestion.acknowledge(6, 1.0, 0.05, 1000, 2000)
    assert congestion.window == 76
    first = pacer.period
    # Few of what is under way: not taken for congestion.
    congestion.lose(7, 10, 0, 0.05, 1000)
    assert pacer.period == first
    congestion.lose(20, 30, 10, 0.05, 1000)
    assert pacer.period == pytest.approx(first * 1.03)
    slow = pacer.period
    congestion.acknowledge(31, 1.1, 0.05, 1000, 2000)
    assert pacer.period == slow
    congestion.acknowledge(41, 1.2, 0.05, 1000, 2000)
    assert pacer.period < slow
    congestion.warn()
    assert pacer.period > slow


def test_a_burst_of_reports_slows_down_only_so_often() -> None:
    """SRT draft-01 §5.2.1.2, step 4."""
    congestion, pacer = _file()
    congestion.lose(5, 10, 1, 0.05, 1000)
    first = pacer.period
    for _ in range(100):
        congestion.lose(20, 1000, 20, 0.05, 1000)
    assert first < pacer.period < first * 1.03**8


def test_a_file_keeps_to_the_bandwidth_that_is_set() -> None:
    """SRT draft-01 §5.2.1.2, step 6."""
    _, pacer = _file(SrtOptions(max_bw=150_000))
    assert pacer.period == pytest.approx(0.01)
