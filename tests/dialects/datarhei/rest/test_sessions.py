"""Sessions by collector, who has been, what is published, and the widget."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest
import trio

from penstock.control import LinkView
from penstock.control.jobs import Exec
from penstock.dialects.datarhei.lists import STATS_KEYS, socket_id
from penstock.dialects.datarhei.session_rows import Row
from penstock.dialects.datarhei.session_sums import MAX_KEYS, SessionLimits
from penstock.dialects.datarhei.sessions import SessionBook

ACTIVE = "/api/v3/session/active?collectors="


async def _active(world: Any, *collectors: str) -> Any:
    return await world.get(ACTIVE + ",".join(collectors))


async def test_a_publisher_over_rtmp(
    world: Any, make_session: Callable[..., Any]
) -> None:
    world.control.session_views = [make_session(1)]
    found = await _active(world, "rtmp", "nonsense")
    assert found["nonsense"] == []
    assert found["rtmp"] == [
        {
            "id": "/live/foobar.stream",
            "reference": "live/foobar",
            "created_at": 1_795_202_141,
            "local": "publish:/live/foobar.stream",
            "remote": "10.77.0.1:40001",
            "extra": "",
            "bytes_rx": 10_000_000,
            "bytes_tx": 4_000,
            "bandwidth_rx_kbit": 0,
            "bandwidth_tx_kbit": 0,
        }
    ]


@pytest.mark.parametrize(
    ("changes", "collector", "expected"),
    [
        (
            {"role": "play", "protocol": "rtmps"},
            "rtmp",
            ("10.77.0.1:40001", "live/foobar", "play:/live/foobar.stream"),
        ),
        (
            {"app": "", "name": "x"},
            "rtmp",
            ("/x", "x", "publish:/x"),
        ),
        (
            {"protocol": "srt", "name": "foo"},
            "srt",
            ("foo", "foo", "publish:foo"),
        ),
        (
            {"protocol": "srt", "app": "a", "name": "foo", "role": "play"},
            "srt",
            ("10.77.0.1:40001", "a/foo", "play:a/foo"),
        ),
        (
            {"protocol": "srt", "role": "play", "address": "2001:db8::1"},
            "srt",
            ("[2001:db8::1]:40001", "foobar.stream", "play:foobar.stream"),
        ),
        (
            {"protocol": "http-flv", "role": "play", "name": "x", "extension": ".flv"},
            "http",
            ("00000001" + "0" * 24, "x", "/live/x.flv"),
        ),
        (
            {"protocol": "whip", "name": "x"},
            "webrtc",
            ("/live/x", "live/x", "publish:/live/x"),
        ),
    ],
)
async def test_sessions_go_to_their_collectors(
    world: Any,
    make_session: Callable[..., Any],
    changes: Any,
    collector: str,
    expected: tuple[str, str, str],
) -> None:
    world.control.session_views = [make_session(1, **changes)]
    (found,) = (await _active(world, collector))[collector]
    assert (found["id"], found["reference"], found["local"]) == expected


async def test_the_app_is_no_part_of_the_reference(
    world: Any, make_session: Callable[..., Any]
) -> None:
    book = SessionBook(world.control, rtmp_app=lambda: "/live")
    world.control.session_views = [make_session(1)]
    await book.look()
    (row,) = book.rows("rtmp")
    assert row.reference == "foobar"


async def test_who_is_ignored_or_has_not_begun_is_not_there(
    world: Any, make_session: Callable[..., Any]
) -> None:
    world.control.session_views = [
        make_session(1, address="127.0.0.1"),
        make_session(2, address="::1"),
        make_session(3, role="connect"),
    ]
    assert await _active(world, "rtmp") == {"rtmp": []}


async def test_rates_are_of_the_last_ten_seconds(
    world: Any, make_session: Callable[..., Any]
) -> None:
    view = make_session(1, bytes_received=0, bytes_sent=0)
    for second in range(15):
        # After five seconds 1,024 octets a second come in, and twice that go out.
        octets = 1_024 * max(0, second - 4)
        sent = attrs.evolve(view, bytes_received=octets, bytes_sent=2 * octets)
        world.control.session_views = [sent]
        await world.book.look()
        world.clock[0] += 0.5
        await world.book.look()
        world.clock[0] += 0.5
    world.clock[0] -= 1
    (found,) = (await _active(world, "rtmp"))["rtmp"]
    assert found["bandwidth_rx_kbit"] == 8
    assert found["bandwidth_tx_kbit"] == 16
    overview = await world.get("/api/v3/session?collectors=rtmp")
    active = overview["rtmp"]["active"]
    assert active["sessions"] == 1
    assert active["bandwidth_rx_mbit"] == 0.008
    assert active["bandwidth_tx_mbit"] == 0.016
    assert active["list"] == [found]


async def test_who_has_gone_is_in_the_sums(
    world: Any, make_session: Callable[..., Any]
) -> None:
    world.control.session_views = [
        make_session(1, bytes_received=3 << 20),
        make_session(2, bytes_received=2 << 20, name="other"),
    ]
    await world.book.look()
    world.control.session_views = []
    overview = (await world.get("/api/v3/session?collectors=rtmp"))["rtmp"]
    one = {"sessions": 1, "traffic_rx_mb": 3, "traffic_tx_mb": 0}
    other = {"sessions": 1, "traffic_rx_mb": 2, "traffic_tx_mb": 0}
    places = {"publish:/live/foobar.stream": one, "publish:/live/other": other}
    both = {"sessions": 2, "traffic_rx_mb": 5, "traffic_tx_mb": 0}
    assert overview["active"]["list"] == []
    assert overview["summary"] == {
        "remote": {"10.77.0.1": {**both, "local": places}},
        "local": places,
        "reference": {"live/foobar": one, "live/other": other},
        **both,
    }


@pytest.mark.slow
async def test_the_sums_of_many_strangers_are_bounded(
    world: Any, make_session: Callable[..., Any]
) -> None:
    count = 3 * MAX_KEYS
    for start in (0, 1_500):
        world.control.session_views = [
            make_session(n, name=f"s{n}", address=f"10.0.{n >> 8}.{n & 255}")
            for n in range(start, start + 1_500)
        ]
        await world.book.look()
    world.control.session_views = []
    await world.book.look()
    summary = (await world.get("/api/v3/session?collectors=rtmp"))["rtmp"]["summary"]
    assert summary["sessions"] == count
    for name in ("remote", "local", "reference"):
        assert len(summary[name]) == MAX_KEYS + 1
        assert sum(one["sessions"] for one in summary[name].values()) == count
    pairs = [len(one["local"]) for one in summary["remote"].values()]
    assert sum(pairs) <= 2 * MAX_KEYS + 1


async def test_two_looks_at_once_end_nobody_twice(
    world: Any, make_session: Callable[..., Any]
) -> None:
    world.control.session_views = [make_session(1)]
    await world.book.look()
    world.control.session_views = []
    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(world.book.look)
    assert (await world.book.totals())["rtmp"].sessions == 1


async def test_the_book_looks_by_itself(
    world: Any, make_session: Callable[..., Any], autojump_clock: object
) -> None:
    world.control.session_views = [make_session(1)]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(world.book.run)
        await trio.sleep(0.5)
        assert len(world.book.rows("rtmp")) == 1
        world.control.session_views = []
        await trio.sleep(1)
        assert world.book.rows("rtmp") == []
        nursery.cancel_scope.cancel()


# -- what is published ----------------------------------------------------------------


async def test_what_is_published_has_its_path(
    world: Any, make_stream: Callable[..., Any]
) -> None:
    world.control.stream_views = [
        make_stream("live", "foobar.stream"),
        make_stream("", "bare"),
        make_stream("live", "gone", publisher_active=False),
    ]
    assert await world.get("/api/v3/rtmp") == [
        {"name": "/bare"},
        {"name": "/live/foobar.stream"},
    ]


async def test_links_over_srt(
    world: Any, make_session: Callable[..., Any], link: LinkView
) -> None:
    """Numbers of sockets are those of SRT draft-01 §3.2.1."""
    publisher = make_session(7, protocol="srt", name="foo", link=link)
    viewer = make_session(
        8, protocol="srt", name="foo", role="play", link=link, bytes_sent=99
    )
    waiting = make_session(9, protocol="srt", name="foo", role="play", link=None)
    world.control.session_views = [publisher, viewer, waiting, make_session(10)]
    found = await world.get("/api/v3/srt")
    assert found["publisher"] == {"foo": 7}
    assert found["subscriber"] == {"foo": [8, 9]}
    assert found["log"] == {}
    assert set(found["connections"]) == {"7", "8", "9"}
    for connection in found["connections"].values():
        assert connection["log"] == {}
        assert list(connection["stats"]) == list(STATS_KEYS)
    stats = found["connections"]["7"]["stats"]
    assert (stats["recv_pkt"], stats["recv_unique_pkt"]) == (1_009, 1_000)
    assert (stats["recv_loss_pkt"], stats["recv_drop_pkt"]) == (10, 1)
    assert (stats["rtt_ms"], stats["bandwidth_mbit"]) == (20.5, 50)
    assert (stats["timestamp_ms"], stats["recv_tsbpd_delay_ms"]) == (10_000, 120)
    stats = found["connections"]["8"]["stats"]
    assert (stats["sent_pkt"], stats["recv_pkt"]) == (1_009, 0)
    assert (stats["sent_bytes"], stats["send_buf_ms"]) == (99, 118)
    assert found["connections"]["9"]["stats"]["rtt_ms"] == 0


@pytest.mark.parametrize(
    ("session_id", "number"),
    [("00000007", 7), ("ffffffff" + "0" * 24, 0x3FFFFFFF), ("0" * 32, 1), ("x", 1)],
)
def test_a_socket_has_a_number(session_id: str, number: int) -> None:
    assert socket_id(session_id) == number


# -- the widget -----------------------------------------------------------------------


async def test_the_widget_counts_who_watches(
    world: Any, make_job: Callable[..., Any]
) -> None:
    rows = [
        Row(
            key=str(number),
            collector="hls",
            id=str(number),
            reference=reference,
            created_at=0,
            local="/memfs/a.m3u8",
            remote="unknown",
            peer="unknown",
        )
        for number, reference in enumerate(["abc", "abc_1", "other", "abc"])
    ]
    present = list(rows)
    world.viewers = lambda: present
    world.jobs.views = [
        make_job("on", "abc"),
        make_job("off", "abc", doing=Exec.FINISHED),
        make_job("b/1", "abc"),
    ]
    await world.book.look()
    del present[3]
    await world.book.look()
    path = "/api/v3/widget/process/"
    assert await world.get(f"{path}on") == {
        "current_sessions": 2,
        "total_sessions": 1,
        "uptime": 4,
    }
    assert (await world.get(f"{path}off"))["uptime"] == 0
    assert (await world.get(f"{path}b%2F1"))["uptime"] == 4
    answer = await world.ask("GET", f"{path}none")
    assert answer.status_code == 404
    assert answer.json() == {
        "code": 404,
        "message": "Unknown process ID",
        "details": ["unknown process"],
    }


async def test_limits_are_those_of_viewers(world: Any) -> None:
    world.limits = SessionLimits(7, 3 << 20)
    found = await world.get("/api/v3/session?collectors=hls,rtmp")
    active = {name: one["active"] for name, one in found.items()}
    assert active["hls"]["max_sessions"] == 7
    assert active["hls"]["max_bandwidth_tx_mbit"] == 3
    assert active["hls"]["max_bandwidth_rx_mbit"] == 0
    assert (
        active["rtmp"]["max_sessions"] == active["rtmp"]["max_bandwidth_tx_mbit"] == 0
    )
    samples = {
        (one.name, dict(one.labels).get("collector")): one.value
        for one in await world.figures.samples()
    }
    assert samples["session_limit", "hls"] == 7
    assert samples["session_maxtxbitrate", "hls"] == 3 << 20
    assert samples["session_limit", "srt"] == 0
