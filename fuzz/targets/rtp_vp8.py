"""VP8 payloads: any payloads, losses and timestamps give whole frames."""

from __future__ import annotations

from sansmedia.rtp.payloads import vp8

from .shared.payloads import check_pictures, check_rewriting


def one_input(data: bytes) -> None:
    # Nothing is raised; memory is bounded; a frame packetised again is the same frame.
    check_pictures("VP8", vp8.packetise, data)
    # Picture ids that are moved and moved back are what they were.
    check_rewriting(vp8.rewrite, data)
