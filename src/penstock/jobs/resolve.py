"""From what an owner wrote to what FFmpeg is given, or why not."""

from __future__ import annotations

import attrs

from penstock.control.secrets import masked
from penstock.jobs.addresses import (
    Access,
    AccessList,
    AddressError,
    check_input,
    check_output,
)
from penstock.jobs.errors import JobError, JobErrorCode
from penstock.jobs.graphs import check_graph
from penstock.jobs.options import check_options, muxer
from penstock.jobs.placeholders import Places, expand
from penstock.jobs.references import OutputsOf, resolve
from penstock.jobs.spec import (
    JobInput,
    JobOutput,
    JobSpec,
    check_input_ids,
    check_job_id,
    check_output_ids,
    check_texts,
)

__all__ = ["prepare", "writes_files"]

_FILES = AccessList(block=["^file:(?!/dev/)"])


def prepare(
    spec: JobSpec, places: Places, access: Access, outputs_of: OutputsOf
) -> JobSpec:
    """Resolve and judge a job; return what its command line is made of.

    In this order, which decides the error that a job with several gets: id, texts,
    placeholders, references, inputs, outputs, global options.

    Args:
        spec: The job as written.
        places: What placeholders stand for.
        access: What may be read and written.
        outputs_of: Finds the resolved outputs of other jobs.

    Raises:
        JobError: With the first thing that is wrong.
    """
    check_job_id(spec.id)
    check_texts(spec)
    resolved = expand(spec, places)
    resolved = resolve(resolved, outputs_of)
    check_texts(resolved)
    check_input_ids(resolved)
    for source in resolved.inputs:
        _check_input(resolved.id, source, access)
    check_output_ids(resolved)
    for output in resolved.outputs:
        _check_output(resolved.id, output, access)
    _check_options(f"the process '{resolved.id}'", resolved.options, access)
    return resolved


def writes_files(resolved: JobSpec, access: Access) -> bool:
    """Say whether a job writes below the root: it could not run if that were refused.

    Args:
        resolved: From `prepare`.
        access: The root.
    """
    strict = attrs.evolve(access, reads=AccessList(), writes=_FILES)
    try:
        for output in resolved.outputs:
            _check_output(resolved.id, output, strict)
        for source in resolved.inputs:
            _check_options("", source.options, strict)
        _check_options("", resolved.options, strict)
    except JobError:
        return True
    return False


def _check_input(job: str, end: JobInput, access: Access) -> None:
    label = f"input '#{job}:{end.id}'"
    if not end.address.strip():
        text = f"the address for {label} must not be empty"
        raise JobError(JobErrorCode.EMPTY_INPUT_ADDRESS, text)
    try:
        check_input(end.address, access)
        if muxer(end.options) == "lavfi":
            check_graph(end.address, access)
    except AddressError as error:
        # Placeholders may have put the server's own passwords there.
        shown = masked(end.address, keys=False)
        text = f"the address for {label} ({shown}) is invalid: {error}"
        raise JobError(JobErrorCode.INPUT_ADDRESS, text) from None
    _check_options(label, end.options, access)


def _check_output(job: str, end: JobOutput, access: Access) -> None:
    label = f"output '#{job}:{end.id}'"
    if not end.address.strip():
        text = f"the address for {label} must not be empty"
        raise JobError(JobErrorCode.EMPTY_OUTPUT_ADDRESS, text)
    try:
        check_output(end.address, access, is_tee=muxer(end.options) == "tee")
    except AddressError as error:
        text = f"the address for {label} is invalid: {error}"
        raise JobError(JobErrorCode.OUTPUT_ADDRESS, text) from None
    _check_options(label, end.options, access)


def _check_options(label: str, options: tuple[str, ...], access: Access) -> None:
    try:
        check_options(options, access)
    except AddressError as error:
        text = f"the options for {label} are invalid: {error}"
        raise JobError(JobErrorCode.OPTION, text) from None
