"""The benchmarks start where penstock is installed; what they measure is theirs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

_BENCH = Path(__file__).resolve().parents[2] / "bench"


def _run(*arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        input=text,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.slow
def test_the_benchmark_says_what_it_can_measure() -> None:
    shown = _run(str(_BENCH / "run.py"), "--help").stdout
    names = ("fanout", "publishers", "memory", "stopped", "many", "api", "files")
    assert all(name in shown for name in names)


@pytest.mark.slow
def test_an_unknown_measurement_is_refused_before_anything_starts() -> None:
    ended = _run(str(_BENCH / "run.py"), "fanuot")
    assert ended.returncode == 2
    assert "no such measurement: fanuot" in ended.stderr


@pytest.mark.slow
def test_the_load_answers_each_command_and_ends_with_its_input() -> None:
    ended = _run(str(_BENCH / "load.py"), text='{"do": "snapshot"}\n{"do": "delays"}\n')
    snapshot, delays = map(json.loads, ended.stdout.splitlines())
    assert ended.returncode == 0
    assert snapshot["alive"] == 0
    assert delays == {"count": 0}
