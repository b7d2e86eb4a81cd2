"""Codec headers: parameter sets, configuration records, frame headers, NAL forms.

Pure functions, one module a codec. `decode_*` takes any bytes and raises
`ProtocolError` and nothing else; `encode_*` is its inverse. `parameters` answers what a
dashboard or a container asks of a track, whatever its codec.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from . import aac, ac3, av1, flac, h264, h265, opus, vp9
from .codec import Codec
from .parameters import AudioParameters, VideoParameters

__all__ = ["AudioParameters", "Codec", "VideoParameters", "parameters"]

_BY_CODEC: dict[Codec, Callable[[bytes], VideoParameters | AudioParameters]] = {
    Codec.H264: h264.parameters,
    Codec.H265: h265.parameters,
    Codec.AV1: av1.parameters,
    Codec.VP8: partial(vp9.parameters, codec=Codec.VP8),
    Codec.VP9: vp9.parameters,
    Codec.AAC: aac.parameters,
    Codec.OPUS: opus.parameters,
    Codec.FLAC: flac.parameters,
    Codec.AC3: partial(ac3.parameters, Codec.AC3),
    Codec.EAC3: partial(ac3.parameters, Codec.EAC3),
}


def parameters(
    codec: Codec, configuration: bytes
) -> VideoParameters | AudioParameters | None:
    """Return the parameters of a track by its configuration.

    Args:
        codec: What the configuration is for.
        configuration: The body of avcC, hvcC, av1C, vpcC, dac3 or dec3; an
            AudioSpecificConfig; an OpusHead; a STREAMINFO in any wrapping.

    Returns:
        None where the codec carries no configuration (MP3, G.711, G.722, Speex), or
        none is given. Width and height are 0 where only the stream tells them (VP8,
        VP9).

    Raises:
        ProtocolError: The configuration is malformed.
    """
    decode = _BY_CODEC.get(codec)
    return decode(configuration) if decode and configuration else None
