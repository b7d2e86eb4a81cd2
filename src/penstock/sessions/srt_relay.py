"""Relays over SRT: here the server calls, meets, or waits for one caller."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable
from typing import ClassVar

import trio
from sansmedia.sansio import ProtocolError, UsageError
from sansmedia.srt import (
    Connection,
    ConnectionEstablished,
    ConnectionRejected,
    ConnectionRequested,
    EndpointEvent,
    MessagesReceived,
    RejectionCode,
)
from sansmedia.srt.url import SrtAddress, decode_url

from penstock.config import Address
from penstock.engine.engine import Engine
from penstock.engine.registry import Refusal
from penstock.engine.session import Role, Session
from penstock.engine.viewer import SlowViewer
from penstock.media.timeline import TransportTimeline
from penstock.net.udp import UdpPort, bind_udp

from .barrier import SessionEnd, new_session, run_session
from .relay_state import UNWATCHED_S, Relay
from .srt import SrtCaller, SrtLeg, options_of
from .srt_bond import Bond
from .srt_port import SrtPort

__all__ = ["resolve_udp", "run_srt_relay"]

_LOOK_S = 1.0
_MAX_EARLY = 2_000
"""Messages that wait until their stream is ours: 10 s of a usual one."""


async def resolve_udp(host: str, port: int) -> tuple[str, int]:
    """Return the IP address of a host, and the port. Raises: OSError."""
    found = await trio.socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    address = found[0][4]
    return str(address[0]), int(address[1])


async def run_srt_relay(engine: Engine, relay: Relay, url: str) -> str:
    """Run a relay once; return why it failed, or ""."""
    try:
        address = decode_url(url, options_of(engine))
        peer = await resolve_udp(address.host or "0.0.0.0", address.port)
        own = address.port if address.mode == "listener" else address.local_port
        anywhere = "::" if ":" in peer[0] else "0.0.0.0"
        local = address.local_host or address.host * (address.mode == "listener")
        udp = UdpPort(bind_udp(str(Address(local or anywhere, own))))
    except (OSError, ProtocolError, ValueError) as error:
        return str(error)
    port = SrtPort(udp)
    session = new_session("srt", SrtCaller(peer))
    session.relay_id = relay.id
    session.key = relay.key
    session.tc_url = f"srt://{Address(address.host or 'localhost', address.port)}"
    kind = _PullLeg if relay.pulls else _PushLeg
    leg = kind(engine, port, session, relay, address, peer)
    relay.session_id = session.id
    try:
        async with trio.open_nursery() as nursery:
            await nursery.start(port.run)
            await run_session(engine, session, leg.run)
            port.close()
            nursery.cancel_scope.cancel()
    finally:
        port.close()
    return leg.error


class _RelayLeg(SrtLeg):
    """What both directions share: how the connection comes to be, and how it went."""

    _role: ClassVar[Role]

    def __init__(
        self,
        engine: Engine,
        port: SrtPort,
        session: Session,
        relay: Relay,
        address: SrtAddress,
        peer: tuple[str, int],
    ) -> None:
        super().__init__(engine, port, session)
        session.role = self._role
        self.error = ""
        self._relay = relay
        self._address = address
        self._peer = peer
        self._opened = trio.Event()
        self._failure = ""

    async def run(self) -> str:
        """Relay until one end ends; return why."""
        try:
            connection = await self._open()
            try:
                return await self._run(connection)
            finally:
                self._port.leave(connection.socket_id, "the relay ends")
        except* SessionEnd as group:
            end = group.exceptions[0]
            self.error = end.reason if isinstance(end, SessionEnd) else str(end)
        except* (Refusal, SlowViewer, OSError) as group:
            self.error = str(group.exceptions[0])
        raise SessionEnd(self.error, error=True)

    _run: Callable[[Connection | Bond], Awaitable[str]]

    async def _open(self) -> Connection | Bond:
        """Return the connection, once it stands. Raises: SessionEnd."""
        address, port = self._address, self._port
        if address.mode == "listener":
            port.listen(address.options, self._admit)
        else:
            try:
                port.call(
                    self._peer,
                    address.options,
                    self,
                    rendezvous=address.mode == "rendezvous",
                )
            except UsageError as error:
                raise SessionEnd(str(error), error=True) from None
        await self._opened.wait()
        if self._connection is None:
            raise SessionEnd(self._failure, error=True)
        return self._connection

    def _admit(self, request: ConnectionRequested) -> None:
        """Take the one caller that a listening relay is for."""
        port = self._port
        if self._connection is not None:
            port.reject(request.request_id, RejectionCode.CONFLICT)
            return
        try:
            connection = port.accept(request, self._address.options, self)
        except Refusal as refusal:
            self._engine.registry.refuse(refusal)
            return
        self._session.address, self._session.port = request.peer
        self.connected(connection)
        self._opened.set()

    def handle(self, event: EndpointEvent, now: float) -> None:
        """Take what the connection tells."""
        match event:
            case ConnectionEstablished() if self._connection is None:
                connection = self._port.endpoint.connection(event.socket_id)
                if connection is not None:
                    self.connected(connection)
                    self._opened.set()
            case ConnectionRejected():
                self._failure = f"{event.reason} (code {event.code})"
                self._opened.set()
            case _:
                super().handle(event, now)


class _PullLeg(_RelayLeg):
    """Takes a stream from elsewhere and publishes it here."""

    _role = Role.PUBLISH

    def __init__(
        self,
        engine: Engine,
        port: SrtPort,
        session: Session,
        relay: Relay,
        address: SrtAddress,
        peer: tuple[str, int],
    ) -> None:
        super().__init__(engine, port, session, relay, address, peer)
        self._early: list[bytes] = []
        self._fed = trio.Event()

    def take(self, event: MessagesReceived, now: float) -> None:
        """Keep what comes before the stream is ours."""
        if self.has_ingest:
            super().take(event, now)
            return
        if len(self._early) < _MAX_EARLY:
            self._early += [message.data for message in event.messages]
        self._fed.set()

    async def _run(self, connection: Connection | Bond) -> str:
        engine, session = self._engine, self._session
        idle_s = engine.settings.stream.publish_idle_s
        with trio.move_on_after(idle_s) as scope:
            await self._fed.wait()
        if scope.cancelled_caught:
            raise SessionEnd(f"nothing came for {idle_s:g} s", error=True)
        # Not before: a server may keep us waiting for its publisher, and ours must
        # not be shut out by that.
        publication = await engine.registry.claim(
            session, self._relay.key, TransportTimeline
        )
        self._relay.state = "running"
        try:
            self.begin_ingest(publication)
            early, self._early = self._early, []
            self.ingest(b"".join(early), trio.current_time())
            return await self._receive_while_watched()
        finally:
            self.end_ingest()
            engine.registry.unclaim(publication)

    async def _receive_while_watched(self) -> str:
        """As `receive`; a relay on demand ends when nobody watches any more."""
        if not self._relay.settings.on_demand:
            return await self.receive()
        watched = trio.current_time()
        while trio.current_time() - watched <= UNWATCHED_S:
            with trio.move_on_after(_LOOK_S):
                return await self.receive()
            if self._relay.is_watched(self._engine):
                watched = trio.current_time()
        return "nobody watches"


class _PushLeg(_RelayLeg):
    """Sends a stream of ours elsewhere: a viewer like any other."""

    _role = Role.PLAY

    async def _run(self, connection: Connection | Bond) -> str:
        engine, session = self._engine, self._session
        stream = engine.registry.stream(self._relay.key, session.tc_url)
        session.stream = stream
        self._relay.state = "running"
        try:
            return await self.send(stream, self.wire)
        finally:
            engine.registry.release(stream)
