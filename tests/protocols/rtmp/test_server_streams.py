"""The server's message streams, published and played.

RTMP 1.0 §7.2.1.3, §7.2.2, §7.2.2.1, §7.2.2.4, §7.2.2.5, §7.2.2.6, §7.2.2.7, §7.2.2.8.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sansmedia.amf import EcmaArray, Encodable
from sansmedia.rtmp import (
    BufferLengthSet,
    DataReceived,
    MediaKind,
    MediaMessage,
    MediaReceived,
    Message,
    MetadataReceived,
    PauseRequested,
    PlayEnded,
    PlayRequested,
    PublishEnded,
    PublishKind,
    PublishRequested,
    ReceiveAudioChanged,
    ReceiveVideoChanged,
    SeekRequested,
    ServerConfig,
    shared_message,
)
from sansmedia.rtmp.messages import (
    SetChunkSize,
    UserControl,
    decode_control,
    decode_data,
    encode_control,
    encode_data,
)

MakeRaw = Callable[..., Any]


def test_stream_ids_are_given_from_one_up_and_again(raw: Any) -> None:
    raw.answers.clear()
    for transaction in (2.0, 3.0):
        raw.call("createStream", transaction, None)
    raw.call("deleteStream", 0.0, None, 1.0)
    raw.call("createStream", 4.0, None)
    assert [answer.argument(0) for answer in raw.answers] == [1.0, 2.0, 1.0]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("live", "live"),
        ("record", "record"),
        ("append", "append"),
        ("appendWithGap", "append"),
        ("LIVE", "live"),
        (None, "live"),
    ],
)
def test_publishing_types_are_read(
    raw: Any, kind: str | None, expected: PublishKind
) -> None:
    raw.call("createStream", 2.0, None)
    raw.call("publish", 3.0, None, "cam?k=1", kind, stream_id=1)
    event = raw.event()
    assert event == PublishRequested(event.request_id, 1, "cam?k=1", expected)


def test_an_accepted_publish_is_told_so(raw: Any) -> None:
    raw.messages.clear()
    raw.publish()
    assert raw.codes()[-1] == "NetStream.Publish.Start"
    assert decode_control(raw.messages[0]) == UserControl(0, 1)


@pytest.mark.parametrize(
    ("code", "expected"),
    [(None, "NetStream.Publish.BadName"), ("NetStream.Publish.Denied",) * 2],
)
def test_a_rejected_publish_takes_its_media_back(
    raw: Any, code: str | None, expected: str
) -> None:
    raw.call("createStream", 2.0, None)
    raw.call("publish", 3.0, None, "cam", stream_id=1)
    raw.send(Message(9, 1, 0, b"key"), 6)
    raw.answers.clear()
    event = raw.event()
    raw.server.reject(event.request_id, code, "busy", now=1.0)
    raw.collect()
    assert raw.codes() == [expected]
    assert raw.event() is None
    raw.send(Message(9, 1, 40, b"more"), 6)
    assert raw.event() is None
    assert raw.server.statistics().messages_ignored == 1
    # The stream may be used again.
    raw.call("publish", 4.0, None, "other", stream_id=1)
    assert isinstance(raw.event(), PublishRequested)


def test_a_second_publish_on_a_stream_is_refused(raw: Any) -> None:
    raw.publish()
    raw.answers.clear()
    raw.call("publish", 4.0, None, "cam2", stream_id=1)
    assert raw.codes() == ["NetStream.Publish.BadName"]
    assert raw.event() is None


def test_a_publish_without_create_stream_opens_its_stream(raw: Any) -> None:
    raw.call("publish", 3.0, None, "cam", stream_id=1)
    assert isinstance(raw.event(), PublishRequested)


def test_a_publish_on_the_connection_itself_is_refused(raw: Any) -> None:
    raw.answers.clear()
    raw.call("publish", 3.0, None, "cam")
    assert raw.codes() == ["NetStream.Publish.BadName"]


def test_media_come_as_one_run_and_keep_their_place_among_data(raw: Any) -> None:
    raw.publish()
    data = raw.writer.write(Message(9, 1, 0, b"v0"), 6)
    data += raw.writer.write(Message(8, 1, 1, b"a1"), 4)
    values: list[Encodable] = [
        "@setDataFrame",
        "onMetaData",
        EcmaArray({"width": 640.0}),
    ]
    data += raw.writer.write(encode_data(values, 1, 2), 5)
    data += raw.writer.write(Message(9, 1, 3, b"v3"), 6)
    data += raw.writer.write(encode_data(["onMetaData", {"height": 1.0}], 1, 4), 5)
    data += raw.writer.write(encode_data(["onTextData", {"text": "hi"}], 1, 5), 5)
    raw.server.receive_data(data, 1.0)
    video, audio = MediaKind.VIDEO, MediaKind.AUDIO
    assert raw.event() == MediaReceived(
        1, [MediaMessage(video, 0, b"v0"), MediaMessage(audio, 1, b"a1")]
    )
    assert raw.event() == MetadataReceived(1, 2, {"width": 640.0})
    assert raw.event() == MediaReceived(1, [MediaMessage(video, 3, b"v3")])
    assert raw.event() == MetadataReceived(1, 4, {"height": 1.0})
    event = raw.event()
    assert isinstance(event, DataReceived)
    assert event.values == ("onTextData", {"text": "hi"})
    assert event.payload == encode_data(["onTextData", {"text": "hi"}], 1, 5).payload
    assert raw.event() is None
    assert raw.server.pending_bytes == 0


def test_data_in_amf3_messages_are_passed_on_as_amf0(raw: Any) -> None:
    raw.publish()
    raw.send(encode_data(["onCuePoint", {"a": 1.0}], 1, 5, amf3=True), 5)
    event = raw.event()
    assert event.payload == encode_data(["onCuePoint", {"a": 1.0}], 1, 5).payload


@pytest.mark.parametrize(
    ("name", "arguments", "stream_id", "reason"),
    [
        ("FCUnpublish", ("cam",), 0, "FCUnpublish"),
        ("FCUnpublish", (), 0, "FCUnpublish"),
        ("deleteStream", (1.0,), 0, "deleteStream"),
        ("closeStream", (), 1, "closeStream"),
    ],
)
def test_every_way_to_stop_publishing_ends_it_once(
    raw: Any, name: str, arguments: tuple[Any, ...], stream_id: int, reason: str
) -> None:
    raw.publish("cam?token=1")
    raw.call(name, 0.0, None, *arguments, stream_id=stream_id)
    raw.call("deleteStream", 0.0, None, 1.0)
    raw.send(Message(9, 1, 40, b"late"), 6)
    assert raw.event() == PublishEnded(1, reason)
    assert raw.event() is None


def test_fc_unpublish_of_one_stream_leaves_the_other(raw: Any) -> None:
    raw.publish("one")
    raw.call("createStream", 4.0, None)
    raw.call("publish", 5.0, None, "two", stream_id=2)
    raw.server.accept(raw.event().request_id, now=1.0)
    raw.call("FCUnpublish", 6.0, None, "two")
    assert raw.event() == PublishEnded(2, "FCUnpublish")
    raw.call("FCUnpublish", 7.0, None, "two")
    assert raw.event() is None


def test_fc_unpublish_of_no_stream_ends_none_of_two(raw: Any) -> None:
    raw.publish("one")
    raw.call("createStream", 4.0, None)
    raw.call("publish", 5.0, None, "two", stream_id=2)
    raw.server.accept(raw.event().request_id, now=1.0)
    raw.call("FCUnpublish", 6.0, None, "three")
    assert raw.event() is None


@pytest.mark.parametrize(
    ("arguments", "start", "duration", "reset"),
    [
        ((), -2.0, -1.0, True),
        ((-2000.0,), -2.0, -1.0, True),
        ((-1000.0, -1000.0), -1.0, -1.0, True),
        ((-2.0, -1.0, False), -2.0, -1.0, False),
        ((-1.0,), -1.0, -1.0, True),
        ((5000.0, 1500.0, True), 5.0, 1.5, True),
        ((float("nan"), float("inf")), -2.0, -1.0, True),
        (("x",), -2.0, -1.0, True),
    ],
)
def test_play_times_are_seconds(
    raw: Any, arguments: tuple[Any, ...], start: float, duration: float, reset: bool
) -> None:
    raw.call("createStream", 2.0, None)
    raw.call("play", 3.0, None, "cam", *arguments, stream_id=1)
    event = raw.event()
    assert event == PlayRequested(event.request_id, 1, "cam", start, duration, reset)


def test_an_accepted_play_can_take_shared_bytes(raw: Any) -> None:
    raw.messages.clear()
    before = raw.server.play_lane(1).is_shared
    raw.play()
    lane = raw.server.play_lane(1)
    assert (before, lane.is_shared) == (False, True)
    assert raw.codes()[-2:] == ["NetStream.Play.Reset", "NetStream.Play.Start"]
    kinds = [message.type_id for message in raw.messages]
    assert kinds == [1, 4, 18, 18]
    assert decode_control(raw.messages[0]) == SetChunkSize(60_000)
    assert decode_data(raw.messages[2]).values[0] == "|RtmpSampleAccess"
    assert raw.reader.feed(shared_message(9, 5, bytes(70_000))) == [
        Message(9, 1, 5, bytes(70_000))
    ]


def test_without_a_play_chunk_size_the_lane_is_not_shared(make_raw: MakeRaw) -> None:
    raw = make_raw(config=ServerConfig(play_chunk_size=None))
    raw.connect()
    raw.play()
    lane = raw.server.play_lane(1)
    assert not lane.is_shared
    [data] = lane.write([MediaMessage(MediaKind.VIDEO, 5, bytes(1000))])
    assert raw.reader.feed(data) == [Message(9, 1, 5, bytes(1000))]


def test_a_rejected_play_names_the_stream_not_found(raw: Any) -> None:
    raw.call("createStream", 2.0, None)
    raw.call("play", 3.0, None, "cam", stream_id=1)
    raw.answers.clear()
    raw.server.reject(raw.event().request_id, now=1.0)
    raw.collect()
    assert raw.codes() == ["NetStream.Play.StreamNotFound"]


def test_a_second_play_ends_the_first(raw: Any) -> None:
    raw.play("one")
    raw.call("play", 4.0, None, "two", stream_id=1)
    assert raw.event() == PlayEnded(1, "play")
    event = raw.event()
    assert isinstance(event, PlayRequested)
    assert event.name == "two"


def test_playing_a_stream_that_publishes_is_refused(raw: Any) -> None:
    raw.publish()
    raw.answers.clear()
    raw.call("play", 4.0, None, "two", stream_id=1)
    assert raw.codes() == ["NetStream.Play.Failed"]


def test_end_play_tells_the_player_and_frees_the_stream(raw: Any) -> None:
    raw.play()
    raw.answers.clear()
    raw.messages.clear()
    raw.server.end_play(1, now=1.0)
    raw.server.end_play(1, now=1.0)
    raw.collect()
    assert raw.codes() == ["NetStream.Play.UnpublishNotify"]
    assert decode_control(raw.messages[0]) == UserControl(1, 1)
    raw.call("play", 4.0, None, "cam", stream_id=1)
    assert isinstance(raw.event(), PlayRequested)


@pytest.mark.parametrize("name", ["pause", "pauseRaw"])
def test_pausing_is_told_and_answered(raw: Any, name: str) -> None:
    raw.play()
    raw.answers.clear()
    raw.call(name, 4.0, None, True, 1234.0, stream_id=1)
    raw.call(name, 5.0, None, True, 1234.0, stream_id=1)
    raw.call(name, 6.0, None, False, 1234.0, stream_id=1)
    assert raw.event() == PauseRequested(1, True, 1234)
    assert raw.event() == PauseRequested(1, False, 1234)
    assert raw.event() is None
    assert raw.codes() == ["NetStream.Pause.Notify", "NetStream.Unpause.Notify"]


@pytest.mark.parametrize(
    ("accepts", "code"),
    [(True, "NetStream.Seek.Notify"), (False, "NetStream.Seek.Failed")],
)
def test_seeking_waits_for_an_answer(raw: Any, accepts: bool, code: str) -> None:
    raw.play()
    raw.answers.clear()
    raw.call("seek", 4.0, None, 9000.0, stream_id=1)
    event = raw.event()
    assert event == SeekRequested(event.request_id, 1, 9000)
    answer = raw.server.accept if accepts else raw.server.reject
    answer(event.request_id, now=1.0)
    raw.collect()
    assert raw.codes() == [code]


def test_a_seek_of_a_play_that_has_ended_is_not_answered(raw: Any) -> None:
    raw.play()
    raw.call("seek", 4.0, None, 9000.0, stream_id=1)
    request = raw.event()
    raw.server.end_play(1, now=1.0)
    raw.collect()
    raw.answers.clear()
    raw.server.accept(request.request_id, now=1.0)
    raw.collect()
    assert raw.codes() == []


def test_receive_audio_and_video_are_told(raw: Any) -> None:
    raw.play()
    raw.answers.clear()
    raw.call("receiveAudio", 0.0, None, False, stream_id=1)
    raw.call("receiveVideo", 0.0, None, True, stream_id=1)
    assert raw.event() == ReceiveAudioChanged(1, False)
    assert raw.event() == ReceiveVideoChanged(1, True)
    assert raw.codes() == ["NetStream.Seek.Notify", "NetStream.Play.Start"]


@pytest.mark.parametrize("name", ["pause", "seek", "receiveAudio", "closeStream"])
def test_stream_commands_for_no_stream_are_void(raw: Any, name: str) -> None:
    raw.answers.clear()
    raw.call(name, 0.0, None, True, stream_id=5)
    assert raw.event() is None
    assert raw.answers == []


def test_a_buffer_length_is_told(raw: Any) -> None:
    raw.send(encode_control(UserControl(3, 1, 3000)), 2)
    assert raw.event() == BufferLengthSet(1, 3000)


def test_late_answers_are_void(raw: Any) -> None:
    raw.call("createStream", 2.0, None)
    raw.call("publish", 3.0, None, "cam", stream_id=1)
    request = raw.event()
    raw.call("deleteStream", 0.0, None, 1.0)
    assert raw.event() == PublishEnded(1, "deleteStream")
    raw.answers.clear()
    raw.server.accept(request.request_id, now=1.0)
    raw.server.reject(request.request_id, now=1.0)
    raw.server.accept(999, now=1.0)
    raw.collect()
    assert raw.answers == []


def test_statuses_and_data_are_sent_on_their_stream(raw: Any) -> None:
    raw.play()
    raw.answers.clear()
    raw.messages.clear()
    raw.server.send_status(1, "status", "NetStream.Play.PublishNotify", "", now=1.0)
    raw.server.send_data(1, 40, ["onMetaData", {"width": 1.0}], now=1.0)
    raw.collect()
    assert raw.codes() == ["NetStream.Play.PublishNotify"]
    [message] = raw.messages
    assert (message.stream_id, message.timestamp) == (1, 40)
