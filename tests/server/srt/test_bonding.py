"""Callers that come over several links are one session."""

from __future__ import annotations

import os
from typing import Any

import pytest
import trio
from sansmedia.srt import (
    GroupClosed,
    GroupEstablished,
    Groups,
    GroupType,
    SrtOptions,
)

from penstock.settings import SrtSettings


class Bonded:
    """A group of links from one peer's socket.

    Args:
        peer: Whose endpoint the links share.
        port: The server's.
        kind: Which group.
    """

    def __init__(self, peer: Any, port: int, kind: GroupType) -> None:
        self.peer = peer
        self.groups = peer.groups = Groups(dice=os.urandom)
        options = SrtOptions(stream_id="publish:show", rcv_latency=0.02)
        self.id = self.groups.create(kind, options, now=trio.current_time())
        self.links = [self.connect(port, weight) for weight in (2, 1)]

    def connect(self, port: int, weight: int) -> int:
        socket_id = self.groups.connect(
            self.id,
            self.peer.endpoint,
            ("127.0.0.1", port),
            weight=weight,
            now=trio.current_time(),
        )
        assert socket_id is not None
        return socket_id

    async def send(self, payloads: list[bytes]) -> None:
        self.groups.send(self.id, payloads, now=trio.current_time())
        await self.peer.flush()


@pytest.mark.parametrize("kind", list(GroupType))
async def test_a_group_is_one_publisher_and_outlives_a_link(
    running_server: Any, make_peer: Any, clip: Any, kind: GroupType
) -> None:
    async with running_server() as server:
        peer = await make_peer(server)
        bonded = Bonded(peer, server.ports["srt"], kind)
        await peer.flush()
        await peer.wait_for(GroupEstablished)
        sessions = server.engine.registry.sessions

        def links() -> int:
            return sum(s.link().links for s in sessions.values() if s.link)

        await server.wait_until(lambda: links() == 2)
        assert len(sessions) == 1
        await bonded.send(clip.pictures(12))
        viewer = await make_peer(server)
        await viewer.call("live/show")
        assert await viewer.receive_frames(5)
        peer.endpoint.close_connection(bonded.links[0], now=trio.current_time())
        await peer.flush()
        await server.wait_until(lambda: links() == 2)  # the viewer's, and one left
        before = len(viewer.received)
        for _ in range(30):
            await bonded.send(clip.pictures(1))
            await trio.sleep(0.01)
        await server.wait_until(lambda: len(viewer.received) > before)
        bonded.groups.close_group(bonded.id, now=trio.current_time())
        await peer.flush()
        await server.wait_until(lambda: len(sessions) == 1)


async def test_a_group_is_refused_where_groups_are_off(
    running_server: Any, make_peer: Any, settings_of: Any
) -> None:
    srt = SrtSettings(listen="127.0.0.1:0", groups=False)
    async with running_server(settings_of(srt=srt)) as server:
        peer = await make_peer(server)
        Bonded(peer, server.ports["srt"], GroupType.BROADCAST)
        await peer.flush()
        news = await peer.wait_for(GroupEstablished, GroupClosed)
        assert isinstance(news, GroupClosed)


async def test_links_of_a_group_that_is_refused_are_refused_with_it(
    running_server: Any, make_peer: Any
) -> None:
    async with running_server() as server:
        first = await make_peer(server)
        await first.call("#!::r=live/show,m=publish")
        peer = await make_peer(server)
        Bonded(peer, server.ports["srt"], GroupType.BROADCAST)
        await peer.flush()
        news = await peer.wait_for(GroupEstablished, GroupClosed)
        assert isinstance(news, GroupClosed)
        assert len(server.engine.registry.sessions) == 1
