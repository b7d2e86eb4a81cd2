"""What was measured, as a page."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path

import attrs
from clip import Clip, ffmpeg
from servers import Cores, nginx_version

__all__ = ["Result", "Row", "machine", "page", "percent", "times"]


@attrs.frozen
class Row:
    """One line of a table."""

    what: str
    ours: str
    peer: str = ""
    ratio: str = ""
    target: str = ""
    met: bool | None = None
    """None if the line has no target."""

    def cells(self) -> list[str]:
        verdict = {None: "", True: "yes", False: "**no**"}[self.met]
        return [self.what, self.ours, self.peer, self.ratio, self.target, verdict]


@attrs.frozen
class Result:
    """One measurement: a table and what has to be said about it."""

    title: str
    text: str
    rows: list[Row]
    peer: str = "nginx-rtmp"
    notes: list[str] = attrs.field(factory=list)

    def markdown(self) -> str:
        head = ["", "penstock", self.peer, "ratio", "target", "met"]
        lines = [f"## {self.title}", "", self.text, ""]
        lines += [_line(head), _line(["---"] * len(head))]
        lines += [_line(row.cells()) for row in self.rows]
        lines += [""]
        lines += [f"- {note}" for note in self.notes]
        if self.notes:
            lines += [""]
        return "\n".join(lines)


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def percent(share: float) -> str:
    """Return a share of one core as people read it."""
    digits = 2 if share < 0.02 else 1
    return f"{100 * share:.{digits}f} %"


def times(ratio: float) -> str:
    """Return a ratio."""
    return f"{ratio:.2f}"


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _git_revision() -> str:
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always"]
    try:
        shown = subprocess.run(
            [*command, "--dirty"], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return f" ({shown.stdout.strip()})"


def machine(cores: Cores, clip: Clip, load_before: float) -> list[tuple[str, str]]:
    """Return what the figures were taken on."""
    version = importlib.metadata.version
    shown = subprocess.run(
        [ffmpeg(), "-version"], capture_output=True, text=True, check=True
    )
    priority = ""
    if os.sched_getscheduler(0) in (os.SCHED_FIFO, os.SCHED_RR):
        priority = ", all of it with real-time priority"
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    server = ", ".join(map(str, sorted(cores.server)))
    load = ", ".join(map(str, sorted(cores.load)))
    return [
        ("date", today),
        ("machine", f"{_cpu_model()}, {os.cpu_count()} cores, {platform.release()}"),
        ("cores", f"server on {server}, publishers and viewers on {load}{priority}"),
        (
            "load before",
            f"{load_before:.2f}"
            + (" (**others are running: rough figures**)" * (load_before > 0.5)),
        ),
        ("penstock", version("penstock") + _git_revision()),
        ("Python", f"{platform.python_version()}, trio {version('trio')}"),
        ("peer", nginx_version() or "none: nginx-rtmp is not installed here"),
        ("FFmpeg", shown.stdout.split()[2]),
        (
            "stream",
            f"1280x720, 30 frames/s, H.264 and AAC, "
            f"{clip.bits_per_second / 1e6:.2f} Mbit/s",
        ),
    ]


_INTRODUCTION = """\
# Benchmarks

How much penstock costs, beside a named peer on the same machine in the same run. All of
it is made by one command, `python bench/run.py`; `bench/README.md` in the repository
says how each figure is taken. A share is processor time of the server process by the
scheduler's own accounting, user and system together, as a share of one core. Trust the
ratios rather than the figures.
"""


def page(
    facts: list[tuple[str, str]], results: list[Result], *, quick: bool = False
) -> str:
    """Return the whole page."""
    lines = [_INTRODUCTION]
    if quick:
        lines += ["A quick run: short and rough.", ""]
    lines += [_line(["", ""]), _line(["---", "---"])]
    lines += [_line([name, value]) for name, value in facts]
    lines += [""]
    lines += [result.markdown() for result in results]
    return "\n".join(lines).rstrip() + "\n"
