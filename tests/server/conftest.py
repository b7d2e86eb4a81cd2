"""A server in the test's own loop, RTMP peers to talk to it, and media to send."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, TypeVar

import attrs
import pytest
import trio
from sansmedia.flv.audio import (
    AudioBody,
    AudioPacket,
    AudioPacketType,
    encode_audio_body,
)
from sansmedia.flv.fourcc import AudioCodecId, VideoCodecId
from sansmedia.flv.video import (
    VideoBody,
    VideoFrameType,
    VideoPacket,
    VideoPacketType,
    encode_video_body,
)
from sansmedia.rtmp import (
    ClientConfig,
    MediaKind,
    MediaMessage,
    PublishAccepted,
    RtmpClient,
)
from sansmedia.sansio import Terminated

from penstock import app, log
from penstock.engine.engine import Engine
from penstock.settings import (
    ApiSettings,
    DatarheiApiSettings,
    FfmpegSettings,
    HttpSettings,
    Live777ApiSettings,
    MetricsSettings,
    RtmpSettings,
    Settings,
    SrsApiSettings,
    SrtSettings,
    WebRtcSettings,
)

CODECS = Path(__file__).parent.parent / "data" / "codecs"
AVC = (CODECS / "h264_high_1080.bin").read_bytes()
AAC = (CODECS / "aac_lc_44100_2.bin").read_bytes()

Event = TypeVar("Event")


class Media:
    """FLV bodies of a small stream: H.264 pictures and AAC sounds."""

    avc = AVC
    aac = AAC

    @staticmethod
    def video(
        payload: bytes,
        *,
        key: bool = False,
        packet_type: VideoPacketType = VideoPacketType.CODED_FRAMES,
        codec: int = VideoCodecId.AVC,
        enhanced: bool = False,
        composition_ms: int = 0,
    ) -> bytes:
        kind = VideoFrameType.KEY if key else VideoFrameType.INTER
        packet = VideoPacket(codec, packet_type, payload, composition_ms)
        return encode_video_body(VideoBody(kind, [packet], enhanced))

    @staticmethod
    def audio(
        payload: bytes,
        *,
        packet_type: AudioPacketType = AudioPacketType.CODED_FRAMES,
        codec: int = AudioCodecId.AAC,
        enhanced: bool = False,
    ) -> bytes:
        packet = AudioPacket(codec, packet_type, payload)
        return encode_audio_body(AudioBody([packet], enhanced, sound=0x0F))

    @classmethod
    def headers(cls, at_ms: int = 0) -> list[MediaMessage]:
        """Both sequence headers."""
        return [
            MediaMessage(
                MediaKind.VIDEO,
                at_ms,
                cls.video(
                    cls.avc, key=True, packet_type=VideoPacketType.SEQUENCE_START
                ),
            ),
            MediaMessage(
                MediaKind.AUDIO,
                at_ms,
                cls.audio(cls.aac, packet_type=AudioPacketType.SEQUENCE_START),
            ),
        ]

    @classmethod
    def picture(cls, at_ms: int, *, key: bool = False, size: int = 40) -> MediaMessage:
        """One picture whose bytes tell its time."""
        unit = at_ms.to_bytes(4, "big") + b"\x65" * (size - 4)
        payload = len(unit).to_bytes(4, "big") + unit
        return MediaMessage(MediaKind.VIDEO, at_ms, cls.video(payload, key=key))

    @classmethod
    def sound(cls, at_ms: int) -> MediaMessage:
        """One sound whose bytes tell its time."""
        payload = b"\x21" + at_ms.to_bytes(4, "big")
        return MediaMessage(MediaKind.AUDIO, at_ms, cls.audio(payload))

    @classmethod
    def group(cls, at_ms: int, pictures: int = 5) -> list[MediaMessage]:
        """A key picture and others, 40 ms apart, with a sound after each."""
        run = []
        for number in range(pictures):
            run.append(cls.picture(at_ms + 40 * number, key=not number))
            run.append(cls.sound(at_ms + 1_024_000 * number // 44_100))
        return run


class RtmpPeer:
    """An RTMP client over a real socket."""

    def __init__(self, stream: trio.abc.Stream, port: int, app: str) -> None:
        self.stream = stream
        self.machine = RtmpClient(
            config=ClientConfig(tc_url=f"rtmp://127.0.0.1:{port}/{app}", app=app),
            dice=os.urandom,
            now=trio.current_time(),
        )
        self.media: list[MediaMessage] = []
        """All messages received so far, by `next`."""
        self.ended: Terminated | None = None

    async def next(self, *kinds: type[Event]) -> Event:
        """Return the next event of these kinds; AssertionError if the end is first."""
        while True:
            while (event := self.machine.next_event()) is not None:
                self.media += getattr(event, "messages", [])
                if isinstance(event, Terminated):
                    self.ended = event
                if isinstance(event, kinds):
                    return event
            assert self.ended is None, self.ended
            await self._turn()

    async def _turn(self) -> None:
        await self.push()
        try:
            data = bytes(await self.stream.receive_some(65_536))
        except trio.BrokenResourceError:
            data = b""
        if data:
            self.machine.receive_data(data, trio.current_time())
        else:
            self.machine.receive_eof(trio.current_time())

    async def push(self) -> None:
        """Send what the machine has to say."""
        data = self.machine.data_to_send()
        if data:
            with contextlib.suppress(trio.BrokenResourceError):
                await self.stream.send_all(data)

    async def publish(self, name: str) -> int:
        """Publish; return the message stream's id."""
        self.machine.publish(name, now=trio.current_time())
        return (await self.next(PublishAccepted)).stream_id

    async def send(self, stream_id: int, run: list[MediaMessage]) -> None:
        """Send media."""
        lane = self.machine.publish_lane(stream_id)
        await self.push()
        await self.stream.send_all(b"".join(lane.write(run)))

    async def receive_media(self, count: int) -> list[MediaMessage]:
        """Return the first ``count`` media messages."""
        from sansmedia.rtmp import MediaReceived

        while len(self.media) < count:
            await self.next(MediaReceived)
        return self.media[:count]

    async def end(self) -> Terminated:
        """Wait for the server to end the connection."""
        return await self.next(Terminated)

    async def close(self) -> None:
        """Say goodbye."""
        self.machine.close("", now=trio.current_time())
        await self.push()
        await self.stream.aclose()


@attrs.define(eq=False)
class RunningServer:
    """A server that is ready."""

    ports: dict[str, int]
    engine: Engine
    _exited: trio.Event
    _code: list[int]
    settings: Settings
    _streams: list[trio.SocketStream] = attrs.field(factory=list)

    async def rtmp(self, app: str = "live", listener: str = "rtmp") -> RtmpPeer:
        """Return a connected RTMP peer."""
        return RtmpPeer(await self.http(listener), self.ports[listener], app)

    async def http(self, listener: str = "http") -> trio.SocketStream:
        """Return a TCP connection; it is closed with the server."""
        stream = await trio.open_tcp_stream("127.0.0.1", self.ports[listener])
        self._streams.append(stream)
        return stream

    def hang_up(self) -> None:
        """Close all connections to the server."""
        for stream in self._streams:
            stream.socket.close()

    async def stop(self, number: int = signal.SIGTERM) -> int:
        """Signal the server and return its exit code."""
        os.kill(os.getpid(), number)
        await self._exited.wait()
        return self._code[0]

    async def wait_until(self, condition: Callable[[], object]) -> None:
        """Wait for something inside the server, 5 s at most."""
        with trio.fail_after(60):
            while not condition():  # noqa: ASYNC110 - nothing tells it
                await trio.sleep(0.005)


def loopback_settings(**sections: Any) -> Settings:
    """Settings whose ports are all free ones of the loopback."""
    sections.setdefault("http", HttpSettings(listen="127.0.0.1:0"))
    sections.setdefault("rtmp", RtmpSettings(listen="127.0.0.1:0"))
    sections.setdefault("webrtc", WebRtcSettings(listen="127.0.0.1:0"))
    sections.setdefault("srt", SrtSettings(listen="127.0.0.1:0"))
    sections.setdefault("metrics", MetricsSettings(listen="127.0.0.1:0"))
    sections.setdefault(
        "api",
        ApiSettings(
            srs=SrsApiSettings(listen="127.0.0.1:0"),
            live777=Live777ApiSettings(listen="127.0.0.1:0"),
            datarhei=DatarheiApiSettings(listen=""),
        ),
    )
    # Jobs have a folder that one server at a time has.
    sections.setdefault("ffmpeg", FfmpegSettings(jobs=False))
    return Settings(**sections)


@pytest.fixture
def settings_of() -> Callable[..., Settings]:
    """Make settings with all ports free ones of the loopback."""
    return loopback_settings


@pytest.fixture
def media() -> type[Media]:
    """FLV bodies to send."""
    return Media


@pytest.fixture
def running_server(
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., AbstractAsyncContextManager[RunningServer]]:
    """Run `penstock.app.serve` in a nursery of the test."""
    engines: list[Engine] = []

    def recorded(*args: Any, **kwargs: Any) -> Engine:
        engines.append(Engine(*args, **kwargs))
        return engines[-1]

    monkeypatch.setattr(app, "Engine", recorded)

    @contextlib.asynccontextmanager
    async def run(
        settings: Settings | None = None,
        config_loader: Callable[[], Settings] | None = None,
    ) -> AsyncIterator[RunningServer]:
        chosen = settings or loopback_settings()
        ports: dict[str, int] = {}
        ready, exited = trio.Event(), trio.Event()
        code: list[int] = []

        def on_ready(listeners: Any) -> None:
            ports.update({view.name: view.port for view in listeners})
            ready.set()

        async def serve() -> None:
            code.append(
                await app.serve(
                    chosen,
                    config_loader=config_loader or (lambda: chosen),
                    ready=on_ready,
                )
            )
            exited.set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve)
            with trio.fail_after(60):
                await ready.wait()
            server = RunningServer(ports, engines[-1], exited, code, chosen)
            try:
                yield server
            finally:
                server.hang_up()
            nursery.cancel_scope.cancel()

    return run


@pytest.fixture
def log_lines(tmp_path: Path) -> Iterator[Callable[[], list[str]]]:
    """Give the log's lines so far; everything from `debug` on."""
    path = tmp_path / "log"
    with path.open("wb") as file:
        log.configure("debug", "text", descriptor=file.fileno())
        yield lambda: path.read_text().splitlines()
        log.configure("info", "text", descriptor=2)
