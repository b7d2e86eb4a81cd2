"""Who may do what on the page: client addresses, sign-in sessions, same origin."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from urllib.parse import urlsplit

import attrs

from penstock.config import is_loopback

__all__ = [
    "COOKIE",
    "Client",
    "LoginGate",
    "SignIns",
    "client_of",
    "is_in_networks",
    "is_local_admin",
    "is_same_origin",
    "password_matches",
]

COOKIE = "penstock_session"

_FORWARDING = ("x-forwarded-for", "forwarded", "x-real-ip", "via")


@attrs.frozen
class Client:
    """Where a request comes from."""

    address: str
    """IP address; behind trusted proxies the one they name."""
    direct: bool
    """Whether no proxy stands in between, as far as the headers tell."""


def client_of(
    peer: str, headers: Mapping[str, str], trusted_proxies: Sequence[str]
) -> Client:
    """Return who sent a request.

    Args:
        peer: IP address of the connection.
        headers: The request's; names are looked up in lower case.
        trusted_proxies: Addresses or networks whose X-Forwarded-For is believed.
    """
    forwarded = any(headers.get(name) for name in _FORWARDING)
    networks = [ipaddress.ip_network(item, strict=False) for item in trusted_proxies]

    def is_trusted(text: str) -> bool:
        address = _address(text)
        return address is not None and any(address in network for network in networks)

    if not is_trusted(peer):
        return Client(peer, direct=not forwarded)
    address = peer
    # Each proxy appends whom it heard; what stands left of the first stranger is
    # that stranger's own claim.
    for hop in reversed(headers.get("x-forwarded-for", "").split(",")):
        if _address(hop.strip()) is None:
            break
        address = hop.strip()
        if not is_trusted(address):
            break
    return Client(address, direct=False)


def is_in_networks(address: str, networks: Sequence[str]) -> bool:
    """Tell whether an IP address is of one of these networks or addresses.

    What is no IP address is of none; an IPv4 address in IPv6 clothes is IPv4.

    Raises:
        ValueError: One of ``networks`` is none.
    """
    parsed = _address(address)
    if parsed is None:
        return False
    return any(parsed in ipaddress.ip_network(item, strict=False) for item in networks)


def is_local_admin(client: Client, host: str) -> bool:
    """Say whether a request is this machine's own user's.

    A reverse proxy beside the server connects from loopback too, and a page
    elsewhere can point a name of its own at 127.0.0.1: so no proxy header may be
    there, and the Host must be a loopback one.
    """
    if not client.direct or not is_loopback(client.address):
        return False
    return is_loopback(_hostname(f"//{host}"))


def is_same_origin(headers: Mapping[str, str]) -> bool:
    """Say whether a request that changes something is the page's own.

    Programs that are no browser send neither Origin nor Sec-Fetch-Site.
    """
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = headers.get("origin")
    if origin is None:
        return True
    try:
        place = urlsplit(origin).netloc
    except ValueError:
        return False
    return place.lower() == headers.get("host", "").lower() != ""


def password_matches(given: str, expected: str) -> bool:
    """Compare in a time that tells nothing about ``expected``."""
    return hmac.compare_digest(_digest(given), _digest(expected))


class SignIns:
    """The signed-in browsers: a bounded table of random tokens.

    Args:
        random_bytes: Source of the tokens.
        lifetime_s: How long one sign-in lasts.
        capacity: Tokens kept; the oldest goes first.
    """

    def __init__(
        self,
        random_bytes: Callable[[int], bytes],
        *,
        lifetime_s: float = 12 * 3600.0,
        capacity: int = 256,
    ) -> None:
        self.lifetime_s = lifetime_s
        self._random_bytes = random_bytes
        self._capacity = capacity
        self._entries: OrderedDict[bytes, tuple[float, bytes]] = OrderedDict()

    def open(self, password: str, now: float) -> str:
        """Return a new token; it is void once ``password`` changes."""
        token = self._random_bytes(32).hex()
        self._entries[_digest(token)] = (now + self.lifetime_s, _digest(password))
        if len(self._entries) > self._capacity:
            self._entries.popitem(last=False)
        return token

    def is_open(self, token: str, password: str, now: float) -> bool:
        """Say whether ``token`` was given out, for this password, and still holds."""
        entry = self._entries.get(_digest(token))
        if entry is None or not password:
            return False
        if entry[0] <= now or entry[1] != _digest(password):
            del self._entries[_digest(token)]
            return False
        return True

    def close(self, token: str) -> None:
        """Forget ``token``."""
        self._entries.pop(_digest(token), None)


class LoginGate:
    """Slows password guessing: a few failures an address a minute.

    Args:
        failures: Wrong passwords allowed in a window.
        window_s: How long a failure counts.
        capacity: Addresses remembered; the oldest goes first.
    """

    def __init__(
        self, *, failures: int = 5, window_s: float = 60.0, capacity: int = 4_096
    ) -> None:
        self._failures = failures
        self._window_s = window_s
        self._capacity = capacity
        self._entries: OrderedDict[str, list[float]] = OrderedDict()

    def wait_s(self, address: str, now: float) -> float:
        """Return how long ``address`` must wait before it may try; 0 if not."""
        recent = self._recent(_block(address), now)
        if len(recent) < self._failures:
            return 0.0
        return recent[0] + self._window_s - now

    def failed(self, address: str, now: float) -> None:
        """Count one wrong password."""
        block = _block(address)
        self._entries[block] = [*self._recent(block, now), now][-self._failures :]
        self._entries.move_to_end(block)
        if len(self._entries) > self._capacity:
            self._entries.popitem(last=False)

    def _recent(self, block: str, now: float) -> list[float]:
        times = self._entries.get(block, [])
        return [at for at in times if at + self._window_s > now]


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def _block(address: str) -> str:
    """Return what one guesser may hold: an IPv4 address or an IPv6 /64."""
    parsed = _address(address)
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return address if parsed is None else str(parsed)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        return address.ipv4_mapped
    return address


def _hostname(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
