"""The tables of states: SRT draft-01 §4.3.1, §4.3.2.3, §4.3.2.6."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sansmedia.sansio.testing import SeededDice
from sansmedia.srt.extensions_wire import Extensions, SrtMessage, encode_extensions
from sansmedia.srt.handshake_wire import Handshake, HandshakeType
from sansmedia.srt.options import SrtOptions
from sansmedia.srt.packet_filter import negotiate
from sansmedia.srt.rendezvous import Contest, Rendezvous
from sansmedia.srt.states import (
    CALLER,
    INITIATOR,
    RESPONDER,
    CallerInput,
    CallerState,
    RendezvousInput,
    RendezvousState,
)

_ENDS = {
    CallerState.CONNECTED,
    CallerState.REFUSED,
    RendezvousState.CONNECTED,
    RendezvousState.REFUSED,
}
_MESSAGE = SrtMessage(0x010505, 0xBF, 120, 0)
_INPUTS = {
    RendezvousInput.WAVEAHAND: (HandshakeType.WAVEAHAND, Extensions()),
    RendezvousInput.EMPTY_CONCLUSION: (HandshakeType.CONCLUSION, Extensions()),
    RendezvousInput.AGREEMENT: (HandshakeType.AGREEMENT, Extensions()),
}


@pytest.mark.parametrize(
    ("table", "first"),
    [
        (CALLER, CallerState.INDUCTION),
        (INITIATOR, RendezvousState.WAVING),
        (RESPONDER, RendezvousState.WAVING),
    ],
)
def test_every_state_can_be_reached_left_and_ended(
    table: Mapping[tuple[Any, Any], Any], first: Any
) -> None:
    reached = {first, *table.values()}
    left = {state for state, _ in table}
    assert reached == set(type(first).__members__.values())
    assert reached - left == reached & _ENDS
    end = type(next(iter(table))[1]).END
    assert all(table[state, end].value == "refused" for state in left)


def test_the_tables_use_every_input() -> None:
    assert {step for _, step in CALLER} == set(CallerInput)
    both = {step for _, step in (*INITIATOR, *RESPONDER)}
    assert both == set(RendezvousInput)


@given(st.booleans(), st.lists(st.sampled_from(list(RendezvousInput)), max_size=12))
def test_a_rendezvous_walks_its_table(wins: bool, steps: list[RendezvousInput]) -> None:
    meeting = Rendezvous(
        SrtOptions(),
        socket_id=1,
        peer=("192.0.2.1", 1),
        negotiate_filter=negotiate,
        dice=SeededDice(3),
        now=0.0,
    )
    [wave] = meeting.take_datagrams()
    ours = int.from_bytes(wave.data[44:48])
    cookie = (ours + (-1 if wins else 1)) & 0xFFFF_FFFF
    table = INITIATOR if wins else RESPONDER
    state, now = RendezvousState.WAVING, 0.0
    for step in steps:
        now += 1.0
        if step is RendezvousInput.END:
            meeting.refuse(0)
        elif step is RendezvousInput.TRAFFIC:
            meeting.receive_traffic()
        else:
            answer = Extensions(response=_MESSAGE)
            whole = answer if wins else Extensions(request=_MESSAGE)
            kind, carried = _INPUTS.get(step, (HandshakeType.CONCLUSION, whole))
            field, octets = encode_extensions(carried)
            meeting.receive(
                Handshake(
                    version=5,
                    extension=field,
                    initial_sequence=7,
                    mss=1500,
                    flow_window=8192,
                    type=kind,
                    socket_id=9,
                    cookie=cookie,
                    extensions=octets,
                ),
                0,
                now,
            )
        if state is RendezvousState.WAVING and step is RendezvousInput.CONCLUSION:
            # Before it has asked, an initiator takes no answer for one.
            step = RendezvousInput.EMPTY_CONCLUSION if wins else step
        state = table.get((state, step), state)
        assert meeting.state is state
        if meeting.part is not Contest.DRAW:
            assert meeting.part is (Contest.INITIATOR if wins else Contest.RESPONDER)
        assert (meeting.outcome is not None) == (state in _ENDS)
        meeting.take_datagrams()
