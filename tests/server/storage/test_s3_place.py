"""The URL of a file system in a bucket."""

from __future__ import annotations

from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.storage.s3 import S3Place, parse_s3_url

SECRET = "wJalr/XUt+nFEMI"
URL = f"https://AKID:{quote(SECRET, safe='')}@eu.example.com/videos?name=s3&mount=/s3"


def test_a_url_says_everything() -> None:
    place = parse_s3_url(f"{URL}&username=u+1&password=p%26")
    assert place == S3Place(
        name="s3",
        endpoint="https://example.com",
        region="eu",
        bucket="videos",
        access_key_id="AKID",
        secret_access_key=SECRET,
        mount="/s3",
        username="u 1",
        password="p&",
    )
    assert parse_s3_url(URL).username == ""


@pytest.mark.parametrize(
    ("host", "endpoint", "region"),
    [
        ("fr-par.s3.fr-par.scw.cloud", "http://s3.fr-par.scw.cloud", "fr-par"),
        ("eu-central-1.amazonaws.com", "http://s3.eu-central-1.amazonaws.com", None),
        ("eu-central-1.s3.amazonaws.com", "http://s3.eu-central-1.amazonaws.com", None),
        ("eu.example.com:9000", "http://example.com:9000", "eu"),
        ("example.com", "http://example.com", "us-east-1"),
        ("minio:9000", "http://minio:9000", "us-east-1"),
        ("127.0.0.1:9000", "http://127.0.0.1:9000", "us-east-1"),
        ("[::1]:9000", "http://[::1]:9000", "us-east-1"),
        ("EU.Example.com", "http://example.com", "eu"),
    ],
)
def test_a_host_is_a_region_and_an_endpoint(
    host: str, endpoint: str, region: str | None
) -> None:
    place = parse_s3_url(f"http://K:S@{host}/bucket?name=n&mount=/m")
    assert (place.endpoint, place.region) == (endpoint, region or "eu-central-1")


@pytest.mark.parametrize(
    ("path", "prefix"), [("", ""), ("/", ""), ("/a", "a/"), ("/a/b%20c/", "a/b c/")]
)
def test_what_follows_the_bucket_is_a_prefix(path: str, prefix: str) -> None:
    place = parse_s3_url(URL.replace("/videos", f"/videos{path}"))
    assert (place.bucket, place.prefix) == ("videos", prefix)


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("https:", "ftp:", "http"),
        ("https:", "", "http"),
        ("AKID:", "", "KEY:SECRET"),
        ("AKID:", ":", "KEY:SECRET"),
        (quote(SECRET, safe=""), "", "KEY:SECRET"),
        ("AKID", "A%00", "no key has"),
        ("AKID", "%FF", "no key has"),
        ("eu.example.com", "", "host"),
        ("eu.example.com", "a..b", "host"),
        ("eu.example.com", "a_b", "host"),
        ("eu.example.com", "eu.example.com:99999", "host"),
        ("eu.example.com", "[::1", "host"),
        ("/videos", "", "bucket"),
        ("/videos", "/v", "bucket"),
        ("/videos", "/vid%3Feos", "bucket"),
        ("/videos", "/videos/../x", "behind the bucket"),
        ("name=s3", "", "name="),
        ("name=s3", "name=a/b", "name="),
        ("mount=/s3", "", "mount="),
        ("mount=/s3", "mount=/", "mount="),
        ("mount=/s3", "mount=/../x", "mount="),
    ],
)
def test_what_is_wrong_is_said_without_the_secret(
    old: str, new: str, complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint) as caught:
        parse_s3_url(URL.replace(old, new))
    assert "XUt" not in str(caught.value)
    assert caught.value.__cause__ is None


PRINTABLE = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1)


@given(key=PRINTABLE, secret=PRINTABLE, username=st.text(), password=st.text())
def test_any_key_survives_the_url(
    key: str, secret: str, username: str, password: str
) -> None:
    login = urlencode(
        {"username": username, "password": password}, errors="surrogatepass"
    )
    keys = f"{quote(key, safe='')}:{quote(secret, safe='')}"
    place = parse_s3_url(f"http://{keys}@h/bucket?name=n&mount=/m&{login}")
    assert (place.access_key_id, place.secret_access_key) == (key, secret)
    assert (place.username, place.password) == (username, password)


@given(
    st.text(
        st.sampled_from("/:@?#&%[].aé\0 =\u2100"),
        max_size=20,
    )
)
def test_any_text_is_a_place_or_a_sentence(text: str) -> None:
    url = f"https://AKID:hushhush@{text}"
    said = ""
    try:
        said = repr(parse_s3_url(f"{url}?name=n&mount=/m"))
    except ValueError as error:
        said = str(error)
    assert said
    assert "hushhush" not in said


def test_no_key_and_no_password_is_shown() -> None:
    shown = repr(parse_s3_url(f"{URL}&username=somebody&password=pass99"))
    for word in ("AKID", SECRET, "somebody", "pass99"):
        assert word not in shown
