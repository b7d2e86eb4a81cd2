"""`RtmpServer` in each of its states; the first octet picks the state."""

from __future__ import annotations

from typing import Any

from sansmedia.rtmp import (
    ChunkWriter,
    ConnectRequested,
    PlayRequested,
    PublishRequested,
    RtmpServer,
    SeekRequested,
)
from sansmedia.rtmp.messages import Command, encode_command
from sansmedia.sansio import Dice
from sansmedia.sansio.testing import MachineCase, check_any_input

_REQUESTS = (ConnectRequested, PublishRequested, PlayRequested, SeekRequested)
_STATES = 5


def _react(machine: Any, event: object, now: float) -> None:  # noqa: ANN401
    if isinstance(event, _REQUESTS):
        if event.request_id % 4:
            machine.accept(event.request_id, now=now)
        else:
            machine.reject(event.request_id, now=now)


def _opening(state: int) -> bytes:
    writer = ChunkWriter()
    asked = "publish" if state == 3 else "play"
    steps = [
        bytes((3,)) + bytes(2 * 1536),
        writer.write(encode_command(Command("connect", 1.0, {"app": "live"})), 3),
        writer.write(encode_command(Command("createStream", 2.0)), 3)
        + writer.write(encode_command(Command(asked, 3.0, None, ("cam",)), 1), 3),
    ]
    return b"".join(steps[: min(state, 3)])


def _factory(state: int, dice: Dice) -> RtmpServer:
    server = RtmpServer(dice=dice, now=1000.0)
    server.receive_data(_opening(state), 1000.0)
    while (event := server.next_event()) is not None:
        _react(server, event, 1000.0)
    server.data_to_send()
    return server


def _case(state: int) -> MachineCase:
    return MachineCase(
        name=f"rtmp server in state {state}",
        factory=lambda dice: _factory(state, dice),
        seeds=[b""],
        bulk=bytes,
        pending_limit=100_000,
        react=_react,
    )


_CASES = [_case(state) for state in range(_STATES)]


def one_input(data: bytes) -> None:
    # In every state, any octets keep the contract: no exception, bounded memory, one
    # Terminated, last.
    if data:
        check_any_input(_CASES[data[0] % _STATES], data[1:], dice_seed=len(data))
