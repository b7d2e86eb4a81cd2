"""What the server has logged lately, for APIs that show it."""

from __future__ import annotations

from penstock.log import Record, recent

__all__ = ["Record", "recent"]
