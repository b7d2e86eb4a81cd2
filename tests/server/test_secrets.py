"""What people see of jobs holds no password, token or stream key."""

from __future__ import annotations

import pytest

from penstock.control.secrets import masked, masked_words


@pytest.mark.parametrize(
    ("text", "shown", "with_keys"),
    [
        ("rtmp://a.example/live/key", "rtmp://a.example/live/***", "=text"),
        ("rtmp://127.0.0.1/live/name", "=text", "=text"),
        ("rtmp://127.0.0.1/x?token=T", "rtmp://127.0.0.1/x?token=***", "=shown"),
        ("srt://h:1?passphrase=secret12345", "srt://h:1?passphrase=***", "=shown"),
        (
            "srt://h:1?mode=caller&streamid=n,mode:publish,token:T&passphrase=P123456789",
            "srt://h:1?mode=caller&streamid=***&passphrase=***",
            "srt://h:1?mode=caller&streamid=n,mode:publish,token:***&passphrase=***",
        ),
        ("srt://h:1?streamid=#!::r=a,m=request", "=text", "=text"),
        (
            "srt://h:1?streamid=n,mode:request&latency=1",
            "srt://h:1?streamid=***&latency=1",
            "=text",
        ),
        ("srt://h:1?streamid=publish:a:u:pw", "srt://h:1?streamid=***", "=shown"),
        ("srt://h:1?streamid=n%2Ctoken%3AT", "srt://h:1?streamid=***", "=shown"),
        ("http://u:pw@h/memfs/x: 404", "http://u:***@h/memfs/x: 404", "=shown"),
        (
            "Output #0, tee, to '[f=flv]rtmp://127.0.0.1/x?token=T|[f=null]-':",
            "Output #0, tee, to '[f=flv]rtmp://127.0.0.1/x?token=***",
            "=shown",
        ),
        (
            "srt://h:1?streamid=a b&c,mode:publish,token:T&passphrase=P",
            "srt://h:1?streamid=*** b&c,mode:publish,token:***&passphrase=***",
            "=shown",
        ),
        (r"http:\/\/u:pw@h/x", r"http:\/\/u:***@h/x", "=shown"),
        (
            "[f=flv]rtmp://127.0.0.1/x?token=T|[f=mpegts]srt://h:1?passphrase=P",
            "[f=flv]rtmp://127.0.0.1/x?token=***|[f=mpegts]srt://h:1?passphrase=***",
            "=shown",
        ),
        ("frame= 1 fps=25", "=text", "=text"),
    ],
)
def test_addresses_lose_what_is_secret(text: str, shown: str, with_keys: str) -> None:
    shown = text if shown == "=text" else shown
    assert masked(text) == shown
    with_keys = {"=text": text, "=shown": shown}.get(with_keys, with_keys)
    assert masked(text, keys=False) == with_keys


def test_options_lose_their_values_where_those_are_secret() -> None:
    words = ["-i", "x", "-passphrase", "0123456789", "-f", "tee"]
    words.append("[f=flv]rtmp://h/a?token=T|http://u:pw@h/x")
    assert masked_words(words, keys=False) == [
        *["-i", "x", "-passphrase", "***", "-f", "tee"],
        "[f=flv]rtmp://h/a?token=***|http://u:***@h/x",
    ]
