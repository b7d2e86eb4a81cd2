"""The measurements of WebRTC: viewers, memory, publishers, handshakes."""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import attrs
import psutil
from janus import MOUNTPOINT, janus, janus_version, own_address
from measures import Bench
from report import Result, Row, percent, times
from servers import Load, Server, free_port, listens, spawned, wait_until

__all__ = [
    "beside_aiortc",
    "publish_whip",
    "whep",
    "whep_handshakes",
    "whep_memory",
    "whep_url",
    "whip",
]

_LOOK_S = 20.0
"""Twice the clip, so that all looks see the same pictures; 4 s, two key frames, in a
quick run."""
_HERE = Path(__file__).resolve().parent


def _load(bench: Bench) -> AbstractContextManager[Load]:
    return Load.running(bench.folder, bench.cores, "webrtc_load.py")


def _ask(load: Load, do: str, **arguments: object) -> dict[str, Any]:
    return load.ask(do, **arguments)


def _watch(load: Load, url: str, count: int, **more: object) -> None:
    answer = _ask(load, "watch", url=url, count=count, **more)
    if answer["ready"] != count:
        raise RuntimeError(f"{answer['ready']} of {count} viewers of {url} came up")


def whep_url(server: Server, name: str) -> str:
    """Return where a stream plays."""
    return f"http://127.0.0.1:{server.http_port}/live/{name}/whep"


# -- viewers --------------------------------------------------------------------------


@attrs.frozen
class Look:
    """One look at a server that sends to some viewers."""

    cpu: float
    """Share of a core."""
    octets_s: float
    """What all viewers got a second."""
    packets_s: float
    """The same in packets, retransmissions included."""
    load_cpu: float

    @property
    def packets_by_cpu(self) -> float:
        """Packets sent by second of processor time."""
        return self.packets_s / self.cpu


def _look(load: Load, server: Server, viewers: int, seconds: float) -> Look:
    before, cpu_before = _ask(load, "snapshot"), server.cpu_s()
    start = time.monotonic()
    time.sleep(seconds)
    cpu, elapsed = server.cpu_s() - cpu_before, time.monotonic() - start
    after = _ask(load, "snapshot")
    if viewers and after["alive"] != viewers:
        raise RuntimeError(f"{after['alive']} of {viewers} viewers are left")
    return Look(
        cpu / elapsed,
        (after["octets"] - before["octets"]) / elapsed,
        (after["packets"] - before["packets"]) / elapsed,
        (after["cpu"] - before["cpu"]) / elapsed,
    )


@attrs.frozen
class Slope:
    """What one more viewer costs."""

    cpu: float
    bits_s: float
    """What one viewer got a second."""
    few: Look
    many: Look
    profiles: str

    @classmethod
    def of(cls, few: Look, many: Look, counts: tuple[int, int], load: Load) -> Slope:
        more = counts[1] - counts[0]
        return cls(
            (many.cpu - few.cpu) / more,
            8 * many.octets_s / counts[1],
            few,
            many,
            ", ".join(_ask(load, "snapshot")["profiles"]),
        )


def _slope(
    bench: Bench,
    load: Load,
    server: Server,
    url: str,
    counts: tuple[int, int],
    **more: object,
) -> Slope:
    seconds = bench.seconds(_LOOK_S)
    few, many = counts
    _watch(load, url, few, **more)
    bench.settle()
    first = _look(load, server, few, seconds)
    _watch(load, url, many - few, **more)
    bench.settle()
    second = _look(load, server, many, seconds)
    return Slope.of(first, second, counts, load)


def _bare(bench: Bench, counts: tuple[int, int]) -> Slope:
    looks = []
    with _load(bench) as load:
        ports = _ask(load, "sink", count=counts[1])["ports"]
        for count in counts:
            with _bare_sender(bench, ports[:count]) as server:
                bench.settle()
                looks.append(_look(load, server, 0, bench.seconds(_LOOK_S)))
        return Slope.of(looks[0], looks[1], counts, load)


@contextlib.contextmanager
def _bare_sender(bench: Bench, ports: list[int]) -> Iterator[Server]:
    command = [sys.executable, str(_HERE / "webrtc_bare.py"), str(bench.clip_path)]
    log = bench.folder / "bare.log"
    with spawned(command, bench.cores.server, log=log, stdin=subprocess.PIPE) as child:
        assert child.stdin is not None
        child.stdin.write(json.dumps(ports).encode() + b"\n")
        child.stdin.flush()
        time.sleep(1.0)  # its imports are not what it sends
        yield Server("bare", psutil.Process(child.pid), rtmp_port=0)


def whep(bench: Bench) -> Result:
    """What one WHEP viewer costs, beside Janus and beside nothing but the sending."""
    counts = (10, 30) if bench.quick else (20, 60)
    bare = _bare(bench, counts)
    with bench.penstock() as server, bench.load() as source, _load(bench) as load:
        bench.publish(source, server, ["one"], pictures_only=True)
        ours = _slope(bench, load, server, whep_url(server, "one"), counts)
    peer = None
    if janus_version():
        with (
            janus(bench.folder, bench.cores, bench.clip_path) as (server, url),
            _load(bench) as load,
        ):
            peer = _slope(bench, load, server, url, counts, mountpoint=MOUNTPOINT)
    rows = [
        Row(
            "a viewer",
            percent(ours.cpu),
            "not here" if peer is None else percent(peer.cpu),
            "" if peer is None else times(ours.cpu / peer.cpu),
            "at most 0.6",
            None if peer is None else ours.cpu <= 0.6 * peer.cpu,
        ),
        Row(
            "a viewer, beside the bare loop",
            percent(ours.cpu),
            f"bare: {percent(bare.cpu)}",
            times(ours.cpu / bare.cpu),
            "at most 4",
            ours.cpu <= 4 * bare.cpu,
        ),
        Row(
            f"{counts[1]} viewers, with all that is paid once",
            percent(ours.many.cpu),
            "not here" if peer is None else percent(peer.many.cpu),
            "" if peer is None else times(ours.many.cpu / peer.many.cpu),
        ),
    ]
    slopes = {"penstock": ours, "Janus": peer, "the bare loop": bare}
    shown = [
        f"{name} {slope.bits_s / 1e6:.2f} Mbit/s"
        + f" ({slope.profiles})" * bool(slope.profiles)
        for name, slope in slopes.items()
        if slope is not None
    ]
    busiest = max(s.many.load_cpu for s in slopes.values() if s is not None)
    return Result(
        "WHEP viewers",
        f"Server CPU of one viewer more, between {counts[0]} and {counts[1]} viewers, "
        "of the stream's pictures without its sound; to penstock they come by RTMP, to "
        "Janus' streaming plugin by RTP from FFmpeg. The bare loop is a Python program "
        "that does nothing but encrypt each packet by AES-GCM and send each picture in "
        "one system call where it can.",
        rows,
        peer=janus_version() or "Janus",
        notes=[
            f"A viewer was sent: {'; '.join(shown)}.",
            f"The load had at most {percent(busiest)} of its core to do.",
        ],
    )


def beside_aiortc(bench: Bench) -> Result:
    """Packets that a core sends, beside the other WebRTC stack in Python."""
    counts = (10, 20)
    with bench.penstock() as server, bench.load() as source, _load(bench) as load:
        bench.publish(source, server, ["one"], pictures_only=True)
        ours = _slope(bench, load, server, whep_url(server, "one"), counts)
    peer = None
    version = _aiortc_version()
    if version:
        with _aiortc(bench) as (server, url), _load(bench) as load:
            peer = _slope(bench, load, server, url, counts, own_address=True)
    rows = [
        Row(
            f"packets to {counts[0]} viewers by second of processor time",
            f"{ours.few.packets_by_cpu:,.0f}",
            "not here" if peer is None else f"{peer.few.packets_by_cpu:,.0f}",
            ""
            if peer is None
            else times(ours.few.packets_by_cpu / peer.few.packets_by_cpu),
        ),
        Row(
            "CPU of a viewer more",
            percent(ours.cpu),
            "not here" if peer is None else percent(peer.cpu),
            "" if peer is None else times(ours.cpu / peer.cpu),
        ),
    ]
    sent = [f"penstock {ours.few.packets_s / counts[0]:.0f}"]
    if peer is not None:
        sent.append(f"aiortc {peer.few.packets_s / counts[0]:.0f}")
    return Result(
        "Beside aiortc",
        "The stream's pictures to viewers by our own peer, AES-128-GCM on both sides. "
        "penstock gets them by RTMP, and that is in its processor time; aiortc has "
        "them in memory, already encoded, and relays one track by its own `MediaRelay` "
        "to a peer connection for each viewer, in slightly larger packets.",
        rows,
        peer=version or "aiortc",
        notes=[f"Packets a second a viewer: {', '.join(sent)}."],
    )


def _aiortc_version() -> str:
    try:
        version = importlib.metadata.version("aiortc")
    except importlib.metadata.PackageNotFoundError:
        return ""
    return f"aiortc {version}" if own_address() else ""


@contextlib.contextmanager
def _aiortc(bench: Bench) -> Iterator[tuple[Server, str]]:
    port = free_port()
    command = [sys.executable, str(_HERE / "webrtc_aiortc.py")]
    command += [str(bench.clip_path), str(port)]
    log = bench.folder / "aiortc.log"
    with spawned(command, bench.cores.server, log=log) as child:
        wait_until(lambda: listens(port), child)
        server = Server("aiortc", psutil.Process(child.pid), rtmp_port=0)
        yield server, f"http://127.0.0.1:{port}/whep"


# -- memory ---------------------------------------------------------------------------


def whep_memory(bench: Bench) -> Result:
    """What a WHEP viewer keeps resident."""
    viewers = 40 if bench.quick else 100
    with bench.penstock() as server, bench.load() as source, _load(bench) as load:
        bench.publish(source, server, ["one"], pictures_only=True)
        ours = _memory(bench, load, server, whep_url(server, "one"), viewers)
    peer = None
    if janus_version():
        with (
            janus(bench.folder, bench.cores, bench.clip_path) as (server, url),
            _load(bench) as load,
        ):
            more = {"mountpoint": MOUNTPOINT}
            peer = _memory(bench, load, server, url, viewers, **more)
    return Result(
        "Memory of a WHEP viewer",
        f"Growth of the resident memory by {viewers} viewers that play the pictures, "
        "after ten others and a while, so that the packets that all of them share are "
        "there already.",
        [
            Row(
                "a viewer",
                _kilobytes(ours),
                "not here" if peer is None else _kilobytes(peer),
                times(ours / peer) if peer else "",
                "at most 40 KB",
                ours <= 40_000,
            )
        ],
        peer=janus_version() or "Janus",
    )


def _kilobytes(octets: float) -> str:
    return f"{octets / 1000:,.1f} KB"


def _memory(
    bench: Bench, load: Load, server: Server, url: str, count: int, **more: object
) -> float:
    _watch(load, url, 10, **more)
    time.sleep(8 if bench.quick else 20)
    before = server.rss()
    _watch(load, url, count, **more)
    time.sleep(2 if bench.quick else 5)
    return (server.rss() - before) / count


# -- publishers -----------------------------------------------------------------------


def whip(bench: Bench) -> Result:
    """What a WHIP publisher costs, and how long its packets take to viewers."""
    publishers, viewers = 5, 100
    seconds = bench.seconds(_LOOK_S)
    with bench.penstock() as server, _load(bench) as load:
        bench.settle()
        idle = _look(load, server, 0, seconds).cpu
        publish_whip(
            bench, load, server, [f"p{number}" for number in range(publishers)]
        )
        bench.settle()
        before = _ask(load, "snapshot")
        cpu = (_look(load, server, 0, seconds).cpu - idle) / publishers
        after = _ask(load, "snapshot")
        _expect_publishing(after, publishers)
    packets = after["written_packets"] - before["written_packets"]
    rate = packets / publishers / seconds
    paced = _forwarding(bench, viewers, seconds, pace=True)
    burst = _forwarding(bench, viewers, seconds, pace=False)
    return Result(
        "WHIP publishers",
        f"Server CPU of each of {publishers} publishers of the stream's pictures that "
        "nobody watches, a datagram a system call as browsers do. Then one of them, "
        "which paces its packets as browsers do (four in 5 ms), with "
        f"{viewers} WHEP viewers: how long packets take from the publisher's "
        "system call until the kernel has them for a viewer, by five viewers spread "
        "among the others, on the same clock; that viewers are served one after the "
        "other is in it.",
        [
            Row(
                "a publisher without viewers",
                percent(cpu),
                target="at most 2 %",
                met=cpu <= 0.02,
            ),
            Row(
                "delay, median",
                _ms(paced.delays["p50"]),
                target="at most 1 ms",
                met=paced.delays["p50"] <= 0.001,
            ),
            Row(
                "delay, 99th percentile",
                _ms(paced.delays["p99"]),
                target="at most 5 ms",
                met=paced.delays["p99"] <= 0.005,
            ),
            Row("delay, longest", _ms(paced.delays["max"])),
            Row("delay to a single viewer, median", _ms(paced.alone["p50"])),
            Row("delay to a single viewer, 99th percentile", _ms(paced.alone["p99"])),
            Row("pictures in one burst: delay, median", _ms(burst.delays["p50"])),
            Row(
                "pictures in one burst: delay, 99th percentile",
                _ms(burst.delays["p99"]),
            ),
            Row(f"CPU with {viewers} viewers, paced", percent(paced.look.cpu)),
            Row(f"CPU with {viewers} viewers, in bursts", percent(burst.look.cpu)),
        ],
        peer="",
        notes=[
            f"{rate:.0f} packets a second a publisher; {paced.delays['count']:,} "
            f"packets timed. A key frame has up to {paced.largest} packets: to all "
            f"viewers {paced.largest * viewers:,}, which in one burst wait for each "
            "other.",
            f"The load had {percent(paced.look.load_cpu)} of its core to do.",
        ],
    )


@attrs.frozen
class Forwarding:
    """How a publisher's packets came to viewers."""

    alone: dict[str, Any]
    """Delays to a single viewer."""
    delays: dict[str, Any]
    look: Look
    largest: int
    """Packets of the largest picture."""


def _forwarding(
    bench: Bench, viewers: int, seconds: float, *, pace: bool
) -> Forwarding:
    with bench.penstock() as server, _load(bench) as load:
        largest = publish_whip(bench, load, server, ["one"], pace=pace)
        url = whep_url(server, "one")
        _watch(load, url, 1, sample_every=1)
        bench.settle()
        _ask(load, "delays")
        time.sleep(seconds)
        alone = _delays(load)
        _watch(load, url, viewers - 1, sample_every=25)
        bench.settle()
        _ask(load, "delays")
        look = _look(load, server, viewers, seconds)
        return Forwarding(alone, _delays(load), look, largest)


def _delays(load: Load) -> dict[str, Any]:
    delays = _ask(load, "delays")
    if not delays["count"]:
        raise RuntimeError("no marked packet arrived")
    return delays


def publish_whip(
    bench: Bench, load: Load, server: Server, names: list[str], **more: object
) -> int:
    """Start publishers; return how many packets the largest picture has.

    Without ``mark=False`` no decoder may see what they send.
    """
    urls = [f"http://127.0.0.1:{server.http_port}/live/{name}/whip" for name in names]
    answer = _ask(
        load, "publish", urls=urls, clip=str(bench.clip_path), **{"mark": True, **more}
    )
    if answer["ready"] != len(names):
        raise RuntimeError(f"{answer['ready']} of {len(names)} publishers came up")
    return int(answer["largest"])


def _expect_publishing(snapshot: dict[str, Any], count: int) -> None:
    if snapshot["publishing"] != count:
        raise RuntimeError(f"{snapshot['publishing']} of {count} publishers are left")


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.2f} ms"


# -- handshakes -----------------------------------------------------------------------


def whep_handshakes(bench: Bench) -> Result:
    """50 new viewers a second while 50 play: what do those notice?"""
    viewers, rate, seconds = 50, 50, 5
    with (
        bench.penstock() as server,
        bench.load() as source,
        _load(bench) as load,
        _load(bench) as visitors,
    ):
        bench.publish(source, server, ["one"], pictures_only=True)
        _watch(load, whep_url(server, "one"), viewers)
        bench.settle()
        source.ask("snapshot")
        _ask(load, "gaps")
        quiet = _look(load, server, viewers, seconds)
        gaps_before = _ask(load, "gaps")
        late_before = source.ask("snapshot")["late"]
        cpu_before, start = server.cpu_s(), time.monotonic()
        storm = _ask(
            visitors, "storm", url=whep_url(server, "one"), rate=rate, seconds=seconds
        )
        elapsed = time.monotonic() - start
        cpu = (server.cpu_s() - cpu_before) / elapsed
        gaps = _ask(load, "gaps")
        late = float(str(source.ask("snapshot")["late"]))
    each = (cpu - quiet.cpu) * elapsed / (rate * seconds)
    return Result(
        "New WHEP viewers while others play",
        f"{rate} new sessions a second for {seconds} s, from POST to keys by ICE and "
        f"DTLS; each leaves once it is connected. {viewers} others play meanwhile.",
        [
            Row("CPU before", percent(quiet.cpu)),
            Row("CPU meanwhile", percent(cpu)),
            Row("processor time of a new session", _ms(each)),
            Row("from POST to keys, median", _ms(storm["median"])),
            Row("from POST to keys, longest", _ms(storm["most"])),
            Row("longest gap before", _ms(gaps_before["most"])),
            Row(
                "longest gap meanwhile",
                _ms(gaps["most"]),
                target="at most 100 ms",
                met=gaps["most"] <= 0.1,
            ),
        ],
        peer="",
        notes=[
            f"{storm['ready']} sessions connected and {storm['failed']} did not; they "
            f"were begun in {storm['begun_s']:.1f} s.",
            "A gap is the longest time between two arrivals at any of the viewers; "
            "pictures are 33 ms apart; half of the viewers had none over "
            f"{1000 * gaps['median']:.0f} ms. The publisher was never later than "
            f"{1000 * float(str(late_before)):.0f} ms before and {1000 * late:.0f} ms "
            "meanwhile.",
        ],
    )
