"""GStreamer's SRTP elements, both ways, in every profile they have."""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sansmedia.rtp import RtpStreamWriter, decode_rtp
from sansmedia.srtp import ProtectionProfile, SrtpReceiver, SrtpSender

pytestmark = pytest.mark.interop

_SOUND = random.Random(1).randbytes(16_000)
_PACKETS = 100

# profile: cipher, authentication of RTP, authentication of RTCP
_NAMES = {
    ProtectionProfile.AES128_CM_HMAC_SHA1_80: (
        *("aes-128-icm", "hmac-sha1-80"),
        "hmac-sha1-80",
    ),
    ProtectionProfile.AES128_CM_HMAC_SHA1_32: (
        *("aes-128-icm", "hmac-sha1-32"),
        "hmac-sha1-80",
    ),
    ProtectionProfile.AES_256_CM_HMAC_SHA1_80: (
        *("aes-256-icm", "hmac-sha1-80"),
        "hmac-sha1-80",
    ),
    ProtectionProfile.AEAD_AES_128_GCM: ("aes-128-gcm", "null", "null"),
    ProtectionProfile.AEAD_AES_256_GCM: ("aes-256-gcm", "null", "null"),
}
_every_profile = pytest.mark.parametrize("profile", list(_NAMES), ids=lambda p: p.name)


def _master(profile: ProtectionProfile) -> tuple[bytes, bytes]:
    return bytes(range(profile.key_size)), bytes(range(100, 100 + profile.salt_size))


@pytest.fixture
def endpoint() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        udp.settimeout(20)
        yield udp


@_every_profile
@pytest.mark.slow
def test_what_gstreamer_protects_is_opened(
    profile: ProtectionProfile,
    endpoint: socket.socket,
    peer: Callable[[str], str],
    start: Callable[..., Any],
    tmp_path: Path,
) -> None:
    """Its sequence numbers roll over on the way."""
    (tmp_path / "in.mulaw").write_bytes(_SOUND)
    cipher, authentication, of_control = _NAMES[profile]
    start(
        *(peer("gst-launch-1.0"), "-q"),
        *("filesrc", f"location={tmp_path / 'in.mulaw'}", "blocksize=160", "!"),
        *("audio/x-mulaw,rate=8000,channels=1", "!"),
        *("rtppcmupay", "seqnum-offset=65500", "!", "srtpenc"),
        *(f"key={b''.join(_master(profile)).hex()}", f"rtp-cipher={cipher}"),
        *(f"rtp-auth={authentication}", f"rtcp-cipher={cipher}"),
        *(f"rtcp-auth={of_control}", "!"),
        *("udpsink", "host=127.0.0.1", f"port={endpoint.getsockname()[1]}"),
    )
    receiver = SrtpReceiver(profile, *_master(profile))
    sound = b""
    for _ in range(_PACKETS):
        [opened] = receiver.unprotect_rtp([endpoint.recv(2048)])
        assert opened is not None
        sound += decode_rtp(opened).payload
    assert sound == _SOUND
    assert receiver.statistics().packets == _PACKETS


def _is_bound(port: int) -> bool:
    table = Path("/proc/net/udp").read_text() + Path("/proc/net/udp6").read_text()
    return f":{port:04X} " in table


@_every_profile
@pytest.mark.slow
def test_gstreamer_opens_what_is_protected_here(
    profile: ProtectionProfile,
    endpoint: socket.socket,
    peer: Callable[[str], str],
    start: Callable[..., Any],
    wait_until: Callable[..., Any],
    tmp_path: Path,
) -> None:
    """Our indexes roll over on the way."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        port = udp.getsockname()[1]
    cipher, authentication, of_control = _NAMES[profile]
    caps = (
        "application/x-srtp,media=audio,clock-rate=8000,encoding-name=PCMU,payload=0,"
        f"ssrc=(uint)4660,srtp-key=(buffer){b''.join(_master(profile)).hex()},"
        f"srtp-cipher={cipher},srtp-auth={authentication},"
        f"srtcp-cipher={cipher},srtcp-auth={of_control}"
    )
    program = start(
        *(peer("gst-launch-1.0"), "-q"),
        *("udpsrc", f"port={port}", f"caps={caps}", f"num-buffers={_PACKETS}", "!"),
        *("srtpdec", "!", "rtppcmudepay", "!"),
        *("filesink", f"location={tmp_path / 'out.mulaw'}"),
    )
    wait_until(lambda: _is_bound(port), "GStreamer's port")
    sender = SrtpSender(profile, *_master(profile))
    writer = RtpStreamWriter(0x1234, 0, dice=os.urandom)
    writer.index = 65_500
    for at in range(0, len(_SOUND), 160):
        index, run = writer.write(at, [_SOUND[at : at + 160]], marker=False)
        for packet in sender.seal_run(run, index):
            endpoint.sendto(packet, ("127.0.0.1", port))
    program.succeed()
    assert (tmp_path / "out.mulaw").read_bytes() == _SOUND
