"""``srt://`` addresses, with the parameters that libsrt's own tools take."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import parse_qsl, unquote, urlsplit

import attrs

from sansmedia.sansio import ProtocolError

from .constants import CryptoMode
from .options import SrtOptions

__all__ = ["SrtAddress", "decode_url"]

_MODES = ("caller", "rendezvous", "listener")


def _flag(text: str) -> bool:
    if text.lower() in ("1", "yes", "on", "true"):
        return True
    if text.lower() in ("0", "no", "off", "false"):
        return False
    raise ValueError("yes or no")


def _seconds(text: str) -> float:
    value = int(text)
    if not 0 <= value <= 60_000:
        raise ValueError("0 to 60,000 ms")
    return value / 1000


def _count(text: str) -> int:
    value = int(text)
    if not 0 <= value < 1 << 31:
        raise ValueError("a number that is not negative")
    return value


def _rate(text: str) -> int:
    value = int(text)
    if not -1 <= value < 1 << 40:
        raise ValueError("octets a second, 0 or -1")
    return value


def _key_length(text: str) -> int:
    value = int(text)
    if value not in (0, 16, 24, 32):
        raise ValueError("0, 16, 24 or 32")
    return value


def _passphrase(text: str) -> str:
    if text and not 10 <= len(text.encode()) <= 80:
        raise ValueError("10 to 80 octets")
    return text


def _stream_id(text: str) -> str:
    if len(text.encode()) > 512:
        raise ValueError("512 octets at most")
    return text


def _mode_of_cipher(text: str) -> CryptoMode:
    names = {"0": CryptoMode.AUTO, "1": CryptoMode.AES_CTR, "2": CryptoMode.AES_GCM}
    if text not in names:
        raise ValueError("0, 1 (AES-CTR) or 2 (AES-GCM)")
    return names[text]


# Parameter -> options that it sets, and what reads it.
_PARAMETERS: dict[str, tuple[tuple[str, ...], Callable[[str], object]]] = {
    "streamid": (("stream_id",), _stream_id),
    "passphrase": (("passphrase",), _passphrase),
    "pbkeylen": (("pbkeylen",), _key_length),
    "cryptomode": (("crypto_mode",), _mode_of_cipher),
    "enforcedencryption": (("enforced_encryption",), _flag),
    "kmrefreshrate": (("km_refresh_rate",), _count),
    "kmpreannounce": (("km_pre_announce",), _count),
    "latency": (("rcv_latency", "peer_latency"), _seconds),
    "rcvlatency": (("rcv_latency",), _seconds),
    "peerlatency": (("peer_latency",), _seconds),
    "tlpktdrop": (("tlpkt_drop",), _flag),
    "nakreport": (("nak_report",), _flag),
    "lossmaxttl": (("loss_max_ttl",), _count),
    "maxbw": (("max_bw",), _rate),
    "inputbw": (("input_bw",), _rate),
    "mininputbw": (("min_input_bw",), _rate),
    "oheadbw": (("overhead_bw",), _count),
    "maxrexmitbw": (("max_rexmit_bw",), _rate),
    "mss": (("mss",), _count),
    "fc": (("flow_window",), _count),
    "conntimeo": (("connect_timeout",), _seconds),
    "peeridletimeo": (("peer_idle_timeout",), _seconds),
    "packetfilter": (("packet_filter",), str),
    "grouptype": (("group",), str),
}
_IGNORED = frozenset({"transtype", "tsbpdmode", "messageapi", "pkt_size", "timeout"})
"""What tools write beside them and what is no other way here."""


@attrs.frozen(kw_only=True)
class SrtAddress:
    """Where to call, or where to be called, and how."""

    host: str
    """"" for any address of ours, in listener mode."""
    port: int
    mode: str
    """"caller", "rendezvous" or "listener"."""
    options: SrtOptions
    local_host: str = ""
    """Of the interface to use; "" for any."""
    local_port: int = 0
    """Ours; 0: any, and in rendezvous the same as the peer's."""


def decode_url(text: str, defaults: SrtOptions | None = None) -> SrtAddress:
    """Read ``srt://host:port?mode=...&streamid=...``.

    Source: libsrt srt-live-transmit.md §Medium. Times are milliseconds.

    Args:
        text: The address.
        defaults: For what it does not say; None: those of `SrtOptions`.

    Raises:
        ProtocolError: ``malformed``, with what was expected.
    """
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
        pairs = parse_qsl(parts.query, keep_blank_values=True)
    except ValueError as error:
        raise _malformed(str(error)) from None
    if parts.scheme != "srt" or not port:
        raise _malformed("expected srt://host:port")
    given = dict(pairs)
    mode = given.pop("mode", "caller" if host else "listener")
    if mode in ("client", "server"):
        mode = "caller" if mode == "client" else "listener"
    if mode not in _MODES:
        raise _malformed(f"mode: expected one of {', '.join(_MODES)}")
    if mode != "listener" and not host:
        raise _malformed("expected srt://host:port")
    local_host = given.pop("adapter", "")
    local_port = given.pop("localport", given.pop("port", "0"))
    values: dict[str, object] = {}
    for name, value in given.items():
        if name in _IGNORED:
            continue
        known = _PARAMETERS.get(name)
        if known is None:
            raise _malformed(f"parameter {name[:40]!r} is not known")
        targets, read = known
        try:
            for target in targets:
                values[target] = read(value)
        except ValueError as error:
            reason = str(error)
            if "invalid literal" in reason:
                reason = "a whole number"
            raise _malformed(f"{name}: expected {reason}") from None
    if not local_port.isdecimal() or int(local_port) > 65_535:
        raise _malformed("localport: expected a port")
    if parts.path.strip("/") and "stream_id" not in values:
        # As OvenMediaEngine writes it.
        values["stream_id"] = unquote(parts.path.lstrip("/"))
    return SrtAddress(
        host=host,
        port=port,
        mode=mode,
        options=attrs.evolve(defaults or SrtOptions(), **values),  # type: ignore[arg-type] # as read
        local_host=local_host,
        local_port=int(local_port) or (port if mode == "rendezvous" else 0),
    )


def _malformed(reason: str) -> ProtocolError:
    return ProtocolError(reason, code="malformed", source="SRT URL")
