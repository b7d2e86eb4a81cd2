"""The page for reusers: its examples run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

_PAGE = Path(__file__).parents[3] / "docs" / "reuse" / "srt.md"
_EXAMPLES = re.findall(r"^```python\n(.*?)^```", _PAGE.read_text(), re.M | re.S)


@pytest.mark.parametrize("number", range(len(_EXAMPLES)))
def test_every_example_runs(number: int) -> None:
    exec(compile(_EXAMPLES[number], f"example {number}", "exec"), {})
