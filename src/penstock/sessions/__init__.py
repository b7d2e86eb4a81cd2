"""One file a protocol and role: each session is one async function over one nursery."""
