from __future__ import annotations

from sansmedia.sansio.testing import SeededDice


def test_the_generator_gives_the_published_splitmix64_sequence() -> None:
    dice = SeededDice(1234567)
    assert [dice.u64() for _ in range(5)] == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]


def test_octets_are_a_prefix_of_a_longer_draw() -> None:
    assert SeededDice(7)(5) == SeededDice(7)(64)[:5]
    assert len(SeededDice(7)(0)) == 0


def test_draws_stay_in_their_ranges_and_reach_both_ends() -> None:
    dice = SeededDice(0)
    drawn = [dice.between(3, 5) for _ in range(100)]
    assert set(drawn) == {3, 4, 5}
    assert all(0 <= dice.uniform() < 1 for _ in range(100))
    assert {dice.choice("ab") for _ in range(50)} == {"a", "b"}


def test_certain_and_impossible_events_are_so() -> None:
    dice = SeededDice(0)
    assert all(dice.chance(1.0) for _ in range(100))
    assert not any(dice.chance(0.0) for _ in range(100))
