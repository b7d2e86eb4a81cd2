"""The newest log lines, as datarhei's console prints them or as objects."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from penstock.control.records import Record, recent

from .answers import Answer, as_json
from .requests import Request
from .site import Route

__all__ = ["console_line", "log_routes", "raw_line"]

_LEVELS: Final = {"warning": "WARN"}
_COMPONENTS: Final = {
    "rtmp": "RTMP",
    "rtmps": "RTMP",
    "srt": "SRT",
    "http": "HTTP",
    "api": "HTTP",
    "job": "Process",
    "session": "Session",
}
"""By the first word of a message, or the protocol that a line is about."""
_CORE: Final = "Core"


def log_routes(records: Callable[[], Sequence[Record]] = recent) -> list[Route]:
    """Return the route of the log.

    Args:
        records: Gives the lines that are kept, the oldest first.
    """

    async def show(request: Request) -> Answer:
        shape = raw_line if request.query.get("format") == "raw" else console_line
        return as_json([shape(record) for record in records()])

    return [Route("GET", "/api/v3/log", show)]


def console_line(record: Record) -> str:
    """Return a line as the console shows it."""
    level = _LEVELS.get(record.level, record.level.upper())
    head = (
        f"ts={_seconds(record.at)}Z level={level} "
        f"component={_quoted(_component(record))} msg={_quoted(record.message)}"
    )
    fields = sorted(record.fields.items())
    return " ".join([head, *(f"{name}={_quoted(value)}" for name, value in fields)])


def raw_line(record: Record) -> dict[str, Any]:
    """Return a line as an object."""
    return {
        **record.fields,
        "caller": "penstock",
        "component": _component(record),
        "message": record.message,
        "ts": f"{_seconds(record.at)}.{int(record.at % 1 * 1e3):03d}Z",
    }


def _component(record: Record) -> str:
    first = record.message.partition(" ")[0]
    for word in (str(record.fields.get("protocol", "")), first):
        if word in _COMPONENTS:
            return _COMPONENTS[word]
    return _CORE


def _seconds(at: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at))


def _quoted(value: str | int | float | bool) -> str:
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return json.dumps(value)
