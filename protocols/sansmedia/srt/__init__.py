"""SRT: secure reliable transport, live and file mode.

`Endpoint` is all that most programs need: one UDP socket that listens, calls and meets,
and carries messages. Below it every layer is of use alone: `Connection` without
handshakes, `negotiation`, `crypto`, the packet filters, and the codecs in the ``_wire``
modules.

Source: draft-sharabayko-srt-01, and libsrt's documents where it is silent.
"""

from .connection import Connection
from .connection_events import (
    BufferDrained,
    ConnectionEvent,
    KeyStateChanged,
    MessagesDropped,
    MessagesReceived,
    PeerErrorReceived,
    ReceivedMessage,
    SendReady,
)
from .constants import CryptoMode, KeyState, Role, TransmissionType
from .crypto import CryptoControl
from .endpoint import Endpoint
from .endpoint_events import (
    Closed,
    ConnectionEstablished,
    ConnectionRejected,
    ConnectionRequested,
    EndpointEvent,
    RequestEnded,
)
from .endpoint_statistics import EndpointStatistics
from .extensions_wire import GroupMembership
from .group import Group
from .group_events import (
    GroupClosed,
    GroupEstablished,
    GroupEvent,
    GroupsEvent,
    GroupType,
    MemberActivated,
    MemberJoined,
    MemberLost,
    MemberRejected,
    MemberSilenced,
    MemberState,
)
from .group_statistics import GroupStatistics, MemberStatistics
from .groups import Groups
from .key_material_wire import KeyCipher
from .limits import Limits
from .negotiated import Negotiated
from .options import SrtOptions
from .packet_filter import FilterConfig, parse_filter
from .rejections import RejectionCode, rejection_text
from .statistics import LinkQuality, Statistics
from .stream_id import AccessMode, AccessRequest, decode_stream_id, encode_stream_id

__all__ = [
    "AccessMode",
    "AccessRequest",
    "BufferDrained",
    "Closed",
    "Connection",
    "ConnectionEstablished",
    "ConnectionEvent",
    "ConnectionRejected",
    "ConnectionRequested",
    "CryptoControl",
    "CryptoMode",
    "Endpoint",
    "EndpointEvent",
    "EndpointStatistics",
    "FilterConfig",
    "Group",
    "GroupClosed",
    "GroupEstablished",
    "GroupEvent",
    "GroupMembership",
    "GroupStatistics",
    "GroupType",
    "Groups",
    "GroupsEvent",
    "KeyCipher",
    "KeyState",
    "KeyStateChanged",
    "Limits",
    "LinkQuality",
    "MemberActivated",
    "MemberJoined",
    "MemberLost",
    "MemberRejected",
    "MemberSilenced",
    "MemberState",
    "MemberStatistics",
    "MessagesDropped",
    "MessagesReceived",
    "Negotiated",
    "PeerErrorReceived",
    "ReceivedMessage",
    "RejectionCode",
    "RequestEnded",
    "Role",
    "SendReady",
    "SrtOptions",
    "Statistics",
    "TransmissionType",
    "decode_stream_id",
    "encode_stream_id",
    "parse_filter",
    "rejection_text",
]
