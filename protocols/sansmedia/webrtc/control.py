"""RTCP, there and back: compounds that fit a datagram, and what those of a peer say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sansmedia.rtp import (
    FullIntraRequest,
    Goodbye,
    MalformedRtcp,
    Nack,
    PictureLossIndication,
    ReceiverReport,
    RtcpPacket,
    SdesChunk,
    SdesItem,
    SdesType,
    SenderReport,
    SourceDescription,
    TransportFeedback,
    decode_rtcp,
    encode_rtcp,
)
from sansmedia.sansio import ProtocolError

from .counts import Counts
from .events import (
    ControlReceived,
    FeedbackReceived,
    KeyFrameRequested,
    PacketsMissed,
    PeerEvent,
    SenderReportReceived,
    StreamEnded,
)
from .receive import MediaReceiver

__all__ = ["CompoundWriter", "read_compound"]

_PROTECTION = 24
"""Octets that SRTCP adds at the most: an index of 4 and a tag of 16."""
_MOST_REQUESTS = 16
"""Entries of one FIR that are looked at."""


class CompoundWriter:
    """Puts RTCP packets into compounds that each fit a datagram.

    Args:
        cname: Ours.
        mtu: Octets of a datagram, protection included.

    Source: RFC 3550 §6.1; RFC 5506 §3 permits less, but not everybody agreed to it.
    """

    def __init__(self, cname: str, mtu: int) -> None:
        self._cname = cname.encode()
        self._room = mtu - _PROTECTION

    def write(self, packets: Sequence[RtcpPacket], ssrc: int) -> list[bytes]:
        """Return compounds: each begins with a report and our name.

        Args:
            packets: In order; if the first is a report, it stands first.
            ssrc: Ours in reports, where ``packets`` has none.

        Raises:
            UsageError: A value does not fit its field.
        """
        if not packets:
            return []
        first, rest = packets[0], packets[1:]
        if not isinstance(first, SenderReport | ReceiverReport):
            first, rest = ReceiverReport(ssrc, []), packets
        compound = encode_rtcp([first, self._description(first.ssrc)])
        compounds: list[bytes] = []
        is_begun = False
        for packet in rest:
            octets = encode_rtcp([packet])
            if is_begun and len(compound) + len(octets) > self._room:
                compounds.append(compound)
                again = ReceiverReport(first.ssrc, [])
                compound = encode_rtcp([again, self._description(first.ssrc)])
            compound += octets
            is_begun = True
        compounds.append(compound)
        return compounds

    def _description(self, ssrc: int) -> SourceDescription:
        name = SdesItem(SdesType.CNAME, self._cname)
        return SourceDescription([SdesChunk(ssrc, [name])])


def read_compound(
    data: bytes, limit: int, receiver: MediaReceiver, counts: Counts, now: float
) -> Iterator[tuple[PeerEvent, int]]:
    """Let the receiver take a compound; return what to tell, with the octets it holds.

    Args:
        data: Authentic, in the clear.
        limit: How many packets of it are looked at.
        receiver: What comes in.
        counts: Where what is damaged or left out is counted.
        now: In seconds.
    """
    try:
        packets = decode_rtcp(data)
    except ProtocolError:
        counts.damaged += 1
        return
    counts.dropped += max(0, len(packets) - limit)
    for packet in packets[:limit]:
        if isinstance(packet, MalformedRtcp):
            counts.damaged += 1
        else:
            yield from _read_packet(packet, len(data), receiver, now)


def _read_packet(
    packet: RtcpPacket, octets: int, receiver: MediaReceiver, now: float
) -> Iterator[tuple[PeerEvent, int]]:
    match packet:
        case SenderReport():
            stream = receiver.receive_sender_report(packet, now)
            if stream is not None:
                yield SenderReportReceived(stream, packet), 0
            if packet.reports:
                yield FeedbackReceived(packet), 64 * len(packet.reports)
        case ReceiverReport():
            if packet.reports:
                yield FeedbackReceived(packet), 64 * len(packet.reports)
        case Nack():
            size = 32 * len(packet.sequences)
            yield PacketsMissed(packet.media_ssrc, packet.sequences), size
        case PictureLossIndication():
            yield KeyFrameRequested(packet.media_ssrc), 0
        case FullIntraRequest():
            for ssrc, _ in packet.requests[:_MOST_REQUESTS]:
                yield KeyFrameRequested(ssrc), 0
        case Goodbye():
            for ssrc in packet.ssrcs:
                ended = receiver.end(ssrc)
                if ended is not None:
                    yield StreamEnded(ended), 0
        case SourceDescription():
            pass
        case TransportFeedback():
            yield ControlReceived(packet), 32 * len(packet.deltas)
        case _:
            # Objects take more room than what they were made of.
            yield ControlReceived(packet), 16 * octets
