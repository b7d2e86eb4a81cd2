"""One outgoing RTP stream towards one peer: its SSRC, numbers, times and reports.

Payloads are shared among peers, packets never: each peer has headers and keys of its
own. A stream maps the numbers and timestamps of what it is given (a *source*) to its
own by *segments*: between two beginnings the distance is constant, so that a packet
asked for again is found by its sequence number, and is the same octets.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

import attrs

from sansmedia.sansio import Dice, UsageError, unwrap

__all__ = ["Sealer", "SendCounters", "SendStream", "SendStreamConfig", "SourcePacket"]

_HEADER = struct.Struct(">BBHII")
_VERSION = 0x80
_MARKER = 0x80
_MOST_RESENT = 1_000
"""Packets that are sent again at one time: more than a peer misses that still watches,
and little beside what one NACK may ask for, which is 6,000."""
_SEGMENTS = 8
"""Beginnings that are remembered for NACK."""
_MOST_REMEMBERED = 256
"""Packets sent again that are remembered, to tell who asks for one once more."""


class SourcePacket(Protocol):
    """What a source gives; made once, read by many."""

    number: int
    payload: bytes
    timestamp: int
    marker: bool


class Sealer(Protocol):
    """What protects packets; `sansmedia.srtp.SrtpSender` is one."""

    def seal_run(self, run: Sequence[tuple[bytes, bytes]], index: int) -> list[bytes]:
        """Protect headers and payloads with consecutive indexes, above all before."""
        ...

    def seal_again(self, header: bytes, payload: bytes, index: int) -> bytes:
        """Make the octets of a packet that was sent before."""
        ...

    def protect_rtp(self, packet: bytes) -> bytes:
        """Protect a packet that may be out of order. Raises: UsageError."""
        ...


@attrs.frozen
class SendStreamConfig:
    """What was negotiated for one outgoing stream."""

    ssrc: int
    payload_type: int
    rate: int
    """Ticks a second of its timestamps."""
    rtx_ssrc: int | None = None
    """Of retransmissions (RFC 4588 §4); None repeats packets as they were."""
    rtx_payload_type: int | None = None


@attrs.define
class _Segment:
    """From one beginning to the next."""

    sequence: int
    """Unwrapped sequence number of the first packet."""
    shift: int
    """Sequence number = source number + this."""
    time_shift: int
    """Timestamp = source timestamp + this, after the edge."""
    edge: int
    """Source timestamp up to which time is compressed."""
    speed: int
    """By how much; 1 is not at all."""
    source: object
    """Whose numbers these are."""
    rewrite: Callable[[bytes], bytes] | None = None
    """Makes this peer's payload of the source's, of the same length."""

    def payload(self, packet: SourcePacket) -> bytes:
        return packet.payload if self.rewrite is None else self.rewrite(packet.payload)

    def timestamp(self, source: int) -> int:
        if source >= self.edge:
            return source + self.time_shift
        return self.edge + self.time_shift - (self.edge - source) // self.speed


@attrs.define
class SendCounters:
    """What one stream has sent."""

    packets: int = 0
    octets: int = 0
    """Of payload. Source: RFC 3550 §6.4.1."""
    resent: int = 0
    """Packets sent again because the peer asked."""
    unanswered: int = 0
    """Packets asked for that were gone."""
    refused: int = 0
    """Packets asked for beyond one for each that was sent."""


class SendStream:
    """Makes the packets of one outgoing stream.

    The first sequence number lies below 2^15, so that the peer cannot miss the
    rollover; it sees rollover counter 0. Source: RFC 3711 §3.3.1.

    Args:
        config: What was negotiated.
        sealer: Encrypts, by unwrapped sequence numbers (RFC 3711 §3.3.1).
        dice: Randomness for first numbers.
    """

    def __init__(
        self,
        config: SendStreamConfig,
        *,
        sealer: Sealer,
        dice: Dice,
    ) -> None:
        self.config = config
        self.counters = SendCounters()
        self._sealer = sealer
        self._next = int.from_bytes(dice(2), "big") & 0x7FFF
        self._rtx_next = int.from_bytes(dice(2), "big") & 0x7FFF
        self._first_timestamp = int.from_bytes(dice(4), "big")
        self._last_timestamp: int | None = None
        self._segments: list[_Segment] = []
        self._segment: _Segment | None = None
        self._credit = 0
        self._resent: dict[int, None] = {}
        """Indexes of packets sent again, the oldest first."""

    @property
    def next_sequence(self) -> int:
        """The unwrapped sequence number that comes next."""
        return self._next

    # -- segments ---------------------------------------------------------------------

    def begin(
        self,
        source: object,
        number: int,
        timestamp: int,
        *,
        elapsed: int = 0,
        edge: int | None = None,
        speed: int = 1,
        rewrite: Callable[[bytes], bytes] | None = None,
    ) -> None:
        """Go on with packet ``number`` of a source, without a gap in numbers.

        Args:
            source: Whose numbers and timestamps; identity counts.
            number: Of the first packet.
            timestamp: Of the first packet, in the source's ticks.
            elapsed: Ticks that have passed since the last packet sent.
            edge: Timestamps before this are compressed ``speed``-fold to end there.
            speed: At least 1.
            rewrite: Makes this peer's payload of the source's: picture ids that must
                go on. Pure, so that a packet sent again is the same.
        """
        edge = timestamp if edge is None else max(edge, timestamp)
        lead = (edge - timestamp) // speed
        if self._last_timestamp is None:
            start = self._first_timestamp
        else:
            start = self._last_timestamp + max(1, elapsed - lead)
        # start is where the first packet goes; the edge lies `lead` behind it.
        segment = _Segment(
            self._next,
            self._next - number,
            start + lead - edge,
            edge,
            speed,
            source,
            rewrite,
        )
        if segment.timestamp(timestamp) < start:
            segment.time_shift += start - segment.timestamp(timestamp)
        self._segment = segment
        self._segments.append(segment)
        del self._segments[:-_SEGMENTS]

    def is_at(self, source: object) -> bool:
        """Tell whether the segment at hand is of ``source``."""
        return self._segment is not None and self._segment.source is source

    # -- packets ----------------------------------------------------------------------

    def write(self, packets: Sequence[SourcePacket]) -> list[bytes]:
        """Return the wire form of packets of the source at hand, in order.

        Numbers go on from the last call's; a gap in them is one for the peer too.
        """
        segment = self._segment
        if segment is None or not packets:
            return []
        shift, rewrite = segment.shift, segment.rewrite
        config = self.config
        payload_type, ssrc = config.payload_type, config.ssrc
        marked = payload_type | _MARKER
        edge, time_shift = segment.edge, segment.time_shift
        pack, seal_run = _HEADER.pack, self._sealer.seal_run
        sealed: list[bytes] = []
        run: list[tuple[bytes, bytes]] = []
        octets = timestamp = 0
        start = packets[0].number + shift
        index = start - 1
        for packet in packets:
            if packet.number + shift != index + 1:
                sealed += seal_run(run, start)
                run = []
                start = packet.number + shift
                index = start - 1
            index += 1
            timestamp = packet.timestamp
            if timestamp >= edge:
                timestamp += time_shift
            else:
                timestamp = segment.timestamp(timestamp)
            payload = packet.payload
            if rewrite is not None:
                payload = rewrite(payload)
            header = pack(
                _VERSION,
                marked if packet.marker else payload_type,
                index & 0xFFFF,
                timestamp & 0xFFFFFFFF,
                ssrc,
            )
            run.append((header, payload))
            octets += len(payload)
        sealed = sealed + seal_run(run, start) if sealed else seal_run(run, start)
        self._next = index + 1
        if self._last_timestamp is None or timestamp > self._last_timestamp:
            self._last_timestamp = timestamp
        counters, count = self.counters, len(sealed)
        counters.packets += count
        counters.octets += octets
        if self._credit < _MOST_RESENT:
            self._credit = min(self._credit + count, _MOST_RESENT)
        return sealed

    def write_late(self, packets: Sequence[SourcePacket]) -> list[bytes]:
        """Return packets that fill gaps of what was sent before.

        Those of another segment, or too far behind for SRTP to know whether they were
        sent, are left out.
        """
        segment = self._segment
        if segment is None:
            return []
        sealed: list[bytes] = []
        for packet in packets:
            index = packet.number + segment.shift
            if not segment.sequence <= index < self._next:
                continue
            header = self._header(segment, packet, index)
            try:
                payload = segment.payload(packet)
                sealed.append(self._sealer.protect_rtp(header + payload))
            except UsageError:
                continue
            self.counters.packets += 1
            self.counters.octets += len(packet.payload)
        return sealed

    def _header(self, segment: _Segment, packet: SourcePacket, index: int) -> bytes:
        payload_type = self.config.payload_type
        return _HEADER.pack(
            _VERSION,
            payload_type | _MARKER if packet.marker else payload_type,
            index & 0xFFFF,
            segment.timestamp(packet.timestamp) & 0xFFFFFFFF,
            self.config.ssrc,
        )

    def resend(
        self,
        sequences: Iterable[int],
        find: Callable[[object, int], SourcePacket | None],
    ) -> list[bytes]:
        """Answer a NACK from what the sources still have.

        In the long run a packet is looked for, for each that was sent, and no more: few
        octets can ask for very many.

        Who asks for a packet once more has lost the answer, or waited for one to a lost
        question, and is about to stand still: two copies go then. A browser that only
        receives knows no round trip and asks again after 100 ms.

        Source: RFC 4585 §6.2.1, RFC 4588 §4.

        Args:
            sequences: 16-bit sequence numbers that the peer misses.
            find: Gives a packet by its source and number.
        """
        run: list[bytes] = []
        copies: list[bytes] = []
        for wrapped in sequences:
            if not self._credit:
                self.counters.refused += 1
                continue
            self._credit -= 1
            index = unwrap(wrapped, self._next - 1, 16)
            packet = self._found(index, find)
            if packet is None:
                self.counters.unanswered += 1
                continue
            run.append(packet)
            if index in self._resent and self._credit:
                copy = self._found(index, find)
                if copy is not None:
                    self._credit -= 1
                    copies.append(copy)
            self._remember(index)
        run += copies  # apart from the first, for what is lost together
        self.counters.resent += len(run)
        return run

    def _remember(self, index: int) -> None:
        self._resent[index] = None
        if len(self._resent) > _MOST_REMEMBERED:
            del self._resent[next(iter(self._resent))]

    def _found(
        self, index: int, find: Callable[[object, int], SourcePacket | None]
    ) -> bytes | None:
        if index >= self._next:
            return None
        for segment in reversed(self._segments):
            if segment.sequence <= index:
                break
        else:
            return None
        packet = find(segment.source, index - segment.shift)
        if packet is None:
            return None
        config = self.config
        header = self._header(segment, packet, index)
        if config.rtx_ssrc is None or config.rtx_payload_type is None:
            try:
                return self._sealer.seal_again(header, segment.payload(packet), index)
            except UsageError:
                return None
        header = _HEADER.pack(
            _VERSION,
            config.rtx_payload_type | (header[1] & _MARKER),
            self._rtx_next & 0xFFFF,
            segment.timestamp(packet.timestamp) & 0xFFFFFFFF,
            config.rtx_ssrc,
        )
        original = (index & 0xFFFF).to_bytes(2, "big")
        run = ((header, original + segment.payload(packet)),)
        sealed = self._sealer.seal_run(run, self._rtx_next)[0]
        self._rtx_next += 1
        return sealed

    # -- time -------------------------------------------------------------------------

    def timestamp_at(self, source_timestamp: float) -> int | None:
        """Return what this stream's clock shows when the source's shows that.

        For sender reports; None before anything was sent.
        """
        segment = self._segment
        if segment is None:
            return None
        return (round(source_timestamp) + segment.time_shift) & 0xFFFFFFFF
