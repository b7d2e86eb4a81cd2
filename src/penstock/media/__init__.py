"""What moves through the server: tracks, frames, timestamps. Pure data, no await."""

from .frame import Frame
from .timestamp import milliseconds, rescale
from .track import Track, TrackKind

__all__ = ["Frame", "Track", "TrackKind", "milliseconds", "rescale"]
