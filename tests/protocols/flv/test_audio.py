"""Audio bodies: one model for legacy and enhanced, all multitrack types, channels."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sansmedia.flv import (
    AudioBody,
    AudioChannel,
    AudioChannelMask,
    AudioChannelOrder,
    AudioCodecId,
    AudioPacket,
    AudioPacketType,
    AvMultitrackType,
    ModEx,
    MultichannelConfig,
    decode_audio_body,
    decode_multichannel_config,
    encode_audio_body,
    encode_multichannel_config,
    fourcc,
    timestamp_offset_nano,
)
from sansmedia.sansio import ProtocolError, UsageError

AAC = AudioCodecId.AAC
OPUS = AudioCodecId.OPUS
START = AudioPacketType.SEQUENCE_START
FRAMES = AudioPacketType.CODED_FRAMES

BODIES = {
    "silence": (b"", AudioBody([])),
    "AAC sequence header": (
        b"\xaf\x00\x12\x10",
        AudioBody([AudioPacket(AAC, START, b"\x12\x10")]),
    ),
    "AAC frame": (b"\xaf\x01frame", AudioBody([AudioPacket(AAC, FRAMES, b"frame")])),
    "AAC with a header that lies": (
        b"\xa2\x01frame",
        AudioBody([AudioPacket(AAC, FRAMES, b"frame")], sound=2),
    ),
    "MP3": (
        b"\x2fframe",
        AudioBody([AudioPacket(AudioCodecId.MP3, FRAMES, b"frame")]),
    ),
    "MP3 at 8 kHz": (
        b"\xe2frame",
        AudioBody([AudioPacket(AudioCodecId.MP3_8K, FRAMES, b"frame")], sound=2),
    ),
    "Speex": (
        b"\xb6frame",
        AudioBody([AudioPacket(AudioCodecId.SPEEX, FRAMES, b"frame")], sound=6),
    ),
    "A-law": (
        b"\x72frame",
        AudioBody([AudioPacket(AudioCodecId.G711_A_LAW, FRAMES, b"frame")], sound=2),
    ),
    "mu-law": (
        b"\x82frame",
        AudioBody([AudioPacket(AudioCodecId.G711_MU_LAW, FRAMES, b"frame")], sound=2),
    ),
    "PCM": (
        b"\x3e\x01\x02",
        AudioBody(
            [AudioPacket(AudioCodecId.PCM_LITTLE_ENDIAN, FRAMES, b"\x01\x02")],
            sound=14,
        ),
    ),
    "reserved format": (
        b"\xc0frame",
        AudioBody([AudioPacket(12, FRAMES, b"frame")], sound=0),
    ),
    "Opus header": (
        b"\x90OpusOpusHead",
        AudioBody([AudioPacket(OPUS, START, b"OpusHead")], True),
    ),
    "Opus": (b"\x91Opusframe", AudioBody([AudioPacket(OPUS, FRAMES, b"frame")], True)),
    "FLAC": (
        b"\x91fLaCframe",
        AudioBody([AudioPacket(AudioCodecId.FLAC, FRAMES, b"frame")], True),
    ),
    "AC-3": (
        b"\x91ac-3frame",
        AudioBody([AudioPacket(AudioCodecId.AC3, FRAMES, b"frame")], True),
    ),
    "E-AC-3": (
        b"\x91ec-3frame",
        AudioBody([AudioPacket(AudioCodecId.EAC3, FRAMES, b"frame")], True),
    ),
    "MP3 by FourCC": (
        b"\x91.mp3frame",
        AudioBody([AudioPacket(AudioCodecId.MP3, FRAMES, b"frame")], True),
    ),
    "AAC by FourCC": (
        b"\x91mp4aframe",
        AudioBody([AudioPacket(AAC, FRAMES, b"frame")], True),
    ),
    "unknown FourCC": (
        b"\x91xyz1frame",
        AudioBody([AudioPacket(fourcc("xyz1"), FRAMES, b"frame")], True),
    ),
    "end of sequence": (
        b"\x92Opus",
        AudioBody([AudioPacket(OPUS, AudioPacketType.SEQUENCE_END, b"")], True),
    ),
    "channels": (
        b"\x94Opus\x00\x02",
        AudioBody(
            [AudioPacket(OPUS, AudioPacketType.MULTICHANNEL_CONFIG, b"\x00\x02")], True
        ),
    ),
    "one track": (
        b"\x95\x01Opus\x01frame",
        AudioBody(
            [AudioPacket(OPUS, FRAMES, b"frame", 1)], True, AvMultitrackType.ONE_TRACK
        ),
    ),
    "many tracks": (
        b"\x95\x11mp4a\x00\x00\x00\x02ab\x09\x00\x00\x01c",
        AudioBody(
            [AudioPacket(AAC, FRAMES, b"ab"), AudioPacket(AAC, FRAMES, b"c", 9)],
            True,
            AvMultitrackType.MANY_TRACKS,
        ),
    ),
    "many tracks with many codecs": (
        b"\x95\x20mp4a\x00\x00\x00\x02abOpus\x01\x00\x00\x00",
        AudioBody(
            [AudioPacket(AAC, START, b"ab"), AudioPacket(OPUS, START, b"", 1)],
            True,
            AvMultitrackType.MANY_TRACKS_MANY_CODECS,
        ),
    ),
    "nanoseconds": (
        b"\x97\x02\x00\x00\x2a\x01Opusframe",
        AudioBody(
            [AudioPacket(OPUS, FRAMES, b"frame")],
            True,
            mod_ex=(timestamp_offset_nano(42),),
        ),
    ),
}


@pytest.mark.parametrize(("data", "body"), BODIES.values(), ids=BODIES)
def test_the_body_decodes_and_encodes(data: bytes, body: AudioBody) -> None:
    assert decode_audio_body(data) == body
    assert encode_audio_body(body) == data


def test_the_empty_body_is_silence() -> None:
    assert decode_audio_body(b"").is_silence
    assert not decode_audio_body(b"\xaf\x01").is_silence


def test_nanoseconds_are_read_from_the_modifiers() -> None:
    assert decode_audio_body(BODIES["nanoseconds"][0]).nanosecond_offset == 42


def test_the_legacy_header_says_rate_size_and_channels() -> None:
    """FLV 10.1 §E.4.2."""
    body = decode_audio_body(b"\x36\x00\x00")
    assert (body.sample_rate, body.sample_bits, body.channel_count) == (11025, 16, 1)
    body = decode_audio_body(b"\x3d\x00\x00")
    assert (body.sample_rate, body.sample_bits, body.channel_count) == (44100, 8, 2)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\xaf", "truncated"),
        (b"\xaf\x02abcd", "unsupported"),
        (b"\x90", "truncated"),
        (b"\x91Opu", "truncated"),
        (b"\x93Opusabc", "unsupported"),
        (b"\x95\x41Opus\x00abc", "unsupported"),
        (b"\x95\x05Opus\x00abc", "unsupported"),
        (b"\x95\x01Opus", "truncated"),
        (b"\x95\x11Opus\x00\x00\x00\x09abc", "truncated"),
        (b"\x97", "truncated"),
    ],
)
def test_bad_bytes_raise_with_a_code(data: bytes, code: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        decode_audio_body(data)
    assert caught.value.code == code


@pytest.mark.parametrize(
    "body",
    [
        AudioBody([AudioPacket(OPUS, FRAMES, b"")]),
        AudioBody([AudioPacket(9, FRAMES, b"")]),
        AudioBody([AudioPacket(AAC, AudioPacketType.SEQUENCE_END, b"")]),
        AudioBody([AudioPacket(AudioCodecId.MP3, START, b"")]),
        AudioBody([AudioPacket(AAC, FRAMES, b"", 1)]),
        AudioBody([AudioPacket(AAC, FRAMES, b"")] * 2, True),
        AudioBody([AudioPacket(AAC, FRAMES, b"")], mod_ex=(ModEx(0, b"abc"),)),
        AudioBody(
            [AudioPacket(AAC, FRAMES, b""), AudioPacket(AAC, START, b"")],
            True,
            AvMultitrackType.MANY_TRACKS,
        ),
    ],
)
def test_a_body_without_a_wire_form_is_a_usage_error(body: AudioBody) -> None:
    with pytest.raises(UsageError):
        encode_audio_body(body)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=40), st.sampled_from([b"", b"\x95", b"\x97", b"\xaf"]))
def test_whatever_decodes_is_stable_under_encoding(data: bytes, start: bytes) -> None:
    try:
        body = decode_audio_body(start + data)
    except ProtocolError:
        return
    assert decode_audio_body(encode_audio_body(body)) == body


CONFIGS = [
    (b"\x00\x06", MultichannelConfig(AudioChannelOrder.UNSPECIFIED, 6)),
    (
        b"\x01\x02\x00\x00\x00\x03",
        MultichannelConfig(
            AudioChannelOrder.NATIVE,
            2,
            flags=AudioChannelMask.FRONT_LEFT | AudioChannelMask.FRONT_RIGHT,
        ),
    ),
    (
        b"\x02\x03\x01\xfe\x17",
        MultichannelConfig(
            AudioChannelOrder.CUSTOM,
            3,
            (
                AudioChannel.FRONT_RIGHT,
                AudioChannel.UNUSED,
                AudioChannel.BOTTOM_FRONT_RIGHT,
            ),
        ),
    ),
]


@pytest.mark.parametrize(("data", "config"), CONFIGS)
def test_a_channel_configuration_decodes_and_encodes(
    data: bytes, config: MultichannelConfig
) -> None:
    assert decode_multichannel_config(data) == config
    assert encode_multichannel_config(config) == data


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "truncated"),
        (b"\x01\x02\x00", "truncated"),
        (b"\x02\x03\x00", "truncated"),
        (b"\x03\x02", "unsupported"),
    ],
)
def test_a_bad_channel_configuration_raises(data: bytes, code: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        decode_multichannel_config(data)
    assert caught.value.code == code


def test_a_custom_order_names_each_channel() -> None:
    config = MultichannelConfig(AudioChannelOrder.CUSTOM, 2, (1,))
    with pytest.raises(UsageError):
        encode_multichannel_config(config)


def test_each_mask_bit_stands_for_the_channel_of_its_number() -> None:
    for channel in AudioChannel:
        if channel < 24:
            assert AudioChannelMask[channel.name] == 1 << channel
