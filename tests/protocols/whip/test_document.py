"""The page for reusers says what the code says."""

from __future__ import annotations

import re
from pathlib import Path

import attrs
import pytest
from sansmedia.whip import Limits
from sansmedia.whip.states import CLIENT_SESSION

_PAGE = Path(__file__).resolve().parents[3] / "docs" / "reuse" / "whip.md"


@pytest.fixture
def page() -> str:
    return _PAGE.read_text(encoding="utf-8")


def _rows(page: str, name: str) -> list[list[str]]:
    block = page.partition(f"<!-- {name} -->\n")[2].partition("<!-- end -->")[0]
    lines = [line.strip("| ") for line in block.splitlines()[2:] if line]
    return [re.split(r" \| ", line) for line in lines]


def test_the_states_are_those_of_the_table(page: str) -> None:
    assert _rows(page, "states") == [
        [state.value, step.value, following.value]
        for (state, step), following in CLIENT_SESSION.items()
    ]


def test_the_limits_are_those_of_the_class(page: str) -> None:
    limits = Limits()
    rows = {row[0]: row[1] for row in _rows(page, "limits")}
    expected = {
        f"`{field.name}`": f"{getattr(limits, field.name):,}"
        for field in attrs.fields(Limits)
        if field.name != "sdp"
    }
    assert {name: rows[name] for name in expected} == expected
    assert set(rows) == {*expected, "`sdp`"}
