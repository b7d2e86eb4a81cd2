"""`RtmpClient` that publishes and plays, against any octets behind the handshake."""

from __future__ import annotations

from typing import Any

from sansmedia.rtmp import (
    ClientConfig,
    HandshakeScheme,
    PlayStarted,
    PublishAccepted,
    RtmpClient,
)
from sansmedia.sansio import Dice
from sansmedia.sansio.testing import MachineCase, check_any_input

_CONFIG = ClientConfig(
    tc_url="rtmp://h/live", app="live", handshake=HandshakeScheme.SIMPLE
)


def _react(machine: Any, event: object, now: float) -> None:  # noqa: ANN401
    if isinstance(event, PublishAccepted):
        machine.send_data(event.stream_id, 0, ["onMetaData", {}], now=now)
    elif isinstance(event, PlayStarted):
        machine.pause(event.stream_id, True, now=now)
        machine.stop(event.stream_id, now=now)


def _factory(shaken: bool, dice: Dice) -> RtmpClient:
    client = RtmpClient(config=_CONFIG, dice=dice, now=1000.0)
    client.publish("cam", now=1000.0)
    client.play("other", now=1000.0)
    if shaken:
        client.receive_data(b"\x03" + bytes(2 * 1536), 1000.0)
    client.data_to_send()
    return client


def _case(shaken: bool) -> MachineCase:
    return MachineCase(
        name=f"rtmp client, handshake done: {shaken}",
        factory=lambda dice: _factory(shaken, dice),
        seeds=[b""],
        bulk=bytes,
        pending_limit=100_000,
        react=_react,
    )


_CASES = [_case(False), _case(True)]


def one_input(data: bytes) -> None:
    # Whatever a server says, the client keeps the contract: no exception, bounded
    # memory, one Terminated, last.
    if data:
        check_any_input(_CASES[data[0] & 1], data[1:], dice_seed=len(data))
