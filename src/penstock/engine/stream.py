"""A stream outlives its publications: one publisher at a time, any viewers."""

from __future__ import annotations

import time
import uuid
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Protocol, TypeAlias

import attrs
import trio
from sansmedia.codecs import Codec

from penstock import log
from penstock.media import Frame, Track, TrackKind
from penstock.media.timeline import MillisecondTimeline

from .derived import DerivedTracks, Need
from .outlet import Outlet, RingLimits
from .packet_outlet import PacketOutlet
from .packet_viewer import PacketViewer
from .rates import RateWindow, ShortRate
from .session import Session, StreamKey
from .unit import Conversions, Form
from .viewer import Viewer, ViewerState

__all__ = ["PACKETS", "Publication", "Stream", "StreamPolicy", "TrackMeter"]

AnyOutlet: TypeAlias = Outlet | PacketOutlet
AnyViewer: TypeAlias = Viewer | PacketViewer

PACKETS = Form("rtp")
"""The one RTP form of a stream: payloads are shared, headers are not."""

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


class Timeline(Protocol):
    """One publication's time, whatever its protocol."""

    @property
    def last_ms(self) -> int:
        """The latest time given out."""
        ...


@attrs.define(eq=False)
class TrackMeter:
    """What one track has carried."""

    track: Track
    frames: int = 0
    octets: int = 0
    last_key_dts: int | None = None
    reorders: bool = False
    """Pictures are shown in another order than they are decoded in."""
    key_distance_s: float = 0.0
    rate: ShortRate = attrs.field(factory=ShortRate)


@attrs.define(eq=False)
class Publication:
    """One publisher's time on a stream."""

    session: Session
    epoch: int
    timeline: Timeline
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
        conversions: What makes wire forms.
        start_task: Starts a task of this stream and returns what stops it.
        created_at: Unix seconds.
        tc_url: As whoever asked for it first wrote it.
    """

    def __init__(
        self,
        key: StreamKey,
        policy: StreamPolicy,
        *,
        conversions: Conversions,
        start_task: Callable[[Callable[[], Awaitable[None]], str], Callable[[], None]],
        created_at: float,
        tc_url: str,
    ) -> None:
        self.id = uuid.uuid4().hex
        self.key = key
        self.policy = policy
        self.created_at = created_at
        self.tc_url = tc_url
        self.reserved = False
        """A command keeps this entry; see `Registry.reserve`."""
        self.audience: set[Session] = set()
        """Sessions that play, those included whose viewer is still to come."""
        self.publisher_left_at: float | None = None
        """Unix seconds; None before any left and while there is a publisher."""
        self.viewers_left_at: float | None = created_at
        """Unix seconds; None while there is a viewer."""
        self.has_news = False
        """A track has come that nobody has been told of; the registry's tick does."""
        self.publication: Publication | None = None
        self.last_publisher_id: str | None = None
        self.outlets: dict[Form, AnyOutlet] = {}
        self.viewers: dict[AnyViewer, Session] = {}
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
        self._conversions = conversions
        self._start_task = start_task
        self._stop_outlet: dict[AnyOutlet, Callable[[], None]] = {}
        self._outlets: tuple[AnyOutlet, ...] = ()
        self._derived = DerivedTracks(conversions.transcoder, start_task, str(key))
        self._cache_overflown = False
        self._sent_before: dict[AnyViewer, int] = {}
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

    def publish(
        self,
        session: Session,
        started_at: float,
        make_timeline: Callable[[int], Timeline] = MillisecondTimeline,
    ) -> Publication:
        """Begin a publication; the registry has made sure that there is none."""
        self._epoch += 1
        self.idle_since = None
        self.publisher_left_at = None
        self._derived.stop()
        self.last_publisher_id = session.id
        self.publication = Publication(
            session,
            self._epoch,
            make_timeline(self._end_ms),
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
        self.publisher_left_at = time.time()
        self.idle_since = now
        self._end_ms = publication.timeline.last_ms
        self.bytes_received += publication.octets_received
        self._forget_cache()
        self._end_outlets()
        for outlet in self._outlets:
            if not outlet.viewers and outlet.idle_since is None:
                outlet.idle_since = now  # it was the publisher's
        self._derived.finish(self._end_outlets)
        publication.ended.set()

    def _end_outlets(self) -> None:
        """Let every outlet give what it has: nothing of the publication follows."""
        now = trio.current_time()
        for outlet in self._outlets:
            self._attempt(outlet, partial(outlet.end_publication, now))

    def push(self, frame: Frame) -> None:
        """Cache, count and hand one frame to every outlet. Never waits or raises."""
        self._meter(frame)
        self._remember(frame)
        track = frame.track
        if not track.id:
            self._derived.feed(frame)
        for outlet in self._outlets:
            if self._target(outlet.form, track) is None:
                self._push_to(outlet, frame)  # else it comes by `_push_derived`

    def _push_to(self, outlet: AnyOutlet, frame: Frame) -> None:
        try:
            outlet.push(frame)
        except Exception as error:
            self._give_up(outlet, error)
            return
        if outlet.ended:
            self._close_outlet(outlet, outlet.ended)
        elif (
            outlet.idle_since is not None
            and frame.received_at - outlet.idle_since > _LINGER_S
        ):
            self._close_outlet(outlet, "")

    def _target(self, form: Form, track: Track) -> Codec | None:
        """Return the codec that a form needs a track in; None for the track's own."""
        if track.is_audio:
            return form.sound_for(track)
        if form == PACKETS and track.codec is Codec.H264 and self._reorders(track):
            # Browsers show no B-frames in WebRTC: libwebrtc tells its decoder that
            # there are none, and takes a picture out of order for a fault.
            return Codec.H264
        return None

    def _reorders(self, track: Track) -> bool:
        publication = self.publication
        meter = publication and publication.meters.get((track.kind, track.id))
        return bool(meter and meter.reorders)

    def _push_derived(self, source: Track, codec: Codec, frames: list[Frame]) -> None:
        """Hand out what a main track has been turned into; its last comes later."""
        publication = self.publication
        if publication is not None:
            meter = publication.meters.get((source.kind, source.id))
            if meter is None or meter.track is not source:
                return  # another has taken its place
        for outlet in self._outlets:
            form = outlet.form
            needed = form.sound_for(source) if source.is_audio else Codec.H264
            if needed is codec and (source.is_audio or form == PACKETS):
                for frame in frames:
                    self._push_to(outlet, frame)

    def _attempt(self, outlet: AnyOutlet, step: Callable[[], None]) -> bool:
        """Do something that runs a converter; its failure ends the outlet alone."""
        try:
            step()
        except Exception as error:
            self._give_up(outlet, error)
            return False
        if outlet.ended:
            self._close_outlet(outlet, outlet.ended)
            return False
        return True

    def _give_up(self, outlet: AnyOutlet, error: Exception) -> None:
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
            self.has_news |= name not in self.publication.meters
            meter = self.publication.meters.setdefault(name, TrackMeter(track))
            meter.track = track
        for outlet in self._outlets:
            carried = self._carried(outlet, track)
            if carried is not None:
                self._attempt(outlet, partial(outlet.announce, carried, now))

    def _carried(self, outlet: AnyOutlet, track: Track) -> Track | None:
        """Return a track as an outlet carries it; None if it cannot."""
        target = self._target(outlet.form, track)
        if target is None:
            return track
        if track.id:
            return None
        derived = self._derived.track_for(track, target, self._push_derived)
        if isinstance(outlet, PacketOutlet) and track.is_video:
            outlet.request_key_frame = self._derived.request_key_frame
        return derived

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
            if frame.pts != frame.dts and not meter.reorders:
                meter.reorders = True
                self._note_reordering(track, frame.received_at)
            if frame.random_access:
                if meter.last_key_dts is not None:
                    ticks = frame.dts - meter.last_key_dts
                    meter.key_distance_s = round(ticks / track.clock_rate, 3)
                meter.last_key_dts = frame.dts
        if publication.live_since is None:
            publication.live_since = time.time()

    def _note_reordering(self, track: Track, now: float) -> None:
        """The first picture out of order has come: RTP needs another track."""
        outlet = self.outlets.get(PACKETS)
        carried = None if outlet is None else self._carried(outlet, track)
        if outlet is not None and carried is not None:
            self._attempt(outlet, partial(outlet.announce, carried, now))

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

    def join(self, session: Session) -> None:
        """Count a session among the audience: it plays, or is about to."""
        self.audience.add(session)
        self.viewers_left_at = None

    def part(self, session: Session) -> None:
        """Let go of a session that has no viewer (any more)."""
        if session in self.audience:
            self.audience.discard(session)
            if not self.audience:
                self.viewers_left_at = time.time()

    def attach(self, viewer: Viewer, form: Form, session: Session, now: float) -> None:
        """Give a viewer the units of ``form`` from the newest key unit on."""
        outlet = self._outlet_for(viewer, form, session)
        if outlet is not None:
            assert isinstance(outlet, Outlet)
            outlet.attach(viewer, now)

    def attach_packets(
        self, viewer: PacketViewer, session: Session, now: float
    ) -> None:
        """Give a viewer RTP, from the cached pictures on."""
        outlet = self._outlet_for(viewer, PACKETS, session)
        if outlet is not None:
            assert isinstance(outlet, PacketOutlet)
            outlet.attach(viewer, now)

    def _outlet_for(
        self, viewer: AnyViewer, form: Form, session: Session
    ) -> AnyOutlet | None:
        self.viewers[viewer] = session
        self.join(session)
        self._sent_before.setdefault(viewer, session.bytes_sent)
        outlet = self.outlets.get(form)
        if outlet is None:
            outlet = self._open_outlet(form)
        if outlet.ended:
            viewer.finish(outlet.ended)
        elif form in self.outlets:
            return outlet
        else:
            viewer.finish(_UNCONVERTIBLE)
        return None

    def pause(self, viewer: AnyViewer, now: float) -> None:
        """Stop giving units to a viewer that stays; `attach` goes on."""
        if isinstance(viewer, PacketViewer):
            if viewer.outlet is not None:
                viewer.outlet.detach(viewer, now)
        elif viewer.outlet is not None:
            viewer.outlet.detach(viewer, now)
            viewer.outlet = None

    def detach(self, viewer: AnyViewer, now: float) -> None:
        """Let go of a viewer; the wire is its session's again."""
        self.pause(viewer, now)
        session = self.viewers.pop(viewer, None)
        if session is not None:
            self.part(session)
            self.dropped += viewer.dropped
            self.bytes_sent += session.bytes_sent - self._sent_before.pop(viewer)

    def open_packets(self) -> PacketOutlet:
        """Return the RTP form, for a publisher that sends RTP itself."""
        outlet = self.outlets.get(PACKETS) or self._open_outlet(PACKETS)
        assert isinstance(outlet, PacketOutlet)
        outlet.passes_packets = True
        outlet.idle_since = None
        return outlet

    def _open_outlet(self, form: Form) -> AnyOutlet:
        policy = self.policy
        merge_s = policy.merge_s if form.format == "rtmp" else 0.0
        limits = RingLimits(
            seconds=policy.ring_seconds,
            max_bytes=policy.ring_max_bytes,
            keep_group=policy.gop_cache,
            merge_s=merge_s,
        )
        outlet: AnyOutlet
        if form == PACKETS:
            outlet = PacketOutlet(form, limits, self._conversions.packetiser)
        else:
            outlet = Outlet(form, self._conversions.converter(form), limits)
        self.outlets[form] = outlet
        self._outlets = tuple(self.outlets.values())
        self._stop_outlet[outlet] = self._start_task(
            outlet.run_flush, f"flush {form.format}"
        )
        publication = self.publication
        if publication is not None:
            self._attempt(outlet, partial(self._replay, outlet, publication))
        return outlet

    def _replay(self, outlet: AnyOutlet, publication: Publication) -> None:
        tracks = [self._carried(outlet, track) for track in publication.tracks]
        own = [f for f in self.cache if self._target(outlet.form, f.track) is None]
        known = [track for track in tracks if track is not None]
        outlet.replay(known, publication.metadata, own)
        # Pictures in another codec begin with the cached ones too; what has to be
        # turned into other sound is heard from now on.
        for frame in self.cache:
            if frame.track.is_video and not frame.track.id and frame not in own:
                self._derived.feed(frame)

    def _close_outlet(self, outlet: AnyOutlet, reason: str) -> None:
        viewers: list[AnyViewer] = [*outlet.viewers]
        for viewer in viewers:
            viewer.finish(reason)
        if self.outlets.get(outlet.form) is outlet:
            del self.outlets[outlet.form]
        self._outlets = tuple(self.outlets.values())
        self._stop_outlet.pop(outlet)()
        self._keep_needed_tracks()

    def _keep_needed_tracks(self) -> None:
        publication = self.publication
        needed: set[Need] = set()
        for track in () if publication is None else publication.tracks:
            targets = {self._target(outlet.form, track) for outlet in self._outlets}
            needed |= {(track.kind, codec) for codec in targets if codec is not None}
        self._derived.keep(needed)

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
            for viewer, session in self.viewers.items():
                if session.stays:
                    continue
                if viewer.started or viewer.waiting_since <= self.idle_since:
                    viewer.finish("publisher left")
        for viewer, session in self.viewers.items():
            if session.stays:
                continue
            if now - viewer.waiting_since >= policy.wait_for_publisher_s:
                viewer.finish("nobody published")

    def _end_starving(self, now: float) -> None:
        """End viewers of a live stream that has nothing for their form."""
        policy = self.policy
        patience_s = max(policy.wait_for_publisher_s, policy.slow_viewer_s)
        for viewer, session in self.viewers.items():
            if (
                viewer.state is ViewerState.WAITING
                and not session.stays
                and now - viewer.waiting_since >= patience_s
            ):
                viewer.finish("the stream has nothing to start with")

    @property
    def is_unused(self) -> bool:
        """True if the registry may forget this stream."""
        return not (self.publication or self.viewers or self.audience or self.reserved)

    def close(self) -> None:
        """Stop all outlets; the stream is forgotten."""
        self._derived.stop()
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
