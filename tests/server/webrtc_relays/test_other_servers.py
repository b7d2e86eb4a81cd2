"""Relays over WHEP and WHIP with servers that have ways of their own."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from types import SimpleNamespace
from typing import TYPE_CHECKING

import httpx
import pytest
from sansmedia import sdp

from penstock.control import (
    Unavailable,
)
from penstock.sessions import webrtc

if TYPE_CHECKING:
    from tests.server.conftest import RunningServer
    from tests.server.webrtc_relays.conftest import Door, Kit, Site

Running = Callable[..., AbstractAsyncContextManager["RunningServer"]]
Camera = Callable[..., AbstractAsyncContextManager[None]]
Sites = Callable[[], AbstractAsyncContextManager["Site"]]
Doors = Callable[..., AbstractAsyncContextManager["Door"]]


async def test_the_authorization_is_sent_as_it_is(
    kit: Kit, door_of: Doors, site: Sites
) -> None:
    async def refuse(method: str, target: str, body: bytes) -> bytes:
        assert body.startswith(b"v=0")
        return kit.response("403 Forbidden", "not you", "Content-Type: text/plain")

    async with site() as here, door_of(refuse) as door:
        with pytest.raises(Unavailable, match="403: not you"):
            await here.pull("b", door.url("whep/x"), "Basic aGk6aGk=")
        ((method, target, fields),) = door.requests
        assert (method, target) == ("POST", "/whep/x")
        assert fields["authorization"] == "Basic aGk6aGk="
        assert fields["content-type"] == "application/sdp"
        assert fields["user-agent"].startswith("penstock/")


async def test_a_redirection_is_followed_without_the_token(
    kit: Kit, door_of: Doors, site: Sites, camera: Camera
) -> None:
    async with site() as here, camera(here.server, "a"):
        elsewhere = here.url("a", "whep")

        async def redirect(method: str, target: str, body: bytes) -> bytes:
            return kit.response("307 Temporary Redirect", "", f"Location: {elsewhere}")

        async with door_of(redirect) as door:
            view = await here.pull("b", door.url("whep/x"), "Bearer hunter7")
            viewer = await kit.play(here.server, "b")
            assert kit.in_a_row(await kit.pictures_of(viewer, 5))
            assert view.remote_session_url.startswith(elsewhere.partition("/live")[0])


@pytest.mark.parametrize("candidates", ["none", "mdns", "host name"])
async def test_answers_without_addresses_will_do(
    kit: Kit, door_of: Doors, site: Sites, camera: Camera, candidates: str
) -> None:
    """Our own stand in the offer: the other server finds us."""
    async with site() as here, camera(here.server, "a"):

        async def forward(method: str, target: str, body: bytes) -> bytes:
            async with httpx.AsyncClient(trust_env=False) as client:
                came = await client.request(
                    method,
                    here.url("a", "whep"),
                    content=body,
                    headers={"Content-Type": "application/sdp"},
                )
            kept = []
            for line in came.text.splitlines():
                if line.startswith("a=candidate"):
                    if candidates == "none":
                        continue
                    host = "x.local" if candidates == "mdns" else "media.example"
                    kept.append(line.replace("127.0.0.1", host))
                elif line != "a=end-of-candidates" or candidates != "none":
                    kept.append(line)
            assert "127.0.0.1" not in "".join(kept).partition("m=")[2]
            return kit.response(
                "201 Created",
                "\r\n".join([*kept, ""]),
                "Content-Type: application/sdp",
                "Location: /session/1",
            )

        async with door_of(forward) as door:
            view = await here.pull("b", door.url("whep/x"))
            assert view.remote_session_url == door.url("session/1")
            viewer = await kit.play(here.server, "b")
            assert kit.in_a_row(await kit.pictures_of(viewer, 5))


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("", "accepted without an answer"),
        ("v=0\r\nnot sdp", "."),
    ],
)
async def test_an_answer_that_is_none_is_told(
    kit: Kit, door_of: Doors, site: Sites, body: str, reason: str
) -> None:
    async def answer(method: str, target: str, _: bytes) -> bytes:
        if method == "DELETE":
            return kit.response("200 OK")
        return kit.response(
            "201 Created", body, "Content-Type: application/sdp", "Location: /s/1"
        )

    async with site() as here, door_of(answer) as door:
        with pytest.raises(Unavailable, match=reason):
            await here.pull("b", door.url("whep/x"))
        # There is a session at the other server, whatever it answered.
        await here.server.wait_until(lambda: len(door.requests) == 2)
        assert door.requests[1][:2] == ("DELETE", "/s/1")


@pytest.mark.parametrize("ours", ["client", "server"])
async def test_either_side_begins_the_handshake(
    kit: Kit,
    door_of: Doors,
    site: Sites,
    camera: Camera,
    monkeypatch: pytest.MonkeyPatch,
    ours: str,
) -> None:
    theirs = sdp.Setup.PASSIVE if ours == "client" else sdp.Setup.ACTIVE
    monkeypatch.setattr(webrtc, "Setup", SimpleNamespace(PASSIVE=theirs))
    answers: list[bytes] = []
    async with site() as here, camera(here.server, "a"):

        async def forward(method: str, target: str, body: bytes) -> bytes:
            async with httpx.AsyncClient(trust_env=False) as client:
                came = await client.post(
                    here.url("a", "whep"),
                    content=body,
                    headers={"Content-Type": "application/sdp"},
                )
            answers.append(came.content)
            return kit.response(
                "201 Created", came.text, "Content-Type: application/sdp"
            )

        async with door_of(forward) as door:
            view = await here.pull("b", door.url("whep/x"))
            assert view.remote_session_url == ""
            viewer = await kit.play(here.server, "b")
            assert kit.in_a_row(await kit.pictures_of(viewer, 5))
    assert f"a=setup:{theirs.value}".encode() in answers[0]


async def test_a_counter_offer_is_answered(
    kit: Kit, door_of: Doors, site: Sites
) -> None:
    """WHEP draft-03 §4.3.2: 406 with an offer; our answer goes by PATCH."""
    theirs = sdp.Transport(
        ice_ufrag="them",
        ice_pwd="0123456789abcdefghijkl",
        fingerprints=(sdp.Fingerprint("sha-256", ":".join(["AB"] * 32)),),
    )
    offer = sdp.make_offer(
        [
            sdp.OfferedMedia(
                kind="video",
                codecs=(sdp.OfferedCodec(encoding="VP9", clock_rate=90_000),),
                source=sdp.SendSource(
                    kind="video", ssrc=1, cname="c", stream="s", track="v"
                ),
            )
        ],
        direction=sdp.Direction.SENDONLY,
        transport=theirs,
        session_id=1,
    )
    answers: list[bytes] = []

    async def counter(method: str, target: str, body: bytes) -> bytes:
        if method == "POST":
            return kit.response(
                "406 Not Acceptable",
                sdp.encode_session(offer),
                "Content-Type: application/sdp",
                "Location: /s/1",
            )
        answers.append(body)
        return kit.response("204 No Content")

    async with site() as here, door_of(counter) as door:
        view = await here.pull("b", door.url("whep/x"))
        assert view.remote_session_url == door.url("s/1")
        assert door.requests[1][:2] == ("PATCH", "/s/1")
        answer = sdp.decode_session(answers[0])
        assert answer.media[0].direction is sdp.Direction.RECVONLY
        assert answer.media[0].setup is sdp.Setup.ACTIVE
        assert [one.encoding for one in answer.media[0].payloads] == ["VP9"]
        await here.control.kick(view.id, "enough")
        await here.server.wait_until(lambda: len(door.requests) == 3)
        assert door.requests[2][:2] == ("DELETE", "/s/1")
