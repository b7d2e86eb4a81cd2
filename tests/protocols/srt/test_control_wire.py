"""Fields of acknowledgements, loss reports and drop requests."""

from __future__ import annotations

import tomllib
from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sansmedia.sansio import ProtocolError
from sansmedia.srt.ack_wire import Acknowledgement, decode_ack, encode_ack
from sansmedia.srt.constants import ControlType
from sansmedia.srt.loss_wire import (
    decode_drop_request,
    decode_losses,
    encode_drop_request,
    encode_losses,
)
from sansmedia.srt.packet_wire import ControlPacket, decode_packet
from sansmedia.srt.sequence_ranges import SequenceRanges

_DATA = Path(__file__).resolve().parents[2] / "data" / "srt"
_SEQUENCES = st.integers(0, (1 << 31) - 1)


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("0000000a", Acknowledgement(10)),
        (
            "0000000a 000186a0 0000c350 00002000",
            Acknowledgement(10, 100_000, 50_000, 8192),
        ),
        (
            "0000000a 000186a0 0000c350 00002000 00000064 000003e8 00020000",
            Acknowledgement(10, 100_000, 50_000, 8192, 100, 1000, 131_072),
        ),
    ],
    ids=["light", "small", "full"],
)
def test_acknowledgements_of_each_size_read_and_write(
    field: str, expected: Acknowledgement
) -> None:
    """SRT draft-01 §3.2.4."""
    octets = bytes.fromhex(field)
    assert decode_ack(octets) == expected
    assert encode_ack(expected) == octets


def test_an_acknowledgement_of_libsrt_1_0_2_has_a_field_more() -> None:
    octets = encode_ack(Acknowledgement(1, 2, 3, 4, 5, 6, 7)) + bytes(4)
    assert decode_ack(octets).receiving_bytes == 7


@pytest.mark.parametrize("field", ["", "000000", "80000000"])
def test_what_is_no_acknowledgement_is_refused(field: str) -> None:
    with pytest.raises(ProtocolError):
        decode_ack(bytes.fromhex(field))


def test_a_loss_report_mixes_numbers_and_ranges() -> None:
    """SRT draft-01 §3.2.5 and appendix A."""
    field = bytes.fromhex("00000005 80000007 00000009 0000000c")
    assert decode_losses(field, longest=100) == ([(5, 5), (7, 9), (12, 12)], 0)
    assert encode_losses([(5, 5), (7, 9), (12, 12)], size=100) == field


def test_a_range_may_pass_the_end_of_the_numbers() -> None:
    field = encode_losses([((1 << 31) - 2, (1 << 31) + 1)], size=100)
    assert decode_losses(field, longest=100) == ([((1 << 31) - 2, 1)], 0)


@pytest.mark.parametrize(
    "field",
    [
        "80000009 00000007",
        "80000000 3fffffff",
        "80000005 80000007",
        "80000000 40000000",
    ],
    ids=["reversed", "of a billion", "ends in another", "of half of all"],
)
def test_a_range_that_cannot_be_is_counted_and_left_out(field: str) -> None:
    octets = bytes.fromhex(field) + (3).to_bytes(4, "big")
    assert decode_losses(octets, longest=8192) == ([(3, 3)], 1)


@pytest.mark.parametrize("field", ["", "0000", "00000001 80000002"])
def test_what_is_no_loss_report_is_refused(field: str) -> None:
    with pytest.raises(ProtocolError):
        decode_losses(bytes.fromhex(field), longest=10)


def test_a_loss_report_stops_where_its_packet_is_full() -> None:
    field = encode_losses([(at, at + 1) for at in range(0, 4000, 3)], size=1456)
    assert len(field) <= 1456
    assert decode_losses(field, longest=10)[0][0] == (0, 1)


@given(st.lists(st.tuples(_SEQUENCES, st.integers(0, 500)), min_size=1, max_size=50))
def test_loss_reports_come_back_as_they_were_written(
    starts: list[tuple[int, int]],
) -> None:
    mask = (1 << 31) - 1
    ranges = [(low, low + length & mask) for low, length in starts]
    field = encode_losses(ranges, size=1456)
    assert decode_losses(field, longest=501) == (ranges, 0)


@given(st.binary(max_size=200))
def test_any_field_is_read_or_refused(field: bytes) -> None:
    for decode in (
        lambda: decode_ack(field),
        lambda: decode_losses(field, longest=1000),
        lambda: decode_drop_request(field, longest=1000),
    ):
        try:
            decode()
        except ProtocolError:
            pass


def test_drop_requests_read_and_write() -> None:
    """SRT draft-01 §3.2.9."""
    assert decode_drop_request(encode_drop_request(7, 9), longest=10) == (7, 9)
    for low, high in ((9, 7), (0, 20)):
        with pytest.raises(ProtocolError):
            decode_drop_request(encode_drop_request(low, high), longest=10)


_ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(["add", "discard", "below", "pop"]),
        st.integers(0, 60),
        st.integers(0, 12),
    ),
    max_size=40,
)


@given(_ACTIONS)
def test_ranges_hold_what_a_set_would_hold(actions: list[tuple[str, int, int]]) -> None:
    ranges = SequenceRanges()
    plain: set[int] = set()
    for action, low, length in actions:
        numbers = set(range(low, low + length + 1))
        if action == "add":
            assert ranges.add(low, low + length) == len(numbers - plain)
            plain |= numbers
        elif action == "discard":
            assert ranges.discard(low, low + length) == len(numbers & plain)
            plain -= numbers
        elif action == "below":
            assert ranges.discard_below(low) == len({n for n in plain if n < low})
            plain = {number for number in plain if number >= low}
        elif plain:
            assert ranges.pop_first() == min(plain)
            plain.remove(min(plain))
        held = {n for low, high in ranges for n in range(low, high + 1)}
        assert held == plain
        assert ranges.count == len(plain)
        assert (low in ranges) == (low in plain)
        within = ranges.within(low, low + length)
        assert {n for a, b in within for n in range(a, b + 1)} == numbers & plain
        bounds = [bound for pair in ranges for bound in pair]
        assert bounds == sorted(bounds)
        assert ranges.first == (next(iter(ranges)) if plain else None)


def test_acknowledgements_of_libsrt_and_the_answers_to_them() -> None:
    """SRT draft-01 §3.2.3, §3.2.4 and §3.2.8, as libsrt writes them."""
    octets = (_DATA / "libsrt-1.5.5-acks.bin").read_bytes()
    expected = tomllib.loads((_DATA / "libsrt-1.5.5-acks.toml").read_text())["expected"]
    packets = []
    while octets:
        size = int.from_bytes(octets[:2], "big")
        packet = decode_packet(octets[2 : 2 + size])
        assert isinstance(packet, ControlPacket)
        packets.append(packet)
        octets = octets[2 + size :]
    kinds = [ControlType(packet.type) for packet in packets]
    ack, answer = ControlType.ACK, ControlType.ACKACK
    assert kinds == [ack, ack, answer, answer, ControlType.KEEPALIVE]
    assert [packet.information for packet in packets[:4]] == expected["numbers"]
    for packet, fields in zip(
        packets, (expected["first"], expected["last"]), strict=False
    ):
        read = decode_ack(packet.information_field)
        assert list(attrs.astuple(read)) == fields
        assert encode_ack(read) == packet.information_field
    assert {packet.information_field for packet in packets[2:]} == {bytes(4)}
