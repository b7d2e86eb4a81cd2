"""Templates of jobs: what fields become, and what is wrong with them."""

from __future__ import annotations

import os
from typing import Any

import pytest

from penstock.config.address import Address
from penstock.control.jobs import JobSpec
from penstock.jobs.addresses import Access
from penstock.jobs.command_line import arguments
from penstock.jobs.placeholders import Places, RtmpPlace, SrtPlace
from penstock.jobs.resolve import prepare
from penstock.jobs.tee import parse_tee
from penstock.web.job_fields import FieldErrors
from penstock.web.job_templates import TEMPLATES, build_job

PLACES = Places(
    "/data",
    RtmpPlace(Address("127.0.0.1", 1935), "/live", "tok"),
    SrtPlace(Address("127.0.0.1", 6000)),
    {"mem": "http://u:p@127.0.0.1:8080/memfs"},
)
GOOD: dict[str, dict[str, Any]] = {
    "picture": {"name": "demo"},
    "file": {"name": "demo", "path": "clips/a b.mp4"},
    "pull": {"name": "demo", "address": "rtsp://u:p@cam.example/1?x=y"},
    "transcode": {"source": "demo"},
}


def resolved(template: str, **fields: object) -> JobSpec:
    spec = build_job(template, {**GOOD[template], **fields})
    access = Access("/data", os.path.normpath)
    return prepare(spec, PLACES, access, lambda _: None)


def line(template: str, **fields: object) -> str:
    return " ".join(arguments(resolved(template, **fields)))


def wrong(template: str, **fields: object) -> dict[str, str]:
    with pytest.raises(FieldErrors) as failure:
        build_job(template, {**GOOD[template], **fields})
    return failure.value.sentences


@pytest.mark.parametrize("name", TEMPLATES)
def test_every_job_comes_back_after_a_failure_and_when_it_hangs(name: str) -> None:
    spec = resolved(name)
    assert spec.reconnect
    assert spec.reconnect_delay > 0
    assert spec.stale_timeout > 0
    assert spec.id == f"{name}-demo"
    assert spec.reference == "demo"


@pytest.mark.parametrize("name", TEMPLATES)
def test_an_id_that_is_given_is_the_job_s(name: str) -> None:
    assert resolved(name, id=" a/b ").id == "a/b"


def test_a_picture_is_published_in_real_time() -> None:
    words = line("picture", size="640x360", rate="50")
    assert words.count("-re -f lavfi -i ") == 2
    assert "testsrc2=size=640x360:rate=50" in words
    assert words.endswith("rtmp://127.0.0.1:1935/live/demo?token=tok")


def test_a_file_goes_round_and_is_encoded_unless_it_is_to_be_copied() -> None:
    words = line("file")
    assert "-re -stream_loop -1 -i /data/clips/a b.mp4 " in words
    assert "libx264" in words
    copied = line("file", video="copy")
    assert "-c copy" in copied
    assert "libx264" not in copied


@pytest.mark.parametrize(
    ("address", "options"),
    [
        ("rtmp://x.example/live/a", ""),
        ("rtsp://cam.example/1", "-fflags +genpts -rtsp_transport tcp "),
        ("srt://x.example:9000?streamid=a", ""),
        (
            "https://x.example/a.m3u8",
            "-reconnect 1 -reconnect_streamed 1 -reconnect_delay_max 5 ",
        ),
    ],
)
def test_a_pull_copies_what_comes(address: str, options: str) -> None:
    words = line("pull", address=address)
    assert words.startswith(f"-hide_banner {options}-i {address} -map 0:v:0? ")
    assert "-c:v copy -map 0:a:0? -c:a copy -f flv" in words
    assert "-hide_banner -re" in line("pull", address=address, paced=True)
    assert "0:a" not in line("pull", address=address, sound="none")
    assert "-c:a aac" in line("pull", address=address, sound="aac")


def test_renditions_are_published_by_their_height_and_have_the_same_key_frames() -> (
    None
):
    spec = resolved("transcode", renditions=["360", "1080", "720"], name="main")
    assert spec.inputs[0].address == "rtmp://127.0.0.1:1935/live/demo?token=tok"
    assert [output.address.partition("?")[0] for output in spec.outputs] == [
        f"rtmp://127.0.0.1:1935/live/main_{height}p" for height in (1080, 720, 360)
    ]
    words = line("transcode", renditions=["1080", "360"])
    assert words.count("expr:isnan(prev_forced_t)+gte(t,prev_forced_t+2)") == 2
    assert words.count("-sc_threshold 0") == 2


def test_renditions_for_hls_too_are_encoded_once() -> None:
    spec = resolved("transcode", renditions=["720", "360"], hls=True)
    (output,) = spec.outputs
    assert output.options.count("libx264") == 1
    assert output.options.count("0:v:0") == 2
    first, second, hls = parse_tee(output.address)
    assert first.address == "rtmp://127.0.0.1:1935/live/demo_720p?token=tok"
    assert dict(first.options)["select"] == "v:0,a:0"
    assert dict(second.options)["select"] == "v:1,a:1"
    assert hls.address == "http://u:p@127.0.0.1:8080/memfs/demo/%v.m3u8"
    options = dict(hls.options)
    assert options["master_pl_name"] == "master.m3u8"
    assert options["var_stream_map"] == "v:0,a:0,name:720p v:1,a:1,name:360p"
    assert (
        options["hls_segment_filename"]
        == "http://u:p@127.0.0.1:8080/memfs/demo/%v_%d.ts"
    )
    assert [rule.pattern for rule in output.cleanup] == [
        "mem:/demo/*.ts",
        "mem:/demo/*",
    ]
    silent = resolved("transcode", hls=True, sound=False).outputs[0]
    assert "a:" not in str(parse_tee(silent.address))
    assert "0:a:0" not in silent.options


@pytest.mark.parametrize(
    "name",
    ["", "a b", "a/b", "-a", "ä", "a" * 101, "a,b", "a}b", "{processid}", "a\nb"],
)
def test_a_name_is_one_that_every_address_can_hold(name: str) -> None:
    for template in ("picture", "file", "pull"):
        (sentence,) = wrong(template, name=name).values()
        assert sentence.endswith(".")


@pytest.mark.parametrize("path", ["", "/etc/passwd", "../a", "a/../b", "{memfs}/x"])
def test_a_file_is_one_below_the_root(path: str) -> None:
    assert set(wrong("file", path=path)) == {"path"}


@pytest.mark.parametrize(
    "address",
    [
        "",
        "cam.example",
        "file:///etc/passwd",
        "rtmp:x",
        "rtmp://",
        "http://[x",
        "http://x:99999/",
        "srt://x.example",
        "http://x/a b",
        "http://x/{rtmp,name=a}",
        "concat:http://x",
        "x" * 2001,
    ],
)
def test_an_address_is_one_of_another_server(address: str) -> None:
    assert set(wrong("pull", address=address)) == {"address"}


def test_all_that_is_wrong_is_said_at_once() -> None:
    told = wrong(
        "transcode",
        source="",
        name="a b",
        renditions=[],
        sound="yes",
        id="x" * 201,
        more=1,
    )
    assert set(told) == {"source", "name", "renditions", "sound", "id", "more"}
    assert all(sentence.endswith(".") for sentence in told.values())
    assert wrong("transcode", renditions="720").keys() == {"renditions"}
    assert wrong("transcode", renditions=["144"]).keys() == {"renditions"}
    assert wrong("transcode", renditions=[[]]).keys() == {"renditions"}
    assert wrong("picture", size="1x1").keys() == {"size"}
    assert wrong("picture", size=[]).keys() == {"size"}
    assert wrong("picture", name=5).keys() == {"name"}
    with pytest.raises(FieldErrors, match="no such template"):
        build_job("x", {})
