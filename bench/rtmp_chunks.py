"""Measure how fast `ChunkReader` and `RtmpServer` take a publisher's bytes.

Prints, per chunk size, MB/s of wire bytes and the share of one core that a publisher of
2.65 Mbit/s costs: 30 pictures and 43 audio frames a second, cut as a socket gives it.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

from sansmedia.rtmp import ChunkReader, ChunkWriter, Message, RtmpServer
from sansmedia.rtmp.messages import Command, encode_command

BITS_PER_SECOND = 2_650_000


def publisher(chunk_size: int, seconds: int) -> bytes:
    """Return the chunk stream of one publisher."""
    writer = ChunkWriter()
    parts = [writer.set_chunk_size(chunk_size)]
    audio = bytes(range(186)) * 2
    per_second = BITS_PER_SECOND // 8 - 43 * len(audio)
    key, delta = per_second // 5, per_second * 4 // 5 // 29
    for second in range(seconds):
        for tick in range(30):
            now = second * 1000 + tick * 1000 // 30
            size = key if tick == 0 else delta
            parts.append(writer.write(Message(9, 1, now, bytes(size)), 6))
            if tick * 43 // 30 != (tick + 1) * 43 // 30:
                parts.append(writer.write(Message(8, 1, now, audio), 4))
    return b"".join(parts)


def feed_reader(pieces: list[bytes]) -> None:
    """Take the pieces by the chunk layer alone."""
    reader = ChunkReader()
    for piece in pieces:
        reader.feed(piece)


def publishing() -> RtmpServer:
    """Return a server with a client that publishes."""
    writer = ChunkWriter(compress=False)
    commands = [
        (Command("connect", 1.0, {"app": "live"}), 0),
        (Command("createStream", 2.0), 0),
        (Command("publish", 3.0, None, ("cam",)), 1),
    ]
    opening = b"".join(
        writer.write(encode_command(command, stream_id), 3)
        for command, stream_id in commands
    )
    server = RtmpServer(dice=bytes, now=0.0)
    server.receive_data(b"\x03" + bytes(2 * 1536) + opening, 0.0)
    for request_id in (1, 2):
        server.accept(request_id, now=0.0)
    return server


def feed_server(pieces: list[bytes]) -> None:
    """Take the pieces by a whole session, events and answers included."""
    server = publishing()
    for piece in pieces:
        server.receive_data(piece, 1.0)
        while server.next_event() is not None:
            pass
        server.data_to_send()


def measure(feed: Callable[[list[bytes]], None], pieces: list[bytes]) -> float:
    """Return the best time of three in seconds."""
    best = float("inf")
    for _ in range(3):
        start = time.process_time()
        feed(pieces)
        best = min(best, time.process_time() - start)
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=20)
    seconds = parser.parse_args().seconds
    print("chunk size  read size  layer       MB/s  % of a core a publisher")
    for chunk_size in (128, 4096, 60_000):
        data = publisher(chunk_size, seconds)
        for read_size in (1_460, 16_384, 65_536):
            pieces = [data[i : i + read_size] for i in range(0, len(data), read_size)]
            for layer, feed in (("chunks", feed_reader), ("session", feed_server)):
                taken = measure(feed, pieces)
                print(
                    f"{chunk_size:10}  {read_size:9}  {layer:7}"
                    f"  {len(data) / taken / 1e6:7.0f}  {100 * taken / seconds:.3f}"
                )


if __name__ == "__main__":
    main()
