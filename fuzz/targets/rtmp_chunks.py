"""`ChunkReader` over any octets, whole and cut; what it reads is written again."""

from __future__ import annotations

from sansmedia.rtmp import ChunkReader, ChunkWriter, Limits, Message

_LIMITS = Limits(message_size=4096, command_size=1024, partial_bytes=8192)


def _view(reader: ChunkReader, messages: list[Message]) -> tuple[object, ...]:
    error = reader.error
    return (
        messages,
        reader.chunk_size,
        reader.discarded,
        reader.pending_bytes,
        error and (error.reason, error.code),
    )


def one_input(data: bytes) -> None:
    # Cutting the input changes nothing, memory is bounded by the limits, and every
    # message read comes back from the writer, whatever the chunk size.
    step, body = (data[0] % 61 + 1, data[1:]) if data else (1, b"")
    whole = ChunkReader(_LIMITS)
    expected = whole.feed(body)
    for size in (1, step):
        reader = ChunkReader(_LIMITS)
        messages = []
        for at in range(0, len(body), size):
            messages += reader.feed(body[at : at + size])
            held = reader.pending_bytes
            assert held <= min(len(body), _LIMITS.partial_bytes) + 18
        assert _view(reader, messages) == _view(whole, expected)
    writer = ChunkWriter(compress=bool(step & 1))
    again = writer.set_chunk_size(step)
    kept = [message for message in expected if message.type_id not in (1, 2)]
    for number, message in enumerate(kept):
        again += writer.write(message, 3 + number % 60)
    assert ChunkReader().feed(again)[1:] == kept
