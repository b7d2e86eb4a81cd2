"""onMetaData and colorInfo: nothing that was said is lost."""

from __future__ import annotations

from collections.abc import Mapping

from sansmedia.amf import amf0
from sansmedia.flv import decode_color_info, decode_metadata
from sansmedia.sansio import ProtocolError


def one_input(data: bytes) -> None:
    # Only ProtocolError leaves; the properties of a record are those it was made of.
    try:
        values = amf0.decode_values(data)
    except ProtocolError:
        return
    color_info = decode_color_info(values)
    if color_info is not None:
        color_info.properties()
    try:
        metadata = decode_metadata(values)
    except ProtocolError:
        return
    argument = values[2] if values[0] == "@setDataFrame" else values[1]
    assert isinstance(argument, Mapping)
    properties = metadata.properties()
    assert properties.keys() == argument.keys()
    assert metadata.video_codec is None or metadata.video_codec >= 0
    assert metadata.audio_codec is None or metadata.audio_codec >= 0
