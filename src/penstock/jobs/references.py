"""References: an input that reads what another job writes, ``#job:output=id``."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs

from penstock.jobs.errors import JobError, JobErrorCode
from penstock.jobs.spec import JobInput, JobOutput, JobSpec

__all__ = ["OutputsOf", "Reference", "parse_reference", "referenced", "resolve"]

OutputsOf = Callable[[str], Sequence[JobOutput] | None]
"""Returns the resolved outputs of the job with that id; None if there is none."""

_SPLIT = ":output="


@attrs.frozen
class Reference:
    """An output of a job."""

    job: str
    output: str


def parse_reference(address: str) -> Reference | None:
    """Read an address that begins with ``#``; None if it is no reference.

    The last ``:output=`` splits, so a job's id may hold one. Nothing is trimmed.
    """
    job, split, output = address[1:].rpartition(_SPLIT)
    if address[:1] != "#" or not split or not job or not output:
        return None
    return Reference(job, output)


def resolve(spec: JobSpec, outputs_of: OutputsOf) -> JobSpec:
    """Return ``spec`` with the addresses that its references stand for.

    One step only: an output's address that looks like a reference is an address.

    Args:
        spec: A job with its placeholders replaced.
        outputs_of: How to find the other jobs.

    Raises:
        JobError: REFERENCE, also for an input with no address at all.
    """
    return attrs.evolve(
        spec,
        inputs=tuple(_resolve_input(spec, end, outputs_of) for end in spec.inputs),
    )


def referenced(spec: JobSpec) -> frozenset[str]:
    """Return the ids of the jobs that ``spec`` (placeholders replaced) reads from."""
    found = (parse_reference(end.address) for end in spec.inputs)
    return frozenset(reference.job for reference in found if reference is not None)


def _resolve_input(spec: JobSpec, end: JobInput, outputs_of: OutputsOf) -> JobInput:
    try:
        address = _address(end.address, spec.id, outputs_of)
    except _Broken as broken:
        text = f"reference error for '#{spec.id}:{end.id}': {broken}"
        raise JobError(JobErrorCode.REFERENCE, text) from None
    return end if address == end.address else attrs.evolve(end, address=address)


class _Broken(Exception):
    """Why a reference leads nowhere."""


def _address(address: str, own_id: str, outputs_of: OutputsOf) -> str:
    if not address:
        raise _Broken("empty address")
    if not address.startswith("#"):
        return address
    reference = parse_reference(address)
    if reference is None:
        raise _Broken(f"invalid format ({address})")
    if reference.job == own_id:
        raise _Broken(f"self-reference not possible ({address})")
    outputs = outputs_of(reference.job)
    if outputs is None:
        raise _Broken(f"unknown process '{reference.job}' ({address})")
    for output in outputs:
        if output.id == reference.output:
            return output.address
    raise _Broken(
        f"the process '{reference.job}' has no outputs with the ID"
        f" '{reference.output}' ({address})"
    )
