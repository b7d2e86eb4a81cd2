"""Two connections; each octet of the input says what happens to one datagram."""

from __future__ import annotations

import datetime

from sansmedia.dtls import (
    ApplicationDataReceived,
    DtlsConfig,
    DtlsConnection,
    HandshakeCompleted,
    Role,
    State,
    generate_certificate,
)
from sansmedia.sansio import Datagram
from sansmedia.sansio.testing import SeededDice

_NOT_BEFORE = datetime.datetime(2026, 11, 25, tzinfo=datetime.UTC)
_CERTIFICATES = [
    generate_certificate(SeededDice(seed), not_before=_NOT_BEFORE) for seed in (1, 2)
]
_SENT = (b"from the client", b"from the server")


class _Fate:
    """What happens to datagrams: the input's octets, then nothing any more."""

    def __init__(self, data: bytes) -> None:
        self._octets = list(data)
        self.changed = False
        self._kept: tuple[list[bytes], list[bytes]] = ([], [])

    def _draw(self) -> int:
        return self._octets.pop(0) if self._octets else 0

    def of(self, datagram: bytes, sender: int) -> list[bytes]:
        """Return what arrives in place of a datagram."""
        kept = self._kept[sender]
        what = self._draw()
        if what < 128:
            return [datagram]
        if what < 160:
            return []
        if what < 176:
            return [datagram, datagram]
        if what < 192:
            kept.append(datagram)
            return []
        if what < 208 and kept:
            return [datagram, kept.pop(0)]
        self.changed = True
        at = (self._draw() << 8 | self._draw()) % max(1, len(datagram))
        if what < 224:
            return [datagram[:at]]
        if what < 240:
            return [datagram, datagram[:at] + bytes((self._draw(),)) + datagram[at:]]
        changed = bytearray(datagram)
        changed[at] ^= self._draw() or 1
        return [bytes(changed)]


def _machines() -> tuple[DtlsConnection, DtlsConnection]:
    made = []
    for number, role in enumerate((Role.CLIENT, Role.SERVER)):
        config = DtlsConfig(certificate=_CERTIFICATES[number], mtu=400)
        machine = DtlsConnection(
            role, config, dice=SeededDice(number + 5), now=0.0, peer=("192.0.2.1", 1)
        )
        expected = _CERTIFICATES[1 - number].fingerprint()
        machine.set_remote_fingerprints([expected], now=0.0)
        made.append(machine)
    made[0].start(now=0.0)
    return made[0], made[1]


def one_input(data: bytes) -> None:
    # Whatever happens on the way, nobody raises, both get the same keys or none, the
    # certificate is the right one, and data arrive once, as sent, or not at all. If
    # nothing was changed, only lost, doubled or late, both are connected in the end.
    fate = _Fate(data[:200])
    pair = _machines()
    heard: tuple[list[object], list[object]] = ([], [])
    now = 0.0
    for _ in range(200):
        for number, machine in enumerate(pair):
            while (event := machine.next_event()) is not None:
                heard[number].append(event)
                if isinstance(event, HandshakeCompleted):
                    theirs = _CERTIFICATES[1 - number].chain[0]
                    assert event.peer_certificate == theirs
                    machine.send(_SENT[number], now=now)
            for datagram in machine.datagrams_to_send():
                for octets in fate.of(datagram.data, number):
                    arrived = Datagram(octets, ("192.0.2.1", 1))
                    pair[1 - number].receive_datagrams([arrived], now)
            assert machine.pending_bytes < 100_000
        deadlines = [at for one in pair if (at := one.next_timeout()) is not None]
        if deadlines:
            now = max(now, min(deadlines))
            for machine in pair:
                machine.handle_timeout(now)
    for number in range(2):
        got = [
            one.data
            for one in heard[number]
            if isinstance(one, ApplicationDataReceived)
        ]
        assert got in ([], [_SENT[1 - number]])
    keys = [machine.srtp_keys() for machine in pair]
    if keys[0] is not None and keys[1] is not None:
        assert keys[0].local_key == keys[1].remote_key
        assert keys[0].remote_salt == keys[1].local_salt
    if not fate.changed and now < 29:
        assert all(machine.state is State.CONNECTED for machine in pair)
