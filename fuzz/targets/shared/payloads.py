"""What holds for the RTP payloads of every format."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

from sansmedia.rtp.payloads import (
    Depacketiser,
    Frame,
    Limits,
    PayloadFormat,
    PictureOffsets,
    payload_format,
)

_Packetise: TypeAlias = Callable[[bytes, int], list[bytes]]


def _packets(data: bytes, unit: int = 1) -> Iterator[tuple[int, bytes]]:
    """Cut ``data`` into payloads; each comes with the octet that stood before it.

    That is marker, new timestamp, gap, and 5 bits of the payload's size in units.
    """
    position = 0
    while position < len(data):
        head, start = data[position], position + 1
        position = start + unit * (head & 0x1F)
        yield head, data[start:position]


def _feed(
    depacketiser: Depacketiser, data: bytes, unit: int = 1
) -> Iterator[tuple[bytes, list[Frame]]]:
    """Feed payloads; yield each with the frames that it completed."""
    timestamp = 0
    for head, payload in _packets(data, unit):
        timestamp += head >> 6 & 1
        frames = depacketiser.feed(payload, timestamp, head >= 128, bool(head & 32))
        yield payload, frames


def check_pictures(
    encoding_name: str,
    packetise: _Packetise,
    data: bytes,
    *,
    split: Callable[[bytes], Sequence[object]] | None = None,
) -> None:
    """Check a format of pictures; ``split`` takes a frame apart into its units."""
    spoken = payload_format(encoding_name)
    assert spoken is not None
    limits = Limits(frame_bytes=400, frame_units=16)
    depacketiser = spoken.make_depacketiser(limits=limits)
    frames = []
    for payload, completed in _feed(depacketiser, data):
        frames += completed
        assert depacketiser.pending_bytes <= 400
        frame_start = spoken.is_frame_start(payload)
        assert frame_start or not spoken.is_key_frame_start(payload)
        spoken.layer(payload)
    frames += depacketiser.flush()
    assert depacketiser.pending_bytes == 0
    for frame in frames:
        again = _packetised_again(spoken, packetise, frame)
        if split is None:
            assert again == [frame.payload]
        else:
            assert 0 < len(split(frame.payload)) <= 16
            # Without what came before, a beginning has to prove itself.
            assert again in ([frame.payload], [])


def _packetised_again(
    spoken: PayloadFormat, packetise: _Packetise, frame: Frame
) -> list[bytes]:
    payloads = packetise(frame.payload, 64)
    depacketiser = spoken.make_depacketiser()
    found = []
    for number, payload in enumerate(payloads, 1):
        assert len(payload) <= 64
        found += depacketiser.feed(payload, 0, number == len(payloads))
    return [one.payload for one in found]


def check_rewriting(
    rewrite: Callable[[bytes, PictureOffsets], bytes], data: bytes
) -> None:
    """Check that numbers that are moved and moved back are what they were."""
    for _, payload in _packets(data):
        moved = rewrite(payload, PictureOffsets(5, 6, 7))
        assert len(moved) == len(payload)
        assert rewrite(moved, PictureOffsets(-5, -6, -7)) == payload


def sound_frames(
    depacketiser: Depacketiser, data: bytes, *, unit: int = 1, held: int = 4096
) -> Iterator[Frame]:
    """Yield the frames of a format of sound, which holds at most so many octets.

    No octet is in two of them.
    """
    taken = given = 0
    for payload, frames in _feed(depacketiser, data, unit):
        taken += len(payload)
        given += sum(len(frame.payload) for frame in frames)
        assert given + depacketiser.pending_bytes <= taken
        assert depacketiser.pending_bytes <= held
        yield from frames
    depacketiser.flush()
    assert depacketiser.pending_bytes == 0
