"""Tokens of ours, of others, and of those who would like to have some.

RFC 7519 §7 and RFC 7515 §5 and §7.1 say how they are made and read; RFC 6750 §2.1
says where they stand.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.dialects.datarhei.tokens import (
    Use,
    bearer,
    decode_token,
    issue_token,
    signing_key,
)

NOW = 1_795_202_151
KEY = signing_key("admin", "test", "secret")
DATA = Path(__file__).parents[3] / "data" / "datarhei" / "rest-16.16.0.json"


def _part(value: object) -> str:
    octets = json.dumps(value).encode()
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def _signed(
    claims: object, header: object = None, key: bytes = KEY, hash_: Any = hashlib.sha256
) -> str:
    head = _part({"alg": "HS256"} if header is None else header)
    text = f"{head}.{_part(claims)}"
    proof = hmac.digest(key, text.encode(), hash_)
    return f"{text}.{base64.urlsafe_b64encode(proof).rstrip(b'=').decode()}"


def _claims(**changes: object) -> dict[str, object]:
    claims: dict[str, object] = {
        "exp": NOW + 600,
        "iss": "datarhei-core",
        "sub": "admin",
        "usefor": "access",
    }
    return {**claims, **changes}


def _is_good(token: str, use: Use = Use.ACCESS, now: float = NOW) -> bool:
    return decode_token(token, use, "admin", KEY, now) is not None


@pytest.mark.parametrize(("use", "seconds"), [(Use.ACCESS, 600), (Use.REFRESH, 86_400)])
def test_a_token_of_ours_says_what_clients_read(use: Use, seconds: int) -> None:
    token = issue_token(use, "admin", KEY, NOW + 0.9, "a-serial")
    head, body, _ = token.split(".")
    assert json.loads(base64.urlsafe_b64decode(head + "==")) == {
        "alg": "HS256",
        "typ": "JWT",
    }
    claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    assert claims == {
        "exi": seconds,
        "exp": NOW + seconds,
        "iat": NOW,
        "iss": "datarhei-core",
        "jti": "a-serial",
        "sub": "admin",
        "usefor": use.value,
    }
    assert decode_token(token, use, "admin", KEY, NOW) == claims


def test_tokens_of_a_real_server_hold_with_its_key() -> None:
    """Made by another implementation, in another language."""
    calls = json.loads(DATA.read_text("utf-8"))["calls"]
    config = next(c for c in calls if c["request"]["path"] == "/api/v3/config")
    secret = config["response"]["json"]["config"]["api"]["auth"]["jwt"]["secret"]
    key = signing_key("admin", "test", secret)
    login = next(c for c in calls if c["request"]["path"] == "/api/login")
    tokens = login["response"]["json"]
    for use in Use:
        token = tokens[f"{use.value}_token"]
        claims = decode_token(token, use, "admin", key, NOW)
        assert claims is not None
        assert claims["exi"] == use.lifetime
        # The same claims are the same token, letter by letter.
        again = issue_token(use, "admin", key, claims["iat"], claims["jti"])
        assert again == token


def test_a_token_ends_when_it_says() -> None:
    token = issue_token(Use.ACCESS, "admin", KEY, NOW, "a")
    assert _is_good(token, now=NOW + 599.9)
    assert not _is_good(token, now=NOW + 600)


def test_one_use_is_not_the_other() -> None:
    access = issue_token(Use.ACCESS, "admin", KEY, NOW, "a")
    refresh = issue_token(Use.REFRESH, "admin", KEY, NOW, "a")
    assert not _is_good(access, Use.REFRESH)
    assert not _is_good(refresh, Use.ACCESS)


@pytest.mark.parametrize(
    "key",
    [
        signing_key("admin", "other", "secret"),
        signing_key("admin", "test", "other"),
        b"",
    ],
)
def test_another_key_is_no_key(key: bytes) -> None:
    assert not _is_good(issue_token(Use.ACCESS, "admin", key, NOW, "a"))


@pytest.mark.parametrize(
    "token",
    [
        "",
        ".",
        "..",
        "...",
        "x.y.z",
        f"{_part({'alg': 'none'})}.{_part(_claims())}.",
        f"{_part({'alg': 'HS256'})}.{_part(_claims())}.",
        _signed(_claims(), {"alg": "none"}),
        _signed(_claims(), {"alg": "HS512"}, hash_=hashlib.sha512),
        _signed(_claims(), {"alg": ["HS256"]}),
        _signed(_claims(), {}),
        _signed(_claims(), []),
        _signed([]),
        _signed({}),
        _signed(_claims(exp=None)),
        _signed(_claims(exp=True)),
        _signed(_claims(exp="9999999999")),
        _signed(_claims(exp=NOW - 1)),
        _signed(_claims(exp=float("nan"))),
        _signed(_claims(iss="somebody")),
        _signed(_claims(sub="root")),
        _signed(_claims(sub=["admin"])),
        _signed(_claims(usefor="everything")),
        _signed(_claims()) + "=",
        _signed(_claims()) + ".x",
        _signed(_claims()) + "\n",
        " " + _signed(_claims()),
        "a" * 5_000,
        "[" * 4_000,
    ],
)
def test_a_made_up_token_is_none(token: str) -> None:
    assert _is_good(_signed(_claims()))
    assert not _is_good(token)


def test_a_signature_has_one_spelling() -> None:
    """The last letter of it has bits that mean nothing."""
    token = _signed(_claims())
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    good = [letter for letter in alphabet if _is_good(token[:-1] + letter)]
    assert good == [token[-1]]


@given(st.text())
def test_no_text_is_a_token_or_an_exception(text: str) -> None:
    assert not _is_good(text)


@given(st.binary(), st.binary())
def test_no_signed_octets_are_an_exception(head: bytes, body: bytes) -> None:
    parts = [base64.urlsafe_b64encode(one).rstrip(b"=") for one in (head, body)]
    text = b".".join(parts)
    proof = base64.urlsafe_b64encode(hmac.digest(KEY, text, "sha256")).rstrip(b"=")
    assert not _is_good((text + b"." + proof).decode())


@pytest.mark.parametrize(
    ("field", "token"),
    [
        ("Bearer abc", "abc"),
        ("bearer  abc ", "abc"),
        ("Basic abc", ""),
        ("Bearer", ""),
        ("abc", ""),
        ("", ""),
    ],
)
def test_the_token_is_taken_from_its_field(field: str, token: str) -> None:
    assert bearer(field) == token
