"""What one peer's AMF may cost."""

from __future__ import annotations

import attrs

from sansmedia.sansio import ProtocolError

from .values import (
    Dictionary,
    EcmaArray,
    MixedArray,
    TypedObject,
    Value,
    Vector,
    Xml,
    XmlDocument,
)

__all__ = ["ENCODE_DEPTH", "Allowance", "Limits"]

ENCODE_DEPTH = 100
"""Nesting beyond which encoding takes the caller's value for a cycle."""


@attrs.frozen
class Limits:
    """Bounds of one decoding; what passes them raises ``ProtocolError("limit")``."""

    depth: int = attrs.field(
        default=32, validator=[attrs.validators.ge(1), attrs.validators.lt(100)]
    )
    """Containers inside one another; below `ENCODE_DEPTH`, so all can be encoded."""
    values: int = 10_000
    """Values in all, with those that references repeat."""
    bytes: int = 1 << 20
    """Octets of input, and as many characters of text that references repeat: each
    would be written in full when the values are encoded again."""
    name: int = attrs.field(default=16_384, validator=attrs.validators.le(21_845))
    """Octets of a member's or class's name. Each bad octet becomes three (U+FFFD), and
    a name must fit 65,535 octets when it is encoded again."""


class Allowance:
    """What is left of the limits while one message is decoded."""

    __slots__ = ("_depth", "_repeats", "_values", "name")

    def __init__(self, limits: Limits) -> None:
        self._depth = limits.depth
        self._values = limits.values
        self._repeats = limits.bytes
        self.name = limits.name

    def spend(self, count: int = 1) -> None:
        """Charge ``count`` values."""
        self._values -= count
        if self._values < 0:
            raise ProtocolError("more AMF values than the limit", code="limit")

    def repeat(self, size: int) -> None:
        """Charge octets or characters that a reference stands for."""
        self._repeats -= size
        if self._repeats < 0:
            raise ProtocolError(
                "AMF references repeat more text than the limit", code="limit"
            )

    def enter(self, depth: int) -> int:
        """Return the depth inside a container that stands at ``depth``."""
        if depth >= self._depth:
            raise ProtocolError("AMF values nest deeper than the limit", code="limit")
        return depth + 1

    def duplicate(self, value: Value, depth: int) -> Value:
        """Return ``value`` again for a reference at ``depth``, charged in full."""
        self.spend()
        if isinstance(value, str | bytes):
            self.repeat(len(value))
            return value
        if isinstance(value, Xml | XmlDocument):
            self.repeat(len(value.text))
            return value
        if isinstance(value, list):
            inner = self.enter(depth)
            return [self.duplicate(item, inner) for item in value]
        if isinstance(value, EcmaArray):
            return EcmaArray(
                self._members(value, depth), declared_count=value.declared_count
            )
        if isinstance(value, dict):
            return self._members(value, depth)
        if isinstance(value, TypedObject):
            self.repeat(len(value.name))
            return attrs.evolve(value, values=self._members(value.values, depth))
        if isinstance(value, MixedArray):
            inner = self.enter(depth)
            dense = [self.duplicate(item, inner) for item in value.dense]
            return MixedArray(self._members(value.associative, depth), dense)
        if isinstance(value, Vector):
            self.repeat(len(value.type_name))
            inner = self.enter(depth)
            items = [self.duplicate(item, inner) for item in value.items]
            return attrs.evolve(value, items=items)
        if isinstance(value, Dictionary):
            inner = self.enter(depth)
            entries = [
                (self.duplicate(key, inner), self.duplicate(entry, inner))
                for key, entry in value.entries
            ]
            return attrs.evolve(value, entries=entries)
        return value

    def _members(self, members: dict[str, Value], depth: int) -> dict[str, Value]:
        inner = self.enter(depth)
        self.repeat(sum(map(len, members)))
        return {name: self.duplicate(value, inner) for name, value in members.items()}
