"""Comparing configurations: with the defaults for people, with the old for reload."""

from __future__ import annotations

from penstock.log import mask_url
from penstock.settings import RelaySettings, Settings

from .schema import Key, keys, value_of

__all__ = ["changes_needing_restart", "differences"]


def changes_needing_restart(old: Settings, new: Settings) -> list[str]:
    """Return the changed keys that a reload cannot apply.

    Those are the addresses, the identity of an API, and switching TLS on or off;
    other certificates are read again by a reload.
    """
    names = [
        key.path
        for key in keys().values()
        if key.restart and value_of(old, key.path) != value_of(new, key.path)
    ]
    if bool(old.http.cert) != bool(new.http.cert):
        names.append("http.cert")
    return names


def differences(settings: Settings) -> list[tuple[str, str]]:
    """Return keys that differ from their defaults, with values as text.

    Secrets are masked, those in URLs too.
    """
    return [
        (key.path, _shown(key, value_of(settings, key.path)))
        for key in keys().values()
        if value_of(settings, key.path) != key.default
    ]


def _shown(key: Key, value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return "[" + ", ".join(_item(key, item) for item in value) + "]"
    return _item(key, value)


def _item(key: Key, value: object) -> str:
    if key.secret:
        return '"***"'
    if isinstance(value, RelaySettings):
        source = mask_url(value.source, hide_name=True)
        destination = mask_url(value.destination, hide_name=True)
        return f'"{source} -> {destination}"'
    return f'"{mask_url(value)}"' if isinstance(value, str) else str(value)
