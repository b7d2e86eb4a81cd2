"""Media protocols without I/O. Each library is a subpackage."""
