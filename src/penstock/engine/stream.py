"""A stream outlives its publications: one publisher at a time, any viewers."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable

import attrs

from penstock.media import Frame, Track, TrackKind
from penstock.media.timeline import MillisecondTimeline

from .outlet import Outlet, RingLimits
from .rates import RateWindow, ShortRate
from .session import Session, StreamKey
from .unit import Converter, Form
from .viewer import Viewer

__all__ = ["Publication", "Stream", "StreamPolicy", "TrackMeter"]

_LINGER_S = 10.0
"""An outlet without viewers is kept this long: players reconnect."""


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
        self.video_frames = 0
        self.bytes_received = 0
        """From publishers that have left; see `total_received`."""
        self.bytes_sent = 0
        """To viewers that have left."""
        self.dropped = 0
        self.rates = RateWindow()
        self.idle_since: float | None = None
        """When the last publication ended, on the loop's clock."""
        self._make_converter = make_converter
        self._start_outlet = start_outlet
        self._stop_outlet: dict[Outlet, Callable[[], None]] = {}
        self._outlets: tuple[Outlet, ...] = ()
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
        assert self.publication is None
        self._epoch += 1
        self.idle_since = None
        self.last_publisher_id = session.id
        self.publication = Publication(
            session, self._epoch, MillisecondTimeline(self._end_ms), started_at
        )
        for outlet in self._outlets:
            outlet.begin()
        return self.publication

    def unpublish(self, publication: Publication, now: float) -> None:
        """End a publication; viewers stay for `StreamPolicy.republish_wait_s`."""
        if self.publication is not publication:
            return
        self.publication = None
        self.idle_since = now
        self._end_ms = publication.timeline.last_ms
        self.bytes_received += publication.session.bytes_received
        self.cache.clear()
        self.cache_bytes = 0

    def push(self, frame: Frame) -> None:
        """Cache, count and hand one frame to every outlet. Never waits or raises."""
        self._meter(frame)
        self._remember(frame)
        for outlet in self._outlets:
            outlet.push(frame)
            if outlet.converter.ended:
                self._close_outlet(outlet, outlet.converter.ended)
            elif (
                outlet.idle_since is not None
                and frame.received_at - outlet.idle_since > _LINGER_S
            ):
                self._close_outlet(outlet, "")

    def announce(self, track: Track, now: float) -> None:
        """Take a track before its first frame, or its new configuration."""
        if self.publication is not None:
            name = (track.kind, track.id)
            meter = self.publication.meters.setdefault(name, TrackMeter(track))
            meter.track = track
        for outlet in self._outlets:
            outlet.announce(track, now)
            if outlet.converter.ended:
                self._close_outlet(outlet, outlet.converter.ended)

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
            outlet.push_metadata(values, now)

    def _remember(self, frame: Frame) -> None:
        if not self.policy.gop_cache:
            return
        if frame.random_access and frame.track.is_video and frame.track.id == 0:
            self.cache.clear()
            self.cache_bytes = 0
        self.cache.append(frame)
        self.cache_bytes += len(frame.payload)
        if self.cache_bytes > self.policy.cache_max_bytes or (
            len(self.cache) > 1 and self._is_stale_audio(frame)
        ):
            self.cache.clear()
            self.cache_bytes = 0

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
        outlet = self.outlets.get(form)
        if outlet is None:
            outlet = self._open_outlet(form)
        self.viewers[viewer] = session
        outlet.attach(viewer, now)

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
            self.bytes_sent += session.bytes_sent

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
        if self.publication is not None:
            outlet.replay(
                self.publication.tracks, self.publication.metadata, self.cache
            )
        self.outlets[form] = outlet
        self._outlets = tuple(self.outlets.values())
        self._stop_outlet[outlet] = self._start_outlet(outlet)
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
        if publication is None or publication.live_since is None:
            self._end_waiting(now)
        if publication is None:
            for outlet in self._outlets:
                if (
                    outlet.idle_since is not None
                    and now - outlet.idle_since > _LINGER_S
                ):
                    self._close_outlet(outlet, "")
        else:
            publication.rate.sample(now, publication.frames, publication.octets)
            for meter in publication.meters.values():
                meter.rate.sample(now, meter.frames, meter.octets)
        self.rates.sample(now, self.total_received, self.total_sent)

    def _end_waiting(self, now: float) -> None:
        policy = self.policy
        if self.publication is not None:
            return
        if self.idle_since is not None:
            if now - self.idle_since < policy.republish_wait_s:
                return
            for viewer in self.viewers:
                if viewer.started or viewer.waiting_since <= self.idle_since:
                    viewer.finish("publisher left")
        for viewer in self.viewers:
            if now - viewer.waiting_since >= policy.wait_for_publisher_s:
                viewer.finish("nobody published")

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
        current = 0 if publication is None else publication.session.bytes_received
        return self.bytes_received + current

    @property
    def total_sent(self) -> int:
        """Octets to viewers since the entry was made."""
        return self.bytes_sent + sum(s.bytes_sent for s in self.viewers.values())
