"""The state tables of handshakes: (state, input) -> state.

An input without a row in the state of the moment changes nothing and is counted.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Final, TypeAlias

__all__ = [
    "CALLER",
    "INITIATOR",
    "RESPONDER",
    "CallerInput",
    "CallerState",
    "RendezvousInput",
    "RendezvousState",
    "RendezvousTable",
]


class CallerState(enum.Enum):
    """Where a caller stands."""

    INDUCTION = "induction"
    """It asks for a cookie."""
    CONCLUSION = "conclusion"
    """It has one and asks to be let in."""
    CONNECTED = "connected"
    REFUSED = "refused"
    """By the peer, by itself, or nobody answered."""


class CallerInput(enum.Enum):
    """What moves a caller."""

    INDUCTION = "induction"
    """The listener's cookie."""
    CONCLUSION = "conclusion"
    """The listener lets it in."""
    END = "end"
    """A refusal, the time-out, or a command."""


_C, _CI = CallerState, CallerInput

CALLER: Final[Mapping[tuple[CallerState, CallerInput], CallerState]] = {
    (_C.INDUCTION, _CI.INDUCTION): _C.CONCLUSION,
    (_C.INDUCTION, _CI.END): _C.REFUSED,
    (_C.CONCLUSION, _CI.CONCLUSION): _C.CONNECTED,
    (_C.CONCLUSION, _CI.END): _C.REFUSED,
}
"""A caller. Source: SRT draft-01 §4.3.1."""


class RendezvousState(enum.Enum):
    """Where one side of a rendezvous stands (SRT draft-01 §4.3.2)."""

    WAVING = "waving"
    """Nothing has come from the peer."""
    ATTENTION = "attention"
    """The peer waved; both cookies are known, so the roles are."""
    FINE = "fine"
    """The peer concluded before it was seen waving."""
    INITIATED = "initiated"
    """Extensions are under way in both directions."""
    CONNECTED = "connected"
    REFUSED = "refused"


class RendezvousInput(enum.Enum):
    """What moves a rendezvous."""

    WAVEAHAND = "waveahand"
    EMPTY_CONCLUSION = "empty conclusion"
    """A conclusion without the extensions that this side waits for."""
    CONCLUSION = "conclusion"
    """One with them: the request for a responder, the response for an initiator."""
    AGREEMENT = "agreement"
    TRAFFIC = "traffic"
    """Any packet that only a connected peer sends."""
    END = "end"


_R, _RI = RendezvousState, RendezvousInput
RendezvousTable: TypeAlias = Mapping[
    tuple[RendezvousState, RendezvousInput], RendezvousState
]
"""The table of one side."""

INITIATOR: Final[RendezvousTable] = {
    (_R.WAVING, _RI.WAVEAHAND): _R.ATTENTION,
    (_R.WAVING, _RI.EMPTY_CONCLUSION): _R.FINE,
    (_R.WAVING, _RI.END): _R.REFUSED,
    (_R.ATTENTION, _RI.WAVEAHAND): _R.ATTENTION,
    (_R.ATTENTION, _RI.EMPTY_CONCLUSION): _R.INITIATED,
    (_R.ATTENTION, _RI.CONCLUSION): _R.CONNECTED,
    (_R.ATTENTION, _RI.END): _R.REFUSED,
    (_R.FINE, _RI.WAVEAHAND): _R.FINE,
    (_R.FINE, _RI.EMPTY_CONCLUSION): _R.FINE,
    (_R.FINE, _RI.CONCLUSION): _R.CONNECTED,
    (_R.FINE, _RI.END): _R.REFUSED,
    (_R.INITIATED, _RI.WAVEAHAND): _R.INITIATED,
    (_R.INITIATED, _RI.EMPTY_CONCLUSION): _R.INITIATED,
    (_R.INITIATED, _RI.CONCLUSION): _R.CONNECTED,
    (_R.INITIATED, _RI.END): _R.REFUSED,
}
"""Who won the cookie contest. Source: SRT draft-01 §4.3.2.3 to §4.3.2.6."""

RESPONDER: Final[RendezvousTable] = {
    (_R.WAVING, _RI.WAVEAHAND): _R.ATTENTION,
    (_R.WAVING, _RI.EMPTY_CONCLUSION): _R.ATTENTION,
    (_R.WAVING, _RI.CONCLUSION): _R.FINE,
    (_R.WAVING, _RI.END): _R.REFUSED,
    (_R.ATTENTION, _RI.WAVEAHAND): _R.ATTENTION,
    (_R.ATTENTION, _RI.EMPTY_CONCLUSION): _R.ATTENTION,
    (_R.ATTENTION, _RI.CONCLUSION): _R.INITIATED,
    (_R.ATTENTION, _RI.END): _R.REFUSED,
    (_R.FINE, _RI.WAVEAHAND): _R.FINE,
    (_R.FINE, _RI.EMPTY_CONCLUSION): _R.FINE,
    (_R.FINE, _RI.CONCLUSION): _R.FINE,
    (_R.FINE, _RI.AGREEMENT): _R.CONNECTED,
    (_R.FINE, _RI.TRAFFIC): _R.CONNECTED,
    (_R.FINE, _RI.END): _R.REFUSED,
    (_R.INITIATED, _RI.WAVEAHAND): _R.INITIATED,
    (_R.INITIATED, _RI.EMPTY_CONCLUSION): _R.INITIATED,
    (_R.INITIATED, _RI.CONCLUSION): _R.INITIATED,
    (_R.INITIATED, _RI.AGREEMENT): _R.CONNECTED,
    (_R.INITIATED, _RI.TRAFFIC): _R.CONNECTED,
    (_R.INITIATED, _RI.END): _R.REFUSED,
}
"""Who lost it. Source: SRT draft-01 §4.3.2.3 to §4.3.2.6."""
