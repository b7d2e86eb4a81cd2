"""Measure penstock beside its peer: ``python bench/run.py [NAME ...] [--quick]``.

Without names everything is measured, in half an hour, and written to
docs/operate/benchmarks.md. A part, or a quick run, goes to bench/results/ instead: its
figures are for whoever is changing something.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from clip import load_clip, make_clip
from files import files
from jobs import jobs_api, jobs_start, jobs_supervised
from latency import api, many_viewers, stopped_viewer
from measures import Bench, fan_out, memory, publishers
from report import Result, machine, page
from servers import Cores
from srt import srt_bad_link, srt_fast, srt_publishers, srt_viewers
from webrtc import beside_aiortc, whep, whep_handshakes, whep_memory, whip
from webrtc_browser import first_picture

_ROOT = Path(__file__).resolve().parents[1]
_PAGE = _ROOT / "docs" / "operate" / "benchmarks.md"
_RESULTS = _ROOT / "bench" / "results" / "benchmarks.md"

MEASURES: dict[str, Callable[[Bench], Result]] = {
    "fanout": fan_out,
    "publishers": publishers,
    "memory": memory,
    "stopped": stopped_viewer,
    "many": many_viewers,
    "api": api,
    "files": files,
    "whep": whep,
    "whep_memory": whep_memory,
    "whip": whip,
    "handshakes": whep_handshakes,
    "first_picture": first_picture,
    "aiortc": beside_aiortc,
    "srt_publishers": srt_publishers,
    "srt_viewers": srt_viewers,
    "srt_fast": srt_fast,
    "srt_bad_link": srt_bad_link,
    "jobs_supervised": jobs_supervised,
    "jobs_api": jobs_api,
    "jobs_start": jobs_start,
}


def main() -> int:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"of {', '.join(MEASURES)}"
    )
    parser.add_argument("--quick", action="store_true", help="short and rough")
    parser.add_argument("--output", type=Path, help="where to write the page")
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(MEASURES)
    if unknown:
        parser.error(f"no such measurement: {', '.join(sorted(unknown))}")
    whole = not arguments.names and not arguments.quick
    names = arguments.names or list(MEASURES)
    text, failed = measure(names, quick=arguments.quick)
    output = arguments.output or (_PAGE if whole and not failed else _RESULTS)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(text)
    print(text)
    return 1 if failed else 0


def measure(names: list[str], *, quick: bool) -> tuple[str, list[str]]:
    """Run measurements by name; return the page and which of them failed."""
    _, most_files = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most_files, most_files))
    cores = Cores.split()
    load_before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as temporary:
        folder = Path(temporary)
        clip_path = folder / "clip.flv"
        make_clip(clip_path)
        # This process only waits and asks; it must not do so on the server's core.
        os.sched_setaffinity(0, cores.load)
        bench = Bench(folder, cores, clip_path, load_clip(clip_path), quick)
        results: list[Result] = []
        failed: list[str] = []
        for name in names:
            start = time.monotonic()
            try:
                results.append(MEASURES[name](bench))
            except Exception:
                # The others are worth having; the page stays as it was.
                failed.append(name)
                traceback.print_exc()
                _show_logs(folder)
            took = time.monotonic() - start
            print(f"{name}: {took:.0f} s", file=sys.stderr)
        facts = machine(cores, bench.clip, load_before)
        return page(facts, results, quick=quick), failed


def _show_logs(folder: Path) -> None:
    for path in sorted(folder.glob("*.log")):
        lines = path.read_text(errors="replace").splitlines()[-5:]
        print(f"--- {path.name}", *lines, sep="\n", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
