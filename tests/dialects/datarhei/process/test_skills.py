"""What FFmpeg can do, against the answer of a real Core and its FFmpeg's own lists."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs
import pytest

from penstock.dialects.datarhei.skills_shapes import as_skills
from penstock.jobs.skills import LISTS, FFmpegSkills, VersionSkill, decode_skills

DATA = Path(__file__).parents[3] / "data"


def _decoded(ffmpeg: str) -> FFmpegSkills:
    return decode_skills(
        {
            name: (DATA / "ffmpeg" / f"{ffmpeg}-list-{name}.txt").read_text("utf-8")
            for name in LISTS
        }
    )


def _recorded() -> dict[str, Any]:
    text = (DATA / "datarhei" / "process-16.16.0.json").read_text("utf-8")
    (skills,) = (
        call["response"]["json"]
        for call in json.loads(text)["calls"]
        if call["request"]["path"] == "/api/v3/skills"
    )
    assert isinstance(skills, dict)
    return skills


def _cut(value: Any) -> Any:
    """Cut lists to three items, as the recorded ones are."""
    if isinstance(value, dict):
        return {key: _cut(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_cut(item) for item in value[:3]]
    return value


async def test_skills_are_listed_as_a_core_lists_them(opened: Any) -> None:
    async with opened() as api:
        api.jobs.known = _decoded("ffmpeg5")
        answer = await api.get("/skills")
        assert await api.get("/skills/reload") == answer
        assert api.jobs.asked == [False, True]
    recorded = _recorded()
    # Of these our recordings hold a few alone.
    recorded["ffmpeg"]["configuration"] = answer["ffmpeg"]["configuration"]
    (ours, *_), (theirs, *_) = (
        one["protocols"].pop("output") for one in (answer, recorded)
    )
    assert list(ours) == list(theirs)
    ours, theirs = answer.pop("codecs"), recorded.pop("codecs")
    assert _cut(answer) == recorded
    assert list(ours) == list(theirs)
    known = {one["id"]: one for one in ours["video"]}
    assert known["012v"] == theirs["video"][0]
    for codecs in (*ours.values(), *theirs.values()):
        assert all(list(one) == list(known["012v"]) for one in codecs)


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        ((5, 1, 9), "5.1.9"),
        ((6, 1, 2), "6.1.2"),
        ((4, 4, 0), "4.4.0"),
        ((7, 0, 0), "6.1.0"),
        ((9, 0, 2), "6.1.0"),
        (None, "6.1.0"),
    ],
)
def test_an_ffmpeg_that_clients_do_not_know_is_called_by_one_that_they_do(
    number: tuple[int, int, int] | None, shown: str
) -> None:
    shape = as_skills(FFmpegSkills(VersionSkill("n1", number)))["ffmpeg"]
    assert shape["version"] == shown
    assert shape.get("true_version") == (None if _is(number, shown) else "n1")


def test_a_missing_or_old_ffmpeg_says_so() -> None:
    missing = as_skills(FFmpegSkills(problem="/x is missing: jobs cannot run"))
    assert missing["ffmpeg"]["version"] == ""
    assert missing["ffmpeg"]["problem"] == "/x is missing: jobs cannot run"
    assert "problem" not in as_skills(_decoded("ffmpeg9"))["ffmpeg"]


def _is(number: tuple[int, int, int] | None, shown: str) -> bool:
    return number is not None and ".".join(map(str, number)) == shown


def test_a_codec_without_coders_has_null_in_their_place() -> None:
    skills = _decoded("ffmpeg9")
    codecs = tuple(
        attrs.evolve(one, encoders=(), decoders=("x",)) for one in skills.codecs[:1]
    )
    shape = as_skills(attrs.evolve(skills, codecs=codecs))["codecs"]
    (codec,) = (one for ones in shape.values() for one in ones)
    assert codec["encoders"] is None
    assert codec["decoders"] == ("x",)
