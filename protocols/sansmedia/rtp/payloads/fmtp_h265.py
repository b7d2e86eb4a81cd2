"""Format parameters of H.265."""

from __future__ import annotations

import attrs

from sansmedia.sansio import ProtocolError

from .fmtp import (
    decode_parameters,
    encode_parameters,
    read_hex,
    read_integer,
    read_sets,
)

__all__ = ["H265Fmtp", "decode_h265_fmtp"]


@attrs.frozen
class H265Fmtp:
    """Parameters of H.265 (RFC 7798 §7.1)."""

    profile_space: int = 0
    profile_id: int = 1
    """1: Main, 2: Main 10."""
    tier_flag: int = 0
    level_id: int = 93
    """Thirty times the level; 93 is 3.1."""
    tx_mode: str = "SRST"
    """SRST: all layers in one stream, the one mode that browsers speak."""
    interop_constraints: bytes | None = None
    """6 octets."""
    sprop_vps: tuple[bytes, ...] = ()
    sprop_sps: tuple[bytes, ...] = ()
    sprop_pps: tuple[bytes, ...] = ()

    @property
    def parameter_sets(self) -> tuple[bytes, ...]:
        """VPS, SPS and PPS that the sender will use."""
        return self.sprop_vps + self.sprop_sps + self.sprop_pps

    def encode(self) -> str:
        """Return the text for ``a=fmtp``, in the order in which browsers write it."""
        constraints = self.interop_constraints
        return encode_parameters(
            (
                ("level-id", self.level_id),
                ("profile-id", self.profile_id),
                ("profile-space", self.profile_space or None),
                ("tier-flag", self.tier_flag),
                ("tx-mode", self.tx_mode),
                ("interop-constraints", constraints.hex() if constraints else None),
                ("sprop-vps", self.sprop_vps),
                ("sprop-sps", self.sprop_sps),
                ("sprop-pps", self.sprop_pps),
            )
        )

    def matches(self, other: object) -> bool:
        """Tell whether offer and answer mean one format; levels may differ.

        The RFC asks for the same interop-constraints too; browsers send none.

        Source: RFC 7798 §7.2.2.
        """
        return (
            isinstance(other, H265Fmtp)
            and self.profile_space == other.profile_space
            and self.profile_id == other.profile_id
            and self.tier_flag == other.tier_flag
            and self.tx_mode == other.tx_mode
        )

    def can_decode(self, stream: H265Fmtp) -> bool:
        """Tell whether a receiver with these parameters decodes a stream of those.

        By profile and tier: a Main stream for a Main 10 receiver.

        Source: H.265 §A.3.3.
        """
        return (
            self.profile_space == stream.profile_space
            and self.tier_flag >= stream.tier_flag
            and (
                self.profile_id == stream.profile_id
                or (self.profile_id, stream.profile_id) == (2, 1)
            )
        )


def decode_h265_fmtp(text: str) -> H265Fmtp:
    """Decode the parameters of H.265.

    Source: RFC 7798 §7.1.

    Raises:
        ProtocolError: A value is not in its form.
    """
    parameters = decode_parameters(text)
    sets: list[tuple[bytes, ...]] = []
    for name in ("sprop-vps", "sprop-sps", "sprop-pps"):
        try:
            sets.append(read_sets(parameters, name))
        except ProtocolError:
            # Advice that comes in the stream again.
            sets.append(())
    return H265Fmtp(
        read_integer(parameters, "profile-space", 0, 3),
        read_integer(parameters, "profile-id", 1, 31),
        read_integer(parameters, "tier-flag", 0, 1),
        read_integer(parameters, "level-id", 93, 255),
        parameters.get("tx-mode", "SRST").upper(),
        read_hex(parameters, "interop-constraints", 6),
        *sets,
    )
