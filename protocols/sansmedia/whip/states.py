"""The states of a client's session."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Final

__all__ = ["CLIENT_SESSION", "ClientInput", "ClientState"]


class ClientState(enum.Enum):
    """Where a client stands."""

    IDLE = "idle"
    OFFERING = "offering"
    COUNTERED = "countered"
    """A counter-offer waits for our answer."""
    ANSWERING = "answering"
    ESTABLISHED = "established"
    ENDING = "ending"
    """Closed while the offer was under way: what comes of it is deleted."""
    TERMINATED = "terminated"


class ClientInput(enum.Enum):
    """What moves it."""

    OFFER = "offer"
    POSTPONED = "postponed"
    ACCEPTED = "accepted"
    COUNTERED = "countered"
    ANSWER = "answer"
    CLOSE = "close"
    END = "end"


_S, _I = ClientState, ClientInput

CLIENT_SESSION: Final[Mapping[tuple[ClientState, ClientInput], ClientState]] = {
    (_S.IDLE, _I.OFFER): _S.OFFERING,
    (_S.IDLE, _I.END): _S.TERMINATED,
    (_S.OFFERING, _I.POSTPONED): _S.IDLE,
    (_S.OFFERING, _I.ACCEPTED): _S.ESTABLISHED,
    (_S.OFFERING, _I.COUNTERED): _S.COUNTERED,
    (_S.OFFERING, _I.CLOSE): _S.ENDING,
    (_S.OFFERING, _I.END): _S.TERMINATED,
    (_S.COUNTERED, _I.ANSWER): _S.ANSWERING,
    (_S.COUNTERED, _I.END): _S.TERMINATED,
    (_S.ANSWERING, _I.ACCEPTED): _S.ESTABLISHED,
    (_S.ANSWERING, _I.END): _S.TERMINATED,
    (_S.ESTABLISHED, _I.END): _S.TERMINATED,
    (_S.ENDING, _I.END): _S.TERMINATED,
}
"""`WhipClient` and `WhepClient`; only the latter is ever countered."""
