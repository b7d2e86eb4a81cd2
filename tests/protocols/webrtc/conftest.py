"""A call between two peers, for the tests to disturb."""

from __future__ import annotations

import datetime
import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import attrs
import pytest
from sansmedia.dtls import Certificate, generate_certificate
from sansmedia.ice import IceConfig, host_candidate
from sansmedia.rtp import RtpPacket, encode_rtp
from sansmedia.sansio import Datagram
from sansmedia.sansio.testing import (
    Conditions,
    DatagramLink,
    DatagramPair,
    SeededDice,
    mutate_bytes,
)
from sansmedia.sdp import (
    Capabilities,
    Direction,
    OfferedCodec,
    OfferedMedia,
    SendSource,
    Setup,
    apply_answer,
    make_answer,
    make_offer,
)
from sansmedia.webrtc import (
    TRANSPORT_CC,
    Limits,
    MediaReceived,
    PacketsMissed,
    Peer,
    PeerConfig,
    PeerEvent,
    SendStream,
    SendStreamConfig,
    any_codec,
)

_DAY = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
_FEEDBACK = {"video": ("nack", "nack pli", "ccm fir", "transport-cc"), "audio": ()}
_SOURCES = (
    SendSource(
        kind="video",
        ssrc=0x1000,
        rtx_ssrc=0x1001,
        cname="c",
        stream="s",
        track="v",
    ),
    SendSource(kind="audio", ssrc=0x2000, cname="c", stream="s", track="a"),
)


@attrs.define
class _Packet:
    number: int
    payload: bytes
    timestamp: int
    marker: bool = False


@functools.cache
def _certificate(seed: int) -> Certificate:
    return generate_certificate(SeededDice(seed), not_before=_DAY)


class _Link(DatagramLink):
    """A link on whose way somebody repeats, damages and forges.

    Args:
        conditions: What happens by itself.
        seed: Of everything.
        hostility: How likely a forged datagram goes along with one.
    """

    def __init__(self, conditions: Conditions, *, seed: int, hostility: float) -> None:
        super().__init__(conditions, seed=seed)
        self._hostility = hostility
        self._evil = SeededDice(seed + 1000)
        self._seen: list[Datagram] = []

    def send(self, datagrams: Iterable[Datagram], now: float) -> None:
        for datagram in datagrams:
            super().send([datagram], now)
            if self._evil.chance(self._hostility):
                self._seen = [*self._seen[-50:], datagram]
                super().send([self._forged()], now)

    def _forged(self) -> Datagram:
        dice = self._evil
        one, other = dice.choice(self._seen), dice.choice(self._seen)
        data = one.data
        if dice.chance(0.8):
            data = mutate_bytes(data, other.data, dice)
        peer = one.peer if dice.chance(0.7) else ("203.0.113.7", 7)
        return attrs.evolve(one, data=data, peer=peer)


class Call:
    """A caller that sends, an answerer that receives, and the network between."""

    def __init__(
        self,
        conditions: Conditions | None = None,
        *,
        seed: int = 0,
        setup: Setup = Setup.PASSIVE,
        lite: bool = False,
        sender_lite: bool = False,
        candidates: bool = True,
        controlling: bool = True,
        hostility: float = 0.0,
        limits: Limits | None = None,
        feedback: Sequence[str] = _FEEDBACK["video"],
    ) -> None:
        self.configs = (
            PeerConfig(
                certificate=_certificate(1),
                ice=IceConfig(controlling=controlling, lite=sender_lite),
            ),
            PeerConfig(
                certificate=_certificate(2),
                ice=IceConfig(controlling=not controlling, lite=lite),
            ),
        )
        self.sender = Peer(self.configs[0], dice=SeededDice(10 + seed), now=0.0)
        self.receiver = Peer(
            self.configs[1], limits, dice=SeededDice(20 + seed), now=0.0
        )
        if candidates:
            host = host_candidate(DatagramPair.left_address)
            self.sender.add_local_candidate(host, now=0.0)
        else:
            # As FFmpeg and OBS do: the peer learns where we are by our checks.
            self.sender.add_local_candidate(
                host_candidate(("203.0.113.9", 9)),
                base=DatagramPair.left_address,
                now=0.0,
            )
        self.receiver.add_local_candidate(
            host_candidate(DatagramPair.right_address), now=0.0
        )
        offer = make_offer(
            [
                OfferedMedia(
                    kind="video",
                    codecs=(
                        OfferedCodec(
                            encoding="VP8",
                            clock_rate=90_000,
                            feedback=tuple(feedback),
                            rtx=True,
                        ),
                    ),
                    extensions=(TRANSPORT_CC,),
                    source=_SOURCES[0],
                ),
                OfferedMedia(
                    kind="audio",
                    codecs=(
                        OfferedCodec(encoding="opus", clock_rate=48_000, channels=2),
                    ),
                    extensions=(),
                    source=_SOURCES[1],
                ),
            ],
            direction=Direction.SENDONLY,
            transport=self.sender.transport(),
            session_id=1,
        )
        if not candidates:
            first = attrs.evolve(offer.media[0], candidates=())
            offer = attrs.evolve(offer, media=(first, *offer.media[1:]))
        plan = make_answer(
            offer,
            capabilities=Capabilities(
                direction=Direction.RECVONLY,
                match=any_codec(),
                extensions={"video": (TRANSPORT_CC,)},
                feedback={"video": tuple(feedback), "audio": ()},
            ),
            transport=self.receiver.transport(setup),
            session_id=2,
        )
        self.receiver.connect(plan.session, now=0.0)
        self.sender.connect(apply_answer(offer, plan.answer), now=0.0)
        conditions = conditions or Conditions(delay=0.01)
        self.media: dict[str, list[RtpPacket]] = {"video": [], "audio": []}
        self.received: list[PeerEvent] = []
        self.told: list[PeerEvent] = []
        self.streams: dict[int, SendStream] = {}
        self.sent: dict[tuple[int, int], _Packet] = {}
        self.pair: DatagramPair[PeerEvent, PeerEvent] = DatagramPair(
            self.sender,
            self.receiver,
            there=_Link(conditions, seed=seed + 1, hostility=hostility),
            back=_Link(conditions, seed=seed + 2, hostility=hostility),
            on_left=self._left,
            on_right=self._right,
        )

    def _left(self, event: PeerEvent, now: float) -> None:
        self.told.append(event)
        if isinstance(event, PacketsMissed):
            stream = self.streams[event.ssrc]
            ssrc = event.ssrc
            found = stream.resend(
                event.sequences, lambda _, n: self.sent.get((ssrc, n))
            )
            self.write(found)

    def _right(self, event: PeerEvent, now: float) -> None:
        self.received.append(event)
        if isinstance(event, MediaReceived):
            self.media[event.stream.media.kind] += event.packets

    def write(self, packets: list[bytes]) -> None:
        for packet in packets:
            self.pair.there.send(
                [_datagram(packet)],
                self.pair.now,
            )

    def send(self, ssrc: int, payload_type: int, packets: list[_Packet]) -> None:
        stream = self.streams.get(ssrc)
        if stream is None:
            assert self.sender.sealer is not None
            rtx = (0x1001, payload_type + 1) if ssrc == 0x1000 else (None, None)
            stream = self.streams[ssrc] = SendStream(
                SendStreamConfig(ssrc, payload_type, 90_000, *rtx),
                sealer=self.sender.sealer,
                dice=SeededDice(ssrc),
            )
            stream.begin("source", packets[0].number, packets[0].timestamp)
        for packet in packets:
            self.sent[ssrc, packet.number] = packet
        self.write(stream.write(packets))

    def run(self, seconds: float) -> None:
        self.pair.run(until=self.pair.now + seconds)

    def video(self, start: int, count: int) -> None:
        """Send pictures of one packet each."""
        packets = [
            _Packet(n, b"video %d" % n, n * 3_000, True)
            for n in range(start, start + count)
        ]
        self.send(0x1000, self.payload_type("video"), packets)

    def audio(self, start: int, count: int) -> None:
        packets = [
            _Packet(n, b"audio %d" % n, n * 960) for n in range(start, start + count)
        ]
        self.send(0x2000, self.payload_type("audio"), packets)

    def payload_type(self, kind: str) -> int:
        assert self.sender.session is not None
        (media,) = [m for m in self.sender.session.media if m.kind == kind]
        return media.codecs[0].payload_type

    def sealed(self, packet: RtpPacket) -> Datagram:
        """Return any packet as the sender would send it."""
        assert self.sender.sealer is not None
        return _datagram(self.sender.sealer.protect_rtp(encode_rtp(packet)))

    def restart(self) -> None:
        """Begin ICE anew on both sides; the signalling is quick."""
        now = self.pair.now
        for peer in (self.sender, self.receiver):
            peer.restart(now=now)
        for peer, other in (
            (self.sender, self.receiver),
            (self.receiver, self.sender),
        ):
            transport = other.transport()
            peer.set_remote_parameters(transport.ice_ufrag, transport.ice_pwd, now=now)
            for candidate in transport.candidates:
                peer.add_remote_candidate(candidate, now=now)


def _datagram(data: bytes) -> Datagram:
    return Datagram(data, DatagramPair.left_address, DatagramPair.right_address)


@pytest.fixture
def make_call() -> Callable[..., Any]:
    """Make a call; the arguments say how bad its network is and who does what."""
    return Call
