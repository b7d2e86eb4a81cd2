"""What a job may read and write."""

from __future__ import annotations

import posixpath
from time import thread_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.config.address import Address
from penstock.jobs.addresses import (
    Access,
    AccessList,
    AddressError,
    check_input,
    check_output,
)
from penstock.jobs.errors import JobError, JobErrorCode
from penstock.jobs.options import check_options
from penstock.jobs.placeholders import Places, RtmpPlace, SrtPlace
from penstock.jobs.resolve import prepare, writes_files
from penstock.jobs.spec import JobInput, JobOutput, JobSpec
from penstock.jobs.tee import TeePart, parse_tee

_LINKS = {"/core/data/link": "/etc", "/dev/fd": "/proc/1/fd", "/media/l": "/etc"}


def _realpath(path: str) -> str:
    path = posixpath.normpath(path)
    for link, target in _LINKS.items():
        if path == link or path.startswith(link + "/"):
            return target + path[len(link) :]
    return path


_OPEN = Access("/core/data", _realpath)
_LISTED = Access(
    "/core/data",
    _realpath,
    reads=AccessList(block=("^http://", ".*bad.*")),
    writes=AccessList(allow=("^rtmp://", r"^file:.*\.mp4$"), block=("blocked",)),
)
_PLACES = Places(
    "/core/data",
    RtmpPlace(Address("127.0.0.1", 24935), "/", "abc"),
    SrtPlace(Address("127.0.0.1", 24600), "abc"),
    {"mem": "http://admin:pw@127.0.0.1:24080/memfs"},
)


@pytest.mark.parametrize(
    "address",
    [
        *("-", "output", "a/b.mp4", "/core/data/x", "file:/core/data/x", "/dev/null"),
        *("/core/data/a/../b", "rtmp://a/b", "http://u:p@h:80/x?y", "srt://[::1]:6000"),
        *("[f=flv]rtmp://a/b|[f=null]-", "a.mp4|b.mp4", "a|-", "file:name:1.mp4"),
        *("crypto:/core/data/x", "md5:/core/data/sum", " - "),
        r"[f=hls:hls_segment_filename=http\\://h/x]a.m3u8|b.mp4",
    ],
)
def test_these_outputs_are_allowed(address: str) -> None:
    check_output(address, _OPEN)


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("/etc/x", "/etc/x is not inside of /core/data"),
        ("file:///tmp/x", "/tmp/x is not inside of /core/data"),
        ("/core/datax/x", "/core/datax/x is not inside of /core/data"),
        ("../x", "/core/x is not inside of /core/data"),
        ("/core/data/../../etc/x", "/etc/x is not inside of /core/data"),
        ("/core/data", "/core/data is not inside of /core/data"),
        ("link/x", "/etc/x is not inside of /core/data"),
        ("/dev/../etc/x", "/etc/x is not inside of /core/data"),
        ("/dev/fd/5", "address is not allowed"),
        ("pipe:1", "address is not allowed"),
        ("fd:5", "address is not allowed"),
        ("pipe:/5", "address is not allowed"),
        ("udp:1.2.3.4:5", "address is not allowed"),
        ("md5:/etc/x", "/etc/x is not inside of /core/data"),
        ("crypto:file:/etc/x", "/etc/x is not inside of /core/data"),
        ("async:cache:/etc/x", "/etc/x is not inside of /core/data"),
        ("file,blocksize,9:/etc/x", "/etc/x is not inside of /core/data"),
        ("tee:a|/etc/x", "/etc/x is not inside of /core/data"),
        ("tee:a|'/etc/x'", "/etc/x is not inside of /core/data"),
        (r"tee:a|\/etc/x", "/etc/x is not inside of /core/data"),
        ("tee:[f=flv]/etc/x", "/etc/x is not inside of /core/data"),
        ("tee:[passlogfile=/etc/x]a", "/etc/x is not inside of /core/data"),
        ("file:http://../../../etc/x", "/etc/x is not inside of /core/data"),
        ("cache,/../../y:/core/data/x", "/y:/core/data/x is not inside of /core/data"),
        (" /../../core/data/x", "/core/core/data/x is not inside of /core/data"),
        ("[f=flv]\v/../../core/data/x", "/core/core/data/x is not inside of"),
        ("unix:/run/x", "/run/x is not inside of /core/data"),
        ("concat:a|b", "address is not allowed"),
        ("a|/etc/x", "/etc/x is not inside of /core/data"),
        ("[f=flv]/etc/x", "/etc/x is not inside of /core/data"),
        (r"[f=flv]a|\/etc/x", "/etc/x is not inside of /core/data"),
        ("[f=flv]a|'/etc/x'", "/etc/x is not inside of /core/data"),
        ("[f=tee]a\\|/etc/x|b", "/etc/x is not inside of /core/data"),
        ("[f=hls:hls_segment_filename=/etc/x]a", "/etc/x is not inside of /core/data"),
        ("[f=flv", "not closed|no value"),
        ("rtmp://[::1", r"parse \"//\[::1\": missing '\]' in host"),
        ("rtmp://h:x/a", 'invalid port ":x"'),
        ("async:" * 100 + "a", "address is not allowed"),
    ],
)
def test_these_outputs_are_refused(address: str, why: str) -> None:
    with pytest.raises(AddressError, match=why):
        check_output(address, _OPEN)


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("-", True),
        ("rtmp://a/b", True),
        ("/core/data/a.mp4", True),
        ("/core/data/a.ts", False),
        ("rtmp://blocked/x", False),
        ("[f=flv]rtmp://a/b|[f=mpegts]udp://1.2.3.4:5", False),
        ("/dev/a.mp4", True),
    ],
)
def test_outputs_are_judged_by_the_lists(address: str, allowed: bool) -> None:
    if allowed:
        check_output(address, _LISTED)
    else:
        with pytest.raises(AddressError, match="address is not allowed"):
            check_output(address, _LISTED)


@pytest.mark.parametrize("address", ["input", "/etc/x", "-", "rtmp://a:1/b", "a|b"])
def test_any_input_may_be_read_without_lists(address: str) -> None:
    check_input(address, _OPEN)


@pytest.mark.parametrize(
    ("allow", "block", "address", "allowed"),
    [
        ("", "^http://", "http://a/", False),
        ("", "bad", "async:bad", False),
        ("", "^/etc/", "/media/../etc/x", False),
        ("", "^/etc/", "/media/l/x", False),
        ("", "^/etc/", "file:/etc/x", False),
        ("", "^/etc/", "concat:a|/etc/x", False),
        ("", "^/etc/", "concat:a|file:/media/l/x", False),
        ("", "^/etc/", "file:http://../../../etc/x", False),
        ("", "^/etc/", "concat:a|file:http://../../../etc/x", False),
        ("", "^/etc/", "subfile,,start,0,end,9,,:/etc/x", False),
        ("^/media/", "", "/media/x", True),
        ("^/media/", "", "/media/../etc/x", False),
        ("^/media/", "", "/media/l/x", False),
        ("^/media/", "", "rtmp://a/b", False),
    ],
)
def test_inputs_are_judged_by_the_lists(
    allow: str, block: str, address: str, allowed: bool
) -> None:
    lists = AccessList((allow,) if allow else (), (block,) if block else ())
    access = Access("/core/data", _realpath, reads=lists)
    if allowed:
        check_input(address, access)
    else:
        with pytest.raises(AddressError, match="address is not allowed"):
            check_input(address, access)


def test_a_tee_list_is_read_as_the_muxer_reads_it() -> None:
    assert parse_tee(r"[f=hls:a=x\\:y]p\|q | 'r s'") == (
        TeePart("p|q", (("f", "hls"), ("a", "x:y"))),
        TeePart("r s"),
    )


@pytest.mark.parametrize(
    "options",
    [
        "-loglevel level+info -err_detect ignore_err -y",
        "-f lavfi -re",
        "-c:v libx264 -preset ultrafast -f null",
        "-f hls -hls_segment_filename http://u:p@h/memfs/b_%04d.ts",
        "-hls_segment_filename /core/data/x_%d.ts -hls_fmp4_init_filename init.mp4",
        "-map 0:v -vf scale=1280:-2 -metadata title=/x -progress pipe:1",
        "-var_stream_map v:0,a:0,name:low -passlogfile pass",
        "-filter_complex [0:v]movie=logo.png[l];[0:v][l]overlay=0:0[o]",
        "-rtmp_tcurl rtmp://x/y -headers a:/b -x264-params keyint=50:min-keyint=50",
        "-noautorotate -copypriorss 1 -seek_timestamp 1 -i in.mp4",
        "-vf [in]fps=25,scale=w=trunc(iw/2)*2:h=-2,setpts=PTS/2[out]",
        "-vf drawtext=text=/a/b:fontfile=/usr/share/fonts/a.ttf",
        "-vf paletteuse=debug_kdtree=tree.txt",
    ],
)
def test_these_options_are_allowed(options: str) -> None:
    check_options(options.split(), _OPEN)


@pytest.mark.parametrize(
    "options",
    [
        "-hls_segment_filename /etc/x",
        "-hls_segment_filename ../x",
        "-passlogfile /etc/x",
        "-passlogfile:v:0 /etc/x",
        "-vstats_file /etc/x",
        "-progress file:/etc/x",
        "-progress pipe:5",
        "-stats_enc_pre:v /etc/x",
        "-hls_fmp4_init_filename ../../etc/x",
        "-var_stream_map v:0,name:../../etc",
        "-segment_format tee",
        "-fifo_format tee",
        "-format_opts hls_segment_filename=/etc/x",
        r"-format_opts a=b:hls_segment_filename=\/etc/x",
        "-x264-params stats=/etc/x",
        "-format_opts " + "format_opts=" * 2000,
        "-filter_script:v x",
        "-fpre x",
        "-/filter_complex x",
        "-vf metadata=mode=print:file=/etc/x",
        r"-vf metadata=mode=print:file=\/etc/x",
        "-vf scale=2:2,psnr=stats_file='/etc/x'",
        "-af ladspa=file=x",
        # A filter of no table is judged as if it wrote.
        "-vf paletteuse=debug_kdtree=/etc/x",
        "-af firequalizer=dumpfile=/etc/x",
        "-vf metadata@a-b=mode=print:file=/etc/x",
        "-vf metadata=mode=print:file='sub,x/../../../etc/x'",
        "-vf zmq",
        "-vf [a]zmq[b]",
        "-mpegts_muxer_options a=b:c=/etc/x",
        "-omx_libprefix ./",
        # They take the next word, or only in some versions.
        "-copypriorss -metadata /etc/x",
        "-seek_timestamp -metadata /etc/x",
        "-autorotate -metadata /etc/x",
        "-autoscale 0",
        "-fix_sub_duration_heartbeat -metadata a=b /etc/x",
        "-unknown /etc/x",
        "-y /etc/x",
        "/etc/x",
        "-- x",
        "-f",
        "-metadata",
        "-vn -f null /etc/x",
    ],
)
def test_these_options_are_refused(options: str) -> None:
    with pytest.raises(AddressError):
        check_options(options.split(), _OPEN)


@pytest.mark.parametrize("graph", ["\\" * 130_000, "movie=" + "a" * 130_000])
def test_a_long_run_in_a_graph_costs_its_length(graph: str) -> None:
    began = thread_time()
    check_options(("-vf", graph), _OPEN)
    # Looked at again from each character of it, it takes over 10 s.
    assert thread_time() - began < 2


def test_an_attachment_does_not_choose_its_own_name() -> None:
    with pytest.raises(AddressError, match="needs a value"):
        check_options(("-dump_attachment:t", ""), _OPEN)


def test_options_that_read_are_judged_as_inputs() -> None:
    for options in ("-i http://a/", "-protocol_whitelist file,http", "-vf movie=bad"):
        access = Access("/core/data", _realpath, AccessList(block=("^http:", "bad")))
        with pytest.raises(AddressError):
            check_options(options.split(), access)


def _prepare(address: str, *options: str, source: str = "in") -> JobSpec:
    output = JobOutput("o", address, options)
    job = JobSpec("tee:1", (JobInput("i", source),), (output,))
    return prepare(job, _PLACES, _OPEN, lambda job: None)


# A golden answer of datarhei Core 16.16.0 refuses this one: it does not unescape.
def test_a_tee_list_with_an_escaped_placeholder_is_accepted() -> None:
    job = _prepare("[f=flv]{rtmp^:,name=$processid}|[f=null]-", "-map", "0")
    assert job.outputs[0].address == (
        r"[f=flv]rtmp\\://127.0.0.1\\:24935/tee\\:1?token=abc|[f=null]-"
    )


@pytest.mark.parametrize(
    ("source", "address", "code", "text"),
    [
        ("", "-", "REFERENCE", "reference error for '#tee:1:i': empty address"),
        (
            " ",
            "-",
            "EMPTY_INPUT_ADDRESS",
            "the address for input '#tee:1:i' must not be empty",
        ),
        (
            "http://[::1",
            "-",
            "INPUT_ADDRESS",
            "the address for input '#tee:1:i' (http://[::1) is invalid:"
            " parse \"//[::1\": missing ']' in host",
        ),
        (
            "a",
            " ",
            "EMPTY_OUTPUT_ADDRESS",
            "the address for output '#tee:1:o' must not be empty",
        ),
        (
            "a",
            "/etc/x",
            "OUTPUT_ADDRESS",
            "the address for output '#tee:1:o' is invalid:"
            " /etc/x is not inside of /core/data",
        ),
        (
            "#zz:output=o",
            "-",
            "REFERENCE",
            "reference error for '#tee:1:i': unknown process 'zz' (#zz:output=o)",
        ),
    ],
)
def test_a_refused_job_says_what_clients_know(
    source: str, address: str, code: str, text: str
) -> None:
    with pytest.raises(JobError) as caught:
        _prepare(address, source=source)
    assert caught.value.code is JobErrorCode[code]
    assert str(caught.value) == text


def test_a_refused_option_names_the_output() -> None:
    with pytest.raises(JobError) as caught:
        _prepare("-", "-passlogfile", "/etc/x")
    assert caught.value.code is JobErrorCode.OPTION
    assert "output '#tee:1:o'" in str(caught.value)


@pytest.mark.parametrize(
    ("address", "options", "does"),
    [
        ("a.mp4", "", True),
        ("/core/data/a.mp4", "", True),
        ("[f=null]-|[f=mp4]a.mp4", "-f tee", True),
        ("{diskfs}/x.m3u8", "-f hls", True),
        ("{fs:mem}/x.m3u8", "-f hls -hls_segment_filename seg%d.ts", True),
        ("-", "-f null -passlogfile two", True),
        ("-", "-f null", False),
        ("/dev/null", "-f mpegts", False),
        ("rtmp://there/x", "-f flv", False),
        ("{fs:mem}/x.m3u8", "-f hls", False),
        ("[f=flv]rtmp://a/b|[f=null]-", "-f tee", False),
    ],
)
def test_it_is_known_which_jobs_fill_the_disk(
    address: str, options: str, does: bool
) -> None:
    job = _prepare(address, *options.split())
    assert writes_files(job, _OPEN) is does


@given(st.text(alphabet="a./[]|\\':=,pipefdc-", max_size=30))
def test_any_address_is_judged(address: str) -> None:
    try:
        check_output(address, _OPEN)
        check_input(address, _LISTED)
    except AddressError:
        pass


@given(st.lists(st.sampled_from(["..", "a", "link", ".", ""]), max_size=8))
def test_a_path_that_is_allowed_stays_inside(parts: list[str]) -> None:
    path = "/".join(parts) + "/x"
    try:
        check_output(path, _OPEN)
    except AddressError:
        return
    assert _realpath(posixpath.join("/core/data", path)).startswith("/core/data/")


@given(st.text(alphabet="movie=metadata:file/[];,\\'", max_size=40))
def test_any_graph_is_judged(graph: str) -> None:
    try:
        check_options(("-vf", graph), _OPEN)
    except AddressError:
        pass
