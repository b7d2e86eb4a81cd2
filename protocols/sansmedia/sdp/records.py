"""What the attributes of SDP say, as values."""

from __future__ import annotations

import enum

import attrs

__all__ = [
    "Attribute",
    "Bandwidth",
    "Direction",
    "ExtMap",
    "Fingerprint",
    "Group",
    "Msid",
    "MsidSemantic",
    "Origin",
    "PayloadFormat",
    "Rid",
    "RidReference",
    "Setup",
    "Simulcast",
    "Source",
    "SourceGroup",
    "Timing",
]


class Direction(enum.Enum):
    """Who sends, from the view of who wrote the description. Source: RFC 8866 §6.7."""

    SENDRECV = "sendrecv"
    SENDONLY = "sendonly"
    RECVONLY = "recvonly"
    INACTIVE = "inactive"

    @property
    def sends(self) -> bool:
        """Whether the writer sends."""
        return self in (Direction.SENDRECV, Direction.SENDONLY)

    @property
    def receives(self) -> bool:
        """Whether the writer receives."""
        return self in (Direction.SENDRECV, Direction.RECVONLY)

    @property
    def reversed(self) -> Direction:
        """The same from the other side's view."""
        return _REVERSED.get(self, self)


_REVERSED = {
    Direction.SENDONLY: Direction.RECVONLY,
    Direction.RECVONLY: Direction.SENDONLY,
}


class Setup(enum.Enum):
    """Who opens the DTLS connection. Source: RFC 4145 §4; RFC 8842 §5."""

    ACTPASS = "actpass"
    ACTIVE = "active"
    """The writer is the DTLS client."""
    PASSIVE = "passive"
    HOLDCONN = "holdconn"


@attrs.frozen
class Attribute:
    """An ``a=`` line that has no field of its own."""

    name: str
    value: str | None = None
    """None for a property attribute (``a=name``)."""


@attrs.frozen
class Origin:
    """The ``o=`` line. Source: RFC 8866 §5.2."""

    username: str = "-"
    session_id: str = "0"
    session_version: str = "0"
    network_type: str = "IN"
    address_type: str = "IP4"
    address: str = "127.0.0.1"


@attrs.frozen
class Bandwidth:
    """A ``b=`` line. Source: RFC 8866 §5.8."""

    kind: str
    """``AS`` (kbit/s), ``TIAS`` (bit/s), ``CT``, or another."""
    value: int


@attrs.frozen
class Timing:
    """A ``t=`` line and the ``r=`` lines below it. Source: RFC 8866 §5.9, §5.10."""

    start: int = 0
    """Seconds since 1900, 0 for none."""
    stop: int = 0
    repeats: tuple[str, ...] = ()


@attrs.frozen
class Fingerprint:
    """Digest of a certificate. Source: RFC 8122 §5."""

    algorithm: str
    """In lower case, ``sha-256`` for one."""
    digest: str
    """Pairs of hex digits in upper case with colons between."""


@attrs.frozen
class Group:
    """A grouping of sections, ``BUNDLE`` for one. Source: RFC 5888 §5; RFC 9143 §7."""

    semantics: str
    mids: tuple[str, ...]


@attrs.frozen
class MsidSemantic:
    """``a=msid-semantic``, which browsers still write."""

    semantic: str
    identifiers: tuple[str, ...] = ()


@attrs.frozen
class Msid:
    """Which track of which MediaStream a section is. Source: RFC 8830 §2."""

    stream: str
    """``-`` for none."""
    track: str = ""


@attrs.frozen
class ExtMap:
    """A header extension and its number. Source: RFC 8285 §5."""

    id: int
    """1 to 14 fit one-byte headers, up to 255 two-byte headers."""
    uri: str
    direction: Direction | None = None
    attributes: str = ""


@attrs.frozen(kw_only=True)
class PayloadFormat:
    """One RTP payload type with its ``rtpmap``, ``fmtp`` and ``rtcp-fb`` lines.

    Source: RFC 8866 §6.6, §6.15; RFC 4585 §4.2.
    """

    payload_type: int
    encoding: str = ""
    """Name as written (``H264``, ``opus``, ``rtx``); empty if nothing says it."""
    clock_rate: int = 0
    channels: int = 1
    fmtp: str = ""
    """Parameters as written; several ``fmtp`` lines are joined by semicolons."""
    feedback: tuple[str, ...] = ()
    """``nack``, ``nack pli``, ``ccm fir``, ``transport-cc``, ..."""

    @property
    def parameters(self) -> dict[str, str]:
        """The ``fmtp`` as names (lower case) and values; the first of a name counts."""
        found: dict[str, str] = {}
        for part in self.fmtp.split(";"):
            name, separator, value = part.partition("=")
            if name.strip():
                found.setdefault(
                    name.strip().lower(), value.strip() if separator else ""
                )
        return found

    @property
    def associated_payload_type(self) -> int | None:
        """What an ``rtx`` format repeats (``apt``). Source: RFC 4588 §8.1."""
        text = self.parameters.get("apt", "")
        if len(text) <= 3 and text.isascii() and text.isdigit():
            return int(text)
        return None


@attrs.frozen
class Source:
    """The ``ssrc`` lines of one SSRC. Source: RFC 5576 §4.1."""

    ssrc: int
    attributes: tuple[Attribute, ...] = ()

    def value(self, name: str) -> str | None:
        """Return the first value of an attribute (``cname``, ``msid``), or None."""
        for attribute in self.attributes:
            if attribute.name == name:
                return attribute.value
        return None


@attrs.frozen
class SourceGroup:
    """SSRCs that belong together. Source: RFC 5576 §4.2."""

    semantics: str
    """``FID``: a stream and its retransmission; ``SIM``: layers; ``FEC-FR``."""
    ssrcs: tuple[int, ...]


@attrs.frozen
class Rid:
    """A restriction identifier, one simulcast layer mostly. Source: RFC 8851 §4."""

    id: str
    direction: str
    """``send`` or ``recv``, from the view of the writer."""
    payload_types: tuple[int, ...] = ()
    """Empty: any of the section."""
    restrictions: tuple[tuple[str, str], ...] = ()
    """``max-width`` and the like, as written."""


@attrs.frozen
class RidReference:
    """A rid in a simulcast list."""

    id: str
    paused: bool = False


@attrs.frozen
class Simulcast:
    """Streams to send and to receive, each with its alternatives.

    Source: RFC 8853 §5.1.
    """

    send: tuple[tuple[RidReference, ...], ...] = ()
    recv: tuple[tuple[RidReference, ...], ...] = ()
