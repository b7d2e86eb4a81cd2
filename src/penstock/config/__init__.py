"""Reading the configuration: a TOML file, the environment and ``--set``.

`load` answers one checked `Settings` or raises one `ConfigError`, whose text is a
single line that names where, which key, and what was expected there.
"""

from .address import Address, is_loopback, parse_address
from .changes import changes_needing_restart, differences
from .errors import ConfigError, bind_error
from .loader import load, origins
from .overlay import with_values
from .reference import reference_markdown
from .udp_address import UdpAddress, decode_udp_address
from .values import check_relay

__all__ = [
    "Address",
    "ConfigError",
    "UdpAddress",
    "bind_error",
    "changes_needing_restart",
    "check_relay",
    "decode_udp_address",
    "differences",
    "is_loopback",
    "load",
    "origins",
    "parse_address",
    "reference_markdown",
    "with_values",
]
