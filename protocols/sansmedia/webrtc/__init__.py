"""WebRTC peers for media, composed of ICE, DTLS, SRTP and RTP.

`Peer` is one session with one peer, `PeerMux` sorts a socket's datagrams to many.
"""

from .codecs import any_codec, codec_of, fitting_codec
from .config import Limits, PeerConfig
from .events import (
    CandidateFound,
    Connected,
    ControlReceived,
    FeedbackReceived,
    GatheringCompleted,
    IceStateChanged,
    KeyFrameRequested,
    MediaReceived,
    PacketsMissed,
    PathChanged,
    PathForgotten,
    PathLearned,
    PeerEvent,
    SenderReportReceived,
    StreamEnded,
    TcpConnectionWanted,
)
from .mux import PeerMux
from .peer import Peer
from .receive import TRANSPORT_CC, MediaReceiver, ReceiveStream
from .send import Sealer, SendCounters, SendStream, SendStreamConfig, SourcePacket
from .statistics import PeerStatistics

__all__ = [
    "TRANSPORT_CC",
    "CandidateFound",
    "Connected",
    "ControlReceived",
    "FeedbackReceived",
    "GatheringCompleted",
    "IceStateChanged",
    "KeyFrameRequested",
    "Limits",
    "MediaReceived",
    "MediaReceiver",
    "PacketsMissed",
    "PathChanged",
    "PathForgotten",
    "PathLearned",
    "Peer",
    "PeerConfig",
    "PeerEvent",
    "PeerMux",
    "PeerStatistics",
    "ReceiveStream",
    "Sealer",
    "SendCounters",
    "SendStream",
    "SendStreamConfig",
    "SenderReportReceived",
    "SourcePacket",
    "StreamEnded",
    "TcpConnectionWanted",
    "any_codec",
    "codec_of",
    "fitting_codec",
]
