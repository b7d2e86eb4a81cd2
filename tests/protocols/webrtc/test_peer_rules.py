"""What one peer keeps to, whatever the other does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest
from sansmedia.ice import AgentState
from sansmedia.rtp import (
    Goodbye,
    Nack,
    PictureLossIndication,
    ReceiverEstimatedMaxBitrate,
    ReceiverReport,
    RtpPacket,
    TransportFeedback,
    encode_rtcp,
)
from sansmedia.sansio import Datagram, ProtocolError, Terminated, TerminationCause
from sansmedia.sansio.testing import Conditions, DatagramPair
from sansmedia.sdp import Fingerprint
from sansmedia.srtp import SrtpSender
from sansmedia.webrtc import (
    ControlReceived,
    GatheringCompleted,
    IceStateChanged,
    KeyFrameRequested,
    Limits,
    MediaReceived,
    PacketsMissed,
    Peer,
    PeerEvent,
    StreamEnded,
)

_MakeCall = Callable[..., Any]


def _drained(peer: Peer) -> list[PeerEvent]:
    events = []
    while (event := peer.next_event()) is not None:
        events.append(event)
    return events


def _kinds(events: list[PeerEvent]) -> list[str]:
    return [type(event).__name__ for event in events]


def _picture(call: Any, number: int, ssrc: int = 0x1000) -> Datagram:
    packet = RtpPacket(
        call.payload_type("video"), number, number * 3000, ssrc, b"video %d" % number
    )
    datagram: Datagram = call.sealed(packet)
    return datagram


def _control(call: Any, *packets: Any) -> Datagram:
    """Return one compound of the sender's, as it is."""
    sealer: SrtpSender = call.sender.sealer
    return Datagram(
        sealer.protect_rtcp(encode_rtcp(packets)),
        DatagramPair.left_address,
        DatagramPair.right_address,
    )


def _connected(make_call: _MakeCall, **how: Any) -> Any:
    call = make_call(**how)
    call.run(2.0)
    assert call.receiver.is_connected
    return call


# -- the end -------------------------------------------------------------------------


def test_media_behind_a_farewell_is_not_told_of(make_call: _MakeCall) -> None:
    call = _connected(make_call)
    before, after = _picture(call, 1), _picture(call, 2)
    call.sender.close("done", now=2.0)
    farewell = [
        attrs.evolve(one, peer=DatagramPair.left_address, local=one.peer)
        for one in call.sender.datagrams_to_send()
    ]
    call.receiver.receive_datagrams([before, *farewell, after], 2.0)
    events = _drained(call.receiver)
    assert _kinds(events) == ["MediaReceived", "StreamEnded", "Terminated"]
    assert isinstance(events[0], MediaReceived)
    assert [p.payload for p in events[0].packets] == [b"video 1"]


def test_close_says_goodbye_in_both_protocols(make_call: _MakeCall) -> None:
    """RFC 3550 §6.6."""
    call = _connected(make_call)
    call.sender.close("done", now=2.0)
    bye, close_notify = (one.data for one in call.sender.datagrams_to_send())
    assert (bye[0] >> 6, bye[1]) == (2, 201)
    assert close_notify[0] == 21
    assert call.sender.next_timeout() is None
    assert call.sender.pending_bytes == call.sender.pending_bytes > 0
    assert _kinds(_drained(call.sender)) == ["Terminated"]
    assert call.sender.pending_bytes == 0


def test_a_peer_that_was_not_connected_closes_too(make_call: _MakeCall) -> None:
    call = make_call()
    call.receiver.close(now=0.0)
    assert _kinds(_drained(call.receiver))[-1] == "Terminated"
    call.receiver.datagrams_to_send()
    assert call.receiver.pending_bytes == 0
    call.receiver.gather(("192.0.2.9", 3478), now=0.0)
    call.receiver.restart(now=0.0)
    call.receiver.add_remote_candidate("nonsense", now=0.0)
    call.receiver.end_of_remote_candidates(now=0.0)
    assert not _drained(call.receiver)
    assert not call.receiver.datagrams_to_send()


def test_a_farewell_before_there_is_a_path_goes_where_the_greeting_came_from(
    make_call: _MakeCall,
) -> None:
    """The other side may have its path already, and would wait for long."""
    call = make_call()
    call.run(0.0)
    now = 0.0
    while call.receiver.statistics().datagrams_received < 40:
        now += 0.001
        for peer, other, address in (
            (call.sender, call.receiver, DatagramPair.left_address),
            (call.receiver, call.sender, DatagramPair.right_address),
        ):
            peer.handle_timeout(now)
            for one in peer.datagrams_to_send():
                # The receiver's own checks are lost.
                if peer is call.receiver and one.data[:2] == b"\0\1":
                    continue
                came = attrs.evolve(one, peer=address, local=one.peer)
                other.receive_datagrams([came], now)
        if any(isinstance(e, Terminated) for e in _drained(call.sender)):
            break
        if call.receiver.sealer is not None:
            assert call.receiver.path is None
            call.receiver.close(now=now)
    assert call.sender.is_terminated
    assert call.receiver.is_terminated


def test_a_closed_connection_takes_the_path_away(make_call: _MakeCall) -> None:
    """ICE-TCP: nothing is sent into a connection that is no more."""
    call = _connected(make_call)
    call.receiver.tcp_closed(call.receiver.path, now=2.0)
    assert call.receiver.path is None
    assert not call.receiver.is_connected
    assert AgentState.DISCONNECTED in [
        event.state
        for event in _drained(call.receiver)
        if isinstance(event, IceStateChanged)
    ]
    call.receiver.send_rtcp([PictureLossIndication(1, 2)], now=2.0)
    assert not call.receiver.datagrams_to_send()
    while not call.receiver.is_terminated:
        at = call.receiver.next_timeout()
        assert at is not None
        assert at < 40.0
        call.receiver.handle_timeout(at)
    *_, end = _drained(call.receiver)
    assert isinstance(end, Terminated)
    assert end.cause is TerminationCause.TIMEOUT


# -- strangers -----------------------------------------------------------------------


def test_dtls_over_a_way_that_no_check_has_shown_is_not_answered(
    make_call: _MakeCall,
) -> None:
    """RFC 5764 §5.1.2, RFC 9443 §3: else a forged address gets our certificate."""
    call = make_call()
    hello = Datagram(
        b"\x16\xfe\xfd" + bytes(60), ("203.0.113.7", 7), DatagramPair.right_address
    )
    call.receiver.receive_datagrams([hello], 0.0)
    assert call.receiver.statistics().stray == 1
    call.run(2.0)
    before = call.receiver.statistics().stray
    call.receiver.receive_datagrams(
        [hello, attrs.evolve(hello, peer=DatagramPair.left_address, transport="tcp")],
        2.0,
    )
    assert call.receiver.statistics().stray == before + 2
    call.receiver.receive_datagrams(
        [attrs.evolve(hello, peer=DatagramPair.left_address, local=None)], 2.0
    )
    assert call.receiver.statistics().stray == before + 2


def test_what_is_of_no_protocol_is_stray(make_call: _MakeCall) -> None:
    """RFC 9443 §3: ZRTP, TURN channels, QUIC; and media before there are keys."""
    call = make_call()
    batch = [
        Datagram(bytes((first,)) + bytes(40), DatagramPair.left_address)
        for first in (16, 64, 79, 100, 192, 255, 128)
    ]
    batch += [Datagram(b"\x80\xc9" + bytes(40), DatagramPair.left_address)]
    batch += [Datagram(b"", DatagramPair.left_address)]
    call.receiver.receive_datagrams(batch, 0.0)
    assert call.receiver.statistics().stray == len(batch)
    assert call.receiver.pending_bytes < 10_000


def test_media_of_another_peer_is_dropped(make_call: _MakeCall) -> None:
    """RFC 5761 §4: RTCP is told by its second octet."""
    call, other = _connected(make_call), _connected(make_call, seed=5)
    call.receiver.receive_datagrams(
        [_picture(other, 1), _control(other, ReceiverReport(1, []))], 2.0
    )
    assert call.receiver.statistics().unauthentic == 2
    assert not _drained(call.receiver)


def test_forged_media_does_not_keep_a_lite_peers_consent(make_call: _MakeCall) -> None:
    """RFC 7675 §5.1."""
    call = _connected(
        make_call,
        lite=True,
        conditions=Conditions(delay=0.01, outages=((2.0, 99.0),)),
    )
    forged = Datagram(
        b"\x80\x60" + bytes(60), DatagramPair.left_address, DatagramPair.right_address
    )
    for step in range(40):
        call.run(1.0)
        call.receiver.receive_datagrams([forged], 3.0 + step)
    assert call.receiver.is_terminated


def test_media_keeps_a_lite_peers_consent(make_call: _MakeCall) -> None:
    """FFmpeg and others send no checks once they stream."""
    call = _connected(
        make_call,
        lite=True,
        conditions=Conditions(delay=0.01, outages=((2.0, 99.0),)),
    )
    for step in range(40):
        call.run(1.0)
        elsewhere = attrs.evolve(_picture(call, 2 * step), peer=("203.0.113.7", 7))
        call.receiver.receive_datagrams(
            [elsewhere, _picture(call, 2 * step + 1)], call.pair.now
        )
    assert call.receiver.is_connected
    for step in range(40):
        call.run(1.0)
        elsewhere = attrs.evolve(_picture(call, 200 + step), peer=("203.0.113.7", 7))
        call.receiver.receive_datagrams([elsewhere], call.pair.now)
    assert call.receiver.is_terminated


# -- signalling ----------------------------------------------------------------------


def test_a_second_connect_is_void(make_call: _MakeCall) -> None:
    call = _connected(make_call)
    session = call.receiver.session
    call.receiver.connect(attrs.evolve(session, media=()), now=2.0)
    assert call.receiver.session is session
    call.video(0, 3)
    call.run(1.0)
    assert len(call.media["video"]) == 3


@pytest.mark.parametrize(
    "wrong",
    [
        {"fingerprints": ()},
        {"fingerprints": (Fingerprint("sha-256", "no digest"),)},
        {"fingerprints": (Fingerprint("md5", ":".join(["AA"] * 16)),)},
        {"ice_ufrag": "%"},
        {"ice_pwd": "short"},
    ],
)
def test_an_unusable_description_changes_nothing(
    make_call: _MakeCall, wrong: dict[str, Any]
) -> None:
    """RFC 8122 §5, RFC 8839 §5.4."""
    call = make_call()
    session = call.receiver.session
    peer = Peer(call.configs[1], dice=lambda n: bytes(n), now=0.0)
    remote = attrs.evolve(session.remote, **wrong)
    with pytest.raises(ProtocolError):
        peer.connect(attrs.evolve(session, remote=remote), now=0.0)
    assert peer.session is None
    assert peer.next_timeout() is None
    peer.connect(session, now=0.0)
    assert peer.session is session


def test_unreadable_candidates_are_counted(make_call: _MakeCall) -> None:
    call = make_call()
    call.receiver.add_remote_candidate("candidate:nonsense", now=0.0)
    assert call.receiver.statistics().damaged == 1


def test_candidates_end_when_the_stun_server_has_been_given_up(
    make_call: _MakeCall,
) -> None:
    """RFC 8838 §14."""
    call = make_call()
    assert call.receiver.transport().end_of_candidates
    call.receiver.gather(("192.0.2.9", 3478), now=0.0)
    assert not call.receiver.transport().end_of_candidates
    call.run(60.0)
    assert GatheringCompleted() in call.received
    assert call.receiver.transport().end_of_candidates


# -- RTCP ----------------------------------------------------------------------------


def test_events_are_bounded_in_number(make_call: _MakeCall) -> None:
    call = _connected(make_call, limits=Limits(events=10))
    flood = [PictureLossIndication(1, number) for number in range(100)]
    call.receiver.receive_datagrams([_control(call, *flood)] * 3, 2.0)
    call.receiver.receive_datagrams([_picture(call, 1), _picture(call, 2)], 2.0)
    assert len(_drained(call.receiver)) == 10
    assert call.receiver.statistics().dropped == 92


def test_events_are_bounded_in_octets(make_call: _MakeCall) -> None:
    """A NACK of 1,400 octets asks for 5,900 packets."""
    call = _connected(make_call, limits=Limits(event_bytes=1_000_000))
    every = [start + n for start in range(0, 17 * 345, 17) for n in range(17)]
    for _ in range(40):
        call.receiver.receive_datagrams([_control(call, Nack(1, 0x1000, every))], 2.0)
    assert call.receiver.pending_bytes < 1_300_000
    events = _drained(call.receiver)
    assert 4 < len(events) < 10
    assert call.receiver.statistics().dropped == 40 - len(events)


def test_a_compound_of_very_many_packets_is_cut_short(make_call: _MakeCall) -> None:
    call = _connected(make_call, limits=Limits(rtcp_packets=16))
    flood = [PictureLossIndication(1, number) for number in range(100)]
    call.receiver.receive_datagrams([_control(call, *flood)], 2.0)
    events = _drained(call.receiver)
    assert events == [KeyFrameRequested(number) for number in range(16)]
    assert call.receiver.statistics().dropped == 84


def test_damaged_rtcp_is_counted(make_call: _MakeCall) -> None:
    """A length beyond the datagram; and a report that lacks the block it announces."""
    call = _connected(make_call)
    for plain in (b"\x80\xc9\xff\xff\0\0\0\1", b"\x81\xc9\0\1\0\0\0\1"):
        sealed = call.sender.sealer.protect_rtcp(plain)
        call.receiver.receive_datagrams(
            [Datagram(sealed, DatagramPair.left_address)], 2.0
        )
    assert call.receiver.statistics().damaged == 2


def test_other_feedback_is_told_of_as_it_is(make_call: _MakeCall) -> None:
    call = _connected(make_call)
    remb = ReceiverEstimatedMaxBitrate(1, 1_000_000, [2])
    feedback = TransportFeedback(1, 2, 3, 4, 5, [1, None, 2])
    call.receiver.receive_datagrams([_control(call, remb, feedback)], 2.0)
    assert _drained(call.receiver) == [ControlReceived(remb), ControlReceived(feedback)]


def test_a_request_for_very_many_packets_fits_datagrams(make_call: _MakeCall) -> None:
    """RFC 3550 §6.1: a compound, and no less (RFC 5506 §3.4.2), in each."""
    call = _connected(make_call)
    wide = range(40_000, 60_000, 20)
    compound = [Nack(1, 0x1000, list(wide[at : at + 256])) for at in (0, 256, 512)]
    call.receiver.send_rtcp(compound, now=call.pair.now)
    sizes = [len(one.data) for one in call.receiver.datagrams_to_send()]
    assert len(sizes) == 3
    assert max(sizes) <= 1200
    call.receiver.send_rtcp([], now=call.pair.now)
    assert not call.receiver.datagrams_to_send()


def test_missing_packets_beyond_a_datagram_are_asked_for_in_several(
    make_call: _MakeCall,
) -> None:
    """RFC 4585 §6.2.1."""
    call = _connected(make_call)
    batch = [_picture(call, number) for number in range(0, 1000, 2)]
    for at in range(0, len(batch), 50):
        call.receiver.receive_datagrams(batch[at : at + 50], 2.0)
    _drained(call.receiver)
    call.receiver.datagrams_to_send()
    at = call.receiver.next_timeout()
    call.receiver.handle_timeout(at)
    sent = [
        attrs.evolve(one, peer=DatagramPair.right_address, local=one.peer)
        for one in call.receiver.datagrams_to_send()
    ]
    assert max(len(one.data) for one in sent) <= 1200
    _drained(call.sender)
    call.sender.receive_datagrams(sent, at)
    asked = [
        number
        for event in _drained(call.sender)
        if isinstance(event, PacketsMissed)
        for number in event.sequences
    ]
    assert asked == list(range(1, 999, 2))


def test_our_ssrc_is_left_to_a_peer_that_sends_under_it(make_call: _MakeCall) -> None:
    """RFC 3550 §8.2."""
    call = _connected(make_call)
    ours = call.receiver.local_ssrc
    call.receiver.receive_datagrams([_picture(call, 1, ours)], 2.0)
    assert call.receiver.local_ssrc != ours
    assert call.receiver.receiver.local_ssrc == call.receiver.local_ssrc
    (bye,) = call.receiver.datagrams_to_send()
    assert bye.data[4:8] == ours.to_bytes(4, "big")
    events = _drained(call.receiver)
    assert isinstance(events[0], MediaReceived)


def test_a_goodbye_is_told_once_and_ends_the_reports(make_call: _MakeCall) -> None:
    """RFC 3550 §6.6."""
    call = _connected(make_call)
    bye = _control(call, ReceiverReport(1, []), Goodbye([0x1000, 0x7777]))
    again = _control(call, ReceiverReport(1, []), Goodbye([0x1000]))
    call.receiver.receive_datagrams([_picture(call, 1), bye, again], 2.0)
    call.receiver.receive_datagrams([_picture(call, 0)], 2.0)
    events = _drained(call.receiver)
    assert _kinds(events) == ["MediaReceived", "StreamEnded"]
    assert isinstance(events[1], StreamEnded)
    assert events[1].stream.ended
    assert call.receiver.receiver.report_blocks(3.0) == []
    call.receiver.request_key_frame(events[1].stream, now=2.0)
    assert not call.receiver.datagrams_to_send()


# -- what it costs -------------------------------------------------------------------


def test_what_the_receiver_keeps_is_counted(make_call: _MakeCall) -> None:
    call = _connected(make_call)
    before = call.receiver.pending_bytes
    call.receiver.receive_datagrams([_picture(call, 1), _picture(call, 400)], 2.0)
    _drained(call.receiver)
    call.receiver.datagrams_to_send()
    assert call.receiver.pending_bytes - before >= 398 * 60
    call.receiver.close(now=2.0)
    _drained(call.receiver)
    call.receiver.datagrams_to_send()
    assert call.receiver.pending_bytes == 0
