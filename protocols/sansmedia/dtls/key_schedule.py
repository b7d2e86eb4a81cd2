"""Secrets of DTLS 1.2: the PRF and all that is made with it. Pure functions."""

from __future__ import annotations

import hmac

import attrs

__all__ = [
    "KeyBlock",
    "export_keying_material",
    "extended_master_secret",
    "key_block",
    "master_secret",
    "prf",
    "verify_data",
]

_MASTER_SECRET_SIZE = 48
_VERIFY_DATA_SIZE = 12


def prf(hash_name: str, secret: bytes, label: bytes, seed: bytes, size: int) -> bytes:
    """Return ``size`` octets of the pseudorandom function. Source: RFC 5246 §5.

    Args:
        hash_name: ``"sha256"`` or ``"sha384"``, by the cipher suite.
        secret: The key.
        label: Says what the output is for.
        seed: Says whose it is.
        size: Octets wanted.
    """
    seed = label + seed
    output = b""
    chained = seed
    while len(output) < size:
        chained = hmac.digest(secret, chained, hash_name)
        output += hmac.digest(secret, chained + seed, hash_name)
    return output[:size]


def master_secret(
    hash_name: str, premaster: bytes, client_random: bytes, server_random: bytes
) -> bytes:
    """Return the master secret of old. Source: RFC 5246 §8.1."""
    seed = client_random + server_random
    return prf(hash_name, premaster, b"master secret", seed, _MASTER_SECRET_SIZE)


def extended_master_secret(
    hash_name: str, premaster: bytes, session_hash: bytes
) -> bytes:
    """Return the master secret that is bound to the handshake. Source: RFC 7627 §4.

    Args:
        hash_name: Of the PRF.
        premaster: What the key exchange gave.
        session_hash: Over all messages up to and with the ClientKeyExchange.
    """
    label = b"extended master secret"
    return prf(hash_name, premaster, label, session_hash, _MASTER_SECRET_SIZE)


@attrs.frozen
class KeyBlock:
    """Keys and write IVs of both directions."""

    client_key: bytes = attrs.field(repr=False)
    server_key: bytes = attrs.field(repr=False)
    client_iv: bytes = attrs.field(repr=False)
    server_iv: bytes = attrs.field(repr=False)


def key_block(
    hash_name: str,
    master: bytes,
    client_random: bytes,
    server_random: bytes,
    key_size: int,
    iv_size: int,
) -> KeyBlock:
    """Return the record keys of an AEAD suite. Source: RFC 5246 §6.3."""
    seed = server_random + client_random
    block = prf(hash_name, master, b"key expansion", seed, 2 * (key_size + iv_size))
    ivs = block[2 * key_size :]
    return KeyBlock(
        block[:key_size], block[key_size : 2 * key_size], ivs[:iv_size], ivs[iv_size:]
    )


def verify_data(
    hash_name: str, master: bytes, transcript_hash: bytes, *, is_client: bool
) -> bytes:
    """Return the body of a Finished. Source: RFC 5246 §7.4.9."""
    label = b"client finished" if is_client else b"server finished"
    return prf(hash_name, master, label, transcript_hash, _VERIFY_DATA_SIZE)


def export_keying_material(
    hash_name: str,
    master: bytes,
    client_random: bytes,
    server_random: bytes,
    label: bytes,
    size: int,
    context: bytes | None = None,
) -> bytes:
    """Return keying material for another protocol. Source: RFC 5705 §4.

    Args:
        hash_name: Of the PRF.
        master: The master secret.
        client_random: Of the ClientHello.
        server_random: Of the ServerHello.
        label: Registered for the protocol that asks.
        size: Octets wanted.
        context: Mixed in; an empty one is not the same as none.
    """
    seed = client_random + server_random
    if context is not None:
        seed += len(context).to_bytes(2, "big") + context
    return prf(hash_name, master, label, seed, size)
