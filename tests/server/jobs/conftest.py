"""What FFmpeg printed when it was recorded, and how programs are treated."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

DATA = Path(__file__).parents[2] / "data" / "ffmpeg"


@pytest.fixture(scope="session", params=["ffmpeg5", "ffmpeg9"])
def recorded(request: pytest.FixtureRequest) -> Callable[[str], bytes]:
    """Return what one FFmpeg printed in a case."""

    def read(case: str) -> bytes:
        return (DATA / f"{request.param}-{case}.txt").read_bytes()

    return read


@pytest.fixture(scope="session")
def recordings() -> list[bytes]:
    """Return all that was recorded."""
    return [path.read_bytes() for path in sorted(DATA.glob("*.txt"))]


@pytest.fixture(autouse=True)
def sigint_as_in_a_server() -> Iterator[None]:
    """Let SIGINT be somebody's: programs would ignore it where the tests do.

    A shell has what it starts in the background ignore it, and a shell that was started
    so cannot trap it.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
