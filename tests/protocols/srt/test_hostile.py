"""What a peer, or somebody who pretends to be one, may send."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import pytest
from sansmedia.sansio import Datagram
from sansmedia.srt.connection_events import ReceivedMessage
from sansmedia.srt.constants import ControlType
from sansmedia.srt.limits import Limits
from sansmedia.srt.options import SrtOptions
from sansmedia.srt.packet_wire import (
    MESSAGE_SOLO,
    ControlPacket,
    DataPacket,
    decode_packet,
    encode_control,
    encode_data,
)

MakePair = Callable[..., Any]
Messages = Callable[[list[Any]], list[ReceivedMessage]]

_NOW = 1000.0
_FIRST = 5000
_PEER = ("192.0.2.2", 5000)


def _control(kind: int, field: bytes = b"", information: int = 0) -> Datagram:
    packet = ControlPacket(kind, 0, information, 0, 101, field)
    return Datagram(encode_control(packet), _PEER)


def _words(*words: int) -> bytes:
    return struct.pack(f">{len(words)}I", *words)


def _data(sequence: int, payload: bytes = b"x", timestamp: int = 0) -> Datagram:
    packet = DataPacket(sequence, MESSAGE_SOLO | 1, timestamp, 101, payload)
    return Datagram(encode_data(packet), _PEER)


def _sent(machine: Any) -> list[Any]:
    return [decode_packet(one.data) for one in machine.datagrams_to_send()]


def _kinds(machine: Any) -> list[int]:
    return [one.type for one in _sent(machine) if isinstance(one, ControlPacket)]


@pytest.fixture
def sender(make_pair: MakePair) -> Any:
    """A connection that has sent ten packets."""
    left = make_pair().left
    left.write([bytes([number]) for number in range(10)], _NOW)
    return left


@pytest.mark.parametrize(
    "field",
    [
        _words(0x8000_0000 | _FIRST + 5, _FIRST + 2),
        _words(0x8000_0000 | _FIRST, _FIRST + 10),
        _words(_FIRST + 10),
        _words(0x8000_0000, 0x7FFF_FFFF),
        _words(0x8000_0000 | _FIRST, 0x3FFF_FFFF),
        _words(0xFFF0_0000, 0x7FF1_0000),
        _words(0x8000_0000 | _FIRST),
        _words(0xFFFF_FFFF, 0xFFFF_FFFF),
        b"",
        b"odd",
    ],
    ids=[
        "reversed",
        "past the last",
        "never sent",
        "everything",
        "half of everything",
        "long ago",
        "open",
        "all ones",
        "empty",
        "odd",
    ],
)
def test_a_loss_report_that_lies_is_counted_and_changes_nothing(
    sender: Any, field: bytes
) -> None:
    sender.receive_datagrams([_control(ControlType.NAK, field)], _NOW)
    assert sender.datagrams_to_send() == []
    statistics = sender.statistics()
    assert statistics.control_refused_total >= 1
    assert statistics.pkt_snd_loss_total == 0
    assert not sender.is_terminated


def test_reports_of_the_same_losses_send_nothing_again_within_a_round_trip(
    sender: Any,
) -> None:
    report = _control(ControlType.NAK, _words(0x8000_0000 | _FIRST, _FIRST + 9) * 90)
    sender.receive_datagrams([report] * 64, _NOW)
    assert len(sender.datagrams_to_send()) == 10
    sender.receive_datagrams([report] * 64, _NOW + 0.04)
    assert sender.datagrams_to_send() == []
    sender.receive_datagrams([report], _NOW + 0.2)
    again = _sent(sender)
    assert [packet.is_retransmitted for packet in again] == [True] * 10
    assert [packet.sequence for packet in again] == list(range(_FIRST, _FIRST + 10))


def test_what_was_acknowledged_is_answered_with_a_drop_request(sender: Any) -> None:
    sender.receive_datagrams([_control(ControlType.ACK, _words(_FIRST + 4))], _NOW)
    report = _control(ControlType.NAK, _words(0x8000_0000 | _FIRST + 2, _FIRST + 5))
    sender.receive_datagrams([report], _NOW)
    again = _sent(sender)
    assert [one.sequence for one in again[:2]] == [_FIRST + 4, _FIRST + 5]
    assert again[2].type == ControlType.DROPREQ
    assert again[2].information_field == _words(_FIRST + 2, _FIRST + 3)


@pytest.mark.parametrize(
    "field",
    [_words(_FIRST + 11), _words(0x3FFF_0000), _words(0x8000_0001), b"", b"abc"],
    ids=["ahead", "far ahead", "with a bit too many", "empty", "short"],
)
def test_an_acknowledgement_that_lies_is_counted_and_changes_nothing(
    sender: Any, field: bytes
) -> None:
    sender.receive_datagrams([_control(ControlType.ACK, field, 1)], _NOW)
    assert sender.statistics().pkt_snd_buf == 10
    assert sender.statistics().control_refused_total == 1
    assert sender.datagrams_to_send() == []


def test_an_old_acknowledgement_changes_nothing(sender: Any) -> None:
    for first in (_FIRST + 8, _FIRST + 3):
        full = _words(first, 30_000, 5_000, 100, 1, 1, 1)
        sender.receive_datagrams([_control(ControlType.ACK, full, 1)], _NOW)
    assert sender.statistics().pkt_snd_buf == 2
    assert sender.statistics().pkt_flow_window == 100
    assert _kinds(sender) == [ControlType.ACKACK] * 2


def test_a_window_of_nothing_stops_sending_until_it_opens(sender: Any) -> None:
    shut = _words(_FIRST + 10, 30_000, 5_000, 0)
    sender.receive_datagrams([_control(ControlType.ACK, shut, 1)], _NOW)
    assert sender.write([b"later"], _NOW) == []
    opened = _words(_FIRST + 10, 30_000, 5_000, 10)
    sender.receive_datagrams([_control(ControlType.ACK, opened, 2)], _NOW + 0.01)
    assert any(isinstance(one, DataPacket) for one in _sent(sender))


def test_a_window_of_billions_is_cut_to_what_we_hold(sender: Any) -> None:
    full = _words(_FIRST + 10, 30_000, 5_000, 0xFFFF_FFFF)
    sender.receive_datagrams([_control(ControlType.ACK, full, 1)], _NOW)
    assert sender.statistics().pkt_flow_window <= 25_600


@pytest.mark.parametrize(
    ("low", "high"),
    [(0, 0x3FFF_FFF0), (70_009, 70_000), (70_000, 1_000_000_000), (100, 200)],
)
@pytest.mark.parametrize("live", [True, False])
def test_a_drop_request_costs_by_the_buffer_not_by_its_range(
    make_pair: MakePair, low: int, high: int, live: bool
) -> None:
    machine = make_pair(live=live, options=SrtOptions(receive_buffer=100)).left
    machine.receive_datagrams(
        [_data(70_001), _control(ControlType.DROPREQ, _words(low, high))], _NOW
    )
    machine.receive_datagrams([_data(70_099)], _NOW)
    assert machine.statistics().pkt_rcv_drop_total <= 100
    assert machine.pending_bytes < 2000


def test_packets_far_ahead_are_not_waited_for(make_pair: MakePair) -> None:
    machine = make_pair(options=SrtOptions(receive_buffer=100)).left
    far = [_data(70_000 + 100 + number * 977, bytes(1400)) for number in range(500)]
    for datagram in far:
        machine.receive_datagrams([datagram], _NOW)
    assert machine.pending_bytes == 0
    assert machine.statistics().pkt_rcv_refused_total == 500
    machine.receive_datagrams([_data(70_000)], _NOW)
    assert machine.statistics().pkt_recv_unique_total == 1


def test_holes_everywhere_cost_by_the_buffer(make_pair: MakePair) -> None:
    machine = make_pair(limits=Limits(loss_ranges=50)).left
    for number in range(0, 20_000, 2):
        machine.receive_datagrams([_data(70_001 + number, bytes(100))], _NOW)
    statistics = machine.statistics()
    assert statistics.pkt_recv_unique_total <= 4096
    assert machine.pending_bytes < 4096 * 100 + 300_000
    machine.datagrams_to_send()
    machine.handle_timeout(machine.next_timeout())
    naks = [one for one in _sent(machine) if one.type == ControlType.NAK]
    assert sum(len(one.information_field) for one in naks) <= 50 * 8


def test_a_packet_larger_than_agreed_is_refused(make_pair: MakePair) -> None:
    machine = make_pair().left
    machine.receive_datagrams([_data(70_000, bytes(60_000))], _NOW)
    assert machine.statistics().pkt_rcv_refused_total == 1
    assert machine.pending_bytes == 0


def test_time_stamps_from_anywhere_hold_up_nothing_but_their_own_stream(
    make_pair: MakePair, messages_of: Messages
) -> None:
    machine = make_pair().left
    machine.receive_datagrams(
        [
            _data(70_000, b"past", 0x8000_0000),
            _data(70_001, b"now", 0),
            _data(70_002, b"future", 0x7000_0000),
            _data(70_003, b"behind it", 0),
        ],
        _NOW,
    )
    machine.handle_timeout(_NOW + 0.2)
    events = []
    while (event := machine.next_event()) is not None:
        events.append(event)
    assert [one.data for one in messages_of(events)] == [b"past", b"now"]


def test_answers_to_acknowledgements_never_sent_are_ignored(
    make_pair: MakePair,
) -> None:
    machine = make_pair().left
    for number in (0, 1, 77, 0xFFFF_FFFF):
        machine.receive_datagrams([_control(ControlType.ACKACK, b"", number)], _NOW)
    assert machine.statistics().ms_rtt == 100


def test_unknown_and_empty_packets_are_ignored(make_pair: MakePair) -> None:
    machine = make_pair().left
    machine.receive_datagrams(
        [
            Datagram(b"", _PEER),
            Datagram(b"short", _PEER),
            *[_control(kind) for kind in range(9, 40)],
            _control(0x7FFF),
            _control(ControlType.CONGESTION_WARNING),
            _control(ControlType.KEEPALIVE),
            _control(ControlType.PEERERROR),
        ],
        _NOW,
    )
    assert machine.next_event() is None
    assert machine.datagrams_to_send() == []
    assert not machine.is_terminated


def test_key_material_is_answered_so_often_and_no_more(
    make_pair: MakePair, toy_crypto: Any
) -> None:
    machine = make_pair(crypto=toy_crypto, limits=Limits(key_packets=10)).left
    request = ControlPacket(ControlType.USER_DEFINED, 3, 0, 0, 101, bytes(104))
    datagram = Datagram(encode_control(request), _PEER)
    machine.receive_datagrams([datagram] * 50, _NOW)
    answers = _sent(machine)
    assert [one.subtype for one in answers] == [4] * 10


def test_output_that_nobody_takes_does_not_grow(sender: Any) -> None:
    full = _words(_FIRST + 10, 30_000, 5_000, 100, 1, 1, 1)
    for number in range(40_000):
        sender.receive_datagrams([_control(ControlType.ACK, full, number + 1)], _NOW)
    assert sender.pending_bytes < 300_000
