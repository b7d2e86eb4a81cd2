"""How good a link of a main/backup group is, and which one to send over.

Source: libsrt's bonding-main-backup.md, Sender Logic.
"""

from __future__ import annotations

import enum
from typing import Final

import attrs

from .statistics import LinkQuality

__all__ = ["Health", "LinkHealth"]

_PROBING: Final = 0.05
_WARY_LATENCIES: Final = 4


class Health(enum.IntEnum):
    """What is thought of a running link; more is better."""

    UNSTABLE = 1
    """The peer is silent for too long, or packets were too late to be sent."""
    WARY = 2
    """It was unstable, and has come back just now."""
    FRESH = 3
    """It is too early to say."""
    STABLE = 4


@attrs.define
class LinkHealth:
    """Judges one link while it runs."""

    health: Health = Health.FRESH
    fresh_since: float | None = None
    """When it was activated, while it is fresh."""
    unstable_since: float | None = None
    """When it became unstable, until it is stable again."""
    wary_since: float | None = None
    """When it came back."""
    dropped: int = 0
    """Packets that its sender had given up when it was judged last."""

    def activate(self, quality: LinkQuality, now: float) -> None:
        """Begin anew."""
        self.health = Health.FRESH
        self.fresh_since = now
        self.unstable_since = self.wary_since = None
        self.dropped = quality.dropped

    def judge(
        self, quality: LinkQuality, *, latency: float, least: float, now: float
    ) -> Health:
        """Return what is thought of the link now.

        Args:
            quality: What was measured.
            latency: The peer's, seconds: later than that nothing is of use.
            least: Seconds of silence under which no link is unstable.
            now: The time.
        """
        self.health = health = self._judge(quality, latency, least, now)
        if health is Health.UNSTABLE:
            if self.unstable_since is None:
                self.unstable_since = now
            self.fresh_since = self.wary_since = None
        elif health is Health.WARY:
            if self.wary_since is None:
                self.wary_since = now
        elif health is Health.STABLE:
            self.fresh_since = self.unstable_since = self.wary_since = None
        return health

    def _judge(
        self, quality: LinkQuality, latency: float, least: float, now: float
    ) -> Health:
        initial = max(least, latency)
        fresh_since = self.fresh_since
        is_fresh = fresh_since is not None and now - fresh_since <= initial + _PROBING
        allowed = initial
        if not is_fresh:
            # Round-trip times are still being found out while it is fresh.
            allowed = 2 * quality.rtt + 4 * quality.rtt_variance
            allowed = min(max(least, allowed), latency)
        if quality.flight_size:
            # Nobody owes an answer while nothing is under way.
            since = max(quality.heard_at, quality.waiting_since)
            if fresh_since is not None:
                since = max(since, fresh_since)
            if now - since > allowed:
                return Health.UNSTABLE
        if quality.dropped != self.dropped:
            self.dropped = quality.dropped
            if not is_fresh:
                return Health.UNSTABLE
        if is_fresh:
            return Health.FRESH
        if self.unstable_since is None:
            return Health.STABLE
        if self.wary_since is None or now - self.wary_since <= (
            _WARY_LATENCIES * latency
        ):
            return Health.WARY
        return Health.STABLE
