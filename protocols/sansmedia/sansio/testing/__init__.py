"""Test tools for machines of the sans-IO contract: for us and for reusers."""
