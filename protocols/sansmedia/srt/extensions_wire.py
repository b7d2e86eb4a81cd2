"""The extensions of a handshake. Source: SRT draft-01 §3.2.1.1 to §3.2.1.4."""

from __future__ import annotations

import enum
import struct
from typing import Final

import attrs

from sansmedia.sansio import ProtocolError, Reader, UsageError

from .handshake_wire import ExtensionField
from .stream_id import MAX_STREAM_ID_SIZE

__all__ = [
    "MAX_CONGESTION_SIZE",
    "MAX_FILTER_SIZE",
    "ExtensionType",
    "Extensions",
    "GroupMembership",
    "SrtFlag",
    "SrtMessage",
    "decode_extensions",
    "encode_extensions",
]

_SOURCE: Final = "SRT draft-01 §3.2.1"
_MESSAGE: Final = struct.Struct(">IIHH")
_GROUP: Final = struct.Struct(">IBBH")

MAX_CONGESTION_SIZE: Final = 16
"""Octets of a congestion controller's name, as libsrt has it."""
MAX_FILTER_SIZE: Final = 512
"""Octets of a packet filter's configuration; libsrt takes 64 itself."""


class ExtensionType(enum.IntEnum):
    """What one block is (SRT draft-01 §3.2.1, table 5)."""

    HSREQ = 1
    HSRSP = 2
    KMREQ = 3
    KMRSP = 4
    SID = 5
    CONGESTION = 6
    FILTER = 7
    GROUP = 8


class SrtFlag(enum.IntFlag):
    """What one side does (SRT draft-01 §3.2.1.1.1, table 6)."""

    TSBPDSND = 0x01
    TSBPDRCV = 0x02
    CRYPT = 0x04
    TLPKTDROP = 0x08
    PERIODICNAK = 0x10
    REXMITFLG = 0x20
    STREAM = 0x40
    PACKET_FILTER = 0x80


@attrs.frozen
class SrtMessage:
    """The extension HSREQ or HSRSP (SRT draft-01 §3.2.1.1)."""

    version: int
    """As in 0x010501."""
    flags: int
    """`SrtFlag` and what the future brings."""
    receive_delay_ms: int
    """The sender's latency as a receiver, milliseconds."""
    send_delay_ms: int
    """What the sender asks of the other side, milliseconds."""


@attrs.frozen
class GroupMembership:
    """The extension GROUP (SRT draft-01 §3.2.1.4)."""

    id: int
    """The sender's group."""
    type: int
    """1 broadcast, 2 main/backup."""
    flags: int = 0
    """1: synchronized by message numbers."""
    weight: int = 0
    """The link's priority in main/backup."""


@attrs.frozen(kw_only=True)
class Extensions:
    """Every block that is understood; None: it did not come."""

    request: SrtMessage | None = None
    """HSREQ."""
    response: SrtMessage | None = None
    """HSRSP."""
    key_request: bytes | None = None
    """KMREQ, still encoded."""
    key_response: bytes | None = None
    """KMRSP, still encoded: what was asked, or one word with a `KeyState`."""
    stream_id: str | None = None
    """SID."""
    congestion: str | None = None
    """CONGESTION: the controller's name."""
    packet_filter: str | None = None
    """FILTER: its configuration."""
    group: GroupMembership | None = None
    """GROUP."""
    skipped: int = 0
    """Blocks that are unknown, came before, or were not announced."""


# In the order in which libsrt writes them.
_NAMES: Final = {
    ExtensionType.HSREQ: "request",
    ExtensionType.HSRSP: "response",
    ExtensionType.SID: "stream_id",
    ExtensionType.CONGESTION: "congestion",
    ExtensionType.FILTER: "packet_filter",
    ExtensionType.GROUP: "group",
    ExtensionType.KMREQ: "key_request",
    ExtensionType.KMRSP: "key_response",
}
_ANNOUNCED_BY: Final = {
    ExtensionType.HSREQ: ExtensionField.HSREQ,
    ExtensionType.HSRSP: ExtensionField.HSREQ,
    ExtensionType.KMREQ: ExtensionField.KMREQ,
    ExtensionType.KMRSP: ExtensionField.KMREQ,
}
_TEXT_SIZES: Final = {
    ExtensionType.SID: MAX_STREAM_ID_SIZE,
    ExtensionType.CONGESTION: MAX_CONGESTION_SIZE,
    ExtensionType.FILTER: MAX_FILTER_SIZE,
}
_KNOWN: Final = {int(kind): kind for kind in ExtensionType}
_MAX_KEY_SIZE: Final = 128


def decode_extensions(data: bytes, announced: int) -> Extensions:
    """Read the blocks behind a handshake.

    Args:
        data: From `Handshake.extensions`.
        announced: The handshake's extension field; blocks that it does not announce
            are skipped and counted, as are unknown ones and the second of a kind.

    Raises:
        ProtocolError: Code ``truncated``, ``malformed``, ``limit`` or ``utf8``.
    """
    reader = Reader(data, source=_SOURCE)
    found: dict[str, object] = {}
    skipped = 0
    while reader.remaining:
        number = reader.u16()
        content = reader.take(4 * reader.u16())
        kind = _KNOWN.get(number)
        if (
            kind is None
            or _NAMES[kind] in found
            or not announced & _ANNOUNCED_BY.get(kind, ExtensionField.CONFIG)
        ):
            skipped += 1
        else:
            found[_NAMES[kind]] = _decode_block(kind, content)
    return Extensions(**found, skipped=skipped)  # type: ignore[arg-type] # by kind


def _decode_block(kind: ExtensionType, content: bytes) -> object:
    if kind in _TEXT_SIZES:
        return _decode_text(content, _TEXT_SIZES[kind])
    if kind is ExtensionType.GROUP:
        if len(content) < _GROUP.size:
            raise ProtocolError("a group is cut short", source="SRT draft-01 §3.2.1.4")
        return GroupMembership(*_GROUP.unpack_from(content))
    if kind in (ExtensionType.KMREQ, ExtensionType.KMRSP):
        if not content or len(content) > _MAX_KEY_SIZE:
            raise ProtocolError(
                f"key material of {len(content)} octets",
                code="limit",
                source="SRT draft-01 §3.2.1.2",
            )
        return content
    if len(content) < _MESSAGE.size:
        raise ProtocolError(
            "a handshake extension is cut short", source="SRT draft-01 §3.2.1.1"
        )
    return SrtMessage(*_MESSAGE.unpack_from(content))


def _decode_text(content: bytes, most: int) -> str:
    """Read text: words that stand in reverse (SRT draft-01 §3.2.1.3)."""
    source = "SRT draft-01 §3.2.1.3"
    if not content or len(content) > most:
        raise ProtocolError(
            f"text of {len(content)} octets", code="limit", source=source
        )
    octets = _swap_words(content).rstrip(b"\0")
    if b"\0" in octets:
        raise ProtocolError("text has a NUL inside", code="utf8", source=source)
    try:
        return octets.decode()
    except UnicodeDecodeError:
        raise ProtocolError("text is no UTF-8", code="utf8", source=source) from None


def _swap_words(octets: bytes) -> bytes:
    return b"".join(octets[at : at + 4][::-1] for at in range(0, len(octets), 4))


def encode_extensions(extensions: Extensions) -> tuple[int, bytes]:
    """Write the blocks; return the extension field that announces them, and them.

    Raises:
        UsageError: A text is too long or empty.
    """
    field = 0
    blocks = []
    for kind, name in _NAMES.items():
        value = getattr(extensions, name)
        if value is not None:
            content = _encode_block(kind, value)
            field |= _ANNOUNCED_BY.get(kind, ExtensionField.CONFIG)
            blocks.append(struct.pack(">HH", kind, len(content) // 4) + content)
    return field, b"".join(blocks)


def _encode_block(kind: ExtensionType, value: object) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, SrtMessage):
        return _MESSAGE.pack(
            value.version, value.flags, value.receive_delay_ms, value.send_delay_ms
        )
    if isinstance(value, GroupMembership):
        return _GROUP.pack(value.id, value.type, value.flags, value.weight)
    octets = str(value).encode()
    if not octets or len(octets) > _TEXT_SIZES[kind] or b"\0" in octets:
        raise UsageError(f"a {_NAMES[kind]} has 1 to {_TEXT_SIZES[kind]} octets")
    return _swap_words(octets.ljust(-(-len(octets) // 4) * 4, b"\0"))
