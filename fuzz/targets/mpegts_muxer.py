"""`Muxer` and `Demuxer`: what is written is read again, whatever the frames are."""

from __future__ import annotations

from sansmedia.codecs import Codec
from sansmedia.codecs.nal import escape_rbsp
from sansmedia.mpegts import (
    DataFormat,
    Demuxer,
    MediaFrame,
    Muxer,
    MuxerConfig,
    MuxTrack,
)

_ASC = bytes.fromhex("1190")


def one_input(data: bytes) -> None:
    # Every frame comes out as it went in, at its time, and the packets have no gaps.
    if len(data) < 4:
        return
    tracks = (
        MuxTrack(256, Codec.H264),
        MuxTrack(257, Codec.AAC, _ASC, latm=bool(data[0] & 1)),
        MuxTrack(
            258, DataFormat.KLV_SYNCHRONOUS, program_number=1 + (data[0] >> 1 & 1)
        ),
    )
    config = MuxerConfig(
        offset_90k=0,
        group_90k=3600 * (data[0] >> 2 & 3),
        constant_rate_bps=2_000_000 * (data[0] >> 4 & 1),
    )
    muxer = Muxer(tracks, config)
    time = int.from_bytes(data[1:3], "big") << 18
    sent: dict[int, list[tuple[int, bytes]]] = {256: [], 257: [], 258: []}
    octets = b""
    at = 3
    while at < len(data):
        kind, size = data[at] % 3, 1 + 5 * (data[at] >> 2)
        body = data[at + 1 : at + 1 + size] + b"\x80"
        at += 1 + size
        time += 1920
        pid = 256 + kind
        frame = body
        if kind == 0:
            unit = b"\x65\x88" + escape_rbsp(body)
            frame = len(unit).to_bytes(4, "big") + unit
        octets += muxer.write(pid, frame, time, random_access=kind == 0)
        sent[pid].append((time & (1 << 33) - 1, frame))
    octets += muxer.flush()
    assert len(octets) == 188 * muxer.statistics().packets
    demuxer = Demuxer()
    came: dict[int, list[tuple[int, bytes]]] = {256: [], 257: [], 258: []}
    for event in demuxer.feed(octets) + demuxer.flush():
        if isinstance(event, MediaFrame):
            payload = event.payload
            if event.pid == 256:
                payload = event.length_prefixed(frozenset((9,)))
            assert event.pts is not None
            assert not event.damaged
            came[event.pid].append((event.pts, payload))
    assert demuxer.statistics().transport.continuity_errors == 0
    if not config.group_90k:
        assert came == sent
    else:
        # The times of frames that share a PES packet are counted on.
        for pid, frames in sent.items():
            assert [f for _, f in came[pid]] == [f for _, f in frames]
