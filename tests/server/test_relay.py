"""`bench/relay.py`: what it does to datagrams follows from its seed."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from sansmedia.sansio import Datagram
from sansmedia.sansio.testing import Conditions, DatagramLink

_PROGRAM = Path(__file__).resolve().parents[2] / "bench" / "relay.py"

pytestmark = pytest.mark.slow


class Running:
    """A relay between a client's socket and a server's."""

    def __init__(self, *options: str) -> None:
        self.server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.server.bind(("127.0.0.1", 0))
        host, port = self.server.getsockname()
        self._process = subprocess.Popen(
            [
                *(sys.executable, str(_PROGRAM), "--listen", "127.0.0.1:0"),
                *("--to", f"{host}:{port}", *options),
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self._output = self._process.stdout
        ready, listening = self._output.readline().split()
        assert ready == "ready"
        self.address = "127.0.0.1", int(listening)
        self.client = self.new_client()

    def new_client(self) -> socket.socket:
        client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        client.connect(self.address)
        client.settimeout(10)
        self.server.settimeout(10)
        return client

    def end(self) -> dict[str, Any]:
        """End the relay and return its counts."""
        self._process.terminate()
        counts: dict[str, Any] = json.loads(self._output.read())
        assert self._process.wait(10) == 0
        return counts

    def wait(self) -> None:
        """Wait until the relay has ended by itself."""
        assert self._process.wait(10) == 0

    def close(self) -> None:
        self._process.kill()
        self._process.wait(10)
        self._output.close()
        self.server.close()
        self.client.close()


Start: TypeAlias = Callable[..., Running]


@pytest.fixture
def start() -> Iterator[Start]:
    with ExitStack() as stack:

        def started(*options: str) -> Running:
            running = Running(*options)
            stack.callback(running.close)
            return running

        yield started


def _survivors(seed: int, loss: float, count: int) -> list[int]:
    """Return what the model lets through."""
    link = DatagramLink(Conditions(loss=loss), seed=seed)
    for number in range(count):
        link.send([Datagram(bytes([number]), ("c", 1))], float(number))
    return [datagram.data[0] for datagram in link.arrivals(count + 1.0)]


def test_what_is_lost_follows_from_the_seed(start: Start) -> None:
    relay = start("--loss", "0.3", "--seed", "7")
    for number in range(100):
        relay.client.send(bytes([number]))
    passed = _survivors(2 * 7, 0.3, 100)
    assert [relay.server.recv(10)[0] for _ in passed] == passed
    counts = relay.end()
    assert counts["up"]["lost"] == 100 - len(passed)
    assert counts["up"]["delivered"] == len(passed)
    assert counts["down"]["sent"] == 0


def test_each_direction_has_conditions_of_its_own(start: Start) -> None:
    relay = start("--delay", "0.02", "--down-delay", "0.08", "--up-duplicate", "1")
    sent = time.monotonic()
    relay.client.send(b"up")
    _, peer = relay.server.recvfrom(10)
    up = time.monotonic() - sent
    assert relay.server.recv(10) == b"up"
    sent = time.monotonic()
    relay.server.sendto(b"down", peer)
    assert relay.client.recv(10) == b"down"
    # The relay sends what is due within half a millisecond.
    assert up >= 0.0194
    assert time.monotonic() - sent >= 0.0794
    counts = relay.end()
    assert counts["up"]["duplicated"] == 1
    assert counts["down"]["duplicated"] == 0


def test_each_client_gets_its_own_answers(start: Start) -> None:
    relay = start()
    others = [relay.new_client() for _ in range(3)]
    for number, client in enumerate([relay.client, *others]):
        client.send(bytes([number]))
        data, peer = relay.server.recvfrom(10)
        relay.server.sendto(data * 2, peer)
    for number, client in enumerate([relay.client, *others]):
        assert client.recv(10) == bytes([number, number])
        client.close()
    assert relay.end()["clients"] == 4


def test_the_server_sees_a_chosen_source(start: Start) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        source = free.getsockname()
    relay = start("--source", f"{source[0]}:{source[1]}")
    relay.client.send(b"x")
    assert relay.server.recvfrom(10)[1] == source


def test_an_outage_counts_from_the_first_datagram(start: Start) -> None:
    relay = start("--up-outage", "0:30", "--up-outage", "40:50")
    relay.client.send(b"lost")
    relay.client.send(b"lost as well")
    relay.server.settimeout(0.2)
    with pytest.raises(TimeoutError):
        relay.server.recv(10)
    assert relay.end()["up"]["cut"] == 2


def test_it_ends_by_itself_when_told(start: Start) -> None:
    relay = start("--seconds", "0.1")
    relay.client.send(b"x")
    assert relay.server.recv(10) == b"x"
    relay.wait()
