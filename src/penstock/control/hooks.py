"""What the engine asks and tells the outside world about sessions.

The engine makes `HookEvent`s; a dialect's `HookFormat` turns one into an HTTP request
and judges the answer. Both are pure; `penstock.engine.callbacks` does the sending.
"""

from __future__ import annotations

import enum
from typing import Protocol

import attrs

from .views import ServerView, SessionView

__all__ = ["HookAction", "HookEvent", "HookFormat", "HookRequest"]


class HookAction(enum.Enum):
    """The moments a hook can be called at; the first three may refuse."""

    CONNECT = "on_connect"
    PUBLISH = "on_publish"
    PLAY = "on_play"
    UNPUBLISH = "on_unpublish"
    STOP = "on_stop"
    CLOSE = "on_close"

    @property
    def may_refuse(self) -> bool:
        """Whether the answer decides; otherwise it is only logged."""
        return self in (HookAction.CONNECT, HookAction.PUBLISH, HookAction.PLAY)


@attrs.frozen
class HookEvent:
    """One moment of one session."""

    action: HookAction
    session: SessionView
    parameters: str
    """The client's query as it came, without "?", secrets unmasked."""
    tc_url: str
    """The client's address as it came, secrets unmasked."""
    page_url: str
    """The client's page as it came, secrets unmasked."""


@attrs.frozen
class HookRequest:
    """An HTTP request to send."""

    method: str
    url: str
    headers: tuple[tuple[str, str], ...]
    body: bytes


class HookFormat(Protocol):
    """How one dialect writes hooks; pure."""

    def request(self, url: str, event: HookEvent, server: ServerView) -> HookRequest:
        """Return the request that tells ``event`` to ``url``."""
        ...

    def refusal(self, status: int, body: bytes) -> str | None:
        """Judge an answer: None if it accepts, else the reason in one phrase."""
        ...
