from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

import pytest
import trio

import penstock
from penstock import cli, demo, log, probe
from penstock.config import Address, bind_error, load
from penstock.control import ListenerView
from penstock.settings import Settings

LISTENERS = [
    ListenerView("http", "0.0.0.0", 8000, False),
    ListenerView("rtmp", "::", 1935, False),
]


@pytest.fixture(autouse=True)
def quiet_logging(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "configure", lambda *a, **k: None)
    for name in [name for name in os.environ if name.startswith("PENSTOCK_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def fake_app(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], None]:
    """Put a server in the place of `penstock.app`."""

    def install(serve: Any) -> None:
        module = types.ModuleType("penstock.app")
        module.serve = serve  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "penstock.app", module)
        monkeypatch.setattr(penstock, "app", module, raising=False)

    return install


def test_check_prints_ok_and_what_differs_with_secrets_masked(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code = cli.main(
        ["check", "--set", "admin.password=hunter2", "--set", "rtmp.merge_ms=35"]
    )
    assert code == 0
    out = capsys.readouterr().out
    assert out.splitlines()[0] == "ok"
    assert "rtmp.merge_ms = 35" in out
    assert 'admin.password = "***"' in out


@pytest.mark.parametrize("command", ["check", "serve"])
@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--config", "/nonexistent.toml"], "/nonexistent.toml: cannot be read"),
        (["--set", "rtmp.lissten=x:1"], "did you mean rtmp.listen?"),
        (["--set", "http.cert=/nonexistent"], "http.cert: cannot read"),
    ],
)
def test_a_configuration_error_is_one_line_and_exit_code_2(
    capsys: pytest.CaptureFixture[str],
    command: str,
    arguments: list[str],
    expected: str,
) -> None:
    assert cli.main([command, *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert line.startswith("penstock: ")
    assert expected in line


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out.startswith("penstock 0.")


def test_serving_says_once_what_is_bound_and_writes_the_ready_file(
    fake_app: Callable[[Any], None],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    seen: list[Settings] = []

    async def serve(settings: Settings, *, config_loader: Any, ready: Any) -> int:
        seen.append(config_loader())
        await trio.lowlevel.checkpoint()
        ready(LISTENERS)
        return 0

    fake_app(serve)
    ready_file = tmp_path / "ready.json"
    assert (
        cli.main(["serve", "--set", "rtmp.merge_ms=1", "--ready-file", str(ready_file)])
        == 0
    )
    (line,) = capsys.readouterr().out.splitlines()
    assert line.endswith("is ready: http 0.0.0.0:8000, rtmp [::]:1935")
    record = json.loads(ready_file.read_text())
    assert record["pid"] == os.getpid()
    assert record["listeners"][1] == {
        "name": "rtmp",
        "address": "::",
        "port": 1935,
        "secure": False,
    }
    assert os.listdir(tmp_path) == ["ready.json"]
    assert seen == [load(None, ["rtmp.merge_ms=1"], {})]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "penstock: the following arguments are required: COMMAND"),
        (["srve"], "penstock: argument COMMAND: invalid choice: 'srve'"),
        (["serve", "--nope"], "penstock: unrecognized arguments: --nope"),
        (["probe"], "penstock probe: the following arguments are required: URL"),
    ],
)
def test_a_wrong_command_line_is_one_line_and_exit_code_2(
    capsys: pytest.CaptureFixture[str], arguments: list[str], expected: str
) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    assert caught.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(expected)
    assert line.endswith(" --help)")


def test_a_busy_port_is_one_line_and_exit_code_2(
    fake_app: Callable[[Any], None], capsys: pytest.CaptureFixture[str]
) -> None:
    async def serve(settings: Settings, *, config_loader: Any, ready: Any) -> int:
        async with trio.open_nursery():
            raise bind_error("rtmp.listen", "0.0.0.0:1935", OSError(98, "in use"))

    fake_app(serve)
    assert cli.serve(Settings()) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("penstock: rtmp.listen: 0.0.0.0:1935 is in use")


def test_a_busy_port_names_the_file_that_asked_for_it(
    fake_app: Callable[[Any], None], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    async def serve(settings: Settings, *, config_loader: Any, ready: Any) -> int:
        await trio.lowlevel.checkpoint()
        raise bind_error("rtmp.listen", "0.0.0.0:99", OSError(98, "in use"))

    fake_app(serve)
    path = tmp_path / "p.toml"
    path.write_text("[rtmp]\nlisten = '0.0.0.0:99'\n")
    assert cli.main(["serve", "--config", str(path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"penstock: {path}: rtmp.listen: 0.0.0.0:99 is in use")


def test_an_unwritable_ready_file_is_one_line_and_exit_code_2(
    fake_app: Callable[[Any], None], capsys: pytest.CaptureFixture[str]
) -> None:
    async def serve(settings: Settings, *, config_loader: Any, ready: Any) -> int:
        await trio.lowlevel.checkpoint()
        ready(LISTENERS)
        return 0

    fake_app(serve)
    assert cli.serve(Settings(), ready_file="/nonexistent/ready") == 2
    captured = capsys.readouterr()
    assert "--ready-file: /nonexistent/ready cannot" in captured.err
    # Whoever waits for the line must not take it for ready.
    assert "is ready" not in captured.out


@pytest.mark.parametrize(
    ("failure", "code"), [(KeyboardInterrupt(), 130), (ValueError("x"), 1)]
)
def test_a_failing_server_ends_without_a_traceback(
    fake_app: Callable[[Any], None],
    capfd: pytest.CaptureFixture[str],
    failure: BaseException,
    code: int,
) -> None:
    async def serve(settings: Settings, *, config_loader: Any, ready: Any) -> int:
        async with trio.open_nursery():
            raise failure

    fake_app(serve)
    assert cli.serve(Settings()) == code
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize(
    ("sets", "expected"),
    [
        ([], "loopback and private addresses may publish"),
        (["auth.publish=open"], "anybody may publish"),
        (["auth.publish=token", "auth.publish_tokens=a,b"], "one of 2 tokens"),
        (["auth.publish=token", "auth.publish_tokens=a"], "clients with the token may"),
        (
            ["auth.publish=token", "hooks.on_publish=http://h/"],
            "whoever hooks.on_publish accepts may publish",
        ),
        (
            ["auth.publish=open", "hooks.on_publish=http://h/"],
            "anybody may publish, if hooks.on_publish accepts",
        ),
        (["auth.publish_deny=10.0.0.1"], "within publish_allow and publish_deny"),
    ],
)
def test_the_start_says_who_may_publish(sets: list[str], expected: str) -> None:
    assert expected in cli.publish_policy(load(None, sets, {}))


@pytest.mark.parametrize("url", ["ftp://x/y", "live/demo"])
def test_probing_something_else_is_refused(
    capsys: pytest.CaptureFixture[str], url: str
) -> None:
    assert cli.main(["probe", url]) == 1
    assert "expected rtmp://" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("rtmp://127.0.0.1", "expected rtmp://host[:port]/app/name"),
        ("rtmp://", "expected rtmp://host[:port]/app/name"),
        ("rtmps://127.0.0.1/live", "expected rtmps://host[:port]/app/name"),
        ("http://", "expected http://host[:port]/path"),
        ("rtmp://127.0.0.1:x/live/a", "expected rtmp://host[:port]/app/name"),
    ],
)
def test_probing_half_an_address_says_what_is_missing(
    capsys: pytest.CaptureFixture[str], url: str, expected: str
) -> None:
    assert cli.main(["probe", url]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"penstock: {url}: {expected}")


def test_probing_a_host_that_does_not_exist_says_so(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*arguments: object, **options: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert cli.main(["probe", "rtmp://no.example/live/a?token=x"]) == 1
    assert capsys.readouterr().err == (
        "penstock: rtmp://no.example/live/a?token=***: no host of the name no.example\n"
    )


def test_probing_a_server_that_says_nothing_tells_it_from_a_refusal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "_OPEN_TIMEOUT_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"rtmp://127.0.0.1:{silent.getsockname()[1]}/live/a"
        assert cli.main(["probe", url]) == 1
    assert "nothing came within 0.1 s; does anybody publish it?" in (
        capsys.readouterr().err
    )


@pytest.mark.parametrize("seconds", ["0", "abc", "nan"])
def test_probing_for_no_time_is_one_line(
    capsys: pytest.CaptureFixture[str], seconds: str
) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["probe", "--seconds", seconds, "rtmp://127.0.0.1/live/a"])
    assert caught.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "expected a number above 0, at most 3600" in line


def test_relaying_something_else_is_refused(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for url in ("http://a/b", "rtmp://a", "rtmp://a/live", "rtmp://a:x/live/b"):
        assert cli.main(["relay", url, "rtmp://c/d/e"]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line == f"penstock: expected rtmp(s)://host[:port]/app/name, not {url}"


def test_relaying_over_whep_is_a_servers_work(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(["relay", "whep://token@h/live/a/whep", "rtmp://c/d/e"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line == (
        "penstock: expected rtmp(s)://host[:port]/app/name, not "
        "whep://***@h/live/a/whep; other pairs are for [[relay]] tables of a server"
    )


def test_the_service_manager_is_told(
    fake_app: Callable[[Any], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async def serve(settings: Settings, *, config_loader: Any, ready: Any) -> int:
        await trio.lowlevel.checkpoint()
        ready(LISTENERS)
        return 0

    fake_app(serve)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        assert cli.serve(Settings()) == 0
        assert manager.recv(64) == b"READY=1"


def test_the_demo_serves_http_rtmp_webrtc_and_srs_only() -> None:
    settings = demo.demo_settings(load(None, ["rtmps.listen="], {}))
    assert settings.http.listen == "0.0.0.0:8000"
    assert settings.rtmp.listen == "0.0.0.0:1935"
    assert settings.webrtc.listen == "0.0.0.0:8000"
    assert settings.api.srs.listen == "127.0.0.1:1985"
    assert settings.metrics.listen == settings.rtmps.listen == ""


def test_the_demo_takes_free_ports_for_busy_ones_and_says_so() -> None:
    def is_busy(address: Address) -> bool:
        return address.port == 1935

    settings, notes = demo.with_free_ports(Settings(), is_busy)
    assert settings.rtmp.listen == "0.0.0.0:0"
    assert settings.http.listen == "0.0.0.0:8000"
    assert notes == ["rtmp.listen 0.0.0.0:1935 is in use: taking a free port instead"]


def test_a_port_that_somebody_listens_on_is_busy() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        settings = load(None, [f"http.listen=127.0.0.1:{port}", "rtmp.listen="], {})
        changed, notes = demo.with_free_ports(settings)
    assert changed.http.listen == "127.0.0.1:0"
    assert len([note for note in notes if note.startswith("http.listen")]) == 1


def test_a_udp_port_that_somebody_holds_is_busy_for_webrtc_alone() -> None:
    # An address of this test's own: another test's TCP port cannot be the same.
    host = "127.0.0.77"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind((host, 0))
        port = other.getsockname()[1]
        sets = [f"{name}.listen={host}:{port}" for name in ("http", "webrtc")]
        changed, notes = demo.with_free_ports(load(None, [*sets, "rtmp.listen="], {}))
    assert changed.webrtc.listen == f"{host}:0"
    assert changed.http.listen == f"{host}:{port}"
    assert any(note.startswith("webrtc.listen") for note in notes)


@pytest.mark.parametrize(
    ("address", "url"),
    [
        ("0.0.0.0", "http://127.0.0.1:1/"),
        ("::", "http://[::1]:1/"),
        ("10.0.0.1", "http://10.0.0.1:1/"),
    ],
)
def test_a_wildcard_address_is_reached_over_loopback(address: str, url: str) -> None:
    assert demo.local_url("http", ListenerView("http", address, 1, False), "/") == url


def test_the_test_picture_is_plain_h264_and_aac_without_b_frames() -> None:
    command = demo.ffmpeg_command("ffmpeg", "rtmp://h/live/demo")
    for name, value in [("-bf", "0"), ("-g", "60"), ("-c:v", "libx264")]:
        assert command[command.index(name) + 1] == value
    assert command[-1] == "rtmp://h/live/demo"


@pytest.fixture
def script(tmp_path: Path) -> Callable[[str], tuple[str, Path]]:
    """Make a program that holds the returned FIFO open while any of it lives."""

    def make(body: str) -> tuple[str, Path]:
        fifo = tmp_path / "fifo"
        os.mkfifo(fifo)
        program = tmp_path / "ffmpeg"
        program.write_text(f"#!/bin/sh\nexec 3>{fifo}\n{body}\n")
        program.chmod(0o755)
        return str(program), fifo

    return make


async def test_the_demo_publishes_while_it_serves_and_leaves_no_process(
    script: Callable[[str], tuple[str, Path]],
) -> None:
    # The background process is what a signal to the leader alone would leave behind.
    program, fifo = script("sleep 600 &\necho started >&3\nwait")
    said: list[str] = []
    opened: list[TextIO] = []
    with trio.fail_after(60):

        async def serve(ready: Callable[[list[ListenerView]], None]) -> int:
            ready(LISTENERS)
            opened.append(await trio.to_thread.run_sync(open, fifo))
            assert await trio.to_thread.run_sync(opened[0].readline) == "started\n"
            return 0

        code = await demo.run(
            Settings(),
            program,
            serve=serve,
            ready=lambda listeners: None,
            say=said.append,
        )
        with opened[0] as file:
            assert await trio.to_thread.run_sync(file.read) == ""
    assert code == 0
    assert said == ["Watch the test picture: http://127.0.0.1:8000/  (Ctrl-C ends it)"]


async def test_the_test_picture_is_published_again_when_it_ends(
    script: Callable[[str], tuple[str, Path]],
) -> None:
    program, fifo = script("echo run >&3; exit 3")
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(demo.publish_forever, [program], 0.0)
            text = ""
            while text.count("run") < 3:
                text += await trio.to_thread.run_sync(
                    fifo.read_text, abandon_on_cancel=True
                )
            nursery.cancel_scope.cancel()


async def test_an_ffmpeg_that_cannot_start_is_an_error() -> None:
    with pytest.raises(OSError, match="nonexistent"):
        await demo.publish_forever(["/nonexistent/ffmpeg"])


def test_the_module_runs_as_a_program() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "penstock", "check", "--set", "log.level=loud"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr
