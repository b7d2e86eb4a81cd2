"""Messages come together whatever happened to their fragments."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sansmedia.dtls import Limits
from sansmedia.dtls.constants import HandshakeType
from sansmedia.dtls.fragments import (
    Fragment,
    Message,
    Reassembler,
    Reception,
    decode_fragment,
    encode_fragment,
    encode_message,
)
from sansmedia.sansio import ProtocolError, Reader
from sansmedia.sansio.testing import SeededDice

_HELLO = HandshakeType.CLIENT_HELLO
_CERTIFICATE = HandshakeType.CERTIFICATE


def _cut(body: bytes, *, sequence: int = 0, size: int, step: int) -> list[Fragment]:
    """Cut into fragments of ``size`` octets at every ``step``: they may overlap."""
    return [
        Fragment(_CERTIFICATE, len(body), sequence, at, body[at : at + size])
        for at in range(0, len(body), step)
    ]


@given(st.integers(0, 255), st.integers(0, 0xFFFF), st.binary(max_size=50), st.data())
def test_a_fragment_comes_back_as_it_was(
    kind: int, sequence: int, body: bytes, data: st.DataObject
) -> None:
    """RFC 6347 §4.2.2."""
    offset = data.draw(st.integers(0, 1000))
    length = offset + len(body) + data.draw(st.integers(0, 1000))
    fragment = Fragment(kind, length, sequence, offset, body)
    assert decode_fragment(Reader(encode_fragment(fragment))) == fragment


def test_a_fragment_beyond_its_message_is_refused() -> None:
    """RFC 6347 §4.2.3."""
    octets = bytes.fromhex("0b000003000000000200000261620000")
    with pytest.raises(ProtocolError):
        decode_fragment(Reader(octets))


def test_the_transcript_has_whole_messages() -> None:
    """RFC 6347 §4.2.6: as if each had come in one fragment."""
    octets = encode_message(_CERTIFICATE, 3, b"abc")
    assert octets == bytes.fromhex("0b0000030003000000000003616263")


@given(
    st.binary(min_size=1, max_size=300),
    st.integers(1, 60),
    st.integers(0, 60),
    st.randoms(use_true_random=False),
)
def test_fragments_in_any_order_doubled_and_overlapping_give_the_message(
    body: bytes, step: int, overlap: int, order: object
) -> None:
    """RFC 6347 §4.2.3."""
    fragments = _cut(body, size=step + overlap, step=step) * 2
    order.shuffle(fragments)  # type: ignore[attr-defined] # hypothesis's Random
    reassembler = Reassembler(Limits(message_fragments=300))
    message = None
    for fragment in fragments:
        reassembler.feed(fragment, 0)
        message = message or reassembler.next_message()
    assert message == Message(_CERTIFICATE, 0, body, 0)
    assert reassembler.pending_bytes == 0
    assert reassembler.next_sequence == 1


def test_messages_out_of_order_are_given_out_in_order() -> None:
    reassembler = Reassembler(Limits())
    for sequence in (2, 1, 0):
        body = b"%d" % sequence
        assert reassembler.next_message() is None
        fragment = Fragment(_CERTIFICATE, 1, sequence, 0, body)
        assert reassembler.feed(fragment, 0) is Reception.TAKEN
    bodies = [getattr(reassembler.next_message(), "body", None) for _ in range(4)]
    assert bodies == [b"0", b"1", b"2", None]


def test_an_empty_message_is_whole_at_once() -> None:
    """ServerHelloDone, RFC 5246 §7.4.5."""
    reassembler = Reassembler(Limits())
    reassembler.feed(Fragment(14, 0, 0, 0, b""), 0)
    assert reassembler.next_message() == Message(14, 0, b"", 0)


def test_what_was_complete_before_is_a_repetition() -> None:
    reassembler = Reassembler(Limits())
    fragment = Fragment(_HELLO, 2, 0, 0, b"ab")
    reassembler.feed(fragment, 0)
    reassembler.next_message()
    assert reassembler.feed(fragment, 0) is Reception.REPEATED


def test_a_fragment_that_contradicts_the_first_is_dropped() -> None:
    reassembler = Reassembler(Limits())
    assert reassembler.feed(Fragment(_HELLO, 4, 0, 0, b"ab"), 0) is Reception.TAKEN
    for other in (Fragment(_HELLO, 5, 0, 2, b"cd"), Fragment(2, 4, 0, 2, b"cd")):
        assert reassembler.feed(other, 0) is Reception.DROPPED
    reassembler.feed(Fragment(_HELLO, 4, 0, 2, b"cd"), 0)
    assert reassembler.next_message() == Message(_HELLO, 0, b"abcd", 0)


def test_what_keys_vouch_for_takes_the_place_of_what_anybody_could_send() -> None:
    reassembler = Reassembler(Limits())
    reassembler.feed(Fragment(20, 12, 0, 0, b"forged"), 0)
    reassembler.feed(Fragment(20, 12, 0, 0, b"Finished"), 1)
    assert reassembler.feed(Fragment(20, 12, 0, 8, b"more"), 0) is Reception.DROPPED
    reassembler.feed(Fragment(20, 12, 0, 8, b"true"), 1)
    assert reassembler.next_message() == Message(20, 0, b"Finishedtrue", 1)


def test_a_hello_may_come_in_32_fragments_and_not_in_33() -> None:
    reassembler = Reassembler(Limits())
    for at in range(32):
        reassembler.feed(Fragment(_HELLO, 60, 0, at, b"x"), 0)
        reassembler.feed(Fragment(_HELLO, 60, 0, at, b"x"), 0)  # costs nothing
    with pytest.raises(ProtocolError) as caught:
        reassembler.feed(Fragment(_HELLO, 60, 0, 32, b"x"), 0)
    assert caught.value.code == "limit"


@pytest.mark.parametrize(("kind", "size"), [(_HELLO, 8193), (_CERTIFICATE, 16_385)])
def test_a_message_that_declares_too_much_is_refused_before_it_costs_memory(
    kind: HandshakeType, size: int
) -> None:
    reassembler = Reassembler(Limits())
    early = Fragment(kind, size, 1, 0, b"x")
    assert reassembler.feed(early, 0) is Reception.DROPPED
    with pytest.raises(ProtocolError) as caught:
        reassembler.feed(Fragment(kind, size, 0, 0, b"x"), 0)
    assert caught.value.code == "limit"
    assert reassembler.pending_bytes == 0


def test_few_messages_may_come_early_and_they_give_way_to_the_one_that_is_due() -> None:
    reassembler = Reassembler(Limits(reassembly_bytes=1000, early_messages=4))
    for sequence, size, expected in (
        (4, 1, Reception.DROPPED),
        (3, 400, Reception.TAKEN),
        (2, 400, Reception.TAKEN),
        (1, 400, Reception.DROPPED),
        (0, 600, Reception.TAKEN),
    ):
        fragment = Fragment(_CERTIFICATE, size, sequence, 0, b"x")
        assert reassembler.feed(fragment, 0) is expected
    assert reassembler.pending_bytes == 1000


def test_whatever_comes_memory_stays_within_the_limit() -> None:
    dice = SeededDice(4)
    limits = Limits()
    reassembler = Reassembler(limits)
    codes = set()
    for number in range(5000):
        if number % 50 == 0:
            reassembler = Reassembler(limits)
        length = dice.below(dice.choice((40, 20_000)))
        offset = dice.below(length + 1)
        body = bytes(dice.below(min(100, length - offset) + 1))
        sequence = max(0, reassembler.next_sequence + dice.below(12) - 1)
        fragment = Fragment(11, length, sequence, offset, body)
        try:
            reassembler.feed(fragment, dice.below(2))
        except ProtocolError as error:
            codes.add(error.code)
        assert 0 <= reassembler.pending_bytes <= limits.reassembly_bytes
        reassembler.next_message()
    assert codes == {"limit"}
    reassembler.clear()
    assert reassembler.pending_bytes == 0
