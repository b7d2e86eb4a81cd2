"""Which of the negotiated formats a track is sent under."""

from __future__ import annotations

import pytest
from sansmedia.codecs import Codec
from sansmedia.rtp.payloads import H264Fmtp
from sansmedia.sdp import Direction, NegotiatedCodec, NegotiatedMedia
from sansmedia.webrtc import any_codec, fitting_codec

_BASELINE = "packetization-mode=1;profile-level-id=42e01f"
_HIGH = "packetization-mode=1;profile-level-id=640032"
_SINGLE = "packetization-mode=0;profile-level-id=640032"


def _media(*fmtps: str) -> NegotiatedMedia:
    codecs = [
        NegotiatedCodec(payload_type=96, encoding="VP8", clock_rate=90_000),
        *(
            NegotiatedCodec(
                payload_type=97 + n, encoding="H264", clock_rate=90_000, fmtp=fmtp
            )
            for n, fmtp in enumerate(fmtps)
        ),
    ]
    return NegotiatedMedia(
        index=0,
        mid="0",
        kind="video",
        direction=Direction.SENDONLY,
        codecs=tuple(codecs),
    )


def _chosen(media: NegotiatedMedia, stream: H264Fmtp | None = None) -> str | None:
    found = fitting_codec(media, Codec.H264, stream)
    return None if found is None else found.fmtp


def test_the_format_that_decodes_the_track_is_taken() -> None:
    """RFC 6184 §8.2.2."""
    high = H264Fmtp(0x640028, packetization_mode=1)
    assert _chosen(_media(_BASELINE, _HIGH), high) == _HIGH
    assert _chosen(_media(_BASELINE), high) == _BASELINE
    assert _chosen(_media(_SINGLE, _HIGH)) == _HIGH


def test_no_format_fits_a_codec_that_was_not_negotiated() -> None:
    assert fitting_codec(_media(), Codec.H264) is None
    assert fitting_codec(_media(), Codec.VP8) is not None


@pytest.mark.parametrize("fmtp", ["profile-level-id=zz", "packetization-mode=x"])
def test_a_format_whose_parameters_cannot_be_read_is_passed_over(fmtp: str) -> None:
    """Nobody has looked at those of an answer before. RFC 6184 §8.1."""
    assert _chosen(_media(fmtp)) is None
    assert _chosen(_media(fmtp, _BASELINE)) == _BASELINE


@pytest.mark.parametrize(
    ("encoding", "fmtp", "taken"),
    [
        ("H264", _BASELINE, True),
        ("H264", "profile-level-id=zz", False),
        ("H264", "packetization-mode=2", False),
        ("opus", "", False),
        ("X", "", False),
    ],
)
def test_formats_of_an_offer_are_judged_by_what_can_be_read(
    encoding: str, fmtp: str, taken: bool
) -> None:
    assert bool(any_codec()("video", encoding, 90_000, 1, fmtp)) is taken
