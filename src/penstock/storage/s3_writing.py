"""Writing an object: as a whole, or in parts that become one at the end."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

import attrs
import trio

from .errors import StorageError, TooLarge
from .media_types import media_type
from .s3_client import S3Client
from .s3_wire import (
    Answer,
    decode_error_code,
    decode_text,
    encode_parts,
    refusal,
)

__all__ = [
    "CHANGED_MEANWHILE",
    "MAX_PARTS",
    "NOT_IMPLEMENTED",
    "Store",
    "Upload",
    "conditional_statuses",
]

MAX_PARTS = 10_000
NOT_IMPLEMENTED = 501
_NOT_FOUND = 404
_CONFLICT = 409
_PRECONDITION_FAILED = 412
CHANGED_MEANWHILE = (_NOT_FOUND, _CONFLICT, _PRECONDITION_FAILED)
"""What a server says if the condition of a change does not hold any more."""

_DISCARD_S = 5.0

Store: TypeAlias = Callable[[Mapping[str, str]], Awaitable[Answer]]
"""Makes the new file the one of its name, on conditions given as header fields."""


def conditional_statuses(conditions: Mapping[str, str]) -> tuple[int, ...]:
    """Return what a server may say to a change under these conditions."""
    if not conditions:
        return ()
    judged = (_CONFLICT, _PRECONDITION_FAILED, NOT_IMPLEMENTED)
    # What ``If-Match`` names may be gone altogether.
    return (*judged, _NOT_FOUND) if "If-Match" in conditions else judged


@attrs.define(eq=False)
class Upload:
    """A file on its way, in parts or alone; invisible until its last step."""

    client: S3Client
    name: str
    id: str = ""
    """The server's; empty while there are no parts, and again when it is a file."""
    _etags: list[str] = attrs.field(factory=list, init=False)

    @property
    def _kind(self) -> dict[str, str]:
        # For others who hand out what is in the bucket, and have only this to go by.
        return {"Content-Type": media_type(self.name)}

    def put_alone(self, content: bytes) -> Store:
        """Return the last step of a file without parts."""

        async def put(conditions: Mapping[str, str]) -> Answer:
            return await self.client.call(
                "PUT",
                self.name,
                headers={**self._kind, **conditions},
                body=content,
                expected=conditional_statuses(conditions),
                is_commit=True,
                # The second try would meet what the first has written.
                repeatable=not conditions,
            )

        return put

    async def add(self, part: bytes) -> None:
        """Send the next part. All but the last have the same size.

        Raises: TooLarge: There are as many as there may be; or as `S3Client.call`.
        """
        if not self.id:
            # An upload whose id nobody got to know could never be given up.
            answer = await self.client.call(
                "POST",
                self.name,
                query={"uploads": ""},
                headers=self._kind,
                is_commit=True,
                repeatable=False,
            )
            self.id = decode_text(
                answer.body, "InitiateMultipartUploadResult", "UploadId"
            )
        if len(self._etags) == MAX_PARTS:
            raise TooLarge("the file is too large for the S3 server")
        query = {"partNumber": str(len(self._etags) + 1), "uploadId": self.id}
        answer = await self.client.call("PUT", self.name, query=query, body=part)
        self._etags.append(answer.headers.get("etag", ""))

    async def complete(self, conditions: Mapping[str, str]) -> Answer:
        """Do the last step of a file with parts."""
        answer = await self.client.call(
            "POST",
            self.name,
            query={"uploadId": self.id},
            headers=conditions,
            body=encode_parts(self._etags),
            expected=conditional_statuses(conditions),
            is_commit=True,
            repeatable=False,
        )
        if answer.status != 200:
            return answer
        # A server that has begun to answer can only say in the body that it failed.
        if decode_error_code(answer.body):
            raise refusal(attrs.evolve(answer, status=500), self.name)
        etag = decode_text(answer.body, "CompleteMultipartUploadResult", "ETag")
        self.id = ""
        date = answer.headers.get("date", "")
        return Answer(answer.status, {"etag": etag, "date": date})

    async def discard(self) -> None:
        """Give up the parts, unless they have become a file; never fails."""
        if self.id:
            with trio.move_on_after(_DISCARD_S, shield=True):
                with contextlib.suppress(StorageError):
                    await self.client.call(
                        "DELETE", self.name, query={"uploadId": self.id}
                    )
