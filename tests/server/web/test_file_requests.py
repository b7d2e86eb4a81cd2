from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.storage.errors import (
    AccessDenied,
    BadName,
    FileMissing,
    StorageError,
    StorageFull,
    TooLarge,
    WriteIncomplete,
)
from penstock.web.file_requests import (
    FileRequest,
    decode_file_name,
    failure_of,
    is_authorized,
)


def request(method: str = "GET", query: str = "") -> FileRequest:
    return FileRequest.of(
        {
            "method": method,
            "raw_path": b"/memfs/a%20b?x",
            "query_string": query.encode(),
            "headers": [(b"Accept", b"a"), (b"accept", b"b"), (b"x", b"\xff")],
            "client": None,
        }
    )


def test_a_request_is_taken_from_its_scope() -> None:
    taken = request()
    assert taken.path == "/memfs/a%20b"
    assert taken.header("ACCEPT") == "a, b"
    assert taken.header("x") == "\xff"
    assert taken.header("y") is None
    assert taken.peer == ""
    assert taken.body_size is None


@pytest.mark.parametrize(
    ("query", "value"),
    [
        ("session=abc", "abc"),
        ("a=1&session=a%2Fb&session=c", "a/b"),
        ("", ""),
        ("sessions=1", ""),
        ("&" * 31 + "session=1", "1"),
        ("&" * 32 + "session=1", ""),
        ("a=" + "b" * 5000 + "&session=1", ""),
    ],
)
def test_a_parameter_of_the_query_is_found(query: str, value: str) -> None:
    assert request(query=query).parameter("session") == value


@pytest.mark.parametrize(
    ("path", "prefix", "name"),
    [
        (b"/memfs/a.ts", "/memfs", "/a.ts"),
        (b"/memfs/a/b%20c.ts", "/memfs", "/a/b c.ts"),
        (b"/memfs/%E2%82%AC", "/memfs", "/€"),
        (b"/memfs/%252e%252e", "/memfs", "/%2e%2e"),
        (b"/memfs/a+b", "/memfs", "/a+b"),
        (b"/memfs/", "/memfs", "/"),
        (b"/a", "", "/a"),
        (b"/", "", "/"),
    ],
)
def test_a_path_is_decoded_once(path: bytes, prefix: str, name: str) -> None:
    assert decode_file_name(path, prefix) == name


@pytest.mark.parametrize(
    "path",
    [
        b"/memfs",
        b"/memfsx/a",
        b"memfs/a",
        b"http://host/memfs/a",
        b"/memfs/../a",
        b"/memfs/a/..",
        b"/memfs/./a",
        b"/memfs/%2e%2e/a",
        b"/memfs/%2E%2e",
        b"/memfs/.%2e/a",
        b"/memfs/a%2fb",
        b"/memfs/a%2Fb",
        b"/memfs/..%2fa",
        b"/memfs/a%5cb",
        b"/memfs/a%00b",
        b"/memfs/a%",
        b"/memfs/a%4",
        b"/memfs/a%zz",
        b"/memfs/%ff",
        b"/memfs/%c0%ae%c0%ae/a",
        b"/memfs/\xff",
    ],
)
def test_a_path_that_could_be_read_in_two_ways_is_refused(path: bytes) -> None:
    with pytest.raises(BadName):
        decode_file_name(path, "/memfs")


_PIECES = st.sampled_from(
    [
        b"/",
        b".",
        b"..",
        b"%2e",
        b"%2F",
        b"%",
        b"%00",
        b"%5c",
        b"\\",
        b"a",
        b"%c3",
        b"\xa4",
    ]
)


@given(st.one_of(st.binary(), st.lists(_PIECES).map(b"".join)))
def test_whatever_a_path_is_made_of_its_name_leads_nowhere_else(path: bytes) -> None:
    try:
        name = decode_file_name(b"/m/" + path, "/m")
    except BadName:
        return
    assert name.startswith("/")
    assert not {".", ".."} & set(name.split("/"))
    assert "\0" not in name
    # Nothing but the escapes of ordinary characters was taken out.
    assert name.count("/") == path.count(b"/") + 1


@pytest.mark.parametrize(
    ("error", "method", "status"),
    [
        (FileMissing("x"), "GET", 404),
        (BadName("x"), "GET", 404),
        (BadName("x"), "PUT", 400),
        (BadName("x"), "POST", 400),
        (BadName("x"), "DELETE", 404),
        (AccessDenied("x"), "GET", 403),
        (StorageFull("x"), "PUT", 507),  # RFC 4918 §11.5
        (TooLarge("x"), "PUT", 413),  # RFC 9110 §15.5.14
        (WriteIncomplete("x"), "PUT", 400),
        (StorageError("secret"), "GET", 500),
    ],
)
def test_refusals_of_the_storage_become_statuses(
    error: StorageError, method: str, status: int
) -> None:
    failure = failure_of(error, request(method))
    assert failure.status == status
    assert failure.path == "/memfs/a%20b"
    assert "secret" not in failure.reason


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


# RFC 7617 §2: the name has no colon, the password may.
@pytest.mark.parametrize(
    ("value", "is_right"),
    [
        (basic("admin:pä:ss"), True),
        (basic("admin:pä:ss").replace("Basic", "bASIC"), True),
        (basic("admin:pä:s"), False),
        (basic("admi:pä:ss"), False),
        (basic("admin"), False),
        (basic(""), False),
        (None, False),
        ("", False),
        ("Basic", False),
        ("Basic !", False),
        ("Basic /w==", False),
        ("Bearer " + basic("admin:pä:ss")[6:], False),
    ],
)
def test_a_name_and_a_password_are_checked(value: str | None, is_right: bool) -> None:
    assert is_authorized(value, ("admin", "pä:ss")) is is_right
