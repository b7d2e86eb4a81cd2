"""The load: publishers and viewers on raw sockets, one process, one epoll.

`run.py` starts it on a core of its own and talks to it in JSON, one line each way:
``{"do": "publish" | "view" | "snapshot" | "delays" | "stop_reading" | "close", ...}``.
A connection is set up by `sansmedia.rtmp.RtmpClient`; a viewer that plays only drains.
"""

from __future__ import annotations

import abc
import heapq
import json
import os
import select
import socket
import sys
import time
from pathlib import Path
from typing import Any

from clip import MARK, Clip, ClipMessage, load_clip, marked
from sansmedia.rtmp import (
    ClientConfig,
    MediaKind,
    MediaLane,
    MediaMessage,
    PlayStarted,
    PublishAccepted,
    RtmpClient,
)

_BUFFER = bytearray(1 << 20)
_MARK_SIZE = len(MARK) + 16
_ANSWER_S = 60.0
"""Connections that are not set up by then are reported as missing."""
_WAVE = 128
"""Connections that are set up at a time: servers' backlogs are finite."""


class Connection(abc.ABC):
    """One non-blocking socket, registered with the loop."""

    def __init__(self, address: tuple[str, int], receive_buffer: int = 0) -> None:
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.sock.setblocking(False)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if receive_buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.sock.connect_ex(address)
        self.octets = 0
        self.reads = 0
        self.ready = False
        self.dead = False
        self._unsent = b""

    def send(self, data: bytes) -> bool:
        """Send; what the kernel does not take goes first the next time."""
        data = self._unsent + data
        try:
            sent = self.sock.send(data) if data else 0
        except BlockingIOError:
            sent = 0
        except OSError:
            self.dead = True
            return False
        self._unsent = data[sent:]
        return not self._unsent

    @abc.abstractmethod
    def readable(self) -> None:
        """Take what has arrived."""

    def writable(self) -> None:
        self.send(b"")


class RtmpConnection(Connection):
    """A connection whose client machine is still needed."""

    def __init__(
        self, address: tuple[str, int], app: str, receive_buffer: int = 0
    ) -> None:
        super().__init__(address, receive_buffer)
        self.machine = RtmpClient(
            config=ClientConfig(tc_url=f"rtmp://{address[0]}/{app}", app=app),
            dice=os.urandom,
            now=time.monotonic(),
        )

    def receive(self) -> bytes:
        try:
            data = self.sock.recv(1 << 16)
        except BlockingIOError:
            return b""
        except OSError:
            data = b""
        if not data:
            self.dead = True
        return data

    def pump(self) -> None:
        data = self.receive()
        if not data:
            return
        self.octets += len(data)
        self.machine.receive_data(data, time.monotonic())
        while (event := self.machine.next_event()) is not None:
            if isinstance(event, PlayStarted | PublishAccepted):
                self.started(event.stream_id)
        self.send(self.machine.data_to_send())

    def readable(self) -> None:
        self.pump()

    def writable(self) -> None:
        self.send(self.machine.data_to_send())

    def started(self, stream_id: int) -> None:
        self.ready = True


class RtmpViewer(RtmpConnection):
    """Plays one stream; once it plays it throws everything away unread."""

    def __init__(
        self, address: tuple[str, int], app: str, name: str, delays: list[int] | None
    ) -> None:
        # A viewer that shall stop reading must not have megabytes in its kernel buffer.
        super().__init__(address, app, 1 << 16 if delays is not None else 0)
        self.machine.play(name, now=time.monotonic())
        self._delays = delays
        self._tail = b""

    def readable(self) -> None:
        if not self.ready:
            self.pump()
        elif self._delays is not None:
            self._look_for_marks(self._delays)
        else:
            drain(self)

    def _look_for_marks(self, delays: list[int]) -> None:
        data = self.receive()
        now = time.monotonic_ns()
        self.octets += len(data)
        self.reads += 1
        data = self._tail + data
        at = data.find(MARK)
        while at >= 0 and len(data) - at >= _MARK_SIZE:
            sent_at = int(data[at + len(MARK) : at + _MARK_SIZE], 16)
            delays.append(now - sent_at)
            at = data.find(MARK, at + _MARK_SIZE)
        # A mark cut in two is looked for again together with what follows.
        self._tail = data[at:] if at >= 0 else data[1 - len(MARK) :]


class FlvViewer(Connection):
    """Takes HTTP-FLV and throws it away."""

    def __init__(self, address: tuple[str, int], app: str, name: str) -> None:
        super().__init__(address)
        path = f"/{app}/{name}.flv"
        self._unsent = f"GET {path} HTTP/1.1\r\nHost: {address[0]}\r\n\r\n".encode()

    def readable(self) -> None:
        self.ready = True
        drain(self)


def drain(connection: Connection) -> None:
    """Let the kernel throw away what has arrived, without copying it."""
    try:
        size = connection.sock.recv_into(_BUFFER, len(_BUFFER), socket.MSG_TRUNC)
    except BlockingIOError:
        return
    except OSError:
        size = 0
    if not size:
        connection.dead = True
    connection.octets += size
    connection.reads += 1


class Publisher(RtmpConnection):
    """Sends the clip in a loop, each message at its time, with a write each."""

    def __init__(
        self,
        address: tuple[str, int],
        app: str,
        name: str,
        clip: Clip,
        *,
        mark: bool,
        messages: float,
    ) -> None:
        super().__init__(address, app)
        self.machine.publish(name, now=time.monotonic())
        self.written = 0
        self.left = messages
        """Messages until it falls silent."""
        self._clip = clip
        self._mark = mark
        self._lane: MediaLane | None = None
        self._next = 0
        self._loop_ms = 0
        self._start = 0.0

    def started(self, stream_id: int) -> None:
        super().started(stream_id)
        self._lane = self.machine.publish_lane(stream_id)
        self._start = time.monotonic()
        self.send(self.machine.data_to_send())
        for header in self._clip.headers:
            self._write(header, 0)

    @property
    def due(self) -> float:
        """When the next message is to be sent."""
        message = self._clip.messages[self._next]
        return self._start + (self._loop_ms + message.timestamp_ms) / 1000

    def step(self) -> None:
        """Send the next message."""
        message = self._clip.messages[self._next]
        self._write(message, self._loop_ms + message.timestamp_ms)
        self.left -= 1
        self._next += 1
        if self._next == len(self._clip.messages):
            self._next = 0
            self._loop_ms += self._clip.duration_ms

    def _write(self, message: ClipMessage, timestamp_ms: int) -> None:
        assert self._lane is not None
        body = message.body
        if self._mark and message.is_picture:
            body = marked(message, time.monotonic_ns())
        kind = MediaKind(message.kind)
        data = b"".join(self._lane.write([MediaMessage(kind, timestamp_ms, body)]))
        self.written += len(data)
        self.send(data)


class Load:
    """The loop and everything on it."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._epoll.register(sys.stdin.fileno(), select.EPOLLIN)
        self._by_fd: dict[int, Connection] = {}
        self._publishers: list[Publisher] = []
        self._viewers: list[Connection] = []
        self._delays: list[int] = []
        self._schedule: list[tuple[float, int, Publisher]] = []
        self._stopped: list[Connection] = []
        self._late = 0.0

    def run(self) -> None:
        """Obey standard input until it ends."""
        stdin = sys.stdin.fileno()
        pending = b""
        while True:
            if not self._turn(None):
                continue
            data = os.read(stdin, 1 << 16)
            if not data:
                return
            *lines, pending = (pending + data).split(b"\n")
            for line in lines:
                answer = self._obey(json.loads(line))
                sys.stdout.write(json.dumps(answer) + "\n")
                sys.stdout.flush()

    def _turn(self, until: float | None) -> bool:
        """Do what is due and wait once; True if there is a command to read."""
        now = time.monotonic()
        schedule = self._schedule
        while schedule and schedule[0][0] <= now:
            due, order, publisher = heapq.heappop(schedule)
            self._late = max(self._late, now - due)
            publisher.step()
            if publisher.left > 0 and not publisher.dead:
                heapq.heappush(schedule, (publisher.due, order, publisher))
        deadline = min(
            (t for t in (until, schedule[0][0] if schedule else None) if t is not None),
            default=now + 1.0,
        )
        commanded = False
        for fd, events in self._epoll.poll(max(0.0, deadline - now), 4096):
            connection = self._by_fd.get(fd)
            if connection is None:
                commanded = True
                continue
            if events & select.EPOLLOUT:
                connection.writable()
                self._epoll.modify(fd, select.EPOLLIN)
            if events & ~select.EPOLLOUT:
                connection.readable()
            if connection.dead:
                self._forget(connection)
        return commanded

    def _forget(self, connection: Connection) -> None:
        connection.dead = True
        fd = connection.sock.fileno()
        if self._by_fd.pop(fd, None) is not None:
            self._epoll.unregister(fd)
            connection.sock.close()

    def _add(self, connection: Connection) -> None:
        fd = connection.sock.fileno()
        self._by_fd[fd] = connection
        self._epoll.register(fd, select.EPOLLIN | select.EPOLLOUT)

    def _set_up(self, waiting: list[Any]) -> int:
        """Make connections, a wave at a time; return how many came up."""
        deadline = time.monotonic() + _ANSWER_S
        waiting.reverse()
        under_way: list[Connection] = []
        ready = 0
        while waiting or under_way:
            while waiting and len(under_way) < _WAVE:
                connection = waiting.pop()()
                self._add(connection)
                under_way.append(connection)
            self._turn(time.monotonic() + 0.01)
            ready += sum(c.ready for c in under_way)
            for connection in under_way:
                if isinstance(connection, Publisher) and connection.ready:
                    order = len(self._publishers)
                    self._publishers.append(connection)
                    entry = (connection.due, order, connection)
                    heapq.heappush(self._schedule, entry)
            under_way = [c for c in under_way if not c.ready and not c.dead]
            if time.monotonic() > deadline:
                break
        return ready

    def _obey(self, command: dict[str, Any]) -> dict[str, Any]:
        match command["do"]:
            case "publish":
                return self._publish(command)
            case "view":
                return self._view(command)
            case "snapshot":
                return self._snapshot()
            case "delays":
                return self._take_delays()
            case "stop_reading":
                viewer = self._viewers.pop()
                self._stopped.append(viewer)
                self._by_fd.pop(viewer.sock.fileno())
                self._epoll.unregister(viewer.sock.fileno())
                return {}
            case "close":
                return self._close()
            case other:
                raise ValueError(f"no command {other!r}")

    def _publish(self, command: dict[str, Any]) -> dict[str, Any]:
        clip = load_clip(Path(command["clip"]))
        if command.get("pictures_only"):
            clip = clip.pictures()
        address = ("127.0.0.1", command["port"])
        mark = command.get("mark", False)
        messages = command.get("messages", float("inf"))

        def maker(name: str) -> Any:  # noqa: ANN401
            def make() -> Publisher:
                return Publisher(
                    address, "live", name, clip, mark=mark, messages=messages
                )

            return make

        return {"ready": self._set_up([maker(name) for name in command["names"]])}

    def _view(self, command: dict[str, Any]) -> dict[str, Any]:
        address = ("127.0.0.1", command["port"])
        delays = self._delays if command.get("delays") else None

        def maker(name: str) -> Any:  # noqa: ANN401
            def make() -> Connection:
                if command["protocol"] == "flv":
                    viewer: Connection = FlvViewer(address, "live", name)
                else:
                    viewer = RtmpViewer(address, "live", name, delays)
                self._viewers.append(viewer)
                return viewer

            return make

        return {"ready": self._set_up([maker(name) for name in command["names"]])}

    def _snapshot(self) -> dict[str, Any]:
        late, self._late = self._late, 0.0
        return {
            "at": time.monotonic(),
            "written": [publisher.written for publisher in self._publishers],
            "octets": sum(viewer.octets for viewer in self._viewers),
            "reads": sum(viewer.reads for viewer in self._viewers),
            "alive": sum(not viewer.dead for viewer in self._viewers),
            "late": late,
            "cpu": time.process_time(),
        }

    def _take_delays(self) -> dict[str, Any]:
        delays = sorted(self._delays)
        self._delays.clear()
        if not delays:
            return {"count": 0}
        count = len(delays)
        return {
            "count": count,
            "p50": delays[count // 2] / 1e9,
            "p99": delays[count * 99 // 100] / 1e9,
            "max": delays[-1] / 1e9,
        }

    def _close(self) -> dict[str, Any]:
        for connection in list(self._by_fd.values()):
            self._forget(connection)
        for viewer in self._stopped:
            viewer.sock.close()
        self._schedule.clear()
        self._stopped.clear()
        self._publishers.clear()
        self._viewers.clear()
        return {}


if __name__ == "__main__":
    Load().run()
