"""``srt_server`` of a foreign configuration."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from penstock.dialects.srs.config import Translation, translate
from penstock.settings import Settings

SRT = """
srt_server {
    enabled on; listen 10081; maxbw 1000000000; mss 1500; payloadsize 1316;
    connect_timeout 4000; peerlatency 200; recvlatency 150; latency 0; pbkeylen 16;
    passphrase abcdefghijkl; default_app studio; peer_idle_timeout 8000;
    tsbpdmode on; tlpktdrop %s;
}
vhost __defaultVhost__ { srt { enabled on; srt_to_rtmp %s; } }
"""


def _translate(text: str, environ: Mapping[str, str] = {}) -> Translation:
    return translate("srs.conf", lambda path: text, environ)


def _settings_of(result: Translation) -> Settings:
    from penstock.config.schema import build, keys
    from penstock.config.values import judge

    return build({k: judge(keys()[k], v) for k, v in result.values.items()})


def test_the_block_becomes_our_settings() -> None:
    result = _translate(SRT % ("on", "on"))
    srt = _settings_of(result).srt
    assert srt.listen == "0.0.0.0:10081"
    assert srt.latency_ms == 200
    assert srt.publish_passphrase == srt.play_passphrase == "abcdefghijkl"
    assert srt.default_app == "studio"
    assert srt.max_bandwidth_bps == 8_000_000_000
    assert srt.idle_timeout_s == 8.0
    assert result.notes == []


def test_what_cannot_be_switched_off_is_said() -> None:
    result = _translate(SRT % ("off", "off"))
    assert {note.partition(": ")[2] for note in result.notes} == {
        "tlpktdrop: is always on",
        "srt_to_rtmp: streams go to every protocol",
    }


@pytest.mark.parametrize(
    ("text", "notes"),
    [
        ("listen 1935;", 0),
        ("srt_server { enabled off; } vhost a.b { srt { enabled on; } }", 0),
        ("vhost __defaultVhost__ { srt { enabled on; } }", 0),
        ("srt_server { enabled on; }", 1),
        ("srt_server { enabled on; } vhost a.b { srt { enabled off; } }", 1),
    ],
)
def test_srt_is_off_unless_the_server_and_a_vhost_have_it(
    text: str, notes: int
) -> None:
    result = _translate(text)
    assert _settings_of(result).srt.listen == ""
    assert len(result.notes) == notes


def test_variables_count_as_well() -> None:
    environ = {"SRS_SRT_SERVER_ENABLED": "on", "SRS_VHOST_SRT_ENABLED": "on"}
    environ |= {"SRS_SRT_SERVER_LISTEN": "10099", "SRS_SRT_SERVER_LATENCY": "80"}
    srt = _settings_of(_translate("listen 1935;", environ)).srt
    assert (srt.listen, srt.latency_ms) == ("0.0.0.0:10099", 80)
