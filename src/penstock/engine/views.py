"""Engine objects into the frozen views that control hands out."""

from __future__ import annotations

import attrs
import trio
from sansmedia.codecs import AudioParameters, VideoParameters

from penstock import log
from penstock.control import RatesView, SessionView, StreamView, TrackView, VhostView

from .rates import RateWindow
from .registry import Registry, VhostTotals
from .session import Session
from .stream import Stream, TrackMeter

__all__ = ["session_view", "stream_view", "vhost_view"]


def _rates(window: RateWindow) -> RatesView:
    return RatesView(window.receive_kbps, window.send_kbps)


def session_view(session: Session) -> SessionView:
    """Return what control shows of a session."""
    key, viewer, stream = session.key, session.viewer, session.stream
    return SessionView(
        id=session.id,
        protocol=session.protocol,
        role=session.role.value,
        stream_id=None if stream is None else stream.id,
        vhost="" if key is None else key.vhost,
        app="" if key is None else key.app,
        name="" if key is None else key.name,
        extension=session.extension,
        address=session.address,
        port=session.port,
        tc_url=log.mask_url(session.tc_url),
        page_url=log.mask_url(session.page_url),
        # Clients write the tcUrl there.
        swf_url=log.mask_url(session.swf_url),
        user_agent=session.user_agent,
        parameters=log.mask_query(session.parameters),
        started_at=session.started_at,
        age_s=max(0.0, trio.current_time() - session.started),
        bytes_received=session.bytes_received,
        bytes_sent=session.bytes_sent,
        rates=_rates(session.rates),
        behind_bytes=0 if viewer is None else viewer.behind_bytes,
        dropped_frames=0 if viewer is None else viewer.dropped,
        relay_id=session.relay_id,
        connection=session.connection,
        source_url=log.mask_url(session.source_url),
        target_url=log.mask_url(session.target_url),
        remote_session_url=log.mask_url(session.remote_session_url),
        link=None if session.link is None else session.link(),
    )


def _track_view(meter: TrackMeter) -> TrackView:
    track = meter.track
    view = TrackView(
        id=track.id,
        kind=track.kind.value,
        codec="" if track.codec is None else track.codec.value,
        frame_rate=round(meter.rate.units_per_s, 2),
        bitrate_bps=meter.rate.bits_per_s,
        frames=meter.frames,
        key_distance_s=meter.key_distance_s,
        language=track.language,
        name=track.name,
        group=track.group,
        sample_rate=track.clock_rate if track.is_audio else 0,
    )
    return _with_parameters(view, track.parameters)


def _with_parameters(
    view: TrackView, parameters: VideoParameters | AudioParameters | None
) -> TrackView:
    if isinstance(parameters, VideoParameters):
        return attrs.evolve(
            view,
            profile=parameters.profile,
            level=parameters.level,
            width=parameters.width,
            height=parameters.height,
            rfc6381=parameters.rfc6381,
        )
    if isinstance(parameters, AudioParameters):
        return attrs.evolve(
            view,
            profile=parameters.profile,
            sample_rate=parameters.sample_rate,
            channels=parameters.channels,
            rfc6381=parameters.rfc6381,
        )
    return view


def stream_view(stream: Stream) -> StreamView:
    """Return what control shows of a stream."""
    publication = stream.publication
    tracks: tuple[TrackView, ...] = ()
    bitrate = 0
    live_since = None
    if publication is not None:
        order = {track: i for i, track in enumerate(publication.tracks)}
        meters = sorted(publication.meters.values(), key=lambda m: order[m.track])
        tracks = tuple(_track_view(meter) for meter in meters)
        bitrate = publication.rate.bits_per_s
        live_since = publication.live_since
    state = "live" if stream.is_live else "claimed" if stream.is_claimed else "idle"
    return StreamView(
        id=stream.id,
        vhost=stream.key.vhost,
        app=stream.key.app,
        name=stream.key.name,
        state=state,
        created_at=stream.created_at,
        live_since=live_since,
        publisher_id=stream.last_publisher_id,
        publisher_active=publication is not None,
        tracks=tracks,
        viewers=len(stream.viewers),
        video_frames=stream.video_frames,
        bytes_received=stream.total_received,
        bytes_sent=stream.total_sent,
        rates=_rates(stream.rates),
        bitrate_bps=bitrate,
        tc_url=log.mask_url(stream.tc_url),
        cache_bytes=stream.cache_bytes,
        dropped_frames=stream.dropped + sum(v.dropped for v in stream.viewers),
        damaged_messages=stream.damaged,
        reserved=stream.reserved,
        publisher_left_at=stream.publisher_left_at,
        viewers_left_at=stream.viewers_left_at,
    )


def vhost_view(totals: VhostTotals, registry: Registry) -> VhostView:
    """Return what control shows of a virtual host."""
    sessions = [
        s
        for s in registry.sessions.values()
        if s.key is not None and s.key.vhost == totals.name
    ]
    return VhostView(
        id=totals.id,
        name=totals.name,
        sessions=len(sessions),
        streams=sum(
            s.is_claimed
            for s in registry.streams.values()
            if s.key.vhost == totals.name
        ),
        bytes_received=totals.bytes_received + sum(s.bytes_received for s in sessions),
        bytes_sent=totals.bytes_sent + sum(s.bytes_sent for s in sessions),
        rates=_rates(totals.rates),
    )
