"""FEC packets that libsrt 1.5.1 wrote: libsrt packet-filtering-and-fec.md §Sending."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from sansmedia.srt.packet_filter import (
    make_filter_receiver,
    make_filter_sender,
    negotiate,
)
from sansmedia.srt.packet_wire import (
    MESSAGE_RETRANSMITTED,
    DataPacket,
    decode_packet,
    encode_data,
)

_DATA = Path(__file__).resolve().parents[2] / "data" / "srt"


@attrs.frozen
class Capture:
    """What one connection sent."""

    packets: list[DataPacket]
    expected: dict[str, Any]

    @property
    def data(self) -> list[DataPacket]:
        return [packet for packet in self.packets if packet.message_number]

    @property
    def first(self) -> int:
        return self.packets[0].sequence

    @property
    def answer(self) -> str:
        answer: str = self.expected["answer"]
        return answer


def _packets(framed: bytes) -> Iterator[DataPacket]:
    at = 0
    while at < len(framed):
        size = int.from_bytes(framed[at : at + 2], "big")
        packet = decode_packet(framed[at + 2 : at + 2 + size])
        assert isinstance(packet, DataPacket)
        yield packet
        at += 2 + size


@pytest.fixture(params=sorted(path.stem for path in _DATA.glob("fec-*.bin")))
def capture(request: pytest.FixtureRequest) -> Capture:
    described = tomllib.loads((_DATA / f"{request.param}.toml").read_text())
    framed = (_DATA / f"{request.param}.bin").read_bytes()
    return Capture(list(_packets(framed)), described["expected"])


def test_the_listener_answers_as_libsrt_does(capture: Capture) -> None:
    # libsrt API-socket-options.md §List of options.
    answer = negotiate(capture.expected["listener"], capture.expected["caller"])
    assert answer == capture.answer


def test_a_caller_takes_the_answer(capture: Capture) -> None:
    agreed = negotiate(capture.expected["caller"], capture.answer, initiator=True)
    assert negotiate("", agreed) == agreed
    assert set(capture.answer.split(",")) <= set(agreed.split(","))


def test_the_sender_writes_what_libsrt_writes(capture: Capture) -> None:
    # libsrt packet-filtering-and-fec.md §FEC Packet Header.
    sender = make_filter_sender(
        capture.answer,
        initial_sequence=capture.first,
        payload_size=capture.expected["payload_size"],
    )
    sent = [
        encode_data(packet)
        for data in capture.data
        for packet in (data, *sender.feed(data))
    ]
    assert sent == [encode_data(packet) for packet in capture.packets]
    assert len(capture.data) == capture.expected["data_packets"]
    assert sender.statistics().extra == capture.expected["fec_packets"]


def test_each_packet_is_recovered_as_it_was(capture: Capture) -> None:
    # libsrt packet-filtering-and-fec.md §Receiving.
    recovered = 0
    for lost in capture.data:
        receiver = make_filter_receiver(capture.answer, initial_sequence=capture.first)
        came = [
            packet
            for fed in capture.packets
            if fed is not lost
            for packet in receiver.feed(fed).packets
        ]
        others = [packet for packet in came if packet.sequence != lost.sequence]
        assert others == [packet for packet in capture.data if packet is not lost]
        for packet in came:
            if packet.sequence == lost.sequence:
                assert packet.is_retransmitted
                assert packet.message & ~MESSAGE_RETRANSMITTED == lost.message
                assert packet.timestamp == lost.timestamp
                assert packet.destination == lost.destination
                assert packet.payload == lost.payload
                recovered += 1
    # The last rows and columns have not ended, and a staircase begins with packets
    # that are in no column.
    assert recovered >= len(capture.data) - 12


def test_what_is_not_encrypted_has_no_key_and_keys_change_within_groups() -> None:
    framed = (_DATA / "fec-encrypted.bin").read_bytes()
    keys = [packet.key for packet in _packets(framed)]
    assert set(keys) == {1, 2}
    assert keys == sorted(keys)
    framed = (_DATA / "fec-even.bin").read_bytes()
    assert {packet.key for packet in _packets(framed)} == {0}
