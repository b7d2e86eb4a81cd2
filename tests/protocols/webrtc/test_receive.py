"""What comes in: which stream a packet is of, what is repaired, what is reported."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sansmedia.rtp import (
    Nack,
    RtpPacket,
    SenderReport,
    TransportFeedback,
    encode_extensions,
    encode_red,
    wrap_rtx,
)
from sansmedia.rtp import RedBlock as Block
from sansmedia.sdp import (
    MID_EXTENSION,
    REPAIRED_RID_EXTENSION,
    RID_EXTENSION,
    Direction,
    NegotiatedCodec,
    NegotiatedMedia,
    NegotiatedSession,
    RemoteSource,
    Transport,
)
from sansmedia.webrtc import TRANSPORT_CC, MediaReceiver, ReceiveStream

_EXTENSIONS = {
    MID_EXTENSION: 1,
    RID_EXTENSION: 2,
    REPAIRED_RID_EXTENSION: 3,
    TRANSPORT_CC: 5,
}
_VP8 = NegotiatedCodec(
    payload_type=96,
    encoding="VP8",
    clock_rate=90_000,
    feedback=("nack", "nack pli", "transport-cc"),
    rtx_payload_type=97,
)
_H264 = attrs.evolve(_VP8, payload_type=98, encoding="H264", rtx_payload_type=99)
_AV1 = attrs.evolve(
    _VP8,
    payload_type=45,
    encoding="AV1",
    rtx_payload_type=None,
    feedback=("goog-remb",),
)
_OPUS = NegotiatedCodec(
    payload_type=111, encoding="opus", clock_rate=48_000, channels=2
)
_VIDEO = NegotiatedMedia(
    index=0,
    mid="v",
    kind="video",
    direction=Direction.RECVONLY,
    codecs=(_VP8, _H264, _AV1),
    extensions=_EXTENSIONS,
)
_AUDIO = NegotiatedMedia(
    index=1,
    mid="a",
    kind="audio",
    direction=Direction.RECVONLY,
    codecs=(_OPUS,),
    red_payload_type=63,
)
_LAYERS = attrs.evolve(_VIDEO, rids=("hi", "lo"))
_REMOTE = Transport(ice_ufrag="abcd", ice_pwd="p" * 22)


def _receiver(*media: NegotiatedMedia, streams: int = 32) -> MediaReceiver:
    session = NegotiatedSession(media=media, remote=_REMOTE, is_dtls_client=False)
    return MediaReceiver(session, local_ssrc=0xFFFF, streams=streams)


def _packet(
    ssrc: int,
    sequence: int,
    payload_type: int = 96,
    payload: bytes = b"x",
    **told: Any,
) -> RtpPacket:
    """Make a packet; ``mid``, ``rid``, ``rrid`` and ``number`` go into extensions."""
    ids = {"mid": 1, "rid": 2, "rrid": 3}
    values = {ids[name]: told[name].encode() for name in ids if name in told}
    if "number" in told:
        values[5] = told["number"].to_bytes(2, "big")
    profile, extension = encode_extensions(values) if values else (None, b"")
    return RtpPacket(
        payload_type,
        sequence,
        sequence * 3000,
        ssrc,
        payload,
        extension_profile=profile,
        extension=extension,
    )


def _rtx(original: RtpPacket, ssrc: int, sequence: int, **how: Any) -> RtpPacket:
    """Repeat a packet in a stream of retransmissions."""
    payload_type = how.pop("payload_type", 97)
    told = _packet(0, 0, **how)
    original = attrs.evolve(
        original,
        extension_profile=told.extension_profile,
        extension=told.extension,
    )
    return wrap_rtx(original, ssrc=ssrc, payload_type=payload_type, sequence=sequence)


def _feed(
    receiver: MediaReceiver, *packets: RtpPacket, now: float = 0.0
) -> dict[ReceiveStream, list[RtpPacket]]:
    return receiver.feed([(packet, now) for packet in packets], now)[0]


def _only(runs: dict[ReceiveStream, list[RtpPacket]]) -> ReceiveStream:
    (stream,) = runs
    return stream


# -- which stream --------------------------------------------------------------------


def test_a_kind_is_found_by_its_payload_type() -> None:
    """RFC 9143 §9.2."""
    receiver = _receiver(_VIDEO, _AUDIO)
    runs = _feed(receiver, _packet(1, 0), _packet(2, 0, 111), _packet(1, 1))
    assert {stream.media.kind: len(run) for stream, run in runs.items()} == {
        "video": 2,
        "audio": 1,
    }
    assert not _feed(receiver, _packet(3, 0, 77))
    assert receiver.unsorted == 1


def test_a_section_is_found_by_its_mid_where_types_are_ambiguous() -> None:
    """RFC 9143 §9.2."""
    second = attrs.evolve(_VIDEO, index=1, mid="w")
    receiver = _receiver(_VIDEO, second)
    assert not _feed(receiver, _packet(1, 0))
    assert _only(_feed(receiver, _packet(1, 1, mid="w"))).media is second
    assert _only(_feed(receiver, _packet(1, 2))).media is second
    assert _only(_feed(receiver, _packet(2, 0, mid="v"))).media is _VIDEO
    assert not _feed(receiver, _packet(3, 0, mid="x"))


def test_a_section_is_found_by_an_announced_ssrc() -> None:
    """RFC 9143 §9.2: by a=ssrc."""
    second = attrs.evolve(_VIDEO, index=1, mid="w", remote_sources=(RemoteSource(7),))
    receiver = _receiver(_VIDEO, second)
    assert _only(_feed(receiver, _packet(7, 0))).media is second


def test_sections_that_only_send_receive_nothing() -> None:
    sent = attrs.evolve(_VIDEO, direction=Direction.SENDONLY)
    receiver = _receiver(sent, _AUDIO)
    assert not _feed(receiver, _packet(1, 0))
    both = attrs.evolve(_VIDEO, direction=Direction.SENDRECV, ssrc=9)
    assert _feed(_receiver(both), _packet(1, 0))


def test_layers_are_told_apart_by_rid() -> None:
    """RFC 8852 §3.1."""
    receiver = _receiver(_LAYERS)
    assert not _feed(receiver, _packet(1, 0))
    runs = _feed(
        receiver,
        _packet(1, 1, rid="hi", mid="v"),
        _packet(2, 0, rid="lo", mid="v"),
        _packet(1, 2),
        _packet(2, 1),
        _packet(3, 0, rid="other", mid="v"),
    )
    assert {s.rid: len(run) for s, run in runs.items()} == {"hi": 2, "lo": 2}
    assert receiver.unsorted == 2


def test_a_rid_that_nobody_negotiated_is_not_looked_at() -> None:
    receiver = _receiver(_VIDEO)
    assert _only(_feed(receiver, _packet(1, 0, rid="hi"))).rid == ""


def test_layers_without_rids_are_told_apart_by_their_group() -> None:
    """RFC 5576 §4.2: a=ssrc-group:SIM, of older senders."""
    media = attrs.evolve(
        _VIDEO,
        simulcast_ssrcs=(10, 20),
        remote_sources=(RemoteSource(10, 11), RemoteSource(20, 21)),
    )
    receiver = _receiver(media)
    runs = _feed(
        receiver,
        *(_packet(ssrc, n) for n in range(3) for ssrc in (10, 20)),
        _rtx(_packet(20, 7), 21, 0),
    )
    assert {s.rid: len(run) for s, run in runs.items()} == {"0": 3, "1": 4}


def test_damaged_extensions_are_counted_and_the_type_decides() -> None:
    receiver = _receiver(_VIDEO)
    damaged = attrs.evolve(
        _packet(1, 0), extension_profile=0xBEDE, extension=b"\x1f\1\1\1"
    )
    assert _feed(receiver, damaged)
    assert receiver.damaged == 1


def test_there_are_only_so_many_streams() -> None:
    layers = attrs.evolve(_VIDEO, rids=tuple("abcdef"))
    receiver = _receiver(layers, streams=3)
    for number, rid in enumerate("abcdef"):
        _feed(receiver, _packet(number, 0, rid=rid))
    assert [stream.rid for stream in receiver.streams] == ["a", "b", "c"]
    assert receiver.unsorted == 3
    # A stream may go on under another SSRC all the same.
    assert _only(_feed(receiver, _packet(9, 0, rid="b"))).ssrc == 9


# -- the same track under another SSRC -----------------------------------------------


def test_a_track_goes_on_under_another_ssrc() -> None:
    receiver = _receiver(_VIDEO)
    stream = _only(_feed(receiver, *(_packet(1, n) for n in range(5))))
    assert _only(_feed(receiver, _packet(2, 500))) is stream
    assert stream.ssrc == 2
    assert receiver.stream_of(1) is None
    assert receiver.report_blocks(0.0)[0].cumulative_lost == 0
    assert receiver.next_timeout() is None


def test_late_packets_do_not_bring_a_left_ssrc_back() -> None:
    receiver = _receiver(_VIDEO)
    stream = _only(_feed(receiver, _packet(1, 0), _packet(2, 500)))
    assert not _feed(receiver, _packet(1, 1), now=1.0)
    assert stream.ssrc == 2
    # Two senders of one track at one time: the newer one is heard.
    for number in range(10):
        runs = _feed(receiver, _packet(1, number), _packet(2, 501 + number), now=1.0)
        assert [p.ssrc for p in runs[stream]] == [2]
    # But where the newer one falls silent, the older is heard again.
    assert not _feed(receiver, _packet(1, 20), now=2.9)
    assert _feed(receiver, _packet(1, 21), now=3.0)
    assert stream.ssrc == 1


def test_any_number_of_other_ssrcs_may_follow() -> None:
    receiver = _receiver(_VIDEO, streams=8)
    for ssrc in range(1, 400, 2):
        packet = _packet(ssrc, 0)
        assert _feed(receiver, packet, _rtx(_packet(ssrc, 1), ssrc + 1, 0))
    assert len(receiver.streams) == 1
    assert receiver.unsorted == 0


def test_after_a_goodbye_another_ssrc_is_the_same_track() -> None:
    """RFC 3550 §6.6."""
    receiver = _receiver(_VIDEO)
    stream = _only(_feed(receiver, _packet(1, 0), _packet(1, 5)))
    assert receiver.end(1) is stream
    assert stream.ended
    assert receiver.end(1) is None
    assert not receiver.handle_timeout(10.0)
    assert _only(_feed(receiver, _packet(2, 0), now=0.1)) is stream
    assert not stream.ended


def test_repairs_of_a_left_ssrc_are_not_taken_for_the_new_one() -> None:
    receiver = _receiver(_VIDEO)
    _feed(receiver, _packet(1, 0), _rtx(_packet(1, 1), 101, 0))
    _feed(receiver, _packet(2, 500))
    assert not _feed(receiver, _rtx(_packet(1, 2), 101, 1))
    assert _feed(receiver, _rtx(_packet(2, 501), 102, 0))


# -- repair --------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["announced", "rrid", "alone"])
def test_retransmissions_become_what_they_repeat(how: str) -> None:
    """RFC 4588 §4, RFC 8852 §3.2: by FID, by the repaired rid, by there being one."""
    media = _VIDEO
    told = {}
    if how == "announced":
        sources = (RemoteSource(1, 101), RemoteSource(2, 102))
        media = attrs.evolve(_VIDEO, simulcast_ssrcs=(1, 2), remote_sources=sources)
    elif how == "rrid":
        media, told = _LAYERS, {"rrid": "lo"}
    receiver = _receiver(media)
    if how != "alone":
        _feed(receiver, _packet(1, 0, rid="hi"))
    stream = _only(_feed(receiver, _packet(2, 0, rid="lo"), _packet(2, 2)))
    runs = _feed(receiver, _rtx(_packet(2, 1, payload=b"one"), 102, 9, **told))
    (packet,) = runs[stream]
    assert (packet.ssrc, packet.sequence, packet.payload_type) == (2, 1, 96)
    assert packet.payload == b"one"
    assert stream.repaired == 1
    assert receiver.next_timeout() is None


def test_retransmissions_of_an_unknown_stream_wait_to_be_told() -> None:
    receiver = _receiver(_LAYERS)
    repeated = _rtx(_packet(1, 1), 101, 0)
    assert not _feed(receiver, repeated)
    _feed(receiver, _packet(1, 0, rid="hi"), _packet(2, 0, rid="lo"))
    assert not _feed(receiver, repeated)
    assert not _feed(receiver, _rtx(_packet(1, 1), 101, 1, rrid="none"))
    assert _only(_feed(receiver, _rtx(_packet(1, 1), 101, 2, rrid="hi"))).rid == "hi"
    assert _only(_feed(receiver, _rtx(_packet(1, 2), 101, 3))).rid == "hi"


def test_probes_and_damage_on_a_repair_stream_repeat_nothing() -> None:
    """RFC 4588 §4."""
    receiver = _receiver(_VIDEO)
    _feed(receiver, _packet(1, 0), _rtx(_packet(1, 1), 101, 0))
    assert not _feed(receiver, _packet(101, 1, 97, b""))
    assert not _feed(receiver, _packet(101, 2, 97, b"x"))
    assert receiver.damaged == 1
    assert not _feed(receiver, _packet(101, 3, 77))
    assert receiver.unsorted == 1


def test_what_is_missing_is_asked_for_once_and_again() -> None:
    """RFC 4585 §6.2.1."""
    receiver = _receiver(_VIDEO)
    receiver.set_round_trip_time(0.05)
    _feed(receiver, _packet(1, 0), _packet(1, 3))
    asked = []
    for _ in range(3):
        at = receiver.next_timeout()
        assert at is not None
        assert receiver.handle_timeout(at - 0.001) == []
        asked.append((round(at, 3), receiver.handle_timeout(at)))
    nack = [Nack(0xFFFF, 1, [1, 2])]
    assert asked == [(0.005, nack), (0.065, nack), (0.155, nack)]


def test_a_deadline_at_the_beginning_of_time_is_one() -> None:
    receiver = _receiver(_VIDEO)
    _feed(receiver, _packet(1, 0), _packet(1, 3), now=-0.005)
    assert receiver.next_timeout() == 0.0


def test_a_packet_that_cannot_be_used_is_not_missing() -> None:
    receiver = _receiver(_VIDEO)
    runs = _feed(receiver, _packet(1, 0), _packet(1, 1, 77), _packet(1, 2))
    assert [p.sequence for p in runs[_only(runs)]] == [0, 2]
    assert receiver.unsorted == 1
    assert receiver.next_timeout() is None


# -- other payloads ------------------------------------------------------------------


def test_the_format_may_change_under_way() -> None:
    receiver = _receiver(_VIDEO)
    runs = _feed(receiver, _packet(1, 0), _packet(1, 1, 98))
    stream = _only(runs)
    assert stream.codec is _H264
    assert [p.payload_type for p in runs[stream]] == [96, 98]
    repeated = _rtx(_packet(1, 2, 98), 101, 0, payload_type=99)
    assert _feed(receiver, repeated)[stream][0].payload_type == 98
    asks = []
    for number, payload_type in enumerate((45, 45, 96), 3):
        _feed(receiver, _packet(1, number, payload_type))
        asks.append(stream.nacks is not None)
    assert asks == [False, False, True]
    assert receiver.next_timeout() is None


def test_redundant_audio_comes_out_as_its_packets() -> None:
    """RFC 2198 §3."""
    receiver = _receiver(_AUDIO)
    blocks = [Block(111, b"old", 960), Block(111, b"new")]
    runs = _feed(receiver, _packet(1, 5, 63, encode_red(blocks)))
    stream = _only(runs)
    assert [(p.sequence, p.payload) for p in runs[stream]] == [(4, b"old"), (5, b"new")]
    assert stream.codec is _OPUS
    assert not _feed(receiver, _packet(1, 6, 63, b"\xef")).get(stream)
    assert receiver.damaged == 1


def test_repeated_redundant_video_is_unwrapped_twice() -> None:
    """RFC 4588 §4 around RFC 2198 §3; what ULPFEC fills is not missing."""
    media = attrs.evolve(
        _VIDEO, red_payload_type=120, red_rtx_payload_type=121, ulpfec_payload_type=122
    )
    receiver = _receiver(media)
    runs = _feed(
        receiver,
        _packet(1, 0, 120, encode_red([Block(96, b"zero")])),
        _packet(1, 1, 120, encode_red([Block(122, b"fec")])),
        _packet(1, 3, 120, encode_red([Block(96, b"three")])),
        _rtx(
            _packet(1, 2, 120, encode_red([Block(96, b"two")])),
            101,
            0,
            payload_type=121,
        ),
    )
    assert [p.payload for p in runs[_only(runs)]] == [b"zero", b"three", b"two"]
    assert receiver.next_timeout() is None
    assert receiver.unsorted == 0


# -- reports -------------------------------------------------------------------------


def test_sequence_numbers_that_begin_anew_are_no_loss() -> None:
    receiver = _receiver(_VIDEO)
    _feed(receiver, *(_packet(1, n) for n in range(100)))
    _feed(receiver, *(_packet(1, n) for n in range(40_000, 40_100)))
    (block,) = receiver.report_blocks(1.0)
    assert block.cumulative_lost <= 1
    assert receiver.handle_timeout(1.0) == []
    assert receiver.pending_bytes < 5_000


def test_sequence_numbers_wrap() -> None:
    receiver = _receiver(_VIDEO)
    _feed(receiver, *(_packet(1, n & 0xFFFF) for n in range(65_530, 65_545)))
    (block,) = receiver.report_blocks(1.0)
    assert (block.cumulative_lost, block.highest_sequence) == (0, 65_544)


def test_sender_reports_belong_to_their_stream() -> None:
    """RFC 3550 §6.4.1."""
    receiver = _receiver(_VIDEO)
    stream = _only(_feed(receiver, _packet(1, 0)))
    report = SenderReport(1, 7 << 32, 0, 1, 1, [])
    assert receiver.receive_sender_report(report, 1.0) is stream
    assert receiver.receive_sender_report(attrs.evolve(report, ssrc=2), 1.0) is None
    (block,) = receiver.receiver_report(1.5).reports
    assert (block.last_sr, block.delay_since_last_sr) == (7 << 16, 1 << 15)


def test_a_report_has_room_for_31_streams() -> None:
    """RFC 3550 §6.4.1."""
    layers = attrs.evolve(_VIDEO, rids=tuple(f"r{n}" for n in range(40)))
    receiver = _receiver(layers, streams=40)
    _feed(receiver, *(_packet(n, 0, rid=f"r{n}") for n in range(40)))
    assert len(receiver.streams) == 40
    assert len(receiver.report_blocks(0.0)) == 31


def test_transport_wide_numbers_are_answered() -> None:
    """draft-holmer-rmcat-transport-wide-cc-extensions-01 §3.1: all packets count."""
    receiver = _receiver(_VIDEO, _AUDIO)
    _feed(receiver, _packet(1, 0, number=7), _packet(1, 1, number=8))
    _feed(receiver, _packet(5, 0, 77, number=10))
    at = receiver.next_timeout()
    assert at is not None
    (feedback,) = receiver.handle_timeout(at)
    assert isinstance(feedback, TransportFeedback)
    assert (feedback.sender_ssrc, feedback.media_ssrc) == (0xFFFF, 1)
    assert [n for n, came in feedback.arrivals() if came is not None] == [7, 8, 10]
    receiver.take_ssrc(0xAAAA)
    _feed(receiver, _packet(1, 2, number=11), now=1.0)
    (feedback,) = receiver.handle_timeout(2.0)
    assert isinstance(feedback, TransportFeedback)
    assert feedback.sender_ssrc == 0xAAAA


def test_a_limit_is_told_to_senders_without_transport_wide_feedback() -> None:
    media = attrs.evolve(_VIDEO, codecs=(_AV1,), extensions={})
    receiver = _receiver(media)
    assert receiver.bitrate_limit(1_000_000) is None
    _feed(receiver, _packet(1, 0, 45))
    limit = receiver.bitrate_limit(1_000_000)
    assert limit is not None
    assert (limit.bitrate_bps, list(limit.ssrcs)) == (1_000_000, [1])
    receiver.end(1)
    assert receiver.bitrate_limit(1_000_000) is None
    assert _receiver(_VIDEO).bitrate_limit(1_000_000) is None


# -- whatever comes ------------------------------------------------------------------

_ANY = st.builds(
    _packet,
    ssrc=st.integers(0, 5),
    sequence=st.integers(0, 0xFFFF),
    payload_type=st.sampled_from((96, 97, 98, 99, 45, 111, 63, 77)),
    payload=st.binary(max_size=8),
    mid=st.sampled_from(("v", "a", "x")),
    rid=st.sampled_from(("hi", "lo", "x")),
    rrid=st.sampled_from(("hi", "lo", "x")),
    number=st.integers(0, 0xFFFF),
)


@given(
    packets=st.lists(
        st.one_of(
            _ANY,
            _ANY.map(lambda p: attrs.evolve(p, extension_profile=None, extension=b"")),
        ),
        max_size=40,
    ),
    layered=st.booleans(),
)
@settings(max_examples=100, deadline=None)
def test_whatever_comes_is_counted_once_and_bounded(
    packets: list[RtpPacket], layered: bool
) -> None:
    receiver = _receiver(_LAYERS if layered else _VIDEO, _AUDIO, streams=4)
    now = 0.0
    for packet in packets:
        now += 0.01
        for stream, run in _feed(receiver, packet, now=now).items():
            assert stream in receiver.streams
            assert all(one.ssrc == stream.ssrc for one in run)
            assert all(
                one.payload_type in {c.payload_type for c in stream.media.codecs}
                for one in run
            )
        at = receiver.next_timeout()
        if at is not None and at <= now:
            receiver.handle_timeout(now)
            later = receiver.next_timeout()
            assert later is None or later > now
    assert len(receiver.streams) <= 4
    assert receiver.pending_bytes <= 4 * 512 * 64 + 3_000 * 32
    taken = sum(stream.packets for stream in receiver.streams)
    assert taken <= len(packets)
