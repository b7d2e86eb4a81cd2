"""Every transform is indifferent to segmentation, bounded, and raises for no input."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import attrs
import pytest
from sansmedia import flv, mp4, mpegts, rtmp
from sansmedia.codecs import Codec
from sansmedia.sansio.testing import TransformCase

_DATA = Path(__file__).resolve().parents[1] / "data"
_UNIT = 2 * 1024 * 1024


def _files(*names: str) -> tuple[bytes, ...]:
    return tuple((_DATA / f"{name}.bin").read_bytes() for name in names)


def _large_units(size: int, wrap: Callable[[bytes], bytes]) -> bytes:
    """Return units as large as the limit allows, ``size`` octets in all."""
    units = [_UNIT - 1] * (size // _UNIT) + [size % _UNIT]
    return b"".join(wrap(bytes(octets)) for octets in units)


def _flv_bulk(size: int) -> bytes:
    def wrap(body: bytes) -> bytes:
        return flv.encode_tag(flv.TagType.VIDEO, 40, body)

    return flv.encode_header(False, True) + _large_units(size, wrap)


def _flv_small_tags(size: int) -> bytes:
    tag = flv.encode_tag(flv.TagType.AUDIO, 20, b"\xaf\x01" + bytes(43))
    return flv.encode_header(True, False) + tag * (size // len(tag) + 1)


_MP4_FILES = _files("mp4/h264_aac", "mp4/opus", "mp4/h265", "mp4/h264_frame")


def _mp4_init() -> tuple[bytes, int]:
    [init, *_] = mp4.Mp4Demuxer().feed(_MP4_FILES[1])
    assert isinstance(init, mp4.InitSegment)
    return mp4.encode_init_segment(init.tracks), init.tracks[0].track_id


def _mp4_bulk(size: int) -> bytes:
    init, track = _mp4_init()

    def wrap(payload: bytes) -> bytes:
        return mp4.encode_single_sample_fragment(1, track, 0, 960, payload)

    return init + _large_units(size, wrap)


def _mp4_small_fragments(size: int) -> bytes:
    init, track = _mp4_init()
    fragments = [
        mp4.encode_single_sample_fragment(n, track, n * 960, 960, bytes(88))
        for n in range(size // 200 + 1)
    ]
    return init + b"".join(fragments)


_TS_FILES = tuple(
    data[:4000]
    for data in _files(
        *("mpegts/h264_aac", "mpegts/h264_latm", "mpegts/h265_ac3", "mpegts/mp3_eac3"),
        *("mpegts/opus_surround", "mpegts/programs"),
    )
)
_TS_LIMITS = mpegts.Limits(max_pes_size=_UNIT, max_pending_bytes=2 * _UNIT)


def _ts_bulk(size: int) -> bytes:
    """Return pictures as large as the limit allows."""
    config = mpegts.MuxerConfig(tables_interval_90k=1 << 30)
    muxer = mpegts.Muxer([mpegts.MuxTrack(256, Codec.H264)], config)

    def wrap(body: bytes) -> bytes:
        unit = b"\x41\x9a" + body[100:].replace(b"\0", b"\1")
        return muxer.write(256, len(unit).to_bytes(4, "big") + unit, 0)

    return _large_units(size, wrap)


def _ts_small_frames(size: int) -> bytes:
    track = mpegts.MuxTrack(257, Codec.AAC, bytes.fromhex("1190"))
    muxer = mpegts.Muxer([track])
    writes = [muxer.write(257, bytes(150), n * 1920) for n in range(size // 188 + 1)]
    return b"".join(writes)


def _chunk_bulk(size: int) -> bytes:
    def wrap(payload: bytes) -> bytes:
        return rtmp.shared_message(rtmp.MediaKind.VIDEO, 0, payload)

    set_chunk_size = bytes.fromhex("020000000000040100000000") + (60_000).to_bytes(
        4, "big"
    )
    return set_chunk_size + _large_units(size, wrap)


def _chunks_without_handshake(name: str) -> bytes:
    """Return what a client sent behind C0, C1 and C2. RTMP 1.0 §5.2."""
    return _files(f"rtmp/{name}")[0][1 + 2 * 1536 :]


_RTMP_LIMITS = rtmp.Limits(message_size=_UNIT, partial_bytes=_UNIT)

_FLV = TransformCase(
    name="FlvDemuxer",
    factory=lambda: flv.FlvDemuxer(flv.Limits(tag_bytes=_UNIT)),
    seeds=(
        *_files("flv/h264_aac", "flv/hevc_opus", "flv/multitrack", "flv/pcm"),
        # Damage, and what a reader finds behind it.
        _files("flv/speex")[0][:300] + b"\x00\xff" * 40 + _files("flv/speex")[0],
        b"GET /live/camera.flv HTTP/1.1\r\n\r\n",
    ),
    bulk=_flv_bulk,
    pending_limit=_UNIT + 4096,
)
_MP4 = TransformCase(
    name="Mp4Demuxer",
    factory=lambda: mp4.Mp4Demuxer(mp4.Limits(max_box_size=_UNIT + 8)),
    seeds=(
        *_MP4_FILES,
        _MP4_FILES[1][:900] + b"\x00\xff" * 40 + _MP4_FILES[1],
        bytes.fromhex("00000001") + b"mdat" + b"\x7f" + b"\xff" * 7,
    ),
    bulk=_mp4_bulk,
    pending_limit=4 * _UNIT,
)
_TS = TransformCase(
    name="mpegts.Demuxer",
    factory=lambda: mpegts.Demuxer(_TS_LIMITS),
    seeds=(
        *_TS_FILES,
        # Octets that are missing, too many, and wrong.
        _TS_FILES[0][:5000] + _TS_FILES[0][5100:],
        _TS_FILES[0][:3000] + b"\x00\x47" * 99 + _TS_FILES[2],
        b"\x47" * 1000,
    ),
    bulk=_ts_bulk,
    pending_limit=4 * _UNIT,
)
_CHUNKS = TransformCase(
    name="ChunkReader",
    factory=lambda: rtmp.ChunkReader(_RTMP_LIMITS),
    seeds=(
        _chunks_without_handshake("ffmpeg9-publish"),
        _chunks_without_handshake("gstreamer-rtmp2sink-publish"),
        _chunks_without_handshake("rtmpdump-play"),
        b"\xff" * 64,
    ),
    bulk=_chunk_bulk,
    pending_limit=_UNIT + 4096,
)

_CASES = (
    _FLV,
    attrs.evolve(_FLV, name="FlvDemuxer, small tags", bulk=_flv_small_tags),
    _MP4,
    attrs.evolve(_MP4, name="Mp4Demuxer, small fragments", bulk=_mp4_small_fragments),
    _TS,
    attrs.evolve(_TS, name="mpegts.Demuxer, small frames", bulk=_ts_small_frames),
    attrs.evolve(
        _TS,
        name="TransportDemuxer",
        factory=lambda: mpegts.TransportDemuxer(_TS_LIMITS),
    ),
    _CHUNKS,
)

_every_case = pytest.mark.parametrize("case", _CASES, ids=lambda case: case.name)


@_every_case
def test_the_transform_keeps_the_contract(
    case: TransformCase, transform_check: Callable[[TransformCase], None]
) -> None:
    transform_check(case)
