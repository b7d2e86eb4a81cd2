"""A simulated network of hosts, NATs, TCP connections and a STUN server."""

from __future__ import annotations

import ipaddress
import itertools
import math
from collections.abc import Callable
from typing import Any, TypeAlias

import attrs
import pytest
from sansmedia.ice import (
    Candidate,
    IceAgent,
    IceConfig,
    IceEvent,
    Limits,
    LocalCandidateFound,
    Path,
    PathSelected,
    StateChanged,
    TcpConnectionWanted,
    TcpType,
    decode_candidate,
    encode_candidate,
    host_candidate,
)
from sansmedia.sansio import Datagram
from sansmedia.sansio.testing import Conditions, DatagramLink, SeededDice
from sansmedia.stun import (
    Address,
    AttributeType,
    MessageClass,
    binding_request,
    decode_message,
    encode_error_code,
    encode_message,
    encode_xor_address,
    response_to,
)

STUN_SERVER = ("198.51.100.99", 3478)
_MAX_STEPS = 20_000


@attrs.define(eq=False)
class Nat:
    """Translates one host's UDP addresses; lets in what its host has written to.

    A symmetric one has another port for every peer.
    """

    public: str
    symmetric: bool = False
    _ports: Any = attrs.field(factory=lambda: itertools.count(20000))
    _out: dict[tuple[Address, Address | None], Address] = attrs.field(factory=dict)
    _back: dict[Address, tuple[Address, set[Address]]] = attrs.field(factory=dict)

    def outgoing(self, local: Address, peer: Address) -> Address:
        """Return the source that the peer sees."""
        key = local, peer if self.symmetric else None
        if key not in self._out:
            self._out[key] = self.public, next(self._ports)
            self._back[self._out[key]] = local, set()
        self._back[self._out[key]][1].add(peer)
        return self._out[key]

    def incoming(self, outer: Address, peer: Address) -> Address | None:
        """Return the inner address, or None for what is kept out."""
        local, peers = self._back.get(outer, (None, set()))
        return local if peer in peers else None

    def rebind(self) -> None:
        """Forget every mapping, as after a long silence or a restart."""
        self._out.clear()
        self._back.clear()


@attrs.define(eq=False)
class Host:
    """An agent, its addresses, and all that it has told."""

    agent: IceAgent
    addresses: list[str]
    port: int
    nat: Nat | None
    events: list[IceEvent] = attrs.field(factory=list)
    listens: bool = False
    """Whether it takes TCP connections at its port."""
    peer: Host | None = None
    """Who gets its found candidates."""
    muted: bool = False
    """Whether nothing it sends arrives."""

    def told(self, kind: type[IceEvent]) -> list[Any]:
        """Return the events of a kind."""
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def states(self) -> list[str]:
        """Every state it went through."""
        return [event.state.value for event in self.told(StateChanged)]

    @property
    def selected(self) -> list[Path]:
        """Every path it has selected."""
        return [event.path for event in self.told(PathSelected)]


@attrs.frozen
class Sent:
    """One datagram on the wire."""

    at: float
    data: bytes
    source: Address
    target: Address


class Network:
    """Carries datagrams between hosts in simulated time; time begins at 0."""

    def __init__(self, conditions: Conditions | None = None, seed: int = 1) -> None:
        self.now = 0.0
        self.hosts: list[Host] = []
        self.sent: list[Sent] = []
        self._delay = (conditions or Conditions()).delay
        self._udp = DatagramLink(conditions, seed=seed)
        self._tcp = DatagramLink(Conditions(delay=self._delay), seed=seed)
        self._connections: set[frozenset[Address]] = set()
        self._ports = itertools.count(40000)
        self._seeds = itertools.count(seed * 100)
        self._later: list[tuple[float, int, Callable[[], None]]] = []
        self._number = itertools.count()

    # --- building -------------------------------------------------------------------

    def host(
        self,
        *addresses: str,
        nat: Nat | None = None,
        tcp: TcpType | None = None,
        udp: bool = True,
        limits: Limits | None = None,
        port: int = 5000,
        **config: Any,
    ) -> Host:
        """Add a host with an agent and its host candidates."""
        agent = IceAgent(
            IceConfig(**config),
            limits,
            dice=SeededDice(next(self._seeds)),
            now=self.now,
        )
        host = Host(agent, list(addresses), port, nat)
        host.listens = tcp is TcpType.PASSIVE
        for number, address in enumerate(addresses):
            preference = 0xFFFF - number
            if udp:
                candidate = host_candidate((address, port), local_preference=preference)
                agent.add_local_candidate(candidate, now=self.now)
            if tcp is not None:
                candidate = host_candidate(
                    (address, port), tcp_type=tcp, local_preference=preference
                )
                agent.add_local_candidate(candidate, now=self.now)
        self.hosts.append(host)
        return host

    def parameters(self, *hosts: Host, lite: bool = False) -> None:
        """Signal user name fragments and passwords both ways."""
        for host, other in ((hosts[0], hosts[1]), (hosts[1], hosts[0])):
            host.peer = other
            host.agent.set_remote_parameters(
                other.agent.local_ufrag,
                other.agent.local_pwd,
                lite=lite and other is hosts[1],
                now=self.now,
            )

    def candidates(self, host: Host) -> None:
        """Signal a host's candidates to its peer."""
        assert host.peer is not None
        for candidate in host.agent.local_candidates:
            self.signal(host, candidate)

    def signal(self, host: Host, candidate: Candidate) -> None:
        """Signal one candidate, in SDP's form."""
        assert host.peer is not None
        again = decode_candidate(encode_candidate(candidate))
        host.peer.agent.add_remote_candidate(again, now=self.now)

    def introduce(self, left: Host, right: Host, *, lite: bool = False) -> None:
        """Signal everything both ways."""
        self.parameters(left, right, lite=lite)
        for host in (left, right):
            self.candidates(host)
            assert host.peer is not None
            host.peer.agent.end_of_remote_candidates(now=self.now)

    # --- running --------------------------------------------------------------------

    def run(
        self, until: float = math.inf, stop: Callable[[], bool] | None = None
    ) -> None:
        """Let time pass."""
        self._flush()
        for _ in range(_MAX_STEPS):
            if stop is not None and stop():
                return
            deadline = self._next()
            if deadline is None or deadline > until:
                self.now = max(self.now, until)
                return
            self.now = max(self.now, deadline)
            self._step()
            self._flush()
        raise AssertionError(f"too many steps until {self.now}")

    def complete(self, *hosts: Host, until: float = 20.0) -> None:
        """Run until every host has a nominated path, and some time longer."""
        self.run(
            until, lambda: all(host.agent.state.value == "completed" for host in hosts)
        )
        states = [host.agent.state.value for host in hosts]
        reports = [host.agent.pair_report() for host in hosts]
        assert states == ["completed"] * len(hosts), (self.now, states, reports)

    def _next(self) -> float | None:
        deadlines = [host.agent.next_timeout() for host in self.hosts]
        deadlines += [self._udp.next_timeout(), self._tcp.next_timeout()]
        deadlines += [min((at for at, _, _ in self._later), default=None)]
        return min((at for at in deadlines if at is not None), default=None)

    def _step(self) -> None:
        for link in (self._udp, self._tcp):
            for datagram in link.arrivals(self.now):
                self._arrive(datagram)
        for entry in sorted(self._later):
            if entry[0] <= self.now:
                self._later.remove(entry)
                entry[2]()
        for host in self.hosts:
            deadline = host.agent.next_timeout()
            if deadline is not None and deadline <= self.now:
                host.agent.handle_timeout(self.now)
                following = host.agent.next_timeout()
                assert following is None or following > self.now

    def _arrive(self, datagram: Datagram) -> None:
        target, peer = datagram.local, datagram.peer
        assert target is not None
        if target == STUN_SERVER:
            self._serve(datagram)
            return
        for host in self.hosts:
            inner: Address | None = target
            if host.nat is not None and target[0] == host.nat.public:
                inner = host.nat.incoming(target, peer)
            elif target[0] not in host.addresses or host.nat is not None:
                continue
            if inner is not None:
                arrived = attrs.evolve(datagram, local=inner, at=self.now)
                host.agent.receive_datagrams([arrived], self.now)
            return

    def _serve(self, datagram: Datagram) -> None:
        """Be a STUN server."""
        request = decode_message(datagram.data)
        value = encode_xor_address(datagram.peer, request.transaction_id)
        answer = response_to(
            request,
            MessageClass.SUCCESS,
            [(AttributeType.XOR_MAPPED_ADDRESS, value)],
        )
        self._udp.send(
            [Datagram(encode_message(answer), STUN_SERVER, datagram.peer)], self.now
        )

    def _flush(self) -> None:
        for host in self.hosts:
            while (event := host.agent.next_event()) is not None:
                host.events.append(event)
                self._react(host, event)
            for datagram in host.agent.datagrams_to_send():
                self._send(host, datagram)

    def _send(self, host: Host, datagram: Datagram) -> None:
        local = datagram.local
        assert local is not None
        if ipaddress.ip_address(local[0]).is_unspecified:
            local = host.addresses[0], local[1]
        source = local
        if datagram.transport == "tcp":
            if frozenset((local, datagram.peer)) not in self._connections:
                return
        elif host.nat is not None:
            source = host.nat.outgoing(local, datagram.peer)
        self.sent.append(Sent(self.now, datagram.data, source, datagram.peer))
        if host.muted or local[0] not in host.addresses:
            return
        carried = Datagram(
            datagram.data, source, datagram.peer, transport=datagram.transport
        )
        (self._tcp if datagram.transport == "tcp" else self._udp).send(
            [carried], self.now
        )

    def _react(self, host: Host, event: IceEvent) -> None:
        if isinstance(event, LocalCandidateFound) and host.peer is not None:
            self.signal(host, event.candidate)
        elif isinstance(event, TcpConnectionWanted):
            self.later(2 * self._delay, lambda: self._open(host, event))

    def later(self, seconds: float, action: Callable[[], None]) -> None:
        """Do something after some time."""
        self._later.append((self.now + seconds, next(self._number), action))

    def _open(self, host: Host, event: TcpConnectionWanted) -> None:
        for other in self.hosts:
            if event.peer[0] in other.addresses and other.listens:
                local = event.host, next(self._ports)
                self._connections.add(frozenset((local, event.peer)))
                path = Path(local, event.peer, "tcp")
                host.agent.tcp_connected(event.host, path, now=self.now)
                return
        host.agent.tcp_failed(event.host, event.peer, "refused", now=self.now)

    def disconnect(self) -> None:
        """Close every TCP connection."""
        for ends in self._connections:
            for one, two in itertools.permutations(ends):
                for host in self.hosts:
                    if one[0] in host.addresses:
                        path = Path(one, two, "tcp")
                        host.agent.tcp_closed(path, now=self.now)
        self._connections.clear()


MakeNetwork: TypeAlias = type[Network]


@pytest.fixture(name="network")
def network_fixture() -> Network:
    """A perfect network."""
    return Network()


@pytest.fixture
def make_network() -> MakeNetwork:
    """A network of any conditions and seed."""
    return Network


@pytest.fixture
def make_nat() -> type[Nat]:
    """A NAT."""
    return Nat


@pytest.fixture
def stun_server() -> Address:
    """The address of the network's STUN server."""
    return STUN_SERVER


# --- one agent and what is written to it by hand --------------------------------------


@attrs.define(eq=False)
class WirePeer:
    """Writes requests and answers to one agent, octet for octet as it likes."""

    agent: IceAgent
    ufrag: str = "peer"
    pwd: str = "passwordpasswordpassword"
    local: Address = ("192.0.2.1", 5000)
    """Where the agent is."""
    address: Address = ("192.0.2.2", 5000)
    _numbers: Any = attrs.field(factory=itertools.count)

    @classmethod
    def of(cls, limits: Limits | None = None, **config: Any) -> WirePeer:
        """Make an agent that knows the parameters of this peer."""
        agent = IceAgent(IceConfig(**config), limits, dice=SeededDice(7), now=0.0)
        peer = cls(agent)
        agent.add_local_candidate(host_candidate(peer.local), now=0.0)
        agent.set_remote_parameters(peer.ufrag, peer.pwd, now=0.0)
        return peer

    def signal(self, *addresses: Address, now: float = 0.0) -> None:
        """Signal host candidates, the first with the highest priority."""
        for number, address in enumerate(addresses or (self.address,)):
            candidate = host_candidate(address, local_preference=60000 - number)
            self.agent.add_remote_candidate(candidate, now=now)

    def request(
        self,
        *,
        use_candidate: bool = False,
        controlling: int | None = None,
        controlled: int | None = None,
        priority: int | None = 1_000_000,
        extra: tuple[tuple[int, bytes], ...] = (),
        username: str | None = "",
        key: bytes | None = b"",
        key_sha256: bytes | None = None,
        fingerprint: bool = True,
    ) -> bytes:
        """Write a check to the agent."""
        attributes = list(extra)
        if username is not None:
            username = username or f"{self.agent.local_ufrag}:{self.ufrag}"
            attributes.append((AttributeType.USERNAME, username.encode()))
        if priority is not None:
            attributes.append((AttributeType.PRIORITY, priority.to_bytes(4, "big")))
        if use_candidate:
            attributes.append((AttributeType.USE_CANDIDATE, b""))
        for kind, value in (
            (AttributeType.ICE_CONTROLLING, controlling),
            (AttributeType.ICE_CONTROLLED, controlled),
        ):
            if value is not None:
                attributes.append((kind, value.to_bytes(8, "big")))
        identity = next(self._numbers).to_bytes(12, "big")
        return encode_message(
            binding_request(identity, attributes),
            key=self.agent.local_pwd.encode() if key == b"" else key,
            key_sha256=key_sha256,
            fingerprint=fingerprint,
        )

    def give(
        self,
        *octets: bytes,
        now: float,
        peer: Address | None = None,
        local: Address | None = None,
    ) -> list[Datagram]:
        """Give datagrams to the agent; return what it sends then."""
        batch = [
            Datagram(data, peer or self.address, local or self.local, now)
            for data in octets
        ]
        self.agent.receive_datagrams(batch, now)
        return self.agent.datagrams_to_send()

    def checks(self, now: float) -> list[Datagram]:
        """Let the agent do what is due; return the requests it sends."""
        deadline = self.agent.next_timeout()
        if deadline is not None and deadline <= now:
            self.agent.handle_timeout(now)
        return self.requests(self.agent.datagrams_to_send())

    def requests(self, sent: list[Datagram]) -> list[Datagram]:
        """Return the requests among datagrams."""
        return [datagram for datagram in sent if datagram.data[:2] == b"\0\1"]

    def answer(
        self,
        check: Datagram,
        *,
        mapped: Address | None = None,
        error: int | None = None,
        key: bytes | None = b"",
        extra: tuple[tuple[int, bytes], ...] = (),
    ) -> bytes:
        """Write the answer to a check of the agent."""
        message = decode_message(check.data)
        if error is not None:
            kind = MessageClass.ERROR
            attributes = [(int(AttributeType.ERROR_CODE), encode_error_code(error))]
        else:
            kind = MessageClass.SUCCESS
            address = mapped or check.local or self.local
            value = encode_xor_address(address, message.transaction_id)
            attributes = [(int(AttributeType.XOR_MAPPED_ADDRESS), value)]
        return encode_message(
            response_to(message, kind, [*attributes, *extra]),
            key=self.pwd.encode() if key == b"" else key,
        )

    def succeed(self, check: Datagram, now: float) -> list[Datagram]:
        """Answer a check well."""
        return self.give(
            self.answer(check), now=now, peer=check.peer, local=check.local
        )

    def events(self) -> list[IceEvent]:
        """Return the events so far."""
        found = []
        while (event := self.agent.next_event()) is not None:
            found.append(event)
        return found


@pytest.fixture
def wire_peer() -> Callable[..., WirePeer]:
    """A hand-written peer and its agent."""
    return WirePeer.of
