"""A bonding group as one connection: several links, one stream."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import trio
from sansmedia.srt import Connection, Group

from penstock.control import LinkView

__all__ = ["Bond"]

_MANY = 8_192


class Bond:
    """What a session needs of a connection, over all links of a group.

    Args:
        group: The group.
        first: The link that made it; what was agreed on holds for all.
        flush: Sends what the links have to send.
    """

    def __init__(
        self, group: Group, first: Connection, flush: Callable[[], None]
    ) -> None:
        self._group = group
        self._flush = flush
        self.socket_id = group.group_id
        """The group's id: events name it as they name a connection's socket."""
        self.peer = first.peer
        """Of the first link."""
        self.local = first.local
        """Of the first link."""
        self.negotiated = first.negotiated
        """Of the first link."""
        self.encryption = first.encryption
        """Of all links."""

    @property
    def is_terminated(self) -> bool:
        """Whether the last link is gone."""
        return self._group.is_terminated

    @property
    def send_room(self) -> int:
        """Messages that may be sent now; a group drops by age and never says no."""
        return _MANY

    def write(self, run: Sequence[bytes], now: float) -> list[bytes]:
        """Send over the links that carry; nothing is left to be sent by the caller."""
        self._group.send(run, now)
        self._flush()
        return []

    def view(self, *, publishes: bool) -> LinkView:
        """Return what control shows: the best link's round trip, the sum of the rest.

        Args:
            publishes: Whether the other end sends.
        """
        figures = self._group.statistics(trio.current_time())
        links = [one.link for one in figures.members if one.link is not None]
        rtt_ms = min((link.ms_rtt for link in links), default=0.0)
        if publishes:
            return LinkView(
                rtt_ms=rtt_ms,
                latency_ms=1e3 * self.negotiated.receive_latency,
                buffer_ms=max((link.ms_rcv_buf for link in links), default=0.0),
                packets=figures.pkt_recv_unique_total,
                lost=sum(link.pkt_rcv_loss_total for link in links),
                retransmitted=sum(link.pkt_rcv_retrans_total for link in links),
                dropped=figures.pkt_rcv_drop_total,
                undecrypted=sum(link.pkt_rcv_undecrypt_total for link in links),
                encryption=self.encryption,
                links=len(links),
            )
        return LinkView(
            rtt_ms=rtt_ms,
            latency_ms=1e3 * self.negotiated.send_latency,
            buffer_ms=max((link.ms_snd_buf for link in links), default=0.0),
            packets=figures.pkt_sent_unique_total,
            lost=sum(link.pkt_snd_loss_total for link in links),
            retransmitted=sum(link.pkt_retrans_total for link in links),
            dropped=figures.pkt_snd_drop_total,
            encryption=self.encryption,
            links=len(links),
        )
