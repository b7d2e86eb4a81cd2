"""A process whose FFmpeg is datarhei's own, which tells of every stream."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import trio

INPUTS = [
    {
        "url": "playout:in",
        "format": "flv",
        "index": 0,
        "stream": 0,
        "type": "video",
        "codec": "h264",
        "coder": "h264",
        "pix_fmt": "yuv420p",
        "width": 640,
        "height": 360,
    }
]
OUTPUTS = [INPUTS[0] | {"url": "-", "coder": "libx264"}]
PLAYOUT = {
    "id": "playout:in",
    "queue": 140,
    "aqueue": 0,
    "dup": 0,
    "drop": 0,
    "enc": 0,
    "looping": False,
    "duplicating": True,
    "gop": "none",
    "input": {"state": "running", "packet": 148, "size_kb": 1529, "time": 5},
    "output": {"state": "idle", "packet": 8, "size_kb": 128, "time": 1},
}
COUNTS = {
    "index": 0,
    "stream": 0,
    "frame": 156,
    "keyframe": 12,
    "framerate": {"min": 24.9996, "max": 25.0, "avg": 25.0},
    "packet": 150,
    "size_kb": 600,
    "extradata_size_bytes": 41,
}
REPORT = {
    "inputs": [COUNTS],
    "outputs": [COUNTS | {"q": 21.5}],
    "frame": 156,
    "packet": 150,
    "q": 21.5,
    "size_kb": 600,
    "time": "0h0m6.0s",
    "speed": 1.01,
    "dup": 1,
    "drop": 2,
}


async def test_every_stream_is_shown_and_no_report_is_in_the_log(
    opened: Any, tmp_path: Path
) -> None:
    lines = [
        "banner",
        f"ffmpeg.inputs:{json.dumps(INPUTS)}",
        "Stream mapping:",
        f"[info] ffmpeg.outputs:{json.dumps(OUTPUTS)}",
        "no prelude any more",
        f"avstream.progress:{json.dumps(PLAYOUT)}",
        f"ffmpeg.progress:{json.dumps(REPORT)}",
    ]
    text = tmp_path / "lines.txt"
    text.write_text("\n".join(lines) + "\n")
    async with opened(f"cat '{text}' >&2; exec sleep 100") as api:
        # The option takes no value, so what follows it is an option too.
        options = ["-jsonstats", "-loglevel", "info", "-jsonstats"]
        await api.make("p", options=options, autostart=True)
        with trio.fail_after(60):
            while True:
                state = await api.get("/process/p/state")
                if state["progress"]["frame"]:
                    break
                await trio.sleep(0.01)
        progress = state["progress"]
        assert (progress["packet"], progress["q"], progress["time"]) == (150, 21.5, 6)
        (read,), (written,) = progress["inputs"], progress["outputs"]
        assert (read["id"], written["id"]) == ("i", "o")
        assert (written["frame"], written["keyframe"]) == (156, 12)
        assert (written["packet"], written["size_kb"], written["q"]) == (150, 600, 21.5)
        assert written["framerate"] == {"min": 25.0, "max": 25.0, "avg": 25.0}
        assert written["fps"] > written["pps"] > 0
        assert written["bitrate_kbit"] > 0
        assert written["extradata_size_bytes"] == 41
        assert (written["coder"], written["avstream"]) == ("libx264", None)
        assert read["avstream"] == {
            "input": {"state": "running", "packet": 148, "time": 5, "size_kb": 1529},
            "output": {"state": "idle", "packet": 8, "time": 1, "size_kb": 128},
            "aqueue": 0,
            "queue": 140,
            "dup": 0,
            "drop": 0,
            "enc": 0,
            "looping": False,
            "looping_runtime": 0,
            "duplicating": True,
            "gop": "none",
        }
        report = await api.get("/process/p/report")
        assert report["prelude"] == ["banner", "Stream mapping:"]
        logged = [text for _, text in report["log"]]
        assert logged == ["banner", "Stream mapping:", "no prelude any more"]
        assert state["last_logline"] == "no prelude any more"
