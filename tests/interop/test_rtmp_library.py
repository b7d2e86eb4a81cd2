"""`sansmedia.rtmp` on blocking sockets against FFmpeg, librtmp, GStreamer and nginx."""

from __future__ import annotations

import contextlib
import importlib
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sansmedia.rtmp import (
    ClientConfig,
    ConnectRequested,
    MediaKind,
    MediaMessage,
    MediaReceived,
    MetadataReceived,
    PlayRequested,
    PlayStarted,
    PublishAccepted,
    PublishRequested,
    RtmpClient,
    RtmpServer,
    shared_message,
)
from sansmedia.sansio import StreamMachine

pytestmark = pytest.mark.interop

_NGINX_MODULE = Path("/usr/lib/nginx/modules/ngx_rtmp_module.so")


def _missing(what: str) -> None:
    if os.environ.get("TEST_REQUIRE_PEERS") == "1":
        pytest.fail(f"{what} is missing")
    pytest.skip(f"{what} is missing")


def _program(name: str) -> str:
    if name == "ffmpeg9":
        try:
            bundled: str = importlib.import_module("imageio_ffmpeg").get_ffmpeg_exe()
        except (ImportError, RuntimeError):
            _missing("imageio-ffmpeg")
        return bundled
    found = shutil.which(name)
    if found is None:
        _missing(name)
    return found or ""


def _tags(flv: bytes) -> list[tuple[int, int, bytes]]:
    """Take the audio and video tags of an FLV file apart: type, time, body."""
    tags = []
    position = 13
    while position + 11 <= len(flv):
        size = int.from_bytes(flv[position + 1 : position + 4], "big")
        low = int.from_bytes(flv[position + 4 : position + 7], "big")
        body = flv[position + 11 : position + 11 + size]
        if flv[position] in (8, 9):
            tags.append((flv[position], flv[position + 7] << 24 | low, body))
        position += 15 + size
    return tags


def _drive(
    machine: StreamMachine[Any],
    connection: socket.socket,
    react: Callable[[Any], None],
) -> None:
    connection.settimeout(20)
    while True:
        while (event := machine.next_event()) is not None:
            react(event)
        if data := machine.data_to_send():
            with contextlib.suppress(OSError):
                connection.sendall(data)
        if machine.is_terminated:
            return
        try:
            received = connection.recv(65536)
        except OSError:
            received = b""
        if received:
            machine.receive_data(received, time.monotonic())
        else:
            machine.receive_eof(time.monotonic())


class _Server:
    """Serves one connection: takes what is published, or plays a run."""

    def __init__(self, run: list[MediaMessage] | None = None) -> None:
        self._run = run or []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(20)
        self.port: int = self._listener.getsockname()[1]
        self.media: list[tuple[int, int, bytes]] = []
        self.events: list[Any] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        with self._listener:
            connection, _ = self._listener.accept()
        now = time.monotonic()
        machine = RtmpServer(dice=os.urandom, now=now)
        with connection:
            _drive(machine, connection, lambda e: self._react(machine, connection, e))

    def _react(
        self, machine: RtmpServer, connection: socket.socket, event: Any
    ) -> None:
        now = time.monotonic()
        if isinstance(event, MediaReceived):
            self.media += [(m.kind, m.timestamp, m.payload) for m in event.messages]
            return
        self.events.append(event)
        if isinstance(event, ConnectRequested | PublishRequested | PlayRequested):
            machine.accept(event.request_id, now=now)
        if isinstance(event, PlayRequested):
            connection.sendall(machine.data_to_send())
            assert machine.play_lane(event.stream_id).is_shared
            for m in self._run:
                connection.sendall(shared_message(m.kind, m.timestamp, m.payload))
            machine.end_play(event.stream_id, now=now)

    def wait(self) -> None:
        """Wait for the end of the connection."""
        self._thread.join(30)
        assert not self._thread.is_alive()


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of picture and sound, H.264 and AAC, in FLV."""
    path = tmp_path_factory.mktemp("rtmp") / "source.flv"
    command = [_program("ffmpeg9"), "-v", "error", "-y"]
    command += ["-f", "lavfi", "-i", "testsrc2=size=640x360:rate=30"]
    command += ["-f", "lavfi", "-i", "sine=frequency=440", "-t", "2"]
    command += ["-c:v", "libx264", "-preset", "ultrafast", "-g", "30"]
    command += ["-pix_fmt", "yuv420p", "-c:a", "aac", "-f", "flv", str(path)]
    subprocess.run(command, check=True, timeout=60)
    return path


@pytest.fixture(scope="module")
def run(source: Path) -> list[MediaMessage]:
    """The source's messages but the end of sequence, which librtmp keeps to itself."""
    return [
        MediaMessage(MediaKind(kind), timestamp, body)
        for kind, timestamp, body in _tags(source.read_bytes())
        if len(body) > 5
    ]


@pytest.mark.parametrize("program", ["ffmpeg", "ffmpeg9"])
def test_every_message_that_ffmpeg_publishes_arrives_bit_by_bit(
    program: str, source: Path, tmp_path: Path
) -> None:
    server = _Server()
    # The same packets to a file beside, by the same muxer.
    copy = tmp_path / "copy.flv"
    command = [_program(program), "-v", "error", "-y", "-i", str(source)]
    command += [
        "-c",
        "copy",
        "-f",
        "flv",
        f"rtmp://127.0.0.1:{server.port}/live/cam?a=1",
    ]
    command += ["-c", "copy", "-f", "flv", str(copy)]
    subprocess.run(command, check=True, timeout=60)
    server.wait()
    assert server.media == _tags(copy.read_bytes())
    publish = next(e for e in server.events if isinstance(e, PublishRequested))
    assert publish.name == "cam?a=1"
    assert any(isinstance(event, MetadataReceived) for event in server.events)


@pytest.mark.parametrize("codec", ["libx265", "libsvtav1", "libvpx-vp9"])
def test_enhanced_video_that_ffmpeg_publishes_arrives_bit_by_bit(
    codec: str, tmp_path: Path
) -> None:
    server = _Server()
    copy = tmp_path / "copy.flv"
    source = tmp_path / "source.mp4"
    program = _program("ffmpeg9")
    command = [program, "-v", "error", "-y", "-f", "lavfi"]
    command += ["-i", "testsrc2=size=320x180:rate=10", "-f", "lavfi", "-i", "sine"]
    command += ["-t", "1", "-c:v", codec, "-pix_fmt", "yuv420p", "-c:a", "libopus"]
    subprocess.run([*command, str(source)], check=True, timeout=60)
    url = f"rtmp://127.0.0.1:{server.port}/live/cam"
    command = [program, "-v", "error", "-y", "-i", str(source), "-c", "copy"]
    command += ["-rtmp_enhanced_codecs", "hvc1,av01,vp09,Opus", "-f", "flv", url]
    command += ["-c", "copy", "-f", "flv", str(copy)]
    subprocess.run(command, check=True, timeout=60)
    server.wait()
    assert server.media == _tags(copy.read_bytes())
    connect = next(e for e in server.events if isinstance(e, ConnectRequested))
    assert connect.capabilities.four_cc_list == ("hvc1", "av01", "vp09", "Opus")


@pytest.mark.parametrize("element", ["rtmp2sink", "rtmpsink"])
def test_every_message_that_gstreamer_publishes_arrives(
    element: str, source: Path
) -> None:
    server = _Server()
    command = [_program("gst-launch-1.0"), "-q", "filesrc", f"location={source}"]
    command += ["!", "flvdemux", "name=d", "flvmux", "streamable=true", "name=m", "!"]
    command += [element, f"location=rtmp://127.0.0.1:{server.port}/live/cam"]
    command += ["d.video", "!", "queue", "!", "h264parse", "!", "m.video"]
    command += ["d.audio", "!", "queue", "!", "aacparse", "!", "m.audio"]
    subprocess.run(command, check=True, timeout=60)
    server.wait()
    sent = {body for _, _, body in _tags(source.read_bytes())}
    arrived = {body for _, _, body in server.media}
    # GStreamer writes its own sequence headers and no end of sequence.
    assert len(sent - arrived) <= 3


def _play_command(peer: str, url: str, path: Path) -> list[str]:
    if peer == "rtmpdump":
        return [_program("rtmpdump"), "-q", "--live", "-r", url, "-o", str(path)]
    if peer == "rtmpdump with digest":
        digest = ["-w", "00" * 32, "-x", "1000"]
        return [*_play_command("rtmpdump", url, path), *digest]
    if peer.startswith("rtmp"):
        launch = [_program("gst-launch-1.0"), "-q", peer, f"location={url}"]
        return [*launch, "!", "filesink", f"location={path}"]
    command = [_program(peer), "-v", "error", "-y", "-i", url]
    return [*command, "-c", "copy", "-f", "flv", str(path)]


@pytest.mark.parametrize(
    "peer",
    ["rtmpdump", "rtmpdump with digest", "rtmp2src", "rtmpsrc", "ffmpeg", "ffmpeg9"],
)
def test_players_of_the_field_get_every_message(
    peer: str, run: list[MediaMessage], tmp_path: Path
) -> None:
    server = _Server(run)
    path = tmp_path / "played.flv"
    url = f"rtmp://127.0.0.1:{server.port}/live/cam"
    # librtmp takes a stream that ends without a known duration for a broken one.
    subprocess.run(_play_command(peer, url, path), timeout=60, check=False)
    server.wait()
    played = [(kind, body) for kind, _, body in _tags(path.read_bytes())]
    wanted = [(int(m.kind), m.payload) for m in run]
    if peer.startswith("ffmpeg"):
        # Its muxer interleaves and ends anew; every coded frame must be there.
        assert set(wanted) <= set(played)
    else:
        # rtmp2src drops what it has not handed on when the stream ends.
        missing = 2 if peer == "rtmp2src" else 0
        assert len(played) >= len(wanted) - missing
        assert played == wanted[: len(played)]


@pytest.fixture
def nginx(tmp_path: Path) -> Iterator[int]:
    """A port of nginx with its RTMP module."""
    if not _NGINX_MODULE.exists():
        _missing("nginx's RTMP module")
    program = _program("nginx")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    configuration = tmp_path / "nginx.conf"
    configuration.write_text(
        f"load_module {_NGINX_MODULE};\n"
        f"pid {tmp_path}/pid;\nerror_log {tmp_path}/error.log;\n"
        "user root;\nevents {}\n"
        f"rtmp {{ server {{ listen 127.0.0.1:{port}; chunk_size 4096;\n"
        "application live { live on; } } }\n"
    )
    command = [program, "-e", str(tmp_path / "error.log"), "-c", str(configuration)]
    # It goes into the background once it listens.
    subprocess.run(command, check=True, timeout=60)
    try:
        yield port
    finally:
        subprocess.run([*command, "-s", "stop"], check=True, timeout=60)


def test_our_client_publishes_to_nginx_and_plays_from_it(
    nginx: int, run: list[MediaMessage]
) -> None:
    config = ClientConfig(tc_url=f"rtmp://127.0.0.1:{nginx}/live", app="live")
    now = time.monotonic()
    player = RtmpClient(config=config, dice=os.urandom, now=now)
    player.play("cam", now=now)
    publisher = RtmpClient(config=config, dice=os.urandom, now=now)
    publisher.publish("cam", now=now)
    played: list[MediaMessage] = []
    waiting = threading.Event()

    def on_play(event: Any) -> None:
        if isinstance(event, PlayStarted):
            waiting.set()
        elif isinstance(event, MediaReceived):
            played.extend(event.messages)
            if len(played) >= len(run):
                player.close("seen all", now=time.monotonic())

    with (
        socket.create_connection(("127.0.0.1", nginx)) as down,
        socket.create_connection(("127.0.0.1", nginx)) as up,
    ):
        thread = threading.Thread(target=_drive, args=(player, down, on_play))
        thread.start()
        assert waiting.wait(60)

        def on_publish(event: Any) -> None:
            if isinstance(event, PublishAccepted):
                lane = publisher.publish_lane(event.stream_id)
                up.sendall(publisher.data_to_send() + b"".join(lane.write(run)))
                thread.join(20)
                publisher.close("done", now=time.monotonic())

        _drive(publisher, up, on_publish)
        thread.join(20)
    # nginx gives the sequence headers of both kinds first.
    for kind in MediaKind:
        assert [m.payload for m in played if m.kind is kind] == [
            m.payload for m in run if m.kind is kind
        ]
