"""`penstock-srs` as a process: exit codes, one-line errors, a start and a stop."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Sequence
from pathlib import Path

import pytest

COMMAND = [
    sys.executable,
    "-c",
    "from penstock.dialects.srs.launcher import main; raise SystemExit(main())",
]


def _run(
    arguments: Sequence[str], folder: Path, **variables: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=folder,
        env={"PATH": os.environ["PATH"], **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_versions_are_those_of_srs(tmp_path: Path) -> None:
    assert _run(["-v"], tmp_path).stdout == "7.0.18\n"
    assert _run(["-V"], tmp_path).stdout == "7.0.18\n"
    assert _run(["-G"], tmp_path).stdout == "SRS/7.0.18(Hang)\n"
    assert "-c FILE" in _run(["-h"], tmp_path).stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "expected -c FILE or -e"),
        (["-e", "-c", "a"], "expected -c FILE or -e"),
        (["-c", "missing.conf"], "penstock-srs: missing.conf: cannot be read"),
        (["-c", "bad.conf"], "penstock-srs: bad.conf:1: expected ; after listen"),
        (["-c", "port.conf"], "penstock-srs: port.conf:2: listen: expected"),
    ],
)
def test_what_a_person_can_put_right_is_one_line_and_exit_code_2(
    arguments: list[str], message: str, tmp_path: Path
) -> None:
    (tmp_path / "bad.conf").write_text("listen 1935")
    (tmp_path / "port.conf").write_text("\nlisten nowhere;")
    done = _run(arguments, tmp_path)
    assert done.returncode == 2
    assert message in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_a_configuration_can_be_tested_without_starting(tmp_path: Path) -> None:
    (tmp_path / "srs.conf").write_text("listen 1935; vhost a.b { dvr { enabled on; } }")
    done = _run(["-t", "-c", "srs.conf"], tmp_path)
    assert done.returncode == 0
    assert done.stderr.splitlines() == [
        "penstock-srs: srs.conf:1: dvr: not served",
        "penstock-srs: srs.conf is ok",
    ]


@pytest.mark.parametrize(
    ("variable", "checked"),
    [
        ({"SRS_CONFIG_FILE": "other.conf"}, "other.conf"),
        ({"SRS_CONFIG_FILE": ""}, "srs.conf"),
        ({"SRS_ENV_ONLY": "on"}, "the environment"),
    ],
)
def test_variables_may_name_another_file_or_none(
    variable: dict[str, str], checked: str, tmp_path: Path
) -> None:
    for name in ("srs.conf", "other.conf"):
        (tmp_path / name).write_text("listen 1935;")
    done = _run(["-t", "-c", "srs.conf"], tmp_path, **variable)
    assert done.stderr == f"penstock-srs: {checked} is ok\n"


@pytest.mark.slow
def test_it_starts_from_the_environment_in_its_work_directory_and_stops_in_time(
    tmp_path: Path,
) -> None:
    work = tmp_path / "new" / "work"
    variables = {
        "PATH": os.environ["PATH"],
        "SRS_WORK_DIR": str(work),
        "SRS_PID": "./objs/srs.pid",
        "SRS_LISTEN": "127.0.0.1:0",
        "SRS_HTTP_API_ENABLED": "on",
        "SRS_HTTP_API_LISTEN": "0",
        "SRS_HTTP_SERVER_ENABLED": "on",
        "SRS_HTTP_SERVER_LISTEN": "127.0.0.1:0",
        "SRS_UNKNOWN": "x",
    }
    process = subprocess.Popen(
        [*COMMAND, "-e", "--ready-file", "ready.json"],
        cwd=tmp_path,
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        ready = re.search(r"api\.srs (127\.0\.0\.1:\d+)", process.stdout.readline())
        assert ready is not None
        url = f"http://{ready[1]}/api/v1/summaries"
        with urllib.request.urlopen(url, timeout=20) as answer:
            data = json.load(answer)["data"]
        assert data["self"]["cwd"] == str(work)
        listeners = json.loads((tmp_path / "ready.json").read_text())["listeners"]
        assert {one["name"] for one in listeners} == {"http", "rtmp", "api.srs"}
        assert (work / "objs" / "srs.pid").read_text() == str(process.pid)
        process.send_signal(signal.SIGUSR1)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=3)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 0, errors
    assert "without auth the API is for this machine only" in errors
    assert "publishing is open" in errors
    assert not (work / "objs" / "srs.pid").exists()


@pytest.mark.slow
def test_nobody_is_told_that_publishing_is_open_where_a_hook_decides(
    tmp_path: Path,
) -> None:
    (tmp_path / "srs.conf").write_text(
        "listen 127.0.0.1:0; vhost __defaultVhost__ { http_hooks { enabled on;"
        " on_publish http://127.0.0.1:9/; } }"
    )
    process = subprocess.Popen(
        [*COMMAND, "-c", "srs.conf"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert "ready" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=10)
    finally:
        process.kill()
        process.communicate()
    assert "publishing is open" not in errors
    assert "if hooks.on_publish accepts" in errors
