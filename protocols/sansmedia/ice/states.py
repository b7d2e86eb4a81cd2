"""The state tables of pairs and agents: (state, input) -> state.

An input without a row changes nothing.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Final

__all__ = ["AGENT", "PAIR", "AgentInput", "AgentState", "PairInput", "PairState"]


class PairState(enum.Enum):
    """Where a candidate pair stands. Source: RFC 8445 §6.1.2.6."""

    FROZEN = "frozen"
    WAITING = "waiting"
    IN_PROGRESS = "in progress"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


class PairInput(enum.Enum):
    """What moves a candidate pair."""

    UNFREEZE = "unfreeze"
    TRIGGER = "trigger"
    """A check of the peer came over it, or a check of ours is to be repeated."""
    CHECK = "check"
    """A check of ours went over it, or waits for its connection."""
    SUCCESS = "success"
    FAILURE = "failure"


class AgentState(enum.Enum):
    """Where an agent stands, in the words of W3C's RTCIceTransportState."""

    NEW = "new"
    """Waits for the peer's user name fragment and password."""
    CHECKING = "checking"
    CONNECTED = "connected"
    """Some pair works; none is nominated."""
    COMPLETED = "completed"
    """A pair is nominated."""
    DISCONNECTED = "disconnected"
    """The peer has not answered for some time."""
    FAILED = "failed"
    """No pair works, or consent is lost."""
    CLOSED = "closed"


class AgentInput(enum.Enum):
    """What moves an agent."""

    START = "start"
    """The peer's user name fragment and password came."""
    VALID = "valid pair"
    NOMINATED = "nominated pair"
    UNHEARD = "unheard"
    """No answer for some time, or the connection has closed."""
    EXHAUSTED = "exhausted"
    """The time is over, and no pair is left to check."""
    CONSENT_LOST = "consent lost"
    RESTART = "restart"
    """The peer's new user name fragment and password came."""
    END = "end"


_P, _I = PairState, PairInput

PAIR: Final[Mapping[tuple[PairState, PairInput], PairState]] = {
    (_P.FROZEN, _I.UNFREEZE): _P.WAITING,
    (_P.FROZEN, _I.TRIGGER): _P.WAITING,
    (_P.WAITING, _I.CHECK): _P.IN_PROGRESS,
    # The answer to a check that was given up for another one.
    (_P.WAITING, _I.SUCCESS): _P.SUCCEEDED,
    (_P.WAITING, _I.FAILURE): _P.FAILED,
    (_P.IN_PROGRESS, _I.TRIGGER): _P.WAITING,
    (_P.IN_PROGRESS, _I.SUCCESS): _P.SUCCEEDED,
    (_P.IN_PROGRESS, _I.FAILURE): _P.FAILED,
    (_P.FAILED, _I.TRIGGER): _P.WAITING,
    # A nomination that failed, a connection that closed, consent that ended.
    (_P.SUCCEEDED, _I.FAILURE): _P.FAILED,
}
"""A candidate pair. Source: RFC 8445 §6.1.2.6, §7.3.1.4."""

_A, _J = AgentState, AgentInput

AGENT: Final[Mapping[tuple[AgentState, AgentInput], AgentState]] = {
    (_A.NEW, _J.START): _A.CHECKING,
    (_A.NEW, _J.END): _A.CLOSED,
    (_A.CHECKING, _J.VALID): _A.CONNECTED,
    (_A.CHECKING, _J.NOMINATED): _A.COMPLETED,
    (_A.CHECKING, _J.EXHAUSTED): _A.FAILED,
    # The old pair, while a restart is under way.
    (_A.CHECKING, _J.CONSENT_LOST): _A.CHECKING,
    (_A.CHECKING, _J.RESTART): _A.CHECKING,
    (_A.CHECKING, _J.END): _A.CLOSED,
    (_A.CONNECTED, _J.NOMINATED): _A.COMPLETED,
    (_A.CONNECTED, _J.UNHEARD): _A.DISCONNECTED,
    (_A.CONNECTED, _J.CONSENT_LOST): _A.FAILED,
    (_A.CONNECTED, _J.RESTART): _A.CHECKING,
    (_A.CONNECTED, _J.END): _A.CLOSED,
    (_A.COMPLETED, _J.UNHEARD): _A.DISCONNECTED,
    (_A.COMPLETED, _J.CONSENT_LOST): _A.FAILED,
    (_A.COMPLETED, _J.RESTART): _A.CHECKING,
    (_A.COMPLETED, _J.END): _A.CLOSED,
    # Answers again, or another pair.
    (_A.DISCONNECTED, _J.VALID): _A.CONNECTED,
    (_A.DISCONNECTED, _J.NOMINATED): _A.COMPLETED,
    (_A.DISCONNECTED, _J.CONSENT_LOST): _A.FAILED,
    (_A.DISCONNECTED, _J.RESTART): _A.CHECKING,
    (_A.DISCONNECTED, _J.END): _A.CLOSED,
    # A candidate that came late, or a check from an address of its own.
    (_A.FAILED, _J.VALID): _A.CONNECTED,
    (_A.FAILED, _J.NOMINATED): _A.COMPLETED,
    (_A.FAILED, _J.RESTART): _A.CHECKING,
    (_A.FAILED, _J.END): _A.CLOSED,
}
"""An agent."""
