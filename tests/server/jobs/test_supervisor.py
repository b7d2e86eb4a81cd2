"""All jobs of a server: changes that are kept, references, orders, restarts."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio

from penstock.config.address import Address
from penstock.control.jobs import JobCommand, JobControl, JobError, JobErrorCode
from penstock.jobs.addresses import Access, AccessList
from penstock.jobs.child import identify
from penstock.jobs.placeholders import Places, RtmpPlace, SrtPlace
from penstock.jobs.records import encode_identity
from penstock.jobs.spec import CleanupRule, JobInput, JobOutput, JobSpec
from penstock.jobs.state import Exec, Order
from penstock.jobs.store import Store
from penstock.jobs.supervisor import JobPolicy, Supervisor

SLEEPS = 'echo "$*" >&2; exec sleep 100'
Open = Callable[..., AbstractAsyncContextManager[Supervisor]]


def job(id_: str, **wishes: Any) -> JobSpec:
    wishes.setdefault("inputs", (JobInput("in", "rtmp://there/x"),))
    wishes.setdefault("outputs", (JobOutput("out", f"rtmp://here/{id_}"),))
    return JobSpec(id_, **({"autostart": False} | wishes))


def reading(id_: str, *addresses: str, **wishes: Any) -> JobSpec:
    inputs = tuple(
        JobInput(str(number), address) for number, address in enumerate(addresses)
    )
    return job(id_, inputs=inputs, **wishes)


@pytest.fixture
def opened(tmp_path: Path, stand_in: Callable[[str], Path]) -> Open:
    """Run a supervisor over the test's own store; its program is a shell's script."""

    @asynccontextmanager
    async def run(script: str = SLEEPS, **policy: Any) -> AsyncIterator[Supervisor]:
        program = stand_in(script)
        places = Places(
            str(tmp_path),
            RtmpPlace(Address("localhost", 1935), "/live"),
            SrtPlace(Address("localhost", 6000)),
        )
        access = Access(str(tmp_path), os.path.realpath)
        store = Store(tmp_path / "jobs.db")
        await store.open()
        deleted = policy.pop("on_deleted", None)
        supervisor = Supervisor(
            store,
            JobPolicy(places, access, str(program), tmp_path, **policy),
            on_deleted=deleted,
        )
        async with trio.open_nursery() as nursery:
            nursery.start_soon(store.run)
            await supervisor.open()
            await nursery.start(supervisor.run)
            yield supervisor
            await supervisor.stop()
            nursery.cancel_scope.cancel()
        await store.close()

    return run


async def until(condition: Callable[[], bool]) -> None:
    with trio.fail_after(60):
        while not condition():  # noqa: ASYNC110 - nobody tells
            await trio.sleep(0.005)


async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    with trio.fail_after(60):
        while not await condition():  # noqa: ASYNC110 - nobody tells
            await trio.sleep(0.01)


async def refused(code: JobErrorCode, call: Any) -> str:
    with pytest.raises(JobError) as failure:
        await call
    assert failure.value.code is code
    return failure.value.message


async def state(supervisor: Supervisor, id_: str) -> tuple[Order, Exec]:
    view = await supervisor.job(id_)
    assert view.state is not None
    running = view.state.exec
    # How far a start is, is nobody's concern here.
    running = Exec.RUNNING if running is Exec.STARTING else running
    return view.state.order, running


async def has_history(supervisor: Supervisor) -> bool:
    return bool((await supervisor.job("a")).history)


async def has_spoken(supervisor: Supervisor) -> bool:
    view = await supervisor.job("a")
    return view.state is not None and view.state.last_line != ""


async def command_line(supervisor: Supervisor, id_: str) -> str:
    view = await supervisor.job(id_)
    assert view.state is not None
    return " ".join(view.state.command)


def test_it_is_what_control_promises() -> None:
    methods = [name for name in vars(JobControl) if not name.startswith("_")]
    missing = [name for name in methods if not hasattr(Supervisor, name)]
    assert missing == []


async def test_what_was_acknowledged_is_there_after_a_restart(opened: Open) -> None:
    rule = CleanupRule("mem:/{processid}*", 3, 60, purge_on_delete=True)
    output = JobOutput("out", "-", ("-f", "null"), (rule,))
    spec = job("a", outputs=(output,), reference="ref", options=("-y",), autostart=True)
    async with opened() as supervisor:
        made = await supervisor.create_job(spec)
        await supervisor.create_job(job("b"))
        await supervisor.put_job_metadata("a", "k", {"deep": [1, 2.5, None]})
        await supervisor.put_metadata("page", "dark")
        await supervisor.create_job(job("c"))
        await supervisor.delete_job("c")
    async with opened() as supervisor:
        views = {view.spec.id: view for view in await supervisor.jobs()}
        assert sorted(views) == ["a", "b"]
        assert attrs.evolve(views["a"], state=None, report=None) == attrs.evolve(
            made, state=None, report=None, metadata={"k": {"deep": [1, 2.5, None]}}
        )
        assert await supervisor.metadata() == {"page": "dark"}
        # Its order was to run, so it does again.
        await until(lambda: supervisor.running == 1)
        assert await state(supervisor, "b") == (Order.STOP, Exec.FINISHED)


async def test_orders_are_kept_and_not_changed_by_the_server_s_end(
    opened: Open,
) -> None:
    async with opened() as supervisor:
        await supervisor.create_job(job("a", autostart=True))
        await supervisor.create_job(job("b", autostart=True))
        await until(lambda: supervisor.running == 2)
        await supervisor.command_job("b", JobCommand.STOP)
        # The shell does not catch SIGINT, so that ends it by the signal.
        assert await state(supervisor, "b") == (Order.STOP, Exec.KILLED)
    async with opened() as supervisor:
        await until(lambda: supervisor.running == 1)
        assert await state(supervisor, "b") == (Order.STOP, Exec.FINISHED)


async def test_an_id_is_taken_once_even_by_two_at_once(opened: Open) -> None:
    async with opened() as supervisor:
        errors = []

        async def create() -> None:
            try:
                await supervisor.create_job(job("a"))
            except JobError as error:
                errors.append(error)

        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(create)
        assert [error.message for error in errors] == ["process already exists"] * 4
        assert len(supervisor) == 1


async def test_an_update_keeps_the_order_and_the_metadata_and_renames(
    opened: Open,
) -> None:
    async with opened() as supervisor:
        await supervisor.create_job(job("a", autostart=True))
        await supervisor.create_job(job("b"))
        await supervisor.put_job_metadata("a", "k", 1)
        await until(lambda: supervisor.running == 1)
        taken = supervisor.update_job("a", lambda old: attrs.evolve(old, id="b"))
        assert await refused(JobErrorCode.EXISTS, taken) == "process already exists"
        assert await state(supervisor, "a") == (Order.START, Exec.RUNNING)
        view = await supervisor.update_job(
            "a", lambda old: attrs.evolve(old, id="c", options=("-y",))
        )
        assert view.spec.id == "c"
        assert view.metadata == {"k": 1}
        await until(lambda: supervisor.running == 1)
        assert (await command_line(supervisor, "c")).startswith("-y -i")
        await refused(JobErrorCode.UNKNOWN, supervisor.job("a"))
        # A stopped one stays so, whatever it wishes for its creation.
        await supervisor.update_job("b", lambda old: attrs.evolve(old, autostart=True))
        assert await state(supervisor, "b") == (Order.STOP, Exec.FINISHED)


async def test_a_refused_update_changes_nothing(opened: Open) -> None:
    async with opened() as supervisor:
        before = await supervisor.create_job(job("a", autostart=True))
        await until(lambda: supervisor.running == 1)
        bad = supervisor.update_job("a", lambda old: attrs.evolve(old, inputs=()))
        await refused(JobErrorCode.NO_INPUT, bad)

        def fail(old: JobSpec) -> JobSpec:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await supervisor.update_job("a", fail)
        assert (await supervisor.job("a")).spec == before.spec
        assert await state(supervisor, "a") == (Order.START, Exec.RUNNING)


async def test_references_follow_the_job_that_they_name(opened: Open) -> None:
    async with opened() as supervisor:
        await supervisor.create_job(job("a"))
        await supervisor.create_job(reading("b", "#a:output=out", autostart=True))
        await until(lambda: supervisor.running == 1)
        assert "-i rtmp://here/a " in await command_line(supervisor, "b")
        moved = (JobOutput("out", "rtmp://elsewhere/a"),)
        await supervisor.update_job("a", lambda old: attrs.evolve(old, outputs=moved))

        async def has_moved() -> bool:
            return "-i rtmp://elsewhere/a " in await command_line(supervisor, "b")

        await eventually(has_moved)
        await until(lambda: supervisor.running == 1)
        # A job that nobody can read any more stands still, and says why.
        await supervisor.delete_job("a")

        async def has_failed() -> bool:
            return (await state(supervisor, "b"))[1] is Exec.FAILED

        await eventually(has_failed)
        view = await supervisor.job("b")
        assert view.problem == (
            "reference error for '#b:0': unknown process 'a' (#a:output=out)"
        )
        assert view.state is not None
        assert view.state.last_line == view.problem
        starting = supervisor.command_job("b", JobCommand.START)
        assert await refused(JobErrorCode.REFERENCE, starting) == view.problem
        # It runs again once it can.
        await supervisor.create_job(job("a"))
        await until(lambda: supervisor.running == 1)


async def test_another_policy_renews_the_jobs_that_it_changes(
    opened: Open,
) -> None:
    async with opened() as supervisor:
        own = (JobOutput("out", "{rtmp,name=x}"),)
        await supervisor.create_job(job("writer", outputs=own, autostart=True))
        await supervisor.create_job(
            reading("reader", "#writer:output=out", autostart=True)
        )
        await supervisor.create_job(reading("other", "file", autostart=True))
        await until(lambda: supervisor.running == 3)

        async def has_begun() -> bool:
            view = await supervisor.job("other")
            return view.state is not None and view.state.last_line != ""

        await eventually(has_begun)
        before = await supervisor.job("other")
        policy = supervisor.policy
        places = attrs.evolve(
            policy.places, rtmp=attrs.evolve(policy.places.rtmp, token="T")
        )
        supervisor.take_policy(attrs.evolve(policy, places=places))
        url = "rtmp://localhost:1935/live/x?token=T"

        async def have_moved() -> bool:
            lines = [
                await command_line(supervisor, id_) for id_ in ("writer", "reader")
            ]
            return all(url in line for line in lines)

        await eventually(have_moved)
        await until(lambda: supervisor.running == 3)
        after = await supervisor.job("other")
        # This one has gone on.
        assert (after.report, after.history) == (before.report, ())
        # What may not be read any more is not.
        access = attrs.evolve(policy.access, reads=AccessList(block=["^file$"]))
        supervisor.take_policy(attrs.evolve(policy, places=places, access=access))
        await until(lambda: supervisor.running == 2)
        assert "address is not allowed" in (await supervisor.job("other")).problem
        supervisor.take_policy(attrs.evolve(policy, places=places))
        await until(lambda: supervisor.running == 3)


async def test_the_next_run_is_of_the_program_of_the_policy(
    opened: Open, tmp_path: Path
) -> None:
    another = tmp_path / "another"
    version = "case $2 in -version) echo ffmpeg version n9.0; exit;; esac"
    another.write_text(f"#!/bin/sh\n{version}\necho another >&2; exec sleep 100\n")
    another.chmod(0o755)
    async with opened() as supervisor:
        await supervisor.create_job(job("a", autostart=True))
        await until(lambda: supervisor.running == 1)
        supervisor.take_policy(attrs.evolve(supervisor.policy, program=str(another)))
        await supervisor.command_job("a", JobCommand.RESTART)

        async def is_another() -> bool:
            view = await supervisor.job("a")
            return view.state is not None and view.state.last_line == "another"

        await eventually(is_another)


async def test_a_reference_to_a_later_job_holds_after_a_restart(opened: Open) -> None:
    async with opened() as supervisor:
        await supervisor.create_job(job("z"))
        await supervisor.create_job(reading("a", "#z:output=out"))
    async with opened() as supervisor:
        assert (await supervisor.job("a")).problem == ""


async def test_a_reload_forgets_what_was_printed(opened: Open) -> None:
    async with opened("echo said >&2; exit 1") as supervisor:
        await supervisor.create_job(job("a"))
        await supervisor.command_job("a", JobCommand.START)
        await eventually(partial(has_spoken, supervisor))
        await until(lambda: supervisor.running == 0)
        await supervisor.command_job("a", JobCommand.START)
        await eventually(partial(has_history, supervisor))
        await supervisor.command_job("a", JobCommand.STOP)
        await supervisor.command_job("a", JobCommand.RELOAD)
        view = await supervisor.job("a")
        assert view.history == ()
        assert view.report is not None
        assert view.report.log == ()


async def test_a_restart_runs_again_without_reconnect(opened: Open) -> None:
    async with opened() as supervisor:
        await supervisor.create_job(job("a", autostart=True))
        await eventually(partial(has_spoken, supervisor))
        await supervisor.command_job("a", JobCommand.RESTART)
        await eventually(partial(has_history, supervisor))
        await until(lambda: supervisor.running == 1)
        await supervisor.command_job("a", JobCommand.STOP)
        await supervisor.command_job("a", JobCommand.RESTART)
        assert supervisor.running == 0


async def test_no_more_are_kept_or_ordered_to_run_than_may_be(opened: Open) -> None:
    async with opened(max_running=2, max_jobs=4) as supervisor:
        for name in "ab":
            await supervisor.create_job(job(name, autostart=True))
        one_more = supervisor.create_job(job("c", autostart=True))
        text = await refused(JobErrorCode.LIMIT, one_more)
        assert text == "max. number of running processes (2) reached"
        await supervisor.create_job(job("c"))
        starting = supervisor.command_job("c", JobCommand.START)
        await refused(JobErrorCode.LIMIT, starting)
        # One of those that count may always be told again.
        await supervisor.command_job("a", JobCommand.START)
        await supervisor.command_job("a", JobCommand.STOP)
        await supervisor.command_job("c", JobCommand.START)
        await supervisor.create_job(job("d"))
        text = await refused(JobErrorCode.LIMIT, supervisor.create_job(job("e")))
        assert text == "max. number of processes (4) reached"


async def test_a_job_that_will_not_stop_keeps_nobody_waiting(opened: Open) -> None:
    deaf = "trap '' INT; echo up >&2; while :; do sleep 0.1; done"
    async with opened(deaf) as supervisor:

        async def is_up() -> bool:
            state = (await supervisor.job("a")).state
            return state is not None and state.last_line == "up"

        await supervisor.create_job(job("a", autostart=True))
        await eventually(is_up)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(supervisor.delete_job, "a")
            with trio.fail_after(60):
                await supervisor.create_job(job("b"))
                assert len(await supervisor.jobs()) == 2
            nursery.cancel_scope.shield = True
        assert [view.spec.id for view in await supervisor.jobs()] == ["b"]


async def test_a_full_disk_stops_those_who_write_to_it(opened: Open) -> None:
    async with opened(max_running=9) as supervisor:
        file = (JobOutput("out", "a.mp4"),)
        await supervisor.create_job(job("file", outputs=file, autostart=True))
        await supervisor.create_job(job("stream", autostart=True))
        await supervisor.create_job(job("idle", outputs=file))
        await until(lambda: supervisor.running == 2)
        assert await supervisor.stop_writers("the disk is full") == 1
        view = await supervisor.job("file")
        assert view.state is not None
        assert view.report is not None
        assert view.state.order is Order.STOP
        # It may still say something itself after that.
        said = [line.text for line in view.report.log]
        assert "stopped: the disk is full" in said
        assert await state(supervisor, "stream") == (Order.START, Exec.RUNNING)
        assert await supervisor.stop_writers("the disk is full") == 0
    async with opened() as supervisor:
        assert await state(supervisor, "file") == (Order.STOP, Exec.FINISHED)


async def test_a_deletion_tells_what_went(opened: Open) -> None:
    gone = []

    async def tell(spec: JobSpec) -> None:
        gone.append(spec)

    async with opened(on_deleted=tell) as supervisor:
        rule = CleanupRule("disk:/{processid}.ts", purge_on_delete=True)
        output = JobOutput("out", "-", cleanup=(rule,))
        await supervisor.create_job(job("a", outputs=(output,)))
        await supervisor.delete_job("a")
        await refused(JobErrorCode.UNKNOWN, supervisor.delete_job("a"))
    assert [rule.pattern for rule in gone[0].outputs[0].cleanup] == ["disk:/a.ts"]


async def test_a_probe_looks_at_the_inputs_alone(opened: Open) -> None:
    async with opened('echo "$*" >&2; exit 1') as supervisor:
        await supervisor.create_job(job("a", options=("-y",)))
        result = await supervisor.probe_job("a")
        assert result.log == ("-y -i rtmp://there/x",)
        assert result.streams == ()


async def test_too_much_metadata_is_refused(opened: Open) -> None:
    async with opened() as supervisor:
        await supervisor.create_job(job("a"))
        huge = "x" * (1 << 20)
        put = supervisor.put_job_metadata("a", "k", huge)
        await refused(JobErrorCode.TOO_LARGE, put)
        await refused(JobErrorCode.TOO_LARGE, supervisor.put_metadata("k", huge))
        assert (await supervisor.job("a")).metadata == {}
        await supervisor.put_job_metadata("a", "k", 1)
        await supervisor.put_job_metadata("a", "k", None)
        assert (await supervisor.job("a")).metadata == {}


async def test_the_next_server_ends_what_an_earlier_one_left(
    opened: Open, tmp_path: Path
) -> None:
    async with opened() as supervisor:
        await supervisor.create_job(job("a", autostart=True))
        await until(lambda: supervisor.running == 1)
        store = Store(tmp_path / "jobs.db")
        await store.open()

        async def is_noted() -> bool:
            return list(await store.load("program")) == ["a"]

        await eventually(is_noted)
        await store.close()
    stray = await trio.lowlevel.open_process(["sleep", "100"], start_new_session=True)
    identity = identify(stray.pid)
    assert identity is not None
    store = Store(tmp_path / "jobs.db")
    await store.open()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(store.run)
        await store.put("program", "a", encode_identity(identity))
        nursery.cancel_scope.cancel()
    await store.close()
    async with opened():
        with trio.fail_after(60):
            assert await stray.wait() == -signal.SIGKILL
