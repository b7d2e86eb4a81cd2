"""Answers and requests octet by octet: which of them mean something.

RFC 8445 §7.2.5, §7.3.
"""

from __future__ import annotations

import tomllib
from pathlib import Path as FilePath
from typing import Any

import pytest
from sansmedia.ice import (
    AgentState,
    IceAgent,
    IceConfig,
    Limits,
    Path,
    RemotePathLearned,
    host_candidate,
)
from sansmedia.sansio import Datagram
from sansmedia.sansio.testing import SeededDice
from sansmedia.stun import (
    AttributeType,
    MessageClass,
    check_integrity,
    check_integrity_sha256,
    decode_error_code,
    decode_message,
    decode_unknown_attributes,
    decode_xor_address,
    encode_message,
    response_to,
)

_DATA = FilePath(__file__).resolve().parents[2] / "data" / "stun"
_A, _B, _C = ("192.0.2.2", 5000), ("192.0.2.3", 5000), ("192.0.2.4", 5000)


# --- answers --------------------------------------------------------------------------


def test_an_answer_that_is_not_authentic_is_no_answer(wire_peer: Any) -> None:
    """RFC 8489 §9.1.4."""
    peer = wire_peer()
    peer.signal()
    [check] = peer.checks(0.0)
    peer.give(peer.answer(check, key=b"wrong"), now=0.1)
    peer.give(peer.answer(check, key=None), now=0.1)
    peer.give(peer.answer(check, key=None, error=401), now=0.1)
    [report] = peer.agent.pair_report()
    assert (report.state, report.error) == ("in progress", "401, not authenticated")
    assert peer.agent.statistics().datagrams_dropped == 3
    peer.succeed(check, 0.2)
    assert peer.agent.pair_report()[0].error == ""


def test_an_answer_over_another_path_fails_the_pair(wire_peer: Any) -> None:
    """RFC 8445 §7.2.5.2.1."""
    peer = wire_peer()
    peer.signal()
    [check] = peer.checks(0.0)
    peer.give(peer.answer(check), now=0.1, peer=_B)
    [report] = peer.agent.pair_report()
    assert report.error == "the answer came over another path"
    assert peer.agent.selected_path is None


def test_an_answer_to_nothing_of_ours_is_dropped(wire_peer: Any) -> None:
    peer = wire_peer()
    peer.signal()
    [check] = peer.checks(0.0)
    peer.succeed(check, 0.1)
    peer.succeed(check, 0.2)
    assert peer.agent.statistics().datagrams_dropped == 1
    assert peer.agent.statistics().responses_received == 1


def test_an_answer_with_an_unknown_attribute_fails_the_pair(wire_peer: Any) -> None:
    """RFC 8489 §6.3.3."""
    peer = wire_peer()
    peer.signal()
    [check] = peer.checks(0.0)
    peer.give(peer.answer(check, extra=((0x7F00, b""),)), now=0.1)
    assert peer.agent.pair_report()[0].state == "failed"


def test_an_error_without_a_code_fails_the_pair(wire_peer: Any) -> None:
    """RFC 8489 §6.3.4."""
    peer = wire_peer()
    peer.signal()
    [check] = peer.checks(0.0)
    message = decode_message(check.data)
    octets = encode_message(
        response_to(message, MessageClass.ERROR, []), key=peer.pwd.encode()
    )
    peer.give(octets, now=0.1)
    assert peer.agent.pair_report()[0].error == "an error without a code"


def test_the_round_trip_time_is_that_of_answers_to_the_first_sending(
    wire_peer: Any,
) -> None:
    peer = wire_peer()
    peer.signal(_A, _B)
    [first] = peer.checks(0.0)
    [second] = peer.checks(0.05)
    peer.succeed(first, 0.08)
    peer.checks(0.6)
    peer.succeed(second, 0.7)
    times = [report.round_trip_time for report in peer.agent.pair_report()]
    assert times == [pytest.approx(0.08), None]


# --- requests -------------------------------------------------------------------------


def test_a_late_loop_does_not_make_the_round_trip_longer(wire_peer: Any) -> None:
    peer = wire_peer()
    peer.signal()
    [check] = peer.checks(0.0)
    answer = Datagram(peer.answer(check), _A, peer.local, 0.03)
    peer.agent.receive_datagrams([answer], 0.4)
    assert peer.agent.pair_report()[0].round_trip_time == pytest.approx(0.03)


def _code(datagram: Datagram) -> int:
    value = decode_message(datagram.data).get(AttributeType.ERROR_CODE)
    assert value is not None
    return decode_error_code(value).code


def test_an_answer_tells_where_the_request_came_from(wire_peer: Any) -> None:
    """RFC 8489 §6.3.1.1, §6.3.1.2, RFC 8445 §7.3."""
    peer = wire_peer()
    request = peer.request()
    elsewhere = ("203.0.113.9", 4242)
    response = peer.give(request, now=0.0, peer=elsewhere)[0]
    assert (response.peer, response.local) == (elsewhere, peer.local)
    message = decode_message(response.data)
    assert message.message_class is MessageClass.SUCCESS
    assert message.transaction_id == decode_message(request).transaction_id
    value = message.get(AttributeType.XOR_MAPPED_ADDRESS)
    assert value is not None
    assert decode_xor_address(value, message.transaction_id) == elsewhere
    assert check_integrity(message, peer.agent.local_pwd.encode())
    assert message.has_fingerprint
    assert message.get(AttributeType.USERNAME) is None


def test_a_request_with_the_stronger_digest_gets_it_back(wire_peer: Any) -> None:
    """RFC 8489 §9.1.3."""
    peer = wire_peer()
    key = peer.agent.local_pwd.encode()
    response = peer.give(peer.request(key_sha256=key), now=0.0)[0]
    message = decode_message(response.data)
    assert check_integrity_sha256(message, key)
    assert not message.integrity_at
    # A wrong one is not made good by the other.
    [refused] = peer.give(peer.request(key_sha256=b"wrong"), now=0.0)
    assert _code(refused) == 401


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        ({"key": None}, 400),
        ({"username": None}, 400),
        ({"key": b"wrong"}, 401),
        ({"username": "nobody:peer"}, 401),
        ({"username": "nobody"}, 401),
    ],
)
def test_strangers_get_an_error_and_leave_nothing(
    wire_peer: Any, request_: dict[str, Any], code: int
) -> None:
    """RFC 8489 §9.1.3, §14.8."""
    peer = wire_peer()
    held = peer.agent.pending_bytes
    request = peer.request(use_candidate=True, **request_)
    [response] = peer.give(request, now=0.0)
    assert _code(response) == code
    assert len(response.data) <= len(request)
    message = decode_message(response.data)
    assert not message.integrity_at
    assert peer.agent.pair_report() == ()
    assert peer.agent.pending_bytes == held
    assert peer.events()[1:] == []


def test_few_strangers_get_an_error_at_all(wire_peer: Any) -> None:
    peer = wire_peer(Limits(rejections=3))
    for moment in (0.0, 0.5, 1.0):
        sent = peer.give(*[peer.request(key=b"wrong") for _ in range(20)], now=moment)
        assert len(sent) == (0 if moment == 0.5 else 3)
    statistics = peer.agent.statistics()
    assert (statistics.requests_rejected, statistics.requests_dropped) == (6, 54)


def test_a_request_shorter_than_its_error_gets_none(wire_peer: Any) -> None:
    peer = wire_peer()
    short = peer.request(username=None, priority=None, key=None, fingerprint=False)
    assert len(short) == 20
    assert peer.give(short, now=0.0) == []


def test_unknown_attributes_are_refused_by_name(wire_peer: Any) -> None:
    """RFC 8489 §6.3.1, §14.13."""
    peer = wire_peer()
    extra = ((0x7FFF, b""), (0xC057, bytes(4)), (0x0002, b"abc"))
    [response] = peer.give(peer.request(extra=extra), now=0.0)
    assert _code(response) == 420
    message = decode_message(response.data)
    value = message.get(AttributeType.UNKNOWN_ATTRIBUTES)
    assert value is not None
    assert decode_unknown_attributes(value) == [0x7FFF, 0x0002]
    assert check_integrity(message, peer.agent.local_pwd.encode())
    assert peer.agent.pair_report() == ()


@pytest.mark.parametrize(
    "extra",
    [(AttributeType.PRIORITY, b"abc"), (AttributeType.ICE_CONTROLLED, b"abc")],
)
def test_a_malformed_attribute_is_a_bad_request(
    wire_peer: Any, extra: tuple[int, bytes]
) -> None:
    peer = wire_peer()
    [response] = peer.give(peer.request(priority=None, extra=(extra,)), now=0.0)
    assert _code(response) == 400


def test_other_methods_and_indications_get_no_answer(wire_peer: Any) -> None:
    """RFC 8489 §6.3, §6.3.2."""
    peer = wire_peer()
    allocate = b"\0\3" + peer.request(fingerprint=False)[2:]
    indication = b"\0\x11" + peer.request(fingerprint=False)[2:]
    assert peer.give(allocate, indication, b"\x16\xfe\xfd", now=0.0) == []
    assert peer.agent.pair_report() == ()


def test_a_request_is_answered_whatever_it_says_of_the_peers_ufrag(
    wire_peer: Any,
) -> None:
    """RFC 8445 §7.3: the part before the colon is ours, and counts alone."""
    peer = wire_peer()
    username = f"{peer.agent.local_ufrag}:somebody"
    assert peer.give(peer.request(username=username), now=0.0)[0].data[:2] == b"\1\1"


def test_the_local_address_may_be_unknown(wire_peer: Any) -> None:
    peer = wire_peer()
    datagram = Datagram(peer.request(use_candidate=True), _A, None, 0.0)
    peer.agent.receive_datagrams([datagram], 0.0)
    response, check = peer.agent.datagrams_to_send()
    assert response.local is None
    assert check.local == peer.local
    answer = Datagram(peer.answer(check), _A, None, 0.1)
    peer.agent.receive_datagrams([answer], 0.1)
    assert peer.agent.selected_path == Path(peer.local, _A)
    learned = [e for e in peer.events() if isinstance(e, RemotePathLearned)]
    assert learned == [RemotePathLearned(Path(peer.local, _A))]


def test_an_answer_to_an_unknown_local_address_came_where_the_check_left(
    wire_peer: Any,
) -> None:
    """RFC 8445 §7.2.5.2.1 compares what is known."""
    peer = wire_peer()
    other = ("192.0.2.9", 5000)
    peer.agent.add_local_candidate(host_candidate(other, local_preference=1), now=0.0)
    peer.signal()
    sent = [*peer.checks(0.0), *peer.checks(0.05)]
    assert [check.local for check in sent] == [peer.local, other]
    answer = Datagram(peer.answer(sent[1]), _A, None, 0.1)
    peer.agent.receive_datagrams([answer], 0.1)
    assert peer.agent.selected_path == Path(other, _A)
    [report] = [one for one in peer.agent.pair_report() if one.local == other]
    assert report.error == ""


def test_a_flood_of_checks_is_bounded(wire_peer: Any) -> None:
    """From an authenticated peer: answers go out, the rest stays small."""
    peer = wire_peer(Limits(peer_reflexive_candidates=5, transactions=10))
    for number in range(800):
        peer.give(
            peer.request(use_candidate=True),
            now=number * 0.01,
            peer=(f"198.51.{number % 200}.1", number),
        )
        peer.checks(number * 0.01)
    statistics = peer.agent.statistics()
    assert statistics.requests_answered == 800
    assert statistics.pairs <= 6
    # 20 checks a second, however many of the peer's there are.
    assert statistics.datagrams_sent - 800 <= 20 * 9 * 2
    peer.events()
    assert peer.agent.pending_bytes < 10_000


# --- real programs --------------------------------------------------------------------


def _note(name: str) -> dict[str, Any]:
    text = (_DATA / f"{name}.toml").read_text("utf-8")
    expected: dict[str, Any] = tomllib.loads(text)["expected"]
    return expected


def _ffmpeg(**config: Any) -> IceAgent:
    """An agent with the credentials of the peer that FFmpeg talked to."""
    answer = (_DATA / "ffmpeg-9.0.2-response.bin").read_bytes()
    dice = SeededDice(1)

    def identity(count: int) -> bytes:
        # Our first check has the transaction that FFmpeg's answer is for.
        return answer[12:20] if count == 8 and agents else dice(count)

    agents: list[IceAgent] = []
    nomination = _note("ffmpeg-9.0.2-nomination")
    agent = IceAgent(
        IceConfig(
            ufrag=nomination["username"].partition(":")[0],
            pwd=nomination["password"],
            transaction_prefix=answer[8:12],
            **config,
        ),
        dice=identity,
        now=0.0,
    )
    agents.append(agent)
    agent.add_local_candidate(host_candidate(("192.0.2.2", 32804)), now=0.0)
    remote = _note("ffmpeg-9.0.2-response")
    agent.set_remote_parameters(
        nomination["username"].partition(":")[2], remote["password"], now=0.0
    )
    return agent


def test_ffmpegs_recorded_checks_and_answers_make_a_session() -> None:
    agent = _ffmpeg()
    peer, local = ("192.0.2.2", 51214), ("192.0.2.2", 32804)
    nomination = (_DATA / "ffmpeg-9.0.2-nomination.bin").read_bytes()
    agent.receive_datagrams([Datagram(nomination, peer, local)], 0.0)
    response, check = agent.datagrams_to_send()
    assert response.data[:2] == b"\1\1"
    answer = (_DATA / "ffmpeg-9.0.2-response.bin").read_bytes()
    assert decode_message(check.data).transaction_id == answer[8:20]
    # DEVIATION(ffmpeg-9.0.2-response): it tells no mapped address. RFC 8489 §6.3.3.
    agent.receive_datagrams([Datagram(answer, peer, local)], 0.01)
    assert agent.state is AgentState.COMPLETED
    [report] = agent.pair_report()
    assert (report.mapped, report.selected) == (None, True)


def test_ffmpegs_recorded_check_while_it_streams_counts_as_consent() -> None:
    agent = _ffmpeg(accept_requests_as_consent=True)
    peer, local = ("192.0.2.2", 51214), ("192.0.2.2", 32804)
    for name, now in (("nomination", 0.0), ("response", 0.01)):
        data = (_DATA / f"ffmpeg-9.0.2-{name}.bin").read_bytes()
        agent.receive_datagrams([Datagram(data, peer, local)], now)
        agent.datagrams_to_send()
    consent = (_DATA / "ffmpeg-9.0.2-consent.bin").read_bytes()
    for second in range(5, 120, 5):
        while (due := agent.next_timeout()) is not None and due <= second:
            agent.handle_timeout(due)
        agent.receive_datagrams([Datagram(consent, peer, local)], float(second))
    assert agent.state is AgentState.COMPLETED
