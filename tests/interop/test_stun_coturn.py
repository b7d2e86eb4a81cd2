"""coturn answers what we write, and takes what we answer."""

from __future__ import annotations

import os
import re
import select
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sansmedia.ice import (
    GatheringCompleted,
    IceAgent,
    LocalCandidateFound,
    host_candidate,
)
from sansmedia.sansio import Datagram
from sansmedia.stun import (
    AttributeType,
    ErrorCode,
    Message,
    MessageClass,
    binding_request,
    check_integrity,
    decode_error_code,
    decode_message,
    decode_text,
    decode_xor_address,
    encode_message,
    encode_xor_address,
    long_term_key,
    response_to,
)

pytestmark = [pytest.mark.interop, pytest.mark.slow]

_ALLOCATE = 0x003
_REQUESTED_TRANSPORT = 0x0019
_UDP = b"\x11\0\0\0"


@pytest.fixture(scope="module")
def coturn(
    peer: Callable[[str], str],
    wait_until: Callable[..., Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[int]:
    """A running server with one long-term user; gives its port."""
    program = peer("turnserver")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    folder: Path = tmp_path_factory.mktemp("coturn")
    command = [
        program,
        *f"-n -L 127.0.0.1 -E 127.0.0.1 -p {port} --no-tls --no-dtls --no-cli".split(),
        *["--lt-cred-mech", "-u", "user:pass", "-r", "realm", "--fingerprint"],
        *["--allow-loopback-peers", "-b", str(folder / "db")],
        *["--pidfile", str(folder / "pid"), "-l", "stdout"],
    ]
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
    try:
        wait_until(lambda: _ask(port, encode_message(_request())), "coturn")
        yield port
    finally:
        process.kill()
        process.wait()


def _request() -> Message:
    return binding_request(os.urandom(12))


def _ask(port: int, octets: bytes) -> Message | None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(1)
        sock.connect(("127.0.0.1", port))
        sock.send(octets)
        try:
            return decode_message(sock.recv(2000))
        except OSError:
            return None


def test_coturn_tells_our_address(coturn: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(5)
        sock.connect(("127.0.0.1", coturn))
        request = _request()
        sock.send(encode_message(request))
        answer = decode_message(sock.recv(2000))
        value = answer.get(AttributeType.XOR_MAPPED_ADDRESS)
        assert value is not None
        assert decode_xor_address(value, request.transaction_id) == sock.getsockname()
        assert answer.has_fingerprint


def test_coturn_accepts_our_long_term_credentials(coturn: int) -> None:
    """RFC 8489 §9.2.2: a TURN allocation asks for them."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(5)
        sock.connect(("127.0.0.1", coturn))

        def ask(octets: bytes) -> Message:
            # A nonce holds for one address.
            sock.send(octets)
            return decode_message(sock.recv(2000))

        _authenticate(ask)


def _authenticate(ask: Callable[[bytes], Message]) -> None:
    transport = (_REQUESTED_TRANSPORT, _UDP)
    first = Message(MessageClass.REQUEST, _ALLOCATE, os.urandom(12), [transport])
    challenge = ask(encode_message(first))
    error = challenge.get(AttributeType.ERROR_CODE)
    realm = challenge.get(AttributeType.REALM)
    nonce = challenge.get(AttributeType.NONCE)
    assert error is not None
    assert realm is not None
    assert nonce is not None
    assert decode_error_code(error).code == ErrorCode.UNAUTHENTICATED
    attributes = [
        transport,
        (int(AttributeType.USERNAME), b"user"),
        (int(AttributeType.REALM), realm),
        (int(AttributeType.NONCE), nonce),
    ]
    for password, accepted in (("wrong", False), ("pass", True)):
        key = long_term_key("user", decode_text(realm), password)
        message = Message(MessageClass.REQUEST, _ALLOCATE, os.urandom(12), attributes)
        answer = ask(encode_message(message, key=key))
        assert (answer.message_class is MessageClass.SUCCESS) is accepted
        # coturn signs what it accepted, with the same key.
        assert check_integrity(answer, key) is accepted


def test_an_agent_gathers_what_coturn_tells(
    coturn: int, wait_until: Callable[..., Any]
) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        address = sock.getsockname()
        agent = IceAgent(dice=os.urandom, now=time.monotonic())
        # As behind a NAT: what is known of us is not what coturn sees.
        agent.add_local_candidate(
            host_candidate(("192.0.2.1", address[1])),
            base=("0.0.0.0", address[1]),
            now=time.monotonic(),
        )
        agent.gather(("127.0.0.1", coturn), now=time.monotonic())
        events: list[object] = []

        def step() -> bool:
            for sent in agent.datagrams_to_send():
                sock.sendto(sent.data, sent.peer)
            if select.select([sock], [], [], 0.05)[0]:
                data, peer = sock.recvfrom(2000)
                agent.receive_datagrams(
                    [Datagram(data, peer, address)], time.monotonic()
                )
            agent.handle_timeout(time.monotonic())
            while (event := agent.next_event()) is not None:
                events.append(event)
            return GatheringCompleted() in events

        wait_until(step, "coturn's answer")
        [found] = [e for e in events if isinstance(e, LocalCandidateFound)]
        assert found.candidate.address == address


def test_coturns_client_reads_our_answer(peer: Callable[[str], str]) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(10)
        seen: list[tuple[str, int]] = []

        def serve() -> None:
            data, client = sock.recvfrom(2000)
            seen.append(client)
            request = decode_message(data)
            value = encode_xor_address(client, request.transaction_id)
            attributes = [(int(AttributeType.XOR_MAPPED_ADDRESS), value)]
            answer = response_to(request, MessageClass.SUCCESS, attributes)
            sock.sendto(encode_message(answer), client)

        thread = threading.Thread(target=serve)
        thread.start()
        done = subprocess.run(
            [
                peer("turnutils_stunclient"),
                "-p",
                str(sock.getsockname()[1]),
                "127.0.0.1",
            ],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        thread.join(10)
    said = done.stdout + done.stderr
    found = re.search(r"UDP reflexive addr: 127\.0\.0\.1:(\d+)", said)
    assert found is not None, said
    assert seen[0][1] == int(found[1])
