"""``penstock-srs``: start as SRS is started, from its file or its environment."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import attrs

from penstock.settings import Settings

from .conf import ConfError
from .config import Translation, translate
from .shapes import SIGNATURE, VERSION

__all__ = ["main", "settings_of"]

EXIT_CONFIG = 2


@attrs.frozen
class _Source:
    """Where the configuration comes from, so that a reload reads the same again."""

    path: str | None
    folder: Path
    """Where the process was started: the file and its includes are found from it."""
    environ: Mapping[str, str]

    def translate(self) -> Translation:
        return translate(self.path, self._read, self.environ)

    def load(self) -> Settings:
        """Read everything again. Raises: the configuration's own error."""
        from penstock.config import ConfigError

        try:
            return settings_of(self.translate())
        except ConfError as error:
            raise ConfigError("", "", str(error)) from None

    def _read(self, path: str) -> str:
        try:
            return (self.folder / path).read_text("utf-8-sig", "replace")
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise ConfError(f"{path}: cannot be read: {reason}") from None


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``penstock-srs``; return the exit code."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    if arguments.version:
        print(VERSION)
        return 0
    if arguments.signature:
        print(SIGNATURE)
        return 0
    if (arguments.config is None) is not arguments.environment:
        parser.error("expected -c FILE or -e")
    source = _Source(_file(arguments.config), Path.cwd(), os.environ)
    try:
        return _start(source, test=arguments.test, ready_file=arguments.ready_file)
    except ConfError as error:
        _say(str(error))
        return EXIT_CONFIG


def _file(given: str | None) -> str | None:
    """Return the file to read: SRS's variables may name another one, or none."""
    if given is None or "SRS_ENV_ONLY" in os.environ:
        return None
    return os.environ.get("SRS_CONFIG_FILE") or given


def _start(source: _Source, *, test: bool, ready_file: str | None) -> int:
    from penstock.cli import serve
    from penstock.config import ConfigError

    translation = source.translate()
    if ready_file is not None:
        ready_file = os.path.abspath(ready_file)
    # SRS changes to its work directory first and takes every path from there.
    _enter(translation.work_dir)
    try:
        settings = settings_of(translation)
    except ConfigError as error:
        raise ConfError(str(error)) from None
    for note in translation.notes:
        _say(note)
    if test:
        _say(f"{source.path or 'the environment'} is ok")
        return 0
    auth = settings.auth
    narrowed = auth.publish_allow or auth.publish_deny or settings.hooks.on_publish
    if auth.publish == "open" and not narrowed:
        _say("publishing is open, as in SRS: whoever reaches the port may publish")
    _take_signals()
    with _PidFile(translation.pid_file):
        return serve(settings, ready_file=ready_file, loader=source.load)


def settings_of(translation: Translation) -> Settings:
    """Check a translation and make it our configuration.

    Raises:
        penstock.config.ConfigError: Naming the foreign directive at fault.
    """
    from penstock.config import ConfigError, load

    sets = [f"{key}={_toml(value)}" for key, value in translation.values.items()]
    try:
        return load(None, sets, {})
    except ConfigError as error:
        where = translation.origins.get(error.key, error.key)
        raise ConfigError(where, "", error.message) from None


def _toml(value: object) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    if isinstance(value, dict):
        items = ", ".join(f"{key} = {_toml(item)}" for key, item in value.items())
        return "{" + items + "}"
    # JSON's texts, numbers and booleans are TOML's.
    return json.dumps(value, ensure_ascii=False)


def _enter(folder: str) -> None:
    if not folder:
        return
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        os.chdir(folder)
    except OSError as error:
        raise ConfError(f"work_dir: {folder}: {error.strerror}") from None


def _take_signals() -> None:
    """Handle what SRS's operators send and a Python process would die of."""
    # SRS reopens its log file; ours is standard error.
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    signal.signal(signal.SIGQUIT, lambda *_: signal.raise_signal(signal.SIGTERM))


@attrs.define
class _PidFile:
    """The process id in a file while the server runs; empty is none."""

    path: str

    def __enter__(self) -> None:
        if not self.path:
            return
        try:
            Path(self.path).parent.mkdir(parents=True, exist_ok=True)
            Path(self.path).write_text(str(os.getpid()))
        except OSError as error:
            raise ConfError(f"pid: {self.path}: {error.strerror}") from None

    def __exit__(self, *_: object) -> None:
        if self.path:
            Path(self.path).unlink(missing_ok=True)


def _say(line: str) -> None:
    shown = "".join(char if char.isprintable() else repr(char)[1:-1] for char in line)
    print(f"penstock-srs: {shown}", file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="penstock-srs",
        description="Start penstock from a configuration of SRS.",
        add_help=False,
    )
    flag = partial(parser.add_argument, action="store_true")
    parser.add_argument("-c", metavar="FILE", dest="config", help="read this srs.conf")
    flag("-e", dest="environment", help="read the environment alone (SRS_...)")
    flag("-t", dest="test", help="only check the configuration")
    flag("-v", "-V", dest="version", help="show the version of SRS that is spoken")
    flag("-g", "-G", dest="signature", help="show the signature of SRS that is spoken")
    parser.add_argument(
        "--ready-file", metavar="FILE", help="write the bound addresses as JSON"
    )
    parser.add_argument("-h", "-?", "--help", action="help", help="show this help")
    return parser
