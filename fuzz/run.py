"""Run the fuzz targets: ``python fuzz/run.py [TARGET ...] [--seconds N]``.

Each target runs in a process of its own under atheris. ``--replay`` runs the committed
corpora once, without atheris; ``--minimise`` takes new inputs that reach new code from
``fuzz/found`` into the corpus. Exit code 1 says that something was found.
"""

from __future__ import annotations

import argparse
import importlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, TypeAlias

_HERE = Path(__file__).resolve().parent
_TARGETS = _HERE / "targets"
_CORPUS = _HERE / "corpus"
_FINDINGS = _HERE / "findings"
_FOUND = _HERE / "found"

_MAX_CORPUS_FILES = 20
_MAX_CORPUS_BYTES = 4096

OneInput: TypeAlias = Callable[[bytes], None]
TraceFunction: TypeAlias = Callable[[FrameType, str, Any], Any]
Arc: TypeAlias = tuple[str, int, int]
"""File, line before, line."""


def main() -> int:
    """Parse the command line and do what it says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="default: all")
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--replay", action="store_true", help="run the corpora once")
    parser.add_argument("--minimise", action="store_true", help="merge what was found")
    options = parser.parse_args()
    known = sorted(path.stem for path in _TARGETS.glob("*.py"))
    names = options.targets or known
    unknown = sorted(set(names) - set(known))
    if unknown:
        parser.error(f"no such target: {', '.join(unknown)}")
    if options.replay:
        return max(replay(name) for name in names)
    if options.minimise:
        for name in names:
            minimise_corpus(name)
        return 0
    return max(fuzz(name, options.seconds) for name in names)


def load_target(name: str) -> OneInput:
    """Import ``fuzz/targets/<name>.py`` and return its ``one_input``."""
    module = importlib.import_module(f"targets.{name}")
    one_input: OneInput = module.one_input
    return one_input


def corpus_files(name: str) -> list[Path]:
    """Return the committed inputs of a target."""
    return sorted(path for path in (_CORPUS / name).glob("*") if path.is_file())


def replay(name: str) -> int:
    """Run a target over its corpus; return 1 if it has none or one fails."""
    files = corpus_files(name)
    if not files:
        print(f"{name}: no corpus in {_CORPUS / name}")
        return 1
    one_input = load_target(name)
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


def fuzz(name: str, seconds: int) -> int:
    """Run a target under atheris; return 1 if it found something."""
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
        shrink(name, path)
    print(f"{name}: {len(new)} findings, atheris ended with {code}")
    return 1 if new or code else 0


def _atheris(name: str, *arguments: str) -> int:
    script = str(Path(__file__).resolve())
    command = [sys.executable, script, "--child", name, *arguments]
    return subprocess.run(command, check=False).returncode


def run_under_atheris(name: str, arguments: list[str]) -> None:
    """Be the process of one target; never returns."""
    import atheris

    with atheris.instrument_imports(include=["sansmedia"]):
        one_input = load_target(name)
    atheris.Setup([sys.argv[0], *arguments], one_input)
    atheris.Fuzz()


def shrink(name: str, path: Path) -> None:
    """Cut a finding down while it fails in the same way."""
    one_input = load_target(name)
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


def minimise_corpus(name: str) -> None:
    """Take into the corpus what was found and reaches code that it does not.

    The committed files stay. Of the new ones, that which reaches most is taken first,
    until nothing new is reached or the corpus has 20 files.
    """
    one_input = load_target(name)
    corpus = corpus_files(name)
    reached: set[Arc] = set()
    for path in corpus:
        reached |= _arcs(one_input, path.read_bytes())
    candidates = {
        path: _arcs(one_input, path.read_bytes())
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


def _arcs(one_input: OneInput, data: bytes) -> set[Arc]:
    """Return the jumps from line to line that an input takes in sansmedia."""
    arcs: set[Arc] = set()
    previous: dict[FrameType, int] = {}

    def trace(frame: FrameType, event: str, _arg: object) -> TraceFunction | None:
        filename = frame.f_code.co_filename
        if "/sansmedia/" not in filename:
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


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        run_under_atheris(sys.argv[2], sys.argv[3:])
    sys.exit(main())
