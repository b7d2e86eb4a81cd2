"""Measure reading and writing MPEG-TS, beside PyAV and FFmpeg on the same stream.

Prints megabytes a second of CPU time, microseconds a packet, and the share of a core
that one such stream takes; a clip like the benchmarks' own: 1280x720, 30 pictures a
second, H.264 and AAC, 2.65 Mbit/s.
"""

from __future__ import annotations

import resource
import subprocess
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import av
import imageio_ffmpeg
from sansmedia.codecs import Codec
from sansmedia.mpegts import (
    Configuration,
    Demuxer,
    MediaFrame,
    Muxer,
    MuxTrack,
    ProgramMap,
    TransportDemuxer,
)

SECONDS = 20
FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()
CLIP = (
    f"-f lavfi -i testsrc2=s=1280x720:r=30:d={SECONDS} "
    f"-f lavfi -i sine=440:r=48000:d={SECONDS} -pix_fmt yuv420p "
    "-c:v libx264 -preset veryfast -b:v 2500k -maxrate 2500k -bufsize 2500k -g 60 "
    "-c:a aac -b:a 128k -ac 2 -f mpegts"
)
# Delimiters and parameter sets, which the server takes out of frames.
TAKEN_OUT = frozenset((0x09, 0x67, 0x68))


def cpu_seconds(work: Callable[[], object]) -> float:
    """Return the best of five."""
    found = []
    for _ in range(5):
        start = time.process_time()
        work()
        found.append(time.process_time() - start)
    return min(found)


def children_seconds(*command: str | Path) -> float:
    """Return the CPU time of a program, best of three."""
    found = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        found.append(
            after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        )
    return min(found)


def show(name: str, seconds: float, size: int) -> None:
    """Print a row."""
    print(
        f"{name:38} {size / seconds / 1e6:7.0f} {1e6 * seconds / (size / 188):7.2f}"
        f" {100 * seconds / SECONDS:7.2f}"
    )


def read(
    make: Callable[[], Demuxer | TransportDemuxer], data: bytes, step: int
) -> None:
    """Read a stream in pieces, as a socket gives them."""
    demuxer = make()
    for at in range(0, len(data), step):
        demuxer.feed(data[at : at + step])
    demuxer.flush()


def read_with_pyav(path: Path) -> None:
    """Read all packets."""
    with av.open(path) as container:
        for packet in container.demux():
            bytes(packet)


def frames_of(data: bytes) -> tuple[list[MuxTrack], list[MediaFrame]]:
    """Return tracks and frames in the form that the server has them in."""
    demuxer = Demuxer()
    events = demuxer.feed(data) + demuxer.flush()
    configurations = {e.pid: e.data for e in events if isinstance(e, Configuration)}
    tracks = [
        MuxTrack(track.pid, track.codec, configurations[track.pid])
        for event in events
        if isinstance(event, ProgramMap)
        for track in event.tracks
        if isinstance(track.codec, Codec)
    ]
    frames = [event for event in events if isinstance(event, MediaFrame)]
    for frame in frames:
        if frame.units is not None:
            frame.payload = frame.length_prefixed(TAKEN_OUT)
    return tracks, sorted(frames, key=lambda frame: frame.dts or 0)


def write(tracks: list[MuxTrack], frames: list[MediaFrame]) -> int:
    """Write a stream; return its size."""
    muxer = Muxer(tracks)
    return sum(
        len(
            muxer.write(
                f.pid, f.payload, f.pts or 0, f.dts, random_access=f.random_access
            )
        )
        for f in frames
    )


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder:
        path, out = Path(folder) / "clip.ts", Path(folder) / "out.ts"
        quiet = ("-v", "error", "-nostdin", "-y")
        subprocess.run([FFMPEG, *quiet, *CLIP.split(), path], check=True)
        data = path.read_bytes()
        size = len(data)
        print(f"{size / 1e6:.1f} MB, {8 * size / SECONDS / 1e6:.2f} Mbit/s")
        print(f"{'':38} {'MB/s':>7} {'us/pkt':>7} {'% core':>7}")
        for step in (1316, 65_424):
            for make in (TransportDemuxer, Demuxer):
                cost = cpu_seconds(partial(read, make, data, step))
                show(f"{make.__name__}, pieces of {step}", cost, size)
        show("PyAV demux", cpu_seconds(partial(read_with_pyav, path)), size)
        tracks, frames = frames_of(data)
        written = write(tracks, frames)
        show("Muxer", cpu_seconds(partial(write, tracks, frames)), written)
        # What FFmpeg takes to start is no part of the work.
        idle = children_seconds(
            FFMPEG, *quiet, "-f", "lavfi", "-i", "nullsrc", "-t", "0", "-f", "null", "-"
        )
        remux = children_seconds(
            FFMPEG, *quiet, "-i", path, "-map", "0", "-c", "copy", "-f", "mpegts", out
        )
        show("FFmpeg remux (demux and mux)", max(remux - idle, 1e-3), size)


if __name__ == "__main__":
    main()
