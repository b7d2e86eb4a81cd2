"""Feedback about pictures, packets and rates.

Source: RFC 4585 §6.1, draft-alvestrand-rmcat-remb-03 §2.2.
"""

from __future__ import annotations

import struct
from typing import Final

import attrs

from sansmedia.sansio import ProtocolError, Reader, UsageError, Writer

from .rtcp_reports import packet, require_words

__all__ = [
    "FullIntraRequest",
    "Nack",
    "PictureLossIndication",
    "ReceiverEstimatedMaxBitrate",
    "ReferencePictureSelection",
    "SliceLossIndication",
    "TemporaryMaxBitrate",
    "TemporaryMaxBitrateNotification",
    "TemporaryMaxBitrateRequest",
]

TRANSPORT_FEEDBACK: Final = 205
PAYLOAD_FEEDBACK: Final = 206

NACK: Final = 1
TMMBR: Final = 3
TMMBN: Final = 4
PLI: Final = 1
SLI: Final = 2
RPSI: Final = 3
FIR: Final = 4
AFB: Final = 15

_REMB: Final = b"REMB"

# RFC 4585 §6.1:  |          SSRC of packet sender        |
#                 |          SSRC of media source         |
#                 :  feedback control information (FCI)   :
_SSRCS: Final = struct.Struct(">II")
_PAIR: Final = struct.Struct(">HH")
_ENTRY: Final = struct.Struct(">II")


@attrs.define
class Nack:
    """Packets that did not come (generic NACK). Source: RFC 4585 §6.2.1."""

    sender_ssrc: int
    media_ssrc: int
    sequences: list[int]
    """16 bits each, in the order of sending."""


@attrs.define
class PictureLossIndication:
    """Pictures cannot be decoded: please a key frame. Source: RFC 4585 §6.3.1."""

    sender_ssrc: int
    media_ssrc: int


@attrs.define
class SliceLossIndication:
    """Macroblocks that were lost. Source: RFC 4585 §6.3.2."""

    sender_ssrc: int
    media_ssrc: int
    slices: list[tuple[int, int, int]]
    """First macroblock (13 bits), how many (13 bits), picture id (6 bits)."""


@attrs.define
class ReferencePictureSelection:
    """Which picture to refer to, in the codec's own words. Source: RFC 4585 §6.3.3."""

    sender_ssrc: int
    media_ssrc: int
    payload_type: int
    """7 bits."""
    bits: bytes
    """The codec's bit string with its padding bits."""
    padding_bits: int = 0
    """How many bits of its last octet are padding."""


@attrs.define
class FullIntraRequest:
    """A decoder refresh is needed, whatever was lost. Source: RFC 5104 §4.3.1.1."""

    sender_ssrc: int
    requests: list[tuple[int, int]]
    """Media source, and a sequence number (8 bits) that repeats with the request."""


@attrs.define
class TemporaryMaxBitrate:
    """One bound on a sender's rate. Source: RFC 5104 §4.2.1.1."""

    ssrc: int
    bitrate_bps: int
    overhead: int = 0
    """Octets of headers a packet, 9 bits."""


@attrs.define
class TemporaryMaxBitrateRequest:
    """TMMBR: please send no more than that. Source: RFC 5104 §4.2.1.1."""

    sender_ssrc: int
    entries: list[TemporaryMaxBitrate]


@attrs.define
class TemporaryMaxBitrateNotification:
    """TMMBN: what bounds the sender now. Source: RFC 5104 §4.2.2.1."""

    sender_ssrc: int
    entries: list[TemporaryMaxBitrate]


@attrs.define
class ReceiverEstimatedMaxBitrate:
    """REMB: how much may come in all. Source: draft-alvestrand-rmcat-remb-03 §2.2."""

    sender_ssrc: int
    bitrate_bps: int
    """Encoded by 18 bits and an exponent, rounded down."""
    ssrcs: list[int]
    """The sources that share it, up to 255."""


def _split(body: bytes, source: str) -> tuple[int, int, bytes]:
    if len(body) < 8:
        raise ProtocolError("feedback cut short", code="truncated", source=source)
    sender, media = _SSRCS.unpack_from(body)
    return sender, media, body[8:]


def _join(kind: int, fmt: int, sender: int, media: int, fci: bytes) -> bytes:
    try:
        return packet(fmt, kind, _SSRCS.pack(sender, media) + fci)
    except struct.error:
        raise UsageError(f"SSRC {sender:#x} or {media:#x}") from None


def decode_nack(body: bytes) -> Nack:
    """Decode a generic NACK. Source: RFC 4585 §6.2.1."""
    sender, media, fci = _split(body, "RFC 4585 §6.1")
    require_words(fci, 4, "RFC 4585 §6.2.1")
    sequences: list[int] = []
    for first, following in _PAIR.iter_unpack(fci):
        sequences.append(first)
        step = 1
        while following:
            if following & 1:
                sequences.append(first + step & 0xFFFF)
            following >>= 1
            step += 1
    return Nack(sender, media, sequences)


def encode_nack(nack: Nack) -> bytes:
    """Encode a generic NACK. Source: RFC 4585 §6.2.1."""
    pairs: list[list[int]] = []
    for sequence in nack.sequences:
        if pairs:
            distance = sequence - pairs[-1][0] & 0xFFFF
            if 1 <= distance <= 16:
                pairs[-1][1] |= 1 << distance - 1
                continue
        pairs.append([sequence & 0xFFFF, 0])
    fci = b"".join(_PAIR.pack(*pair) for pair in pairs)
    return _join(TRANSPORT_FEEDBACK, NACK, nack.sender_ssrc, nack.media_ssrc, fci)


def decode_pli(body: bytes) -> PictureLossIndication:
    """Decode a PLI. Source: RFC 4585 §6.3.1."""
    sender, media, _ = _split(body, "RFC 4585 §6.3.1")
    return PictureLossIndication(sender, media)


def encode_pli(pli: PictureLossIndication) -> bytes:
    """Encode a PLI. Source: RFC 4585 §6.3.1."""
    return _join(PAYLOAD_FEEDBACK, PLI, pli.sender_ssrc, pli.media_ssrc, b"")


def decode_sli(body: bytes) -> SliceLossIndication:
    """Decode an SLI. Source: RFC 4585 §6.3.2."""
    sender, media, fci = _split(body, "RFC 4585 §6.1")
    require_words(fci, 4, "RFC 4585 §6.3.2")
    reader = Reader(fci)
    slices = []
    while reader.remaining:
        word = reader.u32()
        slices.append((word >> 19, word >> 6 & 0x1FFF, word & 0x3F))
    return SliceLossIndication(sender, media, slices)


def encode_sli(sli: SliceLossIndication) -> bytes:
    """Encode an SLI. Source: RFC 4585 §6.3.2."""
    writer = Writer()
    for first, number, picture in sli.slices:
        if number >> 13 or picture >> 6:
            raise UsageError(f"slice {first}, {number}, {picture}")
        writer.u32(first << 19 | number << 6 | picture)
    fci = writer.getvalue()
    return _join(PAYLOAD_FEEDBACK, SLI, sli.sender_ssrc, sli.media_ssrc, fci)


def decode_rpsi(body: bytes) -> ReferencePictureSelection:
    """Decode an RPSI. Source: RFC 4585 §6.3.3."""
    sender, media, fci = _split(body, "RFC 4585 §6.1")
    reader = Reader(fci, source="RFC 4585 §6.3.3")
    padding_bits, payload_type = reader.u8(), reader.u8() & 0x7F
    bits = reader.rest()
    if padding_bits > 8 * len(bits):
        raise ProtocolError("more padding than bits", source="RFC 4585 §6.3.3")
    whole, padding_bits = divmod(padding_bits, 8)
    bits = bits[: len(bits) - whole]
    return ReferencePictureSelection(sender, media, payload_type, bits, padding_bits)


def encode_rpsi(rpsi: ReferencePictureSelection) -> bytes:
    """Encode an RPSI. Source: RFC 4585 §6.3.3."""
    fill = (-2 - len(rpsi.bits)) % 4
    writer = Writer().u8(rpsi.padding_bits + 8 * fill).u8(rpsi.payload_type & 0x7F)
    fci = writer.put(rpsi.bits).put(bytes(fill)).getvalue()
    return _join(PAYLOAD_FEEDBACK, RPSI, rpsi.sender_ssrc, rpsi.media_ssrc, fci)


def decode_fir(body: bytes) -> FullIntraRequest:
    """Decode a FIR. Source: RFC 5104 §4.3.1.1."""
    sender, _, fci = _split(body, "RFC 4585 §6.1")
    require_words(fci, 8, "RFC 5104 §4.3.1.1")
    requests = [(ssrc, word >> 24) for ssrc, word in _ENTRY.iter_unpack(fci)]
    return FullIntraRequest(sender, requests)


def encode_fir(fir: FullIntraRequest) -> bytes:
    """Encode a FIR. Source: RFC 5104 §4.3.1.1."""
    writer = Writer()
    for ssrc, number in fir.requests:
        writer.u32(ssrc).u32((number & 0xFF) << 24)
    return _join(PAYLOAD_FEEDBACK, FIR, fir.sender_ssrc, 0, writer.getvalue())


def _decode_bitrates(body: bytes) -> tuple[int, list[TemporaryMaxBitrate]]:
    sender, _, fci = _split(body, "RFC 4585 §6.1")
    require_words(fci, 8, "RFC 5104 §4.2.1.1")
    entries = [
        TemporaryMaxBitrate(ssrc, (word >> 9 & 0x1FFFF) << (word >> 26), word & 0x1FF)
        for ssrc, word in _ENTRY.iter_unpack(fci)
    ]
    return sender, entries


def _encode_bitrates(entries: list[TemporaryMaxBitrate]) -> bytes:
    writer = Writer()
    for entry in entries:
        if entry.bitrate_bps < 0 or not 0 <= entry.overhead <= 0x1FF:
            raise UsageError(f"{entry}")
        exponent = max(0, entry.bitrate_bps.bit_length() - 17)
        mantissa = entry.bitrate_bps >> exponent
        writer.u32(entry.ssrc).u32(exponent << 26 | mantissa << 9 | entry.overhead)
    return writer.getvalue()


def decode_tmmbr(body: bytes) -> TemporaryMaxBitrateRequest:
    """Decode a TMMBR. Source: RFC 5104 §4.2.1.1."""
    return TemporaryMaxBitrateRequest(*_decode_bitrates(body))


def encode_tmmbr(tmmbr: TemporaryMaxBitrateRequest) -> bytes:
    """Encode a TMMBR; rates are rounded down to 17 bits. Source: RFC 5104 §4.2.1.1."""
    fci = _encode_bitrates(tmmbr.entries)
    return _join(TRANSPORT_FEEDBACK, TMMBR, tmmbr.sender_ssrc, 0, fci)


def decode_tmmbn(body: bytes) -> TemporaryMaxBitrateNotification:
    """Decode a TMMBN. Source: RFC 5104 §4.2.2.1."""
    return TemporaryMaxBitrateNotification(*_decode_bitrates(body))


def encode_tmmbn(tmmbn: TemporaryMaxBitrateNotification) -> bytes:
    """Encode a TMMBN; rates are rounded down to 17 bits. Source: RFC 5104 §4.2.2.1."""
    fci = _encode_bitrates(tmmbn.entries)
    return _join(TRANSPORT_FEEDBACK, TMMBN, tmmbn.sender_ssrc, 0, fci)


def decode_remb(body: bytes) -> ReceiverEstimatedMaxBitrate | None:
    """Decode a REMB, or return None for another application's feedback.

    Source: draft-alvestrand-rmcat-remb-03 §2.2, RFC 4585 §6.4.
    """
    sender, _, fci = _split(body, "RFC 4585 §6.1")
    if fci[:4] != _REMB:
        return None
    reader = Reader(fci[4:], source="draft-alvestrand-rmcat-remb-03 §2.2")
    count, rate = reader.u8(), reader.u24()
    ssrcs = [reader.u32() for _ in range(count)]
    bitrate = (rate & 0x3FFFF) << (rate >> 18)
    return ReceiverEstimatedMaxBitrate(sender, bitrate, ssrcs)


def encode_remb(remb: ReceiverEstimatedMaxBitrate) -> bytes:
    """Encode a REMB. Source: draft-alvestrand-rmcat-remb-03 §2.2."""
    if remb.bitrate_bps < 0:
        raise UsageError(f"a bitrate of {remb.bitrate_bps}")
    exponent = max(0, remb.bitrate_bps.bit_length() - 18)
    mantissa = remb.bitrate_bps >> exponent
    writer = Writer().put(_REMB).u8(len(remb.ssrcs)).u24(exponent << 18 | mantissa)
    for ssrc in remb.ssrcs:
        writer.u32(ssrc)
    return _join(PAYLOAD_FEEDBACK, AFB, remb.sender_ssrc, 0, writer.getvalue())
