"""Bad networks between libsrt and the server: losses are mended, outages survived."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.interop.server.conftest import StartServer
    from tests.interop.server.srt.conftest import SrtPeers

pytestmark = [pytest.mark.interop, pytest.mark.slow, pytest.mark.keeps_time]


def assert_all_saw(viewers: dict[str, Any], sent: Any, same_show: Any) -> None:
    """Assert that each saw all but the end of what was sent."""
    for name, viewer in viewers.items():
        try:
            # Who leaves does not wait until what was lost at last has come again: it is
            # missing, or what followed it came without it.
            same_show(viewer.seen(), sent, tail=30, spoilt=30)
        except AssertionError as failure:
            raise AssertionError(f"{name}: {failure}") from None


def test_losses_both_ways_cost_no_frame(
    penstock_server: StartServer, srt_peers: SrtPeers, srt_url: Any, same_show: Any
) -> None:
    # Until the round trip is known, a report is repeated every 0.3 s only: of 10 % loss
    # the first second needs more latency than the rest.
    server = penstock_server("srt.latency_ms=1000")
    clip = srt_peers.clip("long", 9)
    viewers, publishers = {}, []
    for loss in ("0.01", "0.05", "0.1"):
        bad = ("--loss", loss, "--delay", "0.02", "--jitter", "0.005")
        up = srt_peers.lossy(server, *bad, "--seed", "1")
        down = srt_peers.lossy(server, *bad, "--seed", "2")
        far = srt_url(down, loss, "latency=1000000")
        viewers[f"{loss}, near"] = srt_peers.transmit(srt_url(server, loss))
        viewers[f"{loss}, FFmpeg"] = srt_peers.ffmpeg5(far)
        viewers[f"{loss}, libsrt"] = srt_peers.transmit(
            srt_url(down, loss, "latency=1000")
        )
        server.wait_until(
            lambda n=loss: len(server.logged("playing", stream=f"live/{n}")) == 3,
            "three viewers",
        )
        url = srt_url(up, f"publish:{loss}", "latency=1000000")
        publishers.append(srt_peers.publish(clip, url))
    for publisher in publishers:
        publisher.succeed()
    assert_all_saw(viewers, srt_peers.read(clip), same_show)


def test_what_only_delays_packets_costs_no_frame(
    penstock_server: StartServer, srt_peers: SrtPeers, srt_url: Any, same_show: Any
) -> None:
    """Packets that are overtaken, a narrow link, and one that is cut for 4 s."""
    server = penstock_server("srt.latency_ms=5000", "stream.republish_wait_s=10")
    clip = srt_peers.clip("long", 12)
    rate = clip.stat().st_size * 8 / 12
    conditions = {
        "overtaken": ("--reorder", "0.1", "--reorder-delay", "0.03"),
        "twice": ("--duplicate", "0.1", "--jitter", "0.01"),
        # A publisher that leaves has what it sent in its last 5 s passed on at once:
        # the queue takes all of that, for what it dropped would be a loss.
        "narrow": ("--rate", f"{1.3 * rate:.0f}", "--queue", "2000000"),
        "cut": ("--outage", "5:9"),
    }
    viewers, publishers = {}, []
    for name, bad in conditions.items():
        bad = ("--delay", "0.02", "--seed", "3", *bad)
        up, down = srt_peers.lossy(server, *bad), srt_peers.lossy(server, *bad)
        viewers[f"{name}, near"] = srt_peers.transmit(srt_url(server, name))
        viewers[f"{name}, far"] = srt_peers.transmit(
            srt_url(down, name, "latency=5000")
        )
        server.wait_until(
            lambda n=name: len(server.logged("playing", stream=f"live/{n}")) == 2,
            "two viewers",
        )
        url = srt_url(up, f"publish:{name}", "latency=5000000")
        publishers.append(srt_peers.publish(clip, url))
    for publisher in publishers:
        publisher.succeed()
    assert_all_saw(viewers, srt_peers.read(clip), same_show)


def test_an_outage_hurts_nobody_else_and_the_publisher_comes_back(
    penstock_server: StartServer,
    srt_peers: SrtPeers,
    srt_url: Any,
    same_show: Any,
    wait_until: Any,
) -> None:
    server = penstock_server("srt.latency_ms=200", "stream.republish_wait_s=5")
    port = srt_peers.lossy(server, "--delay", "0.02", "--outage", "2:9")
    good = srt_peers.ffmpeg5(srt_url(server, "good"))
    server.wait_for_players("good", 1)
    clip = srt_peers.clip("long", 12)
    near = srt_peers.publish(clip, srt_url(server, "publish:good"))
    viewer = srt_peers.transmit(srt_url(server, "bad"))
    server.wait_for_players("bad", 1)
    far = srt_peers.publish(clip, srt_url(port, "publish:bad"))
    server.wait_for_frames("bad", 25)
    # libsrt gives up after 5 s of silence; so does the server.
    wait_until(lambda: not server.publisher("bad"), "the outage to be noticed")
    assert far.wait() != 0
    again = srt_peers.publish(clip, srt_url(port, "publish:bad"))
    wait_until(lambda: len(server.logged("publishing", stream="live/bad")) == 2, "it")
    near.succeed()
    same_show(good.seen(), srt_peers.read(clip))
    again.process.send_signal(2)
    again.wait()
    assert len(viewer.seen().decoded["video0"]) > 75
