"""Sections: assembled, decoded, and encoded again."""

from __future__ import annotations

from sansmedia.mpegts import (
    SectionAssembler,
    crc32,
    decode_pat,
    decode_pmt,
    decode_section,
    encode_pat,
    encode_pmt,
)
from sansmedia.sansio import ProtocolError


def _round_trip(data: bytes) -> None:
    try:
        section = decode_section(data)
        if section.table_id:
            table = decode_pmt(section)
            again = encode_pmt(
                table.program_number,
                table.pcr_pid,
                table.streams,
                table.descriptors,
                section.version,
            )
            assert decode_pmt(decode_section(again)) == table
        else:
            pat = decode_pat(section)
            again = encode_pat(pat.transport_stream_id, pat.programs, section.version)
            assert decode_pat(decode_section(again)) == pat
    except ProtocolError:
        return


def one_input(data: bytes) -> None:
    # Decoding raises ProtocolError or nothing, what was decoded encodes to the same
    # again, and an assembler holds no more than a section.
    if data:
        _round_trip(data)
        # A right checksum, so that what stands behind it is reached.
        _round_trip(data + crc32(data).to_bytes(4, "big"))
        head = bytearray(data)
        if 7 < len(head) < 1000:
            head[1:3] = (0xB000 | len(head) + 1).to_bytes(2, "big")
            body = bytes(head)
            _round_trip(body + crc32(body).to_bytes(4, "big"))
    assembler = SectionAssembler()
    for start in range(0, len(data), 184):
        piece = data[start : start + 184]
        for section in assembler.feed(piece, bool(piece[0] & 1)):
            assert 3 <= len(section) <= 1024
            _round_trip(section)
        assert assembler.pending_bytes <= 1024 + 184
