"""Relays over RTMP(S): pull a stream from another server, or push one to it."""

from __future__ import annotations

import sys
import uuid

import attrs
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

from penstock import log
from penstock.config import Address
from penstock.control import RelayView
from penstock.engine.engine import Engine
from penstock.engine.registry import Refusal
from penstock.engine.session import Role, Session, StreamKey
from penstock.engine.stream import Publication
from penstock.engine.unit import Form
from penstock.engine.viewer import SlowViewer, Viewer
from penstock.settings import RelaySettings

from .barrier import SessionEnd, Start, new_session, run_session, run_with_tasks
from .ingest import FlvIngest
from .rtmp_client import RemoteRefusal, RtmpConnection, open_rtmp

__all__ = ["RelaySupervisor", "run_standalone"]

_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 30.0
_GOOD_RUN_S = 30.0
"""A relay that ran this long starts its back-off anew."""
_LOOK_S = 0.5
_UNWATCHED_S = 10.0


class _Reconnect(Exception):
    """The server asked us to come back, perhaps elsewhere."""

    def __init__(self, url: str) -> None:
        super().__init__("reconnect requested")
        self.url = url


@attrs.define(eq=False)
class _Relay:
    """One configured relay and how it fares."""

    settings: RelaySettings
    id: str = attrs.field(factory=lambda: uuid.uuid4().hex)
    state: str = "waiting"
    attempts: int = 0
    last_error: str = ""
    session_id: str | None = None
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)

    @property
    def pulls(self) -> bool:
        """True if the source is remote."""
        return "://" in self.settings.source

    @property
    def remote_url(self) -> str:
        """The end that is elsewhere."""
        return self.settings.source if self.pulls else self.settings.destination

    @property
    def key(self) -> StreamKey:
        """The end that is here."""
        local = self.settings.destination if self.pulls else self.settings.source
        app, _, name = local.rpartition("/")
        return StreamKey("default", app, name)

    def view(self) -> RelayView:
        """Return what control shows."""
        return RelayView(
            id=self.id,
            source=log.mask_url(self.settings.source, hide_name=False),
            destination=log.mask_url(self.settings.destination, hide_name=True),
            state=self.state,
            attempts=self.attempts,
            last_error=self.last_error,
            session_id=self.session_id,
        )


class RelaySupervisor:
    """Keeps the configured relays running.

    Args:
        engine: Whose streams they feed or take from.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._relays: dict[RelaySettings, _Relay] = {}
        self._changed = trio.Event()

    def views(self) -> list[RelayView]:
        """Return every relay."""
        return [relay.view() for relay in self._relays.values()]

    def stop(self) -> None:
        """End all relays for good; `run` goes on waiting for new ones."""
        for relay in self._relays.values():
            relay.scope.cancel()

    def reconcile(self) -> None:
        """Stop relays that are no longer configured; `run` starts the new ones."""
        wanted = set(self._engine.settings.relay)
        for settings in [s for s in self._relays if s not in wanted]:
            self._relays.pop(settings).scope.cancel()
        self._changed.set()

    async def run(self) -> None:
        """Run all relays until cancelled."""
        async with trio.open_nursery() as nursery:
            while True:
                for settings in self._engine.settings.relay:
                    if settings not in self._relays:
                        relay = self._relays[settings] = _Relay(settings)
                        nursery.start_soon(self._keep_running, relay)
                await self._changed.wait()
                self._changed = trio.Event()

    async def _keep_running(self, relay: _Relay) -> None:
        pause_s = _FIRST_PAUSE_S
        url = relay.remote_url
        with relay.scope:
            while True:
                relay.state = "waiting"
                await self._wait_until_wanted(relay)
                relay.state = "connecting"
                relay.attempts += 1
                began = trio.current_time()
                try:
                    next_url = await self._attempt(relay, url)
                except Exception as error:
                    log.exception("relay failed by a bug of ours", error)
                    next_url = None
                relay.session_id = None
                lasted_s = trio.current_time() - began
                if lasted_s >= _GOOD_RUN_S:
                    pause_s = _FIRST_PAUSE_S
                url = next_url or relay.remote_url
                if next_url is not None and lasted_s >= _FIRST_PAUSE_S:
                    continue  # at once, unless servers send us round in circles
                relay.state = "waiting"
                await trio.sleep(pause_s)
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    async def _wait_until_wanted(self, relay: _Relay) -> None:
        while True:
            stream = self._engine.registry.streams.get(relay.key)
            if relay.pulls:
                if not relay.settings.on_demand or (stream and stream.viewers):
                    return
            elif stream is not None and stream.is_live:
                return
            await trio.sleep(_LOOK_S)

    async def _attempt(self, relay: _Relay, url: str) -> str | None:
        """Run a relay once; return where to go on at once, if the server said so."""
        try:
            connection = await open_rtmp(decode_url(url))
        except (OSError, ProtocolError) as error:
            self._note(relay, str(error))
            return None
        address = decode_url(url)
        protocol = "rtmps" if connection.wire.secure else "rtmp"
        session = new_session(protocol, connection.wire)
        session.relay_id = relay.id
        session.key = relay.key
        session.tc_url = address.tc_url
        session.parameters = address.query
        relay.session_id = session.id
        leg: _PullLeg | _PushLeg
        if relay.pulls:
            leg = _PullLeg(self._engine, connection, session, relay, address)
        else:
            leg = _PushLeg(self._engine, connection, session, relay, address)
        try:
            await run_session(self._engine, session, leg.run)
        finally:
            await connection.aclose()
        if leg.error:
            self._note(relay, leg.error)
        return leg.next_url

    @staticmethod
    def _note(relay: _Relay, error: str) -> None:
        relay.last_error = error
        log.warning(
            "relay failed",
            relay=relay.id,
            source=log.mask_url(relay.settings.source),
            destination=log.mask_url(relay.settings.destination, hide_name=True),
            reason=error,
        )


class _Leg:
    """What both directions share: the remote end and how it went."""

    def __init__(
        self,
        engine: Engine,
        connection: RtmpConnection,
        session: Session,
        relay: _Relay,
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
        relay: _Relay,
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
        stream = self._engine.registry.streams.get(self._relay.key)
        if not self._relay.settings.on_demand or (stream and stream.viewers):
            self._watched = now
        return now - self._watched > _UNWATCHED_S


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


async def run_standalone(source: str, destination: str) -> int:
    """Forward one stream between two servers until either ends.

    Messages pass unread: whatever the source sends, the destination gets. Nothing is
    published there before the source has a stream: others may have the name until then.

    Returns:
        The exit code: 0 when the source's stream ended, 1 on failure.
    """
    source_end: RtmpConnection | None = None
    sink: RtmpConnection | None = None
    code = 0
    try:
        from_address, to_address = decode_url(source), decode_url(destination)
        source_end = await _opened(from_address)
        # Told now and not when the stream begins, if it can never be reached.
        (await _opened(to_address)).wire.close()
        first = await _first_media(source_end, from_address)
        sink = await _opened(to_address)
        await _forward(source_end, sink, to_address, first)
    except* (OSError, ProtocolError, RemoteRefusal) as group:
        code = _report(group)
    finally:
        for end in (source_end, sink):
            if end is not None:
                with trio.CancelScope(shield=True, deadline=trio.current_time() + 2):
                    await end.aclose()
    return code


async def _opened(address: StreamAddress) -> RtmpConnection:
    """Connect; of two servers a failure must name the one. Raises: RemoteRefusal."""
    try:
        return await open_rtmp(address)
    except OSError as error:
        reason = error.strerror or str(error)
        place = Address(address.host, address.port)
        raise RemoteRefusal(f"{place}: {reason}") from error


def _report(group: BaseExceptionGroup[Exception]) -> int:
    error = group.exceptions[0]
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, RemoteRefusal) and str(error).startswith("ended:"):
        _tell(f"penstock relay: {error}")
        return 0
    _tell(f"penstock relay: {error}")
    return 1


async def _first_media(
    source: RtmpConnection, address: StreamAddress
) -> list[ClientEvent]:
    """Play until the stream has begun; return the events that it begins with.

    Raises:
        RemoteRefusal: there is no stream, or it has ended.
    """
    source.machine.play(address.stream, now=trio.current_time())
    while True:
        events = await source.events()
        for at, event in enumerate(events):
            if isinstance(event, MediaReceived | MetadataReceived):
                return events[at:]
            if isinstance(event, PlayStarted):
                _tell("waiting for the source's stream")
            _refuse_end(event)


async def _forward(
    source: RtmpConnection,
    sink: RtmpConnection,
    address: StreamAddress,
    events: list[ClientEvent],
) -> None:
    sink.machine.publish(address.stream, now=trio.current_time())
    accepted = trio.Event()
    stream_id = 0

    async def watch_sink() -> None:
        nonlocal stream_id
        while True:
            for event in await sink.events():
                if isinstance(event, PublishAccepted):
                    stream_id = event.stream_id
                    accepted.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch_sink)
        await accepted.wait()
        lane = sink.machine.publish_lane(stream_id)
        _tell("relaying; Ctrl-C ends it")
        while True:
            for event in events:
                match event:
                    case MediaReceived():
                        for data in lane.write(event.messages):
                            sink.wire.offer(data)
                    case MetadataReceived():
                        sink.machine.send_data(
                            stream_id,
                            event.timestamp,
                            ("@setDataFrame", "onMetaData", event.values),
                            now=trio.current_time(),
                        )
                        sink.send()
                    case DataReceived():
                        sink.machine.send_data(
                            stream_id,
                            event.timestamp,
                            event.values,
                            now=trio.current_time(),
                        )
                        sink.send()
                    case _:
                        _refuse_end(event)
            await sink.wire.flush()
            events = await source.events()


def _refuse_end(event: ClientEvent) -> None:
    if isinstance(event, PlayEnded):
        raise RemoteRefusal(f"ended: {event.reason or 'no more media'}")


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
