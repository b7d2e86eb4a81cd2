"""Two SRT connections as a handshake would leave them, without encryption."""

from __future__ import annotations

from sansmedia.srt.connection import Connection
from sansmedia.srt.constants import KeyState, Role
from sansmedia.srt.limits import Limits
from sansmedia.srt.negotiated import Negotiated
from sansmedia.srt.options import SrtOptions
from sansmedia.srt.packet_wire import DataPacket

PEER = ("192.0.2.1", 5000)


class PlainCrypto:
    """No encryption."""

    state_send = KeyState.UNSECURED
    state_receive = KeyState.UNSECURED
    encryption = ""
    overhead = 0

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
        """Return nothing: whatever comes here claims to be encrypted."""
        return None

    def take_control(self, now: float, rtt: float) -> list[tuple[int, bytes]]:
        """Return nothing."""
        return []

    def receive_key_request(self, cif: bytes) -> bytes:
        """Return some of it."""
        return cif[:4]

    def receive_key_response(self, cif: bytes) -> None:
        """Ignore it."""

    def next_timeout(self) -> float | None:
        """Return None."""
        return None


def make_pair(flags: int, limits: Limits) -> tuple[Connection, Connection]:
    """Return two connections; the bits of ``flags`` choose what was agreed on."""
    live = bool(flags & 1)
    message_api = live or bool(flags & 2)
    options = SrtOptions(
        receive_buffer=64 if flags & 4 else 512,
        send_buffer=256,
        loss_max_ttl=5 if flags & 8 else 0,
        max_bw=200_000 if flags & 16 else -1,
        message_api=message_api,
    )
    made = []
    for number in range(2):
        first, second = (5, (1 << 31) - 9) if number else ((1 << 31) - 9, 5)
        negotiated = Negotiated(
            role=Role.LISTENER if number else Role.CALLER,
            socket_id=101 + number,
            peer_socket_id=102 - number,
            initial_sequence=first,
            peer_initial_sequence=second,
            start_time=0.0,
            peer_timestamp=0,
            peer_timestamp_at=0.0,
            peer_version=0x010503,
            mss=1500,
            flow_window=options.receive_buffer,
            live=live,
            message_api=message_api,
            tsbpd_receive=live,
            tsbpd_send=live,
            tlpkt_drop=live and not flags & 32,
            nak_report=not flags & 64,
            rexmit_flag=not flags & 128,
            receive_latency=0.12,
            send_latency=0.12,
            packet_filter="",
            group_id=0,
            group_type=0,
            group_weight=0,
            stream_id="",
        )
        made.append(
            Connection(negotiated, PlainCrypto(), options, limits, peer=PEER, now=0.0)
        )
    return made[0], made[1]
