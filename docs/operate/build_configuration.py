"""Write configuration.md from the classes that are the schema."""

from __future__ import annotations

from pathlib import Path

from penstock.config import reference_markdown

if __name__ == "__main__":
    Path(__file__).with_name("configuration.md").write_text(reference_markdown())
