"""One established SRT connection: a datagram machine of its own.

Source: SRT draft-01 §3.2 and §4.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from typing import Final

import attrs

from sansmedia.sansio import (
    Datagram,
    ProtocolError,
    Terminated,
    TerminationCause,
    UsageError,
)

from .ack_wire import decode_ack
from .connection_events import (
    BufferDrained,
    ConnectionEvent,
    KeyStateChanged,
    MessagesDropped,
    MessagesReceived,
    PeerErrorReceived,
    ReceivedMessage,
    SendReady,
)
from .constants import (
    HEADER_SIZE,
    ControlType,
)
from .hooks import Crypto, ReceivingFilter, SendingFilter
from .limits import Limits
from .measurements import take_statistics
from .negotiated import Negotiated
from .options import SrtOptions
from .packet_wire import CONTROL_BIT, HEADER, MESSAGE_IN_ORDER
from .payload_size import payload_limit
from .receiver import Receiver
from .round_trip import RoundTrip
from .sender import Sender
from .statistics import LinkQuality, Statistics

__all__ = ["Connection"]

_KEEPALIVE: Final = 1.0
_LEAST_EXPIRY: Final = 0.3
_EXPIRIES: Final = 17
# Subtypes of user-defined packets (SRT draft-01 §3.2.2 and table 5).
_KEY_REQUEST: Final = 3
_KEY_RESPONSE: Final = 4
_ANSWERS: Final = (
    (CONTROL_BIT >> 16 | ControlType.ACK).to_bytes(2),
    (CONTROL_BIT >> 16 | ControlType.ACKACK).to_bytes(2),
)
"""How packets begin that answer ours."""
_TELLING: Final = frozenset(
    {ControlType.DROPREQ, ControlType.PEERERROR, ControlType.USER_DEFINED}
)
# libsrt sends a word of nothing where a packet has no field, and some implementations
# count on it.
_NO_FIELD: Final = bytes(4)


class Connection:
    """Carries messages both ways once a handshake has succeeded.

    What belongs to it by socket id and address is handed over by an endpoint, which
    keeps handshake packets for itself. A driver that has no endpoint does the same::

        connection.receive_datagrams(batch, now)
        while (event := connection.next_event()) is not None:
            ...
        for datagram in connection.datagrams_to_send():
            ...

    Events: `MessagesReceived`, `MessagesDropped`, `SendReady`, `BufferDrained`,
    `PeerErrorReceived`, `KeyStateChanged`, `Terminated`.

    Args:
        negotiated: What the handshake left.
        crypto: Keys, as the handshake left them.
        options: What this side wants.
        limits: What the peer may cost.
        peer: Where packets go.
        local: Where they leave, None: anywhere.
        now: The time.
        filter_sender: Makes packets of the agreed filter.
        filter_receiver: Recovers packets by it.
    """

    def __init__(
        self,
        negotiated: Negotiated,
        crypto: Crypto,
        options: SrtOptions,
        limits: Limits | None = None,
        *,
        peer: tuple[str, int],
        local: tuple[str, int] | None = None,
        now: float,
        filter_sender: SendingFilter | None = None,
        filter_receiver: ReceivingFilter | None = None,
    ) -> None:
        self.negotiated = negotiated
        """What the handshake left."""
        self.socket_id = negotiated.socket_id
        """Ours."""
        self.peer = peer
        """Where packets go."""
        self.is_terminated = False
        """Whether the last event was queued."""
        self._crypto = crypto
        self._options = options
        self._limits = limits or Limits()
        self.local = local
        """Where they leave; None: anywhere."""
        self._round_trip = RoundTrip()
        self._sender = Sender(
            negotiated,
            crypto,
            options,
            self._limits,
            payload_size=payload_limit(negotiated, options, crypto),
            round_trip=self._round_trip,
            packet_filter=filter_sender,
            now=now,
        )
        self._receiver = Receiver(
            negotiated,
            crypto,
            options,
            self._limits,
            round_trip=self._round_trip,
            packet_filter=filter_receiver,
        )
        self._events: deque[tuple[ConnectionEvent, int]] = deque()
        self._event_bytes = 0
        self._output: list[bytes] = []
        self.output_bytes = 0
        """Octets that `datagrams_to_send` has."""
        self._heard_at = now
        self._sent_at = now
        self._keepalive_at = -math.inf
        self._linger_until = math.inf
        self._reason = ""
        self._wants_room = False
        self._is_drained = True
        self._is_paused = False
        self._key_states = (crypto.state_send, crypto.state_receive)
        self._key_packets = 0
        self._key_second = now
        self._acks_received = self._naks_received = self._refused = 0
        self._overtaking: list[tuple[int, int, bytes]] = []
        self._idle_after = options.peer_idle_timeout

    # What the peer sends.

    def receive_datagrams(self, batch: Sequence[Datagram], now: float) -> None:
        """Take datagrams that are this connection's."""
        if self.is_terminated:
            return
        if min([len(datagram.data) for datagram in batch], default=0) < HEADER_SIZE:
            batch = self._whole(batch)
            if not batch:
                return
        self._heard_at = now
        if len(batch) == 1 and batch[0].data[:2] in _ANSWERS:
            # All that a viewer sends, as a rule: the receiver has nothing to do.
            self._take_control(batch[0], now)
            if self._is_busy:
                self._flush(now)
            return
        receiver, overtaking = self._receiver, self._overtaking
        receiver.begin(now)
        index = 0
        while index < len(batch):
            index = receiver.take_run(batch, index, now, overtaking)
            if overtaking:
                self._deliver(now)
            elif index < len(batch):
                self._take_control(batch[index], now)
                if self._has_ended():
                    return
                index += 1
        if receiver.is_due(now):
            self._deliver(now)
        receiver.finish(now)
        self._flush(now)

    def _whole(self, batch: Sequence[Datagram]) -> list[Datagram]:
        """Leave out what has no whole header."""
        whole = [one for one in batch if len(one.data) >= HEADER_SIZE]
        self._refused += len(batch) - len(whole)
        return whole

    def _take_control(self, datagram: Datagram, now: float) -> None:
        first, information, timestamp, _ = HEADER.unpack_from(datagram.data)
        kind = first >> 16 & 0x7FFF
        field = datagram.data[HEADER_SIZE:]
        if kind in _TELLING:
            # What came before is told before.
            self._deliver(now)
        try:
            if kind == ControlType.ACK:
                self._take_ack(information, field, now)
            elif kind == ControlType.ACKACK:
                at = datagram.at if 0 < datagram.at <= now else now
                self._receiver.acknowledged(information, timestamp, at)
            elif kind == ControlType.NAK:
                self._naks_received += 1
                self._sender.report_losses(field)
            elif kind == ControlType.DROPREQ:
                self._drop(self._receiver.drop_request(field))
            elif kind == ControlType.SHUTDOWN:
                self._deliver(now, everything=True)
                self._end(TerminationCause.PEER, "the peer closed the connection")
            elif kind == ControlType.KEEPALIVE:
                self._keepalive_at = now
            elif kind == ControlType.CONGESTION_WARNING:
                self._sender.congestion.warn()
            elif kind == ControlType.PEERERROR:
                if not self._sender.is_live:
                    self._tell(PeerErrorReceived(self.socket_id, information))
            elif kind == ControlType.USER_DEFINED:
                self._take_key_material(first & 0xFFFF, field, now)
        except ProtocolError:
            self._refused += 1

    def _take_ack(self, number: int, field: bytes, now: float) -> None:
        acknowledgement = decode_ack(field)
        self._acks_received += 1
        receiving = self._receiver.received > 0
        taken = self._sender.acknowledge(acknowledgement, now, receiving=receiving)
        # A light one has no number and wants no answer.
        if taken and acknowledgement.available is not None and number:
            self._send_control(ControlType.ACKACK, number, _NO_FIELD, now)

    def _take_key_material(self, subtype: int, field: bytes, now: float) -> None:
        if now - self._key_second >= 1.0:
            self._key_second = now
            self._key_packets = 0
        self._key_packets += 1
        if self._key_packets > self._limits.key_packets:
            self._refused += 1
            return
        if subtype == _KEY_REQUEST:
            answer = self._crypto.receive_key_request(field)
            self._send_control(
                ControlType.USER_DEFINED, 0, answer, now, subtype=_KEY_RESPONSE
            )
        elif subtype == _KEY_RESPONSE:
            self._crypto.receive_key_response(field)
        self._watch_keys()

    def _watch_keys(self) -> None:
        states = (self._crypto.state_send, self._crypto.state_receive)
        if states != self._key_states:
            self._key_states = states
            self._tell(KeyStateChanged(self.socket_id, *states))

    # What the program sends.

    @property
    def encryption(self) -> str:
        """What is in use, as in ``AES-CTR-128``; empty for nothing."""
        return self._crypto.encryption

    @property
    def payload_size(self) -> int:
        """Octets that one packet carries at most; in live mode one message."""
        return self._sender.buffer.payload_size

    @property
    def send_room(self) -> int:
        """Packets that still fit into the send buffer."""
        return self._sender.buffer.room

    def send(
        self,
        messages: Sequence[bytes],
        now: float,
        *,
        source_time: float | None = None,
        in_order: bool = True,
        ttl: float | None = None,
    ) -> int:
        """Queue messages; they go out by pacing, through `datagrams_to_send`.

        In stream mode the borders between them are lost on the way.

        Args:
            messages: Each of at most `payload_size` octets in live mode, and of what
                the buffer holds otherwise; none empty.
            now: The time.
            source_time: When they came from their source, on the clock of ``now``, if
                that was not now; delivery keeps the distances of these.
            in_order: Whether the receiver keeps their order (message mode of files).
            ttl: Seconds after which a message is not sent any more (the same).

        Returns:
            How many were taken. Those that there was no room for are dropped and
            counted in live mode; otherwise `SendReady` says when to offer them again.

        Raises:
            UsageError: A message is empty or can never be sent.
        """
        taken = self._queue(messages, now, source_time, in_order, ttl)
        self._flush(now)
        return taken

    def write(
        self, run: Sequence[bytes], now: float, *, source_time: float | None = None
    ) -> list[bytes]:
        """Queue messages and return the packets that may go at once, in wire form.

        The lane of bulk media: the caller sends them to `peer` itself. What pacing or
        the window hold back leaves by `datagrams_to_send` as time passes.

        Raises:
            UsageError: A message is empty or can never be sent.
        """
        self._queue(run, now, source_time, True, None)
        if self.is_terminated:
            return []
        packets: list[bytes] = []
        self._sender.transmit(now, packets)
        if packets:
            self._sent_at = now
        if self._sender.control:
            self._flush_control(now)
        return packets

    def _queue(
        self,
        messages: Sequence[bytes],
        now: float,
        source_time: float | None,
        in_order: bool,
        ttl: float | None,
    ) -> int:
        if not messages or self.is_terminated or self._linger_until < math.inf:
            return 0
        sender = self._sender
        origin = now if source_time is None else source_time
        origin = min(max(origin, self.negotiated.start_time), now)
        sizes = [len(message) for message in messages]
        if 0 in sizes:
            raise UsageError("an empty message cannot be sent")
        largest = max(sizes)
        self._tell_unsent(sender.drop_late(now))
        if largest <= self.payload_size and ttl is None:
            flags = MESSAGE_IN_ORDER if in_order else 0
            taken = sender.queue_solo(messages, origin, flags, now)
        elif sender.is_live:
            raise UsageError(
                f"{largest} octets are too long: {self.payload_size} fit a packet"
            )
        else:
            expires = math.inf if ttl is None else now + ttl
            taken = 0
            for message in messages:
                if not sender.queue_message(
                    message, origin, in_order=in_order, expires=expires
                ):
                    break
                taken += 1
        self._is_drained = False
        if taken < len(messages):
            self._refuse(messages[taken:])
        return taken

    def _refuse(self, messages: Sequence[bytes]) -> None:
        self._wants_room = True
        if self._sender.is_live:
            self._sender.dropped += len(messages)
            self._sender.dropped_bytes += sum(map(len, messages))
            self._tell_unsent(len(messages))

    def close(self, reason: str = "", *, now: float) -> None:
        """Tell the peer and end; in file mode first send what is not acknowledged.

        That takes `Limits.linger` at most; calling again ends it at once.
        """
        if self.is_terminated:
            return
        buffer = self._sender.buffer
        lingers = not self._sender.is_live and buffer.first < buffer.end
        if lingers and self._linger_until == math.inf:
            self._linger_until = now + self._limits.linger
            self._reason = reason
            return
        self._say_goodbye(reason, now)

    def _say_goodbye(self, reason: str, now: float) -> None:
        self._send_control(ControlType.SHUTDOWN, 0, _NO_FIELD, now)
        self._end(TerminationCause.LOCAL, reason)

    def send_peer_error(self, code: int = 4000, *, now: float) -> None:
        """Tell the peer that what it sent could not be processed (file mode)."""
        if not self.is_terminated:
            self._send_control(ControlType.PEERERROR, code, _NO_FIELD, now)

    # What a group needs.

    @property
    def sender(self) -> Sender:
        """The sending side, for a group."""
        return self._sender

    @property
    def receiver(self) -> Receiver:
        """The receiving side, for a group."""
        return self._receiver

    def begin_at(self, start_time: float) -> None:
        """Count our timestamps from another time: that of a group."""
        self.negotiated = attrs.evolve(self.negotiated, start_time=start_time)
        self._sender.buffer.begin_at(start_time)

    def keep_alive(self, now: float) -> None:
        """Tell the peer now that there is nothing to say."""
        if not self.is_terminated:
            self._send_control(ControlType.KEEPALIVE, 0, _NO_FIELD, now)

    # What goes out.

    def _send_control(
        self,
        kind: ControlType,
        information: int,
        field: bytes,
        now: float,
        *,
        subtype: int = 0,
    ) -> None:
        if self.output_bytes > self._limits.output_bytes:
            return
        header = HEADER.pack(
            CONTROL_BIT | kind << 16 | subtype,
            information,
            self._sender.buffer.timestamp(now),
            self.negotiated.peer_socket_id,
        )
        self._output.append(header + field)
        self.output_bytes += HEADER_SIZE + len(field)
        self._sent_at = now

    def _flush_control(self, now: float) -> None:
        for part in (self._receiver.control, self._sender.control):
            if part:
                for kind, information, field in part:
                    self._send_control(kind, information, field, now)
                part.clear()

    @property
    def _is_busy(self) -> bool:
        """Whether `_flush` has anything to do once an answer has come."""
        sender = self._sender
        buffer = sender.buffer
        return bool(
            buffer.first == buffer.end
            or buffer.next < buffer.end
            or sender.losses.count
            or sender.control
            or self._wants_room
            or self._crypto.next_timeout() is not None
        )

    def _flush(self, now: float) -> None:
        """Put out everything that may go now."""
        if self.is_terminated:
            return
        if not self._sender.has_work:
            pass
        elif self.output_bytes <= self._limits.output_bytes:
            before = len(self._output)
            self._sender.transmit(now, self._output)
            if len(self._output) > before:
                self.output_bytes += sum(map(len, self._output[before:]))
                self._sent_at = now
        else:
            self._sender.postpone(now)
        self._flush_control(now)
        deadline = self._crypto.next_timeout()
        if deadline is not None and deadline <= now:
            rtt = self._round_trip.rtt
            for subtype, field in self._crypto.take_control(now, rtt):
                kind = ControlType.USER_DEFINED
                self._send_control(kind, 0, field, now, subtype=subtype)
            self._watch_keys()
        if self._wants_room or not self._is_drained:
            self._watch_buffer(now)

    def _watch_buffer(self, now: float) -> None:
        buffer = self._sender.buffer
        if self._wants_room and buffer.room:
            self._wants_room = False
            self._tell(SendReady(self.socket_id))
        if buffer.first == buffer.end:
            self._is_drained = True
            if not self._sender.is_live:
                self._tell(BufferDrained(self.socket_id))
            if self._linger_until < math.inf:
                self._say_goodbye(self._reason, now)

    def datagrams_to_send(self) -> list[Datagram]:
        """Dequeue all datagrams for the peer."""
        if not self._output:
            return []
        output, peer, local = self._output, self.peer, self.local
        if len(output) == 1:
            datagrams = [Datagram(output[0], peer, local)]
        else:
            datagrams = [Datagram(data, peer, local) for data in output]
        output.clear()
        self.output_bytes = 0
        return datagrams

    # What comes out.

    def _deliver(self, now: float, *, everything: bool = False) -> None:
        receiver = self._receiver
        delivery = None
        if self._is_paused or self._event_bytes > self._limits.receive_bytes:
            receiver.postpone(now)
        else:
            delivery = receiver.deliver(now, everything=everything)
        if delivery is None and not self._overtaking:
            return
        base = receiver.clock.base
        due: list[tuple[int, int, bytes]] = []
        if delivery is not None:
            due = delivery.messages
            self._drop(delivery.dropped)
        if self._overtaking:
            due = due + self._overtaking
            self._overtaking.clear()
        messages = [
            ReceivedMessage(data, base + timestamp / 1e6, timestamp, number)
            for timestamp, number, data in due
        ]
        if messages:
            size = sum([len(message.data) for message in messages])
            self._event_bytes += size
            self._events.append((MessagesReceived(self.socket_id, messages), size))

    def pause(self, *, now: float) -> None:
        """Deliver nothing until `resume`: the receive buffer fills up.

        In file mode the peer stops sending then; in live mode it goes on, and what
        does not fit is lost.
        """
        self._is_paused = True
        self._receiver.buffer.may_overtake = False

    def resume(self, *, now: float) -> None:
        """Deliver again, at once what has waited."""
        if self._is_paused and not self.is_terminated:
            self._is_paused = False
            self._receiver.buffer.may_overtake = True
            self._deliver(now)
            self._receiver.reopen(now)
            self._flush(now)

    def _drop(self, count: int) -> None:
        if count:
            self._tell(MessagesDropped(self.socket_id, count, False))

    def _tell_unsent(self, count: int) -> None:
        if count:
            self._tell(MessagesDropped(self.socket_id, count, True))

    def _tell(self, event: ConnectionEvent) -> None:
        self._events.append((event, 0))

    @property
    def has_events(self) -> bool:
        """Whether `next_event` has anything."""
        return bool(self._events)

    def next_event(self) -> ConnectionEvent | None:
        """Dequeue the oldest event."""
        if not self._events:
            return None
        event, size = self._events.popleft()
        self._event_bytes -= size
        return event

    def _has_ended(self) -> bool:
        return self.is_terminated

    def _end(self, cause: TerminationCause, reason: str) -> None:
        self.is_terminated = True
        self._events.append((Terminated(cause, reason), 0))
        self._sender.clear()
        self._receiver.clear()
        self._overtaking.clear()

    # Time.

    def _measure_idleness(self) -> None:
        """Set after which silence the peer counts as gone: 16 expirations at least."""
        trip = self._round_trip
        expiry = max(trip.rtt + 4 * trip.variance + 0.01, _LEAST_EXPIRY)
        self._idle_after = max(_EXPIRIES * expiry, self._options.peer_idle_timeout)

    def next_timeout(self) -> float | None:
        """Return when `handle_timeout` wants to be called next."""
        if self.is_terminated:
            return None
        deadline = min(
            self._sent_at + _KEEPALIVE,
            self._heard_at + self._idle_after,
            self._receiver.next_timeout(),
            self._sender.next_timeout(),
            self._linger_until,
        )
        refresh = self._crypto.next_timeout()
        return deadline if refresh is None or refresh > deadline else refresh

    def handle_timeout(self, now: float) -> None:
        """Deliver, acknowledge, report, repeat, keep alive: what is due."""
        deadline = self.next_timeout()
        if deadline is None or now < deadline:
            return
        self._measure_idleness()
        if now >= self._heard_at + self._idle_after:
            self._deliver(now, everything=True)
            self._send_control(ControlType.SHUTDOWN, 0, _NO_FIELD, now)
            self._end(TerminationCause.TIMEOUT, "nothing was heard from the peer")
            return
        if now >= self._linger_until:
            self._say_goodbye(self._reason, now)
            return
        self._deliver(now)
        self._receiver.handle_timeout(now)
        self._tell_unsent(self._sender.handle_timeout(now))
        self._flush(now)
        if not self._has_ended() and now >= self._sent_at + _KEEPALIVE:
            self._send_control(ControlType.KEEPALIVE, 0, _NO_FIELD, now)
            self._sent_at = now

    # Measurements.

    @property
    def pending_bytes(self) -> int:
        """Octets held, sent ones that are not acknowledged included."""
        return (
            self.output_bytes
            + self._event_bytes
            + self._sender.buffer.octets
            + self._receiver.buffer.octets
        )

    @property
    def link_quality(self) -> LinkQuality:
        """How good the link is at present."""
        return LinkQuality(
            heard_at=self._heard_at,
            rtt=self._round_trip.rtt,
            rtt_variance=self._round_trip.variance,
            flight_size=self._sender.flight,
            lost=self._sender.lost,
            dropped=self._sender.dropped,
            waiting_since=self._sender.waiting_since,
            keepalive_at=self._keepalive_at,
        )

    def statistics(self, now: float | None = None) -> Statistics:
        """Return counters and measurements.

        Args:
            now: The time, for what counts since the beginning; that of the last packet
                either way by default.
        """
        return take_statistics(
            self.negotiated,
            self._options,
            self._sender,
            self._receiver,
            self._round_trip,
            now=max(self._heard_at, self._sent_at) if now is None else now,
            acks_received=self._acks_received,
            naks_received=self._naks_received,
            refused=self._refused,
        )
