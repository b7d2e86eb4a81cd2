"""The one door into the engine for every API, page and dialect.

Commands and queries are methods of `Control`; they answer views and raise
`ControlError`. Look-ups are async because a later registry may have to ask another
worker. `app.py` gives the implementation (`penstock.engine` behind it).
"""

from __future__ import annotations

from typing import Protocol

from .views import RelayView, ServerView, SessionView, StreamView, VhostView

__all__ = ["Control"]


class Control(Protocol):
    """Commands and queries over one running server."""

    async def server(self) -> ServerView:
        """Return the server's own figures."""
        ...

    async def vhosts(self) -> list[VhostView]:
        """Return the virtual hosts that have seen a session, oldest first."""
        ...

    async def streams(self) -> list[StreamView]:
        """Return every stream entry, ascending by id.

        Yields to the loop while it collects, so that a thousand streams hold it
        for no longer than a slice.
        """
        ...

    async def stream(self, stream_id: str) -> StreamView:
        """Return one stream. Raises: NotFound."""
        ...

    async def sessions(self) -> list[SessionView]:
        """Return every media session, ascending by id; slices like `streams`."""
        ...

    async def session(self, session_id: str) -> SessionView:
        """Return one session. Raises: NotFound."""
        ...

    async def kick(self, session_id: str, reason: str) -> None:
        """End a session; the entry vanishes a moment later. Raises: NotFound."""
        ...

    async def relays(self) -> list[RelayView]:
        """Return the configured and running relays."""
        ...

    async def reload(self) -> None:
        """Read the configuration again, as SIGHUP does.

        Raises: Invalid with the configuration's own error line; then nothing changed.
        """
        ...
