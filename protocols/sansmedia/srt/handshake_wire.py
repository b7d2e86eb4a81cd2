"""The handshake's fixed part. Source: SRT draft-01 §3.2.1."""

#   0                   1                   2                   3
#   0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
#  +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
#  |                          HS Version                           |
#  |        Encryption Field       |        Extension Field        |
#  |0|               Initial Packet Sequence Number                |
#  |                 Maximum Transmission Unit Size                |
#  |                    Maximum Flow Window Size                   |
#  |                         Handshake Type                        |
#  |                         SRT Socket ID                         |
#  |                           SYN Cookie                          |
#  |                        Peer IP Address (4 words)              |
#  +=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+
#  |         Extension Type        |        Extension Length       |
#  |                       Extension Contents                      |

from __future__ import annotations

import enum
import ipaddress
import struct
from typing import Final

import attrs

from sansmedia.sansio import ProtocolError

from .constants import CIF_HEADER_SIZE, MAX_SEQUENCE_NUMBER

__all__ = [
    "HANDSHAKE_MAGIC",
    "KEY_LENGTHS",
    "ExtensionField",
    "Handshake",
    "HandshakeType",
    "decode_handshake",
    "encode_address",
    "encode_handshake",
]

_HEADER: Final = struct.Struct(">IHHIIIIII16s")
_SOURCE: Final = "SRT draft-01 §3.2.1"

HANDSHAKE_MAGIC: Final = 0x4A17
"""In the extension field of an induction's answer: a listener that speaks version 5."""
KEY_LENGTHS: Final = {2: 16, 3: 24, 4: 32}
"""Octets of key by the encryption field; any other value announces nothing."""


class HandshakeType(enum.IntEnum):
    """What a handshake is (SRT draft-01 §3.2.1, table 4); from 1,000 on, a refusal."""

    WAVEAHAND = 0
    INDUCTION = 1
    DONE = 0xFFFF_FFFD
    AGREEMENT = 0xFFFF_FFFE
    CONCLUSION = 0xFFFF_FFFF


class ExtensionField(enum.IntFlag):
    """Which extensions a conclusion has (SRT draft-01 §3.2.1, table 3)."""

    HSREQ = 1
    KMREQ = 2
    CONFIG = 4


@attrs.frozen(kw_only=True)
class Handshake:
    """One handshake's information field."""

    version: int
    """5; 4 in a caller's induction."""
    encryption: int = 0
    """The announced key length, as in `KEY_LENGTHS`; 0: none."""
    extension: int = 0
    """An `ExtensionField`, `HANDSHAKE_MAGIC`, or 2 in a caller's induction."""
    initial_sequence: int
    """Of the first data packet that the sender sends, 31 bits."""
    mss: int
    """Octets of an IP datagram."""
    flow_window: int
    """Packets that may be on their way to the sender of this handshake."""
    type: int
    """A `HandshakeType`, or a refusal."""
    socket_id: int
    """The sender's."""
    cookie: int
    """32 bits."""
    peer_address: bytes = bytes(16)
    """The address of the receiver as the sender sees it, as on the wire."""
    extensions: bytes = b""
    """What follows, still encoded; whole words."""

    @property
    def key_length(self) -> int:
        """The octets of key that are announced, or 0."""
        return KEY_LENGTHS.get(self.encryption, 0)


def decode_handshake(field: bytes) -> Handshake:
    """Read a handshake's information field.

    Raises:
        ProtocolError: Code ``truncated`` or ``malformed``.
    """
    size = len(field)
    if size < CIF_HEADER_SIZE:
        raise ProtocolError(
            f"a handshake of {size} octets", code="truncated", source=_SOURCE
        )
    if size % 4:
        raise ProtocolError("a handshake is not made of words", source=_SOURCE)
    fields = _HEADER.unpack_from(field)
    if fields[3] > MAX_SEQUENCE_NUMBER:
        raise ProtocolError("the sequence number has 32 bits", source=_SOURCE)
    return Handshake(
        version=fields[0],
        encryption=fields[1],
        extension=fields[2],
        initial_sequence=fields[3],
        mss=fields[4],
        flow_window=fields[5],
        type=fields[6],
        socket_id=fields[7],
        cookie=fields[8],
        peer_address=fields[9],
        extensions=field[CIF_HEADER_SIZE:],
    )


def encode_handshake(handshake: Handshake) -> bytes:
    """Write a handshake's information field."""
    return (
        _HEADER.pack(
            handshake.version,
            handshake.encryption,
            handshake.extension,
            handshake.initial_sequence,
            handshake.mss,
            handshake.flow_window,
            handshake.type,
            handshake.socket_id,
            handshake.cookie,
            handshake.peer_address,
        )
        + handshake.extensions
    )


def encode_address(host: str) -> bytes:
    """Write an address as handshakes carry it; zeros for what is no address.

    The octets of each word stand in reverse, which no document says and every libsrt
    does; see the captures in tests/data/srt.
    """
    try:
        packed = ipaddress.ip_address(host.partition("%")[0]).packed
    except ValueError:
        packed = b""
    padded = packed.ljust(16, b"\0")
    return b"".join(padded[at : at + 4][::-1] for at in range(0, 16, 4))
