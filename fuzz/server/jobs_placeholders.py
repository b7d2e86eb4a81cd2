"""Placeholders in every text of a job, against a slow reader of the same grammar."""

from __future__ import annotations

from urllib.parse import unquote_plus

from penstock.jobs.errors import JobError, JobErrorCode
from penstock.jobs.placeholders import expand
from penstock.jobs.spec import CleanupRule, JobInput, JobOutput, JobSpec

from .shared.places import FILES, PLACES, SECRETS, SERVERS

_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_ALNUM = "0123456789" + _LETTERS + _LETTERS.upper()
_SERVERS = ("rtmp", "srt")
_VARIABLES = ("processid", "reference", "inputid", "outputid")


def one_input(data: bytes) -> None:
    # A text without a brace stays as it is; every text becomes what a reader without
    # expressions makes of it; passwords come into the places that may have them alone.
    id_, _, rest = data.decode("utf-8", "replace").partition("\n")
    reference, _, text = rest.partition("\n")
    spec = JobSpec(
        id_,
        (JobInput(text, text, (text,)),),
        (JobOutput(text, text, (text,), (CleanupRule(text),)),),
        reference,
        (text,),
    )
    try:
        done = expand(spec, PLACES)
    except JobError as error:
        assert error.code is JobErrorCode.TOO_LARGE
        assert "{" in text
        return
    source, output, rule = done.inputs[0], done.outputs[0], done.outputs[0].cleanup[0]
    assert (done.id, done.reference) == (id_, reference)
    if "{" not in text:
        assert done == spec
    job = {"processid": id_, "reference": reference}
    ids = ("processid", "reference")
    assert done.options[0] == _expanded(text, ("diskfs", "fs"), {}, "")
    assert source.id == output.id == _expanded(text, ids, job, "")
    files = ("diskfs", "memfs", "fs")
    options, address = (("inputid", *ids, *files, *more) for more in ((), _SERVERS))
    values = job | {"inputid": source.id}
    assert source.options[0] == _expanded(text, options, values, "request")
    assert source.address == _expanded(text, address, values, "request")
    options, address = (("outputid", *ids, *files, *more) for more in ((), _SERVERS))
    values = job | {"outputid": output.id}
    assert output.options[0] == _expanded(text, options, values, "publish")
    assert output.address == _expanded(text, address, values, "publish")
    assert rule.pattern == _expanded(text, ("outputid", *ids), values, "publish")
    for hidden, places in (
        (SECRETS, (source.id, output.id, rule.pattern)),
        (SECRETS - FILES, (*done.options, *source.options, *output.options)),
    ):
        for secret in hidden:
            known = secret in id_ + reference + text
            assert known or not any(secret in place for place in places)


def _expanded(
    text: str, names: tuple[str, ...], values: dict[str, str], mode: str
) -> str:
    for wanted in names:
        at, done = 0, ""
        while at < len(text):
            found = _placeholder(text, at) if text[at] == "{" else None
            if found is None:
                done += text[at]
                at += 1
                continue
            name, escape, parameters, end = found
            kind = "fs" if name.startswith("fs:") else "" if name == "fs" else name
            if kind == wanted:
                value = _value(name, parameters, values, mode)
                done += _escaped(value, escape)
            else:
                done += text[at:end]
            at = end
        text = done
    return text


def _placeholder(text: str, at: int) -> tuple[str, str, str, int] | None:
    """Return name, escaped character, parameters and where the placeholder ends."""
    begin = at = at + 1
    while at < len(text) and text[at] in _LETTERS:
        at += 1
    if at == begin:
        return None
    if text[at : at + 1] == ":":
        colon = at
        at += 1
        while at < len(text) and text[at] in _ALNUM:
            at += 1
        if at == colon + 1:
            return None
    name, escape, parameters = text[begin:at], "", ""
    if text[at : at + 1] == "^":
        escape = text[at + 1 : at + 2]
        if escape in ("", "\n"):
            return None
        at += 2
    if text[at : at + 1] == ",":
        end = text.find("}", at)
        if end < 0:
            return None
        parameters, at = text[at + 1 : end], end
    return (name, escape, parameters, at + 1) if text[at : at + 1] == "}" else None


def _value(name: str, parameters: str, values: dict[str, str], mode: str) -> str:
    if name in values:
        return values[name]
    if name in ("diskfs", "fs:disk"):
        return PLACES.disk_root
    if name == "memfs" or name.startswith("fs:"):
        return PLACES.file_systems.get(name.partition(":")[2] or "mem", "")
    given = {"name": "{name}", "latency": "20000", "mode": mode}
    for item in parameters.split(","):
        key, _, text = item.partition("=")
        given[key] = _with_variables(unquote_plus(text), values)
    if given["mode"] not in ("publish", "request"):
        given["mode"] = mode
    if name == "rtmp":
        given["mode"] = mode
    before, token, after = SERVERS[name, given["mode"]]
    url = before.replace("<latency>", given["latency"], 1)
    return url.replace("<name>", given["name"], 1) + token + after


def _with_variables(text: str, values: dict[str, str]) -> str:
    done = ""
    while text:
        name = next((n for n in _VARIABLES if text.startswith(f"${n}")), None)
        if name in values:
            done, text = done + values[name], text[len(name) + 1 :]
        else:
            done, text = done + text[0], text[1:]
    return done


def _escaped(value: str, char: str) -> str:
    done = ""
    for one in value:
        if one == char:
            done += "\\\\" + one
        elif one == "\\" and char:
            done += "\\\\\\"
        else:
            done += one
    return done
