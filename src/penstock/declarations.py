"""How keys of the configuration are declared: checks, help, when a change counts."""

from __future__ import annotations

from typing import Any

import attrs

__all__ = ["section", "setting"]


def setting(
    default: Any,  # noqa: ANN401
    help: str,
    *,
    secret: bool = False,
    form: str = "text",
    choices: tuple[str, ...] = (),
    minimum: float | None = None,
    maximum: float | None = None,
    restart: bool = False,
) -> Any:  # noqa: ANN401
    """Declare one key.

    Args:
        default: Its value when nothing sets it.
        help: What it is for, in one sentence.
        secret: Whether logs and `penstock check` mask it.
        form: What a text, or each item of a list, must be: "text", "address"
            (``host:port``, or empty), "file" (readable, or empty), "network"
            (address or CIDR), "ip" (address), "hook" (``http(s)://`` URL), "ice"
            (``stun:`` or ``turn:`` URL), "passphrase" (SRT's, or empty), "origin",
            "regex" or "token".
        choices: The only texts allowed, if any.
        minimum: Smallest number allowed.
        maximum: Largest number allowed.
        restart: Whether a change waits for the next start instead of a reload.
    """
    metadata = {
        "help": help,
        "secret": secret,
        "form": form,
        "choices": choices,
        "minimum": minimum,
        "maximum": maximum,
        "restart": restart,
    }
    if isinstance(default, list):
        return attrs.field(factory=lambda: list(default), metadata=metadata)
    return attrs.field(default=default, metadata=metadata)


def section(kind: type[Any], help: str) -> Any:  # noqa: ANN401
    """Declare a sub-table."""
    return attrs.field(factory=kind, metadata={"help": help})
