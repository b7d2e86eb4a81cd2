"""Handshake messages out of fragments, whatever became of them on the way.

Version-neutral. A ClientHello of today, with a key of ML-KEM in it, comes in two
datagrams, so this stands before everything else: the hello too is reassembled first.
"""

from __future__ import annotations

import enum
from bisect import bisect_left

import attrs

from sansmedia.sansio import ProtocolError, Reader, Writer

from .constants import HandshakeType
from .limits import Limits

__all__ = [
    "FRAGMENT_HEADER_SIZE",
    "Fragment",
    "Message",
    "Reassembler",
    "Reception",
    "decode_fragment",
    "encode_fragment",
    "encode_message",
]

# RFC 6347 §4.2.2
#    0       1               4               6               9               12
#   +-------+---------------+---------------+---------------+---------------+---
#   | type  | length        | message_seq   | fragment_off. | fragment_len. | body
#   +-------+---------------+---------------+---------------+---------------+---
FRAGMENT_HEADER_SIZE = 12
"""Octets before a fragment's body."""
_SOURCE = "RFC 6347 §4.2.2"


@attrs.frozen
class Fragment:
    """A piece of a handshake message; often the whole of it."""

    type: int
    """A `HandshakeType`, or any other number."""
    length: int
    """Octets of the whole message."""
    sequence: int
    """``message_seq``."""
    offset: int
    body: bytes


@attrs.frozen
class Message:
    """A whole handshake message."""

    type: int
    sequence: int
    body: bytes
    epoch: int
    """Of the records that carried it."""


def decode_fragment(reader: Reader) -> Fragment:
    """Take the next fragment off a record's content.

    Source: RFC 6347 §4.2.2, §4.2.3.

    Raises:
        ProtocolError: It is cut short, or reaches beyond its message.
    """
    kind = reader.u8()
    length = reader.u24()
    sequence = reader.u16()
    offset = reader.u24()
    size = reader.u24()
    if offset + size > length:
        raise ProtocolError("a fragment is outside of its message", source=_SOURCE)
    return Fragment(kind, length, sequence, offset, reader.take(size))


def encode_fragment(fragment: Fragment) -> bytes:
    """Return a fragment's octets."""
    return (
        Writer()
        .u8(fragment.type)
        .u24(fragment.length)
        .u16(fragment.sequence)
        .u24(fragment.offset)
        .u24(len(fragment.body))
        .put(fragment.body)
        .getvalue()
    )


def encode_message(kind: int, sequence: int, body: bytes) -> bytes:
    """Return a message as one fragment: the form that transcripts are made of.

    Source: RFC 6347 §4.2.6.
    """
    return encode_fragment(Fragment(kind, len(body), sequence, 0, body))


class Reception(enum.Enum):
    """What became of a fragment."""

    TAKEN = "taken"
    REPEATED = "repeated"
    """Its message was complete before: the peer sends a flight again."""
    DROPPED = "dropped"
    """Too far ahead, contradictory, or beyond a limit."""


class _Partial:
    """A begun message: its octets and which of them have come."""

    __slots__ = ("body", "epoch", "fragments", "length", "ranges", "type")

    def __init__(self, fragment: Fragment, epoch: int) -> None:
        self.type = fragment.type
        self.length = fragment.length
        self.epoch = epoch
        self.body = bytearray(fragment.length)
        # Disjoint, ascending, never touching one another.
        self.ranges: list[tuple[int, int]] = []
        self.fragments = 0

    @property
    def is_complete(self) -> bool:
        return self.length == 0 or self.ranges == [(0, self.length)]

    def matches(self, fragment: Fragment, epoch: int) -> bool:
        return (self.type, self.length, self.epoch) == (
            fragment.type,
            fragment.length,
            epoch,
        )

    def adds(self, fragment: Fragment) -> bool:
        """Tell whether a fragment has an octet that has not come yet."""
        start, end = fragment.offset, fragment.offset + len(fragment.body)
        if start == end:
            return False
        at = bisect_left(self.ranges, (start + 1,)) - 1
        return at < 0 or self.ranges[at][1] < end

    def add(self, fragment: Fragment) -> None:
        """Take a fragment; it may overlap what has come."""
        start, end = fragment.offset, fragment.offset + len(fragment.body)
        self.body[start:end] = fragment.body
        self.fragments += 1
        first = bisect_left(self.ranges, (start,))
        if first and self.ranges[first - 1][1] >= start:
            first -= 1
        last = first
        while last < len(self.ranges) and self.ranges[last][0] <= end:
            start = min(start, self.ranges[last][0])
            end = max(end, self.ranges[last][1])
            last += 1
        self.ranges[first:last] = [(start, end)]


class Reassembler:
    """Puts messages together and gives them out in the order of ``message_seq``.

    Args:
        limits: Bounds on what is begun.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._partials: dict[int, _Partial] = {}
        self._declared = 0
        self.next_sequence = 0
        """``message_seq`` of the message that is due."""

    @property
    def pending_bytes(self) -> int:
        """Octets that begun messages hold."""
        return self._declared

    def feed(self, fragment: Fragment, epoch: int) -> Reception:
        """Take a fragment of a record that was opened.

        Raises:
            ProtocolError: The message that is due passes a limit.
        """
        if fragment.sequence < self.next_sequence:
            return Reception.REPEATED
        if fragment.sequence >= self.next_sequence + self._limits.early_messages:
            return Reception.DROPPED
        partial = self._partials.get(fragment.sequence)
        if partial is not None and epoch > partial.epoch:
            # What keys vouch for wins over what anybody could have sent.
            self._drop(fragment.sequence)
            partial = None
        if partial is None:
            partial = self._begin(fragment, epoch)
        if partial is None or not partial.matches(fragment, epoch):
            return Reception.DROPPED
        if not partial.adds(fragment):
            return Reception.TAKEN
        if partial.fragments >= self._most_fragments(fragment):
            return self._refuse(fragment, "comes in too many fragments")
        partial.add(fragment)
        return Reception.TAKEN

    def _begin(self, fragment: Fragment, epoch: int) -> _Partial | None:
        is_hello = fragment.type == HandshakeType.CLIENT_HELLO
        limits = self._limits
        if fragment.length > (limits.hello_size if is_hello else limits.message_size):
            self._refuse(fragment, "is too long")
            return None
        if fragment.sequence == self.next_sequence:
            # What is due comes before what is early.
            for sequence in sorted(self._partials, reverse=True):
                if self._declared + fragment.length <= limits.reassembly_bytes:
                    break
                self._drop(sequence)
        if self._declared + fragment.length > limits.reassembly_bytes:
            return None
        self._declared += fragment.length
        partial = self._partials[fragment.sequence] = _Partial(fragment, epoch)
        return partial

    def _most_fragments(self, fragment: Fragment) -> int:
        if fragment.type == HandshakeType.CLIENT_HELLO:
            return self._limits.hello_fragments
        return self._limits.message_fragments

    def _refuse(self, fragment: Fragment, why: str) -> Reception:
        if fragment.sequence == self.next_sequence:
            raise ProtocolError(f"a handshake message {why}", code="limit")
        return Reception.DROPPED

    def _drop(self, sequence: int) -> None:
        partial = self._partials.pop(sequence)
        self._declared -= partial.length

    def next_message(self) -> Message | None:
        """Dequeue the message that is due, once it is whole."""
        partial = self._partials.get(self.next_sequence)
        if partial is None or not partial.is_complete:
            return None
        self._drop(self.next_sequence)
        message = Message(
            partial.type, self.next_sequence, bytes(partial.body), partial.epoch
        )
        self.next_sequence += 1
        return message

    def clear(self) -> None:
        """Drop everything begun."""
        self._partials.clear()
        self._declared = 0
