"""Senders and receivers: indexes, replay, sources, damage."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sansmedia.rtp import RtpPacket, encode_header, encode_rtp
from sansmedia.sansio import UsageError
from sansmedia.srtp import (
    Limits,
    MasterKey,
    ProtectionProfile,
    ReceiverStatistics,
    SrtpReceiver,
    SrtpSender,
    derive_session_keys,
    split_keying_material,
)
from sansmedia.srtp.ciphers import make_cipher

_PROFILES = list(ProtectionProfile)
_GCM = ProtectionProfile.AEAD_AES_128_GCM
_every_profile = pytest.mark.parametrize("profile", _PROFILES, ids=lambda p: p.name)
_REPORT = bytes.fromhex("80c90001cafebabe")


def _master(profile: ProtectionProfile) -> tuple[bytes, bytes]:
    return bytes(range(profile.key_size)), bytes(range(100, 100 + profile.salt_size))


def _sender(profile: ProtectionProfile = _GCM) -> SrtpSender:
    return SrtpSender(profile, *_master(profile))


def _receiver(
    profile: ProtectionProfile = _GCM, limits: Limits | None = None
) -> SrtpReceiver:
    return SrtpReceiver(profile, *_master(profile), limits=limits)


def _packet(sequence: int, ssrc: int = 1) -> bytes:
    return encode_header(96, sequence, 0, ssrc) + b"payload"


def _counters(receiver: SrtpReceiver) -> dict[str, int]:
    """Return the counters that are not 0."""
    found = attrs.asdict(receiver.statistics())
    return {name: count for name, count in found.items() if count}


@_every_profile
def test_what_one_protects_the_other_opens(profile: ProtectionProfile) -> None:
    sender, receiver = _sender(profile), _receiver(profile)
    packet = encode_rtp(
        RtpPacket(
            111,
            7,
            8,
            9,
            b"media",
            extension_profile=0xBEDE,
            extension=b"\x10a\0\0",
            csrcs=(1, 2),
            padding=5,
        )
    )
    sealed = sender.protect_rtp(packet)
    assert len(sealed) == len(packet) + profile.tag_size
    # The header stays readable. RFC 3711 §3.1.
    assert sealed[:28] == packet[:28]
    assert b"media" not in sealed
    assert receiver.unprotect_rtp([sealed]) == [packet]

    report = sender.protect_rtcp(_REPORT + b"body")
    assert len(report) == len(_REPORT) + 4 + profile.rtcp_overhead
    assert receiver.unprotect_rtcp(report) == _REPORT + b"body"
    assert receiver.statistics() == ReceiverStatistics(
        packets=1,
        rtcp_packets=1,
        malformed=0,
        unauthentic=0,
        replayed=0,
        refused=0,
        ssrcs=1,
    )


@_every_profile
def test_a_run_is_sealed_as_its_packets_are(profile: ProtectionProfile) -> None:
    run = [(encode_header(96, 65_534 + at, 0, 5), bytes((at,))) for at in range(4)]
    sealed = _sender(profile).seal_run(run, 65_534)
    one_by_one = _sender(profile)
    assert sealed == [
        one_by_one.seal(header, payload, 65_534 + at)
        for at, (header, payload) in enumerate(run)
    ]
    whole = _sender(profile)
    assert sealed == [whole.protect_rtp(header + payload) for header, payload in run]
    opened = _receiver(profile).unprotect_rtp(sealed)
    assert opened == [header + payload for header, payload in run]
    assert _sender(profile).seal_run([], 0) == []


@_every_profile
def test_no_octet_of_a_packet_may_change(profile: ProtectionProfile) -> None:
    sealed = _sender(profile).protect_rtp(_packet(1))
    report = _sender(profile).protect_rtcp(_REPORT + b"body")
    for at in range(len(sealed)):
        damaged = bytes((*sealed[:at], sealed[at] ^ 1, *sealed[at + 1 :]))
        assert _receiver(profile).unprotect_rtp([damaged]) == [None]
    for at in range(len(report)):
        damaged = bytes((*report[:at], report[at] ^ 1, *report[at + 1 :]))
        assert _receiver(profile).unprotect_rtcp(damaged) is None


@_every_profile
def test_another_key_opens_nothing(profile: ProtectionProfile) -> None:
    key, salt = _master(profile)
    stranger = SrtpReceiver(profile, key[::-1], salt)
    sender = _sender(profile)
    assert stranger.unprotect_rtp([sender.protect_rtp(_packet(1))]) == [None]
    assert stranger.unprotect_rtcp(sender.protect_rtcp(_REPORT)) is None
    assert _counters(stranger) == {"unauthentic": 2}


@_every_profile
@pytest.mark.slow
def test_indexes_go_on_over_two_rollovers(profile: ProtectionProfile) -> None:
    """Source: RFC 3711 §3.3.1."""
    sender, receiver = _sender(profile), _receiver(profile)
    for start in range(60_000, 140_000, 500):
        packets = [_packet(start + at) for at in range(500)]
        sealed = [sender.protect_rtp(packet) for packet in packets]
        assert receiver.unprotect_rtp(sealed) == packets
    assert _counters(receiver) == {"packets": 80_000, "ssrcs": 1}


def _sealed(indexes: list[int]) -> list[bytes]:
    sender = _sender()
    return [
        sender.seal(encode_header(96, index, 0, 1), b"payload", index)
        for index in indexes
    ]


def test_losses_around_the_rollover_do_not_confuse_the_receiver() -> None:
    indexes = [65_000, 65_535, 65_536, 80_000, 98_000, 130_000, 131_073]
    receiver = _receiver()
    assert None not in receiver.unprotect_rtp(_sealed(indexes))
    assert _counters(receiver) == {"packets": 7, "ssrcs": 1}


def test_a_packet_from_before_the_rollover_may_come_after_it() -> None:
    before, after, late = _sealed([65_534, 65_535, 65_537])
    receiver = _receiver()
    assert None not in receiver.unprotect_rtp([before, late, after])


def test_a_sender_may_begin_just_before_the_rollover_and_lose_all_of_it() -> None:
    """The receiver has no packet of rollover counter 0 to count from."""
    late, _, first = _sealed([65_533, 65_535, 65_538])
    receiver = _receiver()
    assert receiver.unprotect_rtp([first]) == [_packet(2)]
    assert receiver.unprotect_rtp([late]) == [_packet(65_533)]
    assert _counters(receiver) == {"packets": 2, "ssrcs": 1}


def test_a_packet_is_taken_once() -> None:
    """Source: RFC 3711 §3.3.2."""
    first, second, third = _sealed([1, 2, 3])
    receiver = _receiver()
    batch = [first, third, third, first, second, second]
    opened = receiver.unprotect_rtp(batch)
    assert [plain is not None for plain in opened] == [
        *(True, True, False, False, True, False)
    ]
    assert _counters(receiver) == {"packets": 3, "replayed": 3, "ssrcs": 1}


@pytest.mark.parametrize("window", [64, 1024])
def test_a_packet_is_too_late_behind_the_window(window: int) -> None:
    sealed = _sealed(list(range(window + 2)))
    receiver = _receiver(limits=Limits(replay_window=window))
    order = [0, window + 1, 2, 1]
    opened = receiver.unprotect_rtp([sealed[index] for index in order])
    assert [plain is not None for plain in opened] == [True, True, True, False]
    assert _counters(receiver)["replayed"] == 1


@given(st.lists(st.integers(0, 300), max_size=40))
def test_each_packet_of_any_order_is_opened_once_at_the_most(order: list[int]) -> None:
    sealed = _sealed(list(range(65_400, 65_701)))
    receiver = _receiver(limits=Limits(replay_window=64))
    seen: set[int] = set()
    highest = -1
    for number in order:
        [plain] = receiver.unprotect_rtp([sealed[number]])
        fresh = number not in seen and (highest < 0 or number > highest - 64)
        # The first packet tells the rollover counter only if it is 0, or 1 in the
        # lower half; both hold here.
        assert (plain is not None) is fresh
        if fresh:
            seen.add(number)
            highest = max(highest, number)


def test_control_packets_are_taken_once() -> None:
    """Source: RFC 3711 §3.4."""
    sender, receiver = _sender(), _receiver()
    reports = [sender.protect_rtcp(_REPORT) for _ in range(70)]
    order = [0, 69, 69, 68, 68, 5]
    opened = [receiver.unprotect_rtcp(reports[index]) for index in order]
    assert [plain is not None for plain in opened] == [
        *(True, True, False, True, False, False)
    ]
    assert _counters(receiver) == {"rtcp_packets": 3, "replayed": 3}


def test_a_source_costs_nothing_until_it_is_authentic() -> None:
    sender, receiver = _sender(), _receiver(limits=Limits(ssrcs=2))
    forged = [_packet(1, ssrc) + bytes(16) for ssrc in range(100)]
    assert set(receiver.unprotect_rtp(forged)) == {None}
    assert receiver.statistics().ssrcs == 0
    sealed = [sender.protect_rtp(_packet(1, ssrc)) for ssrc in range(3)]
    assert [p is not None for p in receiver.unprotect_rtp(sealed)] == [
        *(True, True, False)
    ]
    assert _counters(receiver) == {
        "packets": 2,
        "unauthentic": 100,
        "refused": 1,
        "ssrcs": 2,
    }
    receiver.forget(0)
    assert receiver.unprotect_rtp([sealed[2]]) == [_packet(1, 2)]


def test_sources_of_control_packets_are_bounded_too() -> None:
    sender, receiver = _sender(), _receiver(limits=Limits(ssrcs=2))
    opened = [
        receiver.unprotect_rtcp(
            sender.protect_rtcp(bytes.fromhex("80c90001") + bytes((0, 0, 0, ssrc)))
        )
        for ssrc in range(3)
    ]
    assert [plain is not None for plain in opened] == [True, True, False]
    assert _counters(receiver) == {"rtcp_packets": 2, "refused": 1}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        bytes(27),
        b"\x80" + bytes(26),
        b"\x40" + bytes(40),
        b"\x8f" + bytes(60),
        b"\x90" + bytes(28),
        b"\x90" + bytes(13) + b"\xff\xff" + bytes(40),
    ],
)
def test_what_is_no_packet_is_counted(data: bytes) -> None:
    receiver = _receiver()
    assert receiver.unprotect_rtp([data]) == [None]
    assert _counters(receiver) == {"malformed": 1}


@pytest.mark.parametrize("data", [b"", bytes(27), b"\x80" + bytes(26), bytes(40)])
def test_what_is_no_control_packet_is_counted(data: bytes) -> None:
    receiver = _receiver()
    assert receiver.unprotect_rtcp(data) is None
    assert _counters(receiver) == {"malformed": 1}


def test_an_index_is_used_once() -> None:
    """Source: RFC 3711 §9.1, RFC 7714 §8."""
    sender = _sender()
    header = encode_header(96, 5, 0, 1)
    sender.seal(header, b"one", 5)
    with pytest.raises(UsageError, match="used before"):
        sender.seal(header, b"two", 5)
    with pytest.raises(UsageError, match="used before"):
        sender.seal(encode_header(96, 4, 0, 1), b"two", 4)
    with pytest.raises(UsageError, match="used before"):
        sender.protect_rtp(header + b"two")
    sender.protect_rtp(encode_header(96, 4, 0, 1) + b"two")
    with pytest.raises(UsageError, match="used before"):
        sender.protect_rtp(encode_header(96, 4, 0, 1) + b"two")
    # Another source counts for itself.
    sender.seal(encode_header(96, 5, 0, 2), b"two", 5)


def test_a_run_that_begins_below_the_highest_index_is_refused() -> None:
    sender = _sender()
    run = [(encode_header(96, index, 0, 1), b"") for index in range(10, 20)]
    sender.seal_run(run, 10)
    with pytest.raises(UsageError, match="used before"):
        sender.seal_run([(encode_header(96, 19, 0, 1), b"")], 19)
    sender.seal_run([(encode_header(96, 20, 0, 1), b"")], 20)


def test_an_index_belongs_to_the_header() -> None:
    with pytest.raises(UsageError, match="sequence number"):
        _sender().seal(encode_header(96, 5, 0, 1), b"", 6)
    with pytest.raises(UsageError, match="no RTP header"):
        _sender().seal(b"short", b"", 6)
    with pytest.raises(UsageError, match="no RTP packet"):
        _sender().protect_rtp(b"short")
    with pytest.raises(UsageError, match="8 octets"):
        _sender().protect_rtcp(b"short")


@_every_profile
def test_a_packet_is_made_again_for_a_retransmission(
    profile: ProtectionProfile,
) -> None:
    sender = _sender(profile)
    header = encode_header(96, 1, 0, 1)
    sealed = sender.seal(header, b"media", 0x10001)
    sender.seal(encode_header(96, 2, 0, 1), b"more", 0x10002)
    assert sender.seal_again(header, b"media", 0x10001) == sealed
    for ssrc, index in ((1, 0x20001), (2, 0x10001), (1, 3)):
        with pytest.raises(UsageError, match="nothing was sent"):
            sender.seal_again(encode_header(96, 1, 0, ssrc), b"media", index)


def test_a_key_ends_with_its_last_index() -> None:
    """Source: RFC 3711 §9.2."""
    sender = _sender()
    last = (1 << 48) - 1
    sender.seal(encode_header(96, last, 0, 1), b"", last)
    with pytest.raises(UsageError, match=r"2\*\*48"):
        sender.seal(encode_header(96, 0, 0, 1), b"", last + 1)
    with pytest.raises(UsageError, match=r"2\*\*48"):
        sender.protect_rtp(encode_header(96, 0, 0, 1))


@pytest.mark.parametrize("profile", [_GCM, ProtectionProfile.AES128_CM_HMAC_SHA1_80])
def test_the_two_directions_of_control_and_media_have_keys_of_their_own(
    profile: ProtectionProfile,
) -> None:
    rtp, rtcp = derive_session_keys(profile, *_master(profile))
    assert len({rtp.encryption, rtcp.encryption}) == 2
    assert len({rtp.salt, rtcp.salt}) == 2
    assert (rtp.authentication == b"") is profile.is_aead
    header = encode_header(96, 0, 0, 1)
    sealed = make_cipher(profile, rtp).seal_run(1, 0, [(header, b"x")])
    assert _sender(profile).seal(header, b"x", 0) == sealed[0]


def test_keying_material_is_split_between_client_and_server() -> None:
    """Source: RFC 5764 §4.2."""
    material = b"C" * 16 + b"S" * 16 + b"c" * 12 + b"s" * 12
    assert split_keying_material(_GCM, material) == (
        MasterKey(b"C" * 16, b"c" * 12),
        MasterKey(b"S" * 16, b"s" * 12),
    )
    with pytest.raises(UsageError):
        split_keying_material(_GCM, material[1:])


def test_a_key_of_the_wrong_size_is_our_mistake() -> None:
    with pytest.raises(UsageError):
        SrtpSender(_GCM, bytes(15), bytes(12))
    with pytest.raises(UsageError):
        SrtpReceiver(_GCM, bytes(16), bytes(14))


def test_profiles_have_the_numbers_of_dtls() -> None:
    """Source: RFC 5764 §4.1.2, RFC 7714 §14.2, RFC 6188 §6."""
    assert {
        profile.number: profile.name for profile in _PROFILES if profile.number
    } == {
        1: "AES128_CM_HMAC_SHA1_80",
        2: "AES128_CM_HMAC_SHA1_32",
        7: "AEAD_AES_128_GCM",
        8: "AEAD_AES_256_GCM",
    }
    assert ProtectionProfile.from_number(7) is _GCM
    assert ProtectionProfile.from_number(3) is None


def test_keys_do_not_show_in_a_traceback() -> None:
    assert "secret" not in repr(MasterKey(b"secret", b"secret"))
    rtp, _ = derive_session_keys(_GCM, *_master(_GCM))
    assert repr(rtp) == "SessionKeys()"
