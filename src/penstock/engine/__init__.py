"""Streams, their outlets and viewers, sessions, admission: what happens in between."""
