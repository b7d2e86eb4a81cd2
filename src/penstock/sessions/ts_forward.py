"""``penstock relay`` between SRT and UDP: payloads pass unread, octet by octet."""

from __future__ import annotations

import contextlib
import sys
from typing import Protocol

import trio
from sansmedia.sansio import ProtocolError, UsageError
from sansmedia.srt import (
    Closed,
    Connection,
    ConnectionEstablished,
    ConnectionRejected,
    ConnectionRequested,
    EndpointEvent,
    MessagesReceived,
    RejectionCode,
    SrtOptions,
)
from sansmedia.srt.constants import MAX_PAYLOAD_SIZE
from sansmedia.srt.url import SrtAddress, decode_url

from penstock.config import Address, decode_udp_address
from penstock.engine.registry import Refusal
from penstock.net.udp import UdpPort, bind_udp, bind_udp_receiver, bind_udp_sender

from .srt_port import SrtPort
from .srt_relay import resolve_udp

__all__ = ["run_ts_forward"]

_DRAIN_S = 5.0
_LOOK_S = 0.02
_BUFFER_PACKETS = 32_768
"""Of each end: at 200 Mbit/s and a latency of 1 s, 19,000 are under way."""


class _Ended(Exception):
    """One end is over; the text says why."""


async def run_ts_forward(source: str, destination: str) -> int:
    """Forward one stream between two addresses until either ends.

    Args:
        source: ``srt://`` or ``udp://`` to take it from.
        destination: ``srt://`` or ``udp://`` to send it to.

    Returns:
        The exit code: 0 when the source's stream ended, 1 on failure.
    """
    code = 0
    try:
        with contextlib.ExitStack() as sockets:
            await _run(source, destination, sockets)
    except* _Ended as group:
        _tell(f"penstock relay: {_leaf(group)}")
    except* (OSError, ProtocolError, UsageError) as group:
        _tell(f"penstock relay: {_leaf(group)}")
        code = 1
    return code


async def _run(source: str, destination: str, sockets: contextlib.ExitStack) -> None:
    async with trio.open_nursery() as nursery:
        sink = await _open_sink(destination, nursery, sockets)
        try:
            async with trio.open_nursery() as inner:
                await _open_source(source, sink, inner, sockets)
                _tell("relaying; Ctrl-C ends it")
        except* _Ended:
            with trio.move_on_after(_DRAIN_S):
                await sink.drain()
            raise


def _leaf(group: BaseExceptionGroup[Exception]) -> Exception:
    error = group.exceptions[0]
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


# -- SRT ------------------------------------------------------------------------------


class _SrtEnd:
    """One end over SRT: whoever calls, or is called first, is the other side."""

    def __init__(self, port: SrtPort, address: SrtAddress, name: str) -> None:
        self.port = port
        self.connection: Connection | None = None
        self.opened = trio.Event()
        self.failure: Exception | None = None
        self.over = trio.Event()
        self._address = address
        self._name = name

    def admit(self, request: ConnectionRequested) -> None:
        """Take the first caller."""
        if self.connection is not None:
            self.port.reject(request.request_id, RejectionCode.CONFLICT)
            return
        try:
            link = self.port.accept(request, self._address.options, self)
        except Refusal as refusal:
            _tell(f"{self._name}: a caller was refused: {refusal.reason}")
            return
        assert isinstance(link, Connection)  # no group was asked for
        self.connection = link
        self.opened.set()

    def handle(self, event: EndpointEvent, now: float) -> None:
        """Take what the connection tells."""
        match event:
            case MessagesReceived():
                self.take([message.data for message in event.messages], now)
            case ConnectionEstablished() if self.connection is None:
                self.connection = self.port.endpoint.connection(event.socket_id)
                self.opened.set()
            case ConnectionRejected():
                self._end(OSError(f"{self._name}: {event.reason} (code {event.code})"))
            case Closed(terminated=end):
                reason = end.reason or end.cause.value
                self._end(_Ended(f"{self._name} ended: {reason}"))
            case _:
                pass

    def take(self, payloads: list[bytes], now: float) -> None:
        """Take payloads; a sink expects none."""

    def fail(self, error: Exception) -> None:
        """End by a bug of ours."""
        self._end(error)

    def check_link(self, address: str) -> None:
        """Let every link of the caller's group in."""

    def _end(self, error: Exception) -> None:
        self.failure = self.failure or error
        self.opened.set()
        self.over.set()

    async def run(self) -> None:
        """Wait for the end and raise it."""
        await self.over.wait()
        assert self.failure is not None
        raise self.failure


class _Sink(Protocol):
    """Where payloads go."""

    async def drain(self) -> None:
        """Wait until what was sent has arrived, as far as that can be known."""
        ...

    def send(self, payloads: list[bytes], now: float) -> None:
        """Send payloads at once."""
        ...


class _SrtSink:
    def __init__(self, end: _SrtEnd) -> None:
        self._end = end

    def send(self, payloads: list[bytes], now: float) -> None:
        """Send payloads at once, or as pacing lets them go."""
        connection, port = self._end.connection, self._end.port
        if connection is None:
            return
        packets = connection.write(payloads, now)
        if packets:
            port.udp.send_run(packets, connection.peer, connection.local)
        port.endpoint.refresh(connection.socket_id)

    async def drain(self) -> None:
        """Wait until all is acknowledged, and the last of it has been played."""
        connection, port = self._end.connection, self._end.port
        if connection is not None:
            while (  # noqa: ASYNC110 - live connections do not tell
                not connection.is_terminated and connection.statistics().pkt_snd_buf
            ):
                await trio.sleep(_LOOK_S)
            await trio.sleep(connection.negotiated.send_latency)
            port.leave(connection.socket_id, "the source ended")


class _SrtSource(_SrtEnd):
    def __init__(
        self, port: SrtPort, address: SrtAddress, name: str, sink: _Sink
    ) -> None:
        super().__init__(port, address, name)
        self._sink = sink

    def take(self, payloads: list[bytes], now: float) -> None:
        """Hand payloads on."""
        self._sink.send(payloads, now)


async def _open_srt(
    url: str,
    name: str,
    nursery: trio.Nursery,
    sockets: contextlib.ExitStack,
    sink: _Sink | None = None,
) -> _SrtEnd:
    defaults = SrtOptions(
        payload_size=MAX_PAYLOAD_SIZE,
        send_buffer=_BUFFER_PACKETS,
        receive_buffer=_BUFFER_PACKETS,
        flow_window=_BUFFER_PACKETS,
    )
    address = decode_url(url, defaults)
    peer = await resolve_udp(address.host or "0.0.0.0", address.port)
    anywhere = "::" if ":" in peer[0] else "0.0.0.0"
    listens = address.mode == "listener"
    host = address.local_host or (address.host if listens else "") or anywhere
    own = address.port if listens else address.local_port
    port = SrtPort(UdpPort(bind_udp(str(Address(host, own)))))
    sockets.callback(port.close)
    if sink is None:
        end = _SrtEnd(port, address, name)
    else:
        end = _SrtSource(port, address, name, sink)
    await nursery.start(port.run)
    if listens:
        port.listen(address.options, end.admit)
        _tell(f"waiting for a caller at {host}:{own}")
    else:
        rendezvous = address.mode == "rendezvous"
        port.call(peer, address.options, end, rendezvous=rendezvous)
    await end.opened.wait()
    if end.failure is not None:
        raise end.failure
    nursery.start_soon(end.run)
    return end


# -- either ---------------------------------------------------------------------------


class _UdpSink:
    def __init__(self, udp: UdpPort, peer: tuple[str, int]) -> None:
        self._udp = udp
        self._peer = peer

    def send(self, payloads: list[bytes], now: float) -> None:
        """Send payloads at once."""
        self._udp.send_run(payloads, self._peer, None)

    async def drain(self) -> None:
        """Nothing tells what has arrived."""
        await trio.lowlevel.checkpoint()


async def _open_sink(
    url: str, nursery: trio.Nursery, sockets: contextlib.ExitStack
) -> _Sink:
    if url.startswith("srt:"):
        return _SrtSink(await _open_srt(url, "destination", nursery, sockets))
    address = decode_udp_address(url)
    peer = await resolve_udp(address.host, address.port)
    udp = UdpPort(bind_udp_sender(peer, address.interface, address.ttl))
    sockets.callback(udp.close)
    nursery.start_soon(udp.run_flush)
    return _UdpSink(udp, peer)


async def _open_source(
    url: str, sink: _Sink, nursery: trio.Nursery, sockets: contextlib.ExitStack
) -> None:
    if url.startswith("srt:"):
        await _open_srt(url, "source", nursery, sockets, sink)
        return
    address = decode_udp_address(url)
    place = await resolve_udp(address.host or "0.0.0.0", address.port)
    udp = UdpPort(bind_udp_receiver(place, address.interface))
    sockets.callback(udp.close)
    nursery.start_soon(_pump_udp, udp, address.sources, sink)


async def _pump_udp(udp: UdpPort, sources: tuple[str, ...], sink: _Sink) -> None:
    while True:
        await udp.wait_readable()
        now = trio.current_time()
        batch = udp.drain(now)
        sink.send(
            [one.data for one in batch if not sources or one.peer[0] in sources], now
        )
