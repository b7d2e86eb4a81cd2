"""The simplest server of aiortc: ``python webrtc_aiortc.py CLIP PORT``.

Relays the clip's pictures, as they are encoded, in real time to whoever POSTs an offer:
one track, aiortc's own `MediaRelay`, a peer connection for each viewer. The HTTP around
it is the least that a client understands.
"""

from __future__ import annotations

import asyncio
import fractions
import sys
import time
from typing import Any

import av
from aiortc import MediaStreamTrack, RTCPeerConnection, RTCSessionDescription
from aiortc.contrib.media import MediaRelay

_TIME_BASE = fractions.Fraction(1, 1000)


class Clip(MediaStreamTrack):
    """The clip's pictures in a loop, each at its time."""

    kind = "video"

    def __init__(self, path: str) -> None:
        super().__init__()
        with av.open(path) as container:
            stream = container.streams.video[0]
            to_annex_b = av.BitStreamFilterContext("h264_mp4toannexb", stream)
            self._pictures = [
                bytes(out)
                for packet in container.demux(stream)
                if packet.size
                for out in to_annex_b.filter(packet)
            ]
            self._rate = float(stream.average_rate or 30)
        self._start = 0.0
        self._number = 0

    async def recv(self) -> Any:  # noqa: ANN401 # PyAV has a type for it only at times
        self._start = self._start or time.monotonic()
        at = self._number / self._rate
        await asyncio.sleep(max(0.0, self._start + at - time.monotonic()))
        packet = av.Packet(self._pictures[self._number % len(self._pictures)])
        packet.pts = packet.dts = round(at * 1000)
        packet.time_base = _TIME_BASE
        self._number += 1
        return packet


class Server:
    """Answers offers."""

    def __init__(self, clip: Clip) -> None:
        self._clip = clip
        self._relay = MediaRelay()
        self._connections: list[RTCPeerConnection] = []

    async def serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.partition("content-length:")[2].splitlines()[0])
        offer = (await reader.readexactly(length)).decode()
        connection = RTCPeerConnection()
        self._connections.append(connection)
        await connection.setRemoteDescription(RTCSessionDescription(offer, "offer"))
        connection.addTrack(self._relay.subscribe(self._clip))
        await connection.setLocalDescription(await connection.createAnswer())
        body = connection.localDescription.sdp.encode()
        writer.write(
            b"HTTP/1.1 201 Created\r\nContent-Type: application/sdp\r\n"
            b"Connection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        )
        await writer.drain()
        writer.close()


async def main() -> None:
    server = Server(Clip(sys.argv[1]))
    listening = await asyncio.start_server(
        server.serve, "127.0.0.1", int(sys.argv[2]), backlog=64
    )
    await listening.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
