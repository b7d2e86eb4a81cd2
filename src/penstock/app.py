"""Where everything is built and wired: the only place that makes the server's objects.

Background nursery (outlets' flush tasks, ticks, web applications) > sessions >
accept loops. A signal ends them from the inside out: listeners, sessions, the rest.
"""

from __future__ import annotations

import contextlib
import gc
import importlib.metadata
import os
import signal
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import attrs
import httpx
import trio
from sansmedia.dtls import generate_certificate

from penstock import log, metrics
from penstock.config import (
    ConfigError,
    bind_error,
    changes_needing_restart,
    is_loopback,
)
from penstock.control import HookAction, Invalid, ListenerView
from penstock.control.system import SystemFigures
from penstock.convert.frames_to_rtp import packetiser_for
from penstock.convert.framing import converter_for
from penstock.convert.transcode import transcoder_for
from penstock.dialects import datarhei, live777, srs
from penstock.engine.callbacks import Callbacks
from penstock.engine.control import EngineControl
from penstock.engine.engine import Engine, policy_of
from penstock.engine.gate import Gate
from penstock.engine.registry import Refusal, Registry
from penstock.engine.unit import Conversions
from penstock.files_host import FilesHost
from penstock.job_metrics import render_jobs
from penstock.job_service import JobService
from penstock.jobs.document import KeptDocument
from penstock.net.http_host import HttpHost, PathSwitch
from penstock.net.listener import accept_forever, bind_tcp
from penstock.net.tls import TlsWire
from penstock.net.udp import UdpPort, bind_udp
from penstock.net.wire import Wire
from penstock.sessions.http_live import plain_answer
from penstock.sessions.http_port import serve_http_connection
from penstock.sessions.relay import RelaySupervisor
from penstock.sessions.rtmp import serve_rtmp
from penstock.sessions.srt import SrtSessions
from penstock.sessions.srt_port import SrtPort
from penstock.sessions.webrtc import WebRtcSessions
from penstock.sessions.webrtc_port import WebRtcPort
from penstock.sessions.webrtc_relay import WebRtcRelays
from penstock.settings import HooksSettings, Settings
from penstock.startup import (
    CHANGES,
    certificates,
    changed_by,
    forget_changes,
    installation_id,
    nothing,
    opened_jobs,
    raise_descriptor_limit,
    summed,
    with_changes,
)
from penstock.web import create_app as create_web_app
from penstock.web.access import client_of

__all__ = ["serve"]

_DRAIN_S = 5.0
_INTERRUPT_S = 1.5
_TLS_HANDSHAKE_S = 10.0
_LOG_LINES = 1_000
"""Kept for the APIs that show them."""
_CERTIFICATE_LIFE = timedelta(days=3_650)
"""Nobody checks the dates of DTLS certificates, and the key is made at each start."""
_HOOKS = httpx.Limits(
    max_connections=100, max_keepalive_connections=20, keepalive_expiry=1.0
)
"""Node and Apache close idle connections after 5 s, just when httpx would stop using
them too: a hook sent in that moment would fail and refuse somebody."""

Ready = Callable[[list[ListenerView]], None]
Handler = Callable[[socket.socket], Awaitable[None]]


async def serve(
    settings: Settings,
    *,
    config_loader: Callable[[], Settings],
    ready: Ready,
) -> int:
    """Run a server until SIGTERM or SIGINT.

    Args:
        settings: The configuration, already checked.
        config_loader: Reads it again for SIGHUP and the APIs' reload.
        ready: Told once, when every address is bound.

    Returns:
        The exit code.

    Raises:
        ConfigError: an address cannot be bound, a certificate or a folder not be used.
    """
    async with (
        opened_jobs(settings) as jobs,
        # Each hook has its own time-out; httpx's five seconds would come first.
        # Certificates are the only thing that it takes from the environment.
        httpx.AsyncClient(
            trust_env=False,
            timeout=None,
            limits=_HOOKS,
            verify=httpx.create_ssl_context(),
        ) as client,
        trio.open_nursery() as background,
    ):
        server = await _Server.started(
            settings, config_loader, client, background, jobs
        )
        await server.run(background, ready)
        background.cancel_scope.cancel()
    return 0


@attrs.frozen
class _Listener:
    """One address to be bound and what is done with its connections."""

    name: str
    address: str
    secure: bool
    handle: Handler


def _hook_urls(hooks: HooksSettings) -> dict[HookAction, list[str]]:
    return {
        action: urls
        for action in HookAction
        if (urls := list(getattr(hooks, action.value)))
    }


class _Server:
    """One running server."""

    def __init__(
        self,
        settings: Settings,
        config_loader: Callable[[], Settings],
        client: httpx.AsyncClient,
        background: trio.Nursery,
        jobs: JobService | None,
        operators: Settings,
    ) -> None:
        self._settings = settings
        self._operators = operators
        """The configuration without what clients of an API have changed."""
        self._loaded_at = time.time()
        self._jobs = jobs
        self._config_loader = config_loader
        self._tls = certificates(settings)
        self._exhausted_at = float("-inf")
        self._names = srs.Names(settings.api.srs.server_id)
        self._system = SystemFigures(disks=settings.api.srs.disks)
        self._callbacks = Callbacks(
            format=srs.SrsHooks(self._names),
            urls=_hook_urls(settings.hooks),
            timeout_s=settings.hooks.timeout_s,
            client=client,
            server=lambda: self._control.server(),
        )
        self._registry = Registry(
            policy_of(settings),
            conversions=Conversions(
                converter=converter_for,
                packetiser=packetiser_for,
                transcoder=transcoder_for,
            ),
            nursery=background,
            max_streams=settings.limits.streams,
            replace_publisher=settings.stream.second_publisher == "replace",
        )
        self._gate = Gate(settings.auth, settings.limits, self._callbacks)
        self._engine = Engine(settings, self._registry, self._gate)
        self._calls = WebRtcRelays(self._engine, client)
        self._relays = RelaySupervisor(self._engine, self._calls)
        self._webrtc = WebRtcSessions(self._engine)
        self._webrtc_port: WebRtcPort | None = None
        self._srt = SrtSessions(self._engine)
        self._control = EngineControl(
            self._engine,
            server_id=installation_id(settings),
            version=importlib.metadata.version("penstock"),
            reload=self._reload,
            relays=self._relays,
            webrtc=self._webrtc,
            calls=self._calls,
            datagrams=lambda: summed(self._webrtc.figures(), self._srt.figures()),
        )
        self._live777_app = live777.Live777Api(
            self._control, lambda: self._settings, self._client_address
        )
        self._live777 = HttpHost(self._live777_app)
        self._srs_app = srs.create_app(
            self._control,
            self._system,
            settings.api.srs,
            self._names,
            everything=lambda: self._settings,
            client_address=self._client_address,
        )
        public: list[tuple[Callable[[bytes], bool], object]] = []
        if settings.api.srs.listen or settings.api.srs.https_listen:
            public.append((srs.is_public_path, self._srs_app.serve_public))
        if settings.api.live777.listen or settings.api.live777.https_listen:
            public.append((live777.is_public_path, self._live777_app.serve_public))
        self._files = self._datarhei_api = None
        self._datarhei = HttpHost(nothing)
        if jobs is not None:
            log.keep(_LOG_LINES)
            self._files = FilesHost(jobs, lambda: self._settings, self._client_address)
            self._datarhei_api = self._make_datarhei(jobs, self._files)
            self._datarhei = HttpHost(self._files.beside(self._datarhei_api))
        web = create_web_app(
            self._control,
            lambda: self._settings,
            jobs=None if jobs is None else jobs.jobs,
        )
        if self._files is not None:
            public.append((self._files.is_public_path, self._files.serve_public))
        self._web = HttpHost(PathSwitch(web, public))
        self._srs = HttpHost(self._srs_app)
        self._metrics = HttpHost(
            metrics.create_app(
                self._control,
                self._srs_app.exposition,
                *([] if jobs is None else [partial(render_jobs, jobs)]),
                *([] if self._files is None else [self._files.exposition]),
            )
        )

    @classmethod
    async def started(
        cls,
        settings: Settings,
        config_loader: Callable[[], Settings],
        client: httpx.AsyncClient,
        background: trio.Nursery,
        jobs: JobService | None,
    ) -> _Server:
        """Return a server by a configuration and what clients have changed of it."""
        changed = settings
        try:
            if jobs is not None and settings.api.datarhei.forget_changes:
                background.start_soon(forget_changes, jobs)
            else:
                changed = await with_changes(settings, jobs)
        except ConfigError as error:
            log.error("what the API has changed is left out", reason=str(error))
        if jobs is not None:
            jobs.configure(changed)
        return cls(changed, config_loader, client, background, jobs, settings)

    def _make_datarhei(
        self, jobs: JobService, files: FilesHost
    ) -> datarhei.DatarheiApi:
        return datarhei.DatarheiApi(
            datarhei.DatarheiParts(
                self._control,
                jobs.jobs,
                self._system,
                jobs.mounts,
                KeptDocument(jobs.store, CHANGES, self._reload, self._check_changes),
                settings=lambda: self._settings,
                operators=lambda: self._operators,
                loaded_at=lambda: self._loaded_at,
                server_id=installation_id(self._settings),
                client=self._client_address,
                viewers=files.rows,
                memory_password=lambda: (jobs.memory_credentials or ("", ""))[1],
            )
        )

    @property
    def _hosts(self) -> tuple[HttpHost, ...]:
        return self._web, self._srs, self._live777, self._datarhei, self._metrics

    # -- running ----------------------------------------------------------------------

    async def run(self, background: trio.Nursery, ready: Ready) -> None:
        """Serve until a signal says otherwise."""
        self._gate.descriptors = raise_descriptor_limit()
        with (
            self._bound() as listening,
            self._bound_webrtc() as webrtc,
            self._bound_srt() as srt_port,
        ):
            for host in self._hosts:
                await background.start(host.run)
            background.start_soon(self._live777_app.run)
            if self._datarhei_api is not None:
                for task in self._datarhei_api.tasks:
                    background.start_soon(task)
            background.start_soon(self._system.run)
            background.start_soon(self._engine.run_ticks)
            background.start_soon(self._engine.run_stall_probe)
            # What start-up made lives as long as the process: the collector need
            # not walk it again and again.
            gc.collect()
            gc.freeze()
            # A full collection holds the loop for 46 ms with 1,000 streams. Sessions
            # leave no cycles behind, so there is little to find: every hundredth of
            # those that would be due will do.
            gc.set_threshold(700, 10, 1_000)
            if webrtc is not None:
                await background.start(webrtc.run)
            if srt_port is not None:
                await background.start(srt_port.run)
            async with trio.open_nursery() as sessions:
                self._webrtc.open(webrtc, sessions)
                self._calls.open(webrtc, sessions)
                if srt_port is not None:
                    self._srt.open(srt_port, sessions)
                background.start_soon(self._relays.run)
                if self._jobs is not None:
                    await background.start(
                        self._jobs.run, self._settings, self._control.listeners
                    )
                async with trio.open_nursery() as accepting:
                    for listener, sock in listening:
                        accepting.start_soon(
                            accept_forever,
                            sock,
                            listener.handle,
                            sessions,
                            self._exhausted,
                        )
                    with trio.open_signal_receiver(
                        signal.SIGTERM, signal.SIGINT, signal.SIGHUP
                    ) as signals:
                        ready(list(self._control.listeners))
                        drain_s = await self._until_told_to_stop(signals)
                    accepting.cancel_scope.cancel()
                sessions.cancel_scope.deadline = trio.current_time() + drain_s
                await self._say_goodbye(drain_s)
        log.info("stopped")

    async def _until_told_to_stop(self, signals: object) -> float:
        """Handle signals; return how long sessions may take to end."""
        async for number in signals:  # type: ignore[attr-defined] # trio's private type
            if number == signal.SIGHUP:
                try:
                    await self._reload()
                except Invalid as error:
                    log.error("reload refused", reason=str(error))
                continue
            log.info("stopping", signal=signal.Signals(number).name)
            return _DRAIN_S if number == signal.SIGTERM else _INTERRUPT_S
        return 0.0

    async def _say_goodbye(self, drain_s: float) -> None:
        self._relays.stop()
        if self._jobs is not None:
            # Before the streams that they publish.
            with trio.move_on_after(drain_s):
                await self._jobs.jobs.stop()
        self._engine.stop(drain_s)
        for host in self._hosts:
            await host.stop()

    # -- listeners --------------------------------------------------------------------

    def _listeners(self) -> list[_Listener]:
        s = self._settings
        srs_api, live777_api, datarhei_api = s.api.srs, s.api.live777, s.api.datarhei
        return [
            _Listener("http", s.http.listen, "http" in self._tls, self._http),
            _Listener("rtmp", s.rtmp.listen, False, self._rtmp),
            _Listener("rtmps", s.rtmps.listen, True, self._rtmps),
            _Listener(
                "api.srs",
                srs_api.listen,
                False,
                partial(self._api, self._srs, ""),
            ),
            _Listener(
                "api.srs.https",
                srs_api.https_listen,
                True,
                partial(self._api, self._srs, "api.srs.https"),
            ),
            _Listener(
                "api.live777",
                live777_api.listen,
                False,
                partial(self._api, self._live777, ""),
            ),
            _Listener(
                "api.live777.https",
                live777_api.https_listen,
                True,
                partial(self._api, self._live777, "api.live777.https"),
            ),
            _Listener(
                "api.datarhei",
                datarhei_api.listen,
                False,
                partial(self._api, self._datarhei, ""),
            ),
            _Listener(
                "api.datarhei.https",
                datarhei_api.https_listen,
                True,
                partial(self._api, self._datarhei, "api.datarhei.https"),
            ),
            _Listener(
                "metrics",
                s.metrics.listen,
                False,
                partial(self._api, self._metrics, ""),
            ),
        ]

    @contextlib.contextmanager
    def _bound(self) -> Iterator[list[tuple[_Listener, socket.socket]]]:
        """Bind every listener or none. Raises: ConfigError."""
        with contextlib.ExitStack() as stack:
            listening = []
            views = []
            for listener in self._listeners():
                if not listener.address:
                    continue
                try:
                    sock = stack.enter_context(bind_tcp(listener.address))
                except OSError as error:
                    key = f"{listener.name}.listen".replace("https.l", "https_l")
                    raise bind_error(key, listener.address, error) from error
                address, port = sock.getsockname()[:2]
                views.append(
                    ListenerView(listener.name, address, port, listener.secure)
                )
                listening.append((listener, sock))
            self._control.listeners = tuple(views)
            yield listening

    @contextlib.contextmanager
    def _bound_webrtc(self) -> Iterator[WebRtcPort | None]:
        """Bind the port of WebRTC's media, if it is on. Raises: ConfigError."""
        address = self._settings.webrtc.listen
        if not address:
            yield None
            return
        try:
            udp = UdpPort(bind_udp(address))
        except OSError as error:
            raise bind_error("webrtc.listen", address, error) from error
        host, port = udp.sock.getsockname()[:2]
        view = ListenerView("webrtc", host, port, True)
        self._control.listeners = (*self._control.listeners, view)
        certificate = generate_certificate(
            os.urandom,
            not_before=datetime.now(UTC) - timedelta(days=1),
            lifetime=_CERTIFICATE_LIFE,
        )
        webrtc = WebRtcPort(udp, host, certificate, lambda: self._settings.webrtc)
        for listener in self._control.listeners:
            if listener.name == "http":
                webrtc.tcp_port = listener.port
        self._webrtc_port = webrtc
        try:
            yield webrtc
        finally:
            self._webrtc_port = None
            webrtc.close()

    @contextlib.contextmanager
    def _bound_srt(self) -> Iterator[SrtPort | None]:
        """Bind the port of SRT, if it is on. Raises: ConfigError."""
        address = self._settings.srt.listen
        if not address:
            yield None
            return
        try:
            udp = UdpPort(bind_udp(address))
        except OSError as error:
            raise bind_error("srt.listen", address, error) from error
        host, number = udp.sock.getsockname()[:2]
        view = ListenerView("srt", host, number, False)
        self._control.listeners = (*self._control.listeners, view)
        port = SrtPort(udp)
        try:
            yield port
        finally:
            port.close()

    def _exhausted(self, error: OSError) -> None:
        now = trio.current_time()
        if now - self._exhausted_at >= 5.0:
            self._exhausted_at = now
            log.error("cannot accept connections", reason=error.strerror)

    # -- connections ------------------------------------------------------------------

    def _client_address(self, peer: str, headers: Mapping[str, str]) -> str:
        trusted = self._settings.http.trusted_proxies
        return client_of(peer, headers, trusted).address

    async def _http(self, sock: socket.socket) -> None:
        await serve_http_connection(
            self._engine,
            self._web,
            lambda: self._tls.get("http"),
            self._webrtc_port,
            sock,
        )

    async def _rtmp(self, sock: socket.socket) -> None:
        await self._admitted_rtmp(Wire(sock))

    async def _rtmps(self, sock: socket.socket) -> None:
        await self._admitted_rtmp(TlsWire(sock, self._tls["rtmps"]))

    async def _admitted_rtmp(self, wire: Wire) -> None:
        address = wire.peer[0]
        try:
            self._gate.admit(address)
        except Refusal as refusal:
            self._registry.refuse(refusal)
            log.debug("connection refused", client=address, reason=refusal.reason)
            wire.close()
            return
        try:
            if await self._secured(wire):
                await serve_rtmp(self._engine, wire)
        finally:
            self._gate.dismiss(address)

    async def _api(self, host: HttpHost, tls: str, sock: socket.socket) -> None:
        wire = TlsWire(sock, self._tls[tls]) if tls else Wire(sock)
        try:
            self._gate.admit_to_api()
        except Refusal as refusal:
            await self._refuse_api(wire, refusal)
            return
        try:
            if await self._secured(wire):
                await host.serve(wire)
        finally:
            self._gate.dismiss_from_api()

    async def _refuse_api(self, wire: Wire, refusal: Refusal) -> None:
        self._registry.refuse(refusal)
        log.debug("connection refused", client=wire.peer[0], reason=refusal.reason)
        if wire.secure:
            wire.close()  # an answer would need a handshake
            return
        with contextlib.suppress(OSError):
            wire.offer(plain_answer("503 Service Unavailable", refusal.reason, []))
        await wire.finish(timeout_s=0.5)

    async def _secured(self, wire: Wire) -> bool:
        """Do the TLS handshake, if there is one to do; False if it failed."""
        if not isinstance(wire, TlsWire):
            return True
        address = wire.peer[0]
        try:
            with self._engine.lobby(_TLS_HANDSHAKE_S) as scope:
                await wire.handshake()
            if not scope.cancelled_caught:
                return True
            reason = "not over in time"
        except OSError as error:
            reason = str(error)
        log.debug("TLS handshake failed", client=address, reason=reason)
        wire.close()
        return False

    # -- reload -----------------------------------------------------------------------

    async def _reload(self) -> None:
        """Read the configuration and certificates again. Raises: Invalid."""
        try:
            operators = await trio.to_thread.run_sync(self._config_loader)
            settings = await with_changes(operators, self._jobs)
            tls = certificates(settings)
        except ConfigError as error:
            raise Invalid(str(error)) from error
        self._refuse_to_open(settings)
        unchanged = changes_needing_restart(self._settings, settings)
        self._operators = operators
        # Clients that have asked for a reload wait for another second than before.
        self._loaded_at = max(time.time(), self._loaded_at + 1)
        self._apply(settings, tls)
        log.info("configuration reloaded", needs_restart=", ".join(unchanged) or None)

    def _check_changes(self, document: Mapping[str, Any]) -> None:
        """Judge what an API's client would change. Raises: Invalid.

        Kept, it would be in the way of every reload, and the next start would drop it.
        """
        try:
            self._refuse_to_open(changed_by(self._operators, document))
        except ConfigError as error:
            raise Invalid(str(error)) from error

    def _refuse_to_open(self, settings: Settings) -> None:
        """Keep the password of an API that others reach. Raises: Invalid.

        Without one the configuration has another address, but that is for the next
        start: until then the API listens where it was bound.
        """
        if settings.api.allow_open:
            return
        api = settings.api.live777
        unguarded = []
        if not settings.api.srs.username:
            unguarded.append(("api.srs", "api.srs.username"))
        if not api.tokens and not api.secret:
            unguarded.append(("api.live777", "api.live777.tokens"))
        if not settings.api.datarhei.username:
            unguarded.append(("api.datarhei", "api.datarhei.username"))
        for prefix, key in unguarded:
            for one in self._control.listeners:
                if one.name.startswith(prefix) and not is_loopback(one.address):
                    raise Invalid(
                        f"{key}: expected as long as {one.name} listens on "
                        f"{one.address}; a restart takes up its new address"
                    )

    def _apply(self, settings: Settings, tls: dict[str, ssl.SSLContext]) -> None:
        self._settings = self._engine.settings = settings
        self._tls.pop("http", None)  # TLS of this port may be switched off
        self._tls.update(tls)
        policy = policy_of(settings)
        self._registry.policy = policy
        for stream in self._registry.streams.values():
            stream.policy = policy
        self._registry.max_streams = settings.limits.streams
        replace = settings.stream.second_publisher == "replace"
        self._registry.replace_publisher = replace
        self._gate.auth, self._gate.limits = settings.auth, settings.limits
        self._callbacks.urls = _hook_urls(settings.hooks)
        self._callbacks.timeout_s = settings.hooks.timeout_s
        log.configure(settings.log.level, settings.log.format)
        self._srs_app.configure(settings.api.srs)
        self._relays.reconcile()
        if self._jobs is not None:
            self._jobs.configure(settings)
