"""A bad network between two programs: UDP through a seeded relay.

    python bench/relay.py --listen 127.0.0.1:9001 --to 127.0.0.1:9000 \
        --loss 0.05 --delay 0.02 --jitter 0.01 --seed 7

Clients send to ``--listen``; what they send goes up to ``--to``, from a port of its
own for each client, and what comes back goes down. What happens on the way is the model
of `sansmedia.sansio.testing.DatagramLink`, one link a direction: every loss, delay and
copy follows from the seed and the order of the datagrams. Options hold for both
directions; with ``--up-`` or ``--down-`` before the name, for one. Times are seconds;
an outage counts from the first datagram.

It says ``ready`` and the port once it is bound, and ends with SIGTERM, SIGINT or
``--seconds``. Then it prints one line of JSON: what became of the datagrams, and by how
much they left later than they should.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import select
import signal
import socket
import struct
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any, Final

import attrs
from sansmedia.sansio import Datagram
from sansmedia.sansio.testing import Conditions, DatagramLink

# Every other client would cost a socket.
_CLIENTS: Final = 64
# Datagrams that one socket may give before the others have their turn.
_BATCH: Final = 64
# While datagrams come, one turn of the loop takes this long, and what is due within
# half of it goes along: half a millisecond early at most. 2,000 datagrams a second in
# each direction take 22 % of a core; waking for each as it comes and as it goes,
# 37 %. The kernel says when a datagram came, so that it may wait to be looked at.
_TURN_S: Final = 0.001
_EARLY_S: Final = _TURN_S / 2
_BUSY_S: Final = 0.02
_TIMESTAMPNS: Final = 35  # SO_TIMESTAMPNS, which Python has no name for
_TIMESPEC: Final = struct.Struct("@qq")
_OPTIONS: Final[tuple[tuple[str, str, str], ...]] = (
    ("loss", "loss", "probability that a datagram is lost"),
    ("delay", "delay", "seconds under way"),
    ("jitter", "jitter", "seconds added at random"),
    ("reorder", "reorder", "probability that one is overtaken"),
    ("reorder-delay", "reorder_delay", "seconds that it loses"),
    ("duplicate", "duplicate", "probability that it comes twice"),
    ("rate", "rate_bps", "bits per second at most"),
    ("queue", "queue_bytes", "octets that wait for the rate"),
    ("outage", "outages", "START:END, nothing passes; may be repeated"),
)


class Relay:
    """Two links and the sockets at their ends."""

    def __init__(
        self,
        listen: tuple[str, int],
        server: tuple[str, int],
        up: Conditions,
        down: Conditions,
        *,
        seed: int = 0,
        source: tuple[str, int] | None = None,
    ) -> None:
        self._server = server
        self._source = source
        self._links = {
            "up": DatagramLink(up, seed=2 * seed),
            "down": DatagramLink(down, seed=2 * seed + 1),
        }
        self._front = _bound(listen)
        self.port: int = self._front.getsockname()[1]
        # Which client an upward socket serves, and the other way round.
        self._upward: dict[tuple[str, int], socket.socket] = {}
        self._client: dict[socket.socket, tuple[str, int]] = {}
        self._began: float | None = None
        self._busy_until = 0.0
        self._refused = 0
        self._late: list[float] = [0.0, 0.0]
        self._left = 0

    def run(self, seconds: float | None) -> None:
        """Forward until the time is over; a signal ends it by an exception."""
        end = None if seconds is None else time.monotonic() + seconds
        while True:
            now = time.monotonic()
            self._deliver(now)
            deadlines = [
                self._began + deadline
                for link in self._links.values()
                if self._began is not None
                and (deadline := link.next_timeout()) is not None
            ]
            if end is not None:
                if now >= end:
                    return
                deadlines.append(end)
            if now < self._busy_until:
                time.sleep(_TURN_S)
                wait: float | None = 0.0
            else:
                # `select` takes microseconds where `epoll` takes milliseconds.
                wait = max(0.0, min(deadlines) - now) if deadlines else None
            readable, _, _ = select.select([self._front, *self._client], [], [], wait)
            for ready in readable:
                self._drain(ready)

    def _drain(self, ready: socket.socket) -> None:
        """Take what has come, each datagram by the time the kernel had it."""
        monotonic, wall = time.monotonic(), time.time()
        self._busy_until = monotonic + _BUSY_S
        for _ in range(_BATCH):
            try:
                data, extra, _, peer = ready.recvmsg(65_536, 64)
            except BlockingIOError:
                return
            except ConnectionRefusedError:
                self._refused += 1
                continue
            if ready is self._front:
                direction, client = "up", peer
            else:
                direction, client = "down", self._client[ready]
            at = monotonic
            for _, kind, stamp in extra:
                if kind == _TIMESTAMPNS:
                    whole, nano = _TIMESPEC.unpack(stamp)
                    # A wall clock that is set meanwhile does not count.
                    at -= min(max(wall - whole - nano / 1e9, 0.0), 0.1)
            if self._began is None:
                self._began = at
            datagram = Datagram(data, client, at=at)
            self._links[direction].send((datagram,), max(0.0, at - self._began))

    def _deliver(self, now: float) -> None:
        """Send what has arrived at the other end."""
        if self._began is None:
            return
        now -= self._began
        for datagram in self._links["up"].arrivals(now + _EARLY_S):
            self._count_late(now - datagram.at)
            if (upward := self._upward_socket(datagram.peer)) is not None:
                with contextlib.suppress(BlockingIOError, ConnectionRefusedError):
                    upward.send(datagram.data)
        for datagram in self._links["down"].arrivals(now + _EARLY_S):
            self._count_late(now - datagram.at)
            with contextlib.suppress(BlockingIOError, ConnectionRefusedError):
                self._front.sendto(datagram.data, datagram.peer)

    def _upward_socket(self, client: tuple[str, int]) -> socket.socket | None:
        upward = self._upward.get(client)
        if upward is None and len(self._upward) < (1 if self._source else _CLIENTS):
            upward = _bound(self._source or (self._any_address(), 0))
            upward.connect(self._server)
            self._upward[client] = upward
            self._client[upward] = client
        return upward

    def _any_address(self) -> str:
        return "::" if ":" in self._server[0] else "0.0.0.0"

    def _count_late(self, late: float) -> None:
        self._left += 1
        self._late[0] = max(self._late[0], late)
        self._late[1] += abs(late)

    def counts(self) -> dict[str, Any]:
        """Return what became of the datagrams."""
        return {
            "up": attrs.asdict(self._links["up"].statistics()),
            "down": attrs.asdict(self._links["down"].statistics()),
            "clients": len(self._upward),
            "refused": self._refused,
            "late_max_ms": round(self._late[0] * 1e3, 3),
            "late_mean_ms": round(self._late[1] * 1e3 / max(1, self._left), 3),
            "cpu_s": round(time.process_time(), 3),
        }

    def close(self) -> None:
        for one in (self._front, *self._client):
            one.close()


def _bound(address: tuple[str, int]) -> socket.socket:
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_DGRAM)
    bound.setblocking(False)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 22)
    if sys.platform == "linux":
        bound.setsockopt(socket.SOL_SOCKET, _TIMESTAMPNS, 1)
    bound.bind(address)
    return bound


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)


def _outage(text: str) -> tuple[float, float]:
    start, _, end = text.partition(":")
    return float(start), float(end)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--listen", type=_address, required=True, metavar="HOST:PORT")
    parser.add_argument("--to", type=_address, required=True, metavar="HOST:PORT")
    parser.add_argument(
        "--source",
        type=_address,
        metavar="HOST:PORT",
        help="where the server sees the one client (for rendezvous)",
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float)
    for prefix in ("", "up-", "down-"):
        for name, _, text in _OPTIONS:
            if name == "outage":
                parser.add_argument(
                    f"--{prefix}{name}", type=_outage, action="append", help=text
                )
            else:
                kind = int if name == "queue" else float
                parser.add_argument(f"--{prefix}{name}", type=kind, help=text)
    return parser


def _conditions(options: argparse.Namespace, direction: str) -> Conditions:
    chosen: dict[str, Any] = {}
    for name, field, _ in _OPTIONS:
        attribute = name.replace("-", "_")
        for value in (
            getattr(options, attribute),
            getattr(options, f"{direction}_{attribute}"),
        ):
            if value is not None:
                chosen[field] = tuple(value) if name == "outage" else value
    return Conditions(**chosen)


@contextlib.contextmanager
def _until_told() -> Iterator[None]:
    """Let SIGTERM and SIGINT end the body."""

    def end(*_: object) -> None:
        raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    with contextlib.suppress(KeyboardInterrupt):
        yield


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    relay = Relay(
        options.listen,
        options.to,
        _conditions(options, "up"),
        _conditions(options, "down"),
        seed=options.seed,
        source=options.source,
    )
    with _until_told():
        print("ready", relay.port, flush=True)
        relay.run(options.seconds)
    print(json.dumps(relay.counts()), flush=True)
    relay.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
