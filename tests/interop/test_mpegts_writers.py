"""What FFmpeg and GStreamer write comes out as PyAV reads it."""

from __future__ import annotations

import pathlib
import subprocess
from collections.abc import Callable

import av
import pytest
from sansmedia.codecs import Codec, aac
from sansmedia.mpegts import Configuration, Demuxer, Event, MediaFrame

pytestmark = [pytest.mark.interop, pytest.mark.slow]

VIDEO = "-f lavfi -i testsrc2=s=320x180:r=25:d=2"
SOUND = "-f lavfi -i sine=440:r=48000:d=2"
X264 = "-pix_fmt yuv420p -c:v libx264 -preset veryfast -bf 2 -g 25"
X265 = (
    "-pix_fmt yuv420p -c:v libx265 -preset ultrafast "
    "-x265-params log-level=none:bframes=2:keyint=25"
)
CASES = {
    "h264-aac": f"{VIDEO} {SOUND} {X264} -c:a aac",
    "h264-intra-refresh": f"{VIDEO} {X264} -x264-params open-gop=1:slices=4",
    "h264-interlaced": f"{VIDEO} {X264} -flags +ildct+ilme -x264-params tff=1",
    "h264-no-delimiters": f"{VIDEO} {X264} -x264-params aud=0:repeat-headers=1",
    "h265-aac": f"{VIDEO} {SOUND} {X265} -c:a aac",
    "aac-44100": f"{SOUND} -ar 44100 -c:a aac",
    "aac-latm": f"{SOUND} -c:a aac -mpegts_flags latm",
    "opus": f"{SOUND} -c:a libopus",
    "opus-60": f"{SOUND} -c:a libopus -frame_duration 60",
    "opus-5.1": f"{SOUND} -ac 6 -c:a libopus",
    "mp3": f"{SOUND} -c:a libmp3lame",
    "mp2": f"{SOUND} -c:a mp2",
    "mp3-22050": f"{SOUND} -ar 22050 -c:a libmp3lame",
    "ac3": f"{SOUND} -ac 6 -c:a ac3",
    "eac3": f"{SOUND} -ac 6 -c:a eac3",
    "ac3-dvb": f"{SOUND} -c:a ac3 -mpegts_flags system_b",
    "eac3-dvb": f"{SOUND} -c:a eac3 -mpegts_flags system_b",
    "constant-rate": f"{VIDEO} {SOUND} {X264} -c:a aac -muxrate 2000000",
    "one-frame-each": f"{VIDEO} {SOUND} {X264} -c:a aac -pes_payload_size 0",
    "with-lengths": f"{VIDEO} {SOUND} {X264} -c:a aac -omit_video_pes_length 0",
    "m2ts": f"{VIDEO} {SOUND} {X264} -c:a ac3 -mpegts_m2ts_mode 1",
    "wrap": f"{VIDEO} {SOUND} {X264} -c:a aac -output_ts_offset 95442",
}


def demux(data: bytes) -> list[Event]:
    """Return all events, given as they come from a socket."""
    demuxer = Demuxer()
    events = []
    for at in range(0, len(data), 1316):
        events += demuxer.feed(data[at : at + 1316])
    events += demuxer.flush()
    counters = demuxer.statistics()
    assert counters.transport.continuity_errors == 0
    assert counters.transport.pes_damaged == 0
    assert (counters.frames_damaged, counters.frames_dropped) == (0, 0)
    return events


def as_pyav_has_it(frame: MediaFrame, asc: bytes | None) -> bytes:
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


def compare(path: pathlib.Path) -> None:
    """Assert that every packet comes as PyAV reads it, at its time."""
    events = demux(path.read_bytes())
    asc = {
        event.pid: event.data
        for event in events
        if isinstance(event, Configuration) and event.codec is Codec.AAC
    }
    with av.open(path) as container:
        names = {stream.id: stream.codec_context.name for stream in container.streams}
        packets = [
            (
                packet.stream.id,
                packet.dts,
                packet.pts,
                packet.is_keyframe,
                bytes(packet),
            )
            for packet in container.demux()
            if packet.size
        ]
    assert names
    for pid, name in names.items():
        frames = [e for e in events if isinstance(e, MediaFrame) and e.pid == pid]
        expected = [packet for packet in packets if packet[0] == pid]
        assert len(frames) == len(expected)
        for frame, (_, dts, pts, is_key, octets) in zip(frames, expected, strict=True):
            if name != "aac_latm":
                payload = as_pyav_has_it(frame, asc.get(pid))
                assert payload == octets
            for came, sent in ((frame.dts, dts), (frame.pts, pts)):
                assert came is not None
                assert sent is not None
                apart = (came - sent + (1 << 32)) & ((1 << 33) - 1)
                assert abs(apart - (1 << 32)) <= (0 if frame.timed else 1)
            if frame.units is not None:
                assert frame.random_access == is_key


def run(*command: str | pathlib.Path) -> None:
    result = subprocess.run(command, capture_output=True, check=False, timeout=60)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("version", ["ffmpeg9", "ffmpeg5"])
@pytest.mark.parametrize("name", CASES)
def test_what_ffmpeg_writes_is_read(
    name: str, version: str, request: pytest.FixtureRequest, tmp_path: pathlib.Path
) -> None:
    ffmpeg = request.getfixturevalue(version)
    path = tmp_path / f"{name}.ts"
    run(ffmpeg, "-v", "error", *CASES[name].split(), "-f", "mpegts", path)
    compare(path)


GSTREAMER = {
    "h264-aac": (
        f"{VIDEO} {SOUND} {X264} -c:a aac -f flv",
        "flvdemux name=d d.video ! queue ! h264parse ! m. "
        "d.audio ! queue ! aacparse ! m.",
    ),
    "h265": (
        f"{VIDEO} {X265} -f mp4",
        "qtdemux ! queue ! h265parse ! video/x-h265,stream-format=byte-stream ! m.",
    ),
    "mp3": (f"{SOUND} -c:a libmp3lame -f mp3", "mpegaudioparse ! m."),
    "ac3": (f"{SOUND} -c:a ac3 -f ac3", "ac3parse ! m."),
    "opus": (f"{SOUND} -c:a libopus -f ogg", "oggdemux ! opusparse ! m."),
}


@pytest.mark.parametrize("alignment", [-1, 7])
@pytest.mark.parametrize("name", GSTREAMER)
def test_what_gstreamer_writes_is_read(
    name: str,
    alignment: int,
    ffmpeg9: str,
    peer: Callable[[str], str],
    tmp_path: pathlib.Path,
) -> None:
    gst = peer("gst-launch-1.0")
    arguments, pipeline = GSTREAMER[name]
    source, path = tmp_path / "source", tmp_path / f"{name}.ts"
    run(ffmpeg9, "-v", "error", *arguments.split(), source)
    command = (
        f"{gst} -q filesrc location={source} ! {pipeline} "
        f"mpegtsmux name=m alignment={alignment} ! filesink location={path}"
    )
    run(*command.split())
    compare(path)


def test_data_that_gstreamer_writes_is_read(
    peer: Callable[[str], str], tmp_path: pathlib.Path
) -> None:
    gst = peer("gst-launch-1.0")
    item = bytes.fromhex("060e2b34020b01010e01030101000000") + b"\x05value"
    source, path = tmp_path / "source", tmp_path / "klv.ts"
    source.write_bytes(item * 20)
    command = (
        f"{gst} -q filesrc location={source} blocksize={len(item)} do-timestamp=true ! "
        f"meta/x-klv,parsed=true ! mpegtsmux ! filesink location={path}"
    )
    run(*command.split())
    frames = [e for e in demux(path.read_bytes()) if isinstance(e, MediaFrame)]
    assert [frame.payload for frame in frames] == [item] * 20
