"""Streams of FFmpeg come out as PyAV reads them: packets, times, key frames."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from sansmedia.codecs import Codec, aac
from sansmedia.mpegts import (
    Configuration,
    Demuxer,
    Event,
    MediaFrame,
    PcrSample,
    ProgramMap,
)


def as_pyav_has_it(frame: MediaFrame, asc: bytes | None) -> bytes:
    """Return the payload, with the ADTS header that PyAV leaves on."""
    if asc is None:
        return frame.payload
    config = aac.decode_asc(asc)
    header = aac.AdtsHeader(
        config.object_type,
        config.sampling_frequency,
        config.channel_configuration,
        len(frame.payload) + 7,
    )
    return aac.encode_adts_header(header) + frame.payload


def test_every_packet_comes_at_its_time(
    vector: Any, demux: Callable[[bytes], list[Event]], codec_of: dict[str, Codec]
) -> None:
    events = demux(vector.data)
    asc = {
        event.pid: event.data
        for event in events
        if isinstance(event, Configuration) and event.codec is Codec.AAC
    }
    for pid, name, _ in vector.expected["tracks"]:
        frames = [e for e in events if isinstance(e, MediaFrame) and e.pid == pid]
        expected = [row for row in vector.expected["packets"] if row[0] == pid]
        assert len(frames) == len(expected)
        for frame, (_, dts, pts, key, size, digest) in zip(
            frames, expected, strict=True
        ):
            # What is counted on may be rounded otherwise.
            assert frame.dts is not None
            assert frame.pts is not None
            assert abs(frame.dts - dts) <= (not frame.timed)
            assert abs(frame.pts - pts) <= (not frame.timed)
            assert not frame.damaged
            assert not frame.after_loss
            if name != "aac_latm":
                payload = as_pyav_has_it(frame, asc.get(pid))
                assert len(payload) == size
                assert hashlib.sha256(payload).hexdigest()[:12] == digest
            assert frame.random_access == (key or not codec_of[name].is_video)


def test_tracks_are_announced_before_their_frames(
    vector: Any, demux: Callable[[bytes], list[Event]], codec_of: dict[str, Codec]
) -> None:
    announced: dict[int, tuple[Codec | None, str]] = {}
    configured: dict[int, int] = {}
    for event in demux(vector.data):
        if isinstance(event, ProgramMap):
            announced |= {t.pid: (t.codec, t.language) for t in event.tracks}
        elif isinstance(event, Configuration):
            configured[event.pid] = event.generation
        elif isinstance(event, MediaFrame):
            assert event.generation == configured[event.pid] == 1
    assert announced == {
        pid: (codec_of[name], language)
        for pid, name, language in vector.expected["tracks"]
    }


def test_nothing_of_a_good_stream_is_counted_as_damage(vector: Any) -> None:
    demuxer = Demuxer()
    demuxer.feed(vector.data)
    demuxer.flush()
    counters = demuxer.statistics()
    assert (counters.frames_damaged, counters.frames_dropped) == (0, 0)
    assert (counters.octets_unused, counters.pes_unknown) == (0, 0)
    transport = counters.transport
    assert transport.packets == len(vector.data) // 188
    for name in (
        *("continuity_errors", "crc_errors", "duplicates", "pes_damaged"),
        *("sync_losses", "octets_skipped", "transport_errors", "sections_damaged"),
    ):
        assert getattr(transport, name) == 0, name


@pytest.mark.parametrize("size", [1, 100, 188, 1316, 5000])
def test_segmentation_means_nothing(
    vector: Any, demux: Callable[[bytes], list[Event]], size: int
) -> None:
    data = vector.data[:12_000]
    demuxer = Demuxer()
    events: list[Event] = []
    for at in range(0, len(data), size):
        events += demuxer.feed(data[at : at + size])
    assert events + demuxer.flush() == demux(data)


def test_configurations_are_those_of_flv_and_mp4(
    named_vector: Callable[[str], Any],
    configurations_of: Callable[[bytes], list[Configuration]],
) -> None:
    found = {
        event.codec: event
        for name in ("h264_aac", "h265_ac3", "opus_stereo", "mp3_eac3")
        for event in configurations_of(named_vector(name).data)
    }
    assert found[Codec.H264].data.startswith(b"\x01\x64\x00")
    assert found[Codec.H265].data.startswith(b"\x01\x01")
    assert found[Codec.AAC].data.hex() == "1190"
    assert found[Codec.OPUS].data.startswith(b"OpusHead\x01\x02\x38\x01")
    assert len(found[Codec.AC3].data) == 3
    assert found[Codec.EAC3].data[:2].hex() == "0300"
    assert found[Codec.MP3].data == b""
    shown = {
        codec: (getattr(p, "width", 0) or getattr(p, "sample_rate", 0))
        for codec, p in ((c, e.parameters) for c, e in found.items())
    }
    assert shown == {
        **{Codec.H264: 64, Codec.H265: 64, Codec.AAC: 48000, Codec.AC3: 48000},
        **{Codec.OPUS: 48000, Codec.MP3: 44100, Codec.EAC3: 48000},
    }


def test_surround_sound_of_opus_keeps_its_channels(
    named_vector: Callable[[str], Any],
    configurations_of: Callable[[bytes], list[Configuration]],
) -> None:
    # RFC 7845 §5.1.1.2: six channels, four streams, two of them stereo.
    [event] = configurations_of(named_vector("opus_surround").data)
    assert event.data[18:] == bytes((1, 4, 2, 0, 4, 1, 2, 3, 5))


def test_the_clock_of_a_constant_rate_runs_evenly(
    named_vector: Callable[[str], Any], demux: Callable[[bytes], list[Event]]
) -> None:
    # ISO 13818-1 §2.4.2.2.
    events = demux(named_vector("constant_rate").data)
    clock = [event.pcr for event in events if isinstance(event, PcrSample)]
    steps = [new - old for old, new in pairwise(clock)]
    assert 0 < min(steps) <= max(steps) < 27_000_000 // 10


def test_each_program_has_its_own_tracks_and_clock(
    named_vector: Callable[[str], Any], demux: Callable[[bytes], list[Event]]
) -> None:
    events = demux(named_vector("programs").data)
    maps = [event for event in events if isinstance(event, ProgramMap)]
    assert [(m.program_number, [t.pid for t in m.tracks]) for m in maps] == [
        (1, [256, 257]),
        (2, [258, 259]),
    ]
    assert {e.program_number for e in events if isinstance(e, PcrSample)} == {1, 2}
