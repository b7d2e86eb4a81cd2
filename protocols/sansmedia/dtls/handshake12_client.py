"""The client's side of the DTLS 1.2 handshake. Source: RFC 5246 §7.3."""

from __future__ import annotations

from collections.abc import Mapping

from cryptography.hazmat.primitives.asymmetric import ec

from sansmedia.sansio import ProtocolError

from .constants import (
    DTLS_1_0,
    DTLS_1_2,
    ClientCertificateType,
    ExtensionType,
    HandshakeType,
    NamedGroup,
    Role,
    SignatureScheme,
    SrtpProfile,
)
from .fragments import Message
from .handshake12 import Collaborators, Handler, Handshake12
from .handshake_wire import (
    CertificateRequest,
    CertificateVerify,
    decode_certificate_request,
    decode_server_key_exchange,
    encode_certificate,
    encode_certificate_verify,
    encode_client_key_exchange,
    encode_ecdh_params,
)
from .hello_wire import (
    ClientHello,
    ServerHello,
    UseSrtp,
    decode_hello_verify_request,
    decode_point_formats,
    decode_protocol_names,
    decode_renegotiation_info,
    decode_server_hello,
    decode_use_srtp,
    encode_client_hello,
    encode_point_formats,
    encode_protocol_names,
    encode_u16_list,
    encode_use_srtp,
)
from .key_exchange import make_ephemeral_key
from .protection import SUITES
from .signatures import choose_scheme, sign, verify
from .states import Input, State

__all__ = ["ClientHandshake12"]

_E = ExtensionType
_T = HandshakeType


def _refuse(reason: str, source: str, code: str = "illegal_parameter") -> ProtocolError:
    return ProtocolError(reason, code=code, source=source)


class ClientHandshake12(Handshake12):
    """A client's handshake.

    Args:
        parts: What it works with.
    """

    def __init__(self, parts: Collaborators) -> None:
        super().__init__(parts, Role.CLIENT, State.IDLE)
        self._offered: dict[int, bytes] = {}
        self._premaster = b""
        self._request: CertificateRequest | None = None

    def _handlers(self) -> Mapping[int, tuple[Input, Handler]]:
        return {
            _T.HELLO_VERIFY_REQUEST: (
                Input.HELLO_VERIFY_REQUEST,
                self._on_hello_verify_request,
            ),
            _T.SERVER_HELLO: (Input.SERVER_HELLO, self._on_server_hello),
            _T.CERTIFICATE: (Input.CERTIFICATE, self._on_certificate),
            _T.SERVER_KEY_EXCHANGE: (
                Input.SERVER_KEY_EXCHANGE,
                self._on_server_key_exchange,
            ),
            _T.CERTIFICATE_REQUEST: (
                Input.CERTIFICATE_REQUEST,
                self._on_certificate_request,
            ),
            _T.SERVER_HELLO_DONE: (Input.SERVER_HELLO_DONE, self._on_server_hello_done),
            _T.FINISHED: (Input.FINISHED, self._on_finished),
        }

    # --- the hello -----------------------------------------------------------------

    def start(self, now: float) -> None:
        """Send the first ClientHello; a second call is void."""
        if not self.move(Input.START):
            return
        self._client_random = self._dice(32)
        self._offered = self._offer()
        self._send_hello(b"", -1, now)

    def _offer(self) -> dict[int, bytes]:
        config = self._config
        offered: dict[int, bytes] = {
            _E.RENEGOTIATION_INFO: b"\x00",
            _E.EXTENDED_MASTER_SECRET: b"",
            _E.SUPPORTED_GROUPS: encode_u16_list(config.groups),
            _E.EC_POINT_FORMATS: encode_point_formats(b"\x00"),
            _E.SIGNATURE_ALGORITHMS: encode_u16_list(config.signature_schemes),
        }
        if config.srtp_profiles:
            offered[_E.USE_SRTP] = encode_use_srtp(UseSrtp(config.srtp_profiles))
        if config.offer_alpn and config.alpn_protocols:
            names = [name.encode() for name in config.alpn_protocols]
            offered[_E.APPLICATION_LAYER_PROTOCOL_NEGOTIATION] = encode_protocol_names(
                names
            )
        return offered

    def _send_hello(self, cookie: bytes, answers: int, now: float) -> None:
        hello = ClientHello(
            version=DTLS_1_2,
            random=self._client_random,
            cookie=cookie,
            cipher_suites=self._config.cipher_suites,
            extensions=self._offered,
        )
        self._transcript.clear()
        self._flights.begin(answers=answers)
        body = encode_client_hello(hello)
        # Before a version is agreed on, records say DTLS 1.0. RFC 6347 §4.2.1.
        self._transcript.append(self._flights.add(_T.CLIENT_HELLO, body, 0, DTLS_1_0))
        self._flights.launch(now, awaits_answer=True)

    def _on_hello_verify_request(
        self, message: Message, now: float, peer: tuple[str, int]
    ) -> Input:
        """Send the hello again, with the cookie. Source: RFC 6347 §4.2.1."""
        request = decode_hello_verify_request(message.body)
        self._send_hello(request.cookie, message.sequence, now)
        return Input.HELLO_VERIFY_REQUEST

    def _on_server_hello(
        self, message: Message, now: float, peer: tuple[str, int]
    ) -> Input:
        hello = decode_server_hello(message.body)
        if hello.version != DTLS_1_2:
            raise _refuse(
                "the server speaks another version",
                "RFC 5246 §7.4.1.3",
                "protocol_version",
            )
        suites = self._config.cipher_suites
        suite = next((one for one in suites if one == hello.cipher_suite), None)
        if suite is None or hello.compression_method:
            raise _refuse("the server chose what was not offered", "RFC 5246 §7.4.1.3")
        self.cipher_suite = suite
        self._server_random = hello.random
        self._check_extensions(hello)
        self._note(message)
        return Input.SERVER_HELLO

    def _check_extensions(self, hello: ServerHello) -> None:
        """Check the server's extensions. Source: RFC 5246 §7.4.1.4."""
        answers = hello.extensions or {}
        if not answers.keys() <= self._offered.keys():
            raise _refuse(
                "the server answers an extension that was not sent",
                "RFC 5246 §7.4.1.4",
                "unsupported_extension",
            )
        info = answers.get(_E.RENEGOTIATION_INFO)
        if info is not None and decode_renegotiation_info(info):
            raise _refuse(
                "a first handshake renegotiates", "RFC 5746 §3.4", "handshake_failure"
            )
        self.has_extended_master_secret = _E.EXTENDED_MASTER_SECRET in answers
        if (
            not self.has_extended_master_secret
            and self._config.require_extended_master_secret
        ):
            raise _refuse(
                "no extended master secret", "RFC 7627 §5.2", "handshake_failure"
            )
        formats = answers.get(_E.EC_POINT_FORMATS)
        if formats is not None and 0 not in decode_point_formats(formats):
            raise _refuse("uncompressed points are missing", "RFC 8422 §5.2")
        self._check_srtp(answers.get(_E.USE_SRTP))
        self._check_alpn(answers.get(_E.APPLICATION_LAYER_PROTOCOL_NEGOTIATION))

    def _check_srtp(self, body: bytes | None) -> None:
        """Take the one profile that was chosen. Source: RFC 5764 §4.1.1."""
        if body is None:
            if self._config.require_srtp:
                raise _refuse(
                    "no SRTP profile in common", "RFC 5764 §4.1.1", "handshake_failure"
                )
            return
        answer = decode_use_srtp(body)
        chosen: SrtpProfile | None = next(
            (one for one in self._config.srtp_profiles if answer.profiles == (one,)),
            None,
        )
        if chosen is None or answer.mki:
            raise _refuse("the server chose another SRTP profile", "RFC 5764 §4.1.1")
        self.srtp_profile = chosen

    def _check_alpn(self, body: bytes | None) -> None:
        """Take the one protocol that was chosen. Source: RFC 7301 §3.1."""
        if body is None:
            return
        chosen = decode_protocol_names(body)
        for name in self._config.alpn_protocols:
            if chosen == (name.encode(),):
                self.alpn_protocol = name
                return
        raise _refuse("the server chose another protocol", "RFC 7301 §3.1")

    # --- the server's flight -------------------------------------------------------

    def _on_certificate(
        self, message: Message, now: float, peer: tuple[str, int]
    ) -> Input:
        if not self._take_certificate(message):
            raise _refuse(
                "the server has no certificate", "RFC 5246 §7.4.2", "decode_error"
            )
        is_ecdsa = isinstance(self._peer_key, ec.EllipticCurvePublicKey)
        if SUITES[self._suite].is_ecdsa != is_ecdsa:
            raise _refuse(
                "the certificate does not suit the cipher suite",
                "RFC 8422 §5.3",
                "unsupported_certificate",
            )
        return Input.CERTIFICATE

    def _on_server_key_exchange(
        self, message: Message, now: float, peer: tuple[str, int]
    ) -> Input:
        """Check the server's key and make ours. Source: RFC 8422 §5.4."""
        exchange = decode_server_key_exchange(message.body)
        groups = self._config.groups
        group: NamedGroup | None = next(
            (one for one in groups if one == exchange.group), None
        )
        if group is None or self._peer_key is None:
            raise _refuse("the server chose another group", "RFC 8422 §5.4")
        params = encode_ecdh_params(exchange.group, exchange.public_key)
        verify(
            self._peer_key,
            exchange.scheme,
            exchange.signature,
            self._client_random + self._server_random + params,
            self._config.signature_schemes,
        )
        self.group = group
        self._ephemeral = make_ephemeral_key(group, self._dice)
        self._premaster = self._ephemeral.exchange(exchange.public_key)
        self._note(message)
        return Input.SERVER_KEY_EXCHANGE

    def _on_certificate_request(
        self, message: Message, now: float, peer: tuple[str, int]
    ) -> Input:
        self._request = decode_certificate_request(message.body)
        self._note(message)
        return Input.CERTIFICATE_REQUEST

    def _on_server_hello_done(
        self, message: Message, now: float, peer: tuple[str, int]
    ) -> Input:
        if message.body:
            raise _refuse(
                "ServerHelloDone has a body", "RFC 5246 §7.4.5", "decode_error"
            )
        self._note(message)
        self._answer(message, now)
        return Input.SERVER_HELLO_DONE

    def _answer(self, message: Message, now: float) -> None:
        """Send the flight from Certificate to Finished."""
        certificate = self._config.certificate
        scheme = self._choose_scheme()
        self._flights.begin(answers=message.sequence)
        if self._request is not None:
            # An empty one says that none of ours would do. RFC 5246 §7.4.6.
            chain = certificate.chain if scheme is not None else ()
            self._send(_T.CERTIFICATE, encode_certificate(chain))
        public_key = b"" if self._ephemeral is None else self._ephemeral.public_key
        self._send(_T.CLIENT_KEY_EXCHANGE, encode_client_key_exchange(public_key))
        self._derive_keys(self._premaster)
        self._premaster = b""
        if scheme is not None:
            signed = b"".join(self._transcript)
            signature = sign(certificate.private_key, scheme, signed)
            proof = CertificateVerify(scheme, signature)
            self._send(_T.CERTIFICATE_VERIFY, encode_certificate_verify(proof))
        self._send_finished()
        self._flights.launch(now, awaits_answer=True)

    def _choose_scheme(self) -> SignatureScheme | None:
        """Return how we prove our key, None if the server takes no key like it."""
        if self._request is None:
            return None
        certificate = self._config.certificate
        wanted = (
            ClientCertificateType.ECDSA_SIGN
            if certificate.is_ecdsa
            else ClientCertificateType.RSA_SIGN
        )
        if wanted not in self._request.certificate_types:
            return None
        ours = self._config.signature_schemes
        return choose_scheme(certificate.private_key, ours, self._request.schemes)

    def _on_finished(
        self, message: Message, now: float, peer: tuple[str, int]
    ) -> Input:
        self._check_finished(message)
        # Nothing of ours is open: a server that repeats itself has our last flight.
        self._flights.begin(answers=message.sequence)
        self._transcript.clear()
        return Input.FINISHED
