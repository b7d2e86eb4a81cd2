"""What real clients sent, recorded at a server of this library, is still understood."""

from __future__ import annotations

import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from sansmedia.rtmp import (
    ConnectRequested,
    MediaMessage,
    MediaReceived,
    PlayRequested,
    PublishRequested,
    RtmpServer,
    ServerEvent,
)
from sansmedia.sansio.testing import SeededDice

_DATA = Path(__file__).parents[2] / "data" / "rtmp"
_NAMES = sorted(path.stem for path in _DATA.glob("*.toml"))


def _replay(data: bytes, piece: int) -> tuple[RtmpServer, list[ServerEvent]]:
    """Feed ``data``, granting every request; runs of media are joined."""
    server = RtmpServer(dice=SeededDice(1), now=0.0)
    events: list[ServerEvent] = []
    for at in range(0, len(data), piece):
        server.receive_data(data[at : at + piece], 0.0)
        while (event := server.next_event()) is not None:
            if isinstance(event, ConnectRequested | PublishRequested | PlayRequested):
                server.accept(event.request_id, now=0.0)
            last = events[-1] if events else None
            if isinstance(event, MediaReceived) and isinstance(last, MediaReceived):
                last.messages.extend(event.messages)
            else:
                events.append(event)
        server.data_to_send()
    return server, events


def _vector(name: str) -> tuple[bytes, dict[str, Any]]:
    facts = tomllib.loads((_DATA / f"{name}.toml").read_text())
    return (_DATA / f"{name}.bin").read_bytes(), facts["expected"]


@pytest.mark.parametrize("name", _NAMES)
def test_a_recorded_client_is_understood(name: str) -> None:
    data, expected = _vector(name)
    server, events = _replay(data, len(data))
    assert [type(event).__name__ for event in events] == expected["events"]
    connect = next(e for e in events if isinstance(e, ConnectRequested))
    assert connect.app == expected["app"]
    assert connect.flash_version == expected["flash_version"]
    assert list(connect.capabilities.four_cc_list) == expected["four_ccs"]
    assert server.statistics().handshake.name == expected["handshake"]
    asked = next(e for e in events if isinstance(e, PublishRequested | PlayRequested))
    assert asked.name == expected["name"]
    if isinstance(asked, PublishRequested):
        assert asked.kind == expected["kind"]
    else:
        assert expected["kind"] == "play"
    media: list[MediaMessage] = []
    for event in events:
        if isinstance(event, MediaReceived):
            media += event.messages
    assert "".join(message.kind.name[0] for message in media) == expected["media"]
    assert [message.timestamp for message in media] == expected["timestamps"]
    assert sum(len(message.payload) for message in media) == expected["media_octets"]
    counts = Counter(type(event).__name__ for event in events)
    assert counts["MetadataReceived"] == expected["metadata"]
    assert server.statistics().messages_ignored == 0


@pytest.mark.parametrize("name", _NAMES)
@pytest.mark.parametrize("piece", [1, 13, 1460])
def test_a_recorded_client_is_understood_in_any_segmentation(
    name: str, piece: int
) -> None:
    data, _ = _vector(name)
    assert _replay(data, piece)[1] == _replay(data, len(data))[1]
