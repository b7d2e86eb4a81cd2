"""The port of all peers: one step after the other."""

from __future__ import annotations

import datetime
import os
import socket
from types import SimpleNamespace
from typing import Any

import trio
import trio.testing
from sansmedia.dtls import generate_certificate
from sansmedia.ice import Path
from sansmedia.sansio import Datagram
from sansmedia.webrtc import PathForgotten, PathLearned

from penstock.net.udp import UdpPort, bind_udp
from penstock.net.wire import Wire
from penstock.sessions.webrtc_port import Traffic, WebRtcPort
from penstock.settings import WebRtcSettings

_DAY = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


class _Peer:
    """Has something to tell."""

    ice = SimpleNamespace(local_ufrags=("abcd",), transaction_prefix=b"abcd")

    def __init__(self) -> None:
        self.events: list[object] = []

    def receive_datagrams(self, batch: list[Datagram], now: float) -> None:
        """Nothing comes of it."""

    def next_event(self) -> object | None:
        return self.events.pop(0) if self.events else None

    def datagrams_to_send(self) -> list[Datagram]:
        return []

    def next_timeout(self) -> float | None:
        return None


class _User:
    """Gives its peer a command while it is told something."""

    def __init__(self, port: WebRtcPort, peer: Any) -> None:
        self.steps: list[str] = []
        self._port = port
        self._peer = peer

    def handle(self, event: Any, now: float) -> None:
        self.steps.append(f"{event} begins")
        self._port.attend(self._peer)
        self.steps.append(f"{event} ends")

    def tick(self, now: float) -> None:
        pass

    def fail(self, error: Exception) -> None:
        raise error


def _peer() -> Any:
    return _Peer()


def _port() -> WebRtcPort:
    certificate = generate_certificate(os.urandom, not_before=_DAY)
    udp = UdpPort(bind_udp("127.0.0.1:0"))
    return WebRtcPort(udp, "127.0.0.1", certificate, WebRtcSettings)


async def test_events_are_told_one_after_the_other() -> None:
    """Else later packets would overtake those that a request is made for."""
    port, peer = _port(), _peer()
    peer.events += ["first", "second"]
    user = _User(port, peer)
    port.enter(peer, user, Traffic())
    port.close()
    assert user.steps == [
        "first begins",
        "first ends",
        "second begins",
        "second ends",
    ]


async def test_a_connection_that_its_peer_has_forgotten_ends() -> None:
    """A peer keeps so many paths; who opens more must not keep the descriptors."""
    port, peer = _port(), _peer()
    port.enter(peer, _User(port, peer), Traffic())
    ours, theirs = socket.socketpair()
    wire = Wire(ours)
    path = Path(wire.local, wire.peer, "tcp")
    peer.events.append(PathLearned(path))
    port.attend(peer)
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(port.serve_tcp, wire, b"\x00\x01x")
            await trio.testing.wait_all_tasks_blocked()
            peer.events.append(PathForgotten(path))
            port.attend(peer)
    assert wire.closed
    theirs.close()
    port.close()
