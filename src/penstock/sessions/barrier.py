"""Around every session: its place in the registry, its log lines, its last defence."""

from __future__ import annotations

import contextvars
import ssl
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

import trio
from sansmedia.sansio import ProtocolError

from penstock import log
from penstock.engine.engine import Engine
from penstock.engine.registry import Refusal
from penstock.engine.session import Role, Session, Traffic
from penstock.engine.viewer import SlowViewer

__all__ = [
    "SessionEnd",
    "new_session",
    "run_session",
    "run_with_tasks",
    "start_apart",
]

Start = Callable[..., None]
"""A nursery's `start_soon`."""


class SessionEnd(Exception):
    """Ends a session from inside, with the reason for the log."""

    def __init__(self, reason: str, *, error: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.error = error


class PeerWire(Traffic, Protocol):
    """A connection that knows its other end."""

    @property
    def peer(self) -> tuple[str, int]:
        """Address and port of the other end."""
        ...


def new_session(protocol: str, wire: PeerWire, address: str = "") -> Session:
    """Make the record of a connection that has just come in."""
    host, port = wire.peer
    return Session(
        protocol=protocol,
        address=address or host,
        port=port,
        wire=wire,
        started_at=time.time(),
        started=trio.current_time(),
    )


def start_apart(
    nursery: trio.Nursery, run: Callable[..., Awaitable[object]], *args: object
) -> None:
    """Start a task for a request that it outlives.

    A task takes its starter's context variables along: a web framework's keep the whole
    request, 25 KB a session.
    """
    contextvars.Context().run(nursery.start_soon, run, *args)


async def run_session(
    engine: Engine, session: Session, body: Callable[[], Awaitable[str]]
) -> None:
    """Run ``body`` as a listed session; nothing it raises leaves this function.

    ``body`` returns why the session ended. Only Cancelled of an outer scope passes.
    """
    engine.registry.enter(session)
    if engine.is_stopping:
        session.kick("server stops")
    log.info(
        "session started",
        session=session.id,
        protocol=session.protocol,
        client=f"{session.address}:{session.port}",
    )
    end = SessionEnd("cancelled")
    try:
        with session.scope:
            end = SessionEnd(await body())
        if session.scope.cancelled_caught:
            end = SessionEnd(session.end_reason or "server stops")
    except* Exception as group:
        end = _judge(group, session)
    finally:
        engine.registry.leave(session, error=end.error)
        _log_end(session, end)


async def run_with_tasks(main: Callable[[Start], Awaitable[str]]) -> str:
    """Run ``main`` and the tasks that it starts; they end with it, and it with them.

    What the body of a nursery raises while a task runs is a cycle through their frames
    when all is over: the whole session, left to a full collection. Here it is raised
    when the tasks have ended.

    Raises:
        Exception: what ``main`` raised.
        ExceptionGroup: what a task raised.
    """
    failure: Exception | None = None
    try:
        async with trio.open_nursery() as nursery:
            try:
                return await main(nursery.start_soon)
            except Exception as error:
                failure = error
            finally:
                nursery.cancel_scope.cancel()
        assert failure is not None
        raise failure
    finally:
        del failure  # it knows this frame


def _judge(group: BaseExceptionGroup[Exception], session: Session) -> SessionEnd:
    """Find what really ended a session among all that its tasks raised."""
    leaves = list(_leaves(group))
    for error in leaves:
        if isinstance(error, SessionEnd):
            return SessionEnd(error.reason, error=error.error)
    for error in leaves:
        known = _reason(error)
        if known is None:
            log.exception("session failed by a bug of ours", error, session=session.id)
            return SessionEnd(f"internal error: {type(error).__name__}", error=True)
    reason = _reason(leaves[0])
    return SessionEnd(reason or "unknown", error=True)


def _leaves(group: BaseExceptionGroup[Exception]) -> list[Exception]:
    found: list[Exception] = []
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            found.extend(_leaves(error))
        else:
            found.append(error)
    return found


def _reason(error: Exception) -> str | None:
    match error:
        case Refusal():
            return f"refused: {error.reason}"
        case SlowViewer():
            return f"too slow: {error}"
        case ProtocolError():
            return str(error)
        case ssl.SSLError():
            return f"TLS: {error.reason or error}"
        case trio.ClosedResourceError() | trio.BrokenResourceError():
            return "connection lost"
        case OSError():
            return f"connection lost: {error.strerror or error}"
        case _:
            return None


def _log_end(session: Session, end: SessionEnd) -> None:
    role, key = session.role, session.key
    if role is Role.CONNECT:
        role = session.former_role
    log.info(
        "session ended",
        session=session.id,
        protocol=session.protocol,
        role=role.value,
        # Until it publishes or plays, an RTMP session has an app and no name.
        stream=str(key) if key is not None and key.name else "",
        client=f"{session.address}:{session.port}",
        reason=end.reason,
        bytes_in=session.bytes_received,
        bytes_out=session.bytes_sent,
        seconds=round(trio.current_time() - session.started, 1),
    )
