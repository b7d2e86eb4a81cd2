"""The numbers of DTLS 1.2, by the names that the registries give them."""

from __future__ import annotations

import enum

import attrs

__all__ = [
    "DTLS_1_0",
    "DTLS_1_2",
    "EMPTY_RENEGOTIATION_INFO_SCSV",
    "MAX_PLAINTEXT",
    "AlertDescription",
    "AlertLevel",
    "CipherSuite",
    "ClientCertificateType",
    "ContentType",
    "ExtensionType",
    "HandshakeType",
    "NamedGroup",
    "Role",
    "SignatureScheme",
    "SrtpProfile",
]

DTLS_1_0 = 0xFEFF
"""The version that a first ClientHello's record and a HelloVerifyRequest carry."""
DTLS_1_2 = 0xFEFD
"""Versions count downwards. Source: RFC 6347 §4.1."""
MAX_PLAINTEXT = 1 << 14
"""Octets of the largest record's content. Source: RFC 5246 §6.2.1."""
EMPTY_RENEGOTIATION_INFO_SCSV = 0x00FF
"""A suite that says what an empty renegotiation_info does. Source: RFC 5746 §3.3."""


class Role(enum.Enum):
    """Which side of the handshake: ``a=setup:active`` is the client."""

    CLIENT = "client"
    SERVER = "server"


class ContentType(enum.IntEnum):
    """What a record carries. Source: RFC 5246 §6.2.1."""

    CHANGE_CIPHER_SPEC = 20
    ALERT = 21
    HANDSHAKE = 22
    APPLICATION_DATA = 23


class HandshakeType(enum.IntEnum):
    """What a handshake message is. Source: RFC 6347 §4.3.2."""

    HELLO_REQUEST = 0
    CLIENT_HELLO = 1
    SERVER_HELLO = 2
    HELLO_VERIFY_REQUEST = 3
    CERTIFICATE = 11
    SERVER_KEY_EXCHANGE = 12
    CERTIFICATE_REQUEST = 13
    SERVER_HELLO_DONE = 14
    CERTIFICATE_VERIFY = 15
    CLIENT_KEY_EXCHANGE = 16
    FINISHED = 20


class AlertLevel(enum.IntEnum):
    """How bad an alert is. Source: RFC 5246 §7.2."""

    WARNING = 1
    FATAL = 2


class AlertDescription(enum.IntEnum):
    """What an alert says. Source: RFC 5246 §7.2, RFC 7301 §3.2."""

    CLOSE_NOTIFY = 0
    UNEXPECTED_MESSAGE = 10
    BAD_RECORD_MAC = 20
    RECORD_OVERFLOW = 22
    HANDSHAKE_FAILURE = 40
    BAD_CERTIFICATE = 42
    UNSUPPORTED_CERTIFICATE = 43
    CERTIFICATE_REVOKED = 44
    CERTIFICATE_EXPIRED = 45
    CERTIFICATE_UNKNOWN = 46
    ILLEGAL_PARAMETER = 47
    UNKNOWN_CA = 48
    ACCESS_DENIED = 49
    DECODE_ERROR = 50
    DECRYPT_ERROR = 51
    PROTOCOL_VERSION = 70
    INSUFFICIENT_SECURITY = 71
    INTERNAL_ERROR = 80
    INAPPROPRIATE_FALLBACK = 86
    USER_CANCELED = 90
    NO_RENEGOTIATION = 100
    UNSUPPORTED_EXTENSION = 110
    UNRECOGNIZED_NAME = 112
    NO_APPLICATION_PROTOCOL = 120


class ExtensionType(enum.IntEnum):
    """Extensions that this library reads; all others are ignored."""

    SUPPORTED_GROUPS = 10
    EC_POINT_FORMATS = 11
    SIGNATURE_ALGORITHMS = 13
    USE_SRTP = 14
    APPLICATION_LAYER_PROTOCOL_NEGOTIATION = 16
    EXTENDED_MASTER_SECRET = 23
    SUPPORTED_VERSIONS = 43
    RENEGOTIATION_INFO = 0xFF01


class NamedGroup(enum.IntEnum):
    """Groups of the key exchange. Source: RFC 8422 §5.1.1."""

    SECP256R1 = 23
    SECP384R1 = 24
    X25519 = 29


class ClientCertificateType(enum.IntEnum):
    """Kinds of certificate that a server asks for. Source: RFC 8422 §5.5."""

    RSA_SIGN = 1
    ECDSA_SIGN = 64


class SignatureScheme(enum.IntEnum):
    """Signatures, as TLS 1.3 names them; the octets are those of TLS 1.2.

    Source: RFC 5246 §7.4.1.4.1, RFC 8446 §4.2.3.
    """

    RSA_PKCS1_SHA256 = 0x0401
    RSA_PKCS1_SHA384 = 0x0501
    RSA_PKCS1_SHA512 = 0x0601
    ECDSA_SECP256R1_SHA256 = 0x0403
    ECDSA_SECP384R1_SHA384 = 0x0503
    RSA_PSS_RSAE_SHA256 = 0x0804
    RSA_PSS_RSAE_SHA384 = 0x0805
    RSA_PSS_RSAE_SHA512 = 0x0806


class CipherSuite(enum.IntEnum):
    """Suites with ephemeral keys and authenticated encryption.

    Source: RFC 5289 §3.2, RFC 7905 §2.
    """

    ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 = 0xC02B
    ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 = 0xC02C
    ECDHE_RSA_WITH_AES_128_GCM_SHA256 = 0xC02F
    ECDHE_RSA_WITH_AES_256_GCM_SHA384 = 0xC030
    ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 = 0xCCA8
    ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 = 0xCCA9


@attrs.frozen
class _ProfileSizes:
    key: int
    salt: int


class SrtpProfile(enum.IntEnum):
    """Protection profiles of SRTP. Source: RFC 5764 §4.1.2, RFC 7714 §14.2."""

    AES128_CM_HMAC_SHA1_80 = 0x0001
    AES128_CM_HMAC_SHA1_32 = 0x0002
    AEAD_AES_128_GCM = 0x0007
    AEAD_AES_256_GCM = 0x0008

    @property
    def key_size(self) -> int:
        """Octets of a master key. Source: RFC 7714 §12."""
        return _PROFILE_SIZES[self].key

    @property
    def salt_size(self) -> int:
        """Octets of a master salt: 14, or 12 for the AEAD profiles."""
        return _PROFILE_SIZES[self].salt


_PROFILE_SIZES = {
    SrtpProfile.AES128_CM_HMAC_SHA1_80: _ProfileSizes(16, 14),
    SrtpProfile.AES128_CM_HMAC_SHA1_32: _ProfileSizes(16, 14),
    SrtpProfile.AEAD_AES_128_GCM: _ProfileSizes(16, 12),
    SrtpProfile.AEAD_AES_256_GCM: _ProfileSizes(32, 12),
}
