"""Candidates in SDP's form, their priorities, and routing by the first octets.

RFC 8445 §5.1, §5.1.1.
"""

from __future__ import annotations

import contextlib
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sansmedia.ice import (
    Candidate,
    CandidateType,
    TcpType,
    candidate_priority,
    decode_candidate,
    encode_candidate,
    host_candidate,
    local_ufrag_of,
    transaction_prefix_of,
)
from sansmedia.sansio import ProtocolError, UsageError
from sansmedia.stun import (
    AttributeType,
    Message,
    MessageClass,
    binding_request,
    encode_message,
)

# As Chromium 156, Firefox 153 and aioice write them.
_WRITTEN = {
    "chromium": (
        "candidate:3594320107 1 udp 2122265343 fd00::2 42911 typ host generation 0 "
        "network-id 2"
    ),
    "chromium tcp": (
        "candidate:3824217503 1 tcp 1518214911 192.0.2.2 9 typ host tcptype active "
        "generation 0 network-id 1"
    ),
    "firefox": "candidate:0 1 UDP 2122187007 192.0.2.2 59019 typ host",
    "firefox tcp": "candidate:3 2 TCP 2105524478 fd00::2 9 typ host tcptype active",
    "srflx": (
        "842163049 1 udp 1677729535 203.0.113.7 46154 typ srflx raddr 10.0.0.2 "
        "rport 46154 generation 0 ufrag EEtu network-cost 999"
    ),
    "mdns": (
        "1 1 UDP 2122252543 9b36eaac-bb2e-49bb-bb78-21c41c499900.local 44323 typ host"
    ),
}


@pytest.mark.parametrize("name", _WRITTEN)
def test_what_others_write_is_read_and_written_again(name: str) -> None:
    """RFC 8839 §5.1."""
    text = _WRITTEN[name]
    candidate = decode_candidate(text)
    again = encode_candidate(candidate)
    assert again.lower() == text.removeprefix("candidate:").lower()
    assert decode_candidate(again) == candidate


def test_every_part_of_a_candidate_is_read() -> None:
    candidate = decode_candidate(_WRITTEN["srflx"])
    assert candidate == Candidate(
        foundation="842163049",
        component=1,
        transport="udp",
        priority=1677729535,
        host="203.0.113.7",
        port=46154,
        type=CandidateType.SERVER_REFLEXIVE,
        related=("10.0.0.2", 46154),
        extensions=(("generation", "0"), ("ufrag", "EEtu"), ("network-cost", "999")),
    )
    assert candidate.extension("ufrag") == "EEtu"
    assert candidate.extension("other") is None
    tcp = decode_candidate(_WRITTEN["chromium tcp"])
    assert (tcp.transport, tcp.tcp_type) == ("tcp", TcpType.ACTIVE)
    assert tcp.extensions == (("generation", "0"), ("network-id", "1"))


def test_the_words_of_the_grammar_have_no_case() -> None:
    """RFC 8839 §5.1: strings of ABNF match in any case."""
    text = "1 1 TCP 1 2001:DB8:0::1 9 TYP HOST RADDR 192.0.2.1 RPORT 1 TcpType PASSIVE"
    assert decode_candidate(text) == Candidate(
        "1",
        1,
        "tcp",
        1,
        "2001:db8::1",
        9,
        CandidateType.HOST,
        ("192.0.2.1", 1),
        TcpType.PASSIVE,
    )


def test_a_related_address_may_lack_its_port() -> None:
    candidate = decode_candidate("1 1 udp 1 192.0.2.1 9 typ srflx raddr 0.0.0.0 x y")
    assert candidate.related == ("0.0.0.0", 0)
    assert candidate.extensions == (("x", "y"),)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "malformed"),
        ("candidate:", "malformed"),
        ("1 1 udp 1 192.0.2.1 9 typ", "malformed"),
        ("1 1 udp 1 192.0.2.1 9 kind host", "malformed"),
        ("1 1 udp 1 192.0.2.1 9 typ host generation", "malformed"),
        ("1  1 udp 1 192.0.2.1 9 typ host", "malformed"),
        ("1 1 udp 1 192.0.2.1 9 typ host  x", "malformed"),
        ("a:b 1 udp 1 192.0.2.1 9 typ host", "malformed"),
        ("x" * 33 + " 1 udp 1 192.0.2.1 9 typ host", "malformed"),
        ("1 0 udp 1 192.0.2.1 9 typ host", "malformed"),
        ("1 257 udp 1 192.0.2.1 9 typ host", "malformed"),
        ("1 1 udp 0 192.0.2.1 9 typ host", "malformed"),
        ("1 1 udp 2147483648 192.0.2.1 9 typ host", "malformed"),
        ("1 1 udp -1 192.0.2.1 9 typ host", "malformed"),
        ("1 1 udp \u0661 192.0.2.1 9 typ host", "malformed"),
        ("1 1 udp 1 192.0.2.1 65536 typ host", "malformed"),
        ("1 1 udp 1 bad/host 9 typ host", "malformed"),
        ("1 1 tcp 1 192.0.2.1 9 typ host", "malformed"),
        ("1 1 tcp 1 192.0.2.1 9 typ host tcptype lazy", "malformed"),
        ("1 1 udp 1 192.0.2.1 9 typ host" + " x y" * 33, "malformed"),
        ("1 1 udp 1 192.0.2.1 9 typ host" + " x y" * 2000, "limit"),
        ("1 1 udp 1 192.0.2.1 9 typ magic", "unsupported"),
    ],
)
def test_what_the_grammar_does_not_allow_is_refused(text: str, code: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        decode_candidate(text)
    assert caught.value.code == code


@given(st.text(max_size=200))
def test_any_text_is_a_candidate_or_a_protocol_error(text: str) -> None:
    with contextlib.suppress(ProtocolError):
        candidate = decode_candidate(text)
        assert decode_candidate(encode_candidate(candidate)) == candidate


_tokens = st.from_regex(re.compile(r"[a-z][a-z0-9-]{0,10}"), fullmatch=True).filter(
    lambda token: token not in ("raddr", "rport", "tcptype")
)
_addresses = st.tuples(st.ip_addresses().map(str), st.integers(0, 0xFFFF))


@given(
    st.builds(
        Candidate,
        foundation=st.from_regex(re.compile(r"[A-Za-z0-9+/]{1,32}"), fullmatch=True),
        component=st.integers(1, 256),
        transport=st.just("udp"),
        priority=st.integers(1, (1 << 31) - 1),
        host=st.ip_addresses().map(str),
        port=st.integers(0, 0xFFFF),
        type=st.sampled_from(CandidateType),
        related=st.none() | _addresses,
        tcp_type=st.none(),
        extensions=st.lists(st.tuples(_tokens, _tokens), max_size=4).map(tuple),
    )
)
@settings(max_examples=40)
def test_candidates_are_read_as_written(candidate: Candidate) -> None:
    assert decode_candidate(encode_candidate(candidate)) == candidate


def test_priorities_are_those_of_the_formula() -> None:
    """RFC 8445 §5.1.2.1, §5.1.2.2, RFC 6544 §4.2."""
    # What Chromium and Firefox write for their first host candidate.
    assert candidate_priority(CandidateType.HOST, local_preference=32542) == 2122260223
    assert candidate_priority(CandidateType.HOST) == 2130706431
    assert candidate_priority(CandidateType.RELAYED, local_preference=0) == 255
    # Chromium's active candidate: direction 6, other preference 8191.
    active = candidate_priority(
        CandidateType.HOST, transport="tcp", tcp_type=TcpType.ACTIVE
    )
    assert active == 90 << 24 | (6 << 13 | 8191) << 8 | 255
    passive = candidate_priority(
        CandidateType.HOST, transport="tcp", tcp_type=TcpType.PASSIVE
    )
    assert passive < active < candidate_priority(CandidateType.SERVER_REFLEXIVE)
    with pytest.raises(UsageError):
        candidate_priority(CandidateType.HOST, local_preference=1 << 16)


def test_host_candidates_of_one_address_have_one_foundation() -> None:
    """RFC 8445 §5.1.1.3."""
    one, two = (host_candidate(("192.0.2.1", port)) for port in (1, 2))
    assert one.foundation == two.foundation
    other = host_candidate(("192.0.2.2", 1))
    tcp = host_candidate(("192.0.2.1", 1), tcp_type=TcpType.PASSIVE)
    assert len({one.foundation, other.foundation, tcp.foundation}) == 3


def test_an_active_candidate_has_the_discard_port() -> None:
    """RFC 6544 §4.5."""
    active = host_candidate(("192.0.2.1", 0), tcp_type=TcpType.ACTIVE)
    assert (active.port, active.transport) == (9, "tcp")
    for wrong in (("192.0.2.1", 0), ("example.org", 1), ("192.0.2.1", 65536)):
        with pytest.raises(UsageError):
            host_candidate(wrong)


# --- whose datagram is it -------------------------------------------------------------

_ID = b"ours" + bytes(8)


def _message(kind: MessageClass, *attributes: tuple[int, bytes]) -> bytes:
    return encode_message(Message(kind, 1, _ID, list(attributes)), key=b"k")


def test_a_request_is_for_the_ufrag_before_the_colon() -> None:
    """RFC 8445 §7.2.2."""
    username = (int(AttributeType.USERNAME), b"ours:theirs")
    priority = (int(AttributeType.PRIORITY), bytes(4))
    assert local_ufrag_of(_message(MessageClass.REQUEST, username)) == "ours"
    late = _message(MessageClass.REQUEST, *[priority] * 15, username)
    assert local_ufrag_of(late) == "ours"
    too_late = _message(MessageClass.REQUEST, *[priority] * 16, username)
    assert local_ufrag_of(too_late) is None


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"\x16\xfe\xfd" + bytes(40),
        b"\x80" + bytes(40),
        _message(MessageClass.REQUEST),
        _message(MessageClass.REQUEST, (6, b"ours")),
        _message(MessageClass.REQUEST, (6, b"\xff:x")),
        _message(MessageClass.INDICATION, (6, b"ours:theirs")),
        _message(MessageClass.SUCCESS, (6, b"ours:theirs")),
        _message(MessageClass.ERROR, (6, b"ours:theirs")),
    ],
)
def test_what_is_no_request_with_a_user_name_is_for_nobody(octets: bytes) -> None:
    assert local_ufrag_of(octets) is None


def test_an_answer_is_for_who_has_the_prefix() -> None:
    assert transaction_prefix_of(_message(MessageClass.SUCCESS)) == b"ours"
    assert transaction_prefix_of(_message(MessageClass.ERROR)) == b"ours"
    for kind in (MessageClass.REQUEST, MessageClass.INDICATION):
        assert transaction_prefix_of(_message(kind)) is None
    assert transaction_prefix_of(b"\x80" + bytes(40)) is None


@given(st.binary(max_size=100))
def test_routing_looks_at_any_octets(octets: bytes) -> None:
    framed = encode_message(binding_request(_ID))[:20] + octets
    for data in (octets, framed):
        ufrag = local_ufrag_of(data)
        assert ufrag is None or ufrag.isascii()
        prefix = transaction_prefix_of(data)
        assert prefix is None or len(prefix) == 4


def test_a_user_name_that_passes_the_end_is_cut() -> None:
    octets = _message(MessageClass.REQUEST, (6, b"ours:theirs"))
    broken = octets[:22] + b"\xff\xff" + octets[24:]
    assert local_ufrag_of(broken) == "ours"
