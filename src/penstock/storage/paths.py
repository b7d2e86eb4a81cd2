"""Names of files: one check that all file systems share."""

from __future__ import annotations

from .errors import BadName

__all__ = ["MAX_NAME_BYTES", "MAX_PART_BYTES", "check_name"]

MAX_NAME_BYTES = 1024
"""Of a whole name in UTF-8: what S3 takes, and a quarter of Linux's PATH_MAX."""

MAX_PART_BYTES = 255
"""Of what stands between two slashes, in UTF-8: Linux's NAME_MAX."""


def check_name(name: str) -> str:
    """Return a name in the one form that file systems keep: with ``/`` in front.

    A name that would need repair is refused, not repaired: two spellings of one file
    would meet different rules of access and of cleaning up.

    Args:
        name: Percent-decoded exactly once by whoever took it from a URL; ``%2e%2e``
            in it is four harmless characters of a name. The first ``/`` may be missing.

    Raises:
        BadName: An empty part (so also a last ``/``), ``.`` or ``..``, a backslash, a
            control character, what is not Unicode text, or too long.
    """
    relative = name.removeprefix("/")
    if not relative:
        raise BadName("the name is empty")
    try:
        octets = relative.encode()
    except UnicodeEncodeError:
        # A lone surrogate: it would be another name after a detour over bytes.
        raise BadName("the name is not valid Unicode") from None
    if len(octets) >= MAX_NAME_BYTES:
        raise BadName(f"the name is longer than {MAX_NAME_BYTES} bytes")
    if "\\" in relative:
        raise BadName("the name contains a backslash")
    # C0, DEL and C1: they end up in headers, logs and terminals.
    if any(c < " " or "\x7f" <= c <= "\x9f" for c in relative):
        raise BadName("the name contains a control character")
    for part in relative.split("/"):
        if not part:
            raise BadName("the name has an empty part")
        if part in (".", ".."):
            raise BadName(f"the name contains the part {part!r}")
        if len(part.encode()) > MAX_PART_BYTES:
            raise BadName(f"a part of the name is longer than {MAX_PART_BYTES} bytes")
    return f"/{relative}"
