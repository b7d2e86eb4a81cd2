"""The connectivity checks of one ICE session, from its start to the elected pair.

A restart makes another one of these. Source: RFC 8445 §6, §7, §8.
"""

from __future__ import annotations

from typing import Final

import attrs

from sansmedia.sansio import Dice, ProtocolError
from sansmedia.stun import (
    Address,
    AttributeType,
    ErrorCode,
    Message,
    MessageClass,
    binding_request,
    decode_address,
    decode_error_code,
    decode_u64,
    decode_xor_address,
    encode_message,
)

from .authentication import unknown_of
from .bases import Base, BaseTable
from .candidate import Candidate, TcpType
from .checklist import Checklist, Pair
from .config import IceConfig
from .events import Path, RoleChanged, TcpConnectionWanted
from .limits import Limits
from .outbox import Outbox
from .routing import TRANSACTION_PREFIX_SIZE
from .states import PairInput, PairState
from .transactions import Transaction, TransactionKind, TransactionTable

__all__ = ["Checker", "Role"]

_USERNAME: Final = int(AttributeType.USERNAME)
_PRIORITY: Final = int(AttributeType.PRIORITY)
_USE_CANDIDATE: Final = int(AttributeType.USE_CANDIDATE)
_CONTROLLING: Final = int(AttributeType.ICE_CONTROLLING)
_CONTROLLED: Final = int(AttributeType.ICE_CONTROLLED)
_SETTLING_S: Final = 3.0
"""How long the nominations of one agent may contradict each other, as aggressive ones
do. Source: RFC 8445 §8.3.1."""


@attrs.define(eq=False)
class Role:
    """Who nominates; shared by all sessions of an agent."""

    dice: Dice
    outbox: Outbox
    controlling: bool
    tie_breaker: int = 0

    def __attrs_post_init__(self) -> None:
        """Roll the tie-breaker. Source: RFC 8445 §16.1."""
        self.roll()

    def roll(self) -> None:
        """Take another tie-breaker."""
        self.tie_breaker = int.from_bytes(self.dice(8), "big")

    def change(self, controlling: bool) -> None:
        """Take a role."""
        if controlling != self.controlling:
            self.controlling = controlling
            self.outbox.tell(RoleChanged(controlling))


class Checker:
    """The checklist of one session and everything that moves it.

    Args:
        ufrag: Our user name fragment.
        pwd: Our password.
        config: Of the agent.
        limits: Of the agent.
        role: Of the agent.
        bases: Of the agent.
        transactions: Of the agent.
        outbox: Of the agent.
        dice: For transaction ids.
        prefix: The first octets of those.
    """

    def __init__(
        self,
        ufrag: str,
        pwd: str,
        *,
        config: IceConfig,
        limits: Limits,
        role: Role,
        bases: BaseTable,
        transactions: TransactionTable,
        outbox: Outbox,
        dice: Dice,
        prefix: bytes,
    ) -> None:
        self.ufrag = ufrag
        self.pwd = pwd
        self.key = pwd.encode()
        self.remote_ufrag = ""
        self.remote_key = b""
        self.remote_lite = False
        self.remote_ended = False
        self.checklist = Checklist(limits, controlling=role.controlling)
        self.elected: Pair | None = None
        """The nominated pair that counts."""
        self._config = config
        self._limits = limits
        self._role = role
        self._bases = bases
        self._transactions = transactions
        self._outbox = outbox
        self._dice = dice
        self._prefix = prefix
        self._next_check_at = 0.0
        self._nominate_at: float | None = None
        self._first_nominated_at = 0.0
        self._pac_deadline: float | None = None
        self._connecting: dict[Pair, float] = {}
        self._connections = 0

    @property
    def is_started(self) -> bool:
        """Whether the peer's user name fragment and password are known."""
        return bool(self.remote_key)

    @property
    def _checks(self) -> bool:
        return self.is_started and not self._config.lite

    # --- what the caller tells ----------------------------------------------------

    def start(self, ufrag: str, pwd: str, *, lite: bool, now: float) -> None:
        """Take what the peer has signalled; checks begin. Source: RFC 8863 §4."""
        self.remote_ufrag = ufrag
        self.remote_key = pwd.encode()
        self.remote_lite = lite
        self._pac_deadline = now + self._config.pac_timeout

    def add_base(self, base: Base) -> None:
        """Pair a new base with every candidate of the peer."""
        for remote in self.checklist.remotes():
            self.checklist.pair(base, remote)

    def add_remote(self, candidate: Candidate) -> None:
        """Pair a candidate of the peer with every base. Source: RFC 8838 §12."""
        remote = self.checklist.add_remote(candidate, self.remote_ufrag)
        if remote is None:
            return
        for base in self._bases:
            self.checklist.pair(base, remote)

    def select_default(self, now: float) -> None:
        """Elect the best pair unchecked: both agents are lite. RFC 8445 §8.2."""
        for pair in self.checklist:
            if pair.base.transport == "udp" and not pair.consent_lost:
                pair.move(PairInput.UNFREEZE)
                pair.move(PairInput.SUCCESS)
                pair.valid = True
                pair.confirmed_at = now
                self._accept_nomination(pair, now)
                return

    # --- the peer's checks --------------------------------------------------------

    def requested(
        self,
        base: Base,
        path: Path,
        priority: int,
        use_candidate: bool,
        now: float,
        *,
        ufrag: str,
    ) -> None:
        """Take an authenticated check.

        Source: RFC 8445 §7.3.1.3 to §7.3.1.5.

        Args:
            base: Of the path.
            path: It came over.
            priority: Of a peer-reflexive candidate.
            use_candidate: Whether it nominates.
            now: In seconds.
            ufrag: What it calls us, and our checks over this path have to.
                DEVIATION(chromium-156-ufrag): what it opens between its restart and our
                answer knows us by the session before, ever after. RFC 8445 §7.2.2, §9.
        """
        pair = self.checklist.find(path)
        if pair is None:
            keep = self.elected or self.best_valid(now)
            pair = self._learn(base, path, priority, keep)
        if pair is None:
            return
        pair.heard_at = now
        pair.ufrag = ufrag
        if pair.consent_lost:
            return
        if self._config.lite:
            # RFC 8445 §7.3.2: a lite agent takes the peer's word for it.
            pair.move(PairInput.TRIGGER)
            pair.confirmed_at = now
            if use_candidate:
                pair.move(PairInput.SUCCESS)
                pair.valid = True
                self._accept_nomination(pair, now)
            return
        if (
            pair.state is PairState.SUCCEEDED
            and now - pair.confirmed_at >= self._config.consent_timeout
        ):
            # It worked once, which is no consent any more. RFC 7675 §5.1.
            pair.valid = False
            pair.move(PairInput.FAILURE)
        if use_candidate and not self._role.controlling:
            if pair.state is PairState.SUCCEEDED:
                self._accept_nomination(pair, now)
            else:
                pair.nominate_on_success = True
                pair.nominated_at = now
        if pair.state is PairState.SUCCEEDED:
            return
        if pair.state is PairState.IN_PROGRESS:
            self._transactions.cancel(pair)
        pair.move(PairInput.TRIGGER)
        self.checklist.trigger(pair)

    def _learn(
        self, base: Base, path: Path, priority: int, keep: Pair | None
    ) -> Pair | None:
        oldest = self.checklist.oldest_learned(keep)
        if oldest is not None:
            self._forget(oldest)
        remote = self.checklist.learn_remote(path.peer, path.transport, priority)
        return self.checklist.insert_learned(base, remote, path)

    def _forget(self, pair: Pair) -> None:
        self._transactions.remove_of(pair)
        self.checklist.forget(pair)

    def _accept_nomination(self, pair: Pair, now: float) -> None:
        """Take a nomination of the peer for a pair that works.

        Of contradicting ones the highest priority counts, as aggressive nomination
        has it. Later ones move the session, as a peer does whose network has changed:
        a pair that was never nominated before, or one that alone still is.
        Source: RFC 8445 §7.3.1.5, §8.1.1.
        """
        is_new = not pair.nominated
        pair.nominated = True
        pair.nominated_at = now
        current = self.elected
        if current is pair:
            return
        if current is None or not current.valid:
            self._first_nominated_at = now
            self._elect(pair)
            return
        has_settled = now - self._first_nominated_at > _SETTLING_S
        is_alone = now - current.nominated_at > _SETTLING_S
        if pair.priority > current.priority or (has_settled and (is_new or is_alone)):
            self._elect(pair)

    def _elect(self, pair: Pair) -> None:
        self.elected = pair
        if self.checklist.is_stopped:
            return
        # RFC 8445 §8.1.2: what is not needed any more is not checked.
        self.checklist.stop()
        for other in self.checklist:
            if other is not pair and other.state is PairState.IN_PROGRESS:
                self._transactions.cancel(other)

    def repair_role(self, message: Message) -> bool:
        """Find a conflict of roles in a check, and change ours if it is our turn.

        Source: RFC 8445 §7.3.1.1.

        Returns:
            False if the peer has to change.

        Raises:
            ProtocolError: The tie-breaker is malformed.
        """
        role = self._role
        value = message.get(_CONTROLLING if role.controlling else _CONTROLLED)
        if value is None or self._config.lite:
            return True
        ours_is_larger = role.tie_breaker >= decode_u64(value)
        if ours_is_larger == role.controlling:
            return False
        self.take_role(not role.controlling)
        return True

    # --- our checks ---------------------------------------------------------------

    def advance(self, now: float) -> None:
        """Do what is due: checks, nomination, connections that took too long."""
        for pair, deadline in list(self._connecting.items()):
            if deadline <= now:
                self.connection_failed(pair, "no connection in time")
        if self._pac_deadline is not None and self._pac_deadline <= now:
            self._pac_deadline = None
        if not self._checks:
            return
        self._nominate(now)
        while now >= self._next_check_at and self._transactions.has_room:
            following = self.checklist.take_next()
            if following is None:
                break
            if following.state is PairState.FAILED or (
                following.state is PairState.SUCCEEDED and not following.nominating
            ):
                # It was decided while it waited.
                continue
            self._next_check_at = now + self._config.ta
            self._check(following, now)

    def next_timeout(self) -> float | None:
        """Return when `advance` has something to do."""
        deadlines = list(self._connecting.values())
        if self._pac_deadline is not None:
            deadlines.append(self._pac_deadline)
        if self._checks:
            if self.checklist.has_work and self._transactions.has_room:
                deadlines.append(self._next_check_at)
            if self._nominate_at is not None:
                deadlines.append(self._nominate_at)
        return min(deadlines, default=None)

    def is_exhausted(self) -> bool:
        """Tell whether nothing works and nothing is left to try.

        Source: RFC 8863 §4: not before the timer has run out, even if no pair is left.
        """
        return (
            self.is_started
            and self._pac_deadline is None
            and not any(pair.valid for pair in self.checklist)
            and not (self._checks and self.checklist.is_under_way())
        )

    def best_valid(self, now: float) -> Pair | None:
        """Return the best pair that has worked lately, nominated or not."""
        since = now - self._config.consent_timeout
        for pair in self.checklist:
            if pair.valid and pair.confirmed_at > since:
                return pair
        return None

    def _nominate(self, now: float) -> None:
        """Nominate a pair once: regular nomination. Source: RFC 8445 §8.1.1."""
        self._nominate_at, due = None, self._nominate_at
        if not self._role.controlling or self.elected is not None:
            return
        best = self.best_valid(now)
        if best is None or any(pair.nominating for pair in self.checklist):
            return
        if due is None:
            due = now + self._config.nomination_delay
        if now < due and (
            not self.remote_ended or self.checklist.is_under_way(best.priority)
        ):
            self._nominate_at = due
            return
        best.nominating = True
        self.checklist.trigger(best, first=True)

    def _check(self, pair: Pair, now: float) -> None:
        pair.move(PairInput.CHECK)
        if pair.path is None:
            self._connect(pair, now)
            return
        # RFC 8445 §14.3 multiplies by the number of checks once more: with 20 pairs a
        # lost datagram would cost 20 s. RFC 5245 meant the number of checklists.
        busy = self.checklist.count(PairState.WAITING, PairState.IN_PROGRESS)
        rto = max(self._config.rto, self._config.ta * busy)
        self._send(pair, pair.path, TransactionKind.CHECK, now, rto=rto)
        pair.checks_sent += 1

    def ask_consent(self, pair: Pair, now: float) -> None:
        """Send a consent check, which is not sent again. Source: RFC 7675 §5.1."""
        if pair.path is not None and self._transactions.has_room:
            self._send(pair, pair.path, TransactionKind.CONSENT, now, rto=None)

    def _send(
        self,
        pair: Pair,
        path: Path,
        kind: TransactionKind,
        now: float,
        *,
        rto: float | None,
    ) -> None:
        """Send a check. Source: RFC 8445 §7.1, §7.2.2, §7.2.4."""
        config, role = self._config, self._role
        transaction_id = self._prefix + self._dice(12 - TRANSACTION_PREFIX_SIZE)
        attributes = [
            (_USERNAME, f"{self.remote_ufrag}:{pair.ufrag or self.ufrag}".encode()),
            (_PRIORITY, pair.base.check_priority.to_bytes(4, "big")),
            (
                _CONTROLLING if role.controlling else _CONTROLLED,
                role.tie_breaker.to_bytes(8, "big"),
            ),
        ]
        nominating = kind is TransactionKind.CHECK and pair.nominating
        if nominating:
            attributes.append((_USE_CANDIDATE, b""))
        octets = encode_message(
            binding_request(transaction_id, attributes), key=self.remote_key
        )
        # RFC 8489 §6.2.2: nothing is sent again over a reliable transport.
        is_tcp = path.transport == "tcp"
        wait = config.tcp_timeout if kind is TransactionKind.CHECK else 0.0
        self._transactions.start(
            transaction_id,
            kind,
            octets,
            path,
            self.remote_key,
            now,
            rto=None if is_tcp else rto,
            final_wait=wait or config.consent_timeout,
            pair=pair,
            controlling=role.controlling,
            nominating=nominating,
        )
        self._outbox.send(octets, path)

    # --- answers --------------------------------------------------------------------

    def answered(
        self,
        transaction: Transaction,
        message: Message,
        path: Path,
        *,
        at: float,
        now: float,
    ) -> bool:
        """Take an authenticated answer to a check or a consent check.

        Source: RFC 8445 §7.2.5.

        Args:
            transaction: What it answers.
            message: The answer.
            path: It came over.
            at: When it was received, for the round-trip time.
            now: In seconds.

        Returns:
            Whether it was a success, which is consent as well.
        """
        pair = transaction.pair
        if pair is None:
            return False
        if transaction.cancelled and message.message_class is MessageClass.ERROR:
            # Another check is on its way already.
            return False
        if message.message_class is MessageClass.ERROR:
            self._refused(pair, transaction, message)
            return False
        if path != transaction.path:
            # RFC 8445 §7.2.5.2.1.
            self.fail(pair, "the answer came over another path")
            return False
        if unknown_of(message):
            self.fail(pair, "the answer has an unknown attribute")
            return False
        if transaction.sends == 1:
            # A loop that is late does not make the way longer.
            received = at if transaction.sent_at <= at <= now else now
            pair.round_trip_time = received - transaction.sent_at
        pair.mapped = _mapped_address(message)
        pair.confirmed_at = now
        if transaction.kind is TransactionKind.CHECK:
            self._succeed(pair, transaction, now)
        return True

    def _succeed(self, pair: Pair, transaction: Transaction, now: float) -> None:
        if pair.consent_lost:
            return
        pair.move(PairInput.SUCCESS)
        pair.valid = pair.state is PairState.SUCCEEDED
        if not pair.valid:
            return
        pair.error = ""
        self.checklist.unfreeze(pair)
        if self._role.controlling:
            if transaction.nominating and transaction.controlling:
                pair.nominating = False
                pair.nominated = True
                self._elect(pair)
        elif pair.nominate_on_success:
            pair.nominate_on_success = False
            self._accept_nomination(pair, now)

    def _refused(self, pair: Pair, transaction: Transaction, message: Message) -> None:
        value = message.get(AttributeType.ERROR_CODE)
        try:
            error = decode_error_code(value or b"")
        except ProtocolError:
            self.fail(pair, "an error without a code")
            return
        if error.code != ErrorCode.ROLE_CONFLICT:
            self.fail(pair, f"{error.code} {error.reason}".rstrip())
            return
        # RFC 8445 §7.2.5.1: unless we have changed since.
        if transaction.controlling == self._role.controlling:
            self.take_role(not transaction.controlling)
            self._role.roll()
        if transaction.kind is TransactionKind.CHECK and not pair.valid:
            pair.move(PairInput.TRIGGER)
            self.checklist.trigger(pair)

    def take_role(self, controlling: bool) -> None:
        """Change the role and what depends on it. Source: RFC 8445 §7.3.1.1."""
        if controlling == self._role.controlling:
            return
        self._role.change(controlling)
        self.checklist.prioritise(controlling)
        self._nominate_at = None
        for pair in self.checklist:
            pair.nominating = False
            pair.nominate_on_success = False

    def timed_out(self, transaction: Transaction) -> None:
        """Take that nobody has answered. Source: RFC 8445 §7.2.5.2.3."""
        pair = transaction.pair
        if (
            pair is not None
            and not transaction.cancelled
            and transaction.kind is TransactionKind.CHECK
        ):
            self.fail(pair, "no answer")

    def fail(self, pair: Pair, reason: str) -> None:
        """Take a pair out of those that work. Source: RFC 8445 §7.2.5.2."""
        pair.move(PairInput.FAILURE)
        pair.error = reason
        pair.valid = pair.nominating = pair.nominated = False
        pair.nominate_on_success = False
        self._transactions.remove_of(pair)
        if self.elected is pair:
            self.elected = None

    # --- TCP ------------------------------------------------------------------------

    def _connect(self, pair: Pair, now: float) -> None:
        """Ask for the connection of an active pair. Source: RFC 6544 §7.1."""
        if self._connections >= self._limits.tcp_connections:
            self.fail(pair, "too many connections")
            return
        self._connections += 1
        self._connecting[pair] = now + self._config.tcp_timeout
        self._outbox.tell(
            TcpConnectionWanted(pair.base.address[0], pair.remote.candidate.address)
        )

    def _connecting_to(self, host: str, peer: Address) -> Pair | None:
        for pair in self._connecting:
            if pair.base.address[0] == host and pair.remote.candidate.address == peer:
                return pair
        return None

    def connected(self, host: str, path: Path, now: float) -> bool:
        """Take the connection that was asked for; False if it was not."""
        pair = self._connecting_to(host, path.peer)
        if pair is None:
            return False
        del self._connecting[pair]
        self.checklist.connect(pair, path)
        pair.move(PairInput.TRIGGER)
        self.checklist.trigger(pair, first=True)
        return True

    def refused(self, host: str, peer: Address, reason: str) -> None:
        """Take that there will be no connection."""
        pair = self._connecting_to(host, peer)
        if pair is not None:
            self.connection_failed(pair, reason)

    def connection_failed(self, pair: Pair, reason: str) -> None:
        """Give up a connection that was asked for."""
        self._connecting.pop(pair, None)
        self.fail(pair, reason)

    def closed(self, path: Path) -> Pair | None:
        """Take the end of a connection; return the pair that went over it."""
        pair = self.checklist.find(path)
        if pair is None:
            return None
        self.fail(pair, "the connection has closed")
        if pair.base.tcp_type is TcpType.ACTIVE:
            self._connections -= 1
            self.checklist.disconnect(pair)
        else:
            # It came from a port that nobody will use again.
            self._forget(pair)
        return pair

    def clear(self) -> None:
        """Forget everything."""
        self.checklist.clear()
        self._connecting.clear()
        self.elected = None


def _mapped_address(message: Message) -> Address | None:
    """Return how the peer sees us, if it says so.

    FFmpeg 9 does not: DEVIATION(ffmpeg-9.0.2-response), the pair works all the same.
    Source: RFC 8489 §6.3.3.
    """
    try:
        value = message.get(AttributeType.XOR_MAPPED_ADDRESS)
        if value is not None:
            return decode_xor_address(value, message.transaction_id)
        value = message.get(AttributeType.MAPPED_ADDRESS)
        return None if value is None else decode_address(value)
    except ProtocolError:
        return None
