"""The load of SRT: viewers, senders and receivers on plain sockets, one process.

`run.py` starts it on a core of its own and talks to it in JSON, one line each way:
``{"do": "watch" | "send" | "receive" | "snapshot" | "close", ...}``. Every connection
has a socket of its own, as it has when people are behind it. A payload of a sender's
begins with its number, so that a receiver can tell what is missing.
"""

from __future__ import annotations

import json
import os
import select
import socket
import sys
import time
from typing import Any

from sansmedia.sansio import Datagram
from sansmedia.srt import (
    Closed,
    Connection,
    ConnectionEstablished,
    ConnectionRejected,
    ConnectionRequested,
    Endpoint,
    MessagesReceived,
    SrtOptions,
)

PAYLOAD_SIZE = 1316
_READY_S = 20.0
_STEP_S = 0.005
_BUFFERS = 8 << 20
_PACKETS = 32_768
"""What a connection may have under way: a second of 300 Mbit/s."""


def options(**more: Any) -> SrtOptions:  # noqa: ANN401
    """Return options with buffers for fast streams."""
    return SrtOptions(
        send_buffer=_PACKETS, receive_buffer=_PACKETS, flow_window=_PACKETS, **more
    )


class End:
    """One socket and what runs on it."""

    def __init__(self, address: tuple[str, int] = ("127.0.0.1", 0)) -> None:
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.setblocking(False)
        for name in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            self.sock.setsockopt(socket.SOL_SOCKET, name, _BUFFERS)
        self.sock.bind(address)
        self.local = self.sock.getsockname()
        self.endpoint = Endpoint(dice=os.urandom, now=time.monotonic())
        self.connection: Connection | None = None
        self.socket_id = 0
        self.failed = ""
        self.octets = 0
        self.packets = 0
        self.numbers: set[int] | None = None
        """Of payloads, where somebody wants to know."""
        self.late_s: list[float] = []

    def readable(self) -> None:
        """Take what has arrived."""
        now = time.monotonic()
        batch: list[Datagram] = []
        try:
            while len(batch) < 64:
                data, peer = self.sock.recvfrom(2_048)
                batch.append(Datagram(data, peer, self.local, now))
        except BlockingIOError:
            pass
        if batch:
            self.endpoint.receive_datagrams(batch, now)
            self.settle(now)

    def step(self, now: float) -> None:
        """Do what is due."""
        deadline = self.endpoint.next_timeout()
        if deadline is not None and deadline <= now:
            self.endpoint.handle_timeout(now)
            self.settle(now)

    def settle(self, now: float) -> None:
        """Take events, send datagrams."""
        endpoint = self.endpoint
        while (event := endpoint.next_event()) is not None:
            match event:
                case MessagesReceived():
                    self.take(event)
                case ConnectionRequested():
                    endpoint.accept(event.request_id, now=now)
                case ConnectionEstablished():
                    self.socket_id = event.socket_id
                    self.connection = endpoint.connection(event.socket_id)
                case ConnectionRejected() | Closed():
                    self.failed = str(event)
                case _:
                    pass
        for datagram in endpoint.datagrams_to_send():
            self.transmit(datagram.data, datagram.peer)

    def transmit(self, data: bytes, peer: tuple[str, int]) -> None:
        """Send one datagram; what the kernel has no room for is lost."""
        try:
            self.sock.sendto(data, peer)
        except BlockingIOError:
            pass

    def take(self, event: MessagesReceived) -> None:
        """Count what has come."""
        messages = event.messages
        self.packets += len(messages)
        self.octets += sum([len(message.data) for message in messages])
        if self.numbers is not None:
            self.numbers.update(int.from_bytes(m.data[:8]) for m in messages)

    def figures(self) -> dict[str, Any]:
        """Return what is known of the connection."""
        shown: dict[str, Any] = {
            "octets": self.octets,
            "packets": self.packets,
            "alive": self.connection is not None and not self.failed,
        }
        if self.connection is not None:
            known = self.connection.statistics()
            shown |= {
                "sent": known.pkt_sent_unique_total,
                "again": known.pkt_retrans_total,
                "lost": known.pkt_rcv_loss_total,
                "dropped": known.pkt_rcv_drop_total + known.pkt_snd_drop_total,
                "rtt_ms": known.ms_rtt,
            }
        if self.numbers is not None:
            shown["distinct"] = len(self.numbers)
        return shown


class Sender(End):
    """Sends numbered payloads at an even pace."""

    def __init__(self, rate_bps: float, seconds: float) -> None:
        super().__init__()
        self.interval = PAYLOAD_SIZE * 8 / rate_bps
        self.count = int(seconds / self.interval)
        self.sent = 0
        self.began: float | None = None
        self.rest = bytes(PAYLOAD_SIZE - 8)

    def step(self, now: float) -> None:
        """Send what is due."""
        super().step(now)
        if self.connection is None:
            return
        if self.began is None:
            self.began = now
        due = min(self.count, int((now - self.began) / self.interval))
        if due > self.sent:
            run = [n.to_bytes(8) + self.rest for n in range(self.sent, due)]
            self.sent = due
            self.endpoint.send(self.socket_id, run, now=now)
            self.settle(now)


class Load:
    """The process: commands on stdin, one epoll for all."""

    def __init__(self) -> None:
        self._ends: dict[int, End] = {}
        self._epoll = select.epoll()

    def run(self) -> None:
        """Serve commands until stdin ends."""
        self._epoll.register(0, select.EPOLLIN)
        while self._turn():
            pass

    def _turn(self) -> bool:
        for fd, _ in self._epoll.poll(_STEP_S):
            if fd:
                self._ends[fd].readable()
                continue
            line = sys.stdin.buffer.readline()
            if not line:
                return False
            command = json.loads(line)
            answer = getattr(self, f"_{command.pop('do')}")(**command)
            sys.stdout.write(json.dumps(answer) + "\n")
            sys.stdout.flush()
        now = time.monotonic()
        for end in self._ends.values():
            end.step(now)
        return True

    def _add(self, end: End) -> None:
        self._ends[end.sock.fileno()] = end
        self._epoll.register(end.sock.fileno(), select.EPOLLIN)

    def _until_ready(self, ends: list[End]) -> int:
        until = time.monotonic() + _READY_S
        self._epoll.unregister(0)
        while time.monotonic() < until and any(
            end.connection is None and not end.failed for end in ends
        ):
            self._turn()
        self._epoll.register(0, select.EPOLLIN)
        return sum(end.connection is not None for end in ends)

    def _watch(self, port: int, stream_id: str, count: int) -> dict[str, Any]:
        """Play a stream ``count`` times."""
        ends = []
        for _ in range(count):
            end = End()
            now = time.monotonic()
            chosen = options(stream_id=stream_id, rcv_latency=0.12)
            end.endpoint.connect(("127.0.0.1", port), chosen, now=now)
            end.settle(now)
            self._add(end)
            ends.append(end)
        return {"ready": self._until_ready(ends)}

    def _send(
        self, port: int, rate_bps: float, seconds: float, latency_s: float
    ) -> dict[str, Any]:
        """Call ``port`` and send to it at a rate, for some seconds."""
        end = Sender(rate_bps, seconds)
        now = time.monotonic()
        chosen = options(rcv_latency=latency_s, peer_latency=latency_s)
        end.endpoint.connect(("127.0.0.1", port), chosen, now=now)
        end.settle(now)
        self._add(end)
        return {"ready": self._until_ready([end])}

    def _receive(self, latency_s: float) -> dict[str, Any]:
        """Take callers; return the port."""
        end = End()
        end.numbers = set()
        chosen = options(rcv_latency=latency_s, peer_latency=latency_s)
        end.endpoint.listen(chosen, now=time.monotonic())
        self._add(end)
        return {"port": end.local[1]}

    def _snapshot(self) -> dict[str, Any]:
        return {
            "ends": [end.figures() for end in self._ends.values()],
            "cpu": time.process_time(),
        }

    def _close(self) -> dict[str, Any]:
        now = time.monotonic()
        for end in self._ends.values():
            end.endpoint.close("done", now=now)
            end.settle(now)
            self._epoll.unregister(end.sock.fileno())
            end.sock.close()
        self._ends.clear()
        return {}


if __name__ == "__main__":
    Load().run()
