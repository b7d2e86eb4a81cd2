"""File systems with one face: in memory, on a disk; and what HTTP says about files."""
