"""Types by suffix, and what is compressed."""

from __future__ import annotations

import pytest

from penstock.storage.media_types import (
    accepts_gzip,
    decode_media_types,
    is_compressible,
    media_type,
)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("/live/a.m3u8", "application/vnd.apple.mpegurl"),
        ("/a.b/c.TS", "video/MP2T"),
        ("/a.tar.gz", "application/octet-stream"),
        ("/.ts", "application/octet-stream"),
        ("/folder.ts/f", "application/octet-stream"),
        ("/f.", "application/octet-stream"),
    ],
)
def test_the_last_suffix_decides(name: str, expected: str) -> None:
    assert media_type(name) == expected


def test_a_file_of_types_is_read() -> None:
    text = "# types\ntext/plain txt LOG\n\n video/x  .v # more\napplication/none\n"
    types = decode_media_types(text)
    assert types == {".txt": "text/plain", ".log": "text/plain", ".v": "video/x"}
    assert media_type("/a.log", types) == "text/plain"
    assert media_type("/a.ts", types, "application/data") == "application/data"


@pytest.mark.parametrize(
    ("content_type", "size", "expected"),
    [
        ("text/plain", 1000, True),
        ("Text/HTML; charset=utf-8", 5000, True),
        ("text/plain", 999, False),
        ("video/mp4", 5000, False),
    ],
)
def test_text_of_some_length_is_compressed(
    content_type: str, size: int, expected: bool
) -> None:
    assert is_compressible(content_type, size) is expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("gzip", True),
        ("deflate, GZIP;q=0.5", True),
        ("x-gzip ; Q=1.000", True),
        ("gzip;q=0", False),
        ("gzip;q=0.000", False),
        ("gzip;q=nan", False),
        ("gzip;q=2", False),
        ("br, *", False),
        ("identity", False),
        ("", False),
        (None, False),
    ],
)
def test_a_client_says_whether_it_unpacks(value: str | None, expected: bool) -> None:
    """RFC 9110 §12.5.3 and §12.4.2."""
    assert accepts_gzip(value) is expected
