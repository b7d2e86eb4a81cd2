"""datarhei Core: its process API and what its clients need around it."""

from .api import DatarheiApi, DatarheiParts, changed_settings
from .mount_errors import mount_failure
from .session_rows import Row, anonymised

__all__ = [
    "DatarheiApi",
    "DatarheiParts",
    "Row",
    "anonymised",
    "changed_settings",
    "mount_failure",
]
