"""datarhei's own metrics for Prometheus, made of the figures of its API. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import attrs

from .metrics_query import Sample

__all__ = ["CONTENT_TYPE", "render"]

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


@attrs.frozen
class _Family:
    """One metric of Prometheus and the figure that it shows."""

    name: str
    help: str
    source: str
    kind: str = "gauge"
    labels: Mapping[str, str] = attrs.Factory(dict)
    """Labels of the figure that have another name here."""


_PROCESS: Final = {"processid": "process"}
_FAMILIES: Final = (
    _Family("uptime_seconds", "Number of seconds the core is up", "uptime_uptime"),
    _Family("cpu_system_time_percent", "CPU time of the system", "cpu_system"),
    _Family("cpu_user_time_percent", "CPU time of programs", "cpu_user"),
    _Family("cpu_idle_time_percent", "CPU time that nobody used", "cpu_idle"),
    _Family("cpu_other_time_percent", "CPU time of anything else", "cpu_other"),
    _Family("mem_total_bytes", "Total available memory in bytes", "mem_total"),
    _Family("mem_free_bytes", "Free memory in bytes", "mem_free"),
    _Family("net_rx_bytes", "Number of received bytes", "net_rx", "counter"),
    _Family("net_tx_bytes", "Number of transmitted bytes", "net_tx", "counter"),
    _Family("disk_total_bytes", "Total size of the disk in bytes", "disk_total"),
    _Family("disk_usage_bytes", "Number of used bytes on the disk", "disk_usage"),
    _Family("filesystem_limit_bytes", "Total size in bytes", "filesystem_limit"),
    _Family("filesystem_usage_bytes", "Number of used bytes", "filesystem_usage"),
    _Family("filesystem_files", "Number of files", "filesystem_files"),
    _Family(
        "ffmpeg_process", "Values of processes", "restream_process", labels=_PROCESS
    ),
    _Family(
        "ffmpeg_process_states",
        "Current process state",
        "restream_process_states",
        labels=_PROCESS,
    ),
    _Family("ffmpeg_process_io", "Values of streams", "restream_io", labels=_PROCESS),
    _Family("ffmpeg_states", "Processes in each state", "restream_state"),
    _Family(
        "ffmpeg_states_total", "Accumulated state changes", "ffmpeg_process", "counter"
    ),
    _Family("session_total", "Total sessions", "session_total", "counter"),
    _Family("session_active", "Number of current sessions", "session_active"),
    _Family("session_rx_bytes", "Received bytes", "session_rxbytes", "counter"),
    _Family("session_tx_bytes", "Transmitted bytes", "session_txbytes", "counter"),
)
_LEFT_OUT: Final = {"address"}
"""Labels that may hold passwords, and would make a series of every change."""


def render(samples: Iterable[Sample], core: str) -> str:
    """Return figures in the text format.

    Args:
        samples: Of the API; what has no name here is left out.
        core: The installation's id, the first label of every series.

    Source: Prometheus, Exposition formats, text format 0.0.4.
    """
    by_source: dict[str, list[Sample]] = {}
    for sample in samples:
        by_source.setdefault(sample.name, []).append(sample)
    lines = []
    for family in _FAMILIES:
        found = by_source.get(family.source)
        if found:
            lines.append(f"# HELP {family.name} {family.help}")
            lines.append(f"# TYPE {family.name} {family.kind}")
            lines += [_line(family, sample, core) for sample in found]
    return "".join(f"{line}\n" for line in lines)


def _line(family: _Family, sample: Sample, core: str) -> str:
    labels = [
        ("core", core),
        *(
            (family.labels.get(name, name), value)
            for name, value in sample.labels
            if name not in _LEFT_OUT
        ),
    ]
    shown = ",".join(f'{name}="{_escaped(value)}"' for name, value in labels)
    return f"{family.name}{{{shown}}} {_plain(sample.value)}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _plain(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)
