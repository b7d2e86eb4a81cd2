"""Gathering blocks."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from penstock.storage.blocks import BlockGatherer

BLOCK = 16_384


@given(st.lists(st.sampled_from([0, 1, 4095, 4096, 8191, 8192, 40_000]), max_size=30))
def test_order_is_kept_and_only_the_last_block_is_small(sizes: list[int]) -> None:
    blocks = [bytes([number]) * size for number, size in enumerate(sizes)]
    gatherer = BlockGatherer(BLOCK)
    complete = [whole for block in blocks for whole in gatherer.add(block)]
    rest = gatherer.rest()
    assert b"".join([*complete, *rest]) == b"".join(blocks)
    assert gatherer.rest() == []
    assert len(rest) <= 1
    assert all(complete)
    # Of two neighbours one is large: a large one may push a small one out before it.
    for one, two in zip(complete, [*complete[1:], *rest], strict=False):
        assert max(len(one), len(two)) >= BLOCK // 2


def test_a_large_block_is_passed_on_as_it_is() -> None:
    block = bytes(BLOCK // 2)
    gatherer = BlockGatherer(BLOCK)
    gatherer.add(b"x")
    first, second = gatherer.add(block)
    assert first == b"x"
    assert second is block
