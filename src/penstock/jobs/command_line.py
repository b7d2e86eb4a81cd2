"""The arguments of FFmpeg that a resolved job stands for."""

from __future__ import annotations

from penstock.jobs.spec import JobSpec

__all__ = ["arguments", "with_progress"]


def arguments(spec: JobSpec) -> tuple[str, ...]:
    """Return the command line without the program: options, inputs, outputs.

    Nothing is added and nothing made absolute; the order is the owner's. No shell ever
    reads it.

    Args:
        spec: A job with placeholders and references resolved.
    """
    words = [*spec.options]
    for source in spec.inputs:
        words += (*source.options, "-i", source.address)
    for output in spec.outputs:
        words += (*output.options, output.address)
    return tuple(words)


def with_progress(words: tuple[str, ...], descriptor: int) -> tuple[str, ...]:
    """Return ``words`` with machine-readable progress asked for, in front.

    In front, because the last ``-progress`` counts and the owner's own must win; only
    then is progress read from standard error, which FFmpeg need not write otherwise.
    What is shown to people are the ``words`` alone.

    Args:
        words: From `arguments`.
        descriptor: Number of the pipe's writing end in the child.
    """
    asked = ("-progress", f"pipe:{descriptor}")
    return (*asked, *words) if "-progress" in words else (*asked, "-nostats", *words)
