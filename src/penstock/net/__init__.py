"""The only place with sockets: listeners, wires (one connection's bytes), TLS."""
