"""A server of two mounts and nothing else, hosted as the real one hosts applications.

    python bench/files_server.py FOLDER

serves /memfs from memory and /disk from FOLDER, both open for writing, and prints its
port. `net.http_host` runs it over `net.wire`: what is measured is what a mount of the
real server costs.
"""

from __future__ import annotations

import gc
import socket
import sys
from pathlib import Path

import trio

from penstock.net.http_host import HttpHost, PathSwitch
from penstock.net.listener import accept_forever, bind_tcp
from penstock.net.wire import Wire
from penstock.storage.disk import DiskFileSystem
from penstock.storage.memory import MemoryFileSystem
from penstock.web.file_mounts import FileMount
from penstock.web.mount_rules import MountRules


async def main(folder: Path) -> None:
    """Serve until killed."""
    disk = DiskFileSystem(folder)
    await disk.start()
    rules = MountRules(is_writable=True)
    mounts = [
        FileMount(MemoryFileSystem(limit_bytes=1 << 30), "/memfs", rules),
        FileMount(disk, "/disk", rules),
    ]
    host = HttpHost(PathSwitch(mounts[0], [(mount.owns, mount) for mount in mounts]))
    listener = bind_tcp("127.0.0.1:0")

    async def serve(sock: socket.socket) -> None:
        await host.serve(Wire(sock))

    async with trio.open_nursery() as nursery:
        await nursery.start(host.run)
        print(listener.getsockname()[1], flush=True)
        gc.freeze()
        await accept_forever(listener, serve, nursery, lambda error: None)


if __name__ == "__main__":
    trio.run(main, Path(sys.argv[1]))
