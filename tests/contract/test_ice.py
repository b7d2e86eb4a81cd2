"""ICE agents and the reader of frames keep the contract."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sansmedia.ice import (
    FrameReader,
    IceAgent,
    IceConfig,
    Path,
    TcpConnectionWanted,
    TcpType,
    decode_candidate,
    encode_candidate,
    encode_frame,
    host_candidate,
)
from sansmedia.sansio import Datagram, Dice
from sansmedia.sansio.testing import (
    TRANSFORM_CHECKS,
    DatagramCase,
    SeededDice,
    TransformCase,
    check_any_input,
    check_feed_linear_time,
)

_NOW = 1000.0
_OURS = ("192.0.2.1", 5000)
_THEIRS = ("192.0.2.2", 5000)
_SERVER = ("192.0.2.3", 3478)
_STRANGER = ("203.0.113.9", 999)


@attrs.frozen
class _Situation:
    """An agent and its peer, before or after they have found each other."""

    ours: dict[str, Any]
    theirs: dict[str, Any]
    settled: bool


def _agents(situation: _Situation, dice: Dice) -> tuple[IceAgent, IceAgent]:
    ours = IceAgent(IceConfig(**situation.ours), dice=dice, now=_NOW)
    theirs = IceAgent(IceConfig(**situation.theirs), dice=SeededDice(99), now=_NOW)
    for agent, address in ((ours, _OURS), (theirs, _THEIRS)):
        agent.add_local_candidate(host_candidate(address), now=_NOW)
    ours.add_local_candidate(host_candidate(_OURS, tcp_type=TcpType.ACTIVE), now=_NOW)
    theirs.add_local_candidate(
        host_candidate(_THEIRS, tcp_type=TcpType.PASSIVE), now=_NOW
    )
    for agent, other in ((ours, theirs), (theirs, ours)):
        for candidate in other.local_candidates:
            agent.add_remote_candidate(
                decode_candidate(encode_candidate(candidate)), now=_NOW
            )
        agent.set_remote_parameters(other.local_ufrag, other.local_pwd, now=_NOW)
    ours.gather(_SERVER, now=_NOW)
    return ours, theirs


def _carried(datagrams: list[Datagram], sender: tuple[str, int]) -> list[Datagram]:
    return [
        Datagram(datagram.data, datagram.local or sender, datagram.peer, _NOW)
        for datagram in datagrams
    ]


def _talk(ours: IceAgent, theirs: IceAgent) -> tuple[list[Datagram], list[Datagram]]:
    """Let both find each other; return what each got."""
    got: tuple[list[Datagram], list[Datagram]] = ([], [])
    for step in range(30):
        now = _NOW + step * 0.05
        to_them = [d for d in ours.datagrams_to_send() if d.peer == _THEIRS]
        to_us = theirs.datagrams_to_send()
        got[0].extend(_carried(to_us, _THEIRS))
        got[1].extend(_carried(to_them, _OURS))
        theirs.receive_datagrams(_carried(to_them, _OURS), now)
        ours.receive_datagrams(_carried(to_us, _THEIRS), now)
        for agent in (ours, theirs):
            agent.handle_timeout(now)
            while agent.next_event() is not None:
                pass
    return got


def _factory(situation: _Situation) -> Callable[[Dice], IceAgent]:
    def make(dice: Dice) -> IceAgent:
        ours, theirs = _agents(situation, dice)
        if situation.settled:
            _talk(ours, theirs)
        return ours

    return make


@functools.cache
def _recorded(name: str) -> tuple[Datagram, ...]:
    """What an agent with the suite's dice gets from its peer."""
    ours, theirs = _agents(_SITUATIONS[name], SeededDice(1))
    return tuple(_talk(ours, theirs)[0])


_SITUATIONS = {
    "controlling": _Situation({"controlling": True}, {}, False),
    "controlled": _Situation({}, {"controlling": True}, False),
    "in conflict": _Situation({"controlling": True}, {"controlling": True}, False),
    "lite": _Situation({"lite": True}, {"controlling": True}, False),
    "controlling, settled": _Situation({"controlling": True}, {}, True),
    "controlled, settled": _Situation({}, {"controlling": True}, True),
    "lite, settled": _Situation({"lite": True}, {"controlling": True}, True),
}


def _with_strangers(datagrams: tuple[Datagram, ...]) -> tuple[Datagram, ...]:
    """The same from elsewhere, over TCP, from nowhere known, and not authentic."""
    some = datagrams[:6]
    return (
        *some,
        *(attrs.evolve(d, peer=_STRANGER) for d in some),
        *(attrs.evolve(d, local=None) for d in some),
        *(attrs.evolve(d, transport="tcp") for d in some),
        *(attrs.evolve(d, data=d.data[:-9] + bytes(9)) for d in some),
        Datagram(b"", _THEIRS, _OURS),
        Datagram(bytes(1200), _STRANGER, None),
    )


def _use(machine: Any, event: object, now: float) -> None:
    """Give a command after every event, whether it makes sense or not."""
    if isinstance(event, TcpConnectionWanted):
        path = Path((event.host, 40000), event.peer, "tcp")
        machine.tcp_connected(event.host, path, now=now)
    else:
        machine.note_received(now=now)
        machine.end_of_remote_candidates(now=now)


def _bulk(name: str) -> Callable[[int], tuple[Datagram, ...]]:
    def make(count: int) -> tuple[Datagram, ...]:
        recorded = _recorded(name)
        return (recorded * (count // len(recorded) + 1))[:count]

    return make


def _case(name: str) -> DatagramCase:
    return DatagramCase(
        name=f"ICE agent, {name}",
        factory=_factory(_SITUATIONS[name]),
        seeds=(_recorded(name), _with_strangers(_recorded(name))),
        bulk=_bulk(name),
        pending_limit=100_000,
        react=_use,
        now=_NOW + 1.5 if _SITUATIONS[name].settled else _NOW,
    )


_CASES = tuple(_case(name) for name in _SITUATIONS)
_every_case = pytest.mark.parametrize("case", _CASES, ids=lambda case: case.name)


@_every_case
def test_the_machine_keeps_the_contract(
    case: DatagramCase, machine_check: Callable[[DatagramCase], None]
) -> None:
    machine_check(case)


@_every_case
@given(data=st.data())
@settings(max_examples=30, deadline=None)
def test_any_datagrams_are_survived(case: DatagramCase, data: st.DataObject) -> None:
    seed = case.seeds[0]
    prefix = seed[: data.draw(st.integers(0, len(seed)))]
    octets = data.draw(st.binary(max_size=200))
    peer = data.draw(st.sampled_from((_THEIRS, _STRANGER, ("2001:db8::1", 1))))
    check_any_input(
        case,
        (*prefix, Datagram(octets, peer, _OURS)),
        dice_seed=data.draw(st.integers(0, 99)),
    )


@pytest.mark.parametrize("name", _SITUATIONS)
def test_the_recorded_sessions_come_to_their_end(name: str) -> None:
    """Without this, a changed check would leave the suite trying strangers."""
    ours, theirs = _agents(_SITUATIONS[name], SeededDice(1))
    _talk(ours, theirs)
    assert ours.state.value == "completed"
    assert theirs.state.value == "completed"


def _frames(size: int) -> bytes:
    return encode_frame(bytes(40)) * (size // 42 + 1)


def _large_frames(size: int) -> bytes:
    whole = encode_frame(bytes(60_000)) * (size // 60_002 + 1)
    return whole[:size]


_FRAMES = TransformCase(
    name="FrameReader",
    factory=lambda: FrameReader(2000),
    seeds=(
        encode_frame(b"one") + encode_frame(b"") + encode_frame(bytes(2000)),
        encode_frame(bytes(2001)) + encode_frame(b"after"),
        b"\xff\xff" + bytes(70_000),
    ),
    bulk=_frames,
    pending_limit=2002,
)


@pytest.mark.parametrize("check", TRANSFORM_CHECKS)
def test_the_reader_of_frames_keeps_the_contract(
    check: Callable[[TransformCase], None],
) -> None:
    check(_FRAMES)


def test_what_came_before_does_not_make_the_next_frame_dearer() -> None:
    case = attrs.evolve(
        _FRAMES, factory=lambda: FrameReader(0xFFFF), bulk=_large_frames
    )
    check_feed_linear_time(case, time.process_time)
