"""What this library writes is read by FFmpeg, PyAV, GStreamer and tshark."""

from __future__ import annotations

import hashlib
import pathlib
import re
import struct
import subprocess
from collections.abc import Callable
from typing import Any

import attrs
import av
import pytest
from sansmedia.codecs import Codec, aac
from sansmedia.mpegts import (
    Configuration,
    DataFormat,
    Demuxer,
    MediaFrame,
    Muxer,
    MuxerConfig,
    MuxTrack,
    ProgramMap,
    Track,
)

DATA = pathlib.Path(__file__).resolve().parents[1] / "data" / "mpegts"
KLV = bytes.fromhex("060e2b34020b01010e01030101000000") + b"\x05value"
ID3 = b"ID3\x04\0\0\0\0\0\x0aTXXX\0\0\0\0\0\0"
pytestmark = [pytest.mark.interop, pytest.mark.slow]


@attrs.frozen
class Case:
    source: str
    config: MuxerConfig = attrs.field(factory=MuxerConfig)
    options: dict[str, bool] = attrs.field(factory=dict)


CASES = {
    "h264-aac": Case("h264_aac"),
    "h264-aac-lengths": Case("h264_aac", options={"lengths": True}),
    "h265-ac3": Case("h265_ac3"),
    "h265-lengths-ac3-dvb": Case("h265_ac3", options={"lengths": True, "dvb": True}),
    "h264-latm": Case("h264_latm", options={"latm": True}),
    "mp3-eac3": Case("mp3_eac3"),
    "mp3-eac3-dvb": Case("mp3_eac3", options={"dvb": True}),
    "opus": Case("opus_stereo"),
    "opus-surround": Case("opus_surround"),
    "programs": Case("programs"),
    "grouped": Case("h264_aac", MuxerConfig(group_90k=9000)),
    "constant-rate": Case("h264_aac", MuxerConfig(constant_rate_bps=400_000)),
    "wrap": Case("h264_aac", MuxerConfig(offset_90k=(1 << 33) - 150_000)),
}


@attrs.frozen
class Written:
    name: str
    case: Case
    path: pathlib.Path
    tracks: tuple[MuxTrack, ...]
    frames: list[MediaFrame]
    """As they were written, times moved as the muxer moves them."""


def write(name: str, case: Case, path: pathlib.Path) -> Written:
    demuxer = Demuxer()
    events = demuxer.feed((DATA / f"{case.source}.bin").read_bytes()) + demuxer.flush()
    data = {e.pid: e.data for e in events if isinstance(e, Configuration)}
    lengths = case.options.get("lengths", False)

    def mux_track(track: Track, number: int) -> MuxTrack:
        assert track.codec is not None
        return MuxTrack(
            track.pid,
            track.codec,
            data[track.pid],
            program_number=number,
            language=track.language,
            annexb=not lengths,
            latm=case.options.get("latm", False) and track.codec is Codec.AAC,
            dvb=case.options.get("dvb", False),
        )

    tracks = tuple(
        mux_track(track, event.program_number)
        for event in events
        if isinstance(event, ProgramMap)
        for track in event.tracks
    )
    frames = [event for event in events if isinstance(event, MediaFrame)]
    frames.sort(key=lambda frame: frame.dts or 0)
    muxer = Muxer(tracks, case.config)
    octets = b""
    # Delimiters and parameter sets, which the muxer puts there.
    taken_out = frozenset((0x09, 0x67, 0x68, 0x46, 0x40, 0x42, 0x44))
    for frame in frames:
        assert frame.pts is not None
        assert frame.dts is not None
        payload = frame.payload
        if lengths and frame.units is not None:
            payload = frame.length_prefixed(taken_out)
        octets += muxer.write(
            frame.pid,
            payload,
            frame.pts,
            frame.dts,
            random_access=frame.random_access,
        )
        frame.pts += case.config.offset_90k
        frame.dts += case.config.offset_90k
    path.write_bytes(octets + muxer.flush())
    return Written(name, case, path, tracks, frames)


@pytest.fixture(scope="module", params=CASES)
def written(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Written:
    folder = tmp_path_factory.mktemp("mpegts")
    return write(request.param, CASES[request.param], folder / f"{request.param}.ts")


def expected_payload(written: Written, frame: MediaFrame) -> bytes | None:
    """Return what others read; None where it has another form than ours."""
    [track] = [track for track in written.tracks if track.pid == frame.pid]
    if track.latm or (written.case.options.get("lengths") and frame.units):
        return None
    if track.codec is not Codec.AAC:
        return frame.payload
    config = aac.decode_asc(track.configuration)
    header = aac.AdtsHeader(
        config.object_type,
        config.sampling_frequency,
        config.channel_configuration,
        len(frame.payload) + 7,
    )
    return aac.encode_adts_header(header) + frame.payload


def check_packets(
    written: Written,
    pid: int,
    packets: list[tuple[int, int, str]],
    *,
    times_alone: bool = False,
) -> None:
    """Compare dts, pts and MD5 of a track's packets."""
    frames = [frame for frame in written.frames if frame.pid == pid]
    assert len(packets) == len(frames)
    for (dts, pts, digest), frame in zip(packets, frames, strict=True):
        payload = expected_payload(written, frame)
        if payload is not None and not times_alone:
            assert hashlib.md5(payload).hexdigest() == digest
        assert frame.dts is not None
        assert frame.pts is not None
        # Times that are counted on may be rounded otherwise, and FFmpeg unwraps.
        for came, sent in ((dts, frame.dts), (pts, frame.pts)):
            assert abs(((came - sent + (1 << 32)) & ((1 << 33) - 1)) - (1 << 32)) <= 1


def test_pyav_reads_every_packet(written: Written) -> None:
    packets: dict[int, list[tuple[int, int, str]]] = {}
    with av.open(written.path) as container:
        languages = {s.id: s.language or "und" for s in container.streams}
        for packet in container.demux():
            if packet.size:
                assert packet.dts is not None
                assert packet.pts is not None
                row = packet.dts, packet.pts, hashlib.md5(bytes(packet)).hexdigest()
                packets.setdefault(packet.stream.id, []).append(row)
    assert languages == {track.pid: track.language for track in written.tracks}
    for track in written.tracks:
        check_packets(written, track.pid, packets[track.pid])


@pytest.fixture(params=["ffmpeg9", "ffmpeg5"])
def ffmpeg(request: pytest.FixtureRequest) -> str:
    found: str = request.getfixturevalue(request.param)
    return found


def run(*command: str | pathlib.Path) -> str:
    result = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=60
    )
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    return result.stdout


def test_ffmpeg_reads_every_packet(written: Written, ffmpeg: str) -> None:
    arguments = "-map 0 -c copy -copyts -avoid_negative_ts disabled -f framemd5 -"
    text = run(ffmpeg, "-v", "warning", "-i", written.path, *arguments.split())
    packets: dict[int, list[tuple[int, int, str]]] = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            stream, dts, pts, _, _, digest = map(str.strip, line.split(",")[:6])
            packets.setdefault(int(stream), []).append((int(dts), int(pts), digest))
    ticks = {
        int(index): 90_000 * int(one) // int(other)
        for index, one, other in re.findall(r"#tb (\d+): (\d+)/(\d+)", text)
    }
    assert set(ticks.values()) == {1}
    for index, track in enumerate(written.tracks):
        # FFmpeg 5.1 leaves the zero_byte of H.265 with the picture before, in files of
        # its own as well.
        zero = track.codec is Codec.H265 and "imageio" not in ffmpeg
        check_packets(written, track.pid, packets[index], times_alone=zero)


def test_ffmpeg_decodes_the_same_pictures_and_sound(
    written: Written, ffmpeg9: str
) -> None:
    def decoded(path: pathlib.Path) -> list[str]:
        arguments = "-map 0 -f framemd5 -"
        text = run(ffmpeg9, "-v", "warning", "-i", path, *arguments.split())
        lines = [line for line in text.splitlines() if not line.startswith("#")]
        return [line.split(",")[0] + line.split(",")[-1] for line in lines]

    source = DATA / f"{written.case.source}.bin"
    if written.case.options.get("latm") or written.name.startswith("opus"):
        assert decoded(written.path)
    else:
        assert sorted(decoded(written.path)) == sorted(decoded(source))


CAPS = {
    Codec.H264: "video/x-h264",
    Codec.H265: "video/x-h265",
    Codec.AC3: "audio/x-ac3",
    Codec.EAC3: "audio/x-eac3",
    Codec.OPUS: "audio/x-opus",
    Codec.MP3: "audio/mpeg,mpegversion=1",
}


def test_gstreamer_reads_every_octet(
    written: Written, peer: Callable[[str], str], tmp_path: pathlib.Path
) -> None:
    if written.name == "programs":
        return  # tsdemux plays one program
    gst = peer("gst-launch-1.0")
    for track in written.tracks:
        frames = [frame for frame in written.frames if frame.pid == track.pid]
        payloads = [expected_payload(written, frame) for frame in frames]
        caps = CAPS.get(track.codec) if isinstance(track.codec, Codec) else None
        if caps is None or None in payloads:
            continue
        out = tmp_path / f"{track.pid}"
        command = (
            f"{gst} -q filesrc location={written.path} ! tsdemux ! {caps} ! "
            f"filesink location={out}"
        )
        subprocess.run(command.split(), check=True, timeout=60, capture_output=True)
        assert out.read_bytes() == b"".join(p for p in payloads if p is not None)


def capture(octets: bytes) -> bytes:
    """Return a pcap of UDP datagrams with seven packets each."""
    pcap = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65_535, 101)
    for number, at in enumerate(range(0, len(octets), 1316)):
        data = octets[at : at + 1316]
        udp = struct.pack(">HHHH", 5_004, 5_004, 8 + len(data), 0) + data
        size = 20 + len(udp)
        ip = struct.pack(">BBHHHBBH", 0x45, 0, size, number, 0, 64, 17, 0)
        ip += b"\x7f\x00\x00\x01" * 2
        pcap += struct.pack("<IIII", number, 0, size, size) + ip + udp
    return pcap


def test_tshark_finds_nothing_wrong(
    written: Written, peer: Callable[[str], str], tmp_path: pathlib.Path
) -> None:
    tshark = peer("tshark")
    path = tmp_path / "mpegts.pcap"
    octets = written.path.read_bytes()
    path.write_bytes(capture(octets))
    base = [tshark, "-r", str(path), "-d", "udp.port==5004,mp2t"]

    def fields(*arguments: str) -> str:
        done = subprocess.run(
            [*base, *arguments], capture_output=True, text=True, check=True, timeout=60
        )
        return done.stdout

    text = fields("-V")
    assert text.count("Header: 0x47") == len(octets) // 188
    assert "Program Association Table" in text
    assert "Program Map Table" in text
    assert fields("-Y", "mp2t.cc.drop || _ws.malformed") == ""


def test_data_is_found_by_ffmpeg(tmp_path: pathlib.Path, ffmpeg9: str) -> None:
    tracks = (
        MuxTrack(256, DataFormat.KLV),
        MuxTrack(257, DataFormat.KLV_SYNCHRONOUS),
        MuxTrack(258, DataFormat.ID3),
    )
    items: dict[int, Any] = {256: KLV, 257: KLV, 258: ID3}
    muxer = Muxer(tracks)
    octets = b"".join(
        muxer.write(pid, item, 9000 * number)
        for number in range(40)
        for pid, item in items.items()
    )
    path = tmp_path / "data.ts"
    path.write_bytes(octets)
    with av.open(path) as container:
        found = {
            stream.id: [bytes(p) for p in container.demux(stream) if p.size]
            for stream in list(container.streams)[:1]
        }
    assert found == {256: [KLV] * 40}
    result = subprocess.run(
        [ffmpeg9, "-hide_banner", "-i", path],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert re.search(r"\[0x100\].*klv \(KLVA", result.stderr)
    assert re.search(r"\[0x101\].*klv", result.stderr)
    assert re.search(r"\[0x102\].*timed_id3", result.stderr)
