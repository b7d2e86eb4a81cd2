"""Feeding payloads with losses, and packets that real programs sent."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest
from sansmedia.rtp.payloads import Depacketiser, Frame

_DATA = Path(__file__).resolve().parents[3] / "data" / "rtp" / "payloads"


@attrs.frozen
class Packet:
    """What a depacketiser wants to know of a packet."""

    payload: bytes
    timestamp: int
    marker: bool


def feed(
    depacketiser: Depacketiser,
    packets: Sequence[Packet],
    lost: Iterable[int] = (),
) -> list[Frame]:
    """Feed packets, some of them lost, to the end of the stream; return all frames."""
    missing = set(lost)
    frames: list[Frame] = []
    gap = False
    for number, packet in enumerate(packets):
        if number in missing:
            gap = True
            continue
        frames += depacketiser.feed(
            packet.payload, packet.timestamp, packet.marker, gap
        )
        gap = False
    if not gap:
        frames += depacketiser.flush()
    return frames


def packets_of(
    frames: Iterable[Sequence[bytes]], step: int = 3000
) -> tuple[Packet, ...]:
    """Return packets with timestamps and markers for the payloads of each frame."""
    return tuple(
        Packet(payload, number * step, at == len(payloads) - 1)
        for number, payloads in enumerate(frames)
        for at, payload in enumerate(payloads)
    )


@pytest.fixture(name="feed", scope="session")
def feed_fixture() -> Callable[..., list[Frame]]:
    return feed


@pytest.fixture(name="packets_of", scope="session")
def packets_of_fixture() -> Callable[..., tuple[Packet, ...]]:
    return packets_of


@pytest.fixture(scope="session")
def packet() -> type[Packet]:
    return Packet


@attrs.frozen
class Recording:
    """The RTP packets of one stream, as a real program sent them."""

    name: str
    packets: tuple[Packet, ...]
    facts: dict[str, Any]


def _read(name: str) -> Recording:
    """Read packets of a fixed header of 12 octets, each after a 16-bit length."""
    facts = tomllib.loads((_DATA / f"{name}.toml").read_text(encoding="utf-8"))
    data = (_DATA / f"{name}.bin").read_bytes()
    packets = []
    position = 0
    while position < len(data):
        start = position + 2
        position = start + int.from_bytes(data[position:start], "big")
        header = data[start : start + 12]
        assert header[0] == 0x80
        packets.append(
            Packet(
                data[start + 12 : position],
                int.from_bytes(header[4:8], "big"),
                header[1] >= 0x80,
            )
        )
    return Recording(name, tuple(packets), facts)


@pytest.fixture
def read_recording() -> Callable[[str], Recording]:
    return _read
