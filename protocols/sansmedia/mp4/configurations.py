"""Decoder configurations between the forms that publishers send and those of MP4."""

from __future__ import annotations

from sansmedia.sansio import ProtocolError, Reader

__all__ = [
    "decode_dfla",
    "decode_dops",
    "decode_vpcc",
    "encode_dac3",
    "encode_dec3",
    "encode_dfla",
    "encode_dops",
    "encode_vpcc",
]

_OPUS_MAGIC = b"OpusHead"
_FLAC_MAGIC = b"fLaC"
_STREAMINFO_SIZE = 34
_DOLBY_SYNC = b"\x0b\x77"
_SAMPLE_RATES = (48_000, 44_100, 32_000)
_REDUCED_SAMPLE_RATES = (24_000, 22_050, 16_000)
_BLOCKS = (1, 2, 3, 6)


def encode_vpcc(configuration: bytes) -> bytes:
    """Return the body of ``vpcC``, version 1.

    Source: VP Codec ISO Media File Format Binding v1.0 §2.

    Args:
        configuration: VPCodecConfigurationRecord with or without the version and
            flags before it; empty = profile 0, 8 bits, 4:2:0, all else unknown.
    """
    if not configuration:
        return b"\x01\0\0\0" + bytes([0, 0, 8 << 4 | 1 << 1, 2, 2, 2, 0, 0])
    # A record cannot begin so: its third octet holds the bit depth, 8 or more.
    if configuration.startswith(b"\x01\0\0\0"):
        return configuration
    return b"\x01\0\0\0" + configuration


def decode_vpcc(body: bytes) -> bytes:
    """Return VPCodecConfigurationRecord out of the body of ``vpcC``.

    Source: VP Codec ISO Media File Format Binding v1.0 §2.
    Raises: ProtocolError ``truncated``, or ``unsupported`` for another version.
    """
    source = "VP Codec ISO Media File Format Binding v1.0 §2"
    reader = Reader(body, source=source)
    if reader.u32() >> 24 != 1:
        raise ProtocolError("vpcC is not version 1", code="unsupported", source=source)
    return reader.rest()


def encode_dops(configuration: bytes, channels: int, sample_rate: int) -> bytes:
    """Return the body of ``dOps``: OpusHead with its numbers big-endian.

    Source: Encapsulation of Opus in ISO BMFF §4.3.2, RFC 7845 §5.1.

    Args:
        configuration: OpusHead, with or without its magic; empty = no pre-skip.
        channels: Used if there is no configuration.
        sample_rate: Used if there is no configuration.
    Raises: ProtocolError ``truncated``.
    """
    if not configuration:
        return bytes([0, channels, 0, 0]) + sample_rate.to_bytes(4, "big") + bytes(3)
    reader = Reader(configuration.removeprefix(_OPUS_MAGIC), source="RFC 7845 §5.1")
    reader.skip(1)
    count = reader.take(1)
    pre_skip = reader.take(2)[::-1]
    rate = reader.take(4)[::-1]
    gain = reader.take(2)[::-1]
    mapping = reader.rest()
    if not mapping:
        raise ProtocolError(
            "OpusHead ends before its channel mapping family",
            code="truncated",
            source="RFC 7845 §5.1",
        )
    return b"\0" + count + pre_skip + rate + gain + mapping


def decode_dops(body: bytes) -> bytes:
    """Return OpusHead with its magic out of the body of ``dOps``.

    Source: Encapsulation of Opus in ISO BMFF §4.3.2, RFC 7845 §5.1.
    Raises: ProtocolError ``truncated``, or ``unsupported`` for another version.
    """
    source = "Encapsulation of Opus in ISO BMFF §4.3.2"
    reader = Reader(body, source=source)
    if reader.u8() != 0:
        raise ProtocolError("dOps is not version 0", code="unsupported", source=source)
    count = reader.take(1)
    pre_skip = reader.take(2)[::-1]
    rate = reader.take(4)[::-1]
    gain = reader.take(2)[::-1]
    mapping = reader.take(1) + reader.rest()
    return _OPUS_MAGIC + b"\x01" + count + pre_skip + rate + gain + mapping


def encode_dfla(configuration: bytes) -> bytes:
    """Return the body of ``dfLa``.

    Source: Encapsulation of FLAC in ISO BMFF §3.3.2.

    Args:
        configuration: STREAMINFO alone (34 octets), or metadata blocks with their
            headers, with or without ``fLaC`` before them.
    """
    blocks = configuration.removeprefix(_FLAC_MAGIC)
    if len(blocks) == _STREAMINFO_SIZE:
        # Block type 0 (STREAMINFO) with last-metadata-block set.
        blocks = b"\x80" + _STREAMINFO_SIZE.to_bytes(3, "big") + blocks
    return bytes(4) + blocks


def decode_dfla(body: bytes) -> bytes:
    """Return STREAMINFO out of the body of ``dfLa``, or all blocks if there are more.

    Source: Encapsulation of FLAC in ISO BMFF §3.3.2, RFC 9639 §8.1.
    Raises: ProtocolError ``truncated`` or ``malformed``.
    """
    source = "Encapsulation of FLAC in ISO BMFF §3.3.2"
    reader = Reader(body, source=source)
    reader.skip(4)
    blocks = reader.rest()
    first = Reader(blocks, source=source)
    kind = first.u8() & 0x7F
    size = first.u24()
    if kind != 0 or size != _STREAMINFO_SIZE:
        raise ProtocolError("dfLa does not begin with STREAMINFO", source=source)
    stream_info = first.take(size)
    return blocks if first.remaining else stream_info


def encode_dac3(configuration: bytes) -> bytes:
    """Return the body of ``dac3``.

    Source: ETSI TS 102 366 §F.4, §4.3, §4.4.

    Args:
        configuration: That body itself, or the first sync frame (0x0B77 ...).
    Raises: ProtocolError ``truncated``.
    """
    if not configuration.startswith(_DOLBY_SYNC):
        return configuration
    reader = Reader(configuration, source="ETSI TS 102 366 §4.3")
    reader.skip(4)
    head = reader.u24()
    rate_code, size_code = head >> 22, head >> 16 & 0x3F
    stream_id, mode_of_service = head >> 11 & 0x1F, head >> 8 & 7
    channel_mode = head >> 5 & 7
    # Mix levels stand between acmod and lfeon, two bits for each that applies.
    lfe_shift = 4
    if channel_mode & 1 and channel_mode != 1:
        lfe_shift -= 2
    if channel_mode & 4:
        lfe_shift -= 2
    if channel_mode == 2:
        lfe_shift -= 2
    lfe = head >> lfe_shift & 1
    bits = rate_code << 22 | stream_id << 17 | mode_of_service << 14
    bits |= channel_mode << 11 | lfe << 10 | (size_code >> 1) << 5
    return bits.to_bytes(3, "big")


def encode_dec3(configuration: bytes) -> bytes:
    """Return the body of ``dec3``.

    Source: ETSI TS 102 366 §F.6, §E.1.2.2.

    Args:
        configuration: That body itself, or the first sync frame (0x0B77 ...), of
            which one independent substream is described.
    Raises: ProtocolError ``truncated``, or ``malformed`` for a reserved sample rate.
    """
    if not configuration.startswith(_DOLBY_SYNC):
        return configuration
    source = "ETSI TS 102 366 §E.1.2.2"
    reader = Reader(configuration, source=source)
    reader.skip(2)
    head = reader.u32()
    size = ((head >> 16 & 0x7FF) + 1) * 2
    rate_code, second_code = head >> 14 & 3, head >> 12 & 3
    channel_mode, lfe, stream_id = head >> 9 & 7, head >> 8 & 1, head >> 3 & 0x1F
    if rate_code < 3:
        rate, blocks = _SAMPLE_RATES[rate_code], _BLOCKS[second_code]
    elif second_code < 3:
        rate, blocks = _REDUCED_SAMPLE_RATES[second_code], 6
    else:
        raise ProtocolError("a reserved sample rate", source=source)
    data_rate = min(size * 8 * rate // (blocks * 256 * 1000), 0x1FFF)
    bits = data_rate << 27 | rate_code << 22 | stream_id << 17
    bits |= channel_mode << 9 | lfe << 8
    return bits.to_bytes(5, "big")
