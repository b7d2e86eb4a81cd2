"""Jobs: ids, references and the command line."""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Sequence

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.jobs.command_line import arguments, with_progress
from penstock.jobs.errors import JobError, JobErrorCode
from penstock.jobs.references import Reference, parse_reference, referenced, resolve
from penstock.jobs.spec import (
    JobInput,
    JobOutput,
    JobSpec,
    check_ids,
    check_texts,
    new_id,
)

_JOB = JobSpec("p", (JobInput("i", "input"),), (JobOutput("o", "-"),))


def test_an_id_is_a_uuid_in_22_digits_of_base_57() -> None:
    alphabet = "23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
    number = 0
    for digit in new_id(lambda size: bytes(range(size))):
        number = number * 57 + alphabet.index(digit)
    assert str(uuid.UUID(int=number)) == "00010203-0405-4607-8809-0a0b0c0d0e0f"
    ids = {new_id(os.urandom) for _ in range(100)}
    assert len(ids) == 100
    assert all(re.fullmatch("[2-9A-HJ-NP-Za-km-z]{22}", id_) for id_ in ids)


@pytest.mark.parametrize(
    ("change", "code", "text"),
    [
        ({"id": ""}, "EMPTY_ID", "an empty ID is not allowed"),
        ({"id": " \t"}, "EMPTY_ID", "an empty ID is not allowed"),
        (
            {"inputs": ()},
            "NO_INPUT",
            "at least one input must be defined for the process 'p'",
        ),
        (
            {"outputs": ()},
            "NO_OUTPUT",
            "at least one output must be defined for the process 'p'",
        ),
        (
            {"inputs": (JobInput(" ", "a"),)},
            "EMPTY_INPUT_ID",
            "empty input IDs are not allowed (process 'p')",
        ),
        (
            {"inputs": (JobInput("a", "a"), JobInput("a", "b"))},
            "DUPLICATE_INPUT_ID",
            "the input ID 'a' is already in use for the process `p`",
        ),
        (
            {"outputs": (JobOutput("", "a"),)},
            "EMPTY_OUTPUT_ID",
            "empty output IDs are not allowed (process 'p')",
        ),
        (
            {"outputs": (JobOutput("o", "a"), JobOutput("o", "b"))},
            "DUPLICATE_OUTPUT_ID",
            "the output ID 'o' is already in use for the process `p`",
        ),
    ],
)
def test_ids_are_checked(change: dict[str, object], code: str, text: str) -> None:
    with pytest.raises(JobError) as caught:
        check_ids(attrs.evolve(_JOB, **change))  # type: ignore[arg-type]  # a table
    assert caught.value.code is JobErrorCode[code]
    assert str(caught.value) == text


def test_an_input_and_an_output_may_share_an_id() -> None:
    check_ids(attrs.evolve(_JOB, outputs=(JobOutput("i", "-"),)))


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"options": ("a\0b",)}, "BAD_CHARACTER"),
        ({"options": ("\ud800",)}, "BAD_CHARACTER"),
        ({"options": ("x" * 131_072,)}, "TOO_LARGE"),
        ({"options": ("\u00e9" * 65_536,)}, "TOO_LARGE"),
        ({"options": ("x" * 131_000,) * 9}, "TOO_LARGE"),
        ({"inputs": tuple(JobInput(str(i), "a") for i in range(257))}, "TOO_LARGE"),
    ],
)
def test_what_no_command_line_can_hold_is_refused(
    change: dict[str, object], code: str
) -> None:
    with pytest.raises(JobError) as caught:
        check_texts(attrs.evolve(_JOB, **change))  # type: ignore[arg-type]  # a table
    assert caught.value.code is JobErrorCode[code]


def _outputs_of(job: str) -> Sequence[JobOutput] | None:
    known = {
        "process_1": (JobOutput("out", "rtmp://someip/live/stream"),),
        "a:output=b": (JobOutput("c", "deep"),),
        "odd": (JobOutput("o", "#process_1:output=out"),),
    }
    return known.get(job)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("plain", "plain"),
        ("#process_1:output=out", "rtmp://someip/live/stream"),
        ("#a:output=b:output=c", "deep"),
        ("#odd:output=o", "#process_1:output=out"),
    ],
)
def test_a_reference_becomes_the_address_of_that_output(
    address: str, expected: str
) -> None:
    job = attrs.evolve(_JOB, inputs=(JobInput("i", address),))
    assert resolve(job, _outputs_of).inputs[0].address == expected


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("", "empty address"),
        ("#", "invalid format (#)"),
        ("#x", "invalid format (#x)"),
        ("#:output=o", "invalid format (#:output=o)"),
        ("#x:output=", "invalid format (#x:output=)"),
        ("#p:output=o", "self-reference not possible (#p:output=o)"),
        ("#zz:output=o", "unknown process 'zz' (#zz:output=o)"),
        ("# process_1:output=out", None),
        (
            "#process_1:output=x",
            "the process 'process_1' has no outputs with the ID 'x'"
            " (#process_1:output=x)",
        ),
    ],
)
def test_a_broken_reference_says_why(address: str, why: str | None) -> None:
    job = attrs.evolve(_JOB, inputs=(JobInput("i", address),))
    with pytest.raises(JobError) as caught:
        resolve(job, _outputs_of)
    assert caught.value.code is JobErrorCode.REFERENCE
    if why is not None:
        assert str(caught.value) == f"reference error for '#p:i': {why}"


def test_a_job_knows_what_it_reads_from() -> None:
    inputs = (JobInput("i", "#a:output=b"), JobInput("j", "x"), JobInput("k", "#bad"))
    assert referenced(attrs.evolve(_JOB, inputs=inputs)) == {"a"}


@given(st.text(), st.text(min_size=1))
def test_any_address_is_a_reference_or_not(address: str, output: str) -> None:
    parse_reference(address)
    if ":output=" not in output:
        assert parse_reference(f"#a{address}:output={output}") == Reference(
            f"a{address}", output
        )


def test_the_command_line_keeps_the_order() -> None:
    assert arguments(_JOB) == ("-i", "input", "-")
    job = JobSpec(
        "p",
        (
            JobInput("v", "testsrc=size=1280x720:rate=25", ("-f", "lavfi", "-re")),
            JobInput("a", "anullsrc=r=44100:stereo=25", ("-f", "lavfi")),
        ),
        (
            JobOutput("o", "rtmp://someip/live/stream", ("-g", "50", "-f", "flv")),
            JobOutput("n", "-", ("-f", "null")),
        ),
        options=("-loglevel", "error"),
    )
    expected = (
        "-loglevel error -f lavfi -re -i testsrc=size=1280x720:rate=25 -f lavfi"
        " -i anullsrc=r=44100:stereo=25 -g 50 -f flv rtmp://someip/live/stream"
        " -f null -"
    )
    assert " ".join(arguments(job)) == expected


def test_progress_is_asked_for_once() -> None:
    front = ("-progress", "pipe:5")
    assert with_progress(("-i", "x"), 5) == (*front, "-nostats", "-i", "x")
    # The owner's own wins, and standard error is then what is left to read.
    own = ("-progress", "own.txt", "-i", "x")
    assert with_progress(own, 5) == (*front, *own)
