"""VP9 payloads (RFC 9628): the descriptor in both modes, and the picture ids in it.

What the RFC calls a picture is a frame here: all its spatial layers, one timestamp.
"""

from __future__ import annotations

from typing import Final

import attrs

from sansmedia.codecs import vp9
from sansmedia.sansio import ProtocolError, UsageError

from .assembly import VideoDepacketiser
from .frame import Frame, Layer, Limits, check_payload_size
from .pictures import PictureIds, PictureOffsets

__all__ = [
    "Descriptor",
    "GroupPicture",
    "ScalabilityStructure",
    "Vp9Depacketiser",
    "Vp9Packetiser",
    "decode_descriptor",
    "is_frame_start",
    "is_key_frame_start",
    "layer",
    "packetise",
    "picture_ids",
    "rewrite",
]

_SOURCE: Final = "RFC 9628 §4.2"
_LONGEST: Final = 5
"""Octets up to and with TL0PICIDX; P_DIFFs and the structure follow."""
_MAX_P_DIFF: Final = 3
_MAX_LAYERS: Final = 8


@attrs.frozen
class GroupPicture:
    """One picture of a picture group (RFC 9628 §4.2.1)."""

    temporal_layer: int
    switching_up_point: bool = False
    p_diffs: tuple[int, ...] = ()
    """Up to three: how many pictures back each reference is."""


@attrs.frozen
class ScalabilityStructure:
    """The layers of a stream (RFC 9628 §4.2.1)."""

    layers: int = 1
    """Spatial layers: N_S and one."""
    sizes: tuple[tuple[int, int], ...] = ()
    """Width and height of every layer, if told."""
    group: tuple[GroupPicture, ...] | None = None
    """The pictures of a group (non-flexible mode), if told."""


@attrs.define
class Descriptor:
    """The payload descriptor (RFC 9628 §4.2); made per packet, so not frozen."""

    start_of_frame: bool = True
    """B: a layer frame begins."""
    end_of_frame: bool = True
    """E: a layer frame ends."""
    inter_predicted: bool = False
    """P: refers to earlier pictures. FFmpeg never sets it."""
    flexible: bool = False
    """F: references are named here, not by the picture group."""
    no_upper_reference: bool = False
    """Z: no higher spatial layer of this picture refers to this one."""
    picture_id: int | None = None
    picture_id_bits: int = 15
    """7 or 15: which form the picture id has."""
    temporal_layer: int | None = None
    """TID; None without layer indices."""
    switching_up_point: bool = False
    """U."""
    spatial_layer: int = 0
    """SID."""
    inter_layer_predicted: bool = False
    """D: refers to the layer below in this picture."""
    tl0_pic_idx: int | None = None
    """8 bits; only with layer indices in non-flexible mode."""
    p_diffs: tuple[int, ...] = ()
    """Up to three, only in flexible mode: how many pictures back a reference is."""
    structure: ScalabilityStructure | None = None
    size: int = 1
    """Octets of the descriptor on the wire."""


# RFC 9628 §4.2:      +-+-+-+-+-+-+-+-+
#                     |I|P|L|F|B|E|V|Z|
#                     +-+-+-+-+-+-+-+-+
#                 I:  |M| PICTURE ID  |  (one octet more if M)
#                     +---+-+-----+-+-+
#                 L:  | TID |U| SID |D|
#                     +-----+-+-----+-+
#           L, not F: |   TL0PICIDX   |
#                     +-------------+-+
#           P and F:  |   P_DIFF    |N|  (up to three times, while N)
#                     +-------------+-+
#                 V:  | SS ...        |
#                     +---------------+
_I: Final = 0x80
_P: Final = 0x40
_L: Final = 0x20
_F: Final = 0x10
_B: Final = 0x08
_E: Final = 0x04
_V: Final = 0x02


def _head(payload: bytes) -> bytes:
    return payload[:_LONGEST].ljust(_LONGEST, b"\0")


def _layer_position(head: bytes | bytearray) -> int:
    """Return where layer indices stand, or what follows the picture id."""
    if not head[0] & _I:
        return 1
    return 3 if head[1] & 0x80 else 2


def _truncated() -> ProtocolError:
    return ProtocolError("descriptor cut short", code="truncated", source=_SOURCE)


def _descriptor_size(payload: bytes) -> int:
    """Return the descriptor's size.

    Raises:
        ProtocolError: Cut short, or no octet follows it.
    """
    head = _head(payload)
    flags = head[0]
    position = _layer_position(head)
    if flags & _L:
        position += 1 if flags & _F else 2
    if flags & _P and flags & _F:
        for _ in range(_MAX_P_DIFF):
            if position >= len(payload):
                raise _truncated()
            position += 1
            if not payload[position - 1] & 1:
                break
        else:
            raise ProtocolError("more than three P_DIFF", source=_SOURCE)
    if flags & _V:
        position = _structure_end(payload, position)
    if position >= len(payload):
        raise _truncated()
    return position


# RFC 9628 §4.2.1:    +-----+-+-+-----+
#                     | N_S |Y|G|  -  |
#                     +-----+-+-+-----+
#                 Y:  | WIDTH, HEIGHT |  (16 bits each, N_S + 1 times)
#                     +---------------+
#                 G:  |      N_G      |
#                     +-----+-+---+---+
#           N_G times:| TID |U| R | - |
#                     +-----+-+---+---+
#            R times: |    P_DIFF     |
#                     +---------------+
def _structure_end(payload: bytes, position: int) -> int:
    """Return where the structure ends, without reading it.

    Raises:
        ProtocolError: Cut short.
    """
    end = len(payload)
    if position >= end:
        raise _truncated()
    head = payload[position]
    position += 1
    if head & 0x10:
        position += 4 * ((head >> 5) + 1)
    if head & 0x08:
        if position >= end:
            raise _truncated()
        count = payload[position]
        position += 1
        for _ in range(count):
            if position >= end:
                raise _truncated()
            position += 1 + (payload[position] >> 2 & 3)
    if position > end:
        raise _truncated()
    return position


def _read_structure(payload: bytes, position: int) -> ScalabilityStructure:
    """Read a structure whose end was found."""
    head = payload[position]
    position += 1
    layers = (head >> 5) + 1
    sizes: tuple[tuple[int, int], ...] = ()
    if head & 0x10:
        sizes = tuple(
            (
                payload[at] << 8 | payload[at + 1],
                payload[at + 2] << 8 | payload[at + 3],
            )
            for at in range(position, position + 4 * layers, 4)
        )
        position += 4 * layers
    if not head & 0x08:
        return ScalabilityStructure(layers, sizes)
    group = []
    count = payload[position]
    position += 1
    for _ in range(count):
        octet = payload[position]
        first = position + 1
        position = first + (octet >> 2 & 3)
        diffs = tuple(payload[first:position])
        group.append(GroupPicture(octet >> 5, bool(octet & 0x10), diffs))
    return ScalabilityStructure(layers, sizes, tuple(group))


def decode_descriptor(payload: bytes) -> Descriptor:
    """Decode the descriptor at the front of a payload.

    Source: RFC 9628 §4.2, §4.2.1.

    Raises:
        ProtocolError: Cut short, more than three references, or no octet follows it.
    """
    size = _descriptor_size(payload)
    flags = payload[0]
    found = Descriptor(
        bool(flags & _B),
        bool(flags & _E),
        bool(flags & _P),
        bool(flags & _F),
        bool(flags & 1),
    )
    found.size = size
    position = _layer_position(payload)
    if position == 3:
        found.picture_id = (payload[1] & 0x7F) << 8 | payload[2]
    elif position == 2:
        found.picture_id, found.picture_id_bits = payload[1], 7
    if flags & _L:
        octet = payload[position]
        found.temporal_layer = octet >> 5
        found.switching_up_point = bool(octet & 0x10)
        found.spatial_layer = octet >> 1 & 7
        found.inter_layer_predicted = bool(octet & 1)
        position += 1
        if not flags & _F:
            found.tl0_pic_idx = payload[position]
            position += 1
    if flags & _P and flags & _F:
        start = position
        while payload[position] & 1:
            position += 1
        position += 1
        found.p_diffs = tuple(octet >> 1 for octet in payload[start:position])
    if flags & _V:
        found.structure = _read_structure(payload, position)
    return found


def _encode_structure(structure: ScalabilityStructure) -> bytes:
    if structure.sizes and len(structure.sizes) != structure.layers:
        raise UsageError("a size for every layer, or none")
    if not 1 <= structure.layers <= _MAX_LAYERS:
        raise UsageError(f"{structure.layers} spatial layers")
    octets = bytearray(((structure.layers - 1) << 5,))
    if structure.sizes:
        octets[0] |= 0x10
        for width, height in structure.sizes:
            octets += width.to_bytes(2, "big") + height.to_bytes(2, "big")
    if structure.group is not None:
        octets[0] |= 0x08
        octets.append(len(structure.group))
        for picture in structure.group:
            octets.append(
                picture.temporal_layer << 5
                | picture.switching_up_point << 4
                | len(picture.p_diffs) << 2
            )
            octets += bytes(picture.p_diffs)
    return bytes(octets)


def _encode(descriptor: Descriptor) -> tuple[bytes, bytes]:
    """Return descriptor and structure, without B and E."""
    flags = descriptor.inter_predicted * _P | descriptor.flexible * _F
    flags |= descriptor.no_upper_reference
    rest = b""
    if descriptor.picture_id is not None:
        flags |= _I
        if descriptor.picture_id_bits == 15:
            rest = (0x8000 | descriptor.picture_id & 0x7FFF).to_bytes(2, "big")
        else:
            rest = bytes((descriptor.picture_id & 0x7F,))
    elif descriptor.flexible:
        raise UsageError("flexible mode needs a picture id")
    if descriptor.temporal_layer is not None:
        flags |= _L
        rest += bytes(
            (
                (descriptor.temporal_layer & 7) << 5
                | descriptor.switching_up_point << 4
                | (descriptor.spatial_layer & 7) << 1
                | descriptor.inter_layer_predicted,
            )
        )
        if not descriptor.flexible:
            rest += bytes(((descriptor.tl0_pic_idx or 0) & 0xFF,))
    if descriptor.inter_predicted and descriptor.flexible:
        if not 1 <= len(descriptor.p_diffs) <= _MAX_P_DIFF:
            raise UsageError("one to three P_DIFF in flexible mode")
        last = len(descriptor.p_diffs) - 1
        rest += bytes(
            (diff & 0x7F) << 1 | (number < last)
            for number, diff in enumerate(descriptor.p_diffs)
        )
    structure = descriptor.structure
    return bytes((flags,)) + rest, _encode_structure(structure) if structure else b""


def packetise(
    frame: bytes, max_size: int, descriptor: Descriptor | None = None
) -> list[bytes]:
    """Return the payloads of one layer frame, in order: one run.

    All have exactly ``max_size`` octets but the last, which may be shorter. The
    scalability structure goes with the first.

    Source: RFC 9628 §4.2, §4.3.

    Args:
        frame: One layer frame, or a whole superframe where layers do not matter.
        max_size: Octets of the largest payload.
        descriptor: What every payload says; B and E are set here.

    Raises:
        UsageError: The descriptor leaves no room, or contradicts itself.
    """
    # 50 KB: 0.18 µs a packet (43 packets).
    check_payload_size(max_size)
    if not frame:
        return []
    head, structure = _encode(descriptor or Descriptor())
    step = max_size - len(head)
    cut = step - len(structure)
    if cut < 1:
        raise UsageError("the scalability structure leaves no room")
    first = head[0] | _B | bool(structure) * _V
    rest = head[1:]
    if cut >= len(frame):
        return [bytes((first | _E,)) + rest + structure + frame]
    payloads = [bytes((first,)) + rest + structure + frame[:cut]]
    while cut + step < len(frame):
        payloads.append(head + frame[cut : cut + step])
        cut += step
    payloads.append(bytes((head[0] | _E,)) + rest + frame[cut:])
    return payloads


class Vp9Packetiser:
    """Packetises the frames of one stream without layers, with a 15-bit picture id.

    Key frames carry a scalability structure with the picture's size.

    Args:
        picture_id: Of the first frame; random, as RFC 9628 §4.2 wants it.
    """

    __slots__ = ("picture_id",)

    def __init__(self, picture_id: int = 0) -> None:
        self.picture_id = picture_id

    def packetise(self, frame: bytes, max_size: int) -> list[bytes]:
        """Return the payloads of one frame, in order, and count its picture id on."""
        descriptor = Descriptor(inter_predicted=True, picture_id=self.picture_id)
        try:
            header = vp9.decode_frame_header(frame)
        except ProtocolError:
            header = None
        if header is not None and header.key_frame:
            descriptor.inter_predicted = False
            descriptor.structure = ScalabilityStructure(
                sizes=((header.width, header.height),)
            )
        self.picture_id = (self.picture_id + 1) & 0x7FFF
        return packetise(frame, max_size, descriptor)


class Vp9Depacketiser(VideoDepacketiser):
    """Puts frames together again, all spatial layers of a picture in one superframe.

    Source: RFC 9628 §4.3, §4.4.

    Args:
        limits: What a frame may cost.
    """

    __slots__ = ("_inside", "_layers", "_parts", "_spatial", "_temporal", "structure")

    def __init__(self, limits: Limits | None = None) -> None:
        super().__init__(limits)
        self.structure: ScalabilityStructure | None = None
        """The last scalability structure that came."""
        self._parts: list[bytes] = []
        self._layers: list[bytes] = []
        self._inside = False
        # A layer frame has begun and not ended.
        self._spatial = self._temporal = 0

    def _take(self, payload: bytes) -> None:
        if not payload:
            return
        size = _descriptor_size(payload)
        flags = payload[0]
        begins = flags & _B
        if not self._has_picture:
            spatial, self._temporal = layer(payload)
            if not begins or (self._suspect and spatial):
                self._break()
                return
            self._has_picture = True
        if bool(begins) == self._inside:
            raise ProtocolError("layer frame out of place", source=_SOURCE)
        if begins:
            self._spatial = layer(payload)[0]
            if flags & _V:
                self.structure = decode_descriptor(payload).structure
        self._parts.append(payload[size:])
        self._inside = not flags & _E
        if not self._inside:
            if len(self._layers) >= _MAX_LAYERS:
                raise ProtocolError("too many layer frames", source=_SOURCE)
            self._layers.append(b"".join(self._parts))
            self._parts = []

    def _build(self) -> Frame:
        if self._inside:
            raise ProtocolError("layer frame without its end", source=_SOURCE)
        payload = self._layers[0]
        if len(self._layers) > 1:
            payload = _superframe(self._layers)
        return Frame(
            self._timestamp,
            payload,
            vp9.is_random_access(payload),
            spatial_layer=self._spatial,
            temporal_layer=self._temporal,
        )

    def _clear(self) -> None:
        self._parts = []
        self._layers = []
        self._inside = False
        self._spatial = self._temporal = 0


def _superframe(frames: list[bytes]) -> bytes:
    """Join layer frames, with an index behind them unless they bring one.

    Source: VP9 §B.
    """
    joined = b"".join(frames)
    try:
        if len(vp9.split_superframe(joined)) > 1:
            return joined
    except ProtocolError:
        pass
    width = (max(map(len, frames)).bit_length() + 7) // 8
    marker = bytes((0xC0 | (width - 1) << 3 | (len(frames) - 1),))
    sizes = b"".join(len(frame).to_bytes(width, "little") for frame in frames)
    return joined + marker + sizes + marker


def is_frame_start(payload: bytes) -> bool:
    """Tell whether a picture begins here: B set, lowest spatial layer.

    Source: RFC 9628 §4.2.
    """
    return len(payload) > 1 and bool(payload[0] & _B) and not layer(payload)[0]


def is_key_frame_start(payload: bytes) -> bool:
    """Tell whether a key frame begins here, by the frame's own header.

    The P bit is not asked: FFmpeg never sets it.

    Source: RFC 9628 §4.2, VP9 §6.2.
    """
    if not is_frame_start(payload):
        return False
    try:
        octet = payload[_descriptor_size(payload)]
    except ProtocolError:
        return False
    if octet >> 6 != 2:
        return False
    # show_existing_frame and frame_type, behind reserved_zero if the profile is 3.
    return not octet & (0x06 if octet & 0x30 == 0x30 else 0x0C)


def layer(payload: bytes) -> Layer:
    """Return SID and TID; (0, 0) if the payload does not say. Source: RFC 9628 §4.2."""
    head = _head(payload)
    if not head[0] & _L:
        return (0, 0)
    octet = head[_layer_position(head)]
    return (octet >> 1 & 7, octet >> 5)


def picture_ids(payload: bytes) -> PictureIds:
    """Return the running numbers of a payload; a malformed one has none.

    Source: RFC 9628 §4.2.
    """
    try:
        found = decode_descriptor(payload)
    except ProtocolError:
        return PictureIds()
    return PictureIds(found.picture_id, found.picture_id_bits, found.tl0_pic_idx)


def rewrite(payload: bytes, offsets: PictureOffsets) -> bytes:
    """Return the payload with other running numbers, of the same length.

    A picture id keeps its 7 or 15 bits. A malformed payload comes back as it is.

    Source: RFC 9628 §4.2.
    """
    # 0.65 µs for a payload of 1,190 octets.
    head = bytearray(_head(payload))
    flags = head[0]
    position = _layer_position(head)
    size = position + (2 if flags & _L and not flags & _F else 0)
    if size == 1 or size >= len(payload):
        return payload
    if position == 3:
        value = (head[1] << 8 | head[2]) + offsets.picture_id
        head[1] = value >> 8 & 0x7F | 0x80
        head[2] = value & 0xFF
    elif position == 2:
        head[1] = head[1] + offsets.picture_id & 0x7F
    if size > position:
        head[size - 1] = head[size - 1] + offsets.tl0_pic_idx & 0xFF
    return bytes(head[:size]) + payload[size:]
