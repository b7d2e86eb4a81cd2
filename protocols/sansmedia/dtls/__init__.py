"""DTLS 1.2, client and server, made for WebRTC.

`DtlsConnection` is all that most programs need: give it a `Certificate`
(`generate_certificate`), the peer's fingerprints, and datagrams; it gives keys for SRTP
and carries data. Below it every layer is of use alone: `record_wire` and `records`,
`fragments`, `hello_wire` and `handshake_wire`, `key_schedule`.
"""

from .certificates import (
    FINGERPRINT_ALGORITHMS,
    Certificate,
    Fingerprint,
    Verification,
    decode_fingerprint,
    fingerprint_of,
    generate_certificate,
)
from .config import DtlsConfig
from .connection import DtlsConnection
from .constants import (
    DTLS_1_2,
    AlertDescription,
    CipherSuite,
    NamedGroup,
    Role,
    SignatureScheme,
    SrtpProfile,
)
from .events import ApplicationDataReceived, DtlsEvent, HandshakeCompleted
from .limits import Limits
from .srtp_keys import SrtpKeys, split_srtp_keys
from .states import State
from .statistics import Statistics

__all__ = [
    "DTLS_1_2",
    "FINGERPRINT_ALGORITHMS",
    "AlertDescription",
    "ApplicationDataReceived",
    "Certificate",
    "CipherSuite",
    "DtlsConfig",
    "DtlsConnection",
    "DtlsEvent",
    "Fingerprint",
    "HandshakeCompleted",
    "Limits",
    "NamedGroup",
    "Role",
    "SignatureScheme",
    "SrtpKeys",
    "SrtpProfile",
    "State",
    "Statistics",
    "Verification",
    "decode_fingerprint",
    "fingerprint_of",
    "generate_certificate",
    "split_srtp_keys",
]
