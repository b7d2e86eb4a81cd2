"""The command line: ``penstock serve``, ``demo``, ``check``, ``probe``, ``relay``.

Whatever a person can put right is one line on standard error and exit code 2.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import json
import os
import socket
import sys
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import NoReturn

import trio

from penstock import log
from penstock.config import Address, ConfigError, differences, load, origins
from penstock.control import ListenerView
from penstock.settings import Settings

__all__ = ["main", "publish_policy", "serve"]

EXIT_FAILED = 1
EXIT_CONFIG = 2
EXIT_INTERRUPTED = 130

Loader = Callable[[], Settings]
Ready = Callable[[list[ListenerView]], None]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return the exit code."""
    arguments = _parser().parse_args(argv)
    try:
        code: int = arguments.run(arguments)
    except ConfigError as error:
        return _complain(str(error))
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has gone; the interpreter's own last flush must
        # not complain about it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED
    return code


def serve(
    settings: Settings,
    *,
    ready_file: str | None = None,
    loader: Loader | None = None,
    places: Mapping[str, str] | None = None,
) -> int:
    """Run the server until a signal ends it; return the exit code.

    Args:
        settings: The configuration, already checked.
        ready_file: Where to write the bound addresses as JSON once all are bound.
        loader: Reads the configuration again for a reload; without one a reload
            finds the same.
        places: Where keys stand, so that a complaint names the place.
    """
    from penstock import app  # Costs half a second that `--version` need not pay.

    start = partial(
        app.serve,
        settings,
        config_loader=loader or (lambda: settings),
        ready=_announcer(settings, ready_file),
    )
    return _run(settings, start, places or {})


def publish_policy(settings: Settings) -> str:
    """Say in one sentence who may publish now."""
    auth, hooked = settings.auth, bool(settings.hooks.on_publish)
    if auth.publish == "token" and auth.publish_tokens:
        count = len(auth.publish_tokens)
        which = "the token" if count == 1 else f"one of {count} tokens"
        who = f"clients with {which} may publish"
    elif auth.publish == "open":
        who = "anybody may publish"
    elif hooked:
        # A hook stands in for what "private" and an empty "token" would demand.
        return "whoever hooks.on_publish accepts may publish" + _networks(settings)
    else:
        who = (
            "clients on loopback and private addresses may publish; "
            'auth.publish = "token" or "open" lets others in'
        )
    who += ", if hooks.on_publish accepts" if hooked else ""
    return who + _networks(settings)


def _networks(settings: Settings) -> str:
    limited = settings.auth.publish_allow or settings.auth.publish_deny
    return ", within publish_allow and publish_deny" if limited else ""


class _Parser(argparse.ArgumentParser):
    """Complains in one line, as everything here does."""

    def error(self, message: str) -> NoReturn:
        self.exit(EXIT_CONFIG, f"{self.prog}: {message} (see {self.prog} --help)\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="penstock", description="A live media server for one box.")
    version = importlib.metadata.version("penstock")
    parser.add_argument("--version", action="version", version=f"penstock {version}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, help_text: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=help_text, description=help_text)

    item = command("serve", "Run the server.")
    _add_config(item)
    item.add_argument(
        "--ready-file", metavar="FILE", help="write the bound addresses as JSON"
    )
    item.set_defaults(run=_serve_command)
    item = command("demo", "Run a server that publishes a test picture to itself.")
    _add_sets(item)
    item.add_argument("--ready-file", metavar="FILE", help=argparse.SUPPRESS)
    item.set_defaults(run=_demo_command)
    item = command("check", "Check a configuration; show what differs from defaults.")
    _add_config(item)
    item.set_defaults(run=_check_command)
    item = command("probe", "Look at a live stream: tracks, rates, start delay.")
    item.add_argument("url", metavar="URL", help="rtmp(s):// or http(s)://")
    item.add_argument(
        "--seconds",
        type=_seconds,
        default=5.0,
        metavar="N",
        help="how long to look after the first frame (default: 5)",
    )
    item.add_argument("--json", action="store_true", help="print one JSON object")
    item.set_defaults(run=_probe_command)
    item = command("relay", "Forward a stream: RTMP to RTMP, or between SRT and UDP.")
    item.add_argument(
        "source", metavar="SRC", help="rtmp(s)://, srt:// or udp:// URL to take"
    )
    item.add_argument(
        "destination", metavar="DST", help="URL of the same kind to send to"
    )
    item.set_defaults(run=_relay_command)
    return parser


def _add_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", metavar="FILE", help="a TOML file")
    _add_sets(parser)


def _add_sets(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="SECTION.KEY=VALUE",
        dest="sets",
        help="set one key; wins over the environment and the file",
    )


def _seconds(text: str) -> float:
    with contextlib.suppress(ValueError):
        value = float(text)
        if 0 < value <= 3600:
            return value
    raise argparse.ArgumentTypeError("expected a number above 0, at most 3600")


def _serve_command(arguments: argparse.Namespace) -> int:
    sources = (arguments.config, arguments.sets, os.environ)
    loader = partial(load, *sources)
    return serve(
        loader(),
        ready_file=arguments.ready_file,
        loader=loader,
        places=origins(*sources),
    )


def _check_command(arguments: argparse.Namespace) -> int:
    settings = load(arguments.config, arguments.sets, os.environ)
    print("ok")
    for key, value in differences(settings):
        print(f"{key} = {value}")
    return 0


def _demo_command(arguments: argparse.Namespace) -> int:
    from penstock import app, demo

    read = partial(load, None, arguments.sets, os.environ)
    settings = demo.demo_settings(read())
    settings, notes = demo.with_free_ports(settings)
    program = _ffmpeg(settings.ffmpeg.path)
    for note in notes:
        _say(note)

    async def serve_demo(ready: Ready) -> int:
        # A reload keeps what the demo itself has decided.
        return await app.serve(settings, config_loader=lambda: settings, ready=ready)

    start = partial(
        demo.run,
        settings,
        program,
        serve=serve_demo,
        ready=_announcer(settings, arguments.ready_file),
        say=_say,
    )
    return _run(settings, start, origins(None, arguments.sets, os.environ))


def _ffmpeg(path: str) -> str:
    from penstock.jobs.program import find_ffmpeg

    try:
        return find_ffmpeg(path)
    except LookupError as error:
        raise ConfigError("", "ffmpeg.path", str(error)) from None


def _probe_command(arguments: argparse.Namespace) -> int:
    from penstock import probe

    try:
        report = trio.run(probe.probe, arguments.url, arguments.seconds)
    except probe.ProbeError as error:
        _complain(str(error))
        return EXIT_FAILED
    print(probe.as_json(report) if arguments.json else probe.as_text(report))
    return 0


def _relay_command(arguments: argparse.Namespace) -> int:
    from sansmedia.rtmp import decode_url
    from sansmedia.sansio import ProtocolError

    urls = arguments.source, arguments.destination
    if all(url.startswith(("srt:", "udp:")) for url in urls):
        from penstock.sessions.ts_forward import run_ts_forward

        log.configure()
        return trio.run(run_ts_forward, *urls)
    for url in urls:
        try:
            address = decode_url(url)
        except ProtocolError:
            address = None
        if address is None or not address.name:
            hint = ""
            if url.startswith(("wh", "srt:", "udp:")):
                hint = "; other pairs are for [[relay]] tables of a server"
            return _complain(
                "expected rtmp(s)://host[:port]/app/name, not "
                f"{log.mask_url(url)}{hint}"
            )
    from penstock.sessions import relay

    log.configure()
    return trio.run(relay.run_standalone, *urls)


def _run(
    settings: Settings,
    start: Callable[[], Awaitable[int]],
    places: Mapping[str, str],
) -> int:
    log.configure(settings.log.level, settings.log.format)
    try:
        return trio.run(start)
    except BaseException as error:
        leaf = _only_leaf(error)
        if isinstance(leaf, ConfigError):
            place = leaf.file or places.get(leaf.key, "")
            return _complain(str(ConfigError(place, leaf.key, leaf.message)))
        if isinstance(leaf, OSError) and leaf.filename is not None:
            return _complain(f"{leaf.filename}: {leaf.strerror}")
        if isinstance(leaf, KeyboardInterrupt):
            return EXIT_INTERRUPTED
        if not isinstance(error, Exception):
            raise
        log.exception("the server has failed", error)
        return EXIT_FAILED


def _only_leaf(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def _announcer(settings: Settings, ready_file: str | None) -> Ready:
    def announce(listeners: list[ListenerView]) -> None:
        version = importlib.metadata.version("penstock")
        log.info(
            "started",
            version=version,
            pid=os.getpid(),
            publishing=publish_policy(settings),
        )
        shown = ", ".join(
            f"{item.name} {Address(item.address, item.port)}" for item in listeners
        )
        if ready_file is not None:
            _write_ready_file(ready_file, version, listeners)
        _say(f"penstock {version} is ready: {shown}")
        _notify("READY=1")

    return announce


def _write_ready_file(
    path: str, version: str, listeners: Sequence[ListenerView]
) -> None:
    record = {
        "pid": os.getpid(),
        "version": version,
        "listeners": [
            {
                "name": item.name,
                "address": item.address,
                "port": item.port,
                "secure": item.secure,
            }
            for item in listeners
        ],
    }
    folder = os.path.dirname(path) or "."
    try:
        # Whoever waits for the file must never read half of it.
        with tempfile.NamedTemporaryFile("w", dir=folder, delete=False) as file:
            json.dump(record, file)
        os.chmod(file.name, 0o644)
        os.replace(file.name, path)
    except OSError as error:
        message = f"{path} cannot be written: {error.strerror}"
        raise ConfigError("", "--ready-file", message) from None


def _notify(state: str) -> None:
    """Tell the service manager, if one asks (sd_notify)."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path.startswith(("/", "@")):
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
        try:
            out.connect("\0" + path[1:] if path.startswith("@") else path)
            out.send(state.encode())
        except OSError as error:
            log.warning("service manager not told", error=error.strerror)


def _say(line: str) -> None:
    try:
        print(line, flush=True)
    except OSError:
        # The server outlives whoever read its first line.
        log.debug("standard output is closed")


def _complain(line: str) -> int:
    print(f"penstock: {line}", file=sys.stderr)
    return EXIT_CONFIG
