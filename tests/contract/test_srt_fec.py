"""`FecReceiver` is indifferent to batches, bounded, and raises for nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sansmedia.sansio.testing import TransformCase
from sansmedia.srt.packet_filter import make_filter_receiver, make_filter_sender
from sansmedia.srt.packet_wire import (
    MESSAGE_SOLO,
    DataPacket,
    decode_packet,
    encode_data,
)

_CONFIGS = (
    "fec,cols:5",
    "fec,cols:4,rows:3,layout:even",
    "fec,cols:5,rows:3,layout:staircase",
    "fec,cols:6,rows:-4",
)
_SIZE = 28


class _Framed:
    """Datagrams with two octets of length each (RFC 4571 §2) fed to a receiver."""

    def __init__(self, config: str) -> None:
        self.receiver = make_filter_receiver(config, initial_sequence=0)
        self._partial = b""

    def feed(self, data: bytes) -> list[Any]:
        """Feed the datagrams that are whole; control packets go elsewhere."""
        self._partial += data
        products: list[Any] = []
        while len(self._partial) >= 2:
            end = 2 + int.from_bytes(self._partial[:2], "big")
            if len(self._partial) < end:
                break
            datagram, self._partial = self._partial[2:end], self._partial[end:]
            if end < 18:
                continue
            packet = decode_packet(datagram)
            if isinstance(packet, DataPacket):
                output = self.receiver.feed(packet)
                products += [*output.packets, *output.losses]
        return products


def _stream(config: str, size: int, lost: int) -> bytes:
    """Return about ``size`` octets without every ``lost``-th data packet."""
    sender = make_filter_sender(config, initial_sequence=0, payload_size=_SIZE)
    framed = []
    for number in range(size // 46 + 20):
        packet = DataPacket(
            number, MESSAGE_SOLO | number + 1, 1000 * number, 7, bytes(_SIZE)
        )
        packets = [packet, *sender.feed(packet)][number % lost == lost - 1 :]
        framed += [
            len(datagram).to_bytes(2, "big") + datagram
            for datagram in map(encode_data, packets)
        ]
    return b"".join(framed)


def _case(config: str) -> TransformCase:
    whole = _stream(config, 2_000, 7)
    return TransformCase(
        name=config,
        factory=lambda: _Framed(config),
        seeds=(whole, _stream(config, 2_000, 3), whole[46:] + whole),
        bulk=lambda size: _stream(config, size, 9),
        # Damage makes lengths: one datagram holds what the seeds and a little are.
        pending_limit=64 * 1024,
        pending_bytes=lambda framed: framed.receiver.pending_bytes,
    )


_every_case = pytest.mark.parametrize(
    "case", tuple(map(_case, _CONFIGS)), ids=lambda case: case.name
)


@_every_case
def test_the_transform_keeps_the_contract(
    case: TransformCase, transform_check: Callable[[TransformCase], None]
) -> None:
    transform_check(case)
