from __future__ import annotations

import base64
import gzip
import json
import re
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.storage.blocks import Block
from penstock.storage.disk import DiskFileSystem
from penstock.storage.errors import StorageError
from penstock.storage.file_system import FileInfo, FileSystem, OpenFile
from penstock.storage.memory import MemoryFileSystem
from penstock.web.file_mounts import FileMount
from penstock.web.file_requests import ErrorAnswer, FileFailure
from penstock.web.mount_rules import MountRules

if TYPE_CHECKING:
    from tests.server.web.conftest import AsgiClient

WRITABLE = MountRules(is_writable=True)
GUARDED = MountRules(is_writable=True, credentials=lambda: ("admin", "secret"))
RIGHT = {"Authorization": "Basic " + base64.b64encode(b"admin:secret").decode()}
FIELDS = [
    "Accept-Encoding",
    "Authorization",
    "Content-Length",
    "Content-Range",
    "Host",
    "If-Match",
    "If-None-Match",
    "If-Range",
    "Origin",
    "Range",
]
TEXT = b"#EXTM3U\n" + b"#EXTINF:2,\nsegment-of-a-stream.ts\n" * 100


@pytest.fixture(params=["memory", "disk"])
async def files(request: pytest.FixtureRequest, tmp_path: Path) -> FileSystem:
    if request.param == "memory":
        return MemoryFileSystem(limit_bytes=100_000)
    files = DiskFileSystem(tmp_path / "root", limit_bytes=100_000)
    await files.start()
    return files


@pytest.fixture
def client_of(
    asgi_client: type[AsgiClient], files: FileSystem
) -> Callable[..., AsgiClient]:
    def make(rules: MountRules = WRITABLE, prefix: str = "/memfs") -> AsgiClient:
        return asgi_client(FileMount(files, prefix, rules))

    return make


@pytest.fixture
def client(client_of: Callable[..., AsgiClient]) -> AsgiClient:
    return client_of()


# -- writing and reading ---------------------------------------------------------------


@pytest.mark.parametrize("method", ["PUT", "POST"])
async def test_what_is_written_can_be_read(client: AsgiClient, method: str) -> None:
    made = await client.ask(method, "/memfs/a/b.ts", body=[b"one", b"", b"two"])
    assert (made.status, made.is_whole, made.body) == (201, True, b"")
    replaced = await client.ask(method, "/memfs/a/b.ts", body=[b"three"])
    assert replaced.status == 204
    answer = await client.ask("GET", "/memfs/a/b.ts")
    assert (answer.status, answer.body, answer.is_whole) == (200, b"three", True)
    assert answer.header("Content-Type") == "video/MP2T"
    assert answer.header("Content-Length") == "5"
    assert answer.header("Accept-Ranges") == "bytes"
    assert answer.header("X-Content-Type-Options") == "nosniff"
    assert answer.header("Last-Modified") is not None
    assert answer.header("Cache-Control") is None
    assert answer.header("ETag") == replaced.header("ETag")


async def test_an_empty_file_is_a_file(client: AsgiClient) -> None:
    assert (await client.ask("PUT", "/memfs/empty")).status == 201
    answer = await client.ask("GET", "/memfs/empty")
    assert (answer.status, answer.body) == (200, b"")
    assert answer.header("Content-Length") == "0"


async def test_head_is_get_without_the_body(client: AsgiClient) -> None:
    for path in ("/memfs/a.ts", "/memfs/a.m3u8"):
        await client.ask("PUT", path, body=[TEXT])
        for headers in ({}, {"Accept-Encoding": "gzip"}):
            got = await client.ask("GET", path, headers)
            head = await client.ask("HEAD", path, headers)
            assert (head.status, head.body) == (200, b"")
            assert head.fields == got.fields
    missing = await client.ask("HEAD", "/memfs/b")
    assert (missing.status, missing.body) == (404, b"")


async def test_a_file_is_deleted_once(client: AsgiClient) -> None:
    await client.ask("PUT", "/memfs/a", body=[b"x"])
    assert (await client.ask("DELETE", "/memfs/a")).status == 204
    assert (await client.ask("DELETE", "/memfs/a")).status == 404
    assert (await client.ask("GET", "/memfs/a")).status == 404


@pytest.mark.parametrize(
    ("value", "status", "body", "content_range"),
    [
        ("bytes=0-3", 206, b"0123", "bytes 0-3/10"),
        ("bytes=4-", 206, b"456789", "bytes 4-9/10"),
        ("bytes=-2", 206, b"89", "bytes 8-9/10"),
        ("bytes=5-99", 206, b"56789", "bytes 5-9/10"),
        ("bytes=0-1,4-5", 200, b"0123456789", None),
        ("bytes=3-1", 200, b"0123456789", None),
        ("bytes=10-", 416, None, "bytes */10"),
    ],
)
async def test_a_part_is_sent(
    client: AsgiClient,
    value: str,
    status: int,
    body: bytes | None,
    content_range: str | None,
) -> None:
    await client.ask("PUT", "/memfs/a.ts", body=[b"01234", b"56789"])
    answer = await client.ask("GET", "/memfs/a.ts", {"Range": value})
    assert answer.status == status
    if body is not None:
        assert answer.body == body
        assert answer.header("Content-Length") == str(len(body))
    assert answer.header("Content-Range") == content_range


async def test_what_the_client_has_is_not_sent_again(
    client_of: Callable[..., AsgiClient], asgi_client: type[AsgiClient]
) -> None:
    files = MemoryFileSystem()
    client = asgi_client(FileMount(files, "/memfs", WRITABLE))
    await client.ask("PUT", "/memfs/a.m3u8", body=[TEXT])
    tag = (await client.ask("GET", "/memfs/a.m3u8")).header("ETag")
    assert tag is not None
    for headers in (
        {"If-None-Match": tag},
        {"If-None-Match": tag, "Accept-Encoding": "gzip"},
    ):
        answer = await client.ask("GET", "/memfs/a.m3u8", headers)
        assert (answer.status, answer.body) == (304, b"")
        assert answer.header("Cache-Control") == "no-cache"
        assert answer.header("Content-Length") is None
        assert answer.header("Content-Encoding") is None
    await client.ask("PUT", "/memfs/a.m3u8", body=[TEXT + b"#"])
    answer = await client.ask("GET", "/memfs/a.m3u8", {"If-None-Match": tag})
    assert (answer.status, answer.body) == (200, TEXT + b"#")
    stale = await client.ask("GET", "/memfs/a.m3u8", {"If-Match": tag})
    assert stale.status == 412


async def test_a_write_can_depend_on_what_is_there(
    asgi_client: type[AsgiClient],
) -> None:
    client = asgi_client(FileMount(MemoryFileSystem(), "/memfs", WRITABLE))
    new = {"If-None-Match": "*"}
    assert (await client.ask("PUT", "/memfs/a", new, [b"1"])).status == 201
    assert (await client.ask("PUT", "/memfs/a", new, [b"2"])).status == 412
    tag = (await client.ask("GET", "/memfs/a")).header("ETag") or ""
    assert (await client.ask("DELETE", "/memfs/a", {"If-Match": '"x"'})).status == 412
    assert (
        await client.ask("PUT", "/memfs/a", {"If-Match": tag}, [b"3"])
    ).status == 204
    assert (
        await client.ask("PUT", "/memfs/a", {"If-Match": tag}, [b"4"])
    ).status == 412
    assert (await client.ask("GET", "/memfs/a")).body == b"3"


async def test_of_many_that_want_a_new_name_one_wins(
    asgi_client: type[AsgiClient],
) -> None:
    client = asgi_client(FileMount(MemoryFileSystem(), "/memfs", WRITABLE))
    statuses = []

    async def put(number: int) -> None:
        body = [bytes([number])] * 3
        answer = await client.ask("PUT", "/memfs/a", {"If-None-Match": "*"}, body)
        statuses.append(answer.status)

    async with trio.open_nursery() as nursery:
        for number in range(20):
            nursery.start_soon(put, number)
    assert sorted(statuses) == [201] + [412] * 19


# RFC 9110 §14.5: a part that is put must not become the whole.
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Range": "bytes 0-1/9"}, 400),
        ({"Content-Encoding": "gzip"}, 415),
        ({"Content-Encoding": "identity"}, 201),
        ({"Content-Length": "3"}, 400),
        ({"Content-Length": "1"}, 400),
        ({"Content-Length": "2"}, 201),
        ({"Content-Length": "100001"}, 413),
        ({"Content-Length": "9" * 5000}, 413),
    ],
)
async def test_only_whole_files_are_written(
    client: AsgiClient, headers: dict[str, str], status: int
) -> None:
    answer = await client.ask("PUT", "/memfs/a", headers, [b"12"])
    assert answer.status == status
    there = (await client.ask("GET", "/memfs/a")).status
    assert there == (200 if status == 201 else 404)


async def test_a_write_that_breaks_off_leaves_nothing(
    client: AsgiClient, files: FileSystem
) -> None:
    await client.ask("PUT", "/memfs/a", body=[b"old"])
    answer = await client.ask("PUT", "/memfs/a", body=[b"new"], breaks_off=True)
    assert answer.status == 0
    assert (await client.ask("GET", "/memfs/a")).body == b"old"
    assert (await files.usage()).under_way_bytes == 0


async def test_a_full_storage_says_so(client: AsgiClient) -> None:
    assert (await client.ask("PUT", "/memfs/a", body=[b"x" * 90_000])).status == 201
    assert (await client.ask("PUT", "/memfs/b", body=[b"x" * 20_000])).status == 507
    assert (await client.ask("PUT", "/memfs/c", body=[b"x"] * 3)).status == 201


# -- who may ---------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE"])
async def test_a_write_needs_the_password(
    client_of: Callable[..., AsgiClient], method: str
) -> None:
    client = client_of(GUARDED)
    await client.ask("PUT", "/memfs/a", RIGHT, [b"x"])
    wrong = {"Authorization": "Basic " + base64.b64encode(b"admin:wrong").decode()}
    for headers in ({}, wrong):
        answer = await client.ask(method, "/memfs/a", headers, [b"y"])
        assert answer.status == 401
        assert answer.header("WWW-Authenticate") == 'Basic realm="Restricted"'
    assert (await client.ask("GET", "/memfs/a")).body == b"x"
    assert (await client.ask(method, "/memfs/a", RIGHT, [b"z"])).status == 204


async def test_a_password_that_changes_counts_at_once(
    client_of: Callable[..., AsgiClient],
) -> None:
    passwords = ["secret"]
    rules = attrs.evolve(GUARDED, credentials=lambda: ("admin", passwords[0]))
    client = client_of(rules)
    assert (await client.ask("PUT", "/memfs/a", RIGHT, [b"x"])).status == 201
    passwords[0] = "other"
    assert (await client.ask("PUT", "/memfs/a", RIGHT, [b"x"])).status == 401


async def test_other_methods_are_refused(client_of: Callable[..., AsgiClient]) -> None:
    read_only = client_of(MountRules())
    for method in ("PUT", "POST", "DELETE", "PATCH", "MKCOL"):
        answer = await read_only.ask(method, "/memfs/a", RIGHT)
        assert answer.status == 405
        assert answer.header("Allow") == "GET, HEAD, OPTIONS"
    answer = await client_of(GUARDED).ask("PATCH", "/memfs/a", RIGHT)
    assert answer.header("Allow") == "GET, HEAD, PUT, POST, DELETE, OPTIONS"


async def test_pages_of_named_origins_may_use_files(
    client_of: Callable[..., AsgiClient],
) -> None:
    friend, stranger = {"Origin": "https://a.example"}, {"Origin": "https://b.example"}
    rules = attrs.evolve(WRITABLE, cors_origins=lambda: ["https://a.example"])
    client = client_of(rules)
    preflight = await client.ask("OPTIONS", "/memfs/a", friend)
    assert preflight.status == 204
    assert preflight.header("Access-Control-Allow-Origin") == "https://a.example"
    assert "PUT" in (preflight.header("Access-Control-Allow-Methods") or "")
    assert "Range" in (preflight.header("Access-Control-Allow-Headers") or "")
    missing = await client.ask("GET", "/memfs/a", friend)
    assert missing.header("Access-Control-Allow-Origin") == "https://a.example"
    assert "Content-Range" in (missing.header("Access-Control-Expose-Headers") or "")
    for answer in (
        await client.ask("GET", "/memfs/a", stranger),
        await client.ask("OPTIONS", "/memfs/a", stranger),
        await client.ask("GET", "/memfs/a"),
    ):
        assert answer.header("Access-Control-Allow-Origin") is None
        assert answer.header("Vary") == "Origin"
    everybody = client_of(attrs.evolve(rules, cors_origins=lambda: ["*"]))
    answer = await everybody.ask("GET", "/memfs/a", stranger)
    assert answer.header("Access-Control-Allow-Origin") == "*"
    assert answer.header("Access-Control-Allow-Credentials") is None


async def test_a_page_of_another_origin_cannot_post_with_a_remembered_password(
    client_of: Callable[..., AsgiClient],
) -> None:
    client = client_of(attrs.evolve(GUARDED, cors_origins=lambda: ["*"]))
    theirs = {"Origin": "https://b.example", "Host": "a.example"} | RIGHT
    assert (await client.ask("POST", "/memfs/a", theirs, [b"x"])).status == 403
    ours = {"Origin": "https://a.example", "Host": "a.example"} | RIGHT
    assert (await client.ask("POST", "/memfs/a", ours, [b"x"])).status == 201


# -- names -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "/memfs",
        "/memfs/",
        "/memfs/a/",
        "/memfs//a",
        "/memfs/../a",
        "/memfs/%2e%2e/a",
        "/memfs/..%2fa",
        "/memfs/a%00",
        "/memfs/a%0d%0aX:y",
        "/memfs/a%5c..%5cb",
        "/memfs/" + "a" * 256,
        "/memfs/" + "a/" * 600 + "b",
    ],
)
async def test_no_file_has_a_hostile_name(
    client: AsgiClient, files: FileSystem, path: str
) -> None:
    await client.ask("PUT", "/memfs/a", body=[b"x"])
    for method, status in (("GET", 404), ("HEAD", 404), ("DELETE", 404), ("PUT", 400)):
        answer = await client.ask(method, path, body=[b"y"])
        assert answer.status == status, method
        assert answer.is_whole
    assert len(await files.entries()) == 1


async def test_a_directory_gives_its_index_if_the_mount_says_so(
    client_of: Callable[..., AsgiClient],
) -> None:
    writer = client_of()
    await writer.ask("PUT", "/memfs/a/index.html", body=[b"hello"])
    await writer.ask("PUT", "/memfs/index.html", body=[b"root"])
    assert (await writer.ask("GET", "/memfs/a/")).status == 404
    assert (await writer.ask("GET", "/memfs/a")).status == 404
    reader = client_of(MountRules(index="index.html"))
    answer = await reader.ask("GET", "/memfs/a/")
    assert (answer.status, answer.body) == (200, b"hello")
    assert answer.header("Content-Type") == "text/html"
    moved = await reader.ask("GET", "/memfs/a?b=c")
    assert (moved.status, moved.header("Location")) == (301, "/memfs/a/?b=c")
    for path in ("/memfs/b", "/memfs/b/", "/memfs//", "/memfs/a//", "/memfs/a/b"):
        assert (await reader.ask("GET", path)).status == 404
    at_root = client_of(MountRules(index="index.html"), prefix="")
    assert (await at_root.ask("GET", "/")).body == b"root"
    assert (await at_root.ask("GET", "//")).status == 404
    assert (await at_root.ask("GET", "//evil.example")).status == 404
    assert (await at_root.ask("GET", "//evil.example/..")).status == 404


def test_a_mount_owns_what_is_below_its_prefix() -> None:
    mount = FileMount(MemoryFileSystem(), "/memfs")
    owned = {b"/memfs": True, b"/memfs/a": True, b"/memfsx": False, b"/": False}
    assert {path: mount.owns(path) for path in owned} == owned
    assert FileMount(MemoryFileSystem()).owns(b"/anything")


async def test_failures_are_told_in_the_words_of_whoever_mounts(
    client_of: Callable[..., AsgiClient],
) -> None:
    plain = await client_of().ask("GET", "/memfs/a")
    assert plain.body == b"No such file.\n"
    assert plain.header("Content-Type") == "text/plain; charset=utf-8"

    def tell(failure: FileFailure) -> ErrorAnswer:
        body = json.dumps({"code": failure.status, "at": failure.path}).encode()
        status = 404 if failure.status == 405 else failure.status
        return ErrorAnswer(status, "application/json", body)

    client = client_of(MountRules(error=tell))
    answer = await client.ask("PUT", "/memfs/%61")
    assert (answer.status, answer.body) == (404, b'{"code": 405, "at": "/memfs/%61"}')
    assert answer.header("Content-Length") == str(len(answer.body))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    method=st.sampled_from(["GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS", "X"]),
    path=st.text("/.%2fe0\\a?&=;\xff", max_size=20),
    fields=st.dictionaries(
        st.sampled_from(FIELDS), st.text('bytes=-0123456789,"*W/gzip: ', max_size=20)
    ),
    body=st.lists(st.binary(max_size=9), max_size=3),
)
def test_every_request_has_a_whole_answer(
    asgi_client: type[AsgiClient],
    method: str,
    path: str,
    fields: dict[str, str],
    body: list[bytes],
) -> None:
    async def ask() -> None:
        client = asgi_client(FileMount(MemoryFileSystem(), "/memfs", WRITABLE))
        await client.ask("PUT", "/memfs/a", body=[b"0123456789"])
        answer = await client.ask(method, f"/memfs/{path}", fields, body)
        assert answer.is_whole
        assert 200 <= answer.status < 500

    trio.run(ask)


# -- compressing -----------------------------------------------------------------------


async def test_texts_are_compressed_for_those_who_take_it(client: AsgiClient) -> None:
    large = TEXT * 20
    packs = {"Accept-Encoding": "br, gzip"}
    for path, content in (("/memfs/a.m3u8", TEXT), ("/memfs/b.json", large)):
        await client.ask("PUT", path, body=[content])
        plain = await client.ask("GET", path)
        packed = await client.ask("GET", path, packs)
        assert plain.body == gzip.decompress(packed.body) == content
        assert plain.header("Content-Encoding") is None
        assert packed.header("Content-Encoding") == "gzip"
        assert packed.header("Content-Length") == str(len(packed.body))
        assert plain.header("Vary") == packed.header("Vary") == "Accept-Encoding"
        # One tag is not for two sequences of bytes: RFC 9110 §8.8.3.3.
        assert (packed.header("ETag") or "").startswith("W/")
        part = await client.ask("GET", path, packs | {"Range": "bytes=0-9"})
        assert (part.status, part.body) == (206, content[:10])
        assert part.header("Content-Encoding") is None


@pytest.mark.parametrize(
    ("path", "size"), [("/memfs/a.ts", 50_000), ("/memfs/a.m3u8", 999)]
)
async def test_media_and_short_texts_are_not_compressed(
    client: AsgiClient, path: str, size: int
) -> None:
    await client.ask("PUT", path, body=[b"a" * size])
    answer = await client.ask("GET", path, {"Accept-Encoding": "gzip"})
    assert answer.body == b"a" * size
    assert answer.header("Vary") is None


async def test_a_mount_may_leave_compressing_to_others(
    client_of: Callable[..., AsgiClient],
) -> None:
    client = client_of(attrs.evolve(WRITABLE, gzip=False, max_age=60))
    for name in ("a.m3u8", "a.txt"):
        await client.ask("PUT", f"/memfs/{name}", body=[TEXT])
    answer = await client.ask("GET", "/memfs/a.m3u8", {"Accept-Encoding": "gzip"})
    assert answer.body == TEXT
    assert answer.header("Cache-Control") == "no-cache"
    answer = await client.ask("GET", "/memfs/a.txt")
    assert answer.header("Cache-Control") == "max-age=60"


# -- playlists with paths of the disk --------------------------------------------------


async def test_absolute_paths_in_playlists_become_relative(
    client_of: Callable[..., AsgiClient],
) -> None:
    client = client_of(attrs.evolve(WRITABLE, local_directory="/data/files"))
    text = b"#EXTM3U\n/data/files/a/1.ts\n/data/files2/1.ts\n/data/files/b.ts\nc.ts\n"
    await client.ask("PUT", "/memfs/a/x.m3u8", body=[text])
    answer = await client.ask("GET", "/memfs/a/x.m3u8")
    assert answer.body == b"#EXTM3U\n1.ts\n/data/files2/1.ts\n../b.ts\nc.ts\n"
    assert answer.header("Cache-Control") == "no-cache"


async def test_a_master_playlist_without_lines_lists_what_is_called_as_it(
    client_of: Callable[..., AsgiClient],
) -> None:
    # As FFmpeg writes it of a copy from SRT, and restreamer-ui plays it.
    empty = b"#EXTM3U\n#EXT-X-VERSION:3\n"
    client = client_of(attrs.evolve(WRITABLE, finds_variants=True))
    for name in ("a/x_output_0", "a/x_1", "a/xy", "a/x_/z", "b/x_2", "x_3"):
        await client.ask("PUT", f"/memfs/{name}.m3u8", body=[empty])
    await client.ask("PUT", "/memfs/a/x.m3u8", body=[empty])
    answer = await client.ask("GET", "/memfs/a/x.m3u8")
    lines = answer.body.decode().splitlines()
    assert [line for line in lines if not line.startswith("#")] == [
        "x_1.m3u8",
        "x_output_0.m3u8",
    ]
    other = await client.ask("GET", "/memfs/a/xy.m3u8")
    assert other.body == empty
    untouched = await client_of().ask("GET", "/memfs/a/x.m3u8")
    assert untouched.body == empty


# -- files that fail -------------------------------------------------------------------


@attrs.define(eq=False)
class _Broken(OpenFile):
    """A file whose device fails after some blocks."""

    file: OpenFile
    good_blocks: int

    @property
    def info(self) -> FileInfo:
        return self.file.info

    def blocks(self, start: int = 0, stop: int | None = None) -> AsyncIterator[Block]:
        async def broken() -> AsyncIterator[Block]:
            for _ in range(self.good_blocks):
                yield b"x"
            raise StorageError("/secret/place: input/output error")

        return broken()

    async def aclose(self) -> None:
        await self.file.aclose()


class _BrokenFiles(MemoryFileSystem):
    good_blocks = 0

    async def open(self, name: str) -> OpenFile:
        return _Broken(await super().open(name), self.good_blocks)


@pytest.mark.parametrize("name", ["a.ts", "a.txt"])
async def test_an_answer_that_cannot_be_finished_has_no_end(
    asgi_client: type[AsgiClient], name: str
) -> None:
    files = _BrokenFiles()
    files.good_blocks = 2
    client = asgi_client(FileMount(files, "/memfs", WRITABLE))
    await client.ask("PUT", f"/memfs/{name}", body=[b"x" * 2000])
    answer = await client.ask("GET", f"/memfs/{name}")
    assert (answer.status, answer.body, answer.is_whole) == (200, b"xx", False)


async def test_what_fails_before_the_answer_is_an_error(
    asgi_client: type[AsgiClient],
) -> None:
    client = asgi_client(FileMount(_BrokenFiles(), "/memfs", WRITABLE))
    await client.ask("PUT", "/memfs/a.txt", body=[b"x" * 2000])
    answer = await client.ask("GET", "/memfs/a.txt", {"Accept-Encoding": "gzip"})
    assert answer.status == 500
    assert b"secret" not in answer.body


async def test_a_client_that_has_gone_is_sent_no_more(
    asgi_client: type[AsgiClient],
) -> None:
    files = MemoryFileSystem()
    client = asgi_client(FileMount(files, "/memfs", WRITABLE))
    await client.ask("PUT", "/memfs/a.ts", body=[bytes(1 << 20)] * 40)
    answer = await client.ask("GET", "/memfs/a.ts", is_gone=lambda: True)
    assert len(answer.body) == 1 << 20
    assert not answer.is_whole
    await client.ask("DELETE", "/memfs/a.ts")
    assert (await files.usage()).held_bytes == 0


async def test_a_reader_of_a_replaced_file_gets_the_old_bytes(
    asgi_client: type[AsgiClient],
) -> None:
    files = MemoryFileSystem()
    client = asgi_client(FileMount(files, "/memfs", WRITABLE))
    olds, news = [b"o" * (1 << 20)] * 3, [b"n" * (1 << 20)] * 3
    await client.ask("PUT", "/memfs/a.ts", body=olds)
    begun, go_on = trio.Event(), trio.Event()
    sent: list[bytes] = []

    async def send(message: dict[str, object]) -> None:
        body = message.get("body", b"")
        assert isinstance(body, bytes)
        sent.append(body)
        begun.set()
        await go_on.wait()

    scope: dict[str, object] = {
        "type": "http",
        "method": "GET",
        "raw_path": b"/memfs/a.ts",
        "query_string": b"",
        "headers": [],
        "client": None,
    }
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.application, scope, trio.sleep_forever, send)
        await begun.wait()
        await client.ask("PUT", "/memfs/a.ts", body=news)
        go_on.set()
    assert b"".join(sent) == b"".join(olds)
    assert (await client.ask("GET", "/memfs/a.ts")).body == b"".join(news)


@pytest.mark.slow
async def test_racing_writers_and_readers_see_whole_files(
    client_of: Callable[..., AsgiClient],
) -> None:
    client = client_of()
    seen: set[bytes] = set()

    def parts(number: int) -> Iterable[bytes]:
        return [bytes([number]) * 300] * (number % 7 + 1)

    async def write(number: int) -> None:
        for _ in range(5):
            answer = await client.ask("PUT", "/memfs/d/a.ts", body=parts(number))
            assert answer.status in (201, 204)

    async def read() -> None:
        for _ in range(5):
            answer = await client.ask("GET", "/memfs/d/a.ts")
            assert answer.is_whole
            if answer.status == 200:
                seen.add(answer.body)

    async with trio.open_nursery() as nursery:
        for number in range(25):
            nursery.start_soon(write, number)
            nursery.start_soon(read)
    assert seen <= {b"".join(parts(number)) for number in range(25)}
    assert re.fullmatch(
        rb"(.)\1*", (await client.ask("GET", "/memfs/d/a.ts")).body, re.S
    )
