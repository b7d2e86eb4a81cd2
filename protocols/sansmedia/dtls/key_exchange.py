"""Ephemeral Diffie-Hellman over the named groups. Version-neutral."""

from __future__ import annotations

from typing import Protocol

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, x25519

from sansmedia.sansio import Dice, ProtocolError

from .constants import NamedGroup

__all__ = ["CURVES", "EphemeralKey", "derive_curve_key", "make_ephemeral_key"]

CURVES = {
    NamedGroup.SECP256R1: (
        ec.SECP256R1(),
        0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
    ),
    NamedGroup.SECP384R1: (
        ec.SECP384R1(),
        0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973,
    ),
}
"""The curves with points, and the order of each."""


class EphemeralKey(Protocol):
    """One side of an exchange."""

    public_key: bytes
    """As it stands in a message."""

    def exchange(self, peer_key: bytes) -> bytes:
        """Return the shared secret, or raise ProtocolError."""
        ...


def _bad_key() -> ProtocolError:
    return ProtocolError(
        "the public key is none of its group",
        code="illegal_parameter",
        source="RFC 8422 §5.11",
    )


def derive_curve_key(group: NamedGroup, dice: Dice) -> ec.EllipticCurvePrivateKey:
    """Return a private key that the dice alone decide."""
    curve, order = CURVES[group]
    # 64 bits more than the order has, so that no remainder is likelier than another
    # by more than 1 in 2^64.
    drawn = int.from_bytes(dice((order.bit_length() + 7) // 8 + 8), "big")
    return ec.derive_private_key(drawn % (order - 1) + 1, curve)


class _X25519:
    def __init__(self, dice: Dice) -> None:
        self._private = x25519.X25519PrivateKey.from_private_bytes(dice(32))
        self.public_key = self._private.public_key().public_bytes_raw()

    def exchange(self, peer_key: bytes) -> bytes:
        try:
            public = x25519.X25519PublicKey.from_public_bytes(peer_key)
            # Refuses points whose secret would be all zero. RFC 8422 §5.11.
            return self._private.exchange(public)
        except ValueError:
            raise _bad_key() from None


class _Curve:
    def __init__(self, group: NamedGroup, dice: Dice) -> None:
        self._curve, _ = CURVES[group]
        self._private = derive_curve_key(group, dice)
        self.public_key = self._private.public_key().public_bytes(
            serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
        )

    def exchange(self, peer_key: bytes) -> bytes:
        # The uncompressed form is the only one left. RFC 8422 §5.4.1.
        if len(peer_key) != len(self.public_key) or peer_key[0] != 4:
            raise _bad_key()
        try:
            public = ec.EllipticCurvePublicKey.from_encoded_point(self._curve, peer_key)
            return self._private.exchange(ec.ECDH(), public)
        except ValueError:
            raise _bad_key() from None


def make_ephemeral_key(group: NamedGroup, dice: Dice) -> EphemeralKey:
    """Return a fresh key of a group."""
    return _X25519(dice) if group is NamedGroup.X25519 else _Curve(group, dice)
