"""Mounts for programs to write into and play from; prints its port.

/memfs is files in memory that a password opens for writing; /hls is the same files with
HLS viewers counted, as /viewers lists them; / is the folder that is the only argument.
"""

from __future__ import annotations

import json
import secrets
import socket
import sys
from pathlib import Path
from typing import Any

import attrs
import trio

from penstock.net.http_host import HttpHost, PathSwitch
from penstock.net.listener import accept_forever, bind_tcp
from penstock.net.wire import Wire
from penstock.storage.disk import DiskFileSystem
from penstock.storage.memory import MemoryFileSystem
from penstock.web.file_mounts import FileMount
from penstock.web.hls_viewers import HlsViewerLimits, HlsViewers
from penstock.web.mount_rules import MountRules


async def main(folder: Path) -> None:
    memory, disk = MemoryFileSystem(limit_bytes=256 << 20), DiskFileSystem(folder)
    await disk.start()
    viewers = HlsViewers(HlsViewerLimits, lambda: (), secrets.token_bytes)
    guarded = MountRules(
        is_writable=True,
        credentials=lambda: ("admin", "se:cret"),
        cors_origins=lambda: ("*",),
    )
    readable = MountRules(cors_origins=lambda: ("*",))
    at_root = MountRules(index="index.html", local_directory=str(folder))

    async def list_viewers(scope: Any, receive: Any, send: Any) -> None:
        body = json.dumps([attrs.asdict(view) for view in viewers.views()]).encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})

    mounts = [
        FileMount(memory, "/memfs", guarded),
        FileMount(memory, "/hls", readable, viewers=viewers),
    ]
    others = [(mount.owns, mount) for mount in mounts]
    root = FileMount(disk, "", at_root)
    host = HttpHost(
        PathSwitch(root, [(b"/viewers".__eq__, list_viewers), *others]),
    )
    listener = bind_tcp("127.0.0.1:0")

    async def serve(sock: socket.socket) -> None:
        await host.serve(Wire(sock))

    async with trio.open_nursery() as nursery:
        await nursery.start(host.run)
        print(listener.getsockname()[1], flush=True)
        await accept_forever(listener, serve, nursery, lambda error: None)


if __name__ == "__main__":
    trio.run(main, Path(sys.argv[1]))
