"""FFmpeg 9 publishes by WHIP; what comes out over RTMP and HTTP-FLV is what it sent."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.interop.conftest import FrameReader, Frames
    from tests.interop.server.conftest import Actors, StartServer

pytestmark = [pytest.mark.interop, pytest.mark.slow]

ROLES = {"passive": (), "active": ("-whip_flags", "dtls_active")}
"""FFmpeg's own part in the handshake: by default it waits for ours to begin."""


def same_pictures(came: Frames, sent: Frames) -> None:
    """Assert that the pictures are those sent, in order and in time; sound is AAC.

    Until FFmpeg's first report the pictures stand where they arrived.
    """
    pictures, others = came["video0"], sent["video0"]
    assert [p.md5 for p in pictures] == [p.md5 for p in others]
    settled = pictures[-1].pts - others[-1].pts
    for number, (picture, other) in enumerate(zip(pictures, others, strict=True)):
        wrong = picture.pts - other.pts - settled
        assert abs(wrong) <= (60 if number < 25 else 2), f"picture {number}: {wrong:g}"
    sound, before = came["audio0"], sent["audio0"]
    last = sound[-1].pts - before[-1].pts - settled
    assert abs(last) < 100, f"sound ends {last:g} ms after the pictures"
    assert max(b.pts - a.pts for a, b in pairwise(sound)) < 50


@pytest.mark.parametrize("role", ROLES)
def test_pictures_come_out_bit_by_bit(
    penstock_server: StartServer,
    actors: Actors,
    frame_reader: FrameReader,
    whip_clip: Path,
    role: str,
) -> None:
    server = penstock_server()
    viewers = [
        actors.rtmpdump(server.url("rtmp", "live/x")),
        actors.curl(server.url("http", "live/x.flv")),
    ]
    server.wait_for_players("x", 2)
    url = server.url("http", "live/x/whip")
    actors.publish_whip(url, *ROLES[role]).succeed()
    sent = frame_reader.read_bare(whip_clip)
    for viewer in viewers:
        viewer.frames()
        same_pictures(frame_reader.read_bare(viewer.recording), sent)


def test_a_token_opens_the_door(penstock_server: StartServer, actors: Actors) -> None:
    server = penstock_server("auth.publish=token", 'auth.publish_tokens=["let-me-in"]')
    url = server.url("http", "live/x/whip")
    for options, status in (((), "401"), (("-authorization", "wrong"), "403")):
        refused = actors.publish_whip(url, *options)
        assert refused.wait() != 0
        assert f"Server returned {status}" in refused.said
    assert not server.logged("publishing")
    actors.publish_whip(url, "-authorization", "let-me-in").succeed()
    assert server.logged("connected", stream="live/x")


def test_publishers_that_answer_no_consent_check_are_kept(
    penstock_server: StartServer, actors: Actors
) -> None:
    # Consent is lost after 30 s without an answer: RFC 7675 §5.1.
    server = penstock_server()
    viewers, publishers = [], []
    for role, options in ROLES.items():
        viewers.append(actors.curl(server.url("http", f"live/{role}.flv")))
        server.wait_for_players(role, 1)
        url = server.url("http", f"live/{role}/whip")
        publishers.append(actors.publish_whip(url, *options, loops=9))
    for publisher in publishers:
        publisher.succeed(60)
    ends = server.logged("session ended", protocol="whip")
    assert [ended["reason"] for ended in ends] == ["client left"] * len(ROLES)
    assert all(ended["seconds"] > 38 for ended in ends)
    for viewer in viewers:
        pictures = viewer.frames()["video0"]
        assert len(pictures) == 1000
        assert max(b.pts - a.pts for a, b in pairwise(pictures)) < 60
