from __future__ import annotations

from collections.abc import Callable

from penstock.jobs.skills import (
    LISTS,
    FFmpegSkills,
    FormatSkill,
    FormatSkills,
    decode_formats,
    decode_skills,
)


def test_lists_of_both_ffmpegs_are_read(recorded: Callable[[str], bytes]) -> None:
    skills = decode_skills({name: recorded(f"list-{name}").decode() for name in LISTS})
    version = skills.version
    assert version.number in {(5, 1, 9), (9, 0, 2)}
    assert version.text.startswith(("5.1.9-0+deb12u1", "n9.0.2-17-g"))
    assert version.compiler.startswith("gcc ")
    assert version.configuration == "--enable-gpl --enable-libx264"
    assert version.libraries[0].name == "libavutil"
    assert version.libraries[0].compiled in {"57. 28.100", "61.  1.102"}
    codecs = {codec.name: codec for codec in skills.codecs}
    assert codecs["012v"].description == "Uncompressed 4:2:2 10-bit"
    assert (codecs["012v"].kind, codecs["012v"].decoders) == ("video", ("012v",))
    assert codecs["012v"].encoders == ()
    assert codecs["a64_multi"].encoders == ("a64multi",)
    assert codecs["a64_multi"].description == "Multicolor charset for Commodore 64"
    assert codecs["h264"].decoders[0] == "h264"
    assert "libx264" in codecs["h264"].encoders
    assert codecs["opus"].kind == "audio"
    encoders = {encoder.name: encoder for encoder in skills.encoders}
    assert (encoders["libx264"].codec, encoders["libx264"].kind) == ("h264", "video")
    assert encoders["opus"].is_experimental
    assert {"h264", "opus", "subrip"} <= {decoder.name for decoder in skills.decoders}
    assert "3dostr" in {f.name for f in skills.formats.demuxers}
    assert "3g2" in {f.name for f in skills.formats.muxers}
    assert "3g2" not in {f.name for f in skills.formats.demuxers}
    assert {"rtmp", "srt", "file"} <= set(skills.protocols.inputs)
    assert {"rtmp", "srt"} <= set(skills.protocols.outputs)
    assert "file" not in skills.protocols.outputs
    filters = {filter.name: filter for filter in skills.filters}
    assert (filters["scale"].inputs, filters["scale"].outputs) in {
        ("V", "V"),
        ("N", "V"),
    }
    assert filters["abench"].description == "Benchmark part of a filtergraph."
    assert {"cuda", "vaapi"} <= set(skills.hwaccels)
    assert "lavfi" in {device.name for device in skills.devices.demuxers}
    assert "fbdev" in {device.name for device in skills.devices.muxers}
    names = [codec.name for codec in skills.codecs]
    names += [coder.name for coder in (*skills.encoders, *skills.decoders)]
    assert "=" not in names


def test_an_ffmpeg_that_says_nothing_can_nothing() -> None:
    assert decode_skills({}) == FFmpegSkills()


def test_a_long_gap_in_a_list_costs_its_length() -> None:
    # Looked at again from each blank of it, it takes a minute and more.
    gap = " " * 200_000
    skill = FormatSkill("x", f"a{gap}b")
    assert decode_formats(f" DE x {skill.description}{gap}") == FormatSkills(
        (skill,), (skill,)
    )
