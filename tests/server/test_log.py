from __future__ import annotations

import json
import logging
import os
import re
import select
from collections.abc import Callable, Iterator

import pytest

from penstock import log

Configure = Callable[..., None]
Lines = Callable[[], list[str]]


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield ends
    log.configure(route_standard_logging=False)
    root.handlers, root.level = handlers, level
    os.close(ends[0])
    os.close(ends[1])


@pytest.fixture
def configure(pipe: tuple[int, int]) -> Configure:
    def set_up(level: str = "debug", format: str = "text", route: bool = False) -> None:
        log.configure(level, format, descriptor=pipe[1], route_standard_logging=route)

    set_up()
    return set_up


@pytest.fixture
def lines(pipe: tuple[int, int], configure: Configure) -> Lines:
    def read() -> list[str]:
        if not select.select([pipe[0]], [], [], 0)[0]:
            return []
        return os.read(pipe[0], 1 << 20).decode().splitlines()

    return read


def test_a_line_has_time_level_message_and_fields(
    lines: Lines,
) -> None:
    log.info("session ended", session="a1", reason="kicked by admin", bytes_in=12)
    (line,) = lines()
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z info session ended "
        r'session=a1 reason="kicked by admin" bytes_in=12',
        line,
    )


def test_values_of_all_kinds_are_written(lines: Lines) -> None:
    log.debug("kinds", a=None, b=True, c=1.23456, d=b"\xff\x00x", e="", f="é")
    (line,) = lines()
    assert line.endswith('debug kinds b=true c=1.235 d="\\\\xff\\x00x" e="" f="é"')


def test_peer_text_cannot_forge_a_line(lines: Lines) -> None:
    evil = 'x" ok=1\r\n2026 error boom\x1b[31m\u2028\u202e\x85\\'
    log.warning("refused", name=evil)
    (line,) = lines()
    assert "\\r\\n2026" in line
    assert "\\x1b" in line
    assert "\\u2028\\u202e\\x85" in line
    assert 'name="x\\" ok=1' in line


def test_a_value_that_fails_to_print_does_not_fail_the_caller(
    lines: Lines,
) -> None:
    class Broken:
        def __str__(self) -> str:
            raise RuntimeError

    log.info("odd", value=Broken())
    assert lines()[0].endswith("odd value=<unprintable>")


def test_levels_below_the_threshold_are_not_written(
    lines: Lines, configure: Configure
) -> None:
    configure("warning")
    log.info("quiet")
    log.warning("loud")
    assert [line.split()[1] for line in lines()] == ["warning"]


def test_bound_fields_come_first_and_end_with_the_block(
    lines: Lines,
) -> None:
    with log.bind(session="s1"), log.bind(role="play"):
        log.info("in", x=1)
    log.info("out")
    first, second = lines()
    assert first.endswith("in session=s1 role=play x=1")
    assert second.endswith("info out")


def test_json_lines_are_objects(lines: Lines, configure: Configure) -> None:
    configure(format="json")
    log.info("ended", reason='a "b"\n', bytes_in=3, relay=None)
    record = json.loads(lines()[0])
    assert record["message"] == "ended"
    assert record["reason"] == 'a "b"\n'
    assert record["bytes_in"] == 3
    assert record["relay"] is None


@pytest.mark.parametrize("as_json", [False, True])
def test_a_huge_value_is_cut_to_one_atomic_write(
    lines: Lines, configure: Configure, as_json: bool
) -> None:
    configure(format="json" if as_json else "text")
    log.info("big", value="é\x00" * 100_000, other="x" * 9_000)
    (line,) = lines()
    assert len(line.encode()) < select.PIPE_BUF
    if as_json:
        assert json.loads(line)["message"] == "big"


def test_a_full_pipe_drops_lines_counts_them_and_never_waits(
    lines: Lines,
) -> None:
    for _ in range(500):
        log.info("fill", text="x" * 3_000)
    while lines():
        pass
    log.info("again")
    count, again = lines()
    assert re.search(r"warning log lines dropped count=[1-9]\d+$", count)
    assert again.endswith("info again")


def test_a_closed_descriptor_is_no_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    os.close(writer)
    log.configure(descriptor=writer, route_standard_logging=False)
    log.info("nobody reads this")
    log.configure(route_standard_logging=False)


def test_an_exception_is_one_line_with_where(lines: Lines) -> None:
    try:
        try:
            raise ValueError("bad\nvalue")
        except ValueError as error:
            raise ExceptionGroup("g", [error]) from None
    except ExceptionGroup as group:
        log.exception("session failed", group, session="s")
    (line,) = lines()
    assert 'error="ValueError: bad\\nvalue"' in line
    assert "test_log.py:" in line
    assert "Traceback" not in line


def test_libraries_log_here_from_warnings_on(
    lines: Lines, configure: Configure
) -> None:
    configure(route=True)
    logging.getLogger("hypercorn.error").info("chatter")
    logging.getLogger("hypercorn.error").warning("odd %s", "thing")
    try:
        raise KeyError("k")
    except KeyError:
        logging.getLogger("quart").exception("failed")
    first, second = lines()
    assert first.endswith('warning library logger=hypercorn.error text="odd thing"')
    assert "error library logger=quart" in second
    assert "KeyError" in second


@pytest.mark.parametrize(
    ("query", "masked"),
    [
        ("token=abc&a=1", "token=***&a=1"),
        ("vhost=x&txSecret=1&txTime=2", "vhost=x&txSecret=***&txTime=2"),
        ("to%6ben=abc", "to%6ben=***"),
        ("KEY=1;sign=2&Signature=3", "KEY=***;sign=***&Signature=***"),
        ("auth_key=1-2&password=p&passwd=q", "auth_key=***&password=***&passwd=***"),
        ("a=1&b", "a=1&b"),
        ("url=rtmp://h/x?token=abc&a=1", "url=rtmp://h/x?token=***&a=1"),
        ("y=z?token=abc", "y=z?token=***"),
        ("\\token\\=abc", "\\token\\=***"),
        ("a=1&x,mode:publish,token:abc&b=2", "a=1&x,mode:publish,token:***&b=2"),
        ("token=", "token="),
        ("", ""),
    ],
)
def test_secrets_in_queries_are_masked(query: str, masked: str) -> None:
    assert log.mask_query(query) == masked


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        ("rtmp://h/live?token=abc/s", "rtmp://h/live?token=***"),
        ("http://user:pw@h:1/x?key=1#f", "http://user:***@h:1/x?key=***#f"),
        ("rtmp://[::1]:1935/live/s", "rtmp://[::1]:1935/live/s"),
        ("rtmp://h/live#token=abc", "rtmp://h/live#token=***"),
        ("http://h/page?a=1#key=abc", "http://h/page?a=1#key=***"),
        ("wheps://abc@h:1/x?a=1", "wheps://***@h:1/x?a=1"),
        ("whip://ab:c@h/x", "whip://***@h/x"),
        ("whep://h/live/a/whep", "whep://h/live/a/whep"),
        (r"[f=hls]http\\://u:pw@h/x", r"[f=hls]http\\://u:***@h/x"),
        (r"http:\/\/u:pw@h/x", r"http:\/\/u:***@h/x"),
        ("no url at all", "no url at all"),
    ],
)
def test_secrets_in_urls_are_masked(url: str, masked: str) -> None:
    assert log.mask_url(url) == masked


def test_a_long_word_in_a_query_costs_its_length() -> None:
    # Looked at again from each letter of it, it takes minutes.
    query = "a= " + "b" * 500_000
    assert log.mask_query(query) == query


def test_a_stream_key_can_be_hidden() -> None:
    assert log.mask_url("rtmp://h/app/k3y", hide_name=True) == "rtmp://h/app/***"
    assert log.mask_url("live/name", hide_name=True) == "live/name"


def test_secrets_in_fields_are_masked(lines: Lines) -> None:
    log.info("x", token="abc", url="rtmp://h/a?token=abc", parameters="a=1&token=abc")
    (line,) = lines()
    assert "abc" not in line
    assert "a=1" in line


@pytest.fixture
def kept(lines: Lines) -> Iterator[Callable[[int], None]]:
    yield log.keep
    log.keep(0)


def test_the_newest_lines_are_kept(kept: Callable[[int], None]) -> None:
    log.info("before")
    kept(2)
    with log.bind(session="a1"):
        for number in range(3):
            log.warning("line", number=number, nothing=None, address=b"\xff")
    records = log.recent()
    assert [(r.level, r.message, r.fields["number"]) for r in records] == [
        ("warning", "line", 1),
        ("warning", "line", 2),
    ]
    assert dict(records[0].fields) == {
        "session": "a1",
        "number": 1,
        "address": "\\xff",
    }


def test_what_is_kept_is_masked_and_cut(kept: Callable[[int], None]) -> None:
    kept(1)
    log.info("m" * 5_000, token="hidden", text="t" * 5_000, url="rtmp://a/b?token=x")
    (record,) = log.recent()
    assert len(record.message) == 1_024
    assert sum(len(str(value)) for value in record.fields.values()) <= 1_024
    assert record.fields["token"] == "***"
    assert record.fields["url"] == "rtmp://a/b?token=***"


def test_what_is_not_written_is_not_kept(kept: Callable[[int], None]) -> None:
    kept(5)
    log.configure("error", route_standard_logging=False)
    log.info("quiet")
    assert log.recent() == []


def test_fewer_lines_are_the_newest_of_those_that_were(
    kept: Callable[[int], None],
) -> None:
    kept(5)
    for number in range(5):
        log.info("line", number=number)
    kept(2)
    assert [record.fields["number"] for record in log.recent()] == [3, 4]
