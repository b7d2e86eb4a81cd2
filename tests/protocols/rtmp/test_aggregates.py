"""What aggregate messages do to a session: RTMP 1.0 §7.1.6."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sansmedia.amf import Value
from sansmedia.rtmp import (
    ConnectRequested,
    MediaKind,
    MediaMessage,
    MediaReceived,
    Message,
    PublishRequested,
    encode_chunks,
)
from sansmedia.rtmp.messages import Command, encode_aggregate, encode_command
from sansmedia.sansio import Terminated, TerminationCause

MakePair = Callable[..., Any]
MakeRaw = Callable[..., Any]


def test_an_aggregate_is_split_into_its_run(raw: Any) -> None:
    raw.publish()
    parts = [Message(8, 0, 0, b"a"), Message(9, 0, 20, b"v")]
    raw.send(encode_aggregate(parts, 1, 1000), 7)
    assert raw.event() == MediaReceived(
        1,
        [
            MediaMessage(MediaKind.AUDIO, 1000, b"a"),
            MediaMessage(MediaKind.VIDEO, 1020, b"v"),
        ],
    )


def test_a_run_goes_on_over_the_border_of_an_aggregate(raw: Any) -> None:
    raw.publish()
    data = raw.writer.write(Message(9, 1, 0, b"v0"), 6)
    data += raw.writer.write(
        encode_aggregate([Message(8, 0, 10, b"a1"), Message(9, 0, 20, b"v2")], 1, 10), 7
    )
    data += raw.writer.write(Message(9, 1, 30, b"v3"), 6)
    raw.server.receive_data(data, 1.0)
    run = raw.event()
    assert [message.payload for message in run.messages] == [b"v0", b"a1", b"v2", b"v3"]
    assert raw.event() is None


def test_what_follows_connect_in_an_aggregate_waits_for_its_answer(
    make_raw: MakeRaw,
) -> None:
    raw = make_raw()
    raw.shake()
    parts = [
        encode_command(Command("connect", 1.0, {"app": "live"})),
        encode_command(Command("connect", 2.0, {"app": "live"})),
        encode_command(Command("publish", 3.0, None, ("cam", "live"))),
    ]
    raw.send(encode_aggregate(parts, 1, 0))
    connect = raw.event()
    assert isinstance(connect, ConnectRequested)
    assert raw.event() is None
    raw.server.accept(connect.request_id, now=1.0)
    raw.collect()
    answers = [(answer.name, answer.transaction_id) for answer in raw.answers]
    assert answers == [("_result", 1.0), ("_error", 2.0)]
    assert isinstance(raw.event(), PublishRequested)


def test_nothing_is_taken_from_an_aggregate_behind_the_end(
    make_pair: MakePair,
) -> None:
    pair = make_pair()
    pair.client.play("cam", now=0.0)
    pair.run()
    information: dict[str, Value] = {"level": "status", "code": "NetStream.Play.Reset"}
    parts = [
        encode_command(Command("close", 0.0)),
        encode_command(Command("onStatus", 0.0, None, (information,))),
        Message(9, 1, 0, b"late"),
    ]
    chunk_size = pair.client.statistics().chunk_size
    data = encode_chunks(encode_aggregate(parts, 1, 0), 3, chunk_size)
    pair.client.receive_data(data, 2.0)
    assert pair.client.next_event() == Terminated(
        TerminationCause.PEER, "the server closed the connection"
    )
    assert pair.client.next_event() is None
