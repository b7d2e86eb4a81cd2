"""What we say in offers and answers: formats, header extensions, feedback, sources."""

from __future__ import annotations

import os
from collections.abc import Sequence

import attrs
from sansmedia.codecs import Codec
from sansmedia.codecs.h264 import decode_avcc
from sansmedia.sansio import ProtocolError
from sansmedia.sdp import (
    MID_EXTENSION,
    REPAIRED_RID_EXTENSION,
    RID_EXTENSION,
    Capabilities,
    Direction,
    OfferedCodec,
    OfferedMedia,
    SendSource,
)
from sansmedia.webrtc import TRANSPORT_CC, any_codec

from penstock.engine.packet_outlet import PacketOutlet
from penstock.engine.stream import PACKETS, Stream
from penstock.media import Track

__all__ = [
    "codecs_of",
    "receiving",
    "receiving_offer",
    "rtp_codecs",
    "sending",
    "sending_offer",
    "sources",
]

_VIDEO_FEEDBACK = ("nack", "nack pli", "ccm fir", "transport-cc", "goog-remb")
_AUDIO_FEEDBACK = ("transport-cc",)
_SENT_FEEDBACK = ("nack", "nack pli", "ccm fir")
_CNAME_OCTETS = 8

_H264_PROFILES = ("42e01f", "42001f", "4d001f", "64001f")
"""Constrained baseline, baseline, main, high, with the level that browsers write:
those who compare more than the profile compare with that."""


def _h264_fmtp(profile: str, mode: int = 1) -> str:
    return (
        f"level-asymmetry-allowed=1;packetization-mode={mode};"
        f"profile-level-id={profile}"
    )


_VIDEO_FORMATS = {
    Codec.H264: [
        ("H264", _h264_fmtp(profile, mode))
        for mode in (1, 0)
        for profile in _H264_PROFILES
    ],
    Codec.VP8: [("VP8", "")],
    Codec.VP9: [("VP9", "profile-id=0"), ("VP9", "profile-id=2")],
    Codec.AV1: [("AV1", "level-idx=5;profile=0;tier=0")],
    Codec.H265: [("H265", "level-id=180;profile-id=1;tier-flag=0;tx-mode=SRST")],
}
_AUDIO_FORMATS = {
    Codec.OPUS: OfferedCodec(
        encoding="opus",
        clock_rate=48_000,
        channels=2,
        fmtp="minptime=10;stereo=1;useinbandfec=1",
    ),
    Codec.G722: OfferedCodec(encoding="G722", clock_rate=8_000, payload_type=9),
    Codec.PCM_MULAW: OfferedCodec(encoding="PCMU", clock_rate=8_000, payload_type=0),
    Codec.PCM_ALAW: OfferedCodec(encoding="PCMA", clock_rate=8_000, payload_type=8),
}


# -- answers ---------------------------------------------------------------------------


def receiving() -> Capabilities:
    """Return what we take from those who publish."""
    return Capabilities(
        direction=Direction.RECVONLY,
        match=any_codec(),
        extensions={
            "audio": (MID_EXTENSION, TRANSPORT_CC),
            "video": (
                MID_EXTENSION,
                RID_EXTENSION,
                REPAIRED_RID_EXTENSION,
                TRANSPORT_CC,
            ),
        },
        feedback={"audio": _AUDIO_FEEDBACK, "video": _VIDEO_FEEDBACK},
    )


def sending(first: list[Codec]) -> Capabilities:
    """Return what we give to those who play, some codecs before others."""
    return Capabilities(
        direction=Direction.SENDONLY,
        match=any_codec(first),
        extensions={},
        feedback={"audio": (), "video": _SENT_FEEDBACK},
        partial=True,
    )


def codecs_of(stream: Stream) -> list[Codec]:
    """Return the codecs of a stream as it is published."""
    publication = stream.publication
    codecs: list[Codec] = []
    for track in () if publication is None else publication.tracks:
        if track.codec is not None and track.codec not in codecs:
            codecs.append(track.codec)
    return codecs


def sources() -> list[SendSource]:
    """Return names and numbers of a picture and a sound to send."""
    cname = os.urandom(_CNAME_OCTETS).hex()
    numbers = [int.from_bytes(os.urandom(4), "big") | 1 for _ in range(3)]
    return [
        SendSource(
            kind="video",
            ssrc=numbers[0],
            rtx_ssrc=numbers[1],
            cname=cname,
            stream="penstock",
            track="video",
        ),
        SendSource(
            kind="audio", ssrc=numbers[2], cname=cname, stream="penstock", track="audio"
        ),
    ]


# -- offers ----------------------------------------------------------------------------


def receiving_offer() -> list[OfferedMedia]:
    """Offer to take whatever we can forward."""
    video = [
        _video(encoding, fmtp, _VIDEO_FEEDBACK)
        for formats in _VIDEO_FORMATS.values()
        for encoding, fmtp in formats
    ]
    return [
        OfferedMedia(
            kind="audio",
            codecs=tuple(
                attrs.evolve(one, feedback=_AUDIO_FEEDBACK)
                for one in _AUDIO_FORMATS.values()
            ),
            extensions=(MID_EXTENSION, TRANSPORT_CC),
        ),
        OfferedMedia(
            kind="video",
            codecs=tuple(video),
            extensions=(MID_EXTENSION, TRANSPORT_CC),
        ),
    ]


def rtp_codecs(stream: Stream) -> list[Codec]:
    """Return the codecs of a stream as RTP carries it, some sound turned into Opus."""
    publication = stream.publication
    outlet = stream.outlets.get(PACKETS)
    as_it_came = isinstance(outlet, PacketOutlet) and outlet.passes_packets
    codecs: list[Codec] = []
    for track in () if publication is None else publication.tracks:
        codec = track.codec
        if track.is_audio and not as_it_came:
            codec = PACKETS.sound_for(track) or codec
        known = codec in _VIDEO_FORMATS or codec in _AUDIO_FORMATS
        if codec is not None and known and codec not in codecs:
            codecs.append(codec)
    return codecs


def sending_offer(stream: Stream) -> list[OfferedMedia]:
    """Offer what a stream consists of; whatever it may be if that is not known yet."""
    codecs: Sequence[Codec] = rtp_codecs(stream)
    codecs = codecs or [*_VIDEO_FORMATS, *_AUDIO_FORMATS]
    publication = stream.publication
    tracks = () if publication is None else publication.tracks
    video: list[OfferedCodec] = []
    audio: list[OfferedCodec] = []
    for codec in codecs:
        if codec in _AUDIO_FORMATS:
            audio.append(_AUDIO_FORMATS[codec])
        elif codec is Codec.H264:
            video += _h264(tracks)
        else:
            formats = _VIDEO_FORMATS[codec]
            video += [_video(name, fmtp, _SENT_FEEDBACK) for name, fmtp in formats]
    picture, sound = sources()
    offered = []
    if audio:
        offered.append(OfferedMedia(kind="audio", codecs=tuple(audio), source=sound))
    if video:
        offered.append(OfferedMedia(kind="video", codecs=tuple(video), source=picture))
    return offered


def _h264(tracks: Sequence[Track]) -> list[OfferedCodec]:
    """Offer the stream's own profile, then those that servers compare with.

    What is sent needs fragments: mode 1.
    """
    profiles = list(_H264_PROFILES)
    for track in tracks:
        if track.codec is Codec.H264 and track.configuration:
            try:
                sps = decode_avcc(track.configuration).sps
            except ProtocolError:
                continue
            if sps and len(sps[0]) >= 4:
                profiles.insert(0, sps[0][1:4].hex())
    return [
        _video("H264", _h264_fmtp(profile), _SENT_FEEDBACK)
        for profile in dict.fromkeys(profiles)
    ]


def _video(encoding: str, fmtp: str, feedback: tuple[str, ...]) -> OfferedCodec:
    return OfferedCodec(
        encoding=encoding, clock_rate=90_000, fmtp=fmtp, feedback=feedback, rtx=True
    )
