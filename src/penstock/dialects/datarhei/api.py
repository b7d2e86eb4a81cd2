"""The whole API of one server: its routes, and what runs beside them."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

import attrs
import trio

from penstock.control import Control
from penstock.control.configuration import Configuration
from penstock.control.files import Mount
from penstock.control.jobs import JobControl
from penstock.control.system import SystemFigures
from penstock.settings import Settings

from .about import Identity, about_routes, identify, moment
from .access import AccessGuard
from .config_base import ConfigFacts, base_document
from .config_document import merged
from .config_routes import config_routes
from .config_rules import overlay
from .files_routes import files_routes
from .lists import list_routes
from .log_routes import log_routes
from .login import LoginDesk, login_routes
from .metrics_query import History
from .metrics_routes import Figures, metrics_routes
from .origins import OriginGuard
from .process_routes import process_routes
from .session_rows import Row
from .session_sums import SessionLimits
from .sessions import SessionBook, session_routes
from .site import Client, Route, Site
from .skills_routes import skills_routes
from .widget import widget_routes

__all__ = ["DatarheiApi", "DatarheiParts", "changed_settings"]


def changed_settings(
    settings: Settings, document: Mapping[str, Any]
) -> dict[str, object]:
    """Return which settings the API's clients have changed: dotted name -> value.

    Args:
        settings: The operator's.
        document: What clients have stored; {} for nothing.
    """
    if not document:
        return {}
    base = _base(settings, Identity("", ""), "")
    return overlay(merged(base, document), base)


def _base(settings: Settings, identity: Identity, created_at: str) -> dict[str, Any]:
    api = settings.api.datarhei
    return base_document(
        ConfigFacts(
            settings=settings,
            identity=identity,
            created_at=created_at,
            address=api.listen,
            tls_address=api.https_listen,
            username=api.username,
            password=api.password,
            jwt_secret=api.jwt_secret,
            disable_localhost=api.disable_localhost,
            read_only=api.read_only,
            state_dir=settings.storage.dir,
            rtmp_app=api.rtmp_app,
            storage=settings.storage,
            ffmpeg=settings.ffmpeg,
            prometheus=api.prometheus,
        )
    )


@attrs.frozen
class DatarheiParts:
    """What the API speaks for."""

    control: Control
    jobs: JobControl
    system: SystemFigures
    mounts: Sequence[Mount]
    configuration: Configuration
    settings: Callable[[], Settings]
    """Gives the configuration in force."""
    operators: Callable[[], Settings]
    """Gives it without what clients of this API have changed."""
    loaded_at: Callable[[], float]
    """Unix seconds of the last reload, or of the start."""
    server_id: str
    client: Client = lambda peer, _: peer
    """Tells whom a request is from."""
    viewers: Callable[[], Iterable[Row]] = lambda: ()
    """Viewers of HLS, which nobody else counts."""
    memory_password: Callable[[], str] = lambda: ""
    """What writes into memory ask for, whoever has chosen it."""


class DatarheiApi:
    """One server's API; run its `tasks`, and serve it as an ASGI application."""

    def __init__(self, parts: DatarheiParts) -> None:
        self._parts = parts
        desk = LoginDesk(lambda: parts.settings().api.datarhei)
        self._book = SessionBook(
            parts.control,
            others=parts.viewers,
            rtmp_app=lambda: parts.settings().api.datarhei.rtmp_app,
            ignored=lambda: parts.settings().api.datarhei.ignored_networks,
            limits=self._limits,
        )
        self._figures = Figures(
            parts.control,
            parts.jobs,
            parts.system,
            parts.mounts,
            self._book,
            History(),
        )
        guard = OriginGuard(desk, lambda: parts.settings().api.datarhei.origins)
        access = AccessGuard(lambda: parts.settings().api.datarhei)
        self._site = Site(self._routes(desk), guard, parts.client, access)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401
        """Serve one ASGI scope."""
        await self._site(scope, receive, send)

    @property
    def tasks(self) -> tuple[Callable[[], Awaitable[None]], ...]:
        """What runs as long as the server: counts sessions, keeps figures."""
        return self._book.run, self._figures.run

    def _limits(self) -> SessionLimits:
        api = self._parts.settings().api.datarhei
        return SessionLimits(api.max_viewers, api.max_viewers_bps)

    def _made_password(self) -> str:
        """Return the password of writes into memory, unless somebody has chosen it."""
        parts = self._parts
        chosen = parts.settings().storage.memory_password
        return "" if chosen else parts.memory_password()

    def _identity(self) -> Identity:
        parts = self._parts
        return identify(parts.server_id, parts.settings().api.datarhei.name)

    def _routes(self, desk: LoginDesk) -> list[Route]:
        parts = self._parts
        created_at = moment(time.time())

        def is_read_only() -> bool:
            return parts.settings().api.datarhei.read_only

        return [
            *about_routes(desk, self._identity, parts.loaded_at),
            *login_routes(desk),
            *process_routes(parts.jobs, is_read_only=is_read_only),
            *skills_routes(parts.jobs),
            *config_routes(
                parts.configuration,
                lambda: _base(parts.operators(), self._identity(), created_at),
                parts.loaded_at,
                is_read_only=is_read_only,
                is_directory=lambda path: trio.Path(path).is_dir(),
                made_password=self._made_password,
            ),
            *files_routes(parts.mounts, is_read_only=is_read_only),
            *log_routes(),
            *metrics_routes(
                self._figures,
                lambda: self._identity().id,
                is_prometheus=lambda: parts.settings().api.datarhei.prometheus,
            ),
            *session_routes(self._book),
            *list_routes(
                parts.control,
                has_rtmp=lambda: bool(parts.settings().rtmp.listen),
                has_srt=lambda: bool(parts.settings().srt.listen),
            ),
            *widget_routes(parts.jobs, self._book),
        ]
