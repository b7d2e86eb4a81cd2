"""The API over real jobs whose program is a script; spoken to without sockets."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import httpx
import pytest
import trio

from penstock.config.address import Address
from penstock.control.jobs import FFmpegSkills, JobControl
from penstock.dialects.datarhei.process_routes import process_routes
from penstock.dialects.datarhei.requests import Request
from penstock.dialects.datarhei.site import Site
from penstock.dialects.datarhei.skills_routes import skills_routes
from penstock.jobs.addresses import Access, AccessList
from penstock.jobs.placeholders import Places, RtmpPlace, SrtPlace
from penstock.jobs.store import Store
from penstock.jobs.supervisor import JobPolicy, Supervisor

ROOT = "/core/data"
SLEEPS = "exec sleep 100"
PLACES = Places(
    ROOT,
    RtmpPlace(Address("127.0.0.1", 24935), "/", "abc"),
    SrtPlace(Address("127.0.0.1", 24600), "abc"),
    {"mem": "http://admin:password@127.0.0.1:24080/memfs"},
)


class Jobs(Supervisor):
    """All that control promises."""

    known: FFmpegSkills = FFmpegSkills()
    asked: list[bool]

    async def skills(self, *, again: bool = False) -> FFmpegSkills:
        self.asked = [*getattr(self, "asked", ()), again]
        return self.known


def _checked(jobs: Jobs) -> JobControl:
    return jobs


@attrs.define
class Api:
    """A client of the API, and what stands behind it."""

    client: httpx.AsyncClient
    jobs: Jobs
    is_read_only: bool = False

    async def ask(
        self, method: str, path: str, body: object = None, **headers: str
    ) -> httpx.Response:
        """Ask for a path below ``/api/v3``; a body is a text, octets or made JSON."""
        content = None
        if body is not None:
            headers.setdefault("content_type", "application/json")
            content = body if isinstance(body, bytes | str) else json.dumps(body)
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.client.request(
            method, f"/api/v3{path}", content=content, headers=fields
        )

    async def get(self, path: str) -> Any:
        """Return what a path answers, which must be a success."""
        answer = await self.ask("GET", path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def make(self, id_: str, **wishes: Any) -> None:
        """Create a process that does nothing by itself."""
        config: dict[str, Any] = {
            "id": id_,
            "input": [{"id": "i", "address": "in"}],
            "output": [{"id": "o", "address": "-"}],
            "autostart": False,
        }
        answer = await self.ask("POST", "/process", config | wishes)
        assert answer.status_code == 200, answer.text


Open = Callable[..., AbstractAsyncContextManager[Api]]


async def _nobody(request: Request) -> None:
    """Everybody may do anything."""


@pytest.fixture(autouse=True)
def sigint_is_somebodys() -> Iterator[None]:
    """Programs ignore what the tests' shell ignores, so let Python take SIGINT."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def opened(tmp_path: Path, stand_in: Callable[[str], Path]) -> Open:
    """Serve the API over jobs; arguments besides those below are of their policy."""

    @asynccontextmanager
    async def run(
        script: str = SLEEPS,
        *,
        program: str = "",
        reads: AccessList = AccessList(),  # noqa: B008 - frozen
        writes: AccessList = AccessList(),  # noqa: B008 - frozen
        database: str = "jobs.db",
        random_bytes: Callable[[int], bytes] = os.urandom,
        **policy: Any,
    ) -> AsyncIterator[Api]:
        path = Path(program) if program else stand_in(script)
        access = Access(ROOT, lambda path: path, reads, writes)
        store = Store(tmp_path / database)
        await store.open()
        jobs = Jobs(store, JobPolicy(PLACES, access, str(path), tmp_path, **policy))
        api = Api(httpx.AsyncClient(), jobs)
        routes = process_routes(
            jobs, is_read_only=lambda: api.is_read_only, random_bytes=random_bytes
        )
        site = Site([*routes, *skills_routes(jobs)], _nobody)
        transport = httpx.ASGITransport(site)
        async with (
            httpx.AsyncClient(transport=transport, base_url="http://core") as client,
            trio.open_nursery() as nursery,
        ):
            api.client = client
            nursery.start_soon(store.run)
            await jobs.open()
            await nursery.start(jobs.run)
            yield api
            await jobs.stop()
            nursery.cancel_scope.cancel()
        await store.close()

    return run
