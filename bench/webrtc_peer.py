"""Measure what a `Peer` costs, in µs a datagram: media that comes in, and its clock.

One peer calls another without a network; media of 1,200 octets with transport-wide
numbers comes in batches of 8, as a socket gives them, and everything that a driver asks
is asked after each batch.
"""

from __future__ import annotations

import datetime
import os
import time
from collections.abc import Callable

from sansmedia.dtls import SrtpProfile, generate_certificate
from sansmedia.ice import IceConfig, host_candidate
from sansmedia.rtp import RtpPacket, decode_rtp, encode_rtp
from sansmedia.sansio import Datagram
from sansmedia.sdp import (
    Direction,
    NegotiatedCodec,
    NegotiatedMedia,
    NegotiatedSession,
)
from sansmedia.webrtc import TRANSPORT_CC, MediaReceiver, Peer, PeerConfig, PeerMux

BATCH = 8
BATCHES = 100
ROUNDS = 15
ADDRESSES = ("192.0.2.1", 5000), ("192.0.2.2", 5000)
VIDEO = NegotiatedMedia(
    index=0,
    mid="0",
    kind="video",
    direction=Direction.SENDRECV,
    codecs=(
        NegotiatedCodec(
            payload_type=96,
            encoding="VP8",
            clock_rate=90_000,
            feedback=("nack", "nack pli", "transport-cc"),
            rtx_payload_type=97,
        ),
    ),
    extensions={TRANSPORT_CC: 5},
)


def call(profile: SrtpProfile, *, lite: bool) -> tuple[Peer, Peer]:
    """Return a sender and a receiver that are connected."""
    peers = []
    for controlling, address in zip((True, False), ADDRESSES, strict=True):
        certificate = generate_certificate(
            os.urandom, not_before=datetime.datetime.now(tz=datetime.UTC)
        )
        config = PeerConfig(
            certificate=certificate,
            ice=IceConfig(controlling=controlling, lite=lite and not controlling),
            srtp_profiles=(profile,),
        )
        peer = Peer(config, dice=os.urandom, now=0.0)
        peer.add_local_candidate(host_candidate(address), now=0.0)
        peers.append(peer)
    sender, receiver = peers
    for peer, other in ((sender, receiver), (receiver, sender)):
        session = NegotiatedSession(
            media=(VIDEO,), remote=other.transport(), is_dtls_client=peer is sender
        )
        peer.connect(session, now=0.0)
    for step in range(40):
        now = step * 0.05
        for peer, other, address in (
            (sender, receiver, ADDRESSES[0]),
            (receiver, sender, ADDRESSES[1]),
        ):
            peer.handle_timeout(now)
            sent = peer.datagrams_to_send()
            carried = [Datagram(one.data, address, one.peer, now) for one in sent]
            other.receive_datagrams(carried, now)
    drain(sender)
    drain(receiver)
    assert receiver.is_connected
    return sender, receiver


def drain(peer: Peer) -> None:
    """Ask what a driver asks."""
    while peer.next_event() is not None:
        pass
    peer.datagrams_to_send()
    peer.next_timeout()


def packet(number: int) -> RtpPacket:
    """Make one of 1,200 octets, protection included."""
    extension = b"\x51" + (number & 0xFFFF).to_bytes(2, "big") + b"\0"
    return RtpPacket(
        96,
        number & 0xFFFF,
        number * 300 & 0xFFFFFFFF,
        0x1000,
        bytes(1_164),
        extension_profile=0xBEDE,
        extension=extension,
    )


def best(work: Callable[[], int]) -> float:
    """Return the µs of CPU that one of what ``work`` does takes, at best."""
    found = 1e9
    for _ in range(ROUNDS):
        before = time.process_time()
        count = work()
        found = min(found, (time.process_time() - before) / count * 1e6)
    return found


def receive(profile: SrtpProfile, *, lite: bool) -> float:
    """Measure a whole peer."""
    sender, receiver = call(profile, lite=lite)
    sealer = sender.sealer
    assert sealer is not None
    now, number, found = 10.0, 0, 1e9
    for _ in range(ROUNDS):
        batches = []
        for _ in range(BATCHES):
            batch = []
            for _ in range(BATCH):
                data = sealer.protect_rtp(encode_rtp(packet(number)))
                batch.append(Datagram(data, *ADDRESSES, now))
                number += 1
            batches.append(batch)
        before = time.process_time()
        for batch in batches:
            now += 0.003
            receiver.receive_datagrams(batch, now)
            drain(receiver)
        spent = time.process_time() - before
        found = min(found, spent / (BATCH * BATCHES) * 1e6)
    assert receiver.statistics().unauthentic == 0
    return found


def main() -> None:
    """Print everything."""
    for profile in (SrtpProfile.AEAD_AES_128_GCM, SrtpProfile.AES128_CM_HMAC_SHA1_80):
        for lite in (False, True):
            kind = "lite" if lite else "full"
            cost = receive(profile, lite=lite)
            print(f"receive, {profile.name}, {kind}: {cost:.2f}")

    _, peer = call(SrtpProfile.AEAD_AES_128_GCM, lite=True)

    def ask() -> int:
        for _ in range(2_000):
            peer.next_timeout()
        return 2_000

    def tell() -> int:
        for number in range(1_000):
            peer.ice.note_received(now=3.0 + number / 1e6)
        return 1_000

    session = NegotiatedSession(
        media=(VIDEO,), remote=peer.transport(), is_dtls_client=False
    )
    sorter = MediaReceiver(session, local_ssrc=1)
    sequence = 0

    def sort_packets() -> int:
        nonlocal sequence
        plain = [decode_rtp(encode_rtp(packet(sequence + n))) for n in range(BATCH)]
        for _ in range(200):
            for one in plain:
                one.sequence = sequence & 0xFFFF
                sequence += 1
            sorter.feed([(one, 1.0) for one in plain], 1.0)
        return 200 * BATCH

    mux = PeerMux()
    mux.add(peer)
    assert peer.path is not None
    mux.learn(peer.path, peer)
    batch = [
        Datagram(b"\x80\x60" + bytes(60), peer.path.peer, peer.path.local)
        for _ in range(64)
    ]

    def sort_datagrams() -> int:
        for _ in range(100):
            mux.sort(batch)
        return 6_400

    print(f"next_timeout: {best(ask):.2f}")
    print(f"a word to a lite agent: {best(tell):.2f}")
    print(f"MediaReceiver.feed, a packet: {best(sort_packets):.2f}")
    print(f"PeerMux.sort, a datagram: {best(sort_datagrams):.2f}")


if __name__ == "__main__":
    main()
