"""Who may come in: limits, addresses, tokens, and the hooks of others."""

from __future__ import annotations

import hmac
import ipaddress
from collections import Counter
from collections.abc import Iterable
from urllib.parse import parse_qsl

import attrs

from penstock.control import HookAction, HookEvent
from penstock.settings import AuthSettings, LimitsSettings

from .callbacks import Callbacks
from .registry import Refusal
from .session import Role, Session
from .views import session_view

__all__ = ["Gate", "in_networks", "is_private"]

_OWN_DESCRIPTORS = 200

_PRIVATE = [
    ipaddress.ip_network(text)
    for text in (
        "127.0.0.0/8",
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "169.254.0.0/16",
        "::1/128",
        "fc00::/7",
        "fe80::/10",
    )
]


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None


def is_private(address: str) -> bool:
    """Tell whether an address is loopback, private or link-local.

    Source: RFC 1918 §3, RFC 4193 §3.1, RFC 3927 §2.1, RFC 4291 §2.5.6.
    """
    parsed = _address(address)
    return parsed is not None and any(parsed in network for network in _PRIVATE)


def in_networks(address: str, networks: Iterable[str]) -> bool:
    """Tell whether an address lies in one of the networks (CIDR or one address)."""
    parsed = _address(address)
    return parsed is not None and any(
        parsed in ipaddress.ip_network(network, strict=False) for network in networks
    )


def _has_token(session: Session, tokens: Iterable[str]) -> bool:
    given = [v for k, v in parse_qsl(session.parameters) if k == "token"]
    if session.token:
        given.append(session.token)
    return _is_one_of(given, tokens)


def _is_one_of(given: Iterable[str], tokens: Iterable[str]) -> bool:
    values = [value.encode(errors="replace") for value in given]
    found = False
    for token in tokens:
        for value in values:
            # No early return: the time must not tell which token came close.
            found |= hmac.compare_digest(value, token.encode())
    return found


@attrs.define(eq=False)
class Gate:
    """Admission to one server. A reload replaces ``auth`` and ``limits``."""

    auth: AuthSettings
    limits: LimitsSettings
    callbacks: Callbacks
    send_bps: int = 0
    """What all viewers take now; kept up to date by the engine's tick."""
    send_bps_by_address: dict[str, int] = attrs.field(factory=dict)
    descriptors: int = 0
    """File descriptors that the process may have; 0 if nobody has asked."""
    _connections: Counter[str] = attrs.field(factory=Counter)
    _total: int = 0
    _api_total: int = 0

    # -- connections ----------------------------------------------------------------

    def admit(self, address: str) -> None:
        """Count a new connection in. Raises: Refusal, then it is not counted."""
        limits = self.limits
        bounds = [limits.sessions, self.descriptors - self._reserve]
        if any(self._total >= bound for bound in bounds if bound > 0):
            raise Refusal("the server has too many connections", "limit")
        per_address = limits.sessions_per_address
        if per_address and self._connections[address] >= per_address:
            raise Refusal("too many connections from this address", "limit")
        self._total += 1
        self._connections[address] += 1

    def dismiss(self, address: str) -> None:
        """Count a connection out."""
        self._total -= 1
        self._connections[address] -= 1
        if self._connections[address] <= 0:
            del self._connections[address]

    def admit_to_api(self) -> None:
        """Count a connection of a control API in. Raises: Refusal, then it is not."""
        bound = self.limits.api_connections
        if bound and self._api_total >= bound:
            raise Refusal("the APIs have too many connections", "limit")
        self._api_total += 1

    def dismiss_from_api(self) -> None:
        """Count a connection of a control API out."""
        self._api_total -= 1

    @property
    def _reserve(self) -> int:
        """Descriptors that media must leave for APIs, hooks, relays and files."""
        wanted = _OWN_DESCRIPTORS + self.limits.api_connections
        return min(wanted, self.descriptors // 2)

    # -- what sessions ask ------------------------------------------------------------

    async def connect(self, session: Session) -> None:
        """Ask whether a client may connect. Raises: Refusal."""
        await self._ask(HookAction.CONNECT, session)

    def check_link(self, session: Session, address: str) -> None:
        """Judge another address that a session comes from as well. Raises: Refusal."""
        other = attrs.evolve(session, address=address)
        if session.role is Role.PUBLISH:
            self._check_publisher(other)
        else:
            self._check_viewer(other)

    def take_path_token(self, session: Session, app: str, name: str) -> tuple[str, str]:
        """Return a stream's app and name without a token that ends its path.

        Some clients write ``rtmp://host/live/name/TOKEN``. Only what is a token
        here is taken off, and kept with the session; one in the query goes before.
        """
        auth = self.auth
        tokens = [
            *(auth.publish_tokens if auth.publish == "token" else ()),
            *(auth.play_tokens if auth.play == "token" else ()),
        ]
        path, _, last = f"{app}/{name}".strip("/").rpartition("/")
        if not tokens or not path or not _is_one_of([last], tokens):
            return app, name
        if any(key == "token" for key, _ in parse_qsl(session.parameters)):
            return app, name
        session.token = last
        app, _, name = path.rpartition("/")
        return app, name

    async def publish(self, session: Session) -> None:
        """Ask whether a session may publish. Raises: Refusal."""
        self._check_publisher(session)
        await self._ask(HookAction.PUBLISH, session)

    def _check_publisher(self, session: Session) -> None:
        auth = self.auth
        self._check_address(session, auth.publish_allow, auth.publish_deny)
        if not session.authorized:
            self._check_mode(
                session,
                auth.publish,
                auth.publish_tokens,
                hooked=self.callbacks.has(HookAction.PUBLISH),
                verb="publish",
            )

    async def play(self, session: Session) -> None:
        """Ask whether a session may play. Raises: Refusal."""
        self._check_viewer(session)
        await self._ask(HookAction.PLAY, session)

    def _check_viewer(self, session: Session) -> None:
        auth = self.auth
        self._check_address(session, auth.play_allow, auth.play_deny)
        if not session.authorized:
            self._check_mode(
                session,
                auth.play,
                auth.play_tokens,
                hooked=self.callbacks.has(HookAction.PLAY),
                verb="play",
            )
        self._check_bandwidth(session.address)

    async def tell(self, action: HookAction, session: Session) -> None:
        """Tell the hooks what has happened; their answers do not matter."""
        await self.callbacks.tell(self._event(action, session))

    # -- rules ------------------------------------------------------------------------

    def _check_address(
        self, session: Session, allow: list[str], deny: list[str]
    ) -> None:
        address = session.address
        if in_networks(address, deny) or (allow and not in_networks(address, allow)):
            raise Refusal("this address is not allowed", "address")

    def _check_mode(
        self,
        session: Session,
        mode: str,
        tokens: list[str],
        *,
        hooked: bool,
        verb: str,
    ) -> None:
        if mode == "open" or (tokens and _has_token(session, tokens)):
            return
        if mode == "private":
            if hooked or is_private(session.address):
                return
            raise Refusal(
                f"only private addresses may {verb} here (auth.{verb})", "auth"
            )
        if hooked and not tokens:
            return  # the hook knows the tokens
        raise Refusal("the token is missing or wrong", "auth")

    def _check_bandwidth(self, address: str) -> None:
        limits = self.limits
        if limits.bandwidth_bps and self.send_bps >= limits.bandwidth_bps:
            raise Refusal("the server's bandwidth is used up", "limit")
        per_address = limits.bandwidth_per_address_bps
        if per_address and self.send_bps_by_address.get(address, 0) >= per_address:
            raise Refusal("the bandwidth of this address is used up", "limit")

    async def _ask(self, action: HookAction, session: Session) -> None:
        refusal = await self.callbacks.ask(self._event(action, session))
        if refusal is not None:
            raise Refusal(refusal, "hook")

    @staticmethod
    def _event(action: HookAction, session: Session) -> HookEvent:
        return HookEvent(
            action,
            session_view(session),
            parameters=session.parameters,
            tc_url=session.tc_url,
            page_url=session.page_url,
        )
