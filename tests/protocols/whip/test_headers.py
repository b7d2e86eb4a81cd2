"""The other header fields."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sansmedia.sansio import UsageError
from sansmedia.whip import (
    EntityTags,
    Headers,
    Request,
    decode_bearer,
    decode_delay,
    decode_entity_tags,
    decode_http_date,
    decode_media_type,
    encode_entity_tag,
    encode_http_date,
)


def test_names_of_headers_have_no_case() -> None:
    """RFC 9110 §5.1, §5.3."""
    headers = Headers([("Link", "a"), ("ETAG", ' "x" '), ("link", "b")])
    assert headers.get_all("LINK") == ["a", "b"]
    assert headers.joined("Link") == "a, b"
    assert headers.get("etag") == '"x"'
    assert headers.get("location") is None
    assert headers.joined("location") is None
    assert "eTag" in headers
    assert "location" not in headers
    assert list(headers) == [("Link", "a"), ("ETAG", ' "x" '), ("link", "b")]


def test_headers_are_made_of_what_is_at_hand() -> None:
    made = Headers({"A": "b"})
    assert Request("GET", headers={"A": "b"}).headers == made
    assert Request("GET", headers=[("A", "b")]).headers == made
    assert Request("GET", headers=made).headers is made
    assert Headers(made) == made


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, ("", {})),
        ("application/sdp", ("application/sdp", {})),
        (" Application/SDP ;Charset=UTF-8", ("application/sdp", {"charset": "UTF-8"})),
        (
            'application/sdp; valid-until="Fri, 01 Jan 2027 00:00:00 GMT"; a="b\\"c;d"',
            (
                "application/sdp",
                {"valid-until": "Fri, 01 Jan 2027 00:00:00 GMT", "a": 'b"c;d'},
            ),
        ),
        # A date has a comma in it, and no quotes where somebody forgot them.
        (
            "application/sdp; valid-until=Fri, 01 Jan 2027 00:00:00 GMT",
            ("application/sdp", {"valid-until": "Fri, 01 Jan 2027 00:00:00 GMT"}),
        ),
    ],
)
def test_media_types_are_read(
    text: str | None, expected: tuple[str, dict[str, str]]
) -> None:
    """RFC 9110 §8.3.1."""
    assert decode_media_type(text) == expected


@pytest.mark.parametrize(
    ("text", "token"),
    [
        ("Bearer abc.def~+/=", "abc.def~+/="),
        ("bearer   x", "x"),
        ("Basic eDp5", None),
        ("Bearer", None),
        ("Bearer a b", None),
        ("", None),
    ],
)
def test_bearer_tokens_are_read(text: str, token: str | None) -> None:
    """RFC 6750 §2.1."""
    assert decode_bearer(Headers({"authorization": text})) == token


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"If-Match": "*"}, EntityTags(any=True)),
        ({"If-Match": '"*"'}, EntityTags(any=True)),
        ({"If-Match": '"a"'}, EntityTags(tags=frozenset({"a"}))),
        ({"If-Match": '"a", W/"b" ,"c,d"'}, EntityTags(tags=frozenset({"a", "c,d"}))),
        ({"If-Match": "a"}, EntityTags()),
        ({"ETag": '"a"'}, EntityTags(tags=frozenset({"a"}))),
        ({"If-Match": '"a"', "ETag": '"b"'}, EntityTags(tags=frozenset({"a"}))),
    ],
)
def test_conditions_are_read(
    headers: dict[str, str], expected: EntityTags | None
) -> None:
    """RFC 9110 §13.1.1; RFC 9725 §4.3.3."""
    assert decode_entity_tags(Headers(headers)) == expected


def test_entity_tags_compare_strongly() -> None:
    """RFC 9110 §8.8.3.2."""
    asked = decode_entity_tags(Headers({"If-Match": '"a", W/"b"'}))
    assert asked is not None
    assert asked.match("a")
    assert not asked.match("b")
    assert not asked.match(None)
    assert EntityTags(any=True).match(None)


@pytest.mark.parametrize("tag", ["", "*", 'a"b', "a b", "a\n", "ä"])
def test_what_is_no_tag_is_our_mistake(tag: str) -> None:
    """RFC 9110 §8.8.3."""
    with pytest.raises(UsageError):
        encode_entity_tag(tag)
    assert encode_entity_tag("a-1") == '"a-1"'


def test_dates_are_those_of_http() -> None:
    """RFC 9110 §5.6.7: the example's date."""
    assert encode_http_date(784111777) == "Sun, 06 Nov 1994 08:49:37 GMT"
    assert decode_http_date("Sun, 06 Nov 1994 08:49:37 GMT") == 784111777
    assert decode_http_date("Sunday, 06-Nov-94 08:49:37 GMT") == 784111777
    for text in (None, "", "soon", "Sun, 99 Nov 1994 08:49:37 GMT", "1" * 200):
        assert decode_http_date(text) is None


_DATE = {"Date": "Sun, 06 Nov 1994 08:49:37 GMT"}


@pytest.mark.parametrize(
    ("text", "headers", "delay"),
    [
        (None, {}, None),
        ("5", {}, 5.0),
        (" 120 ", {}, 120.0),
        ("-1", {}, None),
        ("soon", {}, None),
        ("Sun, 06 Nov 1994 08:49:47 GMT", _DATE, 10.0),
        ("Sun, 06 Nov 1994 08:49:27 GMT", _DATE, 0.0),
        ("Sun, 06 Nov 1994 08:49:47 GMT", {}, None),
    ],
)
def test_delays_count_from_the_servers_own_date(
    text: str | None, headers: dict[str, str], delay: float | None
) -> None:
    """RFC 9110 §10.2.3."""
    assert decode_delay(text, Headers(headers)) == delay


@given(st.text(max_size=60))
@example("0\x1f")
def test_any_text_is_read(text: str) -> None:
    headers = Headers({"Authorization": text, "If-Match": text, "Date": text})
    decode_media_type(text)
    decode_bearer(headers)
    decode_entity_tags(headers)
    assert decode_delay(text, headers) is None or text.strip().isdigit()
