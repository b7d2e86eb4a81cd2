"""Format parameters of H.264: profiles, levels, and who understands whom."""

from __future__ import annotations

import enum
from typing import Final

import attrs

from sansmedia.sansio import ProtocolError

from .fmtp import (
    decode_parameters,
    encode_parameters,
    read_hex,
    read_integer,
    read_sets,
)

__all__ = ["H264Fmtp", "H264Profile", "decode_h264_fmtp"]


class H264Profile(enum.Enum):
    """What profile_idc and profile-iop mean together (RFC 6184 Table 5)."""

    CONSTRAINED_BASELINE = "Constrained Baseline"
    BASELINE = "Baseline"
    MAIN = "Main"
    EXTENDED = "Extended"
    CONSTRAINED_HIGH = "Constrained High"
    HIGH = "High"
    HIGH_10 = "High 10"
    HIGH_422 = "High 4:2:2"
    HIGH_444 = "High 4:4:4 Predictive"
    HIGH_10_INTRA = "High 10 Intra"
    HIGH_422_INTRA = "High 4:2:2 Intra"
    HIGH_444_INTRA = "High 4:4:4 Intra"
    CAVLC_444_INTRA = "CAVLC 4:4:4 Intra"


_P = H264Profile
# profile_idc, the bits of profile-iop that matter, and what they have to be. The first
# row that fits counts.
_PATTERNS: Final = (
    (0x42, 0b0100_1111, 0b0100_0000, _P.CONSTRAINED_BASELINE),
    (0x4D, 0b1000_1111, 0b1000_0000, _P.CONSTRAINED_BASELINE),
    (0x58, 0b1100_1111, 0b1100_0000, _P.CONSTRAINED_BASELINE),
    (0x42, 0b0100_1111, 0b0000_0000, _P.BASELINE),
    (0x58, 0b1100_1111, 0b1000_0000, _P.BASELINE),
    (0x4D, 0b1010_1111, 0b0000_0000, _P.MAIN),
    (0x58, 0b1100_1111, 0b0000_0000, _P.EXTENDED),
    (0x64, 0b1111_1111, 0b0000_0000, _P.HIGH),
    # constraint_set4 and 5, which RFC 6184 does not know yet: no fields, no B slices.
    (0x64, 0b1111_1111, 0b0000_1100, _P.CONSTRAINED_HIGH),
    (0x6E, 0b1111_1111, 0b0000_0000, _P.HIGH_10),
    (0x7A, 0b1111_1111, 0b0000_0000, _P.HIGH_422),
    (0xF4, 0b1111_1111, 0b0000_0000, _P.HIGH_444),
    (0x6E, 0b1111_1111, 0b0001_0000, _P.HIGH_10_INTRA),
    (0x7A, 0b1111_1111, 0b0001_0000, _P.HIGH_422_INTRA),
    (0xF4, 0b1111_1111, 0b0001_0000, _P.HIGH_444_INTRA),
    (0x44, 0b1111_1111, 0b0001_0000, _P.CAVLC_444_INTRA),
)
# Profiles whose decoders read every stream of the key's profile (H.264 Annex A.2).
_READ_BY: Final = {
    _P.CONSTRAINED_BASELINE: {
        *(_P.BASELINE, _P.MAIN, _P.EXTENDED, _P.CONSTRAINED_HIGH, _P.HIGH),
        *(_P.HIGH_10, _P.HIGH_422, _P.HIGH_444),
    },
    _P.BASELINE: {_P.EXTENDED},
    _P.MAIN: {_P.HIGH, _P.HIGH_10, _P.HIGH_422, _P.HIGH_444},
    _P.CONSTRAINED_HIGH: {_P.HIGH, _P.HIGH_10, _P.HIGH_422, _P.HIGH_444},
    _P.HIGH: {_P.HIGH_10, _P.HIGH_422, _P.HIGH_444},
    _P.HIGH_10: {_P.HIGH_422, _P.HIGH_444},
    _P.HIGH_422: {_P.HIGH_444},
}
_LEVEL_1B: Final = 10.5
"""Its place between 1 and 1.1, ten times as the others."""


@attrs.frozen
class H264Fmtp:
    """Parameters of H.264 (RFC 6184 §8.1)."""

    profile_level_id: int = 0x42E01F
    """24 bits: profile_idc, profile-iop, level_idc.

    The RFC infers 0x42000A where it is missing, and level 1 is 128 by 96 samples;
    nobody means that. libwebrtc's choice: Constrained Baseline, level 3.1.
    """
    packetization_mode: int = 0
    level_asymmetry_allowed: bool = False
    sprop_parameter_sets: tuple[bytes, ...] = ()
    """SPS and PPS that the sender will use."""

    @property
    def profile(self) -> H264Profile | None:
        """The profile by RFC 6184 Table 5, or None for one that it does not know."""
        profile_idc, iop = self.profile_level_id >> 16, self.profile_level_id >> 8 & 255
        for idc, mask, value, profile in _PATTERNS:
            if profile_idc == idc and iop & mask == value:
                return profile
        return None

    @property
    def level(self) -> float:
        """Ten times the level, to compare: 31 for 3.1, 10.5 for 1b.

        Source: H.264 §A.3.1.
        """
        level_idc = self.profile_level_id & 0xFF
        old = self.profile_level_id >> 16 in (0x42, 0x4D, 0x58)
        if level_idc == 9 or (old and level_idc == 11 and self._constraint_set3):
            return _LEVEL_1B
        return level_idc

    @property
    def _constraint_set3(self) -> bool:
        return bool(self.profile_level_id & 0x1000)

    def encode(self) -> str:
        """Return the text for ``a=fmtp``, in the order in which browsers write it."""
        return encode_parameters(
            (
                ("level-asymmetry-allowed", self.level_asymmetry_allowed or None),
                ("packetization-mode", self.packetization_mode),
                ("profile-level-id", f"{self.profile_level_id:06x}"),
                ("sprop-parameter-sets", self.sprop_parameter_sets),
            )
        )

    def matches(self, other: object) -> bool:
        """Tell whether offer and answer mean one format.

        The profile has to be the same, whatever bits say it (42e01f and 4d801f), and
        so does packetization-mode; levels are negotiated (`answer`).

        Source: RFC 6184 §8.2.2.
        """
        if not isinstance(other, H264Fmtp):
            return False
        if self.packetization_mode != other.packetization_mode:
            return False
        if self.profile is None or other.profile is None:
            return self.profile_level_id >> 8 == other.profile_level_id >> 8
        return self.profile is other.profile

    def answer(self, offer: H264Fmtp) -> H264Fmtp:
        """Return what to answer to an offer that matches these parameters of ours.

        Our profile and mode; our level if both sides allow asymmetry, else the lower
        one of both.

        Source: RFC 6184 §8.2.2.
        """
        asymmetric = self.level_asymmetry_allowed and offer.level_asymmetry_allowed
        if asymmetric or self.level <= offer.level:
            return attrs.evolve(self, level_asymmetry_allowed=asymmetric)
        level_idc = offer.profile_level_id & 0xFF
        identifier = self.profile_level_id & ~0xFF | level_idc
        if self.profile_level_id >> 16 in (0x42, 0x4D, 0x58):
            # Level 1b is level_idc 11 with constraint_set3 in these, 9 in others.
            identifier &= ~0x1000
            if offer.level == _LEVEL_1B:
                identifier = identifier & ~0xFF | 0x1000 | 11
        elif offer.level == _LEVEL_1B:
            identifier = identifier & ~0xFF | 9
        return attrs.evolve(
            self, profile_level_id=identifier, level_asymmetry_allowed=False
        )

    def can_decode(self, stream: H264Fmtp) -> bool:
        """Tell whether a receiver with these parameters decodes a stream of those.

        By profile alone: a Main stream for a High receiver. Levels are left out, as
        browsers declare 3.1 and decode far more; compare `level` if it matters.

        Source: H.264 §A.2.
        """
        if self.profile is None or stream.profile is None:
            return self.profile_level_id >> 8 == stream.profile_level_id >> 8
        return self.profile is stream.profile or self.profile in _READ_BY.get(
            stream.profile, ()
        )


def decode_h264_fmtp(text: str) -> H264Fmtp:
    """Decode the parameters of H.264.

    Source: RFC 6184 §8.1.

    Raises:
        ProtocolError: A value is not in its form, or packetization-mode is above 2.
    """
    parameters = decode_parameters(text)
    identifier = read_hex(parameters, "profile-level-id", 3)
    try:
        sets = read_sets(parameters, "sprop-parameter-sets")
    except ProtocolError:
        # Advice that comes in the stream again; some cameras write nonsense here.
        sets = ()
    fmtp = H264Fmtp(
        packetization_mode=read_integer(parameters, "packetization-mode", 0, 2),
        level_asymmetry_allowed=bool(
            read_integer(parameters, "level-asymmetry-allowed", 0, 1)
        ),
        sprop_parameter_sets=sets,
    )
    if identifier is None:
        return fmtp
    return attrs.evolve(fmtp, profile_level_id=int.from_bytes(identifier, "big"))
