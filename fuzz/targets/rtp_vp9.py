"""VP9 payloads: any payloads, losses and timestamps give whole frames."""

from __future__ import annotations

from sansmedia.rtp.payloads import vp9

from .shared.payloads import check_pictures, check_rewriting


def one_input(data: bytes) -> None:
    # Nothing is raised; memory is bounded; a frame packetised again is the same frame.
    check_pictures("VP9", vp9.packetise, data)
    # Picture ids that are moved and moved back are what they were.
    check_rewriting(vp9.rewrite, data)
