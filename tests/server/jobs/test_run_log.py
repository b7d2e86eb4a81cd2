from __future__ import annotations

import pytest

from penstock.jobs.run_log import LogLine, RunHistory, RunLog


def filled(count: int, max_lines: int = 50) -> RunLog:
    log = RunLog(1000, max_lines)
    for number in range(count):
        log.add(f"line {number}", 1000 + number)
    return log


@pytest.mark.parametrize("count", [0, 1, 100, 101, 150])
def test_a_short_prelude_is_kept_whole(count: int) -> None:
    assert filled(count).prelude == tuple(f"line {n}" for n in range(count))


@pytest.mark.parametrize("count", [151, 152, 1000])
def test_a_long_prelude_is_shortened_in_the_middle(count: int) -> None:
    prelude = filled(count).prelude
    assert len(prelude) == 151
    assert prelude[99] == "line 99"
    assert prelude[100] == f"... truncated {count - 150} lines ..."
    assert prelude[101] == f"line {count - 50}"
    assert prelude[-1] == f"line {count - 1}"


def test_the_log_keeps_the_last_lines() -> None:
    log = filled(5, max_lines=2)
    assert log.report().log == (LogLine(1003, "line 3"), LogLine(1004, "line 4"))
    assert log.last_line == "line 4"


def test_lines_after_the_first_progress_belong_to_the_log_alone() -> None:
    log = filled(1)
    log.end_prelude()
    log.add("later", 2000)
    report = log.report()
    assert report.prelude == ("line 0",)
    assert [line.text for line in report.log] == ["line 0", "later"]


def test_a_run_becomes_history_when_the_next_begins() -> None:
    history = RunHistory(RunLog(1), max_runs=2)
    for number in range(2, 6):
        history.current.add(f"run {number}", number)
        history.begin(number)
    assert [run.prelude for run in history.past] == [("run 4",), ("run 5",)]
    assert history.current.created_at == 5
    assert history.current.report().log == ()


def test_a_run_that_printed_nothing_is_no_history() -> None:
    history = RunHistory(RunLog(1))
    history.begin(2)
    assert history.past == ()


def test_a_job_that_replaces_another_takes_its_history_alone() -> None:
    history = RunHistory(RunLog(1, max_lines=7), max_runs=2)
    history.current.add("first", 1)
    history.begin(2).add("aborted", 2)
    successor = history.succeeded_by(3)
    assert [run.prelude for run in successor.past] == [("first",)]
    assert successor.current.report().prelude == ()
    assert (successor.current.max_lines, successor.max_runs) == (7, 2)
