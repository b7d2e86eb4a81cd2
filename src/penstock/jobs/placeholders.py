"""Placeholders: ``{name}``, ``{name^c}``, ``{name,key=value}`` in a job's texts.

A placeholder that is malformed, unknown or not meant for its place stays as it stands.
Parameters end at the first ``}``: they hold variables (``$processid``) instead of
placeholders. Every placeholder has its turn over the whole text, in a fixed order, so a
value that holds a later one is expanded too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from urllib.parse import unquote_plus

import attrs

from penstock.config.address import Address
from penstock.jobs.errors import JobError, JobErrorCode
from penstock.jobs.spec import MAX_TEXT, CleanupRule, JobInput, JobOutput, JobSpec

__all__ = ["Places", "RtmpPlace", "SrtPlace", "expand"]

_PLACEHOLDER = re.compile(r"\{([a-z]+(?::[0-9A-Za-z]+)?)(?:\^(.))?(?:,([^}]*))?\}")
_VARIABLE = re.compile(r"\$(processid|reference|inputid|outputid)")

_DEFAULT_LATENCY = "20000"  # microseconds
_SRT_MODES = ("publish", "request")


@attrs.frozen
class RtmpPlace:
    """Where jobs reach the RTMP server."""

    address: Address
    app: str = "/live"
    """With its slash; "/" for none."""
    token: str = attrs.field(default="", repr=False)
    """For publishers, ..."""
    play_token: str | None = attrs.field(default=None, repr=False)
    """... and for viewers; None for the same."""


@attrs.frozen
class SrtPlace:
    """Where jobs reach the SRT server."""

    address: Address
    token: str = attrs.field(default="", repr=False)
    """For publishers."""
    passphrase: str = attrs.field(default="", repr=False)
    """For publishers."""
    play_token: str | None = attrs.field(default=None, repr=False)
    """For viewers; None for the same."""
    play_passphrase: str | None = attrs.field(default=None, repr=False)
    """For viewers; None for the same."""


@attrs.frozen
class Places:
    """What the placeholders stand for on this server."""

    disk_root: str
    """Absolute path, no slash at its end."""
    rtmp: RtmpPlace
    srt: SrtPlace
    file_systems: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    """Base URL, credentials in it, of each file system by its name; "mem" and others.
    "disk" is `disk_root`."""


_Parameters = Mapping[str, str]
_Value = Callable[[_Parameters], str]

_OF_JOB = ("processid", "reference")
_FILES = ("diskfs", "memfs", "fs")
_SERVERS = ("rtmp", "srt")


def expand(spec: JobSpec, places: Places) -> JobSpec:
    """Return ``spec`` with every placeholder replaced.

    Ids first, as their values are what ``{inputid}`` and ``{outputid}`` yield.

    Raises:
        JobError: TOO_LARGE if a text grows over 131,071 characters.
    """
    job = {"processid": spec.id, "reference": spec.reference}
    expander = _Expander(places, job, "")
    return attrs.evolve(
        spec,
        # Not memfs: only its other name, {fs:mem}, is replaced in global options.
        options=tuple(expander(text, ("diskfs", "fs")) for text in spec.options),
        inputs=tuple(_expand_input(end, places, job) for end in spec.inputs),
        outputs=tuple(_expand_output(end, places, job) for end in spec.outputs),
    )


def _expand_input(end: JobInput, places: Places, job: dict[str, str]) -> JobInput:
    id_ = _Expander(places, job, "request")(end.id, _OF_JOB)
    expander = _Expander(places, {**job, "inputid": id_}, "request")
    anywhere = ("inputid", *_OF_JOB, *_FILES)
    return JobInput(
        id_,
        expander(end.address, (*anywhere, *_SERVERS)),
        tuple(expander(text, anywhere) for text in end.options),
    )


def _expand_output(end: JobOutput, places: Places, job: dict[str, str]) -> JobOutput:
    id_ = _Expander(places, job, "publish")(end.id, _OF_JOB)
    expander = _Expander(places, {**job, "outputid": id_}, "publish")
    anywhere = ("outputid", *_OF_JOB, *_FILES)
    return JobOutput(
        id_,
        expander(end.address, (*anywhere, *_SERVERS)),
        tuple(expander(text, anywhere) for text in end.options),
        tuple(_expand_rule(rule, expander) for rule in end.cleanup),
    )


def _expand_rule(rule: CleanupRule, expander: _Expander) -> CleanupRule:
    pattern = expander(rule.pattern, ("outputid", *_OF_JOB))
    return attrs.evolve(rule, pattern=pattern)


@attrs.frozen
class _Expander:
    """Replaces the placeholders of one input, output or set of options."""

    places: Places
    variables: Mapping[str, str]
    mode: str

    def __call__(self, text: str, names: tuple[str, ...]) -> str:
        for name in names:
            if "{" not in text:
                break
            text = self._replace(text, name)
        return text

    def _replace(self, text: str, wanted: str) -> str:
        pieces: list[str] = []
        size = done = 0
        # Parameters without an end would each be read up to the end of the text.
        for match in _PLACEHOLDER.finditer(text, 0, text.rfind("}") + 1):
            name, escape, parameters = match.groups()
            if name != wanted and not (wanted == "fs" and name.startswith("fs:")):
                continue
            # A bare "{fs}" names no file system.
            if name == "fs":
                continue
            value = _escaped(self._value(name, parameters or ""), escape)
            pieces += (text[done : match.start()], value)
            size += match.start() - done + len(value)
            done = match.end()
            # Judged as it grows: ids within ids multiply.
            if size > MAX_TEXT:
                message = "the process config is too large"
                raise JobError(JobErrorCode.TOO_LARGE, message)
        return "".join((*pieces, text[done:]))

    def _value(self, name: str, parameters: str) -> str:
        if name in self.variables:
            return self.variables[name]
        if name in ("diskfs", "fs:disk"):
            return self.places.disk_root
        if name == "memfs":
            return self.places.file_systems.get("mem", "")
        if name.startswith("fs:"):
            return self.places.file_systems.get(name[3:], "")
        given = self._parameters(parameters)
        if name == "rtmp":
            return _rtmp_url(self.places.rtmp, given, self.mode)
        return _srt_url(self.places.srt, given, self.mode)

    def _parameters(self, text: str) -> dict[str, str]:
        """Read ``key=value,key=value``; values are form-decoded, then variables put in.

        In this order an id that holds a percent sign stays what it is.
        """
        found = {}
        for item in text.split(","):
            key, _, value = item.partition("=")
            found[key] = _VARIABLE.sub(
                lambda match: self.variables.get(match[1], match[0]),
                unquote_plus(value),
            )
        return found


def _rtmp_url(place: RtmpPlace, given: _Parameters, own_mode: str) -> str:
    app = "" if place.app == "/" else place.app
    name = given.get("name", "{name}")
    # restreamer-ui puts in what the list of published streams says: whole paths.
    if name.startswith("/"):
        name = name.removeprefix(f"{app}/")
    token = _of_mode(own_mode, place.token, place.play_token)
    token = f"?token={token}" if token else ""
    return f"rtmp://{place.address}{app}/{name}{token}"


def _srt_url(place: SrtPlace, given: _Parameters, own_mode: str) -> str:
    mode = given.get("mode", own_mode)
    if mode not in _SRT_MODES:
        mode = own_mode
    token = _of_mode(mode, place.token, place.play_token)
    token = f",token:{token}" if token else ""
    passphrase = _of_mode(mode, place.passphrase, place.play_passphrase)
    passphrase = f"&passphrase={passphrase}" if passphrase else ""
    return (
        f"srt://{place.address}?mode=caller&transtype=live"
        f"&latency={given.get('latency', _DEFAULT_LATENCY)}"
        f"&streamid={given.get('name', '{name}')},mode:{mode}{token}{passphrase}"
    )


def _of_mode(mode: str, publish: str, play: str | None) -> str:
    return publish if mode == "publish" or play is None else play


def _escaped(value: str, char: str | None) -> str:
    r"""Put two backslashes before each ``char``, and make three of each backslash.

    FFmpeg's tee muxer reads options twice and needs both: one alone ends
    ``[f=hls:hls_segment_filename=http\://...]`` with "No option found near".
    """
    if not char:
        return value
    if char != "\\":
        value = value.replace("\\", "\\\\\\")
    return value.replace(char, "\\\\" + char)
