"""Keys for SRTP out of what the handshake exports."""

from __future__ import annotations

import attrs

from .constants import Role, SrtpProfile

__all__ = ["EXPORTER_LABEL", "SrtpKeys", "exported_size", "split_srtp_keys"]

EXPORTER_LABEL = b"EXTRACTOR-dtls_srtp"
"""Source: RFC 5764 §4.2."""


@attrs.frozen
class SrtpKeys:
    """Master keys and salts of both directions."""

    profile: SrtpProfile
    local_key: bytes = attrs.field(repr=False)
    """Protects what we send."""
    local_salt: bytes = attrs.field(repr=False)
    remote_key: bytes = attrs.field(repr=False)
    """Opens what the peer sends."""
    remote_salt: bytes = attrs.field(repr=False)


def exported_size(profile: SrtpProfile) -> int:
    """Return the octets that a profile asks the exporter for."""
    return 2 * (profile.key_size + profile.salt_size)


def split_srtp_keys(material: bytes, profile: SrtpProfile, role: Role) -> SrtpKeys:
    """Cut exported octets: both keys, then both salts, the client's first.

    Source: RFC 5764 §4.2, RFC 7714 §12.

    Args:
        material: `exported_size` octets.
        profile: What was negotiated.
        role: Our side.
    """
    key, salt = profile.key_size, profile.salt_size
    client = material[:key], material[2 * key : 2 * key + salt]
    server = material[key : 2 * key], material[2 * key + salt : 2 * (key + salt)]
    local, remote = (client, server) if role is Role.CLIENT else (server, client)
    return SrtpKeys(profile, *local, *remote)
