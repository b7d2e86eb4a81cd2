"""What turns the PES packets of one track into frames."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TypeAlias

from sansmedia.codecs import AudioParameters, Codec, VideoParameters

from .events import Configuration, MediaFrame, PesPacket
from .limits import Limits
from .pes import CLOCK_RATE, TIMESTAMP_BITS

__all__ = ["Assembler", "Product", "ScanningAssembler"]

Product: TypeAlias = Configuration | MediaFrame

_MASK = (1 << TIMESTAMP_BITS) - 1
_MOST_MARKS = 16
"""Times of PES packets that are remembered while one frame is waited for."""


class Assembler(ABC):
    """PES packets of one track in, frames out.

    Limits: ``max_pes_size`` for what is held.
    """

    def __init__(self, pid: int, codec: Codec | None, limits: Limits) -> None:
        self.pid = pid
        """Whose PES packets these are."""
        self.codec = codec
        """None for data."""
        self.limits = limits
        """What may be held."""
        self.generation = 0
        """How many configurations there were."""
        self.configuration: bytes | None = None
        """The latest one."""
        self.octets_skipped = 0
        """Octets that belong to no frame."""
        self.frames_dropped = 0
        """Frames that were damaged beyond use."""

    @property
    @abstractmethod
    def held(self) -> int:
        """Octets held."""

    @abstractmethod
    def feed(self, pes: PesPacket) -> list[Product]:
        """Take a PES packet; return what is whole."""

    @abstractmethod
    def flush(self) -> list[Product]:
        """Return what was waiting for more."""

    @abstractmethod
    def drop(self) -> None:
        """Forget what is held."""

    def configure(
        self,
        data: bytes,
        parameters: VideoParameters | AudioParameters,
        products: list[Product],
    ) -> None:
        """Announce a configuration."""
        if self.codec is None:
            return
        self.generation += 1
        self.configuration = data
        products.append(
            Configuration(self.pid, self.codec, self.generation, data, parameters)
        )


class ScanningAssembler(Assembler):
    """For frames that begin with something to know them by, and that say their size.

    A PES packet may hold several of them, and one may go over its end. The time of a
    PES packet is that of the first frame that begins in it (ISO 13818-1 §2.4.3.7); the
    others are counted on. Where octets are missing, a frame counts only if another one
    stands behind it, or nothing.
    """

    marker = b""
    """The octet that a frame begins with."""

    def __init__(self, pid: int, codec: Codec | None, limits: Limits) -> None:
        super().__init__(pid, codec, limits)
        self._parts: list[bytes] = []
        self._held = 0
        # Octets that it takes to go on, so that a large frame in small packets is not
        # put together again and again.
        self._wanted = 0
        # Times of PES packets, and where they begin in what is held.
        self._marks: list[tuple[int, int | None]] = []
        self._strict = False
        self._lost = False
        # The clock counts on from here, in samples.
        self._anchor: int | None = None
        self._samples = 0
        self._rate = CLOCK_RATE

    @property
    def held(self) -> int:
        """Octets held."""
        return self._held

    @abstractmethod
    def measure(self, data: bytes, position: int) -> int:
        """Return the octets of the frame here, 0: there is none, -1: more must come."""

    @abstractmethod
    def take(self, frame: bytes, made: MediaFrame, products: list[Product]) -> int:
        """Complete ``made`` by a whole frame, append it; return its samples."""

    def count_in(self, rate: int) -> None:
        """Set the rate that samples are counted at."""
        if rate != self._rate:
            self._anchor = self._time()
            self._samples = 0
            self._rate = rate

    def _time(self) -> int | None:
        if self._anchor is None:
            return None
        passed = (2 * self._samples * CLOCK_RATE + self._rate) // (2 * self._rate)
        return (self._anchor + passed) & _MASK

    def drop(self) -> None:
        """Forget what is held."""
        self.octets_skipped += self._held
        self._keep(b"", 0)
        self._marks = []
        self._lost = True

    def flush(self) -> list[Product]:
        """Return what stands behind a frame that does not end."""
        products: list[Product] = []
        self._salvage(products)
        return products

    def feed(self, pes: PesPacket) -> list[Product]:
        """Take a PES packet; return what is whole."""
        products: list[Product] = []
        if self._held and self._is_whole(pes.payload):
            # A frame that goes over the end of its packet does not leave one that
            # begins like this: its size is wrong, and would swallow what follows.
            self.frames_dropped += 1
            self._salvage(products)
        self._marks.append((self._held, pes.pts))
        del self._marks[1:-_MOST_MARKS]
        self._parts.append(pes.payload)
        self._held += len(pes.payload)
        self._strict = self._strict or pes.damaged or pes.after_loss
        self._lost = self._lost or pes.after_loss
        if self._held < self._wanted and not self._strict:
            return products
        data = b"".join(self._parts)
        position, wanted = self._scan(data, 0, products)
        self._keep(data[position:], wanted)
        # Of the packets that begin up to here, the rest begins in the last one.
        begun = [(0, pts) for at, pts in self._marks if at <= position]
        later = [(at - position, pts) for at, pts in self._marks if at > position]
        self._marks = begun[-1:] + later
        self._strict = self._strict and self._held > 0
        return products

    def _keep(self, rest: bytes, wanted: int) -> None:
        self._parts = [rest] if rest else []
        self._held = len(rest)
        self._wanted = wanted

    def _scan(
        self, data: bytes, position: int, products: list[Product]
    ) -> tuple[int, int]:
        """Give out frames; return where the rest begins, and the size it waits for."""
        for _ in range(self.limits.max_frames_per_pes):
            position, size = self._find(data, position)
            if not size or position + size > len(data):
                return position, size
            timed = False
            while self._marks and self._marks[0][0] <= position:
                pts = self._marks.pop(0)[1]
                timed = pts is not None
                if pts is not None:
                    self._anchor, self._samples = pts, 0
            self._give_out(data[position : position + size], timed, products)
            position += size
        self.octets_skipped += len(data) - position
        self._lost = True
        return len(data), 0

    def _salvage(self, products: list[Product]) -> None:
        """Give up a frame that does not end, and look for others in what it held."""
        if not self._held:
            return
        data = b"".join(self._parts)
        self._strict = True
        self.octets_skipped += 1
        self._lost = True
        position, _ = self._scan(data, 1, products)
        self.octets_skipped += len(data) - position
        self._keep(b"", 0)
        self._marks = []
        self._strict = False

    def _is_whole(self, data: bytes) -> bool:
        """Tell whether a PES packet begins with a frame, and another or nothing."""
        size = self.measure(data, 0) if data else 0
        if not 0 < size <= len(data):
            return False
        return size == len(data) or self.measure(data, size) != 0

    def _give_out(self, frame: bytes, timed: bool, products: list[Product]) -> None:
        time = self._time()
        made = MediaFrame(self.pid, time, time, b"", timed=timed)
        made.after_loss = self._lost
        self._lost = False
        self._samples += self.take(frame, made, products)

    def _find(self, data: bytes, start: int) -> tuple[int, int]:
        """Return place and size of the next frame, perhaps beyond the end.

        What stands in front of the place is of no use. Size 0: the end, or too little
        is there to tell.
        """
        position, end = start, len(data)
        first = end, 0
        while position < end:
            size = self.measure(data, position)
            if size < 0 or size > end - position:
                if first[0] == end:
                    first = position, max(size, 0)
                if not self._strict:
                    break
                # In a damaged packet this may be a false beginning.
            elif size and (
                not self._strict
                or position + size == end
                or self.measure(data, position + size)
            ):
                first = position, size
                break
            position = self._next_candidate(data, position + 1)
        self._note_skipped(first[0] - start)
        return first

    def _next_candidate(self, data: bytes, position: int) -> int:
        found = data.find(self.marker, position)
        return found if found >= 0 else len(data)

    def _note_skipped(self, octets: int) -> None:
        if octets:
            self.octets_skipped += octets
            self._lost = True
