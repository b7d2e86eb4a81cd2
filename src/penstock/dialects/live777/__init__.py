"""Live777: its HTTP API, WHIP and WHEP by its paths, its tokens and its strategy."""

from .routes import Live777Api, is_public_path

__all__ = ["Live777Api", "is_public_path"]
