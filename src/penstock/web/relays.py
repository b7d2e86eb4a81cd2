"""Relays through the page's API: for administrators and their scripts."""

from __future__ import annotations

import json
from collections.abc import Callable

import attrs
from quart import Response, request
from quart_trio import QuartTrio

from penstock import log
from penstock.control import Control, Invalid

__all__ = ["add_relays"]

_MAX_BODY = 16 << 10
_EXPECTED = (
    'Expected JSON: {"source": "...", "destination": "...", "on_demand": false}.'
)


def add_relays(
    app: QuartTrio,
    control: Control,
    is_admin: Callable[[], bool],
    answer: Callable[[object, int], Response],
) -> None:
    """Add ``/penstock/v1/relays`` to the app.

    Args:
        app: The page's.
        control: The door into the engine.
        is_admin: Tells whether the request at hand comes from an administrator.
        answer: Makes a JSON answer of a value and a status.
    """

    def refusal() -> Response | None:
        if is_admin():
            return None
        return answer({"error": "Sign in to see and change relays."}, 401)

    @app.get("/penstock/v1/relays")
    async def relays() -> Response:
        views = [attrs.asdict(view) for view in await control.relays()]
        return refusal() or answer({"relays": views}, 200)

    @app.post("/penstock/v1/relays")
    async def start_relay() -> Response:
        refused = refusal()
        if refused is not None:
            return refused
        given = _order(await request.get_data(as_text=False))
        if given is None:
            return answer({"error": _EXPECTED}, 400)
        source, destination, on_demand = given
        try:
            view = await control.start_relay(
                source=source, destination=destination, on_demand=on_demand
            )
        except Invalid as error:
            return answer({"error": f"{error}."}, 400)
        log.info(
            "relay started",
            relay=view.id,
            source=view.source,
            destination=view.destination,
        )
        return answer(attrs.asdict(view), 201)

    @app.delete("/penstock/v1/relays/<relay_id>")
    async def stop_relay(relay_id: str) -> Response:
        refused = refusal()
        if refused is not None:
            return refused
        await control.stop_relay(relay_id)
        log.info("relay stopped", relay=relay_id)
        return answer({}, 200)


def _order(data: str | bytes) -> tuple[str, str, bool] | None:
    """Return source, destination and whether on demand; None for anything else."""
    if len(data) > _MAX_BODY:
        return None
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict) or not value.keys() <= {
        "source",
        "destination",
        "on_demand",
    }:
        return None
    source, destination = value.get("source"), value.get("destination")
    on_demand = value.get("on_demand", False)
    if not isinstance(source, str) or not isinstance(destination, str):
        return None
    return (source, destination, on_demand) if isinstance(on_demand, bool) else None
