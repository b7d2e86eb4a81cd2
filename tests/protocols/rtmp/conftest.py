"""A client and a server that talk to each other, and shorthands for their bytes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import attrs
import pytest
from sansmedia.amf import Value
from sansmedia.rtmp import (
    ChunkReader,
    ChunkWriter,
    ClientConfig,
    ClientEvent,
    ConnectRequested,
    Limits,
    Message,
    PlayRequested,
    PublishRequested,
    RtmpClient,
    RtmpServer,
    ServerConfig,
    ServerEvent,
)
from sansmedia.rtmp.messages import Command, decode_command, encode_command
from sansmedia.sansio.testing import SeededDice

_REQUESTS = (ConnectRequested, PublishRequested, PlayRequested)


@attrs.define
class Pair:
    """Two machines over a perfect transport; events are kept in order."""

    server: RtmpServer
    client: RtmpClient
    now: float = 1.0
    accepts: bool = True
    """Whether the server grants every request."""
    server_events: list[ServerEvent] = attrs.field(factory=list)
    client_events: list[ClientEvent] = attrs.field(factory=list)

    def run(self) -> None:
        """Exchange bytes until nobody has any."""
        while True:
            up, down = self.client.data_to_send(), self.server.data_to_send()
            if not up and not down:
                return
            self.server.receive_data(up, self.now)
            self.client.receive_data(down, self.now)
            while (event := self.server.next_event()) is not None:
                self.server_events.append(event)
                if self.accepts and isinstance(event, _REQUESTS):
                    self.server.accept(event.request_id, now=self.now)
            while (told := self.client.next_event()) is not None:
                self.client_events.append(told)

    def forget(self) -> None:
        """Drop the events so far."""
        self.server_events.clear()
        self.client_events.clear()


MakePair: TypeAlias = Callable[..., Pair]


@pytest.fixture
def make_pair() -> MakePair:
    """Make a pair; keywords are those of `ClientConfig`."""

    def make(
        *,
        server_config: ServerConfig | None = None,
        limits: Limits | None = None,
        accepts: bool = True,
        **members: object,
    ) -> Pair:
        values: dict[str, object] = {"tc_url": "rtmp://example.org/live", "app": "live"}
        config = ClientConfig(**(values | members))  # type: ignore[arg-type] # keywords pass through
        server = RtmpServer(
            config=server_config, limits=limits, dice=SeededDice(1), now=0.0
        )
        client = RtmpClient(config=config, dice=SeededDice(2), now=0.0)
        return Pair(server, client, accepts=accepts)

    return make


@attrs.define
class RawClient:
    """A client made of bytes, for what `RtmpClient` would never send."""

    server: RtmpServer
    now: float = 1.0
    writer: ChunkWriter = attrs.field(factory=ChunkWriter)
    reader: ChunkReader = attrs.field(factory=ChunkReader)
    answers: list[Command] = attrs.field(factory=list)
    """Commands that came back."""
    messages: list[Message] = attrs.field(factory=list)
    """Everything else that came back."""

    def shake(self) -> None:
        """Do a simple handshake."""
        self.server.receive_data(b"\x03" + bytes(1536), self.now)
        answer = self.server.data_to_send()
        assert len(answer) == 1 + 2 * 1536
        self.server.receive_data(answer[1:1537], self.now)

    def send(self, message: Message, csid: int = 3) -> None:
        """Send one message, and sort what comes back."""
        self.server.receive_data(self.writer.write(message, csid), self.now)
        self.collect()

    def collect(self) -> None:
        """Sort what came back."""
        for message in self.reader.feed(self.server.data_to_send()):
            if message.type_id == 20:
                self.answers.append(decode_command(message))
            else:
                self.messages.append(message)

    def call(
        self,
        name: str,
        transaction_id: float,
        command_object: Value = None,
        *arguments: Value,
        stream_id: int = 0,
    ) -> None:
        """Send a command."""
        command = Command(name, transaction_id, command_object, arguments)
        self.send(encode_command(command, stream_id))

    def event(self) -> ServerEvent | None:
        """Return the server's next event."""
        return self.server.next_event()

    def connect(self) -> None:
        """Shake hands and connect to ``live``."""
        self.shake()
        self.call("connect", 1.0, {"app": "live", "tcUrl": "rtmp://h/live"})
        event = self.event()
        assert isinstance(event, ConnectRequested)
        self.server.accept(event.request_id, now=self.now)
        self.collect()

    def publish(self, name: str = "cam") -> PublishRequested:
        """Create a stream and publish on it; return the request, granted."""
        self.call("createStream", 2.0, None)
        self.call("publish", 3.0, None, name, "live", stream_id=1)
        event = self.event()
        assert isinstance(event, PublishRequested)
        self.server.accept(event.request_id, now=self.now)
        self.collect()
        return event

    def play(self, name: str = "cam") -> PlayRequested:
        """Create a stream and play on it; return the request, granted."""
        self.call("createStream", 2.0, None)
        self.call("play", 3.0, None, name, stream_id=1)
        event = self.event()
        assert isinstance(event, PlayRequested)
        self.server.accept(event.request_id, now=self.now)
        self.collect()
        return event

    def codes(self) -> list[str]:
        """Return the codes of the statuses that came back, and forget them."""
        codes = [
            str(value["code"])
            for command in self.answers
            for value in command.arguments
            if isinstance(value, dict) and "code" in value
        ]
        self.answers.clear()
        return codes


MakeRaw: TypeAlias = Callable[..., RawClient]


@pytest.fixture
def make_raw() -> MakeRaw:
    """Make a client of bytes in front of a fresh server."""

    def make(
        *, config: ServerConfig | None = None, limits: Limits | None = None
    ) -> RawClient:
        server = RtmpServer(config=config, limits=limits, dice=SeededDice(1), now=0.0)
        return RawClient(server)

    return make


@pytest.fixture
def raw(make_raw: MakeRaw) -> RawClient:
    """A client of bytes that is connected."""
    client = make_raw()
    client.connect()
    return client
