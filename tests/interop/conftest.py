"""Independent programs, clips for them, and what they made of those, frame by frame."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import attrs
import imageio_ffmpeg
import pytest
import trustme

DEADLINE_S = 60.0
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


PAUSE = threading.Event()
"""Never set: asking again at once would keep the others from getting there."""


def wait_until(
    condition: Callable[[], Any], what: str, timeout_s: float = DEADLINE_S
) -> Any:
    """Return the first true value of ``condition``; fail if there is none in time."""
    deadline = time.monotonic() + timeout_s
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited {timeout_s:g} s for {what}"
        PAUSE.wait(0.02)
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


@pytest.fixture(scope="session")
def environment() -> dict[str, str]:
    """The environment without settings for a server."""
    return dict(ENVIRONMENT)


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


def read_frames(path: Path | str, *options: str) -> Frames:
    """Return every packet of a file."""
    result = subprocess.run(
        [
            imageio_ffmpeg.get_ffmpeg_exe(),
            *["-v", "error", "-nostdin", "-copyts", "-i"],
            str(path),
            *FRAMEHASH,
            *options,
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


@attrs.frozen
class FrameReader:
    """FFmpeg's framehash format: what to ask for, and what comes."""

    arguments: tuple[str, ...] = tuple(FRAMEHASH)
    """Between FFmpeg's input and the name of its output."""

    def parse(self, text: str) -> Frames:
        """Return the packets of an output."""
        return parse_framehash(text)

    def read(self, path: Path) -> Frames:
        """Return every packet of a file."""
        return read_frames(path)

    def read_bare(self, path: Path) -> Frames:
        """Return every packet of a file with H.264, the pictures without the rest.

        Senders repeat, move and leave out delimiters, parameter sets and SEI.
        """
        return read_frames(path, "-bsf:v", "filter_units=remove_types=6-9")


@pytest.fixture(scope="session")
def frame_reader() -> FrameReader:
    """Read packets with FFmpeg 9."""
    return FrameReader()


@pytest.fixture(scope="session", name="same_frames")
def same_frames_fixture() -> Callable[..., None]:
    """Compare two recordings, bit by bit, in order, and in time."""
    return same_frames


class Viewer(Protocol):
    """Somebody who watches a stream until it ends."""

    def frames(self) -> Frames:
        """Wait for the end; return all that came."""
        ...


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
