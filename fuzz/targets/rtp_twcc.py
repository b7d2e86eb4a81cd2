"""Transport-wide feedback: messages of any octets, arrivals of any order."""

from __future__ import annotations

from sansmedia.rtp import (
    Limits,
    TransportFeedback,
    TransportFeedbackGenerator,
    TransportHistory,
    decode_rtcp,
    encode_rtcp,
)

_LIMITS = Limits(feedback_packets=16, history_packets=64)


def _read(data: bytes) -> None:
    body = data + bytes(-len(data) % 4)
    octets = b"\x8f\xcd" + (len(body) // 4).to_bytes(2, "big") + body
    [feedback] = decode_rtcp(octets)
    if not isinstance(feedback, TransportFeedback):
        return
    assert decode_rtcp(encode_rtcp([feedback])) == [feedback]
    assert len(feedback.arrivals()) == len(feedback.deltas)
    history = TransportHistory(limits=_LIMITS)
    for number in range(80):
        history.send(10, number * 0.01)
    told = history.feed(feedback, 1.0)
    assert len(told) <= 64
    came = sum(packet.received_at is not None for packet in told)
    assert history.in_flight == 10 * (64 - came)


def one_input(data: bytes) -> None:
    # A message is refused or comes back; the history's sum is right; every arrival is
    # told of, rightly, on its first time, in messages of bounded size.
    _read(data)
    generator = TransportFeedbackGenerator(1, limits=_LIMITS)
    number, now = 65_500, 5.0
    came: dict[int, float] = {}
    messages: list[TransportFeedback] = []
    for at in range(0, len(data) - 1, 2):
        step, pause = data[at], data[at + 1]
        now += pause * pause / 5_000
        number += step - 20
        messages += generator.handle_timeout(now)
        if number & 0xFFFF not in came:
            came[number & 0xFFFF] = now
            messages += generator.feed([(number & 0xFFFF, now)], now)
        deadline = generator.next_timeout()
        assert deadline is None or deadline > now
    messages += generator.handle_timeout(now + 1)
    if messages:
        assert decode_rtcp(encode_rtcp(messages)) == messages
    told: dict[int, float] = {}
    for message in messages:
        assert len(message.deltas) <= 16 + 1_000
        for sequence, moment in message.arrivals():
            if moment is not None:
                told.setdefault(sequence, moment)
    for sequence, moment in told.items():
        assert abs(came[sequence] - moment) < 0.0003
