"""One version, said the same way everywhere."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import sansmedia


def _project(path: Path) -> dict[str, Any]:
    project: dict[str, Any] = tomllib.loads(path.read_text())["project"]
    return project


def test_both_distributions_carry_one_version(root: Path) -> None:
    server = _project(root / "pyproject.toml")
    libraries = _project(root / "protocols" / "pyproject.toml")
    assert server["version"] == libraries["version"]


def test_the_server_pins_the_libraries_to_its_own_version(root: Path) -> None:
    server = _project(root / "pyproject.toml")
    extras = [
        line for extra in server["optional-dependencies"].values() for line in extra
    ]
    pins = [line for line in server["dependencies"] + extras if "sansmedia" in line]
    assert pins
    assert all(pin.endswith(f"=={server['version']}") for pin in pins)


def test_the_changelog_has_the_current_version(root: Path) -> None:
    version = _project(root / "pyproject.toml")["version"]
    headings = re.findall(
        r"^## (.+)$", (root / "CHANGELOG.md").read_text(), re.MULTILINE
    )
    assert any(f"[{version}]" in heading for heading in headings)


def test_the_package_says_the_version_if_it_says_one(root: Path) -> None:
    version = _project(root / "pyproject.toml")["version"]
    assert getattr(sansmedia, "__version__", version) == version


def test_both_distributions_are_typed(root: Path) -> None:
    assert (root / "protocols" / "sansmedia" / "py.typed").exists()
    assert (root / "src" / "penstock" / "py.typed").exists()
