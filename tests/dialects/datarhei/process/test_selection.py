"""Which processes a listing shows, and which parts of them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.control.jobs import JobSpec
from penstock.dialects.datarhei.process_query import decode_selection
from penstock.storage.globs import compile_glob

PROCESSES = {"a1": "g1", "a2": "g1", "ab1": "g2", "b:1": "g2/x", "b/1": ""}
ALL = set(PROCESSES)


async def listed(api: Any, query: str) -> list[str]:
    return [process["id"] for process in await api.get(f"/process?{query}")]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("id=a1,a2,zz", "a1 a2"),
        ("id=a1,,a1", "a1 a1"),
        ("id=,", "a1 a2 ab1 b/1 b:1"),
        ("id=zz", ""),
        ("id=b/1", "b/1"),
        ("id=b%2F1", "b/1"),
        ("reference=g1", "a1 a2"),
        ("reference=g1&id=ab1", ""),  # they intersect
        ("reference=g1&id=ab1,a2", "a2"),
        ("reference=nope", ""),
        ("reference=", "a1 a2 ab1 b/1 b:1"),
        ("idpattern=a*", "a1 a2 ab1"),
        ("idpattern=a?", "a1 a2"),
        ("idpattern=*1", "a1 ab1 b/1 b:1"),
        ("idpattern={a1,b*}", "a1 b/1 b:1"),
        ("idpattern=[ab]1", "a1"),
        ("idpattern=[!a]*", "b/1 b:1"),
        ("idpattern=a[0-9]", "a1 a2"),
        ("refpattern=g2*", "ab1 b:1"),
        ("refpattern=g2%2Fx", "b:1"),
        ("idpattern=a*&refpattern=g2", "ab1"),
        ("idpattern=a*&id=a1", "a1"),
        ("idpattern=b*&id=a1", ""),
        ("refpattern=g*&reference=g2", "ab1"),
        ("idpattern=a*&refpattern=g1&id=a2,a1,a2", "a2 a1 a2"),
        ("idpattern=[", ""),
        ("refpattern=[&id=a1", ""),
        ("domain=x&created_at=1&id=a1&owner=", "a1"),
        ("id=&idpattern=&reference=&refpattern=&filter=", "a1 a2 ab1 b/1 b:1"),
    ],
)
async def test_a_query_selects(opened: Any, query: str, expected: str) -> None:
    async with opened() as api:
        for name, reference in PROCESSES.items():
            await api.make(name, reference=reference)
        ids = await listed(api, query)
        assert ids == expected.split()
        # The parts that are shown do not change who is.
        if "filter=" not in query:
            assert await listed(api, f"{query}&filter=x") == ids


@given(st.text("ab*", min_size=1, max_size=8), st.text("ab/*", max_size=8))
def test_stars_alone_are_told_as_globs_are(pattern: str, name: str) -> None:
    is_meant = decode_selection({"idpattern": pattern}).test()
    is_match = compile_glob(pattern, separator="").matches(name)
    assert is_meant(JobSpec(name, (), ())) == is_match


async def test_a_query_is_decoded_once(opened: Any) -> None:
    async with opened() as api:
        for name in ("a+b", "a b", "50%", "ü"):
            await api.make(name)
        assert await listed(api, "id=a%2Bb") == ["a+b"]
        assert await listed(api, "id=a+b") == ["a b"]
        assert await listed(api, "id=50%25,%C3%BC") == ["50%", "ü"]


async def test_one_process_is_not_repeated_without_end(opened: Any) -> None:
    async with opened() as api:
        await api.make("a")
        assert await listed(api, f"id={'a,' * 1_000}") == ["a"] * 1_000
        assert await listed(api, f"id={'a,' * 1_001}") == ["a"]


SCALARS = {"id", "type", "reference", "created_at", "updated_at"}


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        ("", "config state report metadata"),
        ("config", "config"),
        ("state,report", "state report"),
        ("metadata,config,x", "metadata config"),
        ("config, state", "config"),
        ("Config", ""),
        ("none", ""),
        ("all", ""),
        (",", ""),
    ],
)
async def test_a_filter_shows_parts(opened: Any, words: str, parts: str) -> None:
    async with opened() as api:
        await api.make("a")
        shown = await api.get(f"/process/a?filter={words}")
        assert set(shown) == SCALARS | set(parts.split())
        for query in ("", "&id=a", "&idpattern=a"):
            (one,) = await api.get(f"/process?filter={words}{query}")
            if "state" in shown:
                one["state"]["runtime_seconds"] = shown["state"]["runtime_seconds"]
            assert one == shown
        if "metadata" in shown:
            assert shown["metadata"] is None


@pytest.mark.slow
async def test_many_processes_are_listed_in_any_way(opened: Any) -> None:
    async with opened() as api:
        ids = [f"p{number:03d}" for number in range(250)]
        for name in ids:
            await api.make(name)
        assert await listed(api, "") == ids
        assert await listed(api, f"id={','.join(reversed(ids))}") == ids[::-1]
        assert await listed(api, "idpattern=p*") == ids
