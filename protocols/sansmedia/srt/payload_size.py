"""How much a packet carries.

Source: SRT draft-01 §3.1; libsrt packet-filtering-and-fec.md.
"""

from __future__ import annotations

from typing import Final

from .constants import HEADER_SIZE, LIVE_PAYLOAD_SIZE, UDP_HEADER_SIZE
from .hooks import Crypto
from .negotiated import Negotiated
from .options import SrtOptions

__all__ = ["payload_limit"]

_FILTER_HEADER: Final = 4


def payload_limit(negotiated: Negotiated, options: SrtOptions, crypto: Crypto) -> int:
    """Return how many octets of payload one packet may carry."""
    most = negotiated.mss - UDP_HEADER_SIZE - HEADER_SIZE - crypto.overhead
    if negotiated.packet_filter:
        most -= _FILTER_HEADER
    wanted = options.payload_size
    if wanted is None:
        wanted = LIVE_PAYLOAD_SIZE if negotiated.live else most
    return min(wanted, most) or most
