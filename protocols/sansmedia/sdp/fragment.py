"""Trickled ICE candidates: the body of ``application/trickle-ice-sdpfrag``.

Source: RFC 8840 §9.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from sansmedia.sansio import ProtocolError, UsageError

from .attributes_wire import decode_group
from .description import SessionDescription
from .limits import Limits
from .lines_wire import decode_lines
from .records import Attribute, Group
from .section_wire import (
    Section,
    decode_attribute_name,
    decode_ice_attribute,
    decode_media_line,
    decode_mid,
)
from .session_writer import join_lines

__all__ = [
    "Fragment",
    "FragmentSection",
    "decode_fragment",
    "encode_fragment",
    "make_fragment",
]


@attrs.frozen(kw_only=True)
class FragmentPart:
    """What can stand in a fragment's head and in a section alike."""

    ice_ufrag: str | None = None
    ice_pwd: str | None = None
    ice_options: tuple[str, ...] = ()
    ice_lite: bool = False
    candidates: tuple[str, ...] = ()
    """Text behind ``candidate:``, as written."""
    end_of_candidates: bool = False
    others: tuple[Attribute, ...] = ()


@attrs.frozen(kw_only=True)
class FragmentSection(FragmentPart):
    """A section: a pseudo ``m=`` line, or only a mid."""

    kind: str = ""
    """Empty if there was no ``m=`` line."""
    port: int = 9
    protocol: str = "UDP/TLS/RTP/SAVPF"
    formats: tuple[str, ...] = ()
    mid: str | None = None


@attrs.frozen(kw_only=True)
class Fragment(FragmentPart):
    """Candidates and credentials of one side."""

    groups: tuple[Group, ...] = ()
    sections: tuple[FragmentSection, ...] = ()

    @property
    def credentials(self) -> tuple[str | None, str | None]:
        """The first ufrag and the first password: all sections share a transport."""
        parts: tuple[FragmentPart, ...] = (self, *self.sections)
        return (
            next((part.ice_ufrag for part in parts if part.ice_ufrag), None),
            next((part.ice_pwd for part in parts if part.ice_pwd), None),
        )

    @property
    def all_candidates(self) -> tuple[str, ...]:
        """The candidates of the head and of all sections, each once, in order."""
        parts: tuple[FragmentPart, ...] = (self, *self.sections)
        return tuple(dict.fromkeys(one for part in parts for one in part.candidates))

    @property
    def has_ended(self) -> bool:
        """Whether no candidates follow."""
        parts: tuple[FragmentPart, ...] = (self, *self.sections)
        return any(part.end_of_candidates for part in parts)


def decode_fragment(data: str | bytes, limits: Limits | None = None) -> Fragment:
    """Decode a fragment.

    What clients send is taken: credentials in the head, in a section or in both,
    sections without an ``m=`` line or without a mid, candidates in the head, and whole
    descriptions, of which ``v=``, ``o=``, ``s=``, ``t=`` and the like are passed over.

    Raises:
        ProtocolError: ``malformed``, ``limit``, or ``contradiction`` for two
            different credentials.

    Source: RFC 8840 §9.2.
    """
    limits = limits or Limits()
    head = Section()
    sections: list[Section] = []
    groups: list[Group] = []
    current = head
    for letter, value in decode_lines(data, limits):
        if letter == "m":
            current = _begin(sections, decode_media_line(value), limits)
        elif letter == "a":
            name, text = decode_attribute_name(current, value, limits)
            if name == "mid":
                if current is head or (not current.kind and "mid" in current.fields):
                    current = _begin(sections, Section(is_media=True), limits)
                decode_mid(current, text or "")
            elif name == "group" and current is head:
                groups.append(decode_group(text or ""))
            elif not decode_ice_attribute(current, name, text or "", limits):
                current.add("others", Attribute(name, text))
        elif letter not in "vositcb":
            raise ProtocolError(f"line {letter}= in a fragment", source="RFC 8840 §9.2")
    fragment = Fragment(
        groups=tuple(groups),
        sections=tuple(_section(section) for section in sections),
        **head.ice_fields(),
    )
    _require_one_transport(fragment)
    return fragment


def _begin(sections: list[Section], section: Section, limits: Limits) -> Section:
    if len(sections) >= limits.media_sections:
        raise ProtocolError(f"more than {limits.media_sections} sections", code="limit")
    sections.append(section)
    return section


def _section(section: Section) -> FragmentSection:
    line = {}
    if section.kind:
        formats = section.fields.get("formats") or map(str, section.payload_types)
        line = {
            "kind": section.kind,
            "port": section.fields["port"],
            "protocol": section.fields["protocol"],
            "formats": tuple(formats),
        }
    return FragmentSection(
        mid=section.fields.get("mid"), **line, **section.ice_fields()
    )


def _require_one_transport(fragment: Fragment) -> None:
    parts: tuple[FragmentPart, ...] = (fragment, *fragment.sections)
    for name in ("ice_ufrag", "ice_pwd"):
        if len({getattr(part, name) for part in parts} - {None}) > 1:
            raise ProtocolError(
                f"fragment with two different {name.replace('_', '-')} values",
                code="contradiction",
                source="RFC 8840 §9.2",
            )


def encode_fragment(fragment: Fragment) -> str:
    """Encode a fragment; decoding it gives the same again."""
    lines = [
        f"a=group:{' '.join((group.semantics, *group.mids))}"
        for group in fragment.groups
    ]
    lines += _part_lines(fragment)
    for section in fragment.sections:
        if section.kind:
            words = (
                section.kind,
                str(section.port),
                section.protocol,
                *section.formats,
            )
            lines.append(f"m={' '.join(words)}")
        if section.mid is not None:
            lines.append(f"a=mid:{section.mid}")
        lines += _part_lines(section)
    return join_lines(lines)


def _part_lines(part: FragmentPart) -> list[str]:
    lines = []
    if part.ice_lite:
        lines.append("a=ice-lite")
    if part.ice_options:
        lines.append(f"a=ice-options:{' '.join(part.ice_options)}")
    if part.ice_ufrag is not None:
        lines.append(f"a=ice-ufrag:{part.ice_ufrag}")
    if part.ice_pwd is not None:
        lines.append(f"a=ice-pwd:{part.ice_pwd}")
    lines += [f"a=candidate:{candidate}" for candidate in part.candidates]
    if part.end_of_candidates:
        lines.append("a=end-of-candidates")
    for attribute in part.others:
        value = "" if attribute.value is None else f":{attribute.value}"
        lines.append(f"a={attribute.name}{value}")
    return lines


def make_fragment(
    description: SessionDescription,
    candidates: Sequence[str],
    *,
    end_of_candidates: bool = False,
    credentials: tuple[str, str] | None = None,
) -> Fragment:
    """Make the fragment that tells of candidates for a description of ours.

    As all sections share one transport, it has one section: the first of the BUNDLE
    group, else the first that is not rejected. What the description says of
    ``ice-options`` and ``ice-lite`` is said again.

    Args:
        description: Our offer or answer.
        candidates: Text behind ``candidate:``.
        end_of_candidates: Whether no candidates follow.
        credentials: ufrag and password after an ICE restart; None for those of the
            description.

    Raises:
        UsageError: The description has no section that has not been rejected.

    Source: RFC 8840 §4.4; RFC 9725 §4.3.2.
    """
    media = next((one for one in description.media if not one.is_rejected), None)
    if description.bundle:
        media = description.media_of(description.bundle[0]) or media
    if media is None:
        raise UsageError("a fragment needs a description with a section")
    transport = description.transport_of(media)
    ufrag, pwd = credentials or (transport.ice_ufrag, transport.ice_pwd)
    formats = media.formats or tuple(str(one.payload_type) for one in media.payloads)
    return Fragment(
        groups=tuple(one for one in description.groups if one.semantics == "BUNDLE"),
        ice_options=transport.ice_options,
        ice_lite=transport.ice_lite,
        sections=(
            FragmentSection(
                kind=media.kind,
                port=9,
                protocol=media.protocol,
                formats=formats,
                mid=media.mid,
                ice_ufrag=ufrag,
                ice_pwd=pwd,
                candidates=tuple(candidates),
                end_of_candidates=end_of_candidates,
            ),
        ),
    )
