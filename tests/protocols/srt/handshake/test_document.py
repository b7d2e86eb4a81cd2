"""The page for reusers says what the code does."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sansmedia.srt.states import CALLER, INITIATOR, RESPONDER

_PAGE = Path(__file__).parents[4] / "docs" / "reuse" / "srt.md"


def _rows(table: Mapping[tuple[Any, Any], Any], title: str) -> str:
    lines = [f"| {title} | input | next |", "|---|---|---|"]
    lines += [f"| {a.value} | {b.value} | {c.value} |" for (a, b), c in table.items()]
    return "\n".join(lines) + "\n"


def test_the_state_tables_are_those_of_the_code() -> None:
    page = _PAGE.read_text(encoding="utf-8")
    block = page.partition("<!-- states -->\n")[2].partition("<!-- end -->")[0]
    tables = (
        (CALLER, "caller"),
        (INITIATOR, "rendezvous initiator"),
        (RESPONDER, "rendezvous responder"),
    )
    assert block == "\n".join(_rows(*one) for one in tables)
