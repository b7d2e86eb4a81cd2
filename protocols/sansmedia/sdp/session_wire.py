"""Session descriptions from text.

Source: RFC 8866 §5.
"""

from __future__ import annotations

from typing import Any

from sansmedia.sansio import ProtocolError

from .attributes_wire import decode_bandwidth, decode_number
from .description import MediaDescription, SessionDescription
from .limits import Limits
from .lines_wire import decode_lines
from .records import Origin, PayloadFormat, Source, Timing
from .section_wire import Decoder, Section, decode_attribute, decode_media_line, once

__all__ = ["decode_session"]

# Formats that need no rtpmap. RFC 3551 §6.
_STATIC = {
    "audio": {
        0: ("PCMU", 8000, 1),
        3: ("GSM", 8000, 1),
        4: ("G723", 8000, 1),
        5: ("DVI4", 8000, 1),
        6: ("DVI4", 16000, 1),
        7: ("LPC", 8000, 1),
        8: ("PCMA", 8000, 1),
        9: ("G722", 8000, 1),
        10: ("L16", 44100, 2),
        11: ("L16", 44100, 1),
        12: ("QCELP", 8000, 1),
        13: ("CN", 8000, 1),
        14: ("MPA", 90000, 1),
        15: ("G728", 8000, 1),
        16: ("DVI4", 11025, 1),
        17: ("DVI4", 22050, 1),
        18: ("G729", 8000, 1),
    },
    "video": {
        25: ("CelB", 90000, 1),
        26: ("JPEG", 90000, 1),
        28: ("nv", 90000, 1),
        31: ("H261", 90000, 1),
        32: ("MPV", 90000, 1),
        33: ("MP2T", 90000, 1),
        34: ("H263", 90000, 1),
    },
}


def decode_session(
    data: str | bytes, limits: Limits | None = None
) -> SessionDescription:
    """Decode a session description.

    Args:
        data: The text, or its UTF-8 octets.
        limits: What it may cost.

    Raises:
        ProtocolError: ``malformed``; ``limit``; or ``contradiction``: two different
            values of what can be said once, a mid twice, BUNDLE of an unknown mid,
            two meanings of a payload type in one section.
    """
    limits = limits or Limits()
    lines = decode_lines(data, limits)
    if not lines or lines[0] != ("v", "0"):
        raise ProtocolError("description begins without v=0", source="RFC 8866 §5.1")
    head = Section()
    sections: list[Section] = []
    current = head
    for letter, value in lines[1:]:
        if letter == "m":
            if len(sections) >= limits.media_sections:
                raise ProtocolError(
                    f"more than {limits.media_sections} sections", code="limit"
                )
            current = decode_media_line(value)
            sections.append(current)
        elif letter == "a":
            decode_attribute(current, value, limits)
        else:
            decoder = _LINES.get(letter)
            if decoder is None or (current.is_media and letter not in "icbk"):
                raise ProtocolError(f"line {letter}= out of place")
            decoder(current, value)
    session = _session(head, tuple(_media(section) for section in sections))
    _require_consistent(session)
    return session


def _decode_origin(section: Section, value: str) -> None:
    words = value.split()
    if len(words) != 6:
        raise ProtocolError("o= line is malformed", source="RFC 8866 §5.2")
    section.set("origin", Origin(*words), "o= lines")


def _decode_timing(section: Section, value: str) -> None:
    words = value.split()
    if len(words) != 2:
        raise ProtocolError("t= line is malformed", source="RFC 8866 §5.9")
    start, stop = (
        decode_number(word, 9_999_999_999, "t=", "RFC 8866 §5.9") for word in words
    )
    section.add("timings", Timing(start, stop))


def _decode_repeat(section: Section, value: str) -> None:
    timings = section.lists.get("timings")
    if not timings:
        raise ProtocolError("r= line without a t= line", source="RFC 8866 §5.10")
    last = timings[-1]
    timings[-1] = Timing(last.start, last.stop, (*last.repeats, value))


def _each(field: str) -> Decoder:
    return lambda section, value: section.add(field, value)


_LINES: dict[str, Decoder] = {
    "o": _decode_origin,
    # An empty name is written as a blank by some, which is a trailing blank.
    "s": lambda section, value: section.set("name", value or "-", "s= lines"),
    "i": once("information", "i= lines"),
    "u": once("uri", "u= lines"),
    "e": _each("emails"),
    "p": _each("phones"),
    "c": _each("connections"),
    "b": lambda section, value: section.add("bandwidths", decode_bandwidth(value)),
    "t": _decode_timing,
    "r": _decode_repeat,
    "z": once("zones", "z= lines"),
    "k": once("key", "k= lines"),
}


def _payloads(section: Section) -> tuple[PayloadFormat, ...]:
    payloads = []
    static = _STATIC.get(section.kind, {})
    for payload_type in section.payload_types:
        encoding, clock_rate, channels = section.rtpmaps.get(
            payload_type, static.get(payload_type, ("", 0, 1))
        )
        payloads.append(
            PayloadFormat(
                payload_type=payload_type,
                encoding=encoding,
                clock_rate=clock_rate,
                channels=channels,
                fmtp=";".join(filter(None, section.fmtps.get(payload_type, ()))),
                feedback=tuple(section.feedback.get(payload_type, ())),
            )
        )
    return tuple(payloads)


def _tuples(section: Section) -> dict[str, Any]:
    return {field: tuple(values) for field, values in section.lists.items()}


def _media(section: Section) -> MediaDescription:
    fields = section.fields
    rids = fields.pop("rids", {})
    return MediaDescription(
        payloads=_payloads(section),
        rids=tuple(rids.values()),
        sources=tuple(
            Source(ssrc, tuple(attributes))
            for ssrc, attributes in section.sources.items()
        ),
        **fields,
        **_tuples(section),
    )


def _session(head: Section, media: tuple[MediaDescription, ...]) -> SessionDescription:
    if "origin" not in head.fields:
        raise ProtocolError("description without o=", source="RFC 8866 §5.2")
    return SessionDescription(media=media, **head.fields, **_tuples(head))


def _require_consistent(session: SessionDescription) -> None:
    mids = [media.mid for media in session.media if media.mid is not None]
    if len(set(mids)) != len(mids):
        raise ProtocolError(
            "two sections have the same mid",
            code="contradiction",
            source="RFC 5888 §4",
        )
    for group in session.groups:
        if group.semantics == "BUNDLE" and not set(group.mids) <= set(mids):
            raise ProtocolError(
                "BUNDLE names a mid that no section has",
                code="contradiction",
                source="RFC 9143 §7.2",
            )
