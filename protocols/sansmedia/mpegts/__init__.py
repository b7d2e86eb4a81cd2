"""MPEG-TS: a demultiplexer that goes on after any damage, and a multiplexer.

`Demuxer` makes frames of octets, `Muxer` octets of frames. Below the first stands
`TransportDemuxer`, which gives PES packets, below both pure functions for packets,
sections and descriptors. Source: ISO 13818-1.
"""

from .audio import decode_opus_control_header
from .av1 import join_ts_obus, split_ts_obus
from .crc import crc32
from .demuxer import Demuxer, DemuxerStatistics, make_assembler
from .descriptors import (
    Descriptor,
    DescriptorTag,
    decode_descriptors,
    encode_descriptors,
)
from .events import (
    Configuration,
    Event,
    MediaFrame,
    PcrSample,
    PesPacket,
    ProgramMap,
    ProgramRemoved,
    Track,
    TransportEvent,
)
from .limits import Limits
from .mux_tracks import MuxTrack
from .muxer import Muxer, MuxerConfig, MuxerStatistics
from .packets import (
    NULL_PACKET,
    PACKET_SIZE,
    AdaptationField,
    Packet,
    decode_packet,
    encode_adaptation_field,
    encode_packet,
)
from .pes import (
    CLOCK_RATE,
    PesHeader,
    Unwrapper,
    decode_pes_header,
    encode_pes_header,
)
from .psi import (
    ElementaryStream,
    ProgramAssociation,
    ProgramMapSection,
    Section,
    SectionAssembler,
    decode_pat,
    decode_pmt,
    decode_section,
    encode_pat,
    encode_pmt,
)
from .streams import DataFormat, StreamType, identify
from .sync import PacketAligner, Run
from .transport import TransportDemuxer, TransportStatistics

__all__ = [
    "CLOCK_RATE",
    "NULL_PACKET",
    "PACKET_SIZE",
    "AdaptationField",
    "Configuration",
    "DataFormat",
    "Demuxer",
    "DemuxerStatistics",
    "Descriptor",
    "DescriptorTag",
    "ElementaryStream",
    "Event",
    "Limits",
    "MediaFrame",
    "MuxTrack",
    "Muxer",
    "MuxerConfig",
    "MuxerStatistics",
    "Packet",
    "PacketAligner",
    "PcrSample",
    "PesHeader",
    "PesPacket",
    "ProgramAssociation",
    "ProgramMap",
    "ProgramMapSection",
    "ProgramRemoved",
    "Run",
    "Section",
    "SectionAssembler",
    "StreamType",
    "Track",
    "TransportDemuxer",
    "TransportEvent",
    "TransportStatistics",
    "Unwrapper",
    "crc32",
    "decode_descriptors",
    "decode_opus_control_header",
    "decode_packet",
    "decode_pat",
    "decode_pes_header",
    "decode_pmt",
    "decode_section",
    "encode_adaptation_field",
    "encode_descriptors",
    "encode_packet",
    "encode_pat",
    "encode_pes_header",
    "encode_pmt",
    "identify",
    "join_ts_obus",
    "make_assembler",
    "split_ts_obus",
]
