"""What the discovery endpoints say: constants, as SRS words them."""

from __future__ import annotations

from collections.abc import Mapping

from .encoding import Json

__all__ = ["API", "API_V1", "ROOT"]

ROOT: Mapping[str, Json] = {
    "urls": {
        "api": "the api root",
        "rtc": {
            "v1": {
                "play": "Play stream",
                "publish": "Publish stream",
                "nack": "Simulate the NACK",
            }
        },
    }
}

API: Mapping[str, Json] = {"urls": {"v1": "the api version 1.0"}}

API_V1: Mapping[str, Json] = {
    "urls": {
        "versions": "the version of SRS",
        "summaries": "the summary(pid, argv, pwd, cpu, mem) of SRS",
        "rusages": "the rusage of SRS",
        "self_proc_stats": "the self process stats",
        "system_proc_stats": "the system process stats",
        "meminfos": "the meminfo of system",
        "authors": "the license, copyright, authors and contributors",
        "features": "the supported features of SRS",
        "requests": "the request itself, for http debug",
        "vhosts": "manage all vhosts or specified vhost",
        "streams": "manage all streams or specified stream",
        "clients": "manage all clients or specified client, default query top 10 "
        "clients",
        "raw": "raw api for srs, support CUID srs for instance the config",
        "clusters": "origin cluster server API",
        "perf": "System performance stat",
        "tcmalloc": "tcmalloc api with params ?page=summary|api",
    },
    "tests": {
        "requests": "show the request info",
        "errors": "always return an error 100",
        "redirects": "always redirect to /api/v1/test/errors",
        "[vhost]": "http vhost for http://error.srs.com:1985/api/v1/tests/errors",
    },
}
