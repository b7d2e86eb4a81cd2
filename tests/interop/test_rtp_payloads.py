"""FFmpeg and GStreamer send payloads that we read, and read those that we send."""

from __future__ import annotations

import hashlib
import socket
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import av
import pytest
from sansmedia.codecs import h264, h265, nal
from sansmedia.codecs.av1 import strip_temporal_delimiters
from sansmedia.rtp.payloads import (
    Depacketiser,
    Frame,
    H264Packetiser,
    H265Packetiser,
    PayloadFormat,
    payload_format,
)

pytestmark = [pytest.mark.interop, pytest.mark.slow]

DYNAMIC_TYPE = 96
MAX_SIZE = 1188
VIDEO = "-f lavfi -i testsrc2=s=320x180:r=25:d=2 -pix_fmt yuv420p"
SOUND = "-f lavfi -i sine=440:r=48000:d=2"


@attrs.frozen
class Clip:
    """A clip of one codec, and the ways in which programs send and receive it."""

    name: str
    encoding_name: str
    command: str
    suffix: str
    rtpmap: str
    fmtp: str = ""
    send: str = ""
    """More arguments for FFmpeg as a sender."""
    pay: str = ""
    """GStreamer, from the file to its payloads."""
    depay: str = ""
    """GStreamer, from payloads to a file that FFmpeg reads."""
    caps: str = ""
    old_ffmpeg: bool = True
    """Whether FFmpeg 5.1 knows this format."""
    collects: bool = False
    """Whether FFmpeg sends several frames in a packet."""


CLIPS = {
    clip.name: clip
    for clip in (
        Clip(
            "h264",
            "H264",
            f"{VIDEO} -c:v libx264 -preset veryfast -g 25 -bf 2",
            "mp4",
            "H264/90000",
            "packetization-mode=1",
            pay="qtdemux ! h264parse ! rtph264pay config-interval=-1",
            depay="rtph264depay ! h264parse ! matroskamux",
            caps="video,clock-rate=90000,encoding-name=H264",
        ),
        Clip(
            "h264-slices",
            "H264",
            f"{VIDEO} -c:v libx264 -preset veryfast -g 25 -x264-params slices=4:aud=1",
            "mp4",
            "H264/90000",
            "packetization-mode=1",
            pay="qtdemux ! h264parse ! rtph264pay aggregate-mode=zero-latency",
            depay="rtph264depay ! h264parse ! matroskamux",
            caps="video,clock-rate=90000,encoding-name=H264",
        ),
        Clip(
            "h265",
            "H265",
            f"{VIDEO} -c:v libx265 -preset ultrafast -tag:v hvc1 "
            "-x265-params log-level=none:keyint=25:bframes=2",
            "mp4",
            "H265/90000",
            pay="qtdemux ! h265parse ! rtph265pay config-interval=-1",
            depay="rtph265depay ! h265parse ! matroskamux",
            caps="video,clock-rate=90000,encoding-name=H265",
        ),
        Clip(
            "av1",
            "AV1",
            f"{VIDEO} -c:v libsvtav1 -preset 11 -g 25",
            "mp4",
            "AV1/90000",
            send="-strict experimental",
            old_ffmpeg=False,
        ),
        Clip(
            "vp8",
            "VP8",
            f"{VIDEO} -c:v libvpx -deadline realtime -cpu-used 8 -g 25 -b:v 600k",
            "webm",
            "VP8/90000",
            pay="matroskademux ! rtpvp8pay picture-id-mode=15-bit",
            depay="rtpvp8depay ! matroskamux",
            caps="video,clock-rate=90000,encoding-name=VP8",
        ),
        Clip(
            "vp9",
            "VP9",
            f"{VIDEO} -c:v libvpx-vp9 -deadline realtime -cpu-used 8 -g 25 -b:v 600k",
            "webm",
            "VP9/90000",
            send="-strict experimental",
            pay="matroskademux ! rtpvp9pay picture-id-mode=15-bit",
            depay="rtpvp9depay ! matroskamux",
            caps="video,clock-rate=90000,encoding-name=VP9",
        ),
        Clip(
            "opus",
            "opus",
            f"{SOUND} -ac 2 -c:a libopus",
            "webm",
            "opus/48000/2",
            pay="matroskademux ! opusparse ! rtpopuspay",
            depay="rtpopusdepay ! opusparse ! matroskamux",
            caps="audio,clock-rate=48000,encoding-name=OPUS",
        ),
        Clip(
            "aac",
            "MPEG4-GENERIC",
            f"{SOUND} -ac 2 -c:a aac -b:a 128k",
            "m4a",
            "MPEG4-GENERIC/48000/2",
            "streamtype=5;profile-level-id=1;mode=AAC-hbr;sizelength=13;"
            "indexlength=3;indexdeltalength=3;config=119056e500",
            collects=True,
            pay="qtdemux ! aacparse ! rtpmp4gpay",
            depay="rtpmp4gdepay ! aacparse ! matroskamux",
            caps="audio,clock-rate=48000,encoding-name=MPEG4-GENERIC,"
            "streamtype=(string)5,mode=(string)AAC-hbr,sizelength=(string)13,"
            "indexlength=(string)3,indexdeltalength=(string)3,config=(string)1190",
        ),
        Clip(
            "pcmu",
            "PCMU",
            f"{SOUND} -ar 8000 -c:a pcm_mulaw",
            "wav",
            "PCMU/8000",
            pay="wavparse ! rtppcmupay",
            depay="rtppcmudepay ! wavenc",
            caps="audio,clock-rate=8000,encoding-name=PCMU",
        ),
        Clip(
            "pcma",
            "PCMA",
            f"{SOUND} -ar 8000 -c:a pcm_alaw",
            "wav",
            "PCMA/8000",
            pay="wavparse ! rtppcmapay",
            depay="rtppcmadepay ! wavenc",
            caps="audio,clock-rate=8000,encoding-name=PCMA",
        ),
        Clip(
            "g722",
            "G722",
            f"{SOUND} -ar 16000 -c:a g722",
            "wav",
            "G722/8000",
        ),
        Clip(
            "mp3",
            "MPA",
            f"{SOUND} -ac 2 -c:a libmp3lame -b:a 128k -write_xing 0 -id3v2_version 0",
            "mp3",
            "MPA/90000",
            pay="mpegaudioparse ! rtpmpapay",
            collects=True,
            depay="rtpmpadepay ! mpegaudioparse ! matroskamux",
            caps="audio,clock-rate=90000,encoding-name=MPA",
        ),
    )
}
SAMPLED = ("pcmu", "pcma", "g722")
"""Formats that a sender may cut anywhere: compared as one run of octets."""
LENGTH_PREFIXED = {"h264": h264, "h264-slices": h264, "h265": h265}


def _run(*command: str | Path) -> str:
    done = subprocess.run(
        [str(word) for word in command],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@attrs.define
class Source:
    """A clip's file, its packets, and what becomes of them when decoded."""

    clip: Clip
    path: Path
    ffmpeg: str
    packets: list[bytes] = attrs.field(factory=list)
    timestamps: list[int] = attrs.field(factory=list)
    """Presentation times in ticks of the RTP clock."""
    parameter_sets: list[bytes] = attrs.field(factory=list)

    def read(self) -> None:
        """Take packets out of the file."""
        clock = self.format.clock_rate or 48_000
        with av.open(str(self.path)) as container:
            stream = container.streams[0]
            extradata = bytes(stream.codec_context.extradata or b"")
            for packet in container.demux(stream):
                if packet.size:
                    assert packet.pts is not None
                    assert packet.time_base is not None
                    self.packets.append(bytes(packet))
                    at = packet.pts * packet.time_base * clock
                    self.timestamps.append(round(at) + 1_000_000)
        if self.clip.encoding_name == "H264":
            avcc = h264.decode_avcc(extradata)
            self.parameter_sets = [*avcc.sps, *avcc.pps]
        elif self.clip.encoding_name == "H265":
            arrays = h265.decode_hvcc(extradata).arrays
            self.parameter_sets = [unit for array in arrays for unit in array.units]
        elif self.clip.encoding_name == "AV1":
            self.packets = [strip_temporal_delimiters(data) for data in self.packets]

    @property
    def format(self) -> PayloadFormat:
        """The payload format."""
        found = payload_format(self.clip.encoding_name)
        assert found is not None
        return found

    @property
    def payload_type(self) -> int:
        """The static one, by which alone FFmpeg knows the header of MPA."""
        static = self.format.static_payload_type
        return DYNAMIC_TYPE if static is None else static

    def payloads(self) -> list[tuple[bytes, int, bool]]:
        """Return our payloads of the whole clip with timestamps and markers."""
        packetiser = self.format.make_packetiser()
        if isinstance(packetiser, H264Packetiser | H265Packetiser):
            packetiser.parameter_sets = tuple(self.parameter_sets)
        found = []
        for packet, timestamp in zip(self.packets, self.timestamps, strict=True):
            cut = packetiser.packetise(packet, MAX_SIZE)
            for number, payload in enumerate(cut):
                found.append((payload, timestamp, number == len(cut) - 1))
                if self.clip.name in SAMPLED:
                    timestamp += len(payload)
        return found

    def sent(self) -> list[bytes]:
        """Return what a receiver should make of the packets."""
        units_of = LENGTH_PREFIXED.get(self.clip.name)
        if units_of is None:
            return self.packets
        return [_pictures(packet, units_of) for packet in self.packets]


def _pictures(payload: bytes, codec: Any) -> bytes:
    """Leave out what senders add or drop: delimiters and parameter sets."""
    return nal.join_length_prefixed(
        unit
        for unit in nal.split_length_prefixed(payload)
        if not codec.is_parameter_set(unit)
        and codec.unit_type(unit) != codec.UnitType.ACCESS_UNIT_DELIMITER
    )


@pytest.fixture(scope="session")
def source(
    tmp_path_factory: pytest.TempPathFactory, ffmpeg9: str
) -> Callable[[str], Source]:
    """Encode a clip when it is first asked for."""
    folder = tmp_path_factory.mktemp("rtp")
    made: dict[str, Source] = {}

    def get(name: str) -> Source:
        if name not in made:
            clip = CLIPS[name]
            path = folder / f"{name}.{clip.suffix}"
            _run(ffmpeg9, "-v", "error", *clip.command.split(), "-bitexact", path)
            made[name] = Source(clip, path, ffmpeg9)
            made[name].read()
        return made[name]

    return get


# -- sockets -------------------------------------------------------------------------


def _bound_pair() -> tuple[socket.socket, socket.socket]:
    """Return sockets on an even port and the odd one behind it."""
    for _ in range(100):
        first = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        first.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        first.bind(("127.0.0.1", 0))
        port = first.getsockname()[1]
        second = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        if port % 2 == 0:
            try:
                second.bind(("127.0.0.1", port + 1))
            except OSError:
                pass
            else:
                return first, second
        first.close()
        second.close()
    raise AssertionError("no two free ports")


def _free_port() -> int:
    first, second = _bound_pair()
    with first, second:
        return int(first.getsockname()[1])


class Recorder:
    """Takes in all packets that come to a port."""

    def __init__(self) -> None:
        self.packets: list[bytes] = []
        self._sockets = _bound_pair()
        self.port = self._sockets[0].getsockname()[1]
        self._thread = threading.Thread(target=self._take, daemon=True)
        self._thread.start()

    def _take(self) -> None:
        while data := self._sockets[0].recv(65536):
            self.packets.append(data)

    def finish(self) -> list[bytes]:
        """Return the packets; the sender has ended."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", ("127.0.0.1", self.port))
        self._thread.join(20)
        for entry in self._sockets:
            entry.close()
        return self.packets


def _feed(depacketiser: Depacketiser, packets: list[bytes]) -> list[Frame]:
    frames: list[Frame] = []
    expected: int | None = None
    for packet in packets:
        number, timestamp = struct.unpack_from(">HI", packet, 2)
        assert packet[0] & 0xEF == 0x80
        start = 12
        if packet[0] & 0x10:
            start += 4 + 4 * int.from_bytes(packet[14:16], "big")
        gap = expected is not None and number != expected
        frames += depacketiser.feed(packet[start:], timestamp, packet[1] >= 128, gap)
        expected = number + 1 & 0xFFFF
    return frames + depacketiser.flush()


def _check_received(source: Source, packets: list[bytes]) -> None:
    depacketiser = source.format.make_depacketiser()
    frames = _feed(depacketiser, packets)
    statistics = depacketiser.statistics()
    assert statistics.payloads == len(packets) > 0
    assert statistics.gaps == 0, "the recorder was too slow"
    assert statistics.damaged_payloads == 0
    assert statistics.dropped_frames == 0
    came = [frame.payload for frame in frames]
    if source.clip.name in SAMPLED:
        assert b"".join(came) == b"".join(source.packets)
        return
    if source.clip.name in LENGTH_PREFIXED:
        codec = LENGTH_PREFIXED[source.clip.name]
        came = [_pictures(payload, codec) for payload in came]
    sent, timestamps = source.sent(), source.timestamps
    if came[0] == sent[1]:
        # GStreamer's demuxer leaves out the priming of an encoder.
        sent, timestamps = sent[1:], timestamps[1:]
    if source.clip.collects:
        # FFmpeg does not send the packet that it is filling when the file ends.
        assert len(sent) - 8 < len(came) <= len(sent)
        sent = sent[: len(came)]
    assert [len(payload) for payload in came] == [len(data) for data in sent]
    assert came == sent
    zero = (frames[0].timestamp - timestamps[0]) & 0xFFFFFFFF
    for frame, timestamp in zip(frames, timestamps, strict=False):
        late = (frame.timestamp - timestamp - zero + 500) & 0xFFFFFFFF
        assert late <= 1000, "timestamps"
    if source.format.is_video:
        keys = [number for number, frame in enumerate(frames) if frame.random_access]
        assert keys == [0, 25]


# -- we receive ----------------------------------------------------------------------


@pytest.mark.parametrize("name", CLIPS)
@pytest.mark.parametrize("version", [5, 9])
def test_what_ffmpeg_sends_is_what_was_in_the_file(
    name: str, version: int, source: Callable[[str], Source], request: Any
) -> None:
    clip = CLIPS[name]
    if version == 5 and not clip.old_ffmpeg:
        pytest.skip("FFmpeg 5.1 does not send this format")
    ffmpeg = request.getfixturevalue(f"ffmpeg{version}")
    found = source(name)
    recorder = Recorder()
    _run(
        *(ffmpeg, "-v", "error", "-readrate", "4", "-i", found.path),
        *("-c", "copy", *clip.send.split(), "-f", "rtp"),
        f"rtp://127.0.0.1:{recorder.port}?pkt_size=1200",
    )
    _check_received(found, recorder.finish())


@pytest.mark.parametrize("name", [c.name for c in CLIPS.values() if c.pay])
def test_what_gstreamer_sends_is_what_was_in_the_file(
    name: str, source: Callable[[str], Source], peer: Callable[[str], str]
) -> None:
    gst = peer("gst-launch-1.0")
    found = source(name)
    recorder = Recorder()
    pipeline = (
        f"filesrc location={found.path} ! {CLIPS[name].pay} mtu=1200 "
        f"! udpsink host=127.0.0.1 port={recorder.port} sync=false"
    )
    _run(gst, "-q", *pipeline.split())
    _check_received(found, recorder.finish())


# -- we send -------------------------------------------------------------------------


def _queue(port: int) -> int | None:
    """Return the octets that wait at a UDP port, None if nobody has it."""
    for line in Path("/proc/net/udp").read_text().splitlines()[1:]:
        words = line.split()
        if int(words[1].partition(":")[2], 16) == port:
            return int(words[4].partition(":")[2], 16)
    return None


def _rtp_packets(source: Source) -> Iterator[bytes]:
    for number, (payload, timestamp, marker) in enumerate(source.payloads()):
        assert len(payload) <= MAX_SIZE
        yield (
            struct.pack(
                ">BBHII",
                0x80,
                marker << 7 | source.payload_type,
                number & 0xFFFF,
                timestamp & 0xFFFFFFFF,
                0x1234,
            )
            + payload
        )


def _send(packets: list[bytes], port: int, wait_until: Callable[..., Any]) -> None:
    """Send to a port, no faster than its owner takes them."""
    wait_until(lambda: _queue(port) is not None, f"somebody at port {port}")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        for number, packet in enumerate(packets):
            out.sendto(packet, ("127.0.0.1", port))
            if number % 16 == 15:
                wait_until(lambda: (_queue(port) or 0) < 40_000, "a reader")
    wait_until(lambda: not _queue(port), "the last packets")


PICTURES = ("-map", "0:v", "-fps_mode", "passthrough", "-f", "framemd5")


def _decoded(ffmpeg: str, path: Path) -> list[str]:
    """Return the hash of every decoded picture."""
    if path.suffix == ".txt":
        text = path.read_text()
    else:
        text = _run(ffmpeg, "-v", "error", "-i", path, *PICTURES, "-")
    return [line.split(",")[5].strip() for line in text.splitlines() if line[0] != "#"]


def _check_sent(source: Source, path: Path) -> None:
    if source.format.is_video:
        expected = _decoded(source.ffmpeg, source.path)
        assert len(expected) == 50
        assert _decoded(source.ffmpeg, path) == expected
        return
    came = _audio_packets(path)
    if source.clip.name in SAMPLED:
        assert b"".join(came) == b"".join(source.packets)
    else:
        assert list(map(_md5, came)) == list(map(_md5, source.packets))


def _audio_packets(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(p) for p in container.demux(audio=0) if p.size]


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


@pytest.mark.parametrize("name", CLIPS)
@pytest.mark.parametrize("version", [5, 9])
def test_ffmpeg_decodes_what_we_send(
    name: str,
    version: int,
    source: Callable[[str], Source],
    request: Any,
    start: Callable[..., Any],
    wait_until: Callable[..., Any],
    tmp_path: Path,
) -> None:
    clip = CLIPS[name]
    if version == 5 and not clip.old_ffmpeg:
        pytest.skip("FFmpeg 5.1 does not read this format")
    ffmpeg = request.getfixturevalue(f"ffmpeg{version}")
    found = source(name)
    port = _free_port()
    kind = "video" if found.format.is_video else "audio"
    sdp = tmp_path / "session.sdp"
    lines = [
        "v=0",
        "o=- 0 0 IN IP4 127.0.0.1",
        "s=clip",
        "c=IN IP4 127.0.0.1",
        "t=0 0",
        f"m={kind} {port} RTP/AVP {found.payload_type}",
        f"a=rtpmap:{found.payload_type} {clip.rtpmap}",
    ]
    if clip.fmtp:
        lines.append(f"a=fmtp:{found.payload_type} {clip.fmtp}")
    sdp.write_text("\n".join(lines) + "\n")
    path = tmp_path / ("pictures.txt" if kind == "video" else "out.nut")
    wanted = [*PICTURES, path] if kind == "video" else ["-c", "copy", path]
    program = start(
        *(ffmpeg, "-v", "warning", "-nostdin", "-protocol_whitelist", "file,udp,rtp"),
        *("-reorder_queue_size", "0", "-i", sdp, *wanted),
    )
    _send(list(_rtp_packets(found)), port, wait_until)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        # RTCP: an empty receiver report and a BYE.
        goodbye = struct.pack(">BBHIBBHI", 0x80, 201, 1, 0x1234, 0x81, 203, 1, 0x1234)
        out.sendto(goodbye, ("127.0.0.1", port + 1))
    program.succeed()
    _check_sent(found, path)


@pytest.mark.parametrize("name", [c.name for c in CLIPS.values() if c.depay])
def test_gstreamer_decodes_what_we_send(
    name: str,
    source: Callable[[str], Source],
    peer: Callable[[str], str],
    start: Callable[..., Any],
    wait_until: Callable[..., Any],
    tmp_path: Path,
) -> None:
    gst = peer("gst-launch-1.0")
    found = source(name)
    port = _free_port()
    packets = list(_rtp_packets(found))
    path = tmp_path / ("out.wav" if name in SAMPLED else "out.mkv")
    caps = f"application/x-rtp,media={CLIPS[name].caps},payload={found.payload_type}"
    pipeline = (
        f"udpsrc address=127.0.0.1 port={port} num-buffers={len(packets)} caps={caps} "
        f"! {CLIPS[name].depay} ! filesink location={path}"
    )
    program = start(gst, "-q", "-e", *pipeline.split())
    _send(packets, port, wait_until)
    program.succeed()
    _check_sent(found, path)
