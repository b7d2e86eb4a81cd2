"""Every depacketiser keeps the contract of transforms.

Payloads are no byte stream, so here each comes behind three octets: marker, new
timestamp, gap, and its size. What takes such a stream apart is the test's own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import attrs
import pytest
from sansmedia.codecs.av1 import Obu, ObuType, join_obus
from sansmedia.codecs.nal import join_length_prefixed
from sansmedia.rtp.payloads import (
    AacDepacketiser,
    Av1Depacketiser,
    Depacketiser,
    G711Depacketiser,
    H264Depacketiser,
    H265Depacketiser,
    Limits,
    MpaDepacketiser,
    OpusDepacketiser,
    Vp8Depacketiser,
    Vp9Depacketiser,
    aac,
    av1,
    h264,
    h265,
    mpa,
    vp8,
    vp9,
)
from sansmedia.sansio.testing import TransformCase

_DATA = Path(__file__).resolve().parents[1] / "data" / "rtp" / "payloads"
_FRAME = 2 * 1024 * 1024
_LIMITS = Limits(frame_bytes=_FRAME)
_MAX_SIZE = 1190


class _Framed:
    """Feeds a depacketiser from a byte stream of payloads."""

    def __init__(self, depacketiser: Depacketiser) -> None:
        self._depacketiser = depacketiser
        self._buffer = bytearray()
        self._timestamp = 0

    def feed(self, data: bytes) -> list[Any]:
        """Take bytes in any segmentation."""
        self._buffer += data
        frames: list[Any] = []
        position = 0
        while position + 3 <= len(self._buffer):
            head = self._buffer[position]
            size = int.from_bytes(self._buffer[position + 1 : position + 3], "big")
            start = position + 3
            if start + size > len(self._buffer):
                break
            position = start + size
            self._timestamp += head >> 6 & 1
            frames += self._depacketiser.feed(
                bytes(self._buffer[start:position]),
                self._timestamp,
                head >= 128,
                bool(head & 32),
            )
        del self._buffer[:position]
        return frames

    @property
    def pending_bytes(self) -> int:
        """Octets of an unfinished frame."""
        return self._depacketiser.pending_bytes


def _framed(frames: Iterable[Iterable[bytes]]) -> bytes:
    parts = []
    for payloads in map(list, frames):
        for number, payload in enumerate(payloads):
            last = number == len(payloads) - 1
            head = last << 7 | (number == 0) << 6
            parts.append(bytes((head,)) + len(payload).to_bytes(2, "big") + payload)
    return b"".join(parts)


def _recorded(name: str) -> bytes:
    """Return a recording's payloads, and a second time with a gap in the middle."""
    data = (_DATA / f"{name}.bin").read_bytes()
    frames: dict[bytes, list[bytes]] = {}
    position = 0
    while position < len(data):
        start = position + 2
        position = start + int.from_bytes(data[start - 2 : start], "big")
        frames.setdefault(data[start + 4 : start + 8], []).append(
            data[start + 12 : position]
        )
    whole = _framed(frames.values())
    again = _framed(cut[1:] or cut for cut in frames.values())
    return (whole + bytes((again[0] | 32,)) + again[1:])[:16_000]


def _case(
    name: str,
    depacketiser: Callable[[], Depacketiser],
    recordings: Iterable[str],
    bulk: Callable[[int], Iterable[Iterable[bytes]]],
) -> TransformCase:
    return TransformCase(
        name=name,
        factory=lambda: _Framed(depacketiser()),
        seeds=(*map(_recorded, recordings), b"\xc0\0\0" * 9 + b"\xff" * 64),
        bulk=lambda size: _framed(bulk(size)),
        pending_limit=_FRAME,
    )


def _h264_bulk(size: int) -> Iterable[list[bytes]]:
    units = [b"\x67\x42", b"\x68\x01", b"\x65\x88" + bytes(size)]
    yield h264.packetise(join_length_prefixed(units), _MAX_SIZE)


def _h265_bulk(size: int) -> Iterable[list[bytes]]:
    units = [b"\x40\1\1", b"\x42\1\1", b"\x44\1\1", b"\x26\x01\x80" + bytes(size)]
    yield h265.packetise(join_length_prefixed(units), _MAX_SIZE)


def _av1_bulk(size: int) -> Iterable[list[bytes]]:
    obus = [
        Obu(ObuType.SEQUENCE_HEADER, b"\0\0\0\4"),
        Obu(ObuType.FRAME, b"\x10" + bytes(size)),
    ]
    yield av1.packetise(join_obus(obus), _MAX_SIZE)


def _vp8_bulk(size: int) -> Iterable[list[bytes]]:
    yield vp8.packetise(b"\x10\0\0\x9d\x01\x2a\x40\x01\xf0\0" + bytes(size), _MAX_SIZE)


def _vp9_bulk(size: int) -> Iterable[list[bytes]]:
    yield vp9.packetise(bytes.fromhex("824983420013f00ef6") + bytes(size), _MAX_SIZE)


def _aac_bulk(size: int) -> Iterable[list[bytes]]:
    return [aac.packetise(bytes(3000), _MAX_SIZE)] * (size // 3000 + 1)


def _mpa_bulk(size: int) -> Iterable[list[bytes]]:
    frame = b"\xff\xfb\x94\x64" + bytes(380)
    return [mpa.packetise(frame, 100)] * (size // 384 + 1)


def _opus_bulk(size: int) -> Iterable[list[bytes]]:
    return [[b"\x78" + bytes(160)]] * (size // 160 + 1)


_CASES = (
    _case(
        "H.264",
        lambda: H264Depacketiser(_LIMITS),
        ["h264_ffmpeg", "h264_gstreamer"],
        _h264_bulk,
    ),
    _case(
        "H.265",
        lambda: H265Depacketiser(_LIMITS),
        ["h265_ffmpeg", "h265_gstreamer"],
        _h265_bulk,
    ),
    _case("AV1", lambda: Av1Depacketiser(_LIMITS), ["av1_ffmpeg"], _av1_bulk),
    _case(
        "VP8",
        lambda: Vp8Depacketiser(_LIMITS),
        ["vp8_ffmpeg", "vp8_gstreamer"],
        _vp8_bulk,
    ),
    _case(
        "VP9",
        lambda: Vp9Depacketiser(_LIMITS),
        ["vp9_ffmpeg", "vp9_gstreamer"],
        _vp9_bulk,
    ),
    _case("AAC", AacDepacketiser, ["aac_ffmpeg", "aac_gstreamer"], _aac_bulk),
    _case("MPEG audio", MpaDepacketiser, ["mpa_ffmpeg", "mpa_gstreamer"], _mpa_bulk),
    _case("Opus", OpusDepacketiser, ["opus_ffmpeg"], _opus_bulk),
    _case("G.711", G711Depacketiser, ["pcmu_ffmpeg", "g722_ffmpeg"], _opus_bulk),
)
_every_case = pytest.mark.parametrize("case", _CASES, ids=lambda case: case.name)


@_every_case
def test_the_depacketiser_keeps_the_contract(
    case: TransformCase, transform_check: Callable[[TransformCase], None]
) -> None:
    transform_check(case)


@_every_case
def test_frames_may_be_compared_as_values(case: TransformCase) -> None:
    """Or the check of segmentation could not fail."""
    first, second = (case.feed(case.factory(), case.seeds[0]) for _ in range(2))
    assert first == second
    assert first
    assert attrs.evolve(first[0], timestamp=99) != first[0]
