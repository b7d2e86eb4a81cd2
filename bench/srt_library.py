"""Measure what `sansmedia.srt` costs, in µs per packet of 1,316 octets: no sockets.

`receive` takes packets in order and delivers them, acknowledgements and their timers
included; `write` makes packets for a viewer and takes what the viewer acknowledges;
`relay` is both: one connection in and one out. Batches are what one drain of a socket
gives. Time is the packets' own: 19,000 a second, 40 ms of round trip.
"""

from __future__ import annotations

import argparse
import time
from collections import deque
from collections.abc import Callable

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from sansmedia.sansio import Datagram
from sansmedia.srt.connection import Connection
from sansmedia.srt.connection_events import MessagesReceived
from sansmedia.srt.constants import KeyState, Role
from sansmedia.srt.negotiated import Negotiated
from sansmedia.srt.options import SrtOptions
from sansmedia.srt.packet_wire import KEY_SHIFT, DataPacket

SIZE = 1316
RATE = 19_000
DELAY = 0.02
PEER = ("192.0.2.1", 5000)


class Plain:
    """No encryption."""

    overhead = 0
    state_send = state_receive = KeyState.UNSECURED
    encryption = ""

    def encrypt(
        self,
        sequence: int,
        message: int,
        timestamp: int,
        destination: int,
        payload: bytes,
    ) -> tuple[int, bytes]:
        """Return both as they are."""
        return message, payload

    def decrypt(self, packet: DataPacket) -> bytes | None:
        """Return None."""
        return None

    def take_control(self, now: float, rtt: float) -> list[tuple[int, bytes]]:
        """Return nothing."""
        return []

    def receive_key_request(self, cif: bytes) -> bytes:
        """Return it."""
        return cif

    def receive_key_response(self, cif: bytes) -> None:
        """Do nothing."""

    def next_timeout(self) -> float | None:
        """Return None."""
        return None


class Counter(Plain):
    """AES-128 in counter mode, as `cryptography` does it: one key, no refresh."""

    state_send = state_receive = KeyState.SECURED
    encryption = "AES-CTR-128"

    def __init__(self) -> None:
        self._salt = int.from_bytes(bytes(range(14)), "big") << 16
        cipher = Cipher(algorithms.AES(bytes(16)), modes.CTR(bytes(16)))
        self._context = cipher.encryptor()

    def _apply(self, sequence: int, octets: bytes) -> bytes:
        counter = self._salt ^ sequence << 16
        self._context.reset_nonce(counter.to_bytes(16, "big"))
        return self._context.update(octets)

    def encrypt(
        self,
        sequence: int,
        message: int,
        timestamp: int,
        destination: int,
        payload: bytes,
    ) -> tuple[int, bytes]:
        """Encrypt with the even key."""
        return message | 1 << KEY_SHIFT, self._apply(sequence, payload)

    def decrypt(self, packet: DataPacket) -> bytes | None:
        """Decrypt with the even key."""
        return self._apply(packet.sequence, packet.payload)


def connection(number: int, crypto: Plain) -> Connection:
    """Return one end of a connection that stands."""
    negotiated = Negotiated(
        role=Role.LISTENER if number else Role.CALLER,
        socket_id=101 + number,
        peer_socket_id=102 - number,
        initial_sequence=1,
        peer_initial_sequence=1,
        start_time=0.0,
        peer_timestamp=0,
        peer_timestamp_at=DELAY if number else 0.0,
        peer_version=0x010503,
        mss=1500,
        flow_window=8192,
        live=True,
        message_api=True,
        tsbpd_receive=True,
        tsbpd_send=True,
        tlpkt_drop=True,
        nak_report=True,
        rexmit_flag=True,
        receive_latency=0.12,
        send_latency=0.12,
        packet_filter="",
        group_id=0,
        group_type=0,
        group_weight=0,
        stream_id="",
    )
    return Connection(negotiated, crypto, SrtOptions(), peer=PEER, now=0.0)


class Path:
    """Carries datagrams in `DELAY` seconds."""

    def __init__(self) -> None:
        self._under_way: deque[tuple[float, list[bytes]]] = deque()

    def send(self, packets: list[bytes], now: float) -> None:
        """Put packets on the way."""
        if packets:
            self._under_way.append((now + DELAY, packets))

    def arrivals(self, now: float) -> list[Datagram]:
        """Return what has come."""
        came = []
        while self._under_way and self._under_way[0][0] <= now:
            at, packets = self._under_way.popleft()
            came += [Datagram(packet, PEER, None, at) for packet in packets]
        return came


def tick(machine: Connection, came: list[Datagram], now: float) -> list[bytes]:
    """Do what a driver does with a batch; return what is to be sent."""
    if came:
        machine.receive_datagrams(came, now)
    deadline = machine.next_timeout()
    if deadline is not None and deadline <= now:
        machine.handle_timeout(now)
    return [datagram.data for datagram in machine.datagrams_to_send()]


def drain(machine: Connection) -> list[bytes]:
    """Return the data of all messages that have come due."""
    data: list[bytes] = []
    while (event := machine.next_event()) is not None:
        if isinstance(event, MessagesReceived):
            data += [message.data for message in event.messages]
    return data


def stream(
    count: int, batch: int, crypto: Callable[[], Plain]
) -> tuple[float, float, int]:
    """Send packets from one end to the other.

    Returns:
        µs per packet of the receiver and of the sender, and packets delivered.
    """
    sender, receiver = connection(0, crypto()), connection(1, crypto())
    there, back = Path(), Path()
    sending = receiving = 0.0
    delivered = 0
    run = [bytes([number]) * SIZE for number in range(batch)]
    clock = time.perf_counter
    for number in range(count // batch):
        now = number * batch / RATE
        came = back.arrivals(now)
        begin = clock()
        out = sender.write(run, now) + tick(sender, came, now)
        sending += clock() - begin
        there.send(out, now)
        came = there.arrivals(now)
        begin = clock()
        out = tick(receiver, came, now)
        delivered += len(drain(receiver))
        receiving += clock() - begin
        back.send(out, now)
    return receiving / count * 1e6, sending / count * 1e6, delivered


def report(count: int, rounds: int) -> None:
    """Print the best of some rounds."""
    kinds: list[tuple[str, Callable[[], Plain]]] = [("plain", Plain), ("AES", Counter)]
    print(f"{'':8}{'batch':>6}{'receive':>9}{'write':>7}{'relay':>7}{'of a core':>11}")
    for name, crypto in kinds:
        for batch in (1, 7, 16, 64):
            results = [stream(count, batch, crypto) for _ in range(rounds)]
            received, written = (min(one[at] for one in results) for at in (0, 1))
            relayed = received + written
            print(
                f"{name:8}{batch:6}{received:9.2f}{written:7.2f}{relayed:7.2f}"
                f"{relayed * RATE / 1e4:10.1f}%"
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--packets", type=int, default=40_000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    report(arguments.packets, arguments.rounds)
