"""AV1 payloads: any payloads, losses and timestamps give whole frames."""

from __future__ import annotations

from sansmedia.codecs.av1 import split_obus
from sansmedia.rtp.payloads import av1

from .shared.payloads import check_pictures


def one_input(data: bytes) -> None:
    # Nothing is raised; memory is bounded; a frame packetised again is the same frame.
    check_pictures("AV1", av1.packetise, data, split=split_obus)
