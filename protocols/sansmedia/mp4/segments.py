"""Boxes that stand before a fragment: ``styp``, ``prft``, ``emsg``, ``sidx``."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import attrs

from sansmedia.sansio import UsageError

from .boxes import encode_box, encode_full_box

__all__ = [
    "SegmentReference",
    "encode_event_message",
    "encode_producer_reference_time",
    "encode_segment_index",
    "encode_segment_type",
]


def encode_segment_type(brands: Sequence[bytes] = (b"msdh", b"msix", b"cmfs")) -> bytes:
    """Return ``styp``; the first brand is the major one.

    Source: ISO 14496-12 §8.16.2, ISO 23000-19 §7.2.
    Raises: UsageError if there is no brand or one is not four octets.
    """
    if not brands or any(len(brand) != 4 for brand in brands):
        raise UsageError("brands are four octets each, one at least")
    return encode_box(b"styp", brands[0], bytes(4), *brands)


def encode_producer_reference_time(
    track_id: int, ntp_timestamp: int, media_time: int, *, flags: int = 24
) -> bytes:
    """Return ``prft``: the wall clock at which a decoding time was made.

    Source: ISO 14496-12 §8.16.5.

    Args:
        track_id: The track that ``media_time`` belongs to.
        ntp_timestamp: 64-bit NTP time: seconds since 1900 in the upper 32 bits.
        media_time: Decoding time of the fragment's first sample, ticks.
        flags: What the clock says: 0 encoder input, 1 encoder output, 2 when the
            fragment was finished, 4 when it was written, 8 any (consistent), 24
            when the first sample was captured.
    Raises: UsageError if a number does not fit its field.
    """
    return encode_full_box(
        b"prft", 1, flags, _pack(">IQQ", track_id, ntp_timestamp, media_time)
    )


def encode_event_message(
    scheme_id_uri: str,
    value: str,
    *,
    timescale: int,
    presentation_time: int,
    duration: int = 0xFFFFFFFF,
    event_id: int = 0,
    message: bytes = b"",
) -> bytes:
    """Return ``emsg`` version 1: an event at a presentation time of its own timescale.

    Source: ISO 23009-1 §5.10.3.3.

    Args:
        scheme_id_uri: What the message means, such as ``urn:scte:scte35:2013:bin``.
        value: The scheme's own word.
        timescale: Ticks a second of the two times.
        presentation_time: When, ticks, 64 bits.
        duration: How long, ticks; 0xFFFFFFFF = not known.
        event_id: Equal events have equal ids.
        message: The message itself.
    Raises: UsageError if a number does not fit its field or a string has a zero octet.
    """
    if "\0" in scheme_id_uri or "\0" in value:
        raise UsageError("strings of an event message end at their first zero octet")
    return encode_full_box(
        b"emsg",
        1,
        0,
        _pack(">IQII", timescale, presentation_time, duration, event_id),
        scheme_id_uri.encode() + b"\0",
        value.encode() + b"\0",
        message,
    )


@attrs.frozen
class SegmentReference:
    """One subsegment of a segment index."""

    size: int
    """Octets, 31 bits."""
    duration: int
    """Ticks."""
    starts_with_sap: bool = True
    """The subsegment begins with a stream access point of type 1."""


def encode_segment_index(
    reference_id: int,
    timescale: int,
    earliest_presentation_time: int,
    references: Sequence[SegmentReference],
    *,
    first_offset: int = 0,
) -> bytes:
    """Return ``sidx`` version 1 over subsegments that follow each other.

    Source: ISO 14496-12 §8.16.3.

    Args:
        reference_id: The track.
        timescale: Ticks a second.
        earliest_presentation_time: Of the first subsegment, ticks, 64 bits.
        references: At most 65,535.
        first_offset: Octets between this box and the first subsegment.
    Raises: UsageError if a number does not fit its field.
    """
    rows = []
    for reference in references:
        if reference.size >> 31:
            raise UsageError("a subsegment has less than 2 GiB")
        sap = 0x90000000 if reference.starts_with_sap else 0
        rows.append(_pack(">III", reference.size, reference.duration, sap))
    return encode_full_box(
        b"sidx",
        1,
        0,
        _pack(
            ">IIQQHH",
            reference_id,
            timescale,
            earliest_presentation_time,
            first_offset,
            0,
            len(rows),
        ),
        *rows,
    )


def _pack(layout: str, *values: int) -> bytes:
    try:
        return struct.pack(layout, *values)
    except struct.error as error:
        raise UsageError(f"a number does not fit its field: {error}") from None
