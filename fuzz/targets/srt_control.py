"""Fields of acknowledgements, loss reports and drop requests."""

from __future__ import annotations

from sansmedia.sansio import ProtocolError
from sansmedia.srt.ack_wire import decode_ack, encode_ack
from sansmedia.srt.loss_wire import (
    decode_drop_request,
    decode_losses,
    encode_drop_request,
    encode_losses,
)
from sansmedia.srt.sequence_ranges import SequenceRanges

_MASK = (1 << 31) - 1


def one_input(data: bytes) -> None:
    # Each field is refused or comes back by its encoder as far as it means something,
    # and no range is longer than it may be.
    longest = 1 + (data[0] << 8 if data else 0)
    field = data[1:]
    try:
        ack = decode_ack(field)
    except ProtocolError:
        pass
    else:
        assert encode_ack(ack) == field[: min(len(field) // 4, 7) * 4]
    try:
        ranges, refused = decode_losses(field, longest=longest)
    except ProtocolError:
        pass
    else:
        for low, high in ranges:
            assert 0 <= low <= _MASK
            assert (high - low & _MASK) < longest
        assert len(ranges) + refused <= len(field) // 4
        # A word of room more: where a range might not fit, writing stops before it.
        again = encode_losses(ranges, size=len(field) + 4)
        if ranges:
            assert decode_losses(again, longest=longest) == (ranges, 0)
        losses = SequenceRanges()
        total = 0
        for low, high in ranges:
            total += losses.add(low, low + (high - low & _MASK))
        assert losses.count == total <= longest * max(len(ranges), 1)
        for low, high in ranges:
            losses.discard(low, low + (high - low & _MASK))
        assert losses.count == len(losses) == 0
    try:
        low, high = decode_drop_request(field, longest=longest)
    except ProtocolError:
        pass
    else:
        assert encode_drop_request(low, high) == field[:8]
