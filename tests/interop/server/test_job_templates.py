"""Jobs of templates: what FFmpeg of either version makes of their command lines."""

from __future__ import annotations

import base64
import http.server
import io
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import av
import pytest

from penstock.config.address import Address
from penstock.jobs.addresses import Access
from penstock.jobs.command_line import arguments
from penstock.jobs.placeholders import Places, RtmpPlace, SrtPlace
from penstock.jobs.resolve import prepare
from penstock.web.job_templates import build_job

if TYPE_CHECKING:
    from tests.interop.conftest import Clips, Program, Start
    from tests.interop.server.conftest import Server

pytestmark = [pytest.mark.interop, pytest.mark.slow]


@attrs.define
class Files:
    """Files that are written over HTTP, by those who have the password."""

    url: str
    by_path: dict[str, bytes] = attrs.field(factory=dict)

    def segments(self, rendition: str) -> list[bytes]:
        paths = sorted(path for path in self.by_path if f"/{rendition}_" in path)
        return [self.by_path[path] for path in paths if self.by_path[path]]


@pytest.fixture
def memory() -> Iterator[Files]:
    """What ``{memfs}`` stands for here."""
    files = Files("")
    password = "Basic " + base64.b64encode(b"user:pass").decode()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_PUT(self) -> None:
            if self.headers.get("Authorization") != password:
                self.refuse()
                return
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            files.by_path[self.path] = body
            self.answer(201)

        def do_DELETE(self) -> None:
            files.by_path.pop(self.path, None)
            self.answer(204)

        def handle_expect_100(self) -> bool:
            if self.headers.get("Authorization") == password:
                return super().handle_expect_100()
            self.refuse()
            return False

        def refuse(self) -> None:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="files"')
            self.send_header("Connection", "close")
            self.send_header("Content-Length", "0")
            self.end_headers()
            self.close_connection = True

        def answer(self, status: int) -> None:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        files.url = f"http://user:pass@127.0.0.1:{listening.server_port}/memfs"
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        yield files
        listening.shutdown()
        thread.join()


@attrs.define
class Jobs:
    """Runs jobs as a supervisor would, with one version of FFmpeg."""

    program: str
    server: Server
    start: Start
    places: Places

    def run(self, template: str, **fields: object) -> Program:
        access = Access(self.places.disk_root, os.path.realpath)
        spec = prepare(build_job(template, fields), self.places, access, lambda _: None)
        return self.start(self.program, *arguments(spec))

    def publish(self, name: str, template: str, **fields: object) -> Program:
        """Run a job that publishes one stream, until that is live."""
        program = self.run(template, name=name, **fields)
        self.wait_for(program, name)
        return program

    def wait_for(self, program: Program, name: str) -> None:
        try:
            self.server.wait_for_frames(name, 30)
        except AssertionError:
            pytest.fail(program.said[-3000:])


@pytest.fixture(params=["ffmpeg9", "ffmpeg5"])
def jobs(
    request: pytest.FixtureRequest,
    server: Server,
    start: Start,
    memory: Files,
    tmp_path: Path,
) -> Jobs:
    """Jobs that publish to the tests' server."""
    rtmp = RtmpPlace(Address("127.0.0.1", server.ports["rtmp"]))
    srt = SrtPlace(Address("127.0.0.1", server.ports["srt"]))
    places = Places(str(tmp_path), rtmp, srt, {"mem": memory.url})
    return Jobs(request.getfixturevalue(request.param), server, start, places)


def tracks(server: Server, name: str) -> dict[str, Any]:
    streams = server.api.get("/api/v1/streams/").json()["streams"]
    (found,) = [stream for stream in streams if stream["name"] == name]
    return {"video": found["video"], "audio": found["audio"]}


def test_a_picture_and_a_file_are_published(
    jobs: Jobs, server: Server, clips: Clips, stream_name: str, tmp_path: Path
) -> None:
    jobs.publish(stream_name, "picture", size="640x360", rate="25").end()
    clip = tmp_path / "a clip's.flv"
    clip.write_bytes(clips.path("h264-aac").read_bytes())
    for video in ("h264", "copy"):
        name = f"{stream_name}-{video}"
        # It goes on after its 3 s.
        program = jobs.publish(name, "file", path=clip.name, video=video)
        server.wait_for_frames(name, 100)
        seen = tracks(server, name)
        assert seen["video"]["codec"] == "H264"
        assert seen["audio"]["codec"] == "AAC"
        program.end()


def test_a_stream_is_pulled_from_addresses_of_every_kind(
    jobs: Jobs, server: Server, stream_name: str
) -> None:
    source = jobs.publish(stream_name, "picture", size="640x360", rate="25")
    path = f"live/{stream_name}"
    srt = f"srt://127.0.0.1:{server.ports['srt']}?streamid=#!::r={path}"
    pulls: list[tuple[str, dict[str, object]]] = [
        (server.url("rtmp", path), {}),
        (f"http://127.0.0.1:{server.ports['http']}/{path}.flv", {"paced": True}),
        (srt, {"sound": "aac"}),
        (server.url("rtmp", path), {"sound": "none"}),
    ]
    for number, (address, wishes) in enumerate(pulls):
        name = f"{stream_name}-{number}"
        program = jobs.publish(name, "pull", address=address, **wishes)
        seen = tracks(server, name)
        assert seen["video"]["width"] == 640
        assert bool(seen["audio"]) is (wishes.get("sound") != "none")
        program.end()
    source.end()


def test_renditions_are_published_and_written_with_common_key_frames(
    jobs: Jobs, server: Server, memory: Files, stream_name: str
) -> None:
    source = jobs.publish(stream_name, "picture", size="640x360", rate="25")
    # The upper one stays as large as its source.
    program = jobs.run(
        "transcode", source=stream_name, name="r", renditions=["480", "360"], hls=True
    )
    for height in ("480", "360"):
        jobs.wait_for(program, f"r_{height}p")
        assert tracks(server, f"r_{height}p")["video"]["height"] == 360
    server.wait_until(
        lambda: all(len(memory.segments(one)) >= 2 for one in ("480p", "360p")),
        "two segments",
    )
    program.end()
    source.end()
    master = memory.by_path["/memfs/r/master.m3u8"].decode()
    assert {"480p.m3u8", "360p.m3u8"} <= set(master.split())
    times = []
    for rendition in ("480p", "360p"):
        keys = []
        for segment in memory.segments(rendition)[:2]:
            with av.open(io.BytesIO(segment), "r", "mpegts") as opened:
                assert {stream.type for stream in opened.streams} == {"video", "audio"}
                keys.append(
                    [
                        packet.pts
                        for packet in opened.demux(video=0)
                        if packet.is_keyframe
                    ]
                )
        times.append(keys)
    assert times[0] == times[1]
    # Every 2 s, in segments of 4.
    assert [len(keys) for keys in times[0]] == [2, 2]
    program = jobs.run("transcode", source=stream_name, renditions=["360"])
    source = jobs.publish(stream_name, "picture", size="640x360", rate="25")
    # A job that comes before its source waits for it.
    jobs.wait_for(program, f"{stream_name}_360p")
    program.end()
    source.end()
