"""The state tables: every state can be reached and left, and no input raises."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from sansmedia.ice import AgentState, PairState
from sansmedia.ice.states import AGENT, PAIR, AgentInput, PairInput


def _reachable(table: object, start: object) -> set[object]:
    assert isinstance(table, dict)
    reached = {start}
    while True:
        further = {to for (state, _), to in table.items() if state in reached}
        if further <= reached:
            return reached
        reached |= further


def test_every_state_of_a_pair_can_be_reached() -> None:
    """RFC 8445 §6.1.2.6."""
    assert _reachable(PAIR, PairState.FROZEN) == set(PairState)


def test_every_state_of_an_agent_can_be_reached_and_only_closed_is_final() -> None:
    assert _reachable(AGENT, AgentState.NEW) == set(AgentState)
    final = set(AgentState) - {state for state, _ in AGENT}
    assert final == {AgentState.CLOSED}


def test_every_input_moves_something() -> None:
    assert {given for _, given in AGENT} == set(AgentInput)
    assert {given for _, given in PAIR} == set(PairInput)


def test_every_agent_may_end_and_a_started_one_may_restart() -> None:
    for state in AgentState:
        if state is not AgentState.CLOSED:
            assert AGENT[state, AgentInput.END] is AgentState.CLOSED
        if state not in (AgentState.CLOSED, AgentState.NEW, AgentState.CHECKING):
            assert AGENT[state, AgentInput.RESTART] is AgentState.CHECKING


@given(st.lists(st.sampled_from(PairInput)))
def test_a_pair_works_only_after_a_check(inputs: list[PairInput]) -> None:
    state = PairState.FROZEN
    checked = False
    for given_input in inputs:
        checked |= (state, given_input) in PAIR and given_input in (
            PairInput.CHECK,
            PairInput.SUCCESS,
        )
        state = PAIR.get((state, given_input), state)
        if state is PairState.SUCCEEDED:
            assert checked
