"""The transforms of RTP are indifferent to batches, bounded, and raise for nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sansmedia.rtp import (
    JitterBuffer,
    Limits,
    NackGenerator,
    RtpPacket,
    TransportFeedbackGenerator,
    decode_rtp,
    encode_rtp,
)
from sansmedia.sansio import ProtocolError
from sansmedia.sansio.testing import TransformCase

_HELD = 64 * 1024
_LIMITS = Limits(held_bytes=_HELD)


class _Framed:
    """Packets with two octets of length each (RFC 4571 §2) fed to a transform."""

    def __init__(self, transform: Any) -> None:
        self.transform = transform
        self._partial = b""

    def take(self, data: bytes) -> list[bytes]:
        """Return the packets that are whole."""
        self._partial += data
        packets = []
        while len(self._partial) >= 2:
            end = 2 + int.from_bytes(self._partial[:2], "big")
            if len(self._partial) < end:
                break
            packets.append(self._partial[2:end])
            self._partial = self._partial[end:]
        return packets

    def pending_bytes(self) -> int:
        """Octets of the transform; those of the frame are the test's own."""
        held: int = getattr(self.transform, "pending_bytes", 0)
        return held

    def feed(self, data: bytes) -> list[Any]:
        """Feed the packets that are whole, in one batch."""
        packets = []
        for octets in self.take(data):
            try:
                packets.append(decode_rtp(octets))
            except ProtocolError:
                continue
        # What is asked for and told of, and in which message, depends on what came
        # together, so those two get packets singly.
        products: list[Any] = []
        match self.transform:
            case JitterBuffer():
                products += self.transform.feed(packets, 1.0)
            case NackGenerator():
                for packet in packets:
                    products += self.transform.feed([packet.sequence], 1.0)
            case TransportFeedbackGenerator():
                for packet in packets:
                    products += self.transform.feed([(packet.sequence, 1.0)], 1.0)
        return products


def _stream(sequences: list[int], size: int = 20) -> bytes:
    return b"".join(
        (12 + size).to_bytes(2, "big")
        + encode_rtp(RtpPacket(96, sequence & 0xFFFF, 0, 1, bytes(size)))
        for sequence in sequences
    )


def _in_order(size: int) -> bytes:
    return _stream(list(range(65_000, 65_000 + size // 34 + 1)))


def _with_losses(size: int) -> bytes:
    """Every fifth is lost, every seventh comes a little late."""
    numbers = [number for number in range(size // 27 + 1) if number % 5]
    for at in range(0, len(numbers) - 3, 7):
        numbers[at], numbers[at + 3] = numbers[at + 3], numbers[at]
    return _stream(numbers)


_SEEDS = (
    _in_order(1_000),
    _with_losses(2_000),
    _stream([1, 2, 2, 1, 30_000, 3, 30_000, 30_001, 65_535, 0, 1]),
    b"\x00\x00\x00\x01\x80\x00\x0c" + bytes(12) + b"\xff\xff",
)


def _case(
    name: str, transform: Callable[[], Any], bulk: Callable[[int], bytes]
) -> TransformCase:
    return TransformCase(
        name=name,
        factory=lambda: _Framed(transform()),
        seeds=_SEEDS,
        bulk=bulk,
        pending_limit=_HELD,
        pending_bytes=_Framed.pending_bytes,
    )


_CASES = (
    _case("JitterBuffer", lambda: JitterBuffer(limits=_LIMITS), _in_order),
    _case(
        "JitterBuffer, with losses", lambda: JitterBuffer(limits=_LIMITS), _with_losses
    ),
    _case("NackGenerator", lambda: NackGenerator(wait=0.0), _with_losses),
    _case(
        "TransportFeedbackGenerator",
        lambda: TransportFeedbackGenerator(1, limits=Limits(feedback_packets=1)),
        _with_losses,
    ),
)

_every_case = pytest.mark.parametrize("case", _CASES, ids=lambda case: case.name)


@_every_case
def test_the_transform_keeps_the_contract(
    case: TransformCase, transform_check: Callable[[TransformCase], None]
) -> None:
    transform_check(case)
