"""File systems over HTTP: where they stand, who may write, who watches HLS there."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from functools import partial

import attrs
from prometheus_client.core import GaugeMetricFamily

from penstock.dialects import datarhei
from penstock.job_service import JobService
from penstock.metrics import exposition_of
from penstock.net.http_host import PathSwitch
from penstock.settings import Settings
from penstock.web.file_mounts import FileMount
from penstock.web.file_requests import (
    ErrorAnswer,
    FileFailure,
    Message,
    Receive,
    Send,
)
from penstock.web.hls_viewers import HlsViewerLimits, HlsViewers
from penstock.web.mount_rules import MountRules

__all__ = ["FilesHost"]

_API = re.compile(rb"/(?:api|ping|metrics|profiling)(?:/.*)?", re.DOTALL)
"""Paths of the API itself; a file of the disk may begin like one."""


class FilesHost:
    """The mounts of one server, and the viewers of HLS in all of them.

    Args:
        service: Whose file systems they are.
        settings: Gives the configuration in force.
        client: The address of a connection and headers -> that of the client.
    """

    def __init__(
        self,
        service: JobService,
        settings: Callable[[], Settings],
        client: Callable[[str, Mapping[str, str]], str],
    ) -> None:

        def limits() -> HlsViewerLimits:
            api = settings().api.datarhei
            return HlsViewerLimits(
                api.max_viewers, api.max_viewers_bps, idle_s=api.viewer_timeout_s
            )

        self.viewers = HlsViewers(
            limits,
            lambda: settings().api.datarhei.ignored_networks,
            secrets.token_bytes,
        )
        rules = MountRules(
            is_writable=True,
            credentials=lambda: service.memory_credentials,
            cors_origins=lambda: settings().http.cors_origins,
            # Its writers need not be users of the API, whose origin their pages had.
            is_boxed=True,
            error=partial(_refusal, is_disk=False),
        )
        mount = partial(FileMount, viewers=self.viewers, client=client)
        memory = service.memory
        live = attrs.evolve(rules, finds_variants=True)
        self._memory = mount(memory, "/memfs", live)
        # Everybody reads there, and nobody writes: that is for the API's port.
        read_only = attrs.evolve(live, is_writable=False)
        self._public = mount(memory, "/memfs", read_only)
        self.is_public_path = self._public.owns
        self._disk = mount(
            service.disk,
            "",
            attrs.evolve(
                rules,
                is_writable=False,
                # Pages of players are here, put by users of the API, with scripts.
                is_boxed=False,
                index="index.html",
                local_directory=service.jobs.policy.access.root,
                error=partial(_refusal, is_disk=True),
            ),
        )
        self._buckets = [
            mount(
                bucket,
                bucket.place.mount,
                attrs.evolve(rules, credentials=bucket.place.credentials),
            )
            for bucket in service.buckets
        ]

    async def serve_public(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one request of the public port, for which `is_public_path` holds."""
        await self._public(scope, receive, send)

    def beside(self, api: object) -> PathSwitch:
        """Return an application of an API, the mounts on the paths that it leaves."""
        return PathSwitch(
            api,
            [
                (self._memory.owns, self._memory),
                *((bucket.owns, bucket) for bucket in self._buckets),
                (lambda path: _API.fullmatch(path) is None, self._disk),
            ],
        )

    async def exposition(self) -> bytes:
        """Return the metric of the viewers of HLS."""
        family = GaugeMetricFamily(
            "penstock_hls_viewers", "Viewers of HLS in the file systems"
        )
        views = self.viewers.views()
        family.add_metric([], sum(view.state == "active" for view in views))
        return exposition_of(family)

    def rows(self) -> Iterator[datarhei.Row]:
        """Tell the viewers of HLS as datarhei's sessions."""
        for view in self.viewers.views():
            if view.state != "active":
                continue
            yield datarhei.Row(
                key=f"hls {view.id}",
                collector="hls",
                id=view.id,
                reference=view.reference,
                created_at=view.since,
                local=view.path,
                remote=view.referrer or "unknown",
                peer=view.referrer or "unknown",
                extra=f"[{datarhei.anonymised(view.address)}] {view.user_agent}",
                bytes_tx=view.bytes_sent,
            )


def _refusal(failure: FileFailure, *, is_disk: bool) -> ErrorAnswer:
    answer = datarhei.mount_failure(
        failure.status, failure.reason, failure.path, is_disk=is_disk
    )
    return ErrorAnswer(answer.status, answer.content_type, answer.body)
