"""WHIP and WHEP: publishing and watching over WebRTC by a few HTTP requests.

Server: `WhipEndpoint` and `WhepEndpoint` take offers, a `SessionResource` takes what
follows. Client: `WhipClient` and `WhepClient`. Requests and responses are plain
records; HTTP itself is the program's. Beside the machines stand the pure functions
that they are made of, for servers and clients that differ.
"""

from .address import EndpointAddress, decode_address
from .client import WhepClient, WhipClient
from .config import ClientConfig, ClientStatistics, TokenPolicy
from .endpoint import (
    EndpointConfig,
    EndpointStatistics,
    WhepEndpoint,
    WhipEndpoint,
)
from .events import (
    AnswerReceived,
    CandidatesReceived,
    ClientEvent,
    CounterOfferReceived,
    EndpointEvent,
    Established,
    OfferPostponed,
    OfferReceived,
    Redirected,
    ResourceEvent,
    RestartCompleted,
    RestartRefused,
    RestartRequested,
    SessionEnded,
    TrickleRefused,
)
from .header_wire import (
    EntityTags,
    decode_bearer,
    decode_delay,
    decode_entity_tags,
    decode_http_date,
    decode_media_type,
    encode_entity_tag,
    encode_http_date,
)
from .http import ClientRequest, Headers, Request, Response
from .limits import Limits
from .link_wire import (
    IceServer,
    Link,
    decode_ice_servers,
    decode_links,
    encode_link,
    ice_server_link,
)
from .resource import ResourceConfig, SessionResource, peer_credentials
from .responses import (
    FRAGMENT_TYPE,
    SDP_TYPE,
    cors_headers,
    counter_offer_response,
    created_response,
    link_headers,
    options_response,
    problem_response,
    restart_response,
    status_of,
)
from .states import ClientState

__all__ = [
    "FRAGMENT_TYPE",
    "SDP_TYPE",
    "AnswerReceived",
    "CandidatesReceived",
    "ClientConfig",
    "ClientEvent",
    "ClientRequest",
    "ClientState",
    "ClientStatistics",
    "CounterOfferReceived",
    "EndpointAddress",
    "EndpointConfig",
    "EndpointEvent",
    "EndpointStatistics",
    "EntityTags",
    "Established",
    "Headers",
    "IceServer",
    "Limits",
    "Link",
    "OfferPostponed",
    "OfferReceived",
    "Redirected",
    "Request",
    "ResourceConfig",
    "ResourceEvent",
    "Response",
    "RestartCompleted",
    "RestartRefused",
    "RestartRequested",
    "SessionEnded",
    "SessionResource",
    "TokenPolicy",
    "TrickleRefused",
    "WhepClient",
    "WhepEndpoint",
    "WhipClient",
    "WhipEndpoint",
    "cors_headers",
    "counter_offer_response",
    "created_response",
    "decode_address",
    "decode_bearer",
    "decode_delay",
    "decode_entity_tags",
    "decode_http_date",
    "decode_ice_servers",
    "decode_links",
    "decode_media_type",
    "encode_entity_tag",
    "encode_http_date",
    "encode_link",
    "ice_server_link",
    "link_headers",
    "options_response",
    "peer_credentials",
    "problem_response",
    "restart_response",
    "status_of",
]
