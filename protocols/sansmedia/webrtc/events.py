"""What comes out of a `Peer`."""

from __future__ import annotations

from typing import TypeAlias

import attrs

from sansmedia.ice import AgentState, Candidate, Path
from sansmedia.rtp import ReceiverReport, RtcpPacket, RtpPacket, SenderReport
from sansmedia.sansio import Terminated

from .receive import ReceiveStream

__all__ = [
    "CandidateFound",
    "Connected",
    "ControlReceived",
    "FeedbackReceived",
    "GatheringCompleted",
    "IceStateChanged",
    "KeyFrameRequested",
    "MediaReceived",
    "PacketsMissed",
    "PathChanged",
    "PathForgotten",
    "PathLearned",
    "PeerEvent",
    "SenderReportReceived",
    "StreamEnded",
    "TcpConnectionWanted",
]


@attrs.frozen
class CandidateFound:
    """A candidate of ours to signal, from a STUN server."""

    candidate: Candidate


@attrs.frozen
class GatheringCompleted:
    """Every STUN server has answered or was given up: no more `CandidateFound`."""


@attrs.frozen
class IceStateChanged:
    """The state of connectivity, in the words of RTCIceConnectionState."""

    state: AgentState


@attrs.frozen
class Connected:
    """Keys are agreed on: media may be sent, over `Peer.path`."""

    path: Path
    profile: str
    """Of SRTP."""


@attrs.frozen
class PathChanged:
    """Media goes over this path from now on."""

    path: Path


@attrs.frozen
class PathLearned:
    """What comes over this path is this peer's."""

    path: Path


@attrs.frozen
class PathForgotten:
    """What comes over this path is this peer's no longer."""

    path: Path


@attrs.frozen
class TcpConnectionWanted:
    """Open a connection, then call ``tcp_connected`` or ``tcp_failed``."""

    host: str
    peer: tuple[str, int]


@attrs.frozen
class MediaReceived:
    """A run of packets of one stream, in the order of arrival; one for each input.

    Retransmissions stand as what they repeat; duplicates are possible.
    """

    stream: ReceiveStream
    packets: list[RtpPacket]


@attrs.frozen
class SenderReportReceived:
    """The peer ties a stream's clock to its wall clock."""

    stream: ReceiveStream
    report: SenderReport


@attrs.frozen
class StreamEnded:
    """The peer says that it sends this stream no more (BYE)."""

    stream: ReceiveStream


@attrs.frozen
class KeyFrameRequested:
    """The peer cannot decode what we send under this SSRC (PLI, FIR)."""

    ssrc: int


@attrs.frozen
class PacketsMissed:
    """The peer asks for packets again (NACK)."""

    ssrc: int
    sequences: list[int]
    """16 bits each."""


@attrs.frozen
class FeedbackReceived:
    """What the peer reports about the streams that we send."""

    report: ReceiverReport | SenderReport


@attrs.frozen
class ControlReceived:
    """Another RTCP packet: limits, transport-wide feedback, extended reports.

    Nothing here acts upon them.
    """

    packet: RtcpPacket


PeerEvent: TypeAlias = (
    CandidateFound
    | GatheringCompleted
    | IceStateChanged
    | Connected
    | PathChanged
    | PathLearned
    | PathForgotten
    | TcpConnectionWanted
    | MediaReceived
    | SenderReportReceived
    | StreamEnded
    | KeyFrameRequested
    | PacketsMissed
    | FeedbackReceived
    | ControlReceived
    | Terminated
)
