"""Publishers and viewers that mean harm: it costs nobody else anything."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

import pytest
from sansmedia import sdp
from sansmedia.sansio import Datagram

from penstock.engine.control import EngineControl

if TYPE_CHECKING:
    from tests.server.webrtc.conftest import Client, Site

    WebRtcSite = Callable[..., AbstractAsyncContextManager[Site]]

_KEY = b"\x10\x10\x00\x00\x9d\x01\x2a\x40\x00\x30\x00" + bytes(40)
"""A key frame of VP8, 64x48, in one payload. RFC 7741 §4.2, RFC 6386 §9.1."""


def _send(client: Client, payload_type: int, number: int, payload: bytes) -> None:
    """Send one packet of pictures, whatever was negotiated. RFC 3550 §5.1."""
    sealer, path = client.peer.sealer, client.peer.path
    assert sealer is not None
    assert path is not None
    header = struct.pack(
        ">BBHII", 0x80, 0x80 | payload_type, number, number * 3_000, 0x1000
    )
    data = sealer.protect_rtp(header + payload)
    client.socket.send(Datagram(data, path.peer, path.local))


async def test_a_codec_that_changes_with_every_packet_is_told_once(
    webrtc_site: WebRtcSite, capfd: pytest.CaptureFixture[str]
) -> None:
    async with webrtc_site() as site:
        publisher = await site.publisher()
        session = publisher.peer.session
        assert session is not None
        (video,) = [media for media in session.media if media.kind == "video"]
        one, other = (codec.payload_type for codec in video.codecs)
        for n in range(20):
            _send(publisher, (one, other)[n % 2], n, _KEY)
            before = site.server.engine.registry.bytes_received
            await site.until(
                lambda: site.server.engine.registry.bytes_received > before  # noqa: B023
            )
    told = [line for line in capfd.readouterr().err.splitlines() if " track " in line]
    assert len(told) == 2


async def test_an_offer_looks_at_few_of_many_other_sessions(
    webrtc_site: WebRtcSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("penstock.web.whip._SWEEP", 3)
    monkeypatch.setattr("penstock.web.whip._REMEMBERED_S", 0.0)
    async with webrtc_site() as site:
        publisher = await site.publisher()
        looked_at: list[str] = []
        ask = EngineControl.webrtc_ufrag

        async def noted(self: EngineControl, session_id: str) -> str:
            looked_at.append(session_id)
            return await ask(self, session_id)

        monkeypatch.setattr(EngineControl, "webrtc_ufrag", noted)
        offers = [await site.client("live/a/whep").post() for _ in range(12)]
        assert len(looked_at) <= 3 * 12
        assert len(set(looked_at)) > 6  # in turn
        ended = str(offers[0].url.join(offers[0].headers["location"]))
        assert (await site.http.delete(ended)).status_code == 200
        assert (await site.http.delete(publisher.location)).status_code == 200


async def test_a_fingerprint_that_nothing_could_match_is_refused(
    webrtc_site: WebRtcSite,
) -> None:
    """MD5 is none that anybody has to believe. RFC 8122 §5."""
    async with webrtc_site() as site:
        client = site.client("live/a/whip")
        offer = sdp.encode_session(client.offer())
        md5 = "a=fingerprint:md5 " + ":".join(["AA"] * 16)
        wrong = re.sub("a=fingerprint:.*", md5, offer)
        answer = await site.http.post(
            client.url, content=wrong, headers={"Content-Type": "application/sdp"}
        )
        assert answer.status_code == 422
        assert "hash" in answer.json()["detail"]
        await site.until(lambda: not site.server.engine.registry.sessions)
