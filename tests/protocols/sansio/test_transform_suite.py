"""The transform suite passes a correct transform and catches broken ones."""

from __future__ import annotations

import time
from collections.abc import Callable

import attrs
import pytest
from sansmedia.sansio.testing import (
    TRANSFORM_CHECKS,
    TransformCase,
    check_feed_any_input,
    check_feed_linear_time,
    check_feed_linear_work,
    check_feed_mutations,
    check_feed_pending_bytes,
    check_feed_segmentation,
)

_LIMIT = 1 << 21


class Deframer:
    """Takes messages of 24 bits of length and a body; a long one is damage."""

    def __init__(self) -> None:
        self._held = bytearray()
        self.damaged = False

    def feed(self, data: bytes) -> list[bytes]:
        """Return the bodies that became whole."""
        if self.damaged:
            return []
        self._held += data
        bodies = []
        start = 0
        while len(self._held) - start >= 3:
            length = int.from_bytes(self._held[start : start + 3], "big")
            if length > _LIMIT:
                self.damaged = True
                start = len(self._held)
            elif len(self._held) - start - 3 < length:
                break
            else:
                bodies.append(bytes(self._held[start + 3 : start + 3 + length]))
                start += 3 + length
        del self._held[:start]
        return bodies

    @property
    def pending_bytes(self) -> int:
        """Octets held."""
        return len(self._held)


def _message(body: bytes) -> bytes:
    return len(body).to_bytes(3, "big") + body


def _case(
    factory: Callable[[], Deframer], pending_limit: int = 1 << 22
) -> TransformCase:
    return TransformCase(
        name=factory.__name__,
        factory=factory,
        seeds=(
            _message(b"abc") + _message(b"") + _message(bytes(200)),
            b"\xff\xff\xff",
        ),
        bulk=lambda size: _message(bytes(size)),
        pending_limit=pending_limit,
    )


@pytest.mark.parametrize("check", TRANSFORM_CHECKS)
def test_a_correct_transform_passes(check: Callable[[TransformCase], None]) -> None:
    check(_case(Deframer))


def test_a_correct_transform_costs_the_same_whatever_it_holds() -> None:
    check_feed_linear_time(_case(Deframer), time.process_time)


class ForgetsBetweenInputs(Deframer):
    """Loses what is incomplete."""

    def feed(self, data: bytes) -> list[bytes]:
        bodies = super().feed(data)
        self._held.clear()
        return bodies


def test_losing_the_incomplete_breaks_segmentation() -> None:
    with pytest.raises(AssertionError, match="seed 0 in 212 pieces"):
        check_feed_segmentation(_case(ForgetsBetweenInputs))


class Raises(Deframer):
    """Raises for an octet that no seed contains."""

    def feed(self, data: bytes) -> list[bytes]:
        if 0xA5 in data:
            raise IndexError
        return super().feed(data)


def test_mutations_find_the_exception() -> None:
    with pytest.raises(AssertionError, match=r"feed raised IndexError\(\) \(input"):
        check_feed_mutations(_case(Raises))


def test_one_input_is_judged_alone() -> None:
    with pytest.raises(AssertionError, match="feed raised IndexError"):
        check_feed_any_input(_case(Raises), b"\x00\x00\x01\xa5")


class Hoards(Deframer):
    """Counts all it ever saw as held."""

    def __init__(self) -> None:
        super().__init__()
        self._seen = 0

    def feed(self, data: bytes) -> list[bytes]:
        self._seen += len(data)
        return super().feed(data)

    @property
    def pending_bytes(self) -> int:
        return self._seen


def test_memory_beyond_the_limit_is_caught() -> None:
    def bulk(size: int) -> bytes:
        return _message(bytes(97)) * (size // 100)

    check_feed_pending_bytes(attrs.evolve(_case(Deframer, 1000), bulk=bulk))
    with pytest.raises(AssertionError, match="the limit is 1000"):
        check_feed_pending_bytes(attrs.evolve(_case(Hoards, 1000), bulk=bulk))


class LooksAgain(Deframer):
    """Walks over everything held with every input."""

    def feed(self, data: bytes) -> list[bytes]:
        for octet in self._held[::20]:
            _ = divmod(octet, 2)
        return super().feed(data)


def test_looking_again_is_not_linear() -> None:
    with pytest.raises(AssertionError, match="four times the input"):
        check_feed_linear_work(_case(LooksAgain))


class Copies(Deframer):
    """Copies everything held with every input."""

    def feed(self, data: bytes) -> list[bytes]:
        self._held = bytearray(bytes(self._held))
        return super().feed(data)


def test_copying_what_is_held_is_not_steady() -> None:
    with pytest.raises(AssertionError, match="after much input"):
        check_feed_linear_time(_case(Copies), time.process_time)


def test_other_ways_to_feed_can_be_registered() -> None:
    def feed(transform: Deframer, data: bytes) -> list[bytes]:
        return transform.feed(data)[::-1]

    case = attrs.evolve(_case(Deframer), feed=feed, view=sorted)
    check_feed_segmentation(case)
