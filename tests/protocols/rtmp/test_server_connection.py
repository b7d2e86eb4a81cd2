"""The server's connection: RTMP 1.0 §7.2, §7.2.1.1, §7.3, §5.4.3.

Also E-RTMP v2 §Reconnect Request, §Enhancing NetConnection connect Command.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from sansmedia.amf import Undefined
from sansmedia.rtmp import (
    Capabilities,
    ConnectRequested,
    Enhancements,
    Limits,
    MediaKind,
    MediaMessage,
    MediaReceived,
    Message,
    PublishRequested,
    ServerConfig,
)
from sansmedia.rtmp.messages import (
    Acknowledgement,
    SetChunkSize,
    SetPeerBandwidth,
    UserControl,
    WindowAcknowledgementSize,
    decode_control,
    encode_control,
)
from sansmedia.sansio import Terminated, TerminationCause

MakeRaw = Callable[..., Any]


def test_connect_is_answered_after_accept_alone(make_raw: MakeRaw) -> None:
    raw = make_raw()
    raw.shake()
    raw.call(
        "connect",
        1.0,
        {
            "app": "live?vhost=a",
            "tcUrl": "rtmp://h/live?vhost=a",
            "flashVer": "LNX 9",
            "pageUrl": "http://page",
            "swfUrl": "http://swf",
            "objectEncoding": 3.0,
            "fourCcList": ["av01", "hvc1"],
            "videoFourCcInfoMap": {"*": 4.0},
            "audioFourCcInfoMap": {"Opus": 3.0},
            "capsEx": 5.0,
        },
    )
    event = raw.event()
    assert isinstance(event, ConnectRequested)
    assert event.app == "live?vhost=a"
    assert event.tc_url == "rtmp://h/live?vhost=a"
    assert event.flash_version == "LNX 9"
    assert (event.page_url, event.swf_url) == ("http://page", "http://swf")
    assert event.object_encoding == 3
    assert event.capabilities == Capabilities(
        ("av01", "hvc1"), {"*": 4}, {"Opus": 3}, 5
    )
    assert raw.answers == []
    raw.server.accept(event.request_id, now=1.0)
    raw.collect()
    [answer] = raw.answers
    assert (answer.name, answer.transaction_id) == ("_result", 1.0)
    assert answer.command_object["fmsVer"] == "FMS/3,0,1,123"
    info = answer.argument(0)
    assert info["code"] == "NetConnection.Connect.Success"
    assert info["objectEncoding"] == 3.0
    assert info["fourCcList"] == ["*"]
    assert info["videoFourCcInfoMap"] == {"*": 4.0}
    assert info["capsEx"] == 15.0
    controls = [decode_control(message) for message in raw.messages]
    assert [type(control) for control in controls] == [
        WindowAcknowledgementSize,
        SetPeerBandwidth,
        UserControl,
    ]


def test_a_legacy_server_announces_nothing_enhanced(make_raw: MakeRaw) -> None:
    raw = make_raw(config=ServerConfig(enhancements=None, chunk_size=4096))
    raw.connect()
    [answer] = raw.answers
    assert "fourCcList" not in answer.argument(0)
    assert "capsEx" not in answer.command_object
    assert SetChunkSize(4096) in [decode_control(message) for message in raw.messages]


def test_enhancements_are_what_the_configuration_says(make_raw: MakeRaw) -> None:
    enhancements = Enhancements(
        four_cc_list=("av01",),
        video_four_cc_info={"av01": 4},
        audio_four_cc_info={},
        caps_ex=1,
    )
    raw = make_raw(config=ServerConfig(enhancements=enhancements))
    raw.connect()
    info = raw.answers[0].argument(0)
    assert info["fourCcList"] == ["av01"]
    assert info["videoFourCcInfoMap"] == {"av01": 4.0}
    assert info["capsEx"] == 1.0


def test_a_rejected_connect_ends_the_connection(make_raw: MakeRaw) -> None:
    raw = make_raw()
    raw.shake()
    raw.call("connect", 1.0, {"app": "live"})
    raw.server.reject(raw.event().request_id, description="no such app", now=1.0)
    raw.collect()
    [answer] = raw.answers
    assert answer.name == "_error"
    assert answer.argument(0) == {
        "level": "error",
        "code": "NetConnection.Connect.Rejected",
        "description": "no such app",
    }
    assert raw.event() == Terminated(TerminationCause.LOCAL, "no such app")


def test_what_an_eager_client_sends_ahead_waits_for_accept(make_raw: MakeRaw) -> None:
    raw = make_raw()
    raw.shake()
    raw.call("connect", 1.0, {"app": "live"})
    raw.call("createStream", 2.0, None)
    raw.call("publish", 3.0, None, "cam", "live", stream_id=1)
    raw.send(Message(9, 1, 40, b"key"), 6)
    connect = raw.event()
    assert raw.event() is None
    raw.server.accept(connect.request_id, now=1.0)
    assert isinstance(raw.event(), PublishRequested)
    assert raw.event() == MediaReceived(1, [MediaMessage(MediaKind.VIDEO, 40, b"key")])
    assert raw.server.pending_bytes > 0
    raw.collect()
    assert raw.server.pending_bytes == 0


def test_a_second_connect_is_refused(raw: Any) -> None:
    raw.answers.clear()
    raw.call("connect", 9.0, {"app": "live"})
    assert raw.answers[0].name == "_error"
    assert raw.event() is None


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("releaseStream", [("_result", 5.0)]),
        ("FCPublish", [("_result", 5.0), ("onFCPublish", 0.0)]),
        ("FCUnpublish", [("onFCUnpublish", 0.0), ("_result", 5.0)]),
        ("FCSubscribe", [("_result", 5.0), ("onFCSubscribe", 0.0)]),
        ("_checkbw", [("_result", 5.0)]),
        ("getStreamLength", [("_result", 5.0)]),
        ("sayHello", [("_error", 5.0)]),
        ("_result", []),
    ],
)
def test_calls_are_answered_as_clients_of_the_field_expect(
    raw: Any, name: str, expected: list[tuple[str, float]]
) -> None:
    raw.answers.clear()
    raw.call(name, 5.0, None, "cam")
    answers = [(answer.name, answer.transaction_id) for answer in raw.answers]
    assert answers == expected
    assert raw.event() is None


def test_calls_that_want_no_answer_get_none(raw: Any) -> None:
    raw.answers.clear()
    raw.call("sayHello", 0.0, None, "cam")
    raw.call("releaseStream", 0.0, None, "cam")
    assert raw.answers == []


def test_release_stream_answers_undefined(raw: Any) -> None:
    raw.answers.clear()
    raw.call("releaseStream", 2.0, None, "cam")
    assert raw.answers[0].arguments == (Undefined(),)


def test_pings_are_answered_and_measured(raw: Any) -> None:
    raw.messages.clear()
    raw.send(encode_control(UserControl(6, 77)), 2)
    assert decode_control(raw.messages.pop()) == UserControl(7, 77)
    raw.server.send_ping(2.5)
    raw.collect()
    assert decode_control(raw.messages.pop()) == UserControl(6, 2500)
    raw.now = 2.75
    raw.send(encode_control(UserControl(7, 2500)), 2)
    assert raw.server.statistics().round_trip_time == 0.25


def test_received_octets_are_acknowledged_once_a_window(raw: Any) -> None:
    raw.send(encode_control(WindowAcknowledgementSize(10_000)), 2)
    raw.publish()
    raw.messages.clear()
    for number in range(10):
        raw.send(Message(9, 1, number, bytes(4000)), 6)
    numbers = [
        control.sequence_number
        for control in map(decode_control, raw.messages)
        if isinstance(control, Acknowledgement)
    ]
    assert len(numbers) == 3
    assert all(b - a >= 10_000 for a, b in itertools.pairwise(numbers))


def test_a_bandwidth_limit_is_answered_with_the_window(raw: Any) -> None:
    raw.messages.clear()
    raw.send(encode_control(SetPeerBandwidth(1000, 0)), 2)  # type: ignore[arg-type] # wire number
    raw.send(encode_control(SetPeerBandwidth(1000, 0)), 2)  # type: ignore[arg-type] # wire number
    assert [decode_control(m) for m in raw.messages] == [
        WindowAcknowledgementSize(1000)
    ]


def test_acknowledgements_of_the_peer_are_counted(raw: Any) -> None:
    raw.send(encode_control(Acknowledgement(0xFFFF_FFFF)), 2)
    raw.send(encode_control(Acknowledgement(5)), 2)
    assert raw.server.statistics().bytes_acknowledged == 5


def test_reconnect_is_asked_of_clients_that_can(make_raw: MakeRaw) -> None:
    raw = make_raw()
    raw.connect()
    assert raw.server.request_reconnect("rtmp://b/live", now=1.0) is False
    raw = make_raw()
    raw.shake()
    raw.call("connect", 1.0, {"app": "live", "capsEx": 1.0})
    raw.server.accept(raw.event().request_id, now=1.0)
    raw.collect()
    raw.answers.clear()
    assert raw.server.request_reconnect("rtmp://b/live", "moving", now=1.0) is True
    assert raw.server.request_reconnect(now=1.0) is True
    raw.collect()
    infos = [answer.argument(0) for answer in raw.answers]
    assert infos == [
        {
            "level": "status",
            "code": "NetConnection.Connect.ReconnectRequest",
            "description": "moving",
            "tcUrl": "rtmp://b/live",
        },
        {
            "level": "status",
            "code": "NetConnection.Connect.ReconnectRequest",
            "description": "",
        },
    ]


def test_closing_tells_players_and_the_connection(raw: Any) -> None:
    raw.play()
    raw.answers.clear()
    raw.server.close("going down", now=1.0)
    raw.server.close("again", now=1.0)
    raw.collect()
    assert raw.codes() == ["NetStream.Play.Stop", "NetConnection.Connect.Closed"]
    assert raw.event() == Terminated(TerminationCause.LOCAL, "going down")
    assert raw.event() is None
    assert raw.server.next_timeout() is None


def test_closing_while_connect_waits_refuses_it(make_raw: MakeRaw) -> None:
    raw = make_raw()
    raw.shake()
    raw.call("connect", 1.0, {"app": "live"})
    raw.server.close("going down", now=1.0)
    raw.collect()
    assert raw.answers[0].name == "_error"


def test_the_end_of_the_transport_ends_the_session(raw: Any) -> None:
    raw.server.receive_eof(2.0)
    assert raw.event() == Terminated(TerminationCause.EOF, "the transport ended")
    raw.server.receive_data(b"late", 2.0)
    assert raw.event() is None
    assert raw.server.pending_bytes == 0


def _expire(server: Any) -> tuple[float, Terminated]:
    while True:
        now = server.next_timeout()
        server.handle_timeout(now)
        while (event := server.next_event()) is not None:
            if isinstance(event, Terminated):
                return now, event


def test_a_handshake_that_stalls_is_ended(make_raw: MakeRaw) -> None:
    raw = make_raw(limits=Limits(handshake_timeout=10.0))
    raw.server.receive_data(b"\x03", 9.9)
    now, event = _expire(raw.server)
    assert now == 10.0
    assert event.cause is TerminationCause.TIMEOUT


def test_a_client_that_does_nothing_is_ended(make_raw: MakeRaw) -> None:
    raw = make_raw(limits=Limits(setup_timeout=20.0))
    raw.connect()
    assert _expire(raw.server)[0] == 21.0


def test_a_publisher_is_not_ended_by_the_setup_time(make_raw: MakeRaw) -> None:
    raw = make_raw(config=ServerConfig(ping_interval=None))
    raw.connect()
    raw.publish()
    assert raw.server.next_timeout() is None
    raw.call("deleteStream", 0.0, None, 1.0)
    assert raw.server.next_timeout() == 31.0


def test_the_time_that_policy_takes_is_not_the_clients(make_raw: MakeRaw) -> None:
    raw = make_raw(config=ServerConfig(ping_interval=None))
    raw.shake()
    raw.call("connect", 1.0, {"app": "live"})
    assert raw.server.next_timeout() is None
    raw.server.accept(raw.event().request_id, now=100.0)
    assert raw.server.next_timeout() == 130.0


def test_a_peer_that_is_silent_after_a_ping_is_ended(make_raw: MakeRaw) -> None:
    raw = make_raw(config=ServerConfig(ping_interval=30.0, ping_timeout=45.0))
    raw.connect()
    raw.publish()
    assert raw.server.next_timeout() == 31.0
    now, event = _expire(raw.server)
    assert now == 31.0 + 45.0
    assert event.cause is TerminationCause.TIMEOUT


def test_any_octet_after_a_ping_proves_life(make_raw: MakeRaw) -> None:
    raw = make_raw(config=ServerConfig(ping_interval=30.0, ping_timeout=45.0))
    raw.connect()
    raw.publish()
    raw.server.handle_timeout(31.0)
    raw.server.receive_data(b"\x04", 40.0)
    raw.server.handle_timeout(61.0)
    assert _expire(raw.server)[0] == 61.0 + 45.0


def test_a_session_without_messages_is_ended_if_so_configured(
    make_raw: MakeRaw,
) -> None:
    config = ServerConfig(ping_interval=None, idle_timeout=15.0)
    raw = make_raw(config=config)
    raw.connect()
    raw.publish()
    raw.now = 5.0
    raw.send(Message(8, 1, 0, b"a"), 4)
    now, event = _expire(raw.server)
    assert now == 20.0
    assert event.reason == "no message came"
