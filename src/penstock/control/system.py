"""Figures of the machine and of this process, sampled by one task.

Nothing is read when somebody asks: `SystemFigures.run` reads each kind at its own
period, in a worker thread since a read of /proc can take milliseconds on a big
machine, and the properties answer the last sample. Counts of connections come from
the kernel's own totals; listing thousands of sockets would hold everybody up.
"""

from __future__ import annotations

import ipaddress
import os
import re
import resource
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import attrs
import psutil
import trio

from penstock import log

from . import procfs

__all__ = [
    "ConnectionsView",
    "CpuView",
    "DiskView",
    "LoadView",
    "MemoryView",
    "NetworkView",
    "ProcessView",
    "RusageView",
    "SystemFigures",
    "SystemView",
]


@attrs.frozen
class _Sample:
    """What every kind of figure has."""

    ok: bool = False
    """False before the first sample."""
    sampled_at: float = 0.0
    """Unix seconds."""


@attrs.frozen
class CpuView(_Sample):
    """The processors of the machine."""

    share: float = 0.0
    """0 to 1 of all processors, over the last period."""
    ticks: tuple[int, ...] = (0,) * len(procfs.CPU_FIELDS)
    """Clock ticks since boot, by `procfs.CPU_FIELDS`."""


@attrs.frozen
class ProcessView(_Sample):
    """This process, as /proc/self/stat has it."""

    share: float = 0.0
    """1.0 is one processor, over the last period."""
    pid: int = 0
    command: str = "()"
    state: str = ""
    numbers: tuple[int, ...] = (0,) * len(procfs.PROCESS_FIELDS)
    """By `procfs.PROCESS_FIELDS`."""

    @property
    def ticks(self) -> int:
        """User and system time so far, in clock ticks."""
        utime = procfs.PROCESS_FIELDS.index("utime")
        return self.numbers[utime] + self.numbers[utime + 1]


@attrs.frozen
class RusageView(_Sample):
    """getrusage(2) of this process. The names are its own."""

    utime_s: float = 0.0
    stime_s: float = 0.0
    maxrss_kib: int = 0
    ixrss: int = 0
    idrss: int = 0
    isrss: int = 0
    minflt: int = 0
    majflt: int = 0
    nswap: int = 0
    inblock: int = 0
    oublock: int = 0
    msgsnd: int = 0
    msgrcv: int = 0
    nsignals: int = 0
    nvcsw: int = 0
    nivcsw: int = 0


@attrs.frozen
class MemoryView(_Sample):
    """Memory of the machine, in KiB."""

    total: int = 0
    free: int = 0
    buffers: int = 0
    cached: int = 0
    swap_total: int = 0
    swap_free: int = 0

    @property
    def active(self) -> int:
        """All that is not free."""
        return self.total - self.free

    @property
    def in_use(self) -> int:
        """What programs hold: neither free nor the kernel's caches."""
        return max(0, self.active - self.buffers - self.cached)

    @property
    def share(self) -> float:
        """`in_use` of the total, 0 to 1."""
        return self.in_use / self.total if self.total else 0.0

    @property
    def swap_share(self) -> float:
        """Used swap of all swap, 0 to 1."""
        used = self.swap_total - self.swap_free
        return used / self.swap_total if self.swap_total else 0.0


@attrs.frozen
class DiskView(_Sample):
    """Disk traffic of the machine over the last period."""

    read_kbps: int = 0
    """KiB a second."""
    write_kbps: int = 0
    busy_share: float = 0.0
    """0 to 1; 0 unless disks are named."""
    paged_in_kib: int = 0
    paged_out_kib: int = 0
    busy_ms: int = 0


@attrs.frozen
class LoadView(_Sample):
    """How long the machine is up and how busy it has been."""

    uptime_s: float = 0.0
    idle_s: float = 0.0
    """Idle time of all processors added up."""
    load_1m: float = 0.0
    load_5m: float = 0.0
    load_15m: float = 0.0


@attrs.frozen
class NetworkView(_Sample):
    """Bytes through the machine's network devices since boot."""

    received: int = 0
    """Devices with a public address."""
    sent: int = 0
    received_inside: int = 0
    """Loopback and devices with private addresses only."""
    sent_inside: int = 0


@attrs.frozen
class ConnectionsView(_Sample):
    """Sockets of the machine."""

    tcp: int = 0
    established: int = 0
    time_wait: int = 0
    udp: int = 0


@attrs.frozen
class SystemView:
    """The last sample of every kind, and what never changes."""

    cpu: CpuView = CpuView()
    process: ProcessView = ProcessView()
    rusage: RusageView = RusageView()
    memory: MemoryView = MemoryView()
    disk: DiskView = DiskView()
    load: LoadView = LoadView()
    network: NetworkView = NetworkView()
    connections: ConnectionsView = ConnectionsView()
    parent_pid: int = 0
    arguments: str = ""
    """The command line, secrets masked."""
    working_directory: str = ""
    cpus: int = 0
    cpus_online: int = 0

    @property
    def ok(self) -> bool:
        """Whether every kind has been sampled."""
        parts = attrs.astuple(self, recurse=False)
        return all(part.ok for part in parts if isinstance(part, _Sample))


_CPU_S, _RUSAGE_S, _MEMORY_S, _LOAD_S = 1, 3, 6, 9
_SECRET = re.compile(r"(?is)((?:pass\w*|token\w*|secret\w*|key)=).+")
_USER_INFO = re.compile(r"(://)[^/@\s]+@")
_URL = re.compile(r"(?i)\b[a-z][a-z0-9+.-]*://[^\s\"',]+")


class SystemFigures:
    """Samples the system while `run` runs; `view` is the last sample.

    Args:
        disks: Names in /proc/diskstats whose busy time counts.
        proc: Where the kernel's files are.
        wall_clock: Unix seconds.
        monotonic: Seconds that never jump, for rates.
    """

    def __init__(
        self,
        *,
        disks: Sequence[str] = (),
        proc: Path = Path("/proc"),
        wall_clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._disks = tuple(disks)
        self._proc = proc
        self._wall_clock = wall_clock
        self._monotonic = monotonic
        self._last: dict[str, float] = {}
        self._tick_hz = os.sysconf("SC_CLK_TCK")
        self.view = SystemView(
            parent_pid=os.getppid(),
            arguments=masked_arguments([Path(sys.argv[0]).name, *sys.argv[1:]]),
            working_directory=str(Path.cwd()),
            cpus=psutil.cpu_count() or 1,
            cpus_online=len(os.sched_getaffinity(0)),
        )

    async def run(
        self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Sample until cancelled; started once everything has been sampled."""
        limiter = trio.CapacityLimiter(1)
        second = 0
        while True:
            self.view = await trio.to_thread.run_sync(
                self.sample, second, limiter=limiter
            )
            if second == 0:
                task_status.started()
            second += 1
            await trio.sleep(_CPU_S)

    def sample(self, second: int) -> SystemView:
        """Read what is due in this second, counted from the start; blocking."""
        view = attrs.evolve(self.view, cpu=self._cpu(), process=self._process())
        if second % _RUSAGE_S == 0:
            view = attrs.evolve(view, rusage=self._rusage())
        if second % _MEMORY_S == 0:
            view = attrs.evolve(view, memory=self._memory(), disk=self._disk())
        if second % _LOAD_S == 0:
            view = attrs.evolve(
                view,
                load=self._load(),
                network=self._network(),
                connections=self._connections(),
            )
        return view

    def _read(self, name: str) -> str:
        try:
            return (self._proc / name).read_text("utf-8", "replace")
        except OSError:
            return ""

    def _elapsed(self, kind: str) -> float:
        """Return the seconds since the last sample of a kind; 0 for the first."""
        now = self._monotonic()
        elapsed = now - self._last.get(kind, now)
        self._last[kind] = now
        return elapsed

    def _cpu(self) -> CpuView:
        ticks = procfs.parse_cpu_times(self._read("stat"))
        before = self.view.cpu.ticks
        # Guest time is within user time already.
        total = sum(ticks[:8]) - sum(before[:8])
        idle = sum(ticks[3:5]) - sum(before[3:5])
        known = self.view.cpu.ok and total > 0
        share = min(1.0, max(0.0, 1 - idle / total)) if known else 0.0
        return CpuView(True, self._wall_clock(), share, ticks)

    def _process(self) -> ProcessView:
        pid, command, state, numbers = procfs.parse_process(self._read("self/stat"))
        now = ProcessView(
            True, self._wall_clock(), 0.0, pid, command, state or "R", numbers
        )
        elapsed = self._elapsed("process")
        used = (now.ticks - self.view.process.ticks) / self._tick_hz
        return attrs.evolve(now, share=used / elapsed) if elapsed else now

    def _rusage(self) -> RusageView:
        return RusageView(
            True, self._wall_clock(), *resource.getrusage(resource.RUSAGE_SELF)
        )

    def _memory(self) -> MemoryView:
        found = procfs.parse_meminfo(self._read("meminfo"))
        names = ("MemTotal", "MemFree", "Buffers", "Cached", "SwapTotal", "SwapFree")
        values = [found.get(name, 0) for name in names]
        return MemoryView(True, self._wall_clock(), *values)

    def _disk(self) -> DiskView:
        paging = procfs.parse_named_counters(self._read("vmstat"))
        busy = (
            procfs.parse_disk_busy_ms(self._read("diskstats"), self._disks)
            if self._disks
            else 0
        )
        before, elapsed = self.view.disk, self._elapsed("disk")
        now = DiskView(
            True,
            self._wall_clock(),
            paged_in_kib=paging.get("pgpgin", 0),
            paged_out_kib=paging.get("pgpgout", 0),
            busy_ms=busy,
        )
        if not elapsed:
            return now
        spindles = max(1, len(self._disks))
        return attrs.evolve(
            now,
            read_kbps=int((now.paged_in_kib - before.paged_in_kib) / elapsed),
            write_kbps=int((now.paged_out_kib - before.paged_out_kib) / elapsed),
            busy_share=min(1.0, (busy - before.busy_ms) / (elapsed * 1e3 * spindles)),
        )

    def _load(self) -> LoadView:
        words = (self._read("uptime") + self._read("loadavg")).split()
        numbers = [float(word) for word in words[:5]]
        numbers += [0.0] * (5 - len(numbers))
        return LoadView(True, self._wall_clock(), *numbers)

    def _network(self) -> NetworkView:
        totals = [0, 0, 0, 0]
        public = _public_devices()
        for name, counters in psutil.net_io_counters(pernic=True).items():
            at = 0 if name in public else 2
            totals[at] += counters.bytes_recv
            totals[at + 1] += counters.bytes_sent
        return NetworkView(True, self._wall_clock(), *totals)

    def _connections(self) -> ConnectionsView:
        four = procfs.parse_sockets(self._read("net/sockstat"))
        six = procfs.parse_sockets(self._read("net/sockstat6"))
        table = procfs.parse_protocol_table(self._read("net/snmp"), "Tcp")
        time_wait = four.get("TCP", {}).get("tw", 0)
        tcp = four.get("TCP", {}).get("inuse", 0) + six.get("TCP6", {}).get("inuse", 0)
        udp = four.get("UDP", {}).get("inuse", 0) + six.get("UDP6", {}).get("inuse", 0)
        return ConnectionsView(
            True,
            self._wall_clock(),
            tcp=tcp + time_wait,
            established=table.get("CurrEstab", 0),
            time_wait=time_wait,
            udp=udp,
        )


def masked_arguments(arguments: Iterable[str]) -> str:
    """Return a command line without the secrets that options or URLs give."""
    return " ".join(map(_masked, arguments))


def _masked(argument: str) -> str:
    argument = _URL.sub(_masked_url, argument)
    # To the end of the argument: a list of tokens may hold blanks.
    return _USER_INFO.sub(r"\1***@", _SECRET.sub(r"\1***", argument))


def _masked_url(match: re.Match[str]) -> str:
    # The last part of a stream's address is its key for many services.
    return log.mask_url(match[0], hide_name=match[0].lower().startswith("rtmp"))


def _public_devices() -> set[str]:
    found = set()
    for name, addresses in psutil.net_if_addrs().items():
        for address in addresses:
            try:
                parsed = ipaddress.ip_address(address.address.partition("%")[0])
            except ValueError:
                continue
            if parsed.is_global:
                found.add(name)
    return found
