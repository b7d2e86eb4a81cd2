"""What sessions of viewers tell of an address."""

from __future__ import annotations

import pytest

from penstock.dialects.datarhei import anonymised


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("203.0.113.77", "203.0.113.0"),
        ("2001:db8:1:2:3::4", "2001:db8:1::"),
        ("no address", ""),
    ],
)
def test_the_network_alone_is_told(address: str, shown: str) -> None:
    assert anonymised(address) == shown
