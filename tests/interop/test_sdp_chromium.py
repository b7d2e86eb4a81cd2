"""Chromium takes our answers and our offers, and we take Chromium's."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, sync_playwright
from sansmedia.sdp import (
    MID_EXTENSION,
    REPAIRED_RID_EXTENSION,
    RID_EXTENSION,
    Capabilities,
    Direction,
    Fingerprint,
    NegotiatedSession,
    OfferedCodec,
    OfferedMedia,
    SendSource,
    Setup,
    Transport,
    apply_answer,
    decode_fragment,
    decode_session,
    encode_fragment,
    encode_session,
    make_answer,
    make_fragment,
    make_offer,
)

pytestmark = [pytest.mark.interop, pytest.mark.slow]

# H.264 twice: with aggregation, as everybody sends it, and without.
CODECS = {
    "VP8": "",
    "VP9": "profile-id=0",
    "AV1": "level-idx=5;profile=0;tier=0",
    "H264": "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
}
EXTENSIONS = {
    "audio": (MID_EXTENSION,),
    "video": (
        MID_EXTENSION,
        RID_EXTENSION,
        REPAIRED_RID_EXTENSION,
        "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01",
    ),
}
FEEDBACK = {
    "audio": ("transport-cc",),
    "video": ("nack", "nack pli", "ccm fir", "transport-cc"),
}
TRANSPORT = Transport(
    ice_ufrag="us/+",
    ice_pwd="lkjihgfedcba9876543210",
    ice_options=("trickle", "ice2"),
    fingerprints=(Fingerprint("sha-256", ":".join(["CD"] * 32)),),
    candidates=(
        "1 1 udp 2130706431 127.0.0.1 9 typ host",
        "2 1 tcp 1694498815 127.0.0.1 9 typ host tcptype passive",
    ),
    end_of_candidates=True,
)
SOURCES = (
    SendSource(kind="audio", ssrc=10, cname="c", stream="s", track="a"),
    SendSource(kind="video", ssrc=20, rtx_ssrc=21, cname="c", stream="s", track="v"),
)

OFFER = """async ({ direction, rids, data, bundlePolicy }) => {
  const pc = window.pc = new RTCPeerConnection({ bundlePolicy });
  const canvas = document.createElement("canvas");
  canvas.getContext("2d").fillRect(0, 0, 9, 9);
  const sends = direction != "recvonly";
  const video = sends ? canvas.captureStream(5).getVideoTracks()[0] : "video";
  const audio = sends
    ? new AudioContext().createMediaStreamDestination().stream.getAudioTracks()[0]
    : "audio";
  pc.addTransceiver(audio, { direction });
  const sendEncodings = rids.length ? rids.map((rid) => ({ rid })) : undefined;
  pc.addTransceiver(video, { direction, sendEncodings });
  if (data) pc.createDataChannel("data");
  await pc.setLocalDescription();
  return pc.localDescription.sdp;
}"""
ANSWER = """async (sdp) => {
  await pc.setRemoteDescription({ type: "answer", sdp });
  return pc.getTransceivers().map((one) => ({
    mid: one.mid,
    direction: one.currentDirection,
    sending: one.sender.getParameters().codecs.map((codec) => codec.mimeType),
    receiving: one.receiver.getParameters().codecs.map((codec) => codec.mimeType),
    encodings: one.sender.getParameters().encodings.map((layer) => layer.rid ?? ""),
    extensions: one.sender.getParameters().headerExtensions.map((one) => one.uri),
    streams: one.receiver.track.id,
  }));
}"""
TAKE = """async (sdp) => {
  const pc = window.pc = new RTCPeerConnection();
  await pc.setRemoteDescription({ type: "offer", sdp });
  const canvas = document.createElement("canvas");
  canvas.getContext("2d").fillRect(0, 0, 9, 9);
  for (const one of pc.getTransceivers())
    if (sdp.includes("recvonly")) {
      one.direction = "sendonly";
      if (one.receiver.track.kind == "video")
        await one.sender.replaceTrack(canvas.captureStream(5).getVideoTracks()[0]);
    }
  await pc.setLocalDescription();
  return pc.localDescription.sdp;
}"""


def _chromium() -> str:
    path = shutil.which("chromium")
    if path is None:
        if os.environ.get("TEST_REQUIRE_PEERS") == "1":
            pytest.fail("chromium is missing")
        pytest.skip("chromium is missing")
    return path


@pytest.fixture(scope="module")
def browser_page() -> Iterator[Page]:
    path = _chromium()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--headless=new"]
        )
        try:
            yield browser.new_page()
        finally:
            browser.close()


def _capabilities(direction: Direction, codec: str) -> Capabilities:
    def match(kind: str, encoding: str, rate: int, channels: int, fmtp: str) -> bool:
        if kind == "audio":
            return encoding.lower() == "opus"
        wanted = "packetization-mode=1" in fmtp if codec == "H264" else True
        return encoding == codec and wanted

    return Capabilities(
        direction=direction, match=match, extensions=EXTENSIONS, feedback=FEEDBACK
    )


def _exchange(
    page: Page,
    codec: str,
    direction: Direction,
    *,
    rids: tuple[str, ...] = (),
    data: bool = False,
    policy: str = "balanced",
) -> tuple[NegotiatedSession, list[dict[str, Any]]]:
    """Let the page offer, answer it, and return what both sides made of it."""
    text = page.evaluate(
        OFFER,
        {
            "direction": direction.reversed.value,
            "rids": list(rids),
            "data": data,
            "bundlePolicy": policy,
        },
    )
    plan = make_answer(
        decode_session(text),
        capabilities=_capabilities(direction, codec),
        transport=TRANSPORT,
        session_id=(1 << 62) + 1,
        sources=SOURCES,
    )
    return plan.session, page.evaluate(ANSWER, encode_session(plan.answer))


@pytest.mark.parametrize("policy", ["balanced", "max-bundle", "max-compat"])
@pytest.mark.parametrize("codec", sorted(CODECS))
def test_chromium_publishes_by_our_answer(
    browser_page: Page, codec: str, policy: str
) -> None:
    session, seen = _exchange(browser_page, codec, Direction.RECVONLY, policy=policy)
    assert [one["direction"] for one in seen] == ["sendonly", "sendonly"]
    audio, video = seen
    assert audio["sending"] == ["audio/opus"]
    assert set(video["sending"]) == {f"video/{codec}", "video/rtx"}
    for uri in EXTENSIONS["video"]:
        assert (uri in video["extensions"]) is (uri in session.media[1].extensions)
    assert session.media[1].codecs[0].rtx_payload_type is not None


@pytest.mark.parametrize("codec", sorted(CODECS))
def test_chromium_publishes_every_layer(browser_page: Page, codec: str) -> None:
    session, seen = _exchange(
        browser_page, codec, Direction.RECVONLY, rids=("hi", "mid", "lo")
    )
    assert session.media[1].rids == ("hi", "mid", "lo")
    assert seen[1]["encodings"] == ["hi", "mid", "lo"]
    answer = browser_page.evaluate("() => pc.remoteDescription.sdp")
    assert "a=simulcast:recv hi;mid;lo" in answer


@pytest.mark.parametrize("codec", sorted(CODECS))
def test_chromium_watches_by_our_answer(browser_page: Page, codec: str) -> None:
    session, seen = _exchange(browser_page, codec, Direction.SENDONLY, data=True)
    assert session.rejected == (2,)
    assert [one["direction"] for one in seen] == ["recvonly", "recvonly"]
    assert f"video/{codec}" in seen[1]["receiving"]
    remote = browser_page.evaluate(
        "() => pc.getReceivers().map((one) => one.track.kind)"
    )
    assert remote == ["audio", "video"]


def test_chromium_takes_our_side_as_it_is(browser_page: Page) -> None:
    _exchange(browser_page, "VP8", Direction.RECVONLY)
    taken = decode_session(browser_page.evaluate("() => pc.remoteDescription.sdp"))
    transport = taken.transport_of(taken.media[0])
    assert (transport.ice_ufrag, transport.ice_pwd) == (
        TRANSPORT.ice_ufrag,
        TRANSPORT.ice_pwd,
    )
    assert transport.fingerprints == TRANSPORT.fingerprints
    assert transport.setup is Setup.PASSIVE
    assert taken.bundle == ("0", "1")
    assert [one.split()[2] for one in transport.candidates] == ["udp", "tcp"]


def _offer(direction: Direction, codec: str) -> Any:
    sends = direction is Direction.SENDONLY
    opus = OfferedCodec(
        encoding="opus", clock_rate=48000, channels=2, fmtp="useinbandfec=1"
    )
    video = OfferedCodec(
        encoding=codec,
        clock_rate=90000,
        fmtp=CODECS[codec],
        feedback=FEEDBACK["video"],
        rtx=True,
    )
    return make_offer(
        [
            OfferedMedia(
                kind="audio",
                codecs=(opus,),
                extensions=EXTENSIONS["audio"],
                source=SOURCES[0] if sends else None,
            ),
            OfferedMedia(
                kind="video",
                codecs=(video,),
                extensions=EXTENSIONS["video"],
                source=SOURCES[1] if sends else None,
            ),
        ],
        direction=direction,
        transport=TRANSPORT,
        session_id=7,
    )


@pytest.mark.parametrize("codec", sorted(CODECS))
@pytest.mark.parametrize("direction", [Direction.SENDONLY, Direction.RECVONLY])
def test_chromium_answers_our_offer(
    browser_page: Page, codec: str, direction: Direction
) -> None:
    offer = _offer(direction, codec)
    answer = decode_session(browser_page.evaluate(TAKE, encode_session(offer)))
    session = apply_answer(offer, answer)
    assert [media.direction for media in session.media] == [direction, direction]
    audio, video = session.media
    assert [one.encoding for one in audio.codecs] == ["opus"]
    assert [one.encoding for one in video.codecs] == [codec]
    assert video.codecs[0].rtx_payload_type == 98
    assert video.codecs[0].feedback == FEEDBACK["video"]
    assert MID_EXTENSION in video.extensions
    # A browser that is asked becomes the DTLS client.
    assert not session.is_dtls_client


def test_chromium_adds_candidates_of_our_fragment(browser_page: Page) -> None:
    """RFC 8840 §4.4: a page takes a fragment apart line by line."""
    _exchange(browser_page, "VP8", Direction.SENDONLY)
    taken = decode_session(browser_page.evaluate("() => pc.remoteDescription.sdp"))
    text = encode_fragment(
        make_fragment(taken, ["3 1 udp 2130706430 127.0.0.2 9 typ host"])
    )
    browser_page.evaluate(
        """async (text) => {
          const mid = text.match(/a=mid:(.*)\\r/)[1];
          const candidate = text.match(/a=(candidate:.*)\\r/)[1];
          await pc.addIceCandidate({ sdpMid: mid, candidate });
        }""",
        text,
    )
    again = decode_session(browser_page.evaluate("() => pc.remoteDescription.sdp"))
    assert any("127.0.0.2" in one for one in again.media[0].candidates)
    assert decode_fragment(text).sections[0].mid == "0"
