"""WebRTC's signalling over HTTP: WHIP and WHEP, the JSON API, the public port."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import attrs
import httpx
import pytest
from sansmedia.sdp import decode_session

from penstock.control import (
    Conflict,
    Forbidden,
    Invalid,
    ListenerView,
    NotFound,
    Unacceptable,
    Unavailable,
    WebRtcAnswer,
)
from penstock.dialects.srs import is_public_path
from penstock.settings import HttpSettings, Settings, SrsApiSettings, WebRtcSettings

DATA = Path(__file__).parents[2] / "data" / "sdp"
OFFER = (DATA / "ffmpeg-whip.bin").read_bytes()
UFRAG = decode_session(OFFER).media[0].ice_ufrag or decode_session(OFFER).ice_ufrag
SESSION = "5e" + "0" * 30
ANSWER = (
    "v=0\r\no=- 7 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n"
    "m=video 9 UDP/TLS/RTP/SAVPF 106\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\n"
    "a=ice-ufrag:ours\r\na=ice-pwd:lLGpoTxMDYEP5LgVuqXR45vNoq6oLoSa\r\n"
    "a=setup:passive\r\na=recvonly\r\na=rtcp-mux\r\na=rtpmap:106 H264/90000\r\n"
    "a=candidate:1 1 udp 2130706431 192.0.2.2 8000 typ host\r\n"
)
WHIP = "/rtc/v1/whip/?app=live&stream=livestream"
WHEP = "/rtc/v1/whep/?app=live&stream=livestream"
URL = "webrtc://h:1985/live/livestream"

Fake = Callable[..., Any]


@pytest.fixture
def control(fake: Fake, make_session: Callable[..., Any]) -> Any:
    """Accept every offer with one session, which is there."""
    control = fake([], [], [make_session(SESSION, "publish", "whip")])
    control.answer = WebRtcAnswer(session_id=SESSION, sdp=ANSWER, ice_ufrag="ours")
    control.webrtc_sessions.add(SESSION)
    return control


def _body(**changes: object) -> dict[str, object]:
    return {
        "api": "http://h:1985/rtc/v1/publish/",
        "tid": "abc1234",
        "streamurl": URL,
        "clientip": None,
        "sdp": OFFER.decode(),
        **changes,
    }


# -- WHIP and WHEP --------------------------------------------------------------------


async def test_a_publisher_is_created(serve: Any, control: Any) -> None:
    async with serve(control) as site, httpx.AsyncClient(base_url=site.url) as client:
        answer = await client.post(f"{WHIP}&sign=%41", content=OFFER)
    assert answer.status_code == 201
    assert answer.headers["content-type"] == "application/sdp"
    assert decode_session(answer.text).name == "SRSPublishSession"
    location = urlsplit(answer.headers["location"])
    assert (location.scheme, location.netloc) == ("", "")
    assert location.path == "/rtc/v1/whip/"
    query = parse_qs(location.query)
    assert query["action"] == ["delete"]
    assert query["app"] == ["live"]
    assert query["stream"] == ["livestream"]
    assert query["session"] == [f"ours:{UFRAG}"]
    assert len(query["token"][0]) >= 9
    (offer,) = control.offers
    assert (offer.publishes, offer.vhost) == (True, "default")
    assert (offer.app, offer.name) == ("live", "livestream")
    assert offer.parameters == "app=live&stream=livestream&sign=%41"
    assert (offer.tc_url, offer.address) == ("", "127.0.0.1")


async def test_what_the_client_says_of_itself_goes_on(serve: Any, control: Any) -> None:
    async with serve(control) as site, httpx.AsyncClient(base_url=site.url) as client:
        await client.post(
            f"{WHIP}&eip=203.0.113.7:99&ice-ufrag=abcd&ice-pwd={'p' * 22}",
            content=OFFER,
            headers={
                "User-Agent": "Enc/1",
                "Referer": "http://page/",
                "Authorization": "Bearer t0ken",
                "X-Forwarded-For": "192.0.2.77",
                "Host": "203.0.113.9:1985",
            },
        )
    (offer,) = control.offers
    assert (offer.user_agent, offer.page_url) == ("Enc/1", "http://page/")
    assert (offer.token, offer.address) == ("t0ken", "192.0.2.77")
    assert offer.addresses == (("203.0.113.7", 99), ("203.0.113.9", 0))
    assert (offer.ice_ufrag, offer.ice_pwd) == ("abcd", "p" * 22)


async def test_half_of_the_credentials_is_made_up_for(serve: Any, control: Any) -> None:
    async with serve(control) as site, httpx.AsyncClient(base_url=site.url) as client:
        await client.post(f"{WHIP}&ice-ufrag=abcd", content=OFFER)
        await client.post(f"{WHIP}&ice-pwd={'p' * 22}", content=OFFER)
        await client.post(WHIP, content=OFFER)
    first, second, third = control.offers
    assert first.ice_ufrag == "abcd"
    assert len(first.ice_pwd) == 32
    assert len(second.ice_ufrag) == 8
    assert second.ice_pwd == "p" * 22
    assert (third.ice_ufrag, third.ice_pwd) == ("", "")


@pytest.mark.parametrize(
    "path",
    [
        WHEP,
        "/rtc/v1/whep?app=live&stream=livestream",
        "/rtc/v1/whip-play/?app=live&stream=livestream",
        "/rtc/v1/whip-play?app=live&stream=livestream",
        f"{WHIP}&action=play",
        "/rtc/v1/whip?action=play",
    ],
)
async def test_a_viewer_is_created_by_any_of_its_paths(
    serve: Any, control: Any, path: str
) -> None:
    async with serve(control) as site, httpx.AsyncClient(base_url=site.url) as client:
        answer = await client.post(path, content=OFFER)
    assert answer.status_code == 201
    assert decode_session(answer.text).name == "SRSPlaySession"
    assert answer.headers["location"].startswith("/rtc/v1/whip/?action=delete&token=")
    (offer,) = control.offers
    assert not offer.publishes
    assert offer.stays


async def test_a_virtual_host_is_found_by_host_header_or_query(
    serve: Any, control: Any
) -> None:
    everything = Settings(vhosts=["a.b"])
    async with (
        serve(control, everything=everything) as site,
        httpx.AsyncClient(base_url=site.url) as client,
    ):
        await client.post(WHIP, content=OFFER, headers={"Host": "a.b:1985"})
        await client.post(f"{WHIP}&domain=a.b", content=OFFER)
        await client.post(f"{WHIP}&vhost=other", content=OFFER)
    assert [offer.vhost for offer in control.offers] == ["a.b", "a.b", "default"]


async def test_the_first_candidate_is_the_one_asked_for_then_a_configured_one(
    serve: Any, control: Any
) -> None:
    everything = Settings(webrtc=WebRtcSettings(public_addresses=["203.0.113.1"]))
    outside = "a=candidate:%d 1 udp 2130641151 203.0.113.%d 8000 typ host\r\n"
    sdp = ANSWER + outside % (2, 1) + outside % (3, 7)
    control.answer = attrs.evolve(control.answer, sdp=sdp)
    firsts = []
    async with (
        serve(control, everything=everything) as site,
        httpx.AsyncClient(base_url=site.url) as client,
    ):
        for query in ("", "&eip=203.0.113.7"):
            answer = await client.post(WHIP + query, content=OFFER)
            (media,) = decode_session(answer.text).media
            firsts.append(media.candidates[0].split(" ")[4])
    assert firsts == ["203.0.113.1", "203.0.113.7"]


@pytest.mark.parametrize(
    ("refusal", "status", "line"),
    [
        (Forbidden("no"), 401, "1102: SystemAuth"),
        (Conflict("busy"), 409, "5020: RtcStreamBusy"),
        (Unacceptable("nothing in common"), 400, "5018: RtcSdpNegotiate"),
        (Invalid("a name too long"), 400, "5018: RtcSdpNegotiate: a name too long"),
        (Unavailable("full"), 500, "1074: ConnectionsExceed"),
        (NotFound("nobody publishes"), 500, "2048: StreamNotFound"),
    ],
)
async def test_a_refusal_has_status_number_and_name(
    serve: Any, control: Any, refusal: Exception, status: int, line: str
) -> None:
    control.answer = refusal
    view = control.server_view
    webrtc = ListenerView("webrtc", "0.0.0.0", 8000, True)
    control.server_view = attrs.evolve(view, listeners=(*view.listeners, webrtc))
    async with serve(control) as site, httpx.AsyncClient(base_url=site.url) as client:
        for path in (WHIP, WHEP):
            answer = await client.post(path, content=OFFER)
            assert (answer.status_code, answer.text) == (status, line)
            assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        for path in ("/rtc/v1/publish/", "/rtc/v1/play/"):
            answer = await client.post(path, json=_body())
            assert answer.status_code == 200
            assert answer.json()["code"] == 400


async def test_a_server_without_webrtc_says_so(serve: Any, control: Any) -> None:
    control.answer = Unavailable("WebRTC is switched off")
    async with serve(control) as site, httpx.AsyncClient(base_url=site.url) as client:
        answer = await client.post(WHIP, content=OFFER)
    assert (answer.status_code, answer.text) == (500, "5021: RtcDisabled")


@pytest.mark.parametrize(
    ("body", "line"),
    [
        (b"", "5043: RtcInvalidSdp"),
        (b"invalidsdp", "5012: RtcSdpDecode"),
        (b"\xff\xfe", "5012: RtcSdpDecode"),
        # No section, so nobody's credentials.
        (b"v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n", "5018: RtcSdpNegotiate"),
    ],
)
async def test_what_is_no_offer_is_refused(
    serve: Any, control: Any, body: bytes, line: str
) -> None:
    async with serve(control) as site, httpx.AsyncClient(base_url=site.url) as client:
        answer = await client.post(WHIP, content=body)
        assert (answer.status_code, answer.text) == (400, line)
    assert control.offers == []


async def test_a_codec_that_is_not_offered_is_refused(serve: Any, control: Any) -> None:
    async with serve(control) as site, httpx.AsyncClient(base_url=site.url) as client:
        answer = await client.post(f"{WHIP}&codec=av1", content=OFFER)
        assert (answer.status_code, answer.text) == (400, "5018: RtcSdpNegotiate")


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH"])
async def test_other_methods_are_offers_too(
    serve: Any, control: Any, method: str
) -> None:
    async with serve(control) as site, httpx.AsyncClient(base_url=site.url) as client:
        answer = await client.request(method, WHIP)
        assert (answer.status_code, answer.text) == (400, "5043: RtcInvalidSdp")
        answer = await client.request(method, WHIP, content=OFFER)
        assert answer.status_code == 201


async def test_an_offer_that_is_too_long_is_not_kept(serve: Any, control: Any) -> None:
    async with serve(control) as site, httpx.AsyncClient(base_url=site.url) as client:
        answer = await client.post(WHIP, content=b"v=0\r\n" + b"a=x\r\n" * 60_000)
        assert answer.status_code == 413
        # The connection has been read on and serves the next request.
        answer = await client.post(WHIP, content=OFFER)
        assert answer.status_code == 201


# -- ending a session -----------------------------------------------------------------


@pytest.mark.parametrize("path", [WHIP, WHEP])
async def test_the_location_ends_the_session_and_may_be_asked_twice(
    serve: Any, control: Any, path: str
) -> None:
    async with serve(control) as site, httpx.AsyncClient(base_url=site.url) as client:
        location = (await client.post(path, content=OFFER)).headers["location"]
        for _ in range(2):
            answer = await client.delete(location)
            assert (answer.status_code, answer.content) == (200, b"")
            assert "content-type" not in answer.headers
    assert control.kicked == [(SESSION, "client left")]


async def test_a_session_that_has_ended_by_itself_is_no_error(
    serve: Any, control: Any
) -> None:
    async with serve(control) as site, httpx.AsyncClient(base_url=site.url) as client:
        location = (await client.post(WHIP, content=OFFER)).headers["location"]
        control.session_views.clear()
        assert (await client.delete(location)).status_code == 200


async def test_only_the_token_of_the_session_ends_it(serve: Any, control: Any) -> None:
    async with serve(control) as site, httpx.AsyncClient(base_url=site.url) as client:
        location = (await client.post(WHIP, content=OFFER)).headers["location"]
        session = location.partition("session=")[2]
        for query, status in (
            (f"session={session}", 400),
            (f"token=&session={session}", 400),
            (f"token=wrong&session={session}", 401),
            ("token=wrong&session=nobody:home", 200),
        ):
            answer = await client.delete(f"/rtc/v1/whip/?{query}")
            assert answer.status_code == status
            if status != 200:
                assert answer.text == "5036: RtcInvalidSession"
        assert control.kicked == []
        assert (await client.delete(location)).status_code == 200
    assert control.kicked == [(SESSION, "client left")]


async def test_sessions_that_have_ended_are_forgotten(serve: Any, control: Any) -> None:
    async with serve(control) as site, httpx.AsyncClient(base_url=site.url) as client:
        first = (await client.post(WHIP, content=OFFER)).headers["location"]
        control.webrtc_sessions.clear()
        control.answer = attrs.evolve(control.answer, ice_ufrag="next")
        second = (await client.post(WHIP, content=OFFER)).headers["location"]
        wrong = "token=wrong"
        token = parse_qs(urlsplit(first).query)["token"][0]
        answer = await client.delete(first.replace(f"token={token}", wrong))
        assert answer.status_code == 200
        token = parse_qs(urlsplit(second).query)["token"][0]
        answer = await client.delete(second.replace(f"token={token}", wrong))
        assert answer.status_code == 401


# -- the JSON API ---------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/rtc/v1/publish/", "/rtc/v1/publish"])
async def test_a_call_publishes(serve: Any, control: Any, path: str) -> None:
    async with serve(control) as site, httpx.AsyncClient(base_url=site.url) as client:
        answer = await client.post(path, json=_body(streamurl=f"{URL}?token=t"))
    assert answer.headers["content-type"] == "application/json"
    told = answer.json()
    assert list(told) == ["code", "server", "service", "pid", "sdp", "sessionid"]
    assert told["code"] == 0
    assert told["sessionid"] == f"ours:{UFRAG}"
    assert decode_session(told["sdp"]).name == "SRSPublishSession"
    (offer,) = control.offers
    assert offer.publishes
    assert offer.parameters == "token=t&upstream=rtc"
    assert offer.tc_url == "webrtc://h:1985/live"


@pytest.mark.parametrize("path", ["/rtc/v1/play/", "/rtc/v1/play"])
async def test_a_call_plays(serve: Any, control: Any, path: str) -> None:
    async with serve(control) as site, httpx.AsyncClient(base_url=site.url) as client:
        answer = await client.post(path, json=_body())
    told = answer.json()
    assert told["code"] == 0
    assert decode_session(told["sdp"]).name == "SRSPlaySession"
    (offer,) = control.offers
    assert (offer.publishes, offer.parameters) == (False, "")


async def test_the_address_that_a_call_claims_is_not_believed(
    serve: Any, control: Any
) -> None:
    async with serve(control) as site, httpx.AsyncClient(base_url=site.url) as client:
        await client.post("/rtc/v1/publish/", json=_body(clientip="10.0.0.1"))
    (offer,) = control.offers
    assert offer.address == "127.0.0.1"


@pytest.mark.parametrize("path", ["/rtc/v1/publish/", "/rtc/v1/play/"])
async def test_a_call_that_fails_has_one_number(
    serve: Any, control: Any, path: str
) -> None:
    async with serve(control) as site, httpx.AsyncClient(base_url=site.url) as client:
        for content in (b"", b"{}", b"[]", json.dumps(_body(sdp="v=1")).encode()):
            answer = await client.post(path, content=content)
            assert answer.status_code == 200
            assert answer.content == b'{"code":400}'
        assert (await client.get(path)).content == b'{"code":400}'
    assert control.offers == []


async def test_plain_media_is_refused_with_a_message(serve: Any, control: Any) -> None:
    async with serve(control) as site, httpx.AsyncClient(base_url=site.url) as client:
        answer = await client.post("/rtc/v1/play/?encrypt=false", json=_body())
    assert answer.json()["code"] == 400
    assert "always encrypted" in answer.json()["message"]


# -- transport rules ------------------------------------------------------------------


async def test_no_password_is_asked_for(serve: Any, control: Any) -> None:
    settings = SrsApiSettings(username="admin", password="s3cret")
    async with (
        serve(control, settings) as site,
        httpx.AsyncClient(base_url=site.url) as client,
    ):
        assert (await client.get("/api/v1/versions")).status_code == 401
        assert (await client.post(WHIP, content=OFFER)).status_code == 201


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (b"/rtc/v1/whip/", True),
        (b"/rtc/v1/play", True),
        (b"/rtc/v1/", True),
        (b"/rtc/", False),
        (b"/api/v1/streams/", False),
        (b"/live/rtc/v1/", False),
    ],
)
def test_the_public_port_gives_its_signalling_paths_away(
    path: bytes, expected: bool
) -> None:
    assert is_public_path(path) is expected


@pytest.mark.parametrize(
    ("origins", "allowed"), [(["*"], True), (["http://a"], True), (["http://b"], False)]
)
async def test_other_origins_on_the_public_port_follow_its_own_rule(
    serve: Any, control: Any, origins: list[str], allowed: bool
) -> None:
    settings = SrsApiSettings(crossdomain=not allowed)
    everything = Settings(http=HttpSettings(cors_origins=origins))
    origin = {"Origin": "http://a"}
    async with (
        serve(control, settings, everything=everything, public=True) as site,
        httpx.AsyncClient(base_url=site.url) as client,
    ):
        answer = await client.options(WHIP, headers=origin)
        assert answer.status_code == (200 if allowed else 405)
        answer = await client.post(WHIP, content=OFFER, headers=origin)
        assert answer.status_code == 201
        assert ("access-control-allow-origin" in answer.headers) is allowed


async def test_a_path_that_leads_nowhere_is_404(serve: Any, control: Any) -> None:
    async with (
        serve(control, public=True) as site,
        httpx.AsyncClient(base_url=site.url) as client,
    ):
        for path in ("/rtc/v1/", "/rtc/v1/nack/", "/rtc/v1/%2e%2e/api/v1/streams/"):
            assert (await client.get(path)).status_code == 404
