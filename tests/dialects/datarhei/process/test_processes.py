"""Processes from their creation to their end, as clients see them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import imageio_ffmpeg
import pytest
import trio

PICTURE = {
    "id": "video_in",
    "address": "testsrc=size=320x180:rate=25",
    "options": ["-f", "lavfi", "-re"],
}
SOUND = {
    "id": "audio_in",
    "address": "anullsrc=r=44100:cl=stereo",
    "options": ["-f", "lavfi"],
}
OUTPUT = {"id": "out", "address": "-", "options": ["-t", "60", "-f", "null"]}

STREAM_KEYS = [
    *("id", "address", "index", "stream", "format", "type", "codec", "coder"),
    *("frame", "keyframe", "framerate", "fps", "packet", "pps", "size_kb"),
    *("bitrate_kbit", "extradata_size_bytes"),
]
PICTURE_KEYS = [*STREAM_KEYS, "pix_fmt", "q", "width", "height", "avstream"]
SOUND_KEYS = [*STREAM_KEYS, "q", "sampling_hz", "layout", "channels", "avstream"]


async def until(api: Any, id_: str, exec_: str) -> dict[str, Any]:
    return await until_state(api, id_, lambda state: state["exec"] == exec_)


async def until_printed(api: Any, id_: str, past: int) -> dict[str, Any]:
    """Return the report of a process once it has printed after so many runs."""
    with trio.fail_after(60):
        while True:
            report: dict[str, Any] = await api.get(f"/process/{id_}/report")
            if report["log"] and len(report["history"]) == past:
                return report
            await trio.sleep(0.01)


async def until_state(
    api: Any, id_: str, holds: Callable[[dict[str, Any]], Any]
) -> dict[str, Any]:
    """Return the state of a process once something holds of it."""
    with trio.fail_after(60):
        while True:
            state: dict[str, Any] = await api.get(f"/process/{id_}/state")
            if holds(state):
                return state
            await trio.sleep(0.01)


async def command(api: Any, id_: str, word: str) -> None:
    answer = await api.ask("PUT", f"/process/{id_}/command", {"command": word})
    assert (answer.status_code, answer.json()) == (200, "OK")


@pytest.mark.slow
async def test_a_running_ffmpeg_is_shown_with_all_its_streams(opened: Any) -> None:
    async with opened(program=imageio_ffmpeg.get_ffmpeg_exe()) as api:
        await api.make("p", input=[PICTURE, SOUND], output=[OUTPUT], autostart=True)
        state = await until_state(api, "p", lambda state: state["progress"]["frame"])
        progress = state["progress"]
        assert (state["order"], state["exec"]) == ("start", "running")
        assert state["reconnect_seconds"] == -1
        assert progress["packet"] == 0
        assert progress["time"] > 0
        assert progress["speed"] > 0
        picture, sound = progress["inputs"]
        assert list(picture) == PICTURE_KEYS
        assert list(sound) == SOUND_KEYS
        assert (picture["id"], sound["id"]) == ("video_in", "audio_in")
        assert picture["address"] == PICTURE["address"]
        assert picture["format"] == "lavfi"
        assert (picture["width"], picture["height"]) == (320, 180)
        assert (sound["sampling_hz"], sound["layout"], sound["channels"]) == (
            44100,
            "stereo",
            2,
        )
        kinds = [(one["id"], one["type"]) for one in progress["outputs"]]
        assert kinds == [("out", "video"), ("out", "audio")]
        assert progress["outputs"][0]["framerate"] == {"min": 0, "max": 0, "avg": 0}
        await until_state(api, "p", lambda state: state["memory_bytes"])
        await command(api, "p", "stop")
        state = await api.get("/process/p/state")
        assert (state["order"], state["exec"]) == ("stop", "finished")
        assert state["last_logline"] == "Exiting normally, received signal 2."
        assert state["memory_bytes"] == state["cpu_usage"] == 0
        assert not any(state["progress"].values())


@pytest.mark.slow
async def test_a_probe_tells_the_streams_of_a_stopped_process(opened: Any) -> None:
    async with opened(program=imageio_ffmpeg.get_ffmpeg_exe()) as api:
        await api.make("p", input=[PICTURE, SOUND])
        probe = await api.get("/process/p/probe")
        picture, sound = probe["streams"]
        assert picture == {
            "url": PICTURE["address"],
            "format": "lavfi",
            "index": 0,
            "stream": 0,
            "language": "und",
            "type": "video",
            "codec": "wrapped_avframe",
            "coder": "",
            "bitrate_kbps": 0,
            "duration_sec": 0,
            "fps": 25,
            "pix_fmt": "rgb24",
            "width": 320,
            "height": 180,
            "sampling_hz": 0,
            "layout": "",
            "channels": 0,
        }
        assert (sound["index"], sound["channels"]) == (1, 2)
        assert sound["bitrate_kbps"] == 705
        assert probe["log"][0].startswith("ffmpeg version ")
        assert await api.get("/process/nope/probe") == {
            "streams": [],
            "log": ["Unknown process ID (nope)"],
        }


async def test_a_probe_hides_passwords_as_reports_do(opened: Any) -> None:
    lines = (
        "Input #0, hls, from 'http://admin:password@h/memfs/x.m3u8':",
        "  Stream #0:0: Video: h264, yuv420p, 320x180",
    )
    script = "; ".join(f'echo "{line}" >&2' for line in lines)
    async with opened(script) as api:
        await api.make("p")
        probe = await api.get("/process/p/probe")
        assert probe["log"] == [lines[0].replace(":password@", ":***@"), lines[1]]
        assert probe["streams"][0]["url"] == "http://admin:***@h/memfs/x.m3u8"


async def test_orders_and_what_comes_of_them(opened: Any) -> None:
    async with opened("echo once >&2; exit 0") as api:
        await api.make("p")
        state = await api.get("/process/p/state")
        assert (state["order"], state["exec"]) == ("stop", "finished")
        for word in ("restart", "stop"):
            # Nothing happens to what is to stand.
            await command(api, "p", word)
        assert (await api.get("/process/p/report"))["log"] == []
        # A program that has ended starts again, whatever reconnect says.
        for runs, word in enumerate(("start", "start", "restart")):
            await command(api, "p", word)
            report = await until_printed(api, "p", runs)
            await until(api, "p", "finished")
        assert report["prelude"] == ["once"]
        ((at, line),) = report["log"]
        assert (at.isdigit(), line) == (True, "once")
        assert list(report) == ["created_at", "prelude", "log", "history"]
        assert list(report["history"][0]) == ["created_at", "prelude", "log"]
        await command(api, "p", "reload")
        assert (await until_printed(api, "p", 0))["prelude"] == ["once"]


async def test_a_process_that_waits_says_how_long(opened: Any) -> None:
    async with opened("exit 1") as api:
        await api.make("p", autostart=True, reconnect=True, reconnect_delay_seconds=50)
        state = await until_state(
            api, "p", lambda state: state["reconnect_seconds"] >= 0
        )
        assert state["exec"] == "failed"
        assert state["reconnect_seconds"] in (48, 49, 50)
        await command(api, "p", "stop")
        state = await api.get("/process/p/state")
        assert (state["order"], state["reconnect_seconds"]) == ("stop", -1)


async def test_an_update_keeps_the_order_and_may_rename(opened: Any) -> None:
    async with opened() as api:
        await api.make("old/1", autostart=True)
        put = await api.ask("PUT", "/process/old%2F1/metadata/k", {"x": 1})
        assert put.json() == {"x": 1}
        await until(api, "old%2F1", "running")
        body = {"id": "#new", "autostart": False, "options": ["-y"]}
        answer = await api.ask("PUT", "/process/old%2F1", body)
        assert answer.status_code == 200
        assert answer.json()["options"] == ["-y"]
        assert (await api.ask("GET", "/process/old%2F1")).status_code == 404
        state = await until(api, "%23new", "running")
        assert state["order"] == "start"
        assert state["command"] == ["-y", "-i", "in", "-"]
        process = await api.get("/process/%23new")
        assert process["metadata"] == {"k": {"x": 1}}
        assert process["updated_at"] == process["created_at"]
        assert process["config"]["autostart"] is False
        assert (await api.ask("DELETE", "/process/%23new")).json() == "OK"
        assert await api.get("/process") == []


async def test_the_smallest_process_writes_to_the_disk(opened: Any) -> None:
    async with opened() as api:
        body = {"input": [{"address": "input"}], "output": [{"address": "output"}]}
        answer = await api.ask("POST", "/process", body)
        id_ = answer.json()["id"]
        state = await api.get(f"/process/{id_}/state")
        assert state["command"] == ["-i", "input", "output"]
        assert state["order"] == "start"


async def test_counts_of_the_document_s_sample_are_taken(opened: Any) -> None:
    rule = {
        "pattern": "memfs:fo*ar",
        "max_files": "23",
        "max_file_age_seconds": "235",
        "purge_on_delete": True,
    }
    async with opened() as api:
        await api.make("p", output=[{"address": "-", "cleanup": [rule]}])
        (output,) = (await api.get("/process/p/config"))["output"]
        assert output["cleanup"] == [
            rule | {"max_files": 23, "max_file_age_seconds": 235}
        ]


VALUES: list[Any] = [
    {"a": [1, 2.5, "x", None, True]},
    [],
    0,
    False,
    "",
    12345678901234567890,
    "\ud800",
]


async def test_metadata_of_a_process(opened: Any) -> None:
    async with opened() as api:
        await api.make("p")
        path = "/process/p/metadata"
        assert await api.get(path) is None
        for value in VALUES:
            answer = await api.ask("PUT", f"{path}/k%2F5", json.dumps(value))
            assert (answer.status_code, json.loads(answer.content)) == (200, value)
            assert json.loads((await api.ask("GET", f"{path}/k%2F5")).content) == value
        await api.ask("PUT", f"{path}/k2", '"str"')
        await api.ask("PUT", f"{path}/k%2F5", 1)
        assert await api.get(path) == {"k/5": 1, "k2": "str"}
        missing = await api.ask("GET", f"{path}/zz")
        assert missing.status_code == 404
        assert missing.json()["details"] == ["unknown key"]
        for key in ("k%2F5", "k2"):
            gone = await api.ask("PUT", f"{path}/{key}", "null")
            assert (gone.status_code, gone.json()) == (200, None)
        assert await api.get(path) is None
        large = await api.ask("PUT", f"{path}/k", json.dumps("x" * 1_100_000))
        assert large.status_code == 400
        assert large.json()["details"] == ["the value is too large"]


async def test_metadata_of_the_server(opened: Any) -> None:
    async with opened() as api:
        assert await api.get("/metadata") == {}
        answer = await api.ask("PUT", "/metadata/restreamer-ui", {"v": 1})
        assert (answer.status_code, answer.json()) == (200, {"v": 1})
        assert await api.get("/metadata") == {"restreamer-ui": {"v": 1}}
        assert await api.get("/metadata/restreamer-ui") == {"v": 1}
        answer = await api.ask("GET", "/metadata/x")
        assert answer.status_code == 404
        assert answer.json() == {
            "code": 404,
            "message": "Metadata not found",
            "details": ["unknown key"],
        }
        assert (await api.ask("PUT", "/metadata/x", "")).status_code == 400
        large = await api.ask("PUT", "/metadata/x", json.dumps("x" * 1_100_000))
        assert large.status_code == 400


async def test_a_config_s_examples_become_their_command_lines(opened: Any) -> None:
    rtmp = "rtmp://someip/live/stream"
    encode = "-codec:v libx264 -r 25 -g 50 -preset:v ultrafast -b:v 2M"
    picture = {
        "id": "video_in",
        "address": "testsrc=size=1280x720:rate=25",
        "options": ["-f", "lavfi", "-re"],
    }
    first: dict[str, Any] = {
        "input": [picture],
        "output": [
            {"id": "out", "address": rtmp, "options": [*encode.split(), "-f", "flv"]}
        ],
    }
    second: dict[str, Any] = {
        "input": [{"id": "video_in", "address": "#process_1:output=out"}],
        "output": [
            {"id": "out", "address": "-", "options": ["-codec", "copy", "-f", "null"]}
        ],
    }
    third: dict[str, Any] = {
        "reference": "a",
        "input": [picture],
        "output": [
            {"id": id_, "address": "{diskfs}/{reference}_{processid}_{outputid}.mp4"}
            for id_ in ("360", "720", "1080")
        ],
    }
    begin = "-f lavfi -re -i testsrc=size=1280x720:rate=25"
    files = " ".join(f"/core/data/a_b_{id_}.mp4" for id_ in ("360", "720", "1080"))
    async with opened() as api:
        for id_, config, expected in [
            ("process_1", first, f"{begin} {encode} -f flv {rtmp}"),
            ("process_2", second, f"-i {rtmp} -codec copy -f null -"),
            ("b", third, f"{begin} {files}"),
        ]:
            await api.make(id_, **config)
            state = await api.get(f"/process/{id_}/state")
            assert " ".join(state["command"]) == expected
            # What is shown of the config is what was written.
            shown = await api.get(f"/process/{id_}/config")
            assert shown["output"][0]["address"] == config["output"][0]["address"]


async def test_head_asks_for_no_body_and_long_answers_are_zipped(opened: Any) -> None:
    async with opened() as api:
        await api.make("p", options=["-metadata", "x=" + "y" * 2_000])
        head = await api.ask("HEAD", "/process/p")
        assert (head.status_code, head.content) == (200, b"")
        zipped = await api.ask("GET", "/process/p", accept_encoding="gzip")
        assert zipped.headers["content-encoding"] == "gzip"
        assert zipped.json()["id"] == "p"
