"""Metrics of jobs and file systems, beside those of streams."""

from __future__ import annotations

from collections import Counter

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from penstock.control.jobs import Exec
from penstock.storage.errors import StorageError

from .job_service import JobService
from .metrics import exposition_of

__all__ = ["render_jobs"]


async def render_jobs(service: JobService) -> bytes:
    """Return the exposition text of a server's jobs and file systems."""
    views = await service.jobs.jobs(report=False)
    states = Counter(view.state.exec for view in views if view.state is not None)
    jobs = GaugeMetricFamily(
        "penstock_jobs", "FFmpeg jobs by what they do", labels=["state"]
    )
    for state in Exec:
        jobs.add_metric([state.value], states[state])
    runs = CounterMetricFamily(
        "penstock_job_runs", "Ended runs of FFmpeg jobs", labels=["outcome"]
    )
    for outcome in (Exec.FINISHED, Exec.FAILED, Exec.KILLED):
        runs.add_metric([outcome.value], service.jobs.ends[outcome])
    sizes = GaugeMetricFamily(
        "penstock_storage_bytes", "Octets of the files", labels=["storage"]
    )
    limits = GaugeMetricFamily(
        "penstock_storage_limit_bytes", "Octets at most; 0 is any", labels=["storage"]
    )
    files = GaugeMetricFamily("penstock_storage_files", "Files", labels=["storage"])
    for name, file_system in service.file_systems.items():
        try:
            usage = await file_system.usage()
        except StorageError:
            continue  # the figures of the others are as good as ever
        sizes.add_metric([name], usage.size_bytes)
        limits.add_metric([name], usage.limit_bytes)
        files.add_metric([name], usage.files)
    return b"".join(map(exposition_of, (jobs, runs, sizes, limits, files)))
