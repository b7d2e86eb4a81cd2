"""The configuration: what it is, changing it, and having the change applied."""

from __future__ import annotations

import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

import trio

from penstock.control import ControlError, Invalid
from penstock.control.configuration import Configuration

from .about import moment
from .access import is_admitted
from .answers import OK, Answer, Failure, as_json
from .config_document import (
    FIXED,
    difference,
    masked,
    merged,
    unfixed,
    unmasked,
    value_at,
)
from .config_rules import shape_problem, validate
from .json_bodies import read_json
from .read_only import unless_read_only
from .requests import Request
from .site import Route

__all__ = ["config_routes"]

_VERSIONS: Final = (1, 2, 3)
"""Layouts that a document may say it has; all are taken as the last."""
_NEVER: Final = "0001-01-01T00:00:00Z"
_UPDATED: Final = "updated_at"
"""Member of the stored document beside datarhei's own."""


def config_routes(
    configuration: Configuration,
    base: Callable[[], Mapping[str, Any]],
    loaded_at: Callable[[], float],
    *,
    is_read_only: Callable[[], bool] = lambda: False,
    overrides: Sequence[str] = FIXED,
    is_directory: Callable[[str], Awaitable[bool]] | None = None,
    made_password: Callable[[], str] = lambda: "",
    wall: Callable[[], float] = time.time,
) -> list[Route]:
    """Return the routes of the configuration.

    Args:
        configuration: Keeps what clients change, and applies it.
        base: What the operator's configuration says, of `base_document`.
        loaded_at: Unix seconds of the start, or of the last reload.
        is_read_only: Whether nothing may be changed.
        overrides: Dotted names that clients are told they cannot change.
        is_directory: Tells whether there is a folder that pages may be served from;
            None for none.
        made_password: Gives what writes into memory ask for while the configuration
            says none.
        wall: Unix seconds.
    """
    editor = _Editor(
        configuration, base, loaded_at, overrides, is_directory, made_password, wall
    )
    return [
        Route("GET", "/api/v3/config", editor.show),
        Route("PUT", "/api/v3/config", unless_read_only(is_read_only, editor.change)),
        Route(
            "GET",
            "/api/v3/config/reload",
            unless_read_only(is_read_only, editor.reload),
        ),
    ]


class _Editor:
    def __init__(
        self,
        configuration: Configuration,
        base: Callable[[], Mapping[str, Any]],
        loaded_at: Callable[[], float],
        overrides: Sequence[str],
        is_directory: Callable[[str], Awaitable[bool]] | None,
        made_password: Callable[[], str],
        wall: Callable[[], float],
    ) -> None:
        self._configuration = configuration
        self._base = base
        self._loaded_at = loaded_at
        self._overrides = list(overrides)
        self._is_directory = is_directory
        self._made_password = made_password
        self._wall = wall
        self._changing = trio.Lock()

    async def show(self, request: Request) -> Answer:
        base = self._base()
        stored = unfixed(await self._configuration.load())
        shown = masked(merged(base, stored))
        memory = shown["storage"]["memory"]["auth"]
        if memory["enable"] and not memory["password"]:
            # Clients put it into addresses that they show; it is good until the end.
            memory["password"] = self._made_password()
        return as_json(
            {
                "created_at": base["created_at"],
                "loaded_at": moment(self._loaded_at()),
                "updated_at": stored.get(_UPDATED) or _NEVER,
                "config": shown,
                "overrides": self._overrides,
            }
        )

    async def change(self, request: Request) -> Answer:
        given = await read_json(request, any_type=True)
        _modernise(given)
        base = self._base()
        if problem := shape_problem(given, base):
            raise Failure(400, "Invalid JSON", problem)
        version = given.get("version") or 0
        if version not in _VERSIONS:
            raise Failure(400, "Invalid config version", f"version {version}")
        # Two changes at once must not lose one of them.
        async with self._changing:
            current = merged(base, unfixed(await self._configuration.load()))
            wanted = self._own(unmasked(given))
            # What nobody may change is judged all the same, or a mistake would go by.
            document = merged(current, wanted)
            is_there = await self._is_folder(document["router"]["ui_path"])
            problems = validate(document, lambda path: is_there)
            # What our own configuration allows and datarhei does not, as RTMPS beside
            # an API without TLS, is no fault of who changes something else.
            known = validate(base, lambda path: True)
            problems = {
                name: said for name, said in problems.items() if known.get(name) != said
            }
            problems |= _shut_out(request, document)
            if problems:
                return as_json(problems, 409)
            document = merged(current, unfixed(wanted))
            auth = document["api"]["auth"]
            if auth["enable"] and not auth["jwt"]["secret"]:
                # With one that ends with the server everybody would log in again.
                auth["jwt"]["secret"] = secrets.token_hex(16)
            kept = difference(document, base)
            kept[_UPDATED] = moment(self._wall())
            try:
                await self._configuration.save(kept)
            except Invalid as error:
                return as_json({"config": [str(error)]}, 409)
            except ControlError as error:
                raise Failure(500, "Failed to store config", str(error)) from error
        return OK

    def _own(self, given: dict[str, Any]) -> dict[str, Any]:
        """Return a document without the password that the server has made.

        Kept, it would outlive the start that it was made for.
        """
        made = self._made_password()
        memory = value_at(given, ("storage", "memory", "auth"))
        if made and isinstance(memory, dict) and memory.get("password") == made:
            del memory["password"]
        return given

    async def _is_folder(self, path: str) -> bool:
        if not path or self._is_directory is None or "\0" in path:
            return False
        return await self._is_directory(path)

    async def reload(self, request: Request) -> Answer:
        try:
            await self._configuration.reload()
        except Invalid as error:
            raise Failure(400, "Invalid config", str(error)) from error
        except ControlError as error:
            raise Failure(500, "Internal Server Error", str(error)) from error
        return OK


def _modernise(given: object) -> None:
    """Bring what an earlier layout has in another shape into that of the last."""
    cache = value_at(given, ("storage", "disk", "cache"))
    if isinstance(cache, dict) and isinstance(cache.get("types"), list):
        cache["types"] = {"allow": cache["types"]}


def _shut_out(request: Request, document: Mapping[str, Any]) -> dict[str, list[str]]:
    """Say which list would shut the client out that asks for it; {} if none does."""
    scheme = "https" if request.is_secure else "http"
    lists = document["api"]["access"][scheme]
    client = request.client
    found = {}
    if not is_admitted(client, (), lists["block"]):
        found[f"api.access.{scheme}.block"] = [f"{client} could not undo it"]
    if not is_admitted(client, lists["allow"], ()):
        found[f"api.access.{scheme}.allow"] = [f"{client} could not undo it"]
    return found
