from __future__ import annotations

import hashlib
import pathlib
import tomllib
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import attrs
import pytest
from sansmedia.codecs import Codec
from sansmedia.codecs.nal import join_length_prefixed
from sansmedia.mpegts import (
    Configuration,
    Demuxer,
    Event,
    MediaFrame,
    Muxer,
    MuxerConfig,
    MuxTrack,
    Packet,
    PesPacket,
    TransportDemuxer,
    encode_packet,
    encode_pes_header,
)

DATA = pathlib.Path(__file__).parents[2] / "data" / "mpegts"
NAMES = sorted(path.stem for path in DATA.glob("*.toml"))
CODECS = {
    **{"h264": Codec.H264, "hevc": Codec.H265, "aac": Codec.AAC, "opus": Codec.OPUS},
    **{"aac_latm": Codec.AAC, "mp3float": Codec.MP3, "ac3": Codec.AC3},
    "eac3": Codec.EAC3,
}
SPS = bytes.fromhex("6764000aacd9447b011000000300100000030140f1225960")
PPS = bytes.fromhex("68ef81372c")
ASC = bytes.fromhex("1190")
VIDEO, SOUND = 0x100, 0x101

Packets: TypeAlias = list[bytes]


@attrs.frozen
class Vector:
    name: str
    data: bytes
    expected: dict[str, Any]


def load(name: str) -> Vector:
    expected = tomllib.loads((DATA / f"{name}.toml").read_text())
    return Vector(name, (DATA / f"{name}.bin").read_bytes(), expected)


@pytest.fixture(params=NAMES)
def vector(request: pytest.FixtureRequest) -> Vector:
    """Each file of tests/data/mpegts in turn."""
    return load(request.param)


@pytest.fixture(scope="session")
def named_vector() -> Callable[[str], Vector]:
    """One file of tests/data/mpegts."""
    return load


@pytest.fixture(scope="session")
def codec_of() -> dict[str, Codec]:
    """Codecs by FFmpeg's names."""
    return CODECS


def demux(data: bytes) -> list[Event]:
    demuxer = Demuxer()
    return demuxer.feed(data) + demuxer.flush()


@pytest.fixture(scope="session", name="demux")
def demux_fixture() -> Callable[[bytes], list[Event]]:
    """All events of a whole stream."""
    return demux


def frames_of(data: bytes, pid: int | None = None) -> list[MediaFrame]:
    found = [event for event in demux(data) if isinstance(event, MediaFrame)]
    return [frame for frame in found if pid in (None, frame.pid)]


@pytest.fixture(scope="session", name="frames_of")
def frames_of_fixture() -> Callable[..., list[MediaFrame]]:
    """All frames of a whole stream, or of one PID."""
    return frames_of


def pes_of(data: bytes) -> list[PesPacket]:
    demuxer = TransportDemuxer()
    events = demuxer.feed(data) + demuxer.flush()
    return [event for event in events if isinstance(event, PesPacket)]


@pytest.fixture(scope="session", name="pes_of")
def pes_of_fixture() -> Callable[[bytes], list[PesPacket]]:
    """All PES packets of a whole stream."""
    return pes_of


@pytest.fixture(scope="session")
def configurations_of() -> Callable[[bytes], list[Configuration]]:
    """All configurations of a whole stream."""

    def configurations(data: bytes) -> list[Configuration]:
        return [event for event in demux(data) if isinstance(event, Configuration)]

    return configurations


class Clip:
    """A stream of ours, frame by frame."""

    def __init__(
        self, writes: list[bytes], frames: list[tuple[int, int, bytes]]
    ) -> None:
        self.writes = writes
        self.frames = frames

    # Hypothesis shows what fails, and need not show all of it.
    def __repr__(self) -> str:
        return "Clip"

    @property
    def data(self) -> bytes:
        """All packets."""
        return b"".join(self.writes)


def noise(number: int, size: int) -> bytes:
    """Return octets in which nothing repeats, always the same."""
    return hashlib.shake_128(b"%d" % number).digest(size)


def picture(number: int, size: int, *, key: bool) -> bytes:
    """Return a made-up access unit of H.264, with lengths."""
    body = noise(number, size).replace(b"\0", b"\1")
    unit = (b"\x65\x88" if key else b"\x41\x9a") + body + b"\x80"
    return join_length_prefixed([SPS, PPS, unit] if key else [unit])


@pytest.fixture(scope="session", name="make_picture")
def make_picture_fixture() -> Callable[..., bytes]:
    """Make an access unit of H.264."""
    return picture


def make_clip(
    count: int = 40, *, start: int = 0, sizes: Sequence[int] = (1500, 300), **kw: Any
) -> Clip:
    config = MuxerConfig(offset_90k=0, **kw)
    muxer = Muxer(
        [MuxTrack(VIDEO, Codec.H264), MuxTrack(SOUND, Codec.AAC, ASC)], config
    )
    writes, frames = [], []
    for number in range(count):
        if number % 2:
            pid, payload = SOUND, noise(number, 170)
            time, key = start + number * 1920, False
        else:
            key = number % 20 == 0
            pid, time = VIDEO, start + number * 1920
            payload = picture(number, sizes[0] if key else sizes[1], key=key)
        writes.append(muxer.write(pid, payload, time, random_access=key))
        frames.append((pid, time, payload))
    return Clip(writes, frames)


@pytest.fixture(scope="session", name="make_clip")
def make_clip_fixture() -> Callable[..., Clip]:
    """Make a stream of pictures and sound in turn."""
    return make_clip


@pytest.fixture(scope="session")
def clip() -> Clip:
    """20 pictures and 20 frames of sound."""
    return make_clip()


@pytest.fixture(scope="session")
def pes_packets() -> Callable[..., Packets]:
    """Cut one PES packet into transport packets."""

    def cut(
        pid: int,
        payload: bytes,
        pts: int | None = None,
        counter: int = 0,
        *,
        stream_id: int = 0xE0,
        length: int | None = None,
    ) -> Packets:
        data = bytearray(encode_pes_header(stream_id, len(payload), pts) + payload)
        if length is not None:
            data[4:6] = length.to_bytes(2, "big")
        return [
            encode_packet(
                Packet(
                    pid,
                    (counter + number) & 15,
                    bytes(data[at : at + 184]),
                    unit_start=not at,
                )
            )
            for number, at in enumerate(range(0, len(data), 184))
        ]

    return cut
