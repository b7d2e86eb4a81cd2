"""A third party reads what we write and finds nothing malformed."""

from __future__ import annotations

import datetime
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sansmedia.dtls import DtlsConfig, DtlsConnection, Role, generate_certificate
from sansmedia.sansio import Datagram
from sansmedia.sansio.testing import DatagramPair, SeededDice

pytestmark = pytest.mark.interop

_NOT_BEFORE = datetime.datetime(2026, 11, 25, tzinfo=datetime.UTC)
_RAW_IP = 101


def _packet(sender: tuple[str, int], receiver: tuple[str, int], data: bytes) -> bytes:
    """Return IPv4 and UDP around a datagram."""
    ends = [bytes(map(int, host.split("."))) for host, _ in (sender, receiver)]
    udp = struct.pack(">HHHH", sender[1], receiver[1], 8 + len(data), 0)
    size = 28 + len(data)
    ip = struct.pack(">BBHHHBBH", 0x45, 0, size, 0, 0x4000, 64, 17, 0)
    return ip + b"".join(ends) + udp + data


def _record(path: Path, *, mtu: int, cookies: bool) -> None:
    """Write a session of two connections of ours as a pcap file."""
    certificates = [
        generate_certificate(SeededDice(seed), not_before=_NOT_BEFORE)
        for seed in (1, 2)
    ]
    ends = DatagramPair.left_address, DatagramPair.right_address
    machines = []
    for number, role in enumerate((Role.CLIENT, Role.SERVER)):
        config = DtlsConfig(
            certificate=certificates[number],
            mtu=mtu,
            cookie_exchange=cookies,
            offer_alpn=True,
        )
        machine = DtlsConnection(
            role, config, dice=SeededDice(number), now=0.0, peer=ends[1 - number]
        )
        expected = certificates[1 - number].fingerprint()
        machine.set_remote_fingerprints([expected], now=0.0)
        machines.append(machine)
    machines[0].start(now=0.0)
    packets = []
    for turn in range(8):
        if turn == 5:
            machines[0].send(b"data", now=0.0)
        if turn == 6:
            machines[0].close(now=0.0)
        for number, machine in enumerate(machines):
            for datagram in machine.datagrams_to_send():
                packets.append(_packet(ends[number], ends[1 - number], datagram.data))
                arrived = [Datagram(datagram.data, ends[number])]
                machines[1 - number].receive_datagrams(arrived, 0.0)
    with path.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, _RAW_IP))
        for at, packet in enumerate(packets):
            file.write(struct.pack("<IIII", at, 0, len(packet), len(packet)) + packet)


@pytest.mark.parametrize("mtu", [1200, 200])
@pytest.mark.parametrize("cookies", [False, True])
def test_nothing_of_a_session_is_malformed(
    peer: Callable[[str], str], tmp_path: Path, mtu: int, cookies: bool
) -> None:
    """RFC 6347 §4.3; RFC 5764 §4.1.1."""
    _record(tmp_path / "session.pcap", mtu=mtu, cookies=cookies)
    done: Any = subprocess.run(
        [
            *(peer("tshark"), "-r", tmp_path / "session.pcap", "-V"),
            *("-d", "udp.port==5000,dtls"),
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    read = done.stdout
    for word in ("Malformed", "Expert Info (Error", "Expert Info (Warning"):
        assert word not in read
    expected = [
        *("Client Hello", "Server Hello", "Certificate", "Server Key Exchange"),
        *("Certificate Request", "Server Hello Done", "Client Key Exchange"),
        *("Certificate Verify", "Change Cipher Spec"),
    ]
    if cookies:
        expected.append("Hello Verify Request")
    for name in expected:
        assert f": {name}" in read, name
    for name in (
        "Version: DTLS 1.2 (0xfefd)",
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 (0xc02b)",
        "Extension: extended_master_secret (len=0)",
        "Extension: renegotiation_info (len=1)",
        "SRTP Protection Profile: SRTP_AEAD_AES_128_GCM (0x0007)",
        "ALPN Next Protocol: webrtc",
        "Supported Group: x25519 (0x001d)",
        "id-at-commonName=WebRTC",
        "Application Data Protocol",
        "Epoch: 1",
        "Encrypted Alert",
    ):
        assert name in read, name
