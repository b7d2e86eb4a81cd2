from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

import attrs
import pytest

from penstock.storage.memory import MemoryFileSystem
from penstock.web import hls_viewers
from penstock.web.file_mounts import FileMount
from penstock.web.file_requests import FileFailure
from penstock.web.hls_viewers import (
    HlsViewerLimits,
    HlsViewers,
    HlsViewerView,
    PlaylistRequest,
)
from penstock.web.mount_rules import MountRules

if TYPE_CHECKING:
    from tests.server.web.conftest import AsgiClient

MEDIA = "#EXTM3U\n#EXTINF:2,\nx0.ts\n"
PATH = "/memfs/x.m3u8"


@attrs.define
class World:
    """A table of viewers whose time and limits a test sets."""

    now: float = 1_000.0
    limits: HlsViewerLimits = attrs.field(factory=HlsViewerLimits)
    ignored: tuple[str, ...] = ("127.0.0.1/32", "::1/128")
    events: list[HlsViewerView] = attrs.field(factory=list)
    viewers: HlsViewers = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        numbers = count(1)
        self.viewers = HlsViewers(
            lambda: self.limits,
            lambda: self.ignored,
            lambda octets: next(numbers).to_bytes(octets, "big"),
            changed=self.events.append,
            clock=lambda: self.now,
            wall=lambda: 1_700_000_000 + self.now,
        )

    async def open(self, token: str, path: str = PATH) -> str:
        return await self.viewers.playlist(PlaylistRequest(path, token=token), MEDIA)

    def play(self, token: str, octets: int = 0) -> None:
        count = self.viewers.meter(token, is_media=True)
        assert count is not None
        count(octets)


@pytest.fixture
def world() -> World:
    return World()


def token(number: int) -> str:
    return "ABCDEFGH"[number] * 22


async def test_a_viewer_is_pending_then_active_then_closed(world: World) -> None:
    request = PlaylistRequest(
        PATH, "", token(0), "192.0.2.7", "VLC/3", "https://page.example:8/x?y"
    )
    text = await world.viewers.playlist(request, MEDIA)
    assert text == f"#EXTM3U\n#EXTINF:2,\nx0.ts?session={token(0)}\n"
    [view] = world.viewers.views()
    assert view == HlsViewerView(
        token(0),
        "x",
        PATH,
        "192.0.2.7",
        "VLC/3",
        "page.example",
        1_700_001_000.0,
        "pending",
        0,
        0.0,
    )
    assert world.events == []
    world.now += 4
    world.play(token(0), 10_240)
    [view] = world.viewers.views()
    assert (view.state, view.bytes_sent, view.bits_per_second) == (
        "active",
        10_240,
        8192,
    )
    assert view.kbit_per_s == 8
    world.now += 29
    [view] = world.viewers.views()
    assert (view.bytes_sent, view.bits_per_second) == (10_240, 0)
    world.now += 1
    assert world.viewers.views() == ()
    assert [event.state for event in world.events] == ["active", "closed"]
    assert world.events[1].bytes_sent == 10_240


async def test_who_plays_nothing_is_soon_forgotten(world: World) -> None:
    await world.open(token(0))
    world.now += 4.9
    assert len(world.viewers.views()) == 1
    await world.open(token(0))
    world.now += 4.9
    assert len(world.viewers.views()) == 1
    world.now += 0.1
    assert world.viewers.views() == ()
    assert world.events == []
    assert world.viewers.meter(token(0), is_media=True) is None


async def test_who_has_no_token_gets_one_and_is_not_there_yet(world: World) -> None:
    first, second = await world.open(""), await world.open("")
    assert first != second
    assert first.startswith("#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-STREAM-INF:")
    assert world.viewers.views() == ()


async def test_rates_are_of_ten_seconds(world: World) -> None:
    await world.open(token(0))
    for _ in range(30):
        world.play(token(0), 1_000)
        world.now += 1
    world.now -= 1
    [view] = world.viewers.views()
    assert view.bits_per_second == 8_000
    assert view.bytes_sent == 30_000


async def test_too_many_viewers_are_refused(world: World) -> None:
    world.limits = HlsViewerLimits(sessions=2)
    await world.open(token(0))
    await world.open(token(1))
    for asked in (token(2), "", "bad"):
        with pytest.raises(FileFailure) as refusal:
            await world.open(asked)
        assert refusal.value.status == 509
        assert refusal.value.reason == "Number of sessions exceeded"
    await world.open(token(1))
    world.now += 5
    await world.open(token(2))


async def test_too_many_bits_are_refused(world: World) -> None:
    world.limits = HlsViewerLimits(bits_per_second=8_000)
    await world.open(token(0))
    world.play(token(0), 10_001)
    with pytest.raises(FileFailure) as refusal:
        await world.open(token(1))
    assert refusal.value.status == 509
    assert refusal.value.reason == "Bitrate limit exceeded"
    await world.open(token(0))
    world.now += 10
    await world.open(token(1))
    world.viewers.expected_bps = lambda path: 9_000 if path == PATH else 0
    with pytest.raises(FileFailure):
        await world.open(token(2))
    await world.open(token(2), "/memfs/y.m3u8")


async def test_a_malformed_token_is_refused(world: World) -> None:
    for bad in ("x", token(0) + "A", "0" * 22):
        with pytest.raises(FileFailure) as refusal:
            await world.open(bad)
        assert refusal.value.status == 403
    assert world.viewers.views() == ()


async def test_the_table_and_its_texts_are_bounded(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hls_viewers, "MAX_TABLE", 3)
    await world.open(token(0))
    world.play(token(0))
    for number in range(1, 5):
        await world.open(token(number))
    assert [v.id[0] for v in world.viewers.views()] == ["D", "E", "A"]
    for number in (3, 4):
        world.play(token(number))
    await world.open(token(5))
    assert [v.id[0] for v in world.viewers.views()] == ["F", "D", "E"]
    assert world.events[-1].state == "closed"
    huge = "h" * 100_000
    request = PlaylistRequest(f"/{huge}", huge, token(6), huge, huge, f"http://{huge}/")
    await world.viewers.playlist(request, MEDIA)
    [view] = [v for v in world.viewers.views() if v.id == token(6)]
    assert max(map(len, (view.path, view.reference, view.user_agent))) <= 1024
    assert len(view.referrer) <= 256


@pytest.mark.parametrize(
    ("address", "is_ignored"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("127.0.0.2", False),
        ("", False),
        ("unix:", False),
    ],
)
def test_clients_of_some_networks_are_ignored(
    world: World, address: str, is_ignored: bool
) -> None:
    assert world.viewers.is_ignored(address) is is_ignored


# -- behind a mount --------------------------------------------------------------------


@pytest.fixture
async def client(world: World, asgi_client: type[AsgiClient]) -> AsgiClient:
    rules = MountRules(is_writable=True)
    mount = FileMount(MemoryFileSystem(), "/memfs", rules, viewers=world.viewers)
    client = asgi_client(mount)
    await client.ask("PUT", PATH, body=[MEDIA.encode()])
    await client.ask("PUT", "/memfs/x0.ts", body=[b"x" * 5000])
    return client


async def test_a_viewer_walks_from_the_playlist_to_segments(
    world: World, client: AsgiClient
) -> None:
    first = await client.ask("GET", f"{PATH}?key=1")
    assert first.status == 200
    assert first.header("Cache-Control") == "private"
    assert first.header("Content-Type") == "application/vnd.apple.mpegurl"
    assert first.header("ETag") is None
    name, _, query = first.body.decode().splitlines()[-1].partition("?")
    assert name == "x.m3u8"
    assert query.startswith("key=1&session=")
    second = await client.ask("GET", f"/memfs/{name}?{query}", {"User-Agent": "P"})
    segment = second.body.decode().splitlines()[-1]
    assert segment.startswith("x0.ts?session=")
    [view] = world.viewers.views()
    assert (view.state, view.bytes_sent) == ("pending", len(second.body))
    third = await client.ask("GET", f"/memfs/{segment}")
    assert third.body == b"x" * 5000
    assert third.header("ETag") is not None
    [view] = world.viewers.views()
    assert (view.state, view.bytes_sent) == ("active", len(second.body) + 5000)
    assert (view.address, view.user_agent) == ("192.0.2.7", "P")


async def test_ignored_clients_get_the_file_untouched(
    world: World, client: AsgiClient
) -> None:
    world.ignored = ("192.0.2.0/24",)
    for path in (PATH, f"{PATH}?session={token(0)}", f"{PATH}?session=bad"):
        answer = await client.ask("GET", path)
        assert answer.body == MEDIA.encode()
        assert answer.header("Cache-Control") == "no-cache"
        assert answer.header("ETag") is not None
    assert world.viewers.views() == ()


async def test_refusals_and_missing_playlists_register_nobody(
    world: World, client: AsgiClient
) -> None:
    assert (await client.ask("GET", f"{PATH}?session=bad")).status == 403
    missing = await client.ask("GET", f"/memfs/y.m3u8?session={token(0)}")
    assert missing.status == 404
    world.limits = HlsViewerLimits(sessions=1)
    assert (await client.ask("HEAD", f"{PATH}?session={token(0)}")).status == 200
    refused = await client.ask("GET", f"{PATH}?session={token(1)}")
    assert (refused.status, refused.body) == (509, b"Number of sessions exceeded.\n")
    assert [view.bytes_sent for view in world.viewers.views()] == [0]


async def test_files_of_strangers_are_served_and_not_counted(
    world: World, client: AsgiClient
) -> None:
    for query in ("", f"?session={token(0)}", "?session=bad"):
        assert (await client.ask("GET", f"/memfs/x0.ts{query}")).status == 200
    assert world.viewers.views() == ()
