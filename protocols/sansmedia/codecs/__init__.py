"""Codec headers: parameter sets, configuration records, frame headers, NAL forms.

Pure functions, one module a codec. `decode_*` takes any bytes and raises
`ProtocolError` and nothing else; `encode_*` is its inverse. `parameters` answers what a
dashboard or a container asks of a track, whatever its codec.
"""

from __future__ import annotations

from collections.abc import Callable

from . import aac, h264, h265
from .codec import Codec
from .parameters import AudioParameters, VideoParameters

__all__ = ["AudioParameters", "Codec", "VideoParameters", "parameters"]

_BY_CODEC: dict[Codec, Callable[[bytes], VideoParameters | AudioParameters]] = {
    Codec.H264: h264.parameters,
    Codec.H265: h265.parameters,
    Codec.AAC: aac.parameters,
}


def parameters(
    codec: Codec, configuration: bytes
) -> VideoParameters | AudioParameters | None:
    """Return the parameters of a track by its configuration.

    Args:
        codec: What the configuration is for.
        configuration: avcC, hvcC or AudioSpecificConfig.

    Returns:
        None where the codec carries no configuration, or none is given.

    Raises:
        ProtocolError: The configuration is malformed.
    """
    decode = _BY_CODEC.get(codec)
    return decode(configuration) if decode and configuration else None
