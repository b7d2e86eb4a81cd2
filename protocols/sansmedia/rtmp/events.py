"""What comes out of `RtmpServer` and `RtmpClient`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

import attrs

from sansmedia.amf import Value
from sansmedia.sansio import ProtocolError, Terminated

from .messages import MediaMessage

__all__ = [
    "BufferLengthSet",
    "Capabilities",
    "ClientEvent",
    "ConnectRejected",
    "ConnectRequested",
    "Connected",
    "DataDiscarded",
    "DataReceived",
    "MediaReceived",
    "MetadataReceived",
    "PauseRequested",
    "PlayEnded",
    "PlayRejected",
    "PlayRequested",
    "PlayStarted",
    "PublishAccepted",
    "PublishEnded",
    "PublishKind",
    "PublishRejected",
    "PublishRequested",
    "ReceiveAudioChanged",
    "ReceiveVideoChanged",
    "ReconnectRequested",
    "SeekRequested",
    "ServerEvent",
    "StatusReceived",
]

PublishKind: TypeAlias = Literal["live", "record", "append"]


@attrs.frozen
class Capabilities:
    """What the peer said of Enhanced RTMP; all empty for a legacy peer.

    Source: E-RTMP v2 §Enhancing NetConnection connect Command.
    """

    four_cc_list: tuple[str, ...] = ()
    """FourCCs of `fourCcList`; ``"*"`` is every codec."""
    video_four_cc_info: Mapping[str, int] = attrs.field(factory=dict)
    """`sansmedia.flv.capabilities.FourCcInfoMask` by FourCC or ``"*"``."""
    audio_four_cc_info: Mapping[str, int] = attrs.field(factory=dict)
    """`sansmedia.flv.capabilities.FourCcInfoMask` by FourCC or ``"*"``."""
    caps_ex: int = 0
    """`sansmedia.flv.capabilities.CapsExMask`, and bits without a name."""


# --- both sides ------------------------------------------------------------------


@attrs.frozen
class MediaReceived:
    """A run of audio and video messages of one stream, in their order."""

    stream_id: int
    messages: list[MediaMessage]


@attrs.frozen
class MetadataReceived:
    """Metadata: ``@setDataFrame`` ``onMetaData``, or bare ``onMetaData``."""

    stream_id: int
    timestamp: int
    """Milliseconds, 32-bit wrapped."""
    values: Mapping[str, Value]


@attrs.frozen
class DataReceived:
    """Any other data message (cue points, captions, private handlers)."""

    stream_id: int
    timestamp: int
    """Milliseconds, 32-bit wrapped."""
    values: tuple[Value, ...]
    """The handler's name first."""
    payload: bytes
    """The AMF0 body, to be passed on unchanged."""


def _without_traceback(error: ProtocolError) -> ProtocolError:
    # It knows the frames that the error passed, and they know the machine.
    return error.with_traceback(None)


@attrs.frozen
class DataDiscarded:
    """A data message that cannot be read or passes the limits; the stream goes on."""

    stream_id: int
    timestamp: int
    """Milliseconds, 32-bit wrapped."""
    error: ProtocolError = attrs.field(converter=_without_traceback)
    """What is wrong with it; code ``"limit"`` if it costs too much."""


# --- server ----------------------------------------------------------------------


@attrs.frozen
class ConnectRequested:
    """A client wants to connect: answer with `accept` or `reject`."""

    request_id: int
    app: str
    """As sent, with a query if there is one; `resolve` takes it apart."""
    tc_url: str
    page_url: str
    swf_url: str
    flash_version: str
    object_encoding: int
    """0 AMF0, 3 AMF3 too."""
    parameters: Mapping[str, Value]
    """The whole command object."""
    capabilities: Capabilities


@attrs.frozen
class PublishRequested:
    """A client wants to publish: answer with `accept` or `reject`.

    Media may follow before the answer; `reject` takes back what is still queued.
    """

    request_id: int
    stream_id: int
    name: str
    """As sent, with its query."""
    kind: PublishKind


@attrs.frozen
class PlayRequested:
    """A client wants to play: answer with `accept` or `reject`."""

    request_id: int
    stream_id: int
    name: str
    """As sent, with its query."""
    start: float
    """Seconds; -2 live or else recorded, -1 live only. RTMP 1.0 §7.2.2.1."""
    duration: float
    """Seconds; -1 to the end."""
    reset: bool


@attrs.frozen
class PublishEnded:
    """A publisher ended its stream (also if its publish was never answered)."""

    stream_id: int
    reason: str
    """``"FCUnpublish"``, ``"deleteStream"`` or ``"closeStream"``."""


@attrs.frozen
class PlayEnded:
    """A play ended: by the peer, or (client only) because the stream did."""

    stream_id: int
    reason: str = ""
    """The command, status code or user control event that ended it."""


@attrs.frozen
class PauseRequested:
    """A player paused or went on; it has been told so already."""

    stream_id: int
    paused: bool
    position_ms: int


@attrs.frozen
class SeekRequested:
    """A player wants to seek: answer with `accept` or `reject`."""

    request_id: int
    stream_id: int
    position_ms: int


@attrs.frozen
class ReceiveAudioChanged:
    """A player wants audio, or none. Source: RTMP 1.0 §7.2.2.4."""

    stream_id: int
    enabled: bool


@attrs.frozen
class ReceiveVideoChanged:
    """A player wants video, or none. Source: RTMP 1.0 §7.2.2.5."""

    stream_id: int
    enabled: bool


@attrs.frozen
class BufferLengthSet:
    """A player told the size of its buffer. Source: RTMP 1.0 §7.1.7."""

    stream_id: int
    buffer_ms: int


ServerEvent: TypeAlias = (
    ConnectRequested
    | PublishRequested
    | PlayRequested
    | MediaReceived
    | MetadataReceived
    | DataReceived
    | DataDiscarded
    | PublishEnded
    | PlayEnded
    | PauseRequested
    | SeekRequested
    | ReceiveAudioChanged
    | ReceiveVideoChanged
    | BufferLengthSet
    | Terminated
)

# --- client ----------------------------------------------------------------------


@attrs.frozen
class Connected:
    """The server accepted the connection."""

    server_version: str
    """``fmsVer`` of the answer."""
    properties: Mapping[str, Value]
    """The first object of the answer."""
    information: Mapping[str, Value]
    """The second object: level, code, description, object encoding, extras."""
    capabilities: Capabilities


@attrs.frozen
class ConnectRejected:
    """The server refused the connection; `Terminated` follows."""

    code: str
    description: str
    information: Mapping[str, Value]


@attrs.frozen
class PublishAccepted:
    """Publishing may begin."""

    request_id: int
    stream_id: int


@attrs.frozen
class PublishRejected:
    """The server refused to let us publish."""

    request_id: int
    code: str
    description: str


@attrs.frozen
class PlayStarted:
    """The server accepted the play; media follow."""

    request_id: int
    stream_id: int


@attrs.frozen
class PlayRejected:
    """The server refused the play."""

    request_id: int
    code: str
    description: str


@attrs.frozen
class StatusReceived:
    """Any other ``onStatus``, or a status that came with an answer."""

    stream_id: int
    level: str
    """``"status"``, ``"warning"`` or ``"error"``."""
    code: str
    description: str


@attrs.frozen
class ReconnectRequested:
    """The server asks us to move, at the next key frame.

    Source: E-RTMP v2 §Reconnect Request.
    """

    tc_url: str
    """Absolute: already resolved against the connection's own."""
    description: str


ClientEvent: TypeAlias = (
    Connected
    | ConnectRejected
    | PublishAccepted
    | PublishRejected
    | PlayStarted
    | PlayRejected
    | PlayEnded
    | StatusReceived
    | MediaReceived
    | MetadataReceived
    | DataReceived
    | DataDiscarded
    | ReconnectRequested
    | Terminated
)
