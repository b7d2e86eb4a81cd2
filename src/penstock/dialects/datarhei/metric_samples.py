"""Figures under datarhei's names, made of views. All but the two meters is pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from penstock.control.files import Usage
from penstock.control.jobs import Exec, JobView
from penstock.control.procfs import CPU_FIELDS
from penstock.control.system import CpuView, MemoryView, masked_arguments

from .metrics_query import Sample
from .session_rows import COLLECTORS
from .session_sums import SessionLimits, Totals

__all__ = [
    "CpuMeter",
    "StateMeter",
    "disk_samples",
    "file_system_label",
    "file_system_samples",
    "job_samples",
    "memory_samples",
    "network_samples",
    "session_samples",
    "state_samples",
]

_MIB: Final = 1 << 20


class CpuMeter:
    """Shares of the processors' time between the last two samples of it."""

    def __init__(self) -> None:
        self._before = self._last = (0,) * len(CPU_FIELDS)

    def samples(self, cpu: CpuView) -> list[Sample]:
        """Return the shares in percent, of all processors together."""
        if cpu.ticks != self._last:
            self._before, self._last = self._last, cpu.ticks
        spent = {
            name: max(0, now - then)
            for name, now, then in zip(
                CPU_FIELDS, self._last, self._before, strict=True
            )
        }
        # Guest time is within user time already.
        total = sum(ticks for name, ticks in spent.items() if name != "guest") or 1
        user = 100 * (spent["user"] + spent["nice"]) / total
        system = 100 * spent["sys"] / total
        idle = 100 * spent["idle"] / total
        other = 100 * sum(spent[n] for n in ("iowait", "irq", "softirq", "steal"))
        return [
            Sample("cpu_idle", idle),
            Sample("cpu_other", other / total),
            Sample("cpu_system", system),
            Sample("cpu_user", user),
        ]


def memory_samples(memory: MemoryView) -> list[Sample]:
    """Return the machine's memory in bytes."""
    return [
        Sample("mem_free", (memory.total - memory.in_use) << 10),
        Sample("mem_total", memory.total << 10),
    ]


def network_samples(counters: Mapping[str, tuple[int, int]]) -> list[Sample]:
    """Return what devices have received and sent, by their names."""
    found = []
    for name, (received, sent) in sorted(counters.items()):
        labels = (("interface", name),)
        found += [Sample("net_rx", received, labels), Sample("net_tx", sent, labels)]
    return found


def disk_samples(disks: Mapping[str, tuple[int, int]]) -> list[Sample]:
    """Return size and use of disks, by where they are mounted."""
    found = []
    for path, (total, used) in sorted(disks.items()):
        labels = (("path", path),)
        found += [
            Sample("disk_total", total, labels),
            Sample("disk_usage", used, labels),
        ]
    return found


def file_system_label(name: str) -> str:
    """Return what figures call a file system."""
    return f"{name}fs" if name in ("disk", "mem") else name


def file_system_samples(usages: Mapping[str, Usage]) -> list[Sample]:
    """Return files, bytes and limits of file systems, by their names."""
    found = []
    for name, usage in usages.items():
        labels = (("name", file_system_label(name)),)
        found += [
            Sample("filesystem_files", usage.files, labels),
            Sample("filesystem_limit", usage.limit_bytes, labels),
            Sample("filesystem_usage", usage.size_bytes, labels),
        ]
    return found


def session_samples(
    totals: Mapping[str, Totals],
    limits_of: Callable[[str], SessionLimits] = lambda collector: SessionLimits(),
) -> list[Sample]:
    """Return the figures of every collector."""
    found = []
    for name in COLLECTORS:
        total, limits = totals.get(name, Totals()), limits_of(name)
        figures = {
            "session_active": total.active,
            "session_limit": limits.sessions,
            "session_maxrxbitrate": 0,
            "session_maxtxbitrate": limits.bps,
            "session_rxbitrate": total.kbit_rx * 1024,
            "session_rxbytes": total.bytes_rx,
            "session_total": total.sessions,
            "session_txbitrate": total.kbit_tx * 1024,
            "session_txbytes": total.bytes_tx,
        }
        labels = (("collector", name),)
        found += [Sample(key, value, labels) for key, value in figures.items()]
    return found


# -- jobs -----------------------------------------------------------------------------


class StateMeter:
    """Counts how often jobs have come into each state, as far as it has looked."""

    def __init__(self) -> None:
        self._states: dict[str, Exec] = {}
        self._changes: Counter[Exec] = Counter()

    def samples(self, jobs: Iterable[JobView]) -> list[Sample]:
        """Return the counts since the start."""
        states = {job.spec.id: job.state.exec for job in jobs if job.state}
        for name, state in states.items():
            if self._states.get(name, Exec.FINISHED) is not state:
                self._changes[state] += 1
        self._states = states
        return [
            Sample("ffmpeg_process", self._changes[state], (("state", state.value),))
            for state in Exec
        ]


def job_samples(job: JobView) -> list[Sample]:
    """Return the figures of one job."""
    inputs, outputs = _streams(job, "input"), _streams(job, "output")
    return [*_process(job), *_states(job), *inputs, *outputs]


def state_samples(jobs: Iterable[JobView]) -> list[Sample]:
    """Return how many jobs are in each state."""
    counts = Counter(job.state.exec for job in jobs if job.state)
    return [
        Sample("restream_state", counts[state], (("state", state.value),))
        for state in Exec
    ]


def _process(job: JobView) -> list[Sample]:
    state = job.state
    if state is None:
        return []
    progress, limits = state.progress, job.spec.limits
    is_on = state.exec.is_on
    figures = {
        "frame": progress.frame,
        "packet": progress.packet,
        "fps": progress.fps,
        "q": progress.q,
        "size": progress.size_bytes,
        "time": progress.time_s,
        "bitrate": progress.bitrate_bps,
        "speed": progress.speed,
        "drop": progress.drop,
        "dup": progress.dup,
        "uptime": state.since if is_on else 0,
        "cpu": state.cpu * 100,
        "cpu_limit": limits.cpu_percent,
        "memory": state.memory,
        "memory_limit": limits.memory * _MIB,
    }
    labels = (
        ("processid", job.spec.id),
        ("state", state.exec.value),
        ("order", state.order.value),
    )
    return [
        Sample("restream_process", value, (*labels, ("name", name)))
        for name, value in figures.items()
    ]


def _states(job: JobView) -> list[Sample]:
    id_ = ("processid", job.spec.id)
    now = job.state.exec if job.state else None
    return [
        Sample(
            "restream_process_states", int(state is now), (id_, ("state", state.value))
        )
        for state in Exec
    ]


def _streams(job: JobView, kind: str) -> list[Sample]:
    if job.state is None:
        return []
    progress = job.state.progress
    streams = progress.inputs if kind == "input" else progress.outputs
    ends = job.spec.inputs if kind == "input" else job.spec.outputs
    found = []
    for stream in streams:
        index = stream.info.index
        end = ends[index] if index < len(ends) else None
        labels = (
            ("processid", job.spec.id),
            ("type", kind),
            ("id", end.id if end else ""),
            # Addresses hold tokens and passwords.
            ("address", masked_arguments([end.address]) if end else ""),
            ("index", str(index)),
            ("stream", str(stream.info.stream)),
            ("media", stream.info.kind),
        )
        figures = {"frame": stream.frame, "fps": stream.fps, "q": stream.q}
        found += [
            Sample("restream_io", value, (*labels, ("name", name)))
            for name, value in figures.items()
        ]
    return found
