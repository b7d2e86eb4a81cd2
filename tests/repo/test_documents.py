"""Documents stay true: links lead somewhere, citations can be looked up."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType

import pytest

_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
# Pages that the documentation's build writes.
_GENERATED = {"docs/conformance/clauses.md"}


def _headings(text: str) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", _FENCE.sub("", text), re.MULTILINE)
    return {
        re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles
    }


def test_links_between_documents_resolve(root: Path, files: list[Path]) -> None:
    broken = []
    for path in files:
        if path.suffix != ".md":
            continue
        for link in _LINK.findall(_FENCE.sub("", path.read_text())):
            if re.match(r"[a-z]+:", link):
                continue
            target, _, fragment = link.partition("#")
            resolved = (path.parent / target).resolve() if target else path
            name = resolved.relative_to(root).as_posix()
            if name in _GENERATED:
                continue
            if not resolved.exists() or (
                fragment
                and resolved.suffix == ".md"
                and fragment not in _headings(resolved.read_text())
            ):
                broken.append(f"{path.relative_to(root)}: {link}")
    assert broken == []


def test_every_citation_follows_the_grammar(
    root: Path, conformance: ModuleType
) -> None:
    wrong = [
        f"{path.relative_to(root)}: {place!r}"
        for path in [*conformance.code_files(), *conformance.test_files()]
        for place in conformance.ill_formed(conformance.flattened(path))
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("RFC 8445 §7.3.1.1", [("RFC 8445", "7.3.1.1")]),
        ("RTMP 1.0 §5.4, §7.1.7.", [("RTMP 1.0", "5.4"), ("RTMP 1.0", "7.1.7")]),
        ("ISO 14496-3 §1.A.2", [("ISO 14496-3", "1.A.2")]),
        ("E-RTMP v2 §Reconnect Request.", [("E-RTMP v2", "Reconnect Request")]),
    ],
)
def test_citations_are_read(
    conformance: ModuleType, text: str, expected: list[tuple[str, str]]
) -> None:
    assert list(conformance.citations(text)) == expected
    assert conformance.ill_formed(text) == []


@pytest.mark.parametrize("text", ["§5.3", "RFC8445 §7", "the spec § 7.1", "FOO 1 §2"])
def test_what_cannot_be_looked_up_is_ill_formed(
    conformance: ModuleType, text: str
) -> None:
    assert conformance.ill_formed(text) != []


def test_a_citation_may_cross_a_line_break(
    conformance: ModuleType, tmp_path: Path
) -> None:
    page = tmp_path / "page.py"
    page.write_text('"""Take it apart. Source: RTMP 1.0\n    §5.3.1.2."""\n')
    assert list(conformance.citations(conformance.flattened(page))) == [
        ("RTMP 1.0", "5.3.1.2")
    ]


def test_clauses_without_a_test_do_not_become_more(
    root: Path, conformance: ModuleType
) -> None:
    baseline = root / "docs" / "conformance" / "untested.txt"
    new = set(conformance.untested()) - set(baseline.read_text().splitlines())
    assert new == set(), (
        "name these in a test, or run build.py --baseline with a reason"
    )
