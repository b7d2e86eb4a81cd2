"""Independent programs, a real server, clips, and what came out, frame by frame."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import attrs
import httpx
import imageio_ffmpeg
import pytest
import trustme
import websockets.exceptions
import websockets.sync.client

DEADLINE_S = 20.0
"""How long anything that must happen may take on a busy machine."""
CLIP_S = 3
CLIP_RATE = 25
"""Pictures a second, and pictures from one key frame to the next."""
VIDEO_INPUT = f"-f lavfi -i testsrc2=s=320x180:r={CLIP_RATE}:d={CLIP_S}"
AUDIO_INPUT = f"-f lavfi -i sine=440:r=48000:d={CLIP_S}"
SECOND_INPUTS = (
    f"-f lavfi -i testsrc=s=160x90:r=25:d={CLIP_S} "
    f"-f lavfi -i sine=880:r=48000:d={CLIP_S}"
)
X264 = "-c:v libx264 -preset veryfast -bf 2"
X265 = "-c:v libx265 -preset ultrafast -x265-params log-level=none:bframes=2:keyint=25"
ENVIRONMENT = {
    name: value
    for name, value in os.environ.items()
    if not name.startswith("PENSTOCK_")
}
CODECS = {
    "h264-aac": f"{X264} -c:a aac",
    "h264-mp3": f"{X264} -profile:v baseline -c:a libmp3lame -ar 44100",
    "h264-flac": f"{X264} -c:a flac",
    "h264-ac3": f"{X264} -c:a ac3",
    "h264-eac3": f"{X264} -c:a eac3",
    "hevc-aac": f"{X265} -c:a aac",
    "hevc-opus": f"{X265} -c:a libopus",
    "av1-opus": "-c:v libsvtav1 -preset 11 -c:a libopus",
    "vp9-opus": "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -c:a libopus",
    "multitrack": f"-map 0 -map 1 -map 2 -map 3 {X264} -c:a aac",
    "large": "-s 640x360 -c:v libx264 -preset ultrafast -bf 2 -c:a aac",
    "audio": "-vn -c:a aac",
    "video": f"{X264} -an",
}


# -- programs ------------------------------------------------------------------------


def find_peer(name: str) -> str:
    """Return a program's path, or skip the test (fail it if peers are required)."""
    path = shutil.which(name)
    if path is None:
        if os.environ.get("TEST_REQUIRE_PEERS") == "1":
            pytest.fail(f"{name} is missing")
        pytest.skip(f"{name} is missing")
    return path


@pytest.fixture(scope="session")
def peer() -> Callable[[str], str]:
    """Look up an independent program by its name."""
    return find_peer


@pytest.fixture(scope="session")
def ffmpeg9() -> str:
    """FFmpeg 9: the one of imageio-ffmpeg, with Enhanced RTMP."""
    return str(imageio_ffmpeg.get_ffmpeg_exe())


@pytest.fixture(scope="session")
def ffmpeg5() -> str:
    """The distribution's own FFmpeg, which knows nothing of Enhanced RTMP."""
    return find_peer("ffmpeg")


def wait_until(
    condition: Callable[[], Any], what: str, timeout_s: float = DEADLINE_S
) -> Any:
    """Return the first true value of ``condition``; fail if there is none in time."""
    deadline = time.monotonic() + timeout_s
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited {timeout_s:g} s for {what}"
        time.sleep(0.02)
    return value


@pytest.fixture(scope="session", name="wait_until")
def wait_until_fixture() -> Callable[..., Any]:
    """Wait for an event that only asking can show."""
    return wait_until


@attrs.define(eq=False)
class Program:
    """A running program; what it says goes to a file."""

    process: subprocess.Popen[bytes]
    output: Path
    """Both of its streams, unless standard output went elsewhere."""

    @property
    def said(self) -> str:
        """What it has said so far."""
        return self.output.read_text("utf-8", "replace")

    def wait(self, timeout_s: float = DEADLINE_S) -> int:
        """Return its exit code once it has ended by itself."""
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            words = " ".join(map(str, self.process.args))  # type: ignore[arg-type]
            pytest.fail(f"still running: {words}\n{self.said[-3000:]}")

    def succeed(self, timeout_s: float = DEADLINE_S) -> None:
        """Fail the test unless it ends by itself, and well."""
        code = self.wait(timeout_s)
        assert code == 0, f"{self.process.args!r} gave {code}:\n{self.said[-3000:]}"

    def end(self) -> None:
        """End it, whatever it is doing."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


class Start(Protocol):
    """Starts a program that ends with the test at the latest."""

    def __call__(
        self,
        *command: str | Path,
        stdout: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Program: ...


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start programs; whatever still runs at the end of the test is killed."""
    programs: list[Program] = []

    def run(
        *command: str | Path,
        stdout: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Program:
        output = tmp_path / f"{Path(command[0]).name}-{len(programs)}.log"
        with open(output, "wb") as log, open(stdout or output, "ab") as out:
            process = subprocess.Popen(
                [str(word) for word in command],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=log if stdout is not None else subprocess.STDOUT,
                env={**ENVIRONMENT, **(env or {})},
            )
        programs.append(Program(process, output))
        return programs[-1]

    yield run
    for program in programs:
        program.end()


# -- frames --------------------------------------------------------------------------


@attrs.frozen
class Packet:
    """A packet as FFmpeg 9 reads it; times in ms on the file's own clock."""

    dts: float
    pts: float
    size: int
    md5: str


Frames: TypeAlias = dict[str, list[Packet]]
"""The packets of each track, by kind and number: ``video0``, ``audio0``."""


def parse_framehash(text: str) -> Frames:
    """Return what FFmpeg's framehash format says."""
    names: dict[int, str] = {}
    ticks: dict[int, float] = {}
    found: Frames = {}
    for line in text.splitlines():
        if match := re.match(r"#tb (\d+): (\d+)/(\d+)", line):
            index, numerator, denominator = map(int, match.groups())
            ticks[index] = 1000 * numerator / denominator
        elif match := re.match(r"#media_type (\d+): (\w+)", line):
            number = sum(name.startswith(match[2]) for name in names.values())
            names[int(match[1])] = f"{match[2]}{number}"
        elif line and line[0] != "#":
            stream, dts, pts, _, size, md5 = (v.strip() for v in line.split(",")[:6])
            index = int(stream)
            packet = Packet(
                int(dts) * ticks[index], int(pts) * ticks[index], int(size), md5
            )
            found.setdefault(names[index], []).append(packet)
    return found


FRAMEHASH = [
    *["-map", "0:v?", "-map", "0:a?", "-c", "copy"],
    *["-f", "framehash", "-hash", "md5"],
]


def read_frames(path: Path | str) -> Frames:
    """Return every packet of a file."""
    result = subprocess.run(
        [
            imageio_ffmpeg.get_ffmpeg_exe(),
            *["-v", "error", "-nostdin", "-copyts", "-i"],
            str(path),
            *FRAMEHASH,
            "-",
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert result.returncode == 0, result.stderr
    return parse_framehash(result.stdout)


def same_frames(came: Frames, sent: Frames, tolerance_ms: float = 1.01) -> None:
    """Assert that each track has the same packets in order, at the same times.

    Times are compared from the earliest on: a stream has a zero of its own.
    """
    assert sorted(came) == sorted(sent)
    for name, packets in sent.items():
        hashes = [p.md5 for p in packets]
        others = [p.md5 for p in came[name]]
        assert others == hashes, f"{name}: {_difference(others, hashes)}"
    came_zero, sent_zero = (
        min(packets[0].dts for packets in frames.values()) for frames in (came, sent)
    )
    for name, packets in sent.items():
        for number, (other, packet) in enumerate(zip(came[name], packets, strict=True)):
            for kind in ("dts", "pts"):
                new = getattr(other, kind) - came_zero
                old = getattr(packet, kind) - sent_zero
                assert abs(new - old) <= tolerance_ms, (
                    f"{name}, packet {number}: {kind} {new:g} ms, not {old:g}"
                )


def _difference(came: Sequence[str], sent: Sequence[str]) -> str:
    missing = [number for number, md5 in enumerate(sent) if md5 not in came]
    extra = [number for number, md5 in enumerate(came) if md5 not in sent]
    return (
        f"{len(came)} packets came, {len(sent)} were sent; "
        f"missing {missing[:20]}, unknown {extra[:20]}"
    )


@pytest.fixture(scope="session", name="read_frames")
def read_frames_fixture() -> Callable[[Path | str], Frames]:
    """Read every packet of a file with FFmpeg 9."""
    return read_frames


@pytest.fixture(scope="session", name="same_frames")
def same_frames_fixture() -> Callable[..., None]:
    """Compare two recordings, bit by bit, in order, and in time."""
    return same_frames


def all_same_frames(
    viewers: Mapping[str, Viewer], sent: Frames, tolerance_ms: float = 1.01
) -> None:
    """Assert that every viewer gets exactly what was sent."""
    recordings = {name: viewer.frames() for name, viewer in viewers.items()}
    for name, frames in recordings.items():
        try:
            same_frames(frames, sent, tolerance_ms)
        except AssertionError as failure:
            raise AssertionError(f"{name}: {failure}") from None


@pytest.fixture(scope="session", name="all_same_frames")
def all_same_frames_fixture() -> Callable[..., None]:
    """Wait for viewers, by name, and compare what each got with what was sent."""
    return all_same_frames


def same_suffix(came: Frames, sent: Frames) -> None:
    """Assert that a viewer came late, to a key frame, and missed nothing from there."""
    assert sorted(came) == sorted(sent)
    rest = {name: sent[name][-len(packets) :] for name, packets in came.items()}
    missed = len(sent["video0"]) - len(came["video0"])
    assert missed % CLIP_RATE == 0, f"starts with picture {missed}"
    assert missed < len(sent["video0"]) / 2
    for name, packets in sent.items():
        late = rest[name][0].dts - rest["video0"][0].dts
        assert late < 100, f"{name} starts {late:g} ms after the pictures"
        assert len(packets) >= len(came[name])
    same_frames(came, rest)


@pytest.fixture(scope="session", name="same_suffix")
def same_suffix_fixture() -> Callable[[Frames, Frames], None]:
    """Compare what a late viewer got with what was sent."""
    return same_suffix


@attrs.define
class Clips:
    """Short FLV files, encoded when first asked for."""

    folder: Path
    frames: dict[str, Frames] = attrs.field(factory=dict)

    def path(self, name: str) -> Path:
        """Return the file of one pair of codecs."""
        path = self.folder / f"{name}.flv"
        if not path.exists():
            inputs = f"{VIDEO_INPUT} {AUDIO_INPUT}"
            if name == "multitrack":
                inputs = f"{inputs} {SECOND_INPUTS}"
            command = f"-v error -nostdin {inputs} -pix_fmt yuv420p -g 25 -ac 2"
            subprocess.run(
                [
                    imageio_ffmpeg.get_ffmpeg_exe(),
                    *command.split(),
                    *CODECS[name].split(),
                    path,
                ],
                check=True,
                timeout=60,
                capture_output=True,
            )
        return path

    def sent(self, name: str) -> Frames:
        """Return the packets of one clip."""
        if name not in self.frames:
            self.frames[name] = read_frames(self.path(name))
        return self.frames[name]


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Clips:
    """Clips of 3 s, 320x180 at 25 a second, a group of pictures a second."""
    return Clips(tmp_path_factory.mktemp("clips"))


# -- certificates --------------------------------------------------------------------


@attrs.frozen
class Certificate:
    """A certificate for this machine and the authority that vouches for it."""

    chain: Path
    key: Path
    authority: Path


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """A certificate for localhost."""
    folder = tmp_path_factory.mktemp("tls")
    made = Certificate(folder / "chain.pem", folder / "key.pem", folder / "ca.pem")
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1", "localhost", "::1")
    issued.private_key_pem.write_to_path(str(made.key))
    for blob in issued.cert_chain_pems:
        blob.write_to_path(str(made.chain), append=True)
    authority.cert_pem.write_to_path(str(made.authority))
    return made


# -- the server ----------------------------------------------------------------------


@attrs.define(eq=False)
class Server:
    """A real server: ``python -m penstock`` with ports of its own choosing."""

    process: subprocess.Popen[bytes]
    log_path: Path
    ports: dict[str, int]
    api: httpx.Client
    """The SRS API."""
    tolerated: list[str] = attrs.field(factory=list)
    """Log lines at error level with one of these texts are what the test wants."""

    def url(self, scheme: str, path: str) -> str:
        """Return an address of a stream, such as ``live/x`` or ``live/x.flv``."""
        listener = {
            "https": "http",
            "ws": "http",
            "wss": "http",
            "srs": "api.srs",
            "srss": "api.srs.https",
        }.get(scheme, scheme)
        scheme = {"srs": "http", "srss": "https"}.get(scheme, scheme)
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
        wait_until(
            lambda: len(self.players(stream)) == count,
            f"{count} players of {stream}",
        )

    def wait_for_frames(self, stream: str, count: int) -> None:
        """Wait until so many pictures of a stream have come."""

        def came() -> bool:
            streams = self.api.get("/api/v1/streams/?count=1000").json()["streams"]
            return any(s["name"] == stream and s["frames"] >= count for s in streams)

        wait_until(came, f"{count} frames of {stream}")

    def stop(self) -> None:
        """Ask it to stop; assert that it does so well and has nothing to regret."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(DEADLINE_S)
        text = self.log_path.read_text()
        assert code == 0, text[-3000:]
        assert "Traceback" not in text, text[text.index("Traceback") - 500 :]
        errors = [
            line
            for line in self.log_lines()
            if line["level"] == "error"
            and not any(words in json.dumps(line) for words in self.tolerated)
        ]
        assert not errors
        assert all(line.startswith("{") for line in text.splitlines()), text[-3000:]


class StartServer(Protocol):
    """Starts a server; ``section.key=value`` each."""

    def __call__(self, *sets: str, config: Path | None = None) -> Server: ...


DEFAULT_SETS = (
    "http.listen=127.0.0.1:0",
    "rtmp.listen=127.0.0.1:0",
    "api.srs.listen=127.0.0.1:0",
    "metrics.listen=",
    "stream.republish_wait_s=0.5",
    "log.format=json",
)


def launch_server(folder: Path, *sets: str, config: Path | None = None) -> Server:
    """Start a server in ``folder`` and wait until it is ready."""
    folder.mkdir(parents=True, exist_ok=True)
    ready, log_path = folder / "ready.json", folder / "server.log"
    command = [sys.executable, "-m", "penstock", "serve", "--ready-file", str(ready)]
    if config is not None:
        command += ["--config", str(config)]
    for item in (*DEFAULT_SETS, *sets):
        command += ["--set", item]
    with open(log_path, "wb") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=log,
            env=ENVIRONMENT,
        )
    wait_until(
        lambda: ready.exists() or process.poll() is not None, "the server to be ready"
    )
    assert process.poll() is None, log_path.read_text()
    listeners = json.loads(ready.read_text())["listeners"]
    ports = {listener["name"]: listener["port"] for listener in listeners}
    client = httpx.Client(
        base_url=f"http://127.0.0.1:{ports['api.srs']}", trust_env=False, timeout=10
    )
    return Server(process, log_path, ports, client)


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
def penstock_server(tmp_path: Path) -> Iterator[StartServer]:
    """Start servers; at the end each must stop well, with no error in its log."""
    servers: list[Server] = []

    def start_server(*sets: str, config: Path | None = None) -> Server:
        folder = tmp_path / f"server-{len(servers)}"
        servers.append(launch_server(folder, *sets, config=config))
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
    tmp_path_factory: pytest.TempPathFactory, certificate: Certificate
) -> Iterator[Server]:
    """A server with TLS that the tests of a module share, each with its own stream."""
    running = launch_server(
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


# -- publishers and viewers ----------------------------------------------------------


class Viewer(Protocol):
    """Somebody who watches a stream until it ends."""

    def frames(self) -> Frames:
        """Wait for the end; return all that came."""
        ...


@attrs.define(eq=False)
class FramehashViewer:
    """FFmpeg, which writes down each packet's hash itself."""

    program: Program
    hashes: Path

    def frames(self) -> Frames:
        self.program.succeed()
        return parse_framehash(self.hashes.read_text())


@attrs.define(eq=False)
class RecordingViewer:
    """A program that records what comes; FFmpeg 9 reads the recording later."""

    program: Program
    recording: Path
    codes: tuple[int, ...] = (0,)
    """How it exits when the stream ends."""
    ended: Callable[[], bool] | None = None
    """Tells, for a program that does not exit, whether the stream has ended."""

    def frames(self) -> Frames:
        if self.ended is not None:
            wait_until(self.ended, "the end of the recording")
            self.program.end()
            return read_frames(self.recording)
        code = self.program.wait()
        assert code in self.codes, f"gave {code}: {self.program.said[-3000:]}"
        return read_frames(self.recording)


@attrs.define(eq=False)
class WebSocketViewer:
    """The `websockets` library in a thread of its own."""

    url: str
    recording: Path
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
        return read_frames(self.recording)


@attrs.define(eq=False)
class Actors:
    """Gives publishers and viewers of one server's streams to one test."""

    start: Start
    clips: Clips
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
            program or imageio_ffmpeg.get_ffmpeg_exe(),
            *["-v", "warning", "-nostdin", "-copyts"],
            *self._trust(url),
            *options,
            "-i",
            url,
            *FRAMEHASH,
            hashes,
        )
        return FramehashViewer(running, hashes)

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
        running = self.start(find_peer(name), *words)
        return RecordingViewer(running, recording, codes)

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

        viewer.ended = came_again
        return viewer

    def websocket(self, url: str) -> WebSocketViewer:
        """Watch through a WebSocket."""
        return WebSocketViewer(url, self._file(".flv"))

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

        FFmpeg 5.1 knows no rate but 1.
        """
        pace = ["-re"] if rate == 1 else ["-readrate", f"{rate:g}"]
        return self.start(
            program or imageio_ffmpeg.get_ffmpeg_exe(),
            *["-v", "warning", "-nostdin"],
            *pace,
            *["-stream_loop", str(loops)],
            "-i",
            self.clips.path(clip),
            *["-map", "0", "-c", "copy"],
            *self._trust(url),
            *options,
            "-f",
            "flv",
            url,
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
        return self.start(find_peer("gst-launch-1.0"), "-q", *pipeline.split())


@pytest.fixture
def actors(
    start: Start, clips: Clips, certificate: Certificate, tmp_path: Path
) -> Actors:
    """Publishers and viewers that are programs of other people."""
    return Actors(start, clips, certificate, tmp_path)


@pytest.fixture
def free_port() -> int:
    """A port that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
