"""Texts that are one piece over and over: no reader takes them badly."""

from __future__ import annotations

from collections.abc import Callable
from time import thread_time

from penstock.control.secrets import masked
from penstock.jobs.addresses import Access, AddressError, check_input, check_output
from penstock.jobs.errors import JobError
from penstock.jobs.graphs import check_graph
from penstock.jobs.options import check_pairs
from penstock.jobs.placeholders import expand
from penstock.jobs.progress_pipe import ProgressPipe
from penstock.jobs.skills import LISTS, decode_skills
from penstock.jobs.spec import JobInput, JobOutput, JobSpec
from penstock.jobs.stderr import StderrReader

from .shared.places import PLACES

_SHORT = 2_048
_LONG = 4 * _SHORT
_LITTLE_S = 0.015
_MOST = 9
"""Times as long for a text four times as long: below the square, above the noise."""
_TRIES = 3
_ACCESS = Access("/core/data", lambda path: path)


def one_input(data: bytes) -> None:
    # Four times as much text costs about four times as much, or next to nothing: no
    # reader looks at each character again for each. So of lines, and of a job's texts.
    begin, _, rest = data.decode("utf-8", "replace").partition("\n")
    unit, _, end = rest.partition("\n")
    short, long = (
        begin + unit * (size // max(1, len(unit))) + end for size in (_SHORT, _LONG)
    )
    below_input, below_mapping = StderrReader(), StderrReader()
    below_input.feed("Input #0, flv, from 'x':")
    below_mapping.feed("Stream mapping:")
    for read in (
        *(below_input.feed, below_mapping.feed, ProgressPipe().feed, masked, _skills),
        *(_placeholders, _addresses, _graph, _pairs),
    ):
        _check(read, short, long)


def _check(read: Callable[[str], object], short: str, long: str) -> None:
    # Something else may have had the processor, so one quick try is enough.
    for _ in range(_TRIES):
        spent = _cost_s(read, long)
        if spent < _LITTLE_S or spent < _MOST * _cost_s(read, short):
            return
    raise AssertionError(f"{read} takes {spent:.3f} s")


def _cost_s(read: Callable[[str], object], text: str) -> float:
    began = thread_time()
    read(text)
    return thread_time() - began


def _skills(text: str) -> None:
    decode_skills(dict.fromkeys(LISTS, text))


def _placeholders(text: str) -> None:
    spec = JobSpec("p", (JobInput("i", text),), (JobOutput("o", text),), "", (text,))
    try:
        expand(spec, PLACES)
    except JobError:
        pass


def _addresses(text: str) -> None:
    for check in (check_input, check_output):
        try:
            check(text, _ACCESS)
        except AddressError:
            continue


def _graph(text: str) -> None:
    try:
        check_graph(text, _ACCESS)
    except AddressError:
        pass


def _pairs(text: str) -> None:
    try:
        check_pairs([("format_opts", text), ("x264-params", text)], _ACCESS)
    except AddressError:
        pass
