"""The page's own files, read once."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib import resources

import attrs

__all__ = ["Asset", "load_assets"]

_TYPES = {
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}


@attrs.frozen
class Asset:
    """One file."""

    body: bytes
    content_type: str
    etag: str
    """With its quotes, as the header has it."""


def load_assets() -> Mapping[str, Asset]:
    """Return the files of ``static/`` by name."""
    assets = {}
    for file in resources.files(__package__).joinpath("static").iterdir():
        content_type = _TYPES.get(file.name.rpartition(".")[2])
        if content_type is not None:
            body = file.read_bytes()
            etag = f'"{hashlib.sha256(body).hexdigest()[:24]}"'
            assets[file.name] = Asset(body, content_type, etag)
    return assets
