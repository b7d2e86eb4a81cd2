"""What people see of a job: its command line and its log, passwords masked."""

from __future__ import annotations

import re

from penstock.control.secrets import masked, masked_words
from penstock.jobs.command_line import arguments
from penstock.jobs.errors import JobError
from penstock.jobs.placeholders import expand
from penstock.jobs.spec import JobInput, JobOutput, JobSpec

from .shared.places import PLACES, SECRETS

_ESCAPED_LETTER = re.compile(r"\^\w")


def one_input(data: bytes) -> None:
    # Whatever stands around a placeholder or within it: what the server's passwords
    # became part of does not show them, neither as a word of the command line nor in
    # the lines that FFmpeg prints.
    text = data.decode("utf-8", "replace")
    # An escaped letter cuts the words that a mask knows; no list of FFmpeg's wants it.
    if _ESCAPED_LETTER.search(text) or any(secret in text for secret in SECRETS):
        return
    words = text.split("\n")
    spec = JobSpec(
        "id",
        (JobInput("in", words[0], tuple(words[1:])),),
        (JobOutput("out", words[0], tuple(words[1:])),),
    )
    try:
        done = expand(spec, PLACES)
    except JobError:
        return
    command = arguments(done)
    for keys in (False, True):
        shown = masked_words(command, keys=keys)
        assert len(shown) == len(command)
        _check("\n".join(shown))
        for word in command:
            for line in (word, f"Output #0, flv, to '{word}':", f"{word}: I/O error"):
                _check(masked(line, keys=keys))


def _check(shown: str) -> None:
    plain = shown.replace("\\", "")
    assert not any(secret in plain for secret in SECRETS), shown
