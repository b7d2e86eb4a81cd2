"""Janus, the peer of WebRTC: its streaming plugin, fed by FFmpeg over RTP."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
from clip import ffmpeg
from servers import Cores, Server, free_port, listens, spawned, wait_until

from penstock.convert.frames_to_rtp import MAX_PAYLOAD

__all__ = ["MOUNTPOINT", "janus", "janus_version", "own_address"]

MOUNTPOINT = 1
_PACKET = MAX_PAYLOAD + 12
"""Octets of a packet, as penstock cuts them."""
_LIBRARIES = Path("/usr/lib/x86_64-linux-gnu/janus")
_GENERAL = """
general: {{
    configs_folder = "{folder}"
    plugins_folder = "{folder}/plugins"
    transports_folder = "{folder}/transports"
    events_folder = "{folder}/none"
    loggers_folder = "{folder}/none"
    debug_level = 3
    session_timeout = 0
}}
media: {{ rtp_port_range = "20000-29999" }}
nat: {{ ice_enforce_list = "{address}" }}
events: {{ stats_period = 0 }}
"""
_HTTP = """
general: {{ base_path = "/janus", http = true, https = false, port = {port},
    ip = "127.0.0.1", json = "plain" }}
admin: {{ admin_http = false, admin_https = false }}
"""
_STREAMING = """
bench: {{
    type = "rtp", id = {mountpoint}, audio = false, video = true,
    videoport = {rtp_port}, videoiface = "127.0.0.1", videopt = 96,
    videocodec = "h264",
    videofmtp = "profile-level-id=42e01f;packetization-mode=1"
}}
"""


def own_address() -> str:
    """Return an IPv4 address of this machine, or "" if it has only the loopback one.

    Janus (libnice) offers no loopback address; what goes to another address of the
    machine itself takes the loopback interface all the same.
    """
    for addresses in psutil.net_if_addrs().values():
        for one in addresses:
            if one.family == socket.AF_INET and not one.address.startswith("127."):
                return str(one.address)
    return ""


def janus_version() -> str:
    """Return which Janus there is, or ""."""
    if shutil.which("janus") is None or not own_address():
        return ""
    query = ["dpkg-query", "-W", "-f", "${Version}", "janus"]
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        package = subprocess.run(
            query, capture_output=True, text=True, check=True, timeout=10
        ).stdout
        return f"Janus {package}"
    return "Janus"


@contextlib.contextmanager
def janus(folder: Path, cores: Cores, clip: Path) -> Iterator[tuple[Server, str]]:
    """Run Janus with one stream, the clip's pictures; give its address too.

    It has nothing but HTTP and the streaming plugin.
    """
    home = folder / "janus"
    shutil.rmtree(home, ignore_errors=True)
    for part, library in (
        ("plugins", "libjanus_streaming.so"),
        ("transports", "libjanus_http.so"),
    ):
        (home / part).mkdir(parents=True)
        (home / part / library).symlink_to(_LIBRARIES / part / library)
    port, rtp_port = free_port(), free_port() & ~1
    values = {
        "folder": home,
        "address": own_address(),
        "port": port,
        "rtp_port": rtp_port,
        "mountpoint": MOUNTPOINT,
    }
    for name, text in (
        ("janus.jcfg", _GENERAL),
        ("janus.transport.http.jcfg", _HTTP),
        ("janus.plugin.streaming.jcfg", _STREAMING),
    ):
        (home / name).write_text(text.format(**values))
    command = ["janus", "-F", str(home), "-C", str(home / "janus.jcfg")]
    feed = [ffmpeg(), "-v", "error", "-nostdin", "-re", "-stream_loop", "-1"]
    feed += ["-i", str(clip), "-an", "-c", "copy", "-payload_type", "96"]
    feed += ["-f", "rtp", f"rtp://127.0.0.1:{rtp_port}?pkt_size={_PACKET}"]
    with spawned(command, cores.server, log=folder / "janus.log") as process:
        wait_until(lambda: listens(port), process)
        with spawned(
            feed, cores.load, log=folder / "ffmpeg.log", stdout=subprocess.DEVNULL
        ):
            server = Server("Janus", psutil.Process(process.pid), rtmp_port=0)
            yield server, f"http://127.0.0.1:{port}/janus"
