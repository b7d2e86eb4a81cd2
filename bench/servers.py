"""The servers under test, each a child process on a core of its own."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import attrs
import psutil

__all__ = [
    "Cores",
    "Load",
    "Server",
    "free_port",
    "listens",
    "nginx",
    "nginx_version",
    "penstock",
    "spawned",
    "wait_until",
]

_HERE = Path(__file__).resolve().parent
_START_S = 20.0
_STOP_S = 8.0
_NGINX_MODULES = (
    Path("/usr/lib/nginx/modules/ngx_rtmp_module.so"),
    Path("/usr/lib64/nginx/modules/ngx_rtmp_module.so"),
)


@attrs.frozen
class Cores:
    """Who runs where."""

    server: frozenset[int]
    load: frozenset[int]

    @classmethod
    def split(cls) -> Cores:
        """Give the server the first core and the load all others."""
        first, *rest = sorted(os.sched_getaffinity(0))
        return cls(frozenset((first,)), frozenset(rest or (first,)))


@attrs.frozen
class Server:
    """A server that runs."""

    name: str
    process: psutil.Process
    """The one that does the work."""
    rtmp_port: int
    http_port: int = 0
    api_port: int = 0
    metrics_port: int = 0
    srt_port: int = 0
    jobs_port: int = 0
    """Of the API that makes jobs, if it was switched on."""

    def cpu_s(self) -> float:
        """Return the processor time used so far, user and system, all threads.

        The kernel's clock of the process: the scheduler's own sum in nanoseconds, not
        the 10 ms ticks of /proc/PID/stat.
        """
        # CPUCLOCK_SCHED of a foreign process, as clock_getcpuclockid(3) makes it.
        return time.clock_gettime((~self.process.pid << 3) | 2)

    def rss(self) -> int:
        """Return the resident memory in octets."""
        return int(self.process.memory_info().rss)


@contextlib.contextmanager
def spawned(
    command: list[str],
    cores: frozenset[int],
    *,
    log: Path | None = None,
    stdin: int = subprocess.DEVNULL,
    stdout: int | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program on some cores; it is ended when the block is left."""
    with contextlib.ExitStack() as stack:
        sink: IO[bytes] | int = subprocess.DEVNULL
        if log is not None:
            sink = stack.enter_context(log.open("ab"))
        process = subprocess.Popen(
            command,
            stdin=stdin,
            stdout=sink if stdout is None else stdout,
            stderr=sink,
            preexec_fn=lambda: os.sched_setaffinity(0, cores),
        )
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def wait_until(condition: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    """Wait until a program is ready; raise if it ends or takes too long."""
    deadline = time.monotonic() + _START_S
    while not condition():
        if process.poll() is not None:
            raise RuntimeError(f"{process.args!r} ended with {process.returncode}")
        if time.monotonic() > deadline:
            raise RuntimeError(f"{process.args!r} does not start")
        time.sleep(0.02)


@contextlib.contextmanager
def penstock(
    folder: Path, cores: Cores, settings: dict[str, str], *, probe: Path | None = None
) -> Iterator[Server]:
    """Run penstock.

    Args:
        folder: For its ready file and its log.
        cores: Where.
        settings: Beyond the addresses, as ``--set`` takes them.
        probe: Where its loop's stopwatch writes to (`probed`), if it shall have one.
    """
    ready = folder / "ready.json"
    ready.unlink(missing_ok=True)
    command = [sys.executable, "-m", "penstock"]
    if probe is not None:
        command = [sys.executable, str(_HERE / "probed.py"), str(probe)]
    command += ["serve", "--ready-file", str(ready)]
    listens = ("rtmp", "http", "webrtc", "srt", "api.srs", "metrics")
    chosen = {f"{name}.listen": "127.0.0.1:0" for name in listens} | settings
    chosen.setdefault("api.live777.listen", "")
    chosen.setdefault("api.datarhei.listen", "")
    chosen.setdefault("storage.dir", str(folder / "state"))
    for key, value in chosen.items():
        command += ["--set", f"{key}={value}"]
    with spawned(command, cores.server, log=folder / "penstock.log") as process:
        wait_until(lambda: ready.exists() and bool(ready.read_text()), process)
        listeners = json.loads(ready.read_text())["listeners"]
        ports = {listener["name"]: listener["port"] for listener in listeners}
        yield Server(
            "penstock",
            psutil.Process(process.pid),
            rtmp_port=ports["rtmp"],
            http_port=ports["http"],
            api_port=ports["api.srs"],
            metrics_port=ports["metrics"],
            srt_port=ports["srt"],
            jobs_port=ports.get("api.datarhei", 0),
        )


def _nginx_module() -> Path | None:
    if shutil.which("nginx") is None:
        return None
    return next((path for path in _NGINX_MODULES if path.exists()), None)


def nginx_version() -> str:
    """Return which nginx there is with its RTMP module, or ""."""
    if _nginx_module() is None:
        return ""
    shown = subprocess.run(
        ["nginx", "-v"], capture_output=True, text=True, check=True, timeout=10
    ).stderr
    version = shown.strip().rpartition("/")[2]
    query = ["dpkg-query", "-W", "-f", "${Version}", "libnginx-mod-rtmp"]
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        package = subprocess.run(
            query, capture_output=True, text=True, check=True, timeout=10
        ).stdout
        return f"nginx {version} with libnginx-mod-rtmp {package}"
    return f"nginx {version} with its RTMP module"


def free_port() -> int:
    """Return a TCP port that nobody has now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def listens(port: int) -> bool:
    """Tell whether somebody listens."""
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


@contextlib.contextmanager
def nginx(folder: Path, cores: Cores, *, chunk_size: int = 60_000) -> Iterator[Server]:
    """Run nginx-rtmp with one worker, set as fast as it goes for live streams."""
    port = free_port()
    conf = folder / "nginx.conf"
    user = "user root;" if os.geteuid() == 0 else ""
    conf.write_text(f"""
        load_module {_nginx_module()};
        {user}
        daemon off;
        worker_processes 1;
        worker_rlimit_nofile 16384;
        pid {folder}/nginx.pid;
        error_log {folder}/nginx.log error;
        events {{ worker_connections 8192; }}
        rtmp {{
            access_log off;
            server {{
                listen 127.0.0.1:{port};
                chunk_size {chunk_size};
                application live {{
                    live on; wait_key off; interleave off;
                }}
            }}
        }}
    """)
    command = ["nginx", "-p", str(folder), "-c", str(conf)]
    with spawned(command, cores.server, log=folder / "nginx.out") as process:
        wait_until(lambda: listens(port), process)
        master = psutil.Process(process.pid)
        yield Server("nginx-rtmp", master.children()[0], rtmp_port=port)


class Load:
    """The load process (`load`) and how to talk to it."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    @classmethod
    @contextlib.contextmanager
    def running(
        cls, folder: Path, cores: Cores, script: str = "load.py"
    ) -> Iterator[Load]:
        """Start a load process; it is ended when the block is left."""
        command = [sys.executable, str(_HERE / script)]
        with spawned(
            command,
            cores.load,
            log=folder / "load.log",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as process:
            yield cls(process)

    def ask(self, do: str, **arguments: object) -> dict[str, object]:
        """Give one command and return the answer."""
        source, sink = self._process.stdout, self._process.stdin
        assert source is not None
        assert sink is not None
        sink.write(json.dumps({"do": do, **arguments}).encode() + b"\n")
        sink.flush()
        line = source.readline()
        if not line:
            raise RuntimeError("the load process has ended; its log says why")
        answer: dict[str, object] = json.loads(line)
        return answer
