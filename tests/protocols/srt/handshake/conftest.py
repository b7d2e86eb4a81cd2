"""Packets that libsrt wrote, and two endpoints over a simulated network."""

from __future__ import annotations

import struct
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
from sansmedia.sansio.testing import (
    Conditions,
    DatagramLink,
    DatagramPair,
    SeededDice,
)
from sansmedia.srt.connection_events import MessagesReceived
from sansmedia.srt.endpoint import Endpoint
from sansmedia.srt.endpoint_events import ConnectionEstablished, ConnectionRequested
from sansmedia.srt.limits import Limits
from sansmedia.srt.options import SrtOptions

_DATA = Path(__file__).resolve().parents[3] / "data" / "srt"
_CLEAN = Conditions(delay=0.02)


@attrs.frozen
class Vector:
    """One recorded connection."""

    packets: list[bytes]
    """Induction, answer, conclusion, answer; then data packets."""
    expected: dict[str, Any]
    """What its description promises."""


@pytest.fixture(scope="session")
def vector() -> Callable[[str], Vector]:
    """Read a recorded connection."""

    def read(name: str) -> Vector:
        octets = (_DATA / f"{name}.bin").read_bytes()
        packets = []
        while octets:
            size = struct.unpack_from(">H", octets)[0]
            packets.append(octets[2 : 2 + size])
            octets = octets[2 + size :]
        description = tomllib.loads((_DATA / f"{name}.toml").read_text())
        return Vector(packets, description["expected"])

    return read


NOW = 1000.0


class Meeting:
    """Two endpoints over a simulated network; the left one asks."""

    def __init__(
        self,
        *,
        left: SrtOptions | None = None,
        right: SrtOptions | None = None,
        there: Conditions = _CLEAN,
        back: Conditions | None = None,
        limits: Limits | None = None,
        decide: Callable[[Endpoint, ConnectionRequested, float], object] | None = None,
        seed: int = 1,
    ) -> None:
        self.options = (left or SrtOptions(), right or SrtOptions())
        self.decide = decide or (
            lambda endpoint, event, now: endpoint.accept(event.request_id, now=now)
        )
        self.left = Endpoint(limits, dice=SeededDice(seed), now=NOW)
        self.right = Endpoint(limits, dice=SeededDice(seed + 1), now=NOW)
        self.pair: DatagramPair[Any, Any] = DatagramPair(
            self.left,
            self.right,
            there=DatagramLink(there, seed=seed),
            back=DatagramLink(back or there, seed=seed + 1),
            now=NOW,
            on_right=self._react,
        )

    def _react(self, event: Any, now: float) -> None:
        if isinstance(event, ConnectionRequested):
            self.decide(self.right, event, now)

    def call(self, for_seconds: float = 4.0) -> None:
        """Let the left endpoint call the right one."""
        self.right.listen(self.options[1], now=self.pair.now)
        self.left.connect(
            DatagramPair.right_address, self.options[0], now=self.pair.now
        )
        self.pair.run(self.pair.now + for_seconds)

    def meet(self, for_seconds: float = 4.0, *, later: float = 0.0) -> None:
        """Let both call each other, the right one a while later."""
        now = self.pair.now
        self.left.rendezvous(DatagramPair.right_address, self.options[0], now=now)
        if later:
            self.pair.run(now + later)
        self.right.rendezvous(
            DatagramPair.left_address, self.options[1], now=self.pair.now
        )
        self.pair.run(self.pair.now + for_seconds)

    def of(self, kind: type[Any]) -> tuple[list[Any], list[Any]]:
        """Return the events of one kind, of both sides."""
        left = [event for event in self.pair.left_events if isinstance(event, kind)]
        right = [event for event in self.pair.right_events if isinstance(event, kind)]
        return left, right

    def agreed(self) -> tuple[Any, Any]:
        """Return what both sides agreed on; exactly one connection stands."""
        left, right = self.of(ConnectionEstablished)
        assert len(left) == len(right) == 1, (
            self.pair.left_events,
            self.pair.right_events,
        )
        return left[0].negotiated, right[0].negotiated

    def carries(self) -> bool:
        """Tell whether messages get through, both ways."""
        left, right = self.agreed()
        sent = [b"message %d" % number for number in range(20)]
        for endpoint, one in ((self.left, left), (self.right, right)):
            endpoint.send(one.socket_id, sent, now=self.pair.now)
        self.pair.run(self.pair.now + 3)
        got = [
            [message.data for event in events for message in event.messages]
            for events in self.of(MessagesReceived)
        ]
        return got == [sent, sent]


@pytest.fixture
def meeting() -> type[Meeting]:
    """Make two endpoints over a simulated network."""
    return Meeting
