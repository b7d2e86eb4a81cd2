"""The published vectors of SRTP, octet for octet.

Source: RFC 3711 §B.2, RFC 3711 §B.3, RFC 6188 §7, RFC 7714 §16, RFC 7714 §17.
"""

from __future__ import annotations

import hmac

import attrs
import pytest
from sansmedia.srtp import (
    ProtectionProfile,
    SessionKeys,
    SrtpReceiver,
    SrtpSender,
    derive_session_keys,
)
from sansmedia.srtp.ciphers import AeadCipher, CounterCipher, make_cipher

_hex = bytes.fromhex


@pytest.mark.parametrize(
    ("profile", "key", "expected"),
    [
        (
            ProtectionProfile.AES128_CM_HMAC_SHA1_80,
            "2b7e151628aed2a6abf7158809cf4f3c",
            "e03ead0935c95e80e166b16dd92b4eb4 d23513162b02d0f72a43a2fe4a5f97ab",
        ),
        (
            ProtectionProfile.AES_256_CM_HMAC_SHA1_80,
            "57f82fe3613fd170a85ec93c40b1f0922ec4cb0dc025b58272147cc438944a98",
            "92bdd28a93c3f52511c677d08b5515a4 9da71b2378a854f67050756ded165bac",
        ),
    ],
)
def test_the_key_stream_of_aes_cm(
    profile: ProtectionProfile, key: str, expected: str
) -> None:
    """Source: RFC 3711 §B.2, RFC 3711 §4.1.1, RFC 6188 §7.1."""
    keys = SessionKeys(_hex(key), bytes(20), _hex("f0f1f2f3f4f5f6f7f8f9fafbfcfd"))
    header = bytes(12)  # of source 0, packet 0
    [packet] = make_cipher(profile, keys).seal_run(0, 0, [(header, bytes(32))])
    assert packet[12:44] == _hex(expected)


def test_keys_are_derived_by_aes_cm_128() -> None:
    """Source: RFC 3711 §B.3, RFC 3711 §4.3.1, RFC 3711 §4.3.2."""
    keys, _ = derive_session_keys(
        ProtectionProfile.AES128_CM_HMAC_SHA1_80,
        _hex("e1f97a0d3e018be0d64fa32c06de4139"),
        _hex("0ec675ad498afeebb6960b3aabe6"),
    )
    assert keys == SessionKeys(
        encryption=_hex("c61e7a93744f39ee10734afe3ff7a087"),
        authentication=_hex("cebe321f6ff7716b6fd4ab49af256a156d38baa4"),
        salt=_hex("30cbbc08863d8c85d49db34a9ae1"),
    )


def test_keys_are_derived_by_aes_cm_256() -> None:
    """Source: RFC 6188 §7.2, RFC 6188 §2."""
    keys, _ = derive_session_keys(
        ProtectionProfile.AES_256_CM_HMAC_SHA1_80,
        _hex("f0f04914b513f2763a1b1fa130f10e2998f6f6e43e4309d1e622a0e332b9f1b6"),
        _hex("3b04803de51ee7c96423ab5b78d2"),
    )
    assert keys == SessionKeys(
        encryption=_hex(
            "5ba1064e30ec51613cad926c5a28ef731ec7fb397f70a960653caf06554cd8c4"
        ),
        authentication=_hex("fd9c32d39ed5fbb5a9dc96b30818454d1313dc05"),
        salt=_hex("fa31791685ca444a9e07c6c64e93"),
    )


# The reference packets of libsrtp's own tests, master keys included.
_CM_128 = (
    ProtectionProfile.AES128_CM_HMAC_SHA1_80,
    "e1f97a0d3e018be0d64fa32c06de4139",
    "0ec675ad498afeebb6960b3aabe6",
    "800f1234decafbadcafebabeabababababababababababababababab",
    "800f1234decafbadcafebabe4e55dc4ce79978d88ca4d215949d2402b78d6acc99ea179b8dbb",
)
_CM_256 = (
    ProtectionProfile.AES_256_CM_HMAC_SHA1_80,
    "f0f04914b513f2763a1b1fa130f10e2998f6f6e43e4309d1e622a0e332b9f1b6",
    "3b04803de51ee7c96423ab5b78d2",
    "800f1234decafbadcafebabeabababababababababababababababab",
    "800f1234decafbadcafebabef1d9de17ff251ff1aa007774b0b4b40da08d9d9a5b3a55d8873b",
)


@pytest.mark.parametrize(
    ("profile", "key", "salt", "plain", "sealed"), [_CM_128, _CM_256]
)
def test_a_reference_packet_is_protected_and_opened(
    profile: ProtectionProfile, key: str, salt: str, plain: str, sealed: str
) -> None:
    """Source: RFC 3711 §3.3, RFC 3711 §4.2, RFC 3711 §4.2.1."""
    sender = SrtpSender(profile, _hex(key), _hex(salt))
    assert sender.protect_rtp(_hex(plain)) == _hex(sealed)
    receiver = SrtpReceiver(profile, _hex(key), _hex(salt))
    assert receiver.unprotect_rtp([_hex(sealed)]) == [_hex(plain)]


_SALT = b"Quid pro quo"
_RTP_HEADER = _hex("8040f17b8041f8d35501a0b2")
_RTP_PAYLOAD = b"Gallia est omnis divisa in partes tres"


@attrs.frozen
class _Gcm:
    """The results of one key."""

    key: bytes
    rtp: bytes
    """Source: RFC 7714 §16.1.1, RFC 7714 §16.2.1."""
    rtcp: bytes
    """Source: RFC 7714 §17.1, RFC 7714 §17.2."""
    rtcp_tag_alone: bytes
    """Source: RFC 7714 §17.3, RFC 7714 §17.4."""


_GCM = [
    _Gcm(
        bytes(range(16)),
        _hex(
            "f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a51c7d19b36de3adf"
            "8833 899d7f27beb16a9152cf765ee4390cce"
        ),
        _hex(
            "63e94885dcdab67ca727d7662f6b7e997ff5c0f76c06f32dc676a5f1730d6fda4ce09b46"
            "86303ded0bb9275b c84aa45896cf4d2fc5abf87245d9eade"
        ),
        _hex("841dd9683dd78ec92ae58790125f62b3"),
    ),
    _Gcm(
        bytes(range(32)),
        _hex(
            "32b1de78a822fe12ef9f78fa332e33aab18012389a58e2f3b50b2a0276ffae0f1ba63799"
            "b87b 7aa3db36dfffd6b0f9bb7878d7a76c13"
        ),
        _hex(
            "d50ae4d1f5ce5d304ba297e47d470c282c3ece5dbffe0a50a2eaa5c1110555be8415f658"
            "c61de0476f1b6fad 1d1eb30c4446839f57ff6f6cb26ac3be"
        ),
        _hex("91db4afbfeee5a978fab4393ed2615fe"),
    ),
]
_every_key = pytest.mark.parametrize("gcm", _GCM, ids=["128", "256"])


@_every_key
def test_a_packet_is_protected_by_aes_gcm(gcm: _Gcm) -> None:
    """Source: RFC 7714 §8.1, RFC 7714 §8.2."""
    cipher = AeadCipher(SessionKeys(gcm.key, b"", _SALT))
    ssrc, index = 0x5501A0B2, 0xF17B
    sealed = _RTP_HEADER + gcm.rtp
    run = [(_RTP_HEADER, _RTP_PAYLOAD)]
    assert cipher.seal_run(ssrc, index, run) == [sealed]
    assert cipher.open(sealed, 12, ssrc, index) == _RTP_HEADER + _RTP_PAYLOAD
    assert cipher.open(sealed, 12, ssrc, index + 0x10000) is None


_RTCP = _hex(
    "81c8000d4d6172734e5450314e545032525450200000042a0000e9304c756e61"
    "deadbeefdeadbeefdeadbeefdeadbeefdeadbeef"
)
_MARS = 0x4D617273


@_every_key
def test_a_control_packet_is_protected_by_aes_gcm(gcm: _Gcm) -> None:
    """Source: RFC 7714 §9.1, RFC 7714 §9.2, RFC 7714 §9.3."""
    cipher = AeadCipher(SessionKeys(gcm.key, b"", _SALT))
    sealed = _RTCP[:8] + gcm.rtcp + _hex("800005d4")
    assert cipher.seal_rtcp(_RTCP, _MARS, 0x5D4) == sealed
    assert cipher.open_rtcp(sealed, _MARS, 0x800005D4) == _RTCP


@_every_key
def test_a_control_packet_may_be_authentic_without_being_secret(gcm: _Gcm) -> None:
    """Source: RFC 7714 §17.3, RFC 7714 §17.4."""
    cipher = AeadCipher(SessionKeys(gcm.key, b"", _SALT))
    sealed = _RTCP + gcm.rtcp_tag_alone + _hex("000005d4")
    assert cipher.open_rtcp(sealed, _MARS, 0x5D4) == _RTCP
    damaged = sealed[:20] + b"x" + sealed[21:]
    assert cipher.open_rtcp(damaged, _MARS, 0x5D4) is None


def test_a_control_packet_without_secrecy_is_taken_under_aes_cm_too() -> None:
    """Source: RFC 3711 §3.4."""
    key = bytes(range(20))
    cipher = CounterCipher(SessionKeys(bytes(16), key, bytes(14)), 10)
    authentic = _RTCP + _hex("00000003")
    sealed = authentic + hmac.digest(key, authentic, "sha1")[:10]
    assert cipher.open_rtcp(sealed, _MARS, 3) == _RTCP
    assert cipher.open_rtcp(sealed[:-1] + b"x", _MARS, 3) is None
