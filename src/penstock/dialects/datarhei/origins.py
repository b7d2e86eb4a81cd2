"""Which pages may use the API for clients that are asked for no login.

The API answers pages of every origin, as datarhei's does. Without a login that would
let any page that somebody on this machine opens start programs here.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from .answers import Failure
from .login import LoginDesk
from .requests import Request

__all__ = ["OriginGuard"]


class OriginGuard:
    """A `Guard`: asks for the login, and without one for an origin that is known.

    Args:
        desk: Judges logins.
        origins: Those whose pages may do without a login; "*" for all.
    """

    def __init__(self, desk: LoginDesk, origins: Callable[[], Sequence[str]]) -> None:
        self._desk = desk
        self._origins = origins

    async def __call__(self, request: Request) -> None:
        """Let a request pass, or not. Raises: Failure 401 or 403."""
        await self._desk.guard(request)
        if self._desk.bears_token(request):
            return
        known = self._origins()
        if "*" in known:
            return
        host = request.headers.get("host", "")
        origin = request.headers.get("origin", "")
        if origin:
            is_own = urlsplit(origin).netloc == host and _is_plain(host)
        else:
            # A browser names the page that it asks for, by whatever name it has.
            is_own = _is_plain(host) or "sec-fetch-site" not in request.headers
        if not is_own and origin not in known:
            raise Failure(
                403,
                "Forbidden",
                "pages of other origins need a login (api.datarhei.username), or to "
                "be named (api.datarhei.origins)",
            )


def _is_plain(host: str) -> bool:
    """Tell whether a host is an address, or this machine: no name of somebody's."""
    name = urlsplit(f"//{host}").hostname or ""
    if name == "localhost":
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
