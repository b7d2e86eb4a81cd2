"""AC-3 and E-AC-3: the synchronisation frame, and the bodies of dac3 and dec3."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from sansmedia.sansio import ProtocolError, UsageError

from .bits import BitReader, BitWriter
from .codec import Codec
from .parameters import AudioParameters

__all__ = [
    "Ac3Config",
    "DependentSubstream",
    "Eac3Config",
    "Eac3Substream",
    "SyncFrame",
    "dac3_from_sync_frame",
    "dec3_from_sync_frames",
    "decode_dac3",
    "decode_dec3",
    "decode_sync_frame",
    "encode_dac3",
    "encode_dec3",
    "parameters",
    "parameters_from_sync_frame",
    "split_sync_frames",
]

MAX_SYNC_FRAMES = 64
"""Frames accepted in one packet: 8 independent substreams with 7 dependent each."""

_SAMPLE_RATES = (48000, 44100, 32000)
_CHANNELS = (2, 1, 2, 3, 3, 4, 4, 5)
"""Full-bandwidth channels by acmod (ATSC A/52 Table 5.8)."""
_KBPS = (
    *(32, 40, 48, 56, 64, 80, 96, 112, 128, 160),
    *(192, 224, 256, 320, 384, 448, 512, 576, 640),
)
"""Bit rates by frmsizecod / 2 (ATSC A/52 Table 5.18)."""
_BLOCKS = (1, 2, 3, 6)
_DEPENDENT = 1
_MOST_SUBSTREAMS = 8  # substreamid has three bits
_SOURCE = "ATSC A/52 §5.3"


@attrs.define
class SyncFrame:
    """syncinfo and the start of bsi (ATSC A/52 §5.3, §E.2.2)."""

    codec: Codec
    """AC3 or EAC3."""
    sample_rate: int
    channels: int
    """Low-frequency channel included; for E-AC-3 those of this substream alone."""
    frame_size: int
    """Octets, header included."""
    samples: int
    bsid: int
    bsmod: int
    acmod: int
    lfe: bool
    bit_rate_code: int = 0
    """frmsizecod / 2; AC-3 only."""
    stream_type: int = 0
    """0 independent, 1 dependent, 2 converted from AC-3; E-AC-3 only."""
    substream_id: int = 0
    fscod: int = 0
    channel_map: int | None = None
    """chanmap of a dependent substream."""

    @property
    def bit_rate(self) -> int:
        """Bits a second, by size and duration of this frame."""
        return 8 * self.frame_size * self.sample_rate // self.samples


@attrs.frozen
class Ac3Config:
    """AC3SpecificBox (ETSI TS 102 366 §F.4)."""

    fscod: int
    bsid: int
    bsmod: int
    acmod: int
    lfe: bool
    bit_rate_code: int


@attrs.frozen
class DependentSubstream:
    """What dependent substreams add to one independent one."""

    count: int = 0
    channel_locations: int = 0
    """chan_loc, 9 bits; meaningless without dependent substreams."""


@attrs.frozen
class Eac3Substream:
    """One independent substream of EC3SpecificBox."""

    fscod: int
    bsid: int
    bsmod: int
    acmod: int
    lfe: bool
    asvc: bool = False
    dependent: DependentSubstream = DependentSubstream()


@attrs.frozen
class Eac3Config:
    """EC3SpecificBox (ETSI TS 102 366 §F.6)."""

    data_rate_kbps: int
    substreams: tuple[Eac3Substream, ...]


def _decode_ac3(bits: BitReader) -> SyncFrame:
    bits.skip(16)
    fscod, size_code = bits.u(2), bits.u(6)
    if fscod == 3 or size_code >= 2 * len(_KBPS):
        raise bits.error("reserved rate or frame size")
    bsid, bsmod, acmod = bits.u(5), bits.u(3), bits.u(3)
    if acmod & 1 and acmod != 1:
        bits.skip(2)
    if acmod & 4:
        bits.skip(2)
    if acmod == 2:
        bits.skip(2)
    lfe = bits.flag()
    kbps = _KBPS[size_code >> 1]
    words = (2 * kbps, 320 * kbps // 147 + (size_code & 1), 3 * kbps)[fscod]
    rate = _SAMPLE_RATES[fscod] >> max(bsid - 8, 0)
    return SyncFrame(
        Codec.AC3,
        rate,
        _CHANNELS[acmod] + lfe,
        2 * words,
        1536,
        bsid,
        bsmod,
        acmod,
        lfe,
        bit_rate_code=size_code >> 1,
        fscod=fscod,
    )


def _decode_eac3(bits: BitReader) -> SyncFrame:
    stream_type, substream_id = bits.u(2), bits.u(3)
    if stream_type == 3:
        raise bits.error("reserved stream type")
    size = 2 * (bits.u(11) + 1)
    fscod = bits.u(2)
    if fscod == 3:
        half = bits.u(2)
        if half == 3:
            raise bits.error("reserved sample rate")
        rate, blocks = _SAMPLE_RATES[half] // 2, 6
    else:
        rate, blocks = _SAMPLE_RATES[fscod], _BLOCKS[bits.u(2)]
    acmod, lfe, bsid = bits.u(3), bits.flag(), bits.u(5)
    for _ in range(2 if acmod == 0 else 1):
        bits.skip(5)
        if bits.flag():
            bits.skip(8)
    channel_map = None
    if stream_type == _DEPENDENT and bits.flag():
        channel_map = bits.u(16)
    return SyncFrame(
        Codec.EAC3,
        rate,
        _CHANNELS[acmod] + lfe,
        size,
        256 * blocks,
        bsid,
        0,
        acmod,
        lfe,
        stream_type=stream_type,
        substream_id=substream_id,
        fscod=fscod,
        channel_map=channel_map,
    )


def decode_sync_frame(data: bytes) -> SyncFrame:
    """Decode the header of the AC-3 or E-AC-3 frame at the front of ``data``.

    bsmod of E-AC-3 lies too deep to be read and counts as 0, complete main.

    Source: ATSC A/52 §5.3, §E.2.2.

    Raises:
        ProtocolError: Cut short, no syncword, an unknown bsid, or a reserved value.
    """
    bits = BitReader(data[:20], source=_SOURCE)
    if bits.u(16) != 0x0B77:
        raise bits.error("no syncword")
    if len(data) < 6:
        raise bits.error("header cut short", code="truncated")
    bsid = data[5] >> 3
    if bsid <= 10:
        return _decode_ac3(bits)
    if bsid > 16:
        raise bits.error(f"bsid {bsid}", code="version")
    return _decode_eac3(bits)


def split_sync_frames(data: bytes) -> list[tuple[SyncFrame, bytes]]:
    """Return header and octets of each frame in a packet.

    Source: ATSC A/52 §5.3.

    Raises:
        ProtocolError: A frame is malformed, passes the end, or there are more than
            `MAX_SYNC_FRAMES`.
    """
    frames: list[tuple[SyncFrame, bytes]] = []
    position = 0
    while position < len(data):
        header = decode_sync_frame(data[position : position + 20])
        end = position + header.frame_size
        if end > len(data):
            raise ProtocolError("frame cut short", code="truncated", source=_SOURCE)
        if len(frames) >= MAX_SYNC_FRAMES:
            raise ProtocolError("too many frames", code="limit", source=_SOURCE)
        frames.append((header, data[position:end]))
        position = end
    return frames


def encode_dac3(config: Ac3Config) -> bytes:
    """Encode the body of the ``dac3`` box. Source: ETSI TS 102 366 §F.4."""
    bits = BitWriter().u(2, config.fscod).u(5, config.bsid).u(3, config.bsmod)
    bits.u(3, config.acmod).flag(config.lfe).u(5, config.bit_rate_code)
    return bits.u(5, 0).getvalue()


def decode_dac3(data: bytes) -> Ac3Config:
    """Decode the body of the ``dac3`` box.

    Source: ETSI TS 102 366 §F.4.

    Raises:
        ProtocolError: Cut short.
    """
    bits = BitReader(data, source="ETSI TS 102 366 §F.4")
    return Ac3Config(bits.u(2), bits.u(5), bits.u(3), bits.u(3), bits.flag(), bits.u(5))


def encode_dec3(config: Eac3Config) -> bytes:
    """Encode the body of the ``dec3`` box.

    Source: ETSI TS 102 366 §F.6.

    Raises:
        UsageError: No substream, or a field does not fit its width.
    """
    if not config.substreams:
        raise UsageError("dec3 needs a substream")
    bits = BitWriter().u(13, config.data_rate_kbps).u(3, len(config.substreams) - 1)
    for stream in config.substreams:
        bits.u(2, stream.fscod).u(5, stream.bsid).u(1, 0).flag(stream.asvc)
        bits.u(3, stream.bsmod).u(3, stream.acmod).flag(stream.lfe).u(3, 0)
        bits.u(4, stream.dependent.count)
        if stream.dependent.count:
            bits.u(9, stream.dependent.channel_locations)
        else:
            bits.u(1, 0)
    return bits.getvalue()


def decode_dec3(data: bytes) -> Eac3Config:
    """Decode the body of the ``dec3`` box.

    Source: ETSI TS 102 366 §F.6.

    Raises:
        ProtocolError: Cut short.
    """
    bits = BitReader(data, source="ETSI TS 102 366 §F.6")
    rate, count = bits.u(13), bits.u(3) + 1
    substreams: list[Eac3Substream] = []
    for _ in range(count):
        fscod, bsid = bits.u(2), bits.u(5)
        bits.skip(1)
        asvc, bsmod, acmod, lfe = bits.flag(), bits.u(3), bits.u(3), bits.flag()
        bits.skip(3)
        dependent = bits.u(4)
        locations = bits.u(9) if dependent else 0
        if not dependent:
            bits.skip(1)
        substreams.append(
            Eac3Substream(
                fscod,
                bsid,
                bsmod,
                acmod,
                lfe,
                asvc,
                DependentSubstream(dependent, locations),
            )
        )
    return Eac3Config(rate, tuple(substreams))


def dac3_from_sync_frame(frame: SyncFrame) -> bytes:
    """Build a dac3 body from an AC-3 frame. Source: ETSI TS 102 366 §F.4."""
    if frame.codec is not Codec.AC3:
        raise UsageError("dac3 describes AC-3")
    return encode_dac3(
        Ac3Config(
            frame.fscod,
            frame.bsid,
            frame.bsmod,
            frame.acmod,
            frame.lfe,
            frame.bit_rate_code,
        )
    )


def _channel_locations(channel_map: int) -> int:
    """Return chan_loc for a chanmap (ETSI TS 102 366 Tables E.1.4 and F.6.1).

    chanmap counts its 16 locations from the top; chan_loc takes 9 of them, the
    lowest bit being the first.
    """
    chosen = (5, 6, 7, 8, 9, 10, 11, 12, 14)
    return sum(
        1 << bit
        for bit, location in enumerate(chosen)
        if channel_map >> (15 - location) & 1
    )


def dec3_from_sync_frames(frames: Sequence[SyncFrame]) -> bytes:
    """Build a dec3 body from the frames of one E-AC-3 packet.

    Source: ETSI TS 102 366 §F.6.

    Args:
        frames: Headers of all substreams, each once, in stream order.

    Raises:
        ProtocolError: The first frame is no independent E-AC-3 substream, or there
            are more than eight of those, or dependent ones of one of them.
    """
    source = "ETSI TS 102 366 §F.6"
    substreams: list[Eac3Substream] = []
    bits_a_second = 0
    for frame in frames:
        if frame.codec is not Codec.EAC3:
            raise ProtocolError("dec3 describes E-AC-3", source=source)
        bits_a_second += frame.bit_rate
        if frame.stream_type != _DEPENDENT:
            substreams.append(
                Eac3Substream(
                    frame.fscod, frame.bsid, frame.bsmod, frame.acmod, frame.lfe
                )
            )
            continue
        if not substreams:
            raise ProtocolError("a dependent substream comes first", source=source)
        seen = substreams[-1].dependent
        if seen.count == _MOST_SUBSTREAMS:
            raise ProtocolError(
                f"over {_MOST_SUBSTREAMS} dependent substreams",
                code="limit",
                source=source,
            )
        more = DependentSubstream(
            seen.count + 1,
            seen.channel_locations | _channel_locations(frame.channel_map or 0),
        )
        substreams[-1] = attrs.evolve(substreams[-1], dependent=more)
    if not 1 <= len(substreams) <= _MOST_SUBSTREAMS:
        raise ProtocolError(
            f"{len(substreams)} substreams", code="limit", source=source
        )
    kbps = min(-(-bits_a_second // 1000), 0x1FFF)
    return encode_dec3(Eac3Config(kbps, tuple(substreams)))


def parameters_from_sync_frame(frame: SyncFrame) -> AudioParameters:
    """Return the track parameters that a frame gives. Source: RFC 6381 §3.3."""
    return AudioParameters(
        frame.codec,
        frame.sample_rate,
        frame.channels,
        "",
        frame.samples,
        "ac-3" if frame.codec is Codec.AC3 else "ec-3",
    )


def parameters(codec: Codec, configuration: bytes) -> AudioParameters:
    """Return the track parameters of a dac3 or dec3 body.

    dec3 does not tell half rates apart, nor blocks a frame.

    Raises:
        ProtocolError: Cut short, or a reserved rate.
    """
    if codec is Codec.AC3:
        config: Ac3Config | Eac3Substream = decode_dac3(configuration)
        extra, samples, name = 0, 1536, "ac-3"
    else:
        config = decode_dec3(configuration).substreams[0]
        # Each location is a channel or a pair (Lc/Rc, Lrs/Rrs, ...): 0, 1, 4, 5, 6.
        locations = config.dependent.channel_locations
        extra = locations.bit_count() + (locations & 0b001110011).bit_count()
        samples, name = 0, "ec-3"
    if config.fscod == 3:
        raise ProtocolError("rate is not declared", code="unsupported", source=_SOURCE)
    return AudioParameters(
        codec,
        _SAMPLE_RATES[config.fscod],
        _CHANNELS[config.acmod] + config.lfe + extra,
        "",
        samples or None,
        name,
    )
