"""What the pages for reusers show runs, and what they list is what there is."""

from __future__ import annotations

import importlib
import re
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import attrs
import pytest
from sansmedia import (
    amf,
    codecs,
    flv,
    mp4,
    mpegts,
    rtmp,
    rtp,
    sdp,
    srtp,
    webrtc,
    whip,
)
from sansmedia.rtp import payloads
from sansmedia.sansio.testing import SeededDice

_ROOT = Path(__file__).resolve().parents[2]
_REUSE = _ROOT / "docs" / "reuse"
_README = _ROOT / "protocols" / "README.md"
_PAGES = [_README, *sorted(_REUSE.glob("*.md"))]
_BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
_ROW = re.compile(r"^\| (`.+?) \| (.+?) \|", re.MULTILINE)
_NAME = re.compile(r"`([\w.]+)`")


@pytest.fixture(autouse=True)
def recordings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every example find a recording of a camera in the current folder."""
    data = _ROOT / "tests" / "data"
    shutil.copy(data / "flv" / "h264_aac.bin", tmp_path / "camera.flv")
    monkeypatch.chdir(tmp_path)


def _run(page: Path) -> dict[str, Any]:
    """Run all examples of a page, one after the other, and return their names."""
    text = page.read_text(encoding="utf-8")
    names: dict[str, Any] = {}
    for block in _BLOCK.finditer(text):
        # Blank lines in front make a traceback show the line of the page.
        line = text.count("\n", 0, block.start(1))
        exec(compile("\n" * line + block[1], str(page), "exec"), names)
    return names


@pytest.mark.parametrize("page", _PAGES, ids=[page.stem for page in _PAGES])
def test_the_examples_of_a_page_run_as_they_stand(page: Path) -> None:
    names = _run(page)
    assert names or page.stem == "index"


def _publish(connection: socket.socket, pictures: list[rtmp.MediaMessage]) -> None:
    """Publish over a connected socket and hang up."""
    config = rtmp.ClientConfig(tc_url="rtmp://example.org/live", app="live")
    client = rtmp.RtmpClient(config=config, dice=SeededDice(1), now=0.0)
    client.publish("camera", now=0.0)
    connection.settimeout(10)
    while not client.is_terminated:
        connection.sendall(client.data_to_send())
        client.receive_data(connection.recv(65536), time.monotonic())
        while (event := client.next_event()) is not None:
            if isinstance(event, rtmp.PublishAccepted):
                octets = client.publish_lane(event.stream_id).write(pictures)
                connection.sendall(client.data_to_send() + b"".join(octets))
                client.close("done", now=time.monotonic())
    connection.sendall(client.data_to_send())


def test_the_server_of_the_readme_records_a_publisher() -> None:
    pictures = [
        rtmp.MediaMessage(rtmp.MediaKind.VIDEO, 0, b"\x17\x01\0\0\0picture"),
        rtmp.MediaMessage(rtmp.MediaKind.AUDIO, 21, b"\xaf\x01sound"),
    ]
    record = _run(_README)["record"]
    ours, theirs = socket.socketpair()
    with ours, theirs:
        server = threading.Thread(target=record, args=(ours, "out.flv"), daemon=True)
        server.start()
        _publish(theirs, pictures)
        theirs.shutdown(socket.SHUT_WR)
        server.join(10)
        assert not server.is_alive()
    tags = flv.FlvDemuxer().feed(Path("out.flv").read_bytes())
    assert [(int(tag.type), tag.timestamp_ms, tag.body) for tag in tags] == [
        (int(picture.kind), picture.timestamp, picture.payload) for picture in pictures
    ]


def _rows(library: ModuleType, block: str) -> Iterator[tuple[str, str]]:
    """Return the first two cells of each row that begins with a name."""
    page = _REUSE / f"{library.__name__.rpartition('.')[2]}.md"
    text = page.read_text(encoding="utf-8")
    table = text.partition(f"<!-- {block} -->\n")[2].partition("<!-- end -->")[0]
    rows = [(match[1], match[2]) for match in _ROW.finditer(table)]
    assert rows
    yield from rows


@pytest.mark.parametrize(
    "library", [amf, codecs, flv, mp4, mpegts, payloads, rtp, sdp, srtp, webrtc, whip]
)
def test_every_public_name_is_on_the_page(library: ModuleType) -> None:
    listed = [
        name for first, _ in _rows(library, "names") for name in _NAME.findall(first)
    ]
    assert sorted(listed) == sorted(library.__all__)


@pytest.mark.parametrize("library", [amf, codecs])
def test_every_name_of_a_listed_module_is_on_the_page(library: ModuleType) -> None:
    for first, second in _rows(library, "modules"):
        module = importlib.import_module(f"{library.__name__}.{first.strip('`')}")
        assert sorted(_NAME.findall(second)) == sorted(module.__all__), first


@pytest.mark.parametrize(
    "library", [amf, flv, mp4, mpegts, payloads, rtp, sdp, srtp, webrtc]
)
def test_every_limit_is_on_the_page_with_its_default(library: ModuleType) -> None:
    limits = library.Limits()
    expected = [
        (f"`{field.name}`", f"{getattr(limits, field.name):,}")
        for field in attrs.fields(library.Limits)
        # Those of a part stand on the part's page.
        if not attrs.has(type(getattr(limits, field.name)))
    ]
    assert list(_rows(library, "limits")) == expected


def test_every_bound_of_the_codecs_is_on_the_page_with_its_value() -> None:
    folder = Path(codecs.__path__[0])
    expected = {}
    for path in folder.glob("*.py"):
        for name in re.findall(r"^(MAX_\w+) = ", path.read_text(), re.MULTILINE):
            module = importlib.import_module(f"sansmedia.codecs.{path.stem}")
            expected[f"`{path.stem}.{name}`"] = f"{getattr(module, name):,}"
    assert dict(_rows(codecs, "constants")) == expected
