"""From a handshake's outcome to a connection."""

from __future__ import annotations

from .connection import Connection
from .handshaker import Agreed
from .limits import Limits
from .packet_filter import make_filter_receiver, make_filter_sender
from .payload_size import payload_limit

__all__ = ["make_connection"]


def make_connection(
    agreed: Agreed,
    limits: Limits,
    *,
    peer: tuple[str, int],
    local: tuple[str, int] | None,
    now: float,
) -> Connection:
    """Make the connection that was agreed on, with its packet filter.

    Args:
        agreed: What a handshake left.
        limits: What the peer may cost.
        peer: Where packets go.
        local: Where they leave, None: anywhere.
        now: The time.
    """
    negotiated, crypto = agreed.negotiated, agreed.crypto
    config = negotiated.packet_filter
    sender = receiver = None
    if config:
        size = payload_limit(negotiated, agreed.options, crypto) + crypto.overhead
        sender = make_filter_sender(
            config,
            initial_sequence=negotiated.initial_sequence,
            payload_size=size,
            limits=limits,
        )
        receiver = make_filter_receiver(
            config,
            initial_sequence=negotiated.peer_initial_sequence,
            limits=limits,
        )
    return Connection(
        negotiated,
        crypto,
        agreed.options,
        limits,
        peer=peer,
        local=local,
        now=now,
        filter_sender=sender,
        filter_receiver=receiver,
    )
