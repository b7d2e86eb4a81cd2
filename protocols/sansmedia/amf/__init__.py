"""Action Message Format, versions 0 and 3: the values of RTMP commands and metadata.

`amf0` and `amf3` decode bytes to Python values and back; `Value` says which types come
out, `Encodable` which go in. What AMF knows and Python does not (undefined, ECMA
arrays, dates, class names) has a record here, so that decoding and encoding again gives
the same bytes for what encoders really write.

Three decisions hold for both versions:

- **Decoded values are trees.** A reference gives a copy, charged to `Limits.values`; a
  reference to a value that is still open (a cycle) is refused. So no consumer can be
  led into a loop, and nothing decoded grows beyond its limits when it is walked. The
  encoders write no references to objects, which many readers do not know.
- **Bad UTF-8 becomes U+FFFD.** Encoders do send Latin-1 in titles, and a broken title
  must not end a stream. Escaping to surrogates would keep the bytes but moves the
  failure into each log line, JSON answer and file name; who must pass bytes on
  unchanged keeps the message's body.
- **An object may end with the input.** See `amf0.decode_values`.

RTMP's AMF3 messages (types 15, 16 and 17) begin with one octet 0x00, the format, and go
on in AMF0, whose values switch to AMF3 one by one with the marker 0x11. Taking that
octet off is the business of whoever reads the message (E-RTMP v2 "Action Message Format
(AMF): AMF0 and AMF3").
"""

from . import amf0, amf3
from .limits import Limits
from .values import (
    Date,
    Dictionary,
    EcmaArray,
    Encodable,
    MixedArray,
    TypedObject,
    Undefined,
    Unsupported,
    Value,
    Vector,
    VectorKind,
    Xml,
    XmlDocument,
)

__all__ = [
    "Date",
    "Dictionary",
    "EcmaArray",
    "Encodable",
    "Limits",
    "MixedArray",
    "TypedObject",
    "Undefined",
    "Unsupported",
    "Value",
    "Vector",
    "VectorKind",
    "Xml",
    "XmlDocument",
    "amf0",
    "amf3",
]
