"""All jobs of a server: kept, started, changed and ended.

Every change is on the disk before it is acknowledged and before it takes effect, and
changes of one job come one after the other. Changes of different jobs do not wait for
each other, a job that will not stop included.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

import attrs
import trio

from penstock import log
from penstock.control.jobs import JobCommand, JobView

from .addresses import Access
from .child import Spawner
from .command_line import arguments
from .errors import JobError, JobErrorCode
from .job import Job
from .locks import NameLocks
from .metadata import encode_value, with_value
from .placeholders import Places, expand
from .probe_output import ProbeResult
from .probing import probe
from .program import Judge, ask_skills
from .program_notes import ProgramNotes
from .records import JobRecord, RecordError, decode_record, encode_record
from .references import referenced
from .resolve import prepare, writes_files
from .run_log import RunHistory, RunLog
from .skills import FFmpegSkills
from .spec import JobOutput, JobSpec
from .state import Exec, JobState, Order
from .store import Store, StoreError

__all__ = ["JobPolicy", "Supervisor"]

_JOB: Final = "job"
_METADATA: Final = "metadata"
_END_S: Final = 7.0
"""A program has ended by then: 5 s until it is killed, and what follows."""
_PROBES: Final = 4
_AT_ONCE: Final = 10
"""Jobs that are resolved between two chances for others to run."""
_SLICE: Final = 500
"""Jobs that are looked at between two such chances."""
_VIEW: Final = 4
"""Further looks that the view of a job counts for."""


@attrs.frozen
class JobPolicy:
    """What jobs of this server may do, and how they are run."""

    places: Places
    """What placeholders stand for."""
    access: Access
    """What may be read and written."""
    program: str
    """Path of FFmpeg."""
    folder: Path
    """Where programs run: the root of the disk's file system."""
    max_jobs: int = 10_000
    """Jobs that are kept."""
    max_running: int = 0
    """Jobs that may be ordered to run; 0 for any number."""
    log_lines: int = 50
    """Lines kept of a run."""
    log_runs: int = 3
    """Runs kept of a job."""


@attrs.define(eq=False)
class _Entry:
    """One job, with what it is at present."""

    record: JobRecord
    history: RunHistory
    outputs: tuple[JobOutput, ...] = ()
    """With placeholders replaced: what other jobs refer to."""
    reads_from: frozenset[str] = frozenset()
    """Ids of the jobs that it refers to."""
    resolved: JobSpec | None = None
    problem: str = ""
    job: Job | None = None
    scope: trio.CancelScope | None = None
    since: float = attrs.field(factory=trio.current_time)
    """When `problem` arose."""

    @property
    def id(self) -> str:
        return self.record.spec.id

    def view(self, *, state: bool, report: bool) -> JobView:
        record = self.record
        history = self.history
        return JobView(
            record.spec,
            record.created_at,
            record.updated_at,
            record.metadata,
            self._state() if state else None,
            history.current.report() if report else None,
            history.past if report else (),
            self.problem,
        )

    def _state(self) -> JobState:
        if self.job is not None:
            return self.job.state()
        return JobState(
            self.record.order,
            Exec.FAILED,
            trio.current_time() - self.since,
            None,
            self.problem,
        )


class Supervisor:
    """All jobs of one server; `penstock.control.jobs.JobControl` says what it does.

    `open` first, then `run` for as long as jobs shall live.

    Args:
        store: Where jobs are kept; it must be open and running.
        policy: What jobs may do; `take_policy` replaces it.
        on_deleted: Told of a job that was deleted, with its placeholders replaced.
        wall: Gives Unix time.
    """

    def __init__(
        self,
        store: Store,
        policy: JobPolicy,
        *,
        on_deleted: Callable[[JobSpec], Awaitable[None]] | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.policy = policy
        self._store = store
        self.on_deleted = on_deleted
        self._wall = wall
        self.ends: Counter[Exec] = Counter()
        """Runs that have ended, by how."""
        self._spawner = Spawner()
        self._entries: dict[str, _Entry] = {}
        self._metadata: dict[str, Any] = {}
        self._locks = NameLocks()
        self._nursery: trio.Nursery | None = None
        self._is_stopping = False
        self._probes = trio.CapacityLimiter(_PROBES)
        self._starting: set[str] = set()
        self._skills: FFmpegSkills | None = None
        self._asking = trio.Lock()
        self._judge = Judge()
        self._programs = ProgramNotes(store)

    # -- the whole ---------------------------------------------------------------------

    async def open(self) -> None:
        """Read what is kept, and end what an earlier server has left behind.

        Raises:
            StoreError: What is kept cannot be read.
        """
        await self._programs.end_strays()
        for name, text in (await self._store.load(_METADATA)).items():
            self._metadata[name] = json.loads(text)
        for name, text in (await self._store.load(_JOB)).items():
            try:
                record = decode_record(text)
            except RecordError as error:
                # It stays in the file, for whoever can read it.
                log.error("job not read", job=name, reason=str(error))
                continue
            self._entries[name] = self._make_entry(record)
            await trio.lowlevel.checkpoint()
        for entry in self._entries.values():
            self._resolve(entry)
            if entry.problem:
                log.warning("job cannot run", job=entry.id, reason=entry.problem)
            await trio.lowlevel.checkpoint()

    async def run(
        self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Keep jobs alive until cancelled; then no program is left."""
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                nursery.start_soon(self._programs.run)
                for entry in self._entries.values():
                    self._enliven(entry)
                task_status.started()
                await trio.sleep_forever()
        finally:
            self._nursery = None
            self._spawner.close()

    def take_policy(self, policy: JobPolicy) -> None:
        """Replace the policy, and look at all jobs again.

        Those that stand for something else by it run anew, the others run on.
        """
        before, self.policy = self.policy, policy
        is_new = before.places != policy.places or before.access != policy.access
        if is_new and self._nursery is not None:
            self._nursery.start_soon(self._renew_all, self._nursery)

    async def _renew_all(self, nursery: trio.Nursery) -> None:
        for count, name in enumerate(list(self._entries)):
            nursery.start_soon(self._renew, name)
            # Each takes a while to resolve, and media go on meanwhile.
            if count % _AT_ONCE == 0:
                await trio.lowlevel.checkpoint()

    async def stop(self) -> None:
        """Let all programs end, for 5 s at most; what jobs are ordered is not changed.

        Nothing starts any more.
        """
        self._is_stopping = True
        running = [entry.job for entry in self._entries.values() if entry.job]
        for job in running:
            job.stop()
        with trio.move_on_after(_END_S):
            for job in running:
                await job.wait_stopped()

    @property
    def running(self) -> int:
        """How many programs there are."""
        return sum(
            entry.job is not None and entry.job.exec.is_on
            for entry in self._entries.values()
        )

    def __len__(self) -> int:
        """Return how many jobs there are."""
        return len(self._entries)

    # -- queries -----------------------------------------------------------------------

    async def jobs(
        self,
        chosen: Callable[[JobSpec], bool] | None = None,
        *,
        state: bool = True,
        report: bool = True,
    ) -> list[JobView]:
        """See `JobControl.jobs`."""
        views: list[JobView] = []
        work = 0
        for name in sorted(self._entries):
            work += 1
            entry = self._entries.get(name)
            if entry is not None and (chosen is None or chosen(entry.record.spec)):
                views.append(entry.view(state=state, report=report))
                work += _VIEW
            if work >= _SLICE:
                work = 0
                await trio.lowlevel.checkpoint()
        return views

    async def job(self, job_id: str) -> JobView:
        """See `JobControl.job`."""
        return self._find(job_id).view(state=True, report=True)

    async def probe_job(self, job_id: str) -> ProbeResult:
        """See `JobControl.probe_job`."""
        entry = self._find(job_id)
        resolved = self._prepare(entry.record.spec)
        policy = self.policy
        words = arguments(attrs.evolve(resolved, outputs=()))
        async with self._probes:
            return await probe(self._spawner, policy.program, words, policy.folder)

    async def metadata(self) -> Mapping[str, Any]:
        """See `JobControl.metadata`."""
        return dict(self._metadata)

    async def skills(self, *, again: bool = False) -> FFmpegSkills:
        """See `JobControl.skills`."""
        async with self._asking:
            skills = self._skills
            if skills is None or again:
                problem = await self.program_problem()
                skills = await ask_skills(self.policy.program)
                skills = attrs.evolve(skills, problem=problem)
                # A program that could not be asked may be there the next time.
                self._skills = skills if skills.version.text else None
            return skills

    async def program_problem(self) -> str:
        """Return why jobs cannot run with the FFmpeg of the policy, or ""."""
        return await self._judge.problem(self.policy.program)

    def specs(self) -> list[JobSpec]:
        """Return all jobs, placeholders in their cleanup rules replaced."""
        return [
            attrs.evolve(entry.record.spec, outputs=entry.outputs)
            for entry in self._entries.values()
        ]

    def _find(self, job_id: str) -> _Entry:
        entry = self._entries.get(job_id)
        if entry is None:
            raise JobError(JobErrorCode.UNKNOWN, "unknown process")
        return entry

    # -- changes -----------------------------------------------------------------------

    async def create_job(self, spec: JobSpec) -> JobView:
        """See `JobControl.create_job`."""
        async with self._locks.hold(spec.id):
            self._prepare(spec)
            if spec.id in self._entries:
                raise JobError(JobErrorCode.EXISTS, "process already exists")
            most = self.policy.max_jobs
            if len(self._entries) >= most:
                text = f"max. number of processes ({most}) reached"
                raise JobError(JobErrorCode.LIMIT, text)
            order = Order.START if spec.autostart else Order.STOP
            now = int(self._wall())
            record = JobRecord(spec, order, now, now)
            with self._one_more(record, order):
                await self._keep(record)
                entry = self._entries[spec.id] = self._make_entry(record)
                self._resolve(entry)
                self._enliven(entry)
                self._renew_readers(spec.id)
            return entry.view(state=True, report=True)

    async def update_job(
        self, job_id: str, change: Callable[[JobSpec], JobSpec]
    ) -> JobView:
        """See `JobControl.update_job`."""
        async with self._locks.hold(job_id):
            old = self._find(job_id)
            spec = change(old.record.spec)
            self._prepare(spec)
            if spec.id != job_id and (
                spec.id in self._entries or spec.id in self._locks
            ):
                raise JobError(JobErrorCode.EXISTS, "process already exists")
            if spec.id == job_id:
                return await self._replace(old, spec)
            async with self._locks.hold(spec.id):
                return await self._replace(old, spec)

    async def _replace(self, old: _Entry, spec: JobSpec) -> JobView:
        now = int(self._wall())
        record = attrs.evolve(old.record, spec=spec, created_at=now, updated_at=now)
        await self._keep(record, instead_of=old.id)
        with trio.CancelScope(shield=True):
            await self._end(old)
            entry = self._make_entry(record, old.history.succeeded_by(now))
            self._entries.pop(old.id, None)
            self._entries[spec.id] = entry
            self._resolve(entry)
            self._enliven(entry)
            for name in {old.id, spec.id}:
                self._renew_readers(name)
        return entry.view(state=True, report=True)

    async def delete_job(self, job_id: str) -> None:
        """See `JobControl.delete_job`."""
        async with self._locks.hold(job_id):
            entry = self._find(job_id)
            await self._change([(_JOB, job_id, None)])
            with trio.CancelScope(shield=True):
                await self._end(entry)
                self._entries.pop(job_id, None)
                self._renew_readers(job_id)
                if self.on_deleted is not None:
                    await self.on_deleted(self._expanded(entry.record.spec))

    async def command_job(self, job_id: str, command: JobCommand) -> None:
        """See `JobControl.command_job`."""
        async with self._locks.hold(job_id):
            entry = self._find(job_id)
            if command is JobCommand.RELOAD:
                await self._reload(entry)
            elif command is JobCommand.STOP:
                await self._give_order(entry, Order.STOP)
                if entry.job is not None:
                    entry.job.stop()
                    await entry.job.wait_stopped()
            else:
                await self._start(entry, command)

    async def stop_writers(self, reason: str) -> int:
        """Stop the running jobs that write files; return how many there were.

        Args:
            reason: For their logs.
        """
        writers = [
            entry.id
            for entry in self._entries.values()
            if entry.job is not None
            and entry.job.exec.is_on
            and writes_files(entry.job.spec, self.policy.access)
        ]
        async with trio.open_nursery() as nursery:
            for name in writers:
                nursery.start_soon(self._stop_for, name, reason)
        return len(writers)

    async def _stop_for(self, job_id: str, reason: str) -> None:
        async with self._locks.hold(job_id):
            entry = self._entries.get(job_id)
            if entry is None or entry.job is None:
                return
            job = entry.job
            job.stop(reason)
            try:
                await self._give_order(entry, Order.STOP)
            except JobError as error:
                # It stands still all the same, until the server starts anew.
                log.error("order not kept", job=job_id, reason=error.message)
            await job.wait_stopped()

    async def _start(self, entry: _Entry, command: JobCommand) -> None:
        if entry.problem:
            # What was missing may have come meanwhile.
            self._resolve(entry)
            if entry.problem:
                raise JobError(JobErrorCode.REFERENCE, entry.problem)
            self._enliven(entry)
        if command is JobCommand.RESTART and entry.record.order is Order.STOP:
            return
        with self._one_more(entry.record, Order.START):
            await self._give_order(entry, Order.START)
            if entry.job is None:
                pass
            elif command is JobCommand.RESTART:
                entry.job.restart()
            else:
                entry.job.start()

    async def _reload(self, entry: _Entry) -> None:
        self._prepare(entry.record.spec)
        with trio.CancelScope(shield=True):
            await self._end(entry)
            entry.history = self._new_history(int(self._wall()))
            self._resolve(entry)
            self._enliven(entry)

    async def put_job_metadata(self, job_id: str, key: str, value: object) -> None:
        """See `JobControl.put_job_metadata`."""
        async with self._locks.hold(job_id):
            entry = self._find(job_id)
            metadata = with_value(entry.record.metadata, key, value)
            record = attrs.evolve(entry.record, metadata=metadata)
            await self._keep(record)
            entry.record = record

    async def put_metadata(self, key: str, value: object) -> None:
        """See `JobControl.put_metadata`."""
        with_value(self._metadata, key, value)
        text = None if value is None else encode_value(value)
        await self._change([(_METADATA, key, text)])
        self._metadata = with_value(self._metadata, key, value)

    # -- keeping -----------------------------------------------------------------------

    async def _give_order(self, entry: _Entry, order: Order) -> None:
        if entry.record.order is not order:
            record = attrs.evolve(entry.record, order=order)
            await self._keep(record)
            entry.record = record

    async def _keep(self, record: JobRecord, *, instead_of: str = "") -> None:
        name = record.spec.id
        changes: list[tuple[str, str, str | None]] = [
            (_JOB, name, encode_record(record))
        ]
        if instead_of and instead_of != name:
            changes.insert(0, (_JOB, instead_of, None))
        await self._change(changes)

    async def _change(self, documents: list[tuple[str, str, str | None]]) -> None:
        try:
            # Whoever is cancelled here would not know, and neither would we.
            with trio.CancelScope(shield=True):
                await self._store.change(documents)
        except StoreError as error:
            text = f"it could not be kept: {error}"
            raise JobError(JobErrorCode.NOT_KEPT, text) from error

    def _one_more(self, record: JobRecord, order: Order) -> _Starting:
        """Refuse one job too many; what is being started counts already."""
        name = record.spec.id
        limit = self.policy.max_running
        if order is Order.START and limit:
            ordered = {
                entry.id
                for entry in self._entries.values()
                if entry.record.order is Order.START
            }
            ordered |= self._starting
            if name not in ordered and len(ordered) >= limit:
                text = f"max. number of running processes ({limit}) reached"
                raise JobError(JobErrorCode.LIMIT, text)
        return _Starting(self._starting, name if order is Order.START else "")

    # -- resolving ---------------------------------------------------------------------

    def _expanded(self, spec: JobSpec) -> JobSpec:
        return expand(spec, self.policy.places)

    def _outputs_of(self, job_id: str) -> tuple[JobOutput, ...] | None:
        entry = self._entries.get(job_id)
        return None if entry is None else entry.outputs

    def _prepare(self, spec: JobSpec) -> JobSpec:
        policy = self.policy
        return prepare(spec, policy.places, policy.access, self._outputs_of)

    def _make_entry(
        self, record: JobRecord, history: RunHistory | None = None
    ) -> _Entry:
        entry = _Entry(record, history or self._new_history(record.created_at))
        self._expand(entry)
        return entry

    def _expand(self, entry: _Entry) -> None:
        """Find out what other jobs need to know of a job."""
        try:
            expanded = self._expanded(entry.record.spec)
        except JobError as error:
            entry.problem = error.message
        else:
            entry.outputs = expanded.outputs
            entry.reads_from = referenced(expanded)

    def _new_history(self, at: int) -> RunHistory:
        policy = self.policy
        return RunHistory(RunLog(at, policy.log_lines), policy.log_runs)

    def _resolve(self, entry: _Entry) -> None:
        """Find out what a job is at present, or why it cannot be."""
        try:
            entry.resolved = self._prepare(entry.record.spec)
            entry.problem = ""
        except JobError as error:
            entry.resolved = None
            entry.problem = error.message
            entry.since = trio.current_time()

    def _renew_readers(self, job_id: str) -> None:
        """Look again at the jobs that read what a changed job writes."""
        if self._nursery is None:
            return
        for entry in self._entries.values():
            if job_id in entry.reads_from:
                self._nursery.start_soon(self._renew, entry.id)

    async def _renew(self, job_id: str) -> None:
        async with self._locks.hold(job_id):
            entry = self._entries.get(job_id)
            if entry is None:
                return
            before, problem, outputs = entry.resolved, entry.problem, entry.outputs
            self._expand(entry)
            self._resolve(entry)
            if entry.outputs != outputs:
                self._renew_readers(job_id)
            if entry.resolved == before and entry.problem == problem:
                return
            log.info("job resolved again", job=job_id, problem=entry.problem or None)
            with trio.CancelScope(shield=True):
                await self._end(entry)
                self._enliven(entry)

    # -- life --------------------------------------------------------------------------

    def _enliven(self, entry: _Entry) -> None:
        """Give a job its task, if it can run at all."""
        if entry.resolved is None or entry.job is not None:
            return
        if self._nursery is None or self._is_stopping:
            return
        # Its own wish to start at once was for its creation.
        spec = attrs.evolve(entry.resolved, autostart=entry.record.order is Order.START)
        entry.job = Job(spec, arguments(spec), entry.history, wall=self._wall)
        entry.job.on_program = partial(self._programs.note, entry.id)
        entry.job.judge = self.program_problem
        entry.job.ends = self.ends
        entry.scope = trio.CancelScope()
        self._nursery.start_soon(self._live, entry.job, entry.scope)

    async def _live(self, job: Job, scope: trio.CancelScope) -> None:
        def program() -> str:
            return self.policy.program

        with scope:
            await job.run(self._spawner, program, self.policy.folder)

    async def _end(self, entry: _Entry) -> None:
        """Let a job's program end, and its task."""
        job, scope = entry.job, entry.scope
        entry.job = entry.scope = None
        if job is None or scope is None:
            return
        job.stop()
        await job.wait_stopped()
        scope.cancel()


@attrs.frozen
class _Starting:
    """Counts a job as ordered to run while that is being kept."""

    names: set[str]
    name: str

    def __enter__(self) -> None:
        if self.name:
            self.names.add(self.name)

    def __exit__(self, *_: object) -> None:
        self.names.discard(self.name)
