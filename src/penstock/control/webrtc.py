"""What WebRTC's signalling asks of the engine, whichever API it came by."""

from __future__ import annotations

import attrs

__all__ = ["WebRtcAnswer", "WebRtcOffer"]


@attrs.frozen(kw_only=True)
class WebRtcOffer:
    """A client offers to publish or to play a stream."""

    publishes: bool
    vhost: str = "default"
    app: str
    name: str
    sdp: str
    """Its session description."""
    address: str
    """Of the client that asks; its media may come from others."""
    port: int = 0
    parameters: str = ""
    """Its query, without "?"."""
    token: str = attrs.field(default="", repr=False)
    """Of ``Authorization: Bearer``."""
    user_agent: str = ""
    page_url: str = ""
    tc_url: str = ""
    """``http://host/app``, as it asked."""
    host: str = ""
    """The host name or address that it asked, without port."""
    addresses: tuple[tuple[str, int], ...] = ()
    """IP addresses to offer besides the configured ones, with their ports; port 0 is
    that of our media."""
    ice_ufrag: str = ""
    """The user name fragment that we are to have, with `ice_pwd`; "" lets us choose."""
    ice_pwd: str = attrs.field(default="", repr=False)
    authorized: bool = False
    """The API has judged the client by rules of its own: `auth.publish` and
    `auth.play` need not."""
    stays: bool = False
    """It plays on when publishers come and go, and waits as long as it takes."""


@attrs.frozen(kw_only=True)
class WebRtcAnswer:
    """What the engine says to an offer."""

    session_id: str
    sdp: str
    ice_ufrag: str
    layers: tuple[str, ...] = ()
    """Layers of simulcast that the publisher of the stream sends, if it does."""
