"""Responses of any kind to a client.

Messages with a form feed between: a status, header lines, an empty line, the body. An
empty message lets time pass.
"""

from __future__ import annotations

from collections import deque

from sansmedia.sansio import Terminated
from sansmedia.sdp import (
    Direction,
    Fingerprint,
    OfferedCodec,
    OfferedMedia,
    Transport,
    make_offer,
)
from sansmedia.whip import (
    CounterOfferReceived,
    Established,
    OfferPostponed,
    Response,
    WhepClient,
)

_OFFER = make_offer(
    [OfferedMedia(kind="audio", codecs=(OfferedCodec(encoding="x", clock_rate=1),))],
    direction=Direction.RECVONLY,
    transport=Transport(
        ice_ufrag="abcd",
        ice_pwd="0123456789abcdefghijkl",
        fingerprints=(Fingerprint("sha-256", ":".join(["AB"] * 32)),),
    ),
    session_id=1,
)


def _decode(message: bytes) -> Response:
    head, _, body = message.partition(b"\n\n")
    first, *lines = head.decode("latin-1").split("\n")
    pairs = [line.partition(": ") for line in lines]
    status = int(first) if first.isascii() and first.isdigit() and len(first) < 5 else 0
    return Response(status, [(name, value) for name, _, value in pairs], body)


def _react(client: WhepClient, event: object, now: float) -> None:
    if isinstance(event, CounterOfferReceived):
        client.answer(_OFFER, now=now)
    elif isinstance(event, OfferPostponed):
        client.offer(_OFFER, now=now)
    elif isinstance(event, Established):
        client.restart("newu", "9" * 22, ["1"], now=now)
    else:
        client.add_candidates(["2"], now=now)


def one_input(data: bytes) -> None:
    # Nothing raises; every request goes to an http or https address without blanks, and
    # the token only to the first origin or to the session that it named; there is one
    # Terminated, last, and then silence.
    client = WhepClient("https://a.example/w", token="t", now=0.0)
    client.offer(_OFFER, now=0.0)
    waiting: deque[int] = deque()
    now, ends = 0.0, 0
    for message in [*data.split(b"\x0c"), None]:
        for request in client.requests_to_send():
            assert request.url.startswith("https://")
            assert request.url.isascii()
            assert request.url.isprintable()
            assert " " not in request.url
            waiting.append(request.request_id)
        if message is None:
            client.close(now=now)
            now += 20.0
            client.handle_timeout(now)
        elif message:
            number = waiting.popleft() if waiting else 99
            client.receive_response(number, _decode(message), now)
        else:
            now += 5.0
            client.handle_timeout(now)
        while (event := client.next_event()) is not None:
            assert not ends
            ends += isinstance(event, Terminated)
            _react(client, event, now)
    assert ends == 1
    assert client.is_terminated
    assert client.next_timeout() is None
    assert len(client.requests_to_send()) <= 1
    assert client.pending_bytes == 0
