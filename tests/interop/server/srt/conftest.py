"""Programs that speak SRT, clips in MPEG-TS, and what became of them."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import attrs
import pytest

if TYPE_CHECKING:
    from tests.interop.conftest import FrameReader, Frames, Packet, Program, Start
    from tests.interop.server.conftest import Server, StartServer

ROOT = Path(__file__).parents[4]
SECONDS = 4
PICTURES = "testsrc2=s=640x360:r=25"
X264 = "-c:v libx264 -preset ultrafast -bf 2"
X265 = "-c:v libx265 -preset ultrafast -x265-params log-level=none:bframes=2:keyint=25"
CODECS = {
    "h264-aac": f"{X264} -c:a aac",
    "h264-mp3": f"{X264} -c:a libmp3lame",
    "h264-opus": f"{X264} -c:a libopus",
    "hevc-ac3": f"{X265} -c:a ac3",
    "languages": f"-map 0 -map 1 -map 2 {X264} -c:a aac "
    "-metadata:s:a:0 language=deu -metadata:s:a:1 language=fra",
    "long": f"{X264} -c:a aac",
}
TAIL = 20
"""Frames of a track that may be missing at the end: who sends by libsrt and leaves
takes along what has not left its buffer (libsrt's own listener gets no more)."""
CUT = 3
"""Frames at the end that the cut may have spoilt."""

AFTER_CONNECTING = """
until grep -qi "target connect" "$0" 2>/dev/null; do sleep 0.02; done; exec "$@"
"""
"""Waits for what srt-live-transmit says in a file, then becomes another program."""


@attrs.frozen
class Seen:
    """What a viewer saw: decoded frames, and the packets that they came in."""

    decoded: Frames
    packets: Frames


def outputs(decoded: Path, packets: Path) -> list[str | Path]:
    """Return the options by which FFmpeg 9 writes both down."""
    tracks: list[str | Path] = ["-map", "0:v?", "-map", "0:a?"]
    hashes: list[str | Path] = ["-f", "framehash", "-hash", "md5"]
    return [
        *[*tracks, "-fps_mode", "passthrough", "-enc_time_base:v", "1/90000"],
        *["-c:a", "pcm_s16le", *hashes, decoded],
        *[*tracks, "-c", "copy", *hashes, packets],
    ]


@attrs.define(eq=False)
class SrtViewer:
    """A program that watches; it ends when the stream does."""

    program: Program
    see: Callable[[], Seen]

    def seen(self) -> Seen:
        """Wait for the end, and return all that came."""
        self.program.wait()
        return self.see()


@attrs.define(eq=False)
class FedTransmitter:
    """srt-live-transmit, which reads from another program, and does not see its end."""

    feeding: subprocess.Popen[bytes]
    process: subprocess.Popen[bytes]
    output: Path

    @property
    def said(self) -> str:
        """What it has said so far."""
        return self.output.read_text("utf-8", "replace")

    def succeed(self, timeout_s: float = 60.0) -> None:
        """Wait until there is nothing more to send, and let it leave."""
        assert self.feeding.wait(timeout_s) == 0
        self.process.send_signal(signal.SIGINT)
        assert self.process.wait(timeout_s) == 0, self.said


class Leaver(Protocol):
    """A publisher that leaves when it has nothing more."""

    def succeed(self) -> None:
        """Wait until it has left, and well."""
        ...


class Publish(Protocol):
    """Publishes a clip at an address."""

    def __call__(self, clip: Path, url: str, /) -> Leaver: ...


@attrs.define(eq=False)
class SrtPeers:
    """Gives publishers and viewers to one test."""

    start: Start
    peer: Callable[[str], str]
    ffmpeg9: str
    reader: FrameReader
    folder: Path
    clip_folder: Path
    pipes: list[subprocess.Popen[bytes]] = attrs.field(factory=list)
    count: int = 0

    # -- clips -------------------------------------------------------------------------

    def clip(self, name: str, seconds: int = SECONDS) -> Path:
        """Return a clip in MPEG-TS, 640x360 at 25 a second, a key frame a second."""
        path = self.clip_folder / f"{name}-{seconds}.ts"
        if not path.exists():
            sounds = [f"sine={hertz}:r=48000:d={seconds}" for hertz in (440, 880)]
            command = f"-v error -nostdin -f lavfi -i {PICTURES}:d={seconds}"
            for sound in sounds[: 1 + (name == "languages")]:
                command += f" -f lavfi -i {sound}"
            command += f" -pix_fmt yuv420p -g 25 -ac 2 {CODECS[name]} -f mpegts"
            subprocess.run(
                [self.ffmpeg9, *command.split(), path], check=True, timeout=60
            )
        return path

    def read(self, path: Path, *options: str) -> Seen:
        """Decode a recording; what a cut has spoilt at its end is no error."""
        self.count += 1
        decoded = self.folder / f"decoded-{self.count}"
        packets = self.folder / f"packets-{self.count}"
        subprocess.run(
            [
                *[self.ffmpeg9, "-v", "error", "-nostdin", "-copyts", *options],
                *["-i", path, *outputs(decoded, packets)],
            ],
            check=True,
            timeout=60,
            capture_output=True,
        )
        return self._parse(decoded, packets)

    def _parse(self, decoded: Path, packets: Path) -> Seen:
        return Seen(
            self.reader.parse(decoded.read_text()),
            self.reader.parse(packets.read_text()),
        )

    # -- viewers -----------------------------------------------------------------------

    def ffmpeg(self, url: str) -> SrtViewer:
        """Watch with FFmpeg 9, which decodes."""
        self.count += 1
        decoded = self.folder / f"decoded-{self.count}"
        packets = self.folder / f"packets-{self.count}"
        program = self.start(
            *[self.ffmpeg9, "-v", "warning", "-nostdin", "-copyts"],
            *["-i", url, *outputs(decoded, packets)],
        )
        return SrtViewer(program, lambda: self._parse(decoded, packets))

    def _recorder(self, suffix: str, *command: str) -> SrtViewer:
        self.count += 1
        path = self.folder / f"recording-{self.count}{suffix}"
        words = [word.replace("FILE", str(path)) for word in command]
        to_stdout = "FILE" not in " ".join(command)
        program = self.start(*words, stdout=path if to_stdout else None)
        return SrtViewer(program, lambda: self.read(path))

    def ffmpeg5(self, url: str) -> SrtViewer:
        """Watch with FFmpeg 5.1, which records."""
        return self._recorder(
            ".ts",
            *[self.peer("ffmpeg"), "-v", "warning", "-nostdin", "-copyts", "-i", url],
            *["-map", "0:v?", "-map", "0:a?", "-c", "copy", "-mpegts_copyts", "1"],
            *["-f", "mpegts", "FILE"],
        )

    def transmit(self, url: str) -> SrtViewer:
        """Watch with srt-live-transmit."""
        return self._recorder(
            ".ts", self.peer("srt-live-transmit"), "-q", "-a", "no", url, "file://con"
        )

    def gstreamer(self, url: str) -> SrtViewer:
        """Watch with GStreamer's source."""
        address, _, stream_id = url.partition("?streamid=")
        return self._recorder(
            ".ts",
            *[self.peer("gst-launch-1.0"), "-q", "srtsrc", f"uri={address}"],
            *[f"streamid={stream_id}", "auto-reconnect=false", "!", "filesink"],
            *["buffer-mode=unbuffered", "location=FILE"],
        )

    def curl(self, url: str) -> SrtViewer:
        """Watch MPEG-TS over HTTP."""
        return self._recorder(".ts", self.peer("curl"), "-sS", "-o", "FILE", url)

    # -- publishers --------------------------------------------------------------------

    def publish(
        self, clip: Path, url: str, *options: str, loops: int = 0, program: str = ""
    ) -> Program:
        """Publish with FFmpeg, version 9 unless ``program`` is another."""
        form = "flv" if url.startswith("rtmp") else "mpegts"
        return self.start(
            *[program or self.ffmpeg9, "-v", "warning", "-nostdin", "-re"],
            *["-stream_loop", str(loops), "-i", str(clip), "-map", "0", "-c", "copy"],
            *[*options, "-f", form, url],
        )

    def publish5(self, clip: Path, url: str) -> Program:
        """Publish with FFmpeg 5.1."""
        return self.publish(clip, url, program=self.peer("ffmpeg"))

    def publish_gstreamer(self, clip: Path, url: str) -> Program:
        """Publish the packets of a clip, as they are, with GStreamer."""
        address, _, stream_id = url.partition("?streamid=")
        return self.start(
            *[self.peer("gst-launch-1.0"), "-q", "filesrc", f"location={clip}"],
            *["!", "tsparse", "set-timestamps=true", "alignment=7"],
            *["!", "srtsink", f"uri={address}", f"streamid={stream_id}"],
            *["wait-for-connection=true", "auto-reconnect=false"],
        )

    def publish_transmit(
        self, clip: Path, url: str, *options: str, loops: int = 0
    ) -> FedTransmitter:
        """Publish with srt-live-transmit, fed by FFmpeg at the clip's pace.

        What comes before it is connected it throws away, so FFmpeg waits for that.
        """
        log = self.folder / f"transmit-{self.count + 1}.log"
        feed = f"-v error -nostdin -re -stream_loop {loops} -i"
        feeding = subprocess.Popen(
            [
                *["sh", "-c", AFTER_CONNECTING, str(log), self.ffmpeg9, *feed.split()],
                *[str(clip), "-map", "0", "-c", "copy"],
                *["-flush_packets", "1", "-f", "mpegts", "-"],
            ],
            stdout=subprocess.PIPE,
        )
        self.pipes.append(feeding)
        return self.feed_transmit(feeding, url, *options)

    def feed_transmit(
        self, feeding: subprocess.Popen[bytes], url: str, *options: str
    ) -> FedTransmitter:
        """Send what a program writes with srt-live-transmit."""
        self.count += 1
        log = self.folder / f"transmit-{self.count}.log"
        program = self.peer("srt-live-transmit")
        with open(log, "wb") as file:
            process = subprocess.Popen(
                [program, "-a", "no", *options, "file://con", url],
                stdin=feeding.stdout,
                stdout=file,
                stderr=subprocess.STDOUT,
            )
        assert feeding.stdout is not None
        feeding.stdout.close()
        self.pipes.append(process)
        return FedTransmitter(feeding, process, log)

    # -- the network -------------------------------------------------------------------

    def lossy(self, server: Server, *conditions: str) -> int:
        """Put a bad network before the SRT port; return the port of its near end."""
        out = self.folder / f"relay-{self.count}.out"
        self.count += 1
        self.start(
            *[
                sys.executable,
                str(ROOT / "bench" / "relay.py"),
                "--listen",
                "127.0.0.1:0",
            ],
            *["--to", f"127.0.0.1:{server.ports['srt']}", *conditions],
            stdout=out,
        )
        server.wait_until(lambda: out.read_text().endswith("\n"), "the relay")
        return int(out.read_text().split()[1])


@pytest.fixture
def penstock_server(penstock_server: StartServer) -> StartServer:
    """Start servers that wait longer for what is late than they do by default.

    Where a test says that no frame is lost, a machine that let some program stand for
    0.1 s would be its fault.
    """

    def start(*sets: str, config: Path | None = None) -> Server:
        return penstock_server("srt.latency_ms=500", *sets, config=config)

    return start


@pytest.fixture
def srt_peers(
    start: Start,
    peer: Callable[[str], str],
    ffmpeg9: str,
    frame_reader: FrameReader,
    tmp_path: Path,
    srt_clips: Path,
) -> Iterator[SrtPeers]:
    """Publishers and viewers over SRT."""
    peers = SrtPeers(start, peer, ffmpeg9, frame_reader, tmp_path, srt_clips)
    yield peers
    for process in peers.pipes:
        if process.poll() is None:
            process.kill()
        process.wait()


@pytest.fixture(scope="session")
def srt_clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where clips are kept between tests."""
    return tmp_path_factory.mktemp("srt-clips")


def srt_url(server: Server | int, stream_id: str, more: str = "") -> str:
    """Return the address of a stream id; ``more`` are further parameters."""
    port = server if isinstance(server, int) else server.ports["srt"]
    extra = f"{more}&" if more else ""
    return f"srt://127.0.0.1:{port}?{extra}streamid={stream_id}"


@pytest.fixture(scope="session", name="srt_url")
def srt_url_fixture() -> Callable[..., str]:
    """Make addresses: of a server or a port, with a stream id."""
    return srt_url


@pytest.fixture
def free_udp_port() -> Callable[[], int]:
    """Find ports that nobody has at present."""

    def find() -> int:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", 0))
            return int(probe.getsockname()[1])

    return find


# -- comparing -----------------------------------------------------------------------


def _times(packets: Sequence[Packet]) -> list[tuple[float, float]]:
    zero = packets[0].pts
    return [(packet.dts - zero, packet.pts - zero) for packet in packets]


def same_track(
    name: str,
    came: Sequence[Packet],
    sent: Sequence[Packet],
    *,
    late: bool,
    tail: int,
    spoilt: int,
) -> tuple[int, int]:
    """Assert that the same frames came in order; return where and how many."""
    hashes = [packet.md5 for packet in sent]
    others = [packet.md5 for packet in came]
    assert len(others) > CUT, f"{name}: {len(others)} frames"
    begin = 0
    if late:
        # Sounds may look alike for a while, a run of them does not.
        run = others[CUT : CUT + 10]
        places = [n for n in range(len(hashes)) if hashes[n : n + len(run)] == run]
        known = [n for n, one in enumerate(others) if one in hashes]
        assert places, f"{name}: of {len(others)} frames only {known} are known"
        begin = places[0] - CUT
    # What goes before may lack what it needs: B-pictures, the overlap of sounds.
    skipped = CUT if late else 0
    count = 0
    for other, one in zip(others[skipped:], hashes[begin + skipped :], strict=False):
        if other != one:
            break
        count += 1
    count += skipped
    assert count >= len(others) - spoilt, f"{name}: differs from frame {count} on"
    end = begin + count
    assert end >= len(hashes) - tail, f"{name}: ends with {end} of {len(hashes)}"
    return begin, count


def same_show(
    came: Seen,
    sent: Seen,
    *,
    late: bool = False,
    tail: int = TAIL,
    spoilt: int = CUT,
    tolerance_ms: float = 1.01,
) -> None:
    """Assert that a viewer saw and heard what was sent, at the same distances.

    One who is ``late`` may have missed the beginning, up to a key frame. Of the end,
    ``tail`` frames of a track may be missing, and the last ``spoilt`` that came differ.
    """
    assert sorted(came.decoded) == sorted(sent.decoded)
    shifts: list[float] = []
    for name in sent.decoded:
        others, frames = came.decoded[name], sent.decoded[name]
        if late and name.startswith("audio"):
            # AAC has noise of the decoder's own making, which goes on from before.
            others, frames = came.packets[name], sent.packets[name]
        begin, count = same_track(
            name, others, frames, late=late, tail=tail, spoilt=spoilt
        )
        first = CUT if late else 0
        shifts += [
            other.pts - one.pts
            for other, one in zip(
                others[first:count],
                frames[begin + first : begin + count],
                strict=True,
            )
        ]
    assert max(shifts) - min(shifts) <= 2 * tolerance_ms, (min(shifts), max(shifts))
    for name in () if late else came.packets:
        # Decoding order, with B-pictures.
        times = _times(came.packets[name][:-spoilt])
        for number, (other, one) in enumerate(
            zip(times, _times(sent.packets[name]), strict=False)
        ):
            for kind, new, old in zip(("dts", "pts"), other, one, strict=True):
                assert abs(new - old) <= 2 * tolerance_ms, (name, number, kind)


@pytest.fixture(scope="session", name="same_show")
def same_show_fixture() -> Callable[..., None]:
    """Compare what a viewer saw with what was sent."""
    return same_show


@pytest.fixture
def relay_file(tmp_path: Path) -> Callable[..., Path]:
    """Write configurations with relays, from and to each."""

    def write(*relays: tuple[str, str]) -> Path:
        path = tmp_path / "relays.toml"
        path.write_text(
            "".join(
                f"[[relay]]\nsource = {json.dumps(source)}\n"
                f"destination = {json.dumps(destination)}\n"
                for source, destination in relays
            )
        )
        return path

    return write
