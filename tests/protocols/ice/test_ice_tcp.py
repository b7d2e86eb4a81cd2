"""Candidates over TCP. RFC 6544 §4."""

from __future__ import annotations

from typing import Any

import pytest
from sansmedia.ice import (
    CandidateType,
    FrameReader,
    Path,
    RemotePathForgotten,
    TcpConnectionWanted,
    TcpType,
    encode_frame,
    host_candidate,
)
from sansmedia.sansio import UsageError
from sansmedia.sansio.testing import Conditions

_CLIENT, _SERVER = "192.0.2.1", "192.0.2.2"


def _pair(network: Any, **client_config: Any) -> tuple[Any, Any]:
    client = network.host(
        _CLIENT, udp=False, tcp=TcpType.ACTIVE, controlling=True, **client_config
    )
    server = network.host(_SERVER, udp=False, tcp=TcpType.PASSIVE)
    return client, server


def test_an_active_agent_connects_to_a_passive_one(make_network: Any) -> None:
    """RFC 6544 §6.2, §7.1."""
    network = make_network(Conditions(delay=0.03))
    client, server = _pair(network)
    network.introduce(client, server)
    network.complete(client, server)
    assert client.told(TcpConnectionWanted) == [
        TcpConnectionWanted(_CLIENT, (_SERVER, 5000))
    ]
    path = client.agent.selected_path
    assert path == Path((_CLIENT, 40000), (_SERVER, 5000), "tcp")
    assert server.agent.selected_path == Path(path.peer, path.local, "tcp")
    [report] = server.agent.pair_report()[:1]
    assert report.remote_type is CandidateType.PEER_REFLEXIVE


def test_udp_is_preferred_where_both_work(network: Any) -> None:
    """RFC 6544 §4.2."""
    client = network.host(_CLIENT, tcp=TcpType.ACTIVE, controlling=True)
    server = network.host(_SERVER, tcp=TcpType.PASSIVE)
    network.introduce(client, server)
    network.complete(client, server)
    assert client.agent.selected_path.transport == "udp"


def test_tcp_is_taken_where_udp_does_not_get_through(network: Any) -> None:
    client = network.host(_CLIENT, tcp=TcpType.ACTIVE, controlling=True)
    server = network.host(_SERVER, udp=False, tcp=TcpType.PASSIVE)
    network.parameters(client, server)
    network.candidates(server)
    network.signal(server, host_candidate(("192.0.2.200", 5000)))
    network.complete(client, server)
    assert client.agent.selected_path.transport == "tcp"


def test_nothing_is_sent_again_over_tcp(network: Any) -> None:
    """RFC 8489 §6.2.2."""
    client, server = _pair(network)
    network.introduce(client, server)
    server.muted = True
    network.run(30)
    assert len([sent for sent in network.sent if sent.source[0] == _CLIENT]) == 1
    network.run(45)
    assert client.agent.pair_report()[0].error == "no answer"


def test_a_connection_that_is_refused_fails_the_pair(network: Any) -> None:
    client, server = _pair(network)
    server.listens = False
    network.introduce(client, server)
    network.run(5)
    [report] = client.agent.pair_report()
    assert (report.state, report.error) == ("failed", "refused")
    assert client.agent.state.value == "checking"
    network.run(40)
    assert client.agent.state.value == "failed"


def test_a_connection_that_nobody_opens_fails_the_pair(network: Any) -> None:
    client, server = _pair(network, tcp_timeout=10.0)
    network.introduce(client, server)
    client.agent.next_event()
    while client.agent.next_event() is not None:
        pass
    client.agent.handle_timeout(9.9)
    assert client.agent.pair_report()[0].state == "in progress"
    client.agent.handle_timeout(10.0)
    assert client.agent.pair_report()[0].error == "no connection in time"


def test_the_peer_cannot_make_us_open_connections_without_end(network: Any) -> None:
    client, server = _pair(network)
    network.parameters(client, server)
    for number in range(50):
        address = f"198.51.100.{number}", 80
        network.signal(server, host_candidate(address, tcp_type=TcpType.PASSIVE))
    network.run(60)
    assert len(client.told(TcpConnectionWanted)) == 8
    errors = [report.error for report in client.agent.pair_report()]
    assert errors.count("too many connections") == 42


def test_a_closed_connection_leaves_no_path_and_a_new_one_is_taken(
    network: Any,
) -> None:
    client, server = _pair(network)
    network.introduce(client, server)
    network.complete(client, server)
    network.run(10)
    network.disconnect()
    network.run(11)
    for host in (client, server):
        assert host.agent.selected_path is None
        assert host.agent.state.value == "disconnected"
        assert len(host.told(RemotePathForgotten)) == 1
    again = network.host(
        _CLIENT,
        udp=False,
        tcp=TcpType.ACTIVE,
        controlling=True,
        ufrag=client.agent.local_ufrag,
        pwd=client.agent.local_pwd,
    )
    network.hosts.remove(client)
    again.agent.set_remote_parameters(
        server.agent.local_ufrag, server.agent.local_pwd, now=11.0
    )
    again.peer = server
    for candidate in server.agent.local_candidates:
        again.agent.add_remote_candidate(candidate, now=11.0)
    network.run(12)
    assert server.agent.state.value == "completed"
    assert server.agent.selected_path.peer == (_CLIENT, 40001)


def test_a_session_whose_connection_stays_closed_fails(network: Any) -> None:
    client, server = _pair(network)
    network.introduce(client, server)
    network.complete(client, server)
    network.disconnect()
    network.run(40)
    assert server.states[-2:] == ["disconnected", "failed"]
    assert server.agent.next_timeout() is None


def test_frames_have_their_length_in_front() -> None:
    """RFC 4571 §2."""
    assert encode_frame(b"abc") == b"\0\3abc"
    reader = FrameReader()
    assert reader.feed(b"\0\3ab") == []
    assert reader.pending_bytes == 4
    assert reader.feed(b"c\0\0\0\1d\0") == [b"abc", b"d"]
    assert reader.pending_bytes == 1
    with pytest.raises(UsageError):
        encode_frame(bytes(65_536))
    assert FrameReader(0xFFFF).feed(encode_frame(bytes(65_535))) == [bytes(65_535)]


def test_frames_that_are_too_long_are_passed_over() -> None:
    reader = FrameReader(10)
    stream = encode_frame(bytes(11)) + encode_frame(b"after") + encode_frame(bytes(99))
    assert [frame for octet in stream for frame in reader.feed(bytes([octet]))] == [
        b"after"
    ]
    assert reader.oversized == 2
    assert reader.pending_bytes == 0
