"""The one check of names, for any text."""

from __future__ import annotations

import os.path

from hypothesis import given
from hypothesis import strategies as st

from penstock.storage.errors import BadName
from penstock.storage.paths import MAX_NAME_BYTES, check_name


@given(
    st.text(alphabet=st.sampled_from("./\\a%2e\0\n\x7f\x85ü\ud800"), max_size=12),
    st.integers(0, 3),
)
def test_what_is_let_in_stays_below_any_root(text: str, slashes: int) -> None:
    try:
        name = check_name("/" * slashes + text)
    except BadName:
        return
    assert name == os.path.normpath(name)
    assert name == check_name(name) == check_name(name[1:])
    assert os.path.normpath(f"/root{name}") == f"/root{name}"
    assert name.isprintable()


def test_the_longest_name_is_let_in() -> None:
    parts = "/".join(["x" * 255] * 4)[: MAX_NAME_BYTES - 1]
    assert check_name(parts) == f"/{parts}"
