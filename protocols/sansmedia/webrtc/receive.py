"""What comes in: packets sorted into streams, counted, repaired, reported on.

Which stream a packet belongs to is found by its SSRC once it is known; before, by the
mid and rid that it carries, by what the description announced, or by its payload type.
Source: RFC 9143 §9.2, RFC 8852 §3.1, RFC 8852 §3.2.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator

import attrs

from sansmedia.rtp import (
    ExtensionMap,
    Extensions,
    Nack,
    NackGenerator,
    PictureLossIndication,
    ReceiverEstimatedMaxBitrate,
    ReceiverReport,
    ReceptionStatistics,
    ReportBlock,
    RtcpPacket,
    RtpPacket,
    SenderReport,
    TransportFeedbackGenerator,
    decode_rtp,
    find_extension,
    unwrap_red,
    unwrap_rtx,
)
from sansmedia.sansio import Datagram, ProtocolError
from sansmedia.sdp import NegotiatedCodec, NegotiatedMedia, NegotiatedSession
from sansmedia.srtp import SrtpReceiver

from .counts import Counts

__all__ = ["TRANSPORT_CC", "MediaReceiver", "ReceiveStream", "open_rtp"]

TRANSPORT_CC = (
    "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
)
"""The header extension and the feedback of transport-wide congestion control."""

_SILENCE_S = 2.0
"""A source that another has followed is the track's again after so long without it."""
_MOST_REQUESTS = 256
"""Sequence numbers of one NACK: each may take 4 octets, and a datagram must hold it."""
_MOST_BLOCKS = 31
_LONGEST_WAIT_S = 0.3


@attrs.define(eq=False)
class ReceiveStream:
    """One incoming stream: a track, or one layer of simulcast."""

    ssrc: int
    media: NegotiatedMedia
    codec: NegotiatedCodec
    rid: str = ""
    """Which layer; "" without simulcast."""
    reception: ReceptionStatistics = attrs.field(kw_only=True)
    nacks: NackGenerator | None = attrs.field(kw_only=True)
    """None where nobody would answer."""
    ended: bool = False
    """The peer has said goodbye to the SSRC; another may follow."""
    heard_at: float = 0.0
    """When the last packet came, in seconds."""
    key_frames_requested: int = 0
    packets: int = 0
    octets: int = 0
    """Of payloads."""
    repaired: int = 0
    """Packets that came as retransmissions."""


def open_rtp(
    opener: SrtpReceiver, batch: list[Datagram], counts: Counts, now: float
) -> tuple[list[tuple[RtpPacket, float]], list[Datagram]]:
    """Return the packets of authentic datagrams with their arrivals, and those."""
    packets: list[tuple[RtpPacket, float]] = []
    authentic: list[Datagram] = []
    opened = opener.unprotect_rtp([datagram.data for datagram in batch])
    for datagram, plain in zip(batch, opened, strict=True):
        if plain is not None:
            authentic.append(datagram)
            try:
                packets.append((decode_rtp(plain), datagram.at or now))
            except ProtocolError:
                counts.damaged += 1
    return packets, authentic


@attrs.define(eq=False)
class _Repair:
    """A stream of retransmissions, and whose they are."""

    stream: ReceiveStream


def _requests(ssrc: int, of: int, missing: list[int]) -> Iterator[Nack]:
    for at in range(0, len(missing), _MOST_REQUESTS):
        yield Nack(ssrc, of, missing[at : at + _MOST_REQUESTS])


class MediaReceiver:
    """Sorts authentic packets into streams and makes the reports about them.

    Args:
        session: What was negotiated.
        local_ssrc: Ours in reports.
        streams: How many streams the peer may make, retransmissions included.

    Source: RFC 3550 §8.2.
    """

    def __init__(
        self, session: NegotiatedSession, *, local_ssrc: int, streams: int = 32
    ) -> None:
        self.has_collided = False
        """Whether the peer sends under the SSRC of our reports: `take_ssrc` ends it."""
        self.unsorted = 0
        """Packets that belong to nothing negotiated, or to one stream too many."""
        self.damaged = 0
        """Packets whose extensions or repair headers cannot be read."""
        self.streams: list[ReceiveStream] = []
        self._local_ssrc = local_ssrc
        self._most = streams
        self._media = [media for media in session.media if media.direction.receives]
        ids = {id: uri for media in self._media for uri, id in media.extensions.items()}
        self._extensions = ExtensionMap(ids)
        self._transport_id = next(
            (id for id, uri in ids.items() if uri == TRANSPORT_CC), None
        )
        self._by_ssrc: dict[int, ReceiveStream | _Repair] = {}
        # Late packets of an SSRC that the sender has left must not bring it back.
        self._retired: OrderedDict[int, ReceiveStream] = OrderedDict()
        self._round_trip_time: float | None = None
        self._announced: dict[int, tuple[NegotiatedMedia, int | None]] = {}
        for media in self._media:
            for source in media.remote_sources:
                self._announced[source.ssrc] = media, None
                if source.rtx_ssrc is not None:
                    self._announced[source.rtx_ssrc] = media, source.ssrc
        wants_feedback = self._transport_id is not None and any(
            "transport-cc" in codec.feedback
            for media in self._media
            for codec in media.codecs
        )
        self._transport = (
            TransportFeedbackGenerator(local_ssrc) if wants_feedback else None
        )

    @property
    def local_ssrc(self) -> int:
        """Ours in reports."""
        return self._local_ssrc

    def take_ssrc(self, ssrc: int) -> None:
        """Report under another SSRC from now on. Source: RFC 3550 §8.2."""
        self._local_ssrc = ssrc
        self.has_collided = False
        if self._transport is not None:
            self._transport.sender_ssrc = ssrc

    # -- packets ----------------------------------------------------------------------

    def feed(
        self, packets: Iterable[tuple[RtpPacket, float]], now: float
    ) -> tuple[dict[ReceiveStream, list[RtpPacket]], list[RtcpPacket]]:
        """Take authentic packets, with the times at which they arrived.

        Hot path: 1.1 µs a packet in batches of 8, transport-wide numbers included.

        Returns:
            Packets by stream, in the order of arrival and with retransmissions as what
            they repeat; and RTCP to send at once.
        """
        sorted_packets: dict[ReceiveStream, list[RtpPacket]] = {}
        arrivals: list[tuple[int, float]] = []
        numbers: dict[ReceiveStream, list[int]] = {}
        by_ssrc, transport_id = self._by_ssrc, self._transport_id
        if self._transport is None:
            transport_id = None
        for packet, at in packets:
            if transport_id is not None and packet.extension:
                value = find_extension(
                    packet.extension_profile, packet.extension, transport_id
                )
                if value is not None and len(value) == 2:
                    arrivals.append((value[0] << 8 | value[1], at))
            entry = by_ssrc.get(packet.ssrc)
            if entry is None:
                entry = self._stranger(packet, now)
                if entry is None:
                    self.unsorted += 1
                    continue
            if isinstance(entry, ReceiveStream):
                stream = entry
                stream.reception.receive(packet.sequence, packet.timestamp, at)
            else:
                stream = entry.stream
                original = self._repaired(stream, packet)
                if original is None:
                    continue
                packet = original
            stream.heard_at = now
            stream.packets += 1
            stream.octets += len(packet.payload)
            if stream.nacks is not None:
                # Whatever it holds, it is not missing.
                came = numbers.get(stream)
                if came is None:
                    numbers[stream] = [packet.sequence]
                else:
                    came.append(packet.sequence)
            run = sorted_packets.get(stream)
            if run is None:
                run = sorted_packets[stream] = []
            if packet.payload_type == stream.codec.payload_type:
                run.append(packet)
            else:
                taken = self._other_payload(stream, packet)
                run += taken
                if stream in numbers:
                    numbers[stream] += [one.sequence for one in taken]
        feedback: list[RtcpPacket] = []
        for stream, came in numbers.items():
            if stream.nacks is not None:
                missing = stream.nacks.feed(came, now)
                if missing:
                    feedback += _requests(self._local_ssrc, stream.ssrc, missing)
        if arrivals and self._transport is not None:
            feedback += self._transport.feed(arrivals, now)
        return sorted_packets, feedback

    def _decoded(self, packet: RtpPacket) -> Extensions:
        try:
            return self._extensions.decode(packet)
        except ProtocolError:
            self.damaged += 1
            return Extensions()

    def _repaired(self, stream: ReceiveStream, packet: RtpPacket) -> RtpPacket | None:
        """Return what a retransmission repeats. Source: RFC 4588 §4."""
        media = stream.media
        payload_type = next(
            (
                codec.payload_type
                for codec in media.codecs
                if codec.rtx_payload_type == packet.payload_type
            ),
            None,
        )
        if payload_type is None and packet.payload_type == media.red_rtx_payload_type:
            payload_type = media.red_payload_type
        if payload_type is None:
            self.unsorted += 1
            return None
        try:
            original = unwrap_rtx(packet, stream.ssrc, payload_type)
        except ProtocolError:
            self.damaged += 1
            return None
        if original is not None:
            stream.repaired += 1
        return original

    def _other_payload(
        self, stream: ReceiveStream, packet: RtpPacket
    ) -> list[RtpPacket]:
        """Take a packet of another payload type than the stream's codec has."""
        media = stream.media
        packets = [packet]
        if packet.payload_type == media.red_payload_type:
            fec = media.ulpfec_payload_type
            try:
                packets = unwrap_red(packet, set() if fec is None else {fec})
            except ProtocolError:
                self.damaged += 1
                return []
        taken = []
        for one in packets:
            codec = media.codec(one.payload_type)
            if codec is None or codec.payload_type != one.payload_type:
                # A packet of error correction holds its place with nothing in it.
                self.unsorted += bool(one.payload)
                continue
            if one is packets[-1] and codec is not stream.codec:
                stream.codec = codec
                if "nack" not in codec.feedback:
                    stream.nacks = None
                elif stream.nacks is None:
                    stream.nacks = self._nacks(codec)
            taken.append(one)
        return taken

    # -- who it is --------------------------------------------------------------------

    def _stranger(
        self, packet: RtpPacket, now: float
    ) -> ReceiveStream | _Repair | None:
        ssrc = packet.ssrc
        if ssrc == self._local_ssrc:
            self.has_collided = True
        followed_by = self._retired.get(ssrc)
        if followed_by is not None and now < followed_by.heard_at + _SILENCE_S:
            return None
        told = self._decoded(packet) if packet.extension else Extensions()
        announced = self._announced.get(ssrc)
        media = self._media_of(packet, told, announced)
        if media is None:
            return None
        codec = media.codec(packet.payload_type)
        rid = told.rid or told.repaired_rid or ""
        if not media.rids:
            # Layers without names are told apart by what was announced.
            rid = self._layer(media, ssrc)
        elif rid and rid not in media.rids:
            return None
        if packet.payload_type == media.red_rtx_payload_type or (
            codec is not None and codec.rtx_payload_type == packet.payload_type
        ):
            of = None if announced is None else announced[1]
            stream = self._repaired_by(media, of, told.repaired_rid or rid)
            if stream is None or len(self._by_ssrc) >= self._most:
                return None
            self._retired.pop(ssrc, None)
            repair = self._by_ssrc[ssrc] = _Repair(stream)
            return repair
        if codec is None:
            if packet.payload_type != media.red_payload_type:
                return None
            codec = media.codecs[0]
        if media.rids and not rid:
            return None  # which layer it is will be told by another packet
        return self._begin(ssrc, media, codec, rid)

    @staticmethod
    def _layer(media: NegotiatedMedia, ssrc: int) -> str:
        """Return the place of an SSRC in a group of layers. Source: RFC 5576 §4.2."""
        if ssrc in media.simulcast_ssrcs:
            return str(media.simulcast_ssrcs.index(ssrc))
        return ""

    def _media_of(
        self,
        packet: RtpPacket,
        told: Extensions,
        announced: tuple[NegotiatedMedia, int | None] | None,
    ) -> NegotiatedMedia | None:
        if told.mid is not None:
            return next((m for m in self._media if m.mid == told.mid), None)
        if announced is not None:
            return announced[0]
        fitting = [
            media
            for media in self._media
            if media.codec(packet.payload_type) is not None
            or packet.payload_type
            in (media.red_payload_type, media.red_rtx_payload_type)
        ]
        return fitting[0] if len(fitting) == 1 else None

    def _repaired_by(
        self, media: NegotiatedMedia, of: int | None, rid: str
    ) -> ReceiveStream | None:
        """Return the stream that retransmissions belong to."""
        candidates = [s for s in self.streams if s.media is media and not s.ended]
        if of is not None:
            return next((s for s in candidates if s.ssrc == of), None)
        if rid:
            return next((s for s in candidates if s.rid == rid), None)
        return candidates[0] if len(candidates) == 1 else None

    def _begin(
        self, ssrc: int, media: NegotiatedMedia, codec: NegotiatedCodec, rid: str
    ) -> ReceiveStream | None:
        reception = ReceptionStatistics(ssrc, codec.clock_rate)
        for stream in self.streams:
            if stream.media is media and stream.rid == rid:
                # The sender has begun anew under another SSRC: the same track.
                self._retire(stream)
                stream.ssrc = ssrc
                stream.codec = codec
                stream.reception = reception
                stream.nacks = self._nacks(codec)
                stream.ended = False
                break
        else:
            if len(self._by_ssrc) >= self._most or len(self.streams) >= self._most:
                return None
            stream = ReceiveStream(
                ssrc,
                media,
                codec,
                rid,
                reception=reception,
                nacks=self._nacks(codec),
            )
            self.streams.append(stream)
        self._retired.pop(ssrc, None)
        self._by_ssrc[ssrc] = stream
        if self._transport is not None and not self._transport.media_ssrc:
            self._transport.media_ssrc = ssrc
        return stream

    def _retire(self, stream: ReceiveStream) -> None:
        """Let go of a stream's SSRC and of those that repair it."""
        over = [
            ssrc
            for ssrc, entry in self._by_ssrc.items()
            if entry is stream
            or (isinstance(entry, _Repair) and entry.stream is stream)
        ]
        for ssrc in over:
            del self._by_ssrc[ssrc]
            self._retired[ssrc] = stream
            self._retired.move_to_end(ssrc)
        while len(self._retired) > self._most:
            self._retired.popitem(last=False)

    def _nacks(self, codec: NegotiatedCodec) -> NackGenerator | None:
        if "nack" not in codec.feedback:
            return None
        nacks = NackGenerator()
        if self._round_trip_time is not None:
            nacks.round_trip_time = self._round_trip_time
        return nacks

    def end(self, ssrc: int) -> ReceiveStream | None:
        """Take that the peer sends an SSRC no more (BYE); return its stream.

        Packets that are still under way are dropped. Source: RFC 3550 §6.6.
        """
        stream = self.stream_of(ssrc)
        if stream is not None:
            self._retire(stream)
            stream.ended = True
            stream.nacks = None
        return stream

    # -- reports ----------------------------------------------------------------------

    def stream_of(self, ssrc: int) -> ReceiveStream | None:
        """Return the stream of an SSRC."""
        entry = self._by_ssrc.get(ssrc)
        return entry if isinstance(entry, ReceiveStream) else None

    def set_round_trip_time(self, seconds: float) -> None:
        """Tell how long the peer's answers take, to ask again no sooner.

        Longer than 0.3 s is not waited: whoever repeats an old check of ours makes the
        peer answer it late, and a request too many costs less than a packet.
        """
        seconds = min(seconds, _LONGEST_WAIT_S)
        self._round_trip_time = seconds
        for stream in self.streams:
            if stream.nacks is not None:
                stream.nacks.round_trip_time = seconds

    def receive_sender_report(
        self, report: SenderReport, now: float
    ) -> ReceiveStream | None:
        """Take a report; return the stream that it is about."""
        stream = self.stream_of(report.ssrc)
        if stream is not None:
            stream.reception.receive_sender_report(report, now)
        return stream

    def report_blocks(self, now: float) -> list[ReportBlock]:
        """Return what a report says of every stream; at most 31 fit.

        Source: RFC 3550 §6.4.1.
        """
        streams = [stream for stream in self.streams if not stream.ended]
        return [one.reception.report_block(now) for one in streams[:_MOST_BLOCKS]]

    def receiver_report(self, now: float) -> ReceiverReport:
        """Return a report about everything that comes in."""
        return ReceiverReport(self._local_ssrc, self.report_blocks(now))

    def picture_loss(self, stream: ReceiveStream) -> PictureLossIndication:
        """Return the request for a key frame."""
        return PictureLossIndication(self._local_ssrc, stream.ssrc)

    def bitrate_limit(self, bits_per_second: int) -> ReceiverEstimatedMaxBitrate | None:
        """Return REMB for senders that know no transport-wide feedback, or None."""
        if self._transport is not None:
            return None
        ssrcs = [
            stream.ssrc
            for stream in self.streams
            if "goog-remb" in stream.codec.feedback and not stream.ended
        ]
        if not ssrcs:
            return None
        return ReceiverEstimatedMaxBitrate(self._local_ssrc, bits_per_second, ssrcs)

    # -- time -------------------------------------------------------------------------

    def next_timeout(self) -> float | None:
        """Return when `handle_timeout` wants to be called, or None."""
        earliest = None
        if self._transport is not None:
            earliest = self._transport.next_timeout()
        for stream in self.streams:
            if stream.nacks is not None:
                at = stream.nacks.next_timeout()
                if at is not None and (earliest is None or at < earliest):
                    earliest = at
        return earliest

    def handle_timeout(self, now: float) -> list[RtcpPacket]:
        """Return RTCP that is due."""
        due: list[RtcpPacket] = []
        for stream in self.streams:
            if stream.nacks is not None:
                missing = stream.nacks.handle_timeout(now)
                if missing:
                    due += _requests(self._local_ssrc, stream.ssrc, missing)
        if self._transport is not None:
            due += self._transport.handle_timeout(now)
        return due

    @property
    def pending_bytes(self) -> int:
        """Octets held: what is missing, what came and is not told of yet."""
        held = 0 if self._transport is None else self._transport.pending_bytes
        for stream in self.streams:
            if stream.nacks is not None:
                held += stream.nacks.pending_bytes
        return held
