"""Protect what we send."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final

from sansmedia.rtp import header_size
from sansmedia.sansio import ProtocolError, UsageError

from .ciphers import make_cipher
from .profiles import ProtectionProfile, derive_session_keys
from .replay import ReplayWindow

__all__ = ["SrtpSender"]

_SEQUENCE_AND_SSRC: Final = struct.Struct(">2xH4xI")
_SSRC: Final = struct.Struct(">4xI")
_LAST_INDEX: Final = (1 << 48) - 1
_LAST_RTCP_INDEX: Final = (1 << 31) - 1
_WINDOW: Final = 64


class SrtpSender:
    """Protects RTP and RTCP packets under one master key.

    A key never protects two packets under one index of one source: whoever sees both
    learns their difference, and with AES-GCM forges from then on. So each index is
    taken once, and `UsageError` is raised for the second time.

    Args:
        profile: What protects them.
        key: The master key of this direction.
        salt: The master salt of this direction.

    Raises:
        UsageError: Key or salt have the wrong size.

    Source: RFC 3711 §3.3, RFC 3711 §3.4, RFC 3711 §9.1, RFC 7714 §8.
    """

    __slots__ = ("_indexes", "_rtcp", "_rtcp_index", "_rtp", "profile")

    def __init__(self, profile: ProtectionProfile, key: bytes, salt: bytes) -> None:
        rtp_keys, rtcp_keys = derive_session_keys(profile, key, salt)
        self._rtp = make_cipher(profile, rtp_keys)
        self._rtcp = make_cipher(profile, rtcp_keys)
        # Sources of our own: they are few, and forgetting one could repeat an index.
        self._indexes: dict[int, ReplayWindow] = {}
        self._rtcp_index = 0
        self.profile = profile
        """What protects the packets."""

    def protect_rtp(self, packet: bytes) -> bytes:
        """Protect a whole packet; the rollover counter follows its sequence numbers.

        They may be out of order, by less than 64.

        Raises:
            UsageError: It is no RTP packet, its index was used or is too old, or the
                key has protected all it may.
        """
        try:
            size = header_size(packet)
        except ProtocolError as error:
            raise UsageError(f"no RTP packet: {error.reason}") from None
        sequence, ssrc = _SEQUENCE_AND_SSRC.unpack_from(packet)
        window = self._indexes.get(ssrc)
        if window is None:
            index = sequence
            self._indexes[ssrc] = ReplayWindow(_WINDOW, index)
        else:
            index = window.new_index(sequence)
            if index < 0:
                raise _used(ssrc, sequence)
            self._check_last(index)
            window.add(index)
        return self._rtp.seal_run(ssrc, index, ((packet[:size], packet[size:]),))[0]

    def seal(self, header: bytes, payload: bytes, index: int) -> bytes:
        """Protect one packet under an index that the caller counts.

        Args:
            header: The whole RTP header.
            payload: What follows it.
            index: Above all before of this source; its low 16 bits are the header's
                sequence number.

        Raises:
            UsageError: The index is not above, or is not the header's.
        """
        return self.seal_run(((header, payload),), index)[0]

    def seal_run(self, run: Sequence[tuple[bytes, bytes]], index: int) -> list[bytes]:
        """Protect packets of one source with consecutive indexes.

        Hot path of a viewer: 0.85 µs a packet of 1,200 octets with AES-GCM, 2.0 µs
        with AES-CM; through `protect_rtp` it is 1.8 and 3.0 µs.

        Args:
            run: Header and payload of each; one source, consecutive numbers.
            index: Of the first, above all before of this source.

        Raises:
            UsageError: The index is not above, or is not the first header's.
        """
        if not run:
            return []
        sequence, ssrc = _numbers(run[0][0])
        if sequence != index & 0xFFFF:
            raise UsageError(f"sequence number {sequence} under index {index}")
        count = len(run)
        self._check_last(index + count - 1)
        window = self._indexes.get(ssrc)
        if window is None:
            window = self._indexes[ssrc] = ReplayWindow(_WINDOW, index)
            if count > 1:
                window.add_run(index + 1, count - 1)
        elif index > window.highest:
            window.add_run(index, count)
        else:
            raise _used(ssrc, index)
        return self._rtp.seal_run(ssrc, index, run)

    def seal_again(self, header: bytes, payload: bytes, index: int) -> bytes:
        """Make the octets of a packet that was sent before, to send it again.

        Only for the very same packet, header and payload, octet for octet: what was
        protected is not kept, so nothing can check it.

        Raises:
            UsageError: Nothing was sent under that index.
        """
        sequence, ssrc = _numbers(header)
        window = self._indexes.get(ssrc)
        if sequence != index & 0xFFFF or window is None or index > window.highest:
            raise UsageError(f"nothing was sent under index {index} of {ssrc:#010x}")
        return self._rtp.seal_run(ssrc, index, ((header, payload),))[0]

    def protect_rtcp(self, packet: bytes) -> bytes:
        """Protect a compound packet.

        Raises:
            UsageError: It has no header, or the key has protected all it may.

        Source: RFC 3711 §3.4.
        """
        if len(packet) < 8:
            raise UsageError("an RTCP packet has 8 octets at the least")
        index = self._rtcp_index
        if index > _LAST_RTCP_INDEX:
            raise UsageError("2**31 RTCP packets under one key")
        self._rtcp_index += 1
        (ssrc,) = _SSRC.unpack_from(packet)
        return self._rtcp.seal_rtcp(packet, ssrc, index)

    def _check_last(self, index: int) -> None:
        if index > _LAST_INDEX:
            raise UsageError("2**48 RTP packets under one key")


def _numbers(header: bytes) -> tuple[int, int]:
    try:
        sequence, ssrc = _SEQUENCE_AND_SSRC.unpack_from(header)
    except struct.error:
        raise UsageError("no RTP header") from None
    return sequence, ssrc


def _used(ssrc: int, index: int) -> UsageError:
    return UsageError(f"index {index} of {ssrc:#010x} was used before")
