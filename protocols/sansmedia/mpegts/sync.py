"""Finding transport packets in a stream of octets, in any segmentation."""

from __future__ import annotations

import attrs

from .packets import PACKET_SIZE

__all__ = ["PACKET_SPACINGS", "PacketAligner", "Run"]

PACKET_SPACINGS = (188, 192, 204)
"""Octets from one packet to the next: plain, with a time stamp in front of each (M2TS),
with a checksum behind each (Reed-Solomon)."""
_PROOFS = 3
"""Sync bytes in the right places behind one that prove it; one place in between may be
wrong, or damage would reach back to the packets in front of it. Among random octets one
place in a thousand million passes."""


@attrs.define
class Run:
    """Whole packets one behind the other."""

    buffer: bytes
    """The octets that hold them."""
    start: int
    """Where the first sync byte stands."""
    count: int
    """How many packets."""
    spacing: int
    """Octets from one to the next."""
    after_loss: bool
    """Octets were lost or too many in front of them."""

    def packed(self) -> tuple[bytes, int]:
        """Return octets and start of the packets with nothing between them."""
        if self.spacing == PACKET_SIZE:
            return self.buffer, self.start
        places = range(self.start, self.start + self.count * self.spacing, self.spacing)
        packets = [self.buffer[at : at + PACKET_SIZE] for at in places]
        return b"".join(packets), 0


class PacketAligner:
    """Gives whole packets out of octets, and finds them again after damage.

    A packet whose sync byte alone is wrong is dropped by itself if the two behind it
    stand where they should. Where octets are missing or too many, the last packet that
    was taken may hold the head of the next one, so the search begins inside it: nothing
    is lost beyond the damage.

    Source: ISO 13818-1 §2.4.3.3 (sync_byte).

    Limits: holds less than a kilobyte.
    """

    __slots__ = (
        "_given",
        "_is_lost",
        "_last",
        "_pending",
        "_spacing",
        "octets_skipped",
        "sync_bytes_damaged",
        "sync_losses",
    )

    def __init__(self) -> None:
        self._pending = b""
        self._last = b""
        self._spacing = 0
        self._is_lost = False
        # Octets ahead of the search that were given out as part of a packet.
        self._given = 0
        self.sync_losses = 0
        """How often the packets were no longer where they should be."""
        self.sync_bytes_damaged = 0
        """Packets dropped because of their sync byte alone."""
        self.octets_skipped = 0
        """Octets passed over in search of a packet, or at the end."""

    @property
    def pending_bytes(self) -> int:
        """Octets held because their packet is not whole yet."""
        return len(self._pending)

    def feed(self, data: bytes, *, final: bool = False) -> list[Run]:
        """Take the next octets; return runs of whole packets.

        Args:
            data: Any octets.
            final: Nothing follows, so what is there must do.
        """
        buffer = self._pending + data if self._pending else data
        runs: list[Run] = []
        position = 0
        while True:
            if not self._spacing:
                position = self._search(buffer, position, final=final)
                if not self._spacing:
                    break
            spacing = self._spacing
            whole = (len(buffer) - position) // spacing
            if final and (len(buffer) - position) % spacing >= PACKET_SIZE:
                whole += 1
            good = self._count_good(buffer, position, whole)
            last = -1
            if good:
                runs.append(Run(buffer, position, good, spacing, self._is_lost))
                self._is_lost = False
                last = position + (good - 1) * spacing
                self._last = buffer[last : last + PACKET_SIZE]
                position = min(last + spacing, len(buffer))
            if position >= len(buffer) or buffer[position] == 0x47:
                break
            # Two more sync bytes tell a packet with a damaged one from lost octets.
            if len(buffer) - position <= 2 * spacing and not final:
                break
            proofs = buffer[position + spacing : position + 2 * spacing + 1 : spacing]
            if proofs and proofs == b"\x47" * len(proofs):
                self.sync_bytes_damaged += 1
                position += spacing
                self._last = b""
                continue
            self.sync_losses += 1
            self._is_lost = True
            self._spacing = 0
            self._given = max(len(self._last) - 1, 0)
            if last >= 0:
                position = last + 1
            else:
                buffer, position = self._last[1:] + buffer[position:], 0
            self._last = b""
        if final:
            self.octets_skipped += len(buffer) - position
            self._pending = self._last = b""
            self._spacing = self._given = 0
        else:
            self._pending = buffer[position:]
        return runs

    def _count_good(self, buffer: bytes, position: int, count: int) -> int:
        """Return how many of the next packets begin with a sync byte."""
        spacing = self._spacing
        syncs = buffer[position : position + count * spacing : spacing]
        return len(syncs) - len(syncs.lstrip(b"\x47"))

    def _search(self, buffer: bytes, start: int, *, final: bool) -> int:
        """Return where a packet begins, or may begin, and note the spacing found."""
        position = buffer.find(b"\x47", start)
        while position >= 0:
            spacing = self._judge(buffer, position, final=final)
            if spacing:
                self._spacing = max(spacing, 0)
                break
            position = buffer.find(b"\x47", position + 1)
        else:
            position = len(buffer)
        again = min(position - start, self._given)
        self._given = 0 if self._spacing else self._given - again
        self.octets_skipped += position - start - again
        return position

    @staticmethod
    def _judge(buffer: bytes, position: int, *, final: bool) -> int:
        """Return the spacing if a packet begins here, 0: none does, -1: too early."""
        for spacing in PACKET_SPACINGS:
            first = position + spacing
            proofs = buffer[first : first + _PROOFS * spacing + 1 : spacing]
            good = proofs.count(b"\x47")
            if good >= _PROOFS:
                return spacing
            if len(proofs) - good > 1:
                continue
            if len(proofs) <= _PROOFS and not final:
                return -1
            # At the end what there is must do.
            is_whole = len(buffer) - position >= PACKET_SIZE
            if final and is_whole and (good == len(proofs) or good > 1):
                return spacing
        return 0
