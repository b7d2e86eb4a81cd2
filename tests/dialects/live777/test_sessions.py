"""WHIP, WHEP and what can be done to their sessions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from penstock.control import (
    Conflict,
    ControlError,
    Forbidden,
    Invalid,
    Unacceptable,
    Unavailable,
    WebRtcAnswer,
)

Make = Callable[..., Any]

SESSION = "9" * 32
SDP = {"Content-Type": "application/sdp"}
FRAGMENT = {"Content-Type": "application/trickle-ice-sdpfrag"}
JSON = {"Content-Type": "application/json"}
LAYERS = ("q", "f", "h")


def _answer(layers: tuple[str, ...] = ()) -> WebRtcAnswer:
    return WebRtcAnswer(session_id=SESSION, sdp="v=0\r\n", ice_ufrag="u", layers=layers)


@pytest.fixture
def simulcast(
    fake: Make, make_stream: Make, make_player: Make, make_track: Make
) -> Any:
    """A control of a stream with three layers and one viewer."""
    tracks = tuple(
        make_track("video", "vp8", group="simulcast", name=name) for name in LAYERS
    )
    return fake([make_stream(tracks=tracks)], [make_player()])


# -- offers --------------------------------------------------------------------------


async def test_a_publisher_gets_201_and_where_its_session_is(
    api: Make, offer: Make
) -> None:
    site = api()
    site.control.answer = _answer()
    answer = await site.client.post("/whip/x", content=offer(), headers=SDP)
    assert (answer.status_code, answer.text) == (201, "v=0\r\n")
    assert answer.headers["Content-Type"] == "application/sdp"
    assert answer.headers["Accept-Patch"] == "application/trickle-ice-sdpfrag"
    assert answer.headers["Location"] == f"/session/x/{SESSION}"
    assert not {"ETag", "Link", "Accept-Post"} & set(answer.headers)
    (asked,) = site.control.offers
    assert (asked.publishes, asked.vhost, asked.app, asked.name) == (
        *(True, "default"),
        *("live", "x"),
    )
    assert (asked.sdp, asked.address, asked.stays) == (offer(), "192.0.2.7", True)
    assert asked.authorized is False


async def test_a_stream_of_another_app_is_one_segment_of_the_path(
    api: Make, offer: Make
) -> None:
    site = api()
    site.control.answer = _answer()
    answer = await site.client.post("/whip/app%2Fx", content=offer(), headers=SDP)
    assert answer.headers["Location"] == f"/session/app%2Fx/{SESSION}"
    (asked,) = site.control.offers
    assert (asked.app, asked.name) == ("app", "x")


async def test_servers_for_ice_and_layers_are_linked(
    api: Make, offer: Make, simulcast: Any, make_session: Make
) -> None:
    site = api(
        simulcast,
        ice={
            "ice_servers": ["stun:a.example", "turn:b.example"],
            "ice_username": 'a"b',
            "ice_credential": "c",
        },
    )
    site.control.answer = _answer(LAYERS)
    site.control.session_views.append(make_session(SESSION, "play"))
    answer = await site.client.post("/whep/x", content=offer("recvonly"), headers=SDP)
    assert answer.headers.get_list("Link") == [
        '<stun:a.example>; rel="ice-server"',
        '<turn:b.example>; rel="ice-server"; username="a\\"b"; credential="c"; '
        'credential-type="password"',
        f'</session/x/{SESSION}/layer>; rel="urn:ietf:params:whep:ext:core:layer"',
    ]
    # The first in the order of names is what a subscriber begins with.
    assert site.control.selected == [(SESSION, "f")]


@pytest.mark.parametrize(
    ("type", "text"),
    [
        (None, "Content-Type is required"),
        ("application/json", "Content-Type must be application/sdp"),
        ("application/sdp; charset=utf-8", "Content-Type must be application/sdp"),
    ],
)
async def test_another_type_of_content_is_500(
    api: Make, offer: Make, type: str | None, text: str
) -> None:
    headers = {} if type is None else {"Content-Type": type}
    answer = await api().client.post(
        "/whip/x", content=offer().encode(), headers=headers
    )
    assert (answer.status_code, answer.text) == (500, text)


async def test_offers_of_several_pictures_and_sounds_are_500(
    api: Make, offer: Make
) -> None:
    site = api()
    for path, direction in (("/whip/x", "sendonly"), ("/whep/x", "recvonly")):
        answer = await site.client.post(
            path, content=offer(direction, 2, 2), headers=SDP
        )
        assert (answer.status_code, answer.text) == (500, f"{direction} is more than 1")
    assert site.control.offers == []
    assert site.control.stream_views == []


async def test_what_is_no_description_is_500(api: Make) -> None:
    answer = await api().client.post("/whip/x", content="nonsense", headers=SDP)
    assert answer.status_code == 500


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (Conflict("busy"), 409, "A connection has already been established"),
        (Invalid("no ufrag"), 500, "no ufrag"),
        (Unacceptable("no codec"), 500, "no codec"),
        (Forbidden("not you"), 403, "not you"),
        (Unavailable("full"), 503, "full"),
    ],
)
async def test_refusals_have_live777s_statuses(
    api: Make, offer: Make, error: ControlError, status: int, text: str
) -> None:
    site = api()
    site.control.answer = error
    answer = await site.client.post("/whip/x", content=offer(), headers=SDP)
    assert (answer.status_code, answer.text) == (status, text)
    # The stream that was made for this offer is gone again.
    assert site.control.stream_views == []


async def test_a_stream_that_existed_before_survives_a_refusal(
    api: Make, offer: Make
) -> None:
    site = api()
    await site.client.post("/api/streams/x")
    site.control.answer = Conflict("busy")
    await site.client.post("/whip/x", content=offer(), headers=SDP)
    assert site.control.destroyed == []


async def test_without_auto_creation_a_command_must_have_made_the_stream(
    api: Make, offer: Make
) -> None:
    site = api(strategy={"auto_create_whip": False, "auto_create_whep": False})
    site.control.answer = _answer()
    for path, direction in (("/whip/x", "sendonly"), ("/whep/x", "recvonly")):
        answer = await site.client.post(path, content=offer(direction), headers=SDP)
        assert (answer.status_code, answer.text) == (404, "stream not exists")
    await site.client.post("/api/streams/x")
    for path, direction in (("/whip/x", "sendonly"), ("/whep/x", "recvonly")):
        answer = await site.client.post(path, content=offer(direction), headers=SDP)
        assert answer.status_code == 201


async def test_a_subscriber_may_come_first(api: Make, offer: Make) -> None:
    site = api()
    site.control.answer = _answer()
    answer = await site.client.post("/whep/x", content=offer("recvonly"), headers=SDP)
    assert answer.status_code == 201
    (made,) = site.control.stream_views
    assert (made.name, made.reserved) == ("x", True)
    assert site.control.offers[0].stays


async def test_streams_made_by_first_comers_are_bounded(api: Make, offer: Make) -> None:
    site = api()
    site.control.answer = _answer()
    for number in range(258):
        path = f"/whep/{number}"
        await site.client.post(path, content=offer("recvonly"), headers=SDP)
    names = [view.name for view in site.control.stream_views]
    assert names == [str(number) for number in range(2, 258)]


# -- trickling -----------------------------------------------------------------------


async def test_candidates_are_passed_on(
    api: Make, fake: Make, make_stream: Make, make_session: Make
) -> None:
    site = api(fake([make_stream()], [make_session(SESSION)]))
    site.control.webrtc_sessions.add(SESSION)
    candidate = "1 1 udp 2130706431 192.0.2.7 5000 typ host"
    body = (
        "a=ice-ufrag:EsAw\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\n"
        "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n"
        f"a=candidate:{candidate}\r\na=end-of-candidates\r\n"
    )
    path = f"/session/x/{SESSION}"
    answer = await site.client.patch(path, content=body, headers=FRAGMENT)
    assert (answer.status_code, answer.text) == (204, "")
    # Its credentials would restart ICE, which no client of Live777 knows.
    assert site.control.patches == [(SESSION, "", "", (candidate,), True)]


async def test_fragments_are_judged_before_sessions(
    api: Make, fake: Make, make_stream: Make
) -> None:
    site = api(fake([make_stream()]))

    async def patch(path: str, body: str, headers: dict[str, str]) -> tuple[int, str]:
        answer = await site.client.patch(path, content=body, headers=headers)
        return answer.status_code, answer.text

    good = "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n"
    assert await patch("/session/x/unknown", good, FRAGMENT) == (204, "")
    assert await patch("/session/y/unknown", good, FRAGMENT) == (
        *(404, "session not exists"),
    )
    assert await patch("/session/x/unknown", good, SDP) == (
        *(500, "Content-Type must be application/trickle-ice-sdpfrag"),
    )
    for bad in (good.replace("mid:0", "mid:a"), good.replace("a=mid:0\r\n", ""), "?"):
        assert (await patch("/session/x/unknown", bad, FRAGMENT))[0] == 500


# -- the end -------------------------------------------------------------------------


async def test_a_publisher_that_leaves_takes_the_stream_along(
    api: Make, fake: Make, make_stream: Make, make_session: Make, make_player: Make
) -> None:
    stream = make_stream()
    site = api(fake([stream], [make_session(SESSION), make_player()]))
    answer = await site.client.delete(f"/session/x/{SESSION}")
    assert (answer.status_code, answer.text) == (204, "")
    assert site.control.destroyed == [(stream.id, "client left")]
    assert (await site.client.get("/api/streams/")).json() == []


async def test_a_subscriber_leaves_alone_and_is_gone_from_the_list(
    api: Make, fake: Make, make_stream: Make, make_session: Make, make_player: Make
) -> None:
    player = make_player()
    site = api(fake([make_stream()], [make_session(SESSION), player]))
    site.control.kicks_at_once = True
    answer = await site.client.delete(f"/session/x/{player.id}")
    assert answer.status_code == 204
    assert site.control.kicked == [(player.id, "client left")]
    (shown,) = (await site.client.get("/api/streams/")).json()
    assert shown["subscribe"]["sessions"] == []


async def test_unknown_sessions_end_with_204_on_known_streams_only(
    api: Make, fake: Make, make_stream: Make, make_session: Make
) -> None:
    other = make_session(SESSION, name="y")
    site = api(fake([make_stream(), make_stream("y")], [other]))
    for session in ("unknown", SESSION):  # the second is another stream's
        assert (await site.client.delete(f"/session/x/{session}")).status_code == 204
    answer = await site.client.delete(f"/session/z/{SESSION}")
    assert (answer.status_code, answer.text) == (404, "session not exists")
    assert site.control.destroyed == site.control.kicked == []


# -- muting and layers ---------------------------------------------------------------


async def test_a_kind_is_muted_and_unmuted(api: Make, simulcast: Any) -> None:
    site = api(simulcast)
    viewer = simulcast.session_views[0].id
    for enabled in ("false", "true"):
        body = '{"kind":"audio","enabled":' + enabled + "}"
        answer = await site.client.post(
            f"/session/x/{viewer}", content=body, headers=JSON
        )
        assert (answer.status_code, answer.text) == (200, "{}")
    assert simulcast.muted == [(viewer, "audio", True), (viewer, "audio", False)]


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        ('{"kind":"text","enabled":true}', JSON, 500),
        ('{"kind":"video"}', JSON, 422),
        ('{"kind":"video","enabled":1}', JSON, 422),
        ("[]", JSON, 422),
        ("{", JSON, 400),
        ('{"kind":"video","enabled":true}', {"Content-Type": "text/plain"}, 415),
    ],
)
async def test_bodies_are_refused_as_the_original_does(
    api: Make, simulcast: Any, body: str, headers: dict[str, str], status: int
) -> None:
    answer = await api(simulcast).client.post(
        "/session/x/1", content=body, headers=headers
    )
    assert answer.status_code == status
    if status == 500:
        assert answer.text == "kind unspecified"


async def test_muting_needs_the_stream_and_not_the_session(
    api: Make, simulcast: Any
) -> None:
    site = api(simulcast)
    body = '{"kind":"video","enabled":false}'
    known = await site.client.post("/session/x/1", content=body, headers=JSON)
    assert (known.status_code, known.text) == (200, "{}")
    unknown = await site.client.post("/session/y/1", content=body, headers=JSON)
    assert (unknown.status_code, unknown.text) == (404, "stream not exists")
    assert simulcast.muted == []


async def test_layers_are_listed_in_order(api: Make, simulcast: Any) -> None:
    answer = await api(simulcast).client.get("/session/x/any/layer")
    assert answer.text == ('[{"encodingId":"f"},{"encodingId":"h"},{"encodingId":"q"}]')


async def test_a_stream_without_layers_says_so(
    api: Make, fake: Make, make_stream: Make
) -> None:
    site = api(fake([make_stream()]))
    answer = await site.client.get("/session/x/any/layer")
    assert (answer.status_code, answer.text) == (500, "not layers")
    answer = await site.client.get("/session/y/any/layer")
    assert (answer.status_code, answer.text) == (404, "stream not exists")


@pytest.mark.parametrize(
    ("body", "layer"),
    [
        ('{"encodingId":"q"}', "q"),
        ("{}", "f"),
        ("null", "f"),
        ('{"encodingId":null}', "f"),
    ],
)
async def test_a_layer_is_selected_and_shown(
    api: Make, simulcast: Any, body: str, layer: str
) -> None:
    viewer = simulcast.session_views[0].id
    answer = await api(simulcast).client.post(
        f"/session/x/{viewer}/layer", content=body, headers=JSON
    )
    assert (answer.status_code, answer.text) == (200, "")
    assert simulcast.selected == [(viewer, layer)]
    assert simulcast.muted == [(viewer, "video", False)]


async def test_unselecting_switches_pictures_off(api: Make, simulcast: Any) -> None:
    viewer = simulcast.session_views[0].id
    site = api(simulcast)
    answer = await site.client.delete(f"/session/x/{viewer}/layer")
    assert (answer.status_code, answer.text) == (200, "")
    assert simulcast.muted == [(viewer, "video", True)]
    for path in ("/session/x/unknown/layer", f"/session/y/{viewer}/layer"):
        assert (await site.client.delete(path)).status_code == 404


async def test_layers_and_sessions_that_are_missing_are_404(
    api: Make, simulcast: Any
) -> None:
    site = api(simulcast)
    viewer = simulcast.session_views[0].id
    for path, body in (
        (f"/session/x/{viewer}/layer", '{"encodingId":"zz"}'),
        ("/session/x/unknown/layer", "{}"),
        (f"/session/y/{viewer}/layer", "{}"),
    ):
        answer = await site.client.post(path, content=body, headers=JSON)
        assert answer.status_code == 404
    assert simulcast.selected == []
