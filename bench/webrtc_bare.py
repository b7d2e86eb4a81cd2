"""The least that viewers by WebRTC can cost: ``python webrtc_bare.py CLIP``.

Reads the viewers' UDP ports as a line of JSON, then sends the clip in real time: each
packet encrypted by AES-GCM for each viewer, each picture one system call a viewer where
its packets allow that (UDP_SEGMENT). No server around it: no numbers of its own for
each viewer, no reports, no timers, nothing to read.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import sys
import time
from pathlib import Path

from clip import SECONDS
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from webrtc_load import video_frames

_SOL_UDP = 17
_UDP_SEGMENT = 103
_MAX_RUN = 50
"""Packets of some 1,200 octets in a call: 64 KiB at the most."""


def main() -> None:
    """Send until killed."""
    frames = video_frames(Path(sys.argv[1]))
    ports = json.loads(sys.stdin.readline())
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20)
    header, nonce = bytes(12), os.urandom(12)
    viewers = [(("127.0.0.1", port), AESGCM(os.urandom(16)).encrypt) for port in ports]
    sendmsg = sock.sendmsg
    start = time.monotonic()
    while True:
        for frame in frames:
            wait = start + frame.timestamp_ms / 1000 - time.monotonic()
            time.sleep(max(0.0, wait))
            for address, encrypt in viewers:
                run = [header + encrypt(nonce, p, header) for p in frame.payloads]
                at = 0
                while at < len(run):
                    # A shorter packet ends a run: what the kernel asks for.
                    size, end = len(run[at]), at + 1
                    while end < len(run) and len(run[end]) == size:
                        end += 1
                    if end < len(run) and len(run[end]) < size:
                        end += 1
                    end = min(end, at + _MAX_RUN)
                    segment = [(_SOL_UDP, _UDP_SEGMENT, struct.pack("=H", size))]
                    sendmsg(run[at:end], segment if end - at > 1 else [], 0, address)
                    at = end
        start += SECONDS


if __name__ == "__main__":
    main()
