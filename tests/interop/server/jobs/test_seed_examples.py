"""The examples of datarhei's own documentation, with FFmpeg 9 and 5.1."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.interop.server.jobs.conftest import Core

pytestmark = [pytest.mark.interop, pytest.mark.slow]

VIDEO = {
    "id": "video_in",
    "address": "testsrc=size=1280x720:rate=25",
    "options": ["-f", "lavfi", "-re"],
}
SOUND = {
    "id": "audio_in",
    # As printed, "anullsrc=r=44100:stereo=25", it is none of FFmpeg's.
    "address": "anullsrc=r=44100:cl=stereo",
    "options": ["-f", "lavfi"],
}
X264 = "-codec:v libx264 -r 25 -g 50 -preset:v ultrafast -b:v 2M"
FLV = f"{X264} -codec:a aac -b:a 64k -f flv"


def test_the_smallest_process_becomes_the_command_line_printed(core: Core) -> None:
    made = core.create(
        {"input": [{"address": "input"}], "output": [{"address": "output"}]}
    )
    assert len(made["id"]) == 22
    assert core.command_line(made["id"]) == "-i input output"
    state = core.wait(made["id"], "failed")
    assert state["last_logline"].endswith("No such file or directory")
    assert state["order"] == "start"


def test_a_test_picture_with_silence_is_sent_by_rtmp(core: Core) -> None:
    output = {"id": "out", "address": "{rtmp,name=stream}", "options": FLV.split()}
    core.create(
        {
            "id": "some_id",
            "reference": "some reference",
            "reconnect": True,
            "reconnect_delay_seconds": 10,
            "stale_timeout_seconds": 15,
            "limits": {"cpu_usage": 100, "memory_mbytes": 2000, "waitfor_seconds": 30},
            "options": ["-loglevel", "level+info"],
            "input": [VIDEO, SOUND],
            "output": [output],
        }
    )
    rtmp = core.server.ports["rtmp"]
    assert core.command_line("some_id") == (
        "-loglevel level+info "
        "-f lavfi -re -i testsrc=size=1280x720:rate=25 "
        "-f lavfi -i anullsrc=r=44100:cl=stereo "
        f"{FLV} rtmp://127.0.0.1:{rtmp}/live/stream"
    )
    core.server.wait_until(
        lambda: core.server.logged("publishing", stream="live/stream"), "the stream"
    )
    core.wait_until(
        lambda: core.state("some_id")["progress"]["frame"] >= 50, "two seconds"
    )
    state = core.state("some_id")
    assert (state["order"], state["exec"]) == ("start", "running")
    progress = state["progress"]
    assert [one["id"] for one in progress["inputs"]] == ["video_in", "audio_in"]
    assert [(one["type"], one["codec"]) for one in progress["outputs"]] == [
        ("video", "h264"),
        ("audio", "aac"),
    ]
    assert progress["outputs"][0]["width"] == 1280
    assert 15 < progress["fps"] < 35
    assert progress["size_kb"] > 0
    assert progress["bitrate_kbit"] > 0
    assert state["memory_bytes"] > 1 << 20
    listed = core.http.get("/api/v3/rtmp").json()
    assert listed == [{"name": "/live/stream"}]
    # To stop it takes what FFmpeg takes to end its output.
    core.command("some_id", "stop")
    state = core.state("some_id")
    assert (state["order"], state["exec"]) == ("stop", "finished")
    report = core.http.get("/api/v3/process/some_id/report").json()
    assert report["prelude"][0].startswith("[info] ffmpeg version")


def test_what_is_no_option_fails_and_says_so(core: Core) -> None:
    bad = SOUND | {"address": "anullsrc=r=44100:stereo=25"}
    output = {"id": "out", "address": "-", "options": ["-f", "null"]}
    core.create({"id": "bad", "input": [bad], "output": [output]})
    state = core.wait("bad", "failed")
    log = core.http.get("/api/v3/process/bad/report").json()["log"]
    assert any("Option not found" in line for _, line in log)
    assert state["progress"]["frame"] == 0


def test_one_process_reads_what_another_writes(core: Core) -> None:
    first = {"id": "out", "address": "{rtmp,name=$processid}"}
    first["options"] = f"{X264} -f flv".split()  # type: ignore[assignment]
    core.create({"id": "process_1", "input": [VIDEO], "output": [first]})
    core.server.wait_until(
        lambda: core.server.logged("publishing", stream="live/process_1"), "the stream"
    )
    second = {"id": "out", "address": "-", "options": ["-codec", "copy", "-f", "null"]}
    core.create(
        {
            "id": "process_2",
            "input": [{"id": "video_in", "address": "#process_1:output=out"}],
            "output": [second],
        }
    )
    rtmp = core.server.ports["rtmp"]
    assert core.command_line("process_2") == (
        f"-i rtmp://127.0.0.1:{rtmp}/live/process_1 -codec copy -f null -"
    )
    core.wait_until(
        lambda: core.state("process_2")["progress"]["frame"] >= 25, "pictures"
    )
    config = core.http.get("/api/v3/process/process_2/config").json()
    assert config["input"][0]["address"] == "#process_1:output=out"


def test_placeholders_name_three_files(core: Core) -> None:
    short = VIDEO | {"options": ["-f", "lavfi", "-t", "1"]}
    outputs = [
        {
            "id": height,
            "address": "{diskfs}/{reference}_{processid}_{outputid}.mp4",
            "options": f"-vf scale=-2:{height} -codec:v libx264".split(),
            "cleanup": [
                {
                    "pattern": "diskfs:/{reference}_{processid}_{outputid}.(mp4|ts)",
                    "max_files": "23",
                    "max_file_age_seconds": "235",
                    "purge_on_delete": True,
                }
            ],
        }
        for height in ("360", "720", "1080")
    ]
    core.create({"id": "b", "reference": "a", "input": [short], "output": outputs})
    core.wait("b", "finished")
    core.wait_until(
        lambda: core.http.get("/api/v3/fs/disk").json(), "files to be there"
    )
    names = [f"/a_b_{height}.mp4" for height in ("1080", "360", "720")]
    listed = core.http.get("/api/v3/fs/disk?sort=name&order=asc").json()
    assert [one["name"] for one in listed] == names
    assert all(one["size_bytes"] > 1000 for one in listed)
    assert core.http.delete("/api/v3/process/b").json() == "OK"
    assert core.http.get("/api/v3/fs/disk").json() == []


def test_the_example_of_create_runs_as_printed(core: Core) -> None:
    core.create(
        {
            "id": "test",
            "options": ["-loglevel", "error"],
            "input": [VIDEO | {"id": "0"}],
            "output": [
                {
                    "address": "-",
                    "id": "0",
                    "options": ["-c:v", "libx264", "-f", "null"],
                }
            ],
        }
    )
    assert core.command_line("test") == (
        "-loglevel error -f lavfi -re -i testsrc=size=1280x720:rate=25 "
        "-c:v libx264 -f null -"
    )
    # Nothing is printed, and progress is seen all the same.
    core.wait_until(lambda: core.state("test")["progress"]["frame"] >= 10, "pictures")
    assert core.state("test")["last_logline"] == ""
