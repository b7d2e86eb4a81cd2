"""AAC payloads: any payloads, losses and timestamps give whole access units."""

from __future__ import annotations

from sansmedia.rtp.payloads import AacDepacketiser, aac

from .shared.payloads import sound_frames


def one_input(data: bytes) -> None:
    # Nothing is raised; no octet is given twice; a unit packetised again is the same.
    depacketiser = AacDepacketiser()
    for frame in sound_frames(depacketiser, data, held=0x1FFF):
        again = AacDepacketiser()
        found = [
            one.payload
            for cut in aac.packetise(frame.payload, 64)
            for one in again.feed(cut, 0, False)
        ]
        assert found == [frame.payload]
