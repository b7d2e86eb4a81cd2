"""ClientHello, ServerHello and HelloVerifyRequest, and the extensions in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from sansmedia.sansio import ProtocolError, Reader, Writer

__all__ = [
    "ClientHello",
    "HelloVerifyRequest",
    "ServerHello",
    "UseSrtp",
    "decode_client_hello",
    "decode_hello_verify_request",
    "decode_point_formats",
    "decode_protocol_names",
    "decode_renegotiation_info",
    "decode_server_hello",
    "decode_supported_versions",
    "decode_u16_list",
    "decode_use_srtp",
    "encode_client_hello",
    "encode_hello_verify_request",
    "encode_point_formats",
    "encode_protocol_names",
    "encode_server_hello",
    "encode_u16_list",
    "encode_use_srtp",
]

_RANDOM_SIZE = 32


@attrs.frozen(kw_only=True)
class ClientHello:
    """What a client offers. Source: RFC 6347 §4.2.1, RFC 5246 §7.4.1.2."""

    version: int
    random: bytes
    session_id: bytes = b""
    cookie: bytes = b""
    cipher_suites: tuple[int, ...]
    compression_methods: bytes = b"\x00"
    extensions: Mapping[int, bytes] | None = None
    """Bodies by type, in their order; None if the block is missing."""


@attrs.frozen(kw_only=True)
class ServerHello:
    """What a server chose. Source: RFC 5246 §7.4.1.3."""

    version: int
    random: bytes
    session_id: bytes = b""
    cipher_suite: int
    compression_method: int = 0
    extensions: Mapping[int, bytes] | None = None
    """Bodies by type, in their order; None if the block is missing."""


@attrs.frozen
class HelloVerifyRequest:
    """Asks for the same hello with a cookie. Source: RFC 6347 §4.2.1."""

    version: int
    cookie: bytes


@attrs.frozen
class UseSrtp:
    """The extension's body. Source: RFC 5764 §4.1.1."""

    profiles: tuple[int, ...]
    mki: bytes = b""


def _finish(reader: Reader, what: str, source: str) -> None:
    if reader.remaining:
        raise ProtocolError(f"{what} has octets left over", source=source)


def _vector(reader: Reader, size: int, low: int, source: str) -> bytes:
    """Take a vector with a length of 1 or 2 octets."""
    length = reader.u8() if size == 1 else reader.u16()
    if length < low:
        raise ProtocolError("a vector is too short", source=source)
    return reader.take(length)


def _u16_items(octets: bytes, source: str) -> tuple[int, ...]:
    if len(octets) % 2:
        raise ProtocolError("a list of numbers has an odd length", source=source)
    reader = Reader(octets, source=source)
    return tuple(reader.u16() for _ in range(len(octets) // 2))


def _put_vector(writer: Writer, size: int, octets: bytes) -> Writer:
    (writer.u8 if size == 1 else writer.u16)(len(octets))
    return writer.put(octets)


def _decode_extensions(reader: Reader) -> dict[int, bytes] | None:
    """Take the block of extensions. Source: RFC 5246 §7.4.1.4."""
    source = "RFC 5246 §7.4.1.4"
    if not reader.remaining:
        return None
    block = Reader(_vector(reader, 2, 0, source), source=source)
    extensions: dict[int, bytes] = {}
    while block.remaining:
        kind = block.u16()
        if kind in extensions:
            raise ProtocolError(
                "an extension stands twice", code="illegal_parameter", source=source
            )
        extensions[kind] = block.take(block.u16())
    return extensions


def _encode_extensions(writer: Writer, extensions: Mapping[int, bytes] | None) -> None:
    if extensions is None:
        return
    block = Writer()
    for kind, body in extensions.items():
        _put_vector(block.u16(kind), 2, body)
    _put_vector(writer, 2, block.getvalue())


def decode_client_hello(body: bytes) -> ClientHello:
    """Decode the body of a ClientHello.

    Raises:
        ProtocolError: Code ``truncated``, ``malformed`` or ``illegal_parameter``.
    """
    source = "RFC 6347 §4.2.1"
    reader = Reader(body, source=source)
    version = reader.u16()
    random = reader.take(_RANDOM_SIZE)
    session_id = _session_id(reader)
    cookie = _vector(reader, 1, 0, source)
    suites = _u16_items(_vector(reader, 2, 2, source), source)
    methods = _vector(reader, 1, 1, source)
    extensions = _decode_extensions(reader)
    _finish(reader, "a ClientHello", source)
    return ClientHello(
        version=version,
        random=random,
        session_id=session_id,
        cookie=cookie,
        cipher_suites=suites,
        compression_methods=methods,
        extensions=extensions,
    )


def _session_id(reader: Reader) -> bytes:
    source = "RFC 5246 §7.4.1.2"
    session_id = _vector(reader, 1, 0, source)
    if len(session_id) > 32:
        raise ProtocolError("a session id is too long", source=source)
    return session_id


def encode_client_hello(hello: ClientHello) -> bytes:
    """Return the body of a ClientHello."""
    writer = Writer().u16(hello.version).put(hello.random)
    _put_vector(writer, 1, hello.session_id)
    _put_vector(writer, 1, hello.cookie)
    writer.put(encode_u16_list(hello.cipher_suites))
    _put_vector(writer, 1, hello.compression_methods)
    _encode_extensions(writer, hello.extensions)
    return writer.getvalue()


def decode_server_hello(body: bytes) -> ServerHello:
    """Decode the body of a ServerHello.

    Raises:
        ProtocolError: Code ``truncated``, ``malformed`` or ``illegal_parameter``.
    """
    source = "RFC 5246 §7.4.1.3"
    reader = Reader(body, source=source)
    version = reader.u16()
    random = reader.take(_RANDOM_SIZE)
    session_id = _session_id(reader)
    suite = reader.u16()
    method = reader.u8()
    extensions = _decode_extensions(reader)
    _finish(reader, "a ServerHello", source)
    return ServerHello(
        version=version,
        random=random,
        session_id=session_id,
        cipher_suite=suite,
        compression_method=method,
        extensions=extensions,
    )


def encode_server_hello(hello: ServerHello) -> bytes:
    """Return the body of a ServerHello."""
    writer = Writer().u16(hello.version).put(hello.random)
    _put_vector(writer, 1, hello.session_id)
    writer.u16(hello.cipher_suite).u8(hello.compression_method)
    _encode_extensions(writer, hello.extensions)
    return writer.getvalue()


def decode_hello_verify_request(body: bytes) -> HelloVerifyRequest:
    """Decode the body of a HelloVerifyRequest.

    Raises:
        ProtocolError: Code ``truncated`` or ``malformed``.
    """
    source = "RFC 6347 §4.2.1"
    reader = Reader(body, source=source)
    request = HelloVerifyRequest(reader.u16(), _vector(reader, 1, 0, source))
    _finish(reader, "a HelloVerifyRequest", source)
    return request


def encode_hello_verify_request(request: HelloVerifyRequest) -> bytes:
    """Return the body of a HelloVerifyRequest."""
    writer = Writer().u16(request.version)
    return _put_vector(writer, 1, request.cookie).getvalue()


# --- extensions ------------------------------------------------------------------


def decode_u16_list(body: bytes, source: str = "RFC 8422 §5.1.1") -> tuple[int, ...]:
    """Decode ``supported_groups`` or ``signature_algorithms``.

    Source: RFC 8422 §5.1.1, RFC 5246 §7.4.1.4.1.
    """
    reader = Reader(body, source=source)
    items = _u16_items(_vector(reader, 2, 2, source), source)
    _finish(reader, "an extension", source)
    return items


def encode_u16_list(items: Sequence[int]) -> bytes:
    """Return a list of 16-bit numbers with its length."""
    writer = Writer().u16(2 * len(items))
    for item in items:
        writer.u16(item)
    return writer.getvalue()


def decode_point_formats(body: bytes) -> bytes:
    """Decode ``ec_point_formats``. Source: RFC 8422 §5.1.2."""
    source = "RFC 8422 §5.1.2"
    reader = Reader(body, source=source)
    formats = _vector(reader, 1, 1, source)
    _finish(reader, "an extension", source)
    return formats


def encode_point_formats(formats: bytes) -> bytes:
    """Return the body of ``ec_point_formats``."""
    return _put_vector(Writer(), 1, formats).getvalue()


def decode_use_srtp(body: bytes) -> UseSrtp:
    """Decode ``use_srtp``. Source: RFC 5764 §4.1.1."""
    source = "RFC 5764 §4.1.1"
    reader = Reader(body, source=source)
    profiles = _u16_items(_vector(reader, 2, 2, source), source)
    mki = _vector(reader, 1, 0, source)
    _finish(reader, "an extension", source)
    return UseSrtp(profiles, mki)


def encode_use_srtp(use_srtp: UseSrtp) -> bytes:
    """Return the body of ``use_srtp``."""
    writer = Writer().put(encode_u16_list(use_srtp.profiles))
    return _put_vector(writer, 1, use_srtp.mki).getvalue()


def decode_protocol_names(body: bytes) -> tuple[bytes, ...]:
    """Decode ``application_layer_protocol_negotiation``. Source: RFC 7301 §3.1."""
    source = "RFC 7301 §3.1"
    reader = Reader(body, source=source)
    names = Reader(_vector(reader, 2, 2, source), source=source)
    _finish(reader, "an extension", source)
    found = []
    while names.remaining:
        found.append(_vector(names, 1, 1, source))
    return tuple(found)


def encode_protocol_names(names: Sequence[bytes]) -> bytes:
    """Return the body of ``application_layer_protocol_negotiation``."""
    block = Writer()
    for name in names:
        _put_vector(block, 1, name)
    return _put_vector(Writer(), 2, block.getvalue()).getvalue()


def decode_supported_versions(body: bytes) -> tuple[int, ...]:
    """Decode a client's ``supported_versions``. Source: RFC 8446 §4.2.1."""
    source = "RFC 8446 §4.2.1"
    reader = Reader(body, source=source)
    versions = _u16_items(_vector(reader, 1, 2, source), source)
    _finish(reader, "an extension", source)
    return versions


def decode_renegotiation_info(body: bytes) -> bytes:
    """Decode ``renegotiation_info``. Source: RFC 5746 §3.2."""
    source = "RFC 5746 §3.2"
    reader = Reader(body, source=source)
    info = _vector(reader, 1, 0, source)
    _finish(reader, "an extension", source)
    return info
