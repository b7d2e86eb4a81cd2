"""Handshakes and their extensions."""

from __future__ import annotations

from sansmedia.sansio import ProtocolError
from sansmedia.srt.extensions_wire import decode_extensions, encode_extensions
from sansmedia.srt.handshake_wire import decode_handshake, encode_handshake
from sansmedia.srt.rejections import code_of_type, rejection_text


def one_input(data: bytes) -> None:
    # A handshake is refused or written again as it came; its extensions are refused, or
    # written and read again as they were, and nothing is both.
    try:
        handshake = decode_handshake(data)
    except ProtocolError:
        return
    assert encode_handshake(handshake) == data
    code = code_of_type(handshake.type)
    if code is not None:
        assert rejection_text(code)
    for announced in (handshake.extension, 7):
        try:
            extensions = decode_extensions(handshake.extensions, announced)
        except ProtocolError:
            continue
        empty = "" in (
            extensions.stream_id,
            extensions.congestion,
            extensions.packet_filter,
        )
        if empty:
            continue  # words of zeros: nobody writes such a text
        field, octets = encode_extensions(extensions)
        again = decode_extensions(octets, field)
        assert field & ~announced == 0
        assert again.skipped == 0
        for name in ("request", "response", "key_request", "key_response"):
            assert getattr(again, name) == getattr(extensions, name)
        for name in ("stream_id", "congestion", "packet_filter", "group"):
            assert getattr(again, name) == getattr(extensions, name)
