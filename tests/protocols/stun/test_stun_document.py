"""The page for reusers lists what there is."""

from __future__ import annotations

import re
from pathlib import Path

from sansmedia import stun

_PAGE = Path(__file__).parents[3] / "docs" / "reuse" / "stun.md"


def test_every_public_name_is_on_the_page() -> None:
    text = _PAGE.read_text(encoding="utf-8")
    table = text.partition("<!-- names -->\n")[2].partition("<!-- end -->")[0]
    cells = re.findall(r"^\| (`.+?) \|", table, re.MULTILINE)
    listed = [name for cell in cells for name in re.findall(r"`(\w+)`", cell)]
    assert sorted(listed) == sorted(stun.__all__)
