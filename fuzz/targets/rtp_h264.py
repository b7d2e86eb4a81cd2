"""H.264 payloads: any payloads, losses and timestamps give whole frames."""

from __future__ import annotations

from sansmedia.codecs.nal import split_length_prefixed
from sansmedia.rtp.payloads import h264

from .shared.payloads import check_pictures


def one_input(data: bytes) -> None:
    # Nothing is raised; memory is bounded; a frame packetised again is the same frame.
    check_pictures("H264", h264.packetise, data, split=split_length_prefixed)
