"""Figures by name and labels: which there are, what a query picks, what was before.

All but the history's size is pure.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import attrs

from penstock.slices import in_slices

from .answers import Failure, number

__all__ = [
    "CATALOGUE",
    "History",
    "MetricsQuery",
    "Sample",
    "answer_query",
    "catalogue",
    "decode_query",
]

CATALOGUE: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    "cpu_idle": ("Percentage of idle CPU", ()),
    "cpu_ncpu": ("Number of logical CPUs in the system", ()),
    "cpu_other": ("Percentage of CPU used for other subsystems", ()),
    "cpu_system": ("Percentage of CPU used for the system", ()),
    "cpu_user": ("Percentage of CPU used for the user", ()),
    "disk_total": ("Total size of the disk in bytes", ("path",)),
    "disk_usage": ("Number of used bytes on the disk", ("path",)),
    "ffmpeg_process": (
        "Accumulated state changes of all ffmpeg processes",
        ("state",),
    ),
    "filesystem_files": (
        "Number of files on the filesystem (excluding directories)",
        ("name",),
    ),
    "filesystem_limit": (
        "Total size of the filesystem in bytes, negative if unlimited",
        ("name",),
    ),
    "filesystem_usage": ("Number of used bytes on the filesystem", ("name",)),
    "mem_free": ("Free memory in bytes", ()),
    "mem_total": ("Total available memory in bytes", ()),
    "net_rx": ("Number of received bytes", ("interface",)),
    "net_tx": ("Number of transmitted bytes", ("interface",)),
    "restream_io": (
        "Current process IO values by name",
        (
            "processid",
            "type",
            "id",
            "address",
            "index",
            "stream",
            "media",
            "name",
        ),
    ),
    "restream_process": (
        "Current process values by name",
        ("processid", "state", "order", "name"),
    ),
    "restream_process_states": ("Current process state", ("processid", "state")),
    "restream_state": ("Summarized current process states", ("state",)),
    "session_active": ("Number of current sessions", ("collector",)),
    "session_limit": ("Max. number of concurrent sessions", ("collector",)),
    "session_maxrxbitrate": (
        "Max. allowed receiving bitrate in bit per second",
        ("collector",),
    ),
    "session_maxtxbitrate": (
        "Max. allowed transmitting bitrate in bit per second",
        ("collector",),
    ),
    "session_rxbitrate": (
        "Current receiving bitrate in bit per second",
        ("collector",),
    ),
    "session_rxbytes": ("Number of received bytes", ("collector",)),
    "session_total": ("Total sessions", ("collector",)),
    "session_txbitrate": (
        "Current transmitting bitrate in bit per second",
        ("collector",),
    ),
    "session_txbytes": ("Number of transmitted bytes", ("collector",)),
    "uptime_uptime": ("Current uptime in seconds", ()),
}
"""Name -> what it is, and its labels."""

MAX_WANTED: Final = 200
"""Items of a query."""
MAX_SERIES: Final = 2_000
"""Figures with different labels that are kept."""
_MAX_LABEL: Final = 128
"""Characters of a label that a pattern is tried on."""
_MAX_STEPS: Final = 1 << 18
"""What a pattern may cost on one label: a few milliseconds at the very worst."""
_MAX_ALL_STEPS: Final = 1 << 20
"""The same of all patterns of a query."""


_Key: TypeAlias = tuple[str, tuple[tuple[str, str], ...]]


@attrs.frozen
class Sample:
    """One figure at a moment."""

    name: str
    value: float
    labels: tuple[tuple[str, str], ...] = ()

    @property
    def key(self) -> _Key:
        """What tells it from others."""
        return self.name, self.labels


@attrs.frozen
class _Labels:
    """What the labels of a figure must be like."""

    patterns: tuple[tuple[str, re.Pattern[str]], ...]
    steps: int
    """What a look at one figure may cost."""

    def cover(self, labels: Mapping[str, str]) -> bool:
        return all(
            name in labels and pattern.search(labels[name][:_MAX_LABEL])
            for name, pattern in self.patterns
        )


@attrs.frozen
class MetricsQuery:
    """Which figures, and over what time."""

    wanted: Mapping[str, tuple[_Labels, ...]]
    """By the figures' names."""
    range_s: int = 0
    """0 for the figures of now."""
    interval_s: int = 0

    def picks(self, sample: Sample) -> bool:
        """Tell whether a figure is asked for."""
        wanted = self.wanted.get(sample.name, ())
        labels = dict(sample.labels)
        return any(one.cover(labels) for one in wanted)


def catalogue() -> list[dict[str, Any]]:
    """Return all names as the API lists them."""
    return [
        {"name": name, "description": description, "labels": list(labels)}
        for name, (description, labels) in sorted(CATALOGUE.items())
    ]


def decode_query(body: object) -> MetricsQuery:
    """Return what a client asks for; names that nobody knows are left out.

    Raises: Failure: It is of another shape, or a pattern is none or costs too much.
    """
    if not isinstance(body, dict):
        raise _invalid("the query must be an object")
    items = body.get("metrics")
    if items is None:
        items = []
    if not isinstance(items, list) or len(items) > MAX_WANTED:
        raise _invalid(f"metrics must be a list of at most {MAX_WANTED}")
    wanted: dict[str, tuple[_Labels, ...]] = {}
    steps = 0
    for item in items:
        name, labels = _wanted(item)
        steps += labels.steps
        if name in CATALOGUE:
            wanted[name] = (*wanted.get(name, ()), labels)
    if steps > _MAX_ALL_STEPS:
        raise _invalid("the patterns are too costly")
    return MetricsQuery(
        wanted,
        _seconds(body, "timerange_sec"),
        _seconds(body, "interval_sec"),
    )


def _invalid(details: str) -> Failure:
    return Failure(400, "Invalid JSON", details)


def _seconds(body: Mapping[str, Any], name: str) -> int:
    value = body.get(name) or 0
    if isinstance(value, bool) or not isinstance(value, int):
        raise _invalid(f"{name} must be an integer")
    return value


def _wanted(item: object) -> tuple[str, _Labels]:
    if not isinstance(item, dict):
        raise _invalid("a metric must be an object")
    name, labels = item.get("name") or "", item.get("labels") or {}
    if not isinstance(name, str) or not isinstance(labels, dict):
        raise _invalid("a metric has a name, and labels in an object")
    patterns = tuple((key, _pattern(text)) for key, text in labels.items())
    steps = sum(_steps(pattern.pattern) for _, pattern in patterns)
    return name, _Labels(patterns, steps)


def _pattern(text: object) -> re.Pattern[str]:
    if not isinstance(text, str) or len(text) > 256:
        raise _invalid("a label's pattern must be a string of up to 256 characters")
    # Before it is compiled: repeats of repeats cost much even then.
    if _steps(text) > _MAX_STEPS:
        raise _invalid(f"the pattern is too costly: {text}")
    try:
        return re.compile(text)
    except (re.error, RecursionError, OverflowError, Warning) as error:
        raise _invalid(f"error parsing regexp: {error}: {text}") from None


def _steps(pattern: str) -> int:
    """Return more than a match can cost, as `re` goes through all ways of one.

    What repeats a group, and what looks around or back, is beyond any number.
    """
    if re.search(r"\(\?|\)[*+?{]|\\[0-9]|\[\[|--|&&|~~|\|\|", pattern):
        return _MAX_STEPS + 1
    unbounded = len(re.findall(r"[*+{]", pattern))
    optional = pattern.count("?")
    choices: int = (pattern.count("|") + 1) ** (pattern.count("(") + 1)
    # Beyond this nobody cares how much more it is.
    if unbounded + optional > 32 or pattern.count("(") > 8:
        return _MAX_STEPS + 1
    steps: int = _MAX_LABEL ** (unbounded + 1) // 8 << optional
    return steps * choices


# -- answers --------------------------------------------------------------------------


async def answer_query(
    query: MetricsQuery, samples: Sequence[Sample], now: float
) -> dict[str, Any]:
    """Return the figures of now that a query asks for."""

    def pick(sample: Sample) -> dict[str, Any] | None:
        if not query.picks(sample):
            return None
        return _shape(sample.key, [(now, sample.value)])

    picked = [one for one in await in_slices(samples, pick) if one is not None]
    return {"timerange_sec": 0, "interval_sec": 0, "metrics": picked}


def _shape(key: _Key, values: Iterable[tuple[float, float]]) -> dict[str, Any]:
    name, labels = key
    return {
        "name": name,
        "labels": dict(labels) or None,
        "values": [[int(at), number(value)] for at, value in values],
    }


class History:
    """The figures of the last while.

    Args:
        range_s: How long they are kept, in seconds.
        interval_s: Seconds between two of them.
    """

    def __init__(self, range_s: int = 300, interval_s: int = 2) -> None:
        self.range_s = range_s
        self.interval_s = max(1, interval_s)
        self._longest = 2 * max(1, range_s // self.interval_s)
        # Time and value by turns: a thousand series are a few megabytes.
        self._series: dict[_Key, array[float]] = {}

    def add(self, sample: Sample, now: float) -> None:
        """Keep a figure of this moment, unless there are `MAX_SERIES` others."""
        values = self._series.get(sample.key)
        if values is None:
            if len(self._series) >= MAX_SERIES:
                return
            values = self._series[sample.key] = array("d")
        values.extend((now, sample.value))
        if len(values) > self._longest:
            del values[:2]

    def forget(self, now: float) -> None:
        """Drop the series that nothing has come to for the whole range."""
        oldest = now - self.range_s
        gone = [key for key, values in self._series.items() if values[-2] < oldest]
        for key in gone:
            del self._series[key]

    async def answer(self, query: MetricsQuery, now: float) -> dict[str, Any]:
        """Return what was of the figures that a query asks for.

        The range and interval of the answer are those that are kept.
        """
        oldest = now - min(query.range_s, self.range_s)

        def pick(key: _Key) -> dict[str, Any] | None:
            name, labels = key
            values = self._series.get(key)
            if values is None or not query.picks(Sample(name, 0, labels)):
                return None
            pairs = zip(values[::2], values[1::2], strict=True)
            return _shape(key, (pair for pair in pairs if pair[0] >= oldest))

        picked = await in_slices(list(self._series), pick)
        return {
            "timerange_sec": self.range_s,
            "interval_sec": self.interval_s,
            "metrics": [one for one in picked if one is not None],
        }
