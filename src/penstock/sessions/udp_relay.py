"""Relays of MPEG-TS over plain UDP, multicast too."""

from __future__ import annotations

import trio
from sansmedia.sansio import Datagram, ProtocolError

from penstock.config import UdpAddress, decode_udp_address
from penstock.engine.engine import Engine
from penstock.engine.registry import Refusal
from penstock.engine.session import Role, Session
from penstock.engine.unit import Form
from penstock.engine.viewer import Viewer
from penstock.media.timeline import TransportTimeline
from penstock.net.udp import UdpPort, bind_udp_receiver, bind_udp_sender

from .barrier import SessionEnd, new_session, run_session
from .relay_state import Relay
from .srt_relay import resolve_udp
from .srt_wire import PayloadCutter
from .ts_ingest import TsIngest

__all__ = ["UdpWire", "run_udp_relay"]

_TS = Form("ts")
_SYNC = 0x47
_OTHER_SENDER_S = 2.0
"""Silence after which another sender may take over."""
_RTP_HEADER = 12


async def run_udp_relay(engine: Engine, relay: Relay, url: str) -> str:
    """Run a relay once; return why it failed, or ""."""
    try:
        address = decode_udp_address(url)
        host = address.host or "0.0.0.0"
        place = await resolve_udp(host, address.port)
        if relay.pulls:
            udp = UdpPort(bind_udp_receiver(place, address.interface))
        else:
            udp = UdpPort(bind_udp_sender(place, address.interface, address.ttl))
    except (OSError, ProtocolError) as error:
        return str(error)
    wire = UdpWire(udp, place, address.packet_size)
    session = new_session("ts-udp", wire)
    session.relay_id = relay.id
    session.key = relay.key
    session.tc_url = f"udp://{host}:{address.port}"
    session.role = Role.PUBLISH if relay.pulls else Role.PLAY
    relay.session_id = session.id
    kind = _Input if relay.pulls else _Output
    leg = kind(engine, wire, session, relay, address)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(udp.run_flush)
            await run_session(engine, session, leg.run)
            nursery.cancel_scope.cancel()
    finally:
        udp.close()
    return leg.error


class UdpWire:
    """What `Viewer` needs of a connection, over datagrams that nobody answers.

    Args:
        udp: The socket.
        peer: Where datagrams go.
        packet_size: Octets of each.
    """

    secure = False
    is_clear = True
    residue_bytes = 0

    def __init__(self, udp: UdpPort, peer: tuple[str, int], packet_size: int) -> None:
        self.udp = udp
        self.peer = peer
        self.bytes_received = 0
        self.bytes_sent = 0
        self._cutter = PayloadCutter(packet_size)

    def direct_send(self, data: bytes) -> int:
        """Send; what the kernel has no room for is lost, as on any such way."""
        self.udp.send_run(self._cutter.cut(data), self.peer, None)
        return len(data)

    def keep(self, data: bytes, sent: int) -> None:
        """Never called: everything is taken."""

    def offer(self, data: bytes) -> bool:
        """Send; as `direct_send`."""
        if data:
            self.bytes_sent += self.direct_send(data)
        return True

    async def flush(self) -> None:
        """Nothing waits."""
        await trio.lowlevel.checkpoint()


class _Leg:
    def __init__(
        self,
        engine: Engine,
        wire: UdpWire,
        session: Session,
        relay: Relay,
        address: UdpAddress,
    ) -> None:
        self.error = ""
        self._engine = engine
        self._wire = wire
        self._session = session
        self._relay = relay
        self._address = address

    async def run(self) -> str:
        """Relay until it cannot go on; return why."""
        try:
            return await self._run()
        except SessionEnd as end:
            self.error = end.reason
            raise
        except (Refusal, OSError) as error:
            self.error = str(error)
            raise SessionEnd(self.error, error=True) from None

    async def _run(self) -> str:
        raise AssertionError("each direction has its own")


class _Input(_Leg):
    """Takes what comes to a port, or to a group, and publishes it."""

    def __init__(
        self,
        engine: Engine,
        wire: UdpWire,
        session: Session,
        relay: Relay,
        address: UdpAddress,
    ) -> None:
        super().__init__(engine, wire, session, relay, address)
        self._sender: tuple[str, int] | None = None
        self._heard = 0.0

    async def _run(self) -> str:
        engine, session = self._engine, self._session
        while not (data := await self._receive(float("inf"))):
            pass  # strangers
        publication = await engine.registry.claim(
            session, self._relay.key, TransportTimeline
        )
        stream = session.stream
        assert stream is not None
        self._relay.state = "running"
        idle_s = engine.settings.stream.publish_idle_s
        try:
            ingest = TsIngest(stream, publication)
            last = trio.current_time()
            while True:
                now = trio.current_time()
                if data:
                    last = now
                    ingest.take(data, now)
                elif now - last >= idle_s:
                    raise SessionEnd(f"nothing came for {idle_s:g} s", error=True)
                data = await self._receive(last + idle_s)
        finally:
            engine.registry.unclaim(publication)

    async def _receive(self, deadline: float) -> bytes:
        """Return what has come of the transport stream, perhaps nothing."""
        udp = self._wire.udp
        with trio.move_on_at(deadline):
            await udp.wait_readable()
        now = trio.current_time()
        batch = udp.drain(now)
        data = b"".join([self._payload(one, now) for one in batch])
        self._wire.bytes_received += len(data)
        return data

    def _payload(self, datagram: Datagram, now: float) -> bytes:
        """Return the transport stream in a datagram; nothing if it is a stranger's."""
        sources, peer = self._address.sources, datagram.peer
        if sources:
            if peer[0] not in sources:
                return b""
        elif peer != self._sender:
            if self._sender is not None and now - self._heard < _OTHER_SENDER_S:
                return b""
            self._sender = peer
        data = datagram.data
        if data[:1] and data[0] != _SYNC and data[0] >> 6 == 2:
            # MPEG-TS in RTP (RFC 2250 §2): the same behind a header.
            data = data[_RTP_HEADER + 4 * (data[0] & 15) :]
        if data[:1] and data[0] == _SYNC:
            self._heard = now
        self._session.address, self._session.port = peer
        return data


class _Output(_Leg):
    """Sends a stream to a port or a group."""

    async def _run(self) -> str:
        engine, session = self._engine, self._session
        stream = engine.registry.stream(self._relay.key, session.tc_url)
        session.stream = stream
        viewer = Viewer(self._wire, slow_limit_s=stream.policy.slow_viewer_s)
        session.viewer = viewer
        self._relay.state = "running"
        try:
            stream.attach(viewer, _TS, session, trio.current_time())
            return await viewer.run()
        finally:
            stream.detach(viewer, trio.current_time())
            engine.registry.release(stream)
