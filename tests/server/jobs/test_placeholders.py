"""Placeholders in a job's texts."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.config.address import Address
from penstock.jobs.errors import JobError, JobErrorCode
from penstock.jobs.placeholders import Places, RtmpPlace, SrtPlace, expand
from penstock.jobs.spec import CleanupRule, JobInput, JobOutput, JobSpec

PLACES = Places(
    disk_root="/core/data",
    rtmp=RtmpPlace(Address("localhost", 21935), "/live", "abc"),
    srt=SrtPlace(Address("127.0.0.1", 21600), "abc", "1234567890"),
    file_systems={
        "mem": "http://admin:pw@localhost:21080/memfs",
        "aws": "http://127.0.0.1:21080/awsfs",
    },
)


def _job(text: str, id_: str = "pid", reference: str = "ref") -> JobSpec:
    """Return a job with ``text`` in every place."""
    return JobSpec(
        id_,
        (JobInput("i" + text, text, (text,)),),
        (JobOutput("o" + text, text, (text,), (CleanupRule(text),)),),
        reference,
        (text,),
    )


def _input(text: str, id_: str = "pid", reference: str = "ref") -> str:
    job = JobSpec(id_, (JobInput("in", text),), (), reference)
    return expand(job, PLACES).inputs[0].address


def _output(text: str, id_: str = "pid") -> str:
    job = JobSpec(id_, (), (JobOutput("out", text),), "ref")
    return expand(job, PLACES).outputs[0].address


# Recorded from datarhei Core 16.16.0; a given mode is honoured here.
_SRT = "srt://127.0.0.1:21600?mode=caller&transtype=live&latency="
_SRT_END = "token:abc&passphrase=1234567890"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{diskfs}/x", "/core/data/x"),
        ("{fs:disk}/x", "/core/data/x"),
        ("{memfs}/a.m3u8", "http://admin:pw@localhost:21080/memfs/a.m3u8"),
        ("{fs:mem}", "http://admin:pw@localhost:21080/memfs"),
        ("{fs:aws}/a", "http://127.0.0.1:21080/awsfs/a"),
        ("{fs:nope}", ""),
        ("{memfs^:}", r"http\\://admin\\:pw@localhost\\:21080/memfs"),
        (
            "{rtmp,name=foobar.stream}",
            "rtmp://localhost:21935/live/foobar.stream?token=abc",
        ),
        (
            "{rtmp,name=$processid.stream}",
            "rtmp://localhost:21935/live/pid.stream?token=abc",
        ),
        ("{rtmp,name=$processidxxx}", "rtmp://localhost:21935/live/pidxxx?token=abc"),
        ("{rtmp,name=$inputid}", "rtmp://localhost:21935/live/in?token=abc"),
        ("{rtmp,name=$outputid}", "rtmp://localhost:21935/live/$outputid?token=abc"),
        ("{rtmp,name=$other}", "rtmp://localhost:21935/live/$other?token=abc"),
        ("{rtmp,name=a=b,x=y}", "rtmp://localhost:21935/live/a=b?token=abc"),
        ("{rtmp,name=a%20b%2Cc+d}", "rtmp://localhost:21935/live/a b,c d?token=abc"),
        ("{rtmp}", "rtmp://localhost:21935/live/{name}?token=abc"),
        # A path as `/api/v3/rtmp` lists it.
        (
            "{rtmp,name=/live/x.stream}",
            "rtmp://localhost:21935/live/x.stream?token=abc",
        ),
        ("{rtmp,name=live/x}", "rtmp://localhost:21935/live/live/x?token=abc"),
        (
            "{rtmp^:,name=a:b}",
            r"rtmp\\://localhost\\:21935/live/a\\:b?token=abc",
        ),
        (
            "{srt,name=foobar,mode=request}",
            _SRT + "20000&streamid=foobar,mode:request," + _SRT_END,
        ),
        (
            "{srt,name=foobar,mode=publish,latency=100}",
            _SRT + "100&streamid=foobar,mode:publish," + _SRT_END,
        ),
        (
            "{srt,name=foobar}",
            _SRT + "20000&streamid=foobar,mode:request," + _SRT_END,
        ),
        (
            "{srt,name=foobar,mode=x}",
            _SRT + "20000&streamid=foobar,mode:request," + _SRT_END,
        ),
        ("{processid,a=b}", "pid"),
        ("{processid}{reference}{inputid}", "pidrefin"),
        ("{Processid}", "{Processid}"),
        ("{process_id}", "{process_id}"),
        ("{processid^:^/}", "{processid^:^/}"),
        ("{bogus}", "{bogus}"),
        ("{outputid}", "{outputid}"),
        ("{fs}", "{fs}"),
        ("{rtmp ,name=x}", "{rtmp ,name=x}"),
        ("{", "{"),
    ],
)
def test_an_input_address_is_expanded(text: str, expected: str) -> None:
    assert _input(text) == expected


def test_an_output_publishes_by_srt_unless_it_says_otherwise() -> None:
    assert ",mode:publish," in _output("{srt,name=a}")
    assert ",mode:request," in _output("{srt,name=a,mode=request}")
    assert _output("{outputid}{inputid}") == "out{inputid}"
    assert _output("{rtmp,name=$outputid}").endswith("/live/out?token=abc")


def test_without_app_and_token_the_url_is_bare() -> None:
    places = attrs.evolve(
        PLACES,
        rtmp=RtmpPlace(Address("127.0.0.1", 23935), "/"),
        srt=SrtPlace(Address("::1", 6000)),
    )
    address = "{rtmp,name=x} {rtmp,name=/live/x} {srt,name=y}"
    job = JobSpec("p", (), (JobOutput("o", address),))
    assert expand(job, places).outputs[0].address == (
        "rtmp://127.0.0.1:23935/x rtmp://127.0.0.1:23935/live/x "
        "srt://[::1]:6000?mode=caller&transtype=live"
        "&latency=20000&streamid=y,mode:publish"
    )


@pytest.mark.parametrize(
    ("text", "id_", "reference", "expected"),
    [
        ("{processid^:}", "abc:snapshot", "", r"abc\\:snapshot"),
        ("{processid^:}", r"a\b:c/d", "", r"a\\\b\\:c/d"),
        ("{processid^\\}", r"a\b:c/d", "", r"a\\\b:c/d"),
        ("{reference^ }", "", "r f", r"r\\ f"),
    ],
)
def test_a_character_is_escaped(
    text: str, id_: str, reference: str, expected: str
) -> None:
    assert _input(text, id_, reference) == expected


def test_parameters_end_at_the_first_brace() -> None:
    assert "{processid" in _input("{rtmp,name={processid}}")


# Rows of the contract's table; the letters are its columns, in order.
@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("{processid}", "-xxxxxxx"),
        ("{reference}", "-xxxxxxx"),
        ("{inputid}", "--xx----"),
        ("{outputid}", "-----xxx"),
        ("{diskfs}", "x-xx-xx-"),
        ("{fs:disk}", "x-xx-xx-"),
        ("{memfs}", "--xx-xx-"),
        ("{fs:mem}", "x-xx-xx-"),
        ("{fs:aws}", "x-xx-xx-"),
        ("{rtmp,name=a}", "--x--x--"),
        ("{srt,name=a}", "--x--x--"),
    ],
)
def test_each_placeholder_has_its_places(text: str, columns: str) -> None:
    job = expand(_job(text), PLACES)
    source, output = job.inputs[0], job.outputs[0]
    values = (
        *(job.options[0], source.id[1:], source.address, source.options[0]),
        *(output.id[1:], output.address, output.options[0]),
        output.cleanup[0].pattern,
    )
    assert "".join("-" if text == value else "x" for value in values) == columns


def test_ids_are_resolved_first_and_values_expanded_further() -> None:
    job = JobSpec("p", (JobInput("{processid}_x", "{inputid}{processid}"),), ())
    assert expand(job, PLACES).inputs[0].address == "p_xp"
    assert _input("{processid}", "{diskfs}") == "/core/data"
    # An earlier placeholder has had its turn.
    assert _input("{reference}", "p", "{processid}") == "{processid}"


def test_parameters_without_an_end_cost_no_more_than_other_texts() -> None:
    # Each read up to the end of the text would take minutes.
    text = "{a," * 43_000
    assert _input(text) == text
    assert _input(text + "}{processid}") == text + "}pid"


def test_texts_that_multiply_are_refused() -> None:
    with pytest.raises(JobError) as caught:
        _input("{processid}" * 10_000, "x" * 10_000)
    assert caught.value.code is JobErrorCode.TOO_LARGE


def test_secrets_are_not_in_the_representation() -> None:
    assert "abc" not in repr(PLACES)
    assert "pw" not in repr(PLACES)


@given(st.text())
def test_a_text_without_placeholders_stays(text: str) -> None:
    plain = text.replace("{", "")
    assert _input(plain) == plain


@given(st.text(alphabet="{}^,=$:%+ \\processidfrtmn", max_size=60))
def test_any_text_can_be_expanded(text: str) -> None:
    expand(_job(text), PLACES)


@given(st.text(), st.characters(exclude_characters="\\\n{}"))
def test_escaping_can_be_taken_back(value: str, char: str) -> None:
    value = value.replace("{", "")
    escaped = _input(f"{{processid^{char}}}", value)
    plain = escaped.replace("\\\\" + char, char).replace("\\\\\\", "\\")
    # Backslashes before the character cannot be told apart; FFmpeg cannot either.
    if "\\" not in value:
        assert plain == value
        assert escaped.count("\\") == 2 * value.count(char)
