from __future__ import annotations

import errno
import os
import socket
from pathlib import Path
from typing import Any

import attrs
import pytest
import trustme

from penstock.config import (
    Address,
    ConfigError,
    bind_error,
    changes_needing_restart,
    differences,
    is_loopback,
    load,
    origins,
    parse_address,
    reference_markdown,
)
from penstock.config.schema import keys
from penstock.settings import RelaySettings, Settings


def refusal(
    *sets: str, environ: dict[str, str] | None = None, path: str | None = None
) -> str:
    with pytest.raises(ConfigError) as caught:
        load(path, sets, environ or {})
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def file(tmp_path: Path) -> Any:
    def write(text: str | bytes) -> str:
        path = tmp_path / "penstock.toml"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return str(path)

    return write


def test_no_file_is_needed() -> None:
    assert load(None, [], {"HOME": "/"}) == Settings()


def test_every_default_passes_its_own_checks() -> None:
    sets = [
        f"{path}={'true' if key.default is True else key.default}"
        for path, key in keys().items()
        if key.kind in ("text", "integer", "number")
    ]
    assert load(None, sets, {}) == Settings()


def test_each_key_has_an_environment_variable_of_its_own() -> None:
    variables = [key.variable for key in keys().values()]
    assert len(set(variables)) == len(variables) > 50


def test_set_wins_over_the_environment_which_wins_over_the_file(file: Any) -> None:
    path = file('[http]\nlisten = "a:1"\n[rtmp]\nlisten = "a:2"\n[log]\nlevel="debug"')
    environ = {"PENSTOCK_HTTP_LISTEN": "b:1", "PENSTOCK_RTMP_LISTEN": "b:2"}
    settings = load(path, ["http.listen=c:1"], environ)
    assert settings.http.listen == "c:1"
    assert settings.rtmp.listen == "b:2"
    assert settings.log.level == "debug"


def test_values_of_every_kind_are_read_from_text() -> None:
    settings = load(
        None,
        [
            "api.srs.raw_api=yes",
            "rtmp.merge_ms=35",
            "stream.ring_seconds=2.5",
            "auth.publish_allow=10.0.0.0/8, ::1",
            'auth.play_tokens=["a,b", "c"]',
            'http.listen=""',
            'relay=[{source="rtmp://h/a/s", destination="live/s", on_demand=true}]',
        ],
        {"PENSTOCK_VHOSTS": "a.example,b.example", "PENSTOCK_API_ALLOW_OPEN": "1"},
    )
    assert settings.api.srs.raw_api is True
    assert settings.rtmp.merge_ms == 35
    assert settings.stream.ring_seconds == 2.5
    assert settings.auth.publish_allow == ["10.0.0.0/8", "::1"]
    assert settings.auth.play_tokens == ["a,b", "c"]
    assert settings.http.listen == ""
    assert settings.relay == [RelaySettings("rtmp://h/a/s", "live/s", on_demand=True)]
    assert settings.vhosts == ["a.example", "b.example"]
    assert settings.api.allow_open is True


def test_an_unknown_key_names_file_key_and_the_nearest_known(file: Any) -> None:
    path = file('[http]\nlisten = "a:1"\nlisen = "a:1"\n')
    assert refusal(path=path) == (
        f"{path}: http.lisen: unknown key; did you mean http.listen?"
    )


def test_a_key_without_a_likeness_lists_what_its_table_has(file: Any) -> None:
    line = refusal(path=file("[metrics]\nqqqqq = 1\n"))
    assert "metrics.qqqqq: unknown key; [metrics] has listen" in line


def test_a_key_in_the_wrong_table_is_found_by_its_own_name(file: Any) -> None:
    assert "did you mean stream.gop_cache?" in refusal(
        path=file("[rtmp]\ngop_cache = true\n")
    )


def test_an_unknown_variable_names_the_nearest_known() -> None:
    assert refusal(environ={"PENSTOCK_HTTP_LISTN": "a:1"}) == (
        "environment: PENSTOCK_HTTP_LISTN: unknown variable; "
        "did you mean PENSTOCK_HTTP_LISTEN?"
    )


def test_service_links_of_a_container_platform_are_not_ours() -> None:
    environ = {
        "PENSTOCK_SERVICE_HOST": "10.0.0.1",
        "PENSTOCK_SERVICE_PORT_RTMP": "1935",
        "PENSTOCK_PORT": "tcp://10.0.0.1:1935",
        "PENSTOCK_PORT_1935_TCP_ADDR": "10.0.0.1",
    }
    assert load(None, [], environ) == Settings()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[log]\nlevel = 8000\n", "log.level: expected a text, not a number"),
        ("[http]\nlisten = '8000'\n", 'expected "host:port", as "0.0.0.0:8000"'),
        ("[http]\nlisten = '::1:80'\n", "expected brackets around an IPv6 address"),
        ("[http]\nlisten = '[::g]:80'\n", "expected an IPv6 address between"),
        ("[http]\nlisten = '0.0.0.0:65536'\n", "expected a port from 0 to 65535"),
        ("[http]\nlisten = '256.0.0.1:1'\n", "four numbers from 0 to 255"),
        ("http = 3\n", "http: expected a table [http]"),
        ("[rtmp]\nmerge_ms = true\n", "rtmp.merge_ms: expected a whole number"),
        ("[rtmp]\nmerge_ms = 1.5\n", "expected a whole number, not 1.5"),
        ("[rtmp]\nmerge_ms = -1\n", "expected at least 0, not -1"),
        ("[rtmp]\nmerge_ms = 5001\n", "expected at most 5000, not 5001"),
        ("[rtmp]\nping_interval_s = nan\n", "expected a finite number"),
        ("[stream]\ngop_cache = 1\n", "expected true or false, not a number"),
        ("[stream]\nsecond_publisher = 'x'\n", "one of refuse, replace, not 'x'"),
        ("[auth]\npublish = 'public'\n", "one of private, token, open"),
        ("[auth]\npublish_deny = '1.2.3.4'\n", "expected a list of texts"),
        ("[auth]\npublish_deny = ['1.2.3']\n", "expected an address or a network"),
        ("[auth]\nplay_tokens = ['']\n", "tokens of one character or more"),
        ("[auth]\nplay_tokens = [1]\n", "expected a list of texts, found a number"),
        ("[hooks]\non_play = ['ftp://h/x']\n", "expected an http:// or https:// URL"),
        ("[hooks]\non_play = ['http://h:x/']\n", "expected an http:// or https://"),
        ("[http]\ncors_origins = ['a.b']\n", 'expected "*" or an origin'),
        ("[log]\nlevel = 'loud'\n", "one of debug, info, warning, error"),
        ("vhosts = ['default']\n", "vhosts: 'default' exists already"),
        ("vhosts = ['a b']\n", "expected host names, not 'a b'"),
        (
            "[[relay]]\nsource = 'live/a'\n",
            "expected an rtmp(s)://, srt://, udp://, whep",
        ),
        (
            "[[relay]]\nsource = 'rtmp://h/a/b'\ndestination = 'x'\n",
            "relay: table 1: expected app/name on the local side, not 'x'",
        ),
        ("[[relay]]\nfrom = 'x'\n", "relay: table 1: unknown key from"),
        (
            "[[relay]]\nsource='a/b'\ndestination='rtmp://h/a/b'\non_demand=true\n",
            "on_demand is for relays that pull",
        ),
        ("[[relay]]\nsource='rtmp://h'\ndestination='a/b'\n", "rtmp(s)://host[:port]"),
        (
            "[[relay]]\nsource='whip://h/x'\ndestination='a/b'\n",
            "whip:// cannot be pulled from: expected whep(s)://",
        ),
        (
            "[[relay]]\nsource='a/b'\ndestination='wheps://h/x'\n",
            "wheps:// cannot be pushed to: expected whip(s)://",
        ),
        (
            "[[relay]]\nsource='whep:///x'\ndestination='a/b'\n",
            "expected whep(s)://[token@]host[:port]/path: no host",
        ),
        ("http = [\n", "expected TOML: "),
        (b"\xff", "expected TOML in UTF-8"),
        ("[auth]\npublish = 'token'\n", "auth.publish: token lets nobody publish"),
        ("[auth]\nplay = 'token'\n", "auth.play: token lets nobody play"),
        ("[rtmps]\nlisten = ':443'\n", 'expected "host:port"'),
        ("[rtmps]\nlisten = '0.0.0.0:443'\n", "rtmps.listen: expected rtmps.cert"),
        (
            "[http]\nlisten = '0.0.0.0:1935'\n",
            "http.listen: expected another",
        ),
        ("[api.srs]\nusername = 'u'\n", "api.srs.username: expected api.srs.password"),
        ("[http]\ncert = '/nonexistent'\n", "http.cert: cannot read '/nonexistent'"),
    ],
)
def test_a_wrong_value_is_one_line_that_names_what_was_expected(
    file: Any, text: str | bytes, expected: str
) -> None:
    path = file(text)
    line = refusal(path=path)
    assert line.startswith(f"{path}: ")
    assert expected in line


def test_a_missing_file_is_one_line() -> None:
    assert refusal(path="/nonexistent/p.toml") == (
        "/nonexistent/p.toml: cannot be read: No such file or directory"
    )


@pytest.mark.parametrize("item", ["http.listen", "=x", "a b=1", ""])
def test_a_set_of_another_form_is_refused(item: str) -> None:
    assert refusal(item) == "--set: expected section.key=value"


def test_a_secret_of_the_wrong_kind_is_not_repeated() -> None:
    assert "hunter2" not in refusal("auth.play_tokens=[hunter2")


@pytest.mark.parametrize("listen", ["0.0.0.0:1985", "[::]:1985", "10.0.0.1:0"])
def test_an_open_api_is_refused_unless_allowed(listen: str) -> None:
    assert "is open to others" in refusal(f"api.srs.listen={listen}")
    load(None, [f"api.srs.listen={listen}", "api.allow_open=true"], {})
    secured = ["api.srs.username=u", "api.srs.password=p"]
    load(None, [f"api.srs.listen={listen}", *secured], {})


@pytest.mark.parametrize("key", ["listen", "https_listen"])
@pytest.mark.parametrize("guard", ["tokens=t", "secret=s"])
def test_another_api_needs_its_own_guard(tmp_path: Path, key: str, guard: str) -> None:
    cert, pem = certificate(tmp_path)
    sets = [f"http.cert={cert}", f"http.key={pem}"]
    sets += [
        f"api.live777.{key}=0.0.0.0:7777",
        "api.live777.strategy.auto_delete_whip=0",
    ]
    srs = ["api.srs.username=u", "api.srs.password=p"]
    if key == "https_listen":
        sets.append("api.live777.listen=")
    line = refusal(*sets, *srs)
    assert f"api.live777.{key}" in line
    assert "expected api.live777.tokens or secret" in line
    settings = load(None, [*sets, f"api.live777.{guard}"], {})
    assert settings.api.live777.strategy.auto_delete_whip == 0


def test_an_open_https_api_is_refused_too(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    sets = [f"http.cert={cert}", f"http.key={key}"]
    assert "api.srs.https_listen" in refusal(*sets, "api.srs.https_listen=0.0.0.0:1990")
    load(None, [*sets, "api.srs.https_listen=localhost:1990"], {})


def test_hooks_stand_in_for_tokens() -> None:
    sets = ["auth.publish=token", "hooks.on_publish=http://h/x"]
    assert load(None, sets, {}).auth.publish == "token"


def certificate(folder: Path) -> tuple[str, str]:
    issued = trustme.CA().issue_cert("penstock.example")
    cert, key = folder / "cert.pem", folder / "key.pem"
    issued.private_key_pem.write_to_path(str(key))
    cert.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    return str(cert), str(key)


def test_a_certificate_and_its_key_are_loaded(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    settings = load(None, [f"http.cert={cert}", f"http.key={key}"], {})
    assert settings.http.cert == cert


def test_a_certificate_without_a_key_is_refused(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    assert "http.cert: expected http.key beside it" in refusal(f"http.cert={cert}")
    assert "http.key: expected http.cert beside it" in refusal(f"http.key={key}")


def test_a_key_of_another_certificate_is_refused(tmp_path: Path) -> None:
    cert, _ = certificate(tmp_path)
    (tmp_path / "other").mkdir()
    _, key = certificate(tmp_path / "other")
    line = refusal(f"http.cert={cert}", f"http.key={key}")
    assert "--set: http.cert: expected a PEM chain and its unencrypted key" in line
    assert line.endswith(": the key is another certificate's")


def test_files_without_a_certificate_or_key_are_told_apart(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    line = refusal(f"http.cert={key}", f"http.key={key}")
    assert line.endswith(f": no certificate in {key!r}")
    line = refusal(f"http.cert={cert}", f"http.key={cert}")
    assert line.endswith(f": no private key in {cert!r}")
    pem = Path(key).read_text()
    Path(key).write_text(pem.replace("PRIVATE", "ENCRYPTED PRIVATE"))
    line = refusal(f"http.cert={cert}", f"http.key={key}")
    assert line.endswith(f": {key!r} is encrypted")


def test_an_unreadable_certificate_is_refused(tmp_path: Path) -> None:
    assert "is something else" in refusal(f"http.cert={tmp_path}")
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    assert "is something else" in refusal(f"http.cert={fifo}")


def test_port_zero_may_repeat() -> None:
    sets = ["http.listen=127.0.0.1:0", "rtmp.listen=127.0.0.1:0"]
    assert load(None, sets, {}).rtmp.listen == "127.0.0.1:0"


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("0.0.0.0:1", "0.0.0.0", 1),
        ("[::]:0", "::", 0),
        ("a-b.example:9", "a-b.example", 9),
    ],
)
def test_addresses_are_read_and_written(text: str, host: str, port: int) -> None:
    assert parse_address(text) == Address(host, port)
    assert str(parse_address(text)) == text


def test_loopback_is_told_from_the_rest() -> None:
    assert all(map(is_loopback, ["127.9.9.9", "::1", "LOCALHOST", "::ffff:127.0.0.1"]))
    assert not any(map(is_loopback, ["0.0.0.0", "::", "127.0.0.1.example", "10.0.0.1"]))


def test_only_addresses_and_identities_wait_for_a_restart() -> None:
    old = Settings()
    new = load(
        None,
        ["http.listen=127.0.0.1:1", "auth.publish=open", "api.srs.server_id=x"],
        {},
    )
    assert changes_needing_restart(old, new) == ["http.listen", "api.srs.server_id"]
    assert changes_needing_restart(new, new) == []


def test_switching_tls_on_waits_for_a_restart_but_a_new_certificate_does_not() -> None:
    old = Settings()
    on = attrs.evolve(old, http=attrs.evolve(old.http, cert="a", key="b"))
    other = attrs.evolve(old, http=attrs.evolve(old.http, cert="c", key="d"))
    assert changes_needing_restart(old, on) == ["http.cert"]
    assert changes_needing_restart(on, other) == []


def test_differences_mask_secrets() -> None:
    settings = load(
        None,
        [
            "admin.password=hunter2",
            "auth.publish_tokens=hunter3,hunter4",
            "hooks.on_play=http://u:hunter5@h/x?token=hunter6&a=b",
            'relay=[{source="live/a", destination="rtmp://h/app/hunter7"}]',
            "rtmp.merge_ms=35",
        ],
        {},
    )
    shown = dict(differences(settings))
    assert "hunter" not in str(shown)
    assert shown["rtmp.merge_ms"] == "35"
    assert shown["hooks.on_play"] == '["http://u:***@h/x?token=***&a=b"]'
    assert differences(Settings()) == []


def test_a_busy_port_is_one_line_with_its_key() -> None:
    error = bind_error("rtmp.listen", "0.0.0.0:1935", OSError(errno.EADDRINUSE, "x"))
    assert str(error).startswith("rtmp.listen: 0.0.0.0:1935 is in use")


def test_a_host_that_no_name_server_knows_is_said_plainly() -> None:
    failure = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    error = bind_error("http.listen", "no.example:8000", failure)
    assert str(error) == (
        "http.listen: no.example:8000 cannot be bound: Name or service not known"
    )


def test_a_table_set_like_a_key_lists_its_keys() -> None:
    assert refusal("metrics=1") == "--set: metrics: expected one of its keys: listen"


def test_a_port_alone_is_told_the_form_of_an_address(file: Any) -> None:
    path = file("[http]\nlisten = 8000\n")
    assert refusal(path=path) == (
        f'{path}: http.listen: expected "host:port", as "0.0.0.0:8000" or "[::]:8000"'
    )


def test_where_a_value_came_from_can_be_asked(file: Any) -> None:
    path = file("[http]\nlisten = '0.0.0.0:1'\n[rtmp]\nlisten = '0.0.0.0:2'\n")
    came_from = origins(path, ["rtmp.listen=0.0.0.0:3"], {"PENSTOCK_LOG_LEVEL": "info"})
    assert came_from == {
        "http.listen": path,
        "rtmp.listen": "--set",
        "log.level": "environment",
    }


def test_a_line_break_in_a_name_makes_no_second_line() -> None:
    assert str(ConfigError("a\nb", "k\x1b", "m")) == "a\\nb: k\\x1b: m"


def test_the_reference_page_is_up_to_date() -> None:
    page = Path(__file__).parents[2] / "docs" / "operate" / "configuration.md"
    assert page.read_text() == reference_markdown(), (
        "run docs/operate/build_configuration.py"
    )


def test_the_reference_names_every_key() -> None:
    page = reference_markdown()
    assert all(f"`{path}`" in page for path in keys())


def test_the_example_file_is_valid() -> None:
    example = Path(__file__).parents[2] / "deploy" / "penstock.toml"
    load(str(example), [], {})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("ice_servers", "stun:stun.example.org"),
        ("ice_servers", "stuns:stun.example.org:5349"),
        ("ice_servers", "turn:turn.example.org:3478?transport=udp"),
        ("ice_servers", "turns:[2001:db8::1]:5349"),
        ("public_addresses", "203.0.113.7"),
        ("public_addresses", "2001:db8::7"),
    ],
)
def test_addresses_that_clients_are_told_are_taken(key: str, value: str) -> None:
    """RFC 7064 §3.1; RFC 7065 §3.1."""
    settings = load(None, [f"webrtc.{key}=['{value}']"], {})
    assert getattr(settings.webrtc, key) == [value]


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("ice_servers", "stun.example.org:3478", "expected a URL"),
        ("ice_servers", "stun:", "expected a URL"),
        ("ice_servers", "turn:host:port", "expected a URL"),
        ("public_addresses", "example.org", "expected an IP address"),
        ("public_addresses", "0.0.0.0", "of one machine"),
        ("public_addresses", "224.0.0.1", "of one machine"),
    ],
)
def test_addresses_that_clients_could_not_use_are_refused(
    key: str, value: str, expected: str
) -> None:
    assert expected in refusal(f"webrtc.{key}=['{value}']")
