"""What this library writes is read by FFmpeg, PyAV and GStreamer, packet by packet."""

from __future__ import annotations

import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import tomllib
from fractions import Fraction
from typing import Any

import attrs
import av
import imageio_ffmpeg
import pytest
from sansmedia.codecs import Codec
from sansmedia.mp4 import (
    Colour,
    InitSegment,
    MediaSample,
    Mp4Demuxer,
    Mp4Track,
    Sample,
    SegmentReference,
    TrackRun,
    encode_event_message,
    encode_fragment,
    encode_init_segment,
    encode_producer_reference_time,
    encode_segment_index,
    encode_segment_type,
    encode_single_sample_fragment,
)

pytestmark = pytest.mark.interop

DATA = pathlib.Path(__file__).parents[1] / "data" / "mp4"
NAMES = sorted(path.stem for path in DATA.glob("*.toml"))
OFFSET = 2
"""Seconds added to all times: edit lists put some before 0, where tfdt cannot go."""
NEWER_FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()


def peer(name: str) -> str:
    """Return the path of a program, or skip (fail if peers are required)."""
    path = shutil.which(name)
    if path is None:
        if os.environ.get("TEST_REQUIRE_PEERS") == "1":
            pytest.fail(f"{name} is missing")
        pytest.skip(f"{name} is missing")
    return path


@attrs.frozen
class Packet:
    """A packet as an independent program saw it; times in ticks of its track."""

    dts: int | None
    pts: int
    duration: int
    random_access: bool
    md5: str


@attrs.frozen
class Written:
    """A file of ours, and what was put into it."""

    path: pathlib.Path
    tracks: tuple[Mp4Track, ...]
    packets: dict[int, list[Packet]]
    pts_shift: int
    """How much FFmpeg delays presentation, where a pts is before its dts."""
    parsed_durations: bool
    """FFmpeg's parsers replace the durations of the container."""


def packet(sample: MediaSample) -> Packet:
    return Packet(
        sample.dts,
        sample.pts,
        sample.duration,
        sample.random_access,
        hashlib.md5(sample.payload).hexdigest(),
    )


def run_of(track_id: int, samples: list[MediaSample]) -> TrackRun:
    return TrackRun(
        track_id,
        samples[0].dts,
        [
            Sample(s.duration, s.payload, s.pts - s.dts, s.random_access)
            for s in samples
        ],
    )


def write(tracks: tuple[Mp4Track, ...], samples: list[MediaSample]) -> bytes:
    """Write the first half a frame at a time, the second as one segment."""
    half = len(samples) // 2
    parts = [encode_init_segment(tracks)]
    for number, s in enumerate(samples[:half]):
        parts.append(
            encode_single_sample_fragment(
                number,
                s.track_id,
                s.dts,
                s.duration,
                s.payload,
                s.pts - s.dts,
                s.random_access,
            )
        )
    runs = []
    for track in tracks:
        rest = [s for s in samples[half:] if s.track_id == track.track_id]
        if rest:
            runs.append(run_of(track.track_id, rest))
    fragment = encode_fragment(half, runs)
    first = runs[0]
    timescale = tracks[0].timescale
    reference_time = encode_producer_reference_time(
        first.track_id, 0xE8000000 << 32, first.base_decode_time
    )
    event = encode_event_message(
        "urn:example:event", "1", timescale=1, presentation_time=OFFSET
    )
    subsegment = reference_time + event + fragment
    parts.append(encode_segment_type())
    parts.append(
        encode_segment_index(
            first.track_id,
            timescale,
            first.base_decode_time,
            [SegmentReference(len(subsegment), sum(s.duration for s in first.samples))],
        )
    )
    return b"".join([*parts, subsegment])


def vp8_samples() -> tuple[tuple[Mp4Track, ...], list[MediaSample]]:
    """Encode some VP8, for which FFmpeg writes no MP4."""
    encoder = av.CodecContext.create("libvpx", "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt = 64, 48, "yuv420p"
    encoder.time_base = Fraction(1, 10)
    encoder.options = {"deadline": "realtime", "lag-in-frames": "0"}
    samples = []
    for number in range(10):
        frame = av.VideoFrame(64, 48, "yuv420p")
        for plane in frame.planes:
            plane.update(bytes([number * 20]) * plane.buffer_size)
        frame.pts = number
        samples += [
            MediaSample(1, number, number, 1, p.is_keyframe, bytes(p))
            for p in encoder.encode(frame)
        ]
    return (Mp4Track(1, Codec.VP8, 10, width=64, height=48),), samples


@pytest.fixture(scope="module", params=[*NAMES, "vp8"])
def written(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Written:
    expected: dict[str, Any] = {}
    if request.param == "vp8":
        tracks, samples = vp8_samples()
    else:
        expected = tomllib.loads((DATA / f"{request.param}.toml").read_text())
        events = Mp4Demuxer().feed((DATA / f"{request.param}.bin").read_bytes())
        assert isinstance(events[0], InitSegment)
        tracks = events[0].tracks
        samples = [event for event in events if isinstance(event, MediaSample)]
    timescales = {track.track_id: track.timescale for track in tracks}
    for sample in samples:
        sample.dts += OFFSET * timescales[sample.track_id]
        sample.pts += OFFSET * timescales[sample.track_id]
    path = tmp_path_factory.mktemp("mp4") / f"{request.param}.mp4"
    path.write_bytes(write(tracks, samples))
    return Written(
        path,
        tracks,
        {
            track.track_id: [
                packet(sample)
                for sample in samples
                if sample.track_id == track.track_id
            ]
            for track in tracks
        },
        expected.get("pts_shift", 0),
        expected.get("parsed_durations", request.param == "vp8"),
    )


def comparable(packets: list[Packet], written: Written, shift: int) -> list[Packet]:
    return [
        attrs.evolve(
            p,
            pts=p.pts + shift,
            duration=0 if written.parsed_durations else p.duration,
        )
        for p in packets
    ]


def test_pyav_reads_every_packet_as_it_was_written(written: Written) -> None:
    with av.open(written.path) as container:
        read: dict[int, list[Packet]] = {stream.id: [] for stream in container.streams}
        for found in container.demux():
            if found.size:
                assert found.pts is not None
                read[found.stream.id].append(
                    Packet(
                        found.dts,
                        found.pts,
                        found.duration or 0,
                        found.is_keyframe,
                        hashlib.md5(bytes(found)).hexdigest(),
                    )
                )
        languages = [stream.language or "und" for stream in container.streams]
    assert languages == [track.language for track in written.tracks]
    for track_id, packets in written.packets.items():
        assert comparable(read[track_id], written, 0) == comparable(
            packets, written, written.pts_shift
        )


@pytest.mark.parametrize("version", ["ffmpeg 9", "ffmpeg of the system"])
def test_ffmpeg_reads_every_packet_as_it_was_written(
    written: Written, version: str
) -> None:
    program = NEWER_FFMPEG if version == "ffmpeg 9" else peer("ffmpeg")
    arguments = "-map 0 -c copy -copyts -avoid_negative_ts disabled -f framemd5 -"
    result = subprocess.run(
        [program, "-v", "error", "-i", str(written.path), *arguments.split()],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    assert result.stderr == ""
    read: dict[int, list[tuple[int, int, str]]] = {}
    for line in result.stdout.splitlines():
        if not line.startswith("#"):
            # A seventh column has side data.
            stream, dts, pts, _, _, digest = map(str.strip, line.split(",")[:6])
            read.setdefault(int(stream), []).append((int(dts), int(pts), digest))
    for index, track in enumerate(written.tracks):
        assert read[index] == [
            (p.dts, p.pts + written.pts_shift, p.md5)
            for p in written.packets[track.track_id]
        ]


def test_ffmpeg_decodes_what_was_written_without_a_complaint(written: Written) -> None:
    result = subprocess.run(
        [NEWER_FFMPEG, "-v", "warning", "-i", str(written.path), "-f", "null", "-"],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    assert result.stderr == ""


GSTREAMER_BUFFER = re.compile(
    r"\((?P<size>\d+) bytes, dts: (?P<dts>[^,]+), pts: (?P<pts>[^,]+), "
    r"duration: (?P<duration>[^,]+),.*?flags: (?P<flags>[^,]*),"
)
GSTREAMER_SUM = re.compile(r"^\d+:\d\d:\d\d\.\d{9} ([0-9a-f]{32})$", re.MULTILINE)


def ticks(time: str, timescale: int) -> int:
    hours, minutes, seconds = time.split(":")
    exact = int(hours) * 3600 + int(minutes) * 60 + Fraction(seconds)
    return round(exact * timescale)


def test_gstreamer_reads_every_packet_as_it_was_written(written: Written) -> None:
    program = peer("gst-launch-1.0")
    numbers = {"video": 0, "audio": 0}
    for track in written.tracks:
        kind = "video" if track.codec.is_video else "audio"
        pad = f"d.{kind}_{numbers[kind]}"
        numbers[kind] += 1
        command = (
            f"{program} -v filesrc location={written.path} ! qtdemux name=d {pad} ! "
            "identity silent=false ! checksumsink hash=md5 sync=false"
        )
        result = subprocess.run(
            command.split(), capture_output=True, text=True, check=True, timeout=30
        )
        buffers = GSTREAMER_BUFFER.finditer(result.stdout)
        sums = GSTREAMER_SUM.findall(result.stdout)
        read = [
            Packet(
                None
                if found["dts"] == "none"
                else ticks(found["dts"], track.timescale),
                ticks(found["pts"], track.timescale),
                ticks(found["duration"], track.timescale),
                "delta-unit" not in found["flags"],
                digest,
            )
            for found, digest in zip(buffers, sums, strict=True)
        ]
        expected = written.packets[track.track_id]
        if written.pts_shift:
            # qtdemux 1.22 moves presentation by the first negative composition offset
            # that it meets, and only from there on.
            read = [attrs.evolve(p, pts=0) for p in read]
            expected = [attrs.evolve(p, pts=0) for p in expected]
        assert read == expected


def test_colour_pixel_aspect_and_bit_rate_arrive_at_ffmpeg(
    tmp_path: pathlib.Path,
) -> None:
    events = Mp4Demuxer().feed((DATA / "h265.bin").read_bytes())
    assert isinstance(events[0], InitSegment)
    track = attrs.evolve(
        events[0].tracks[0],
        colour=Colour(9, 16, 9, full_range=True),
        pixel_aspect=(4, 3),
        language="fra",
    )
    path = tmp_path / "extras.mp4"
    path.write_bytes(
        write((track,), [event for event in events if isinstance(event, MediaSample)])
    )
    with av.open(path) as container:
        stream = container.streams.video[0]
        assert stream.language == "fra"
        assert stream.sample_aspect_ratio == Fraction(4, 3)
    result = subprocess.run(
        [NEWER_FFMPEG, "-hide_banner", "-i", str(path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert "pc, bt2020nc/bt2020/smpte2084" in result.stderr
