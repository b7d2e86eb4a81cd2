"""Take the protection off what a peer sends."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Final

import attrs

from .ciphers import make_cipher
from .limits import Limits
from .profiles import ProtectionProfile, derive_session_keys
from .replay import ReplayWindow

__all__ = ["ReceiverStatistics", "SrtpReceiver"]

_HEADER: Final = struct.Struct(">BxH4xI")
_RTCP_HEADER: Final = struct.Struct(">B3xI")
_U16: Final = struct.Struct(">H")
_U32: Final = struct.Struct(">I")


@attrs.frozen
class ReceiverStatistics:
    """Counters of an `SrtpReceiver`."""

    packets: int
    """RTP packets that were authentic and new."""
    rtcp_packets: int
    """RTCP packets that were authentic and new."""
    malformed: int
    """Cut short or not version 2."""
    unauthentic: int
    """Not protected by the key."""
    replayed: int
    """There before, or older than the replay window."""
    refused: int
    """Of more sources than `Limits.ssrcs`."""
    ssrcs: int
    """Sources that sent RTP packets."""


class SrtpReceiver:
    """Authenticates and decrypts RTP and RTCP packets under one master key.

    A transform: nothing that a peer sends raises. A source costs memory only once a
    packet of it was authentic.

    Args:
        profile: What protects them.
        key: The master key of this direction.
        salt: The master salt of this direction.
        limits: What the peer may cost.

    Raises:
        UsageError: Key or salt have the wrong size.

    Source: RFC 3711 §3.3, RFC 3711 §3.4, RFC 7714 §8.
    """

    __slots__ = (
        "_limits",
        "_malformed",
        "_packets",
        "_refused",
        "_replayed",
        "_rtcp",
        "_rtcp_packets",
        "_rtcp_sources",
        "_rtp",
        "_sources",
        "_unauthentic",
        "profile",
    )

    def __init__(
        self,
        profile: ProtectionProfile,
        key: bytes,
        salt: bytes,
        *,
        limits: Limits | None = None,
    ) -> None:
        rtp_keys, rtcp_keys = derive_session_keys(profile, key, salt)
        self._rtp = make_cipher(profile, rtp_keys)
        self._rtcp = make_cipher(profile, rtcp_keys)
        self._limits = limits or Limits()
        self._sources: dict[int, ReplayWindow] = {}
        self._rtcp_sources: dict[int, ReplayWindow] = {}
        self._packets = 0
        self._rtcp_packets = 0
        self._malformed = 0
        self._unauthentic = 0
        self._replayed = 0
        self._refused = 0
        self.profile = profile
        """What protects the packets."""

    def unprotect_rtp(self, batch: Iterable[bytes]) -> list[bytes | None]:
        """Return each packet in the clear, or None in its place if it is dropped.

        Hot path, per packet of 1,200 octets: 1.7 µs with AES-GCM, 2.9 µs with AES-CM.

        Source: RFC 3711 §3.3.
        """
        sources = self._sources
        cipher = self._rtp
        tag_size = cipher.tag_size
        opened: list[bytes | None] = []
        for packet in batch:
            if len(packet) < 12 + tag_size:
                self._malformed += 1
                opened.append(None)
                continue
            flags, sequence, ssrc = _HEADER.unpack_from(packet)
            size = 12
            if flags != 0x80:
                size = _header_size(packet, flags, tag_size)
                if not size:
                    self._malformed += 1
                    opened.append(None)
                    continue
            window = sources.get(ssrc)
            if window is None:
                opened.append(self._open_stranger(packet, size, ssrc, sequence))
                continue
            index = window.new_index(sequence)
            if index < 0:
                self._replayed += 1
                opened.append(None)
                continue
            plain = cipher.open(packet, size, ssrc, index)
            if plain is None:
                self._unauthentic += 1
            else:
                self._packets += 1
                window.add(index)
            opened.append(plain)
        return opened

    def _open_stranger(
        self, packet: bytes, size: int, ssrc: int, sequence: int
    ) -> bytes | None:
        if len(self._sources) >= self._limits.ssrcs:
            self._refused += 1
            return None
        index = sequence
        plain = self._rtp.open(packet, size, ssrc, index)
        if plain is None and sequence < 0x8000:
            # The sender may have begun just before 65,536 and all of that be lost or
            # late; RFC 3711 §3.3.1 leaves the first rollover counter to signalling.
            index = 0x10000 + sequence
            plain = self._rtp.open(packet, size, ssrc, index)
        if plain is None:
            self._unauthentic += 1
            return None
        self._packets += 1
        self._sources[ssrc] = ReplayWindow(self._limits.replay_window, index)
        return plain

    def unprotect_rtcp(self, packet: bytes) -> bytes | None:
        """Return a compound packet in the clear, or None if it is dropped.

        Source: RFC 3711 §3.4.
        """
        cipher = self._rtcp
        if len(packet) < 8 + cipher.rtcp_overhead:
            self._malformed += 1
            return None
        flags, ssrc = _RTCP_HEADER.unpack_from(packet)
        if flags >> 6 != 2:
            self._malformed += 1
            return None
        place = len(packet) - (4 if self.profile.is_aead else cipher.rtcp_overhead)
        word: int = _U32.unpack_from(packet, place)[0]
        index = word & 0x7FFFFFFF
        window = self._rtcp_sources.get(ssrc)
        if window is None:
            if len(self._rtcp_sources) >= self._limits.ssrcs:
                self._refused += 1
                return None
        elif not window.is_new(index):
            self._replayed += 1
            return None
        plain = cipher.open_rtcp(packet, ssrc, word)
        if plain is None:
            self._unauthentic += 1
            return None
        self._rtcp_packets += 1
        if window is None:
            size = self._limits.rtcp_replay_window
            self._rtcp_sources[ssrc] = ReplayWindow(size, index)
        else:
            window.add(index)
        return plain

    def forget(self, ssrc: int) -> None:
        """Make room: the source has said goodbye.

        Its old packets would be taken for new ones, so forget only what has ended.
        """
        self._sources.pop(ssrc, None)
        self._rtcp_sources.pop(ssrc, None)

    def statistics(self) -> ReceiverStatistics:
        """Return the counters."""
        return ReceiverStatistics(
            packets=self._packets,
            rtcp_packets=self._rtcp_packets,
            malformed=self._malformed,
            unauthentic=self._unauthentic,
            replayed=self._replayed,
            refused=self._refused,
            ssrcs=len(self._sources),
        )


def _header_size(packet: bytes, flags: int, tag_size: int) -> int:
    """Return the size of the header, 0 if there is none or no room for the tag.

    `sansmedia.rtp.header_size` raises, and that is dear where strangers send.
    """
    if flags >> 6 != 2:
        return 0
    end = len(packet) - tag_size
    size = 12 + 4 * (flags & 0x0F)
    if flags & 0x10:
        if end < size + 4:
            return 0
        words: int = _U16.unpack_from(packet, size + 2)[0]
        size += 4 + 4 * words
    return size if size <= end else 0
