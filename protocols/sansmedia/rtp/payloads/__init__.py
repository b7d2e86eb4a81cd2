"""RTP payload formats: frames to payloads and back, without RTP headers.

A packetiser cuts a frame into payloads; a depacketiser is fed payloads in order and
gives complete frames. Between them stand what a forwarder needs: where frames and key
frames begin, layers, picture ids that can be rewritten. One module a format.
"""

from . import aac, av1, h264, h265, mpa, vp8, vp9
from .aac import AacDepacketiser, AacPacketiser
from .audio import (
    G711Depacketiser,
    G711Packetiser,
    OpusDepacketiser,
    OpusPacketiser,
)
from .av1 import (
    Av1Depacketiser,
    Av1Packetiser,
    DependencyDescriptor,
    decode_dependency_descriptor,
)
from .fmtp import (
    AacFmtp,
    Av1Fmtp,
    Fmtp,
    NoFmtp,
    OpusFmtp,
    Vp8Fmtp,
    Vp9Fmtp,
    decode_aac_fmtp,
    decode_av1_fmtp,
    decode_no_fmtp,
    decode_opus_fmtp,
    decode_parameters,
    decode_vp8_fmtp,
    decode_vp9_fmtp,
    encode_parameters,
)
from .fmtp_h264 import H264Fmtp, H264Profile, decode_h264_fmtp
from .fmtp_h265 import H265Fmtp, decode_h265_fmtp
from .formats import FORMATS, PayloadFormat, payload_format, static_format
from .frame import (
    MAX_PAYLOAD_SIZE,
    MAX_RUN_BYTES,
    MAX_RUN_SEGMENTS,
    MIN_PAYLOAD_SIZE,
    Depacketiser,
    DepacketiserStatistics,
    Frame,
    Layer,
    Limits,
    Packetiser,
    split_runs,
)
from .h264 import H264Depacketiser, H264Packetiser
from .h265 import H265Depacketiser, H265Packetiser
from .mpa import MpaDepacketiser, MpaPacketiser
from .pictures import PictureIds, PictureOffsets, continue_after
from .vp8 import Vp8Depacketiser, Vp8Packetiser
from .vp9 import Vp9Depacketiser, Vp9Packetiser

__all__ = [
    "FORMATS",
    "MAX_PAYLOAD_SIZE",
    "MAX_RUN_BYTES",
    "MAX_RUN_SEGMENTS",
    "MIN_PAYLOAD_SIZE",
    "AacDepacketiser",
    "AacFmtp",
    "AacPacketiser",
    "Av1Depacketiser",
    "Av1Fmtp",
    "Av1Packetiser",
    "Depacketiser",
    "DepacketiserStatistics",
    "DependencyDescriptor",
    "Fmtp",
    "Frame",
    "G711Depacketiser",
    "G711Packetiser",
    "H264Depacketiser",
    "H264Fmtp",
    "H264Packetiser",
    "H264Profile",
    "H265Depacketiser",
    "H265Fmtp",
    "H265Packetiser",
    "Layer",
    "Limits",
    "MpaDepacketiser",
    "MpaPacketiser",
    "NoFmtp",
    "OpusDepacketiser",
    "OpusFmtp",
    "OpusPacketiser",
    "Packetiser",
    "PayloadFormat",
    "PictureIds",
    "PictureOffsets",
    "Vp8Depacketiser",
    "Vp8Fmtp",
    "Vp8Packetiser",
    "Vp9Depacketiser",
    "Vp9Fmtp",
    "Vp9Packetiser",
    "aac",
    "av1",
    "continue_after",
    "decode_aac_fmtp",
    "decode_av1_fmtp",
    "decode_dependency_descriptor",
    "decode_h264_fmtp",
    "decode_h265_fmtp",
    "decode_no_fmtp",
    "decode_opus_fmtp",
    "decode_parameters",
    "decode_vp8_fmtp",
    "decode_vp9_fmtp",
    "encode_parameters",
    "h264",
    "h265",
    "mpa",
    "payload_format",
    "split_runs",
    "static_format",
    "vp8",
    "vp9",
]
