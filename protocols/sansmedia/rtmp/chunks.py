"""The chunk stream layer, usable alone: bytes to messages and back.

Source: RTMP 1.0 §5.3.
"""

from .chunk_reader import ChunkReader
from .chunk_writer import ChunkWriter, encode_chunks

__all__ = ["ChunkReader", "ChunkWriter", "encode_chunks"]
