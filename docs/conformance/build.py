"""Collect the clauses that code and tests cite, and write the conformance table.

``python docs/conformance/build.py`` writes ``clauses.md`` beside this file (the
documentation's build does it too); ``--baseline`` writes ``untested.txt``, the clauses
that code cites and no test does. A test keeps that list from growing unseen.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

_HERE = Path(__file__).resolve().parent
_ROOT = _HERE.parents[1]

SPECIFICATIONS = (
    r"RFC \d{3,5}",
    r"ISO \d{4,5}(?:-\d+)?",
    r"ITU-T [A-Z]\.\d+",
    r"H\.26[45]",
    r"RTMP 1\.0",
    r"E-RTMP v[12]",
    r"AMF[03]",
    r"FLV 10\.1",
    r"AV1-ISOBMFF",
    r"AV1-RTP",
    r"AV1-MPEG2-TS",
    r"AV1",
    r"VP[89]",
    r"(?:Encapsulation of )?(?:AV1|VP|Opus|FLAC) in ISO BMFF",
    r"VP Codec ISO Media File Format Binding v1\.0",
    r"ETSI TS \d{3} \d{3}",
    r"ATSC A/52",
    r"Fetch Standard",
    r"draft-[a-z-]+-\d\d",
    r"WHEP draft-\d\d",
    r"SRT draft-\d\d",
    r"libsrt [a-zA-Z0-9-]+\.md",
)
"""How a specification is named; an addition here is a decision, not a typing error."""

# A number (5.3.1.2, A.4, 1.A.2) or, in specifications without numbers, the words of
# the heading up to the end of the sentence.
_CLAUSE = (
    r"(?:\d+|[A-Z])(?:\.(?:\d+|[A-Z]))*(?![A-Za-z0-9])|[A-Z][A-Za-z]+(?:[ -][A-Za-z]+)*"
)
_CITATION = re.compile(
    rf"(?P<spec>{'|'.join(SPECIFICATIONS)}),? "
    rf"(?P<clauses>§(?:{_CLAUSE})(?:(?:, (?:and )?| and | to )§(?:{_CLAUSE}))*)"
)


def flattened(path: Path) -> str:
    """Return a file's text with comment marks and line breaks turned into blanks."""
    text = path.read_text(encoding="utf-8")
    text = re.sub(r'"\s*\n\s*f?"', "", text)
    return re.sub(r"\s*\n\s*(?:#+:? )?\s*", " ", text)


def citations(text: str) -> Iterator[tuple[str, str]]:
    """Yield (specification, clause) for every citation in a flattened text."""
    for match in _CITATION.finditer(text):
        for clause in re.findall(rf"§({_CLAUSE})", match["clauses"]):
            yield match["spec"], clause


def ill_formed(text: str) -> list[str]:
    """Return what stands around every section sign that belongs to no citation."""
    rest = _CITATION.sub("", text)
    return [
        rest[max(0, match.start() - 30) : match.end() + 10]
        for match in re.finditer("§", rest)
    ]


def collect(files: Iterable[Path]) -> dict[tuple[str, str], list[str]]:
    """Return for every clause the files that cite it, relative to the repository."""
    cited: dict[tuple[str, str], list[str]] = {}
    for path in sorted(files):
        name = path.relative_to(_ROOT).as_posix()
        for key in citations(flattened(path)):
            names = cited.setdefault(key, [])
            if name not in names:
                names.append(name)
    return cited


def code_files() -> list[Path]:
    """Return the modules of both distributions."""
    folders = (_ROOT / "protocols" / "sansmedia", _ROOT / "src")
    return [path for folder in folders for path in folder.rglob("*.py")]


def test_files() -> list[Path]:
    """Return the tests, the fuzz targets and the provenance notes of test data."""
    tests = _ROOT / "tests"
    fuzz = _ROOT / "fuzz"
    found = [*tests.rglob("*.py"), *tests.rglob("*.toml"), *fuzz.glob("*/*.py")]
    # The repository's own rules cite examples, not what they test.
    return [path for path in found if tests / "repo" not in path.parents]


def untested() -> list[str]:
    """Return the clauses that code cites and no test does, sorted."""
    code, tests = collect(code_files()), collect(test_files())
    return [
        f"{spec} §{clause}"
        for spec, clause in _ordered(code)
        if (spec, clause) not in tests
    ]


def _ordered(keys: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    def order(key: tuple[str, str]) -> tuple[str, list[tuple[int, str]]]:
        parts = key[1].split(".")
        return key[0], [
            (int(part), "") if part.isdigit() else (1 << 30, part) for part in parts
        ]

    return sorted(keys, key=order)


def table() -> str:
    """Return the page: a table for each specification."""
    code, tests = collect(code_files()), collect(test_files())
    lines = [
        "# Clauses, code and tests",
        "",
        "Made from the citations in the sources. A clause without a test is one that",
        "no test names; a test that names a wider clause may well cover it.",
    ]
    spec_before = ""
    for spec, clause in _ordered({*code, *tests}):
        if spec != spec_before:
            lines += [
                "",
                f"## {spec}",
                "",
                "| clause | code | tests |",
                "|---|---|---|",
            ]
            spec_before = spec
        cells = (_cell(cited.get((spec, clause), [])) for cited in (code, tests))
        lines.append(f"| §{clause} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _cell(names: list[str]) -> str:
    short = (
        name.removeprefix("protocols/sansmedia/").removeprefix("tests/")
        for name in names
    )
    return "<br>".join(f"`{name}`" for name in short)


def main() -> None:
    """Write the table or the baseline."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--baseline", action="store_true", help="write untested.txt")
    if parser.parse_args().baseline:
        (_HERE / "untested.txt").write_text("\n".join(untested()) + "\n")
    else:
        (_HERE / "clauses.md").write_text(table())


if __name__ == "__main__":
    main()
