"""`decode_boxes`, and the way back."""

from __future__ import annotations

from sansmedia.mp4 import Box, Limits, decode_boxes
from sansmedia.sansio import ProtocolError

_LIMITS = Limits(max_boxes=64, max_depth=5)


def _count(boxes: tuple[Box, ...]) -> int:
    return sum(1 + _count(box.children) for box in boxes)


def _depth(boxes: tuple[Box, ...]) -> int:
    return 1 + max(_depth(box.children) for box in boxes) if boxes else 0


def one_input(data: bytes) -> None:
    # What was decoded is within its limits and decodes the same when written again.
    try:
        boxes = decode_boxes(data, _LIMITS)
    except ProtocolError:
        return
    assert _count(boxes) <= _LIMITS.max_boxes, "too many boxes"
    assert _depth(boxes) <= _LIMITS.max_depth, "nested too deep"
    encoded = b"".join(box.encode() for box in boxes)
    assert len(encoded) <= len(data), "boxes grew"
    assert decode_boxes(encoded, _LIMITS) == boxes, "boxes changed"
