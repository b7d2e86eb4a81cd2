"""Every message in every state: taken if the table has a row, refused if not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sansmedia.dtls import Role, State, Verification
from sansmedia.dtls.constants import HandshakeType
from sansmedia.dtls.handshake_wire import encode_certificate
from sansmedia.dtls.states import TABLES, Input

MakeRaw = Callable[..., Any]

_T = HandshakeType
_INPUTS = {kind: Input(kind.name.lower().replace("_", " ")) for kind in list(_T)[1:]}
# How a server gets into a state: the messages that a client sends before.
_WAYS: dict[State, tuple[HandshakeType, ...]] = {
    State.WAIT_CLIENT_HELLO: (),
    State.WAIT_CERTIFICATE: (_T.CLIENT_HELLO,),
    State.WAIT_CLIENT_KEY_EXCHANGE: (_T.CLIENT_HELLO, _T.CERTIFICATE),
    State.WAIT_CERTIFICATE_VERIFY: (
        _T.CLIENT_HELLO,
        _T.CERTIFICATE,
        _T.CLIENT_KEY_EXCHANGE,
    ),
}
_ANONYMOUS_WAYS: dict[State, tuple[HandshakeType, ...]] = {
    State.WAIT_ANONYMOUS_KEY_EXCHANGE: (_T.CLIENT_HELLO, _T.CERTIFICATE),
    State.WAIT_FINISHED: (_T.CLIENT_HELLO, _T.CERTIFICATE, _T.CLIENT_KEY_EXCHANGE),
}


@pytest.mark.parametrize("kind", list(_INPUTS))
@pytest.mark.parametrize("state", [*_WAYS, *_ANONYMOUS_WAYS])
def test_a_server_takes_the_messages_that_its_table_has(
    make_raw: MakeRaw,
    make_hello: Callable[..., bytes],
    client_certificate: Any,
    state: State,
    kind: HandshakeType,
) -> None:
    """RFC 6347 §4.2.4; RFC 5246 §7.4."""
    is_anonymous = state in _ANONYMOUS_WAYS
    peer = make_raw(verification=Verification.OPTIONAL, knows=not is_anonymous)
    chain = () if is_anonymous else client_certificate.chain
    bodies = {
        _T.CLIENT_HELLO: make_hello(),
        _T.CERTIFICATE: encode_certificate(chain),
        _T.CLIENT_KEY_EXCHANGE: b"\x20" + b"\x09" * 32,
    }
    way = (_ANONYMOUS_WAYS if is_anonymous else _WAYS)[state]
    for sequence, before in enumerate(way):
        peer.send(peer.message(before, bodies[before], sequence=sequence))
    assert peer.machine.state is state
    peer.send(peer.message(kind, bodies.get(kind, b""), sequence=len(way)))
    codes = [event.error.code for event in peer.events()]
    if kind is _T.FINISHED:
        assert codes == []  # nobody vouches for it, so nobody listens
        assert peer.machine.state is state
    elif (state, _INPUTS[kind]) in TABLES[Role.SERVER]:
        assert codes == ([] if kind in bodies else ["truncated"])
    else:
        assert codes == ["unexpected_message"]


@pytest.mark.parametrize("role", list(Role))
def test_every_state_can_be_reached_left_and_ended(role: Role) -> None:
    table = TABLES[role]
    first = State.IDLE if role is Role.CLIENT else State.WAIT_CLIENT_HELLO
    reached = {first, *table.values()}
    left = {state for state, _ in table}
    assert reached - left == {State.TERMINATED}
    assert left - reached == set()
    assert all(table[state, Input.END] is State.TERMINATED for state in left)


def test_both_tables_use_every_state_and_input() -> None:
    cells = [*TABLES[Role.CLIENT].items(), *TABLES[Role.SERVER].items()]
    states = {state for (state, _), _ in cells} | {after for _, after in cells}
    assert states == set(State)
    assert {step for (_, step), _ in cells} == set(Input)
