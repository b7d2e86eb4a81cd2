"""What the repository's own rules look at."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

_ROOT = Path(__file__).resolve().parents[2]
_FOLDERS = (".ci", "bench", "docs", "fuzz", "protocols", "src", "tests")
_GENERATED = {"__pycache__", "_build", "findings", "found", "build", "dist", "results"}


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository's folder."""
    return _ROOT


def _files() -> Iterator[Path]:
    yield from (path for path in _ROOT.iterdir() if path.is_file())
    for folder in _FOLDERS:
        for path in (_ROOT / folder).rglob("*"):
            parts = path.relative_to(_ROOT).parts
            hidden = any(part.startswith(".") for part in parts[1:])
            generated = _GENERATED.intersection(parts) or ".egg-info" in str(path)
            if path.is_file() and not hidden and not generated:
                yield path


@pytest.fixture(scope="session")
def files() -> list[Path]:
    """Everything that belongs to the project, generated files left out."""
    return sorted(_files())


@pytest.fixture(scope="session")
def modules(files: list[Path]) -> list[Path]:
    """Every Python file."""
    return [path for path in files if path.suffix == ".py"]


@pytest.fixture(scope="session")
def conformance() -> ModuleType:
    """The script that collects citations."""
    path = _ROOT / "docs" / "conformance" / "build.py"
    spec = importlib.util.spec_from_file_location("conformance_build", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
