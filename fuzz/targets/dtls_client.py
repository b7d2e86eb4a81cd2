"""A DTLS client in each of its states."""

from __future__ import annotations

from sansmedia.dtls import Role

from .shared.dtls import check_any_datagrams


def one_input(data: bytes) -> None:
    # In every state, any datagrams keep the contract: no exception, bounded memory, one
    # Terminated, last.
    check_any_datagrams(Role.CLIENT, data)
