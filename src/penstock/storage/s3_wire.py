"""What goes over the wire to an S3 server, without any I/O: names, XML, refusals."""

from __future__ import annotations

import calendar
import re
import time
from collections.abc import Mapping, Sequence
from urllib.parse import quote, unquote_plus
from xml.etree import ElementTree
from xml.sax.saxutils import escape

import attrs

from .errors import (
    AccessDenied,
    BadName,
    FileMissing,
    StorageError,
    StorageFull,
    TooLarge,
)
from .file_system import FileInfo
from .http_dates import decode_http_date
from .paths import check_name
from .s3_place import S3Place

__all__ = [
    "Answer",
    "ListingPage",
    "S3Signer",
    "begins_at",
    "decode_error_code",
    "decode_listing",
    "decode_text",
    "encode_parts",
    "encode_url",
    "info_of",
    "refusal",
]

_UNRESERVED = "-_.~"
_RANGE = re.compile(r"bytes ([0-9]{1,19})-[0-9]{1,19}/[0-9]{1,19}")
_SIZE = re.compile(r"[0-9]{1,19}")
_CODE = re.compile(r"[A-Za-z0-9]{1,64}")
_ETAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e]{0,256}"')
_BARE_ETAG = re.compile(r"[\x21\x23-\x7e]{1,256}")
_LISTED_TIME = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})"
)


@attrs.frozen
class Answer:
    """A whole answer of the server."""

    status: int
    headers: Mapping[str, str]
    """Keys are found in any case."""
    body: bytes = b""


# -- requests -------------------------------------------------------------------------


def encode_url(
    place: S3Place, name: str | None, query: Mapping[str, str] | None = None
) -> str:
    """Return the URL of a file, or of the bucket if there is no name.

    Everything but RFC 3986's unreserved characters is percent-encoded, in the one way
    that signatures are computed over.

    Args:
        place: The bucket.
        name: As `check_name` returns it.
        query: Not encoded.
    """
    key = "" if name is None else f"/{quote(place.prefix + name[1:], safe='/-_.~')}"
    pairs = sorted((query or {}).items())
    words = [
        f"{quote(k, safe=_UNRESERVED)}={quote(v, safe=_UNRESERVED)}" for k, v in pairs
    ]
    return (
        f"{place.endpoint}/{place.bucket}{key}{'?' if words else ''}{'&'.join(words)}"
    )


class S3Signer:
    """Signs requests with a place's key (AWS Signature Version 4).

    Raises:
        StorageError: botocore, which knows how, is not installed.
    """

    def __init__(self, place: S3Place) -> None:
        try:
            from botocore.auth import S3SigV4Auth
            from botocore.awsrequest import AWSRequest
            from botocore.credentials import Credentials
        except ImportError:
            raise StorageError(
                "file systems in S3 buckets need the extra s3: "
                "pip install 'penstock[s3]'"
            ) from None
        self._request = AWSRequest
        self._auth = S3SigV4Auth(
            Credentials(place.access_key_id, place.secret_access_key),
            "s3",
            place.region,
        )

    def sign(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes
    ) -> dict[str, str]:
        """Return the headers with those of the signature.

        It covers the body, so what was damaged on the way is refused by the server,
        also without TLS. That is a SHA-256: 2 to 4 ms a MiB on slow processors.
        """
        request = self._request(
            method=method, url=url, headers=dict(headers), data=body
        )
        self._auth.add_auth(request)
        return {str(name): str(value) for name, value in request.headers.items()}


def encode_parts(etags: Sequence[str]) -> bytes:
    """Return the list of an upload's parts, in order."""
    parts = "".join(
        f"<Part><PartNumber>{number}</PartNumber><ETag>{escape(etag)}</ETag></Part>"
        for number, etag in enumerate(etags, 1)
    )
    return (
        '<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        f"{parts}</CompleteMultipartUpload>"
    ).encode()


# -- answers --------------------------------------------------------------------------


@attrs.frozen
class ListingPage:
    """Files, and how to ask for more."""

    infos: list[FileInfo]
    continuation: str
    """Empty at the end."""


def decode_listing(body: bytes, prefix: str) -> ListingPage:
    """Return the files of a page. It takes milliseconds: 1,000 files are usual.

    Keys that are no names, such as ``a//b`` or the ``a/`` that stands for a folder in
    some programs, are left out: nobody could open them.

    Raises: StorageError: It is no listing.
    """
    root = _parse(body, "ListBucketResult")
    is_encoded = _text(root, "EncodingType") == "url"
    infos = []
    for entry in _children(root, "Contents"):
        key = _text(entry, "Key")
        if is_encoded:
            key = unquote_plus(key)
        size = _text(entry, "Size")
        modified_at = _decode_listed_time(_text(entry, "LastModified"))
        if not _SIZE.fullmatch(size) or modified_at is None:
            raise StorageError("the S3 server's listing cannot be understood")
        if not key.startswith(prefix):
            continue
        try:
            name = check_name(key[len(prefix) :])
        except BadName:
            continue
        if name[1:] != key[len(prefix) :]:
            continue
        etag = _checked_etag(_text(entry, "ETag"))
        infos.append(FileInfo(name, int(size), modified_at, etag))
    if _text(root, "IsTruncated") != "true":
        return ListingPage(infos, "")
    continuation = _text(root, "NextContinuationToken")
    if not continuation:
        raise StorageError("the S3 server's listing ends without an end")
    return ListingPage(infos, continuation)


def decode_text(body: bytes, root: str, child: str) -> str:
    """Return the text of one element below the root.

    Raises: StorageError: The answer is another one or has no such element.
    """
    if not (text := _text(_parse(body, root), child)):
        raise StorageError(f"the S3 server's answer has no {child}")
    return text


def decode_error_code(body: bytes) -> str:
    """Return the code of an error, such as ``NoSuchKey``, or nothing."""
    try:
        code = _text(_parse(body, "Error"), "Code")
    except StorageError:
        return ""
    return code if _CODE.fullmatch(code) else ""


def begins_at(headers: Mapping[str, str], start: int) -> bool:
    """Return whether the answer is a range that begins there."""
    found = _RANGE.fullmatch(headers.get("content-range", ""))
    return found is not None and int(found[1]) == start


def info_of(name: str, headers: Mapping[str, str]) -> FileInfo:
    """Return what an answer's header fields say about a file.

    Raises: StorageError: They do not say it.
    """
    size = headers.get("content-length", "")
    if not _SIZE.fullmatch(size):
        raise StorageError("the S3 server does not say how large a file is")
    now = time.time()
    modified_at = decode_http_date(headers.get("last-modified", ""), now)
    if modified_at is None:
        raise StorageError("the S3 server does not say when a file was changed")
    etag = _checked_etag(headers.get("etag", ""))
    return FileInfo(name, int(size), float(modified_at), etag)


def _decode_listed_time(text: str) -> float | None:
    # To the second, as all other answers have it: one file has one time.
    if (found := _LISTED_TIME.match(text)) is None:
        return None
    try:
        return float(calendar.timegm(tuple(map(int, found.groups()))))
    except ValueError:
        return None


def _checked_etag(text: str) -> str:
    if _ETAG.fullmatch(text):
        return text
    # Some servers leave the quotes out.
    if _BARE_ETAG.fullmatch(text):
        return f'"{text}"'
    raise StorageError("the S3 server gives a file no proper entity tag")


def _parse(body: bytes, root: str) -> ElementTree.Element:
    # No answer has one, and entities that grow are declared there.
    if b"<!DOCTYPE" in body:
        raise StorageError("the S3 server's answer cannot be understood")
    try:
        tree = ElementTree.fromstring(body)
    except (ElementTree.ParseError, LookupError, ValueError):
        # The second and third: an encoding that is unknown or of several bytes.
        raise StorageError("the S3 server's answer cannot be understood") from None
    if _tag(tree) != root:
        raise StorageError("the S3 server answered something else than was asked")
    return tree


def _tag(element: ElementTree.Element) -> str:
    # Servers differ in the namespace.
    return element.tag.rpartition("}")[2]


def _children(element: ElementTree.Element, tag: str) -> list[ElementTree.Element]:
    return [child for child in element if _tag(child) == tag]


def _text(element: ElementTree.Element, tag: str) -> str:
    return next((c.text or "" for c in element if _tag(c) == tag), "")


# -- refusals -------------------------------------------------------------------------

_DENIED = {
    "AccessDenied": "the S3 server does not let this key do that",
    "AllAccessDisabled": "the S3 server has closed the bucket",
    "AccountProblem": "the S3 server has closed the account",
    "InvalidAccessKeyId": "the S3 server does not know the access key",
    "SignatureDoesNotMatch": "the secret key or the region of the S3 bucket is wrong",
    "AuthorizationHeaderMalformed": "the region of the S3 bucket is wrong",
    "ExpiredToken": "the access key for the S3 server has expired",
    "RequestTimeTooSkewed": "the clock of this machine or of the S3 server is wrong",
}
_OTHERS: dict[str, tuple[type[StorageError], str]] = {
    "EntityTooLarge": (TooLarge, "the file is too large for the S3 server"),
    "QuotaExceeded": (StorageFull, "the quota of the S3 bucket is used up"),
    "InsufficientCapacity": (StorageFull, "the S3 server is full"),
    "XMinioStorageFull": (StorageFull, "the S3 server is full"),
    "XMinioAdminBucketQuotaExceeded": (
        StorageFull,
        "the quota of the S3 bucket is used up",
    ),
    "KeyTooLongError": (BadName, "the name is too long for the S3 server"),
    "NoSuchBucket": (StorageError, "the S3 bucket does not exist"),
    "NoSuchUpload": (StorageError, "the S3 server has forgotten the upload"),
    "SlowDown": (StorageError, "the S3 server is too busy"),
    "PermanentRedirect": (StorageError, "the S3 bucket is at another endpoint"),
    "InvalidObjectState": (StorageError, "the file is in an archive"),
}


def refusal(answer: Answer, name: str | None) -> StorageError:
    """Return what to raise for an answer that is not what was asked for.

    The server's own words stay out of it: they may repeat the key and the signature.
    """
    code, status = decode_error_code(answer.body), answer.status
    # A HEAD has no body; 404 is the bucket's or the file's.
    if name is not None and (code == "NoSuchKey" or (status == 404 and not code)):
        return FileMissing(name)
    if code in _DENIED:
        return AccessDenied(_DENIED[code])
    if code in _OTHERS:
        kind, sentence = _OTHERS[code]
        return kind(sentence)
    if status in (401, 403):
        return AccessDenied("the S3 server does not let this key do that")
    if status == 404:
        return StorageError("the S3 bucket does not exist")
    if status == 413:
        return TooLarge("the file is too large for the S3 server")
    if status == 507:
        return StorageFull("the S3 server is full")
    if status in (429, 503):
        return StorageError("the S3 server is too busy")
    if 300 <= status < 400:
        return StorageError("the S3 bucket is at another endpoint")
    return StorageError(
        f"the S3 server answered {status}{f' ({code})' if code else ''}"
    )
