"""The newest RTP payloads of one track: what viewers share, and what NACK asks for.

Packets are numbered by the track's own count, which has gaps where packets were lost on
the way here; a late one still finds its place. Viewers put their own headers around the
payloads.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence

import attrs

from penstock.media import Track

__all__ = ["Packet", "PacketRing"]

_OVERHEAD = 220
"""What a packet's objects cost beside its payload."""
_RESTART = 3_000
"""A step in numbers over so many is no loss: the sender counts anew."""
_BACK_S = 1.0
"""A step back in time over so much is no order of pictures: its clock begins anew, as
that of a looped file does."""
_SPAN = 1 << 15
"""Numbers from the oldest to the newest packet: no sequence number of 16 bits names
older ones, and a sender that leaves gaps must not make `PacketRing.since` long."""


@attrs.define(eq=False)
class Packet:
    """One RTP payload of a track."""

    number: int
    """Position in the track, unwrapped."""
    payload: bytes
    timestamp: int
    """Ticks of the track's RTP clock, unwrapped."""
    marker: bool = False
    """The last one of its frame."""
    key: bool = False
    """The first one of a frame where decoding can start."""


class PacketRing:
    """Keeps packets of one track for as long as anybody may need them.

    Args:
        track: Whose.
        rate: Ticks a second of `Packet.timestamp`.
        seconds: How much of the past to keep.
        max_bytes: Bound on `octets`.
        keep_group: Keep the newest group of pictures even if it is older.
    """

    def __init__(
        self,
        track: Track,
        rate: int,
        *,
        seconds: float,
        max_bytes: int,
        keep_group: bool,
    ) -> None:
        self.track = track
        self.rate = rate
        self.first = 0
        """Number of the oldest packet that may be kept."""
        self.end = 0
        """One more than the newest number."""
        self.key: int | None = None
        """Number of the first packet of the newest frame where decoding can start."""
        self.octets = 0
        """Memory that the kept packets take."""
        self.offset_s = 0.0
        """Stream time in seconds = timestamp / rate + this, as known by now."""
        self.newest_timestamp = 0
        self.restarts = 0
        """How often numbers or times began anew; older ones mean nothing then."""
        self._packets: dict[int, Packet] = {}
        self._arrived: deque[int] = deque()
        """Their numbers as they came, so that gaps cost no time when they go."""
        self._seconds = seconds
        self._max_bytes = max_bytes
        self._keep_group = keep_group
        self._key_timestamp: int | None = None

    @property
    def source(self) -> Mapping[int, Packet]:
        """What is kept, by number: another mapping each time that numbers begin anew.

        So whoever remembers one cannot find a new packet by an old one's number.
        """
        return self._packets

    def get(self, number: int) -> Packet | None:
        """Return a packet, if it came and is still kept."""
        return self._packets.get(number)

    def since(self, number: int) -> Iterator[Packet]:
        """Yield what is kept from ``number`` on, in order."""
        packets = self._packets
        for at in range(max(number, self.first), self.end):
            packet = packets.get(at)
            if packet is not None:
                yield packet

    def add(self, packets: Sequence[Packet]) -> tuple[list[Packet], list[Packet]]:
        """Take packets as they come.

        Returns:
            Those that go on where the track stood, in order, and those that fill
            gaps before it. Duplicates and what is too old are in neither, nor is
            what came before the numbers began anew.
        """
        fresh: list[Packet] = []
        late: list[Packet] = []
        for packet in packets:
            number = packet.number
            if self._packets and self._begins_anew(packet):
                self.restart()
                fresh, late = [], []
            if not self._packets:
                self.first = self.end = number
                self.newest_timestamp = packet.timestamp
            if number >= self.end:
                self.end = number + 1
                self.newest_timestamp = max(self.newest_timestamp, packet.timestamp)
                fresh.append(packet)
            elif number < self.first or number in self._packets:
                continue
            else:
                late.append(packet)
            self._packets[number] = packet
            self._arrived.append(number)
            self.octets += len(packet.payload) + _OVERHEAD
            if packet.key:
                self._note_key(packet)
        self._trim()
        return fresh, late

    def _begins_anew(self, packet: Packet) -> bool:
        if abs(packet.number - self.end) > _RESTART:
            return True
        back = self.newest_timestamp - packet.timestamp
        return packet.number >= self.end and back > _BACK_S * self.rate

    def _note_key(self, packet: Packet) -> None:
        """Parameter sets and picture of one time may each say that it begins here."""
        number, key = packet.number, self.key
        if key is None or (
            number < key if packet.timestamp == self._key_timestamp else number > key
        ):
            self.key, self._key_timestamp = number, packet.timestamp

    def end_group(self) -> None:
        """The publisher has gone: nobody new starts with what it left behind."""
        self.key = self._key_timestamp = None

    def restart(self) -> None:
        """Forget everything: numbers and timestamps begin anew."""
        self._packets.clear()  # whoever remembers it as `source` keeps nothing alive
        self._packets = {}
        self._arrived.clear()
        self.octets = 0
        self.key = self._key_timestamp = None
        self.restarts += 1

    def _trim(self) -> None:
        packets, arrived = self._packets, self._arrived
        while len(arrived) > 1:
            oldest = packets[arrived[0]]
            if oldest.number == self.end - 1:
                arrived.rotate(-1)  # the newest stays, what was late behind it may go
                continue
            if self._keeps(oldest):
                break
            del packets[arrived.popleft()]
            self.octets -= len(oldest.payload) + _OVERHEAD
            self.first = max(self.first, oldest.number + 1)
        if self.key is not None and self.key < self.first:
            self.end_group()

    def _keeps(self, packet: Packet) -> bool:
        """Tell whether the packet that came first may stay."""
        number = packet.number
        if self.octets > self._max_bytes or self.end - number > _SPAN:
            return False
        horizon = self.newest_timestamp - int(self._seconds * self.rate)
        return packet.timestamp >= horizon or (
            self._keep_group and self.key is not None and number >= self.key
        )
