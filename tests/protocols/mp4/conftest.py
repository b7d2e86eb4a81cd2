from __future__ import annotations

import pathlib
import tomllib
from collections.abc import Callable
from typing import Any

import attrs
import pytest

DATA = pathlib.Path(__file__).parents[2] / "data" / "mp4"
NAMES = sorted(path.stem for path in DATA.glob("*.toml"))


@attrs.frozen
class Vector:
    name: str
    data: bytes
    expected: dict[str, Any]


def load(name: str) -> Vector:
    expected = tomllib.loads((DATA / f"{name}.toml").read_text())
    return Vector(name, (DATA / f"{name}.bin").read_bytes(), expected)


@pytest.fixture(params=NAMES)
def vector(request: pytest.FixtureRequest) -> Vector:
    """Each file of tests/data/mp4 in turn."""
    return load(request.param)


@pytest.fixture
def named_vector() -> Callable[[str], Vector]:
    """One file of tests/data/mp4."""
    return load
