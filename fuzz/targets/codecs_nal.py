"""Byte streams, length prefixes and emulation prevention."""

from __future__ import annotations

from sansmedia.codecs import nal
from sansmedia.sansio import ProtocolError


def one_input(data: bytes) -> None:
    # What one form splits, the other carries; escaping comes undone; no unit is empty.
    units = nal.split_annexb(data)
    assert all(units)
    assert b"\0\0\1" not in b"".join(unit + b"\xff" for unit in units)
    assert nal.split_annexb(nal.join_annexb(units)) == units
    assert nal.split_length_prefixed(nal.join_length_prefixed(units)) == units
    escaped = nal.escape_rbsp(data)
    assert not any(code in escaped for code in (b"\0\0\0", b"\0\0\1", b"\0\0\2"))
    assert nal.unescape_rbsp(escaped) == data
    for size in (1, 2, 4):
        try:
            units = nal.split_length_prefixed(data, size)
        except ProtocolError:
            continue
        assert sum(map(len, units)) <= len(data)
        joined = nal.join_length_prefixed(units, size)
        assert nal.split_length_prefixed(joined, size) == units
