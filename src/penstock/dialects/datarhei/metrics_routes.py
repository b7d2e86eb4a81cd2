"""The server's figures: by query as JSON, and all of them for Prometheus."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Callable, Sequence
from functools import partial

import psutil
import trio

from penstock.control import Control
from penstock.control.files import Mount, StorageError, Usage
from penstock.control.jobs import JobControl
from penstock.control.system import SystemFigures
from penstock.slices import in_slices

from .answers import Answer, Failure, as_json
from .json_bodies import read_json
from .metric_samples import (
    CpuMeter,
    StateMeter,
    disk_samples,
    file_system_samples,
    job_samples,
    memory_samples,
    network_samples,
    session_samples,
    state_samples,
)
from .metrics_query import History, Sample, answer_query, catalogue, decode_query
from .prometheus import CONTENT_TYPE, render
from .requests import Request
from .sessions import SessionBook
from .site import Route

__all__ = ["Figures", "metrics_routes"]

_FRESH_S = 0.5
"""Figures this young are not read again: many ask every second."""


class Figures:
    """Collects the figures of one server.

    Args:
        control: Tells how long the server runs.
        jobs: Tells what jobs do.
        system: The machine's figures.
        mounts: Whose files are counted.
        book: Counts sessions.
        history: Where figures are kept.
        wall: Unix seconds.
        monotonic: Seconds that never jump.
    """

    def __init__(
        self,
        control: Control,
        jobs: JobControl,
        system: SystemFigures,
        mounts: Sequence[Mount],
        book: SessionBook,
        history: History,
        *,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._control = control
        self._jobs = jobs
        self._system = system
        self._mounts = tuple(mounts)
        self._book = book
        self.history = history
        self._wall = wall
        self._monotonic = monotonic
        self._cpu = CpuMeter()
        self._states = StateMeter()
        self._reading = trio.Lock()
        self._samples: list[Sample] = []
        self._read_at: float | None = None

    async def run(self) -> None:
        """Keep figures until cancelled."""
        while True:
            await self.keep()
            await trio.sleep(self.history.interval_s)

    async def keep(self) -> None:
        """Put the figures of now into the history."""
        samples = await self.samples()
        now = self._wall()
        await in_slices(samples, partial(self.history.add, now=now))
        self.history.forget(now)

    async def samples(self) -> list[Sample]:
        """Return the figures of now, or of half a second ago."""
        async with self._reading:
            now = self._monotonic()
            if self._read_at is None or now - self._read_at >= _FRESH_S:
                self._samples = await self._collect()
                self._read_at = now
            return self._samples

    async def _collect(self) -> list[Sample]:
        view = self._system.view
        server = await self._control.server()
        jobs = await self._jobs.jobs(report=False)
        # A disk that hangs must hold nobody but those who ask for figures.
        network, disks = await trio.to_thread.run_sync(
            _read_devices, abandon_on_cancel=True
        )
        of_jobs = await in_slices(jobs, job_samples)
        found = [
            Sample("cpu_ncpu", view.cpus),
            *self._cpu.samples(view.cpu),
            *memory_samples(view.memory),
            Sample("uptime_uptime", server.uptime_s),
            *network_samples(network),
            *disk_samples(disks),
            *file_system_samples(await self._usages()),
            *session_samples(await self._book.totals(), self._book.limits_of),
            *self._states.samples(jobs),
            *state_samples(jobs),
        ]
        return [*found, *itertools.chain.from_iterable(of_jobs)]

    async def _usages(self) -> dict[str, Usage]:
        usages = {}
        for mount in self._mounts:
            try:
                usages[mount.name] = await mount.file_system.usage()
            except StorageError:
                continue  # the figures of the others are as good as ever
        return usages


def _read_devices() -> tuple[dict[str, tuple[int, int]], dict[str, tuple[int, int]]]:
    """Return what network devices have carried, and how full disks are; blocking."""
    network = {
        name: (counters.bytes_recv, counters.bytes_sent)
        for name, counters in psutil.net_io_counters(pernic=True).items()
    }
    disks = {}
    for partition in psutil.disk_partitions():
        # Media may be out of their drives, and folders not ours to look into.
        with contextlib.suppress(OSError):
            usage = psutil.disk_usage(partition.mountpoint)
            disks[partition.mountpoint] = (usage.total, usage.used)
    return network, disks


def metrics_routes(
    figures: Figures,
    core_id: Callable[[], str],
    *,
    is_prometheus: Callable[[], bool] = lambda: False,
    wall: Callable[[], float] = time.time,
) -> list[Route]:
    """Return the routes of figures.

    Args:
        figures: Collects them.
        core_id: The installation's id, a label of everything that Prometheus reads.
        is_prometheus: Whether it may.
        wall: Unix seconds.
    """

    async def names(request: Request) -> Answer:
        return as_json(catalogue())

    async def query(request: Request) -> Answer:
        wanted = decode_query(await read_json(request))
        if wanted.range_s > 0:
            return as_json(await figures.history.answer(wanted, wall()))
        samples = await figures.samples()
        return as_json(await answer_query(wanted, samples, wall()))

    async def scrape(request: Request) -> Answer:
        if not is_prometheus():
            raise Failure(404, "Not Found", "Not Found")
        text = render(await figures.samples(), core_id())
        return Answer(text.encode("utf-8", "replace"), content_type=CONTENT_TYPE)

    return [
        Route("GET", "/api/v3/metrics", names),
        Route("POST", "/api/v3/metrics", query),
        Route("GET", "/metrics", scrape, is_open=True),
    ]
