"""The page a person opens on the public HTTP port, and its own internal API."""

from .app import create_app

__all__ = ["create_app"]
