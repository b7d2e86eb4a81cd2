"""What an agent tells."""

from __future__ import annotations

from typing import Literal, TypeAlias

import attrs

from sansmedia.sansio import Terminated
from sansmedia.stun import Address

from .candidate import Candidate
from .states import AgentState

__all__ = [
    "ConsentLost",
    "GatheringCompleted",
    "IceEvent",
    "LocalCandidateFound",
    "Path",
    "PathSelected",
    "RemotePathForgotten",
    "RemotePathLearned",
    "RoleChanged",
    "StateChanged",
    "TcpConnectionWanted",
]


@attrs.frozen
class Path:
    """A way to the peer: what a `Datagram` has besides its data."""

    local: Address
    """Where it leaves: a base, or our end of the connection."""
    peer: Address
    transport: Literal["udp", "tcp"] = "udp"


@attrs.frozen
class LocalCandidateFound:
    """A STUN server has shown a candidate: signal it to the peer."""

    candidate: Candidate


@attrs.frozen
class GatheringCompleted:
    """Every STUN server has answered or been given up."""


@attrs.frozen
class StateChanged:
    """The agent's state is another one. The last is told by `Terminated` alone."""

    state: AgentState


@attrs.frozen
class PathSelected:
    """Send to the peer over this path from now on."""

    path: Path
    nominated: bool
    """False for the best valid pair so far, while nobody has nominated any."""


@attrs.frozen
class RoleChanged:
    """A conflict of roles was repaired."""

    controlling: bool


@attrs.frozen
class RemotePathLearned:
    """An authenticated check came over this path: what comes over it is the peer's."""

    path: Path


@attrs.frozen
class RemotePathForgotten:
    """What comes over this path is no longer ours to judge."""

    path: Path


@attrs.frozen
class ConsentLost:
    """The peer has not consented for too long: send nothing over this path."""

    path: Path


@attrs.frozen
class TcpConnectionWanted:
    """Open a connection, then call ``tcp_connected`` or ``tcp_failed``."""

    host: str
    """The address to connect from."""
    peer: Address


IceEvent: TypeAlias = (
    LocalCandidateFound
    | GatheringCompleted
    | StateChanged
    | PathSelected
    | RoleChanged
    | RemotePathLearned
    | RemotePathForgotten
    | ConsentLost
    | TcpConnectionWanted
    | Terminated
)
