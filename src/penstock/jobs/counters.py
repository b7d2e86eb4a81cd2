"""What the kernel counts of a program."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import Final

import attrs

from penstock.control.procfs import PROCESS_FIELDS, parse_process

__all__ = ["Counters", "available_cpus", "count"]

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


@attrs.frozen
class Counters:
    """What a program has used, and when it began."""

    started: int
    """Clock ticks after the boot."""
    cpu_s: float
    """Seconds of all cores, its own and the kernel's for it."""
    memory: int
    """Octets that are resident."""


def count(pid: int) -> Counters | None:
    """Read the counters of a process; None if it is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = dict(zip(PROCESS_FIELDS, parse_process(text)[3], strict=True))
    spent = (fields["utime"] + fields["stime"]) / _TICKS
    return Counters(fields["starttime"], spent, fields["rss"] * _PAGE)


@lru_cache(1)
def available_cpus(groups: Path = Path("/sys/fs/cgroup")) -> float:
    """Return how many cores' time this process may take, within its container.

    Args:
        groups: The container's control group, of either version.
    """
    cores = float(len(os.sched_getaffinity(0)))
    quota = _quota(groups / "cpu.max")
    if quota is None:
        folder = groups / "cpu"
        quota = _quota(folder / "cpu.cfs_quota_us", folder / "cpu.cfs_period_us")
    return cores if quota is None else min(cores, quota)


def _quota(*files: Path) -> float | None:
    """Return the cores that "QUOTA PERIOD" stands for; None without a limit."""
    try:
        quota, period = " ".join(file.read_text() for file in files).split()
        cores = int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return None
    return cores if cores > 0 else None
