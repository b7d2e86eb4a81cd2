"""The calls of restreamer-ui when it starts, and a client's from login to delete."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.interop.server.jobs.conftest import Core

pytestmark = [pytest.mark.interop, pytest.mark.slow]

NAME, PASSWORD = "admin", "a long password"
UI = "restreamer-ui:ingest:2b0f2c1e-8f0b-4b37-9a4c-0b6f3b1d6a55"
HLS = (
    "-c:v libx264 -preset ultrafast -pix_fmt yuv420p -g 50 -f hls -hls_time 2 "
    "-hls_list_size 6 -hls_flags append_list+delete_segments+program_date_time "
    "-method PUT -hls_segment_filename"
)
CHANNEL = "2b0f2c1e-8f0b-4b37-9a4c-0b6f3b1d6a55"


def claims(token: str) -> dict[str, Any]:
    """Return what a JSON Web Token says."""
    body = token.split(".")[1]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(body + "=="))
    return found


def log_in(core: Core) -> str:
    """Log in as a client does, and send the token from then on."""
    answer = core.http.post("/api/login", json={"username": NAME, "password": PASSWORD})
    assert answer.status_code == 200, answer.text
    tokens = answer.json()
    assert claims(tokens["access_token"])["exi"] == 600
    assert claims(tokens["refresh_token"])["exi"] == 86400
    core.http.headers["Authorization"] = f"Bearer {tokens['access_token']}"
    refresh: str = tokens["refresh_token"]
    return refresh


def ok(core: Core, path: str) -> Any:
    answer = core.http.get(path)
    assert answer.status_code == 200, (path, answer.text)
    return answer.json()


def set_password(core: Core) -> None:
    """Do what the page for a new installation does."""
    about = ok(core, "/api")
    assert about["app"] == "datarhei-core"
    assert about["id"]
    assert about["auths"] == []
    assert about["version"]["number"].startswith("16.")
    assert "api.auth.enable" not in ok(core, "/api/v3/config")["overrides"]
    auth = {"enable": True, "username": NAME, "password": PASSWORD}
    body = {"version": 3, "api": {"auth": auth}}
    assert core.http.put("/api/v3/config", json=body).json() == "OK"
    assert ok(core, "/api/v3/config/reload") == "OK"
    now = ok(core, "/api")
    assert now.get("created_at") != about["created_at"]
    assert now["auths"] == ["localjwt"]
    assert core.http.get("/api/v3/process").status_code == 401


def test_restreamer_ui_starts_on_a_new_installation_and_keeps_its_login(
    start_core: Callable[..., Core],
) -> None:
    core = start_core()
    set_password(core)
    log_in(core)
    assert ok(core, "/api")["id"]
    skills = ok(core, "/api/v3/skills")
    major, minor, _ = map(int, skills["ffmpeg"]["version"].split("."))
    assert (major, minor) >= (5, 1)
    assert major < 7
    video = {codec["id"]: codec for codec in skills["codecs"]["video"]}
    assert "libx264" in video["h264"]["encoders"]
    assert ok(core, "/api/v3/rtmp") == []
    assert ok(core, "/api/v3/srt")["publisher"] == {}
    config = ok(core, "/api/v3/config")["config"]
    assert config["rtmp"]["enable"] is True
    assert config["api"]["auth"]["username"] == NAME
    assert PASSWORD not in json.dumps(config)
    assert ok(core, "/api/v3/process?filter=metadata") == []
    missing = core.http.get("/api/v3/metadata/restreamer-ui")
    assert missing.status_code == 404
    assert core.http.get(f"/api/v3/process/{UI}/state").status_code == 404
    kept = {"version": 1, "bundle": {"installed": True}}
    answer = core.http.put("/api/v3/metadata/restreamer-ui", json=kept)
    assert answer.json() == kept
    assert ok(core, "/api/v3/metadata/restreamer-ui") == kept

    # A channel: a probe, then the ingest.
    camera = {
        "id": "input_0",
        "address": "testsrc2=size=640x360:rate=25",
        "options": ["-f", "lavfi", "-re"],
    }
    nothing = {"id": "output_0", "address": "-", "options": ["-f", "null"]}
    base = {
        "type": "ffmpeg",
        "reference": CHANNEL,
        "options": ["-loglevel", "level+info", "-err_detect", "ignore_err", "-y"],
        "stale_timeout_seconds": 30,
    }
    probe = {**base, "id": f"{UI}_probe", "autostart": False}
    core.create({**probe, "input": [camera], "output": [nothing]})
    (stream,) = ok(core, f"/api/v3/process/{UI}_probe/probe")["streams"]
    assert (stream["type"], stream["width"], stream["fps"]) == ("video", 640, 25)
    assert core.http.delete(f"/api/v3/process/{UI}_probe").json() == "OK"
    output = {
        "id": "output_0",
        "address": f"{{memfs}}/{CHANNEL}.m3u8",
        "options": [*HLS.split(), f"{{memfs}}/{CHANNEL}_%04d.ts"],
    }
    ingest = {**base, "id": UI, "reconnect": True, "reconnect_delay_seconds": 15}
    ingest |= {"input": [camera], "output": [output]}
    assert core.http.put(f"/api/v3/process/{UI}", json=ingest).status_code == 404
    core.create(ingest)
    answer = core.http.put(f"/api/v3/process/{UI}/metadata/restreamer-ui", json=kept)
    assert answer.status_code == 200
    # "Connected" is what the page shows of this.
    core.wait_until(
        lambda: (
            (state := core.state(UI))["exec"] == "running"
            and state["runtime_seconds"] >= 10
            and state["progress"]["fps"] > 0
        ),
        "the page to show that it is connected",
    )
    assert core.http.head(f"/api/v3/fs/mem/{CHANNEL}.m3u8").status_code == 200
    listed = ok(core, f"/api/v3/process?reference={CHANNEL}&filter=state")
    assert [one["id"] for one in listed] == [UI]
    active = ok(core, "/api/v3/session/active?collectors=ffmpeg,hls,rtmp,srt")
    assert set(active) == {"ffmpeg", "hls", "rtmp", "srt"}
    wanted = ["uptime_uptime", "cpu_ncpu", "cpu_idle", "mem_total", "mem_free"]
    metrics = [{"name": name} for name in wanted]
    metrics.append({"name": "filesystem_usage", "labels": {"name": "diskfs|memfs"}})  # type: ignore[dict-item]
    answer = core.http.post("/api/v3/metrics", json={"metrics": metrics})
    got = {one["name"] for one in answer.json()["metrics"]}
    assert got >= set(wanted)


def test_settings_that_a_page_gives_back_count_after_a_reload(
    start_core: Callable[..., Core],
) -> None:
    core = start_core()
    camera = {
        "address": "testsrc2=size=320x180:rate=25",
        "options": ["-f", "lavfi", "-re"],
    }
    h264 = "-c:v libx264 -preset ultrafast -pix_fmt yuv420p -g 25 -f flv"
    sent = {"address": "{rtmp,name=x.stream}", "options": h264.split()}
    base = {"type": "ffmpeg", "reconnect": True, "reconnect_delay_seconds": 1}
    core.create({**base, "id": "camera", "input": [camera], "output": [sent]})
    core.wait_until(lambda: ok(core, "/api/v3/rtmp"), "a stream to choose")
    # Who sets a source up chooses the path from this list.
    (path,) = (one["name"] for one in ok(core, "/api/v3/rtmp"))
    chosen = {"address": f"{{rtmp,name={path}}}"}
    nothing = {"address": "-", "options": ["-c", "copy", "-f", "null"]}
    core.create({**base, "id": "reader", "input": [chosen], "output": [nothing]})

    def reads() -> bool:
        state = core.state("reader")
        return state["exec"] == "running" and bool(state["progress"]["frame"] > 5)

    core.wait_until(reads, "the chosen stream to be read")
    collectors = "/api/v3/session/active?collectors=rtmp"
    assert ok(core, collectors) == {"rtmp": []}

    config = ok(core, "/api/v3/config")["config"]
    for section in (config, config["tls"], config["rtmp"], config["srt"]):
        # The page has a field for the port alone.
        section["address"] = ":" + section["address"].replace(":", "")
    config["rtmp"]["token"] = "a-token"
    config["sessions"]["ip_ignorelist"] = []
    assert core.http.put("/api/v3/config", json=config).json() == "OK"
    assert ok(core, "/api/v3/config/reload") == "OK"
    assert ok(core, "/api/v3/config")["config"]["rtmp"]["token"] == "a-token"
    core.wait_until(
        lambda: "token=" in core.command_line("reader"), "the job to know the token"
    )
    core.wait_until(reads, "the stream to be read with the token")
    core.wait_until(
        lambda: len(ok(core, collectors)["rtmp"]) == 2, "both to be counted"
    )
    for job in ("reader", "camera"):
        assert core.http.delete(f"/api/v3/process/{job}").json() == "OK"


def test_a_client_drives_everything_from_login_to_delete(
    start_core: Callable[..., Core],
) -> None:
    core = start_core(
        f"api.datarhei.username={NAME}",
        f"api.datarhei.password={PASSWORD}",
        "api.datarhei.jwt_secret=kept",
    )
    assert core.http.get("/ping").text == "pong"
    assert core.http.get("/api/v3/process").status_code == 401
    assert core.http.get("/api/v3/nothing").status_code == 401
    assert ok(core, "/api") == {
        "app": "datarhei-core",
        "auths": ["localjwt"],
        "version": {"number": "16.0.0"},
    }
    refresh = log_in(core)
    access = core.http.headers["Authorization"]
    core.http.headers["Authorization"] = f"Bearer {refresh}"
    assert core.http.get("/api/v3/process").status_code == 401
    again = ok(core, "/api/login/refresh")["access_token"]
    core.http.headers["Authorization"] = f"Bearer {again}"
    assert again != access.removeprefix("Bearer ")

    null = {"id": "out", "address": "-", "options": ["-f", "null"]}
    source = {"id": "in", "address": "testsrc=rate=25", "options": ["-f", "lavfi"]}
    source["options"] = ["-f", "lavfi", "-re"]
    made = core.create({"id": "a/1", "input": [source], "output": [null]})
    assert made["autostart"] is True
    at = "/api/v3/process/a%2F1"
    core.wait_until(lambda: ok(core, f"{at}/state")["progress"]["frame"] > 5, "frames")
    for command, order in (("stop", "stop"), ("start", "start"), ("restart", "start")):
        answer = core.http.put(f"{at}/command", json={"command": command})
        assert answer.json() == "OK"
        assert ok(core, f"{at}/state")["order"] == order
    answer = core.http.put(f"{at}/command", json={"command": "fly"})
    assert answer.json() == {
        "code": 400,
        "message": "Unknown command provided",
        "details": ["Known commands are: start, stop, reload, restart"],
    }
    changed = core.http.put(at, json={"id": "b", "options": ["-loglevel", "error"]})
    assert changed.json()["options"] == ["-loglevel", "error"]
    assert core.http.get(at).status_code == 404
    assert ok(core, "/api/v3/process/b")["metadata"] is None
    assert core.http.put("/api/v3/process/b/metadata/k", json=[1]).json() == [1]
    assert ok(core, "/api/v3/process/b/metadata") == {"k": [1]}
    report = ok(core, "/api/v3/process/b/report")
    assert set(report) == {"created_at", "prelude", "log", "history"}
    assert ok(core, "/api/v3/process?idpattern=*&refpattern=*")[0]["id"] == "b"

    assert core.http.put("/api/v3/fs/disk/x/y.txt", content=b"hello").status_code == 201
    got = core.http.get("/api/v3/fs/disk/x/y.txt", headers={"Range": "bytes=1-3"})
    assert (got.status_code, got.content) == (206, b"ell")
    assert ok(core, "/api/v3/fs/disk?glob=/x/*.txt")[0]["size_bytes"] == 5
    assert core.http.get("/x/y.txt").content == b"hello"
    assert core.http.delete("/api/v3/fs/disk/x/y.txt").text == "Deleted: /x/y.txt"
    assert {one["name"] for one in ok(core, "/api/v3/fs")} == {"disk", "mem"}

    lines = ok(core, "/api/v3/log")
    assert any("job starts" in line for line in lines)
    assert not any(PASSWORD in line for line in lines)
    assert ok(core, "/api/v3/widget/process/b")["current_sessions"] == 0
    assert core.http.get("/api/graph").status_code == 404
    assert core.http.delete("/api/v3/process/b").json() == "OK"
    assert core.http.delete("/api/v3/process/b").status_code == 404
    assert ok(core, "/api/v3/process") == []
    assert core.http.get("/profiling/").status_code == 404


def test_tokens_stand_where_datarheis_clients_write_them(
    start_core: Callable[..., Core], start: Any, ffmpeg9: str
) -> None:
    core = start_core(
        "auth.publish=token",
        'auth.publish_tokens=["in"]',
        "auth.play=token",
        'auth.play_tokens=["out"]',
    )
    rtmp = f"rtmp://127.0.0.1:{core.server.ports['rtmp']}"
    srt = f"srt://127.0.0.1:{core.server.ports['srt']}?streamid="
    source = "-v error -re -f lavfi -i testsrc2=s=320x180:r=25"
    flv = ["-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-f", "flv"]
    start(ffmpeg9, *source.split(), *flv, f"{rtmp}/live/x/in")
    core.wait_until(lambda: core.http.get("/api/v3/rtmp").json(), "the stream")
    assert core.http.get("/api/v3/rtmp").json() == [{"name": "/live/x"}]
    look = ["-v", "error", "-t", "1", "-c", "copy", "-f", "null", "-"]
    for url in (f"{rtmp}/live/x/out", f"{rtmp}/live/x?token=out", f"{srt}x,token:out"):
        start(ffmpeg9, "-v", "error", "-i", url, *look).succeed()
    wrong = start(ffmpeg9, "-v", "error", "-i", f"{rtmp}/live/x/wrong", *look)
    assert wrong.wait() != 0
    # A job of the server's own shows what it needs.
    job = {"id": "in", "address": "{rtmp,name=x}", "options": []}
    null = {"id": "out", "address": "-", "options": ["-c", "copy", "-f", "null"]}
    core.create({"id": "own", "input": [job], "output": [null]})
    core.wait_until(lambda: core.state("own")["progress"]["frame"] > 25, "pictures")
    assert core.command_line("own") == f"-i {rtmp}/live/x?token=*** -c copy -f null -"
