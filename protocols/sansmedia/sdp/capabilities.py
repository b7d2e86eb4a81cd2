"""What an endpoint that only sends or only receives can do.

Source: RFC 9429 §5; RFC 9725 §4.4.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

import attrs

from sansmedia.sansio import UsageError

from .records import Direction

__all__ = [
    "MID_EXTENSION",
    "REPAIRED_RID_EXTENSION",
    "RID_EXTENSION",
    "Capabilities",
    "CodecChoice",
    "CodecMatcher",
    "SendSource",
]

MID_EXTENSION = "urn:ietf:params:rtp-hdrext:sdes:mid"
"""Tells a packet's section. Source: RFC 9143 §15.2."""
RID_EXTENSION = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"
"""Tells a packet's simulcast layer. Source: RFC 8852 §3.1."""
REPAIRED_RID_EXTENSION = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id"
"""The same of a retransmission. Source: RFC 8852 §3.2."""


@attrs.frozen
class CodecChoice:
    """A format that we take."""

    score: float = 1.0
    """Higher is preferred; equals stay in the offer's order."""
    fmtp: str | None = None
    """Parameters to answer; None repeats the offer's."""


CodecMatcher: TypeAlias = Callable[
    [str, str, int, int, str], bool | float | CodecChoice
]
"""Judges a format by kind, encoding name, clock rate, channels and ``fmtp``.

False or 0 refuses it; True takes it; a number or a `CodecChoice` ranks it. It is never
asked about ``rtx``, ``red``, ``ulpfec`` and ``flexfec``.
"""


def _one_way(_: object, __: object, value: Direction) -> None:
    if value not in (Direction.SENDONLY, Direction.RECVONLY):
        raise UsageError("an endpoint here sends only or receives only")


def _extensions() -> dict[str, tuple[str, ...]]:
    return {
        "audio": (MID_EXTENSION,),
        "video": (MID_EXTENSION, RID_EXTENSION, REPAIRED_RID_EXTENSION),
    }


def _feedback() -> dict[str, tuple[str, ...]]:
    return {"audio": (), "video": ("nack", "nack pli", "ccm fir")}


@attrs.frozen(kw_only=True)
class Capabilities:
    """What may come out of an offer."""

    direction: Direction = attrs.field(validator=_one_way)
    """What we do: `Direction.RECVONLY` (WHIP server, WHEP client) or
    `Direction.SENDONLY` (WHEP server, WHIP client)."""
    match: CodecMatcher
    kinds: frozenset[str] = frozenset({"audio", "video"})
    """Sections of other kinds are rejected."""
    extensions: Mapping[str, tuple[str, ...]] = attrs.field(factory=_extensions)
    """Header extensions that we understand, by kind."""
    feedback: Mapping[str, tuple[str, ...]] = attrs.field(factory=_feedback)
    """RTCP feedback that we give or act upon, by kind."""
    rtx: bool = True
    """Whether retransmissions go in streams of their own. Source: RFC 4588 §8."""
    redundancy: bool = False
    """Whether ``red`` and ``ulpfec`` are taken. Source: RFC 2198 §5; RFC 5109 §14."""
    simulcast: bool = True
    """Whether layers are received if they are offered."""
    sections_per_kind: int = 1
    """An offer of more is refused. Source: RFC 9725 §4.4.2."""
    partial: bool = False
    """Whether a section without a common codec is rejected alone; else the offer is
    refused. Source: RFC 9725 §4.4.3."""


@attrs.frozen(kw_only=True)
class SendSource:
    """A track that we send: its SSRCs and its names. Source: RFC 8830 §2."""

    kind: str
    ssrc: int
    rtx_ssrc: int | None = None
    """None: no retransmissions."""
    cname: str
    stream: str
    """The MediaStream; all our tracks share one. Source: RFC 9725 §4.4.2."""
    track: str
