"""srs.conf and SRS_*: the grammar, what is translated, what is said."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.dialects.srs.conf import ConfError, parse
from penstock.dialects.srs.config import Translation, translate
from penstock.dialects.srs.launcher import settings_of

LIVE = """\
# A live server with everything usual.
listen              1935;
max_connections     1000;
srs_log_tank        console;
daemon              off;
http_api {
    enabled         on;
    listen          1985;
    raw_api { enabled on; allow_reload on; }
}
http_server {
    enabled         on;
    listen          8080;
    dir             ./objs/nginx/html;
}
stats { network 0; disk sda sdb; }
rtc_server { enabled on; listen 8000; candidate $CANDIDATE; }
vhost __defaultVhost__ {
    hls { enabled on; hls_fragment 2; }
    http_remux { enabled on; mount [vhost]/[app]/[stream].flv; }
    play { gop_cache off; queue_length 10; mw_latency 100; }
    publish { normal_timeout 7000; }
    http_hooks {
        enabled on;
        on_publish http://127.0.0.1:8085/api/v1/streams http://localhost/b;
        on_play "http://127.0.0.1:8085/api/v1/sessions";
        on_dvr http://127.0.0.1:8085/api/v1/dvrs;
    }
}
"""


def _translate(text: str, environ: dict[str, str] | None = None) -> Translation:
    files = {"srs.conf": text}
    return translate("srs.conf", files.__getitem__, environ or {})


def test_a_usual_file_becomes_our_settings() -> None:
    result = _translate(LIVE)
    ours = settings_of(result)
    assert ours.rtmp.listen == "0.0.0.0:1935"
    assert ours.rtmp.merge_ms == 100
    assert ours.limits.sessions == 1000
    assert ours.http.listen == "0.0.0.0:8080"
    assert ours.api.srs.listen == "127.0.0.1:1985"
    assert (ours.api.srs.raw_api, ours.api.srs.allow_reload) == (True, True)
    assert ours.api.srs.disks == ["sda", "sdb"]
    assert ours.metrics.listen == ""
    assert ours.stream.gop_cache is False
    assert ours.stream.ring_seconds == 10.0
    assert ours.stream.publish_idle_s == 7.0
    assert ours.auth.publish == "open"
    assert ours.hooks.on_publish == [
        "http://127.0.0.1:8085/api/v1/streams",
        "http://localhost/b",
    ]
    assert ours.hooks.on_play == ["http://127.0.0.1:8085/api/v1/sessions"]


def test_what_is_not_served_is_said_in_one_line_each_with_its_place() -> None:
    notes = _translate(LIVE).notes
    said = {re.sub(r"srs.conf:\d+: ", "", note).partition(":")[0] for note in notes}
    assert said == {"dir", "rtc_server", "hls", "on_dvr", "http_api"}
    assert all(re.match(r"srs\.conf:\d+: ", note) for note in notes)
    assert "\n" not in "".join(notes)


def test_the_smallest_file_serves_rtmp_alone() -> None:
    ours = settings_of(_translate("listen 1935;\nvhost __defaultVhost__ {\n}\n"))
    assert ours.rtmp.listen == "0.0.0.0:1935"
    assert ours.http.listen == ours.api.srs.listen == ours.metrics.listen == ""


def test_an_api_with_auth_stays_open_to_the_network() -> None:
    result = _translate(
        "http_api { enabled on; listen 10.0.0.1:1985;"
        " auth { enabled on; username admin; password 'a b;c'; } }"
    )
    ours = settings_of(result).api.srs
    assert (ours.listen, ours.username, ours.password) == (
        "10.0.0.1:1985",
        "admin",
        "a b;c",
    )
    assert result.notes == []


@pytest.mark.parametrize("listen", ["127.0.0.1:1985", "[::1]:1985"])
def test_a_loopback_api_needs_no_warning(listen: str) -> None:
    result = _translate(f"http_api {{ enabled on; listen {listen}; }}")
    assert result.values["api.srs.listen"] == listen
    assert result.notes == []


def test_both_open_api_ports_are_narrowed_with_one_warning(certificate: Any) -> None:
    chain, key = certificate
    result = _translate(
        "http_api { enabled on; https { enabled on; listen 1990;"
        f" cert {chain}; key {key}; }} }}"
    )
    ours = settings_of(result).api.srs
    assert (ours.listen, ours.https_listen) == ("127.0.0.1:1985", "127.0.0.1:1990")
    assert len(result.notes) == 1
    assert "1985, 1990" in result.notes[0]


@pytest.mark.parametrize("block", ["http_server", "http_api", "exporter", "rtmps"])
def test_addresses_after_the_first_are_said_not_to_be_bound(
    block: str, certificate: Any
) -> None:
    chain, key = certificate
    pair = f"cert {chain}; key {key};" if block == "rtmps" else ""
    result = _translate(
        f"{block} {{ enabled on; listen 127.0.0.1:81 [::1]:81; {pair} }}"
    )
    settings_of(result)
    assert result.notes == ["srs.conf:1: listen: only 127.0.0.1:81 is bound"]


@pytest.mark.parametrize("listen", ["1935 [::]:1935", "[::]:1935 0.0.0.0:1935"])
def test_both_families_of_one_port_are_one_listener(listen: str) -> None:
    result = _translate(f"listen {listen};")
    assert settings_of(result).rtmp.listen == "[::]:1935"
    assert result.notes == []


def test_a_listener_without_an_address_is_refused() -> None:
    with pytest.raises(ConfError, match="listen: expected"):
        _translate("listen $PORT;", {"PORT": ""})


@pytest.mark.parametrize(
    ("directive", "said"),
    [
        ("refer github.com;", "refer: not served: it keeps nobody out"),
        ("forward 127.0.0.1:1936;", "forward: not served"),
    ],
)
def test_directives_as_older_files_write_them_are_said_too(
    directive: str, said: str
) -> None:
    (note,) = _translate(f"vhost __defaultVhost__ {{ {directive} }}").notes
    assert said in note


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("http_api { enabled on; listen 127.0.0.1:1; auht { } }", "auht: not served"),
        (
            "http_api { enabled on; listen 127.0.0.1:1; raw_api { enable on; } }",
            "enable: not served",
        ),
        ("http_server { enabled on; hls { enabled on; } }", "hls: not served"),
        ("exporter { enabled on; listen 127.0.0.1:1; tags a; }", "tags: not served"),
        ("stats { disks sda; }", "disks: not served"),
        (
            "vhost a.b { security { enabled on; allow play all; deny all; } }",
            "deny: keeps nobody out",
        ),
    ],
)
def test_a_word_that_nobody_knows_is_said(text: str, said: str) -> None:
    (note,) = _translate(text).notes
    assert said in note


def test_an_api_on_the_media_port_gets_a_port_of_its_own() -> None:
    result = _translate(
        "http_server { enabled on; listen 8080; } http_api { enabled on; listen 8080; }"
    )
    assert settings_of(result).api.srs.listen == "127.0.0.1:1985"
    assert any("does not share" in note for note in result.notes)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("enabled yes;", ""),
        ("enabled true;", ""),
        ("enabled off;", ""),
        ("enabled on;", "127.0.0.1:1985"),
    ],
)
def test_only_the_word_on_switches_on_what_is_off_by_default(
    text: str, expected: str
) -> None:
    result = _translate(f"http_api {{ {text} }}")
    assert result.values["api.srs.listen"] == expected


@pytest.mark.parametrize(("word", "on"), [("off", False), ("no", True), ("on", True)])
def test_only_the_word_off_switches_off_what_is_on_by_default(
    word: str, on: bool
) -> None:
    result = _translate(f"http_api {{ enabled on; crossdomain {word}; }}")
    assert settings_of(result).api.srs.crossdomain is on


EVERYBODY = ["0.0.0.0/0", "::/0"]


@pytest.mark.parametrize(
    ("rules", "publish", "play"),
    [
        ("", ([], EVERYBODY), ([], EVERYBODY)),
        ("deny publish 10.0.0.1;", ([], ["10.0.0.1"]), ([], [])),
        (
            "allow publish 10.0.0.0/8; allow play all;",
            (["10.0.0.0/8"], []),
            (EVERYBODY, []),
        ),
        ("allow publish all;", (EVERYBODY, []), ([], EVERYBODY)),
        (
            "allow play all; deny play 10.0.0.1 10.0.0.2;",
            ([], EVERYBODY),
            (EVERYBODY, ["10.0.0.1", "10.0.0.2"]),
        ),
    ],
)
def test_security_rules_let_in_exactly_whom_srs_lets_in(
    rules: str,
    publish: tuple[list[str], list[str]],
    play: tuple[list[str], list[str]],
) -> None:
    result = _translate(
        f"vhost __defaultVhost__ {{ security {{ enabled on; {rules} }} }}"
    )
    auth = settings_of(result).auth
    assert (auth.publish_allow, auth.publish_deny) == publish
    assert (auth.play_allow, auth.play_deny) == play


def test_security_that_is_off_changes_nothing() -> None:
    result = _translate("vhost a.b { security { deny publish all; } }")
    assert settings_of(result).auth.publish_deny == []


@pytest.mark.parametrize(
    "block",
    [
        "security { enabled on; allow play %s; }",
        "http_hooks { enabled on; on_publish http://%s/; }",
    ],
)
def test_access_that_differs_between_vhosts_is_refused(block: str) -> None:
    first, second = block % "10.0.0.1", block % "10.0.0.2"
    with pytest.raises(ConfError, match=r"srs\.conf:2: .*differs from srs\.conf:1"):
        _translate(f"vhost a.b {{ {first} }}\nvhost c.d {{ {second} }}")
    same = _translate(f"vhost a.b {{ {first} }}\nvhost c.d {{ {first} }}")
    assert same.notes == []


def test_the_default_vhost_counts_where_settings_differ() -> None:
    result = _translate(
        "vhost a.b { play { gop_cache on; } } vhost off.example { enabled off; }"
        "vhost 10.1.1.1 { } vhost __defaultVhost__ { play { gop_cache off; } }"
    )
    ours = settings_of(result)
    assert ours.stream.gop_cache is False
    assert ours.vhosts == ["a.b"]
    assert len(result.notes) == 3


def test_an_ingest_that_only_copies_rtmp_becomes_a_pull() -> None:
    engine = "engine { enabled off; output rtmp://127.0.0.1:1935/live/%s; }"
    ingest = "ingest %s { enabled on; input { type %s; url %s; } " + engine + " }"
    result = _translate(
        "vhost __defaultVhost__ {"
        + ingest % ("a", "stream", "rtmp://up.example/live/x", "x?vhost=[vhost]")
        + ingest % ("b", "file", "./doc/source.flv", "y")
        + "forward { enabled on; destination 127.0.0.1:19350; } }"
    )
    (relay,) = settings_of(result).relay
    assert (relay.source, relay.destination) == ("rtmp://up.example/live/x", "live/x")
    assert sum("not served" in note for note in result.notes) == 2


def test_includes_stand_in_place_and_their_lines_are_named() -> None:
    files = {
        "srs.conf": "listen 1;\nvhost __defaultVhost__ { include inner.conf; }",
        "inner.conf": "# x\nplay { mw_latency oops; }",
    }
    with pytest.raises(ConfError, match=r"^inner\.conf:2: mw_latency: .*'oops'"):
        translate("srs.conf", files.__getitem__, {})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("listen 1935", "expected ; after listen"),
        ("vhost a {", "is not closed"),
        ("}", "} without {"),
        ("vhost a { listen 1 }", "expected ; after listen"),
        (";", "; without a directive"),
        ("{", "{ without a directive"),
        ('a "b;\n', "quotation is not closed"),
        ("include;", "include without a file"),
        ("include srs.conf;", "more than 64 files"),
        ("a {" * 100, "more than 16 blocks deep"),
        ("x" * (1 << 20) + ";" * 9, "longer than"),
        ("max_connections many;", "expected a whole number"),
        ("http_api { enabled on; auth { enabled on; } }", "expected a username"),
        (
            "vhost a.b { security { enabled on; allow play nowhere; } }",
            "expected all, an address or a network",
        ),
        (
            "vhost a.b { security { enabled on; allow play all; dney publish all; } }",
            "srs.conf:1: security: no such rule: dney",
        ),
    ],
)
def test_a_bad_file_is_refused_in_one_line(text: str, message: str) -> None:
    with pytest.raises(ConfError, match=re.escape(message)) as caught:
        _translate(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("listen 70000;", "srs.conf:1: listen: expected a port"),
        ("chunk_size -1;", "srs.conf:1: chunk_size: expected at least"),
        (
            "\nvhost a.b { http_hooks { enabled on; on_play ftp://x; } }",
            "srs.conf:2: http_hooks: ",
        ),
    ],
)
def test_a_value_that_we_refuse_is_named_by_its_own_directive(
    text: str, message: str
) -> None:
    with pytest.raises(Exception, match=re.escape(message)):
        settings_of(_translate(text))


@given(st.text(alphabet=st.sampled_from("ab;{}#'\" \n\\$include"), max_size=60))
@settings(max_examples=200, deadline=None)
def test_any_text_is_parsed_or_refused(text: str) -> None:
    def read(path: str) -> str:
        if path == "srs.conf":
            return text
        raise ConfError(f"{path}: missing")

    try:
        parse("srs.conf", read)
    except ConfError:
        pass


def test_the_environment_alone_configures_a_server() -> None:
    environ = {
        "SRS_LISTEN": "1936",
        "SRS_HTTP_API_ENABLED": "on",
        "SRS_HTTP_API_AUTH_ENABLED": "on",
        "SRS_HTTP_API_AUTH_USERNAME": "admin",
        "SRS_HTTP_API_AUTH_PASSWORD": "secret",
        "SRS_HTTP_SERVER_ENABLED": "on",
        "SRS_EXPORTER_ENABLED": "on",
        "SRS_VHOST_HTTP_HOOKS_ENABLED": "on",
        "SRS_VHOST_HTTP_HOOKS_ON_PUBLISH": "http://a/ http://b/",
        "SRS_VHOST_HLS_ENABLED": "on",
        "SRS_WORK_DIR": "./work",
        "SRS_SERVER_ID": "vid-mine",
        "SRS_LOG_LEVEL": "warn",
        "SRS_NOBODY_KNOWS": "x",
        "PATH": "/bin",
    }
    result = translate(None, lambda path: "", environ)
    ours = settings_of(result)
    assert ours.rtmp.listen == "0.0.0.0:1936"
    assert ours.http.listen == "0.0.0.0:8080"
    assert ours.api.srs.listen == "0.0.0.0:1985"
    assert ours.api.srs.password == "secret"
    assert ours.api.srs.server_id == "vid-mine"
    assert ours.metrics.listen == "0.0.0.0:9972"
    assert ours.api.srs.metrics
    assert ours.hooks.on_publish == ["http://a/", "http://b/"]
    assert ours.log.level == "warning"
    assert result.work_dir == "./work"
    assert result.notes == ["SRS_VHOST_HLS_ENABLED: hls: not served"]


def test_a_variable_that_is_empty_is_not_set() -> None:
    result = _translate(
        "listen 1936; http_api { enabled on; listen 127.0.0.1:1; }",
        {"SRS_LISTEN": "", "SRS_HTTP_API_ENABLED": "", "SRS_HTTP_API_LISTEN": ""},
    )
    ours = settings_of(result)
    assert ours.rtmp.listen == "0.0.0.0:1936"
    assert ours.api.srs.listen == "127.0.0.1:1"


def test_a_variable_keeps_its_blanks_where_one_value_stands() -> None:
    environ = {
        "SRS_HTTP_API_ENABLED": "on",
        "SRS_HTTP_API_AUTH_ENABLED": "on",
        "SRS_HTTP_API_AUTH_USERNAME": "admin",
        "SRS_HTTP_API_AUTH_PASSWORD": "correct horse battery",
        "SRS_WORK_DIR": "/srv/my work",
    }
    result = translate(None, lambda path: "", environ)
    assert settings_of(result).api.srs.password == "correct horse battery"
    assert result.work_dir == "/srv/my work"


@pytest.mark.parametrize(
    ("variable", "value", "name"),
    [
        ("SRS_HTTP_SERVER_DIR", "./html", "dir"),
        ("SRS_RTC_SERVER_ENABLED", "on", "rtc_server"),
        ("SRS_TENCENTCLOUD_CLS_ENABLED", "on", "tencentcloud_cls"),
        ("SRS_VHOST_HTTP_STATIC_ENABLED", "on", "http_static"),
        ("SRS_VHOST_HTTP_HOOKS_ON_HLS_NOTIFY", "http://a/", "on_hls_notify"),
        ("SRS_VHOST_PUBLISH_KICKOFF_FOR_IDLE", "60", "kickoff_for_idle"),
        ("SRS_VHOST_PUBLISH_FIRSTPKT_TIMEOUT", "20000", "firstpkt_timeout"),
    ],
)
def test_a_variable_of_what_is_not_served_is_said(
    variable: str, value: str, name: str
) -> None:
    environ = {
        "SRS_HTTP_SERVER_ENABLED": "on",
        "SRS_VHOST_HTTP_HOOKS_ENABLED": "on",
        variable: value,
    }
    (note,) = translate(None, lambda path: "", environ).notes
    assert note.startswith(f"{variable}: {name}: ")


def test_the_environment_wins_over_the_file_in_all_vhosts() -> None:
    result = _translate(
        "listen 1935; vhost a.b { play { gop_cache on; } } vhost __defaultVhost__ { }",
        {"SRS_LISTEN": "1940", "SRS_VHOST_PLAY_GOP_CACHE": "off"},
    )
    ours = settings_of(result)
    assert (ours.rtmp.listen, ours.stream.gop_cache) == ("0.0.0.0:1940", False)


def test_dollar_arguments_come_from_the_environment() -> None:
    result = _translate(
        "listen $PORT; server_id $UNSET;", {"PORT": "1937", "OTHER": "x"}
    )
    assert settings_of(result).rtmp.listen == "0.0.0.0:1937"
    assert result.values["api.srs.server_id"] == "$UNSET"


# -- WebRTC ---------------------------------------------------------------------------

RTC = """\
rtc_server { enabled on; %s }
vhost __defaultVhost__ { rtc { enabled on; %s } }
"""


@pytest.mark.parametrize(
    "text",
    [
        "listen 1935;",
        "rtc_server { enabled off; listen 8000; } vhost a.b { rtc { enabled on; } }",
        "rtc_server { listen 8000; } vhost a.b { rtc { enabled on; } }",
        "vhost __defaultVhost__ { rtc { enabled on; } }",
    ],
)
def test_webrtc_is_off_unless_the_server_has_it(text: str) -> None:
    result = _translate(text)
    assert settings_of(result).webrtc.listen == ""
    assert result.notes == []


@pytest.mark.parametrize(
    "vhosts",
    [
        "",
        "vhost __defaultVhost__ { }",
        "vhost __defaultVhost__ { rtc { enabled off; } }",
        "vhost a.b { enabled off; rtc { enabled on; } }",
    ],
)
def test_webrtc_that_no_vhost_has_is_off_and_said_to_be(vhosts: str) -> None:
    result = _translate("rtc_server { enabled on; }" + vhosts)
    assert settings_of(result).webrtc.listen == ""
    assert result.notes[-1] == (
        "srs.conf:1: rtc_server: WebRTC is off, since no vhost has it (rtc)"
    )


def test_webrtc_becomes_our_settings() -> None:
    result = _translate(
        RTC
        % (
            "listen 8001; candidate 203.0.113.7;",
            "stun_timeout 20; rtmp_to_rtc on; rtc_to_rtmp on; nack on; twcc on;",
        )
    )
    ours = settings_of(result).webrtc
    assert ours.listen == "0.0.0.0:8001"
    assert ours.public_addresses == ["203.0.113.7"]
    assert ours.connect_timeout_s == 20.0
    assert ours.tcp is False
    assert result.notes == []
    assert settings_of(_translate(RTC % ("", ""))).webrtc.listen == "0.0.0.0:8000"


@pytest.mark.parametrize(
    ("candidate", "environ", "expected"),
    [
        ("*", {}, []),
        ("0.0.0.0", {}, []),
        ("$CANDIDATE", {}, []),
        ("$CANDIDATE", {"CANDIDATE": "203.0.113.7"}, ["203.0.113.7"]),
        (
            "$CANDIDATE",
            {"CANDIDATE": "203.0.113.7 2001:db8::1"},
            ["203.0.113.7", "2001:db8::1"],
        ),
        ("*", {"SRS_RTC_SERVER_CANDIDATE": "203.0.113.8"}, ["203.0.113.8"]),
    ],
)
def test_candidates_are_addresses_of_the_file_or_the_environment(
    candidate: str, environ: dict[str, str], expected: list[str]
) -> None:
    result = _translate(RTC % (f"candidate {candidate};", ""), environ)
    assert settings_of(result).webrtc.public_addresses == expected
    assert result.notes == []


def test_a_candidate_that_is_a_name_is_said_not_to_be_offered() -> None:
    result = _translate(RTC % ("candidate media.example 203.0.113.7;", ""))
    assert settings_of(result).webrtc.public_addresses == ["203.0.113.7"]
    assert result.notes == [
        "srs.conf:1: candidate: media.example is not offered, only IP addresses are"
    ]


@pytest.mark.parametrize(
    ("server", "vhost", "name"),
    [
        ("encrypt off;", "", "encrypt"),
        ("ecdsa off;", "", "ecdsa"),
        ("use_auto_detect_network_ip off;", "", "use_auto_detect_network_ip"),
        ("api_as_candidates off;", "", "api_as_candidates"),
        ("keep_api_domain on;", "", "keep_api_domain"),
        ("tcp { enabled on; listen 8000; }", "", "tcp"),
        ("protocol tcp;", "", "protocol"),
        ("black_hole { enabled on; addr 127.0.0.1:1; }", "", "black_hole"),
        ("sfu on;", "", "sfu"),
        ("", "nack off;", "nack"),
        ("", "twcc off;", "twcc"),
        ("", "rtmp_to_rtc off;", "rtmp_to_rtc"),
        ("", "rtc_to_rtmp off;", "rtc_to_rtmp"),
        ("", "dtls_role active;", "dtls_role"),
        ("", "dtls_version dtls1.0;", "dtls_version"),
        ("", "drop_for_pt 96;", "drop_for_pt"),
        ("", "sfu on;", "sfu"),
    ],
)
def test_what_webrtc_does_another_way_is_said(
    server: str, vhost: str, name: str
) -> None:
    (note,) = _translate(RTC % (server, vhost)).notes
    assert re.match(rf"srs\.conf:[12]: {name}: \w", note)


@pytest.mark.parametrize(
    ("server", "vhost"),
    [
        ("encrypt on; ecdsa on; reuseport 4; merge_nalus off; protocol udp;", ""),
        ("tcp { enabled off; } black_hole { enabled off; }", ""),
        ("api_as_candidates on; resolve_api_domain off; ip_family ipv4;", ""),
        ("", "nack_no_copy on; dtls_role passive; dtls_version auto; drop_for_pt 0;"),
        ("", "stun_strict_check on; keep_bframe off; opus_bitrate 48000;"),
        ("", "pli_for_rtmp 6.0; aac_bitrate 48000; keep_avc_nalu_sei on;"),
    ],
)
def test_what_webrtc_does_anyway_needs_no_words(server: str, vhost: str) -> None:
    assert _translate(RTC % (server, vhost)).notes == []


def test_webrtc_of_one_vhost_is_said_to_be_everywhere() -> None:
    result = _translate(
        RTC % ("", "stun_timeout 20;")
        + "vhost a.b { } vhost c.d { rtc { enabled on; stun_timeout 9; } }"
    )
    assert settings_of(result).webrtc.connect_timeout_s == 20.0
    assert result.notes == [
        "srs.conf:2: rtc: counts for the other vhosts too",
        "srs.conf:3: rtc: counts for the other vhosts too",
        "srs.conf:3: stun_timeout: the first vhost's value counts for all",
    ]


def test_webrtc_comes_from_the_environment_alone() -> None:
    environ = {
        "SRS_RTC_SERVER_ENABLED": "on",
        "SRS_RTC_SERVER_LISTEN": "8002",
        "SRS_RTC_SERVER_TCP_ENABLED": "on",
        "SRS_RTC_SERVER_CANDIDATE": "203.0.113.7",
        "SRS_VHOST_RTC_ENABLED": "on",
        "SRS_VHOST_RTC_RTMP_TO_RTC": "on",
        "SRS_VHOST_RTC_STUN_TIMEOUT": "40",
        "SRS_VHOST_RTC_NACK": "off",
    }
    result = translate(None, lambda path: "", environ)
    ours = settings_of(result).webrtc
    assert (ours.listen, ours.tcp) == ("0.0.0.0:8002", True)
    assert ours.public_addresses == ["203.0.113.7"]
    assert ours.connect_timeout_s == 40.0
    said = [note.partition(":")[0] for note in result.notes]
    assert said == ["SRS_VHOST_RTC_NACK", "SRS_RTC_SERVER_TCP_ENABLED"]
