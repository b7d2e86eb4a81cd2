"""Whose datagram it is."""

from __future__ import annotations

import datetime
import functools
from collections.abc import Callable
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sansmedia.dtls import Certificate, generate_certificate
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

_US = ("192.0.2.1", 8000)
_THEM = ("192.0.2.2", 5000)
_PATH = Path(_US, _THEM)
_MakeCall = Callable[..., Any]


@functools.cache
def _certificate() -> Certificate:
    day = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    return generate_certificate(SeededDice(1), not_before=day)


def _peer(seed: int) -> Peer:
    return Peer(PeerConfig(certificate=_certificate()), dice=SeededDice(seed), now=0.0)


def _request(ufrag: str) -> bytes:
    name = (AttributeType.USERNAME, f"{ufrag}:them".encode())
    message = Message(MessageClass.REQUEST, Method.BINDING, bytes(12), [name])
    return encode_message(message)


def _answer(prefix: bytes) -> bytes:
    transaction = prefix + bytes(12 - len(prefix))
    return encode_message(Message(MessageClass.SUCCESS, Method.BINDING, transaction))


def _from(data: bytes, peer: tuple[str, int] = _THEM) -> Datagram:
    return Datagram(data, peer, _US)


def _owner(mux: PeerMux, datagram: Datagram) -> Peer | None:
    return next(iter(mux.sort([datagram])), None)


def _two() -> tuple[PeerMux, Peer, Peer]:
    mux = PeerMux()
    one, two = _peer(1), _peer(2)
    mux.add(one)
    mux.add(two)
    return mux, one, two


def test_a_request_names_its_peer() -> None:
    """RFC 8445 §7.3."""
    mux, one, two = _two()
    for peer in (one, two):
        assert _owner(mux, _from(_request(peer.ice.local_ufrag))) is peer
    assert _owner(mux, _from(_request("nobody"))) is None
    assert mux.strangers == 1
    assert len(mux) == 2


def test_an_answer_has_the_prefix_of_who_asked() -> None:
    mux, one, two = _two()
    for peer in (one, two):
        assert _owner(mux, _from(_answer(peer.ice.transaction_prefix))) is peer
    assert _owner(mux, _from(_answer(b"none"))) is None


def test_all_else_comes_over_a_path_that_was_learned() -> None:
    """RFC 9443 §3."""
    mux, one, two = _two()
    media = _from(b"\x80\x60" + bytes(20))
    assert _owner(mux, media) is None
    mux.learn(_PATH, one)
    assert _owner(mux, media) is one
    assert mux.owner_of(_PATH) is one
    assert _owner(mux, attrs.evolve(media, transport="tcp")) is None
    assert _owner(mux, attrs.evolve(media, local=None)) is None
    assert _owner(mux, _from(b"")) is one
    mux.learn(_PATH, two)
    assert _owner(mux, media) is two
    mux.forget(_PATH, one)
    assert _owner(mux, media) is two
    mux.forget(_PATH, two)
    assert _owner(mux, media) is None


def test_the_order_of_arrival_is_kept() -> None:
    mux, one, two = _two()
    mux.learn(_PATH, one)
    other = Path(_US, ("192.0.2.3", 1))
    mux.learn(other, two)
    batch = [
        _from(bytes((0x80, number)), (_THEM, other.peer)[number % 3 == 0])
        for number in range(10)
    ]
    batch.insert(4, _from(_request(two.ice.local_ufrag)))
    runs = mux.sort(batch)
    assert runs[one] == [batch[n] for n in (1, 2, 5, 6, 8, 9)]
    assert runs[two] == [batch[n] for n in (0, 3, 4, 7, 10)]


def test_a_restarted_peer_has_two_names_and_then_one(make_call: _MakeCall) -> None:
    """RFC 8445 §9."""
    call = make_call()
    call.run(2.0)
    mux = PeerMux()
    peer: Peer = call.receiver
    mux.add(peer)
    old = peer.ice.local_ufrag
    call.restart()
    mux.add(peer)
    new = peer.ice.local_ufrag
    assert {_owner(mux, _from(_request(name))) for name in (old, new)} == {peer}
    call.run(2.0)
    mux.add(peer)
    assert _owner(mux, _from(_request(old))) is None
    assert _owner(mux, _from(_request(new))) is peer


def test_nothing_is_left_of_a_peer_that_is_removed() -> None:
    mux, one, two = _two()
    mux.learn(_PATH, one)
    assert not mux.is_free(one.ice.local_ufrag, b"none")
    assert not mux.is_free("nobody", one.ice.transaction_prefix)
    mux.remove(one)
    mux.remove(one)
    assert mux.is_free(one.ice.local_ufrag, one.ice.transaction_prefix)
    assert mux.owner_of(_PATH) is None
    mux.learn(_PATH, one)
    mux.forget(_PATH, one)
    assert mux.owner_of(_PATH) is None
    assert len(mux) == 1
    assert _owner(mux, _from(_request(two.ice.local_ufrag))) is two


def test_a_connected_peers_path_is_not_taken_away(make_call: _MakeCall) -> None:
    """By a check with a forged address, say; who comes after it gets the path."""
    call = make_call()
    call.run(2.0)
    mux = PeerMux()
    peer: Peer = call.receiver
    thief, second = _peer(1), _peer(2)
    for one in (peer, thief, second):
        mux.add(one)
    path = call.receiver.path
    mux.learn(path, peer)
    mux.learn(path, thief)
    assert mux.owner_of(path) is peer
    mux.forget(path, thief)
    mux.learn(path, second)
    assert mux.owner_of(path) is peer
    assert (mux.paths_of(peer), mux.paths_of(second)) == ([path], [])
    mux.remove(peer)
    assert (mux.paths_of(peer), mux.paths_of(second)) == ([], [path])
    assert mux.owner_of(path) is second
    mux.remove(second)
    assert mux.owner_of(path) is None


def test_a_claim_goes_with_who_made_it(make_call: _MakeCall) -> None:
    call = make_call()
    call.run(2.0)
    mux = PeerMux()
    peer, thief = call.receiver, _peer(1)
    mux.add(peer)
    mux.add(thief)
    path = peer.path
    mux.learn(path, peer)
    mux.learn(path, thief)
    mux.remove(thief)
    mux.remove(peer)
    assert mux.owner_of(path) is None


@pytest.mark.parametrize("ours", [True, False])
@given(data=st.binary(max_size=60))
def test_any_octets_are_sorted_or_counted(ours: bool, data: bytes) -> None:
    mux, one, _ = _two()
    if ours:
        mux.learn(_PATH, one)
    runs = mux.sort([_from(data)])
    assert sum(map(len, runs.values())) + mux.strangers == 1
