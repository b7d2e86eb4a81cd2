"""The page for reusers says what the code does."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import attrs
import pytest
from sansmedia.dtls import Limits, State
from sansmedia.dtls.states import CLIENT, SERVER, Input

_PAGE = Path(__file__).parents[3] / "docs" / "reuse" / "dtls.md"


@pytest.fixture(scope="module")
def page() -> str:
    return _PAGE.read_text(encoding="utf-8")


def _block(page: str, name: str) -> str:
    return page.partition(f"<!-- {name} -->\n")[2].partition("<!-- end -->")[0]


def _rows(table: Mapping[tuple[State, Input], State], title: str) -> str:
    lines = [f"| {title} | input | next |", "|---|---|---|"]
    lines += [f"| {a.value} | {b.value} | {c.value} |" for (a, b), c in table.items()]
    return "\n".join(lines) + "\n"


def test_the_state_tables_are_those_of_the_code(page: str) -> None:
    expected = _rows(SERVER, "server") + "\n" + _rows(CLIENT, "client")
    assert _block(page, "states") == expected


def test_every_limit_is_listed_with_its_default(page: str) -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \|", _block(page, "limits"), re.MULTILINE)
    limits = Limits()
    expected = [
        (field.name, f"{getattr(limits, field.name):,.0f}")
        for field in attrs.fields(Limits)
    ]
    assert rows == expected
