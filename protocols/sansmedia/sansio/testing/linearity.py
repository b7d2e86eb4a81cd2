"""Two judges of cost: one counts function calls, one measures CPU."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType

from .case import require

__all__ = ["Work", "require_linear_work", "require_steady_time"]

Work = Callable[[], None]

# Between linear (4 for four times the input) and quadratic (16) lies room for
# start-up costs.
_MAX_CALL_RATIO = 7.0
# Steady work has the ratio 1; a copy of a megabyte per small piece goes far beyond.
_MAX_TIME_RATIO = 4.0
_TRIES = 5


def require_linear_work(name: str, small: Work, large: Work) -> None:
    """Require that ``large``, four times ``small``, makes about four times the calls.

    The count is the same on every box and in every run.
    """
    few, many = _count_calls(small), _count_calls(large)
    require(
        many <= _MAX_CALL_RATIO * few,
        name,
        f"four times the input makes {many} calls instead of {few}",
    )


def _count_calls(work: Work) -> int:
    calls = 0

    def count(_frame: FrameType, event: str, _arg: object) -> None:
        nonlocal calls
        if event in {"call", "c_call"}:
            calls += 1

    previous = sys.getprofile()
    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(previous)
    return calls


def require_steady_time(
    name: str,
    empty: Callable[[], Work],
    full: Callable[[], Work],
    cpu_clock: Callable[[], float],
) -> None:
    """Require that the same work costs the same whatever was fed before.

    The best of five tries counts, so a busy box does no harm.

    Args:
        name: Shown in the complaint.
        empty: Prepares the work after little input.
        full: Prepares the same work after much input.
        cpu_clock: Gives CPU seconds.
    """
    ratios = []
    for _ in range(_TRIES):
        cheap, dear = (_measure(prepare(), cpu_clock) for prepare in (empty, full))
        ratios.append(dear / max(cheap, 1e-4))
        if ratios[-1] <= _MAX_TIME_RATIO:
            return
    raise AssertionError(
        f"{name}: after much input, the next costs {min(ratios):.1f} times the CPU"
    )


def _measure(work: Work, cpu_clock: Callable[[], float]) -> float:
    start = cpu_clock()
    work()
    return cpu_clock() - start
