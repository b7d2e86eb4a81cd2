"""STUN messages, whole: RFC 8489 and the attributes of ICE. Pure functions.

`decode_message` and `encode_message` take care of header, padding, integrity and
fingerprint; the values of single attributes have functions of their own. There are no
transactions here: whoever sends requests knows when to repeat them.
"""

from .attributes import (
    Address,
    ErrorReason,
    PasswordAlgorithmEntry,
    decode_address,
    decode_error_code,
    decode_password_algorithms,
    decode_text,
    decode_u32,
    decode_u64,
    decode_unknown_attributes,
    decode_xor_address,
    encode_address,
    encode_error_code,
    encode_password_algorithms,
    encode_unknown_attributes,
    encode_xor_address,
)
from .constants import (
    MAGIC_COOKIE,
    AttributeType,
    ErrorCode,
    MessageClass,
    Method,
    PasswordAlgorithm,
)
from .credentials import (
    PASSWORD_ALGORITHMS_FEATURE,
    USERNAME_ANONYMITY_FEATURE,
    encode_nonce_cookie,
    long_term_key,
    opaque_string,
    security_features,
    userhash,
)
from .message import (
    Message,
    binding_request,
    check_integrity,
    check_integrity_sha256,
    decode_message,
    encode_message,
    is_stun,
    response_to,
    unknown_attributes,
)

__all__ = [
    "MAGIC_COOKIE",
    "PASSWORD_ALGORITHMS_FEATURE",
    "USERNAME_ANONYMITY_FEATURE",
    "Address",
    "AttributeType",
    "ErrorCode",
    "ErrorReason",
    "Message",
    "MessageClass",
    "Method",
    "PasswordAlgorithm",
    "PasswordAlgorithmEntry",
    "binding_request",
    "check_integrity",
    "check_integrity_sha256",
    "decode_address",
    "decode_error_code",
    "decode_message",
    "decode_password_algorithms",
    "decode_text",
    "decode_u32",
    "decode_u64",
    "decode_unknown_attributes",
    "decode_xor_address",
    "encode_address",
    "encode_error_code",
    "encode_message",
    "encode_nonce_cookie",
    "encode_password_algorithms",
    "encode_unknown_attributes",
    "encode_xor_address",
    "is_stun",
    "long_term_key",
    "opaque_string",
    "response_to",
    "security_features",
    "unknown_attributes",
    "userhash",
]
