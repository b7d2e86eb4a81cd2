"""`DtlsConnection` against OpenSSL's ``s_server`` and ``s_client``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import trio
from sansmedia.dtls import (
    ApplicationDataReceived,
    CipherSuite,
    NamedGroup,
    Role,
    SrtpProfile,
)
from sansmedia.sansio import Terminated, TerminationCause
from sansmedia.sansio.testing import Conditions

pytestmark = pytest.mark.interop

_SRTP = "SRTP_AES128_CM_SHA1_80:SRTP_AEAD_AES_128_GCM"
_EXPORT = ["-keymatexport", "EXTRACTOR-dtls_srtp", "-keymatexportlen", "60"]
_NETWORKS = {
    "good": None,
    "late and doubled": Conditions(
        delay=0.01, jitter=0.02, duplicate=0.2, reorder=0.3, reorder_delay=0.03
    ),
    "10 % loss": Conditions(delay=0.01, jitter=0.01, loss=0.1, reorder=0.2),
    "30 % loss": Conditions(delay=0.01, jitter=0.01, loss=0.3, reorder=0.2),
}
_networks = pytest.mark.parametrize("network", list(_NETWORKS))


def _common(files: Any) -> list[object]:
    return [
        *("-dtls1_2", "-timeout", "-mtu", 1200, "-use_srtp", _SRTP, *_EXPORT),
        *("-cert", files.certificate, "-key", files.key),
    ]


@pytest.fixture
def s_server(
    peer: Callable[[str], str], start_tool: Any, free_port: int
) -> Callable[..., Any]:
    """Start a server; returns it and its address once it listens."""

    async def start(files: Any, *more: object) -> tuple[Any, tuple[str, int]]:
        where = f"127.0.0.1:{free_port}"
        tool = start_tool(
            *(peer("openssl"), "s_server", "-accept", where, "-Verify", 1),
            *_common(files),
            *more,
        )
        await tool.hear("ACCEPT")
        return tool, ("127.0.0.1", free_port)

    return start


@pytest.fixture
def s_client(peer: Callable[[str], str], start_tool: Any) -> Callable[..., Any]:
    """Start a client."""

    def start(files: Any, address: tuple[str, int], *more: object) -> Any:
        where = f"{address[0]}:{address[1]}"
        return start_tool(
            *(peer("openssl"), "s_client", "-connect", where, *_common(files)), *more
        )

    return start


async def _agrees(us: Any, tool: Any) -> None:
    """Assert that OpenSSL has the same profile and keys."""
    said = await tool.hear(r"Keying material: ([0-9A-F]+)")
    assert said.lower() == us.exported()
    profile = await tool.hear(r"SRTP Extension negotiated, profile=(\S+)")
    name = us.completed.srtp_profile.name.replace("_HMAC", "")
    assert profile == f"SRTP_{name}"


async def _talk(us: Any, tool: Any) -> None:
    """Send data both ways."""
    us.machine.send(b"hello from us\n", now=0.0)
    tool.say("hello from openssl")
    expected = ApplicationDataReceived(b"hello from openssl\n")
    await us.run(until=lambda: expected in us.events)
    await tool.hear("hello from us")


# --- OpenSSL as server ---------------------------------------------------------------


@pytest.mark.parametrize("kind", ["ecdsa", "p384", "rsa"])
@pytest.mark.parametrize("our_kind", ["ecdsa", "rsa"])
async def test_a_server_with_any_certificate(
    endpoint: Any, s_server: Any, theirs: Any, ours: Any, kind: str, our_kind: str
) -> None:
    tool, address = await s_server(theirs[kind])
    async with endpoint(
        Role.CLIENT, theirs[kind].fingerprint, address, certificate=ours[our_kind]
    ) as us:
        await us.run(until=lambda: us.completed)
        await _agrees(us, tool)
        await _talk(us, tool)
        us.machine.close(now=0.0)
        await us.run()
        await tool.hear("DONE")
    assert us.completed.has_extended_master_secret


@pytest.mark.parametrize("suite", list(CipherSuite))
async def test_every_suite_with_a_server(
    endpoint: Any, s_server: Any, theirs: Any, suite: CipherSuite
) -> None:
    kind = "ecdsa" if "ECDHE_ECDSA" in suite.name else "rsa"
    tool, address = await s_server(theirs[kind])
    async with endpoint(
        Role.CLIENT, theirs[kind].fingerprint, address, cipher_suites=(suite,)
    ) as us:
        await us.run(until=lambda: us.completed)
        await _agrees(us, tool)
        await _talk(us, tool)


@pytest.mark.parametrize("group", list(NamedGroup))
async def test_every_group_with_a_server(
    endpoint: Any, s_server: Any, theirs: Any, group: NamedGroup
) -> None:
    tool, address = await s_server(theirs["ecdsa"])
    # P-256 is never missing: it is the curve of the certificate. RFC 8422 §5.1.1.
    groups = (group, NamedGroup.SECP256R1)
    async with endpoint(
        Role.CLIENT, theirs["ecdsa"].fingerprint, address, groups=groups
    ) as us:
        await us.run(until=lambda: us.completed)
        await _agrees(us, tool)
        assert us.completed.group is group


@pytest.mark.parametrize("mtu", [300, 1200])
async def test_a_server_that_asks_for_a_cookie(
    endpoint: Any, s_server: Any, theirs: Any, mtu: int
) -> None:
    """RFC 6347 §4.2.1."""
    tool, address = await s_server(theirs["ecdsa"], "-listen")
    async with endpoint(
        Role.CLIENT, theirs["ecdsa"].fingerprint, address, mtu=mtu
    ) as us:
        await us.run(until=lambda: us.completed)
        await _agrees(us, tool)
        await _talk(us, tool)


@_networks
@pytest.mark.parametrize("kind", ["ecdsa", "rsa"])
@pytest.mark.slow
async def test_a_server_beyond_a_bad_network(
    endpoint: Any, s_server: Any, relay: Any, theirs: Any, network: str, kind: str
) -> None:
    """RFC 6347 §4.2.4."""
    conditions = _NETWORKS[network] or Conditions()
    tool, address = await s_server(theirs[kind])
    async with (
        relay(address, conditions, seed=3) as way,
        endpoint(Role.CLIENT, theirs[kind].fingerprint, way, mtu=400) as us,
    ):
        await us.run(until=lambda: us.completed)
        await _agrees(us, tool)


async def test_the_certificate_of_another_server_is_refused(
    endpoint: Any, s_server: Any, theirs: Any
) -> None:
    """RFC 8122 §6.2."""
    tool, address = await s_server(theirs["ecdsa"])
    async with endpoint(Role.CLIENT, theirs["p384"].fingerprint, address) as us:
        await us.run()
    (end,) = us.events
    assert end.error.code == "bad_certificate"
    await tool.hear("alert bad certificate")


# --- OpenSSL as client ---------------------------------------------------------------


@pytest.mark.parametrize("kind", ["ecdsa", "p384", "rsa"])
@pytest.mark.parametrize("our_kind", ["ecdsa", "rsa"])
async def test_a_client_with_any_certificate(
    endpoint: Any, s_client: Any, theirs: Any, ours: Any, kind: str, our_kind: str
) -> None:
    async with endpoint(
        Role.SERVER, theirs[kind].fingerprint, certificate=ours[our_kind]
    ) as us:
        tool = s_client(theirs[kind], us.address)
        await us.run(until=lambda: us.completed)
        await _agrees(us, tool)
        await _talk(us, tool)
        us.machine.close(now=0.0)
        await us.run()
        await tool.hear("closed")


@pytest.mark.parametrize(
    "options",
    [
        ("-cipher", "ECDHE-ECDSA-CHACHA20-POLY1305"),
        ("-cipher", "ECDHE-ECDSA-AES256-GCM-SHA384"),
        ("-groups", "P-384:P-256"),
        ("-groups", "P-256:X25519"),
        ("-sigalgs", "ECDSA+SHA384"),
        ("-servername", "example.org", "-alpn", "webrtc,c-webrtc"),
    ],
    ids=" ".join,
)
async def test_a_client_with_wishes(
    endpoint: Any, s_client: Any, theirs: Any, options: tuple[str, ...]
) -> None:
    async with endpoint(Role.SERVER, theirs["ecdsa"].fingerprint) as us:
        tool = s_client(theirs["ecdsa"], us.address, *options)
        await us.run(until=lambda: us.completed)
        await _agrees(us, tool)
        if "-alpn" in options:
            await tool.hear("ALPN protocol: webrtc")


async def test_a_client_is_asked_for_a_cookie(
    endpoint: Any, s_client: Any, theirs: Any
) -> None:
    """RFC 6347 §4.2.1."""
    files = theirs["ecdsa"]
    async with endpoint(Role.SERVER, files.fingerprint, cookie_exchange=True) as us:
        tool = s_client(files, us.address)
        await us.run(until=lambda: us.completed)
        await _agrees(us, tool)
        assert us.machine.statistics().datagrams_sent > 2


async def test_our_preference_among_srtp_profiles_decides(
    endpoint: Any, s_client: Any, theirs: Any
) -> None:
    """RFC 5764 §4.1.1."""
    files = theirs["ecdsa"]
    wanted = (SrtpProfile.AEAD_AES_256_GCM, SrtpProfile.AEAD_AES_128_GCM)
    async with endpoint(Role.SERVER, files.fingerprint, srtp_profiles=wanted) as us:
        tool = s_client(files, us.address)
        await us.run(until=lambda: us.completed)
        assert us.completed.srtp_profile is SrtpProfile.AEAD_AES_128_GCM
        await _agrees(us, tool)


@_networks
@pytest.mark.parametrize("our_kind", ["ecdsa", "rsa"])
@pytest.mark.slow
async def test_a_client_beyond_a_bad_network(
    endpoint: Any,
    s_client: Any,
    relay: Any,
    theirs: Any,
    ours: Any,
    network: str,
    our_kind: str,
) -> None:
    """RFC 6347 §4.2.4: lost last flights too, which the client asks for again."""
    conditions = _NETWORKS[network] or Conditions()
    files = theirs["ecdsa"]
    async with (
        endpoint(
            Role.SERVER, files.fingerprint, certificate=ours[our_kind], mtu=400
        ) as us,
        relay(us.address, conditions, seed=5) as way,
    ):
        tool = s_client(files, way)
        said = r"Keying material: [0-9A-F]+"
        await us.run(until=lambda: us.completed)
        # It may have missed our last flight, and will ask for it.
        async with trio.open_nursery() as nursery:
            nursery.start_soon(us.run)
            await tool.hear(said)
            nursery.cancel_scope.cancel()
        await _agrees(us, tool)


async def test_a_client_that_closes_is_heard(
    endpoint: Any, s_client: Any, theirs: Any
) -> None:
    """RFC 5246 §7.2.1."""
    async with endpoint(Role.SERVER, theirs["ecdsa"].fingerprint) as us:
        tool = s_client(theirs["ecdsa"], us.address)
        await us.run(until=lambda: us.completed)
        await tool.hear("Keying material: ")
        tool.say("Q")
        await us.run()
    assert us.events[-1] == Terminated(
        TerminationCause.PEER, "the peer closed the connection"
    )


async def test_renegotiation_is_refused(
    endpoint: Any, s_client: Any, theirs: Any
) -> None:
    """RFC 5246 §7.2.2; OpenSSL ends the connection then, as it may."""
    async with endpoint(Role.SERVER, theirs["ecdsa"].fingerprint) as us:
        tool = s_client(theirs["ecdsa"], us.address)
        await us.run(until=lambda: us.completed)
        await tool.hear("Keying material: ")
        tool.say("R")
        await us.run()
        await tool.hear("no renegotiation")
    assert us.events[-1].cause is TerminationCause.PEER
