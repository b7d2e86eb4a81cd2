"""What an agent shows of itself: counters, and what became of every pair."""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from sansmedia.stun import Address

from .candidate import CandidateType
from .checklist import Checklist, Pair
from .events import Path
from .states import AgentState

__all__ = ["PairReport", "Statistics", "report_pairs"]


@attrs.frozen(kw_only=True)
class PairReport:
    """What became of one pair, or of a candidate that pairs with nothing."""

    transport: str
    local: Address | None
    """The base, or our end of the connection; None without a pair."""
    remote: Address
    remote_type: CandidateType
    state: str
    """A value of `PairState`, or ``unpaired``."""
    valid: bool
    nominated: bool
    selected: bool
    error: str
    """Why it failed or was not tried; empty if neither."""
    round_trip_time: float | None
    """Seconds, of the last check that was answered at once."""
    checks_sent: int
    mapped: Address | None
    """How the peer sees us over it."""
    priority: int


@attrs.frozen(kw_only=True)
class Statistics:
    """Counters of one agent."""

    state: AgentState
    controlling: bool
    datagrams_received: int
    datagrams_sent: int
    bytes_sent: int
    requests_answered: int
    """Authenticated requests, success or error."""
    requests_rejected: int
    """Requests of strangers that got an error."""
    requests_dropped: int
    """Requests of strangers that got nothing."""
    responses_received: int
    """Authenticated answers to requests of ours."""
    datagrams_dropped: int
    """What was no STUN message, no answer to anything of ours, or not authentic."""
    retransmissions: int
    pairs: int
    pairs_discarded: int
    """Pairs and candidates that a limit has kept out."""
    round_trip_time: float | None
    """Of the selected path, in seconds."""


def report_pairs(checklist: Checklist, selected: Path | None) -> Iterator[PairReport]:
    """Tell of every pair, best first, then of the candidates without one."""
    for pair in checklist:
        yield _report(pair, pair.path is not None and pair.path == selected)
    for candidate, reason in checklist.unpaired():
        yield PairReport(
            transport=candidate.transport,
            local=None,
            remote=candidate.address,
            remote_type=candidate.type,
            state="unpaired",
            valid=False,
            nominated=False,
            selected=False,
            error=reason,
            round_trip_time=None,
            checks_sent=0,
            mapped=None,
            priority=0,
        )


def _report(pair: Pair, selected: bool) -> PairReport:
    candidate = pair.remote.candidate
    return PairReport(
        transport=pair.base.transport,
        local=pair.base.address if pair.path is None else pair.path.local,
        remote=candidate.address,
        remote_type=candidate.type,
        state=pair.state.value,
        valid=pair.valid,
        nominated=pair.nominated,
        selected=selected,
        error=pair.error,
        round_trip_time=pair.round_trip_time,
        checks_sent=pair.checks_sent,
        mapped=pair.mapped,
        priority=pair.priority,
    )
