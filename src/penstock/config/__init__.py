"""Reading the configuration: a TOML file, the environment and ``--set``.

`load` answers one checked `Settings` or raises one `ConfigError`, whose text is a
single line that names where, which key, and what was expected there.
"""

from .address import Address, is_loopback, parse_address
from .changes import changes_needing_restart, differences
from .errors import ConfigError, bind_error
from .loader import load, origins
from .reference import reference_markdown

__all__ = [
    "Address",
    "ConfigError",
    "bind_error",
    "changes_needing_restart",
    "differences",
    "is_loopback",
    "load",
    "origins",
    "parse_address",
    "reference_markdown",
]
