"""A request for a file, and what a mount answers when it cannot serve one."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, TypeAlias
from urllib.parse import parse_qsl, unquote_to_bytes

import attrs

from penstock.net.http_connection import GONE
from penstock.storage.errors import (
    AccessDenied,
    BadName,
    FileMissing,
    StorageError,
    StorageFull,
    TooLarge,
    WriteIncomplete,
)

from .access import password_matches

__all__ = [
    "ErrorAnswer",
    "FileFailure",
    "FileRequest",
    "Message",
    "Receive",
    "Send",
    "decode_file_name",
    "failure_of",
    "is_authorized",
    "plain_error",
]

# The shapes that the ASGI specification leaves to the frameworks to name.
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]

_MAX_QUERY = 4096
"""Characters; what stands behind is not looked at."""
_MAX_FIELDS = 32

_HARMFUL = re.compile(rb"[\0\\]|%(?![0-9a-fA-F]{2})|%(?:00|2[fF]|5[cC])")


def _never() -> bool:
    return False


@attrs.frozen
class FileRequest:
    """One HTTP request."""

    method: str
    raw_path: bytes
    """As it came, without the query."""
    query: str
    headers: Mapping[str, str]
    """By name in lower case; several lines joined with commas."""
    peer: str
    """IP address of the connection; "" if it has gone."""
    is_gone: Callable[[], bool] = _never
    """Tells whether the connection has failed, as far as the host says that."""

    @classmethod
    def of(cls, scope: Message) -> FileRequest:
        """Take it from an ASGI scope."""
        headers: dict[str, str] = {}
        for raw_name, raw_value in scope["headers"]:
            name = raw_name.decode("latin-1").lower()
            value = raw_value.decode("latin-1")
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        return cls(
            scope["method"],
            scope["raw_path"].partition(b"?")[0],
            scope["query_string"].decode("latin-1"),
            headers,
            scope["client"][0] if scope.get("client") else "",
            (scope.get("extensions") or {}).get(GONE, _never),
        )

    def header(self, name: str) -> str | None:
        """Return the value of a field."""
        return self.headers.get(name.lower())

    def parameter(self, name: str) -> str:
        """Return the first value of a query parameter, "" if there is none."""
        query = self.query[:_MAX_QUERY]
        if query.count("&") >= _MAX_FIELDS:
            query = "&".join(query.split("&", _MAX_FIELDS)[:_MAX_FIELDS])
        for key, value in parse_qsl(query):
            if key == name:
                return value
        return ""

    @property
    def path(self) -> str:
        """The path as it came, to be shown."""
        return self.raw_path.decode("latin-1")

    @property
    def body_size(self) -> int | None:
        """Octets that the body is said to have; None if nothing is said."""
        declared = self.headers.get("content-length", "")
        # More digits than any disk has octets: the file system refuses it.
        return int(declared[:19]) if declared.isascii() and declared.isdigit() else None


@attrs.frozen
class FileFailure(Exception):
    """Why a request is not served."""

    status: int
    reason: str
    """For people; one sentence without a full stop."""
    path: str = ""
    """As it came."""
    headers: tuple[tuple[str, str], ...] = ()
    """What belongs to the status: Allow, WWW-Authenticate, Content-Range."""


@attrs.frozen
class ErrorAnswer:
    """How a failure is told."""

    status: int
    content_type: str
    body: bytes


def plain_error(failure: FileFailure) -> ErrorAnswer:
    """Tell a failure as a line of text."""
    body = f"{failure.reason}.\n".encode()
    return ErrorAnswer(failure.status, "text/plain; charset=utf-8", body)


def decode_file_name(raw_path: bytes, prefix: str) -> str:
    """Return the name of a file by the path of its URL, decoded exactly once.

    Whatever could be read as another path by a proxy in front of us, or by whoever
    decodes once more, is refused: an escaped slash or backslash, and dot segments,
    which clients take out before they ask.

    Args:
        raw_path: As it came, without the query.
        prefix: Of the mount, like ``/memfs``, or "" at the root.

    Returns:
        A name that begins with ``/``, with a last ``/`` for a directory; the file
        system has still to check it.

    Raises:
        BadName: No file has it.
    """
    start = prefix.encode() + b"/"
    if not raw_path.startswith(start) or _HARMFUL.search(raw_path):
        raise BadName("the path names no file")
    try:
        name = unquote_to_bytes(raw_path[len(start) - 1 :]).decode()
    except UnicodeDecodeError:
        raise BadName("the path is not UTF-8") from None
    if any(part in (".", "..") for part in name.split("/")):
        raise BadName("the path has a dot segment")
    return name


def failure_of(error: StorageError, request: FileRequest) -> FileFailure:
    """Return what a refusal of the file system means in HTTP.

    Source: RFC 9110 §15.5; RFC 4918 §11.5.
    """
    is_write = request.method in ("PUT", "POST")
    if isinstance(error, BadName) and is_write:
        return FileFailure(400, str(error), request.path)
    # What no file can be called is as missing as any other.
    if isinstance(error, FileMissing | BadName):
        return FileFailure(404, "No such file", request.path)
    if isinstance(error, AccessDenied):
        return FileFailure(403, "The server may not do that", request.path)
    if isinstance(error, StorageFull):
        return FileFailure(507, str(error), request.path)
    if isinstance(error, TooLarge):
        return FileFailure(413, str(error), request.path)
    if isinstance(error, WriteIncomplete):
        return FileFailure(400, str(error), request.path)
    return FileFailure(500, "The storage has failed", request.path)


def is_authorized(value: str | None, credentials: tuple[str, str]) -> bool:
    """Tell whether an ``Authorization`` field gives a name and a password.

    Compares in a time that tells nothing about either.

    Source: RFC 7617 §2.
    """
    scheme, _, token = (value or "").partition(" ")
    if scheme.lower() != "basic":
        return False
    try:
        given = base64.b64decode(token.strip(" "), validate=True).decode()
    except (binascii.Error, ValueError):
        return False
    return password_matches(given, ":".join(credentials))
