"""The state tables of both roles: (state, input) -> state.

A handshake message without a row in the state of the moment is answered with the alert
unexpected_message.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Final

from .constants import Role

__all__ = ["CLIENT", "SERVER", "TABLES", "Input", "State"]


class State(enum.Enum):
    """Where a connection stands."""

    IDLE = "idle"
    """A client before `start`."""
    WAIT_CLIENT_HELLO = "wait for client hello"
    WAIT_SERVER_HELLO = "wait for server hello"
    WAIT_CERTIFICATE = "wait for certificate"
    WAIT_SERVER_KEY_EXCHANGE = "wait for server key exchange"
    WAIT_CERTIFICATE_REQUEST = "wait for certificate request"
    """Or for ServerHelloDone: a server may want no certificate."""
    WAIT_SERVER_HELLO_DONE = "wait for server hello done"
    WAIT_CLIENT_KEY_EXCHANGE = "wait for client key exchange"
    WAIT_ANONYMOUS_KEY_EXCHANGE = "wait for anonymous key exchange"
    """The client has no certificate, and none is asked of it."""
    WAIT_CERTIFICATE_VERIFY = "wait for certificate verify"
    WAIT_FINISHED = "wait for finished"
    WAIT_FINGERPRINTS = "wait for fingerprints"
    """The handshake is done; whether with the right peer is not known yet."""
    CONNECTED = "connected"
    TERMINATED = "terminated"


class Input(enum.Enum):
    """What moves a connection."""

    START = "start"
    CLIENT_HELLO = "client hello"
    HELLO_WITHOUT_COOKIE = "hello without cookie"
    HELLO_VERIFY_REQUEST = "hello verify request"
    SERVER_HELLO = "server hello"
    CERTIFICATE = "certificate"
    EMPTY_CERTIFICATE = "empty certificate"
    SERVER_KEY_EXCHANGE = "server key exchange"
    CERTIFICATE_REQUEST = "certificate request"
    SERVER_HELLO_DONE = "server hello done"
    CLIENT_KEY_EXCHANGE = "client key exchange"
    CERTIFICATE_VERIFY = "certificate verify"
    FINISHED = "finished"
    VERIFIED = "verified"
    """The peer's certificate is the right one."""
    END = "end"
    """Close, alert, time-out or violation."""


_S, _I = State, Input

SERVER: Final[Mapping[tuple[State, Input], State]] = {
    (_S.WAIT_CLIENT_HELLO, _I.HELLO_WITHOUT_COOKIE): _S.WAIT_CLIENT_HELLO,
    (_S.WAIT_CLIENT_HELLO, _I.CLIENT_HELLO): _S.WAIT_CERTIFICATE,
    (_S.WAIT_CLIENT_HELLO, _I.END): _S.TERMINATED,
    (_S.WAIT_CERTIFICATE, _I.CERTIFICATE): _S.WAIT_CLIENT_KEY_EXCHANGE,
    (_S.WAIT_CERTIFICATE, _I.EMPTY_CERTIFICATE): _S.WAIT_ANONYMOUS_KEY_EXCHANGE,
    (_S.WAIT_CERTIFICATE, _I.END): _S.TERMINATED,
    (_S.WAIT_CLIENT_KEY_EXCHANGE, _I.CLIENT_KEY_EXCHANGE): _S.WAIT_CERTIFICATE_VERIFY,
    (_S.WAIT_CLIENT_KEY_EXCHANGE, _I.END): _S.TERMINATED,
    (_S.WAIT_ANONYMOUS_KEY_EXCHANGE, _I.CLIENT_KEY_EXCHANGE): _S.WAIT_FINISHED,
    (_S.WAIT_ANONYMOUS_KEY_EXCHANGE, _I.END): _S.TERMINATED,
    (_S.WAIT_CERTIFICATE_VERIFY, _I.CERTIFICATE_VERIFY): _S.WAIT_FINISHED,
    (_S.WAIT_CERTIFICATE_VERIFY, _I.END): _S.TERMINATED,
    (_S.WAIT_FINISHED, _I.FINISHED): _S.WAIT_FINGERPRINTS,
    (_S.WAIT_FINISHED, _I.END): _S.TERMINATED,
    (_S.WAIT_FINGERPRINTS, _I.VERIFIED): _S.CONNECTED,
    (_S.WAIT_FINGERPRINTS, _I.END): _S.TERMINATED,
    (_S.CONNECTED, _I.END): _S.TERMINATED,
}
"""A server. Source: RFC 6347 §4.2.4, figure 1."""

CLIENT: Final[Mapping[tuple[State, Input], State]] = {
    (_S.IDLE, _I.START): _S.WAIT_SERVER_HELLO,
    (_S.IDLE, _I.END): _S.TERMINATED,
    (_S.WAIT_SERVER_HELLO, _I.HELLO_VERIFY_REQUEST): _S.WAIT_SERVER_HELLO,
    (_S.WAIT_SERVER_HELLO, _I.SERVER_HELLO): _S.WAIT_CERTIFICATE,
    (_S.WAIT_SERVER_HELLO, _I.END): _S.TERMINATED,
    (_S.WAIT_CERTIFICATE, _I.CERTIFICATE): _S.WAIT_SERVER_KEY_EXCHANGE,
    (_S.WAIT_CERTIFICATE, _I.END): _S.TERMINATED,
    (_S.WAIT_SERVER_KEY_EXCHANGE, _I.SERVER_KEY_EXCHANGE): _S.WAIT_CERTIFICATE_REQUEST,
    (_S.WAIT_SERVER_KEY_EXCHANGE, _I.END): _S.TERMINATED,
    (_S.WAIT_CERTIFICATE_REQUEST, _I.CERTIFICATE_REQUEST): _S.WAIT_SERVER_HELLO_DONE,
    (_S.WAIT_CERTIFICATE_REQUEST, _I.SERVER_HELLO_DONE): _S.WAIT_FINISHED,
    (_S.WAIT_CERTIFICATE_REQUEST, _I.END): _S.TERMINATED,
    (_S.WAIT_SERVER_HELLO_DONE, _I.SERVER_HELLO_DONE): _S.WAIT_FINISHED,
    (_S.WAIT_SERVER_HELLO_DONE, _I.END): _S.TERMINATED,
    (_S.WAIT_FINISHED, _I.FINISHED): _S.WAIT_FINGERPRINTS,
    (_S.WAIT_FINISHED, _I.END): _S.TERMINATED,
    (_S.WAIT_FINGERPRINTS, _I.VERIFIED): _S.CONNECTED,
    (_S.WAIT_FINGERPRINTS, _I.END): _S.TERMINATED,
    (_S.CONNECTED, _I.END): _S.TERMINATED,
}
"""A client. Source: RFC 6347 §4.2.4, figure 1."""

TABLES: Final = {Role.SERVER: SERVER, Role.CLIENT: CLIENT}
"""The table of each role."""
