"""A listener's handshakes: no state before the cookie comes back.

Source: SRT draft-01 §4.3.1.
"""

from __future__ import annotations

import hmac
from collections import Counter
from typing import Final

import attrs

from sansmedia.sansio import Datagram, Dice, ProtocolError

from .constants import Role
from .crypto import CryptoControl
from .endpoint_events import ConnectionRequested, RequestEnded
from .extensions_wire import Extensions, encode_extensions
from .handshake_wire import (
    HANDSHAKE_MAGIC,
    Handshake,
    HandshakeType,
    encode_address,
)
from .handshaker import Agreed, extensions_of, handshake_packet
from .key_material_wire import KeyCipher, decode_key_material
from .limits import Limits
from .negotiation import (
    Link,
    NegotiateFilter,
    check_options,
    judge_request,
    require_version,
    terms_of,
)
from .options import SrtOptions
from .rejections import Refusal, RejectionCode, type_of_code
from .stream_id import AccessRequest, decode_stream_id

__all__ = ["Acceptance", "Listener"]

_SECRET_SIZE: Final = 32
_COOKIE_LIFETIME: Final = 60.0
# A caller's key: address and socket id.
_Key = tuple[tuple[str, int], int]


@attrs.define
class _Request:
    """A caller that waits for a decision."""

    id: int
    key: _Key
    handshake: Handshake
    extensions: Extensions
    peer: tuple[str, int]
    local: tuple[str, int] | None
    timestamp: int
    came_at: float
    expires_at: float


@attrs.frozen(kw_only=True)
class Acceptance:
    """A request that was let in."""

    agreed: Agreed
    peer: tuple[str, int]
    local: tuple[str, int] | None
    key: tuple[tuple[str, int], int]
    """What `Listener.forget` takes once the connection is over."""


@attrs.define
class _Reply:
    """What a repeated conclusion is answered with."""

    handshake: Handshake
    start: float
    expires_at: float | None


class Listener:
    """Answers callers of one socket.

    Args:
        options: What a connection is made with if `accept` gives no others.
        limits: What callers may cost.
        negotiate_filter: Judges packet filters.
        dice: Makes the secret of cookies, and keys.
        now: The time.

    Raises:
        UsageError: The options cannot be.
    """

    def __init__(
        self,
        options: SrtOptions,
        limits: Limits,
        *,
        negotiate_filter: NegotiateFilter,
        dice: Dice,
        now: float,
    ) -> None:
        check_options(options)
        CryptoControl(options, dice=dice)
        self.options = options
        self.output: list[Datagram] = []
        """Answers."""
        self.events: list[ConnectionRequested | RequestEnded] = []
        """What happened."""
        self.dropped = 0
        """Handshakes that were not answered."""
        self.inductions = 0
        """Cookies that were given."""
        self.is_full = False
        """Whether there is no room for another connection; set from outside."""
        self._limits = limits
        self._negotiate_filter = negotiate_filter
        self._dice = dice
        self._start = now
        self._secret = dice(_SECRET_SIZE)
        self._id = int.from_bytes(dice(4)) & 0x3FFF_FFFF or 1
        self._next_request = 1
        self._second = now
        self._taken = 0
        self._requests: dict[int, _Request] = {}
        self._waiting: dict[_Key, int] = {}
        self._addresses: Counter[str] = Counter()
        self._replies: dict[_Key, _Reply] = {}
        self._refused: dict[_Key, _Reply] = {}

    def set_options(self, options: SrtOptions) -> None:
        """Take other options for the callers to come.

        Raises:
            UsageError: The options cannot be.
        """
        check_options(options)
        CryptoControl(options, dice=self._dice)
        self.options = options

    # --- callers -------------------------------------------------------------------

    def receive(
        self, handshake: Handshake, timestamp: int, datagram: Datagram, now: float
    ) -> None:
        """Take a handshake that asks for a listener."""
        if handshake.type == HandshakeType.INDUCTION:
            self._give_cookie(handshake, datagram, now)
        elif handshake.type != HandshakeType.CONCLUSION or not self._is_ours(
            handshake.cookie, datagram.peer, now
        ):
            self.dropped += 1
        else:
            self._take_conclusion(handshake, timestamp, datagram, now)

    def _cookie(self, peer: tuple[str, int], minute: int) -> bytes:
        """Return a cookie. Source: SRT draft-01 §4.3.1.1.2."""
        text = f"{peer[0]}|{peer[1]}|{minute}".encode()
        return hmac.digest(self._secret, text, "sha256")[:4]

    def _is_ours(self, cookie: int, peer: tuple[str, int], now: float) -> bool:
        octets = cookie.to_bytes(4)
        minute = int(now // _COOKIE_LIFETIME)
        fresh = hmac.compare_digest(octets, self._cookie(peer, minute))
        recent = hmac.compare_digest(octets, self._cookie(peer, minute - 1))
        return fresh or recent

    def _give_cookie(self, theirs: Handshake, datagram: Datagram, now: float) -> None:
        """Answer with as many octets as came, and remember nothing."""
        self.inductions += 1
        cookie = self._cookie(datagram.peer, int(now // _COOKIE_LIFETIME))
        answer = Handshake(
            version=5,
            encryption=self.options.pbkeylen // 8,
            extension=HANDSHAKE_MAGIC,
            initial_sequence=theirs.initial_sequence,
            mss=self.options.mss,
            flow_window=terms_of(self.options).flow_window,
            type=HandshakeType.INDUCTION,
            socket_id=self._id,
            cookie=int.from_bytes(cookie),
            peer_address=encode_address(datagram.peer[0]),
        )
        self._say(answer, theirs.socket_id, datagram, self._start, now)

    def _take_conclusion(
        self, theirs: Handshake, timestamp: int, datagram: Datagram, now: float
    ) -> None:
        key = (datagram.peer, theirs.socket_id)
        reply = self._replies.get(key) or self._refused.get(key)
        if reply is not None:
            self._say(reply.handshake, theirs.socket_id, datagram, reply.start, now)
            return
        if key in self._waiting:
            return
        if not self._may_take(now):
            self.dropped += 1
            return
        try:
            request = self._open(key, theirs, timestamp, datagram, now)
        except Refusal as refusal:
            rejection = _rejection(theirs, refusal.rejection)
            self._say(rejection, theirs.socket_id, datagram, self._start, now)
            return
        self._requests[request.id] = request
        self._waiting[key] = request.id
        self._addresses[datagram.peer[0]] += 1
        self.events.append(_event_for(request))

    def _may_take(self, now: float) -> bool:
        if now - self._second >= 1.0:
            self._second = now
            self._taken = 0
        self._taken += 1
        return self._taken <= self._limits.requests_per_second

    def _open(
        self,
        key: _Key,
        theirs: Handshake,
        timestamp: int,
        datagram: Datagram,
        now: float,
    ) -> _Request:
        limits = self._limits
        require_version(theirs)
        if (
            self.is_full
            or len(self._requests) >= limits.requests
            or self._addresses[datagram.peer[0]] >= limits.requests_per_address
        ):
            raise Refusal(RejectionCode.BACKLOG)
        if not theirs.socket_id:
            raise Refusal(RejectionCode.ROGUE, "the caller has no socket")
        extensions = extensions_of(theirs)
        message = extensions.request
        if message is None:
            raise Refusal(RejectionCode.ROGUE, "the handshake extension is missing")
        if message.version < self.options.min_version:
            raise Refusal(RejectionCode.VERSION)
        number = self._next_request
        self._next_request += 1
        return _Request(
            id=number,
            key=key,
            handshake=theirs,
            extensions=extensions,
            peer=datagram.peer,
            local=datagram.local,
            timestamp=timestamp,
            came_at=now,
            expires_at=now + limits.decision_timeout,
        )

    def _say(
        self,
        handshake: Handshake,
        destination: int,
        datagram: Datagram,
        start: float,
        now: float,
    ) -> None:
        data = handshake_packet(handshake, destination, start, now)
        self.output.append(Datagram(data, datagram.peer, datagram.local))

    # --- decisions -----------------------------------------------------------------

    def knows(self, request_id: int) -> bool:
        """Tell whether a request waits for its decision."""
        return request_id in self._requests

    def accept(
        self,
        request_id: int,
        options: SrtOptions,
        *,
        socket_id: int,
        group_id: int,
        now: float,
    ) -> Acceptance | None:
        """Let a caller in, if it has the passphrase and the rest suits.

        Args:
            request_id: Of a request that waits.
            options: What the connection is made with.
            socket_id: Ours.
            group_id: Our group, for a member of one.
            now: The time.

        Raises:
            UsageError: The options cannot be.
        """
        check_options(options)
        crypto = CryptoControl(options, dice=self._dice)
        request = self._requests[request_id]
        theirs, extensions = request.handshake, request.extensions
        group = extensions.group
        if group is not None:
            may = options.group_connect and group_id
            group = attrs.evolve(group, id=group_id) if may else None
        link = Link(
            role=Role.LISTENER,
            socket_id=socket_id,
            # Both directions begin alike, as libsrt has it: some callers rely on it.
            initial_sequence=theirs.initial_sequence,
            start_time=request.came_at,
            timestamp=request.timestamp,
            timestamp_at=request.came_at,
            stream_id=extensions.stream_id or "",
        )
        try:
            negotiated, response = judge_request(
                options,
                theirs,
                extensions,
                link,
                group=group,
                negotiate_filter=self._negotiate_filter,
            )
            key_response = crypto.answer(
                extensions.key_request, peer_version=negotiated.peer_version
            )
        except Refusal as refusal:
            self._end_request(request, refusal.rejection, refusal.reason, now)
            return None
        field, octets = encode_extensions(
            attrs.evolve(response, key_response=key_response)
        )
        answer = Handshake(
            version=5,
            encryption=crypto.key_length // 8,
            extension=field,
            initial_sequence=theirs.initial_sequence,
            mss=negotiated.mss,
            flow_window=terms_of(options).flow_window,
            type=HandshakeType.CONCLUSION,
            socket_id=socket_id,
            cookie=theirs.cookie,
            peer_address=encode_address(request.peer[0]),
            extensions=octets,
        )
        self._forget_request(request)
        self._replies[request.key] = _Reply(answer, request.came_at, None)
        self._answer(request, answer, request.came_at, now)
        return Acceptance(
            agreed=Agreed(negotiated=negotiated, crypto=crypto, options=options),
            peer=request.peer,
            local=request.local,
            key=request.key,
        )

    def reject(self, request_id: int, code: int, *, now: float) -> None:
        """Tell a caller no; nothing happens if the request is gone."""
        request = self._requests.get(request_id)
        if request is not None:
            self._refuse(request, code, now)

    def forget(self, key: tuple[tuple[str, int], int]) -> None:
        """Let a connection go."""
        self._replies.pop(key, None)

    def close(self, now: float) -> None:
        """Tell all who wait that the listener goes."""
        for request in list(self._requests.values()):
            self._refuse(request, RejectionCode.CLOSE, now)
        self._refused.clear()
        self._replies.clear()

    def _end_request(
        self, request: _Request, code: int, reason: str, now: float
    ) -> None:
        self._refuse(request, code, now)
        self.events.append(
            RequestEnded(request_id=request.id, code=code, reason=reason)
        )

    def _refuse(self, request: _Request, code: int, now: float) -> None:
        self._forget_request(request)
        rejection = _rejection(request.handshake, code)
        while len(self._refused) >= max(1, self._limits.refusals):
            del self._refused[next(iter(self._refused))]
        self._refused[request.key] = _Reply(
            rejection, request.came_at, now + self._limits.refusal_memory
        )
        self._answer(request, rejection, request.came_at, now)

    def _answer(
        self, request: _Request, answer: Handshake, start: float, now: float
    ) -> None:
        data = handshake_packet(answer, request.key[1], start, now)
        self.output.append(Datagram(data, request.peer, request.local))

    def _forget_request(self, request: _Request) -> None:
        del self._requests[request.id]
        del self._waiting[request.key]
        host = request.peer[0]
        self._addresses[host] -= 1
        if not self._addresses[host]:
            del self._addresses[host]

    # --- time ----------------------------------------------------------------------

    def next_timeout(self) -> float | None:
        """Return when something is to be forgotten."""
        # Both tables are in the order of their deadlines.
        deadlines = []
        if self._requests:
            deadlines.append(next(iter(self._requests.values())).expires_at)
        if self._refused:
            at = next(iter(self._refused.values())).expires_at
            deadlines.append(at or 0.0)
        return min(deadlines, default=None)

    def handle_timeout(self, now: float) -> None:
        """Forget what has waited too long."""
        while self._requests:
            request = next(iter(self._requests.values()))
            if request.expires_at > now:
                break
            code = RejectionCode.TIMEOUT
            self._end_request(request, code, "nobody decided in time", now)
        while self._refused:
            key, reply = next(iter(self._refused.items()))
            if (reply.expires_at or 0.0) > now:
                break
            del self._refused[key]

    @property
    def waiting(self) -> int:
        """How many requests wait for a decision."""
        return len(self._requests)

    @property
    def pending_bytes(self) -> int:
        """Octets held for callers."""
        held = sum(
            len(request.handshake.extensions) + 64
            for request in self._requests.values()
        )
        replies = (*self._replies.values(), *self._refused.values())
        held += sum(len(reply.handshake.extensions) + 64 for reply in replies)
        return held + sum(len(datagram.data) for datagram in self.output)


def _rejection(theirs: Handshake, code: int) -> Handshake:
    """Return the caller's own handshake with a refusal, as libsrt does it."""
    return attrs.evolve(
        theirs, version=5, type=type_of_code(code), extension=0, extensions=b""
    )


def _access_of(text: str) -> tuple[AccessRequest | None, ProtocolError | None]:
    try:
        return decode_stream_id(text), None
    except ProtocolError as error:
        return None, error


def _cipher_of(extensions: Extensions) -> tuple[KeyCipher | None, int]:
    if extensions.key_request is None:
        return None, 0
    try:
        material = decode_key_material(extensions.key_request)
    except ProtocolError:
        return None, 0
    return material.cipher, material.key_length


def _event_for(request: _Request) -> ConnectionRequested:
    extensions = request.extensions
    access, error = _access_of(extensions.stream_id or "")
    cipher, key_length = _cipher_of(extensions)
    message = extensions.request
    flags = message.flags if message is not None else 0
    return ConnectionRequested(
        request_id=request.id,
        peer=request.peer,
        local=request.local,
        peer_socket_id=request.handshake.socket_id,
        stream_id=extensions.stream_id or "",
        access=access,
        access_error=error,
        peer_version=message.version if message is not None else 0,
        is_encrypted=extensions.key_request is not None,
        key_length=key_length,
        cipher=cipher,
        is_live=extensions.congestion in (None, "live"),
        is_message_api=not flags & 0x40,
        packet_filter=extensions.packet_filter or "",
        group=extensions.group,
    )
