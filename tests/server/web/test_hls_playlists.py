from __future__ import annotations

import re
from itertools import count
from time import thread_time

import pytest

from penstock.web.hls_playlists import (
    LocalLines,
    MasterLines,
    MediaLines,
    is_empty,
    is_master,
    is_media_name,
    is_playlist_name,
    is_token,
    master_of,
    new_token,
    rewrite,
    synthetic_master,
    with_session,
)

TOKEN = "2" * 22


def test_a_token_has_22_characters_that_cannot_be_confused() -> None:
    highest = new_token(lambda octets: b"\xff" * octets)
    lowest = new_token(bytes)
    assert is_token(highest)
    assert is_token(lowest)
    assert lowest == TOKEN
    assert highest != lowest


@pytest.mark.parametrize(
    "text", ["", "2" * 21, "2" * 23, "0" * 22, "l" * 22, "2" * 21 + "\n", "€" * 22]
)
def test_what_is_no_token_is_told(text: str) -> None:
    assert not is_token(text)


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("a.ts", "a.ts?session=T"),
        ("a.ts?", "a.ts?session=T"),
        ("a.ts?x=1&y", "a.ts?x=1&y&session=T"),
        ("a.ts?session=old&x=%26", "a.ts?x=%26&session=T"),
        ("a.ts#t=1", "a.ts?session=T#t=1"),
        ("http://h/a.ts?x=1#t", "http://h/a.ts?x=1&session=T#t"),
    ],
)
def test_a_token_is_merged_into_a_query(uri: str, expected: str) -> None:
    assert with_session(uri, "T") == expected


def test_names_tell_playlists_and_segments() -> None:
    assert is_playlist_name("/a/b.M3U8")
    assert not is_playlist_name("/a.m3u8/b")
    assert is_media_name("/a.ts")
    assert is_media_name("/a.m4s")
    assert not is_media_name("/a.m3u8")


def test_a_viewer_is_sent_to_the_same_playlist_with_a_token() -> None:
    assert synthetic_master("live.m3u8", "", TOKEN).splitlines() == [
        "#EXTM3U",
        "#EXT-X-VERSION:3",
        "#EXT-X-STREAM-INF:BANDWIDTH=1024",
        f"live.m3u8?session={TOKEN}",
    ]
    last = synthetic_master("a:b.m3u8", "key=1", TOKEN).splitlines()[-1]
    assert last == f"./a:b.m3u8?key=1&session={TOKEN}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("#EXTM3U\n#EXT-X-VERSION:3\n", True),
        ("#EXTM3U\r\n#EXT-X-VERSION:6\r\n#EXT-X-INDEPENDENT-SEGMENTS\r\n\r\n", True),
        ("", False),
        ("#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:2\n", False),
        ("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\na.m3u8\n", False),
        ("#EXTM3U\na.ts\n", False),
    ],
)
def test_a_playlist_that_lists_nothing_is_known(text: str, expected: bool) -> None:
    assert is_empty(text) is expected


def test_playlists_whose_rates_nobody_knows_are_listed() -> None:
    text = master_of(["x_0.m3u8", "x_a:b c.m3u8"])
    assert is_master(text)
    assert text.splitlines()[2:] == [
        "#EXT-X-STREAM-INF:BANDWIDTH=1024",
        "x_0.m3u8",
        "#EXT-X-STREAM-INF:BANDWIDTH=1024",
        "x_a%3Ab%20c.m3u8",
    ]


def test_segments_of_a_media_playlist_get_the_token() -> None:
    text = (
        '#EXTM3U\n#EXT-X-MAP:URI="init.mp4",BYTERANGE="9@0"\n'
        '#EXT-X-KEY:METHOD=AES-128,URI="key.bin"\n#EXTINF:2,a.ts\n'
        "a.ts\r\nsub/b.m4s?x=1\n\nc.png\n#a.ts"
    )
    assert "\n".join(map(MediaLines("T"), text.split("\n"))) == (
        '#EXTM3U\n#EXT-X-MAP:URI="init.mp4?session=T",BYTERANGE="9@0"\n'
        '#EXT-X-KEY:METHOD=AES-128,URI="key.bin"\n#EXTINF:2,a.ts\n'
        "a.ts?session=T\r\nsub/b.m4s?x=1&session=T\n\nc.png\n#a.ts"
    )


# RFC 8216 §4.3.4.2: the tag that makes a playlist a master playlist.
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nx", True),
        ("#EXTM3U\r\nlow.m3u8\r\n", True),
        ("#EXTM3U\nlow.M3U8?x=1", True),
        ("#EXTM3U\n#EXTINF:2,\na.ts\n", False),
        ("#EXTM3U\n# see low.m3u8\na.ts?b.m3u8\n", False),
        ("", False),
    ],
)
def test_a_master_playlist_is_told(text: str, expected: bool) -> None:
    assert is_master(text) is expected


def test_playlists_in_a_master_playlist_get_a_token_each() -> None:
    tokens = (f"T{number}" for number in count(1))
    lines = MasterLines("/memfs/x/all.m3u8", lambda: next(tokens))
    text = [
        "#EXTM3U",
        '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",URI="sound.m3u8"',
        "#EXT-X-STREAM-INF:BANDWIDTH=1",
        "low.m3u8",
        "#EXT-X-STREAM-INF:BANDWIDTH=2",
        "high.m3u8?x=1",
        "all.m3u8",
        "../x/%61ll.m3u8?x=2",
        "sub/all.m3u8",
        "https://other.example/memfs/x/all.m3u8",
        "picture.jpg",
        "",
    ]
    assert [lines(line) for line in text] == [
        "#EXTM3U",
        '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",URI="sound.m3u8?session=T1"',
        "#EXT-X-STREAM-INF:BANDWIDTH=1",
        "low.m3u8?session=T1",
        "#EXT-X-STREAM-INF:BANDWIDTH=2",
        "high.m3u8?x=1&session=T2",
        "# m3u8 is referencing itself: all.m3u8?session=T3",
        "# m3u8 is referencing itself: ../x/%61ll.m3u8?x=2&session=T4",
        "sub/all.m3u8?session=T5",
        "https://other.example/memfs/x/all.m3u8?session=T6",
        "picture.jpg",
        "",
    ]


async def test_lines_keep_their_ends() -> None:
    text = "#EXTM3U\r\na.ts\r\n\n\x85b.ts\u2028c.ts\rd.ts\ne.ts"
    assert await rewrite(text, str) == text
    assert await rewrite("", str) == ""
    assert await rewrite("a.ts\r\nb.ts", MediaLines("T")) == (
        "a.ts?session=T\r\nb.ts?session=T"
    )


def test_paths_of_the_disk_become_relative_to_the_playlist() -> None:
    lines = LocalLines("/data/", "/a/b/x.m3u8")
    text = ["/data/a/b/1.ts", "/data/a/1.ts", "/data2/1.ts", '#EXT-X-MAP:URI="/data/i"']
    assert [lines(line) for line in text] == [
        "1.ts",
        "../1.ts",
        "/data2/1.ts",
        '#EXT-X-MAP:URI="../../i"',
    ]
    assert LocalLines("/data", "/x.m3u8")("/data/y/1.ts") == "y/1.ts"


@pytest.mark.parametrize(
    "text",
    [
        "a" * 1_000_000,
        "a.m3u8" * 150_000,
        ".m3u8\n" * 100_000,
        " " * 1_000_000,
        '#EXT:URI="' * 100_000,
        "?" * 1_000_000,
        "a.m3u8" + " " * 1_000_000 + "x",
    ],
)
def test_no_text_takes_long(text: str) -> None:
    start = thread_time()
    is_master(text)
    lines = MediaLines(TOKEN)
    for line in text.split("\n"):
        lines(line)
    assert thread_time() - start < 2


def test_long_lines_stay_as_they_are() -> None:
    line = "a" * 5000 + ".ts"
    assert MediaLines(TOKEN)(line) == line
    assert re.search("session", MediaLines(TOKEN)(line[1000:]))
