"""What a request for a WebRTC session says: URLs, addresses, credentials."""

from __future__ import annotations

import json

import pytest

from penstock.dialects.srs.errors import Code
from penstock.dialects.srs.requests import ApiRequest, bearer_token, parse_query
from penstock.dialects.srs.rtc_errors import RtcRefusal
from penstock.dialects.srs.rtc_requests import (
    parse_stream_url,
    read_json,
    read_whip,
)

URL = "webrtc://h:1985/live/x"


def _request(query: str = "", body: str = "v=0", host: str = "h") -> ApiRequest:
    named = parse_query(query)
    return ApiRequest(
        method="POST",
        path="/rtc/v1/whip/",
        query=named,
        host=named.get("vhost") or host.rpartition(":")[0] or host,
        local_address="192.0.2.2",
        local_port=1985,
        query_string=query,
        authority=host,
        client="192.0.2.9",
        body=body.encode(),
    )


def _call(query: str = "", **body: object) -> ApiRequest:
    return _request(query, json.dumps({"sdp": "v=0", "streamurl": URL, **body}))


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (URL, ("h", "live", "x", "", "webrtc://h:1985/live")),
        ("webrtc://h/live/x?a=b", ("h", "live", "x", "a=b", "webrtc://h/live")),
        ("webrtc://h/live/x#a=b", ("h", "live", "x", "a=b", "webrtc://h/live")),
        ("webrtc://h/a/b/x", ("h", "a/b", "x", "", "webrtc://h/a/b")),
        ("webrtc://h/x", ("h", "live", "x", "", "webrtc://h/live")),
        ("webrtc://h/live/_definst_/x", ("h", "live", "x", "", "webrtc://h/live")),
        ("webrtc://h/live?a=b/x", ("h", "live", "x", "a=b", "webrtc://h/live")),
        ("webrtc://h/live/x?vhost=v", ("v", "live", "x", "vhost=v", "webrtc://h/live")),
        (
            "webrtc://h/live/x?domain=v",
            ("v", "live", "x", "domain=v", "webrtc://h/live"),
        ),
        (
            "webrtc://h/live...vhost...v/x",
            ("v", "live", "x", "vhost=v", "webrtc://h/live"),
        ),
        (
            "webrtc://[::1]:80/live/x",
            ("::1", "live", "x", "", "webrtc://[::1]:80/live"),
        ),
        ("webrtc://h/live/%C3%A9", ("h", "live", "é", "", "webrtc://h/live")),
    ],
)
def test_stream_urls_are_taken_apart(url: str, expected: tuple[str, ...]) -> None:
    place = parse_stream_url(url)
    assert place is not None
    parts = (place.vhost, place.app, place.stream, place.query, place.tc_url)
    assert parts == expected


@pytest.mark.parametrize("url", ["", "webrtc://h/", "live/x", "webrtc://[/live/x"])
def test_what_names_no_stream_is_none(url: str) -> None:
    assert parse_stream_url(url) is None


def test_a_request_without_parameters_publishes_the_default_stream() -> None:
    asked = read_whip(_request(), [], plays=False)
    assert (asked.publishes, asked.vhost) == (True, "default")
    assert (asked.app, asked.stream) == ("live", "livestream")
    assert (asked.parameters, asked.tc_url, asked.addresses) == ("", "", ())


def test_the_query_goes_on_to_the_hooks_as_it_came() -> None:
    query = "app=a&stream=s%20t&token=x&sign=%41"
    asked = read_whip(_request(query), [], plays=False)
    assert (asked.app, asked.stream) == ("a", "s t")
    assert asked.parameters == query


@pytest.mark.parametrize(
    ("query", "plays", "publishes"),
    [
        ("", False, True),
        ("action=publish", False, True),
        ("action=play", False, False),
        ("", True, False),
        ("action=publish", True, False),
    ],
)
def test_path_and_action_say_who_sends(
    query: str, plays: bool, publishes: bool
) -> None:
    assert read_whip(_request(query), [], plays=plays).publishes is publishes


@pytest.mark.parametrize(
    ("host", "query", "expected"),
    [
        ("a.b:1985", "", "a.b"),
        ("other", "", "default"),
        ("other", "vhost=a.b", "a.b"),
        ("a.b", "vhost=__defaultVhost__", "default"),
    ],
)
def test_a_virtual_host_that_is_not_configured_is_the_default(
    host: str, query: str, expected: str
) -> None:
    assert read_whip(_request(query, host=host), ["a.b"], plays=True).vhost == expected


@pytest.mark.parametrize(
    ("query", "host", "expected"),
    [
        ("eip=203.0.113.7", "h", [("203.0.113.7", 0)]),
        ("eip=203.0.113.7:18000", "h", [("203.0.113.7", 18000)]),
        ("candidate=203.0.113.7", "h", [("203.0.113.7", 0)]),
        (
            "eip=203.0.113.7&candidate=203.0.113.8",
            "h",
            [("203.0.113.7", 0)],
        ),
        ("eip=[2001:db8::1]:99", "h", [("2001:db8::1", 99)]),
        ("eip=2001:db8::1", "h", [("2001:db8::1", 0)]),
        # The address that the API was reached by is reached for media too.
        ("", "203.0.113.9:1985", [("203.0.113.9", 0)]),
        ("eip=203.0.113.7", "203.0.113.9", [("203.0.113.7", 0), ("203.0.113.9", 0)]),
        ("", "[2001:db8::2]:1985", [("2001:db8::2", 0)]),
        ("", "127.0.0.1:1985", []),
        ("eip=127.0.0.1", "h", [("127.0.0.1", 0)]),
        # Neither names nor what is nowhere.
        ("eip=host.example", "h", []),
        ("eip=0.0.0.0", "h", []),
        ("eip=224.0.0.1", "h", []),
        ("eip=fe80::1%25eth0", "h", []),
        ("eip=203.0.113.7:99999", "h", [("203.0.113.7", 0)]),
        ("eip=", "h", []),
    ],
)
def test_addresses_to_be_offered(
    query: str, host: str, expected: list[tuple[str, int]]
) -> None:
    asked = read_whip(_request(query, host=host), [], plays=True)
    assert list(asked.addresses) == expected


@pytest.mark.parametrize(
    "query",
    [
        "ice-ufrag=abc",
        f"ice-ufrag={'a' * 33}",
        "ice-ufrag=ab:d",
        f"ice-pwd={'p' * 21}",
        f"ice-pwd={'p' * 33}",
    ],
)
def test_credentials_of_a_wrong_form_are_refused(query: str) -> None:
    with pytest.raises(RtcRefusal) as refused:
        read_whip(_request(query), [], plays=False)
    assert (refused.value.status, refused.value.line) == (400, "5037: RtcInvalidIce")


def test_credentials_may_have_every_character_of_ice() -> None:
    asked = read_whip(_request(f"ice-ufrag=a+/9&ice-pwd={'p+/0' * 8}"), [], plays=False)
    assert (asked.ice_ufrag, asked.ice_pwd) == ("a+/9", "p+/0" * 8)


@pytest.mark.parametrize("query", ["encrypt=false", "dtls=false"])
def test_plain_media_is_refused_with_the_reason(query: str) -> None:
    with pytest.raises(RtcRefusal) as refused:
        read_whip(_request(query), [], plays=False)
    assert refused.value.line == (
        f"5018: RtcSdpNegotiate: {query} is not served: media is always encrypted here"
    )
    with pytest.raises(RtcRefusal) as refused:
        read_json(_call(query), [], publishes=False)
    assert query in refused.value.reason
    # SRS looks at neither here.
    assert read_json(_call(query), [], publishes=True).publishes
    asked = read_whip(_request("encrypt=true&dtls=true"), [], plays=False)
    assert asked.publishes


@pytest.mark.parametrize("body", ["", " \r\n"])
def test_an_empty_offer_has_a_number_of_its_own(body: str) -> None:
    with pytest.raises(RtcRefusal) as refused:
        read_whip(_request(body=body), [], plays=False)
    assert refused.value.line == "5043: RtcInvalidSdp"


def test_a_call_names_its_stream_by_url() -> None:
    asked = read_json(
        _call("eip=203.0.113.7", streamurl="webrtc://a.b:1985/app/s?token=t"),
        ["a.b"],
        publishes=False,
    )
    assert (asked.vhost, asked.app, asked.stream) == ("a.b", "app", "s")
    assert asked.parameters == "token=t"
    assert asked.tc_url == "webrtc://a.b:1985/app"
    assert asked.addresses == (("203.0.113.7", 0),)


@pytest.mark.parametrize(
    ("url", "parameters"),
    [(URL, "upstream=rtc"), (f"{URL}?token=t", "token=t&upstream=rtc")],
)
def test_a_call_that_publishes_tells_hooks_that_it_is_webrtc(
    url: str, parameters: str
) -> None:
    asked = read_json(_call(streamurl=url), [], publishes=True)
    assert asked.parameters == parameters


@pytest.mark.parametrize(
    "body",
    [
        "",
        "[]",
        "x",
        "{}",
        '{"sdp": "v=0"}',
        '{"sdp": 1, "streamurl": "webrtc://h/live/x"}',
        '{"sdp": "v=0", "streamurl": "x"}',
        "[" * 100_000,
    ],
)
def test_a_call_that_is_none_is_refused(body: str) -> None:
    with pytest.raises(RtcRefusal) as refused:
        read_json(_request(body=body), [], publishes=True)
    assert refused.value.code is Code.RTC_BODY


@pytest.mark.parametrize(
    ("header", "token"),
    [
        (None, ""),
        ("Bearer abc", "abc"),
        ("bearer  abc ", "abc"),
        ("Basic YTpi", ""),
        ("Bearer", ""),
    ],
)
def test_a_bearer_token_is_taken(header: str | None, token: str) -> None:
    # RFC 6750 §2.1
    assert bearer_token(header) == token
