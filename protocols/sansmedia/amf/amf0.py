"""AMF0: what RTMP commands and FLV script data are written in.

Source: "Action Message Format -- AMF 0" (Adobe, 2006), cited as AMF0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from sansmedia.sansio import ProtocolError, Reader, UsageError, Writer

from . import amf3
from .limits import ENCODE_DEPTH, Allowance, Limits
from .values import (
    Date,
    EcmaArray,
    Encodable,
    TypedObject,
    Undefined,
    Unsupported,
    Value,
    XmlDocument,
)

__all__ = ["decode_value", "decode_values", "encode_values"]

# AMF0 §2.1
_NUMBER: Final = 0x00
_BOOLEAN: Final = 0x01
_STRING: Final = 0x02
_OBJECT: Final = 0x03
_NULL: Final = 0x05
_UNDEFINED: Final = 0x06
_REFERENCE: Final = 0x07
_ECMA_ARRAY: Final = 0x08
_OBJECT_END: Final = 0x09
_STRICT_ARRAY: Final = 0x0A
_DATE: Final = 0x0B
_LONG_STRING: Final = 0x0C
_UNSUPPORTED: Final = 0x0D
_XML_DOCUMENT: Final = 0x0F
_TYPED_OBJECT: Final = 0x10
_AVMPLUS_OBJECT: Final = 0x11

_END: Final = b"\x00\x00\x09"
_LIMITS: Final = Limits()
_SOURCE: Final = "AMF0"


def decode_values(data: bytes, limits: Limits = _LIMITS) -> list[Value]:
    """Decode all values of a message.

    References reach back over the whole message, and so do the tables of the AMF3
    values in it (marker 0x11), which come out as `amf3` decodes them.

    An object or ECMA array that the input ends in, at the border of a member, counts
    as ended. AMF0 §2.10 draws ECMA arrays without an end marker, and programs wrote
    them so (lal until 2022, q191201771/lal#237); in the middle of a message such an
    array cannot be told from a broken one and is not accepted. An empty name before
    another marker than 09 is a member of that name.

    Args:
        data: The body of an RTMP command or data message, or of an FLV script tag.
        limits: What it may cost.

    Returns:
        The values in order; empty for no data.

    Raises:
        ProtocolError: ``truncated``, ``malformed``, ``unsupported`` (movie clip, record
            set, externalizable class) or ``limit``.

    Source: AMF0 §2, AMF0 §3.1.
    """
    if len(data) > limits.bytes:
        raise ProtocolError("more AMF than the limit", code="limit", source=_SOURCE)
    reader = Reader(data, source=_SOURCE)
    decoder = _Decoder(reader, Allowance(limits))
    values = []
    while reader.remaining:
        values.append(decoder.value(0))
    return values


def decode_value(reader: Reader, limits: Limits = _LIMITS) -> Value:
    """Decode the one value that ``reader`` stands at, and leave the rest.

    As `decode_values`, but references reach back over this value only.
    """
    return _Decoder(reader, Allowance(limits)).value(0)


def encode_values(*values: Encodable) -> bytes:
    """Encode values one after the other.

    A mapping becomes an anonymous object, `EcmaArray` an ECMA array, a sequence a
    strict array, ``int`` a number, a string over 65,535 octets a long string. What only
    AMF3 knows (bytes, vectors, dictionaries, mixed arrays, E4X) goes behind the marker
    0x11. References are never written; lone surrogates become "?".

    Raises:
        UsageError: A name over 65,535 octets, a value of a foreign type, or nesting
            over 100 (a cycle).

    Source: AMF0 §2.
    """
    encoder = _Encoder()
    for value in values:
        encoder.value(value, 0)
    return encoder.writer.getvalue()


class _Decoder:
    """One message: the cursor and the table of its complex values (AMF0 §2.9)."""

    __slots__ = ("_allowance", "_amf3", "_reader", "_table")

    def __init__(self, reader: Reader, allowance: Allowance) -> None:
        self._reader = reader
        self._allowance = allowance
        self._table: list[Value | _Open] = []
        self._amf3: amf3.Decoder | None = None

    def value(self, depth: int) -> Value:
        self._allowance.spend()
        reader = self._reader
        marker = reader.u8()
        if marker == _NUMBER:
            return reader.f64()
        if marker == _STRING:
            return _text(reader.take(reader.u16()))
        if marker == _BOOLEAN:
            return reader.u8() != 0
        if marker == _NULL:
            return None
        if marker in _COMPLEX:
            return self._complex(marker, depth)
        if marker == _REFERENCE:
            return self._referenced(reader.u16(), depth)
        if marker == _UNDEFINED:
            return Undefined()
        if marker == _LONG_STRING:
            return _text(reader.take(reader.u32()))
        if marker == _DATE:
            milliseconds = reader.f64()
            zone = reader.u16()
            return Date(milliseconds, zone - 0x10000 if zone & 0x8000 else zone)
        if marker == _XML_DOCUMENT:
            return XmlDocument(_text(reader.take(reader.u32())))
        if marker == _UNSUPPORTED:
            return Unsupported()
        if marker == _AVMPLUS_OBJECT:
            if self._amf3 is None:
                self._amf3 = amf3.Decoder(reader, self._allowance)
            return self._amf3.value(depth)
        raise ProtocolError(
            f"AMF0 marker 0x{marker:02x} is not one of a value",
            code="unsupported",
            source="AMF0 §2.1",
        )

    def _complex(self, marker: int, depth: int) -> Value:
        inner = self._allowance.enter(depth)
        slot = len(self._table)
        self._table.append(_OPEN)
        value: Value
        if marker == _OBJECT:
            value = self._members(inner)
        elif marker == _ECMA_ARRAY:
            count = self._reader.u32()
            value = EcmaArray(self._members(inner))
            if count != len(value):
                value.declared_count = count
        elif marker == _STRICT_ARRAY:
            count = self._reader.u32()
            if count > self._reader.remaining:
                raise ProtocolError(
                    f"array of {count} values in {self._reader.remaining} octets",
                    code="truncated",
                    source="AMF0 §2.12",
                )
            value = [self.value(inner) for _ in range(count)]
        else:
            name = self._name()
            value = TypedObject(name, self._members(inner))
        self._table[slot] = value
        return value

    def _members(self, depth: int) -> dict[str, Value]:
        reader = self._reader
        members: dict[str, Value] = {}
        while reader.remaining:
            name = self._name()
            if not name:
                if not reader.remaining:
                    break
                if reader.peek_u8() == _OBJECT_END:
                    reader.skip(1)
                    break
            members[name] = self.value(depth)
        return members

    def _name(self) -> str:
        size = self._reader.u16()
        if size > self._allowance.name:
            raise ProtocolError(
                f"name of {size} octets", code="limit", source="AMF0 §2.5"
            )
        return _text(self._reader.take(size))

    def _referenced(self, index: int, depth: int) -> Value:
        if index >= len(self._table):
            raise ProtocolError(
                f"reference to value {index} of {len(self._table)}", source="AMF0 §2.9"
            )
        value = self._table[index]
        if isinstance(value, _Open):
            raise ProtocolError(
                "reference to a value that is still open",
                code="unsupported",
                source="AMF0 §2.9",
            )
        return self._allowance.duplicate(value, depth)


class _Open:
    """Stands in the table for a container whose end has not come yet."""


_OPEN: Final = _Open()
_COMPLEX: Final = frozenset((_OBJECT, _ECMA_ARRAY, _STRICT_ARRAY, _TYPED_OBJECT))


class _Encoder:
    __slots__ = ("_amf3", "writer")

    def __init__(self) -> None:
        self.writer = Writer()
        self._amf3: amf3.Encoder | None = None

    def value(self, value: object, depth: int) -> None:
        writer = self.writer
        if isinstance(value, str):
            self._string(value)
        elif isinstance(value, bool):
            writer.u8(_BOOLEAN).u8(value)
        elif isinstance(value, int | float):
            writer.u8(_NUMBER).f64(_number(value))
        elif value is None:
            writer.u8(_NULL)
        elif isinstance(value, Undefined):
            writer.u8(_UNDEFINED)
        elif isinstance(value, Unsupported):
            writer.u8(_UNSUPPORTED)
        elif isinstance(value, Date):
            writer.u8(_DATE).f64(value.milliseconds).u16(value.time_zone & 0xFFFF)
        elif isinstance(value, XmlDocument):
            text = value.text.encode("utf-8", "replace")
            writer.u8(_XML_DOCUMENT).u32(len(text)).put(text)
        elif isinstance(value, EcmaArray):
            writer.u8(_ECMA_ARRAY).u32(value.count)
            self._members(value, depth)
        elif isinstance(value, Mapping):
            writer.u8(_OBJECT)
            self._members(value, depth)
        elif isinstance(value, TypedObject):
            writer.u8(_TYPED_OBJECT)
            self._name(value.name)
            self._members(value.values, depth)
        elif isinstance(value, Sequence) and not isinstance(value, bytes):
            writer.u8(_STRICT_ARRAY).u32(len(value))
            for item in value:
                self.value(item, _enter(depth))
        else:
            if self._amf3 is None:
                self._amf3 = amf3.Encoder(writer)
            writer.u8(_AVMPLUS_OBJECT)
            self._amf3.value(value, depth)

    def _string(self, value: str) -> None:
        text = value.encode("utf-8", "replace")
        if len(text) > 0xFFFF:
            self.writer.u8(_LONG_STRING).u32(len(text)).put(text)
        else:
            self.writer.u8(_STRING).u16(len(text)).put(text)

    def _name(self, name: str) -> None:
        text = name.encode("utf-8", "replace")
        self.writer.u16(len(text)).put(text)

    def _members(self, members: Mapping[str, object], depth: int) -> None:
        inner = _enter(depth)
        for name, value in members.items():
            self._name(name)
            self.value(value, inner)
        self.writer.put(_END)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _number(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        raise UsageError("an integer beyond the range of a double") from None


def _enter(depth: int) -> int:
    if depth >= ENCODE_DEPTH:
        raise UsageError("values nest without end")
    return depth + 1
