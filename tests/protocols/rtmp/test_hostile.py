"""What a peer may cost: every limit, and bytes that mean harm."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import pytest
from sansmedia import amf
from sansmedia.amf import Value, amf0
from sansmedia.rtmp import (
    DataDiscarded,
    Limits,
    MediaReceived,
    Message,
    MetadataReceived,
    PublishRequested,
    ServerConfig,
    UserControlType,
)
from sansmedia.rtmp.messages import UserControl, encode_control, encode_data
from sansmedia.sansio import Terminated, TerminationCause

MakeRaw = Callable[..., Any]


def _end(raw: Any) -> Terminated:
    """Return the last event; nothing comes after it."""
    last = None
    while (event := raw.event()) is not None:
        last = event
    assert isinstance(last, Terminated)
    assert raw.server.is_terminated
    assert raw.server.next_timeout() is None
    return last


def _violation(raw: Any, code: str) -> None:
    end = _end(raw)
    assert end.cause is TerminationCause.VIOLATION
    assert end.error is not None
    assert end.error.code == code


def test_http_on_the_port_is_refused_at_once(make_raw: MakeRaw) -> None:
    raw = make_raw()
    raw.server.receive_data(b"GET / HTTP/1.1\r\n", 1.0)
    _violation(raw, "unsupported")
    assert raw.server.data_to_send() == b""


def test_a_huge_message_is_refused_at_its_header_with_a_farewell(
    raw: Any,
) -> None:
    raw.publish()
    raw.answers.clear()
    raw.server.receive_data(b"\x06\0\0\0\xff\xff\xff\x09\x01\0\0\0", 1.0)
    raw.collect()
    assert raw.codes() == ["NetConnection.Connect.Closed"]
    _violation(raw, "limit")


def test_sixty_five_thousand_chunk_streams_are_not_opened(raw: Any) -> None:
    raw.publish()
    data = b"".join(
        b"\x01"
        + struct.pack("<H", csid)
        + b"\0\0\0"
        + (1000).to_bytes(3, "big")
        + b"\x09\x01\0\0\0"
        + bytes(128)
        for csid in range(65_536)
    )
    raw.server.receive_data(data, 1.0)
    _violation(raw, "limit")


BOMBS = [
    b"\x03\x00\x01a" * 200,
    b"\x0a\xff\xff\xff\xff",
    b"\x0a\x00\x00\x40\x00" + b"\x05" * 16_384,
    b"\x0c\xff\xff\xff\xff",
    b"\x08\xff\xff\xff\xff\x00\x01a\x02\xff\xff",
]


@pytest.mark.parametrize("values", BOMBS)
def test_amf_bombs_end_the_connection(raw: Any, values: bytes) -> None:
    body = amf0.encode_values("call", 5.0) + values
    raw.send(Message(20, 0, 0, body))
    assert _end(raw).cause is TerminationCause.VIOLATION


@pytest.mark.parametrize("values", BOMBS)
def test_amf_bombs_among_the_media_cost_themselves_alone(
    raw: Any, values: bytes
) -> None:
    raw.publish()
    raw.send(Message(18, 1, 7, amf0.encode_values("onMetaData") + values), 5)
    raw.send(Message(9, 1, 8, b"picture"), 6)
    event = raw.event()
    assert isinstance(event, DataDiscarded)
    assert (event.stream_id, event.timestamp) == (1, 7)
    assert event.error.code in ("limit", "truncated")
    assert event.error.__traceback__ is None
    assert isinstance(raw.event(), MediaReceived)
    assert raw.server.pending_bytes == 0


def test_metadata_of_more_values_than_the_limit_are_left_out(
    make_raw: MakeRaw,
) -> None:
    raw = make_raw(limits=Limits(amf=amf.Limits(values=20)))
    raw.connect()
    raw.publish()
    for members in (18, 19):
        values = {str(number): None for number in range(members)}
        raw.send(encode_data(["onMetaData", values], 1, 0), 5)
    assert isinstance(raw.event(), MetadataReceived)
    event = raw.event()
    assert isinstance(event, DataDiscarded)
    assert event.error.code == "limit"


def test_discarded_data_go_with_the_publish_that_was_refused(raw: Any) -> None:
    raw.call("createStream", 2.0, None)
    raw.call("publish", 3.0, None, "cam", "live", stream_id=1)
    raw.send(Message(18, 1, 0, b"\x0a\xff\xff\xff\xff"), 5)
    event = raw.event()
    assert isinstance(event, PublishRequested)
    raw.server.reject(event.request_id, now=1.0)
    assert raw.event() is None


def test_an_aggregate_of_crumbs_is_refused(raw: Any) -> None:
    raw.publish()
    crumb = b"\x08" + bytes(10) + b"\0\0\0\x0b"
    raw.send(Message(22, 1, 0, crumb * 2000), 7)
    _violation(raw, "limit")


def test_message_streams_are_limited(make_raw: MakeRaw) -> None:
    raw = make_raw(limits=Limits(message_streams=2))
    raw.connect()
    for transaction in (2.0, 3.0, 4.0):
        raw.call("createStream", transaction, None)
    _violation(raw, "limit")


def test_requests_that_wait_are_limited(make_raw: MakeRaw) -> None:
    raw = make_raw(limits=Limits(pending_requests=4))
    raw.connect()
    raw.play()
    for number in range(5):
        raw.call("seek", 0.0, None, float(number), stream_id=1)
    _violation(raw, "limit")


def test_what_is_sent_before_connect_is_answered_is_limited(make_raw: MakeRaw) -> None:
    raw = make_raw(limits=Limits(early_bytes=10_000))
    raw.shake()
    raw.call("connect", 1.0, {"app": "live"})
    for number in range(20):
        raw.send(Message(9, 1, number, bytes(1000)), 6)
    _violation(raw, "limit")


def test_answers_that_nobody_fetches_are_limited(make_raw: MakeRaw) -> None:
    raw = make_raw(limits=Limits(output_bytes=20_000))
    raw.connect()
    ping = encode_control(UserControl(UserControlType.PING_REQUEST, 1))
    for _ in range(100):
        raw.server.receive_data(raw.writer.write(ping, 2) * 20, 1.0)
        assert raw.server.pending_bytes < 30_000
    _violation(raw, "limit")


@pytest.mark.parametrize("name", ["createStream", "publish", "play", "x"])
def test_a_command_before_connect_is_refused(make_raw: MakeRaw, name: str) -> None:
    raw = make_raw()
    raw.shake()
    raw.call(name, 1.0, None)
    _violation(raw, "sequence")


def test_media_before_publish_cost_nothing(raw: Any) -> None:
    for number in range(50):
        raw.send(Message(9, 1, number, bytes(5000)), 6)
    assert raw.event() is None
    assert raw.server.pending_bytes == 0
    assert raw.server.statistics().messages_ignored == 50


def test_nothing_begun_is_held_after_the_end(raw: Any) -> None:
    raw.publish()
    data = raw.writer.write(Message(9, 1, 0, bytes(100_000)), 6)
    raw.server.receive_data(data[:50_000], 1.0)
    assert raw.server.pending_bytes > 40_000
    raw.server.close(now=2.0)
    _end(raw)
    raw.server.data_to_send()
    assert raw.server.pending_bytes == 0


@pytest.mark.parametrize(
    "parameters",
    [
        {"app": 5.0, "tcUrl": None, "objectEncoding": "x", "capsEx": float("nan")},
        {"fourCcList": 7.0, "videoFourCcInfoMap": [1.0], "audioFourCcInfoMap": "x"},
        {"fourCcList": [1.0, None], "videoFourCcInfoMap": {"a": "b"}},
        {"fourCcList": {"0": "av01"}, "capsEx": -1.0},
        {"capsEx": 1e300, "objectEncoding": float("inf")},
        None,
        "not an object",
    ],
)
def test_connects_of_wrong_types_are_read_as_far_as_they_go(
    make_raw: MakeRaw, parameters: Value
) -> None:
    raw = make_raw()
    raw.shake()
    raw.call("connect", 1.0, parameters)
    event = raw.event()
    assert event.app == ""
    assert event.object_encoding == 0
    assert event.capabilities.caps_ex == 0


@pytest.mark.parametrize("value", [None, 5.0, True, {"a": 1.0}, [1.0], "\x00"])
def test_stream_commands_of_wrong_types_never_raise(raw: Any, value: Value) -> None:
    raw.call("createStream", 2.0, None)
    for name in (
        "FCPublish",
        "FCUnpublish",
        "deleteStream",
        "pause",
        "seek",
        "publish",
    ):
        raw.call(name, 0.0, value, value, value, value, stream_id=1)
    assert not raw.server.is_terminated


def test_a_flood_of_publishes_is_bounded(raw: Any) -> None:
    raw.call("createStream", 2.0, None)
    for _ in range(100):
        raw.call("publish", 0.0, None, "x", stream_id=1)
        raw.call("closeStream", 0.0, None, stream_id=1)
    events = []
    while (event := raw.event()) is not None:
        events.append(event)
    assert sum(isinstance(event, PublishRequested) for event in events) == 100
    assert raw.server.pending_bytes == 0


def test_time_spent_is_linear_in_tiny_chunks(make_raw: MakeRaw) -> None:
    """A hostile chunk size of 1, interleaved: the reader must not look ahead twice."""
    raw = make_raw(config=ServerConfig(window_size=1_000_000_000))
    raw.connect()
    raw.publish()
    raw.server.receive_data(raw.writer.set_chunk_size(1), 1.0)
    header = (
        b"\x06\0\0\0"
        + (20_000).to_bytes(3, "big")
        + b"\x09\x01\0\0\0v"
        + b"\x04\0\0\0"
        + (20_000).to_bytes(3, "big")
        + b"\x08\x01\0\0\0a"
    )
    raw.server.receive_data(header + b"\xc6v\xc6v\xc4a\xc4a" * 9_999, 1.0)
    raw.server.receive_data(b"\xc6v\xc4a", 1.0)
    event = raw.event()
    assert [len(message.payload) for message in event.messages] == [20_000, 20_000]
