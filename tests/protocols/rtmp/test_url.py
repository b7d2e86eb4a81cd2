"""Addresses, and the vhost rules that SRS users write by."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sansmedia.rtmp import StreamAddress, decode_url, resolve
from sansmedia.rtmp.url import resolve_reference
from sansmedia.sansio import ProtocolError


@pytest.mark.parametrize(
    ("url", "address"),
    [
        (
            "rtmp://example.org/live/cam",
            StreamAddress("example.org", 1935, None, "live", "cam"),
        ),
        (
            "rtmp://example.org:19350/live/sub/cam?token=a%20b",
            StreamAddress("example.org", 19350, None, "live/sub", "cam", "token=a%20b"),
        ),
        (
            "rtmps://[::1]/live/cam",
            StreamAddress("::1", 443, None, "live", "cam", scheme="rtmps"),
        ),
        (
            "rtmp://h/live/cam?vhost=a.example",
            StreamAddress("h", 1935, "a.example", "live", "cam", "vhost=a.example"),
        ),
        (
            "rtmp://h/live/cam?domain=a.example",
            StreamAddress("h", 1935, "a.example", "live", "cam", "domain=a.example"),
        ),
        (
            "rtmp://h/live/cam#vhost=a.example",
            StreamAddress("h", 1935, "a.example", "live", "cam", "vhost=a.example"),
        ),
        (
            "rtmp://h/live?vhost=a.example/cam",
            StreamAddress("h", 1935, "a.example", "live", "cam", "vhost=a.example"),
        ),
        (
            "rtmp://h/live?vhost=a.example/cam?token=1",
            StreamAddress(
                "h", 1935, "a.example", "live", "cam", "vhost=a.example&token=1"
            ),
        ),
        (
            "rtmp://h/live...vhost...a.example/cam",
            StreamAddress("h", 1935, "a.example", "live", "cam"),
        ),
        (
            "rtmp://h/live/_definst_/cam",
            StreamAddress("h", 1935, None, "live", "cam"),
        ),
        (
            "rtmp://h/live/cam?back=http://x/y",
            StreamAddress("h", 1935, None, "live", "cam", "back=http://x/y"),
        ),
        ("rtmp://h/live", StreamAddress("h", 1935, None, "live", "")),
    ],
)
def test_urls_are_taken_apart(url: str, address: StreamAddress) -> None:
    assert decode_url(url) == address


@pytest.mark.parametrize(
    "url", ["", "http://h/live/cam", "rtmp:///live/cam", "rtmp://h:x/a/b", "rtmp://[/"]
)
def test_what_is_no_rtmp_url_is_refused(url: str) -> None:
    with pytest.raises(ProtocolError):
        decode_url(url)


def test_an_address_gives_what_a_client_wants() -> None:
    address = decode_url("rtmp://[::1]:1936/live/cam?token=1")
    assert address.tc_url == "rtmp://[::1]:1936/live"
    assert address.stream == "cam?token=1"
    assert decode_url("rtmps://h:443/live/cam").tc_url == "rtmps://h/live"


@pytest.mark.parametrize(
    ("tc_url", "app", "name", "vhost", "resolved_app", "resolved_name", "parameters"),
    [
        ("rtmp://h/live", "live", "cam", "h", "live", "cam", {}),
        ("", "live", "cam", None, "live", "cam", {}),
        ("rtmp://[/", "live", "cam", None, "live", "cam", {}),
        (
            "rtmp://h/live",
            "live",
            "cam?vhost=a&token=1",
            "a",
            "live",
            "cam",
            {"vhost": "a", "token": "1"},
        ),
        (
            "rtmp://h/live?vhost=a",
            "live?vhost=a",
            "cam",
            "a",
            "live",
            "cam",
            {"vhost": "a"},
        ),
        # Some clients cut the query from the application, not from the tcUrl.
        ("rtmp://h/live?vhost=a", "live", "cam", "a", "live", "cam", {"vhost": "a"}),
        (
            "rtmp://h/live",
            "live?vhost=a",
            "cam?vhost=b",
            "b",
            "live",
            "cam",
            {"vhost": "b"},
        ),
        # What SRS makes of a vhost in the application: the question mark comes twice.
        (
            "rtmp://h/live",
            "live",
            "cam?vhost=a?vhost=a",
            "a",
            "live",
            "cam",
            {"vhost": "a"},
        ),
        ("rtmp://h/live", "live#domain=a", "cam", "a", "live", "cam", {"domain": "a"}),
        (
            "rtmp://h/live",
            "live...vhost...a",
            "cam",
            "a",
            "live",
            "cam",
            {"vhost": "a"},
        ),
        ("rtmp://h/a/b", "a/b", "c/d", "h", "a/b/c", "d", {}),
        ("rtmp://h/live/_definst_", "live/_definst_", "cam", "h", "live", "cam", {}),
        ("rtmp://h/cam", "cam", "", "h", "cam", "", {}),
        ("rtmp://h/live", "live", "cam?a=1&a=2", "h", "live", "cam", {"a": "1"}),
        ("rtmp://h/live", "live", "cam?k=a+b%2Fc", "h", "live", "cam", {"k": "a+b/c"}),
    ],
)
def test_requests_are_resolved(
    tc_url: str,
    app: str,
    name: str,
    vhost: str | None,
    resolved_app: str,
    resolved_name: str,
    parameters: dict[str, str],
) -> None:
    assert resolve(tc_url, app, name) == (
        vhost,
        resolved_app,
        resolved_name,
        parameters,
    )


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=40), st.text(max_size=20), st.text(max_size=30))
def test_nothing_a_peer_sends_makes_resolving_fail(
    tc_url: str, app: str, name: str
) -> None:
    resolved = resolve("rtmp://" + tc_url, app, name)
    assert "/" not in resolved.name
    assert "?" not in resolved.app


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=60))
def test_url_decoding_raises_protocol_errors_and_nothing_else(text: str) -> None:
    try:
        address = decode_url("rtmp://" + text)
    except ProtocolError:
        return
    assert 0 < address.port < 65536


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("", "rtmp://a:1935/live"),
        ("rtmp://b/other", "rtmp://b/other"),
        ("//192.0.2.0/live", "rtmp://192.0.2.0/live"),
        ("/other", "rtmp://a:1935/other"),
        ("other", "rtmp://a:1935/other"),
        ("//[", "rtmp://a:1935/live"),
    ],
)
def test_reconnect_references_resolve_as_uris(reference: str, expected: str) -> None:
    assert resolve_reference("rtmp://a:1935/live", reference) == expected
