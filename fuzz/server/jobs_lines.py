"""Lines out of a stream of octets, in pieces of any size."""

from __future__ import annotations

import re

from penstock.jobs.lines import LineBudget, LineSplitter


def one_input(data: bytes) -> None:
    # The same lines come whatever the segmentation; they are what an expression finds,
    # cut; what is kept between two pieces stays below the limit and no octet is lost
    # uncounted; of any flood no second takes more than its share.
    limit, cut = (data[0] % 60 + 1, data[1] % 90 + 1) if len(data) > 1 else (1, 1)
    data = data[2:]
    whole, pieces, octets = (LineSplitter(limit) for _ in range(3))
    expected = whole.feed(data) + whole.flush()
    found: list[str] = []
    for number, begin in enumerate(range(0, len(data), cut)):
        found += pieces.feed(data[begin : begin + cut])
        assert pieces.pending_bytes <= limit
        if not number:
            pieces.feed(b"")
    found += pieces.flush()
    single = [line for octet in data for line in octets.feed(bytes([octet]))]
    single += octets.flush()
    assert found == single == expected
    for other in (pieces, octets):
        assert (other.lines, other.cut_lines) == (whole.lines, whole.cut_lines)
        assert other.dropped_bytes == whole.dropped_bytes
        assert not other.pending_bytes
    texts = re.findall(rb"[^\r\n]+", data)
    assert expected == [text[:limit].decode("utf-8", "replace") for text in texts]
    assert whole.lines == len(texts)
    assert whole.cut_lines == sum(len(text) > limit for text in texts)
    kept = sum(min(limit, len(text)) for text in texts)
    assert kept + whole.dropped_bytes == sum(map(len, texts))
    budget = LineBudget(limit)
    seconds = [number * cut // 100 for number in range(len(expected))]
    admitted = [second for second in seconds if budget.admit(second + cut / 100)]
    assert len(admitted) + budget.dropped == len(expected)
    for second in set(seconds):
        assert admitted.count(second) <= 2 * limit
