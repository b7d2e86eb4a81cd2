"""Log lines on standard error: one event a line, `text` or `json`.

``log.info("session ended", session=..., reason=..., bytes_in=...)``: the first argument
is a constant phrase, all that varies is a field. A line is written by one system call,
never raises, and never waits: when whoever reads standard error has stopped, lines are
dropped and the next one that goes through says how many. The newest are kept for
whoever asks, once `keep` has said how many.
"""

from __future__ import annotations

import contextlib
import contextvars
import json
import logging
import os
import re
import select
import time
import traceback
from collections import deque
from collections.abc import Iterator, Mapping
from typing import NamedTuple
from urllib.parse import unquote

__all__ = [
    "LEVELS",
    "Record",
    "bind",
    "configure",
    "debug",
    "error",
    "exception",
    "info",
    "keep",
    "mask_query",
    "mask_url",
    "recent",
    "warning",
]

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}

# A write of up to PIPE_BUF octets to a pipe that polls writable neither waits nor
# mixes with another writer's (pipe(7)), so a longer line is cut.
_MAX_LINE = select.PIPE_BUF
_MAX_KEPT = 1_024
"""Characters of a record's message, and of its texts together."""
_MASK = "***"
_SECRET = re.compile(
    r"token|secret|passw|passphrase|^streamid$|pwd|^pass$|_pass$|auth|sign|^sig$|^key$|_key$|apikey|"
    r"credential|jwt|cookie",
    re.IGNORECASE,
)
_SECRET_FIELD = re.compile(r"token|secret|passw|passphrase|pwd|credential|cookie|jwt")
# A name is looked for from where it can begin alone: else a long word is quadratic.
_QUERY_NAME = re.compile(r"(?<![^&;?#=\s])([^&;?#=\s]*)=")
_QUERY_VALUE = re.compile(r"[^&;#\s]*")
# Within a list for FFmpeg's tee muxer, backslashes stand before colons, or any other.
_STREAM_ID_TOKEN = re.compile(r"(,token\\*:)[^,&;#\s]+")
_USERINFO = re.compile(r"(:(?:\\*/){2})([^/?#@\s:]*):[^/?#\s]*@")
_TOKEN = re.compile(r"(?i)\b(wh[ie]ps?://)[^/?#\s]*@")
"""There a bearer token stands before the host."""
_QUERY_MARK = re.compile("(?=[?#])")
_BARE = re.compile(r"[A-Za-z0-9_.:/@%+*,()\[\]<>-]+")

_fields: contextvars.ContextVar[dict[str, object]] = contextvars.ContextVar(
    "penstock_log_fields"
)


class Record(NamedTuple):
    """One line, as it is kept."""

    at: float
    """Unix seconds."""
    level: str
    message: str
    fields: Mapping[str, str | int | float | bool]
    """In their order, secrets masked, texts cut."""


class _Output:
    """Where lines go and which."""

    def __init__(self) -> None:
        self.recent: deque[Record] = deque(maxlen=0)
        self.threshold = LEVELS["info"]
        self.as_json = False
        self.descriptor = 2
        self.dropped = 0

    def write(self, line: bytes) -> None:
        try:
            if not self._is_writable():
                self.dropped += 1
                return
            if self.dropped:
                dropped, self.dropped = self.dropped, 0
                note = _line("warning", "log lines dropped", {"count": dropped})
                os.write(self.descriptor, note)
                if not self._is_writable():
                    self.dropped += 1
                    return
            os.write(self.descriptor, line)
        except (OSError, ValueError):
            self.dropped += 1

    def _is_writable(self) -> bool:
        # Setting O_NONBLOCK would change the terminal or pipe for everyone who
        # shares it; asking first costs about a microsecond.
        poll = select.poll()
        poll.register(self.descriptor, select.POLLOUT)
        return any(event & select.POLLOUT for _, event in poll.poll(0))


# The process has one standard error, hence one output.
_output = _Output()


def configure(
    level: str = "info",
    format: str = "text",
    *,
    descriptor: int = 2,
    route_standard_logging: bool = True,
) -> None:
    """Set what is logged and how; may be called again at any time.

    Args:
        level: "debug", "info", "warning" or "error".
        format: "text" or "json".
        descriptor: The file descriptor written to.
        route_standard_logging: Whether the `logging` of libraries, from warnings
            on, comes out here too.
    """
    _output.threshold = LEVELS[level]
    _output.as_json = format == "json"
    if descriptor != _output.descriptor:
        _output.descriptor, _output.dropped = descriptor, 0
    if route_standard_logging:
        root = logging.getLogger()
        root.handlers = [_LibraryHandler(logging.WARNING)]
        root.setLevel(logging.WARNING)


def keep(lines: int) -> None:
    """Keep the newest ``lines`` lines that are logged, up to about 1 KiB each."""
    _output.recent = deque(_output.recent, maxlen=lines)


def recent() -> list[Record]:
    """Return the lines that are kept, the oldest first."""
    return list(_output.recent)


@contextlib.contextmanager
def bind(**fields: object) -> Iterator[None]:
    """Add ``fields`` to every line of the block and of the tasks started in it."""
    token = _fields.set({**_fields.get({}), **fields})
    try:
        yield
    finally:
        _fields.reset(token)


def debug(message: str, /, **fields: object) -> None:
    """Log what only a developer asks for."""
    _log("debug", message, fields)


def info(message: str, /, **fields: object) -> None:
    """Log something that went as it should."""
    _log("info", message, fields)


def warning(message: str, /, **fields: object) -> None:
    """Log something that a person may want to look into."""
    _log("warning", message, fields)


def error(message: str, /, **fields: object) -> None:
    """Log something that is broken here, not at a peer."""
    _log("error", message, fields)


def exception(message: str, failure: BaseException, /, **fields: object) -> None:
    """Log an unexpected exception as one error line: type, text and where."""
    _log("error", message, {**fields, **_described(failure)})


def mask_query(query: str) -> str:
    """Return ``query`` with the values of secret-looking names masked.

    Names are judged after percent-decoding; the rest keeps its bytes. The token in an
    SRT stream id (``name,mode:publish,token:T``) is masked as well.
    """
    done = []
    at = 0
    while match := _QUERY_NAME.search(query, at):
        end = match.end()
        done.append(query[at:end])
        name = unquote(match[1]).replace("\\", "")
        value = _QUERY_VALUE.match(query, end) if _SECRET.search(name) else None
        if value is not None and value[0]:
            done.append(_MASK)
            end = value.end()
        # What is no secret may hold another query: an address in an address.
        at = end
    text = "".join((*done, query[at:]))
    return _STREAM_ID_TOKEN.sub(rf"\1{_MASK}", text)


def mask_url(url: str, *, hide_name: bool = False) -> str:
    """Return ``url`` with its password and secret query values masked.

    Args:
        url: Any text; what is no URL comes back as it is.
        hide_name: Also mask the last path segment, which for many services is the
            stream key.
    """
    masked = _TOKEN.sub(rf"\1{_MASK}@", url)
    masked = _USERINFO.sub(rf"\1\2:{_MASK}@", masked)
    # What stands behind # counts as a query too: clients write tokens there.
    path, *rest = _QUERY_MARK.split(masked, maxsplit=1)
    if hide_name and "://" in path and path.count("/") > 3:
        path = path.rpartition("/")[0] + "/" + _MASK
    return "".join([path, *map(mask_query, rest)])


class _LibraryHandler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        try:
            fields: dict[str, object] = {"logger": record.name}
            message = record.getMessage()
            if record.exc_info and record.exc_info[1] is not None:
                fields.update(_described(record.exc_info[1]))
            level = "error" if record.levelno >= logging.ERROR else "warning"
            _log(level, "library", {**fields, "text": message})
        except Exception as failure:
            _log("error", "library", {"logger": record.name, **_described(failure)})


def _log(level: str, message: str, fields: dict[str, object]) -> None:
    if LEVELS[level] < _output.threshold:
        return
    bound = _fields.get({})
    if bound:
        fields = {**bound, **fields}
    if _output.recent.maxlen:
        _output.recent.append(_record(level, message, fields))
    _output.write(_line(level, message, fields))


def _record(level: str, message: str, fields: dict[str, object]) -> Record:
    values = {name: _value(name, item) for name, item in fields.items()}
    # Many short fields or a few long ones: the sum is what is bounded.
    room = _MAX_KEPT // max(1, len(values))
    short = {
        name: value if isinstance(value, bool | int | float) else str(value)[:room]
        for name, value in values.items()
        if value is not None
    }
    return Record(time.time(), level, message[:_MAX_KEPT], short)


def _line(level: str, message: str, fields: dict[str, object]) -> bytes:
    now = time.time()
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now))
    stamp = f"{stamp}.{int(now % 1 * 1000):03d}Z"
    values = {name: _value(name, item) for name, item in fields.items()}
    if _output.as_json:
        text = _json_line(stamp, level, message, values)
    else:
        parts = [stamp, level, _escaped(message)]
        parts += [f"{n}={_quoted(v)}" for n, v in values.items() if v is not None]
        text = " ".join(parts)
    data = text.encode("utf-8", "backslashreplace")
    if len(data) >= _MAX_LINE:
        data = data[: _MAX_LINE - 8].decode("utf-8", "ignore").encode() + b" ..."
    return data + b"\n"


def _json_line(stamp: str, level: str, message: str, values: dict[str, object]) -> str:
    record = {"time": stamp, "level": level, "message": message, **values}
    text = json.dumps(record)
    if len(text) >= _MAX_LINE:
        # A cut object is no JSON: cut the longest values instead.
        room = (_MAX_LINE - 512) // (6 * max(1, len(values)))
        short = {
            n: v[:room] + "..." if isinstance(v, str) and len(v) > room else v
            for n, v in values.items()
        }
        record = {"time": stamp, "level": level, "message": message[:64], **short}
        text = json.dumps(record)
    return text


def _value(name: str, item: object) -> object:
    """Return ``item`` as None, a number, a bool or a masked text."""
    if item is None or isinstance(item, bool | int):
        return item
    if isinstance(item, float):
        return round(item, 3)
    if _SECRET_FIELD.search(name):
        return _MASK
    try:
        if isinstance(item, bytes | bytearray | memoryview):
            text = bytes(item).decode("utf-8", "backslashreplace")
        else:
            text = str(item)
    except Exception:
        return "<unprintable>"
    if "://" in text or "?" in text:
        return mask_url(text)
    return mask_query(text) if "=" in text else text


def _quoted(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value)
    if _BARE.fullmatch(text):
        return text
    return '"' + _escaped(text).replace('"', '\\"') + '"'


def _escaped(text: str) -> str:
    """Return ``text`` with everything escaped that could forge or hide a line."""
    if text.isprintable() and "\\" not in text:
        return text
    return "".join(
        char
        if char.isprintable() and char != "\\"
        else char.encode("unicode_escape").decode("ascii")
        for char in text
    )


def _described(failure: BaseException) -> dict[str, object]:
    leaves = _leaves(failure)
    shown = "; ".join(f"{type(leaf).__name__}: {_text(leaf)}" for leaf in leaves[:3])
    frames = traceback.extract_tb(leaves[0].__traceback__)[-4:]
    where = " < ".join(
        f"{os.path.basename(frame.filename)}:{frame.lineno} {frame.name}"
        for frame in reversed(frames)
    )
    return {"error": shown, "where": where or None}


def _leaves(failure: BaseException) -> list[BaseException]:
    if not isinstance(failure, BaseExceptionGroup):
        return [failure]
    return [leaf for inner in failure.exceptions for leaf in _leaves(inner)]


def _text(failure: BaseException) -> str:
    try:
        return str(failure)
    except Exception:
        return "<unprintable>"
