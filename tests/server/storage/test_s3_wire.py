"""Names, listings and refusals of S3 servers."""

from __future__ import annotations

import sys
from urllib.parse import quote_plus, unquote, urlsplit
from xml.sax.saxutils import escape

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from penstock.storage import s3_wire
from penstock.storage.errors import (
    AccessDenied,
    BadName,
    FileMissing,
    StorageError,
    StorageFull,
    TooLarge,
)
from penstock.storage.paths import check_name
from penstock.storage.s3 import S3Place

PLACE = S3Place(
    name="s3",
    endpoint="http://h:9000",
    region="eu",
    bucket="bucket",
    access_key_id="AKID",
    secret_access_key="hush",
    mount="/s3",
    prefix="p q/",
)


def listing(*keys: str, extra: str = "", etag: str = '"e"') -> bytes:
    entries = "".join(
        f"<Contents><Key>{escape(key)}</Key><Size>5</Size><ETag>{escape(etag)}</ETag>"
        "<LastModified>2026-11-27T12:00:00.999Z</LastModified></Contents>"
        for key in keys
    )
    return f"<ListBucketResult>{extra}{entries}</ListBucketResult>".encode()


@given(st.text(max_size=40), st.booleans())
def test_any_name_comes_back_from_urls_and_listings(text: str, encoded: bool) -> None:
    try:
        name = check_name(text)
    except BadName:
        assume(False)
    # XML 1.0 has no character for these two: such names need the encoding.
    assume(encoded or not {"\ufffe", "\uffff"} & set(name))
    parts = urlsplit(s3_wire.encode_url(PLACE, name))
    assert unquote(parts.path) == f"/bucket/p q{name}"
    assert not parts.query
    key = f"p q{name}"
    if encoded:
        body = listing(
            quote_plus(key, safe="/"), extra="<EncodingType>url</EncodingType>"
        )
    else:
        body = listing(key)
    page = s3_wire.decode_listing(body, PLACE.prefix)
    assert [(info.name, info.size) for info in page.infos] == [(name, 5)]


def test_a_query_is_in_the_order_of_signatures() -> None:
    url = s3_wire.encode_url(PLACE, None, {"b": "1/2 +", "a": ""})
    assert url == "http://h:9000/bucket?a=&b=1%2F2%20%2B"


def test_a_listing_has_whole_seconds_and_leaves_out_what_is_no_name() -> None:
    keys = ["p q/a", "p q/b/", "p q//c", "p q/", "p q/d/../e", "other/f", "p q/ü"]
    page = s3_wire.decode_listing(listing(*keys), PLACE.prefix)
    assert [info.name for info in page.infos] == ["/a", "/ü"]
    assert page.infos[0].modified_at == 1_795_780_800.0
    assert page.infos[0].etag == '"e"'
    assert page.continuation == ""


def test_a_listing_says_how_it_goes_on() -> None:
    more = "<IsTruncated>true</IsTruncated>"
    token = "<NextContinuationToken>a&amp;b</NextContinuationToken>"
    page = s3_wire.decode_listing(listing(extra=more + token), "")
    assert page.continuation == "a&b"
    with pytest.raises(StorageError, match="without an end"):
        s3_wire.decode_listing(listing(extra=more), "")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>hello",
        b"<html></html>",
        b"\xff\xfe\x00",
        b'<?xml version="1.0" encoding="nonsense"?><ListBucketResult/>',
        b'<!DOCTYPE a [<!ENTITY b "b">]><ListBucketResult>&b;</ListBucketResult>',
        listing("a").replace(b">5<", b">five<"),
        listing("a").replace(b"2026-", b"yesterday"),
        listing("a").replace(b"2026-11", b"2026-99"),
        listing("a", etag='"\n"'),
    ],
)
def test_a_listing_that_is_none_is_refused(body: bytes) -> None:
    with pytest.raises(StorageError):
        s3_wire.decode_listing(body, "")


@given(st.binary(max_size=60))
def test_any_bytes_are_an_answer_or_a_sentence(body: bytes) -> None:
    assert s3_wire.decode_error_code(body) == ""
    with pytest.raises(StorageError):
        s3_wire.decode_listing(body, "")


def test_a_tag_without_quotes_gets_them() -> None:
    date = "Fri, 27 Nov 2026 12:00:00 GMT"
    headers = {"content-length": "1", "etag": "abc", "last-modified": date}
    assert s3_wire.info_of("/a", headers).etag == '"abc"'
    for broken in ("etag", "last-modified", "content-length"):
        for value in ("", "a\nb"):
            with pytest.raises(StorageError):
                s3_wire.info_of("/a", {**headers, broken: value})


@pytest.mark.parametrize(
    ("status", "code", "kind", "words"),
    [
        (404, "NoSuchKey", FileMissing, "/f"),
        (404, "", FileMissing, "/f"),
        (404, "NoSuchBucket", StorageError, "bucket does not exist"),
        (403, "AccessDenied", AccessDenied, "does not let this key"),
        (403, "InvalidAccessKeyId", AccessDenied, "does not know the access key"),
        (403, "SignatureDoesNotMatch", AccessDenied, "secret key or the region"),
        (403, "RequestTimeTooSkewed", AccessDenied, "clock"),
        (400, "AuthorizationHeaderMalformed", AccessDenied, "region"),
        (400, "ExpiredToken", AccessDenied, "expired"),
        (403, "", AccessDenied, "does not let this key"),
        (401, "", AccessDenied, "does not let this key"),
        (403, "QuotaExceeded", StorageFull, "quota"),
        (507, "", StorageFull, "full"),
        (400, "EntityTooLarge", TooLarge, "too large"),
        (413, "", TooLarge, "too large"),
        (400, "KeyTooLongError", BadName, "too long"),
        (301, "PermanentRedirect", StorageError, "another endpoint"),
        (307, "", StorageError, "another endpoint"),
        (503, "SlowDown", StorageError, "too busy"),
        (429, "", StorageError, "too busy"),
        (500, "InternalError", StorageError, r"500 \(InternalError\)"),
        (418, "<b>hush</b>", StorageError, "418$"),
    ],
)
def test_a_refusal_has_a_kind_and_a_sentence(
    status: int, code: str, kind: type[StorageError], words: str
) -> None:
    body = b""
    if code:
        body = (
            f"<Error><Code>{code}</Code><Message>AKID hush</Message></Error>".encode()
        )
    error = s3_wire.refusal(s3_wire.Answer(status, {}, body), "/f")
    assert type(error) is kind
    with pytest.raises(kind, match=words):
        raise error
    assert "hush" not in str(error)
    assert "AKID" not in str(error)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "botocore.auth", None)
    with pytest.raises(StorageError, match=r"penstock\[s3\]"):
        s3_wire.S3Signer(PLACE)
