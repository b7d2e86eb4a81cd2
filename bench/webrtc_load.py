"""The load of WebRTC: viewers and publishers on our own `sansmedia.webrtc.Peer`.

`webrtc.py` starts it on the load's cores and talks to it in JSON, one line each way, as
`run.py` does with `load.py`. A viewer connects by ICE and DTLS and sends RTCP once a
second, as browsers do; what arrives it only counts, still encrypted, so that the load
never is what limits. Times of arrival are the kernel's: a late load makes no gap.
"""

from __future__ import annotations

import abc
import datetime
import json
import os
import struct
import sys
import time
from pathlib import Path
from typing import Any

import attrs
import httpx
import trio
from clip import load_clip
from janus import own_address
from sansmedia.codecs.h264 import decode_avcc
from sansmedia.dtls import SrtpProfile, generate_certificate
from sansmedia.ice import IceConfig, host_candidate
from sansmedia.rtp import ReceiverReport, SenderReport, ntp_from_unix
from sansmedia.rtp.payloads import H264Packetiser
from sansmedia.sansio import Datagram
from sansmedia.sdp import (
    Capabilities,
    Direction,
    NegotiatedSession,
    OfferedCodec,
    OfferedMedia,
    SendSource,
    Setup,
    apply_answer,
    decode_session,
    encode_session,
    make_answer,
    make_offer,
)
from sansmedia.webrtc import (
    MediaReceived,
    PacketsMissed,
    Peer,
    PeerConfig,
    SendStream,
    SendStreamConfig,
    any_codec,
)

from penstock.convert.frames_to_rtp import MAX_PAYLOAD
from penstock.net.udp import UdpPort, bind_udp

__all__ = ["VideoFrame", "video_frames"]

_AVC_HEADER = 5
_FU_A = 28
_MARK = b"mark"
_NUMBER = struct.Struct(">4sI")
_RING = 1 << 16
_RATE = 90_000
_PACE_PACKETS = 4
_PACE_S = 0.005
"""About two and a half times the stream's rate, in steps of 5 ms, as browsers pace."""
_ANSWER_S = 60.0
_WAVE = 16
"""Sessions that are set up at a time."""
_SDP = {"Content-Type": "application/sdp"}
_FEEDBACK = ("nack", "nack pli")
_H264 = OfferedCodec(
    encoding="H264",
    clock_rate=_RATE,
    fmtp="level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
    feedback=_FEEDBACK,
    rtx=True,
)
_CERTIFICATE = generate_certificate(
    os.urandom, not_before=datetime.datetime.now(datetime.UTC)
)


@attrs.frozen
class VideoFrame:
    """A picture of the clip, cut into payloads."""

    timestamp_ms: int
    payloads: list[bytes]


def video_frames(path: Path) -> list[VideoFrame]:
    """Return the clip's pictures as payloads, parameter sets before key frames."""
    clip = load_clip(path)
    headers = [h.body[_AVC_HEADER:] for h in clip.headers if h.kind == 9]
    record = decode_avcc(headers[0])
    packetiser = H264Packetiser((*record.sps, *record.pps))
    return [
        VideoFrame(
            message.timestamp_ms,
            packetiser.packetise(message.body[_AVC_HEADER:], MAX_PAYLOAD),
        )
        for message in clip.messages
        if message.is_picture
    ]


class Session(abc.ABC):
    """One peer on a socket of its own."""

    controlling = True

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.port = UdpPort(bind_udp(f"{host}:0"))
        now = time.monotonic()
        config = PeerConfig(
            certificate=_CERTIFICATE,
            ice=IceConfig(controlling=self.controlling),
            # One profile, so that all servers have the same work.
            srtp_profiles=(SrtpProfile.AEAD_AES_128_GCM,),
        )
        self.peer = Peer(config, dice=os.urandom, now=now)
        here = host_candidate((host, self.port.port))
        self.peer.add_local_candidate(here, now=now)
        self.failure = ""
        self.connected = trio.Event()

    @property
    def dead(self) -> bool:
        return bool(self.failure) or self.peer.is_terminated

    @abc.abstractmethod
    async def negotiate(self) -> NegotiatedSession:
        """Signal; return what came of it."""

    async def run(self) -> None:
        """Connect and go on until the peer ends."""
        try:
            session = await self.negotiate()
            self.peer.connect(session, now=time.monotonic())
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.while_connected)
                await self._receive()
                nursery.cancel_scope.cancel()
        except Exception as error:
            self.failure = repr(error)
            print(f"{type(self).__name__}: {error!r}", file=sys.stderr, flush=True)
        finally:
            self.connected.set()
            self.port.close()

    async def while_connected(self) -> None:
        """Do what is to be done beside receiving."""
        await trio.sleep_forever()

    async def _receive(self) -> None:
        peer, port = self.peer, self.port
        report_at = 0.0
        while not peer.is_terminated:
            self.flush()
            now = time.monotonic()
            deadline = min(peer.next_timeout() or now + 1, now + 1)
            with trio.move_on_after(max(0.0, deadline - now)):
                await port.wait_readable()
            now = time.monotonic()
            batch = self.take(port.drain(now))
            for at in range(0, len(batch), 64):
                peer.receive_datagrams(batch[at : at + 64], now)
            deadline = peer.next_timeout() or now + 1
            if deadline <= now:
                peer.handle_timeout(now)
            while (event := peer.next_event()) is not None:
                self.hear(event)
            if peer.is_connected:
                self.connected.set()
                if now > report_at:
                    self.report(now)
                    report_at = now + 1

    def flush(self) -> None:
        for datagram in self.peer.datagrams_to_send():
            self.port.send(datagram)

    def take(self, batch: list[Datagram]) -> list[Datagram]:
        """Return what the peer shall see of what has arrived."""
        return batch

    def hear(self, event: object) -> None:  # noqa: B027 # most need not
        """Look at an event of the peer."""

    def report(self, now: float) -> None:
        self.peer.send_rtcp([ReceiverReport(self.peer.local_ssrc, [])], now=now)


class Viewer(Session):
    """Counts what arrives."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        super().__init__(host)
        self.octets = 0
        self.packets = 0
        self.gap = 0.0
        """The longest time without media since it was last asked for."""
        self._last_at = 0.0

    def take(self, batch: list[Datagram]) -> list[Datagram]:
        rest: list[Datagram] = []
        for datagram in batch:
            data = datagram.data
            if data[0] < 64:
                rest.append(datagram)
            elif data[1] not in (200, 201):
                self.packets += 1
                self.octets += len(data)
                at = datagram.at
                assert at is not None
                if self._last_at and at - self._last_at > self.gap:
                    self.gap = at - self._last_at
                self._last_at = at
        return rest


class WhepViewer(Viewer):
    """Plays from penstock."""

    def __init__(
        self, http: httpx.AsyncClient, url: str, host: str = "127.0.0.1"
    ) -> None:
        super().__init__(host)
        self._http = http
        self._url = url

    async def negotiate(self) -> NegotiatedSession:
        offer = make_offer(
            [OfferedMedia(kind="video", codecs=(_H264,))],
            direction=Direction.RECVONLY,
            transport=self.peer.transport(),
            session_id=1,
        )
        return apply_answer(offer, await _post(self._http, self._url, offer))


async def _post(http: httpx.AsyncClient, url: str, offer: Any) -> Any:  # noqa: ANN401
    body = encode_session(offer)
    response = await http.post(url, content=body, headers=_SDP)
    if response.status_code != 201:
        raise RuntimeError(f"{response.status_code}: {response.text}")
    return decode_session(response.text)


class SampledViewer(WhepViewer):
    """Decrypts, and tells how long the marked packets were under way."""

    def __init__(
        self,
        http: httpx.AsyncClient,
        url: str,
        sent: list[float],
        delays: list[tuple[float, float]],
    ) -> None:
        super().__init__(http, url)
        self._sent = sent
        self._delays = delays
        self._at: dict[int, float] = {}

    def take(self, batch: list[Datagram]) -> list[Datagram]:
        for datagram in batch:
            if datagram.data[0] >= 128:
                at = datagram.at
                assert at is not None
                self._at[int.from_bytes(datagram.data[2:4], "big")] = at
        super().take(batch)
        return batch

    def hear(self, event: object) -> None:
        if not isinstance(event, MediaReceived):
            return
        for packet in event.packets:
            at = self._at.pop(packet.sequence, None)
            mark, number = _NUMBER.unpack(packet.payload[-_NUMBER.size :].rjust(8))
            if at is not None and mark == _MARK:
                sent = self._sent[number % _RING]
                self._delays.append((sent, at - sent))


class Janus:
    """One session of Janus' HTTP API; a viewer is a handle of it."""

    def __init__(self, http: httpx.AsyncClient, url: str) -> None:
        self._http = http
        self._url = url
        self._session = ""
        self._waiting: dict[int, trio.MemorySendChannel[dict[str, Any]]] = {}

    async def open(self) -> None:
        made = await self._ask(self._url, "create")
        self._session = f"{self._url}/{made['data']['id']}"

    async def run(self) -> None:
        """Fetch events, by long polls, until cancelled."""
        while True:
            response = await self._http.get(self._session, params={"maxev": "10"})
            events = response.json()
            for event in events if isinstance(events, list) else [events]:
                channel = self._waiting.get(event.get("sender", 0))
                if channel is not None and event["janus"] == "event":
                    channel.send_nowait(event)

    async def _ask(self, url: str, do: str, **more: object) -> dict[str, Any]:
        body = {"janus": do, "transaction": os.urandom(6).hex(), **more}
        response = await self._http.post(url, json=body)
        answer: dict[str, Any] = response.json()
        if answer["janus"] == "error":
            raise RuntimeError(f"Janus: {answer}")
        return answer

    async def watch(self, peer: Peer, mountpoint: int) -> NegotiatedSession:
        """Take the offer of a stream and answer it."""
        plugin = "janus.plugin.streaming"
        made = await self._ask(self._session, "attach", plugin=plugin)
        number = made["data"]["id"]
        handle = f"{self._session}/{number}"
        send, events = trio.open_memory_channel[dict[str, Any]](16)
        self._waiting[number] = send
        await self._ask(handle, "message", body={"request": "watch", "id": mountpoint})
        event = await events.receive()
        if "jsep" not in event:
            raise RuntimeError(f"Janus: {event}")
        plan = make_answer(
            decode_session(event["jsep"]["sdp"]),
            capabilities=Capabilities(direction=Direction.RECVONLY, match=any_codec()),
            transport=peer.transport(Setup.ACTIVE),
            session_id=1,
        )
        answer = {"type": "answer", "sdp": encode_session(plan.answer)}
        await self._ask(handle, "message", body={"request": "start"}, jsep=answer)
        await self._ask(handle, "trickle", candidate={"completed": True})
        return plan.session


class JanusViewer(Viewer):
    """Plays from Janus' streaming plugin."""

    controlling = False

    def __init__(self, janus: Janus, mountpoint: int) -> None:
        super().__init__(own_address())
        self._janus = janus
        self._mountpoint = mountpoint

    async def negotiate(self) -> NegotiatedSession:
        return await self._janus.watch(self.peer, self._mountpoint)


@attrs.define
class _Packet:
    number: int
    payload: bytes
    timestamp: int
    marker: bool


class Publisher(Session):
    """Publishes the clip's pictures by WHIP in real time, a datagram a call.

    With ``sent``, packets are numbered and it is noted there when each left.
    """

    def __init__(
        self,
        http: httpx.AsyncClient,
        url: str,
        frames: list[VideoFrame],
        duration_ms: int,
        sent: list[float] | None,
        pace: bool = False,
    ) -> None:
        super().__init__()
        self._pace = pace
        self._http = http
        self._url = url
        self._frames = frames
        self._duration_ms = duration_ms
        self._sent = sent
        self._stream: SendStream | None = None
        self._start = 0.0
        self.written = 0
        self.packets = 0
        self.missed = 0
        self.late = 0.0
        self._ssrc = int.from_bytes(os.urandom(4), "big")

    async def negotiate(self) -> NegotiatedSession:
        source = SendSource(
            kind="video", ssrc=self._ssrc, cname="bench", stream="bench", track="v"
        )
        codec = attrs.evolve(_H264, rtx=False)
        offer = make_offer(
            [OfferedMedia(kind="video", codecs=(codec,), source=source)],
            direction=Direction.SENDONLY,
            transport=self.peer.transport(),
            session_id=1,
        )
        return apply_answer(offer, await _post(self._http, self._url, offer))

    def hear(self, event: object) -> None:
        if isinstance(event, PacketsMissed):
            self.missed += len(event.sequences)

    async def while_connected(self) -> None:
        await self.connected.wait()
        peer = self.peer
        assert peer.sealer is not None
        assert peer.session is not None
        payload_type = peer.session.media[0].codecs[0].payload_type
        config = SendStreamConfig(self._ssrc, payload_type, _RATE)
        stream = SendStream(config, sealer=peer.sealer, dice=os.urandom)
        stream.begin(self, 0, 0)
        self._stream = stream
        start = self._start = time.monotonic()
        loop_ms = number = 0
        while True:
            for frame in self._frames:
                time_ms = loop_ms + frame.timestamp_ms
                wait = start + time_ms / 1000 - time.monotonic()
                if wait > 0:
                    await trio.sleep(wait)
                else:
                    await trio.lowlevel.checkpoint()
                self.late = max(self.late, time.monotonic() - start - time_ms / 1000)
                number = await self._send(stream, frame, time_ms * 90, number)
            loop_ms += self._duration_ms

    async def _send(
        self, stream: SendStream, frame: VideoFrame, timestamp: int, number: int
    ) -> int:
        path = self.peer.path
        if path is None:
            return number
        marked = self._sent is not None
        last = len(frame.payloads) - 1
        packets: list[_Packet] = []
        for at, payload in enumerate(frame.payloads, number):
            if marked and payload[0] & 0x1F == _FU_A and len(payload) >= 64:
                # The end of a slice's data: no decoder may see this.
                payload = payload[: -_NUMBER.size] + _NUMBER.pack(_MARK, at)
            packets.append(_Packet(at, payload, timestamp, at - number == last))
        sent, port = self._sent, self.port
        for at, data in enumerate(stream.write(packets), number):
            if self._pace and at > number and (at - number) % _PACE_PACKETS == 0:
                await trio.sleep(_PACE_S)
            if sent is not None:
                sent[at % _RING] = time.monotonic()
            port.send_run((data,), path.peer, path.local)
            self.written += len(data)
        self.packets += len(packets)
        return number + len(packets)

    def report(self, now: float) -> None:
        if self._stream is None:
            super().report(now)
            return
        clock = round((now - self._start) * _RATE)
        report = SenderReport(
            self._ssrc,
            ntp_from_unix(time.time()),
            self._stream.timestamp_at(clock) or 0,
            self._stream.counters.packets & 0xFFFFFFFF,
            self._stream.counters.octets & 0xFFFFFFFF,
        )
        self.peer.send_rtcp([report], now=now)


class Load:
    """Everything that runs, and the commands."""

    def __init__(self, http: httpx.AsyncClient, nursery: trio.Nursery) -> None:
        self._http = http
        self._nursery = nursery
        self._viewers: list[Viewer] = []
        self._publishers: list[Publisher] = []
        self._janus: Janus | None = None
        self._sent = [0.0] * _RING
        self._delays: list[tuple[float, float]] = []
        """When each packet was sent, and how long it took."""
        self._delays_since = 0.0
        self._sunk = 0

    async def run(self) -> None:
        """Obey standard input until it ends."""
        pending = b""
        async with trio.lowlevel.FdStream(os.dup(0)) as source:
            async for data in source:
                *lines, pending = (pending + data).split(b"\n")
                for line in lines:
                    answer = await self._obey(json.loads(line))
                    sys.stdout.write(json.dumps(answer) + "\n")
                    sys.stdout.flush()

    async def _obey(self, command: dict[str, Any]) -> dict[str, Any]:
        match command["do"]:
            case "watch":
                return await self._watch(command)
            case "publish":
                return await self._publish(command)
            case "storm":
                return await self._storm(command)
            case "sink":
                return self._sink(command["count"])
            case "snapshot":
                return self._snapshot()
            case "delays":
                return self._take_delays()
            case "gaps":
                gaps = sorted(viewer.gap for viewer in self._viewers)
                for viewer in self._viewers:
                    viewer.gap = 0.0
                return {"most": gaps[-1], "median": gaps[len(gaps) // 2]}
            case other:
                raise ValueError(f"no command {other!r}")

    async def _set_up(self, sessions: list[Any]) -> int:
        """Start sessions, a wave at a time; return how many connected."""
        room = trio.Semaphore(_WAVE)

        async def wait_for(session: Session) -> None:
            await session.connected.wait()
            room.release()

        with trio.move_on_after(_ANSWER_S):
            async with trio.open_nursery() as nursery:
                for make in sessions:
                    await room.acquire()
                    session = make()
                    if isinstance(session, Viewer):
                        self._viewers.append(session)
                    else:
                        self._publishers.append(session)
                    self._nursery.start_soon(session.run)
                    nursery.start_soon(wait_for, session)
        alive = [s for s in (*self._viewers, *self._publishers) if not s.dead]
        return sum(session.connected.is_set() for session in alive)

    async def _watch(self, command: dict[str, Any]) -> dict[str, Any]:
        url, count = command["url"], command["count"]
        before = self._ready()
        if "mountpoint" in command:
            if self._janus is None:
                self._janus = Janus(self._http, url)
                await self._janus.open()
                self._nursery.start_soon(self._janus.run)
            janus = self._janus
            makers: list[Any] = [
                lambda: JanusViewer(janus, command["mountpoint"])
            ] * count
        else:
            host = own_address() if command.get("own_address") else "127.0.0.1"
            makers = [lambda: WhepViewer(self._http, url, host)] * count
            every = command.get("sample_every", 0)
            if every:
                makers[::every] = [
                    lambda: SampledViewer(self._http, url, self._sent, self._delays)
                ] * len(makers[::every])
        await self._set_up(makers)
        return {"ready": self._ready() - before}

    def _ready(self) -> int:
        sessions = (*self._viewers, *self._publishers)
        return sum(s.connected.is_set() and not s.dead for s in sessions)

    async def _publish(self, command: dict[str, Any]) -> dict[str, Any]:
        path = Path(command["clip"])
        frames, duration_ms = video_frames(path), load_clip(path).duration_ms
        sent = self._sent if command["mark"] else None
        pace = command.get("pace", False)
        before = self._ready()
        makers = [
            lambda url=url: Publisher(self._http, url, frames, duration_ms, sent, pace)
            for url in command["urls"]
        ]
        await self._set_up(makers)
        largest = max(len(frame.payloads) for frame in frames)
        return {"ready": self._ready() - before, "largest": largest}

    async def _storm(self, command: dict[str, Any]) -> dict[str, Any]:
        """Open sessions at a rate; each leaves once it is connected."""
        took: list[float] = []
        failed = 0

        async def visit() -> None:
            nonlocal failed
            began = time.monotonic()
            viewer = WhepViewer(self._http, command["url"])
            async with trio.open_nursery() as nursery:
                nursery.start_soon(viewer.run)
                with trio.move_on_after(10):
                    await viewer.connected.wait()
                if viewer.connected.is_set() and not viewer.dead:
                    took.append(time.monotonic() - began)
                else:
                    failed += 1
                viewer.peer.close(now=time.monotonic())
                viewer.flush()
                nursery.cancel_scope.cancel()

        start = time.monotonic()
        count = int(command["rate"] * command["seconds"])
        async with trio.open_nursery() as nursery:
            for number in range(count):
                wait = start + number / command["rate"] - time.monotonic()
                await trio.sleep(max(0.0, wait))
                nursery.start_soon(visit)
            begun_s = time.monotonic() - start
        took.sort()
        return {
            "ready": len(took),
            "failed": failed,
            "begun_s": begun_s,
            "median": took[len(took) // 2] if took else 0.0,
            "most": took[-1] if took else 0.0,
        }

    def _sink(self, count: int) -> dict[str, Any]:
        """Make sockets that take everything."""
        ports = [UdpPort(bind_udp("127.0.0.1:0")) for _ in range(count)]
        for port in ports:
            self._nursery.start_soon(self._drain, port)
        return {"ports": [port.port for port in ports]}

    async def _drain(self, port: UdpPort) -> None:
        while True:
            await port.wait_readable()
            batch = port.drain(time.monotonic())
            self._sunk += sum(len(datagram.data) for datagram in batch)

    def _snapshot(self) -> dict[str, Any]:
        late = max((p.late for p in self._publishers), default=0.0)
        for publisher in self._publishers:
            publisher.late = 0.0
        profiles = {
            viewer.peer.sealer.profile.name
            for viewer in self._viewers
            if viewer.peer.sealer is not None
        }
        return {
            "octets": sum(viewer.octets for viewer in self._viewers) + self._sunk,
            "packets": sum(viewer.packets for viewer in self._viewers),
            "alive": sum(not viewer.dead for viewer in self._viewers),
            "written": sum(publisher.written for publisher in self._publishers),
            "written_packets": sum(p.packets for p in self._publishers),
            "missed": sum(publisher.missed for publisher in self._publishers),
            "publishing": sum(not p.dead for p in self._publishers),
            "late": late,
            "profiles": sorted(profiles),
            "cpu": time.process_time(),
        }

    def _take_delays(self) -> dict[str, Any]:
        # What was sent before are the pictures that viewers start with: old on purpose.
        delays = sorted(took for at, took in self._delays if at > self._delays_since)
        self._delays.clear()
        self._delays_since = time.monotonic()
        if not delays:
            return {"count": 0}
        count = len(delays)
        return {
            "count": count,
            "p50": delays[count // 2],
            "p99": delays[count * 99 // 100],
            "max": delays[-1],
        }


async def main() -> None:
    limits = httpx.Limits(max_connections=64)
    async with (
        httpx.AsyncClient(trust_env=False, timeout=60, limits=limits) as http,
        trio.open_nursery() as nursery,
    ):
        await Load(http, nursery).run()
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(main)
