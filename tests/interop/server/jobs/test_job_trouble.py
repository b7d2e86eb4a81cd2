"""Programs that misbehave, and requests that do: the others notice nothing."""

from __future__ import annotations

import os
import random
import re
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import httpx
import psutil
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.interop.server.jobs.conftest import Core

pytestmark = [pytest.mark.interop, pytest.mark.slow]

MANY = 10_000
RACERS = 12
REQUESTS = 120
"""Of each racer."""
DEATHS = 1_000
GROWTH = 64 << 20
"""Octets that a server may grow by, whatever programs do."""

SCRIPTS = {
    "flood": "exec yes 'a line that says nothing new' >&2",
    "endless": "exec tr '\\0' x </dev/zero >&2",
    "deaf": "trap '' INT; echo deaf >&2; while :; do sleep 0.1; done",
    "forks": "sleep 100 & sleep 100 & echo $! >&2; wait",
    "dies": "echo dies >&2; exit 1",
    "reports": "exec yes progress=continue >/proc/self/fd/${2#pipe:}",
}
"""What a job's program does, by the address of its input."""


@pytest.fixture
def troubled(
    start_core: Callable[..., Core], stand_in: Callable[[str], Path], ffmpeg9: str
) -> Core:
    """A server whose jobs misbehave; those with ``-re`` are an FFmpeg's."""
    cases = "\n".join(f"  *-i\\ {name}\\ *) {do} ;;" for name, do in SCRIPTS.items())
    path = os.pathsep.join(("/usr/local/bin", "/usr/bin", "/bin"))
    program = stand_in(
        f"PATH={path}; export PATH\n"
        f'case "$*" in\n  *-re*) exec {ffmpeg9} "$@" ;;\n{cases}\nesac'
    )
    return start_core(f"ffmpeg.path={program}", "metrics.listen=127.0.0.1:0")


def trouble(kind: str, id_: str = "", **more: Any) -> dict[str, Any]:
    """Return a job whose program does one of the things above."""
    return {
        "id": id_ or kind,
        "input": [{"id": "in", "address": kind}],
        "output": [{"id": "out", "address": "-", "options": ["-f", "null"]}],
        **more,
    }


def stream(id_: str) -> dict[str, Any]:
    """Return a job that publishes pictures."""
    x264 = "-c:v libx264 -preset ultrafast -pix_fmt yuv420p -g 25 -f flv"
    source = {"address": "testsrc2=s=160x90:r=25", "options": ["-f", "lavfi", "-re"]}
    target = {"address": "{rtmp,name=$processid}", "options": x264.split()}
    inputs, outputs = [{"id": "in"} | source], [{"id": "out"} | target]
    return trouble("", id_, input=inputs, output=outputs)


def resident(core: Core) -> int:
    return int(psutil.Process(core.server.process.pid).memory_info().rss)


def descriptors(core: Core) -> int:
    return psutil.Process(core.server.process.pid).num_fds()


def test_what_programs_do_stays_their_own(troubled: Core) -> None:
    core = troubled
    core.create(stream("good"))
    core.wait_until(lambda: core.state("good")["progress"]["frame"] > 25, "pictures")
    before, watched = resident(core), core.state("good")["progress"]["frame"]
    for kind in ("flood", "endless", "deaf", "forks", "reports"):
        core.create(trouble(kind))
    for kind in ("flood", "endless", "deaf", "forks", "reports"):
        core.wait(kind, "running")
    core.wait_until(
        lambda: core.state("good")["progress"]["frame"] > watched + 100, "pictures on"
    )
    report = core.http.get("/api/v3/process/flood/report").json()
    assert len(report["prelude"]) <= 151
    assert len(report["log"]) <= 50

    # Two at once that will not end keep nobody else waiting.
    with ThreadPoolExecutor(2) as pool:
        ends = [pool.submit(core.command, name, "stop") for name in ("deaf", "forks")]
        assert core.state("good")["exec"] == "running"
        for end in ends:
            end.result()
    assert core.state("deaf")["exec"] == "killed"
    (pid,) = core.http.get("/api/v3/process/forks/report").json()["prelude"]
    core.wait_until(lambda: not psutil.pid_exists(int(pid)), "what it forked to end")
    for kind in ("flood", "endless", "deaf", "forks", "reports"):
        assert core.http.delete(f"/api/v3/process/{kind}").json() == "OK"
    assert resident(core) - before < GROWTH
    assert core.server.logged("job ended", job="good") == []
    assert len(core.server.logged("publishing", stream="live/good")) == 1


def test_a_thousand_deaths_leave_nothing(troubled: Core) -> None:
    core = troubled
    before, size = descriptors(core), resident(core)
    jobs = [f"dies-{number}" for number in range(50)]
    again = {"reconnect": True, "reconnect_delay_seconds": 0}
    for name in jobs:
        core.create(trouble("dies", name, **again))
    core.wait_until(lambda: failures(core) >= DEATHS, f"{DEATHS} deaths")
    threads = psutil.Process(core.server.process.pid).num_threads()
    for name in jobs:
        assert core.http.delete(f"/api/v3/process/{name}").json() == "OK"
    assert descriptors(core) - before < 10
    assert threads < 40
    assert resident(core) - size < GROWTH
    # Of a job that dies at once again and again the log tells once. On a busy machine
    # some take their time.
    assert len(core.server.logged("job ended")) < DEATHS / 3


def failures(core: Core) -> int:
    """Return how many runs have failed, by the server's own count."""
    url = f"http://127.0.0.1:{core.server.ports['metrics']}/metrics"
    text = httpx.get(url, trust_env=False, timeout=60).text
    (line,) = re.findall(r'^penstock_job_runs_total{outcome="failed"} (.*)', text, re.M)
    return int(float(line))


def test_requests_that_race_for_one_id_get_clear_answers(troubled: Core) -> None:
    core = troubled
    answers: Counter[tuple[str, int]] = Counter()
    strange: list[str] = []
    most = 0

    def succeeded() -> set[str]:
        return {kind for kind in calls if answers[kind, 200]}

    def race(number: int) -> None:
        dice = random.Random(number)
        base = core.http.base_url
        with httpx.Client(base_url=base, trust_env=False, timeout=60) as client:
            for turn in range(20 * REQUESTS):
                if turn >= REQUESTS and succeeded() == set(calls):
                    break
                kind = dice.choice(sorted(calls))
                answer = calls[kind](client)
                answers[kind, answer.status_code] += 1
                if answer.status_code not in (200, 400, 404):
                    strange.append(f"{kind} {answer.status_code} {answer.text}")

    path = "/api/v3/process/one"
    job = stream("one") | {"reconnect": True, "reconnect_delay_seconds": 0}
    calls: dict[str, Callable[[httpx.Client], httpx.Response]] = {
        "create": lambda http: http.post("/api/v3/process", json=job),
        "update": lambda http: http.put(path, json={"reference": "x"}),
        "rename": lambda http: http.put(path, json={"id": "two"}),
        "back": lambda http: http.put("/api/v3/process/two", json={"id": "one"}),
        "delete": lambda http: http.delete(path),
        "start": lambda http: http.put(f"{path}/command", json={"command": "start"}),
        "stop": lambda http: http.put(f"{path}/command", json={"command": "stop"}),
        "reload": lambda http: http.put(f"{path}/command", json={"command": "reload"}),
        "note": lambda http: http.put(f"{path}/metadata/k", json=1),
        "read": lambda http: http.get(path),
    }
    racers = [threading.Thread(target=race, args=(n,)) for n in range(RACERS)]
    for racer in racers:
        racer.start()
    while any(racer.is_alive() for racer in racers):
        most = max(most, len(programs(core)))
        racers[0].join(0.02)
    assert strange == []
    assert most <= 2
    assert succeeded() == set(calls)
    listed = [one["id"] for one in core.http.get("/api/v3/process").json()]
    assert len(listed) == len(set(listed)) <= 2
    for name in listed:
        assert core.http.delete(f"/api/v3/process/{name}").json() == "OK"
    core.wait_until(lambda: programs(core) == [], "all programs to end")


def programs(core: Core) -> list[str]:
    """Return the streams of the FFmpegs that run for a server."""
    found = []
    for child in psutil.Process(core.server.process.pid).children(recursive=True):
        try:
            words = child.cmdline()
            if child.exe() != words[0] or not words[-1].startswith("rtmp:"):
                continue  # what starts it, or is being replaced by it
            found.append(words[-1])
        except (psutil.Error, IndexError):
            continue
    return found


@pytest.mark.timeout(400)
def test_ten_thousand_jobs_are_kept_and_one_more_is_refused(
    start_core: Callable[..., Core], tmp_path: Path
) -> None:
    where = f"storage.dir={tmp_path / 'state'}"
    core = start_core(where)
    base = core.http.base_url

    def create(numbers: range) -> None:
        with httpx.Client(base_url=base, trust_env=False, timeout=60) as client:
            for number in numbers:
                job = trouble("in.mp4", f"job-{number}", autostart=False)
                answer = client.post("/api/v3/process", json=job)
                assert answer.status_code == 200, answer.text

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(create, (range(n, MANY, 4) for n in range(4))))
    answer = core.http.post("/api/v3/process", json=trouble("in.mp4", "more"))
    assert answer.status_code == 400
    assert f"max. number of processes ({MANY}) reached" in answer.text
    found = core.http.get("/api/v3/process?idpattern=job-*77&filter=state").json()
    assert len(found) == MANY // 100
    assert len(core.http.get("/api/v3/process").json()) == MANY
    url = core.server.url("http", "penstock/v1/jobs?count=500")
    page = httpx.get(url, trust_env=False, timeout=60).json()
    assert (page["total"], len(page["jobs"])) == (MANY, 500)
    core.server.stop()

    core = start_core(where)
    assert len(core.http.get("/api/v3/process?filter=config").json()) == MANY
    assert core.http.delete("/api/v3/process/job-9999").json() == "OK"
    core.create(trouble("in.mp4", "more", autostart=False))


def test_a_full_disk_stops_who_fills_it(start_core: Callable[..., Core]) -> None:
    core = start_core("storage.disk_max_bytes=2000000")
    core.create(stream("good"))
    raw = ["-c:v", "rawvideo", "-f", "nut"]
    job = stream("fills") | {"reconnect": True, "reconnect_delay_seconds": 0}
    job["output"] = [{"id": "o", "address": "{diskfs}/raw.nut", "options": raw}]
    core.create(job)
    core.wait_until(lambda: core.state("fills")["order"] == "stop", "the stop")
    core.wait("fills", "finished")
    report = core.http.get("/api/v3/process/fills/report").json()
    said = [text for _, text in report["log"]]
    assert "stopped: the disk file system is full" in said
    (line,) = core.server.logged("disk is full")
    assert (line["jobs_stopped"], line["limit_bytes"]) == (1, 2_000_000)
    assert core.state("good")["exec"] == "running"
    answer = core.http.put("/api/v3/fs/disk/more", content=b"x")
    assert answer.status_code == 400
    assert "the limit of 2000000 bytes is reached" in answer.text
    assert core.http.delete("/api/v3/fs/disk/raw.nut").status_code == 200
    core.command("fills", "start")
    core.wait("fills", "running")


def test_an_old_ffmpeg_is_told_everywhere(
    start_core: Callable[..., Core], stand_in: Callable[..., Path]
) -> None:
    why = "is FFmpeg 4.4.2: jobs need 5.0 or newer"
    core = start_core(f"ffmpeg.path={stand_in('exit 1', 'ffmpeg version 4.4.2')}")
    core.wait_until(lambda: core.server.logged("jobs"), "the log line")
    (line,) = core.server.logged("jobs")
    assert line["level"] == "warning"
    assert why in line["reason"]
    assert why in core.http.get("/api/v3/skills").json()["ffmpeg"]["problem"]
    core.create(stream("a"))
    core.wait("a", "failed")
    assert why in core.state("a")["last_logline"]
    # Another one in its place will do, without a restart.
    stand_in("exec sleep 100")
    core.command("a", "start")
    core.wait("a", "running")


def test_an_ffmpeg_that_has_gone_fails_jobs_until_it_is_back(
    start_core: Callable[..., Core], stand_in: Callable[..., Path]
) -> None:
    program = stand_in("exec sleep 100")
    core = start_core(f"ffmpeg.path={program}")
    program.unlink()
    core.create(stream("a") | {"reconnect": True, "reconnect_delay_seconds": 1})
    core.wait("a", "failed")
    why = f"{program}: No such file or directory: jobs cannot run"
    assert core.state("a")["last_logline"] == why
    assert core.http.get("/api/v3/skills").json()["ffmpeg"]["problem"] == why
    stand_in("exec sleep 100")
    core.wait("a", "running")
    assert "problem" not in core.http.get("/api/v3/skills").json()["ffmpeg"]
