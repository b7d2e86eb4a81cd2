"""`SrtpReceiver` is indifferent to batches, bounded, and raises for nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sansmedia.rtp import encode_header
from sansmedia.sansio.testing import TransformCase
from sansmedia.srtp import ProtectionProfile, SrtpReceiver, SrtpSender


def _master(profile: ProtectionProfile) -> tuple[ProtectionProfile, bytes, bytes]:
    return profile, bytes(profile.key_size), bytes(profile.salt_size)


class _Framed:
    """Packets with two octets of length each (RFC 4571 §2) fed to a receiver."""

    def __init__(self, profile: ProtectionProfile) -> None:
        self.receiver = SrtpReceiver(*_master(profile))
        self._partial = b""

    def feed(self, data: bytes) -> list[Any]:
        """Feed the packets that are whole, in one batch."""
        self._partial += data
        packets = []
        while len(self._partial) >= 2:
            end = 2 + int.from_bytes(self._partial[:2], "big")
            if len(self._partial) < end:
                break
            packets.append(self._partial[2:end])
            self._partial = self._partial[end:]
        opened: list[Any] = self.receiver.unprotect_rtp(packets)
        return opened


def _stream(profile: ProtectionProfile, size: int) -> bytes:
    sender = SrtpSender(*_master(profile))
    return b"".join(
        len(packet).to_bytes(2, "big") + packet
        for packet in (
            sender.protect_rtp(encode_header(96, number & 0xFFFF, 0, 1) + bytes(20))
            for number in range(65_000, 65_000 + size // 44 + 1)
        )
    )


def _case(profile: ProtectionProfile) -> TransformCase:
    whole = _stream(profile, 1_000)
    return TransformCase(
        name=profile.name,
        factory=lambda: _Framed(profile),
        seeds=(whole, whole + whole[:200], b"\x00\x00\x00\x01\x80" + whole),
        bulk=lambda size: _stream(profile, size),
        pending_limit=0,
        pending_bytes=lambda _: 0,
    )


_CASES = tuple(
    _case(profile)
    for profile in (
        ProtectionProfile.AEAD_AES_128_GCM,
        ProtectionProfile.AES128_CM_HMAC_SHA1_80,
    )
)

_every_case = pytest.mark.parametrize("case", _CASES, ids=lambda case: case.name)


@_every_case
def test_the_transform_keeps_the_contract(
    case: TransformCase, transform_check: Callable[[TransformCase], None]
) -> None:
    transform_check(case)


@_every_case
def test_every_packet_of_the_bulk_is_opened(case: TransformCase) -> None:
    """Without this, the checks of cost could be trying garbage."""
    assert None not in case.feed(case.factory(), case.bulk(10_000))
