"""Handshake messages, fragments, and the key in a certificate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sansmedia.dtls import Limits, decode_fingerprint
from sansmedia.dtls.fragments import (
    Reassembler,
    decode_fragment,
    encode_fragment,
)
from sansmedia.dtls.handshake_wire import (
    decode_alert,
    decode_certificate,
    decode_certificate_request,
    decode_certificate_verify,
    decode_client_key_exchange,
    decode_server_key_exchange,
    encode_certificate,
    encode_certificate_request,
    encode_certificate_verify,
    encode_client_key_exchange,
    encode_server_key_exchange,
)
from sansmedia.dtls.hello_wire import (
    decode_client_hello,
    decode_hello_verify_request,
    decode_point_formats,
    decode_protocol_names,
    decode_renegotiation_info,
    decode_server_hello,
    decode_supported_versions,
    decode_u16_list,
    decode_use_srtp,
    encode_client_hello,
    encode_hello_verify_request,
    encode_point_formats,
    encode_protocol_names,
    encode_server_hello,
    encode_u16_list,
    encode_use_srtp,
)
from sansmedia.dtls.signatures import decode_public_key
from sansmedia.sansio import ProtocolError, Reader

_LIMITS = Limits()
_PAIRS: list[tuple[Callable[[bytes], Any], Callable[[Any], bytes] | None]] = [
    (decode_client_hello, encode_client_hello),
    (decode_server_hello, encode_server_hello),
    (decode_hello_verify_request, encode_hello_verify_request),
    (decode_certificate, encode_certificate),
    (decode_server_key_exchange, encode_server_key_exchange),
    (decode_certificate_request, encode_certificate_request),
    (decode_client_key_exchange, encode_client_key_exchange),
    (decode_certificate_verify, encode_certificate_verify),
    (decode_u16_list, encode_u16_list),
    (decode_point_formats, encode_point_formats),
    (decode_protocol_names, encode_protocol_names),
    (decode_use_srtp, encode_use_srtp),
    (decode_supported_versions, None),
    (decode_renegotiation_info, None),
    (decode_alert, None),
    (decode_public_key, None),
    (lambda body: decode_fingerprint(body.decode("latin-1")), None),
]


def _reassemble(data: bytes) -> None:
    reader = Reader(data)
    reassembler = Reassembler(_LIMITS)
    due = 0
    while reader.remaining:
        start = reader.position
        try:
            fragment = decode_fragment(reader)
            assert encode_fragment(fragment) == data[start : reader.position]
            reassembler.feed(fragment, data[0] & 1)
        except ProtocolError:
            break
        assert 0 <= reassembler.pending_bytes <= _LIMITS.reassembly_bytes
        while (message := reassembler.next_message()) is not None:
            assert message.sequence == due
            due += 1


def one_input(data: bytes) -> None:
    # What is decoded encodes to the same octets; anything else is a ProtocolError.
    # Fragments give messages in order, within the limit.
    if not data:
        return
    number = data[0] % (len(_PAIRS) + 1)
    body = data[1:]
    if number == len(_PAIRS):
        _reassemble(body)
        return
    decode, encode = _PAIRS[number]
    try:
        value = decode(body)
    except ProtocolError:
        return
    if encode is not None:
        assert encode(value) == body
