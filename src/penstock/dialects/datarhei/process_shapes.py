"""Jobs in the shapes of the API; pure.

FFmpeg as it is published counts no packets and no key frames of a stream, so these stay
0 with it and ``avstream`` null, as datarhei answers then. Its own FFmpeg tells them.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Final

import attrs

from penstock.control.jobs import (
    AvEnd,
    AvStream,
    Exec,
    JobInput,
    JobOutput,
    JobSpec,
    JobState,
    JobView,
    LogLine,
    Order,
    ProbeResult,
    Progress,
    RunReport,
    StreamInfo,
    StreamProgress,
)
from penstock.control.secrets import masked, masked_words

from .answers import number
from .process_config import TYPE, as_config

__all__ = [
    "ASPECTS",
    "as_probe",
    "as_process",
    "as_report",
    "as_state",
    "failed_probe",
]

ASPECTS: Final = frozenset({"config", "state", "report", "metadata"})
"""Parts of a process that may be asked for one by one."""

_NEVER: Final = -62_135_596_800
"""Unix time of the year 1: what a time is that was not set."""
_KIB: Final = 1024
_RATES: Final = ("min", "max", "avg")
_INT64: Final = (1 << 63) - 1
"""What clients can read; a delay may be twice that."""
_NOTHING: Final = JobState(
    Order.STOP, Exec.FINISHED, 0.0, None, "", Progress(), 0, 0.0, ()
)
_INVALID: Final = {"order": "", "exec": "", "reconnect_seconds": 0, "command": None}


def as_process(view: JobView, aspects: Collection[str]) -> dict[str, Any]:
    """Return a process with some of its `ASPECTS`.

    Args:
        view: Holds state and report if they are among the aspects.
        aspects: What is shown besides ids and times.
    """
    spec = view.spec
    shape: dict[str, Any] = {
        "id": spec.id,
        "type": TYPE,
        "reference": spec.reference,
        "created_at": view.created_at,
        "updated_at": view.updated_at,
    }
    if "config" in aspects:
        shape["config"] = as_config(spec)
    if "state" in aspects:
        shape["state"] = as_state(view)
    if "report" in aspects:
        shape["report"] = as_report(view)
    if "metadata" in aspects:
        shape["metadata"] = view.metadata or None
    return shape


# -- state -----------------------------------------------------------------------------


def as_state(view: JobView) -> dict[str, Any]:
    """Return what a process does; of one that cannot run there is no state.

    That one's ``last_logline`` is the reason, which datarhei does not tell.
    """
    if view.state is None or view.problem:
        nothing = attrs.evolve(_NOTHING, last_line=view.problem)
        return _state(view.spec, nothing) | _INVALID
    return _state(view.spec, view.state)


def _state(spec: JobSpec, state: JobState) -> dict[str, Any]:
    wait = state.reconnect
    return {
        "order": state.order.value,
        "exec": state.exec.value,
        "runtime_seconds": int(state.since),
        "reconnect_seconds": -1 if wait is None else min(max(0, int(wait)), _INT64),
        "last_logline": _shown(state.last_line),
        "progress": _progress(spec, state.progress),
        "memory_bytes": state.memory,
        "cpu_usage": number(state.cpu * 100),
        "command": masked_words(state.command, keys=False),
    }


def _progress(spec: JobSpec, progress: Progress) -> dict[str, Any]:
    return {
        "inputs": [_stream(one, spec.inputs) for one in progress.inputs],
        "outputs": [_stream(one, spec.outputs) for one in progress.outputs],
        "frame": progress.frame,
        "packet": progress.packet,
        "fps": number(progress.fps),
        "q": number(progress.q),
        "size_kb": progress.size_bytes // _KIB,
        "time": number(progress.time_s),
        "bitrate_kbit": number(progress.bitrate_bps / _KIB),
        "speed": number(progress.speed),
        "drop": progress.drop,
        "dup": progress.dup,
    }


def _stream(
    progress: StreamProgress, ends: Sequence[JobInput | JobOutput]
) -> dict[str, Any]:
    info, rates = progress.info, progress.frame_rates
    shape: dict[str, Any] = {
        "id": ends[info.index].id if info.index < len(ends) else "",
        "address": _shown(info.url),
        "index": info.index,
        "stream": info.stream,
        "format": info.format,
        "type": info.kind,
        "codec": info.codec,
        "coder": info.coder,
        "frame": progress.frame,
        "keyframe": progress.keyframe,
        "framerate": dict(zip(_RATES, map(_thousandths, rates), strict=True)),
        "fps": round(progress.fps, 3),
        "packet": progress.packet,
        "pps": round(progress.pps, 3),
        "size_kb": progress.size_bytes // _KIB,
        "bitrate_kbit": round(progress.bitrate_bps / _KIB, 3),
        "extradata_size_bytes": progress.extradata_bytes,
    }
    if info.pix_fmt:
        shape["pix_fmt"] = info.pix_fmt
    shape["q"] = round(progress.q, 3)
    known = {
        "width": info.width,
        "height": info.height,
        "sampling_hz": info.sample_rate,
        "layout": info.layout,
        "channels": info.channels,
    }
    shape |= {name: value for name, value in known.items() if value}
    playout = progress.playout
    shape["avstream"] = None if playout is None else _avstream(playout)
    return shape


def _thousandths(value: float) -> float:
    return round(value, 3)


def _avstream(playout: AvStream) -> dict[str, Any]:
    return {
        "input": _av_end(playout.input),
        "output": _av_end(playout.output),
        "aqueue": playout.aqueue,
        "queue": playout.queue,
        "dup": playout.dup,
        "drop": playout.drop,
        "enc": playout.enc,
        "looping": playout.is_looping,
        "looping_runtime": playout.looping_s,
        "duplicating": playout.is_duplicating,
        "gop": playout.gop,
    }


def _av_end(end: AvEnd) -> dict[str, Any]:
    return {
        "state": end.state,
        "packet": end.packet,
        "time": end.time_s,
        "size_kb": end.size_bytes // _KIB,
    }


# -- report ----------------------------------------------------------------------------


def as_report(view: JobView) -> dict[str, Any]:
    """Return what a process printed; nothing of one that cannot run."""
    report = view.report
    if report is None or view.problem:
        return {"created_at": _NEVER, "prelude": None, "log": [], "history": []}
    return _run(report) | {"history": [_run(one) for one in view.history]}


def _run(report: RunReport) -> dict[str, Any]:
    return {
        "created_at": report.created_at,
        "prelude": [_shown(line) for line in report.prelude],
        "log": [_line(line) for line in report.log],
    }


def _line(line: LogLine) -> tuple[str, str]:
    return str(line.at), _shown(line.text)


def _shown(text: str) -> str:
    # Most lines hold no address, and a thousand processes have many lines.
    return masked(text, keys=False) if "://" in text else text


# -- probe -----------------------------------------------------------------------------


def as_probe(result: ProbeResult) -> dict[str, Any]:
    """Return what the inputs of a process are."""
    return {
        "streams": [_probed(info) for info in result.streams],
        "log": [_shown(line) for line in result.log],
    }


def failed_probe(reason: str) -> dict[str, Any]:
    """Return what is told in place of a probe; that is no error to clients."""
    return {"streams": [], "log": [_shown(reason)]}


def _probed(info: StreamInfo) -> dict[str, Any]:
    return {
        "url": _shown(info.url),
        "format": info.format,
        "index": info.index,
        "stream": info.stream,
        "language": info.language,
        "type": info.kind,
        "codec": info.codec,
        "coder": info.coder,
        "bitrate_kbps": number(info.bitrate_bps / 1000),
        "duration_sec": number(info.duration_s),
        "fps": number(info.frame_rate),
        "pix_fmt": info.pix_fmt,
        "width": info.width,
        "height": info.height,
        "sampling_hz": info.sample_rate,
        "layout": info.layout,
        "channels": info.channels,
    }
