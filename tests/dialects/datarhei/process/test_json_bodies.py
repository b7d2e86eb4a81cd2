"""Bodies that are not JSON, or nearly, and where it is said that they go wrong."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.dialects.datarhei.answers import Failure
from penstock.dialects.datarhei.json_bodies import JsonBody, decode_body
from penstock.dialects.datarhei.json_types import COUNT, TEXT, Array, Struct, zero


def decode(text: str, content_type: str = "application/json") -> JsonBody:
    return decode_body(text.encode("utf-8", "surrogatepass"), content_type)


def detail(text: str, content_type: str = "application/json") -> str:
    with pytest.raises(Failure) as failure:
        decode(text, content_type)
    assert failure.value.status == 400
    assert failure.value.message == "Invalid JSON"
    (line,) = failure.value.details
    return line


@pytest.mark.parametrize(
    ("text", "place", "reason"),
    [
        ("{", (1, 1), "unexpected end of JSON input"),
        ("  ", (1, 2), "unexpected end of JSON input"),
        ('{"a": ', (1, 6), "unexpected end of JSON input"),
        ('{"a": "b', (1, 8), "unexpected end of JSON input"),
        ('{"a": tru', (1, 9), "unexpected end of JSON input"),
        ('{"a": -', (1, 7), "unexpected end of JSON input"),
        ("[1,\n2", (2, 2), "unexpected end of JSON input"),
        ("x", (1, 1), "invalid character 'x' at start of value"),
        ("'a'", (1, 1), "invalid character '\\'' at start of value"),
        ("\ufeff{}", (1, 3), "invalid character '\\ufeff' at start of value"),
        ("trux", (1, 4), "invalid character 'x' in literal true (expecting 'e')"),
        ("[-a]", (1, 3), "invalid character 'a' in number (expecting digit)"),
        ("[1,]", (1, 4), "invalid character ']' at start of value"),
        ("[NaN]", (1, 2), "invalid character 'N' at start of value"),
        ("[-Infinity]", (1, 3), "invalid character 'I' at start of value"),
        ("{} {}", (1, 4), "invalid character '{' after top-level value"),
        ("[1 2]", (1, 4), "invalid character '2' after array element"),
        ("[{}, [01]]", (1, 8), "invalid character '1' after array element"),
        ('{"a":1 "b"}', (1, 8), "invalid character '\"' after object value"),
        ('[{"a":"]","b":[]]', (1, 17), "invalid character ']' after object value"),
        ('{"a" 1}', (1, 6), "invalid character '1' after object name"),
        ("{a: 1}", (1, 2), "invalid character 'a' at start of string"),
        ('{"a":1,\n}', (2, 2), "invalid character '}' at start of string"),
        ('["\n"]', (2, 1), "invalid character '\\n' in string"),
        ('["\\q"]', (1, 3), "invalid character '\\\\' in string escape code"),
    ],
)
def test_a_mistake_is_told_with_its_line_and_character(
    text: str, place: tuple[int, int], reason: str
) -> None:
    line, character = place
    said = detail(text)
    assert said.startswith(f"syntax error at line {line}, character {character}: ")
    assert said.partition(": ")[2].startswith(reason)


@pytest.mark.parametrize(
    "content_type", ["", "text/plain", "text/json", "application/jso", "x/y"]
)
def test_what_is_not_said_to_be_json_is_not_read(content_type: str) -> None:
    assert detail("{}", content_type) == "request doesn't contain JSON content"
    empty = "request doesn't contain any content"
    assert detail("", content_type) == empty


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "application/json; charset=utf-8", "Application/JSON"],
)
def test_what_is_said_to_be_json_is_read(content_type: str) -> None:
    assert decode("[1]", content_type).value == [1]


@pytest.mark.parametrize("literal", ["1e999", "-1e999", "9" * 5000, "1" + "0" * 400])
def test_numbers_that_no_client_could_read_back_are_refused(literal: str) -> None:
    assert "cannot unmarshal number" in detail(f'{{"a": [{literal}]}}')


def test_long_numbers_are_kept_exactly_or_rounded() -> None:
    assert decode("[12345678901234567890]").value == [12345678901234567890]
    assert decode(f"[{'9' * 60}]").value == [1e60]


@pytest.mark.parametrize("depth", [201, 5_000, 100_000])
@pytest.mark.parametrize(("left", "right"), [("[", "]"), ('{"a":', "}")])
def test_nesting_has_an_end(depth: int, left: str, right: str) -> None:
    assert detail(left * depth + "0" + right * depth) == "exceeded max depth"


def test_nesting_is_told_from_width() -> None:
    deep = "[" * 200 + "]" * 200
    assert json.dumps(decode(deep).value) == deep
    wide = "[" + ",".join(["[[]]"] * 500) + "]"
    assert len(decode(wide).value) == 500


THING = Struct(
    "Thing",
    {"a": Array(Struct("Part", {"n": COUNT, "ts": Array(TEXT)})), "t": TEXT},
)


@pytest.mark.parametrize(
    ("text", "line", "character", "path"),
    [
        ('{"t": 1}', 1, 8, "t"),
        ('{"t":\n\n1\n}', 4, 1, "t"),
        ('{"t": 1, "t": 22 }', 1, 17, "t"),
        ('{"x": {"t": 0}, "t" : 1 }', 1, 24, "t"),
        ('{"a": [{"n": 1}, {"n": -1}], "t": 1}', 1, 26, "a.1.n"),
        ('{"a": [{"ts": ["é\\"]", 5]}]}', 1, 26, "a.0.ts.1"),
    ],
)
def test_a_wrong_type_is_told_by_the_first_in_the_body(
    text: str, line: int, character: int, path: str
) -> None:
    with pytest.raises(Failure) as failure:
        decode(text).laid_over(THING, zero(THING))
    (said,) = failure.value.details
    assert f"for '{path}' at line {line}, character {character}: " in said


@given(st.text() | st.binary())
def test_any_octets_are_read_or_refused(octets: str | bytes) -> None:
    if isinstance(octets, str):
        octets = octets.encode("utf-8", "surrogatepass")
    with contextlib.suppress(Failure):
        decode_body(octets, "application/json")


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(0, 9)
        | st.sampled_from(["", "\\", '"']),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(st.sampled_from("abc"), inner, max_size=4)
        ),
    ),
    st.data(),
)
@pytest.mark.slow
def test_a_document_that_is_cut_or_struck_is_still_told_where(
    value: object, data: st.DataObject
) -> None:
    text = json.dumps(value, indent=data.draw(st.sampled_from([None, 1])))
    at = data.draw(st.integers(0, len(text)))
    stroke = data.draw(st.sampled_from(["", *'[]{}",:x1-\n']))
    try:
        decode(text[:at] + stroke + data.draw(st.sampled_from([text[at:], ""])))
    except Failure as failure:
        (line,) = failure.details
        assert line == "request doesn't contain any content" or line.startswith(
            "syntax error at line "
        )
