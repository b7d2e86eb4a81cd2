"""The table of FFmpeg's options, held against what FFmpeg says of them itself."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from penstock.jobs.option_table import FLAGS, OPENS, Kind

pytestmark = [pytest.mark.interop, pytest.mark.slow]

ENDS = {"h", "help", "sources", "sinks"}
"""FFmpeg answers and ends, whether or not something follows."""
VERSIONS_DIFFER = {"autorotate", "autoscale"}
PLAIN = {"decryption_keys"}
"""Dictionaries of hexadecimal digits."""


@pytest.fixture(scope="module", params=["ffmpeg5", "ffmpeg9"])
def ffmpeg(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(request.param))


@pytest.fixture(scope="module")
def said(ffmpeg: str) -> str:
    """All that FFmpeg says of its options."""
    command = [ffmpeg, "-hide_banner", "-h", "full"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def takes_value(ffmpeg: str, name: str, folder: Path) -> bool:
    """Ask FFmpeg with the option as its last word; ``-report`` writes a file."""
    done = subprocess.run(
        [ffmpeg, "-v", "error", f"-{name}"],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=60,
        cwd=folder,
    )
    return "Missing argument for option" in done.stderr


def test_it_is_known_which_options_take_the_next_word(
    ffmpeg: str, said: str, tmp_path: Path
) -> None:
    own = said[: said.index("AVOptions:")]
    names = set(re.findall(r"^-([A-Za-z0-9_]+)", own, re.M)) - ENDS
    assert len(names) > 150
    values = {name for name in names if takes_value(ffmpeg, name, tmp_path)}
    assert values & FLAGS == set()
    assert names - values - FLAGS <= VERSIONS_DIFFER
    assert {OPENS[name][0] for name in VERSIONS_DIFFER} == {Kind.REFUSED}


def test_options_within_options_are_all_judged(said: str) -> None:
    # "F" in the flags says that a filter has it: those are judged by their graph.
    found = re.findall(r"^ +-?([\w-]+) +<dictionary> +[^F ]+ ", said, re.M)
    assert len(set(found)) >= 8
    kinds = {name: OPENS[name][0] if name in OPENS else None for name in found}
    assert {name for name, kind in kinds.items() if kind is not Kind.PAIRS} <= PLAIN
