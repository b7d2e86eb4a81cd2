"""Jobs that people often want, as templates: fields in, a job out. All of it is pure.

Streams are reached through placeholders, so that a job stays right when the server's
addresses or tokens change. Each command line is one for FFmpeg 5.1 to 9.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import attrs

from penstock.control.jobs import CleanupRule, JobInput, JobOutput, JobSpec

from .job_fields import (
    Field,
    FieldErrors,
    FieldKind,
    Values,
    check_address,
    check_id,
    check_name,
    check_path,
    read_fields,
)

__all__ = ["TEMPLATES", "JobTemplate", "build_job"]

_DELAY_S: Final = 5
_STALE_S: Final = 30
"""FFmpeg waits for what never comes; so long without a frame, it is started anew."""
_SEGMENT_S: Final = 4
_FORGET_S: Final = 120
"""The playlist names less than half a minute; the rest is for who lags behind."""

_OPTIONS: Final = ("-hide_banner",)
_FLV: Final = ("-f", "flv", "-flvflags", "no_duration_filesize")
_AAC: Final = ("-c:a", "aac", "-b:a", "128k", "-ar", "48000", "-ac", "2")
# Counted from the key frame before, not from the beginning: so a jump of the source's
# clock makes one key frame, not one of every frame until the count has caught up. The
# renditions of a stream get the same frames, hence key frames at the same times. What
# comes by WebRTC must have no B-frames.
_X264: Final = (
    *("-c:v", "libx264", "-preset", "veryfast", "-profile:v", "main"),
    *("-pix_fmt", "yuv420p", "-bf", "0", "-sc_threshold", "0"),
    *("-force_key_frames", "expr:isnan(prev_forced_t)+gte(t,prev_forced_t+2)"),
)
_KBPS: Final = {"1080": 4_500, "720": 2_500, "480": 1_200, "360": 700}

_ID = Field(
    "id", "Id", hint="Left empty, the job is named for what it does.", check=check_id
)
_NAME = Field("name", "Stream", hint="Published as live/NAME.", check=check_name)


@attrs.frozen
class JobTemplate:
    """One kind of job."""

    name: str
    label: str
    text: str
    """What it does, in a sentence."""
    fields: tuple[Field, ...]
    _make: Callable[[Values], JobSpec]

    def build(self, given: Mapping[str, object]) -> JobSpec:
        """Return the job that fields stand for.

        Raises:
            FieldErrors: What is wrong with them.
        """
        values = read_fields(self.fields, given)
        spec = attrs.evolve(
            self._make(values),
            options=_OPTIONS,
            reconnect=True,
            reconnect_delay=_DELAY_S,
            stale_timeout=_STALE_S,
        )
        return attrs.evolve(spec, id=values.text("id") or spec.id)


def build_job(template: str, given: Mapping[str, object]) -> JobSpec:
    """Return the job that a template makes of fields.

    Args:
        template: Its name.
        given: Texts, booleans, and lists of texts by the fields' names.

    Raises:
        FieldErrors: What is wrong, by field; "template" if there is no such one.
    """
    if template not in TEMPLATES:
        raise FieldErrors({"template": "There is no such template."})
    return TEMPLATES[template].build(given)


# -- a test picture --------------------------------------------------------------------


def _picture(values: Values) -> JobSpec:
    name = values.text("name")
    size, rate = values.text("size"), values.text("rate")
    kbps = _KBPS[size.partition("x")[2]]
    return JobSpec(
        f"picture-{name}",
        (
            JobInput(
                "picture", f"testsrc2=size={size}:rate={rate}", ("-re", "-f", "lavfi")
            ),
            JobInput(
                "sound",
                "sine=frequency=440:beep_factor=4:sample_rate=48000",
                ("-re", "-f", "lavfi"),
            ),
        ),
        (
            _published(
                name,
                *("-map", "0:v:0", "-map", "1:a:0"),
                *_X264,
                *_rates(kbps),
                *_AAC,
            ),
        ),
        reference=name,
    )


_PICTURE = JobTemplate(
    "picture",
    "Test picture with sound",
    "Publishes a moving picture with a tone.",
    (
        _NAME,
        Field(
            "size",
            "Size",
            FieldKind.CHOICE,
            "1280x720",
            (
                ("1920x1080", "1080p"),
                ("1280x720", "720p"),
                ("640x360", "360p"),
            ),
        ),
        Field(
            "rate",
            "Frames/s",
            FieldKind.CHOICE,
            "30",
            tuple((rate, rate) for rate in ("25", "30", "50", "60")),
        ),
        _ID,
    ),
    _picture,
)


# -- a file in a loop ------------------------------------------------------------------


def _file(values: Values) -> JobSpec:
    name = values.text("name")
    if values.text("video") == "copy":
        coded: tuple[str, ...] = ("-c", "copy")
    else:
        # 4:2:0 wants even sizes.
        even = "scale=w=trunc(iw/2)*2:h=trunc(ih/2)*2"
        coded = ("-vf", even, *_X264, *_quality(_KBPS["1080"]), *_AAC)
    source = JobInput(
        "file", f"{{diskfs}}/{values.text('path')}", ("-re", "-stream_loop", "-1")
    )
    output = _published(name, "-map", "0:v:0?", "-map", "0:a:0?", *coded)
    return JobSpec(f"file-{name}", (source,), (output,), reference=name)


_FILE = JobTemplate(
    "file",
    "File in a loop",
    "Publishes a file of the disk, again and again.",
    (
        Field(
            "path",
            "File",
            hint="Its path below the root of the disk, such as clips/loop.mp4.",
            check=check_path,
        ),
        _NAME,
        Field(
            "video",
            "Coding",
            FieldKind.CHOICE,
            "h264",
            (
                ("h264", "encode to H.264 and AAC"),
                ("copy", "as it is in the file"),
            ),
        ),
        _ID,
    ),
    _file,
)


# -- a stream from elsewhere -----------------------------------------------------------


def _pull(values: Values) -> JobSpec:
    name, address = values.text("name"), values.text("address")
    options: tuple[str, ...] = ("-re",) if values.flag("paced") else ()
    scheme = address.partition(":")[0]
    if scheme in ("rtsp", "rtsps"):
        # Cameras leave out times, and their UDP rarely comes through.
        options += ("-fflags", "+genpts", "-rtsp_transport", "tcp")
    elif scheme in ("http", "https"):
        options += ("-reconnect", "1", "-reconnect_streamed", "1")
        options += ("-reconnect_delay_max", "5")
    coded = {
        "copy": ("-map", "0:a:0?", "-c:a", "copy"),
        "aac": ("-map", "0:a:0?", *_AAC),
        "none": (),
    }[values.text("sound")]
    output = _published(name, "-map", "0:v:0?", "-c:v", "copy", *coded)
    source = JobInput("source", address, options)
    return JobSpec(f"pull-{name}", (source,), (output,), reference=name)


_PULL = JobTemplate(
    "pull",
    "Pull from an address",
    "Publishes what another server or a camera sends; the picture is copied.",
    (
        Field(
            "address",
            "Address",
            hint="rtmp, rtsp, http or srt; a camera, a playlist, another server.",
            check=check_address,
        ),
        _NAME,
        Field(
            "sound",
            "Sound",
            FieldKind.CHOICE,
            "copy",
            (("copy", "copied"), ("aac", "encode to AAC"), ("none", "none")),
        ),
        Field(
            "paced",
            "No faster than it plays",
            FieldKind.FLAG,
            False,
            hint="For files and playlists, which come as fast as the network is.",
        ),
        _ID,
    ),
    _pull,
)


# -- renditions of a stream ------------------------------------------------------------


def _transcode(values: Values) -> JobSpec:
    source = values.text("source")
    name = values.text("name") or source
    heights = values.choices("renditions")
    has_sound = values.flag("sound")
    if values.flag("hls"):
        outputs: tuple[JobOutput, ...] = (_renditions_tee(name, heights, has_sound),)
    else:
        outputs = tuple(
            _published(
                f"{name}_{height}p",
                *_rendition(height, has_sound),
                id_=f"{height}p",
            )
            for height in heights
        )
    return JobSpec(
        f"transcode-{name}",
        (JobInput("stream", f"{{rtmp,name={source}}}"),),
        outputs,
        reference=source,
    )


def _rendition(height: str, has_sound: bool) -> tuple[str, ...]:
    sound = ("-map", "0:a:0", *_AAC) if has_sound else ()
    filters = ("-vf", _scaled(height))
    return ("-map", "0:v:0", *filters, *_X264, *_rates(_KBPS[height]), *sound)


def _renditions_tee(name: str, heights: tuple[str, ...], has_sound: bool) -> JobOutput:
    """Encode each rendition once, and give it to RTMP and to HLS.

    Sound is encoded for each: HLS takes no stream twice, and it costs next to nothing.
    Two backslashes, because the muxer reads its options twice.
    """
    maps: list[str] = []
    rates: list[str] = []
    parts: list[str] = []
    variants: list[str] = []
    for number, height in enumerate(heights):
        maps += ("-map", "0:v:0", *(("-map", "0:a:0") if has_sound else ()))
        rates += (f"-filter:v:{number}", _scaled(height))
        rates += _rates(_KBPS[height], f":v:{number}")
        streams = f"v\\\\:{number}" + (f",a\\\\:{number}" if has_sound else "")
        parts.append(
            f"[select={streams}:f=flv:flvflags=no_duration_filesize]"
            f"{{rtmp,name={name}_{height}p}}"
        )
        variants.append(f"{streams},name\\\\:{height}p")
    hls = {
        "f": "hls",
        "method": "PUT",
        "hls_time": str(_SEGMENT_S),
        "hls_list_size": "6",
        "hls_flags": "delete_segments+independent_segments",
        # A run that follows another must not give its segments the same names.
        "hls_start_number_source": "epoch",
        "master_pl_name": "master.m3u8",
        "hls_segment_filename": f"{{memfs^:}}/{name}/%v_%d.ts",
        "var_stream_map": " ".join(variants),
    }
    options = ":".join(f"{key}={value}" for key, value in hls.items())
    parts.append(f"[{options}]{{memfs}}/{name}/%v.m3u8")
    # The tee muxer does not tell encoders that FLV wants parameter sets up front.
    coded = (*_X264, *rates, "-flags", "+global_header")
    return JobOutput(
        "renditions",
        "|".join(parts),
        (*maps, *coded, *(_AAC if has_sound else ()), "-f", "tee"),
        (
            CleanupRule(f"mem:/{name}/*.ts", max_file_age=_FORGET_S),
            CleanupRule(f"mem:/{name}/*", purge_on_delete=True),
        ),
    )


def _scaled(height: str) -> str:
    """Return the filter that makes a picture so high, but never higher than it was."""
    return f"scale=w=-2:h=trunc(min({height}\\,ih)/2)*2"


def _check_renamed(text: str) -> str:
    return check_name(text) if text else ""


def _check_source(text: str) -> str:
    return check_name(text) if text else "Name the stream to transcode."


_TRANSCODE = JobTemplate(
    "transcode",
    "Transcode a stream",
    "Publishes a stream of this server in several sizes.",
    (
        Field(
            "source",
            "Stream",
            hint="A stream of the application live.",
            check=_check_source,
            streams=True,
        ),
        Field(
            "name",
            "Published as",
            hint="NAME_720p and so on; left empty, NAME is the stream's own.",
            check=_check_renamed,
        ),
        Field(
            "renditions",
            "Sizes",
            FieldKind.CHOICES,
            ("720", "360"),
            tuple((height, f"{height}p") for height in _KBPS),
            hint="No picture is made larger than it comes.",
        ),
        Field("sound", "With sound", FieldKind.FLAG, True),
        Field(
            "hls",
            "Also as HLS",
            FieldKind.FLAG,
            False,
            hint="In memory, as NAME/master.m3u8.",
        ),
        _ID,
    ),
    _transcode,
)

TEMPLATES: Final[Mapping[str, JobTemplate]] = {
    template.name: template for template in (_PICTURE, _FILE, _PULL, _TRANSCODE)
}
"""All templates by name, in the order in which people are shown them."""


# -- parts of command lines ------------------------------------------------------------


def _published(name: str, *options: str, id_: str = "stream") -> JobOutput:
    return JobOutput(id_, f"{{rtmp,name={name}}}", (*options, *_FLV))


def _rates(kbps: int, streams: str = ":v") -> tuple[str, ...]:
    return (
        *(f"-b{streams}", f"{kbps}k", f"-maxrate{streams}", f"{kbps}k"),
        *(f"-bufsize{streams}", f"{2 * kbps}k"),
    )


def _quality(kbps: int) -> tuple[str, ...]:
    return ("-crf", "23", "-maxrate", f"{kbps}k", "-bufsize", f"{2 * kbps}k")
