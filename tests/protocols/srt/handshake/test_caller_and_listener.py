"""Calling and listening: SRT draft-01 §4.3, §4.3.1, §4.3.1.1.2, §4.3.1.2.1,
libsrt API-socket-options.md §List of options, libsrt handshake.md §HSREQ and HSRSP."""

from __future__ import annotations

from typing import Any

import pytest
from sansmedia.sansio import UsageError
from sansmedia.sansio.testing import Conditions, DatagramPair
from sansmedia.srt.connection_events import MessagesReceived
from sansmedia.srt.constants import CryptoMode, Role, TransmissionType
from sansmedia.srt.endpoint_events import (
    Closed,
    ConnectionEstablished,
    ConnectionRejected,
    ConnectionRequested,
    RequestEnded,
)
from sansmedia.srt.extensions_wire import GroupMembership
from sansmedia.srt.key_material_wire import KeyCipher
from sansmedia.srt.options import SrtOptions
from sansmedia.srt.rejections import RejectionCode
from sansmedia.srt.stream_id import AccessMode, AccessRequest

_SECRET = "a passphrase"
_BAD = Conditions(
    delay=0.02, jitter=0.01, loss=0.3, duplicate=0.2, reorder=0.2, reorder_delay=0.3
)


def test_a_call_is_answered_and_carries_messages(meeting: Any) -> None:
    both = meeting(left=SrtOptions(stream_id="live/x"))
    both.call(0.5)
    ours, theirs = both.agreed()
    assert (ours.role, theirs.role) == (Role.CALLER, Role.LISTENER)
    assert ours.socket_id == theirs.peer_socket_id
    assert theirs.socket_id == ours.peer_socket_id
    assert ours.initial_sequence == theirs.initial_sequence
    assert ours.initial_sequence == theirs.peer_initial_sequence
    assert ours.stream_id == theirs.stream_id == "live/x"
    assert ours.mss == theirs.mss == 1500
    assert ours.flow_window == theirs.flow_window == 8192
    for name in ("tsbpd_receive", "tsbpd_send", "tlpkt_drop", "nak_report"):
        assert getattr(ours, name)
    for name in ("rexmit_flag", "live", "message_api"):
        assert getattr(theirs, name)
    assert theirs.peer_version == 0x010505
    assert theirs.peer_timestamp_at == pytest.approx(1000.06)
    assert theirs.peer_timestamp == 40_000
    assert both.carries()


def test_the_request_tells_what_a_program_decides_by(meeting: Any) -> None:
    both = meeting(
        left=SrtOptions(
            stream_id="#!::r=live/x,m=publish,u=me",
            passphrase=_SECRET,
            pbkeylen=32,
            crypto_mode=CryptoMode.AES_GCM,
        ),
        right=SrtOptions(passphrase=_SECRET),
    )
    both.call(0.5)
    [request] = both.of(ConnectionRequested)[1]
    assert request.peer == DatagramPair.left_address
    assert request.access == AccessRequest(
        resource="live/x", mode=AccessMode.PUBLISH, user="me"
    )
    assert request.access_error is None
    assert request.is_encrypted
    assert (request.key_length, request.cipher) == (32, KeyCipher.AES_GCM)
    assert request.peer_version == 0x010505
    assert request.is_live
    assert request.is_message_api
    assert request.group is None
    [established] = both.of(ConnectionEstablished)[1]
    assert established.request_id == request.request_id


def test_a_malformed_access_request_is_told_as_such(meeting: Any) -> None:
    both = meeting(left=SrtOptions(stream_id="#!::nonsense"))
    both.call(0.5)
    [request] = both.of(ConnectionRequested)[1]
    assert request.access is None
    assert request.access_error.code == "stream_id"


@pytest.mark.parametrize("length", [16, 24, 32])
@pytest.mark.parametrize("mode", list(CryptoMode))
def test_encrypted_calls_carry_messages(
    meeting: Any, length: int, mode: CryptoMode
) -> None:
    both = meeting(
        left=SrtOptions(passphrase=_SECRET, pbkeylen=length, crypto_mode=mode),
        right=SrtOptions(passphrase=_SECRET),
    )
    both.call(0.5)
    assert both.carries()


def test_a_listeners_key_length_holds_for_a_caller_without_one(meeting: Any) -> None:
    both = meeting(
        left=SrtOptions(passphrase=_SECRET),
        right=SrtOptions(passphrase=_SECRET, pbkeylen=24),
    )
    both.call(0.5)
    [request] = both.of(ConnectionRequested)[1]
    assert request.key_length == 24
    assert both.carries()


@pytest.mark.parametrize("seed", range(12))
def test_a_call_succeeds_on_a_bad_path(meeting: Any, seed: int) -> None:
    both = meeting(
        left=SrtOptions(passphrase=_SECRET, stream_id="x", connect_timeout=20.0),
        right=SrtOptions(passphrase=_SECRET, rcv_latency=2.0),
        there=_BAD,
        seed=10 * seed + 1,
    )
    both.call(20)
    both.agreed()
    assert len(both.of(ConnectionRequested)[1]) == 1
    assert both.of(ConnectionRejected) == ([], [])


@pytest.mark.parametrize(
    ("left", "right", "latencies"),
    [
        ((0.12, 0.0), (0.12, 0.0), (0.12, 0.12)),
        ((0.5, 0.0), (0.12, 0.0), (0.5, 0.12)),
        ((0.12, 0.7), (0.12, 0.0), (0.12, 0.7)),
        ((0.12, 0.7), (0.9, 0.3), (0.3, 0.9)),
        ((1.0, 0.2), (0.1, 2.0), (2.0, 0.2)),
    ],
)
def test_the_larger_latency_holds_in_each_direction(
    meeting: Any,
    left: tuple[float, float],
    right: tuple[float, float],
    latencies: tuple[float, float],
) -> None:
    both = meeting(
        left=SrtOptions(rcv_latency=left[0], peer_latency=left[1]),
        right=SrtOptions(rcv_latency=right[0], peer_latency=right[1]),
    )
    both.call(0.5)
    ours, theirs = both.agreed()
    assert (ours.receive_latency, ours.send_latency) == latencies
    assert (theirs.send_latency, theirs.receive_latency) == latencies


def test_sides_without_delivery_by_time_are_told(meeting: Any) -> None:
    both = meeting(left=SrtOptions(tsbpd_mode=False, nak_report=False))
    both.call(0.5)
    ours, theirs = both.agreed()
    assert (ours.tsbpd_receive, ours.tsbpd_send) == (False, True)
    assert (theirs.tsbpd_receive, theirs.tsbpd_send) == (False, False)
    assert (ours.nak_report, theirs.nak_report) == (True, False)
    assert not ours.tlpkt_drop
    assert not theirs.tlpkt_drop


def test_the_smaller_mss_and_the_peers_window_hold(meeting: Any) -> None:
    both = meeting(
        left=SrtOptions(mss=1400, flow_window=500), right=SrtOptions(mss=1300)
    )
    both.call(0.5)
    ours, theirs = both.agreed()
    assert (ours.mss, theirs.mss) == (1300, 1300)
    assert (ours.flow_window, theirs.flow_window) == (8192, 500)


_FILE: dict[str, Any] = {"transmission_type": TransmissionType.FILE}


@pytest.mark.parametrize("message_api", [True, False])
def test_file_mode_is_agreed_on(meeting: Any, message_api: bool) -> None:
    options = SrtOptions(**_FILE, message_api=message_api)
    both = meeting(left=options, right=options)
    both.call(0.5)
    ours, theirs = both.agreed()
    assert not ours.live
    assert not theirs.live
    assert ours.message_api == theirs.message_api == message_api
    [request] = both.of(ConnectionRequested)[1]
    assert (request.is_live, request.is_message_api) == (False, message_api)


@pytest.mark.parametrize(
    ("left", "right", "code"),
    [
        (SrtOptions(passphrase=_SECRET), SrtOptions(), RejectionCode.UNSECURE),
        (SrtOptions(), SrtOptions(passphrase=_SECRET), RejectionCode.UNSECURE),
        (
            SrtOptions(passphrase=_SECRET),
            SrtOptions(passphrase="another passphrase"),
            RejectionCode.BADSECRET,
        ),
        (
            SrtOptions(passphrase=_SECRET),
            SrtOptions(passphrase=_SECRET, crypto_mode=CryptoMode.AES_GCM),
            RejectionCode.CRYPTO,
        ),
        (
            SrtOptions(**_FILE, message_api=False),
            SrtOptions(**_FILE),
            RejectionCode.MESSAGEAPI,
        ),
        (SrtOptions(**_FILE), SrtOptions(), RejectionCode.CONGESTION),
        (SrtOptions(), SrtOptions(**_FILE), RejectionCode.CONGESTION),
        (
            SrtOptions(packet_filter="fec,cols:10"),
            SrtOptions(packet_filter="fec,cols:5"),
            RejectionCode.FILTER,
        ),
        (
            SrtOptions(packet_filter="nonsense"),
            SrtOptions(),
            RejectionCode.FILTER,
        ),
        (SrtOptions(), SrtOptions(min_version=0x010600), RejectionCode.VERSION),
    ],
)
def test_what_does_not_suit_is_refused_with_its_code(
    meeting: Any, left: SrtOptions, right: SrtOptions, code: RejectionCode
) -> None:
    both = meeting(left=left, right=right)
    both.call(2)
    [rejected] = both.of(ConnectionRejected)[0]
    assert rejected.code == code
    assert both.of(ConnectionEstablished) == ([], [])
    if code is not RejectionCode.VERSION:
        [ended] = both.of(RequestEnded)[1]
        assert ended.code == code
    assert both.left.statistics().handshaking == 0
    assert both.right.statistics().connections == 0


def test_a_caller_refuses_an_old_listener_and_says_goodbye(meeting: Any) -> None:
    both = meeting(left=SrtOptions(min_version=0x010600))
    both.call(2)
    [rejected] = both.of(ConnectionRejected)[0]
    assert rejected.code == RejectionCode.VERSION
    # The listener took it for connected, and learns of it at once.
    assert len(both.of(Closed)[1]) == 1
    assert both.right.statistics().connections == 0


def test_lax_sides_with_different_secrets_stand(meeting: Any) -> None:
    both = meeting(
        left=SrtOptions(passphrase=_SECRET, enforced_encryption=False),
        right=SrtOptions(passphrase="another one 10", enforced_encryption=False),
    )
    both.call(0.5)
    both.agreed()
    assert not both.carries()


def test_the_passphrase_may_depend_on_the_stream_id(meeting: Any) -> None:
    secrets = {"one": "passphrase one", "two": "passphrase two"}

    def decide(endpoint: Any, event: Any, now: float) -> None:
        options = SrtOptions(
            passphrase=secrets[event.stream_id], rcv_latency=0.8, payload_size=1000
        )
        endpoint.accept(event.request_id, options, now=now)

    for name, passphrase in (*secrets.items(), ("one", "passphrase two")):
        both = meeting(
            left=SrtOptions(stream_id=name, passphrase=passphrase), decide=decide
        )
        both.call(1)
        if secrets[name] == passphrase:
            assert both.agreed()[0].send_latency == 0.8
            assert both.carries()
        else:
            [rejected] = both.of(ConnectionRejected)[0]
            assert rejected.code == RejectionCode.BADSECRET


@pytest.mark.parametrize("code", [1000, 1403, 1404, 1409, 1499, 2005])
def test_a_program_rejects_with_its_code(meeting: Any, code: int) -> None:
    both = meeting(
        decide=lambda endpoint, event, now: endpoint.reject(
            event.request_id, code, now=now
        )
    )
    both.call(2)
    [rejected] = both.of(ConnectionRejected)[0]
    assert rejected.code == code
    assert both.of(RequestEnded)[1] == []


@pytest.mark.parametrize("seed", range(5))
def test_a_rejection_that_is_lost_is_told_again_without_asking(
    meeting: Any, seed: int
) -> None:
    both = meeting(
        left=SrtOptions(connect_timeout=20.0),
        there=_BAD,
        seed=20 * seed + 3,
        decide=lambda endpoint, event, now: endpoint.reject(
            event.request_id, 1404, now=now
        ),
    )
    both.call(10)
    [rejected] = both.of(ConnectionRejected)[0]
    assert rejected.code == 1404
    assert len(both.of(ConnectionRequested)[1]) == 1


def test_nobody_there_is_a_time_out_after_three_seconds(meeting: Any) -> None:
    both = meeting()
    both.left.connect(("192.0.2.99", 5000), SrtOptions(), now=1000.0)
    both.pair.run(1002.9)
    assert both.of(ConnectionRejected) == ([], [])
    both.pair.run(1003.1)
    [rejected] = both.of(ConnectionRejected)[0]
    assert rejected.code == RejectionCode.TIMEOUT


def test_a_handshake_is_repeated_every_quarter_of_a_second(meeting: Any) -> None:
    both = meeting()
    both.left.connect(DatagramPair.right_address, SrtOptions(), now=1000.0)
    sent = []
    for tenth in range(10):
        now = 1000.0 + tenth / 10
        both.left.handle_timeout(now)
        sent += [(tenth, len(one.data)) for one in both.left.datagrams_to_send()]
    assert sent == [(0, 64), (3, 64), (6, 64), (9, 64)]


def test_a_decision_may_take_its_time(meeting: Any) -> None:
    both = meeting(left=SrtOptions(connect_timeout=10.0), decide=lambda *_: None)
    both.call(2)
    [request] = both.of(ConnectionRequested)[1]
    assert both.right.statistics().requests == 1
    assert both.right.accept(request.request_id, now=both.pair.now) is not None
    assert both.right.accept(request.request_id, now=both.pair.now) is None
    both.pair.run(both.pair.now + 1)
    assert both.carries()


def test_a_request_that_nobody_decides_ends(meeting: Any) -> None:
    both = meeting(left=SrtOptions(connect_timeout=10.0), decide=lambda *_: None)
    both.call(6)
    [request] = both.of(ConnectionRequested)[1]
    [ended] = both.of(RequestEnded)[1]
    assert (ended.request_id, ended.code) == (1, RejectionCode.TIMEOUT)
    [rejected] = both.of(ConnectionRejected)[0]
    assert rejected.code == RejectionCode.TIMEOUT
    assert both.right.accept(request.request_id, now=both.pair.now) is None
    both.right.reject(request.request_id, now=both.pair.now)


def test_a_program_gives_up_calling(meeting: Any) -> None:
    both = meeting()
    socket_id = both.left.connect(("192.0.2.9", 1), SrtOptions(), now=1000.0)
    both.left.close_connection(socket_id, "changed my mind", now=1000.1)
    both.pair.run(1010)
    [rejected] = both.of(ConnectionRejected)[0]
    assert (rejected.socket_id, rejected.code) == (socket_id, RejectionCode.CLOSE)
    assert rejected.reason == "changed my mind"


def test_a_closing_listener_says_so(meeting: Any) -> None:
    both = meeting(decide=lambda *_: None)
    both.call(0.5)
    both.right.close("going", now=both.pair.now)
    both.pair.run(both.pair.now + 1)
    [rejected] = both.of(ConnectionRejected)[0]
    assert rejected.code == RejectionCode.CLOSE


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_connection_ends_on_both_sides(meeting: Any, side: str) -> None:
    both = meeting()
    both.call(0.5)
    ours, theirs = both.agreed()
    endpoint, one = {"left": (both.left, ours), "right": (both.right, theirs)}[side]
    endpoint.close_connection(one.socket_id, "done", now=both.pair.now)
    both.pair.run(both.pair.now + 1)
    closed = both.of(Closed)
    assert [len(events) for events in closed] == [1, 1]
    assert closed[0][0].socket_id == ours.socket_id
    assert both.left.statistics().connections == 0
    assert both.right.statistics().connections == 0
    assert both.left.connection(ours.socket_id) is None
    assert both.left.send(ours.socket_id, [b"x"], now=both.pair.now) == 0
    assert both.left.write(ours.socket_id, [b"x"], now=both.pair.now) == []


def test_the_lane_gives_packets_that_the_program_sends_itself(meeting: Any) -> None:
    both = meeting()
    both.call(0.5)
    ours, _ = both.agreed()
    packets = both.left.write(ours.socket_id, [b"a", b"b"], now=both.pair.now)
    assert [packet[16:] for packet in packets] == [b"a", b"b"]
    assert both.left.connection(ours.socket_id).peer == DatagramPair.right_address
    both.left.refresh(ours.socket_id)


def test_a_members_group_travels(meeting: Any) -> None:
    def decide(endpoint: Any, event: Any, now: float) -> None:
        assert event.group == GroupMembership(77, 2, 0, 5)
        options = SrtOptions(group_connect=True)
        endpoint.accept(event.request_id, options, group_id=88, now=now)

    both = meeting(decide=decide)
    both.right.listen(SrtOptions(), now=1000.0)
    both.left.connect(
        DatagramPair.right_address,
        SrtOptions(),
        now=1000.0,
        group=GroupMembership(77, 2, 0, 5),
    )
    both.pair.run(1001)
    ours, theirs = both.agreed()
    assert (ours.group_id, ours.group_type, ours.group_weight) == (88, 2, 5)
    assert (theirs.group_id, theirs.group_type, theirs.group_weight) == (77, 2, 5)


@pytest.mark.parametrize(
    ("options", "group_id"),
    [(SrtOptions(), 88), (SrtOptions(group_connect=True), 0)],
)
def test_a_listener_without_groups_refuses_members(
    meeting: Any, options: SrtOptions, group_id: int
) -> None:
    both = meeting(
        decide=lambda endpoint, event, now: endpoint.accept(
            event.request_id, options, group_id=group_id, now=now
        )
    )
    both.right.listen(SrtOptions(), now=1000.0)
    both.left.connect(
        DatagramPair.right_address,
        SrtOptions(),
        now=1000.0,
        group=GroupMembership(77, 1),
    )
    both.pair.run(1001)
    [rejected] = both.of(ConnectionRejected)[0]
    assert rejected.code == RejectionCode.GROUP


@pytest.mark.parametrize(
    ("left", "right", "agreed"),
    [
        ("fec,cols:4,rows:4", "", "fec,cols:4,rows:4"),
        ("", "fec,cols:4,rows:4", ""),
        ("fec,cols:4", "fec,rows:4", "fec,arq:onreq,cols:4,layout:staircase,rows:4"),
    ],
)
def test_packet_filters_are_agreed_on_and_used(
    meeting: Any, left: str, right: str, agreed: str
) -> None:
    both = meeting(
        left=SrtOptions(packet_filter=left), right=SrtOptions(packet_filter=right)
    )
    both.call(0.5)
    filters = [one.packet_filter for one in both.agreed()]
    assert filters[0] == filters[1]
    assert sorted(filters[0].split(",")) == sorted(agreed.split(","))
    assert both.carries()


def test_keys_are_refreshed_while_messages_flow(meeting: Any) -> None:
    options = SrtOptions(passphrase=_SECRET, km_refresh_rate=40, km_pre_announce=10)
    both = meeting(left=options, right=options)
    both.call(0.5)
    ours, theirs = both.agreed()
    sent = []
    for number in range(300):
        sent.append(b"message %d" % number)
        both.left.send(ours.socket_id, [sent[-1]], now=both.pair.now)
        both.right.send(theirs.socket_id, [sent[-1]], now=both.pair.now)
        both.pair.run(both.pair.now + 0.005)
    both.pair.run(both.pair.now + 2)
    for events in both.of(MessagesReceived):
        got = [message.data for event in events for message in event.messages]
        assert got == sent


@pytest.mark.parametrize(
    "options",
    [
        SrtOptions(stream_id="x" * 513),
        SrtOptions(stream_id="a\0b"),
        SrtOptions(congestion="vegas"),
        SrtOptions(mss=1501),
        SrtOptions(mss=60),
        SrtOptions(flow_window=2),
        SrtOptions(group="balancing"),
        SrtOptions(passphrase="short"),
    ],
)
def test_options_that_cannot_be_are_refused(meeting: Any, options: SrtOptions) -> None:
    both = meeting()
    with pytest.raises(UsageError):
        both.left.connect(("192.0.2.1", 1), options, now=1000.0)
    with pytest.raises(UsageError):
        both.left.rendezvous(("192.0.2.1", 1), options, now=1000.0)
    with pytest.raises(UsageError):
        both.left.listen(options, now=1000.0)


@pytest.mark.parametrize("code", [-1, 0, 17, 999, 3000])
def test_codes_of_the_library_are_not_for_programs(meeting: Any, code: int) -> None:
    with pytest.raises(UsageError):
        meeting().right.reject(1, code, now=1000.0)
