"""A configuration with some of its values replaced."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from penstock.settings import Settings

from .checks import check
from .errors import ConfigError

__all__ = ["with_values"]


def with_values(
    settings: Settings, values: Mapping[str, object], origin: str
) -> Settings:
    """Return ``settings`` with other values, checked as a whole.

    Args:
        settings: The configuration.
        values: By key, as in ``log.level``; of the right types.
        origin: Where the values are from, for the error.

    Raises:
        ConfigError: They contradict the others.
    """
    for key, value in values.items():
        settings = _with(settings, key.split("."), value)
    try:
        check(settings, lambda key: origin if key in values else "the configuration")
    except ValueError as error:
        raise ConfigError(origin, "", str(error)) from error
    return settings


def _with(section: Any, path: list[str], value: object) -> Any:  # noqa: ANN401
    name, *rest = path
    inner = _with(getattr(section, name), rest, value) if rest else value
    return attrs.evolve(section, **{name: inner})
