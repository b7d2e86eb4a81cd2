"""Measure how many DTLS handshakes a second `DtlsConnection` does on one core.

Two machines in memory, mutual certificates with fingerprints, no loss. Prints, for each
group and suite, handshakes a second of the server, of the client, and of both together:
CPU time of the calls into each machine, construction included.
"""

from __future__ import annotations

import argparse
import datetime
import os
import time

from sansmedia.dtls import (
    Certificate,
    CipherSuite,
    DtlsConfig,
    DtlsConnection,
    HandshakeCompleted,
    NamedGroup,
    Role,
    generate_certificate,
)
from sansmedia.sansio import Datagram

GROUPS = (NamedGroup.X25519, NamedGroup.SECP256R1)
SUITES = (
    CipherSuite.ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    CipherSuite.ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    CipherSuite.ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
)


class Timed:
    """A machine and the CPU time that its calls took."""

    def __init__(self, role: Role, config: DtlsConfig, peer: Certificate) -> None:
        start = time.process_time()
        self.machine = DtlsConnection(role, config, dice=os.urandom, now=0.0)
        self.machine.set_remote_fingerprints([peer.fingerprint()], now=0.0)
        if role is Role.CLIENT:
            self.machine.start(now=0.0)
        self.cpu_s = time.process_time() - start
        self.is_done = False

    def exchange(self, batch: list[Datagram]) -> list[Datagram]:
        """Take datagrams, return the answer."""
        start = time.process_time()
        self.machine.receive_datagrams(batch, 0.0)
        while (event := self.machine.next_event()) is not None:
            self.is_done |= isinstance(event, HandshakeCompleted)
        answer = self.machine.datagrams_to_send()
        self.cpu_s += time.process_time() - start
        return answer


def handshake(ours: DtlsConfig, theirs: DtlsConfig) -> tuple[float, float]:
    """Do one; return the CPU seconds of the server and of the client."""
    server = Timed(Role.SERVER, ours, theirs.certificate)
    client = Timed(Role.CLIENT, theirs, ours.certificate)
    flight = client.exchange([])
    while flight:
        flight = client.exchange(server.exchange(flight))
    if not (server.is_done and client.is_done):
        raise SystemExit("a handshake did not complete")
    return server.cpu_s, client.cpu_s


def measure(group: NamedGroup, suite: CipherSuite, count: int) -> None:
    """Print one row: the best of three runs."""
    now = datetime.datetime.now(datetime.UTC)
    ours, theirs = (
        DtlsConfig(
            certificate=generate_certificate(os.urandom, not_before=now),
            # The first is what is used; P-256 is the curve of the certificates.
            groups=(group, NamedGroup.SECP256R1),
            cipher_suites=(suite,),
        )
        for _ in range(2)
    )
    best = (float("inf"), float("inf"))
    for _ in range(3):
        spent = [handshake(ours, theirs) for _ in range(count)]
        sums = sum(server for server, _ in spent), sum(client for _, client in spent)
        best = min(best, sums, key=sum)
    server, client = (count / spent for spent in best)
    both = count / sum(best)
    name = suite.name.removeprefix("ECDHE_ECDSA_WITH_")
    print(f"{group.name:10} {name:25} {server:8,.0f} {client:8,.0f} {both:8,.0f}")


def main() -> None:
    """Measure every group and suite."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=300)
    count = parser.parse_args().count
    print(f"{'group':10} {'suite':25} {'server/s':>8} {'client/s':>8} {'both/s':>8}")
    for group in GROUPS:
        for suite in SUITES:
            measure(group, suite, count)


if __name__ == "__main__":
    main()
