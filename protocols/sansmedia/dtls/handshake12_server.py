"""The server's side of the DTLS 1.2 handshake. Source: RFC 5246 §7.3."""

from __future__ import annotations

from collections.abc import Mapping

from sansmedia.sansio import ProtocolError

from .constants import (
    DTLS_1_0,
    DTLS_1_2,
    EMPTY_RENEGOTIATION_INFO_SCSV,
    CipherSuite,
    ClientCertificateType,
    ExtensionType,
    HandshakeType,
    NamedGroup,
    Role,
    SignatureScheme,
    SrtpProfile,
)
from .cookies import COOKIE_SECRET_SIZE, is_cookie_of, make_cookie
from .fragments import Message
from .handshake12 import Collaborators, Handler, Handshake12
from .handshake_wire import (
    CertificateRequest,
    ServerKeyExchange,
    decode_certificate_verify,
    decode_client_key_exchange,
    encode_certificate,
    encode_certificate_request,
    encode_ecdh_params,
    encode_server_key_exchange,
)
from .hello_wire import (
    ClientHello,
    HelloVerifyRequest,
    ServerHello,
    UseSrtp,
    decode_client_hello,
    decode_point_formats,
    decode_protocol_names,
    decode_renegotiation_info,
    decode_supported_versions,
    decode_u16_list,
    decode_use_srtp,
    encode_hello_verify_request,
    encode_point_formats,
    encode_protocol_names,
    encode_server_hello,
    encode_use_srtp,
)
from .key_exchange import make_ephemeral_key
from .protection import SUITES
from .signatures import choose_scheme, sign, verify
from .states import Input, State

__all__ = ["ServerHandshake12"]

_E = ExtensionType
_T = HandshakeType


def _refuse(reason: str, source: str, code: str = "handshake_failure") -> ProtocolError:
    return ProtocolError(reason, code=code, source=source)


class ServerHandshake12(Handshake12):
    """A server's handshake.

    Args:
        parts: What it works with.
    """

    def __init__(self, parts: Collaborators) -> None:
        super().__init__(parts, Role.SERVER, State.WAIT_CLIENT_HELLO)
        self._cookie_secret = (
            self._dice(COOKIE_SECRET_SIZE) if self._config.cookie_exchange else b""
        )

    def _handlers(self) -> Mapping[int, tuple[Input, Handler]]:
        return {
            _T.CLIENT_HELLO: (Input.CLIENT_HELLO, self._on_client_hello),
            _T.CERTIFICATE: (Input.CERTIFICATE, self._on_certificate),
            _T.CLIENT_KEY_EXCHANGE: (
                Input.CLIENT_KEY_EXCHANGE,
                self._on_client_key_exchange,
            ),
            _T.CERTIFICATE_VERIFY: (
                Input.CERTIFICATE_VERIFY,
                self._on_certificate_verify,
            ),
            _T.FINISHED: (Input.FINISHED, self._on_finished),
        }

    # --- the hello -----------------------------------------------------------------

    def _on_client_hello(
        self, message: Message, now: float, peer: tuple[str, int]
    ) -> Input:
        hello = decode_client_hello(message.body)
        _check_version(hello)
        if self._config.cookie_exchange and not is_cookie_of(
            self._cookie_secret, peer, hello
        ):
            self._ask_for_cookie(message, hello, now, peer)
            return Input.HELLO_WITHOUT_COOKIE
        extensions = hello.extensions or {}
        self._client_random = hello.random
        self.cipher_suite = self._choose_suite(hello)
        self.group = self._choose_group(extensions)
        scheme = self._choose_scheme(extensions)
        answers = self._answer_extensions(hello, extensions)
        self._note(message)
        self._answer(message, answers, scheme, now)
        return Input.CLIENT_HELLO

    def _ask_for_cookie(
        self, message: Message, hello: ClientHello, now: float, peer: tuple[str, int]
    ) -> None:
        """Send a HelloVerifyRequest. Source: RFC 6347 §4.2.1."""
        cookie = make_cookie(self._cookie_secret, peer, hello)
        # DTLS 1.0 in it binds nobody to anything, and every client takes it.
        request = HelloVerifyRequest(DTLS_1_0, cookie)
        self._flights.begin(answers=message.sequence)
        self._flights.add(
            _T.HELLO_VERIFY_REQUEST, encode_hello_verify_request(request), 0, DTLS_1_0
        )
        # Without a timer: it is for the client to ask again.
        self._flights.launch(now, awaits_answer=False)

    def _choose_suite(self, hello: ClientHello) -> CipherSuite:
        is_ecdsa = self._config.certificate.is_ecdsa
        for suite in self._config.cipher_suites:
            if SUITES[suite].is_ecdsa == is_ecdsa and suite in hello.cipher_suites:
                return suite
        raise _refuse("no cipher suite in common", "RFC 5246 §7.4.1.3")

    def _choose_group(self, extensions: Mapping[int, bytes]) -> NamedGroup:
        """Choose the curve. Source: RFC 8422 §5.1.1."""
        formats = extensions.get(_E.EC_POINT_FORMATS)
        if formats is not None and 0 not in decode_point_formats(formats):
            raise _refuse(
                "uncompressed points are missing",
                "RFC 8422 §5.1.2",
                "illegal_parameter",
            )
        body = extensions.get(_E.SUPPORTED_GROUPS)
        if body is None:
            # A client that does not say takes whatever the server has; one that old
            # is likeliest to have P-256.
            groups = self._config.groups
            likely = NamedGroup.SECP256R1
            return likely if likely in groups else groups[0]
        offered = decode_u16_list(body)
        curve = self._config.certificate.curve
        if curve is not None and curve not in offered:
            # The list is for signatures too: such a client would refuse our key.
            raise _refuse("the client does not know our curve", "RFC 8422 §5.1.1")
        for group in self._config.groups:
            if group in offered:
                return group
        raise _refuse("no group in common", "RFC 8422 §5.1.1")

    def _choose_scheme(self, extensions: Mapping[int, bytes]) -> SignatureScheme:
        """Choose how we sign. Source: RFC 5246 §7.4.1.4.1."""
        body = extensions.get(_E.SIGNATURE_ALGORITHMS)
        # Without the extension a client takes SHA-1 alone, and we do not sign that.
        offered = () if body is None else decode_u16_list(body, "RFC 5246 §7.4.1.4.1")
        ours = self._config.signature_schemes
        scheme = choose_scheme(self._config.certificate.private_key, ours, offered)
        if scheme is None:
            raise _refuse("no signature scheme in common", "RFC 5246 §7.4.1.4.1")
        return scheme

    def _answer_extensions(
        self, hello: ClientHello, offered: Mapping[int, bytes]
    ) -> dict[int, bytes]:
        """Return our extensions; what we do not know is ignored."""
        answers: dict[int, bytes] = {}
        info = offered.get(_E.RENEGOTIATION_INFO)
        if info is not None and decode_renegotiation_info(info):
            raise _refuse("a first handshake renegotiates", "RFC 5746 §3.6")
        if info is not None or EMPTY_RENEGOTIATION_INFO_SCSV in hello.cipher_suites:
            answers[_E.RENEGOTIATION_INFO] = b"\x00"
        self.has_extended_master_secret = _E.EXTENDED_MASTER_SECRET in offered
        if self.has_extended_master_secret:
            answers[_E.EXTENDED_MASTER_SECRET] = b""
        elif self._config.require_extended_master_secret:
            raise _refuse("no extended master secret", "RFC 7627 §5.2")
        if _E.EC_POINT_FORMATS in offered:
            answers[_E.EC_POINT_FORMATS] = encode_point_formats(b"\x00")
        self._answer_srtp(offered.get(_E.USE_SRTP), answers)
        self._answer_alpn(
            offered.get(_E.APPLICATION_LAYER_PROTOCOL_NEGOTIATION), answers
        )
        return answers

    def _answer_srtp(self, body: bytes | None, answers: dict[int, bytes]) -> None:
        """Choose a profile, by our preference. Source: RFC 5764 §4.1.1."""
        offered = () if body is None else decode_use_srtp(body).profiles
        chosen: SrtpProfile | None = next(
            (one for one in self._config.srtp_profiles if one in offered), None
        )
        if chosen is not None:
            self.srtp_profile = chosen
            # No MKI, whatever the client proposed: that says that none is used.
            answers[_E.USE_SRTP] = encode_use_srtp(UseSrtp((chosen,)))
        elif self._config.require_srtp:
            raise _refuse("no SRTP profile in common", "RFC 5764 §4.1.1")

    def _answer_alpn(self, body: bytes | None, answers: dict[int, bytes]) -> None:
        """Answer a protocol that we know. Source: RFC 7301 §3.2, RFC 8833 §3."""
        offered = () if body is None else decode_protocol_names(body)
        for name in self._config.alpn_protocols:
            if name.encode() in offered:
                self.alpn_protocol = name
                answers[_E.APPLICATION_LAYER_PROTOCOL_NEGOTIATION] = (
                    encode_protocol_names([name.encode()])
                )
                return
        # Nothing in common is not refused: a browser does not insist on it.

    def _answer(
        self,
        message: Message,
        extensions: Mapping[int, bytes],
        scheme: SignatureScheme,
        now: float,
    ) -> None:
        """Send the flight from ServerHello to ServerHelloDone."""
        config = self._config
        self._server_random = self._dice(32)
        group = self.group or config.groups[0]
        self._ephemeral = make_ephemeral_key(group, self._dice)
        public_key = self._ephemeral.public_key
        params = encode_ecdh_params(group, public_key)
        signed = self._client_random + self._server_random + params
        signature = sign(config.certificate.private_key, scheme, signed)
        hello = ServerHello(
            version=DTLS_1_2,
            random=self._server_random,
            cipher_suite=self._suite,
            extensions=extensions or None,
        )
        request = CertificateRequest(
            (ClientCertificateType.ECDSA_SIGN, ClientCertificateType.RSA_SIGN),
            config.signature_schemes,
        )
        exchange = ServerKeyExchange(group, public_key, scheme, signature)
        self._flights.begin(answers=message.sequence)
        self._send(_T.SERVER_HELLO, encode_server_hello(hello))
        self._send(_T.CERTIFICATE, encode_certificate(config.certificate.chain))
        self._send(_T.SERVER_KEY_EXCHANGE, encode_server_key_exchange(exchange))
        self._send(_T.CERTIFICATE_REQUEST, encode_certificate_request(request))
        self._send(_T.SERVER_HELLO_DONE, b"")
        self._flights.launch(now, awaits_answer=True)

    # --- the client's answer -------------------------------------------------------

    def _on_certificate(
        self, message: Message, now: float, peer: tuple[str, int]
    ) -> Input:
        has_any = self._take_certificate(message)
        return Input.CERTIFICATE if has_any else Input.EMPTY_CERTIFICATE

    def _on_client_key_exchange(
        self, message: Message, now: float, peer: tuple[str, int]
    ) -> Input:
        public_key = decode_client_key_exchange(message.body)
        if self._ephemeral is None:
            raise ProtocolError("no key was sent", code="internal_error")
        premaster = self._ephemeral.exchange(public_key)
        self._note(message)
        self._derive_keys(premaster)
        return Input.CLIENT_KEY_EXCHANGE

    def _on_certificate_verify(
        self, message: Message, now: float, peer: tuple[str, int]
    ) -> Input:
        """Check that the client holds its key. Source: RFC 5246 §7.4.8."""
        proof = decode_certificate_verify(message.body)
        if self._peer_key is None:
            raise ProtocolError("no certificate was sent", code="unexpected_message")
        verify(
            self._peer_key,
            proof.scheme,
            proof.signature,
            b"".join(self._transcript),
            self._config.signature_schemes,
        )
        self._note(message)
        return Input.CERTIFICATE_VERIFY

    def _on_finished(
        self, message: Message, now: float, peer: tuple[str, int]
    ) -> Input:
        self._check_finished(message)
        self._flights.begin(answers=message.sequence)
        self._send_finished()
        # The last flight: sent again when the client sends its own again.
        self._flights.launch(now, awaits_answer=False)
        self._transcript.clear()
        return Input.FINISHED


def _check_version(hello: ClientHello) -> None:
    """Check that the client speaks DTLS 1.2. Source: RFC 8446 §4.2.1."""
    body = (hello.extensions or {}).get(_E.SUPPORTED_VERSIONS)
    if body is not None:
        speaks = DTLS_1_2 in decode_supported_versions(body)
    else:
        # Versions count downwards: a smaller number is a later version.
        speaks = 0xFE00 <= hello.version <= DTLS_1_2
    if not speaks:
        raise _refuse(
            "the client does not speak DTLS 1.2", "RFC 6347 §4.2.1", "protocol_version"
        )
    if 0 not in hello.compression_methods:
        raise _refuse(
            "the client insists on compression",
            "RFC 5246 §7.4.1.2",
            "illegal_parameter",
        )
