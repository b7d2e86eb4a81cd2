"""VP9: the descriptor in both modes, layers, and picture ids."""

from __future__ import annotations

import attrs
import pytest
from sansmedia.codecs.vp9 import split_superframe
from sansmedia.rtp.payloads import (
    PictureIds,
    PictureOffsets,
    Vp9Depacketiser,
    Vp9Packetiser,
    continue_after,
    vp9,
)
from sansmedia.rtp.payloads.vp9 import Descriptor, GroupPicture, ScalabilityStructure
from sansmedia.sansio import ProtocolError, UsageError

KEY = bytes.fromhex("824983420013f00ef6") + bytes(40)
INTER = b"\x86" + bytes(20)
STRUCTURE = ScalabilityStructure(
    layers=2,
    sizes=((320, 180), (640, 360)),
    group=(GroupPicture(0, True, (4,)), GroupPicture(2, False, (1, 2, 3))),
)
STRUCTURE_OCTETS = bytes.fromhex("38014000b4028001680214044c010203")


@pytest.mark.parametrize(
    ("octets", "expected"),
    [
        (b"\x0c", Descriptor()),
        (b"\x49", Descriptor(True, False, True, no_upper_reference=True)),
        (b"\x8c\x11", Descriptor(picture_id=17, picture_id_bits=7, size=2)),
        (b"\x8c\x92\x34", Descriptor(picture_id=0x1234, size=3)),
        (
            b"\xac\x92\x34\x57\x09",
            Descriptor(
                picture_id=0x1234,
                temporal_layer=2,
                switching_up_point=True,
                spatial_layer=3,
                inter_layer_predicted=True,
                tl0_pic_idx=9,
                size=5,
            ),
        ),
        (
            b"\xfc\x92\x34\x40\x03\x05\x06",
            Descriptor(
                inter_predicted=True,
                flexible=True,
                picture_id=0x1234,
                temporal_layer=2,
                p_diffs=(1, 2, 3),
                size=7,
            ),
        ),
        (
            b"\xdc\x11\x06",
            Descriptor(
                inter_predicted=True,
                flexible=True,
                picture_id=17,
                picture_id_bits=7,
                p_diffs=(3,),
                size=3,
            ),
        ),
        (b"\x0e" + STRUCTURE_OCTETS, Descriptor(structure=STRUCTURE, size=17)),
        (b"\x0e\x00", Descriptor(structure=ScalabilityStructure(), size=2)),
    ],
)
def test_descriptors_are_read_and_written(octets: bytes, expected: Descriptor) -> None:
    """RFC 9628 §4.2, §4.2.1."""
    assert vp9.decode_descriptor(octets + b"\0") == expected
    for end in range(len(octets) + 1):
        with pytest.raises(ProtocolError):
            vp9.decode_descriptor(octets[:end])
    [payload] = vp9.packetise(KEY, 200, expected)
    assert vp9.decode_descriptor(payload) == attrs.evolve(expected, end_of_frame=True)


def test_more_than_three_references_are_damage() -> None:
    with pytest.raises(ProtocolError):
        vp9.decode_descriptor(b"\xdc\x11\x03\x05\x07\x08\x82")


def test_a_frame_is_cut_into_one_run() -> None:
    """RFC 9628 §4.3: B on the first, E on the last, the structure with the first."""
    descriptor = Descriptor(picture_id=5, structure=STRUCTURE)
    cut = vp9.packetise(KEY * 4, 64, descriptor)
    assert [len(payload) for payload in cut] == [64, 64, 64, 32]
    found = [vp9.decode_descriptor(payload) for payload in cut]
    flags = [(one.start_of_frame, one.end_of_frame) for one in found]
    assert flags == [(True, False), (False, False), (False, False), (False, True)]
    assert [one.structure for one in found] == [STRUCTURE, None, None, None]
    parts = [payload[one.size :] for payload, one in zip(cut, found, strict=True)]
    assert b"".join(parts) == KEY * 4
    assert vp9.packetise(b"", 64) == []


@pytest.mark.parametrize(
    "descriptor",
    [
        Descriptor(flexible=True),
        Descriptor(inter_predicted=True, flexible=True, picture_id=1),
        Descriptor(structure=ScalabilityStructure(layers=9)),
        Descriptor(structure=ScalabilityStructure(layers=2, sizes=((1, 1),))),
        Descriptor(structure=ScalabilityStructure(group=(GroupPicture(0),) * 100)),
    ],
    ids=["no picture id", "no reference", "layers", "sizes", "room"],
)
def test_descriptors_that_contradict_themselves_are_refused(
    descriptor: Descriptor,
) -> None:
    with pytest.raises(UsageError):
        vp9.packetise(INTER, 64, descriptor)


def test_a_packetiser_counts_pictures_and_tells_the_size_of_key_frames() -> None:
    packetiser = Vp9Packetiser(0x7FFF)
    key, inter = (packetiser.packetise(frame, 1000)[0] for frame in (KEY, INTER))
    found = vp9.decode_descriptor(key)
    assert found.structure == ScalabilityStructure(sizes=((320, 240),))
    assert (found.picture_id, found.inter_predicted) == (0x7FFF, False)
    found = vp9.decode_descriptor(inter)
    assert (found.picture_id, found.inter_predicted) == (0, True)


# -- reading -------------------------------------------------------------------------


def _layers(*frames: tuple[int, bytes]) -> list[bytes]:
    """Return the payloads of a picture with these layers."""
    return [
        payload
        for spatial, frame in frames
        for payload in vp9.packetise(
            frame,
            64,
            Descriptor(picture_id=1, temporal_layer=1, spatial_layer=spatial),
        )
    ]


def test_the_layers_of_a_picture_come_as_one_superframe() -> None:
    """RFC 9628 §4.4; VP9 §B."""
    depacketiser = Vp9Depacketiser()
    payloads = _layers((0, KEY * 2), (1, INTER * 5), (2, INTER))
    found = []
    for number, payload in enumerate(payloads, 1):
        found += depacketiser.feed(payload, 3, number == len(payloads))
    [frame] = found
    assert split_superframe(frame.payload) == [KEY * 2, INTER * 5, INTER]
    assert (frame.spatial_layer, frame.temporal_layer) == (2, 1)
    assert frame.random_access


def test_an_index_that_came_with_the_last_layer_is_kept() -> None:
    index = b"\xc1" + bytes((len(KEY), len(INTER))) + b"\xc1"
    depacketiser = Vp9Depacketiser()
    payloads = _layers((0, KEY), (1, INTER + index))
    assert depacketiser.feed(payloads[0], 3, False) == []
    [frame] = depacketiser.feed(payloads[1], 3, True)
    assert frame.payload == KEY + INTER + index


def test_the_structure_is_remembered() -> None:
    depacketiser = Vp9Depacketiser()
    assert depacketiser.structure is None
    for payload in vp9.packetise(KEY, 200, Descriptor(structure=STRUCTURE)):
        depacketiser.feed(payload, 0, True)
    assert depacketiser.structure == STRUCTURE


@pytest.mark.parametrize(
    "payload",
    [
        b"\x0c",
        b"\x04" + INTER,
        b"\x8c\x80",
        b"\x0e\x10\x01" + INTER[:2],
        b"\xdc\x11\x03\x05\x07\x08\x82",
    ],
    ids=["empty", "end of nothing", "cut short", "structure cut short", "references"],
)
def test_damage_is_counted_and_costs_its_picture(payload: bytes) -> None:
    depacketiser = Vp9Depacketiser()
    assert depacketiser.feed(b"\x0c" + KEY, 0, False) == []
    assert depacketiser.feed(payload, 0, True) == []
    assert depacketiser.statistics().damaged_payloads == 1
    [frame] = depacketiser.feed(b"\x0c" + KEY, 1, True)
    assert (frame.decodable, frame.dropped) == (True, 1)


def test_a_layer_frame_begun_in_another_or_without_end_is_damage() -> None:
    depacketiser = Vp9Depacketiser()
    assert depacketiser.feed(b"\x08" + KEY, 0, False) == []
    assert depacketiser.feed(b"\x0c" + INTER, 0, True) == []
    assert depacketiser.feed(b"\x08" + KEY, 1, True) == []
    assert depacketiser.statistics().damaged_payloads == 2


def test_more_layers_than_there_can_be_are_damage() -> None:
    depacketiser = Vp9Depacketiser()
    for _ in range(9):
        assert depacketiser.feed(b"\x0c" + INTER, 0, False) == []
    assert depacketiser.statistics().damaged_payloads == 1


def test_after_a_loss_a_picture_begins_with_its_lowest_layer() -> None:
    low, high = (b"\xac\x80\x01" + bytes((sid << 1, 0)) + KEY for sid in (0, 1))
    depacketiser = Vp9Depacketiser()
    assert depacketiser.feed(high, 0, True, gap=True) == []
    assert len(depacketiser.feed(low, 1, True, gap=True)) == 1
    # Without a loss it is the sender's choice.
    assert len(depacketiser.feed(high, 2, True)) == 1


@pytest.mark.parametrize(
    ("payload", "frame", "key", "layer"),
    [
        (b"\x0c" + KEY, True, True, (0, 0)),
        (b"\x4c" + KEY, True, True, (0, 0)),
        (b"\x0c" + INTER, True, False, (0, 0)),
        (b"\x08" + KEY, True, True, (0, 0)),
        (b"\x04" + KEY, False, False, (0, 0)),
        (b"\xac\x80\x01\x40\x00" + KEY, True, True, (0, 2)),
        (b"\xac\x80\x01\x43\x00" + KEY, False, False, (1, 2)),
        (b"\xb8\x05\x20" + KEY, True, True, (0, 1)),
        (b"\x0e\x10" + bytes(4) + KEY, True, True, (0, 0)),
        (b"\x0c\xb0\x00", True, True, (0, 0)),
        (b"\x0c\xb2\x00", True, False, (0, 0)),
        (b"\x0c\x88\x00", True, False, (0, 0)),
        (b"\x0c\x02\x00", True, False, (0, 0)),
        (b"\x0e\x18", True, False, (0, 0)),
        (b"\x0c", False, False, (0, 0)),
        (b"", False, False, (0, 0)),
    ],
)
def test_payloads_tell_where_pictures_begin(
    payload: bytes, frame: bool, key: bool, layer: tuple[int, int]
) -> None:
    """RFC 9628 §4.2, VP9 §6.2."""
    assert vp9.is_frame_start(payload) is frame
    assert vp9.is_key_frame_start(payload) is key
    assert vp9.layer(payload) == layer


# -- rewriting -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("octets", "moved"),
    [
        (b"\x0c", b"\x0c"),
        (b"\x8c\x7f", b"\x8c\x00"),
        (b"\x8c\xff\xff", b"\x8c\x80\x00"),
        (b"\xac\xff\xff\x40\xff", b"\xac\x80\x00\x40\x01"),
        (b"\xac\x7f\x40\xff", b"\xac\x00\x40\x01"),
        (b"\x2c\x40\xff", b"\x2c\x40\x01"),
        (b"\xbc\xff\xff\x40", b"\xbc\x80\x00\x40"),
    ],
)
def test_every_form_keeps_its_length(octets: bytes, moved: bytes) -> None:
    """RFC 9628 §4.2."""
    assert vp9.rewrite(octets + INTER, PictureOffsets(1, 2)) == moved + INTER
    assert vp9.rewrite(moved + INTER, PictureOffsets(-1, -2)) == octets + INTER


@pytest.mark.parametrize("payload", [b"", b"\xac", b"\xac\x80\x01\x40\x02"])
def test_what_is_no_payload_stays_as_it_is(payload: bytes) -> None:
    assert vp9.rewrite(payload, PictureOffsets(1, 1)) == payload
    assert vp9.picture_ids(payload) == PictureIds()


def test_a_viewer_goes_on_counting_when_the_source_changes() -> None:
    payload = b"\xac\x92\x34\x40\x09" + KEY
    assert vp9.picture_ids(payload) == PictureIds(0x1234, 15, 9)
    offsets = continue_after(PictureIds(99, 15, 255), vp9.picture_ids(payload))
    moved = vp9.picture_ids(vp9.rewrite(payload, offsets))
    assert moved == PictureIds(100, 15, 0)
