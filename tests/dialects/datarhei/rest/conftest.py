"""All routes around processes over stubs, spoken to without sockets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import attrs
import httpx
import pytest
import trio

from penstock import log
from penstock.control import (
    Control,
    ControlError,
    LinkView,
    RatesView,
    ServerView,
    SessionView,
    StreamView,
)
from penstock.control.files import Mount
from penstock.control.jobs import (
    Exec,
    JobControl,
    JobError,
    JobErrorCode,
    JobInput,
    JobOutput,
    JobSpec,
    JobState,
    JobView,
    Order,
    Progress,
)
from penstock.control.system import SystemFigures
from penstock.dialects.datarhei.about import about_routes, identify, moment
from penstock.dialects.datarhei.access import AccessGuard
from penstock.dialects.datarhei.answers import Answer, as_json
from penstock.dialects.datarhei.config_base import ConfigFacts, base_document
from penstock.dialects.datarhei.config_routes import config_routes
from penstock.dialects.datarhei.files_routes import files_routes
from penstock.dialects.datarhei.lists import list_routes
from penstock.dialects.datarhei.log_routes import log_routes
from penstock.dialects.datarhei.login import LoginDesk, login_routes
from penstock.dialects.datarhei.metadata_routes import metadata_routes
from penstock.dialects.datarhei.metrics_query import History
from penstock.dialects.datarhei.metrics_routes import Figures, metrics_routes
from penstock.dialects.datarhei.requests import Request
from penstock.dialects.datarhei.session_rows import Row
from penstock.dialects.datarhei.session_sums import SessionLimits
from penstock.dialects.datarhei.sessions import SessionBook, session_routes
from penstock.dialects.datarhei.site import Route, Site
from penstock.dialects.datarhei.widget import widget_routes
from penstock.settings import Settings
from penstock.storage.disk import DiskFileSystem
from penstock.storage.memory import MemoryFileSystem

NOW = 1_795_202_151.25
SECRET = "w4cSGc(rHPNX,*TZ<-JdkNA.eCDjG#>G"

SERVER = ServerView(
    id="d06c26c09add4496809609d9a1ef851d",
    service_id="b" * 32,
    version="0.1.0",
    pid=16731,
    started_at=NOW - 14.778,
    uptime_s=14.778,
    listeners=(),
    sessions=0,
    sessions_total=0,
    session_errors_total=0,
    streams=0,
    bytes_received=0,
    bytes_sent=0,
    loop_stall_s=0.0,
)


def session_view(number: int, **changes: Any) -> SessionView:
    """One publisher over RTMP; ``changes`` replace fields."""
    view = SessionView(
        id=f"{number:08x}" + "0" * 24,
        protocol="rtmp",
        role="publish",
        stream_id="1a" + "0" * 30,
        vhost="default",
        app="live",
        name="foobar.stream",
        extension="",
        address="10.77.0.1",
        port=40_000 + number,
        tc_url="rtmp://10.77.0.1/live",
        page_url="",
        swf_url="",
        user_agent="Lavf",
        parameters="",
        started_at=NOW - 10,
        age_s=10.0,
        bytes_received=10_000_000,
        bytes_sent=4_000,
        rates=RatesView(),
        behind_bytes=0,
        dropped_frames=0,
    )
    return attrs.evolve(view, **changes)


LINK = LinkView(
    rtt_ms=20.5,
    latency_ms=120.0,
    buffer_ms=118.0,
    packets=1_000,
    lost=10,
    retransmitted=9,
    dropped=1,
    bandwidth_bps=50_000_000,
)


def stream_view(app: str, name: str, **changes: Any) -> StreamView:
    """One live stream."""
    view = StreamView(
        id="1a" + "0" * 30,
        vhost="default",
        app=app,
        name=name,
        state="live",
        created_at=NOW,
        live_since=NOW,
        publisher_id=None,
        publisher_active=True,
        tracks=(),
        viewers=0,
        video_frames=0,
        bytes_received=0,
        bytes_sent=0,
        rates=RatesView(),
        bitrate_bps=0,
        tc_url="",
        cache_bytes=0,
        dropped_frames=0,
    )
    return attrs.evolve(view, **changes)


def job_view(job_id: str, reference: str = "", doing: Exec = Exec.RUNNING) -> JobView:
    """One job with one input and one output."""
    spec = JobSpec(
        id=job_id,
        inputs=(JobInput("in", "rtmp://host/live/x?token=hidden"),),
        outputs=(JobOutput("out", "-"),),
        reference=reference,
    )
    state = JobState(
        order=Order.START,
        exec=doing,
        since=4.7,
        reconnect=None,
        last_line="",
        progress=Progress(frame=215, fps=23.625, q=8.0, size_bytes=510 << 10),
        memory=78_471_168,
        cpu=0.03,
        command=("-i", "x"),
    )
    return JobView(spec, int(NOW), int(NOW), {}, state)


@attrs.define
class FakeJobs:
    """The part of `JobControl` that is asked here."""

    views: list[JobView] = attrs.field(factory=list)
    kept: dict[str, Any] = attrs.field(factory=dict)
    error: JobError | None = None

    async def jobs(
        self, chosen: None = None, *, state: bool = True, report: bool = True
    ) -> list[JobView]:
        await trio.lowlevel.checkpoint()
        return self.views

    async def job(self, job_id: str) -> JobView:
        await trio.lowlevel.checkpoint()
        for view in self.views:
            if view.spec.id == job_id:
                return view
        raise JobError(JobErrorCode.UNKNOWN, "unknown process")

    async def metadata(self) -> Mapping[str, Any]:
        await trio.lowlevel.checkpoint()
        return self.kept

    async def put_metadata(self, key: str, value: object) -> None:
        await trio.lowlevel.checkpoint()
        if self.error is not None:
            raise self.error
        if value is None:
            self.kept.pop(key, None)
        else:
            self.kept[key] = value


@attrs.frozen
class Storage:
    disk_dir: str = "/srv/media"
    disk_max_bytes: int = 0
    memory_max_bytes: int = 512 << 20
    memory_purge: bool = False
    memory_username: str = "admin"
    memory_password: str = "s8WGc2WWBmr13ZFJIb"


@attrs.frozen
class Ffmpeg:
    path: str = ""
    input_allow: tuple[str, ...] = ()
    input_block: tuple[str, ...] = ()
    output_allow: tuple[str, ...] = ()
    output_block: tuple[str, ...] = ()
    max_running: int = 0
    log_lines: int = 50
    log_runs: int = 3


@attrs.define
class Section:
    username: str = ""
    password: str = ""
    jwt_secret: str = SECRET
    disable_localhost: bool = False
    read_only: bool = False
    http_allow: tuple[str, ...] = ()
    http_block: tuple[str, ...] = ()
    https_allow: tuple[str, ...] = ()
    https_block: tuple[str, ...] = ()


@attrs.define
class FakeConfiguration:
    """Keeps a document; a reload logs in and out as it says."""

    section: Section
    document: dict[str, Any] = attrs.field(factory=dict)
    reloads: int = 0
    save_error: ControlError | None = None
    reload_error: ControlError | None = None

    async def load(self) -> dict[str, Any]:
        await trio.lowlevel.checkpoint()
        return self.document

    async def save(self, document: Mapping[str, Any]) -> None:
        await trio.lowlevel.checkpoint()
        if self.save_error is not None:
            raise self.save_error
        self.document = dict(document)

    async def reload(self) -> None:
        await trio.lowlevel.checkpoint()
        if self.reload_error is not None:
            raise self.reload_error
        self.reloads += 1
        auth = self.document.get("api", {}).get("auth", {})
        self.section.username = auth.get("username", "")
        self.section.password = auth.get("password", "")


@attrs.define(eq=False)
class World:
    """One server: what is behind the routes, and the routes."""

    control: Any
    jobs: FakeJobs
    section: Section
    configuration: FakeConfiguration
    memory: MemoryFileSystem
    mounts: list[Mount]
    book: SessionBook
    figures: Figures
    site: Site
    clock: list[float]
    """What time it is."""
    base: Callable[[], dict[str, Any]]
    """The operator's configuration."""
    made_password: str = ""
    """Of writes into memory, if nobody has chosen one."""
    limits: SessionLimits = attrs.field(factory=SessionLimits)
    viewers: Callable[[], Iterable[Row]] = lambda: ()
    """Of files, which the core does not know."""
    token: str = ""
    client: str = "10.77.0.9"
    settings: Settings = attrs.field(factory=Settings)
    """The operator's."""

    async def ask(
        self,
        method: str,
        path: str,
        *,
        json: object = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        transport = httpx.ASGITransport(app=self.site, client=(self.client, 40_000))
        sent = dict(headers or {})
        if self.token:
            sent.setdefault("Authorization", f"Bearer {self.token}")
        async with httpx.AsyncClient(
            transport=transport, base_url="http://core:8080"
        ) as client:
            return await client.request(
                method, path, json=json, content=content, headers=sent
            )

    async def get(self, path: str, **headers: str) -> Any:
        answer = await self.ask("GET", path, headers=headers)
        assert answer.status_code == 200, answer.text
        return answer.json()


MakeWorld = Callable[..., World]


@pytest.fixture
def make_world(tmp_path: Path) -> MakeWorld:
    def make(control: Any, **section: Any) -> World:
        clock = [NOW]
        started = [NOW - 3]
        part = Section(**section)
        configuration = FakeConfiguration(part)
        jobs = FakeJobs()
        memory = MemoryFileSystem(clock=lambda: clock[0])
        disk = DiskFileSystem(tmp_path / "disk")
        mounts = [
            Mount("disk", "disk", "/", disk),
            Mount("mem", "mem", "/memfs", memory),
        ]
        identity = identify(SERVER.id, "summer-bush-9567")

        def wall() -> float:
            return clock[0]

        def loaded_at() -> float:
            return started[0] + configuration.reloads

        def own_base() -> dict[str, Any]:
            facts = ConfigFacts(
                settings=made.settings,
                identity=identity,
                created_at=moment(started[0]),
                address="127.0.0.1:8080",
                jwt_secret=SECRET,
                storage=Storage(),
                ffmpeg=Ffmpeg(),
            )
            return base_document(facts)

        def is_read_only() -> bool:
            return part.read_only

        desk = LoginDesk(lambda: part, wall=wall)
        book = SessionBook(
            cast(Control, control),
            others=lambda: made.viewers(),
            limits=lambda: made.limits,
            monotonic=wall,
        )
        system = SystemFigures()
        system.view = attrs.evolve(system.sample(0), cpus=2)
        job_control = cast(JobControl, jobs)
        figures = Figures(
            cast(Control, control),
            job_control,
            system,
            mounts,
            book,
            History(),
            wall=wall,
            monotonic=wall,
        )
        routes = [
            *about_routes(desk, lambda: identity, loaded_at, wall=wall),
            *login_routes(desk),
            *config_routes(
                configuration,
                lambda: made.base(),
                loaded_at,
                is_read_only=is_read_only,
                made_password=lambda: made.made_password,
                wall=wall,
            ),
            *files_routes(mounts, is_read_only=is_read_only, wall=wall),
            *metadata_routes(job_control, is_read_only=is_read_only),
            *log_routes(),
            *metrics_routes(
                figures, lambda: identity.id, is_prometheus=lambda: True, wall=wall
            ),
            *session_routes(book),
            *list_routes(cast(Control, control), wall=wall),
            *widget_routes(job_control, book),
            Route("GET", "/api/v3/process", _no_processes),
        ]
        made = World(
            control,
            jobs,
            part,
            configuration,
            memory,
            mounts,
            book,
            figures,
            Site(routes, desk.guard, admit=AccessGuard(lambda: part)),
            clock,
            own_base,
        )
        return made

    return make


async def _no_processes(request: Request) -> Answer:
    return as_json([])


@pytest.fixture
async def world(make_world: MakeWorld, fake_control: Any) -> World:
    world = make_world(fake_control(SERVER))
    disk = world.mounts[0].file_system
    assert isinstance(disk, DiskFileSystem)
    await disk.start()
    return world


@pytest.fixture
def kept_log() -> Iterator[None]:
    log.keep(3)
    yield
    log.keep(0)


@pytest.fixture
def make_job() -> Callable[..., JobView]:
    return job_view


@pytest.fixture
def make_session() -> Callable[..., SessionView]:
    return session_view


@pytest.fixture
def make_stream() -> Callable[..., StreamView]:
    return stream_view


@pytest.fixture
def link() -> LinkView:
    return LINK


@pytest.fixture
def server_view() -> ServerView:
    return SERVER
