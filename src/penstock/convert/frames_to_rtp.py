"""Frames of one track into RTP payloads, cut so that runs of equal sizes come out."""

from __future__ import annotations

from sansmedia.codecs import Codec
from sansmedia.codecs.h264 import decode_avcc
from sansmedia.codecs.h265 import decode_hvcc
from sansmedia.codecs.nal import join_length_prefixed, split_length_prefixed
from sansmedia.rtp.payloads import (
    H264Packetiser,
    H265Packetiser,
    Packetiser,
    PayloadFormat,
    payload_format,
)
from sansmedia.sansio import ProtocolError

from penstock import log
from penstock.media import Frame, Track

__all__ = ["MAX_PAYLOAD", "TrackPacketiser", "format_of", "packetiser_for"]

MAX_PAYLOAD = 1_160
"""Octets of a payload: with RTP's header, an SRTP tag, RTX's two octets and UDP's
headers the datagram stays below 1,232, which every IPv6 path carries."""

_ENCODINGS = {
    Codec.H264: "H264",
    Codec.H265: "H265",
    Codec.AV1: "AV1",
    Codec.VP8: "VP8",
    Codec.VP9: "VP9",
    Codec.OPUS: "opus",
    Codec.PCM_MULAW: "PCMU",
    Codec.PCM_ALAW: "PCMA",
    Codec.G722: "G722",
}


def format_of(codec: Codec | None) -> PayloadFormat | None:
    """Return the payload format that WebRTC peers have for a codec, or None."""
    name = None if codec is None else _ENCODINGS.get(codec)
    return None if name is None else payload_format(name)


class TrackPacketiser:
    """Makes the payloads of one track in one configuration.

    Args:
        track: What the frames are of.
        format: Of its codec.

    Raises:
        ProtocolError: The configuration cannot be read.
    """

    def __init__(self, track: Track, format: PayloadFormat) -> None:
        self.rate = format.clock_rate or track.clock_rate
        """Ticks a second of RTP timestamps."""
        self._length_size = 4
        self._packetiser: Packetiser = format.make_packetiser()
        if track.codec is Codec.H264 and track.configuration:
            avcc = decode_avcc(track.configuration)
            self._length_size = avcc.length_size
            self._packetiser = H264Packetiser((*avcc.sps, *avcc.pps))
        elif track.codec is Codec.H265 and track.configuration:
            hvcc = decode_hvcc(track.configuration)
            self._length_size = hvcc.length_size
            sets = [unit for array in hvcc.arrays for unit in array.units]
            self._packetiser = H265Packetiser(tuple(sets))
        self.damaged = 0
        """Frames that could not be cut."""

    def payloads(self, frame: Frame) -> list[bytes]:
        """Return the payloads of one frame, in order; none if it is damaged."""
        try:
            data = frame.payload
            if self._length_size != 4:
                units = split_length_prefixed(data, self._length_size)
                data = join_length_prefixed(units)
            return self._packetiser.packetise(data, MAX_PAYLOAD)
        except ProtocolError:
            self.damaged += 1
            return []


def packetiser_for(track: Track) -> TrackPacketiser | None:
    """Return what makes payloads of a track; None if RTP peers cannot take it."""
    format = format_of(track.codec)
    if format is None:
        return None
    try:
        return TrackPacketiser(track, format)
    except ProtocolError as error:
        log.warning("track left out of RTP", codec=format.codec, reason=str(error))
        return None
