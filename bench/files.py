"""Files over HTTP: how many bytes a second come and go on one core."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import statistics
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import psutil
from measures import Bench
from report import Result, Row, times
from servers import Server, free_port, listens, spawned, wait_until

__all__ = ["files"]

_FILE_BYTES = 4 << 20
_CONNECTIONS = 4
_TARGETS = {"GET, memory": 400.0, "GET, disk": 400.0, "PUT, memory": 200.0}
_HERE = Path(__file__).resolve().parent


# -- requests: any server that takes HTTP/1.1 on a kept connection ---------------------


class Connection:
    """A client that does as little as it can, so that the server is what limits."""

    def __init__(self, port: int) -> None:
        self._sock = socket.create_connection(("127.0.0.1", port))
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sock.settimeout(20.0)

    def get(self, path: str) -> None:
        """Fetch a file and let the kernel throw it away."""
        self._sock.sendall(f"GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n".encode())
        status, length, came = self._head()
        if status != 200 or length != _FILE_BYTES:
            raise RuntimeError(f"GET {path}: {status}, {length} octets")
        left = length - came
        while left:
            taken = self._sock.recv_into(
                memoryview(_SINK)[: min(left, len(_SINK))], 0, socket.MSG_TRUNC
            )
            if not taken:
                raise RuntimeError(f"GET {path} broke off")
            left -= taken

    def put(self, path: str) -> None:
        """Write a file."""
        head = f"PUT {path} HTTP/1.1\r\nHost: bench\r\nContent-Length: {_FILE_BYTES}"
        self._sock.sendall(f"{head}\r\n\r\n".encode())
        self._sock.sendall(_CONTENT)
        status, length, came = self._head()
        if status not in (201, 204) or length != came:
            raise RuntimeError(f"PUT {path}: {status}")

    def _head(self) -> tuple[int, int, int]:
        """Return status, announced length, and how much of the body came already."""
        data = b""
        while b"\r\n\r\n" not in data:
            part = self._sock.recv(4096)
            if not part:
                raise RuntimeError("the server hung up")
            data += part
        head, _, rest = data.partition(b"\r\n\r\n")
        lines = head.lower().split(b"\r\n")
        sizes = [line for line in lines if line.startswith(b"content-length:")]
        length = int(sizes[0].partition(b":")[2]) if sizes else 0
        return int(head[9:12]), length, len(rest)

    def close(self) -> None:
        """Hang up."""
        self._sock.close()


_CONTENT = os.urandom(_FILE_BYTES)
_SINK = bytearray(1 << 20)


def transfer(
    port: int, seconds: float, request: Callable[[Connection, int], None]
) -> float:
    """Return the MB/s of some connections that each ask again and again."""
    stop_at = time.monotonic() + seconds
    done = [0] * _CONNECTIONS
    failures: list[Exception] = []

    def ask(number: int) -> None:
        connection = Connection(port)
        try:
            while time.monotonic() < stop_at:
                request(connection, number)
                done[number] += _FILE_BYTES
        except (OSError, RuntimeError) as failure:
            failures.append(failure)
        finally:
            connection.close()

    start = time.monotonic()
    threads = [threading.Thread(target=ask, args=(n,)) for n in range(_CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return sum(done) / 1e6 / (time.monotonic() - start)


# -- servers --------------------------------------------------------------------------


@attrs.frozen
class FileServer:
    """A server of files and where its files are."""

    server: Server
    places: dict[str, str]
    """Prefix of the paths, by what is measured there."""


@contextlib.contextmanager
def mounts(bench: Bench) -> Iterator[FileServer]:
    """Run penstock's mounts in a process of their own (`files_server`)."""
    root = bench.folder / "mount"
    command = [sys.executable, str(_HERE / "files_server.py"), str(root)]
    log = bench.folder / "mounts.log"
    with spawned(
        command, bench.cores.server, log=log, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline() or b"0")
        if not port:
            raise RuntimeError("the mounts do not start; their log says why")
        server = Server("penstock", psutil.Process(process.pid), 0, http_port=port)
        yield FileServer(server, {"memory": "/memfs", "disk": "/disk"})


@contextlib.contextmanager
def nginx_files(bench: Bench) -> Iterator[FileServer]:
    """Run nginx with one worker over a folder: `sendfile`, and its DAV module."""
    root = bench.folder / "nginx-files"
    root.mkdir(exist_ok=True)
    port = free_port()
    conf = bench.folder / "nginx-files.conf"
    user = "user root;" if os.geteuid() == 0 else ""
    temporary = "\n".join(
        f"{kind}_temp_path {bench.folder}/{kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    conf.write_text(
        textwrap.dedent(f"""
        {user}
        daemon off;
        worker_processes 1;
        pid {bench.folder}/nginx-files.pid;
        error_log {bench.folder}/nginx-files.log error;
        events {{ worker_connections 256; }}
        http {{
            access_log off;
            {temporary}
            sendfile on; tcp_nopush on; keepalive_requests 1000000;
            client_max_body_size 0; client_body_buffer_size 8m;
            server {{
                listen 127.0.0.1:{port};
                root {root};
                location / {{ dav_methods PUT DELETE; create_full_put_path on; }}
            }}
        }}
        """)
    )
    command = ["nginx", "-p", str(bench.folder), "-c", str(conf)]
    log = bench.folder / "nginx-files.out"
    with spawned(command, bench.cores.server, log=log) as process:
        wait_until(lambda: listens(port), process)
        worker = psutil.Process(process.pid).children()[0]
        yield FileServer(Server("nginx", worker, 0, http_port=port), {"disk": ""})


# -- the measurement ------------------------------------------------------------------


@attrs.frozen
class Seen:
    """One look."""

    mb_per_s: float
    cpu_ms_per_mb: float


def _look(bench: Bench, running: FileServer, seconds: float) -> dict[str, Seen]:
    seen = {}
    server = running.server
    for place, prefix in running.places.items():
        for method in ("PUT", "GET"):

            def ask(
                connection: Connection,
                number: int,
                method: str = method,
                prefix: str = prefix,
            ) -> None:
                path = f"{prefix}/file{number}"
                (connection.put if method == "PUT" else connection.get)(path)

            transfer(server.http_port, seconds / 5, ask)  # to warm up
            cpu, start = server.cpu_s(), time.monotonic()
            rate = transfer(server.http_port, seconds, ask)
            moved = rate * (time.monotonic() - start)
            used = 1000 * (server.cpu_s() - cpu) / moved
            seen[f"{method}, {place}"] = Seen(rate, used)
    return seen


def files(bench: Bench) -> Result:
    """Files of 4 MB from memory and disk, and into them."""
    has_nginx = shutil.which("nginx") is not None
    ours: list[dict[str, Seen]] = []
    theirs: list[dict[str, Seen]] = []
    for _ in range(1 if bench.quick else 3):
        with mounts(bench) as running:
            ours.append(_look(bench, running, bench.seconds(5.0)))
        if has_nginx:
            with nginx_files(bench) as running:
                theirs.append(_look(bench, running, bench.seconds(5.0)))
    rows, notes = [], []
    for what in ("GET, memory", "GET, disk", "PUT, memory", "PUT, disk"):
        # nginx has no files in memory but those that the kernel keeps there.
        peer_what = what.replace("memory", "disk")
        rate, cpu = _median(ours, what)
        target = _TARGETS.get(what)
        peer_rate = _median(theirs, peer_what)[0] if theirs else None
        rows.append(
            Row(
                what,
                f"{rate:,.0f} MB/s",
                "not here" if peer_rate is None else f"{peer_rate:,.0f} MB/s",
                "" if peer_rate is None else times(rate / peer_rate),
                "" if target is None else f"at least {target:g} MB/s",
                None if target is None else rate >= target,
            )
        )
        notes.append(f"{what} {cpu:.2f}")
    peer_notes = [
        f"{what} {_median(theirs, what)[1]:.2f}"
        for what in ("GET, disk", "PUT, disk")
        if theirs
    ]
    return Result(
        "Files over HTTP",
        f"Files of 4 MB (4,194,304 octets) on {_CONNECTIONS} kept connections, without "
        "TLS. The mounts run in a process of their own, hosted as the server hosts "
        "its applications. The disk is what the kernel keeps of it in memory.",
        rows,
        peer="nginx",
        notes=[
            f"Processor time of the server in ms for each MB: {'; '.join(notes)}"
            + (f"; nginx {'; '.join(peer_notes)}" if peer_notes else "")
            + ".",
            "nginx sends by `sendfile` and takes PUT by its DAV module, by way of a "
            "temporary file; it has one worker.",
        ],
    )


def _median(rounds: list[dict[str, Seen]], what: str) -> tuple[float, float]:
    return (
        statistics.median(seen[what].mb_per_s for seen in rounds),
        statistics.median(seen[what].cpu_ms_per_mb for seen in rounds),
    )
