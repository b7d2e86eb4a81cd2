"""AMF3: what ActionScript 3 clients switch to, and E-RTMP's second encoding.

Source: "Action Message Format -- AMF 3" (Adobe, January 2013), cited as AMF3.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Final

import attrs

from sansmedia.sansio import ProtocolError, Reader, UsageError, Writer

from .limits import ENCODE_DEPTH, Allowance, Limits
from .values import (
    Date,
    Dictionary,
    Encodable,
    MixedArray,
    TypedObject,
    Undefined,
    Value,
    Vector,
    VectorKind,
    Xml,
    XmlDocument,
)

__all__ = ["Decoder", "Encoder", "decode_value", "decode_values", "encode_values"]

# AMF3 §3.1
_UNDEFINED: Final = 0x00
_NULL: Final = 0x01
_FALSE: Final = 0x02
_TRUE: Final = 0x03
_INTEGER: Final = 0x04
_DOUBLE: Final = 0x05
_STRING: Final = 0x06
_XML_DOCUMENT: Final = 0x07
_DATE: Final = 0x08
_ARRAY: Final = 0x09
_OBJECT: Final = 0x0A
_XML: Final = 0x0B
_BYTE_ARRAY: Final = 0x0C
_VECTOR_INT: Final = 0x0D
_VECTOR_OBJECT: Final = 0x10
_DICTIONARY: Final = 0x11

_U29_MAX: Final = (1 << 29) - 1
_I29: Final = 1 << 28
_SOURCE: Final = "AMF3"
_LIMITS: Final = Limits()
_ITEM: Final = {
    VectorKind.INT: ("i", 4),
    VectorKind.UINT: ("I", 4),
    VectorKind.DOUBLE: ("d", 8),
}


def decode_values(data: bytes, limits: Limits = _LIMITS) -> list[Value]:
    """Decode all values of ``data``; the reference tables span them all.

    An anonymous object gives a ``dict`` and an array without named members a ``list``;
    integers stay ``int``, a ByteArray is ``bytes``.

    Raises:
        ProtocolError: ``truncated``, ``malformed``, ``unsupported`` (an externalizable
            class, whose form only its program knows) or ``limit``.

    Source: AMF3 §3.
    """
    if len(data) > limits.bytes:
        raise ProtocolError("more AMF than the limit", code="limit", source=_SOURCE)
    reader = Reader(data, source=_SOURCE)
    decoder = Decoder(reader, Allowance(limits))
    values = []
    while reader.remaining:
        values.append(decoder.value(0))
    return values


def decode_value(reader: Reader, limits: Limits = _LIMITS) -> Value:
    """Decode the one value that ``reader`` stands at, with tables of its own."""
    return Decoder(reader, Allowance(limits)).value(0)


def encode_values(*values: Encodable) -> bytes:
    """Encode values one after the other.

    A mapping (an `EcmaArray` too) becomes a dynamic anonymous object, a sequence a
    dense array, an ``int`` of 29 signed bits an integer, any other a double. Strings
    and traits that repeat are written as references, objects never.

    Raises:
        UsageError: `Unsupported` (AMF0 only), a foreign type, a vector's item of the
            wrong type, or nesting over 100 (a cycle).

    Source: AMF3 §3.
    """
    writer = Writer()
    encoder = Encoder(writer)
    for value in values:
        encoder.value(value, 0)
    return writer.getvalue()


@attrs.frozen
class _Traits:
    """What objects of one class have in common. Source: AMF3 §3.12."""

    name: str
    sealed: tuple[str, ...]
    dynamic: bool


class _Open:
    """Stands in the table for a container whose end has not come yet."""


_OPEN: Final = _Open()


class Decoder:
    """The three reference tables of a message over a shared cursor. Source: AMF3 §2.2.

    Args:
        reader: Stands at a value's marker on each call of `value`.
        allowance: What is left of the message's limits.
    """

    __slots__ = ("_allowance", "_objects", "_reader", "_strings", "_traits")

    def __init__(self, reader: Reader, allowance: Allowance) -> None:
        self._reader = reader
        self._allowance = allowance
        self._strings: list[str] = []
        self._objects: list[Value | _Open] = []
        self._traits: list[_Traits] = []

    def value(self, depth: int) -> Value:
        """Decode one value that stands inside ``depth`` containers."""
        self._allowance.spend()
        marker = self._reader.u8()
        if marker == _UNDEFINED:
            return Undefined()
        if marker == _NULL:
            return None
        if marker == _FALSE:
            return False
        if marker == _TRUE:
            return True
        if marker == _INTEGER:
            number = self._u29()
            return number - 2 * _I29 if number & _I29 else number
        if marker == _DOUBLE:
            return self._reader.f64()
        if marker == _STRING:
            return self._string()
        if _XML_DOCUMENT <= marker <= _DICTIONARY:
            return self._object(marker, depth)
        raise ProtocolError(
            f"AMF3 marker 0x{marker:02x} is not one of a value", source="AMF3 §3.1"
        )

    def _object(self, marker: int, depth: int) -> Value:
        header = self._u29()
        if not header & 1:
            return self._referenced(header >> 1, depth)
        header >>= 1
        slot = len(self._objects)
        self._objects.append(_OPEN)
        value: Value
        if marker == _OBJECT:
            value = self._members_by_traits(header, self._allowance.enter(depth))
        elif marker == _ARRAY:
            value = self._array(header, self._allowance.enter(depth))
        elif marker == _BYTE_ARRAY:
            value = self._reader.take(header)
        elif marker == _DATE:
            value = Date(self._reader.f64())
        elif marker == _XML:
            value = Xml(self._reader.take(header).decode("utf-8", "replace"))
        elif marker == _XML_DOCUMENT:
            value = XmlDocument(self._reader.take(header).decode("utf-8", "replace"))
        elif marker == _DICTIONARY:
            value = self._dictionary(header, self._allowance.enter(depth))
        else:
            value = self._vector(VectorKind(marker), header, depth)
        self._objects[slot] = value
        return value

    def _referenced(self, index: int, depth: int) -> Value:
        if index >= len(self._objects):
            raise ProtocolError(
                f"reference to object {index} of {len(self._objects)}",
                source="AMF3 §2.2",
            )
        value = self._objects[index]
        if isinstance(value, _Open):
            raise ProtocolError(
                "reference to an object that is still open",
                code="unsupported",
                source="AMF3 §2.2",
            )
        return self._allowance.duplicate(value, depth)

    def _members_by_traits(self, header: int, depth: int) -> Value:
        traits = self._traits_of(header)
        members: dict[str, Value] = {}
        for name in traits.sealed:
            members[name] = self.value(depth)
        if traits.dynamic:
            members.update(self._named(depth))
        if not traits.name:
            return members
        return TypedObject(traits.name, members, traits.sealed, traits.dynamic)

    def _traits_of(self, header: int) -> _Traits:
        if not header & 1:
            index = header >> 1
            if index >= len(self._traits):
                raise ProtocolError(
                    f"reference to traits {index} of {len(self._traits)}",
                    source="AMF3 §3.12",
                )
            traits = self._traits[index]
            names = sum(map(len, traits.sealed))
            self._allowance.repeat(len(traits.name) + names)
            return traits
        if header & 2:
            raise ProtocolError(
                "an externalizable class has a form of its own",
                code="unsupported",
                source="AMF3 §3.12",
            )
        count = header >> 3
        self._allowance.spend(count)
        name = self._name()
        sealed = tuple(self._name() for _ in range(count))
        traits = _Traits(name, sealed, bool(header & 4))
        self._traits.append(traits)
        return traits

    def _named(self, depth: int) -> dict[str, Value]:
        members: dict[str, Value] = {}
        while name := self._name():
            members[name] = self.value(depth)
        return members

    def _array(self, count: int, depth: int) -> Value:
        associative = self._named(depth)
        if count > self._reader.remaining:
            raise ProtocolError(
                f"array of {count} values in {self._reader.remaining} octets",
                code="truncated",
                source="AMF3 §3.11",
            )
        dense = [self.value(depth) for _ in range(count)]
        return MixedArray(associative, dense) if associative else dense

    def _vector(self, kind: VectorKind, count: int, depth: int) -> Vector:
        reader = self._reader
        fixed = reader.u8() != 0
        if kind is VectorKind.OBJECT:
            inner = self._allowance.enter(depth)
            type_name = self._name()
            self._allowance.spend(count)
            items = [self.value(inner) for _ in range(count)]
            return Vector(kind, items, fixed, type_name)
        self._allowance.enter(depth)
        self._allowance.spend(count)
        code, size = _ITEM[kind]
        numbers = struct.unpack(f">{count}{code}", reader.take(count * size))
        return Vector(kind, list(numbers), fixed)

    def _dictionary(self, count: int, depth: int) -> Dictionary:
        weak_keys = self._reader.u8() != 0
        self._allowance.spend(count)
        entries = [(self.value(depth), self.value(depth)) for _ in range(count)]
        return Dictionary(entries, weak_keys)

    def _string(self, limit: int = _U29_MAX) -> str:
        header = self._u29()
        if header & 1:
            size = header >> 1
            if size > limit:
                raise ProtocolError(
                    f"name of {size} octets", code="limit", source=_SOURCE
                )
            text = self._reader.take(size).decode("utf-8", "replace")
            if text:
                self._strings.append(text)
            return text
        index = header >> 1
        if index >= len(self._strings):
            raise ProtocolError(
                f"reference to string {index} of {len(self._strings)}",
                source="AMF3 §1.3.2",
            )
        text = self._strings[index]
        self._allowance.repeat(len(text))
        return text

    def _name(self) -> str:
        name = self._string(self._allowance.name)
        # A reference may lead to a long string that came as a value.
        if len(name) > self._allowance.name:
            raise ProtocolError(
                f"name of {len(name)} characters", code="limit", source=_SOURCE
            )
        return name

    def _u29(self) -> int:
        # AMF3 §1.3.1: seven bits an octet, but eight of the fourth.
        number = 0
        for _ in range(3):
            octet = self._reader.u8()
            if octet < 0x80:
                return number << 7 | octet
            number = number << 7 | octet & 0x7F
        return number << 8 | self._reader.u8()


class Encoder:
    """Writes values with one message's tables of strings and traits.

    Args:
        writer: Where the values go.
    """

    __slots__ = ("_strings", "_traits", "_writer")

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._strings: dict[str, int] = {}
        self._traits: dict[_Traits, int] = {}

    def value(self, value: object, depth: int) -> None:
        """Append ``value``, which stands inside ``depth`` containers."""
        writer = self._writer
        if isinstance(value, str):
            writer.u8(_STRING)
            self._string(value)
        elif isinstance(value, bool):
            writer.u8(_TRUE if value else _FALSE)
        elif isinstance(value, int | float):
            self._number(value)
        elif value is None:
            writer.u8(_NULL)
        elif isinstance(value, Undefined):
            writer.u8(_UNDEFINED)
        elif isinstance(value, bytes):
            writer.u8(_BYTE_ARRAY)
            self._u29(len(value) << 1 | 1)
            writer.put(value)
        elif isinstance(value, Date):
            writer.u8(_DATE).u8(1).f64(value.milliseconds)
        elif isinstance(value, Xml | XmlDocument):
            text = value.text.encode("utf-8", "replace")
            writer.u8(_XML if isinstance(value, Xml) else _XML_DOCUMENT)
            self._u29(len(text) << 1 | 1)
            writer.put(text)
        else:
            self._container(value, depth)

    def _container(self, value: object, depth: int) -> None:
        if depth >= ENCODE_DEPTH:
            raise UsageError("values nest without end")
        inner = depth + 1
        writer = self._writer
        if isinstance(value, Mapping):
            writer.u8(_OBJECT)
            self._object(_Traits("", (), True), value, inner)
        elif isinstance(value, TypedObject):
            writer.u8(_OBJECT)
            traits = _Traits(value.name, value.sealed, value.dynamic)
            self._object(traits, value.values, inner)
        elif isinstance(value, MixedArray):
            writer.u8(_ARRAY)
            self._u29(len(value.dense) << 1 | 1)
            self._named(value.associative, inner)
            for item in value.dense:
                self.value(item, inner)
        elif isinstance(value, Vector):
            self._vector(value, inner)
        elif isinstance(value, Dictionary):
            writer.u8(_DICTIONARY)
            self._u29(len(value.entries) << 1 | 1)
            writer.u8(value.weak_keys)
            for key, entry in value.entries:
                self.value(key, inner)
                self.value(entry, inner)
        elif isinstance(value, Sequence):
            writer.u8(_ARRAY)
            self._u29(len(value) << 1 | 1)
            self._string("")
            for element in value:
                self.value(element, inner)
        else:
            raise UsageError(f"AMF3 has no form for {type(value).__name__}")

    def _object(
        self, traits: _Traits, members: Mapping[str, object], depth: int
    ) -> None:
        index = self._traits.get(traits)
        if index is not None:
            self._u29(index << 2 | 1)
        else:
            self._traits[traits] = len(self._traits)
            self._u29(len(traits.sealed) << 4 | traits.dynamic << 3 | 3)
            self._string(traits.name)
            for name in traits.sealed:
                self._string(name)
        for name in traits.sealed:
            self.value(members.get(name, Undefined()), depth)
        if traits.dynamic:
            # As a set: a peer may seal thousands of names and add as many.
            sealed = frozenset(traits.sealed)
            rest = {k: v for k, v in members.items() if k not in sealed}
            self._named(rest, depth)

    def _named(self, members: Mapping[str, object], depth: int) -> None:
        for name, value in members.items():
            # The empty name ends the list, so a member cannot bear it.
            if name:
                self._string(name)
                self.value(value, depth)
        self._string("")

    def _vector(self, vector: Vector, depth: int) -> None:
        writer = self._writer
        writer.u8(vector.kind)
        self._u29(len(vector.items) << 1 | 1)
        writer.u8(vector.fixed)
        if vector.kind is VectorKind.OBJECT:
            self._string(vector.type_name)
            for item in vector.items:
                self.value(item, depth)
            return
        code, _ = _ITEM[vector.kind]
        try:
            writer.put(struct.pack(f">{len(vector.items)}{code}", *vector.items))
        except struct.error as error:
            raise UsageError(f"an item is not of the vector's type: {error}") from None

    def _number(self, value: float) -> None:
        if isinstance(value, int) and -_I29 <= value < _I29:
            self._writer.u8(_INTEGER)
            self._u29(value & _U29_MAX)
            return
        try:
            self._writer.u8(_DOUBLE).f64(float(value))
        except OverflowError:
            raise UsageError("an integer beyond the range of a double") from None

    def _string(self, text: str) -> None:
        if not text:
            self._writer.u8(1)
            return
        index = self._strings.get(text)
        if index is not None:
            self._u29(index << 1)
            return
        self._strings[text] = len(self._strings)
        data = text.encode("utf-8", "replace")
        self._u29(len(data) << 1 | 1)
        self._writer.put(data)

    def _u29(self, number: int) -> None:
        if number > _U29_MAX:
            raise UsageError(f"{number} does not fit 29 bits")
        if number < 0x80:
            self._writer.u8(number)
        elif number < 0x4000:
            self._writer.u8(number >> 7 | 0x80).u8(number & 0x7F)
        elif number < 0x200000:
            self._writer.u8(number >> 14 | 0x80).u8(number >> 7 & 0x7F | 0x80)
            self._writer.u8(number & 0x7F)
        else:
            self._writer.u8(number >> 22 | 0x80).u8(number >> 15 & 0x7F | 0x80)
            self._writer.u8(number >> 8 & 0x7F | 0x80).u8(number & 0xFF)
