"""What a mount of files lets whom do, and one request's answer by these rules."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeAlias

import attrs

from penstock.storage.media_types import DEFAULT_TYPE, MEDIA_TYPES

from .access import is_same_origin
from .file_bodies import send_answer
from .file_requests import (
    ErrorAnswer,
    FileFailure,
    FileRequest,
    Receive,
    Send,
    is_authorized,
    plain_error,
)

__all__ = ["Exchange", "Headers", "MountRules"]

Headers: TypeAlias = list[tuple[str, str]]

_PREFLIGHT_S = 86_400
_ALLOWED_HEADERS = (
    "Authorization, Content-Type, If-Match, If-None-Match, Origin, Range, "
    "X-Requested-With"
)
_EXPOSED_HEADERS = "Accept-Ranges, Content-Length, Content-Range, ETag, Last-Modified"


def _nobody() -> tuple[str, str] | None:
    return None


def _no_origins() -> Sequence[str]:
    return ()


@attrs.frozen
class MountRules:
    """What a mount lets whom do, and how it looks. Callables are asked each time."""

    is_writable: bool = False
    """Whether PUT, POST and DELETE are served at all."""
    credentials: Callable[[], tuple[str, str] | None] = _nobody
    """Name and password that a write needs; None if it needs none."""
    realm: str = "Restricted"
    cors_origins: Callable[[], Sequence[str]] = _no_origins
    """Origins whose pages may use the files; ``*`` is all."""
    index: str = ""
    """The file that a directory gives, as ``index.html``; "" if it gives none."""
    gzip: bool = True
    """Compress texts for clients that take it."""
    max_age: int | None = None
    """Seconds that caches may use a file unasked; never said of playlists. None lets
    them guess from its age."""
    media_types: Mapping[str, str] = MEDIA_TYPES
    default_type: str = DEFAULT_TYPE
    local_directory: str = ""
    """Lines of playlists that begin with this directory are made relative."""
    is_boxed: bool = False
    """Whether pages among the files may neither run scripts nor have this origin."""
    finds_variants: bool = False
    """A master playlist that lists nothing is given the playlists that are called as it
    and a ``_`` with more. All names are looked at: for file systems that are quick."""
    error: Callable[[FileFailure], ErrorAnswer] = plain_error
    """How failures are told; a dialect puts its own shape, or another status, here."""

    @property
    def allow(self) -> str:
        """The value of ``Allow``."""
        writes = "PUT, POST, DELETE, " if self.is_writable else ""
        return f"GET, HEAD, {writes}OPTIONS"

    def check_writer(self, request: FileRequest) -> None:
        """Raise `FileFailure` for who may not write."""
        if not self.is_writable:
            allow = (("Allow", self.allow),)
            raise FileFailure(405, "Files here cannot be written", request.path, allow)
        origins = self.cors_origins()
        # A browser sends a simple POST of any page, with the password it remembers,
        # without asking; it asks before PUT and DELETE and then sends no password of
        # its own.
        if (
            request.method == "POST"
            and not is_same_origin(request.headers)
            and request.header("Origin") not in origins
        ):
            raise FileFailure(
                403, "A page of another origin may not post", request.path
            )
        credentials = self.credentials()
        if credentials is None:
            return
        if not is_authorized(request.header("Authorization"), credentials):
            asks = (("WWW-Authenticate", f'Basic realm="{self.realm}"'),)
            raise FileFailure(
                401, "A name and a password are needed", request.path, asks
            )


@attrs.define(eq=False)
class Exchange:
    """One request and the answer to it."""

    request: FileRequest
    rules: MountRules
    receive: Receive
    send: Send
    has_begun: bool = False

    async def begin(self, status: int, headers: Iterable[tuple[str, str]]) -> None:
        """Send the head of an answer whose blocks follow."""
        await self._send(status, headers, None)

    async def answer(
        self, status: int, headers: Iterable[tuple[str, str]], body: bytes = b""
    ) -> None:
        """Send a whole answer; a HEAD is spared the body."""
        is_head = self.request.method == "HEAD"
        await self._send(status, headers, b"" if is_head else body)

    async def fail(self, failure: FileFailure) -> None:
        """Tell a failure in the mount's own way."""
        told = self.rules.error(failure)
        headers = [
            ("Content-Type", told.content_type),
            ("Content-Length", str(len(told.body))),
            ("Cache-Control", "no-store"),
            *failure.headers,
        ]
        await self.answer(told.status, headers, told.body)

    async def _send(
        self, status: int, headers: Iterable[tuple[str, str]], body: bytes | None
    ) -> None:
        self.has_begun = True
        common = [("X-Content-Type-Options", "nosniff"), *self._cors()]
        if self.rules.is_boxed:
            common.append(("Content-Security-Policy", "sandbox"))
        await send_answer(self.send, status, [*headers, *common], body)

    def _cors(self) -> Headers:
        """Return what lets pages of other origins use an answer.

        No credentials are allowed: a page that writes has to know the password itself.
        """
        origins = self.rules.cors_origins()
        if not origins:
            return []
        origin = self.request.header("Origin")
        headers = [("Vary", "Origin")]
        if origin is None or ("*" not in origins and origin not in origins):
            return headers
        allowed = "*" if "*" in origins else origin
        headers.append(("Access-Control-Allow-Origin", allowed))
        if self.request.method == "OPTIONS":
            headers += [
                ("Access-Control-Allow-Methods", self.rules.allow),
                ("Access-Control-Allow-Headers", _ALLOWED_HEADERS),
                ("Access-Control-Max-Age", str(_PREFLIGHT_S)),
            ]
        else:
            headers.append(("Access-Control-Expose-Headers", _EXPOSED_HEADERS))
        return headers
