"""The values of AMF: Python's own types, and records for what Python lacks."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias, cast

import attrs

__all__ = [
    "Date",
    "Dictionary",
    "EcmaArray",
    "Encodable",
    "MixedArray",
    "TypedObject",
    "Undefined",
    "Unsupported",
    "Value",
    "Vector",
    "VectorKind",
    "Xml",
    "XmlDocument",
]


@attrs.frozen
class Undefined:
    """The undefined value. Source: AMF0 §2.8, AMF3 §3.2."""


@attrs.frozen
class Unsupported:
    """The mark of a value that its sender could not serialise. Source: AMF0 §2.15."""


@attrs.frozen
class Date:
    """A point in time. Source: AMF0 §2.13, AMF3 §3.10."""

    milliseconds: float
    """Since the start of 1970, UTC."""
    time_zone: int = 0
    """AMF0's signed 16-bit field: reserved, 0 from any sender that obeys."""


@attrs.frozen
class XmlDocument:
    """The text of a legacy XML document. Source: AMF0 §2.17, AMF3 §3.9."""

    text: str


@attrs.frozen
class Xml:
    """The text of an E4X XML value; AMF3 only. Source: AMF3 §3.13."""

    text: str


class EcmaArray(dict[str, "Value"]):
    """A mapping that stands on the wire as an ECMA array. Source: AMF0 §2.10.

    Args:
        values: The pairs, as for ``dict``; encoding judges their types.
        declared_count: The count the peer wrote, where it is not the number of pairs
            (encoders write 0, or count one too many); None writes the true number.
    """

    __slots__ = ("declared_count",)

    def __init__(
        self,
        values: Mapping[str, object] | Iterable[tuple[str, object]] = (),
        *,
        declared_count: int | None = None,
    ) -> None:
        super().__init__(cast("Mapping[str, Value]", values))
        self.declared_count = declared_count

    @property
    def count(self) -> int:
        """The count that stands on the wire."""
        return len(self) if self.declared_count is None else self.declared_count

    def __repr__(self) -> str:
        return f"EcmaArray({super().__repr__()})"


@attrs.frozen
class TypedObject:
    """An object with a class name. Source: AMF0 §2.18, AMF3 §3.12."""

    name: str
    """The class as the sender registered it."""
    values: dict[str, Value]
    """All members, the sealed ones first."""
    sealed: tuple[str, ...] = ()
    """Names of the members that AMF3 lists in the object's traits; AMF0 has none."""
    dynamic: bool = True
    """Whether AMF3 lets members follow that the traits do not list."""


@attrs.frozen
class MixedArray:
    """An AMF3 array that has named members (else: list). Source: AMF3 §3.11."""

    associative: dict[str, Value]
    dense: list[Value]


class VectorKind(enum.IntEnum):
    """What a vector holds, by its marker. Source: AMF3 §3.15."""

    INT = 0x0D
    UINT = 0x0E
    DOUBLE = 0x0F
    OBJECT = 0x10


@attrs.frozen
class Vector:
    """An AMF3 vector: all items of one type. Source: AMF3 §3.15."""

    kind: VectorKind
    items: list[Value]
    fixed: bool = False
    """Whether the sender fixed the length."""
    type_name: str = ""
    """Class of the items; only for `VectorKind.OBJECT`, "*" for any."""


@attrs.frozen
class Dictionary:
    """An AMF3 dictionary: keys of any type, so kept as pairs. Source: AMF3 §3.16."""

    entries: list[tuple[Value, Value]]
    weak_keys: bool = False


Value: TypeAlias = (
    "bool | int | float | str | bytes | dict[str, Value] | list[Value]"
    " | Undefined | Unsupported | Date | XmlDocument | Xml | TypedObject"
    " | MixedArray | Vector | Dictionary | None"
)
"""What decoding gives. AMF0 numbers are ``float``; ``int`` and ``bytes`` (a ByteArray)
come from AMF3 only."""

Encodable: TypeAlias = (
    "bool | int | float | str | bytes | Mapping[str, object]"
    " | Sequence[object] | Undefined | Unsupported | Date | XmlDocument | Xml"
    " | TypedObject | MixedArray | Vector | Dictionary | None"
)
"""What encoding takes: every `Value`, and any mapping or sequence of such. What lies
inside is typed loosely (JSON-like data goes in as it is) and judged while encoding."""
