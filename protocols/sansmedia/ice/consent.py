"""Consent to send, and what keeps the way open. Source: RFC 7675 §5, RFC 8445 §11."""

from __future__ import annotations

import enum

from sansmedia.sansio import Dice
from sansmedia.stun import Message, MessageClass, Method, encode_message

from .checker import Checker
from .checklist import Pair
from .config import IceConfig
from .outbox import Outbox
from .routing import TRANSACTION_PREFIX_SIZE

__all__ = ["Consent", "ConsentChange"]


class ConsentChange(enum.Enum):
    """What has become of the peer."""

    UNHEARD = "unheard"
    LOST = "lost"


class Consent:
    """Watches the pair that data goes over.

    A full agent asks for consent by checks; those of a lite agent's peer are consent,
    and it sends keepalives.

    Args:
        config: Of the agent.
        outbox: Of the agent.
        dice: Spreads the checks, so that many sessions do not ask at one time.
        prefix: The first octets of our transaction ids.
    """

    def __init__(
        self, config: IceConfig, outbox: Outbox, dice: Dice, prefix: bytes
    ) -> None:
        self._config = config
        self._outbox = outbox
        self._dice = dice
        self._prefix = prefix
        self.checker: Checker | None = None
        """The session that the pair belongs to."""
        self._confirmed_at = 0.0
        self._next_at = 0.0
        self._unheard = False
        self._is_watching = False
        self.pair: Pair | None = None
        """What is watched; None without any, or when its connection has closed."""

    def follow(self, checker: Checker, pair: Pair, now: float) -> None:
        """Watch another pair from now on."""
        self.checker = checker
        self.pair = pair
        self._is_watching = True
        self._confirmed_at = pair.confirmed_at
        self._unheard = False
        self._next_at = now + self._interval()

    def confirm(self, now: float) -> bool:
        """Take a sign of consent; True if the peer was thought to be gone."""
        self._confirmed_at = now
        was_unheard, self._unheard = self._unheard, False
        return was_unheard

    def advance(self, now: float) -> ConsentChange | None:
        """Ask if it is time; tell what has become of the peer.

        After `ConsentChange.LOST` comes `forget`.
        """
        if not self._is_watching:
            return None
        # The same sums as in `next_timeout`: a difference would round another way.
        if now >= self._confirmed_at + self._config.consent_timeout:
            return ConsentChange.LOST
        if now >= self._next_at:
            self._next_at = now + self._interval()
            self._ask(now)
        unheard_at = self._confirmed_at + self._config.disconnected_timeout
        if not self._unheard and now >= unheard_at:
            self._unheard = True
            return ConsentChange.UNHEARD
        return None

    def next_timeout(self) -> float | None:
        """Return when `advance` has something to do."""
        if not self._is_watching:
            return None
        config = self._config
        quiet = (
            config.consent_timeout
            if self._unheard or config.disconnected_timeout >= config.consent_timeout
            else config.disconnected_timeout
        )
        return min(self._next_at, self._confirmed_at + quiet)

    def suspend(self) -> None:
        """Wait for another pair, since the connection of this one has closed."""
        self.pair = None
        self._unheard = True

    def forget(self) -> None:
        """Watch nothing."""
        self._is_watching = False
        self.pair = None
        self.checker = None

    def _ask(self, now: float) -> None:
        if self.pair is None or self.checker is None:
            return
        if self._config.lite:
            self._keep_alive(self.pair)
        else:
            self.checker.ask_consent(self.pair, now)

    def _interval(self) -> float:
        if self._config.lite:
            return self._config.keepalive_interval
        # Source: RFC 7675 §5.1.
        share = int.from_bytes(self._dice(2), "big") / 0xFFFF
        return self._config.consent_interval * (0.8 + 0.4 * share)

    def _keep_alive(self, pair: Pair) -> None:
        """Send an indication, which nobody answers. Source: RFC 8445 §11."""
        if pair.path is None:
            return
        transaction_id = self._prefix + self._dice(12 - TRANSACTION_PREFIX_SIZE)
        indication = Message(MessageClass.INDICATION, Method.BINDING, transaction_id)
        self._outbox.send(encode_message(indication), pair.path)
