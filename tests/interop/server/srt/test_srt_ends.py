"""The end of a stream reaches viewers who hold it back for their latency."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.interop.server.conftest import StartServer
    from tests.interop.server.srt.conftest import SrtPeers

pytestmark = [pytest.mark.interop, pytest.mark.slow]


def test_viewers_get_the_end_of_a_stream_however_long_their_latency(
    penstock_server: StartServer, srt_peers: SrtPeers, srt_url: Any, same_show: Any
) -> None:
    server = penstock_server("srt.latency_ms=1500", "stream.republish_wait_s=0")
    viewers = {
        "libsrt": srt_peers.transmit(srt_url(server, "x")),
        "FFmpeg": srt_peers.ffmpeg(srt_url(server, "x")),
    }
    server.wait_for_players("x", 2)
    clip = srt_peers.clip("h264-aac")
    # RTMP loses nothing at its end: what it has sent is the whole clip.
    srt_peers.publish(clip, server.url("rtmp", "live/x")).succeed()
    sent = srt_peers.read(clip)
    pictures = len(sent.decoded["video0"])
    for name, viewer in viewers.items():
        seen = viewer.seen()
        assert len(seen.decoded["video0"]) == pictures, name
        try:
            same_show(seen, sent, tail=0)
        except AssertionError as failure:
            raise AssertionError(f"{name}: {failure}") from None
