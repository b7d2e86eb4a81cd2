"""Everything of AV1 that a publisher's bytes reach."""

from __future__ import annotations

from sansmedia.codecs import av1
from sansmedia.codecs.parameters import MAX_DIMENSION
from sansmedia.sansio import ProtocolError


def _configuration(data: bytes) -> None:
    try:
        record = av1.decode_av1c(data)
    except ProtocolError:
        return
    assert av1.decode_av1c(av1.encode_av1c(record)) == record
    try:
        found = av1.parameters(data)
    except ProtocolError:
        return
    assert 0 <= found.width <= MAX_DIMENSION
    assert 0 <= found.height <= MAX_DIMENSION


def one_input(data: bytes) -> None:
    # OBUs and records that decode come back; stripping twice strips no more.
    _configuration(data)
    key = av1.is_random_access(data)
    try:
        obus = av1.split_obus(data)
    except ProtocolError:
        assert not key
        return
    joined = av1.join_obus(obus)
    assert av1.split_obus(joined) == obus
    assert av1.is_random_access(joined) == key
    stripped = av1.strip_temporal_delimiters(data)
    assert av1.strip_temporal_delimiters(stripped) == stripped
    assert av1.is_random_access(stripped) == key
    try:
        header = av1.sequence_header(data)
    except ProtocolError:
        return
    if header is not None:
        found = av1.parameters_from_sequence_header(header)
        payload = next(obu.payload for obu in obus if obu.obu_type == 1)
        assert av1.parameters(av1.av1c_from_sequence_header(payload)) == found
