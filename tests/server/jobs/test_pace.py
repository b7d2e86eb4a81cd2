"""When jobs are looked at."""

from __future__ import annotations

import itertools

from penstock.jobs.pace import LOOK_S, Pace


def looks(pace: Pace, octets: int, now: float, count: int) -> list[float]:
    """Return when the next looks are, each finding so much."""
    times = []
    for _ in range(count):
        now = pace.next_look(octets, now)
        times.append(now)
    return times


def test_looks_become_rarer_and_then_keep_to_the_ticks() -> None:
    times = looks(Pace(), 700, 100.1, 12)
    gaps = [after - before for before, after in itertools.pairwise(times)]
    assert gaps[:3] == sorted(gaps[:3])
    assert gaps[-3:] == [LOOK_S] * 3
    assert all(time % 0.25 == 0 for time in times[-3:])


def test_jobs_of_different_beginnings_wake_together() -> None:
    pairs = [looks(Pace(), 700, 50 + 0.01 * number, 9)[-1] for number in range(100)]
    assert len(set(pairs)) <= 8


def test_who_says_much_is_looked_at_often_until_it_says_little() -> None:
    pace = Pace()
    (*_, now) = looks(pace, 0, 0.0, 12)
    assert pace.next_look(60_000, now) - now < 0.05
    assert pace.next_look(8_000, now) - now < 0.05
    (*_, late) = looks(pace, 100, now, 12)
    assert pace.next_look(0, late) - late > LOOK_S / 2
