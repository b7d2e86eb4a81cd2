"""Rules that keep the sources readable, each with the reason it exists."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
from collections import Counter, defaultdict
from pathlib import Path

import pytest

# Tasks start in these files alone, so that the tree of nurseries can be read: the
# application, the listeners, what owns a stream's tasks, and sessions with two sides.
_MAY_START_TASKS = re.compile(
    r"src/penstock/("
    r"app|cli|demo|(cli|demo)/\w+"
    r"|net/listener|net/driver"
    r"|engine/registry|engine/hooks|engine/supervisor"
    r"|sessions/\w+|jobs/(job|probing|run|supervisor)|web/server|dialects/hosting|job_service"
    r")\.py"
)

# Nothing below the dialects knows one of them.
_DIALECT = re.compile(r"\b(srs|ome|mmids|live777|datarhei)\b", re.IGNORECASE)
_NEUTRAL = ("engine", "sessions", "media", "net", "convert", "jobs", "storage")

# What everybody needs is written once, in the layer where all can reach it.
_WRITTEN_ONCE = {
    "rescale",
    "split_annexb",
    "join_annexb",
    "split_length_prefixed",
    "join_length_prefixed",
    "escape_rbsp",
    "unescape_rbsp",
    "serial_add",
    "serial_distance",
    "serial_less",
    "unwrap",
}


def _name(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def test_no_module_grows_beyond_700_lines(root: Path, modules: list[Path]) -> None:
    lengths = {_name(path, root): path.read_bytes().count(b"\n") for path in modules}
    assert {name: n for name, n in lengths.items() if n > 700} == {}


@pytest.mark.parametrize("package", ["sansmedia", "penstock"])
def test_what_a_module_offers_is_there(package: str) -> None:
    """Otherwise ``from module import *`` fails."""
    root = importlib.import_module(package)
    names = [
        module.name for module in pkgutil.walk_packages(root.__path__, f"{package}.")
    ]
    assert len(names) > 50
    missing = {
        f"{name}.{offered}"
        for name in names
        if not name.endswith("__main__")
        for module in [importlib.import_module(name)]
        for offered in getattr(module, "__all__", ())
        if not hasattr(module, offered)
    }
    assert missing == set()


def test_tasks_start_in_the_named_files_alone(root: Path, modules: list[Path]) -> None:
    starters = set()
    for path in modules:
        if not _name(path, root).startswith("src/"):
            continue
        for node in ast.walk(_tree(path)):
            if isinstance(node, ast.Attribute) and node.attr == "start_soon":
                starters.add(_name(path, root))
    assert {name for name in starters if not _MAY_START_TASKS.fullmatch(name)} == set()


def test_nothing_below_the_dialects_knows_one(root: Path, modules: list[Path]) -> None:
    neutral = tuple(f"src/penstock/{folder}/" for folder in _NEUTRAL)
    found = [
        f"{_name(path, root)}:{number}: {line.strip()}"
        for path in modules
        if _name(path, root).startswith(neutral)
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if _DIALECT.search(line)
    ]
    assert found == []


def test_common_functions_are_written_once(root: Path, modules: list[Path]) -> None:
    places: dict[str, list[str]] = defaultdict(list)
    for path in modules:
        name = _name(path, root)
        if name.startswith(("src/", "protocols/")):
            for node in ast.walk(_tree(path)):
                if isinstance(node, ast.FunctionDef):
                    places[node.name.lstrip("_")].append(name)
    twice = {name: places[name] for name in _WRITTEN_ONCE if len(places[name]) > 1}
    assert twice == {}


def _imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize(
    ("folder", "more"), [("targets", {"penstock"}), ("server", set())]
)
def test_fuzz_targets_import_what_they_are_about_alone(
    root: Path, folder: str, more: set[str]
) -> None:
    forbidden = {"trio", "pytest", "hypothesis", "atheris"} | more
    paths = list((root / "fuzz" / folder).rglob("*.py"))
    foreign = {
        f"{path.name}: {name}"
        for path in paths
        for name in _imports(path)
        if name.split(".")[0] in forbidden
    }
    assert paths
    assert foreign == set()


def test_a_fuzz_target_has_its_name_alone(root: Path) -> None:
    # Their corpora stand in one folder.
    names = Counter(path.stem for path in (root / "fuzz").glob("*/*.py"))
    assert {name for name, count in names.items() if count > 1} == set()


def test_dialects_reach_the_server_through_control(root: Path) -> None:
    # The settings are plain data, one class of them the dialect's own; slices are how
    # anybody builds a long answer, and the log is everybody's.
    allowed = (
        *("penstock.control", "penstock.dialects", "penstock.settings"),
        *("penstock.log", "penstock.slices"),
    )
    foreign = {
        f"{_name(path, root)}: {name}"
        for path in (root / "src" / "penstock" / "dialects").rglob("*.py")
        # The launcher stands before the server: it reads a foreign file and starts us.
        if path.name != "launcher.py"
        for name in _imports(path)
        if name.startswith("penstock.") and not name.startswith(allowed)
    }
    assert foreign == set()


def test_nothing_edits_the_import_path(root: Path, modules: list[Path]) -> None:
    editors = {
        _name(path, root)
        for path in modules
        for node in ast.walk(_tree(path))
        if isinstance(node, ast.Attribute)
        and node.attr == "path"
        and isinstance(node.value, ast.Name)
        and node.value.id == "sys"
    }
    assert editors == set()


def test_tests_do_not_sleep(root: Path, modules: list[Path]) -> None:
    sleepers = {
        _name(path, root)
        for path in modules
        if _name(path, root).startswith("tests/")
        for node in ast.walk(_tree(path))
        if isinstance(node, ast.Attribute)
        and node.attr == "sleep"
        and isinstance(node.value, ast.Name)
        and node.value.id in {"time", "asyncio"}
    }
    assert sleepers == set()


def test_no_sentence_promises_later_work(root: Path, modules: list[Path]) -> None:
    promise = re.compile(
        r"#.*\b(TO" r"DO|FIX" r"ME|XX" r"X)\b|raise NotImplementedError"
    )
    found = [
        f"{_name(path, root)}:{number}"
        for path in modules
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if promise.search(line) and path != Path(__file__)
    ]
    assert found == []


def test_no_path_of_a_developers_machine_is_left(root: Path, files: list[Path]) -> None:
    machine_path = re.compile(rb"/(?:home|root|work|Users|opt)/[A-Za-z0-9]")
    text = {
        ".py",
        ".md",
        ".toml",
        ".ini",
        ".cfg",
        ".txt",
        ".html",
        ".css",
        ".js",
        ".json",
    }
    found = [
        f"{_name(path, root)}:{number}"
        for path in files
        if (path.suffix in text or path.parent.name == ".ci") and path != Path(__file__)
        # Recordings tell of the machine that other programs ran on.
        if root / "tests" / "data" not in path.parents
        for number, line in enumerate(path.read_bytes().splitlines(), 1)
        if machine_path.search(line)
    ]
    assert found == []
