"""Certificates for other programs, our side on a socket, and a bad network on UDP."""

from __future__ import annotations

import contextlib
import datetime
import math
import os
import re
import socket
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, TypeAlias

import attrs
import pytest
import trio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from sansmedia.dtls import (
    Certificate,
    DtlsConfig,
    DtlsConnection,
    DtlsEvent,
    Fingerprint,
    HandshakeCompleted,
    Limits,
    Role,
    fingerprint_of,
    generate_certificate,
)
from sansmedia.sansio import Datagram
from sansmedia.sansio.testing import Conditions, DatagramLink

DEADLINE_S = 40.0
LOOPBACK = "127.0.0.1"


# --- certificates -------------------------------------------------------------------


@attrs.frozen
class Files:
    """A certificate and its key, as other programs want them."""

    certificate: Path
    key: Path
    fingerprint: Fingerprint


def _write(folder: Path, name: str, key: Any) -> Files:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .issuer_name(subject)
        .subject_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=30))
        .sign(key, hashes.SHA256())
    )
    files = folder / f"{name}.pem", folder / f"{name}.key"
    files[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return Files(*files, fingerprint_of(made.public_bytes(serialization.Encoding.DER)))


@pytest.fixture(scope="session")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Files]:
    """Certificates of other programs, by the kind of their key."""
    folder = tmp_path_factory.mktemp("dtls")
    return {
        "ecdsa": _write(folder, "ecdsa", ec.generate_private_key(ec.SECP256R1())),
        "p384": _write(folder, "p384", ec.generate_private_key(ec.SECP384R1())),
        "rsa": _write(folder, "rsa", rsa.generate_private_key(65537, 2048)),
    }


@pytest.fixture(scope="session")
def ours(theirs: dict[str, Files]) -> dict[str, Certificate]:
    """Our certificates, by the kind of their key."""
    now = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
    files = theirs["rsa"]
    return {
        "ecdsa": generate_certificate(os.urandom, not_before=now),
        "rsa": Certificate.from_pem(
            files.certificate.read_bytes(), files.key.read_bytes()
        ),
    }


# --- other programs -----------------------------------------------------------------


@attrs.define(eq=False)
class Tool:
    """Another program, its standard input in our hands."""

    process: subprocess.Popen[bytes]
    output: Path

    @property
    def said(self) -> str:
        """What it has said so far."""
        return self.output.read_text("utf-8", "replace")

    def say(self, line: str) -> None:
        """Type a line."""
        assert self.process.stdin is not None
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    async def hear(self, pattern: str) -> str:
        """Wait until it says something; return the first group, or all of it."""
        with trio.move_on_after(DEADLINE_S):
            while True:
                if (match := re.search(pattern, self.said)) is not None:
                    return match[match.lastindex or 0]
                await trio.sleep(0.02)  # a file tells nobody that it grows
        pytest.fail(f"waited for {pattern!r}; it said:\n{self.said[-3000:]}")

    def end(self) -> None:
        """End it, whatever it is doing."""
        if self.process.poll() is None:
            self.process.kill()
        with contextlib.suppress(BrokenPipeError):
            self.process.communicate()


StartTool: TypeAlias = Callable[..., Tool]


@pytest.fixture
def start_tool(tmp_path: Path) -> Iterator[StartTool]:
    """Start programs; whatever still runs at the end of the test is killed."""
    tools: list[Tool] = []

    def run(*command: object) -> Tool:
        output = tmp_path / f"{Path(str(command[0])).name}-{len(tools)}.log"
        with open(output, "wb") as log:
            process = subprocess.Popen(
                [str(word) for word in command],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        tools.append(Tool(process, output))
        return tools[-1]

    yield run
    for tool in tools:
        tool.end()


@pytest.fixture
def free_port() -> int:
    """A UDP port of loopback that nobody has."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


# --- our side -----------------------------------------------------------------------


@attrs.define(eq=False)
class Endpoint:
    """Our side on a socket."""

    machine: DtlsConnection
    socket: Any
    events: list[DtlsEvent] = attrs.field(factory=list)

    @property
    def address(self) -> tuple[str, int]:
        """Where it is."""
        name: tuple[str, int] = self.socket.getsockname()
        return name

    @property
    def completed(self) -> HandshakeCompleted | None:
        """The event of that name, once it has come."""
        found = (one for one in self.events if isinstance(one, HandshakeCompleted))
        return next(found, None)

    def exported(self) -> str:
        """Return 60 octets for SRTP in hexadecimal."""
        octets = self.machine.export_keying_material(b"EXTRACTOR-dtls_srtp", 60)
        assert octets is not None
        return octets.hex()

    async def run(self, until: Callable[[], object] | None = None) -> None:
        """Run the machine until it has ended, or something holds."""
        machine = self.machine
        with trio.fail_after(DEADLINE_S):
            while True:
                while (event := machine.next_event()) is not None:
                    self.events.append(event)
                for datagram in machine.datagrams_to_send():
                    await self.socket.sendto(datagram.data, datagram.peer)
                if machine.is_terminated or (until is not None and until()):
                    return
                deadline = machine.next_timeout()
                with trio.move_on_at(math.inf if deadline is None else deadline):
                    data, peer = await self.socket.recvfrom(65536)
                    batch = [Datagram(data, peer)]
                    machine.receive_datagrams(batch, trio.current_time())
                if deadline is not None and deadline <= trio.current_time():
                    machine.handle_timeout(trio.current_time())


MakeEndpoint: TypeAlias = Callable[..., AbstractAsyncContextManager[Endpoint]]


@pytest.fixture
def endpoint(ours: dict[str, Certificate]) -> MakeEndpoint:
    """Open our side; a client is told its peer and starts."""

    @asynccontextmanager
    async def make(
        role: Role,
        fingerprint: Fingerprint | None,
        peer: tuple[str, int] = ("", 0),
        **values: Any,
    ) -> AsyncIterator[Endpoint]:
        config = DtlsConfig(**{"certificate": ours["ecdsa"]} | values)
        now = trio.current_time()
        limits = Limits(handshake_timeout=DEADLINE_S)
        machine = DtlsConnection(
            role, config, limits, dice=os.urandom, now=now, peer=peer
        )
        if fingerprint is not None:
            machine.set_remote_fingerprints([fingerprint], now=now)
        with trio.socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as opened:
            await opened.bind((LOOPBACK, 0))
            machine.start(now=now)
            yield Endpoint(machine, opened)

    return make


# --- a bad network on UDP -----------------------------------------------------------


class _Relay:
    """Carries datagrams between one client and a server, as `Conditions` say."""

    def __init__(
        self, server: tuple[str, int], conditions: Conditions, seed: int
    ) -> None:
        self._server = server
        self._client: tuple[str, int] | None = None
        self._front, self._back = (
            trio.socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)
        )
        self._links = {
            self._front: DatagramLink(conditions, seed=seed),
            self._back: DatagramLink(conditions, seed=seed + 1),
        }
        self._changed = trio.Event()

    async def open(self, nursery: trio.Nursery) -> tuple[str, int]:
        """Begin; return where the client shall send to."""
        for one in self._links:
            await one.bind((LOOPBACK, 0))
            nursery.start_soon(self._read, one)
        nursery.start_soon(self._write)
        address: tuple[str, int] = self._front.getsockname()
        return address

    async def _read(self, source: Any) -> None:
        while True:
            data, sender = await source.recvfrom(65536)
            if source is self._front:
                self._client = sender
            self._links[source].send([Datagram(data, sender)], trio.current_time())
            self._changed.set()

    async def _write(self) -> None:
        while True:
            self._changed = trio.Event()
            times = [link.next_timeout() for link in self._links.values()]
            due = min((at for at in times if at is not None), default=math.inf)
            with trio.move_on_at(due):
                await self._changed.wait()
            now = trio.current_time()
            for datagram in self._links[self._front].arrivals(now):
                await self._back.sendto(datagram.data, self._server)
            for datagram in self._links[self._back].arrivals(now):
                if self._client is not None:
                    await self._front.sendto(datagram.data, self._client)

    def close(self) -> None:
        """Close both sockets."""
        for one in self._links:
            one.close()


OpenRelay: TypeAlias = Callable[..., AbstractAsyncContextManager[tuple[str, int]]]


@pytest.fixture
def relay() -> OpenRelay:
    """Open a relay to a server: ``async with relay(server, conditions, seed)``."""

    @asynccontextmanager
    async def make(
        server: tuple[str, int], conditions: Conditions, seed: int = 1
    ) -> AsyncIterator[tuple[str, int]]:
        async with trio.open_nursery() as nursery:
            carrier = _Relay(server, conditions, seed)
            try:
                yield await carrier.open(nursery)
            finally:
                nursery.cancel_scope.cancel()
                carrier.close()

    return make
