"""One outgoing RTMP connection: the client machine and its wire."""

from __future__ import annotations

import os

import trio
from sansmedia.rtmp import (
    ClientConfig,
    ClientEvent,
    ConnectRejected,
    PlayRejected,
    PublishRejected,
    RtmpClient,
    StatusReceived,
)
from sansmedia.rtmp.url import StreamAddress
from sansmedia.sansio import Terminated

from penstock.engine.viewer import Viewer
from penstock.net.connect import connect_tcp
from penstock.net.tls import client_context
from penstock.net.wire import Wire

__all__ = ["RemoteRefusal", "RtmpConnection", "open_rtmp"]


_FATAL = ("NetStream.Publish.", "NetStream.Play.", "NetStream.Failed")
"""Errors that end what was granted. Others do not: that of a recording, say."""


class RemoteRefusal(Exception):
    """The other server refused, or ended the stream or the connection."""


def _ending(event: ClientEvent) -> str:
    """Return why an event is the last that matters; "" if it is not."""
    match event:
        case Terminated():
            return event.reason or event.cause.value
        case ConnectRejected() | PublishRejected() | PlayRejected():
            return f"{event.code}: {event.description}"
        case StatusReceived(code="NetStream.Unpublish.Success"):
            return f"the server ended the stream: {event.description or event.code}"
        case StatusReceived(level="error") if event.code.startswith(_FATAL):
            return f"{event.code}: {event.description}"
        case _:
            return ""


class RtmpConnection:
    """A client machine on a wire.

    Args:
        wire: The connection.
        address: What to connect to.
    """

    def __init__(self, wire: Wire, address: StreamAddress) -> None:
        self.wire = wire
        self.viewer: Viewer | None = None
        """While it is set, our bytes go between its units."""
        self._ended = ""
        """Why there will be no more events."""
        self.machine = RtmpClient(
            config=ClientConfig(tc_url=address.tc_url, app=address.app),
            dice=os.urandom,
            now=trio.current_time(),
        )

    async def events(self) -> list[ClientEvent]:
        """Send what is due, wait for input or a deadline, return what came of it.

        Raises:
            RemoteRefusal: the server refused, or ended the stream or connection.
            OSError: the connection broke.
        """
        machine = self.machine
        if self._ended:
            raise RemoteRefusal(self._ended)
        self.send()
        deadline = machine.next_timeout()
        data: bytes | None = None
        with trio.move_on_at(float("inf") if deadline is None else deadline):
            if self.viewer is None:
                await self.wire.flush()
            data = await self.wire.receive_some()
        if data is None:
            machine.handle_timeout(trio.current_time())
        elif data:
            machine.receive_data(data, trio.current_time())
        else:
            machine.receive_eof(trio.current_time())
        events: list[ClientEvent] = []
        while (event := machine.next_event()) is not None:
            self._ended = _ending(event)
            if self._ended:
                if events:
                    return events  # the next call tells the end
                raise RemoteRefusal(self._ended)
            events.append(event)
        self.send()
        return events

    def send(self) -> None:
        """Send what the machine has to say, at a unit border."""
        data = self.machine.data_to_send()
        if not data:
            return
        if self.viewer is not None:
            self.viewer.offer(data)
        else:
            self.wire.offer(data)

    async def aclose(self) -> None:
        """Say goodbye and close."""
        self.machine.close("finished", now=trio.current_time())
        try:
            self.wire.offer(self.machine.data_to_send())
        except OSError:
            pass  # gone already
        await self.wire.finish(timeout_s=1.0)


async def open_rtmp(address: StreamAddress) -> RtmpConnection:
    """Connect to a server. Raises: OSError."""
    tls = client_context() if address.scheme == "rtmps" else None
    wire = await connect_tcp(address.host, address.port, tls=tls)
    return RtmpConnection(wire, address)
