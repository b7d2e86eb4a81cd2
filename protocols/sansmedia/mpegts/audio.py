"""Frames of sound out of PES packets."""

from __future__ import annotations

import attrs

from sansmedia.codecs import Codec, aac, ac3, latm, mp3, opus
from sansmedia.sansio import ProtocolError

from .assembler import Product, ScanningAssembler
from .descriptors import Descriptor, DescriptorTag
from .events import MediaFrame, PesPacket
from .limits import Limits

__all__ = [
    "AdtsAssembler",
    "DolbyAssembler",
    "LatmAssembler",
    "MpegAudioAssembler",
    "OpusAssembler",
    "decode_opus_control_header",
    "opus_head_from_descriptors",
]


class AdtsAssembler(ScanningAssembler):
    """AAC in ADTS; payloads are raw frames, as AudioSpecificConfig describes them.

    Source: ISO 13818-1 §2.4.3.7; ISO 14496-3 §1.A.2.2.
    """

    marker = b"\xff"

    def __init__(self, pid: int, codec: Codec | None, limits: Limits) -> None:
        super().__init__(pid, codec, limits)
        self._fixed = b""
        self._frame_samples = 1024

    def measure(self, data: bytes, position: int) -> int:
        """Return aac_frame_length."""
        head = data[position : position + 7]
        if head[0] != 0xFF or (len(head) > 1 and head[1] & 0xF6 != 0xF0):
            return 0
        if len(head) < 7:
            return -1
        size = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
        return size if size > 7 and head[2] >> 2 & 15 < 13 else 0

    def take(self, frame: bytes, made: MediaFrame, products: list[Product]) -> int:
        """Take the header off."""
        # Everything that a configuration is made of, without the private bits.
        fixed = bytes((frame[1], frame[2] & 0xFD, frame[3] & 0xC0))
        if fixed != self._fixed:
            self._fixed = fixed
            header = aac.decode_adts_header(frame[:7] + b"\0\0")
            self.count_in(header.sampling_frequency)
            try:
                configuration = aac.asc_from_adts(header)
                parameters = aac.parameters(configuration)
            except ProtocolError:
                # The channels stand in the frame itself, which nothing here reads.
                self._fixed = b""
                self.frames_dropped += 1
                self._lost = True
                return 1024
            self.configure(configuration, parameters, products)
        made.payload = frame[7:] if frame[1] & 1 else frame[9:]
        made.generation = self.generation
        made.duration = 1024 * ((frame[6] & 3) + 1)
        products.append(made)
        return made.duration


class LatmAssembler(ScanningAssembler):
    """AAC in LATM and LOAS; payloads are raw frames.

    Source: ISO 14496-3 §1.7.2, §1.7.3.
    """

    marker = b"\x56"

    def __init__(self, pid: int, codec: Codec | None, limits: Limits) -> None:
        super().__init__(pid, codec, limits)
        self._mux: latm.StreamMuxConfig | None = None
        self._frame_samples = 1024

    def measure(self, data: bytes, position: int) -> int:
        """Return the octets of the LOAS frame."""
        head = data[position : position + 3]
        if head[0] != 0x56 or (len(head) > 1 and head[1] & 0xE0 != 0xE0):
            return 0
        if len(head) < 3:
            return -1
        return 3 + ((head[1] & 0x1F) << 8 | head[2])

    def take(self, frame: bytes, made: MediaFrame, products: list[Product]) -> int:
        """Take the multiplex apart."""
        try:
            mux, payloads = latm.decode_audio_mux_element(frame[3:], self._mux)
            if mux != self._mux:
                self._configure(mux, products)
        except ProtocolError:
            self.frames_dropped += 1
            self._lost = True
            return self._frame_samples
        start = self._samples
        for number, payload in enumerate(payloads):
            if number:
                time = self._time()
                made = MediaFrame(self.pid, time, time, b"", timed=False)
            made.payload = payload
            made.generation = self.generation
            made.duration = self._frame_samples
            products.append(made)
            self._samples += self._frame_samples
        samples, self._samples = self._samples - start, start
        return samples

    def _configure(self, mux: latm.StreamMuxConfig, products: list[Product]) -> None:
        config = aac.decode_asc(mux.asc)
        parameters = aac.parameters(mux.asc)
        if self._mux is None or mux.asc != self._mux.asc:
            self.configure(mux.asc, parameters, products)
        self._mux = mux
        self._frame_samples = 960 if config.short_frames else 1024
        self.count_in(config.sampling_frequency)


class MpegAudioAssembler(ScanningAssembler):
    """MPEG audio of layers I to III; payloads are whole frames, header included.

    Source: ISO 11172-3 §2.4.1.3, ISO 13818-3 §2.4.1.3.
    """

    marker = b"\xff"

    def __init__(self, pid: int, codec: Codec | None, limits: Limits) -> None:
        super().__init__(pid, codec, limits)
        self._key: tuple[str, int, int, int] | None = None

    def measure(self, data: bytes, position: int) -> int:
        """Return the size that bit rate and sample rate give; 0 for free format."""
        head = data[position : position + 4]
        if head[0] != 0xFF or (len(head) > 1 and head[1] & 0xE0 != 0xE0):
            return 0
        if len(head) < 4:
            return -1
        try:
            return mp3.decode_frame_header(head).frame_size
        except ProtocolError:
            return 0

    def take(self, frame: bytes, made: MediaFrame, products: list[Product]) -> int:
        """Announce what the header says when it changes."""
        header = mp3.decode_frame_header(frame)
        key = header.version, header.layer, header.sample_rate, header.channels
        if key != self._key:
            self._key = key
            self.count_in(header.sample_rate)
            parameters = mp3.parameters_from_frame_header(header)
            self.configure(b"", parameters, products)
        made.payload = frame
        made.generation = self.generation
        made.duration = header.samples
        products.append(made)
        return header.samples


class DolbyAssembler(ScanningAssembler):
    """AC-3 and E-AC-3; payloads are sync frames, dependent ones behind their main one.

    Source: ATSC A/52 §5.3, §E.2.2.
    """

    marker = b"\x0b"

    def __init__(self, pid: int, codec: Codec | None, limits: Limits) -> None:
        super().__init__(pid, codec, limits)
        self._key: tuple[object, ...] = ()
        self._made: MediaFrame | None = None
        self._frames: list[bytes] = []
        self._headers: list[ac3.SyncFrame] = []

    @property
    def held(self) -> int:
        """Octets held."""
        return super().held + sum(map(len, self._frames))

    def measure(self, data: bytes, position: int) -> int:
        """Return the size that the header gives."""
        head = data[position : position + 20]
        if not b"\x0b\x77".startswith(head[:2]):
            return 0
        try:
            return ac3.decode_sync_frame(head).frame_size
        except ProtocolError as error:
            return -1 if error.code == "truncated" and len(head) < 20 else 0

    def feed(self, pes: PesPacket) -> list[Product]:
        """Take a PES packet; what it ends with is not waited for if it is whole."""
        products: list[Product] = []
        if pes.after_loss:
            self._complete(products)
        products += super().feed(pes)
        if not super().held:
            self._complete(products)
        return products

    def flush(self) -> list[Product]:
        """Return what was waiting for more."""
        products = super().flush()
        self._complete(products)
        return products

    def drop(self) -> None:
        """Forget what is held."""
        super().drop()
        self._made, self._frames, self._headers = None, [], []

    def take(self, frame: bytes, made: MediaFrame, products: list[Product]) -> int:
        """Put a frame into the access unit that it belongs to."""
        header = ac3.decode_sync_frame(frame)
        main = header.stream_type != 1 and not header.substream_id
        if main or len(self._frames) >= ac3.MAX_SYNC_FRAMES:
            self._complete(products)
        if self._made is None:
            self._made = made
        self._frames.append(frame)
        self._headers.append(header)
        self.count_in(header.sample_rate)
        return header.samples if main else 0

    def _complete(self, products: list[Product]) -> None:
        made, headers = self._made, self._headers
        if made is None:
            return
        made.payload = b"".join(self._frames)
        self._made, self._frames, self._headers = None, [], []
        first = headers[0]
        key = tuple(
            (h.codec, h.sample_rate, h.acmod, h.lfe, h.stream_type, h.substream_id)
            for h in headers
        )
        if key != self._key:
            try:
                if first.codec is Codec.AC3:
                    configuration = ac3.dac3_from_sync_frame(first)
                else:
                    configuration = ac3.dec3_from_sync_frames(headers)
            except ProtocolError:
                self.frames_dropped += 1
                self._lost = True
                return
            self._key = key
            self.codec = first.codec
            parameters = ac3.parameters_from_sync_frame(first)
            if len(headers) > 1:
                whole = ac3.parameters(first.codec, configuration)
                parameters = attrs.evolve(parameters, channels=whole.channels)
            self.configure(configuration, parameters, products)
        made.generation = self.generation
        made.duration = first.samples
        products.append(made)


@attrs.define
class OpusControlHeader:
    """opus_control_header: what stands in front of each packet."""

    size: int
    """Octets of this header."""
    packet_size: int
    """Octets of the packet behind it."""
    trim_start: int = 0
    """Samples to drop at the start."""
    trim_end: int = 0
    """Samples to drop at the end."""


def decode_opus_control_header(data: bytes, position: int = 0) -> OpusControlHeader:
    """Decode an opus_control_header (Opus in MPEG-TS, draft 0.1.3).

    Raises:
        ProtocolError: Cut short, or no prefix.
    """
    end = len(data)
    if end - position < 3:
        raise ProtocolError("Opus control header cut short", code="truncated")
    flags = data[position + 1]
    if data[position] != 0x7F or flags & 0xE0 != 0xE0:
        raise ProtocolError("no Opus control header")
    at = position + 2
    size = 0
    trims = [0, 0]
    while at < end and data[at] == 0xFF:
        size += 255
        at += 1
    needed = 1 + 2 * bool(flags & 0x10) + 2 * bool(flags & 8) + bool(flags & 4)
    if end - at < needed:
        raise ProtocolError("Opus control header cut short", code="truncated")
    size += data[at]
    at += 1
    for number, flag in enumerate((0x10, 8)):
        if flags & flag:
            trims[number] = (data[at] & 0x1F) << 8 | data[at + 1]
            at += 2
    if flags & 4:
        at += 1 + data[at]
    return OpusControlHeader(at - position, size, *trims)


_MAX_OPUS_PACKET = 61_440
"""48 frames of 1,275 octets, of which only Opus itself could make more."""
_OPUS_STREAMS = (1, 1, 1, 2, 2, 3, 4, 4, 5)
_OPUS_COUPLED = (1, 0, 1, 1, 2, 2, 2, 3, 3)
_OPUS_MAPPINGS = (
    *(b"\0\1", b"\0", b"\0\1", b"\0\2\1", b"\0\1\2\3", b"\0\4\1\2\3"),
    *(b"\0\4\1\2\3\5", b"\0\4\1\2\3\5\6", b"\0\6\1\2\3\4\5\7"),
)


def opus_head_from_descriptors(descriptors: tuple[Descriptor, ...]) -> opus.OpusHead:
    """Return what the Opus descriptor says; stereo if there is none.

    Its channel_config_code is a number of channels in the order of Vorbis (RFC 7845
    §5.1.1.2), 0 two of them that have nothing to do with each other.
    """
    code = 2
    for descriptor in descriptors:
        body = descriptor.body
        if descriptor.tag == DescriptorTag.DVB_EXTENSION and body[:1] == b"\x80":
            code = body[1] if len(body) > 1 else code
    if code in (1, 2):
        return opus.OpusHead(code, 0, coupled_count=code - 1)
    if code > 8:
        return opus.OpusHead(2, 0, coupled_count=1)
    return opus.OpusHead(
        code or 2,
        0,
        mapping_family=1 if code else 255,
        stream_count=_OPUS_STREAMS[code],
        coupled_count=_OPUS_COUPLED[code],
        channel_mapping=_OPUS_MAPPINGS[code],
    )


class OpusAssembler(ScanningAssembler):
    """Opus; payloads are packets."""

    marker = b"\x7f"

    def __init__(
        self,
        pid: int,
        codec: Codec | None,
        limits: Limits,
        descriptors: tuple[Descriptor, ...] = (),
    ) -> None:
        super().__init__(pid, codec, limits)
        self._head = opus_head_from_descriptors(descriptors)
        self.count_in(opus.SAMPLE_RATE)

    def measure(self, data: bytes, position: int) -> int:
        """Return the octets of control header and packet."""
        if data[position] != 0x7F:
            return 0
        try:
            header = decode_opus_control_header(data, position)
        except ProtocolError as error:
            return -1 if error.code == "truncated" else 0
        size = header.size + header.packet_size
        return size if 0 < header.packet_size <= _MAX_OPUS_PACKET else 0

    def take(self, frame: bytes, made: MediaFrame, products: list[Product]) -> int:
        """Take the control header off."""
        header = decode_opus_control_header(frame)
        packet = frame[header.size :]
        try:
            duration = opus.packet_duration(packet)
        except ProtocolError:
            self.frames_dropped += 1
            self._lost = True
            return 0
        if not self.generation:
            # The start of a stream is trimmed by what its encoder needs to begin.
            head = attrs.evolve(self._head, pre_skip=header.trim_start)
            data = opus.encode_opus_head(head)
            self.configure(data, opus.parameters(data), products)
        made.payload = packet
        made.generation = self.generation
        made.duration = duration
        made.trim = (header.trim_start, header.trim_end)
        products.append(made)
        return duration
