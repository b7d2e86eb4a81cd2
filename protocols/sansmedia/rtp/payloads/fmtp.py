"""Format parameters (``a=fmtp``): reading, writing and comparing them.

One frozen class a format, with the defaults of its RFC. `decode_x_fmtp` takes the text
behind the payload type; unknown parameters are passed over, as all these RFCs want it.
`matches` says whether a format of an offer and one of an answer are the same one, as
browsers judge it. H.264 and H.265 have modules of their own.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from typing import Protocol

import attrs

from sansmedia.sansio import ProtocolError

__all__ = [
    "MAX_PARAMETERS",
    "MAX_TEXT",
    "AacFmtp",
    "Av1Fmtp",
    "Fmtp",
    "NoFmtp",
    "OpusFmtp",
    "Vp8Fmtp",
    "Vp9Fmtp",
    "decode_aac_fmtp",
    "decode_av1_fmtp",
    "decode_no_fmtp",
    "decode_opus_fmtp",
    "decode_parameters",
    "decode_vp8_fmtp",
    "decode_vp9_fmtp",
    "encode_parameters",
]

MAX_TEXT = 16_384
"""Characters of one fmtp."""
MAX_PARAMETERS = 64
"""Parameters of one fmtp."""
MAX_SETS = 32
"""Parameter sets in one sprop parameter."""

_SYNTAX = "RFC 8866 §6.15"


class Fmtp(Protocol):
    """The parameters of one format."""

    def encode(self) -> str:
        """Return the text for ``a=fmtp``; defaults are left out."""
        ...

    def matches(self, other: object) -> bool:
        """Tell whether an offer and an answer with these mean one format."""
        ...


def decode_parameters(text: str) -> dict[str, str]:
    """Return the parameters of an fmtp by their names in lower case.

    Of a parameter given twice the first counts; one without value has "".

    Source: RFC 8866 §6.15, RFC 4855 §3.

    Raises:
        ProtocolError: More than `MAX_TEXT` characters or `MAX_PARAMETERS` parameters.
    """
    if len(text) > MAX_TEXT:
        raise ProtocolError("fmtp too long", code="limit", source=_SYNTAX)
    parameters: dict[str, str] = {}
    for item in text.split(";"):
        name, _, value = item.partition("=")
        name = name.strip().lower()
        if name:
            if len(parameters) >= MAX_PARAMETERS:
                raise ProtocolError("too many parameters", code="limit", source=_SYNTAX)
            parameters.setdefault(name, value.strip())
    return parameters


def encode_parameters(parameters: Iterable[tuple[str, object]]) -> str:
    """Return an fmtp; what is None is left out, true is 1, sets are base64.

    Source: RFC 4855 §3.
    """
    items = []
    for name, value in parameters:
        if isinstance(value, tuple):
            text = ",".join(base64.b64encode(unit).decode() for unit in value)
            if not text:
                continue
        elif value is None:
            continue
        else:
            text = str(int(value)) if isinstance(value, bool) else str(value)
        items.append(f"{name}={text}")
    return ";".join(items)


def read_integer(
    parameters: dict[str, str], name: str, default: int, highest: int
) -> int:
    """Return a decimal parameter from 0 to ``highest``.

    Raises:
        ProtocolError: It is no such number.
    """
    text = parameters.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 10):
        raise ProtocolError(f"{name} is no number", source=_SYNTAX)
    value = int(text)
    if value > highest:
        raise ProtocolError(f"{name} is above {highest}", source=_SYNTAX)
    return value


def read_hex(
    parameters: dict[str, str], name: str, octets: int | None = None
) -> bytes | None:
    """Return a parameter in base 16, of that many octets if given.

    Raises:
        ProtocolError: It is not in base 16, or of another length.
    """
    text = parameters.get(name)
    if text is None:
        return None
    try:
        value = binascii.unhexlify(text)
    except ValueError:
        raise ProtocolError(f"{name} is not in base 16", source=_SYNTAX) from None
    if octets is not None and len(value) != octets:
        raise ProtocolError(f"{name} of {len(value)} octets", source=_SYNTAX)
    return value


def read_sets(parameters: dict[str, str], name: str) -> tuple[bytes, ...]:
    """Return the units of a sprop parameter: base64 with commas.

    Raises:
        ProtocolError: Not base64, or more than `MAX_SETS` units.
    """
    text = parameters.get(name, "")
    items = text.split(",")
    if len(items) > MAX_SETS:
        raise ProtocolError(f"too many units in {name}", code="limit", source=_SYNTAX)
    units = []
    for item in items:
        try:
            # Padding is missing at some senders.
            padded = item.strip() + "=" * (-len(item.strip()) % 4)
            unit = base64.b64decode(padded, validate=True)
        except ValueError:
            raise ProtocolError(f"{name} is not base64", source=_SYNTAX) from None
        if unit:
            units.append(unit)
    return tuple(units)


@attrs.frozen
class NoFmtp:
    """A format without parameters that matter: G.711, G.722, MPA."""

    def encode(self) -> str:
        """Return the empty text."""
        return ""

    def matches(self, other: object) -> bool:
        """Tell whether the other has none either."""
        return isinstance(other, NoFmtp)


def decode_no_fmtp(text: str) -> NoFmtp:
    """Pass over whatever is there. Source: RFC 3551 §4.5.

    Raises:
        ProtocolError: Too long.
    """
    decode_parameters(text)
    return NoFmtp()


@attrs.frozen
class Vp8Fmtp:
    """Parameters of VP8 (RFC 7741 §6.1); both only bound what a receiver takes."""

    max_fr: int | None = None
    """Frames a second."""
    max_fs: int | None = None
    """Macroblocks a frame."""

    def encode(self) -> str:
        """Return the text for ``a=fmtp``."""
        return encode_parameters((("max-fr", self.max_fr), ("max-fs", self.max_fs)))

    def matches(self, other: object) -> bool:
        """Tell whether both are VP8. Source: RFC 7741 §6.2.2."""
        return isinstance(other, Vp8Fmtp)


def _bounds(parameters: dict[str, str]) -> tuple[int | None, int | None]:
    rate = read_integer(parameters, "max-fr", -1, 0xFFFFFFFF)
    size = read_integer(parameters, "max-fs", -1, 0xFFFFFFFF)
    return (None if rate < 0 else rate, None if size < 0 else size)


def decode_vp8_fmtp(text: str) -> Vp8Fmtp:
    """Decode the parameters of VP8.

    Source: RFC 7741 §6.1.

    Raises:
        ProtocolError: A value is no number.
    """
    return Vp8Fmtp(*_bounds(decode_parameters(text)))


@attrs.frozen
class Vp9Fmtp:
    """Parameters of VP9 (RFC 9628 §6)."""

    profile_id: int = 0
    """0: 8 bit 4:2:0, 1: 8 bit others, 2 and 3: the same with more bits."""
    max_fr: int | None = None
    """Frames a second."""
    max_fs: int | None = None
    """Macroblocks a frame."""

    def encode(self) -> str:
        """Return the text for ``a=fmtp``; the profile always, as browsers have it."""
        return encode_parameters(
            (
                ("profile-id", self.profile_id),
                ("max-fr", self.max_fr),
                ("max-fs", self.max_fs),
            )
        )

    def matches(self, other: object) -> bool:
        """Tell whether both have one profile. Source: RFC 9628 §6.1.2."""
        return isinstance(other, Vp9Fmtp) and self.profile_id == other.profile_id


def decode_vp9_fmtp(text: str) -> Vp9Fmtp:
    """Decode the parameters of VP9.

    Source: RFC 9628 §6.

    Raises:
        ProtocolError: A value is no number, or a profile above 3.
    """
    parameters = decode_parameters(text)
    profile = read_integer(parameters, "profile-id", 0, 3)
    return Vp9Fmtp(profile, *_bounds(parameters))


@attrs.frozen
class Av1Fmtp:
    """Parameters of AV1 (AV1-RTP §7.2); what a receiver decodes at the most."""

    profile: int = 0
    level_idx: int = 5
    """5: level 3.1."""
    tier: int = 0

    def encode(self) -> str:
        """Return the text for ``a=fmtp``; all three, as browsers have it."""
        return encode_parameters(
            (
                ("level-idx", self.level_idx),
                ("profile", self.profile),
                ("tier", self.tier),
            )
        )

    def matches(self, other: object) -> bool:
        """Tell whether both have one profile and tier; levels may differ.

        The specification lets profiles differ too; browsers do not.

        Source: AV1-RTP §7.2.3.
        """
        return (
            isinstance(other, Av1Fmtp)
            and self.profile == other.profile
            and self.tier == other.tier
        )


def decode_av1_fmtp(text: str) -> Av1Fmtp:
    """Decode the parameters of AV1.

    Source: AV1-RTP §7.2.

    Raises:
        ProtocolError: A value is no number of its field.
    """
    parameters = decode_parameters(text)
    return Av1Fmtp(
        read_integer(parameters, "profile", 0, 7),
        read_integer(parameters, "level-idx", 5, 31),
        read_integer(parameters, "tier", 0, 1),
    )


@attrs.frozen
class OpusFmtp:
    """Parameters of Opus (RFC 7587 §6.1)."""

    stereo: bool = False
    """The receiver prefers stereo."""
    sprop_stereo: bool = False
    """The sender is likely to send stereo."""
    useinbandfec: bool = False
    usedtx: bool = False
    cbr: bool = False
    minptime: int | None = None
    """Milliseconds."""
    maxaveragebitrate: int | None = None
    """Bits a second."""
    maxplaybackrate: int | None = None
    """Hertz."""

    def encode(self) -> str:
        """Return the text for ``a=fmtp``; what is off or unset is left out."""
        return encode_parameters(
            (
                ("minptime", self.minptime),
                ("useinbandfec", self.useinbandfec or None),
                ("stereo", self.stereo or None),
                ("sprop-stereo", self.sprop_stereo or None),
                ("usedtx", self.usedtx or None),
                ("cbr", self.cbr or None),
                ("maxaveragebitrate", self.maxaveragebitrate),
                ("maxplaybackrate", self.maxplaybackrate),
            )
        )

    def matches(self, other: object) -> bool:
        """Tell whether both are Opus: every parameter is one-sided.

        Source: RFC 7587 §7.1.
        """
        return isinstance(other, OpusFmtp)


def decode_opus_fmtp(text: str) -> OpusFmtp:
    """Decode the parameters of Opus.

    Source: RFC 7587 §6.1.

    Raises:
        ProtocolError: A value is no number, or a flag neither 0 nor 1.
    """
    parameters = decode_parameters(text)

    def flag(name: str) -> bool:
        return bool(read_integer(parameters, name, 0, 1))

    def number(name: str) -> int | None:
        value = read_integer(parameters, name, -1, 0xFFFFFFFF)
        return None if value < 0 else value

    return OpusFmtp(
        flag("stereo"),
        flag("sprop-stereo"),
        flag("useinbandfec"),
        flag("usedtx"),
        flag("cbr"),
        number("minptime"),
        number("maxaveragebitrate"),
        number("maxplaybackrate"),
    )


@attrs.frozen
class AacFmtp:
    """Parameters of AAC in mode AAC-hbr (RFC 3640 §4.1)."""

    config: bytes = b""
    """AudioSpecificConfig; empty if it was not told."""
    profile_level_id: int = 1
    """1: Main Audio Profile Level 1; 15 and 16 are what most write for AAC-LC."""
    size_length: int = 13
    index_length: int = 3
    index_delta_length: int = 3
    mode: str = "AAC-hbr"

    def encode(self) -> str:
        """Return the text for ``a=fmtp``."""
        return encode_parameters(
            (
                ("streamtype", 5),
                ("profile-level-id", self.profile_level_id),
                ("mode", self.mode),
                ("sizelength", self.size_length),
                ("indexlength", self.index_length),
                ("indexdeltalength", self.index_delta_length),
                ("config", self.config.hex() or None),
            )
        )

    @property
    def is_supported(self) -> bool:
        """Tell whether `sansmedia.rtp.payloads.aac` reads it: AAC-hbr's widths."""
        return (
            self.mode.lower() == "aac-hbr"
            and self.size_length == 13
            and self.index_length == self.index_delta_length == 3
        )

    def matches(self, other: object) -> bool:
        """Tell whether both are AAC-hbr; the config is the sender's. RFC 3640 §4.1."""
        return isinstance(other, AacFmtp) and self.is_supported and other.is_supported


def decode_aac_fmtp(text: str) -> AacFmtp:
    """Decode the parameters of AAC.

    Source: RFC 3640 §4.1.

    Raises:
        ProtocolError: A value is no number, or the config is not in base 16.
    """
    parameters = decode_parameters(text)
    return AacFmtp(
        read_hex(parameters, "config") or b"",
        read_integer(parameters, "profile-level-id", 1, 255),
        read_integer(parameters, "sizelength", 0, 32),
        read_integer(parameters, "indexlength", 0, 32),
        read_integer(parameters, "indexdeltalength", 0, 32),
        parameters.get("mode", ""),
    )
