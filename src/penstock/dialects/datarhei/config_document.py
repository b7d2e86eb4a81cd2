"""datarhei's configuration as one JSON document, made of ours and of what is stored.

The base is what the operator's configuration says, of `config_base`. The stored
document holds what clients have put that is different from the base, and nothing else,
so that a later change of the operator's is seen. All functions are pure.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, Final

__all__ = [
    "FIXED",
    "MASK",
    "difference",
    "masked",
    "merged",
    "unfixed",
    "unmasked",
    "value_at",
]

MASK: Final = "***"
"""What an answer shows of a secret that is set."""
# Of logins. What opens a stream or a file system is shown: whoever sees it here may
# use all of them anyway, and clients put it into the addresses that they show.
_SECRETS: Final = (
    ("api", "auth", "password"),
    ("api", "auth", "jwt", "secret"),
)
# What no client can change.
_OURS: Final = ("id", "created_at", "updated_at", "version")
_FIXED: Final = (
    "id address update_check log.topics log.max_lines db.dir host.auto "
    "api.auth.auth0.enable api.auth.auth0.tenants "
    "tls.address tls.enable tls.auto tls.email tls.cert_file tls.key_file "
    "storage.disk.dir storage.disk.cache.enable storage.disk.cache.max_size_mbytes "
    "storage.disk.cache.ttl_seconds storage.disk.cache.max_file_size_mbytes "
    "storage.disk.cache.types.allow storage.disk.cache.types.block "
    "storage.s3 storage.mimetypes_file "
    "rtmp.enable rtmp.enable_tls rtmp.address rtmp.address_tls "
    "srt.enable srt.address srt.log.enable srt.log.topics "
    "ffmpeg.binary playout.enable playout.min_port playout.max_port "
    "debug.profiling debug.force_gc debug.memory_limit_mbytes "
    "metrics.enable metrics.range_sec metrics.interval_sec "
    "sessions.enable sessions.persist sessions.persist_interval_sec "
    "service.enable service.token service.url "
    "router.blocked_prefixes router.routes router.ui_path"
)
FIXED: Final = tuple(_FIXED.split())
"""Dotted names that are the operator's alone, or mean nothing here. Clients are told
so as datarhei tells what its environment fixes, and editors leave them out then."""
# Objects whose members clients name themselves.
_FREE: Final = (("router", "routes"),)


def merged(
    base: Mapping[str, Any], over: Mapping[str, Any], _at: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Return ``base`` with the members of ``over`` that it knows.

    Objects are merged; lists, and objects whose members are free, are replaced.
    """
    result = copy.deepcopy(dict(base))
    for name, value in over.items():
        at = (*_at, name)
        if at in _FREE and isinstance(value, Mapping):
            result[name] = copy.deepcopy(dict(value))
        elif name not in result:
            continue
        elif isinstance(result[name], dict) and isinstance(value, Mapping):
            result[name] = merged(result[name], value, at)
        elif value is not None:
            result[name] = copy.deepcopy(value)
    return result


def difference(
    document: Mapping[str, Any], base: Mapping[str, Any], _at: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Return the members of ``document`` that are not as in ``base``."""
    result: dict[str, Any] = {}
    for name, value in document.items():
        old = base.get(name)
        at = (*_at, name)
        if isinstance(value, dict) and isinstance(old, dict) and at not in _FREE:
            if inner := difference(value, old, at):
                result[name] = inner
        elif value != old:
            result[name] = value
    return result


def masked(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document with `MASK` for every secret that is set."""
    result = copy.deepcopy(dict(document))
    for path in _SECRETS:
        holder = value_at(result, path[:-1])
        if isinstance(holder, dict) and holder.get(path[-1]):
            holder[path[-1]] = MASK
    return result


def unmasked(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a client's document without the secrets that it gives back masked.

    What is not there keeps its stored value. What only the server says goes as well.

    Args:
        document: Of the right shape.
    """
    result = copy.deepcopy(dict(document))
    for name in _OURS:
        result.pop(name, None)
    for path in _SECRETS:
        holder = value_at(result, path[:-1])
        if isinstance(holder, dict) and holder.get(path[-1]) == MASK:
            del holder[path[-1]]
    return result


def unfixed(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a document without what is `FIXED`."""
    result = copy.deepcopy(dict(document))
    for name in FIXED:
        *path, last = name.split(".")
        holder = value_at(result, path)
        if isinstance(holder, dict):
            holder.pop(last, None)
    return result


def value_at(document: Any, path: Sequence[str]) -> Any:  # noqa: ANN401
    """Return what is at a path of members; None if nothing is."""
    for name in path:
        if not isinstance(document, Mapping):
            return None
        document = document.get(name)
    return document
