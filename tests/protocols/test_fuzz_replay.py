"""Every fuzz target holds its invariant over its corpus and seeded damage to it."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from sansmedia.sansio.testing import SeededDice, mutate_bytes

_FUZZ = Path(__file__).resolve().parents[2] / "fuzz"
_TARGETS = sorted(path.stem for path in (_FUZZ / "targets").glob("*.py"))
_MUTATIONS = 50


@cache
def _one_input(name: str) -> Callable[[bytes], None]:
    module = importlib.import_module(f"targets.{name}")
    one_input: Callable[[bytes], None] = module.one_input
    return one_input


def _corpus(name: str) -> list[bytes]:
    files = sorted((_FUZZ / "corpus" / name).glob("*"))
    return [path.read_bytes() for path in files]


@pytest.mark.parametrize("name", _TARGETS)
def test_every_target_has_a_small_corpus(name: str) -> None:
    corpus = _corpus(name)
    assert 1 <= len(corpus) <= 20
    assert max(map(len, corpus)) < 4096


@pytest.mark.parametrize("name", _TARGETS)
def test_the_corpus_holds_the_invariant(name: str) -> None:
    one_input = _one_input(name)
    for data in _corpus(name):
        one_input(data)


@pytest.mark.parametrize("name", _TARGETS)
def test_damaged_inputs_hold_the_invariant(name: str) -> None:
    one_input = _one_input(name)
    corpus = _corpus(name)
    dice = SeededDice(1)
    one_input(b"")
    for _ in range(_MUTATIONS):
        data = mutate_bytes(dice.choice(corpus), dice.choice(corpus), dice)
        try:
            one_input(data)
        except Exception as error:
            raise AssertionError(f"{name} fails for {data!r}") from error


def test_every_corpus_belongs_to_a_target() -> None:
    corpora = {path.name for path in (_FUZZ / "corpus").iterdir() if path.is_dir()}
    assert corpora <= set(_TARGETS)
