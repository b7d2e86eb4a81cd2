"""Pure parts: shapes, JSON, names, query, hooks, system figures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.control import HookAction, HookEvent, TrackView
from penstock.control.procfs import (
    parse_cpu_times,
    parse_disk_busy_ms,
    parse_process,
    parse_protocol_table,
    parse_sockets,
)
from penstock.control.system import SystemFigures, masked_arguments
from penstock.dialects.srs import SrsHooks, shapes
from penstock.dialects.srs.encoding import encode
from penstock.dialects.srs.names import IdTable, Names
from penstock.dialects.srs.requests import parse_query


def _video(codec: str, profile: str, level: str) -> TrackView:
    return TrackView(id=0, kind="video", codec=codec, profile=profile, level=level)


@pytest.mark.parametrize(
    ("codec", "profile", "level", "expected"),
    [
        ("h264", "Baseline", "3", ("H264", "Baseline", "3")),
        ("h264", "High 10 Intra", "5.1", ("H264", "High(10+Intra)", "5.1")),
        ("h264", "High 4:2:2", "6.2", ("H264", "High(422)", "Other")),
        ("h264", "Profile 12", "1b", ("H264", "Other", "Other")),
        ("h265", "Main 10", "6.2", ("HEVC", "Main10", "6.2")),
        ("h265", "SCC", "", ("HEVC", "Other", "Other")),
        ("av1", "Main", "4.0", ("AV1", "Other", "Other")),
        ("vp9", "Profile 0", "", ("Other", "Other", "Other")),
    ],
)
def test_video_is_told_in_srs_words(
    make_stream: Any, codec: str, profile: str, level: str, expected: tuple[str, ...]
) -> None:
    view = attrs.evolve(make_stream(), tracks=(_video(codec, profile, level),))
    shown: Any = shapes.stream(view, "vid-x", Names(), 0.0)
    assert tuple(shown["video"].values())[:3] == expected
    assert shown["audio"] is None


def test_audio_shows_the_true_sample_rate_and_channels(make_stream: Any) -> None:
    track = TrackView(
        id=0, kind="audio", codec="aac", profile="HE", sample_rate=48000, channels=6
    )
    view = attrs.evolve(make_stream(), tracks=(track,))
    shown: Any = shapes.stream(view, "vid-x", Names(), 0.0)
    assert shown["audio"] == {
        "codec": "AAC",
        "sample_rate": 48000,
        "channel": 6,
        "profile": "HE",
    }


def test_a_stream_that_was_never_published_has_no_cid(make_stream: Any) -> None:
    view = attrs.evolve(
        make_stream(), publisher_id=None, publisher_active=False, tracks=(), vhost="v.x"
    )
    shown = shapes.stream(view, "vid-x", Names(), 1.5)
    assert shown["publish"] == {"active": False}
    assert (shown["video"], shown["audio"]) == (None, None)
    assert shown["url"] == "v.x/live/livestream"
    assert shown["live_ms"] == 1500


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=20,
    )
)
@settings(max_examples=100, deadline=None)
def test_what_is_encoded_reads_back(value: Any) -> None:
    assert json.loads(encode(value)) == value


def test_numbers_have_two_decimals_and_are_finite() -> None:
    values = [0.0, 1.005, 12345.678, -0.5, float("inf"), float("nan")]
    assert encode(values) == b"[0.00,1.00,12345.68,-0.50,0.00,0.00]"


@given(st.text(max_size=200))
@settings(max_examples=200, deadline=None)
def test_any_query_splits_into_names_and_values(text: str) -> None:
    for name, value in parse_query(text).items():
        assert name
        assert not set("&;,=") & set(name + value)


def test_a_query_splits_at_all_four_separators() -> None:
    assert parse_query("a=1&b=2;c=3,d&e=&f=x=y&a=4&=z&g=%41") == {
        "a": "4",
        "b": "2",
        "c": "3",
        "d": "",
        "e": "",
        "f": "x",
        "g": "%41",
    }


@given(st.lists(st.uuids(), unique=True, min_size=2, max_size=30))
@settings(max_examples=100, deadline=None)
def test_names_are_unique_two_way_and_sort_as_ids_do(uuids: list[Any]) -> None:
    for table in (IdTable("vid-", 7), IdTable("", 8)):
        ids = sorted(one.hex for one in uuids)
        names = [table.name_of(one) for one in ids]
        assert [table.engine_id(name) for name in names] == ids
        assert len(set(names)) == len(ids)
        prefixes = {one[:9] for one in ids}
        if len(prefixes) == len(ids):
            assert names == sorted(names)


def test_ids_with_equal_beginnings_get_different_names() -> None:
    table = IdTable("", 8)
    ids = [f"{'f' * 28}{i:04x}" for i in range(50)]
    assert len({table.name_of(one) for one in ids}) == 50


def test_a_table_is_bounded_and_forgets_the_oldest() -> None:
    table = IdTable("vid-", 7, limit=3)
    ids = [f"{i}" + "0" * 31 for i in range(5)]
    names = [table.name_of(one) for one in ids]
    assert len(table) == 3
    assert table.engine_id(names[0]) is None
    assert table.name_of(ids[0]) == names[0]
    table.sweep(lambda engine_id: engine_id == ids[0])
    assert len(table) == 1
    assert table.engine_id(names[0]) == ids[0]


def test_a_server_keeps_its_name_and_changes_its_service(server_view: Any) -> None:
    names = Names()
    again = attrs.evolve(server_view, service_id="c" * 32)
    assert names.server(server_view) == names.server(again)
    assert names.service(server_view) != names.service(again)
    assert len(names.server(server_view)) == len("vid-7634r23")
    assert len(names.service(server_view)) == 8
    assert Names("mine").server(server_view) == "mine"


_COMMON = ["server_id", "service_id", "action", "client_id", "ip", "vhost", "app"]


@pytest.mark.parametrize(
    ("action", "keys"),
    [
        (HookAction.CONNECT, "stream param tcUrl pageUrl"),
        (HookAction.CLOSE, "send_bytes recv_bytes"),
        (HookAction.PUBLISH, "tcUrl stream param stream_url stream_id"),
        (HookAction.UNPUBLISH, "tcUrl stream param stream_url stream_id"),
        (HookAction.PLAY, "stream tcUrl param pageUrl stream_url stream_id"),
        (HookAction.STOP, "tcUrl stream param stream_url stream_id"),
    ],
)
def test_hooks_carry_the_keys_of_srs_in_its_order(
    make_session: Any, server_view: Any, action: HookAction, keys: str
) -> None:
    names = Names()
    event = HookEvent(
        action, make_session(), "token=abc&x=1", "rtmp://h/live", "http://p/"
    )
    request = SrsHooks(names).request("http://h/x", event, server_view)
    body = json.loads(request.body)
    assert list(body) == _COMMON + keys.split()
    assert (request.method, request.url) == ("POST", "http://h/x")
    assert dict(request.headers) == {
        "Content-Type": "application/json",
        "User-Agent": "SRS/7.0.18(Hang)",
    }
    assert body["action"] == action.value
    assert body["vhost"] == "__defaultVhost__"
    assert names.clients.engine_id(body["client_id"]) == event.session.id
    if "param" in body:
        assert body["param"] == "?token=abc&x=1"
    if "tcUrl" in body:
        assert body["tcUrl"] == "rtmp://h/live"
    if "pageUrl" in body:
        assert body["pageUrl"] == "http://p/"
    if "stream_url" in body:
        assert body["stream_url"] == "/live/livestream"
        assert names.streams.engine_id(body["stream_id"]) == event.session.stream_id


def test_a_hook_without_query_or_stream_entry(
    make_session: Any, server_view: Any
) -> None:
    session = attrs.evolve(make_session(), stream_id=None)
    event = HookEvent(HookAction.UNPUBLISH, session, "", "", "")
    body = json.loads(SrsHooks(Names()).request("u", event, server_view).body)
    assert body["param"] == ""
    assert "stream_id" not in body


@pytest.mark.parametrize(
    ("protocol", "parameters", "tc_url", "param"),
    [
        ("rtmp", "token=t", "rtmp://h/live", "?token=t"),
        ("http-flv", "token=t", "http://h/live", "?token=t"),
        # WHIP and WHEP: the whole query of the request, without its mark.
        ("whip", "app=live&stream=x&token=t", "", "app=live&stream=x&token=t"),
        ("whep", "app=live&stream=x", "", "app=live&stream=x"),
        ("whip", "token=t", "http://h/live", "token=t"),
        # The JSON API: what stood in the stream's URL.
        ("whip", "t=1&upstream=rtc", "webrtc://h/live", "?t=1&upstream=rtc"),
        ("whip", "upstream=rtc", "webrtc://h/live", "upstream=rtc"),
        ("whep", "t=1", "webrtc://h/live", "?t=1"),
        ("whep", "", "webrtc://h/live", ""),
    ],
)
def test_hooks_get_the_query_with_the_mark_that_srs_gives_it(
    make_session: Any,
    server_view: Any,
    protocol: str,
    parameters: str,
    tc_url: str,
    param: str,
) -> None:
    session = make_session(protocol=protocol)
    event = HookEvent(HookAction.PUBLISH, session, parameters, tc_url, "")
    body = json.loads(SrsHooks(Names()).request("u", event, server_view).body)
    assert (body["param"], body["tcUrl"]) == (param, tc_url)


@pytest.mark.parametrize(
    ("protocol", "role", "expected"),
    [
        ("whip", "publish", "rtc-publish"),
        ("whep", "play", "rtc-play"),
        ("rtmp", "publish", "fmle-publish"),
        ("rtmps", "play", "rtmp-play"),
        ("ws-fmp4", "play", "flv-play"),
    ],
)
def test_clients_have_the_type_of_their_protocol(
    make_session: Any, protocol: str, role: str, expected: str
) -> None:
    view = make_session(role=role, protocol=protocol)
    assert shapes.client(view, "vid-x", Names())["type"] == expected


@pytest.mark.parametrize(
    ("status", "body", "accepted"),
    [
        (200, b"0", True),
        (201, b' {"code": 0, "msg": "x"} ', True),
        (200, b'{"code":1}', False),
        (200, b"1", False),
        (200, b"", False),
        (200, b"OK", False),
        (200, b'{"code":"0"}', False),
        (200, b'{"code":false}', False),
        (200, b"[0]", False),
        (200, b"\xff\xfe", False),
        (200, b"[" * 100_000, False),
        (200, b"9" * 10_000, False),
        (204, b"", False),
        (404, b"0", False),
        (500, b'{"code":0}', False),
    ],
)
def test_a_hook_accepts_by_status_and_code(
    status: int, body: bytes, accepted: bool
) -> None:
    reason = SrsHooks(Names()).refusal(status, body)
    assert (reason is None) is accepted
    if reason is not None:
        assert "\n" not in reason


def test_proc_files_are_read_with_odd_commands_and_limits() -> None:
    rest = " ".join(["S", "1", *("7" for _ in range(20)), str(2**64 - 1)])
    pid, command, state, numbers = parse_process(f"42 (a) b (c)) {rest}")
    assert (pid, command, state) == (42, "(a) b (c))", "S")
    assert (numbers[0], numbers[21], numbers[-1]) == (1, -1, 0)
    assert parse_process("") == (0, "()", "", (0,) * len(numbers))
    assert parse_cpu_times("cpu  1 2 3\n")[:4] == (1, 2, 3, 0)
    sockets = parse_sockets("TCP: inuse 5 orphan 0 tw 3 alloc 9 mem 1\nUDP: inuse 2\n")
    assert sockets["TCP"]["tw"] == 3
    table = "Tcp: RtoAlgorithm CurrEstab\nTcp: 1 6\n"
    assert parse_protocol_table(table, "Tcp")["CurrEstab"] == 6
    disks = "8 0 sda 1 2 3 4 5 6 7 8 9 10 11\n8 1 sdb 1 2 3 4 5 6 7 8 9 500 1\n"
    assert parse_disk_busy_ms(disks, ["sda"]) == 10


def _proc(folder: Path, *, busy: int, ticks: int) -> None:
    (folder / "self").mkdir(exist_ok=True)
    (folder / "net").mkdir(exist_ok=True)
    (folder / "stat").write_text(f"cpu {busy} 0 0 {1000 - busy} 0 0 0 0 0\n")
    own = ["R", *["0"] * 10, str(ticks), "0", *["0"] * 27]
    (folder / "self" / "stat").write_text(f"9 (penstock) {' '.join(own)}")
    (folder / "meminfo").write_text(
        "MemTotal: 1000 kB\nMemFree: 400 kB\nBuffers: 50 kB\nCached: 150 kB\n"
    )
    (folder / "net" / "sockstat").write_text("TCP: inuse 5 tw 3\nUDP: inuse 2\n")


def test_shares_are_the_difference_of_two_samples(tmp_path: Path) -> None:
    now = iter([10.0, 10.0, 12.0])
    figures = SystemFigures(
        proc=tmp_path, wall_clock=lambda: 1000.0, monotonic=lambda: next(now)
    )
    assert not figures.view.ok
    _proc(tmp_path, busy=0, ticks=0)
    figures.view = figures.sample(0)
    assert figures.view.ok
    assert (figures.view.cpu.share, figures.view.process.share) == (0.0, 0.0)
    assert figures.view.memory.in_use == 400
    assert figures.view.connections.tcp == 8
    (tmp_path / "stat").write_text("cpu 50 0 0 1050 0 0 0 0 0\n")
    own = ["R", *["0"] * 10, "100", "0", *["0"] * 27]
    (tmp_path / "self" / "stat").write_text(f"9 (penstock) {' '.join(own)}")
    figures.view = figures.sample(1)
    assert figures.view.cpu.share == pytest.approx(0.5)
    assert figures.view.process.share == pytest.approx(0.5)


def test_disks_that_are_named_show_how_busy_they_were(tmp_path: Path) -> None:
    now = iter([10.0, 10.0, 16.0, 16.0])
    figures = SystemFigures(
        disks=["sda"],
        proc=tmp_path,
        wall_clock=lambda: 1000.0,
        monotonic=lambda: next(now),
    )
    _proc(tmp_path, busy=0, ticks=0)
    columns = "1 2 3 4 5 6 7 8 9"
    for second, busy_ms in ((0, 100), (6, 3100)):
        (tmp_path / "diskstats").write_text(f"8 0 sda {columns} {busy_ms} 1\n")
        figures.view = figures.sample(second)
    assert figures.view.disk.busy_share == pytest.approx(0.5)


async def test_figures_are_whole_once_the_task_has_started() -> None:
    figures = SystemFigures()
    async with trio.open_nursery() as nursery:
        await nursery.start(figures.run)
        assert figures.view.ok
        assert figures.view.memory.total > figures.view.memory.free > 0
        assert figures.view.rusage.maxrss_kib > 1000
        nursery.cancel_scope.cancel()


def test_secrets_on_the_command_line_are_masked() -> None:
    command = ["penstock", "serve", "--set"]
    shown = masked_arguments([*command, "relay=rtmp://u:p@h/a?token=z", "-v"])
    assert shown == "penstock serve --set relay=rtmp://***@h/a?token=*** -v"
    shown = masked_arguments([*command, 'auth.publish_tokens=["a", "b"]'])
    assert shown == "penstock serve --set auth.publish_tokens=***"


@pytest.mark.parametrize(
    ("argument", "shown"),
    [
        (
            'relay=[{source="live/a",destination="rtmp://[::1]/app/k3y"}]',
            'relay=[{source="live/a",destination="rtmp://[::1]/app/***"}]',
        ),
        (
            'hooks.on_play=["http://h/a?sign=s","http://u:p@h/b#x"]',
            'hooks.on_play=["http://h/a?sign=***","http://***@h/b#x"]',
        ),
    ],
)
def test_secrets_in_addresses_on_the_command_line_are_masked(
    argument: str, shown: str
) -> None:
    assert masked_arguments([argument]) == shown
