"""`SrtpReceiver` over any octets, and over damage to what a sender made."""

from __future__ import annotations

from sansmedia.rtp import encode_header
from sansmedia.srtp import Limits, ProtectionProfile, SrtpReceiver, SrtpSender

_PROFILES = tuple(ProtectionProfile)
_LIMITS = Limits(ssrcs=2)


def one_input(data: bytes) -> None:
    # Nothing raises; octets that no sender made open nothing and cost no source; a
    # damaged packet opens only if it is whole after all; none opens twice.
    choice = data[0] if data else 0
    profile = _PROFILES[choice % len(_PROFILES)]
    master = bytes(profile.key_size), bytes(profile.salt_size)
    sender = SrtpSender(profile, *master)
    receiver = SrtpReceiver(profile, *master, limits=_LIMITS)
    assert receiver.unprotect_rtp([data, data[1:]]) == [None, None]
    assert receiver.unprotect_rtcp(data[1:]) is None
    assert receiver.statistics().ssrcs == 0

    plain = encode_header(96, choice << 8, 0, 7) + data[:60]
    sealed = sender.protect_rtp(plain)
    report = b"\x80\xc9\x00\x01\x00\x00\x00\x07" + data[:40]
    sealed_report = sender.protect_rtcp(report)
    for at in range(1, len(data) - 1, 2):
        place, change = data[at], data[at + 1]
        if not change:
            continue
        damaged = bytearray(sealed)
        damaged[place % len(sealed)] ^= change
        assert receiver.unprotect_rtp([bytes(damaged)]) == [None]
        assert receiver.unprotect_rtp([sealed[: place % len(sealed)]]) == [None]
        damaged = bytearray(sealed_report)
        damaged[place % len(sealed_report)] ^= change
        assert receiver.unprotect_rtcp(bytes(damaged)) is None
    assert receiver.unprotect_rtp([sealed, sealed]) == [plain, None]
    assert receiver.unprotect_rtcp(sealed_report) == report
    assert receiver.unprotect_rtcp(sealed_report) is None
    assert receiver.statistics().ssrcs == 1
