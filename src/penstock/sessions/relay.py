"""Relays: they pull a stream from another server, or push one to it."""

from __future__ import annotations

import sys

import trio
from sansmedia.rtmp import (
    ClientEvent,
    DataReceived,
    MediaReceived,
    MetadataReceived,
    PlayEnded,
    PlayStarted,
    PublishAccepted,
)
from sansmedia.rtmp.url import StreamAddress, decode_url
from sansmedia.sansio import ProtocolError

from penstock import log
from penstock.config import Address, check_relay
from penstock.control import RelayView
from penstock.engine.engine import Engine
from penstock.engine.registry import Refusal
from penstock.settings import RelaySettings

from .relay_state import Relay
from .rtmp_client import RemoteRefusal, RtmpConnection, open_rtmp
from .rtmp_relay import run_rtmp_relay
from .srt_relay import run_srt_relay
from .udp_relay import run_udp_relay
from .webrtc_relay import WebRtcRelays

__all__ = ["RelaySupervisor", "run_standalone"]

_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 30.0
_GOOD_RUN_S = 30.0
"""A relay that ran this long starts its back-off anew."""
_LOOK_S = 0.5
_MAX_ORDERED = 1_000


class RelaySupervisor:
    """Keeps the configured relays running.

    Args:
        engine: Whose streams they feed or take from.
        webrtc: Runs those over WHIP and WHEP.
    """

    def __init__(self, engine: Engine, webrtc: WebRtcRelays) -> None:
        self._engine = engine
        self._webrtc = webrtc
        self._relays: dict[RelaySettings, Relay] = {}
        self._ordered: dict[str, Relay] = {}
        """Those that a command has started, by id; they end with one, or with us."""
        self._new: list[Relay] = []
        self._changed = trio.Event()

    def views(self) -> list[RelayView]:
        """Return every relay, and those that somebody has started for once."""
        relays = (*self._relays.values(), *self._ordered.values())
        views = [relay.view() for relay in relays]
        return views + self._webrtc.views()

    def stop(self) -> None:
        """End all relays for good; `run` goes on waiting for new ones."""
        for relay in (*self._relays.values(), *self._ordered.values()):
            relay.scope.cancel()

    # -- by command -------------------------------------------------------------------

    def start(self, settings: RelaySettings) -> RelayView:
        """Keep a relay running until `end`, or the server's own end.

        Raises:
            ValueError: What it has on its sides is not what a relay has.
            Refusal: There are too many.
        """
        check_relay(settings)
        if len(self._ordered) >= _MAX_ORDERED:
            raise Refusal(f"more than {_MAX_ORDERED} relays by command", "limit")
        relay = Relay(settings)
        self._ordered[relay.id] = relay
        self._new.append(relay)
        self._changed.set()
        return relay.view()

    def end(self, relay_id: str) -> bool:
        """End a relay that a command has started; False if there is none."""
        relay = self._ordered.pop(relay_id, None)
        if relay is not None:
            relay.scope.cancel()
        return relay is not None

    # -- configured -------------------------------------------------------------------

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
                        relay = self._relays[settings] = Relay(settings)
                        nursery.start_soon(self._keep_running, relay)
                while self._new:
                    nursery.start_soon(self._keep_running, self._new.pop())
                await self._changed.wait()
                self._changed = trio.Event()

    async def _keep_running(self, relay: Relay) -> None:
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

    async def _wait_until_wanted(self, relay: Relay) -> None:
        while True:
            stream = self._engine.registry.streams.get(relay.key)
            if relay.pulls:
                if relay.is_watched(self._engine):
                    return
            elif stream is not None and stream.is_live:
                return
            await trio.sleep(_LOOK_S)

    async def _attempt(self, relay: Relay, url: str) -> str | None:
        """Run a relay once; return where to go on at once, if the server said so."""
        next_url: str | None = None
        if url.startswith("wh"):
            error = await self._webrtc.run(relay)
        elif url.startswith("srt:"):
            error = await run_srt_relay(self._engine, relay, url)
        elif url.startswith("udp:"):
            error = await run_udp_relay(self._engine, relay, url)
        else:
            error, next_url = await run_rtmp_relay(self._engine, relay, url)
        if error:
            self._note(relay, error)
        return next_url

    @staticmethod
    def _note(relay: Relay, error: str) -> None:
        relay.last_error = error
        log.warning(
            "relay failed",
            relay=relay.id,
            source=log.mask_url(relay.settings.source),
            destination=relay.masked_destination,
            reason=error,
        )


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
