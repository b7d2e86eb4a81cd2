"""Units inside HTTP/1.1 chunks or WebSocket messages: shared bytes as well."""

from __future__ import annotations

from collections.abc import Callable

from penstock.engine.unit import Converter, Form, Unit
from penstock.media import Frame, Track

from .frames_to_flv import FlvConverter, RtmpConverter
from .frames_to_mp4 import Mp4Converter
from .frames_to_ts import TsConverter

__all__ = ["FramedConverter", "chunk", "converter_for", "websocket_message"]


def chunk(data: bytes) -> bytes:
    """Return one chunk of a chunked body; nothing for nothing. RFC 9112 §7.1."""
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""


def websocket_message(data: bytes) -> bytes:
    """Return one unmasked binary message in a single frame. RFC 6455 §5.2."""
    size = len(data)
    if not size:
        return b""
    if size < 126:
        return bytes((0x82, size)) + data
    if size < 1 << 16:
        return b"\x82\x7e" + size.to_bytes(2, "big") + data
    return b"\x82\x7f" + size.to_bytes(8, "big") + data


class FramedConverter:
    """A converter whose bytes are put into a framing."""

    def __init__(self, inner: Converter, frame: Callable[[bytes], bytes]) -> None:
        self._inner = inner
        self._frame = frame

    @property
    def header(self) -> bytes:
        """The inner header, framed."""
        return self._frame(self._inner.header)

    @property
    def ended(self) -> str:
        """As the inner converter."""
        return self._inner.ended

    def begin(self) -> None:
        """As the inner converter."""
        self._inner.begin()

    def announce(self, track: Track) -> list[Unit]:
        """As the inner converter, framed."""
        return self._framed(self._inner.announce(track))

    def metadata(self, values: dict[str, object]) -> list[Unit]:
        """As the inner converter, framed."""
        return self._framed(self._inner.metadata(values))

    def convert(self, frame: Frame) -> list[Unit]:
        """As the inner converter, framed."""
        return self._framed(self._inner.convert(frame))

    def finish(self) -> list[Unit]:
        """As the inner converter, framed."""
        return self._framed(self._inner.finish())

    def _framed(self, units: list[Unit]) -> list[Unit]:
        for unit in units:
            unit.data = self._frame(unit.data)
            unit.config = self._frame(unit.config)
        return units


def converter_for(form: Form) -> Converter:
    """Return a new converter for a wire form."""
    inner: Converter
    match form.format:
        case "rtmp":
            inner = RtmpConverter(form)
        case "flv":
            inner = FlvConverter(form)
        case "mp4":
            inner = Mp4Converter(form)
        case "ts":
            inner = TsConverter(form)
        case _:
            raise ValueError(f"no such format: {form.format}")
    match form.framing:
        case "raw":
            return inner
        case "chunked":
            return FramedConverter(inner, chunk)
        case "websocket":
            return FramedConverter(inner, websocket_message)
        case _:
            raise ValueError(f"no such framing: {form.framing}")
