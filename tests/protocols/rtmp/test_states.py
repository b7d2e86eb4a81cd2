"""The server's message stream walks its table, whatever a client does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from sansmedia.rtmp import (
    ChunkWriter,
    MediaReceived,
    Message,
    PauseRequested,
    PlayEnded,
    PlayRequested,
    PublishEnded,
    PublishRequested,
    RtmpServer,
    encode_chunks,
)
from sansmedia.rtmp.messages import Command, encode_command
from sansmedia.rtmp.states import (
    CLIENT_SESSION,
    CLIENT_STREAM,
    SERVER_SESSION,
    SERVER_STREAM,
    SessionState,
    StreamInput,
    StreamState,
)
from sansmedia.sansio.testing import SeededDice

_PUBLISH = (StreamState.PUBLISH_REQUESTED, StreamState.PUBLISHING)
_CALLS: dict[StreamInput, Command] = {
    StreamInput.PUBLISH: Command("publish", 0.0, None, ("cam",)),
    StreamInput.PLAY: Command("play", 0.0, None, ("cam",)),
    StreamInput.PAUSE: Command("pause", 0.0, None, (True, 0.0)),
    StreamInput.UNPAUSE: Command("pause", 0.0, None, (False, 0.0)),
    StreamInput.CLOSE: Command("closeStream", 0.0),
}


def _connected() -> RtmpServer:
    server = RtmpServer(dice=SeededDice(1), now=0.0)
    connect = encode_command(Command("connect", 1.0, {"app": "live"}))
    create = encode_command(Command("createStream", 2.0))
    data = b"\x03" + bytes(2 * 1536) + ChunkWriter(compress=False).write(connect, 3)
    server.receive_data(data, 0.0)
    assert server.next_event() is not None
    server.accept(1, now=0.0)
    server.receive_data(ChunkWriter(compress=False).write(create, 3), 0.0)
    return server


class _Walk:
    """The machine, and the state that the table says it is in."""

    def __init__(self, write: Callable[[Message], bytes]) -> None:
        self.server = _connected()
        self.state = StreamState.IDLE
        self.request = 0
        self._write = write

    def _expect(self, step: StreamInput) -> list[type[Any]]:
        """Move the model; return the types of the events that must come."""
        before = self.state
        self.state = SERVER_STREAM.get((before, step), before)
        if step is StreamInput.PLAY and before not in (*_PUBLISH, StreamState.IDLE):
            self.state = StreamState.PLAY_REQUESTED  # the old play ends first
            return [PlayEnded, PlayRequested]
        if self.state is before:
            return []
        events: dict[StreamInput, list[type[Any]]] = {
            StreamInput.PUBLISH: [PublishRequested],
            StreamInput.PLAY: [PlayRequested],
            StreamInput.PAUSE: [PauseRequested],
            StreamInput.UNPAUSE: [PauseRequested],
            StreamInput.CLOSE: [PublishEnded if before in _PUBLISH else PlayEnded],
        }
        return events.get(step, [])

    def step(self, step: StreamInput) -> None:
        expected = self._expect(step)
        if step is StreamInput.ACCEPT:
            self.server.accept(self.request, now=1.0)
        elif step is StreamInput.REJECT:
            self.server.reject(self.request, now=1.0)
        else:
            message = encode_command(_CALLS[step], 1)
            self.server.receive_data(self._write(message), 1.0)
        events = []
        while (event := self.server.next_event()) is not None:
            events.append(event)
            if isinstance(event, PublishRequested | PlayRequested):
                self.request = event.request_id
        assert [type(event) for event in events] == expected

    def takes_media(self) -> bool:
        self.server.receive_data(self._write(Message(8, 1, 0, b"a")), 1.0)
        return isinstance(self.server.next_event(), MediaReceived)


@settings(max_examples=120, deadline=None)
@given(st.lists(st.sampled_from(list(StreamInput)), max_size=14))
def test_every_walk_of_a_client_follows_the_table(steps: list[StreamInput]) -> None:
    walk = _Walk(lambda message: encode_chunks(message, 3, 128))
    for step in steps:
        walk.step(step)
        assert walk.takes_media() == (walk.state in _PUBLISH)
        assert not walk.server.is_terminated


def test_nothing_leads_out_of_terminated() -> None:
    for table in (SERVER_SESSION, CLIENT_SESSION):
        assert all(state is not SessionState.TERMINATED for state, _ in table)


def test_every_state_of_a_stream_can_be_reached_and_left() -> None:
    for table in (SERVER_STREAM, CLIENT_STREAM):
        reached = {StreamState.IDLE, *table.values()}
        left = {state for state, _ in table}
        assert reached == left == set(StreamState)
