"""`PeerMux`: peers that come, learn, restart and go, and datagrams in between."""

from __future__ import annotations

import datetime

from sansmedia.dtls import generate_certificate
from sansmedia.ice import Path
from sansmedia.sansio import Datagram
from sansmedia.sansio.testing import SeededDice
from sansmedia.stun import (
    AttributeType,
    Message,
    MessageClass,
    Method,
    encode_message,
)
from sansmedia.webrtc import Peer, PeerConfig, PeerMux

_CERTIFICATE = generate_certificate(
    SeededDice(1), not_before=datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
)
_PATHS = tuple(
    Path(("192.0.2.1", 8000), ("192.0.2.2", port), transport)
    for port in range(4)
    for transport in ("udp", "tcp")
)


def _datagram(
    peer: Peer, kind: int, path: Path, octets: bytes
) -> tuple[Datagram, bool]:
    """Make a datagram, and say whether it names the peer itself."""
    data, names = octets, False
    if kind == 0:
        name = (AttributeType.USERNAME, f"{peer.ice.local_ufrag}:x".encode())
        data = encode_message(
            Message(MessageClass.REQUEST, Method.BINDING, bytes(12), [name])
        )
        names = True
    elif kind == 1:
        prefix = peer.ice.transaction_prefix
        transaction = prefix + bytes(12 - len(prefix))
        data = encode_message(
            Message(MessageClass.SUCCESS, Method.BINDING, transaction)
        )
        names = True
    elif data and data[0] < 4:
        data = b"\x80" + data
    return Datagram(data, path.peer, path.local, transport=path.transport), names


def one_input(data: bytes) -> None:
    # Each datagram goes to one peer that is there, or is counted; one that names its
    # peer goes to that, all others to who learned the path; none of a peer stays.
    mux = PeerMux()
    peers = [
        Peer(PeerConfig(certificate=_CERTIFICATE), dice=SeededDice(seed), now=0.0)
        for seed in range(3)
    ]
    present: set[Peer] = set()
    owners: dict[Path, Peer] = {}
    for at in range(0, min(len(data), 400) - 1, 2):
        operation, argument = data[at], data[at + 1]
        peer, path = peers[argument % 3], _PATHS[argument >> 2 & 7]
        kind = operation & 7
        if kind == 0:
            mux.add(peer)
            present.add(peer)
        elif kind == 1:
            mux.remove(peer)
            present.discard(peer)
            owners = {path: of for path, of in owners.items() if of is not peer}
        elif kind == 2:
            mux.learn(path, peer)
            if peer in present:
                owners[path] = peer
        elif kind == 3:
            mux.forget(path, peer)
            if owners.get(path) is peer:
                del owners[path]
        elif kind == 4:
            peer.restart(now=0.0)
            if peer in present:
                mux.add(peer)
        else:
            datagram, names = _datagram(
                peer, operation >> 3 & 3, path, data[at : at + 9]
            )
            before = mux.strangers
            runs = mux.sort([datagram])
            expected = peer if names and peer in present else owners.get(path)
            if expected is None:
                assert (runs, mux.strangers) == ({}, before + 1)
            else:
                assert runs == {expected: [datagram]}
        assert len(mux) == len(present)
        assert mux.owner_of(path) is owners.get(path)
    for peer in peers:
        mux.remove(peer)
        assert mux.is_free(peer.ice.local_ufrag, peer.ice.transaction_prefix)
    assert all(mux.owner_of(path) is None for path in _PATHS)
