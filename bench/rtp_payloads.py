"""Measure what a payload costs: packetised, depacketised, inspected, rewritten.

Prints microseconds a payload; a key frame of 50,000 octets in payloads of up to 1,190.
"""

from __future__ import annotations

import timeit
from collections.abc import Callable
from functools import partial

import attrs
from sansmedia.codecs.av1 import Obu, ObuType, join_obus
from sansmedia.codecs.nal import join_length_prefixed
from sansmedia.rtp.payloads import (
    PayloadFormat,
    PictureOffsets,
    payload_format,
    vp8,
    vp9,
)

MAX_SIZE = 1190
PICTURE = bytes(at % 251 for at in range(50_000))


@attrs.frozen
class Sample:
    """A format and a key frame of it."""

    name: str
    frame: bytes


SAMPLES = (
    Sample(
        "H264",
        join_length_prefixed([b"\x67" + bytes(25), b"\x68\0", b"\x65\x88" + PICTURE]),
    ),
    Sample(
        "H265",
        join_length_prefixed(
            [
                *(b"\x40\x01" + bytes(20), b"\x42\x01" + bytes(40), b"\x44\x01\0\0"),
                b"\x26\x01\x80" + PICTURE,
            ]
        ),
    ),
    Sample(
        "AV1",
        join_obus(
            [
                Obu(ObuType.SEQUENCE_HEADER, bytes(10)),
                Obu(ObuType.FRAME, b"\x10" + PICTURE),
            ]
        ),
    ),
    Sample("VP8", b"\x10\0\0\x9d\x01\x2a\x40\x01\xf0\0" + PICTURE),
    Sample("VP9", bytes.fromhex("824983420013f00ef6") + PICTURE),
)


def microseconds(work: Callable[[], object], number: int) -> float:
    """Return the best of five, for one call."""
    return min(timeit.repeat(work, number=number, repeat=5)) / number * 1e6


def measure(sample: Sample, form: PayloadFormat) -> str:
    """Return the row of one format."""
    packetiser, depacketiser = form.make_packetiser(), form.make_depacketiser()
    payloads = packetiser.packetise(sample.frame, MAX_SIZE)
    last = len(payloads) - 1

    def depacketise() -> None:
        for number, payload in enumerate(payloads):
            depacketiser.feed(payload, 0, number == last)

    cut = partial(packetiser.packetise, sample.frame, MAX_SIZE)
    inspected = [
        microseconds(partial(form.is_key_frame_start, payload), 20_000)
        for payload in (payloads[5], payloads[0])
    ]
    return (
        f"{sample.name:5} {microseconds(cut, 300) / len(payloads):10.2f}"
        f" {microseconds(depacketise, 200) / len(payloads):12.2f}"
        f" {inspected[0]:10.2f} to {inspected[1]:.2f}"
    )


def main() -> None:
    """Print the table."""
    print("      packetise depacketise  is_key_frame_start")
    for sample in SAMPLES:
        form = payload_format(sample.name)
        assert form is not None
        print(measure(sample, form))
    offsets = PictureOffsets(7, 8, 9)
    eight = vp8.Descriptor(picture_id=5, temporal_layer=1, tl0_pic_idx=3)
    nine = vp9.Descriptor(picture_id=5, temporal_layer=1, tl0_pic_idx=3)
    for name, rewrite, payload in (
        ("VP8", vp8.rewrite, vp8.packetise(PICTURE, MAX_SIZE, eight)[3]),
        ("VP9", vp9.rewrite, vp9.packetise(PICTURE, MAX_SIZE, nine)[3]),
    ):
        cost = microseconds(partial(rewrite, payload, offsets), 20_000)
        print(f"{name} rewrite {cost:.2f}")


if __name__ == "__main__":
    main()
