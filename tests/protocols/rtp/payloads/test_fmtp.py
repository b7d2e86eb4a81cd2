"""Format parameters: what browsers, FFmpeg and cameras write."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sansmedia.rtp.payloads import (
    AacFmtp,
    Av1Fmtp,
    H264Fmtp,
    H264Profile,
    H265Fmtp,
    NoFmtp,
    OpusFmtp,
    Vp8Fmtp,
    Vp9Fmtp,
    decode_aac_fmtp,
    decode_av1_fmtp,
    decode_h264_fmtp,
    decode_h265_fmtp,
    decode_no_fmtp,
    decode_opus_fmtp,
    decode_parameters,
    decode_vp8_fmtp,
    decode_vp9_fmtp,
    encode_parameters,
)
from sansmedia.sansio import ProtocolError

CHROMIUM_H264 = "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"


def _h264(profile_level_id: int, mode: int = 1, *, asymmetric: bool = True) -> H264Fmtp:
    return H264Fmtp(profile_level_id, mode, asymmetric)


# -- the syntax ----------------------------------------------------------------------


def test_parameters_are_read_however_they_are_spaced() -> None:
    """RFC 8866 §6.15, RFC 4855 §3."""
    assert decode_parameters(" A=1; b = x=y ;;flag; a=2 ;") == {
        "a": "1",
        "b": "x=y",
        "flag": "",
    }
    assert decode_parameters("") == {}


def test_parameters_are_written_without_blanks() -> None:
    values = (("a", 1), ("b", None), ("c", True), ("d", (b"x", b"yz")), ("e", ()))
    assert encode_parameters(values) == "a=1;c=1;d=eA==,eXo="


def test_endless_parameters_are_refused() -> None:
    for text in ("x" * 16_385, ";".join(f"p{n}" for n in range(65))):
        with pytest.raises(ProtocolError) as caught:
            decode_parameters(text)
        assert caught.value.code == "limit"


# -- H.264 ---------------------------------------------------------------------------


def test_an_offer_of_a_browser_is_read_and_written_alike() -> None:
    """RFC 6184 §8.1."""
    fmtp = decode_h264_fmtp(CHROMIUM_H264)
    assert fmtp == _h264(0x42E01F)
    assert fmtp.encode() == CHROMIUM_H264
    assert (fmtp.profile, fmtp.level) == (H264Profile.CONSTRAINED_BASELINE, 31)


def test_the_parameter_sets_of_ffmpeg_are_read() -> None:
    fmtp = decode_h264_fmtp(
        "packetization-mode=1; sprop-parameter-sets=Z2QACqy0,aO8BNyw=; "
        "profile-level-id=64000A"
    )
    sets = (
        bytes.fromhex("67640 00aacb4".replace(" ", "")),
        bytes.fromhex("68ef01372c"),
    )
    assert fmtp == H264Fmtp(0x64000A, 1, False, sets)
    assert decode_h264_fmtp(fmtp.encode()) == fmtp


def test_what_is_missing_has_a_default() -> None:
    fmtp = decode_h264_fmtp("")
    assert fmtp == H264Fmtp(0x42E01F, 0, False, ())


@pytest.mark.parametrize(
    "sets", ["!!!", "Zg,Z2QACqy0=x", ",".join(["Zw=="] * 33)], ids=["a", "b", "many"]
)
def test_nonsense_for_parameter_sets_is_passed_over(sets: str) -> None:
    fmtp = decode_h264_fmtp(f"sprop-parameter-sets={sets};packetization-mode=1")
    assert (fmtp.sprop_parameter_sets, fmtp.packetization_mode) == ((), 1)


def test_base64_without_padding_is_read() -> None:
    assert decode_h264_fmtp("sprop-parameter-sets=Zw,aA").sprop_parameter_sets == (
        b"g",
        b"h",
    )


@pytest.mark.parametrize(
    "text",
    [
        "profile-level-id=42e0",
        "profile-level-id=42e01fff",
        "profile-level-id=xyzxyz",
        "profile-level-id=é2e01f",
        "packetization-mode=3",
        "packetization-mode=-1",
        "packetization-mode=²",
        "packetization-mode=99999999999",
        "level-asymmetry-allowed=yes",
    ],
)
def test_other_nonsense_is_refused(text: str) -> None:
    with pytest.raises(ProtocolError):
        decode_h264_fmtp(text)


@pytest.mark.parametrize(
    ("identifier", "profile"),
    [
        (0x42E01F, H264Profile.CONSTRAINED_BASELINE),
        (0x42C01F, H264Profile.CONSTRAINED_BASELINE),
        (0x4D801F, H264Profile.CONSTRAINED_BASELINE),
        (0x58C01F, H264Profile.CONSTRAINED_BASELINE),
        (0x42001F, H264Profile.BASELINE),
        (0x42A01F, H264Profile.BASELINE),
        (0x58A01F, H264Profile.BASELINE),
        (0x4D001F, H264Profile.MAIN),
        (0x4D401F, H264Profile.MAIN),
        (0x58001F, H264Profile.EXTENDED),
        (0x64001F, H264Profile.HIGH),
        (0x640C1F, H264Profile.CONSTRAINED_HIGH),
        (0x6E001F, H264Profile.HIGH_10),
        (0x6E101F, H264Profile.HIGH_10_INTRA),
        (0x7A001F, H264Profile.HIGH_422),
        (0x7A101F, H264Profile.HIGH_422_INTRA),
        (0xF4001F, H264Profile.HIGH_444),
        (0xF4101F, H264Profile.HIGH_444_INTRA),
        (0x44101F, H264Profile.CAVLC_444_INTRA),
        (0x64F01F, None),
        (0x00001F, None),
    ],
)
def test_profiles_are_told_by_the_bits_that_matter(
    identifier: int, profile: H264Profile | None
) -> None:
    """RFC 6184 §8.1, its table 5."""
    assert H264Fmtp(identifier).profile is profile


@pytest.mark.parametrize(
    ("ours", "theirs", "same"),
    [
        (_h264(0x42E01F), _h264(0x42E034), True),
        (_h264(0x42E01F), _h264(0x4D801F), True),
        (_h264(0x42E01F), _h264(0x42001F), False),
        (_h264(0x42E01F), _h264(0x42E01F, 0), False),
        (_h264(0x64001F), _h264(0x640C1F), False),
        (_h264(0x77001F), _h264(0x770028), True),
        (_h264(0x77001F), _h264(0x78001F), False),
        (_h264(0x42E01F), Vp8Fmtp(), False),
    ],
)
def test_profile_and_mode_have_to_be_the_same(
    ours: H264Fmtp, theirs: Any, same: bool
) -> None:
    """RFC 6184 §8.2.2."""
    assert ours.matches(theirs) is same


@pytest.mark.parametrize(
    ("ours", "offer", "answer"),
    [
        (_h264(0x42E034), _h264(0x42E01F), 0x42E034),
        (_h264(0x42E034), _h264(0x42E01F, asymmetric=False), 0x42E01F),
        (_h264(0x42E01F), _h264(0x42E034, asymmetric=False), 0x42E01F),
        (_h264(0x42E01F), _h264(0x42F00B, asymmetric=False), 0x42F00B),
        (_h264(0x42F00B), _h264(0x42E00A, asymmetric=False), 0x42E00A),
        (_h264(0x64001F), _h264(0x640009, asymmetric=False), 0x640009),
        (_h264(0x64001F), _h264(0x64000A, asymmetric=False), 0x64000A),
    ],
)
def test_the_answer_has_our_level_or_the_lower_one(
    ours: H264Fmtp, offer: H264Fmtp, answer: int
) -> None:
    """RFC 6184 §8.2.2; H.264 §A.3.1: level 1b hides in two places."""
    found = ours.answer(offer)
    assert f"{found.profile_level_id:06x}" == f"{answer:06x}"
    assert found.level_asymmetry_allowed == offer.level_asymmetry_allowed
    assert offer.matches(found)


def test_level_1b_lies_between_1_and_1_1() -> None:
    levels = [
        H264Fmtp(identifier).level for identifier in (0x42E00A, 0x42F00B, 0x42E00B)
    ]
    assert levels == sorted(set(levels))
    assert H264Fmtp(0x640009).level == H264Fmtp(0x42F00B).level
    assert H264Fmtp(0x64100B).level == 11


def test_a_receiver_decodes_lesser_profiles() -> None:
    """H.264 §A.2."""
    high, main, baseline, constrained = (
        _h264(identifier) for identifier in (0x64001F, 0x4D001F, 0x42001F, 0x42E01F)
    )
    assert high.can_decode(main)
    assert main.can_decode(constrained)
    assert high.can_decode(_h264(0x640C28))
    assert baseline.can_decode(constrained)
    assert main.can_decode(main)
    assert not constrained.can_decode(main)
    assert not high.can_decode(baseline)
    assert not high.can_decode(_h264(0x77001F))


# -- the others ----------------------------------------------------------------------


def test_h265_of_a_browser_and_of_ffmpeg() -> None:
    """RFC 7798 §7.1, §7.2.2."""
    text = "level-id=180;profile-id=1;tier-flag=0;tx-mode=SRST"
    fmtp = decode_h265_fmtp(text)
    assert fmtp == H265Fmtp(level_id=180)
    assert fmtp.encode() == text
    sent = decode_h265_fmtp("sprop-vps=QAE=; sprop-sps=QgE=,QgI=; sprop-pps=RAE=")
    assert sent.parameter_sets == (b"\x40\1", b"\x42\1", b"\x42\2", b"\x44\1")
    assert decode_h265_fmtp(sent.encode()) == sent
    assert sent.matches(fmtp)
    for other in ("profile-id=2", "tier-flag=1", "profile-space=1", "tx-mode=MRST"):
        assert not fmtp.matches(decode_h265_fmtp(other))
    assert decode_h265_fmtp("sprop-vps=!;sprop-sps=QgE=").parameter_sets == (b"\x42\1",)
    constrained = decode_h265_fmtp("interop-constraints=B00000000000")
    assert decode_h265_fmtp(constrained.encode()) == constrained
    with pytest.raises(ProtocolError):
        decode_h265_fmtp("interop-constraints=B0")


def test_an_h265_receiver_decodes_lesser_profiles() -> None:
    """H.265 §A.3.3."""
    main, main10 = H265Fmtp(), H265Fmtp(profile_id=2)
    assert main10.can_decode(main)
    assert not main.can_decode(main10)
    assert not main.can_decode(H265Fmtp(tier_flag=1))
    assert H265Fmtp(tier_flag=1).can_decode(main)


def test_vp9_formats_differ_by_profile() -> None:
    """RFC 9628 §6, §6.1.2."""
    fmtp = decode_vp9_fmtp("profile-id=2;max-fr=30")
    assert fmtp == Vp9Fmtp(2, 30)
    assert fmtp.encode() == "profile-id=2;max-fr=30"
    assert decode_vp9_fmtp("").encode() == "profile-id=0"
    assert Vp9Fmtp().matches(Vp9Fmtp(0, 60))
    assert not Vp9Fmtp().matches(Vp9Fmtp(2))
    with pytest.raises(ProtocolError):
        decode_vp9_fmtp("profile-id=4")


def test_vp8_is_always_the_same() -> None:
    """RFC 7741 §6.1, §6.2.2."""
    fmtp = decode_vp8_fmtp("max-fr=30; max-fs=3600; x-google-start-bitrate=1000")
    assert fmtp == Vp8Fmtp(30, 3600)
    assert fmtp.encode() == "max-fr=30;max-fs=3600"
    assert fmtp.matches(Vp8Fmtp())
    assert not fmtp.matches(Vp9Fmtp())


def test_av1_of_a_browser() -> None:
    """AV1-RTP §7.2, §7.2.3."""
    text = "level-idx=5;profile=0;tier=0"
    assert decode_av1_fmtp(text) == decode_av1_fmtp("") == Av1Fmtp()
    assert Av1Fmtp().encode() == text
    assert Av1Fmtp().matches(Av1Fmtp(level_idx=8))
    assert not Av1Fmtp().matches(Av1Fmtp(profile=1))
    assert not Av1Fmtp().matches(Av1Fmtp(tier=1))


def test_opus_of_a_browser() -> None:
    """RFC 7587 §6.1, §7.1."""
    text = "minptime=10;useinbandfec=1"
    fmtp = decode_opus_fmtp(text)
    assert fmtp == OpusFmtp(minptime=10, useinbandfec=True)
    assert fmtp.encode() == text
    every = OpusFmtp(
        stereo=True,
        sprop_stereo=True,
        usedtx=True,
        cbr=True,
        maxaveragebitrate=128_000,
        maxplaybackrate=48_000,
    )
    assert decode_opus_fmtp(every.encode()) == every
    assert fmtp.matches(every)
    with pytest.raises(ProtocolError):
        decode_opus_fmtp("stereo=2")


def test_aac_of_ffmpeg() -> None:
    """RFC 3640 §4.1."""
    fmtp = decode_aac_fmtp(
        "profile-level-id=1;mode=AAC-hbr;sizelength=13;indexlength=3;"
        "indexdeltalength=3; config=118856E500"
    )
    assert fmtp == AacFmtp(bytes.fromhex("118856e500"))
    assert fmtp.is_supported
    assert decode_aac_fmtp(fmtp.encode()) == fmtp
    assert fmtp.matches(AacFmtp())
    low = decode_aac_fmtp("mode=AAC-lbr;sizelength=6;indexlength=2;indexdeltalength=2")
    assert not low.is_supported
    assert not fmtp.matches(low)
    assert not decode_aac_fmtp("").is_supported
    with pytest.raises(ProtocolError):
        decode_aac_fmtp("config=1")


def test_formats_without_parameters() -> None:
    """RFC 3551 §4.5."""
    assert decode_no_fmtp("anything=1") == NoFmtp()
    assert NoFmtp().encode() == ""
    assert NoFmtp().matches(NoFmtp())
    assert not NoFmtp().matches(Vp8Fmtp())


@pytest.mark.slow
@given(text=st.text(max_size=60))
@pytest.mark.parametrize(
    "decode",
    [
        decode_aac_fmtp,
        decode_av1_fmtp,
        decode_h264_fmtp,
        decode_h265_fmtp,
        decode_no_fmtp,
        decode_opus_fmtp,
        decode_vp8_fmtp,
        decode_vp9_fmtp,
    ],
)
def test_any_text_is_read_or_refused(decode: Any, text: str) -> None:
    try:
        fmtp = decode(text)
    except ProtocolError:
        return
    assert decode(fmtp.encode()) == fmtp
