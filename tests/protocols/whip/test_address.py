"""Addresses of endpoints in one word."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sansmedia.sansio import ProtocolError
from sansmedia.whip import EndpointAddress, decode_address


@pytest.mark.parametrize(
    ("text", "plays", "url", "token"),
    [
        ("whep://h/live/x/whep", True, "http://h/live/x/whep", None),
        ("wheps://h:8443/x?a=b", True, "https://h:8443/x?a=b", None),
        ("whip://h", False, "http://h/", None),
        ("WHIPS://H/x", False, "https://H/x", None),
        ("whip://secret@h/x", False, "http://h/x", "secret"),
        ("wheps://a%2Fb%40c@h:1/x", True, "https://h:1/x", "a/b@c"),
        ("whep://a:b@[::1]:8000/x", True, "http://[::1]:8000/x", "a:b"),
        ("whep://h/x#fragment", True, "http://h/x", None),
    ],
)
def test_an_address_tells_what_is_spoken_where_and_with_which_token(
    text: str, plays: bool, url: str, token: str | None
) -> None:
    """RFC 9725 §4.2 knows https alone; RFC 3986 §3.2.1 for what is before the host."""
    address = decode_address(text)
    assert address == EndpointAddress(plays=plays, url=url, token=token)
    assert "secret" not in repr(address)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no whip"),
        ("whep:/h/x", "no whip"),
        ("http://h/x", "no whip"),
        ("whepss://h/x", "no whip"),
        ("whep:///x", "no host"),
        ("whep://token@/x", "no host"),
        ("whep://@h/x", "token"),
        ("whep://%00@h/x", "token"),
        ("whep://h:0/x", "no host"),
        ("whep://h:x/x", "cannot be read"),
        ("whep://[::1/x", "cannot be read"),
        ("whep://h/a b", "blank"),
        ("whep://h/\u00e4", "plain ASCII"),
        ("whep://h/\r\nX: y", "plain ASCII"),
        ("whep://h/" + "x" * 5_000, "too long"),
    ],
)
def test_what_is_no_address_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ProtocolError, match=reason):
        decode_address(text)


@given(
    st.sampled_from(["whip://", "whips://", "whep://", "wheps://", ""]),
    st.text(alphabet="ab:/@?#[]%0.\x00\u00e4 ", max_size=30),
)
def test_any_text_is_an_address_or_refused(scheme: str, rest: str) -> None:
    try:
        address = decode_address(scheme + rest)
    except ProtocolError:
        return
    assert address.url.startswith(("http://", "https://"))
