"""Programs of jobs: how they start, how they end, and that none is left behind."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest
import trio

from penstock.jobs.child import Child, Ended, Spawner, end_stray

SHELL = shutil.which("sh") or "/bin/sh"


@pytest.fixture(params=["setpriv", "shim"])
def spawner(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Spawner]:
    """Starts programs both ways."""
    if request.param == "shim":
        monkeypatch.setattr(shutil, "which", lambda name: None)
    made = Spawner()
    yield made
    made.close()


async def all_of(child: Child) -> str:
    data = bytearray()
    async for piece in child.errors:
        data += piece
    return data.decode()


def is_there(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


async def gone(pid: int) -> None:
    with trio.fail_after(60):
        while is_there(pid):  # noqa: ASYNC110 - nothing tells it
            await trio.sleep(0.01)


async def test_a_program_finds_nothing_but_its_arguments(
    spawner: Spawner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "x")
    script = (
        "exec 1>&2; cat; pwd; echo $1; echo ${SECRET-none}; ls /proc/self/fd | wc -l"
    )
    child = await spawner.start(
        [SHELL, "-c", script, "sh", "a b'$x"], folder=tmp_path, environment={}
    )
    words = (await all_of(child)).splitlines()
    assert await child.wait() == Ended(0)
    await child.aclose()
    assert words[:3] == [str(tmp_path), "a b'$x", "none"]
    # Its three, and the one by which ls looks.
    assert int(words[3]) == 4


async def test_a_program_has_no_environment(spawner: Spawner, tmp_path: Path) -> None:
    child = await spawner.start(["/bin/sleep", "100"], folder=tmp_path)
    process = Path(f"/proc/{child.pid}")
    with trio.fail_after(60):
        while process.joinpath("comm").read_text() != "sleep\n":  # noqa: ASYNC110
            await trio.sleep(0.01)
    assert process.joinpath("environ").read_bytes() == b""
    child.kill()
    await child.wait()
    await child.aclose()


@pytest.mark.parametrize(
    ("script", "ended"),
    [
        ("exit 0", Ended(0)),
        ("exit 255", Ended(255)),
        ("exit 7", Ended(7)),
        ("kill -9 $$", Ended(0, signal.SIGKILL)),
        ("kill -SEGV $$", Ended(0, signal.SIGSEGV)),
    ],
)
async def test_how_a_program_ends_is_told(
    spawner: Spawner, tmp_path: Path, script: str, ended: Ended
) -> None:
    child = await spawner.start([SHELL, "-c", script], folder=tmp_path)
    assert await child.wait() == ended
    child.interrupt()
    child.kill()
    await child.aclose()


async def test_a_program_that_is_none_is_an_error(
    spawner: Spawner, tmp_path: Path
) -> None:
    (tmp_path / "plain").write_text("x")
    for path, reason in (
        (tmp_path / "nothing", "No such file"),
        (tmp_path / "plain", "denied"),
        (tmp_path, "denied"),
    ):
        with pytest.raises(OSError, match=reason):
            await spawner.start([str(path)], folder=tmp_path)


async def test_a_folder_that_is_gone_is_an_error(
    spawner: Spawner, tmp_path: Path
) -> None:
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError, match="No such file"):
        await spawner.start(
            [SHELL], folder=tmp_path / "gone", progress=lambda number: [str(number)]
        )
    assert len(os.listdir("/proc/self/fd")) == before


async def test_progress_comes_by_a_pipe_of_its_own(
    spawner: Spawner, tmp_path: Path
) -> None:
    before = len(os.listdir("/proc/self/fd"))
    child = await spawner.start(
        [SHELL, "one"],
        folder=tmp_path,
        progress=lambda number: [
            "-c",
            f"echo $0 >/proc/self/fd/{number}; echo heard >&2",
        ],
    )
    assert await all_of(child) == "heard\n"
    assert child.read_progress() == b"one\n"
    assert child.read_progress() == b""
    assert await child.wait() == Ended(0)
    await child.aclose()
    assert len(os.listdir("/proc/self/fd")) == before


async def test_an_interrupt_asks_and_a_kill_takes_all(
    spawner: Spawner, tmp_path: Path
) -> None:
    script = (
        "trap 'echo asked >&2' INT; sleep 100 & echo $! >&2; while :; do wait; done"
    )
    child = await spawner.start([SHELL, "-c", script], folder=tmp_path)
    grandchild = int(await child.errors.receive_some(100))
    child.interrupt()
    assert await child.errors.receive_some(100) == b"asked\n"
    child.kill()
    assert await child.wait() == Ended(0, signal.SIGKILL)
    await gone(grandchild)
    await child.aclose()


async def test_what_a_program_leaves_behind_is_killed(
    spawner: Spawner, tmp_path: Path
) -> None:
    script = "sleep 100 </dev/null >/dev/null 2>&1 & echo $! >&2"
    child = await spawner.start([SHELL, "-c", script], folder=tmp_path)
    grandchild = int(await all_of(child))
    await child.wait()
    await gone(grandchild)
    await child.aclose()


async def test_a_stray_is_found_by_more_than_its_number(
    spawner: Spawner, tmp_path: Path
) -> None:
    child = await spawner.start([SHELL, "-c", "sleep 100; :"], folder=tmp_path)
    identity = child.identity
    assert identity is not None
    for other in (
        attrs.evolve(identity, started=identity.started + 1),
        attrs.evolve(identity, boot="another"),
        attrs.evolve(identity, pid=2**22 + 1),
    ):
        assert not end_stray(other)
    assert is_there(child.pid)
    assert end_stray(identity)
    assert await child.wait() == Ended(0, signal.SIGKILL)
    assert not end_stray(identity)
    await child.aclose()


_SERVER = """
import sys, trio
from pathlib import Path
from penstock.jobs.child import Spawner

async def main():
    spawner = Spawner()
    if sys.argv[1] == "shim":
        spawner._setpriv = None
    children = [
        await spawner.start(["/bin/sleep", "100"], folder=Path("/")) for _ in range(3)
    ]
    await trio.sleep(0.3)
    print(*[child.pid for child in children], flush=True)
    await trio.sleep(100)

trio.run(main)
"""


@pytest.mark.slow
@pytest.mark.parametrize("way", ["setpriv", "shim"])
async def test_no_program_outlives_a_server_that_is_killed(way: str) -> None:
    def run() -> list[int]:
        command = [sys.executable, "-c", _SERVER, way]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            pids = [int(word) for word in server.stdout.readline().split()]
            assert all(map(is_there, pids))
            server.kill()
        return pids

    pids = await trio.to_thread.run_sync(run)
    assert len(pids) == 3
    for pid in pids:
        await gone(pid)


async def test_a_setpriv_that_cannot_do_it_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = tmp_path / "setpriv"
    small.write_text("#!/bin/sh\necho 'usage: setpriv [--nnp] PROG' >&2; exit 1\n")
    small.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    spawner = Spawner()
    child = await spawner.start([SHELL, "-c", "echo ran >&2"], folder=tmp_path)
    assert await all_of(child) == "ran\n"
    assert await child.wait() == Ended(0)
    await child.aclose()
    spawner.close()
