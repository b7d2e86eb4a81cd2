"""`DtlsConnection` against GnuTLS's ``gnutls-serv`` and ``gnutls-cli``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import trio
from sansmedia.dtls import ApplicationDataReceived, Role, SrtpProfile, Verification
from sansmedia.sansio import TerminationCause
from sansmedia.sansio.testing import Conditions

pytestmark = pytest.mark.interop

_PRIORITY = "NORMAL:-VERS-ALL:+VERS-DTLS1.2"
_COMMON = (
    "--udp",
    "--mtu=1200",
    "--srtp-profiles=SRTP_AES128_CM_HMAC_SHA1_80",
    "--keymatexport=EXTRACTOR-dtls_srtp",
    "--keymatexportsize=60",
)
_LOSS = Conditions(delay=0.01, jitter=0.01, loss=0.1, duplicate=0.1, reorder=0.2)


def _files(files: Any) -> list[str]:
    return [f"--x509certfile={files.certificate}", f"--x509keyfile={files.key}"]


@pytest.fixture
def gnutls_serv(
    peer: Callable[[str], str], start_tool: Any, free_port: int
) -> Callable[..., Any]:
    """Start a server; returns it and its address once it listens."""

    async def start(files: Any, *more: str) -> tuple[Any, tuple[str, int]]:
        # Its output would come in blocks of 4 KB.
        tool = start_tool(
            *("stdbuf", "-oL", peer("gnutls-serv"), f"--port={free_port}", "--echo"),
            *(*_COMMON, *_files(files), *(more or (f"--priority={_PRIORITY}",))),
        )
        await tool.hear("listening on IPv4")
        return tool, ("127.0.0.1", free_port)

    return start


@pytest.fixture
def gnutls_cli(peer: Callable[[str], str], start_tool: Any) -> Callable[..., Any]:
    """Start a client."""

    def start(files: Any, address: tuple[str, int], priority: str = _PRIORITY) -> Any:
        return start_tool(
            *("stdbuf", "-oL", peer("gnutls-cli"), f"--port={address[1]}", address[0]),
            *("--insecure", *_COMMON, *_files(files), f"--priority={priority}"),
        )

    return start


async def _echoes(us: Any, tool: Any) -> None:
    """Assert that a server has our profile and sends back what we say.

    Over UDP it does not show what it exports; `_agrees` is for the client.
    """
    await tool.hear("DTLS profile set to SRTP_AES128_CM_HMAC_SHA1_80")
    assert us.completed.srtp_profile is SrtpProfile.AES128_CM_HMAC_SHA1_80
    assert us.completed.has_extended_master_secret
    us.machine.send(b"echo this", now=0.0)
    expected = ApplicationDataReceived(b"echo this")
    await us.run(until=lambda: expected in us.events)


async def _agrees(us: Any, tool: Any) -> None:
    """Assert that GnuTLS has the same profile and keys."""
    said = await tool.hear(r"Key material: ([0-9a-f]+)\n")
    assert said == us.exported()
    await tool.hear("SRTP profile: SRTP_AES128_CM_HMAC_SHA1_80")
    assert us.completed.srtp_profile is SrtpProfile.AES128_CM_HMAC_SHA1_80
    assert us.completed.has_extended_master_secret


@pytest.mark.parametrize("kind", ["ecdsa", "rsa"])
@pytest.mark.parametrize("mtu", [256, 1200])
async def test_a_server_that_asks_for_a_cookie(
    endpoint: Any, gnutls_serv: Any, theirs: Any, kind: str, mtu: int
) -> None:
    """RFC 6347 §4.2.1."""
    tool, address = await gnutls_serv(theirs[kind])
    async with endpoint(Role.CLIENT, theirs[kind].fingerprint, address, mtu=mtu) as us:
        await us.run(until=lambda: us.completed)
        await _echoes(us, tool)
        us.machine.close(now=0.0)
        await us.run()


@pytest.mark.parametrize("ciphers", ["CHACHA20-POLY1305", "AES-256-GCM", "AES-128-GCM"])
async def test_a_server_with_wishes(
    endpoint: Any, gnutls_serv: Any, theirs: Any, ciphers: str
) -> None:
    priority = f"--priority={_PRIORITY}:-CIPHER-ALL:+{ciphers}"
    tool, address = await gnutls_serv(theirs["ecdsa"], priority, "--nocookie")
    async with endpoint(Role.CLIENT, theirs["ecdsa"].fingerprint, address) as us:
        await us.run(until=lambda: us.completed)
        await _echoes(us, tool)


@pytest.mark.parametrize("kind", ["ecdsa", "rsa"])
@pytest.mark.parametrize("our_kind", ["ecdsa", "rsa"])
async def test_a_client(
    endpoint: Any, gnutls_cli: Any, theirs: Any, ours: Any, kind: str, our_kind: str
) -> None:
    async with endpoint(
        Role.SERVER, theirs[kind].fingerprint, certificate=ours[our_kind], mtu=500
    ) as us:
        tool = gnutls_cli(theirs[kind], us.address)
        await us.run(until=lambda: us.completed)
        await _agrees(us, tool)
        tool.say("hello from gnutls")
        expected = ApplicationDataReceived(b"hello from gnutls\n")
        await us.run(until=lambda: expected in us.events)
        us.machine.send(b"hello from us\n", now=0.0)
        await us.run(until=lambda: True)
        await tool.hear("hello from us")


async def test_a_client_without_extended_master_secret_is_refused(
    endpoint: Any, gnutls_cli: Any, theirs: Any
) -> None:
    """RFC 7627 §5.2."""
    async with endpoint(Role.SERVER, theirs["ecdsa"].fingerprint) as us:
        gnutls_cli(theirs["ecdsa"], us.address, _PRIORITY + ":%NO_SESSION_HASH")
        await us.run()
    (end,) = us.events
    assert end.cause is TerminationCause.VIOLATION
    assert end.error.code == "handshake_failure"


async def test_a_client_without_extended_master_secret_where_that_is_allowed(
    endpoint: Any, gnutls_cli: Any, theirs: Any
) -> None:
    """RFC 7627 §5; RFC 5246 §8.1."""
    async with endpoint(
        Role.SERVER,
        theirs["ecdsa"].fingerprint,
        require_extended_master_secret=False,
    ) as us:
        tool = gnutls_cli(theirs["ecdsa"], us.address, _PRIORITY + ":%NO_SESSION_HASH")
        await us.run(until=lambda: us.completed)
        said = await tool.hear(r"Key material: ([0-9a-f]+)\n")
        assert said == us.exported()
    assert not us.completed.has_extended_master_secret


@pytest.mark.slow
async def test_a_server_beyond_a_bad_network(
    endpoint: Any, gnutls_serv: Any, relay: Any, theirs: Any
) -> None:
    """RFC 6347 §4.2.4."""
    files = theirs["ecdsa"]
    tool, address = await gnutls_serv(files)
    async with (
        relay(address, _LOSS, seed=7) as way,
        endpoint(Role.CLIENT, files.fingerprint, way, mtu=400) as us,
    ):
        await us.run(until=lambda: us.completed)
        # Data may be lost, but what says the profile is beyond that.
        await tool.hear("DTLS profile set to SRTP_AES128_CM_HMAC_SHA1_80")


@pytest.mark.slow
async def test_a_client_beyond_a_bad_network(
    endpoint: Any, gnutls_cli: Any, relay: Any, theirs: Any
) -> None:
    """RFC 6347 §4.2.4."""
    files = theirs["ecdsa"]
    async with (
        endpoint(Role.SERVER, files.fingerprint, mtu=400) as us,
        relay(us.address, _LOSS, seed=9) as way,
    ):
        tool = gnutls_cli(files, way)
        await us.run(until=lambda: us.completed)
        # It may have missed our last flight, and will ask for it.
        async with trio.open_nursery() as nursery:
            nursery.start_soon(us.run)
            await tool.hear(r"Key material: [0-9a-f]+\n")
            nursery.cancel_scope.cancel()
        await _agrees(us, tool)


async def test_a_client_without_a_certificate_where_none_is_required(
    endpoint: Any, peer: Any, start_tool: Any, theirs: Any
) -> None:
    """RFC 5246 §7.4.6."""
    async with endpoint(Role.SERVER, None, verification=Verification.OPTIONAL) as us:
        where = f"--port={us.address[1]}", us.address[0]
        command = peer("gnutls-cli"), *where, "--insecure", *_COMMON
        tool = start_tool("stdbuf", "-oL", *command, f"--priority={_PRIORITY}")
        await us.run(until=lambda: us.completed)
        await _agrees(us, tool)
    assert us.completed.peer_certificate is None
