"""What is published now: over RTMP by path, over SRT with the figures of each link."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

from penstock.control import Control, LinkView, SessionView

from .answers import Answer, Failure, as_json, number
from .requests import Request
from .session_rows import path_of, resource_of
from .site import Route

__all__ = ["STATS_KEYS", "list_routes", "socket_id", "srt_stats"]

_WHOLE: Final = (
    "timestamp_ms sent_pkt recv_pkt sent_unique_pkt recv_unique_pkt send_loss_pkt "
    "recv_loss_pkt sent_retrans_pkt recv_retran_pkts sent_ack_pkt recv_ack_pkt "
    "sent_nak_pkt recv_nak_pkt send_km_pkt recv_km_pkt send_duration_us send_drop_pkt "
    "recv_drop_pkt recv_undecrypt_pkt sent_bytes recv_bytes sent_unique_bytes "
    "recv_unique_bytes recv_loss_bytes sent_retrans_bytes send_drop_bytes "
    "recv_drop_bytes recv_undecrypt_bytes pkt_send_period_us flow_window_pkt "
    "flight_size_pkt rtt_ms bandwidth_mbit avail_send_buf_bytes avail_recv_buf_bytes "
    "max_bandwidth_mbit mss_bytes send_buf_pkt send_buf_bytes send_buf_ms "
    "send_tsbpd_delay_ms recv_buf_pkt recv_buf_bytes recv_buf_ms recv_tsbpd_delay_ms "
    "reorder_tolerance_pkt pkt_recv_avg_belated_time_ms"
)
STATS_KEYS: Final = tuple(_WHOLE.split())
"""All of them; clients insist on each. What a link does not know is 0."""
_MSS: Final = 1_500
"""Octets of a packet with its headers, as every caller is offered."""


def list_routes(
    control: Control,
    *,
    has_rtmp: Callable[[], bool] = lambda: True,
    has_srt: Callable[[], bool] = lambda: True,
    wall: Callable[[], float] = time.time,
) -> list[Route]:
    """Return the routes of what is published.

    Args:
        control: Tells streams and sessions.
        has_rtmp: Whether RTMP is on; without it there is no such list.
        has_srt: The same of SRT.
        wall: Unix seconds.
    """

    async def rtmp(request: Request) -> Answer:
        if not has_rtmp():
            raise Failure(404, "Not Found", "Not Found")
        streams = await control.streams()
        # Whatever they are published by, they can be played over RTMP.
        names = [path_of(one.app, one.name) for one in streams if one.publisher_active]
        return as_json([{"name": name} for name in sorted(names)])

    async def srt(request: Request) -> Answer:
        if not has_srt():
            raise Failure(404, "Not Found", "Not Found")
        return as_json(_srt(await control.sessions(), wall()))

    return [
        Route("GET", "/api/v3/rtmp", rtmp),
        Route("GET", "/api/v3/srt", srt),
    ]


def _srt(views: list[SessionView], now: float) -> dict[str, Any]:
    publishers: dict[str, int] = {}
    subscribers: dict[str, list[int]] = {}
    connections: dict[str, Any] = {}
    for view in views:
        if view.protocol != "srt" or view.role not in ("publish", "play"):
            continue
        resource, number_ = resource_of(view.app, view.name), socket_id(view.id)
        if view.role == "publish":
            publishers[resource] = number_
        else:
            subscribers.setdefault(resource, []).append(number_)
        connections[str(number_)] = {"log": {}, "stats": srt_stats(view, now)}
    return {
        "publisher": publishers,
        "subscriber": subscribers,
        "connections": connections,
        "log": {},
    }


def socket_id(session_id: str) -> int:
    """Return the number of a session: SRT's have 30 bits. Source: SRT draft-01 §3.2.1.

    Ids are random, so the first bits of one tell it from others.
    """
    try:
        return int(session_id[:8], 16) & 0x3FFFFFFF or 1
    except ValueError:
        return 1


def srt_stats(view: SessionView, now: float) -> dict[str, int | float]:
    """Return the figures of a link under datarhei's names."""
    stats: dict[str, int | float] = dict.fromkeys(STATS_KEYS, 0)
    stats.update(
        timestamp_ms=int(max(0.0, now - view.started_at) * 1000),
        sent_bytes=view.bytes_sent,
        recv_bytes=view.bytes_received,
        mss_bytes=_MSS,
    )
    if view.link is not None:
        is_publisher = view.role == "publish"
        stats.update((_received if is_publisher else _sent)(view, view.link))
        stats.update(
            rtt_ms=number(view.link.rtt_ms),
            bandwidth_mbit=number(view.link.bandwidth_bps / 1e6),
            send_tsbpd_delay_ms=int(view.link.latency_ms),
            recv_tsbpd_delay_ms=int(view.link.latency_ms),
        )
    return stats


def _received(view: SessionView, link: LinkView) -> dict[str, int]:
    return {
        "recv_pkt": link.packets + link.retransmitted,
        "recv_unique_pkt": link.packets,
        "recv_loss_pkt": link.lost,
        "recv_retran_pkts": link.retransmitted,
        "recv_drop_pkt": link.dropped,
        "recv_undecrypt_pkt": link.undecrypted,
        "recv_unique_bytes": view.bytes_received,
        "recv_buf_ms": int(link.buffer_ms),
    }


def _sent(view: SessionView, link: LinkView) -> dict[str, int]:
    return {
        "sent_pkt": link.packets + link.retransmitted,
        "sent_unique_pkt": link.packets,
        "send_loss_pkt": link.lost,
        "sent_retrans_pkt": link.retransmitted,
        "send_drop_pkt": link.dropped,
        "sent_unique_bytes": view.bytes_sent,
        "send_buf_ms": int(link.buffer_ms),
    }
