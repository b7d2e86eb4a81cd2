"""What an offer and its answer have come to."""

from __future__ import annotations

import attrs

from .description import SessionDescription, Transport
from .records import Direction

__all__ = [
    "AnswerPlan",
    "NegotiatedCodec",
    "NegotiatedMedia",
    "NegotiatedSession",
    "RemoteSource",
]


@attrs.frozen(kw_only=True)
class NegotiatedCodec:
    """A format that both sides have."""

    payload_type: int
    encoding: str
    clock_rate: int
    channels: int = 1
    fmtp: str = ""
    """The peer's parameters."""
    local_fmtp: str = ""
    """Ours."""
    feedback: tuple[str, ...] = ()
    rtx_payload_type: int | None = None
    """Where its retransmissions go; None for none."""


@attrs.frozen
class RemoteSource:
    """A stream that the peer has announced by SSRC."""

    ssrc: int
    rtx_ssrc: int | None = None
    cname: str | None = None
    msid: str | None = None


@attrs.frozen(kw_only=True)
class NegotiatedMedia:
    """A section that carries something, or could (`Direction.INACTIVE`)."""

    index: int
    mid: str | None
    """None if the offer had none: then the index tells sections apart."""
    kind: str
    direction: Direction
    """What we do."""
    codecs: tuple[NegotiatedCodec, ...]
    """Best first; the answer's order."""
    red_payload_type: int | None = None
    red_rtx_payload_type: int | None = None
    ulpfec_payload_type: int | None = None
    extensions: dict[str, int] = attrs.field(factory=dict)
    """Header extension ids by URI."""
    rids: tuple[str, ...] = ()
    """Simulcast layers, first as the sender prefers."""
    remote_sources: tuple[RemoteSource, ...] = ()
    simulcast_ssrcs: tuple[int, ...] = ()
    """Layers of an ``ssrc-group:SIM``, from senders without rids."""
    ssrc: int | None = None
    """What we send with, if we send."""
    rtx_ssrc: int | None = None
    rtcp_rsize: bool = False
    extmap_allow_mixed: bool = False

    def codec(self, payload_type: int) -> NegotiatedCodec | None:
        """Return the codec of a payload type, also that of its retransmissions."""
        for codec in self.codecs:
            if payload_type in (codec.payload_type, codec.rtx_payload_type):
                return codec
        return None


@attrs.frozen(kw_only=True)
class NegotiatedSession:
    """The whole result; all media share one transport."""

    media: tuple[NegotiatedMedia, ...]
    rejected: tuple[int, ...] = ()
    """Indices of rejected sections."""
    remote: Transport
    is_dtls_client: bool
    """Whether we open the DTLS connection."""

    @property
    def active(self) -> tuple[NegotiatedMedia, ...]:
        """The sections in which something is sent."""
        return tuple(
            media for media in self.media if media.direction is not Direction.INACTIVE
        )


@attrs.frozen
class AnswerPlan:
    """An answer to send, and what it means."""

    answer: SessionDescription
    session: NegotiatedSession
