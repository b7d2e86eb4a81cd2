"""The legs of a relay over RTMP(S): a pull from another server, a push to it."""

from __future__ import annotations

import trio
from sansmedia.rtmp import (
    ClientEvent,
    DataDiscarded,
    DataReceived,
    MediaReceived,
    MetadataReceived,
    PlayEnded,
    PlayStarted,
    PublishAccepted,
    ReconnectRequested,
)
from sansmedia.rtmp.url import StreamAddress, decode_url
from sansmedia.sansio import ProtocolError

from penstock.engine.engine import Engine
from penstock.engine.registry import Refusal
from penstock.engine.session import Role, Session
from penstock.engine.stream import Publication
from penstock.engine.unit import Form
from penstock.engine.viewer import SlowViewer, Viewer

from .barrier import SessionEnd, Start, new_session, run_session, run_with_tasks
from .ingest import FlvIngest
from .relay_state import UNWATCHED_S, Relay
from .rtmp_client import RemoteRefusal, RtmpConnection, open_rtmp

__all__ = ["run_rtmp_relay"]


class _Reconnect(Exception):
    """The server asked us to come back, perhaps elsewhere."""

    def __init__(self, url: str) -> None:
        super().__init__("reconnect requested")
        self.url = url


async def run_rtmp_relay(
    engine: Engine, relay: Relay, url: str
) -> tuple[str, str | None]:
    """Run a relay once.

    Returns:
        Why it failed, or "", and where to go on at once, if the server said so.
    """
    try:
        address = decode_url(url)
        connection = await open_rtmp(address)
    except (OSError, ProtocolError) as error:
        return str(error), None
    protocol = "rtmps" if connection.wire.secure else "rtmp"
    session = new_session(protocol, connection.wire)
    session.relay_id = relay.id
    session.key = relay.key
    session.tc_url = address.tc_url
    session.parameters = address.query
    relay.session_id = session.id
    kind = _PullLeg if relay.pulls else _PushLeg
    leg = kind(engine, connection, session, relay, address)
    try:
        await run_session(engine, session, leg.run)
    finally:
        await connection.aclose()
    return leg.error, leg.next_url


class _Leg:
    """What both directions share: the remote end and how it went."""

    def __init__(
        self,
        engine: Engine,
        connection: RtmpConnection,
        session: Session,
        relay: Relay,
        address: StreamAddress,
    ) -> None:
        self.error = ""
        self.next_url: str | None = None
        self._engine = engine
        self._connection = connection
        self._session = session
        self._relay = relay
        self._address = address

    async def run(self) -> str:
        """Relay until one end ends; return why."""
        try:
            return await self._run()
        except* (RemoteRefusal, Refusal, SlowViewer, OSError) as group:
            self.error = str(group.exceptions[0])
        except* _Reconnect as group:
            url = getattr(group.exceptions[0], "url", "")
            self.next_url = f"{url.rstrip('/')}/{self._address.stream}"
        raise SessionEnd(self.error or "reconnect requested", error=bool(self.error))

    async def _run(self) -> str:
        raise AssertionError("each direction has its own")

    @staticmethod
    def _check(event: ClientEvent) -> None:
        if isinstance(event, ReconnectRequested):
            raise _Reconnect(event.tc_url)


class _PullLeg(_Leg):
    """Takes a stream from another server and publishes it here."""

    def __init__(
        self,
        engine: Engine,
        connection: RtmpConnection,
        session: Session,
        relay: Relay,
        address: StreamAddress,
    ) -> None:
        super().__init__(engine, connection, session, relay, address)
        self._publication: Publication | None = None
        self._ingest: FlvIngest | None = None
        self._fed = self._watched = trio.current_time()

    async def _run(self) -> str:
        self._connection.machine.play(self._address.stream, now=trio.current_time())
        try:
            while True:
                for event in await self._events():
                    self._check(event)
                    await self._take(event)
                if self._is_unwatched():
                    return "nobody watches"
        finally:
            if self._publication is not None:
                self._engine.registry.unclaim(self._publication)

    async def _events(self) -> list[ClientEvent]:
        idle_s = self._engine.settings.stream.publish_idle_s
        with trio.move_on_at(self._fed + idle_s):
            return await self._connection.events()
        raise RemoteRefusal(f"nothing came for {idle_s:g} s")

    async def _take(self, event: ClientEvent) -> None:
        match event:
            case PlayStarted():
                self._relay.state = "running"
            case MediaReceived() | MetadataReceived() | DataReceived():
                self._fed = trio.current_time()
                if self._publication is None:
                    # Not before: a server may keep us waiting for its publisher,
                    # and ours must not be shut out by that.
                    self._publication = await self._engine.registry.claim(
                        self._session, self._relay.key
                    )
                    assert self._session.stream is not None
                    self._ingest = FlvIngest(self._session.stream, self._publication)
                self._push(event)
            case DataDiscarded() if self._ingest is not None:
                self._ingest.take_damage(str(event.error))
            case PlayEnded():
                raise RemoteRefusal(event.reason or "the stream ended")
            case _:
                pass

    def _push(self, event: MediaReceived | MetadataReceived | DataReceived) -> None:
        ingest, now = self._ingest, self._fed
        assert ingest is not None
        match event:
            case MediaReceived():
                ingest.take_media(event.messages, now)
            case MetadataReceived():
                ingest.take_metadata(event.values, now)
            case DataReceived():
                ingest.take_data(event.timestamp, event.payload, now)

    def _is_unwatched(self) -> bool:
        """Tell whether a relay on demand has been without viewers for long."""
        now = trio.current_time()
        if self._relay.is_watched(self._engine):
            self._watched = now
        return now - self._watched > UNWATCHED_S


class _PushLeg(_Leg):
    """Publishes a stream of ours at another server: a viewer like any other."""

    async def _run(self) -> str:
        connection, session = self._connection, self._session
        connection.machine.publish(self._address.stream, now=trio.current_time())
        stream_id = await self._accepted()
        lane = connection.machine.publish_lane(stream_id)
        if not lane.is_shared:
            raise RemoteRefusal("the server's message stream is not the first")
        connection.send()
        await connection.wire.flush()
        stream = self._engine.registry.stream(self._relay.key, session.tc_url)
        viewer = Viewer(connection.wire, slow_limit_s=stream.policy.slow_viewer_s)
        connection.viewer = session.viewer = viewer
        session.stream, session.role = stream, Role.PLAY
        self._relay.state = "running"

        async def write(start: Start) -> str:
            start(self._watch_server)
            return await viewer.run()

        try:
            stream.attach(viewer, Form("rtmp"), session, trio.current_time())
            return await run_with_tasks(write)
        finally:
            connection.viewer = None
            stream.detach(viewer, trio.current_time())
            self._engine.registry.release(stream)

    async def _accepted(self) -> int:
        while True:
            for event in await self._connection.events():
                self._check(event)
                if isinstance(event, PublishAccepted):
                    return event.stream_id

    async def _watch_server(self) -> None:
        while True:
            for event in await self._connection.events():
                self._check(event)
