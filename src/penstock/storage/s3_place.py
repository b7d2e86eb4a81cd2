"""Where a file system in an S3 bucket lies, and the URL that says so."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import parse_qs, unquote, urlsplit

import attrs

from .errors import BadName
from .paths import check_name

__all__ = ["DEFAULT_REGION", "S3Place", "parse_s3_url"]

DEFAULT_REGION = "us-east-1"
"""What servers without regions sign for."""

_NAME = re.compile(r"[A-Za-z0-9_-]+")
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,62}")
_AMAZON = {"amazonaws.com", "s3.amazonaws.com"}


@attrs.frozen
class S3Place:
    """A bucket, or a part of one, and who may use it.

    What `repr` shows may be logged: keys and passwords are left out of it.
    """

    name: str
    """Of the file system: letters, digits, ``-`` and ``_``."""
    endpoint: str
    """Scheme, host and perhaps a port; no slash at the end. The bucket is put into the
    path, not into the host name, which servers of one's own seldom have names for."""
    region: str
    bucket: str
    access_key_id: str = attrs.field(repr=False)
    secret_access_key: str = attrs.field(repr=False)
    mount: str
    """Where its files appear in URLs; begins with ``/``."""
    prefix: str = ""
    """Put before every name; empty or with a ``/`` at the end."""
    username: str = attrs.field(default="", repr=False)
    password: str = attrs.field(default="", repr=False)
    """For writes through the mount; both empty: nobody has to log in."""

    def credentials(self) -> tuple[str, str] | None:
        """Name and password for writes through the mount; None if nobody is asked."""
        return (self.username, self.password) if self.username else None


def parse_s3_url(url: str) -> S3Place:
    """Read ``https://KEY:SECRET@REGION.ENDPOINT/BUCKET?name=N&mount=/PATH``.

    A host of one or two labels or an address has no region in front. What follows the
    bucket in the path is a prefix. ``username=U`` and ``password=P`` may follow.
    Amazon's endpoint may be said as ``REGION.amazonaws.com``.

    Args:
        url: Percent-encoded where a part has one of the characters ``/:@?#&%``.

    Raises:
        ValueError: With a sentence about what is wrong; the URL is not in it, since it
            has the key in it.
    """
    try:
        parts = urlsplit(url.strip())
        host, port = parts.hostname or "", parts.port
    except ValueError:
        # Its text may quote what stands before the host.
        raise ValueError("the URL has no valid host and port") from None
    if parts.scheme not in ("http", "https"):
        raise ValueError("the URL begins with neither http:// nor https://")
    if not re.fullmatch(r"[a-z0-9:]([a-z0-9.:-]*[a-z0-9:])?", host) or ".." in host:
        raise ValueError("the URL has no valid host")
    key, secret = _unquoted(parts.username), _unquoted(parts.password)
    if not key or not secret:
        raise ValueError("the URL needs KEY:SECRET@ before the host")
    if not _is_printable(key) or not _is_printable(secret):
        raise ValueError("the key or the secret has a character that no key has")
    bucket, _, prefix = _unquoted(parts.path.removeprefix("/")).partition("/")
    if not _BUCKET.fullmatch(bucket):
        raise ValueError("the path of the URL does not begin with the name of a bucket")
    query = parse_qs(parts.query, keep_blank_values=True)
    name, mount = _first(query, "name"), _first(query, "mount")
    if not _NAME.fullmatch(name):
        raise ValueError("name= must be letters, digits, - and _")
    region, host = _split_region(host)
    netloc = f"[{host}]" if ":" in host else host
    return S3Place(
        name=name,
        endpoint=f"{parts.scheme}://{netloc}{'' if port is None else f':{port}'}",
        region=region,
        bucket=bucket,
        access_key_id=key,
        secret_access_key=secret,
        mount=_checked(mount, "mount= must be a path such as /s3: "),
        prefix=_checked(prefix, "the path behind the bucket: ")[1:] + "/"
        if prefix.strip("/")
        else "",
        username=_first(query, "username"),
        password=_first(query, "password"),
    )


def _split_region(host: str) -> tuple[str, str]:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        pass
    else:
        return DEFAULT_REGION, host
    region, _, rest = host.partition(".")
    if rest in _AMAZON:
        return region, f"s3.{region}.amazonaws.com"
    if "." not in rest:
        return DEFAULT_REGION, host
    return region, rest


def _checked(path: str, complaint: str) -> str:
    try:
        return check_name(path.removesuffix("/"))
    except BadName as error:
        raise ValueError(f"{complaint}{error}") from None


def _unquoted(text: str | None) -> str:
    # Bytes that are no UTF-8 come out as U+FFFD and are refused with the rest.
    return unquote(text or "")


def _is_printable(text: str) -> bool:
    return text.isascii() and text.isprintable() and " " not in text


def _first(query: dict[str, list[str]], key: str) -> str:
    return query.get(key, [""])[0]
