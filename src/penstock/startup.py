"""What a server needs before it is built: certificates, an identity, limits, jobs."""

from __future__ import annotations

import contextlib
import re
import resource
import ssl
import uuid
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from penstock.config import ConfigError, with_values
from penstock.dialects import datarhei
from penstock.job_service import JobService
from penstock.jobs.document import forget_document, load_document
from penstock.net.tls import server_context
from penstock.settings import Settings

__all__ = [
    "CHANGES",
    "certificates",
    "changed_by",
    "forget_changes",
    "installation_id",
    "nothing",
    "opened_jobs",
    "raise_descriptor_limit",
    "summed",
    "with_changes",
]

_MACHINE_ID = Path("/etc/machine-id")
CHANGES = "datarhei"
"""What the kept document is called that clients of that API have changed."""


def certificates(settings: Settings) -> dict[str, ssl.SSLContext]:
    """Return the TLS configurations by listener. Raises: ConfigError."""
    http, rtmps = settings.http, settings.rtmps
    pairs = [("http", http.cert, http.key)]
    if rtmps.listen:
        pairs.append(("rtmps", rtmps.cert or http.cert, rtmps.key or http.key))
    apis = settings.api
    for name, api in (
        ("srs", apis.srs),
        ("live777", apis.live777),
        ("datarhei", apis.datarhei),
    ):
        if api.https_listen:
            pair = api.cert or http.cert, api.key or http.key
            pairs.append((f"api.{name}.https", *pair))
    contexts = {}
    for name, cert, key in pairs:
        if cert:
            try:
                contexts[name] = server_context(cert, key)
            except OSError as error:
                reason = error.strerror or str(error)
                raise ConfigError("", f"{name}.cert", f"{cert}: {reason}") from error
    return contexts


def installation_id(settings: Settings) -> str:
    """Return an id that stays the same while this machine runs this server.

    Dashboards take another id for another server and forget what they knew.
    """
    try:
        machine = _MACHINE_ID.read_text("ascii", "replace")
    except OSError:
        machine = ""
    if not re.fullmatch(r"[0-9a-f]{32}\s*", machine):
        # Images of containers have none, or an empty one that all would share.
        return uuid.uuid4().hex
    name = f"{machine} {settings.rtmp.listen} {settings.http.listen}"
    return uuid.uuid5(uuid.NAMESPACE_OID, name).hex


def summed(*figures: Mapping[str, int]) -> dict[str, int]:
    """Add counters up by name."""
    names = dict.fromkeys(name for counts in figures for name in counts)
    return {name: sum(counts.get(name, 0) for counts in figures) for name in names}


def raise_descriptor_limit() -> int:
    """Take as many descriptors as we may: every viewer is one, 1,024 the default.

    Returns:
        How many that is.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def opened_jobs(
    settings: Settings,
) -> contextlib.AbstractAsyncContextManager[JobService | None]:
    """Return jobs and file systems, or None where they are off. Raises: ConfigError."""
    if settings.ffmpeg.jobs:
        return JobService.opened(settings)
    return contextlib.nullcontext()


async def forget_changes(jobs: JobService) -> None:
    """Keep nothing of what an API's clients have changed; waits for jobs to run."""
    await forget_document(jobs.store, CHANGES)


async def with_changes(settings: Settings, jobs: JobService | None) -> Settings:
    """Return the configuration with what an API's clients have changed of it.

    Raises:
        ConfigError: Both together cannot be.
    """
    if jobs is None:
        return settings
    return changed_by(settings, await load_document(jobs.store, CHANGES))


def changed_by(settings: Settings, document: Mapping[str, Any]) -> Settings:
    """Return the configuration with what a kept document says.

    Raises:
        ConfigError: Both together cannot be.
    """
    changes = datarhei.changed_settings(settings, document)
    return with_values(settings, changes, "the datarhei API") if changes else settings


async def nothing(_: object, __: object, send: Callable[..., Awaitable[None]]) -> None:
    """Serve nobody: an ASGI application where there is none."""
    await send({"type": "http.response.start", "status": 404, "headers": []})
    await send({"type": "http.response.body", "body": b""})
