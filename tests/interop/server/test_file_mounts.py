"""Files over HTTP for curl, FFmpeg and a player in a page."""

from __future__ import annotations

import gzip
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import httpx
import pytest

if TYPE_CHECKING:
    from tests.interop.conftest import Clips, Frames, Program, Start

pytestmark = [pytest.mark.interop, pytest.mark.slow]

SERVER = Path(__file__).parent / "peers" / "mounts.py"
USER = "admin:se%3Acret"


@attrs.define(eq=False)
class Mounts:
    """A server of mounts that runs."""

    port: int
    root: Path
    peer: Callable[[str], str]

    def url(self, path: str, user: str = "") -> str:
        """Return an address; with a name and a password if one has to write."""
        at = f"{user}@" if user else ""
        return f"http://{at}127.0.0.1:{self.port}/{path}"

    def curl(self, *arguments: object) -> bytes:
        """Return what curl prints."""
        command = [self.peer("curl"), "-sS", "--max-time", "20", *arguments]
        return subprocess.run(
            list(map(str, command)), check=True, capture_output=True, timeout=60
        ).stdout

    def viewers(self) -> list[dict[str, Any]]:
        """Return the HLS viewers of now."""
        listed: list[dict[str, Any]] = httpx.get(self.url("viewers")).json()
        return listed


@pytest.fixture(scope="module")
def mounts(
    tmp_path_factory: pytest.TempPathFactory, peer: Callable[[str], str]
) -> Iterator[Mounts]:
    """Mounts that the tests of a module share, each with its own names."""
    root = tmp_path_factory.mktemp("root").resolve()
    command = [sys.executable, str(SERVER), str(root)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        yield Mounts(port, root, peer)
        # It would have ended by itself only for a mistake of ours.
        assert process.poll() is None
        process.terminate()


# -- curl ------------------------------------------------------------------------------


def test_curl_writes_and_reads(mounts: Mounts, tmp_path: Path) -> None:
    content = bytes(range(256)) * 9000
    (tmp_path / "file").write_bytes(content)
    status = ["-o", "/dev/null", "-w", "%{http_code} %{size_upload}"]
    url = mounts.url("memfs/curl.bin")
    # curl waits for 100 before it sends so much.
    refused = mounts.curl(*status, "-T", tmp_path / "file", url)
    assert refused == b"401 0"
    put = ["-u", "admin:se:cret", "-T", tmp_path / "file", url]
    assert mounts.curl(*status, *put) == b"201 2304000"
    assert mounts.curl(*status, *put) == b"204 2304000"
    assert mounts.curl(url) == content
    assert mounts.curl("-r", "256-511", url) == content[:256]
    assert mounts.curl("-r", "-3", url) == content[-3:]
    assert mounts.curl("-C", "2303000", url) == content[2303000:]
    anyauth = ["--anyauth", *put]
    assert mounts.curl(*status, *anyauth).startswith(b"204 ")
    delete = ["-u", "admin:se:cret", "-X", "DELETE", url]
    assert mounts.curl(*status, *delete).startswith(b"204 ")
    assert mounts.curl(*status, url).startswith(b"404 ")


def test_curl_asks_for_what_it_does_not_have(mounts: Mounts, tmp_path: Path) -> None:
    text = b"#EXTM3U\n" + b"#EXTINF:2,\nsegment.ts\n" * 200
    (tmp_path / "file").write_bytes(text)
    url = mounts.url("memfs/curl.m3u8")
    mounts.curl("-u", "admin:se:cret", "-T", tmp_path / "file", url)
    tag = ["--etag-save", tmp_path / "tag", "--etag-compare", tmp_path / "tag"]
    code = ["-o", tmp_path / "got", "-w", "%{http_code}"]
    assert mounts.curl(*tag, *code, url) == b"200"
    assert (tmp_path / "got").read_bytes() == text
    assert mounts.curl(*tag, *code, url) == b"304"
    assert mounts.curl("--compressed", url) == text
    packed = mounts.curl("-H", "Accept-Encoding: gzip", url)
    assert gzip.decompress(packed) == text
    assert len(packed) < len(text) / 10
    head = mounts.curl("-I", url).lower()
    assert b"\r\ncache-control: no-cache\r\n" in head


@pytest.mark.parametrize(
    "path",
    [
        "../secret",
        "..%2fsecret",
        "%2e%2e/secret",
        "%2e%2e%2fsecret",
        "a/../../secret",
        "..%5csecret",
        "%252e%252e/secret",
        "..;/secret",
        "link/secret",
        "secret%00.html",
        "//secret",
        "%c0%ae%c0%ae/secret",
        "a/",
        "",
    ],
)
def test_nothing_outside_the_folder_is_served(mounts: Mounts, path: str) -> None:
    (mounts.root.parent / "secret").write_text("secret")
    (mounts.root / "a").mkdir(exist_ok=True)
    link = mounts.root / "link"
    if not link.is_symlink():
        link.symlink_to(mounts.root.parent)
    code = ["-w", "%{http_code}", "--path-as-is", mounts.url(path)]
    answer = mounts.curl(*code)
    assert answer[-3:] in (b"404", b"403")
    assert b"secret" not in answer


def test_a_folder_is_a_page_with_an_index(mounts: Mounts) -> None:
    (mounts.root / "page").mkdir()
    (mounts.root / "page" / "index.html").write_text("<p>hello")
    assert mounts.curl("-L", mounts.url("page")) == b"<p>hello"
    put = ["-o", "/dev/null", "-w", "%{http_code}", "-X", "PUT", "-d", "x"]
    assert mounts.curl(*put, mounts.url("page/index.html")) == b"405"


# -- FFmpeg ----------------------------------------------------------------------------


def write_hls(start: Start, ffmpeg: str, clips: Clips, *output: str | Path) -> Program:
    return start(
        ffmpeg,
        *["-v", "warning", "-nostdin", "-fflags", "+bitexact"],
        "-i",
        clips.path("h264-aac"),
        *["-c", "copy", "-flags", "+bitexact", "-f", "hls"],
        *["-hls_time", "1", "-hls_list_size", "0"],
        *output,
    )


@pytest.mark.parametrize("version", ["ffmpeg9", "ffmpeg5"])
def test_ffmpeg_writes_hls_and_it_is_what_it_writes_on_a_disk(
    request: pytest.FixtureRequest,
    mounts: Mounts,
    start: Start,
    clips: Clips,
    tmp_path: Path,
    version: str,
) -> None:
    ffmpeg = request.getfixturevalue(version)
    name = f"{version}-"
    write_hls(start, ffmpeg, clips, tmp_path / f"{name}.m3u8").succeed()
    url = mounts.url(f"memfs/{name}.m3u8", USER)
    program = write_hls(start, ffmpeg, clips, "-method", "PUT", url)
    program.succeed()
    assert "failed" not in program.said.lower()
    written = sorted(path.name for path in tmp_path.glob(f"{name}*"))
    assert len(written) == 4
    for file in written:
        assert (
            mounts.curl(mounts.url(f"memfs/{file}")) == (tmp_path / file).read_bytes()
        )


def count_frames(ffmpeg: str, start: Start, url: str, tmp_path: Path) -> int:
    lines = tmp_path / f"frames-{Path(ffmpeg).name}.txt"
    program = start(
        ffmpeg,
        *["-v", "warning", "-nostdin", "-i", url, "-map", "0:v", "-c", "copy"],
        *["-f", "framemd5", "-y"],
        lines,
    )
    program.succeed()
    assert "error" not in program.said.lower()
    return sum(not line.startswith("#") for line in lines.read_text().splitlines())


@pytest.mark.parametrize("version", ["ffmpeg9", "ffmpeg5"])
def test_ffmpeg_plays_what_another_writes_and_is_one_viewer(
    request: pytest.FixtureRequest,
    mounts: Mounts,
    start: Start,
    clips: Clips,
    ffmpeg9: str,
    wait_until: Callable[..., Any],
    tmp_path: Path,
    version: str,
) -> None:
    name = f"live-{version}"
    live = ["-hls_flags", "delete_segments", "-hls_list_size", "3", "-method", "PUT"]
    start(
        ffmpeg9,
        *["-v", "warning", "-nostdin", "-re", "-stream_loop", "3", "-i"],
        clips.path("h264-aac"),
        *["-c", "copy", "-f", "hls", "-hls_time", "1", *live],
        mounts.url(f"memfs/{name}.m3u8", USER),
    )
    url = mounts.url(f"hls/{name}.m3u8")
    wait_until(lambda: httpx.get(url).status_code == 200, "a playlist")
    player = request.getfixturevalue(version)
    assert count_frames(player, start, url, tmp_path) >= 200
    [viewer] = [view for view in mounts.viewers() if view["reference"] == name]
    assert viewer["state"] == "active"
    assert viewer["path"] == f"/hls/{name}.m3u8"
    assert viewer["address"] == "127.0.0.1"
    assert viewer["user_agent"].startswith("Lavf/")
    assert viewer["bytes_sent"] > 100_000
    # Its first segments have been deleted as it went on.
    assert httpx.get(mounts.url(f"memfs/{name}0.ts")).status_code == 404


@pytest.mark.parametrize("form", ["mpegts", "fmp4"])
def test_a_master_playlist_leads_to_one_viewer_for_each_variant_played(
    mounts: Mounts,
    start: Start,
    clips: Clips,
    ffmpeg9: str,
    tmp_path: Path,
    form: str,
) -> None:
    variants = ["-map", "0", "-map", "0", "-var_stream_map", "v:0,a:0 v:1,a:1"]
    master = ["-hls_segment_type", form, "-master_pl_name", f"{form}-all.m3u8"]
    url = mounts.url(f"memfs/{form}-%v.m3u8", USER)
    if form == "fmp4":
        # The names of these are not made from the playlist's.
        master += ["-hls_fmp4_init_filename", f"{form}-%v-init.mp4"]
    put = [*variants, *master, "-method", "PUT"]
    write_hls(start, ffmpeg9, clips, *put, url).succeed()
    url = mounts.url(f"hls/{form}-all.m3u8")
    # FFmpeg opens all variants before it chooses.
    assert count_frames(ffmpeg9, start, url, tmp_path) in (75, 150)
    viewers = [view for view in mounts.viewers() if view["reference"][:4] == form[:4]]
    assert {view["reference"] for view in viewers} == {f"{form}-0", f"{form}-1"}
    assert "active" in [view["state"] for view in viewers]
    assert len({view["id"] for view in viewers}) == 2


def test_playlists_with_paths_of_the_disk_can_be_played(
    mounts: Mounts, start: Start, clips: Clips, ffmpeg9: str, tmp_path: Path
) -> None:
    folder = mounts.root / "local"
    folder.mkdir()
    base = ["-hls_base_url", f"{folder}/"]
    write_hls(start, ffmpeg9, clips, *base, folder / "x.m3u8").succeed()
    assert str(folder) in (folder / "x.m3u8").read_text()
    assert count_frames(ffmpeg9, start, mounts.url("local/x.m3u8"), tmp_path) == 75


def test_a_recording_is_read_in_parts(
    mounts: Mounts, clips: Clips, frame_reader: Any, tmp_path: Path, ffmpeg9: str
) -> None:
    # The index is at the end of such a file: FFmpeg seeks by ranges.
    path = mounts.root / "clip.mp4"
    command = [ffmpeg9, "-v", "error", "-i", clips.path("h264-aac"), "-c", "copy", path]
    subprocess.run(list(map(str, command)), check=True, timeout=60)
    came: Frames = frame_reader.read(mounts.url("clip.mp4"))
    assert came == frame_reader.read(path)


# -- a player in a page ----------------------------------------------------------------


def test_hls_js_in_a_page_of_another_origin_plays_and_is_one_viewer(
    mounts: Mounts,
    start: Start,
    clips: Clips,
    ffmpeg9: str,
    watch_hls: Callable[[str], None],
) -> None:
    url = mounts.url("memfs/page.m3u8", USER)
    write_hls(start, ffmpeg9, clips, "-method", "PUT", url).succeed()
    watch_hls(mounts.url("hls/page.m3u8"))
    [viewer] = [view for view in mounts.viewers() if view["reference"] == "page"]
    assert viewer["state"] == "active"
    assert "Chrome" in viewer["user_agent"]
    assert viewer["bytes_sent"] > 50_000
