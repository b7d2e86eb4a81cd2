"""AV1: OBU elements, aggregation header, layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sansmedia.codecs.av1 import Obu, ObuType, encode_obu, join_obus
from sansmedia.rtp.payloads import (
    Av1Depacketiser,
    DependencyDescriptor,
    Frame,
    Limits,
    av1,
    decode_dependency_descriptor,
)
from sansmedia.sansio import ProtocolError

SEQUENCE = Obu(ObuType.SEQUENCE_HEADER, b"\x00\x00\x00\x04")
DELIMITER = Obu(ObuType.TEMPORAL_DELIMITER, b"")
TILE_LIST = Obu(ObuType.TILE_LIST, b"\x01\x02")
METADATA = Obu(ObuType.METADATA, b"\x01\x02")
KEY = Obu(ObuType.FRAME, b"\x10" + bytes(20))
INTER = Obu(ObuType.FRAME, b"\x30" + bytes(20))


def _element(obu: Obu) -> bytes:
    return encode_obu(obu, has_size=False)


def _payload(head: int, *elements: bytes, last_length: bool = False) -> bytes:
    """Join elements of less than 128 octets."""
    parts = [bytes((len(element),)) + element for element in elements]
    if not last_length:
        parts[-1] = elements[-1]
    return bytes((head,)) + b"".join(parts)


def _feed_one(depacketiser: Av1Depacketiser, *payloads: bytes) -> list[Frame]:
    frames = []
    for number, payload in enumerate(payloads, 1):
        frames += depacketiser.feed(payload, 5, number == len(payloads))
    return frames


# -- reading -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "payload",
    [
        _payload(0x28, _element(SEQUENCE), _element(KEY)),
        _payload(0x08, _element(SEQUENCE), _element(KEY), last_length=True),
        _payload(0x38, _element(DELIMITER), _element(SEQUENCE), _element(KEY)),
        _payload(0x38, _element(SEQUENCE), _element(TILE_LIST), _element(KEY)),
        _payload(0x28, encode_obu(SEQUENCE), encode_obu(KEY)),
    ],
    ids=["W=2", "W=0", "delimiter", "tile list", "sizes inside"],
)
def test_one_packet_holds_a_temporal_unit(payload: bytes) -> None:
    """AV1-RTP §4.4, §5."""
    assert _feed_one(Av1Depacketiser(), payload) == [
        Frame(
            5,
            join_obus([SEQUENCE, KEY]),
            parameter_sets=(encode_obu(SEQUENCE),),
        )
    ]


def test_an_obu_may_take_several_packets_and_share_the_last() -> None:
    frame, tail = _element(KEY), _element(METADATA)
    [found] = _feed_one(
        Av1Depacketiser(),
        _payload(0x68, _element(SEQUENCE), frame[:4]),
        _payload(0xD0, frame[4:9]),
        _payload(0xA0, frame[9:], tail),
    )
    assert found.payload == join_obus([SEQUENCE, KEY, METADATA])


def test_without_marker_a_unit_is_complete_when_the_next_one_begins() -> None:
    """AV1-RTP §4.2: the last packet may lack it."""
    depacketiser = Av1Depacketiser()
    key = _payload(0x28, _element(SEQUENCE), _element(KEY))
    assert depacketiser.feed(key, 0, False) == []
    [frame] = depacketiser.feed(_payload(0x10, _element(INTER)), 1, False)
    assert frame.timestamp == 0
    [frame] = depacketiser.flush()
    assert (frame.timestamp, frame.random_access, frame.decodable) == (1, False, True)


@pytest.mark.parametrize(
    "payload",
    [
        b"\x08",
        _payload(0x90, b"\x30"),
        b"\x00\x05\x30",
        b"\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x30\x01\x30\x01\x30",
        b"\x10\xb0\x10",
        b"\x10\x32\x7f\x10",
    ],
    ids=[
        "no element",
        "continues nothing",
        "element passes the end",
        "endless length",
        "fewer elements than W",
        "forbidden bit",
        "size inside passes the end",
    ],
)
def test_damage_is_counted_and_costs_its_unit(payload: bytes) -> None:
    depacketiser = Av1Depacketiser()
    key = _payload(0x28, _element(SEQUENCE), _element(KEY))
    assert len(depacketiser.feed(key, 0, True)) == 1
    assert depacketiser.feed(_payload(0x10, _element(INTER)), 1, False) == []
    assert depacketiser.feed(payload, 1, True) == []
    assert depacketiser.needs_key_frame
    assert depacketiser.statistics().damaged_payloads == 1
    [frame] = depacketiser.feed(key, 2, True)
    assert (frame.decodable, frame.dropped) == (True, 1)


def test_an_obu_without_its_end_is_damage() -> None:
    depacketiser = Av1Depacketiser()
    assert (
        _feed_one(depacketiser, _payload(0x68, _element(SEQUENCE), b"\x30\x10")) == []
    )
    begun = _payload(0x50, b"\x30\x10")
    assert _feed_one(depacketiser, begun, _payload(0x10, _element(METADATA))) == []
    assert depacketiser.statistics().damaged_payloads == 2


def test_a_unit_of_delimiters_alone_is_no_frame() -> None:
    assert _feed_one(Av1Depacketiser(), _payload(0x10, _element(DELIMITER))) == []


def test_a_unit_beyond_the_limit_is_dropped() -> None:
    depacketiser = Av1Depacketiser(Limits(frame_units=2))
    units = [_element(METADATA)] * 3
    assert _feed_one(depacketiser, _payload(0x30, *units)) == []
    assert len(_feed_one(depacketiser, _payload(0x20, *units[:2]))) == 1


def test_after_a_loss_a_unit_has_to_show_its_beginning() -> None:
    depacketiser = Av1Depacketiser()
    for payload, given in (
        (_payload(0x10, encode_obu(Obu(ObuType.TILE_GROUP, b"\x01"))), 0),
        (_payload(0x10, _element(Obu(ObuType.FRAME, b"\x30\0", 0, 1))), 0),
        (_payload(0x10, _element(Obu(ObuType.FRAME, b"\x30\0", 0, 0))), 1),
        (_payload(0x10, _element(INTER)), 1),
    ):
        assert len(depacketiser.feed(payload, 0, True, gap=True)) == given


def test_layers_come_with_the_frame() -> None:
    low, high = Obu(ObuType.FRAME, b"\x30\0", 2, 0), Obu(ObuType.FRAME, b"\x30\0", 2, 1)
    [frame] = _feed_one(
        Av1Depacketiser(),
        _payload(0x10, _element(low)),
        _payload(0x10, _element(high)),
    )
    assert (frame.spatial_layer, frame.temporal_layer) == (1, 2)
    assert frame.payload == join_obus([low, high])


# -- writing -------------------------------------------------------------------------


def test_a_new_sequence_is_announced_and_packets_are_filled() -> None:
    """AV1-RTP §4.4, §5: delimiters stay behind, sizes too."""
    big = Obu(ObuType.FRAME, b"\x10" + bytes(range(250)))
    unit = join_obus([DELIMITER, SEQUENCE, big])
    cut = av1.packetise(unit, 100)
    assert [len(payload) for payload in cut] == [100, 100, 61]
    assert [payload[0] for payload in cut] == [0x68, 0xD0, 0x90]
    assert cut[0][1:7] == b"\x05" + _element(SEQUENCE)
    inter = av1.packetise(join_obus([INTER]), 100)
    assert inter == [b"\x10" + _element(INTER)]
    repeated = av1.packetise(join_obus([SEQUENCE, INTER]), 100)
    assert repeated[0][0] == 0x20


def test_more_than_three_elements_all_have_lengths() -> None:
    [payload] = av1.packetise(join_obus([METADATA] * 3 + [INTER]), 100)
    expected = [_element(METADATA)] * 3 + [_element(INTER)]
    assert payload == _payload(0, *expected, last_length=True)


def test_each_layer_has_packets_of_its_own() -> None:
    layers = [Obu(ObuType.FRAME, b"\x10" + bytes(5), 0, spatial) for spatial in (0, 1)]
    cut = av1.packetise(join_obus([SEQUENCE, *layers]), 100)
    assert [av1.layer(payload) for payload in cut] == [(0, 0), (1, 0)]
    assert [payload[0] for payload in cut] == [0x28, 0x10]


def test_a_malformed_unit_is_refused() -> None:
    with pytest.raises(ProtocolError):
        av1.packetise(b"\x32\x7f\x00", 100)


# -- inspecting ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("payload", "frame", "key"),
    [
        (_payload(0x28, _element(SEQUENCE), _element(KEY)), True, True),
        (_payload(0x20, _element(SEQUENCE), _element(KEY)), True, True),
        (_payload(0x20, encode_obu(SEQUENCE), encode_obu(KEY)), True, True),
        (_payload(0x20, _element(SEQUENCE), _element(INTER)), True, False),
        (_payload(0x10, _element(SEQUENCE)), True, True),
        (_payload(0x10, _element(KEY)), True, False),
        (
            _payload(0x00, _element(SEQUENCE), _element(KEY), last_length=True),
            True,
            True,
        ),
        (_payload(0x10, _element(Obu(ObuType.TILE_GROUP, b"\x01"))), False, False),
        (_payload(0x90, _element(KEY)), False, False),
        (_payload(0x98, _element(KEY)), False, False),
        (b"\x00\x7f\x30", False, False),
        (b"\x10", False, False),
        (b"", False, False),
    ],
)
def test_payloads_tell_where_units_begin(
    payload: bytes, frame: bool, key: bool
) -> None:
    """AV1-RTP §4.4."""
    assert av1.is_frame_start(payload) is frame
    assert av1.is_key_frame_start(payload) is key


def test_a_packet_has_the_layer_of_its_first_obu_that_has_one() -> None:
    """AV1-RTP §6."""
    frame = _element(Obu(ObuType.FRAME, b"\x30\0", 3, 2))
    assert av1.layer(_payload(0x20, _element(METADATA), frame)) == (2, 3)
    assert av1.layer(_payload(0xA0, b"\x36\x78", frame)) == (2, 3)
    assert av1.layer(_payload(0x90, frame)) == (0, 0)
    for payload in (b"", b"\x10", b"\x00\x7f\x36", b"\x10\x34"):
        assert av1.layer(payload) == (0, 0)


def test_the_dependency_descriptor_tells_frames_apart() -> None:
    """AV1-RTP §A.8.2."""
    assert decode_dependency_descriptor(b"\xc5\x01\x02\xff") == DependencyDescriptor(
        start_of_frame=True, end_of_frame=True, template_id=5, frame_number=0x102
    )
    assert not decode_dependency_descriptor(b"\x45\x01\x02").start_of_frame
    with pytest.raises(ProtocolError):
        decode_dependency_descriptor(b"\xc5\x01")


def test_a_recorded_stream_takes_as_many_packets_as_ffmpeg_made(
    read_recording: Callable[..., Any], feed: Callable[..., list[Frame]]
) -> None:
    recording = read_recording("av1_ffmpeg")
    frames = feed(Av1Depacketiser(), recording.packets)
    largest = max(len(packet.payload) for packet in recording.packets)
    cut = [p for frame in frames for p in av1.packetise(frame.payload, largest)]
    assert len(cut) == len(recording.packets)
