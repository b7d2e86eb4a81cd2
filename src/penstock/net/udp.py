"""One UDP socket that carries many sessions: drained in batches, written in runs.

A burst of packets to one peer leaves in one system call (UDP_SEGMENT, "GSO"), and what
one peer sent in a burst comes in by one (UDP_GRO). Each datagram comes with the local
address that it was sent to (IP_PKTINFO), so that the answer leaves by the same, and
with the time at which the kernel received it, so that a late loop is no jitter.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import socket
import struct
import sys
import time
from collections import deque
from collections.abc import Sequence

import attrs
import psutil
import trio
from sansmedia.sansio import Datagram

from penstock.config import parse_address

__all__ = ["UdpPort", "bind_udp"]

_SOL_UDP = 17
_UDP_SEGMENT = 103
_UDP_GRO = 104
_SO_TIMESTAMPNS = 35
_IP_PKTINFO = 8
_IPV6_RECVPKTINFO = 49
_IPV6_PKTINFO = 50
_PKTINFO = (
    (socket.IPPROTO_IP, _IP_PKTINFO),
    (socket.IPPROTO_IPV6, _IPV6_PKTINFO),
)

_BUFFER_OCTETS = 4 << 20
"""Asked of the kernel each way; it gives what `net.core.[rw]mem_max` allows."""
_MAX_SEGMENTS = 64
_MAX_RUN_OCTETS = 64_000
_MAX_RESIDUE = 1 << 20
"""Octets that wait for the kernel; beyond, whole runs are dropped."""
_DATAGRAM_MAX = 65_535

_INT = struct.Struct("=i")
_U16 = struct.Struct("=H")
_TIMESPEC = struct.Struct("=qq")
_PKTINFO4 = struct.Struct("=I4s4s")
_PKTINFO6 = struct.Struct("=16sI")
_ANCILLARY_SPACE = (
    socket.CMSG_SPACE(_TIMESPEC.size)
    + socket.CMSG_SPACE(_INT.size)
    + socket.CMSG_SPACE(_PKTINFO4.size)
    + socket.CMSG_SPACE(_PKTINFO6.size)  # IPv4 on a dual-stack socket has both
)

_Ancillary = list[tuple[int, int, bytes]]


def bind_udp(address: str) -> socket.socket:
    """Return a non-blocking UDP socket on ``address``.

    ``[::]`` takes IPv4 and IPv6 at once.

    Raises:
        OSError: the address is busy or not ours.
        ValueError: the text is no address.
    """
    parsed = parse_address(address)
    host, port = parsed.host, parsed.port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_DGRAM)
    try:
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVPKTINFO, 1)
        else:
            host = socket.getaddrinfo(host, port, family)[0][4][0]  # type: ignore[assignment] # a str for AF_INET
        # On a dual-stack socket IPv4 datagrams tell their address in IPv4's form.
        sock.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_OCTETS)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER_OCTETS)
        sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        try:
            sock.setsockopt(_SOL_UDP, _UDP_GRO, 1)
        except OSError:
            pass  # Linux before 5.0: one datagram a call
        sock.bind((host, port))
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock


def bind_udp_receiver(place: tuple[str, int], interface: str) -> socket.socket:
    """Return a socket that takes what is sent to a port of ours, or to a group.

    Args:
        place: IP address and port; several receivers may share a group's.
        interface: Our address in the network that the group is joined in; "" lets the
            system choose.

    Raises:
        OSError: The address is busy or not ours, or the group cannot be joined.
    """
    host, port = place
    group = ipaddress.ip_address(host)
    sock = socket.socket(
        socket.AF_INET6 if group.version == 6 else socket.AF_INET, socket.SOCK_DGRAM
    )
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_OCTETS)
        if group.is_multicast:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        if group.is_multicast:
            _join(sock, group.packed, interface)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock


def _join(sock: socket.socket, group: bytes, interface: str) -> None:
    if len(group) == 4:
        own = socket.inet_aton(interface or "0.0.0.0")
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group + own)
        return
    request = group + _index_of(interface).to_bytes(4, sys.byteorder)
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, request)


def _index_of(address: str) -> int:
    """Return the number of the interface that has an address; 0 for no address."""
    if not address:
        return 0
    wanted = ipaddress.ip_address(address)
    for name, addresses in psutil.net_if_addrs().items():
        for one in addresses:
            with contextlib.suppress(ValueError):
                if ipaddress.ip_address(one.address.partition("%")[0]) == wanted:
                    return socket.if_nametoindex(name)
    raise OSError(errno.EADDRNOTAVAIL, f"no interface has {address}")


def bind_udp_sender(place: tuple[str, int], interface: str, ttl: int) -> socket.socket:
    """Return a socket that sends to ``place``, a group perhaps.

    Args:
        place: IP address and port.
        interface: Our address in the network that multicast goes to; "" lets the
            system choose.
        ttl: Routers that a multicast datagram may pass.

    Raises:
        OSError: No interface has that address.
    """
    six = ":" in place[0]
    sock = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER_OCTETS)
        if six:
            level, hops, leave = (
                socket.IPPROTO_IPV6,
                socket.IPV6_MULTICAST_HOPS,
                socket.IPV6_MULTICAST_IF,
            )
            outlet = _index_of(interface).to_bytes(4, sys.byteorder)
        else:
            level, hops, leave = (
                socket.IPPROTO_IP,
                socket.IP_MULTICAST_TTL,
                socket.IP_MULTICAST_IF,
            )
            outlet = socket.inet_aton(interface or "0.0.0.0")
        sock.setsockopt(level, hops, ttl)
        if interface:
            sock.setsockopt(level, leave, outlet)
        sock.bind(("::" if six else "0.0.0.0", 0))
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock


@attrs.define
class UdpStatistics:
    """What has gone wrong and right at one socket."""

    datagrams_received: int = 0
    datagrams_sent: int = 0
    octets_received: int = 0
    octets_sent: int = 0
    dropped: int = 0
    """Datagrams that the kernel had no room for."""
    unreachable: int = 0
    """Datagrams that had no way to their peer."""


class UdpPort:
    """One bound UDP socket.

    Args:
        sock: From `bind_udp`; the port owns it.
    """

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.statistics = UdpStatistics()
        host, self.port = sock.getsockname()[:2]
        self._six = sock.family == socket.AF_INET6
        anywhere = ipaddress.ip_address(host).is_unspecified
        self._fixed = None if anywhere else _plain(host)
        self._here = None if self._fixed is None else (self._fixed, self.port)
        self._places: dict[bytes, tuple[str, int]] = {}
        """Addresses of ours by what the kernel says of them."""
        self._segments = True
        self._residue: deque[tuple[Sequence[bytes], _Ancillary, tuple[str, int]]]
        self._residue = deque()
        self._residue_octets = 0
        self._residue_waits = trio.Event()
        self._blocked_by_device = False
        self._ancillary: dict[str, tuple[int, int, bytes]] = {}

    # -- receiving --------------------------------------------------------------------

    async def wait_readable(self) -> None:
        """Wait until there is something to `drain`."""
        await trio.lowlevel.wait_readable(self.sock)

    def drain(self, now: float, limit: int = 64) -> list[Datagram]:
        """Return what has arrived, ``limit`` datagrams or a few more.

        Args:
            now: The loop's time; arrival times are told on its clock.
            limit: Stop asking the kernel after so many.
        """
        batch: list[Datagram] = []
        offset = now - time.time()
        recvmsg = self.sock.recvmsg
        octets = 0
        while len(batch) < limit:
            try:
                data, ancillary, _, address = recvmsg(_DATAGRAM_MAX, _ANCILLARY_SPACE)
            except OSError:
                break  # nothing more; what else it may be waits for the next time
            at, size, here = now, 0, self._here
            for level, kind, value in ancillary:
                if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS:
                    seconds, nanoseconds = _TIMESPEC.unpack_from(value)
                    at = min(now, seconds + nanoseconds * 1e-9 + offset)
                elif level == _SOL_UDP and kind == _UDP_GRO:
                    size = _INT.unpack_from(value)[0]
                elif (level, kind) in _PKTINFO:
                    here = self._places.get(value) or self._learn_place(kind, value)
            peer = (_plain(address[0]), address[1]) if self._six else address
            octets += len(data)
            if not size or size >= len(data):
                batch.append(Datagram(data, peer, here, at))
            else:
                batch += [
                    Datagram(data[start : start + size], peer, here, at)
                    for start in range(0, len(data), size)
                ]
        self.statistics.datagrams_received += len(batch)
        self.statistics.octets_received += octets
        return batch

    def _learn_place(self, kind: int, value: bytes) -> tuple[str, int]:
        if kind == _IP_PKTINFO:
            packed = _PKTINFO4.unpack_from(value)[2]
            host = socket.inet_ntop(socket.AF_INET, packed)
        else:
            packed = _PKTINFO6.unpack_from(value)[0]
            host = _plain(socket.inet_ntop(socket.AF_INET6, packed))
        place = (host, self.port)
        if len(self._places) < 256:
            self._places[value] = place
        return place

    # -- sending ----------------------------------------------------------------------

    def send(self, datagram: Datagram) -> int:
        """Send one datagram; see `send_run`."""
        return self.send_run((datagram.data,), datagram.peer, datagram.local)

    def send_run(
        self,
        segments: Sequence[bytes],
        peer: tuple[str, int],
        local: tuple[str, int] | None,
    ) -> int:
        """Send datagrams to one peer, in order, with as few calls as may be.

        Neighbours of one size go together, a shorter one behind them as well: a frame
        in packets of one size is one call. Never waits, never raises.

        Returns:
            Octets that left or wait: fewer than given if something was dropped,
            because the kernel takes nothing or there is no way to the peer.
        """
        sizes = list(map(len, segments))
        count = len(sizes)
        if self._segments and 0 < count <= _MAX_SEGMENTS:
            # A frame as a rule, and 0.8 µs less than looking for where runs end.
            size = sizes[0]
            full = sizes.count(size)
            if (full == count or (full == count - 1 and 0 < sizes[-1] < size)) and (
                0 < size * count <= _MAX_RUN_OCTETS
            ):
                return self._send_call(segments, size, peer, local)
        octets = start = 0
        while start < count:
            size = sizes[start]
            end = start + 1
            if self._segments and size:
                longest = min(count, start + _MAX_SEGMENTS)
                longest = min(longest, start + max(1, _MAX_RUN_OCTETS // size))
                while end < longest and sizes[end] == size:
                    end += 1
                if end < longest and 0 < sizes[end] < size:
                    end += 1
            octets += self._send_call(segments[start:end], size, peer, local)
            start = end
        return octets

    def _send_call(
        self,
        segments: Sequence[bytes],
        size: int,
        peer: tuple[str, int],
        local: tuple[str, int] | None,
    ) -> int:
        ancillary: _Ancillary = []
        if local is not None and self._fixed is None:
            ancillary.append(self._source(local[0]))
        if len(segments) > 1:
            ancillary.append((_SOL_UDP, _UDP_SEGMENT, _U16.pack(size)))
        address = peer
        if self._six and "." in peer[0]:
            address = (f"::ffff:{peer[0]}", peer[1])
        if self._residue:
            return self._keep(segments, ancillary, address)
        try:
            sent = self.sock.sendmsg(segments, ancillary, 0, address)
        except OSError as error:
            return self._refused(error, segments, ancillary, address)
        statistics = self.statistics
        statistics.datagrams_sent += len(segments)
        statistics.octets_sent += sent
        return sent

    def _source(self, host: str) -> tuple[int, int, bytes]:
        """Return the ancillary item that makes ``host`` the source address."""
        item = self._ancillary.get(host)
        if item is None:
            if ":" in host:
                packed = _PKTINFO6.pack(socket.inet_pton(socket.AF_INET6, host), 0)
                item = (socket.IPPROTO_IPV6, _IPV6_PKTINFO, packed)
            else:
                packed = _PKTINFO4.pack(0, socket.inet_aton(host), bytes(4))
                item = (socket.IPPROTO_IP, _IP_PKTINFO, packed)
            if len(self._ancillary) < 256:
                self._ancillary[host] = item
        return item

    def _refused(
        self,
        error: OSError,
        segments: Sequence[bytes],
        ancillary: _Ancillary,
        address: tuple[str, int],
    ) -> int:
        if error.errno in (errno.EAGAIN, errno.ENOBUFS):
            return self._keep(segments, ancillary, address)
        if len(segments) > 1 and error.errno in (errno.EIO, errno.EOPNOTSUPP):
            # No segmentation on this way out (some tunnels, old kernels): one by one
            # from now on, for everybody.
            self._segments = False
            single = [item for item in ancillary if item[1] != _UDP_SEGMENT]
            return sum(self._send_single(one, single, address) for one in segments)
        self.statistics.unreachable += len(segments)
        return 0

    def _send_single(
        self, data: bytes, ancillary: _Ancillary, address: tuple[str, int]
    ) -> int:
        try:
            self.sock.sendmsg((data,), ancillary, 0, address)
        except OSError as error:
            return self._refused(error, (data,), ancillary, address)
        self.statistics.datagrams_sent += 1
        self.statistics.octets_sent += len(data)
        return len(data)

    # -- what the kernel did not take -------------------------------------------------

    @property
    def residue_octets(self) -> int:
        """Octets that wait for room in the socket's buffer."""
        return self._residue_octets

    def _keep(
        self,
        segments: Sequence[bytes],
        ancillary: _Ancillary,
        address: tuple[str, int],
    ) -> int:
        size = sum(map(len, segments))
        if self._residue_octets + size > _MAX_RESIDUE:
            self.statistics.dropped += len(segments)
            return 0
        self._residue.append((segments, ancillary, address))
        self._residue_octets += size
        self._residue_waits.set()
        return size

    async def run_flush(self) -> None:
        """Send what waits when the kernel has room again, until cancelled."""
        while True:
            await self._residue_waits.wait()
            await trio.lowlevel.wait_writable(self.sock)
            self._flush()
            if not self._residue:
                self._residue_waits = trio.Event()
            elif self._blocked_by_device:
                # ENOBUFS is no matter of this socket: it stays writable.
                await trio.sleep(0.002)

    def _flush(self) -> None:
        self._blocked_by_device = False
        while self._residue:
            segments, ancillary, address = self._residue[0]
            try:
                sent = self.sock.sendmsg(segments, ancillary, 0, address)
            except OSError as error:
                if error.errno in (errno.EAGAIN, errno.ENOBUFS):
                    self._blocked_by_device = error.errno == errno.ENOBUFS
                    return
                self.statistics.unreachable += len(segments)
            else:
                self.statistics.datagrams_sent += len(segments)
                self.statistics.octets_sent += sent
            self._residue.popleft()
            self._residue_octets -= sum(map(len, segments))

    # -- ending -----------------------------------------------------------------------

    def close(self) -> None:
        """Close the socket; whoever waits on it is woken with an error."""
        if self.sock.fileno() >= 0:
            trio.lowlevel.notify_closing(self.sock)
            self.sock.close()
        self._residue.clear()
        self._residue_octets = 0


def _plain(host: str) -> str:
    """Return an IPv4 address of a dual-stack socket as what it is."""
    return host.removeprefix("::ffff:")
