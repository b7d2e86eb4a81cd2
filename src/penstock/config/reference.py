"""The reference page of the documentation, made from the schema."""

from __future__ import annotations

import json

from .schema import Key, keys, sections, table_keys

__all__ = ["reference_markdown"]

_HEAD = """\
# Configuration reference

<!-- Made by docs/operate/build_configuration.py from penstock.settings. -->

No file is needed. A file is TOML and is named by `--config`; `--set section.key=value`
wins over the environment, which wins over the file. Sizes are bytes, times seconds,
rates bits a second unless the name says otherwise. `penstock check` says what is wrong
with a configuration and which values differ from these defaults.

A list in the environment or in `--set` is written `a,b` or as a TOML array. Listen
addresses are `host:port` or `[::]:port`; port 0 lets the system choose. Keys marked
*restart* change at the next start; all others change with a reload (SIGHUP).
"""

_TABLES = {
    "relay": "One table a relay: a pull has the URL as `source`, a push as "
    "`destination`.",
    "srt_stream": "One table a stream whose passphrases over SRT differ from those of "
    "`[srt]`.",
}


def reference_markdown() -> str:
    """Return the configuration reference as one Markdown page."""
    lines = [_HEAD]
    top = [key for key in keys().values() if "." not in key.path]
    for section, help_text in sections().items():
        lines += [f"## `[{section}]`", "", help_text, ""]
        lines += _table(
            [key for key in keys().values() if key.path.rpartition(".")[0] == section]
        )
    lines += ["## Top level", ""]
    lines += _table(top)
    for name, help_text in _TABLES.items():
        table = keys()[name].table
        assert table is not None
        lines += [f"## `[[{name}]]`", "", help_text, ""]
        lines += ["| key | default | meaning |", "|---|---|---|"]
        lines += [
            f"| `{key.path}` | {_default(key)} | {_meaning(key)} |"
            for key in table_keys(table).values()
        ]
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _table(rows: list[Key]) -> list[str]:
    if not rows:
        return []
    lines = ["| key | default | meaning |", "|---|---|---|"]
    lines += [
        f"| `{key.path}`<br>`{key.variable}` | {_default(key)} | {_meaning(key)} |"
        for key in rows
    ]
    return [*lines, ""]


def _default(key: Key) -> str:
    return f"`{json.dumps(key.default)}`"


def _meaning(key: Key) -> str:
    text = key.help.replace("|", "\\|")
    notes = []
    if key.minimum is not None and key.maximum is not None:
        notes.append(f"{key.minimum:g} to {key.maximum:.15g}")
    elif key.minimum is not None:
        notes.append(f"at least {key.minimum:g}")
    if key.secret:
        notes.append("masked in logs")
    if key.restart:
        notes.append("restart")
    return text + (f" *({'; '.join(notes)})*" if notes else "")
