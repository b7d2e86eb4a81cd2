"""`Peer` keeps the contract, in every role and state worth trying."""

from __future__ import annotations

import datetime
import functools
from collections.abc import Callable
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sansmedia.dtls import Certificate, generate_certificate
from sansmedia.ice import IceConfig, host_candidate
from sansmedia.rtp import (
    Goodbye,
    Nack,
    PictureLossIndication,
    RtpPacket,
    SenderReport,
    encode_rtp,
)
from sansmedia.sansio import Datagram, Dice
from sansmedia.sansio.testing import (
    DatagramCase,
    SeededDice,
    check_any_input,
)
from sansmedia.sdp import (
    Direction,
    NegotiatedCodec,
    NegotiatedMedia,
    NegotiatedSession,
)
from sansmedia.webrtc import (
    TRANSPORT_CC,
    Connected,
    MediaReceived,
    PathLearned,
    Peer,
    PeerConfig,
    SenderReportReceived,
    StreamEnded,
    TcpConnectionWanted,
)

_NOW = 1000.0
_LATER = _NOW + 2.0
_OURS = ("192.0.2.1", 5000)
_THEIRS = ("192.0.2.2", 5000)
_STRANGER = ("203.0.113.9", 999)
_DAY = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
_CERTIFICATES: tuple[Certificate, ...] = tuple(
    generate_certificate(SeededDice(seed), not_before=_DAY) for seed in (1, 2)
)
_VIDEO = NegotiatedMedia(
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


@attrs.frozen
class _Situation:
    """One peer and another, and how far they have come."""

    is_dtls_client: bool
    controlling: bool
    lite: bool = False
    begun: bool = True
    connected: bool = False


_SITUATIONS = {
    "before it knows anything": _Situation(False, False, begun=False),
    "controlled DTLS server": _Situation(False, False),
    "controlled DTLS client": _Situation(True, False),
    "controlling DTLS server": _Situation(False, True),
    "controlling DTLS client": _Situation(True, True),
    "lite DTLS server": _Situation(False, False, lite=True),
    "controlled DTLS server, connected": _Situation(False, False, connected=True),
    "controlling DTLS client, connected": _Situation(True, True, connected=True),
    "lite DTLS client, connected": _Situation(True, False, lite=True, connected=True),
}


@attrs.frozen
class _Told:
    """An event about a stream; streams are themselves, and equal to no other."""

    kind: str
    rid: str
    packets: list[RtpPacket]
    event: MediaReceived | SenderReportReceived | StreamEnded = attrs.field(eq=False)


class _Watched(Peer):
    """A peer whose events can be compared with those of another run."""

    def next_event(self) -> Any:
        event = super().next_event()
        if isinstance(event, MediaReceived | SenderReportReceived | StreamEnded):
            packets = list(getattr(event, "packets", ()))
            return _Told(type(event).__name__, event.stream.rid, packets, event)
        return event


def _peers(situation: _Situation, dice: Dice) -> tuple[Peer, Peer]:
    configs = (
        IceConfig(controlling=situation.controlling, lite=situation.lite),
        IceConfig(controlling=not situation.controlling),
    )
    all_dice: tuple[Dice, Dice] = (dice, SeededDice(99))
    ours, theirs = (
        _Watched(
            PeerConfig(certificate=certificate, ice=config, mtu=500),
            dice=die,
            now=_NOW,
        )
        for certificate, config, die in zip(
            _CERTIFICATES, configs, all_dice, strict=True
        )
    )
    ours.add_local_candidate(host_candidate(_OURS), now=_NOW)
    theirs.add_local_candidate(host_candidate(_THEIRS), now=_NOW)
    for peer, other, is_client, ssrc in (
        (ours, theirs, situation.is_dtls_client, 0x1000),
        (theirs, ours, not situation.is_dtls_client, 0x2000),
    ):
        if peer is ours and not situation.begun:
            continue
        session = NegotiatedSession(
            media=(attrs.evolve(_VIDEO, ssrc=ssrc, rtx_ssrc=ssrc + 1),),
            remote=other.transport(),
            is_dtls_client=is_client,
        )
        peer.connect(session, now=_NOW)
    return ours, theirs


def _carried(datagrams: list[Datagram], sender: tuple[str, int]) -> list[Datagram]:
    return [Datagram(one.data, sender, one.peer, _NOW) for one in datagrams]


def _talk(ours: Peer, theirs: Peer, step_s: float) -> list[Datagram]:
    """Let both find each other; return what came to us."""
    got: list[Datagram] = []
    for step in range(20):
        now = _NOW + step * step_s
        to_them = _carried(ours.datagrams_to_send(), _OURS)
        to_us = _carried(theirs.datagrams_to_send(), _THEIRS)
        got += to_us
        theirs.receive_datagrams(to_them, now)
        ours.receive_datagrams(to_us, now)
        for peer in (ours, theirs):
            peer.handle_timeout(now)
            while peer.next_event() is not None:
                pass
    return got


def _media(theirs: Peer, count: int, start: int = 0) -> list[Datagram]:
    sealer = theirs.sealer
    assert sealer is not None
    made = []
    for number in range(start, start + count):
        packet = RtpPacket(
            96,
            number & 0xFFFF,
            number * 3000 & 0xFFFFFFFF,
            0x2000,
            b"picture %d" % number,
            extension_profile=0xBEDE,
            extension=bytes((0x51, number >> 8 & 0xFF, number & 0xFF, 0)),
        )
        made.append(Datagram(sealer.protect_rtp(encode_rtp(packet)), _THEIRS, _OURS))
    return made


def _control(theirs: Peer) -> list[Datagram]:
    for packet in (
        SenderReport(0x2000, 1 << 32, 90_000, 1, 10, []),
        Nack(0x2000, 0x1000, [1, 2, 3]),
        PictureLossIndication(0x2000, 0x1000),
        Goodbye([0x2000]),
    ):
        theirs.send_rtcp([packet], now=_LATER)
    return _carried(theirs.datagrams_to_send(), _THEIRS)


@functools.cache
def _recorded(name: str) -> tuple[tuple[Datagram, ...], ...]:
    """What a peer with the suite's dice gets: the whole call, and what is in it."""
    situation = _SITUATIONS[name]
    ours, theirs = _peers(situation, SeededDice(1))
    # The suite gives everything at one time, and checks are made of the dice.
    met = _talk(ours, theirs, 0.05 if situation.connected else 0.0)
    if theirs.sealer is None:
        return tuple(met), tuple(met[::-1])
    media = _media(theirs, 12)
    # One is lost, two come late, one comes twice.
    media = [*media[:3], *media[4:7], media[8], media[7], *media[9:], media[2]]
    calls = [*media, *_control(theirs), *_media(theirs, 3, 20)]
    theirs.close("done", now=_LATER)
    calls += _carried(theirs.datagrams_to_send(), _THEIRS)
    calls += _media(theirs, 2, 30)
    whole = calls if situation.connected else met + calls
    return tuple(whole), tuple(whole[::-1]), tuple(met), _with_strangers(tuple(whole))


def _with_strangers(datagrams: tuple[Datagram, ...]) -> tuple[Datagram, ...]:
    """The same from elsewhere, from nowhere known, over TCP, and not authentic."""
    some = datagrams[::5]
    return (
        *(attrs.evolve(d, peer=_STRANGER) for d in some),
        *(attrs.evolve(d, local=None) for d in some),
        *(attrs.evolve(d, transport="tcp") for d in some),
        *(attrs.evolve(d, data=d.data[:-9] + bytes(9)) for d in some),
        *(Datagram(bytes((first,)) * 40, _THEIRS, _OURS) for first in range(0, 256, 9)),
        Datagram(b"", _THEIRS, _OURS),
        Datagram(b"\x80", _THEIRS, _OURS),
    )


def _factory(situation: _Situation) -> Callable[[Dice], Peer]:
    def make(dice: Dice) -> Peer:
        ours, theirs = _peers(situation, dice)
        if situation.connected:
            _talk(ours, theirs, 0.05)
        return ours

    return make


def _use(machine: Any, event: object, now: float) -> None:
    """Give commands after events, whether they make sense or not."""
    if isinstance(event, TcpConnectionWanted):
        machine.tcp_failed(event.host, event.peer, "refused", now=now)
    elif isinstance(event, PathLearned | Connected):
        machine.end_of_remote_candidates(now=now)
        machine.add_remote_candidate("no candidate", now=now)
    elif isinstance(event, _Told):
        stream = event.event.stream
        machine.request_key_frame(stream, now=now)
        machine.send_rtcp([PictureLossIndication(1, stream.ssrc)], now=now)
    machine.pair_report()


def _bulk(name: str) -> Callable[[int], tuple[Datagram, ...]]:
    def make(count: int) -> tuple[Datagram, ...]:
        situation = _SITUATIONS[name]
        ours, theirs = _peers(situation, SeededDice(1))
        met = _talk(ours, theirs, 0.05)
        if situation.connected:
            return tuple(_media(theirs, count))
        return tuple((met * (count // len(met) + 1))[:count])

    return make


def _events_view(events: list[Any]) -> object:
    """Join the runs of media: each input gives its own."""
    joined: list[Any] = []
    for event in events:
        last = joined[-1] if joined else None
        if (
            isinstance(event, _Told)
            and isinstance(last, _Told)
            and (event.kind, event.rid) == (last.kind, last.rid)
        ):
            joined[-1] = attrs.evolve(last, packets=last.packets + event.packets)
        else:
            joined.append(event)
    return joined


def _case(name: str) -> DatagramCase:
    situation = _SITUATIONS[name]
    return DatagramCase(
        name=f"Peer, {name}",
        factory=_factory(situation),
        seeds=_recorded(name),
        bulk=_bulk(name),
        pending_limit=400_000,
        react=_use,
        event_view=_events_view,
        now=_LATER if situation.connected else _NOW,
    )


@functools.cache
def _cases() -> dict[str, DatagramCase]:
    return {name: _case(name) for name in _SITUATIONS}


_every_situation = pytest.mark.parametrize("name", _SITUATIONS)


@_every_situation
def test_the_machine_keeps_the_contract(
    name: str, machine_check: Callable[[DatagramCase], None]
) -> None:
    machine_check(_cases()[name])


@_every_situation
@given(data=st.data())
@settings(max_examples=20, deadline=None)
def test_any_datagrams_are_survived(name: str, data: st.DataObject) -> None:
    case = _cases()[name]
    seed = data.draw(st.sampled_from(case.seeds))
    prefix = seed[: data.draw(st.integers(0, len(seed)))]
    octets = data.draw(st.lists(st.binary(max_size=100), max_size=5))
    peer = data.draw(st.sampled_from((_THEIRS, _STRANGER, ("2001:db8::1", 1))))
    more = tuple(Datagram(one, peer, _OURS) for one in octets)
    check_any_input(case, prefix + more, dice_seed=data.draw(st.integers(0, 99)))


@_every_situation
def test_the_recorded_calls_come_to_media(name: str) -> None:
    """Without this, a changed handshake would leave the suite trying greetings."""
    situation = _SITUATIONS[name]
    if not situation.begun:
        return
    case = _cases()[name]
    machine = case.factory(SeededDice(1))
    for datagram in case.seeds[0]:
        machine.receive_datagrams([datagram], case.now)
    kinds = []
    while (event := machine.next_event()) is not None:
        kinds.append(getattr(event, "kind", type(event).__name__))
    assert "MediaReceived" in kinds
    assert {"SenderReportReceived", "PacketsMissed", "KeyFrameRequested"} < set(kinds)
    assert kinds[-2:] == ["StreamEnded", "Terminated"]
