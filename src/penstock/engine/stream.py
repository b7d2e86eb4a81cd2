"""A stream outlives its publications: one publisher at a time, any viewers."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from functools import partial

import attrs
import trio

from penstock import log
from penstock.media import Frame, Track, TrackKind
from penstock.media.timeline import MillisecondTimeline

from .outlet import Outlet, RingLimits
from .rates import RateWindow, ShortRate
from .session import Session, StreamKey
from .unit import Converter, Form
from .viewer import Viewer, ViewerState

__all__ = ["Publication", "Stream", "StreamPolicy", "TrackMeter"]

_LINGER_S = 10.0
"""An outlet without viewers is kept this long: players reconnect."""
_UNCONVERTIBLE = "the stream cannot be converted"
_MAX_CACHED_FRAMES = 8_192
"""A new wire form converts the whole cache in one go, some 5 µs a frame: 100 s of
pictures and sounds of a usual stream, or 40 ms of the loop."""
_FRAME_OVERHEAD = 300
"""What a frame's objects cost beside its payload: tiny frames must not fill memory."""


@attrs.frozen
class StreamPolicy:
    """How a stream keeps and hands out what it has; from `[stream]` of the settings."""

    gop_cache: bool = True
    cache_max_bytes: int = 32 << 20
    ring_seconds: float = 10.0
    ring_max_bytes: int = 32 << 20
    slow_viewer_s: float = 30.0
    wait_for_publisher_s: float = 60.0
    republish_wait_s: float = 10.0
    merge_s: float = 0.0


@attrs.define(eq=False)
class TrackMeter:
    """What one track has carried."""

    track: Track
    frames: int = 0
    octets: int = 0
    last_key_dts: int | None = None
    key_distance_s: float = 0.0
    rate: ShortRate = attrs.field(factory=ShortRate)


@attrs.define(eq=False)
class Publication:
    """One publisher's time on a stream."""

    session: Session
    epoch: int
    timeline: MillisecondTimeline
    started_at: float
    """Unix seconds."""
    metadata: dict[str, object] = attrs.field(factory=dict)
    meters: dict[tuple[TrackKind, int], TrackMeter] = attrs.field(factory=dict)
    frames: int = 0
    octets: int = 0
    live_since: float | None = None
    """Unix seconds of the first frame."""
    rate: ShortRate = attrs.field(factory=ShortRate)
    ended: trio.Event = attrs.field(factory=trio.Event)
    """Set when the stream is free for another publisher."""
    received_before: int = 0
    """Octets that the session had received for other publications."""

    @property
    def octets_received(self) -> int:
        """Octets of this publication as they came, protocol and all."""
        return self.session.bytes_received - self.received_before

    @property
    def tracks(self) -> list[Track]:
        """Known tracks, video before audio before data, main ones first."""
        order = {TrackKind.VIDEO: 0, TrackKind.AUDIO: 1, TrackKind.DATA: 2}
        tracks = [meter.track for meter in self.meters.values()]
        return sorted(tracks, key=lambda track: (order[track.kind], track.id))


class Stream:
    """One stream and everything attached to it.

    Args:
        key: Its name.
        policy: Bounds and waits.
        make_converter: Gives the converter for a wire form of this stream.
        start_outlet: Starts an outlet's flush task and returns what stops it.
        created_at: Unix seconds.
        tc_url: As whoever asked for it first wrote it.
    """

    def __init__(
        self,
        key: StreamKey,
        policy: StreamPolicy,
        *,
        make_converter: Callable[[Form], Converter],
        start_outlet: Callable[[Outlet], Callable[[], None]],
        created_at: float,
        tc_url: str,
    ) -> None:
        self.id = uuid.uuid4().hex
        self.key = key
        self.policy = policy
        self.created_at = created_at
        self.tc_url = tc_url
        self.publication: Publication | None = None
        self.last_publisher_id: str | None = None
        self.outlets: dict[Form, Outlet] = {}
        self.viewers: dict[Viewer, Session] = {}
        self.cache: list[Frame] = []
        self.cache_bytes = 0
        """Memory that the cached frames take."""
        self.video_frames = 0
        self.bytes_received = 0
        """From publishers that have left; see `total_received`."""
        self.bytes_sent = 0
        """To viewers that have left."""
        self.dropped = 0
        self.damaged = 0
        """Messages that could not be read, and frames before their configuration."""
        self.rates = RateWindow()
        self.idle_since: float | None = None
        """When the last publication ended, on the loop's clock."""
        self._make_converter = make_converter
        self._start_outlet = start_outlet
        self._stop_outlet: dict[Outlet, Callable[[], None]] = {}
        self._outlets: tuple[Outlet, ...] = ()
        self._cache_overflown = False
        self._sent_before: dict[Viewer, int] = {}
        self._epoch = 0
        self._end_ms = 0

    # -- publishing ---------------------------------------------------------------

    @property
    def is_claimed(self) -> bool:
        """True while a publisher holds the stream, live or not yet."""
        return self.publication is not None

    @property
    def is_live(self) -> bool:
        """True once the publisher sent a frame."""
        return self.publication is not None and self.publication.live_since is not None

    def publish(self, session: Session, started_at: float) -> Publication:
        """Begin a publication; the registry has made sure that there is none."""
        self._epoch += 1
        self.idle_since = None
        self.last_publisher_id = session.id
        self.publication = Publication(
            session,
            self._epoch,
            MillisecondTimeline(self._end_ms),
            started_at,
            received_before=session.bytes_received,
        )
        for outlet in self._outlets:
            self._attempt(outlet, outlet.begin)
        return self.publication

    def unpublish(self, publication: Publication, now: float) -> None:
        """End a publication; viewers stay for `StreamPolicy.republish_wait_s`."""
        if self.publication is not publication:
            return
        self.publication = None
        self.idle_since = now
        self._end_ms = publication.timeline.last_ms
        self.bytes_received += publication.octets_received
        self._forget_cache()
        for outlet in self._outlets:
            outlet.end_publication()
        publication.ended.set()

    def push(self, frame: Frame) -> None:
        """Cache, count and hand one frame to every outlet. Never waits or raises."""
        self._meter(frame)
        self._remember(frame)
        for outlet in self._outlets:
            try:
                outlet.push(frame)
            except Exception as error:
                self._give_up(outlet, error)
                continue
            if outlet.converter.ended:
                self._close_outlet(outlet, outlet.converter.ended)
            elif (
                outlet.idle_since is not None
                and frame.received_at - outlet.idle_since > _LINGER_S
            ):
                self._close_outlet(outlet, "")

    def _attempt(self, outlet: Outlet, step: Callable[[], None]) -> bool:
        """Do something that runs a converter; its failure ends the outlet alone."""
        try:
            step()
        except Exception as error:
            self._give_up(outlet, error)
            return False
        if outlet.converter.ended:
            self._close_outlet(outlet, outlet.converter.ended)
            return False
        return True

    def _give_up(self, outlet: Outlet, error: Exception) -> None:
        form = outlet.form
        log.exception(
            "converter failed",
            error,
            stream=str(self.key),
            format=form.format,
            framing=form.framing,
            viewers=len(outlet.viewers),
        )
        self._close_outlet(outlet, _UNCONVERTIBLE)

    def announce(self, track: Track, now: float) -> None:
        """Take a track before its first frame, or its new configuration."""
        if self.publication is not None:
            name = (track.kind, track.id)
            meter = self.publication.meters.setdefault(name, TrackMeter(track))
            meter.track = track
        for outlet in self._outlets:
            self._attempt(outlet, partial(outlet.announce, track, now))

    def _meter(self, frame: Frame) -> None:
        publication = self.publication
        if publication is None:
            return
        track = frame.track
        name = (track.kind, track.id)
        meter = publication.meters.get(name)
        if meter is None:
            meter = publication.meters[name] = TrackMeter(track)
        size = len(frame.payload)
        meter.frames += 1
        meter.octets += size
        publication.frames += 1
        publication.octets += size
        if track.is_video:
            self.video_frames += 1
            if frame.random_access:
                if meter.last_key_dts is not None:
                    ticks = frame.dts - meter.last_key_dts
                    meter.key_distance_s = round(ticks / track.clock_rate, 3)
                meter.last_key_dts = frame.dts
        if publication.live_since is None:
            publication.live_since = time.time()

    def set_metadata(self, values: dict[str, object], now: float) -> None:
        """Keep the publisher's metadata and pass it to viewers."""
        if self.publication is not None:
            self.publication.metadata = values
        for outlet in self._outlets:
            self._attempt(outlet, partial(outlet.push_metadata, values, now))

    def _remember(self, frame: Frame) -> None:
        if not self.policy.gop_cache:
            return
        if frame.random_access and frame.track.is_video and frame.track.id == 0:
            self._forget_cache()
        elif self._cache_overflown:
            return  # nothing can start before the next key frame
        self.cache.append(frame)
        self.cache_bytes += len(frame.payload) + _FRAME_OVERHEAD
        if (
            self.cache_bytes > self.policy.cache_max_bytes
            or len(self.cache) > _MAX_CACHED_FRAMES
        ):
            self._forget_cache()
            self._cache_overflown = frame.track.is_video or self._has_video
        elif len(self.cache) > 1 and self._is_stale_audio(frame):
            self._forget_cache()

    def _forget_cache(self) -> None:
        self.cache.clear()
        self.cache_bytes = 0
        self._cache_overflown = False

    @property
    def _has_video(self) -> bool:
        publication = self.publication
        return publication is not None and (TrackKind.VIDEO, 0) in publication.meters

    def _is_stale_audio(self, frame: Frame) -> bool:
        """Without video nothing else would empty the cache."""
        first = self.cache[0]
        return (
            first.track.is_audio
            and frame.track.is_audio
            and frame.received_at - first.received_at > 2.0
        )

    # -- watching -------------------------------------------------------------------

    def attach(self, viewer: Viewer, form: Form, session: Session, now: float) -> None:
        """Give a viewer the units of ``form`` from the newest key unit on."""
        self.viewers[viewer] = session
        self._sent_before.setdefault(viewer, session.bytes_sent)
        outlet = self.outlets.get(form)
        if outlet is None:
            outlet = self._open_outlet(form)
        if outlet.converter.ended:
            viewer.finish(outlet.converter.ended)
        elif form in self.outlets:
            outlet.attach(viewer, now)
        else:
            viewer.finish(_UNCONVERTIBLE)

    def pause(self, viewer: Viewer, now: float) -> None:
        """Stop giving units to a viewer that stays; `attach` goes on."""
        if viewer.outlet is not None:
            viewer.outlet.detach(viewer, now)
            viewer.outlet = None

    def detach(self, viewer: Viewer, now: float) -> None:
        """Let go of a viewer; the wire is its session's again."""
        self.pause(viewer, now)
        session = self.viewers.pop(viewer, None)
        if session is not None:
            self.dropped += viewer.dropped
            self.bytes_sent += session.bytes_sent - self._sent_before.pop(viewer)

    def _open_outlet(self, form: Form) -> Outlet:
        policy = self.policy
        merge_s = policy.merge_s if form.format == "rtmp" else 0.0
        limits = RingLimits(
            seconds=policy.ring_seconds,
            max_bytes=policy.ring_max_bytes,
            keep_group=policy.gop_cache,
            merge_s=merge_s,
        )
        outlet = Outlet(form, self._make_converter(form), limits)
        self.outlets[form] = outlet
        self._outlets = tuple(self.outlets.values())
        self._stop_outlet[outlet] = self._start_outlet(outlet)
        publication = self.publication
        if publication is not None:
            tracks, metadata = publication.tracks, publication.metadata
            self._attempt(outlet, partial(outlet.replay, tracks, metadata, self.cache))
        return outlet

    def _close_outlet(self, outlet: Outlet, reason: str) -> None:
        for viewer in list(outlet.viewers):
            viewer.finish(reason)
        if self.outlets.get(outlet.form) is outlet:
            del self.outlets[outlet.form]
        self._outlets = tuple(self.outlets.values())
        self._stop_outlet.pop(outlet)()

    # -- time -------------------------------------------------------------------------

    def tick(self, now: float) -> None:
        """Do what is due: end viewers nobody publishes for, measure rates."""
        publication = self.publication
        if publication is None:
            self._end_waiting(now)
            for outlet in self._outlets:
                if (
                    outlet.idle_since is not None
                    and now - outlet.idle_since > _LINGER_S
                ):
                    self._close_outlet(outlet, "")
        else:
            self._end_starving(now)
            publication.rate.sample(now, publication.frames, publication.octets)
            for meter in publication.meters.values():
                meter.rate.sample(now, meter.frames, meter.octets)
        if self.rates.is_due(now):
            self.rates.sample(now, self.total_received, self.total_sent)

    def _end_waiting(self, now: float) -> None:
        """Nobody publishes: end who has waited long enough for a publisher."""
        policy = self.policy
        if self.idle_since is not None:
            if now - self.idle_since < policy.republish_wait_s:
                return
            for viewer in self.viewers:
                if viewer.started or viewer.waiting_since <= self.idle_since:
                    viewer.finish("publisher left")
        for viewer in self.viewers:
            if now - viewer.waiting_since >= policy.wait_for_publisher_s:
                viewer.finish("nobody published")

    def _end_starving(self, now: float) -> None:
        """End viewers of a live stream that has nothing for their form."""
        policy = self.policy
        patience_s = max(policy.wait_for_publisher_s, policy.slow_viewer_s)
        for viewer in self.viewers:
            if (
                viewer.state is ViewerState.WAITING
                and now - viewer.waiting_since >= patience_s
            ):
                viewer.finish("the stream has nothing to start with")

    @property
    def is_unused(self) -> bool:
        """True if the registry may forget this stream."""
        return self.publication is None and not self.viewers

    def close(self) -> None:
        """Stop all outlets; the stream is forgotten."""
        for outlet in self._outlets:
            self._close_outlet(outlet, "stream closed")

    @property
    def total_received(self) -> int:
        """Octets from publishers since the entry was made."""
        publication = self.publication
        current = 0 if publication is None else publication.octets_received
        return self.bytes_received + current

    @property
    def total_sent(self) -> int:
        """Octets to viewers since the entry was made."""
        current = sum(
            session.bytes_sent - self._sent_before[viewer]
            for viewer, session in self.viewers.items()
        )
        return self.bytes_sent + current
