"""What an API may change of the configuration while the server runs.

Beside the operator's configuration a server keeps one document of an API's: a JSON
object, empty at first, that says what is different from it. Whoever implements this
keeps the document, and applies it when it is told to reload.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

__all__ = ["Configuration"]


class Configuration(Protocol):
    """The document of one API, and the command to apply it."""

    async def load(self) -> dict[str, Any]:
        """Return the document that was saved last; {} before any was."""
        ...

    async def save(self, document: Mapping[str, Any]) -> None:
        """Keep a document; it counts from the next `reload` on.

        Raises:
            Invalid: It could not be applied, with what is wrong; it is not kept.
            Unavailable: It cannot be kept.
        """
        ...

    async def reload(self) -> None:
        """Apply the operator's configuration and the document over it.

        Raises: Invalid with what is wrong; then nothing changed.
        """
        ...
