"""What acknowledgements carry, read and written.

Source: SRT draft-01 §3.2.4.
"""

# The control information field of a full acknowledgement, 32 bits each; a light one
# ends after the first field, a small one after the fourth:
#
#  |0|          Last Acknowledged Packet Sequence Number           |
#  |                              RTT                              |
#  |                          RTT Variance                         |
#  |                     Available Buffer Size                     |
#  |                     Packets Receiving Rate                    |
#  |                     Estimated Link Capacity                   |
#  |                         Receiving Rate                        |

from __future__ import annotations

import struct
from typing import Final

import attrs

from sansmedia.sansio import ProtocolError

from .constants import MAX_SEQUENCE_NUMBER

__all__ = ["LIGHT_SIZE", "Acknowledgement", "decode_ack", "encode_ack"]

LIGHT_SIZE: Final = 4
"""Octets of a light acknowledgement's field."""
_FIELDS: Final = {count: struct.Struct(f">{count}I") for count in (1, 2, 3, 4, 5, 6, 7)}
_MOST: Final = 0xFFFF_FFFF


@attrs.define
class Acknowledgement:
    """An acknowledgement; a light one says nothing but its sequence number."""

    sequence: int
    """The first packet that was not received: 31 bits, wrapped."""
    rtt_us: int | None = None
    """The receiver's smoothed round-trip time, in microseconds."""
    rtt_variance_us: int | None = None
    """Its variance, in microseconds."""
    available: int | None = None
    """Packets that the receiver's buffer has room for."""
    receiving_rate: int | None = None
    """Packets a second that arrive."""
    link_capacity: int | None = None
    """Packets a second that the path seems to bear."""
    receiving_bytes: int | None = None
    """Octets a second that arrive."""


def decode_ack(field: bytes) -> Acknowledgement:
    """Read the control information field of an acknowledgement.

    What follows the seven known fields is ignored (libsrt 1.0.2 sent an eighth).

    Raises:
        ProtocolError: ``short`` without a whole number; ``range`` if the number has
            more than 31 bits.
    """
    count = min(len(field) // 4, 7)
    if not count:
        raise ProtocolError(
            f"{len(field)} octets are no acknowledgement",
            code="short",
            source="SRT draft-01 §3.2.4",
        )
    values = _FIELDS[count].unpack_from(field)
    if values[0] > MAX_SEQUENCE_NUMBER:
        raise ProtocolError(
            "acknowledges a number of more than 31 bits",
            code="range",
            source="SRT draft-01 §3.2.4",
        )
    return Acknowledgement(*values)


def encode_ack(acknowledgement: Acknowledgement) -> bytes:
    """Write an acknowledgement as far as its fields are set."""
    values = [acknowledgement.sequence]
    for value in (
        acknowledgement.rtt_us,
        acknowledgement.rtt_variance_us,
        acknowledgement.available,
        acknowledgement.receiving_rate,
        acknowledgement.link_capacity,
        acknowledgement.receiving_bytes,
    ):
        if value is None:
            break
        values.append(value if value < _MOST else _MOST)
    return _FIELDS[len(values)].pack(*values)
