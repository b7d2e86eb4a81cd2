"""Paging, single objects, kick-off, raw, clusters and metrics."""

from __future__ import annotations

import json
from typing import Any

import attrs
import httpx
import pytest

from penstock.control import Invalid
from penstock.settings import SrsApiSettings


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", range(10)),
        ("?count=1", range(1)),
        ("?count=0", range(1)),
        ("?count=-3", range(1)),
        ("?count=abc", range(1)),
        ("?count=", range(10)),
        ("?start=5&count=3", range(5, 8)),
        ("?start=5;count=3", range(5, 8)),
        ("?start=5,count=3", range(5, 8)),
        ("?start=-1&count=2", range(2)),
        ("?start=20&count=10", range(20, 25)),
        ("?start=25", range(0)),
        ("?start=3x&count=1", range(3, 4)),
        ("?count=100000", range(25)),
    ],
)
async def test_lists_are_paged_as_documented(
    serve: Any,
    fake: Any,
    make_stream: Any,
    make_session: Any,
    query: str,
    expected: range,
) -> None:
    ids = [f"{i:02x}" + "0" * 30 for i in range(25)]
    control = fake(
        [],
        [make_stream(one, f"s{i}") for i, one in enumerate(ids)],
        [make_session(one, "play") for one in ids],
    )
    async with (
        serve(control) as site,
        httpx.AsyncClient(base_url=site.url) as client,
    ):
        streams = (await client.get(f"/api/v1/streams{query}")).json()["streams"]
        assert [entry["name"] for entry in streams] == [f"s{i}" for i in expected]
        clients = (await client.get(f"/api/v1/clients/{query}")).json()["clients"]
        names = site.names.clients
        assert [names.engine_id(entry["id"]) for entry in clients] == [
            ids[i] for i in expected
        ]
        assert [e["id"] for e in clients] == sorted(e["id"] for e in clients)


async def test_connections_that_have_not_said_what_they_want_are_not_listed(
    serve: Any, busy: Any, make_session: Any
) -> None:
    control = busy()
    control.session_views.append(make_session("ff" * 16, "connect"))
    async with (
        serve(control) as site,
        httpx.AsyncClient(base_url=site.url) as client,
    ):
        listed = (await client.get("/api/v1/clients/")).json()["clients"]
        assert [entry["type"] for entry in listed] == [
            "fmle-publish",
            "flv-play",
            "rtmp-play",
        ]


async def test_the_walk_from_a_stream_to_kicking_its_publisher(serve: Any) -> None:
    async with serve() as site, httpx.AsyncClient(base_url=site.url) as client:
        (stream,) = (await client.get("/api/v1/streams")).json()["streams"]
        shown = (await client.get(f"/api/v1/streams/{stream['id']}")).json()["stream"]
        assert shown["publish"] == stream["publish"]
        (vhost,) = (await client.get("/api/v1/vhosts")).json()["vhosts"]
        assert vhost["id"] == stream["vhost"]
        path = f"/api/v1/clients/{stream['publish']['cid']}"
        assert (await client.get(path)).json()["client"]["publish"] is True
        for _ in range(2):
            answer = (await client.delete(path)).json()
            assert list(answer) == ["code", "server", "service", "pid"]
        site.control.vanish()
        assert (await client.delete(path)).json() == {"code": 2049}
        assert (await client.get(path)).json() == {"code": 2049}


async def test_an_id_told_by_a_hook_is_known_before_anybody_lists(
    serve: Any, busy: Any
) -> None:
    control = busy()
    async with (
        serve(control) as site,
        httpx.AsyncClient(base_url=site.url) as client,
    ):
        told = site.names.clients.name_of(control.session_views[0].id)
        site.names.clients.forget(control.session_views[0].id)
        answer = (await client.get(f"/api/v1/clients/{told}")).json()
        assert answer["client"]["id"] == told


async def test_names_of_what_is_gone_are_forgotten_by_listing(
    serve: Any, fake: Any, make_stream: Any
) -> None:
    control = fake([], [make_stream(f"{i:032x}") for i in range(50)], [])
    async with (
        serve(control) as site,
        httpx.AsyncClient(base_url=site.url) as client,
    ):
        await client.get("/api/v1/streams?count=50")
        assert len(site.names.streams) == 50
        control.stream_views = control.stream_views[:3]
        await client.get("/api/v1/streams?count=50")
        assert len(site.names.streams) == 3


async def test_a_vhost_is_found_by_id_and_by_name(serve: Any) -> None:
    async with serve() as site, httpx.AsyncClient(base_url=site.url) as client:
        by_name = await client.get("/api/v1/vhosts/__defaultVhost__")
        vhost = by_name.json()["vhost"]
        by_id = await client.get(f"/api/v1/vhosts/{vhost['id']}")
        assert by_id.json() == by_name.json()


async def test_raw_shows_the_api_and_refuses_all_else_while_off(serve: Any) -> None:
    async with serve() as site, httpx.AsyncClient(base_url=site.url) as client:
        for rpc in ("reload", "reload-fetch", "query", "update", ""):
            answer = await client.get(f"/api/v1/raw?rpc={rpc}")
            assert answer.json() == {"code": 1061}
        answer = (await client.get("/api/v1/raw?rpc=raw")).json()
        assert answer["http_api"]["enabled"] is True
        assert site.control.reloads == 0


async def test_raw_reloads_where_that_is_allowed(serve: Any) -> None:
    settings = SrsApiSettings(raw_api=True, allow_reload=True)
    async with (
        serve(settings=settings) as site,
        httpx.AsyncClient(base_url=site.url) as client,
    ):
        fetch = "/api/v1/raw?rpc=reload-fetch"
        before = (await client.get(fetch)).json()["data"]
        assert before == {"err": 0, "msg": "Success", "state": 0, "rid": ""}
        assert (await client.get("/api/v1/raw?rpc=reload")).json() == {"code": 0}
        after = (await client.get(fetch)).json()["data"]
        assert (after["err"], after["state"], len(after["rid"])) == (0, 90, 7)
        site.control.reload_error = Invalid("a.toml: no such key")
        assert (await client.get("/api/v1/raw?rpc=reload")).json() == {"code": 0}
        failed = (await client.get(fetch)).json()["data"]
        assert (failed["err"], failed["msg"]) == (1023, "a.toml: no such key")
        assert failed["rid"] != after["rid"]
        assert site.control.reloads == 2
        for rpc in ("", "query", "update", "nonsense"):
            answer = await client.get(f"/api/v1/raw?rpc={rpc}")
            assert answer.json() == {"code": 1060}


async def test_raw_without_allow_reload_does_not_reload(serve: Any) -> None:
    async with (
        serve(settings=SrsApiSettings(raw_api=True)) as site,
        httpx.AsyncClient(base_url=site.url) as client,
    ):
        answer = await client.get("/api/v1/raw?rpc=reload")
        assert answer.json() == {"code": 1061}
        assert site.control.reloads == 0


async def test_clusters_say_who_has_a_stream(serve: Any) -> None:
    path = "/api/v1/clusters?vhost=__defaultVhost__&ip=1.2.3.4&app=live&stream="
    async with serve() as site, httpx.AsyncClient(base_url=site.url) as client:
        origin = (await client.get(f"{path}livestream")).json()["data"]["origin"]
        assert origin["port"] == 1935
        assert f"http://{origin['api']}" == site.url
        assert origin["routers"] == [origin["api"]]
        answer = (await client.get(f"{path}other")).json()["data"]
        assert answer["origin"] is None
        assert answer["query"]["stream"] == "other"


async def test_metrics_use_the_names_of_srs(serve: Any) -> None:
    async with (
        serve(settings=SrsApiSettings(metrics=True)) as site,
        httpx.AsyncClient(base_url=site.url) as client,
    ):
        answer = await client.get("/metrics")
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        lines = answer.text.splitlines()
        samples = [line for line in lines if not line.startswith("#")]
        assert [line.partition(" ")[0].partition("{")[0] for line in samples] == [
            "srs_node_uname_info",
            "srs_build_info",
            "srs_cpu_percent",
            "srs_memory",
            "srs_send_bytes_total",
            "srs_receive_bytes_total",
            "srs_streams",
            "srs_clients",
            "srs_clients_total",
            "srs_clients_errs_total",
        ]
        assert "srs_clients 3" in samples
        assert len([line for line in lines if line.startswith("# TYPE")]) == 10
        assert await site.api.exposition() == answer.content


async def test_metrics_that_are_off_add_nothing_to_the_exporter(serve: Any) -> None:
    async with serve() as site:
        assert await site.api.exposition() == b""


async def test_a_view_with_hostile_texts_is_still_json(
    serve: Any, fake: Any, make_stream: Any
) -> None:
    name = '"</script>\x00\n\ud800é'
    view = attrs.evolve(make_stream(), name=name, tc_url='rtmp://"\\')
    async with (
        serve(fake([], [view], [])) as site,
        httpx.AsyncClient(base_url=site.url) as client,
    ):
        answer = await client.get("/api/v1/streams")
        (entry,) = json.loads(answer.content)["streams"]
        assert entry["name"] == name.replace("\ud800", "?")
        assert entry["tcUrl"] == 'rtmp://"\\'


async def test_the_host_may_be_overridden_by_the_query(serve: Any) -> None:
    async with serve() as site, httpx.AsyncClient(base_url=site.url) as client:
        answer = await client.get("/api/v1/tests/requests?vhost=my.host&x=1")
        assert answer.json()["data"]["uri"] == "http://my.host/api/v1/tests/requests"
        answer = await client.get("/api/v1/requests")
        assert answer.json()["data"]["uri"] == "http://127.0.0.1/api/v1/requests"
