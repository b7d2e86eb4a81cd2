"""Every machine keeps the contract, in every state worth trying."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sansmedia.rtmp import (
    ClientConfig,
    Connected,
    ConnectRequested,
    Limits,
    MediaKind,
    MediaMessage,
    MediaReceived,
    PlayRequested,
    PublishAccepted,
    PublishRequested,
    RtmpClient,
    RtmpServer,
    SeekRequested,
    shared_message,
)
from sansmedia.sansio import Dice
from sansmedia.sansio.testing import (
    AnyCase,
    MachineCase,
    SeededDice,
    check_any_input,
)

_DATA = Path(__file__).resolve().parents[1] / "data" / "rtmp"
_NOW = 1000.0
_MESSAGE_SIZE = 2 * 1024 * 1024
_LIMITS = Limits(message_size=_MESSAGE_SIZE, partial_bytes=_MESSAGE_SIZE)
_CONFIG = ClientConfig(tc_url="rtmp://192.0.2.2/live", app="live")

# Acknowledgements say how much has come by the end of an input, so they depend on how
# the stream was cut. RTMP 1.0 §5.4.3.
_ACKNOWLEDGEMENT = re.compile(
    rb"\x02\x00\x00\x00\x00\x00\x04\x03\x00\x00\x00\x00.{4}", re.DOTALL
)


def _server(dice: Dice) -> RtmpServer:
    return RtmpServer(limits=_LIMITS, dice=dice, now=_NOW)


def _publisher(dice: Dice) -> RtmpClient:
    client = RtmpClient(config=_CONFIG, limits=_LIMITS, dice=dice, now=_NOW)
    client.publish("camera?token=1", now=_NOW)
    return client


def _player(dice: Dice) -> RtmpClient:
    client = RtmpClient(config=_CONFIG, limits=_LIMITS, dice=dice, now=_NOW)
    client.play("camera", now=_NOW)
    return client


def _serve(machine: Any, event: object, now: float) -> None:
    if isinstance(
        event, ConnectRequested | PublishRequested | PlayRequested | SeekRequested
    ):
        machine.accept(event.request_id, now=now)


def _use(machine: Any, event: object, now: float) -> None:
    """Give a command after every event, whether it makes sense or not."""
    if isinstance(event, Connected):
        machine.play("other", now=now)
    elif isinstance(event, PublishAccepted):
        machine.send_data(event.stream_id, 0, ["onCuePoint", {}], now=now)
    else:
        machine.seek(1, 1000, now=now)


def _joined_runs(events: list[Any]) -> list[Any]:
    """Join what came in one input with what came in the next."""
    joined: list[Any] = []
    for event in events:
        last = joined[-1] if joined else None
        if (
            isinstance(event, MediaReceived)
            and isinstance(last, MediaReceived)
            and last.stream_id == event.stream_id
        ):
            joined[-1] = MediaReceived(
                event.stream_id, [*last.messages, *event.messages]
            )
        else:
            joined.append(event)
    return joined


def _without_acknowledgements(output: bytes) -> bytes:
    return _ACKNOWLEDGEMENT.sub(b"", output)


def _media(size: int) -> bytes:
    """Return one message, or as many as the limit on one asks for."""
    largest = _MESSAGE_SIZE - 1
    sizes = [largest] * (size // largest) + [size % largest]
    return b"".join(shared_message(MediaKind.VIDEO, 0, bytes(n)) for n in sizes if n)


def _small_messages(size: int) -> bytes:
    return b"".join(
        shared_message(MediaKind.AUDIO, at * 20, b"\xaf\x01" + bytes(46))
        for at in range(size // 60 + 1)
    )


def _talk(client: RtmpClient, server: RtmpServer) -> tuple[list[bytes], list[bytes]]:
    """Let both come to rest; return what each sent, turn by turn."""
    sent: tuple[list[bytes], list[bytes]] = ([], [])
    for _ in range(20):
        sent[0].append(client.data_to_send())
        server.receive_data(sent[0][-1], _NOW)
        while (event := server.next_event()) is not None:
            _serve(server, event, _NOW)
        sent[1].append(server.data_to_send())
        client.receive_data(sent[1][-1], _NOW)
        while client.next_event() is not None:
            pass
    return sent


def _recorded(make_client: Callable[[Dice], RtmpClient]) -> tuple[bytes, bytes]:
    """Record a session of a client with a server; the suite's dice have seed 1."""
    client, server = make_client(SeededDice(1)), _server(SeededDice(1))
    from_client, from_server = _talk(client, server)
    media = _small_messages(600) + _media(3000)
    lane_bytes = b"".join(
        client.publish_lane(1).write([MediaMessage(MediaKind.VIDEO, 40, bytes(900))])
    )
    client.close("done", now=_NOW)
    server.close("done", now=_NOW)
    return (
        b"".join(from_client) + media + lane_bytes + client.data_to_send(),
        b"".join(from_server) + media + server.data_to_send(),
    )


def _settled_server(make_client: Callable[[Dice], RtmpClient]) -> Any:
    def factory(dice: Dice) -> RtmpServer:
        server = _server(dice)
        _talk(make_client(SeededDice(1)), server)
        return server

    return factory


def _settled_client(make_client: Callable[[Dice], RtmpClient]) -> Any:
    def factory(dice: Dice) -> RtmpClient:
        client = make_client(dice)
        _talk(client, _server(SeededDice(1)))
        return client

    return factory


_PUBLISHED = _recorded(_publisher)
_PLAYED = _recorded(_player)
_STREAM_SEEDS = (
    _small_messages(600) + _media(3000),
    # A chunk size of 0, which no peer may set. RTMP 1.0 §5.4.1.
    _small_messages(60) + bytes.fromhex("02000000000004010000000000000000"),
    # A message of 16 MB, and a second one begun in the middle of the first.
    bytes.fromhex("06000000ffffff0901000000") + b"\x17",
    bytes.fromhex("0600000000ffff0901000000") + bytes(100) + _small_messages(60),
)


def _rtmp_case(
    name: str,
    factory: Callable[[Dice], Any],
    seeds: tuple[bytes, ...],
    bulk: Callable[[int], bytes],
    react: Callable[[Any, Any, float], None],
) -> MachineCase:
    return MachineCase(
        name=name,
        factory=factory,
        seeds=seeds,
        bulk=bulk,
        pending_limit=_MESSAGE_SIZE + 256 * 1024,
        react=react,
        event_view=_joined_runs,
        output_view=_without_acknowledgements,
        now=_NOW,
    )


_SERVER_SEEDS = (
    _PUBLISHED[0],
    _PLAYED[0],
    b"\x03" + bytes(3000),
    b"GET / HTTP/1.1\r\n",
)
_CLIENT_SEEDS = (_PUBLISHED[1], _PLAYED[1], b"\x03" + bytes(3000), b"HTTP/1.1 400\r\n")


def _after(opening: bytes) -> Callable[[int], bytes]:
    return lambda size: opening + _small_messages(size)


_CASES: tuple[AnyCase, ...] = (
    _rtmp_case(
        "RTMP server from the start",
        _server,
        _SERVER_SEEDS,
        _after(_PUBLISHED[0].partition(_small_messages(600))[0]),
        _serve,
    ),
    _rtmp_case(
        "RTMP server with a publisher",
        _settled_server(_publisher),
        _STREAM_SEEDS,
        _media,
        _serve,
    ),
    _rtmp_case(
        "RTMP server with a player",
        _settled_server(_player),
        _STREAM_SEEDS,
        _small_messages,
        _serve,
    ),
    _rtmp_case(
        "RTMP client that publishes, from the start",
        _publisher,
        _CLIENT_SEEDS,
        _after(_PUBLISHED[1].partition(_small_messages(600))[0]),
        _use,
    ),
    _rtmp_case(
        "RTMP client that plays, from the start",
        _player,
        _CLIENT_SEEDS,
        _after(_PLAYED[1].partition(_small_messages(600))[0]),
        _use,
    ),
    _rtmp_case(
        "RTMP client that plays",
        _settled_client(_player),
        _STREAM_SEEDS,
        _media,
        _use,
    ),
)

_every_case = pytest.mark.parametrize("case", _CASES, ids=lambda case: case.name)


@_every_case
def test_the_machine_keeps_the_contract(
    case: AnyCase, machine_check: Callable[[AnyCase], None]
) -> None:
    machine_check(case)


@_every_case
@given(data=st.data())
@settings(max_examples=50, deadline=None)
def test_any_bytes_are_survived(case: MachineCase, data: st.DataObject) -> None:
    seed = data.draw(st.sampled_from(case.seeds))
    prefix = seed[: data.draw(st.integers(0, len(seed)))]
    octets = data.draw(st.binary(max_size=200))
    check_any_input(case, prefix + octets, dice_seed=data.draw(st.integers(0, 99)))


def test_the_recorded_sessions_reach_media() -> None:
    """Without this, a changed handshake would leave the suite trying greetings."""
    server = _server(SeededDice(1))
    server.receive_data(_PUBLISHED[0], _NOW)
    kinds = set()
    while (event := server.next_event()) is not None:
        kinds.add(type(event))
        _serve(server, event, _NOW)
    assert {ConnectRequested, PublishRequested} <= kinds
