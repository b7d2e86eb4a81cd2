"""The Link header field: what servers of the field write, and what we do."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sansmedia.sansio import ProtocolError, UsageError
from sansmedia.whip import (
    IceServer,
    Link,
    decode_ice_servers,
    decode_links,
    encode_link,
    ice_server_link,
)

_TURN = IceServer("turn:turn.example.net?transport=udp", "user", "myPassword")


@pytest.mark.parametrize(
    "text",
    [
        # The shape of RFC 9725 §4.6's example, folded and not.
        '<turn:turn.example.net?transport=udp>; rel="ice-server"; username="user"; '
        'credential="myPassword"; credential-type="password"',
        "<turn:turn.example.net?transport=udp>; rel=\"ice-server\";\r\n"
        '      username="user"; credential="myPassword"; credential-type="password"',
        "<turn:turn.example.net?transport=udp>;rel=ice-server;username=user;"
        "credential=myPassword",
        "< turn:turn.example.net?transport=udp > ; REL = ICE-SERVER ; "
        'Username = "us\\er" ; credential="my\\Password";',
        '<turn:turn.example.net?transport=udp>; rel="other ice-server"; '
        'rel="second"; username="user"; credential="myPassword"; crossorigin',
    ],
)  # fmt: skip
def test_an_ice_server_is_read_in_every_form(text: str) -> None:
    """RFC 8288 §3, §3.3; RFC 9725 §4.6."""
    assert decode_ice_servers(decode_links(text)) == [_TURN]
    assert decode_ice_servers(decode_links(f", {text} ,, {text}")) == [_TURN, _TURN]


def test_commas_and_semicolons_in_values_separate_nothing() -> None:
    """RFC 8288 §3."""
    text = '<a,b;c>; rel="x"; title="1, 2; <3>", <d>; rel=y'
    assert decode_links(text) == [
        Link("a,b;c", "x", (("title", "1, 2; <3>"),)),
        Link("d", "y"),
    ]


def test_other_links_are_no_ice_servers() -> None:
    """RFC 9725 §4.6, §6.1."""
    text = "<stun:a>; rel=ice-server, <https://b>; rel=ice-server, <stun:c>; rel=x, <d>"
    assert decode_ice_servers(decode_links(text)) == [IceServer("stun:a")]


def test_what_is_written_is_quoted() -> None:
    """RFC 8288 §3; RFC 9725 §4.6."""
    server = IceServer("turn:h", 'a"b\\c', "p, q; <r>")
    text = encode_link(ice_server_link(server))
    assert text == (
        '<turn:h>; rel="ice-server"; username="a\\"b\\\\c"; credential="p, q; <r>"; '
        'credential-type="password"'
    )
    assert decode_ice_servers(decode_links(text)) == [server]
    assert encode_link(ice_server_link(IceServer("stun:h"))) == (
        '<stun:h>; rel="ice-server"'
    )


def test_a_type_of_credential_without_one_is_kept() -> None:
    """Found by fuzzing: any server may write it."""
    server = IceServer("turn:h", "u", credential_type="oauth")
    assert decode_ice_servers([ice_server_link(server)]) == [server]


@pytest.mark.parametrize("text", ["stun:a", "<a", "<a> <b>", "<a>; rel=x <b>", "a>"])
def test_what_is_no_link_is_refused(text: str) -> None:
    """RFC 8288 §3."""
    with pytest.raises(ProtocolError) as caught:
        decode_links(text)
    assert caught.value.code == "malformed"


def test_the_number_of_links_is_bounded() -> None:
    assert len(decode_links("<a>," * 64)) == 64
    with pytest.raises(ProtocolError) as caught:
        decode_links("<a>," * 65)
    assert caught.value.code == "limit"


@pytest.mark.parametrize(
    "link",
    [
        Link("a b", "x"),
        Link("a>", "x"),
        Link("a\r\nSet-Cookie: x", "x"),
        Link("a", "x\r\nSet-Cookie: y"),
        Link("a", "x", (("b c", "d"),)),
        Link("a", "x", (("b", "\x00"),)),
        Link("", "x"),
    ],
)
def test_no_header_can_be_smuggled_into_a_link(link: Link) -> None:
    with pytest.raises(UsageError):
        encode_link(link)


_WORDS = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20)
_NAMES = st.text("abcz09-_*", min_size=1, max_size=5).filter(lambda name: name != "rel")


@given(
    st.lists(
        st.builds(
            Link,
            st.text("abc:/?&=%;,", min_size=1, max_size=20),
            _WORDS,
            st.lists(st.tuples(_NAMES, _WORDS), max_size=3).map(tuple),
        ),
        max_size=4,
    )
)
def test_what_is_written_is_read_again(links: list[Link]) -> None:
    assert decode_links(", ".join(map(encode_link, links))) == links


@given(st.text(st.sampled_from('<>;,="\\ rel=ice-server\r\n\tx'), max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        links = decode_links(text)
    except ProtocolError:
        return
    assert len(decode_ice_servers(links)) <= len(links)
