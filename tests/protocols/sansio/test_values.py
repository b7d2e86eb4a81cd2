"""Serial numbers, timers and errors."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sansmedia.sansio import (
    ProtocolError,
    TimerTable,
    serial_add,
    serial_distance,
    serial_less,
    unwrap,
)


def test_serial_numbers_compare_across_the_wrap() -> None:
    """RFC 1982 §3.2, with the examples of RFC 1982 §5.2 for eight bits."""
    assert serial_less(0, 1, 8)
    assert serial_less(44, 255, 8) is False
    assert serial_less(0, 44, 8)
    assert serial_less(200, 44, 8)
    assert serial_less(255, 0, 8)
    assert not serial_less(7, 7, 8)


def test_serial_addition_wraps() -> None:
    """RFC 1982 §3.1, with examples of RFC 1982 §5.1 and §5.2."""
    assert serial_add(255, 1, 8) == 0
    assert serial_add(100, 100, 8) == 200
    assert serial_add(200, 100, 8) == 44


@given(st.integers(0, 2**16 - 1), st.integers(-(2**15), 2**15 - 1))
def test_distance_is_what_was_added(start: int, step: int) -> None:
    assert serial_distance(start, (start + step) % 2**16, 16) == step


@given(st.integers(0, 2**40), st.integers(-(2**31), 2**31 - 1))
def test_unwrapping_finds_the_nearest_value(reference: int, step: int) -> None:
    true_value = reference + step
    assert unwrap(true_value % 2**32, reference, 32) == true_value


def test_due_timers_come_earliest_first_and_are_disarmed() -> None:
    timers: TimerTable[str] = TimerTable()
    timers.set("late", 3.0)
    timers.set("early", 1.0)
    timers.set("middle", 2.0)
    assert timers.next_timeout() == 1.0
    assert timers.pop_due(2.0) == ["early", "middle"]
    assert "early" not in timers
    assert "late" in timers
    assert timers.next_timeout() == 3.0


def test_a_timer_set_again_replaces_its_deadline() -> None:
    timers: TimerTable[str] = TimerTable()
    timers.set("ping", 1.0)
    timers.set("ping", 5.0)
    assert timers.pop_due(4.0) == []
    assert timers.next_timeout() == 5.0


def test_cancelled_and_cleared_timers_never_come() -> None:
    timers: TimerTable[str] = TimerTable()
    timers.set("one", 1.0)
    timers.set("two", 2.0)
    timers.cancel("one")
    timers.cancel("never set")
    assert timers.next_timeout() == 2.0
    timers.clear()
    assert timers.next_timeout() is None


def test_a_protocol_error_names_its_clause() -> None:
    error = ProtocolError("too long", code="limit", source="RTMP 1.0 §5.3")
    assert str(error) == "too long (RTMP 1.0 §5.3)"
    assert str(ProtocolError("too long")) == "too long"


def test_protocol_errors_compare_by_value() -> None:
    first = ProtocolError("x", code="limit")
    assert first == ProtocolError("x", code="limit")
    assert first != ProtocolError("x", code="malformed")
    assert first != Exception("x")
    assert hash(first) == hash(ProtocolError("x", code="limit"))


def test_a_protocol_error_can_be_raised_and_caught() -> None:
    with pytest.raises(ProtocolError, match="x"):
        raise ProtocolError("x")
