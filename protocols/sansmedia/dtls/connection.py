"""A DTLS connection over any transport of datagrams: records, flights, time, the end.

What a version does differently stands in its handshake (`handshake12`) and in the
protection of records; all of this is the same for every version.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence

from sansmedia.sansio import (
    Datagram,
    Dice,
    ProtocolError,
    Reader,
    Terminated,
    TerminationCause,
    TimerTable,
    UsageError,
)

from .alerts import alert_for, alert_name, encode_alert
from .certificates import Fingerprint, PeerIdentity
from .config import DtlsConfig
from .constants import (
    DTLS_1_2,
    MAX_PLAINTEXT,
    AlertDescription,
    AlertLevel,
    ContentType,
    HandshakeType,
    Role,
    SrtpProfile,
)
from .events import ApplicationDataReceived, DtlsEvent, HandshakeCompleted
from .flights import FlightSender
from .fragments import Fragment, Reassembler, Reception, decode_fragment
from .handshake12 import Collaborators, Handshake12
from .handshake12_client import ClientHandshake12
from .handshake12_server import ServerHandshake12
from .handshake_wire import decode_alert
from .limits import Limits
from .record_wire import Record, decode_record
from .records import RecordLayer
from .srtp_keys import EXPORTER_LABEL, SrtpKeys, exported_size, split_srtp_keys
from .states import Input, State
from .statistics import Statistics

__all__ = ["DtlsConnection"]

_RECORD_COST = 64
"""Octets that a queued event counts in `pending_bytes` besides its data."""
_RENEGOTIATIONS = (HandshakeType.HELLO_REQUEST, HandshakeType.CLIENT_HELLO)
_FAREWELLS = (AlertDescription.CLOSE_NOTIFY, AlertDescription.USER_CANCELED)
_BEFORE_HELLO = (State.IDLE, State.WAIT_CLIENT_HELLO)
_NOBODY = ("", 0)


class _Timer(enum.Enum):
    HANDSHAKE = "handshake"
    RETRANSMISSION = "retransmission"
    ALERT_GRACE = "alert grace"


class DtlsConnection:
    """One side of a DTLS 1.2 connection.

    A client begins with `start`; a server waits for a ClientHello and keeps nothing
    before one has begun to come. Run it as any datagram machine: `receive_datagrams`,
    then `next_event` and `datagrams_to_send` until both are empty, and
    `handle_timeout` when `next_timeout` has come. Events: `HandshakeCompleted` once,
    then `ApplicationDataReceived`, and last `Terminated`.

    Args:
        role: Ours.
        config: What to offer and what to ask of the peer.
        limits: What the peer may cost.
        dice: Randomness; keys come from it too, so nothing less than `os.urandom`
            will do outside of tests.
        now: The time.
        peer: Where a client's first datagrams go. All others go to where the last
            acceptable ones came from; whoever knows paths sets the addresses anew.
    """

    def __init__(
        self,
        role: Role,
        config: DtlsConfig,
        limits: Limits | None = None,
        *,
        dice: Dice,
        now: float,
        peer: tuple[str, int] = _NOBODY,
    ) -> None:
        self._role = role
        self._config = config
        self._limits = limits or Limits()
        self._peer = peer
        self._local: tuple[str, int] | None = None
        self._records = RecordLayer(self._limits)
        self._reassembler = Reassembler(self._limits)
        self._flights = FlightSender(
            self._records,
            mtu=config.mtu,
            initial_timeout=config.initial_retransmission_timeout,
            max_timeout=config.max_retransmission_timeout,
        )
        self._identity = PeerIdentity(config.verification)
        parts = Collaborators(
            config, self._limits, dice, self._records, self._flights, self._identity
        )
        self._handshake: Handshake12 = (
            ClientHandshake12(parts)
            if role is Role.CLIENT
            else ServerHandshake12(parts)
        )
        self._timers: TimerTable[_Timer] = TimerTable()
        self._events: list[tuple[DtlsEvent, int]] = []
        self._event_bytes = 0
        self._output: list[Datagram] = []
        self._output_bytes = 0
        # Data that came authentic, but before the peer is known to be the right one.
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._suspicion = 0
        self._renegotiation_refused_at: float | None = None
        self._datagrams_received = 0
        self._datagrams_sent = 0
        self._messages_repeated = 0
        self._alerts_ignored = 0

    # --- inputs --------------------------------------------------------------------

    def receive_datagrams(self, batch: Sequence[Datagram], now: float) -> None:
        """Take up to 64 datagrams. Never raises; what nobody sent us is dropped."""
        for datagram in batch:
            if self.is_terminated:
                return
            self._datagrams_received += 1
            reader = Reader(datagram.data)
            while reader.remaining and not self.is_terminated:
                try:
                    record = decode_record(reader)
                except ProtocolError:
                    self._records.counts.malformed += 1
                    break
                self._take(record, datagram, now)
            self._flush()
        self._settle()

    def handle_timeout(self, now: float) -> None:
        """Do what is due at ``now``: a flight again, or the end."""
        for timer in self._timers.pop_due(now):
            if timer is _Timer.RETRANSMISSION:
                self._flights.handle_timeout(now, may_send=self._may_send())
            elif timer is _Timer.HANDSHAKE:
                self._say_goodbye()
                self._terminate(TerminationCause.TIMEOUT, "the handshake took too long")
                return
            else:
                name = alert_name(self._suspicion)
                self._terminate(TerminationCause.PEER, f"the peer sent alert {name}")
                return
        self._settle()

    # --- commands ------------------------------------------------------------------

    def start(self, *, now: float) -> None:
        """Send a client's first flight; a second call is void, and a server's is."""
        if isinstance(self._handshake, ClientHandshake12) and not self.is_terminated:
            if self._handshake.state is State.IDLE:
                self._timers.set(_Timer.HANDSHAKE, now + self._limits.handshake_timeout)
            self._handshake.start(now)
            self._settle()

    def set_remote_fingerprints(
        self, fingerprints: Iterable[Fingerprint], *, now: float
    ) -> None:
        """Tell which certificate the peer shall have; one match is enough.

        They may come after the handshake's last message: it completes only then.

        Args:
            fingerprints: Of ``a=fingerprint``. Those of the strongest hash count, and
                none of MD5 or an unknown one.
            now: The time.

        Raises:
            UsageError: There are none.
        """
        expected = tuple(fingerprints)
        if not expected:
            raise UsageError("a peer without a fingerprint cannot be told from others")
        if self.is_terminated:
            return
        try:
            self._identity.expect(expected)
            self._complete(now)
        except ProtocolError as error:
            self._violate(error)
        self._settle()

    def send(self, data: bytes, *, now: float) -> bool:
        """Send data in one record, which is one datagram.

        Args:
            data: Up to 16,384 octets; more than `max_data_size` may not pass the path.
            now: The time.

        Returns:
            False if nothing was sent, because the connection is not up.

        Raises:
            UsageError: More than fits into a record.
        """
        if len(data) > MAX_PLAINTEXT:
            raise UsageError(f"{len(data)} octets do not fit a record")
        if self.state is not State.CONNECTED:
            return False
        self._send_record(ContentType.APPLICATION_DATA, data)
        return True

    def close(self, reason: str = "", *, now: float) -> None:
        """Say goodbye (close_notify) and end; a second call is void."""
        if not self.is_terminated:
            self._say_goodbye()
            self._terminate(TerminationCause.LOCAL, reason or "closed")

    # --- what the handshake gave ---------------------------------------------------

    def export_keying_material(
        self, label: bytes, size: int, context: bytes | None = None
    ) -> bytes | None:
        """Return keying material for another protocol; None while not connected.

        Source: RFC 5705 §4.

        Args:
            label: Registered for the protocol.
            size: Octets wanted.
            context: Mixed in; an empty one is not the same as none.
        """
        if self.state is not State.CONNECTED:
            return None
        return self._handshake.export(label, size, context)

    def srtp_keys(self, profile: SrtpProfile | None = None) -> SrtpKeys | None:
        """Return the keys for SRTP; None while not connected or without a profile.

        Source: RFC 5764 §4.2.

        Args:
            profile: Another one than was negotiated, for whoever agreed elsewhere.
        """
        wanted = profile or self._handshake.srtp_profile
        if wanted is None:
            return None
        material = self.export_keying_material(EXPORTER_LABEL, exported_size(wanted))
        if material is None:
            return None
        return split_srtp_keys(material, wanted, self._role)

    @property
    def max_data_size(self) -> int:
        """Octets of data that `send` puts into a datagram of the MTU."""
        overhead = self._records.overhead(self._records.write_epoch)
        return self._flights.mtu - overhead

    @property
    def state(self) -> State:
        """Where the connection stands; moves as the tables in `states` say."""
        return self._handshake.state

    # --- polls ---------------------------------------------------------------------

    def datagrams_to_send(self) -> list[Datagram]:
        """Dequeue all datagrams for the peer; empty if there are none."""
        output, self._output = self._output, []
        self._output_bytes = 0
        self._datagrams_sent += len(output)
        return output

    def next_event(self) -> DtlsEvent | None:
        """Dequeue the oldest event, or None."""
        if not self._events:
            return None
        event, cost = self._events.pop(0)
        self._event_bytes -= cost
        return event

    def next_timeout(self) -> float | None:
        """Return when `handle_timeout` wants to be called next, or None."""
        return self._timers.next_timeout()

    @property
    def is_terminated(self) -> bool:
        """True once `Terminated` was queued; inputs are ignored from then on."""
        return self._handshake.state is State.TERMINATED

    @property
    def pending_bytes(self) -> int:
        """Octets held for the peer's sake (input, output, events)."""
        return (
            self._reassembler.pending_bytes
            + self._records.pending_bytes
            + self._flights.pending_bytes
            + self._handshake.pending_bytes
            + self._held_bytes
            + self._event_bytes
            + self._output_bytes
        )

    def statistics(self) -> Statistics:
        """Return a frozen record of counters."""
        counts = self._records.counts
        return Statistics(
            datagrams_received=self._datagrams_received,
            datagrams_sent=self._datagrams_sent,
            records_received=counts.received,
            records_malformed=counts.malformed,
            records_unauthentic=counts.unauthentic,
            records_replayed=counts.replayed,
            records_dropped=counts.dropped,
            messages_repeated=self._messages_repeated,
            retransmissions=self._flights.retransmissions,
            alerts_ignored=self._alerts_ignored,
            mtu=self._flights.mtu,
        )

    # --- records in ----------------------------------------------------------------

    def _take(self, record: Record, datagram: Datagram, now: float) -> None:
        """Take a record, and those that waited for what it brought."""
        waiting = [record]
        while waiting and not self.is_terminated:
            record = waiting.pop(0)
            content = self._records.open(record)
            if content is None:
                continue
            self._peer, self._local = datagram.peer, datagram.local
            if record.type is ContentType.HANDSHAKE:
                self._take_handshake(record, content, now)
            elif record.type is ContentType.ALERT:
                self._take_alert(record.epoch, content, now)
            elif record.type is ContentType.APPLICATION_DATA:
                self._take_data(record.epoch, content)
            # A ChangeCipherSpec says what the epoch of the next record says too.
            waiting.extend(self._records.take_early())

    def _take_data(self, epoch: int, data: bytes) -> None:
        if epoch == 0:
            self._records.counts.dropped += 1
        elif self.state is State.CONNECTED:
            self._emit(ApplicationDataReceived(data), len(data))
        elif self._held_bytes + len(data) + _RECORD_COST <= self._limits.early_bytes:
            self._held.append(data)
            self._held_bytes += len(data) + _RECORD_COST
        else:
            self._records.counts.dropped += 1

    def _take_handshake(self, record: Record, content: bytes, now: float) -> None:
        reader = Reader(content)
        if self._config.cookie_exchange and self.state is State.WAIT_CLIENT_HELLO:
            self._records.begin_sequence(record.sequence)
        while reader.remaining and not self.is_terminated:
            try:
                fragment = decode_fragment(reader)
            except ProtocolError:
                self._records.counts.malformed += 1
                return
            try:
                self._take_fragment(fragment, record.epoch, now)
            except ProtocolError as error:
                self._violate(error)

    def _take_fragment(self, fragment: Fragment, epoch: int, now: float) -> None:
        if self.state in (State.CONNECTED, State.WAIT_FINGERPRINTS):
            self._take_late_fragment(fragment, now)
            return
        if self.state is State.IDLE or not self._handshake.accepts(
            fragment.type, epoch
        ):
            self._records.counts.dropped += 1
            return
        match self._reassembler.feed(fragment, epoch):
            case Reception.REPEATED:
                self._repeated(fragment, now)
                return
            case Reception.DROPPED:
                self._records.counts.dropped += 1
                return
        if self._role is Role.SERVER and _Timer.HANDSHAKE not in self._timers:
            self._timers.set(_Timer.HANDSHAKE, now + self._limits.handshake_timeout)
        while not self.is_terminated:
            message = self._reassembler.next_message()
            if message is None:
                return
            self._timers.cancel(_Timer.ALERT_GRACE)
            self._handshake.receive(message, now, self._peer)
            self._complete(now)

    def _repeated(self, fragment: Fragment, now: float) -> None:
        """Answer a peer that sends its last flight again. Source: RFC 6347 §4.2.4."""
        self._messages_repeated += 1
        # Only while nothing newer has come: then it has not heard our answer.
        if fragment.sequence == self._reassembler.next_sequence - 1:
            self._flights.handle_repetition(
                fragment.sequence, now, may_send=self._may_send()
            )

    def _take_late_fragment(self, fragment: Fragment, now: float) -> None:
        """Take a fragment after the handshake's end: keys vouch for it."""
        if fragment.type in _RENEGOTIATIONS:
            self._refuse_renegotiation(now)
        elif fragment.sequence < self._reassembler.next_sequence:
            self._repeated(fragment, now)
        else:
            self._records.counts.dropped += 1

    def _refuse_renegotiation(self, now: float) -> None:
        """Say no, once a second at most. Source: RFC 5246 §7.2.2."""
        refused_at = self._renegotiation_refused_at
        if refused_at is None or now - refused_at >= 1.0:
            self._renegotiation_refused_at = now
            self._send_alert(AlertLevel.WARNING, AlertDescription.NO_RENEGOTIATION)

    def _take_alert(self, epoch: int, content: bytes, now: float) -> None:
        try:
            level, description = decode_alert(content)
        except ProtocolError:
            self._records.counts.malformed += 1
            return
        ends = level == AlertLevel.FATAL or description in _FAREWELLS
        if not ends or (epoch == 0 and self.state in _BEFORE_HELLO):
            self._alerts_ignored += 1
        elif epoch:
            self._obey_alert(description)
        else:
            self._suspect(description, now)

    def _obey_alert(self, description: int) -> None:
        """End as the peer wants it. Source: RFC 5246 §7.2.1."""
        if description == AlertDescription.CLOSE_NOTIFY:
            self._say_goodbye()
            self._terminate(TerminationCause.PEER, "the peer closed the connection")
        else:
            name = alert_name(description)
            self._terminate(TerminationCause.PEER, f"the peer sent alert {name}")

    def _suspect(self, description: int, now: float) -> None:
        """Take an alert that anybody could have sent. Source: RFC 6347 §4.1.2.7.

        A peer that means it is silent from now on; after a forged one the handshake
        goes on.
        """
        self._alerts_ignored += 1
        if _Timer.ALERT_GRACE not in self._timers:
            self._suspicion = description
            self._timers.set(_Timer.ALERT_GRACE, now + self._limits.alert_grace)

    # --- the end of the handshake --------------------------------------------------

    def _complete(self, now: float) -> None:
        """Tell that the handshake is done, once the peer is the right one."""
        handshake, chain = self._handshake, self._identity.chain
        if handshake.state is not State.WAIT_FINGERPRINTS:
            return
        self._timers.cancel(_Timer.ALERT_GRACE)
        self._reassembler.clear()
        self._records.end_handshake()
        if not self._identity.is_verified:
            return
        if handshake.cipher_suite is None or handshake.group is None:
            return
        handshake.move(Input.VERIFIED)
        self._timers.cancel(_Timer.HANDSHAKE)
        chain = chain or ()
        self._emit(
            HandshakeCompleted(
                peer_certificate=chain[0] if chain else None,
                peer_chain=chain[1:],
                srtp_profile=handshake.srtp_profile,
                cipher_suite=handshake.cipher_suite,
                version=DTLS_1_2,
                group=handshake.group,
                alpn_protocol=handshake.alpn_protocol,
                has_extended_master_secret=handshake.has_extended_master_secret,
            ),
            sum(map(len, chain)),
        )
        for data in self._held:
            self._emit(ApplicationDataReceived(data), len(data))
        self._held.clear()
        self._held_bytes = 0

    # --- out -----------------------------------------------------------------------

    def _flush(self) -> None:
        """Queue what the flights have."""
        for octets in self._flights.take_datagrams():
            self._queue(octets)

    def _settle(self) -> None:
        """Queue what the flights have, and set their timer."""
        self._flush()
        if self._flights.deadline is None:
            self._timers.cancel(_Timer.RETRANSMISSION)
        else:
            self._timers.set(_Timer.RETRANSMISSION, self._flights.deadline)

    def _may_send(self) -> bool:
        return self._output_bytes < self._limits.output_bytes

    def _queue(self, octets: bytes) -> None:
        self._output.append(Datagram(octets, self._peer, self._local))
        self._output_bytes += len(octets)

    def _send_record(self, kind: ContentType, content: bytes) -> None:
        self._flush()  # in the order in which they were sealed
        self._queue(self._records.seal(kind, content, self._records.write_epoch))

    def _send_alert(self, level: AlertLevel, description: AlertDescription) -> None:
        if self._may_send():
            self._send_record(ContentType.ALERT, encode_alert(level, description))

    def _say_goodbye(self) -> None:
        """Send close_notify if there is anybody. Source: RFC 5246 §7.2.1."""
        if self.state not in _BEFORE_HELLO:
            self._send_alert(AlertLevel.WARNING, AlertDescription.CLOSE_NOTIFY)

    def _emit(self, event: DtlsEvent, size: int = 0) -> None:
        self._events.append((event, size + _RECORD_COST))
        self._event_bytes += size + _RECORD_COST

    def _violate(self, error: ProtocolError) -> None:
        # What cryptography raised before it knows the frames that it passed, and they
        # know the machine: kept in the event, that were a cycle.
        error.__context__ = None
        self._send_alert(AlertLevel.FATAL, alert_for(error))
        self._terminate(TerminationCause.VIOLATION, error.reason, error)

    def _terminate(
        self,
        cause: TerminationCause,
        reason: str,
        error: ProtocolError | None = None,
    ) -> None:
        if not self._handshake.move(Input.END):
            return
        self._timers.clear()
        self._flush()
        self._flights.clear()
        self._reassembler.clear()
        self._records.clear()
        self._held.clear()
        self._held_bytes = 0
        self._handshake.clear()
        self._emit(Terminated(cause, reason, error))
