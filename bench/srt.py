"""The measurements of SRT: publishers, viewers, one fast stream, a bad link."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import attrs
import psutil
from clip import ffmpeg
from measures import Bench
from report import Result, Row, percent, times
from servers import Load, Server, spawned

__all__ = ["srt_bad_link", "srt_fast", "srt_publishers", "srt_viewers"]

_TOOL = "srt-live-transmit"
_HERE = Path(__file__).resolve().parent
_LOOK_S = 20.0
_PAYLOAD = 1316
_FAST_BPS = 200e6
_CLIP_BPS = 2.65e6
_SEED = 7


def tool_version() -> str:
    """Return which srt-live-transmit there is, or ""."""
    if shutil.which(_TOOL) is None:
        return ""
    shown = subprocess.run([_TOOL, "-version"], capture_output=True, text=True)
    for word in (shown.stdout + shown.stderr).split():
        if word[:1].isdigit() and word.count(".") >= 2:
            return f"libsrt {word.rstrip(',')}"
    return "libsrt"


def _load(bench: Bench) -> AbstractContextManager[Load]:
    return Load.running(bench.folder, bench.cores, "srt_load.py")


def _ask(load: Load, do: str, **arguments: object) -> dict[str, Any]:
    return load.ask(do, **arguments)


def free_udp_port() -> int:
    """Return a UDP port that nobody has now."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def _transport_clip(bench: Bench) -> Path:
    """Return the clip as a transport stream."""
    path = bench.folder / "clip.ts"
    if not path.exists():
        command = [ffmpeg(), "-v", "error", "-y", "-i", str(bench.clip_path)]
        command += ["-c", "copy", "-f", "mpegts", str(path)]
        subprocess.run(command, check=True, timeout=60)
    return path


@contextlib.contextmanager
def _ffmpegs(bench: Bench, urls: list[str]) -> Iterator[None]:
    """Publish the clip in a loop, each by an FFmpeg of its own."""
    clip = _transport_clip(bench)
    with contextlib.ExitStack() as stack:
        for url in urls:
            command = [ffmpeg(), "-v", "error", "-re", "-stream_loop", "-1"]
            command += ["-i", str(clip), "-c", "copy", "-f", "mpegts", url]
            log = bench.folder / "ffmpeg.log"
            stack.enter_context(spawned(command, bench.cores.load, log=log))
        yield


@attrs.frozen
class _Group:
    """Some processes that do one work together."""

    processes: list[psutil.Process]

    def cpu_s(self) -> float:
        return sum(Server("", process, 0).cpu_s() for process in self.processes)


def _share(counted: Server | _Group, seconds: float) -> float:
    """Return the share of a core that was used over some seconds."""
    before, start = counted.cpu_s(), time.monotonic()
    time.sleep(seconds)
    return (counted.cpu_s() - before) / (time.monotonic() - start)


# -- publishers ------------------------------------------------------------------------


def srt_publishers(bench: Bench) -> Result:
    """What a publisher costs, from its packets to frames."""
    count = 20
    seconds = bench.seconds(_LOOK_S)
    with bench.penstock() as server:
        idle = _share(server, seconds / 2)
        urls = [
            f"srt://127.0.0.1:{server.srt_port}?streamid=publish:s{number}"
            for number in range(count)
        ]
        with _ffmpegs(bench, urls):
            time.sleep(6.0)  # FFmpeg looks at the clip before it sends
            bench.settle()
            ours = (_share(server, seconds) - idle) / count
            live = _live_streams(server)
    if live != count:
        raise RuntimeError(f"{live} of {count} publishers are live")
    peer = None
    if tool_version():
        ports = [free_udp_port() for _ in range(count)]
        with contextlib.ExitStack() as stack:
            group = _Group(
                [
                    stack.enter_context(
                        _transmit(
                            bench,
                            f"srt://127.0.0.1:{port}?mode=listener",
                            "file://con",
                            cores=bench.cores.server,
                        )
                    )
                    for port in ports
                ]
            )
            time.sleep(1.0)
            with _ffmpegs(bench, [f"srt://127.0.0.1:{port}" for port in ports]):
                time.sleep(6.0)
                bench.settle()
                peer = _share(group, seconds) / count
    row = Row(
        "a publisher",
        percent(ours),
        "not here" if peer is None else percent(peer),
        "" if peer is None else times(ours / peer),
        "at most 1.7 % and 2",
        ours <= 0.017 and (peer is None or ours <= 2 * peer),
    )
    return Result(
        f"{count} SRT publishers",
        "FFmpeg publishes the clip in MPEG-TS; the server takes packets apart into "
        "pictures and sounds, which an `srt-live-transmit` for each, writing to "
        "/dev/null, does not.",
        [row],
        peer="srt-live-transmit",
        notes=[f"peer: {tool_version() or 'not here'}"],
    )


def _live_streams(server: Server) -> int:
    import urllib.request

    url = f"http://127.0.0.1:{server.api_port}/api/v1/streams/?count=1000"
    with urllib.request.urlopen(url, timeout=10) as answer:
        streams = json.load(answer)["streams"]
    return sum(stream["publish"]["active"] for stream in streams)


@contextlib.contextmanager
def _transmit(
    bench: Bench,
    source: str,
    destination: str,
    *more: str,
    cores: frozenset[int] | None = None,
) -> Iterator[psutil.Process]:
    command = [_TOOL, "-q", "-a:no", *more, source, destination]
    with spawned(
        command,
        bench.cores.load if cores is None else cores,
        log=bench.folder / "transmit.log",
        stdout=subprocess.DEVNULL,
    ) as process:
        yield psutil.Process(process.pid)


# -- viewers ---------------------------------------------------------------------------


def srt_viewers(bench: Bench) -> Result:
    """What a viewer costs."""
    few, many = 10, 60
    seconds = bench.seconds(_LOOK_S)
    with bench.penstock() as server, bench.load() as source, _load(bench) as load:
        bench.publish(source, server, ["one"])
        shares, octets = [], 0.0
        for more in (few, many - few):
            stream = {"port": server.srt_port, "stream_id": "live/one"}
            answer = _ask(load, "watch", count=more, **stream)
            if answer["ready"] != more:
                raise RuntimeError(f"{answer['ready']} of {more} viewers came up")
            bench.settle()
            before = _ask(load, "snapshot")
            shares.append(_share(server, seconds))
            after = _ask(load, "snapshot")
            octets = _sum(after, "octets") - _sum(before, "octets")
        alive = sum(end["alive"] for end in after["ends"])
        dropped = _sum(after, "dropped")
    if alive != many:
        raise RuntimeError(f"{alive} of {many} viewers are left")
    cost = (shares[1] - shares[0]) / (many - few)
    rows = [
        Row("a viewer", percent(cost), target="at most 0.5 %", met=cost <= 0.005),
        Row(f"{many} viewers, with all that is paid once", percent(shares[1])),
    ]
    rate = octets * 8 / many / seconds / 1e6
    return Result(
        "SRT viewers",
        f"One stream, published by RTMP, to {few} and then to {many} viewers over SRT; "
        "the difference is what a viewer costs.",
        rows,
        peer="",
        notes=[
            f"each viewer got {rate:.2f} Mbit/s; {dropped:.0f} packets were dropped"
        ],
    )


def _sum(snapshot: dict[str, Any], name: str) -> float:
    return float(sum(end.get(name, 0) for end in snapshot["ends"]))


# -- one fast stream -------------------------------------------------------------------


def srt_fast(bench: Bench) -> Result:
    """One stream of 200 Mbit/s in and out, payloads unread."""
    seconds = bench.seconds(_LOOK_S)
    inlet = free_udp_port()
    latency_ms = 200
    with _load(bench) as load:
        outlet = _ask(load, "receive", latency_s=latency_ms / 1000)["port"]
        command = [sys.executable, "-m", "penstock", "relay"]
        command += [f"srt://127.0.0.1:{inlet}?mode=listener&latency={latency_ms}"]
        command += [f"srt://127.0.0.1:{outlet}?latency={latency_ms}"]
        log = bench.folder / "relay.log"
        with spawned(command, bench.cores.server, log=log) as process:
            server = Server("penstock relay", psutil.Process(process.pid), 0)
            time.sleep(2.0)
            answer = _ask(
                load,
                "send",
                port=inlet,
                rate_bps=_FAST_BPS,
                seconds=seconds + 6,
                latency_s=latency_ms / 1000,
            )
            if not answer["ready"]:
                raise RuntimeError("the sender did not come up")
            time.sleep(3.0)
            before = _ask(load, "snapshot")
            share = _share(server, seconds)
            after = _ask(load, "snapshot")
            time.sleep(5.0)
            last = _ask(load, "snapshot")
            _ask(load, "close")
    got = _ends(last)
    sent = max(end.get("sent", 0) for end in last["ends"])
    rate = (_received(after) - _received(before)) * _PAYLOAD * 8 / seconds
    missing = sent - got["distinct"]
    load_share = (after["cpu"] - before["cpu"]) / seconds
    rows = [
        Row(
            f"{rate / 1e6:.0f} Mbit/s in and out",
            percent(share),
            target="a core, nothing lost",
            met=share < 1 and missing <= 0,
        )
    ]
    return Result(
        "One fast SRT stream",
        "`penstock relay` between two SRT connections: payloads pass unread.",
        rows,
        peer="",
        notes=[
            f"{sent:,} payloads sent, {missing:,} of them missing at the other end",
            f"sender and receiver, in Python as well, took {percent(load_share)}",
        ],
    )


def _ends(snapshot: dict[str, Any]) -> dict[str, Any]:
    return next(end for end in snapshot["ends"] if "distinct" in end)


def _received(snapshot: dict[str, Any]) -> int:
    return int(_ends(snapshot)["packets"])


# -- a bad link ------------------------------------------------------------------------

_LINK = ["--loss", "0.05", "--delay", "0.02", "--jitter", "0.01", "--seed", str(_SEED)]


@attrs.frozen
class _Outcome:
    """What became of a stream over the bad link."""

    sent: int
    delivered: int
    again: int

    @property
    def share(self) -> float:
        return self.delivered / self.sent

    @property
    def overhead(self) -> float:
        return self.again / self.sent


@contextlib.contextmanager
def _bad_link(bench: Bench, port: int) -> Iterator[int]:
    """Put the relay in front of a port; give the relay's."""
    command = [sys.executable, str(_HERE / "relay.py"), "--listen", "127.0.0.1:0"]
    command += ["--to", f"127.0.0.1:{port}", *_LINK]
    with spawned(
        command,
        bench.cores.server,
        log=bench.folder / "link.log",
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        yield int(process.stdout.readline().split()[1])


def _ours_over(bench: Bench, seconds: float) -> _Outcome:
    with _load(bench) as sender, _load(bench) as receiver:
        port = _ask(receiver, "receive", latency_s=0.2)["port"]
        with _bad_link(bench, port) as link:
            send = {"rate_bps": _CLIP_BPS, "seconds": seconds, "latency_s": 0.2}
            if not _ask(sender, "send", port=link, **send)["ready"]:
                raise RuntimeError("the sender did not come up")
            time.sleep(seconds + 1.5)
            out = _ask(sender, "snapshot")["ends"][0]
            got = _ask(receiver, "snapshot")["ends"][0]
    return _Outcome(out["sent"], got["distinct"], out["again"])


def _peers_over(bench: Bench, seconds: float) -> _Outcome:
    """The same payloads at the same pace by srt-live-transmit at both ends."""
    inlet, outlet, port = (free_udp_port() for _ in range(3))
    figures = bench.folder / "peer.json"
    figures.unlink(missing_ok=True)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sink:
        sink.bind(("127.0.0.1", outlet))
        sink.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        sink.setblocking(False)
        listening = f"srt://127.0.0.1:{port}?mode=listener&latency=200"
        stats = ["-s:250", f"-statsout:{figures}", "-pf:json"]
        numbers: set[int] = set()
        with (
            _transmit(bench, listening, f"udp://127.0.0.1:{outlet}"),
            _bad_link(bench, port) as link,
        ):
            time.sleep(0.5)
            calling = f"srt://127.0.0.1:{link}?latency=200"
            with _transmit(bench, f"udp://127.0.0.1:{inlet}", calling, *stats):
                time.sleep(2.0)
                count = _pour(sink, inlet, seconds, numbers)
                until = time.monotonic() + 1.5
                while time.monotonic() < until:
                    _drain(sink, numbers)
                    time.sleep(0.01)
    again = sent = 0
    for line in figures.read_text().splitlines():
        with contextlib.suppress(ValueError, KeyError):
            known = json.loads(line.strip().strip(","))["send"]
            again, sent = again + known["packetsRetransmitted"], sent + 1
    return _Outcome(count, len(numbers), again)


def _pour(sink: socket.socket, port: int, seconds: float, numbers: set[int]) -> int:
    """Send numbered payloads at the clip's pace; return how many."""
    interval = _PAYLOAD * 8 / _CLIP_BPS
    rest = bytes(_PAYLOAD - 8)
    count, sent, start = int(seconds / interval), 0, time.monotonic()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as source:
        while sent < count:
            due = min(count, int((time.monotonic() - start) / interval))
            for number in range(sent, due):
                source.sendto(number.to_bytes(8) + rest, ("127.0.0.1", port))
            sent = due
            _drain(sink, numbers)
            time.sleep(0.002)
    return count


def _drain(sink: socket.socket, numbers: set[int]) -> None:
    with contextlib.suppress(BlockingIOError):
        while True:
            numbers.add(int.from_bytes(sink.recv(2_048)[:8]))


def srt_bad_link(bench: Bench) -> Result:
    """How much arrives over a lossy link, and what it takes."""
    seconds = bench.seconds(60.0)
    ours = _ours_over(bench, seconds)
    peer = _peers_over(bench, seconds) if tool_version() else None
    rows = [
        Row(
            "delivered in time",
            f"{100 * ours.share:.3f} %",
            "not here" if peer is None else f"{100 * peer.share:.3f} %",
            "" if peer is None else f"{ours.share / peer.share:.5f}",
            "at least the peer's",
            None if peer is None else ours.share >= peer.share,
        ),
        Row(
            "sent again, of what was sent",
            percent(ours.overhead),
            "not here" if peer is None else percent(peer.overhead),
            "" if peer is None else times(ours.overhead / peer.overhead),
            "at most 1.2",
            None if peer is None else ours.overhead <= 1.2 * peer.overhead,
        ),
    ]
    return Result(
        "A bad link",
        "2.65 Mbit/s over 5 % of loss each way, a round trip of 40 ms and 10 ms of "
        f"jitter, latency 200 ms: `bench/relay.py {' '.join(_LINK)}`.",
        rows,
        peer="srt-live-transmit",
        notes=[
            f"{ours.sent:,} packets, {ours.sent - ours.delivered:,} missing"
            + (f"; the peer's: {peer.sent - peer.delivered:,} missing" if peer else ""),
            f"peer: {tool_version() or 'not here'}",
        ],
    )
