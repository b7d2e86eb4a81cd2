"""Conditions and ranges, by the words and examples of RFC 9110."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.storage.file_system import FileInfo
from penstock.storage.http_dates import decode_http_date, encode_http_date
from penstock.storage.http_semantics import (
    Answer,
    ByteRange,
    Conditions,
    RangeUnsatisfiable,
    decode_range,
    file_headers,
    judge_change,
    judge_read,
    weaken,
)

MODIFIED = 784_111_777  # Sun, 06 Nov 1994 08:49:37 GMT
NOW = MODIFIED + 3600.0
INFO = FileInfo("/f", 10_000, MODIFIED + 0.25, '"xyzzy"')
WEAK = attrs.evolve(INFO, etag='W/"xyzzy"')

# -- dates: RFC 9110 §5.6.7 -----------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
    ],
)
def test_a_date_is_read_in_its_three_forms(text: str) -> None:
    assert decode_http_date(text, NOW) == MODIFIED


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "Sun, 06 Nov 1994 08:49:37 +0100",
        "Sun, 06 Nov 1994 08:49:37 GMT ",
        "Sun, 6 Nov 1994 08:49:37 GMT",
        "Sun, 31 Feb 1994 08:49:37 GMT",
        "Sun, 00 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 0000 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:00:00 GMT",
        "Sun, 06 Nov 1994 08:60:00 GMT",
        "Sun, \u0660\u0666 Nov 1994 08:49:37 GMT",
    ],
)
def test_what_is_no_date_is_none(text: str) -> None:
    assert decode_http_date(text, NOW) is None


def test_a_year_of_two_digits_is_the_nearer_one() -> None:
    in_2026 = 1_795_000_000
    year_of = {"75": 1975 + 100, "76": 2076, "77": 1977}
    for digits, year in year_of.items():
        seconds = decode_http_date(f"Sunday, 06-Nov-{digits} 08:49:37 GMT", in_2026)
        assert seconds is not None
        assert f" {year} " in encode_http_date(seconds)


@given(st.integers(0, 253_402_300_799))
def test_a_date_that_was_written_is_read(seconds: int) -> None:
    assert decode_http_date(encode_http_date(seconds + 0.9), NOW) in (
        seconds,
        # 0.9 is lost in a float beside a large number.
        seconds + 1,
    )


DATE_WORDS = st.sampled_from(
    [
        *("Sun", "day", ", ", " ", "-", ":", "Feb", "GMT", "00", "06", "31", "61"),
        *("1994", "99999999999999999999", "\u0660", "\0"),
    ]
)


@given(st.lists(DATE_WORDS, max_size=16).map("".join))
def test_no_text_breaks_the_reading_of_dates(text: str) -> None:
    decode_http_date(text, NOW)


# -- ranges: RFC 9110 §14.1.2, §14.2, §17.15 -------------------------------------------


@pytest.mark.parametrize(
    ("value", "start", "stop"),
    [
        ("bytes=0-499", 0, 500),
        ("bytes=500-999", 500, 1000),
        ("bytes=-500", 9500, 10_000),
        ("bytes=9500-", 9500, 10_000),
        ("bytes=0-0", 0, 1),
        ("bytes=-1", 9999, 10_000),
        ("bytes=-20000", 0, 10_000),
        ("bytes=9999-20000", 9999, 10_000),
        ("bytes=0-99999999999999999999999999", 0, 10_000),
        ("bytes=-99999999999999999999999999", 0, 10_000),
        ("bytes=0000000000000000000000000001-2", 1, 3),
        ("Bytes=1-2", 1, 3),
        ("bytes= 1-2 ", 1, 3),
        ("bytes=,1-2,", 1, 3),
    ],
)
def test_a_range_is_a_part(value: str, start: int, stop: int) -> None:
    assert decode_range(value, 10_000) == ByteRange(start, stop)


@pytest.mark.parametrize(
    "value",
    [
        "bytes=0-0,-1",
        "bytes=500-600,601-999",
        "bytes=5-4",
        "bytes=99999-4",
        "bytes=-",
        "bytes=",
        "bytes=a-b",
        "bytes=1--2",
        "bytes=1-2-3",
        "bytes=+1-2",
        "bytes=1_0-20",
        "bytes=\u0661-\u0662",
        "bytes 0-1",
        "lines=0-1",
        "",
    ],
)
def test_what_is_not_one_range_is_the_whole(value: str) -> None:
    assert decode_range(value, 10_000) is None


@pytest.mark.parametrize(
    ("value", "size"),
    [("bytes=10000-", 10_000), ("bytes=-0", 10_000), ("bytes=0-", 0), ("bytes=-0", 0)],
)
def test_a_range_without_a_byte_is_unsatisfiable(value: str, size: int) -> None:
    with pytest.raises(RangeUnsatisfiable):
        decode_range(value, size)


def test_the_end_of_an_empty_file_is_the_whole() -> None:
    assert decode_range("bytes=-5", 0) is None


@given(st.integers(0, 50), st.text(alphabet="bytes=0123456789-, \t", max_size=20))
def test_a_part_lies_in_the_file(size: int, value: str) -> None:
    try:
        part = decode_range(value, size)
    except RangeUnsatisfiable:
        return
    if part is not None:
        assert 0 <= part.start < part.stop <= size


# -- reading: RFC 9110 §13.1, §13.2.2 -------------------------------------------------

BEFORE, SAME, AFTER = (encode_http_date(MODIFIED + n) for n in (-1, 0, 1))
PART = Answer(206, ByteRange(0, 500))


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        (Conditions(), Answer(200)),
        (Conditions(if_none_match='"xyzzy"'), Answer(304)),
        (Conditions(if_none_match='W/"xyzzy"'), Answer(304)),
        (Conditions(if_none_match='"a", W/"b,c" ,"xyzzy", "d"'), Answer(304)),
        (Conditions(if_none_match="*"), Answer(304)),
        (Conditions(if_none_match='"other"'), Answer(200)),
        (Conditions(if_none_match="xyzzy"), Answer(200)),
        (Conditions(if_none_match='"a" "xyzzy"'), Answer(200)),
        (Conditions(if_none_match=""), Answer(200)),
        (Conditions(if_modified_since=SAME), Answer(304)),
        (Conditions(if_modified_since=AFTER), Answer(304)),
        (Conditions(if_modified_since=BEFORE), Answer(200)),
        (Conditions(if_modified_since="nonsense"), Answer(200)),
        # If-None-Match makes If-Modified-Since void, both ways.
        (Conditions(if_none_match='"other"', if_modified_since=SAME), Answer(200)),
        (Conditions(if_none_match='"xyzzy"', if_modified_since=BEFORE), Answer(304)),
        (Conditions(if_match='"xyzzy"'), Answer(200)),
        (Conditions(if_match="*"), Answer(200)),
        (Conditions(if_match='"other"'), Answer(412)),
        (Conditions(if_match='W/"xyzzy"'), Answer(412)),
        (Conditions(if_unmodified_since=SAME), Answer(200)),
        (Conditions(if_unmodified_since=BEFORE), Answer(412)),
        (Conditions(if_unmodified_since="nonsense"), Answer(200)),
        (Conditions(if_match='"xyzzy"', if_unmodified_since=BEFORE), Answer(200)),
        (Conditions(if_match='"other"', if_none_match='"xyzzy"'), Answer(412)),
        (Conditions(range="bytes=0-499"), PART),
        (Conditions(range="bytes=10000-"), Answer(416)),
        (Conditions(range="bytes=0-0,5-5"), Answer(200)),
        (Conditions(range="bytes=0-499", if_none_match='"xyzzy"'), Answer(304)),
        (Conditions(range="bytes=0-499", if_match='"other"'), Answer(412)),
        (Conditions(range="bytes=0-499", if_range='"xyzzy"'), PART),
        (Conditions(range="bytes=0-499", if_range='W/"xyzzy"'), Answer(200)),
        (Conditions(range="bytes=0-499", if_range='"other"'), Answer(200)),
        (Conditions(range="bytes=10000-", if_range='"other"'), Answer(200)),
        (Conditions(range="bytes=0-499", if_range=SAME), PART),
        (Conditions(range="bytes=0-499", if_range=BEFORE), Answer(200)),
        (Conditions(range="bytes=0-499", if_range=AFTER), Answer(200)),
        (Conditions(range="bytes=0-499", if_range="nonsense"), Answer(200)),
        (Conditions(if_range='"xyzzy"'), Answer(200)),
    ],
)
def test_a_get_is_answered_by_its_conditions(
    conditions: Conditions, expected: Answer
) -> None:
    assert judge_read("GET", conditions, INFO, NOW) == expected


def test_a_head_is_never_a_part_and_may_be_unmodified() -> None:
    ranged = Conditions(range="bytes=0-499")
    assert judge_read("HEAD", ranged, INFO, NOW) == Answer(200)
    unmodified = Conditions(if_none_match='"xyzzy"')
    assert judge_read("HEAD", unmodified, INFO, NOW) == Answer(304)


def test_a_weak_tag_matches_for_a_cache_and_not_for_a_part() -> None:
    """RFC 9110 §8.8.3.2: weak comparison for If-None-Match alone."""
    assert judge_read("GET", Conditions(if_none_match='"xyzzy"'), WEAK, NOW).status == (
        304
    )
    assert judge_read("GET", Conditions(if_match='W/"xyzzy"'), WEAK, NOW).status == 412
    part = Conditions(range="bytes=0-1", if_range='W/"xyzzy"')
    assert judge_read("GET", part, WEAK, NOW) == Answer(200)


def test_a_date_of_this_second_is_too_weak_for_a_part() -> None:
    """RFC 9110 §13.1.5 and §8.8.2.2: the file may change once more within it."""
    part = Conditions(range="bytes=0-1", if_range=SAME)
    assert judge_read("GET", part, INFO, MODIFIED + 0.5) == Answer(200)


FIELDS = st.text(alphabet='"W/xyz*,;=- bytes09\t\0\xff\u0661', max_size=30)


@given(FIELDS, FIELDS, FIELDS)
def test_no_field_breaks_the_decision(one: str, two: str, three: str) -> None:
    for conditions in (
        Conditions(one, two, three),
        Conditions(if_range=one, range=two, if_unmodified_since=three),
    ):
        judge_read("GET", conditions, INFO, NOW)
        judge_change(conditions, INFO, NOW)


@pytest.mark.parametrize("value", ['"a",' * 20_000, '"' * 60_000, "," * 60_000])
def test_a_long_list_of_tags_takes_no_longer_than_its_length(value: str) -> None:
    assert judge_read("GET", Conditions(if_none_match=value), INFO, NOW).status == 200


# -- changing: RFC 9110 §13.1.1, §13.1.2, §13.1.4 -------------------------------------


@pytest.mark.parametrize(
    ("conditions", "current", "status"),
    [
        (Conditions(), None, None),
        (Conditions(), INFO, None),
        (Conditions(if_none_match="*"), None, None),
        (Conditions(if_none_match="*"), INFO, 412),
        (Conditions(if_none_match='"xyzzy"'), INFO, 412),
        (Conditions(if_none_match='"other"'), INFO, None),
        (Conditions(if_match="*"), INFO, None),
        (Conditions(if_match="*"), None, 412),
        (Conditions(if_match='"xyzzy"'), INFO, None),
        (Conditions(if_match='"xyzzy"'), WEAK, 412),
        (Conditions(if_match='"other"'), INFO, 412),
        (Conditions(if_unmodified_since=SAME), INFO, None),
        (Conditions(if_unmodified_since=BEFORE), INFO, 412),
        (Conditions(if_modified_since=SAME, range="bytes=0-1"), INFO, None),
    ],
)
def test_a_change_depends_on_what_is_there(
    conditions: Conditions, current: FileInfo | None, status: int | None
) -> None:
    assert judge_change(conditions, current, NOW) == status


# -- headers --------------------------------------------------------------------------


def test_conditions_are_taken_from_a_request() -> None:
    headers = {"If-Match": "a", "If-None-Match": "b", "If-Modified-Since": "c"}
    headers |= {"If-Unmodified-Since": "d", "If-Range": "e", "Range": "f"}
    assert attrs.astuple(Conditions.of(headers.get)) == tuple("abcdef")


def test_a_whole_answer_tells_all() -> None:
    assert file_headers(Answer(200), INFO, "text/plain") == [
        ("Content-Type", "text/plain"),
        ("Content-Length", "10000"),
        ("Accept-Ranges", "bytes"),
        ("ETag", '"xyzzy"'),
        ("Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT"),
    ]


def test_a_part_tells_which_it_is() -> None:
    """RFC 9110 §14.4."""
    headers = dict(file_headers(PART, INFO, "video/mp4", max_age=300))
    assert headers["Content-Range"] == "bytes 0-499/10000"
    assert headers["Content-Length"] == "500"
    assert headers["Cache-Control"] == "max-age=300"


def test_an_unmodified_answer_has_no_length_and_no_type() -> None:
    """RFC 9110 §15.4.5: what a 304 carries."""
    headers = dict(file_headers(Answer(304), INFO, "a/b", max_age=0, private=True))
    assert set(headers) == {"ETag", "Last-Modified", "Cache-Control"}
    assert headers["Cache-Control"] == "private, max-age=0"


def test_an_unsatisfiable_range_is_told_the_size() -> None:
    """RFC 9110 §15.5.17: ``bytes */size``."""
    headers = dict(file_headers(Answer(416), INFO, "a/b"))
    assert headers["Content-Range"] == "bytes */10000"
    assert file_headers(Answer(412), INFO, "a/b") == []


def test_another_coding_has_a_weak_tag() -> None:
    """RFC 9110 §8.8.1 and §8.8.3.3: gzip gives other bytes of the same content."""
    assert weaken('"a"') == weaken('W/"a"') == 'W/"a"'
