"""The file systems: listings, bytes in and out, and what is refused."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import trio

from penstock.control.files import (
    AccessDenied,
    StorageError,
    StorageFull,
    TooLarge,
    WriteIncomplete,
)

MEM = "/api/v3/fs/mem"


async def _put(world: Any, name: str, content: bytes = b"hello") -> Any:
    return await world.ask("PUT", f"{MEM}{name}", content=content)


@pytest.fixture
async def filled(world: Any) -> Any:
    for seconds, (name, size) in enumerate(
        [("/b.ts", 3), ("/a/c.ts", 1), ("/a.m3u8", 2), ("/a/b/d.txt", 3)]
    ):
        world.clock[0] = 1_795_202_000.9 + seconds
        await _put(world, name, b"x" * size)
    return world


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", ["/b.ts", "/a/c.ts", "/a.m3u8", "/a/b/d.txt"]),
        ("?order=desc", ["/a/b/d.txt", "/a.m3u8", "/a/c.ts", "/b.ts"]),
        ("?sort=name", ["/a.m3u8", "/a/b/d.txt", "/a/c.ts", "/b.ts"]),
        ("?sort=name&order=desc", ["/b.ts", "/a/c.ts", "/a/b/d.txt", "/a.m3u8"]),
        ("?sort=size", ["/a/c.ts", "/a.m3u8", "/a/b/d.txt", "/b.ts"]),
        ("?sort=nonsense", ["/b.ts", "/a/c.ts", "/a.m3u8", "/a/b/d.txt"]),
        ("?glob=/*.ts", ["/b.ts"]),
        ("?glob=/**.ts", ["/b.ts", "/a/c.ts"]),
        ("?glob=%2Fa%2F%2A", ["/a/c.ts"]),
        ("?glob=/nothing", []),
        ("?glob=[", []),
        (f"?glob={'*a' * 100}", []),
    ],
)
async def test_a_listing_is_filtered_and_in_order(
    filled: Any, query: str, names: list[str]
) -> None:
    found = await filled.get(f"{MEM}{query}")
    assert [one["name"] for one in found] == names


async def test_a_listing_says_size_and_whole_seconds(filled: Any) -> None:
    (found,) = await filled.get(f"{MEM}?glob=/b.ts")
    assert found == {
        "name": "/b.ts",
        "size_bytes": 3,
        "last_modified": 1_795_202_000,
    }


async def test_a_long_listing_is_as_a_short_one(world: Any) -> None:
    for number in range(400):
        await _put(world, f"/{number:03d}", b"")
    found = await world.get(f"{MEM}?sort=name")
    assert [one["name"] for one in found] == [f"/{n:03d}" for n in range(400)]


async def test_a_file_that_was_there_is_replaced_without_a_word(world: Any) -> None:
    answer = await _put(world, "/x")
    assert answer.status_code == 201
    assert answer.headers["content-location"] == f"{MEM}/x"
    answer = await _put(world, "/x", b"other")
    assert (answer.status_code, answer.content) == (204, b"")
    assert (await world.ask("GET", f"{MEM}/x")).content == b"other"


async def test_a_last_slash_is_dropped(world: Any) -> None:
    assert (await _put(world, "/dir/x/")).status_code == 201
    assert (await world.ask("GET", f"{MEM}/dir/x")).text == "hello"
    assert (await world.ask("GET", f"{MEM}/dir/x/")).text == "hello"


@pytest.mark.parametrize("size", [0, 1, 5_000_000])
async def test_files_of_any_size_go_in_and_out_in_blocks(world: Any, size: int) -> None:
    content = bytes(range(256)) * (size // 256) + b"x" * (size % 256)

    async def blocks() -> AsyncIterator[bytes]:
        for start in range(0, size, 100_000):
            yield content[start : start + 100_000]

    transport = httpx.ASGITransport(app=world.site)
    async with httpx.AsyncClient(transport=transport, base_url="http://core") as client:
        answer = await client.put(f"{MEM}/big.ts", content=blocks())
        assert answer.status_code == 201
        answer = await client.get(f"{MEM}/big.ts")
    assert answer.content == content
    assert answer.headers["content-length"] == str(size)
    assert answer.headers["content-type"] == "video/MP2T"
    assert (await world.memory.usage()).held_bytes == 0


@pytest.mark.parametrize(
    ("value", "part", "where"),
    [
        ("bytes=1-2", b"el", "bytes 1-2/5"),
        ("bytes=3-", b"lo", "bytes 3-4/5"),
        ("bytes=-1", b"o", "bytes 4-4/5"),
        ("bytes=0-99", b"hello", "bytes 0-4/5"),
    ],
)
async def test_a_part_of_a_file(
    world: Any, value: str, part: bytes, where: str
) -> None:
    """RFC 9110 §14.2."""
    await _put(world, "/x.txt")
    answer = await world.ask("GET", f"{MEM}/x.txt", headers={"Range": value})
    assert (answer.status_code, answer.content) == (206, part)
    assert answer.headers["content-range"] == where
    assert answer.headers["content-length"] == str(len(part))


async def test_a_part_behind_the_end(world: Any) -> None:
    await _put(world, "/x.txt")
    answer = await world.ask("GET", f"{MEM}/x.txt", headers={"Range": "bytes=9-"})
    assert answer.status_code == 416
    assert answer.headers["content-range"] == "bytes */5"


async def test_what_a_client_has_is_not_sent_again(world: Any) -> None:
    await _put(world, "/x.txt")
    first = await world.ask("GET", f"{MEM}/x.txt")
    tag = {"If-None-Match": first.headers["etag"]}
    answer = await world.ask("GET", f"{MEM}/x.txt", headers=tag)
    assert (answer.status_code, answer.content) == (304, b"")
    answer = await world.ask("PUT", f"{MEM}/x.txt", content=b"y", headers=tag)
    assert answer.status_code == 412
    stale = {"If-Match": '"other"'}
    answer = await world.ask("DELETE", f"{MEM}/x.txt", headers=stale)
    assert answer.status_code == 412
    answer = await world.ask("GET", f"{MEM}/x.txt", headers=stale)
    assert answer.status_code == 412
    assert (await world.memory.stat("/x.txt")).size == 5


async def test_head_has_the_headers_of_get(world: Any) -> None:
    await _put(world, "/x.txt")
    get = await world.ask("GET", f"{MEM}/x.txt")
    head = await world.ask("HEAD", f"{MEM}/x.txt")
    assert head.content == b""
    assert dict(head.headers) == dict(get.headers)
    missing = await world.ask("HEAD", f"{MEM}/none")
    # Pages would read JSON that is not there.
    assert "content-type" not in missing.headers
    assert (missing.status_code, missing.content) == (404, b"")


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_an_unknown_file_system(world: Any, method: str) -> None:
    answer = await world.ask(method, "/api/v3/fs/nope/x")
    assert answer.status_code == 404
    assert answer.json()["message"] == "File not found"
    assert answer.json()["details"] == ["unknown filesystem: nope"]


@pytest.mark.parametrize("method", ["PATCH", "POST"])
async def test_other_methods_are_not_allowed(world: Any, method: str) -> None:
    answer = await world.ask(method, f"{MEM}/x")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "OPTIONS, DELETE, GET, HEAD, PUT"
    assert (await world.ask("PUT", "/api/v3/fs")).status_code == 404


async def test_read_only_lets_files_be_read(world: Any) -> None:
    await _put(world, "/x")
    world.section.read_only = True
    for method in ("PUT", "DELETE", "PATCH"):
        answer = await world.ask(method, f"{MEM}/x", content=b"y")
        assert answer.status_code == 405
        assert answer.headers["allow"] == "OPTIONS, GET, HEAD"
    assert (await world.ask("GET", f"{MEM}/x")).text == "hello"


@pytest.mark.parametrize(
    "name", ["/../x", "/a/../x", "/%2e%2e/x", "/a//b", "/a%00b", "/a%5Cb", "/%ff"]
)
async def test_a_name_that_no_file_can_have(world: Any, name: str) -> None:
    """httpx would tidy up some of them, so the path goes to the site as it is."""
    path = f"/api/v3/fs/disk{name}"
    statuses = [await _raw(world, method, path) for method in ("GET", "PUT", "DELETE")]
    if name == "/%ff":
        # What is not UTF-8 is read as the sign for that, which may be in a name.
        assert statuses == [404, 201, 200]
    else:
        assert statuses == [404, 400, 404]


async def _raw(world: Any, method: str, path: str) -> int:
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"x"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": method,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [],
        "client": ("10.77.0.9", 1),
    }
    await world.site(scope, receive, send)
    return int(sent[0]["status"])


async def test_a_full_file_system(world: Any) -> None:
    world.memory.limit_bytes = 8
    assert (await _put(world, "/a", b"12345")).status_code == 201
    for content in (b"12345", b"123456789"):
        answer = await _put(world, "/b", content)
        assert answer.status_code == 400
        assert answer.json()["message"] == "Bad request"
    assert [one["name"] for one in await world.get(MEM)] == ["/a"]


@pytest.mark.parametrize(
    ("error", "statuses"),
    [
        (StorageFull("full"), (500, 400, 500, 500)),
        (TooLarge("large"), (500, 400, 500, 500)),
        (WriteIncomplete("short"), (500, 400, 500, 500)),
        (AccessDenied("denied"), (404, 400, 400, 500)),
        (StorageError("broken"), (500, 500, 500, 500)),
    ],
)
async def test_what_storage_refuses_is_an_answer(
    world: Any, monkeypatch: pytest.MonkeyPatch, error: Exception, statuses: Any
) -> None:
    async def refuse(*args: object, **options: object) -> None:
        await trio.lowlevel.checkpoint()
        raise error

    for name in ("open", "write", "delete", "entries"):
        monkeypatch.setattr(type(world.memory), name, refuse)
    asked = [
        await world.ask("GET", f"{MEM}/x"),
        await world.ask("PUT", f"{MEM}/x", content=b"x"),
        await world.ask("DELETE", f"{MEM}/x"),
        await world.ask("GET", MEM),
    ]
    assert tuple(answer.status_code for answer in asked) == statuses


async def test_a_client_that_goes_leaves_no_file_open(world: Any) -> None:
    await _put(world, "/x", b"x" * 3_000_000)
    scope: dict[str, Any] = {
        "type": "http",
        "method": "GET",
        "raw_path": f"{MEM}/x".encode(),
        "query_string": b"",
        "headers": [],
        "client": None,
    }

    async def receive() -> dict[str, Any]:
        return {"type": "http.request"}

    with trio.CancelScope() as scope_of_client:

        async def send(message: Any) -> None:
            if message["type"] == "http.response.body":
                scope_of_client.cancel()
                await trio.sleep_forever()

        await world.site(scope, receive, send)
    assert scope_of_client.cancelled_caught
    await world.ask("DELETE", f"{MEM}/x")
    assert (await world.memory.usage()).held_bytes == 0


async def test_a_body_that_stops_leaves_nothing(
    world: Any, autojump_clock: object
) -> None:
    sent: list[Any] = []
    parts = [{"type": "http.request", "body": b"x", "more_body": True}]

    async def receive() -> dict[str, Any]:
        if parts:
            return parts.pop()
        await trio.sleep_forever()
        raise AssertionError

    async def send(message: Any) -> None:
        sent.append(message)

    scope: dict[str, Any] = {
        "type": "http",
        "method": "PUT",
        "raw_path": f"{MEM}/x".encode(),
        "query_string": b"",
        "headers": [],
        "client": None,
    }
    await world.site(scope, receive, send)
    assert sent[0]["status"] == 408
    usage = await world.memory.usage()
    assert (usage.files, usage.under_way_bytes) == (0, 0)


# In a browser a page there would have the origin of the API.
async def test_a_page_has_no_part_in_the_api(world: Any) -> None:
    await _put(world, "/a.html", b"<script>fetch('/api/v3/process')</script>")
    answer = await world.ask("GET", f"{MEM}/a.html")
    assert answer.headers["Content-Type"] == "text/html"
    assert answer.headers["Content-Security-Policy"] == "sandbox"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
