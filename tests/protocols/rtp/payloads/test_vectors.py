"""What FFmpeg and GStreamer sent comes out as what they were given."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from sansmedia.rtp.payloads import (
    Depacketiser,
    Frame,
    H264Depacketiser,
    H265Depacketiser,
    payload_format,
)

_DATA = Path(__file__).resolve().parents[3] / "data" / "rtp" / "payloads"
_NAMES = sorted(path.stem for path in _DATA.glob("*.toml"))


def _depacketiser(encoding_name: str) -> Depacketiser:
    if encoding_name == "H264":
        return H264Depacketiser(keep_parameter_sets=False)
    if encoding_name == "H265":
        return H265Depacketiser(keep_parameter_sets=False)
    found = payload_format(encoding_name)
    assert found is not None
    return found.make_depacketiser()


@pytest.mark.parametrize("name", _NAMES)
def test_the_frames_of_the_source_come_out(
    name: str, read_recording: Callable[..., Any], feed: Callable[..., list[Frame]]
) -> None:
    recording = read_recording(name)
    expected = recording.facts["expected"]
    depacketiser = _depacketiser(expected["encoding_name"])
    frames = feed(depacketiser, recording.packets)
    assert [
        [len(frame.payload), hashlib.sha256(frame.payload).hexdigest()[:16]]
        for frame in frames
    ] == expected["frames"]
    assert all(frame.decodable for frame in frames)
    statistics = depacketiser.statistics()
    assert statistics.payloads == len(recording.packets) == expected["packets"]
    assert statistics.damaged_payloads == statistics.dropped_frames == 0


@pytest.mark.parametrize("name", [n for n in _NAMES if n[:2] in ("h2", "av", "vp")])
def test_pictures_begin_where_the_inspectors_say(
    name: str, read_recording: Callable[..., Any]
) -> None:
    """Every third picture of the sources is a key frame."""
    recording = read_recording(name)
    form = payload_format(recording.facts["expected"]["encoding_name"])
    assert form is not None
    timestamps = [packet.timestamp for packet in recording.packets]
    order = sorted(set(timestamps), key=timestamps.index)
    first_starts: dict[int, int] = {}
    first_keys: dict[int, int] = {}
    for number, packet in enumerate(recording.packets):
        picture = order.index(packet.timestamp)
        if form.is_frame_start(packet.payload):
            first_starts.setdefault(picture, number)
        if form.is_key_frame_start(packet.payload):
            first_keys.setdefault(picture, number)
    begins = {order.index(at): timestamps.index(at) for at in order}
    assert first_starts == begins
    expected = {picture: begins[picture] for picture in (0, 3)}
    if name == "h264_gstreamer":
        # x264's own message stands first, in three fragments: a viewer can miss it.
        expected[0] += 3
    assert first_keys == expected


@pytest.mark.parametrize("name", _NAMES)
def test_sound_and_pictures_keep_their_times(
    name: str, read_recording: Callable[..., Any], feed: Callable[..., list[Frame]]
) -> None:
    recording = read_recording(name)
    depacketiser = _depacketiser(recording.facts["expected"]["encoding_name"])
    frames = feed(depacketiser, recording.packets)
    for before, after in pairwise(frames):
        step = (after.timestamp - before.timestamp) & 0xFFFFFFFF
        # The files count milliseconds.
        assert step == pytest.approx(before.duration or 9000, abs=50)
