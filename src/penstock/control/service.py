"""The one door into the engine for every API, page and dialect.

Commands and queries are methods of `Control`; they answer views and raise
`ControlError`. Look-ups are async because a later registry may have to ask another
worker. `app.py` gives the implementation (`penstock.engine` behind it).
"""

from __future__ import annotations

from typing import Protocol

from .views import RelayView, ServerView, SessionView, StreamView, VhostView
from .webrtc import WebRtcAnswer, WebRtcOffer

__all__ = ["Control"]


class Control(Protocol):
    """Commands and queries over one running server."""

    async def server(self) -> ServerView:
        """Return the server's own figures."""
        ...

    async def vhosts(self) -> list[VhostView]:
        """Return the virtual hosts that have seen a session, oldest first."""
        ...

    async def streams(self) -> list[StreamView]:
        """Return every stream entry, ascending by id.

        Yields to the loop while it collects, so that a thousand streams hold it
        for no longer than a slice.
        """
        ...

    async def stream(self, stream_id: str) -> StreamView:
        """Return one stream. Raises: NotFound."""
        ...

    async def find_stream(self, vhost: str, app: str, name: str) -> StreamView:
        """Return the stream of that key. Raises: NotFound."""
        ...

    async def reserve_stream(self, vhost: str, app: str, name: str) -> StreamView:
        """Make a stream's entry, or find it, and keep it until `destroy_stream`.

        Raises:
            Invalid: The key is none that may be.
            Unavailable: There are too many streams.
        """
        ...

    async def destroy_stream(self, stream_id: str, reason: str) -> None:
        """End a stream's sessions and forget it; returns when it is gone.

        Sessions that will not end within seconds are not waited for.

        Raises: NotFound.
        """
        ...

    async def sessions(self) -> list[SessionView]:
        """Return every media session, ascending by id; slices like `streams`."""
        ...

    async def session(self, session_id: str) -> SessionView:
        """Return one session. Raises: NotFound."""
        ...

    async def kick(self, session_id: str, reason: str) -> None:
        """End a session; the entry vanishes a moment later. Raises: NotFound."""
        ...

    async def wait_changed(self, seen: int) -> int:
        """Wait until streams or sessions have come, gone or changed their state.

        Args:
            seen: What the last call returned; -1 returns at once.

        Returns:
            How many changes there have been.
        """
        ...

    async def start_relay(
        self, *, source: str, destination: str, on_demand: bool
    ) -> RelayView:
        """Keep a relay running until it is stopped, or the server is.

        Args:
            source: As in the configuration's ``[[relay]]`` tables.
            destination: As there.
            on_demand: Pull only while somebody watches.

        Raises:
            Invalid: The two sides are not what a relay has.
            Unavailable: There are too many.
        """
        ...

    async def stop_relay(self, relay_id: str) -> None:
        """End a relay that `start_relay` has started.

        Raises:
            NotFound: There is no such relay, or it stands in the configuration.
        """
        ...

    async def relays(self) -> list[RelayView]:
        """Return the configured and running relays."""
        ...

    async def offer_webrtc(self, offer: WebRtcOffer) -> WebRtcAnswer:
        """Answer a client that wants to publish or to play by WebRTC.

        Raises:
            Forbidden: Not this client, or not with this token.
            Conflict: The stream has a publisher.
            NotFound: Nobody publishes it, and nobody may wait.
            Invalid: The offer is malformed.
            Unacceptable: The offer fits nothing here.
            Unavailable: A limit is reached, or WebRTC is off.
        """
        ...

    async def patch_webrtc(
        self,
        session_id: str,
        *,
        ufrag: str = "",
        pwd: str = "",
        candidates: tuple[str, ...] = (),
        end: bool = False,
    ) -> tuple[str, str] | None:
        """Take a client's candidates, or its new credentials: it restarts ICE.

        Returns:
            Our new user name fragment and password after a restart, else None.

        Raises:
            NotFound: There is no such session.
            Invalid: The credentials have a wrong form.
        """
        ...

    async def webrtc_ufrag(self, session_id: str) -> str:
        """Return our user name fragment of a session. Raises: NotFound."""
        ...

    async def select_layer(self, session_id: str, layer: str) -> None:
        """Send a WebRTC viewer another layer of simulcast, from its next key frame.

        Args:
            session_id: The viewer's.
            layer: Its `TrackView.name`; "" is the main one.

        Raises:
            NotFound: There is no such session, or it is no WebRTC viewer.
        """
        ...

    async def mute(self, session_id: str, kind: str, *, muted: bool) -> None:
        """Leave "video" or "audio" out of what a WebRTC viewer gets, or not any more.

        Raises:
            NotFound: There is no such session, or it is no WebRTC viewer.
        """
        ...

    async def cascade_pull(
        self, *, vhost: str, app: str, name: str, url: str, authorization: str
    ) -> str:
        """Publish here what another server's WHEP endpoint plays.

        The session runs until one side ends it; it is not started again.

        Args:
            vhost: The stream's, as in its view.
            app: The stream's.
            name: The stream's.
            url: ``http(s)://``, or ``whep(s)://[token@]host/path``.
            authorization: The ``Authorization`` field as it is to be sent; "" for
                none.

        Returns:
            The session's id, once both sides have told what they can do; that media
            flows it does not mean.

        Raises:
            Conflict: The stream has a publisher.
            Invalid: The stream's name, the address or the authorization is of the
                wrong form.
            Unavailable: The other server says no, or nothing; with its words.
        """
        ...

    async def cascade_push(
        self, *, vhost: str, app: str, name: str, url: str, authorization: str
    ) -> str:
        """Publish a stream at another server's WHIP endpoint; see `cascade_pull`.

        Args:
            vhost: The stream's, as in its view.
            app: The stream's.
            name: The stream's.
            url: ``http(s)://``, or ``whip(s)://[token@]host/path``.
            authorization: The ``Authorization`` field; "" for none.

        Raises:
            NotFound: There is no such stream.
            Invalid: The address or the authorization is of the wrong form.
            Unavailable: The other server says no, or nothing; with its words.
        """
        ...

    async def reload(self) -> None:
        """Read the configuration again, as SIGHUP does.

        Raises: Invalid with the configuration's own error line; then nothing changed.
        """
        ...
