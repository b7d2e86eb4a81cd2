"""RTCP that FFmpeg and GStreamer sent is read, and written again octet for octet."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from sansmedia.rtp import decode_rtcp, encode_rtcp

_DATA = Path(__file__).resolve().parents[2] / "data" / "rtp" / "rtcp"
_NAMES = sorted(path.stem for path in _DATA.glob("*.toml"))


@pytest.mark.parametrize("name", _NAMES)
def test_what_a_peer_sent_is_read_and_written_again(name: str) -> None:
    expected = tomllib.loads((_DATA / f"{name}.toml").read_text())["expected"]
    octets = (_DATA / f"{name}.bin").read_bytes()
    datagrams = []
    while octets:
        end = 2 + int.from_bytes(octets[:2], "big")
        datagrams.append(octets[2:end])
        octets = octets[end:]
    compounds = [decode_rtcp(datagram) for datagram in datagrams]
    said = [[repr(packet) for packet in compound] for compound in compounds]
    assert said == expected["datagrams"]
    assert [encode_rtcp(compound) for compound in compounds] == datagrams
