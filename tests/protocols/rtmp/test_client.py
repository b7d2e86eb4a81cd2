"""The client's session, against our server: RTMP 1.0 §7.2, §7.3, §7.2.2.3.

Also E-RTMP v2 §Reconnect Request.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sansmedia.rtmp import (
    Capabilities,
    Connected,
    ConnectRejected,
    ConnectRequested,
    HandshakeScheme,
    Limits,
    MediaKind,
    MediaMessage,
    MediaReceived,
    MetadataReceived,
    PauseRequested,
    PlayEnded,
    PlayRejected,
    PlayRequested,
    PlayStarted,
    PublishAccepted,
    PublishEnded,
    PublishRejected,
    PublishRequested,
    ReceiveAudioChanged,
    ReconnectRequested,
    SeekRequested,
    ServerConfig,
    StatusReceived,
    shared_message,
)
from sansmedia.sansio import Terminated, TerminationCause

MakePair = Callable[..., Any]

_RUN = [
    MediaMessage(MediaKind.VIDEO, 0, b"\x17\x00" + bytes(40)),
    MediaMessage(MediaKind.AUDIO, 10, b"\xaf\x01" + bytes(300)),
    MediaMessage(MediaKind.VIDEO, 0xFFFF_FFFF, bytes(150_000)),
    MediaMessage(MediaKind.VIDEO, 20, b""),
]


@pytest.mark.parametrize("scheme", list(HandshakeScheme))
@pytest.mark.parametrize("object_encoding", [0, 3])
def test_what_is_published_arrives(
    make_pair: MakePair, scheme: HandshakeScheme, object_encoding: int
) -> None:
    pair = make_pair(handshake=scheme, object_encoding=object_encoding)
    request_id = pair.client.publish("cam?token=1", now=0.0)
    pair.run()
    assert [type(event) for event in pair.client_events] == [Connected, PublishAccepted]
    assert pair.client_events[1] == PublishAccepted(request_id, 1)
    connect, publish = pair.server_events
    assert isinstance(connect, ConnectRequested)
    assert connect.object_encoding == object_encoding
    assert publish == PublishRequested(2, 1, "cam?token=1", "live")
    assert pair.server.statistics().handshake is scheme
    pair.forget()
    values = ["@setDataFrame", "onMetaData", {"width": 1.0}]
    pair.client.send_data(1, 0, values, now=1.0)
    pair.run()
    pair.server.receive_data(b"".join(pair.client.publish_lane(1).write(_RUN)), 2.0)
    pair.run()
    assert pair.server_events == [MetadataReceived(1, 0, {"width": 1.0})]
    assert pair.server.next_event() == MediaReceived(1, _RUN)


def test_what_is_played_arrives(make_pair: MakePair) -> None:
    pair = make_pair()
    request_id = pair.client.play("cam", now=0.0)
    pair.run()
    assert PlayStarted(request_id, 1) in pair.client_events
    assert any(
        isinstance(event, PlayRequested) and event.start == -2.0
        for event in pair.server_events
    )
    pair.forget()
    lane = pair.server.play_lane(1)
    assert lane.is_shared
    for message in _RUN:
        data = shared_message(message.kind, message.timestamp, message.payload)
        pair.client.receive_data(data, 2.0)
    received = []
    while (event := pair.client.next_event()) is not None:
        assert isinstance(event, MediaReceived)
        received += event.messages
    assert received == _RUN


def test_both_sides_learn_the_others_enhancements(make_pair: MakePair) -> None:
    pair = make_pair()
    pair.run()
    expected = Capabilities(("*",), {"*": 4}, {"*": 4}, 15)
    assert pair.client_events[0].capabilities == expected
    assert pair.server_events[0].capabilities == expected


def test_a_rejected_connect_is_told_and_ends_the_client(make_pair: MakePair) -> None:
    pair = make_pair(accepts=False)
    pair.run()
    pair.server.reject(pair.server_events[0].request_id, None, "no", now=1.0)
    pair.run()
    rejected, terminated = pair.client_events
    assert isinstance(rejected, ConnectRejected)
    assert rejected.code == "NetConnection.Connect.Rejected"
    assert terminated == Terminated(TerminationCause.PEER, "no")


@pytest.mark.parametrize("kind", ["publish", "play"])
def test_a_rejected_request_is_told(make_pair: MakePair, kind: str) -> None:
    pair = make_pair(accepts=False)
    command = pair.client.publish if kind == "publish" else pair.client.play
    request_id = command("cam", now=0.0)
    pair.run()
    pair.server.accept(pair.server_events[0].request_id, now=1.0)
    pair.run()
    pair.server.reject(pair.server_events[1].request_id, None, "busy", now=1.0)
    pair.run()
    expected = (
        PublishRejected(request_id, "NetStream.Publish.BadName", "busy")
        if kind == "publish"
        else PlayRejected(request_id, "NetStream.Play.StreamNotFound", "busy")
    )
    assert pair.client_events[1] == expected
    assert not pair.client.is_terminated


def test_several_streams_share_a_connection(make_pair: MakePair) -> None:
    pair = make_pair()
    pair.client.publish("one", now=0.0)
    pair.client.play("two", now=0.0)
    pair.run()
    assert PublishAccepted(1, 1) in pair.client_events
    assert PlayStarted(2, 2) in pair.client_events
    lane = pair.server.play_lane(2)
    assert not lane.is_shared
    pair.client.receive_data(b"".join(lane.write(_RUN[:2])), 2.0)
    assert pair.client.next_event() == MediaReceived(2, _RUN[:2])


def test_stop_ends_a_publish_and_frees_its_stream(make_pair: MakePair) -> None:
    pair = make_pair()
    pair.client.publish("cam", now=0.0)
    pair.run()
    pair.forget()
    pair.client.stop(1, now=1.0)
    pair.client.stop(1, now=1.0)
    pair.run()
    assert pair.server_events == [PublishEnded(1, "FCUnpublish")]
    pair.client.publish("cam", now=1.0)
    pair.run()
    assert pair.client_events[-1] == PublishAccepted(2, 1)


def test_the_end_of_a_play_is_not_that_of_a_publish(make_pair: MakePair) -> None:
    pair = make_pair()
    pair.client.publish("cam", now=0.0)
    pair.run()
    pair.forget()
    code = "NetStream.Play.Stop"
    pair.server.send_status(1, "status", code, "", now=1.0)
    pair.run()
    assert pair.client_events == [StatusReceived(1, "status", code, "")]
    pair.client.send_data(1, 0, ["x"], now=1.0)
    assert pair.client.data_to_send() != b""


def test_data_for_a_publish_that_the_server_ended_are_void(make_pair: MakePair) -> None:
    pair = make_pair()
    pair.client.publish("cam", now=0.0)
    pair.run()
    pair.forget()
    code = "NetStream.Unpublish.Success"
    pair.server.send_status(1, "status", code, "", now=1.0)
    pair.run()
    assert pair.client_events == [StatusReceived(1, "status", code, "")]
    pair.client.send_data(1, 0, ["x"], now=1.0)
    assert pair.client.data_to_send() == b""


def test_a_play_that_ends_may_begin_again(make_pair: MakePair) -> None:
    pair = make_pair()
    pair.client.play("cam", now=0.0)
    pair.run()
    pair.forget()
    pair.server.end_play(1, now=1.0)
    pair.run()
    pair.server.send_status(1, "status", "NetStream.Play.Start", "", now=1.0)
    pair.run()
    assert pair.client_events == [
        PlayEnded(1, "NetStream.Play.UnpublishNotify"),
        PlayStarted(1, 1),
    ]


def test_pause_seek_and_receive_reach_the_server(make_pair: MakePair) -> None:
    pair = make_pair()
    pair.client.play("cam", now=0.0)
    pair.run()
    pair.forget()
    pair.client.pause(1, True, 700, now=1.0)
    pair.client.pause(1, True, 700, now=1.0)
    pair.client.seek(1, 9000, now=1.0)
    pair.client.receive(1, audio=False, now=1.0)
    pair.run()
    assert pair.server_events == [
        PauseRequested(1, True, 700),
        SeekRequested(3, 1, 9000),
        ReceiveAudioChanged(1, False),
    ]
    assert pair.client_events == [
        StatusReceived(1, "status", "NetStream.Pause.Notify", "Paused.")
    ]


def test_commands_for_no_stream_are_void(make_pair: MakePair) -> None:
    pair = make_pair()
    pair.run()
    pair.client.pause(1, True, now=1.0)
    pair.client.seek(1, 0, now=1.0)
    pair.client.receive(1, video=True, now=1.0)
    pair.client.stop(1, now=1.0)
    pair.client.send_data(1, 0, ["x"], now=1.0)
    assert pair.client.data_to_send() == b""


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("rtmp://other.example/live", "rtmp://other.example/live"),
        ("//other.example/live", "rtmp://other.example/live"),
        (None, "rtmp://example.org/live"),
    ],
)
def test_a_reconnect_request_names_where_to_go(
    make_pair: MakePair, target: str | None, expected: str
) -> None:
    pair = make_pair()
    pair.run()
    pair.forget()
    assert pair.server.request_reconnect(target, "moving", now=1.0)
    pair.run()
    assert pair.client_events == [ReconnectRequested(expected, "moving")]


def test_a_server_that_closes_ends_the_client(make_pair: MakePair) -> None:
    pair = make_pair()
    pair.client.play("cam", now=0.0)
    pair.run()
    pair.forget()
    pair.server.close("going down", now=1.0)
    pair.run()
    assert pair.client_events[0] == PlayEnded(1, "NetStream.Play.Stop")
    assert pair.client_events[-1] == Terminated(TerminationCause.PEER, "going down")


def test_closing_the_client_ends_its_streams_first(make_pair: MakePair) -> None:
    pair = make_pair()
    pair.client.publish("one", now=0.0)
    pair.client.play("two", now=0.0)
    pair.run()
    pair.forget()
    pair.client.close("done", now=1.0)
    pair.run()
    assert pair.server_events == [
        PublishEnded(1, "FCUnpublish"),
        PlayEnded(2, "deleteStream"),
    ]
    assert pair.client_events == [Terminated(TerminationCause.LOCAL, "done")]


def test_a_server_that_never_answers_is_given_up(make_pair: MakePair) -> None:
    pair = make_pair(accepts=False)
    pair.run()
    deadline = pair.client.next_timeout()
    assert deadline == 11.0
    pair.client.handle_timeout(deadline)
    event = pair.client.next_event()
    assert isinstance(event, Terminated)
    assert event.cause is TerminationCause.TIMEOUT


def test_a_publish_that_is_never_answered_is_given_up(make_pair: MakePair) -> None:
    pair = make_pair(accepts=False)
    pair.client.publish("cam", now=0.0)
    pair.run()
    pair.server.accept(pair.server_events[0].request_id, now=1.0)
    pair.run()
    assert pair.client.next_timeout() == 31.0


def test_the_answer_to_one_request_leaves_the_time_of_the_other(
    make_pair: MakePair,
) -> None:
    pair = make_pair(accepts=False)
    pair.client.publish("one", now=0.0)
    pair.client.publish("two", now=0.0)
    pair.run()
    pair.server.accept(pair.server_events[0].request_id, now=1.0)
    pair.run()
    pair.server.accept(pair.server_events[1].request_id, now=1.0)
    pair.run()
    assert isinstance(pair.client_events[-1], PublishAccepted)
    assert pair.client.next_timeout() == 31.0
    pair.server.reject(pair.server_events[2].request_id, now=1.0)
    pair.run()
    assert pair.client.next_timeout() is None


def test_a_server_with_too_few_streams_ends_the_connection(make_pair: MakePair) -> None:
    pair = make_pair(limits=Limits(message_streams=1))
    pair.client.publish("one", now=0.0)
    pair.client.publish("two", now=0.0)
    pair.run()
    terminated = pair.server_events[-1]
    assert isinstance(terminated, Terminated)
    assert terminated.error is not None
    assert terminated.error.code == "limit"


def test_without_a_connection_requests_come_to_nothing(make_pair: MakePair) -> None:
    pair = make_pair()
    pair.client.receive_eof(1.0)
    assert pair.client.publish("cam", now=2.0) == 1
    assert pair.client.next_event() == Terminated(
        TerminationCause.EOF, "the transport ended"
    )
    assert pair.client.next_event() is None


def test_a_chunk_size_announced_in_mid_stream_is_followed(make_pair: MakePair) -> None:
    pair = make_pair(server_config=ServerConfig(chunk_size=4096), chunk_size=1000)
    pair.client.publish("cam", now=0.0)
    pair.run()
    assert pair.client.statistics().chunk_size == 4096
    assert pair.server.statistics().chunk_size == 1000
    data = pair.client.publish_lane(1).write(_RUN)
    pair.server.receive_data(b"".join(data), 2.0)
    assert pair.server.next_event() == MediaReceived(1, _RUN)
