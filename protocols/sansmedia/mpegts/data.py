"""Data out of PES packets: KLV and ID3."""

from __future__ import annotations

from sansmedia.codecs import Codec

from .assembler import Assembler, Product, ScanningAssembler
from .events import MediaFrame, PesPacket
from .limits import Limits

__all__ = ["Id3Assembler", "KlvAssembler", "MetadataAssembler"]


class KlvAssembler(ScanningAssembler):
    """Key-length-value items, one frame each, key and length included.

    Source: SMPTE ST 336, MISB ST 1402 (the asynchronous method).
    """

    marker = b"\x06"

    def measure(self, data: bytes, position: int) -> int:
        """Return the octets of key, length and value."""
        head = data[position : position + 26]
        if not b"\x06\x0e\x2b\x34".startswith(head[:4]):
            return 0
        if len(head) < 17:
            return -1
        octet = head[16]
        size = 17 + octet
        if octet & 0x80:
            count = octet & 0x7F
            if not 0 < count <= 8:
                return 0
            if len(head) < 17 + count:
                return -1
            size = 17 + count + int.from_bytes(head[17 : 17 + count], "big")
        return size if size <= self.limits.max_pes_size else 0

    def take(self, frame: bytes, made: MediaFrame, products: list[Product]) -> int:
        """Give the item out as it is."""
        made.payload = frame
        products.append(made)
        return 0


class Id3Assembler(ScanningAssembler):
    """ID3 tags, one frame each. Source: ID3v2.4 structure."""

    marker = b"I"

    def measure(self, data: bytes, position: int) -> int:
        """Return the octets of header, tag and footer."""
        head = data[position : position + 10]
        if not b"ID3".startswith(head[:3]):
            return 0
        if len(head) < 10:
            return -1
        if max(head[6:10]) > 0x7F:
            return 0
        size = 10 + (head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9])
        size += 10 * (head[5] >> 4 & 1)
        return size if size <= self.limits.max_pes_size else 0

    def take(self, frame: bytes, made: MediaFrame, products: list[Product]) -> int:
        """Give the tag out as it is."""
        made.payload = frame
        products.append(made)
        return 0


class MetadataAssembler(Assembler):
    """Metadata access units, put together from their cells.

    Source: ISO 13818-1 §2.12.4, MISB ST 1402 (the synchronous method).
    """

    def __init__(self, pid: int, codec: Codec | None, limits: Limits) -> None:
        super().__init__(pid, codec, limits)
        self._cells: list[bytes] = []
        self._made: MediaFrame | None = None
        self._lost = False

    @property
    def held(self) -> int:
        """Octets held."""
        return sum(map(len, self._cells))

    def flush(self) -> list[Product]:
        """Return nothing: an access unit that is not whole is of no use."""
        self.drop()
        return []

    def drop(self) -> None:
        """Forget what is held."""
        if self._made is not None:
            self.frames_dropped += 1
            self.octets_skipped += self.held
            self._lost = True
        self._made, self._cells = None, []

    def feed(self, pes: PesPacket) -> list[Product]:
        """Take a PES packet; return what is whole."""
        products: list[Product] = []
        if pes.after_loss:
            self.drop()
            self._lost = True
        data, position = pes.payload, 0
        timed = pes.pts is not None
        for _ in range(self.limits.max_frames_per_pes):
            head = data[position : position + 5]
            if len(head) < 5:
                break
            end = position + 5 + (head[3] << 8 | head[4])
            if end > len(data):
                self.drop()
                self._lost = True
                break
            kind = head[2] >> 6
            if kind & 2:
                # The first cell, perhaps the only one.
                self.drop()
                self._made = MediaFrame(self.pid, pes.pts, pes.dts, b"", timed=timed)
                self._made.after_loss = self._lost
                self._made.damaged = pes.damaged
                timed = False
            if self._made is not None:
                self._cells.append(data[position + 5 : end])
                if self.held > self.limits.max_pes_size:
                    self.drop()
                elif kind & 1:
                    self._complete(products)
            position = end
        self.octets_skipped += len(data) - position
        return products

    def _complete(self, products: list[Product]) -> None:
        if self._made is not None:
            self._made.payload = b"".join(self._cells)
            self._made.random_access = True
            products.append(self._made)
            self._lost = False
        self._made, self._cells = None, []
