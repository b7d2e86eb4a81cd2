"""Run the fuzz targets: ``python fuzz/run.py [TARGET ...] [--seconds N]``.

A target is a file in ``targets``, which imports the libraries alone, or in ``server``,
which imports penstock too; the name of a folder stands for all that is in it.

Each target runs in a process of its own under atheris. ``--replay`` runs the committed
corpora once, without atheris; ``--minimise`` takes new inputs that reach new code from
``fuzz/found`` into the corpus. Exit code 1 says that something was found.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any, TypeAlias

import attrs

FOLDERS = {"targets": ("sansmedia",), "server": ("sansmedia", "penstock")}
"""Where targets are, and the packages that those of a folder are about."""

_HERE = Path(__file__).resolve().parent
_CORPUS = _HERE / "corpus"
_FINDINGS = _HERE / "findings"
_FOUND = _HERE / "found"

_MAX_CORPUS_FILES = 20
_MAX_CORPUS_BYTES = 4096
_MUTATIONS = 50

OneInput: TypeAlias = Callable[[bytes], None]
TraceFunction: TypeAlias = Callable[[FrameType, str, Any], Any]
Arc: TypeAlias = tuple[str, int, int]
"""File, line before, line."""


@attrs.frozen
class Target:
    """A file with a function ``one_input``."""

    name: str
    folder: str

    @property
    def corpus(self) -> list[Path]:
        """The committed inputs."""
        folder = _CORPUS / self.name
        return sorted(path for path in folder.glob("*") if path.is_file())

    @property
    def packages(self) -> tuple[str, ...]:
        """What is watched while it runs."""
        return FOLDERS[self.folder]

    def load(self) -> OneInput:
        """Import it."""
        module = importlib.import_module(f"{self.folder}.{self.name}")
        one_input: OneInput = module.one_input
        return one_input


def find_targets(*folders: str) -> dict[str, Target]:
    """Return the targets of these folders, or of all, by name; imports none."""
    found = {
        path.stem: Target(path.stem, folder)
        for folder in folders or FOLDERS
        for path in sorted((_HERE / folder).glob("*.py"))
    }
    return dict(sorted(found.items()))


def main() -> int:
    """Parse the command line and do what it says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "targets", nargs="*", metavar="TARGET", help="or a folder; default: all"
    )
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--replay", action="store_true", help="run the corpora once")
    parser.add_argument("--minimise", action="store_true", help="merge what was found")
    options = parser.parse_args()
    targets = _chosen(parser, options.targets)
    if options.replay:
        return max(replay(target) for target in targets)
    if options.minimise:
        for target in targets:
            minimise_corpus(target)
        return 0
    return max(fuzz(target, options.seconds) for target in targets)


def _chosen(parser: argparse.ArgumentParser, names: list[str]) -> list[Target]:
    known = find_targets()
    chosen: dict[str, Target] = {}
    for name in names or FOLDERS:
        if name in FOLDERS:
            chosen |= find_targets(name)
        elif name in known:
            chosen[name] = known[name]
        else:
            parser.error(f"no such target: {name}")
    return list(chosen.values())


# -- replaying -------------------------------------------------------------------------


def check_corpus_size(target: Target) -> None:
    """Fail unless a target has a corpus, and a small one."""
    corpus = target.corpus
    assert 1 <= len(corpus) <= _MAX_CORPUS_FILES
    assert max(path.stat().st_size for path in corpus) < _MAX_CORPUS_BYTES


def check_corpus(target: Target) -> None:
    """Fail if an input of its corpus breaks a target's invariant."""
    one_input = target.load()
    for path in target.corpus:
        one_input(path.read_bytes())


def check_damaged_corpus(target: Target) -> None:
    """Fail if seeded damage to its corpus breaks a target's invariant."""
    # Here, because what is imported before a target is not watched by the fuzzer.
    from sansmedia.sansio.testing import SeededDice, mutate_bytes

    one_input = target.load()
    corpus = [path.read_bytes() for path in target.corpus]
    dice = SeededDice(1)
    one_input(b"")
    for _ in range(_MUTATIONS):
        data = mutate_bytes(dice.choice(corpus), dice.choice(corpus), dice)
        try:
            one_input(data)
        except Exception as error:
            raise AssertionError(f"{target.name} fails for {data!r}") from error


def replay(target: Target) -> int:
    """Run a target over its corpus; return 1 if it has none or one fails."""
    name, files = target.name, target.corpus
    if not files:
        print(f"{name}: no corpus in {_CORPUS / name}")
        return 1
    one_input = target.load()
    failed = 0
    for path in files:
        failure = _failure(one_input, path.read_bytes())
        if failure is not None:
            failed += 1
            print(f"{name}: {path.name}: {failure!r}")
    print(f"{name}: {len(files)} inputs, {failed} failed")
    return 1 if failed else 0


def _failure(one_input: OneInput, data: bytes) -> Exception | None:
    try:
        one_input(data)
    except Exception as error:
        return error
    return None


# -- fuzzing ---------------------------------------------------------------------------


def fuzz(target: Target, seconds: int) -> int:
    """Run a target under atheris; return 1 if it found something."""
    name = target.name
    findings = _FINDINGS / name
    found = _FOUND / name
    for folder in (findings, found, _CORPUS / name):
        folder.mkdir(parents=True, exist_ok=True)
    before = set(findings.iterdir())
    code = _atheris(
        name,
        f"-max_total_time={seconds}",
        f"-max_len={_MAX_CORPUS_BYTES}",
        f"-artifact_prefix={findings}/",
        "-timeout=10",
        "-rss_limit_mb=1024",
        "-print_final_stats=1",
        str(found),
        str(_CORPUS / name),
    )
    new = sorted(set(findings.iterdir()) - before)
    for path in new:
        shrink(target, path)
    print(f"{name}: {len(new)} findings, atheris ended with {code}")
    return 1 if new or code else 0


def _atheris(name: str, *arguments: str) -> int:
    script = str(Path(__file__).resolve())
    command = [sys.executable, script, "--child", name, *arguments]
    return subprocess.run(command, check=False).returncode


def run_under_atheris(name: str, arguments: list[str]) -> None:
    """Be the process of one target; never returns."""
    import atheris

    target = find_targets()[name]
    with atheris.instrument_imports(include=list(target.packages)):
        one_input = target.load()
    atheris.Setup([sys.argv[0], *arguments], one_input)
    atheris.Fuzz()


def shrink(target: Target, path: Path) -> None:
    """Cut a finding down while it fails in the same way."""
    name, one_input = target.name, target.load()
    data = path.read_bytes()
    first = _failure(one_input, data)
    if first is None:
        print(f"{name}: {path} does not fail without atheris (time or memory?)")
        return
    piece = max(1, len(data) // 2)
    while piece:
        at = 0
        while at < len(data):
            shorter = data[:at] + data[at + piece :]
            if type(_failure(one_input, shorter)) is type(first):
                data = shorter
            else:
                at += piece
        piece //= 2
    path.write_bytes(data)
    print(f"{name}: {path.relative_to(_HERE)}: {first!r} in {len(data)} octets")


def minimise_corpus(target: Target) -> None:
    """Take into the corpus what was found and reaches code that it does not.

    The committed files stay. Of the new ones, that which reaches most is taken first,
    until nothing new is reached or the corpus has 20 files.
    """
    name, corpus = target.name, target.corpus
    reached: set[Arc] = set()
    for path in corpus:
        reached |= _arcs(target, path.read_bytes())
    candidates = {
        path: _arcs(target, path.read_bytes())
        for path in sorted((_FOUND / name).glob("*"))
        if path.stat().st_size < _MAX_CORPUS_BYTES
    }
    taken = 0
    while candidates and len(corpus) + taken < _MAX_CORPUS_FILES:
        best = max(candidates, key=lambda path: len(candidates[path] - reached))
        gain = candidates.pop(best)
        if gain <= reached:
            break
        reached |= gain
        taken += 1
        (_CORPUS / name / best.name[:12]).write_bytes(best.read_bytes())
    print(f"{name}: {taken} inputs taken, {len(reached)} arcs reached")


def _arcs(target: Target, data: bytes) -> set[Arc]:
    """Return the jumps from line to line that an input takes in what is watched."""
    one_input = target.load()
    watched = _folders(target.packages)
    arcs: set[Arc] = set()
    previous: dict[FrameType, int] = {}

    def trace(frame: FrameType, event: str, _arg: object) -> TraceFunction | None:
        filename = frame.f_code.co_filename
        if not filename.startswith(watched):
            return None
        if event == "line":
            arcs.add((filename, previous.get(frame, 0), frame.f_lineno))
            previous[frame] = frame.f_lineno
        elif event == "return":
            previous.pop(frame, None)
        return trace

    sys.settrace(trace)
    try:
        _failure(one_input, data)
    finally:
        sys.settrace(None)
    return arcs


@cache
def _folders(packages: tuple[str, ...]) -> tuple[str, ...]:
    specs = (importlib.util.find_spec(package) for package in packages)
    return tuple(
        f"{folder}/"
        for spec in specs
        if spec is not None
        for folder in spec.submodule_search_locations or ()
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        run_under_atheris(sys.argv[2], sys.argv[3:])
    sys.exit(main())
