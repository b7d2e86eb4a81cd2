"""Descriptions to work on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from sansmedia.sdp import (
    Capabilities,
    Direction,
    Fingerprint,
    SendSource,
    Transport,
)

_DATA = Path(__file__).resolve().parents[2] / "data" / "sdp"
DIGEST = ":".join(["AB"] * 32)

OFFER = f"""\
v=0
o=- 1 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE a v
a=ice-options:trickle
m=audio 9 UDP/TLS/RTP/SAVPF 111 0
c=IN IP4 0.0.0.0
a=mid:a
a=sendonly
a=ice-ufrag:abcd
a=ice-pwd:0123456789abcdefghijkl
a=fingerprint:sha-256 {DIGEST}
a=setup:actpass
a=rtcp-mux
a=rtpmap:111 opus/48000/2
a=fmtp:111 minptime=10;useinbandfec=1
m=video 9 UDP/TLS/RTP/SAVPF 96 97 98 99
c=IN IP4 0.0.0.0
a=mid:v
a=sendonly
a=ice-ufrag:abcd
a=ice-pwd:0123456789abcdefghijkl
a=fingerprint:sha-256 {DIGEST}
a=setup:actpass
a=rtcp-mux
a=rtpmap:96 VP8/90000
a=rtcp-fb:96 nack
a=rtcp-fb:96 nack pli
a=rtpmap:97 rtx/90000
a=fmtp:97 apt=96
a=rtpmap:98 H264/90000
a=rtpmap:99 rtx/90000
a=fmtp:99 apt=98
"""


def known_codec(
    kind: str, encoding: str, clock_rate: int, channels: int, fmtp: str
) -> bool:
    return encoding.lower() in {"opus", "vp8", "h264", "vp9", "av1"}


@pytest.fixture
def offer_text() -> str:
    """An offer to send, with what offers must have and little else."""
    return OFFER


@pytest.fixture
def vector() -> Callable[[str], bytes]:
    """Read a recorded description by name."""
    return lambda name: (_DATA / f"{name}.bin").read_bytes()


@pytest.fixture
def ours() -> Transport:
    """Our ICE and DTLS side."""
    return Transport(
        ice_ufrag="us/+",
        ice_pwd="lkjihgfedcba9876543210",
        ice_options=("trickle", "ice2"),
        fingerprints=(Fingerprint("sha-256", ":".join(["CD"] * 32)),),
        candidates=("1 1 udp 2130706431 192.0.2.1 8000 typ host",),
        end_of_candidates=True,
    )


@pytest.fixture
def receiver() -> Capabilities:
    """What a WHIP server can do."""
    return Capabilities(direction=Direction.RECVONLY, match=known_codec)


@pytest.fixture
def sender() -> Capabilities:
    """What a WHEP server can do."""
    return Capabilities(direction=Direction.SENDONLY, match=known_codec)


@pytest.fixture
def sources() -> tuple[SendSource, ...]:
    """A sound and a picture to send."""
    return (
        SendSource(kind="audio", ssrc=10, cname="c", stream="s", track="a"),
        SendSource(
            kind="video", ssrc=20, rtx_ssrc=21, cname="c", stream="s", track="v"
        ),
    )
