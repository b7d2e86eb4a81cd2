"""File mode: everything arrives, whatever the network does.

Source: SRT draft-01 §4.2 and §5.2.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from typing import Any

import pytest
from sansmedia.sansio import Terminated, TerminationCause, UsageError
from sansmedia.sansio.testing import Conditions
from sansmedia.srt.connection_events import (
    BufferDrained,
    MessagesDropped,
    PeerErrorReceived,
    ReceivedMessage,
    SendReady,
)
from sansmedia.srt.limits import Limits
from sansmedia.srt.options import SrtOptions

Messages = Callable[[list[Any]], list[ReceivedMessage]]
MakePair = Callable[..., Any]


def _transfer(pair: Any, data: bytes, *, until: float = 120.0) -> None:
    """Send data in pieces, as room is told, then close."""
    pieces = [data[at : at + 1456] for at in range(0, len(data), 1456)]
    end = pair.now + until
    while pieces and pair.now < end:
        taken = pair.left.send(pieces[:200], pair.now)
        del pieces[:taken]
        told = len(pair.left_events)
        if taken < 200 and pieces:
            pair.run(
                until=end,
                stop=lambda told=told: SendReady(101) in pair.left_events[told:],
            )
    pair.left.close(now=pair.now)
    pair.run(until=end, stop=lambda: pair.right.is_terminated)


@pytest.mark.slow
@pytest.mark.parametrize("loss", [0.0, 0.1])
def test_a_megabyte_arrives_bit_by_bit(
    make_pair: MakePair, messages_of: Messages, loss: float
) -> None:
    data = random.Random(1).randbytes(1_000_000)
    pair = make_pair(
        live=False,
        message_api=False,
        options=SrtOptions(message_api=False, send_buffer=512),
        there=Conditions(delay=0.02, jitter=0.005, loss=loss, reorder=loss / 2),
    )
    _transfer(pair, data)
    assert b"".join(one.data for one in messages_of(pair.right_events)) == data
    statistics = pair.left.statistics()
    assert statistics.pkt_retrans_total <= statistics.pkt_sent_unique_total * loss * 3
    assert pair.left_events[-1].cause is TerminationCause.LOCAL
    assert BufferDrained(101) in pair.left_events
    assert pair.now < 1000 + 30


def test_a_rate_limit_on_the_path_does_not_stop_a_transfer(
    make_pair: MakePair, messages_of: Messages
) -> None:
    data = bytes(300_000)
    pair = make_pair(
        live=False,
        message_api=False,
        there=Conditions(delay=0.02, rate_bps=10e6, queue_bytes=50_000),
    )
    _transfer(pair, data)
    assert b"".join(one.data for one in messages_of(pair.right_events)) == data
    assert pair.now < 1000 + 10
    assert pair.right.statistics().mbps_recv_rate < 11


@pytest.mark.parametrize("size", [1, 1456, 1457, 100_000])
def test_messages_keep_their_borders(
    make_pair: MakePair, messages_of: Messages, size: int
) -> None:
    pair = make_pair(live=False, there=Conditions(delay=0.01, loss=0.05))
    sent = [bytes([number]) * size for number in range(3)]
    assert pair.left.send(sent, pair.now) == 3
    pair.run(until=pair.now + 5)
    got = messages_of(pair.right_events)
    assert [message.data for message in got] == sent
    assert [message.number for message in got] == [1, 2, 3]


def test_a_message_may_overtake_one_that_waits_for_a_packet(
    make_pair: MakePair, messages_of: Messages
) -> None:
    """SRT draft-01 §4.2.1: the order flag."""
    pair = make_pair(live=False, there=Conditions(delay=0.01))
    pair.left.send([b"a" * 3000], pair.now, in_order=False)
    packets = pair.left.datagrams_to_send()
    lost = packets.pop(1)
    pair.left.send([b"b" * 3000, b"c"], pair.now, in_order=False)
    pair.left.send([b"d"], pair.now)
    packets += pair.left.datagrams_to_send()
    right = pair.right
    right.receive_datagrams(packets, pair.now)
    right.receive_datagrams([lost], pair.now)
    events = []
    while (event := right.next_event()) is not None:
        events.append(event)
    assert [message.data[:1] for message in messages_of(events)] == [
        b"b",
        b"c",
        b"a",
        b"d",
    ]
    assert (
        right.pending_bytes - sum(len(one.data) for one in right.datagrams_to_send())
        == 0
    )


def test_a_message_whose_time_is_over_is_given_up_on_both_sides(
    make_pair: MakePair, messages_of: Messages
) -> None:
    pair = make_pair(
        live=False,
        there=Conditions(delay=0.02, outages=((1000.0, 1000.5),)),
    )
    pair.left.send([b"x" * 4000], pair.now, ttl=0.1)
    pair.run(until=1001)
    pair.left.send([b"after"], pair.now)
    pair.run(until=1003)
    assert [one.data for one in messages_of(pair.right_events)] == [b"after"]
    assert MessagesDropped(102, 3, False) in pair.right_events
    assert pair.left.statistics().pkt_snd_drop_total == 3
    assert pair.left.statistics().pkt_snd_buf == 0


def test_a_full_send_buffer_says_when_there_is_room(make_pair: MakePair) -> None:
    pair = make_pair(live=False, options=SrtOptions(send_buffer=16))
    assert pair.left.send([b"x"] * 20, pair.now) == 16
    assert pair.left.send_room == 0
    pair.run(until=1001)
    assert SendReady(101) in pair.left_events
    assert pair.left.send_room == 16


def test_a_receiver_that_pauses_stops_the_sender(
    make_pair: MakePair, messages_of: Messages
) -> None:
    pair = make_pair(live=False, options=SrtOptions(receive_buffer=32), flow_window=32)
    pair.right.pause(now=pair.now)
    pair.left.send([bytes([number]) for number in range(100)], pair.now)
    pair.run(until=1002)
    assert pair.right.statistics().pkt_recv_unique_total == 32
    assert messages_of(pair.right_events) == []
    pair.right.resume(now=pair.now)
    pair.run(until=1004)
    got = b"".join(one.data for one in messages_of(pair.right_events))
    assert got == bytes(range(100))


def test_many_short_messages_do_not_keep_rates_from_being_told(
    make_pair: MakePair,
) -> None:
    """SRT draft-01 §3.2.4: each ends with an acknowledgement, some of them full ones.

    The sender's pacing goes by the rates, which only those tell that have 28 octets.
    """
    pair = make_pair(live=False)
    left, right, now = pair.left, pair.right, pair.now
    told, small = [], 0
    for _ in range(200):
        now += 0.001
        left.send([b"short"], now)
        right.receive_datagrams(left.datagrams_to_send(), now)
        answers = right.datagrams_to_send()
        sizes = [len(one.data) - 16 for one in answers]
        if 28 in sizes:
            told.append(now)
        small += sizes.count(16)
        left.receive_datagrams(answers, now)
    pauses = [after - before for before, after in itertools.pairwise(told)]
    assert small > 100
    assert len(told) > 15
    assert max(pauses) < 0.0125


def test_a_message_that_never_fits_is_refused(make_pair: MakePair) -> None:
    pair = make_pair(live=False, options=SrtOptions(send_buffer=4))
    with pytest.raises(UsageError):
        pair.left.send([bytes(1456 * 4 + 1)], pair.now)


def test_a_message_larger_than_the_receive_buffer_is_given_up(
    make_pair: MakePair, messages_of: Messages
) -> None:
    pair = make_pair(
        live=False,
        options=(SrtOptions(), SrtOptions(receive_buffer=8)),
        flow_window=8,
    )
    pair.left.send([bytes(1456 * 20), b"small"], pair.now)
    pair.run(until=1010)
    assert [one.data for one in messages_of(pair.right_events)] == [b"small"]


def test_lingering_ends_after_its_limit(make_pair: MakePair) -> None:
    pair = make_pair(
        live=False,
        limits=Limits(linger=2.0),
        there=Conditions(outages=((1000.0, 1100.0),)),
    )
    pair.left.send([b"never arrives"], pair.now)
    pair.left.close("enough", now=pair.now)
    assert not pair.left.is_terminated
    pair.run(until=1002.5)
    assert pair.left_events[-1] == Terminated(TerminationCause.LOCAL, "enough")
    assert pair.left.pending_bytes == 0


def test_an_error_of_the_peer_is_told(make_pair: MakePair) -> None:
    """SRT draft-01 §3.2.10."""
    pair = make_pair(live=False)
    pair.right.send_peer_error(now=pair.now)
    pair.run(until=1000.5)
    assert pair.left_events == [PeerErrorReceived(101, 4000)]
