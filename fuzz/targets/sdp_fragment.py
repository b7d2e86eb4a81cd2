"""Fragments of trickled candidates of any octets."""

from __future__ import annotations

from sansmedia.sansio import ProtocolError
from sansmedia.sdp import decode_fragment, encode_fragment


def one_input(data: bytes) -> None:
    # Decoding raises ProtocolError and nothing else; what was read is written and read
    # again as the same.
    try:
        fragment = decode_fragment(data)
    except ProtocolError as error:
        assert error.reason
        return
    assert decode_fragment(encode_fragment(fragment)) == fragment
    assert len(fragment.all_candidates) <= 256 * 65
