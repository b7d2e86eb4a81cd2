"""What a key frame tells of its track where the configuration does not."""

from __future__ import annotations

import attrs
from sansmedia.codecs import Codec, VideoParameters, vp8, vp9
from sansmedia.codecs import parameters as parameters_of
from sansmedia.codecs.av1 import ObuType, av1c_from_sequence_header, split_obus

from penstock.media import Track

__all__ = ["completed", "is_complete"]


def is_complete(track: Track) -> bool:
    """Tell whether a video track's size is known, or can never be."""
    if track.codec not in (Codec.AV1, Codec.VP8, Codec.VP9):
        return True
    described = track.parameters
    return isinstance(described, VideoParameters) and described.width > 0


def completed(track: Track, payload: bytes) -> Track:
    """Return ``track`` with what its key frame ``payload`` says.

    FFmpeg announces AV1 by an empty configuration when the encoder gives none, and
    the configurations of VP8 and VP9 never tell the size.

    Raises:
        ProtocolError: the frame's header is malformed.
    """
    if track.codec is Codec.AV1:
        for obu in split_obus(payload):
            if obu.obu_type == ObuType.SEQUENCE_HEADER:
                av1c = track.configuration or av1c_from_sequence_header(obu.payload)
                return attrs.evolve(
                    track,
                    configuration=av1c,
                    parameters=parameters_of(Codec.AV1, av1c),
                )
        return track
    if track.codec is Codec.VP8:
        header = vp8.decode_frame_header(payload)
        return attrs.evolve(track, parameters=vp8.parameters_from_frame_header(header))
    frames = vp9.split_superframe(payload)
    vp9_header = vp9.decode_frame_header(frames[0] if frames else payload)
    return attrs.evolve(
        track,
        configuration=track.configuration or vp9.vpcc_from_frame_header(vp9_header),
        parameters=vp9.parameters_from_frame_header(vp9_header),
    )
