"""Gathering the values of one configuration from where they may stand."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence

from penstock.settings import Settings

from .checks import check
from .errors import ConfigError
from .schema import ENVIRONMENT_PREFIX, Key, build, keys, nearest, sections
from .values import from_text, judge

__all__ = ["load", "origins"]

# Kubernetes and container links give every pod PENSTOCK_PORT, PENSTOCK_SERVICE_HOST
# and the like for a service named "penstock"; those are not ours to refuse.
_SERVICE_LINK = re.compile(r"PENSTOCK_(SERVICE_(HOST|PORT)|PORT)(_[A-Z0-9_]+)?")
_KEY = re.compile(r"[A-Za-z0-9_.]+")


def load(path: str | None, sets: Sequence[str], environ: Mapping[str, str]) -> Settings:
    """Read and check one configuration.

    ``--set`` wins over the environment, which wins over the file.

    Args:
        path: A TOML file, or None for none.
        sets: ``section.key=value`` items, the last of a key wins.
        environ: Variables; those named ``PENSTOCK_SECTION_KEY`` count.

    Raises:
        ConfigError: For the first thing that is wrong.
    """
    gathered = _gather(path, sets, environ)
    settings = build(gathered.values)
    check(settings, lambda key: gathered.origins.get(key, "defaults"))
    return settings


def origins(
    path: str | None, sets: Sequence[str], environ: Mapping[str, str]
) -> dict[str, str]:
    """Return where each key that is set stands: a file, "environment" or "--set".

    Raises:
        ConfigError: As `load` does.
    """
    return _gather(path, sets, environ).origins


def _gather(
    path: str | None, sets: Sequence[str], environ: Mapping[str, str]
) -> _Gathered:
    gathered = _Gathered()
    if path is not None:
        gathered.add_table(path, _read(path), "")
    for name in sorted(environ):
        if name.startswith(ENVIRONMENT_PREFIX):
            gathered.add_variable(name, environ[name])
    for item in sets:
        gathered.add_set(item)
    return gathered


def _read(path: str) -> dict[str, object]:
    try:
        with open(path, "rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise ConfigError(path, "", f"cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(path, "", "expected TOML in UTF-8") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(path, "", f"expected TOML: {error}") from None


class _Gathered:
    def __init__(self) -> None:
        self.values: dict[str, object] = {}
        self.origins: dict[str, str] = {}

    def add_table(self, path: str, table: dict[str, object], prefix: str) -> None:
        for name, value in table.items():
            dotted = prefix + name
            if dotted in sections():
                if not isinstance(value, dict):
                    raise ConfigError(path, dotted, f"expected a table [{dotted}]")
                self.add_table(path, value, dotted + ".")
            elif dotted in keys():
                self._put(path, keys()[dotted], dotted, value)
            else:
                raise ConfigError(path, dotted, _unknown_key(dotted, prefix))

    def add_variable(self, name: str, text: str) -> None:
        variables = {key.variable: key for key in keys().values()}
        key = variables.get(name)
        if key is not None:
            self._put_text("environment", key, name, text)
        elif not _SERVICE_LINK.fullmatch(name):
            close = nearest(name, variables)
            hint = f"; did you mean {close}?" if close else ""
            raise ConfigError("environment", name, f"unknown variable{hint}")

    def add_set(self, item: str) -> None:
        name, separator, text = item.partition("=")
        name = name.strip()
        if not separator or not _KEY.fullmatch(name):
            message = "expected section.key=value"
            raise ConfigError("--set", "", message)
        key = keys().get(name)
        if name in sections():
            own = ", ".join(_within(name + "."))
            raise ConfigError("--set", name, f"expected one of its keys: {own}")
        if key is None:
            prefix = name.rpartition(".")[0]
            message = _unknown_key(name, prefix + "." if prefix else "")
            raise ConfigError("--set", name, message)
        self._put_text("--set", key, name, text)

    def _put_text(self, origin: str, key: Key, name: str, text: str) -> None:
        try:
            value = from_text(key, text)
        except ValueError as error:
            raise ConfigError(origin, name, str(error)) from None
        self._put(origin, key, name, value)

    def _put(self, origin: str, key: Key, name: str, value: object) -> None:
        try:
            self.values[key.path] = judge(key, value)
        except ValueError as error:
            raise ConfigError(origin, name, str(error)) from None
        self.origins[key.path] = origin


def _unknown_key(name: str, prefix: str) -> str:
    known = [*keys(), *sections()]
    # The table it stands in is known to whoever wrote it.
    close = nearest(name, [path for path in known if not name.startswith(path + ".")])
    if close:
        return f"unknown key; did you mean {close}?"
    where = f"[{prefix[:-1]}]" if prefix else "the top level"
    return f"unknown key; {where} has {', '.join(_within(prefix))}"


def _within(prefix: str) -> list[str]:
    """Return the names of the keys and tables right below ``prefix``."""
    names = [
        path.removeprefix(prefix)
        for path in [*keys(), *sections()]
        if path.startswith(prefix)
    ]
    return sorted(name for name in names if "." not in name)
