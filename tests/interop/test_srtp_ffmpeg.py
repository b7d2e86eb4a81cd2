"""FFmpeg's own SRTP, both ways: what one protects the other opens."""

from __future__ import annotations

import base64
import os
import random
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sansmedia.rtp import (
    Goodbye,
    ReceiverReport,
    RtcpPacket,
    RtpStreamWriter,
    SenderReport,
    decode_rtcp,
    decode_rtp,
    encode_rtcp,
    is_rtcp,
)
from sansmedia.srtp import ProtectionProfile, SrtpReceiver, SrtpSender

pytestmark = pytest.mark.interop

_KEY, _SALT = bytes(range(16)), bytes(range(100, 114))
_PARAMETERS = base64.b64encode(_KEY + _SALT).decode()
_SOUND = random.Random(1).randbytes(16_000)

# FFmpeg has two suites with 32-bit tags; the RTCP of this one has tags of 80 bits, as
# DTLS-SRTP wants it. RFC 5764 §4.1.2.
_SUITES = {
    "AES_CM_128_HMAC_SHA1_80": ProtectionProfile.AES128_CM_HMAC_SHA1_80,
    "SRTP_AES128_CM_HMAC_SHA1_32": ProtectionProfile.AES128_CM_HMAC_SHA1_32,
}
_every_suite = pytest.mark.parametrize("suite", list(_SUITES))


@pytest.fixture
def endpoint() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        udp.settimeout(20)
        yield udp


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        port: int = udp.getsockname()[1]
        return port


def _is_bound(port: int) -> bool:
    table = Path("/proc/net/udp").read_text() + Path("/proc/net/udp6").read_text()
    return f":{port:04X} " in table


@_every_suite
@pytest.mark.slow
def test_what_ffmpeg_protects_is_opened(
    suite: str,
    endpoint: socket.socket,
    ffmpeg9: str,
    start: Callable[..., Any],
    tmp_path: Path,
) -> None:
    """Its sequence numbers roll over on the way."""
    (tmp_path / "in.mulaw").write_bytes(_SOUND)
    port = endpoint.getsockname()[1]
    program = start(
        *(ffmpeg9, "-v", "error", "-nostdin"),
        *("-f", "mulaw", "-ar", "8000", "-i", tmp_path / "in.mulaw", "-c", "copy"),
        *("-f", "rtp", "-seq", "65530", "-rtpflags", "send_bye"),
        *("-srtp_out_suite", suite, "-srtp_out_params", _PARAMETERS),
        f"srtp://127.0.0.1:{port}?rtcpport={port}&pkt_size=300",
    )
    receiver = SrtpReceiver(_SUITES[suite], _KEY, _SALT)
    sound = b""
    control: list[RtcpPacket] = []
    while not (control and isinstance(control[-1], Goodbye)):
        octets = endpoint.recv(2048)
        if is_rtcp(octets):
            plain = receiver.unprotect_rtcp(octets)
            assert plain is not None
            control += decode_rtcp(plain)
        else:
            [opened] = receiver.unprotect_rtp([octets])
            assert opened is not None
            sound += decode_rtp(opened).payload
    program.succeed()
    assert sound == _SOUND
    reports = [packet for packet in control if isinstance(packet, SenderReport)]
    assert (reports[-1].packet_count, reports[-1].octet_count) == (63, 16_000)
    counted = receiver.statistics()
    assert (counted.packets, counted.unauthentic, counted.ssrcs) == (63, 0, 1)


@_every_suite
@pytest.mark.slow
def test_ffmpeg_opens_what_is_protected_here(
    suite: str,
    endpoint: socket.socket,
    ffmpeg9: str,
    start: Callable[..., Any],
    wait_until: Callable[..., Any],
    tmp_path: Path,
) -> None:
    """Our indexes roll over on the way."""
    port = _free_port()
    description = tmp_path / "stream.sdp"
    description.write_text(
        "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
        f"m=audio {port} RTP/SAVP 0\r\na=rtcp-mux\r\n"
        f"a=crypto:1 {suite} inline:{_PARAMETERS}\r\n"
    )
    program = start(
        *(ffmpeg9, "-v", "error", "-nostdin", "-protocol_whitelist"),
        *("file,srtp,udp,rtp", "-i", description, "-c", "copy"),
        *("-f", "mulaw", tmp_path / "out.mulaw"),
    )
    wait_until(lambda: _is_bound(port), "FFmpeg's port")
    sender = SrtpSender(_SUITES[suite], _KEY, _SALT)
    writer = RtpStreamWriter(0x1234, 0, dice=os.urandom)
    writer.index = 65_500
    for at in range(0, len(_SOUND), 160):
        index, run = writer.write(at, [_SOUND[at : at + 160]], marker=False)
        for packet in sender.seal_run(run, index):
            endpoint.sendto(packet, ("127.0.0.1", port))
    farewell = encode_rtcp([ReceiverReport(0x1234), Goodbye([0x1234])])
    endpoint.sendto(sender.protect_rtcp(farewell), ("127.0.0.1", port))
    program.succeed()
    assert (tmp_path / "out.mulaw").read_bytes() == _SOUND
