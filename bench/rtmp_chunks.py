"""Measure how fast `ChunkReader` takes a publisher's bytes.

Prints, per chunk size, MB/s of wire bytes and the share of one core that a publisher of
2.65 Mbit/s costs. The input is one minute of 30 pictures and 43 audio frames a second,
cut as a socket gives it.
"""

from __future__ import annotations

import argparse
import time

from sansmedia.rtmp import ChunkReader, ChunkWriter, Message

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


def measure(data: bytes, read_size: int, repeat: int) -> float:
    """Return the best time in seconds."""
    pieces = [data[i : i + read_size] for i in range(0, len(data), read_size)]
    best = float("inf")
    for _ in range(repeat):
        reader = ChunkReader()
        start = time.process_time()
        for piece in pieces:
            reader.feed(piece)
        best = min(best, time.process_time() - start)
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--repeat", type=int, default=3)
    arguments = parser.parse_args()
    print("chunk size  read size      MB/s  % of a core a publisher")
    for chunk_size in (128, 4096, 60_000):
        data = publisher(chunk_size, arguments.seconds)
        for read_size in (1_460, 16_384, 65_536):
            taken = measure(data, read_size, arguments.repeat)
            share = 100 * taken / arguments.seconds
            speed = len(data) / taken / 1e6
            print(f"{chunk_size:10}  {read_size:9}  {speed:8.0f}  {share:.3f}")


if __name__ == "__main__":
    main()
