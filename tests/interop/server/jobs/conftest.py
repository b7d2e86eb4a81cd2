"""A server whose jobs are made through the API of datarhei Core."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import httpx
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.interop.server.conftest import Server, StartServer


@attrs.define(eq=False)
class Core:
    """The API of one server."""

    server: Server
    http: httpx.Client
    wait_until: Callable[..., Any]

    def create(self, config: dict[str, Any]) -> dict[str, Any]:
        answer = self.http.post("/api/v3/process", json=config)
        assert answer.status_code == 200, answer.text
        made: dict[str, Any] = answer.json()
        return made

    def state(self, id_: str) -> dict[str, Any]:
        found: dict[str, Any] = self.http.get(f"/api/v3/process/{id_}/state").json()
        return found

    def command_line(self, id_: str) -> str:
        return " ".join(self.state(id_)["command"])

    def command(self, id_: str, command: str) -> None:
        path = f"/api/v3/process/{id_}/command"
        assert self.http.put(path, json={"command": command}).json() == "OK"

    def wait(self, id_: str, exec_: str) -> dict[str, Any]:
        self.wait_until(lambda: self.state(id_)["exec"] == exec_, f"{id_} {exec_}")
        return self.state(id_)


@pytest.fixture
def start_core(
    penstock_server: StartServer, wait_until: Callable[..., Any]
) -> Iterator[Callable[..., Core]]:
    """Start servers; arguments are ``--set`` items."""
    clients: list[httpx.Client] = []

    def start(*sets: str) -> Core:
        server = penstock_server(*sets)
        base = f"http://127.0.0.1:{server.ports['api.datarhei']}"
        clients.append(httpx.Client(base_url=base, trust_env=False, timeout=60))
        return Core(server, clients[-1], wait_until)

    yield start
    for client in clients:
        client.close()


@pytest.fixture(params=["9", "5.1"])
def core(
    request: pytest.FixtureRequest,
    start_core: Callable[..., Core],
    ffmpeg9: str,
    peer: Callable[[str], str],
) -> Core:
    """A server whose jobs run with one of two FFmpegs."""
    return start_core(
        f"ffmpeg.path={ffmpeg9 if request.param == '9' else peer('ffmpeg')}"
    )
