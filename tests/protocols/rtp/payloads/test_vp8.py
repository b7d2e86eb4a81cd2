"""VP8: the descriptor, frames, and picture ids that a forwarder rewrites."""

from __future__ import annotations

import attrs
import pytest
from sansmedia.rtp.payloads import (
    Frame,
    PictureIds,
    PictureOffsets,
    Vp8Depacketiser,
    Vp8Packetiser,
    continue_after,
    vp8,
)
from sansmedia.rtp.payloads.vp8 import Descriptor
from sansmedia.sansio import ProtocolError, UsageError

KEY = b"\x10\x00\x00\x9d\x01\x2a\x40\x01\xf0\x00" + bytes(30)
INTER = b"\x11" + bytes(20)
FULL = Descriptor(
    picture_id=0x1234,
    tl0_pic_idx=0xFE,
    temporal_layer=2,
    layer_sync=True,
    key_idx=31,
    non_reference=True,
    size=6,
)


@pytest.mark.parametrize(
    ("octets", "expected"),
    [
        (b"\x10", Descriptor()),
        (b"\x25", Descriptor(False, 5, True)),
        (b"\x90\x80\x11", Descriptor(picture_id=17, picture_id_bits=7, size=3)),
        (b"\x90\x80\x92\x34", Descriptor(picture_id=0x1234, size=4)),
        (b"\x90\x00", Descriptor(size=2)),
        (b"\x90\x60\x05\x40", Descriptor(tl0_pic_idx=5, temporal_layer=1, size=4)),
        (b"\x90\x20\xe0", Descriptor(temporal_layer=3, layer_sync=True, size=3)),
        (b"\x90\x10\x1f", Descriptor(key_idx=31, size=3)),
        (b"\xb0\xf0\x92\x34\xfe\xbf", FULL),
    ],
)
def test_descriptors_are_read(octets: bytes, expected: Descriptor) -> None:
    """RFC 7741 §4.2."""
    assert vp8.decode_descriptor(octets + b"\0") == expected
    for end in range(1, len(octets) + 1):
        with pytest.raises(ProtocolError):
            vp8.decode_descriptor(octets[:end])


def test_the_descriptor_stands_before_every_part_of_a_frame() -> None:
    """RFC 7741 §4.4."""
    cut = vp8.packetise(KEY * 4, 64, FULL)
    assert [len(payload) for payload in cut] == [64, 64, 50]
    found = [vp8.decode_descriptor(payload) for payload in cut]
    assert found[0] == FULL
    assert found[1:] == [attrs.evolve(FULL, start_of_partition=False)] * 2
    assert b"".join(payload[6:] for payload in cut) == KEY * 4
    assert vp8.packetise(b"", 64) == []


@pytest.mark.parametrize(
    "descriptor",
    [
        Descriptor(),
        Descriptor(picture_id=5, picture_id_bits=7, size=3),
        Descriptor(temporal_layer=1, size=3),
        Descriptor(key_idx=3, size=3),
    ],
)
def test_descriptors_come_back(descriptor: Descriptor) -> None:
    [payload] = vp8.packetise(INTER, 64, descriptor)
    assert vp8.decode_descriptor(payload) == descriptor


def test_an_index_of_layer_zero_needs_a_layer() -> None:
    """RFC 7741 §4.2: L without T makes no sense."""
    with pytest.raises(UsageError):
        vp8.packetise(INTER, 64, Descriptor(tl0_pic_idx=1))


def test_a_packetiser_counts_pictures() -> None:
    packetiser = Vp8Packetiser(0x7FFF)
    ids = [
        vp8.picture_ids(packetiser.packetise(frame, 1000)[0]).picture_id
        for frame in (KEY, INTER, INTER)
    ]
    assert ids == [0x7FFF, 0, 1]


# -- reading -------------------------------------------------------------------------


def test_partitions_of_their_own_are_parts_of_the_frame() -> None:
    depacketiser = Vp8Depacketiser()
    assert depacketiser.feed(b"\x10" + KEY, 9, False) == []
    assert depacketiser.feed(b"\x11" + b"second", 9, False) == []
    frames = depacketiser.feed(b"\x01" + b"rest", 9, True)
    assert frames == [Frame(9, KEY + b"secondrest")]


def test_frames_tell_their_temporal_layer() -> None:
    depacketiser = Vp8Depacketiser()
    [payload] = vp8.packetise(KEY, 1000, FULL)
    [frame] = depacketiser.feed(payload, 0, True)
    assert frame.temporal_layer == 2


@pytest.mark.parametrize("payload", [b"\x90", b"\x90\x80\x80\x01", b"\x10" + INTER])
def test_damage_is_counted_and_costs_its_frame(payload: bytes) -> None:
    """Cut short, without data, or a frame begun in another."""
    depacketiser = Vp8Depacketiser()
    assert depacketiser.feed(b"\x10" + KEY, 0, False) == []
    assert depacketiser.feed(payload, 0, True) == []
    statistics = depacketiser.statistics()
    assert (statistics.damaged_payloads, statistics.dropped_frames) == (1, 1)
    [frame] = depacketiser.feed(b"\x10" + KEY, 1, True)
    assert (frame.decodable, frame.dropped) == (True, 1)


def test_padding_is_passed_over() -> None:
    depacketiser = Vp8Depacketiser()
    assert depacketiser.feed(b"", 0, False) == []
    assert len(depacketiser.feed(b"\x10" + KEY, 0, True)) == 1


@pytest.mark.parametrize(
    ("payload", "frame", "key", "layer"),
    [
        (b"\x10" + KEY, True, True, (0, 0)),
        (b"\x10" + INTER, True, False, (0, 0)),
        (b"\x00" + KEY, False, False, (0, 0)),
        (b"\x11" + KEY, False, False, (0, 0)),
        (b"\x90\xe0\x80\x01\x05\x80" + KEY, True, True, (0, 2)),
        (b"\x90\x30\x40" + INTER, True, False, (0, 1)),
        (b"\x90\xe0\x80\x01\x05\x80", True, False, (0, 2)),
        (b"\x10", False, False, (0, 0)),
        (b"", False, False, (0, 0)),
    ],
)
def test_payloads_tell_where_frames_begin(
    payload: bytes, frame: bool, key: bool, layer: tuple[int, int]
) -> None:
    """RFC 7741 §4.2, §4.3."""
    assert vp8.is_frame_start(payload) is frame
    assert vp8.is_key_frame_start(payload) is key
    assert vp8.layer(payload) == layer


# -- rewriting -----------------------------------------------------------------------


def test_running_numbers_are_read_and_moved_in_their_widths() -> None:
    [payload] = vp8.packetise(KEY, 1000, FULL)
    assert vp8.picture_ids(payload) == PictureIds(0x1234, 15, 0xFE, 31)
    moved = vp8.rewrite(payload, PictureOffsets(0x7000, 3, 2))
    assert vp8.picture_ids(moved) == PictureIds(0x0234, 15, 1, 1)
    assert vp8.rewrite(moved, PictureOffsets(-0x7000, -3, -2)) == payload
    found = vp8.decode_descriptor(moved)
    assert (found.temporal_layer, found.layer_sync) == (2, True)


@pytest.mark.parametrize(
    ("octets", "moved"),
    [
        (b"\x10", b"\x10"),
        (b"\x90\x80\x7f", b"\x90\x80\x00"),
        (b"\x90\x80\xff\xff", b"\x90\x80\x80\x00"),
        (b"\x90\x60\xff\x40", b"\x90\x60\x01\x40"),
        (b"\x90\x10\xff", b"\x90\x10\xe2"),
        (b"\x90\x20\xff", b"\x90\x20\xff"),
    ],
)
def test_every_form_keeps_its_length(octets: bytes, moved: bytes) -> None:
    offsets = PictureOffsets(1, 2, 3)
    assert vp8.rewrite(octets + INTER, offsets) == moved + INTER
    assert vp8.rewrite(octets + b"\x11", offsets) == moved + b"\x11"


@pytest.mark.parametrize("payload", [b"", b"\x90", b"\x90\x80", b"\x90\x80\x80\x01"])
def test_what_is_no_payload_stays_as_it_is(payload: bytes) -> None:
    assert vp8.rewrite(payload, PictureOffsets(1, 1, 1)) == payload
    assert vp8.picture_ids(payload) == PictureIds()


def test_a_viewer_goes_on_counting_when_the_source_changes() -> None:
    last = PictureIds(0x7FFF, 15, 255, 31)
    [first] = vp8.packetise(KEY, 1000, FULL)
    offsets = continue_after(last, vp8.picture_ids(first))
    assert vp8.picture_ids(vp8.rewrite(first, offsets)) == PictureIds(0, 15, 0, 0)
    assert continue_after(None, vp8.picture_ids(first)) == PictureOffsets()
    assert continue_after(last, PictureIds()) == PictureOffsets()


def test_any_head_of_a_payload_is_survived() -> None:
    for first in range(256):
        for second in (0x00, 0x80, 0xF0, 0xFF):
            for length in range(9):
                payload = (bytes((first, second)) + b"\xff" * 7)[:length]
                vp8.is_key_frame_start(payload)
                assert len(vp8.rewrite(payload, PictureOffsets(1, 1, 1))) == length
                assert vp8.layer(payload)[1] <= 3
