"""Numbers that the SRT protocol fixes."""

from __future__ import annotations

import enum
from typing import Final

__all__ = [
    "CIF_HEADER_SIZE",
    "HEADER_SIZE",
    "LIVE_PAYLOAD_SIZE",
    "MAX_MESSAGE_NUMBER",
    "MAX_PAYLOAD_SIZE",
    "MAX_SEQUENCE_NUMBER",
    "SEQUENCE_BITS",
    "SRT_VERSION",
    "TIMESTAMP_BITS",
    "UDP_HEADER_SIZE",
    "ControlType",
    "CryptoMode",
    "KeyState",
    "Role",
    "TransmissionType",
]

HEADER_SIZE: Final = 16
"""Octets of every packet's header (SRT draft-01 §3)."""
CIF_HEADER_SIZE: Final = 48
"""Octets of a handshake's fixed part, after the header (SRT draft-01 §3.2.1)."""
UDP_HEADER_SIZE: Final = 28
"""Octets of IPv4 and UDP, which the MTU of a handshake counts in."""
MAX_PAYLOAD_SIZE: Final = 1456
"""Octets of payload in a packet at the usual MTU of 1,500."""
LIVE_PAYLOAD_SIZE: Final = 1316
"""Octets of payload that live mode expects: seven MPEG-TS packets."""
SEQUENCE_BITS: Final = 31
"""Width of a packet sequence number."""
MAX_SEQUENCE_NUMBER: Final = (1 << SEQUENCE_BITS) - 1
"""The last packet sequence number before 0 comes again."""
MAX_MESSAGE_NUMBER: Final = (1 << 26) - 1
"""The last message number; 0 is never used, so 1 comes after it."""
TIMESTAMP_BITS: Final = 32
"""Width of a timestamp, in microseconds: it wraps after 71 minutes and 35 seconds."""
SRT_VERSION: Final = 0x010505
"""The version that a handshake tells: what libsrt of that number can do. Up to 1.5.3,
libsrt would use AES-GCM in its old way with us."""


class ControlType(enum.IntEnum):
    """Control packet types (SRT draft-01 §3.2, table 1)."""

    HANDSHAKE = 0x0000
    KEEPALIVE = 0x0001
    ACK = 0x0002
    NAK = 0x0003
    CONGESTION_WARNING = 0x0004
    SHUTDOWN = 0x0005
    ACKACK = 0x0006
    DROPREQ = 0x0007
    PEERERROR = 0x0008
    USER_DEFINED = 0x7FFF
    """Its subtype tells what it is; key material is refreshed by these."""


class Role(enum.Enum):
    """How a connection came to be."""

    CALLER = "caller"
    LISTENER = "listener"
    RENDEZVOUS = "rendezvous"


class TransmissionType(enum.Enum):
    """What a connection is made for (libsrt's SRTO_TRANSTYPE)."""

    LIVE = "live"
    """Messages delivered at the pace they were sent, late ones dropped."""
    FILE = "file"
    """Everything arrives, as fast as the path bears."""


class CryptoMode(enum.IntEnum):
    """Which cipher protects payloads (libsrt's SRTO_CRYPTOMODE)."""

    AUTO = 0
    """A listener takes the caller's; a caller takes AES-CTR."""
    AES_CTR = 1
    AES_GCM = 2


class KeyState(enum.IntEnum):
    """How far the exchange of keys came (libsrt's SRT_KM_STATE)."""

    UNSECURED = 0
    """Nobody set a passphrase."""
    SECURING = 1
    """Asked for, not answered yet."""
    SECURED = 2
    """Both sides hold the keys."""
    NOSECRET = 3
    """One side set a passphrase and the other did not."""
    BADSECRET = 4
    """The passphrases differ."""
    BADCRYPTOMODE = 5
    """The peer wants a cipher that we do not do here."""
