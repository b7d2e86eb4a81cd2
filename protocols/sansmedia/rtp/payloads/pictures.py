"""Picture ids of VP8 and VP9, and how to keep them continuous for a viewer.

A forwarder that changes a viewer from one encoding to another, or leaves pictures
out, must not let the numbers jump: decoders take a jump for a loss. The pictures are
the source's; what a viewer has of his own is an offset to each of the numbers.
"""

from __future__ import annotations

import attrs

__all__ = ["PictureIds", "PictureOffsets", "continue_after"]


@attrs.define
class PictureIds:
    """The running numbers in one payload; None where the payload has none."""

    picture_id: int | None = None
    picture_id_bits: int = 15
    """7 or 15: the form that the payload uses."""
    tl0_pic_idx: int | None = None
    key_idx: int | None = None
    """5 bits; VP8 only."""


@attrs.define
class PictureOffsets:
    """What to add to each number of a source, modulo its width, for one viewer."""

    picture_id: int = 0
    tl0_pic_idx: int = 0
    key_idx: int = 0


def continue_after(last: PictureIds | None, first: PictureIds) -> PictureOffsets:
    """Return the offsets that make a new source go on where the viewer stands.

    Args:
        last: The numbers of the last picture as the viewer got it (offsets applied);
            None if there was none: then the source's numbers stay as they are.
        first: The numbers of the new source's first picture, a key frame.
    """
    if last is None:
        return PictureOffsets()

    def distance(old: int | None, new: int | None) -> int:
        return 0 if old is None or new is None else old + 1 - new

    return PictureOffsets(
        distance(last.picture_id, first.picture_id),
        distance(last.tl0_pic_idx, first.tl0_pic_idx),
        distance(last.key_idx, first.key_idx),
    )
