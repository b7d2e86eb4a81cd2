"""Decoder configurations between the forms that publishers send and those of MP4."""

from __future__ import annotations

from sansmedia.codecs import Codec, ac3, flac, opus, vp9
from sansmedia.sansio import ProtocolError, Reader, UsageError

__all__ = [
    "canonical_configuration",
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
_DOLBY_SYNC = b"\x0b\x77"


def canonical_configuration(codec: Codec, configuration: bytes) -> bytes:
    """Return a configuration in the form that `sansmedia.codecs.parameters` takes.

    Raises: ProtocolError if it must be read for that and is damaged.
    """
    if codec is Codec.OPUS and configuration:
        return _OPUS_MAGIC + configuration.removeprefix(_OPUS_MAGIC)
    if codec is Codec.AC3:
        return encode_dac3(configuration)
    if codec is Codec.EAC3:
        return encode_dec3(configuration)
    return configuration


def encode_vpcc(configuration: bytes) -> bytes:
    """Return the body of ``vpcC``, version 1.

    Source: VP Codec ISO Media File Format Binding v1.0 §2.

    Args:
        configuration: VPCodecConfigurationRecord with or without the version and
            flags before it; empty = profile 0, 8 bits, 4:2:0, all else unknown.

    Raises: ProtocolError for a damaged record.
    """
    if configuration:
        return vp9.encode_vpcc(vp9.decode_vpcc(configuration))
    return vp9.encode_vpcc(vp9.VpCodecConfigurationRecord(0, 0, 8, 1))


def decode_vpcc(body: bytes) -> bytes:
    """Return VPCodecConfigurationRecord out of the body of ``vpcC``.

    Source: VP Codec ISO Media File Format Binding v1.0 §2.

    Raises: ProtocolError for a damaged record or another version.
    """
    return vp9.encode_vpcc(vp9.decode_vpcc(body), full_box=False)


def encode_dops(configuration: bytes, channels: int, sample_rate: int) -> bytes:
    """Return the body of ``dOps``: OpusHead with its numbers big-endian.

    Source: Encapsulation of Opus in ISO BMFF §4.3.2, RFC 7845 §5.1.

    Args:
        configuration: OpusHead, with or without its magic; empty = no pre-skip.
        channels: 1 or 2; used if there is no configuration.
        sample_rate: Used if there is no configuration.

    Raises: ProtocolError for a damaged OpusHead; UsageError for more than two channels
        without one.
    """
    if configuration:
        head = opus.decode_opus_head(canonical_configuration(Codec.OPUS, configuration))
    elif channels > 2:
        raise UsageError("Opus of more than two channels needs its OpusHead")
    else:
        head = opus.OpusHead(channels, pre_skip=0, input_sample_rate=sample_rate)
    return opus.encode_dops(head)


def decode_dops(body: bytes) -> bytes:
    """Return OpusHead with its magic out of the body of ``dOps``.

    Source: Encapsulation of Opus in ISO BMFF §4.3.2, RFC 7845 §5.1.

    Raises: ProtocolError for a damaged body or another version.
    """
    return opus.encode_opus_head(opus.decode_dops(body))


def encode_dfla(configuration: bytes) -> bytes:
    """Return the body of ``dfLa``.

    Source: Encapsulation of FLAC in ISO BMFF §3.3.2.

    Args:
        configuration: STREAMINFO alone (34 octets), or metadata blocks with their
            headers, with or without ``fLaC`` before them.
    """
    blocks = configuration.removeprefix(_FLAC_MAGIC)
    if len(blocks) == flac.STREAMINFO_SIZE:
        # Block type 0 (STREAMINFO) with last-metadata-block set.
        blocks = b"\x80" + flac.STREAMINFO_SIZE.to_bytes(3, "big") + blocks
    return bytes(4) + blocks


def decode_dfla(body: bytes) -> bytes:
    """Return STREAMINFO out of the body of ``dfLa``, or all blocks if there are more.

    Source: Encapsulation of FLAC in ISO BMFF §3.3.2, RFC 9639 §8.1.

    Raises: ProtocolError ``truncated`` or ``malformed``.
    """
    reader = Reader(body, source="Encapsulation of FLAC in ISO BMFF §3.3.2")
    reader.skip(4)
    blocks = reader.rest()
    stream_info = flac.streaminfo_of(blocks)
    return stream_info if len(blocks) == len(stream_info) + 4 else blocks


def encode_dac3(configuration: bytes) -> bytes:
    """Return the body of ``dac3``.

    Source: ETSI TS 102 366 §F.4.

    Args:
        configuration: That body itself, or the first sync frame (0x0B77 ...).

    Raises: ProtocolError for a damaged or another codec's frame.
    """
    if not configuration.startswith(_DOLBY_SYNC):
        return configuration
    frame = ac3.decode_sync_frame(configuration)
    if frame.codec is not Codec.AC3:
        raise ProtocolError("dac3 describes AC-3", source="ETSI TS 102 366 §F.4")
    return ac3.dac3_from_sync_frame(frame)


def encode_dec3(configuration: bytes) -> bytes:
    """Return the body of ``dec3``.

    Source: ETSI TS 102 366 §F.6.

    Args:
        configuration: That body itself, or the first packet (0x0B77 ...): one frame
            of each substream, or six blocks' worth of frames.

    Raises: ProtocolError for a damaged or another codec's frame.
    """
    if not configuration.startswith(_DOLBY_SYNC):
        return configuration
    # By programme, since the dependent substreams of each are numbered from 0.
    substreams: dict[tuple[int, bool, int], ac3.SyncFrame] = {}
    programme = -1
    for frame, _ in ac3.split_sync_frames(configuration):
        is_dependent = frame.stream_type == 1
        if not is_dependent:
            programme = frame.substream_id
        # A packet of six blocks may have several frames of the same substream.
        key = programme, is_dependent, frame.substream_id
        substreams.setdefault(key, frame)
    return ac3.dec3_from_sync_frames([substreams[key] for key in sorted(substreams)])
