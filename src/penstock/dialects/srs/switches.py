"""Reading the values of directives as SRS reads them."""

from __future__ import annotations

from .conf import ConfError, Directive

__all__ = ["enabled", "is_on", "number"]


def enabled(block: Directive | None, *, default: bool = False) -> bool:
    """Say whether a block is enabled; only the words on and off count, as in SRS."""
    return is_on(block, "enabled", default=default)


def is_on(block: Directive | None, name: str, *, default: bool) -> bool:
    """Read a switch: where off is the default only ``on`` turns it on, and so on."""
    found = block.find(name) if block is not None else None
    if found is None or not found.arguments:
        return default
    return found.argument != "off" if default else found.argument == "on"


def number(directive: Directive) -> int:
    """Return a directive's whole number. Raises: ConfError."""
    try:
        return int(directive.argument)
    except ValueError:
        raise ConfError(
            f"{directive.where}: {directive.name}: expected a whole number, "
            f"not {directive.argument!r}"
        ) from None
