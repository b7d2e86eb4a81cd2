"""Where everything is built and wired: the only place that makes the server's objects.

Background nursery (outlets' flush tasks, ticks, web applications) > sessions >
accept loops. A signal ends them from the inside out: listeners, sessions, the rest.
"""

from __future__ import annotations

import contextlib
import gc
import importlib.metadata
import os
import re
import resource
import signal
import socket
import ssl
import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

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
from penstock.dialects import live777, srs
from penstock.engine.callbacks import Callbacks
from penstock.engine.control import EngineControl
from penstock.engine.engine import Engine, policy_of
from penstock.engine.gate import Gate
from penstock.engine.registry import Refusal, Registry
from penstock.engine.unit import Conversions
from penstock.net.http_host import HttpHost, PathSwitch
from penstock.net.listener import accept_forever, bind_tcp
from penstock.net.tls import TlsWire, server_context
from penstock.net.udp import UdpPort, bind_udp
from penstock.net.wire import Wire
from penstock.sessions.http_live import plain_answer
from penstock.sessions.http_port import serve_http_connection
from penstock.sessions.relay import RelaySupervisor
from penstock.sessions.rtmp import serve_rtmp
from penstock.sessions.webrtc import WebRtcSessions
from penstock.sessions.webrtc_port import WebRtcPort
from penstock.sessions.webrtc_relay import WebRtcRelays
from penstock.settings import HooksSettings, Settings
from penstock.web import create_app as create_web_app
from penstock.web.access import client_of

__all__ = ["serve"]

_DRAIN_S = 5.0
_INTERRUPT_S = 1.5
_TLS_HANDSHAKE_S = 10.0
_CERTIFICATE_LIFE = timedelta(days=3_650)
"""Nobody checks the dates of DTLS certificates, and the key is made at each start."""
_HOOKS = httpx.Limits(
    max_connections=100, max_keepalive_connections=20, keepalive_expiry=1.0
)
"""Node and Apache close idle connections after 5 s, just when httpx would stop using
them too: a hook sent in that moment would fail and refuse somebody."""
_MACHINE_ID = Path("/etc/machine-id")

Ready = Callable[[list[ListenerView]], None]
Handler = Callable[[socket.socket], Awaitable[None]]


async def serve(
    settings: Settings, *, config_loader: Callable[[], Settings], ready: Ready
) -> int:
    """Run a server until SIGTERM or SIGINT.

    Args:
        settings: The configuration, already checked.
        config_loader: Reads it again for SIGHUP and the APIs' reload.
        ready: Told once, when every address is bound.

    Returns:
        The exit code.

    Raises:
        ConfigError: an address cannot be bound, or a certificate not be used.
    """
    async with (
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
        server = _Server(settings, config_loader, client, background)
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


def _certificates(settings: Settings) -> dict[str, ssl.SSLContext]:
    """Return the TLS configurations by listener. Raises: ConfigError."""
    http, rtmps = settings.http, settings.rtmps
    pairs = [("http", http.cert, http.key)]
    if rtmps.listen:
        pairs.append(("rtmps", rtmps.cert or http.cert, rtmps.key or http.key))
    for name, api in (("srs", settings.api.srs), ("live777", settings.api.live777)):
        if api.https_listen:
            pair = api.cert or http.cert, api.key or http.key
            pairs.append((f"api.{name}.https", *pair))
    contexts = {}
    for name, cert, key in pairs:
        if cert:
            try:
                contexts[name] = server_context(cert, key)
            except OSError as error:
                reason = error.strerror or str(error)
                raise ConfigError("", f"{name}.cert", f"{cert}: {reason}") from error
    return contexts


def _installation_id(settings: Settings) -> str:
    """Return an id that stays the same while this machine runs this server.

    Dashboards take another id for another server and forget what they knew.
    """
    try:
        machine = _MACHINE_ID.read_text("ascii", "replace")
    except OSError:
        machine = ""
    if not re.fullmatch(r"[0-9a-f]{32}\s*", machine):
        # Images of containers have none, or an empty one that all would share.
        return uuid.uuid4().hex
    name = f"{machine} {settings.rtmp.listen} {settings.http.listen}"
    return uuid.uuid5(uuid.NAMESPACE_OID, name).hex


def _raise_descriptor_limit() -> int:
    """Take as many descriptors as we may: every viewer is one, 1,024 the default.

    Returns:
        How many that is.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


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
    ) -> None:
        self._settings = settings
        self._config_loader = config_loader
        self._tls = _certificates(settings)
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
        self._control = EngineControl(
            self._engine,
            server_id=_installation_id(settings),
            version=importlib.metadata.version("penstock"),
            reload=self._reload,
            relays=self._relays.views,
            webrtc=self._webrtc,
            calls=self._calls,
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
        web = create_web_app(self._control, lambda: self._settings)
        self._web = HttpHost(PathSwitch(web, public))
        self._srs = HttpHost(self._srs_app)
        self._metrics = HttpHost(
            metrics.create_app(self._control, self._srs_app.exposition)
        )

    # -- running ----------------------------------------------------------------------

    async def run(self, background: trio.Nursery, ready: Ready) -> None:
        """Serve until a signal says otherwise."""
        self._gate.descriptors = _raise_descriptor_limit()
        with self._bound() as listening, self._bound_webrtc() as webrtc:
            for host in (self._web, self._srs, self._live777, self._metrics):
                await background.start(host.run)
            background.start_soon(self._live777_app.run)
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
            async with trio.open_nursery() as sessions:
                self._webrtc.open(webrtc, sessions)
                self._calls.open(webrtc, sessions)
                background.start_soon(self._relays.run)
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
        self._engine.stop(drain_s)
        for host in (self._web, self._srs, self._live777, self._metrics):
            await host.stop()

    # -- listeners --------------------------------------------------------------------

    def _listeners(self) -> list[_Listener]:
        s = self._settings
        srs_api, live777_api = s.api.srs, s.api.live777
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
            settings = await trio.to_thread.run_sync(self._config_loader)
            tls = _certificates(settings)
        except ConfigError as error:
            raise Invalid(str(error)) from error
        self._refuse_to_open(settings)
        unchanged = changes_needing_restart(self._settings, settings)
        self._apply(settings, tls)
        log.info("configuration reloaded", needs_restart=", ".join(unchanged) or None)

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
