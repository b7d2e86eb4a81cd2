"""Two `Peer`s, and somebody between them: a call that is disturbed in any way."""

from __future__ import annotations

import datetime

from sansmedia.dtls import generate_certificate
from sansmedia.ice import IceConfig, host_candidate
from sansmedia.rtp import PictureLossIndication, RtpPacket, encode_rtp
from sansmedia.sansio import Datagram, Terminated
from sansmedia.sansio.testing import SeededDice, mutate_bytes
from sansmedia.sdp import (
    Direction,
    NegotiatedCodec,
    NegotiatedMedia,
    NegotiatedSession,
)
from sansmedia.webrtc import TRANSPORT_CC, Limits, MediaReceived, Peer, PeerConfig

_DAY = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
_CERTIFICATES = tuple(
    generate_certificate(SeededDice(seed), not_before=_DAY) for seed in (1, 2)
)
_ADDRESSES = ("192.0.2.1", 5000), ("192.0.2.2", 5000), ("203.0.113.9", 9)
_CODEC = NegotiatedCodec(
    payload_type=96,
    encoding="VP8",
    clock_rate=90_000,
    feedback=("nack", "nack pli", "transport-cc"),
    rtx_payload_type=97,
)
_LIMITS = Limits(streams=4, events=64, event_bytes=100_000)
_HELD = 500_000


class _Side:
    def __init__(self, number: int, flags: int) -> None:
        self.number = number
        self.ssrc = 0x1000 * (number + 1)
        controlling = bool(flags & 1) == bool(number)
        self.peer = Peer(
            PeerConfig(
                certificate=_CERTIFICATES[number],
                ice=IceConfig(controlling=controlling, lite=flags & 6 == 2 << number),
            ),
            _LIMITS,
            dice=SeededDice(number),
            now=0.0,
        )
        self.peer.add_local_candidate(host_candidate(_ADDRESSES[number]), now=0.0)
        self.wire: list[Datagram] = []
        self.told: list[object] = []
        self.heard: list[bytes] = []
        self.sent = 0

    def begin(self, other: _Side, is_client: bool) -> None:
        media = NegotiatedMedia(
            index=0,
            mid="0",
            kind="video",
            direction=Direction.SENDRECV,
            codecs=(_CODEC,),
            extensions={TRANSPORT_CC: 5},
            ssrc=self.ssrc,
        )
        session = NegotiatedSession(
            media=(media,), remote=other.peer.transport(), is_dtls_client=is_client
        )
        self.peer.connect(session, now=0.0)

    def drain(self, now: float) -> None:
        peer = self.peer
        while (event := peer.next_event()) is not None:
            assert not any(isinstance(old, Terminated) for old in self.told)
            self.told.append(event)
            if isinstance(event, MediaReceived):
                self.heard += [packet.payload for packet in event.packets]
                if len(self.heard) % 5 == 0:
                    peer.request_key_frame(event.stream, now=now)
        self.wire = (self.wire + peer.datagrams_to_send())[-64:]
        peer.pair_report()
        peer.statistics()
        assert peer.pending_bytes <= _HELD

    def send(self, count: int) -> None:
        peer = self.peer
        if peer.sealer is None or peer.path is None:
            return
        for _ in range(count):
            number = self.sent & 0xFFFF
            packet = RtpPacket(
                96,
                number,
                number * 3000,
                self.ssrc,
                b"%d of %d" % (number, self.number),
                extension_profile=0xBEDE,
                extension=b"\x51" + number.to_bytes(2, "big") + b"\0",
            )
            self.sent += 1 + (count & 1)
            data = peer.sealer.protect_rtp(encode_rtp(packet))
            self.wire.append(Datagram(data, peer.path.peer, peer.path.local))


def _fire(side: _Side, now: float) -> None:
    deadline = side.peer.next_timeout()
    if deadline is not None and deadline <= now:
        side.peer.handle_timeout(now)
        following = side.peer.next_timeout()
        assert following is None or following > now


def _carry(side: _Side, other: _Side, argument: int, octets: bytes, now: float) -> None:
    """Hand over what was sent: as it is, doubled, from elsewhere, damaged, or not."""
    way = argument & 7
    carried, side.wire = side.wire, []
    batch = []
    for sent in carried:
        peer, data = _ADDRESSES[side.number], sent.data
        if way == 1:
            peer = _ADDRESSES[2]
        elif way == 2:
            data = mutate_bytes(data, octets, SeededDice(argument))
        elif way == 3:
            batch.append(Datagram(octets, peer, sent.peer, now))
        elif way == 4:
            continue
        batch.append(Datagram(data, peer, sent.peer, now))
    if way == 5:
        batch += batch
    elif way == 6:
        batch.reverse()
    for start in range(0, len(batch), 64):
        other.peer.receive_datagrams(batch[start : start + 64], now)


def _restart(sides: tuple[_Side, _Side], now: float) -> None:
    if any(side.peer.is_terminated for side in sides):
        return
    for side in sides:
        side.peer.restart(now=now)
    for side, other in (sides, sides[::-1]):
        transport = other.peer.transport()
        side.peer.set_remote_parameters(transport.ice_ufrag, transport.ice_pwd, now=now)
        for candidate in transport.candidates:
            side.peer.add_remote_candidate(candidate, now=now)


def one_input(data: bytes) -> None:
    # Whatever is done to a call: nothing raises, memory is bounded, deadlines advance,
    # what is heard was said by the other, one Terminated comes last.
    if not data:
        return
    sides = _Side(0, data[0]), _Side(1, data[0])
    sides[0].begin(sides[1], bool(data[0] & 8))
    sides[1].begin(sides[0], not data[0] & 8)
    now = 0.0
    for at in range(1, min(len(data), 300), 2):
        operation, argument = data[at], data[at + 1] if at + 1 < len(data) else 0
        side, other = sides if operation & 1 else sides[::-1]
        kind = operation >> 1 & 15
        if kind < 7:
            _carry(side, other, argument, data[at : at + 40], now)
            _carry(other, side, 0, b"", now)
        elif kind < 10:
            side.send(argument & 15)
        elif kind == 10:
            _restart(sides, now)
        elif kind == 11:
            side.peer.send_rtcp([PictureLossIndication(1, other.ssrc)], now=now)
        elif kind == 12 and argument == 255:
            side.peer.close("fuzz", now=now)
        else:
            now += (0.001, 0.02, 3.0)[argument % 3] * (1 + argument / 64)
            for one in sides:
                _fire(one, now)
        for one in sides:
            one.drain(now)
    for one, two in (sides, sides[::-1]):
        said = {b"%d of %d" % (number, two.number) for number in range(two.sent)}
        assert set(one.heard) <= said
        one.peer.close(now=now)
        one.drain(now)
        assert isinstance(one.told[-1], Terminated)
        assert one.peer.next_timeout() is None
        assert one.peer.pending_bytes == 0
