"""Who may come in, and what the hooks of others are asked and told."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import attrs
import httpx
import pytest
import trio
import trio.testing

from penstock.control import HookAction, HookEvent, HookRequest, ServerView
from penstock.engine.callbacks import Callbacks
from penstock.engine.gate import Gate, in_networks, is_private
from penstock.engine.registry import Refusal
from penstock.engine.session import Session
from penstock.engine.views import session_view
from penstock.settings import AuthSettings, LimitsSettings

Answer = Callable[[httpx.Request], httpx.Response]
SERVER = ServerView(
    id="i",
    service_id="s",
    version="0",
    pid=1,
    started_at=0,
    uptime_s=0,
    listeners=(),
    sessions=0,
    sessions_total=0,
    session_errors_total=0,
    streams=0,
    bytes_received=0,
    bytes_sent=0,
    loop_stall_s=0,
)


class Words:
    """Hooks whose request body is the action and whose answer is "yes" or a reason."""

    def request(self, url: str, event: HookEvent, server: ServerView) -> HookRequest:
        return HookRequest("POST", url, (), event.action.value.encode())

    def refusal(self, status: int, body: bytes) -> str | None:
        if status != 200:
            return f"status {status}"
        return None if body == b"yes" else body.decode()


async def view_of_server() -> ServerView:
    return SERVER


def callbacks(
    answer: Answer, *, timeout_s: float = 30.0, **urls: list[str]
) -> Callbacks:
    return Callbacks(
        format=Words(),
        urls={HookAction(action): targets for action, targets in urls.items()},
        timeout_s=timeout_s,
        client=httpx.AsyncClient(
            transport=httpx.MockTransport(answer), timeout=None, trust_env=False
        ),
        server=view_of_server,
    )


def answered(status: int, body: bytes) -> httpx.Response:
    """A response that comes in pieces, as from a socket."""

    async def pieces() -> AsyncIterator[bytes]:
        for at in range(0, len(body), 30_000):
            yield body[at : at + 30_000]

    return httpx.Response(status, content=pieces())


def accepting(request: httpx.Request) -> httpx.Response:
    return answered(200, b"yes")


def session(address: str = "203.0.113.5", parameters: str = "") -> Session:
    return Session(
        protocol="rtmp",
        address=address,
        port=1,
        wire=None,
        started_at=0,
        started=0,
        parameters=parameters,
    )


def gate(
    auth: AuthSettings | None = None,
    limits: LimitsSettings | None = None,
    hooks: Callbacks | None = None,
) -> Gate:
    return Gate(
        auth or AuthSettings(),
        limits or LimitsSettings(),
        hooks or callbacks(accepting),
    )


async def outcome(asked: Awaitable[None]) -> str:
    """Return why something was refused, "" if it was not."""
    try:
        await asked
    except Refusal as refusal:
        return refusal.kind
    return ""


TOKENS = AuthSettings(publish="token", publish_tokens=["s3cret", "other"])


@pytest.mark.parametrize(
    ("auth", "address", "parameters", "refused"),
    [
        (AuthSettings(), "127.0.0.1", "", ""),
        (AuthSettings(), "10.1.2.3", "", ""),
        (AuthSettings(), "fe80::1%eth0", "", ""),
        (AuthSettings(), "203.0.113.5", "", "auth"),
        (AuthSettings(), "2001:db8::1", "", "auth"),
        (AuthSettings(), "", "", "auth"),
        (AuthSettings(publish_tokens=["x"]), "203.0.113.5", "token=x", ""),
        (AuthSettings(publish="open"), "203.0.113.5", "", ""),
        (TOKENS, "203.0.113.5", "token=s3cret", ""),
        (TOKENS, "203.0.113.5", "a=1&token=other", ""),
        (TOKENS, "203.0.113.5", "token=wrong&token=other", ""),
        (TOKENS, "203.0.113.5", "token=s3cre", "auth"),
        (TOKENS, "203.0.113.5", "token=", "auth"),
        (TOKENS, "203.0.113.5", "token=%ff\u20ac", "auth"),
        (TOKENS, "127.0.0.1", "", "auth"),
        (AuthSettings(publish="token"), "127.0.0.1", "token=", "auth"),
        (AuthSettings(publish_deny=["127.0.0.0/8"]), "127.0.0.1", "", "address"),
        (AuthSettings(publish_allow=["10.0.0.0/8"]), "127.0.0.1", "", "address"),
        (AuthSettings(publish_allow=["127.0.0.1"]), "127.0.0.1", "", ""),
        (
            AuthSettings(publish_allow=["127.0.0.1"], publish_deny=["127.0.0.1"]),
            "127.0.0.1",
            "",
            "address",
        ),
    ],
)
async def test_who_may_publish(
    auth: AuthSettings, address: str, parameters: str, refused: str
) -> None:
    asked = gate(auth).publish(session(address, parameters))
    assert await outcome(asked) == refused


@pytest.mark.parametrize(
    ("parameters", "app", "name", "found"),
    [
        ("", "live", "s/in", ("live", "s", "in")),
        ("", "live/s", "in", ("live", "s", "in")),
        ("", "live", "out", ("", "live", "out")),
        ("", "live", "s/other", ("live", "s/other", "")),
        ("", "live", "s", ("live", "s", "")),
        ("", "", "in", ("", "in", "")),
        ("token=x", "live", "s/in", ("live", "s/in", "")),
    ],
)
def test_a_token_may_end_the_path(
    parameters: str, app: str, name: str, found: tuple[str, str, str]
) -> None:
    auth = AuthSettings(
        publish="token", publish_tokens=["in"], play="token", play_tokens=["out"]
    )
    client = session(parameters=parameters)
    assert (*gate(auth).take_path_token(client, app, name), client.token) == found


async def test_a_publish_hook_stands_in_for_private_addresses() -> None:
    hooks = callbacks(accepting, on_publish=["http://hook/"])
    assert await outcome(gate(hooks=hooks).publish(session())) == ""


async def test_anybody_may_play_unless_told_otherwise() -> None:
    assert await outcome(gate().play(session())) == ""
    private = AuthSettings(play="private")
    assert await outcome(gate(private).play(session())) == "auth"
    denied = AuthSettings(play_deny=["203.0.113.0/24"])
    assert await outcome(gate(denied).play(session())) == "address"


@pytest.mark.parametrize(
    ("limits", "refused"),
    [
        (LimitsSettings(), ""),
        (LimitsSettings(bandwidth_bps=1_001), ""),
        (LimitsSettings(bandwidth_bps=1_000), "limit"),
        (LimitsSettings(bandwidth_per_address_bps=500), "limit"),
        (LimitsSettings(bandwidth_per_address_bps=501), ""),
    ],
)
async def test_bandwidth_that_is_used_up_refuses_new_viewers(
    limits: LimitsSettings, refused: str
) -> None:
    full = gate(limits=limits)
    full.send_bps = 1_000
    full.send_bps_by_address = {"203.0.113.5": 500}
    assert await outcome(full.play(session())) == refused


def test_connections_are_counted_in_and_out() -> None:
    full = gate(limits=LimitsSettings(sessions=3, sessions_per_address=2))
    full.admit("a")
    full.admit("a")
    with pytest.raises(Refusal, match="from this address"):
        full.admit("a")
    full.admit("b")
    with pytest.raises(Refusal, match="too many connections"):
        full.admit("c")
    full.dismiss("a")
    full.admit("a")
    for address in ("a", "a", "b"):
        full.dismiss(address)
    for address in ("c", "c"):
        full.admit(address)


@pytest.mark.parametrize(
    ("address", "network", "inside"),
    [
        ("10.0.0.7", "10.0.0.0/8", True),
        ("10.0.0.7", "10.0.0.7", True),
        ("10.0.0.7", "10.0.0.9/8", True),
        ("11.0.0.7", "10.0.0.0/8", False),
        ("::1", "10.0.0.0/8", False),
        ("not an address", "0.0.0.0/0", False),
    ],
)
def test_networks_hold_their_addresses(
    address: str, network: str, inside: bool
) -> None:
    assert in_networks(address, [network]) is inside


@pytest.mark.parametrize(
    ("before", "first", "last", "after"),
    [
        ("126.255.255.255", "127.0.0.0", "127.255.255.255", "128.0.0.0"),
        # RFC 1918 §3
        ("9.255.255.255", "10.0.0.0", "10.255.255.255", "11.0.0.0"),
        ("172.15.255.255", "172.16.0.0", "172.31.255.255", "172.32.0.0"),
        ("192.167.255.255", "192.168.0.0", "192.168.255.255", "192.169.0.0"),
        # RFC 3927 §2.1
        ("169.253.255.255", "169.254.0.0", "169.254.255.255", "169.255.0.0"),
        ("::", "::1", "::1", "::2"),
        # RFC 4193 §3.1
        ("fbff::", "fc00::", "fdff:ffff::", "fe00::"),
        # RFC 4291 §2.5.6
        ("fe7f::", "fe80::", "febf:ffff::", "fec0::"),
    ],
)
def test_private_networks_end_where_they_end(
    before: str, first: str, last: str, after: str
) -> None:
    judged = [is_private(address) for address in (before, first, last, after)]
    assert judged == [False, True, True, False]


def test_addresses_with_a_scope_are_private_and_names_are_not() -> None:
    assert is_private("fe80::1%eth0")
    assert not is_private("localhost")


# -- hooks --------------------------------------------------------------------------


@attrs.define
class Recorder:
    """Answers by URL and remembers what was asked."""

    answers: dict[str, str]
    asked: list[str] = attrs.field(factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url.host)
        return answered(200, self.answers[request.url.host].encode())


def event(action: HookAction) -> HookEvent:
    return HookEvent(action, session_view(session()), "", "", "")


async def test_hooks_are_asked_in_order_until_one_refuses(
    log_lines: Callable[[], list[str]],
) -> None:
    recorder = Recorder({"a": "yes", "b": "no thanks", "c": "yes"})
    hooks = callbacks(recorder, on_play=["http://a/", "http://b/?token=x", "http://c/"])
    assert await hooks.ask(event(HookAction.PLAY)) == "on_play hook: no thanks"
    assert recorder.asked == ["a", "b"]
    assert await hooks.ask(event(HookAction.PUBLISH)) is None
    (line,) = log_lines()
    assert "no thanks" in line
    assert "token=x" not in line


async def test_hooks_get_addresses_whole_and_views_masked() -> None:
    told: list[HookEvent] = []

    class Remembering(Words):
        def request(
            self, url: str, event: HookEvent, server: ServerView
        ) -> HookRequest:
            told.append(event)
            return super().request(url, event, server)

    hooks = callbacks(accepting, on_play=["http://a/"])
    hooks.format = Remembering()
    client = session(address="127.0.0.1", parameters="token=s3cret")
    client.tc_url = client.swf_url = "rtmp://h/live#token=s3cret"
    client.page_url = "https://h/watch?token=s3cret"
    await gate(hooks=hooks).play(client)
    (event,) = told
    assert event.parameters == "token=s3cret"
    assert event.tc_url == "rtmp://h/live#token=s3cret"
    assert event.page_url == "https://h/watch?token=s3cret"
    assert "s3cret" not in repr(event.session)


async def test_hooks_are_told_whatever_they_answer() -> None:
    recorder = Recorder({"a": "no", "b": "yes"})
    hooks = callbacks(recorder, on_stop=["http://a/", "http://b/"])
    await hooks.tell(event(HookAction.STOP))
    assert recorder.asked == ["a", "b"]


async def test_a_hook_that_does_not_answer_refuses(
    autojump_clock: trio.testing.MockClock,
) -> None:
    hooks = silent_callbacks(on_connect=["http://a/"])
    refusal = await hooks.ask(event(HookAction.CONNECT))
    assert refusal == "on_connect hook: no answer within 7 s"
    assert trio.current_time() == pytest.approx(7, abs=0.01)
    assert hooks.failures == 1


def silent_callbacks(**urls: list[str]) -> Callbacks:
    async def silence(request: httpx.Request) -> httpx.Response:
        await trio.sleep_forever()
        raise AssertionError

    hooks = callbacks(accepting, timeout_s=7.0, **urls)
    hooks.client = httpx.AsyncClient(transport=httpx.MockTransport(silence))
    return hooks


async def test_a_stop_bounds_what_hooks_are_told(
    autojump_clock: trio.testing.MockClock,
) -> None:
    hooks = silent_callbacks(on_close=["http://a/", "http://b/", "http://c/"])
    hooks.until = trio.current_time() + 3
    await hooks.tell(event(HookAction.CLOSE))
    assert trio.current_time() == pytest.approx(3, abs=0.3)


async def test_hooks_are_told_while_their_session_is_cancelled(
    autojump_clock: trio.testing.MockClock,
) -> None:
    recorder = Recorder({"a": "yes"})
    hooks = callbacks(recorder, on_close=["http://a/"])
    with trio.CancelScope() as scope:
        scope.cancel()
        await hooks.tell(event(HookAction.CLOSE))
    assert recorder.asked == ["a"]


def failing(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("refused")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (failing, "cannot be reached (ConnectError)"),
        (lambda _: answered(500, b""), "status 500"),
        (
            lambda _: answered(200, b"x" * 70_000),
            "the answer is too long",
        ),
        (lambda _: answered(302, b""), "status 302"),
    ],
)
async def test_a_bad_answer_refuses(answer: Answer, reason: str) -> None:
    hooks = callbacks(answer, on_publish=["http://a/"])
    refusal = await hooks.ask(event(HookAction.PUBLISH))
    assert refusal == f"on_publish hook: {reason}"


async def test_an_address_that_is_none_refuses() -> None:
    hooks = callbacks(accepting, on_publish=["http://a:b/"])
    refusal = await hooks.ask(event(HookAction.PUBLISH))
    assert refusal == "on_publish hook: cannot be reached (InvalidURL)"


@pytest.mark.parametrize("host", ["a..b", "a" * 64])
async def test_a_name_that_no_resolver_takes_refuses(host: str) -> None:
    hooks = callbacks(accepting, on_publish=[f"http://{host}/"])
    async with httpx.AsyncClient(trust_env=False) as hooks.client:
        refusal = await hooks.ask(event(HookAction.PUBLISH))
    assert refusal == "on_publish hook: cannot be reached (no host name)"
