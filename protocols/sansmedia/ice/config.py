"""How an agent is to behave."""

from __future__ import annotations

import re
from typing import Final

import attrs

from sansmedia.sansio import UsageError

from .routing import TRANSACTION_PREFIX_SIZE

__all__ = ["IceConfig", "require_credentials"]

_UFRAG: Final = re.compile(r"[A-Za-z0-9+/]{4,256}")
_PWD: Final = re.compile(r"[A-Za-z0-9+/]{22,256}")


def require_credentials(ufrag: str, pwd: str) -> None:
    """Check the form of user name fragment and password. Source: RFC 8839 §5.4.

    Raises:
        UsageError: One of them is too short, too long or has a foreign character.
    """
    if not _UFRAG.fullmatch(ufrag) or not _PWD.fullmatch(pwd):
        raise UsageError("user name fragment or password of a wrong form")


@attrs.frozen(kw_only=True)
class IceConfig:
    """Settings of one agent. The defaults are the specifications'."""

    controlling: bool = False
    """The role to begin with: True for whoever offers. RFC 8445 §6.1.1."""
    lite: bool = False
    """Be a lite agent: answer checks, send none. RFC 8445 §2.5."""
    ufrag: str | None = None
    """Our user name fragment; made from the dice if None."""
    pwd: str | None = None
    """Our password; made from the dice if None."""
    transaction_prefix: bytes | None = None
    """The first 4 octets of our transaction ids; from the dice if None."""
    ta: float = 0.05
    """Seconds between two checks, at least 0.005. RFC 8445 §14.2."""
    rto: float = 0.5
    """Seconds to the first retransmission, at least. RFC 8445 §14.3."""
    rc: int = 7
    """Times that a request is sent. RFC 8489 §6.2.1."""
    rm: int = 16
    """RTOs to wait after the last time. RFC 8489 §6.2.1."""
    tcp_timeout: float = 39.5
    """Seconds to wait for a connection, and for an answer on it. RFC 8489 §6.2.2."""
    nomination_delay: float = 0.2
    """Seconds that a controlling agent waits for something better than the first
    valid pair."""
    pac_timeout: float = 39.5
    """Seconds before which nothing has failed. RFC 8863 §4."""
    consent_interval: float = 5.0
    """Seconds between two consent checks, times 0.8 to 1.2. RFC 7675 §5.1."""
    consent_timeout: float = 30.0
    """Seconds that one answer is consent for. RFC 7675 §5.1."""
    disconnected_timeout: float = 15.0
    """Seconds without an answer after which the state is ``disconnected``."""
    accept_requests_as_consent: bool = False
    """Take an authenticated request on the selected path for an answer. For peers
    that send checks and answer none, as FFmpeg 9 does once it streams."""
    keepalive_interval: float = 15.0
    """Seconds between the indications that a lite agent sends. RFC 8445 §11."""

    def __attrs_post_init__(self) -> None:
        """Refuse what could not work."""
        if (self.ufrag is None) != (self.pwd is None):
            raise UsageError("user name fragment and password belong together")
        if self.ufrag is not None and self.pwd is not None:
            require_credentials(self.ufrag, self.pwd)
        prefix = self.transaction_prefix
        if prefix is not None and len(prefix) != TRANSACTION_PREFIX_SIZE:
            raise UsageError("a transaction prefix has 4 octets")
        if self.ta < 0.005 or self.rto <= 0 or self.rc < 1 or self.rm < 1:
            raise UsageError("checks need time between them")
        if not 0 < self.consent_interval < self.consent_timeout:
            raise UsageError("consent must be asked for before it ends")
