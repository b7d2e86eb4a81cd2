"""Descriptors: tag, length, body; and those that say what a stream carries."""

from __future__ import annotations

import enum
from collections.abc import Iterable

import attrs

from sansmedia.sansio import ProtocolError, Reader, UsageError

__all__ = [
    "Descriptor",
    "DescriptorTag",
    "decode_descriptors",
    "encode_descriptors",
    "find_descriptor",
    "language_of",
    "metadata_descriptor",
    "metadata_format",
    "registration",
    "registration_of",
]

MAX_DESCRIPTORS = 64
"""Descriptors looked at in one loop."""


class DescriptorTag(enum.IntEnum):
    """descriptor_tag values that matter here (ISO 13818-1 §2.6.1)."""

    REGISTRATION = 0x05
    ISO_639_LANGUAGE = 0x0A
    METADATA_POINTER = 0x25
    METADATA = 0x26
    METADATA_STD = 0x27
    DVB_AC3 = 0x6A
    DVB_ENHANCED_AC3 = 0x7A
    DVB_AAC = 0x7C
    DVB_EXTENSION = 0x7F
    AV1_VIDEO = 0x80


@attrs.frozen
class Descriptor:
    """One descriptor as it stands in the PMT."""

    tag: int
    """descriptor_tag; often one of `DescriptorTag`."""
    body: bytes
    """What stands behind descriptor_length, up to 255 octets."""


def decode_descriptors(data: bytes) -> tuple[Descriptor, ...]:
    """Return the descriptors of a loop.

    Source: ISO 13818-1 §2.6.1.

    Raises:
        ProtocolError: A descriptor passes the end of the loop, or there are more than
            `MAX_DESCRIPTORS`.
    """
    reader = Reader(data, source="ISO 13818-1 §2.6.1")
    found: list[Descriptor] = []
    while reader.remaining:
        if len(found) >= MAX_DESCRIPTORS:
            raise ProtocolError(
                f"over {MAX_DESCRIPTORS} descriptors",
                code="limit",
                source="ISO 13818-1 §2.6.1",
            )
        tag = reader.u8()
        found.append(Descriptor(tag, reader.take(reader.u8())))
    return tuple(found)


def encode_descriptors(descriptors: Iterable[Descriptor]) -> bytes:
    """Return a loop of descriptors. Source: ISO 13818-1 §2.6.1.

    Raises:
        UsageError: A body has more than 255 octets.
    """
    parts: list[bytes] = []
    for descriptor in descriptors:
        if len(descriptor.body) > 255:
            raise UsageError(f"a descriptor of {len(descriptor.body)} octets")
        parts.append(bytes((descriptor.tag, len(descriptor.body))) + descriptor.body)
    return b"".join(parts)


def find_descriptor(descriptors: Iterable[Descriptor], tag: int) -> bytes | None:
    """Return the body of the first descriptor with this tag."""
    for descriptor in descriptors:
        if descriptor.tag == tag:
            return descriptor.body
    return None


def registration(identifier: bytes) -> Descriptor:
    """Return a registration_descriptor. Source: ISO 13818-1 §2.6.8."""
    return Descriptor(DescriptorTag.REGISTRATION, identifier)


def registration_of(descriptors: Iterable[Descriptor]) -> bytes:
    """Return format_identifier, empty if there is none.

    Source: ISO 13818-1 §2.6.8.
    """
    return (find_descriptor(descriptors, DescriptorTag.REGISTRATION) or b"")[:4]


def language_of(descriptors: Iterable[Descriptor]) -> str:
    """Return ISO_639_language_code, ``"und"`` if there is none.

    Source: ISO 13818-1 §2.6.18.
    """
    code = (find_descriptor(descriptors, DescriptorTag.ISO_639_LANGUAGE) or b"")[:3]
    is_code = len(code) == 3 and code.isalpha() and code.isascii()
    return code.decode("ascii").lower() if is_code else "und"


def metadata_format(descriptors: Iterable[Descriptor]) -> bytes:
    """Return metadata_format_identifier, empty if there is none.

    Source: ISO 13818-1 §2.6.60.
    """
    body = find_descriptor(descriptors, DescriptorTag.METADATA)
    if body is None:
        return b""
    at = 6 if body[:2] == b"\xff\xff" else 2
    return body[at + 1 : at + 5] if body[at : at + 1] == b"\xff" else b""


def metadata_descriptor(application: bytes, identifier: bytes) -> Descriptor:
    """Return a metadata_descriptor for service 0 without decoder configuration.

    Source: ISO 13818-1 §2.6.60.

    Args:
        application: metadata_application_format, its identifier behind it if there is
            one.
        identifier: metadata_format_identifier, 4 octets.
    """
    return Descriptor(
        DescriptorTag.METADATA, application + b"\xff" + identifier + b"\x00\x0f"
    )
