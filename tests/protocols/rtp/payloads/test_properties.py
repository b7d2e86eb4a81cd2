"""For all frames, payload sizes and losses: whole frames come back, others never."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import attrs
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sansmedia.codecs import av1 as av1_codec
from sansmedia.codecs.nal import join_length_prefixed, split_length_prefixed
from sansmedia.rtp.payloads import (
    Av1Depacketiser,
    Depacketiser,
    Frame,
    H264Depacketiser,
    H265Depacketiser,
    Vp8Depacketiser,
    Vp9Depacketiser,
    av1,
    h264,
    h265,
    split_runs,
    vp8,
    vp9,
)

_PATTERN = bytes(range(251)) * 18


def _octets(draw: st.DrawFn, least: int = 1) -> bytes:
    size = draw(st.one_of(st.integers(least, 200), st.integers(least, 4000)))
    start = draw(st.integers(0, 250))
    return _PATTERN[start : start + size]


def _sei_message(draw: st.DrawFn) -> bytes:
    """Return user data: anything else could be a recovery point."""
    data = _octets(draw)[:254]
    return bytes((5, len(data))) + data + b"\x80"


@st.composite
def _h264_frame(draw: st.DrawFn, key: bool) -> bytes:
    units = []
    if key:
        units += [b"\x67" + _octets(draw), b"\x68" + _octets(draw)]
    if draw(st.booleans()):
        units.append(b"\x06" + _sei_message(draw))
    kind = b"\x65" if key else draw(st.sampled_from([b"\x41", b"\x01"]))
    units.append(kind + b"\x88" + _octets(draw))
    units += [kind + b"\x12" + _octets(draw) for _ in range(draw(st.integers(0, 3)))]
    return join_length_prefixed(units)


@st.composite
def _h265_frame(draw: st.DrawFn, key: bool) -> bytes:
    units = []
    if key:
        heads = (b"\x40\x01", b"\x42\x01", b"\x44\x01")
        units += [head + _octets(draw) for head in heads]
    if draw(st.booleans()):
        units.append(b"\x4e\x01" + _sei_message(draw))
    kind = draw(st.sampled_from([b"\x26\x01", b"\x2a\x01"] if key else [b"\x02\x01"]))
    units.append(kind + b"\x80" + _octets(draw))
    units += [kind + b"\x12" + _octets(draw) for _ in range(draw(st.integers(0, 3)))]
    return join_length_prefixed(units)


@st.composite
def _av1_frame(draw: st.DrawFn, key: bool) -> bytes:
    obus = []
    layered = draw(st.booleans())
    if key:
        obus.append(av1_codec.Obu(1, b"\0" + _octets(draw)))
    for layer in range(draw(st.integers(1, 3))):
        ids = (0, layer) if layered else (None, None)
        if draw(st.booleans()):
            obus.append(av1_codec.Obu(5, _octets(draw), *ids))
        first = b"\x10" if key and layer == 0 else b"\x30"
        obus.append(av1_codec.Obu(6, first + _octets(draw, 0), *ids))
        tiles = draw(st.integers(0, 4))
        obus += [av1_codec.Obu(4, _octets(draw), *ids) for _ in range(tiles)]
    return av1_codec.join_obus(obus)


@st.composite
def _vp8_frame(draw: st.DrawFn, key: bool) -> bytes:
    if key:
        return b"\x10\0\0\x9d\x01\x2a\x40\x01\xf0\0" + _octets(draw)
    return b"\x11" + _octets(draw, 0)


@st.composite
def _vp9_frame(draw: st.DrawFn, key: bool) -> bytes:
    if key:
        return b"\x82\x49\x83\x42\0\x13\xf0\x0e\xf6" + _octets(draw)
    return b"\x86" + _octets(draw, 0)


def _slices(of_h265: bool) -> Callable[[bytes], object]:
    def view(payload: bytes) -> object:
        kinds = range(32) if of_h265 else range(1, 6)
        return [
            unit
            for unit in split_length_prefixed(payload)
            if (unit[0] >> 1 & 0x3F if of_h265 else unit[0] & 0x1F) in kinds
        ]

    return view


@attrs.frozen
class _Format:
    name: str
    frames: Callable[[bool], st.SearchStrategy[bytes]]
    packetise: Callable[[bytes, int], list[bytes]]
    depacketiser: Callable[[], Depacketiser]
    view: Callable[[bytes], object] = lambda payload: payload
    """What has to be there in a frame whose first packets were lost."""


_FORMATS = (
    _Format(
        "h264", _h264_frame, h264.packetise, H264Depacketiser, _slices(of_h265=False)
    ),
    _Format(
        "h265", _h265_frame, h265.packetise, H265Depacketiser, _slices(of_h265=True)
    ),
    _Format("av1", _av1_frame, av1.packetise, Av1Depacketiser),
    _Format("vp8", _vp8_frame, vp8.packetise, Vp8Depacketiser),
    _Format("vp9", _vp9_frame, vp9.packetise, Vp9Depacketiser),
)
_every_format = pytest.mark.parametrize("form", _FORMATS, ids=lambda form: form.name)
_sizes = st.one_of(st.integers(64, 200), st.integers(64, 1400), st.just(1190))


@pytest.mark.slow
@_every_format
@given(data=st.data(), max_size=_sizes)
@settings(max_examples=60, deadline=None)
def test_a_stream_comes_back_as_it_was(
    form: _Format,
    data: st.DataObject,
    max_size: int,
    feed: Callable[..., list[Frame]],
    packets_of: Callable[..., Any],
) -> None:
    keys = data.draw(st.lists(st.booleans(), min_size=1, max_size=4))
    frames = [data.draw(form.frames(key)) for key in keys]
    payloads = [form.packetise(frame, max_size) for frame in frames]
    assert all(len(payload) <= max_size for cut in payloads for payload in cut)
    found = feed(form.depacketiser(), packets_of(payloads))
    assert [frame.payload for frame in found] == frames
    assert [frame.random_access for frame in found] == keys
    assert [frame.timestamp for frame in found] == [
        3000 * number for number in range(len(frames))
    ]
    decodable = [any(keys[: number + 1]) for number in range(len(keys))]
    assert [frame.decodable for frame in found] == decodable


@pytest.mark.slow
@_every_format
@given(data=st.data(), max_size=_sizes)
@settings(max_examples=60, deadline=None)
def test_without_markers_a_frame_is_complete_when_the_next_one_begins(
    form: _Format,
    data: st.DataObject,
    max_size: int,
    feed: Callable[..., list[Frame]],
    packets_of: Callable[..., Any],
) -> None:
    frames = [data.draw(form.frames(number == 0)) for number in range(3)]
    payloads = [form.packetise(frame, max_size) for frame in frames]
    packets = [attrs.evolve(p, marker=False) for p in packets_of(payloads)]
    found = feed(form.depacketiser(), packets)
    assert [frame.payload for frame in found] == frames


@pytest.mark.slow
@_every_format
@given(data=st.data(), max_size=_sizes)
@settings(max_examples=120, deadline=None)
def test_whatever_is_lost_no_broken_frame_passes_for_a_good_one(
    form: _Format,
    data: st.DataObject,
    max_size: int,
    feed: Callable[..., list[Frame]],
    packets_of: Callable[..., Any],
) -> None:
    keys = data.draw(st.lists(st.booleans(), min_size=1, max_size=6))
    frames = [data.draw(form.frames(key)) for key in keys]
    payloads = [form.packetise(frame, max_size) for frame in frames]
    packets = packets_of(payloads)
    lost = data.draw(st.sets(st.integers(0, len(packets) - 1), max_size=4))
    found = feed(form.depacketiser(), packets, lost)

    whole: list[bool] = []
    first = 0
    for cut in payloads:
        whole.append(not lost & set(range(first, first + len(cut))))
        first += len(cut)
    numbers = [frame.timestamp // 3000 for frame in found]
    assert numbers == sorted(set(numbers))
    given = dict(zip(numbers, found, strict=True))
    for number, frame in enumerate(frames):
        if whole[number]:
            # Parameter sets of a picture that was lost stay true: they may be in front.
            assert given[number].payload.endswith(frame)
            assert form.view(given[number].payload) == form.view(frame)
            assert given[number].random_access == keys[number]
        elif number in given and form.view(given[number].payload) == form.view(frame):
            whole[number] = True  # What was lost stands before the picture.
        elif number in given:
            # Between two frames of one temporal unit AV1 marks no beginning.
            assert form.name == "av1"
            assert not given[number].decodable
    fine = False
    for number, key in enumerate(keys):
        fine = whole[number] and (fine or key)
        if number in given and given[number].decodable:
            assert fine


@pytest.mark.slow
@_every_format
@given(data=st.data(), max_size=_sizes)
@settings(max_examples=60, deadline=None)
def test_runs_are_equal_but_for_their_last(
    form: _Format, data: st.DataObject, max_size: int
) -> None:
    payloads = form.packetise(data.draw(form.frames(True)), max_size)
    runs = list(split_runs(payloads, overhead=40))
    assert [payload for run in runs for payload in run] == payloads
    for run in runs:
        sizes = [len(payload) for payload in run]
        assert len(set(sizes[:-1])) <= 1
        assert sizes[-1] <= sizes[0]
        assert len(run) <= 64
        assert sum(sizes) + 40 * len(run) <= 64_000


@given(sizes=st.lists(st.integers(1, 1400), max_size=150), overhead=st.integers(0, 100))
@example(sizes=[1000] * 130, overhead=40)
@settings(max_examples=100, deadline=None)
def test_any_payloads_fall_into_the_fewest_runs(
    sizes: Sequence[int], overhead: int
) -> None:
    payloads = [bytes(size) for size in sizes]
    runs = list(split_runs(payloads, overhead=overhead))
    assert [payload for run in runs for payload in run] == payloads
    for run, following in pairwise(runs):
        full = (
            len(run) == 64
            or (len(run) + 1) * (len(run[0]) + overhead) > 64_000
            or len(run[-1]) < len(run[0])
        )
        assert full or len(following[0]) > len(run[0])


def test_a_large_picture_takes_one_call_for_64_packets() -> None:
    frame = b"\x10" + bytes(100_000)
    runs = list(split_runs(vp8.packetise(frame, 800), overhead=38))
    assert [len(run) for run in runs] == [64, 62]
