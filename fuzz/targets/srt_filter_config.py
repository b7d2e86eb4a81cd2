"""Configurations of packet filters, from a peer's handshake."""

from __future__ import annotations

from sansmedia.sansio import ProtocolError
from sansmedia.srt.packet_filter import (
    make_filter_receiver,
    make_filter_sender,
    negotiate,
    parse_filter,
)


def one_input(data: bytes) -> None:
    # Only ProtocolError with the code "filter" comes out; what was taken is written
    # and read again as the same; what was agreed on makes a filter, and both sides
    # agree on it whoever answers.
    text = data.decode("latin-1")
    ours, _, theirs = text.partition("|")
    for config in (ours, theirs):
        try:
            parsed = parse_filter(config)
        except ProtocolError as error:
            assert error.code == "filter"
        else:
            assert parse_filter(str(parsed)) == parsed
    try:
        answer = negotiate(ours, theirs)
    except ProtocolError as error:
        assert error.code == "filter"
        return
    if not answer:
        return
    make_filter_receiver(answer, initial_sequence=0)
    make_filter_sender(answer, initial_sequence=0, payload_size=1316)
    if len(answer) <= 64:
        agreed = negotiate(theirs, answer, initiator=True)
        same = parse_filter(agreed).complete() == parse_filter(answer).complete()
        assert same
