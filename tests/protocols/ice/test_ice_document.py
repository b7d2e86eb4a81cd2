"""The page for reusers says what the code does."""

from __future__ import annotations

import re
import typing
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import TypeVar

import attrs
import pytest
from sansmedia.ice import IceEvent, Limits
from sansmedia.ice.states import AGENT, PAIR

S = TypeVar("S", bound=Enum)
N = TypeVar("N", bound=Enum)

_PAGE = Path(__file__).parents[3] / "docs" / "reuse" / "ice.md"


@pytest.fixture(scope="module")
def page() -> str:
    return _PAGE.read_text(encoding="utf-8")


def _block(page: str, name: str) -> str:
    return page.partition(f"<!-- {name} -->\n")[2].partition("<!-- end -->")[0]


def _rows(table: Mapping[tuple[S, N], S], title: str) -> str:
    lines = [f"| {title} | input | next |", "|---|---|---|"]
    lines += [f"| {a.value} | {b.value} | {c.value} |" for (a, b), c in table.items()]
    return "\n".join(lines) + "\n"


def test_the_state_tables_are_those_of_the_code(page: str) -> None:
    expected = _rows(PAIR, "pair") + "\n" + _rows(AGENT, "agent")
    assert _block(page, "states") == expected


def test_every_limit_is_listed_with_its_default(page: str) -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \|", _block(page, "limits"), re.MULTILINE)
    limits = Limits()
    expected = [
        (field.name, f"{getattr(limits, field.name):,}")
        for field in attrs.fields(Limits)
    ]
    assert rows == expected


def test_every_event_is_listed(page: str) -> None:
    listed = {
        name
        for cell in re.findall(r"^\| (`.+?) \|", _block(page, "events"), re.MULTILINE)
        for name in re.findall(r"`(\w+)`", cell)
    }
    assert listed == {event.__name__ for event in typing.get_args(IceEvent)}
