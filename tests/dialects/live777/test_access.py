"""Who may do what: tokens, origins, and the paths on the public port."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any

import pytest

from penstock.control import WebRtcAnswer
from penstock.dialects.live777 import is_public_path
from penstock.dialects.live777.tokens import Grant, decode_jwt, judge

Make = Callable[..., Any]

SESSION = "9" * 32
SDP = {"Content-Type": "application/sdp"}
NOW = 1_795_201_763.0

# What every implementation of RFC 7515 makes of the secret "secret", the header
# {"typ":"JWT","alg":"HS256"} and {"id":"test","exp":4102444800,"mode":7}.
VECTOR = (
    "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9."
    "eyJpZCI6InRlc3QiLCJleHAiOjQxMDI0NDQ4MDAsIm1vZGUiOjd9."
)


def _part(value: object) -> str:
    octets = json.dumps(value, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def token(
    claims: dict[str, Any], secret: str = "secret", algorithm: str = "HS256"
) -> str:
    """Sign claims."""
    text = f"{_part({'typ': 'JWT', 'alg': algorithm})}.{_part(claims)}"
    proof = hmac.digest(secret.encode(), text.encode(), hashlib.sha256)
    return f"{text}.{base64.urlsafe_b64encode(proof).rstrip(b'=').decode()}"


def for_stream(id: str, mode: int) -> dict[str, str]:
    """Return the header that brings a token for one stream."""
    claims = {"id": id, "exp": 4102444800, "mode": mode}
    return {"Authorization": f"Bearer {token(claims)}"}


# -- tokens --------------------------------------------------------------------------


def test_the_test_vector_is_taken() -> None:
    claims = {"id": "test", "exp": 4102444800, "mode": 7}
    made = token(claims)
    assert made.startswith(VECTOR)
    grant = judge(f"Bearer {made}", [], "secret", NOW)
    assert grant is not None
    assert (grant.stream, grant.mode) == ("test", 7)


@pytest.mark.parametrize(
    "bad",
    [
        token({"id": "test", "exp": 4102444800, "mode": 7}, secret="other"),
        token({"id": "test", "exp": 4102444800, "mode": 7}, algorithm="none"),
        token({"id": "test", "mode": 7}),
        token({"exp": 4102444800, "mode": 7}),
        token({"id": "test", "exp": 4102444800}),
        token({"id": 1, "exp": 4102444800, "mode": 7}),
        token({"id": "test", "exp": True, "mode": 7}),
        token({"id": "test", "exp": NOW - 61, "mode": 7}),
        token({"id": "test", "exp": int(NOW) - 61, "mode": 7}),
        VECTOR,
        VECTOR.rstrip("."),
        "..",
        "é.é.é",
        "",
    ],
)
def test_tokens_that_prove_nothing_are_refused(bad: str) -> None:
    # RFC 7519 §7.2, RFC 7515 §5.2.
    assert decode_jwt(bad.encode(), "secret", NOW) is None


def test_a_token_counts_for_a_minute_longer() -> None:
    claims = {"id": "test", "exp": int(NOW) - 60, "mode": 7}
    assert decode_jwt(token(claims).encode(), "secret", NOW) is not None


def test_an_unset_secret_takes_no_signed_token() -> None:
    claims = {"id": "*", "exp": 4102444800, "mode": 7}
    assert judge(f"Bearer {token(claims, secret='')}", ["t"], "", NOW) is None


def test_only_bearer_tokens_are_judged() -> None:
    assert judge("Bearer a", ["b", "a"], "", NOW) == Grant("*")
    assert judge("bearer a", ["a"], "", NOW) == Grant("*")
    for value in ("Basic a", "a", "Bearer", "Bearer c", None):
        assert judge(value, ["a", "b"], "", NOW) is None


# -- the API's port ------------------------------------------------------------------


async def test_a_missing_or_wrong_token_is_401_without_a_body(api: Make) -> None:
    site = api(tokens=["good"], secret="secret")
    for headers in ({}, {"Authorization": "Bearer bad"}):
        answer = await site.client.get("/api/streams/", headers=headers)
        assert (answer.status_code, answer.text) == (401, "")
        assert "WWW-Authenticate" not in answer.headers
    headers = {"Authorization": "Bearer good"}
    assert (await site.client.get("/api/streams/", headers=headers)).status_code == 200
    for path in ("/metrics", "/"):
        assert (await site.client.get(path)).status_code == 200


async def test_a_secret_alone_closes_the_api_too(api: Make) -> None:
    site = api(secret="secret")
    assert (await site.client.get("/api/streams/")).status_code == 401
    answer = await site.client.get("/api/streams/", headers=for_stream("*", 0))
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "mode"),
    [
        ("GET", "/api/streams/x", 0),
        ("DELETE", "/api/streams/x", 1),
        ("POST", "/whip/x", 2),
        ("POST", "/whep/x", 4),
        ("POST", "/api/cascade/x", 1),
    ],
)
async def test_a_token_for_one_stream_needs_its_mode(
    api: Make, fake: Make, make_stream: Make, method: str, path: str, mode: int
) -> None:
    site = api(fake([make_stream()]), tokens=["t"], secret="secret")

    async def ask(id: str, mode: int) -> Any:
        return await site.client.request(method, path, headers=for_stream(id, mode))

    for id, given in (("x", 7 & ~mode), ("y", 7)):
        if mode or id == "y":
            answer = await ask(id, given)
            assert (answer.status_code, answer.text) == (403, "Don't permission")
    assert (await ask("x", mode)).status_code not in (401, 403)
    assert (await ask("*", 0)).status_code not in (401, 403)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/streams/"),
        ("POST", "/api/streams/x"),
        ("GET", "/api/sse/streams"),
        ("GET", "/api/strategy/"),
        ("DELETE", f"/session/x/{SESSION}"),
        ("GET", "/api/unknown"),
    ],
)
async def test_everything_else_is_not_for_a_token_of_one_stream(
    api: Make, fake: Make, make_stream: Make, method: str, path: str
) -> None:
    site = api(fake([make_stream()]), tokens=["t"], secret="secret")
    answer = await site.client.request(method, path, headers=for_stream("x", 6))
    assert (answer.status_code, answer.text) == (403, "Don't permission")


async def test_a_token_for_one_stream_may_use_the_sessions_that_it_began(
    api: Make, fake: Make, make_stream: Make, make_player: Make, offer: Make
) -> None:
    player = make_player()
    site = api(fake([make_stream()], [player]), tokens=["t"], secret="secret")
    site.control.answer = WebRtcAnswer(session_id=player.id, sdp="", ice_ufrag="u")
    site.control.kicks_at_once = True
    mine = for_stream("x", 4)
    begun = await site.client.post(
        "/whep/x", content=offer("recvonly"), headers=SDP | mine
    )
    assert begun.status_code == 201
    assert site.control.offers[0].authorized
    url = begun.headers["Location"]
    other = {
        "Authorization": "Bearer " + token({"id": "x", "exp": 4102444801, "mode": 4})
    }
    assert (await site.client.delete(url, headers=other)).status_code == 403
    assert site.control.kicked == []
    assert (await site.client.delete(url, headers=mine)).status_code == 204
    assert site.control.kicked == [(player.id, "client left")]


async def test_whoever_may_execute_ends_any_session_of_the_stream(
    api: Make, fake: Make, make_stream: Make, make_session: Make
) -> None:
    site = api(fake([make_stream()], [make_session()]), tokens=["t"], secret="secret")
    path = f"/session/x/{make_session().id}"
    assert (
        await site.client.delete(path, headers=for_stream("x", 1))
    ).status_code == 204


async def test_a_page_of_another_origin_changes_nothing_without_a_token(
    api: Make,
) -> None:
    site = api()
    foreign = {"Origin": "http://evil.example"}
    answer = await site.client.post("/api/streams/x", headers=foreign)
    assert (answer.status_code, answer.text) == (403, "Don't permission")
    for origin in ("http://penstock.test", "null"):
        answer = await site.client.get("/api/streams/", headers={"Origin": origin})
        assert answer.status_code == 200
    own = {"Origin": "http://penstock.test"}
    assert (await site.client.post("/api/streams/x", headers=own)).status_code == 204
    open_to_all = api(cors=True)
    answer = await open_to_all.client.post("/api/streams/x", headers=foreign)
    assert answer.status_code == 204


# -- transport -----------------------------------------------------------------------


async def test_options_are_always_200_and_empty(api: Make) -> None:
    site = api(tokens=["t"])
    for path in ("/whip/x", "/api/streams/", "/unknown"):
        answer = await site.client.options(path)
        assert (answer.status_code, answer.text) == (200, "")
        assert "Access-Control-Allow-Origin" not in answer.headers
        assert "Accept-Post" not in answer.headers


async def test_cors_lets_every_page_read_and_ask(api: Make) -> None:
    site = api(cors=True)
    for answer in (
        await site.client.options("/whip/x"),
        await site.client.get("/api/streams/"),
        await site.client.get("/api/streams/none"),
    ):
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert answer.headers["Access-Control-Allow-Methods"] == "*"
        assert answer.headers["Access-Control-Allow-Headers"] == "*, Authorization"
        assert answer.headers["Access-Control-Expose-Headers"] == "*"


async def test_wrong_methods_and_paths_are_told(api: Make) -> None:
    site = api()
    answer = await site.client.put("/whip/x")
    assert (answer.status_code, answer.text) == (405, "")
    assert answer.headers["Allow"] == "POST"
    answer = await site.client.put("/api/streams/x")
    assert answer.headers["Allow"] == "DELETE,GET,HEAD,POST"
    answer = await site.client.get("/unknown")
    assert (answer.status_code, answer.text) == (404, "not found")
    answer = await site.client.get("/")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/html")


async def test_a_body_over_two_megabytes_is_413(api: Make) -> None:
    body = b"v" * ((2 << 20) + 1)
    answer = await api().client.post("/whip/x", content=body, headers=SDP)
    assert answer.status_code == 413


# -- the public port -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "ours"),
    [
        (b"/whip/x", True),
        (b"/whep/app%2Fx?token=a/b", True),
        (b"/session/x/" + b"9" * 32, True),
        (b"/session/x/" + b"9" * 32 + b"/layer", True),
        (b"/session/x/whip", False),  # WHIP of the app "session"
        (b"/whip/x/whip", False),
        (b"/api/streams/", False),
        (b"/", False),
    ],
)
def test_the_public_port_has_the_paths_of_media(path: bytes, ours: bool) -> None:
    assert is_public_path(path) is ours


async def test_the_public_port_leaves_offers_to_the_servers_own_rules(
    api: Make, fake: Make, make_stream: Make, make_player: Make, offer: Make
) -> None:
    player = make_player()
    site = api(fake([make_stream()], [player]), tokens=["t"], secret="secret")
    site.control.answer = WebRtcAnswer(session_id=player.id, sdp="", ice_ufrag="u")
    site.control.kicks_at_once = True
    for headers, authorized in (
        ({}, False),
        ({"Authorization": "Bearer play-token"}, False),
        ({"Authorization": "Bearer t"}, True),
        (for_stream("x", 4), True),
    ):
        answer = await site.public.post(
            "/whep/x", content=offer("recvonly"), headers=SDP | headers
        )
        assert answer.status_code == 201
        assert site.control.offers[-1].authorized is authorized
    assert site.control.offers[1].token == "play-token"
    answer = await site.public.post(
        "/whep/x", content=offer("recvonly"), headers=SDP | for_stream("x", 2)
    )
    assert answer.status_code == 403
    # Whoever knows the session's id has begun it.
    url = f"/session/x/{player.id}"
    assert (await site.public.delete(url)).status_code == 204


async def test_the_public_port_has_none_of_the_api(api: Make) -> None:
    site = api()
    for path in ("/api/streams/", "/api/strategy/", "/metrics", "/"):
        assert (await site.public.get(path)).status_code == 404


async def test_pages_may_play_from_the_public_port_as_it_says(api: Make) -> None:
    origin = {"Origin": "https://a.example"}
    answer = await api().public.options("/whep/x", headers=origin)
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    some = api(origins=["https://a.example"])
    answer = await some.public.options("/whep/x", headers=origin)
    assert answer.headers["Access-Control-Allow-Origin"] == "https://a.example"
    answer = await some.public.options("/whep/x", headers={"Origin": "https://b"})
    assert "Access-Control-Allow-Origin" not in answer.headers
