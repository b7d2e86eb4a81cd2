"""Relays over SRT and UDP: two servers of ours, libsrt's program, and FFmpeg."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.interop.conftest import Start
    from tests.interop.server.conftest import StartServer
    from tests.interop.server.srt.conftest import SrtPeers

pytestmark = [pytest.mark.interop, pytest.mark.slow]

MODES = ["caller", "listener", "rendezvous"]
FEED = """
import os, sys, time
while not os.path.exists(sys.argv[1] + ".go"):
    time.sleep(0.01)
data = open(sys.argv[1], "rb").read()
begin = time.monotonic()
for number, at in enumerate(range(0, len(data), 1316)):
    time.sleep(max(0, begin + number * 0.004 - time.monotonic()))
    sys.stdout.buffer.write(data[at : at + 1316])
    sys.stdout.buffer.flush()
"""


def two_ends(mode: str, ports: tuple[int, int]) -> tuple[str, str]:
    """Return the address that our relay has, and that of libsrt's program."""
    ours, theirs = ports
    if mode == "caller":
        return (
            f"srt://127.0.0.1:{theirs}?mode=caller",
            f"srt://127.0.0.1:{theirs}?mode=listener",
        )
    if mode == "listener":
        return (
            f"srt://127.0.0.1:{ours}?mode=listener",
            f"srt://127.0.0.1:{ours}?mode=caller",
        )
    return (
        f"srt://127.0.0.1:{theirs}?mode=rendezvous&localport={ours}",
        f"srt://127.0.0.1:{ours}?mode=rendezvous&adapter=127.0.0.1&port={theirs}",
    )


@pytest.mark.parametrize("direction", ["push", "pull"])
def test_a_relay_between_two_servers_passes_every_frame(
    penstock_server: StartServer,
    srt_peers: SrtPeers,
    srt_url: Any,
    relay_file: Any,
    same_show: Any,
    direction: str,
) -> None:
    if direction == "push":
        edge = penstock_server()
        target = srt_url(edge, "publish:copy")
        origin = penstock_server(config=relay_file(("live/x", target)))
    else:
        origin = penstock_server()
        edge = penstock_server(
            config=relay_file((srt_url(origin, "read:x"), "live/copy"))
        )
        origin.wait_for_players("x", 1)
    viewer = srt_peers.ffmpeg(srt_url(edge, "copy"))
    edge.wait_for_players("copy", 1)
    clip = srt_peers.clip("h264-aac")
    # RTMP loses nothing at its end: what it has sent is the whole clip.
    srt_peers.publish(clip, origin.url("rtmp", "live/x")).succeed()
    sent = srt_peers.read(clip)
    same_show(viewer.seen(), sent, late=direction == "push", tail=0)


def test_pulls_of_each_mode_take_what_libsrt_sends(
    penstock_server: StartServer,
    srt_peers: SrtPeers,
    free_udp_port: Callable[[], int],
    srt_url: Any,
    relay_file: Any,
    same_show: Any,
) -> None:
    ends = {mode: two_ends(mode, (free_udp_port(), free_udp_port())) for mode in MODES}
    relays = [(ours, f"live/{mode}") for mode, (ours, _) in ends.items()]
    server = penstock_server(config=relay_file(*relays))
    viewers = {mode: srt_peers.ffmpeg5(srt_url(server, mode)) for mode in MODES}
    for mode in MODES:
        server.wait_for_players(mode, 1)
    # A relay that finds nobody tries again after a second, and growing pauses.
    clip = srt_peers.clip("long", 8)
    publishers = [srt_peers.publish_transmit(clip, one) for _, one in ends.values()]
    for publisher in publishers:
        publisher.succeed()
    sent = srt_peers.read(clip)
    for mode, viewer in viewers.items():
        try:
            same_show(viewer.seen(), sent, late=True)
        except AssertionError as failure:
            raise AssertionError(f"{mode}: {failure}") from None


def test_pushes_of_each_mode_send_what_libsrt_takes(
    penstock_server: StartServer,
    srt_peers: SrtPeers,
    free_udp_port: Callable[[], int],
    srt_url: Any,
    relay_file: Any,
    same_show: Any,
) -> None:
    ends = {mode: two_ends(mode, (free_udp_port(), free_udp_port())) for mode in MODES}
    relays = [("live/x", ours) for ours, _ in ends.values()]
    server = penstock_server(config=relay_file(*relays))
    viewers = {mode: srt_peers.transmit(one) for mode, (_, one) in ends.items()}
    clip = srt_peers.clip("long", 8)
    srt_peers.publish(clip, srt_url(server, "publish:x")).succeed()
    sent = srt_peers.read(clip)
    for mode, viewer in viewers.items():
        try:
            same_show(viewer.seen(), sent, late=True)
        except AssertionError as failure:
            raise AssertionError(f"{mode}: {failure}") from None


# -- UDP -----------------------------------------------------------------------------


def test_ffmpeg_sends_over_udp_and_takes_it(
    penstock_server: StartServer,
    srt_peers: SrtPeers,
    free_udp_port: Callable[[], int],
    relay_file: Any,
    same_show: Any,
) -> None:
    places = {
        "group": ("239.255.7.1", "localaddr=127.0.0.1"),
        "host": ("127.0.0.1", ""),
    }
    into = {name: free_udp_port() for name in places}
    out = {name: free_udp_port() for name in places}
    relays = []
    for name, (host, more) in places.items():
        relays.append((f"udp://{host}:{into[name]}?{more}", f"live/{name}"))
        relays.append((f"live/{name}", f"udp://{host}:{out[name]}?{more}"))
    # Silence is the only end that it has.
    server = penstock_server("stream.publish_idle_s=1", config=relay_file(*relays))
    clip = srt_peers.clip("h264-aac")
    viewers, listeners, publishers = [], [], []
    for name, (host, more) in places.items():
        viewers.append(srt_peers.ffmpeg(server.url("http", f"live/{name}.ts")))
        server.wait_for_players(name, 1)
        address = f"udp://{host}:{out[name]}?{more}&timeout=2000000"
        listeners.append(srt_peers.ffmpeg(address))
        target = f"udp://{host}:{into[name]}?{more}&pkt_size=1316"
        publishers.append(srt_peers.publish(clip, target, "-muxdelay", "0"))
    for publisher in publishers:
        publisher.succeed()
    sent = srt_peers.read(clip)
    for listener in listeners:
        same_show(listener.seen(), sent, late=True, tail=0)
    for viewer in viewers:
        same_show(viewer.seen(), sent, tail=0)


# -- without a server ----------------------------------------------------------------


@pytest.mark.parametrize("mode", ["caller", "listener"])
def test_the_relay_command_passes_any_octets_bit_by_bit(
    srt_peers: SrtPeers,
    start: Start,
    free_udp_port: Callable[[], int],
    wait_until: Any,
    tmp_path: Path,
    mode: str,
) -> None:
    data = random.Random(7).randbytes(1316 * 800)
    octets = tmp_path / "octets"
    octets.write_bytes(data)
    source, sender = two_ends(mode, (free_udp_port(), free_udp_port()))
    target, taker = two_ends(mode, (free_udp_port(), free_udp_port()))
    came = tmp_path / "came"
    libsrt = srt_peers.peer("srt-live-transmit")
    if mode == "caller":
        taking = start(libsrt, "-q", "-a", "no", taker, "file://con", stdout=came)
    relay = start(sys.executable, "-m", "penstock", "relay", source, target)
    if mode == "listener":
        wait_until(lambda: "waiting for a caller" in relay.said, "the relay")
        taking = start(libsrt, "-q", "-a", "no", taker, "file://con", stdout=came)
        wait_until(lambda: relay.said.count("waiting for a caller") == 2, "its source")
    feeding = subprocess.Popen(
        [sys.executable, "-c", FEED, octets], stdout=subprocess.PIPE
    )
    srt_peers.pipes.append(feeding)
    sending = srt_peers.feed_transmit(feeding, sender, "-c:1316")
    # libsrt's program throws away what it reads before somebody calls.
    wait_until(lambda: "relaying" in relay.said, "both ends")
    wait_until(lambda: "connect" in sending.said, "the sender")
    (tmp_path / "octets.go").touch()
    # Its standard output is buffered by 4096 octets, until it ends.
    wait_until(lambda: came.stat().st_size > len(data) - 4096, "all octets")
    sending.succeed()
    relay.succeed()
    taking.wait()
    assert came.read_bytes() == data
