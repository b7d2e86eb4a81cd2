"""Vectors of the codec tests."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

_DATA = Path(__file__).resolve().parents[2] / "data" / "codecs"


@attrs.frozen
class Vector:
    """What a real program wrote, and what another one says of it."""

    name: str
    data: bytes
    facts: dict[str, Any]

    @property
    def expected(self) -> dict[str, Any]:
        expected: dict[str, Any] = self.facts["expected"]
        return expected

    @property
    def pieces(self) -> list[bytes]:
        """Split a vector whose pieces come after 16-bit lengths."""
        pieces: list[bytes] = []
        position = 0
        while position < len(self.data):
            start = position + 2
            position = start + int.from_bytes(self.data[start - 2 : start], "big")
            pieces.append(self.data[start:position])
        return pieces


def _load(name: str) -> Vector:
    facts = tomllib.loads((_DATA / f"{name}.toml").read_text(encoding="utf-8"))
    return Vector(name, (_DATA / f"{name}.bin").read_bytes(), facts)


@pytest.fixture
def load_vector() -> Callable[[str], Vector]:
    return _load


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give ``vector`` every file that the test's ``vectors`` marker matches."""
    if "vector" not in metafunc.fixturenames:
        return
    marker = metafunc.definition.get_closest_marker("vectors")
    assert marker is not None
    names = sorted(
        path.stem for pattern in marker.args for path in _DATA.glob(f"{pattern}.toml")
    )
    assert names, f"no vector matches {marker.args}"
    metafunc.parametrize("vector", [_load(name) for name in names], ids=names)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "vectors(*patterns): files to run a test over")
