"""Stream ids, in the forms that other servers have taught their users."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.sessions.srt_stream_id import (
    SrtRequest,
    StreamIdError,
    read_stream_id,
)


def _read(text: str, default_stream: str = "") -> SrtRequest:
    return read_stream_id(text, default_app="live", default_stream=default_stream)


@pytest.mark.parametrize(
    ("text", "mode", "place", "vhost", "parameters"),
    [
        # libsrt's own, as SRS, MediaMTX and others read it.
        ("#!::r=live/show,m=publish", "publish", "live/show", "", ""),
        ("#!::m=publish,r=show", "publish", "live/show", "", ""),
        ("#!::r=live/show,m=request", "play", "live/show", "", ""),
        ("#!::r=live/show", "play", "live/show", "", ""),
        (
            "#!::h=example.org,r=live/show,m=publish,token=a=b",
            "publish",
            "live/show",
            "example.org",
            "token=a%3Db",
        ),
        ("#!::u=admin,r=a/b/c,m=publish,s=7", "publish", "a/b/c", "", "user=admin&"),
        ("#!::r=/show,m=publish", "publish", "/show", "", ""),
        # SRS before: libsrt access-control.md §Standard Keys did not exist yet.
        ("#!::h=live/show,m=publish", "publish", "live/show", "", ""),
        ("#!::h=v.org/live/show,m=publish", "publish", "live/show", "v.org", ""),
        ("#!::r=live/show?token=x,m=publish", "publish", "live/show", "", "token=x"),
        # RFC 3986 §3.5: "#" begins the fragment of a URL, so people write it as %23,
        # and there are encoders that pass on what stands there.
        ("%23!::r=live/show,m=publish", "publish", "live/show", "", ""),
        ("%23!::r=live%2Fshow,m=request", "play", "live/show", "", ""),
        ("%23%21%3A%3ar%3dlive%2Fshow%2Cm%3Dpublish", "publish", "live/show", "", ""),
        ("%23!:m=publish,r=foo,token=abc", "publish", "live/foo", "", "token=abc"),
        ("%23!::r=a%2525b,m=publish", "publish", "live/a%25b", "", ""),
        ("%2523!::r=a,m=publish", "play", "live/%23!::r=a,m=publish", "", ""),
        ("%23show", "play", "live/#show", "", ""),
        # datarhei Core: recorded.
        ("foo,mode:publish,token:abc", "publish", "live/foo", "", "token=abc"),
        ("foo,token:abc,mode:publish", "publish", "live/foo", "", "token=abc"),
        ("foo,token:abc", "play", "live/foo", "", "token=abc"),
        ("bla,token:foo,bar", "play", "live/bla", "", "token=foo%2Cbar"),
        ("/x,mode:publish", "publish", "/x", "", ""),
        ("a/x,mode:publish", "publish", "a/x", "", ""),
        ("#!:m=publish,r=foo,token=abc", "publish", "live/foo", "", "token=abc"),
        # MediaMTX.
        ("publish:mystream", "publish", "live/mystream", "", ""),
        ("read:a/mystream", "play", "a/mystream", "", ""),
        ("publish:mystream:user:pass", "publish", "live/mystream", "", "user=user"),
        ("publish:s:user:pass:k=v", "publish", "live/s", "", "k=v&user=user"),
        ("publish:s:k=v", "publish", "live/s", "", "k=v"),
        # OvenMediaEngine: two ports there, so the id does not tell.
        ("default/app/stream", "", "app/stream", "default", ""),
        ("default%2Fapp%2Fstream", "", "app/stream", "default", ""),
        ("default/app/stream/playlist", "", "app/stream", "default", ""),
        (
            "srt%3A%2F%2Fhost%3A9999%2Fapp%2Fstream%3Fpolicy%3Dx%26signature%3Dy",
            "",
            "app/stream",
            "host",
            "policy=x&signature=y",
        ),
        ("srt://host/app/stream?mode=publish", "publish", "app/stream", "host", "mode"),
        # Plain.
        ("live/show", "play", "live/show", "", ""),
        ("show", "play", "live/show", "", ""),
        ("mode:publish", "play", "live/mode:publish", "", ""),
        ("show?token=x", "play", "live/show", "", "token=x"),
        ("show?mode=publish&token=x", "publish", "live/show", "", "mode=publish&tok"),
    ],
)
def test_every_form_says_what_it_means(
    text: str, mode: str, place: str, vhost: str, parameters: str
) -> None:
    request = _read(text)
    assert (request.mode, f"{request.app}/{request.name}") == (mode, place)
    assert request.vhost == vhost
    assert request.parameters.startswith(parameters)
    assert bool(request.parameters) is bool(parameters)


def test_a_password_goes_apart_from_what_hooks_and_logs_see() -> None:
    request = _read("publish:show:me:hunter2")
    assert request.password == "hunter2"
    assert "hunter2" not in request.parameters


@pytest.mark.parametrize(
    ("text", "code", "reason"),
    [
        ("", 1400, "srt.default_stream"),
        ("#!::m=publish", 1400, "no name"),
        ("#!::r=a/b,m=bidirectional", 1405, "'bidirectional'"),
        ("#!::r=a/b,m=", 1405, "''"),
        ("#!::r=a/b,t=file", 1415, "'file'"),
        ("#!::r=a/b,q=1", 1400, "'q'"),
        ("#!::r=a/b,nonsense", 1400, "key=value"),
        ("#!::r=a/b,=x", 1400, "key=value"),
        ("foo,mode:xx", 1405, "'xx'"),
        ("publish:", 1400, "no name"),
        ("%23!::m=publish", 1400, "no name"),
        ("%23!::r=a%2Fb,m=bidirectional", 1405, "'bidirectional'"),
        ("http://host/app/stream", 1400, "scheme"),
        ("live/", 1400, "no name"),
    ],
)
def test_what_asks_for_nothing_is_refused_with_libsrts_code(
    text: str, code: int, reason: str
) -> None:
    with pytest.raises(StreamIdError) as caught:
        _read(text)
    assert caught.value.code == code
    assert reason in caught.value.reason


def test_a_caller_without_stream_id_publishes_what_is_configured() -> None:
    request = _read("", "studio/one")
    assert (request.mode, request.app, request.name) == ("publish", "studio", "one")


@given(st.sampled_from(["", "%23!", "%23!::r=", "#!::"]), st.text(max_size=512))
def test_any_text_is_read_or_refused(start: str, rest: str) -> None:
    try:
        request = _read(start + rest)
    except StreamIdError:
        return
    assert request.name
