"""The measurements of time: delays between viewers, the loop's lag, the API."""

from __future__ import annotations

import http.client
import json
import re
import shutil
import statistics
import subprocess
import time
from pathlib import Path

import attrs
from measures import Bench, look
from report import Result, Row, percent, times
from servers import Load, Server

__all__ = ["api", "many_viewers", "stopped_viewer"]


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.2f} ms"


# -- one viewer that stops reading ----------------------------------------------------


@attrs.frozen
class Delays:
    """From the publisher's write to a viewer's read, over all viewers and pictures."""

    count: int
    p50: float
    p99: float
    most: float

    @classmethod
    def of(cls, answer: dict[str, object]) -> Delays:
        values = {name: float(str(value)) for name, value in answer.items()}
        if not values["count"]:
            raise RuntimeError("no marked picture arrived")
        return cls(int(values["count"]), values["p50"], values["p99"], values["max"])


def stopped_viewer(bench: Bench) -> Result:
    """One of 100 viewers stops reading; what do the others notice?"""
    rows = []
    with bench.penstock() as server:
        ours = _delays_around_a_stop(bench, server)
    peer = None
    if bench.has_peer:
        with bench.nginx() as server:
            peer = _delays_around_a_stop(bench, server)
    for index, when in enumerate(("before", "after")):
        for what, field in (("median", "p50"), ("99th percentile", "p99")):
            own: float = getattr(ours[index], field)
            other = "not here" if peer is None else _ms(getattr(peer[index], field))
            ratio, met, target = "", None, ""
            if when == "after":
                before = getattr(ours[0], field)
                ratio, target = f"{own / before:.2f} of before", "unchanged"
                met = own <= before * 1.25 or own <= before + 0.001
            rows.append(Row(f"{what}, {when}", _ms(own), other, ratio, target, met))
        worst = "not here" if peer is None else _ms(peer[index].most)
        rows.append(Row(f"longest, {when}", _ms(ours[index].most), worst))
    return Result(
        "One viewer that stops reading",
        "100 RTMP viewers of one stream, then one of them reads no more: how long a "
        "picture takes from the publisher's write to the others. The publisher and the "
        "viewers are one process on one clock; its own time to read 100 sockets is in.",
        rows,
        notes=[
            f"{ours[0].count:,} deliveries measured before, {ours[1].count:,} after; "
            "unchanged is within a quarter or a millisecond."
        ],
    )


def _delays_around_a_stop(bench: Bench, server: Server) -> tuple[Delays, Delays]:
    seconds = bench.seconds(12.0)
    with bench.load() as load:
        bench.publish(load, server, ["marked"], mark=True)
        bench.view(load, server, ["marked"] * 100, delays=True)
        time.sleep(2.0)
        load.ask("delays")  # cached pictures are old on purpose
        time.sleep(seconds)
        before = Delays.of(load.ask("delays"))
        load.ask("stop_reading")
        time.sleep(seconds)
        return before, Delays.of(load.ask("delays"))


# -- the loop -------------------------------------------------------------------------


@attrs.frozen
class Loop:
    """What the stopwatch in the server's loop saw in a while."""

    lag: list[float]
    passes: list[float]
    steps: list[tuple[float, str]]
    """The longest first."""
    collections: list[float]

    @classmethod
    def read(cls, path: Path, start: float, end: float) -> Loop:
        """Return what happened between two times of the monotonic clock."""
        seen = json.loads(path.read_text())
        steps = [(held, name) for at, held, name in seen["step"] if start <= at <= end]
        return cls(
            sorted(late for at, late in seen["lag"] if start <= at <= end),
            sorted(took for at, took in seen["pass"] if start <= at <= end),
            sorted(steps, reverse=True),
            sorted(took for at, took, _ in seen["gc"] if start <= at <= end),
        )

    def lag_at(self, share: float) -> float:
        """Return a percentile of the lag."""
        return self.lag[min(len(self.lag) - 1, int(share * len(self.lag)))]

    @property
    def longest_step(self) -> float:
        return self.steps[0][0] if self.steps else 0.0

    def holders(self) -> str:
        """Name the tasks that held the loop longest."""
        longest: dict[str, float] = {}
        for held, name in self.steps:
            longest.setdefault(name.rpartition(".")[2], held)
        shown = [f"`{name}` {_ms(held)}" for name, held in list(longest.items())[:4]]
        if self.collections:
            shown.append(f"of these, garbage collection {_ms(self.collections[-1])}")
        return ", ".join(shown) or "none over 0.5 ms"


def many_viewers(bench: Bench) -> Result:
    """2,000 viewers of the one stream: how late is the loop?"""
    viewers = 500 if bench.quick else 2_000
    seconds = bench.seconds(15.0)
    probe = bench.folder / "loop.json"
    with bench.penstock(probe=probe) as server, bench.load() as load:
        _fill(bench, load, server, viewers)
        start = time.monotonic()
        ours = look(load, server, viewers, seconds)
        end = time.monotonic()
    loop = Loop.read(probe, start, end)
    peer = None
    if bench.has_peer:
        with bench.nginx() as server, bench.load() as load:
            _fill(bench, load, server, viewers)
            peer = look(load, server, viewers, seconds)
    lag = loop.lag_at(0.99)
    return Result(
        f"{viewers:,} viewers of one stream",
        "The full stream to each of them, RTMP, message by message. The lag is how "
        "late a task inside the server is that wakes every 10 ms.",
        [
            Row(
                "lag of the loop, 99th percentile",
                _ms(lag),
                target="at most 5 ms",
                met=lag <= 0.005,
            ),
            Row("lag of the loop, median", _ms(loop.lag_at(0.5))),
            Row("lag of the loop, longest", _ms(loop.lag[-1])),
            Row(
                "CPU",
                percent(ours.cpu),
                "not here" if peer is None else percent(peer.cpu),
                "" if peer is None else times(ours.cpu / peer.cpu),
            ),
            Row(
                "delivered",
                f"{ours.delivered:.3f}",
                "not here" if peer is None else f"{peer.delivered:.3f}",
            ),
        ],
        notes=[f"What held the loop longest in one go: {loop.holders()}."],
    )


def _fill(bench: Bench, load: Load, server: Server, viewers: int) -> None:
    bench.publish(load, server, ["many"])
    bench.view(load, server, ["many"] * viewers)
    bench.settle()


# -- the API --------------------------------------------------------------------------

_SRS_DOCUMENTED = 370
"""Requests a second on this path that SRS gives in its documentation."""


def api(bench: Bench) -> Result:
    """SRS's API: requests a second, and a long listing while the loop stays free."""
    rows = []
    with bench.penstock() as server:
        by_cpu = []
        if shutil.which("wrk"):
            for connections in (1, 8):
                rate, rate_by_cpu = _requests_per_second(bench, server, connections)
                by_cpu.append(f"{rate_by_cpu:,.0f}")
                rows.append(
                    Row(
                        f"`/api/v1/versions`, {connections} connection"
                        + "s" * (connections > 1),
                        f"{rate:,.0f} requests/s",
                        f"{_SRS_DOCUMENTED} (documented)",
                        times(rate / _SRS_DOCUMENTED),
                        "at least 1,500",
                        rate >= 1_500,
                    )
                )
        else:
            rows.append(Row("`/api/v1/versions`", "not measured: wrk is missing"))
    streams = 200 if bench.quick else 1_000
    taken, loop, idle = _list_streams(bench, streams)
    rows += [
        Row(
            f"`/api/v1/streams?count={streams}`, median",
            _ms(statistics.median(taken)),
            target="under 100 ms",
            met=statistics.median(taken) < 0.1,
        ),
        Row(f"`/api/v1/streams?count={streams}`, longest", _ms(max(taken))),
        Row(
            "longest hold of the loop meanwhile",
            _ms(loop.longest_step),
            target="at most 2 ms",
            met=loop.longest_step <= 0.002,
        ),
    ]
    return Result(
        "API",
        "Keep-alive, one server core, by wrk; SRS itself cannot run here, so its "
        f"documented figure stands beside. Then {streams:,} streams that have a "
        "publisher each, listed whole, while a stopwatch inside the server notes how "
        "long any task holds the loop in one go.",
        rows,
        peer="SRS",
        notes=[
            f"Requests by second of processor time: {' and '.join(by_cpu)}.",
            f"What held the loop longest: {loop.holders()}; in as long a time without "
            f"requests: {idle.holders()}.",
        ],
    )


def _requests_per_second(
    bench: Bench, server: Server, connections: int
) -> tuple[float, float]:
    """Return requests by second, and by second of the server's processor time."""
    seconds = 2 if bench.quick else 4
    cpu_before = server.cpu_s()
    url = f"http://127.0.0.1:{server.api_port}/api/v1/versions"
    cores = ",".join(map(str, sorted(bench.cores.load)))
    command = ["taskset", "-c", cores, "wrk", "-t1", f"-c{connections}"]
    shown = subprocess.run(
        [*command, f"-d{seconds}s", url],
        capture_output=True,
        text=True,
        check=True,
        timeout=seconds + 20,
    ).stdout
    found = re.search(r"Requests/sec:\s*([\d.]+)", shown)
    if found is None or "Non-2xx" in shown:
        raise RuntimeError(f"wrk: {shown}")
    rate = float(found[1])
    return rate, rate * seconds / (server.cpu_s() - cpu_before)


def _list_streams(bench: Bench, streams: int) -> tuple[list[float], Loop, Loop]:
    probe = bench.folder / "loop.json"
    settings = {"stream.publish_idle_s": "600", "limits.streams": "0"}
    with bench.penstock(settings, probe=probe) as server, bench.load() as load:
        names = [f"listed{number}" for number in range(streams)]
        bench.publish(load, server, names, messages=4)
        time.sleep(2.0)
        client = http.client.HTTPConnection("127.0.0.1", server.api_port, timeout=20)
        taken = []
        for request in range(6 if bench.quick else 21):
            if request == 1:
                start = time.monotonic()  # the first one pays for imports
            before = time.monotonic()
            client.request("GET", f"/api/v1/streams?count={streams}")
            listed = json.loads(client.getresponse().read())["streams"]
            taken.append(time.monotonic() - before)
            if len(listed) != streams:
                raise RuntimeError(f"{len(listed)} of {streams} streams are listed")
            time.sleep(0.2)
        end = time.monotonic()
        client.close()
        time.sleep(end - start)
    loop = Loop.read(probe, start, end)
    return taken[1:], loop, Loop.read(probe, end, 2 * end - start)
