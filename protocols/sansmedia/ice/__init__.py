"""ICE, full and lite: which way two programs reach each other, and whether they may.

`IceAgent` is the machine: one agent, one data stream, one component, over UDP and TCP.
Beside it stand pure functions: candidates in SDP's form, the framing of datagrams on
TCP, and what a socket that serves many agents asks of a datagram.
"""

from .agent import IceAgent
from .candidate import (
    Candidate,
    CandidateType,
    TcpType,
    candidate_priority,
    decode_candidate,
    encode_candidate,
    host_candidate,
)
from .config import IceConfig, require_credentials
from .events import (
    ConsentLost,
    GatheringCompleted,
    IceEvent,
    LocalCandidateFound,
    Path,
    PathSelected,
    RemotePathForgotten,
    RemotePathLearned,
    RoleChanged,
    StateChanged,
    TcpConnectionWanted,
)
from .framing import FrameReader, encode_frame
from .limits import Limits
from .report import PairReport, Statistics
from .routing import local_ufrag_of, transaction_prefix_of
from .states import AgentState, PairState

__all__ = [
    "AgentState",
    "Candidate",
    "CandidateType",
    "ConsentLost",
    "FrameReader",
    "GatheringCompleted",
    "IceAgent",
    "IceConfig",
    "IceEvent",
    "Limits",
    "LocalCandidateFound",
    "PairReport",
    "PairState",
    "Path",
    "PathSelected",
    "RemotePathForgotten",
    "RemotePathLearned",
    "RoleChanged",
    "StateChanged",
    "Statistics",
    "TcpConnectionWanted",
    "TcpType",
    "candidate_priority",
    "decode_candidate",
    "encode_candidate",
    "encode_frame",
    "host_candidate",
    "local_ufrag_of",
    "require_credentials",
    "transaction_prefix_of",
]
