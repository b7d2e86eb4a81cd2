"""Secrets against published vectors and against what OpenSSL says of its sessions."""

from __future__ import annotations

import hashlib
import tomllib
from pathlib import Path
from typing import Any

import pytest
from sansmedia.dtls import CipherSuite, Role, SrtpProfile, split_srtp_keys
from sansmedia.dtls.constants import ContentType
from sansmedia.dtls.key_schedule import (
    export_keying_material,
    extended_master_secret,
    key_block,
    master_secret,
    prf,
)
from sansmedia.dtls.protection import SUITES, make_protection
from sansmedia.dtls.record_wire import Record, decode_record
from sansmedia.dtls.srtp_keys import EXPORTER_LABEL, exported_size
from sansmedia.sansio import ProtocolError, Reader

_DATA = Path(__file__).parents[2] / "data" / "dtls"
_SESSIONS = sorted(path.stem for path in _DATA.glob("openssl-*.toml"))

# RFC 5246 §5; published on the TLS working group's list (message 03416 of its archive)
# and confirmed by `openssl kdf TLS1-PRF`.
_PRF_VECTORS = [
    (
        "sha256",
        "9bbe436ba940f017b17652849a71db35",
        "a0ba9f936cda311827a6f796ffd5198c",
        "e3f229ba727be17b8d122620557cd453c2aab21d07c3d495329b52d4e61edb5a"
        "6b301791e90d35c9c9a46b4e14baf9af0fa022f7077def17abfd3797c0564bab"
        "4fbc91666e9def9b97fce34f796789baa48082d122ee42c5a72e5a5110fff701"
        "87347b66",
    ),
    (
        "sha384",
        "b80b733d6ceefcdc71566ea48e5567df",
        "cd665cf6a8447dd6ff8b27555edb7465",
        "7b0c18e9ced410ed1804f2cfa34a336a1c14dffb4900bb5fd7942107e81c83cd"
        "e9ca0faa60be9fe34f82b1233c9146a0e534cb400fed2700884f9dc236f80edd"
        "8bfa961144c9e8d792eca722a7b32fc3d416d473ebc2c5fd4abfdad05d918425"
        "9b5bf8cd4d90fa0d31e2dec479e4f1a26066f2eea9a69236a3e52655c9e9aee6"
        "91c8f3a26854308d5eaa3be85e0990703d73e56f",
    ),
]


@pytest.mark.parametrize(("name", "secret", "seed", "output"), _PRF_VECTORS)
def test_the_prf_gives_the_published_octets(
    name: str, secret: str, seed: str, output: str
) -> None:
    expected = bytes.fromhex(output)
    made = prf(
        name, bytes.fromhex(secret), b"test label", bytes.fromhex(seed), len(expected)
    )
    assert made == expected


class _Session:
    """What OpenSSL said of one session."""

    def __init__(self, name: str) -> None:
        facts: dict[str, Any] = tomllib.loads((_DATA / f"{name}.toml").read_text())
        self.facts = facts["expected"]
        self.transcript = (_DATA / f"{name}.bin").read_bytes()
        self.suite = CipherSuite[self.facts["cipher_suite"]]
        self.parameters = SUITES[self.suite]
        self.randoms = self["client_random"], self["server_random"]

    def __getitem__(self, name: str) -> bytes:
        return bytes.fromhex(self.facts[name])


@pytest.fixture(params=_SESSIONS)
def session(request: pytest.FixtureRequest) -> _Session:
    return _Session(request.param)


def test_the_master_secret_is_that_of_openssl(session: _Session) -> None:
    """RFC 7627 §4; RFC 5246 §8.1 for the session without the extension."""
    name, premaster = session.parameters.hash, session["premaster"]
    if session.facts["extended_master_secret"]:
        session_hash = hashlib.new(name, session.transcript).digest()
        made = extended_master_secret(name, premaster, session_hash)
    else:
        made = master_secret(name, premaster, *session.randoms)
    assert made == session["master"]


def test_the_exporter_gives_what_openssl_printed(session: _Session) -> None:
    """RFC 5705 §4, with the label of RFC 5764 §4.2."""
    made = export_keying_material(
        session.parameters.hash, session["master"], *session.randoms, EXPORTER_LABEL, 60
    )
    assert made == session["exported"]


def test_an_empty_context_is_not_the_same_as_none() -> None:
    """RFC 5705 §4."""
    arguments = "sha256", bytes(48), bytes(32), bytes(32), b"label", 20
    without = export_keying_material(*arguments)
    assert without != export_keying_material(*arguments, context=b"")
    seed = bytes(64) + b"\x00\x02ab"
    expected = prf("sha256", bytes(48), b"label", seed, 20)
    assert export_keying_material(*arguments, context=b"ab") == expected


def test_a_record_that_openssl_sealed_is_opened(session: _Session) -> None:
    """Nonces and additional data: RFC 5288 §3, RFC 7905 §2, RFC 5246 §6.2.3.3.

    Keys and suites: RFC 5246 §6.3, RFC 5289 §3.2.
    """
    suite = session.parameters
    keys = key_block(
        suite.hash, session["master"], *session.randoms, suite.key_size, suite.iv_size
    )
    protection = make_protection(session.suite, keys.server_key, keys.server_iv)
    record = decode_record(Reader(session["record"]))
    plaintext = session.facts["plaintext"].encode()
    assert protection.open(record) == plaintext
    assert len(record.fragment) == len(plaintext) + protection.overhead
    other = make_protection(session.suite, keys.client_key, keys.client_iv)
    with pytest.raises(ProtocolError):
        other.open(record)


@pytest.mark.parametrize("suite", list(CipherSuite))
def test_every_part_of_a_record_is_vouched_for(suite: CipherSuite) -> None:
    """RFC 5246 §6.2.3.3: type, version, epoch, number, content."""
    parameters = SUITES[suite]
    protection = make_protection(
        suite, bytes(parameters.key_size), bytes(parameters.iv_size)
    )
    kind = ContentType.APPLICATION_DATA

    def sealed() -> Record:
        record = Record(kind, 0xFEFD, 1, 5, b"content")
        record.fragment = protection.seal(record)
        return record

    assert protection.open(sealed()) == b"content"
    for field, value in (
        ("type", ContentType.ALERT),
        ("version", 0xFEFF),
        ("epoch", 2),
        ("sequence", 6),
        ("fragment", sealed().fragment[:-1]),
        ("fragment", bytes(7)),
        ("fragment", b"\x01" + bytes(40)),
    ):
        changed = sealed()
        setattr(changed, field, value)
        with pytest.raises(ProtocolError):
            protection.open(changed)


@pytest.mark.parametrize(
    ("profile", "key", "salt"),
    [
        (SrtpProfile.AES128_CM_HMAC_SHA1_80, 16, 14),
        (SrtpProfile.AES128_CM_HMAC_SHA1_32, 16, 14),
        (SrtpProfile.AEAD_AES_128_GCM, 16, 12),
        (SrtpProfile.AEAD_AES_256_GCM, 32, 12),
    ],
)
def test_keys_for_srtp_are_cut_in_the_order_of_the_specification(
    profile: SrtpProfile, key: int, salt: int
) -> None:
    """RFC 5764 §4.1.2, §4.2; RFC 7714 §12, §14.2."""
    material = bytes(range(2 * (key + salt)))
    assert exported_size(profile) == len(material)
    client = split_srtp_keys(material, profile, Role.CLIENT)
    server = split_srtp_keys(material, profile, Role.SERVER)
    assert client.local_key == server.remote_key == material[:key]
    assert client.remote_key == server.local_key == material[key : 2 * key]
    assert client.local_salt == server.remote_salt
    assert client.local_salt == material[2 * key : 2 * key + salt]
    assert client.remote_salt == server.local_salt == material[2 * key + salt :]
