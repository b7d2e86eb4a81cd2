"""Sends hooks: asks before, tells after, one URL after the other."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

import attrs
import httpx
import trio

from penstock import log
from penstock.control import HookAction, HookEvent, HookFormat, ServerView

__all__ = ["Callbacks"]

_MAX_ANSWER = 64 << 10
_MARGIN_S = 0.1
"""So that the call's own time-out comes first and is counted."""


@attrs.define(eq=False)
class Callbacks:
    """The hooks of one server. A reload replaces ``urls`` and ``timeout_s``."""

    format: HookFormat
    urls: Mapping[HookAction, Sequence[str]]
    timeout_s: float
    client: httpx.AsyncClient
    server: Callable[[], Awaitable[ServerView]]
    until: float = float("inf")
    """When the server stops: the loop's time after which nobody is told."""
    failures: int = 0
    """Hooks that could not be reached or did not answer in time."""

    def has(self, action: HookAction) -> bool:
        """Tell whether somebody wants to know of ``action``."""
        return bool(self.urls.get(action))

    async def ask(self, event: HookEvent) -> str | None:
        """Call all hooks of an event in order; the first refusal ends it.

        Returns:
            None if all accept, else the reason.
        """
        for url in self.urls.get(event.action, ()):
            refusal = await self._call(url, event, self.timeout_s)
            if refusal is not None:
                log.warning(
                    "hook refused",
                    action=event.action.value,
                    url=log.mask_url(url),
                    session=event.session.id,
                    reason=refusal,
                )
                return f"{event.action.value} hook: {refusal}"
        return None

    async def tell(self, event: HookEvent) -> None:
        """Call all hooks of an event in order, whatever they answer.

        Runs to its end even while the session is being cancelled, for at most the
        time-out each, and not beyond ``until``.
        """
        for url in self.urls.get(event.action, ()):
            now = trio.current_time()
            timeout_s = min(self.timeout_s, self.until - now)
            if timeout_s <= 0:
                return
            with trio.CancelScope(shield=True, deadline=now + timeout_s + _MARGIN_S):
                refusal = await self._call(url, event, timeout_s)
                if refusal is not None:
                    log.warning(
                        "hook answered badly",
                        action=event.action.value,
                        url=log.mask_url(url),
                        session=event.session.id,
                        reason=refusal,
                    )

    async def _call(self, url: str, event: HookEvent, timeout_s: float) -> str | None:
        request = self.format.request(url, event, await self.server())
        try:
            with trio.fail_after(timeout_s):
                async with self.client.stream(
                    request.method,
                    request.url,
                    # What is packed may unpack to any size.
                    headers=[*request.headers, ("Accept-Encoding", "identity")],
                    content=request.body,
                ) as response:
                    body = b""
                    # To the end: httpx's generators do not bear being left.
                    async for part in response.aiter_raw():
                        if len(body) <= _MAX_ANSWER:
                            body += part
        except trio.TooSlowError:
            self.failures += 1
            return f"no answer within {timeout_s:g} s"
        except UnicodeError:
            # A label of no or too many characters; its class differs between Pythons.
            self.failures += 1
            return "cannot be reached (no host name)"
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            self.failures += 1
            return f"cannot be reached ({type(error).__name__})"
        if len(body) > _MAX_ANSWER:
            return "the answer is too long"
        return self.format.refusal(response.status_code, body)
