"""Compound RTCP packets, and the whole of their kinds.

Source: RFC 3550 §6.1, RFC 5506 §3.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

import attrs

from sansmedia.sansio import ProtocolError, UsageError

from . import rtcp_feedback as feedback
from . import rtcp_reports as reports
from . import rtcp_transport as transport
from . import rtcp_xr as xr

__all__ = [
    "MalformedRtcp",
    "RtcpPacket",
    "UnknownRtcp",
    "decode_rtcp",
    "encode_rtcp",
]

_HEADER: Final = struct.Struct(">BBH")
_SOURCE: Final = "RFC 3550 §6.1"


@attrs.define
class UnknownRtcp:
    """A packet that is not read here, or feedback of an unknown format."""

    packet_type: int
    count: int
    """5 bits: a count, a subtype or a format."""
    body: bytes
    """What follows the first word, without padding."""


@attrs.define
class MalformedRtcp:
    """A packet that breaks its rules, within a compound whose rest is used."""

    packet_type: int
    count: int
    body: bytes
    """All the octets to the end where the length itself was wrong."""
    error: ProtocolError


RtcpPacket: TypeAlias = (
    reports.SenderReport
    | reports.ReceiverReport
    | reports.SourceDescription
    | reports.Goodbye
    | reports.ApplicationDefined
    | feedback.Nack
    | feedback.PictureLossIndication
    | feedback.SliceLossIndication
    | feedback.ReferencePictureSelection
    | feedback.FullIntraRequest
    | feedback.TemporaryMaxBitrateRequest
    | feedback.TemporaryMaxBitrateNotification
    | feedback.ReceiverEstimatedMaxBitrate
    | transport.TransportFeedback
    | transport.CongestionFeedback
    | xr.ExtendedReport
    | UnknownRtcp
    | MalformedRtcp
)
"""One packet of a compound."""

_BY_TYPE: Final[dict[int, Callable[[int, bytes], RtcpPacket]]] = {
    reports.SENDER_REPORT: reports.decode_sender_report,
    reports.RECEIVER_REPORT: reports.decode_receiver_report,
    reports.SOURCE_DESCRIPTION: reports.decode_source_description,
    reports.GOODBYE: reports.decode_goodbye,
    reports.APPLICATION_DEFINED: reports.decode_application_defined,
}

_BY_FORMAT: Final[dict[tuple[int, int], Callable[[bytes], RtcpPacket | None]]] = {
    (feedback.TRANSPORT_FEEDBACK, feedback.NACK): feedback.decode_nack,
    (feedback.TRANSPORT_FEEDBACK, feedback.TMMBR): feedback.decode_tmmbr,
    (feedback.TRANSPORT_FEEDBACK, feedback.TMMBN): feedback.decode_tmmbn,
    (
        feedback.TRANSPORT_FEEDBACK,
        transport.CCFB,
    ): transport.decode_congestion_feedback,
    (
        feedback.TRANSPORT_FEEDBACK,
        transport.TRANSPORT_CC,
    ): transport.decode_transport_feedback,
    (feedback.PAYLOAD_FEEDBACK, feedback.PLI): feedback.decode_pli,
    (feedback.PAYLOAD_FEEDBACK, feedback.SLI): feedback.decode_sli,
    (feedback.PAYLOAD_FEEDBACK, feedback.RPSI): feedback.decode_rpsi,
    (feedback.PAYLOAD_FEEDBACK, feedback.FIR): feedback.decode_fir,
    (feedback.PAYLOAD_FEEDBACK, feedback.AFB): feedback.decode_remb,
}


def decode_rtcp(data: bytes) -> list[RtcpPacket]:
    """Decode a compound packet, or one of reduced size.

    What follows a damaged packet is still read, since each says where it ends: the
    damaged one stands in its place as `MalformedRtcp`, so that it can be counted.

    Args:
        data: One datagram, without SRTCP's trailer.

    Raises:
        ProtocolError: Its head is no RTCP packet.

    Source: RFC 3550 §6.1, RFC 3550 §A.2, RFC 5506 §3.
    """
    packets: list[RtcpPacket] = []
    position, size = 0, len(data)
    while position < size or not packets:
        try:
            flags, kind, end = _head(data, position)
        except ProtocolError as error:
            if not packets:
                raise
            packets.append(MalformedRtcp(0, 0, data[position:], error))
            break
        body = data[position + 4 : end]
        try:
            if flags & 0x20:
                body = _without_padding(body)
            packets.append(_decode(flags & 0x1F, kind, body))
        except ProtocolError as error:
            packets.append(MalformedRtcp(kind, flags & 0x1F, body, error))
        position = end
    return packets


def _head(data: bytes, position: int) -> tuple[int, int, int]:
    """Return first octet, packet type and end of the packet at ``position``."""
    if len(data) < position + 4:
        raise ProtocolError("RTCP header cut short", code="truncated", source=_SOURCE)
    flags, kind, words = _HEADER.unpack_from(data, position)
    if flags >> 6 != 2 or not 192 <= kind <= 223:
        raise ProtocolError("no RTCP header", code="version", source=_SOURCE)
    end = position + 4 + 4 * words
    if end > len(data):
        raise ProtocolError("RTCP packet cut short", code="truncated", source=_SOURCE)
    return flags, kind, end


def _without_padding(body: bytes) -> bytes:
    padding = body[-1] if body else 0
    if not 0 < padding <= len(body):
        raise ProtocolError("padding beyond the packet", source="RFC 3550 §6.4.1")
    return body[:-padding]


def _decode(count: int, kind: int, body: bytes) -> RtcpPacket:
    if decode_report := _BY_TYPE.get(kind):
        return decode_report(count, body)
    if kind == xr.EXTENDED_REPORT:
        return xr.decode_extended_report(body)
    if decode_feedback := _BY_FORMAT.get((kind, count)):
        found = decode_feedback(body)
        if found is not None:
            return found
    return UnknownRtcp(kind, count, body)


def _encode_unknown(unknown: UnknownRtcp) -> bytes:
    return reports.packet(unknown.count, unknown.packet_type, unknown.body)


def _encode_malformed(malformed: MalformedRtcp) -> bytes:
    raise UsageError(f"a malformed packet is not sent on: {malformed.error}")


_ENCODERS: Final[dict[type, Callable[[Any], bytes]]] = {
    reports.SenderReport: reports.encode_sender_report,
    reports.ReceiverReport: reports.encode_receiver_report,
    reports.SourceDescription: reports.encode_source_description,
    reports.Goodbye: reports.encode_goodbye,
    reports.ApplicationDefined: reports.encode_application_defined,
    feedback.Nack: feedback.encode_nack,
    feedback.PictureLossIndication: feedback.encode_pli,
    feedback.SliceLossIndication: feedback.encode_sli,
    feedback.ReferencePictureSelection: feedback.encode_rpsi,
    feedback.FullIntraRequest: feedback.encode_fir,
    feedback.TemporaryMaxBitrateRequest: feedback.encode_tmmbr,
    feedback.TemporaryMaxBitrateNotification: feedback.encode_tmmbn,
    feedback.ReceiverEstimatedMaxBitrate: feedback.encode_remb,
    transport.TransportFeedback: transport.encode_transport_feedback,
    transport.CongestionFeedback: transport.encode_congestion_feedback,
    xr.ExtendedReport: xr.encode_extended_report,
    UnknownRtcp: _encode_unknown,
    MalformedRtcp: _encode_malformed,
}


def encode_rtcp(packets: Sequence[RtcpPacket]) -> bytes:
    """Encode packets into one datagram, in their order.

    A compound begins with a report and has a CNAME behind it; anything else needs the
    peer's agreement to reduced size.

    Raises:
        UsageError: A value does not fit its field.

    Source: RFC 3550 §6.1, RFC 5506 §3.
    """
    return b"".join(_ENCODERS[type(packet)](packet) for packet in packets)
