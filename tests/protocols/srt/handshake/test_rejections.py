"""Rejection codes: SRT draft-01 §4.3,
libsrt rejection-codes.md §SRT Rejection Codes."""

from __future__ import annotations

import pytest
from sansmedia.srt.rejections import (
    Refusal,
    RejectionCode,
    code_of_type,
    rejection_text,
    type_of_code,
)


@pytest.mark.parametrize("code", list(RejectionCode))
def test_every_code_has_words_and_travels(code: RejectionCode) -> None:
    assert "unknown code" not in rejection_text(code)
    assert code_of_type(type_of_code(code)) == code
    assert Refusal(code).reason == rejection_text(code)


def test_codes_without_a_name_are_told_by_their_range() -> None:
    assert "code 1499" in rejection_text(1499)
    assert "own code 2005" in rejection_text(2005)
    assert "unknown code 99" in rejection_text(99)


@pytest.mark.parametrize("kind", [0, 1, 999, 0xFFFF_FFFF, 0xFFFF_FFFE, 0x8000_0000])
def test_what_is_no_rejection_has_no_code(kind: int) -> None:
    assert code_of_type(kind) is None


def test_system_codes_of_the_future_count_as_unknown() -> None:
    assert code_of_type(1018) == RejectionCode.UNKNOWN
    assert code_of_type(1999) == RejectionCode.UNKNOWN
    assert code_of_type(3005) == 2005
