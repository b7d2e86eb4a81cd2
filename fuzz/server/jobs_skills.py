"""What an FFmpeg can do, out of any text for its lists."""

from __future__ import annotations

from penstock.jobs.skills import (
    LISTS,
    decode_codecs,
    decode_coders,
    decode_filters,
    decode_formats,
    decode_hwaccels,
    decode_protocols,
    decode_skills,
    decode_version,
)

_KINDS = {"video", "audio", "subtitle", "data", "attachment"}


def one_input(data: bytes) -> None:
    # Each line speaks for itself: two lists one after the other are read as both; no
    # more comes out than there are lines, and all of it stands in them; names hold no
    # blank, and a coder is named by a codec only where the flags say that there is one.
    text = data.decode("utf-8", "replace")
    lines = text.splitlines()
    half = len(lines) // 2
    first, second = ("\n".join(part) for part in (lines[:half], lines[half:]))
    skills = decode_skills(dict.fromkeys(LISTS, text))
    assert skills.codecs == decode_codecs(first) + decode_codecs(second)
    assert skills.encoders == decode_coders(first) + decode_coders(second)
    assert skills.decoders == skills.encoders
    assert skills.filters == decode_filters(first) + decode_filters(second)
    formats, *parts = map(decode_formats, (text, first, second))
    assert skills.formats == skills.devices == formats
    assert formats.muxers == parts[0].muxers + parts[1].muxers
    assert formats.demuxers == parts[0].demuxers + parts[1].demuxers
    libraries = decode_version(first).libraries + decode_version(second).libraries
    assert skills.version.libraries == libraries
    named = (
        *(skills.codecs, skills.encoders, skills.filters),
        *(formats.muxers, formats.demuxers),
    )
    for group in named:
        assert len(group) <= len(lines)
        for one in group:
            assert len(one.name.split()) == 1
            assert one.name in text
            assert one.description.lstrip() == one.description
    for codec in skills.codecs:
        assert codec.kind in _KINDS
        for coder in codec.encoders + codec.decoders:
            assert coder in text
    protocols = decode_protocols(text)
    assert len(protocols.inputs) + len(protocols.outputs) <= len(lines)
    assert all(name in text for name in protocols.inputs + protocols.outputs)
    assert all(len(name.split()) == 1 for name in decode_hwaccels(text))
    version = skills.version
    assert version.number is None or str(version.number[0]) in version.text
