"""AMF0 values: what decodes can be encoded, and then decodes to the same bytes."""

from __future__ import annotations

from sansmedia.amf import Limits, amf0
from sansmedia.sansio import ProtocolError

_WRITTEN_OUT = Limits(values=4 * Limits().values, bytes=4 * Limits().bytes)
"""A reference costs its values alone; written out, containers charge their counts."""


def one_input(data: bytes) -> None:
    # Only ProtocolError leaves; encoding what was decoded is stable from then on.
    try:
        values = amf0.decode_values(data)
    except ProtocolError:
        return
    encoded = amf0.encode_values(*values)
    assert amf0.encode_values(*amf0.decode_values(encoded, _WRITTEN_OUT)) == encoded
