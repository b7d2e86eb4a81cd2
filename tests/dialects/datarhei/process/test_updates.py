"""Partial updates: what a body says is laid over what there is, to any depth."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.control.jobs import JobSpec
from penstock.dialects.datarhei.answers import document
from penstock.dialects.datarhei.json_bodies import decode_body
from penstock.dialects.datarhei.process_config import as_config, created, updated

RULE = {
    "pattern": "mem:/a",
    "max_files": 3,
    "max_file_age_seconds": 60,
    "purge_on_delete": True,
}
SECOND = RULE | {"pattern": "disk:/b"}
BEFORE: dict[str, Any] = {
    "id": "p",
    "type": "ffmpeg",
    "reference": "r",
    "input": [
        {"id": "i0", "address": "a0", "options": ["-re"]},
        {"id": "i1", "address": "a1", "options": []},
    ],
    "output": [
        {
            "id": "o0",
            "address": "-",
            "options": ["-f", "null"],
            "cleanup": [RULE, SECOND],
        }
    ],
    "options": ["-y"],
    "reconnect": True,
    "reconnect_delay_seconds": 5,
    "autostart": False,
    "stale_timeout_seconds": 7,
    "limits": {"cpu_usage": 20, "memory_mbytes": 50, "waitfor_seconds": 3},
}
I0, I1 = BEFORE["input"]
(O0,) = BEFORE["output"]
BARE = {name: value for name, value in O0.items() if name != "cleanup"}


def counted() -> Callable[[int], bytes]:
    """Random octets that are not."""
    numbers = count(1)
    return lambda size: next(numbers).to_bytes(size, "big")


def new(config: dict[str, Any]) -> JobSpec:
    return created(decode_body(document(config), "application/json"), counted())


def changed(body: Any, before: dict[str, Any] = BEFORE) -> dict[str, Any]:
    octets = document(body)
    return as_config(
        updated(decode_body(octets, "application/json"), new(before), counted())
    )


@pytest.mark.parametrize(
    ("body", "difference"),
    [
        ({}, {}),
        (None, {}),
        ({"unknown": 1, "owner": "x", "ID": "q"}, {}),
        ({"id": "q"}, {"id": "q"}),
        ({"id": None, "type": None, "reconnect": None, "limits": None}, {}),
        ({"type": ""}, {}),
        ({"reference": ""}, {"reference": ""}),
        ({"autostart": True}, {"autostart": True}),
        ({"reconnect": False}, {"reconnect": False}),
        ({"options": []}, {"options": []}),
        ({"options": None}, {"options": []}),
        ({"options": ["-n", "-v"]}, {"options": ["-n", "-v"]}),
        ({"limits": {}}, {}),
        (
            {"limits": {"cpu_usage": 0.5}},
            {"limits": BEFORE["limits"] | {"cpu_usage": 0.5}},
        ),
        (
            {"limits": {"memory_mbytes": 0}},
            {"limits": BEFORE["limits"] | {"memory_mbytes": 0}},
        ),
        ({"input": [{"options": ["n"]}]}, {"input": [I0 | {"options": ["n"]}]}),
        ({"input": [{}, {}]}, {}),
        ({"input": [None, {"address": "b"}]}, {"input": [I0, I1 | {"address": "b"}]}),
        ({"input": [{}]}, {"input": [I0]}),
        ({"input": [{"cleanup": [RULE]}, {}]}, {}),
        (
            {"input": [{}, {}, {"id": "i2", "address": "a2"}]},
            {"input": [I0, I1, {"id": "i2", "address": "a2", "options": []}]},
        ),
        (
            {"output": [{"cleanup": [{"max_files": 9}]}]},
            {"output": [O0 | {"cleanup": [RULE | {"max_files": 9}]}]},
        ),
        (
            {"output": [{"cleanup": [{}, {"max_files": "9"}]}]},
            {"output": [O0 | {"cleanup": [RULE, SECOND | {"max_files": 9}]}]},
        ),
        ({"output": [{"cleanup": []}]}, {"output": [BARE]}),
        ({"output": [{"cleanup": None}]}, {"output": [BARE]}),
        (
            {"output": [{"cleanup": [{}, {}, {"max_file_age_seconds": "007"}]}]},
            {
                "output": [
                    O0
                    | {
                        "cleanup": [
                            RULE,
                            SECOND,
                            {
                                "pattern": "",
                                "max_files": 0,
                                "max_file_age_seconds": 7,
                                "purge_on_delete": False,
                            },
                        ]
                    }
                ]
            },
        ),
    ],
)
def test_a_part_changes_that_part(body: Any, difference: dict[str, Any]) -> None:
    assert changed(body) == BEFORE | difference


def test_ids_that_are_not_given_are_made() -> None:
    config = as_config(
        new({"input": [{"address": "a"}], "output": [{"id": "", "address": "-"}] * 2})
    )
    ids = [config["id"], *(one["id"] for one in (*config["input"], *config["output"]))]
    assert len(set(ids)) == 4
    assert {len(one) for one in ids} == {22}
    again = changed({"input": [{"id": ""}], "output": [{}, {"address": "x"}]})
    made = again["input"][0]["id"], again["output"][1]["id"]
    assert len(set(made)) == 2
    assert {len(one) for one in made} == {22}
    assert again["output"][0] == O0


def test_defaults_are_those_of_the_document() -> None:
    ends = {
        "input": [{"id": "i", "address": "a"}],
        "output": [{"id": "o", "address": "-"}],
    }
    assert as_config(new({"id": "x", **ends})) == {
        "id": "x",
        "type": "ffmpeg",
        "reference": "",
        "input": [{"id": "i", "address": "a", "options": []}],
        "output": [{"id": "o", "address": "-", "options": []}],
        "options": [],
        "reconnect": False,
        "reconnect_delay_seconds": 0,
        "autostart": True,
        "stale_timeout_seconds": 0,
        "limits": {"cpu_usage": 0, "memory_mbytes": 0, "waitfor_seconds": 0},
    }


@pytest.mark.parametrize(
    ("number", "written"),
    [
        (250.5, "250.5"),
        (-5, "-5"),
        (20.0, "20"),
        (1e300, "1e+300"),
        (2**53, "9007199254740992.0"),
    ],
)
def test_limits_are_written_as_they_were_meant(number: float, written: str) -> None:
    config = changed({"limits": {"cpu_usage": number}})
    assert document(config["limits"]["cpu_usage"]).decode() == written


TEXTS = st.text(max_size=5)
ENDS = st.lists(
    st.fixed_dictionaries(
        {"id": st.text("abc", min_size=1), "address": TEXTS},
        optional={
            "options": st.lists(TEXTS, max_size=3),
            "cleanup": st.lists(
                st.fixed_dictionaries(
                    {},
                    optional={"pattern": TEXTS, "max_files": st.integers(0, 2**64 - 1)},
                ),
                max_size=2,
            ),
        },
    ),
    min_size=1,
    max_size=3,
)
CONFIGS = st.fixed_dictionaries(
    {"id": TEXTS, "input": ENDS, "output": ENDS},
    optional={
        "reference": TEXTS,
        "options": st.lists(TEXTS, max_size=3),
        "reconnect_delay_seconds": st.integers(0, 2**64 - 1),
        "limits": st.fixed_dictionaries(
            {}, optional={"cpu_usage": st.floats(allow_nan=False, allow_infinity=False)}
        ),
    },
)


@given(CONFIGS, CONFIGS)
@pytest.mark.slow
def test_a_whole_config_as_update_takes_the_old_one_s_place(
    before: dict[str, Any], after: dict[str, Any]
) -> None:
    whole = as_config(new(after))
    for output in whole["output"]:
        output.setdefault("cleanup", [])
    expected = as_config(new(after))
    assert changed(whole, before) == expected


@given(CONFIGS)
def test_what_was_answered_is_an_update_that_changes_nothing(
    config: dict[str, Any],
) -> None:
    whole = as_config(new(config))
    assert changed(whole, config) == whole
