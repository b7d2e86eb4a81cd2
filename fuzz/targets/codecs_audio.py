"""Opus, MPEG audio, FLAC, AC-3 and E-AC-3."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sansmedia.codecs import Codec, ac3, flac, mp3, opus, parameters
from sansmedia.sansio import ProtocolError

_PAIRS: tuple[tuple[Callable[[bytes], Any], Callable[[Any], bytes]], ...] = (
    (opus.decode_opus_head, opus.encode_opus_head),
    (opus.decode_dops, opus.encode_dops),
    (flac.decode_streaminfo, flac.encode_streaminfo),
    (ac3.decode_dac3, ac3.encode_dac3),
    (ac3.decode_dec3, ac3.encode_dec3),
)


def one_input(data: bytes) -> None:
    # Whatever decodes comes back from its encoding; sizes and durations are possible.
    for decode, encode in _PAIRS:
        try:
            record = decode(data)
        except ProtocolError:
            continue
        assert decode(encode(record)) == record
    for codec in Codec:
        try:
            parameters(codec, data)
        except ProtocolError:
            continue
    try:
        assert 0 < opus.packet_duration(data) <= opus.MAX_PACKET_DURATION
    except ProtocolError:
        pass
    try:
        header = mp3.decode_frame_header(data)
    except ProtocolError:
        pass
    else:
        assert header.frame_size == 0 or header.frame_size > 4
        mp3.parameters_from_frame_header(header)
    try:
        frames = ac3.split_sync_frames(data)
    except ProtocolError:
        return
    assert sum(len(octets) for _, octets in frames) == len(data)
    try:
        dec3 = ac3.dec3_from_sync_frames([header for header, _ in frames])
    except ProtocolError:
        return
    try:
        assert ac3.parameters(Codec.EAC3, dec3).channels > 0
    except ProtocolError:
        # dec3 has no room for the half rates.
        assert any(header.fscod == 3 for header, _ in frames)
