"""A client and a server of ours, from the offer to the end."""

from __future__ import annotations

from typing import Any, TypeAlias

from sansmedia.sansio import Terminated, TerminationCause
from sansmedia.sdp import apply_answer, make_fragment
from sansmedia.whip import (
    CandidatesReceived,
    ClientRequest,
    Established,
    IceServer,
    Link,
    OfferReceived,
    Request,
    Response,
    RestartCompleted,
    RestartRequested,
    SessionEnded,
    SessionResource,
    peer_credentials,
)

Kit: TypeAlias = Any
_SERVER = IceServer("turn:t.example.org", "u", 'p"\\')


class _Server:
    """An endpoint and one session behind it."""

    def __init__(self, kit: Kit) -> None:
        self.kit = kit
        self.endpoint = kit.endpoint()
        self.resource: SessionResource | None = None
        self.heard: list[object] = []

    def respond(self, request: ClientRequest) -> Response:
        path = request.url.removeprefix("https://media.example.org")
        asked = Request(request.method, path, request.headers, request.body)
        if self.resource is not None and path.startswith("/session/"):
            result = self.resource.handle(asked, 0.0)
        else:
            result = self.endpoint.handle(asked, 0.0)
        if isinstance(result, Response):
            return result
        self.heard.append(result)
        response = self.decide(result)
        assert response is not None
        return response

    def decide(self, event: object) -> Response | None:
        if isinstance(event, OfferReceived):
            self.answer = self.kit.answer(event.offer)
            self.resource = SessionResource(
                peer=peer_credentials(event.offer), etag="1", now=0.0
            )
            response: Response | None = self.endpoint.accept(
                event.request_id,
                answer=self.answer,
                session_url="/session/f00",
                etag="1",
                ice_servers=[_SERVER],
                extensions=[Link("/session/f00/x", "urn:ietf:params:whep:ext:x")],
                now=0.0,
            )
            return response
        assert self.resource is not None
        if isinstance(event, RestartRequested):
            fragment = make_fragment(self.answer, ["9"], credentials=("anew", "8" * 22))
            return self.resource.accept_restart(
                event.request_id, fragment=fragment, etag="2", now=0.0
            )
        assert isinstance(event, CandidatesReceived | SessionEnded)
        return self.resource.accept(event.request_id, now=0.0)


def test_a_session_goes_from_the_offer_to_the_end(kit: Kit) -> None:
    client, server = kit.client("token"), _Server(kit)
    told: list[Any] = []

    def talk() -> None:
        while requests := client.requests_to_send():
            for request in requests:
                response = server.respond(request)
                client.receive_response(request.request_id, response, 0.0)
        while (event := client.next_event()) is not None:
            told.append(event)

    client.offer(kit.offer, now=0.0)
    client.add_candidates(["1"], now=0.0)
    talk()
    client.add_candidates(["2"], end=True, now=1.0)
    talk()
    client.restart("newu", "9" * 22, ["3"], now=2.0)
    client.add_candidates(["4"], now=2.0)
    talk()
    client.close("done", now=3.0)
    talk()

    assert [type(event) for event in server.heard] == [
        OfferReceived,
        CandidatesReceived,
        CandidatesReceived,
        RestartRequested,
        CandidatesReceived,
        SessionEnded,
    ]
    established, restarted, end = told
    assert isinstance(established, Established)
    assert established.answer is not None
    assert apply_answer(kit.offer, established.answer).active
    assert established.ice_servers == (_SERVER,)
    assert len(established.extensions) == 1
    assert isinstance(restarted, RestartCompleted)
    assert restarted.fragment.credentials == ("anew", "8" * 22)
    assert end == Terminated(TerminationCause.LOCAL, "done")
    assert server.resource is not None
    assert server.resource.is_ended
