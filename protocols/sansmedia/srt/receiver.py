"""The receiving side of a connection: order, losses, acknowledgements, delivery.

Source: SRT draft-01 §4.5 to §4.8.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import attrs

from sansmedia.sansio import Datagram

from .acknowledger import Acknowledger
from .constants import (
    HEADER_SIZE,
    MAX_SEQUENCE_NUMBER,
    UDP_HEADER_SIZE,
    ControlType,
    KeyState,
)
from .hooks import Crypto, ReceivingFilter, ReceivingGroup
from .limits import Limits
from .loss_wire import decode_drop_request, encode_losses
from .negotiated import Negotiated
from .options import SrtOptions
from .packet_wire import (
    CONTROL_BIT,
    HEADER,
    KEY_SHIFT,
    MESSAGE_RETRANSMITTED,
    DataPacket,
)
from .receive_buffer import Insertion, ReceiveBuffer
from .reordering import ReorderTolerance
from .round_trip import RoundTrip
from .sender import TICK
from .sequence_ranges import SequenceRanges
from .tsbpd import TsbpdClock

__all__ = ["Receiver"]

_HALF: Final = 1 << 30
_TIMESTAMP_HALF: Final = 1 << 31
_MASK_32: Final = 0xFFFF_FFFF
_KEY_BITS: Final = 3 << KEY_SHIFT
_LEAST_NAK_INTERVAL: Final = 0.02
_FAR_PACKETS: Final = 64
_PAIR_MASK: Final = 15
_LIVE_NAK_DIVISOR: Final = 2
_LEAST_FILE_NAK_INTERVAL: Final = 0.3
_BELATED_AVERAGE: Final = 0.2
_LEAST_WAIT: Final = 0.0005
_FOREVER: Final = 1 << 62
_PAUSE: Final = 0.1


@attrs.define
class Delivery:
    """What has come due."""

    messages: list[tuple[int, int, bytes]]
    """Timestamp, number and data of each."""
    packets: int
    """How many packets they were."""
    dropped: int
    """Packets that were given up."""


class Receiver:
    """Takes data packets; says what to acknowledge, to ask for and to deliver.

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
        round_trip: RoundTrip,
        packet_filter: ReceivingFilter | None,
    ) -> None:
        self._largest = negotiated.mss - UDP_HEADER_SIZE - HEADER_SIZE
        self._tsbpd = negotiated.tsbpd_receive
        capacity = min(options.receive_buffer, limits.receive_bytes // self._largest)
        self.buffer = ReceiveBuffer(
            negotiated.peer_initial_sequence,
            capacity=max(capacity, 1),
            message_api=negotiated.message_api,
            may_overtake=not self._tsbpd,
        )
        self.clock = TsbpdClock(
            negotiated.peer_timestamp,
            negotiated.peer_timestamp_at,
            negotiated.receive_latency if self._tsbpd else 0.0,
            trace_drift=options.drift_tracer and self._tsbpd,
        )
        self.control: list[tuple[ControlType, int, bytes]] = []
        """Control packets to send."""
        self.reordering = ReorderTolerance(
            options.loss_max_ttl if negotiated.rexmit_flag else 0
        )
        self.received = self.received_bytes = 0
        self.unique = self.unique_bytes = 0
        self.received_again = self.lost = self.dropped = self.belated = 0
        self.belated_time = 0.0
        """Seconds that belated packets are late, smoothed."""
        self.undecrypted = self.undecrypted_bytes = 0
        self.filter_extra = self.filter_supply = self.filter_loss = 0
        self.refused = 0
        """Data packets that are too large or beyond the buffer."""
        self.naks_sent = 0
        self._crypto = crypto
        self._socket_id = negotiated.socket_id
        self._filter = packet_filter
        self._round_trip = round_trip
        self._limits = limits
        self._live = negotiated.live
        self._skipping = self._tsbpd and negotiated.tlpkt_drop
        self._flagged = negotiated.rexmit_flag
        wanted = options.nak_report
        self._nak_report = negotiated.live if wanted is None else wanted
        self._wanted = SequenceRanges()
        self._fresh: list[tuple[int, int]] = []
        self._nak_at = math.inf
        self.acks = Acknowledger(
            negotiated.peer_initial_sequence,
            full_size=self._largest,
            live=self._live,
            round_trip=round_trip,
            control=self.control,
        )
        """When to acknowledge what."""
        self._reference = 0
        self._now = negotiated.peer_timestamp_at
        self._deliver_at = math.inf
        self._delivered_at = -math.inf
        self._is_rescheduled = False
        self._far: tuple[int, int] = (0, 0)
        self.group: ReceivingGroup | None = None
        """What delivers instead, for a member of a group."""

    # Data.

    def begin(self, now: float) -> None:
        """Prepare for packets that are taken now."""
        self._now = now
        self._reference = self.clock.expected(now)

    def take_run(
        self,
        batch: Sequence[Datagram],
        index: int,
        now: float,
        overtaking: list[tuple[int, int, bytes]],
    ) -> int:
        """Take data packets up to the next control packet; return where that is.

        What is in order and as usual is done here, without a call for each packet: that
        halves what receiving costs. The rest goes through `take`.

        Args:
            batch: Datagrams, each with a whole header.
            index: Where to begin.
            now: The time.
            overtaking: Ends a run as well when a message of `take` goes into it.
        """
        buffer = self.buffer
        append, unpack, decrypt = buffer.ordered.append, HEADER.unpack_from, None
        secured = self._crypto.state_receive is KeyState.SECURED
        if secured:
            decrypt = self._crypto.decrypt
        usual = self._live and self._filter is None and self.group is None
        usual = usual and not self.reordering.tolerance
        largest = self._largest + HEADER_SIZE
        socket_id = self._socket_id
        reference = self._reference
        before = reference - _TIMESTAMP_HALF
        after = _TIMESTAMP_HALF - reference
        special = MESSAGE_RETRANSMITTED | (0 if secured else _KEY_BITS)
        count = octets = 0
        expected = buffer.expected
        # As long as nothing is missing; recounted after every packet that is special.
        room = buffer.available if usual and buffer.highest < expected else 0
        end = len(batch)
        while index < end:
            datagram = batch[index]
            data = datagram.data
            wire, word, timestamp, _ = unpack(data)
            if wire & CONTROL_BIT:
                break
            index += 1
            size = len(data)
            payload: bytes | None = data[HEADER_SIZE:]
            if (
                room > 0
                and wire == expected & MAX_SEQUENCE_NUMBER
                and not word & special
                and size <= largest
            ):
                if decrypt is not None:
                    packet = DataPacket(
                        wire, word, timestamp, socket_id, data[HEADER_SIZE:]
                    )
                    payload = decrypt(packet) if word & _KEY_BITS else None
                if payload is not None:
                    if wire & _PAIR_MASK < 2:
                        self._probe(wire, expected, datagram.at, size - HEADER_SIZE)
                    append((before + ((timestamp + after) & _MASK_32), word, payload))
                    expected += 1
                    room -= 1
                    count += 1
                    octets += len(payload)
                    continue
            if count:
                self._count_usual(expected, count, octets)
                count = octets = 0
            at = datagram.at
            message = self.take(
                wire, word, timestamp, data[HEADER_SIZE:], at if 0 < at <= now else now
            )
            if message is not None:
                overtaking.append(message)
                return index
            expected = buffer.expected
            room = buffer.available if usual and buffer.highest < expected else 0
        if count:
            self._count_usual(expected, count, octets)
        return index

    def _count_usual(self, expected: int, count: int, octets: int) -> None:
        """Note what `take_run` did by itself."""
        buffer = self.buffer
        buffer.expected = expected
        buffer.highest = expected - 1
        buffer.octets += octets
        self.received += count
        self.received_bytes += octets + count * self._crypto.overhead
        self.unique += count
        self.unique_bytes += octets
        self.acks.since += count

    def _probe(self, wire: int, sequence: int, at: float, size: int) -> None:
        """Take one of a pair of packets that left together."""
        if wire & _PAIR_MASK:
            self.acks.capacity.second(sequence, at, size)
        else:
            self.acks.capacity.first(sequence, at)

    def take(
        self, wire: int, word: int, timestamp: int, payload: bytes, at: float
    ) -> tuple[int, int, bytes] | None:
        """Take a data packet; return a message that may overtake others, if whole.

        Args:
            wire: The sequence number as it stands in the packet.
            word: The second word.
            timestamp: As it stands in the packet.
            payload: The rest.
            at: When it arrived.
        """
        size = len(payload)
        self.received += 1
        self.received_bytes += size
        buffer = self.buffer
        sequence = buffer.expected
        if self.group is not None:
            sequence = self.group.expected
        sequence += ((wire - sequence + _HALF) & MAX_SEQUENCE_NUMBER) - _HALF
        again = word & MESSAGE_RETRANSMITTED if self._flagged else 0
        if again:
            self.received_again += 1
        elif wire & _PAIR_MASK < 2 and sequence > buffer.highest:
            self._probe(wire, sequence, at, size)
        if size > self._largest:
            self.refused += 1
            return None
        if self._filter is not None:
            packet = DataPacket(wire, word, timestamp, self._socket_id, payload)
            self._filtered(self._filter, packet, sequence)
            return None
        return self._store(sequence, word, timestamp, payload)

    def _filtered(
        self, receiving_filter: ReceivingFilter, packet: DataPacket, came: int
    ) -> None:
        """Send a packet through the filter, and take what comes out."""
        if not packet.message_number:
            self.filter_extra += 1
        result = receiving_filter.feed(packet)
        for one in result.packets:
            distance = (one.sequence - came + _HALF) & MAX_SEQUENCE_NUMBER
            if not packet.message_number or one.sequence != packet.sequence:
                self.filter_supply += 1
            self._store(
                came + distance - _HALF, one.message, one.timestamp, one.payload
            )
        for wire_low, wire_high in result.losses:
            low = came + ((wire_low - came + _HALF) & MAX_SEQUENCE_NUMBER) - _HALF
            high = low + ((wire_high - wire_low) & MAX_SEQUENCE_NUMBER)
            for part in self.buffer.missing.within(low, high):
                self.filter_loss += part[1] - part[0] + 1
                if receiving_filter.arq == "onreq":
                    self._want(*part, held_back=False)

    def _store(
        self, sequence: int, word: int, timestamp: int, payload: bytes
    ) -> tuple[int, int, bytes] | None:
        buffer = self.buffer
        reference = self._reference
        # Unwrapped around what the peer's clock must show by now.
        timestamp = (
            reference
            + ((timestamp - reference + _TIMESTAMP_HALF) & _MASK_32)
            - _TIMESTAMP_HALF
        )
        if self.group is not None and not self.group.admit(self, sequence):
            self.refused += 1
            return None
        highest = buffer.highest
        if (
            sequence != highest + 1
            or sequence != buffer.expected
            or (not buffer.available)
        ):
            outcome = buffer.look(sequence)
            if outcome is not Insertion.NEW:
                self._reject(outcome, sequence, timestamp, payload)
                return None
        plain: bytes | None = payload
        if word & _KEY_BITS or self._crypto.state_receive is KeyState.SECURED:
            plain = self._decrypted(sequence, word, timestamp, payload)
        if self.group is None:
            buffer.insert(sequence, (timestamp, word, plain))
        else:
            buffer.insert(sequence, (timestamp, word, None))
            self.group.take(self, sequence, (timestamp, word, plain))
        self.acks.since += 1
        if sequence != highest + 1:
            # What is delivered next may be another one now.
            self._is_rescheduled = True
        if plain is not None:
            self.unique += 1
            self.unique_bytes += len(plain)
        if sequence > highest:
            if sequence > highest + 1:
                self.lose(highest + 1, sequence - 1)
        else:
            self._find(sequence, word, highest)
        if self.reordering.tolerance:
            self._count_for_tolerance(sequence > highest, word)
        if not self._live:
            return self._overtaking(sequence, word, payload)
        return None

    def _overtaking(
        self, sequence: int, word: int, payload: bytes
    ) -> tuple[int, int, bytes] | None:
        if len(payload) < self._largest - self._crypto.overhead:
            # It ends a message: the sender may be waiting for this to be known.
            self.acks.want(self._now)
        return self.buffer.overtake(sequence)

    def _decrypted(
        self, sequence: int, word: int, timestamp: int, payload: bytes
    ) -> bytes | None:
        plain = None
        if word & _KEY_BITS:
            # The bit says how it came, not what was encrypted.
            word &= ~MESSAGE_RETRANSMITTED
            plain = self._crypto.decrypt(
                DataPacket(
                    sequence & MAX_SEQUENCE_NUMBER,
                    word,
                    timestamp & _MASK_32,
                    self._socket_id,
                    payload,
                )
            )
        if plain is None:
            # Acknowledged all the same: sending it again would not help.
            self.undecrypted += 1
            self.undecrypted_bytes += len(payload)
            self.dropped += 1
        return plain

    def _reject(
        self, outcome: Insertion, sequence: int, timestamp: int, payload: bytes
    ) -> None:
        if outcome is Insertion.BELATED:
            self.belated += 1
            late = self._now - self.clock.delivery_time(timestamp)
            self.belated_time += (late - self.belated_time) * _BELATED_AVERAGE
        elif outcome is Insertion.FULL:
            self.refused += 1
            self._notice_far(sequence)

    def _notice_far(self, sequence: int) -> None:
        """Go on from far ahead if that is where the peer is, after a long outage.

        libsrt breaks the connection. One packet is no proof, for anybody can send one.
        """
        last, count = self._far
        count = count + 1 if 0 < sequence - last <= _FAR_PACKETS else 1
        self._far = (sequence, count)
        buffer = self.buffer
        if count < self._limits.early_records or not self._skipping:
            return
        if buffer.is_empty:
            self._far = (0, 0)
            self.dropped += buffer.restart(sequence + 1)
            self._wanted.clear()
            self._fresh.clear()

    # Losses.

    def lose(self, low: int, high: int) -> None:
        """Take it that packets are missing."""
        count = high - low + 1
        self.lost += count
        if self._filter is None or self._filter.arq == "always":
            self._want(low, high, held_back=self.reordering.hold_back(low, high))

    def _want(self, low: int, high: int, *, held_back: bool) -> None:
        if len(self._wanted) >= self._limits.loss_ranges:
            return
        self._wanted.add(low, high)
        if not held_back:
            self._fresh.append((low, high))
        if self._nak_at == math.inf and self._nak_report:
            self._nak_at = self._now + self._nak_interval()

    def _find(self, sequence: int, word: int, highest: int) -> None:
        """Take it that a missing packet came after all."""
        if self._wanted.count:
            self._wanted.discard(sequence, sequence)
        if self._flagged and not word & MESSAGE_RETRANSMITTED:
            self.reordering.out_of_order(sequence, highest)

    def _count_for_tolerance(self, in_order: bool, word: int) -> None:
        for low, high in self.reordering.count():
            self._fresh += self._wanted.within(low, high)
        if in_order or word & MESSAGE_RETRANSMITTED:
            self.reordering.in_order()

    def _nak_interval(self) -> float:
        """Return the time between two reports of the same losses."""
        trip = self._round_trip
        wait = trip.rtt + 4 * trip.variance
        if self._live:
            return max(wait / _LIVE_NAK_DIVISOR, _LEAST_NAK_INTERVAL)
        pace = self.acks.pace[0]
        if pace:
            wait += self._wanted.count / pace
        return max(wait, _LEAST_FILE_NAK_INTERVAL)

    def _report(self, ranges: list[tuple[int, int]]) -> None:
        if ranges:
            field = encode_losses(ranges, size=self._largest)
            self.control.append((ControlType.NAK, 0, field))
            self.naks_sent += 1

    def drop_request(self, field: bytes) -> int:
        """Take it that the peer will not send some packets; return how many go.

        Where packets too late are skipped anyway, they are only not asked for any
        more: what is on its way may still be in time.

        Raises:
            ProtocolError: The field is no range, or a longer one than could be.
        """
        buffer = self.buffer
        wire_low, wire_high = decode_drop_request(field, longest=_HALF - 1)
        reference = buffer.expected
        low = (wire_low - reference + _HALF) & MAX_SEQUENCE_NUMBER
        low += reference - _HALF
        high = low + ((wire_high - wire_low) & MAX_SEQUENCE_NUMBER)
        self._wanted.discard(low, high)
        if self._skipping:
            # A gap that begins where the packets end would be reported otherwise.
            if low <= buffer.highest + 1:
                buffer.await_up_to(high)
            return 0
        if low > buffer.highest + 1:
            return 0
        dropped = buffer.give_up(low, high)
        self.dropped += dropped
        self.acks.want(self._now)
        return dropped

    # Acknowledgements.

    def finish(self, now: float) -> None:
        """Report and acknowledge what the packets taken since `begin` ask for."""
        if self._fresh:
            ranges: list[tuple[int, int]] = []
            for low, high in self._fresh:
                # What came in the same go needs no report.
                ranges += self._wanted.within(low, high)
            self._fresh.clear()
            self._report(ranges)
        acks = self.acks
        if acks.since:
            acks.want_soon()
        if acks.at <= now:
            self._acknowledge(now)
        else:
            acks.acknowledge_lightly(self.buffer.expected)

    def _acknowledge(self, now: float) -> None:
        buffer = self.buffer if self.group is None else self.group.buffer
        self.acks.acknowledge(
            self.buffer.expected,
            now,
            available=buffer.available,
            packets=self.received,
            octets=self.received_bytes,
        )

    def reopen(self, now: float) -> None:
        """Tell the peer that there is room again, if it heard that there is none."""
        if self.acks.was_full:
            self._acknowledge(now)

    def acknowledged(self, number: int, timestamp: int, at: float) -> None:
        """Take the answer to a full acknowledgement."""
        entry = self.acks.find(number)
        if entry is None:
            return
        sequence, sent_at = entry
        rtt = at - sent_at
        if rtt <= 0:
            return
        self._round_trip.add(rtt)
        if self.group is None:
            self.clock.add_sample(timestamp, at, rtt)
        else:
            self.group.add_sample(self, timestamp, at, rtt)
        self.acks.confirm(sequence, expected=self.buffer.expected)

    # Delivery and time.

    def is_due(self, now: float) -> bool:
        """Tell whether `deliver` has anything; call it after packets were taken."""
        if self.group is not None:
            self.buffer.ordered.clear()
            return False
        if not self._tsbpd:
            return bool(self.buffer.ordered)
        if self._is_rescheduled or (
            self._deliver_at == math.inf and not self.buffer.is_empty
        ):
            self._is_rescheduled = False
            self._schedule(now)
        return self._deliver_at <= now

    def deliver(self, now: float, *, everything: bool = False) -> Delivery | None:
        """Take out what is due, or None.

        Args:
            now: The time.
            everything: Whether to deliver ahead of time, for nothing comes any more.
        """
        buffer = self.buffer
        if self.group is not None:
            buffer.ordered.clear()
            return None
        if everything:
            packets, dropped = buffer.deliver(_FOREVER, skipping=True)
        else:
            due = self.clock.due(now) if self._tsbpd else None
            packets, dropped = buffer.deliver(due, skipping=self._skipping)
        if not packets and not dropped:
            self._schedule(now)
            self._deliver_at = max(self._deliver_at, now + _LEAST_WAIT)
            return None
        self._delivered_at = now
        self._schedule(now)
        if dropped:
            self.dropped += dropped
            self._wanted.discard_below(buffer.expected)
            self.acks.want_soon()
        return Delivery(buffer.assemble(packets), len(packets), dropped)

    def _schedule(self, now: float) -> None:
        """Set when something comes due."""
        self._deliver_at = math.inf
        if not self._tsbpd:
            return
        timestamp = self.buffer.next_timestamp(skipping=self._skipping)
        if timestamp is not None:
            # Packets come due one by one; a tick takes several.
            at = self.clock.delivery_time(timestamp)
            self._deliver_at = max(at, self._delivered_at + TICK)

    def postpone(self, now: float) -> None:
        """Deliver nothing for now."""
        self._deliver_at = now + _PAUSE

    def next_timeout(self) -> float:
        """Return when `handle_timeout` has something to do."""
        deadline = self.acks.at
        if self._nak_at < deadline:
            deadline = self._nak_at
        return self._deliver_at if self._deliver_at < deadline else deadline

    def handle_timeout(self, now: float) -> None:
        """Acknowledge and report what is due; delivery is `deliver`'s."""
        self._now = now
        if self._nak_at <= now:
            if self._wanted.count:
                self._report(list(self._wanted))
                self._nak_at = now + self._nak_interval()
            else:
                self._nak_at = math.inf
        if self.acks.at <= now:
            self._acknowledge(now)

    # Members of groups.

    def begin_at(self, sequence: int) -> None:
        """Expect this packet next, whatever came before."""
        self.buffer.clear()
        self.buffer.restart(sequence)
        self._wanted.clear()
        self._fresh.clear()
        self.acks.begin_at(sequence)
        self._deliver_at = math.inf

    def give_up(self, low: int, high: int, now: float = 0.0) -> int:
        """Wait no more for what is missing of a range; return how much that was."""
        high = min(high, self.buffer.highest)
        count = self.buffer.give_up(low, high)
        if count:
            self._wanted.discard(low, high)
            self.acks.want_soon(max(now + _LEAST_WAIT, self._now))
        return count

    def clear(self) -> None:
        """Forget everything that waits."""
        self.buffer.clear()
        self._wanted.clear()
        self._fresh.clear()
        self.acks.stop()
        self._nak_at = self._deliver_at = math.inf

    @property
    def average_size(self) -> float:
        """Octets of payload of a packet, on average."""
        return self.unique_bytes / self.unique if self.unique else self._largest
