"""What one peer may cost."""

from __future__ import annotations

import attrs

__all__ = ["Limits"]


@attrs.frozen(kw_only=True)
class Limits:
    """Bounds on the transforms of one stream, or of one transport."""

    jump: int = 3_000
    """Sequence numbers ahead or behind beyond which a stream begins anew."""
    held_packets: int = 2_048
    """Packets that a jitter buffer may hold behind what is missing."""
    held_bytes: int = 4 * 1024 * 1024
    """Octets of payloads and extensions that a jitter buffer may hold."""
    held_time: float = 0.5
    """Seconds that a jitter buffer waits for a packet, at the most."""
    missing: int = 512
    """Packets that are asked for at one time."""
    requests: int = 10
    """How often one packet is asked for."""
    request_time: float = 1.0
    """Seconds that one packet is asked for."""
    feedback_packets: int = 400
    """Packets that one message of transport feedback tells of."""
    history_packets: int = 8_192
    """Sent packets whose feedback is waited for."""
    history_time: float = 10.0
    """Seconds that feedback on a sent packet is waited for."""
    reference_times: int = 31
    """Receivers whose reference time waits for its answer."""
