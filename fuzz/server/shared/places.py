"""A server whose passwords are told from all else that stands in a text."""

from __future__ import annotations

from penstock.config.address import Address
from penstock.jobs.placeholders import Places, RtmpPlace, SrtPlace

_TOKENS = ("zqrtmppub", "zqrtmpplay", "zqsrtpub", "zqsrtplay")
_PASSPHRASES = ("zqphrasepub", "zqphraseplay")

FILES = frozenset({"zqmempw", "zqaws3pw"})
"""Passwords of file systems, which stand in options too."""
SECRETS = FILES.union(_TOKENS, _PASSPHRASES)
"""All that must not be shown."""

PLACES = Places(
    "/core/data",
    RtmpPlace(Address("127.0.0.1", 21935), "/live", _TOKENS[0], _TOKENS[1]),
    SrtPlace(
        Address("::1", 21600),
        _TOKENS[2],
        _PASSPHRASES[0],
        _TOKENS[3],
        _PASSPHRASES[1],
    ),
    {
        "mem": "http://admin:zqmempw@localhost:21080/memfs",
        "aws": "http://jobs:zqaws3pw@127.0.0.1:21080/awsfs",
    },
)

_RTMP = "rtmp://127.0.0.1:21935/live/<name>?token="
_SRT = (
    "srt://[::1]:21600?mode=caller&transtype=live&latency=<latency>&streamid=<name>"
    ",mode:"
)
SERVERS = {
    ("rtmp", "publish"): (_RTMP, _TOKENS[0], ""),
    ("rtmp", "request"): (_RTMP, _TOKENS[1], ""),
    ("srt", "publish"): (
        f"{_SRT}publish,token:",
        _TOKENS[2],
        f"&passphrase={_PASSPHRASES[0]}",
    ),
    ("srt", "request"): (
        f"{_SRT}request,token:",
        _TOKENS[3],
        f"&passphrase={_PASSPHRASES[1]}",
    ),
}
"""Addresses by placeholder and mode: up to the token, the token, the rest."""
