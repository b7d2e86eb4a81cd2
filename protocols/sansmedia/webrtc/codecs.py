"""Which formats of an offer fit: what a media server takes, and what it has to send."""

from __future__ import annotations

from collections.abc import Sequence

from sansmedia.codecs import Codec
from sansmedia.rtp.payloads import H264Fmtp, decode_h264_fmtp, payload_format
from sansmedia.rtp.payloads.fmtp import Fmtp
from sansmedia.sansio import ProtocolError
from sansmedia.sdp import CodecChoice, CodecMatcher, NegotiatedCodec, NegotiatedMedia

__all__ = ["any_codec", "codec_of", "fitting_codec"]

_PREFERRED = (
    Codec.H264,
    Codec.VP8,
    Codec.VP9,
    Codec.AV1,
    Codec.H265,
    Codec.OPUS,
    Codec.PCM_ALAW,
    Codec.PCM_MULAW,
    Codec.G722,
)


def codec_of(encoding: str) -> Codec | None:
    """Return the codec of an encoding name; None if it is not one of WebRTC's."""
    format = payload_format(encoding)
    if format is None or format.codec not in _PREFERRED:
        return None
    return format.codec


def any_codec(first: Sequence[Codec] = ()) -> CodecMatcher:
    """Return a judge that takes every format that we can read.

    Args:
        first: Codecs to prefer, best first; the others stay in the offer's order.
    """

    def match(
        kind: str, encoding: str, clock_rate: int, channels: int, fmtp: str
    ) -> CodecChoice | bool:
        format = payload_format(encoding)
        codec = codec_of(encoding)
        if format is None or codec is None or codec.is_video != (kind == "video"):
            return False
        if format.clock_rate is not None and format.clock_rate != clock_rate:
            return False
        try:
            parameters = format.decode_fmtp(fmtp)
        except ProtocolError:
            return False
        score = 1.0
        if codec in first:
            score += 10.0 * (len(first) - first.index(codec))
        if isinstance(parameters, H264Fmtp):
            if parameters.packetization_mode > 1:
                return False
            # Mode 0 has no fragments: a slice must fit a packet.
            score -= 0.5 * (1 - parameters.packetization_mode)
        return CodecChoice(score)

    return match


def fitting_codec(
    media: NegotiatedMedia, codec: Codec, stream: Fmtp | None = None
) -> NegotiatedCodec | None:
    """Return the negotiated format under which to send a track; None if none fits.

    One whose parameters cannot be read fits nothing.

    Args:
        media: The section.
        codec: The track's.
        stream: The track's parameters, to choose among several of H.264. Browsers
            decode more than they list, so one that does not fit well is still better
            than none.
    """
    best: tuple[float, NegotiatedCodec] | None = None
    for candidate in media.codecs:
        format = payload_format(candidate.encoding)
        if format is None or format.codec is not codec:
            continue
        score = 0.0
        if codec is Codec.H264:
            try:
                theirs = decode_h264_fmtp(candidate.fmtp)
            except ProtocolError:
                continue
            score = 2.0 * theirs.packetization_mode
            if isinstance(stream, H264Fmtp):
                score += theirs.can_decode(stream)
        if best is None or score > best[0]:
            best = score, candidate
    return None if best is None else best[1]
