"""What FFmpeg can do, in the shape of the API; pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from penstock.control.jobs import (
    CodecSkill,
    FFmpegSkills,
    FormatSkill,
    VersionSkill,
)

__all__ = ["as_skills"]

_NEWEST: Final = (6, 1, 0)
"""Clients refuse what they do not know: all but 5.1, 6.1 and their successors of the
same major. Newer ones do what they need, so these are called by this number, and the
true one stands beside it."""
_KINDS: Final = ("audio", "video", "subtitle")


def as_skills(skills: FFmpegSkills) -> dict[str, Any]:
    """Return all lists. What devices are plugged in is not looked for."""
    devices, formats = skills.devices, skills.formats
    return {
        "ffmpeg": _version(skills.version) | _problem(skills.problem),
        "filter": [{"id": one.name, "name": one.description} for one in skills.filters],
        "hwaccels": _names(skills.hwaccels),
        "codecs": {
            kind: [_codec(one) for one in skills.codecs if one.kind == kind]
            for kind in _KINDS
        },
        "devices": {
            "demuxers": [_format(one) | {"devices": []} for one in devices.demuxers],
            "muxers": [_format(one) | {"devices": []} for one in devices.muxers],
        },
        "formats": {
            "demuxers": [_format(one) for one in formats.demuxers],
            "muxers": [_format(one) for one in formats.muxers],
        },
        "protocols": {
            "input": _names(skills.protocols.inputs),
            "output": _names(skills.protocols.outputs),
        },
    }


def _version(version: VersionSkill) -> dict[str, Any]:
    shown = _shown(version.number) if version.text else ()
    shape: dict[str, Any] = {"version": ".".join(map(str, shown))}
    if version.text and shown != version.number:
        shape["true_version"] = version.text
    return shape | {
        "compiler": version.compiler,
        "configuration": version.configuration,
        "libraries": [
            {"name": one.name, "compiled": one.compiled, "linked": one.linked}
            for one in version.libraries
        ],
    }


def _problem(problem: str) -> dict[str, str]:
    # Ours: clients do not know it, people may.
    return {"problem": problem} if problem else {}


def _shown(number: tuple[int, int, int] | None) -> tuple[int, int, int]:
    # A build of no release is newer than the last one.
    return _NEWEST if number is None or number >= (7,) else number


def _names(names: Iterable[str]) -> list[dict[str, str]]:
    return [{"id": name, "name": name} for name in names]


def _codec(codec: CodecSkill) -> dict[str, Any]:
    return {
        "id": codec.name,
        "name": codec.description,
        "encoders": codec.encoders or None,
        "decoders": codec.decoders or None,
    }


def _format(format_: FormatSkill) -> dict[str, Any]:
    return {"id": format_.name, "name": format_.description}
