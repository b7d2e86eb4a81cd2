"""GStreamer's RTP sessions: they ask us for packets, and we ask them."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import pytest
from sansmedia.rtp import (
    TRANSPORT_CC_URI,
    ExtensionMap,
    Extensions,
    Gap,
    Goodbye,
    JitterBuffer,
    Nack,
    NackGenerator,
    ReceiverReport,
    ReceptionStatistics,
    RtcpPacket,
    RtpClock,
    RtpPacket,
    RtpStreamWriter,
    SdesChunk,
    SdesItem,
    SdesType,
    SenderReport,
    SenderStatistics,
    SentPacket,
    SourceDescription,
    TransportFeedback,
    TransportHistory,
    decode_rtcp,
    decode_rtp,
    encode_rtcp,
    is_rtcp,
    ntp_from_unix,
    unwrap_rtx,
)

pytestmark = pytest.mark.interop

_SSRC = 4660
_CNAME = "sdes=application/x-rtp-source-sdes,cname=(string)gst"


@pytest.fixture
def endpoint() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        udp.settimeout(0.02)
        yield udp


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        port: int = udp.getsockname()[1]
        return port


def _drain(udp: socket.socket) -> Iterator[bytes]:
    """Yield what comes until nothing does for 20 ms."""
    while True:
        try:
            yield udp.recv(2048)
        except TimeoutError:
            return


@attrs.define
class _Heard:
    """What a receiver told."""

    control: list[RtcpPacket] = attrs.field(factory=list)
    packets: list[SentPacket] = attrs.field(factory=list)

    def nacked(self) -> set[int]:
        return {
            sequence
            for packet in self.control
            if isinstance(packet, Nack)
            for sequence in packet.sequences
        }


_REPORTS = ("avp", "reports=(boolean)true")
_NACKS = ("avpf", "rtcp-fb-nack=(boolean)true")
_TRANSPORT = (
    "avpf",
    f"rtcp-fb-transport-cc=(boolean)true,extmap-3={TRANSPORT_CC_URI}",
)


# Early feedback comes without report blocks and puts the next regular report off, so
# each kind is tried alone. Requests may name a packet that GStreamer thinks overdue.
@pytest.mark.parametrize(
    "kind", [_REPORTS, _NACKS, _TRANSPORT], ids=["reports", "nacks", "transport"]
)
@pytest.mark.slow
def test_gstreamer_reports_on_what_it_receives(
    kind: tuple[str, str],
    endpoint: socket.socket,
    peer: Callable[[str], str],
    start: Callable[..., Any],
) -> None:
    """A round trip, requests for lost packets, or the arrival of each packet."""
    profile, feedback = kind
    rtp, rtcp = _free_port(), _free_port()
    caps = (
        "application/x-rtp,media=video,clock-rate=90000,encoding-name=VP8,payload=96,"
        f"ssrc=(uint){_SSRC},{feedback}"
    )
    program = start(
        *(peer("gst-launch-1.0"), "-q", "rtpbin", "name=b", f"rtp-profile={profile}"),
        *(f"do-retransmission={kind is _NACKS}", "latency=300", _CNAME),
        *("udpsrc", f"port={rtp}", f"caps={caps}", "!", "b.recv_rtp_sink_0"),
        *("b.", "!", "rtpvp8depay", "!", "fakesink", "sync=false"),
        *("udpsrc", f"port={rtcp}", "caps=application/x-rtcp", "!"),
        *("b.recv_rtcp_sink_0", "b.send_rtcp_src_0", "!", "udpsink"),
        *("host=127.0.0.1", f"port={endpoint.getsockname()[1]}"),
        *("sync=false", "async=false"),
    )
    extensions = ExtensionMap({3: TRANSPORT_CC_URI})
    writer = RtpStreamWriter(_SSRC, 96, dice=os.urandom)
    statistics, history, heard = SenderStatistics(_SSRC), TransportHistory(), _Heard()
    began = time.monotonic()
    lost: set[int] = set()
    sent = 0
    while True:
        now = time.monotonic()
        assert now < began + 25, heard
        time_90k = int((now - began) * 90_000)
        if sent % 20 == 0:
            report = statistics.sender_report(
                ntp_from_unix(time.time()), writer.rtp_time(time_90k)
            )
            who = SdesChunk(_SSRC, [SdesItem(SdesType.CNAME, b"us")])
            octets = encode_rtcp([report, SourceDescription([who])])
            endpoint.sendto(octets, ("127.0.0.1", rtcp))
        number = history.send(95, now)
        extension = extensions.encode(Extensions(transport_sequence=number))
        assert extension[0] is not None
        payload = b"\x10\x00\x9d\x01\x2a" + bytes(90)
        _, [(header, _)] = writer.write(
            time_90k, [payload], extension=(extension[0], extension[1])
        )
        if sent % 10 == 7:
            lost.add(decode_rtp(header).sequence)
        else:
            endpoint.sendto(header + payload, ("127.0.0.1", rtp))
        statistics.send(1, len(payload))
        sent += 1
        for octets in _drain(endpoint):
            heard.control += decode_rtcp(octets)
        for packet in heard.control:
            if isinstance(packet, ReceiverReport):
                for block in packet.reports:
                    now_ntp = ntp_from_unix(time.time())
                    statistics.receive_report_block(block, now_ntp)
            elif isinstance(packet, TransportFeedback):
                heard.packets += history.feed(packet, time.monotonic())
        heard.control = [p for p in heard.control if isinstance(p, Nack)]
        if (
            (kind is _REPORTS and statistics.round_trip_time is not None)
            or (kind is _NACKS and len(heard.nacked() & lost) > 3)
            or (kind is _TRANSPORT and len(heard.packets) > 50)
        ):
            break
    program.end()
    if statistics.round_trip_time is not None:
        assert statistics.round_trip_time < 1.0
    # Both clocks are this machine's, so the delay is the same for all, or nearly so.
    delays = [
        packet.received_at - packet.sent_at
        for packet in heard.packets
        if packet.received_at is not None
    ]
    assert len(delays) > 40 or kind is not _TRANSPORT
    assert max(delays, default=0) - min(delays, default=0) < 1.0


@pytest.mark.slow
def test_gstreamer_sends_again_what_is_asked_for(
    endpoint: socket.socket, peer: Callable[[str], str], start: Callable[..., Any]
) -> None:
    """A tenth of the first packets is lost; all come in the end, in order."""
    rtcp = _free_port()
    port = f"port={endpoint.getsockname()[1]}"
    start(
        *(peer("gst-launch-1.0"), "-q", "rtpbin", "name=b", "rtp-profile=avpf", _CNAME),
        *("videotestsrc", "is-live=true", "num-buffers=100", "!"),
        *("video/x-raw,width=320,height=240,framerate=50/1", "!"),
        *("vp8enc", "deadline=1", "target-bitrate=2000000", "!"),
        *("rtpvp8pay", "pt=96", f"ssrc={_SSRC}", "seqnum-offset=65400", "mtu=400", "!"),
        *("rtprtxsend", "payload-type-map=application/x-rtp-pt-map,96=(uint)97", "!"),
        *("b.send_rtp_sink_0", "b.send_rtp_src_0", "!"),
        *("udpsink", "host=127.0.0.1", port),
        *("b.send_rtcp_src_0", "!", "udpsink", "host=127.0.0.1", port),
        *("sync=false", "async=false"),
        *("udpsrc", f"port={rtcp}", "caps=application/x-rtcp", "!"),
        "b.recv_rtcp_sink_0",
    )
    reception = ReceptionStatistics(_SSRC, 90_000)
    nack, buffer, clock = NackGenerator(), JitterBuffer(wait=0.5), RtpClock(90_000)
    nack.round_trip_time = 0.05
    products: list[RtpPacket | Gap] = []
    reports: list[SenderReport] = []
    came = resent = dropped = 0
    deadline = time.monotonic() + 30
    is_over = False
    while not is_over or nack.next_timeout() is not None:
        now = time.monotonic()
        assert now < deadline
        wanted = nack.handle_timeout(now)
        products += buffer.handle_timeout(now)
        for octets in _drain(endpoint):
            now = time.monotonic()
            if is_rtcp(octets):
                for packet in decode_rtcp(octets):
                    is_over = is_over or isinstance(packet, Goodbye)
                    if isinstance(packet, SenderReport) and packet.ssrc == _SSRC:
                        reports.append(packet)
                        reception.receive_sender_report(packet, now)
                        assert clock.receive_sender_report(packet)
                continue
            media = decode_rtp(octets)
            if media.payload_type == 97:
                original = unwrap_rtx(media, _SSRC, 96)
                assert original is not None
                media = original
                resent += 1
            else:
                came += 1
                # Not towards the end, when nobody is there to be asked.
                if came < 500 and came % 20 in (7, 8):
                    dropped += 1
                    continue
                reception.receive(media.sequence, media.timestamp, now)
                clock.receive(media.timestamp, now)
            wanted += nack.feed([media.sequence], now)
            products += buffer.feed([media], now)
            if wanted:
                octets = encode_rtcp(
                    [
                        ReceiverReport(1, [reception.report_block(now)]),
                        Nack(1, _SSRC, wanted),
                    ]
                )
                endpoint.sendto(octets, ("127.0.0.1", rtcp))
                wanted = []
    assert dropped > 20
    assert resent >= dropped
    assert len(products) == came
    assert not any(isinstance(product, Gap) for product in products)
    assert 0 < reports[-1].packet_count <= came
    assert reception.statistics().lost == dropped
    # Its wall clock is ours.
    last = products[-1]
    assert isinstance(last, RtpPacket)
    captured = clock.wall_time(clock.receive(last.timestamp, now))
    assert captured is not None
    assert abs(captured - time.time()) < 30
