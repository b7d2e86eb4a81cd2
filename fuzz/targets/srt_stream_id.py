"""Stream identifiers."""

from __future__ import annotations

from sansmedia.sansio import ProtocolError, UsageError
from sansmedia.srt.stream_id import decode_stream_id, encode_stream_id


def one_input(data: bytes) -> None:
    # Any text is free, refused, or an access request that is written and read again as
    # it was; what is longer than a handshake carries is not written.
    text = data.decode(errors="replace")
    try:
        request = decode_stream_id(text)
    except ProtocolError as error:
        assert error.code in ("stream_id", "unknown_key")
        assert text.startswith("#!")
        return
    assert (request is None) == (not text.startswith("#!"))
    if request is None:
        return
    try:
        written = encode_stream_id(request)
    except UsageError:
        assert len(text.encode()) > 400 or "\0" in text
        return
    assert decode_stream_id(written) == request
