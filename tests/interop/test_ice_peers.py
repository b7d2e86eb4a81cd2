"""aioice, Chromium and FFmpeg find our agent, over real sockets on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import http.server
import os
import re
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest
from playwright.sync_api import sync_playwright
from sansmedia.ice import (
    FrameReader,
    IceAgent,
    IceConfig,
    Path,
    PathSelected,
    RemotePathLearned,
    TcpType,
    decode_candidate,
    encode_candidate,
    encode_frame,
    host_candidate,
)
from sansmedia.sansio import Datagram, ProtocolError
from sansmedia.stun import Address, is_stun

pytestmark = [pytest.mark.interop, pytest.mark.slow]


class LiveAgent:
    """An agent on a UDP socket and a TCP listener of one address, in a thread.

    Args:
        host: The address to bind.
        tcp: Whether to listen, and to signal that alone.
        config: Of the agent.
    """

    def __init__(self, host: str, *, tcp: bool = False, **config: Any) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._udp = socket.socket(family, socket.SOCK_DGRAM)
        self._udp.bind((host, 0))
        self._udp.setblocking(False)
        self.address: Address = self._udp.getsockname()[:2]
        self._listener = socket.create_server(self.address, family=family)
        self._connections: dict[Address, tuple[socket.socket, FrameReader]] = {}
        self._lock = threading.Lock()
        self._wake, self._woken = socket.socketpair()
        self.agent = IceAgent(IceConfig(**config), dice=os.urandom, now=self._now())
        self.agent.add_local_candidate(
            host_candidate(self.address, tcp_type=TcpType.PASSIVE if tcp else None),
            now=self._now(),
        )
        self.events: list[Any] = []
        self.data: list[bytes] = []
        """What came that is no STUN."""
        self._selected = threading.Event()
        self._ending = False
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    @staticmethod
    def _now() -> float:
        return time.monotonic()

    def introduce(self, ufrag: str, pwd: str, candidates: list[str]) -> None:
        """Take what the peer has signalled."""
        with self._lock:
            for text in candidates:
                with contextlib.suppress(ProtocolError):
                    self.agent.add_remote_candidate(
                        decode_candidate(text), now=self._now()
                    )
            self.agent.set_remote_parameters(ufrag, pwd, now=self._now())
        self._wake.send(b"x")

    @property
    def candidates(self) -> list[str]:
        """Our candidates in SDP's form."""
        return [encode_candidate(entry) for entry in self.agent.local_candidates]

    @property
    def state(self) -> str:
        """The agent's state."""
        return self.agent.state.value

    def wait_for_path(self) -> None:
        """Return when there is a selected path."""
        assert self._selected.wait(60)

    def send(self, data: bytes) -> None:
        """Send over the selected path."""
        path = self.agent.selected_path
        assert path is not None
        self._udp.sendto(data, path.peer)

    def end(self) -> None:
        """Stop and close everything."""
        self._ending = True
        self._wake.send(b"x")
        self._thread.join(10)
        for connection, _ in self._connections.values():
            connection.close()
        for closable in (self._udp, self._listener, self._wake, self._woken):
            closable.close()

    def _run(self) -> None:
        while not self._ending:
            with self._lock:
                self._flush()
                deadline = self.agent.next_timeout()
            wait = 1.0 if deadline is None else max(0.0, deadline - self._now())
            sources: list[Any] = [self._udp, self._listener, self._woken]
            sources += [connection for connection, _ in self._connections.values()]
            ready, _, _ = select.select(sources, [], [], min(wait, 1.0))
            with self._lock:
                for source in ready:
                    self._receive(source)
                self.agent.handle_timeout(self._now())

    def _flush(self) -> None:
        while (event := self.agent.next_event()) is not None:
            self.events.append(event)
            if isinstance(event, PathSelected):
                self._selected.set()
        for datagram in self.agent.datagrams_to_send():
            if datagram.transport == "udp":
                self._udp.sendto(datagram.data, datagram.peer)
            elif datagram.peer in self._connections:
                connection, _ = self._connections[datagram.peer]
                with contextlib.suppress(ConnectionError):  # reading it tells
                    connection.sendall(encode_frame(datagram.data))

    def _receive(self, source: socket.socket) -> None:
        if source is self._woken:
            self._woken.recv(100)
        elif source is self._listener:
            connection, peer = self._listener.accept()
            self._connections[peer[:2]] = connection, FrameReader()
        elif source is self._udp:
            data, peer = self._udp.recvfrom(4096)
            self._take(Datagram(data, peer[:2], self.address, self._now()))
        else:
            self._receive_stream(source)

    def _receive_stream(self, source: socket.socket) -> None:
        # A socket that was reset has no peer any more.
        known = self._connections.items()
        peer = next(peer for peer, (one, _) in known if one is source)
        try:
            octets = source.recv(4096)
        except ConnectionError:
            octets = b""
        if not octets:
            del self._connections[peer]
            source.close()
            path = Path(self.address, peer, "tcp")
            self.agent.tcp_closed(path, now=self._now())
            return
        for frame in self._connections[peer][1].feed(octets):
            self._take(Datagram(frame, peer, self.address, self._now(), "tcp"))

    def _take(self, datagram: Datagram) -> None:
        if is_stun(datagram.data):
            self.agent.receive_datagrams([datagram], self._now())
        else:
            self.data.append(datagram.data)


@pytest.fixture
def live() -> Iterator[Callable[..., LiveAgent]]:
    """Start agents; they end with the test."""
    agents: list[LiveAgent] = []

    def start(host: str = "127.0.0.1", **settings: Any) -> LiveAgent:
        agents.append(LiveAgent(host, **settings))
        return agents[-1]

    yield start
    for agent in agents:
        agent.end()


# --- aioice ---------------------------------------------------------------------------


@pytest.fixture
def aioice() -> ModuleType:
    """The library, or a reason to skip."""
    try:
        import aioice
    except ImportError:
        if os.environ.get("TEST_REQUIRE_PEERS") == "1":
            pytest.fail("aioice is missing")
        pytest.skip("aioice is missing")
    module: ModuleType = aioice
    return module


def _foreign_candidate(aioice: ModuleType, text: str) -> Any:
    return aioice.Candidate.from_sdp(text)


async def _talk(
    aioice: ModuleType, ours: LiveAgent, controlling: bool, lite: bool
) -> None:
    theirs = aioice.Connection(
        ice_controlling=controlling, use_ipv6=":" in ours.address[0]
    )
    await theirs.gather_candidates()
    theirs.remote_username = ours.agent.local_ufrag
    theirs.remote_password = ours.agent.local_pwd
    theirs.remote_is_lite = lite
    for text in ours.candidates:
        await theirs.add_remote_candidate(_foreign_candidate(aioice, text))
    await theirs.add_remote_candidate(None)
    ours.introduce(
        theirs.local_username,
        theirs.local_password,
        [candidate.to_sdp() for candidate in theirs.local_candidates],
    )
    await theirs.connect()
    try:
        await theirs.send(b"\x80from aioice")
        # Our side may hear of the nomination later, and cannot once theirs is gone.
        for _ in range(100):
            if ours.state == "completed":
                break
            await asyncio.wait(
                [asyncio.ensure_future(asyncio.Event().wait())], timeout=0.05
            )
        ours.send(b"\x80from us")
        assert await theirs.recv() == b"\x80from us"
    finally:
        await theirs.close()


def _own_host(family: str) -> str:
    """Return an address of this machine that is not loopback, which aioice ignores."""
    target, kind = (
        ("2001:db8::1", socket.AF_INET6)
        if family == "IPv6"
        else ("192.0.2.1", socket.AF_INET)
    )
    with socket.socket(kind, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((target, 9))
        except OSError:
            pytest.skip(f"this machine has no {family} address")
        host: str = probe.getsockname()[0]
    return host


@pytest.mark.parametrize("family", ["IPv4", "IPv6"])
@pytest.mark.parametrize(
    ("controlling", "lite"), [(False, False), (True, False), (False, True)]
)
def test_aioice_and_our_agent_find_each_other(
    aioice: ModuleType,
    live: Callable[..., LiveAgent],
    wait_until: Callable[..., Any],
    controlling: bool,
    lite: bool,
    family: str,
) -> None:
    ours = live(_own_host(family), controlling=controlling, lite=lite)
    asyncio.run(asyncio.wait_for(_talk(aioice, ours, not controlling, lite), 20))
    wait_until(lambda: ours.data == [b"\x80from aioice"], "data from aioice")
    assert ours.state == "completed"
    statistics = ours.agent.statistics()
    assert statistics.requests_rejected == statistics.requests_dropped == 0


def test_aioice_and_our_agent_repair_a_conflict_of_roles(
    aioice: ModuleType, live: Callable[..., LiveAgent]
) -> None:
    for controlling in (True, False):
        ours = live(_own_host("IPv4"), controlling=controlling)
        asyncio.run(asyncio.wait_for(_talk(aioice, ours, controlling, False), 20))
        assert ours.state == "completed"


# --- Chromium -------------------------------------------------------------------------

_OFFER = """async () => {
  window.peer = new RTCPeerConnection();
  peer.createDataChannel("x");
  await peer.setLocalDescription();
  await new Promise((done) => {
    if (peer.iceGatheringState == "complete") done();
    peer.onicegatheringstatechange =
      () => peer.iceGatheringState == "complete" && done();
  });
  return peer.localDescription.sdp;
}"""
_ANSWER = """async (sdp) => {
  const arrived = new Promise((done, fail) => {
    peer.oniceconnectionstatechange = () => {
      if (["connected", "completed"].includes(peer.iceConnectionState)) done();
      if (peer.iceConnectionState == "failed") fail(new Error("failed"));
    };
  });
  await peer.setRemoteDescription({type: "answer", sdp});
  await arrived;
  const pair = peer.sctp.transport.iceTransport.getSelectedCandidatePair();
  return [pair.local.protocol, pair.remote.address, pair.remote.port];
}"""


def _attribute(sdp: str, name: str) -> str:
    found = re.search(rf"^a={name}:(\S+)", sdp, re.MULTILINE)
    assert found is not None
    return found[1]


def _candidates(sdp: str) -> list[str]:
    return re.findall(r"^a=candidate:(.+?)\r?$", sdp, re.MULTILINE)


def _answer(ours: LiveAgent, lite: bool) -> str:
    lines = [
        *["v=0", "o=- 1 1 IN IP4 0.0.0.0", "s=-", "t=0 0", "a=group:BUNDLE 0"],
        *(["a=ice-lite"] if lite else []),
        "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
        *["c=IN IP4 0.0.0.0", "a=mid:0", "a=setup:passive", "a=sctp-port:5000"],
        f"a=ice-ufrag:{ours.agent.local_ufrag}",
        f"a=ice-pwd:{ours.agent.local_pwd}",
        f"a=fingerprint:sha-256 {':'.join(['00'] * 32)}",
        *[f"a=candidate:{text}" for text in ours.candidates],
        "a=end-of-candidates",
    ]
    return "\r\n".join(lines) + "\r\n"


@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize("lite", [False, True], ids=["full", "lite"])
def test_chromium_finds_our_agent(
    peer: Callable[[str], str],
    live: Callable[..., LiveAgent],
    wait_until: Callable[..., Any],
    lite: bool,
    transport: str,
) -> None:
    """Its own candidates are names, so that it is learned by its checks."""
    ours = live(_own_host("IPv4"), tcp=transport == "tcp", lite=lite)
    arguments = ["--headless=new", "--no-sandbox"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=peer("chromium"), args=arguments
        )
        page = browser.new_page()
        page.goto("about:blank")
        offer = page.evaluate(_OFFER)
        ours.introduce(
            _attribute(offer, "ice-ufrag"),
            _attribute(offer, "ice-pwd"),
            _candidates(offer),
        )
        selected = page.evaluate(_ANSWER, _answer(ours, lite))
        assert selected == [transport, *ours.address]
        wait_until(lambda: ours.state == "completed", "the nomination")
        path = ours.agent.selected_path
        assert path is not None
        assert path.transport == transport
        # DTLS comes over the path that was told, and nothing else would.
        wait_until(lambda: ours.data, "a ClientHello")
        assert ours.data[0][0] == 22
        learned = [e.path for e in ours.events if isinstance(e, RemotePathLearned)]
        assert path in learned
        browser.close()


# --- FFmpeg ---------------------------------------------------------------------------


class _Whip(http.server.BaseHTTPRequestHandler):
    """Answers one offer; the rest of the session is ICE's."""

    ours: LiveAgent

    def do_POST(self) -> None:
        offer = self.rfile.read(int(self.headers["Content-Length"])).decode()
        body = self._answer(offer).encode()
        self.ours.introduce(
            _attribute(offer, "ice-ufrag"),
            _attribute(offer, "ice-pwd"),
            _candidates(offer),
        )
        self.send_response(201)
        self.send_header("Content-Type", "application/sdp")
        self.send_header("Location", "/session")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _answer(self, offer: str) -> str:
        lines = ["v=0", "o=- 1 1 IN IP4 0.0.0.0", "s=-", "t=0 0"]
        sections = re.split(r"^(?=m=)", offer, flags=re.MULTILINE)
        for number, section in enumerate(sections[1:]):
            kept = re.findall(r"^(?:m=|a=rtpmap|a=fmtp).*?(?=\r?$)", section, re.M)
            lines += [
                *kept,
                *["c=IN IP4 0.0.0.0", f"a=mid:{number}", "a=setup:active"],
                *["a=recvonly", "a=rtcp-mux"],
                f"a=ice-ufrag:{self.ours.agent.local_ufrag}",
                f"a=ice-pwd:{self.ours.agent.local_pwd}",
                f"a=fingerprint:sha-256 {':'.join(['00'] * 32)}",
                *[f"a=candidate:{text}" for text in self.ours.candidates],
            ]
        return "\r\n".join(lines) + "\r\n"

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


def test_ffmpegs_whip_muxer_finds_our_agent(
    ffmpeg9: str,
    live: Callable[..., LiveAgent],
    start: Callable[..., Any],
    wait_until: Callable[..., Any],
) -> None:
    """It signals no candidate, nominates with every check, and tells no address."""
    ours = live(accept_requests_as_consent=True)
    handler = type("Handler", (_Whip,), {"ours": ours})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        encoder = "-c:v libx264 -preset ultrafast -profile:v baseline -pix_fmt yuv420p"
        program = start(
            ffmpeg9,
            *[
                "-v",
                "verbose",
                "-nostdin",
                "-re",
                "-f",
                "lavfi",
                "-i",
                "testsrc2=s=320x180:r=25",
            ],
            *["-f", "lavfi", "-i", "sine=440:r=48000", "-ac", "2"],
            *f"{encoder} -g 25 -c:a libopus -f whip".split(),
            f"http://127.0.0.1:{server.server_port}/whip",
        )
        wait_until(lambda: ours.state == "completed", "FFmpeg's nomination")
        [report] = ours.agent.pair_report()
        assert (report.state, report.nominated) == ("succeeded", True)
        program.end()
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()
