"""FFmpeg processes: what they shall do, how they fare, and what is kept of them."""
