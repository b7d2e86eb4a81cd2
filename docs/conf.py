"""Configuration of the documentation's build."""

from __future__ import annotations

import runpy
import tomllib
from pathlib import Path

_HERE = Path(__file__).resolve().parent
_PROJECT = tomllib.loads((_HERE.parent / "pyproject.toml").read_text())["project"]

project = "penstock"
author = "the penstock maintainers"
version = release = _PROJECT["version"]

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
myst_heading_anchors = 3
autodoc_member_order = "bysource"

html_theme = "furo"
html_title = f"penstock {version}"

# The table of clauses is made from the sources, never kept.
_conformance = runpy.run_path(str(_HERE / "conformance" / "build.py"))
(_HERE / "conformance" / "clauses.md").write_text(_conformance["table"]())
