"""``penstock demo``: a server that publishes a test picture with sound to itself."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import os
import signal
import socket
import subprocess
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from urllib.parse import quote

import attrs
import trio

from penstock import log
from penstock.config import Address, parse_address
from penstock.control import ListenerView
from penstock.settings import Settings

__all__ = [
    "demo_settings",
    "ffmpeg_command",
    "local_url",
    "publish_forever",
    "run",
    "with_free_ports",
]

_PICTURE = (
    "testsrc2=size=1280x720:rate=30,split[picture][copy];"
    # testsrc2 draws a small clock into its corner; enlarged, it can be read from
    # across a room, and the delay with it.
    "[copy]crop=100:18:2:2,scale=500:90:flags=neighbor[clock];"
    "[picture][clock]overlay=390:40"
)
_SOUND = "sine=frequency=440:beep_factor=4:sample_rate=48000,volume=0.4"
_STOP_S = 0.5


def demo_settings(settings: Settings) -> Settings:
    """Return ``settings`` with http, rtmp, srt, WebRTC and the SRS API alone."""
    return attrs.evolve(
        settings,
        rtmps=attrs.evolve(settings.rtmps, listen=""),
        metrics=attrs.evolve(settings.metrics, listen=""),
        ffmpeg=attrs.evolve(settings.ffmpeg, jobs=False),
        api=attrs.evolve(
            settings.api,
            srs=attrs.evolve(settings.api.srs, https_listen=""),
            live777=attrs.evolve(settings.api.live777, listen="", https_listen=""),
            datarhei=attrs.evolve(settings.api.datarhei, listen="", https_listen=""),
        ),
        relay=[],
    )


def with_free_ports(
    settings: Settings, is_busy: Callable[[Address], bool] | None = None
) -> tuple[Settings, list[str]]:
    """Return ``settings`` with port 0 for each busy one, and a sentence for each."""
    notes: list[str] = []

    def free(name: str, text: str, probe: Callable[[Address], bool] = _is_busy) -> str:
        if not text or not (is_busy or probe)(parse_address(text)):
            return text
        notes.append(f"{name} {text} is in use: taking a free port instead")
        return str(attrs.evolve(parse_address(text), port=0))

    srs = settings.api.srs
    changed = attrs.evolve(
        settings,
        http=attrs.evolve(
            settings.http, listen=free("http.listen", settings.http.listen)
        ),
        rtmp=attrs.evolve(
            settings.rtmp, listen=free("rtmp.listen", settings.rtmp.listen)
        ),
        webrtc=attrs.evolve(
            settings.webrtc,
            listen=free("webrtc.listen", settings.webrtc.listen, _is_busy_udp),
        ),
        srt=attrs.evolve(
            settings.srt, listen=free("srt.listen", settings.srt.listen, _is_busy_udp)
        ),
        api=attrs.evolve(
            settings.api,
            srs=attrs.evolve(srs, listen=free("api.srs.listen", srs.listen)),
        ),
    )
    return changed, notes


def _is_busy(address: Address) -> bool:
    if address.port == 0:
        return False
    for family, kind, protocol, _, where in socket.getaddrinfo(
        address.host, address.port, type=socket.SOCK_STREAM
    ):
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            try:
                probe.bind(where)
                # Two sockets may share an address until one of them listens.
                probe.listen(1)
            except OSError as error:
                # Anything else than "in use" is for the server itself to report.
                return error.errno == errno.EADDRINUSE
    return False


def _is_busy_udp(address: Address) -> bool:
    if address.port == 0:
        return False
    for family, kind, protocol, _, where in socket.getaddrinfo(
        address.host, address.port, type=socket.SOCK_DGRAM
    ):
        with socket.socket(family, kind, protocol) as probe:
            try:
                probe.bind(where)
            except OSError as error:
                return error.errno == errno.EADDRINUSE
    return False


def local_url(scheme: str, listener: ListenerView, path: str) -> str:
    """Return the URL under which this machine reaches ``listener``."""
    host = listener.address
    with contextlib.suppress(ValueError):
        address = ipaddress.ip_address(host)
        if address.is_unspecified:
            host = "127.0.0.1" if address.version == 4 else "::1"
    return f"{scheme}://{Address(host, listener.port)}{path}"


def ffmpeg_command(program: str, url: str) -> list[str]:
    """Return the command line that publishes the test picture to ``url``."""
    return [
        program, "-hide_banner", "-nostdin", "-loglevel", "error",
        "-re", "-f", "lavfi", "-i", _PICTURE,
        "-re", "-f", "lavfi", "-i", _SOUND,
        "-c:v", "libx264", "-preset", "superfast", "-tune", "zerolatency",
        "-profile:v", "main", "-pix_fmt", "yuv420p", "-bf", "0",
        "-g", "60", "-keyint_min", "60", "-sc_threshold", "0",
        "-b:v", "2500k", "-maxrate", "2500k", "-bufsize", "2500k",
        "-c:a", "aac", "-b:a", "128k", "-ac", "2",
        "-f", "flv", url,
    ]  # fmt: skip


async def publish_forever(command: Sequence[str], retry_s: float = 1.0) -> None:
    """Run ``command`` again whenever it ends; end its process group if cancelled.

    Args:
        command: The program and its arguments; no shell reads them.
        retry_s: Pause before it runs again.

    Raises:
        OSError: If it cannot be started at all.
    """
    while True:
        process = await trio.lowlevel.open_process(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            # A group of its own: Ctrl-C reaches the server alone, which then ends
            # the whole group.
            start_new_session=True,
        )
        try:
            said = await _last_words(process)
            code = await process.wait()
        finally:
            await _end_group(process)
        # A server that stops ends it too, and us within this pause: no news then.
        await trio.sleep(retry_s)
        log.warning("test picture ended, starting it again", code=code, said=said)


async def _last_words(process: trio.Process) -> str:
    tail = b""
    assert process.stderr is not None
    async with process.stderr:
        async for chunk in process.stderr:
            tail = (tail + bytes(chunk))[-500:]
    return tail.decode("utf-8", "replace").strip()


async def _end_group(process: trio.Process) -> None:
    for sign, patience in ((signal.SIGTERM, _STOP_S), (signal.SIGKILL, _STOP_S)):
        if process.poll() is not None:
            return
        # The leader has not been waited for, so its group id is still its own.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, sign)
        with trio.move_on_after(patience, shield=True):
            await process.wait()


async def run(
    settings: Settings,
    program: str,
    *,
    serve: Callable[[Callable[[list[ListenerView]], None]], Awaitable[int]],
    ready: Callable[[list[ListenerView]], None],
    say: Callable[[str], None],
) -> int:
    """Serve and publish until the server ends; return its exit code.

    Args:
        settings: What is served, for the token it may ask publishers for.
        program: FFmpeg.
        serve: Serves until it is told to stop; calls back once it is ready.
        ready: Called with what is bound, as the plain server would.
        say: Tells the person at the terminal one line.
    """
    tokens = settings.auth.publish_tokens
    query = f"?token={quote(tokens[0], safe='')}" if tokens else ""
    async with trio.open_nursery() as nursery:

        def start(listeners: list[ListenerView]) -> None:
            ready(listeners)
            bound = {listener.name: listener for listener in reversed(listeners)}
            if "rtmp" in bound:
                url = local_url("rtmp", bound["rtmp"], f"/live/demo{query}")
                command = ffmpeg_command(program, url)
                nursery.start_soon(partial(publish_forever, command))
            if "http" in bound:
                scheme = "https" if bound["http"].secure else "http"
                page = local_url(scheme, bound["http"], "/")
                say(f"Watch the test picture: {page}  (Ctrl-C ends it)")

        code = await serve(start)
        nursery.cancel_scope.cancel()
    return code
