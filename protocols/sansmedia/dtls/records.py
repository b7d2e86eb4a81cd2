"""The record layer: epochs, sequence numbers, replays, records ahead of their keys.

It knows no version: what differs between them is a `Protection`.
"""

from __future__ import annotations

import attrs

from sansmedia.sansio import ProtocolError

from .constants import DTLS_1_2, MAX_PLAINTEXT, ContentType
from .limits import Limits
from .protection import Protection
from .record_wire import HEADER_SIZE, Record, encode_record
from .replay import ReplayWindow

__all__ = ["RecordCounts", "RecordLayer"]

_MAX_SEQUENCE = (1 << 48) - 1
_RECORD_COST = 64
"""Octets that a kept record counts besides its fragment."""


@attrs.define
class RecordCounts:
    """What became of the records that came."""

    received: int = 0
    malformed: int = 0
    unauthentic: int = 0
    replayed: int = 0
    dropped: int = 0


@attrs.define
class _ReadEpoch:
    protection: Protection | None
    window: ReplayWindow = attrs.field(factory=ReplayWindow)


class RecordLayer:
    """Opens what comes and seals what goes.

    Args:
        limits: Bounds on records that come before their keys.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._read: dict[int, _ReadEpoch] = {0: _ReadEpoch(None)}
        self._write: dict[int, Protection | None] = {0: None}
        self._next_sequence = {0: 0}
        self._early: list[Record] = []
        self._early_bytes = 0
        self._keeps_early = True
        self.read_epoch = 0
        """The latest epoch with keys to read."""
        self.write_epoch = 0
        """The latest epoch with keys to write."""
        self.counts = RecordCounts()

    # --- in ------------------------------------------------------------------------

    def open(self, record: Record) -> bytes | None:
        """Return a record's content, or None if it is dropped, kept for later or false.

        What is not authentic is dropped without a word. Source: RFC 6347 §4.1.2.7.
        """
        epoch = self._read.get(record.epoch)
        if epoch is None:
            self._keep(record)
            return None
        if epoch.protection is None:
            # Nothing vouches for these sequence numbers, so one forged record could
            # shut the window for the true ones: epoch 0 has none.
            if len(record.fragment) > MAX_PLAINTEXT:
                self.counts.malformed += 1
                return None
            self.counts.received += 1
            return record.fragment
        if record.version != DTLS_1_2:
            self.counts.malformed += 1
            return None
        if not epoch.window.is_fresh(record.sequence):
            self.counts.replayed += 1
            return None
        try:
            content = epoch.protection.open(record)
        except ProtocolError:
            self.counts.unauthentic += 1
            return None
        epoch.window.mark(record.sequence)
        if len(content) > MAX_PLAINTEXT:
            self.counts.malformed += 1
            return None
        self.counts.received += 1
        return content

    def _keep(self, record: Record) -> None:
        """Keep a record of the next epoch. Source: RFC 6347 §4.1."""
        cost = len(record.fragment) + _RECORD_COST
        if (
            not self._keeps_early
            or record.epoch != self.read_epoch + 1
            or len(self._early) >= self._limits.early_records
            or self._early_bytes + cost > self._limits.early_bytes
        ):
            self.counts.dropped += 1
            return
        self._early.append(record)
        self._early_bytes += cost

    def take_early(self) -> list[Record]:
        """Dequeue the kept records whose keys are known by now."""
        if not self._early or self._early[0].epoch not in self._read:
            return []
        early, self._early = self._early, []
        self._early_bytes = 0
        return early

    def install_read(self, epoch: int, protection: Protection) -> None:
        """Begin to read an epoch."""
        self._read[epoch] = _ReadEpoch(protection)
        self.read_epoch = epoch

    def end_handshake(self) -> None:
        """Drop what is not protected, and what is of epochs to come."""
        self._read.pop(0, None)
        self._keeps_early = False
        self._early.clear()
        self._early_bytes = 0

    @property
    def pending_bytes(self) -> int:
        """Octets of kept records."""
        return self._early_bytes

    def clear(self) -> None:
        """Drop the kept records and the keys to read."""
        self._early.clear()
        self._early_bytes = 0
        self._read.clear()

    # --- out -----------------------------------------------------------------------

    def install_write(self, epoch: int, protection: Protection) -> None:
        """Allow to write an epoch; alerts and data go out in it from now on."""
        self._write[epoch] = protection
        self._next_sequence[epoch] = 0
        self.write_epoch = epoch

    def begin_sequence(self, sequence: int) -> None:
        """Let epoch 0 go on at the sequence number that a ClientHello had.

        Source: RFC 6347 §4.2.1.
        """
        if sequence <= _MAX_SEQUENCE >> 1:
            self._next_sequence[0] = max(self._next_sequence[0], sequence)

    def overhead(self, epoch: int) -> int:
        """Return the octets that a record of an epoch adds to its content."""
        protection = self._write[epoch]
        return HEADER_SIZE + (0 if protection is None else protection.overhead)

    def seal(
        self, kind: ContentType, content: bytes, epoch: int, version: int = DTLS_1_2
    ) -> bytes:
        """Return the next record of an epoch, ready for a datagram."""
        sequence = self._next_sequence[epoch]
        # At a million records a second, 48 bits last for nine years.
        self._next_sequence[epoch] = sequence + 1
        record = Record(kind, version, epoch, sequence, content)
        protection = self._write[epoch]
        if protection is not None:
            record.fragment = protection.seal(record)
        return encode_record(record)
