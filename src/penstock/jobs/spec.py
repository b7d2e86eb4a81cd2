"""What a job is: inputs, outputs, options and when to run it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable

import attrs

from penstock.jobs.errors import JobError, JobErrorCode

__all__ = [
    "CleanupRule",
    "JobInput",
    "JobLimits",
    "JobOutput",
    "JobSpec",
    "check_ids",
    "check_input_ids",
    "check_job_id",
    "check_output_ids",
    "check_texts",
    "new_id",
]

# Digits and letters without 0, 1, I, O and l, which people confuse.
_ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_ID_LENGTH = 22  # 57 ** 22 > 2 ** 128

MAX_TEXT = 131_071
"""Bytes of one argument: Linux takes no longer one (MAX_ARG_STRLEN, less its end)."""
MAX_TEXTS = 1_048_576
"""Bytes of all texts of a job; a command line of twice that is refused by Linux."""
MAX_ENDS = 256
"""Inputs, and outputs, of one job."""


@attrs.frozen
class CleanupRule:
    """Which files of a file system go, and when."""

    pattern: str
    """File system's name, ":", glob over the names of its files."""
    max_files: int = 0
    """The newest so many stay; 0 for all."""
    max_file_age: int = 0
    """Seconds; older files go. 0 for no limit."""
    purge_on_delete: bool = False
    """All go with the job."""


@attrs.frozen
class JobInput:
    """One input: its options, then ``-i`` and the address."""

    id: str
    address: str
    options: tuple[str, ...] = ()


@attrs.frozen
class JobOutput:
    """One output: its options, then the address."""

    id: str
    address: str
    options: tuple[str, ...] = ()
    cleanup: tuple[CleanupRule, ...] = ()


@attrs.frozen
class JobLimits:
    """What a job may use before it is stopped; 0 is no limit."""

    cpu_percent: float = 0.0
    """Of all processors together: 100 is every one of them busy."""
    memory: int = 0
    """MiB of resident memory."""
    wait_for: int = 0
    """Seconds over a limit before it counts; 0 is the first sample."""


@attrs.frozen
class JobSpec:
    """A job as its owner wrote it, or with placeholders and references resolved."""

    id: str
    inputs: tuple[JobInput, ...]
    outputs: tuple[JobOutput, ...]
    reference: str = ""
    """The owner's own label; it means nothing here."""
    options: tuple[str, ...] = ()
    """Global options, before all inputs."""
    reconnect: bool = False
    """Start again after every end."""
    reconnect_delay: int = 0
    """Seconds between an end and the next start."""
    autostart: bool = True
    """Start as soon as it exists."""
    stale_timeout: int = 0
    """Seconds without progress before it is stopped; 0 for never."""
    limits: JobLimits = JobLimits()


def new_id(random_bytes: Callable[[int], bytes]) -> str:
    """Return a fresh id: a UUID of version 4 as 22 digits of base 57.

    Args:
        random_bytes: Returns so many random bytes, as `os.urandom` does.
    """
    number = uuid.UUID(bytes=random_bytes(16), version=4).int
    digits = []
    for _ in range(_ID_LENGTH):
        number, digit = divmod(number, len(_ALPHABET))
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits))


def check_ids(spec: JobSpec) -> None:
    """Refuse a job without an id, without ends, or with an end's id blank or twice.

    Input and output ids are two name spaces. ``spec`` has its placeholders resolved:
    two ids may become one by it.

    Raises:
        JobError: EMPTY_ID, NO_INPUT, NO_OUTPUT, EMPTY_INPUT_ID, DUPLICATE_INPUT_ID,
            EMPTY_OUTPUT_ID or DUPLICATE_OUTPUT_ID; inputs are judged first.
    """
    check_job_id(spec.id)
    check_input_ids(spec)
    check_output_ids(spec)


def check_job_id(id_: str) -> None:
    """Refuse an id of nothing but blanks.

    Raises:
        JobError: EMPTY_ID.
    """
    if not id_.strip():
        raise JobError(JobErrorCode.EMPTY_ID, "an empty ID is not allowed")


def check_input_ids(spec: JobSpec) -> None:
    """Do the part of `check_ids` that concerns the inputs."""
    if not spec.inputs:
        raise JobError(
            JobErrorCode.NO_INPUT,
            f"at least one input must be defined for the process '{spec.id}'",
        )
    _check_end_ids(
        spec.id,
        "input",
        (each.id for each in spec.inputs),
        (JobErrorCode.EMPTY_INPUT_ID, JobErrorCode.DUPLICATE_INPUT_ID),
    )


def check_output_ids(spec: JobSpec) -> None:
    """Do the part of `check_ids` that concerns the outputs."""
    if not spec.outputs:
        raise JobError(
            JobErrorCode.NO_OUTPUT,
            f"at least one output must be defined for the process '{spec.id}'",
        )
    _check_end_ids(
        spec.id,
        "output",
        (each.id for each in spec.outputs),
        (JobErrorCode.EMPTY_OUTPUT_ID, JobErrorCode.DUPLICATE_OUTPUT_ID),
    )


def _check_end_ids(
    job: str, kind: str, ids: Iterable[str], codes: tuple[JobErrorCode, JobErrorCode]
) -> None:
    seen = set()
    for id_ in ids:
        if not id_.strip():
            text = f"empty {kind} IDs are not allowed (process '{job}')"
            raise JobError(codes[0], text)
        if id_ in seen:
            text = f"the {kind} ID '{id_}' is already in use for the process `{job}`"
            raise JobError(codes[1], text)
        seen.add(id_)


def check_texts(spec: JobSpec) -> None:
    """Refuse what the system could not take as a command line.

    Raises:
        JobError: TOO_LARGE if a text is over 131,071 bytes, all together over 1 MiB,
            or there are over 256 inputs or outputs; BAD_CHARACTER for a NUL or half a
            surrogate pair.
    """
    if len(spec.inputs) > MAX_ENDS or len(spec.outputs) > MAX_ENDS:
        text = f"a process has at most {MAX_ENDS} inputs and {MAX_ENDS} outputs"
        raise JobError(JobErrorCode.TOO_LARGE, text)
    total = 0
    for value in _texts(spec):
        try:
            size = len(value.encode())
        except UnicodeEncodeError:
            text = "half a surrogate pair is not a character"
            raise JobError(JobErrorCode.BAD_CHARACTER, text) from None
        if "\0" in value:
            raise JobError(JobErrorCode.BAD_CHARACTER, "a text holds a NUL character")
        total += size + 1
        if size > MAX_TEXT or total > MAX_TEXTS:
            raise JobError(JobErrorCode.TOO_LARGE, "the process config is too large")


def _texts(spec: JobSpec) -> Iterable[str]:
    yield spec.id
    yield spec.reference
    yield from spec.options
    ends: tuple[JobInput | JobOutput, ...] = (*spec.inputs, *spec.outputs)
    for end in ends:
        yield end.id
        yield end.address
        yield from end.options
    for output in spec.outputs:
        for rule in output.cleanup:
            yield rule.pattern
