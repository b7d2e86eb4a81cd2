"""A session description as a value.

Source: RFC 8866 §5; RFC 9429 §5.
"""

from __future__ import annotations

import attrs

from sansmedia.sansio import ProtocolError

from .records import (
    Attribute,
    Bandwidth,
    Direction,
    ExtMap,
    Fingerprint,
    Group,
    Msid,
    MsidSemantic,
    Origin,
    PayloadFormat,
    Rid,
    Setup,
    Simulcast,
    Source,
    SourceGroup,
    Timing,
)

__all__ = ["MediaDescription", "SessionDescription", "Transport"]


@attrs.frozen(kw_only=True)
class Description:
    """What can stand in a session's head and in a section alike."""

    information: str | None = None
    """``i=``."""
    connections: tuple[str, ...] = ()
    """``c=`` lines as written (``IN IP4 0.0.0.0``)."""
    bandwidths: tuple[Bandwidth, ...] = ()
    key: str | None = None
    """``k=``, obsolete."""
    direction: Direction | None = None
    """None if it is not said."""
    ice_ufrag: str | None = None
    ice_pwd: str | None = None
    ice_options: tuple[str, ...] = ()
    ice_lite: bool = False
    fingerprints: tuple[Fingerprint, ...] = ()
    setup: Setup | None = None
    extmaps: tuple[ExtMap, ...] = ()
    extmap_allow_mixed: bool = False
    candidates: tuple[str, ...] = ()
    """Text behind ``candidate:``, as written."""
    end_of_candidates: bool = False
    others: tuple[Attribute, ...] = ()
    """Every attribute without a field, in order."""


@attrs.frozen(kw_only=True)
class MediaDescription(Description):
    """A section: an ``m=`` line and what follows it. Source: RFC 8866 §5.14."""

    kind: str
    """``audio``, ``video``, ``application``, ..."""
    port: int = 9
    """0: rejected, or bundle-only."""
    port_count: int = 1
    protocol: str = "UDP/TLS/RTP/SAVPF"
    payloads: tuple[PayloadFormat, ...] = ()
    """Of RTP sections, in the order of the ``m=`` line."""
    formats: tuple[str, ...] = ()
    """Of other sections (``webrtc-datachannel``)."""
    mid: str | None = None
    bundle_only: bool = False
    msids: tuple[Msid, ...] = ()
    rtcp: str | None = None
    """``a=rtcp`` as written."""
    rtcp_mux: bool = False
    rtcp_mux_only: bool = False
    rtcp_rsize: bool = False
    feedback: tuple[str, ...] = ()
    """``rtcp-fb:*``, which is said of every format."""
    rids: tuple[Rid, ...] = ()
    simulcast: Simulcast | None = None
    sources: tuple[Source, ...] = ()
    source_groups: tuple[SourceGroup, ...] = ()
    ptime: float | None = None
    """Milliseconds."""
    maxptime: float | None = None
    """Milliseconds."""
    framerate: float | None = None

    @property
    def is_rtp(self) -> bool:
        """Whether formats are RTP payload types."""
        return "RTP/" in self.protocol

    @property
    def is_rejected(self) -> bool:
        """Whether port 0 says no. Source: RFC 3264 §6; RFC 9143 §6."""
        return self.port == 0 and not self.bundle_only

    def payload(self, payload_type: int) -> PayloadFormat | None:
        """Return a format by its payload type."""
        for payload in self.payloads:
            if payload.payload_type == payload_type:
                return payload
        return None


@attrs.frozen(kw_only=True)
class Transport:
    """What ICE and DTLS need to know of one side."""

    ice_ufrag: str
    ice_pwd: str
    ice_options: tuple[str, ...] = ()
    ice_lite: bool = False
    fingerprints: tuple[Fingerprint, ...] = ()
    setup: Setup | None = None
    """None if it is not said."""
    candidates: tuple[str, ...] = ()
    end_of_candidates: bool = False


@attrs.frozen(kw_only=True)
class SessionDescription(Description):
    """A whole description."""

    origin: Origin = attrs.field(factory=Origin)
    name: str = "-"
    uri: str | None = None
    emails: tuple[str, ...] = ()
    phones: tuple[str, ...] = ()
    timings: tuple[Timing, ...] = (Timing(),)
    zones: str | None = None
    """``z=`` as written."""
    groups: tuple[Group, ...] = ()
    msid_semantics: tuple[MsidSemantic, ...] = ()
    media: tuple[MediaDescription, ...] = ()

    @property
    def bundle(self) -> tuple[str, ...]:
        """The mids of the first BUNDLE group; empty if there is none."""
        for group in self.groups:
            if group.semantics == "BUNDLE":
                return group.mids
        return ()

    def media_of(self, mid: str) -> MediaDescription | None:
        """Return the section of a mid."""
        for media in self.media:
            if media.mid == mid:
                return media
        return None

    def direction_of(self, media: MediaDescription) -> Direction:
        """Return a section's direction. Source: RFC 8866 §6.7."""
        return media.direction or self.direction or Direction.SENDRECV

    def transport_of(self, media: MediaDescription) -> Transport:
        """Return what a section's transport is: its own words, else the session's.

        A section of a BUNDLE group that says nothing, as a bundle-only one, has what
        the group's first section says.

        Raises:
            ProtocolError: ``incomplete`` if ICE credentials or a fingerprint are
                missing.

        Source: RFC 8839 §5.4; RFC 9143 §7.1.3; RFC 8842 §5.
        """
        tagged = self._tagged(media)
        levels: tuple[Description, ...] = (media, self, tagged)
        credentials = next((d for d in levels if d.ice_ufrag and d.ice_pwd), None)
        if credentials is None or not credentials.ice_ufrag or not credentials.ice_pwd:
            raise ProtocolError(
                f"{self._called(media)} has no ICE credentials",
                code="incomplete",
                source="RFC 8839 §5.4",
            )
        fingerprints = next((d.fingerprints for d in levels if d.fingerprints), ())
        if not fingerprints:
            raise ProtocolError(
                f"{self._called(media)} has no certificate fingerprint",
                code="incomplete",
                source="RFC 8122 §5",
            )
        with_candidates = next((d for d in (media, tagged) if d.candidates), media)
        return Transport(
            ice_ufrag=credentials.ice_ufrag,
            ice_pwd=credentials.ice_pwd,
            ice_options=next((d.ice_options for d in levels if d.ice_options), ()),
            ice_lite=any(d.ice_lite for d in levels),
            fingerprints=fingerprints,
            setup=next((d.setup for d in levels if d.setup), None),
            candidates=(*self.candidates, *with_candidates.candidates),
            end_of_candidates=any(d.end_of_candidates for d in levels),
        )

    def _tagged(self, media: MediaDescription) -> MediaDescription:
        bundle = self.bundle
        if media.mid is None or media.mid not in bundle:
            return media
        return self.media_of(bundle[0]) or media

    def _called(self, media: MediaDescription) -> str:
        index = next((n for n, one in enumerate(self.media) if one is media), None)
        return f"section {media.kind!r}" if index is None else f"section {index}"
