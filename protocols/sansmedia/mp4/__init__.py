"""Fragmented MP4 and CMAF: written a frame at a time, read in any segmentation.

Writing is pure functions: `encode_init_segment` once, then `encode_fragment` or, for
live viewing, `encode_single_sample_fragment` for each frame. Reading is one transform,
`Mp4Demuxer`. Source: ISO 14496-12, ISO 23000-19.
"""

from .boxes import Box, decode_boxes, encode_box, encode_full_box
from .demuxer import (
    InitSegment,
    MediaSample,
    Mp4Demuxer,
    Mp4DemuxerStatistics,
    Mp4Event,
)
from .fragments import (
    Sample,
    TrackRun,
    encode_fragment,
    encode_single_sample_fragment,
)
from .init import encode_init_segment, mime_type
from .limits import Limits
from .moov_wire import Movie, TrackExtends, decode_init_segment
from .segments import (
    SegmentReference,
    encode_event_message,
    encode_producer_reference_time,
    encode_segment_index,
    encode_segment_type,
)
from .tracks import BitRate, Colour, Mp4Track

__all__ = [
    "BitRate",
    "Box",
    "Colour",
    "InitSegment",
    "Limits",
    "MediaSample",
    "Movie",
    "Mp4Demuxer",
    "Mp4DemuxerStatistics",
    "Mp4Event",
    "Mp4Track",
    "Sample",
    "SegmentReference",
    "TrackExtends",
    "TrackRun",
    "decode_boxes",
    "decode_init_segment",
    "encode_box",
    "encode_event_message",
    "encode_fragment",
    "encode_full_box",
    "encode_init_segment",
    "encode_producer_reference_time",
    "encode_segment_index",
    "encode_segment_type",
    "encode_single_sample_fragment",
    "mime_type",
]
