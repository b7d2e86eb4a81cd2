"""aiortc as a WHIP or WHEP client: ``publish`` or ``play``, a URL, options.

Prints one JSON object at the end. A publisher leaves after ``--seconds``, a player
once it has decoded ``--frames`` pictures. ``--setup`` names aiortc's part in DTLS.
"""

from __future__ import annotations

import argparse
import array
import asyncio
import json
import re
from typing import Any
from urllib.parse import urljoin

import httpx
from aiortc import (
    MediaStreamTrack,
    RTCPeerConnection,
    RTCRtpSender,
    RTCSessionDescription,
)
from aiortc.contrib.media import MediaPlayer

SDP = {"Content-Type": "application/sdp"}


async def negotiate(
    http: httpx.AsyncClient, peer: RTCPeerConnection, url: str, setup: str
) -> tuple[str, str]:
    """Exchange descriptions; return the session's URL and what DTLS we were given."""
    await peer.setLocalDescription(await peer.createOffer())
    offer = peer.localDescription.sdp.replace("a=setup:actpass", f"a=setup:{setup}")
    response = await http.post(url, content=offer, headers=SDP)
    assert response.status_code == 201, response.text
    answer = response.text
    [given] = set(re.findall("a=setup:(.*?)\r\n", answer))
    await peer.setRemoteDescription(RTCSessionDescription(answer, "answer"))
    return urljoin(url, response.headers["Location"]), given


async def publish(
    http: httpx.AsyncClient, options: argparse.Namespace
) -> dict[str, Any]:
    peer = RTCPeerConnection()
    source = MediaPlayer(options.file, loop=True)
    for track in (source.video, source.audio):
        assert track is not None
        transceiver = peer.addTransceiver(track, direction="sendonly")
        if track.kind == "video":
            wanted = (f"video/{options.codec}".lower(), "video/rtx")
            codecs = RTCRtpSender.getCapabilities("video").codecs
            transceiver.setCodecPreferences(
                [c for c in codecs if c.mimeType.lower() in wanted]
            )
    session, setup = await negotiate(http, peer, options.url, options.setup)
    try:
        await asyncio.wait_for(asyncio.Event().wait(), options.seconds)
    except TimeoutError:
        pass
    stats = [
        one for one in (await peer.getStats()).values() if one.type == "outbound-rtp"
    ]
    state = peer.connectionState
    status = (await http.delete(session)).status_code
    await peer.close()
    return {
        "setup": setup,
        "state": state,
        "deleted": status,
        "sent": {one.kind: one.packetsSent for one in stats},
    }


async def play(http: httpx.AsyncClient, options: argparse.Namespace) -> dict[str, Any]:
    peer = RTCPeerConnection()
    sizes: list[tuple[int, int]] = []
    times: dict[str, list[float]] = {"video": [], "audio": []}
    loudest = 0
    enough = asyncio.Event()

    async def watch(track: MediaStreamTrack) -> None:
        nonlocal loudest
        while True:
            frame: Any = await track.recv()
            times[track.kind].append(float(frame.pts * frame.time_base))
            if track.kind == "video":
                sizes.append((frame.width, frame.height))
            else:
                loudest = max(loudest, *array.array("h", bytes(frame.planes[0])))
            if len(sizes) >= options.frames and times["audio"]:
                enough.set()

    tasks = []
    peer.on("track", lambda track: tasks.append(asyncio.ensure_future(watch(track))))
    for kind in ("video", "audio"):
        peer.addTransceiver(kind, direction="recvonly")
    session, setup = await negotiate(http, peer, options.url, options.setup)
    await asyncio.wait_for(enough.wait(), options.seconds)
    state = peer.connectionState
    status = (await http.delete(session)).status_code
    for task in tasks:
        task.cancel()
    await peer.close()
    return {
        "setup": setup,
        "state": state,
        "deleted": status,
        "sizes": sorted(set(sizes)),
        "times": times["video"],
        "sound": len(times["audio"]),
        "loudest": loudest,
    }


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("role", choices=("publish", "play"))
    parser.add_argument("url")
    parser.add_argument("--codec", default="H264")
    parser.add_argument("--file")
    parser.add_argument("--frames", type=int, default=75)
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--setup", default="actpass")
    options = parser.parse_args()
    async with httpx.AsyncClient(trust_env=False) as http:
        act = publish if options.role == "publish" else play
        print(json.dumps(await act(http, options)))


asyncio.run(main())
