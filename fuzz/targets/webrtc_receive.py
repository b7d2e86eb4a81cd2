"""`MediaReceiver` over packets of any sources, kinds, layers and repairs."""

from __future__ import annotations

from sansmedia.rtp import RtpPacket, encode_extensions, encode_rtcp
from sansmedia.sdp import (
    MID_EXTENSION,
    REPAIRED_RID_EXTENSION,
    RID_EXTENSION,
    Direction,
    NegotiatedCodec,
    NegotiatedMedia,
    NegotiatedSession,
    RemoteSource,
    Transport,
)
from sansmedia.webrtc import TRANSPORT_CC, MediaReceiver

_FEEDBACK = ("nack", "nack pli", "transport-cc")
_VIDEO = NegotiatedMedia(
    index=0,
    mid="v",
    kind="video",
    direction=Direction.RECVONLY,
    codecs=(
        NegotiatedCodec(
            payload_type=96,
            encoding="VP8",
            clock_rate=90_000,
            feedback=_FEEDBACK,
            rtx_payload_type=97,
        ),
        NegotiatedCodec(payload_type=98, encoding="AV1", clock_rate=90_000),
    ),
    red_payload_type=100,
    red_rtx_payload_type=101,
    ulpfec_payload_type=102,
    extensions={
        MID_EXTENSION: 1,
        RID_EXTENSION: 2,
        REPAIRED_RID_EXTENSION: 3,
        TRANSPORT_CC: 4,
    },
)
_MEDIA = (
    (_VIDEO,),
    (
        NegotiatedMedia(
            index=0,
            mid="v",
            kind="video",
            direction=Direction.RECVONLY,
            codecs=_VIDEO.codecs,
            extensions=_VIDEO.extensions,
            rids=("a", "b"),
        ),
    ),
    (
        NegotiatedMedia(
            index=0,
            mid="v",
            kind="video",
            direction=Direction.RECVONLY,
            codecs=_VIDEO.codecs,
            extensions=_VIDEO.extensions,
            remote_sources=(RemoteSource(0, 4), RemoteSource(1, 5)),
            simulcast_ssrcs=(0, 1),
        ),
        NegotiatedMedia(
            index=1,
            mid="w",
            kind="audio",
            direction=Direction.RECVONLY,
            codecs=(
                NegotiatedCodec(payload_type=111, encoding="opus", clock_rate=48_000),
            ),
        ),
    ),
)
_TYPES = (96, 97, 98, 100, 101, 102, 111, 77)
_NAMES = (b"v", b"w", b"a", b"b", b"x", b"\xff", b"", b"long")
_STREAMS = 4
_HELD = _STREAMS * 512 * 64 + 3_000 * 32


def _packet(operation: bytes, payload: bytes) -> RtpPacket:
    choice, source, sequence, told = (
        operation[0],
        operation[1],
        operation[2:4],
        operation[4],
    )
    values = {}
    if told & 1:
        values[1] = _NAMES[told >> 1 & 7]
    if told & 16:
        values[2 + (told >> 7)] = _NAMES[2 + (told >> 5 & 3)]
    if choice & 128:
        values[4] = sequence
    profile, extension = encode_extensions(values) if values else (None, b"")
    if choice & 64:
        profile, extension = 0xBEDE, payload[: len(payload) // 4 * 4]
    return RtpPacket(
        _TYPES[choice & 7],
        int.from_bytes(sequence, "big"),
        source << 24,
        source & 15,
        payload,
        extension_profile=profile,
        extension=extension,
    )


def one_input(data: bytes) -> None:
    # A packet comes out of a stream of its SSRC or not at all; streams and memory are
    # bounded; deadlines advance; whatever is to be sent can be written.
    if not data:
        return
    session = NegotiatedSession(
        media=_MEDIA[data[0] % len(_MEDIA)],
        remote=Transport(ice_ufrag="abcd", ice_pwd="p" * 22),
        is_dtls_client=False,
    )
    receiver = MediaReceiver(session, local_ssrc=7, streams=_STREAMS)
    now = 0.0
    for at in range(1, min(len(data), 600), 6):
        operation = data[at : at + 6].ljust(6, b"\0")
        now += operation[5] / 100
        packet = _packet(operation, data[at + 6 : at + 6 + (operation[0] >> 3 & 7) * 2])
        if operation[4] == 255:
            receiver.end(packet.ssrc)
        runs, feedback = receiver.feed([(packet, now)], now)
        for stream, run in runs.items():
            types = {codec.payload_type for codec in stream.media.codecs}
            assert stream in receiver.streams
            assert not stream.ended
            for one in run:
                assert one.ssrc == stream.ssrc
                assert one.payload_type in types
        if receiver.has_collided:
            receiver.take_ssrc(receiver.local_ssrc + 16)
        encode_rtcp([*feedback, receiver.receiver_report(now)])
        due = receiver.next_timeout()
        if due is not None and due <= now:
            encode_rtcp(receiver.handle_timeout(now))
            following = receiver.next_timeout()
            assert following is None or following > now
        assert len(receiver.streams) <= _STREAMS
        assert receiver.pending_bytes <= _HELD
