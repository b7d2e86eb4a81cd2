"""Offers, answers, refusals, candidates and restarts, by HTTP."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any

import attrs
import pytest
import trio
import trio.testing
from sansmedia import sdp

from penstock.settings import AuthSettings, StreamSettings, WebRtcSettings

if TYPE_CHECKING:
    from tests.server.conftest import Media
    from tests.server.webrtc.conftest import Site

    WebRtcSite = Callable[..., AbstractAsyncContextManager[Site]]

_SDP = {"Content-Type": "application/sdp"}
_SRS = "rtc/v1/whip/?app=live&stream=a"


async def test_a_second_publisher_is_a_conflict(webrtc_site: WebRtcSite) -> None:
    async with webrtc_site() as site:
        await site.publisher()
        answer = await site.client("live/a/whip").post()
        assert answer.status_code == 409
        assert "publisher" in answer.json()["detail"]
        assert "retry-after" in answer.headers


@pytest.mark.parametrize(
    ("query", "headers", "status"),
    [
        ("", {}, 401),
        ("", {"Authorization": "Bearer wrong"}, 403),
        ("?token=wrong", {}, 401),
        ("", {"Authorization": "Bearer right"}, 201),
        ("?token=right", {}, 201),
    ],
)
async def test_tokens_come_in_the_header_or_the_query(
    webrtc_site: WebRtcSite,
    settings_of: Any,
    query: str,
    headers: dict[str, str],
    status: int,
) -> None:
    """RFC 6750 §2.1, §3.1: who brought none may come again with one."""
    auth = AuthSettings(publish="token", publish_tokens=["right"])
    async with webrtc_site(settings_of(auth=auth)) as site:
        answer = await site.client(f"live/a/whip{query}", sends=True).post(**headers)
        assert answer.status_code == status


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        ("", "application/sdp", 400),
        ("v=0\r\nnonsense", "application/sdp", 400),
        ("x" * 300_000, "application/sdp", 413),
        ("{}", "application/json", 415),
    ],
)
async def test_what_is_no_offer_is_refused(
    webrtc_site: WebRtcSite, body: str, kind: str, status: int
) -> None:
    async with webrtc_site() as site:
        url = site.client("live/a/whip").url
        answer = await site.http.post(url, content=body, headers={"Content-Type": kind})
        assert answer.status_code == status
        assert not site.server.engine.registry.sessions


async def test_an_offer_that_flows_the_wrong_way_is_unprocessable(
    webrtc_site: WebRtcSite,
) -> None:
    async with webrtc_site() as site:
        answer = await site.client("live/a/whep", sends=True).post()
        assert answer.status_code == 422


async def test_a_viewer_without_the_streams_codec_is_told_what_there_is(
    webrtc_site: WebRtcSite, media: type[Media]
) -> None:
    async with webrtc_site() as site:
        rtmp = await site.server.rtmp()
        stream_id = await rtmp.publish("a")
        await rtmp.send(stream_id, [*media.headers(), *media.group(0)])
        await site.until(lambda: site.frames() >= 5)
        client = site.client("live/a/whep")
        offer = client.offer()
        first = attrs.evolve(offer.media[0], payloads=offer.media[0].payloads[:2])
        offer = attrs.evolve(offer, media=(first, *offer.media[1:]))
        answer = await site.http.post(
            client.url, content=sdp.encode_session(offer), headers=_SDP
        )
        assert answer.status_code == 422
        detail = answer.json()["detail"]
        assert "h264" in detail
        assert "VP8" in detail


async def test_nobody_publishes_and_nobody_may_wait(
    webrtc_site: WebRtcSite, settings_of: Any
) -> None:
    """WHEP draft-03 §4.3.8."""
    settings = settings_of(stream=StreamSettings(wait_for_publisher_s=0))
    async with webrtc_site(settings) as site:
        answer = await site.client("live/a/whep").post()
        assert answer.status_code == 409
        assert "retry-after" in answer.headers


async def test_switched_off_webrtc_says_so(
    webrtc_site: WebRtcSite, settings_of: Any
) -> None:
    settings = settings_of(webrtc=WebRtcSettings(listen=""))
    async with webrtc_site(settings) as site:
        answer = await site.client("live/a/whip").post()
        assert answer.status_code == 503
        assert "webrtc.listen" in answer.json()["detail"]


async def test_candidates_and_a_restart_come_by_patch(webrtc_site: WebRtcSite) -> None:
    """RFC 9725 §4.3.2, §4.3.3."""
    async with webrtc_site() as site:
        client = await site.publisher()
        peer = client.peer
        session = peer.session
        assert session is not None
        old = peer.transport()
        trickled = f"a=ice-ufrag:{old.ice_ufrag}\r\na=ice-pwd:{old.ice_pwd}\r\n"
        trickled += f"m=video 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\na={_CANDIDATE}\r\n"
        assert (await client.patch(trickled)).status_code == 428
        wrong = await client.patch(trickled, If_Match='"other"')
        assert wrong.status_code == 412
        taken = await client.patch(trickled, If_Match=client.etag)
        assert taken.status_code == 204
        before = peer.path
        peer.restart(now=trio.current_time())
        new = peer.transport()
        fragment = f"a=ice-ufrag:{new.ice_ufrag}\r\na=ice-pwd:{new.ice_pwd}\r\n"
        fragment += "m=video 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n"
        fragment += "".join(f"a=candidate:{text}\r\n" for text in new.candidates)
        answer = await client.patch(fragment, If_Match="*")
        assert answer.status_code == 200
        assert answer.headers["etag"] != client.etag
        theirs = sdp.decode_fragment(answer.text)
        ufrag, pwd = theirs.credentials
        assert ufrag is not None
        assert pwd is not None
        peer.set_remote_parameters(ufrag, pwd, now=trio.current_time())
        for text in theirs.all_candidates:
            peer.add_remote_candidate(text, now=trio.current_time())
        await client.wait_for(lambda: peer.ice.state.value == "completed")
        client.picture(0, key=True)
        await site.until(lambda: site.frames() == 1)
        assert peer.path is not None
        assert before is not None


async def test_a_restart_with_wrong_credentials_changes_nothing(
    webrtc_site: WebRtcSite,
) -> None:
    async with webrtc_site() as site:
        client = await site.publisher()
        fragment = "a=ice-ufrag:abcd\r\na=ice-pwd:short\r\n"
        fragment += "m=video 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n"
        answer = await client.patch(fragment, If_Match="*")
        assert answer.status_code == 400
        old = client.peer.transport()
        same = f"a=ice-ufrag:{old.ice_ufrag}\r\na=ice-pwd:{old.ice_pwd}\r\n"
        same += f"m=video 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\na={_CANDIDATE}\r\n"
        taken = await client.patch(same, If_Match=client.etag)
        assert taken.status_code == 204
        await site.http.delete(client.location)


_CANDIDATE = "candidate:1 1 udp 2130706431 192.0.2.77 9 typ host"


async def test_a_publisher_and_a_viewer_of_srs_meet_on_the_public_port(
    webrtc_site: WebRtcSite,
) -> None:
    async with webrtc_site() as site:
        publisher = site.client(_SRS, sends=True)
        await publisher.connect()
        viewer = site.client("rtc/v1/whep/?app=live&stream=a", sends=False)
        await viewer.connect()
        # H.264 is what SRS takes of the two that are offered.
        assert publisher.peer.session is not None
        (codec,) = publisher.peer.session.media[0].codecs
        assert codec.encoding == "H264"
        publisher.sound(1)
        await viewer.wait_for(lambda: viewer.packets["audio"])
        registry = site.server.engine.registry
        for client in (viewer, publisher):
            response = await site.http.delete(client.location)
            assert response.status_code == 200
        await site.until(lambda: not registry.sessions)


async def test_an_answer_has_the_credentials_that_were_asked_for(
    webrtc_site: WebRtcSite,
) -> None:
    async with webrtc_site() as site:
        wish = f"&ice-ufrag=abcd&ice-pwd={'p' * 22}"
        client = site.client(_SRS + wish, sends=True)
        await client.connect()
        assert client.peer.session is not None
        remote = client.peer.session.remote
        assert (remote.ice_ufrag, remote.ice_pwd) == ("abcd", "p" * 22)
        # A peer is found by its user name fragment: there is one of each.
        other = site.client(f"rtc/v1/whip/?stream=b{wish}", sends=True)
        response = await other.post()
        assert response.status_code == 400
        assert "another session has this ICE user name fragment" in response.text
        await site.http.delete(client.location)
        await site.until(lambda: not site.server.engine.registry.sessions)
        await other.connect()


async def test_an_answer_has_the_addresses_that_were_asked_for(
    webrtc_site: WebRtcSite,
) -> None:
    async with webrtc_site() as site:
        first = site.client(f"{_SRS}&eip=203.0.113.7", sends=True)
        second = site.client(f"{_SRS}2&eip=203.0.113.8:1234", sends=True)
        places = []
        for client in (first, second):
            answer = sdp.decode_session((await client.post()).text)
            found = [c.split(" ") for c in answer.media[0].candidates]
            places.append([words[4:6] for words in found if words[2] == "udp"])
        (asked, own), (asked_too, own_too) = places
        assert own == own_too
        assert own[0] == "127.0.0.1"
        assert asked == ["203.0.113.7", own[1]]
        assert asked_too == ["203.0.113.8", "1234"]


async def test_a_layer_is_listed_and_chosen_by_the_sessions_own_resource(
    webrtc_site: WebRtcSite,
) -> None:
    async with webrtc_site() as site:
        publisher = site.client("live/a/whip")
        await publisher.connect()
        viewer = site.client("live/a/whep")
        await viewer.connect()
        layer = f"{viewer.location}/layer"
        assert (await site.http.get(layer)).json() == []
        assert (await site.http.post(layer, json={})).status_code == 200
        wrong = await site.http.post(layer, json={"encodingId": "q"})
        assert wrong.status_code == 400
        assert "none" in wrong.json()["detail"]
        assert (await site.http.post(layer, content=b"[")).status_code == 400
        publisher.picture(0, key=True)
        await viewer.wait_for(viewer.pictures)
        assert (await site.http.delete(layer)).status_code == 200
        publisher.picture(1, key=True)
        publisher.sound(1)
        await viewer.wait_for(lambda: viewer.packets["audio"])
        assert viewer.pictures() == [0]
        assert (await site.http.post(layer, json={})).status_code == 200
        publisher.picture(2, key=True)
        await viewer.wait_for(lambda: 2 in viewer.pictures())
        assert (await site.http.put(layer)).status_code == 405
        gone = layer.replace("/layer", "x/layer")
        assert (await site.http.get(gone)).status_code == 404


async def test_an_answer_of_srs_echoes_nack_and_takes_either_role(
    webrtc_site: WebRtcSite,
) -> None:
    async with webrtc_site() as site:
        client = site.client(_SRS, sends=True)
        offer = sdp.encode_session(client.offer())
        bare = "\r\n".join(
            line for line in offer.split("\r\n") if not line.startswith("a=rtcp-fb")
        )
        url = client.url.removesuffix("a")
        for name, text, nacks, role in (
            ("a", offer, 2, "passive"),
            ("b", bare, 0, "passive"),
            ("c", offer.replace("setup:actpass", "setup:active"), 2, "passive"),
            ("d", offer.replace("setup:actpass", "setup:passive"), 2, "active"),
        ):
            response = await site.http.post(url + name, content=text)
            assert response.status_code == 201
            assert response.text.count("nack") == nacks
            assert response.text.count(f"a=setup:{role}\r\n") == 2


async def test_a_viewer_that_learns_too_late_of_a_codec_is_in_the_log(
    webrtc_site: WebRtcSite,
    media: type[Media],
    monkeypatch: pytest.MonkeyPatch,
    log_lines: Callable[[], list[str]],
) -> None:
    """The offer came before the stream: nobody could have refused it."""
    async with webrtc_site() as site:
        client = site.client("live/a/whep")
        offer = client.offer()
        first = attrs.evolve(offer.media[0], payloads=offer.media[0].payloads[:2])
        offer = attrs.evolve(offer, media=(first, *offer.media[1:]))
        monkeypatch.setattr(client, "offer", lambda: offer)
        await client.connect()
        rtmp = await site.server.rtmp()
        stream_id = await rtmp.publish("a")
        await rtmp.send(stream_id, [*media.headers(), *media.group(0)])
        await site.until(lambda: site.frames() >= 5)
        await site.until(
            lambda: any(
                "viewer misses a track" in line and "codec=h264" in line
                for line in log_lines()
            )
        )
