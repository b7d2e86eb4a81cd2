"""Trickled candidates: what clients send, and what is written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sansmedia.sansio import ProtocolError, UsageError
from sansmedia.sdp import (
    Attribute,
    Capabilities,
    Fragment,
    FragmentSection,
    Group,
    Limits,
    SessionDescription,
    Transport,
    decode_fragment,
    decode_session,
    encode_fragment,
    make_answer,
    make_fragment,
)

_PWD = "P2uYro0UCOQ4zxjKXaWCBui1"
_CANDIDATE = "1387637174 1 udp 2122260223 192.0.2.1 61764 typ host generation 0"

# The shape of RFC 9725 §4.3.2's example.
_TRICKLE = f"""\
a=group:BUNDLE 0 1
m=audio 9 UDP/TLS/RTP/SAVPF 111
a=mid:0
a=ice-ufrag:EsAw
a=ice-pwd:{_PWD}
a=candidate:{_CANDIDATE}
a=end-of-candidates
"""
# Credentials in the head, as GStreamer and the older browser clients write it.
_HEAD_CREDENTIALS = f"""\
a=ice-ufrag:EsAw
a=ice-pwd:{_PWD}
m=audio 9 RTP/AVP 0
a=mid:0
a=candidate:{_CANDIDATE}
a=end-of-candidates
"""
_NO_MEDIA_LINE = f"""\
a=ice-ufrag:EsAw
a=ice-pwd:{_PWD}
a=mid:0
a=candidate:{_CANDIDATE}
a=end-of-candidates
"""
_ALL_IN_HEAD = f"""\
a=ice-ufrag:EsAw
a=ice-pwd:{_PWD}
a=candidate:{_CANDIDATE}
a=end-of-candidates
"""
_WHOLE = f"""\
v=0
o=- 1 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0
m=audio 9 UDP/TLS/RTP/SAVPF 111
c=IN IP4 0.0.0.0
a=mid:0
a=rtpmap:111 opus/48000/2
a=ice-ufrag:EsAw
a=ice-pwd:{_PWD}
a=candidate:{_CANDIDATE}
a=end-of-candidates
"""
_FORMS = [_TRICKLE, _HEAD_CREDENTIALS, _NO_MEDIA_LINE, _ALL_IN_HEAD, _WHOLE]


@pytest.mark.parametrize("text", _FORMS)
def test_all_forms_of_clients_say_the_same(text: str) -> None:
    """RFC 8840 §9, §9.2."""
    for form in (text, text.replace("\n", "\r\n"), text.rstrip()):
        fragment = decode_fragment(form)
        assert fragment.credentials == ("EsAw", _PWD)
        assert fragment.all_candidates == (_CANDIDATE,)
        assert fragment.has_ended
        assert decode_fragment(encode_fragment(fragment)) == fragment


def test_a_fragment_says_where_its_candidates_belong() -> None:
    fragment = decode_fragment(_TRICKLE)
    assert fragment == Fragment(
        groups=(Group("BUNDLE", ("0", "1")),),
        sections=(
            FragmentSection(
                kind="audio",
                formats=("111",),
                mid="0",
                ice_ufrag="EsAw",
                ice_pwd=_PWD,
                candidates=(_CANDIDATE,),
                end_of_candidates=True,
            ),
        ),
    )
    assert encode_fragment(fragment).replace("\r\n", "\n") == _TRICKLE


def test_each_mid_begins_a_section_where_there_are_no_media_lines() -> None:
    fragment = decode_fragment("a=mid:0\na=candidate:1\na=mid:1\na=candidate:2\na=x:y")
    assert [(one.mid, one.candidates) for one in fragment.sections] == [
        ("0", ("1",)),
        ("1", ("2",)),
    ]
    assert fragment.sections[1].others == (Attribute("x", "y"),)
    assert fragment.all_candidates == ("1", "2")


def test_an_empty_fragment_says_nothing() -> None:
    assert decode_fragment("") == Fragment()
    assert decode_fragment("").credentials == (None, None)
    assert not decode_fragment("").has_ended


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("hello", "malformed"),
        ("m=audio", "malformed"),
        ("e=x@example.org", "malformed"),
        ("a=candidate:", "malformed"),
        ("a=ice-pwd:short", "malformed"),
        ("m=audio 9 RTP/AVP 0\na=mid:0\na=mid:1", "contradiction"),
        ("a=ice-ufrag:abcd\nm=audio 9 RTP/AVP 0\na=ice-ufrag:abce", "contradiction"),
    ],
)
def test_what_has_no_sense_is_refused(text: str, code: str) -> None:
    """RFC 8840 §9.2."""
    with pytest.raises(ProtocolError) as caught:
        decode_fragment(text)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("text", "limits"),
    [
        ("a=candidate:1\n" * 3, Limits(candidates=2)),
        ("a=mid:0\na=mid:1\n", Limits(media_sections=1)),
        ("a=x\n" * 3, Limits(section_attributes=2)),
        (_TRICKLE, Limits(description_bytes=100)),
    ],
)
def test_what_costs_too_much_is_refused(text: str, limits: Limits) -> None:
    with pytest.raises(ProtocolError) as caught:
        decode_fragment(text, limits)
    assert caught.value.code == "limit"


def test_our_candidates_go_into_the_first_section_of_the_bundle(
    offer_text: str,
) -> None:
    """RFC 8840 §4.4; RFC 9725 §4.3.2."""
    offer = decode_session(offer_text)
    fragment = make_fragment(offer, [_CANDIDATE], end_of_candidates=True)
    [section] = fragment.sections
    assert (section.kind, section.mid, section.formats) == ("audio", "a", ("111", "0"))
    assert fragment.ice_options == ("trickle",)
    assert fragment.credentials == ("abcd", "0123456789abcdefghijkl")
    assert section.candidates == (_CANDIDATE,)
    assert decode_fragment(encode_fragment(fragment)) == fragment


def test_a_restart_has_credentials_of_its_own(offer_text: str) -> None:
    """RFC 9725 §4.3.3: the other ICE attributes stay as they were."""
    offer = decode_session(offer_text)
    fragment = make_fragment(offer, [], credentials=("newu", _PWD))
    assert fragment.credentials == ("newu", _PWD)
    assert fragment.ice_options == ("trickle",)
    assert not fragment.has_ended


def test_an_answer_that_is_lite_says_so_in_its_fragments(
    offer_text: str, ours: Transport, receiver: Capabilities
) -> None:
    """RFC 9725 §4.3.3."""
    lite = Transport(
        ice_ufrag=ours.ice_ufrag,
        ice_pwd=ours.ice_pwd,
        fingerprints=ours.fingerprints,
        ice_lite=True,
    )
    answer = make_answer(
        decode_session(offer_text),
        capabilities=receiver,
        transport=lite,
        session_id=1,
    ).answer
    assert make_fragment(answer, []).ice_lite


def test_a_description_without_sections_makes_no_fragment() -> None:
    with pytest.raises(UsageError):
        make_fragment(SessionDescription(), [])


@given(st.lists(st.sampled_from([*_TRICKLE.splitlines(), "a=mid:1", "a=x", ""])))
def test_any_lines_are_decoded_or_refused(lines: list[str]) -> None:
    try:
        fragment = decode_fragment("\n".join(lines))
    except ProtocolError:
        return
    assert decode_fragment(encode_fragment(fragment)) == fragment
