"""Bit rates: a 30 s window as operators know it, and a short one for live numbers."""

from __future__ import annotations

import attrs

__all__ = ["RateWindow", "ShortRate"]

_WINDOW_S = 30.0
_SHORT_S = 3.0


@attrs.define(eq=False)
class RateWindow:
    """Average kbit/s of the last full 30 s; 0 before the first is over."""

    receive_kbps: int = 0
    send_kbps: int = 0
    _since: float | None = None
    _received: int = 0
    _sent: int = 0

    def is_due(self, now: float) -> bool:
        """Tell whether a sample would count: adding up totals costs more than that."""
        return self._since is None or now - self._since >= _WINDOW_S

    def sample(self, now: float, received: int, sent: int) -> None:
        """Take the totals so far; call it about once a second."""
        if self._since is None:
            self._since, self._received, self._sent = now, received, sent
            return
        elapsed = now - self._since
        if elapsed < _WINDOW_S:
            return
        self.receive_kbps = round((received - self._received) * 8 / elapsed / 1000)
        self.send_kbps = round((sent - self._sent) * 8 / elapsed / 1000)
        self._since, self._received, self._sent = now, received, sent


@attrs.define(eq=False)
class ShortRate:
    """Units and bits a second over the last few seconds."""

    units_per_s: float = 0.0
    bits_per_s: int = 0
    _samples: list[tuple[float, int, int]] = attrs.field(factory=list)

    def sample(self, now: float, units: int, octets: int) -> None:
        """Take the totals so far; call it about once a second."""
        samples = self._samples
        samples.append((now, units, octets))
        while len(samples) > 2 and now - samples[1][0] >= _SHORT_S:
            samples.pop(0)
        since, units_then, octets_then = samples[0]
        elapsed = now - since
        if elapsed > 0:
            self.units_per_s = (units - units_then) / elapsed
            self.bits_per_s = round((octets - octets_then) * 8 / elapsed)
