"""A test picture, its renditions by another job, and what becomes of bad runs."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

import psutil
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.interop.server.jobs.conftest import Core

pytestmark = [pytest.mark.interop, pytest.mark.slow]

SIZES = {"720": "1280x720", "360": "640x360", "180": "320x180"}
AGAIN = {"reconnect": True, "reconnect_delay_seconds": 1}


def picture(id_: str, **more: Any) -> dict[str, Any]:
    """Return a job that publishes a test picture as the stream of its id."""
    x264 = "-c:v libx264 -preset ultrafast -pix_fmt yuv420p -g 25 -b:v 1M -f flv"
    return {
        "id": id_,
        **AGAIN,
        "input": [
            {
                "id": "in",
                "address": "testsrc2=size=640x360:rate=25",
                "options": ["-f", "lavfi", "-re"],
            }
        ],
        "output": [
            {
                "id": "out",
                "address": "{rtmp,name=$processid}",
                "options": x264.split(),
            }
        ],
        **more,
    }


def renditions(id_: str, source: str) -> dict[str, Any]:
    """Return a job that makes three sizes of what another one publishes, as HLS."""
    outputs = []
    for name, size in SIZES.items():
        options = f"-s {size} -c:v libx264 -preset ultrafast -g 25 -sc_threshold 0"
        hls = "-f hls -hls_time 1 -hls_list_size 6 -hls_flags delete_segments"
        segments = f"{{memfs}}/{{processid}}_{name}_%05d.ts"
        outputs.append(
            {
                "id": name,
                "address": f"{{memfs}}/{{processid}}_{name}.m3u8",
                "options": [
                    *f"{options} {hls} -method PUT -hls_segment_filename".split(),
                    segments,
                ],
                "cleanup": [
                    {"pattern": f"memfs:/{id_}_{name}*", "purge_on_delete": True}
                ],
            }
        )
    source = f"#{source}:output=out"
    inputs = [{"id": "in", "address": source, "options": []}]
    return {"id": id_, **AGAIN, "input": inputs, "output": outputs}


def program(core: Core, words: str) -> psutil.Process:
    """Return the FFmpeg of a server that has these words in its command line."""
    for child in psutil.Process(core.server.process.pid).children(recursive=True):
        if words in " ".join(child.cmdline()):
            return child
    raise AssertionError(words)


def names(core: Core) -> set[str]:
    return {one["name"] for one in core.http.get("/api/v3/fs/mem").json()}


def test_a_picture_becomes_three_renditions_that_a_browser_plays(
    start_core: Callable[..., Core], watch_hls: Callable[[str], None]
) -> None:
    core = start_core()
    core.create(picture("a"))
    core.server.wait_until(
        lambda: core.server.logged("publishing", stream="live/a"), "the stream"
    )
    core.create(renditions("b", "a"))
    lists = {f"/b_{name}.m3u8" for name in SIZES}
    core.wait_until(lambda: lists <= names(core), "three playlists")
    # A playlist of one segment plays no two seconds.
    core.wait_until(lambda: "/b_360_00002.ts" in names(core), "three segments")
    watch_hls(f"http://127.0.0.1:{core.server.ports['http']}/memfs/b_360.m3u8")
    # Without a password nobody writes there.
    port = core.server.ports["api.datarhei"]
    answer = core.http.put(f"http://127.0.0.1:{port}/memfs/x.ts", content=b"x")
    assert answer.status_code == 401

    # kill -9: killed, then again.
    program(core, "/live/a").send_signal(signal.SIGKILL)
    core.wait("a", "killed")
    assert core.state("a")["reconnect_seconds"] >= 0
    core.wait("a", "running")
    core.wait_until(
        lambda: core.state("b")["progress"]["frame"] > 25, "renditions again"
    )

    # The other one goes, and its files with it.
    assert core.http.delete("/api/v3/process/b").json() == "OK"
    assert names(core) == set()


def test_what_stands_still_or_takes_too_much_is_stopped_and_runs_again(
    start_core: Callable[..., Core],
) -> None:
    core = start_core()
    core.create(picture("stale", stale_timeout_seconds=2))
    limits = {"memory_mbytes": 10, "waitfor_seconds": 1}
    core.create(picture("greedy", limits=limits, reconnect_delay_seconds=60))
    core.wait_until(lambda: core.state("stale")["progress"]["frame"] > 25, "pictures")
    first = program(core, "/live/stale")
    first.suspend()
    # It cannot answer SIGINT, so it is killed 5 s later.
    core.wait("stale", "finishing")
    core.wait("stale", "running")
    assert program(core, "/live/stale").pid != first.pid
    ended = core.server.logged("job ended", job="stale")
    assert [line["reason"] for line in ended] == ["no progress"]

    core.wait("greedy", "finished")
    (line,) = core.server.logged("job ended", job="greedy")
    assert line["reason"] == "too much memory"
    state = core.state("greedy")
    assert (state["order"], state["memory_bytes"]) == ("start", 0)
    assert 0 < state["reconnect_seconds"] <= 60
    # A start does not wait for the rest of the delay.
    core.command("greedy", "start")
    core.wait("greedy", "running")
    core.command("greedy", "stop")
    assert core.state("greedy")["reconnect_seconds"] == -1
    report = core.http.get("/api/v3/process/greedy/report").json()
    assert len(report["history"]) == 1
