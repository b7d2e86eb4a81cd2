"""The handshake: simple and digest, client and server.

The digest form is not in the published specification. Flash Player 9 and later hide
HMAC-SHA256 digests in the random octets of C1, S1, C2 and S2; Flash media servers,
librtmp and FFmpeg check them. There are two places for the digest of C1 and S1:

    octet 0        4         8           772          1536
    DIGEST_FIRST | time | version | digest block | key block    |
    KEY_FIRST    | time | version | key block    | digest block |

A digest block is 4 octets whose sum modulo 728 says where behind them the 32 octets
of digest begin; the rest is random. The digest covers all of C1 or S1 but itself.
C2 and S2 end with a digest over their first 1,504 octets, keyed by the digest of the
peer's digest.

Source: RTMP 1.0 §5.2; the digests as FFmpeg and librtmp 2.4 write and check them.
"""

from __future__ import annotations

import enum
import hashlib
import hmac

from sansmedia.sansio import Dice, ProtocolError

__all__ = [
    "HANDSHAKE_SIZE",
    "ClientHandshake",
    "HandshakeScheme",
    "ServerHandshake",
    "find_digest",
]

HANDSHAKE_SIZE = 1536
"""Octets of C1, S1, C2 and S2."""

_VERSION = 3
_DIGEST_SIZE = 32
_TLS_HANDSHAKE = b"\x16"
_SHARED_SECRET = bytes.fromhex(
    "f0eec24a8068bee82e00d0d1029e7e576eec5d2d29806fab93b8e636cfeb31ae"
)
_CLIENT_KEY = b"Genuine Adobe Flash Player 001"
_SERVER_KEY = b"Genuine Adobe Flash Media Server 001"
# Peers take a first octet of 3 or more for "knows digests"; the numbers are those of
# programs that they know.
_CLIENT_VERSION = bytes((9, 0, 124, 2))
_SERVER_VERSION = bytes((4, 5, 0, 1))


class HandshakeScheme(enum.Enum):
    """Form of a handshake; the value is where the digest block begins."""

    SIMPLE = 0
    DIGEST_FIRST = 8
    """Called scheme 0 or 1, depending on whom one asks; what librtmp sends first."""
    KEY_FIRST = 772


_DIGEST_SCHEMES = (HandshakeScheme.KEY_FIRST, HandshakeScheme.DIGEST_FIRST)


def _digest(key: bytes, *parts: bytes) -> bytes:
    mac = hmac.new(key, digestmod=hashlib.sha256)
    for part in parts:
        mac.update(part)
    return mac.digest()


def _digest_offset(packet: bytes, scheme: HandshakeScheme) -> int:
    base = scheme.value
    return sum(packet[base : base + 4]) % 728 + base + 4


def find_digest(packet: bytes, key: bytes) -> tuple[HandshakeScheme, bytes] | None:
    """Return the scheme and digest of a C1 or S1, or None if it has none.

    Args:
        packet: 1,536 octets.
        key: The public key of the packet's sender.
    """
    for scheme in _DIGEST_SCHEMES:
        offset = _digest_offset(packet, scheme)
        end = offset + _DIGEST_SIZE
        expected = _digest(key, packet[:offset], packet[end:])
        if hmac.compare_digest(expected, packet[offset:end]):
            return scheme, expected
    return None


def _signed(packet: bytes, scheme: HandshakeScheme, key: bytes) -> tuple[bytes, bytes]:
    """Return ``packet`` with its digest in place, and the digest."""
    offset = _digest_offset(packet, scheme)
    head, tail = packet[:offset], packet[offset + _DIGEST_SIZE :]
    digest = _digest(key, head, tail)
    return head + digest + tail, digest


def _response(random: bytes, key: bytes, peer_digest: bytes) -> bytes:
    """Return a C2 or S2 that proves that we saw the peer's digest."""
    body = random[: HANDSHAKE_SIZE - _DIGEST_SIZE]
    return body + _digest(_digest(key + _SHARED_SECRET, peer_digest), body)


class ServerHandshake:
    """Takes C0, C1, C2; gives S0, S1, S2 in the form that the client speaks.

    DEVIATION(field): C0 may name any version below 32 (but 22, the first octet of TLS)
    and is answered with 3; C2 is not compared with S1, since librtmp and hardware
    encoders send their own octets.

    Args:
        dice: Randomness of S1 and S2.
    """

    __slots__ = ("_buffer", "_dice", "_output", "_sent", "is_complete", "scheme")

    def __init__(self, dice: Dice) -> None:
        self._dice = dice
        self._buffer = bytearray()
        self._output = b""
        self._sent = False
        self.is_complete = False
        self.scheme = HandshakeScheme.SIMPLE
        """The form that the client chose; known once C1 is there."""

    @property
    def pending_bytes(self) -> int:
        """Octets held."""
        return len(self._buffer) + len(self._output)

    def receive(self, data: bytes) -> bytes:
        """Take octets; return those behind C2, which belong to the chunk stream.

        Raises:
            ProtocolError: C0 names a version that no RTMP peer does, or is TLS.
        """
        self._buffer += data
        if not self._sent:
            if self._buffer[:1] == _TLS_HANDSHAKE:
                # rtmps:// to the port of rtmp://; it would wait for our ServerHello.
                raise ProtocolError(
                    "TLS came where plain RTMP is spoken",
                    code="unsupported",
                    source="RFC 8446 §5.1",
                )
            if self._buffer and self._buffer[0] >= 32:
                raise ProtocolError(
                    f"version {self._buffer[0]} is not RTMP",
                    code="unsupported",
                    source="RTMP 1.0 §5.2.2",
                )
            if len(self._buffer) < 1 + HANDSHAKE_SIZE:
                return b""
            self._answer(bytes(self._buffer[1 : 1 + HANDSHAKE_SIZE]))
            del self._buffer[: 1 + HANDSHAKE_SIZE]
            self._sent = True
        if len(self._buffer) < HANDSHAKE_SIZE:
            return b""
        rest = bytes(self._buffer[HANDSHAKE_SIZE:])
        self._buffer.clear()
        self.is_complete = True
        return rest

    def clear(self) -> None:
        """Forget what came, at the end of the connection."""
        self._buffer.clear()

    def data_to_send(self) -> bytes:
        """Dequeue the octets for the client."""
        output, self._output = self._output, b""
        return output

    def _answer(self, c1: bytes) -> None:
        # A zero version means that there is no digest: no need to look for one.
        found = find_digest(c1, _CLIENT_KEY) if c1[4:8] != bytes(4) else None
        if found is None:
            s1 = bytes(8) + self._dice(HANDSHAKE_SIZE - 8)
            s2 = c1
        else:
            self.scheme, client_digest = found
            s1 = bytes(4) + _SERVER_VERSION + self._dice(HANDSHAKE_SIZE - 8)
            s1, _ = _signed(s1, self.scheme, _SERVER_KEY)
            s2 = _response(self._dice(HANDSHAKE_SIZE), _SERVER_KEY, client_digest)
        self._output += bytes((_VERSION,)) + s1 + s2


class ClientHandshake:
    """Gives C0, C1, C2; takes S0, S1, S2.

    A server that answers a digest C1 without a digest of its own is taken for a simple
    one. S2 is not checked: nothing secret depends on it.

    Args:
        dice: Randomness of C1 and C2.
        scheme: What to send.
    """

    __slots__ = ("_buffer", "_output", "_random", "is_complete", "scheme")

    def __init__(
        self, dice: Dice, scheme: HandshakeScheme = HandshakeScheme.DIGEST_FIRST
    ) -> None:
        self._buffer = bytearray()
        self._random = dice(HANDSHAKE_SIZE)
        self.is_complete = False
        self.scheme = scheme
        """What we sent; after the handshake, what the server answered."""
        if scheme is HandshakeScheme.SIMPLE:
            c1 = bytes(8) + dice(HANDSHAKE_SIZE - 8)
        else:
            c1 = bytes(4) + _CLIENT_VERSION + dice(HANDSHAKE_SIZE - 8)
            c1, _ = _signed(c1, scheme, _CLIENT_KEY)
        self._output = bytes((_VERSION,)) + c1

    @property
    def pending_bytes(self) -> int:
        """Octets held."""
        return len(self._buffer) + len(self._output)

    def receive(self, data: bytes) -> bytes:
        """Take octets; return those behind S2, which belong to the chunk stream.

        Raises:
            ProtocolError: S0 names a version that no RTMP peer does.
        """
        self._buffer += data
        if self._buffer and self._buffer[0] >= 32:
            raise ProtocolError(
                f"version {self._buffer[0]} is not RTMP",
                code="unsupported",
                source="RTMP 1.0 §5.2.2",
            )
        if len(self._buffer) < 1 + 2 * HANDSHAKE_SIZE:
            return b""
        s1 = bytes(self._buffer[1 : 1 + HANDSHAKE_SIZE])
        rest = bytes(self._buffer[1 + 2 * HANDSHAKE_SIZE :])
        self._buffer.clear()
        found = (
            None
            if self.scheme is HandshakeScheme.SIMPLE
            else find_digest(s1, _SERVER_KEY)
        )
        if found is None:
            self.scheme = HandshakeScheme.SIMPLE
            self._output += s1
        else:
            self.scheme, server_digest = found
            self._output += _response(self._random, _CLIENT_KEY, server_digest)
        self.is_complete = True
        return rest

    def clear(self) -> None:
        """Forget what came, at the end of the connection."""
        self._buffer.clear()

    def data_to_send(self) -> bytes:
        """Dequeue the octets for the server."""
        output, self._output = self._output, b""
        return output
