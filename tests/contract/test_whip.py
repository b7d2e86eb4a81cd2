"""The clients and servers of WHIP keep the contract, a message a datagram.

An exchange has neither stream nor datagrams: here a small adapter gives it responses or
requests, one a datagram, as text: a line with status or method, header lines, an empty
line, the body.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sansmedia.sansio import Datagram, Dice, Terminated, TerminationCause
from sansmedia.sansio.testing import (
    MACHINE_CHECKS,
    AnyCase,
    DatagramCase,
    SeededDice,
    check_any_input,
)
from sansmedia.sdp import Fragment, decode_session
from sansmedia.whip import (
    AnswerReceived,
    CandidatesReceived,
    CounterOfferReceived,
    Established,
    OfferReceived,
    Request,
    Response,
    RestartRequested,
    SessionEnded,
    SessionResource,
    WhepClient,
    WhepEndpoint,
)

_DATA = Path(__file__).resolve().parents[1] / "data" / "sdp"
_NOW = 1000.0
_PEER = ("127.0.0.1", 1)
_PWD = "0123456789abcdefghijkl"
_WHEP = (_DATA / "werift-whep.bin").read_bytes()
_ANSWER = _WHEP.replace(b"actpass", b"active").replace(b"recvonly", b"sendonly")
_FRAGMENT = b"a=ice-ufrag:%s\na=ice-pwd:" + _PWD.encode() + b"\na=candidate:1\n"


def _decode(data: bytes) -> tuple[str, list[tuple[str, str]], bytes]:
    head, _, body = data.partition(b"\n\n")
    first, *lines = head.decode("latin-1").split("\n")
    pairs = [line.partition(": ") for line in lines]
    return first, [(name, value) for name, _, value in pairs], body


def _message(first: str, headers: dict[str, str], body: bytes = b"") -> Datagram:
    lines = [first, *(f"{name}: {value}" for name, value in headers.items())]
    return Datagram("\n".join(lines).encode() + b"\n\n" + body, _PEER)


class _Adapter:
    """What clients and servers have in common here."""

    def __init__(self) -> None:
        self._output: list[Datagram] = []

    def datagrams_to_send(self) -> list[Datagram]:
        sent, self._output = self._output, []
        return sent

    def _say(self, data: bytes) -> None:
        self._output.append(Datagram(data, _PEER))


class _Client(_Adapter):
    """A client that offers; each datagram is the response to its oldest request."""

    def __init__(self) -> None:
        super().__init__()
        self.client = WhepClient("https://example.org/whep", token="t", now=_NOW)
        self._open: deque[int] = deque()
        self.client.offer(decode_session(_WHEP), now=_NOW)
        self._collect()

    def receive_datagrams(self, batch: Sequence[Datagram], now: float) -> None:
        for datagram in batch:
            first, headers, body = _decode(datagram.data)
            status = int(first) if first.isascii() and first.isdigit() else 0
            number = self._open.popleft() if self._open else 0
            self.client.receive_response(
                number, Response(status % 1000, headers, body), now
            )
            self._collect()

    def _collect(self) -> None:
        for request in self.client.requests_to_send():
            self._open.append(request.request_id)
            self._say(f"{request.method} {request.url}".encode() + request.body)

    def next_event(self) -> object:
        return self.client.next_event()

    def next_timeout(self) -> float | None:
        return self.client.next_timeout()

    def handle_timeout(self, now: float) -> None:
        self.client.handle_timeout(now)
        self._collect()

    def close(self, reason: str = "", *, now: float) -> None:
        self.client.close(reason, now=now)
        self._collect()

    def react(self, event: object, now: float) -> None:
        if isinstance(event, CounterOfferReceived):
            self.client.answer(decode_session(_WHEP), now=now)
        elif isinstance(event, Established):
            self.client.restart("newu", _PWD, ["1"], now=now)
        else:
            self.client.add_candidates(["2"], now=now)
        self._collect()

    @property
    def is_terminated(self) -> bool:
        return self.client.is_terminated

    @property
    def pending_bytes(self) -> int:
        waiting = sum(len(datagram.data) for datagram in self._output)
        return self.client.pending_bytes + waiting

    def statistics(self) -> object:
        return self.client.statistics()


class _Server(_Adapter):
    """An endpoint and a session; each datagram is a request to one of them."""

    def __init__(self, resource: SessionResource | None) -> None:
        super().__init__()
        self._endpoint = WhepEndpoint()
        self._resource = resource
        self._events: deque[object] = deque()
        self.is_terminated = False

    def receive_datagrams(self, batch: Sequence[Datagram], now: float) -> None:
        for datagram in batch if not self.is_terminated else ():
            method, headers, body = _decode(datagram.data)
            asked: Any = self._resource or self._endpoint
            result = asked.handle(Request(method, "/", headers, body), now)
            if isinstance(result, Response):
                self._respond(result)
            else:
                self._events.append(result)

    def _respond(self, response: Response | None) -> None:
        if response is not None:
            self._say(f"{response.status}".encode() + response.body)

    def react(self, event: object, now: float) -> None:
        if isinstance(event, OfferReceived):
            number = event.request_id
            self._respond(
                self._endpoint.accept(number, answer="", session_url="/s", now=now)
                if number % 3
                else self._endpoint.reject(number, 409, now=now)
            )
        resource = self._resource
        if resource is None:
            return
        if isinstance(event, RestartRequested):
            self._respond(
                resource.accept_restart(
                    event.request_id,
                    fragment=Fragment(),
                    etag=f"r{event.request_id}",
                    now=now,
                )
            )
        elif isinstance(event, CandidatesReceived | AnswerReceived | SessionEnded):
            self._respond(resource.accept(event.request_id, now=now))

    def next_event(self) -> object:
        return self._events.popleft() if self._events else None

    def next_timeout(self) -> float | None:
        return None

    def handle_timeout(self, now: float) -> None:
        pass

    def close(self, reason: str = "", *, now: float) -> None:
        if not self.is_terminated:
            self.is_terminated = True
            self._events.append(Terminated(TerminationCause.LOCAL, reason))

    @property
    def pending_bytes(self) -> int:
        return sum(len(datagram.data) for datagram in self._output)

    def statistics(self) -> object:
        return self._endpoint.statistics()


def _session(peer: tuple[str, str] | None) -> Callable[[Dice], Any]:
    return lambda dice: _Server(SessionResource(peer=peer, etag="t", now=_NOW))


_SDP = {"Content-Type": "application/sdp"}
_FRAG = {"Content-Type": "application/trickle-ice-sdpfrag"}
_CREATED = _message(
    "201",
    _SDP | {"Location": "/s", "ETag": '"a"', "Link": "<stun:x>; rel=ice-server"},
    _ANSWER,
)
_COUNTER = _message("406", _SDP | {"Location": "/s"}, _ANSWER)
_RESTARTED = _message("200", _FRAG | {"ETag": '"b"'}, _FRAGMENT % b"anew")
_POST = _message("POST", _SDP, _WHEP)
_TRICKLE = _message("PATCH", _FRAG | {"If-Match": '"t"'}, _FRAGMENT % b"peer")
_RESTART = _message("PATCH", _FRAG | {"If-Match": "*"}, _FRAGMENT % b"newu")


def _case(
    name: str,
    factory: Callable[[Dice], Any],
    seeds: tuple[tuple[Datagram, ...], ...],
    bulk: Datagram,
) -> DatagramCase:
    return DatagramCase(
        name=name,
        factory=factory,
        seeds=seeds,
        bulk=lambda count: (bulk,) * count,
        pending_limit=4_000_000,
        react=lambda machine, event, now: machine.react(event, now),
        now=_NOW,
    )


_CASES: tuple[AnyCase, ...] = (
    _case(
        "WHEP client",
        lambda dice: _Client(),
        (
            (_CREATED, _RESTARTED, _message("204", {})),
            (_COUNTER, _message("204", {}), _RESTARTED),
            (_message("307", {"Location": "/b"}), _CREATED),
            (_message("409", {"Retry-After": "2"}, b"{}"),),
            (_message("201", _SDP, b"v=1"),),
        ),
        _message("307", {"Location": "/b"}),
    ),
    _case(
        "WHEP endpoint",
        lambda dice: _Server(None),
        (
            (_POST, _message("OPTIONS", {}), _message("HEAD", {}), _POST, _POST),
            (_message("POST", _SDP, b"v=0"), _message("PUT", {})),
        ),
        _POST,
    ),
    _case(
        "WHIP session",
        _session(("peer", _PWD)),
        ((_TRICKLE, _RESTART, _TRICKLE), (_message("DELETE", {}), _TRICKLE)),
        _TRICKLE,
    ),
    _case(
        "WHEP session with a counter-offer",
        _session(None),
        ((_message("PATCH", _SDP, _ANSWER), _TRICKLE), (_TRICKLE,)),
        _message("PATCH", _SDP, _ANSWER),
    ),
)

_every_case = pytest.mark.parametrize("case", _CASES, ids=lambda case: case.name)


@_every_case
@pytest.mark.parametrize("check", MACHINE_CHECKS)
def test_the_machine_keeps_the_contract(
    case: AnyCase, check: Callable[[AnyCase], None]
) -> None:
    check(case)


@_every_case
@given(data=st.data())
@settings(max_examples=30, deadline=None)
def test_any_message_is_survived(case: DatagramCase, data: st.DataObject) -> None:
    seed = data.draw(st.sampled_from(case.seeds))
    noise = data.draw(st.binary(max_size=100))
    damaged = [attrs.evolve(one, data=one.data + noise) for one in seed]
    check_any_input(
        case, (*damaged, Datagram(noise, _PEER)), dice_seed=data.draw(st.integers(0, 9))
    )


def test_the_seeds_reach_sessions() -> None:
    """Without this, the suite could be trying refusals."""
    client = _Client()
    client.receive_datagrams([_CREATED], _NOW)
    assert isinstance(client.next_event(), Established)
    server = _session(("peer", _PWD))(SeededDice(1))
    server.receive_datagrams([_TRICKLE, _RESTART], _NOW)
    assert isinstance(server.next_event(), CandidatesReceived)
    assert isinstance(server.next_event(), RestartRequested)
