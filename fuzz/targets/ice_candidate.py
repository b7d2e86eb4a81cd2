"""`decode_candidate` over any text, and routing over any octets."""

from __future__ import annotations

import contextlib

from sansmedia.ice import (
    decode_candidate,
    encode_candidate,
    local_ufrag_of,
    transaction_prefix_of,
)
from sansmedia.sansio import ProtocolError


def one_input(data: bytes) -> None:
    # A text decodes or raises ProtocolError; what it gives is read the same after it
    # was written again, and written the same from then on.
    with contextlib.suppress(ProtocolError):
        candidate = decode_candidate(data.decode("utf-8", "replace"))
        written = encode_candidate(candidate)
        assert decode_candidate(written) == candidate
        assert 1 <= candidate.priority < 1 << 31
        assert (candidate.tcp_type is not None) == (candidate.transport == "tcp")
    ufrag = local_ufrag_of(data)
    prefix = transaction_prefix_of(data)
    assert ufrag is None or prefix is None
