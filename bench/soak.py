"""Let publishers and viewers come and go for an hour and watch the server's memory.

    python bench/soak.py --minutes 60
    python bench/soak.py --minutes 60 --simulated

Starts a server of its own on loopback with ports of its own, drives it with RTMP
publishers, RTMP, HTTP-FLV and HTTP-fMP4 viewers at random, a few of which stop reading
or leave without a goodbye, and prints one line a minute. At the end everybody leaves.

Simulated, server and clients share one process whose clock jumps to the next deadline
whenever the sockets are quiet, and the streams have three messages a second: an hour
takes some minutes. Memory is then that of both.

Fails (exit code 1) if memory grew after the first ten minutes (the first sixth of a
shorter run), if a task or stream is left over, or if the server logged an error.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import attrs
import httpx
import imageio_ffmpeg
import psutil
import trio
from sansmedia.flv.tags import FlvDemuxer, TagType
from sansmedia.rtmp import (
    ClientConfig,
    ClientEvent,
    MediaKind,
    MediaMessage,
    PlayStarted,
    PublishAccepted,
    RtmpClient,
)
from trio.testing import MockClock

from penstock import app, log
from penstock.config import load
from penstock.control import ListenerView

SETTINGS = [
    "rtmp.listen=127.0.0.1:0",
    "http.listen=127.0.0.1:0",
    "metrics.listen=127.0.0.1:0",
    "api.srs.listen=",
    "api.live777.listen=",
    "api.datarhei.listen=",
    "ffmpeg.jobs=false",
    "stream.republish_wait_s=5",
    "stream.slow_viewer_s=10",
]
PUBLISHERS = 20
VIEWERS = 200
QUIET_S = 0.001
"""The simulated clock jumps when the sockets were quiet for so long."""
GROWTH_BYTES = 8 << 20
"""Memory may wander by this much: arenas, caches, what is in flight."""


@attrs.define
class Tally:
    """What happened so far."""

    published: int = 0
    watched: int = 0
    refused: int = 0
    octets: int = 0


def make_clip(folder: Path, rate: int) -> list[MediaMessage]:
    """Return four seconds of picture and sound as messages, headers first."""
    path = folder / "clip.flv"
    subprocess.run(
        [
            *(imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y"),
            *("-f", "lavfi", "-i", f"testsrc2=s=320x180:r={rate}"),
            *("-f", "lavfi", "-i", "sine=f=440:r=44100", "-t", "4"),
            *("-c:v", "libx264", "-g", f"{2 * rate}", "-b:v", "200k"),
            *("-c:a", "aac", "-b:a", "48k", "-f", "flv", str(path)),
        ],
        check=True,
    )
    kinds = {TagType.AUDIO: MediaKind.AUDIO, TagType.VIDEO: MediaKind.VIDEO}
    return [
        MediaMessage(kinds[tag.type], tag.timestamp_ms, tag.body)
        for tag in FlvDemuxer().feed(path.read_bytes())
        if tag.type in kinds
    ]


def thin(clip: list[MediaMessage]) -> list[MediaMessage]:
    """Keep the headers, all pictures, and one sound in 21: two a second.

    Times become quarters of a second, so that all publishers speak at once and the
    simulated clock has few stops.
    """
    sounds = [m for m in clip if m.kind is MediaKind.AUDIO]
    kept = {id(m) for m in [sounds[0], *sounds[1::21]]}
    return [
        MediaMessage(m.kind, m.timestamp // 250 * 250, m.payload)
        for m in clip
        if m.kind is MediaKind.VIDEO or id(m) in kept
    ]


async def open_client(
    port: int, begin: Callable[[RtmpClient], object], until: type[ClientEvent]
) -> tuple[trio.SocketStream, RtmpClient, int]:
    """Connect and go as far as the event ``until``; return its stream id too."""
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    client = RtmpClient(
        config=ClientConfig(tc_url=f"rtmp://127.0.0.1:{port}/soak", app="soak"),
        dice=os.urandom,
        now=trio.current_time(),
    )
    begin(client)
    while True:
        await stream.send_all(client.data_to_send())
        data = await stream.receive_some()
        if not data:
            raise trio.BrokenResourceError
        client.receive_data(data, trio.current_time())
        while (event := client.next_event()) is not None:
            if isinstance(event, until):
                await stream.send_all(client.data_to_send())
                return stream, client, getattr(event, "stream_id", 0)


async def publish(
    port: int, name: str, clip: list[MediaMessage], seconds: float
) -> None:
    """Publish the clip over and over."""
    stream, client, stream_id = await open_client(
        port, lambda c: c.publish(name, now=trio.current_time()), PublishAccepted
    )
    lane = client.publish_lane(stream_id)
    began = math.ceil(trio.current_time() * 4) / 4
    length = 4_000
    async with stream:
        for lap in range(int(seconds * 1000 / length) + 1):
            for message in clip:
                at = lap * length + message.timestamp
                await trio.sleep_until(began + at / 1000)
                moved = MediaMessage(message.kind, at, message.payload)
                await stream.send_all(b"".join(lane.write([moved])))
        client.stop(stream_id, now=trio.current_time())
        await stream.send_all(client.data_to_send())


async def watch(
    ports: dict[str, int], name: str, dice: random.Random, tally: Tally
) -> None:
    """Watch one stream for a while, well or badly."""
    stays = dice.uniform(2, 40)
    way = dice.choice(["rtmp", "rtmp", "flv", "mp4"])
    with trio.move_on_after(stays):
        if way == "rtmp":
            stream, _, _ = await open_client(
                ports["rtmp"],
                lambda c: c.play(name, now=trio.current_time()),
                PlayStarted,
            )
        else:
            stream = await trio.open_tcp_stream("127.0.0.1", ports["http"])
            request = f"GET /soak/{name}.{way} HTTP/1.1\r\nHost: x\r\n\r\n"
            await stream.send_all(request.encode())
        async with stream:
            if dice.random() < 0.05:
                await trio.sleep_forever()  # takes nothing until it leaves
            while data := await stream.receive_some(1 << 16):
                tally.octets += len(data)


async def keep_publishing(
    slot: int, ports: dict[str, int], clip: list[MediaMessage], tally: Tally
) -> None:
    """Be one of the publishers: publish, pause, publish again."""
    dice = random.Random(slot)
    while True:
        tally.published += 1
        try:
            await publish(ports["rtmp"], f"s{slot}", clip, dice.uniform(10, 90))
        except (OSError, trio.BrokenResourceError):
            tally.refused += 1
        await trio.sleep(dice.uniform(0, 12))


async def keep_watching(slot: int, ports: dict[str, int], tally: Tally) -> None:
    """Be one of the viewers: watch this and that."""
    dice = random.Random(1000 + slot)
    while True:
        await trio.sleep(dice.uniform(0, 6))
        tally.watched += 1
        try:
            await watch(ports, f"s{dice.randrange(PUBLISHERS)}", dice, tally)
        except (OSError, trio.BrokenResourceError):
            tally.refused += 1


async def figures(client: httpx.AsyncClient, url: str) -> dict[str, float]:
    """Return the unlabelled figures of the server's metrics page."""
    text = (await client.get(url)).text
    found: dict[str, float] = {}
    for line in text.splitlines():
        name, _, value = line.partition(" ")
        if not line.startswith("#") and "{" not in name:
            found[name] = float(value)
    return found


def start_server(ready: Path, log_file: Path) -> subprocess.Popen[bytes]:
    """Start a server on free ports; ``ready`` will name them."""
    command = [sys.executable, "-m", "penstock", "serve", "--ready-file", str(ready)]
    for item in SETTINGS:
        command += ["--set", item]
    with log_file.open("wb") as sink:
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=sink)


async def soak(minutes: float, folder: Path) -> list[str]:
    """Run it; return what went wrong."""
    clip = make_clip(folder, 15)
    ready, log_file = folder / "ready.json", folder / "server.log"
    server = start_server(ready, log_file)
    try:
        with trio.fail_after(30):
            while not ready.exists():  # noqa: ASYNC110 - a file wakes nobody
                await trio.sleep(0.1)
        listed = json.loads(ready.read_text())
        ports = _ports(listed)
        faults = await _drive(minutes, server.pid, ports, clip)
        server.send_signal(signal.SIGTERM)
        if await trio.to_thread.run_sync(server.wait, 20):
            faults.append(f"exit code {server.returncode}")
    finally:
        if server.poll() is None:
            server.kill()
    return faults + complaints(log_file)


def complaints(log_file: Path) -> list[str]:
    """Return the first lines of a log that no server should write."""
    lines = log_file.read_text(errors="replace").splitlines()
    bad = [line for line in lines if " error " in line or "Traceback" in line]
    return [f"log: {line}" for line in bad[:5]]


async def simulate(minutes: float, folder: Path) -> list[str]:
    """Run it in one process on the simulated clock; return what went wrong."""
    clip = thin(make_clip(folder, 1))
    settings = load(None, SETTINGS, {})
    ports: dict[str, int] = {}
    listening = trio.Event()

    def ready(listeners: list[ListenerView]) -> None:
        ports.update({view.name: view.port for view in listeners})
        listening.set()

    serve = partial(app.serve, settings, config_loader=lambda: settings, ready=ready)
    log_file = folder / "server.log"
    with log_file.open("wb") as sink:
        log.configure(descriptor=sink.fileno())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve)
            await listening.wait()
            faults = await _drive(minutes, os.getpid(), ports, clip)
            os.kill(os.getpid(), signal.SIGTERM)
    return faults + complaints(log_file)


def _ports(listed: object) -> dict[str, int]:
    listeners = listed["listeners"] if isinstance(listed, dict) else listed
    assert isinstance(listeners, list)
    return {entry["name"]: int(entry["port"]) for entry in listeners}


async def _drive(
    minutes: float, pid: int, ports: dict[str, int], clip: list[MediaMessage]
) -> list[str]:
    tally, process = Tally(), psutil.Process(pid)
    faults: list[str] = []
    url = f"http://127.0.0.1:{ports['metrics']}/metrics"
    memory: list[int] = []
    async with httpx.AsyncClient(trust_env=False) as client:
        before = await figures(client, url)
        async with trio.open_nursery() as nursery:
            for slot in range(PUBLISHERS):
                nursery.start_soon(keep_publishing, slot, ports, clip, tally)
            for slot in range(VIEWERS):
                nursery.start_soon(keep_watching, slot, ports, tally)
            steps = max(6, round(minutes))
            for step in range(1, steps + 1):
                await trio.sleep(minutes * 60 / steps)
                memory.append(process.memory_info().rss)
                cpu = sum(process.cpu_times()[:2]) / (minutes * 60 * step / steps)
                print(
                    f"{minutes * step / steps:6.1f} min  {memory[-1] / 2**20:7.1f} MiB"
                    f"  {cpu:5.1%} of a core  {tally.published} publications"
                    f"  {tally.watched} viewings  {tally.octets / 2**20:.0f} MiB out",
                    flush=True,
                )
            nursery.cancel_scope.cancel()
        await trio.sleep(12)  # waits for publishers run out, outlets are dropped
        after = await figures(client, url)
    settled = memory[max(1, len(memory) // 6) - 1 :]
    third = max(1, len(settled) // 3)
    growth = max(settled[-third:]) - max(settled[:third])
    print(f"growth after the start: {growth / 2**20:+.1f} MiB")
    if growth > GROWTH_BYTES:
        faults.append(f"memory grew by {growth / 2**20:.1f} MiB")
    names = ("penstock_tasks", "penstock_streams")
    print({name: (before.get(name), after.get(name)) for name in names})
    faults += [
        f"{name}: {before.get(name)} before, {after.get(name)} after"
        for name in names
        if after.get(name, 0) > before.get(name, 0)
    ]
    return faults


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--simulated", action="store_true")
    arguments = parser.parse_args()
    run, clock = soak, None
    if arguments.simulated:
        run, clock = simulate, MockClock(autojump_threshold=QUIET_S)
    with tempfile.TemporaryDirectory() as folder:
        faults = trio.run(run, arguments.minutes, Path(folder), clock=clock)
    for fault in faults:
        print(f"FAULT {fault}")
    print("failed" if faults else "passed")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
