"""libsrtp, the reference, opens what we protect and the other way round."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sansmedia.rtp import RtpPacket, encode_header, encode_rtp
from sansmedia.srtp import Limits, ProtectionProfile, SrtpReceiver, SrtpSender

pylibsrtp = pytest.importorskip("pylibsrtp", reason="pylibsrtp is not installed")

_PROFILES = {
    ProtectionProfile.AES128_CM_HMAC_SHA1_80: "SRTP_PROFILE_AES128_CM_SHA1_80",
    ProtectionProfile.AES128_CM_HMAC_SHA1_32: "SRTP_PROFILE_AES128_CM_SHA1_32",
    ProtectionProfile.AEAD_AES_128_GCM: "SRTP_PROFILE_AEAD_AES_128_GCM",
    ProtectionProfile.AEAD_AES_256_GCM: "SRTP_PROFILE_AEAD_AES_256_GCM",
}
_every_profile = pytest.mark.parametrize(
    "profile", list(_PROFILES), ids=lambda profile: profile.name
)


class _Libsrtp:
    """One direction of libsrtp."""

    def __init__(
        self, profile: ProtectionProfile, key: bytes, salt: bytes, *, inbound: bool
    ) -> None:
        policy = pylibsrtp.Policy
        self._policy = policy(
            key=key + salt,
            ssrc_type=policy.SSRC_ANY_INBOUND if inbound else policy.SSRC_ANY_OUTBOUND,
            srtp_profile=getattr(policy, _PROFILES[profile]),
        )
        self._policy.window_size = 1024
        self._session = pylibsrtp.Session(self._policy)

    def protect_rtp(self, packet: bytes) -> bytes:
        sealed: bytes = self._session.protect(packet)
        return sealed

    def protect_rtcp(self, packet: bytes) -> bytes:
        sealed: bytes = self._session.protect_rtcp(packet)
        return sealed

    def unprotect_rtp(self, packet: bytes) -> bytes | None:
        try:
            plain: bytes = self._session.unprotect(packet)
        except pylibsrtp.Error:
            return None
        return plain

    def unprotect_rtcp(self, packet: bytes) -> bytes | None:
        try:
            plain: bytes = self._session.unprotect_rtcp(packet)
        except pylibsrtp.Error:
            return None
        return plain


u16, u32 = st.integers(0, 0xFFFF), st.integers(0, 0xFFFFFFFF)


@st.composite
def _masters(draw: st.DrawFn) -> tuple[ProtectionProfile, bytes, bytes]:
    profile = draw(st.sampled_from(list(_PROFILES)))
    size = profile.key_size
    return (
        profile,
        draw(st.binary(min_size=size, max_size=size)),
        draw(st.binary(min_size=profile.salt_size, max_size=profile.salt_size)),
    )


@st.composite
def _packets(draw: st.DrawFn) -> bytes:
    has_extension = draw(st.booleans())
    return encode_rtp(
        RtpPacket(
            draw(st.integers(0, 127)),
            draw(u16),
            draw(u32),
            draw(u32),
            draw(st.binary(max_size=100)),
            draw(st.booleans()),
            0xBEDE if has_extension else None,
            draw(st.binary(min_size=8, max_size=8)) if has_extension else b"",
            tuple(draw(st.lists(u32, max_size=15))),
            draw(st.sampled_from((0, 1, 7))),
        )
    )


@given(_masters(), _packets())
def test_any_packet_is_protected_alike(
    master: tuple[ProtectionProfile, bytes, bytes], packet: bytes
) -> None:
    """Session keys are derived alike, from salts of 12 octets too. RFC 7714 §11."""
    sealed = SrtpSender(*master).protect_rtp(packet)
    assert sealed == _Libsrtp(*master, inbound=False).protect_rtp(packet)
    assert _Libsrtp(*master, inbound=True).unprotect_rtp(sealed) == packet
    assert SrtpReceiver(*master).unprotect_rtp([sealed]) == [packet]


@given(_masters(), u32, st.binary(max_size=100))
def test_any_control_packet_opens_on_both_sides(
    master: tuple[ProtectionProfile, bytes, bytes], ssrc: int, body: bytes
) -> None:
    packet = b"\x80\xc9\x00\x01" + ssrc.to_bytes(4, "big") + body
    ours, theirs = SrtpSender(*master), _Libsrtp(*master, inbound=False)
    opener, receiver = _Libsrtp(*master, inbound=True), SrtpReceiver(*master)
    for _ in range(3):
        assert opener.unprotect_rtcp(ours.protect_rtcp(packet)) == packet
        assert receiver.unprotect_rtcp(theirs.protect_rtcp(packet)) == packet


@given(_masters(), st.integers(0, 0x7FFF), st.data())
@settings(max_examples=50, deadline=None)
def test_losses_repeats_and_disorder_are_judged_alike(
    master: tuple[ProtectionProfile, bytes, bytes], first: int, data: st.DataObject
) -> None:
    """Both estimate the same rollover counters and refuse the same packets."""
    sender = _Libsrtp(*master, inbound=False)
    theirs = _Libsrtp(*master, inbound=True)
    ours = SrtpReceiver(*master, limits=Limits(replay_window=1024))
    # Steps of up to 20,000 cross many rollovers.
    index = first
    sealed = []
    for step in data.draw(st.lists(st.integers(1, 20_000), min_size=5, max_size=25)):
        sealed.append(sender.protect_rtp(encode_header(96, index, 0, 1) + b"media"))
        index += step
    places = st.integers(0, len(sealed) - 1)
    order = [0, *data.draw(st.lists(places, max_size=40))]
    for place in order:
        [plain] = ours.unprotect_rtp([sealed[place]])
        assert plain == theirs.unprotect_rtp(sealed[place])


@_every_profile
@pytest.mark.slow
def test_both_stay_together_over_rollovers(profile: ProtectionProfile) -> None:
    """80,000 packets each way; the index passes 65,536 and 131,072."""
    key = bytes(range(profile.key_size))
    salt = bytes(range(profile.salt_size))
    ours, theirs = (
        SrtpSender(profile, key, salt),
        _Libsrtp(profile, key, salt, inbound=True),
    )
    sender = _Libsrtp(profile, key, salt, inbound=False)
    receiver = SrtpReceiver(profile, key, salt)
    first = 60_000
    for start in range(first, first + 80_000, 500):
        run = [
            (encode_header(96, index, index, 1), b"media")
            for index in range(start, start + 500)
        ]
        packets = [header + payload for header, payload in run]
        for packet, sealed in zip(packets, ours.seal_run(run, start), strict=True):
            assert theirs.unprotect_rtp(sealed) == packet
        foreign = [sender.protect_rtp(packet) for packet in packets]
        assert receiver.unprotect_rtp(foreign) == packets
