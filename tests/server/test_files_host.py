"""Viewers of HLS that jobs write are counted."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import attrs
import httpx

from penstock.files_host import FilesHost
from penstock.job_service import JobService
from penstock.settings import (
    ApiSettings,
    DatarheiApiSettings,
    Settings,
    StorageSettings,
)
from penstock.startup import nothing

PLAYLIST = b"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\na0.ts\n"


async def once(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def test_who_plays_a_list_and_its_segment_is_a_viewer(tmp_path: Path) -> None:
    settings = attrs.evolve(Settings(), storage=StorageSettings(dir=str(tmp_path)))
    async with JobService.opened(settings) as service:
        await service.memory.write("/a.m3u8", once(PLAYLIST))
        await service.memory.write("/a0.ts", once(b"G" * 188))
        host = FilesHost(service, lambda: settings, lambda _, __: "203.0.113.5")
        assert b"penstock_hls_viewers 0.0" in await host.exposition()
        transport = httpx.ASGITransport(host.serve_public)
        async with httpx.AsyncClient(
            transport=transport, base_url="http://penstock"
        ) as http:
            master = (await http.get("/memfs/a.m3u8")).text
            media = (await http.get("/memfs/" + last_line(master))).text
            assert b"penstock_hls_viewers 0.0" in await host.exposition()
            segment = await http.get("/memfs/" + last_line(media))
        assert segment.content == b"G" * 188
        assert b"penstock_hls_viewers 1.0" in await host.exposition()
        (row,) = host.rows()
        assert (row.reference, row.bytes_tx > 188) == ("a", True)


async def test_limits_and_who_is_ignored_are_as_configured(tmp_path: Path) -> None:
    api = DatarheiApiSettings(ignored_networks=["203.0.113.0/24"], max_viewers=1)
    settings = attrs.evolve(
        Settings(),
        storage=StorageSettings(dir=str(tmp_path)),
        api=ApiSettings(datarhei=api),
    )
    clients = ["203.0.113.5"]
    async with JobService.opened(settings) as service:
        await service.memory.write("/a.m3u8", once(PLAYLIST))
        host = FilesHost(service, lambda: settings, lambda _, __: clients[0])
        transport = httpx.ASGITransport(host.serve_public)
        async with httpx.AsyncClient(
            transport=transport, base_url="http://penstock"
        ) as http:
            assert (await http.get("/memfs/a.m3u8")).content == PLAYLIST
            clients[0] = "127.0.0.1"
            master = (await http.get("/memfs/a.m3u8")).text
            assert "?session=" in master
            await http.get("/memfs/" + last_line(master))
            assert (await http.get("/memfs/a.m3u8")).status_code == 509


# Who may write into memory need not be one who may use the API; who may write to the
# disk is, and restreamer-ui keeps pages with players there.
async def test_pages_in_memory_have_no_part_in_the_api(tmp_path: Path) -> None:
    settings = attrs.evolve(Settings(), storage=StorageSettings(dir=str(tmp_path)))
    async with JobService.opened(settings) as service:
        for files in (service.memory, service.disk):
            await files.write("/a.html", once(b"<script></script>"))
        host = FilesHost(service, lambda: settings, lambda _, __: "203.0.113.5")
        for app, path, box in (
            (host.serve_public, "/memfs/a.html", "sandbox"),
            (host.beside(nothing), "/memfs/a.html", "sandbox"),
            (host.beside(nothing), "/a.html", None),
        ):
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(
                transport=transport, base_url="http://penstock"
            ) as http:
                answer = await http.get(path)
            assert answer.headers["Content-Type"] == "text/html"
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers.get("Content-Security-Policy") == box


def last_line(playlist: str) -> str:
    return str(re.findall(r"^[^#\n].*", playlist, re.M)[-1])
