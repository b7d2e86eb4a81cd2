"""Wireshark reads our packets as we mean them."""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from sansmedia.rtp import (
    ApplicationDefined,
    DelaySinceLastReport,
    DlrrBlock,
    ExtendedReport,
    FullIntraRequest,
    Goodbye,
    Nack,
    PictureLossIndication,
    ReceiverEstimatedMaxBitrate,
    ReceiverReport,
    ReferencePictureSelection,
    ReferenceTimeBlock,
    ReportBlock,
    RtcpPacket,
    RtpPacket,
    SdesChunk,
    SdesItem,
    SenderReport,
    SliceLossIndication,
    SourceDescription,
    TemporaryMaxBitrate,
    TemporaryMaxBitrateNotification,
    TemporaryMaxBitrateRequest,
    TransportFeedback,
    encode_extensions,
    encode_rtcp,
    encode_rtp,
)

pytestmark = pytest.mark.interop

_BLOCK = ReportBlock(2, 64, -3, 70_000, 77, 0x11223344, 0x8000)

# What is sent, and lines of Wireshark's that say what it means.
_CONTROL: list[tuple[RtcpPacket, tuple[str, ...]]] = [
    (
        SenderReport(1, 0xE000000080000000, 90_000, 10, 2_048, [_BLOCK]),
        (
            "NTP timestamp: Feb  2, 2019 11:39:44.500000000 UTC",
            "RTP timestamp: 90000",
            "Sender's packet count: 10",
            "Sender's octet count: 2048",
        ),
    ),
    (
        ReceiverReport(1, [_BLOCK]),
        (
            "Fraction lost: 64 / 256",
            "Cumulative number of packets lost: -3",
            "Extended highest sequence number received: 70000",
            "Interarrival jitter: 77",
            "Last SR timestamp: 287454020 (0x11223344)",
            "Delay since last SR timestamp: 32768 (500 milliseconds)",
        ),
    ),
    (
        SourceDescription([SdesChunk(1, [SdesItem(1, b"who"), SdesItem(6, b"tool")])]),
        ("Type: CNAME (user and domain) (1)", "Text: who", "Text: tool", "Type: END"),
    ),
    (Goodbye([1, 2], b"done"), ("Identifier: 0x00000002 (2)", "Text: done")),
    (
        ApplicationDefined(5, 1, b"name", b"abcd"),
        ("Subtype: 5", "Name (ASCII): name", "Application specific data: abcd"),
    ),
    (
        Nack(1, 2, [10, 11, 26, 27]),
        (
            "RTCP Transport Feedback NACK PID: 10",
            "Frame 11 also lost",
            "Frame 26 also lost",
            "RTCP Transport Feedback NACK PID: 27",
        ),
    ),
    (PictureLossIndication(1, 2), ("Picture Loss Indication (1)",)),
    (
        SliceLossIndication(1, 2, [(1, 2, 1)]),
        ("First MB: 1", "Number of MBs: 2", "Picture ID: 1"),
    ),
    (
        ReferencePictureSelection(1, 2, 96, b"ab"),
        ("Reference Picture Selection Indication (3)",),
    ),
    (FullIntraRequest(1, [(2, 7)]), ("Command Sequence Number: 7",)),
    (
        TemporaryMaxBitrateRequest(1, [TemporaryMaxBitrate(2, 1_000_000, 40)]),
        ("Maximum total media bit rate: 125000*2^3", "Measured Overhead: 40"),
    ),
    (
        TemporaryMaxBitrateNotification(1, [TemporaryMaxBitrate(2, 1_000_000)]),
        ("Maximum total media bit rate: 125000*2^3",),
    ),
    (
        ReceiverEstimatedMaxBitrate(1, 2_000_000, [2]),
        ("Unique Identifier: REMB", "Maximum bit rate: 2000000"),
    ),
    (
        TransportFeedback(
            *(1, 2, 65_534, 5, 7),
            [4, None, 300, -1, *[1] * 20, *[None] * 30, 1, None, 1, None],
        ),
        (
            "Base Sequence Number: 65534",
            "Packet Status Count: 58",
            "Reference Time: 5",
            "[2 bits Status Vector Chunk]: | SD | NR | LD | LD | SD | SD | SD |",
            "[Run Length Chunk] Small Delta. Length : 17",
            "[Run Length Chunk] Packet not received. Length : 30",
            "[1 bit Status Vector Chunk]: | R | N | R | N |",
            "Small Delta: [seq: 65534] 1.000000 ms",
            "Large Delta: [seq: 0] 75.000000 ms",
            "Negative Delta: [seq: 1] -0.250000 ms",
            "Small Delta: [seq: 54] 0.250000 ms",
        ),
    ),
    (
        ExtendedReport(
            1,
            [
                ReferenceTimeBlock(0xE000000080000000),
                DlrrBlock([DelaySinceLastReport(2, 0x11223344, 65_536)]),
            ],
        ),
        (
            "Timestamp: Feb  2, 2019 11:39:44.500000000 UTC",
            "Last RR timestamp: 287454020",
            "Delay since last RR timestamp: 65536",
        ),
    ),
]


def _capture(packets: Sequence[bytes]) -> bytes:
    """Return a capture file with a UDP datagram of each."""
    octets = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65_535, 101)
    for at, data in enumerate(packets):
        udp = struct.pack(">HHHH", 5_004, 5_004, 8 + len(data), 0) + data
        size = 20 + len(udp)
        ip = struct.pack(">BBHHHBBH", 0x45, 0, size, at, 0, 64, 17, 0)
        ip += b"\x7f\x00\x00\x01" * 2
        octets += struct.pack("<IIII", at, 0, size, size) + ip + udp
    return octets


def _read(tshark: str, path: Path, packets: Sequence[bytes], protocol: str) -> str:
    path.write_bytes(_capture(packets))
    done = subprocess.run(
        [tshark, "-r", path, "-d", f"udp.port==5004,{protocol}", "-V"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout


@pytest.mark.slow
def test_every_kind_of_control_packet_is_read(
    peer: Callable[[str], str], tmp_path: Path
) -> None:
    datagrams = [encode_rtcp([ReceiverReport(9), packet]) for packet, _ in _CONTROL]
    text = _read(peer("tshark"), tmp_path / "rtcp.pcap", datagrams, "rtcp")
    assert "Malformed" not in text
    frames = text.split("\nFrame ")
    assert len(frames) == len(_CONTROL)
    for frame, datagram, (packet, lines) in zip(
        frames, datagrams, _CONTROL, strict=True
    ):
        assert f"RTCP frame length check: OK - {len(datagram)} bytes" in frame
        missing = [line for line in lines if line not in frame]
        assert missing == [], packet


@pytest.mark.slow
def test_every_part_of_a_packet_is_read(
    peer: Callable[[str], str], tmp_path: Path
) -> None:
    short = encode_extensions({1: b"0", 3: b"ab"})
    long = encode_extensions({1: b"0", 200: bytes(20)})
    packets = [
        encode_rtp(RtpPacket(96, 1, 2, 3, b"abc", True, *extension, (7,), 4))
        for extension in (short, long)
    ]
    text = _read(peer("tshark"), tmp_path / "rtp.pcap", packets, "rtp")
    assert "Malformed" not in text
    one, two = text.split("\nFrame ")
    for line in (
        *("Padding: True", "Marker: True", "Sequence number: 1", "Timestamp: 2"),
        *("CSRC item 0: 0x7", "Payload: 616263", "Padding count: 4"),
        *("(One-Byte Header)", "Identifier: 3", "Extension Data: 6162"),
    ):
        assert line in one
    for line in ("(Two-Byte Header)", "Identifier: 200", "Length: 20"):
        assert line in two
