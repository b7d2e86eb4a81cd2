"""Which filter graphs a job may run, as far as their filters open something.

Only what opens files or loads code is looked for; the rest of the grammar is FFmpeg's.
"""

from __future__ import annotations

import re

from penstock.jobs.addresses import (
    Access,
    AddressError,
    check_input,
    check_written,
    looks_like_address,
)

__all__ = ["check_graph"]

# Code from a shared library, or a listening socket that takes commands.
_LOADS = frozenset({"ladspa", "lv2", "frei0r", "frei0r_src", "zmq", "azmq"})
# Any other filter that is given an address is judged as if it wrote there.
_READS_NAMES = (
    "movie amovie subtitles ass lut3d lut1d drawtext sendcmd asendcmd sofalizer arnndn"
    " removelogo find_rect cover_rect life cellauto vidstabtransform ocr drawvg"
    " program_opencl openclsrc xfade_opencl dnn_processing derain sr showcqt tlut2"
    " shuffleplanes haldclutsrc textsrc selectivecolor fieldhint nnedi lensfun qrencode"
)
_READS = frozenset(_READS_NAMES.split())
# What stands before a run is looked at, too: else a run without an end is quadratic.
_ESCAPED_COLON = re.compile(r"(?<!\\)\\+:")
_ADDRESS = re.compile(r"(?<![A-Za-z0-9.+-])[A-Za-z0-9.+-]+:/{1,3}.*")


def check_graph(graph: str, access: Access) -> None:
    """Refuse a graph that loads code, or opens what the job may not.

    Backslashes and quotes are taken away first, as FFmpeg does up to three times: so a
    name cannot hide behind them. A text that merely looks like a filter is judged too,
    and so is what follows a comma that stood in quotes.

    Raises:
        AddressError: Naming the filter.
    """
    # A colon that is escaped belongs to a value.
    plain = _ESCAPED_COLON.sub("\0", graph).replace("\\", "").replace("'", "")
    for segment in re.split(r"[\[\];,]", plain):
        name, equals, arguments = segment.partition("=")
        name = name.partition("@")[0].strip().lower()
        if name in _LOADS:
            raise AddressError(f"the filter {name} is not allowed")
        try:
            for value in _values(arguments if equals else segment):
                if equals and name in _READS:
                    check_input(value, access)
                elif looks_like_address(value):
                    check_written(value, access)
        except AddressError as error:
            label = f"the filter {name}" if equals else segment.strip()
            raise AddressError(f"{label}: {error}") from None


def _values(arguments: str) -> list[str]:
    """Return every text that the arguments of a filter could open."""
    found = []
    for argument in arguments.split(":"):
        value = argument.replace("\0", ":").strip()
        found.append(value)
        key, equals, rest = value.partition("=")
        if equals and re.fullmatch(r"\w+", key):
            found[-1] = rest.strip()
    # An address in quotes keeps its colons without a backslash.
    found.extend(_ADDRESS.findall(arguments))
    return found
