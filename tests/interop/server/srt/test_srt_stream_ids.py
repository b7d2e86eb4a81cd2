"""Who may do what: the tables of docs/operate/srt.md, as FFmpeg and libsrt see it."""

from __future__ import annotations

import re
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import attrs
import pytest

if TYPE_CHECKING:
    from tests.interop.conftest import Program
    from tests.interop.server.conftest import Hooks, Server, StartServer
    from tests.interop.server.srt.conftest import SrtPeers

pytestmark = [pytest.mark.interop, pytest.mark.slow]

PAGE = (Path(__file__).parents[4] / "docs" / "operate" / "srt.md").read_text()
SECRET = "correct horse battery"


def table(heading: str) -> list[list[str]]:
    """Return the rows of the first table below a heading, without its head."""
    section = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[2:]]


def forms() -> list[tuple[str, list[str], list[str]]]:
    """Return each form's name, and the stream ids that publish and play."""
    found = []
    for form, publish, play in table("Stream ids"):
        ids = [re.findall(r"`([^`]+)`", cell) for cell in (publish, play)]
        for cell, known in zip((publish, play), ids, strict=True):
            if "percent-encoded" in cell:
                known.append(quote(known[0], safe=""))
        if play == "the same":
            ids[1] = ids[0]
        found.append((form, ids[0], ids[1]))
    return found


FORMS = forms()


def caller(peers: SrtPeers, server: Server, stream_id: str, *clip: Path) -> Program:
    """Publish a clip, or play for a moment if there is none, with FFmpeg 9."""
    url = f"srt://127.0.0.1:{server.ports['srt']}"
    if clip:
        return peers.publish(clip[0], url, "-srt_streamid", stream_id, loops=-1)
    return peers.start(
        *[peers.ffmpeg9, "-v", "warning", "-nostdin", "-srt_streamid", stream_id],
        *["-analyzeduration", "300000", "-i", url],
        *["-frames:v", "10", "-c", "copy", "-f", "null", "-"],
    )


def test_the_page_has_the_forms_of_every_server() -> None:
    assert len(FORMS) >= 7
    assert sum(len(publish) for _, publish, _ in FORMS) >= 9
    assert sum(len(play) for _, _, play in FORMS) >= 9


@pytest.mark.parametrize(
    ("publish", "play"), [f[1:] for f in FORMS], ids=[f[0] for f in FORMS]
)
def test_each_form_of_the_page_publishes_and_plays(
    server: Server,
    srt_peers: SrtPeers,
    wait_until: Any,
    publish: list[str],
    play: list[str],
) -> None:
    clip = srt_peers.clip("h264-aac")
    for stream_id in publish or ["publish:camera"]:
        before = len(server.logged("publishing"))
        publisher = caller(srt_peers, server, stream_id, clip)
        wait_until(
            lambda known=before: len(server.logged("publishing")) > known,
            f"{stream_id} to publish",
        )
        stream = server.logged("publishing")[-1]["stream"]
        assert stream.endswith("live/camera"), (stream_id, stream)
        players = [caller(srt_peers, server, one) for one in play]
        for player in players:
            player.succeed()
        assert publisher.process.poll() is None, publisher.said
        publisher.process.send_signal(signal.SIGINT)
        publisher.wait()
        wait_until(lambda: not server.clients("camera"), "everybody to leave")


TOKENS = {
    "one,mode:publish,token:T": "one,token:T",
    "#!:m=publish,r=two,token=T": "#!:m=request,r=two,token=T",
    "publish:three:user:T": "read:three:user:T",
    "#!::r=live/four,m=publish,token=T": "#!::r=live/four,m=request,token=T",
}


def test_a_token_opens_in_each_form_that_has_one(
    penstock_server: StartServer, srt_peers: SrtPeers
) -> None:
    server = penstock_server(
        *["auth.publish=token", 'auth.publish_tokens=["T"]'],
        *["auth.play=token", 'auth.play_tokens=["T"]'],
    )
    clip = srt_peers.clip("h264-aac")
    refused = [
        caller(srt_peers, server, publish.replace("T", "no"), clip)
        for publish in TOKENS
    ]
    assert all(one.wait() for one in refused)
    for publish in TOKENS:
        caller(srt_peers, server, publish, clip)
    for name in ("one", "two", "three", "four"):
        server.wait_for_frames(name, 10)
    refused = [
        caller(srt_peers, server, play.replace("T", "no")) for play in TOKENS.values()
    ]
    welcome = [caller(srt_peers, server, play) for play in TOKENS.values()]
    assert all(one.wait() for one in refused)
    for one in welcome:
        one.succeed()
    reasons = [end["reason"] for end in server.logged("session ended")]
    assert sum("token" in reason for reason in reasons) == 8, reasons


# -- refusals ------------------------------------------------------------------------


@attrs.frozen
class Case:
    """How one comes to be refused."""

    code: int
    stream_id: str
    reason: str
    """What the server's log says, in part."""
    sets: tuple[str, ...] = ()
    parameters: str = ""


CASES = [
    Case(1400, "#!::q=x", "key 'q' is not known"),
    Case(1400, "", "stream id is needed"),
    Case(1401, "x", "token", ("auth.play=token", 'auth.play_tokens=["T"]')),
    Case(1403, "x", "address", ('auth.play_deny=["127.0.0.1"]',)),
    Case(1402, "x", "too many connections", ("limits.sessions_per_address=1",)),
    Case(1404, "x", "nobody publishes", ("stream.wait_for_publisher_s=0",)),
    Case(1405, "#!::r=x,m=bidirectional", "'bidirectional' is not known"),
    Case(1409, "publish:taken", "publish"),
    Case(1415, "#!::r=x,t=file", "'file' is not served"),
    Case(1415, "#!::r=x,t=auth", "'auth' is not served"),
    Case(
        10,
        "publish:x",
        "the passphrases differ",
        (f"srt.publish_passphrase={SECRET}",),
        "passphrase=wrong horse battery&",
    ),
    Case(
        10,
        "x",
        "the passphrases differ",
        (f"srt.play_passphrase={SECRET}",),
        "passphrase=wrong horse battery&",
    ),
    Case(
        11,
        "publish:x",
        "only one side has a passphrase",
        (f"srt.publish_passphrase={SECRET}",),
    ),
    Case(
        11,
        "x",
        "only one side has a passphrase",
        (f"srt.play_passphrase={SECRET}",),
    ),
    Case(11, "x", "only one side has a passphrase", (), "passphrase=wrong horse&"),
]


def test_every_code_of_the_page_has_a_case() -> None:
    told = {
        int(number)
        for row in table("What a refusal says")
        for number in re.findall(r"\d+", row[0])
    }
    # No program at hand is older than SRT 1.3.
    assert told - {case.code for case in CASES} == {8}


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c.code} {c.stream_id}")
def test_a_refusal_reaches_the_caller_and_the_log_says_why(
    server: Server,
    penstock_server: StartServer,
    srt_peers: SrtPeers,
    case: Case,
    srt_url: Any,
) -> None:
    if case.sets:
        server = penstock_server(*case.sets)
    before = len(server.logged("session ended"))
    publishes = case.stream_id.startswith("publish:")
    if case.code == 1409:
        clip = srt_peers.clip("h264-aac")
        srt_peers.publish(clip, srt_url(server, case.stream_id), loops=-1)
        server.wait_for_frames("taken", 5)
    if case.code == 1402:
        srt_peers.ffmpeg(srt_url(server, "first"))
        server.wait_for_players("first", 1)
    address = f"srt://127.0.0.1:{server.ports['srt']}?{case.parameters}"
    if case.stream_id:
        address += f"streamid={case.stream_id}"
    libsrt = srt_peers.peer("srt-live-transmit")
    source = f"udp://127.0.0.1:{server.ports['srt'] + 1}" if publishes else address
    target = address if publishes else "file://con"
    refused = srt_peers.start(libsrt, "-ll:note", "-a", "no", source, target)
    words = {
        10: "Incorrect passphrase",
        11: "Password required or unexpected",
    }.get(case.code, "Application-defined rejection reason")
    # Its own way out of a refusal is not always found: it is told, and goes on.
    server.wait_until(lambda: words in refused.said, "a refusal")
    if publishes:
        clip = srt_peers.clip("h264-aac")
        ffmpeg = srt_peers.publish(clip, address)
    else:
        ffmpeg = srt_peers.ffmpeg(address).program
    assert ffmpeg.wait() != 0
    told = {10: "BADSECRET", 11: "UNSECURE"}
    assert told.get(case.code, f"PREDEFINED:{case.code - 1000}") in ffmpeg.said
    if case.code == 1402:
        return  # before there is a session; the log has it at level debug
    reasons = [
        end["reason"]
        for end in server.logged("session ended")[before:]
        if end["reason"].startswith("refused")
    ]
    assert len(reasons) == 2
    assert all(case.reason in reason for reason in reasons), reasons


def test_a_hook_that_says_no_refuses_a_caller(
    penstock_server: StartServer, srt_peers: SrtPeers, hooks: Hooks, srt_url: Any
) -> None:
    hooks.refused = "on_publish"
    server = penstock_server(*hooks.sets())
    clip = srt_peers.clip("h264-aac")
    publisher = srt_peers.publish(clip, srt_url(server, "publish:x"))
    assert publisher.wait() != 0
    assert "Input/output error" in publisher.said
    (end,) = server.logged("session ended")
    assert "hook" in end["reason"]


# -- encryption ----------------------------------------------------------------------


def test_keys_of_each_length_change_without_a_lost_frame(
    penstock_server: StartServer,
    srt_peers: SrtPeers,
    srt_url: Any,
    same_show: Any,
) -> None:
    server = penstock_server(
        f"srt.publish_passphrase={SECRET}", "srt.play_passphrase=for those who watch"
    )
    # 20 s at 2 Mbit/s: some 4,000 packets, so that keys change more than ten times.
    clip = srt_peers.clip("long", 20)
    viewers, publishers = [], []
    for bits in (128, 192, 256):
        play = f"passphrase=for those who watch&pbkeylen={bits // 8}"
        viewers.append(srt_peers.ffmpeg5(srt_url(server, f"{bits}", play)))
        viewers.append(srt_peers.transmit(srt_url(server, f"{bits}", play)))
        server.wait_for_players(f"{bits}", 2)
        secret = (
            f"passphrase={SECRET}&pbkeylen={bits // 8}"
            "&kmrefreshrate=300&kmpreannounce=100"
        )
        url = srt_url(server, f"publish:{bits}", secret)
        publishers.append(srt_peers.publish_transmit(clip, url))
    for publisher in publishers:
        publisher.succeed()
    sent = srt_peers.read(clip)
    for viewer in viewers:
        same_show(viewer.seen(), sent)
