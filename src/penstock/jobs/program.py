"""Which FFmpeg there is, and what it says of itself."""

from __future__ import annotations

import os
import subprocess
from functools import partial
from typing import Final

import attrs
import trio

from .skills import LISTS, FFmpegSkills, decode_skills, decode_version

__all__ = ["OLDEST", "Judge", "ask_skills", "find_ffmpeg"]

OLDEST: Final = (5, 0, 0)
"""Older ones print what is not read here, and lack options that are documented."""
_ANSWER_S: Final = 10.0


def find_ffmpeg(path: str) -> str:
    """Return the program: the one that is named, or imageio-ffmpeg's.

    Raises:
        LookupError: There is none; the text says what to do.
    """
    if path:
        return path
    import imageio_ffmpeg

    try:
        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError:
        text = "imageio-ffmpeg has no FFmpeg here: name a program"
        raise LookupError(text) from None


@attrs.define(eq=False)
class Judge:
    """Says whether jobs can run with a program, and asks each program once."""

    _known: tuple[object, ...] = ()
    """Which file `_problem` is about."""
    _problem: str = ""
    _asking: trio.Lock = attrs.field(factory=trio.Lock)

    async def problem(self, program: str) -> str:
        """Return why jobs cannot run with a program, or "" if they can."""
        async with self._asking:
            try:
                found = os.stat(program)
            except OSError as error:
                return f"{program}: {error.strerror}: jobs cannot run"
            key = program, found.st_dev, found.st_ino, found.st_mtime_ns
            if key != self._known:
                said = await _ask(program, "version")
                if said is None:
                    # It may be the machine that is too busy, so this is asked again.
                    return f"{program} does not answer: jobs cannot run"
                self._known, self._problem = key, _judged(program, said)
            return self._problem


def _judged(program: str, said: str) -> str:
    version = decode_version(said)
    if not version.text:
        return f"{program} is no FFmpeg: jobs cannot run"
    if version.number is not None and version.number < OLDEST:
        wanted = ".".join(map(str, OLDEST[:2]))
        return f"{program} is FFmpeg {version.text}: jobs need {wanted} or newer"
    return ""


async def ask_skills(program: str) -> FFmpegSkills:
    """Return what FFmpeg can do; nothing if it does not answer.

    Takes half a second of a core.
    """
    outputs: dict[str, str] = {}
    for name in LISTS:
        said = await _ask(program, name)
        if said is None:
            break
        outputs[name] = said
    return await trio.to_thread.run_sync(decode_skills, outputs)


async def _ask(program: str, option: str) -> str | None:
    """Return what ``-option`` prints, None if nothing came in time."""
    command = [program, "-hide_banner", f"-{option}"]
    start = partial(
        trio.run_process,
        command,
        capture_stdout=True,
        stderr=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
        check=False,
        env={"PATH": os.defpath},
    )
    with trio.move_on_after(_ANSWER_S):
        try:
            done = await start()
        except OSError:
            return None
        return bytes(done.stdout).decode("utf-8", "replace")
    return None
