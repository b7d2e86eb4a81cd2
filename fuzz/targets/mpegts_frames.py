"""Assemblers: any PES packets, for every codec and kind of data."""

from __future__ import annotations

from sansmedia.codecs import Codec
from sansmedia.mpegts import (
    Configuration,
    DataFormat,
    Descriptor,
    Limits,
    PesPacket,
    StreamType,
    Track,
    make_assembler,
)

_LIMITS = Limits(max_pes_size=1024, max_frames_per_pes=16)
_PRIVATE = StreamType.PRIVATE_PES
_TRACKS = (
    Track(256, StreamType.H264, Codec.H264),
    Track(256, StreamType.H265, Codec.H265),
    Track(256, StreamType.ADTS, Codec.AAC),
    Track(256, StreamType.LATM, Codec.AAC),
    Track(256, StreamType.MPEG1_AUDIO, Codec.MP3),
    Track(256, StreamType.ATSC_AC3, Codec.AC3),
    Track(256, StreamType.ATSC_EAC3, Codec.EAC3),
    Track(256, _PRIVATE, Codec.OPUS, descriptors=(Descriptor(0x7F, b"\x80\x06"),)),
    Track(256, _PRIVATE, Codec.AV1),
    Track(256, _PRIVATE, None, DataFormat.KLV),
    Track(256, StreamType.METADATA_PES, None, DataFormat.KLV_SYNCHRONOUS),
    Track(256, StreamType.METADATA_PES, None, DataFormat.ID3),
)


def one_input(data: bytes) -> None:
    # No PES packet raises, memory is bounded, media is not multiplied, and each frame
    # belongs to the configuration before it.
    if len(data) < 2:
        return
    track = _TRACKS[data[0] % len(_TRACKS)]
    assembler = make_assembler(track, _LIMITS)
    assert assembler is not None
    at, number, given, generation = 1, 0, 0, 0
    while at < len(data):
        flags, size = data[at], 4 * (data[at + 1] if at + 1 < len(data) else 0) + 1
        piece = data[at + 2 : at + 2 + size]
        at += 2 + size
        number += 1
        pts = None if flags & 1 else number * 3600
        pes = PesPacket(256, 0xE0, pts, pts, piece, 0 if flags & 2 else len(piece))
        pes.damaged, pes.after_loss = bool(flags & 4), bool(flags & 8)
        products = assembler.feed(pes)
        if at >= len(data):
            products += assembler.flush()
        assert assembler.held <= 1024 + 61_440 + 4096
        for product in products:
            if isinstance(product, Configuration):
                generation = product.generation
            else:
                assert product.generation == generation
                given += len(product.payload)
    assert given <= 3 * len(data) + 64, "media was multiplied"
