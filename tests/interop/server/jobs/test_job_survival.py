"""kill -9 of the server, again and again: what was acknowledged is still there."""

from __future__ import annotations

import json
import random
import signal
import threading
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import httpx
import psutil
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.interop.server.conftest import Launcher, Server

pytestmark = [pytest.mark.interop, pytest.mark.slow]

WRITERS = 50
ROUNDS = 4
CHANGES = 250
"""Acknowledged in a round before the server is killed."""


@attrs.define(eq=False)
class _Writer:
    """Changes things of its own, one after the other, and notes what it was told."""

    number: int
    dice: random.Random
    jobs: dict[str, str] = attrs.field(factory=dict)
    """The reference of each job, which every change changes."""
    notes: dict[str, int] = attrs.field(factory=dict)
    files: dict[str, bytes] = attrs.field(factory=dict)
    doubt: set[str] = attrs.field(factory=set)
    """What the last request was about, if it was not answered."""
    acknowledged: int = 0

    def work(self, base: str) -> None:
        """Go on until the server is gone."""
        with httpx.Client(base_url=base, trust_env=False, timeout=60) as client:
            while True:
                try:
                    self._step(client)
                except httpx.TransportError:
                    return
                self.doubt.clear()
                self.acknowledged += 1

    def _step(self, client: httpx.Client) -> None:
        kind = self.dice.choice(("job", "job", "job", "note", "file"))
        name = f"w{self.number}-{self.dice.randrange(4)}"
        mark = f"{self.dice.randrange(1 << 30)}"
        if kind == "job":
            self._change_job(client, name, mark)
        elif kind == "note":
            self.doubt = {f"note {name}"}
            value = int(mark) if self.dice.random() < 0.8 else None
            answer = client.put(
                f"/api/v3/metadata/{name}",
                content=json.dumps(value),
                headers={"Content-Type": "application/json"},
            )
            _expect(answer, 200)
            if value is None:
                self.notes.pop(name, None)
            else:
                self.notes[name] = value
        else:
            self._change_file(client, f"/{name}.bin", mark)

    def _change_job(self, client: httpx.Client, name: str, mark: str) -> None:
        self.doubt = {f"job {name}"}
        path = f"/api/v3/process/{name}"
        if name not in self.jobs:
            _expect(client.post("/api/v3/process", json=_job(name, mark)), 200)
            self.jobs[name] = mark
        elif self.dice.random() < 0.3:
            _expect(client.delete(path), 200)
            del self.jobs[name]
        else:
            _expect(client.put(path, json={"reference": mark}), 200)
            self.jobs[name] = mark

    def _change_file(self, client: httpx.Client, name: str, mark: str) -> None:
        self.doubt = {f"file {name}"}
        path = f"/api/v3/fs/disk{name}"
        if name in self.files and self.dice.random() < 0.3:
            _expect(client.delete(path), 200)
            del self.files[name]
        else:
            content = mark.encode() * self.dice.choice((1, 5_000))
            _expect(client.put(path, content=content), 200, 201, 204)
            self.files[name] = content

    def check(self, jobs: dict[str, Any], notes: Any, client: httpx.Client) -> None:
        """Compare with what a server has; take over what was in doubt."""
        for kept in range(4):
            name = f"w{self.number}-{kept}"
            found = jobs.get(name)
            if f"job {name}" not in self.doubt:
                assert found == self.jobs.get(name), name
            _take(self.jobs, name, found)
            note = notes.get(name)
            if f"note {name}" not in self.doubt:
                assert note == self.notes.get(name), name
            _take(self.notes, name, note)
            path = f"/{name}.bin"
            answer = client.get(f"/api/v3/fs/disk{path}")
            content = answer.content if answer.status_code == 200 else None
            if f"file {path}" not in self.doubt:
                assert content == self.files.get(path), path
            _take(self.files, path, content)
        self.doubt.clear()


def _take(known: dict[str, Any], name: str, value: Any) -> None:
    if value is None:
        known.pop(name, None)
    else:
        known[name] = value


def _expect(answer: httpx.Response, *codes: int) -> None:
    assert answer.status_code in codes, (answer.request.url, answer.text)


def _job(name: str, mark: str) -> dict[str, Any]:
    lavfi = ["-f", "lavfi", "-re"]
    return {
        "id": name,
        "reference": mark,
        "reconnect": True,
        "reconnect_delay_seconds": 1,
        # A few of them run: each is a program, and there are two cores.
        "autostart": name.endswith(("0-0", "5-1")),
        "options": ["-loglevel", "error"],
        "input": [{"id": "in", "address": "color=s=16x16:r=1", "options": lavfi}],
        "output": [{"id": "out", "address": "-", "options": ["-f", "null"]}],
    }


def _programs(folder: Path) -> set[int]:
    """Return the programs that run in a folder, the disk's root."""
    found = set()
    for process in psutil.process_iter(["name"]):
        try:
            if process.info["name"].startswith("ffmpeg") and process.cwd() == str(
                folder
            ):
                found.add(process.pid)
        except psutil.Error:
            continue
    return found


def test_what_was_acknowledged_survives_and_nothing_runs_on(
    launcher: Launcher, tmp_path: Path, wait_until: Callable[..., Any]
) -> None:
    state = tmp_path / "state"
    writers = [_Writer(number, random.Random(number)) for number in range(WRITERS)]
    ran = False
    for round_ in range(ROUNDS):
        server = _launch(launcher, tmp_path / f"server-{round_}", state)
        base = f"http://127.0.0.1:{server.ports['api.datarhei']}"
        try:
            with httpx.Client(base_url=base, trust_env=False, timeout=60) as client:
                _check_all(writers, client)
            threads = [
                threading.Thread(target=writer.work, args=(base,)) for writer in writers
            ]
            for thread in threads:
                thread.start()
            goal = (round_ + 1) * CHANGES
            wait_until(partial(_have_changed, writers, goal), "enough changes")
            ran = ran or bool(_programs(state / "data"))
        finally:
            server.process.send_signal(signal.SIGKILL)
            server.process.wait()
            server.api.close()
        for thread in threads:
            thread.join()
        wait_until(lambda: not _programs(state / "data"), "all programs to end")
    assert ran
    server = _launch(launcher, tmp_path / "server-last", state)
    try:
        base = f"http://127.0.0.1:{server.ports['api.datarhei']}"
        with httpx.Client(base_url=base, trust_env=False, timeout=60) as client:
            _check_all(writers, client)
    finally:
        server.stop()
        server.api.close()
    assert not _programs(state / "data")


def _have_changed(writers: list[_Writer], goal: int) -> bool:
    return sum(writer.acknowledged for writer in writers) >= goal


def _launch(launcher: Launcher, folder: Path, state: Path) -> Server:
    return launcher.launch(folder, f"storage.dir={state}")


def _check_all(writers: list[_Writer], client: httpx.Client) -> None:
    listed = client.get("/api/v3/process", params={"filter": "config"}).json()
    jobs = {one["id"]: one["reference"] for one in listed}
    assert len(jobs) == len(listed)
    notes = client.get("/api/v3/metadata").json() or {}
    for writer in writers:
        writer.check(jobs, notes, client)
