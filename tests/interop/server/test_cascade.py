"""Three servers in a chain over WHEP and WHIP, and what a death in the middle does."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

if TYPE_CHECKING:
    from tests.interop.conftest import FrameReader
    from tests.interop.server.conftest import Actors, Launcher, Server, StartServer

pytestmark = [pytest.mark.interop, pytest.mark.slow]


def middle(folder: Path, first: Server, last: Server) -> Path:
    """Write the configuration of a server that pulls from one and pushes to one."""
    source = first.url("http", "live/x/whep").replace("http://", "whep://")
    target = last.url("http", "live/x/whip").replace("http://", "whip://")
    path = folder / "middle.toml"
    path.write_text(
        f'[[relay]]\nsource = "{source}"\ndestination = "live/x"\n'
        f'[[relay]]\nsource = "live/x"\ndestination = "{target}"\n'
    )
    return path


def test_every_picture_goes_through_a_chain(
    penstock_server: StartServer,
    actors: Actors,
    frame_reader: FrameReader,
    whip_clip: Path,
    tmp_path: Path,
) -> None:
    first, last = penstock_server(), penstock_server()
    penstock_server(config=middle(tmp_path, first, last))
    viewers = [
        actors.rtmpdump(last.url("rtmp", "live/x")),
        actors.curl(last.url("http", "live/x.flv")),
    ]
    last.wait_for_players("x", 2)
    # The pull waits at the first server for the publisher.
    first.wait_until(lambda: first.logged("playing", stream="live/x"), "the pull")
    actors.publish_whip(first.url("http", "live/x/whip"), loops=2).succeed()
    sent = [p.md5 for p in frame_reader.read_bare(whip_clip)["video0"]]
    for viewer in viewers:
        viewer.frames()
        came = frame_reader.read_bare(viewer.recording)
        # While the push still connects, the first round goes on without it.
        assert [p.md5 for p in came["video0"]][-len(sent) :] == sent
        assert len(came["audio0"]) > 150


def test_a_chain_comes_back_when_its_middle_has_died(
    penstock_server: StartServer,
    launcher: Launcher,
    actors: Actors,
    frame_reader: FrameReader,
    whip_clip: Path,
    tmp_path: Path,
) -> None:
    first = penstock_server()
    last = penstock_server("stream.publish_idle_s=2", "stream.republish_wait_s=10")
    config = middle(tmp_path, first, last)
    doomed = launcher.launch(tmp_path / "doomed", config=config)
    try:
        viewer = actors.curl(last.url("http", "live/x.flv"))
        last.wait_for_players("x", 1)
        publisher = actors.publish_whip(first.url("http", "live/x/whip"), loops=5)
        last.wait_for_frames("x", 50)
    finally:
        os.kill(doomed.process.pid, signal.SIGKILL)
        doomed.process.wait()
        doomed.api.close()
    penstock_server(config=config)
    # The last server has to find out that its publisher is no more.
    last.wait_until(
        lambda: len(last.logged("publishing", stream="live/x")) == 2, "the second push"
    )
    before = pictures(last)
    last.wait_for_frames("x", before + 50)
    publisher.succeed()
    viewer.frames()
    came = [p.md5 for p in frame_reader.read_bare(viewer.recording)["video0"]]
    sent = [p.md5 for p in frame_reader.read_bare(whip_clip)["video0"]]
    assert set(came) <= set(sent)
    assert came[:50] == sent[:50]
    assert came[-50:] == sent[-50:]


def test_live777s_api_lets_a_server_pull_from_and_push_to_itself(
    penstock_server: StartServer,
    actors: Actors,
    frame_reader: FrameReader,
    whip_clip: Path,
) -> None:
    server = penstock_server()
    publisher = actors.publish_whip(server.url("live777", "whip/web-0"), loops=3)
    server.wait_for_frames("web-0", 1)
    base = server.url("live777", "")
    with httpx.Client(base_url=base, trust_env=False, timeout=60) as api:
        source = server.url("live777", "whep/web-0")
        answer = api.post("api/cascade/web-1", json={"sourceUrl": source})
        assert (answer.status_code, answer.text) == (200, "")
        server.wait_for_frames("web-1", 1)
        target = server.url("live777", "whip/web-2")
        answer = api.post("api/cascade/web-1", json={"targetUrl": target})
        assert (answer.status_code, answer.text) == (200, "")
        viewer = actors.rtmpdump(server.url("rtmp", "live/web-2"))
        streams = {one["id"]: one for one in api.get("api/streams/").json()}
        (pull,) = streams["web-1"]["publish"]["sessions"]
        assert pull["cascade"]["sourceUrl"] == source
        assert pull["cascade"]["sessionUrl"].startswith(server.url("live777", ""))
        (push,) = streams["web-1"]["subscribe"]["sessions"]
        assert push["cascade"]["targetUrl"] == target
    publisher.succeed()
    viewer.frames()
    came = [p.md5 for p in frame_reader.read_bare(viewer.recording)["video0"]]
    sent = 4 * [p.md5 for p in frame_reader.read_bare(whip_clip)["video0"]]
    assert len(came) > 50
    assert came == sent[-len(came) :]


def pictures(server: Server) -> int:
    """Return how many pictures of the stream have come."""
    (stream,) = server.api.get("/api/v1/streams/").json()["streams"]
    return int(stream["frames"])
