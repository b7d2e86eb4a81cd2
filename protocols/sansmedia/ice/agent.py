"""The machine: one ICE agent with one data stream of one component.

Source: RFC 8445, RFC 8838, RFC 6544, RFC 7675, RFC 8863.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence

from sansmedia.sansio import (
    Datagram,
    Dice,
    ProtocolError,
    Terminated,
    TerminationCause,
    UsageError,
)
from sansmedia.stun import (
    Address,
    AttributeType,
    Message,
    MessageClass,
    Method,
    decode_error_code,
    decode_message,
)

from .authentication import is_authentic
from .bases import BaseTable
from .candidate import Candidate, CandidateType, TcpType, canonical_host
from .checker import Checker, Role
from .checklist import Pair
from .config import IceConfig, require_credentials
from .consent import Consent, ConsentChange
from .events import (
    ConsentLost,
    IceEvent,
    Path,
    PathSelected,
    StateChanged,
)
from .gatherer import Gatherer
from .limits import Limits
from .outbox import Outbox
from .paths import PathTable
from .report import PairReport, Statistics, report_pairs
from .responder import Responder
from .routing import TRANSACTION_PREFIX_SIZE
from .states import AGENT, AgentInput, AgentState
from .transactions import Transaction, TransactionKind, TransactionTable

__all__ = ["IceAgent"]


class IceAgent:
    """An ICE agent, full or lite; a `DatagramMachine`.

    Give it the STUN datagrams of its session (`local_ufrag_of`,
    `transaction_prefix_of` and the paths it tells say which those are) and send what it
    gives. Events: see `IceEvent`. ::

        agent.receive_datagrams(batch, now)
        while (event := agent.next_event()) is not None:
            ...
        for datagram in agent.datagrams_to_send():
            ...  # over its transport, from `local` to `peer`
        deadline = agent.next_timeout()

    Hosts of addresses are IP addresses in their shortest form, as `socket` gives them;
    IPv4 ones have no IPv6 form. ``local`` of a datagram is where it came to, as far as
    that is known.

    Args:
        config: Roles and times.
        limits: What the peer may cost.
        dice: Credentials, tie-breaker and transaction ids come from it.
        now: The time, in seconds.
    """

    def __init__(
        self,
        config: IceConfig | None = None,
        limits: Limits | None = None,
        *,
        dice: Dice,
        now: float,
    ) -> None:
        self._config = config or IceConfig()
        self._limits = limits or Limits()
        self._dice = dice
        self._state = AgentState.NEW
        self._outbox = Outbox()
        self._bases = BaseTable(self._limits.local_candidates)
        prefix = self._config.transaction_prefix
        self.transaction_prefix = (
            dice(TRANSACTION_PREFIX_SIZE) if prefix is None else prefix
        )
        """The first octets of the transaction ids of all our requests."""
        self._transactions = TransactionTable(
            rc=self._config.rc,
            rm=self._config.rm,
            limit=self._limits.transactions,
        )
        controlling = self._config.controlling and not self._config.lite
        self._role = Role(dice, self._outbox, controlling)
        self._gatherer = Gatherer(
            self._config,
            self._bases,
            self._transactions,
            self._outbox,
            dice,
            self.transaction_prefix,
        )
        self._consent = Consent(
            self._config, self._outbox, dice, self.transaction_prefix
        )
        self._checker = self._new_session(self._config.ufrag, self._config.pwd)
        self._previous: Checker | None = None
        self._selected: PathSelected | None = None
        self._paths = PathTable(self._bases, self._outbox)
        self._responder = Responder(self._outbox, self._limits.rejections)
        self._received = 0
        self._responses = 0
        self._dropped = 0
        self._retransmissions = 0

    def _new_session(self, ufrag: str | None, pwd: str | None) -> Checker:
        # RFC 8445 §5.3: at least 24 and 128 bits of randomness.
        return Checker(
            ufrag or base64.b64encode(self._dice(6)).decode(),
            pwd or base64.b64encode(self._dice(18)).decode(),
            config=self._config,
            limits=self._limits,
            role=self._role,
            bases=self._bases,
            transactions=self._transactions,
            outbox=self._outbox,
            dice=self._dice,
            prefix=self.transaction_prefix,
        )

    # --- what to signal -----------------------------------------------------------

    @property
    def local_ufrag(self) -> str:
        """Our user name fragment, of the newest session."""
        return self._checker.ufrag

    @property
    def local_pwd(self) -> str:
        """Our password, of the newest session."""
        return self._checker.pwd

    @property
    def local_ufrags(self) -> tuple[str, ...]:
        """The user name fragments that requests may have.

        Two during a restart, and after it while the peer keeps to the old one.
        """
        if self._previous is None:
            return (self._checker.ufrag,)
        return self._checker.ufrag, self._previous.ufrag

    @property
    def local_candidates(self) -> tuple[Candidate, ...]:
        """Every candidate of ours so far."""
        return self._bases.candidates

    # --- commands -----------------------------------------------------------------

    def set_remote_parameters(
        self,
        ufrag: str,
        pwd: str,
        *,
        lite: bool = False,
        now: float,
    ) -> None:
        """Take what the peer has signalled, and begin to check.

        The same again is void. Source: RFC 8445 §6.1.1.

        Args:
            ufrag: Its user name fragment.
            pwd: Its password.
            lite: Whether it is a lite agent; then we control.
            now: In seconds.

        Raises:
            UsageError: They have a wrong form, or are others than before although
                `restart` was not called.
        """
        require_credentials(ufrag, pwd)
        if self.is_terminated:
            return
        checker = self._checker
        if checker.is_started:
            if (ufrag, pwd.encode()) != (checker.remote_ufrag, checker.remote_key):
                raise UsageError("new parameters of the peer need a restart")
            return
        if lite and not self._config.lite:
            checker.take_role(True)
        checker.start(ufrag, pwd, lite=lite, now=now)
        is_first = self._state is AgentState.NEW
        self._move(AgentInput.START if is_first else AgentInput.RESTART)
        self._settle(now)

    def add_local_candidate(
        self, candidate: Candidate, *, base: Address | None = None, now: float
    ) -> None:
        """Add a host candidate of ours.

        Source: RFC 8445 §5.1.1.1.

        Args:
            candidate: What is signalled; `host_candidate` makes it.
            base: Where its datagrams come in and leave, if that is another address: of
                a machine behind a NAT that maps one to one, or a wildcard address.
            now: In seconds.

        Raises:
            UsageError: It is no host candidate, or its host is no IP address.
        """
        address = candidate.address if base is None else base
        if (
            candidate.type is not CandidateType.HOST
            or canonical_host(candidate.host) is None
            or canonical_host(address[0]) is None
        ):
            raise UsageError("local candidates are host candidates with an IP address")
        if candidate.tcp_type is TcpType.ACTIVE:
            address = address[0], 0
        if self.is_terminated or self._bases.is_full:
            return
        added = self._bases.add(candidate, address)
        if added is not None:
            self._checker.add_base(added)
        self._settle(now)

    def gather(self, server: Address, *, now: float) -> None:
        """Ask a STUN server how it sees our UDP candidates.

        Each new address is told by `LocalCandidateFound`, the end by
        `GatheringCompleted`. Source: RFC 8445 §5.1.1.2.

        Args:
            server: Its address; names are resolved by the caller.
            now: In seconds.

        Raises:
            UsageError: The host is no IP address.
        """
        if canonical_host(server[0]) is None:
            raise UsageError(f"{server[0]!r} is no IP address")
        if not self.is_terminated:
            self._gatherer.ask(server)
            self._settle(now)

    def add_remote_candidate(self, candidate: Candidate, *, now: float) -> None:
        """Add a candidate that the peer has signalled, at any time.

        What cannot be checked (names, other components and transports) is kept for
        `pair_report` alone. Source: RFC 8838 §11.
        """
        if not self.is_terminated:
            self._checker.add_remote(candidate)
            self._settle(now)

    def end_of_remote_candidates(self, *, now: float) -> None:
        """Take that the peer has signalled all it has. Source: RFC 8838 §14."""
        if not self.is_terminated:
            self._checker.remote_ended = True
            self._settle(now)

    def restart(
        self, *, ufrag: str | None = None, pwd: str | None = None, now: float
    ) -> None:
        """Begin another session, with the local candidates there are.

        Signal `local_ufrag`, `local_pwd` and the candidates again, then give the
        peer's new parameters. Data goes over the old path until a new one is nominated.
        Source: RFC 8445 §9.

        Args:
            ufrag: Our new user name fragment; from the dice if None.
            pwd: Our new password; from the dice if None.
            now: In seconds.

        Raises:
            UsageError: They have a wrong form, or are the old ones.
        """
        if ufrag is not None and pwd is not None:
            require_credentials(ufrag, pwd)
        if (ufrag is None) != (pwd is None) or ufrag in self.local_ufrags:
            raise UsageError("a restart needs another user name fragment and password")
        if self.is_terminated:
            return
        old = self._checker
        self._transactions.remove_all(TransactionKind.CHECK)
        if self._consent.checker is old:
            old.checklist.stop()
            self._previous = old
        else:
            old.clear()
        self._checker = self._new_session(ufrag, pwd)
        self._settle(now)

    def note_received(self, *, now: float) -> None:
        """Take that authenticated data has come over the selected path.

        A lite agent asks for no consent: this and checks are all it hears of its peer.
        For a full agent it means nothing.
        """
        if self._config.lite and not self.is_terminated:
            self._hear(now)
            self._settle(now)

    def tcp_connected(self, host: str, path: Path, *, now: float) -> None:
        """Take the connection that `TcpConnectionWanted` asked for.

        Args:
            host: Of the event.
            path: The connection: its local address is the real one.
            now: In seconds.
        """
        if not self.is_terminated:
            self._checker.connected(host, path, now)
            self._settle(now)

    def tcp_failed(self, host: str, peer: Address, reason: str, *, now: float) -> None:
        """Take that the connection asked for could not be opened."""
        if not self.is_terminated:
            self._checker.refused(host, peer, reason)
            self._settle(now)

    def tcp_closed(self, path: Path, *, now: float) -> None:
        """Take the end of a connection, whoever opened it."""
        if self.is_terminated:
            return
        for checker in (self._checker, self._previous):
            pair = None if checker is None else checker.closed(path)
            if pair is not None and pair is self._consent.pair:
                self._consent.suspend()
                self._selected = None
                self._move(AgentInput.UNHEARD)
        self._paths.close(path)
        self._settle(now)

    def close(self, reason: str = "", *, now: float) -> None:
        """End; the peer notices by missing answers. A second call is void."""
        if self.is_terminated:
            return
        self._move(AgentInput.END)
        self._transactions.clear()
        self._gatherer.clear()
        self._consent.forget()
        self._checker.clear()
        if self._previous is not None:
            self._previous.clear()
        self._previous = None
        self._selected = None
        self._paths.clear()
        self._outbox.tell(Terminated(TerminationCause.LOCAL, reason or "closed"))

    # --- inputs -------------------------------------------------------------------

    def receive_datagrams(self, batch: Sequence[Datagram], now: float) -> None:
        """Take STUN datagrams. Never raises; everything else is dropped."""
        for datagram in batch:
            if self.is_terminated:
                return
            self._received += 1
            try:
                message = decode_message(datagram.data)
            except ProtocolError:
                self._dropped += 1
                continue
            message_class = message.message_class
            if message.method != Method.BINDING:
                self._dropped += 1
            elif message_class is MessageClass.REQUEST:
                self._receive_request(message, datagram, now)
                self._settle(now)
            elif message_class is not MessageClass.INDICATION:
                self._receive_response(message, datagram, now)
                self._settle(now)

    def handle_timeout(self, now: float) -> None:
        """Do what is due at ``now``: retransmissions, checks, consent."""
        if self.is_terminated:
            return
        again, over = self._transactions.due(now)
        for transaction in again:
            self._retransmissions += 1
            self._outbox.send(transaction.octets, transaction.path)
        for transaction in over:
            if transaction.kind is TransactionKind.GATHER:
                self._gatherer.timed_out(transaction)
            else:
                self._checker.timed_out(transaction)
        self._settle(now)

    # --- polls --------------------------------------------------------------------

    def datagrams_to_send(self) -> list[Datagram]:
        """Dequeue all datagrams, each with the path it takes."""
        return self._outbox.take_datagrams()

    def next_event(self) -> IceEvent | None:
        """Dequeue the oldest event, or None."""
        return self._outbox.take_event()

    def next_timeout(self) -> float | None:
        """Return when `handle_timeout` wants to be called next, or None."""
        if self.is_terminated:
            return None
        deadlines = (
            self._transactions.next_timeout(),
            self._checker.next_timeout(),
            self._gatherer.next_timeout(),
            self._consent.next_timeout(),
        )
        return min((at for at in deadlines if at is not None), default=None)

    @property
    def state(self) -> AgentState:
        """Where the agent stands."""
        return self._state

    @property
    def controlling(self) -> bool:
        """Whether we nominate."""
        return self._role.controlling

    @property
    def selected_path(self) -> Path | None:
        """Where to send to the peer; None before there is a way and after its end."""
        return None if self._selected is None else self._selected.path

    @property
    def is_terminated(self) -> bool:
        """True once `Terminated` was queued; inputs are ignored from then on."""
        return self._state is AgentState.CLOSED

    @property
    def pending_bytes(self) -> int:
        """Octets held for the peer's sake: output, events, requests, pairs, paths."""
        held = self._outbox.pending_bytes + self._transactions.pending_bytes
        held += self._checker.checklist.pending_bytes + 100 * len(self._paths)
        if self._previous is not None:
            held += self._previous.checklist.pending_bytes
        return held

    def pair_report(self) -> tuple[PairReport, ...]:
        """Return what became of every pair of the newest session."""
        return tuple(report_pairs(self._checker.checklist, self.selected_path))

    def statistics(self) -> Statistics:
        """Return a frozen record of counters."""
        pair = self._consent.pair
        return Statistics(
            state=self._state,
            controlling=self._role.controlling,
            datagrams_received=self._received,
            datagrams_sent=self._outbox.datagrams_sent,
            bytes_sent=self._outbox.bytes_sent,
            requests_answered=self._responder.answered,
            requests_rejected=self._responder.rejected,
            requests_dropped=self._responder.dropped,
            responses_received=self._responses,
            datagrams_dropped=self._dropped,
            retransmissions=self._retransmissions,
            pairs=len(self._checker.checklist),
            pairs_discarded=self._checker.checklist.discarded,
            round_trip_time=None if pair is None else pair.round_trip_time,
        )

    # --- what came ------------------------------------------------------------------

    def _receive_request(
        self, message: Message, datagram: Datagram, now: float
    ) -> None:
        sessions = [self._checker]
        if self._previous is not None:
            sessions.append(self._previous)
        check = self._responder.receive(message, datagram, sessions, self._checker, now)
        if check is None:
            return
        base = self._bases.find(datagram.local, datagram.peer, datagram.transport)
        path = self._paths.find(datagram)
        if base is None or path is None:
            return
        self._learn_path(datagram, path)
        selected = self._consent.pair
        if (
            (self._config.lite or self._config.accept_requests_as_consent)
            and selected is not None
            and selected.path == path
        ):
            selected.confirmed_at = now
            self._hear(now)
        if check.checker is self._checker:
            priority = check.priority or base.check_priority
            self._checker.requested(
                base, path, priority, check.use_candidate, now, ufrag=check.ufrag
            )

    def _receive_response(
        self, message: Message, datagram: Datagram, now: float
    ) -> None:
        transaction = self._transactions.get(message.transaction_id)
        if transaction is None:
            self._dropped += 1
            return
        if transaction.kind is TransactionKind.GATHER:
            if datagram.peer != transaction.path.peer:
                self._dropped += 1
                return
            self._responses += 1
            self._transactions.remove(transaction)
            self._gatherer.answered(transaction, message)
            return
        if not is_authentic(message, transaction.key):
            self._doubt(message, transaction)
            return
        self._responses += 1
        self._transactions.remove(transaction)
        is_consent = transaction.kind is TransactionKind.CONSENT
        checker = self._consent.checker if is_consent else self._checker
        path = self._paths.find(datagram)
        asked = transaction.path
        if datagram.local is None and datagram.peer == asked.peer:
            # Of all our bases it is the one that asked.
            path = asked if datagram.transport == asked.transport else path
        if checker is None or path is None:
            return
        if checker.answered(transaction, message, path, at=datagram.at, now=now):
            self._learn_path(datagram, path)
            if transaction.pair is self._consent.pair:
                self._hear(now)

    def _doubt(self, message: Message, transaction: Transaction) -> None:
        """Drop an answer that anybody may have written. Source: RFC 8489 §9.1.4."""
        self._dropped += 1
        pair = transaction.pair
        if pair is None or pair.valid:
            return
        value = message.get(AttributeType.ERROR_CODE)
        try:
            code = "" if value is None else f"{decode_error_code(value).code}, "
        except ProtocolError:
            code = ""
        if transaction.path.transport == "tcp":
            self._checker.fail(pair, f"{code}not authenticated")
        else:
            pair.error = f"{code}not authenticated"

    def _learn_path(self, datagram: Datagram, path: Path) -> None:
        limits, checklist = self._limits, self._checker.checklist
        self._paths.learn(
            datagram,
            path,
            keep=self.selected_path,
            limit=limits.peer_reflexive_candidates + len(checklist) + 1,
        )

    # --- what follows from it -------------------------------------------------------

    def _settle(self, now: float) -> None:
        """Do what has become due or possible, and tell what has changed by it."""
        checker = self._checker
        self._gatherer.advance(now)
        checker.advance(now)
        if self._config.lite and checker.remote_lite and checker.elected is None:
            checker.select_default(now)
        self._choose(now)
        # A pair that is followed anew may not have answered for some time.
        while (change := self._consent.advance(now)) is not None:
            if change is ConsentChange.LOST:
                self._lose_consent()
                # There is room for others' requests now.
                self._gatherer.advance(now)
                checker.advance(now)
                self._choose(now)
            else:
                self._move(AgentInput.UNHEARD)
        if checker.is_exhausted():
            self._move(AgentInput.EXHAUSTED)

    def _choose(self, now: float) -> None:
        """Send over the nominated pair, or the best one while there is none."""
        checker = self._checker
        if not checker.is_started:
            # A check may come before the peer's parameters. RFC 8445 §7.3.
            return
        if checker.elected is not None:
            self._select(checker, checker.elected, now)
        elif self._consent.checker in (None, checker):
            best = checker.best_valid(now)
            if best is not None:
                self._select(checker, best, now)

    def _select(self, checker: Checker, pair: Pair, now: float) -> None:
        if pair.path is None:
            return
        nominated = pair is checker.elected
        selected = PathSelected(pair.path, nominated)
        if self._previous is not None:
            self._previous.clear()
            if pair.ufrag != self._previous.ufrag:
                self._previous = None
        is_same_pair = pair is self._consent.pair
        if is_same_pair and selected == self._selected:
            return
        if not is_same_pair:
            self._transactions.remove_all(TransactionKind.CONSENT)
            self._consent.follow(checker, pair, now)
        if selected != self._selected:
            self._selected = selected
            self._outbox.tell(selected)
        self._move(AgentInput.NOMINATED if nominated else AgentInput.VALID)

    def _hear(self, now: float) -> None:
        """Take a sign of consent on the selected path."""
        if self._consent.confirm(now):
            nominated = self._selected is not None and self._selected.nominated
            self._move(AgentInput.NOMINATED if nominated else AgentInput.VALID)

    def _lose_consent(self) -> None:
        """Stop sending. Source: RFC 7675 §5.1."""
        checker, pair = self._consent.checker, self._consent.pair
        self._consent.forget()
        self._transactions.remove_all(TransactionKind.CONSENT)
        if checker is not None and pair is not None:
            checker.fail(pair, "consent lost")
            pair.consent_lost = True
        if self._previous is not None:
            self._previous.clear()
            self._previous = None
        if self._selected is not None:
            self._outbox.tell(ConsentLost(self._selected.path))
            self._selected = None
        self._move(AgentInput.CONSENT_LOST)

    def _move(self, given: AgentInput) -> None:
        following = AGENT.get((self._state, given), self._state)
        if following is not self._state:
            self._state = following
            if following is not AgentState.CLOSED:
                self._outbox.tell(StateChanged(following))
