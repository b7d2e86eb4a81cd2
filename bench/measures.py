"""The measurements: CPU of fan-out and publishing, memory."""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from urllib.request import urlopen

import attrs
from clip import Clip, ffmpeg
from report import Result, Row, percent, times
from servers import Cores, Load, Server, nginx, nginx_version, penstock, spawned

__all__ = ["Bench", "fan_out", "memory", "publishers"]


@attrs.frozen
class Bench:
    """What every measurement is given."""

    folder: Path
    cores: Cores
    clip_path: Path
    clip: Clip
    quick: bool

    @property
    def has_peer(self) -> bool:
        return bool(nginx_version())

    def seconds(self, full: float) -> float:
        """Return how long to measure."""
        return full / 5 if self.quick else full

    def settle(self) -> None:
        """Wait until what the connections themselves cost is over."""
        time.sleep(1.0 if self.quick else 3.0)

    def penstock(
        self, settings: dict[str, str] | None = None, *, probe: Path | None = None
    ) -> AbstractContextManager[Server]:
        return penstock(self.folder, self.cores, settings or {}, probe=probe)

    def nginx(self, chunk_size: int = 60_000) -> AbstractContextManager[Server]:
        return nginx(self.folder, self.cores, chunk_size=chunk_size)

    def load(self) -> AbstractContextManager[Load]:
        return Load.running(self.folder, self.cores)

    def publish(
        self, load: Load, server: Server, names: list[str], **more: object
    ) -> None:
        """Start Python publishers of the clip."""
        answer = load.ask(
            "publish",
            port=server.rtmp_port,
            names=names,
            clip=str(self.clip_path),
            **more,
        )
        _expect(answer, len(names), f"publishers on {server.name}")

    def view(
        self,
        load: Load,
        server: Server,
        names: list[str],
        protocol: str = "rtmp",
        **more: object,
    ) -> None:
        """Start viewers."""
        port = server.http_port if protocol == "flv" else server.rtmp_port
        answer = load.ask("view", port=port, names=names, protocol=protocol, **more)
        _expect(answer, len(names), f"viewers of {server.name}")


def _expect(answer: dict[str, object], count: int, who: str) -> None:
    if answer["ready"] != count:
        raise RuntimeError(f"{answer['ready']} of {count} {who} came up")


@attrs.frozen
class FanOut:
    """One look at a server that sends one stream to many."""

    cpu: float
    """Share of a core."""
    delivered: float
    """Octets at the viewers by octets of the publisher and viewers."""
    reads: float
    """Reads a viewer and second: about one a message unless messages are merged."""
    late_s: float
    """How late the load was at most with a message."""


def look(load: Load, server: Server, viewers: int, seconds: float) -> FanOut:
    """Measure for some seconds."""
    before, cpu_before = load.ask("snapshot"), server.cpu_s()
    start = time.monotonic()
    time.sleep(seconds)
    cpu = server.cpu_s() - cpu_before
    elapsed = time.monotonic() - start
    after = load.ask("snapshot")
    if after["alive"] != viewers:
        raise RuntimeError(f"{after['alive']} of {viewers} viewers are left")
    written = _first(after["written"]) - _first(before["written"])
    octets = _number(after["octets"]) - _number(before["octets"])
    reads = _number(after["reads"]) - _number(before["reads"])
    return FanOut(
        cpu / elapsed,
        octets / written / viewers,
        reads / viewers / elapsed,
        _number(after["late"]),
    )


def _number(value: object) -> float:
    assert isinstance(value, int | float)
    return float(value)


def _first(value: object) -> float:
    assert isinstance(value, list)
    return _number(value[0])


# -- fan-out --------------------------------------------------------------------------


def fan_out(bench: Bench) -> Result:
    """One stream to 300 viewers."""
    viewers = 300
    variants: dict[str, tuple[Callable[[], AbstractContextManager[Server]], str]] = {
        "peer": (bench.nginx, "rtmp"),
        "0": (bench.penstock, "rtmp"),
        "33": (lambda: bench.penstock({"rtmp.merge_ms": "33"}), "rtmp"),
        "350": (lambda: bench.penstock({"rtmp.merge_ms": "350"}), "rtmp"),
        "flv": (bench.penstock, "flv"),
    }
    if not bench.has_peer:
        del variants["peer"]
    seen: dict[str, list[FanOut]] = {name: [] for name in variants}
    for _ in range(1 if bench.quick else 2):
        # Rounds, not repetitions: what disturbs the machine disturbs all of them.
        for name, (start, protocol) in variants.items():
            with start() as server, bench.load() as load:
                bench.publish(load, server, ["one"])
                bench.view(load, server, ["one"] * viewers, protocol)
                bench.settle()
                seen[name].append(look(load, server, viewers, bench.seconds(15.0)))
    cpu = {
        name: statistics.mean(look.cpu for look in looks)
        for name, looks in seen.items()
    }
    peer = cpu.get("peer")
    rows = [
        _against("RTMP, message by message", cpu["0"], peer, 2.0),
        _against("RTMP, `rtmp.merge_ms = 33`", cpu["33"], peer, 1.0),
        _against("RTMP, `rtmp.merge_ms = 350`", cpu["350"], peer, 0.5),
        Row(
            "HTTP-FLV, beside our RTMP",
            percent(cpu["flv"]),
            f"ours: {percent(cpu['0'])}",
            times(cpu["flv"] / cpu["0"]),
            "at most 1.3",
            cpu["flv"] <= 1.3 * cpu["0"],
        ),
    ]
    names = {"peer": "nginx-rtmp", "0": "RTMP", "flv": "HTTP-FLV"}
    shown = [
        f"{names.get(name, f'merged {name} ms')} {min(x.delivered for x in looks):.3f}"
        f" in {statistics.mean(x.reads for x in looks):.0f} reads a second"
        for name, looks in seen.items()
    ]
    spread = [
        f"{names.get(name, f'merged {name} ms')} "
        + " / ".join(percent(x.cpu) for x in looks)
        for name, looks in seen.items()
    ]
    late = max(look.late_s for looks in seen.values() for look in looks)
    return Result(
        f"Fan-out to {viewers} viewers",
        "Server CPU with one publisher of the stream. nginx-rtmp writes message by "
        "message (`interleave off; wait_key off`, chunks of 60,000 octets as ours).",
        rows,
        notes=[
            f"Delivered, as a share of what was published, a viewer: {'; '.join(shown)}"
            ". The stream has 77 messages a second.",
            f"Single rounds: {'; '.join(spread)}.",
            f"The publisher was never later than {1000 * late:.0f} ms.",
        ],
    )


def _against(what: str, ours: float, peer: float | None, most: float) -> Row:
    target = f"at most {most:g}"
    if peer is None:
        return Row(what, percent(ours), "not here", "", target)
    ratio = ours / peer
    return Row(what, percent(ours), percent(peer), times(ratio), target, ratio <= most)


# -- publishers -----------------------------------------------------------------------


def publishers(bench: Bench) -> Result:
    """30 FFmpeg processes that publish with chunks of 128 octets, a write each."""
    count = 10 if bench.quick else 30
    looks = {}
    with bench.penstock({"rtmp.publish_chunk_size": "0"}) as server:
        looks["ours"] = _publish_by_ffmpeg(bench, server, count)
    if bench.has_peer:
        with bench.nginx(chunk_size=128) as server:
            looks["peer"] = _publish_by_ffmpeg(bench, server, count)
    if not bench.quick:
        with bench.penstock() as server:
            looks["large"] = _publish_by_ffmpeg(bench, server, count)
    each = {name: cpu / count for name, (cpu, _) in looks.items()}
    peer = each.get("peer")
    least = min(share for _, share in looks.values())
    rows = [
        Row(
            "chunks of 128 octets",
            percent(each["ours"]),
            "not here" if peer is None else percent(peer),
            "" if peer is None else times(each["ours"] / peer),
            "at most 0.80 %",
            each["ours"] <= 0.008,
        )
    ]
    if "large" in each:
        rows.append(Row("chunks of 60,000 octets (default)", percent(each["large"])))
    return Result(
        f"{count} RTMP publishers",
        f"Server CPU a publisher, {count} FFmpeg processes (`-re -c copy`) at a time. "
        "FFmpeg copies the chunk size that a server announces and writes each chunk by "
        "itself: with 128 octets that is 2,600 writes a second a publisher.",
        rows,
        notes=[f"FFmpeg published at least {least:.3f} of what real time asks for."],
    )


def _publish_by_ffmpeg(bench: Bench, server: Server, count: int) -> tuple[float, float]:
    """Return the CPU of all together, and what they sent by what real time asks for."""
    seconds = bench.seconds(15.0)
    with contextlib.ExitStack() as stack:
        progress = []
        for number in range(count):
            path = bench.folder / f"progress-{number}"
            path.unlink(missing_ok=True)
            progress.append(path)
            url = f"rtmp://127.0.0.1:{server.rtmp_port}/live/p{number}"
            command = [ffmpeg(), "-v", "error", "-nostdin", "-re"]
            command += ["-stream_loop", "-1", "-i", str(bench.clip_path)]
            command += ["-progress", str(path), "-stats_period", "0.5"]
            command += ["-c", "copy", "-f", "flv", url]
            log = bench.folder / "ffmpeg.log"
            stack.enter_context(spawned(command, bench.cores.load, log=log))
        _until(lambda: all(_sent_us(path) > 1e6 for path in progress))
        before, cpu_before, start = (
            _all_sent(progress),
            server.cpu_s(),
            time.monotonic(),
        )
        time.sleep(seconds)
        cpu, elapsed = server.cpu_s() - cpu_before, time.monotonic() - start
        sent = (_all_sent(progress) - before) / 1e6
    return cpu / elapsed, sent / count / elapsed


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError("FFmpeg does not publish; its log says why")
        time.sleep(0.1)


def _sent_us(progress: Path) -> int:
    """Return how far one FFmpeg is, in microseconds of the stream."""
    if not progress.exists():
        return 0
    lines = progress.read_text().splitlines()
    found = [line.partition("=")[2] for line in lines if line.startswith("out_time_us")]
    return int(found[-1]) if found and found[-1].isdigit() else 0


def _all_sent(progress: list[Path]) -> int:
    return sum(map(_sent_us, progress))


# -- memory ---------------------------------------------------------------------------


def memory(bench: Bench) -> Result:
    """What a viewer and a stream keep resident."""
    viewers = 200 if bench.quick else 1_000
    streams = 20 if bench.quick else 100
    rows = [
        _memory_row(
            "a viewer with an idle socket",
            150,
            *_on_both(bench, lambda server: _viewer_memory(bench, server, viewers)),
        ),
        _memory_row(
            "a stream",
            10_000,
            *_on_both(bench, lambda server: _stream_memory(bench, server, streams)),
        ),
    ]
    if not bench.quick:
        sizes = _on_both(
            bench, lambda server: _stream_memory(bench, server, streams, watched=True)
        )
        rows.append(
            _memory_row("a stream with a viewer (10 s are kept)", 10_000, *sizes)
        )
    return Result(
        "Memory",
        f"Growth of the resident memory by {viewers:,} RTMP viewers that wait for a "
        f"stream, and by {streams} published streams without the pictures cached for "
        "new viewers (nginx-rtmp keeps none).",
        rows,
    )


def _on_both(
    bench: Bench, measure: Callable[[Server], float]
) -> tuple[float, float | None]:
    with bench.penstock() as server:
        ours = measure(server)
    if not bench.has_peer:
        return ours, None
    with bench.nginx() as server:
        return ours, measure(server)


def _memory_row(what: str, most_kb: int, ours: float, peer: float | None) -> Row:
    return Row(
        what,
        _kilobytes(ours),
        "not here" if peer is None else _kilobytes(peer),
        times(ours / peer) if peer else "",
        f"at most {most_kb:,} KB",
        ours <= most_kb * 1000,
    )


def _kilobytes(octets: float) -> str:
    return f"{octets / 1000:,.0f} KB"


def _viewer_memory(bench: Bench, server: Server, count: int) -> float:
    with bench.load() as load:
        # What the first ones cost once, imports and tables, is nobody's.
        bench.view(load, server, [f"warm{n}" for n in range(10)])
        time.sleep(0.5)
        before = server.rss()
        bench.view(load, server, ["nobody-publishes-this"] * count)
        time.sleep(1.0)
        return (server.rss() - before) / count


def _stream_memory(
    bench: Bench, server: Server, count: int, *, watched: bool = False
) -> float:
    """Let streams run to just before a key frame, when the cache is fullest."""
    seconds = 10 if watched else 4
    messages = bench.clip.messages_until(seconds * 1000)
    with bench.load() as load:
        bench.publish(load, server, ["warm"], messages=messages)
        bench.view(load, server, ["warm"])
        time.sleep(0.5)
        before = server.rss()
        names = [f"stream{number}" for number in range(count)]
        if watched:
            bench.view(load, server, names)
        bench.publish(load, server, names, messages=messages)
        time.sleep(seconds + 1.5)
        return (server.rss() - before - cached_bytes(server)) / count


def cached_bytes(server: Server) -> float:
    """Return what all streams' cached pictures take, by our own metrics."""
    return sum(metric(server, "penstock_stream_cache_bytes"))


def metric(server: Server, name: str) -> Iterator[float]:
    """Return the samples of one family of metrics; none if there are no metrics."""
    if not server.metrics_port:
        return
    url = f"http://127.0.0.1:{server.metrics_port}/metrics"
    with urlopen(url, timeout=10) as answer:
        text = answer.read().decode()
    for line in text.splitlines():
        if line.startswith((f"{name} ", f"{name}{{")):
            yield float(line.rpartition(" ")[2])
