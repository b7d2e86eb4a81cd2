"""Jobs through the page's API, over a supervisor whose program is a shell's script."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
from quart_trio import QuartTrio

from penstock.config.address import Address
from penstock.control.jobs import JobInput, JobOutput, JobSpec
from penstock.jobs.addresses import Access
from penstock.jobs.placeholders import Places, RtmpPlace, SrtPlace
from penstock.jobs.store import Store
from penstock.jobs.supervisor import JobPolicy, Supervisor
from penstock.settings import AdminSettings, Settings
from penstock.web import create_app

# What FFmpeg prints of an input that takes a while, secrets in its address.
PRINTS = """
trap 'exit 255' INT
cat >&2 <<'END'
Input #0, flv, from 'rtmp://cam.example/live/key?token=hunter2':
  Duration: 00:01:40.00, start: 0.000000, bitrate: 1000 kb/s
  Stream #0:0: Video: h264 (High), yuv420p, 640x360, 25 fps
Output #0, flv, to 'http://admin:hunter2@127.0.0.1/memfs/x':
frame=  250 fps= 25 q=-1.0 size=    1024kB time=00:00:10.00 bitrate= 838kbits/s speed=1x
END
while :; do sleep 0.05; done
"""
JOBS = "/penstock/v1/jobs"
JOB = "/penstock/v1/job"
TEMPLATES = "/penstock/v1/job-templates"
Open = Callable[..., AbstractAsyncContextManager["Site"]]


@attrs.define
class Site:
    """An app with its jobs; asked from this machine, unless told otherwise."""

    app: QuartTrio
    jobs: Supervisor | None = None

    async def ask(
        self,
        path: str,
        method: str = "GET",
        *,
        address: str = "127.0.0.1",
        host: str = "localhost:8000",
        headers: dict[str, str] | None = None,
        **arguments: Any,
    ) -> Any:
        return await self.app.test_client(use_cookies=False).open(
            path,
            method=method,
            headers={"Host": host, **(headers or {})},
            scope_base={"client": (address, 1234)},
            **arguments,
        )

    async def read(self, path: str, **query: str) -> dict[str, Any]:
        answer = await self.ask(path, query_string=query)
        assert answer.status_code == 200, await answer.get_data()
        told = await answer.get_json()
        assert isinstance(told, dict)
        return told

    async def tell(self, job_id: str, command: str) -> Any:
        return await self.ask(
            f"{JOB}/command",
            "POST",
            query_string={"id": job_id},
            json={"command": command},
        )

    async def wait_for(
        self, job_id: str, condition: Callable[[dict[str, Any]], object]
    ) -> dict[str, Any]:
        with trio.fail_after(60):
            while True:
                told = await self.read(JOB, id=job_id)
                if condition(told):
                    return told
                await trio.sleep(0.01)


def runs(told: dict[str, Any]) -> bool:
    return bool(told["state"] == "running")


@pytest.fixture
def opened(tmp_path: Path, stand_in: Callable[[str], Path], fake_control: Any) -> Open:
    """Run an app over a supervisor of its own."""

    @asynccontextmanager
    async def run(script: str = PRINTS, **policy: Any) -> AsyncIterator[Site]:
        program = stand_in(script)
        places = Places(
            str(tmp_path),
            RtmpPlace(Address("127.0.0.1", 1935), "/live", "hunter2"),
            SrtPlace(Address("127.0.0.1", 6000)),
            {"mem": "http://admin:hunter2@127.0.0.1:8080/memfs"},
        )
        access = Access(str(tmp_path), os.path.realpath)
        store = Store(":memory:")
        await store.open()
        jobs = Supervisor(
            store, JobPolicy(places, access, str(program), tmp_path, **policy)
        )
        app = create_app(
            fake_control(None),
            lambda: Settings(admin=AdminSettings(password="geheim")),
            jobs=jobs,
        )
        async with trio.open_nursery() as nursery:
            nursery.start_soon(store.run)
            await jobs.open()
            await nursery.start(jobs.run)
            yield Site(app, jobs)
            await jobs.stop()
            nursery.cancel_scope.cancel()
        await store.close()

    return run


def order(id_: str = "a", **wishes: Any) -> dict[str, Any]:
    return {
        "id": id_,
        "inputs": [
            {"id": "in", "address": "rtmp://cam.example/live/key?token=hunter2"}
        ],
        "outputs": [
            {"id": "out", "address": "{rtmp,name=x}", "options": ["-f", "flv"]}
        ],
        **wishes,
    }


PICTURE = {"template": "picture", "fields": {"name": "demo"}}


async def test_a_job_of_a_template_runs_is_told_what_to_do_and_goes(
    opened: Open,
) -> None:
    async with opened() as site:
        answer = await site.ask(JOBS, "POST", json=PICTURE)
        assert answer.status_code == 201
        assert (await answer.get_json())["id"] == "picture-demo"
        running = await site.wait_for("picture-demo", runs)
        assert running["order"] == "start"
        assert "testsrc2=size=1280x720:rate=30" in running["command_line"]
        assert (await site.tell("picture-demo", "restart")).status_code == 200
        await site.wait_for("picture-demo", runs)
        stopped = await site.tell("picture-demo", "stop")
        assert (await stopped.get_json())["order"] == "stop"
        assert (await site.read(JOB, id="picture-demo"))["state"] != "running"
        assert (await site.tell("picture-demo", "start")).status_code == 200
        await site.wait_for("picture-demo", runs)
        gone = await site.ask(JOB, "DELETE", query_string={"id": "picture-demo"})
        assert gone.status_code == 200
        assert (await site.read(JOBS))["jobs"] == []


async def test_a_list_tells_how_far_each_job_is(opened: Open) -> None:
    async with opened() as site:
        await site.ask(JOBS, "POST", json=order(reference="cam"))
        await site.wait_for("a", lambda told: told["progress"]["frames"])
        (listed,) = (await site.read(JOBS))["jobs"]
        assert listed["id"] == "a"
        assert listed["reference"] == "cam"
        assert (listed["order"], listed["state"]) == ("start", "running")
        assert listed["reconnect_s"] is None
        progress = listed["progress"]
        assert (progress["frames"], progress["time_s"]) == (250, 10.0)
        assert progress["duration_s"] == 100.0
        assert progress["size_bytes"] == 1024 << 10
        assert progress["speed"] == 1.0
        assert {"cpu", "memory_bytes", "last_line", "problem", "seconds"} <= set(listed)
        assert "log" not in listed


async def test_secrets_of_addresses_are_shown_to_nobody(opened: Open) -> None:
    async with opened() as site:
        hls = {"source": "demo", "hls": True}
        for body in (
            order(options=["-headers", "Authorization: hunter2"]),
            order(
                "b",
                outputs=[
                    {"id": "o", "address": "srt://x.example:1?passphrase=hunter2"}
                ],
            ),
            {"template": "transcode", "fields": hls},
        ):
            answer = await site.ask(JOBS, "POST", json=body)
            assert answer.status_code == 201, await answer.get_data()
            assert b"hunter2" not in await answer.get_data()
        shown = ""
        for job_id in ("a", "b", "transcode-demo"):
            shown += str(
                await site.wait_for(job_id, lambda told: len(told["log"]) >= 4)
            )
        shown += str(await site.read(JOBS))
        assert "hunter2" not in shown
        # The last part of another server's RTMP address is a stream key.
        assert "live/key" not in shown
        # Our own streams' names are no secret.
        assert "rtmp://127.0.0.1:1935/live/x?token=***" in shown
        assert "rtmp://127.0.0.1:1935/live/demo_360p?token=***" in shown


@pytest.mark.parametrize("job_id", ["a/b//c", "/", "..", "x/whip", "ü &?#%2F", "."])
async def test_an_id_may_be_anything(opened: Open, job_id: str) -> None:
    async with opened() as site:
        answer = await site.ask(JOBS, "POST", json=order(job_id, autostart=False))
        assert answer.status_code == 201
        assert (await site.read(JOB, id=job_id))["id"] == job_id
        assert (await site.tell(job_id, "stop")).status_code == 200
        gone = await site.ask(JOB, "DELETE", query_string={"id": job_id})
        assert gone.status_code == 200


async def test_another_origin_changes_nothing_whatever_the_id(opened: Open) -> None:
    async with opened() as site:
        await site.ask(JOBS, "POST", json=order("x/whip", autostart=False))
        answer = await site.ask(
            JOB,
            "DELETE",
            query_string={"id": "x/whip"},
            headers={"Origin": "https://evil.example"},
        )
        assert answer.status_code == 403
        assert (await site.read(JOBS))["total"] == 1


async def test_a_job_that_names_no_id_gets_one(opened: Open) -> None:
    async with opened() as site:
        ids = set()
        for _ in range(2):
            answer = await site.ask(JOBS, "POST", json=order("", autostart=False))
            ids.add((await answer.get_json())["id"])
        assert len(ids) == 2
        assert all(len(one) == 22 for one in ids)


async def test_a_job_in_full_is_kept_as_it_was_given(opened: Open) -> None:
    rule = {
        "pattern": "mem:/x/*",
        "max_files": 3,
        "max_file_age": 60,
        "purge_on_delete": True,
    }
    body = {
        **order(reference="r", options=["-hide_banner"], reconnect=True),
        "reconnect_delay": 7,
        "autostart": False,
        "stale_timeout": 9,
        "limits": {"cpu_percent": 50, "memory": 100, "wait_for": 5},
        "outputs": [{"id": "o", "address": "{memfs}/x", "cleanup": [rule]}],
    }
    async with opened() as site:
        assert site.jobs is not None
        assert (await site.ask(JOBS, "POST", json=body)).status_code == 201
        spec = (await site.jobs.job("a")).spec
        assert spec.options == ("-hide_banner",)
        assert (spec.reconnect, spec.reconnect_delay, spec.stale_timeout) == (
            True,
            7,
            9,
        )
        assert attrs.astuple(spec.limits) == (50.0, 100, 5)
        assert attrs.asdict(spec.outputs[0].cleanup[0]) == rule


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"", "The body is no JSON."),
        (b"[" * 20_000, "The body is no JSON."),
        (b"\xff", "The body is no JSON."),
        (b"[]", "Expected a job as a JSON object."),
        (b'{"inputs": 1}', "inputs is a list."),
        (b'{"inputs": ["x"]}', "Expected an input as a JSON object."),
        (b'{"x": 1}', "'x' is nothing that a job has."),
        (b'{"id": 5}', "id is a text."),
        (b'{"options": ["-y", 1]}', "options is a list of texts."),
        (b'{"reconnect": 1}', "reconnect is true or false."),
        (b'{"reconnect_delay": -1}', "reconnect_delay is a whole number, at least 0."),
        (b'{"stale_timeout": true}', "stale_timeout is a whole number."),
        (b'{"limits": {"cpu_percent": NaN}}', "cpu_percent is a number from 0 to 100."),
        (b'{"id": "a"}', "At least one input must be defined for the job 'a'."),
        (b'{"id": " "}', "An empty ID is not allowed."),
        (
            b'{"id": "a", "inputs": [{"id": "i", "address": "#b:output=o"}]}',
            "Reference error for '#a:i': unknown job 'b' (#b:output=o).",
        ),
    ],
)
async def test_what_is_no_job_is_refused_in_a_sentence(
    opened: Open, body: bytes, sentence: str
) -> None:
    async with opened() as site:
        answer = await site.ask(JOBS, "POST", data=body)
        assert answer.status_code == 400
        assert await answer.get_json() == {"error": sentence}
        assert (await site.read(JOBS))["total"] == 0


async def test_a_huge_body_is_refused(opened: Open) -> None:
    async with opened() as site:
        answer = await site.ask(JOBS, "POST", data=b" " * 70_000)
        assert answer.status_code == 413


async def test_a_job_that_is_taken_unknown_or_too_much_is_refused(
    opened: Open,
) -> None:
    async with opened(max_jobs=1) as site:
        assert (await site.ask(JOBS, "POST", json=PICTURE)).status_code == 201
        for body, sentence in (
            (PICTURE, "A job with that id is there already."),
            (order("b"), "Max. number of jobs (1) reached."),
        ):
            answer = await site.ask(JOBS, "POST", json=body)
            assert answer.status_code == 409
            assert await answer.get_json() == {"error": sentence}
        for answer in (
            await site.ask(JOB, query_string={"id": "x"}),
            await site.ask(JOB, "DELETE", query_string={"id": "x"}),
            await site.tell("x", "start"),
        ):
            assert answer.status_code == 404
            assert await answer.get_json() == {"error": "No job has that id."}
        answer = await site.ask(JOB)
        assert answer.status_code == 400
        answer = await site.tell("picture-demo", "reload")
        assert answer.status_code == 400
        told = await answer.get_json()
        assert told["error"] == "A command is one of start, stop, restart."


async def test_a_job_whose_source_went_says_so(opened: Open) -> None:
    async with opened() as site:
        await site.ask(JOBS, "POST", json=order(autostart=False))
        reads = [{"id": "i", "address": "#a:output=out"}]
        await site.ask(JOBS, "POST", json=order("b", inputs=reads, autostart=False))
        await site.ask(JOB, "DELETE", query_string={"id": "a"})
        told = await site.wait_for("b", lambda told: told["problem"])
        assert told["state"] == "failed"
        # There is no command line of what cannot run, so it is its owner's.
        assert "'{rtmp,name=x}'" in told["command_line"]
        answer = await site.tell("b", "start")
        assert answer.status_code == 400
        assert (await answer.get_json())["error"].startswith("Reference error")


async def test_a_list_comes_in_parts_and_can_be_searched(opened: Open) -> None:
    async with opened() as site:
        assert site.jobs is not None
        for number in range(30):
            await site.jobs.create_job(
                JobSpec(
                    f"job{number:02}",
                    (JobInput("i", "rtmp://x.example/y"),),
                    (JobOutput("o", "rtmp://x.example/z"),),
                    reference="even" if number % 2 == 0 else "Odd",
                    autostart=False,
                )
            )
        told = await site.read(JOBS, count="3", start="1")
        assert [job["id"] for job in told["jobs"]] == ["job01", "job02", "job03"]
        assert (told["total"], told["all"]) == (30, 30)
        told = await site.read(JOBS, filter="odd 2", count="x", start="-1")
        assert [job["id"] for job in told["jobs"]] == [
            f"job{number}" for number in (21, 23, 25, 27, 29)
        ]
        assert (told["total"], told["all"]) == (5, 30)


async def test_a_template_s_fields_are_judged_before_a_job_is_made(
    opened: Open,
) -> None:
    async with opened() as site:
        body = {"template": "pull", "fields": {"name": "a b", "address": "ftp://x"}}
        tried = await site.ask(TEMPLATES, "POST", json=body)
        made = await site.ask(JOBS, "POST", json=body)
        assert (tried.status_code, made.status_code) == (200, 400)
        for answer in (tried, made):
            told = await answer.get_json()
            assert set(told["fields"]) == {"name", "address"}
        tried = await site.ask(TEMPLATES, "POST", json=PICTURE)
        told = await tried.get_json()
        assert told["fields"] == {}
        assert told["command_line"].startswith("ffmpeg -hide_banner -re -f lavfi")
        assert (await site.read(JOBS))["total"] == 0
        await site.ask(JOBS, "POST", json=PICTURE)
        told = await (await site.ask(TEMPLATES, "POST", json=PICTURE)).get_json()
        assert told["fields"] == {"id": "There is a job named picture-demo already."}


async def test_templates_say_what_a_form_needs(opened: Open) -> None:
    async with opened() as site:
        templates = (await site.read(TEMPLATES))["templates"]
        assert [one["name"] for one in templates] == [
            "picture",
            "file",
            "pull",
            "transcode",
        ]
        for template in templates:
            for field in template["fields"]:
                assert field["kind"] in ("text", "choice", "choices", "flag")
                assert field["label"]


ROUTES = [
    ("GET", JOBS),
    ("POST", JOBS),
    ("GET", JOB),
    ("DELETE", JOB),
    ("POST", f"{JOB}/command"),
    ("GET", TEMPLATES),
    ("POST", TEMPLATES),
]


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_strangers_may_neither_see_nor_change_jobs(
    opened: Open, method: str, path: str
) -> None:
    async with opened() as site:
        answer = await site.ask(
            path, method, address="203.0.113.5", host="live.example", json=PICTURE
        )
        assert answer.status_code == 401
        assert site.jobs is not None
        assert len(site.jobs) == 0


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_a_server_without_jobs_says_so(
    fake_control: Any, method: str, path: str
) -> None:
    site = Site(create_app(fake_control(None), Settings))
    answer = await site.ask(path, method, json=PICTURE)
    assert answer.status_code == 404
    assert await answer.get_json() == {"error": "This server runs no jobs."}
