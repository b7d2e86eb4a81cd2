"""Operations on `JitterBuffer` and `NackGenerator`, drawn from the input."""

from __future__ import annotations

from sansmedia.rtp import Gap, JitterBuffer, Limits, NackGenerator, RtpPacket

_LIMITS = Limits(jump=100, held_packets=16, held_bytes=100, missing=8, held_time=0.2)


def one_input(data: bytes) -> None:
    # Packets and gaps tile the sequence, memory is bounded, deadlines advance, and no
    # more is asked for at one time than may be.
    buffer = JitterBuffer(wait=0.1 if data[:1] < b"\x80" else None, limits=_LIMITS)
    nack = NackGenerator(limits=_LIMITS)
    following: int | None = None
    sequence, now = 65_500, 0.0
    came: set[int] = set()
    for at in range(1, len(data) - 1, 2):
        step, rest = data[at], data[at + 1]
        now += (rest >> 4) * 0.01
        # Mostly near, at times far off.
        sequence += step - 8 if step < 250 else (step - 249) * 9_000
        packet = RtpPacket(96, sequence & 0xFFFF, 0, 0, bytes(1 + (rest & 15)))
        came.add(packet.sequence)
        for asked in (nack.handle_timeout(now), nack.feed([packet.sequence], now)):
            assert len(asked) == len(set(asked)) <= _LIMITS.missing
        products = buffer.handle_timeout(now) + buffer.feed([packet], now)
        for deadline in (nack.next_timeout(), buffer.next_timeout()):
            assert deadline is None or deadline > now
        assert 0 <= buffer.pending_bytes <= _LIMITS.held_bytes + 16
        for product in products:
            if isinstance(product, Gap):
                assert product.restart is not bool(product.missing)
                if not product.restart:
                    assert following == product.first_sequence
                following = product.first_sequence + product.missing & 0xFFFF
            else:
                assert product.sequence in came
                assert following in (None, product.sequence)
                following = product.sequence + 1 & 0xFFFF
    for product in buffer.flush():
        assert isinstance(product, Gap) or product.sequence in came
    assert buffer.next_timeout() is None
