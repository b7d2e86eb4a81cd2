"""VP8 and VP9 frames, superframes and vpcC."""

from __future__ import annotations

from sansmedia.codecs import vp8, vp9
from sansmedia.codecs.parameters import MAX_DIMENSION
from sansmedia.sansio import ProtocolError


def one_input(data: bytes) -> None:
    # Key frames have a size in bounds; frames fill no more than their superframe.
    try:
        vp8_header = vp8.decode_frame_header(data)
    except ProtocolError:
        pass
    else:
        assert vp8.is_random_access(data) == vp8_header.key_frame
        if vp8_header.key_frame:
            assert 0 < vp8_header.width <= MAX_DIMENSION
            vp8.parameters_from_frame_header(vp8_header)
    try:
        record = vp9.decode_vpcc(data)
    except ProtocolError:
        pass
    else:
        assert vp9.decode_vpcc(vp9.encode_vpcc(record)) == record
        vp9.parameters(data)
    try:
        frames = vp9.split_superframe(data)
    except ProtocolError:
        return
    assert sum(map(len, frames)) <= len(data)
    for frame in frames:
        try:
            header = vp9.decode_frame_header(frame)
        except ProtocolError:
            assert not vp9.is_random_access(frame)
            continue
        assert vp9.is_random_access(frame) == header.key_frame
        if header.key_frame:
            found = vp9.parameters_from_frame_header(header)
            assert 0 < found.width <= MAX_DIMENSION
            made = vp9.parameters(vp9.vpcc_from_frame_header(header))
            assert made.rfc6381 == found.rfc6381
