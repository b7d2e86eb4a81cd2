"""Globs over names of files and ids."""

from __future__ import annotations

import fnmatch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.storage.globs import GlobError, compile_glob

_NAMES = (
    *("/abc_1.ts", "/abc/1.ts", "/abc_data/foobar/42.txt", "/foobar.m3u8"),
    *("/foobar_0.ts", "/foobar_1.ts", "/x/y/z.ts", "/z.ts", "/fooar", "/fooxar"),
    *("/foo/bar", "/q w.ts"),
)
_TOP = {"/abc_1.ts", "/foobar_0.ts", "/foobar_1.ts", "/z.ts", "/q w.ts"}
_PLAYLIST = {"/foobar.m3u8", "/foobar_0.ts", "/foobar_1.ts"}


# What datarhei Core 16.16.0 answers; the line with parentheses is its documentation's.
@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("/*.ts", _TOP),
        ("/**.ts", _TOP | {"/abc/1.ts", "/x/y/z.ts"}),
        ("**.ts", _TOP | {"/abc/1.ts", "/x/y/z.ts"}),
        ("/**/*.ts", {"/abc/1.ts", "/x/y/z.ts"}),
        ("*.ts", set()),
        ("fo*ar", set()),
        ("**", set(_NAMES)),
        ("/abc*", {"/abc_1.ts"}),
        ("/abc**", {"/abc/1.ts", "/abc_1.ts", "/abc_data/foobar/42.txt"}),
        ("/foobar*.{m3u8,ts}", _PLAYLIST),
        ("/foobar*.(m3u8|ts)", _PLAYLIST),
        ("/fo*ar", {"/fooar", "/fooxar"}),
        ("/foobar_[0-1].ts", {"/foobar_0.ts", "/foobar_1.ts"}),
        ("/foobar_[!1].ts", {"/foobar_0.ts"}),
        ("/x/**", {"/x/y/z.ts"}),
        ("/x/*/z.ts", {"/x/y/z.ts"}),
        ("/{abc,foobar}*", {"/abc_1.ts"} | _PLAYLIST),
    ],
)
def test_file_names_match_up_to_the_separator(pattern: str, expected: set[str]) -> None:
    glob = compile_glob(pattern, "/")
    assert {name for name in _NAMES if glob.matches(name)} == expected


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("a*", {"a1", "a2", "ab1"}),
        ("a?", {"a1", "a2"}),
        ("*1", {"a1", "ab1", "b/1", "b:1"}),
        ("{a1,b*}", {"a1", "b/1", "b:1"}),
        ("[ab]1", {"a1"}),
        ("[!a]*", {"b/1", "b:1"}),
        ("a[0-9]", {"a1", "a2"}),
    ],
)
def test_ids_have_no_separator(pattern: str, expected: set[str]) -> None:
    glob = compile_glob(pattern)
    assert {i for i in ("a1", "a2", "ab1", "b:1", "b/1") if glob.matches(i)} == expected


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("", "", True),
        ("", "a", False),
        ("a\\*", "a*", True),
        ("a\\*", "ab", False),
        ("[*?]", "*", True),
        ("[\\]]", "]", True),
        ("[a-]", "-", True),
        ("[!a]", "/", False),
        ("a[!b]c", "a/c", False),
        ("film (1).mp4", "film (1).mp4", True),
        ("a(b", "a(b", True),
        ("a|b)", "a|b)", True),
        ("(a|b(c))", "b(c)", True),
        ("(a|(b|c)d)", "cd", True),
        ("\\(a|b)", "(a|b)", True),
        ("a,b}", "a,b}", True),
        ("{a,{b,c*}}x", "cyyx", True),
        ("{,a}b", "b", True),
        ("{a,b}{c,d}", "bd", True),
        ("{a,b}{c,d}", "ab", False),
        ("***", "a/b", True),
        ("?", "\U0001f3a5", True),
    ],
)
def test_the_corners(pattern: str, name: str, expected: bool) -> None:
    assert compile_glob(pattern, "/").matches(name) is expected


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("[", "not closed"),
        ("a[b", "not closed"),
        ("[]", "empty"),
        ("[!]", "empty"),
        ("[z-a]", "backwards"),
        ("{a,b", "not closed"),
        ("a\\", "escapes nothing"),
        ("[\\", "escapes nothing"),
        ("{" * 40 + "}" * 40, "nested"),
        ("(|" * 40 + ")" * 40, "nested"),
        ("*" * 5000, "at most"),
    ],
)
def test_malformed_patterns_are_refused(pattern: str, reason: str) -> None:
    with pytest.raises(GlobError, match=reason):
        compile_glob(pattern, "/")


@pytest.mark.parametrize(
    "pattern",
    ["*a" * 40 + "b", "**a" * 40 + "b", "{a,aa}" * 60 + "b", "{a*,*a}" * 20 + "b"],
)
def test_no_pattern_makes_a_name_expensive(pattern: str) -> None:
    # By trying all ways this would never end, and the test's time would run out.
    assert not compile_glob(pattern, "/").matches("a" * 2000)


@given(st.text(alphabet="ab*?", max_size=8), st.text(alphabet="abc\n", max_size=8))
def test_plain_globs_match_as_the_shell_does(pattern: str, name: str) -> None:
    assert compile_glob(pattern).matches(name) == fnmatch.fnmatchcase(name, pattern)


@given(st.text())
def test_an_escaped_name_matches_itself_alone(name: str) -> None:
    glob = compile_glob("".join(f"\\{char}" for char in name), "/")
    assert glob.matches(name)
    assert not glob.matches(name + "x")


@given(st.text(alphabet="ab/*?[]{}(),|!-\\", max_size=24), st.text(max_size=12))
def test_any_text_is_a_glob_or_malformed(pattern: str, name: str) -> None:
    try:
        glob = compile_glob(pattern, "/")
    except GlobError:
        return
    assert glob.matches(name) == glob.matches(name)


@given(
    st.lists(st.text(alphabet="abc", max_size=3), min_size=2, max_size=5),
    st.text(alphabet="abc", max_size=4),
)
def test_both_forms_of_alternatives_are_one(words: list[str], name: str) -> None:
    expected = name in words
    assert compile_glob("{" + ",".join(words) + "}").matches(name) is expected
    assert compile_glob("(" + "|".join(words) + ")").matches(name) is expected
