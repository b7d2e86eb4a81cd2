"""Figures by query, their history, and all of them for Prometheus."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

import attrs
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.control.files import StorageError
from penstock.control.jobs import Exec, JobView, StreamProgress
from penstock.control.system import CpuView, MemoryView
from penstock.dialects.datarhei.answers import Failure
from penstock.dialects.datarhei.metric_samples import (
    CpuMeter,
    StateMeter,
    job_samples,
    memory_samples,
)
from penstock.dialects.datarhei.metrics_query import (
    CATALOGUE,
    MAX_SERIES,
    History,
    Sample,
    answer_query,
    decode_query,
)
from penstock.dialects.datarhei.prometheus import render
from penstock.jobs.streams import StreamInfo

PATH = "/api/v3/metrics"


async def _query(world: Any, *wanted: Any, **members: int) -> Any:
    answer = await world.ask("POST", PATH, json={**members, "metrics": wanted})
    assert answer.status_code == 200, answer.text
    return answer.json()


def _values(found: Any) -> dict[str, float]:
    return {
        " ".join([one["name"], *(one["labels"] or {}).values()]): one["values"][-1][1]
        for one in found["metrics"]
    }


async def test_the_footer_of_the_page_gets_all_it_asks_for(world: Any) -> None:
    """Both file systems: the reference gives the figures of one alone."""
    await world.ask("PUT", "/api/v3/fs/mem/x", content=b"hello")
    await world.ask("PUT", "/api/v3/fs/disk/y", content=b"hey")
    # It asks for all labels, and looks for its own among them.
    names = ["uptime_uptime", "cpu_ncpu", "cpu_idle", "mem_total", "mem_free"]
    names += ["filesystem_limit", "filesystem_usage", "session_limit"]
    names += ["session_active", "session_txbitrate", "session_maxtxbitrate"]
    found = await _query(world, *({"name": name} for name in names))
    assert found["timerange_sec"] == found["interval_sec"] == 0
    values = _values(found)
    assert values["uptime_uptime"] == 14.778
    assert values["cpu_ncpu"] == 2
    assert 0 <= values["cpu_idle"] <= 100
    assert values["mem_total"] > values["mem_free"] > 0
    assert values["filesystem_usage memfs"] == 5
    assert values["filesystem_usage diskfs"] == 3
    for name in ("limit", "active", "txbitrate", "maxtxbitrate"):
        assert values[f"session_{name} hls"] == 0
    (at, _), *_ = found["metrics"][0]["values"]
    assert at == 1_795_202_151


async def test_every_name_of_the_catalogue_has_figures(
    world: Any, make_job: Callable[..., Any]
) -> None:
    world.jobs.views = [make_job("a")]
    found = await _query(world, *({"name": name} for name in CATALOGUE))
    # One stream a job would need FFmpeg's word of one.
    assert {one["name"] for one in found["metrics"]} == set(CATALOGUE) - {"restream_io"}
    for one in found["metrics"]:
        _, labels = CATALOGUE[one["name"]]
        assert list(one["labels"] or {}) == list(labels)


async def test_labels_are_patterns(world: Any, make_job: Callable[..., Any]) -> None:
    world.jobs.views = [make_job("a1"), make_job("b1", doing=Exec.FAILED)]
    wanted = {
        "name": "restream_process_states",
        "labels": {"processid": "^a", "state": "running|failed"},
    }
    assert _values(await _query(world, wanted)) == {
        "restream_process_states a1 failed": 0,
        "restream_process_states a1 running": 1,
    }
    unknown = {"name": "mem_total", "labels": {"nothing": ".*"}}
    assert (await _query(world, unknown, {"name": "nonsense"}))["metrics"] == []


async def test_an_empty_query_is_none(world: Any) -> None:
    answer = await world.ask("POST", PATH, json={})
    assert answer.json() == {"timerange_sec": 0, "interval_sec": 0, "metrics": []}


@pytest.mark.parametrize(
    "body",
    [
        [],
        None,
        {"metrics": {}},
        {"metrics": [1]},
        {"metrics": [{"name": 1}]},
        {"metrics": [{"name": "mem_total", "labels": [1]}]},
        {"metrics": [{"name": "mem_total", "labels": {"a": 1}}]},
        {"metrics": [{"name": "mem_total", "labels": {"a": "("}}]},
        {"metrics": [{"name": "mem_total", "labels": {"a": "x" * 1_000}}]},
        {"metrics": [{}] * 201},
        {"timerange_sec": "1"},
        {"interval_sec": True},
    ],
)
async def test_another_shape_is_refused(world: Any, body: Any) -> None:
    answer = await world.ask("POST", PATH, json=body)
    assert answer.status_code == 400
    assert answer.json()["message"] == "Invalid JSON"


@pytest.mark.parametrize(
    "pattern",
    [
        "(a+)+$",
        "(a|a)*$",
        "(a|aa)+$",
        "a*a*a*a*$",
        "a?" * 40 + "a" * 40,
        "(a|a)" * 20 + "b",
        "((((a|b|c|d))))" * 3,
        "(?=a)",
        r"(a)\1",
        ".*.*.*x",
        "a*" * 20,
        "a{1,99}{1,99}",
    ],
)
def test_a_pattern_that_would_hold_the_server_up_is_refused(pattern: str) -> None:
    query = {"metrics": [{"name": "disk_total", "labels": {"path": pattern}}]}
    with pytest.raises(Failure):
        decode_query(query)


@pytest.mark.parametrize(
    "pattern", ["hls", "^hls$", ".*hls.*", "hls|rtmp", "^(hls|rtmp)$", "[a-z]+", ""]
)
def test_a_pattern_that_people_write_is_taken(pattern: str) -> None:
    labels = {"collector": pattern}
    query = decode_query({"metrics": [{"name": "session_total", "labels": labels}]})
    assert query.picks(Sample("session_total", 1, (("collector", "hls"),)))


def test_many_patterns_may_not_cost_much_together() -> None:
    one = {"name": "session_total", "labels": {"collector": ".*hls.*"}}
    decode_query({"metrics": [one] * 4})
    with pytest.raises(Failure):
        decode_query({"metrics": [one] * 5})


@pytest.mark.slow
@settings(max_examples=300)
@given(st.text(alphabet="a|()*+?{}[]^$.\\1,b-", max_size=40))
def test_no_pattern_that_is_taken_costs_much(pattern: str) -> None:
    body = {"metrics": [{"name": "disk_total", "labels": {"path": pattern}}]}
    try:
        query = decode_query(body)
    except Failure:
        return
    began = time.thread_time()
    query.picks(Sample("disk_total", 1, (("path", "a" * 5_000),)))
    assert time.thread_time() - began < 1


# -- history --------------------------------------------------------------------------

MEMORY = decode_query({"timerange_sec": 6, "metrics": [{"name": "mem_free"}]})


async def test_history_keeps_its_range() -> None:
    history = History(range_s=10, interval_s=2)
    for second in range(0, 40, 2):
        history.add(Sample("mem_free", second), 1_000 + second)
        history.add(Sample("mem_total", 5), 1_000 + second)
    found = await history.answer(MEMORY, 1_038)
    assert (found["timerange_sec"], found["interval_sec"]) == (10, 2)
    assert found["metrics"] == [
        {
            "name": "mem_free",
            "labels": None,
            "values": [[1_032, 32], [1_034, 34], [1_036, 36], [1_038, 38]],
        }
    ]
    whole = decode_query({"timerange_sec": 999, "metrics": [{"name": "mem_free"}]})
    (series,) = (await history.answer(whole, 1_038))["metrics"]
    assert [value for _, value in series["values"]] == [30, 32, 34, 36, 38]


async def test_history_of_what_has_gone_is_forgotten() -> None:
    history = History(range_s=10, interval_s=2)
    history.add(Sample("mem_free", 1), 1_000)
    history.forget(1_010)
    assert (await history.answer(MEMORY, 1_004))["metrics"]
    history.forget(1_011)
    assert not (await history.answer(MEMORY, 1_004))["metrics"]


async def test_history_is_bounded() -> None:
    history = History()
    for number in range(MAX_SERIES + 10):
        history.add(Sample("net_rx", 1, (("interface", str(number)),)), 1_000)
    query = decode_query({"timerange_sec": 9, "metrics": [{"name": "net_rx"}]})
    assert len((await history.answer(query, 1_000))["metrics"]) == MAX_SERIES


async def test_what_was_kept_is_answered(world: Any) -> None:
    for _ in range(5):
        await world.figures.keep()
        world.clock[0] += 2
    found = await _query(world, {"name": "uptime_uptime"}, timerange_sec=60)
    assert (found["timerange_sec"], found["interval_sec"]) == (300, 2)
    (series,) = found["metrics"]
    assert [at - 1_795_202_151 for at, _ in series["values"]] == [0, 2, 4, 6, 8]


# -- where figures come from ----------------------------------------------------------


def _cpu(user: int, system: int, idle: int, wait: int) -> CpuView:
    return CpuView(True, 0.0, 0.0, (user, 0, system, idle, wait, 0, 0, 0, 0))


def test_shares_of_the_processors_are_of_the_last_period() -> None:
    meter = CpuMeter()
    meter.samples(_cpu(100, 100, 100, 100))
    for _ in range(2):
        found = meter.samples(_cpu(110, 130, 150, 110))
        assert {one.name: one.value for one in found} == {
            "cpu_user": 10,
            "cpu_system": 30,
            "cpu_idle": 50,
            "cpu_other": 10,
        }


def test_no_time_is_no_share() -> None:
    found = CpuMeter().samples(CpuView())
    assert {one.value for one in found} == {0}


def test_memory_that_caches_could_give_back_is_free() -> None:
    memory = MemoryView(True, 0.0, total=100, free=20, buffers=10, cached=30)
    assert memory_samples(memory) == [
        Sample("mem_free", 60 << 10),
        Sample("mem_total", 100 << 10),
    ]


def test_changes_of_state_are_counted(make_job: Callable[..., Any]) -> None:
    meter = StateMeter()
    for doing in (Exec.FINISHED, Exec.RUNNING, Exec.RUNNING, Exec.FAILED, Exec.RUNNING):
        found = meter.samples([make_job("a", doing=doing)])
    counts = {one.labels[0][1]: one.value for one in found}
    assert (counts["running"], counts["failed"], counts["finished"]) == (2, 1, 0)


async def test_figures_of_jobs(world: Any, make_job: Callable[..., Any]) -> None:
    world.jobs.views = [make_job("a"), make_job("b", doing=Exec.FINISHED)]
    values = _values(
        await _query(world, {"name": "restream_process"}, {"name": "restream_state"})
    )
    assert values["restream_state running"] == 1
    assert values["restream_state finished"] == 1
    assert values["restream_process a running start frame"] == 215
    assert values["restream_process a running start uptime"] == 4.7
    assert values["restream_process a running start cpu"] == 3
    assert values["restream_process b finished start uptime"] == 0


async def test_one_broken_file_system_leaves_the_others_figures(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*args: object) -> None:
        await trio.lowlevel.checkpoint()
        raise StorageError("broken")

    monkeypatch.setattr(type(world.memory), "usage", refuse)
    found = await _query(world, {"name": "filesystem_files"})
    assert [one["labels"] for one in found["metrics"]] == [{"name": "diskfs"}]


# -- Prometheus -----------------------------------------------------------------------

_LINE = re.compile(r'[a-z_]+\{core="[^"]+"(,[a-z]+="([^"\\\n]|\\.)*")*\} -?[0-9.e+-]+')


async def test_prometheus_gets_the_names_that_dashboards_know(
    world: Any, make_job: Callable[..., Any]
) -> None:
    world.jobs.views = [make_job("a")]
    answer = await world.ask("GET", "/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = answer.text.splitlines()
    series = [line for line in lines if line[0] != "#"]
    assert all(_LINE.fullmatch(line) for line in series)
    names = {line.partition("{")[0] for line in series}
    assert names == {
        *("uptime_seconds", "mem_total_bytes", "mem_free_bytes"),
        *(f"cpu_{kind}_time_percent" for kind in ("system", "user", "idle", "other")),
        *("net_rx_bytes", "net_tx_bytes", "disk_total_bytes", "disk_usage_bytes"),
        *("filesystem_limit_bytes", "filesystem_usage_bytes", "filesystem_files"),
        *("ffmpeg_process", "ffmpeg_process_states"),
        *("ffmpeg_states", "ffmpeg_states_total"),
        *("session_total", "session_active", "session_rx_bytes", "session_tx_bytes"),
    }
    for name in names:
        assert sum(line.startswith(f"# HELP {name} ") for line in lines) == 1
        assert sum(line.startswith(f"# TYPE {name} ") for line in lines) == 1
    core = "d06c26c0-9add-4496-8096-09d9a1ef851d"
    assert f'uptime_seconds{{core="{core}"}} 14.778' in lines


def test_labels_cannot_forge_a_line() -> None:
    sample = Sample("net_rx", 1, (("interface", 'a"} 2\nforged{x="\\'),))
    text = render([sample], "core")
    assert text.splitlines()[2:] == [
        'net_rx_bytes{core="core",interface="a\\"} 2\\nforged{x=\\"\\\\"} 1'
    ]


def test_addresses_of_streams_stay_secret(make_job: Callable[..., Any]) -> None:
    job: JobView = make_job("a")
    assert job.state is not None
    info = _stream_info()
    progress = attrs.evolve(
        job.state.progress, inputs=(StreamProgress(info, frame=3, fps=25.0),)
    )
    job = attrs.evolve(job, state=attrs.evolve(job.state, progress=progress))
    samples = [one for one in job_samples(job) if one.name == "restream_io"]
    assert {one.labels[-1][1]: one.value for one in samples} == {
        "frame": 3,
        "fps": 25,
        "q": 0,
    }
    labels = dict(samples[0].labels)
    assert tuple(labels) == CATALOGUE["restream_io"][1]
    assert labels["id"] == "in"
    assert "hidden" not in str(samples)
    assert "address" not in render(samples, "core")


def _stream_info() -> Any:
    return StreamInfo(index=0, stream=0, kind="video", codec="h264")


async def test_a_query_picks_by_name_and_labels() -> None:
    query = decode_query({"metrics": [{"name": "disk_total", "labels": None}]})
    samples = [Sample("disk_total", 1.23456, (("path", "/"),)), Sample("mem_free", 1)]
    found = await answer_query(query, samples, 5.5)
    assert found["metrics"] == [
        {"name": "disk_total", "labels": {"path": "/"}, "values": [[5, 1.235]]}
    ]
