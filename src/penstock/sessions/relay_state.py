"""What is known of one relay, to its supervisor, its legs and those who ask."""

from __future__ import annotations

import uuid

import attrs
import trio

from penstock import log
from penstock.control import RelayView
from penstock.engine.engine import Engine
from penstock.engine.session import StreamKey
from penstock.settings import RelaySettings

__all__ = ["UNWATCHED_S", "Relay"]

UNWATCHED_S = 10.0
"""A pull on demand ends when nobody has watched for so long."""


@attrs.define(eq=False)
class Relay:
    """One configured relay and how it fares. Its legs say what comes of it."""

    settings: RelaySettings
    id: str = attrs.field(factory=lambda: uuid.uuid4().hex)
    state: str = "waiting"
    attempts: int = 0
    last_error: str = ""
    session_id: str | None = None
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)

    @property
    def pulls(self) -> bool:
        """True if the source is remote."""
        return "://" in self.settings.source

    @property
    def remote_url(self) -> str:
        """The end that is elsewhere."""
        return self.settings.source if self.pulls else self.settings.destination

    @property
    def key(self) -> StreamKey:
        """The end that is here."""
        local = self.settings.destination if self.pulls else self.settings.source
        app, _, name = local.rpartition("/")
        return StreamKey("default", app, name)

    @property
    def masked_destination(self) -> str:
        """The destination for logs and views; RTMP's ends with the stream key."""
        url = self.settings.destination
        return log.mask_url(url, hide_name=url.startswith("rtmp"))

    def is_watched(self, engine: Engine) -> bool:
        """Tell whether its stream has viewers, or need not have any."""
        stream = engine.registry.streams.get(self.key)
        return not self.settings.on_demand or bool(stream and stream.audience)

    def view(self) -> RelayView:
        """Return what control shows."""
        return RelayView(
            id=self.id,
            source=log.mask_url(self.settings.source),
            destination=self.masked_destination,
            state=self.state,
            attempts=self.attempts,
            last_error=self.last_error,
            session_id=self.session_id,
        )
