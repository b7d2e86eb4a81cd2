"""A real server, and publishers and viewers that are programs of other people."""

from __future__ import annotations

import hashlib
import http.server
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import attrs
import av
import httpx
import pytest
import websockets.exceptions
import websockets.sync.client
from av.bitstream import BitStreamFilterContext
from playwright.sync_api import Browser, sync_playwright

if TYPE_CHECKING:
    from tests.interop.conftest import (
        Certificate,
        Clips,
        FrameReader,
        Frames,
        Program,
        Start,
    )

DEADLINE_S = 20.0


# -- the server ----------------------------------------------------------------------


@attrs.define(eq=False)
class Server:
    """A real server: ``python -m penstock`` with ports of its own choosing."""

    process: subprocess.Popen[bytes]
    log_path: Path
    ports: dict[str, int]
    api: httpx.Client
    """The SRS API."""
    wait_until: Callable[..., Any]

    def url(self, scheme: str, path: str) -> str:
        """Return an address of a stream, such as ``live/x`` or ``live/x.flv``."""
        listener = {
            "https": "http",
            "ws": "http",
            "wss": "http",
            "srs": "api.srs",
            "srss": "api.srs.https",
            "live777": "api.live777",
        }.get(scheme, scheme)
        apis = {"srs": "http", "srss": "https", "live777": "http"}
        scheme = apis.get(scheme, scheme)
        return f"{scheme}://127.0.0.1:{self.ports[listener]}/{path}"

    def log_lines(self) -> list[dict[str, Any]]:
        """Return all log lines so far."""
        lines = self.log_path.read_text().split("\n")
        return [json.loads(line) for line in lines[:-1] if line.startswith("{")]

    def logged(self, message: str, **fields: object) -> list[dict[str, Any]]:
        """Return the log lines with this message and these fields."""
        return [
            line
            for line in self.log_lines()
            if line["message"] == message
            and all(line.get(name) == value for name, value in fields.items())
        ]

    def clients(self, stream: str | None = None) -> list[dict[str, Any]]:
        """Return the clients that the SRS API lists, those of one stream if named."""
        answer = self.api.get("/api/v1/clients/?count=1000").json()
        clients: list[dict[str, Any]] = answer["clients"]
        if stream is None:
            return clients
        # SRS lists HTTP viewers under the file's name.
        return [c for c in clients if Path(c["name"]).stem == stream]

    def players(self, stream: str) -> list[dict[str, Any]]:
        """Return the clients that play a stream."""
        return [c for c in self.clients(stream) if not c["publish"]]

    def publisher(self, stream: str) -> dict[str, Any] | None:
        """Return the client that publishes a stream, if there is one."""
        return next((c for c in self.clients(stream) if c["publish"]), None)

    def wait_for_players(self, stream: str, count: int) -> None:
        """Wait until so many clients play a stream."""
        self.wait_until(
            lambda: len(self.players(stream)) == count,
            f"{count} players of {stream}",
        )

    def wait_for_frames(self, stream: str, count: int) -> None:
        """Wait until so many pictures of a stream have come."""

        def came() -> bool:
            streams = self.api.get("/api/v1/streams/?count=1000").json()["streams"]
            return any(s["name"] == stream and s["frames"] >= count for s in streams)

        self.wait_until(came, f"{count} frames of {stream}")

    def stop(self) -> None:
        """Ask it to stop; assert that it does so well and has nothing to regret."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(DEADLINE_S)
        text = self.log_path.read_text()
        assert code == 0, text[-3000:]
        assert "Traceback" not in text, text[text.index("Traceback") - 500 :]
        assert not [line for line in self.log_lines() if line["level"] == "error"]
        assert all(line.startswith("{") for line in text.splitlines()), text[-3000:]


class StartServer(Protocol):
    """Starts a server; ``section.key=value`` each."""

    def __call__(self, *sets: str, config: Path | None = None) -> Server: ...


DEFAULT_SETS = (
    "http.listen=127.0.0.1:0",
    "rtmp.listen=127.0.0.1:0",
    "webrtc.listen=0.0.0.0:0",
    "srt.listen=127.0.0.1:0",
    "api.srs.listen=127.0.0.1:0",
    "api.live777.listen=127.0.0.1:0",
    "api.datarhei.listen=127.0.0.1:0",
    "metrics.listen=",
    "stream.republish_wait_s=0.5",
    "log.format=json",
)


@attrs.define
class Launcher:
    """Starts servers."""

    environment: dict[str, str]
    wait_until: Callable[..., Any]

    def launch(self, folder: Path, *sets: str, config: Path | None = None) -> Server:
        """Start a server in ``folder`` and wait until it is ready."""
        folder.mkdir(parents=True, exist_ok=True)
        ready, log_path = folder / "ready.json", folder / "server.log"
        command = [sys.executable, "-m", "penstock", "serve"]
        command += ["--ready-file", str(ready)]
        if config is not None:
            command += ["--config", str(config)]
        for item in (*DEFAULT_SETS, f"storage.dir={folder / 'state'}", *sets):
            command += ["--set", item]
        with open(log_path, "wb") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                env=self.environment,
            )
        try:
            self.wait_until(
                lambda: ready.exists() or process.poll() is not None,
                "the server to be ready",
            )
        except BaseException:
            process.kill()
            process.wait()
            raise
        assert process.poll() is None, log_path.read_text()
        listeners = json.loads(ready.read_text())["listeners"]
        ports = {listener["name"]: listener["port"] for listener in listeners}
        client = httpx.Client(
            base_url=f"http://127.0.0.1:{ports['api.srs']}", trust_env=False, timeout=60
        )
        return Server(process, log_path, ports, client, self.wait_until)


@pytest.fixture(scope="session")
def launcher(environment: dict[str, str], wait_until: Callable[..., Any]) -> Launcher:
    """Start servers that somebody else ends."""
    return Launcher(environment, wait_until)


def end_server(server: Server) -> None:
    """Stop a server; it does not outlive a failure to do so."""
    server.api.close()
    try:
        server.stop()
    finally:
        if server.process.poll() is None:
            server.process.kill()
            server.process.wait()


@pytest.fixture
def penstock_server(tmp_path: Path, launcher: Launcher) -> Iterator[StartServer]:
    """Start servers; at the end each must stop well, with no error in its log."""
    servers: list[Server] = []

    def start_server(*sets: str, config: Path | None = None) -> Server:
        folder = tmp_path / f"server-{len(servers)}"
        servers.append(launcher.launch(folder, *sets, config=config))
        return servers[-1]

    yield start_server
    failures = []
    for server in servers:
        try:
            end_server(server)
        except (AssertionError, subprocess.TimeoutExpired) as failure:
            failures.append(failure)
    assert not failures, "\n".join(map(str, failures))


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory,
    certificate: Certificate,
    launcher: Launcher,
) -> Iterator[Server]:
    """A server with TLS that the tests of a module share, each with its own stream."""
    running = launcher.launch(
        tmp_path_factory.mktemp("server"),
        f"http.cert={certificate.chain}",
        f"http.key={certificate.key}",
        "rtmps.listen=127.0.0.1:0",
        "api.srs.https_listen=127.0.0.1:0",
    )
    yield running
    end_server(running)


@pytest.fixture
def stream_name(request: pytest.FixtureRequest) -> str:
    """A name that no other test uses."""
    return re.sub(r"\W+", "-", request.node.name).strip("-")


# -- HLS in a page -------------------------------------------------------------------

HLS_JS = "hls.js@1.6.15"
PLAY = """(url) => {
  const video = document.querySelector("video");
  window.complaints = [];
  window.player = new Hls();
  window.player.on(Hls.Events.ERROR, (_, data) => {
    if (data.fatal) window.complaints.push(data.details);
  });
  window.player.loadSource(url);
  window.player.attachMedia(video);
  video.play();
}"""
PLAYS = """() => {
  if (window.complaints.length) return true;
  return document.querySelector("video").currentTime > 2;
}"""


@pytest.fixture(scope="session")
def hls_js(
    peer: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Fetch the player."""
    folder = tmp_path_factory.mktemp("hls")
    quiet = ["--no-audit", "--no-fund", "--ignore-scripts"]
    command = [peer("npm"), "install", *quiet, HLS_JS]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=100)
    return folder / "node_modules" / "hls.js" / "dist" / "hls.min.js"


@pytest.fixture
def watch_hls(browser: Browser, hls_js: Path) -> Callable[[str], None]:
    """Play an address for two seconds in a page of another origin."""

    def watch(url: str) -> None:
        page = browser.new_page()
        page.set_default_timeout(60_000)
        page.set_content("<video muted></video>")
        page.add_script_tag(path=hls_js)
        page.evaluate(PLAY, url)
        page.wait_for_function(PLAYS)
        complaints = page.evaluate("() => window.complaints")
        page.close()
        assert complaints == []

    return watch


# -- publishers and viewers ----------------------------------------------------------


@attrs.define(eq=False)
class FramehashViewer:
    """FFmpeg, which writes down each packet's hash itself."""

    program: Program
    hashes: Path
    reader: FrameReader

    def frames(self) -> Frames:
        self.program.succeed()
        return self.reader.parse(self.hashes.read_text())


@attrs.define(eq=False)
class RecordingViewer:
    """A program that records what comes; FFmpeg 9 reads the recording later."""

    program: Program
    recording: Path
    reader: FrameReader
    codes: tuple[int, ...] = (0,)
    """How it exits when the stream ends."""
    ended: Callable[[], object] | None = None
    """Waits for the end of the stream, for a program that does not exit then."""

    def frames(self) -> Frames:
        if self.ended is not None:
            self.ended()
            self.program.end()
            return self.reader.read(self.recording)
        code = self.program.wait()
        assert code in self.codes, f"gave {code}: {self.program.said[-3000:]}"
        return self.reader.read(self.recording)


@attrs.define(eq=False)
class WebSocketViewer:
    """The `websockets` library in a thread of its own."""

    url: str
    recording: Path
    reader: FrameReader
    close_code: int | None = None
    thread: threading.Thread = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.thread = threading.Thread(target=self._record, daemon=True)
        self.thread.start()

    def _record(self) -> None:
        with (
            websockets.sync.client.connect(self.url, max_size=None) as socket,
            open(self.recording, "wb") as file,
        ):
            try:
                while True:
                    message = socket.recv()
                    assert isinstance(message, bytes)
                    file.write(message)
            except websockets.exceptions.ConnectionClosed as closed:
                self.close_code = closed.rcvd.code if closed.rcvd else None

    def frames(self) -> Frames:
        self.thread.join(DEADLINE_S)
        assert not self.thread.is_alive(), "the WebSocket was not closed"
        assert self.close_code == 1000
        return self.reader.read(self.recording)


@attrs.define(eq=False)
class Actors:
    """Gives publishers and viewers of one server's streams to one test."""

    start: Start
    peer: Callable[[str], str]
    ffmpeg9: str
    reader: FrameReader
    clips: Clips
    whip_clip: Path
    certificate: Certificate
    folder: Path
    count: int = 0

    def _trust(self, url: str) -> list[str]:
        """Return the options that make FFmpeg 9 trust our authority."""
        # FFmpeg 5.1 has the option too, but asks nobody to prove anything.
        secure = url.startswith(("rtmps:", "https:"))
        return ["-ca_file", str(self.certificate.authority)] if secure else []

    def _file(self, suffix: str) -> Path:
        self.count += 1
        return self.folder / f"recording-{self.count}{suffix}"

    def ffmpeg(self, url: str, program: str = "", *options: str) -> FramehashViewer:
        """Watch with FFmpeg, version 9 unless ``program`` is another."""
        hashes = self._file(".hash")
        running = self.start(
            program or self.ffmpeg9,
            *["-v", "warning", "-nostdin", "-copyts"],
            *self._trust(url),
            *options,
            "-i",
            url,
            *self.reader.arguments,
            hashes,
        )
        return FramehashViewer(running, hashes, self.reader)

    def recorder(
        self,
        name: str,
        *arguments: str,
        suffix: str = ".flv",
        codes: tuple[int, ...] = (0,),
    ) -> RecordingViewer:
        """Watch with a program whose argument ``FILE`` is where it records."""
        recording = self._file(suffix)
        words = [word.replace("FILE", str(recording)) for word in arguments]
        running = self.start(self.peer(name), *words)
        return RecordingViewer(running, recording, self.reader, codes)

    def curl(self, url: str, *options: str) -> RecordingViewer:
        """Watch with curl, which takes any certificate here."""
        suffix = Path(url.partition("?")[0]).suffix
        arguments = ["-sS", "-k", "--fail", *options, "-o", "FILE", url]
        return self.recorder("curl", *arguments, suffix=suffix)

    def rtmpdump(self, url: str) -> RecordingViewer:
        """Watch with librtmp."""
        # It exits with 2 when a live stream ends: it cannot know that this was all.
        return self.recorder(
            "rtmpdump", "--live", "-r", url, "-o", "FILE", codes=(0, 2)
        )

    def rtmp2src(self, url: str) -> RecordingViewer:
        """Watch with GStreamer's own RTMP source."""
        pipeline = ["rtmp2src", f"location={url}", "!", "filesink", "location=FILE"]
        return self.recorder("gst-launch-1.0", "-q", *pipeline)

    def rtmpsrc(self, url: str, server: Server) -> RecordingViewer:
        """Watch with GStreamer's older source, which is librtmp.

        It never ends: when a stream does, it connects anew. That is its end here.
        """
        path = url.split("/", 3)[3]
        pipeline = ["rtmpsrc", f"location={url} live=1", "!", "filesink"]
        viewer = self.recorder(
            "gst-launch-1.0", "-q", *pipeline, "buffer-mode=unbuffered", "location=FILE"
        )

        def came_again() -> bool:
            # It is the only one that does not say who it is.
            return len(server.logged("playing", stream=path, client="")) > 1

        viewer.ended = lambda: server.wait_until(came_again, "the end of a recording")
        return viewer

    def websocket(self, url: str) -> WebSocketViewer:
        """Watch through a WebSocket."""
        return WebSocketViewer(url, self._file(".flv"), self.reader)

    def publish(
        self,
        clip: str,
        url: str,
        *options: str,
        rate: float = 1,
        loops: int = 0,
        program: str = "",
    ) -> Program:
        """Publish a clip with FFmpeg, ``rate`` times as fast as it plays.

        ``loops`` tells how often it begins again: -1 for ever, until the test ends.
        FFmpeg 5.1 knows no rate but 1.
        """
        pace = ["-re"] if rate == 1 else ["-readrate", f"{rate:g}"]
        return self.start(
            program or self.ffmpeg9,
            *["-v", "warning", "-nostdin"],
            *pace,
            *["-stream_loop", str(loops)],
            "-i",
            self.clips.path(clip),
            *["-map", "0", "-c", "copy"],
            *self._trust(url),
            *options,
            "-f",
            "mpegts" if url.startswith("srt:") else "flv",
            url,
        )

    def publish_whip(self, url: str, *options: str, loops: int = 0) -> Program:
        """Publish `whip_clip` with FFmpeg 9's WHIP muxer."""
        return self.start(
            self.ffmpeg9,
            *["-v", "info", "-nostdin", "-re", "-stream_loop", str(loops)],
            "-i",
            self.whip_clip,
            *["-map", "0", "-c", "copy"],
            *options,
            *["-f", "whip", url],
        )

    def gstreamer_publisher(
        self, sink: str, clip: str, url: str, copy: Path
    ) -> Program:
        """Publish H.264 and AAC with one of GStreamer's two RTMP sinks.

        Its muxer rewrites the times; ``copy`` gets what it sends.
        """
        path = self.clips.path(clip)
        pipeline = (
            f"filesrc location={path} ! flvdemux name=d "
            "d.video ! queue ! h264parse ! m. d.audio ! queue ! aacparse ! m. "
            "flvmux name=m streamable=true ! tee name=t "
            f"t. ! queue ! {sink} location={url} "
            f"t. ! queue ! filesink location={copy}"
        )
        return self.start(self.peer("gst-launch-1.0"), "-q", *pipeline.split())


GSTREAMER_PEER = Path(__file__).parent / "peers" / "gstreamer_peer.py"
GSTREAMER_PYTHON = "/usr/bin/python3"
"""The distribution's, which has its GObject bindings."""
GSTREAMER_NEEDS = (
    "import gi; gi.require_version('GstWebRTC', '1.0'); "
    "from gi.repository import Gst, GstWebRTC, GstSdp; Gst.init(None); "
    "assert all(map(Gst.ElementFactory.find, ['webrtcbin', 'nicesrc', 'dtlsdec']))"
)

WebRtcBin = Callable[..., "Program"]


@pytest.fixture(scope="session")
def gstreamer_python() -> str:
    """The Python that can drive webrtcbin."""
    found = (
        os.path.exists(GSTREAMER_PYTHON)
        and not subprocess.run(
            [GSTREAMER_PYTHON, "-c", GSTREAMER_NEEDS],
            capture_output=True,
            check=False,
            timeout=60,
        ).returncode
    )
    if not found:
        if os.environ.get("TEST_REQUIRE_PEERS") == "1":
            pytest.fail("webrtcbin, libnice's plugin, or Python's bindings are missing")
        pytest.skip("webrtcbin, libnice's plugin, or Python's bindings are missing")
    return GSTREAMER_PYTHON


@pytest.fixture
def webrtcbin(gstreamer_python: str, start: Start) -> WebRtcBin:
    """Start a client in a process of its own."""
    return lambda *arguments: start(gstreamer_python, GSTREAMER_PEER, *arguments)


@pytest.fixture(scope="session")
def whip_clip(ffmpeg9: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """4 s of H.264 as WebRTC wants it, without B-pictures, and Opus."""
    path = tmp_path_factory.mktemp("whip") / "clip.mkv"
    command = (
        "-v error -nostdin -f lavfi -i testsrc2=s=640x360:r=25:d=4 "
        "-f lavfi -i sine=440:r=48000:d=4 -pix_fmt yuv420p -c:v libx264 "
        "-preset veryfast -profile:v baseline -g 25 -b:v 1500k -c:a libopus -ac 2"
    )
    subprocess.run([ffmpeg9, *command.split(), path], check=True, timeout=60)
    return path


@pytest.fixture(scope="session")
def whip_packets(whip_clip: Path) -> list[tuple[str, float, bytes]]:
    """The packets of `whip_clip`: kind, milliseconds, octets (H.264 in Annex B)."""
    found: list[tuple[str, float, bytes]] = []
    with av.open(str(whip_clip)) as clip:
        annexb = BitStreamFilterContext("h264_mp4toannexb", clip.streams.video[0])
        for packet in clip.demux():
            kind = packet.stream.type
            for unit in annexb.filter(packet) if kind == "video" else [packet]:
                if unit.size:
                    assert unit.pts is not None
                    ms = max(0.0, float(unit.pts * unit.time_base) * 1000)
                    found.append((kind, ms, bytes(unit)))
    return found


@pytest.fixture(scope="session")
def follow_clip(
    whip_packets: list[tuple[str, float, bytes]],
) -> Callable[[list[str]], None]:
    """Assert that pictures of `whip_clip` came in order, none missing.

    They are given by the MD5 of their units, without start codes and without what
    senders repeat, move and leave out: SEI, parameter sets, delimiters. The clip may
    go round.
    """
    sent = []
    for kind, _, data in whip_packets:
        if kind == "video":
            units = re.split(b"\0?\0\0\1", data)[1:]
            seen = b"".join(u for u in units if u[0] & 0x1F not in (6, 7, 8, 9))
            sent.append(hashlib.md5(seen).hexdigest())

    def follow(came: list[str]) -> None:
        begin = sent.index(came[0])
        assert came == [sent[(begin + n) % len(sent)] for n in range(len(came))]

    return follow


@pytest.fixture
def actors(
    start: Start,
    peer: Callable[[str], str],
    ffmpeg9: str,
    frame_reader: FrameReader,
    clips: Clips,
    whip_clip: Path,
    certificate: Certificate,
    tmp_path: Path,
) -> Actors:
    """Publishers and viewers that are programs of other people."""
    return Actors(
        start, peer, ffmpeg9, frame_reader, clips, whip_clip, certificate, tmp_path
    )


@pytest.fixture(scope="module")
def browser(peer: Any) -> Iterator[Browser]:
    """Chromium of the distribution."""
    path = peer("chromium")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--headless=new"]
        )
        yield running
        running.close()


# -- hooks ---------------------------------------------------------------------------


@attrs.define
class Hooks:
    """An HTTP server that writes down what it is told, and refuses what it should."""

    url: str
    told: list[dict[str, Any]] = attrs.field(factory=list)
    refused: str = ""
    """Name of the action to refuse."""

    def actions(self, client_id: str) -> list[str]:
        """Return what was told of one client."""
        return [
            event["action"] for event in self.told if event["client_id"] == client_id
        ]

    def sets(self) -> list[str]:
        """Return the settings that send all hooks here."""
        actions = ["connect", "close", "publish", "unpublish", "play", "stop"]
        return [f'hooks.on_{action}=["{self.url}"]' for action in actions]


@pytest.fixture
def hooks() -> Iterator[Hooks]:
    """Somebody who listens to hooks."""
    known = Hooks("")

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            event = json.loads(self.rfile.read(length))
            known.told.append(event)
            body = b'{"code":1}' if event["action"] == known.refused else b'{"code":0}'
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        known.url = f"http://127.0.0.1:{listening.server_port}/hook"
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        yield known
        listening.shutdown()
        thread.join()
