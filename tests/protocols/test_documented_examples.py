"""The examples for reusers run as they stand."""

from __future__ import annotations

import re
from pathlib import Path

_REUSE = Path(__file__).resolve().parents[2] / "docs" / "reuse"
_BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def test_the_run_loop_of_the_contract_page_runs() -> None:
    page = _REUSE / "contract.md"
    text = page.read_text()
    blocks = list(_BLOCK.finditer(text))
    assert len(blocks) >= 4
    names: dict[str, object] = {}
    for block in blocks:
        # Blank lines in front make a traceback show the line of the page.
        line = text.count("\n", 0, block.start(1))
        exec(compile("\n" * line + block[1], str(page), "exec"), names)
