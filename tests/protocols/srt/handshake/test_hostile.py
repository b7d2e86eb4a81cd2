"""What anybody may send to a socket: SRT draft-01 §4.3.1.1.2, §4.3.1.2.1, §3.2.1."""

from __future__ import annotations

import struct
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sansmedia.sansio import Datagram, UsageError
from sansmedia.sansio.testing import SeededDice
from sansmedia.srt.constants import ControlType
from sansmedia.srt.endpoint import Endpoint
from sansmedia.srt.endpoint_events import (
    ConnectionEstablished,
    ConnectionRejected,
    ConnectionRequested,
)
from sansmedia.srt.extensions_wire import Extensions, SrtMessage, encode_extensions
from sansmedia.srt.handshake_wire import (
    HANDSHAKE_MAGIC,
    Handshake,
    HandshakeType,
    decode_handshake,
    encode_handshake,
)
from sansmedia.srt.limits import Limits
from sansmedia.srt.options import SrtOptions
from sansmedia.srt.packet_wire import (
    ControlPacket,
    DataPacket,
    encode_control,
    encode_data,
)
from sansmedia.srt.rejections import RejectionCode

_PEER = ("192.0.2.7", 4000)
_NOW = 1000.0
_LATENCY = SrtMessage(0x010505, 0xBF, 120, 0)


def _listening(limits: Limits | None = None, **options: Any) -> Endpoint:
    endpoint = Endpoint(limits, dice=SeededDice(1), now=_NOW)
    endpoint.listen(SrtOptions(**options), now=_NOW)
    return endpoint


def _packet(handshake: Handshake, destination: int = 0) -> bytes:
    return encode_control(
        ControlPacket(
            ControlType.HANDSHAKE, 0, 0, 0, destination, encode_handshake(handshake)
        )
    )


def _handshake(kind: int, **changes: Any) -> Handshake:
    values: dict[str, Any] = {
        "version": 5,
        "initial_sequence": 100,
        "mss": 1500,
        "flow_window": 8192,
        "type": kind,
        "socket_id": 77,
        "cookie": 0,
    }
    return Handshake(**(values | changes))


def _give(
    endpoint: Endpoint,
    data: bytes,
    peer: tuple[str, int] = _PEER,
    now: float = _NOW,
) -> list[Datagram]:
    endpoint.receive_datagrams([Datagram(data, peer, at=now)], now)
    return endpoint.datagrams_to_send()


def _cookie(
    endpoint: Endpoint, peer: tuple[str, int] = _PEER, now: float = _NOW
) -> int:
    induction = _handshake(HandshakeType.INDUCTION, version=4, extension=2)
    [answer] = _give(endpoint, _packet(induction), peer, now)
    return decode_handshake(answer.data[16:]).cookie


def _conclusion(cookie: int, **changes: Any) -> Handshake:
    field, octets = encode_extensions(Extensions(request=_LATENCY))
    conclusion = _handshake(
        HandshakeType.CONCLUSION, cookie=cookie, extension=field, extensions=octets
    )
    return attrs.evolve(conclusion, **changes)


def _types(datagrams: list[Datagram]) -> list[int]:
    return [decode_handshake(one.data[16:]).type for one in datagrams]


def test_a_flood_of_inductions_costs_no_memory() -> None:
    endpoint = _listening()
    induction = _packet(_handshake(HandshakeType.INDUCTION, version=4, extension=2))
    for number in range(1500):
        peer = (f"198.51.100.{number % 250}", number)
        [answer] = _give(endpoint, induction, peer)
        # Nobody gets more than was sent in his name.
        assert len(answer.data) == len(induction) == 64
        assert answer.peer == peer
    assert endpoint.pending_bytes == 0
    assert endpoint.statistics().inductions == 1500
    assert endpoint.statistics().requests == 0
    assert endpoint.next_event() is None
    assert endpoint.next_timeout() is None


def test_an_induction_is_answered_as_a_version_5_listener_does() -> None:
    endpoint = _listening(pbkeylen=24)
    induction = _handshake(HandshakeType.INDUCTION, version=4, extension=2)
    [answer] = _give(endpoint, _packet(induction))
    read = decode_handshake(answer.data[16:])
    assert (read.version, read.extension, read.encryption) == (5, HANDSHAKE_MAGIC, 3)
    assert struct.unpack_from(">I", answer.data, 12)[0] == 77


def test_a_cookie_lives_for_a_minute_or_two_and_for_its_address() -> None:
    endpoint = _listening()
    start = 60 * 17.0
    cookie = _cookie(endpoint, now=start)
    assert _cookie(endpoint, now=start + 59) == cookie
    assert _cookie(endpoint, now=start + 61) != cookie
    assert _cookie(endpoint, ("192.0.2.7", 4001), start) != cookie
    assert _cookie(endpoint, ("192.0.2.8", 4000), start) != cookie
    conclusion = _packet(_conclusion(cookie))
    assert _give(endpoint, conclusion, ("192.0.2.7", 4001), start) == []
    assert _give(endpoint, conclusion, _PEER, start + 121) == []
    assert endpoint.next_event() is None
    _give(endpoint, conclusion, _PEER, start + 119)
    assert isinstance(endpoint.next_event(), ConnectionRequested)


@given(st.integers(0, 2**32 - 1))
def test_a_cookie_that_is_guessed_is_not_answered(cookie: int) -> None:
    endpoint = _listening()
    if cookie != _cookie(endpoint):
        assert _give(endpoint, _packet(_conclusion(cookie))) == []
        assert endpoint.statistics().handshakes_ignored == 1
        assert endpoint.pending_bytes == 0


def test_two_sockets_have_different_cookies() -> None:
    other = Endpoint(dice=SeededDice(2), now=_NOW)
    other.listen(SrtOptions(), now=_NOW)
    assert _cookie(_listening()) != _cookie(other)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"version": 4, "extension": 2, "extensions": b""}, RejectionCode.VERSION),
        ({"version": 0}, RejectionCode.VERSION),
        ({"version": 6}, RejectionCode.VERSION),
        ({"extension": 0}, RejectionCode.ROGUE),
        ({"extensions": b""}, RejectionCode.ROGUE),
        ({"extensions": b"\0\1\0\4" + bytes(12)}, RejectionCode.ROGUE),
        ({"extensions": b"\0\1\0\2" + bytes(8)}, RejectionCode.ROGUE),
        ({"socket_id": 0}, RejectionCode.ROGUE),
    ],
)
def test_conclusions_that_make_no_sense_are_refused_without_asking(
    changes: dict[str, Any], code: RejectionCode
) -> None:
    endpoint = _listening()
    conclusion = _packet(_conclusion(_cookie(endpoint), **changes))
    answers = _give(endpoint, conclusion)
    assert _types(answers) == [1000 + code]
    assert len(answers[0].data) == 64 <= len(conclusion)
    assert endpoint.next_event() is None
    assert endpoint.pending_bytes == 0


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"mss": 20}, RejectionCode.ROGUE),
        ({"mss": 0}, RejectionCode.ROGUE),
        ({"flow_window": 0}, RejectionCode.ROGUE),
        ({"extension": 3}, RejectionCode.ROGUE),
        (
            {"extensions": b"\0\1\0\3" + struct.pack(">IIHH", 0x010200, 0xBF, 0, 0)},
            RejectionCode.ROGUE,
        ),
    ],
)
def test_conclusions_that_cannot_be_met_are_refused_when_accepted(
    changes: dict[str, Any], code: RejectionCode
) -> None:
    endpoint = _listening()
    _give(endpoint, _packet(_conclusion(_cookie(endpoint), **changes)))
    event = endpoint.next_event()
    assert isinstance(event, ConnectionRequested)
    assert endpoint.accept(event.request_id, now=_NOW) is None
    assert _types(endpoint.datagrams_to_send()) == [1000 + code]


def test_numbers_that_are_too_large_are_made_smaller() -> None:
    endpoint = _listening()
    huge = _conclusion(_cookie(endpoint), mss=2**32 - 1, flow_window=2**32 - 1)
    _give(endpoint, _packet(huge))
    event = endpoint.next_event()
    assert isinstance(event, ConnectionRequested)
    endpoint.accept(event.request_id, now=_NOW)
    established = endpoint.next_event()
    assert isinstance(established, ConnectionEstablished)
    assert established.negotiated.mss == 1500
    assert established.negotiated.flow_window == 1 << 25


def test_a_repeated_conclusion_gets_the_same_answer_from_memory() -> None:
    endpoint = _listening()
    conclusion = _packet(_conclusion(_cookie(endpoint)))
    assert _give(endpoint, conclusion) == []
    assert _give(endpoint, conclusion) == []
    event = endpoint.next_event()
    assert isinstance(event, ConnectionRequested)
    assert endpoint.next_event() is None
    endpoint.accept(event.request_id, now=_NOW)
    [first] = endpoint.datagrams_to_send()
    [again] = _give(endpoint, conclusion, now=_NOW + 1)
    assert again.data[16:] == first.data[16:]
    # What it says of time is of its own time.
    assert struct.unpack_from(">I", again.data, 8)[0] == 1_000_000
    assert isinstance(endpoint.next_event(), ConnectionEstablished)
    assert endpoint.next_event() is None
    assert endpoint.statistics().connections == 1


def _ask(endpoint: Endpoint, peer: tuple[str, int], socket_id: int = 77) -> list[int]:
    conclusion = _conclusion(_cookie(endpoint, peer), socket_id=socket_id)
    return _types(_give(endpoint, _packet(conclusion), peer))


def test_requests_that_wait_are_limited_by_address_and_in_all() -> None:
    endpoint = _listening(Limits(requests=10, requests_per_address=4))
    answers = [_ask(endpoint, _PEER, 100 + number) for number in range(6)]
    assert answers == [[]] * 4 + [[1005]] * 2
    answers = [_ask(endpoint, (f"192.0.2.{20 + n}", 1)) for n in range(8)]
    assert answers == [[]] * 6 + [[1005]] * 2
    assert endpoint.statistics().requests == 10
    assert endpoint.pending_bytes < 10 * 400


def test_requests_are_taken_up_at_a_limited_rate() -> None:
    endpoint = _listening(Limits(requests_per_second=5, requests_per_address=100))
    for number in range(8):
        assert _ask(endpoint, _PEER, 100 + number) == []
    assert endpoint.statistics().requests == 5
    assert endpoint.statistics().handshakes_ignored == 3
    conclusion = _packet(_conclusion(_cookie(endpoint), socket_id=107))
    assert _give(endpoint, conclusion, now=_NOW + 1.1) == []
    assert endpoint.statistics().requests == 6


def test_connections_are_limited_by_address_and_in_all() -> None:
    endpoint = _listening(Limits(connections=5, connections_per_address=3))
    told = []
    for number in range(4):
        told += _ask(endpoint, _PEER, 100 + number)
        _accept_all(endpoint)
    for number in range(4):
        told += _ask(endpoint, (f"192.0.2.{20 + number}", 1))
        _accept_all(endpoint)
    assert told == [1005] * 3
    assert endpoint.statistics().connections == 5


def _accept_all(endpoint: Endpoint) -> None:
    while (event := endpoint.next_event()) is not None:
        if isinstance(event, ConnectionRequested):
            endpoint.accept(event.request_id, now=_NOW)
    endpoint.datagrams_to_send()


def test_refusals_kept_in_mind_are_limited_and_forgotten() -> None:
    endpoint = _listening(Limits(refusals=5))
    for number in range(20):
        _ask(endpoint, (f"192.0.2.{number}", 1))
        event = endpoint.next_event()
        assert isinstance(event, ConnectionRequested)
        endpoint.reject(event.request_id, 1403, now=_NOW)
        endpoint.datagrams_to_send()
    assert endpoint.pending_bytes <= 5 * 400
    endpoint.handle_timeout(_NOW + 3.1)
    assert endpoint.pending_bytes == 0
    endpoint.handle_timeout(_NOW + 5.1)
    assert endpoint.next_timeout() is None


def test_answers_that_wait_are_limited() -> None:
    endpoint = _listening(Limits(output_bytes=1000))
    induction = _packet(_handshake(HandshakeType.INDUCTION, version=4, extension=2))
    for _ in range(100):
        endpoint.receive_datagrams([Datagram(induction, _PEER)], _NOW)
    assert len(endpoint.datagrams_to_send()) == 16
    assert endpoint.statistics().answers_dropped == 84


def _established() -> tuple[Endpoint, int]:
    endpoint = _listening()
    _ask(endpoint, _PEER)
    event = endpoint.next_event()
    assert isinstance(event, ConnectionRequested)
    socket_id = endpoint.accept(event.request_id, now=_NOW)
    assert socket_id is not None
    endpoint.datagrams_to_send()
    endpoint.next_event()
    return endpoint, socket_id


@pytest.mark.parametrize(
    "make",
    [
        lambda key: encode_data(DataPacket(100, 0xE0000001, 0, key, b"x")),
        lambda key: encode_control(
            ControlPacket(ControlType.SHUTDOWN, 0, 0, 0, key, bytes(4))
        ),
        lambda key: _packet(_handshake(HandshakeType.CONCLUSION), key),
    ],
)
def test_packets_from_another_address_are_dropped_and_counted(make: Any) -> None:
    endpoint, socket_id = _established()
    assert _give(endpoint, make(socket_id), ("192.0.2.7", 4001)) == []
    assert endpoint.statistics().datagrams_misdirected == 1
    assert endpoint.statistics().connections == 1
    assert endpoint.next_event() is None


def test_packets_for_nobody_are_dropped_counted_and_not_answered() -> None:
    endpoint, socket_id = _established()
    other = socket_id ^ 1
    packet = encode_data(DataPacket(100, 0xE0000001, 0, other, b"x"))
    assert _give(endpoint, packet) == []
    assert _give(endpoint, _packet(_handshake(0), other)) == []
    assert _give(endpoint, b"short") == []
    assert _give(endpoint, b"\x80\0" + bytes(20)) == []
    statistics = endpoint.statistics()
    assert statistics.datagrams_unknown == 2
    assert statistics.datagrams_short == 1
    assert statistics.handshakes_malformed == 1


def test_handshakes_for_a_connection_that_stands_change_nothing() -> None:
    endpoint, socket_id = _established()
    for kind in (*HandshakeType, 1004):
        assert _give(endpoint, _packet(_handshake(kind), socket_id)) == []
    assert endpoint.statistics().handshakes_ignored == 6
    assert endpoint.statistics().connections == 1


def test_a_socket_that_does_not_listen_answers_nobody() -> None:
    endpoint = Endpoint(dice=SeededDice(1), now=_NOW)
    assert _give(endpoint, _packet(_handshake(HandshakeType.INDUCTION))) == []
    assert endpoint.statistics().datagrams_unknown == 1


@pytest.mark.parametrize("kind", [2, 5, 999, 0x7FFF_FFFF, 0xFFFF_FFFD, 0xFFFF_FFFE, 0])
def test_other_handshakes_are_not_answered_by_a_listener(kind: int) -> None:
    endpoint = _listening()
    cookie = _cookie(endpoint)
    assert _give(endpoint, _packet(_conclusion(cookie, type=kind))) == []
    assert endpoint.statistics().handshakes_ignored == 1


def _calling() -> tuple[Endpoint, int]:
    endpoint = Endpoint(dice=SeededDice(1), now=_NOW)
    socket_id = endpoint.connect(_PEER, SrtOptions(), now=_NOW)
    endpoint.datagrams_to_send()
    return endpoint, socket_id


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"version": 4}, RejectionCode.VERSION),
        ({"extension": 2}, RejectionCode.ROGUE),
    ],
)
def test_a_caller_refuses_listeners_that_are_none_of_srt(
    changes: dict[str, Any], code: RejectionCode
) -> None:
    endpoint, socket_id = _calling()
    answer = attrs.evolve(
        _handshake(HandshakeType.INDUCTION, extension=HANDSHAKE_MAGIC), **changes
    )
    assert _give(endpoint, _packet(answer, socket_id)) == []
    event = endpoint.next_event()
    assert isinstance(event, ConnectionRejected)
    assert event.code == code


def test_a_caller_is_told_no_by_its_listener_alone() -> None:
    endpoint, socket_id = _calling()
    rejection = _packet(_handshake(1000 + 1404), socket_id)
    _give(endpoint, rejection, ("192.0.2.7", 1))
    assert endpoint.next_event() is None
    _give(endpoint, rejection)
    event = endpoint.next_event()
    assert isinstance(event, ConnectionRejected)
    assert event.code == 1404


def test_a_caller_that_is_shut_down_gives_up() -> None:
    endpoint, socket_id = _calling()
    packet = ControlPacket(ControlType.SHUTDOWN, 0, 0, 0, socket_id, bytes(4))
    _give(endpoint, encode_control(packet))
    event = endpoint.next_event()
    assert isinstance(event, ConnectionRejected)
    assert event.code == RejectionCode.PEER


def test_a_caller_ignores_a_conclusion_that_it_did_not_ask_for() -> None:
    endpoint, socket_id = _calling()
    field, octets = encode_extensions(Extensions(response=_LATENCY))
    early = _handshake(HandshakeType.CONCLUSION, extension=field, extensions=octets)
    _give(endpoint, _packet(early, socket_id))
    assert endpoint.next_event() is None
    assert endpoint.statistics().handshakes_ignored == 1


def test_socket_ids_are_unique_and_carry_the_workers_number() -> None:
    endpoint = Endpoint(dice=SeededDice(1), now=_NOW, socket_id_prefix=0xA5)
    ids = {
        endpoint.connect(("192.0.2.9", 1), SrtOptions(), now=_NOW) for _ in range(500)
    }
    assert len(ids) == 500
    assert {number >> 22 for number in ids} == {0xA5}
    with pytest.raises(UsageError):
        Endpoint(dice=SeededDice(1), now=_NOW, socket_id_prefix=256)


def test_idle_connections_cost_nothing_between_their_deadlines() -> None:
    endpoint = _listening(Limits(connections_per_address=2000, requests=2000))
    for number in range(200):
        _ask(endpoint, _PEER, 100 + number)
        _accept_all(endpoint)
    at = endpoint.next_timeout()
    assert at is not None
    assert at > _NOW + 0.9
    # A tick before has nobody to wake.
    endpoint.handle_timeout(at - 0.01)
    assert endpoint.next_timeout() == at
    assert endpoint.datagrams_to_send() == []
