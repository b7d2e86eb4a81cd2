"""Both machines keep the contract."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from sansmedia.rtmp import (
    ChunkReader,
    ChunkWriter,
    ClientConfig,
    ConnectRequested,
    MediaReceived,
    Message,
    PlayRequested,
    PublishAccepted,
    PublishRequested,
    RtmpClient,
    RtmpServer,
    SeekRequested,
)
from sansmedia.rtmp.messages import Command, encode_command, encode_data
from sansmedia.sansio import Dice
from sansmedia.sansio.testing import (
    MACHINE_CHECKS,
    AnyCase,
    MachineCase,
    SeededDice,
    check_linear_time,
)

_REQUESTS = (ConnectRequested, PublishRequested, PlayRequested, SeekRequested)


def _react(machine: Any, event: Any, now: float) -> None:
    if isinstance(event, _REQUESTS):
        machine.accept(event.request_id, now=now)
    elif isinstance(event, PublishAccepted):
        machine.send_data(event.stream_id, 0, ["onMetaData", {}], now=now)


def _joined(events: list[Any]) -> list[Any]:
    """Join runs of media: they are handed out per input."""
    view: list[Any] = []
    for event in events:
        last = view[-1] if view else None
        if isinstance(event, MediaReceived):
            run = ("media", event.stream_id, list(event.messages))
            if isinstance(last, tuple) and last[:2] == run[:2]:
                last[2].extend(run[2])
                continue
            view.append(run)
        else:
            view.append(event)
    return view


def _commands(*commands: tuple[Command, int]) -> bytes:
    writer = ChunkWriter()
    return b"".join(writer.write(encode_command(c, s), 3) for c, s in commands)


def _session(kind: str) -> bytes:
    asked = Command(kind, 3.0, None, ("cam", "live") if kind == "publish" else ("cam",))
    return _commands(
        (Command("connect", 1.0, {"app": "live", "tcUrl": "rtmp://h/live"}), 0),
        (Command("createStream", 2.0, None), 0),
        (asked, 1),
    )


_SHAKE = b"\x03" + bytes(1536) + bytes(1536)


def _media() -> bytes:
    writer = ChunkWriter()
    parts = [
        writer.write(encode_data(["@setDataFrame", "onMetaData", {"a": 1.0}], 1, 0), 5)
    ]
    for number in range(12):
        parts.append(writer.write(Message(9, 1, number * 40, bytes(400)), 6))
        parts.append(writer.write(Message(8, 1, number * 40 + 7, bytes(150)), 4))
    parts.append(
        writer.write(encode_command(Command("deleteStream", 0.0, None, (1.0,))), 3)
    )
    return b"".join(parts)


def _server(dice: Dice) -> RtmpServer:
    return RtmpServer(dice=dice, now=1000.0)


def _publishing(dice: Dice) -> RtmpServer:
    server = _server(dice)
    server.receive_data(_SHAKE + _session("publish"), 1000.0)
    while (event := server.next_event()) is not None:
        _react(server, event, 1000.0)
    server.data_to_send()
    return server


def _one_message(size: int) -> bytes:
    resize = ChunkWriter()
    return resize.set_chunk_size(128) + resize.write(Message(9, 1, 0, bytes(size)), 6)


def _client(dice: Dice) -> RtmpClient:
    config = ClientConfig(tc_url="rtmp://h/live", app="live")
    client = RtmpClient(config=config, dice=dice, now=1000.0)
    client.publish("cam", now=1000.0)
    return client


def _server_answers() -> bytes:
    """What a server says to `_client`."""
    client = _client(SeededDice(1))
    server = _server(SeededDice(2))
    said = b""
    for _ in range(8):
        server.receive_data(client.data_to_send(), 1000.0)
        while (event := server.next_event()) is not None:
            _react(server, event, 1000.0)
        answer = server.data_to_send()
        client.receive_data(answer, 1000.0)
        said += answer
    return said


def _client_bulk(size: int) -> bytes:
    said = _server_answers()
    return said + _one_message(max(0, size - len(said)))


_CASES = [
    MachineCase(
        name="rtmp server, from the start",
        factory=_server,
        seeds=[
            _SHAKE + _session("publish") + _media(),
            _SHAKE + _session("play"),
            b"GET / HTTP/1.1\r\n\r\n",
            _SHAKE + b"\xff" * 50,
        ],
        bulk=lambda size: _SHAKE + _session("publish") + _one_message(size),
        pending_limit=1_500_000,
        react=_react,
        event_view=_joined,
    ),
    MachineCase(
        name="rtmp server, publishing",
        factory=_publishing,
        seeds=[_media(), _media()[:500] + b"\x86\xff\xff\xff" * 4],
        bulk=_one_message,
        pending_limit=1_500_000,
        react=_react,
        event_view=_joined,
    ),
    MachineCase(
        name="rtmp client",
        factory=_client,
        seeds=[_server_answers(), _server_answers()[:3073] + b"\xc6" * 20],
        bulk=_client_bulk,
        pending_limit=1_500_000,
        react=_react,
        event_view=_joined,
    ),
]


@pytest.mark.parametrize("case", _CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("check", MACHINE_CHECKS, ids=lambda check: check.__name__)
def test_the_contract_holds(
    case: MachineCase, check: Callable[[AnyCase], None]
) -> None:
    check(case)


@pytest.mark.parametrize("case", _CASES, ids=lambda case: case.name)
def test_time_is_linear(case: MachineCase) -> None:
    check_linear_time(case, time.process_time)


def test_the_seeds_do_reach_the_machines() -> None:
    reader = ChunkReader()
    assert len(reader.feed(_media())) == 26
