"""SRS: its HTTP API, its HTTP callbacks, its configuration file and its launcher."""

from .hooks import SrsHooks
from .names import Names
from .routes import SrsApi, create_app, is_public_path

__all__ = ["Names", "SrsApi", "SrsHooks", "create_app", "is_public_path"]
