"""Packet filters and keys, as a connection uses them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest
from sansmedia.sansio.testing import Conditions
from sansmedia.srt.connection_events import KeyStateChanged, ReceivedMessage
from sansmedia.srt.constants import KeyState
from sansmedia.srt.packet_wire import KEY_SHIFT, DataPacket

Messages = Callable[[list[Any]], list[ReceivedMessage]]
MakePair = Callable[..., Any]

_START = 1000.0
_GROUP = 5


class _DoublingSender:
    """Sends a copy of every fifth packet again, as a packet of the filter's."""

    def __init__(self) -> None:
        self.fed: list[DataPacket] = []

    def feed(self, packet: DataPacket) -> list[DataPacket]:
        self.fed.append(packet)
        if packet.sequence % _GROUP:
            return []
        return [attrs.evolve(packet, message=0)]


@attrs.define
class _Output:
    packets: list[DataPacket]
    losses: list[tuple[int, int]]


class _DoublingReceiver:
    """Recovers every fifth packet from its copy; gives up all others it misses."""

    def __init__(self, arq: str) -> None:
        self.arq = arq
        self._next = 5000
        self._seen: set[int] = set()
        self.recovered = 0

    def feed(self, packet: DataPacket) -> _Output:
        if packet.message == 0:
            if packet.sequence in self._seen:
                return _Output([], [])
            self._seen.add(packet.sequence)
            self.recovered += 1
            number = packet.sequence - 4999
            return _Output([attrs.evolve(packet, message=0xE000_0000 | number)], [])
        self._seen.add(packet.sequence)
        lost = [
            (number, number)
            for number in range(self._next, packet.sequence)
            if number % _GROUP
        ]
        self._next = max(self._next, packet.sequence + 1)
        return _Output([packet], lost)


def _stream(pair: Any, count: int) -> list[bytes]:
    sent = []
    for number in range(count):
        pair.run(until=_START + number * 0.002)
        sent.append(number.to_bytes(4, "big"))
        pair.left.send(sent[-1:], pair.now)
    pair.run(until=pair.now + 1)
    return sent


@pytest.mark.parametrize("arq", ["always", "onreq", "never"])
def test_a_filter_recovers_and_decides_what_is_asked_for(
    make_pair: MakePair, messages_of: Messages, arq: str
) -> None:
    filters = (_DoublingSender(), _DoublingReceiver(arq))
    pair = make_pair(
        filters=filters,
        packet_filter="doubling",
        there=Conditions(delay=0.02, loss=0.05),
        back=Conditions(delay=0.02),
        send_latency=0.3,
    )
    sent = _stream(pair, 1000)
    got = [message.data for message in messages_of(pair.right_events)]
    left, right = pair.left.statistics(), pair.right.statistics()
    assert [packet.sequence for packet in filters[0].fed] == list(range(5000, 6000))
    assert left.pkt_snd_filter_extra_total == 200
    assert left.pkt_sent_total == 1200 + left.pkt_retrans_total
    assert right.pkt_rcv_filter_extra_total > 180
    assert right.pkt_rcv_filter_supply_total == filters[1].recovered > 0
    if arq == "never":
        assert left.pkt_retrans_total == right.pkt_sent_nak_total == 0
        lost = set(sent) - set(got)
        assert 20 < len(lost) == right.pkt_rcv_drop_total
        assert len([one for one in lost if not int.from_bytes(one, "big") % 5]) < 5
    else:
        assert got == sent
        assert left.pkt_retrans_total < (90 if arq == "always" else 60)


class _RefreshingCrypto:
    """Asks for an exchange of keys at a time, and again until it is answered."""

    overhead = 0

    def __init__(self, start: float | None) -> None:
        self.state_send = self.state_receive = KeyState.SECURED
        self._start = start
        self.answers: list[bytes] = []

    def encrypt(
        self,
        sequence: int,
        message: int,
        timestamp: int,
        destination: int,
        payload: bytes,
    ) -> tuple[int, bytes]:
        return message | 1 << KEY_SHIFT, payload

    def decrypt(self, packet: DataPacket) -> bytes | None:
        return packet.payload

    def take_control(self, now: float, rtt: float) -> list[tuple[int, bytes]]:
        self._start = now + 1.5 * rtt
        return [(3, b"new keys")]

    def receive_key_request(self, cif: bytes) -> bytes:
        self.state_receive = KeyState.BADSECRET
        return cif[::-1]

    def receive_key_response(self, cif: bytes) -> None:
        self._start = None
        self.answers.append(cif)

    def next_timeout(self) -> float | None:
        return self._start


def test_keys_are_exchanged_anew_and_the_state_is_told(make_pair: MakePair) -> None:
    cryptos = [_RefreshingCrypto(_START + 0.5), _RefreshingCrypto(None)]
    made = iter(cryptos)
    pair = make_pair(
        crypto=lambda: next(made),
        there=Conditions(delay=0.02, outages=((_START, _START + 0.9),)),
    )
    pair.run(until=_START + 2)
    assert cryptos[0].answers == [b"syek wen"]
    assert pair.right_events == [
        KeyStateChanged(102, KeyState.SECURED, KeyState.BADSECRET)
    ]
