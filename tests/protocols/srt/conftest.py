"""Two connections as a handshake would leave them, over a simulated network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import attrs
import pytest
from sansmedia.sansio.testing import Conditions, DatagramLink, DatagramPair
from sansmedia.srt.connection import Connection
from sansmedia.srt.connection_events import MessagesReceived, ReceivedMessage
from sansmedia.srt.constants import KeyState, Role
from sansmedia.srt.limits import Limits
from sansmedia.srt.negotiated import Negotiated
from sansmedia.srt.options import SrtOptions
from sansmedia.srt.packet_wire import KEY_SHIFT, DataPacket

_NOW = 1000.0
_PEERS = (DatagramPair.left_address, DatagramPair.right_address)
_OPTIONS = SrtOptions()
_CLEAN = Conditions(delay=0.02)
_LIMITS = Limits()


class PlainCrypto:
    """No encryption."""

    state_send = KeyState.UNSECURED
    state_receive = KeyState.UNSECURED
    encryption = ""
    overhead = 0

    def encrypt(
        self,
        sequence: int,
        message: int,
        timestamp: int,
        destination: int,
        payload: bytes,
    ) -> tuple[int, bytes]:
        return message, payload

    def decrypt(self, packet: DataPacket) -> bytes | None:
        return packet.payload if not packet.key else None

    def take_control(self, now: float, rtt: float) -> list[tuple[int, bytes]]:
        return []

    def receive_key_request(self, cif: bytes) -> bytes:
        return cif

    def receive_key_response(self, cif: bytes) -> None:
        pass

    def next_timeout(self) -> float | None:
        return None


class ToyCrypto(PlainCrypto):
    """Encryption that shows what it was given; the key is one octet."""

    state_send = KeyState.SECURED
    state_receive = KeyState.SECURED
    encryption = "none that is any good"
    overhead = 4

    def __init__(self, key: int = 0x5A) -> None:
        self.key = key
        self.encrypted: list[int] = []

    def _tag(self, sequence: int) -> bytes:
        return (sequence ^ self.key).to_bytes(4, "big")

    def encrypt(
        self,
        sequence: int,
        message: int,
        timestamp: int,
        destination: int,
        payload: bytes,
    ) -> tuple[int, bytes]:
        self.encrypted.append(sequence)
        sealed = bytes(octet ^ self.key for octet in payload)
        return message | 1 << KEY_SHIFT, sealed + self._tag(sequence)

    def decrypt(self, packet: DataPacket) -> bytes | None:
        if packet.payload[-4:] != self._tag(packet.sequence):
            return None
        assert not packet.is_retransmitted
        return bytes(octet ^ self.key for octet in packet.payload[:-4])


MakePair: TypeAlias = Callable[..., Any]


def negotiate(**changed: object) -> Negotiated:
    values: dict[str, object] = {
        "role": Role.CALLER,
        "socket_id": 101,
        "peer_socket_id": 102,
        "initial_sequence": 5000,
        "peer_initial_sequence": 70_000,
        "start_time": _NOW,
        "peer_timestamp": 0,
        "peer_timestamp_at": _NOW,
        "peer_version": 0x010503,
        "mss": 1500,
        "flow_window": 8192,
        "live": True,
        "message_api": True,
        "tsbpd_receive": True,
        "tsbpd_send": True,
        "tlpkt_drop": True,
        "nak_report": True,
        "rexmit_flag": True,
        "receive_latency": 0.12,
        "send_latency": 0.12,
        "packet_filter": "",
        "group_id": 0,
        "group_type": 0,
        "group_weight": 0,
        "stream_id": "",
    }
    if changed.get("live") is False:
        values |= {
            "tsbpd_receive": False,
            "tsbpd_send": False,
            "tlpkt_drop": False,
            "nak_report": False,
        }
    return Negotiated(**(values | changed))  # type: ignore[arg-type] # the table's


def mirrored(one: Negotiated, *, delay: float) -> Negotiated:
    return attrs.evolve(
        one,
        role=Role.LISTENER,
        socket_id=one.peer_socket_id,
        peer_socket_id=one.socket_id,
        initial_sequence=one.peer_initial_sequence,
        peer_initial_sequence=one.initial_sequence,
        peer_timestamp_at=one.peer_timestamp_at + delay,
        receive_latency=one.send_latency,
        send_latency=one.receive_latency,
    )


def received(events: list[Any]) -> list[ReceivedMessage]:
    """Return all messages of a connection's events."""
    return [
        message
        for event in events
        if isinstance(event, MessagesReceived)
        for message in event.messages
    ]


@pytest.fixture
def plain_crypto() -> Callable[[], Any]:
    return PlainCrypto


@pytest.fixture
def toy_crypto() -> Callable[..., Any]:
    return ToyCrypto


@pytest.fixture
def make_negotiated() -> Callable[..., Negotiated]:
    return negotiate


@pytest.fixture
def messages_of() -> Callable[[list[Any]], list[ReceivedMessage]]:
    return received


@pytest.fixture
def make_pair() -> MakePair:
    def make(
        *,
        options: SrtOptions | tuple[SrtOptions, SrtOptions] = _OPTIONS,
        there: Conditions = _CLEAN,
        back: Conditions | None = None,
        crypto: Callable[[], Any] = PlainCrypto,
        limits: Limits = _LIMITS,
        filters: tuple[Any, Any] = (None, None),
        seed: int = 1,
        on_left: Callable[[Any, float], None] | None = None,
        on_right: Callable[[Any, float], None] | None = None,
        **negotiated: object,
    ) -> DatagramPair[Any, Any]:
        one = negotiate(**negotiated)
        other = mirrored(one, delay=there.delay)
        one = attrs.evolve(one, peer_timestamp_at=_NOW + there.delay)
        if isinstance(options, SrtOptions):
            options = (options, options)
        machines = [
            Connection(
                agreed,
                crypto(),
                wanted,
                limits,
                peer=_PEERS[1 - number],
                local=_PEERS[number],
                now=_NOW,
                filter_sender=filters[0] if number == 0 else None,
                filter_receiver=filters[1] if number == 1 else None,
            )
            for number, (agreed, wanted) in enumerate(
                zip((one, other), options, strict=True)
            )
        ]
        return DatagramPair(
            machines[0],
            machines[1],
            there=DatagramLink(there, seed=seed),
            back=DatagramLink(back or there, seed=seed + 1),
            now=_NOW,
            on_left=on_left,
            on_right=on_right,
        )

    return make
