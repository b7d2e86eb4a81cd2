"""The stream that everything is measured with, and its messages.

1280x720, 30 frames/s, H.264 of about 2.5 Mbit/s with a key frame every 2 s, and stereo
AAC of 128 kbit/s at 48 kHz: 2.65 Mbit/s together. Ten seconds of it, made by FFmpeg.
"""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path

import attrs
import imageio_ffmpeg
from sansmedia.flv import FlvDemuxer, TagType
from sansmedia.rtmp import MediaKind

__all__ = ["MARK", "Clip", "ClipMessage", "ffmpeg", "load_clip", "make_clip", "marked"]

SECONDS = 10

MARK = bytes.fromhex("70656e73746f636b8062656e6368206d")
"""UUID of the SEI message that carries a time through a server.
ISO 14496-10 §D.1.6: user_data_unregistered."""

_AVC_HEADER = 5
"""Octets before the NAL units in a video tag's body. Source: FLV 10.1 §E.4.3."""
_KINDS = {TagType.AUDIO: MediaKind.AUDIO, TagType.VIDEO: MediaKind.VIDEO}


@attrs.frozen
class ClipMessage:
    """One message of the clip."""

    kind: MediaKind
    timestamp_ms: int
    body: bytes
    is_header: bool
    """A sequence header, sent once at the beginning."""

    @property
    def is_picture(self) -> bool:
        return self.kind is MediaKind.VIDEO and not self.is_header


@attrs.frozen
class Clip:
    """The clip in memory; it is played in a loop."""

    headers: list[ClipMessage]
    messages: list[ClipMessage]
    duration_ms: int

    def messages_until(self, time_ms: int) -> int:
        """Return how many messages come before that time, at most one round."""
        return sum(message.timestamp_ms < time_ms for message in self.messages)

    def pictures(self) -> Clip:
        """Return the clip without its sound."""
        return Clip(
            [one for one in self.headers if one.kind is MediaKind.VIDEO],
            [one for one in self.messages if one.kind is MediaKind.VIDEO],
            self.duration_ms,
        )

    @property
    def bits_per_second(self) -> float:
        return sum(len(m.body) for m in self.messages) * 8000 / self.duration_ms


def ffmpeg() -> str:
    """Return the path of the FFmpeg that penstock brings along."""
    return str(imageio_ffmpeg.get_ffmpeg_exe())


def make_clip(path: Path) -> None:
    """Encode the clip into an FLV file (4 s on one core)."""
    picture = "testsrc2=size=1280x720:rate=30,noise=alls=12:allf=t"
    command = [ffmpeg(), "-v", "error", "-y"]
    command += ["-f", "lavfi", "-i", picture]
    command += ["-f", "lavfi", "-i", "anoisesrc=r=48000:a=0.2"]
    command += ["-t", str(SECONDS), "-c:v", "libx264", "-preset", "veryfast"]
    command += ["-pix_fmt", "yuv420p", "-b:v", "2480k", "-maxrate", "2480k"]
    command += ["-bufsize", "2480k", "-g", "60", "-sc_threshold", "0", "-bf", "0"]
    command += ["-c:a", "aac", "-ac", "2", "-b:a", "128k", "-f", "flv", str(path)]
    subprocess.run(command, check=True, timeout=120)


def load_clip(path: Path) -> Clip:
    """Read the clip's audio and video messages."""
    headers: list[ClipMessage] = []
    messages: list[ClipMessage] = []
    demuxer = FlvDemuxer()
    for tag in demuxer.feed(path.read_bytes()):
        kind = _KINDS.get(tag.type)
        if kind is None or len(tag.body) < 2:
            continue
        # AVCPacketType and AACPacketType 0 are sequence headers, 2 is end of sequence.
        packet_type = tag.body[1]
        if packet_type == 2 and kind is MediaKind.VIDEO:
            continue
        if tag.timestamp_ms >= SECONDS * 1000:
            continue  # the last sound ends a little later: the loop closes without it
        message = ClipMessage(kind, tag.timestamp_ms, tag.body, packet_type == 0)
        (headers if message.is_header else messages).append(message)
    return Clip(headers, messages, SECONDS * 1000)


def marked(message: ClipMessage, time_ns: int) -> bytes:
    """Return a picture's body with an SEI message that says ``time_ns`` in front.

    Hexadecimal, so that no start code can arise and nothing needs escaping.
    """
    payload = MARK + b"%016x" % time_ns
    sei = bytes((6, 5, len(payload))) + payload + b"\x80"
    head, units = message.body[:_AVC_HEADER], message.body[_AVC_HEADER:]
    return head + struct.pack(">I", len(sei)) + sei + units
