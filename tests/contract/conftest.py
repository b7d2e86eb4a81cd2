"""The suite that every machine and every transform goes through."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sansmedia.sansio.testing import (
    MACHINE_CHECKS,
    TRANSFORM_CHECKS,
    AnyCase,
    TransformCase,
    check_feed_any_input,
    check_feed_linear_time,
    check_linear_time,
)

MachineCheck: TypeAlias = Callable[[AnyCase], None]
TransformCheck: TypeAlias = Callable[[TransformCase], None]


def what_came_before_does_not_make_the_next_dearer(case: AnyCase) -> None:
    check_linear_time(case, time.process_time)


def what_came_before_does_not_make_the_next_octets_dearer(case: TransformCase) -> None:
    check_feed_linear_time(case, time.process_time)


@given(data=st.data())
@settings(max_examples=50, deadline=None)
def any_bytes_are_survived(case: TransformCase, data: st.DataObject) -> None:
    seed = data.draw(st.sampled_from(case.seeds))
    prefix = seed[: data.draw(st.integers(0, len(seed)))]
    octets = data.draw(st.binary(max_size=200))
    check_feed_any_input(case, prefix + octets, dice_seed=data.draw(st.integers(0, 9)))


def the_bulk_is_valid_input(case: TransformCase) -> None:
    """Without this, the checks of cost could be trying garbage."""
    assert case.feed(case.factory(), case.bulk(10_000))


@pytest.fixture(
    params=[*MACHINE_CHECKS, what_came_before_does_not_make_the_next_dearer]
)
def machine_check(request: pytest.FixtureRequest) -> MachineCheck:
    """Each check of a machine in turn."""
    check: MachineCheck = request.param
    return check


@pytest.fixture(
    params=[
        *TRANSFORM_CHECKS,
        what_came_before_does_not_make_the_next_octets_dearer,
        any_bytes_are_survived,
        the_bulk_is_valid_input,
    ]
)
def transform_check(request: pytest.FixtureRequest) -> TransformCheck:
    """Each check of a transform in turn."""
    check: TransformCheck = request.param
    return check
