"""SDP: session descriptions, trickled fragments, offer and answer.

Three layers, each usable alone: `decode_session` and `encode_session` (text and
records), `decode_fragment` and `encode_fragment` (trickled ICE candidates), and
`make_answer`, `make_offer`, `apply_answer` for endpoints that only send or only
receive. Everything here is a pure function or a frozen record.
"""

from .answer import make_answer
from .capabilities import (
    MID_EXTENSION,
    REPAIRED_RID_EXTENSION,
    RID_EXTENSION,
    Capabilities,
    CodecChoice,
    CodecMatcher,
    SendSource,
)
from .description import MediaDescription, SessionDescription, Transport
from .fragment import (
    Fragment,
    FragmentSection,
    decode_fragment,
    encode_fragment,
    make_fragment,
)
from .limits import Limits
from .negotiated import (
    AnswerPlan,
    NegotiatedCodec,
    NegotiatedMedia,
    NegotiatedSession,
    RemoteSource,
)
from .offer import OfferedCodec, OfferedMedia, apply_answer, make_offer
from .records import (
    Attribute,
    Bandwidth,
    Direction,
    ExtMap,
    Fingerprint,
    Group,
    Msid,
    MsidSemantic,
    Origin,
    PayloadFormat,
    Rid,
    RidReference,
    Setup,
    Simulcast,
    Source,
    SourceGroup,
    Timing,
)
from .session_wire import decode_session
from .session_writer import encode_session

__all__ = [
    "MID_EXTENSION",
    "REPAIRED_RID_EXTENSION",
    "RID_EXTENSION",
    "AnswerPlan",
    "Attribute",
    "Bandwidth",
    "Capabilities",
    "CodecChoice",
    "CodecMatcher",
    "Direction",
    "ExtMap",
    "Fingerprint",
    "Fragment",
    "FragmentSection",
    "Group",
    "Limits",
    "MediaDescription",
    "Msid",
    "MsidSemantic",
    "NegotiatedCodec",
    "NegotiatedMedia",
    "NegotiatedSession",
    "OfferedCodec",
    "OfferedMedia",
    "Origin",
    "PayloadFormat",
    "RemoteSource",
    "Rid",
    "RidReference",
    "SendSource",
    "SessionDescription",
    "Setup",
    "Simulcast",
    "Source",
    "SourceGroup",
    "Timing",
    "Transport",
    "apply_answer",
    "decode_fragment",
    "decode_session",
    "encode_fragment",
    "encode_session",
    "make_answer",
    "make_fragment",
    "make_offer",
]
