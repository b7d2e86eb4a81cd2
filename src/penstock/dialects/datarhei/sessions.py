"""Sessions as datarhei counts them: who is there, and the sums of who has been.

datarhei sorts sessions into collectors by what they use. The book looks at the
server's sessions once a second and whenever it is asked, so what begins and ends
between two looks is not in its sums.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import attrs
import trio

from penstock.control import Control, SessionView
from penstock.slices import in_slices

from .access import is_within
from .answers import Answer, as_json, number
from .requests import Request
from .session_rows import Row, row_of
from .session_sums import SessionLimits, Summary, Totals
from .site import Route

__all__ = ["LOOPBACK", "SessionBook", "session_routes"]

_WINDOW: Final = 11
"""Looks that an average is made of: ten seconds at one a second."""
_LOOK_S: Final = 1.0
LOOPBACK: Final = ("127.0.0.1/32", "::1/128")
"""Whom datarhei does not count unless it is told to: its own processes above all."""


@attrs.define
class _Entry:
    row: Row
    looks: deque[tuple[float, int, int]]

    def kbit(self) -> tuple[float, float]:
        """Return what comes in and goes out, in units of 1,024 bit/s."""
        (first, rx, tx), (last, rx_now, tx_now) = self.looks[0], self.looks[-1]
        if last <= first:
            return 0.0, 0.0
        unit = (last - first) * 128
        return max(0, rx_now - rx) / unit, max(0, tx_now - tx) / unit

    def shape(self) -> dict[str, Any]:
        row, (rx, tx) = self.row, self.kbit()
        return {
            "id": row.id,
            "reference": row.reference,
            "created_at": int(row.created_at),
            "local": row.local,
            "remote": row.remote,
            "extra": row.extra,
            "bytes_rx": row.bytes_rx,
            "bytes_tx": row.bytes_tx,
            "bandwidth_rx_kbit": number(rx),
            "bandwidth_tx_kbit": number(tx),
        }


class SessionBook:
    """Who is there and who has been, by collector.

    Args:
        control: Tells the sessions.
        others: Tells those that the server's core does not know, as viewers of HLS.
        rtmp_app: What names over RTMP begin with, as the configuration says.
        ignored: Networks whose clients are not counted.
        limits: What viewers of HLS may take; the others have none of their own.
        monotonic: Seconds that never jump.
    """

    def __init__(
        self,
        control: Control,
        *,
        others: Callable[[], Iterable[Row]] = lambda: (),
        rtmp_app: Callable[[], str] = lambda: "/",
        ignored: Callable[[], Sequence[str]] = lambda: LOOPBACK,
        limits: Callable[[], SessionLimits] = SessionLimits,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._control = control
        self._others = others
        self._rtmp_app = rtmp_app
        self._ignored = ignored
        self._limits = limits
        self._monotonic = monotonic
        self._entries: dict[str, _Entry] = {}
        self._closed: dict[str, Summary] = {}
        self._looking = trio.Lock()

    async def run(self) -> None:
        """Look once a second until cancelled."""
        while True:
            await self.look()
            await trio.sleep(_LOOK_S)

    async def look(self) -> None:
        """See who has come and gone."""
        # Of two looks at once the older one might be the last, and end whom the other
        # has just seen come.
        async with self._looking:
            views = await self._control.sessions()
            networks, app = self._ignored(), self._rtmp_app()
            now = self._monotonic()
            seen: set[str] = set()

            def see(view: SessionView) -> None:
                if view.role != "connect" and not is_within(view.address, networks):
                    self._see(row_of(view, app), now)
                    seen.add(view.id)

            await in_slices(views, see)
            for row in self._others():
                self._see(row, now)
                seen.add(row.key)
            for key in self._entries.keys() - seen:
                row = self._entries.pop(key).row
                self._closed.setdefault(row.collector, Summary()).add(row)

    def _see(self, row: Row, now: float) -> None:
        entry = self._entries.get(row.key)
        if entry is None:
            entry = self._entries[row.key] = _Entry(row, deque(maxlen=_WINDOW))
        entry.row = row
        # Looks between those of each second would make the window short.
        if not entry.looks or now - entry.looks[-1][0] >= _LOOK_S * 0.9:
            entry.looks.append((now, row.bytes_rx, row.bytes_tx))

    async def active(self, collector: str) -> list[dict[str, Any]]:
        """Return the sessions of a collector, as the API shows them."""
        return await in_slices(self._of(collector), _Entry.shape)

    async def totals(self) -> dict[str, Totals]:
        """Return what has been and is, by collector."""
        found: dict[str, Totals] = {}
        for name, summary in self._closed.items():
            sums = summary.total
            found[name] = Totals(0, sums.sessions, sums.bytes_rx, sums.bytes_tx)

        def count(entry: _Entry) -> None:
            total = found.setdefault(entry.row.collector, Totals())
            rx, tx = entry.kbit()
            total.active += 1
            total.sessions += 1
            total.bytes_rx += entry.row.bytes_rx
            total.bytes_tx += entry.row.bytes_tx
            total.kbit_rx += rx
            total.kbit_tx += tx

        await in_slices(list(self._entries.values()), count)
        return found

    def rows(self, collector: str) -> list[Row]:
        """Return the sessions of a collector."""
        return [entry.row for entry in self._of(collector)]

    def closed_of(self, collector: str, prefix: str) -> int:
        """Return how many have been there whose reference begins with something."""
        summary = self._closed.get(collector)
        references = summary.reference if summary else {}
        return sum(
            sums.sessions
            for name, sums in references.items()
            if name.startswith(prefix)
        )

    def limits_of(self, collector: str) -> SessionLimits:
        """Return what the sessions of a collector may take."""
        return self._limits() if collector == "hls" else SessionLimits()

    async def overview(self, collector: str) -> dict[str, Any]:
        """Return all of one collector, as the API shows it."""
        rows = await self.active(collector)
        rx = sum(row["bandwidth_rx_kbit"] for row in rows)
        tx = sum(row["bandwidth_tx_kbit"] for row in rows)
        limits = self.limits_of(collector)
        return {
            "active": {
                "list": rows,
                "sessions": len(rows),
                "bandwidth_rx_mbit": number(rx / 1024),
                "bandwidth_tx_mbit": number(tx / 1024),
                "max_sessions": limits.sessions,
                "max_bandwidth_rx_mbit": 0,
                "max_bandwidth_tx_mbit": number(limits.bps / (1 << 20)),
            },
            "summary": self._closed.get(collector, Summary()).shape(),
        }

    def _of(self, collector: str) -> list[_Entry]:
        entries = self._entries.values()
        return [entry for entry in entries if entry.row.collector == collector]


def session_routes(book: SessionBook) -> list[Route]:
    """Return the routes of sessions."""

    async def active(request: Request) -> Answer:
        await book.look()
        return as_json({name: await book.active(name) for name in _wanted(request)})

    async def overview(request: Request) -> Answer:
        await book.look()
        return as_json({name: await book.overview(name) for name in _wanted(request)})

    return [
        Route("GET", "/api/v3/session", overview),
        Route("GET", "/api/v3/session/active", active),
    ]


def _wanted(request: Request) -> list[str]:
    names = request.query.get("collectors", "").split(",")
    return list(dict.fromkeys(names))[:100]
