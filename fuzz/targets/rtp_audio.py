"""Opus, G.711 and MPEG audio payloads: any payloads give frames or damage."""

from __future__ import annotations

from sansmedia.rtp.payloads import (
    G711Depacketiser,
    MpaDepacketiser,
    OpusDepacketiser,
    mpa,
)

from .shared.payloads import sound_frames


def one_input(data: bytes) -> None:
    # Nothing is raised; no octet is given twice; every frame has a duration.
    opus, mpeg = OpusDepacketiser(), MpaDepacketiser()
    sampled = G711Depacketiser(channels=data[0] % 3 if data else 1)
    for depacketiser in (opus, mpeg, sampled):
        for frame in sound_frames(depacketiser, data, unit=16):
            assert frame.duration > 0
            if depacketiser is mpeg:
                assert len(mpa.packetise(frame.payload, 64)) > 0
