"""RTMP, client and server, with Enhanced RTMP v2.

Four layers, each usable alone: `handshake` (octets to octets), `chunks` (octets to
messages), `messages` (messages to meaning) and the sessions `RtmpServer` and
`RtmpClient`, which are all that most programs need. Beside them `url` takes stream
addresses apart, and `lane` writes media for many viewers at once.
"""

from .chunks import ChunkReader, ChunkWriter, encode_chunks
from .client import RtmpClient
from .config import ClientConfig, Enhancements, ServerConfig
from .constants import (
    SHARED_CHUNK_SIZE,
    SHARED_STREAM_ID,
    BandwidthLimit,
    MediaKind,
    MessageType,
    UserControlType,
)
from .events import (
    BufferLengthSet,
    Capabilities,
    ClientEvent,
    Connected,
    ConnectRejected,
    ConnectRequested,
    DataDiscarded,
    DataReceived,
    MediaReceived,
    MetadataReceived,
    PauseRequested,
    PlayEnded,
    PlayRejected,
    PlayRequested,
    PlayStarted,
    PublishAccepted,
    PublishEnded,
    PublishKind,
    PublishRejected,
    PublishRequested,
    ReceiveAudioChanged,
    ReceiveVideoChanged,
    ReconnectRequested,
    SeekRequested,
    ServerEvent,
    StatusReceived,
)
from .handshake import ClientHandshake, HandshakeScheme, ServerHandshake
from .lane import MediaLane, shared_message
from .limits import Limits
from .messages import MediaMessage, Message
from .server import RtmpServer
from .statistics import Statistics
from .url import ResolvedName, StreamAddress, decode_url, resolve

__all__ = [
    "SHARED_CHUNK_SIZE",
    "SHARED_STREAM_ID",
    "BandwidthLimit",
    "BufferLengthSet",
    "Capabilities",
    "ChunkReader",
    "ChunkWriter",
    "ClientConfig",
    "ClientEvent",
    "ClientHandshake",
    "ConnectRejected",
    "ConnectRequested",
    "Connected",
    "DataDiscarded",
    "DataReceived",
    "Enhancements",
    "HandshakeScheme",
    "Limits",
    "MediaKind",
    "MediaLane",
    "MediaMessage",
    "MediaReceived",
    "Message",
    "MessageType",
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
    "ResolvedName",
    "RtmpClient",
    "RtmpServer",
    "SeekRequested",
    "ServerConfig",
    "ServerEvent",
    "ServerHandshake",
    "Statistics",
    "StatusReceived",
    "StreamAddress",
    "UserControlType",
    "decode_url",
    "encode_chunks",
    "resolve",
    "shared_message",
]
