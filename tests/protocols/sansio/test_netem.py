from __future__ import annotations

from collections.abc import Iterable

from hypothesis import given, settings
from hypothesis import strategies as st
from sansmedia.sansio import Datagram
from sansmedia.sansio.testing import Conditions, DatagramLink, StreamPipe

_PEER = ("192.0.2.2", 5000)


def _datagrams(count: int, size: int = 100) -> list[Datagram]:
    return [
        Datagram(n.to_bytes(2, "big") + bytes(size - 2), _PEER) for n in range(count)
    ]


def _numbers(datagrams: Iterable[Datagram]) -> list[int]:
    return [int.from_bytes(datagram.data[:2], "big") for datagram in datagrams]


def test_a_perfect_link_delivers_everything_at_once() -> None:
    link = DatagramLink()
    link.send(_datagrams(3), 5.0)
    assert link.next_timeout() == 5.0
    assert _numbers(link.arrivals(5.0)) == [0, 1, 2]
    assert link.next_timeout() is None


def test_delay_holds_a_datagram_and_arrival_is_its_time() -> None:
    link = DatagramLink(Conditions(delay=0.25))
    link.send(_datagrams(1), 1.0)
    assert link.arrivals(1.24) == []
    assert [datagram.at for datagram in link.arrivals(2.0)] == [1.25]


def test_the_senders_record_is_not_changed_by_the_way() -> None:
    link = DatagramLink(Conditions(delay=0.25))
    [datagram] = _datagrams(1)
    link.send([datagram], 1.0)
    link.arrivals(2.0)
    assert datagram.at == 0.0


def test_loss_takes_about_its_share() -> None:
    link = DatagramLink(Conditions(loss=0.1), seed=3)
    link.send(_datagrams(2000), 0.0)
    assert 150 <= link.statistics().lost <= 250
    assert len(link.arrivals(0.0)) == 2000 - link.statistics().lost


def test_jitter_spreads_arrivals_without_reordering() -> None:
    link = DatagramLink(Conditions(delay=0.1, jitter=0.05), seed=1)
    for number, datagram in enumerate(_datagrams(100)):
        link.send([datagram], number * 0.001)
    arrived = link.arrivals(10.0)
    assert _numbers(arrived) == list(range(100))
    assert (
        len({round(datagram.at - n * 0.001, 6) for n, datagram in enumerate(arrived)})
        > 2
    )


def test_reordering_lets_later_datagrams_pass() -> None:
    link = DatagramLink(Conditions(reorder=0.1, reorder_delay=0.005), seed=1)
    for number, datagram in enumerate(_datagrams(100)):
        link.send([datagram], number * 0.001)
    numbers = _numbers(link.arrivals(10.0))
    assert sorted(numbers) == list(range(100))
    assert numbers != sorted(numbers)
    assert link.statistics().reordered > 0


def test_duplicates_arrive_twice_and_are_counted() -> None:
    link = DatagramLink(Conditions(duplicate=1.0))
    link.send(_datagrams(2), 0.0)
    assert _numbers(link.arrivals(0.0)) == [0, 0, 1, 1]
    assert link.statistics().delivered == 4


def test_a_bottleneck_spaces_datagrams_by_their_size() -> None:
    link = DatagramLink(Conditions(rate_bps=8_000))
    link.send(_datagrams(3, size=100), 0.0)
    assert [round(d.at, 6) for d in link.arrivals(1.0)] == [0.1, 0.2, 0.3]


def test_a_full_queue_drops_the_newest() -> None:
    link = DatagramLink(Conditions(rate_bps=8_000, queue_bytes=250))
    link.send(_datagrams(5, size=100), 0.0)
    assert _numbers(link.arrivals(9.0)) == [0, 1]
    assert link.statistics().overflowed == 3


def test_an_outage_swallows_datagrams_between_its_ends() -> None:
    link = DatagramLink(Conditions(outages=((1.0, 2.0),)))
    for number, datagram in enumerate(_datagrams(4)):
        link.send([datagram], number * 0.75)
    assert _numbers(link.arrivals(9.0)) == [0, 1, 3]
    assert link.statistics().cut == 1


def test_one_seed_pins_one_fate() -> None:
    def fate(seed: int) -> list[tuple[int, float]]:
        conditions = Conditions(loss=0.2, jitter=0.1, duplicate=0.1, reorder=0.1)
        link = DatagramLink(conditions, seed=seed)
        link.send(_datagrams(200), 0.0)
        arrived = link.arrivals(9.0)
        return list(zip(_numbers(arrived), (d.at for d in arrived), strict=True))

    assert fate(1) == fate(1)
    assert fate(1) != fate(2)


def test_changing_one_condition_leaves_the_fate_by_others() -> None:
    def lost(conditions: Conditions) -> set[int]:
        link = DatagramLink(conditions, seed=4)
        link.send(_datagrams(100), 0.0)
        return set(range(100)) - set(_numbers(link.arrivals(9.0)))

    assert lost(Conditions(loss=0.2)) == lost(Conditions(loss=0.2, jitter=0.5))


_CONDITIONS = st.builds(
    Conditions,
    delay=st.floats(0, 1),
    jitter=st.floats(0, 0.5),
    loss=st.floats(0, 0.5),
    duplicate=st.floats(0, 0.5),
    reorder=st.floats(0, 0.5),
    rate_bps=st.none() | st.floats(1_000, 1e7),
    outages=st.sampled_from([(), ((0.0, 1.0),), ((0.5, 2.0), (3.0, 4.0))]),
)


@given(_CONDITIONS, st.integers(0, 1000))
@settings(max_examples=100, deadline=None)
def test_every_datagram_is_accounted_for(conditions: Conditions, seed: int) -> None:
    link = DatagramLink(conditions, seed=seed)
    for number, datagram in enumerate(_datagrams(30)):
        link.send([datagram], number * 0.1)
    arrived = 0
    while (at := link.next_timeout()) is not None:
        arrived += len(link.arrivals(at))
    counts = link.statistics()
    gone = counts.lost + counts.overflowed + counts.cut
    assert counts.sent == 30
    assert counts.delivered == arrived == 30 - gone + counts.duplicated


@given(
    _CONDITIONS, st.integers(0, 1000), st.lists(st.binary(max_size=300), max_size=10)
)
@settings(max_examples=100, deadline=None)
def test_a_pipe_delivers_every_octet_in_order_and_then_the_end(
    conditions: Conditions, seed: int, writes: list[bytes]
) -> None:
    pipe = StreamPipe(conditions, seed=seed, max_segment=50)
    for number, data in enumerate(writes):
        pipe.send(data, number * 0.1)
    pipe.send_eof(len(writes) * 0.1)
    received = b""
    ends = 0
    previous = 0.0
    while (at := pipe.next_timeout()) is not None:
        assert at >= previous
        previous = at
        received += b"".join(pipe.arrivals(at))
        ends += pipe.take_eof(at)
    assert received == b"".join(writes)
    assert ends == 1
    assert pipe.pending_bytes == 0


def test_a_pipe_cuts_anew() -> None:
    pipe = StreamPipe(seed=1, max_segment=10)
    pipe.send(bytes(100), 0.0)
    pieces = pipe.arrivals(0.0)
    assert all(1 <= len(piece) <= 10 for piece in pieces)
    assert len({len(piece) for piece in pieces}) > 1


def test_a_pipe_waits_for_the_end_of_an_outage() -> None:
    pipe = StreamPipe(Conditions(outages=((1.0, 4.0),)))
    pipe.send(b"x", 2.0)
    assert pipe.next_timeout() == 4.0


def test_loss_on_a_pipe_costs_time_and_nothing_else() -> None:
    pipe = StreamPipe(Conditions(delay=0.1, loss=1.0))
    pipe.send(b"x", 0.0)
    assert pipe.next_timeout() is not None
    assert pipe.arrivals(0.1) == []
    assert pipe.arrivals(0.31) == [b"x"]


def test_bytes_in_a_pipe_are_counted() -> None:
    pipe = StreamPipe(Conditions(delay=1.0))
    pipe.send(bytes(5000), 0.0)
    assert pipe.pending_bytes == 5000


def test_the_end_waits_for_the_bytes_before_it() -> None:
    pipe = StreamPipe(Conditions(delay=1.0))
    pipe.send(b"x", 0.0)
    pipe.send_eof(0.0)
    assert not pipe.take_eof(1.0)
    assert pipe.arrivals(1.0) == [b"x"]
    assert pipe.take_eof(1.0)
    assert not pipe.take_eof(2.0)
