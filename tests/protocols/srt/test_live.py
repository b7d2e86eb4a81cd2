"""Live mode over good and bad networks, in simulated time.

Source: SRT draft-01 §4, §4.5, §4.8 and §5.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from sansmedia.sansio import Datagram, Terminated, TerminationCause, UsageError
from sansmedia.sansio.testing import Conditions
from sansmedia.srt.connection_events import (
    MessagesDropped,
    MessagesReceived,
    ReceivedMessage,
)
from sansmedia.srt.options import SrtOptions
from sansmedia.srt.tsbpd import TsbpdClock

Messages = Callable[[list[Any]], list[ReceivedMessage]]
MakePair = Callable[..., Any]

_START = 1000.0


def _stream(
    pair: Any, count: int, *, interval: float = 0.002, size: int = 40
) -> list[bytes]:
    """Send numbered messages one by one and wait until nothing can come any more."""
    sent = []
    begin = pair.now
    for number in range(count):
        pair.run(until=begin + number * interval)
        message = number.to_bytes(4, "big") + bytes(size - 4)
        sent.append(message)
        pair.left.send([message], pair.now)
    pair.run(until=pair.now + 2)
    return sent


def test_messages_arrive_once_in_order_and_at_their_time(
    make_pair: MakePair, messages_of: Messages
) -> None:
    times: list[float] = []
    pair = make_pair(
        on_right=lambda event, now: times.extend([now] * len(event.messages))
    )
    sent = _stream(pair, 500)
    got = messages_of(pair.right_events)
    assert [message.data for message in got] == sent
    for number, (message, at) in enumerate(zip(got, times, strict=True)):
        source = _START + number * 0.002
        assert message.source_time == pytest.approx(source + 0.02, abs=1e-5)
        assert message.timestamp == pytest.approx(number * 2000, abs=1)
        assert -1e-6 <= at - (source + 0.02 + 0.12) < 0.006
    statistics = pair.left.statistics()
    assert statistics.pkt_sent_total == statistics.pkt_sent_unique_total == 500
    assert statistics.pkt_snd_buf == 0
    assert statistics.ms_rtt == pytest.approx(40, abs=1)


@pytest.mark.parametrize("loss", [0.01, 0.05, 0.1])
def test_what_is_lost_is_asked_for_and_comes_in_time(
    make_pair: MakePair, messages_of: Messages, loss: float
) -> None:
    pair = make_pair(
        there=Conditions(delay=0.02, loss=loss), receive_latency=0.4, send_latency=0.4
    )
    sent = _stream(pair, 3000, interval=0.001)
    got = [message.data for message in messages_of(pair.right_events)]
    assert len(got) >= 2998
    assert got == [message for message in sent if message in set(got)]
    left, right = pair.left.statistics(), pair.right.statistics()
    assert left.pkt_retrans_total < 3000 * loss * 1.6 + 20
    assert right.pkt_recv_unique_total == len(got)
    assert right.pkt_rcv_drop_total == 3000 - len(got)


def test_closing_tells_the_peer(make_pair: MakePair) -> None:
    pair = make_pair()
    _stream(pair, 3)
    pair.left.close("done", now=pair.now)
    pair.run()
    assert pair.left_events[-1] == Terminated(TerminationCause.LOCAL, "done")
    assert isinstance(pair.right_events[-1], Terminated)
    assert pair.right_events[-1].cause is TerminationCause.PEER
    assert pair.left.pending_bytes == pair.right.pending_bytes == 0


def test_what_waited_for_its_time_is_delivered_when_the_peer_closes(
    make_pair: MakePair, messages_of: Messages
) -> None:
    pair = make_pair()
    pair.left.send([b"last words"], pair.now)
    pair.left.close(now=pair.now)
    pair.run()
    assert [message.data for message in messages_of(pair.right_events)] == [
        b"last words"
    ]
    assert isinstance(pair.right_events[0], MessagesReceived)


def test_silence_is_filled_with_keep_alives(make_pair: MakePair) -> None:
    pair = make_pair()
    pair.run(until=_START + 60)
    assert not pair.left_events
    assert not pair.right_events


def test_a_peer_that_is_gone_is_noticed_after_the_idle_time_out(
    make_pair: MakePair,
) -> None:
    pair = make_pair(there=Conditions(outages=((_START + 1, _START + 90),)))
    pair.run()
    cause = TerminationCause.TIMEOUT
    assert [event.cause for event in pair.right_events] == [cause]
    assert _START + 5 < pair.now < _START + 7


_BAD_NETWORKS = {
    "jitter": Conditions(delay=0.02, jitter=0.03),
    "reorder": Conditions(delay=0.02, reorder=0.1, reorder_delay=0.01),
    "duplicates": Conditions(delay=0.02, duplicate=0.2),
    "everything": Conditions(
        delay=0.02, jitter=0.01, loss=0.05, reorder=0.02, duplicate=0.05
    ),
    "outage": Conditions(delay=0.02, outages=((_START + 0.5, _START + 5.5),)),
    "thin": Conditions(delay=0.02, rate_bps=500_000, queue_bytes=20_000),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", _BAD_NETWORKS)
def test_a_bad_network_costs_packets_but_neither_order_nor_time(
    make_pair: MakePair, messages_of: Messages, name: str
) -> None:
    times: list[float] = []

    def hear(event: Any, now: float) -> None:
        if isinstance(event, MessagesReceived):
            times.extend([now] * len(event.messages))

    latency = 0.3
    pair = make_pair(
        there=_BAD_NETWORKS[name],
        back=Conditions(delay=0.02),
        receive_latency=latency,
        send_latency=latency,
        on_right=hear,
    )
    sent = _stream(pair, 7000, interval=0.001)
    got = messages_of(pair.right_events)
    numbers = [int.from_bytes(message.data[:4], "big") for message in got]
    assert numbers == sorted(set(numbers))
    assert all(
        one.data == sent[number] for one, number in zip(got, numbers, strict=True)
    )
    base = got[0].timestamp - numbers[0] * 1000
    for number, message, at in zip(numbers, got, times, strict=True):
        # Distances of time stamps are the sender's; delivery is at the time.
        assert abs(message.timestamp - base - number * 1000) <= 1
        assert message.source_time + latency - 0.006 <= at
        # Only what was asked for when the path came back may be later than that.
        assert name == "outage" or at < message.source_time + latency + 0.012
    left, right = pair.left.statistics(), pair.right.statistics()
    assert right.pkt_recv_unique_total == len(got)
    assert left.pkt_sent_total == left.pkt_sent_unique_total + left.pkt_retrans_total
    assert right.pkt_recv_total == sum(
        link.delivered for link in [pair.there.statistics()]
    ) - left.pkt_recv_ack_total - _controls(left, pair)
    share = len(got) / 7000
    assert share > {"outage": 0.25, "thin": 0.15}.get(name, 0.9995)
    if name not in ("outage", "thin"):
        assert left.pkt_retrans_total < right.pkt_rcv_loss_total * 1.25 + 10


def _controls(left: Any, pair: Any) -> int:
    """Return the control packets that arrived beside answers to acknowledgements."""
    other = pair.there.statistics().delivered - pair.right.statistics().pkt_recv_total
    return int(other - left.pkt_recv_ack_total)


@pytest.mark.slow
def test_a_sparse_stream_passes_the_wrap_of_its_time_stamps(
    make_pair: MakePair, messages_of: Messages
) -> None:
    """2.5 hours with keep-alives, in which time stamps wrap twice."""
    pair = make_pair(there=Conditions(delay=0.02, jitter=0.01, loss=0.01))
    distances = [7.0, 600.0, 2600.0, 1.0, 4300.0, 30.0, 1500.0]
    sources: list[float] = []
    expected = 0.0
    for number, distance in enumerate(distances):
        expected += distance
        pair.run(until=_START + expected)
        pair.left.send([bytes([number])] * 2, pair.now)
        sources += [expected] * 2
    pair.run(until=pair.now + 5)
    got = messages_of(pair.right_events)
    assert [message.data[0] for message in got] == sorted([*range(7)] * 2)
    for message, source in zip(got, sources, strict=True):
        assert message.timestamp == pytest.approx(source * 1e6, abs=2)
        assert message.source_time == pytest.approx(_START + 0.02 + source, abs=0.02)


@pytest.mark.slow
def test_a_stream_of_a_day_keeps_its_time_through_every_wrap(
    make_pair: MakePair, messages_of: Messages
) -> None:
    """26.5 hours, a packet every 7 s: time stamps wrap 22 times."""
    pair = make_pair(initial_sequence=(1 << 31) - 5000)
    left, right = pair.left, pair.right
    count = 26 * 3600 // 7 + 300
    events = []
    for number in range(count):
        now = _START + number * 7.0
        packets = left.write([number.to_bytes(4, "big")], now)
        arrived = [Datagram(one, pair.left_address) for one in packets]
        right.receive_datagrams(arrived, now + 0.02)
        left.receive_datagrams(right.datagrams_to_send(), now + 0.04)
        right.receive_datagrams(left.datagrams_to_send(), now + 0.06)
        right.handle_timeout(now + 0.15)
        while (event := right.next_event()) is not None:
            events.append(event)
    got = messages_of(events)
    assert [int.from_bytes(one.data, "big") for one in got] == list(range(count))
    for number, message in enumerate(got):
        assert message.timestamp == pytest.approx(number * 7e6, abs=1)


def test_sequence_and_message_numbers_wrap(
    make_pair: MakePair, messages_of: Messages
) -> None:
    pair = make_pair(
        initial_sequence=(1 << 31) - 20,
        there=Conditions(delay=0.02, loss=0.1),
        send_latency=0.5,
    )
    pair.left._sender.buffer._message = (1 << 26) - 10  # noqa: SLF001 - days of sending
    sent = _stream(pair, 60)
    got = messages_of(pair.right_events)
    assert [message.data for message in got] == sent
    assert [got[9].number, got[10].number] == [(1 << 26) - 1, 1]


def test_a_time_stamp_may_wrap_in_the_middle_of_a_stream(
    make_pair: MakePair, messages_of: Messages
) -> None:
    pair = make_pair(
        start_time=_START - 4294.9,
        peer_timestamp=4_294_900_000,
    )
    sent = _stream(pair, 100)
    got = messages_of(pair.right_events)
    assert [message.data for message in got] == sent
    assert [
        later.timestamp - one.timestamp for one, later in pairwise(got)
    ] == pytest.approx([2000] * 99, abs=1)


def test_the_drift_between_clocks_is_followed(
    make_pair: MakePair, messages_of: Messages
) -> None:
    """SRT draft-01 §4.7: a sender whose clock runs 500 ppm fast for 40 minutes."""

    clock = TsbpdClock(0, 100.0, 0.12, trace_drift=True)
    rate = 1.0005
    for number in range(240_000):
        at = 100 + number * 0.01
        timestamp = int((at - 100) * rate * 1e6) & 0xFFFF_FFFF
        clock.add_sample(timestamp, at, 0.04)
    error = clock.source_time(int((at - 100) * rate * 1e6)) + clock.drift - at
    assert abs(error) < 0.012


def test_late_packets_are_given_up_by_the_sender_too(make_pair: MakePair) -> None:
    """SRT draft-01 §4.6."""
    pair = make_pair(there=Conditions(outages=((_START, _START + 4),)))
    for number in range(30):
        pair.run(until=_START + number * 0.1)
        pair.left.send([b"lost"], pair.now)
    statistics = pair.left.statistics()
    assert statistics.pkt_snd_drop_total >= 15
    assert statistics.pkt_snd_drop_total == sum(
        event.count for event in pair.left_events if event.sending
    )
    assert statistics.ms_snd_buf < 1200
    pair.run(until=_START + 5)
    pair.left.send([b"found"], pair.now)
    pair.run(until=_START + 6)
    assert pair.left.statistics().pkt_snd_buf == 0
    assert not pair.right.is_terminated


def test_a_stream_goes_on_after_an_outage_longer_than_the_buffers(
    make_pair: MakePair, messages_of: Messages
) -> None:
    pair = make_pair(
        options=SrtOptions(receive_buffer=64),
        there=Conditions(delay=0.02, outages=((_START + 0.2, _START + 4),)),
    )
    sent = _stream(pair, 3000, interval=0.002)
    got = [message.data for message in messages_of(pair.right_events)]
    assert got[-1] == sent[-1]
    assert got == [message for message in sent if message in set(got)]
    assert len(got) > 900


@pytest.mark.parametrize(
    "options",
    [
        SrtOptions(max_bw=100_000),
        SrtOptions(max_bw=0, input_bw=80_000),
        SrtOptions(max_bw=0, min_input_bw=80_000),
    ],
    ids=["set", "by the input", "measured"],
)
def test_a_burst_is_spread_by_the_bandwidth(
    make_pair: MakePair, options: SrtOptions
) -> None:
    """SRT draft-01 §5.1."""
    pair = make_pair(options=options, receive_latency=2.0, send_latency=2.0)
    begin = 0
    for number in range(20):
        pair.run(until=_START + number * 0.1)
        pair.left.send([bytes(956)] * 8, pair.now)
        if number == 15:
            begin = pair.left.statistics().byte_sent_total
    pair.left.send([bytes(956)] * 200, pair.now)
    at = pair.now
    sent = pair.left.statistics().byte_sent_total
    pair.run(until=at + 1)
    rate = pair.left.statistics().byte_sent_total - sent
    assert begin > 0
    assert 80_000 <= rate <= 110_000


def test_retransmissions_keep_to_their_own_bandwidth(make_pair: MakePair) -> None:
    pair = make_pair(
        options=SrtOptions(max_rexmit_bw=2000),
        there=Conditions(delay=0.02, loss=0.3),
        send_latency=2.0,
    )
    _stream(pair, 1000, interval=0.002, size=956)
    statistics = pair.left.statistics()
    assert 0 < statistics.byte_retrans_total < 2000 * 4 + 2000
    assert statistics.pkt_sent_unique_total == 1000


def test_the_lane_returns_what_may_go_at_once(
    make_pair: MakePair, messages_of: Messages
) -> None:
    pair = make_pair()
    run = [bytes([number]) * 1316 for number in range(7)]
    packets = pair.left.write(run, pair.now)
    assert len(packets) == 7
    assert pair.left.datagrams_to_send() == []
    pair.right.receive_datagrams(
        [Datagram(one, ("192.0.2.1", 5000)) for one in packets], pair.now
    )
    pair.run(until=_START + 1)
    assert [message.data for message in messages_of(pair.right_events)] == run
    assert pair.left.statistics().pkt_snd_buf == 0


def test_messages_that_cannot_be_sent_are_refused(make_pair: MakePair) -> None:
    pair = make_pair()
    for wrong in (b"", bytes(1317)):
        with pytest.raises(UsageError):
            pair.left.send([b"right", wrong], pair.now)
    pair.left.close(now=pair.now)
    assert pair.left.send([b"late"], pair.now) == 0
    assert pair.left.write([b"late"], pair.now) == []


def test_a_sender_that_waits_for_nobody_drops_what_does_not_fit(
    make_pair: MakePair,
) -> None:
    pair = make_pair(options=SrtOptions(send_buffer=10))
    assert pair.left.send([b"x"] * 25, pair.now) == 10
    assert pair.left.statistics().pkt_snd_drop_total == 15
    assert pair.left.next_event() == MessagesDropped(101, 15, True)


def test_the_last_packet_is_sent_again_if_nobody_acknowledges_it(
    make_pair: MakePair, messages_of: Messages
) -> None:
    """No later packet would show that it is missing."""
    pair = make_pair(
        there=Conditions(delay=0.02, outages=((_START + 1, _START + 1.1),)),
        receive_latency=1.0,
        send_latency=1.0,
    )
    _stream(pair, 2, interval=0.5)
    pair.run(until=_START + 3)
    pair = make_pair(
        there=Conditions(delay=0.02, outages=((_START, _START + 0.1),)),
        receive_latency=1.0,
        send_latency=1.0,
    )
    pair.left.send([b"only one"], pair.now)
    pair.run(until=_START + 3)
    assert [message.data for message in messages_of(pair.right_events)] == [b"only one"]


def test_encrypted_packets_are_sent_again_as_they_were(
    make_pair: MakePair, messages_of: Messages, toy_crypto: Any
) -> None:
    made: list[Any] = []

    def crypto() -> Any:
        made.append(toy_crypto())
        return made[-1]

    pair = make_pair(
        crypto=crypto,
        there=Conditions(delay=0.02, loss=0.1),
        receive_latency=0.5,
        send_latency=0.5,
    )
    sent = _stream(pair, 500)
    assert [message.data for message in messages_of(pair.right_events)] == sent
    assert made[0].encrypted == list(range(5000, 5500))
    assert pair.left.statistics().pkt_retrans_total > 30


def test_what_cannot_be_decrypted_is_acknowledged_and_not_delivered(
    make_pair: MakePair, messages_of: Messages, toy_crypto: Any
) -> None:
    keys = iter([0x11, 0x22])
    pair = make_pair(crypto=lambda: toy_crypto(next(keys)))
    _stream(pair, 100)
    assert messages_of(pair.right_events) == []
    statistics = pair.right.statistics()
    assert statistics.pkt_rcv_undecrypt_total == 100
    assert statistics.pkt_rcv_drop_total == 100
    assert pair.left.statistics().pkt_snd_buf == 0


def test_plain_packets_on_a_secured_connection_are_not_delivered(
    make_pair: MakePair, messages_of: Messages, toy_crypto: Any, plain_crypto: Any
) -> None:
    kinds = iter([plain_crypto, toy_crypto])
    pair = make_pair(crypto=lambda: next(kinds)())
    _stream(pair, 10)
    assert messages_of(pair.right_events) == []
    assert pair.right.statistics().pkt_rcv_undecrypt_total == 10


@pytest.mark.parametrize("most", [0, 20])
def test_reordering_is_learned_before_losses_are_reported(
    make_pair: MakePair, most: int
) -> None:
    pair = make_pair(
        options=SrtOptions(loss_max_ttl=most),
        there=Conditions(delay=0.02, reorder=0.1, reorder_delay=0.005),
    )
    _stream(pair, 2000, interval=0.001)
    statistics = pair.right.statistics()
    assert statistics.pkt_rcv_loss_total > 100
    assert statistics.pkt_reorder_distance >= 4
    assert (statistics.pkt_sent_nak_total < 50) is (most > 0)
