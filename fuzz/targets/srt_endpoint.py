"""A socket with SRT on it: listening, calling, meeting, connected."""

from __future__ import annotations

from .shared.srt import check_any_datagrams


def one_input(data: bytes) -> None:
    # In every state, any datagrams keep the contract: no exception, bounded memory, one
    # Terminated, last.
    check_any_datagrams(data)
