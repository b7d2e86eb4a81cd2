"""Readers of the kernel's text files under /proc. Pure: text in, numbers out.

A field that a kernel does not print counts as 0: the figures are for people, and a
missing one must not take the others with it.
"""

from __future__ import annotations

from collections.abc import Iterable

__all__ = [
    "CPU_FIELDS",
    "PROCESS_FIELDS",
    "parse_cpu_times",
    "parse_disk_busy_ms",
    "parse_meminfo",
    "parse_named_counters",
    "parse_process",
    "parse_protocol_table",
    "parse_sockets",
]

CPU_FIELDS = (
    "user",
    "nice",
    "sys",
    "idle",
    "iowait",
    "irq",
    "softirq",
    "steal",
    "guest",
)
"""Columns of the ``cpu`` line of /proc/stat, in clock ticks. Source: proc(5)."""

PROCESS_FIELDS = (
    "ppid",
    "pgrp",
    "session",
    "tty_nr",
    "tpgid",
    "flags",
    "minflt",
    "cminflt",
    "majflt",
    "cmajflt",
    "utime",
    "stime",
    "cutime",
    "cstime",
    "priority",
    "nice",
    "num_threads",
    "itrealvalue",
    "starttime",
    "vsize",
    "rss",
    "rsslim",
    "startcode",
    "endcode",
    "startstack",
    "kstkesp",
    "kstkeip",
    "signal",
    "blocked",
    "sigignore",
    "sigcatch",
    "wchan",
    "nswap",
    "cnswap",
    "exit_signal",
    "processor",
    "rt_priority",
    "policy",
    "delayacct_blkio_ticks",
    "guest_time",
    "cguest_time",
)
"""Numeric fields 4 to 44 of /proc/PID/stat. Source: proc(5)."""


def _number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        return 0


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value


def parse_cpu_times(text: str) -> tuple[int, ...]:
    """Return the first line of /proc/stat as ticks, one for each of `CPU_FIELDS`."""
    words = text.partition("\n")[0].split()
    ticks = [_number(word) for word in words[1:10]] if words[:1] == ["cpu"] else []
    return tuple(ticks + [0] * (len(CPU_FIELDS) - len(ticks)))


def parse_process(text: str) -> tuple[int, str, str, tuple[int, ...]]:
    """Read /proc/PID/stat.

    Returns:
        pid, the command with its parentheses, the state's letter, and one number for
        each of `PROCESS_FIELDS`, as signed 64-bit values (no limit is -1).
    """
    # The command may hold blanks and parentheses: it ends at the last one.
    head, _, rest = text.rpartition(")")
    pid, _, command = head.partition("(")
    words = rest.split()
    count = len(PROCESS_FIELDS)
    numbers = [_signed(_number(word)) for word in words[1 : count + 1]]
    numbers += [0] * (count - len(numbers))
    return _number(pid), f"({command})", words[0] if words else "", tuple(numbers)


def parse_named_counters(text: str) -> dict[str, int]:
    """Read lines of ``name value``, as /proc/vmstat has them."""
    pairs = (line.split()[:2] for line in text.splitlines())
    return {pair[0]: _number(pair[1]) for pair in pairs if len(pair) == 2}


def parse_meminfo(text: str) -> dict[str, int]:
    """Read /proc/meminfo: name -> KiB."""
    found = parse_named_counters(text)
    return {name.rstrip(":"): value for name, value in found.items()}


def parse_sockets(text: str) -> dict[str, dict[str, int]]:
    """Read /proc/net/sockstat or sockstat6: protocol -> its counts."""
    found = {}
    for line in text.splitlines():
        protocol, _, rest = line.partition(":")
        words = rest.split()
        counts = zip(words[::2], words[1::2], strict=False)
        found[protocol] = {name: _number(value) for name, value in counts}
    return found


def parse_protocol_table(text: str, protocol: str) -> dict[str, int]:
    """Read one protocol's pair of lines in /proc/net/snmp."""
    lines = [line.split() for line in text.splitlines()]
    rows = [words for words in lines if words and words[0] == f"{protocol}:"]
    if len(rows) < 2:
        return {}
    names, values = rows[0][1:], rows[1][1:]
    return {n: _number(v) for n, v in zip(names, values, strict=False)}


def parse_disk_busy_ms(text: str, disks: Iterable[str]) -> int:
    """Add up the milliseconds that ``disks`` were busy, by /proc/diskstats.

    Source: Linux Documentation/admin-guide/iostats.rst, field 10.
    """
    wanted = set(disks)
    rows = (line.split() for line in text.splitlines())
    return sum(_number(row[12]) for row in rows if len(row) > 12 and row[2] in wanted)
