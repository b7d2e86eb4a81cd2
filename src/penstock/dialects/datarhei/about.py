"""Who answers: ``/api`` for everybody and for those who may know more, ``/ping``."""

from __future__ import annotations

import hashlib
import platform
import time
import uuid
from collections.abc import Callable
from typing import Any, Final

import attrs

from .answers import Answer, Failure, as_json, text
from .login import LoginDesk
from .requests import Request
from .site import Route

__all__ = ["VERSION", "Identity", "about_routes", "identify", "moment"]

VERSION: Final = "16.16.0"
"""Of datarhei Core, whose API this is: clients look at it before all else."""
_APP: Final = "datarhei-core"
# The reference draws a name when it is installed; one of these goes with each id.
_QUALITIES: Final = (
    "quiet",
    "clear",
    "early",
    "green",
    "mute",
    "bright",
    "broad",
    "cool",
    "deep",
    "fresh",
    "gentle",
    "high",
    "late",
    "mild",
    "silver",
    "still",
)
_THINGS: Final = (
    "brook",
    "bay",
    "cloud",
    "creek",
    "dew",
    "field",
    "ford",
    "lake",
    "mill",
    "pond",
    "rain",
    "river",
    "sea",
    "sky",
    "spring",
    "weir",
)


@attrs.frozen
class Identity:
    """What an installation is called."""

    id: str
    """A UUID."""
    name: str
    """For people."""


def identify(server_id: str, name: str = "") -> Identity:
    """Return the identity of an installation.

    Args:
        server_id: Its own opaque and stable id.
        name: What its owner calls it; "" for a name that goes with the id.
    """
    digest = hashlib.sha256(server_id.encode("utf-8", "surrogatepass")).digest()
    try:
        id_ = uuid.UUID(server_id)
    except ValueError:
        id_ = uuid.UUID(bytes=digest[:16], version=4)
    number = int.from_bytes(digest[16:20], "big") % 10_000
    made = f"{_QUALITIES[digest[20] % 16]}-{_THINGS[digest[21] % 16]}-{number:04d}"
    return Identity(str(id_), name or made)


def moment(seconds: float) -> str:
    """Return a time as the API writes it. Source: RFC 3339 §5.6."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def about_routes(
    desk: LoginDesk,
    identity: Callable[[], Identity],
    loaded_at: Callable[[], float],
    *,
    wall: Callable[[], float] = time.time,
) -> list[Route]:
    """Return the routes that tell whom a client speaks to.

    Args:
        desk: Tells who may know more.
        identity: What this installation is called.
        loaded_at: Unix seconds of the start, or of the last reload: clients that have
            asked for one wait for another time than before.
        wall: Unix seconds.
    """

    async def about(request: Request) -> Answer:
        auths = ["localjwt"] if desk.is_on else []
        if not desk.is_known(request):
            version = {"number": _major(VERSION)}
            return as_json({"app": _APP, "auths": auths, "version": version})
        return as_json(_about(auths, identity(), loaded_at(), wall()))

    async def nothing(request: Request) -> Answer:
        raise Failure(404, "Not Found", "Not Found")

    return [
        Route("GET", "/ping", _ping, is_open=True),
        Route("GET", "/api", about, is_open=True),
        # There everybody may look, but there is no document of ours to be shown.
        Route("GET", "/api/swagger/{rest*}", nothing, is_open=True),
    ]


async def _ping(request: Request) -> Answer:
    return text("pong")


def _about(
    auths: list[str], identity: Identity, loaded_at: float, now: float
) -> dict[str, Any]:
    return {
        "app": _APP,
        "auths": auths,
        "name": identity.name,
        "id": identity.id,
        "created_at": moment(loaded_at),
        "uptime_seconds": max(0, int(now - loaded_at)),
        "version": {
            "number": VERSION,
            "repository_commit": "",
            "repository_branch": "",
            "build_date": "",
            "arch": _architecture(),
            "compiler": f"python{platform.python_version()}",
        },
    }


def _major(version: str) -> str:
    return f"{version.partition('.')[0]}.0.0"


def _architecture() -> str:
    machine = platform.machine()
    names = {"x86_64": "amd64", "aarch64": "arm64"}
    return f"{platform.system().lower()}/{names.get(machine, machine)}"
