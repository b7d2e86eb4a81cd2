"""Files in buckets of other people's servers.

nanio computes signatures by itself (and decodes names twice, so none here has a ``%``);
s3rver believes every signature.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

from penstock.storage.blocks import Block
from penstock.storage.errors import AccessDenied, FileMissing
from penstock.storage.s3 import S3FileSystem, S3Place, parse_s3_url

pytestmark = [pytest.mark.interop, pytest.mark.slow]


class Blocks(AsyncIterator[Block]):
    def __init__(self, *blocks: bytes) -> None:
        self._blocks = iter(blocks)

    async def __anext__(self) -> bytes:
        for block in self._blocks:
            return block
        raise StopAsyncIteration


@pytest.fixture(scope="session")
def s3rver_program(
    peer: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Fetch the server once."""
    folder = tmp_path_factory.mktemp("s3rver")
    options = ["--no-audit", "--no-fund", "--ignore-scripts"]
    subprocess.run(
        [peer("npm"), "install", *options, "s3rver@3.7.1"],
        cwd=folder,
        check=True,
        capture_output=True,
        timeout=110,
    )
    return folder / "node_modules" / "s3rver" / "bin" / "s3rver.js"


@pytest.fixture
def nanio(
    peer: Callable[[str], str],
    start: Callable[..., Any],
    wait_until: Callable[..., Any],
    tmp_path: Path,
) -> S3Place:
    # It takes no 0 for any port.
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    (tmp_path / "data" / "bucket").mkdir(parents=True)
    program = start(
        *(peer("nanio"), "serve", "--host", "127.0.0.1", "--port", str(port)),
        *("--data-dir", tmp_path / "data", "--region", "eu-1"),
        env={"NANIO_ACCESS_KEY": "AKID", "NANIO_SECRET_KEY": "not/to+be=shown"},
    )
    wait_until(lambda: "running on" in program.said, "nanio")
    place = parse_s3_url(
        f"http://AKID:not%2Fto%2Bbe%3Dshown@127.0.0.1:{port}/bucket/our%20own"
        "?name=s3&mount=/s3"
    )
    return attrs.evolve(place, region="eu-1")


@pytest.fixture
def s3rver(
    peer: Callable[[str], str],
    start: Callable[..., Any],
    wait_until: Callable[..., Any],
    s3rver_program: Path,
    tmp_path: Path,
) -> S3Place:
    program = start(
        *(peer("node"), s3rver_program, "--address", "127.0.0.1", "--port", "0"),
        *("--directory", tmp_path / "data", "--configure-bucket", "bucket"),
    )
    found = wait_until(lambda: re.search(r"127\S+:[1-9]\d+", program.said), "s3rver")
    return parse_s3_url(
        f"http://S3RVER:S3RVER@{found[0]}/bucket/our%20own?name=s3&mount=/s3"
    )


@pytest.fixture(params=["nanio", "s3rver"])
def place(request: pytest.FixtureRequest) -> S3Place:
    found: S3Place = request.getfixturevalue(request.param)
    return found


@pytest.mark.parametrize(
    "name", ["/a.m3u8", "/d/e f/ü+.ts", "/~a!*'();:@&=+$,?#[]", "/日本/𝄞.mp4"]
)
async def test_any_name_is_signed_as_the_server_does_it(
    place: S3Place, name: str
) -> None:
    files = S3FileSystem(place)
    await files.start()
    content = os.urandom(300_000)
    written = await files.write(name, Blocks(content))
    assert written.created
    assert await files.stat(name) == written.info
    assert await files.entries() == [written.info]
    async with await files.open(name) as file:
        assert b"".join([bytes(block) async for block in file.blocks()]) == content
    assert (await files.delete(name)).size == 300_000
    with pytest.raises(FileMissing):
        await files.stat(name)
    await files.aclose()


async def test_a_large_file_is_sent_in_parts_and_read_in_pieces(place: S3Place) -> None:
    content = os.urandom(1 << 20) * 20
    files = S3FileSystem(place)
    await files.start()
    pieces = (content[at : at + 300_000] for at in range(0, len(content), 300_000))
    written = await files.write(
        "/f", Blocks(*pieces), expected_size=len(content), admit=lambda old: None
    )
    assert written.info.size == len(content)
    async with await files.open("/f") as file:
        assert b"".join([bytes(block) async for block in file.blocks()]) == content
        part = [bytes(block) async for block in file.blocks(9_999_999, 10_500_000)]
        assert b"".join(part) == content[9_999_999:10_500_000]
    assert (await files.usage()).size_bytes == len(content)
    await files.aclose()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"access_key_id": "AKIX"}, "does not know the access key"),
        ({"secret_access_key": "other"}, "secret key or the region"),
    ],
)
async def test_a_wrong_key_is_told_from_a_wrong_secret(
    nanio: S3Place, change: dict[str, str], words: str
) -> None:
    files = S3FileSystem(attrs.evolve(nanio, **change))
    with pytest.raises(AccessDenied, match=words):
        await files.start()


async def test_a_playlist_is_replaced(place: S3Place) -> None:
    files = S3FileSystem(place)
    await files.start()
    for content in (b"", b"x", b"#EXTM3U"):
        await files.write("/live/a.m3u8", Blocks(content))
        async with await files.open("/live/a.m3u8") as file:
            assert b"".join([bytes(block) async for block in file.blocks()]) == content
    await files.aclose()
