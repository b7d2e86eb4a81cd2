"""Requests to an S3 server: time-outs, second tries, and bodies that come in pieces."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Container, Mapping
from typing import TypeVar

import attrs
import httpx
import trio

from .errors import StorageError
from .s3_place import S3Place
from .s3_wire import Answer, S3Signer, begins_at, encode_url, refusal

__all__ = ["Download", "S3Client", "broken"]

_PIECE_BYTES = 64 << 10
"""Sent at once. With TLS the loop encrypts that long: well under 0.1 ms."""

_BLOCK_BYTES = 256 << 10
"""Handed to readers."""

_MAX_BODY = 4 << 20
"""Of an answer that is read whole: a page of 1,000 files has 0.4 MiB, with the longest
names 3.3 MiB."""

_SIGNED_HERE_BYTES = 16 << 10
"""What is hashed without a change of threads."""

_CONNECT_S = 5.0
_CALL_S = 300.0
"""For a whole request. Joining the parts of a large upload takes minutes at some
servers, which send blanks meanwhile."""

_CLOSE_S = 2.0
_TRIES = 3
_PAUSE_S = 0.1
_SUCCESS = {200, 204, 206}
_BUSY = {429, 500, 502, 503, 504}
_NOT_DONE = {429, 503}
"""These two say so; after the others it may have been done."""
_THREADS = 2
_CALLS = 64
_DOWNLOADS = 512
_IDLE = 16
_IDLE_S = 4.0
"""Servers close idle connections too, and a write sent in that moment would fail; many
do so after 5 s."""
_TOO_SLOW = "the S3 server does not answer in time"

Result = TypeVar("Result")


class _Body(httpx.AsyncByteStream):
    """The bytes of a request, counted out in pieces.

    Before the last piece the request becomes deaf to cancellation, if it is to be: a
    server that has less than the whole body drops it, one that has the whole of it
    does what it says, and then the answer tells which of the two it was.
    """

    def __init__(self, body: bytes, sealed: trio.CancelScope | None) -> None:
        view = memoryview(body)
        self._pieces = [
            view[start : start + _PIECE_BYTES]
            for start in range(0, len(body), _PIECE_BYTES)
        ]
        self._sealed = sealed

    def __aiter__(self) -> AsyncIterator[bytes]:
        return _Pieces(self._pieces, self._sealed)


@attrs.define(eq=False)
class _Pieces(AsyncIterator[bytes]):
    """Not a generator: one that is left has to be closed by somebody."""

    _pieces: list[memoryview]
    _sealed: trio.CancelScope | None
    _next: int = 0

    async def __anext__(self) -> bytes:
        await trio.lowlevel.checkpoint()
        if self._sealed is not None and self._next >= len(self._pieces) - 1:
            self._sealed.shield = True
        if self._next == len(self._pieces):
            raise StopAsyncIteration
        piece = self._pieces[self._next]
        self._next += 1
        return bytes(piece)


@attrs.define(eq=False)
class Download:
    """An answer whose body is read as it comes. Close it."""

    answer: Answer
    """Without its body."""
    _response: httpx.Response
    _parts: AsyncIterator[bytes]

    async def receive(self) -> bytes:
        """Return the next bytes, up to 256 KiB, or none at the end.

        Raises: httpx.HTTPError: The body broke off.
        """
        return await anext(self._parts, b"")

    async def aclose(self) -> None:
        """End it, wherever it is."""
        # httpx's generators do not bear being left, and reading to the end may be
        # gigabytes. Inside this scope whatever waits for the network raises: each of
        # them ends, and the connection lives on if the body was there as a whole.
        with trio.CancelScope() as scope:
            scope.cancel()
            with contextlib.suppress(httpx.HTTPError):
                while await self.receive():
                    pass
        with trio.move_on_after(_CLOSE_S, shield=True):
            await self._response.aclose()


class _Busy(Exception):
    """The server has no time now."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer


class S3Client:
    """Speaks to the server of one place. Call `start` first and `aclose` last.

    It lives in the loop: what is cancelled closes its connection and holds nothing, no
    thread above all. Only long bodies are hashed in threads, of a limiter of its own.

    Args:
        place: Where.
        silence_s: How long the server may say nothing, or take nothing.

    Raises:
        StorageError: The endpoint is no address.
    """

    def __init__(self, place: S3Place, silence_s: float) -> None:
        self._place = place
        self._signer: S3Signer | None = None
        try:
            self._host = httpx.URL(place.endpoint).netloc.decode("ascii")
        except (httpx.InvalidURL, UnicodeError):
            raise StorageError("the S3 server has no valid address") from None
        self._limiter = trio.CapacityLimiter(_THREADS)
        timeout = httpx.Timeout(silence_s, connect=min(_CONNECT_S, silence_s))
        self._extensions = {"timeout": timeout.as_dict()}
        self._calls: httpx.AsyncHTTPTransport | None = None
        self._downloads: httpx.AsyncHTTPTransport | None = None

    async def start(self) -> None:
        """Get ready to connect; connects to nobody yet.

        Raises: StorageError: Signing needs a package that is missing.
        """
        # The package for signing takes 150 ms to import, the authorities' certificates
        # 10 to 50 ms to read (``SSL_CERT_FILE`` in the environment names others).
        self._signer = await self.run_blocking(lambda: S3Signer(self._place))
        context = await self.run_blocking(httpx.create_ssl_context)
        # Two pools, or viewers who read slowly could keep others from writing.
        self._calls = _transport(context, _CALLS)
        self._downloads = _transport(context, _DOWNLOADS)

    async def aclose(self) -> None:
        """Close every connection."""
        transports = self._calls, self._downloads
        self._calls = self._downloads = None
        with trio.move_on_after(_CLOSE_S, shield=True):
            for transport in transports:
                if transport is not None:
                    await transport.aclose()

    async def run_blocking(self, function: Callable[[], Result]) -> Result:
        """Run what takes milliseconds in a thread of this client's."""
        return await trio.to_thread.run_sync(function, limiter=self._limiter)

    async def call(
        self,
        method: str,
        name: str | None,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        expected: Container[int] = (),
        is_commit: bool = False,
        repeatable: bool = True,
    ) -> Answer:
        """Send a request and return the whole answer.

        Args:
            method: Of HTTP.
            name: Of the file; None for the bucket.
            query: Not encoded.
            headers: Signed as they are.
            body: Signed as well.
            expected: Statuses that are answers too, beside those of success.
            is_commit: Not to be cancelled once the server may have it as a whole.
            repeatable: Whether twice does the same as once. Otherwise it is sent again
                only where the server has certainly not done it.

        Raises:
            StorageError: One of its kinds, for any other status, and if the server
                cannot be reached, says nothing in time, or nonsense.
        """

        async def attempt() -> Answer:
            scope = trio.CancelScope(deadline=trio.current_time() + _CALL_S)
            with scope:
                download = await self._send(
                    self._calls,
                    method,
                    encode_url(self._place, name, query),
                    headers or {},
                    _Body(body, scope if is_commit else None),
                    body,
                )
                return await _whole(download, expected)
            raise StorageError(_TOO_SLOW)

        answer = await _persist(attempt, repeatable=repeatable)
        if answer.status not in _SUCCESS and answer.status not in expected:
            raise refusal(answer, name)
        return answer

    async def begin(self, name: str) -> tuple[Answer, Download | None]:
        """Ask for a file; return its beginning and what is to come, if anything is.

        The beginning is up to 256 KiB; the answer has it for a body.

        Raises: StorageError: As `call`.
        """

        async def attempt() -> tuple[Answer, Download | None]:
            with trio.CancelScope(deadline=trio.current_time() + _CALL_S):
                download = await self._ask(name, {})
                if download.answer.status != 200:
                    return await _whole(download, ()), None
                head = await download.receive()
                answer = attrs.evolve(download.answer, body=head)
                if answer.headers.get("content-length") != str(len(head)):
                    return answer, download
                await download.aclose()
                return answer, None
            raise StorageError(_TOO_SLOW)

        answer, rest = await _persist(attempt)
        if answer.status != 200:
            raise refusal(answer, name)
        return answer, rest

    async def download(
        self, name: str, start: int, stop: int, etag: str
    ) -> Download | None:
        """Ask for a part of one version of a file; None if there is another one now.

        Raises: StorageError: As `call`.
        """
        headers = {"Range": f"bytes={start}-{stop - 1}"}
        if not etag.startswith("W/"):
            headers["If-Match"] = etag

        async def attempt() -> Download | Answer:
            with trio.CancelScope(deadline=trio.current_time() + _CALL_S):
                download = await self._ask(name, headers)
                if download.answer.status == 206:
                    return download
                return await _whole(download, (404, 412))
            raise StorageError(_TOO_SLOW)

        found = await _persist(attempt)
        if isinstance(found, Answer):
            if found.status in (404, 412):
                return None
            raise refusal(found, name)
        # Also where the server does not know If-Match.
        is_same = found.answer.headers.get("etag", "").strip('"') == etag.strip('"')
        if is_same and begins_at(found.answer.headers, start):
            return found
        await found.aclose()
        if is_same:
            raise StorageError("the S3 server answered with another part of the file")
        return None

    async def _ask(self, name: str, headers: Mapping[str, str]) -> Download:
        url = encode_url(self._place, name)
        nothing = _Body(b"", None)
        return await self._send(self._downloads, "GET", url, headers, nothing, b"")

    async def _send(
        self,
        transport: httpx.AsyncHTTPTransport | None,
        method: str,
        url: str,
        headers: Mapping[str, str],
        stream: _Body,
        body: bytes,
    ) -> Download:
        signer = self._signer
        if transport is None or signer is None:
            raise trio.ClosedResourceError
        headers = {"Host": self._host, **headers}
        if len(body) > _SIGNED_HERE_BYTES:
            signed = await self.run_blocking(
                lambda: signer.sign(method, url, headers, body)
            )
        else:
            signed = signer.sign(method, url, headers, body)
        if body or method in ("PUT", "POST"):
            signed["Content-Length"] = str(len(body))
        # What is packed may unpack to any size.
        signed["Accept-Encoding"] = "identity"
        response = await transport.handle_async_request(
            httpx.Request(
                method, url, headers=signed, stream=stream, extensions=self._extensions
            )
        )
        return Download(
            Answer(response.status_code, response.headers),
            response,
            response.aiter_raw(_BLOCK_BYTES),
        )


def _transport(context: ssl.SSLContext, connections: int) -> httpx.AsyncHTTPTransport:
    limits = httpx.Limits(
        max_connections=connections,
        max_keepalive_connections=_IDLE,
        keepalive_expiry=_IDLE_S,
    )
    return httpx.AsyncHTTPTransport(verify=context, trust_env=False, limits=limits)


async def _whole(download: Download, expected: Container[int]) -> Answer:
    try:
        parts = []
        size = 0
        while part := await download.receive():
            size += len(part)
            if size > _MAX_BODY:
                raise StorageError("the S3 server's answer is too long")
            parts.append(part)
    finally:
        await download.aclose()
    answer = attrs.evolve(download.answer, body=b"".join(parts))
    if answer.status in _BUSY and answer.status not in expected:
        raise _Busy(answer)
    return answer


async def _persist(
    attempt: Callable[[], Awaitable[Result]], *, repeatable: bool = True
) -> Result:
    number = 0
    while True:
        number += 1
        try:
            return await attempt()
        except _Busy as busy:
            may_repeat = repeatable or busy.answer.status in _NOT_DONE
            if number == _TRIES or not may_repeat:
                raise refusal(busy.answer, None) from None
        except httpx.HTTPError as error:
            # Who has been silent for long is not asked twice.
            is_slow = isinstance(error, httpx.TimeoutException)
            may_repeat = repeatable or isinstance(error, httpx.ConnectError)
            if number == _TRIES or is_slow or not may_repeat:
                raise broken(error) from error
        await trio.sleep(_PAUSE_S * 4 ** (number - 1))


def broken(error: httpx.HTTPError) -> StorageError:
    """Return what to raise for a request that got no answer or half of one."""
    if isinstance(error, httpx.PoolTimeout):
        return StorageError("too many requests to the S3 server are under way")
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, ssl.SSLCertVerificationError):
                return StorageError("the S3 server's certificate is not valid")
            cause = cause.__cause__ or cause.__context__
        return StorageError("the S3 server cannot be reached")
    if isinstance(error, httpx.TimeoutException):
        return StorageError(_TOO_SLOW)
    return StorageError("the connection to the S3 server broke off")
