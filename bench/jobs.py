"""The measurements of FFmpeg jobs: watching them, listing them, starting with many."""

from __future__ import annotations

import contextlib
import json
import shutil
import statistics
import time
import urllib.request
from collections.abc import Iterator
from typing import Any, Final

import psutil
from measures import Bench
from report import Result, Row, percent
from servers import Server, spawned

__all__ = ["jobs_api", "jobs_start", "jobs_supervised"]

_RUNNING: Final = 200
_STORED: Final = 1_000
_LOOK_S: Final = 20.0
_LISTINGS: Final = 20
_FILTER: Final = "/api/v3/process?filter=state&idpattern=job-1*7"
_SETTINGS: Final = {
    "api.datarhei.listen": "127.0.0.1:0",
    "limits.api_connections": "0",
}


def _ask(server: Server, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{server.jobs_port}{path}",
        data,
        {"Content-Type": "application/json"},
        method=method,
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def _job(number: int, *, starts: bool) -> dict[str, Any]:
    """Return a job that makes one small picture a second and throws it away."""
    return {
        "id": f"job-{number}",
        "reference": f"group-{number % 10}",
        "autostart": starts,
        "reconnect": True,
        "reconnect_delay_seconds": 10,
        "stale_timeout_seconds": 30,
        "options": ["-loglevel", "level+info"],
        "input": [
            {
                "id": "in",
                "address": "color=s=32x32:r=1",
                "options": ["-f", "lavfi", "-re"],
            }
        ],
        "output": [{"id": "out", "address": "-", "options": ["-f", "null"]}],
    }


@contextlib.contextmanager
def _with_jobs(bench: Bench, count: int, *, start: bool) -> Iterator[Server]:
    shutil.rmtree(bench.folder / "state", ignore_errors=True)
    with bench.penstock(_SETTINGS) as server:
        for number in range(count):
            _ask(server, "POST", "/api/v3/process", _job(number, starts=start))
        yield server


def _move_programs(bench: Bench, server: Server, count: int) -> None:
    """Wait until all programs run, on the cores of the load."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        programs = server.process.children(recursive=True)
        for program in programs:
            with contextlib.suppress(psutil.Error):
                program.cpu_affinity(list(bench.cores.load))
        states = _ask(server, "GET", "/api/v3/process?filter=state")
        if sum(one["state"]["progress"]["frame"] > 0 for one in states) == count:
            return
        time.sleep(1.0)
    raise RuntimeError("not all jobs came up")


def jobs_supervised(bench: Bench) -> Result:
    """What watching many jobs costs the server."""
    count = _RUNNING // 5 if bench.quick else _RUNNING
    seconds = bench.seconds(_LOOK_S)
    with _with_jobs(bench, count, start=True) as server:
        _move_programs(bench, server, count)
        bench.settle()
        before, began = server.cpu_s(), time.monotonic()
        time.sleep(seconds)
        share = (server.cpu_s() - before) / (time.monotonic() - began)
        states = _ask(server, "GET", "/api/v3/process?filter=state")
    alive = sum(one["state"]["exec"] == "running" for one in states)
    row = Row(
        f"{count} jobs, all of it",
        percent(share),
        target="under 10 %",
        met=share < 0.1 and alive == count,
    )
    return Result(
        "Watching FFmpeg jobs",
        "Each job makes one picture a second (`color`, `-re`, to `null`) and reports "
        "twice a second on a pipe; the server reads that, memory and processor time of "
        "each program once a second. Its own processor time, without the programs'.",
        [row],
        peer="",
        notes=[f"{alive} of {count} jobs were running at the end"],
    )


def jobs_api(bench: Bench) -> Result:
    """How fast many stored jobs are listed."""
    count = _STORED // 5 if bench.quick else _STORED
    with _with_jobs(bench, count, start=False) as server:
        taken = []
        for _ in range(_LISTINGS):
            began = time.monotonic()
            listed = _ask(server, "GET", "/api/v3/process")
            taken.append(time.monotonic() - began)
            if len(listed) != count:
                raise RuntimeError(f"{len(listed)} of {count} jobs were listed")
        rate = _requests_per_second(bench, server)
        matched = len(_ask(server, "GET", _FILTER))
    median = statistics.median(taken)
    rows = [
        Row(
            f"{count} jobs with all aspects, median",
            f"{1e3 * median:.1f} ms",
            target="under 150 ms",
            met=median < 0.15,
        ),
        Row(f"{count} jobs with all aspects, longest", f"{1e3 * max(taken):.1f} ms"),
    ]
    if rate is None:
        rows.append(Row("a list with a filter", "not measured: wrk is missing"))
    else:
        rows.append(
            Row(
                "a list with a filter, 8 connections",
                f"{rate:,.0f} requests/s",
                target="at least 300",
                met=rate >= 300,
            )
        )
    return Result(
        "Listing FFmpeg jobs",
        f"{count} stored jobs. A list with a filter picks some by a pattern of their "
        "ids and tells the state alone.",
        rows,
        peer="",
        notes=[f"{matched} jobs are in the list with a filter"],
    )


def _requests_per_second(bench: Bench, server: Server) -> float | None:
    if not shutil.which("wrk"):
        return None
    seconds = 2 if bench.quick else 4
    url = f"http://127.0.0.1:{server.jobs_port}{_FILTER}"
    command = ["wrk", "-t1", "-c8", f"-d{seconds}", url]
    output = bench.folder / "wrk.txt"
    output.unlink(missing_ok=True)
    with spawned(command, bench.cores.load, log=output) as process:
        process.wait(seconds + 20)
    for line in output.read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "Requests/sec":
            return float(value)
    raise RuntimeError(output.read_text())


def jobs_start(bench: Bench) -> Result:
    """How long a server with many stored jobs takes to start."""
    count = _STORED // 5 if bench.quick else _STORED
    with _with_jobs(bench, count, start=False):
        pass
    began = time.monotonic()
    with bench.penstock(_SETTINGS) as server:
        listed = len(_ask(server, "GET", "/api/v3/process?filter=state"))
        taken = time.monotonic() - began
    shutil.rmtree(bench.folder / "state", ignore_errors=True)
    began = time.monotonic()
    with bench.penstock(_SETTINGS) as server:
        _ask(server, "GET", "/api/v3/process?filter=state")
        empty = time.monotonic() - began
    if listed != count:
        raise RuntimeError(f"{listed} of {count} jobs are there")
    return Result(
        "Starting with FFmpeg jobs",
        f"From the command to the answer that lists {count} stored jobs, none of which "
        "is to run.",
        [
            Row(
                "time to the list", f"{taken:.2f} s", target="under 2 s", met=taken < 2
            ),
            Row("the same without jobs", f"{empty:.2f} s"),
        ],
        peer="",
    )
