"""The elementary stream descriptor of ``esds``, for AAC and MP3.

Source: ISO 14496-1 §7.2.6, ISO 14496-14 §5.6.
"""

from __future__ import annotations

from sansmedia.sansio import ProtocolError, Reader

__all__ = [
    "AAC_OBJECT_TYPES",
    "MP3_OBJECT_TYPES",
    "decode_elementary_stream",
    "encode_elementary_stream",
]

_SOURCE = "ISO 14496-1 §7.2.6"
_ES = 0x03
_DECODER_CONFIG = 0x04
_DECODER_SPECIFIC_INFO = 0x05
_SL_CONFIG = 0x06

AAC_OBJECT_TYPES = frozenset({0x40, 0x66, 0x67, 0x68})
"""objectTypeIndication of AAC: MPEG-4, and the three profiles of MPEG-2."""
MP3_OBJECT_TYPES = frozenset({0x69, 0x6B})
"""objectTypeIndication of MP3: MPEG-2 rates, and MPEG-1 rates."""


def _encode(tag: int, body: bytes) -> bytes:
    size = len(body)
    groups = [size & 0x7F]
    while size := size >> 7:
        groups.insert(0, size & 0x7F | 0x80)
    return bytes([tag, *groups]) + body


def encode_elementary_stream(
    object_type: int,
    specific_info: bytes,
    *,
    buffer_size: int = 0,
    maximum_bps: int = 0,
    average_bps: int = 0,
) -> bytes:
    """Return ES_Descriptor for one audio stream of a file.

    Source: ISO 14496-1 §7.2.6.5, ISO 14496-14 §5.6.

    Args:
        object_type: objectTypeIndication, 8 bits.
        specific_info: DecoderSpecificInfo, left out if empty.
        buffer_size: Octets, 24 bits.
        maximum_bps: Bits a second; 0 = not known.
        average_bps: Bits a second; 0 = not known.
    """
    config = (
        bytes([object_type, 0x05 << 2 | 1])
        + min(buffer_size, 0xFFFFFF).to_bytes(3, "big")
        + min(maximum_bps, 0xFFFFFFFF).to_bytes(4, "big")
        + min(average_bps, 0xFFFFFFFF).to_bytes(4, "big")
    )
    if specific_info:
        config += _encode(_DECODER_SPECIFIC_INFO, specific_info)
    body = b"\0\0\0" + _encode(_DECODER_CONFIG, config) + _encode(_SL_CONFIG, b"\x02")
    return _encode(_ES, body)


def decode_elementary_stream(data: bytes) -> tuple[int, bytes]:
    """Return objectTypeIndication and DecoderSpecificInfo of an ES_Descriptor.

    Source: ISO 14496-1 §7.2.6.5.
    Raises: ProtocolError ``truncated`` or ``malformed``.
    """
    reader = _expect(Reader(data, source=_SOURCE), _ES)
    reader.skip(2)
    flags = reader.u8()
    if flags & 0x80:
        reader.skip(2)
    if flags & 0x40:
        reader.skip(reader.u8())
    if flags & 0x20:
        reader.skip(2)
    config = _expect(reader, _DECODER_CONFIG)
    object_type = config.u8()
    config.skip(12)
    if not config.remaining:
        return object_type, b""
    return object_type, _expect(config, _DECODER_SPECIFIC_INFO).rest()


def _expect(reader: Reader, tag: int) -> Reader:
    found = reader.u8()
    if found != tag:
        raise ProtocolError(
            f"descriptor {found:#04x} where {tag:#04x} belongs", source=_SOURCE
        )
    size = 0
    for _ in range(4):
        octet = reader.u8()
        size = size << 7 | octet & 0x7F
        if not octet & 0x80:
            return Reader(reader.take(size), source=_SOURCE)
    raise ProtocolError("a descriptor size of more than 28 bits", source=_SOURCE)
