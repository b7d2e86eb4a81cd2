"""The contract suite for transforms: `feed(data) -> list`, bounded, never raising."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeAlias

import attrs

from .case import cut_at_random, require
from .dice import SeededDice
from .linearity import require_linear_work, require_steady_time
from .mutation import mutate_bytes

__all__ = [
    "TRANSFORM_CHECKS",
    "TransformCase",
    "check_feed_any_input",
    "check_feed_linear_time",
    "check_feed_linear_work",
    "check_feed_mutations",
    "check_feed_pending_bytes",
    "check_feed_segmentation",
]

_Feed: TypeAlias = Callable[[Any, bytes], list[Any]]


def _feed(transform: Any, data: bytes) -> list[Any]:  # noqa: ANN401
    products: list[Any] = transform.feed(data)
    return products


def _pending_bytes(transform: Any) -> int:  # noqa: ANN401
    held: int = transform.pending_bytes
    return held


@attrs.frozen(kw_only=True)
class TransformCase:
    """One transform over a byte stream, with what the suite needs to try it."""

    name: str
    """Shown in every complaint."""
    factory: Callable[[], Any]
    """Makes a transform."""
    seeds: Sequence[bytes]
    """Input, well-formed or not; up to 16 KB each."""
    bulk: Callable[[int], bytes]
    """Makes about that many octets of valid input, for the linear-time checks."""
    pending_limit: int
    """Octets that the transform may hold between two calls."""
    feed: _Feed = _feed
    """How to give input; ``transform.feed(data)`` by default."""
    pending_bytes: Callable[[Any], int] = _pending_bytes
    """How to ask for the octets held; ``transform.pending_bytes`` by default."""
    view: Callable[[list[Any]], object] = lambda products: products
    """What must not depend on segmentation, made from all products."""


def _give(case: TransformCase, transform: object, data: bytes) -> list[Any]:
    try:
        products = case.feed(transform, data)
    except Exception as error:
        raise AssertionError(f"{case.name}: feed raised {error!r}") from error
    held = case.pending_bytes(transform)
    require(
        0 <= held <= case.pending_limit,
        case.name,
        f"holds {held} octets, the limit is {case.pending_limit}",
    )
    return products


def _products(case: TransformCase, pieces: Sequence[bytes]) -> list[Any]:
    transform = case.factory()
    return [product for piece in pieces for product in _give(case, transform, piece)]


def check_feed_segmentation(case: TransformCase) -> None:
    """Check that whole, octet by octet and cut at random give the same products."""
    for number, seed in enumerate(case.seeds):
        whole = case.view(_products(case, [seed]))
        cuts = [[seed[at : at + 1] for at in range(len(seed))]]
        cuts += [
            [bytes(piece) for piece in cut_at_random(seed, SeededDice(n), 3**n)]
            for n in (1, 2, 3)
        ]
        for pieces in cuts:
            cut = case.view(_products(case, pieces))
            require(
                whole == cut,
                case.name,
                f"seed {number} in {len(pieces)} pieces: {whole!r} and {cut!r}",
            )


def check_feed_any_input(
    case: TransformCase, data: bytes, *, dice_seed: int = 0
) -> None:
    """Check that this input raises nothing, however it is cut, and stays bounded."""
    dice = SeededDice(dice_seed)
    _products(case, [data])
    pieces = cut_at_random(data, dice, max(1, len(data) // 3))
    _products(case, [bytes(piece) for piece in pieces])


def check_feed_mutations(case: TransformCase, *, rounds: int = 200) -> None:
    """Check `check_feed_any_input` on damaged seeds."""
    dice = SeededDice(len(case.seeds))
    for number in range(rounds):
        seed, other = dice.choice(case.seeds), dice.choice(case.seeds)
        damaged = mutate_bytes(seed, other, dice)
        try:
            check_feed_any_input(case, damaged, dice_seed=number)
        except AssertionError as error:
            raise AssertionError(f"{error} (input {damaged!r})") from error


def check_feed_pending_bytes(case: TransformCase) -> None:
    """Check that good bulk in small pieces leaves nothing behind that grows."""
    pieces = cut_at_random(case.bulk(20_000), SeededDice(0), 700)
    _products(case, [bytes(piece) for piece in pieces])


def check_feed_linear_work(case: TransformCase) -> None:
    """Check that four times the input makes about four times the function calls."""
    for longest in (1, 100_000):
        works = [
            partial(_feed_pieces, case, case.factory(), case.bulk(size), longest)
            for size in (2_000, 8_000)
        ]
        require_linear_work(f"{case.name} in pieces of {longest}", *works)


def check_feed_linear_time(case: TransformCase, cpu_clock: Callable[[], float]) -> None:
    """Check that what was fed before does not make the next small piece dearer.

    Sharp only if the case's ``bulk`` is one large unit, as far as limits allow.

    Args:
        case: The transform.
        cpu_clock: Gives CPU seconds; pass `time.process_time`.
    """
    little, much, tail = 4_096, 1_000_000, 32_000
    data = case.bulk(much + tail)

    def after(prefix: int) -> Callable[[], None]:
        transform = case.factory()
        _feed_pieces(case, transform, data[:prefix], 65_536)
        return partial(_feed_pieces, case, transform, data[prefix : prefix + tail], 16)

    require_steady_time(
        case.name, partial(after, little), partial(after, much), cpu_clock
    )


def _feed_pieces(
    case: TransformCase, transform: object, data: bytes, longest: int
) -> None:
    for at in range(0, len(data), longest):
        case.feed(transform, data[at : at + longest])


TRANSFORM_CHECKS: tuple[Callable[[TransformCase], None], ...] = (
    check_feed_segmentation,
    check_feed_mutations,
    check_feed_pending_bytes,
    check_feed_linear_work,
)
"""Every check that needs a case alone."""
