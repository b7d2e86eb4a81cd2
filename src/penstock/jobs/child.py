"""A program that runs for a job: started, read, told to end, and never left behind.

Linux kills it when the server dies (`PR_SET_PDEATHSIG`), however that dies. The signal
comes when the thread that started it ends, so one thread starts them all and stays.
"""

from __future__ import annotations

import contextlib
import errno
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import attrs
import trio

from .counters import count

__all__ = ["Child", "Ended", "Identity", "Spawner", "end_stray", "identify"]

_PIPE = 65_536
"""What a pipe holds."""
_SHIM = (
    "import ctypes,os,signal,sys;"
    "os.environ.pop('LC_CTYPE',0);"
    "ctypes.CDLL(None).prctl(1,signal.SIGKILL);"
    "os.getppid()==int(sys.argv[1]) or os._exit(1);"
    "os.execv(sys.argv[2],sys.argv[2:])"
)
"""Does what setpriv does, where there is none: 20 ms of a core instead of 1. Python
adds a locale to an environment without one."""
_ORPHAN = 'test "$PPID" = "$0" || exit 1; unset PWD OLDPWD SHLVL; exec "$@"'
"""The server may have died before the signal was set, which nobody tells then. What a
shell adds to an empty environment is taken out again."""


@attrs.frozen
class Ended:
    """How a program ended."""

    code: int
    """Its exit status; 0 if a signal ended it."""
    signal: int = 0
    """What ended it, if that was a signal."""


@attrs.frozen
class Identity:
    """Which process it is: numbers are used again, but not with the same start."""

    pid: int
    started: int
    """Clock ticks after the boot."""
    boot: str
    """Which boot that was."""


class Spawner:
    """Starts programs, from one thread that stays as long as the server.

    Whoever uses it handles SIGINT: programs inherit it ignored otherwise.
    """

    def __init__(self) -> None:
        self._wishes: queue.SimpleQueue[Callable[[], None] | None]
        self._wishes = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._setpriv = _find_setpriv()

    async def start(
        self,
        command: Sequence[str],
        *,
        folder: Path,
        environment: dict[str, str] | None = None,
        progress: Callable[[int], Sequence[str]] | None = None,
    ) -> Child:
        """Start a program with an empty environment and nothing to read.

        It leads a process group of its own, which holds what it starts itself.

        Args:
            command: The program's path and its arguments.
            folder: Where it runs.
            environment: All that it shall find there.
            progress: Gives arguments that go in front of the others, from the number
                of a pipe that `Child.read_progress` reads.

        Raises:
            OSError: It cannot be started; the text is fit for a log.
        """
        program = command[0]
        _judge(program)
        ends: list[int] = []
        try:
            arguments = list(command[1:])
            if progress is not None:
                ends += os.pipe2(os.O_CLOEXEC)
                arguments[:0] = progress(ends[1])
            process = await self._run(
                [*self._guard(), program, *arguments],
                folder=folder,
                environment=environment or {},
                keep=ends[1:],
            )
            assert process.stderr is not None
            child = Child(
                process,
                trio.lowlevel.FdStream(os.dup(process.stderr.fileno())),
                ends.pop(0) if ends else None,
            )
            process.stderr.close()
            return child
        finally:
            for end in ends:
                os.close(end)

    def _guard(self) -> list[str]:
        """Return the words before a command that tie its life to ours."""
        if self._setpriv is not None:
            guard = [self._setpriv, "--pdeathsig", "KILL", "--"]
            return [*guard, "/bin/sh", "-c", _ORPHAN, str(os.getpid())]
        return [sys.executable, "-I", "-S", "-c", _SHIM, str(os.getpid())]

    async def _run(
        self,
        command: list[str],
        *,
        folder: Path,
        environment: dict[str, str],
        keep: Sequence[int],
    ) -> subprocess.Popen[bytes]:
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._serve, name="spawner", daemon=True
            )
            self._thread.start()
        token = trio.lowlevel.current_trio_token()
        done = trio.Event()
        result: list[subprocess.Popen[bytes] | OSError] = []

        def wish() -> None:
            try:
                result.append(
                    subprocess.Popen(
                        command,
                        stdin=subprocess.DEVNULL,
                        stdout=subprocess.DEVNULL,
                        stderr=subprocess.PIPE,
                        cwd=folder,
                        env=environment,
                        pass_fds=keep,
                        start_new_session=True,
                    )
                )
            except OSError as error:
                result.append(error)
            with contextlib.suppress(trio.RunFinishedError):
                token.run_sync_soon(done.set)

        # Half started is not known to anybody, so this is not cut short.
        with trio.CancelScope(shield=True):
            self._wishes.put(wish)
            await done.wait()
        (outcome,) = result
        if isinstance(outcome, OSError):
            raise outcome
        return outcome

    def _serve(self) -> None:
        while (wish := self._wishes.get()) is not None:
            wish()

    def close(self) -> None:
        """Let the thread go; what it has started and still runs is killed by that."""
        if self._thread is not None:
            self._wishes.put(None)
            self._thread.join()
            self._thread = None


class Child:
    """A program that was started.

    Args:
        process: Itself.
        errors: What it writes to its standard error.
        progress: The end to read of the pipe that was asked for.
    """

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        errors: trio.lowlevel.FdStream,
        progress: int | None,
    ) -> None:
        self.pid = process.pid
        self.errors = errors
        """What it writes to its standard error."""
        self._progress = progress
        if progress is not None:
            os.set_blocking(progress, False)
        self._process = process
        self._pidfd = os.pidfd_open(process.pid)
        self.identity = identify(process.pid)
        """What finds it again, or tells that it is gone; None if it is already."""

    async def wait(self) -> Ended:
        """Wait for its end. What it started itself is killed then."""
        while self._process.returncode is None:
            await trio.lowlevel.wait_readable(self._pidfd)
            self._process.poll()
        self._kill_group()
        code = self._process.returncode
        return Ended(code) if code >= 0 else Ended(0, -code)

    def interrupt(self) -> None:
        """Ask it to end: SIGINT, at which FFmpeg finishes its files."""
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGINT)

    def kill(self) -> None:
        """End it and all that it started."""
        if self._process.returncode is None:
            self._kill_group()
            self._process.kill()

    def _kill_group(self) -> None:
        # The group outlives its leader, and its number with it, while anybody is in it.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    def read_progress(self) -> bytes:
        """Return what it has written to its pipe since, a pipe's fill at most.

        Whoever has asked for a pipe looks often: a program whose pipe is full waits.
        """
        if self._progress is None:
            return b""
        try:
            return os.read(self._progress, _PIPE)
        except BlockingIOError:
            return b""

    async def aclose(self) -> None:
        """Let go of its pipes; call it after `wait`."""
        os.close(self._pidfd)
        if self._progress is not None:
            os.close(self._progress)
            self._progress = None
        await trio.aclose_forcefully(self.errors)


def _find_setpriv() -> str | None:
    """Return util-linux's setpriv; busybox has one that cannot do what is wanted."""
    path = shutil.which("setpriv")
    if path is None:
        return None
    try:
        said = subprocess.run([path, "--help"], capture_output=True, timeout=5)
    except (OSError, subprocess.SubprocessError):
        return None
    return path if b"--pdeathsig" in said.stdout + said.stderr else None


def _judge(program: str) -> None:
    """Raise what starting it would: the guard in front would start all the same."""
    if not os.access(program, os.X_OK) or os.path.isdir(program):
        code = errno.EACCES if os.path.exists(program) else errno.ENOENT
        raise OSError(code, os.strerror(code), program)


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def identify(pid: int) -> Identity | None:
    """Return which process a number stands for at present; None if it is gone."""
    counters = count(pid)
    return None if counters is None else Identity(pid, counters.started, _boot())


def end_stray(identity: Identity) -> bool:
    """Kill a program that an earlier server left behind, with all that it started.

    Returns:
        Whether it was there.
    """
    if identify(identity.pid) != identity:
        return False
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(identity.pid, signal.SIGKILL)
        return True
    return False
