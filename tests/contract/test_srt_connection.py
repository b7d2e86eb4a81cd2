"""`Connection` of SRT keeps the contract, in every state worth trying."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sansmedia.sansio import Datagram, Dice
from sansmedia.sansio.testing import AnyCase, DatagramCase, check_any_input
from sansmedia.srt.connection import Connection
from sansmedia.srt.connection_events import MessagesReceived
from sansmedia.srt.constants import ControlType, KeyState, Role
from sansmedia.srt.limits import Limits
from sansmedia.srt.negotiated import Negotiated
from sansmedia.srt.options import SrtOptions
from sansmedia.srt.packet_wire import (
    KEY_SHIFT,
    MESSAGE_SOLO,
    ControlPacket,
    DataPacket,
    decode_packet,
    encode_control,
    encode_data,
)

_NOW = 1000.0
_PEER = ("192.0.2.1", 5000)
_FIRST = (1 << 31) - 30
_OURS = 5000
_LIMITS = Limits(output_bytes=64 * 1024, linger=0.2)


class _Crypto:
    """Adds one to every octet; or nothing at all."""

    def __init__(self, secured: bool) -> None:
        state = KeyState.SECURED if secured else KeyState.UNSECURED
        self.state_send = self.state_receive = state
        self.encryption = ""
        self.overhead = 0
        self._secured = secured

    def encrypt(
        self,
        sequence: int,
        message: int,
        timestamp: int,
        destination: int,
        payload: bytes,
    ) -> tuple[int, bytes]:
        sealed = bytes(octet + 1 & 0xFF for octet in payload)
        return message | 1 << KEY_SHIFT, sealed

    def decrypt(self, packet: DataPacket) -> bytes | None:
        if not self._secured or packet.key != 1:
            return None
        return bytes(octet - 1 & 0xFF for octet in packet.payload)

    def take_control(self, now: float, rtt: float) -> list[tuple[int, bytes]]:
        return []

    def receive_key_request(self, cif: bytes) -> bytes:
        return cif[:100]

    def receive_key_response(self, cif: bytes) -> None:
        pass

    def next_timeout(self) -> float | None:
        return None


def _negotiated(live: bool, message_api: bool) -> Negotiated:
    return Negotiated(
        role=Role.LISTENER,
        socket_id=102,
        peer_socket_id=101,
        initial_sequence=_OURS,
        peer_initial_sequence=_FIRST,
        start_time=_NOW,
        peer_timestamp=0,
        peer_timestamp_at=_NOW,
        peer_version=0x010503,
        mss=1500,
        flow_window=256,
        live=live,
        message_api=message_api,
        tsbpd_receive=live,
        tsbpd_send=live,
        tlpkt_drop=live,
        nak_report=live,
        rexmit_flag=True,
        receive_latency=0.12,
        send_latency=0.12,
        packet_filter="",
        group_id=0,
        group_type=0,
        group_weight=0,
        stream_id="",
    )


def _machine(
    *, live: bool = True, message_api: bool = True, secured: bool = False, sent: int = 0
) -> Connection:
    machine = Connection(
        _negotiated(live, message_api),
        _Crypto(secured),
        SrtOptions(receive_buffer=256, send_buffer=256, loss_max_ttl=3),
        _LIMITS,
        peer=_PEER,
        now=_NOW,
    )
    if sent:
        machine.send([bytes([number]) * 20 for number in range(sent)], _NOW)
        machine.datagrams_to_send()
    return machine


def _data(number: int, word: int = MESSAGE_SOLO, size: int = 40) -> Datagram:
    packet = DataPacket(
        _FIRST + number & 0x7FFF_FFFF,
        word | (number + 1),
        number * 1000,
        102,
        bytes([number & 0xFF]) * size,
    )
    return Datagram(encode_data(packet), _PEER)


def _control(
    kind: int, *words: int, information: int = 0, subtype: int = 0
) -> Datagram:
    field = struct.pack(f">{len(words)}I", *words)
    packet = ControlPacket(kind, subtype, information, 0, 102, field)
    return Datagram(encode_control(packet), _PEER)


def _bulk(count: int) -> tuple[Datagram, ...]:
    return tuple(_data(number) for number in range(count))


def _bulk_of_reports(count: int) -> tuple[Datagram, ...]:
    """Return loss reports and acknowledgements, true ones and others."""
    made = []
    for number in range(count):
        low = _OURS + number % 30
        made.append(
            _control(ControlType.NAK, 0x8000_0000 | low, low + 5)
            if number % 2
            else _control(
                ControlType.ACK, _OURS + 5, 30_000, 5000, 256, 1, 1, 1, information=1
            )
        )
    return tuple(made)


_IN_ORDER = _bulk(70)
_HOLES = tuple(_data(number) for number in (0, 1, 3, 2, 7, 7, 9, 4, 20, 1, 5, 6, 8))
_MESSAGES = (
    _data(0, 0x8000_0000),
    _data(2, 0x4000_0000),
    _data(1, 0),
    _data(3, 0xA000_0000),
    _data(4, MESSAGE_SOLO),
    _data(5, 0x6000_0000),
)
_CONTROL = (
    _control(ControlType.ACK, _OURS + 2, information=0),
    _control(ControlType.NAK, 0x8000_0000 | _OURS, _OURS + 6, _OURS + 8),
    _control(ControlType.ACK, _OURS + 4, 20_000, 3000, 100, 9, 9, 9, information=1),
    _control(ControlType.KEEPALIVE, 0),
    _control(ControlType.DROPREQ, _FIRST, _FIRST + 2),
    _control(ControlType.ACKACK, 0, information=1),
    _control(ControlType.PEERERROR, 0, information=4000),
    _control(ControlType.CONGESTION_WARNING, 0),
    _control(ControlType.USER_DEFINED, *range(26), subtype=3),
    _control(ControlType.USER_DEFINED, *range(26), subtype=4),
    _control(ControlType.NAK, 0x8000_0000, 0x7FFF_FFFF),
)
_GOODBYE = (*_HOLES, *_CONTROL, _control(ControlType.SHUTDOWN, 0), _data(10))
_SEEDS = (_IN_ORDER, _HOLES, _MESSAGES, _CONTROL, _GOODBYE)


def _events(events: list[Any]) -> object:
    """Join runs of messages: a batch gives one event."""
    joined: list[Any] = []
    for event in events:
        if isinstance(event, MessagesReceived):
            joined += event.messages
        else:
            joined.append(event)
    return joined


def _output(output: list[Datagram]) -> object:
    """Leave out reports on what has come, and what is sent again for such reports:
    both are made once for a batch, when all of it is known."""
    left_out = (ControlType.ACK, ControlType.NAK, ControlType.DROPREQ)
    packets = [decode_packet(datagram.data) for datagram in output]
    data = [
        packet
        for packet in packets
        if isinstance(packet, DataPacket) and not packet.is_retransmitted
    ]
    control = [
        packet
        for packet in packets
        if isinstance(packet, ControlPacket) and packet.type not in left_out
    ]
    return data, control


def _control_output(output: list[Datagram]) -> object:
    """Leave out data as well: congestion control paces it by those reports."""
    return [
        packet
        for packet in map(decode_packet, (datagram.data for datagram in output))
        if isinstance(packet, ControlPacket)
        and packet.type in (ControlType.ACKACK, ControlType.USER_DEFINED)
    ]


def _use(machine: Any, event: object, now: float) -> None:
    if isinstance(event, MessagesReceived):
        machine.send([b"answer"], now)
        machine.write([b"more"], now)


def _case(
    name: str,
    factory: Callable[[Dice], Connection],
    bulk: Callable[[int], tuple[Datagram, ...]] = _bulk,
    output_view: Callable[[list[Datagram]], object] = _output,
) -> DatagramCase:
    return DatagramCase(
        name=name,
        factory=factory,
        seeds=_SEEDS,
        bulk=bulk,
        pending_limit=400_000,
        react=_use,
        event_view=_events,
        output_view=output_view,
        now=_NOW,
    )


_CASES: tuple[AnyCase, ...] = (
    _case("SRT connection in live mode", lambda _: _machine()),
    _case("SRT connection in live mode, encrypted", lambda _: _machine(secured=True)),
    _case(
        "SRT connection that has sent", lambda _: _machine(sent=40), _bulk_of_reports
    ),
    _case("SRT connection for messages of files", lambda _: _machine(live=False)),
    _case(
        "SRT connection for a stream, that has sent",
        lambda _: _machine(live=False, message_api=False, sent=40),
        _bulk_of_reports,
        _control_output,
    ),
)

_every_case = pytest.mark.parametrize("case", _CASES, ids=lambda case: case.name)


@_every_case
def test_the_machine_keeps_the_contract(
    case: AnyCase, machine_check: Callable[[AnyCase], None]
) -> None:
    machine_check(case)


@_every_case
@given(data=st.data())
@settings(max_examples=50, deadline=None)
def test_any_datagrams_are_survived(case: DatagramCase, data: st.DataObject) -> None:
    seed = data.draw(st.sampled_from(case.seeds))
    prefix = seed[: data.draw(st.integers(0, len(seed)))]
    octets = data.draw(st.lists(st.binary(max_size=100), max_size=5))
    more = tuple(attrs.evolve(_HOLES[0], data=one) for one in octets)
    check_any_input(case, prefix + more, dice_seed=data.draw(st.integers(0, 99)))
