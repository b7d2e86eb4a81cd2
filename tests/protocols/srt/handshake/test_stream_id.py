"""Stream identifiers: SRT draft-01 §3.2.1.3,
libsrt access-control.md §General Syntax, §Standard Keys."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sansmedia.sansio import ProtocolError, UsageError
from sansmedia.srt.stream_id import (
    AccessMode,
    AccessRequest,
    decode_stream_id,
    encode_stream_id,
)

_OWN_KEY = st.from_regex(r"[a-z]{2,4}_[a-z]", fullmatch=True)
_VALUE = st.text(st.characters(exclude_characters=",\0", codec="utf-8"), max_size=20)


def test_the_examples_of_the_specification_are_taken_apart() -> None:
    assert decode_stream_id("#!::u=admin,r=bluesbrothers1_hi") == AccessRequest(
        user="admin", resource="bluesbrothers1_hi"
    )
    assert decode_stream_id(
        "#!::u=johnny,t=file,m=publish,r=results.csv"
    ) == AccessRequest(
        user="johnny", type="file", mode=AccessMode.PUBLISH, resource="results.csv"
    )


def test_keys_of_programs_and_reserved_ones_are_kept() -> None:
    request = decode_stream_id("#!::r=live/x,acme_token=a=b,q=1,h=host,s=once")
    assert request is not None
    assert request.others == {"acme_token": "a=b", "q": "1"}
    assert (request.host, request.session) == ("host", "once")


def test_reserved_keys_are_refused_if_asked_for() -> None:
    with pytest.raises(ProtocolError) as caught:
        decode_stream_id("#!::r=x,q=1", refuse_unknown=True)
    assert caught.value.code == "unknown_key"
    assert decode_stream_id("#!::r=x,acme_q=1", refuse_unknown=True) is not None


@pytest.mark.parametrize("text", ["", "live/x", "publish:live/x", "#", "!::r=x"])
def test_free_text_is_no_access_request(text: str) -> None:
    assert decode_stream_id(text) is None


def test_the_form_in_braces_is_read() -> None:
    assert decode_stream_id("#!:{r=x,m=publish}") == AccessRequest(
        resource="x", mode=AccessMode.PUBLISH
    )


def test_nothing_but_the_mark_asks_for_nothing() -> None:
    assert decode_stream_id("#!::") == AccessRequest()
    assert decode_stream_id("#!::m=,t=") == AccessRequest()


@pytest.mark.parametrize(
    "text",
    [
        "#!",
        "#!x",
        "#!:",
        "#!:r=x",
        "#!::r",
        "#!::=x",
        "#!::r=x,",
        "#!::r=x,r=y",
        "#!::m=steal",
        "#!:{r=x",
        "#!:{r=x}}",
        "#!:{r={a=b}}",
    ],
)
def test_what_only_begins_as_the_convention_is_refused(text: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        decode_stream_id(text)
    assert caught.value.code == "stream_id"


@given(
    st.builds(
        AccessRequest,
        resource=_VALUE,
        mode=st.sampled_from(AccessMode),
        host=_VALUE,
        user=_VALUE,
        session=_VALUE,
        type=st.sampled_from(["stream", "file", "auth", "acme"]),
        others=st.dictionaries(
            st.from_regex(r"[a-z]{2,4}_[a-z]", fullmatch=True), _VALUE
        ),
    )
)
@settings(max_examples=30)
def test_what_is_written_is_read_again(request: AccessRequest) -> None:
    try:
        text = encode_stream_id(request)
    except UsageError:
        assert len(str(request).encode()) > 512
        return
    assert decode_stream_id(text) == request


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    for begin in ("", "#!::", "#!:{"):
        try:
            request = decode_stream_id(begin + text)
        except ProtocolError:
            continue
        assert request is None or begin or text.startswith("#!")


@pytest.mark.parametrize(
    "request_",
    [
        AccessRequest(resource="a,b"),
        AccessRequest(resource="a\0"),
        AccessRequest(resource="x" * 512),
        AccessRequest(others={"r": "x"}),
        AccessRequest(others={"a=b": "x"}),
        AccessRequest(others={"": "x"}),
    ],
)
def test_what_the_form_cannot_carry_is_not_written(request_: AccessRequest) -> None:
    with pytest.raises(UsageError):
        encode_stream_id(request_)
