"""The server's fuzz targets hold their invariants over their corpora, damaged too."""

from __future__ import annotations

import pytest

from fuzz.run import (
    Target,
    check_corpus,
    check_corpus_size,
    check_damaged_corpus,
    find_targets,
)

_TARGETS = find_targets("server")

of_each_target = pytest.mark.parametrize("target", _TARGETS.values(), ids=_TARGETS)


@of_each_target
def test_every_target_has_a_small_corpus(target: Target) -> None:
    check_corpus_size(target)


@of_each_target
def test_the_corpus_holds_the_invariant(target: Target) -> None:
    check_corpus(target)


@of_each_target
def test_damaged_inputs_hold_the_invariant(target: Target) -> None:
    check_damaged_corpus(target)
