"""Records on the wire, epochs, replays, and records ahead of their keys."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sansmedia.dtls import CipherSuite, Limits
from sansmedia.dtls.constants import ContentType
from sansmedia.dtls.protection import make_protection
from sansmedia.dtls.record_wire import Record, decode_record, encode_record
from sansmedia.dtls.records import RecordLayer
from sansmedia.dtls.replay import ReplayWindow
from sansmedia.sansio import ProtocolError, Reader

_DATA = ContentType.APPLICATION_DATA
_SUITE = CipherSuite.ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
_KEY, _IV = bytes(16), bytes(4)


def _protected() -> tuple[RecordLayer, RecordLayer]:
    """Return two layers that share the keys of epoch 1: a writer and a reader."""
    writer, reader = RecordLayer(Limits()), RecordLayer(Limits())
    writer.install_write(1, make_protection(_SUITE, _KEY, _IV))
    reader.install_read(1, make_protection(_SUITE, _KEY, _IV))
    return writer, reader


def _sealed(writer: RecordLayer, content: bytes) -> Record:
    return decode_record(Reader(writer.seal(_DATA, content, 1)))


_records = st.builds(
    Record,
    st.sampled_from(list(ContentType)),
    st.integers(0xFE00, 0xFEFF),
    st.integers(0, 0xFFFF),
    st.integers(0, (1 << 48) - 1),
    st.binary(max_size=100),
)


@given(_records)
def test_a_record_comes_back_as_it_was(record: Record) -> None:
    """RFC 6347 §4.1."""
    assert decode_record(Reader(encode_record(record))) == record


@pytest.mark.parametrize(
    "octets",
    [
        "",
        "16fefd",
        "19fefd0000000000000000000100",
        "16030300000000000000000001000000",
        "16fefd000000000000000000020000"[:-2],
        "16fefd000000000000000048010000",
        "2ffefd0000000000000000000100",
    ],
)
def test_what_is_no_record_is_refused(octets: str) -> None:
    """RFC 6347 §4.1; RFC 5246 §6.2.3 on lengths."""
    with pytest.raises(ProtocolError):
        decode_record(Reader(bytes.fromhex(octets)))


def test_a_record_is_taken_once() -> None:
    """RFC 6347 §4.1.2.6."""
    writer, reader = _protected()
    record = _sealed(writer, b"one")
    assert reader.open(record) == b"one"
    assert reader.open(record) is None
    assert reader.counts.replayed == 1


def test_a_record_that_is_too_late_is_taken_for_a_replay() -> None:
    writer, reader = _protected()
    records = [_sealed(writer, b"%d" % number) for number in range(66)]
    assert reader.open(records[65]) == b"65"
    assert reader.open(records[2]) == b"2"
    assert reader.open(records[1]) is None
    assert reader.counts.replayed == 1


def test_a_forged_record_does_not_move_the_window() -> None:
    """RFC 6347 §4.1.2.6: only what is authentic counts."""
    writer, reader = _protected()
    record = _sealed(writer, b"one")
    forged = Record(_DATA, 0xFEFD, 1, 1 << 40, record.fragment)
    assert reader.open(forged) is None
    assert reader.counts.unauthentic == 1
    assert reader.open(record) == b"one"


@given(st.lists(st.integers(0, 300), max_size=200))
def test_the_window_knows_the_last_64_numbers(numbers: list[int]) -> None:
    window = ReplayWindow()
    seen: set[int] = set()
    for number in numbers:
        highest = max(seen, default=-1)
        is_fresh = number > highest - 64 and number not in seen
        assert window.is_fresh(number) == is_fresh
        if is_fresh:
            window.mark(number)
            seen.add(number)


def test_records_ahead_of_their_keys_wait_for_them() -> None:
    """RFC 6347 §4.1: the next epoch may overtake the last message of this one."""
    writer, _ = _protected()
    reader = RecordLayer(Limits())
    record = _sealed(writer, b"early")
    assert reader.open(record) is None
    assert reader.take_early() == []
    assert reader.pending_bytes > len(record.fragment)
    reader.install_read(1, make_protection(_SUITE, _KEY, _IV))
    assert reader.take_early() == [record]
    assert reader.pending_bytes == 0
    assert reader.open(record) == b"early"


def test_few_records_wait_and_none_of_later_epochs() -> None:
    reader = RecordLayer(Limits(early_records=2, early_bytes=1000))
    for epoch, size in ((1, 100), (2, 1), (1, 900), (1, 1), (1, 1)):
        assert reader.open(Record(_DATA, 0xFEFD, epoch, 0, bytes(size))) is None
    assert reader.counts.dropped == 3
    reader.end_handshake()
    assert reader.pending_bytes == 0
    assert reader.open(Record(_DATA, 0xFEFD, 1, 0, b"")) is None
    assert reader.counts.dropped == 4


def test_other_versions_are_dropped_once_there_are_keys() -> None:
    """RFC 6347 §4.1."""
    writer, reader = _protected()
    record = _sealed(writer, b"one")
    record.version = 0xFEFF
    assert reader.open(record) is None
    assert reader.counts.malformed == 1


def test_plaintext_beyond_the_largest_record_is_dropped() -> None:
    """RFC 5246 §6.2.1."""
    writer, reader = _protected()
    assert reader.open(_sealed(writer, bytes(16_385))) is None
    plain = Record(ContentType.HANDSHAKE, 0xFEFD, 0, 0, bytes(16_385))
    assert reader.open(plain) is None
    assert reader.counts.malformed == 2
    assert reader.open(_sealed(writer, bytes(16_384))) == bytes(16_384)


def test_a_sequence_number_from_a_hello_cannot_run_out() -> None:
    """RFC 6347 §4.2.1: the peer names the first number of ours."""
    layer = RecordLayer(Limits())
    for asked, given_number in ((5, 5), (3, 6), ((1 << 48) - 1, 7)):
        layer.begin_sequence(asked)
        sealed = layer.seal(ContentType.HANDSHAKE, b"", 0)
        assert decode_record(Reader(sealed)).sequence == given_number
