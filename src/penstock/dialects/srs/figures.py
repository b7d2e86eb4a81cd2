"""The system endpoints' objects and the `/metrics` text of SRS; pure."""

from __future__ import annotations

import os
from collections.abc import Mapping

from penstock.control import ServerView
from penstock.control.procfs import CPU_FIELDS, PROCESS_FIELDS
from penstock.control.system import SystemView

from .encoding import Json
from .shapes import VERSION

__all__ = [
    "meminfos",
    "metrics",
    "rusages",
    "self_proc_stats",
    "summaries",
    "system_proc_stats",
]


def _ms(seconds: float) -> int:
    return int(seconds * 1000)


def summaries(system: SystemView, server: ServerView, now: float) -> dict[str, Json]:
    """Return ``data`` of `/api/v1/summaries`."""
    total = system.memory.total
    own: dict[str, Json] = {
        "version": VERSION,
        "pid": server.pid,
        "ppid": system.parent_pid,
        "argv": system.arguments,
        "cwd": system.working_directory,
        "mem_kbyte": system.rusage.maxrss_kib,
        "mem_percent": system.rusage.maxrss_kib / total if total else 0.0,
        "cpu_percent": system.process.share,
        "srs_uptime": int(server.uptime_s),
    }
    return {
        "ok": system.ok,
        "now_ms": _ms(now),
        "self": own,
        "system": _machine(system) | _traffic(system, server, now),
    }


def _machine(system: SystemView) -> dict[str, Json]:
    memory, disk, load = system.memory, system.disk, system.load
    return {
        "cpu_percent": system.cpu.share,
        "disk_read_KBps": disk.read_kbps,
        "disk_write_KBps": disk.write_kbps,
        "disk_busy_percent": disk.busy_share,
        "mem_ram_kbyte": memory.total,
        "mem_ram_percent": memory.share,
        "mem_swap_kbyte": memory.swap_total,
        "mem_swap_percent": memory.swap_share,
        "cpus": system.cpus,
        "cpus_online": system.cpus_online,
        "uptime": load.uptime_s,
        "ilde_time": load.idle_s,
        "load_1m": load.load_1m,
        "load_5m": load.load_5m,
        "load_15m": load.load_15m,
    }


def _traffic(system: SystemView, server: ServerView, now: float) -> dict[str, Json]:
    network, connections = system.network, system.connections
    return {
        "net_sample_time": _ms(network.sampled_at),
        "net_recv_bytes": network.received,
        "net_send_bytes": network.sent,
        "net_recvi_bytes": network.received_inside,
        "net_sendi_bytes": network.sent_inside,
        # The engine's totals are those of this moment, so that a dashboard's rate
        # (bytes by the difference of these times) is exact.
        "srs_sample_time": _ms(now),
        "srs_recv_bytes": server.bytes_received,
        "srs_send_bytes": server.bytes_sent,
        "conn_sys": connections.tcp,
        "conn_sys_et": connections.established,
        "conn_sys_tw": connections.time_wait,
        "conn_sys_udp": connections.udp,
        "conn_srs": server.sessions,
    }


def rusages(system: SystemView) -> dict[str, Json]:
    """Return ``data`` of `/api/v1/rusages`."""
    usage = system.rusage
    return {
        "ok": usage.ok,
        "sample_time": _ms(usage.sampled_at),
        "ru_utime": int(usage.utime_s),
        "ru_stime": int(usage.stime_s),
        "ru_maxrss": usage.maxrss_kib,
        "ru_ixrss": usage.ixrss,
        "ru_idrss": usage.idrss,
        "ru_isrss": usage.isrss,
        "ru_minflt": usage.minflt,
        "ru_majflt": usage.majflt,
        "ru_nswap": usage.nswap,
        "ru_inblock": usage.inblock,
        "ru_oublock": usage.oublock,
        "ru_msgsnd": usage.msgsnd,
        "ru_msgrcv": usage.msgrcv,
        "ru_nsignals": usage.nsignals,
        "ru_nvcsw": usage.nvcsw,
        "ru_nivcsw": usage.nivcsw,
    }


def self_proc_stats(system: SystemView) -> dict[str, Json]:
    """Return ``data`` of `/api/v1/self_proc_stats`."""
    process = system.process
    head: dict[str, Json] = {
        "ok": process.ok,
        "sample_time": _ms(process.sampled_at),
        "percent": process.share,
        "pid": process.pid,
        "comm": process.command,
        "state": process.state,
    }
    return head | dict(zip(PROCESS_FIELDS, process.numbers, strict=True))


def system_proc_stats(system: SystemView) -> dict[str, Json]:
    """Return ``data`` of `/api/v1/system_proc_stats`."""
    cpu = system.cpu
    head: dict[str, Json] = {
        "ok": cpu.ok,
        "sample_time": _ms(cpu.sampled_at),
        "percent": cpu.share,
    }
    return head | dict(zip(CPU_FIELDS, cpu.ticks, strict=True))


def meminfos(system: SystemView) -> dict[str, Json]:
    """Return ``data`` of `/api/v1/meminfos`."""
    memory = system.memory
    return {
        "ok": memory.ok,
        "sample_time": _ms(memory.sampled_at),
        "percent_ram": memory.share,
        "percent_swap": memory.swap_share,
        "MemActive": memory.active,
        "RealInUse": memory.in_use,
        "NotInUse": memory.total - memory.in_use,
        "MemTotal": memory.total,
        "MemFree": memory.free,
        "Buffers": memory.buffers,
        "Cached": memory.cached,
        "SwapTotal": memory.swap_total,
        "SwapFree": memory.swap_free,
    }


def metrics(
    system: SystemView,
    server: ServerView,
    identity: Mapping[str, str],
    host: os.uname_result,
) -> str:
    """Return SRS's exposition text.

    Args:
        system: The last samples.
        server: The server's totals.
        identity: ``server``, ``service`` and ``pid`` as answers show them.
        host: What uname(2) says.
    """
    node = {
        "sysname": host.sysname,
        "nodename": host.nodename,
        "release": host.release,
        "version": host.version,
        "machine": host.machine,
    }
    build = dict(identity) | {
        "build_date": "",
        "major": VERSION.partition(".")[0],
        "version": VERSION,
        "code": "Hang",
    }
    cpu, memory = system.process.share * 100, system.rusage.maxrss_kib
    families = [
        ("srs_node_uname_info", "gauge", "What uname(2) says of the host", "1", node),
        ("srs_build_info", "gauge", "Identity and version of the server", "1", build),
        ("srs_cpu_percent", "gauge", "CPU use, 100 is one core", f"{cpu:.2f}", {}),
        ("srs_memory", "gauge", "Resident memory in KiB", str(memory), {}),
        ("srs_send_bytes_total", "counter", "Bytes sent", str(server.bytes_sent), {}),
        (
            "srs_receive_bytes_total",
            "counter",
            "Bytes received",
            str(server.bytes_received),
            {},
        ),
        ("srs_streams", "gauge", "Stream entries", str(server.streams), {}),
        ("srs_clients", "gauge", "Streaming clients", str(server.sessions), {}),
        (
            "srs_clients_total",
            "counter",
            "Streaming clients since the start",
            str(server.sessions_total),
            {},
        ),
        (
            "srs_clients_errs_total",
            "counter",
            "Streaming clients that ended by an error",
            str(server.session_errors_total),
            {},
        ),
    ]
    return "".join(_family(*family) for family in families)


def _family(
    name: str, kind: str, text: str, value: str, labels: Mapping[str, str]
) -> str:
    pairs = ",".join(f'{key}="{_escaped(label)}"' for key, label in labels.items())
    braces = f"{{{pairs}}}" if pairs else ""
    return f"# HELP {name} {text}.\n# TYPE {name} {kind}\n{name}{braces} {value}\n"


def _escaped(label: str) -> str:
    return label.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
