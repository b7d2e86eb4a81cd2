"""The sending side of a connection: what goes out, and what goes out again.

Source: SRT draft-01 §4.6, §4.8 and §5.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from sansmedia.sansio import ProtocolError

from .ack_wire import Acknowledgement
from .congestion import Congestion, FileCongestion, LiveCongestion, Pacer
from .constants import MAX_SEQUENCE_NUMBER, ControlType, KeyState
from .hooks import Crypto, SendingFilter
from .limits import Limits
from .loss_wire import decode_losses, encode_drop_request
from .negotiated import Negotiated
from .options import SrtOptions
from .packet_wire import HEADER, MESSAGE_RETRANSMITTED, DataPacket, encode_data
from .round_trip import RoundTrip
from .send_buffer import Record, SendBuffer
from .sequence_ranges import SequenceRanges

__all__ = ["TICK", "Sender"]

TICK: Final = 0.005
"""Seconds between two rounds of pacing and of delivery."""
_HALF: Final = 1 << 30
_ACK_INTERVAL: Final = 0.01
_LEAST_DROP_DELAY: Final = 1.0
_AVERAGE: Final = 1 / 8
_HURRY: Final = 0.5
"""Of a round trip: repetitions are so far apart when there is no time for another."""


def _smooth(average: float, sample: int) -> float:
    """Return the moving average with a sample; the first one replaces nothing known."""
    return average + (sample - average) * _AVERAGE if average else float(sample)


class Sender:
    """Packs, paces and repeats the packets of one connection.

    Control packets that it wants to send are collected in `control`, as type,
    information and field.
    """

    def __init__(
        self,
        negotiated: Negotiated,
        crypto: Crypto,
        options: SrtOptions,
        limits: Limits,
        *,
        payload_size: int,
        round_trip: RoundTrip,
        packet_filter: SendingFilter | None,
        now: float,
    ) -> None:
        self.buffer = SendBuffer(
            negotiated.initial_sequence,
            start_time=negotiated.start_time,
            packets=options.send_buffer,
            octets=limits.send_bytes,
            payload_size=payload_size,
        )
        self.losses = SequenceRanges()
        """What is to be sent again."""
        self.control: list[tuple[ControlType, int, bytes]] = []
        """Control packets to send."""
        self.pacer = Pacer(TICK)
        self.congestion = self._choose_congestion(negotiated, options)
        self.flow_window = negotiated.flow_window
        """Packets that the peer has room for, from `last_ack` on."""
        self.last_ack = negotiated.initial_sequence
        """The first packet that the peer has not acknowledged."""
        self.receiving_rate = 0.0
        """Packets a second that arrive at the peer, smoothed."""
        self.link_capacity = 0.0
        """Packets a second that the path bears, smoothed."""
        self.receiving_bytes = 0.0
        """Octets a second that arrive at the peer, smoothed."""
        self.sent = self.sent_bytes = self.sent_unique = self.sent_unique_bytes = 0
        self.lost = self.retransmitted = self.retransmitted_bytes = 0
        self.dropped = self.dropped_bytes = self.filter_extra = 0
        self.refused = 0
        """Acknowledgements and loss reports, or parts of them, that cannot be true."""
        self.busy = 0.0
        """Seconds in which there was something to send or to be acknowledged."""
        self._crypto = crypto
        self._filter = packet_filter
        self._round_trip = round_trip
        self._limits = limits
        self.is_live = negotiated.live
        """Whether what is too late is of no use."""
        self._live_with_reports = negotiated.live and negotiated.nak_report
        self._destination = negotiated.peer_socket_id
        self._window_limit = max(negotiated.flow_window, options.send_buffer)
        self._send_latency = negotiated.send_latency if negotiated.live else math.inf
        self._again = MESSAGE_RETRANSMITTED if negotiated.rexmit_flag else 0
        self._drop_after = self._drop_threshold(negotiated, options)
        self._repeat_pacer: Pacer | None = None
        if options.max_rexmit_bw >= 0:
            self._repeat_pacer = Pacer(2 * TICK)
            rate = options.max_rexmit_bw
            self._repeat_pacer.per_octet = 1 / rate if rate else math.inf
        self._sent_again: dict[int, float] = {}
        self._last_full_ack = negotiated.initial_sequence
        self._heard_at = now
        self._sent_at = now
        self._timeouts = 1
        self._busy_since: float | None = None
        self._blocked_until: float | None = None

    def _choose_congestion(
        self, negotiated: Negotiated, options: SrtOptions
    ) -> Congestion:
        if negotiated.live:
            return LiveCongestion(options, self.pacer)
        return FileCongestion(
            options,
            self.pacer,
            mss=negotiated.mss,
            sequence=negotiated.initial_sequence,
            most=negotiated.flow_window,
            seed=negotiated.socket_id,
        )

    @staticmethod
    def _drop_threshold(negotiated: Negotiated, options: SrtOptions) -> float:
        """Return the age at which the sender gives up (SRT draft-01 §4.6)."""
        dropping = negotiated.live and negotiated.tlpkt_drop and negotiated.tsbpd_send
        if not dropping or options.snd_drop_delay < 0:
            return math.inf
        delay = negotiated.send_latency * 1.25 + options.snd_drop_delay
        return max(delay, _LEAST_DROP_DELAY) + 2 * _ACK_INTERVAL

    @property
    def has_work(self) -> bool:
        """Whether there is anything to send, if it may go."""
        return bool(self.losses.count) or self.buffer.next < self.buffer.end

    @property
    def flight(self) -> int:
        """Packets under way."""
        return self.buffer.next - self.last_ack

    @property
    def window(self) -> int:
        """Packets that may be under way."""
        return min(self.flow_window, self.congestion.window)

    # What the program sends.

    def queue_solo(
        self, messages: Sequence[bytes], origin: float, flags: int, now: float
    ) -> int:
        """Queue messages of one packet each; return how many were taken."""
        self._begin(now)
        before = self.buffer.octets
        taken = self.buffer.queue_solo(messages, origin, flags)
        self.congestion.add_input(taken, self.buffer.octets - before, now)
        return taken

    def queue_message(
        self, message: bytes, origin: float, *, in_order: bool, expires: float
    ) -> bool:
        """Queue a message of any size; tell whether there was room."""
        self._begin(origin)
        return self.buffer.queue_message(
            message, origin, in_order=in_order, expires=expires
        )

    def _begin(self, now: float) -> None:
        if self._busy_since is None:
            self._busy_since = now

    def busy_at(self, now: float) -> float:
        """Return `busy` including the time since there is something again."""
        since = self._busy_since
        return self.busy if since is None else self.busy + now - since

    def jump(self, sequence: int, message: int) -> None:
        """Go on with later numbers: what lies between is for others to send.

        Args:
            sequence: Of the next packet; never below `SendBuffer.end` once any was
                queued.
            message: Its message's number.
        """
        buffer = self.buffer
        if buffer.first == buffer.end:
            self.losses.clear()
            self._sent_again.clear()
            self.last_ack = self._last_full_ack = sequence
        buffer.jump(sequence, message)

    @property
    def waiting_since(self) -> float:
        """Since when there is something that the peer should acknowledge."""
        return self._heard_at

    # What goes out.

    def transmit(self, now: float, output: list[bytes]) -> None:
        """Append the wire form of every packet that may go now."""
        self._blocked_until = None
        if self.losses.count and self._repeat(now, output):
            return
        buffer = self.buffer
        count = min(buffer.end, self.last_ack + self.window) - buffer.next
        if count <= 0:
            return
        if buffer.next == self.last_ack:
            # Nothing was under way, so nobody could have been silent about it.
            self._heard_at = now
            self._timeouts = 1
        self._sent_at = now
        if (
            self.pacer.is_limited
            or self._filter is not None
            or len(buffer.packets) != buffer.end - buffer.first
        ):
            self._send_carefully(count, now, output)
        else:
            self._send_at_once(count, output)

    def _send_at_once(self, count: int, output: list[bytes]) -> None:
        """Send ``count`` new packets that nothing holds up: the usual case."""
        buffer = self.buffer
        pack, packets = HEADER.pack, buffer.packets
        destination = self._destination
        secured = self._crypto.state_send is not KeyState.UNSECURED
        octets = 0
        for sequence in range(buffer.next, buffer.next + count):
            record = packets[sequence]
            if secured:
                record = self._encrypted(sequence, record)
            word, timestamp, payload, _, _ = record
            octets += len(payload)
            output.append(
                pack(sequence & MAX_SEQUENCE_NUMBER, word, timestamp, destination)
                + payload
            )
        buffer.next += count
        self._count_new(count, octets)

    def postpone(self, now: float) -> None:
        """Send nothing for now: what went out before has not been taken."""
        self._blocked_until = now + TICK

    def _count_new(self, packets: int, octets: int) -> None:
        self.sent += packets
        self.sent_bytes += octets
        self.sent_unique += packets
        self.sent_unique_bytes += octets

    def _send_carefully(self, count: int, now: float, output: list[bytes]) -> None:
        """Send up to ``count`` new packets: paced, encrypted or filtered."""
        buffer, pacer = self.buffer, self.pacer
        end = buffer.next + count
        while buffer.next < end:
            sequence = buffer.next
            record = buffer.packets.get(sequence)
            if record is None or record[4] <= now:
                self._pass_over(sequence, record)
                continue
            if pacer.next_at > now:
                self._block(pacer.next_at, now)
                return
            if self._crypto.state_send is not KeyState.UNSECURED:
                record = self._encrypted(sequence, record)
            word, timestamp, payload, _, _ = record
            packet = DataPacket(
                sequence & MAX_SEQUENCE_NUMBER,
                word,
                timestamp,
                self._destination,
                payload,
            )
            output.append(encode_data(packet))
            pacer.spend(len(payload), now)
            buffer.next = sequence + 1
            self._count_new(1, len(payload))
            if self._filter is not None:
                self._send_filter(self._filter.feed(packet), now, output)

    def _send_filter(
        self, packets: list[DataPacket], now: float, output: list[bytes]
    ) -> None:
        for packet in packets:
            output.append(encode_data(packet))
            self.pacer.spend(len(packet.payload), now)
            self.filter_extra += 1
            self.sent += 1
            self.sent_bytes += len(packet.payload)

    def _encrypted(self, sequence: int, record: Record) -> Record:
        """Encrypt a packet for good: it is sent again as it was."""
        word, timestamp, payload, origin, expires = record
        word, sealed = self._crypto.encrypt(
            sequence & MAX_SEQUENCE_NUMBER, word, timestamp, self._destination, payload
        )
        record = (word, timestamp, sealed, origin, expires)
        self.buffer.packets[sequence] = record
        self.buffer.octets += len(sealed) - len(payload)
        return record

    def _pass_over(self, sequence: int, record: Record | None) -> None:
        """Go past a packet that was given up, or whose time is over."""
        if record is None:
            self.buffer.next = sequence + 1
            return
        high = self._expire(sequence)
        self.buffer.next = high + 1

    def _expire(self, sequence: int) -> int:
        number, low, high = self.buffer.drop_message(sequence)
        self.dropped += high - low + 1
        field = encode_drop_request(low, high)
        self.control.append((ControlType.DROPREQ, number, field))
        return high

    def _repeat(self, now: float, output: list[bytes]) -> bool:
        """Send again what was reported lost, if that was not done just now.

        Returns:
            Whether nothing else may go, because of pacing.
        """
        losses, packets, sent_again = self.losses, self.buffer.packets, self._sent_again
        pacer, repeat_pacer = self.pacer, self._repeat_pacer
        # A report that left before the last repetition could have arrived says
        # nothing new (libsrt's SRTO_RETRANSMITALGO). libsrt takes off four times the
        # variance from the start, we do so when there is no time for another round: in
        # simulation, at 5 to 20 % loss, that delivers as much for 10 % less.
        trip = self._round_trip
        not_since = now - (trip.rtt - trip.variance)
        in_a_hurry = now - trip.rtt * _HURRY
        urgent = now - self._send_latency + 2 * trip.rtt
        for _ in range(self._limits.retransmissions):
            if not losses.count:
                return False
            blocked = pacer.next_at
            if repeat_pacer is not None:
                blocked = max(blocked, repeat_pacer.next_at)
            if blocked > now:
                self._block(blocked, now)
                return pacer.next_at > now
            sequence = losses.pop_first()
            record = packets.get(sequence)
            if record is None:
                self._deny(sequence)
                continue
            before = sent_again.get(sequence, -math.inf)
            if before > (in_a_hurry if record[3] < urgent else not_since):
                continue
            if record[4] <= now:
                self._expire(sequence)
                continue
            word, timestamp, payload, _, _ = record
            header = HEADER.pack(
                sequence & MAX_SEQUENCE_NUMBER,
                word | self._again,
                timestamp,
                self._destination,
            )
            output.append(header + payload)
            sent_again[sequence] = now
            size = len(payload)
            pacer.spend(size, now)
            if repeat_pacer is not None:
                repeat_pacer.spend(size, now)
            self.sent += 1
            self.sent_bytes += size
            self.retransmitted += 1
            self.retransmitted_bytes += size
        self._block(now, now)
        return False

    def _block(self, until: float, now: float) -> None:
        # Finer than a tick would not be faster: a tick is made up for at once.
        until = max(until, now + TICK)
        if self._blocked_until is None or until < self._blocked_until:
            self._blocked_until = until

    def _deny(self, sequence: int) -> None:
        """Tell the peer that a packet it asks for was given up."""
        high = sequence
        losses, packets = self.losses, self.buffer.packets
        while losses.count and high - sequence < self._limits.retransmissions:
            following = losses.first
            if following is None or following[0] != high + 1 or high + 1 in packets:
                break
            high = losses.pop_first()
        field = encode_drop_request(sequence, high)
        self.control.append((ControlType.DROPREQ, 0, field))

    # What the peer says.

    def _near(self, wire: int) -> int:
        reference = self.buffer.next
        distance = ((wire - reference + _HALF) & MAX_SEQUENCE_NUMBER) - _HALF
        return reference + distance

    def acknowledge(
        self, acknowledgement: Acknowledgement, now: float, *, receiving: bool
    ) -> bool:
        """Take an acknowledgement; False if it cannot be true.

        Args:
            acknowledgement: As it came.
            now: When.
            receiving: Whether we receive data on this connection as well.
        """
        sequence = self._near(acknowledgement.sequence)
        if sequence > self.buffer.next:
            self.refused += 1
            return False
        if sequence >= self.last_ack:
            available = acknowledgement.available
            if available is None:
                self.flow_window -= sequence - self.last_ack
            else:
                self.flow_window = min(available, self._window_limit)
            self._release(sequence)
            self._heard_at = now
            self._timeouts = 1
            if self.buffer.first == self.buffer.end and self._busy_since is not None:
                self.busy += now - self._busy_since
                self._busy_since = None
        if acknowledgement.available is None or sequence <= self._last_full_ack:
            return True
        self._last_full_ack = sequence
        self._adopt(acknowledgement, receiving=receiving)
        self.congestion.acknowledge(
            sequence,
            now,
            self._round_trip.rtt,
            self.receiving_rate,
            self.link_capacity,
        )
        return True

    def _release(self, sequence: int) -> None:
        if self._sent_again:
            for number in range(self.last_ack, sequence):
                self._sent_again.pop(number, None)
        self.last_ack = sequence
        self.buffer.release(sequence)
        if self.losses.count:
            self.losses.discard_below(sequence)

    def _adopt(self, report: Acknowledgement, *, receiving: bool) -> None:
        if report.rtt_us is not None and report.rtt_variance_us is not None:
            self._round_trip.adopt(
                report.rtt_us, report.rtt_variance_us, receiving=receiving
            )
        if report.receiving_rate is None or report.link_capacity is None:
            return
        octets = report.receiving_bytes
        if octets is None:
            octets = report.receiving_rate * self.buffer.payload_size
        self.receiving_rate = _smooth(self.receiving_rate, report.receiving_rate)
        self.link_capacity = _smooth(self.link_capacity, report.link_capacity)
        self.receiving_bytes = _smooth(self.receiving_bytes, octets)

    def report_losses(self, field: bytes) -> None:
        """Take a loss report.

        Raises:
            ProtocolError: It is none.
        """
        ranges, refused = decode_losses(field, longest=self._window_limit)
        gone: int | None = None
        lowest: int | None = None
        for wire_low, wire_high in ranges:
            low = self._near(wire_low)
            high = low + ((wire_high - wire_low) & MAX_SEQUENCE_NUMBER)
            if high >= self.buffer.next or low < self.last_ack - self._window_limit:
                refused += 1
                continue
            if low < self.last_ack:
                # The peer does not know yet that these will not come any more.
                gone = low if gone is None else min(gone, low)
                low = self.last_ack
            if low <= high and len(self.losses) < self._limits.loss_ranges:
                self.lost += self.losses.add(low, high)
                lowest = low if lowest is None else min(lowest, low)
        self.refused += refused
        if gone is not None:
            field = encode_drop_request(gone, self.last_ack - 1)
            self.control.append((ControlType.DROPREQ, 0, field))
        if lowest is not None:
            self.congestion.lose(
                lowest,
                self.buffer.next - 1,
                self.losses.count,
                self._round_trip.rtt,
                self.receiving_rate,
            )
        elif refused:
            raise ProtocolError(
                "reports packets lost that were never sent",
                code="range",
                source="SRT draft-01 §3.2.5",
            )

    # Time.

    def next_timeout(self) -> float:
        """Return when `handle_timeout` or `transmit` has something to do."""
        deadline = math.inf
        buffer = self.buffer
        if self._blocked_until is not None and self.has_work:
            deadline = self._blocked_until
        if buffer.first == buffer.end:
            return deadline
        if buffer.next > self.last_ack:
            deadline = min(deadline, self._expiry())
        if self._drop_after < math.inf:
            deadline = min(deadline, self._drop_deadline())
        return deadline

    def _expiry(self) -> float:
        since = self._heard_at
        if self._live_with_reports:
            # As long as packets follow, the peer finds out by itself what is missing.
            since = max(since, self._sent_at)
        return since + self._timeouts * self._patience() + _ACK_INTERVAL

    def _patience(self) -> float:
        trip = self._round_trip
        return trip.rtt + 4 * trip.variance + 2 * _ACK_INTERVAL

    def _drop_deadline(self) -> float:
        record = self.buffer.packets.get(self.buffer.first)
        return -math.inf if record is None else record[3] + self._drop_after

    def handle_timeout(self, now: float) -> int:
        """Do what is due but sending; return how many packets were given up."""
        if self.buffer.next > self.last_ack and now >= self._expiry():
            self._expire_acknowledgement(now)
        return self.drop_late(now)

    def drop_late(self, now: float) -> int:
        """Give up what cannot be in time any more; return how many packets."""
        if self._drop_after == math.inf or self.buffer.first == self.buffer.end:
            return 0
        if now < self._drop_deadline():
            return 0
        packets, octets = self.buffer.drop_older(now, self._drop_after)
        if packets:
            self.dropped += packets
            self.dropped_bytes += octets
        if self.buffer.first > self.last_ack:
            self.flow_window = min(
                self.flow_window + self.buffer.first - self.last_ack,
                self._window_limit,
            )
            self._release(self.buffer.first)
        return packets

    def _expire_acknowledgement(self, now: float) -> None:
        """Send again without having been asked: nobody acknowledges.

        In file mode all that is under way, unless reports say what is missing. In live
        mode as well if the peer reports each loss but once. Otherwise only the last
        packet: should it be lost, nothing after it tells the peer so. (Not if a filter
        may have agreed that nothing is sent again.)
        """
        low, high = self.last_ack, self.buffer.next - 1
        if self._live_with_reports:
            if self._filter is None:
                self.lost += self.losses.add(high, high)
        elif self.is_live or not self.losses.count:
            self.lost += self.losses.add(low, high)
        # Whoever calls late finds several at once.
        passed = int((now - self._heard_at) / self._patience())
        self._timeouts = max(self._timeouts, passed) + 1
        self.congestion.expire(self._round_trip.rtt, self.receiving_rate)

    def clear(self) -> None:
        """Forget everything that waits."""
        self.buffer.clear()
        self.losses.clear()
        self._sent_again.clear()
        self.last_ack = self.buffer.next
        self._blocked_until = None
